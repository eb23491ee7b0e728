//! What the projector knows of a channel.

use std::collections::HashMap;

use floe_proto::{ChannelId, ChannelMeta, Millis, Retention};
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::{ViewError, key};

/// Channels that were touched lately.
#[derive(Debug, Default)]
pub struct Channels(HashMap<ChannelId, ChannelState>);

/// How far the view is with a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelState {
    /// Its number in this file.
    pub no: i64,
    /// Number of its namespace.
    pub ns: i64,
    /// Newest event applied.
    pub applied: u64,
    /// Latest time of an event.
    pub last_at: u64,
    /// Most that the time of an event lies before that of an earlier one.
    pub behind_ms: u64,
}

/// Channels that are kept in memory; at the bound all are forgotten.
const CHANNELS_MAX: usize = 65_536;

impl Channels {
    /// Returns what is known of a channel.
    pub fn get(
        &mut self,
        db: &Connection,
        id: ChannelId,
    ) -> rusqlite::Result<Option<ChannelState>> {
        if let Some(state) = self.0.get(&id) {
            return Ok(Some(*state));
        }
        let state = db
            .prepare_cached(
                "SELECT no, ns, applied, last_at, behind_ms
                 FROM channels WHERE id = ?1",
            )?
            .query_row([number_of(id)], ChannelState::read)
            .optional()?;
        if let Some(state) = state {
            self.put(id, state);
        }
        Ok(state)
    }

    /// Notes what is known of a channel now.
    pub fn put(&mut self, id: ChannelId, state: ChannelState) {
        if self.0.len() >= CHANNELS_MAX && !self.0.contains_key(&id) {
            self.0.clear();
        }
        self.0.insert(id, state);
    }

    /// Forgets a channel.
    pub fn forget(&mut self, id: ChannelId) {
        self.0.remove(&id);
    }
}

impl ChannelState {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            no: row.get(0)?,
            ns: row.get(1)?,
            applied: row.get::<_, i64>(2)? as u64,
            last_at: row.get::<_, i64>(3)? as u64,
            behind_ms: row.get::<_, i64>(4)? as u64,
        })
    }

    /// Gives a channel its row.
    pub fn create(db: &Connection, meta: &ChannelMeta, ns: i64) -> Result<Self, ViewError> {
        let no = db
            .prepare_cached(
                "INSERT INTO channels (id, ns, name, created_at, head, start)
                 VALUES (?1, ?2, ?3, ?4, 0, 1)",
            )?
            .insert((
                number_of(meta.id),
                ns,
                &*meta.name,
                meta.created_at.0 as i64,
            ))?;
        if no > key::CHANNEL_MAX {
            return Err(ViewError::Full);
        }
        Ok(Self {
            no,
            ns,
            applied: 0,
            last_at: 0,
            behind_ms: 0,
        })
    }

    /// Writes what is known now.
    pub fn write(&self, db: &Connection, meta: &ChannelMeta) -> rusqlite::Result<()> {
        db.prepare_cached(
            "UPDATE channels SET name = ?2, deleted_at = ?3, head = ?4, start = ?5,
               max_age_ms = ?6, max_events = ?7, max_bytes = ?8,
               applied = ?9, last_at = ?10, behind_ms = ?11
             WHERE no = ?1",
        )?
        .execute((
            self.no,
            &*meta.name,
            meta.deleted_at.map(|at| at.0 as i64),
            meta.head as i64,
            meta.start as i64,
            meta.retention.max_age_ms.map(|bound| bound as i64),
            meta.retention.max_events.map(|bound| bound as i64),
            meta.retention.max_bytes.map(|bound| bound as i64),
            self.applied as i64,
            self.last_at as i64,
            self.behind_ms as i64,
        ))?;
        Ok(())
    }
}

/// Returns what the file says of a channel, with the newest event applied as its head.
pub fn meta(db: &Connection, id: ChannelId) -> rusqlite::Result<Option<ChannelMeta>> {
    let mut find = db.prepare_cached(
        "SELECT c.name, n.name, c.created_at, c.deleted_at, c.applied, c.start,
           c.max_age_ms, c.max_events, c.max_bytes
         FROM channels c JOIN namespaces n ON n.no = c.ns WHERE c.id = ?1",
    )?;
    let read = |row: &Row<'_>| {
        let optional = |column| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(column)?.map(|value| value as u64))
        };
        Ok(ChannelMeta {
            id,
            name: row.get(0)?,
            owner: row.get(1)?,
            created_at: Millis(row.get::<_, i64>(2)? as u64),
            deleted_at: optional(3)?.map(Millis),
            head: row.get::<_, i64>(4)? as u64,
            start: row.get::<_, i64>(5)? as u64,
            retention: Retention {
                max_age_ms: optional(6)?,
                max_events: optional(7)?,
                max_bytes: optional(8)?,
            },
        })
    };
    find.query_row([number_of(id)], read).optional()
}

/// Takes a channel away from all readers; its rows go in steps.
///
/// It gives up its identity at once, so that nothing can be mixed up with what is left of it.
pub fn mark_purged(db: &Connection, id: ChannelId) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE channels SET purged = 1, id = -no WHERE id = ?1")?
        .execute([number_of(id)])?;
    Ok(())
}

/// Returns a channel's identity as the file has it.
pub fn number_of(id: ChannelId) -> i64 {
    id.0.iter()
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Returns the identity that the file has as this number.
pub fn id_of(number: i64) -> ChannelId {
    let [_, _, id @ ..] = number.to_be_bytes();
    ChannelId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        let id = ChannelId([0xff, 1, 2, 3, 4, 0x80]);
        assert_eq!(id_of(number_of(id)), id);
        assert_eq!(format!("{:012x}", number_of(id)), id.to_string());
    }
}
