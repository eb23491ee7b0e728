//! Events, from the bytes of the log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::map::frame;
use super::{Format, cbor};

/// Appends an `events` frame with messages of a JSON room: a channel's events, or what a JSON
/// stream holds.
///
/// `parts` are bytes of the log, one after the other: each message followed by a comma. They are
/// copied into a JSON frame as they are. `next` is the sequence number of the last one.
pub fn write_events<'a>(
    out: &mut Vec<u8>,
    format: Format,
    room: &str,
    parts: impl Iterator<Item = &'a [u8]> + Clone,
    next: u64,
) {
    out.reserve(HEAD_BYTES + room.len() + parts.clone().map(<[u8]>::len).sum::<usize>());
    frame(out, format, "events", |map| {
        map.text("room", room);
        map.written("events", |out| match format {
            Format::Json => write_json(out, parts),
            Format::Cbor => write_cbor(out, parts),
        });
        map.number("next", next);
    });
}

/// Appends an `events` frame with bytes of a stream that is not JSON, as one event.
///
/// Bytes of a stream of `text` are written as text up to the last character that is complete.
/// Returns how many bytes were written: all of them, but for an incomplete character at the end.
/// What is no UTF-8, or not a whole character, is written as bytes. `first` is the offset of the
/// first byte.
pub fn write_chunk(
    out: &mut Vec<u8>,
    format: Format,
    room: &str,
    text: bool,
    bytes: &[u8],
    first: u64,
) -> usize {
    let whole = if text { whole_text(bytes) } else { None };
    let len = whole.map_or(bytes.len(), str::len);
    frame(out, format, "events", |map| {
        map.text("room", room);
        match (whole, format) {
            (Some(text), _) => map.texts("events", [text].into_iter()),
            (None, Format::Json) => {
                map.texts("events", [&*STANDARD.encode(bytes)].into_iter());
                map.text("encoding", "base64");
            }
            (None, Format::Cbor) => map.written("events", |out| {
                out.push(cbor::ARRAY | 1);
                cbor::bytes(out, bytes);
            }),
        }
        map.number("next", first + len as u64);
    });
    len
}

/// Bytes of an `events` frame besides the name of the room and the events, or a few more.
const HEAD_BYTES: usize = 96;

fn write_json<'a>(out: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    out.push(b'[');
    let start = out.len();
    for part in parts {
        out.extend_from_slice(part);
    }
    // The comma after the last message.
    if out.len() > start {
        out.pop();
    }
    out.push(b']');
}

fn write_cbor<'a>(out: &mut Vec<u8>, mut parts: impl Iterator<Item = &'a [u8]>) {
    let first = parts.next().unwrap_or_default();
    let Some(second) = parts.next() else {
        return cbor::array_from_json(first, out);
    };
    let mut gathered = [first, second].concat();
    for part in parts {
        gathered.extend_from_slice(part);
    }
    cbor::array_from_json(&gathered, out);
}

/// Returns the text without an incomplete character at its end; `None` when it is no text, or
/// nothing but such a character.
fn whole_text(bytes: &[u8]) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}
