//! Communities ("waddles"): who belongs to one, as what, and which rooms it has.
//!
//! What changes in a waddle stands in its room's log twice: as messages of the Durable Streams State
//! Protocol ([`Message`]), for whoever reads the room, and in the record's header as bytes
//! ([`Change::encode`]), from which the server folds its state.

mod change;
mod message;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Millis, Rights};

pub use change::{Cause, Change, decode_changes, encode_changes};
pub use message::{
    BAN_TYPE, CHANNEL_TYPE, Headers, MEMBER_TYPE, Message, Signed, WADDLE_TYPE, write_messages,
};

/// What the paths of waddles begin with in their namespace.
pub const WADDLES: &str = "__waddle__/";
/// What the paths of voice rooms begin with in their namespace.
pub const VOICE_ROOMS: &str = "__voice__/";

/// Identity of a waddle in its namespace: 1 to 64 letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaddleId(Box<str>);

impl WaddleId {
    /// Bytes of an identity.
    pub const BYTES_MAX: usize = 64;

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path of the waddle's room in its namespace.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{WADDLES}{self}")
    }

    /// Reads the path of a waddle's room.
    #[must_use]
    pub fn of_path(path: &[u8]) -> Option<Self> {
        let id = path.strip_prefix(WADDLES.as_bytes())?;
        std::str::from_utf8(id).ok()?.parse().ok()
    }
}

impl fmt::Display for WaddleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WaddleId {
    type Err = ParseWaddleIdError;

    fn from_str(text: &str) -> Result<Self, ParseWaddleIdError> {
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if fits && text.bytes().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            Err(ParseWaddleIdError)
        }
    }
}

/// The text is no identity of a waddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseWaddleIdError;

impl fmt::Display for ParseWaddleIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = WaddleId::BYTES_MAX;
        write!(
            f,
            "a waddle's id has 1 to {max} letters, digits, `-` and `_`"
        )
    }
}

impl std::error::Error for ParseWaddleIdError {}

/// What a member is in a waddle, the least first.
///
/// The numbers are kept on disk and the words are on the wire, so none is ever given another meaning.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Role {
    /// Reads, writes, is seen.
    #[default]
    Member = 1,
    /// Also deletes and pins what anyone said, and kicks, bans and times out members.
    Moderator = 2,
    /// Also makes and changes rooms, and gives roles below their own.
    Admin = 3,
    /// May do everything. There is exactly one, who may hand the waddle over and cannot leave it.
    Owner = 4,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Member, Self::Moderator, Self::Admin, Self::Owner];

    /// Returns the role's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Returns the role that a word stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Returns the role of a number on disk.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }

    /// Returns what the role allows in the waddle's rooms, where the room demands no more.
    #[must_use]
    pub const fn rights(self) -> Rights {
        let member = Rights::READ
            .with(Rights::PRESENCE)
            .with(Rights::APPEND)
            .with(Rights::DELETE_OWN);
        let moderator = member.with(Rights::DELETE_ANY).with(Rights::READ_DELETED);
        match self {
            Self::Member => member,
            Self::Moderator => moderator,
            Self::Admin | Self::Owner => moderator.with(Rights::MANAGE),
        }
    }
}

/// Who may come into a waddle. The words are on the wire; the numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Policy {
    /// Everyone who is not banned.
    #[default]
    Open = 1,
    /// Those who are added.
    Invite = 2,
}

impl Policy {
    /// Returns the policy's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
        }
    }

    pub(crate) const fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Invite),
            _ => None,
        }
    }
}

/// What a waddle is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// What people call it; 1 to 100 characters, not unique.
    pub name: Box<str>,
    /// Who may come in.
    pub join: Policy,
}

/// A member of a waddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// As what.
    pub role: Role,
    /// Since when.
    #[serde(with = "crate::time::rfc3339")]
    pub joined_at: Millis,
    /// Until when the member may not write, react or speak.
    #[serde(
        default,
        with = "crate::time::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub timed_out_until: Option<Millis>,
}

impl Member {
    /// Returns whether the member may not write at `now`.
    #[must_use]
    pub fn is_timed_out(&self, now: Millis) -> bool {
        self.timed_out_until.is_some_and(|until| now < until)
    }
}

/// Why somebody is kept out of a waddle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ban {
    /// Who said so.
    pub by: Box<str>,
    /// Since when.
    #[serde(with = "crate::time::rfc3339")]
    pub at: Millis,
    /// Until when; for good without it.
    #[serde(
        default,
        with = "crate::time::rfc3339_option",
        skip_serializing_if = "Option::is_none"
    )]
    pub until: Option<Millis>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Box<str>>,
}

impl Ban {
    /// Returns whether the ban is over at `now`.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// What a room of a waddle is. The words are on the wire; the numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum RoomKind {
    /// A channel, for messages.
    Text = 1,
    /// A voice room.
    Voice = 2,
}

impl RoomKind {
    /// Returns the kind's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Voice => "voice",
        }
    }

    pub(crate) const fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Text),
            2 => Some(Self::Voice),
            _ => None,
        }
    }
}

/// A room of a waddle; its identity is that of a channel, or of the voice room of that name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommunityRoom {
    /// What it is.
    pub kind: RoomKind,
    /// What people call it; 1 to 100 characters.
    pub name: Box<str>,
    /// The least role that sees it.
    pub read: Role,
    /// The least role that writes in it, or speaks.
    pub write: Role,
    /// When it was made.
    #[serde(with = "crate::time::rfc3339")]
    pub created_at: Millis,
    /// How many may be in a voice room at once, where that is less than the server's bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub participants_max: Option<u32>,
}

#[cfg(test)]
mod tests;
