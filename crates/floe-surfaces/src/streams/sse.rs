//! Server-sent events of a stream.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_core::{ContentType, Edge};
use floe_proto::Offset;

use crate::http::{Answer, Envelope, decimal};

/// How a stream's data becomes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SseStyle {
    /// Lines of text as they are.
    Text,
    /// One JSON array an event.
    Json,
    /// Base64, for what is not text.
    Base64,
}

impl SseStyle {
    /// Returns the style for streams of a content type.
    #[must_use]
    pub fn of(content_type: &ContentType) -> Self {
        if content_type.is_json() {
            Self::Json
        } else if content_type.is_text() {
            Self::Text
        } else {
            Self::Base64
        }
    }
}

/// Where a reader stands after an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SseControl {
    /// Unit after the last one sent.
    pub next: u64,
    /// The visible edge.
    pub edge: Edge,
    /// The live cursor.
    pub cursor: u64,
}

/// Writes the head of an event stream; its body comes in chunks.
pub fn write_sse_head(out: &mut Vec<u8>, envelope: &Envelope<'_>, style: SseStyle) {
    let base64: Option<&[u8]> = (style == SseStyle::Base64).then_some(b"base64");
    Answer::start(out, &envelope.said(), 200)
        .field("Content-Type", b"text/event-stream")
        .field("Cache-Control", b"no-cache")
        .field("X-Accel-Buffering", b"no")
        .maybe("Stream-SSE-Data-Encoding", base64)
        .chunks_follow();
}

/// Writes one `data` event with the bytes of `parts`, in the wire form of the log.
///
/// A control event must follow it.
pub fn write_sse_data<'a>(
    out: &mut Vec<u8>,
    style: SseStyle,
    parts: impl Iterator<Item = &'a [u8]>,
) {
    out.extend_from_slice(b"event: data\ndata:");
    match style {
        SseStyle::Text => write_lines(out, parts),
        SseStyle::Json => {
            out.push(b'[');
            write_lines(out, parts);
            // The comma after the last message.
            out.pop();
            out.push(b']');
        }
        SseStyle::Base64 => write_base64(out, parts),
    }
    out.extend_from_slice(b"\n\n");
}

/// Writes one `control` event.
pub fn write_sse_control(out: &mut Vec<u8>, control: &SseControl) {
    let at_tail = control.next == control.edge.tail;
    out.extend_from_slice(b"event: control\ndata:{\"streamNextOffset\":\"");
    out.extend_from_slice(&Offset(control.next).wire());
    out.push(b'"');
    if control.edge.closed && at_tail {
        out.extend_from_slice(b",\"upToDate\":true,\"streamClosed\":true");
    } else {
        let mut digits = [0; 20];
        let at = decimal(control.cursor, &mut digits);
        out.extend_from_slice(b",\"streamCursor\":\"");
        out.extend_from_slice(&digits[at..]);
        out.push(b'"');
        if at_tail {
            out.extend_from_slice(b",\"upToDate\":true");
        }
    }
    out.extend_from_slice(b"}\n\n");
}

/// Writes text so that CR, LF and CRLF each begin a new `data:` line.
///
/// A parser drops one space after the colon, so a line that begins with a space gets another.
fn write_lines<'a>(out: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    let mut after_cr = false;
    let mut at_start = true;
    for part in parts {
        let mut rest = part;
        if after_cr && rest.first() == Some(&b'\n') {
            rest = &rest[1..];
        }
        after_cr = part.last() == Some(&b'\r') || (after_cr && part.is_empty());
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            write_line(out, &rest[..at], at_start);
            at_start = true;
            out.extend_from_slice(b"\ndata:");
            let crlf = rest[at..].starts_with(b"\r\n");
            rest = &rest[at + 1 + usize::from(crlf)..];
        }
        write_line(out, rest, at_start);
        at_start &= rest.is_empty();
    }
}

fn write_line(out: &mut Vec<u8>, line: &[u8], at_start: bool) {
    if at_start && line.first() == Some(&b' ') {
        out.push(b' ');
    }
    out.extend_from_slice(line);
}

fn write_base64<'a>(out: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    let mut carry = Vec::new();
    let mut text = String::new();
    for part in parts {
        carry.extend_from_slice(part);
        let whole = carry.len() / 3 * 3;
        STANDARD.encode_string(&carry[..whole], &mut text);
        carry.drain(..whole);
    }
    STANDARD.encode_string(&carry, &mut text);
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(style: SseStyle, parts: &[&[u8]]) -> String {
        let mut out = Vec::new();
        write_sse_data(&mut out, style, parts.iter().copied());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_line_end_begins_a_new_data_line() {
        let expected = "event: data\ndata:a\ndata:b\ndata:c\ndata:\ndata:d\n\n";
        assert_eq!(data(SseStyle::Text, &[b"a\nb\r\nc\r\rd"]), expected);
        assert_eq!(
            data(SseStyle::Text, &[b"a\nb\r", b"\nc\r", b"\rd"]),
            expected
        );
        assert_eq!(
            data(SseStyle::Text, &[b"a\nb\r", b"", b"\nc\r", b"\rd"]),
            expected
        );
    }

    #[test]
    fn a_leading_space_survives_a_parser() {
        let expected = "event: data\ndata:  a: b\ndata:  \ndata:c d\n\n";
        assert_eq!(
            data(SseStyle::Text, &[b" a:", b" b\n \nc", b"", b" d"]),
            expected
        );
    }

    #[test]
    fn json_is_one_array_and_bytes_are_one_base64_text() {
        let json = data(SseStyle::Json, &[b"1,", b"{\"a\":\n2},"]);
        assert_eq!(json, "event: data\ndata:[1,{\"a\":\ndata:2}]\n\n");
        assert_eq!(
            data(SseStyle::Base64, &[b"\0", b"\x01\x02\x03"]),
            "event: data\ndata:AAECAw==\n\n"
        );
    }

    #[test]
    fn control_events_say_where_the_reader_stands() {
        let control = |next, tail, closed| {
            let mut out = Vec::new();
            let edge = Edge { tail, closed };
            write_sse_control(
                &mut out,
                &SseControl {
                    next,
                    edge,
                    cursor: 7,
                },
            );
            String::from_utf8(out).unwrap()
        };
        let start = "event: control\ndata:{\"streamNextOffset\":\"0000000000000003\"";
        assert_eq!(
            control(3, 5, true),
            format!("{start},\"streamCursor\":\"7\"}}\n\n")
        );
        assert_eq!(
            control(3, 3, false),
            format!("{start},\"streamCursor\":\"7\",\"upToDate\":true}}\n\n")
        );
        assert_eq!(
            control(3, 3, true),
            format!("{start},\"upToDate\":true,\"streamClosed\":true}}\n\n")
        );
    }
}
