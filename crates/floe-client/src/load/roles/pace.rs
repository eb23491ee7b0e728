//! Operations at a steady rate, instead of as many as the server takes.

/// A steady rate.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    interval_ns: u64,
    due_ns: u64,
}

impl Pace {
    /// One of `writers` that together make `per_second` operations; `writer` counts from zero.
    pub(crate) fn shared(per_second: f64, writers: usize, writer: usize) -> Self {
        let interval_ns = (writers as f64 * 1e9 / per_second) as u64;
        Self {
            interval_ns,
            due_ns: interval_ns * writer as u64 / writers as u64,
        }
    }

    /// Counts from `now_ns` on.
    pub(super) fn start(&mut self, now_ns: u64) {
        self.due_ns += now_ns;
    }

    /// When the next operation is due.
    pub(super) const fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Takes one operation if it is due.
    pub(super) fn take_due(&mut self, now_ns: u64) -> bool {
        let due = self.due_ns <= now_ns;
        if due {
            self.due_ns += self.interval_ns;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_share_a_rate_evenly() {
        let mut due = Vec::new();
        for writer in 0..2 {
            let mut pace = Pace::shared(100.0, 2, writer);
            for now_ms in 0..40 {
                if pace.take_due(now_ms * 1_000_000) {
                    due.push(now_ms);
                }
            }
        }
        due.sort_unstable();
        assert_eq!(due, [0, 10, 20, 30]);
    }
}
