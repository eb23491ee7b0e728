//! Names of rooms with tables.

use std::fmt;

use floe_proto::Code;
use floe_proto::table::ROOMS;

use crate::access::Room;
use crate::http::Reject;

/// The name of a room with tables.
///
/// It has 1 to 256 bytes: segments of ASCII letters, digits, `_`, `.`, `:` and `-` with `/` between them.
/// No segment is `.` or `..`, which would mean another path to whatever stands between.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableRoom {
    /// Path of its stream in its namespace.
    path: Box<str>,
}

impl TableRoom {
    /// Bytes of the longest name.
    pub const BYTES_MAX: usize = 256;
    /// What stands before the name in the live protocol.
    pub const LIVE: &str = "room/";

    /// Reads a name.
    ///
    /// # Errors
    /// Says what a name is ([`Code::InvalidRequest`]).
    pub fn parse(name: &str) -> Result<Self, Reject> {
        let plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-');
        let segment =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if name.len() > Self::BYTES_MAX || !name.split('/').all(segment) {
            return Err(Reject::new(
                Code::InvalidRequest,
                "the name of a room has 1 to 256 letters, digits, `_`, `.`, `:` and `-`, in segments \
                 with `/` between them",
            ));
        }
        Ok(Self {
            path: format!("{ROOMS}{name}").into(),
        })
    }

    /// Reads the path of a stream in its namespace; `None` if it is not that of a room with tables.
    #[must_use]
    pub fn of_path(path: &[u8]) -> Option<Self> {
        let path = std::str::from_utf8(path).ok()?;
        Self::parse(path.strip_prefix(ROOMS)?).ok()
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.path.strip_prefix(ROOMS).unwrap_or_default()
    }

    /// Returns the path of its stream in its namespace.
    #[must_use]
    pub const fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }

    /// Returns the path of its stream in its namespace, as text.
    #[must_use]
    pub const fn path_text(&self) -> &str {
        &self.path
    }

    /// Returns what the live protocol calls it.
    #[must_use]
    pub fn live_name(&self) -> String {
        format!("{}{self}", Self::LIVE)
    }

    /// Returns the room as it matters to who may do something there.
    #[must_use]
    pub const fn room(&self) -> Room<'_> {
        Room::Stream(self.path.as_bytes())
    }
}

impl fmt::Display for TableRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_segments_of_plain_characters() {
        for good in ["a", "A-1_b.c:d", "acme/board", "...", &"x".repeat(256)] {
            let room = TableRoom::parse(good).unwrap();
            assert_eq!(room.as_str(), good);
            assert_eq!(room.path(), format!("__room__/{good}").as_bytes());
            assert_eq!(TableRoom::of_path(room.path()), Some(room));
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            ".",
            "..",
            "a/../b",
            "a b",
            "a%20",
            "ä",
            "a\0",
            "a\"",
            &"x".repeat(257),
        ] {
            let refused = TableRoom::parse(bad).unwrap_err();
            assert_eq!(refused.code, Code::InvalidRequest, "{bad}");
        }
        for path in ["a", "__room__", "__room__/", "__room__/..", "__room__x/a"] {
            assert_eq!(TableRoom::of_path(path.as_bytes()), None, "{path}");
        }
    }
}
