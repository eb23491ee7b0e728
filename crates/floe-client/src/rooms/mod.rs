//! Rooms with tables, over HTTP.
//!
//! ```no_run
//! use floe_client::rooms::Rooms;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let board = Rooms::new("http://127.0.0.1:4437")?.room("board");
//! board.call("createTask", &serde_json::json!({"title": "buy milk"})).await?;
//! let found = board.execute_sql("SELECT title FROM tasks WHERE id > ?", &[0]).await?;
//! for row in found.rows()? {
//!     println!("{:?}", row.get("title"));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Contract
//! - Questions are tried again after a failure that may pass, as [`RetryPolicy`](crate::RetryPolicy)
//!   says.
//! - A change that the server refused for now is tried again, since a refusal says that nothing has
//!   changed. Where the connection broke before the answer, the room's log is asked whether the change
//!   is there, and only one that is not is sent again: no change is made twice. Who may not read the
//!   room gets [`RoomError::Unreachable`] instead.

mod answer;
mod backup;
mod error;
mod room;
mod settle;

pub use answer::{Changed, ColumnInfo, Failed, Found, Inserted, SchemaColumn};
pub use backup::Backup;
pub use error::{CallRefusal, RoomError};
pub use floe_proto::table::{Column, ColumnType, OnConflict, Row, Table, Value};
pub use room::{Insert, Room, Rooms};
