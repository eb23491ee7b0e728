//! The index and the memtable that is being filled, kept in step.

use floe_proto::{NameHash, RoomId};

use crate::frame::{Header, Kind};
use crate::index::{Index, NO_SLOT, Run};
use crate::memtable::{FrameRef, Memtable};

/// A row of which something is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Death {
    pub(crate) run: Run,
    /// Units before this one were dropped; without it, all of the row is dead.
    pub(crate) keep_from: Option<u64>,
}

impl Death {
    pub(crate) fn whole(run: Run) -> Self {
        Self {
            run,
            keep_from: None,
        }
    }
}

/// All rooms and their records since the last flush.
#[derive(Debug)]
pub(crate) struct Rooms {
    pub(crate) index: Index,
    /// Records that are being gathered.
    pub(crate) active: Memtable,
    /// Which of a room's slots is that in `active`.
    pub(crate) side: usize,
    /// Rows to be weighed by the next flush.
    pub(crate) deaths: Vec<Death>,
    pub(crate) next_room: u64,
}

impl Rooms {
    pub(crate) fn new(next_room: u64) -> Self {
        Self {
            index: Index::default(),
            active: Memtable::default(),
            side: 0,
            deaths: Vec::new(),
            next_room,
        }
    }

    /// Enters a frame; its room is known unless the frame creates it.
    pub(crate) fn note(&mut self, header: &Header, name: Option<NameHash>, at: FrameRef) {
        let room = match (header.kind, name) {
            (Kind::Create, Some(name)) => {
                self.next_room = header.room.0 + 1;
                self.index.insert(name, header.room)
            }
            (Kind::Create | Kind::Append | Kind::Delete | Kind::Seal, _) => self
                .index
                .room_mut(header.room)
                .expect("the caller has looked the room up"),
        };
        let slot = &mut room.slots[self.side];
        if *slot == NO_SLOT {
            *slot = self.active.add_room(header.room, room.runs.last().copied());
        }
        room.end = header.first + u64::from(header.units);
        self.active.newest = self.active.newest.max(header.time);
        self.active.push_frame(*slot, at, header.frame_len());
        if let (Kind::Delete, Some(name)) = (header.kind, name) {
            self.remove(name, header.room);
        }
    }

    /// Takes a room out of the index.
    pub(crate) fn remove(&mut self, name: NameHash, room: RoomId) {
        let gone = self.index.remove(name, room);
        let runs = gone.into_iter().flat_map(|gone| gone.runs);
        self.deaths.extend(runs.map(Death::whole));
    }
}
