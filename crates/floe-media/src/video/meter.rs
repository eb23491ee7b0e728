//! How much a stream carries.

use std::time::{Duration, Instant};

/// Counts bytes over the last second.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    /// Bytes of each span, which is known by its number since the first packet.
    spans: [(u64, u64); SPANS],
    began_at: Option<Instant>,
}

/// Spans that are looked at.
const SPANS: usize = 8;
const SPAN: Duration = Duration::from_millis(125);
/// Of less nothing is said yet: the first packets are those of a keyframe.
const LEAST: Duration = Duration::from_millis(250);

impl Meter {
    /// Takes note of so many bytes.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        let number = self.number(now);
        let slot = &mut self.spans[(number % SPANS as u64) as usize];
        if slot.0 != number {
            *slot = (number, 0);
        }
        slot.1 += bytes as u64;
    }

    /// Returns the bits in a second.
    pub fn rate(&self, now: Instant) -> u64 {
        let Some(began_at) = self.began_at else {
            return 0;
        };
        let passed = now.saturating_duration_since(began_at);
        let number = passed.as_millis() as u64 / SPAN.as_millis() as u64;
        let recent = self.spans.iter();
        let bytes: u64 = recent
            .filter(|(at, _)| at + SPANS as u64 > number)
            .map(|(_, bytes)| bytes)
            .sum();
        let full = SPAN * (SPANS as u32 - 1) + into_span(passed);
        let span = passed.min(full).max(LEAST);
        bytes * 8 * 1_000 / span.as_millis() as u64
    }

    fn number(&mut self, now: Instant) -> u64 {
        let began_at = *self.began_at.get_or_insert(now);
        let passed = now.saturating_duration_since(began_at);
        passed.as_millis() as u64 / SPAN.as_millis() as u64
    }
}

/// Returns how much of the newest span has passed.
fn into_span(passed: Duration) -> Duration {
    Duration::from_millis(passed.as_millis() as u64 % SPAN.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_is_measured_and_an_old_one_forgotten() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut meter = Meter::default();
        assert_eq!(meter.rate(at(0)), 0);
        for ms in (0..5_000).step_by(10) {
            meter.add(1_000, at(ms));
            if ms >= 500 {
                let rate = meter.rate(at(ms));
                assert!((760_000..=840_000).contains(&rate), "{rate} at {ms}");
            }
        }
        assert_eq!(meter.rate(at(6_200)), 0);
    }

    #[test]
    fn the_first_packets_do_not_count_for_a_flood() {
        let start = Instant::now();
        let mut meter = Meter::default();
        meter.add(10_000, start);
        assert_eq!(meter.rate(start), 320_000);
    }
}
