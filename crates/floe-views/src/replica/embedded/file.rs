//! The file of one namespace.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use floe_proto::RoomId;
use rusqlite::{Connection, OptionalExtension as _};

use super::FileError;
use crate::replica::{ReplicaError, RoomRef};

/// The file of one namespace, open for writing.
#[derive(Debug)]
pub struct File {
    pub(super) db: Connection,
    path: PathBuf,
    identity: (u64, u64),
    pub(super) known: Known,
}

/// What is known of the file, so that it need not be asked again.
#[derive(Debug, Default)]
pub struct Known {
    rooms: HashMap<RoomId, RoomRow>,
    tables: HashMap<(i64, String), i64>,
}

/// A room's row.
#[derive(Debug, Clone, Copy)]
pub struct RoomRow {
    pub no: i64,
    pub applied: u64,
}

/// What a file has.
pub const SCHEMA: &str = include_str!("schema.sql");
/// Version of the file.
const VERSION: i64 = 1;
/// Marks a file as a replica of Floe: `flor` in ASCII.
const APPLICATION_ID: i64 = 0x666c_6f72;
/// How long a connection waits for another that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in the write-ahead log after which they move into the file.
const CHECKPOINT_PAGES: i64 = 2_000;
/// Bytes that the write-ahead log keeps of its size after a checkpoint.
const WAL_BYTES_KEPT: i64 = 16 << 20;
/// Memory for pages of a file.
const CACHE_KIB: i64 = 8 << 10;
/// Rooms and tables that are kept in memory; at the bound all are forgotten.
const KNOWN_MAX: usize = 16_384;
/// Rooms that one step of a removal takes.
const REMOVED_STEP: usize = 256;

impl File {
    /// Opens the file, and makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(ReplicaError::from)?;
        }
        let mut db = Connection::open(path)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let owner: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if version > VERSION || (owner != 0 && owner != APPLICATION_ID) {
            let what = format!("a file of version {version}");
            return Err(ReplicaError::Foreign(what).into());
        }
        db.pragma_update(None, "journal_mode", "WAL")?;
        // What the last moments before a loss of power wrote comes again from the log.
        db.pragma_update(None, "synchronous", "NORMAL")?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        db.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
        db.pragma_update(None, "cache_size", -CACHE_KIB)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        db.set_prepared_statement_cache_capacity(64);
        if version == 0 {
            let tx = db.transaction()?;
            tx.execute_batch(SCHEMA)?;
            tx.pragma_update(None, "user_version", VERSION)?;
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.commit()?;
        }
        Ok(Self {
            identity: identity(path).ok_or(ReplicaError::Lost)?,
            path: path.to_owned(),
            db,
            known: Known::default(),
        })
    }

    /// Returns whether the path still leads to this file.
    pub fn is_there(&self) -> bool {
        identity(&self.path) == Some(self.identity)
    }

    /// Returns how many messages of a room are here.
    pub fn applied(&mut self, room: &RoomRef<'_>) -> rusqlite::Result<Option<u64>> {
        let row = self
            .db
            .prepare_cached("SELECT name, applied FROM _rooms WHERE id = ?1")?
            .query_row([room.room.0 as i64], |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)? as u64))
            })
            .optional()?;
        Ok(row.and_then(|(name, applied)| (name == room.name).then_some(applied)))
    }

    /// Removes rooms; returns how many went, and how many are left.
    pub fn retain(
        &mut self,
        keep: &mut dyn FnMut(RoomId) -> bool,
    ) -> rusqlite::Result<(u64, usize)> {
        let mut gone = Vec::new();
        let mut left = 0;
        {
            let mut all = self.db.prepare("SELECT no, id FROM _rooms ORDER BY no")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                if keep(RoomId(row.get::<_, i64>(1)? as u64)) {
                    left += 1;
                } else {
                    gone.push(row.get::<_, i64>(0)?);
                }
            }
        }
        self.known = Known::default();
        for step in gone.chunks(REMOVED_STEP) {
            let tx = self.db.transaction()?;
            for no in step {
                remove(&tx, *no)?;
            }
            tx.commit()?;
        }
        Ok((gone.len() as u64, left))
    }
}

impl Known {
    pub fn room(&mut self, db: &Connection, id: RoomId) -> rusqlite::Result<Option<RoomRow>> {
        if let Some(row) = self.rooms.get(&id) {
            return Ok(Some(*row));
        }
        db.prepare_cached("SELECT no, applied FROM _rooms WHERE id = ?1")?
            .query_row([id.0 as i64], |row| {
                Ok(RoomRow {
                    no: row.get(0)?,
                    applied: row.get::<_, i64>(1)? as u64,
                })
            })
            .optional()
    }

    pub fn put_room(&mut self, id: RoomId, row: RoomRow) {
        if self.rooms.len() >= KNOWN_MAX {
            self.rooms.clear();
        }
        self.rooms.insert(id, row);
    }

    pub fn forget_room(&mut self, id: RoomId) {
        self.rooms.remove(&id);
        self.tables.clear();
    }

    /// Returns the number of a table; names differ in case alone are one.
    pub fn table(
        &mut self,
        db: &Connection,
        room: i64,
        name: &str,
    ) -> rusqlite::Result<Option<i64>> {
        let key = (room, name.to_ascii_lowercase());
        if let Some(no) = self.tables.get(&key) {
            return Ok(Some(*no));
        }
        let no = db
            .prepare_cached("SELECT no FROM _tables WHERE room = ?1 AND name = ?2")?
            .query_row((room, name), |row| row.get(0))
            .optional()?;
        if let Some(no) = no {
            if self.tables.len() >= KNOWN_MAX {
                self.tables.clear();
            }
            self.tables.insert(key, no);
        }
        Ok(no)
    }

    pub fn forget_tables(&mut self) {
        self.tables.clear();
    }
}

/// Removes what there is of a room, and the room.
pub(super) fn remove(db: &Connection, no: i64) -> rusqlite::Result<()> {
    empty(db, no)?;
    db.prepare_cached("DELETE FROM _rooms WHERE no = ?1")?
        .execute([no])?;
    Ok(())
}

/// Removes what there is of a room.
pub(super) fn empty(db: &Connection, no: i64) -> rusqlite::Result<()> {
    for statement in [
        "DELETE FROM _rows WHERE tbl IN (SELECT no FROM _tables WHERE room = ?1)",
        "DELETE FROM _tables WHERE room = ?1",
        "DELETE FROM _events WHERE room = ?1",
    ] {
        db.prepare_cached(statement)?.execute([no])?;
    }
    Ok(())
}

/// Returns what tells a file from any other.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
