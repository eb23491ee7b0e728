//! One event and its versions.

use floe_proto::{ChannelId, Event, EventKind, Millis, StoredEvent};
use rusqlite::{Connection, OptionalExtension as _};

use crate::{QueryError, key};

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
    viewer: Option<&str>,
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
             WHERE row = ?1 AND (?2 OR deleted_at IS NULL)"
        ))?
        .query_row((key::row(known.no, seq), with_deleted), |row| {
            Found::read(row, known)
        })
        .optional()?;
    let Some(found) = found else {
        return Ok(None);
    };
    let row = found.row;
    let viewer = match viewer {
        Some(name) => row::author_no(db, known.ns, name)?,
        None => None,
    };
    let stored = found.complete(db, viewer)?;
    let mut versions = versions(db, row, with_deleted)?;
    for version in &mut versions {
        version.deleted |= stored.event.deleted;
    }
    Ok(Some((stored, versions)))
}

fn versions(
    db: &Connection,
    event: i64,
    with_deleted: bool,
) -> rusqlite::Result<Vec<Event<'static>>> {
    let mut newest = db.prepare_cached(
        "SELECT row, author, created_at, deleted_at IS NOT NULL, content
         FROM versions WHERE event = ?1 AND (?2 OR deleted_at IS NULL)
         ORDER BY row DESC LIMIT ?3",
    )?;
    let mut rows = newest.query((event, with_deleted, VERSIONS_MAX))?;
    let mut versions = Vec::new();
    while let Some(version) = rows.next()? {
        let row: i64 = version.get(0)?;
        let is_edit = row != event;
        versions.push(Event {
            seq: key::seq(row),
            kind: if is_edit {
                EventKind::Edit
            } else {
                EventKind::Message
            },
            author_id: row::author(db, version.get(1)?)?.into(),
            content: Some(version.get::<_, String>(4)?.into()),
            target_seq: is_edit.then(|| key::seq(event)),
            reply_to: None,
            data: None,
            removed: false,
            created_at: Millis(version.get::<_, i64>(2)? as u64),
            deleted: version.get(3)?,
        });
    }
    versions.reverse();
    Ok(versions)
}
