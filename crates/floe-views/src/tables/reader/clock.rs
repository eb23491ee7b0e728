//! When a query must end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use floe_proto::Code;
use floe_proto::table::TableError;
use rusqlite::Connection;

use super::super::SqlLimits;

/// Steps of SQLite's machine between two looks at the clock: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 2_000;
/// Milliseconds between two looks at what was written to temporary files.
const WRITTEN_EVERY_MS: u64 = 5;

/// Stops a query when its time is over, or when it has written too much to temporary files.
#[derive(Debug)]
pub struct Clock(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    started: Instant,
    /// Milliseconds after `started`.
    deadline_ms: AtomicU64,
    /// When to look next at what was written.
    look_at_ms: AtomicU64,
    /// Bytes that the thread may have written.
    written_max: AtomicU64,
    /// Whether it was stopped because it wrote too much.
    wrote_too_much: AtomicU64,
}

/// While it is there, queries have a limit.
#[derive(Debug)]
pub struct Limited(Arc<Watched>);

impl Clock {
    /// Watches all that a connection does from now on.
    pub fn watch(db: &mut Connection) -> rusqlite::Result<Self> {
        let watched = Arc::new(Watched {
            started: Instant::now(),
            deadline_ms: AtomicU64::new(u64::MAX),
            look_at_ms: AtomicU64::new(u64::MAX),
            written_max: AtomicU64::new(u64::MAX),
            wrote_too_much: AtomicU64::new(0),
        });
        let looks = Arc::clone(&watched);
        db.progress_handler(STEPS_PER_LOOK, Some(move || looks.is_over()))?;
        Ok(Self(watched))
    }

    /// Sets the limits of the query that comes next on this thread.
    pub fn limit(&self, limits: &SqlLimits) -> Limited {
        let now = self.0.now_ms();
        let written = written().map_or(u64::MAX, |bytes| {
            bytes.saturating_add(limits.temporary_bytes_max)
        });
        self.0.wrote_too_much.store(0, Ordering::Relaxed);
        self.0.written_max.store(written, Ordering::Relaxed);
        self.0
            .look_at_ms
            .store(now + WRITTEN_EVERY_MS, Ordering::Relaxed);
        let deadline_ms = now.saturating_add(limits.timeout_ms);
        self.0.deadline_ms.store(deadline_ms, Ordering::Relaxed);
        Limited(Arc::clone(&self.0))
    }

    /// Says why the query was stopped.
    pub fn why(&self, limits: &SqlLimits) -> TableError {
        if self.0.wrote_too_much.load(Ordering::Relaxed) == 1 {
            let bytes = limits.temporary_bytes_max;
            let message = format!("the SQL needs more than {bytes} bytes for what lies in between");
            return TableError::new(Code::QueryTooLarge, message);
        }
        let message = format!("the SQL took longer than {} ms", limits.timeout_ms);
        TableError::new(Code::QueryTimeout, message)
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.0.deadline_ms.store(u64::MAX, Ordering::Relaxed);
        self.0.look_at_ms.store(u64::MAX, Ordering::Relaxed);
    }
}

impl Watched {
    fn is_over(&self) -> bool {
        let now = self.now_ms();
        if now >= self.look_at_ms.load(Ordering::Relaxed) {
            self.look_at_ms
                .store(now + WRITTEN_EVERY_MS, Ordering::Relaxed);
            let written_max = self.written_max.load(Ordering::Relaxed);
            if written().is_some_and(|bytes| bytes > written_max) {
                self.wrote_too_much.store(1, Ordering::Relaxed);
                return true;
            }
        }
        now > self.deadline_ms.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Returns how many bytes this thread has written to files; `None` where the system does not tell.
///
/// A query runs on one thread, and has nothing to write to but its temporary files.
fn written() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("wchar: "))?;
    line.trim().parse().ok()
}
