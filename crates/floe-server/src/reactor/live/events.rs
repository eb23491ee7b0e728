//! Rooms of communities without WebSockets: their frames as server-sent events, or by polling.
//!
//! A stream of events is a connection like that of a WebSocket, which is told the same and says nothing. Who
//! polls is no part of the room while it waits: it is answered with what happened in the room's log,
//! and with how things are.

use std::borrow::Cow;
use std::sync::Arc;

use floe_core::Start;
use floe_core::live::Live as LiveState;
use floe_log::Disk;
use floe_proto::community::WaddleId;
use floe_proto::{ChannelId, Code, Namespace, Rights};
use floe_surfaces::access::{Credentials, Deed, Grant, Room, Wanted};
use floe_surfaces::channels::{self, Form, Hidden};
use floe_surfaces::community::channel::write_events;
use floe_surfaces::community::common::param;
use floe_surfaces::community::polled::{
    Polled, PresencePage, presence_page, write_broadcast_done, write_polled, write_presence_page,
};
use floe_surfaces::community::waddle::write_changes;
use floe_surfaces::community::{Carrier, Opening, RoomPath, SocketKind, SocketPath};
use floe_surfaces::http::Method;

use super::super::caller::Opened as Caller;
use super::super::channels::no_channel;
use super::super::conn::{Context, Following};
use super::super::limits::Payer;
use super::super::standing::hidden;
use super::channel::number;
use super::community::Opened;
use super::{Admitted, Reactor};
use crate::reactor::envelope;
use crate::shard::{Failure, ReadPlan, SlotId};

impl<D: Disk> Reactor<D> {
    /// Serves what is asked of a room of a community besides its WebSocket.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(in crate::reactor) fn room_request(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        path: RoomPath<'_>,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        if method == Method::Options {
            self.out.clear();
            let envelope = envelope(&mut self.clock, self.conns.get(at), context);
            channels::write_preflight(&mut self.out, &envelope, Form::V1);
            return self.answer(at, context);
        }
        if method != path.method() {
            let message = "this path takes another method";
            return self.answer_error(at, context, Code::MethodNotAllowed, message);
        }
        let query = query.unwrap_or_default();
        let done = self.open_caller(at, &mut context, named, query, fields, body.len());
        let done = done.and_then(|(caller, token)| match path {
            RoomPath::Live(path) => {
                let opened = Opened {
                    id: path.id,
                    query,
                    last_event: last_event(fields)?,
                };
                self.follow_room(at, context, path, caller, token, &opened)
            }
            RoomPath::Presence(id) => self.page_presence(at, context, &caller, id, query),
            RoomPath::Broadcast(id) => self.post_broadcast(at, context, &caller, id, body),
        });
        if let Err(failure) = done {
            self.answer_refused_read(at, context, failure);
        }
    }

    /// Answers with a stream of events, or a poll.
    fn follow_room(
        &mut self,
        at: usize,
        context: Context,
        path: SocketPath<'_>,
        caller: Arc<Caller>,
        token: Option<Box<str>>,
        opened: &Opened<'_>,
    ) -> Result<(), Failure> {
        match text(opened.query, "poll")?.as_deref() {
            Some("true") => {
                return self.poll_room(at, context, path, &caller, token.as_deref(), opened);
            }
            None | Some("false") if context.old => {
                let message = "server-sent events come in chunks, which HTTP/1.0 has not";
                return Err(Failure::new(Code::InvalidRequest, message));
            }
            None | Some("false") => {}
            Some(_) => {
                return Err(Failure::new(
                    Code::InvalidRequest,
                    "`poll` is true or false",
                ));
            }
        }
        let admitted = Admitted {
            accept: None,
            opened: caller,
            token,
        };
        match path.kind {
            SocketKind::Waddle => self.open_waddle(at, context, admitted, opened),
            SocketKind::Channel => self.open_channel(at, context, admitted, opened),
            SocketKind::Voice => self.open_voice(at, context, admitted, opened),
        }
        Ok(())
    }

    /// Answers with a page of those who are in a waddle, or with how one of them is.
    fn page_presence(
        &mut self,
        at: usize,
        context: Context,
        caller: &Caller,
        id: &str,
        query: &str,
    ) -> Result<(), Failure> {
        let id: WaddleId = id.parse().map_err(|_| no_waddle())?;
        let (slot, _) = self.known_waddle(&caller.session, &id, Deed::Read)?;
        let limit = number(query, "limit")?.unwrap_or(PAGE.0);
        if !(1..=PAGE.1).contains(&limit) {
            let message = format!("`limit` is a number from 1 to {}", PAGE.1);
            return Err(Failure::new(Code::InvalidRequest, message));
        }
        let (after, one) = (text(query, "after")?, text(query, "userId")?);
        let statuses = self.shard.live(slot).map(|live| &live.statuses);
        let count = statuses.map_or(0, |statuses| statuses.count() as u64);
        let (users, has_more) = match (&one, statuses) {
            (Some(user), Some(statuses)) => (vec![statuses.of(user)], false),
            _ => presence_page(statuses, after.as_deref(), limit as usize),
        };
        let next = users.last().filter(|_| has_more).map(|shown| shown.user);
        let page = PresencePage {
            users: &users,
            count,
            next,
        };
        let mut out = Vec::new();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        write_presence_page(&mut out, &envelope, &page);
        self.out = out;
        self.answer(at, context);
        Ok(())
    }

    /// Tells all who are in a waddle what a body says.
    fn post_broadcast(
        &mut self,
        at: usize,
        context: Context,
        caller: &Caller,
        id: &str,
        body: &[u8],
    ) -> Result<(), Failure> {
        let id: WaddleId = id.parse().map_err(|_| no_waddle())?;
        let message = "the body is not JSON";
        let invalid = || Failure::new(Code::InvalidJson, message);
        let data: &serde_json::value::RawValue =
            serde_json::from_slice(body).map_err(|_| invalid())?;
        self.broadcast(&caller.session, &id, data.get())?;
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        write_broadcast_done(&mut self.out, &envelope);
        self.answer(at, context);
        Ok(())
    }

    /// Finds out who asks, and as whom; returns the channel token that was shown, too.
    fn open_caller(
        &mut self,
        at: usize,
        context: &mut Context,
        named: Option<Namespace>,
        query: &str,
        fields: &[httparse::Header<'_>],
        bytes: usize,
    ) -> Result<(Arc<Caller>, Option<Box<str>>), Failure> {
        let opening = Opening::read(query)
            .map_err(|reject| Failure::new(reject.code, reject.message.to_string()))?;
        let mut credentials =
            Credentials::read(fields.iter().map(|field| (field.name, field.value)));
        credentials.query(query);
        credentials.show(opening.token.unwrap_or_default());
        let mut caller = self.open_session(at, &credentials, named)?;
        if let Some(user) = &opening.user {
            caller = self.act_as(&caller, user)?;
            self.conns[at].session = Some(Arc::clone(&caller));
        }
        let payer = Payer::of(&caller, None);
        self.charge(at, context, &payer, None, bytes)?;
        Ok((caller, credentials.token().map(Into::into)))
    }

    /// Answers with what happened in a room after an event, once there is something.
    fn poll_room(
        &mut self,
        at: usize,
        context: Context,
        path: SocketPath<'_>,
        caller: &Caller,
        token: Option<&str>,
        opened: &Opened<'_>,
    ) -> Result<(), Failure> {
        let (slot, grant, kind) = match path.kind {
            SocketKind::Channel => {
                let id: ChannelId = path.id.parse().map_err(|_| no_channel())?;
                let wanted = Wanted::in_room(Deed::Read, Room::Channel(id));
                let grant = self.grant(&caller.session, token, &wanted)?;
                let slot = self.shard.find_channel(self.clock.wall, id)?;
                (slot.ok_or_else(no_channel)?, grant, PolledKind::Channel(id))
            }
            SocketKind::Voice => {
                return self.poll_voice_room(at, context, path.id, caller, token, opened);
            }
            SocketKind::Waddle => {
                let id: WaddleId = path.id.parse().map_err(|_| no_waddle())?;
                let (slot, grant) = self.known_waddle(&caller.session, &id, Deed::Read)?;
                (slot, grant, PolledKind::Waddle)
            }
        };
        let name = self.shard.room(slot).name().to_vec();
        let plan = self.shard.plan_read(self.clock.wall, &name, Start::Now)?;
        let (oldest, head) = (self.shard.room(slot).start(), plan.span.edge.tail);
        let following = kind.following(&grant);
        let recent = number(opened.query, "recent")?.unwrap_or(POLLED_RECENT);
        let after = opened.after()?;
        match after {
            Some(after) if oldest <= after && after < head => {
                self.answer_room_poll(at, context, slot, after, following);
            }
            Some(after) if after == head => {
                let mut plan: ReadPlan = plan;
                plan.span.from = after;
                self.start_long_poll(at, context, plan, 0, following);
            }
            Some(_) | None => {
                let from = head.saturating_sub(recent.min(POLLED_RECENT)).max(oldest);
                self.answer_room_poll(at, context, slot, from, following);
            }
        }
        Ok(())
    }

    /// Answers with who takes part in a voice room, once that is another than what the caller has seen.
    fn poll_voice_room(
        &mut self,
        at: usize,
        context: Context,
        id: &str,
        caller: &Caller,
        token: Option<&str>,
        opened: &Opened<'_>,
    ) -> Result<(), Failure> {
        let slot = self.see_voice(&caller.session, token, id)?;
        let after = opened.after()?;
        if after != Some(self.voice_version(slot)) {
            self.answer_voice_poll(at, context, slot, after.unwrap_or(0));
            return Ok(());
        }
        let name = self.shard.room(slot).name().to_vec();
        let mut plan = self.shard.plan_read(self.clock.wall, &name, Start::Now)?;
        plan.span.from = after.unwrap_or(0);
        let following = Following::Room {
            kind: PolledKind::Voice,
            hidden: Hidden::Stub,
        };
        self.start_long_poll(at, context, plan, 0, following);
        Ok(())
    }

    /// Answers whoever polls with what happened in a room from a unit on, and with how things are.
    pub(in crate::reactor) fn answer_room_poll(
        &mut self,
        at: usize,
        context: Context,
        slot: SlotId,
        from: u64,
        following: Following,
    ) {
        let Following::Room { kind, hidden } = following else {
            return;
        };
        if kind == PolledKind::Voice {
            return self.answer_voice_poll(at, context, slot, from);
        }
        let bytes_max = self.limits.read_chunk_bytes_max;
        let tail = self.shard.room(slot).visible().tail;
        let read = if from < tail {
            self.visible_events(slot, from, u64::MAX, bytes_max, hidden)
        } else {
            Ok((Vec::new(), tail))
        };
        let (events, next) = match read {
            Ok(read) => read,
            Err(failure) => return self.answer_failure(at, context, &failure),
        };
        let mut frames = Vec::new();
        match kind {
            PolledKind::Channel(id) => write_events(&mut frames, Carrier::List, id, &events),
            PolledKind::Waddle => {
                let shows_bans = hidden == Hidden::Mark;
                write_changes(&mut frames, Carrier::List, from + 1, &events, shows_bans);
            }
            PolledKind::Voice => {}
        }
        let live = self.shard.live(slot);
        let polled = Polled {
            frames: &frames,
            from,
            next,
            has_more: next < tail,
            live: live.filter(|live: &&LiveState| !live.is_empty()),
            is_channel: matches!(kind, PolledKind::Channel(_)),
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        write_polled(&mut self.out, &envelope, &polled);
        self.answer(at, context);
    }
}

/// What somebody polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum PolledKind {
    /// A channel.
    Channel(ChannelId),
    /// A waddle.
    Waddle,
    /// A voice room, whose places are versions of who takes part.
    Voice,
}

impl PolledKind {
    fn following(self, grant: &Grant) -> Following {
        let hidden = match self {
            Self::Channel(_) => hidden(grant.rights),
            // Who sees bans sees all.
            Self::Waddle
                if grant
                    .rights
                    .intersects(Rights::DELETE_ANY.with(Rights::MANAGE)) =>
            {
                Hidden::Mark
            }
            Self::Waddle | Self::Voice => Hidden::Stub,
        };
        Following::Room { kind: self, hidden }
    }
}

/// Users of a page where nothing is said, and at most.
const PAGE: (u64, u64) = (100, 1_000);

fn no_waddle() -> Failure {
    Failure::new(Code::NotFound, "there is no such waddle")
}

/// Reads a parameter that is a text.
fn text<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Failure> {
    param(query, name).map_err(|reject| Failure::new(reject.code, reject.message.to_string()))
}

/// Events of the log shown to whoever polls for the first time.
const POLLED_RECENT: u64 = 100;

/// Reads from which event a stream of events goes on.
fn last_event(fields: &[httparse::Header<'_>]) -> Result<Option<u64>, Failure> {
    let mut fields = fields.iter();
    let Some(field) = fields.find(|field| field.name.eq_ignore_ascii_case("last-event-id")) else {
        return Ok(None);
    };
    let number = std::str::from_utf8(field.value).ok();
    let number = number.and_then(|number| number.trim().parse().ok());
    let message = "`Last-Event-ID` is the number of an event";
    number
        .map(Some)
        .ok_or_else(|| Failure::new(Code::InvalidRequest, message))
}
