//! What SQLite says of a row that it does not take, as an error that names the column.

use floe_proto::Code;
use floe_proto::table::TableError;
use rusqlite::ffi;

use super::layout::Layout;

/// Says why a row of a table could not be written.
pub fn refused(error: rusqlite::Error, layout: &Layout) -> TableError {
    let rusqlite::Error::SqliteFailure(failure, message) = &error else {
        return unexpected(&error);
    };
    let message = message.as_deref().unwrap_or_default();
    let (column, why) = match failure.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => (after_dot(message), "another row has this value"),
        ffi::SQLITE_CONSTRAINT_NOTNULL => (after_dot(message), "a value is missing"),
        ffi::SQLITE_CONSTRAINT_CHECK => (of_check(message), "the value does not fit its type"),
        ffi::SQLITE_CONSTRAINT_DATATYPE => (after_dot(message), "the value does not fit its type"),
        ffi::SQLITE_MISMATCH => (None, "the value does not fit its type"),
        _ if failure.code == rusqlite::ErrorCode::ConstraintViolation => (None, message),
        _ => return unexpected(&error),
    };
    let declared = column.and_then(|name| layout.table.columns.get(layout.place(name)?));
    violation(layout, declared.map(|column| &*column.name), why)
}

/// Says that a value breaks a rule.
pub fn violation(layout: &Layout, column: Option<&str>, why: &str) -> TableError {
    let place = match column {
        Some(column) => format!("`{}.{column}`", layout.name()),
        None => format!("`{}`", layout.name()),
    };
    let mut error = TableError::new(Code::Constraint, format!("{place}: {why}"));
    error.table = Some(layout.name().into());
    error.column = column.map(Into::into);
    error
}

/// Says that SQLite failed in a way that no caller is to blame for.
pub fn unexpected(error: &rusqlite::Error) -> TableError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => TableError::new(Code::DiskFull, "the disk is full"),
        Some(rusqlite::ErrorCode::TooBig) => {
            TableError::new(Code::BodyTooLarge, "a value or row is too large")
        }
        _ => TableError::new(
            Code::ViewUnavailable,
            "the room's tables cannot be read or written",
        ),
    }
}

/// The last part of `… failed: table.column, table.other` up to the first comma.
fn after_dot(message: &str) -> Option<&str> {
    let first = message.split(", ").next()?;
    let (_, column) = first.rsplit_once('.')?;
    Some(column.trim())
}

/// What a rule looks at, of `… failed: "column" …`. Where a rule begins with the quotes, SQLite keeps
/// what is in them and leaves out the rest.
fn of_check(message: &str) -> Option<&str> {
    let (_, rule) = message.split_once(": ")?;
    Some(rule.split('"').nth(1).unwrap_or(rule))
}
