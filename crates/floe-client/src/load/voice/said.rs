//! What a speaker says: who, when, and the how many-th packet it is.

/// The beginning of a packet's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// The room, by its number in the run.
    pub(super) room: u32,
    /// The participant, by its number in the run.
    pub(super) speaker: u32,
    /// When it was sent, on the run's clock.
    pub(super) sent_ns: u64,
}

impl Said {
    /// Bytes that it takes.
    pub(super) const LEN: usize = 20;

    /// Writes it to the start of a payload of at least [`LEN`](Self::LEN) bytes.
    pub(super) fn put(self, payload: &mut [u8]) {
        payload[0..4].copy_from_slice(MARK);
        payload[4..8].copy_from_slice(&self.room.to_be_bytes());
        payload[8..12].copy_from_slice(&self.speaker.to_be_bytes());
        payload[12..20].copy_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads it from the start of a payload.
    pub(super) fn read(payload: &[u8]) -> Option<Self> {
        let (mark, rest) = payload.split_first_chunk::<4>()?;
        let (room, rest) = rest.split_first_chunk::<4>()?;
        let (speaker, rest) = rest.split_first_chunk::<4>()?;
        let sent_ns = rest.first_chunk::<8>()?;
        (mark == MARK).then(|| Self {
            room: u32::from_be_bytes(*room),
            speaker: u32::from_be_bytes(*speaker),
            sent_ns: u64::from_be_bytes(*sent_ns),
        })
    }
}

const MARK: &[u8; 4] = b"said";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_nothing_else() {
        let said = Said {
            room: 7,
            speaker: 300,
            sent_ns: 1 << 40,
        };
        let mut payload = [0; 30];
        said.put(&mut payload);
        assert_eq!(Said::read(&payload), Some(said));
        assert_eq!(Said::read(&payload[..Said::LEN - 1]), None);
        payload[0] ^= 1;
        assert_eq!(Said::read(&payload), None);
    }
}
