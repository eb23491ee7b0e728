//! Why something that came in, or was to go out, was dropped.

/// A reason to drop a datagram or a packet. Nobody is told but those who look at the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dropped {
    /// A datagram that is larger than any that browsers send, or empty.
    Size,
    /// Neither STUN, DTLS, RTP nor RTCP.
    Malformed,
    /// From an address that nobody has proved to have.
    Unknown,
    /// STUN that names nobody, or whose sender does not know the secret of the one it names.
    Unproved,
    /// STUN from an address that another participant has.
    Taken,
    /// STUN from one more address than a browser may have.
    Addresses,
    /// A packet of one more stream than a browser may send, or of one that would take the place of
    /// another that goes on.
    Streams,
    /// DTLS that makes no sense on a connection that is there.
    Senseless,
    /// A packet above the bit rate of one sender.
    BitRate,
    /// A datagram that was not sent in time, because the host did not take it.
    Unsent,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Size,
        Self::Malformed,
        Self::Unknown,
        Self::Unproved,
        Self::Taken,
        Self::Addresses,
        Self::Streams,
        Self::Senseless,
        Self::BitRate,
        Self::Unsent,
    ];

    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Unproved => "unproved",
            Self::Taken => "taken",
            Self::Addresses => "addresses",
            Self::Streams => "streams",
            Self::Senseless => "senseless",
            Self::BitRate => "bit_rate",
            Self::Unsent => "unsent",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_place_and_a_word_of_its_own() {
        let places: Vec<_> = Dropped::ALL.map(|reason| reason as usize).into();
        assert_eq!(places, (0..Dropped::ALL.len()).collect::<Vec<_>>());
        let words: std::collections::BTreeSet<_> = Dropped::ALL.map(Dropped::as_str).into();
        assert_eq!(words.len(), Dropped::ALL.len());
    }
}
