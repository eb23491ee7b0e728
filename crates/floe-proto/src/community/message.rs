//! Changes of a waddle as messages of the Durable Streams State Protocol.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Millis;
use crate::table::Operation;

use super::{Cause, Change};

/// The `type` of the message that says what the waddle is; its key is the waddle's id.
pub const WADDLE_TYPE: &str = "waddle";
/// The `type` of messages about members; their key is the user.
pub const MEMBER_TYPE: &str = "member";
/// The `type` of messages about bans; their key is the user.
pub const BAN_TYPE: &str = "ban";
/// The `type` of messages about rooms; their key is the room's identity.
pub const CHANNEL_TYPE: &str = "channel";

/// One change message of the State Protocol (1.0, section 4.1), as it stands in a waddle's log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message<'a> {
    /// What it is about: [`WADDLE_TYPE`], [`MEMBER_TYPE`], [`BAN_TYPE`] or [`CHANNEL_TYPE`].
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Who or which.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// How it is now; none where it is gone.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a RawValue>,
    /// What happened, when, and by whom.
    #[serde(borrow)]
    pub headers: Headers<'a>,
}

/// The headers of a [`Message`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Headers<'a> {
    /// What happened.
    pub operation: Operation,
    /// The sequence number of the first message of the act.
    #[serde(borrow)]
    pub txid: Cow<'a, str>,
    /// When the server took it.
    #[serde(with = "crate::time::rfc3339")]
    pub timestamp: Millis,
    /// Who did it, where that is known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
    /// How a change of a member came ([`Cause`]).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cow<'a, str>>,
    /// Why, in the words of who did it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// Who did an act, when and why, as its messages say it.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Which waddle.
    pub waddle: &'a str,
    /// The sequence number of the first message.
    pub first_seq: u64,
    /// When.
    pub now: Millis,
    /// Who.
    pub user: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
}

/// Appends the messages of an act, each followed by a comma, and the length of each to `lens`.
///
/// `is_new` says of each change whether what it is about was not there before.
pub fn write_messages(
    changes: &[(Change, bool)],
    signed: &Signed<'_>,
    out: &mut Vec<u8>,
    lens: &mut Vec<u32>,
) {
    let txid = signed.first_seq.to_string();
    for (change, is_new) in changes {
        let start = out.len();
        let (kind, key, value, cause) = parts(change, signed.waddle);
        let operation = match (&value, is_new) {
            (None, _) => Operation::Delete,
            (Some(_), true) => Operation::Insert,
            (Some(_), false) => Operation::Update,
        };
        let message = Message {
            kind: kind.into(),
            key: key.into(),
            value: value.as_deref(),
            headers: Headers {
                operation,
                txid: (&*txid).into(),
                timestamp: signed.now,
                user: signed.user.map(Into::into),
                cause: cause.map(|cause| cause.as_str().into()),
                reason: signed.reason.map(Into::into),
            },
        };
        // These always have a JSON form, and writing to a vector cannot fail.
        let _ = serde_json::to_writer(&mut *out, &message);
        out.push(b',');
        lens.push((out.len() - start) as u32);
    }
}

type Parts = (&'static str, String, Option<Box<RawValue>>, Option<Cause>);

fn parts(change: &Change, waddle: &str) -> Parts {
    match change {
        Change::About(about) => (WADDLE_TYPE, waddle.to_owned(), raw(Some(about)), None),
        Change::Member {
            user,
            member,
            cause,
        } => {
            let value = raw(member.as_ref());
            (MEMBER_TYPE, user.to_string(), value, Some(*cause))
        }
        Change::Ban { user, ban } => (BAN_TYPE, user.to_string(), raw(ban.as_ref()), None),
        Change::Room { id, room } => (CHANNEL_TYPE, id.to_string(), raw(room.as_ref()), None),
    }
}

fn raw<T: Serialize>(value: Option<&T>) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(value?).ok()
}
