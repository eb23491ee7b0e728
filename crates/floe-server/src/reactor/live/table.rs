//! WebSockets of one room with tables: `/connect`.
//!
//! Such a connection is one of the live protocol that has joined one room and speaks other words. What
//! it calls is done as over HTTP ([`tables`](super::super::tables)); what it watches is told by
//! [`table_telling`](super::table_telling).

use std::sync::Arc;

use bytes::Bytes;
use floe_log::Disk;
use floe_proto::table::TableError;
use floe_proto::{Code, Namespace, Rights, RoomId};
use floe_surfaces::access::{Deed, Grant, Wanted};
use floe_surfaces::http::Method as HttpMethod;
use floe_surfaces::limits::RateKind;
use floe_surfaces::live::{self, FrameId, PresenceMode, RoomName};
use floe_surfaces::tables::{self, Action, Label, Method, Refusal, Rpc, Scope, Unwatch, Watch};
use floe_surfaces::ws;

use super::super::conn::{Context, Place};
use super::super::standing::hidden;
use super::super::tables::{Keeping, asks, write_answer, write_kept, write_rows};
use super::telling::NOTHING_SEEN;
use super::{Join, Live, Purpose, Reactor, TOKEN_ENDED, Upgrade, write_failure};
use crate::live_queries::{Asked, Found, QueryKey};
use crate::shard::{Failure, TablePlace};
use crate::tables::{Answer, Ask, Asker, Notice, Outcome, Refused};

/// What a WebSocket has asked to be told of the room with tables that it is for.
#[derive(Debug)]
pub(in crate::reactor) struct TableSession {
    /// The room.
    pub place: TablePlace,
    /// Tables whose row changes are wanted, ascending.
    pub tables: Arc<[Box<str>]>,
    /// What the keys begin with that are wanted, ascending.
    pub prefixes: Arc<[Box<str>]>,
    /// Live queries, in no order.
    pub queries: Vec<WatchedQuery>,
    /// Which of the room's [schemas](crate::room_schemas) needs not be told.
    pub schema_seen: u64,
}

/// A call of which nothing has come yet.
#[derive(Debug)]
pub(in crate::reactor) struct TableCall {
    /// Its number among the commands of the connection.
    command: u16,
    label: Label,
    /// What was asked in SQL.
    sql: Option<Box<str>>,
    /// How it was called on a connection of many rooms.
    frame: Option<CallFrame>,
}

/// A frame of the live protocol that calls a method.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct CallFrame {
    id: Option<FrameId<'static>>,
    room: Box<str>,
}

/// A room that a method is called of, by whom, and how it is answered.
struct Called {
    place: TablePlace,
    grant: Grant,
    frame: Option<CallFrame>,
}

/// A live query of one connection.
#[derive(Debug)]
pub(in crate::reactor) struct WatchedQuery {
    /// What the client calls it; JSON.
    pub id: Box<str>,
    pub key: QueryKey,
    /// The version of the answer that was told last.
    pub seen: u64,
    /// What the first answer says of the call; `None` once it was given.
    pub label: Option<Label>,
    /// What the first answer has to show, at least.
    pub needs: u64,
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of one room with tables, which it makes if it may.
    pub(in crate::reactor) fn open_table_socket(
        &mut self,
        at: usize,
        mut context: Context,
        named: Option<Namespace>,
        query: Option<&str>,
        room: &tables::TableRoom,
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
            tables: Arc::default(),
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

    /// Has a method of a room with tables done for a connection of many rooms.
    pub(super) fn live_rpc(
        &mut self,
        at: usize,
        id: Option<FrameId<'_>>,
        room: &RoomName<'_>,
        rpc: Rpc,
        bytes: usize,
    ) {
        let name = room.as_str();
        let Some(table) = room.table() else {
            return;
        };
        let (deed, scope) = rpc.needs();
        let Some(opened) = self.live_ref(at).map(|live| Arc::clone(&live.opened)) else {
            return;
        };
        let session = &opened.session;
        let entered = match scope {
            Scope::Room => self.admit_to_tables(session, table, deed),
            Scope::Namespace => self.grant(session, None, &Wanted::of_namespace(deed)),
        };
        let entered = entered.and_then(|grant| {
            self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
            let place = self.enter_tables(session, &grant, table.path())?;
            Ok((place, grant))
        });
        let (place, grant) = match entered {
            Ok(entered) => entered,
            Err(failure) => return self.fail(at, id, name, failure),
        };
        let called = Called {
            place,
            grant,
            frame: Some(CallFrame {
                id: id.map(FrameId::into_owned),
                room: name.into(),
            }),
        };
        self.call_from_socket(at, &called, rpc.label, rpc.method, bytes);
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

    fn watch(&mut self, at: usize, label: Label, watch: Watch) {
        let watches_max = self.limits.tables_watches_max;
        let Some(live) = self.live_mut(at) else {
            return;
        };
        let (Purpose::Table(session), Some(join)) = (&mut live.purpose, live.joins.first()) else {
            return;
        };
        if session.watches() >= watches_max {
            let message = "the connection has tables.watches_max subscriptions";
            let error = TableError::new(Code::LimitReached, message);
            return self.refuse_table_call(at, Refusal::of(&label, error), 0);
        }
        let slot = join.slot;
        match watch {
            Watch::Table(table) => {
                session.tables = with(&session.tables, table);
                self.tell_success(at, &label, None);
            }
            Watch::Memory { prefix } => {
                session.prefixes = with(&session.prefixes, prefix.clone());
                let entries = self.memory_entries(slot, &prefix);
                self.tell_success(at, &label, Some(&entries));
            }
            Watch::Query { id, query } => {
                if session.queries.iter().any(|query| query.id == id) {
                    let message = "`queryId` names another live query of the connection";
                    let error = TableError::new(Code::Exists, message);
                    return self.refuse_table_call(at, Refusal::of(&label, error), 0);
                }
                let place = session.place;
                let asked = Asked {
                    place,
                    sql: query.sql,
                    params: query.params,
                };
                let is_new = !self.live_queries.has(&asked);
                if is_new
                    && self.live_queries.in_room(place.id) >= self.limits.tables_live_queries_max
                {
                    let message = "the room has tables.live_queries_max live queries";
                    let error = TableError::new(Code::LimitReached, message);
                    return self.refuse_table_call(at, Refusal::of(&label, error), 0);
                }
                let needs = self.shard.room(slot).visible().tail;
                let (key, runs) = self.live_queries.subscribe(asked, needs);
                if let Some(session) = self.live_mut(at).and_then(Live::table_mut) {
                    session.queries.push(WatchedQuery {
                        id,
                        key,
                        seen: 0,
                        label: Some(label),
                        needs,
                    });
                }
                if runs {
                    self.run_live_query(key);
                }
                self.tell_room(at, slot, &mut super::SharedFrames::default());
            }
        }
    }

    fn unwatch(&mut self, at: usize, label: &Label, unwatch: &Unwatch) {
        let Some(session) = self.live_mut(at).and_then(Live::table_mut) else {
            return;
        };
        let mut over = None;
        match unwatch {
            Unwatch::Table(table) => session.tables = without(&session.tables, table),
            Unwatch::Memory(prefix) => session.prefixes = without(&session.prefixes, prefix),
            Unwatch::Query(id) => {
                let place = session.queries.iter().position(|query| query.id == *id);
                over = place.map(|place| session.queries.swap_remove(place).key);
            }
        }
        if let Some(key) = over {
            self.live_queries.unsubscribe(key);
        }
        self.tell_success(at, label, None);
    }

    /// Has a method done; its answer comes once it is.
    fn call_from_socket(
        &mut self,
        at: usize,
        called: &Called,
        label: Label,
        method: Method,
        bytes: usize,
    ) {
        let Called {
            place,
            grant,
            frame,
        } = called;
        let (place, frame) = (*place, frame.as_ref());
        let method = match self.keep(place, grant, method) {
            Ok(Keeping::Done(Ok(kept))) => {
                return self.tell_call(at, frame, |out| write_kept(out, &label, &kept));
            }
            Ok(Keeping::Done(Err(refused))) => {
                return self.refuse_call(at, frame, &label, refused);
            }
            Ok(Keeping::Waits(call)) => {
                let asker = self.await_table(at, label, None, frame);
                return self.buffer_later(asker, place, call);
            }
            Err(method) => *method,
        };
        if matches!(method, Method::GetSyncStatus | Method::ForceSyncAll) {
            if method == Method::ForceSyncAll {
                let (namespace, uptime_ms) = (grant.namespace.as_str(), self.clock.uptime_ms);
                self.replicas.sync_all(&self.shard, namespace, uptime_ms);
            }
            let json = self.sync_json();
            return self.tell_call(at, frame, |out| tables::write_data(out, &label, &json));
        }
        let sql = if let Method::ExecuteSql(query) = &method {
            Some(query.sql.clone())
        } else {
            None
        };
        if let Method::Mutate(call) = method {
            let name = self.shard.room(place.slot).name().to_vec();
            let kind = RateKind::AppendBytes;
            let namespace = Some(&grant.namespace);
            let charged = self.charge_live(at, kind, bytes as u64, Some(&name), namespace);
            if let Err(failure) = charged {
                self.refuse_call(at, frame, &label, Refused::from(&failure));
                return self.slow_down(at, failure.retry_after_ms);
            }
            let asker = self.await_table(at, label, None, frame);
            return self.call_table(asker, place, grant, call, bytes);
        }
        match asks(method) {
            Some((ask, min_seq)) => {
                let asker = self.await_table(at, label, sql, frame);
                self.ask_table(asker, place, ask, min_seq);
            }
            None => {
                let message = format!("`{}` is none here: join the room", label.info.name);
                let error = TableError::new(Code::UnknownAction, message);
                self.refuse_call(at, frame, &label, error.into());
            }
        }
    }

    /// Returns who the answer of a call goes to, and notes what it needs.
    fn await_table(
        &mut self,
        at: usize,
        label: Label,
        sql: Option<Box<str>>,
        frame: Option<&CallFrame>,
    ) -> Asker {
        let generation = self.conns[at].generation;
        let mut command = 0;
        if let Some(live) = self.live_mut(at) {
            command = live.next_command;
            live.next_command = command.wrapping_add(1);
            live.calls.push(TableCall {
                command,
                label,
                sql,
                frame: frame.cloned(),
            });
        }
        let place = Place {
            at,
            generation,
            command,
        };
        Asker::Connection(place.ticket())
    }

    /// Answers a call of a WebSocket.
    pub(in crate::reactor) fn answer_socket_call(
        &mut self,
        at: usize,
        command: u16,
        outcome: Outcome,
    ) {
        let call = self.live_mut(at).and_then(|live| {
            let place = live.calls.iter().position(|call| call.command == command)?;
            Some(live.calls.remove(place))
        });
        let Some(TableCall {
            label, sql, frame, ..
        }) = call
        else {
            return;
        };
        let frame = frame.as_ref();
        match outcome {
            Outcome::Called(Ok(applied)) => {
                self.tell_call(at, frame, |out| {
                    tables::write_mutated(out, &label, &applied)
                });
            }
            Outcome::Asked(Ok(answer)) => {
                self.tell_call(at, frame, |out| {
                    write_answer(out, &label, sql.as_deref(), &answer)
                });
            }
            Outcome::Buffered(Ok(buffered)) => {
                self.tell_call(at, frame, |out| write_kept(out, &label, &buffered.into()));
            }
            Outcome::Called(Err(refused))
            | Outcome::Asked(Err(refused))
            | Outcome::Buffered(Err(refused)) => {
                self.refuse_call(at, frame, &label, refused);
            }
        }
    }

    /// Answers a call, in the words of the connection that it came by.
    fn tell_call(
        &mut self,
        at: usize,
        frame: Option<&CallFrame>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(CallFrame { id, room }) = frame else {
            return self.tell_table(at, write);
        };
        let mut json = Vec::new();
        write(&mut json);
        let Ok(json) = std::str::from_utf8(&json) else {
            return;
        };
        self.tell(at, |out, format| {
            live::write_rpc_result(out, format, id.as_ref(), room, json);
        });
    }

    /// Refuses a call, in the words of the connection that it came by.
    fn refuse_call(
        &mut self,
        at: usize,
        frame: Option<&CallFrame>,
        label: &Label,
        refused: Refused,
    ) {
        let Refused {
            error,
            retry_after_ms,
        } = refused;
        let Some(CallFrame { id, room }) = frame else {
            return self.refuse_table_call(at, Refusal::of(label, error), retry_after_ms);
        };
        self.metrics.error(error.code);
        let failure = Failure {
            retry_after_ms,
            ..Failure::new(error.code, error.message)
        };
        self.tell(at, |out, format| {
            write_failure(out, format, id.as_ref(), Some(room), &failure);
        });
    }

    /// Runs a live query.
    fn run_live_query(&mut self, key: QueryKey) {
        let Some(query) = self.live_queries.get(key) else {
            return;
        };
        let Asked { place, sql, params } = query.asked().clone();
        let tail = self.shard.room(place.slot).visible().tail;
        self.live_queries.begins(key, tail);
        self.ask_table(
            Asker::Query(key.number()),
            place,
            Ask::Query { sql, params },
            0,
        );
    }

    /// Takes what a live query found, or a room's tables, and has those told who watch.
    pub(in crate::reactor) fn watched_answered(
        &mut self,
        number: u64,
        room: RoomId,
        outcome: Outcome,
    ) {
        let Outcome::Asked(outcome) = outcome else {
            return;
        };
        let outcome = outcome.map_err(|refused| refused.error);
        if number == SCHEMA {
            return self.schema_answered(room, outcome);
        }
        let Some(key) = self.live_queries.of_number(number) else {
            return;
        };
        let found = outcome.map(|answer| match answer {
            Answer::Rows(rows) => {
                let mut body = Vec::new();
                write_rows(&mut body, &rows);
                Found {
                    body: body.into(),
                    tables: rows.tables.iter().map(|table| (**table).into()).collect(),
                }
            }
            Answer::Json(_)
            | Answer::Tables(_)
            | Answer::File(_)
            | Answer::Buffered(_)
            | Answer::Usage(_) => unreachable!("a query has rows"),
        });
        let slot = self
            .live_queries
            .get(key)
            .map(|query| query.asked().place.slot);
        let finished = self.live_queries.finished(key, found);
        if finished.again {
            self.run_live_query(key);
        }
        if let Some(slot) = slot {
            // Who came late waits for the answer even where it is no other than before.
            self.shard.wake_readers(slot, self.clock.wall);
        }
    }

    /// Takes note of a commit for those who watch.
    pub(in crate::reactor) fn watched_committed(&mut self, notice: &Notice) {
        let (room, tables) = (notice.room, &notice.tables);
        let due = self
            .live_queries
            .committed(room, tables, notice.schema_changed);
        for key in due {
            self.run_live_query(key);
        }
        if notice.schema_changed && self.room_schemas.changed(room, notice.seq) {
            self.ask_schema(&notice.name);
        }
    }

    fn ask_schema(&mut self, name: &[u8]) {
        // A room that is gone has told its connections so.
        if let Ok(Some(place)) = self.shard.find_tables(self.clock.wall, name) {
            self.ask_table(Asker::Query(SCHEMA), place, Ask::Schema, 0);
        }
    }

    fn schema_answered(&mut self, room: RoomId, outcome: Result<Answer, TableError>) {
        let tables = match outcome {
            Ok(Answer::Json(json)) => Some(Bytes::from(json)),
            Ok(
                Answer::Rows(_)
                | Answer::Tables(_)
                | Answer::File(_)
                | Answer::Buffered(_)
                | Answer::Usage(_),
            )
            | Err(_) => None,
        };
        let again = self.room_schemas.answered(room, tables);
        let Some(slot) = self.room_schemas.slot(room) else {
            return;
        };
        if again {
            let name = self.shard.room(slot).name().to_vec();
            self.ask_schema(&name);
        }
        self.shard.wake_readers(slot, self.clock.wall);
    }

    /// Lets go of all that a connection watched.
    pub(super) fn end_table_session(&mut self, session: TableSession) {
        self.room_schemas.leave(session.place.id);
        for query in session.queries {
            self.live_queries.unsubscribe(query.key);
        }
    }

    fn tell_success(&mut self, at: usize, label: &Label, data: Option<&str>) {
        let success = tables::Success {
            data,
            ..tables::Success::default()
        };
        self.tell_table(at, |out| tables::write_success(out, label, &success));
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

/// The number of the question for a room's tables among those of live queries.
const SCHEMA: u64 = u64::MAX;

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
    fn watches(&self) -> usize {
        self.tables.len() + self.prefixes.len() + self.queries.len()
    }
}

/// Returns a list in order with one more word.
fn with(words: &[Box<str>], word: Box<str>) -> Arc<[Box<str>]> {
    let mut words = words.to_vec();
    if let Err(at) = words.binary_search(&word) {
        words.insert(at, word);
    }
    words.into()
}

fn without(words: &[Box<str>], word: &str) -> Arc<[Box<str>]> {
    words
        .iter()
        .filter(|other| &***other != word)
        .cloned()
        .collect()
}
