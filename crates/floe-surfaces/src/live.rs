//! The live protocol: many rooms over one WebSocket, both ways.
//!
//! Each message is one frame, an object with a `type`. It has two encodings with the same fields:
//! JSON in text messages and CBOR in binary ones ([`Format`]). [`read_frame`] turns what a client
//! sent into a [`ClientFrame`]; the `write_*` functions append what the server says as a whole
//! WebSocket message, so that the bytes can be shared by all who are told the same.
//!
//! The protocol is described in `docs/PROTOCOL.md`, its frames in `docs/protocol.schema.json`.

mod append;
pub mod cbor;
mod client;
mod events;
mod fields;
mod id;
mod keyed;
mod map;
mod origin;
mod room;
mod server;

pub use append::{AppendBody, Draft};
pub use client::{
    After, Append, ClientFrame, Command, FrameError, Join, MemoryOp, PresenceMode, read_frame,
};
pub use events::{write_chunk, write_events};
pub use fields::Problem;
pub(crate) use fields::too_deep;
pub use id::FrameId;
pub use keyed::{
    Entry, Member, MembersPage, MemoryChange, PresenceDelta, PresenceSnapshot, write_members,
    write_memory, write_presence_delta, write_presence_snapshot, write_typing,
};
pub use origin::origin_allowed;
pub use room::RoomName;
pub use server::{
    Ack, Joined, Limits, Welcome, write_ack, write_authenticated, write_closed, write_error,
    write_error_later, write_goodbye, write_joined, write_left, write_live, write_pong,
    write_rpc_result, write_welcome,
};

use crate::ws::Opcode;

/// Path of the live protocol.
pub const LIVE_PATH: &str = "/v1/live";

/// The subprotocols, for the handshake.
pub const PROTOCOLS: &[&str] = &[Format::Json.protocol(), Format::Cbor.protocol()];

/// How deep arrays and objects within a client's frame may be nested.
pub const DEPTH_MAX: usize = 64;
/// Bytes of the longest `id`.
pub const ID_BYTES_MAX: usize = 64;
/// Bytes of the longest `room`.
pub const ROOM_BYTES_MAX: usize = 2048;
/// Bytes of the longest `user` and `authorId`.
pub const USER_BYTES_MAX: usize = 128;
/// Bytes of the longest `token`.
pub const TOKEN_BYTES_MAX: usize = 512;
/// Bytes of an API key or signed token in an `auth` frame.
pub const BEARER_BYTES_MAX: usize = 8 << 10;
/// Bytes of the longest key of the memory.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of the longest `idempotencyKey`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Events of the largest batch.
pub const BATCH_EVENTS_MAX: usize = 1000;
/// Members or entries of the largest page.
pub const PAGE_MAX: u32 = 1000;
/// Members or entries of a page when the client does not say.
pub const PAGE_DEFAULT: u32 = 100;

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Format {
    /// JSON in text messages.
    #[default]
    Json,
    /// CBOR in binary messages.
    Cbor,
}

impl Format {
    /// Returns the subprotocol of the format.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Json => "floe.v1.json",
            Self::Cbor => "floe.v1.cbor",
        }
    }

    /// Returns the format of a subprotocol; JSON when the client named none.
    #[must_use]
    pub fn of_protocol(protocol: Option<&str>) -> Self {
        if protocol == Some(Self::Cbor.protocol()) {
            Self::Cbor
        } else {
            Self::Json
        }
    }

    /// Returns the kind of message that carries the format.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Json => Opcode::Text,
            Self::Cbor => Opcode::Binary,
        }
    }
}

/// Returns the word for what a caller should do after a failure.
#[must_use]
pub const fn retry_word(retry: floe_proto::Retry) -> &'static str {
    match retry {
        floe_proto::Retry::Never => "never",
        floe_proto::Retry::Later => "later",
        floe_proto::Retry::Reconnect => "reconnect",
    }
}

#[cfg(test)]
mod document_tests;
#[cfg(test)]
mod tests;
