//! One event and its versions.

use floe_proto::{ChannelId, Event, EventKind, Millis, StoredEvent};
use rusqlite::{Connection, OptionalExtension as _};

use crate::QueryError;

use super::Reader;
use super::row::{self, COLUMNS, Found};
use super::scope::Known;

/// Versions that an answer names: the newest.
const VERSIONS_MAX: u32 = 1_000;

/// Answers.
pub fn event(
    reader: &Reader,
    channel: ChannelId,
    seq: u64,
    with_deleted: bool,
) -> Result<Option<(StoredEvent, Vec<Event<'static>>)>, QueryError> {
    let db = &reader.db;
    let Some(known) = Known::find(db, channel)? else {
        return Ok(None);
    };
    if seq < known.start || (known.deleted && !with_deleted) {
        return Ok(None);
    }
    let found = db
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events
             WHERE channel = ?1 AND seq = ?2 AND (?3 OR deleted_at IS NULL)"
        ))?
        .query_row((known.no, seq as i64, with_deleted), |row| {
            Found::read(row, known)
        })
        .optional()?;
    let Some(found) = found else {
        return Ok(None);
    };
    let row = found.row;
    let stored = found.complete(db)?;
    let versions = versions(db, row, stored.event.deleted)?;
    Ok(Some((stored, versions)))
}

fn versions(db: &Connection, row: i64, deleted: bool) -> rusqlite::Result<Vec<Event<'static>>> {
    let mut newest = db.prepare_cached(
        "SELECT seq, author, created_at, content, seq > (SELECT seq FROM events WHERE row = ?1)
         FROM versions WHERE event = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let mut rows = newest.query((row, VERSIONS_MAX))?;
    let mut versions = Vec::new();
    while let Some(version) = rows.next()? {
        let is_edit = version.get(4)?;
        versions.push(Event {
            seq: version.get::<_, i64>(0)? as u64,
            kind: if is_edit {
                EventKind::Edit
            } else {
                EventKind::Message
            },
            author_id: row::author(db, version.get(1)?)?.into(),
            content: Some(version.get::<_, String>(3)?.into()),
            target_seq: None,
            removed: false,
            created_at: Millis(version.get::<_, i64>(2)? as u64),
            deleted,
        });
    }
    versions.reverse();
    Ok(versions)
}
