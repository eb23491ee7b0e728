//! What can go wrong with the file itself, by what the caller does next.

use floe_proto::Code;

/// Why a room's file could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableFileError {
    /// The file does not say what the log says. [`TableFolder::remove`](super::TableFolder::remove)
    /// it, open it anew, and apply the log from its first message.
    #[error("the file of the room's tables is damaged")]
    Corrupt(#[source] Option<rusqlite::Error>),
    /// Messages are missing in between; hand in those from `expected` on.
    #[error("message {found} was handed in where {expected} was expected")]
    Gap {
        /// Number of the message that should have come.
        expected: u64,
        /// Number of the one that came.
        found: u64,
    },
    /// The log has something in the place of message `seq` that no table can be made of.
    #[error("message {seq} is no change of a table: {reason}")]
    NotChange {
        /// Number of the message.
        seq: u64,
        /// What is wrong.
        reason: String,
    },
    /// The batch under way came to an end before its time, and nothing of it is there: roll it back.
    #[error("no batch is under way")]
    NoBatch,
    /// Try again later.
    #[error("the file of the room's tables cannot be read or written")]
    Io(#[from] std::io::Error),
    /// Try again later.
    #[error("the file of the room's tables cannot be read or written")]
    Sqlite(#[source] rusqlite::Error),
}

impl TableFileError {
    /// Whether the file must be removed and made again.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        matches!(self, Self::Corrupt(_))
    }

    /// Returns the code on the wire.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Sqlite(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) =>
            {
                Code::DiskFull
            }
            Self::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => Code::DiskFull,
            Self::NotChange { .. } => Code::Corrupt,
            Self::Corrupt(_) | Self::Gap { .. } | Self::NoBatch | Self::Io(_) | Self::Sqlite(_) => {
                Code::ViewUnavailable
            }
        }
    }
}

impl From<rusqlite::Error> for TableFileError {
    fn from(error: rusqlite::Error) -> Self {
        if is_corruption(&error) {
            Self::Corrupt(Some(error))
        } else {
            Self::Sqlite(error)
        }
    }
}

/// Whether SQLite found the file itself damaged.
pub fn is_corruption(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}
