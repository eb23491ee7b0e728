//! Questions to the SQL side, and its answers.

use crate::{ChannelId, Event, Millis};

/// Which events a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of one channel.
    Channel(ChannelId),
    /// Those of all channels of a namespace.
    Namespace(Box<str>),
}

/// A question for events; every filter may stand alone, and all that are set must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    /// Where to look.
    pub scope: Scope,
    /// Only events after this sequence number.
    pub after_seq: Option<u64>,
    /// Only events before this sequence number.
    pub before_seq: Option<u64>,
    /// Only events of this author.
    pub author_id: Option<Box<str>>,
    /// Only events whose newest content contains this, as written.
    pub content_contains: Option<Box<str>>,
    /// Only events created after this moment.
    pub after_date: Option<Millis>,
    /// Only events created before this moment.
    pub before_date: Option<Millis>,
    /// Newest first; oldest first otherwise.
    pub newest_first: bool,
    /// Events of one page.
    pub limit: u32,
    /// Where the page before ended, as it said itself.
    pub page: Option<Box<str>>,
    /// Whether the content of deleted events is shown, marked as deleted.
    pub with_deleted: bool,
}

/// A full-text question: words that must all be there; best match first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// Where to look.
    pub scope: Scope,
    /// What to look for.
    pub text: Box<str>,
    /// How it is looked for.
    pub mode: SearchMode,
    /// Hits of one page.
    pub limit: u32,
    /// Where the page before ended, as it said itself.
    pub page: Option<Box<str>>,
}

/// How a search looks for its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SearchMode {
    /// As words, in any order; the last one may be the beginning of a word.
    #[default]
    Words,
    /// As a part of the content, as written. Across channels this needs the trigram index.
    Substring,
}

/// A question for the channels of a namespace, in the order of their creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelQuery {
    /// The namespace.
    pub owner: Box<str>,
    /// Whether channels that are deleted and not yet purged are listed.
    pub with_deleted: bool,
    /// Channels of one page.
    pub limit: u32,
    /// Where the page before ended, as it said itself.
    pub page: Option<Box<str>>,
}

/// An event as the SQL side knows it: with all that later events said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its channel.
    pub channel: ChannelId,
    /// The event; its content is the newest version.
    pub event: Event<'static>,
    /// When it was edited last.
    pub edited_at: Option<Millis>,
    /// Reactions and how many authors gave each, in the order of the first.
    pub reactions: Vec<(Box<str>, u32)>,
    /// The found words in their surroundings, as plain text with `\u{2}` before and `\u{3}` after
    /// each; only in the answer to a search.
    pub snippet: Option<Box<str>>,
    /// How well it matches, larger is better; only in the answer to a search.
    pub rank: Option<f64>,
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Hand this in for what follows; `None` at the end.
    pub next: Option<Box<str>>,
}
