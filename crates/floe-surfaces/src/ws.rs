//! WebSocket (RFC 6455) without a socket: a handshake in, its answer out; bytes in, messages out;
//! a payload in, a frame out.
//!
//! [`handshake`] reads the request that asks for the upgrade and [`write_accept`] answers it. From
//! then on a [`Decoder`] is handed the bytes as they come, in whatever pieces, and takes all of
//! them: a host need not keep any. While nothing is under way a decoder owns no memory besides
//! itself. What goes out is written with [`write_frame`] and its siblings, into any buffer.
//!
//! Both [`Role`]s are here: the server takes masked frames and writes plain ones, the client the
//! other way round.

mod decoder;
mod deflate;
mod frame;
mod handshake;
mod mask;

pub use decoder::{Decoder, Item, Role, Step, WsError};
pub use deflate::{Deflate, Deflater};
pub use frame::{
    CONTROL_BYTES_MAX, Opcode, begin_frame, end_frame, write_close, write_frame, write_masked,
};
pub use handshake::{
    ACCEPT_KEY_LEN, Accept, Offer, Reject, TOKEN_PROTOCOL, handshake, write_accept, write_reject,
};
pub use mask::apply_mask;

#[cfg(test)]
mod tests;
