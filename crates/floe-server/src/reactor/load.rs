//! What is given up under load: measured once a second, asked where something new is admitted.

use std::time::Instant;

use floe_core::load::{Level, Load, LoadLimits, LoadSample};
use floe_log::Disk;
use floe_proto::{Code, Millis};
use floe_surfaces::http::Method;

use super::Reactor;
use super::conn::Context;
use crate::memory;
use crate::settings::Limits;
use crate::shard::{Failure, LOAD_RETRY_MS};
use crate::watch::LoopWatch;

/// How the server stands with its load.
#[derive(Debug)]
pub struct LoadWatch {
    load: Load,
    pub(super) turns: LoopWatch,
    /// Uptime of the next sample.
    next_ms: u64,
}

/// Milliseconds between two samples.
const SAMPLE_MS: u64 = 1_000;

impl LoadWatch {
    pub fn new(limits: &Limits) -> Self {
        Self {
            load: Load::new(bounds(limits)),
            turns: LoopWatch::new(Instant::now()),
            next_ms: SAMPLE_MS,
        }
    }

    pub const fn set_limits(&mut self, limits: &Limits) {
        self.load.set_limits(bounds(limits));
    }

    /// Returns when the loop has to look, if nothing else wakes it.
    pub fn wake_ms(&self) -> Option<u64> {
        (self.load.level() != Level::Normal).then_some(self.next_ms)
    }
}

const fn bounds(limits: &Limits) -> LoadLimits {
    LoadLimits {
        memory_bytes_max: limits.load_memory_bytes_max,
        late_ms_max: limits.load_late_ms_max,
    }
}

impl<D: Disk> Reactor<D> {
    /// Looks how the server is, once a second, and goes by it.
    pub(super) fn look_after_load(&mut self) {
        let uptime_ms = self.clock.uptime_ms;
        if uptime_ms < self.load.next_ms {
            return;
        }
        self.load.next_ms = uptime_ms + SAMPLE_MS;
        let window = self.load.turns.take(Instant::now());
        // It is read where it counts, and where somebody asks for it.
        let resident_bytes = match self.limits.load_memory_bytes_max {
            0 => 0,
            _ => memory::resident_bytes().unwrap_or_default(),
        };
        let late_ms = u64::try_from(window.late.as_millis()).unwrap_or(u64::MAX);
        self.metrics.loop_window(window);
        let sample = LoadSample {
            resident_bytes,
            late_ms,
        };
        let before = self.load.load.level();
        let Some(level) = self.load.load.observe(Millis(uptime_ms), sample) else {
            return;
        };
        self.shard.set_load(level);
        self.metrics.load_level(level);
        let (now, was) = (level.as_str(), before.as_str());
        if level > before {
            tracing::warn!(
                level = now,
                was,
                resident_bytes,
                late_ms,
                "more is given up"
            );
        } else {
            tracing::info!(
                level = now,
                was,
                resident_bytes,
                late_ms,
                "less is given up"
            );
        }
    }

    /// Returns what is given up.
    pub(super) const fn load_level(&self) -> Level {
        self.load.load.level()
    }

    /// Refuses what would stay, while the server has too much to do already.
    pub(super) fn admit_joiner(&self) -> Result<(), Failure> {
        if self.load_level().refuses_joins() {
            return Err(Failure {
                retry_after_ms: LOAD_RETRY_MS,
                ..Failure::new(
                    Code::Overloaded,
                    "the server has too much to do and takes no new live readers",
                )
            });
        }
        Ok(())
    }

    /// Answers how the server is: always with 200, since it serves as well as it can.
    pub(super) fn answer_load(&mut self, at: usize, context: Context, method: Method) {
        let level = self.load_level();
        let status = match level {
            Level::Normal => "ok",
            Level::NoJoins | Level::Thinned | Level::NoMessages => "degraded",
        };
        let (number, name) = (level.number(), level.as_str());
        let text = format!(r#"{{"status":"{status}","level":{number},"givenUp":"{name}"}}"#);
        self.answer_text(at, context, method, "application/json", &text);
    }
}
