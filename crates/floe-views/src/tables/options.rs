//! Bounds of a room's tables.

/// Bounds of the tables of one room, and of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOptions {
    /// Tables that a room may have.
    pub tables_max: usize,
    /// Columns that a table may have.
    pub columns_max: usize,
    /// Mutations of one call.
    pub call_mutations_max: usize,
    /// Rows that one call may hand in, change or delete.
    pub call_rows_max: usize,
    /// Bytes of the messages that one call may leave in the log.
    pub call_bytes_max: usize,
    /// Bytes of one value; a row may have twice as many.
    pub value_bytes_max: usize,
    /// Bytes of a row's key as text.
    pub key_bytes_max: usize,
    /// Bytes of the file from which on nothing can be added; rows and tables can be deleted.
    pub file_bytes_max: u64,
    /// Memory for pages of the file that the writer, and each reader, keeps.
    pub cache_bytes: u64,
    /// Days of usage that are kept.
    pub usage_days: u32,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            tables_max: 100,
            columns_max: 100,
            call_mutations_max: 1_000,
            call_rows_max: 10_000,
            call_bytes_max: 16 << 20,
            value_bytes_max: 1 << 20,
            key_bytes_max: 1_000,
            file_bytes_max: 1 << 30,
            cache_bytes: 512 << 10,
            usage_days: 30,
        }
    }
}

impl TableOptions {
    /// Bytes of the values of one row.
    pub(super) const fn row_bytes_max(&self) -> usize {
        self.value_bytes_max.saturating_mul(2)
    }
}

/// Bounds of one query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlLimits {
    /// Bytes of the SQL.
    pub sql_bytes_max: usize,
    /// How long it may take.
    pub timeout_ms: u64,
    /// Rows after which the answer ends.
    pub rows_max: usize,
    /// Bytes of JSON after which the answer ends.
    pub bytes_max: usize,
    /// Bytes that it may write to temporary files, to sort and group; where the system cannot tell
    /// (it can on Linux), only the time bounds them.
    pub temporary_bytes_max: u64,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self {
            sql_bytes_max: 10_000,
            timeout_ms: 2_000,
            rows_max: 10_000,
            bytes_max: 8 << 20,
            temporary_bytes_max: 256 << 20,
        }
    }
}
