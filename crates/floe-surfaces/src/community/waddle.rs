//! WebSockets of waddles: `/ws/waddle/<id>`.

use floe_core::live::{Shown, Status};
use floe_proto::ChannelId;
use floe_proto::community::{BAN_TYPE, CHANNEL_TYPE, MEMBER_TYPE, Message, WADDLE_TYPE};

use super::common::{Carrier, Incoming, Refusal};
use crate::tables::fields::{Fields, invalid, need};
use crate::tables::object::{Object, json};

/// What a frame asks of a waddle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Whether anyone listens.
    Ping,
    /// To be seen otherwise.
    Presence(Status),
    /// That the user is writing something in a channel, or is not any more.
    Typing {
        /// In which.
        channel: ChannelId,
        /// Whether.
        typing: bool,
    },
    /// To tell everyone something.
    Broadcast {
        /// What: JSON.
        data: &'a str,
    },
}

/// Reads what a frame asks of a waddle.
///
/// # Errors
/// What to answer instead.
pub fn read_action<'a>(incoming: &Incoming<'a>) -> Result<Action<'a>, Refusal<'a>> {
    let fields = &incoming.fields;
    let action = match &*incoming.kind {
        "ping" => Ok(Action::Ping),
        "presence_update" => status(fields).map(Action::Presence),
        "typing" => typing(fields),
        "broadcast" => need(fields.json("data"), "data").map(|data| Action::Broadcast { data }),
        _ => return Err(incoming.unknown()),
    };
    action.map_err(|error| incoming.refuse(error))
}

fn status(fields: &Fields<'_>) -> Result<Status, floe_proto::table::TableError> {
    let word = need(fields.text("status", usize::MAX)?, "status")?;
    let known = "`status` is online, idle, dnd, away or offline";
    Status::of_word(&word).ok_or_else(|| invalid(known))
}

fn typing<'a>(fields: &Fields<'_>) -> Result<Action<'a>, floe_proto::table::TableError> {
    let channel = need(fields.text("channelId", usize::MAX)?, "channelId")?;
    let channel = channel.parse();
    Ok(Action::Typing {
        channel: channel.map_err(|_| invalid("`channelId` is 12 hexadecimal digits"))?,
        typing: fields.boolean("isTyping")?.unwrap_or(true),
    })
}

fn write_shown(object: &mut Object<'_>, shown: &Shown<'_>) {
    object.text("status", shown.status.as_str());
    if let Some(seen) = shown.last_seen {
        object.text("lastSeen", &seen.rfc3339());
    }
}

/// Writes users with their statuses, each as `[userId,{status,lastSeen}]`.
pub(super) fn write_users(object: &mut Object<'_>, users: &[Shown<'_>]) {
    object.list("users", users.iter(), |out, shown| {
        out.push(b'[');
        json(out, shown.user);
        out.push(b',');
        Object::write(out, |object| write_shown(object, shown));
        out.push(b']');
    });
}

/// Writes `presence_state`: how all are who are there.
pub fn write_presence_state(out: &mut Vec<u8>, users: &[Shown<'_>]) {
    Object::typed(out, "presence_state", |object| {
        write_users(object, users);
        object.number("count", users.len() as u64);
    });
}

/// Writes `presence_count`: how many are there, where they are too many to name.
pub fn write_presence_count(out: &mut Vec<u8>, count: u64) {
    Object::typed(out, "presence_count", |object| {
        object.number("count", count)
    });
}

/// Writes `presence_update`: how somebody is by now.
pub fn write_presence_update(out: &mut Vec<u8>, shown: &Shown<'_>) {
    Object::typed(out, "presence_update", |object| {
        object.text("userId", shown.user);
        write_shown(object, shown);
    });
}

/// Writes a `broadcast`; its data is JSON.
pub fn write_broadcast(out: &mut Vec<u8>, data: &str, user: Option<&str>, at: &str) {
    // Line breaks are white space in JSON, and the end of a line of an event stream.
    let data: Vec<u8> = data
        .bytes()
        .map(|byte| {
            if matches!(byte, b'\n' | b'\r') {
                b' '
            } else {
                byte
            }
        })
        .collect();
    Object::typed(out, "broadcast", |object| {
        object.json("data", &data);
        if let Some(user) = user {
            object.text("userId", user);
        }
        object.text("at", at);
    });
}

/// Writes `broadcasts_missed`: how many there were that the client was too slow for.
pub fn write_broadcasts_missed(out: &mut Vec<u8>, count: u64) {
    Object::typed(out, "broadcasts_missed", |object| {
        object.number("count", count)
    });
}

/// Appends a frame for each change of a waddle, given as the messages stand in its log, each followed
/// by a comma; `first` is the place of the first. Bans are for those who may see them.
///
/// Returns whether all of it could be read.
pub fn write_changes(
    out: &mut Vec<u8>,
    carrier: Carrier,
    first: u64,
    messages: &[u8],
    shows_bans: bool,
) -> bool {
    let mut list = Vec::with_capacity(messages.len() + 2);
    list.push(b'[');
    list.extend_from_slice(messages.strip_suffix(b",").unwrap_or(messages));
    list.push(b']');
    let Ok(messages) = serde_json::from_slice::<Vec<Message<'_>>>(&list) else {
        return false;
    };
    for (sequence, message) in (first..).zip(&messages) {
        if shows_bans || message.kind != BAN_TYPE {
            carrier.message(out, Some(sequence), |out| {
                write_change(out, message, sequence);
            });
        }
    }
    true
}

fn write_change(out: &mut Vec<u8>, message: &Message<'_>, sequence: u64) {
    let is_there = message.value.is_some();
    let (kind, name) = match (&*message.kind, is_there) {
        (MEMBER_TYPE, true) => ("member_update", "userId"),
        (MEMBER_TYPE, false) => ("member_left", "userId"),
        (BAN_TYPE, true) => ("ban", "userId"),
        (BAN_TYPE, false) => ("unban", "userId"),
        (CHANNEL_TYPE, true) => ("channel_update", "channelId"),
        (CHANNEL_TYPE, false) => ("channel_removed", "channelId"),
        (WADDLE_TYPE, _) => ("waddle_update", "waddleId"),
        // Newer servers may log more than this one knows.
        _ => ("update", "key"),
    };
    Object::typed(out, kind, |object| {
        object.text(name, &message.key);
        if let Some(value) = message.value {
            // The value's own members, without its braces.
            let members = value.get().trim();
            let members = members
                .strip_prefix('{')
                .and_then(|rest| rest.strip_suffix('}'));
            object.those(members.unwrap_or_default().as_bytes());
        }
        let headers = &message.headers;
        if let Some(cause) = &headers.cause {
            object.text("cause", cause);
        }
        if let Some(user) = &headers.user {
            object.text("actor", user);
        }
        // A ban says its reason itself.
        if let Some(reason) = headers.reason.as_ref().filter(|_| message.kind != BAN_TYPE) {
            object.text("reason", reason);
        }
        object.number("sequence", sequence);
        object.text("at", &headers.timestamp.rfc3339());
    });
}
