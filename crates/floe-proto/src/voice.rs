//! The identity of voice rooms.

use std::fmt;
use std::str::FromStr;

use crate::community::VOICE_ROOMS;
use crate::{ChannelId, ParseChannelIdError};

/// Identity of a voice room: like that of a channel, 12 lower-case hexadecimal digits on the wire.
///
/// Its room is called [`VoiceId::ROOM_PREFIX`] and these digits, in its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceId(pub ChannelId);

impl VoiceId {
    /// What the path of a voice room begins with.
    pub const ROOM_PREFIX: &str = VOICE_ROOMS;

    /// Returns the path of the room in its namespace.
    #[must_use]
    pub fn room_path(self) -> String {
        format!("{}{self}", Self::ROOM_PREFIX)
    }

    /// Reads the path of a voice room in its namespace.
    #[must_use]
    pub fn of_path(path: &[u8]) -> Option<Self> {
        let digits = path.strip_prefix(Self::ROOM_PREFIX.as_bytes())?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

impl fmt::Display for VoiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VoiceId {
    type Err = ParseChannelIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_voice_room() {
        let id: VoiceId = "00112233aabb".parse().unwrap();
        assert_eq!(id.room_path(), "__voice__/00112233aabb");
        assert_eq!(VoiceId::of_path(id.room_path().as_bytes()), Some(id));
        for path in ["", "__voice__/", "__voice__/x", "__channel__/00112233aabb"] {
            assert_eq!(VoiceId::of_path(path.as_bytes()), None, "{path}");
        }
    }
}
