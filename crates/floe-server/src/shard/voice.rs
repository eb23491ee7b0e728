//! Voice rooms: JSON rooms that say when sessions were and who took part.

use floe_core::live::Timers;
use floe_core::voice::{Effect, Voice};
use floe_core::{Append, ContentType, Create, Lifetime};
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis, Namespace, Retention, RoomId, VoiceId};
use floe_surfaces::community::{
    is_recording_index, is_session_end, log_effect, log_reset, log_state,
};
use floe_surfaces::json::Messages;

use super::{Failure, Reply, Shard, SlotId, Ticket};

/// Messages at the end of a log that may say what recordings hold, where it is asked whether a session
/// ended before them.
const INDEXES_MAX: u64 = 8;

/// Something became of the participants of a voice room.
#[derive(Debug)]
pub struct Voiced {
    /// The room's place.
    pub slot: SlotId,
    /// The room.
    pub room: RoomId,
    /// What the host must act on, in order.
    pub effects: Vec<Effect>,
    /// Why the log does not say so, if it does not. It says what holds with what happens next.
    pub unlogged: Option<Failure>,
}

/// What the voice rooms of a shard hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VoiceTotals {
    /// Rooms with a session.
    pub rooms: usize,
    /// Their participants.
    pub participants: usize,
}

impl VoiceTotals {
    /// Takes note of what became of one room.
    pub(super) fn note(&mut self, before: usize, after: usize) {
        self.participants = self.participants + after - before;
        self.rooms = self.rooms + usize::from(after > 0) - usize::from(before > 0);
    }
}

impl<D: Disk> Shard<D> {
    /// Finds a voice room, staged or durable.
    ///
    /// # Errors
    /// [`Code::Gone`] where it is deleted and kept for its forks.
    pub fn find_voice(&mut self, now: Millis, name: &[u8]) -> Result<Option<SlotId>, Failure> {
        let Some(slot) = self.find(now, name)? else {
            return Ok(None);
        };
        if self.slots[slot.0 as usize].room.is_deleted() {
            let message = "the room is deleted and kept for its forks";
            return Err(Failure::new(Code::Gone, message));
        }
        Ok(Some(slot))
    }

    /// Finds a voice room, or stages one that `owner` owns.
    ///
    /// # Errors
    /// When the server or the namespace takes no more rooms, or the log has no space.
    pub fn ensure_voice(
        &mut self,
        now: Millis,
        name: &[u8],
        owner: Option<Box<str>>,
    ) -> Result<SlotId, Failure> {
        if let Some(found) = self.find_voice(now, name)? {
            return Ok(found);
        }
        if self.log.len() >= self.limits.streams_max {
            let message = "the server holds streams.max streams";
            return Err(Failure::new(Code::LimitReached, message));
        }
        let (namespace, _) = Namespace::split(name);
        self.check_new_room(namespace, 0)?;
        let create = Create {
            owner,
            ..Create::new(ContentType::new("application/json"), Lifetime::Unlimited)
        };
        self.stage_create(now, name, &create, true, Payload::NONE)
    }

    /// Returns who takes part in a voice room, where somebody ever did since it was loaded.
    pub fn voice(&self, id: SlotId) -> Option<&Voice> {
        self.live(id)?.seen_voice()
    }

    /// Changes who takes part in a voice room, and has its readers told. What comes of it besides is
    /// to be polled at once ([`poll_voice`](Self::poll_voice)).
    pub fn change_voice<T>(
        &mut self,
        id: SlotId,
        now: Millis,
        change: impl FnOnce(&mut Voice, &mut Timers<'_>) -> T,
    ) -> T {
        self.change_live(id, now, |live, timers| change(live.voice(), timers))
    }

    /// Returns what the voice rooms hold together.
    pub const fn voice_totals(&self) -> VoiceTotals {
        self.live_rooms.voice
    }

    /// Returns the place of a voice room that somebody takes part in.
    pub fn voice_slot(&self, room: RoomId) -> Option<SlotId> {
        self.live_rooms.places.get(&room).copied()
    }

    /// Returns the places of the voice rooms that somebody takes part in, in the order of their rooms.
    pub fn voice_rooms(&self) -> Vec<SlotId> {
        let places = &self.live_rooms.places;
        let mut rooms: Vec<(RoomId, SlotId)> =
            places.iter().map(|(room, slot)| (*room, *slot)).collect();
        rooms.sort_unstable_by_key(|(room, _)| *room);
        rooms.retain(|(_, slot)| self.voice(*slot).is_some_and(|voice| !voice.is_empty()));
        rooms.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Returns how many participants a voice room's waddle allows, if it says so.
    ///
    /// # Errors
    /// When the waddle cannot be read.
    pub fn voice_room_max(&mut self, now: Millis, id: SlotId) -> Result<Option<usize>, Failure> {
        let Some(waddle) = self.waddle_of(now, id)? else {
            return Ok(None);
        };
        let (_, path) = Namespace::split(self.room(id).name());
        let room = VoiceId::of_path(path).map(|room| room.0);
        let entry = self.room(waddle).community().zip(room);
        let entry = entry.and_then(|(community, room)| community.rooms().get(&room));
        let most = entry.and_then(|entry| entry.participants_max);
        Ok(most.and_then(|most| usize::try_from(most).ok()))
    }

    /// Returns the next voice room of which something came, and has its log say so.
    pub fn poll_voice(&mut self, now: Millis) -> Option<Voiced> {
        if let Some(ended) = self.live_rooms.ended.pop_front() {
            return Some(ended);
        }
        loop {
            let id = self.live_rooms.voiced.pop_front()?;
            let Some(slot) = self.slots.get_mut(id.0 as usize) else {
                continue;
            };
            let Some(live) = slot.live.as_mut().filter(|live| live.has_voice_effects()) else {
                continue;
            };
            let voice = live.voice();
            let effects: Vec<Effect> = std::iter::from_fn(|| voice.poll_effect()).collect();
            let room = slot.room.id();
            let unlogged = self.log_voice(id, &effects, now).err();
            self.slots[id.0 as usize].voice_logged = unlogged.is_none();
            return Some(Voiced {
                slot: id,
                room,
                effects,
                unlogged,
            });
        }
    }

    /// Answers a command once all that the room's log says now is durable.
    pub fn answer_voice(&mut self, id: SlotId, ticket: Ticket) {
        let reply = Reply::Appended {
            edge: self.room(id).staged(),
            producer: None,
            new_data: true,
        };
        self.answer(Some(id), ticket, reply);
    }

    /// Has the log of a voice room say what happened; where it is not known to say what was before,
    /// it says afresh what holds.
    fn log_voice(&mut self, id: SlotId, effects: &[Effect], now: Millis) -> Result<(), Failure> {
        let slot = &self.slots[id.0 as usize];
        let mut messages = Messages::default();
        if slot.voice_logged {
            for effect in effects {
                log_effect(&mut messages, effect, now);
            }
        } else {
            if !self.ends_well(id) {
                log_reset(&mut messages, now);
            }
            let slot = &self.slots[id.0 as usize];
            let voice = slot.live.as_ref().and_then(|live| live.seen_voice());
            if let Some((voice, session)) = voice.and_then(|voice| Some((voice, voice.session()?)))
            {
                let all = voice.participants();
                log_state(&mut messages, session, &all, voice.recording(), now);
            }
        }
        if messages.lens.is_empty() {
            return Ok(());
        }
        // Only who comes can be refused.
        let is_join = |effect: &Effect| matches!(effect, Effect::Joined { .. });
        self.append_voice_log(id, &messages, effects.iter().any(is_join), now)
    }

    /// Appends to the log of a voice room; one that has come to its end says no more. What may be
    /// `refused` is where there is no space for it.
    pub(super) fn append_voice_log(
        &mut self,
        id: SlotId,
        messages: &Messages,
        refused: bool,
        now: Millis,
    ) -> Result<(), Failure> {
        let append = Append {
            content_type: Some("application/json"),
            units: messages.lens.len() as u64,
            ..Append::default()
        };
        let Ok(decision) = self.room(id).decide_append(&append) else {
            return Ok(());
        };
        if refused {
            self.check_growth(id, messages.bytes.len() as u64)?;
        }
        let payload = Payload {
            bytes: &messages.bytes,
            lens: &messages.lens,
        };
        if let Some(record) = decision.record {
            let lsn = self.stage(id, &record, payload, now)?;
            self.queue(lsn, id, None);
        }
        self.keep_voice_log(id, now)
    }

    /// Returns whether the log of a voice room says nothing that may not hold any more: there is
    /// nothing in it, or the end of a session comes last.
    fn ends_well(&self, id: SlotId) -> bool {
        let room = &self.slots[id.0 as usize].room;
        let tail = room.staged().tail;
        if tail == 0 {
            return true;
        }
        // What is staged and not visible cannot be read.
        if room.visible().tail != tail {
            return false;
        }
        // What recordings hold is said whenever it is known, and says nothing of sessions.
        for at in (tail.saturating_sub(INDEXES_MAX)..tail).rev() {
            // Where it cannot be read at once, it is not known.
            let message = self.fetch(id, at, 1);
            let message = message.ok().and_then(|fetched| fetched.to_vec().ok());
            match message {
                Some(bytes) if is_recording_index(&bytes) => {}
                other => return other.is_some_and(|bytes| is_session_end(&bytes)),
            }
        }
        false
    }

    /// Bounds the log of a voice room.
    fn keep_voice_log(&mut self, id: SlotId, now: Millis) -> Result<(), Failure> {
        let retention = Retention {
            max_events: Some(self.limits.voice_log_messages_max).filter(|most| *most > 0),
            ..Retention::default()
        };
        let room = &self.slots[id.0 as usize].room;
        if let Some(record) = room.decide_keep(retention) {
            let lsn = self.stage(id, &record, Payload::NONE, now)?;
            self.queue(lsn, id, None);
        }
        self.retain(id, now);
        self.note_wake(id);
        Ok(())
    }
}
