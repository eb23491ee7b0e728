//! The listing of all streams of a namespace, itself a stream.

use std::collections::{BTreeMap, HashSet};

use floe_core::{ContentType, Create, DataRecord, Lifetime, Record};
use floe_log::{Disk, Lsn, Payload};
use floe_proto::{ChannelId, Code, Millis, NameHash, Namespace, VoiceId, table};

use super::{Failure, NAMESPACE, Shard, SlotId, is_community};

/// Path of the stream that lists all others of its namespace: an insert for every create, a delete for every delete.
pub const REGISTRY: &[u8] = b"__registry__";

/// Name of the stream that holds what was administered in a namespace.
pub const AUDIT: &[u8] = b"__audit__";

/// Names with this beginning are the server's own.
pub const RESERVED: &[u8] = b"__ds/";

/// An event that is staged, while what it tells of is not.
///
/// The event goes first. So whatever comes between the two, a crash or want of space, leaves an
/// event too many, and only ever the last one of its registry. It is put right by the next tick or
/// event, and after a start when the registry is first asked for.
#[derive(Debug, Clone)]
pub(super) struct Told {
    name: Vec<u8>,
    created: bool,
}

/// What is known of the registries, of which each namespace has one.
#[derive(Debug, Default)]
pub(super) struct Registries {
    /// What each tells of that has not been staged.
    told: BTreeMap<Box<[u8]>, Told>,
    /// Those whose last event this process has looked at.
    checked: HashSet<NameHash>,
    /// End of the newest event that puts a false one right.
    settled_until: Lsn,
}

impl Registries {
    /// Returns whether some last event may be false, as far as what is durable says.
    pub(super) fn may_be_false(&self, durable: Lsn) -> bool {
        !self.told.is_empty() || durable < self.settled_until
    }
}

impl<D: Disk> Shard<D> {
    /// Makes the registry of the default namespace if it is not there yet, and makes its last event
    /// true if it is not.
    ///
    /// # Errors
    /// When the log has no space for a registry.
    pub fn ensure_registry(&mut self, now: Millis) -> Result<(), Failure> {
        match self.find(now, REGISTRY) {
            Ok(Some(_)) => {}
            Ok(None) => {
                self.create_registry(now, REGISTRY)?;
            }
            // Nothing moves while an event may be false, so what is cold is true.
            Err(failure) if failure.cold.is_some() => {
                let hash = self.log.hash(NAMESPACE, REGISTRY);
                self.registries.checked.insert(hash);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Looks at the last event of a registry that was found, once in a process, and makes it true if
    /// it is not.
    ///
    /// # Errors
    /// When that event is cold; it is on its way.
    pub(super) fn check_registry(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        let slot = &self.slots[id.0 as usize];
        if self.registries.checked.contains(&slot.name) {
            return Ok(());
        }
        let (hash, registry) = (slot.name, slot.room.name().to_vec());
        let last = match self.last_event(id) {
            Err(failure) if failure.cold.is_some() => {
                failure
                    .cold
                    .into_iter()
                    .for_each(|want| self.want_cold(want));
                return Err(failure);
            }
            last => last,
        };
        self.registries.checked.insert(hash);
        let settled = last.and_then(|told| {
            if let Some(told) = told {
                self.registries.told.insert(registry.clone().into(), told);
            }
            self.settle_registry(&registry, now)
        });
        if let Err(failure) = settled {
            let code = failure.code.as_str();
            tracing::warn!(code, "the last event of a registry may be false");
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
        let registry = registry_of(name);
        self.settle_registry(&registry, now)?;
        let id = match self.find(now, &registry)? {
            Some(id) => id,
            None => self.create_registry(now, &registry)?,
        };
        self.stage_event(id, &created_event(&path, content_type, now), now)?;
        self.tell(registry, name, true);
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
        let registry = registry_of(&name);
        self.settle_registry(&registry, now)?;
        if let Some(id) = self.find(now, &registry)? {
            self.stage_event(id, &deleted_event(&path), now)?;
            self.tell(registry, &name, false);
        }
        Ok(())
    }

    fn tell(&mut self, registry: Vec<u8>, name: &[u8], created: bool) {
        let told = Told {
            name: name.to_vec(),
            created,
        };
        self.registries.told.insert(registry.into(), told);
    }

    /// Notes that what was told has been staged, too.
    pub(super) fn has_come_true(&mut self, name: &[u8]) {
        let told = &mut self.registries.told;
        if !told.is_empty() && listed(name).is_some() {
            told.remove(&*registry_of(name));
        }
    }

    /// Takes back the last event of every registry if what it tells of never came.
    pub(super) fn settle_registries(&mut self, now: Millis) -> Result<(), Failure> {
        let registries: Vec<_> = self.registries.told.keys().cloned().collect();
        let mut settled = registries.iter();
        settled.try_for_each(|registry| self.settle_registry(registry, now))
    }

    /// Takes back the last event of a registry if what it tells of never came.
    fn settle_registry(&mut self, registry: &[u8], now: Millis) -> Result<(), Failure> {
        let Some(Told { name, created }) = self.registries.told.get(registry).cloned() else {
            return Ok(());
        };
        let (_, path) = Namespace::split(&name);
        let path = String::from_utf8_lossy(path);
        let hash = self.log.hash(NAMESPACE, &name);
        let there = match self.log.find(hash) {
            Some(room) => Some(self.load_state(room)?).filter(|room| !room.is_deleted()),
            None => None,
        };
        let event = match (created, there) {
            (true, None) => Some(deleted_event(&path)),
            (false, Some(room)) => {
                let content_type = room.content_type().as_str();
                Some(created_event(&path, content_type, room.created_at()))
            }
            (true, Some(_)) | (false, None) => None,
        };
        if let Some(event) = event
            && let Some(id) = self.find(now, registry)?
        {
            self.stage_event(id, &event, now)?;
            self.registries.settled_until = self.log.staged();
        }
        self.registries.told.remove(registry);
        Ok(())
    }

    fn create_registry(&mut self, now: Millis, name: &[u8]) -> Result<SlotId, Failure> {
        let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
        let id = self.stage_create(now, name, &create, true, Payload::NONE)?;
        let hash = self.slots[id.0 as usize].name;
        self.registries.checked.insert(hash);
        Ok(id)
    }

    fn stage_event(
        &mut self,
        registry: SlotId,
        event: &serde_json::Value,
        now: Millis,
    ) -> Result<(), Failure> {
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

    /// Reads what a registry told last.
    fn last_event(&self, registry: SlotId) -> Result<Option<Told>, Failure> {
        let room = &self.slots[registry.0 as usize].room;
        let tail = room.visible().tail;
        if tail == 0 {
            return Ok(None);
        }
        let bytes = self.fetch(registry, tail - 1, 1)?.to_vec();
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
            name: [prefix_of(room.name()), key.as_bytes()].concat(),
            created: operation == Some("insert"),
        }))
    }
}

/// Returns what stands before the path in a room's full name.
fn prefix_of(name: &[u8]) -> &[u8] {
    let (_, path) = Namespace::split(name);
    &name[..name.len() - path.len()]
}

/// Returns the full name of the registry that lists a room.
fn registry_of(name: &[u8]) -> Vec<u8> {
    [prefix_of(name), REGISTRY].concat()
}

/// Returns whether the room is the registry of its namespace.
pub(super) fn is_registry(name: &[u8]) -> bool {
    name.ends_with(REGISTRY) && Namespace::split(name).1 == REGISTRY
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
    let is_own = path == REGISTRY || path == AUDIT || is_internal(name);
    is_own || is_channel(name) || is_table_room(name) || is_community(name)
}

/// Returns whether the room is a voice room.
pub fn is_voice_room(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(VoiceId::ROOM_PREFIX.as_bytes())
}

/// Returns whether the room is a channel's, which streams read and only channels write.
pub fn is_channel(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(ChannelId::ROOM_PREFIX.as_bytes())
}

/// Returns whether the room has tables, whose messages the server alone writes.
pub fn is_table_room(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(table::ROOMS.as_bytes())
}

/// Returns whether the room holds state of the server itself, which no client may see or fork.
pub fn is_internal(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(RESERVED)
}

/// Returns the path as text if the registry of its namespace lists it.
fn listed(name: &[u8]) -> Option<String> {
    let (_, path) = Namespace::split(name);
    let is_listed = !is_reserved(name) || is_table_room(name) || is_community(name);
    is_listed.then(|| String::from_utf8_lossy(path).into_owned())
}
