//! What a room knows while somebody is there, and forgets when nobody is: presence, memory, and who takes
//! part where it is a voice room.
//!
//! All of it is keyed state with versions, never durable. A reader says which version it has seen
//! and is told what has changed since; so it can be as slow as it likes, and nothing is queued for
//! it. What goes by itself is looked after by one timing [`Wheel`] of the shard.
//!
//! ```
//! use floe_core::live::{Live, LiveLimits, Told, Timers, Wheel};
//! use floe_proto::{Millis, RoomId};
//!
//! let now = Millis(1_700_000_000_000);
//! let (mut wheel, room) = (Wheel::new(now), RoomId(1));
//! let mut live = Live::new(&LiveLimits::default(), now);
//! let seen = live.versions();
//! live.presence.join(7, "ann", b"{}", now, &mut Timers::new(&mut wheel, room))?;
//! let changes = live.presence.changes_since(seen.presence);
//! assert!(matches!(changes.told, Told::Delta { set, .. } if set[0].user == "ann"));
//! # Ok::<(), floe_core::live::PresenceError>(())
//! ```

mod broadcasts;
mod keyed;
mod memory;
mod presence;
mod statuses;
mod timers;
mod wheel;

use floe_proto::Millis;

pub use broadcasts::Broadcasts;
pub use keyed::{Changes, Delta, Keyed, KeyedError, KeyedLimits, Snapshot};
pub use memory::{Memory, MemoryError, MemoryLimits, MemoryUsage, Own, SetValue};
pub use presence::{Leave, Member, MemberChanges, Presence, PresenceError, PresenceLimits, Told};
pub use statuses::{Shown, Status, StatusChanges, Statuses, ToldStatuses};
pub use timers::{Timer, TimerKind, Timers};
pub use wheel::{TimerId, Wheel};

use crate::voice::{Voice, VoiceLimits};

/// Presence and memory of one room.
///
/// The host makes it with the first join or value, and drops it once it is
/// [empty](Self::is_empty) and no reader is left.
#[derive(Debug, Clone)]
pub struct Live {
    /// Who is there.
    pub presence: Presence,
    /// How users are.
    pub statuses: Statuses,
    /// What was told to all who are there.
    pub broadcasts: Broadcasts,
    /// What is remembered for a while.
    pub memory: Memory,
    /// Who takes part, where it is a voice room that somebody came to.
    voice: Option<Box<Voice>>,
    voice_limits: VoiceLimits,
    /// The version before the first of the voice room.
    version: u64,
}

/// Bounds of a [`Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveLimits {
    /// Those of who is there.
    pub presence: PresenceLimits,
    /// Those of what is remembered.
    pub memory: MemoryLimits,
    /// Those of who takes part.
    pub voice: VoiceLimits,
}

/// What a reader of a live room has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LiveVersions {
    /// Version of the members.
    pub presence: u64,
    /// Version of how users are.
    pub statuses: u64,
    /// Version of the newest broadcast.
    pub broadcasts: u64,
    /// Version of the memory.
    pub memory: u64,
    /// Version of the participants; 0 before anybody came.
    pub voice: u64,
}

impl Live {
    /// Makes an empty one at `now`.
    ///
    /// Its versions begin above all that one before it, made earlier for the same room, has come to,
    /// so that a reader of that one cannot mistake this for it. They fit a number of JavaScript.
    #[must_use]
    pub const fn new(limits: &LiveLimits, now: Millis) -> Self {
        let version = now.0.saturating_mul(VERSIONS_PER_MS);
        Self {
            presence: Presence::new(limits.presence, version),
            statuses: Statuses::new(limits.presence, version),
            broadcasts: Broadcasts::new(version),
            memory: Memory::new(limits.memory, version),
            voice: None,
            voice_limits: limits.voice,
            version,
        }
    }

    /// Bounds what comes from now on; who and what is there stays.
    pub fn set_limits(&mut self, limits: &LiveLimits) {
        self.presence.set_limits(limits.presence);
        self.statuses.set_limits(limits.presence);
        self.memory.set_limits(limits.memory);
        self.voice_limits = limits.voice;
        if let Some(voice) = &mut self.voice {
            voice.set_limits(limits.voice);
        }
    }

    /// What a reader has seen that has seen everything.
    #[must_use]
    pub fn versions(&self) -> LiveVersions {
        LiveVersions {
            presence: self.presence.version(),
            statuses: self.statuses.version(),
            broadcasts: self.broadcasts.version(),
            memory: self.memory.version(),
            voice: self.voice.as_ref().map_or(0, |voice| voice.version()),
        }
    }

    /// Who takes part, where somebody ever did.
    #[must_use]
    pub fn seen_voice(&self) -> Option<&Voice> {
        self.voice.as_deref()
    }

    /// Who takes part, to change it.
    pub fn voice(&mut self) -> &mut Voice {
        let (limits, version) = (self.voice_limits, self.version);
        self.voice
            .get_or_insert_with(|| Box::new(Voice::new(limits, version)))
    }

    /// Whether something of the voice room is there for the host to act on.
    #[must_use]
    pub fn has_voice_effects(&self) -> bool {
        self.voice.as_ref().is_some_and(|voice| voice.has_effects())
    }

    /// Whether dropping it loses nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let nobody = self.voice.as_ref().is_none_or(|voice| voice.is_empty());
        let still = self.presence.is_empty() && self.statuses.is_empty();
        still && self.memory.is_empty() && nobody
    }

    /// Handles a timer of this room that is due; [`versions`](Self::versions) tells what changed.
    pub fn handle_timer(&mut self, timer: &Timer, now: Millis, timers: &mut Timers<'_>) {
        match timer.kind {
            TimerKind::Memory => self.memory.handle_timer(&timer.key, now, timers),
            TimerKind::Presence => self.presence.handle_timer(&timer.key),
            TimerKind::Status => self.statuses.handle_timer(&timer.key),
            TimerKind::VoiceGrace | TimerKind::VoiceQuiet => {
                if let Some(voice) = &mut self.voice {
                    voice.handle_timer(timer.kind, &timer.key, timers);
                }
            }
        }
    }

    /// Ends it, with all its timers: the room is gone.
    pub fn end(mut self, timers: &mut Timers<'_>) {
        self.presence.cancel_timers(timers);
        self.statuses.cancel_timers(timers);
        self.memory.cancel_timers(timers);
        if let Some(voice) = &mut self.voice {
            voice.cancel_timers(timers);
        }
    }
}

/// Changes that a room may make in a millisecond of its life, on average.
const VERSIONS_PER_MS: u64 = 1 << 10;
