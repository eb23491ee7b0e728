//! Time as the core sees it: a number handed in by the host.

/// Milliseconds since the Unix epoch, as read by the host.
///
/// The core never reads a clock. `Instant` cannot be made from a number and panics on some wasm
/// hosts, so time is a type of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Returns this moment moved later by `ms` milliseconds, or the end of time.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this moment, zero if it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
