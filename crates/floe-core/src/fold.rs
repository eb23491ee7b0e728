//! Folding a room's records into its state, away from the running server.

use floe_proto::{Millis, RoomId};

use crate::record::Record;
use crate::room::Room;

/// A room's state after some records.
#[derive(Debug, PartialEq, Eq)]
pub struct Folding {
    /// What [`Room::decode`] reads.
    pub state: Vec<u8>,
    /// When the room ends by itself, as far as the log knows.
    pub deadline: Option<Millis>,
    /// First unit that is kept.
    pub start: u64,
}

/// Folds records, oldest first, into a room's state.
///
/// `state` is what an earlier fold returned, `None` for a room whose create record is the first
/// one. Each record comes with the time it was staged, its meta and its units. Returns `None` when
/// the bytes do not decode or do not begin with a create.
pub fn fold<'a>(
    room: RoomId,
    state: Option<&[u8]>,
    records: impl Iterator<Item = (Millis, &'a [u8], u64)>,
) -> Option<Folding> {
    let mut folded = match state {
        Some(state) => Some(Room::decode(room, state)?),
        None => None,
    };
    for (time, meta, units) in records {
        let record = Record::decode(meta)?;
        match &mut folded {
            Some(room) => room.apply(&record, units, time),
            None => folded = Some(Room::create(room, &record, units, time)?),
        }
    }
    let folded = folded?;
    let mut state = Vec::new();
    folded.encode(&mut state);
    Some(Folding {
        state,
        deadline: folded.deadline(),
        start: folded.start(),
    })
}
