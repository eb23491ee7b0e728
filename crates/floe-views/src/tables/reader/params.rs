//! Parameters of a query.

use floe_proto::Code;
use floe_proto::table::{Params, Row, TableError, Value};
use rusqlite::Statement;

use super::super::value::Bound;

/// Why parameters could not be bound.
pub enum BindError {
    /// They are not those of the statement.
    Refused(TableError),
    /// SQLite's.
    Sqlite(rusqlite::Error),
}

/// Gives a statement its parameters: all of them, and no other.
pub fn bind(statement: &mut Statement<'_>, params: &Params) -> Result<(), BindError> {
    let count = statement.parameter_count();
    match params {
        Params::Positional(values) => {
            if values.len() != count {
                return Err(refused(format!(
                    "the SQL has {count} parameters, and {} are given",
                    values.len()
                )));
            }
            for (place, value) in (1..).zip(values) {
                bind_one(statement, place, value)?;
            }
        }
        Params::Named(row) => {
            let mut used = 0;
            for place in 1..=count {
                let name = statement.parameter_name(place).map(str::to_owned);
                let name = name.unwrap_or_else(|| format!("?{place}"));
                let value = by_name(row, &name)
                    .ok_or_else(|| refused(format!("the parameter `{name}` is not given")))?;
                bind_one(statement, place, value)?;
                used += 1;
            }
            if used < row.0.len() {
                return Err(refused(format!(
                    "the SQL has {used} parameters, and {} are given",
                    row.0.len()
                )));
            }
        }
    }
    Ok(())
}

fn bind_one(statement: &mut Statement<'_>, place: usize, value: &Value) -> Result<(), BindError> {
    let bound = statement.raw_bind_parameter(place, Bound(value));
    bound.map_err(BindError::Sqlite)
}

/// A name is the same with its sign and without it, and in capital letters it is another.
fn by_name<'r>(row: &'r Row, name: &str) -> Option<&'r Value> {
    let bare = name.trim_start_matches([':', '@', '$', '?']);
    let mut given = row.0.iter();
    let found = given.find(|(given, _)| &**given == name || &**given == bare);
    found.map(|(_, value)| value)
}

fn refused(message: String) -> BindError {
    BindError::Refused(TableError::new(Code::InvalidRequest, message))
}
