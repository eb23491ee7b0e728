//! What the tables look like, and how much they are used.

use std::collections::BTreeMap;

use floe_proto::Millis;
use floe_proto::table::{ColumnType, Table};
use rusqlite::Connection;
use serde::Serialize;

use super::super::definition::literal;
use super::super::usage::DAY_MS;

/// How much the tables were used on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageDay {
    /// When the day began, in UTC.
    pub day: Millis,
    /// Queries that were answered.
    pub reads: u64,
    /// Rows that were inserted, changed or deleted.
    pub writes: u64,
}

/// A column as SQLite's `table_info` has it.
#[derive(Serialize)]
struct ColumnRow<'t> {
    cid: usize,
    name: &'t str,
    #[serde(rename = "type")]
    kind: ColumnType,
    notnull: u8,
    dflt_value: Option<String>,
    pk: usize,
}

/// Returns the names of the tables, in the order of their bytes.
pub fn names(db: &Connection) -> rusqlite::Result<Vec<Box<str>>> {
    db.prepare_cached("SELECT name FROM _floe_tables ORDER BY name")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Returns the tables, in the order of their names.
pub fn tables(db: &Connection) -> rusqlite::Result<Vec<Table>> {
    db.prepare_cached("SELECT definition FROM _floe_tables ORDER BY lower(name)")?
        .query_map([], |row| {
            let definition = row.get_ref(0)?.as_str()?;
            serde_json::from_str(definition)
                .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
        })?
        .collect()
}

/// Returns the tables as JSON.
pub fn schema_json(tables: &[Table]) -> Vec<u8> {
    let tables: BTreeMap<&str, Vec<ColumnRow<'_>>> = tables
        .iter()
        .map(|table| (&*table.name, columns_of(table)))
        .collect();
    // A vector takes all, and the names are texts.
    serde_json::to_vec(&tables).unwrap_or_default()
}

/// Returns how much the tables were used, the newest day first.
pub fn usage(db: &Connection) -> rusqlite::Result<Vec<UsageDay>> {
    db.prepare_cached("SELECT day, reads, writes FROM _floe_usage ORDER BY day DESC")?
        .query_map([], |row| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            Ok(UsageDay {
                day: Millis(number(0)?.saturating_mul(DAY_MS)),
                reads: number(1)?,
                writes: number(2)?,
            })
        })?
        .collect()
}

fn columns_of(table: &Table) -> Vec<ColumnRow<'_>> {
    let mut keys = 0;
    let columns = table.columns.iter().enumerate();
    columns
        .map(|(cid, column)| {
            keys += usize::from(column.primary_key);
            ColumnRow {
                cid,
                name: &column.name,
                kind: column.kind,
                notnull: column.not_null.into(),
                dflt_value: (column.default.as_ref()).map(|value| literal(column.kind, value)),
                pk: if column.primary_key { keys } else { 0 },
            }
        })
        .collect()
}
