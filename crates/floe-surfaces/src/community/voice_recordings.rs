//! Recordings of voice rooms over plain HTTP.

use floe_proto::Millis;

use crate::access::Deed;
use crate::http::{Answer, Envelope, Method};
use crate::json::Messages;
use crate::tables::object::Object;

/// Every route of recordings, with its parameters in braces.
pub const ROUTES: [(Method, &str); 4] = [
    (Method::Get, "/v1/voice/{voiceId}/recordings"),
    (Method::Get, "/v1/voice/{voiceId}/recordings/{recording}"),
    (
        Method::Get,
        "/v1/voice/{voiceId}/recordings/{recording}/{file}",
    ),
    (Method::Delete, "/v1/voice/{voiceId}/recordings/{recording}"),
];

/// What is wanted of the recordings of a voice room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Which there are.
    List,
    /// What one holds, and who spoke when.
    Index {
        /// Which.
        recording: Box<str>,
    },
    /// One of its files.
    File {
        /// Which.
        recording: Box<str>,
        /// Which file.
        file: Box<str>,
        /// What of it.
        range: Option<Range>,
    },
    /// That it be no more.
    Delete {
        /// Which.
        recording: Box<str>,
    },
}

/// The first byte of what is wanted of a file, and the one after the last, if not all of the rest is.
pub type Range = (u64, Option<u64>);

impl Ask {
    /// Reads what is wanted by what follows `recordings` in the path; `None` for another method, or a
    /// path that there is not.
    #[must_use]
    pub fn read(method: Method, parts: &[&str], range: Option<&[u8]>) -> Option<Self> {
        match (method, parts) {
            (Method::Get | Method::Head, []) => Some(Self::List),
            (Method::Get | Method::Head, [recording]) => Some(Self::Index {
                recording: (*recording).into(),
            }),
            (Method::Get | Method::Head, [recording, file]) => Some(Self::File {
                recording: (*recording).into(),
                file: (*file).into(),
                range: range.and_then(read_range),
            }),
            (Method::Delete, [recording]) => Some(Self::Delete {
                recording: (*recording).into(),
            }),
            _ => None,
        }
    }

    /// Returns what the caller must be allowed in the room.
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::List | Self::Index { .. } | Self::File { .. } => Deed::Moderate,
            Self::Delete { .. } => Deed::Manage,
        }
    }
}

/// Reads what of a file is wanted (RFC 9110 section 14); of several parts, or of the last bytes, the
/// whole is given, as of everything that is no range.
fn read_range(field: &[u8]) -> Option<Range> {
    let field = std::str::from_utf8(field).ok()?;
    let (from, last) = field.trim().strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse().ok()).flatten()
    };
    let from = number(from)?;
    match last {
        "" => Some((from, None)),
        last => {
            let end = number(last)?.checked_add(1)?;
            (from < end).then_some((from, Some(end)))
        }
    }
}

/// A file that is sent, or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// The first byte.
    pub from: u64,
    /// How many are sent.
    pub len: u64,
    /// How many there are.
    pub total: u64,
}

/// Writes the head of the answer with a file; its bytes follow.
pub fn write_file_head(out: &mut Vec<u8>, envelope: &Envelope<'_>, sent: Sent) {
    let Sent { from, len, total } = sent;
    let is_whole = len == total;
    let status = if is_whole { 200 } else { 206 };
    let answer = Answer::start(out, envelope, status)
        .field("Content-Type", b"audio/ogg")
        .field("Accept-Ranges", b"bytes")
        .field("Cache-Control", b"no-store");
    let answer = if is_whole {
        answer
    } else {
        let range = format!("bytes {from}-{}/{total}", from + len.saturating_sub(1));
        answer.field("Content-Range", range.as_bytes())
    };
    answer.body_follows(len);
}

/// Adds to the log of a voice room what a recording holds, which is a JSON object.
pub fn log_recording_index(messages: &mut Messages, recording: &str, index: &str, now: Millis) {
    let mut message = Vec::new();
    Object::write(&mut message, |object| {
        object.text("type", "recording_index");
        object.text("key", recording);
        object.json("value", index.as_bytes());
        object.written("headers", |out| {
            Object::write(out, |object| {
                object.text("operation", "insert");
                object.text("timestamp", &now.rfc3339());
            });
        });
    });
    messages.push(&message);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_and_what_is_none_is_the_whole() {
        for (field, range) in [
            ("bytes=0-", Some((0, None))),
            ("bytes=10-19", Some((10, Some(20)))),
            (" bytes=7-7 ", Some((7, Some(8)))),
            ("bytes=-5", None),
            ("bytes=5-4", None),
            ("bytes=0-1,3-4", None),
            ("bytes=+1-2", None),
            ("bytes=0-18446744073709551615", None),
            ("lines=0-1", None),
            ("", None),
        ] {
            assert_eq!(read_range(field.as_bytes()), range, "{field}");
        }
    }

    #[test]
    fn an_ask_is_read_by_path_and_method() {
        let read = |method, parts: &[&str]| Ask::read(method, parts, Some(b"bytes=1-"));
        assert_eq!(read(Method::Get, &[]), Some(Ask::List));
        let file = Ask::File {
            recording: "r".into(),
            file: "f.ogg".into(),
            range: Some((1, None)),
        };
        assert_eq!(read(Method::Head, &["r", "f.ogg"]), Some(file));
        for (method, parts) in [
            (Method::Post, &[][..]),
            (Method::Delete, &[]),
            (Method::Delete, &["r", "f"]),
            (Method::Get, &["r", "f", "x"]),
        ] {
            assert_eq!(read(method, parts), None, "{parts:?}");
        }
    }
}
