//! From rows to events.

use floe_proto::{Event, EventKind, Millis, Pin, StoredEvent};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::key;

use super::scope::Known;

/// Columns of a row, in the order in which [`Found::read`] wants them.
pub const COLUMNS: &str = "row, author, created_at, deleted_at, edited_at, content, reply_to, data";

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
    reply_to: Option<u64>,
    /// What it carries besides its content.
    pub data: Option<String>,
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
            reply_to: row.get::<_, Option<i64>>(6)?.map(key::seq),
            data: row.get(7)?,
        })
    }

    /// Adds what other tables say about the row, to a viewer of this number.
    pub fn complete(self, db: &Connection, viewer: Option<i64>) -> rusqlite::Result<StoredEvent> {
        let reactions = reactions(db, self.row)?;
        Ok(StoredEvent {
            own_reactions: own_reactions(db, self.row, &reactions, viewer)?,
            replies: replies(db, self.row)?,
            pin: pin(db, self.row)?,
            channel: self.channel.id,
            event: Event {
                seq: key::seq(self.row),
                kind: EventKind::Message,
                author_id: author(db, self.author)?.into(),
                content: Some(self.content.into()),
                target_seq: None,
                reply_to: self.reply_to,
                data: self.data.map(Into::into),
                removed: false,
                created_at: self.created_at,
                deleted: self.deleted,
            },
            edited_at: self.edited_at,
            reactions,
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

/// Returns the number of an author; `None` for a name that the namespace does not know.
pub fn author_no(db: &Connection, ns: i64, name: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT no FROM authors WHERE ns = ?1 AND name = ?2")?
        .query_row((ns, name), |row| row.get(0))
        .optional()
}

/// Returns those of the reactions to a message that a viewer gives.
fn own_reactions(
    db: &Connection,
    row: i64,
    reactions: &[(Box<str>, u32)],
    viewer: Option<i64>,
) -> rusqlite::Result<Vec<Box<str>>> {
    let mut own = Vec::new();
    let Some(viewer) = viewer else { return Ok(own) };
    for (reaction, _) in reactions {
        let is_own = db
            .prepare_cached(
                "SELECT 1 FROM reactions WHERE event = ?1 AND reaction = ?2 AND author = ?3",
            )?
            .exists((row, reaction, viewer))?;
        if is_own {
            own.push(reaction.clone());
        }
    }
    Ok(own)
}

fn replies(db: &Connection, row: i64) -> rusqlite::Result<u32> {
    let replies = db
        .prepare_cached("SELECT replies FROM reply_counts WHERE event = ?1")?
        .query_row([row], |found| found.get(0))
        .optional()?;
    Ok(replies.unwrap_or(0))
}

fn pin(db: &Connection, row: i64) -> rusqlite::Result<Option<Pin>> {
    db.prepare_cached(
        "SELECT p.row, a.name, p.created_at FROM pins p JOIN authors a ON a.no = p.author
         WHERE p.event = ?1",
    )?
    .query_row([row], |found| {
        Ok(Pin {
            seq: key::seq(found.get(0)?),
            author_id: found.get(1)?,
            at: Millis(found.get::<_, i64>(2)? as u64),
        })
    })
    .optional()
}

/// Returns the reactions to a message and how many give each, in the order of the first.
pub fn reactions(db: &Connection, row: i64) -> rusqlite::Result<Vec<(Box<str>, u32)>> {
    db.prepare_cached(
        "SELECT reaction, authors FROM reaction_counts
         WHERE event = ?1 ORDER BY since LIMIT ?2",
    )?
    .query_map((row, REACTIONS_MAX), |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}
