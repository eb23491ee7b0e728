//! The tables of rooms, as far as somebody is connected who must be told when they change.

use std::collections::HashMap;

use bytes::Bytes;
use floe_proto::RoomId;

use crate::shard::{SlotId, TablePlace};

/// The newest tables of rooms, asked for when they have changed.
#[derive(Debug, Default)]
pub struct RoomSchemas {
    rooms: HashMap<RoomId, RoomSchema>,
}

/// What is known of the tables of one room.
#[derive(Debug)]
pub struct RoomSchema {
    /// Its place, which is its own while somebody is connected.
    slot: SlotId,
    /// Connections that are told.
    readers: usize,
    /// Raised with each answer; 0 before the first.
    version: u64,
    /// The tables, as JSON, and a message that they show.
    newest: Option<(Bytes, u64)>,
    /// The newest message that changed them.
    changed: u64,
    /// Whether they are being asked for.
    asking: bool,
    /// Whether they have changed since they were asked for.
    stale: bool,
}

impl RoomSchema {
    /// Returns the tables as JSON with their version, which grows, and the newest message of which it
    /// is known that they show it.
    pub fn newest(&self) -> Option<(u64, &Bytes, u64)> {
        let (json, seq) = self.newest.as_ref()?;
        Some((self.version, json, *seq))
    }
}

impl RoomSchemas {
    /// Returns what is known of a room that somebody is connected to.
    pub fn get(&self, room: RoomId) -> Option<&RoomSchema> {
        self.rooms.get(&room)
    }

    /// Returns the place of a room that somebody is connected to.
    pub fn slot(&self, room: RoomId) -> Option<SlotId> {
        self.rooms.get(&room).map(|schema| schema.slot)
    }

    /// Adds a connection; returns the version that it need not be told of.
    pub fn enter(&mut self, place: TablePlace) -> u64 {
        let schema = self.rooms.entry(place.id).or_insert(RoomSchema {
            slot: place.slot,
            readers: 0,
            version: 0,
            newest: None,
            changed: 0,
            asking: false,
            stale: false,
        });
        schema.readers += 1;
        schema.version
    }

    /// Takes a connection away.
    pub fn leave(&mut self, room: RoomId) {
        if let Some(schema) = self.rooms.get_mut(&room) {
            schema.readers -= 1;
            if schema.readers == 0 {
                self.rooms.remove(&room);
            }
        }
    }

    /// Notes that a message changed a room's tables; returns whether they must be asked for.
    pub fn changed(&mut self, room: RoomId, seq: u64) -> bool {
        let Some(schema) = self.rooms.get_mut(&room) else {
            return false;
        };
        schema.changed = seq;
        schema.stale = schema.asking;
        !std::mem::replace(&mut schema.asking, true)
    }

    /// Takes a room's tables, or that they could not be had; returns whether they must be asked for
    /// again.
    pub fn answered(&mut self, room: RoomId, tables: Option<Bytes>) -> bool {
        let Some(schema) = self.rooms.get_mut(&room) else {
            return false;
        };
        schema.asking = std::mem::take(&mut schema.stale);
        // What was asked for before they changed again is not told.
        if let Some(tables) = tables.filter(|_| !schema.asking) {
            schema.version += 1;
            schema.newest = Some((tables, schema.changed));
        }
        schema.asking
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId(7);
    const PLACE: TablePlace = TablePlace {
        id: ROOM,
        slot: SlotId::for_test(3),
    };

    #[test]
    fn who_was_there_before_a_change_is_told_of_it() {
        let mut schemas = RoomSchemas::default();
        assert!(!schemas.changed(ROOM, 3), "nobody is there");
        assert_eq!(schemas.enter(PLACE), 0);
        assert!(schemas.changed(ROOM, 3));
        assert!(schemas.get(ROOM).unwrap().newest().is_none());
        assert!(!schemas.answered(ROOM, Some(Bytes::from_static(b"{}"))));
        let (version, json, seq) = schemas.get(ROOM).unwrap().newest().unwrap();
        assert_eq!((version, &json[..], seq), (1, &b"{}"[..], 3));
        assert_eq!(schemas.enter(PLACE), 1, "who comes later need not be");
        schemas.leave(ROOM);
        schemas.leave(ROOM);
        assert!(schemas.get(ROOM).is_none());
    }

    #[test]
    fn a_change_while_they_are_asked_for_asks_again() {
        let mut schemas = RoomSchemas::default();
        schemas.enter(PLACE);
        assert!(schemas.changed(ROOM, 3));
        assert!(!schemas.changed(ROOM, 3));
        assert!(schemas.answered(ROOM, Some(Bytes::new())));
        assert!(!schemas.answered(ROOM, None));
        assert!(schemas.changed(ROOM, 3));
    }
}
