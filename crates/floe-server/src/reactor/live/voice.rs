//! WebSockets of voice rooms: `/ws/voice/<id>`.
//!
//! Whoever opens one sees who takes part; a `join` gives it a seat. What comes of that besides is for
//! [`Reactor::settle_voice`].

use std::sync::Arc;

use std::net::IpAddr;

use bytes::Bytes;
use floe_core::live::Leave;
use floe_core::voice::{
    Changes, Enable, Join as Sit, Media as _, MediaInput, SeatId, Sends, Told, VoiceError,
};
use floe_log::Disk;
use floe_proto::{Code, Rights};
use floe_surfaces::access::Deed;
use floe_surfaces::community::voice::{
    self, Action, SessionShown, write_ice_servers, write_left, write_participants, write_recording,
    write_session, write_session_ended,
};
use floe_surfaces::community::{self, Incoming, Label, Welcome, write_pong, write_welcome};

use super::super::caller::Opened as Caller;
use super::super::conn::Context;
use super::community::{CommunityRoom, Opened, join_of};
use super::telling::{NOTHING_SEEN, Next, SharedFrames, Wire};
use super::{Admitted, Join, Live, Reactor};
use crate::shard::{Failure, SlotId, Ticket};

/// What a WebSocket has been told of the voice room that it is for.
#[derive(Debug, Default)]
pub(in crate::reactor) struct VoiceSession {
    /// Whether it is told of changes alone, once it has been told everything.
    by_changes: bool,
    /// Why it has no seat any more, which it has not been told.
    left: Option<&'static str>,
    /// The session that it has been told of.
    session: Option<Arc<str>>,
    /// The recording of it that it has been told of.
    recording: Option<Arc<str>>,
    /// Whether it has been told who takes part.
    knows: bool,
    /// The version of that.
    seen: u64,
}

/// Who takes part, for all who have seen the same.
#[derive(Debug, Clone)]
pub(super) struct VoiceFrame {
    slot: SlotId,
    form: Wire,
    /// The version that its readers have seen; `None` for those who are told everything.
    from: Option<u64>,
    to: u64,
    bytes: Bytes,
}

/// Frames that one pass keeps.
const KEPT_MAX: usize = 8;

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of a voice room, which it makes if it may.
    pub(super) fn open_voice(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        opened: &Opened<'_>,
    ) {
        let by_changes = match community::common::param(opened.query, "changes") {
            Ok(said) => said.as_deref() == Some("true"),
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        let session = &Arc::clone(&admitted.opened).session;
        let token = admitted.token.as_deref();
        let entered = self.enter_voice(session, token, opened.id, Deed::Read);
        let entered = entered.and_then(|(grant, slot)| {
            self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
            self.admit_reader(at, slot)?;
            Ok(join_of(grant, slot, opened.id))
        });
        let join = match entered {
            Ok(join) => join,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let room = CommunityRoom::Voice(VoiceSession {
            by_changes,
            ..VoiceSession::default()
        });
        self.begin_community(at, context, admitted, join, room);
    }

    /// Writes the welcome to a voice room.
    pub(super) fn welcome_to_voice(&self, out: &mut Vec<u8>, join: &Join) {
        let welcome = Welcome {
            room: &join.room,
            user: join.user.as_deref(),
            heartbeat_ms: self.limits.live_ping_ms,
            limits: &[
                ("frameBytes", self.limits.live_message_bytes_max.into()),
                ("sdpBytes", voice::SDP_BYTES_MAX as u64),
                ("candidateBytes", voice::CANDIDATE_BYTES_MAX as u64),
                ("graceMs", self.limits.voice_grace_ms),
                ("speakingMs", self.limits.voice_speaking_ms),
            ],
            ..Welcome::default()
        };
        write_welcome(out, &welcome);
    }

    /// Does what a frame asks of a voice room.
    pub(super) fn voice_frame(&mut self, at: usize, incoming: &Incoming<'_>) {
        let label = &incoming.label;
        let action = match voice::read_action(incoming) {
            Ok(action) => action,
            Err(refusal) => return self.tell_refusal(at, &refusal),
        };
        let done = match action {
            Action::Ping => return self.tell_message(at, |out| write_pong(out, label)),
            Action::Join(sends) => return self.voice_join(at, label, sends),
            Action::Leave => self.voice_act(at, |voice, connection, timers, _| {
                voice.leave(connection, timers)
            }),
            Action::Mute(change) => self.may_send(at, change).and_then(|()| {
                self.voice_act(at, |voice, connection, timers, _| {
                    voice.enable(connection, change, timers)
                })
            }),
            Action::Speaking(speaking) => self.voice_act(at, |voice, connection, timers, now| {
                voice.speak(connection, speaking, now, timers)
            }),
            Action::MuteOther { user, muted } => self.may_moderate(at).and_then(|()| {
                self.voice_act(at, |voice, _, timers, _| {
                    voice.moderate(&user, muted, timers)
                })
            }),
            Action::Kick { user } => self
                .may_moderate(at)
                .and_then(|()| self.voice_act(at, |voice, _, timers, _| voice.kick(&user, timers))),
            Action::Record(recording) => self
                .may_moderate(at)
                .and_then(|()| self.voice_record(at, recording)),
            Action::IceServers => self.seated(at).map(|_| self.tell_ice_servers(at)),
            Action::Signal(signal) => {
                self.ask_media(at, |seat| MediaInput::Signal { seat, signal })
            }
            Action::Watch(watch) => self.ask_media(at, |seat| MediaInput::Watch { seat, watch }),
        };
        match done {
            Ok(()) => self.acknowledge_voice(at, label),
            Err(failure) => self.fail_frame(at, label, failure),
        }
    }

    /// Answers a frame once all that the room's log says by now is durable, if somebody waits for that.
    fn acknowledge_voice(&mut self, at: usize, label: &Label<'_>) {
        if let (true, Ok((slot, ..))) = (label.is_asked(), self.voice_join_of(at)) {
            let ticket = self.await_command(at, label.clone(), "", 0);
            self.shard.answer_voice(slot, ticket);
        }
    }

    /// Gives the connection a seat.
    fn voice_join(&mut self, at: usize, label: &Label<'_>, sends: Sends) {
        match self.sit_down(at, sends) {
            Ok(()) => {
                self.tell_ice_servers(at);
                self.acknowledge_voice(at, label);
            }
            Err(failure) => {
                self.metrics.voice_refused(failure.code);
                self.fail_frame(at, label, failure);
            }
        }
    }

    fn sit_down(&mut self, at: usize, sends: Sends) -> Result<(), Failure> {
        let (slot, rights, user) = self.voice_join_of(at)?;
        if !rights.intersects(Rights::PRESENCE.with(Rights::APPEND)) {
            return Err(super::commands::forbidden());
        }
        let Some(user) = user else {
            let message = "who takes part joins as a user: name one in the address";
            return Err(Failure::new(Code::InvalidRequest, message));
        };
        self.may_send(at, sends.into())?;
        let now = self.clock.wall;
        let room_max = self.shard.voice_room_max(now, slot)?;
        let ticket = self.conns[at].ticket(at);
        let session = format!("{:016x}", self.draw());
        let sit = Sit {
            connection: ticket.0,
            user: &user,
            sends,
            session: &session,
        };
        let joined = self.shard.change_voice(slot, now, |voice, timers| {
            voice.set_room_max(room_max);
            voice.join(&sit, now, timers)
        });
        joined.map_err(|error| voice_failure(&error))?;
        let Some(failure) = self.settle_voice(Some(slot)) else {
            return Ok(());
        };
        // Nobody takes part of whom the log does not know.
        self.shard
            .change_voice(slot, now, |voice, timers| voice.deny(ticket.0, timers));
        self.settle_voice(None);
        Err(failure)
    }

    /// Changes something about the voice room that the connection is for.
    fn voice_act(
        &mut self,
        at: usize,
        act: impl FnOnce(
            &mut floe_core::voice::Voice,
            u64,
            &mut floe_core::live::Timers<'_>,
            floe_proto::Millis,
        ) -> Result<(), VoiceError>,
    ) -> Result<(), Failure> {
        let (slot, ..) = self.voice_join_of(at)?;
        let (now, ticket) = (self.clock.wall, self.conns[at].ticket(at));
        let acted = self
            .shard
            .change_voice(slot, now, |voice, timers| act(voice, ticket.0, timers, now));
        self.settle_voice(None);
        acted.map_err(|error| voice_failure(&error))
    }

    /// Has the session recorded, or no more.
    fn voice_record(&mut self, at: usize, recording: bool) -> Result<(), Failure> {
        let (slot, _, user) = self.voice_join_of(at)?;
        match recording {
            true => self.begin_recording(slot, user.as_deref()).map(drop),
            false => self.end_recording(slot),
        }
    }

    /// Returns the seat that the connection has.
    fn seated(&self, at: usize) -> Result<SeatId, Failure> {
        let (slot, ..) = self.voice_join_of(at)?;
        let seat = self.seat_of(slot, self.conns[at].ticket(at));
        Ok(SeatId {
            room: self.shard.room(slot).id(),
            seat: seat.ok_or_else(|| voice_failure(&VoiceError::NotJoined))?,
        })
    }

    /// Tells a connection which servers help its browser find a way for media.
    fn tell_ice_servers(&mut self, at: usize) {
        let Ok((_, _, Some(user))) = self.voice_join_of(at) else {
            return;
        };
        let servers = self.ice.for_user(&user, self.clock.wall);
        self.tell_message(at, |out| write_ice_servers(out, &servers));
    }

    /// Hands what a browser wants of the media to them.
    fn ask_media(
        &mut self,
        at: usize,
        ask: impl FnOnce(SeatId) -> MediaInput,
    ) -> Result<(), Failure> {
        let seat = self.seated(at)?;
        let taken = self.media.handle(self.clock.wall, ask(seat));
        self.hear_media();
        taken.map_err(|error| Failure::new(error.code(), error.to_string()))
    }

    fn voice_join_of(&self, at: usize) -> Result<(SlotId, Rights, Option<Box<str>>), Failure> {
        let join = self.live_ref(at).and_then(|live| live.joins.first());
        let join = join.ok_or_else(|| Failure::new(Code::Internal, "the connection is gone"))?;
        Ok((join.slot, join.rights, join.user.clone()))
    }

    /// Checks whether the connection may be heard or seen. Who may not append only listens.
    fn may_send(&self, at: usize, change: Enable) -> Result<(), Failure> {
        let (_, rights, _) = self.voice_join_of(at)?;
        if rights.contains(Rights::APPEND) || !change.turns_on() {
            return Ok(());
        }
        let message = "who may not append to the room listens, and is neither heard nor seen";
        Err(Failure::new(Code::Forbidden, message))
    }

    fn may_moderate(&self, at: usize) -> Result<(), Failure> {
        let (_, rights, _) = self.voice_join_of(at)?;
        match rights.intersects(Deed::Moderate.rights()) {
            true => Ok(()),
            false => Err(super::commands::forbidden()),
        }
    }

    /// Takes the seat of a connection that is gone: it is kept for a while, unless it is gone for good.
    pub(super) fn leave_voice(
        &mut self,
        ticket: Ticket,
        slot: SlotId,
        leave: Leave,
        (opened, client): (&Arc<Caller>, IpAddr),
    ) {
        let now = self.clock.wall;
        let Some(seat) = self.seat_of(slot, ticket) else {
            return;
        };
        self.shard
            .change_voice(slot, now, |voice, timers| match leave {
                Leave::Said => voice.deny(ticket.0, timers),
                Leave::Lost => voice.lose(ticket.0, now, timers),
            });
        // Whether the seat is still there comes out when all is settled.
        if leave == Leave::Lost {
            self.note_away(slot, seat, opened, client);
        }
        self.settle_voice(None);
    }

    /// Holds a participant to rights that are others than before.
    pub(in crate::reactor) fn limit_voice(&mut self, at: usize, slot: SlotId, rights: Rights) {
        let ticket = self.conns[at].ticket(at);
        if let Some(seat) = self.seat_of(slot, ticket) {
            self.hold_to(slot, seat, rights);
            self.settle_voice(None);
        }
    }

    /// Notes that a connection has no seat any more, for it to be told.
    pub(in crate::reactor) fn lose_seat(&mut self, connection: u64, why: &'static str) {
        let place = super::super::conn::Place::of(Ticket(connection));
        let conn = self.conns.get_mut(place.at);
        let live = conn.filter(|conn| conn.generation == place.generation);
        let session = live.and_then(|conn| conn.live_mut()?.voice_mut());
        if let Some(session) = session {
            session.left = Some(why);
        }
    }

    /// Returns what comes next for a WebSocket of a voice room.
    pub(super) fn next_of_voice(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some(live) = self.live_ref(at) else {
            return Ok(Next::Nothing);
        };
        let (Some(session), Some(join)) = (live.voice(), live.joins.get(place)) else {
            return Ok(Next::Nothing);
        };
        let form = live.wire();
        let slot = join.slot;
        if let Some(why) = session.left {
            let bytes = self.voice_message(form, |out| write_left(out, why));
            return Ok(self.told_voice(at, bytes, |session| session.left = None));
        }
        let voice = self.shard.voice(slot);
        let current = voice.and_then(|voice| voice.session());
        let is_other = session
            .session
            .as_ref()
            .is_some_and(|told| current.is_some_and(|now| now.id != *told));
        let version = voice.map_or(NOTHING_SEEN, |voice| voice.version());
        let is_due = !session.knows || session.seen != version;
        // A recording is over before its session is.
        let recording = voice.filter(|_| !is_other);
        let recording = recording.and_then(|voice| voice.recording());
        let recorded = recording.map(|recording| &recording.id);
        if session.session.is_some() && session.recording.as_ref() != recorded {
            let recorded = recorded.cloned();
            let bytes = self.voice_message(form, |out| write_recording(out, recording));
            return Ok(self.told_voice(at, bytes, |session| session.recording = recorded));
        }
        match (&session.session, current) {
            // Those who were in it are gone before it is over, unless another has begun.
            (Some(told), _) if is_other || (current.is_none() && !is_due) => {
                let bytes = self.voice_message(form, |out| write_session_ended(out, told));
                Ok(self.told_voice(at, bytes, |session| session.session = None))
            }
            (None, Some(begun)) => {
                let id = Arc::clone(&begun.id);
                let recorded = recorded.cloned();
                let shown = SessionShown {
                    session: begun,
                    recording,
                    participants_max: voice.map_or(0, |voice| voice.participants_max()),
                    features: self.media.features(),
                };
                let bytes = self.voice_message(form, |out| write_session(out, &shown));
                Ok(self.told_voice(at, bytes, |session| {
                    session.session = Some(id);
                    session.recording = recorded;
                }))
            }
            _ if is_due => {
                let from = (session.by_changes && session.knows).then_some(session.seen);
                let frame = self.voice_participants(slot, form, from, shared);
                Ok(self.told_voice(at, frame.bytes, |session| {
                    session.knows = true;
                    session.seen = frame.to;
                }))
            }
            _ => Ok(Next::Nothing),
        }
    }

    /// Writes who takes part, or what of it has changed since a version.
    fn voice_participants(
        &self,
        slot: SlotId,
        form: Wire,
        from: Option<u64>,
        shared: &mut SharedFrames,
    ) -> VoiceFrame {
        let voice = self.shard.voice(slot);
        let to = voice.map_or(NOTHING_SEEN, |voice| voice.version());
        let found = shared.voice.iter().find(|frame| {
            frame.slot == slot && frame.form == form && frame.from == from && frame.to == to
        });
        if let Some(frame) = found {
            return frame.clone();
        }
        let all = || Changes {
            version: to,
            count: voice.map_or(0, |voice| voice.count()),
            told: Told::All(voice.map_or_else(Vec::new, |voice| voice.participants())),
        };
        let changes = match (voice, from) {
            (Some(voice), Some(from)) => voice.changes_since(from),
            (Some(_), None) | (None, _) => all(),
        };
        let frame = VoiceFrame {
            slot,
            form,
            from,
            to,
            bytes: self.voice_message(form, |out| write_participants(out, &changes)),
        };
        if shared.voice.len() < KEPT_MAX {
            shared.voice.push(frame.clone());
        }
        frame
    }

    fn voice_message(&self, form: Wire, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut out = Vec::new();
        form.carrier.message(&mut out, None, write);
        self.pack(out, form)
    }

    fn told_voice(
        &mut self,
        at: usize,
        bytes: Bytes,
        moved: impl FnOnce(&mut VoiceSession),
    ) -> Next {
        if let Some(session) = self.live_mut(at).and_then(Live::voice_mut) {
            moved(session);
        }
        Next::Send(bytes)
    }
}

impl Live {
    /// Returns what it has been told of the voice room that it is for.
    fn voice(&self) -> Option<&VoiceSession> {
        match &self.community()?.room {
            CommunityRoom::Voice(session) => Some(session),
            CommunityRoom::Waddle(_) | CommunityRoom::Channel(_) => None,
        }
    }

    fn voice_mut(&mut self) -> Option<&mut VoiceSession> {
        match &mut self.community_mut()?.room {
            CommunityRoom::Voice(session) => Some(session),
            CommunityRoom::Waddle(_) | CommunityRoom::Channel(_) => None,
        }
    }
}

/// Says why something was not done in a voice room.
pub(in crate::reactor) fn voice_failure(error: &VoiceError) -> Failure {
    Failure::new(error.code(), error.to_string())
}
