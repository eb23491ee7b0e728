//! Settings of a log.

/// How large things may become; all have defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of one write-ahead segment; 64 MiB; at most 1 GiB and a quarter of
    /// `wal_bytes_max`. The first segments of a new log are smaller.
    pub wal_segment_bytes: u32,
    /// Bytes of all write-ahead segments together, spare ones included; 1 GiB. Staging answers
    /// [`StageError::Full`](crate::StageError::Full) at the bound.
    pub wal_bytes_max: u64,
    /// Bytes of records in memory at which a flush to a segment begins; 8 MiB. Four times as much
    /// where rooms have less than 2 KiB each, because a flush costs by the room, too.
    pub flush_bytes: u64,
    /// Bytes of records in memory at which staging answers
    /// [`StageError::Busy`](crate::StageError::Busy) until a flush has caught up; 128 MiB.
    pub unflushed_bytes_max: u64,
    /// Bytes of one record's payload, meta and lengths; 80 MiB; at most 1 GiB and a quarter
    /// of `wal_bytes_max`.
    pub record_bytes_max: u32,
    /// Bytes from which a segment is no longer merged with others; 1 GiB, which is
    /// the most.
    pub segment_bytes_max: u64,
    /// Key of the name hash for a new folder, instead of a random one. For tests and simulation,
    /// where every run must be the same.
    pub hash_key: Option<[u8; 16]>,
}

impl Options {
    /// Returns the settings within what the format can hold.
    pub(crate) fn bounded(self) -> Self {
        let quarter = u32::try_from(self.wal_bytes_max / 4).unwrap_or(u32::MAX);
        Self {
            wal_segment_bytes: self.wal_segment_bytes.min(quarter).clamp(4 << 10, 1 << 30),
            record_bytes_max: self.record_bytes_max.min(quarter).min(1 << 30),
            // A merged segment has twice as much at most, and tables within it four-byte lengths.
            segment_bytes_max: self.segment_bytes_max.min(1 << 30),
            ..self
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            wal_segment_bytes: 64 << 20,
            wal_bytes_max: 1 << 30,
            flush_bytes: 8 << 20,
            unflushed_bytes_max: 128 << 20,
            record_bytes_max: 80 << 20,
            segment_bytes_max: 1 << 30,
            hash_key: None,
        }
    }
}
