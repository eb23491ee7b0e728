//! How late the event loop is.

use std::time::{Duration, Instant};

/// Follows the turns of the event loop, and says of each while how it went.
///
/// Late is what a turn took, and what may have waited longer than that: as long as the system hands
/// over as many events as one turn takes, there may be more behind them.
#[derive(Debug)]
pub struct LoopWatch {
    /// When the turn began that is under way.
    woke: Instant,
    /// When the loop last knew of everything that there was to do.
    drained: Instant,
    /// When the while began.
    began: Instant,
    busy: Duration,
    late: Duration,
}

/// How a while of the loop was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    /// The longest that something may have waited for the loop.
    pub late: Duration,
    /// Thousandths of the time in which it did not sleep.
    pub busy_permille: u64,
}

impl LoopWatch {
    /// Begins now.
    pub const fn new(now: Instant) -> Self {
        Self {
            woke: now,
            drained: now,
            began: now,
            busy: Duration::ZERO,
            late: Duration::ZERO,
        }
    }

    /// A turn has ended, and the loop sleeps until there is something to do.
    pub fn rests(&mut self, now: Instant) {
        let turn = now.saturating_duration_since(self.woke);
        let waited = now.saturating_duration_since(self.drained);
        self.busy += turn;
        self.late = self.late.max(turn).max(waited);
    }

    /// A turn begins. The events handed over are `all` that there were, or there may be more.
    pub const fn wakes(&mut self, now: Instant, all: bool) {
        self.woke = now;
        if all {
            self.drained = now;
        }
    }

    /// Ends a while, between two turns, and begins the next.
    pub fn take(&mut self, now: Instant) -> Window {
        let length = now.saturating_duration_since(self.began);
        // The turn under way counts as far as it has come.
        let busy = self.busy + now.saturating_duration_since(self.woke.max(self.began));
        let permille = busy.as_micros() * 1_000 / length.as_micros().max(1);
        let waited = now.saturating_duration_since(self.drained);
        let late = self.late.max(waited);
        self.began = now;
        self.woke = now;
        self.busy = Duration::ZERO;
        self.late = Duration::ZERO;
        Window {
            late,
            busy_permille: u64::try_from(permille).unwrap_or(u64::MAX).min(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_longest_turn_and_the_share_of_work_are_told() {
        let start = Instant::now();
        let mut watch = LoopWatch::new(start);
        watch.rests(start + ms(10));
        watch.wakes(start + ms(500), true);
        watch.rests(start + ms(700));
        watch.wakes(start + ms(900), true);
        let window = watch.take(start + ms(1_000));
        let expected = Window {
            late: ms(200),
            busy_permille: 310,
        };
        assert_eq!(window, expected);
        // The next while knows nothing of this one.
        watch.rests(start + ms(1_020));
        watch.wakes(start + ms(1_990), true);
        let window = watch.take(start + ms(2_000));
        assert_eq!((window.late, window.busy_permille), (ms(120), 30));
    }

    #[test]
    fn what_waits_behind_full_turns_is_late_since_the_first_of_them() {
        let start = Instant::now();
        let mut watch = LoopWatch::new(start);
        watch.rests(start);
        for turn in 0..10 {
            watch.wakes(start + ms(100 * turn), turn == 0);
            watch.rests(start + ms(100 * (turn + 1)));
        }
        let window = watch.take(start + ms(1_000));
        assert_eq!((window.late, window.busy_permille), (ms(1_000), 1_000));
    }
}
