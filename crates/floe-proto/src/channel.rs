//! Channels: their identity and what is known of them.

use std::fmt;
use std::str::FromStr;

use crate::Millis;

/// Identity of a channel: six random bytes, 12 lower-case hexadecimal digits on the wire.
///
/// Its room is called [`ChannelId::ROOM_PREFIX`] and these digits, on every surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub [u8; 6]);

impl ChannelId {
    /// What the name of a channel's room begins with.
    pub const ROOM_PREFIX: &str = "__channel__/";
    /// Digits of an identity on the wire.
    pub const WIRE_LEN: usize = 12;

    /// Returns the wire form.
    #[must_use]
    pub fn wire(self) -> [u8; Self::WIRE_LEN] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut wire = [0; Self::WIRE_LEN];
        for (pair, byte) in wire.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        wire
    }

    /// Returns the name of the channel's room.
    #[must_use]
    pub fn room_name(self) -> String {
        format!("{}{self}", Self::ROOM_PREFIX)
    }

    /// Reads the name of a channel's room.
    #[must_use]
    pub fn of_room(name: &[u8]) -> Option<Self> {
        let digits = name.strip_prefix(Self::ROOM_PREFIX.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wire()
            .into_iter()
            .try_for_each(|digit| fmt::Write::write_char(f, char::from(digit)))
    }
}

impl FromStr for ChannelId {
    type Err = ParseChannelIdError;

    fn from_str(text: &str) -> Result<Self, ParseChannelIdError> {
        let digits = text.as_bytes();
        if digits.len() != Self::WIRE_LEN {
            return Err(ParseChannelIdError);
        }
        let mut id = [0; 6];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(id))
    }
}

fn digit(digit: u8) -> Result<u8, ParseChannelIdError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(ParseChannelIdError),
    }
}

/// The text is not the wire form of a channel's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseChannelIdError;

impl fmt::Display for ParseChannelIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a channel id is 12 lower-case hexadecimal digits")
    }
}

impl std::error::Error for ParseChannelIdError {}

/// What everyone who may see a channel may know of it; never its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelMeta {
    /// Its identity.
    pub id: ChannelId,
    /// What people call it; 1 to 100 characters, not unique.
    pub name: Box<str>,
    /// The namespace that owns it.
    pub owner: Box<str>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was deleted; it is purged a grace time later.
    pub deleted_at: Option<Millis>,
    /// Sequence number of its newest event, 0 before the first.
    pub head: u64,
    /// Sequence number of the oldest event that retention has kept.
    pub start: u64,
    /// How much it keeps.
    pub retention: Retention,
}

/// How much of a room is kept; older events go away in the background. Unset bounds keep all.
///
/// An event may go as soon as it lies outside any of the bounds that are set, and never before: what
/// lies within all of them is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Retention {
    /// Milliseconds: older events may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<u64>,
    /// Events: those before the newest so many may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
    /// Bytes: events before the newest so many bytes of them may go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_and_anything_else_is_refused() {
        let id = ChannelId([0x00, 0x9f, 0xa0, 0xff, 0x12, 0x34]);
        assert_eq!(id.to_string(), "009fa0ff1234");
        assert_eq!("009fa0ff1234".parse(), Ok(id));
        assert_eq!(ChannelId::of_room(id.room_name().as_bytes()), Some(id));
        for text in [
            "",
            "009fa0ff123",
            "009FA0ff1234",
            "009fa0ff12345",
            "009fa0ff123g",
            "+09fa0ff1234",
        ] {
            assert_eq!(
                text.parse::<ChannelId>(),
                Err(ParseChannelIdError),
                "{text}"
            );
        }
        assert_eq!(ChannelId::of_room(b"__channel__/"), None);
        assert_eq!(ChannelId::of_room(b"009fa0ff1234"), None);
    }
}
