//! How much a user has not read yet.

use floe_proto::{Unread, UnreadQuery};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::{QueryError, key};

use super::Reader;
use super::row::author_no;
use super::scope::Known;

/// Newest events of a channel that are looked at; older ones are not counted. Only who wrote most of
/// them, or whose reading is far behind many that were deleted, is told too little.
const SCANNED_MAX: u32 = 10 * Unread::COUNT_MAX;

/// Answers, in the order of the question; channels that the view does not know have nothing.
pub fn unread(reader: &Reader, query: &UnreadQuery) -> Result<Vec<Unread>, QueryError> {
    let db = &reader.db;
    let channels = query.channels.iter().take(UnreadQuery::CHANNELS_MAX);
    let counted = channels.map(|(channel, after_seq)| {
        let mut counts = Unread {
            channel: *channel,
            after_seq: *after_seq,
            applied: 0,
            unread: 0,
            mentions: 0,
        };
        let Some(known) = Known::find(db, *channel)? else {
            return Ok(counts);
        };
        counts.applied = known.applied;
        if known.deleted {
            return Ok(counts);
        }
        let user = author_no(db, known.ns, &query.user)?;
        let after = (*after_seq).max(known.start.saturating_sub(1));
        let part = (key::row(known.no, after), key::row(known.no + 1, 0));
        counts.unread = messages(db, part, user)?;
        if let Some(user) = user {
            counts.mentions = mentions(db, part, user)?;
        }
        Ok(counts)
    });
    counted.collect()
}

/// Counts messages of others that were not deleted, newest first.
fn messages(
    db: &Connection,
    (after, before): (i64, i64),
    user: Option<i64>,
) -> rusqlite::Result<u32> {
    let mut newest = db.prepare_cached(
        "SELECT author, deleted_at FROM events WHERE row > ?1 AND row < ?2
         ORDER BY row DESC LIMIT ?3",
    )?;
    let mut rows = newest.query((after, before, SCANNED_MAX))?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        let is_own = Some(row.get::<_, i64>(0)?) == user;
        let is_there = matches!(row.get_ref(1)?, ValueRef::Null);
        count += u32::from(is_there && !is_own);
        if count == Unread::COUNT_MAX {
            break;
        }
    }
    Ok(count)
}

/// Counts messages of others that mention a user and were not deleted.
fn mentions(db: &Connection, (after, before): (i64, i64), user: i64) -> rusqlite::Result<u32> {
    db.prepare_cached(
        "SELECT count(*) FROM (
           SELECT 1 FROM (
             SELECT row FROM mentions WHERE user = ?1 AND row > ?2 AND row < ?3
             ORDER BY row DESC LIMIT ?4
           ) m JOIN events e ON e.row = m.row
           WHERE e.deleted_at IS NULL AND e.author <> ?1 LIMIT ?5
         )",
    )?
    .query_row(
        (user, after, before, SCANNED_MAX, Unread::COUNT_MAX),
        |row| row.get(0),
    )
}
