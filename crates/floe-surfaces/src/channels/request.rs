//! Requests of every form, read and checked.

use std::borrow::Cow;

use floe_core::channel::SlowPolicy;
use floe_proto::{
    ChannelId, ChannelQuery, Code, EventQuery, Millis, Retention, Rights, Scope, Search, SearchMode,
};

use super::bounds::Bounds;
use super::messages::{self, MessageAsk, Order, ReadsAsk};
use super::reject::{Fault, Reject};
use super::route::{self, Form, Matched, Miss, Operation};
use crate::access::Credentials;
use crate::http::{Method, decode};

mod body;
mod query;

pub(super) use body::{content, said};
pub(super) use query::{bounded, limit_of, wait_for};

/// A request that was understood.
#[derive(Debug)]
pub struct Asked<'a> {
    /// The form to answer in.
    pub form: Form,
    /// What the caller showed.
    pub credentials: Credentials<'a>,
    /// What is wanted.
    pub ask: Ask<'a>,
}

/// What is asked of channels.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask<'a> {
    /// Answer a browser's question about headers.
    Preflight,
    /// Say that the server is there.
    Ping,
    /// The description of this surface.
    OpenApi,
    /// The limits that apply to the caller, and how much of them is left.
    Limits,
    /// Make a channel.
    Create(Create),
    /// List the channels of a namespace.
    List(List),
    /// Describe a channel.
    Describe(ChannelId),
    /// Change a channel's settings.
    Change(ChannelId, Change),
    /// Delete a channel.
    Remove {
        /// Which.
        channel: ChannelId,
        /// The namespace that must own it.
        namespace: Option<Box<str>>,
    },
    /// Append events.
    Append(ChannelId, Append<'a>),
    /// Read events by their sequence numbers, from the log.
    Read(ChannelId, Read),
    /// Show one event with all that later events said about it, from the view.
    Event {
        /// Whose.
        channel: ChannelId,
        /// Which.
        seq: u64,
        /// The event that the view must have reached.
        wait_for: Option<WaitFor>,
    },
    /// Give an event a new version.
    Edit(ChannelId, Edit<'a>),
    /// React to an event, or take that back.
    React(ChannelId, React<'a>),
    /// Delete an event.
    Delete {
        /// Whose.
        channel: ChannelId,
        /// Which.
        seq: u64,
        /// Who deletes it; a token's author goes first.
        author_id: Option<Cow<'a, str>>,
    },
    /// Filter events, in the view.
    Query(Found<Filter>),
    /// Search events by their text, in the view.
    Search(Found<Seek>),
    /// Sign a token for a channel.
    Token(ChannelId, Token),
    /// Give a channel a new secret, which ends all its tokens.
    Secret(ChannelId),
    /// Say where a channel's WebSocket is.
    Realtime(ChannelId),
    /// List who is in a channel.
    Presence(ChannelId, Presences),
    /// Follow a channel by server-sent events.
    Subscribe {
        /// Which.
        channel: ChannelId,
        /// Events after this one.
        after_seq: u64,
    },
    /// Wait for events of a channel, once.
    Poll {
        /// Which.
        channel: ChannelId,
        /// Events after this one.
        after_seq: u64,
        /// At most so many.
        limit: u32,
    },
    /// Something about a channel's messages.
    Messages(ChannelId, MessageAsk<'a>),
    /// Count what a user has not read.
    Reads(ReadsAsk<'a>),
}

/// A channel to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Who shall own it; the key's namespace if it is not said.
    pub namespace: Option<Box<str>>,
    /// What people call it.
    pub name: Box<str>,
    /// How much it keeps.
    pub retention: Retention,
    /// What happens to readers that do not keep up.
    pub slow: SlowPolicy,
}

/// Settings of a channel to change; what is not there stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// How much it keeps, as a whole.
    pub retention: Option<Retention>,
    /// What happens to readers that do not keep up.
    pub slow: Option<SlowPolicy>,
}

/// Which channels to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Whose; the key's namespace if it is not said.
    pub namespace: Option<Box<str>>,
    /// Channels of one page.
    pub limit: u32,
    /// Where the page before ended.
    pub page: Option<Box<str>>,
}

/// Events of one author to append, in this order and all or none.
#[derive(Debug, PartialEq, Eq)]
pub struct Append<'a> {
    /// Who says them; a token's author goes first. There is one or the other.
    pub author_id: Option<Cow<'a, str>>,
    /// What they say; at least one.
    pub messages: Vec<Said<'a>>,
    /// Whether they came as a list, and the answer is one.
    pub batch: bool,
    /// A repeat with the same key is answered with the first outcome.
    pub key: Option<&'a str>,
}

/// What one message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    /// Its text, which is empty only beside data.
    pub content: Cow<'a, str>,
    /// The message that it answers.
    pub reply_to: Option<u64>,
    /// What else it carries: a JSON object within the bounds.
    pub data: Option<&'a str>,
}

impl Said<'_> {
    /// Bytes of all that it says.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content.len() + self.data.map_or(0, str::len)
    }
}

/// Which events to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Only events after this sequence number.
    pub after_seq: Option<u64>,
    /// Only events before this sequence number.
    pub before_seq: Option<u64>,
    /// At most so many.
    pub limit: u32,
    /// Newest first; oldest first otherwise.
    pub newest_first: bool,
}

/// A new version of an event.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    /// Which event.
    pub seq: u64,
    /// Who edits it; a token's author goes first.
    pub author_id: Option<Cow<'a, str>>,
    /// What it says from now on.
    pub content: Cow<'a, str>,
}

/// A reaction to an event.
#[derive(Debug, PartialEq, Eq)]
pub struct React<'a> {
    /// Which event.
    pub seq: u64,
    /// Who reacts; a token's author goes first.
    pub author_id: Option<Cow<'a, str>>,
    /// How.
    pub reaction: Box<str>,
    /// Whether it is taken back.
    pub removed: bool,
}

/// A question to the view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// Where to look.
    pub place: Place,
    /// What for.
    pub what: T,
    /// The event that the view must have reached.
    pub wait_for: Option<WaitFor>,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In one channel.
    Channel(ChannelId),
    /// In the channels of a namespace; the key's if it is not said.
    Namespace(Option<Box<str>>),
}

impl Place {
    /// Returns where to look for a caller that was granted `namespace`.
    #[must_use]
    pub fn scope(&self, namespace: &str) -> Scope {
        match self {
            Self::Channel(channel) => Scope::Channel(*channel),
            Self::Namespace(_) => Scope::Namespace(namespace.into()),
        }
    }
}

/// An event that the view must have reached before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitFor {
    /// Its channel.
    pub channel: ChannelId,
    /// Its sequence number.
    pub seq: u64,
}

/// Which events are looked for; all that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
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
    /// Where the page before ended.
    pub page: Option<Box<str>>,
}

impl Filter {
    /// Returns the question to the view.
    #[must_use]
    pub fn into_query(self, scope: Scope, with_deleted: bool) -> EventQuery {
        EventQuery {
            after_seq: self.after_seq,
            before_seq: self.before_seq,
            author_id: self.author_id,
            content_contains: self.content_contains,
            after_date: self.after_date,
            before_date: self.before_date,
            newest_first: self.newest_first,
            page: self.page,
            with_deleted,
            ..EventQuery::new(scope, self.limit)
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seek {
    /// The text.
    pub text: Box<str>,
    /// How it is looked for.
    pub mode: SearchMode,
    /// Hits of one page.
    pub limit: u32,
    /// Where the page before ended.
    pub page: Option<Box<str>>,
}

impl Seek {
    /// Returns the question to the view.
    #[must_use]
    pub fn into_search(self, scope: Scope) -> Search {
        Search {
            scope,
            text: self.text,
            mode: self.mode,
            limit: self.limit,
            page: self.page,
        }
    }
}

impl List {
    /// Returns the question to the view, for a caller that was granted `namespace`.
    #[must_use]
    pub fn into_query(self, namespace: &str) -> ChannelQuery {
        ChannelQuery {
            owner: namespace.into(),
            with_deleted: false,
            limit: self.limit,
            page: self.page,
        }
    }
}

/// A token to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The namespace that must own the channel.
    pub namespace: Option<Box<str>>,
    /// What the token allows.
    pub rights: Rights,
    /// In whose name its bearer speaks: 1 to 32 bytes.
    pub author: Box<str>,
    /// Seconds that it lives at least.
    pub expires_in_seconds: u64,
}

/// Which members to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presences {
    /// At most so many.
    pub limit: u32,
    /// Only members after this one.
    pub after: Option<Box<str>>,
}

impl Ask<'_> {
    /// Returns the channel that is asked for.
    #[must_use]
    pub const fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Describe(channel)
            | Self::Change(channel, _)
            | Self::Append(channel, _)
            | Self::Read(channel, _)
            | Self::Edit(channel, _)
            | Self::React(channel, _)
            | Self::Token(channel, _)
            | Self::Secret(channel)
            | Self::Realtime(channel)
            | Self::Presence(channel, _)
            | Self::Messages(channel, _)
            | Self::Remove { channel, .. }
            | Self::Event { channel, .. }
            | Self::Delete { channel, .. }
            | Self::Subscribe { channel, .. }
            | Self::Poll { channel, .. } => Some(*channel),
            Self::Query(Found { place, .. }) => place.channel(),
            Self::Search(Found { place, .. }) => place.channel(),
            Self::Preflight
            | Self::Ping
            | Self::OpenApi
            | Self::Limits
            | Self::Create(_)
            | Self::List(_)
            | Self::Reads(_) => None,
        }
    }

    /// Returns the user in whose name the request is to be judged.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        if let Self::Messages(_, ask) = self {
            ask.user.as_deref()
        } else if let Self::Reads(ask) = self {
            ask.user.as_deref()
        } else {
            None
        }
    }

    /// Returns whether an app server may say for itself in whose name it asks, as it may say who is
    /// the author of events: not for what is a user's own.
    #[must_use]
    pub fn names_its_author(&self) -> bool {
        matches!(self, Self::Messages(_, ask) if !matches!(ask.order, Order::Read { .. }))
    }

    /// Returns the bytes of content that it brings.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        if let Self::Messages(_, ask) = self {
            ask.order.bytes()
        } else if let Self::Append(_, append) = self {
            append.messages.iter().map(Said::bytes).sum()
        } else if let Self::Edit(_, edit) = self {
            edit.content.len()
        } else if let Self::React(_, react) = self {
            react.reaction.len()
        } else {
            0
        }
    }

    /// Returns the namespace that the request names.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Create(Create { namespace, .. })
            | Self::List(List { namespace, .. })
            | Self::Token(_, Token { namespace, .. })
            | Self::Remove { namespace, .. } => namespace.as_deref(),
            Self::Query(Found { place, .. }) => place.namespace(),
            Self::Search(Found { place, .. }) => place.namespace(),
            Self::Preflight
            | Self::Ping
            | Self::OpenApi
            | Self::Limits
            | Self::Describe(_)
            | Self::Change(..)
            | Self::Append(..)
            | Self::Read(..)
            | Self::Event { .. }
            | Self::Edit(..)
            | Self::React(..)
            | Self::Delete { .. }
            | Self::Secret(_)
            | Self::Realtime(_)
            | Self::Presence(..)
            | Self::Subscribe { .. }
            | Self::Poll { .. }
            | Self::Messages(..)
            | Self::Reads(_) => None,
        }
    }
}

impl Place {
    const fn channel(&self) -> Option<ChannelId> {
        match self {
            Self::Channel(channel) => Some(*channel),
            Self::Namespace(_) => None,
        }
    }

    fn namespace(&self) -> Option<&str> {
        match self {
            Self::Channel(_) => None,
            Self::Namespace(namespace) => namespace.as_deref(),
        }
    }
}

/// Reads a request whose path this surface [owns](super::owns).
///
/// `path` and `query` are as sent; `fields` are the header fields in any case; `body` is the whole
/// body.
///
/// # Errors
/// A [`Reject`] for [`write_reject`](super::write_reject).
pub fn read_request<'a>(
    method: Method,
    path: &'a str,
    query: Option<&'a str>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &'a [u8],
    bounds: &Bounds,
) -> Result<Asked<'a>, Reject> {
    let (form, _) = route::form(path);
    let read = || {
        let mut fields = Fields::read(fields)?;
        if method == Method::Options {
            return Ok((fields.credentials, Ask::Preflight));
        }
        let matched = matched(method, path)?;
        let query = query.unwrap_or_default();
        let operation = matched.endpoint.operation;
        let ask = if let Operation::Message(operation) = operation {
            messages::read(operation, &matched, query, body, &fields, bounds)?
        } else if operation == Operation::Reads {
            messages::read_reads(&matched, query, &fields, bounds)?
        } else if matched.endpoint.method == Method::Get {
            query::read(form, &matched, query, &mut fields, bounds)?
        } else {
            body::read(form, &matched, query, body, &fields, bounds)?
        };
        Ok((fields.credentials, ask))
    };
    let (credentials, ask) = read().map_err(|fault: Fault| fault.in_form(form))?;
    Ok(Asked {
        form,
        credentials,
        ask,
    })
}

fn matched(method: Method, path: &str) -> Result<Matched<'_>, Fault> {
    let is_head = method == Method::Head;
    let wanted = if is_head { Method::Get } else { method };
    let matched = route::find(path, wanted).map_err(|miss| match miss {
        Miss::Path => Fault::new(Code::UnknownRoute, "no route has this path"),
        Miss::Method => not_allowed(),
    })?;
    // An answer without an end has no head of its own.
    let endless = matches!(
        matched.endpoint.operation,
        Operation::Subscribe | Operation::Poll
    );
    if is_head && endless {
        return Err(not_allowed());
    }
    Ok(matched)
}

fn not_allowed() -> Fault {
    Fault::new(Code::MethodNotAllowed, "the path does not take this method")
}

/// The fields that this surface reads, found in one pass.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub credentials: Credentials<'a>,
    last_event_id: Option<&'a str>,
    pub idempotency_key: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Fault> {
        let mut found = Self::default();
        for (name, value) in fields {
            let slot = match name.len() {
                13 if name.eq_ignore_ascii_case("last-event-id") => &mut found.last_event_id,
                15 if name.eq_ignore_ascii_case("idempotency-key") => &mut found.idempotency_key,
                _ => {
                    found.credentials.field(name, value);
                    continue;
                }
            };
            let text = std::str::from_utf8(value)
                .map_err(|_| Fault::invalid(format!("{name} is not UTF-8")))?
                .trim();
            *slot = (!text.is_empty()).then_some(text);
        }
        Ok(found)
    }
}

/// Reads the path's channel.
pub(super) fn channel(text: &str) -> Result<ChannelId, Fault> {
    let id = text.parse::<ChannelId>();
    id.map_err(|why| Fault::invalid(why.to_string()))
}

/// Reads a sequence number of an event, which is never 0.
pub(super) fn event_seq(name: &str, seq: u64) -> Result<u64, Fault> {
    if seq == 0 {
        return Err(Fault::invalid(format!("{name} is 0; events count from 1")));
    }
    Ok(seq)
}

/// Refuses a text that is too short or too long.
pub(super) fn chars<T: AsRef<str>>(name: &str, text: T, max: usize) -> Result<T, Fault> {
    let len = text.as_ref().len();
    if len == 0 {
        return Err(Fault::invalid(format!("{name} is empty")));
    }
    if len > max && text.as_ref().chars().count() > max {
        return Err(Fault::invalid(format!(
            "{name} is longer than {max} characters"
        )));
    }
    Ok(text)
}

/// Refuses a name that would not be one in settings, listings and logs.
fn namespace<T: AsRef<str>>(text: T, bounds: &Bounds) -> Result<T, Fault> {
    let text = chars("namespace", text, bounds.namespace_chars_max)?;
    if text.as_ref() == "*" || text.as_ref().chars().any(char::is_control) {
        return Err(Fault::invalid("namespace is `*` or has control characters"));
    }
    Ok(text)
}

fn limit(given: Option<u64>, default: u32, max: u32) -> Result<u32, Fault> {
    let Some(given) = given else {
        return Ok(default.min(max));
    };
    u32::try_from(given)
        .ok()
        .filter(|limit| (1..=max).contains(limit))
        .ok_or_else(|| Fault::invalid(format!("limit is not 1 to {max}")))
}

pub(super) fn page<'a>(
    given: Option<Cow<'a, str>>,
    bounds: &Bounds,
) -> Result<Option<Box<str>>, Fault> {
    match given {
        Some(page) if page.len() > bounds.page_bytes_max => Err(Fault::invalid(format!(
            "page is longer than {} bytes",
            bounds.page_bytes_max
        ))),
        Some(page) => Ok(Some(page.into())),
        None => Ok(None),
    }
}

/// Percent-decodes a segment of the path.
pub(super) fn segment(name: &str, raw: &str) -> Result<Box<str>, Fault> {
    let bytes = decode(raw).ok_or_else(|| Fault::invalid(format!("{name} is not in the path")))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Fault::invalid(format!("{name} is not UTF-8")))?;
    Ok(text.into())
}
