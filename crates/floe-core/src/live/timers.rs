//! The timers of live rooms.

use std::sync::Arc;

use floe_proto::{Millis, RoomId};

use super::wheel::{TimerId, Wheel};

/// What a timer of a live room is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// The room that must be told that it is due.
    pub room: RoomId,
    /// What it looks after.
    pub kind: TimerKind,
    /// The key or user that it is about.
    pub key: Arc<str>,
}

/// What a timer looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimerKind {
    /// A value of the memory.
    Memory,
    /// A member whose last connection is gone.
    Presence,
    /// The status of a user whose last connection is gone.
    Status,
    /// The seat of a participant of a voice room whose connection is gone.
    VoiceGrace,
    /// A participant of a voice room who said that they speak.
    VoiceQuiet,
}

/// The wheel of a shard, as one room uses it.
#[derive(Debug)]
pub struct Timers<'a> {
    wheel: &'a mut Wheel<Timer>,
    room: RoomId,
}

impl<'a> Timers<'a> {
    /// Lends the wheel to a room.
    #[must_use]
    pub const fn new(wheel: &'a mut Wheel<Timer>, room: RoomId) -> Self {
        Self { wheel, room }
    }

    pub(crate) fn set(&mut self, at: Millis, kind: TimerKind, key: Arc<str>) -> TimerId {
        let room = self.room;
        self.wheel.insert(at, Timer { room, kind, key })
    }

    pub(crate) fn cancel(&mut self, timer: TimerId) {
        self.wheel.cancel(timer);
    }
}
