//! What each namespace stores, counted where somebody limits it.
//!
//! Nothing of this is in the log. It is counted anew after a start, or after a limit was set: a walk
//! over all rooms in small steps, while what changes of rooms that the walk has passed, and of those
//! that are younger than it, is counted with the change itself. Until it is through there may be
//! more than was counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_core::Room;
use floe_log::Disk;
use floe_proto::{Code, Namespace, RoomId};
use floe_surfaces::limits::CountKind;

use super::{Failure, LOAD_RETRY_MS, Shard, SlotId, is_reserved, is_table_room, is_voice_room};
use crate::quotas::Quotas;

/// What a namespace stores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Streams and channels, deleted ones included until they are gone for good.
    pub rooms: u64,
    /// Bytes of what they hold.
    pub bytes: u64,
}

/// The counts of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What is limited; `None` while nothing is, and then nothing is counted.
    quotas: Option<Arc<Quotas>>,
    namespaces: BTreeMap<Box<str>, Counted>,
    walk: Option<Walk>,
    /// Refusals since they were last asked for: of rooms, and of bytes.
    refusals: [u64; 2],
}

#[derive(Debug, Default)]
struct Counted {
    usage: Usage,
    rooms_max: Option<u64>,
    bytes_max: Option<u64>,
}

#[derive(Debug)]
struct Walk {
    /// Number of the next room.
    next: u64,
    /// Number of the first that is younger.
    until: u64,
}

/// Room numbers looked at in one step of a walk.
const WALK_STEP: u64 = 256;
/// Milliseconds before which it makes no sense to store more in a full namespace.
const RETRY_MS: u64 = 10_000;

impl<D: Disk> Shard<D> {
    /// Limits what namespaces store by these quotas from now on.
    pub fn set_quotas(&mut self, quotas: Arc<Quotas>) {
        let tally = &mut self.tally;
        if !quotas.limits_storage() {
            *tally = Tally::default();
            return;
        }
        for (name, counted) in &mut tally.namespaces {
            counted.limit(name, &quotas);
        }
        if tally.quotas.replace(quotas).is_none() {
            let until = self.log.next_room().0;
            tally.walk = Some(Walk { next: 0, until });
        }
    }

    /// Returns whether rooms are still being counted.
    pub const fn is_counting(&self) -> bool {
        self.tally.walk.is_some()
    }

    /// Counts some more rooms, if they are not all counted.
    pub fn count_on(&mut self) {
        let Some(walk) = &mut self.tally.walk else {
            return;
        };
        let from = walk.next;
        walk.next = walk.until.min(from + WALK_STEP);
        let to = walk.next;
        if walk.next == walk.until {
            self.tally.walk = None;
        }
        for room in (from..to).map(RoomId) {
            if self.log.end(room).is_none() {
                continue;
            }
            match self.load_state(room) {
                Ok(state) => self.count_room(&state),
                Err(failure) => {
                    let code = failure.code.as_str();
                    tracing::warn!(code, room = room.0, "a room was not counted");
                }
            }
        }
    }

    fn count_room(&mut self, state: &Room) {
        let hash = self.room_key(state.name());
        let slot = self.names.get(&hash).map(|id| &self.slots[id.0 as usize]);
        let loaded = slot.map(|slot| &slot.room);
        let room = loaded.filter(|room| room.id() == state.id());
        let room = room.unwrap_or(state);
        let bytes = self.kept_bytes(room);
        if let Some(counted) = self.tally.of(room) {
            counted.usage.rooms += 1;
            counted.usage.bytes += bytes;
        }
    }

    /// Returns the bytes that a room holds itself, of what is kept.
    fn kept_bytes(&self, room: &Room) -> u64 {
        // What cannot be read now is not counted now, and neither when it goes.
        let in_log = || self.log.payload_bytes(room.id()).unwrap_or_default();
        room.kept_bytes().unwrap_or_else(in_log)
    }

    /// Returns what a namespace stores, if it is counted, and whether all of it is.
    pub fn usage(&self, namespace: &str) -> Option<(Usage, bool)> {
        self.tally.quotas.as_ref()?;
        let counted = self.tally.namespaces.get(namespace);
        let usage = counted.map(|counted| counted.usage).unwrap_or_default();
        Some((usage, self.tally.walk.is_none()))
    }

    /// Returns the namespaces that store something, as far as it is counted.
    pub fn usages(&self) -> impl Iterator<Item = &str> {
        self.tally.namespaces.keys().map(|name| &**name)
    }

    /// Takes the refusals since the last call.
    pub fn take_refusals(&mut self) -> [(CountKind, u64); 2] {
        let [rooms, bytes] = std::mem::take(&mut self.tally.refusals);
        [(CountKind::Rooms, rooms), (CountKind::StoredBytes, bytes)]
    }

    /// Checks whether a namespace may have another room that holds so much.
    pub(super) fn check_new_room(&mut self, namespace: &str, bytes: u64) -> Result<(), Failure> {
        if self.tally.quotas.is_none() {
            return Ok(());
        }
        self.tally.check(namespace, 1, bytes)
    }

    /// Refuses messages of others while the server has too much to do to take them; what it notes
    /// itself is taken all the same.
    fn check_load(&self, id: SlotId) -> Result<(), Failure> {
        if self.load.refuses_messages() && owner(&self.slots[id.0 as usize].room).is_some() {
            return Err(Failure {
                retry_after_ms: LOAD_RETRY_MS,
                ..Failure::new(
                    Code::Overloaded,
                    "the server has too much to do and takes no messages",
                )
            });
        }
        Ok(())
    }

    /// Checks whether a loaded room may grow.
    pub(super) fn check_growth(&mut self, id: SlotId, bytes: u64) -> Result<(), Failure> {
        self.check_load(id)?;
        if self.tally.quotas.is_none() {
            return Ok(());
        }
        match owner(&self.slots[id.0 as usize].room) {
            Some(namespace) => self.tally.check(namespace, 0, bytes),
            None => Ok(()),
        }
    }

    /// Returns what a loaded room holds before it changes, if that is counted.
    pub(super) fn held_before(&self, id: SlotId) -> Option<u64> {
        let room = &self.slots[id.0 as usize].room;
        if self.tally.quotas.is_none() || !self.tally.has_counted(room.id()) {
            return None;
        }
        Some(room.kept_bytes().unwrap_or(0))
    }

    /// Counts a change of a loaded room, which has brought so much.
    pub(super) fn count_change(&mut self, id: SlotId, before: Option<u64>, brought: u64) {
        let Some(before) = before else { return };
        let room = &self.slots[id.0 as usize].room;
        let after = room.kept_bytes().unwrap_or(before + brought);
        if let Some(counted) = self.tally.of(room) {
            let bytes = counted.usage.bytes + after;
            counted.usage.bytes = bytes.saturating_sub(before);
        }
    }

    /// Counts a new room.
    pub(super) fn count_created(&mut self, id: SlotId, bytes: u64) {
        if self.tally.quotas.is_none() {
            return;
        }
        let room = &self.slots[id.0 as usize].room;
        if let Some(counted) = self.tally.of(room) {
            counted.usage.rooms += 1;
            counted.usage.bytes += bytes;
        }
    }

    /// Returns what a loaded room holds that is about to go, if that is counted.
    pub(super) fn held_at_last(&self, id: SlotId) -> Option<u64> {
        let room = &self.slots[id.0 as usize].room;
        let counted = self.tally.quotas.is_some() && self.tally.has_counted(room.id());
        counted.then(|| self.kept_bytes(room))
    }

    /// Counts a room less.
    pub(super) fn count_removed(&mut self, id: SlotId, held: Option<u64>) {
        let Some(held) = held else { return };
        let room = &self.slots[id.0 as usize].room;
        let Some(namespace) = owner(room) else { return };
        let Some(counted) = self.tally.namespaces.get_mut(namespace) else {
            return;
        };
        let usage = &mut counted.usage;
        usage.rooms = usage.rooms.saturating_sub(1);
        usage.bytes = usage.bytes.saturating_sub(held);
        if usage.rooms == 0 {
            self.tally.namespaces.remove(namespace);
        }
    }
}

impl Tally {
    /// Returns whether the walk has passed a room, or never comes to it.
    fn has_counted(&self, room: RoomId) -> bool {
        let walk = self.walk.as_ref();
        walk.is_none_or(|walk| room.0 < walk.next || room.0 >= walk.until)
    }

    /// Returns the counts that a room is among; `None` for the server's own.
    fn of(&mut self, room: &Room) -> Option<&mut Counted> {
        let namespace = owner(room)?;
        Some(self.of_namespace(namespace))
    }

    fn of_namespace(&mut self, namespace: &str) -> &mut Counted {
        if !self.namespaces.contains_key(namespace) {
            let counted = self.nothing(namespace);
            self.namespaces.insert(namespace.into(), counted);
        }
        self.namespaces.entry(namespace.into()).or_default()
    }

    /// A namespace that stores nothing.
    fn nothing(&self, namespace: &str) -> Counted {
        let mut counted = Counted::default();
        if let Some(quotas) = &self.quotas {
            counted.limit(namespace, quotas);
        }
        counted
    }

    fn check(&mut self, namespace: &str, rooms: u64, bytes: u64) -> Result<(), Failure> {
        let nothing;
        let counted = match self.namespaces.get(namespace) {
            Some(counted) => counted,
            None => {
                nothing = self.nothing(namespace);
                &nothing
            }
        };
        let Counted {
            usage,
            rooms_max,
            bytes_max,
        } = counted;
        let (kind, most) = if let Some(most) = rooms_max.filter(|most| usage.rooms + rooms > *most)
            && rooms > 0
        {
            (CountKind::Rooms, most)
        } else if let Some(most) = bytes_max.filter(|most| usage.bytes + bytes > *most)
            && bytes > 0
        {
            (CountKind::StoredBytes, most)
        } else {
            return Ok(());
        };
        self.refusals[usize::from(kind == CountKind::StoredBytes)] += 1;
        let kind = kind.as_str();
        let message = format!("namespace: {most} {kind} at most");
        Err(Failure {
            retry_after_ms: RETRY_MS,
            ..Failure::new(Code::QuotaExceeded, message)
        })
    }
}

impl Counted {
    fn limit(&mut self, namespace: &str, quotas: &Quotas) {
        let own = namespace.parse::<Namespace>();
        let own = own.map_or(quotas.namespace, |name| quotas.of_namespace(&name));
        self.rooms_max = own.count(CountKind::Rooms);
        self.bytes_max = own.count(CountKind::StoredBytes);
    }
}

/// Returns the namespace that pays for a room; `None` for the server's own.
fn owner(room: &Room) -> Option<&str> {
    if let Some(channel) = room.channel() {
        return Some(channel.owner());
    }
    let (namespace, _) = Namespace::split(room.name());
    let counts = |name| !is_reserved(name) || is_table_room(name) || is_voice_room(name);
    counts(room.name()).then_some(namespace)
}
