//! WebSockets of one room with tables: `/connect`.
//!
//! Such a connection is one of the live protocol that has joined one room and speaks other words. What
//! it [calls](super::table_calls) is done as over HTTP ([`tables`](super::super::tables)); what it
//! [watches](super::table_watching) is told by [`table_telling`](super::table_telling).

use std::sync::Arc;

use floe_log::Disk;
use floe_proto::table::TableError;
use floe_proto::{Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Grant, Wanted};
use floe_surfaces::http::Method as HttpMethod;
use floe_surfaces::limits::RateKind;
use floe_surfaces::live::PresenceMode;
use floe_surfaces::tables::{self, Action, Method, Refusal, Resume, Rpc, Scope};
use floe_surfaces::ws;

use super::super::conn::Context;
use super::super::standing::hidden;
use super::table_calls::Called;
use super::table_followed::Followed;
use super::table_watching::WatchedQuery;
use super::telling::NOTHING_SEEN;
use super::{Join, Live, Purpose, Reactor, TOKEN_ENDED, Upgrade};
use crate::shard::{Failure, TablePlace};
use crate::tables::Refused;

/// What a WebSocket has asked to be told of the room with tables that it is for.
#[derive(Debug)]
pub(in crate::reactor) struct TableSession {
    /// The room.
    pub place: TablePlace,
    /// Tables whose row changes are wanted.
    pub followed: Followed,
    /// What the client has seen of tables of which it says nothing else when it subscribes.
    pub resume: Option<Resume>,
    /// Whether there may be something to tell that is in the log already.
    pub due: bool,
    /// Whether telling was left off in the midst, so that others have their turn.
    pub owed: bool,
    /// What the keys begin with that are wanted, ascending.
    pub prefixes: Arc<[Box<str>]>,
    /// Live queries, in no order.
    pub queries: Vec<WatchedQuery>,
    /// Which of the room's [schemas](crate::room_schemas) needs not be told.
    pub schema_seen: u64,
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of one room with tables, which it makes if it may.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(in crate::reactor) fn open_table_socket(
        &mut self,
        at: usize,
        mut context: Context,
        named: Option<Namespace>,
        query: Option<&str>,
        room: &tables::TableRoom,
        connect: tables::Connect,
        fields: &[httparse::Header<'_>],
    ) {
        let asked = Upgrade {
            method: HttpMethod::Get,
            named,
            query,
            fields,
            protocols: &[],
            token: false,
        };
        let Some(admitted) = self.admit_socket(at, &mut context, asked) else {
            return;
        };
        let session = &Arc::clone(&admitted.opened).session;
        let entered = self
            .admit_stream(session, room.path(), Deed::Read)
            .and_then(|grant| {
                let place = self.enter_tables(session, &grant, room.path())?;
                self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
                self.admit_reader(at, place.slot)?;
                Ok((place, grant))
            });
        let (place, grant) = match entered {
            Ok(entered) => entered,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let memory = self
            .shard
            .live(place.slot)
            .map(|live| live.versions().memory);
        let join = Join {
            slot: place.slot,
            room: format!("room/{room}").into(),
            next: self.shard.room(place.slot).visible().tail,
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
            memory: Some("".into()),
            memory_seen: memory.unwrap_or(NOTHING_SEEN),
        };
        let session = TableSession {
            place,
            followed: Followed::default(),
            resume: connect.resume,
            due: false,
            owed: false,
            prefixes: Arc::default(),
            queries: Vec::new(),
            schema_seen: self.room_schemas.enter(place),
        };
        let purpose = Purpose::Table(Box::new(session));
        self.begin_live(at, context, admitted, purpose);
        if let Some(live) = self.live_mut(at) {
            live.joins.push(join);
        }
        self.readers += 1;
        self.count_reader(at);
        let ticket = self.conns[at].ticket(at);
        if !self.is_passing(place.slot, ticket) {
            self.shard.add_reader(place.slot, ticket);
        }
        self.await_sound(at);
        self.send(at);
        if !connect.tables.is_empty() {
            self.follow_from_the_start(at, &connect.tables);
        }
    }

    /// Does what a message asks for.
    pub(super) fn heard_table_frame(&mut self, at: usize, payload: &[u8]) {
        let admitted = self.charge_live(at, RateKind::Frames, 1, None, None);
        let read = tables::read_frame(payload);
        if let Err(failure) = admitted {
            let (method, ids) = match read {
                Ok(Action::Ping) => (None, tables::Ids::default()),
                Ok(Action::Rpc(rpc)) => (Some(rpc.label.info.name), rpc.label.ids),
                Err(refusal) => (refusal.method, refusal.ids),
            };
            self.metrics.error(failure.code);
            let refusal = Refusal {
                method,
                ids,
                ..Refusal::unread(Refused::from(&failure).error)
            };
            self.refuse_table_call(at, refusal, failure.retry_after_ms);
            return self.slow_down(at, failure.retry_after_ms);
        }
        if self.stop_ms.is_some() {
            return self.dismiss(at, Code::Stopping, "the server is stopping");
        }
        match read {
            Ok(Action::Ping) => self.tell_table(at, tables::write_pong),
            Ok(Action::Rpc(rpc)) => self.table_rpc(at, rpc, payload.len()),
            Err(refusal) => self.refuse_table_call(at, *refusal, 0),
        }
    }

    /// Refuses a message that cannot be one of a room with tables.
    pub(super) fn heard_table_bytes(&mut self, at: usize) {
        let error = TableError::new(Code::InvalidFrame, "messages are text, which is JSON");
        self.refuse_table_call(at, Refusal::unread(error), 0);
    }

    fn table_rpc(&mut self, at: usize, rpc: Rpc, bytes: usize) {
        if let Err(failure) = self.admit_table_rpc(at, &rpc) {
            let refusal = Refusal::of(&rpc.label, Refused::from(&failure).error);
            return self.refuse_table_call(at, refusal, failure.retry_after_ms);
        }
        let Rpc { label, method } = rpc;
        if let Method::Subscribe(watch) = method {
            return self.watch(at, label, watch);
        }
        if let Method::Unsubscribe(unwatch) = &method {
            return self.unwatch(at, &label, unwatch);
        }
        if let Some((place, grant)) = self.live_ref(at).and_then(Live::table_grant) {
            let called = Called {
                place,
                grant,
                frame: None,
            };
            self.call_from_socket(at, &called, label, method, bytes);
        }
    }

    /// Decides whether the connection may call a method.
    fn admit_table_rpc(&mut self, at: usize, rpc: &Rpc) -> Result<(), Failure> {
        let gone = || Failure::new(Code::Internal, "the connection is gone");
        let live = self.live_ref(at).ok_or_else(gone)?;
        let join = live.joins.first().ok_or_else(gone)?;
        if join.has_ended(self.clock.wall) {
            return Err(Failure::new(Code::Unauthorized, TOKEN_ENDED));
        }
        let (deed, scope) = rpc.needs();
        match scope {
            Scope::Room if join.rights.intersects(deed.rights()) => Ok(()),
            Scope::Room if deed == Deed::Attend && join.rights.contains(Rights::APPEND) => Ok(()),
            Scope::Room => {
                let message = "the key or token does not allow this";
                Err(Failure::new(Code::Forbidden, message))
            }
            Scope::Namespace => {
                let opened = Arc::clone(&live.opened);
                let wanted = Wanted::of_namespace(deed);
                self.grant(&opened.session, None, &wanted).map(drop)
            }
        }
    }

    /// Lets go of all that a connection watched.
    pub(super) fn end_table_session(&mut self, session: TableSession) {
        self.room_schemas.leave(session.place.id);
        for query in session.queries {
            self.live_queries.unsubscribe(query.key);
        }
    }

    /// Refuses a call of a WebSocket.
    pub(in crate::reactor) fn refuse_table_call(
        &mut self,
        at: usize,
        mut refusal: Refusal,
        retry_after_ms: u64,
    ) {
        self.metrics.error(refusal.code());
        refusal.retry_after_ms = (retry_after_ms > 0).then_some(retry_after_ms);
        self.tell_table(at, |out| tables::write_refusal(out, &refusal));
    }

    /// Sends one message.
    pub(in crate::reactor) fn tell_table(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.clear();
        tables::frame(&mut self.out, write);
        self.send(at);
    }

    /// Says goodbye to a WebSocket of a room with tables: `self.out` is the last that it gets.
    pub(super) fn write_table_goodbye(&mut self, code: Code, message: &str) {
        let refusal = Refusal::unread(TableError::new(code, message));
        tables::frame(&mut self.out, |out| tables::write_refusal(out, &refusal));
        ws::write_close(&mut self.out, code.close_code(), code.as_str());
    }
}

impl Live {
    /// Returns the room with tables that the connection is for, and what it may do there.
    fn table_grant(&self) -> Option<(TablePlace, Grant)> {
        let (session, join) = (self.table()?, self.joins.first()?);
        let grant = Grant {
            namespace: join.namespace.clone().unwrap_or_default(),
            rights: join.rights,
            author: join.author.clone(),
            ends_at: join.ends_at,
        };
        Some((session.place, grant))
    }
}

impl TableSession {
    /// Returns how much the connection watches.
    pub fn watches(&self) -> usize {
        self.followed.len() + self.prefixes.len() + self.queries.len()
    }
}
