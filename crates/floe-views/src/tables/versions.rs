//! The version of each row: the seq of the message that made it so.

use rusqlite::{Connection, OptionalExtension as _};

/// Returns the version of a row; 0 where none is known.
pub fn of(db: &Connection, table: i64, key: &str) -> rusqlite::Result<u64> {
    let seq = db
        .prepare_cached("SELECT seq FROM _floe_versions WHERE number = ?1 AND key = ?2")?
        .query_row((table, key), |row| row.get::<_, i64>(0))
        .optional()?;
    Ok(seq.unwrap_or(0).cast_unsigned())
}

/// Notes the version of a row, or that there is none any more.
pub fn set(db: &Connection, table: i64, key: &str, seq: Option<u64>) -> rusqlite::Result<()> {
    match seq {
        Some(seq) => db
            .prepare_cached(
                "INSERT OR REPLACE INTO _floe_versions (number, key, seq) VALUES (?1, ?2, ?3)",
            )?
            .execute((table, key, seq.cast_signed()))?,
        None => db
            .prepare_cached("DELETE FROM _floe_versions WHERE number = ?1 AND key = ?2")?
            .execute((table, key))?,
    };
    Ok(())
}
