//! When rooms that nobody uses must be looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use floe_proto::{Millis, RoomId};

use crate::disk::Disk;
use crate::index::Index;
use crate::log::Log;

/// Wake times of all rooms, soonest first.
///
/// An entry whose room has another time by now, or is gone, is passed over when it comes up.
#[derive(Debug, Default)]
pub(crate) struct Wakes {
    heap: BinaryHeap<Reverse<(Millis, RoomId)>>,
}

impl Wakes {
    /// Sets a room's time.
    pub(crate) fn set(&mut self, index: &mut Index, room: RoomId, at: Option<Millis>) {
        let Some(entry) = index.room_mut(room) else {
            return;
        };
        if entry.wake_at() == at {
            return;
        }
        entry.set_wake_at(at);
        if let Some(at) = at {
            self.heap.push(Reverse((at, room)));
        }
        // A room that moves its time often must not fill memory with times that have no meaning.
        if self.heap.len() > 64 + 2 * index.len() {
            self.heap
                .retain(|&Reverse((at, room))| is_set(index, room, at));
        }
    }

    /// Enters the times of all rooms.
    pub(crate) fn fill(&mut self, index: &Index) {
        let times = index
            .iter()
            .filter_map(|(id, room)| Some((room.wake_at()?, id)));
        self.heap = times.map(Reverse).collect();
    }

    fn pop(&mut self, index: &mut Index, now: Millis) -> Option<RoomId> {
        while let Some(&Reverse((at, room))) = self.heap.peek() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if is_set(index, room, at) {
                if let Some(entry) = index.room_mut(room) {
                    entry.set_wake_at(None);
                }
                return Some(room);
            }
        }
        None
    }

    fn next(&mut self, index: &Index) -> Option<Millis> {
        while let Some(&Reverse((at, room))) = self.heap.peek() {
            if is_set(index, room, at) {
                return Some(at);
            }
            self.heap.pop();
        }
        None
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.heap.capacity() * size_of::<(Millis, RoomId)>()
    }
}

fn is_set(index: &Index, room: RoomId, at: Millis) -> bool {
    index
        .room(room)
        .is_some_and(|entry| entry.wake_at() == Some(at))
}

impl<D: Disk> Log<D> {
    /// Sets when a room must be looked at although nobody uses it.
    ///
    /// A flush does the same with what its fold says. A host calls this when it lets go of a room,
    /// because records that are not flushed yet may have moved the time.
    pub fn set_wake(&mut self, room: RoomId, at: Option<Millis>) {
        self.wakes.set(&mut self.rooms.index, room, at);
    }

    /// Takes the next room whose time has come; each time is handed out once.
    pub fn due(&mut self, now: Millis) -> Option<RoomId> {
        self.wakes.pop(&mut self.rooms.index, now)
    }

    /// Returns when the next room's time comes.
    pub fn next_wake(&mut self) -> Option<Millis> {
        self.wakes.next(&self.rooms.index)
    }
}
