//! What retention and purges leave over goes away, some rows at a time.

use rusqlite::{Connection, OptionalExtension as _};

use crate::index::Index;
use crate::key;

use super::Applied;

/// Removes up to about `rows_max` rows.
pub fn trim(
    db: &Connection,
    index: &Index,
    rows_max: u32,
    applied: &mut Applied,
) -> rusqlite::Result<()> {
    let mut left = i64::from(rows_max);
    while let Some(channel) = next_channel(db)? {
        if left <= 0 {
            applied.more_to_trim = true;
            break;
        }
        let removed = remove_rows(db, index, &channel, left)?;
        applied.removed += removed as u64;
        if removed < left {
            finish(db, &channel)?;
        }
        // A channel without rows costs something, too.
        left -= removed + 1;
    }
    Ok(())
}

/// A channel with something to remove.
struct ToTrim {
    no: i64,
    start: u64,
    purged: bool,
}

impl ToTrim {
    /// Events before this one go.
    fn end(&self) -> i64 {
        let seq = if self.purged {
            key::SEQ_MAX
        } else {
            self.start
        };
        key::row(self.no, seq)
    }
}

fn next_channel(db: &Connection) -> rusqlite::Result<Option<ToTrim>> {
    db.prepare_cached(
        "SELECT no, start, purged FROM channels
         WHERE purged OR trimmed < start ORDER BY no LIMIT 1",
    )?
    .query_row([], |row| {
        Ok(ToTrim {
            no: row.get(0)?,
            start: row.get::<_, i64>(1)? as u64,
            purged: row.get(2)?,
        })
    })
    .optional()
}

/// Removes up to `rows_max` of a channel's oldest rows with all that hangs on them.
fn remove_rows(
    db: &Connection,
    index: &Index,
    channel: &ToTrim,
    rows_max: i64,
) -> rusqlite::Result<i64> {
    let rows = db
        .prepare_cached(
            "SELECT row, created_at, deleted_at IS NOT NULL FROM events
             WHERE row > ?1 AND row < ?2 ORDER BY row LIMIT ?3",
        )?
        .query_map((key::row(channel.no, 0), channel.end(), rows_max), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, i64, bool)>>>()?;
    for (row, at, is_deleted) in &rows {
        // What was deleted has left the index before.
        if !is_deleted {
            index.remove(db, *row, *at)?;
        }
        for sql in [
            "DELETE FROM events WHERE row = ?1",
            "DELETE FROM versions WHERE event = ?1",
            "DELETE FROM reactions WHERE event = ?1",
            "DELETE FROM reaction_counts WHERE event = ?1",
        ] {
            db.prepare_cached(sql)?.execute([row])?;
        }
    }
    if let (Some((first, ..)), Some((last, ..))) = (rows.first(), rows.last()) {
        // All that lay between them has gone with them.
        for sql in [
            "DELETE FROM reply_counts WHERE event >= ?1 AND event <= ?2",
            "DELETE FROM mentions WHERE row >= ?1 AND row <= ?2",
            "DELETE FROM pins WHERE event >= ?1 AND event <= ?2",
        ] {
            db.prepare_cached(sql)?.execute((first, last))?;
        }
    }
    Ok(rows.len() as i64)
}

/// Removes what is left of a channel without rows to remove.
fn finish(db: &Connection, channel: &ToTrim) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM deletions WHERE target > ?1 AND target < ?2")?
        .execute((key::row(channel.no, 0), channel.end()))?;
    let sql = if channel.purged {
        "DELETE FROM channels WHERE no = ?1"
    } else {
        "UPDATE channels SET trimmed = start WHERE no = ?1"
    };
    db.prepare_cached(sql)?.execute([channel.no])?;
    Ok(())
}
