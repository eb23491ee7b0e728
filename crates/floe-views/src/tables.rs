//! Tables of a room: a SQLite file of its own for each room that has some.
//!
//! The room's log is the truth: each change of a row is one message in it
//! ([`floe_proto::table::Change`]). A [`RoomFile`] checks calls and does them, hands out the messages
//! that say so, and can be made again from them at any time. A [`RoomReader`] answers SQL that people
//! wrote: what it may do is decided by SQLite itself.
//!
//! Nothing here starts a thread; no clock is read but for the time limit of a query.

mod alter;
mod apply;
mod builtin;
mod catalog;
mod constraint;
mod definition;
mod error;
mod file;
mod folder;
pub(crate) mod gate;
mod layout;
mod messages;
mod options;
mod reader;
mod rows;
mod snapshot;
mod store;
mod usage;
mod value;
mod versions;
mod work;

pub use error::TableFileError;
pub use file::{Resting, RoomFile};
pub use folder::{Contents, TableFolder};
pub use messages::Messages;
pub use options::{SqlLimits, TableOptions};
pub use reader::{ColumnInfo, RoomReader, Rows, RowsSource, UsageDay};
pub use snapshot::Snapshot;
