//! The threads that read the files of rooms.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use floe_proto::table::{BUFFERED, Change, Params, Row, TASKS, Table, TableError, Value};
use floe_proto::{Code, RoomId};
use floe_views::tables::{RoomReader, Rows, SqlLimits, TableFileError, UsageDay};
use serde_json::json;

use super::bounds::TableSettings;
use super::writer::refused;
use super::{Asker, Done, Mailbox, Refused};

/// What a room's tables can be asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// One SQL statement that only reads.
    Query {
        /// The statement.
        sql: Box<str>,
        /// Its values.
        params: Params,
    },
    /// All tasks, by id; none where there is no such table.
    Tasks,
    /// All tables and their columns.
    Schema,
    /// What the tables look like, for a client of their types.
    Tables,
    /// What was read and written lately, and what the room holds, given the reads that are not in
    /// the file yet.
    Usage(u64),
    /// Who did what: the newest messages as the log has them, the first of which has this place.
    Audit(u64, Vec<u8>),
    /// What the write buffer has written down under a key.
    Buffered(Box<str>),
    /// A copy of the file.
    Backup,
}

/// What a room's tables say.
#[derive(Debug)]
pub enum Answer {
    /// Rows of [`Ask::Query`] or [`Ask::Tasks`].
    Rows(Rows),
    /// JSON.
    Json(Vec<u8>),
    /// The tables, in the order of their names.
    Tables(Vec<Table>),
    /// A value that the write buffer has written down, if there is one; JSON.
    Buffered(Option<Box<str>>),
    /// What [`Ask::Usage`] asks for, as a JSON object: what the files know of it.
    Usage(Vec<u8>),
    /// A file that goes with its last handle.
    File(File),
}

/// A question on its way to a thread.
#[derive(Debug)]
pub(super) struct Asked {
    pub asker: Asker,
    pub room: RoomId,
    /// Which opening of the room's file is asked.
    pub generation: u64,
    /// Times that it was asked before, of a file that failed.
    pub tries: u8,
    pub limits: Arc<SqlLimits>,
    pub ask: Ask,
}

/// Why a question was not answered.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It cannot be.
    Refused(TableError),
    /// The file could not be read.
    Failed(Refused),
}

impl From<TableError> for Unanswered {
    fn from(error: TableError) -> Self {
        if error.code == Code::ViewUnavailable {
            Self::Failed(error.into())
        } else {
            Self::Refused(error)
        }
    }
}

impl From<TableFileError> for Unanswered {
    fn from(error: TableFileError) -> Self {
        Self::Failed(refused(&error))
    }
}

/// A room's file, open for reading.
struct Open {
    reader: RoomReader,
    generation: u64,
    /// When it was last used, in questions.
    used: u64,
}

/// The readers of one thread.
struct Readers<'s> {
    settings: &'s TableSettings,
    open: HashMap<RoomId, Open>,
    open_max: usize,
    asked: u64,
}

/// Answers questions until the event loop lets go of the queue.
pub(super) fn run(settings: &TableSettings, questions: &Mutex<Receiver<Asked>>, mailbox: &Mailbox) {
    let mut readers = Readers {
        settings,
        open: HashMap::new(),
        open_max: (settings.bounds.open_max / settings.readers.max(1)).max(1),
        asked: 0,
    };
    loop {
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(asked) = next else {
            return;
        };
        let started = Instant::now();
        let result = readers.answer(&asked);
        if matches!(result, Err(Unanswered::Failed(_))) {
            readers.open.remove(&asked.room);
        }
        let seconds = started.elapsed().as_secs_f64();
        mailbox.put(Done::Answered(asked, result, seconds));
    }
}

impl Readers<'_> {
    fn answer(&mut self, asked: &Asked) -> Result<Answer, Unanswered> {
        let folder = &self.settings.folder;
        let reader = match &asked.ask {
            Ask::Audit(first_seq, messages) => {
                return Ok(Answer::Json(audit(*first_seq, messages)?));
            }
            Ask::Backup => {
                let mut reader = RoomReader::open(folder, asked.room, &self.settings.bounds.room)?;
                return copy(&mut reader, &self.settings.copies).map(Answer::File);
            }
            Ask::Query { .. }
            | Ask::Tasks
            | Ask::Buffered(_)
            | Ask::Schema
            | Ask::Tables
            | Ask::Usage(_) => self.open(asked.room, asked.generation)?,
        };
        Ok(match &asked.ask {
            Ask::Query { sql, params } => Answer::Rows(reader.query(sql, params, &asked.limits)?),
            Ask::Tasks => Answer::Rows(tasks(reader, &asked.limits)?),
            Ask::Buffered(key) => Answer::Buffered(buffered(reader, key, &asked.limits)?),
            Ask::Schema => Answer::Json(reader.schema_info()?),
            Ask::Tables => Answer::Tables(reader.schema()?.0),
            Ask::Usage(unsaved) => {
                let bytes = std::fs::metadata(folder.file(asked.room));
                let bytes = bytes.map_or(0, |metadata| metadata.len());
                Answer::Usage(usage(reader, *unsaved, bytes)?)
            }
            Ask::Audit(..) | Ask::Backup => unreachable!("they are answered above"),
        })
    }

    fn open(&mut self, room: RoomId, generation: u64) -> Result<&mut RoomReader, TableFileError> {
        self.asked += 1;
        self.open
            .retain(|other, open| *other != room || open.generation == generation);
        if !self.open.contains_key(&room) && self.open.len() >= self.open_max {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.used);
            if let Some(oldest) = oldest.map(|(room, _)| *room) {
                self.open.remove(&oldest);
            }
        }
        let open = match self.open.entry(room) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(Open {
                reader: RoomReader::open(&self.settings.folder, room, &self.settings.bounds.room)?,
                generation,
                used: 0,
            }),
        };
        open.used = self.asked;
        Ok(&mut open.reader)
    }
}

/// Returns all tasks by id; none where nobody has made one.
fn tasks(reader: &mut RoomReader, limits: &SqlLimits) -> Result<Rows, TableError> {
    let (tables, applied) = reader.schema()?;
    if tables
        .iter()
        .any(|table| table.name.eq_ignore_ascii_case(TASKS))
    {
        return reader.query(TASKS_SQL, &Params::default(), limits);
    }
    Ok(Rows {
        data: b"[]".to_vec(),
        applied,
        ..Rows::default()
    })
}

/// Returns what the write buffer has written down under a key.
fn buffered(
    reader: &mut RoomReader,
    key: &str,
    limits: &SqlLimits,
) -> Result<Option<Box<str>>, TableError> {
    let (tables, _) = reader.schema()?;
    if !tables.iter().any(|table| *table.name == *BUFFERED) {
        return Ok(None);
    }
    let params = Params::Positional(vec![Value::Text(key.into())]);
    let rows = reader.query(BUFFERED_SQL, &params, limits)?;
    let rows: Vec<Row> = serde_json::from_slice(&rows.data)
        .map_err(|error| TableError::new(Code::Internal, error.to_string()))?;
    let value = rows.first().and_then(|row| row.get("value"));
    Ok(value.and_then(|value| match value {
        Value::Text(json) => Some(json.clone()),
        Value::Null | Value::Integer(_) | Value::Real(_) | Value::Blob(_) => None,
    }))
}

/// The value of a key as it was written, which is JSON.
const BUFFERED_SQL: &str = "SELECT CAST(value AS TEXT) AS value FROM buffered WHERE key = ?1";

/// What `listTasks` asks.
pub const TASKS_SQL: &str = "SELECT id, title, status FROM tasks ORDER BY id";

/// Copies a room's tables to a file that is gone with its handle.
fn copy(reader: &mut RoomReader, copies: &Path) -> Result<File, Unanswered> {
    let number = COPIES.fetch_add(1, Ordering::Relaxed);
    let path = copies.join(number.to_string());
    let copied = std::fs::create_dir_all(copies)
        .map_err(TableFileError::Io)
        .and_then(|()| reader.backup(&path))
        .and_then(|_| File::open(&path).map_err(TableFileError::Io));
    let removed = std::fs::remove_file(&path);
    let file = copied?;
    removed.map_err(TableFileError::Io)?;
    Ok(file)
}

/// Number of the next copy; copies have names of their own until they are open.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Writes how much a room's tables were used. Reads that are not in the file yet are of today.
fn usage(reader: &mut RoomReader, unsaved: u64, bytes: u64) -> Result<Vec<u8>, TableError> {
    let days = reader.usage()?.into_iter();
    let days = days.map(|UsageDay { day, reads, writes }| {
        let day = day.rfc3339();
        let day = day.split('T').next().unwrap_or_default();
        json!({ "day": day, "reads": reads, "writes": writes })
    });
    let days: Vec<_> = days.collect();
    let (tables, seq) = reader.schema()?;
    let usage = json!({
        "days": days,
        "readsUnsaved": unsaved,
        "tables": tables.len(),
        "bytes": bytes,
        "seq": seq,
    });
    Ok(usage.to_string().into_bytes())
}

/// Writes who did what, the newest first.
fn audit(first_seq: u64, messages: &[u8]) -> Result<Vec<u8>, TableError> {
    let all = messages.strip_suffix(b",").unwrap_or(messages);
    let all = [b"[", all, b"]"].concat();
    let changes: Vec<Change<'_>> = serde_json::from_slice(&all).map_err(|_| {
        let message = "the room's log holds something that is no change of a table";
        TableError::new(Code::Corrupt, message)
    })?;
    let entries = (first_seq..).zip(changes).map(|(seq, change)| {
        let headers = change.headers;
        json!({
            "seq": seq,
            "table": change.table,
            "key": change.key,
            "operation": headers.operation,
            "user": headers.user,
            "at": headers.timestamp.rfc3339(),
            "txid": headers.txid,
        })
    });
    let mut entries: Vec<_> = entries.collect();
    entries.reverse();
    Ok(serde_json::Value::from(entries).to_string().into_bytes())
}
