//! SQL of people over the rooms of one namespace.
//!
//! Each table that any of the rooms has is a view of the rows of all of them, with the columns of them
//! all and `_room` before them. A statement is first prepared in a database that holds nothing but empty
//! tables of those names: what it names beside them is not there, so it cannot name what the replica
//! keeps beside them either, whatever it is called. Only then is it run, on a connection that reads
//! alone, under the guard and the limits of a room's SQL. SQL over one room goes the same way: its tables
//! are views of its rows, with the columns that they have in the room.

mod shape;

use std::path::PathBuf;
use std::time::Duration;

use floe_proto::table::{Params, TableError};
use floe_proto::{Code, RoomId};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _};

use self::shape::Shape;
use super::embedded::{SCHEMA, fill, identity};
use super::{Batch, EmbeddedFolder, ReplicaError};
use crate::tables::gate::{
    Clock, Failure, Guard, answer, describe, explain, install_strings, set_limits,
};
use crate::tables::{Rows, RowsSource, SqlLimits, TableOptions};

/// Reads the rows of all rooms of one namespace while they are written; any number may be open.
#[derive(Debug)]
pub struct ReplicaReader {
    path: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    db: Connection,
    guard: Guard,
    clock: Clock,
    /// The file that is read; `None` where there is none yet.
    identity: Option<(u64, u64)>,
}

/// What SQL may name, in the order of `names`.
#[derive(Debug, Default)]
struct Tables {
    names: Vec<Box<str>>,
    /// The SQL that makes empty tables of them.
    empty: Vec<String>,
    /// The SQL that makes views of them.
    views: Vec<String>,
}

/// What many rooms say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GlobalRows {
    /// The rows.
    pub rows: Rows,
    /// Rooms that they are of.
    pub asked: u64,
    /// Rooms that were named, and how many messages of each the rows are of.
    pub seqs: Vec<(Box<str>, u64)>,
    /// Rooms that were named and are not in the replica.
    pub missing: Vec<Box<str>>,
}

/// The rooms that are asked.
#[derive(Debug, Default)]
struct Wanted {
    asked: u64,
    seqs: Vec<(Box<str>, u64)>,
    missing: Vec<Box<str>>,
}

/// Tables of different names that one statement may name.
const TABLES_MAX: usize = 100;
/// Columns of one table, over all rooms.
const COLUMNS_MAX: usize = 190;
/// Bytes of a row's JSON.
const ROW_BYTES_MAX: usize = 32 << 20;
/// How long a connection waits for another that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

impl ReplicaReader {
    /// Names the namespace; nothing is opened.
    #[must_use]
    pub fn new(folder: &EmbeddedFolder, namespace: &str) -> Self {
        Self {
            path: folder.file(namespace),
            open: None,
        }
    }

    /// Puts rooms into memory as a replica would have them, from their first message that is kept.
    ///
    /// # Errors
    /// When their messages are not whole.
    pub fn of_rooms(batches: &[&Batch<'_>]) -> Result<Self, ReplicaError> {
        let path = PathBuf::new();
        let failed = |error: rusqlite::Error| ReplicaError::Unavailable(error.to_string());
        let mut open = Open::new(&path, None).map_err(failed)?;
        fill(&mut open.db, batches)?;
        Ok(Self {
            path,
            open: Some(open),
        })
    }

    /// Answers SQL over rooms by their names, or over all there are; `None` where the replica has
    /// fewer messages of one of the rooms in `least` than stand there.
    ///
    /// # Errors
    /// As [`RoomReader::query`](crate::tables::RoomReader::query) has them.
    pub fn query(
        &mut self,
        rooms: Option<&[&str]>,
        least: &[(RoomId, u64)],
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Option<GlobalRows>, TableError> {
        self.with(sql, limits, |open| {
            open.query(rooms, least, sql, params, limits)
        })
    }

    /// Answers SQL over one room, whose tables have the names and columns that they have in the room;
    /// [`Rows::applied`] says how far the replica is. `None` where it does not know the room.
    ///
    /// # Errors
    /// As [`RoomReader::query`](crate::tables::RoomReader::query) has them, and
    /// [`Code::SqlRejected`] for what only the room can say: how its tables are declared, and
    /// the numbers of their rows.
    pub fn query_room(
        &mut self,
        room: RoomId,
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Option<Rows>, TableError> {
        self.with(sql, limits, |open| {
            open.query_room(room, sql, params, limits)
        })
    }

    /// Asks the file, which is opened if need be.
    fn with<T>(
        &mut self,
        sql: &str,
        limits: &SqlLimits,
        ask: impl FnOnce(&Open) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        if sql.len() > limits.sql_bytes_max || sql.contains('\0') {
            let message = format!(
                "the SQL has a NUL, or more than {} bytes",
                limits.sql_bytes_max
            );
            return Err(TableError::new(Code::SqlRejected, message));
        }
        let identity = identity(&self.path);
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.identity != identity)
        {
            self.open = None;
            self.open = Some(Open::new(&self.path, identity).map_err(|error| unreadable(&error))?);
        }
        let Some(open) = &self.open else {
            return Err(TableError::new(Code::ViewUnavailable, UNREADABLE));
        };
        let answered = ask(open);
        if answered
            .as_ref()
            .is_err_and(|error| error.code == Code::ViewUnavailable)
        {
            self.open = None;
        }
        answered
    }
}

impl Open {
    fn new(path: &std::path::Path, identity: Option<(u64, u64)>) -> rusqlite::Result<Self> {
        let mut db = if identity.is_some() {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(path, flags)?
        } else {
            let db = Connection::open_in_memory()?;
            db.execute_batch(SCHEMA)?;
            db
        };
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.pragma_update(None, "temp_store", "MEMORY")?;
        let flags = FunctionFlags::SQLITE_UTF8
            | FunctionFlags::SQLITE_DETERMINISTIC
            | FunctionFlags::SQLITE_INNOCUOUS;
        db.create_scalar_function(shape::BYTES, 1, flags, |context| {
            let text = context.get_raw(0).as_str_or_null().ok().flatten();
            Ok(text
                .and_then(shape::bytes)
                .map_or(SqlValue::Null, SqlValue::Blob))
        })?;
        set_limits(&db, &options())?;
        install_strings(&db)?;
        let clock = Clock::watch(&mut db)?;
        let guard = Guard::watch(&mut db)?;
        Ok(Self {
            db,
            guard,
            clock,
            identity,
        })
    }

    fn query(
        &self,
        rooms: Option<&[&str]>,
        least: &[(RoomId, u64)],
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Option<GlobalRows>, TableError> {
        // All that is made for this query goes with the transaction.
        let moment = self
            .db
            .unchecked_transaction()
            .map_err(|error| unreadable(&error))?;
        let _limited = self.clock.limit(limits);
        let prepared = self.prepare(rooms, least, sql);
        let prepared =
            prepared.map_err(|error| explain(&error, &self.guard, &self.clock, limits))?;
        let Some((wanted, shapes)) = prepared else {
            return Ok(None);
        };
        let named = rooms.is_some();
        let empty = shapes.iter().map(Shape::empty_table).collect();
        let views = shapes.iter().map(|shape| shape.view(named)).collect();
        let tables = Tables {
            names: shapes.iter().map(|shape| shape.name.clone()).collect(),
            empty,
            views,
        };
        let rows = self.answer(tables, sql, params, limits)?;
        drop(moment);
        Ok(Some(GlobalRows {
            rows,
            asked: wanted.asked,
            seqs: wanted.seqs,
            missing: wanted.missing,
        }))
    }

    /// Finds what is asked; `None` where there is too little of it.
    fn prepare(
        &self,
        rooms: Option<&[&str]>,
        least: &[(RoomId, u64)],
        sql: &str,
    ) -> rusqlite::Result<Option<(Wanted, Vec<Shape>)>> {
        for (room, seq) in least {
            let applied = "SELECT applied FROM main._rooms WHERE id = ?1";
            let applied: Option<i64> = self
                .db
                .query_row(applied, [room.0.cast_signed()], |row| row.get(0))
                .optional()?;
            if applied.unwrap_or(0).cast_unsigned() < *seq {
                return Ok(None);
            }
        }
        let wanted = self.want(rooms)?;
        Ok(Some((wanted, self.shapes(sql, rooms.is_some())?)))
    }

    fn query_room(
        &self,
        room: RoomId,
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Option<Rows>, TableError> {
        if sql.to_ascii_lowercase().contains("pragma") {
            let message = "the replica does not know how tables are declared";
            return Err(TableError::new(Code::SqlRejected, message));
        }
        let moment = self
            .db
            .unchecked_transaction()
            .map_err(|error| unreadable(&error))?;
        let _limited = self.clock.limit(limits);
        let found = self
            .tables_of(room)
            .map_err(|error| explain(&error, &self.guard, &self.clock, limits))?;
        let Some((applied, tables)) = found else {
            return Ok(None);
        };
        let mut rows = self.answer(tables, sql, params, limits)?;
        drop(moment);
        rows.applied = applied;
        Ok(Some(rows))
    }

    /// Runs SQL on views, which go with the transaction that there is.
    fn answer(
        &self,
        tables: Tables,
        sql: &str,
        params: &Params,
        limits: &SqlLimits,
    ) -> Result<Rows, TableError> {
        let explained = |error: &rusqlite::Error| explain(error, &self.guard, &self.clock, limits);
        let columns = describe_in_shadow(&tables, sql, limits)?;
        for view in &tables.views {
            self.db
                .execute_batch(view)
                .map_err(|error| explained(&error))?;
        }
        self.guard.know_views(tables.names);
        let answered = {
            let _guarded = self.guard.on();
            answer(&self.db, sql, params, limits)
        };
        match answered {
            Ok(mut rows) => {
                rows.columns = columns;
                rows.tables = self.guard.read();
                rows.source = RowsSource::Replica;
                Ok(rows)
            }
            Err(Failure::Refused(error)) => Err(error),
            Err(Failure::Sqlite(error)) => Err(explained(&error)),
        }
    }

    /// Returns how many messages of a room are here, and its tables.
    fn tables_of(&self, room: RoomId) -> rusqlite::Result<Option<(u64, Tables)>> {
        let found = "SELECT no, applied FROM main._rooms WHERE id = ?1 AND kind = 0";
        let found = self.db.query_row(found, [room.0.cast_signed()], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        });
        let Some((no, applied)) = found.optional()? else {
            return Ok(None);
        };
        let mut all = self
            .db
            .prepare("SELECT no, definition FROM main._tables WHERE room = ?1 ORDER BY no")?;
        let all = all.query_map([no], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
        })?;
        let mut tables = Tables::default();
        for table in all {
            let (no, definition) = table?;
            if let Some(shape) = Shape::with(None, &definition, usize::MAX) {
                tables.empty.push(shape.empty_table_of_room());
                tables.views.push(shape.view_of_room(no));
                tables.names.push(shape.name);
            }
        }
        Ok(Some((applied.cast_unsigned(), tables)))
    }

    /// Notes which rooms are asked.
    fn want(&self, rooms: Option<&[&str]>) -> rusqlite::Result<Wanted> {
        let mut wanted = Wanted::default();
        let Some(rooms) = rooms else {
            let sql = "SELECT count(*) FROM _rooms WHERE kind = 0";
            let count: i64 = self.db.query_row(sql, [], |row| row.get(0))?;
            wanted.asked = count.cast_unsigned();
            return Ok(wanted);
        };
        self.db
            .execute_batch("CREATE TEMP TABLE _wanted (no INTEGER PRIMARY KEY)")?;
        let mut find = self
            .db
            .prepare("SELECT no, applied FROM main._rooms WHERE name = ?1 AND kind = 0")?;
        let mut want = self
            .db
            .prepare("INSERT OR IGNORE INTO temp._wanted VALUES (?1)")?;
        for room in rooms {
            let found = find.query_row([room], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            });
            match found.optional()? {
                Some((no, applied)) => {
                    wanted.asked += want.execute([no])? as u64;
                    let seq = applied.cast_unsigned();
                    wanted.seqs.push(((*room).into(), seq));
                }
                None => wanted.missing.push((*room).into()),
            }
        }
        Ok(wanted)
    }

    /// Returns what the tables look like that the SQL may name.
    fn shapes(&self, sql: &str, named: bool) -> rusqlite::Result<Vec<Shape>> {
        let rooms = shape::rooms(named);
        // What has no name in the SQL cannot be meant; names are plain words, however they are quoted.
        let sql = sql.to_ascii_lowercase();
        let mut all = self
            .db
            .prepare("SELECT DISTINCT lower(name) FROM main._tables")?;
        let all = all.query_map([], |row| row.get::<_, String>(0))?;
        let mut names = Vec::new();
        for name in all {
            let name = name?;
            if sql.contains(&name) && names.len() < TABLES_MAX {
                names.push(name);
            }
        }
        let mut find = self.db.prepare(&format!(
            "SELECT DISTINCT t.definition FROM main._tables t JOIN main._rooms r ON r.no = t.room
             WHERE t.name = ?1 AND {rooms} ORDER BY t.no"
        ))?;
        let mut shapes = Vec::new();
        for name in names {
            let definitions = find.query_map([&name], |row| row.get::<_, String>(0))?;
            let mut shape: Option<Shape> = None;
            for definition in definitions {
                shape = Shape::with(shape, &definition?, COLUMNS_MAX);
            }
            shapes.extend(shape);
        }
        Ok(shapes)
    }
}

/// Prepares the SQL where there is nothing but empty tables; returns the columns of its answer.
fn describe_in_shadow(
    tables: &Tables,
    sql: &str,
    limits: &SqlLimits,
) -> Result<Vec<crate::tables::ColumnInfo>, TableError> {
    let unexpected = |error: rusqlite::Error| unreadable(&error);
    let mut db = Connection::open_in_memory().map_err(unexpected)?;
    set_limits(&db, &options()).map_err(unexpected)?;
    for table in &tables.empty {
        db.execute_batch(table).map_err(unexpected)?;
    }
    let clock = Clock::watch(&mut db).map_err(unexpected)?;
    let guard = Guard::watch(&mut db).map_err(unexpected)?;
    guard.know(tables.names.clone());
    let _limited = clock.limit(limits);
    let described = {
        let _guarded = guard.on();
        describe(&db, sql)
    };
    match described {
        Ok(columns) => Ok(columns),
        Err(Failure::Refused(error)) => Err(error),
        Err(Failure::Sqlite(error)) => Err(explain(&error, &guard, &clock, limits)),
    }
}

fn options() -> TableOptions {
    TableOptions {
        value_bytes_max: ROW_BYTES_MAX / 2,
        ..TableOptions::default()
    }
}

const UNREADABLE: &str = "the replica cannot be read for the moment";

fn unreadable(_error: &rusqlite::Error) -> TableError {
    TableError::new(Code::ViewUnavailable, UNREADABLE)
}

#[cfg(test)]
mod tests;
