//! When to try again what a store has refused.

use floe_proto::Millis;

/// Waiting time that doubles with each failure in a row, from half a second to a minute; up to half
/// of it is left off by chance, so that many servers do not come back at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    after: Millis,
}

const FIRST_MS: u64 = 1_000;
const MOST_MS: u64 = 60_000;

impl Backoff {
    /// Returns whether another try may be made.
    pub(crate) fn is_over(&self, now: Millis) -> bool {
        now >= self.after
    }

    /// Notes a failure; `chance` is a number that differs from server to server.
    pub(crate) fn fail(&mut self, now: Millis, chance: u64) {
        let whole = (FIRST_MS << self.failures.min(16)).min(MOST_MS);
        self.failures = self.failures.saturating_add(1);
        self.after = now.plus(whole - chance % (whole / 2));
    }

    /// Notes a success.
    pub(crate) fn succeed(&mut self) {
        *self = Self::default();
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits_longer_each_time_up_to_a_minute_and_begins_anew_after_a_success() {
        let mut backoff = Backoff::default();
        assert!(backoff.is_over(Millis(0)));
        let mut waits = Vec::new();
        for _ in 0..10 {
            backoff.fail(Millis(0), 0);
            waits.push(backoff.after.0);
        }
        assert_eq!(waits[..3], [1_000, 2_000, 4_000]);
        assert_eq!(waits[9], 60_000);
        backoff.fail(Millis(0), 29_999);
        assert!(!backoff.is_over(Millis(30_000)) && backoff.is_over(Millis(30_001)));
        backoff.succeed();
        backoff.fail(Millis(5), 0);
        assert!(!backoff.is_over(Millis(1_004)) && backoff.is_over(Millis(1_005)));
    }
}
