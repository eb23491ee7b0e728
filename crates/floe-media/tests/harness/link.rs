//! Networks that take only so much.

use std::time::{Duration, Instant};

/// A queue in front of a line.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Bits a second.
    pub rate: u64,
    /// When the line is free again.
    free_at: Instant,
}

/// What would wait longer is dropped.
const QUEUE: Duration = Duration::from_millis(250);
/// Bytes of IP and UDP around a datagram.
const OVERHEAD: usize = 28;

impl Link {
    pub fn new(rate: u64, now: Instant) -> Self {
        Self { rate, free_at: now }
    }

    /// Returns how long a datagram waits, or nothing where it is dropped.
    pub fn carry(&mut self, bytes: usize, now: Instant) -> Option<Duration> {
        let begins = self.free_at.max(now);
        if begins - now > QUEUE {
            return None;
        }
        let bits = (bytes + OVERHEAD) as u64 * 8;
        self.free_at = begins + Duration::from_micros(bits * 1_000_000 / self.rate);
        Some(self.free_at - now)
    }
}
