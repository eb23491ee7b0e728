//! The server's own rooms, which hold one value each.

use floe_core::{Append, ContentType, Create, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::{Millis, Namespace, Retention, RoomId};

use super::{Failure, Shard, is_reserved};

impl<D: Disk> Shard<D> {
    /// Returns the value of a room of the server's own.
    ///
    /// # Errors
    /// When the room cannot be read.
    pub fn value(&mut self, now: Millis, name: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let slot = self.find(now, name)?;
        Ok(slot.and_then(|id| self.slots[id.0 as usize].room.value().map(<[u8]>::to_vec)))
    }

    /// Stages a new value of such a room, which is made if need be.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn set_value(&mut self, now: Millis, name: &[u8], value: &[u8]) -> Result<(), Failure> {
        let id = match self.find(now, name)? {
            Some(id) => id,
            None => {
                let create = Create::new(ContentType::default(), Lifetime::Unlimited);
                self.stage_create(now, name, &create, false, Payload::NONE)?
            }
        };
        let lsn = self.stage(id, &Record::Value(value), Payload::NONE, now)?;
        self.queue(lsn, id, None);
        Ok(())
    }

    /// Stages the end of such a room, if it is there.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn forget_value(&mut self, now: Millis, name: &[u8]) -> Result<(), Failure> {
        match self.find(now, name)? {
            Some(id) => self.remove(id, now),
            None => Ok(()),
        }
    }

    /// Appends a JSON message in wire form for the server itself.
    ///
    /// Nothing happens where there is no such stream, or it is closed or not JSON.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn append_message(
        &mut self,
        now: Millis,
        name: &[u8],
        message: &[u8],
    ) -> Result<(), Failure> {
        let Some(id) = self.find(now, name)? else {
            return Ok(());
        };
        let room = &self.slots[id.0 as usize].room;
        let append = Append {
            content_type: Some("application/json"),
            units: 1,
            ..Append::default()
        };
        let Ok(decision) = room.decide_append(&append) else {
            return Ok(());
        };
        if let Some(record) = decision.record {
            let payload = Payload {
                bytes: message,
                lens: &[message.len() as u32],
            };
            let lsn = self.stage(id, &record, payload, now)?;
            self.queue(lsn, id, None);
        }
        Ok(())
    }

    /// Returns the visible tail of a stream, if it is there.
    pub fn tail(&mut self, now: Millis, name: &[u8]) -> Option<u64> {
        let id = self.find(now, name).ok()??;
        let slot = &self.slots[id.0 as usize];
        (slot.born && !slot.room.is_deleted()).then(|| slot.room.visible().tail)
    }

    /// Returns the name and visible tail of a stream by its number, without loading it.
    ///
    /// `None` for the server's own rooms and for what is deleted or not readable.
    pub fn name_and_tail(&self, room: RoomId) -> Option<(Vec<u8>, u64)> {
        let state = self.load_state(room).ok()?;
        if is_reserved(state.name()) || state.is_deleted() {
            return None;
        }
        let hash = self.log.hash(super::NAMESPACE, state.name());
        let tail = match self.names.get(&hash).map(|id| &self.slots[id.0 as usize]) {
            Some(slot) if !slot.born => return None,
            Some(slot) => slot.room.visible().tail,
            None => state.visible().tail,
        };
        Some((state.name().to_vec(), tail))
    }

    /// Returns the name of a room and, if it is a channel, its owner, without loading it; `None` for
    /// what is deleted or not readable.
    pub fn name_and_owner(&self, room: RoomId) -> Option<(Vec<u8>, Option<String>)> {
        let state = self.load_state(room).ok()?;
        let owner = state.channel().map(|channel| channel.owner().to_owned());
        (!state.is_gone()).then(|| (state.name().to_vec(), owner))
    }

    /// Returns whether a room belongs to a namespace, be it deleted or the server's own; what cannot
    /// be read belongs to nobody.
    pub fn lies_in(&self, room: RoomId, namespace: &str) -> bool {
        let Ok(state) = self.load_state(room) else {
            return false;
        };
        let (lies_in, _) = Namespace::split(state.name());
        let owner = state.channel().map(|channel| channel.owner());
        owner.unwrap_or(lies_in) == namespace
    }

    /// Appends a JSON message in wire form to a stream of the server's own, which is made if need
    /// be, and keeps so much of the newest from now on.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn log_message(
        &mut self,
        now: Millis,
        name: &[u8],
        message: &[u8],
        retention: Retention,
    ) -> Result<(), Failure> {
        let id = match self.find(now, name)? {
            Some(id) => id,
            None => {
                let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
                self.stage_create(now, name, &create, true, Payload::NONE)?
            }
        };
        if let Some(record) = self.slots[id.0 as usize].room.decide_keep(retention) {
            let lsn = self.stage(id, &record, Payload::NONE, now)?;
            self.queue(lsn, id, None);
        }
        self.append_message(now, name, message)?;
        self.retain(id, now);
        self.note_wake(id);
        Ok(())
    }

    /// Returns the streams that recovery found records of which no segment holds: name, tail
    /// before the first of them, tail.
    pub fn replayed(&self) -> Vec<(Vec<u8>, u64, u64)> {
        let rooms = self.log.unflushed();
        let with_name = rooms.into_iter().filter_map(|(room, first)| {
            let state = self.load_state(room).ok()?;
            let from = state.own_start() + first;
            (!is_reserved(state.name())).then(|| (state.name().to_vec(), from, state.staged().tail))
        });
        with_name.collect()
    }
}
