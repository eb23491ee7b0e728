//! Messages of the log made rows again.

use floe_proto::table::{Change, Operation, Row, SCHEMA_TYPE, Value};
use rusqlite::{Connection, params_from_iter};
use serde_json::value::RawValue;

use super::catalog::Catalog;
use super::error::TableFileError;
use super::layout::{Key, Layout, quote};
use super::messages::Definition;
use super::usage::Counted;
use super::value::Bound;
use super::{alter, versions};

/// Does to the file what a message says was done.
pub fn apply(
    db: &Connection,
    catalog: &mut Catalog,
    counted: &mut Counted,
    seq: u64,
    message: &[u8],
) -> Result<(), TableFileError> {
    let change: Change<'_> =
        serde_json::from_slice(message).map_err(|error| not_change(seq, &error.to_string()))?;
    if change.table == SCHEMA_TYPE {
        return apply_schema(db, catalog, seq, &change);
    }
    let Some(layout) = catalog.get(&change.table) else {
        return Err(TableFileError::Corrupt(None));
    };
    let row = |json: Option<&RawValue>| -> Result<Row, TableFileError> {
        let json = json.ok_or_else(|| not_change(seq, "it has no row"))?;
        serde_json::from_str(json.get()).map_err(|error| not_change(seq, &error.to_string()))
    };
    let rowid = match layout.key {
        Key::Rowid => {
            Some((change.key.parse::<i64>()).map_err(|_| not_change(seq, "its key is no number"))?)
        }
        Key::Number(_) | Key::Columns(_) => None,
    };
    let changed = match change.headers.operation {
        Operation::Insert => {
            let row = row(change.value)?;
            note_id(catalog, &layout, rowid, &row);
            insert(db, &layout, rowid, &row)?
        }
        Operation::Update => update(db, &layout, rowid, &row(change.value)?)?,
        Operation::Delete => delete(db, &layout, rowid, &row(change.old_value)?)?,
    };
    if changed != 1 {
        return Err(TableFileError::Corrupt(None));
    }
    let version = match change.headers.operation {
        Operation::Insert | Operation::Update => Some(seq),
        Operation::Delete => None,
    };
    versions::set(db, layout.number, &change.key, version).map_err(differs)?;
    counted.writes(change.headers.timestamp, 1);
    Ok(())
}

fn apply_schema(
    db: &Connection,
    catalog: &mut Catalog,
    seq: u64,
    change: &Change<'_>,
) -> Result<(), TableFileError> {
    let json = change.value.or(change.old_value);
    let json = json.ok_or_else(|| not_change(seq, "it has no table"))?;
    let definition: Definition =
        serde_json::from_str(json.get()).map_err(|error| not_change(seq, &error.to_string()))?;
    if change.headers.operation == Operation::Delete {
        // What was named anew goes on under the name that the next message has.
        if definition.renamed_to.is_some() {
            return Ok(());
        }
        let layout = need(catalog, &definition.name)?;
        alter::drop_table(db, layout.name()).map_err(differs)?;
        return catalog.remove(db, &layout).map_err(differs);
    }
    if definition.steps.is_empty() {
        let table = definition.table();
        alter::create(db, &table).map_err(differs)?;
        let layout = Layout::new(seq.cast_signed(), table);
        return catalog.write(db, None, layout).map_err(differs);
    }
    let old_name = definition.renamed_from.as_ref().unwrap_or(&definition.name);
    let layout = need(catalog, old_name)?;
    let mut table = layout.table.clone();
    for step in &definition.steps {
        alter::alter(db, &mut table, step).map_err(differs)?;
    }
    if table != definition.table() {
        return Err(TableFileError::Corrupt(None));
    }
    let altered = Layout::new(layout.number, table);
    let written = catalog.write(db, Some(layout.name()), altered);
    written.map_err(differs)
}

fn need(catalog: &Catalog, name: &str) -> Result<std::sync::Arc<Layout>, TableFileError> {
    catalog.get(name).ok_or(TableFileError::Corrupt(None))
}

fn insert(
    db: &Connection,
    layout: &Layout,
    rowid: Option<i64>,
    row: &Row,
) -> Result<usize, TableFileError> {
    let values = all_values(layout, row);
    let rowid = rowid.map(Value::Integer);
    let marks = vec!["?"; values.len() + usize::from(rowid.is_some())].join(",");
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({marks})",
        quote(layout.name()),
        layout.columns,
    );
    let values = rowid.iter().chain(values).map(Bound);
    execute(db, &sql, values)
}

fn update(
    db: &Connection,
    layout: &Layout,
    rowid: Option<i64>,
    row: &Row,
) -> Result<usize, TableFileError> {
    let columns = layout.table.columns.iter();
    let sets: Vec<String> = columns
        .map(|column| format!("{}=?", quote(&column.name)))
        .collect();
    let sql = format!(
        "UPDATE {} SET {} WHERE {}",
        quote(layout.name()),
        sets.join(","),
        layout.at_key,
    );
    let key = key_in(layout, rowid, row);
    let values = all_values(layout, row).into_iter().chain(&key).map(Bound);
    execute(db, &sql, values)
}

fn delete(
    db: &Connection,
    layout: &Layout,
    rowid: Option<i64>,
    row: &Row,
) -> Result<usize, TableFileError> {
    let sql = format!(
        "DELETE FROM {} WHERE {}",
        quote(layout.name()),
        layout.at_key
    );
    let key = key_in(layout, rowid, row);
    execute(db, &sql, key.iter().map(Bound))
}

fn execute<'v>(
    db: &Connection,
    sql: &str,
    values: impl Iterator<Item = Bound<'v>>,
) -> Result<usize, TableFileError> {
    let mut statement = db.prepare_cached(sql).map_err(differs)?;
    statement.execute(params_from_iter(values)).map_err(differs)
}

/// Returns a row's values in the order of the columns.
fn all_values<'r>(layout: &Layout, row: &'r Row) -> Vec<&'r Value> {
    let columns = layout.table.columns.iter();
    let value = |column: &floe_proto::table::Column| row.get(&column.name).unwrap_or(&Value::Null);
    columns.map(value).collect()
}

fn key_in(layout: &Layout, rowid: Option<i64>, row: &Row) -> Vec<Value> {
    if let Some(rowid) = rowid {
        return vec![Value::Integer(rowid)];
    }
    let values = all_values(layout, row);
    let places = layout.key_places();
    let key = places.iter().filter_map(|at| values.get(*at));
    key.map(|value| (*value).clone()).collect()
}

fn note_id(catalog: &mut Catalog, layout: &Layout, rowid: Option<i64>, row: &Row) {
    let id = match &layout.key {
        Key::Rowid => rowid,
        Key::Number(at) => match all_values(layout, row).get(*at) {
            Some(Value::Integer(id)) => Some(*id),
            _ => None,
        },
        Key::Columns(_) => None,
    };
    if let Some(id) = id {
        catalog.note_id(layout.name(), id);
    }
}

/// The log's messages were all taken once, so a file that does not take one is not the log's.
fn differs(error: rusqlite::Error) -> TableFileError {
    match error.sqlite_error_code() {
        Some(
            rusqlite::ErrorCode::DiskFull
            | rusqlite::ErrorCode::SystemIoFailure
            | rusqlite::ErrorCode::OutOfMemory
            | rusqlite::ErrorCode::DatabaseBusy
            | rusqlite::ErrorCode::CannotOpen,
        ) => TableFileError::Sqlite(error),
        _ => TableFileError::Corrupt(Some(error)),
    }
}

fn not_change(seq: u64, reason: &str) -> TableFileError {
    TableFileError::NotChange {
        seq,
        reason: reason.to_owned(),
    }
}
