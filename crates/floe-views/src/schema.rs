//! The file: how it is opened, and how files of older versions are brought up to date.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use crate::projector::mentions;
use crate::{Options, ViewError};

/// Steps from an empty file to the newest version, in order; none is ever changed.
const MIGRATIONS: [&str; 3] = [
    include_str!("schema/0001.sql"),
    include_str!("schema/0002.sql"),
    include_str!("schema/0003.sql"),
];

/// Newest version of the file.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// The version from which on files tell who is mentioned.
const MENTIONS_SINCE: i64 = 3;

/// Marks a file as a view of Floe: `floe` in ASCII.
const APPLICATION_ID: i64 = 0x666c_6f65;

/// How long a connection waits for another that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Pages in the write-ahead log after which they move into the file.
const CHECKPOINT_PAGES: i64 = 4_000;

/// Bytes that the write-ahead log keeps of its size after a checkpoint.
const WAL_BYTES_KEPT: i64 = 64 << 20;

/// Opens a file for writing, makes it where there is none, and brings it up to date.
pub fn open(path: &Path, options: &Options) -> Result<Connection, ViewError> {
    let mut db = Connection::open(path)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    let found = version(&db)?;
    if found > VERSION {
        return Err(ViewError::Newer {
            found,
            known: VERSION,
        });
    }
    db.pragma_update(None, "journal_mode", "WAL")?;
    // What the last moments before a loss of power wrote comes again from the log.
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    set_up(&db, options.cache_bytes)?;
    let tx = db.transaction()?;
    for migrate in MIGRATIONS.iter().skip(found as usize) {
        tx.execute_batch(migrate)?;
    }
    if (1..MENTIONS_SINCE).contains(&found) {
        mentions::fill(&tx)?;
    }
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.commit()?;
    Ok(db)
}

/// Opens a file for reading alone.
pub fn open_to_read(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "query_only", true)?;
    set_up(&db, options.cache_bytes / READER_SHARE)?;
    Ok(db)
}

/// Returns the version of the file, 0 for an empty one.
fn version(db: &Connection) -> Result<i64, ViewError> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == APPLICATION_ID || tables == 0 {
        Ok(version)
    } else {
        Err(ViewError::Foreign)
    }
}

/// A reader keeps one part in so many of the memory that the projector has.
const READER_SHARE: u64 = 4;

fn set_up(db: &Connection, cache_bytes: u64) -> rusqlite::Result<()> {
    let cache_kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX);
    db.pragma_update(None, "cache_size", -cache_kib)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "foreign_keys", false)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(())
}

/// Prepared statements that a connection keeps; more than there are.
const STATEMENTS_KEPT: usize = 64;

/// Reads a number of the view as a whole.
pub fn state(db: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT value FROM state WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Notes a number of the view as a whole.
pub fn set_state(db: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO state (name, value) VALUES (?1, ?2)")?
        .execute((name, value))?;
    Ok(())
}
