//! The file: how it is made, opened, and trusted.

use std::path::Path;
use std::time::Duration;

use floe_proto::RoomId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use super::TableOptions;
use super::error::TableFileError;

/// What a file has beside the room's tables. No table of a room has a name that begins with `_`.
const HIDDEN: &str = "
CREATE TABLE _floe_state (
    name TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE _floe_tables (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    last_id INTEGER NOT NULL
) STRICT;
CREATE TABLE _floe_versions (
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (number, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE _floe_usage (
    day INTEGER PRIMARY KEY,
    reads INTEGER NOT NULL,
    writes INTEGER NOT NULL
) STRICT;
";

/// Version of the file; one of another version is made again.
const VERSION: i64 = 1;
/// Marks a file as the tables of a room: `flot` in ASCII.
const APPLICATION_ID: i64 = 0x666c_6f74;
/// How long a connection waits for another that holds the file.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages in SQLite's own log after which they move into the file.
const CHECKPOINT_PAGES: i64 = 500;
/// Bytes that SQLite's own log keeps of its size after that.
const WAL_BYTES_KEPT: i64 = 1 << 20;
/// Prepared statements that a connection keeps.
const STATEMENTS_KEPT: usize = 32;

/// Names of what `_floe_state` has.
const ROOM: &str = "room";
const APPLIED: &str = "applied";
const BOOT: &str = "boot";

/// Makes an empty file.
pub fn create(
    path: &Path,
    room: RoomId,
    options: &TableOptions,
) -> Result<Connection, TableFileError> {
    let db = Connection::open(path)?;
    set_up_to_write(&db, options)?;
    let tx = db.unchecked_transaction()?;
    tx.execute_batch(HIDDEN)?;
    set_state(&tx, ROOM, room.0.cast_signed())?;
    set_state(&tx, APPLIED, 0_i64)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.commit()?;
    Ok(db)
}

/// Opens a file for writing; `None` when it is not to be trusted.
pub fn open(
    path: &Path,
    room: RoomId,
    tail: u64,
    was_synced: bool,
    options: &TableOptions,
) -> Result<Option<Connection>, TableFileError> {
    if !path.try_exists()? {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|db| {
        let is_trusted = is_trusted(&db, room, tail, was_synced)?;
        if is_trusted {
            set_up_to_write(&db, options)?;
        }
        Ok(is_trusted.then_some(db))
    });
    match opened {
        Ok(db) => Ok(db),
        // The system failed, which says nothing of the file.
        Err(error) if is_passing(&error) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Opens a file again that this process has closed and nobody else writes; `None` when it is not as
/// it was.
pub fn reopen(path: &Path, applied: u64, options: &TableOptions) -> Option<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).ok()?;
    // It says itself that it has a log of its own.
    set_up_connection(&db, options).ok()?;
    (self::applied(&db).ok()? == applied).then_some(db)
}

/// Opens a file for reading alone.
pub fn open_to_read(path: &Path, options: &TableOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "query_only", true)?;
    // What does not fit into memory goes to a file of its own, and is gone with the query.
    db.pragma_update(None, "temp_store", "FILE")?;
    set_up(&db, options)?;
    Ok(db)
}

/// Returns how many messages of the log the file has.
pub fn applied(db: &Connection) -> rusqlite::Result<u64> {
    let applied: Option<i64> = state(db, APPLIED)?;
    Ok(applied.unwrap_or(0).cast_unsigned())
}

/// Notes how many messages of the log the file has.
pub fn set_applied(db: &Connection, applied: u64) -> rusqlite::Result<()> {
    set_state(db, APPLIED, applied.cast_signed())
}

/// Notes that the file is written by this run of the system.
pub fn set_boot(db: &Connection) -> rusqlite::Result<()> {
    set_state(db, BOOT, boot().unwrap_or_default())
}

/// Whether the file is whole, and is that of the room, and of this log.
///
/// Nothing is ever synced while the file is in use, since the log has all. So after a loss of power
/// it may have any mixture of old and new pages, which no check could find; but what was written
/// since the system started is there, even if this process died.
fn is_trusted(
    db: &Connection,
    room: RoomId,
    tail: u64,
    was_synced: bool,
) -> rusqlite::Result<bool> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if pragma("application_id")? != APPLICATION_ID || pragma("user_version")? != VERSION {
        return Ok(false);
    }
    let found: Option<i64> = state(db, ROOM)?;
    if found.map(i64::cast_unsigned) != Some(room.0) || applied(db)? > tail {
        return Ok(false);
    }
    if was_synced {
        return Ok(true);
    }
    let written_by: Option<String> = state(db, BOOT)?;
    let is_of_this_boot = written_by.is_some() && written_by == boot();
    Ok(is_of_this_boot && is_sound(db)?)
}

/// Whether all pages of the file fit together.
pub fn is_sound(db: &Connection) -> rusqlite::Result<bool> {
    let found: String = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(found == "ok")
}

/// What the system calls the time since it started; `None` where it has no name for it, and a file
/// that was not closed is made again.
fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

fn is_passing(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            rusqlite::ErrorCode::CannotOpen
                | rusqlite::ErrorCode::SystemIoFailure
                | rusqlite::ErrorCode::DatabaseBusy
                | rusqlite::ErrorCode::DatabaseLocked
                | rusqlite::ErrorCode::FileLockingProtocolFailed
                | rusqlite::ErrorCode::DiskFull
                | rusqlite::ErrorCode::OutOfMemory
                | rusqlite::ErrorCode::PermissionDenied
                | rusqlite::ErrorCode::ReadOnly
        )
    )
}

fn set_up_to_write(db: &Connection, options: &TableOptions) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    set_up_connection(db, options)
}

/// Sets what a connection that writes does not find in the file.
fn set_up_connection(db: &Connection, options: &TableOptions) -> rusqlite::Result<()> {
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "synchronous", "OFF")?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    set_up(db, options)
}

fn set_up(db: &Connection, options: &TableOptions) -> rusqlite::Result<()> {
    let cache_kib = i64::try_from(options.cache_bytes / 1024).unwrap_or(i64::MAX);
    db.pragma_update(None, "cache_size", -cache_kib)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // A name in quotes is a name, and never a text because there is nothing of that name.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(())
}

fn state<T: rusqlite::types::FromSql>(db: &Connection, name: &str) -> rusqlite::Result<Option<T>> {
    db.prepare_cached("SELECT value FROM _floe_state WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

fn set_state(
    db: &Connection,
    name: &str,
    value: impl rusqlite::types::ToSql,
) -> rusqlite::Result<()> {
    db.prepare_cached("INSERT OR REPLACE INTO _floe_state (name, value) VALUES (?1, ?2)")?
        .execute((name, value))?;
    Ok(())
}
