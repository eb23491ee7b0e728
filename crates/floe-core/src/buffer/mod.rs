//! The write buffer of rooms with tables: what changes fast, and is written down at most once an
//! interval.
//!
//! The newest value of a key counts. It is due one interval after the *first* update that has not
//! been written down, however fast others follow; whoever reads sees it at once. A flush that fails
//! loses nothing: its values come back, unless there are newer ones. Counters are values to which is
//! added where they are newest, so no increment is lost either.
//!
//! It holds only what has not been written down. What is durable it has to be told where it counts
//! ([`Durable`]). The host relies on it in two ways: flushes of a room become durable, or fail, in
//! the order in which they were taken; and nobody else writes what it writes.
//!
//! ```
//! use floe_core::buffer::{BufferLimits, Buffers, Update};
//! use floe_proto::{Millis, RoomId};
//!
//! let (room, start) = (RoomId(1), Millis(1_700_000_000_000));
//! let mut buffers = Buffers::new(BufferLimits::default(), start);
//! for (after_ms, value) in [(0, "1"), (400, "2"), (800, "3")] {
//!     let update = Update { key: "slider", value, interval_ms: None };
//!     buffers.update(room, &update, start.plus(after_ms))?;
//! }
//! assert_eq!(buffers.get(room, "slider"), Some("3"));
//! assert_eq!(buffers.take_due(start.plus(900)), []);
//! let due = buffers.take_due(start.plus(1_000));
//! assert_eq!(due[0].values, [("slider".into(), "3".into())]);
//! buffers.finish(due[0].id, true, start.plus(1_002));
//! assert_eq!(buffers.get(room, "slider"), None);
//! # Ok::<(), floe_core::buffer::BufferError>(())
//! ```

mod number;
mod room;
mod rooms;

use floe_proto::{Code, RoomId};

pub use number::Number;
pub use rooms::Buffers;

/// Bounds of [`Buffers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferLimits {
    /// Keys of a room that are not written down.
    pub keys_max: usize,
    /// Bytes of a key.
    pub key_bytes_max: usize,
    /// Bytes of a value.
    pub value_bytes_max: usize,
    /// Bytes of a room's keys and values that are not written down, those under way included.
    pub bytes_max: usize,
    /// The same of all rooms.
    pub total_bytes_max: usize,
    /// Bytes of keys and values of one flush, but at least one value: what becomes of it in the log
    /// must be one record.
    pub flush_bytes_max: usize,
    /// Interval of an update that names none.
    pub interval_ms: u64,
    /// Shortest interval.
    pub interval_ms_min: u64,
    /// Longest interval.
    pub interval_ms_max: u64,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            keys_max: 1_024,
            key_bytes_max: 256,
            value_bytes_max: 100_000,
            bytes_max: 4 << 20,
            total_bytes_max: 64 << 20,
            flush_bytes_max: 512 << 10,
            interval_ms: 1_000,
            interval_ms_min: 10,
            interval_ms_max: 60_000,
        }
    }
}

/// A new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update<'a> {
    /// Where.
    pub key: &'a str,
    /// What; JSON.
    pub value: &'a str,
    /// How long it may take to be written down, at most.
    pub interval_ms: Option<u64>,
}

/// Something to add.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Increment<'a> {
    /// To what.
    pub key: &'a str,
    /// How much.
    pub by: Number,
    /// How long it may take to be written down, at most.
    pub interval_ms: Option<u64>,
    /// What is written down.
    pub durable: Durable<'a>,
}

/// What is written down under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durable<'a> {
    /// That is not known.
    Unknown,
    /// Nothing.
    Absent,
    /// This; JSON.
    Value(&'a str),
}

/// What became of an [`Increment`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Incremented {
    /// It was added, and this is the sum.
    Sum(Number),
    /// Nothing was done: it takes to know what is written down.
    Unknown,
}

/// Names a flush. None has the number of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlushId(pub u64);

/// Values that are to be written down now; say what became of it with [`Buffers::finish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flush {
    /// Its name.
    pub id: FlushId,
    /// Whose values they are.
    pub room: RoomId,
    /// Keys and values, ascending by key; at least one.
    pub values: Vec<(Box<str>, Box<str>)>,
}

/// How much is in buffers, and what went through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BufferUsage {
    /// Keys that are not written down, those under way included.
    pub keys: usize,
    /// Bytes of them and their values.
    pub bytes: usize,
    /// Updates and increments that were taken.
    pub updates: u64,
    /// Values that were written down.
    pub writes: u64,
    /// Values of flushes that failed.
    pub failures: u64,
}

/// Why a value was not taken; nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BufferError {
    /// Use another key.
    #[error("a key has 1 to {key_bytes_max} bytes")]
    Key {
        /// Bytes of a key.
        key_bytes_max: usize,
    },
    /// Use a shorter value.
    #[error("a value has at most {value_bytes_max} bytes")]
    Value {
        /// Bytes of a value.
        value_bytes_max: usize,
    },
    /// Use an interval within the bounds.
    #[error("an interval is {interval_ms_min} to {interval_ms_max} milliseconds")]
    Interval {
        /// Shortest interval.
        interval_ms_min: u64,
        /// Longest interval.
        interval_ms_max: u64,
    },
    /// Another try succeeds once others are written down.
    #[error("{keys_max} keys of the room wait to be written")]
    Keys {
        /// Keys at once.
        keys_max: usize,
    },
    /// Another try succeeds once others are written down.
    #[error("{bytes} bytes of keys and values wait to be written")]
    Bytes {
        /// Bytes that wait.
        bytes: usize,
    },
    /// Set a number first.
    #[error("the value is not a number")]
    NotANumber,
    /// Add less.
    #[error("the sum is out of range")]
    Range,
}

impl BufferError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Key { .. } | Self::Interval { .. } | Self::NotANumber | Self::Range => {
                Code::InvalidRequest
            }
            Self::Value { .. } => Code::BodyTooLarge,
            Self::Keys { .. } | Self::Bytes { .. } => Code::Overloaded,
        }
    }
}

#[cfg(test)]
mod tests;
