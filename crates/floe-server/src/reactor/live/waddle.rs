//! WebSockets of waddles: `/ws/waddle/<id>`. What they are told is for
//! [`waddle_telling`](super::waddle_telling).

use std::sync::Arc;

use floe_core::community::{Act, By};
use floe_core::live::Status;
use floe_log::Disk;
use floe_proto::community::WaddleId;
use floe_proto::{ChannelId, Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Grant, Room, Session, Wanted};
use floe_surfaces::community::common::param;
use floe_surfaces::community::waddle::{self, Action, write_broadcast};
use floe_surfaces::community::{Incoming, Welcome, write_pong, write_welcome};
use floe_surfaces::live::PresenceMode;
use serde_json::json;

use super::super::caller::full_name;
use super::super::channels::no_channel;
use super::super::conn::{Context, Place};
use super::super::shards::ShardSeat;
use super::commands::forbidden;
use super::community::{Begun, CommunityRoom, Opened, join_of};
use super::telling::NOTHING_SEEN;
use super::{Admitted, Join, Reactor};
use crate::shard::{self, Failure, SlotId};

/// What a WebSocket has been told of the waddle that it is for.
#[derive(Debug)]
pub(in crate::reactor) struct WaddleSession {
    /// Which.
    pub waddle: WaddleId,
    /// What it missed that is gone: the oldest message that is kept, and the newest.
    pub reload: Option<(u64, u64)>,
    /// Its place in one of the waddle's shards.
    pub seat: ShardSeat,
    /// The version of the statuses that it has seen.
    pub statuses_seen: u64,
    /// The version of the newest broadcast that it has got.
    pub broadcasts_seen: u64,
}

/// Somebody who has come to a waddle.
struct Entered {
    join: Join,
    session: WaddleSession,
    /// What must be durable before the welcome.
    needs: u64,
    status: Option<Status>,
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of a waddle.
    pub(super) fn open_waddle(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        opened: &Opened<'_>,
    ) {
        let entered = match self.enter_waddle(at, &admitted, opened) {
            Ok(entered) => entered,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let Entered {
            join,
            session,
            needs,
            status,
        } = entered;
        let (slot, user) = (join.slot, join.user.clone());
        let is_seen = join.is_member();
        let begun = Begun {
            join,
            room: CommunityRoom::Waddle(session),
            needs,
        };
        self.begin_room(at, context, admitted, begun, |reactor| {
            let (ticket, now) = (reactor.conns[at].ticket(at), reactor.clock.wall);
            // What is there is told even if it is nothing.
            reactor.shard.change_live(slot, now, |_, _| ());
            if let Some(user) = user.filter(|_| is_seen) {
                let joined = reactor.shard.change_live(slot, now, |live, timers| {
                    live.statuses.join(ticket.0, &user, status, now, timers)
                });
                joined.map_err(|error| Failure::new(error.code(), error.to_string()))?;
            }
            Ok(())
        });
    }

    fn enter_waddle(
        &mut self,
        at: usize,
        admitted: &Admitted<'_>,
        opened: &Opened<'_>,
    ) -> Result<Entered, Failure> {
        let invalid = |message: &'static str| Failure::new(Code::InvalidRequest, message);
        let missing = || Failure::new(Code::NotFound, "there is no such waddle");
        let waddle: WaddleId = opened.id.parse().map_err(|_| missing())?;
        let text = |name| param(opened.query, name).map_err(|_| invalid("the query is no text"));
        let joins = match text("join")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err(invalid("`join` is true or false")),
        };
        let status = match text("status")? {
            None => None,
            Some(word) => Some(
                Status::of_word(&word)
                    .ok_or_else(|| invalid("`status` is online, idle, dnd, away or offline"))?,
            ),
        };
        let after = opened.after()?;
        let session = &Arc::clone(&admitted.opened).session;
        let path = waddle.path();
        let name = full_name(session, path.as_bytes()).into_owned();
        if joins && session.caller().user.is_some() {
            self.join_waddle(at, session, &name)?;
        }
        // Whether it is there is for those to know who may see it.
        let (slot, grant) = self.known_waddle(session, &waddle, Deed::Read)?;
        self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
        self.admit_reader(at, slot)?;
        let room = self.shard.room(slot);
        let (oldest, head, needs) = (
            room.start() + 1,
            room.visible().tail,
            if joins { room.staged().tail } else { 0 },
        );
        let gone = after.is_some_and(|after| after + 1 < oldest || after > head);
        let mut join = join_of(grant, slot, opened.id);
        join.next = after.filter(|_| !gone).unwrap_or(head);
        if join.user.is_some() && join.rights.contains(Rights::PRESENCE) {
            join.presence = PresenceMode::Member;
        }
        let seat = self.take_shard_seat(slot, join.user.as_deref())?;
        let session = WaddleSession {
            waddle,
            seat,
            reload: gone.then_some((oldest, head)),
            statuses_seen: NOTHING_SEEN,
            // What was told before is for those who were there.
            broadcasts_seen: NOTHING_SEEN,
        };
        Ok(Entered {
            join,
            session,
            needs,
            status,
        })
    }

    /// Lets the user of a session into a waddle that everyone may join.
    fn join_waddle(&mut self, at: usize, session: &Session, name: &[u8]) -> Result<(), Failure> {
        let now = self.clock.wall;
        let by = By {
            user: session.caller().user.as_deref(),
            is_operator: false,
        };
        let deed = shard::Deed {
            act: &Act::Join,
            by,
            reason: None,
        };
        if self.shard.would_act(now, name, &deed)?.is_empty() {
            return Ok(());
        }
        let (namespace, path) = Namespace::split(name);
        let waddle = WaddleId::of_path(path);
        let target = json!({ "waddle": waddle.as_ref().map(WaddleId::as_str), "user": by.user });
        let log = namespace.parse().unwrap_or_default();
        self.log_done(at, session.caller(), &log, "waddle.join", target)?;
        self.metrics.waddle_act("join");
        // The welcome says that it is done, and waits for that by itself.
        let unheard = Place {
            at,
            generation: self.conns[at].generation,
            command: u16::MAX,
        };
        self.shard.act(now, unheard.ticket(), name, &deed);
        Ok(())
    }

    /// Writes the welcome to a waddle.
    pub(super) fn welcome_to_waddle(
        &self,
        out: &mut Vec<u8>,
        join: &Join,
        session: &WaddleSession,
    ) {
        let limits = &self.limits;
        let shard = self.shard_name(session.waddle.as_str(), session.seat);
        let welcome = Welcome {
            room: &join.room,
            user: join.user.as_deref(),
            heartbeat_ms: limits.live_ping_ms,
            sequence: Some(self.shard.room(join.slot).visible().tail),
            limits: &[
                ("frameBytes", limits.live_message_bytes_max.into()),
                ("presenceTold", limits.presence_told_max as u64),
            ],
            shard: shard.as_deref(),
        };
        write_welcome(out, &welcome);
    }

    /// Does what a frame asks of a waddle.
    pub(super) fn heard_in_waddle(
        &mut self,
        at: usize,
        waddle: &WaddleId,
        incoming: &Incoming<'_>,
    ) {
        let label = &incoming.label;
        let done = match waddle::read_action(incoming) {
            Ok(Action::Ping) => return self.tell_message(at, |out| write_pong(out, label)),
            Ok(Action::Presence(status)) => self.set_status(at, status),
            Ok(Action::Typing { channel, typing }) => {
                self.relay_typing(at, waddle, channel, typing)
            }
            Ok(Action::Broadcast { data }) => self.broadcast_from_socket(at, waddle, data),
            Err(refusal) => return self.tell_refusal(at, &refusal),
        };
        match done {
            Ok(()) => self.acknowledge_frame(at, label),
            Err(failure) => self.fail_frame(at, label, failure),
        }
    }

    fn set_status(&mut self, at: usize, status: Status) -> Result<(), Failure> {
        let Some(slot) = self.one_join(at).map(|join| join.slot) else {
            return Ok(());
        };
        let (ticket, now) = (self.conns[at].ticket(at), self.clock.wall);
        let changed = self.shard.change_live(slot, now, |live, _| {
            live.statuses.update(ticket.0, status, now)
        });
        changed.map_err(|error| {
            if error.code() == Code::NotJoined {
                return forbidden();
            }
            Failure::new(error.code(), error.to_string())
        })
    }

    /// Tells a channel of the waddle that the connection's user is writing something there.
    fn relay_typing(
        &mut self,
        at: usize,
        waddle: &WaddleId,
        channel: ChannelId,
        typing: bool,
    ) -> Result<(), Failure> {
        let Some(opened) = self.live_ref(at).map(|live| Arc::clone(&live.opened)) else {
            return Ok(());
        };
        let wanted = Wanted::in_room(Deed::Append, Room::Channel(channel));
        let grant = self.grant(&opened.session, None, &wanted)?;
        let slot = self.shard.find_channel(self.clock.wall, channel)?;
        let slot = slot.ok_or_else(no_channel)?;
        if self.shard.room(slot).waddle() != Some(waddle) {
            return Err(no_channel());
        }
        let user = grant.author.clone().ok_or_else(forbidden)?;
        self.type_in_channel(slot, &grant, &user, typing)
    }

    fn broadcast_from_socket(
        &mut self,
        at: usize,
        waddle: &WaddleId,
        data: &str,
    ) -> Result<(), Failure> {
        let Some(opened) = self.live_ref(at).map(|live| Arc::clone(&live.opened)) else {
            return Ok(());
        };
        self.broadcast(&opened.session, waddle, data)
    }

    /// Tells all who are in a waddle something, and nobody later.
    ///
    /// # Errors
    /// [`Code::Forbidden`] for whoever may not write there or is no moderator.
    pub(in crate::reactor) fn broadcast(
        &mut self,
        session: &Session,
        waddle: &WaddleId,
        data: &str,
    ) -> Result<(), Failure> {
        if data.len() > BROADCAST_BYTES_MAX {
            let message = format!("a broadcast has at most {BROADCAST_BYTES_MAX} bytes of data");
            return Err(Failure::new(Code::BodyTooLarge, message));
        }
        let (slot, grant) = self.known_waddle(session, waddle, Deed::Append)?;
        let above = Rights::DELETE_ANY.with(Rights::MANAGE);
        if !grant.rights.contains(Rights::APPEND) || !grant.rights.intersects(above) {
            return Err(forbidden());
        }
        let now = self.clock.wall;
        let mut frame = Vec::new();
        write_broadcast(&mut frame, data, grant.author.as_deref(), &now.rfc3339());
        self.shard
            .change_live(slot, now, |live, _| live.broadcasts.push(&frame));
        Ok(())
    }

    /// Finds a waddle for somebody who wants something of it.
    ///
    /// # Errors
    /// When it is not there, or not for them.
    pub(in crate::reactor) fn known_waddle(
        &mut self,
        session: &Session,
        waddle: &WaddleId,
        deed: Deed,
    ) -> Result<(SlotId, Grant), Failure> {
        let path = waddle.path();
        let name = full_name(session, path.as_bytes()).into_owned();
        let grant = self.admit_stream(session, path.as_bytes(), deed)?;
        let slot = self.shard.waddle(self.clock.wall, &name)?;
        Ok((slot, grant))
    }

    fn one_join(&self, at: usize) -> Option<&Join> {
        self.live_ref(at)?.joins.first()
    }
}

/// Bytes of what one broadcast says.
pub(in crate::reactor) const BROADCAST_BYTES_MAX: usize = 16 << 10;
