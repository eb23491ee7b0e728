//! What a client is answered, as one JSON object each.

use floe_proto::Code;
use floe_proto::table::{Applied, Mutated, TableError};

use super::catalog::{Answer, MethodInfo};
use super::client::{Ids, Label};
use super::method::Source;
use super::object::Object;
use crate::ws::{Opcode, begin_frame, end_frame};

/// Why a call, or what was meant to be one, failed. Nothing has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The method, if it is known.
    pub method: Option<&'static str>,
    /// What the client calls the call.
    pub ids: Ids,
    /// What is wrong.
    pub error: TableError,
    /// When to come back.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// Refuses a call.
    #[must_use]
    pub fn of(label: &Label, error: TableError) -> Self {
        Self {
            method: Some(label.info.name),
            ids: label.ids.clone(),
            ..Self::unread(error)
        }
    }

    /// Refuses what could not be read.
    #[must_use]
    pub fn unread(error: TableError) -> Self {
        Self {
            method: None,
            ids: Ids::default(),
            error,
            retry_after_ms: None,
        }
    }

    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.error.code
    }
}

/// What a `success` says besides its action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Success<'a> {
    /// Place of the newest message of the room that it is about.
    pub seq: Option<u64>,
    /// Version of the memory with the change.
    pub version: Option<u64>,
    /// What tells the room from others of its name.
    pub incarnation: Option<&'a str>,
    /// Anything else, as JSON.
    pub data: Option<&'a str>,
}

/// What a connection could not take up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reset<'a, T> {
    /// Why.
    pub code: Code,
    /// Tables whose rows have to be read again.
    pub tables: &'a [T],
    /// Of what comes after this message the connection is told.
    pub seq: u64,
    /// What tells the room from others of its name.
    pub incarnation: &'a str,
}

/// Which of the answers with rows it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsOf<'a> {
    /// The answer to a query.
    Query {
        /// What was asked.
        sql: &'a str,
        /// Where the rows are from.
        source: Source,
    },
    /// The first rows of a live query.
    Subscribed,
}

/// The rows of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows<'a> {
    /// An array of objects, as JSON.
    pub data: &'a [u8],
    /// Whether there are more rows, which a limit kept back.
    pub truncated: bool,
    /// Place of the newest message that the rows show.
    pub seq: u64,
}

/// Appends a whole WebSocket message with what `write` appends.
pub fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = begin_frame(out);
    write(out);
    end_frame(out, start, Opcode::Text);
}

/// Appends a `pong`: the answer to a ping.
pub fn write_pong(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"type":"pong"}"#);
}

/// Appends a `reset`: what the client knows of some tables is to be forgotten, since it cannot be told
/// all that happened since.
pub fn write_reset<T: AsRef<str>>(out: &mut Vec<u8>, reset: &Reset<'_, T>) {
    Object::typed(out, "reset", |object| {
        object.text("code", reset.code.as_str());
        let tables = reset.tables.iter().map(AsRef::as_ref);
        object.list("tables", tables, super::object::json::<str>);
        object.number("seq", reset.seq);
        object.text("incarnation", reset.incarnation);
    });
}

/// Appends a `mutation_success`: what a call did is durable.
pub fn write_mutated(out: &mut Vec<u8>, label: &Label, applied: &Applied) {
    Object::typed(out, "mutation_success", |object| {
        object.text("action", label.info.name);
        ids(object, &label.ids);
        object.written("data", |out| data(out, label.info.answer, applied));
        // The last message, which is the version of the row where it was one.
        let last = applied.first_seq.saturating_add(applied.count);
        object.number("seq", last.saturating_sub(1));
    });
}

/// Appends a `success`.
pub fn write_success(out: &mut Vec<u8>, label: &Label, success: &Success<'_>) {
    Object::typed(out, "success", |object| {
        object.text("action", label.info.name);
        ids(object, &label.ids);
        object.maybe_number("seq", success.seq);
        object.maybe_number("version", success.version);
        if let Some(incarnation) = success.incarnation {
            object.text("incarnation", incarnation);
        }
        if let Some(data) = success.data {
            object.json("data", data.as_bytes());
        }
    });
}

/// Appends a `progress`: a call goes on, and this is how far it is.
pub fn write_progress(out: &mut Vec<u8>, label: &Label, data: &str) {
    Object::typed(out, "progress", |object| {
        object.text("action", label.info.name);
        ids(object, &label.ids);
        object.json("data", data.as_bytes());
    });
}

/// Appends a `query_result` whose data are no rows of a query.
pub fn write_data(out: &mut Vec<u8>, label: &Label, data: &[u8]) {
    Object::typed(out, "query_result", |object| {
        object.text("action", label.info.name);
        ids(object, &label.ids);
        object.json("data", data);
    });
}

/// Appends the members of an object that say what the rows of a query are. They can be shared by all
/// who are told of the same rows; [`write_query`] and [`write_query_update`] want them.
pub fn write_rows<'a>(
    out: &mut Vec<u8>,
    rows: &Rows<'_>,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
) {
    let mut object = Object::members(out);
    object.json("data", rows.data);
    object.written("columns", |out| {
        out.push(b'[');
        for (at, (name, kind)) in columns.enumerate() {
            if at > 0 {
                out.push(b',');
            }
            Object::write(out, |object| {
                object.text("name", name);
                object.text("type", kind);
            });
        }
        out.push(b']');
    });
    object.boolean("truncated", rows.truncated);
    object.number("seq", rows.seq);
}

/// Appends a `query_result` or `query_subscribed`.
pub fn write_query(out: &mut Vec<u8>, label: &Label, of: RowsOf<'_>, rows: &[u8]) {
    let kind = match of {
        RowsOf::Query { .. } => "query_result",
        RowsOf::Subscribed => "query_subscribed",
    };
    Object::typed(out, kind, |object| {
        object.text("action", label.info.name);
        ids(object, &label.ids);
        object.those(rows);
        if let RowsOf::Query { sql, source } = of {
            object.text("source", source.as_str());
            object.text("originalSql", sql);
        }
    });
}

/// Appends a `query_update`: the rows of a live query are others now.
pub fn write_query_update(out: &mut Vec<u8>, query_id: &str, rows: &[u8]) {
    Object::typed(out, "query_update", |object| {
        object.json("queryId", query_id.as_bytes());
        object.those(rows);
    });
}

/// Appends what a failure of a live query says, which thereby ends.
pub fn write_query_ended(out: &mut Vec<u8>, query_id: &str, error: &TableError) {
    Object::typed(out, "query_error", |object| {
        object.json("queryId", query_id.as_bytes());
        object.text("code", error.code.as_str());
        object.text("error", &error.message);
    });
}

/// Appends a `mutation_error`, `query_error` or `error`, as the method has it.
pub fn write_refusal(out: &mut Vec<u8>, refusal: &Refusal) {
    let answer = refusal.method.and_then(MethodInfo::named);
    let answer = answer.map(|info| info.answer);
    let (kind, message) = match answer {
        Some(answer) if answer.is_mutation() => ("mutation_error", "error"),
        Some(Answer::Query | Answer::LiveQuery) => ("query_error", "error"),
        Some(_) | None => ("error", "message"),
    };
    Object::typed(out, kind, |object| {
        if let Some(method) = refusal.method {
            object.text("action", method);
        }
        let error = &refusal.error;
        object.text("code", error.code.as_str());
        object.text(message, &error.message);
        ids(object, &refusal.ids);
        place(object, error);
        object.maybe_number("retryAfterMs", refusal.retry_after_ms);
    });
}

fn ids(object: &mut Object<'_>, ids: &Ids) {
    let Ids {
        request_id,
        update_id,
        query_id,
    } = ids;
    for (name, id) in [
        ("requestId", request_id),
        ("updateId", update_id),
        ("queryId", query_id),
    ] {
        if let Some(id) = id {
            object.json(name, id.as_bytes());
        }
    }
}

/// Adds what an error is about.
fn place(object: &mut Object<'_>, error: &TableError) {
    if let Some(table) = &error.table {
        object.text("table", table);
    }
    if let Some(column) = &error.column {
        object.text("column", column);
    }
    object.maybe_number("row", error.row.map(|row| row as u64));
}

fn data(out: &mut Vec<u8>, answer: Answer, applied: &Applied) {
    let nothing = Mutated::default();
    let first = applied.results.first().unwrap_or(&nothing);
    match answer {
        Answer::Task => match &first.row {
            Some(row) => super::object::json(out, row),
            None => out.extend_from_slice(b"null"),
        },
        Answer::Transaction => Object::write(out, |object| {
            object.list("results", applied.results.iter(), mutated);
        }),
        Answer::Row
        | Answer::Rows
        | Answer::Schema
        | Answer::Query
        | Answer::LiveQuery
        | Answer::Success => mutated(out, first),
    }
}

fn mutated(out: &mut Vec<u8>, mutated: &Mutated) {
    Object::write(out, |object| {
        object.number("rows", mutated.rows);
        if let Some(key) = &mutated.key {
            object.text("key", key);
        }
        if let Some(row) = &mutated.row {
            object.written("row", |out| super::object::json(out, row));
        }
        if !mutated.failed.is_empty() {
            object.list("failed", mutated.failed.iter(), |out, error| {
                Object::write(out, |object| {
                    object.text("code", error.code.as_str());
                    object.text("error", &error.message);
                    place(object, error);
                });
            });
        }
    });
}
