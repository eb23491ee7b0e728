//! How records become a room's state, without the log knowing what they mean.

use floe_proto::{Millis, RoomId};

/// Folds records into the state of their room.
///
/// The log keeps the newest state beside the data, so that a room wakes without a replay of its
/// history. It must depend on nothing but its arguments.
pub trait Fold: Send + Sync {
    /// Applies `records`, oldest first, to `state`; `None` when the first record creates the room.
    ///
    /// # Errors
    /// When state or records cannot be understood. Nothing is written then.
    fn fold(
        &self,
        room: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError>;
}

/// What a [`Fold`] sees of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// When it was staged, by the host's clock.
    pub time: Millis,
    /// The bytes handed in as `meta`.
    pub meta: &'a [u8],
    /// The record's first unit.
    pub first: u64,
    /// Units in the payload.
    pub units: u64,
    /// Bytes in the payload.
    pub payload_len: usize,
}

/// A room's state after some records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Folded {
    /// The state, as the host encodes it.
    pub state: Vec<u8>,
    /// When somebody must look at the room even if nobody uses it, for instance to expire it.
    pub wake_at: Option<Millis>,
    /// Units before this one may be dropped.
    pub keep_from: u64,
}

/// A state or record that the host does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("room {} does not fold: {reason}", room.0)]
pub struct FoldError {
    /// The room.
    pub room: RoomId,
    /// What is wrong with it.
    pub reason: String,
}
