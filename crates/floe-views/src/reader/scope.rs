//! Where a question looks.

use std::collections::HashMap;

use floe_proto::{ChannelId, Scope};
use rusqlite::{Connection, OptionalExtension as _};

use crate::key;
use crate::projector::{id_of, number_of};

/// Where a question looks, in numbers of the file.
#[derive(Debug, Clone)]
pub enum Area {
    /// One channel.
    Channel(Known),
    /// The namespace of this number.
    Namespace(i64),
    /// These channels of the namespace of this number, ascending by number.
    Channels(i64, Vec<Known>),
}

/// What a question must know of a channel.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its number.
    pub no: i64,
    /// Its identity.
    pub id: ChannelId,
    /// Number of its namespace.
    pub ns: i64,
    /// Oldest event that retention has kept.
    pub start: u64,
    /// Newest event applied.
    pub applied: u64,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Most that the time of an event lies before that of an earlier one.
    pub behind_ms: u64,
}

impl Area {
    /// Finds what a scope names; `None` when the view does not know it.
    pub fn find(db: &Connection, scope: &Scope) -> rusqlite::Result<Option<Self>> {
        match scope {
            Scope::Channel(id) => Ok(Known::find(db, *id)?.map(Self::Channel)),
            Scope::Namespace(name) => Ok(namespace(db, name)?.map(Self::Namespace)),
            Scope::Channels { owner, channels } => {
                let Some(ns) = namespace(db, owner)? else {
                    return Ok(None);
                };
                let mut all = Vec::with_capacity(channels.len());
                for id in channels {
                    // What is not there yet has nothing to find.
                    all.extend(Known::find(db, *id)?.filter(|known| known.ns == ns));
                }
                all.sort_by_key(|known| known.no);
                Ok((!all.is_empty()).then_some(Self::Channels(ns, all)))
            }
        }
    }

    /// Whether a channel belongs to the area.
    pub fn has(&self, channel: &Known) -> bool {
        match self {
            Self::Channel(known) => known.no == channel.no,
            Self::Namespace(no) => *no == channel.ns,
            Self::Channels(_, all) => is_among(all, channel.no),
        }
    }

    /// Whether the channel of this number may belong to the area, as far as its number says.
    pub fn has_channel(&self, no: i64) -> bool {
        match self {
            Self::Channel(known) => known.no == no,
            Self::Namespace(_) => true,
            Self::Channels(_, all) => is_among(all, no),
        }
    }

    /// Whether a row belongs to the area.
    pub fn has_row(&self, db: &Connection, row: i64) -> rusqlite::Result<bool> {
        match self {
            Self::Channel(known) => Ok(known.no == key::channel(row)),
            Self::Channels(_, all) => Ok(is_among(all, key::channel(row))),
            Self::Namespace(no) => db
                .prepare_cached("SELECT 1 FROM events WHERE row = ?1 AND ns = ?2")?
                .exists((row, no)),
        }
    }

    /// Returns the number of the namespace.
    pub const fn ns(&self) -> i64 {
        match self {
            Self::Channel(known) => known.ns,
            Self::Namespace(no) | Self::Channels(no, _) => *no,
        }
    }
}

fn is_among(all: &[Known], no: i64) -> bool {
    all.binary_search_by_key(&no, |known| known.no).is_ok()
}

fn namespace(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT no FROM namespaces WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

impl Known {
    const COLUMNS: &str = "no, id, ns, start, applied, deleted_at IS NOT NULL, behind_ms";

    /// Finds a channel by its identity.
    pub fn find(db: &Connection, id: ChannelId) -> rusqlite::Result<Option<Self>> {
        let columns = Self::COLUMNS;
        db.prepare_cached(&format!("SELECT {columns} FROM channels WHERE id = ?1"))?
            .query_row([number_of(id)], Self::read)
            .optional()
    }

    fn by_no(db: &Connection, no: i64) -> rusqlite::Result<Option<Self>> {
        let columns = Self::COLUMNS;
        db.prepare_cached(&format!(
            "SELECT {columns} FROM channels WHERE no = ?1 AND NOT purged"
        ))?
        .query_row([no], Self::read)
        .optional()
    }

    /// Returns channels of a namespace, at most `limit` of them.
    pub fn of_namespace(db: &Connection, ns: i64, limit: u32) -> rusqlite::Result<Vec<Self>> {
        let columns = Self::COLUMNS;
        db.prepare_cached(&format!(
            "SELECT {columns} FROM channels INDEXED BY channels_of_namespace
             WHERE ns = ?1 AND NOT purged LIMIT ?2"
        ))?
        .query_map((ns, limit), Self::read)?
        .collect()
    }

    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            no: row.get(0)?,
            id: id_of(row.get(1)?),
            ns: row.get(2)?,
            start: row.get::<_, i64>(3)? as u64,
            applied: row.get::<_, i64>(4)? as u64,
            deleted: row.get(5)?,
            behind_ms: row.get::<_, i64>(6)? as u64,
        })
    }
}

/// Channels that the rows of one answer belong to.
#[derive(Debug, Default)]
pub struct ChannelsSeen(HashMap<i64, Option<Known>>);

impl ChannelsSeen {
    /// Returns the channel of a row if the row may be in an answer: neither is the channel gone nor
    /// has retention taken the event.
    pub fn of_row(
        &mut self,
        db: &Connection,
        row: i64,
        with_deleted: bool,
    ) -> rusqlite::Result<Option<Known>> {
        let channel = key::channel(row);
        let known = match self.0.get(&channel) {
            Some(known) => *known,
            None => {
                let known = Known::by_no(db, channel)?;
                self.0.insert(channel, known);
                known
            }
        };
        Ok(known.filter(|known| key::seq(row) >= known.start && (with_deleted || !known.deleted)))
    }
}
