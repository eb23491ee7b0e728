//! How much of something is allowed over time.

use std::time::Instant;

/// Fills by so much a second, up to a bound, and gives out what is in it.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_second: f64,
    bound: f64,
    level: f64,
    filled_at: Option<Instant>,
}

impl Bucket {
    /// Makes a full one.
    pub const fn new(per_second: f64, bound: f64) -> Self {
        Self {
            per_second,
            bound,
            level: bound,
            filled_at: None,
        }
    }

    /// Takes out an amount; where there is less, nothing is taken, and the answer is no.
    pub fn take(&mut self, amount: f64, now: Instant) -> bool {
        let before = self.filled_at.replace(now).unwrap_or(now);
        let passed = now.saturating_duration_since(before).as_secs_f64();
        self.level = (self.level + passed * self.per_second).min(self.bound);
        let is_there = self.level >= amount;
        if is_there {
            self.level -= amount;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_given_out_is_what_came_in_and_no_more_than_fits() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(2.0, 3.0);
        let taken: Vec<_> = [0, 0, 0, 0, 499, 500, 60_000, 60_000, 60_000, 60_000]
            .map(|ms| bucket.take(1.0, at(ms)))
            .into();
        assert_eq!(
            taken,
            [
                true, true, true, false, false, true, true, true, true, false
            ]
        );
    }
}
