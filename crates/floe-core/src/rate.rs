//! How often something may happen: token buckets, and bounded tables of them.
//!
//! A [`Bucket`] remembers what was taken out of it and not yet refilled, so a full one is nothing at
//! all, whatever the [`Rate`] is: it can be forgotten, and a rate can change at any time.

mod table;

use floe_proto::Millis;

pub use table::{Seat, Table};

/// So many per second, with so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u64,
    burst: u64,
}

/// What was taken at a [`Rate`] and is not yet refilled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// What is missing, in thousandths: a rate per second refills whole ones of these each
    /// millisecond, so nothing is ever rounded.
    missing: u64,
    /// When that much was missing.
    at: Millis,
}

/// Why nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// There will be enough after so many milliseconds, at least one.
    For(u64),
    /// More was asked for than the bucket ever holds.
    Always,
}

impl Rate {
    /// What a second can bring, and a bucket hold, at most.
    pub const MOST: u64 = 1 << 40;

    /// Makes a rate. Neither number is below 1 or above [`MOST`](Self::MOST).
    #[must_use]
    pub fn new(per_second: u64, burst: u64) -> Self {
        Self {
            per_second: per_second.clamp(1, Self::MOST),
            burst: burst.clamp(1, Self::MOST),
        }
    }

    /// Returns how many a second brings.
    #[must_use]
    pub const fn per_second(self) -> u64 {
        self.per_second
    }

    /// Returns how many there are at once.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// Returns the milliseconds that it takes to refill an empty bucket, rounded up.
    #[must_use]
    pub const fn refill_ms(self) -> u64 {
        (self.burst * THOUSANDTHS).div_ceil(self.per_second)
    }
}

impl Bucket {
    /// Checks whether `count` can be taken at `now`, and takes nothing.
    ///
    /// # Errors
    /// When there is not enough.
    pub fn check(&self, rate: Rate, now: Millis, count: u64) -> Result<(), Empty> {
        if count > rate.burst {
            return Err(Empty::Always);
        }
        let room = rate.burst * THOUSANDTHS;
        let wanted = self.missing_at(rate, now) + count * THOUSANDTHS;
        if wanted > room {
            return Err(Empty::For((wanted - room).div_ceil(rate.per_second)));
        }
        Ok(())
    }

    /// Takes `count` at `now`.
    ///
    /// # Errors
    /// When there is not enough, and nothing was taken.
    pub fn take(&mut self, rate: Rate, now: Millis, count: u64) -> Result<(), Empty> {
        self.check(rate, now, count)?;
        self.missing = self.missing_at(rate, now) + count * THOUSANDTHS;
        self.at = now;
        Ok(())
    }

    /// Returns how many could be taken at `now`.
    #[must_use]
    pub fn left(&self, rate: Rate, now: Millis) -> u64 {
        (rate.burst * THOUSANDTHS - self.missing_at(rate, now)) / THOUSANDTHS
    }

    /// Returns the milliseconds after which the bucket is full.
    #[must_use]
    pub fn full_in_ms(&self, rate: Rate, now: Millis) -> u64 {
        self.missing_at(rate, now).div_ceil(rate.per_second)
    }

    /// What is missing by now. A rate that became smaller has not lost more than all of it.
    fn missing_at(&self, rate: Rate, now: Millis) -> u64 {
        let refilled = now.since(self.at).saturating_mul(rate.per_second);
        let missing = self.missing.saturating_sub(refilled);
        missing.min(rate.burst * THOUSANDTHS)
    }
}

const THOUSANDTHS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
        let rate = Rate::new(2, 3);
        let mut bucket = Bucket::default();
        let now = Millis(10_000);
        assert_eq!(bucket.take(rate, now, 2), Ok(()));
        assert_eq!((bucket.left(rate, now), rate.refill_ms()), (1, 1_500));
        assert_eq!(bucket.take(rate, now, 1), Ok(()));
        assert_eq!(bucket.take(rate, now, 1), Err(Empty::For(500)));
        assert_eq!(bucket.take(rate, Millis(10_499), 1), Err(Empty::For(1)));
        assert_eq!(bucket.take(rate, Millis(10_500), 1), Ok(()));
        assert_eq!(bucket.full_in_ms(rate, Millis(10_500)), 1_500);
        assert_eq!(bucket.left(rate, Millis(12_000)), 3);
    }

    #[test]
    fn more_than_the_burst_never_fits() {
        let rate = Rate::new(1_000, 5);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, Millis(0), 6), Err(Empty::Always));
        assert_eq!(bucket, Bucket::default());
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rate = Rate::new(u64::MAX, u64::MAX);
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(rate, Millis(0), Rate::MOST), Ok(()));
        assert_eq!(bucket.take(rate, Millis(0), u64::MAX), Err(Empty::Always));
        assert_eq!(bucket.left(rate, Millis(u64::MAX)), Rate::MOST);
        let none = Rate::new(0, 0);
        assert_eq!((none.per_second(), none.burst()), (1, 1));
    }

    #[test]
    fn a_rate_that_changes_holds_at_once() {
        let mut bucket = Bucket::default();
        bucket.take(Rate::new(1, 100), Millis(0), 100).unwrap();
        let small = Rate::new(1, 2);
        assert_eq!(bucket.check(small, Millis(0), 1), Err(Empty::For(1_000)));
        let fast = Rate::new(1_000, 100);
        assert_eq!(bucket.left(fast, Millis(50)), 50);
    }

    proptest! {
        /// A plain model in fractions of nothing: whole milliseconds, each of which refills.
        #[test]
        fn a_bucket_is_a_model_that_refills_each_millisecond(
            per_second in 1_u64..5_000,
            burst in 1_u64..300,
            steps in proptest::collection::vec((0_u64..700, 0_u64..40), 1..80),
        ) {
            let rate = Rate::new(per_second, burst);
            let (mut bucket, mut now, mut level) = (Bucket::default(), 5, burst * 1_000);
            let mut taken = 0;
            for (wait, count) in steps {
                for _ in 0..wait {
                    level = (level + per_second).min(burst * 1_000);
                }
                now += wait;
                let fits = count * 1_000 <= level;
                let outcome = bucket.take(rate, Millis(now), count);
                prop_assert_eq!(outcome.is_ok(), fits);
                match outcome {
                    Ok(()) => {
                        level -= count * 1_000;
                        taken += count;
                    }
                    Err(Empty::For(ms)) => {
                        prop_assert!(bucket.check(rate, Millis(now + ms), count).is_ok());
                        prop_assert!(bucket.check(rate, Millis(now + ms - 1), count).is_err());
                    }
                    Err(Empty::Always) => prop_assert!(count > burst),
                }
                prop_assert_eq!(bucket.left(rate, Millis(now)), level / 1_000);
                prop_assert!(taken <= burst + (now - 5) * per_second / 1_000);
            }
        }
    }
}
