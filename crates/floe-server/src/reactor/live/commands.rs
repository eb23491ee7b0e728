//! What a WebSocket asks for.

use std::sync::Arc;

use floe_core::live::{Leave, MemoryError};
use floe_core::{Append, Start};
use floe_log::{Disk, Payload};
use floe_proto::{Code, DataError, EventKind, Namespace, Rights, check_data};
use floe_surfaces::access::{Deed, Grant, Room, Wanted};
use floe_surfaces::community::Label;
use floe_surfaces::json::Messages;
use floe_surfaces::limits::RateKind;
use floe_surfaces::live::{
    self, After, AppendBody, ClientFrame, Command, Draft, Format, FrameId, PresenceMode, RoomName,
};

use super::super::caller::{full_name, is_unspeakable};
use super::super::standing::hidden;
use super::telling::NOTHING_SEEN;
use super::{Join, Reactor, TOKEN_ENDED};
use crate::shard::{Failure, NewEvent, NewEvents, ReadPlan, is_channel, is_reserved};

/// As whom a connection writes to a room.
struct Writer {
    rights: Rights,
    /// In whose name, whatever it says itself.
    author: Option<Box<str>>,
    /// In whose name where it says nothing.
    user: Option<Box<str>>,
    /// The namespace of the room, where that is known to be another than the connection's.
    namespace: Option<Namespace>,
}

impl<D: Disk> Reactor<D> {
    /// Does what a frame asks for.
    pub(super) fn heard_frame(&mut self, at: usize, format: Format, payload: &[u8]) {
        if self.live_ref(at).is_some_and(|live| live.format != format) {
            let message = "the message is of the other kind than the subprotocol's";
            return self.tell_error(at, None, None, Code::InvalidFrame, message);
        }
        let admitted = self.charge_live(at, RateKind::Frames, 1, None, None);
        let mut scratch = std::mem::take(&mut self.frame_scratch);
        match (live::read_frame(format, payload, &mut scratch), admitted) {
            (Ok(frame), Ok(())) => self.command(at, frame, payload.len()),
            (Ok(frame), Err(failure)) => self.too_fast(at, frame.id.as_ref(), None, &failure),
            (Err(error), Err(failure)) => self.too_fast(at, error.id.as_ref(), None, &failure),
            (Err(error), Ok(())) => {
                let id = error.id.as_ref();
                self.tell_error(at, id, None, error.code, &error.message);
            }
        }
        self.frame_scratch = scratch;
    }

    fn command(&mut self, at: usize, frame: ClientFrame<'_>, bytes: usize) {
        let ClientFrame { id, command } = frame;
        if self.stop_ms.is_some() {
            return self.dismiss(at, Code::Stopping, "the server is stopping");
        }
        match command {
            Command::Join(join) => self.join_room(at, id, join),
            Command::Append(append) => self.live_append(at, id, append),
            Command::Leave { room } => self.live_leave(at, id, &room),
            Command::Presence { room, data } => self.live_presence(at, id, &room, data),
            Command::Typing { room, typing } => self.live_typing(at, id, &room, typing),
            Command::Memory { room, op } => self.live_memory(at, id, &room, op),
            Command::Members { room, after, limit } => {
                self.live_members(at, id, &room, after.as_deref(), limit);
            }
            Command::Rpc { room, rpc } => self.live_rpc(at, id, &room, *rpc, bytes),
            Command::Auth { bearer } => self.live_auth(at, id, &bearer),
            Command::Ping => self.tell(at, |out, format| {
                live::write_pong(out, format, id.as_ref());
            }),
        }
    }

    fn join_room(&mut self, at: usize, id: Option<FrameId<'_>>, join: live::Join<'_>) {
        let name = join.room.as_str().to_owned();
        match self.plan_join(at, &join) {
            Ok((plan, joined)) => self.joined(at, id, plan, joined, join.data),
            Err(failure) => self.fail(at, id, &name, failure),
        }
    }

    fn plan_join(&mut self, at: usize, join: &live::Join<'_>) -> Result<(ReadPlan, Join), Failure> {
        let room = join.room.as_str();
        let Some(live) = self.live_ref(at) else {
            return Err(Failure::new(Code::Internal, "the connection is gone"));
        };
        if live.join(room).is_some() {
            return Err(Failure::new(
                Code::AlreadyJoined,
                "the connection has joined this room already",
            ));
        }
        if live.joins.len() >= self.limits.live_rooms_max {
            return Err(Failure::new(
                Code::LimitReached,
                "the connection has joined live.rooms_max rooms",
            ));
        }
        let Grant {
            namespace,
            rights,
            author,
            ends_at,
        } = self.grant_of(at, join)?;
        self.settle_live(at, &namespace, author.as_deref())?;
        if matches!(join.after, After::Seq(_)) {
            self.metrics.resumed();
        }
        let start = match join.after {
            After::Now => Start::Now,
            After::Start => Start::Oldest,
            After::Seq(seq) => Start::At(seq),
        };
        let plan = self
            .shard
            .plan_read(self.clock.wall, &self.room_name(at, &join.room), start)?;
        self.admit_reader(at, plan.slot)?;
        if join.presence == PresenceMode::Member && !rights.contains(Rights::PRESENCE) {
            return Err(forbidden());
        }
        let user = author
            .clone()
            .or_else(|| join.user.as_deref().map(Into::into));
        if join.presence == PresenceMode::Member && user.is_none() {
            return Err(Failure::new(
                Code::InvalidRequest,
                "`user` is needed to be a member",
            ));
        }
        let room_of = self.shard.room(plan.slot);
        let mut next = plan.span.from;
        if let Some(limit) = join.limit.filter(|_| room_of.is_json()) {
            next = next.max(plan.span.edge.tail.saturating_sub(limit.into()));
        }
        let by_token = join.room.channel().is_some()
            && (join.token.is_some() || self.live_ref(at).is_some_and(|live| live.token.is_some()));
        let joined = Join {
            slot: plan.slot,
            room: room.into(),
            next,
            events: join.events,
            is_live: !join.events,
            rights,
            hidden: hidden(rights),
            by_token,
            author,
            user,
            ends_at,
            namespace: Some(namespace),
            presence: join.presence,
            // A snapshot comes first.
            presence_seen: NOTHING_SEEN,
            memory: join.memory.as_deref().map(Into::into),
            memory_seen: NOTHING_SEEN,
        };
        Ok((plan, joined))
    }

    /// Decides what the connection may do in a room that it joins, and in whose name.
    fn grant_of(&mut self, at: usize, join: &live::Join<'_>) -> Result<Grant, Failure> {
        let reads = join.events || join.memory.is_some() || join.presence != PresenceMode::None;
        let deed = if reads { Deed::Read } else { Deed::Enter };
        self.grant_in(at, &join.room, deed, join.token.as_deref())
    }

    /// Decides what the connection may do in a room, and in whose name.
    fn grant_in(
        &mut self,
        at: usize,
        room: &RoomName<'_>,
        deed: Deed,
        token: Option<&str>,
    ) -> Result<Grant, Failure> {
        let Some(live) = self.live_ref(at) else {
            return Err(Failure::new(Code::Internal, "the connection is gone"));
        };
        let opened = Arc::clone(&live.opened);
        let Some(channel) = room.channel() else {
            let path = room.stream().unwrap_or_default().as_bytes();
            if is_unspeakable(path) || is_channel(path) {
                return Err(Failure::new(Code::NotFound, "there is no such stream"));
            }
            return self.admit_stream(&opened.session, path, deed);
        };
        let token = token.map(Into::into).or_else(|| live.token.clone());
        let wanted = Wanted::in_room(deed, Room::Channel(channel));
        self.grant(&opened.session, token.as_deref(), &wanted)
    }

    /// Returns the full name of a room, as the connection means it.
    fn room_name(&self, at: usize, room: &RoomName<'_>) -> Vec<u8> {
        match (room.channel(), room.stream(), self.live_ref(at)) {
            (Some(channel), ..) => channel.room_name().into_bytes(),
            (None, Some(path), Some(live)) => {
                full_name(&live.opened.session, path.as_bytes()).into_owned()
            }
            (None, ..) => Vec::new(),
        }
    }

    fn joined(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        plan: ReadPlan,
        join: Join,
        data: Option<&str>,
    ) {
        let ticket = self.conns[at].ticket(at);
        let slot = plan.slot;
        if join.presence == PresenceMode::Member {
            let user = join.user.as_deref().unwrap_or_default();
            let data = data.unwrap_or("null").as_bytes();
            let now = self.clock.wall;
            let joined = self.shard.change_live(slot, now, |live, timers| {
                live.presence.join(ticket.0, user, data, now, timers)
            });
            if let Err(error) = joined {
                let room = join.room.clone();
                let failure = Failure::new(error.code(), error.to_string());
                return self.fail(at, id, &room, failure);
            }
        }
        let room = self.shard.room(slot);
        let joined = live::Joined {
            id: id.as_ref(),
            room: &join.room,
            content_type: room.content_type().as_str(),
            head: plan.span.edge.tail,
            start: room.start() + 1,
            seq: join.next,
            user: join.user.as_deref(),
            closed: plan.span.edge.closed,
        };
        self.out.clear();
        let Some(format) = self.live_ref(at).map(|live| live.format) else {
            return;
        };
        let watches = join.memory.is_some() || join.presence != PresenceMode::None;
        live::write_joined(&mut self.out, format, &joined);
        if let Some(live) = self.live_mut(at) {
            live.joins.push(join);
        }
        self.readers += 1;
        self.count_reader(at);
        if watches {
            // What is there is told even if it is nothing.
            self.shard.change_live(slot, self.clock.wall, |_, _| ());
        }
        if !self.is_passing(slot, ticket) {
            self.shard.add_reader(slot, ticket);
        }
        self.send(at);
        self.tell_room(at, slot, &mut super::SharedFrames::default());
    }

    fn live_leave(&mut self, at: usize, id: Option<FrameId<'_>>, room: &RoomName<'_>) {
        let name = room.as_str();
        let left = self.live_mut(at).and_then(|live| {
            let place = live.joins.iter().position(|join| *join.room == *name)?;
            Some(live.joins.swap_remove(place))
        });
        let Some(join) = left else {
            return self.not_joined(at, id, name);
        };
        let ticket = self.conns[at].ticket(at);
        self.leave_room(ticket, &join, Leave::Said);
        self.tell(at, |out, format| {
            live::write_left(out, format, id.as_ref(), name);
        });
    }

    fn live_append(&mut self, at: usize, id: Option<FrameId<'_>>, append: live::Append<'_>) {
        let name = append.room.as_str();
        let writer = match self.writer_in(at, &append.room) {
            Ok(writer) => writer,
            Err(failure) => return self.fail(at, id, name, failure),
        };
        let key = append.idempotency_key.as_deref();
        let now = self.clock.wall;
        let Some(channel) = append.room.channel() else {
            if !writer.rights.contains(Rights::APPEND) {
                return self.fail(at, id, name, forbidden());
            }
            return self.append_to_stream(at, id, &append);
        };
        let Writer {
            rights,
            author,
            user,
            namespace,
        } = writer;
        let single;
        let drafts: &[Draft<'_>] = match &append.body {
            AppendBody::Event(draft) => {
                single = [draft.clone()];
                &single
            }
            AppendBody::Events(drafts) => drafts,
            AppendBody::Content(_) | AppendBody::Data(_) | AppendBody::Batch(_) => &[],
        };
        let checked = self.check_drafts(drafts, author.as_deref(), user.as_deref());
        let events = match checked {
            Ok(events) => events,
            Err(failure) => return self.fail(at, id, name, failure),
        };
        let Some(first) = drafts.first() else {
            return;
        };
        let new = NewEvents {
            kind: first.kind,
            events: &events,
            target_seq: first.target_seq,
            removed: first.removed,
            key,
            rights,
        };
        let bytes: usize = events.iter().map(NewEvent::bytes).sum();
        let full = channel.room_name();
        if let Err(failure) = self.charge_append(at, full.as_bytes(), namespace.as_ref(), bytes) {
            return self.fail(at, id, name, failure);
        }
        self.metrics.append(bytes as u64);
        let ticket = self.await_command(at, label(id), name, 0);
        if let Err(failure) = self.shard.append_events(now, ticket, channel, &new) {
            self.shard.refuse_cold(ticket, failure);
        }
    }

    /// Takes what is appended out of what everyone concerned may.
    pub(super) fn charge_append(
        &mut self,
        at: usize,
        room: &[u8],
        namespace: Option<&Namespace>,
        bytes: usize,
    ) -> Result<(), Failure> {
        let kind = RateKind::AppendBytes;
        self.charge_live(at, kind, bytes as u64, Some(room), namespace)
    }

    /// Decides as whom the connection writes to a room, which it need not have joined.
    fn writer_in(&mut self, at: usize, room: &RoomName<'_>) -> Result<Writer, Failure> {
        let joined = self.live_ref(at).and_then(|live| live.join(room.as_str()));
        if let Some(join) = joined {
            if join.has_ended(self.clock.wall) {
                return Err(Failure::new(Code::Unauthorized, TOKEN_ENDED));
            }
            return Ok(Writer {
                rights: join.rights,
                author: join.author.clone(),
                user: join.user.clone(),
                namespace: join.namespace.clone(),
            });
        }
        let grant = self.grant_in(at, room, Deed::Enter, None)?;
        Ok(Writer {
            rights: grant.rights,
            user: grant.author.clone(),
            author: grant.author,
            namespace: Some(grant.namespace),
        })
    }

    /// Checks events of a channel against what a surface bounds, and says who causes each.
    pub(super) fn check_drafts<'a>(
        &self,
        drafts: &'a [Draft<'_>],
        author: Option<&'a str>,
        user: Option<&'a str>,
    ) -> Result<Vec<NewEvent<'a>>, Failure> {
        let invalid = |message: &'static str| Failure::new(Code::InvalidRequest, message);
        if drafts.len() > 1 && drafts.iter().any(|draft| draft.kind != EventKind::Message) {
            return Err(invalid("a batch holds messages alone"));
        }
        if drafts.is_empty() {
            return Err(invalid("there is nothing to append"));
        }
        let events = drafts.iter().map(|draft| {
            let content = draft.content.as_deref();
            let chars_max = if draft.kind == EventKind::Reaction {
                self.bounds.reaction_chars_max
            } else {
                self.bounds.content_chars_max
            };
            if content.is_some_and(|text| is_longer(text, chars_max)) {
                return Err(Failure::new(
                    Code::EventTooLarge,
                    format!("`content` is longer than {chars_max} characters"),
                ));
            }
            let author_id = author.or(draft.author_id.as_deref()).or(user);
            let author_id = author_id.ok_or_else(|| invalid("`authorId` is needed"))?;
            if let Some(data) = draft.data {
                check_data(data, self.bounds.data_bytes_max)
                    .map_err(|error| refused_data(&error))?;
            }
            Ok(NewEvent {
                author_id,
                content,
                reply_to: draft.reply_to,
                data: draft.data,
            })
        });
        events.collect()
    }

    fn append_to_stream(&mut self, at: usize, id: Option<FrameId<'_>>, append: &live::Append<'_>) {
        let name = append.room.as_str();
        let stream = self.room_name(at, &append.room);
        let plan = self.shard.plan_read(self.clock.wall, &stream, Start::Now);
        let room = match plan {
            Ok(plan) => self.shard.room(plan.slot),
            Err(failure) => return self.fail(at, id, name, failure),
        };
        let (json, content_type) = (room.is_json(), room.content_type().as_str().to_owned());
        let mut messages = Messages::default();
        let checked = if is_reserved(room.name()) {
            let message = "only the server itself writes this stream";
            Err(Failure::new(Code::MethodNotAllowed, message))
        } else if append.idempotency_key.is_some() {
            let message = "`idempotencyKey` is for channels; a stream has producers";
            Err(Failure::new(Code::InvalidRequest, message))
        } else {
            append
                .body
                .stream_payload(json, &mut messages)
                .map_err(|problem| Failure::new(problem.code, problem.message))
        };
        if let Err(failure) = checked {
            return self.fail(at, id, name, failure);
        }
        let units = if json {
            messages.lens.len()
        } else {
            messages.bytes.len()
        };
        if units == 0 {
            let failure = Failure::new(Code::EmptyBody, "there is nothing to append");
            return self.fail(at, id, name, failure);
        }
        let command = Append {
            content_type: Some(&content_type),
            units: units as u64,
            ..Append::default()
        };
        let payload = Payload {
            bytes: &messages.bytes,
            lens: &messages.lens,
        };
        if let Err(failure) = self.charge_append(at, &stream, None, messages.bytes.len()) {
            return self.fail(at, id, name, failure);
        }
        self.metrics.append(messages.bytes.len() as u64);
        let ticket = self.await_command(at, label(id), name, units as u64);
        self.shard
            .append(self.clock.wall, ticket, &stream, &command, payload);
    }

    fn live_presence(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &RoomName<'_>,
        data: &str,
    ) {
        let name = room.as_str();
        let Some(join) = self.live_ref(at).and_then(|live| live.join(name)) else {
            return self.not_joined(at, id, name);
        };
        let (slot, now) = (join.slot, self.clock.wall);
        let ticket = self.conns[at].ticket(at);
        let changed = self.shard.change_live(slot, now, |live, _| {
            live.presence.update(ticket.0, data.as_bytes())
        });
        match changed {
            Ok(()) => self.acknowledge(at, id, name, None),
            Err(error) => {
                let failure = Failure::new(error.code(), error.to_string());
                self.fail(at, id, name, failure);
            }
        }
    }

    fn live_typing(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &RoomName<'_>,
        typing: bool,
    ) {
        let name = room.as_str();
        let Some(join) = self.live_ref(at).and_then(|live| live.join(name)) else {
            return self.not_joined(at, id, name);
        };
        let Some(user) = join.user.clone() else {
            let failure = Failure::new(Code::InvalidRequest, "who types joins as a `user`");
            return self.fail(at, id, name, failure);
        };
        if !join.rights.contains(Rights::APPEND) {
            return self.fail(at, id, name, forbidden());
        }
        let (slot, now) = (join.slot, self.clock.wall);
        if typing && self.load_level().is_thinned() {
            // Nobody misses it, and it would end by itself.
            return self.acknowledge(at, id, name, None);
        }
        let changed = self.shard.change_live(slot, now, |live, timers| {
            if typing {
                live.memory.set_typing(&user, now, timers).map(drop)
            } else {
                live.memory.clear_typing(&user, timers);
                Ok(())
            }
        });
        match changed {
            Ok(()) => self.acknowledge(at, id, name, None),
            Err(error) => self.fail(at, id, name, memory_failure(error)),
        }
    }

    fn live_members(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &RoomName<'_>,
        after: Option<&str>,
        limit: u32,
    ) {
        let name = room.as_str();
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let format = live.format;
        let Some(join) = live.join(name) else {
            return self.not_joined(at, id, name);
        };
        if !join.rights.contains(Rights::READ) {
            return self.fail(at, id, name, forbidden());
        }
        let slot = join.slot;
        self.out.clear();
        let live = self.shard.live(slot);
        let limit = limit as usize;
        // One more tells whether there is another page.
        let mut page = live.map_or_else(Vec::new, |live| live.presence.page(after, limit + 1));
        let more = page.len() > limit;
        page.truncate(limit);
        let shown = live::MembersPage {
            id: id.as_ref(),
            room: name,
            version: live.map_or(0, |live| live.presence.version()),
            count: live.map_or(0, |live| live.presence.count() as u64),
            next: page.last().filter(|_| more).map(|member| member.user),
        };
        let members = page.iter().map(super::telling::member);
        live::write_members(&mut self.out, format, &shown, members);
        self.send(at);
    }

    pub(super) fn acknowledge(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &str,
        version: Option<u64>,
    ) {
        // Without an `id` nobody waits for it.
        if id.is_none() {
            return;
        }
        self.tell(at, |out, format| {
            let ack = live::Ack {
                id: id.as_ref(),
                room,
                version,
                ..live::Ack::default()
            };
            live::write_ack(out, format, &ack);
        });
    }

    pub(super) fn not_joined(&mut self, at: usize, id: Option<FrameId<'_>>, room: &str) {
        let message = "the connection has not joined this room";
        self.tell_error(at, id.as_ref(), Some(room), Code::NotJoined, message);
    }

    /// Refuses a command, once all that the refusal tells of is durable.
    pub(super) fn fail(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &str,
        failure: Failure,
    ) {
        if failure.code == Code::RateLimited {
            return self.too_fast(at, id.as_ref(), Some(room), &failure);
        }
        let ticket = self.await_command(at, label(id), room, 0);
        self.shard.refuse(ticket, failure);
    }

    /// Refuses a frame that came too soon, and reads no more of them for a moment.
    fn too_fast(
        &mut self,
        at: usize,
        id: Option<&FrameId<'_>>,
        room: Option<&str>,
        failure: &Failure,
    ) {
        self.metrics.error(failure.code);
        self.tell(at, |out, format| {
            super::write_failure(out, format, id, room, failure);
        });
        self.slow_down(at, failure.retry_after_ms);
    }

    pub(super) fn tell_error(
        &mut self,
        at: usize,
        id: Option<&FrameId<'_>>,
        room: Option<&str>,
        code: Code,
        message: &str,
    ) {
        self.metrics.error(code);
        self.tell(at, |out, format| {
            live::write_error(out, format, id, room, code, message);
        });
    }

    /// Writes a frame and sends it.
    pub(super) fn tell(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>, Format)) {
        let Some(format) = self.live_ref(at).map(|live| live.format) else {
            return;
        };
        self.out.clear();
        write(&mut self.out, format);
        self.send(at);
    }
}

/// Returns what the answer to a frame of the live protocol repeats.
fn label(id: Option<FrameId<'_>>) -> Label<'_> {
    Label { id, nonce: None }
}

fn is_longer(text: &str, chars_max: usize) -> bool {
    text.len() > chars_max && text.chars().count() > chars_max
}

pub(super) fn forbidden() -> Failure {
    Failure::new(Code::Forbidden, "the key or token does not allow this")
}

pub(super) fn memory_failure(error: MemoryError) -> Failure {
    Failure::new(error.code(), error.to_string())
}

/// Returns what a room is called on a live connection.
pub(super) fn is_text(room: &floe_core::Room) -> bool {
    room.content_type().as_str().starts_with("text/")
}

fn refused_data(error: &DataError) -> Failure {
    let code = match error {
        DataError::TooLong { .. } => Code::EventTooLarge,
        DataError::NotAnObject | DataError::TooDeep => Code::InvalidRequest,
    };
    Failure::new(code, error.to_string())
}
