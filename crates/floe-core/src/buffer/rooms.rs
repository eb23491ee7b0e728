//! The buffers of all rooms of a shard.

use std::collections::BTreeMap;

use floe_proto::{Millis, RoomId};

use super::room::{Buffer, Values};
use super::{
    BufferError, BufferLimits, BufferUsage, Flush, FlushId, Increment, Incremented, Update,
};
use crate::live::{TimerId, Wheel};

/// What rooms have not written down yet. See the [module](super).
///
/// A room has one timer on the wheel however many keys it has, and costs nothing while it has none.
#[derive(Debug, Clone)]
pub struct Buffers {
    limits: BufferLimits,
    rooms: BTreeMap<RoomId, Held>,
    /// The room of each flush that is under way.
    flushes: BTreeMap<FlushId, RoomId>,
    last_flush: FlushId,
    wheel: Wheel<RoomId>,
    usage: BufferUsage,
}

#[derive(Debug, Clone, Default)]
struct Held {
    buffer: Buffer,
    /// The timer of the value that is due first, and when that is.
    timer: Option<(TimerId, Millis)>,
}

impl Buffers {
    /// Milliseconds that a value is written before it is due, at most, so that it is durable by
    /// then: as long as the wheel may be late.
    pub const LEAD_MS: u64 = Wheel::<RoomId>::TICK_MS;

    /// Makes them empty at `now`.
    #[must_use]
    pub const fn new(limits: BufferLimits, now: Millis) -> Self {
        Self {
            limits,
            rooms: BTreeMap::new(),
            flushes: BTreeMap::new(),
            last_flush: FlushId(0),
            wheel: Wheel::new(now),
            usage: BufferUsage {
                keys: 0,
                bytes: 0,
                updates: 0,
                writes: 0,
                failures: 0,
            },
        }
    }

    /// Bounds what comes from now on; what is there stays.
    pub const fn set_limits(&mut self, limits: BufferLimits) {
        self.limits = limits;
    }

    /// Takes a new value of a key.
    ///
    /// # Errors
    /// See [`BufferError`]; nothing is changed.
    pub fn update(
        &mut self,
        room: RoomId,
        update: &Update<'_>,
        now: Millis,
    ) -> Result<(), BufferError> {
        self.change(room, |buffer, limits| buffer.update(limits, update, now))?;
        self.usage.updates += 1;
        Ok(())
    }

    /// Adds to the newest value of a key.
    ///
    /// # Errors
    /// See [`BufferError`]; nothing is changed.
    pub fn increment(
        &mut self,
        room: RoomId,
        increment: &Increment<'_>,
        now: Millis,
    ) -> Result<Incremented, BufferError> {
        let done = self.change(room, |buffer, limits| {
            buffer.increment(limits, increment, now)
        })?;
        self.usage.updates += u64::from(matches!(done, Incremented::Sum(_)));
        Ok(done)
    }

    /// Returns the newest value of a key, if it is not written down.
    #[must_use]
    pub fn get(&self, room: RoomId, key: &str) -> Option<&str> {
        self.rooms.get(&room)?.buffer.get(key)
    }

    /// Returns when [`take_due`](Self::take_due) has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Millis> {
        self.wheel.next_due()
    }

    /// Takes what is due, or nearly so, to be written down now: one flush of each room, more where
    /// that would be too large.
    pub fn take_due(&mut self, now: Millis) -> Vec<Flush> {
        let mut due = Vec::new();
        self.wheel.advance(now, &mut due);
        let mut flushes = Vec::new();
        for room in due {
            if let Some(held) = self.rooms.get_mut(&room) {
                held.timer = None;
            }
            let until = now.plus(Self::LEAD_MS);
            self.begin(room, &mut flushes, |buffer, id, bytes_max| {
                buffer.take_due(id, until, bytes_max)
            });
        }
        flushes
    }

    /// Takes all of a room that waits, or one key, to be written down now; nothing if nothing does.
    pub fn take(&mut self, room: RoomId, key: Option<&str>) -> Vec<Flush> {
        let mut flushes = Vec::new();
        self.begin(room, &mut flushes, |buffer, id, bytes_max| {
            buffer.take(id, key, bytes_max)
        });
        flushes
    }

    /// Returns the flushes of a room, or of one of its keys, that are under way, oldest first.
    #[must_use]
    pub fn under_way(&self, room: RoomId, key: Option<&str>) -> Vec<FlushId> {
        let held = self.rooms.get(&room);
        held.map_or_else(Vec::new, |held| held.buffer.under_way(key))
    }

    /// A flush is durable, or failed; then its values wait again, as long as they had to before,
    /// unless there are newer ones. One of a room that was forgotten is nothing.
    pub fn finish(&mut self, id: FlushId, is_durable: bool, now: Millis) {
        let Some(room) = self.flushes.remove(&id) else {
            return;
        };
        let values = self.change(room, |buffer, _| buffer.finish(id, is_durable, now)) as u64;
        if is_durable {
            self.usage.writes += values;
        } else {
            self.usage.failures += values;
        }
    }

    /// Returns whether a room has something that is not written down.
    #[must_use]
    pub fn holds(&self, room: RoomId) -> bool {
        self.rooms.contains_key(&room)
    }

    /// Returns the rooms that have something that is not written down, ascending.
    pub fn rooms(&self) -> impl Iterator<Item = RoomId> {
        self.rooms.keys().copied()
    }

    /// Drops all that a room has not written down: the room is gone.
    pub fn forget(&mut self, room: RoomId) {
        let Some(held) = self.rooms.remove(&room) else {
            return;
        };
        if let Some((timer, _)) = held.timer {
            self.wheel.cancel(timer);
        }
        for id in held.buffer.under_way(None) {
            self.flushes.remove(&id);
        }
        self.usage.keys -= held.buffer.len();
        self.usage.bytes -= held.buffer.bytes();
    }

    /// Returns how much there is and was.
    #[must_use]
    pub const fn usage(&self) -> BufferUsage {
        self.usage
    }

    /// Returns the keys and bytes of a room.
    #[must_use]
    pub fn room_usage(&self, room: RoomId) -> (usize, usize) {
        let buffer = self.rooms.get(&room).map(|held| &held.buffer);
        buffer.map_or((0, 0), |buffer| (buffer.len(), buffer.bytes()))
    }

    /// Returns the bounds.
    #[must_use]
    pub const fn limits(&self) -> &BufferLimits {
        &self.limits
    }

    fn begin(
        &mut self,
        room: RoomId,
        flushes: &mut Vec<Flush>,
        take: impl Fn(&mut Buffer, FlushId, usize) -> Values,
    ) {
        while self.rooms.contains_key(&room) {
            let id = FlushId(self.last_flush.0 + 1);
            let values = self.change(room, |buffer, limits| {
                take(buffer, id, limits.flush_bytes_max)
            });
            if values.is_empty() {
                return;
            }
            self.last_flush = id;
            self.flushes.insert(id, room);
            flushes.push(Flush { id, room, values });
        }
    }

    /// Changes a room's buffer, and looks after its timer and what it counts for.
    fn change<T>(
        &mut self,
        room: RoomId,
        change: impl FnOnce(&mut Buffer, &BufferLimits) -> T,
    ) -> T {
        let held = self.rooms.entry(room).or_default();
        let (keys, bytes) = (held.buffer.len(), held.buffer.bytes());
        let spare = self.limits.total_bytes_max.saturating_sub(self.usage.bytes);
        let limits = BufferLimits {
            bytes_max: self.limits.bytes_max.min(bytes + spare),
            ..self.limits
        };
        let changed = change(&mut held.buffer, &limits);
        self.usage.keys = self.usage.keys + held.buffer.len() - keys;
        self.usage.bytes = self.usage.bytes + held.buffer.bytes() - bytes;
        let due = held.buffer.next_due();
        if due != held.timer.map(|(_, at)| at) {
            if let Some((timer, _)) = held.timer.take() {
                self.wheel.cancel(timer);
            }
            held.timer = due.map(|at| {
                let early = Millis(at.0.saturating_sub(Self::LEAD_MS));
                (self.wheel.insert(early, room), at)
            });
        }
        if held.buffer.is_empty() {
            self.rooms.remove(&room);
        }
        changed
    }
}
