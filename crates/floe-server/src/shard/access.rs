//! The rules of rooms: who owns one, who is a member, whether everyone reads.

use floe_core::Record;
use floe_core::access::{AccessChange, AccessPatch, Role, RoomAccess};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis};

use super::{
    Failure, Reply, Shard, SlotId, Ticket, is_channel, is_reserved, is_table_room, is_voice_room,
};

/// A room's own rules as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// How often they have changed.
    pub version: u64,
    /// What they say.
    pub access: RoomAccess,
}

impl<D: Disk> Shard<D> {
    /// Finds a room whose rules may matter, without the say-so of anyone: nothing of it is told.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find_ruled(&mut self, now: Millis, name: &[u8]) -> Result<Option<SlotId>, Failure> {
        let slot = self.find(now, name)?;
        Ok(slot.filter(|slot| self.slots[slot.0 as usize].born))
    }

    /// Returns the rules of a room.
    ///
    /// # Errors
    /// When there is no such room.
    pub fn rules(&mut self, now: Millis, name: &[u8]) -> Result<Rules, Failure> {
        let room = self.describe(now, name)?;
        Ok(Rules {
            version: room.access_version(),
            access: room.access().cloned().unwrap_or_default(),
        })
    }

    /// Changes the rules of a room; replies [`Reply::Access`].
    ///
    /// Returns the room if they change, so that those who listen there are judged anew. That is
    /// before the change is durable: whoever may no longer listen hears nothing more.
    pub fn change_access(
        &mut self,
        now: Millis,
        ticket: Ticket,
        name: &[u8],
        change: AccessChange,
        if_version: Option<u64>,
    ) -> Option<SlotId> {
        match self.stage_access(now, name, change, if_version) {
            Ok((id, changed)) => {
                let room = &self.slots[id.0 as usize].room;
                let reply = Reply::Access(Box::new(Rules {
                    version: room.access_version(),
                    access: room.access().cloned().unwrap_or_default(),
                }));
                match changed {
                    Some(lsn) => self.queue(lsn, id, Some((ticket, reply))),
                    None => self.answer(Some(id), ticket, reply),
                }
                changed.map(|_| id)
            }
            Err(failure) => {
                self.refuse(ticket, failure);
                None
            }
        }
    }

    /// Returns whether a change of a room's rules would change anything, and may be made.
    ///
    /// # Errors
    /// When there is no such room.
    pub fn would_change_access(
        &mut self,
        now: Millis,
        name: &[u8],
        change: &AccessChange,
        if_version: Option<u64>,
    ) -> Result<bool, Failure> {
        let id = self.find_ruled(now, name)?;
        let id = id.ok_or_else(Failure::not_found)?;
        let room = &self.slots[id.0 as usize].room;
        let decided = room.decide_access(change.clone(), if_version);
        Ok(decided.is_ok_and(|record| record.is_some()))
    }

    /// Gives a user a role in a room, unless they have as much already; returns the room if its
    /// rules change. It is durable once all is that is staged now.
    ///
    /// # Errors
    /// When there is no such room, or its rules take no more.
    pub fn add_member(
        &mut self,
        now: Millis,
        name: &[u8],
        user: &str,
        role: Role,
    ) -> Result<Option<SlotId>, Failure> {
        let rules = self.rules(now, name)?.access;
        let is_owner = rules.owner.as_deref() == Some(user);
        if is_owner || rules.members.get(user).is_some_and(|had| *had >= role) {
            return Ok(None);
        }
        let change = AccessChange::Merge(AccessPatch {
            members: [(user.into(), Some(role))].into(),
            ..AccessPatch::default()
        });
        let (id, changed) = self.stage_access(now, name, change, None)?;
        if let Some(lsn) = changed {
            self.queue(lsn, id, None);
        }
        Ok(changed.map(|_| id))
    }

    fn stage_access(
        &mut self,
        now: Millis,
        name: &[u8],
        change: AccessChange,
        if_version: Option<u64>,
    ) -> Result<(SlotId, Option<floe_log::Lsn>), Failure> {
        let has_rules = is_channel(name) || is_table_room(name) || is_voice_room(name);
        if is_reserved(name) && !has_rules {
            let message = "the server's own streams have no rules of their own";
            return Err(Failure::new(Code::MethodNotAllowed, message));
        }
        let id = self.find_ruled(now, name)?;
        let id = id.ok_or_else(Failure::not_found)?;
        let room = &self.slots[id.0 as usize].room;
        let record: Option<Record<'_>> = room
            .decide_access(change, if_version)
            .map_err(|error| Failure::new(error.code(), error.to_string()))?;
        let staged = record.map(|record| self.stage(id, &record, Payload::NONE, now));
        Ok((id, staged.transpose()?))
    }
}
