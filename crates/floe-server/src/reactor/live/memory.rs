//! Commands about what a room remembers.

use floe_core::live::{Memory, SetValue};
use floe_log::Disk;
use floe_proto::Rights;
use floe_surfaces::live::{self, FrameId, MemoryOp, RoomName};

use super::commands::{forbidden, memory_failure};
use super::telling::{self, is_typing};
use crate::reactor::Reactor;
use crate::shard::SlotId;

impl<D: Disk> Reactor<D> {
    pub(super) fn live_memory(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &RoomName<'_>,
        op: MemoryOp<'_>,
    ) {
        let name = room.as_str();
        let Some(join) = self.live_ref(at).and_then(|live| live.join(name)) else {
            return self.not_joined(at, id, name);
        };
        let (slot, rights, now) = (join.slot, join.rights, self.clock.wall);
        let needed = match op {
            MemoryOp::Get { .. } | MemoryOp::List { .. } => Rights::READ,
            MemoryOp::Set { .. } | MemoryOp::Delete { .. } => Rights::APPEND,
        };
        if !rights.contains(needed) {
            return self.fail(at, id, name, forbidden());
        }
        let ttl_ms_max = self.limits.memory_ttl_ms_max;
        let changed = match op {
            MemoryOp::Set {
                key,
                value,
                ttl_ms,
                if_version,
            } => self.shard.change_live(slot, now, |live, timers| {
                let set = SetValue {
                    key: &key,
                    value: value.as_bytes(),
                    ttl_ms: ttl_ms.unwrap_or(ttl_ms_max),
                    if_version,
                };
                live.memory.set(&set, now, timers).map(Some)
            }),
            MemoryOp::Delete { key, if_version } => {
                self.shard.change_live(slot, now, |live, timers| {
                    live.memory.remove(&key, if_version, timers)
                })
            }
            MemoryOp::Get { key } => {
                self.shard.touch_memory(slot, |memory| memory.touch(&key));
                return self.tell_memory(at, id, name, slot, |memory| one(memory, &key));
            }
            MemoryOp::List {
                prefix,
                after,
                limit,
            } => {
                let (after, limit) = (after.as_deref(), limit as usize);
                self.shard
                    .touch_memory(slot, |memory| touch_page(memory, &prefix, after, limit));
                return self.tell_memory(at, id, name, slot, |memory| {
                    page(memory, &prefix, after, limit)
                });
            }
        };
        match changed {
            Ok(version) => self.acknowledge(at, id, name, version),
            Err(error) => self.fail(at, id, name, memory_failure(error)),
        }
    }

    /// Answers a question for values.
    fn tell_memory(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &str,
        slot: SlotId,
        find: impl for<'a> FnOnce(&'a Memory) -> Page<'a>,
    ) {
        let Some(format) = self.live_ref(at).map(|live| live.format) else {
            return;
        };
        self.out.clear();
        let memory = self.shard.live(slot).map(|live| &live.memory);
        let found = memory.map_or_else(Page::default, find);
        let change = live::MemoryChange {
            id: id.as_ref(),
            room,
            version: memory.map_or(0, Memory::version),
            snapshot: false,
            next: found.next,
            usage: Some(self.shard.memory_usage(slot)),
        };
        let entries = found
            .values
            .iter()
            .filter_map(|(key, value, version)| telling::entry(memory?, key, value, *version));
        live::write_memory(&mut self.out, format, &change, entries, std::iter::empty());
        self.send(at);
    }
}

/// Values with their keys and versions.
pub(in crate::reactor) type Values<'a> = Vec<(&'a str, &'a [u8], u64)>;

/// What is found in a memory.
#[derive(Default)]
pub(in crate::reactor) struct Page<'a> {
    pub values: Values<'a>,
    /// The `after` of the next page, if there is one.
    pub next: Option<&'a str>,
}

/// Returns the value of a key. Who is typing is told in another way.
fn one<'a>(memory: &'a Memory, key: &str) -> Page<'a> {
    let mut values = memory.page(key, None, 1);
    values.retain(|(found, ..)| *found == key && !is_typing(key));
    Page { values, next: None }
}

/// Returns a page of values by the beginning of their keys.
pub(in crate::reactor) fn page<'a>(
    memory: &'a Memory,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Page<'a> {
    let mut values = listed(memory, prefix, after, limit);
    let more = values.len() > limit;
    values.truncate(limit);
    let next = values.last().filter(|_| more).map(|(key, ..)| *key);
    Page { values, next }
}

/// Notes that a page is read.
fn touch_page(memory: &mut Memory, prefix: &str, after: Option<&str>, limit: usize) {
    let values = page(memory, prefix, after, limit).values.into_iter();
    let keys: Vec<String> = values.map(|(key, ..)| key.to_owned()).collect();
    keys.iter().for_each(|key| memory.touch(key));
}

/// Returns values of a page and, if there are more, one of the next. Who is typing is told in another
/// way, and no part of a list.
fn listed<'a>(memory: &'a Memory, prefix: &str, after: Option<&str>, limit: usize) -> Values<'a> {
    let mut all = Vec::new();
    let mut after = after;
    loop {
        let wanted = limit + 1 - all.len();
        let page = memory.page(prefix, after, wanted);
        let is_last = page.len() < wanted;
        after = page.last().map(|(key, ..)| *key);
        all.extend(page.into_iter().filter(|(key, ..)| !is_typing(key)));
        if is_last || all.len() > limit {
            return all;
        }
    }
}
