//! Voice rooms: who takes part, as a state machine without media.
//!
//! A [`Voice`] begins a session with its first participant and ends it with the last. A participant is a
//! user with one seat, whatever connections they have: the newest that joins takes the seat over, and
//! one that is lost keeps it for a grace time, so that whoever comes back never left. What has to go
//! into the room's log, and what media have to know, comes out as [`Effect`]s; readers are told by
//! version, of what changed or of everything, so that the slowest of them is told less often and never
//! wrong.
//!
//! ```
//! use floe_core::live::{Timers, Wheel};
//! use floe_core::voice::{Effect, Join, Sends, Told, Voice, VoiceLimits};
//! use floe_proto::{Millis, RoomId};
//!
//! let now = Millis(1_700_000_000_000);
//! let mut wheel = Wheel::new(now);
//! let mut timers = Timers::new(&mut wheel, RoomId(1));
//! let mut voice = Voice::new(VoiceLimits::default(), 0);
//! let join = Join { connection: 7, user: "ann", sends: Sends::VOICE, session: "s1" };
//! voice.join(&join, now, &mut timers)?;
//! assert!(matches!(voice.poll_effect(), Some(Effect::Started { .. })));
//! assert!(matches!(voice.poll_effect(), Some(Effect::Joined { .. })));
//! assert_eq!(voice.participants()[0].user, "ann");
//! assert!(matches!(voice.changes_since(0).told, Told::Delta { set, .. } if set.len() == 1));
//! voice.leave(7, &mut timers)?;
//! assert!(voice.session().is_none());
//! # Ok::<(), floe_core::voice::VoiceError>(())
//! ```

mod effect;
mod error;
mod media;
mod seat;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use floe_proto::Millis;

pub use effect::{Cut, Effect, Gone};
pub use error::VoiceError;
pub use media::{
    Candidate, Enable, Features, Layer, Media, MediaError, MediaInput, MediaOutput, NoMedia,
    Quality, SeatId, Sends, Signal, Source, Track, Watch,
};
use seat::Seat;
pub use seat::{Changes, Participant, Told};

use crate::live::{TimerKind, Timers};

/// The participants of a voice room, and the session that they make.
#[derive(Debug, Clone)]
pub struct Voice {
    limits: VoiceLimits,
    /// Participants that the room itself allows, where that is fewer.
    room_max: Option<usize>,
    session: Option<Session>,
    /// What is recorded of the session.
    recording: Option<Recording>,
    seats: BTreeMap<Arc<str>, Seat>,
    /// Who sits by which connection.
    connections: BTreeMap<u64, Arc<str>>,
    /// Who left, by the version of that, oldest first.
    left: VecDeque<(u64, Arc<str>)>,
    version: u64,
    /// Changes up to this version are not all known any more.
    floor: u64,
    /// Seats given so far.
    given: u64,
    effects: VecDeque<Effect>,
}

/// Bounds of a [`Voice`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceLimits {
    /// Participants at once; above, joins are refused.
    pub participants_max: usize,
    /// Bytes of a user's name.
    pub user_bytes_max: usize,
    /// How long a seat is kept whose connection is lost.
    pub grace_ms: u64,
    /// How long somebody speaks after saying so.
    pub speaking_ms: u64,
    /// Those who left that are remembered for readers that have not seen them go; readers further
    /// behind are told everything.
    pub left_max: usize,
}

impl Default for VoiceLimits {
    fn default() -> Self {
        Self {
            participants_max: 100,
            user_bytes_max: 128,
            grace_ms: 15_000,
            speaking_ms: 5_000,
            left_max: 256,
        }
    }
}

/// From the first participant to the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What the host named it.
    pub id: Arc<str>,
    /// When the first participant came.
    pub started_at: Millis,
}

/// A recording of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// What the host named it.
    pub id: Arc<str>,
    /// Who wanted it, where that is a user.
    pub by: Option<Arc<str>>,
    /// When it began.
    pub started_at: Millis,
}

/// Somebody wants a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join<'a> {
    /// By which connection.
    pub connection: u64,
    /// Who.
    pub user: &'a str,
    /// What they want to send.
    pub sends: Sends,
    /// What the session is called if one begins now; no other was ever called so.
    pub session: &'a str,
}

impl Voice {
    /// Makes an empty room, whose first change gets the version after `version`.
    #[must_use]
    pub const fn new(limits: VoiceLimits, version: u64) -> Self {
        Self {
            limits,
            room_max: None,
            session: None,
            recording: None,
            seats: BTreeMap::new(),
            connections: BTreeMap::new(),
            left: VecDeque::new(),
            version,
            floor: version,
            given: 0,
            effects: VecDeque::new(),
        }
    }

    /// Bounds who comes from now on; those who are there stay.
    pub const fn set_limits(&mut self, limits: VoiceLimits) {
        self.limits = limits;
    }

    /// Has the room allow fewer participants than the server does, or as many.
    pub const fn set_room_max(&mut self, participants_max: Option<usize>) {
        self.room_max = participants_max;
    }

    /// Participants allowed at once.
    #[must_use]
    pub fn participants_max(&self) -> usize {
        let most = self.limits.participants_max;
        self.room_max.map_or(most, |own| own.min(most))
    }

    /// Gives a user a seat, or the one that they have to another connection: that one has none any
    /// more, and what a moderator decided stays.
    ///
    /// # Errors
    /// See [`VoiceError`]; nothing is changed.
    pub fn join(
        &mut self,
        join: &Join<'_>,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<(), VoiceError> {
        let bytes_max = self.limits.user_bytes_max;
        if join.user.is_empty() || join.user.len() > bytes_max {
            return Err(VoiceError::User { bytes_max });
        }
        if self.connections.contains_key(&join.connection) {
            return Err(VoiceError::Joined);
        }
        if let Some(user) = self.name_of(join.user) {
            self.take_over(&user, join, timers);
            return Ok(());
        }
        let participants_max = self.participants_max();
        if self.seats.len() >= participants_max {
            return Err(VoiceError::Full { participants_max });
        }
        let session = match &self.session {
            Some(session) => Arc::clone(&session.id),
            None => self.begin(join.session, now),
        };
        let user: Arc<str> = join.user.into();
        self.given += 1;
        let seat = Seat::new(self.given, join, now);
        self.effects.push_back(Effect::Joined {
            session,
            seat: seat.number,
            user: Arc::clone(&user),
            joined_at: now,
            sends: seat.sends,
        });
        self.connections.insert(join.connection, Arc::clone(&user));
        self.seats.insert(Arc::clone(&user), seat);
        self.touch(&user);
        Ok(())
    }

    /// A connection gives its seat back.
    ///
    /// # Errors
    /// [`VoiceError::NotJoined`].
    pub fn leave(&mut self, connection: u64, timers: &mut Timers<'_>) -> Result<(), VoiceError> {
        let user = self.seated(connection)?;
        self.remove(&user, Gone::Left, timers);
        Ok(())
    }

    /// A connection is gone without a word: its seat is kept for the grace time.
    pub fn lose(&mut self, connection: u64, now: Millis, timers: &mut Timers<'_>) {
        let Ok(user) = self.seated(connection) else {
            return;
        };
        let grace_ms = self.limits.grace_ms;
        if grace_ms == 0 {
            return self.remove(&user, Gone::Lost, timers);
        }
        self.connections.remove(&connection);
        let Some(seat) = self.seats.get_mut(&user) else {
            return;
        };
        seat.hush(timers);
        seat.connection = None;
        let ends_at = now.plus(grace_ms);
        seat.grace = Some(timers.set(ends_at, TimerKind::VoiceGrace, Arc::clone(&user)));
        let number = seat.number;
        self.effects.push_back(Effect::Away {
            seat: number,
            connection,
        });
        self.touch(&user);
    }

    /// A connection may not be here any more: its seat is gone at once.
    pub fn deny(&mut self, connection: u64, timers: &mut Timers<'_>) {
        if let Ok(user) = self.seated(connection) {
            self.remove(&user, Gone::Denied, timers);
        }
    }

    /// A participant wants to be heard or seen, or no more.
    ///
    /// # Errors
    /// [`VoiceError::Muted`] where a moderator says no; nothing is changed.
    pub fn enable(
        &mut self,
        connection: u64,
        change: Enable,
        timers: &mut Timers<'_>,
    ) -> Result<(), VoiceError> {
        let user = self.seated(connection)?;
        let Some(seat) = self.seats.get_mut(&user) else {
            return Err(VoiceError::NotJoined);
        };
        if seat.muted && change.audio == Some(true) {
            return Err(VoiceError::Muted);
        }
        let before = seat.sends;
        seat.sends = before.with(change);
        if !seat.sends.audio {
            seat.hush(timers);
        }
        if seat.sends != before {
            self.changed(&user);
        }
        Ok(())
    }

    /// A participant speaks, or stops. It wears off by itself; whoever is not heard does not speak.
    ///
    /// # Errors
    /// [`VoiceError::NotJoined`].
    pub fn speak(
        &mut self,
        connection: u64,
        speaking: bool,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<(), VoiceError> {
        let user = self.seated(connection)?;
        let Some(seat) = self.seats.get_mut(&user) else {
            return Err(VoiceError::NotJoined);
        };
        let before = seat.speaks();
        seat.hush(timers);
        if speaking && seat.sends.audio {
            let quiet_at = now.plus(self.limits.speaking_ms);
            let timer = timers.set(quiet_at, TimerKind::VoiceQuiet, Arc::clone(&user));
            seat.speaking = Some(timer);
        }
        if seat.speaks() != before {
            self.touch(&user);
        }
        Ok(())
    }

    /// The media say how well they reach the participant of a seat, if it is still given.
    pub fn rate(&mut self, number: u64, quality: Quality) {
        let Some((user, seat)) = self.seat_at(number) else {
            return;
        };
        if seat.quality != quality {
            seat.quality = quality;
            self.touch(&user);
        }
    }

    /// The participant of a seat may not send any more: they are neither heard nor seen from now on,
    /// whether or not their connection is lost.
    pub fn silence(&mut self, number: u64, timers: &mut Timers<'_>) {
        let Some((user, seat)) = self.seat_at(number) else {
            return;
        };
        if seat.sends != Sends::NOTHING {
            seat.sends = Sends::NOTHING;
            seat.hush(timers);
            self.changed(&user);
        }
    }

    /// The participant of a seat may not be here any more: it is gone at once, whether or not their
    /// connection is lost.
    pub fn expel(&mut self, number: u64, timers: &mut Timers<'_>) {
        if let Some((user, _)) = self.seat_at(number) {
            self.remove(&user, Gone::Denied, timers);
        }
    }

    /// Takes all seats, as the server stops; so the session is over.
    pub fn end(&mut self, timers: &mut Timers<'_>) {
        let seats = self.participants();
        let all: Vec<Arc<str>> = seats.iter().map(|one| one.user.into()).collect();
        for user in all {
            self.remove(&user, Gone::Stopped, timers);
        }
    }

    /// A moderator wants the session recorded; `id` is what the recording is called, as no other ever
    /// was.
    ///
    /// # Errors
    /// [`VoiceError::NoSession`], [`VoiceError::Recorded`].
    pub fn record(&mut self, by: Option<&str>, id: &str, now: Millis) -> Result<(), VoiceError> {
        let session = self.session.as_ref().ok_or(VoiceError::NoSession)?;
        if self.recording.is_some() {
            return Err(VoiceError::Recorded);
        }
        let recording = Recording {
            id: id.into(),
            by: by.map(Into::into),
            started_at: now,
        };
        self.effects.push_back(Effect::Recording {
            session: Arc::clone(&session.id),
            id: Arc::clone(&recording.id),
            by: recording.by.clone(),
            started_at: now,
        });
        self.recording = Some(recording);
        self.version += 1;
        Ok(())
    }

    /// The session is recorded no more. It also ends with the session.
    ///
    /// # Errors
    /// [`VoiceError::NotRecorded`].
    pub fn stop_record(&mut self, why: Cut) -> Result<(), VoiceError> {
        let (Some(recording), Some(session)) = (self.recording.take(), &self.session) else {
            return Err(VoiceError::NotRecorded);
        };
        self.effects.push_back(Effect::RecordingEnded {
            session: Arc::clone(&session.id),
            id: recording.id,
            why,
        });
        self.version += 1;
        Ok(())
    }

    /// A moderator decides that a participant is heard no more, or may be heard again; then it is
    /// theirs to say that they are.
    ///
    /// # Errors
    /// [`VoiceError::NoParticipant`].
    pub fn moderate(
        &mut self,
        user: &str,
        muted: bool,
        timers: &mut Timers<'_>,
    ) -> Result<(), VoiceError> {
        let user = self.name_of(user).ok_or(VoiceError::NoParticipant)?;
        let Some(seat) = self.seats.get_mut(&user) else {
            return Err(VoiceError::NoParticipant);
        };
        if seat.muted == muted {
            return Ok(());
        }
        seat.muted = muted;
        if muted {
            seat.sends.audio = false;
            seat.hush(timers);
        }
        self.changed(&user);
        Ok(())
    }

    /// A moderator takes a participant's seat; they may come again.
    ///
    /// # Errors
    /// [`VoiceError::NoParticipant`].
    pub fn kick(&mut self, user: &str, timers: &mut Timers<'_>) -> Result<(), VoiceError> {
        let user = self.name_of(user).ok_or(VoiceError::NoParticipant)?;
        self.remove(&user, Gone::Kicked, timers);
        Ok(())
    }

    /// Returns the next effect, oldest first; all are to be taken after each call that changes
    /// something.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Whether there is an effect.
    #[must_use]
    pub fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// The session, while there is one.
    #[must_use]
    pub const fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// The recording, while there is one.
    #[must_use]
    pub const fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// How many participants there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The version of the newest change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns whether a connection has a seat.
    #[must_use]
    pub fn is_seated(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Returns the number of the seat that a connection has.
    #[must_use]
    pub fn seat_of(&self, connection: u64) -> Option<u64> {
        let user = self.connections.get(&connection)?;
        self.seats.get(user).map(|seat| seat.number)
    }

    /// Returns the connection by which a seat is taken, if it is.
    #[must_use]
    pub fn connection_of(&self, number: u64) -> Option<u64> {
        let mut seats = self.seats.values();
        seats.find(|seat| seat.number == number)?.connection
    }

    /// All participants, in the order in which they came.
    #[must_use]
    pub fn participants(&self) -> Vec<Participant<'_>> {
        self.participants_since(None)
    }

    /// Returns what changed since a version.
    #[must_use]
    pub fn changes_since(&self, version: u64) -> Changes<'_> {
        let told = if version < self.floor || version > self.version {
            Told::All(self.participants())
        } else {
            let first = self.left.partition_point(|(at, _)| *at <= version);
            let mut left: Vec<&str> = self
                .left
                .range(first..)
                .map(|(_, user)| &**user)
                .filter(|user| !self.seats.contains_key(*user))
                .collect();
            left.sort_unstable();
            left.dedup();
            Told::Delta {
                from: version,
                set: self.participants_since(Some(version)),
                left,
            }
        };
        Changes {
            version: self.version,
            count: self.seats.len(),
            told,
        }
    }

    /// A timer of a participant is due.
    pub(crate) fn handle_timer(&mut self, kind: TimerKind, user: &str, timers: &mut Timers<'_>) {
        let Some(user) = self.name_of(user) else {
            return;
        };
        let Some(seat) = self.seats.get_mut(&user) else {
            return;
        };
        match kind {
            TimerKind::VoiceGrace => {
                if seat.grace.take().is_some() {
                    self.remove(&user, Gone::Lost, timers);
                }
            }
            TimerKind::VoiceQuiet => {
                if seat.speaking.take().is_some() {
                    self.touch(&user);
                }
            }
            TimerKind::Memory | TimerKind::Presence | TimerKind::Status => {}
        }
    }

    /// Takes all timers back.
    pub(crate) fn cancel_timers(&mut self, timers: &mut Timers<'_>) {
        for seat in self.seats.values_mut() {
            seat.cancel_timers(timers);
        }
    }

    fn begin(&mut self, id: &str, now: Millis) -> Arc<str> {
        let session = Session {
            id: id.into(),
            started_at: now,
        };
        let id = Arc::clone(&session.id);
        self.effects.push_back(Effect::Started(session.clone()));
        self.session = Some(session);
        id
    }

    fn take_over(&mut self, user: &Arc<str>, join: &Join<'_>, timers: &mut Timers<'_>) {
        let Some(seat) = self.seats.get_mut(user) else {
            return;
        };
        seat.cancel_timers(timers);
        let before = seat.connection.replace(join.connection);
        seat.sends = join.sends;
        seat.sends.audio &= !seat.muted;
        let number = seat.number;
        if let Some(before) = before {
            self.connections.remove(&before);
        }
        self.connections.insert(join.connection, Arc::clone(user));
        self.effects.push_back(Effect::Returned {
            seat: number,
            before,
            connection: join.connection,
        });
        self.changed(user);
    }

    fn remove(&mut self, user: &Arc<str>, why: Gone, timers: &mut Timers<'_>) {
        let Some(mut seat) = self.seats.remove(user) else {
            return;
        };
        seat.cancel_timers(timers);
        if let Some(connection) = seat.connection {
            self.connections.remove(&connection);
        }
        self.version += 1;
        self.left.push_back((self.version, Arc::clone(user)));
        if self.left.len() > self.limits.left_max
            && let Some((version, _)) = self.left.pop_front()
        {
            self.floor = version;
        }
        // Whoever has a seat is part of the session.
        let Some(session) = self.session.take() else {
            return;
        };
        self.effects.push_back(Effect::Left {
            session: Arc::clone(&session.id),
            seat: seat.number,
            user: Arc::clone(user),
            connection: seat.connection,
            why,
        });
        if self.seats.is_empty() {
            if let Some(recording) = self.recording.take() {
                self.effects.push_back(Effect::RecordingEnded {
                    session: Arc::clone(&session.id),
                    id: recording.id,
                    why: Cut::Ended,
                });
            }
            self.effects.push_back(Effect::Ended(session));
        } else {
            self.session = Some(session);
        }
    }

    /// What a participant sends has changed.
    fn changed(&mut self, user: &Arc<str>) {
        if let Some(seat) = self.seats.get(user) {
            self.effects.push_back(Effect::Changed {
                seat: seat.number,
                sends: seat.sends,
                muted: seat.muted,
            });
        }
        self.touch(user);
    }

    /// What readers see of a participant has changed.
    fn touch(&mut self, user: &Arc<str>) {
        self.version += 1;
        if let Some(seat) = self.seats.get_mut(user) {
            seat.version = self.version;
        }
    }

    fn seated(&self, connection: u64) -> Result<Arc<str>, VoiceError> {
        let user = self.connections.get(&connection);
        user.cloned().ok_or(VoiceError::NotJoined)
    }

    fn seat_at(&mut self, number: u64) -> Option<(Arc<str>, &mut Seat)> {
        let mut seats = self.seats.iter_mut();
        let (user, seat) = seats.find(|(_, seat)| seat.number == number)?;
        Some((Arc::clone(user), seat))
    }

    fn name_of(&self, user: &str) -> Option<Arc<str>> {
        self.seats
            .get_key_value(user)
            .map(|(name, _)| Arc::clone(name))
    }

    fn participants_since(&self, version: Option<u64>) -> Vec<Participant<'_>> {
        let seats = self.seats.iter();
        let mut seats: Vec<_> = seats
            .filter(|(_, seat)| version.is_none_or(|version| seat.version > version))
            .collect();
        seats.sort_unstable_by_key(|(_, seat)| seat.number);
        let seats = seats.into_iter();
        seats.map(|(user, seat)| seat.participant(user)).collect()
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
