//! What a table must be to be made, and the SQL that makes it.

use std::fmt::Write as _;

use floe_proto::Code;
use floe_proto::table::{Column, ColumnType, Table, TableError, Value, check_name};

use super::TableOptions;
use super::layout::quote;

/// Checks a table that is to be made.
pub fn check_table(table: &Table, options: &TableOptions) -> Result<(), TableError> {
    check_name(&table.name)?;
    if table.columns.is_empty() {
        return Err(invalid(table, None, "has no columns".to_owned()));
    }
    check_count(table, table.columns.len(), options)?;
    for (at, column) in table.columns.iter().enumerate() {
        check_column(table, column, options)?;
        let earlier = table.columns.iter().take(at);
        if is_there(earlier, &column.name) {
            let what = format!("has the column `{}` twice", column.name);
            return Err(invalid(table, Some(column), what));
        }
    }
    Ok(())
}

/// Checks a column that a table is to have.
pub fn check_column(
    table: &Table,
    column: &Column,
    options: &TableOptions,
) -> Result<(), TableError> {
    check_name(&column.name).map_err(|error| of_table(error, table, Some(column)))?;
    if column.primary_key && matches!(column.kind, ColumnType::Any) {
        let what = format!(
            "cannot have `{}` as its key: keys have a type other than ANY",
            column.name
        );
        return Err(invalid(table, Some(column), what));
    }
    let Some(default) = &column.default else {
        return Ok(());
    };
    if super::value::bytes_of(default) > options.key_bytes_max {
        let what = format!(
            "has a default of more than {} bytes for `{}`",
            options.key_bytes_max, column.name
        );
        return Err(invalid(table, Some(column), what));
    }
    if *default != Value::Null && !fits(column.kind, default) {
        let what = format!("has a default for `{}` that does not fit", column.name);
        return Err(invalid(table, Some(column), what));
    }
    Ok(())
}

/// Checks how many columns a table is to have.
pub fn check_count(table: &Table, count: usize, options: &TableOptions) -> Result<(), TableError> {
    if count > options.columns_max {
        let what = format!("has more than {} columns", options.columns_max);
        return Err(invalid(table, None, what));
    }
    Ok(())
}

/// Whether a column of this name is among some.
pub fn is_there<'c>(mut columns: impl Iterator<Item = &'c Column>, name: &str) -> bool {
    columns.any(|column| column.name.eq_ignore_ascii_case(name))
}

/// Returns the SQL that makes a table; what must be unique is an index each, see [`unique_index`].
pub fn create_table(table: &Table) -> String {
    let mut sql = format!("CREATE TABLE {} (", quote(&table.name));
    let key: Vec<&Column> = table.columns.iter().filter(|one| one.primary_key).collect();
    let is_number = matches!(key.as_slice(), [one] if one.kind == ColumnType::Integer);
    for (at, column) in table.columns.iter().enumerate() {
        if at > 0 {
            sql.push_str(", ");
        }
        sql.push_str(&column_sql(column));
        if is_number && column.primary_key {
            sql.push_str(" PRIMARY KEY");
        }
    }
    let has_columns_as_key = !key.is_empty() && !is_number;
    if has_columns_as_key {
        let names: Vec<String> = key.iter().map(|column| quote(&column.name)).collect();
        let _ = write!(sql, ", PRIMARY KEY ({})", names.join(", "));
    }
    sql.push_str(") STRICT");
    if has_columns_as_key {
        // Without it, rows had a number beside their key, which a file that is made again from the
        // log would give anew.
        sql.push_str(", WITHOUT ROWID");
    }
    sql
}

/// Returns a column as `CREATE TABLE` and `ALTER TABLE` say it.
pub fn column_sql(column: &Column) -> String {
    let name = quote(&column.name);
    let mut sql = format!("{name} {}", sql_type(column.kind));
    if column.not_null {
        sql.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        let _ = write!(sql, " DEFAULT {}", literal(column.kind, default));
    }
    if column.kind == ColumnType::Boolean {
        let _ = write!(sql, " CHECK ({name} IN (0, 1))");
    }
    if column.kind == ColumnType::Json {
        let _ = write!(sql, " CHECK (json_valid({name}))");
    }
    sql
}

/// Returns the SQL that makes the index of a column that must be unique, unless it is the whole key.
pub fn unique_index(table: &Table, column: &Column) -> Option<String> {
    let keys = table.columns.iter().filter(|one| one.primary_key).count();
    let is_needed = column.unique && !(column.primary_key && keys == 1);
    is_needed.then(|| {
        format!(
            "CREATE UNIQUE INDEX {} ON {} ({})",
            index_name(&table.name, &column.name),
            quote(&table.name),
            quote(&column.name)
        )
    })
}

/// Returns the name of a column's index, which no table can have.
pub fn index_name(table: &str, column: &str) -> String {
    format!("\"{table}.{column}\"")
}

/// Returns the type that SQLite knows.
pub const fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Integer | ColumnType::Boolean => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Text | ColumnType::Json => "TEXT",
        ColumnType::Blob => "BLOB",
        ColumnType::Any => "ANY",
    }
}

/// Returns a value as SQL; what a text has in it cannot end it.
pub fn literal(kind: ColumnType, value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(whole) if kind == ColumnType::Real => format!("{:e}", *whole as f64),
        Value::Integer(whole) => whole.to_string(),
        Value::Real(real) => format!("{real:e}"),
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Blob(bytes) => {
            let mut sql = "x'".to_owned();
            for byte in bytes {
                let _ = write!(sql, "{byte:02x}");
            }
            sql.push('\'');
            sql
        }
    }
}

/// Whether a default can stand in a column, and in SQL.
fn fits(kind: ColumnType, value: &Value) -> bool {
    let can_be_said = match value {
        Value::Text(text) => !text.contains('\0'),
        Value::Real(real) => real.is_finite(),
        Value::Null | Value::Integer(_) | Value::Blob(_) => true,
    };
    can_be_said
        && match kind {
            ColumnType::Integer => matches!(value, Value::Integer(_)),
            ColumnType::Real => matches!(value, Value::Integer(_) | Value::Real(_)),
            ColumnType::Text => matches!(value, Value::Text(_)),
            ColumnType::Blob => matches!(value, Value::Blob(_)),
            ColumnType::Boolean => matches!(value, Value::Integer(0 | 1)),
            ColumnType::Json => {
                let is_json = |text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                matches!(value, Value::Text(text) if is_json(text))
            }
            ColumnType::Any => true,
        }
}

/// Makes an error about a table, and one of its columns.
pub fn invalid(table: &Table, column: Option<&Column>, what: String) -> TableError {
    let error = TableError::new(
        Code::InvalidRequest,
        format!("the table `{}` {what}", table.name),
    );
    of_table(error, table, column)
}

fn of_table(mut error: TableError, table: &Table, column: Option<&Column>) -> TableError {
    error.table = Some(table.name.clone());
    error.column = column.map(|column| column.name.clone());
    error
}
