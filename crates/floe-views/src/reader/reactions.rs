//! Reactions to one message, and who gives them.

use floe_proto::{ChannelId, ReactionCount, Reactions};
use rusqlite::Connection;

use crate::{QueryError, key};

use super::Reader;
use super::row;
use super::scope::Known;

/// Answers; `None` for a channel that the view does not know.
pub fn reactions(
    reader: &Reader,
    channel: ChannelId,
    seq: u64,
) -> Result<Option<Reactions>, QueryError> {
    let db = &reader.db;
    let Some(known) = Known::find(db, channel)? else {
        return Ok(None);
    };
    let target = key::row(known.no, seq);
    let is_there = db
        .prepare_cached("SELECT 1 FROM events WHERE row = ?1 AND deleted_at IS NULL")?
        .exists([target])?;
    let mut reactions = Reactions {
        applied: known.applied,
        counts: Vec::new(),
        are_all_named: true,
    };
    if !is_there || seq < known.start || known.deleted {
        return Ok(Some(reactions));
    }
    let mut left = Reactions::AUTHORS_MAX;
    for (reaction, count) in row::reactions(db, target)? {
        let authors = authors(db, target, &reaction, left)?;
        left -= authors.len();
        reactions.are_all_named &= authors.len() == count as usize;
        reactions.counts.push(ReactionCount {
            reaction,
            count,
            authors,
        });
    }
    Ok(Some(reactions))
}

fn authors(
    db: &Connection,
    target: i64,
    reaction: &str,
    max: usize,
) -> rusqlite::Result<Vec<Box<str>>> {
    db.prepare_cached(
        "SELECT a.name FROM reactions r JOIN authors a ON a.no = r.author
         WHERE r.event = ?1 AND r.reaction = ?2 ORDER BY r.author LIMIT ?3",
    )?
    .query_map((target, reaction, max as i64), |row| row.get(0))?
    .collect()
}
