//! What a room with tables remembers for a while: its memory, cursors and how users are.

use floe_core::live::{Memory, MemoryError, Own, SetValue};
use floe_log::Disk;
use floe_proto::table::TableError;
use floe_proto::{Code, RoomId};
use floe_surfaces::access::Grant;
use floe_surfaces::tables::{self, Label, MemoryKind, MemoryPlace, Method, Success};

use super::super::Reactor;
use super::super::live::{entry, is_typing, memory_page};
use serde_json::json;

use crate::buffers::{Buffered, Buffering};
use crate::shard::{SlotId, TablePlace};
use crate::tables::Refused;

/// What came of a method about the memory or the write buffer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::reactor) struct Kept {
    /// JSON.
    data: Option<Vec<u8>>,
    version: Option<u64>,
    seq: Option<u64>,
}

/// How far a method about the memory or the write buffer has come.
#[derive(Debug)]
pub(in crate::reactor) enum Keeping {
    /// It is done.
    Done(Result<Kept, Refused>),
    /// It has to wait: [`Reactor::buffer_later`] says for whom.
    Waits(Buffering),
}

impl From<Buffered> for Kept {
    fn from(buffered: Buffered) -> Self {
        Self {
            data: buffered.value.map(|value| value.into_boxed_bytes().into()),
            version: None,
            seq: buffered.seq,
        }
    }
}

impl<D: Disk> Reactor<D> {
    /// Does a method about the memory or the write buffer of a room, for somebody who may.
    ///
    /// # Errors
    /// Hands a method back that is about something else.
    pub(in crate::reactor) fn keep(
        &mut self,
        place: TablePlace,
        grant: &Grant,
        method: Method,
    ) -> Result<Keeping, Box<Method>> {
        let slot = place.slot;
        let done = match method {
            Method::GetCursors => Ok(self.own_values(slot, Own::Cursor)),
            Method::GetPresence => Ok(self.own_values(slot, Own::Presence)),
            Method::GetMemory(of) => Ok(self.memory_values(slot, &of)),
            Method::SetCursor { user_id, position } => {
                self.set_own_value(slot, grant, user_id, Own::Cursor, &position)
            }
            Method::SetPresence { user_id, status } => {
                self.set_own_value(slot, grant, user_id, Own::Presence, &status)
            }
            Method::SetMemory {
                key,
                value,
                ttl_ms,
                if_version,
            } => {
                let now = self.clock.wall;
                let set = SetValue {
                    key: &key,
                    value: value.as_bytes(),
                    ttl_ms: ttl_ms.unwrap_or(self.limits.memory_ttl_ms_max),
                    if_version,
                };
                let set = self
                    .shard
                    .change_live(slot, now, |live, timers| live.memory.set(&set, now, timers));
                changed(set.map(Some))
            }
            Method::DeleteMemory { key, if_version } => {
                let now = self.clock.wall;
                let removed = self.shard.change_live(slot, now, |live, timers| {
                    live.memory.remove(&key, if_version, timers)
                });
                changed(removed)
            }
            Method::UpdateDebounced {
                key,
                value,
                interval_ms,
            } => {
                let update = Buffering::Update {
                    key,
                    value,
                    interval_ms,
                };
                return Ok(self.buffer(place, update));
            }
            Method::IncrementDebounced {
                key,
                by,
                interval_ms,
            } => {
                let increment = Buffering::Increment {
                    key,
                    by,
                    interval_ms,
                };
                return Ok(self.buffer(place, increment));
            }
            Method::GetDebounced { key } => {
                return Ok(self.buffer(place, Buffering::Get { key }));
            }
            Method::FlushDebounced { key } => {
                return Ok(self.buffer(place, Buffering::Flush { key }));
            }
            method @ (Method::Mutate(_)
            | Method::ExecuteSql(_)
            | Method::ListTasks
            | Method::GetSchema
            | Method::GetUsage
            | Method::GetAuditLog
            | Method::GetSyncStatus
            | Method::ForceSyncAll
            | Method::Subscribe(_)
            | Method::Unsubscribe(_)) => return Err(method.into()),
        };
        Ok(Keeping::Done(done))
    }

    /// Adds to what a room says of itself what it remembers and has not written down.
    pub(super) fn add_kept_usage(&self, room: RoomId, json: &mut Vec<u8>) {
        let memory = self.shard.memory_usage_of(room);
        let (keys, bytes) = self.buffers.room_usage(room);
        let kept = json!({
            "memory": {
                "entries": memory.entries,
                "bytes": memory.bytes,
                "entriesMax": memory.entries_max,
                "bytesMax": memory.bytes_max,
                "evictions": memory.evictions,
            },
            "buffer": {
                "keys": keys,
                "bytes": bytes,
                "keysMax": self.limits.buffer_keys_max,
                "bytesMax": self.limits.buffer_bytes_max,
            },
        });
        if let Some(members) = kept.to_string().strip_prefix('{')
            && json.pop() == Some(b'}')
        {
            json.push(b',');
            json.extend_from_slice(members.as_bytes());
        }
    }

    fn set_own_value(
        &mut self,
        slot: SlotId,
        grant: &Grant,
        user_id: Option<Box<str>>,
        own: Own,
        value: &str,
    ) -> Result<Kept, Refused> {
        let user = match (&grant.author, user_id) {
            (Some(author), Some(user)) if **author != *user => {
                let message = "`userId` is somebody else";
                return Err(Refused::new(Code::Forbidden, message));
            }
            (Some(author), _) => author.clone(),
            (None, Some(user)) => user,
            (None, None) => {
                let message = "`userId` is needed from a caller that has no name";
                return Err(Refused::new(Code::InvalidRequest, message));
            }
        };
        let now = self.clock.wall;
        let set = self.shard.change_live(slot, now, |live, timers| {
            live.memory
                .set_own(own, &user, value.as_bytes(), now, timers)
        });
        changed(set.map(Some))
    }

    /// Returns what all users tell of themselves.
    fn own_values(&mut self, slot: SlotId, own: Own) -> Kept {
        let kind = match own {
            Own::Cursor => MemoryKind::Cursors,
            Own::Presence | Own::Typing => MemoryKind::Presence,
        };
        let prefix = own.prefix();
        let mut data = Vec::new();
        let memory = self.shard.live(slot).map(|live| &live.memory);
        let values = memory.map_or_else(Vec::new, |memory| memory.page(prefix, None, usize::MAX));
        let entries = values.iter().filter_map(|(key, value, version)| {
            let mut entry = entry(memory?, key, value, *version)?;
            entry.key = key.strip_prefix(prefix)?;
            Some(entry)
        });
        tables::write_entries(&mut data, kind, entries);
        kept(data, memory)
    }

    /// Returns values of the memory, which is a use of them.
    fn memory_values(&mut self, slot: SlotId, of: &MemoryPlace) -> Kept {
        self.shard.touch_memory(slot, |memory| {
            let found = found(memory, of).into_iter();
            let keys: Vec<String> = found.map(|(key, ..)| key.to_owned()).collect();
            keys.iter().for_each(|key| memory.touch(key));
        });
        let memory = self.shard.live(slot).map(|live| &live.memory);
        let values = memory.map_or_else(Vec::new, |memory| found(memory, of));
        let entries = values
            .iter()
            .filter_map(|(key, value, version)| entry(memory?, key, value, *version));
        let mut data = Vec::new();
        tables::write_entries(&mut data, MemoryKind::Memory, entries);
        kept(data, memory)
    }
}

/// Appends the answer to a method about the memory or the write buffer.
pub(in crate::reactor) fn write_kept(out: &mut Vec<u8>, label: &Label, kept: &Kept) {
    if matches!(label.info.answer, tables::Answer::Query) {
        let data = kept.data.as_deref().unwrap_or(b"null");
        return tables::write_data(out, label, data);
    }
    let success = Success {
        seq: kept.seq,
        version: kept.version,
        data: kept
            .data
            .as_deref()
            .and_then(|data| std::str::from_utf8(data).ok()),
        ..Success::default()
    };
    tables::write_success(out, label, &success);
}

/// Values with their keys and versions.
type Values<'a> = Vec<(&'a str, &'a [u8], u64)>;

/// Returns the values that are asked for. Who is typing is told in another way.
fn found<'a>(memory: &'a Memory, of: &MemoryPlace) -> Values<'a> {
    match of {
        MemoryPlace::Key(key) => {
            let mut values = memory.page(key, None, 1);
            values.retain(|(found, ..)| **found == **key && !is_typing(found));
            values
        }
        MemoryPlace::Prefix {
            prefix,
            after,
            limit,
        } => memory_page(memory, prefix, after.as_deref(), *limit).values,
    }
}

fn kept(data: Vec<u8>, memory: Option<&Memory>) -> Kept {
    Kept {
        data: Some(data),
        version: memory.map(Memory::version),
        seq: None,
    }
}

fn changed(version: Result<Option<u64>, MemoryError>) -> Result<Kept, Refused> {
    match version {
        Ok(version) => Ok(Kept {
            version,
            ..Kept::default()
        }),
        Err(error) => Err(TableError::new(error.code(), error.to_string()).into()),
    }
}
