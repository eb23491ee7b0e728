//! Why an operation was refused.

use std::io;

use floe_proto::RoomId;

use crate::cold::{ColdWant, StoreError};
use crate::disk::is_full;
use crate::fold::FoldError;

/// Why background work failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Bytes could not be read, or did not fold.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host could not fold the records.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The store of cold data failed; nothing has changed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl WorkError {
    /// Returns what the store of cold data says, if it was the one that failed.
    pub(crate) fn store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Read(_) | Self::Fold(_) | Self::Io(_) => None,
        }
    }

    /// Returns whether space ran out, which may pass.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Io(error) | Self::Read(ReadError::Io(error)) => is_full(error),
            Self::Fold(_) | Self::Read(_) | Self::Store(_) => false,
        }
    }
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file} is damaged at byte {at}: {what}")]
pub struct Corrupt {
    /// The file's name.
    pub file: String,
    /// Where in the file.
    pub at: u64,
    /// What does not hold.
    pub what: &'static str,
}

/// Why a folder was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no log in the folder.
    #[error("there is no log")]
    NoLog,
    /// Another process has the folder open.
    #[error("the folder is in use by another process")]
    Locked,
    /// The folder was written by a version whose format this one does not read.
    #[error("format version {version} is unknown, this program reads version {known}")]
    Version {
        /// Version found.
        version: u32,
        /// Newest version known.
        known: u32,
    },
    /// Durable data is damaged. Nothing was changed.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            ReadError::Io(error) => Self::Io(error),
            ReadError::NoRoom { .. }
            | ReadError::Gone { .. }
            | ReadError::Cold(_)
            | ReadError::Fold(_) => {
                unreachable!("a start reads tables, not rooms")
            }
        }
    }
}

/// Why a record was not staged; nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// No space for more of the log. Works again once space is back.
    #[error("no space for the log")]
    Full,
    /// Too much waits to be flushed. Another try succeeds once a flush has finished.
    #[error("{unflushed_bytes} bytes wait to be flushed")]
    Busy {
        /// Bytes of records in memory.
        unflushed_bytes: u64,
    },
    /// The record is larger than a log takes.
    #[error("the record has {bytes} bytes, at most {bytes_max} fit")]
    TooLarge {
        /// Bytes of the record.
        bytes: u64,
        /// Bytes allowed.
        bytes_max: u64,
    },
    /// The name is taken.
    #[error("the name belongs to room {}", room.0)]
    Exists {
        /// The room that has it.
        room: RoomId,
    },
    /// No such room, or it was deleted.
    #[error("there is no room {}", room.0)]
    NoRoom {
        /// The room asked for.
        room: RoomId,
    },
    /// The disk failed while a segment was made.
    #[error("{0}")]
    Io(#[source] io::Error),
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such room, or it was deleted.
    #[error("there is no room {}", room.0)]
    NoRoom {
        /// The room asked for.
        room: RoomId,
    },
    /// The units asked for were dropped by retention.
    #[error("units before {first} are gone")]
    Gone {
        /// The oldest unit that is still there.
        first: u64,
    },
    /// The next units are in the store of cold data. Hand this to
    /// [`Log::want_cold`](crate::Log::want_cold), and read again once they were fetched.
    #[error("the data is cold")]
    Cold(ColdWant),
    /// The bytes on disk are damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The host could not fold the records.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}
