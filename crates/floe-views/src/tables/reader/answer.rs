//! The rows of a query, as JSON.

use std::io::Write as _;

use floe_proto::table::{Params, TableError};
use rusqlite::{Connection, Statement};

use super::super::SqlLimits;
use super::super::value::value_of;
use super::params::{BindError, bind};
use super::rejected;

/// The answer to a query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rows {
    /// Its columns, in the order of the members of each row.
    pub columns: Vec<ColumnInfo>,
    /// The rows: a JSON array of objects.
    pub data: Vec<u8>,
    /// How many there are.
    pub count: usize,
    /// Whether there are more, which a limit left out.
    pub truncated: bool,
    /// How many messages of the log the answer is of.
    pub applied: u64,
    /// Tables that were read, in the order of their names.
    pub tables: Vec<Box<str>>,
    /// Where it is from.
    pub source: RowsSource,
}

/// Where the answer to a query is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RowsSource {
    /// The room's own file.
    #[default]
    Room,
    /// The replica.
    Replica,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name in each row: as the query has it, with `_2` and so on where another before it has
    /// this name.
    pub name: Box<str>,
    /// The type that it is declared with, where it is a column of a table as it stands.
    pub kind: Option<Box<str>>,
}

/// Why there is no answer.
pub enum Failure {
    /// It is known why.
    Refused(TableError),
    /// SQLite says why.
    Sqlite(rusqlite::Error),
}

/// Runs a statement of people.
pub fn answer(
    db: &Connection,
    sql: &str,
    params: &Params,
    limits: &SqlLimits,
) -> Result<Rows, Failure> {
    let mut statement = prepare(db, sql)?;
    bind(&mut statement, params)?;
    let columns = columns_of(&statement);
    let names: Vec<Vec<u8>> = columns.iter().map(|one| member(&one.name)).collect();
    let mut answer = Rows {
        columns,
        ..Rows::default()
    };
    answer.data.push(b'[');
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let start = answer.data.len();
        if answer.count > 0 {
            answer.data.push(b',');
        }
        write_row(&mut answer.data, &names, row)?;
        if answer.count >= limits.rows_max || answer.data.len() >= limits.bytes_max {
            answer.data.truncate(start);
            answer.truncated = true;
            break;
        }
        answer.count += 1;
    }
    answer.data.push(b']');
    Ok(answer)
}

/// Returns the columns that the answer to a statement would have.
pub fn describe(db: &Connection, sql: &str) -> Result<Vec<ColumnInfo>, Failure> {
    Ok(columns_of(&prepare(db, sql)?))
}

fn prepare<'d>(db: &'d Connection, sql: &str) -> Result<Statement<'d>, Failure> {
    let statement = db.prepare(sql)?;
    if statement.column_count() == 0 {
        return Err(refused("there is no statement that has rows"));
    }
    // 1 is the program of a statement, 2 the plan of its query.
    if !statement.readonly() || statement.is_explain() == 1 {
        return Err(refused("only statements that read can be run"));
    }
    Ok(statement)
}

fn write_row(
    out: &mut Vec<u8>,
    names: &[Vec<u8>],
    row: &rusqlite::Row<'_>,
) -> rusqlite::Result<()> {
    out.push(b'{');
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        let value = value_of(row.get_ref(at)?);
        serde_json::to_writer(&mut *out, &value)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    }
    out.push(b'}');
    Ok(())
}

fn columns_of(statement: &Statement<'_>) -> Vec<ColumnInfo> {
    let mut columns: Vec<ColumnInfo> = Vec::new();
    let all: Vec<_> = statement.columns().collect();
    for column in &all {
        let is_taken = |name: &str, columns: &[ColumnInfo]| {
            columns.iter().any(|earlier| &*earlier.name == name)
        };
        let mut name = column.name().to_owned();
        let mut number = 1;
        // A name that a later column has of its own is left to that one.
        while is_taken(&name, &columns) || number > 1 && all.iter().any(|one| one.name() == name) {
            number += 1;
            name = format!("{}_{number}", column.name());
        }
        columns.push(ColumnInfo {
            name: name.into(),
            kind: column.decl_type().map(Into::into),
        });
    }
    columns
}

/// Returns a name as a member of a JSON object, with its colon.
fn member(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    // A vector takes all.
    let _ = serde_json::to_writer(&mut out, name);
    let _ = out.write_all(b":");
    out
}

fn refused(why: &str) -> Failure {
    Failure::Refused(rejected(why.to_owned()))
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Refused(error) => Self::Refused(error),
            BindError::Sqlite(error) => Self::Sqlite(error),
        }
    }
}
