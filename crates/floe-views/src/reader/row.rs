//! From rows to events.

use floe_proto::{Event, EventKind, Millis, StoredEvent};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::key;

use super::scope::Known;

/// Columns of a row, in the order in which [`Found::read`] wants them.
pub const COLUMNS: &str = "row, author, created_at, deleted_at, edited_at, content";

/// Reactions of one event that an answer names: those that were there first.
const REACTIONS_MAX: u32 = 100;

/// A row that is in an answer.
#[derive(Debug)]
pub struct Found {
    /// Number of the row.
    pub row: i64,
    /// Its channel.
    pub channel: Known,
    author: i64,
    created_at: Millis,
    deleted: bool,
    edited_at: Option<Millis>,
    /// Its newest content.
    pub content: String,
}

impl Found {
    /// Copies what the answer needs from a row with [`COLUMNS`].
    pub fn read(row: &Row<'_>, channel: Known) -> rusqlite::Result<Self> {
        Ok(Self {
            row: row.get(0)?,
            channel,
            author: row.get(1)?,
            created_at: Millis(row.get::<_, i64>(2)? as u64),
            deleted: row.get::<_, Option<i64>>(3)?.is_some(),
            edited_at: row.get::<_, Option<i64>>(4)?.map(|at| Millis(at as u64)),
            content: row.get(5)?,
        })
    }

    /// Adds what other tables say about the row.
    pub fn complete(self, db: &Connection) -> rusqlite::Result<StoredEvent> {
        Ok(StoredEvent {
            channel: self.channel.id,
            event: Event {
                seq: key::seq(self.row),
                kind: EventKind::Message,
                author_id: author(db, self.author)?.into(),
                content: Some(self.content.into()),
                target_seq: None,
                reply_to: None,
                data: None,
                removed: false,
                created_at: self.created_at,
                deleted: self.deleted,
            },
            edited_at: self.edited_at,
            reactions: reactions(db, self.row)?,
            snippet: None,
            rank: None,
        })
    }
}

/// Returns the name of an author.
pub fn author(db: &Connection, no: i64) -> rusqlite::Result<String> {
    let name = db
        .prepare_cached("SELECT name FROM authors WHERE no = ?1")?
        .query_row([no], |row| row.get(0))
        .optional()?;
    Ok(name.unwrap_or_default())
}

fn reactions(db: &Connection, row: i64) -> rusqlite::Result<Vec<(Box<str>, u32)>> {
    db.prepare_cached(
        "SELECT reaction, authors FROM reaction_counts
         WHERE event = ?1 ORDER BY since LIMIT ?2",
    )?
    .query_map((row, REACTIONS_MAX), |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}
