//! What is pinned.

use rusqlite::Connection;

/// An event that pins a message.
#[derive(Debug, Clone, Copy)]
pub struct Pinning {
    /// Its row.
    pub row: i64,
    /// Who pins.
    pub author: i64,
    /// When.
    pub created_at: i64,
}

/// Pins a message, or leaves the pin that it has.
pub fn pin(db: &Connection, message: i64, by: Pinning) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT OR IGNORE INTO pins (event, row, author, created_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((message, by.row, by.author, by.created_at))?;
    Ok(())
}

/// Takes the pin of a message away.
pub fn unpin(db: &Connection, message: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM pins WHERE event = ?1")?
        .execute([message])?;
    Ok(())
}

/// Takes the pin away that an event set which is deleted.
pub fn undo(db: &Connection, row: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM pins WHERE row = ?1")?
        .execute([row])?;
    Ok(())
}
