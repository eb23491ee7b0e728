//! Questions to the SQL side, and its answers.

use crate::{ChannelId, Event, Millis};

/// Which events a question is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Those of one channel.
    Channel(ChannelId),
    /// Those of all channels of a namespace.
    Namespace(Box<str>),
    /// Those of some channels of a namespace.
    Channels {
        /// The namespace.
        owner: Box<str>,
        /// The channels, ascending.
        channels: Box<[ChannelId]>,
    },
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
    /// Among which events to look.
    pub among: Among,
    /// Whose own reactions the answer tells from others'.
    pub viewer: Option<Box<str>>,
}

/// Among which events a question looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Among {
    /// All.
    #[default]
    All,
    /// Those that answer one message; of one channel alone.
    RepliesTo(u64),
    /// Those that are pinned, in the order in which they were; of one channel alone.
    Pinned,
    /// Those that mention a user.
    Mentioning(Box<str>),
}

impl EventQuery {
    /// Asks for all events of a scope, oldest first.
    #[must_use]
    pub const fn new(scope: Scope, limit: u32) -> Self {
        Self {
            scope,
            after_seq: None,
            before_seq: None,
            author_id: None,
            content_contains: None,
            after_date: None,
            before_date: None,
            newest_first: false,
            limit,
            page: None,
            with_deleted: false,
            among: Among::All,
            viewer: None,
        }
    }
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
    /// Those of the reactions that the viewer of the question gives.
    pub own_reactions: Vec<Box<str>>,
    /// How many messages answer it, without those that were deleted.
    pub replies: u32,
    /// Who pinned it, if it is pinned.
    pub pin: Option<Pin>,
    /// The found words in their surroundings, as plain text with `\u{2}` before and `\u{3}` after
    /// each; only in the answer to a search.
    pub snippet: Option<Box<str>>,
    /// How well it matches, larger is better; only in the answer to a search.
    pub rank: Option<f64>,
}

/// That a message is pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The event that pinned it.
    pub seq: u64,
    /// Who did.
    pub author_id: Box<str>,
    /// When.
    pub at: Millis,
}

/// The reactions to one message, and who gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reactions {
    /// The newest event of the channel that they take into account.
    pub applied: u64,
    /// In the order of the first of each; nothing for a message that is not there.
    pub counts: Vec<ReactionCount>,
    /// Whether `counts` names everyone; of a message with more than
    /// [`AUTHORS_MAX`](Self::AUTHORS_MAX) it names so many.
    pub are_all_named: bool,
}

/// One reaction to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReactionCount {
    /// What stands under the message.
    pub reaction: Box<str>,
    /// How many give it.
    pub count: u32,
    /// Who does, in no order that means anything.
    pub authors: Vec<Box<str>>,
}

impl Reactions {
    /// Authors that are named for one message, those of all its reactions together.
    pub const AUTHORS_MAX: usize = 2_000;
}

/// A question for how much a user has not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadQuery {
    /// The user, whose own messages are not counted.
    pub user: Box<str>,
    /// The channels, each with the newest event that the user has read.
    pub channels: Vec<(ChannelId, u64)>,
}

impl UnreadQuery {
    /// Channels of one question; those beyond are not answered.
    pub const CHANNELS_MAX: usize = 200;
}

/// How much of a channel a user has not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The channel.
    pub channel: ChannelId,
    /// The newest event that the user has read, as the question said.
    pub after_seq: u64,
    /// The newest event that the counts take into account.
    pub applied: u64,
    /// Messages of others that are there, up to [`COUNT_MAX`](Self::COUNT_MAX).
    pub unread: u32,
    /// Those of them that mention the user, up to as many.
    pub mentions: u32,
}

impl Unread {
    /// Messages that are counted; where there are more, the counts say this.
    pub const COUNT_MAX: u32 = 1_000;
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What was found.
    pub items: Vec<T>,
    /// Hand this in for what follows; `None` at the end.
    pub next: Option<Box<str>>,
}
