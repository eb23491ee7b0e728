//! How much the tables were used, per day.

use std::collections::BTreeMap;

use floe_proto::Millis;
use rusqlite::Connection;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// What was counted and is not in the file yet, by the number of the day.
#[derive(Debug, Default)]
pub struct Counted(BTreeMap<u64, Day>);

#[derive(Debug, Default)]
struct Day {
    reads: u64,
    writes: u64,
}

impl Counted {
    /// Counts reads.
    pub fn reads(&mut self, at: Millis, count: u64) {
        if count > 0 {
            self.0.entry(at.0 / DAY_MS).or_default().reads += count;
        }
    }

    /// Counts changes of rows.
    pub fn writes(&mut self, at: Millis, count: u64) {
        if count > 0 {
            self.0.entry(at.0 / DAY_MS).or_default().writes += count;
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes what was counted, and removes days that are too long ago.
    pub fn save(&self, db: &Connection, days: u32) -> rusqlite::Result<()> {
        for (day, counted) in &self.0 {
            db.prepare_cached(
                "INSERT INTO _floe_usage (day, reads, writes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (day) DO UPDATE SET
                 reads = reads + excluded.reads, writes = writes + excluded.writes",
            )?
            .execute((
                day.cast_signed(),
                counted.reads.cast_signed(),
                counted.writes.cast_signed(),
            ))?;
        }
        if !self.0.is_empty() {
            db.prepare_cached(
                "DELETE FROM _floe_usage WHERE day <= (SELECT max(day) FROM _floe_usage) - ?1",
            )?
            .execute([days])?;
        }
        Ok(())
    }

    /// Forgets what was counted.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
