//! The listing of all streams, itself a stream.

use floe_core::{ContentType, Create, DataRecord, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::{ChannelId, Code, Millis, Namespace};

use super::{Failure, NAMESPACE, Shard, SlotId};

/// Name of the stream that lists all others: an insert for every create, a delete for every delete.
pub const REGISTRY: &[u8] = b"__registry__";

/// Name of the stream that holds what was administered in a namespace.
pub const AUDIT: &[u8] = b"__audit__";

/// Names with this beginning are the server's own.
pub const RESERVED: &[u8] = b"__ds/";

/// An event that is staged, while what it tells of is not.
///
/// The event goes first. So whatever comes between the two, a crash or want of space, leaves an
/// event too many, and only ever the last one, which the next start, tick or event puts right.
#[derive(Debug, Clone)]
pub(super) struct Told {
    name: Vec<u8>,
    created: bool,
}

impl<D: Disk> Shard<D> {
    /// Makes the registry if it is not there yet, and makes its last event true if it is not.
    ///
    /// # Errors
    /// When the log has no space for a registry.
    pub fn ensure_registry(&mut self, now: Millis) -> Result<(), Failure> {
        let Some(id) = self.find(now, REGISTRY)? else {
            let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
            self.stage_create(now, REGISTRY, &create, true, Payload::NONE)?;
            return Ok(());
        };
        let settled = self.last_event(id).and_then(|told| {
            self.told = told;
            self.settle_registry(now)
        });
        if let Err(failure) = settled {
            let code = failure.code.as_str();
            tracing::warn!(code, "the last event of the registry may be false");
        }
        Ok(())
    }

    /// Stages the news of a create, before the create itself.
    ///
    /// # Errors
    /// When the log has no space; nothing has changed.
    pub(super) fn tell_created(
        &mut self,
        name: &[u8],
        content_type: &str,
        now: Millis,
    ) -> Result<(), Failure> {
        let Some(path) = listed(name) else {
            return Ok(());
        };
        self.settle_registry(now)?;
        self.stage_event(&created_event(&path, content_type, now), now)?;
        self.told = Some(Told {
            name: name.into(),
            created: true,
        });
        Ok(())
    }

    /// Stages the news of a delete, before the delete itself.
    ///
    /// # Errors
    /// When the log has no space; nothing has changed.
    pub(super) fn tell_deleted(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        let name = self.slots[id.0 as usize].room.name().to_vec();
        let Some(path) = listed(&name) else {
            return Ok(());
        };
        self.settle_registry(now)?;
        self.stage_event(&deleted_event(&path), now)?;
        self.told = Some(Told {
            name,
            created: false,
        });
        Ok(())
    }

    /// Notes that what was told has been staged, too.
    pub(super) fn has_come_true(&mut self, name: &[u8]) {
        self.told.take_if(|told| told.name == name);
    }

    /// Takes back the last event if what it tells of never came.
    pub(super) fn settle_registry(&mut self, now: Millis) -> Result<(), Failure> {
        let Some(Told { name, created }) = self.told.clone() else {
            return Ok(());
        };
        let path = String::from_utf8_lossy(&name);
        let hash = self.log.hash(NAMESPACE, &name);
        let there = match self.log.find(hash) {
            Some(room) => Some(self.load_state(room)?).filter(|room| !room.is_deleted()),
            None => None,
        };
        let event = match (created, there) {
            (true, None) => deleted_event(&path),
            (false, Some(room)) => {
                created_event(&path, room.content_type().as_str(), room.created_at())
            }
            (true, Some(_)) | (false, None) => {
                self.told = None;
                return Ok(());
            }
        };
        self.stage_event(&event, now)?;
        self.told = None;
        self.settled_until = self.log.staged();
        Ok(())
    }

    fn stage_event(&mut self, event: &serde_json::Value, now: Millis) -> Result<(), Failure> {
        let Some(registry) = self.find(now, REGISTRY)? else {
            return Ok(());
        };
        let mut message = event.to_string().into_bytes();
        message.push(b',');
        let payload = Payload {
            bytes: &message,
            lens: &[message.len() as u32],
        };
        let record = Record::Data(DataRecord::default());
        let lsn = self.stage(registry, &record, payload, now)?;
        self.queue(lsn, registry, None);
        Ok(())
    }

    /// Reads what the registry told last.
    fn last_event(&self, registry: SlotId) -> Result<Option<Told>, Failure> {
        let tail = self.slots[registry.0 as usize].room.visible().tail;
        if tail == 0 {
            return Ok(None);
        }
        let fetched = match self.fetch(registry, tail - 1, 1) {
            // Nothing moves while an event may be false, so this one is true.
            Err(failure) if failure.cold.is_some() => return Ok(None),
            fetched => fetched?,
        };
        let bytes = fetched.to_vec();
        let bytes = bytes.map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        let event: serde_json::Value =
            serde_json::from_slice(bytes.strip_suffix(b",").unwrap_or(&bytes))
                .map_err(|_| Failure::new(Code::Corrupt, "the registry holds no events"))?;
        let operation = event["headers"]["operation"].as_str();
        // A name that is not UTF-8 cannot be found again by what the event calls it.
        let key = event["key"]
            .as_str()
            .filter(|key| !key.contains(char::REPLACEMENT_CHARACTER));
        Ok(key.map(|key| Told {
            name: key.into(),
            created: operation == Some("insert"),
        }))
    }
}

fn created_event(path: &str, content_type: &str, created_at: Millis) -> serde_json::Value {
    serde_json::json!({
        "type": "stream",
        "key": path,
        "value": {
            "path": path,
            "contentType": content_type,
            "createdAt": created_at.0,
        },
        "headers": { "operation": "insert" },
    })
}

fn deleted_event(path: &str) -> serde_json::Value {
    serde_json::json!({
        "type": "stream",
        "key": path,
        "headers": { "operation": "delete" },
    })
}

/// Returns whether only the server writes the room.
pub fn is_reserved(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path == REGISTRY || path == AUDIT || is_internal(name) || is_channel(name)
}

/// Returns whether the room is a channel's, which streams read and only channels write.
pub fn is_channel(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(ChannelId::ROOM_PREFIX.as_bytes())
}

/// Returns whether the room holds state of the server itself, which no client may see or fork.
pub fn is_internal(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(RESERVED)
}

/// Returns the name as text if the registry lists it.
fn listed(name: &[u8]) -> Option<String> {
    (!is_reserved(name)).then(|| String::from_utf8_lossy(name).into_owned())
}
