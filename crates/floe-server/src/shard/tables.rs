//! Rooms with tables: what the host of their files needs of the log.
//!
//! Such a room is appended to by the server alone. Nobody waits for the reply of an append: the host
//! learns from [`Shard::poll_tables`] that the room moved, and looks how far.

use floe_core::{Append, ContentType, Create, Lifetime};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, Namespace, RoomId};

use super::{Failure, Fetched, Shard, SlotId, is_table_room};

/// A room with tables that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablePlace {
    /// Which room; one that comes later by the same name has another number.
    pub id: RoomId,
    /// Its place, which is the room's only while it is held ([`Shard::hold_tables`]).
    pub slot: SlotId,
}

/// A room with tables of which something became durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TablesMoved {
    /// Which room.
    pub id: RoomId,
    /// Whether that was its end.
    pub gone: bool,
}

impl<D: Disk> Shard<D> {
    /// Finds a room with tables, staged or durable.
    ///
    /// # Errors
    /// [`Code::Gone`] where it is deleted and kept for its forks.
    pub fn find_tables(&mut self, now: Millis, name: &[u8]) -> Result<Option<TablePlace>, Failure> {
        let Some(slot) = self.find(now, name)? else {
            return Ok(None);
        };
        let room = &self.slots[slot.0 as usize].room;
        if room.is_deleted() {
            let message = "the room is deleted and kept for its forks";
            return Err(Failure::new(Code::Gone, message));
        }
        Ok(Some(TablePlace {
            id: room.id(),
            slot,
        }))
    }

    /// Finds a room with tables, or stages one that `owner` owns.
    ///
    /// A new room may not be shown before it is durable: [`poll_tables`](Self::poll_tables) tells.
    ///
    /// # Errors
    /// When the server or the namespace takes no more rooms, or the log has no space.
    pub fn ensure_tables(
        &mut self,
        now: Millis,
        name: &[u8],
        owner: Option<Box<str>>,
    ) -> Result<TablePlace, Failure> {
        if let Some(found) = self.find_tables(now, name)? {
            return Ok(found);
        }
        if self.log.len() >= self.limits.streams_max {
            let message = "the server holds streams.max streams";
            return Err(Failure::new(Code::LimitReached, message));
        }
        let (namespace, _) = Namespace::split(name);
        self.check_new_room(namespace, 0)?;
        let json = ContentType::new("application/json");
        let create = Create {
            owner,
            ..Create::new(json.clone(), Lifetime::Unlimited)
        };
        self.tell_created(name, json.as_str(), now)?;
        let slot = self.stage_create(now, name, &create, true, Payload::NONE)?;
        self.has_come_true(name);
        let id = self.slots[slot.0 as usize].room.id();
        Ok(TablePlace { id, slot })
    }

    /// Keeps a room in memory, and its place the room's own, until it is let go.
    pub fn hold_tables(&mut self, slot: SlotId) {
        self.slots[slot.0 as usize].held = true;
    }

    /// Lets go of a room that was held.
    pub fn release_tables(&mut self, slot: SlotId) {
        self.slots[slot.0 as usize].held = false;
        self.drop_if_gone(slot);
    }

    /// Keeps a room in memory, or lets it go, for what its write buffer has not written down.
    pub fn hold_buffered(&mut self, slot: SlotId, held: bool) {
        self.slots[slot.0 as usize].buffered = held;
        if !held {
            self.drop_if_gone(slot);
        }
    }

    /// Returns how many messages of a held room are visible.
    pub fn tables_visible(&self, slot: SlotId) -> u64 {
        self.slots[slot.0 as usize].room.visible().tail
    }

    /// Returns whether a held room is durably there, and its end is not staged.
    pub fn tables_live(&self, slot: SlotId) -> bool {
        self.slots[slot.0 as usize].born && !self.tables_ended(slot)
    }

    /// Returns whether the end of a held room is staged.
    pub fn tables_ended(&self, slot: SlotId) -> bool {
        let slot = &self.slots[slot.0 as usize];
        slot.gone || slot.room.is_deleted()
    }

    /// Stages messages of a held room in one record: they are there together or not at all. Returns
    /// the tail behind them; they are durable once the room is visible up to it.
    ///
    /// # Errors
    /// When the room has come to its end, its namespace or the log has no space, or the messages are
    /// more than one record takes. Nothing has changed.
    pub fn append_tables(
        &mut self,
        now: Millis,
        id: SlotId,
        payload: Payload<'_>,
    ) -> Result<u64, Failure> {
        if self.tables_ended(id) {
            return Err(Failure::new(Code::NotFound, "the room was deleted"));
        }
        let append = Append {
            content_type: Some("application/json"),
            units: payload.lens.len() as u64,
            ..Append::default()
        };
        let decision = self.slots[id.0 as usize]
            .room
            .decide_append(&append)
            .map_err(|error| Failure::new(error.code(), error.to_string()))?;
        let Some(record) = decision.record else {
            return Ok(decision.edge.tail);
        };
        self.check_growth(id, payload.bytes.len() as u64)?;
        let lsn = self.stage(id, &record, payload, now)?;
        self.queue(lsn, id, None);
        Ok(self.slots[id.0 as usize].room.staged().tail)
    }

    /// Hands out visible messages of a held room from `from` on, about `bytes_max` bytes, but at
    /// least one message if there is one.
    ///
    /// # Errors
    /// When stored bytes are damaged, cannot be read, or must be fetched first.
    pub fn hand_tables(
        &mut self,
        slot: SlotId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Fetched<D::File>, Failure> {
        let fetched = self.fetch(slot, from, bytes_max);
        if let Err(failure) = &fetched
            && let Some(want) = failure.cold
        {
            self.want_cold(want);
        }
        fetched
    }

    /// Returns the next room with tables of which something became durable.
    pub fn poll_tables(&mut self) -> Option<TablesMoved> {
        self.tables_moved.pop_front()
    }

    /// Returns whether a room with tables is there, for whoever finds a file of one.
    pub fn has_tables(&self, room: RoomId) -> bool {
        let there = self.log.end(room).is_some();
        // A room that cannot be read now is not said to be gone.
        there
            && self.load_state(room).map_or(true, |state| {
                is_table_room(state.name()) && !state.is_deleted()
            })
    }

    /// Notes that something of a room became durable, if it has tables.
    pub(super) fn note_tables(&mut self, id: SlotId, moved: bool, gone: bool) {
        let slot = &self.slots[id.0 as usize];
        let gone = gone || (slot.room.is_deleted() && slot.in_flight == 0);
        if (moved || gone) && is_table_room(slot.room.name()) {
            let id = slot.room.id();
            self.tables_moved.push_back(TablesMoved { id, gone });
        }
    }
}
