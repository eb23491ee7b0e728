//! Frames of the server that are about the connection or answer a request.

use floe_proto::{Code, Millis};

use super::map::frame;
use super::{Format, FrameId, retry_word};
use crate::ws::write_close;

/// The first frame of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// Names the connection, for people who look into logs.
    pub connection: &'a str,
    /// Milliseconds of silence after which the server pings.
    pub heartbeat_ms: u64,
    /// What the server takes.
    pub limits: Limits,
}

/// What the server takes from one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a frame.
    pub frame_bytes: u64,
    /// Rooms joined at once.
    pub rooms: u64,
    /// Characters of an event's content.
    pub content_chars: u64,
    /// Events of one append.
    pub batch_events: u64,
    /// Bytes of a member's data.
    pub presence_bytes: u64,
    /// Bytes of a value of the memory.
    pub memory_value_bytes: u64,
}

/// The answer to a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<'a> {
    /// The request.
    pub id: Option<&'a FrameId<'a>>,
    /// The room, as the request named it.
    pub room: &'a str,
    /// Content type of what the room holds.
    pub content_type: &'a str,
    /// Sequence number of the newest event, 0 before the first.
    pub head: u64,
    /// Sequence number of the oldest event that is kept; 1 more than `head` when there is none.
    pub start: u64,
    /// Sequence number after which events follow.
    pub seq: u64,
    /// Who the connection is in this room, if anybody.
    pub user: Option<&'a str>,
    /// Whether the stream is closed and nothing comes after `head`.
    pub closed: bool,
}

/// The answer to a request that changed something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The request.
    pub id: Option<&'a FrameId<'a>>,
    /// Its room.
    pub room: &'a str,
    /// Sequence number of the last event appended.
    pub seq: Option<u64>,
    /// Events, or bytes, appended.
    pub count: Option<u64>,
    /// Whether an append with the same idempotency key had done it before.
    pub duplicate: bool,
    /// Version of the room's memory with the change.
    pub version: Option<u64>,
}

/// Appends a `welcome` frame.
pub fn write_welcome(out: &mut Vec<u8>, format: Format, welcome: &Welcome<'_>) {
    frame(out, format, "welcome", |map| {
        map.text("protocol", format.protocol());
        map.text("connection", welcome.connection);
        map.number("heartbeatMs", welcome.heartbeat_ms);
        map.object("limits", |map| {
            let limits = &welcome.limits;
            map.number("frameBytes", limits.frame_bytes);
            map.number("rooms", limits.rooms);
            map.number("contentChars", limits.content_chars);
            map.number("batchEvents", limits.batch_events);
            map.number("presenceBytes", limits.presence_bytes);
            map.number("memoryValueBytes", limits.memory_value_bytes);
        });
    });
}

/// Appends a `joined` frame.
pub fn write_joined(out: &mut Vec<u8>, format: Format, joined: &Joined<'_>) {
    frame(out, format, "joined", |map| {
        map.id(joined.id);
        map.text("room", joined.room);
        map.text("contentType", joined.content_type);
        map.number("head", joined.head);
        map.number("start", joined.start);
        map.number("seq", joined.seq);
        map.maybe_text("user", joined.user);
        map.flag("closed", joined.closed);
    });
}

/// Appends a `live` frame: history has been sent up to `seq`, and what follows is new.
pub fn write_live(out: &mut Vec<u8>, format: Format, room: &str, seq: u64) {
    frame(out, format, "live", |map| {
        map.text("room", room);
        map.number("seq", seq);
    });
}

/// Appends an `ack` frame.
pub fn write_ack(out: &mut Vec<u8>, format: Format, ack: &Ack<'_>) {
    frame(out, format, "ack", |map| {
        map.id(ack.id);
        map.text("room", ack.room);
        map.maybe_number("seq", ack.seq);
        map.maybe_number("count", ack.count);
        map.flag("duplicate", ack.duplicate);
        map.maybe_number("version", ack.version);
    });
}

/// Appends a `left` frame: the answer to a leave.
pub fn write_left(out: &mut Vec<u8>, format: Format, id: Option<&FrameId<'_>>, room: &str) {
    frame(out, format, "left", |map| {
        map.id(id);
        map.text("room", room);
    });
}

/// Appends a `closed` frame: the connection follows the room no longer, and goes on.
pub fn write_closed(out: &mut Vec<u8>, format: Format, room: &str, code: Code, message: &str) {
    frame(out, format, "closed", |map| {
        map.text("room", room);
        failure(map, code, message);
    });
}

/// Appends an `error` frame: a request failed and changed nothing; the connection goes on.
pub fn write_error(
    out: &mut Vec<u8>,
    format: Format,
    id: Option<&FrameId<'_>>,
    room: Option<&str>,
    code: Code,
    message: &str,
) {
    frame(out, format, "error", |map| {
        map.id(id);
        map.maybe_text("room", room);
        failure(map, code, message);
    });
}

/// Appends an `rpc` frame that answers one. `result` is JSON: what the method is answered on every
/// transport.
pub fn write_rpc_result(
    out: &mut Vec<u8>,
    format: Format,
    id: Option<&FrameId<'_>>,
    room: &str,
    result: &str,
) {
    frame(out, format, "rpc", |map| {
        map.id(id);
        map.text("room", room);
        map.json("result", result);
    });
}

/// Appends an `authenticated` frame: the answer to an `auth`.
pub fn write_authenticated(
    out: &mut Vec<u8>,
    format: Format,
    id: Option<&FrameId<'_>>,
    user: Option<&str>,
    ends_at: Option<Millis>,
) {
    frame(out, format, "authenticated", |map| {
        map.id(id);
        map.maybe_text("user", user);
        if let Some(ends_at) = ends_at {
            map.time("endsAt", ends_at);
        }
    });
}

/// Appends an `error` frame for a request that came too soon.
pub fn write_error_later(
    out: &mut Vec<u8>,
    format: Format,
    id: Option<&FrameId<'_>>,
    room: Option<&str>,
    (code, message): (Code, &str),
    retry_after_ms: u64,
) {
    frame(out, format, "error", |map| {
        map.id(id);
        map.maybe_text("room", room);
        failure(map, code, message);
        map.number("retryAfterMs", retry_after_ms);
    });
}

/// Appends a `pong` frame: the answer to a ping.
pub fn write_pong(out: &mut Vec<u8>, format: Format, id: Option<&FrameId<'_>>) {
    frame(out, format, "pong", |map| map.id(id));
}

/// Appends a `goodbye` frame and the WebSocket's close frame with the code's close code; nothing
/// may follow.
pub fn write_goodbye(out: &mut Vec<u8>, format: Format, code: Code, message: &str) {
    frame(out, format, "goodbye", |map| failure(map, code, message));
    write_close(out, code.close_code(), code.as_str());
}

fn failure(map: &mut super::map::Map<'_>, code: Code, message: &str) {
    map.text("code", code.as_str());
    map.text("message", message);
    map.text("retry", retry_word(code.retry()));
}
