//! The listing of all streams, itself a stream.

use floe_core::{ContentType, Create, DataRecord, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::Millis;

use super::{Failure, Shard, SlotId};

/// Name of the stream that lists all others: an insert for every create, a delete for every delete.
pub const REGISTRY: &[u8] = b"__registry__";

/// Names with this beginning are the server's own.
pub const RESERVED: &[u8] = b"__ds/";

impl<D: Disk> Shard<D> {
    /// Makes the registry if it is not there yet.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn ensure_registry(&mut self, now: Millis) -> Result<(), Failure> {
        if self.find(now, REGISTRY)?.is_none() {
            let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
            self.stage_create(now, REGISTRY, &create, true, Payload::NONE)?;
        }
        Ok(())
    }

    pub(super) fn announce_created(&mut self, id: SlotId, now: Millis) {
        let room = &self.slots[id.0 as usize].room;
        let Some(path) = listed(room.name()) else {
            return;
        };
        let event = serde_json::json!({
            "type": "stream",
            "key": path,
            "value": {
                "path": path,
                "contentType": room.content_type().as_str(),
                "createdAt": room.created_at().0,
            },
            "headers": { "operation": "insert" },
        });
        self.announce(&event, now);
    }

    pub(super) fn announce_deleted(&mut self, id: SlotId, now: Millis) {
        let Some(path) = listed(self.slots[id.0 as usize].room.name()) else {
            return;
        };
        let event = serde_json::json!({
            "type": "stream",
            "key": path,
            "headers": { "operation": "delete" },
        });
        self.announce(&event, now);
    }

    fn announce(&mut self, event: &serde_json::Value, now: Millis) {
        let mut message = event.to_string().into_bytes();
        message.push(b',');
        let payload = Payload {
            bytes: &message,
            lens: &[message.len() as u32],
        };
        let record = Record::Data(DataRecord::default());
        let staged = match self.find(now, REGISTRY) {
            Ok(Some(registry)) => self
                .stage(registry, &record, payload, now)
                .map(|lsn| (registry, lsn)),
            Ok(None) => return,
            Err(failure) => Err(failure),
        };
        match staged {
            Ok((registry, lsn)) => self.queue(lsn, registry, None),
            Err(failure) => {
                tracing::warn!(code = failure.code.as_str(), "the registry missed an event")
            }
        }
    }
}

/// Returns whether only the server writes the room.
pub fn is_reserved(name: &[u8]) -> bool {
    name == REGISTRY || name.starts_with(RESERVED)
}

/// Returns the name as text if the registry lists it.
fn listed(name: &[u8]) -> Option<String> {
    (!is_reserved(name)).then(|| String::from_utf8_lossy(name).into_owned())
}
