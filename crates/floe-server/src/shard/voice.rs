//! Voice rooms: JSON rooms that say when sessions were and who took part.

use floe_core::{ContentType, Create, Lifetime};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, Namespace};

use super::{Failure, Shard, SlotId};

impl<D: Disk> Shard<D> {
    /// Finds a voice room, staged or durable.
    ///
    /// # Errors
    /// [`Code::Gone`] where it is deleted and kept for its forks.
    pub fn find_voice(&mut self, now: Millis, name: &[u8]) -> Result<Option<SlotId>, Failure> {
        let Some(slot) = self.find(now, name)? else {
            return Ok(None);
        };
        if self.slots[slot.0 as usize].room.is_deleted() {
            let message = "the room is deleted and kept for its forks";
            return Err(Failure::new(Code::Gone, message));
        }
        Ok(Some(slot))
    }

    /// Finds a voice room, or stages one that `owner` owns.
    ///
    /// # Errors
    /// When the server or the namespace takes no more rooms, or the log has no space.
    pub fn ensure_voice(
        &mut self,
        now: Millis,
        name: &[u8],
        owner: Option<Box<str>>,
    ) -> Result<SlotId, Failure> {
        if let Some(found) = self.find_voice(now, name)? {
            return Ok(found);
        }
        if self.log.len() >= self.limits.streams_max {
            let message = "the server holds streams.max streams";
            return Err(Failure::new(Code::LimitReached, message));
        }
        let (namespace, _) = Namespace::split(name);
        self.check_new_room(namespace, 0)?;
        let create = Create {
            owner,
            ..Create::new(ContentType::new("application/json"), Lifetime::Unlimited)
        };
        self.stage_create(now, name, &create, true, Payload::NONE)
    }
}
