//! The host of the media of voice rooms: a thread with its sockets, and the event loop's end of it.
//!
//! What is forwarded to whom is for [`floe_media`], which has no I/O. The thread owns one
//! [`Forwarder`](floe_media::Forwarder) and hands it what the sockets bring and what the loop says; the
//! loop sees a [`Media`](floe_core::voice::Media) like any other.
//!
//! Media come as datagrams, or over TCP where a network lets nothing else through. Connections for them
//! come to the same port as HTTP; whoever reads their first byte hands them over
//! ([`MediaHost::take_over`]).

mod addresses;
mod bound;
mod host;
mod link;
mod roll;
mod settings;
mod streams;
mod tcp;
mod udp;
mod worker;

pub use bound::{Bound, MediaStartError};
pub use host::MediaHost;
pub use link::MediaTotals;
pub use settings::{MediaSettings, PublicAddress, PublicAddressError};
pub use tcp::begins_so;
