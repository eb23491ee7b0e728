//! Presence and memory of rooms while somebody is there.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use floe_core::channel::SlowPolicy;
use floe_core::live::{Leave, Live, LiveLimits, Memory, MemoryUsage, Timer, Timers, Wheel};
use floe_core::voice::Voice;
use floe_log::Disk;
use floe_proto::{Millis, RoomId};

use super::{Shard, SlotId, VoiceTotals, Voiced};
use crate::settings::Limits;

/// The live state of all rooms of a shard, as far as it is not each room's own.
#[derive(Debug)]
pub(super) struct LiveRooms {
    limits: LiveLimits,
    wheel: Wheel<Timer>,
    due: Vec<Timer>,
    /// Where the rooms are that have live state.
    pub(super) places: HashMap<RoomId, SlotId>,
    /// Rooms whose live state changed, and when their readers are told.
    changed: VecDeque<(Millis, SlotId)>,
    /// What all memories hold.
    memory: MemoryTotals,
    /// Voice rooms of which something came that nobody has acted on.
    pub(super) voiced: VecDeque<SlotId>,
    /// What came of the end of voice rooms that are gone.
    pub(super) ended: VecDeque<Voiced>,
    /// What all voice rooms hold.
    pub(super) voice: VoiceTotals,
}

/// What the memories of all rooms hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryTotals {
    /// Keys that are there.
    pub entries: usize,
    /// Bytes of all keys and values.
    pub bytes: usize,
    /// Keys that made way since the server began.
    pub evictions: u64,
}

impl MemoryTotals {
    fn note(&mut self, before: &MemoryUsage, after: &MemoryUsage) {
        self.entries = self.entries + after.entries - before.entries;
        self.bytes = self.bytes + after.bytes - before.bytes;
        self.evictions += after.evictions - before.evictions;
    }
}

impl LiveRooms {
    pub(super) fn new(limits: LiveLimits) -> Self {
        Self {
            limits,
            wheel: Wheel::new(Millis::default()),
            due: Vec::new(),
            places: HashMap::new(),
            changed: VecDeque::new(),
            memory: MemoryTotals::default(),
            voiced: VecDeque::new(),
            ended: VecDeque::new(),
            voice: VoiceTotals::default(),
        }
    }
}

/// Readers up to which a change of live state is told at once.
const TOLD_AT_ONCE_MAX: usize = 64;
/// Milliseconds that changes are gathered in a room with more readers.
const GATHER_MS: u64 = 50;
/// Readers from which they are gathered for longer.
const CROWD: usize = 2_000;
/// Milliseconds that changes are gathered in such a room.
const GATHER_CROWD_MS: u64 = 250;
/// Milliseconds that changes are gathered in any room while the server has too much to do.
const GATHER_LOADED_MS: u64 = 2_000;

impl<D: Disk> Shard<D> {
    /// Bounds what comes from now on, in rooms that are live already too.
    pub fn set_limits(&mut self, limits: Arc<Limits>) {
        self.live_rooms.limits = limits.live();
        for (_, slot) in &mut self.slots {
            if let Some(live) = &mut slot.live {
                live.set_limits(&self.live_rooms.limits);
            }
        }
        self.limits = limits;
    }

    /// Returns the live state of a room, if there is any.
    pub fn live(&self, id: SlotId) -> Option<&Live> {
        self.slots[id.0 as usize].live.as_deref()
    }

    /// Returns what happens to a reader of a room that falls behind the kept changes.
    pub fn slow_policy(&self, id: SlotId) -> SlowPolicy {
        let channel = self.slots[id.0 as usize].room.channel();
        channel.map_or(SlowPolicy::default(), |channel| channel.settings().slow)
    }

    /// Changes the live state of a room, and has its readers told.
    pub fn change_live<T>(
        &mut self,
        id: SlotId,
        now: Millis,
        change: impl FnOnce(&mut Live, &mut Timers<'_>) -> T,
    ) -> T {
        let slot = &mut self.slots[id.0 as usize];
        let rooms = &mut self.live_rooms;
        let mut timers = Timers::new(&mut rooms.wheel, slot.room.id());
        let live = slot.live.get_or_insert_with(|| {
            rooms.places.insert(slot.room.id(), id);
            Box::new(Live::new(&rooms.limits, now))
        });
        let before = live.versions();
        let used_before = live.memory.usage();
        let participants = |live: &Live| live.seen_voice().map_or(0, Voice::count);
        let took_part = participants(live);
        let changed = change(live, &mut timers);
        rooms.memory.note(&used_before, &live.memory.usage());
        rooms.voice.note(took_part, participants(live));
        if live.has_voice_effects() {
            rooms.voiced.push_back(id);
        }
        if live.versions() != before && !slot.live_changed {
            slot.live_changed = true;
            if slot.queued || !slot.readers.is_empty() {
                slot.since.live.get_or_insert(now);
            }
            let gather_ms = match slot.readers.len() {
                _ if self.load.is_thinned() => GATHER_LOADED_MS,
                0..=TOLD_AT_ONCE_MAX => 0,
                readers if readers < CROWD => GATHER_MS,
                _ => GATHER_CROWD_MS,
            };
            rooms.changed.push_back((now.plus(gather_ms), id));
        }
        changed
    }

    /// Notes that values of a room's memory are read, if there are any.
    pub fn touch_memory(&mut self, id: SlotId, touch: impl FnOnce(&mut Memory)) {
        if let Some(live) = &mut self.slots[id.0 as usize].live {
            touch(&mut live.memory);
        }
    }

    /// Returns how much the memory of a room holds.
    pub fn memory_usage(&self, id: SlotId) -> MemoryUsage {
        let memory = self.live(id).map(|live| live.memory.usage());
        memory.unwrap_or_else(|| self.no_memory())
    }

    /// The usage of a room that remembers nothing.
    fn no_memory(&self) -> MemoryUsage {
        let bounds = self.live_rooms.limits.memory.keyed;
        MemoryUsage {
            entries_max: bounds.keys_max,
            bytes_max: bounds.bytes_max,
            ..MemoryUsage::default()
        }
    }

    /// Returns how much the memory of a room holds, wherever it is.
    pub fn memory_usage_of(&self, room: RoomId) -> MemoryUsage {
        match self.live_rooms.places.get(&room) {
            Some(slot) => self.memory_usage(*slot),
            None => self.no_memory(),
        }
    }

    /// Returns how much the memories of all rooms hold.
    pub const fn memory_totals(&self) -> MemoryTotals {
        self.live_rooms.memory
    }

    /// Has the readers of a room polled, as there is something to tell that is not the room's own.
    pub fn wake_readers(&mut self, id: SlotId, now: Millis) {
        let slot = &mut self.slots[id.0 as usize];
        if !slot.readers.is_empty() && !slot.live_changed {
            slot.live_changed = true;
            self.live_rooms.changed.push_back((now, id));
        }
    }

    /// Takes a connection out of a room's presence.
    pub fn leave_live(&mut self, id: SlotId, connection: u64, leave: Leave, now: Millis) {
        if self.slots[id.0 as usize].live.is_some() {
            self.change_live(id, now, |live, timers| {
                live.presence.leave(connection, leave, now, timers);
                live.statuses.leave(connection, leave, now, timers);
            });
        }
    }

    /// Returns when [`advance_live`](Self::advance_live) has something to do.
    pub fn live_wake(&self) -> Option<Millis> {
        let changed = self.live_rooms.changed.iter().map(|(at, _)| *at).min();
        let timer = self.live_rooms.wheel.next_due();
        [changed, timer].into_iter().flatten().min()
    }

    /// Lets go what is over, and has the readers of rooms that changed polled.
    pub fn advance_live(&mut self, now: Millis) {
        let mut due = std::mem::take(&mut self.live_rooms.due);
        self.live_rooms.wheel.advance(now, &mut due);
        for timer in due.drain(..) {
            if let Some(id) = self.live_rooms.places.get(&timer.room).copied() {
                self.change_live(id, now, |live, timers| {
                    live.handle_timer(&timer, now, timers);
                });
            }
        }
        self.live_rooms.due = due;
        for _ in 0..self.live_rooms.changed.len() {
            let Some((at, id)) = self.live_rooms.changed.pop_front() else {
                return;
            };
            let slot = &mut self.slots[id.0 as usize];
            // Readers that are being served are asked again once they all have been.
            if at > now || slot.queued {
                let at = at.max(now.plus(u64::from(slot.queued)));
                self.live_rooms.changed.push_back((at, id));
                continue;
            }
            slot.live_changed = false;
            if !slot.readers.is_empty() {
                slot.queued = true;
                self.advanced.push_back(id);
            } else {
                slot.since.live = None;
            }
            self.drop_if_gone(id);
        }
    }

    /// Ends the live state of a room that leaves memory.
    pub(super) fn end_live(&mut self, id: SlotId) {
        let slot = &mut self.slots[id.0 as usize];
        if let Some(mut live) = slot.live.take() {
            let room = slot.room.id();
            self.live_rooms.places.remove(&room);
            let used = live.memory.usage();
            let took_part = live.seen_voice().map_or(0, Voice::count);
            self.live_rooms.voice.note(took_part, 0);
            self.live_rooms.memory.entries -= used.entries;
            self.live_rooms.memory.bytes -= used.bytes;
            let timers = &mut Timers::new(&mut self.live_rooms.wheel, room);
            if took_part > 0 {
                // Its log is gone with the room; the media have to know.
                let voice = live.voice();
                voice.end(timers);
                let effects = std::iter::from_fn(|| voice.poll_effect()).collect();
                self.live_rooms.ended.push_back(Voiced {
                    slot: id,
                    room,
                    effects,
                    unlogged: None,
                });
            }
            live.end(timers);
        }
    }
}
