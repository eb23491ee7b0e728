//! The seat of one participant, and what readers are told of it.

use floe_proto::Millis;

use super::{Join, Quality, Sends};
use crate::live::{TimerId, Timers};

/// A participant's place.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    /// Its place in the order of all that were given.
    pub number: u64,
    pub joined_at: Millis,
    pub sends: Sends,
    /// Whether a moderator keeps them from being heard.
    pub muted: bool,
    /// How well media reach them.
    pub quality: Quality,
    /// The connection that has it; `None` while that is lost.
    pub connection: Option<u64>,
    /// Ends the speaking.
    pub speaking: Option<TimerId>,
    /// Ends the grace time.
    pub grace: Option<TimerId>,
    /// The version of its newest change.
    pub version: u64,
}

impl Seat {
    pub const fn new(number: u64, join: &Join<'_>, now: Millis) -> Self {
        Self {
            number,
            joined_at: now,
            sends: join.sends,
            muted: false,
            quality: Quality::None,
            connection: Some(join.connection),
            speaking: None,
            grace: None,
            version: 0,
        }
    }

    pub const fn speaks(&self) -> bool {
        self.speaking.is_some()
    }

    /// Ends the speaking now.
    pub fn hush(&mut self, timers: &mut Timers<'_>) {
        if let Some(timer) = self.speaking.take() {
            timers.cancel(timer);
        }
    }

    pub fn cancel_timers(&mut self, timers: &mut Timers<'_>) {
        self.hush(timers);
        if let Some(timer) = self.grace.take() {
            timers.cancel(timer);
        }
    }

    pub const fn participant<'a>(&self, user: &'a str) -> Participant<'a> {
        Participant {
            user,
            seat: self.number,
            joined_at: self.joined_at,
            sends: self.sends,
            speaking: self.speaks(),
            muted: self.muted,
            quality: self.quality,
            reconnecting: self.connection.is_none(),
        }
    }
}

/// A participant, as others see one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Participant<'a> {
    /// Who.
    pub user: &'a str,
    /// The number of the seat; one that is given later is higher.
    pub seat: u64,
    /// When they came; losing the connection for a moment changes nothing of it.
    pub joined_at: Millis,
    /// What they send.
    pub sends: Sends,
    /// Whether they said lately that they speak.
    pub speaking: bool,
    /// Whether a moderator keeps them from being heard.
    pub muted: bool,
    /// How well media reach them.
    pub quality: Quality,
    /// Whether their connection is lost, and they may yet come back.
    pub reconnecting: bool,
}

/// What a reader has to be told of the participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes<'a> {
    /// The version that the reader has seen then.
    pub version: u64,
    /// How many participants there are.
    pub count: usize,
    /// Which of them it is told of.
    pub told: Told<'a>,
}

/// Which participants a reader is told of, always in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<'a> {
    /// Those that came or changed, and those that left.
    Delta {
        /// The version that the reader has seen.
        from: u64,
        /// Participants as they are now.
        set: Vec<Participant<'a>>,
        /// Users without a seat, ascending.
        left: Vec<&'a str>,
    },
    /// All of them.
    All(Vec<Participant<'a>>),
}
