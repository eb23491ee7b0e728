//! What a forwarder is told once.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::net::Protocol;

use crate::bucket::Bucket;

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
    /// Bits a second of all that one participant sends; what is above is dropped.
    pub bitrate_max: u64,
    /// Media that one participant sends; an offer of more is refused.
    pub tracks_max: usize,
    /// Rooms in which somebody is connected; the first offer in one more is refused.
    pub rooms_max: usize,
    /// Connections of all rooms; an offer that would take one more is refused.
    pub connections_max: usize,
    /// Bytes of an offer; a longer one is refused.
    pub sdp_bytes_max: usize,
    /// Bytes of a datagram; a longer one is dropped.
    pub datagram_bytes_max: usize,
    /// Streams (SSRCs) that are known of one connection; of one more, the one that was silent for
    /// longest is forgotten.
    pub streams_max: usize,
    /// Offers of one participant a second, of which some may come at once; one more is refused.
    pub offers_per_second: u32,
    /// How often connections are measured.
    pub measure_interval: Duration,
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
            bitrate_max: 8_000_000,
            tracks_max: 4,
            rooms_max: 1_024,
            connections_max: 4_096,
            sdp_bytes_max: 262_144,
            datagram_bytes_max: 2_000,
            streams_max: 64,
            offers_per_second: 2,
            measure_interval: Duration::from_secs(2),
        }
    }
}

/// Seconds of offers that may come at once.
const OFFERS_BURST: f64 = 5.0;

impl Config {
    /// Returns what one participant may offer.
    pub(crate) fn offers(&self) -> Bucket {
        let rate = f64::from(self.offers_per_second);
        Bucket::new(rate, (rate * OFFERS_BURST).max(1.0))
    }
}
