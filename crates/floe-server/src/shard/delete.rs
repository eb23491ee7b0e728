//! Deleting rooms, and ending those whose lifetime is over.

use floe_core::Record;
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, RoomId};

use super::{Failure, Reply, Shard, SlotId, Ticket, stage_failure};

impl<D: Disk> Shard<D> {
    /// Deletes a room; replies [`Reply::Deleted`].
    ///
    /// A room with forks stays readable for them and keeps its name until the last one is gone.
    pub fn delete(&mut self, now: Millis, ticket: Ticket, name: &[u8]) {
        let outcome = match self.find(now, name) {
            Ok(Some(id)) if self.slots[id.0 as usize].room.is_deleted() => Err(Failure::new(
                Code::Gone,
                "the stream is deleted and kept for its forks",
            )),
            Ok(Some(id)) => self.remove(id, now),
            Ok(None) => {
                return self.answer(None, ticket, Reply::Failed(Failure::not_found()));
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => {
                let lsn = self.log.staged();
                let reply = Some((ticket, Reply::Deleted));
                self.pending.push_back(super::Pending {
                    lsn,
                    staged: None,
                    reply,
                });
            }
            Err(failure) => self.refuse(ticket, failure),
        }
    }

    /// Stages the end of a room by its number, if it is there: at once, or softly while forks read
    /// it.
    ///
    /// # Errors
    /// When it cannot be read, or the log has no space.
    pub fn end_room(&mut self, now: Millis, room: RoomId) -> Result<(), Failure> {
        match self.find_room(room)? {
            Some(id) if self.slots[id.0 as usize].room.is_deleted() => self.remove_unused(id, now),
            Some(id) => self.remove(id, now),
            None => Ok(()),
        }
    }

    /// Stages the end of a room: at once, or softly while forks read it.
    pub(super) fn remove(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        self.tell_deleted(id, now)?;
        let name: Box<[u8]> = self.slots[id.0 as usize].room.name().into();
        if self.has_forks(id) {
            let lsn = self.stage(id, &Record::SoftDelete, Payload::NONE, now)?;
            self.queue(lsn, id, None);
        } else {
            self.remove_for_good(id, now)?;
        }
        self.has_come_true(&name);
        Ok(())
    }

    /// Stages the end of a room that was kept for its forks, if none is left.
    ///
    /// A crash or want of space may come between the end of the last fork and that of its source.
    pub(super) fn remove_unused(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        if self.slots[id.0 as usize].room.is_deleted() && !self.has_forks(id) {
            self.remove_for_good(id, now)?;
        }
        Ok(())
    }

    /// Stages the end of a room that nobody inherits from, and of sources that only it kept.
    ///
    /// What a source is not told for want of space is made up for when it is next asked for.
    fn remove_for_good(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        let mut source = self.remove_one(id, now)?;
        while let Some((fork, room)) = source {
            let removed = self
                .release(room, fork, now)
                .and_then(|unused| unused.map(|id| self.remove_one(id, now)).transpose());
            source = removed
                .unwrap_or_else(|failure| {
                    let code = failure.code.as_str();
                    tracing::warn!(code, room = room.0, "a stream outlives its last fork");
                    None
                })
                .flatten();
        }
        Ok(())
    }

    /// Stages the end of one room; returns it with the room it is a fork of.
    fn remove_one(&mut self, id: SlotId, now: Millis) -> Result<Option<(RoomId, RoomId)>, Failure> {
        let held = self.held_at_last(id);
        let slot = &mut self.slots[id.0 as usize];
        let (room, source) = (slot.room.id(), slot.room.source());
        let lsn = self
            .log
            .delete(room, slot.name, now)
            .map_err(|error| stage_failure(&error))?;
        slot.gone = true;
        slot.in_flight += 1;
        self.names.remove(&slot.name);
        self.deleted_until = lsn;
        self.count_removed(id, held);
        self.queue(lsn, id, None);
        Ok(source.map(|(source, _)| (room, source)))
    }

    /// Tells a source that a fork is gone; returns it if nothing keeps it any more.
    fn release(
        &mut self,
        source: RoomId,
        fork: RoomId,
        now: Millis,
    ) -> Result<Option<SlotId>, Failure> {
        let Some(id) = self.find_room(source)? else {
            return Ok(None);
        };
        let lsn = self.stage(id, &Record::ForkRemoved(fork), Payload::NONE, now)?;
        self.queue(lsn, id, None);
        let unused = self.slots[id.0 as usize].room.is_deleted() && !self.has_forks(id);
        Ok(unused.then_some(id))
    }

    /// Finds a room by its number, loading it if need be.
    fn find_room(&mut self, room: RoomId) -> Result<Option<SlotId>, Failure> {
        if self.log.end(room).is_none() {
            return Ok(None);
        }
        let loaded = self.load_state(room)?;
        let name = self.log.hash(super::NAMESPACE, loaded.name());
        match self.names.get(&name) {
            Some(id) => Ok(Some(*id)),
            None => Ok(Some(self.insert(loaded, name, true))),
        }
    }

    /// Returns whether a fork of the room lives.
    ///
    /// A crash may leave the note of a fork that was never made, so each is looked at.
    fn has_forks(&self, id: SlotId) -> bool {
        let room = &self.slots[id.0 as usize].room;
        room.forks().any(|fork| {
            self.log.end(fork).is_some()
                && self
                    .load_state(fork)
                    .is_ok_and(|fork| fork.source().is_some_and(|(source, _)| source == room.id()))
        })
    }

    /// Deletes the rooms whose lifetime is over.
    pub(super) fn expire_due(&mut self, now: Millis) {
        for _ in 0..EXPIRE_STEP {
            let Some(room) = self.log.due(now) else {
                return;
            };
            let found = match self.find_room(room) {
                Ok(Some(id)) => self.find_hash(now, self.slots[id.0 as usize].name),
                other => other,
            };
            let wake_at = match found {
                // It was read or written meanwhile, or lives on for its forks.
                Ok(Some(id)) => {
                    self.retain(id, now);
                    let room = &self.slots[id.0 as usize].room;
                    let wake_at = room.wake_at().filter(|_| !room.is_deleted());
                    wake_at.map(|at| at.max(now.plus(EXPIRE_RETRY_MS)))
                }
                Ok(None) => None,
                Err(failure) => {
                    let code = failure.code.as_str();
                    tracing::warn!(
                        code,
                        room = room.0,
                        "an expired stream could not be deleted"
                    );
                    Some(now.plus(EXPIRE_RETRY_MS))
                }
            };
            if wake_at.is_some() {
                self.log.set_wake(room, wake_at);
            }
        }
    }
}

/// Rooms ended in one tick.
const EXPIRE_STEP: usize = 256;
/// Time until a failed expiry is tried again, and between two looks at one room.
const EXPIRE_RETRY_MS: u64 = 1_000;
