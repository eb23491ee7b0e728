//! Reading a room's file: SQL of people, what the tables look like, how much they are used.

mod answer;
mod backup;
mod clock;
mod functions;
mod guard;
mod info;
mod params;
mod strings;

use std::path::Path;

use floe_proto::table::{Params, Table, TableError};
use floe_proto::{Code, RoomId};
use rusqlite::Connection;
use rusqlite::limits::Limit;

use super::constraint::unexpected;
use super::error::TableFileError;
use super::{SqlLimits, TableFolder, TableOptions, store};

pub use self::answer::{ColumnInfo, Failure, Rows, RowsSource, answer, describe};
pub use self::clock::Clock;
pub use self::guard::Guard;
pub use self::info::UsageDay;
pub use self::strings::install as install_strings;

/// Reads the tables of one room while they are written; any number of readers may be open.
///
/// What is asked sees one moment of the file, which is one place in the log.
#[derive(Debug)]
pub struct RoomReader {
    db: Connection,
    guard: Guard,
    clock: Clock,
    folder: TableFolder,
    room: RoomId,
}

impl RoomReader {
    /// Opens the file of a room, which a [`RoomFile`](super::RoomFile) has opened before.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn open(
        folder: &TableFolder,
        room: RoomId,
        options: &TableOptions,
    ) -> Result<Self, TableFileError> {
        let mut db = store::open_to_read(&folder.file(room), options)?;
        set_limits(&db, options)?;
        strings::install(&db)?;
        let clock = Clock::watch(&mut db)?;
        let guard = Guard::watch(&mut db)?;
        Ok(Self {
            db,
            guard,
            clock,
            folder: folder.clone(),
            room,
        })
    }

    /// Answers SQL: one statement that reads, and reads nothing but the room's tables.
    ///
    /// # Errors
    /// [`Code::SqlRejected`] with what SQLite says, [`Code::InvalidRequest`] for parameters that do
    /// not fit, [`Code::QueryTimeout`] and [`Code::QueryTooLarge`] at the limits, and
    /// [`Code::ViewUnavailable`] when the file cannot be read: open it anew then.
    pub fn query(
        &mut self,
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Rows, TableError> {
        if sql.len() > limits.sql_bytes_max {
            return Err(rejected(format!(
                "the SQL has more than {} bytes",
                limits.sql_bytes_max
            )));
        }
        if sql.contains('\0') {
            return Err(rejected("the SQL has a NUL character".to_owned()));
        }
        let moment = self.db.unchecked_transaction().map_err(failed)?;
        let applied = store::applied(&self.db).map_err(failed)?;
        self.guard.know(info::names(&self.db).map_err(failed)?);
        let _limited = self.clock.limit(limits);
        let answered = {
            let _guarded = self.guard.on();
            answer(&self.db, sql, params, limits)
        };
        drop(moment);
        let mut rows = match answered {
            Ok(rows) => rows,
            Err(Failure::Refused(error)) => return Err(error),
            Err(Failure::Sqlite(error)) => {
                return Err(explain(&error, &self.guard, &self.clock, limits));
            }
        };
        rows.applied = applied;
        rows.tables = self.guard.read();
        Ok(rows)
    }

    /// Returns how many messages of the log the file has for readers.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn applied(&mut self) -> Result<u64, TableError> {
        store::applied(&self.db).map_err(failed)
    }

    /// Returns the tables in the order of their names, and how many messages of the log they are of.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn schema(&mut self) -> Result<(Vec<Table>, u64), TableError> {
        let moment = self.db.unchecked_transaction().map_err(failed)?;
        let applied = store::applied(&moment).map_err(failed)?;
        Ok((info::tables(&moment).map_err(failed)?, applied))
    }

    /// Returns the tables as JSON: by name the columns, each with `cid`, `name`, `type`, `notnull`,
    /// `dflt_value` and `pk`, as SQLite's `table_info` has them, but with the declared types.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn schema_info(&mut self) -> Result<Vec<u8>, TableError> {
        let (tables, _) = self.schema()?;
        Ok(info::schema_json(&tables))
    }

    /// Returns how much the tables were used, the newest day first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn usage(&mut self) -> Result<Vec<UsageDay>, TableError> {
        info::usage(&self.db).map_err(failed)
    }

    /// Writes the room's tables, and nothing else, into a SQLite file that is not there yet; returns
    /// how many messages of the log it has.
    ///
    /// # Errors
    /// The file system's; what was written then is no whole file.
    pub fn backup(&mut self, to: &Path) -> Result<u64, TableFileError> {
        backup::backup(&self.folder.file(self.room), to)
    }
}

/// Says what an error of SQLite means to whoever asked.
pub fn explain(
    error: &rusqlite::Error,
    guard: &Guard,
    clock: &Clock,
    limits: &SqlLimits,
) -> TableError {
    use rusqlite::ErrorCode;
    if matches!(error, rusqlite::Error::MultipleStatement) {
        return rejected("one statement at a time can be run".to_owned());
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => clock.why(limits),
        Some(ErrorCode::TooBig) => {
            too_large("a value that the SQL computes is too large".to_owned())
        }
        Some(ErrorCode::OutOfMemory | ErrorCode::DiskFull) => {
            too_large("what the SQL computes is too large".to_owned())
        }
        Some(ErrorCode::AuthorizationForStatementDenied) => rejected(guard.why()),
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseCorrupt
            | ErrorCode::DatabaseLocked
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NotADatabase
            | ErrorCode::SystemIoFailure
            | ErrorCode::SchemaChanged,
        ) => unexpected(error),
        _ => match guard.refusal() {
            Some(why) => rejected(why),
            None => rejected(message_of(error)),
        },
    }
}

/// What SQLite says, and nothing of where.
fn message_of(error: &rusqlite::Error) -> String {
    if let rusqlite::Error::SqlInputError { msg, .. } = error {
        return msg.clone();
    }
    if let rusqlite::Error::SqliteFailure(_, Some(message)) = error {
        return message.clone();
    }
    "the SQL cannot be run".to_owned()
}

/// Bytes that SQLite may add to the values of a row.
const ROW_OVERHEAD_BYTES: usize = 16 << 10;

/// Makes SQLite refuse what is larger than anybody needs.
pub fn set_limits(db: &Connection, options: &TableOptions) -> rusqlite::Result<()> {
    // A row that was taken can be read: it has no more bytes, but for what SQLite adds.
    let bytes = options.row_bytes_max().saturating_add(ROW_OVERHEAD_BYTES);
    let columns = options.columns_max.saturating_mul(2);
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, bytes),
        (Limit::SQLITE_LIMIT_COLUMN, columns),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 250),
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 500),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        db.set_limit(limit, i32::try_from(value).unwrap_or(i32::MAX))?;
    }
    Ok(())
}

fn rejected(message: String) -> TableError {
    TableError::new(Code::SqlRejected, message)
}

fn too_large(message: String) -> TableError {
    TableError::new(Code::QueryTooLarge, message)
}

fn failed(error: rusqlite::Error) -> TableError {
    unexpected(&error)
}
