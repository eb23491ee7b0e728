//! Server-sent events of a channel.

use floe_proto::{ChannelId, Code};

use super::route::Form;
use crate::http::{Answer, Envelope, decimal};

/// Writes the head of an event stream; its body comes in chunks.
pub fn write_sse_head(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    Answer::start(out, &envelope.said(), 200)
        .field("Content-Type", b"text/event-stream")
        .field("Cache-Control", b"no-cache")
        .field("X-Accel-Buffering", b"no")
        .chunks_follow();
}

/// Writes the first event, `connected`: the channel, and after which event it begins.
///
/// It has no `id`, so that a client that saw no message comes back to where it began.
pub fn write_sse_connected(out: &mut Vec<u8>, form: Form, channel: ChannelId, after_seq: u64) {
    out.extend_from_slice(b"event: connected\ndata: {\"");
    out.extend_from_slice(form.id_name().as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(&channel.wire());
    out.extend_from_slice(b"\",\"afterSeq\":");
    number(out, after_seq);
    out.extend_from_slice(b"}\n\n");
}

/// Writes one event of the channel, in the form of the log, without its comma.
///
/// Its JSON has no line ends: strings write them escaped, and the server adds none.
pub fn write_sse_message(out: &mut Vec<u8>, seq: u64, event: &[u8]) {
    out.extend_from_slice(b"event: message\nid: ");
    number(out, seq);
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(event.strip_suffix(b",").unwrap_or(event));
    out.extend_from_slice(b"\n\n");
}

/// Writes a sign of life, which clients skip.
pub fn write_sse_heartbeat(out: &mut Vec<u8>) {
    out.extend_from_slice(b": \n\n");
}

/// Writes the last event, `closed`: why the server ends the stream.
///
/// A browser comes back whatever the code is, and is then told for good by an answer that is no
/// event stream.
pub fn write_sse_closed(out: &mut Vec<u8>, form: Form, code: Code, message: &str) {
    out.extend_from_slice(b"event: closed\ndata: {\"code\":\"");
    out.extend_from_slice(form.code(code).as_str().as_bytes());
    out.extend_from_slice(b"\",\"message\":");
    // A string always serializes.
    let _ = serde_json::to_writer(&mut *out, message);
    out.extend_from_slice(b"}\n\n");
}

pub(super) fn number(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0; 20];
    let at = decimal(value, &mut digits);
    out.extend_from_slice(&digits[at..]);
}
