//! Names of rooms on a live connection.

use std::borrow::Cow;

use floe_proto::ChannelId;

use super::ROOM_BYTES_MAX;
use super::fields::Problem;
use crate::tables::TableRoom;

/// A room as a client names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomName<'a> {
    text: Cow<'a, str>,
    channel: Option<ChannelId>,
    table: Option<TableRoom>,
}

impl<'a> RoomName<'a> {
    const CHANNEL: &'static str = "channel/";
    const STREAM: &'static str = "stream/";

    /// Reads `channel/` and 12 hexadecimal digits, `stream/` and the path of a stream, or `room/` and
    /// the name of a room with tables.
    pub(super) fn parse(text: Cow<'a, str>) -> Result<Self, Problem> {
        if text.len() > ROOM_BYTES_MAX {
            return Err(Problem::value(format!(
                "`room` is longer than {ROOM_BYTES_MAX} bytes"
            )));
        }
        let table = match text.strip_prefix(TableRoom::LIVE) {
            Some(name) => Some(
                TableRoom::parse(name)
                    .map_err(|reject| Problem::value(format!("`room`: {}", reject.message)))?,
            ),
            None => None,
        };
        let channel = text
            .strip_prefix(Self::CHANNEL)
            .and_then(|id| id.parse().ok());
        let stream = text.strip_prefix(Self::STREAM).unwrap_or("");
        if channel.is_none() && table.is_none() && stream.is_empty() {
            return Err(Problem::value(
                "`room` is neither `channel/` and 12 hexadecimal digits, nor `stream/` and a path, nor \
                 `room/` and a name",
            ));
        }
        Ok(Self {
            text,
            channel,
            table,
        })
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

    /// Returns the path of the stream that the room's log is, unless it is a channel.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        match (&self.channel, &self.table) {
            (Some(_), _) => None,
            (None, Some(table)) => Some(table.path_text()),
            (None, None) => self.text.strip_prefix(Self::STREAM),
        }
    }

    /// Returns the room with tables, if it was named as one.
    #[must_use]
    pub const fn table(&self) -> Option<&TableRoom> {
        self.table.as_ref()
    }
}
