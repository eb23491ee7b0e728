//! One unbroken stream made of parts of many.

use std::time::{Duration, Instant};

/// Gives the packets of changing sources the numbers of one stream.
///
/// A receiver sees sequence numbers without a gap that it would ask to have filled, and times that
/// go on as the clock did, whoever is speaking. Within one source, gaps and order stay as they came,
/// except for a gap so wide that nothing before it can be wanted any more: it is closed. So nobody who
/// sends makes the numbers go on faster than receivers, who know 16 bits of them, can follow.
#[derive(Debug, Clone)]
pub struct Renumber {
    /// Ticks of the stream's clock in a second.
    rate: u32,
    /// From which the packets come.
    source: Option<u64>,
    /// The first of it, there and here.
    first: (u64, u64),
    /// The last of it, there.
    last: u64,
    /// What is added to its times.
    shift: u32,
    /// The newest packet that went out, and when.
    newest: Option<Newest>,
    /// How many went out.
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Newest {
    sequence: u64,
    time: u32,
    at: Instant,
}

/// Where streams begin. Far from the wrap, which a receiver that has seen nothing cannot know of.
const BEGIN: u64 = 1;
/// Packets that may be missing between two of one source.
const GAP_MAX: u64 = 4_096;

impl Renumber {
    /// Begins a stream whose clock has `rate` ticks in a second.
    pub const fn new(rate: u32) -> Self {
        Self {
            rate,
            source: None,
            first: (0, BEGIN),
            last: 0,
            shift: 0,
            newest: None,
            count: 0,
        }
    }

    /// Returns how many numbers no packet had: it never came to the server, or has not by now.
    pub fn gaps(&self) -> u64 {
        let numbers = self.newest.map_or(0, |newest| newest.sequence + 1 - BEGIN);
        numbers.saturating_sub(self.count)
    }

    /// Returns the number and time of a packet here; `source` is another whenever the numbers of
    /// packets do not go on from before. `None` for one from before its source was taken up.
    pub fn next(
        &mut self,
        source: u64,
        sequence: u64,
        time: u32,
        now: Instant,
    ) -> Option<(u64, u32)> {
        if self.source != Some(source) {
            self.source = Some(source);
            self.first = (sequence, BEGIN);
            self.last = sequence;
            self.shift = 0;
            if let Some(newest) = self.newest {
                self.first.1 = newest.sequence + 1;
                self.shift = newest
                    .time
                    .wrapping_add(self.ticks(now.saturating_duration_since(newest.at)))
                    .wrapping_sub(time);
            }
        }
        if sequence.saturating_sub(self.last) > GAP_MAX
            && let Some(newest) = self.newest
        {
            self.first = (sequence, newest.sequence + 1);
        }
        self.last = self.last.max(sequence);
        let (first_there, first_here) = self.first;
        let here = sequence.checked_sub(first_there)? + first_here;
        self.count += 1;
        let time = time.wrapping_add(self.shift);
        if self.newest.is_none_or(|newest| newest.sequence < here) {
            self.newest = Some(Newest {
                sequence: here,
                time,
                at: now,
            });
        }
        Some((here, time))
    }

    /// Returns how many ticks a while has, at least one.
    fn ticks(&self, passed: Duration) -> u32 {
        let ticks = passed.as_micros().saturating_mul(self.rate.into()) / 1_000_000;
        // Times wrap; so does what is added to them.
        (ticks.max(1) & u128::from(u32::MAX)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 48_000;

    #[test]
    fn a_change_of_source_leaves_no_gap_and_time_goes_on() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut stream = Renumber::new(RATE);
        assert_eq!(stream.next(1, 500, 9_000, at(0)), Some((1, 9_000)));
        assert_eq!(stream.next(1, 502, 10_920, at(40)), Some((3, 10_920)));
        assert_eq!(stream.gaps(), 1);
        assert_eq!(stream.next(1, 501, 9_960, at(41)), Some((2, 9_960)));
        assert_eq!(stream.gaps(), 0);
        let (sequence, time) = stream.next(2, 70_000, 5, at(100)).unwrap();
        assert_eq!(sequence, 4);
        assert_eq!(time, 10_920 + 60 * 48);
        assert_eq!(
            stream.next(2, 69_999, 0, at(101)),
            None,
            "from before it was taken up"
        );
        assert_eq!(stream.next(2, 70_001, 965, at(120)), Some((5, time + 960)));
    }

    #[test]
    fn a_gap_too_wide_to_fill_is_closed() {
        let now = Instant::now();
        let mut stream = Renumber::new(RATE);
        let mut number = |sequence| stream.next(1, sequence, 0, now).map(|(here, _)| here);
        assert_eq!(number(10), Some(1));
        assert_eq!(number(10 + GAP_MAX), Some(1 + GAP_MAX));
        assert_eq!(number(40_000), Some(2 + GAP_MAX));
        assert_eq!(number(39_999), None);
        assert_eq!(number(40_001), Some(3 + GAP_MAX));
    }

    #[test]
    fn times_wrap_like_those_of_the_source() {
        let now = Instant::now();
        let mut stream = Renumber::new(RATE);
        assert_eq!(
            stream.next(1, 1, u32::MAX - 10, now),
            Some((1, u32::MAX - 10))
        );
        assert_eq!(stream.next(1, 2, 949, now), Some((2, 949)));
    }
}
