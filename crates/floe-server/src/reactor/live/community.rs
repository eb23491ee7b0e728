//! WebSockets of communities: `/ws/waddle/<id>`, `/ws/channel/<id>`, `/ws/voice/<id>`.
//!
//! Such a connection is one of the live protocol that has joined one room and speaks other words. What is
//! the same for all kinds of rooms is here: how one is opened, how frames come in and answers go out. What
//! a frame asks for, and what its room has to tell, is for the module of its [`CommunitySession`].

use std::net::IpAddr;
use std::sync::Arc;

use floe_core::live::Leave;
use floe_log::Disk;
use floe_proto::{Code, Namespace};
use floe_surfaces::access::Grant;
use floe_surfaces::community::{
    self, Carrier, Label, Opening, Refusal, SocketKind, SocketPath, write_ack, write_refusal,
};
use floe_surfaces::http::Method;
use floe_surfaces::limits::RateKind;
use floe_surfaces::live::PresenceMode;

use super::super::caller::Opened as Caller;
use super::super::conn::Context;
use super::super::readers::write_chunk;
use super::super::standing::hidden;
use super::channel::{ChannelSession, number};
use super::telling::{NOTHING_SEEN, Next, SharedFrames};
use super::voice::VoiceSession;
use super::waddle::WaddleSession;
use super::{Admitted, Join, Live, Purpose, Reactor, TOKEN_ENDED, Upgrade, write_failure};
use crate::shard::{Failure, Reply, SlotId, Ticket};

/// The one room of a community that a WebSocket is for.
#[derive(Debug)]
pub(in crate::reactor) struct CommunitySession {
    /// Whether it has had its welcome.
    greeted: bool,
    /// The end of the room's log that must be visible before that.
    needs: u64,
    /// What takes frames to the client.
    pub carrier: Carrier,
    /// The room, and what is known of it there.
    pub room: CommunityRoom,
}

/// What a WebSocket of one room has been told of it, by the kind of room.
#[derive(Debug)]
pub(in crate::reactor) enum CommunityRoom {
    /// A waddle.
    Waddle(WaddleSession),
    /// A channel.
    Channel(ChannelSession),
    /// A voice room.
    Voice(VoiceSession),
}

/// A connection that comes to a room.
pub(super) struct Begun {
    pub join: Join,
    pub room: CommunityRoom,
    /// The end of the room's log that must be visible before the welcome.
    pub needs: u64,
}

/// A request for a WebSocket of one room.
pub(super) struct Opened<'a> {
    /// The room's id, as the path has it.
    pub id: &'a str,
    /// All of the query.
    pub query: &'a str,
    /// The place from which a stream of events goes on.
    pub last_event: Option<u64>,
}

impl Opened<'_> {
    /// Returns the last place of the room's log that the client has seen.
    pub(super) fn after(&self) -> Result<Option<u64>, Failure> {
        match self.last_event {
            Some(after) => Ok(Some(after)),
            None => number(self.query, "after"),
        }
    }
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of one room of a community.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(in crate::reactor) fn open_community(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
    ) {
        let Some(SocketPath { kind, id }) = SocketPath::parse(path) else {
            return self.answer_error(at, context, Code::UnknownRoute, "no route has this path");
        };
        let opening = match Opening::read(query.unwrap_or_default()) {
            Ok(opening) => opening,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        let asked = Upgrade {
            method,
            named,
            query,
            fields,
            protocols: &[],
            token: true,
        };
        let Some(mut admitted) = self.admit_socket(at, &mut context, asked) else {
            return;
        };
        if let Some(user) = &opening.user {
            admitted.opened = match self.act_as(&admitted.opened, user) {
                Ok(opened) => opened,
                Err(failure) => return self.answer_failure(at, context, &failure),
            };
        }
        let opened = Opened {
            id,
            query: query.unwrap_or_default(),
            last_event: None,
        };
        match kind {
            SocketKind::Waddle => self.open_waddle(at, context, admitted, &opened),
            SocketKind::Channel => self.open_channel(at, context, admitted, &opened),
            SocketKind::Voice => self.open_voice(at, context, admitted, &opened),
        }
    }

    /// Makes an admitted connection a WebSocket of one room, and tells it what the room has to tell,
    /// once the room is durable: the welcome comes first.
    pub(super) fn begin_community(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        join: Join,
        room: CommunityRoom,
    ) {
        let begun = Begun {
            join,
            room,
            needs: 0,
        };
        self.begin_room(at, context, admitted, begun, |_| Ok(()));
    }

    /// Makes an admitted connection one of a room, and tells it what the room has to tell, once all
    /// of it is durable: the welcome comes first. `enter` makes it known in the room.
    pub(super) fn begin_room(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        begun: Begun,
        enter: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) {
        let Begun { join, room, needs } = begun;
        let slot = join.slot;
        let carrier = match admitted.accept {
            Some(_) => Carrier::Socket,
            None => Carrier::Events,
        };
        let session = CommunitySession {
            greeted: false,
            needs,
            carrier,
            room,
        };
        let purpose = Purpose::Community(Box::new(session));
        self.begin_live(at, context, admitted, purpose);
        if let Some(live) = self.live_mut(at) {
            live.joins.push(join);
        }
        self.readers += 1;
        self.count_reader(at);
        let ticket = self.conns[at].ticket(at);
        if !self.is_passing(slot, ticket) {
            self.shard.add_reader(slot, ticket);
        }
        self.await_sound(at);
        self.send(at);
        match enter(self) {
            Ok(()) => self.tell_room(at, slot, &mut SharedFrames::default()),
            Err(failure) => self.dismiss(at, failure.code, &failure.message),
        }
    }

    /// Does what a message asks for.
    pub(super) fn heard_community_frame(&mut self, at: usize, payload: &[u8]) {
        let admitted = self.charge_live(at, RateKind::Frames, 1, None, None);
        let read = community::read_frame(payload);
        if let Err(failure) = admitted {
            let label = match &read {
                Ok(incoming) => &incoming.label,
                Err(refusal) => &refusal.label,
            };
            self.refuse_frame(at, label, &failure);
            return self.slow_down(at, failure.retry_after_ms);
        }
        if self.stop_ms.is_some() {
            return self.dismiss(at, Code::Stopping, "the server is stopping");
        }
        let incoming = match read {
            Ok(incoming) => incoming,
            Err(refusal) => return self.tell_refusal(at, &refusal),
        };
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let now = self.clock.wall;
        if live.joins.first().is_some_and(|join| join.has_ended(now)) {
            let failure = Failure::new(Code::Unauthorized, TOKEN_ENDED);
            return self.refuse_frame(at, &incoming.label, &failure);
        }
        match live.community().map(|session| &session.room) {
            Some(CommunityRoom::Waddle(session)) => {
                let waddle = session.waddle.clone();
                self.heard_in_waddle(at, &waddle, &incoming);
            }
            Some(CommunityRoom::Channel(session)) => {
                let channel = session.channel;
                self.heard_in_channel(at, channel, &incoming);
            }
            Some(CommunityRoom::Voice(_)) => self.voice_frame(at, &incoming),
            None => {}
        }
    }

    /// Refuses a message that cannot be one of a community.
    pub(super) fn heard_community_bytes(&mut self, at: usize) {
        let message = "messages are text, which is JSON";
        self.tell_refusal(
            at,
            &Refusal::new(Label::default(), Code::InvalidFrame, message),
        );
    }

    /// Takes a connection that is gone out of its room, as far as that is not the same everywhere.
    pub(super) fn end_community(
        &mut self,
        ticket: Ticket,
        joins: &[Join],
        session: &CommunitySession,
        leave: Leave,
        whose: (&Arc<Caller>, IpAddr),
    ) {
        match (&session.room, joins.first()) {
            (CommunityRoom::Voice(_), Some(join)) => {
                self.leave_voice(ticket, join.slot, leave, whose);
            }
            (CommunityRoom::Voice(_), None)
            | (CommunityRoom::Waddle(_) | CommunityRoom::Channel(_), _) => {}
        }
    }

    /// Returns what comes next for a WebSocket of one room of a community.
    pub(super) fn next_of_community(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some(live) = self.live_ref(at) else {
            return Ok(Next::Nothing);
        };
        let (Some(session), Some(join)) = (live.community(), live.joins.get(place)) else {
            return Ok(Next::Nothing);
        };
        if session.greeted {
            return match session.room {
                CommunityRoom::Waddle(_) => self.next_of_waddle(at, place, shared),
                CommunityRoom::Channel(_) => self.next_of_channel(at, place, shared),
                CommunityRoom::Voice(_) => self.next_of_voice(at, place, shared),
            };
        }
        let tail = self.shard.room(join.slot).visible().tail;
        if !self.shard.is_born(join.slot) || tail < session.needs {
            return Ok(Next::Nothing);
        }
        let (form, mut out) = (live.wire(), Vec::new());
        form.carrier
            .message(&mut out, None, |out| match &session.room {
                CommunityRoom::Waddle(waddle) => self.welcome_to_waddle(out, join, waddle),
                CommunityRoom::Channel(_) => self.welcome_to_channel(out, join),
                CommunityRoom::Voice(_) => self.welcome_to_voice(out, join),
            });
        let bytes = self.pack(out, form);
        if let Some(session) = self.live_mut(at).and_then(Live::community_mut) {
            session.greeted = true;
        }
        Ok(Next::Send(bytes))
    }

    /// Writes the answer to a frame that waited for the disk into `self.out`.
    pub(super) fn answer_community(&mut self, label: &Label<'_>, reply: &Reply) {
        let sequence = match reply {
            Reply::Events(appended) => Some(appended.first_seq + appended.count - 1),
            Reply::Marked(marked) => Some(marked.seq),
            Reply::Appended { .. }
            | Reply::Created { .. }
            | Reply::Deleted
            | Reply::Channel(_)
            | Reply::Access(_)
            | Reply::Reads(_)
            | Reply::Acted(_)
            | Reply::Told => None,
            Reply::Refused(refused) => {
                let failure = Failure::new(refused.code(), refused.to_string());
                return self.write_failure_of(label, &failure);
            }
            Reply::Failed(failure) => return self.write_failure_of(label, failure),
        };
        community::message(&mut self.out, |out| write_ack(out, label, sequence));
    }

    /// Answers a frame that changed something of no log, if somebody waits for that.
    pub(super) fn acknowledge_frame(&mut self, at: usize, label: &Label<'_>) {
        if label.is_asked() {
            self.tell_message(at, |out| write_ack(out, label, None));
        }
    }

    /// Refuses a frame, once all that the refusal tells of is durable.
    pub(in crate::reactor) fn fail_frame(
        &mut self,
        at: usize,
        label: &Label<'_>,
        failure: Failure,
    ) {
        if failure.code == Code::RateLimited {
            self.refuse_frame(at, label, &failure);
            return self.slow_down(at, failure.retry_after_ms);
        }
        let ticket = self.await_command(at, label.clone(), "", 0);
        self.shard.refuse(ticket, failure);
    }

    /// Refuses a frame at once.
    pub(super) fn refuse_frame(&mut self, at: usize, label: &Label<'_>, failure: &Failure) {
        self.out.clear();
        self.write_failure_of(label, failure);
        self.send(at);
    }

    /// Refuses a frame that could not be read, or asks for nothing that there is.
    pub(super) fn tell_refusal(&mut self, at: usize, refusal: &Refusal<'_>) {
        self.metrics.error(refusal.code);
        self.tell_message(at, |out| write_refusal(out, refusal));
    }

    /// Tells a connection something about one of its rooms that is no answer, and goes on. Who has had no
    /// welcome, or has not taken what came before, finds out when they try.
    pub(in crate::reactor) fn warn_listener(&mut self, at: usize, slot: SlotId, why: &Failure) {
        if !self
            .conns
            .get(at)
            .is_some_and(|conn| conn.output.is_empty())
        {
            return;
        }
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let Some(join) = live.joins.iter().find(|join| join.slot == slot) else {
            return;
        };
        match &live.purpose {
            Purpose::Community(session) if !session.greeted => {}
            Purpose::Community(_) => {
                self.metrics.error(why.code);
                let refusal = Refusal {
                    retry_after_ms: Some(why.retry_after_ms),
                    ..Refusal::new(Label::default(), why.code, &*why.message)
                };
                self.tell_message(at, |out| write_refusal(out, &refusal));
            }
            Purpose::Rooms => {
                let room = join.room.clone();
                self.metrics.error(why.code);
                self.tell(at, |out, format| {
                    write_failure(out, format, None, Some(&room), why);
                });
            }
            // What is in a waddle is no room with tables.
            Purpose::Table(_) => {}
        }
    }

    fn write_failure_of(&mut self, label: &Label<'_>, failure: &Failure) {
        self.metrics.error(failure.code);
        let refusal = Refusal {
            retry_after_ms: Some(failure.retry_after_ms).filter(|ms| *ms > 0),
            ..Refusal::new(label.clone(), failure.code, &*failure.message)
        };
        community::message(&mut self.out, |out| write_refusal(out, &refusal));
    }

    /// Sends one message.
    pub(in crate::reactor) fn tell_message(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let carrier = self.live_ref(at).map(|live| live.wire().carrier);
        self.out.clear();
        if carrier == Some(Carrier::Events) {
            let mut event = Vec::new();
            Carrier::Events.message(&mut event, None, write);
            write_chunk(&mut self.out, &event);
        } else {
            community::message(&mut self.out, write);
        }
        self.send(at);
    }
}

/// Returns the join of a connection to the room that it is for.
pub(super) fn join_of(grant: Grant, slot: SlotId, room: &str) -> Join {
    Join {
        slot,
        room: room.into(),
        next: 0,
        events: true,
        is_live: true,
        rights: grant.rights,
        hidden: hidden(grant.rights),
        by_token: false,
        user: grant.author.clone(),
        author: grant.author,
        ends_at: grant.ends_at,
        namespace: Some(grant.namespace),
        presence: PresenceMode::None,
        presence_seen: NOTHING_SEEN,
        memory: None,
        memory_seen: NOTHING_SEEN,
    }
}
