//! What carries the sound and pictures of voice rooms: a forwarding unit without I/O.
//!
//! A [`Forwarder`] is told of seats and of what browsers want to agree on, and of each datagram that
//! comes in; it says what goes out, whom to tell what, and when to be woken. It opens no socket, reads
//! no clock and starts no thread. Nothing is decoded: what one browser sends is decrypted, renumbered
//! and encrypted again for each of those who receive it.
//!
//! Browsers offer, the server answers, and never the other way round. An offer holds what its browser
//! sends, and as many media to receive as it wants at once: *slots*. Which voice or picture a slot
//! carries changes as people come, go and speak, without another offer.
//!
//! Pictures come in layers; who receives one sees the best layer that its network takes, and a change
//! from one to another leaves no gap. What the network takes is estimated by the arrival of packets where
//! the first offer of a connection has something for pictures, which makes each packet of it dearer; else
//! it is judged by what is lost.
//!
//! After a call that takes something in, drain [`poll_transmit`](Forwarder::poll_transmit), then
//! [`poll_output`](Forwarder::poll_output) and, where rooms are recorded,
//! [`poll_recorded`](Forwarder::poll_recorded). Whoever has several datagrams hands in all of them first: a
//! receiver is then asked once for all that it is sent, which costs a good part less.

mod audio;
mod bucket;
mod config;
mod connection;
mod counters;
mod demux;
mod dropped;
mod forwarder;
mod intake;
mod loudest;
mod offer;
mod peer;
mod quality;
pub mod recording;
mod renumber;
mod room;
mod rtp;
mod schedule;
mod streams;
mod stun;
mod video;

pub use config::{Config, Local};
pub use counters::{Counters, Gauges};
pub use dropped::Dropped;
pub use forwarder::{Datagram, Forwarder, Transmit};
pub use str0m::net::Protocol;
