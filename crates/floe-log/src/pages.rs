//! A table by room number.

use floe_proto::RoomId;
use hashbrown::HashMap;

use crate::hash::FixedState;
use crate::index::Room;

/// Rooms by number, those with neighbouring numbers side by side.
///
/// Numbers are given out one after another, and flushes and merges come in their order, so most
/// walks over many rooms are walks over memory. A page takes space for the rooms that it has.
#[derive(Debug)]
pub(crate) struct Pages {
    /// In parts, so that none of them is large when it grows.
    parts: Box<[HashMap<u64, Page, FixedState>]>,
    len: usize,
}

/// Rooms whose numbers differ in their last bits only.
#[derive(Debug, Default)]
struct Page {
    /// A bit for each room that is there.
    present: u64,
    /// Those rooms, in order.
    rooms: Vec<Room>,
}

/// Rooms that a full page holds: as many as its word has bits.
const PAGE: u64 = u64::BITS as u64;
/// Parts of the table; a power of two.
const PARTS: usize = 16;

impl Default for Pages {
    fn default() -> Self {
        Self {
            parts: (0..PARTS).map(|_| HashMap::default()).collect(),
            len: 0,
        }
    }
}

impl Pages {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<&Room> {
        let page = room.0 / PAGE;
        let page = self.parts[part(page)].get(&page)?;
        page.rooms.get(page.place(room)?)
    }

    pub(crate) fn get_mut(&mut self, room: RoomId) -> Option<&mut Room> {
        let page = room.0 / PAGE;
        let page = self.parts[part(page)].get_mut(&page)?;
        let place = page.place(room)?;
        page.rooms.get_mut(place)
    }

    /// Adds a room, or returns the one that is there.
    pub(crate) fn insert(&mut self, room: RoomId) -> &mut Room {
        let page = room.0 / PAGE;
        let page = self.parts[part(page)].entry(page).or_default();
        let place = page.before(room);
        if page.present & bit(room) == 0 {
            page.present |= bit(room);
            page.rooms.insert(place, Room::new());
            self.len += 1;
        }
        &mut page.rooms[place]
    }

    pub(crate) fn remove(&mut self, room: RoomId) -> Option<Room> {
        let number = room.0 / PAGE;
        let part = &mut self.parts[part(number)];
        let page = part.get_mut(&number)?;
        let place = page.place(room)?;
        let removed = page.rooms.remove(place);
        page.present &= !bit(room);
        if page.present == 0 {
            part.remove(&number);
        } else if page.rooms.len() * 4 <= page.rooms.capacity() {
            page.rooms.shrink_to(page.rooms.len() * 2);
        }
        self.len -= 1;
        Some(removed)
    }

    /// Returns all rooms in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RoomId, &Room)> {
        self.parts.iter().flatten().flat_map(|(number, page)| {
            let mut left = page.present;
            page.rooms.iter().map(move |room| {
                let id = RoomId(number * PAGE + u64::from(left.trailing_zeros()));
                left &= left.wrapping_sub(1);
                (id, room)
            })
        })
    }

    /// Makes space for more rooms at once, as if their numbers followed upon one another.
    pub(crate) fn reserve(&mut self, rooms: usize) {
        let each = rooms / PAGE as usize / PARTS;
        self.parts.iter_mut().for_each(|part| part.reserve(each));
    }

    /// Bytes that the table takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        let pages = self.parts.iter().flat_map(HashMap::values);
        let rooms: usize = pages.map(|page| page.rooms.capacity()).sum();
        let tables = self.parts.iter().map(HashMap::allocation_size);
        rooms * size_of::<Room>() + tables.sum::<usize>()
    }
}

impl Page {
    /// How many rooms with smaller numbers there are.
    fn before(&self, room: RoomId) -> usize {
        (self.present & (bit(room) - 1)).count_ones() as usize
    }

    fn place(&self, room: RoomId) -> Option<usize> {
        (self.present & bit(room) != 0).then(|| self.before(room))
    }
}

fn bit(room: RoomId) -> u64 {
    1 << (room.0 % PAGE)
}

fn part(page: u64) -> usize {
    page as usize % PARTS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_does_what_a_plain_map_does(
            steps in proptest::collection::vec((0..300u64, any::<bool>()), 0..400),
        ) {
            let (mut pages, mut plain) = (Pages::default(), BTreeMap::new());
            for (step, (number, insert)) in (0..).zip(steps) {
                let room = RoomId(number);
                if insert {
                    let entry = pages.insert(room);
                    prop_assert_eq!(entry.end, plain.get(&room).copied().unwrap_or_default());
                    entry.end = step;
                    plain.insert(room, step);
                } else {
                    let removed = pages.remove(room).map(|entry| entry.end);
                    prop_assert_eq!(removed, plain.remove(&room));
                }
                prop_assert_eq!(pages.get(room).map(|entry| entry.end), plain.get(&room).copied());
                prop_assert_eq!(pages.len(), plain.len());
            }
            let mut all: Vec<_> = pages.iter().map(|(room, entry)| (room, entry.end)).collect();
            all.sort_unstable();
            prop_assert_eq!(all, plain.into_iter().collect::<Vec<_>>());
        }
    }
}
