//! Rooms with tables: what is asked of one over a WebSocket of its own, over HTTP and over the live
//! protocol, and how that is answered.
//!
//! [`METHODS`] is the one table of what can be asked. [`read_frame`] and [`read_rpc`] turn a client's
//! JSON into a [`Method`] by it, [`Rpc::needs`] says by it who may ask, and the manifest and the
//! TypeScript client are written from it. The `write_*` functions append an answer or event as one JSON
//! object, which is the same on every transport, so that it is encoded once however many are told.
//!
//! The surface is described in `docs/TABLES.md`.

mod answer;
mod catalog;
mod client;
mod event;
pub(crate) mod fields;
mod http;
mod manifest;
mod method;
mod mutation;
pub(crate) mod object;
mod room;
mod typescript;

pub use answer::{
    Refusal, Reset, Rows, RowsOf, Success, frame, write_data, write_mutated, write_pong,
    write_progress, write_query, write_query_ended, write_query_update, write_refusal, write_reset,
    write_rows, write_success,
};
pub use catalog::{Answer, METHODS, MethodInfo, Param, Scope, Shape};
pub use client::{Action, Ids, Label, Rpc, read_frame, read_parts, read_rpc};
pub use event::{
    MemoryKind, MemoryUpdate, write_entries, write_memory_update, write_row_event,
    write_schema_update,
};
pub use http::{
    Ask, Asked, Connect, GlobalQuery, GlobalRows, ROUTES, owns, read_request, write_backup_head,
    write_client, write_global, write_json, write_refused,
};
pub use manifest::write_manifest;
pub use method::{MemoryPlace, Method, Query, Resume, Source, Unwatch, Watch};
pub use room::TableRoom;
pub use typescript::write_typescript;

/// Characters of the longest SQL text.
pub const SQL_CHARS_MAX: usize = 10_000;
/// Values that an SQL text may be given.
pub const SQL_PARAMS_MAX: usize = 1_000;
/// Characters of a task's title, without white space around it.
pub const TITLE_CHARS_MAX: usize = 500;
/// Columns that are read of a table; how many it may have is a setting.
pub const COLUMNS_MAX: usize = 1_000;
/// Steps of one `alterTable`.
pub const STEPS_MAX: usize = 100;
/// Rows of one `batchInsert`.
pub const BATCH_ROWS_MAX: usize = 10_000;
/// Mutations, and preconditions, of one transaction.
pub const MUTATIONS_MAX: usize = 1_000;
/// Bytes of a key of the memory and of the write buffer, and of a prefix.
pub const KEY_BYTES_MAX: usize = 256;
/// Bytes of a buffered value, as JSON.
pub const BUFFERED_BYTES_MAX: usize = 100_000;
/// Milliseconds after which a buffered value is written, when nobody says.
pub const INTERVAL_MS_DEFAULT: u64 = 1_000;
/// Shortest and longest such time that can be asked for.
pub const INTERVAL_MS: std::ops::RangeInclusive<u64> = 10..=60_000;
/// Bytes of a `requestId`, `updateId` or `queryId`, as JSON.
pub const ID_BYTES_MAX: usize = 130;
/// Bytes of a `userId`.
pub const USER_BYTES_MAX: usize = 128;
/// Tables of one subscription; how much a connection may watch is a setting.
pub const TABLES_MAX: usize = 1_000;
/// Bytes of what a room calls itself to tell it from others of its name.
pub const INCARNATION_BYTES_MAX: usize = 32;
/// Entries of the memory in one answer.
pub const ENTRIES_MAX: u64 = 1_000;
/// Rooms of one query over the replica.
pub const GLOBAL_ROOMS_MAX: usize = 1_000;

#[cfg(test)]
mod tests;
