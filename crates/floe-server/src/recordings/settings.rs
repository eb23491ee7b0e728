//! What an operator may set of recordings.

use std::time::Duration;

/// Bounds of recordings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingSettings {
    /// Recordings under way at once; 16. Above: 429 `LIMIT_REACHED`. 0: nothing is recorded.
    pub at_once_max: usize,
    /// Hours of one recording; 12. Then it ends.
    pub hours_max: u64,
    /// Days after which a recording is deleted; 30. 0 is never.
    pub keep_days: u64,
    /// Bytes that the disk must have left for a recording to begin and to go on; 1 GiB.
    pub free_bytes_min: u64,
}

impl RecordingSettings {
    /// How long one recording may be.
    pub(super) const fn length_max(&self) -> Duration {
        Duration::from_secs(self.hours_max.saturating_mul(60 * 60))
    }

    /// Milliseconds after which a recording is deleted, if it is.
    pub(super) fn keep_ms(&self) -> Option<u64> {
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        (self.keep_days > 0).then(|| self.keep_days.saturating_mul(DAY_MS))
    }
}

impl Default for RecordingSettings {
    fn default() -> Self {
        Self {
            at_once_max: 16,
            hours_max: 12,
            keep_days: 30,
            free_bytes_min: 1 << 30,
        }
    }
}
