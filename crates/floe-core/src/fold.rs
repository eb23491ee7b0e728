//! Folding a room's records into its state, away from the running server.

use floe_proto::{Millis, RoomId};

use crate::record::Record;
use crate::room::{Room, Size};

/// A room's state after some records.
#[derive(Debug, PartialEq, Eq)]
pub struct Folding {
    /// What [`Room::decode`] reads.
    pub state: Vec<u8>,
    /// When somebody must look at the room, as far as the log knows: see [`Room::wake_at`].
    pub wake_at: Option<Millis>,
    /// First unit that is kept.
    pub start: u64,
}

/// Folds records, oldest first, into a room's state.
///
/// `state` is what an earlier fold returned, `None` for a room whose create record is the first
/// one. Each record comes with the time it was staged, its meta and the size of its payload. Returns `None` when
/// the bytes do not decode or do not begin with a create.
pub fn fold<'a>(
    room: RoomId,
    state: Option<&[u8]>,
    records: impl Iterator<Item = (Millis, &'a [u8], Size)>,
) -> Option<Folding> {
    let mut folded = match state {
        Some(state) => Some(Room::decode(room, state)?),
        None => None,
    };
    for (time, meta, size) in records {
        let record = Record::decode(meta)?;
        match &mut folded {
            Some(room) => room.apply(&record, size, time),
            None => folded = Some(Room::create(room, &record, size, time)?),
        }
    }
    let folded = folded?;
    let mut state = Vec::new();
    folded.encode(&mut state);
    Some(Folding {
        state,
        wake_at: folded.wake_at(),
        start: folded.start(),
    })
}
