//! Which rooms there are and where their data lies.

use floe_proto::{Millis, NameHash, RoomId};
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::hash::FixedState;
use crate::pages::Pages;

/// All rooms, in under 200 bytes each.
#[derive(Debug)]
pub(crate) struct Index {
    names: Names,
    rooms: Pages,
}

/// A table in parts, so that none of them is large when it grows: a million entries moved at once
/// would hold up everything else.
type Names = Box<[HashMap<NameKey, RoomId, FixedState>]>;

/// Parts of a table; a power of two.
const PARTS: usize = 64;

/// What is known of a room without reading.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// The unit after the last.
    pub(crate) end: u64,
    wake_at: u64,
    /// Slots in the two memtables, or [`NO_SLOT`]. They take turns in being filled and flushed,
    /// so that a flush begins without a visit to every room.
    pub(crate) slots: [u32; 2],
    /// The room's rows in segments, oldest first.
    pub(crate) runs: SmallVec<[Run; 2]>,
}

/// A room's row in one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) segment: u32,
    pub(crate) row: u32,
}

/// No slot in that memtable.
pub(crate) const NO_SLOT: u32 = u32::MAX;
/// Never to be woken.
pub(crate) const NEVER: u64 = u64::MAX;

/// A name hash that a table can hold without padding.
type NameKey = [u64; 2];

impl Default for Index {
    fn default() -> Self {
        Self {
            names: (0..PARTS).map(|_| HashMap::default()).collect(),
            rooms: Pages::default(),
        }
    }
}

impl Index {
    pub(crate) fn find(&self, name: NameHash) -> Option<RoomId> {
        self.names[name_part(name)].get(&key(name)).copied()
    }

    pub(crate) fn room(&self, room: RoomId) -> Option<&Room> {
        self.rooms.get(room)
    }

    pub(crate) fn room_mut(&mut self, room: RoomId) -> Option<&mut Room> {
        self.rooms.get_mut(room)
    }

    pub(crate) fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Adds a room under its name, or returns the one that is there.
    pub(crate) fn insert(&mut self, name: NameHash, room: RoomId) -> &mut Room {
        self.names[name_part(name)].insert(key(name), room);
        self.rooms.insert(room)
    }

    /// Takes a room out; its name too, unless a younger room has it by now.
    pub(crate) fn remove(&mut self, name: NameHash, room: RoomId) -> Option<Room> {
        if self.find(name) == Some(room) {
            self.names[name_part(name)].remove(&key(name));
        }
        self.rooms.remove(room)
    }

    /// Returns names and rooms in no particular order.
    pub(crate) fn names(&self) -> impl Iterator<Item = (NameHash, RoomId)> {
        self.names.iter().flatten().map(|(&[low, high], &room)| {
            let name = u128::from(high) << 64 | u128::from(low);
            (NameHash(name), room)
        })
    }

    /// Returns the rooms in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, &Room)> {
        self.rooms.iter()
    }

    /// Bytes that the tables take.
    pub(crate) fn memory_bytes(&self) -> usize {
        let names = self.names.iter().map(HashMap::allocation_size);
        names.sum::<usize>() + self.rooms.memory_bytes()
    }

    /// Makes room for more rooms at once.
    pub(crate) fn reserve(&mut self, rooms: usize) {
        let each = rooms.div_ceil(PARTS);
        self.names.iter_mut().for_each(|part| part.reserve(each));
        self.rooms.reserve(rooms);
    }
}

impl Room {
    pub(crate) fn new() -> Self {
        Self {
            end: 0,
            wake_at: NEVER,
            slots: [NO_SLOT; 2],
            runs: SmallVec::new(),
        }
    }

    pub(crate) fn wake_at(&self) -> Option<Millis> {
        (self.wake_at != NEVER).then_some(Millis(self.wake_at))
    }

    pub(crate) fn set_wake_at(&mut self, wake_at: Option<Millis>) {
        self.wake_at = wake_at.map_or(NEVER, |at| at.0);
    }
}

fn key(name: NameHash) -> NameKey {
    [name.0 as u64, (name.0 >> 64) as u64]
}

/// The hash of a name is even in all of its bits; tables use the low half.
fn name_part(name: NameHash) -> usize {
    (name.0 >> 122) as usize % PARTS
}
