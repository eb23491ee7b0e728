//! Tables of a room: what they look like, what may be asked of them, and the messages in the room's
//! log that say what became of it.
//!
//! A room with tables is a JSON room that the server alone appends to. Each change of a row, and each
//! change of a table, is one message of the Durable Streams State Protocol ([`Change`]); the messages of
//! one [`Call`] stand side by side and are one append, so they are there together or not at all. The
//! number of a message (its *seq*, from 1) is the version of the row that it made.

mod call;
mod change;
mod error;
mod params;
mod schema;
mod value;

pub use call::{Alteration, Applied, Call, Mutated, Mutation, OnConflict, Place, Precondition};
pub use change::{Change, Headers, Operation, SCHEMA_TYPE};
pub use error::TableError;
pub use params::Params;
pub use schema::{Column, ColumnType, NAME_BYTES_MAX, Table, check_name};
pub use value::{Row, Value};

/// Path, in its namespace, of what all rooms with tables lie under; the rest is the room's name.
pub const ROOMS: &str = "__room__/";

/// The table that buffered writes come to lie in: `key` and its newest `value`, which is JSON.
pub const BUFFERED: &str = "buffered";

/// The built-in table of tasks: `id`, `title`, `status`.
pub const TASKS: &str = "tasks";
