//! WebSockets of channels: `/ws/channel/<id>`.

use std::borrow::Cow;

use floe_proto::{ChannelId, Event, EventKind, StoredEvent};

use super::common::{Carrier, Incoming, Refusal};
use crate::channels::messages::{reactions_json, stored_message_json};
use crate::channels::split_events;
use crate::tables::fields::{Fields, invalid, need};
use crate::tables::object::{Object, json};

/// What a frame asks of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Whether anyone listens.
    Ping,
    /// To say something; the frame's `nonce` makes saying it again the same message.
    Message {
        /// The text, which may be empty beside data.
        content: Cow<'a, str>,
        /// The message that it answers.
        reply_to: Option<u64>,
        /// What else it carries: JSON, for the host to check.
        data: Option<&'a str>,
    },
    /// To give a message another text.
    Edit {
        /// Which.
        sequence: u64,
        /// The text.
        content: Cow<'a, str>,
    },
    /// To take back something that was said.
    Delete {
        /// What.
        sequence: u64,
    },
    /// To react to a message.
    React {
        /// To which.
        sequence: u64,
        /// How.
        emoji: Cow<'a, str>,
        /// Whether that is taken back.
        removed: bool,
    },
    /// To pin a message, so that everyone finds it.
    Pin {
        /// Which.
        sequence: u64,
        /// Whether that is taken back.
        removed: bool,
    },
    /// That the user is writing something, for 3 seconds from now on, or is not any more.
    Typing(bool),
    /// That the user has read the channel as far as this.
    Read {
        /// The last event that was read.
        sequence: u64,
    },
}

/// Reads what a frame asks of a channel.
///
/// # Errors
/// What to answer instead.
pub fn read_action<'a>(incoming: &Incoming<'a>) -> Result<Action<'a>, Refusal<'a>> {
    let fields = &incoming.fields;
    let sequence = |fields: &Fields<'a>| {
        let sequence = need(fields.whole("sequence")?, "sequence")?;
        if sequence == 0 {
            return Err(invalid("`sequence` counts from 1"));
        }
        Ok(sequence)
    };
    let react = |removed| {
        let emoji = need(fields.text("emoji", usize::MAX)?, "emoji")?;
        if emoji.is_empty() {
            return Err(invalid("`emoji` is empty"));
        }
        Ok(Action::React {
            sequence: sequence(fields)?,
            emoji,
            removed,
        })
    };
    let pin = |removed| sequence(fields).map(|sequence| Action::Pin { sequence, removed });
    let action = match &*incoming.kind {
        "ping" => Ok(Action::Ping),
        "message" => message(fields),
        "message_edit" => sequence(fields).and_then(|sequence| {
            let content = content(fields)?;
            Ok(Action::Edit { sequence, content })
        }),
        "message_delete" => sequence(fields).map(|sequence| Action::Delete { sequence }),
        "reaction_add" => react(false),
        "reaction_remove" => react(true),
        "pin" => pin(false),
        "unpin" => pin(true),
        "typing" => fields
            .boolean("isTyping")
            .map(|typing| Action::Typing(typing.unwrap_or(true))),
        "read" => sequence(fields).map(|sequence| Action::Read { sequence }),
        _ => return Err(incoming.unknown()),
    };
    action.map_err(|error| incoming.refuse(error))
}

fn message<'a>(fields: &Fields<'a>) -> Result<Action<'a>, floe_proto::table::TableError> {
    let data = fields.json("data");
    let content = match (fields.text("content", usize::MAX)?, data) {
        (Some(content), _) if !content.is_empty() => content,
        (_, Some(_)) => Cow::Borrowed(""),
        (Some(_), None) => return Err(invalid("`content` is empty")),
        (None, None) => return Err(invalid("`content` is missing")),
    };
    let reply_to = fields.whole("replyTo")?;
    if reply_to == Some(0) {
        return Err(invalid("`replyTo` counts from 1"));
    }
    Ok(Action::Message {
        content,
        reply_to,
        data,
    })
}

fn content<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, floe_proto::table::TableError> {
    let content = need(fields.text("content", usize::MAX)?, "content")?;
    if content.is_empty() {
        return Err(invalid("`content` is empty"));
    }
    Ok(content)
}

/// Appends a frame for each of the events, which are as they stand in the log and follow each other
/// from `first` on; one that cannot be read is passed over.
pub fn write_events(out: &mut Vec<u8>, carrier: Carrier, channel: ChannelId, events: &[u8]) {
    for (_, event) in split_events(events) {
        if let Some(event) = Event::parse(event) {
            carrier.message(out, Some(event.seq), |out| {
                write_event(out, channel, &event)
            });
        }
    }
}

/// Writes the frame of one event.
pub fn write_event(out: &mut Vec<u8>, channel: ChannelId, event: &Event<'_>) {
    let kind = match (event.kind, event.removed) {
        (EventKind::Message, _) => "message",
        (EventKind::Edit, _) => "message_edit",
        (EventKind::Deletion, _) => "message_delete",
        (EventKind::Reaction, false) => "reaction_add",
        (EventKind::Reaction, true) => "reaction_remove",
        (EventKind::Pin, false) => "pin",
        (EventKind::Pin, true) => "unpin",
    };
    Object::typed(out, kind, |object| {
        if event.kind == EventKind::Message {
            return write_said(object, channel, event);
        }
        object.maybe_number("sequence", event.target_seq);
        object.number("eventSequence", event.seq);
        let (who, content, when) = match event.kind {
            EventKind::Edit => ("author", "content", "editedAt"),
            EventKind::Deletion => ("author", "content", "deletedAt"),
            EventKind::Message | EventKind::Reaction | EventKind::Pin => ("userId", "emoji", "at"),
        };
        if !event.author_id.is_empty() {
            object.text(who, &event.author_id);
        }
        if let Some(text) = &event.content {
            object.text(content, text);
        }
        object.text(when, &event.created_at.rfc3339());
        if event.deleted {
            object.boolean("deleted", true);
        }
    });
}

/// Writes what a message says; one that is deleted says that alone.
fn write_said(object: &mut Object<'_>, channel: ChannelId, event: &Event<'_>) {
    object.number("sequence", event.seq);
    object.text("id", &format!("{channel}-{}", event.seq));
    if !event.author_id.is_empty() {
        object.text("author", &event.author_id);
    }
    if let Some(content) = &event.content {
        object.text("content", content);
    }
    object.text("createdAt", &event.created_at.rfc3339());
    object.maybe_number("replyTo", event.reply_to);
    if let Some(data) = &event.data {
        object.json("data", data.as_bytes());
    }
    if event.deleted {
        object.boolean("deleted", true);
    }
}

/// The newest messages of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a> {
    /// The messages, oldest first.
    pub messages: &'a [&'a StoredEvent],
    /// The last event of the log that is in them; frames go on from there.
    pub sequence: u64,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Writes `messages`: what a channel shows to somebody who comes.
pub fn write_messages(out: &mut Vec<u8>, page: &Messages<'_>) {
    Object::typed(out, "messages", |object| {
        let messages = page.messages.iter();
        object.list("messages", messages, |out, stored| {
            stored_message_json(out, stored);
        });
        object.number("sequence", page.sequence);
        object.boolean("hasMore", page.has_more);
    });
}

/// Writes `reload`: what the client has missed is not kept any more, so it begins anew.
pub fn write_reload(out: &mut Vec<u8>, oldest: u64, head: u64) {
    Object::typed(out, "reload", |object| {
        object.number("oldest", oldest);
        object.number("head", head);
    });
}

/// Writes `typing`: all who are writing something.
pub fn write_typing<'a>(out: &mut Vec<u8>, users: impl Iterator<Item = &'a str>) {
    Object::typed(out, "typing", |object| object.list("users", users, json));
}

/// Writes `participants`: all who are in the channel, or how many where they are too many to name.
pub fn write_participants<'a>(
    out: &mut Vec<u8>,
    users: Option<impl Iterator<Item = &'a str>>,
    count: u64,
) {
    Object::typed(out, "participants", |object| {
        if let Some(users) = users {
            object.list("users", users, json);
        }
        object.number("count", count);
    });
}

/// Writes `participants_update`: who came and who went.
pub fn write_participants_update<'a>(
    out: &mut Vec<u8>,
    joined: impl Iterator<Item = &'a str>,
    left: impl Iterator<Item = &'a str>,
    count: u64,
) {
    Object::typed(out, "participants_update", |object| {
        object.list("joined", joined, json);
        object.list("left", left, json);
        object.number("count", count);
    });
}

/// How often a message was reacted to, besides the counts themselves.
#[derive(Debug, Clone, Copy)]
pub struct Reactions<'a> {
    /// Which message.
    pub sequence: u64,
    /// Those that the reader gave; `None` where nobody knows any more.
    pub by_me: Option<&'a [&'a str]>,
    /// The last event of the log that is counted.
    pub at: u64,
}

/// Writes `reactions`: how often a message was reacted to by now.
pub fn write_reactions<'a>(
    out: &mut Vec<u8>,
    reactions: &Reactions<'a>,
    counts: impl Iterator<Item = (&'a str, u32)>,
) {
    Object::typed(out, "reactions", |object| {
        object.number("sequence", reactions.sequence);
        let mut members = Vec::new();
        let mine = reactions.by_me.unwrap_or_default().iter().copied();
        reactions_json(&mut members, counts, mine);
        object.those(&members);
        object.number("at", reactions.at);
    });
}

/// Writes `read`: how far the user has read a channel, for the user's other connections.
pub fn write_read(out: &mut Vec<u8>, channel: ChannelId, sequence: u64) {
    Object::typed(out, "read", |object| {
        object.text("channelId", &channel.to_string());
        object.number("sequence", sequence);
    });
}
