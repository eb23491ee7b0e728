//! Why a replica could not be read or written.

use floe_proto::RoomId;

/// What went wrong, by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Try again later.
    #[error("the replica cannot be had: {0}")]
    Unavailable(String),
    /// What it had is gone, in part at least; look at all rooms again.
    #[error("the replica has lost what it had")]
    Lost,
    /// Hand in the messages after the newest that the replica has.
    #[error("room {} goes on with message {found} where {expected} was expected", room.0)]
    Gap {
        /// The room.
        room: RoomId,
        /// Number of the message that should have come.
        expected: u64,
        /// Number of the one that came.
        found: u64,
    },
    /// It is not ours, or a newer version's; it is left as it is.
    #[error("the replica is not one that this program knows: {0}")]
    Foreign(String),
}

impl From<std::io::Error> for ReplicaError {
    fn from(error: std::io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
