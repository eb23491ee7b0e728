//! The server's own rooms, which hold one value each.

use floe_core::{ContentType, Create, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::Millis;

use super::{Failure, Shard};

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
}
