//! The room's tables as a file for people.

use std::path::Path;

use rusqlite::types::ToSqlOutput;
use rusqlite::{Connection, OpenFlags};

use super::super::definition::{create_table, unique_index};
use super::super::error::TableFileError;
use super::super::layout::{Layout, quote};
use super::super::store;
use super::info;

/// Writes the tables of a room's file, and nothing else, into a new one.
pub fn backup(from: &Path, to: &Path) -> Result<u64, TableFileError> {
    std::fs::File::create_new(to)?;
    let db = Connection::open_with_flags(
        to,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    db.pragma_update(None, "journal_mode", "OFF")?;
    db.pragma_update(None, "synchronous", "OFF")?;
    let from = Connection::open_with_flags(
        from,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let moment = from.unchecked_transaction()?;
    let applied = store::applied(&moment)?;
    let tx = db.unchecked_transaction()?;
    for table in info::tables(&moment)? {
        tx.execute(&create_table(&table), [])?;
        copy(&moment, &tx, &Layout::new(0, table.clone()))?;
        for index in (table.columns.iter()).filter_map(|one| unique_index(&table, one)) {
            tx.execute(&index, [])?;
        }
    }
    tx.commit()?;
    db.close().map_err(|(_, error)| error)?;
    Ok(applied)
}

fn copy(from: &Connection, to: &Connection, layout: &Layout) -> rusqlite::Result<()> {
    let (name, columns) = (quote(layout.name()), &layout.columns);
    let mut read = from.prepare(&format!(
        "SELECT {columns} FROM {name} ORDER BY {}",
        layout.order
    ))?;
    let count = read.column_count();
    let marks = vec!["?"; count].join(",");
    let mut write = to.prepare(&format!("INSERT INTO {name} ({columns}) VALUES ({marks})"))?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        for at in 0..count {
            write.raw_bind_parameter(at + 1, ToSqlOutput::Borrowed(row.get_ref(at)?))?;
        }
        write.raw_execute()?;
    }
    Ok(())
}
