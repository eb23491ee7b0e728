//! Communities: waddles, their channels and voice rooms, each over a WebSocket of its own.
//!
//! Such a WebSocket is of one room and speaks plain JSON in text messages: objects with a `type`, their
//! names in camel case. [`common`] is what the sockets of all kinds of rooms share: how one is opened,
//! what every frame of a client may have, and the frames that are about the connection. The
//! `write_*` functions append one JSON object, the same on every transport; [`message`] makes it a message
//! of a WebSocket.
//!
//! [`http`] is waddles, members, bans, rooms and search over plain HTTP.
//!
//! The surface is described in `docs/COMMUNITY.md`.

pub mod channel;
pub mod common;
pub mod http;
pub mod polled;
pub mod voice;
pub mod voice_http;
mod voice_log;
pub mod voice_recordings;
pub mod waddle;

pub use common::{
    Carrier, Incoming, Label, Opening, Refusal, RoomPath, SocketKind, SocketPath, Welcome, message,
    read_frame, write_ack, write_farewell, write_goodbye, write_pong, write_refusal, write_welcome,
};
pub use voice_log::{is_recording_index, is_session_end, log_effect, log_reset, log_state};

/// Returns whether a path is one of a WebSocket of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    path.starts_with(SOCKETS_ROOT)
}

/// What the paths of all WebSockets of the surface begin with.
const SOCKETS_ROOT: &str = "/ws/";

#[cfg(test)]
mod tests;
