//! Names of rooms on a live connection.

use std::borrow::Cow;

use floe_proto::{ChannelId, Code};

use super::ROOM_BYTES_MAX;
use super::fields::Problem;

/// A room as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomName<'a> {
    text: Cow<'a, str>,
    channel: Option<ChannelId>,
}

impl<'a> RoomName<'a> {
    const CHANNEL: &'static str = "channel/";
    const STREAM: &'static str = "stream/";

    /// Reads `channel/` and 12 hexadecimal digits, or `stream/` and the path of a stream.
    pub(super) fn parse(text: Cow<'a, str>) -> Result<Self, Problem> {
        if text.len() > ROOM_BYTES_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!("`room` is longer than {ROOM_BYTES_MAX} bytes"),
            ));
        }
        let channel = text
            .strip_prefix(Self::CHANNEL)
            .and_then(|id| id.parse().ok());
        let stream = text.strip_prefix(Self::STREAM).unwrap_or("");
        if channel.is_none() && stream.is_empty() {
            return Err(Problem::new(
                Code::InvalidRequest,
                "`room` is neither `channel/` and 12 hexadecimal digits nor `stream/` and a path"
                    .into(),
            ));
        }
        Ok(Self { text, channel })
    }

    /// Returns the name as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the channel, if the room is one.
    #[must_use]
    pub const fn channel(&self) -> Option<ChannelId> {
        self.channel
    }

    /// Returns the path of the stream, if the room is one.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        match self.channel {
            Some(_) => None,
            None => self.text.strip_prefix(Self::STREAM),
        }
    }
}
