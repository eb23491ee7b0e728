//! Lists of channels.

use floe_proto::{ChannelMeta, ChannelQuery, Millis, Page, Retention};
use rusqlite::{OptionalExtension as _, Row};

use crate::projector::id_of;
use crate::{QueryError, cursor};

use super::Reader;

/// Answers.
pub fn channels(reader: &Reader, query: &ChannelQuery) -> Result<Page<ChannelMeta>, QueryError> {
    let question = cursor::Question::new(2)
        .text(Some(&query.owner))
        .flag(query.with_deleted);
    let after = match &query.page {
        Some(page) => cursor::read(question, page)?.map(|number| number as i64),
        None => [i64::MIN, 0],
    };
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let db = &reader.db;
    let ns: Option<i64> = db
        .prepare_cached("SELECT no FROM namespaces WHERE name = ?1")?
        .query_row([&query.owner], |row| row.get(0))
        .optional()?;
    let Some(ns) = ns else {
        return Ok(page);
    };
    let limit = query.limit.clamp(1, reader.options.page_items_max) as usize;
    let mut statement = db.prepare_cached(
        "SELECT id, name, created_at, deleted_at, head, start, max_age_ms, max_events, max_bytes
         FROM channels INDEXED BY channels_of_namespace
         WHERE ns = ?1 AND (created_at, id) > (?2, ?3)
         ORDER BY created_at, id",
    )?;
    let mut rows = statement.query((ns, after[0], after[1]))?;
    let mut last = after;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        if looked_at >= reader.options.scan_max || page.items.len() >= limit {
            page.next = Some(cursor::write(question, last.map(|number| number as u64)));
            break;
        }
        looked_at += 1;
        last = [row.get(2)?, row.get(0)?];
        let deleted = row.get::<_, Option<i64>>(3)?.is_some();
        // What is purged has given up its identity.
        if last[1] >= 0 && (query.with_deleted || !deleted) {
            page.items.push(read(row, &query.owner)?);
        }
    }
    Ok(page)
}

fn read(row: &Row<'_>, owner: &str) -> rusqlite::Result<ChannelMeta> {
    let optional = |column| row.get::<_, Option<i64>>(column);
    Ok(ChannelMeta {
        id: id_of(row.get(0)?),
        name: row.get(1)?,
        owner: owner.into(),
        created_at: Millis(row.get::<_, i64>(2)? as u64),
        deleted_at: optional(3)?.map(|at| Millis(at as u64)),
        head: row.get::<_, i64>(4)? as u64,
        start: row.get::<_, i64>(5)? as u64,
        retention: Retention {
            max_age_ms: optional(6)?.map(|bound| bound as u64),
            max_events: optional(7)?.map(|bound| bound as u64),
            max_bytes: optional(8)?.map(|bound| bound as u64),
        },
    })
}
