//! What is asked of messages.

use std::borrow::Cow;

use floe_proto::{Among, ChannelId, EventQuery, Scope, UnreadQuery};
use serde_json::value::RawValue;

use super::super::bounds::Bounds;
use super::super::members::Members;
use super::super::params::{Params, whole};
use super::super::reject::Fault;
use super::super::request::{
    Ask, Fields, Said, WaitFor, bounded, channel, chars, content, event_seq, limit_of, page, said,
    segment, wait_for,
};
use super::super::route::Matched;

/// What a route of messages is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageOperation {
    /// Say something.
    Say,
    /// List messages.
    List,
    /// Give a message another content.
    Edit,
    /// Delete a message.
    Delete,
    /// React to a message.
    React,
    /// Take a reaction back.
    Unreact,
    /// Pin a message.
    Pin,
    /// Take a pin away.
    Unpin,
    /// List what answers a message.
    Thread,
    /// List the versions of a message.
    Versions,
    /// List what is pinned.
    Pins,
    /// Say how far one has read.
    Read,
}

/// What is asked of the messages of one channel.
#[derive(Debug, PartialEq, Eq)]
pub struct MessageAsk<'a> {
    /// The user in whose name it is asked; who the caller is known to be otherwise.
    pub user: Option<Cow<'a, str>>,
    /// What is wanted.
    pub order: Order<'a>,
}

/// What is to be done with messages.
#[derive(Debug, PartialEq, Eq)]
pub enum Order<'a> {
    /// Say something; the same nonce is the same message.
    Say {
        /// What.
        said: Said<'a>,
        /// What tells a repeat from another message that says the same.
        nonce: Option<Cow<'a, str>>,
    },
    /// Give a message another content.
    Edit {
        /// Which.
        seq: u64,
        /// What it says from now on.
        content: Cow<'a, str>,
    },
    /// Delete a message.
    Delete {
        /// Which.
        seq: u64,
    },
    /// React to a message, or take that back.
    React {
        /// Which.
        seq: u64,
        /// How.
        emoji: Box<str>,
        /// Whether it is taken back.
        removed: bool,
    },
    /// Pin a message, or take that back.
    Pin {
        /// Which.
        seq: u64,
        /// Whether it is taken back.
        removed: bool,
    },
    /// Note how far the user has read.
    Read {
        /// The newest message that they have read.
        seq: u64,
    },
    /// List messages.
    List(ListMessages),
    /// List the versions of a message.
    Versions {
        /// Which.
        seq: u64,
        /// The event that the view must have reached.
        wait_for: Option<WaitFor>,
    },
}

impl Order<'_> {
    /// Returns the bytes of content that it brings.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Say { said, .. } => said.bytes(),
            Self::Edit { content, .. } => content.len(),
            Self::React { emoji, .. } => emoji.len(),
            Self::Delete { .. }
            | Self::Pin { .. }
            | Self::Read { .. }
            | Self::List(_)
            | Self::Versions { .. } => 0,
        }
    }
}

/// Which messages to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListMessages {
    /// Among which.
    pub among: Among,
    /// Only those after this one.
    pub after: Option<u64>,
    /// Only those before this one.
    pub before: Option<u64>,
    /// Newest first; oldest first otherwise.
    pub newest_first: bool,
    /// Messages of one page.
    pub limit: u32,
    /// Where the page before ended.
    pub page: Option<Box<str>>,
    /// Whether deleted ones are listed, marked as such, for who may see them.
    pub with_deleted: bool,
    /// The event that the view must have reached.
    pub wait_for: Option<WaitFor>,
}

impl ListMessages {
    /// Returns the question to the view.
    #[must_use]
    pub fn into_query(
        self,
        channel: ChannelId,
        viewer: Option<Box<str>>,
        may_see_deleted: bool,
    ) -> EventQuery {
        EventQuery {
            after_seq: self.after,
            before_seq: self.before,
            newest_first: self.newest_first,
            page: self.page,
            with_deleted: self.with_deleted && may_see_deleted,
            among: self.among,
            viewer,
            ..EventQuery::new(Scope::Channel(channel), self.limit)
        }
    }
}

/// A question for how much of some channels a user has not read.
#[derive(Debug, PartialEq, Eq)]
pub struct ReadsAsk<'a> {
    /// The user; who the caller is known to be otherwise.
    pub user: Option<Cow<'a, str>>,
    /// The channels; all that the user has marked otherwise.
    pub channels: Option<Vec<ChannelId>>,
}

/// Reads a request about messages.
pub(in crate::channels) fn read<'a>(
    operation: MessageOperation,
    matched: &Matched<'a>,
    query: &'a str,
    body: &'a [u8],
    fields: &Fields<'a>,
    bounds: &Bounds,
) -> Result<Ask<'a>, Fault> {
    let [id, seq, emoji] = matched.captures;
    let channel = channel(id)?;
    let mut params = Params::read(query, matched.endpoint.params, false)?;
    let seq = || event_seq("sequence", whole("sequence", seq)?);
    let in_body = matches!(
        operation,
        MessageOperation::Say | MessageOperation::Edit | MessageOperation::Read
    );
    let mut members = if in_body {
        Members::read(body)?
    } else {
        Members::default()
    };
    let user = if in_body {
        members.text("userId")?
    } else {
        params.text("userId")
    };
    let order = match operation {
        MessageOperation::Say => Order::Say {
            said: said(&mut members, bounds)?,
            nonce: nonce(&mut members, fields, bounds)?,
        },
        MessageOperation::Edit => Order::Edit {
            seq: seq()?,
            content: content(&mut members, bounds)?,
        },
        MessageOperation::Read => {
            let read = members.whole("sequence")?;
            let read = read.ok_or_else(|| Fault::missing("sequence"))?;
            Order::Read {
                seq: event_seq("sequence", read)?,
            }
        }
        MessageOperation::Delete => Order::Delete { seq: seq()? },
        MessageOperation::React | MessageOperation::Unreact => {
            let emoji = segment("emoji", emoji)?;
            Order::React {
                seq: seq()?,
                emoji: chars("emoji", emoji, bounds.reaction_chars_max)?,
                removed: operation == MessageOperation::Unreact,
            }
        }
        MessageOperation::Pin | MessageOperation::Unpin => Order::Pin {
            seq: seq()?,
            removed: operation == MessageOperation::Unpin,
        },
        MessageOperation::List => Order::List(list(Among::All, channel, &mut params, bounds)?),
        MessageOperation::Thread => Order::List(list(
            Among::RepliesTo(seq()?),
            channel,
            &mut params,
            bounds,
        )?),
        MessageOperation::Pins => Order::List(list(Among::Pinned, channel, &mut params, bounds)?),
        MessageOperation::Versions => Order::Versions {
            seq: seq()?,
            wait_for: wait_for(&mut params, Some(channel))?,
        },
    };
    members.end()?;
    let ask = MessageAsk {
        user: user_of(user, fields, bounds)?,
        order,
    };
    Ok(Ask::Messages(channel, ask))
}

/// Reads a question for what is not read.
pub(in crate::channels) fn read_reads<'a>(
    matched: &Matched<'a>,
    query: &'a str,
    fields: &Fields<'a>,
    bounds: &Bounds,
) -> Result<Ask<'a>, Fault> {
    let mut params = Params::read(query, matched.endpoint.params, false)?;
    let user = user_of(params.text("userId"), fields, bounds)?;
    let channels = params.text("channels").map(|channels| {
        let mut ids = channels
            .split(',')
            .map(channel)
            .collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        let max = UnreadQuery::CHANNELS_MAX;
        if ids.len() > max {
            return Err(Fault::invalid(format!("channels names more than {max}")));
        }
        Ok(ids)
    });
    Ok(Ask::Reads(ReadsAsk {
        user,
        channels: channels.transpose()?,
    }))
}

/// A channel's token says who its bearer is, so that what the request says is not read.
fn user_of<'a>(
    given: Option<Cow<'a, str>>,
    fields: &Fields<'a>,
    bounds: &Bounds,
) -> Result<Option<Cow<'a, str>>, Fault> {
    match given {
        Some(user) if fields.credentials.token().is_none() => {
            chars("userId", user, bounds.author_chars_max).map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

/// A nonce is what an idempotency key is elsewhere; it may be a number, too.
fn nonce<'a>(
    members: &mut Members<'a>,
    fields: &Fields<'a>,
    bounds: &Bounds,
) -> Result<Option<Cow<'a, str>>, Fault> {
    let nonce = match members.value("nonce").map(RawValue::get) {
        None => fields.idempotency_key.map(Cow::Borrowed),
        Some(text) if text.starts_with('"') => {
            let text = serde_json::from_str::<String>(text);
            let text = text.map_err(|_| Fault::invalid("nonce is not text"))?;
            Some(Cow::Owned(text))
        }
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Cow::Borrowed(number))
        }
        Some(_) => return Err(Fault::invalid("nonce is neither text nor a whole number")),
    };
    let max = bounds.idempotency_key_bytes_max;
    if nonce
        .as_ref()
        .is_some_and(|nonce| nonce.is_empty() || nonce.len() > max)
    {
        return Err(Fault::invalid(format!(
            "nonce is not 1 to {max} bytes long"
        )));
    }
    Ok(nonce)
}

/// Newest first, unless the question goes on after a message.
fn list(
    among: Among,
    channel: ChannelId,
    params: &mut Params<'_>,
    bounds: &Bounds,
) -> Result<ListMessages, Fault> {
    let after = params.whole("after")?;
    let goes_on = after.is_some() || matches!(among, Among::RepliesTo(_));
    let newest_first = match params.text("order").as_deref() {
        None => !goes_on,
        Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(Fault::invalid("order is neither asc nor desc")),
    };
    let with_deleted = match bounded(params, "deleted", 5)?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Fault::invalid("deleted is neither true nor false")),
    };
    Ok(ListMessages {
        among,
        after,
        before: params.whole("before")?,
        newest_first,
        limit: limit_of(params, bounds)?,
        page: page(params.text("page"), bounds)?,
        with_deleted,
        wait_for: wait_for(params, Some(channel))?,
    })
}
