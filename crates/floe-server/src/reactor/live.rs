//! WebSockets of the live protocol: one connection, many rooms.
//!
//! Bytes come in through the connection's decoder, frames become commands, and what rooms have to
//! say is pulled from the log and from live state when the socket takes more. So a connection
//! queues nothing but answers to what it asked, and it is not read on while those wait.

mod auth;
mod channel;
mod channel_telling;
mod commands;
pub(super) mod community;
mod events;
mod memory;
mod table;
mod table_calls;
mod table_followed;
mod table_sync;
mod table_telling;
mod table_watching;
mod telling;
mod voice;
mod waddle;
mod waddle_telling;

pub(super) use self::channel::MovedMark;
pub(super) use self::events::PolledKind;
pub(super) use self::memory::page as memory_page;
pub(super) use self::telling::{entry, is_typing};
pub(super) use self::voice::voice_failure;

use std::sync::Arc;

use floe_core::live::Leave;
use floe_log::Disk;
use floe_proto::{Code, Millis, Namespace, Retry, Rights};
use floe_surfaces::access::{Credentials, Deed};
use floe_surfaces::channels::{Hidden, write_sse_head};
use floe_surfaces::community::{Carrier, Label, Opening, write_farewell, write_goodbye};
use floe_surfaces::http::Method;
use floe_surfaces::live::{self, Format, FrameId, PresenceMode};
use floe_surfaces::ws::{self, Decoder, Deflate, Item, Offer, Opcode, Role, WsError};

use super::caller::Opened;
use super::conn::{Context, Place, State};
use super::limits::Payer;
use super::readers::write_chunk;
use super::{Reactor, envelope};
use crate::metrics::{ENDED_BY_CLIENT, ENDED_LOST};
use crate::shard::{Failure, Reply, SlotId, Ticket};

use community::{CommunityRoom, CommunitySession};
use table::TableSession;
use table_calls::TableCall;
pub(super) use table_sync::SyncCallers;
use telling::Wire;
pub(super) use telling::{SharedFrames, member};

/// What a WebSocket is besides a connection.
#[derive(Debug)]
pub struct Live {
    decoder: Decoder,
    format: Format,
    /// How messages are compressed, where that was agreed on.
    deflate: Option<Deflate>,
    /// Who speaks, where no channel token says otherwise.
    pub(super) opened: Arc<Opened>,
    /// The channel token that was shown at the handshake.
    token: Option<Box<str>>,
    pub(super) joins: Vec<Join>,
    /// Commands that wait for the disk, oldest first.
    awaited: Vec<Awaited>,
    /// Credentials of which it is being found out whose they are; nothing is heard until then.
    asking: Option<Box<auth::Asking>>,
    /// What it is for.
    purpose: Purpose,
    /// Calls of rooms with tables that have not been answered.
    calls: Vec<TableCall>,
    next_command: u16,
    /// Whether something came since the connection was last looked at.
    heard: bool,
    /// Whether a ping has gone out since.
    pinged: bool,
    /// Uptime at which the connection is looked at if nothing comes.
    silent_ms: u64,
}

/// What a WebSocket is for.
#[derive(Debug, Default)]
enum Purpose {
    /// Rooms of all kinds, in the words of the live protocol.
    #[default]
    Rooms,
    /// One room with tables: what it has asked of that.
    Table(Box<TableSession>),
    /// One room of a community.
    Community(Box<CommunitySession>),
}

/// A room that the connection follows.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) slot: SlotId,
    room: Box<str>,
    /// The unit that comes next.
    next: u64,
    /// Whether events are wanted.
    events: bool,
    /// Whether the client knows that it has all of history.
    is_live: bool,
    pub(super) rights: Rights,
    pub(super) hidden: Hidden,
    /// Whether a channel's token let it in.
    pub(super) by_token: bool,
    /// In whose name it speaks, whatever it says itself.
    author: Option<Box<str>>,
    /// In whose name it speaks where it says nothing.
    user: Option<Box<str>>,
    /// When the token ends that let it in.
    pub(super) ends_at: Option<Millis>,
    /// The namespace that the room is of.
    namespace: Option<Namespace>,
    presence: PresenceMode,
    presence_seen: u64,
    /// The prefix of the keys that are wanted.
    memory: Option<Box<str>>,
    memory_seen: u64,
}

/// A command whose outcome is not durable yet.
#[derive(Debug)]
struct Awaited {
    command: u16,
    /// What the answer repeats.
    label: Label<'static>,
    room: Box<str>,
    /// Units that it appends to a stream.
    units: u64,
}

/// A request to become a WebSocket.
struct Upgrade<'f> {
    method: Method,
    named: Option<Namespace>,
    query: Option<&'f str>,
    fields: &'f [httparse::Header<'f>],
    protocols: &'static [&'static str],
    /// Whether a token may come among the subprotocols, and as any parameter `token`.
    token: bool,
}

/// A connection that may become a WebSocket.
struct Admitted<'f> {
    /// What was agreed on; nothing where frames come as server-sent events.
    accept: Option<ws::Accept<'f>>,
    opened: Arc<Opened>,
    token: Option<Box<str>>,
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of the live protocol.
    pub(super) fn open_live(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
    ) {
        let asked = Upgrade {
            method,
            named,
            query,
            fields,
            protocols: live::PROTOCOLS,
            token: false,
        };
        let Some(admitted) = self.admit_socket(at, &mut context, asked) else {
            return;
        };
        self.begin_live(at, context, admitted, Purpose::Rooms);
        let connection = format!("{:x}", self.conns[at].ticket(at).0);
        let welcome = live::Welcome {
            connection: &connection,
            heartbeat_ms: self.limits.live_ping_ms,
            limits: live::Limits {
                frame_bytes: self.limits.live_message_bytes_max.into(),
                rooms: self.limits.live_rooms_max as u64,
                content_chars: self.limits.channel_content_chars_max as u64,
                batch_events: self.bounds.batch_events_max as u64,
                presence_bytes: self.limits.presence_data_bytes_max as u64,
                memory_value_bytes: self.limits.memory_value_bytes_max as u64,
            },
        };
        let format = self.live_ref(at).map_or(Format::Json, |live| live.format);
        live::write_welcome(&mut self.out, format, &welcome);
        self.await_sound(at);
        self.send(at);
    }

    /// Decides whether a connection may become a WebSocket, and answers it if it may not.
    fn admit_socket<'f>(
        &mut self,
        at: usize,
        context: &mut Context,
        asked: Upgrade<'f>,
    ) -> Option<Admitted<'f>> {
        let Upgrade {
            method,
            named,
            query,
            fields,
            protocols,
            token,
        } = asked;
        let headers = || fields.iter().map(|field| (field.name, field.value));
        let offer = Offer {
            protocols,
            deflate: self.compression,
            token,
        };
        self.out.clear();
        let accept = if context.old {
            Err(ws::Reject {
                code: Code::UpgradeRequired,
                message: "a WebSocket takes HTTP/1.1",
            })
        } else {
            ws::handshake(method, headers(), &offer)
        };
        let accept = match accept {
            Ok(accept) => accept,
            Err(reject) => {
                self.metrics.error(reject.code);
                let envelope = envelope(&mut self.clock, self.conns.get(at), *context);
                ws::write_reject(&mut self.out, &envelope, &reject);
                self.answer(at, *context);
                return None;
            }
        };
        let known_origin = live::origin_allowed(accept.origin, accept.host, &self.origins);
        let mut credentials = Credentials::read(headers());
        credentials.query(query.unwrap_or_default());
        if token {
            let shown = Opening::read(query.unwrap_or_default()).map(|opening| opening.token);
            let shown = accept.token.map(Into::into).or(shown.unwrap_or_default());
            credentials.show(shown.unwrap_or_default());
        } else {
            credentials.query_token(query.and_then(super::channels::token_in).map(Into::into));
        }
        let opened = self.open_session(at, &credentials, named);
        let may_come = known_origin
            || opened.as_ref().is_ok_and(|opened| {
                let namespace = opened.session.namespace().cloned().unwrap_or_default();
                let settings = self.settings_of(&namespace);
                settings.is_some_and(|settings| {
                    live::origin_allowed(accept.origin, accept.host, &settings.origins)
                })
            });
        if !may_come {
            let message = "this page's origin may not open live connections";
            self.answer_error(at, *context, Code::OriginRejected, message);
            return None;
        }
        let opened = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                self.answer_failure(at, *context, &failure);
                return None;
            }
        };
        let payer = Payer::of(&opened, None);
        if let Err(failure) = self.charge(at, context, &payer, None, 0) {
            self.answer_failure(at, *context, &failure);
            return None;
        }
        Some(Admitted {
            accept: Some(accept),
            opened,
            token: credentials.token().map(Into::into),
        })
    }

    /// Makes an admitted connection a WebSocket, and writes the answer to its handshake.
    fn begin_live(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        purpose: Purpose,
    ) {
        let Admitted {
            accept,
            opened,
            token,
        } = admitted;
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        match &accept {
            Some(accept) => ws::write_accept(&mut self.out, &envelope, accept),
            None => write_sse_head(&mut self.out, &envelope),
        }
        let protocol = accept.as_ref().and_then(|accept| accept.protocol);
        let deflate = accept.as_ref().and_then(|accept| accept.deflate);
        let conn = &mut self.conns[at];
        conn.page = None;
        conn.state = State::Live(Box::new(Live {
            decoder: Decoder::new(Role::Server, self.limits.live_message_bytes_max)
                .with_deflate(deflate),
            format: Format::of_protocol(protocol),
            deflate,
            opened,
            token,
            joins: Vec::new(),
            awaited: Vec::new(),
            asking: None,
            purpose,
            calls: Vec::new(),
            next_command: 0,
            heard: true,
            pinged: false,
            silent_ms: 0,
        }));
        self.sockets += 1;
        self.metrics.websockets(self.sockets);
    }

    /// Takes in bytes of a WebSocket; returns how many it is done with, `None` when the connection
    /// is gone.
    ///
    /// What is left is to be handed in again once the connection has taken its answers.
    pub(super) fn hear(&mut self, at: usize, data: &mut [u8]) -> Option<usize> {
        let live = self.live_mut(at)?;
        live.heard = true;
        if live.wire().carrier == Carrier::Events {
            // Who follows a stream of events has nothing to say there.
            return Some(data.len());
        }
        let placeholder = Decoder::new(Role::Server, 0);
        let mut decoder = std::mem::replace(&mut live.decoder, placeholder);
        let mut used = 0;
        while !self.is_held(at) {
            match decoder.next(&mut data[used..]) {
                Ok(step) => {
                    used += step.used;
                    match step.item {
                        Some(item) => self.heard_item(at, item),
                        None => break,
                    }
                }
                Err(error) => {
                    self.break_off(at, error);
                    break;
                }
            }
        }
        if let Some(live) = self.live_mut(at) {
            live.decoder = decoder;
            self.tell_followed(at);
        }
        if self.live_ref(at).is_some() {
            return Some(used);
        }
        // What comes after the end of the protocol is of no matter.
        self.conns.contains(at).then_some(data.len())
    }

    /// Returns whether a WebSocket is not listened to, until it takes its answers.
    pub(super) fn is_held(&self, at: usize) -> bool {
        let Some(conn) = self.conns.get(at) else {
            return true;
        };
        self.held_ms(at) > 0
            || conn.live().is_none_or(|live| {
                !conn.output.is_empty()
                    || live.asking.is_some()
                    || live.awaiting() >= self.limits.live_commands_max
            })
    }

    fn heard_item(&mut self, at: usize, item: Item<'_>) {
        match item {
            Item::Text(text) => match self.live_ref(at).map(|live| &live.purpose) {
                Some(Purpose::Table(_)) => self.heard_table_frame(at, text.as_bytes()),
                Some(Purpose::Community(_)) => self.heard_community_frame(at, text.as_bytes()),
                Some(Purpose::Rooms) | None => {
                    self.heard_frame(at, Format::Json, text.as_bytes());
                }
            },
            Item::Binary(bytes) => match self.live_ref(at).map(|live| &live.purpose) {
                Some(Purpose::Table(_)) => self.heard_table_bytes(at),
                Some(Purpose::Community(_)) => self.heard_community_bytes(at),
                Some(Purpose::Rooms) | None => self.heard_frame(at, Format::Cbor, bytes),
            },
            Item::Ping(payload) => {
                self.out.clear();
                ws::write_frame(&mut self.out, Opcode::Pong, payload);
                self.send(at);
            }
            Item::Pong(_) => {}
            Item::Close(reason) => {
                self.out.clear();
                match reason {
                    Some((code, _)) => ws::write_close(&mut self.out, code, ""),
                    None => ws::write_frame(&mut self.out, Opcode::Close, b""),
                }
                let said = Leave::Lost;
                self.ending = Some(ENDED_BY_CLIENT);
                self.end_live(at, said);
            }
        }
    }

    /// Ends a WebSocket whose client broke the protocol's rules.
    fn break_off(&mut self, at: usize, error: WsError) {
        self.metrics.error(Code::InvalidFrame);
        self.ending = Some(Code::InvalidFrame.as_str());
        self.out.clear();
        ws::write_close(&mut self.out, error.close_code(), &error.to_string());
        self.end_live(at, Leave::Lost);
    }

    /// Tells a WebSocket why it ends, and ends it.
    pub(super) fn dismiss(&mut self, at: usize, code: Code, message: &str) {
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let format = live.format;
        let (is_table, is_community) = (live.table().is_some(), live.community().is_some());
        let carrier = live.wire().carrier;
        // Whoever may not come back is gone at once.
        let leave = match code.retry() {
            Retry::Never => Leave::Said,
            Retry::Later | Retry::Reconnect => Leave::Lost,
        };
        self.metrics.error(code);
        self.ending = Some(code.as_str());
        self.out.clear();
        if is_table {
            self.write_table_goodbye(code, message);
        } else if carrier == Carrier::Events {
            let mut farewell = Vec::new();
            write_farewell(&mut farewell, code, message);
            write_chunk(&mut self.out, &farewell);
            self.out.extend_from_slice(b"0\r\n\r\n");
        } else if is_community {
            write_goodbye(&mut self.out, code, message);
        } else {
            live::write_goodbye(&mut self.out, format, code, message);
        }
        self.end_live(at, leave);
    }

    /// Sends the last bytes, which are in `self.out`, and ends the connection.
    fn end_live(&mut self, at: usize, leave: Leave) {
        self.forget_live(at, leave);
        let context = Context {
            close: true,
            ..Context::default()
        };
        self.answer(at, context);
    }

    /// Takes a WebSocket out of all its rooms.
    pub(super) fn forget_live(&mut self, at: usize, leave: Leave) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        let (ticket, client) = (conn.ticket(at), conn.client);
        if !matches!(conn.state, State::Live(_)) {
            return;
        }
        let State::Live(live) = std::mem::replace(&mut conn.state, State::Closing) else {
            return;
        };
        self.sockets -= 1;
        self.metrics.websockets(self.sockets);
        let reason = self.ending.take().unwrap_or(ENDED_LOST);
        self.metrics.websocket_ended(reason);
        // A room that is gone may leave memory with its last reader.
        if let Purpose::Community(session) = &live.purpose {
            let whose = (&live.opened, client);
            self.end_community(ticket, &live.joins, session, leave, whose);
        }
        for join in &live.joins {
            self.leave_room(ticket, join, leave);
        }
        match live.purpose {
            Purpose::Rooms => {}
            Purpose::Community(session) => {
                if let CommunityRoom::Waddle(waddle) = session.room {
                    self.leave_shard_seat(waddle.seat);
                }
            }
            Purpose::Table(session) => self.end_table_session(*session),
        }
    }

    fn leave_room(&mut self, ticket: Ticket, join: &Join, leave: Leave) {
        let now = self.clock.wall;
        if join.presence == PresenceMode::Member {
            self.shard.leave_live(join.slot, ticket.0, leave, now);
        }
        self.readers -= 1;
        self.uncount_reader(Place::of(ticket).at);
        self.shard.remove_reader(join.slot, ticket);
        self.note_left(join.slot);
    }

    /// Looks after a WebSocket that has been silent.
    pub(super) fn time_out_live(&mut self, at: usize) {
        if !self.end_outlived(at) || self.tell_owed(at) {
            return;
        }
        let uptime_ms = self.clock.uptime_ms;
        let Some(live) = self.live_mut(at) else {
            return;
        };
        if uptime_ms < live.silent_ms {
            // Or it is read again, after it went too fast.
            let deadline_ms = live.silent_ms.min(self.outlives_ms(at));
            return self.set_deadline(at, deadline_ms);
        }
        if live.wire().carrier == Carrier::Events {
            self.out.clear();
            write_chunk(&mut self.out, b":\n\n");
            self.send(at);
            return self.await_sound(at);
        }
        if live.pinged && !live.heard {
            let message = "nothing came for twice live.ping_ms, not even a pong";
            return self.dismiss(at, Code::RequestTimeout, message);
        }
        live.pinged = !live.heard;
        let ping = live.pinged;
        live.heard = false;
        if ping {
            self.out.clear();
            ws::write_frame(&mut self.out, Opcode::Ping, b"");
            self.send(at);
        }
        self.await_sound(at);
    }

    /// Sets the time at which a WebSocket is looked at if it stays silent.
    pub(super) fn await_sound(&mut self, at: usize) {
        if self
            .conns
            .get(at)
            .is_some_and(|conn| conn.output.is_empty())
        {
            let next_ms = self.clock.uptime_ms + self.limits.live_ping_ms;
            let silent_ms = next_ms.next_multiple_of(super::readers::DEADLINE_GRID_MS);
            if let Some(live) = self.live_mut(at) {
                live.silent_ms = silent_ms;
            }
            let held_ms = Some(self.held_ms(at)).filter(|held_ms| *held_ms > 0);
            let deadline_ms = silent_ms.min(self.outlives_ms(at));
            self.set_deadline(at, deadline_ms.min(held_ms.unwrap_or(u64::MAX)));
        }
    }

    /// Writes the answer to a command of a WebSocket into `self.out`.
    pub(super) fn answer_live(&mut self, at: usize, command: u16, reply: Reply) {
        let Some(live) = self.live_mut(at) else {
            return;
        };
        let awaited = live.awaited.iter().position(|one| one.command == command);
        let Some(awaited) = awaited.map(|place| live.awaited.remove(place)) else {
            return;
        };
        if let Purpose::Community(_) = live.purpose {
            let user = live.joins.first().and_then(|join| join.user.clone());
            if let (Reply::Marked(marked), Some(user)) = (&reply, user) {
                self.note_mark(at, user, *marked);
            }
            return self.answer_community(&awaited.label, &reply);
        }
        let format = live.format;
        let (id, room) = (awaited.label.id.as_ref(), &*awaited.room);
        let ack = |seq, count, duplicate| live::Ack {
            id,
            room,
            seq: Some(seq),
            count: Some(count),
            duplicate,
            version: None,
        };
        match reply {
            Reply::Events(appended) => {
                let last = appended.first_seq + appended.count - 1;
                let ack = ack(last, appended.count, appended.duplicate);
                live::write_ack(&mut self.out, format, &ack);
            }
            Reply::Appended { edge, .. } => {
                let ack = ack(edge.tail, awaited.units, false);
                live::write_ack(&mut self.out, format, &ack);
            }
            Reply::Refused(refused) => {
                self.metrics.error(refused.code());
                let message = refused.to_string();
                live::write_error(
                    &mut self.out,
                    format,
                    id,
                    Some(room),
                    refused.code(),
                    &message,
                );
            }
            Reply::Failed(failure) => {
                self.metrics.error(failure.code);
                write_failure(&mut self.out, format, id, Some(room), &failure);
            }
            Reply::Created { .. }
            | Reply::Deleted
            | Reply::Channel(_)
            | Reply::Access(_)
            | Reply::Marked(_)
            | Reply::Reads(_)
            | Reply::Acted(_)
            | Reply::Told => {
                unreachable!("a WebSocket creates and deletes nothing")
            }
        }
    }

    pub(super) fn live_mut(&mut self, at: usize) -> Option<&mut Live> {
        self.conns.get_mut(at)?.live_mut()
    }

    pub(super) fn live_ref(&self, at: usize) -> Option<&Live> {
        self.conns.get(at)?.live()
    }

    /// Returns the ticket of the next command, and notes what it needs to be answered.
    fn await_command(&mut self, at: usize, label: Label<'_>, room: &str, units: u64) -> Ticket {
        let generation = self.conns[at].generation;
        let mut command = 0;
        if let Some(live) = self.live_mut(at) {
            command = live.take_command();
            live.awaited.push(Awaited {
                command,
                label: label.into_owned(),
                room: room.into(),
                units,
            });
        }
        let place = Place {
            at,
            generation,
            command,
        };
        place.ticket()
    }
}

impl Purpose {
    fn community_mut(&mut self) -> Option<&mut CommunitySession> {
        match self {
            Self::Community(session) => Some(session),
            Self::Rooms | Self::Table(_) => None,
        }
    }
}

impl Live {
    /// Returns what it has asked of the one room with tables that it is for.
    fn table(&self) -> Option<&TableSession> {
        match &self.purpose {
            Purpose::Table(session) => Some(session),
            Purpose::Rooms | Purpose::Community(_) => None,
        }
    }

    fn table_mut(&mut self) -> Option<&mut TableSession> {
        match &mut self.purpose {
            Purpose::Table(session) => Some(session),
            Purpose::Rooms | Purpose::Community(_) => None,
        }
    }

    /// Returns the number of the next command.
    const fn take_command(&mut self) -> u16 {
        let command = self.next_command;
        self.next_command = command.wrapping_add(1);
        command
    }

    /// Returns the one room of a community that it is for.
    fn community(&self) -> Option<&CommunitySession> {
        match &self.purpose {
            Purpose::Community(session) => Some(session),
            Purpose::Rooms | Purpose::Table(_) => None,
        }
    }

    fn community_mut(&mut self) -> Option<&mut CommunitySession> {
        self.purpose.community_mut()
    }

    /// Returns how the connection wants its frames.
    fn wire(&self) -> Wire {
        Wire {
            format: self.format,
            deflate: self.deflate,
            carrier: self
                .community()
                .map_or(Carrier::Socket, |session| session.carrier),
        }
    }

    /// Returns the bytes of a frame that has begun to arrive.
    pub(super) fn memory(&self) -> usize {
        self.decoder.memory()
    }

    /// Returns how many commands and calls have not been answered.
    fn awaiting(&self) -> usize {
        self.awaited.len() + self.calls.len()
    }

    /// Returns whether the connection follows a room.
    pub(super) fn follows(&self, slot: SlotId) -> bool {
        self.joins.iter().any(|join| join.slot == slot)
    }

    /// Returns whether the connection follows a room because a token lets it.
    pub(super) fn follows_by_token(&self, slot: SlotId) -> bool {
        let mut joins = self.joins.iter();
        joins.any(|join| join.slot == slot && join.by_token)
    }

    /// Returns who the connection speaks for.
    pub(super) fn session(&self) -> &floe_surfaces::access::Session {
        &self.opened.session
    }

    /// Returns the rooms that it follows because of who that is.
    pub(super) fn rooms(&self) -> impl Iterator<Item = SlotId> {
        let joins = self.joins.iter().filter(|join| !join.by_token);
        joins.map(|join| join.slot)
    }

    fn join(&self, room: &str) -> Option<&Join> {
        self.joins.iter().find(|join| *join.room == *room)
    }
}

impl Join {
    /// Returns whether others see the connection in the room.
    pub(super) fn is_member(&self) -> bool {
        self.presence == PresenceMode::Member
    }

    /// Returns what the connection does in the room, as far as it matters to whether it may.
    pub(super) fn deed(&self) -> Deed {
        let watches = self.memory.is_some() || self.presence != PresenceMode::None;
        if self.events || watches {
            Deed::Read
        } else {
            Deed::Enter
        }
    }

    /// Returns whether the token that let the connection in has ended.
    fn has_ended(&self, now: Millis) -> bool {
        self.ends_at.is_some_and(|ends_at| ends_at <= now)
    }
}

/// Writes an `error` frame for a failure.
fn write_failure(
    out: &mut Vec<u8>,
    format: Format,
    id: Option<&FrameId<'_>>,
    room: Option<&str>,
    failure: &Failure,
) {
    let (code, message) = (failure.code, &*failure.message);
    match failure.retry_after_ms {
        0 => live::write_error(out, format, id, room, code, message),
        ms => live::write_error_later(out, format, id, room, (code, message), ms),
    }
}

const TOKEN_ENDED: &str = "the token has ended";

/// Returns whether a path speaks the live protocol.
pub(super) fn is_live_path(path: &str) -> bool {
    path == live::LIVE_PATH
}
