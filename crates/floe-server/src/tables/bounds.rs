//! What the tables of rooms are started with, and their bounds.

use std::path::PathBuf;
use std::sync::Arc;

use floe_views::tables::{SqlLimits, TableFolder, TableOptions};

use crate::settings::Limits;

/// What the host of tables is started with.
#[derive(Debug, Clone)]
pub struct TableSettings {
    /// The folder of the rooms' files.
    pub folder: TableFolder,
    /// A folder for copies of files on their way to who asked for them.
    pub copies: PathBuf,
    /// Threads that read.
    pub readers: usize,
    /// Bounds.
    pub bounds: TableBounds,
}

/// Bounds of the tables of all rooms.
#[derive(Debug, Clone)]
pub struct TableBounds {
    /// Files that are open for writing at once.
    pub open_max: usize,
    /// Calls that wait in one room.
    pub queue_calls_max: usize,
    /// Bytes of the calls that wait in one room.
    pub queue_bytes_max: usize,
    /// Calls of one batch.
    pub batch_calls_max: usize,
    /// Messages of one batch after which no call is added.
    pub batch_rows_max: usize,
    /// Bytes of the messages of one batch after which no call is added.
    pub batch_bytes_max: usize,
    /// Questions that wait or are under way.
    pub queries_max: usize,
    /// Milliseconds that a question waits for a message that is not there yet.
    pub wait_ms: u64,
    /// Messages after which a snapshot is made; 0 is never.
    pub snapshot_every: u64,
    /// Milliseconds after which a file that nobody uses is closed.
    pub idle_timeout_ms: u64,
    /// Milliseconds that cold data is waited for.
    pub cold_read_timeout_ms: u64,
    /// Bounds of one query.
    pub query: Arc<SqlLimits>,
    /// Bounds of one room and of one call.
    pub room: TableOptions,
}

impl TableBounds {
    /// Returns the bounds that these limits set.
    pub fn of(limits: &Limits) -> Self {
        Self {
            open_max: limits.tables_open_max.max(1),
            queue_calls_max: limits.tables_queue_max,
            queue_bytes_max: limits.tables_queue_bytes_max,
            batch_calls_max: limits.tables_batch_calls_max.max(1),
            batch_rows_max: limits.tables_batch_rows_max,
            batch_bytes_max: limits.tables_batch_bytes_max,
            queries_max: limits.tables_queries_max,
            wait_ms: limits.query_wait_ms,
            snapshot_every: limits.tables_snapshot_every,
            idle_timeout_ms: limits.room_idle_timeout_ms,
            cold_read_timeout_ms: limits.cold_read_timeout_ms,
            query: Arc::new(sql_limits(limits)),
            room: TableOptions {
                tables_max: limits.tables_per_room_max,
                columns_max: limits.tables_columns_max,
                call_rows_max: limits.tables_call_rows_max,
                file_bytes_max: limits.tables_file_bytes_max,
                ..TableOptions::default()
            },
        }
    }
}

fn sql_limits(limits: &Limits) -> SqlLimits {
    SqlLimits {
        timeout_ms: limits.tables_query_timeout_ms,
        rows_max: limits.tables_query_rows_max,
        bytes_max: limits.tables_query_bytes_max,
        ..SqlLimits::default()
    }
}
