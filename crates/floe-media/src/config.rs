//! What a forwarder is told once.

use std::net::SocketAddr;

use str0m::net::Protocol;

/// An address where browsers reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local {
    /// How.
    pub protocol: Protocol,
    /// Where, as browsers see it.
    pub address: SocketAddr,
}

/// Bounds of a [`Forwarder`](crate::Forwarder), and where it is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where browsers reach the server; the first of a protocol and family is what theirs are paired with.
    pub locals: Vec<Local>,
    /// Voices of one room that are forwarded at once: the loudest.
    pub audio_slots: u16,
    /// Pictures that one participant receives at once.
    pub video_slots: u16,
    /// Media of one offer.
    pub sections_max: usize,
    /// Datagrams that wait to be sent; above, the oldest is dropped.
    pub transmits_max: usize,
    /// Whether the host can store recordings.
    pub recording: bool,
    /// Packets of recorded rooms that wait to be taken; above, new ones are not recorded.
    pub recorded_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            locals: Vec::new(),
            audio_slots: 10,
            video_slots: 12,
            sections_max: 48,
            transmits_max: 65_536,
            recording: false,
            recorded_max: 16_384,
        }
    }
}
