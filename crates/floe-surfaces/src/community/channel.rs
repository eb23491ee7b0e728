//! WebSockets of channels: `/ws/channel/<id>`.

use std::borrow::Cow;

use floe_proto::{ChannelId, Event, EventKind, Millis};

use super::common::{Carrier, Incoming, Refusal};
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

/// A message as it is by now, for somebody who comes.
#[derive(Debug, Clone, Copy)]
pub struct Recent<'a> {
    /// The message with its newest text.
    pub event: &'a Event<'a>,
    /// When it was given that.
    pub edited_at: Option<Millis>,
    /// Reactions, how many users gave each, and whether the reader is one of them.
    pub reactions: &'a [(Box<str>, u32, bool)],
    /// How many messages answer it.
    pub replies: u64,
    /// Whether it is pinned.
    pub pinned: bool,
}

/// The newest messages of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a> {
    /// The messages, oldest first.
    pub messages: &'a [Recent<'a>],
    /// The last event of the log that is in them; frames go on from there.
    pub sequence: u64,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Writes `messages`: what a channel shows to somebody who comes.
pub fn write_messages(out: &mut Vec<u8>, channel: ChannelId, page: &Messages<'_>) {
    Object::typed(out, "messages", |object| {
        object.list("messages", page.messages.iter(), |out, recent| {
            write_recent(out, channel, recent);
        });
        object.number("sequence", page.sequence);
        object.boolean("hasMore", page.has_more);
    });
}

fn write_recent(out: &mut Vec<u8>, channel: ChannelId, recent: &Recent<'_>) {
    Object::write(out, |object| {
        write_said(object, channel, recent.event);
        if let Some(at) = recent.edited_at {
            object.text("editedAt", &at.rfc3339());
        }
        if !recent.reactions.is_empty() {
            object.list("reactions", recent.reactions.iter(), |out, one| {
                let (emoji, count, by_me) = one;
                Object::write(out, |object| {
                    object.text("emoji", emoji);
                    object.number("count", u64::from(*count));
                    object.boolean("byMe", *by_me);
                });
            });
        }
        if recent.replies > 0 {
            object.number("replyCount", recent.replies);
        }
        if recent.pinned {
            object.boolean("pinned", true);
        }
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

/// How often a message was reacted to.
#[derive(Debug, Clone, Copy)]
pub struct Reactions<'a> {
    /// Which message.
    pub sequence: u64,
    /// Reactions, and how many users gave each.
    pub counts: &'a [(Box<str>, u32)],
    /// Those that the reader gave.
    pub by_me: &'a [Box<str>],
    /// The last event of the log that is counted.
    pub at: u64,
}

/// Writes `reactions`: how often a message was reacted to by now.
pub fn write_reactions(out: &mut Vec<u8>, reactions: &Reactions<'_>) {
    Object::typed(out, "reactions", |object| {
        object.number("sequence", reactions.sequence);
        object.written("counts", |out| {
            Object::write(out, |object| {
                for (emoji, count) in reactions.counts {
                    object.named_number(emoji, u64::from(*count));
                }
            });
        });
        object.list("byMe", reactions.by_me.iter(), |out, emoji| {
            json(out, &**emoji)
        });
        object.number("at", reactions.at);
    });
}
