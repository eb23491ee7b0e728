//! What a forwarder has done.

/// Totals since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that came in.
    pub datagrams_in: u64,
    /// Of those, how many belonged to nobody, or to nobody who could prove it.
    pub datagrams_refused: u64,
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
}
