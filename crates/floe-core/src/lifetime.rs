//! How long a room lives.

use floe_proto::Millis;

/// When a room ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lifetime {
    /// Never.
    #[default]
    Unlimited,
    /// This many seconds after the last read or write.
    Ttl(u64),
    /// At this moment.
    ExpiresAt(Millis),
}

impl Lifetime {
    /// Returns when a room last touched at `touched` ends.
    #[must_use]
    pub const fn deadline(self, touched: Millis) -> Option<Millis> {
        match self {
            Self::Unlimited => None,
            Self::Ttl(seconds) => Some(touched.plus(seconds.saturating_mul(1000))),
            Self::ExpiresAt(at) => Some(at),
        }
    }

    /// Returns how old a touch may grow before a read makes a new one durable.
    ///
    /// Reads move a sliding deadline in memory at once, and in the log only this often: an eighth
    /// of the TTL, so that a restart shortens a life by no more than that.
    #[must_use]
    pub const fn touch_interval_ms(self) -> Option<u64> {
        match self {
            Self::Ttl(seconds) => {
                let eighth = seconds.saturating_mul(125);
                Some(if eighth < 250 { 250 } else { eighth })
            }
            Self::Unlimited | Self::ExpiresAt(_) => None,
        }
    }
}
