//! What can go wrong, by what the caller does next.

use floe_proto::{ChannelId, Code};

/// Why the view could not be opened or written. Nothing of the batch was applied.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// Delete the file and make it again from the log.
    #[error("the view is damaged")]
    Corrupt(#[source] rusqlite::Error),
    /// A newer version of Floe wrote the file; it is left as it is.
    #[error("the view has version {found}, and this program knows versions up to {known}")]
    Newer {
        /// Version of the file.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The file is a database of something else; it is left as it is.
    #[error("the file is no view of channels but belongs to something else")]
    Foreign,
    /// Events are missing in between; hand in those from `expected` on.
    #[error("channel {channel} goes on with event {found} where {expected} was expected")]
    Gap {
        /// The channel.
        channel: ChannelId,
        /// Number of the event that should have come.
        expected: u64,
        /// Number of the one that came.
        found: u64,
    },
    /// The bytes handed in are not events one after another.
    #[error("channel {channel} has something else in the place of event {seq}")]
    NotEvents {
        /// The channel.
        channel: ChannelId,
        /// Number of the event that should be there.
        seq: u64,
    },
    /// The file has no numbers left for channels or events; delete it and make it again.
    #[error("the view has no numbers left")]
    Full,
    /// The host could not read what is to be applied.
    #[error("what is to be applied cannot be read")]
    Io(#[from] std::io::Error),
    /// Try again later.
    #[error("the view cannot be written")]
    Sqlite(#[source] rusqlite::Error),
}

impl ViewError {
    /// Whether the file must be deleted and made again.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt(_) | Self::Full)
    }
}

impl From<rusqlite::Error> for ViewError {
    fn from(error: rusqlite::Error) -> Self {
        if is_corruption(&error) {
            Self::Corrupt(error)
        } else {
            Self::Sqlite(error)
        }
    }
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Ask for less.
    #[error("the question took longer than {timeout_ms} ms")]
    Timeout {
        /// Time it had.
        timeout_ms: u64,
    },
    /// The page is not one that an answer to this very question named.
    #[error("the page is not one that this question was answered with")]
    Page,
    /// Ask for a shorter text.
    #[error("the text has {found} bytes, and {text_bytes_max} are allowed")]
    TextTooLong {
        /// Its length.
        found: usize,
        /// Bytes allowed.
        text_bytes_max: usize,
    },
    /// The index that the question needs is switched off.
    #[error("the index of {index} is switched off, and this question needs it")]
    IndexOff {
        /// What it would have indexed.
        index: &'static str,
    },
    /// Try again later, with a new reader.
    #[error("the view cannot be read")]
    Unavailable(#[source] rusqlite::Error),
}

impl QueryError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Timeout { .. } => Code::QueryTimeout,
            Self::Page | Self::TextTooLong { .. } | Self::IndexOff { .. } => Code::InvalidRequest,
            Self::Unavailable(_) => Code::ViewUnavailable,
        }
    }

    /// Whether the file must be deleted and made again.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        matches!(self, Self::Unavailable(error) if is_corruption(error))
    }

    /// Whether SQLite stopped because the time was over.
    pub(crate) fn is_interrupt(&self) -> bool {
        matches!(self, Self::Unavailable(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted))
    }
}

impl From<rusqlite::Error> for QueryError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Unavailable(error)
    }
}

/// Whether SQLite found the file itself damaged, as far as one error can say.
///
/// A row that is there already says so, too: the file tells of events that it says it does not have.
fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            rusqlite::ErrorCode::DatabaseCorrupt
                | rusqlite::ErrorCode::NotADatabase
                | rusqlite::ErrorCode::ConstraintViolation
        )
    )
}
