//! What a forwarder has done, and does.

use crate::dropped::Dropped;

/// Totals since the start, and how it is by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that came in.
    pub datagrams_in: u64,
    /// Of those, how many were dropped at once; see [`Counters::dropped`] for why.
    pub datagrams_refused: u64,
    /// Datagrams that are to go out.
    pub datagrams_out: u64,
    /// Packets of sound and pictures that came in.
    pub packets_in: u64,
    /// Bytes of sound and pictures that came in.
    pub bytes_in: u64,
    /// Packets handed to a receiver.
    pub packets_out: u64,
    /// Bytes of sound and pictures handed to a receiver.
    pub bytes_out: u64,
    /// Packets that were forwarded to nobody: of those who are muted, not among the loudest, or not watched.
    pub packets_withheld: u64,
    /// Packets of recorded rooms that are for the host to store.
    pub packets_recorded: u64,
    /// Packets of recorded rooms that nobody took in time.
    pub packets_unrecorded: u64,
    /// Packets of browsers that never came, or came too late.
    pub lost_in: u64,
    /// Packets that browsers say never came to them.
    pub lost_out: u64,
    /// Packets that browsers were asked to send again.
    pub nacks_out: u64,
    /// Requests of browsers to send packets again.
    pub nacks_in: u64,
    /// Whole pictures that browsers were asked for.
    pub plis_out: u64,
    /// Whole pictures that browsers asked for.
    pub plis_in: u64,
    /// Offers that were answered.
    pub offers: u64,
    /// Offers that were refused.
    pub offers_refused: u64,
    /// Connections that ended because nothing came any more.
    pub connections_lost: u64,
    /// How it was when it was looked at last, a second ago or less.
    pub gauges: Gauges,
    drops: [u64; Dropped::ALL.len()],
}

/// How a forwarder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gauges {
    /// Participants that the forwarder was told of.
    pub participants: u64,
    /// Rooms with one of them.
    pub rooms: u64,
    /// Of the participants, how many are connected.
    pub connected: u64,
    /// Streams that come in, of those who are connected.
    pub tracks_in: u64,
    /// Media by which connected browsers receive.
    pub tracks_out: u64,
    /// Bits of sound and pictures that come in, a second.
    pub bit_rate_in: u64,
    /// Bits of sound and pictures that go out, a second.
    pub bit_rate_out: u64,
    /// How unevenly streams come in: the worst of all, in microseconds.
    pub jitter_max_us: u64,
    /// The longest way to a browser and back, in microseconds.
    pub round_trip_max_us: u64,
}

impl Counters {
    /// Takes note that something was dropped.
    pub(crate) const fn drop_for(&mut self, reason: Dropped) {
        self.drops[reason as usize] += 1;
    }

    /// Returns how often something was dropped for a reason.
    #[must_use]
    pub const fn dropped(&self, reason: Dropped) -> u64 {
        self.drops[reason as usize]
    }
}
