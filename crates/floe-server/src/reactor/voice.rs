//! Voice rooms: what comes of changes besides the new state, the media, and plain HTTP.

mod away;
mod recording;

use std::sync::Arc;

use floe_core::voice::{
    self, Changes, Cut, Effect, Features, Gone, Media as _, MediaError, MediaInput, MediaOutput,
    SeatId, Voice,
};
use floe_log::Disk;
use floe_proto::{Code, Namespace, Rights, RoomId, VoiceId};
use floe_surfaces::access::{Deed, Grant, Room, Session, Wanted};
use floe_surfaces::community::Label;
use floe_surfaces::community::polled::write_polled_voice;
use floe_surfaces::community::voice::{SessionShown, write_signal, write_tracks};
use floe_surfaces::community::voice_http::{self, Ask, Asked};
use floe_surfaces::http::Method;

pub(super) use self::away::AllAway;
use super::caller::full_name;
use super::channels::may_own;
use super::community::Told;
use super::conn::{Context, Expect, Place};
use super::limits::Payer;
use super::live::voice_failure;
use super::{Reactor, envelope};
use crate::shard::{Failure, SlotId, Ticket, Voiced};

impl<D: Disk> Reactor<D> {
    /// Finds a voice room for somebody who may do something there. Whoever may make rooms and wants to
    /// see one finds it in any case.
    pub(super) fn enter_voice(
        &mut self,
        session: &Session,
        token: Option<&str>,
        id: &str,
        deed: Deed,
    ) -> Result<(Grant, SlotId), Failure> {
        let missing = || Failure::new(Code::NotFound, "there is no such voice room");
        let id: VoiceId = id.parse().map_err(|_| missing())?;
        let path = id.room_path();
        let room = Room::Stream(path.as_bytes());
        let grant = self.grant(session, token, &Wanted::in_room(deed, room))?;
        let name = full_name(session, path.as_bytes());
        let now = self.clock.wall;
        let makes = Rights::CREATE.with(Rights::MANAGE);
        if deed == Deed::Read && grant.rights.intersects(makes) {
            let owner = session.caller().user.clone().filter(|user| may_own(user));
            let slot = self.shard.ensure_voice(now, &name, owner)?;
            return Ok((grant, slot));
        }
        let slot = self.shard.find_voice(now, &name)?.ok_or_else(missing)?;
        Ok((grant, slot))
    }

    /// Acts on what came of changes in voice rooms: their logs, the media, and connections that have
    /// no seat any more. Returns why it is not so in `slot` after all, or its log does not say so.
    pub(super) fn settle_voice(&mut self, slot: Option<SlotId>) -> Option<Failure> {
        let now = self.clock.wall;
        let mut unlogged = None;
        while let Some(voiced) = self.shard.poll_voice(now) {
            let Voiced {
                slot: of,
                room,
                effects,
                unlogged: mut why,
            } = voiced;
            for effect in &effects {
                let Err(error) = self.voice_effect(room, effect) else {
                    continue;
                };
                tracing::debug!(%error, "the media did not take a change");
                if let Effect::Recording { .. } = effect {
                    self.cut_recording(of, Cut::Failed);
                    why = Some(Failure::new(error.code(), error.to_string()));
                }
            }
            if Some(of) == slot {
                unlogged = unlogged.or(why);
            } else if let Some(failure) = why {
                let code = failure.code.as_str();
                tracing::warn!(code, "the log of a voice room is behind");
            }
        }
        self.hear_media();
        unlogged
    }

    fn voice_effect(&mut self, room: RoomId, effect: &Effect) -> Result<(), MediaError> {
        let seat = |seat: u64| SeatId { room, seat };
        let input = match effect {
            Effect::Started(_) => {
                self.metrics.voice_session();
                return Ok(());
            }
            Effect::Ended(_) => return Ok(()),
            Effect::Recording { id, .. } => {
                self.begin_writing(room, id)?;
                MediaInput::Record {
                    room,
                    recording: Some(Arc::clone(id)),
                }
            }
            Effect::RecordingEnded { .. } => MediaInput::Record {
                room,
                recording: None,
            },
            Effect::Joined {
                seat: number,
                user,
                sends,
                ..
            } => MediaInput::Joined {
                seat: seat(*number),
                user: Arc::clone(user),
                sends: *sends,
            },
            Effect::Changed {
                seat: number,
                sends,
                muted,
            } => MediaInput::Changed {
                seat: seat(*number),
                sends: *sends,
                muted: *muted,
            },
            Effect::Away { seat: number, .. } => MediaInput::Away(seat(*number)),
            Effect::Returned {
                seat: number,
                before,
                ..
            } => {
                self.away.remove(&seat(*number));
                if let Some(before) = before {
                    self.lose_seat(*before, "replaced");
                }
                MediaInput::Returned(seat(*number))
            }
            Effect::Left {
                seat: number,
                connection,
                why,
                ..
            } => {
                self.away.remove(&seat(*number));
                if let (Some(connection), Gone::Kicked | Gone::Denied) = (connection, why) {
                    self.lose_seat(*connection, why.as_str());
                }
                MediaInput::Left(seat(*number))
            }
        };
        let taken = self.media.handle(self.clock.wall, input);
        let is_over = match effect {
            Effect::Recording { id, .. } => taken.is_err().then_some(id),
            Effect::RecordingEnded { id, .. } => Some(id),
            Effect::Started(_)
            | Effect::Joined { .. }
            | Effect::Changed { .. }
            | Effect::Away { .. }
            | Effect::Returned { .. }
            | Effect::Left { .. }
            | Effect::Ended(_) => None,
        };
        if let Some(recording) = is_over {
            self.recordings.end(room, recording);
        }
        taken
    }

    /// Does what the media want done.
    pub(super) fn hear_media(&mut self) {
        while let Some(output) = self.media.poll_output() {
            match output {
                MediaOutput::Signal { seat, signal } => {
                    self.tell_seat(seat, |out| write_signal(out, &signal));
                }
                MediaOutput::Tracks { seat, tracks } => {
                    self.tell_seat(seat, |out| write_tracks(out, &tracks));
                }
                MediaOutput::Refused { seat, error } => {
                    if let Some(place) = self.place_of(seat) {
                        let failure = Failure::new(error.code(), error.to_string());
                        self.fail_frame(place.at, &Label::default(), failure);
                    }
                }
                MediaOutput::Speaking { seat, speaking } => {
                    let Some((slot, ticket)) = self.connection_of(seat) else {
                        continue;
                    };
                    let now = self.clock.wall;
                    // It has a seat.
                    let _ = self.shard.change_voice(slot, now, |voice, timers| {
                        voice.speak(ticket.0, speaking, now, timers)
                    });
                }
                MediaOutput::Quality { seat, quality } => {
                    if let Some(slot) = self.shard.voice_slot(seat.room) {
                        let now = self.clock.wall;
                        self.shard
                            .change_voice(slot, now, |voice, _| voice.rate(seat.seat, quality));
                    }
                }
            }
        }
    }

    /// Tells a participant something.
    fn tell_seat(&mut self, seat: SeatId, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(place) = self.place_of(seat) {
            self.tell_message(place.at, write);
        }
    }

    /// Returns where the connection is by which a seat is taken.
    fn place_of(&self, seat: SeatId) -> Option<Place> {
        let (_, ticket) = self.connection_of(seat)?;
        let place = Place::of(ticket);
        let conn = self.conns.get(place.at)?;
        (conn.generation == place.generation).then_some(place)
    }

    /// Lets the media know that their time has come.
    pub(super) fn look_after_media(&mut self) {
        let now = self.clock.wall;
        if self.media.poll_timeout().is_some_and(|due| due <= now) {
            if let Err(error) = self.media.handle(now, MediaInput::Timeout) {
                tracing::debug!(%error, "the media did not take a time-out");
            }
            self.hear_media();
        }
    }

    /// Ends all sessions as the server stops, so that their logs say so.
    pub(super) fn end_voices(&mut self) {
        let now = self.clock.wall;
        for slot in self.shard.voice_rooms() {
            self.shard
                .change_voice(slot, now, |voice, timers| voice.end(timers));
        }
        self.settle_voice(None);
    }

    fn connection_of(&self, seat: SeatId) -> Option<(SlotId, Ticket)> {
        let slot = self.shard.voice_slot(seat.room)?;
        let connection = self.shard.voice(slot)?.connection_of(seat.seat)?;
        Some((slot, Ticket(connection)))
    }

    /// Serves a request about a voice room.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn voice_request(
        &mut self,
        at: usize,
        context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let headers = fields.iter().map(|field| (field.name, field.value));
        let query = query.unwrap_or_default();
        let asked = match voice_http::read_request(method, path, query, headers, body) {
            Ok(asked) => asked,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        if asked.ask == Ask::Preflight {
            return self.answer_preflight(at, context);
        }
        if let Err(failure) = self.serve_voice(at, context, named, asked) {
            self.answer_refused_read(at, context, failure);
        }
    }

    fn serve_voice(
        &mut self,
        at: usize,
        mut context: Context,
        named: Option<Namespace>,
        asked: Asked<'_>,
    ) -> Result<(), Failure> {
        let Asked {
            credentials,
            room,
            ask,
        } = asked;
        let opened = self.open_session(at, &credentials, named)?;
        let missing = || Failure::new(Code::NotFound, "there is no such voice room");
        let room = room.ok_or_else(missing)?;
        let path = room.room_path();
        let wanted = Wanted::in_room(ask.deed(), Room::Stream(path.as_bytes()));
        let grant = self.grant(&opened.session, None, &wanted)?;
        self.judge_page(at, &grant.namespace);
        let name = full_name(&opened.session, path.as_bytes()).into_owned();
        let payer = Payer::of(&opened, Some(&grant));
        self.charge(at, &mut context, &payer, Some(&name), 0)?;
        let now = self.clock.wall;
        let slot = self.shard.find_voice(now, &name)?.ok_or_else(missing)?;
        let acted = match ask {
            Ask::Describe | Ask::Preflight => {
                return self.answer_voice_room(at, context, room, slot);
            }
            Ask::Recordings(ask) => {
                let by = (opened.session.caller(), &grant.namespace);
                return self.serve_recordings(at, context, by, (room, slot), ask);
            }
            Ask::Mute { user, muted } => self.shard.change_voice(slot, now, |voice, timers| {
                voice.moderate(&user, muted, timers)
            }),
            Ask::Kick { user } => self
                .shard
                .change_voice(slot, now, |voice, timers| voice.kick(&user, timers)),
            Ask::Record(true) => {
                let by = opened.session.caller().user.as_deref();
                let recording = self.begin_recording(slot, by)?;
                let told = Told::written(200, voice_http::recording_json(&recording));
                return self.tell_of_voice(at, context, told);
            }
            Ask::Record(false) => {
                self.end_recording(slot)?;
                return self.tell_of_voice(at, context, success());
            }
        };
        acted.map_err(|error| voice_failure(&error))?;
        if let Some(failure) = self.settle_voice(Some(slot)) {
            tracing::warn!(
                code = failure.code.as_str(),
                "the log of a voice room is behind"
            );
        }
        self.tell_of_voice(at, context, success())
    }

    /// Answers with what has become of a room, once its log says so too: it is no sooner done.
    fn tell_of_voice(&mut self, at: usize, context: Context, told: Told) -> Result<(), Failure> {
        let ticket = self.wait(at, context, Some(Box::new(Expect::Waddle(told))));
        self.shard.tell_durable(ticket);
        Ok(())
    }

    /// Finds a voice room for somebody who may see it.
    pub(super) fn see_voice(
        &mut self,
        session: &Session,
        token: Option<&str>,
        id: &str,
    ) -> Result<SlotId, Failure> {
        let missing = || Failure::new(Code::NotFound, "there is no such voice room");
        let id: VoiceId = id.parse().map_err(|_| missing())?;
        let path = id.room_path();
        let room = Room::Stream(path.as_bytes());
        self.grant(session, token, &Wanted::in_room(Deed::Read, room))?;
        let name = full_name(session, path.as_bytes());
        let found = self.shard.find_voice(self.clock.wall, &name)?;
        found.ok_or_else(missing)
    }

    /// Returns the version of who takes part in a room; 0 where nobody ever did since it was loaded.
    pub(super) fn voice_version(&self, slot: SlotId) -> u64 {
        self.shard.voice(slot).map_or(0, Voice::version)
    }

    /// Answers whoever polls a room with who takes part in it.
    pub(super) fn answer_voice_poll(
        &mut self,
        at: usize,
        context: Context,
        slot: SlotId,
        after: u64,
    ) {
        let most = match self.voice_max(slot) {
            Ok(most) => most,
            Err(failure) => return self.answer_failure(at, context, &failure),
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        let seen = self.shard.voice(slot);
        let session = seen.and_then(|voice| shown(voice, most, self.media.features()));
        let participants = everyone(seen);
        write_polled_voice(
            &mut self.out,
            &envelope,
            after,
            session.as_ref(),
            &participants,
        );
        self.answer(at, context);
    }

    /// Returns how many may take part in a room at once.
    fn voice_max(&mut self, slot: SlotId) -> Result<usize, Failure> {
        let room_max = self.shard.voice_room_max(self.clock.wall, slot)?;
        let server_max = self.limits.voice_participants_max;
        Ok(room_max.map_or(server_max, |most| most.min(server_max)))
    }

    fn answer_voice_room(
        &mut self,
        at: usize,
        context: Context,
        room: VoiceId,
        slot: SlotId,
    ) -> Result<(), Failure> {
        let most = self.voice_max(slot)?;
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        let seen = self.shard.voice(slot);
        let participants = everyone(seen);
        let session = seen.and_then(|voice| shown(voice, most, self.media.features()));
        voice_http::write_room(
            &mut self.out,
            &envelope,
            room,
            session.as_ref(),
            &participants,
        );
        self.answer(at, context);
        Ok(())
    }
}

/// Returns what is told of the session of a room, if there is one.
fn shown(voice: &Voice, participants_max: usize, features: Features) -> Option<SessionShown<'_>> {
    Some(SessionShown {
        session: voice.session()?,
        recording: voice.recording(),
        participants_max,
        features,
    })
}

/// Returns who takes part.
fn everyone(voice: Option<&Voice>) -> Changes<'_> {
    Changes {
        version: voice.map_or(0, Voice::version),
        count: voice.map_or(0, Voice::count),
        told: voice::Told::All(voice.map_or_else(Vec::new, Voice::participants)),
    }
}

fn success() -> Told {
    Told::json(200, &serde_json::json!({ "success": true }))
}
