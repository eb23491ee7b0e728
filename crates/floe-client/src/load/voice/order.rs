//! Whether the packets of one stream come, once each and in order (RFC 3550).

/// What came of one stream, by the sequence numbers that stand in clear in its packets.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) ssrc: u32,
    /// The newest packet, with the wraps of its number.
    newest: u64,
    /// Which of the 64 packets up to the newest came; the lowest bit is the newest.
    came: u64,
    counted: Counted,
    /// The newest packet when counting began.
    base: u64,
}

/// What is counted of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) received: u64,
    pub(super) duplicates: u64,
    pub(super) out_of_order: u64,
}

impl Order {
    /// Begins with the first packet.
    pub(super) fn new(ssrc: u32, sequence: u16) -> Self {
        // One turn of the number lies below it, so that an older packet has a place.
        let newest = (1 << 16) + u64::from(sequence);
        Self {
            ssrc,
            newest,
            came: 1,
            counted: Counted {
                received: 1,
                ..Counted::default()
            },
            base: newest - 1,
        }
    }

    /// Takes note of a packet.
    pub(super) fn note(&mut self, sequence: u16) {
        let ahead = sequence.wrapping_sub(self.newest as u16);
        if ahead == 0 {
            self.counted.duplicates += 1;
        } else if ahead < 1 << 15 {
            self.newest += u64::from(ahead);
            self.came = self.came.checked_shl(ahead.into()).unwrap_or(0) | 1;
            self.counted.received += 1;
        } else {
            let behind = u32::from(ahead.wrapping_neg());
            let bit = 1_u64.checked_shl(behind).unwrap_or(0);
            match self.came & bit {
                0 => {
                    self.came |= bit;
                    self.counted.out_of_order += 1;
                    self.counted.received += 1;
                }
                _ => self.counted.duplicates += 1,
            }
        }
    }

    /// Counts from here on.
    pub(super) fn begin(&mut self) {
        self.base = self.newest;
        self.counted = Counted::default();
    }

    /// Returns what was counted.
    pub(super) const fn counted(&self) -> Counted {
        self.counted
    }

    /// Returns how many packets before the newest did not come.
    pub(super) const fn lost(&self) -> u64 {
        (self.newest - self.base).saturating_sub(self.counted.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_doubles_and_stragglers_are_told_apart_over_a_wrap() {
        let mut order = Order::new(9, 65_533);
        for sequence in [65_534, 65_535, 1, 1, 0, 4, 65_535] {
            order.note(sequence);
        }
        let counted = Counted {
            received: 6,
            duplicates: 2,
            out_of_order: 1,
        };
        assert_eq!((order.counted(), order.lost()), (counted, 2));
    }

    #[test]
    fn what_came_before_counting_began_is_not_counted() {
        let mut order = Order::new(9, 10);
        order.note(15);
        order.begin();
        assert_eq!((order.counted(), order.lost()), (Counted::default(), 0));
        order.note(17);
        assert_eq!((order.counted().received, order.lost()), (1, 1));
    }
}
