//! How long to wait before another try.

use std::time::Duration;

/// When and how often something is tried again.
///
/// The wait before a try is random between zero and a bound that doubles from `delay_first` to
/// `delay_max` (full jitter), so that clients of a server that comes back do not come all at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included. Default 10; 1 never tries again.
    pub tries_max: u32,
    /// Bound of the first wait. Default 50 ms.
    pub delay_first: Duration,
    /// Bound of every wait. Default 10 s.
    pub delay_max: Duration,
    /// Time for one answer to begin, live reads apart. Default 30 s.
    pub answer_timeout: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries_max: 10,
            delay_first: Duration::from_millis(50),
            delay_max: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// The tries of one request.
#[derive(Debug)]
pub(crate) struct Tries {
    policy: RetryPolicy,
    failed: u32,
}

impl Tries {
    pub(crate) const fn new(policy: RetryPolicy) -> Self {
        Self { policy, failed: 0 }
    }

    /// Notes a failure; returns how long to wait, or `None` when it was the last try.
    ///
    /// `random` is between zero and one.
    pub(crate) fn delay_after_failure(&mut self, random: f64) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        if self.failed >= self.policy.tries_max {
            return None;
        }
        let doubled = 2u32.saturating_pow(self.failed - 1);
        let bound = self.policy.delay_first.saturating_mul(doubled);
        Some(bound.min(self.policy.delay_max).mul_f64(random))
    }

    /// Starts counting anew after a success.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_maximum_and_ends() {
        let mut tries = Tries::new(RetryPolicy {
            tries_max: 5,
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_millis(300),
            ..RetryPolicy::default()
        });
        let delays: Vec<_> = std::iter::from_fn(|| tries.delay_after_failure(1.0)).collect();
        assert_eq!(delays, [100, 200, 300, 300].map(Duration::from_millis));
    }

    #[test]
    fn jitter_is_full() {
        let mut tries = Tries::new(RetryPolicy::default());
        assert_eq!(tries.delay_after_failure(0.0), Some(Duration::ZERO));
        assert_eq!(
            tries.delay_after_failure(0.5),
            Some(Duration::from_millis(50))
        );
    }
}
