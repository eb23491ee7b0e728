//! The host's clock, read once a turn.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use floe_proto::Millis;

/// What time it is in this turn of the event loop.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// Wall time, for rooms; it never goes back.
    pub wall: Millis,
    /// Milliseconds since the start, for deadlines of connections; unmoved by changes of the wall
    /// clock.
    pub uptime_ms: u64,
    /// The same in microseconds, for what is measured.
    pub uptime_us: u64,
    date: String,
    date_s: u64,
}

impl Clock {
    /// Starts the clock.
    pub fn new() -> Self {
        let mut clock = Self {
            started: Instant::now(),
            wall: Millis(0),
            uptime_ms: 0,
            uptime_us: 0,
            date: String::new(),
            date_s: u64::MAX,
        };
        clock.turn();
        clock
    }

    /// Reads the time for the next turn.
    pub fn turn(&mut self) {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.wall = self.wall.max(Millis(wall.as_millis() as u64));
        self.uptime_us = self.now_us();
        self.uptime_ms = self.uptime_us / 1_000;
    }

    /// Reads how long the clock has run, in microseconds, at this very moment.
    pub fn now_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    /// Returns the time as the `Date` field has it (RFC 9110, section 5.6.7).
    pub fn date(&mut self) -> &str {
        let second = self.wall.0 / 1000;
        if second != self.date_s {
            self.date_s = second;
            self.date =
                httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(second));
        }
        &self.date
    }
}
