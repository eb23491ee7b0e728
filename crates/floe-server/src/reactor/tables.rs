//! Rooms with tables: from what is asked to calls and questions, and from what came of them to
//! answers.
//!
//! Every surface goes the same way: [`Reactor::enter_tables`] finds the room for whoever was
//! granted something there, [`Reactor::call_table`] and [`Reactor::ask_table`] hand on what is asked,
//! and [`Reactor::answer_tables`] hands out what came of it, in the order of each room: to who asked by
//! their [`Asker`], and after each commit to all who follow tables, as a [`Notice`].

mod buffered;
mod global;
mod memory;

use std::fs::File;

use floe_log::Disk;
use floe_proto::table::{Call, TableError};
use floe_proto::{Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Grant, Session, Wanted};
use floe_surfaces::http::Method;
use floe_surfaces::tables::{self, Label, Method as Told, Refusal, RowsOf, Rpc, Source, TableRoom};
use floe_views::tables::{Rows, RowsSource};

use self::buffered::check_buffered;
pub(super) use self::memory::{Keeping, Kept, write_kept};
use super::caller::full_name;
use super::channels::may_own;
use super::conn::{Context, Expect, Place, State};
use super::limits::Payer;
use super::{Reactor, envelope};
use crate::shard::{Failure, TablePlace};
use crate::tables::{Answer, Answered, Ask, Asker, At, Notice, Outcome, Refused, TASKS_SQL};

/// What the answer to a request about a room with tables shows.
#[derive(Debug)]
pub enum TableExpect {
    /// What came of a method, and the SQL where it was a query.
    Rpc(Box<(Label, Option<Box<str>>)>),
    /// What came of a method that did nothing durable, as it is told once the room is: JSON.
    Kept(Vec<u8>),
    /// The tables and their columns.
    Schema,
    /// A TypeScript client for the room.
    Client(TableRoom),
    /// A copy of the file.
    Backup,
    /// Rows of many rooms, and why others could not be asked.
    Global(Vec<(Box<str>, Failure)>),
}

impl<D: Disk> Reactor<D> {
    /// Serves a request about rooms with tables.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn table_request(
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
        let mut asked = match tables::read_request(method, path, query, headers, body) {
            Ok(asked) => asked,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        if asked.ask == tables::Ask::Preflight {
            return self.answer_preflight(at, context);
        }
        let upgrades = fields
            .iter()
            .any(|field| field.name.eq_ignore_ascii_case("upgrade"));
        if let (tables::Ask::Connect(connect), Some(room), true) =
            (&mut asked.ask, &asked.room, upgrades)
        {
            let connect = std::mem::take(connect);
            return self.open_table_socket(at, context, named, Some(query), room, connect, fields);
        }
        let label = if let tables::Ask::Rpc(Ok(rpc)) = &asked.ask {
            Some(rpc.label.clone())
        } else {
            None
        };
        if let Err(failure) = self.serve_tables(at, context, named, asked, body.len()) {
            match label {
                Some(label) => self.refuse_rpc_later(at, context, label, failure),
                None => self.answer_refused_read(at, context, failure),
            }
        }
    }

    fn serve_tables(
        &mut self,
        at: usize,
        mut context: Context,
        named: Option<Namespace>,
        asked: tables::Asked<'_>,
        body_bytes: usize,
    ) -> Result<(), Failure> {
        let tables::Asked {
            credentials,
            room,
            ask,
        } = asked;
        let opened = self.open_session(at, &credentials, named)?;
        let session = &opened.session;
        let deed = ask.deed();
        let grant = match &room {
            Some(room) => self.admit_to_tables(session, room, deed)?,
            None => self.grant(session, None, &Wanted::of_namespace(deed))?,
        };
        let name = room.as_ref().map(|room| full_name(session, room.path()));
        if self.limiter.is_on() {
            let payer = Payer::of(&opened, Some(&grant));
            let appends = matches!(&ask, tables::Ask::Rpc(rpc) if is_append(rpc));
            let bytes = if appends { body_bytes } else { 0 };
            self.charge(at, &mut context, &payer, name.as_deref(), bytes)?;
        }
        match (ask, room) {
            (tables::Ask::Manifest, _) => {
                let mut json = Vec::new();
                tables::write_manifest(&mut json);
                self.show(at, context, |out, envelope| {
                    tables::write_json(out, envelope, &json);
                });
            }
            (tables::Ask::Client, Some(room)) => {
                let expect = TableExpect::Client(room.clone());
                self.ask_room(at, context, session, &room, expect, Ask::Tables)?;
            }
            (tables::Ask::Rpc(rpc), Some(room)) => match rpc {
                Ok(rpc) => {
                    self.serve_rpc(at, context, session, &grant, &room, *rpc, body_bytes);
                }
                Err(refusal) => self.refuse_rpc(at, context, &refusal),
            },
            (tables::Ask::Schema, Some(room)) => {
                self.ask_room(
                    at,
                    context,
                    session,
                    &room,
                    TableExpect::Schema,
                    Ask::Schema,
                )?;
            }
            (tables::Ask::Backup, Some(room)) => {
                self.ask_room(
                    at,
                    context,
                    session,
                    &room,
                    TableExpect::Backup,
                    Ask::Backup,
                )?;
            }
            (tables::Ask::Remove, Some(room)) => {
                let name = full_name(session, room.path()).into_owned();
                let ticket = self.wait(at, context, None);
                self.shard.delete(self.clock.wall, ticket, &name);
            }
            (tables::Ask::Connect(_), _) => {
                let message = "this path speaks WebSocket alone";
                return Err(Failure::new(Code::UpgradeRequired, message));
            }
            (tables::Ask::Global(query), _) => {
                self.ask_global(at, context, session, &grant, query)?;
            }
            (tables::Ask::Preflight, _) => self.answer_preflight(at, context),
            (
                tables::Ask::Rpc(_)
                | tables::Ask::Schema
                | tables::Ask::Client
                | tables::Ask::Backup
                | tables::Ask::Remove,
                None,
            ) => return Err(Failure::new(Code::UnknownRoute, "no route has this path")),
        }
        Ok(())
    }

    /// Decides whether somebody may do something in a room. Who may append there may also attend.
    pub(super) fn admit_to_tables(
        &mut self,
        session: &Session,
        room: &TableRoom,
        deed: Deed,
    ) -> Result<Grant, Failure> {
        let admitted = self.admit_stream(session, room.path(), deed);
        if admitted.is_err() && deed == Deed::Attend {
            return self.admit_stream(session, room.path(), Deed::Append);
        }
        admitted
    }

    /// Finds a room with tables for somebody who was granted something there. Whoever may append
    /// finds it in any case: it comes to be with its first use, and is theirs.
    ///
    /// # Errors
    /// [`Code::NotFound`] for whoever may not append where there is none; the shard's.
    pub(super) fn enter_tables(
        &mut self,
        session: &Session,
        grant: &Grant,
        path: &[u8],
    ) -> Result<TablePlace, Failure> {
        let name = full_name(session, path);
        let now = self.clock.wall;
        if !grant.rights.contains(Rights::APPEND) {
            return self.find_tables(session, path);
        }
        let owner = session.caller().user.clone().filter(|user| may_own(user));
        self.shard.ensure_tables(now, &name, owner)
    }

    /// Finds a room with tables that is there.
    ///
    /// # Errors
    /// [`Code::NotFound`] where there is none; the shard's.
    pub(super) fn find_tables(
        &mut self,
        session: &Session,
        path: &[u8],
    ) -> Result<TablePlace, Failure> {
        let name = full_name(session, path);
        let found = self.shard.find_tables(self.clock.wall, &name)?;
        found.ok_or_else(|| Failure::new(Code::NotFound, "there is no such room"))
    }

    /// Calls a room's tables, in the name of whoever was granted it; what comes of it goes to
    /// `asker`. The call took about `bytes` bytes to ask for.
    pub(super) fn call_table(
        &mut self,
        asker: Asker,
        place: TablePlace,
        grant: &Grant,
        mut call: Call,
        bytes: usize,
    ) {
        call.user = grant.author.clone();
        self.metrics.append(bytes as u64);
        if let Err(refused) = check_buffered(&call) {
            return self.tables.refuse(asker, place.id, refused);
        }
        self.flush_before(place.id);
        let now = self.table_time();
        self.tables
            .call(&mut self.shard, asker, place, call, bytes, now);
    }

    /// Asks a room's tables, once they have all that is visible now, and at least `min_seq` messages;
    /// what comes of it goes to `asker`.
    pub(super) fn ask_table(&mut self, asker: Asker, place: TablePlace, ask: Ask, min_seq: u64) {
        let now = self.table_time();
        self.tables
            .ask(&mut self.shard, asker, place, ask, min_seq, now);
    }

    /// Lets the tables do what they can, and hands out what came of calls, questions and commits.
    pub(super) fn answer_tables(&mut self) {
        let now = self.table_time();
        let turned = self.tables.turn(&mut self.shard, now);
        for answered in turned.answers {
            self.table_answered(answered);
        }
        self.forget_buffered(&turned.gone);
        for notice in &turned.notices {
            self.table_committed(notice);
        }
    }

    pub(super) fn table_answered(&mut self, answered: Answered) {
        let Answered {
            asker,
            room,
            mut outcome,
        } = answered;
        if let Outcome::Asked(Ok(answer)) = &mut outcome
            && let Answer::Usage(json) = answer
        {
            let mut json = std::mem::take(json);
            self.add_kept_usage(room, &mut json);
            *answer = Answer::Json(json);
        }
        // What changes nothing waited for its room to be durable.
        let came = matches!(&outcome, Outcome::Called(Ok(applied)) if applied.count == 0);
        if let Some(slot) = self.room_schemas.slot(room).filter(|_| came) {
            // Its memory may have changed before.
            self.shard.wake_readers(slot, self.clock.wall);
        }
        match asker {
            Asker::Connection(ticket) => {
                let Place {
                    at,
                    generation,
                    command,
                } = Place::of(ticket);
                let conn = self.conns.get(at);
                let Some(conn) = conn.filter(|conn| conn.generation == generation) else {
                    return;
                };
                if matches!(conn.state, State::Live(_)) {
                    return self.answer_socket_call(at, command, outcome);
                }
                if matches!(conn.state, State::Waiting(..)) {
                    self.answer_table(at, outcome);
                    self.resume(at);
                }
            }
            Asker::Buffer(number) => self.buffer_answered(number, room, outcome),
            Asker::Query(number) => self.watched_answered(number, room, outcome),
        }
    }

    /// Takes note of a commit: what is asked from now on sees it.
    fn table_committed(&mut self, notice: &Notice) {
        self.watched_committed(notice);
    }

    pub(super) const fn table_time(&self) -> At {
        At {
            now: self.clock.wall,
            uptime_ms: self.clock.uptime_ms,
        }
    }

    fn ask_room(
        &mut self,
        at: usize,
        context: Context,
        session: &Session,
        room: &TableRoom,
        expect: TableExpect,
        ask: Ask,
    ) -> Result<(), Failure> {
        let place = self.find_tables(session, room.path())?;
        let ticket = self.wait(at, context, Some(Box::new(Expect::Tables(expect))));
        self.ask_table(Asker::Connection(ticket), place, ask, 0);
        Ok(())
    }

    /// Serves a method of a room over HTTP.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are who asks, what, and how to answer"
    )]
    fn serve_rpc(
        &mut self,
        at: usize,
        context: Context,
        session: &Session,
        grant: &Grant,
        room: &TableRoom,
        rpc: Rpc,
        body_bytes: usize,
    ) {
        let Rpc { label, method } = rpc;
        let place = match self.enter_tables(session, grant, room.path()) {
            Ok(place) => place,
            Err(failure) => return self.refuse_rpc_later(at, context, label, failure),
        };
        let method = match self.keep(place, grant, method) {
            Ok(Keeping::Done(Ok(kept))) => {
                if self.shard.tables_live(place.slot) {
                    return self.show_kept(at, context, &label, &kept);
                }
                // Nobody is told of a room before it is durable: a call that does nothing waits for it.
                let mut json = Vec::new();
                write_kept(&mut json, &label, &kept);
                let expect = Expect::Tables(TableExpect::Kept(json));
                let ticket = self.wait(at, context, Some(Box::new(expect)));
                let (asker, now) = (Asker::Connection(ticket), self.table_time());
                let nothing = Call::default();
                return self
                    .tables
                    .call(&mut self.shard, asker, place, nothing, 0, now);
            }
            Ok(Keeping::Done(Err(refused))) => {
                let expect = TableExpect::Rpc(Box::new((label, None)));
                return self.refuse_table(at, context, &expect, refused);
            }
            Ok(Keeping::Waits(call)) => {
                let expect = TableExpect::Rpc(Box::new((label, None)));
                let ticket = self.wait(at, context, Some(Box::new(Expect::Tables(expect))));
                return self.buffer_later(Asker::Connection(ticket), place, call);
            }
            Err(method) => *method,
        };
        let sql = if let Told::ExecuteSql(query) = &method {
            Some(query.sql.clone())
        } else {
            None
        };
        let expect = |label| {
            let expect = TableExpect::Rpc(Box::new((label, sql)));
            Some(Box::new(Expect::Tables(expect)))
        };
        if matches!(method, Told::GetSyncStatus | Told::ForceSyncAll) {
            if method == Told::ForceSyncAll {
                self.sync_namespace(&grant.namespace);
            }
            return self.show_sync(at, context, &label);
        }
        if let Told::Mutate(call) = method {
            let ticket = self.wait(at, context, expect(label));
            let asker = Asker::Connection(ticket);
            return self.call_table(asker, place, grant, call, body_bytes);
        }
        if let Told::ExecuteSql(query) = method {
            let ticket = self.wait(at, context, expect(label));
            return self.ask_sql(Asker::Connection(ticket), place, query);
        }
        if let Some(ask) = asks(&method) {
            let ticket = self.wait(at, context, expect(label));
            let asker = Asker::Connection(ticket);
            return self.ask_table(asker, place, ask, 0);
        }
        let message = format!("`{}` takes a WebSocket of the room", label.info.name);
        let error = TableError::new(Code::UnknownAction, message);
        self.refuse_rpc(at, context, &Refusal::of(&label, error));
    }

    fn show_kept(&mut self, at: usize, context: Context, label: &Label, kept: &Kept) {
        let mut json = Vec::new();
        write_kept(&mut json, label, kept);
        self.show(at, context, |out, envelope| {
            tables::write_json(out, envelope, &json);
        });
    }

    /// Answers a request about a room with tables.
    fn answer_table(&mut self, at: usize, outcome: Outcome) {
        let Some((context, Some(expect))) = self.take_expected(at) else {
            return;
        };
        let Expect::Tables(expect) = *expect else {
            unreachable!("only who asked a room's tables waits for them");
        };
        let answer = match outcome {
            Outcome::Called(Ok(applied)) => {
                let mut json = Vec::new();
                match expect {
                    TableExpect::Rpc(rpc) => tables::write_mutated(&mut json, &rpc.0, &applied),
                    TableExpect::Kept(kept) => json = kept,
                    TableExpect::Schema
                    | TableExpect::Client(_)
                    | TableExpect::Backup
                    | TableExpect::Global(_) => unreachable!("only an rpc calls tables"),
                }
                return self.show(at, context, |out, envelope| {
                    tables::write_json(out, envelope, &json);
                });
            }
            Outcome::Asked(Ok(answer)) => answer,
            Outcome::Buffered(Ok(buffered)) => {
                let TableExpect::Rpc(rpc) = expect else {
                    unreachable!("only an rpc is about the write buffer");
                };
                return self.show_kept(at, context, &rpc.0, &buffered.into());
            }
            Outcome::Called(Err(refused))
            | Outcome::Asked(Err(refused))
            | Outcome::Buffered(Err(refused)) => {
                return self.refuse_table(at, context, &expect, refused);
            }
        };
        match (expect, answer) {
            (TableExpect::Rpc(rpc), answer) => {
                let (label, sql) = *rpc;
                let mut json = Vec::new();
                write_answer(&mut json, &label, sql.as_deref(), &answer);
                self.show(at, context, |out, envelope| {
                    tables::write_json(out, envelope, &json);
                });
            }
            (TableExpect::Schema, Answer::Json(json)) => self.show(at, context, |out, envelope| {
                tables::write_json(out, envelope, &json);
            }),
            (TableExpect::Backup, Answer::File(file)) => self.send_backup(at, context, file),
            (TableExpect::Client(room), Answer::Tables(all)) => {
                let source = tables::write_typescript(&room, &all);
                self.show(at, context, |out, envelope| {
                    tables::write_client(out, envelope, &source);
                });
            }
            (
                TableExpect::Kept(_)
                | TableExpect::Schema
                | TableExpect::Client(_)
                | TableExpect::Backup
                | TableExpect::Global(_),
                _,
            ) => {
                unreachable!("the answer is of the question's kind")
            }
        }
    }

    /// Answers with a copy of a room's file.
    fn send_backup(&mut self, at: usize, context: Context, file: File) {
        let len = match file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => {
                tracing::warn!(%error, "a copy of a room's tables cannot be read");
                let message = "the copy of the room's tables cannot be read";
                return self.answer_error(at, context, Code::ViewUnavailable, message);
            }
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        tables::write_backup_head(&mut self.out, &envelope, len);
        if context.head {
            return self.answer(at, context);
        }
        let Some(output) = self.begin_parts(at, context) else {
            return;
        };
        output.push_file(file, len);
        self.flush_only(at);
    }

    fn refuse_table(
        &mut self,
        at: usize,
        context: Context,
        expect: &TableExpect,
        refused: Refused,
    ) {
        let Refused {
            error,
            retry_after_ms,
        } = refused;
        let failure = Failure {
            retry_after_ms,
            ..Failure::new(error.code, error.message.clone())
        };
        let TableExpect::Rpc(rpc) = expect else {
            return self.answer_failure(at, context, &failure);
        };
        let refusal = Refusal {
            retry_after_ms: (retry_after_ms > 0).then_some(retry_after_ms),
            ..Refusal::of(&rpc.0, error)
        };
        self.refuse_rpc(at, context.after(&failure), &refusal);
    }

    /// Answers an rpc that failed.
    fn refuse_rpc(&mut self, at: usize, context: Context, refusal: &Refusal) {
        self.metrics.error(refusal.code());
        self.show(at, context, |out, envelope| {
            tables::write_refused(out, envelope, refusal);
        });
    }

    /// Refuses an rpc, once all that the refusal tells of is durable.
    fn refuse_rpc_later(&mut self, at: usize, context: Context, label: Label, failure: Failure) {
        if self.parks(at, context, &failure) {
            return;
        }
        let expect = TableExpect::Rpc(Box::new((label, None)));
        let ticket = self.wait(at, context, Some(Box::new(Expect::Tables(expect))));
        self.shard.refuse(ticket, failure);
    }

    /// Answers a request about a room with tables that failed before it came to them.
    pub(super) fn answer_table_failure(
        &mut self,
        at: usize,
        context: Context,
        expect: &TableExpect,
        failure: &Failure,
    ) {
        if !self.parks(at, context, failure) {
            self.refuse_table(at, context, expect, Refused::from(failure));
        }
    }
}

/// Returns what a method asks of tables; `None` of a method that asks something else, or in SQL.
pub(super) fn asks(method: &Told) -> Option<Ask> {
    Some(match method {
        Told::ListTasks => Ask::Tasks,
        Told::GetSchema => Ask::Schema,
        Told::GetUsage => Ask::Usage(0),
        Told::GetAuditLog => Ask::Audit(0, Vec::new()),
        Told::ExecuteSql(_)
        | Told::Mutate(_)
        | Told::GetSyncStatus
        | Told::ForceSyncAll
        | Told::Subscribe(_)
        | Told::Unsubscribe(_)
        | Told::GetCursors
        | Told::GetPresence
        | Told::GetMemory(_)
        | Told::SetCursor { .. }
        | Told::SetPresence { .. }
        | Told::SetMemory { .. }
        | Told::DeleteMemory { .. }
        | Told::UpdateDebounced { .. }
        | Told::IncrementDebounced { .. }
        | Told::GetDebounced { .. }
        | Told::FlushDebounced { .. } => return None,
    })
}

/// Appends the answer to a method that asked tables something.
pub(super) fn write_answer(out: &mut Vec<u8>, label: &Label, sql: Option<&str>, answer: &Answer) {
    match answer {
        Answer::Rows(found) => {
            let mut written = Vec::new();
            write_rows(&mut written, found);
            let of = RowsOf::Query {
                sql: sql.unwrap_or(TASKS_SQL),
                source: source_of(found),
            };
            tables::write_query(out, label, of, &written);
        }
        Answer::Json(json) => tables::write_data(out, label, json),
        Answer::Tables(_) | Answer::File(_) | Answer::Buffered(_) | Answer::Usage(_) => {
            unreachable!("no method asks for these")
        }
    }
}

/// Appends what the rows of a query are, as far as it is the same for all who asked.
pub(super) fn write_rows(out: &mut Vec<u8>, found: &Rows) {
    let rows = tables::Rows {
        data: &found.data,
        truncated: found.truncated,
        seq: found.applied,
    };
    let columns = found.columns.iter();
    let columns = columns.map(|column| (&*column.name, column.kind.as_deref().unwrap_or("ANY")));
    tables::write_rows(out, &rows, columns);
}

/// Returns where rows are from, as it is told.
const fn source_of(found: &Rows) -> Source {
    match found.source {
        RowsSource::Room => Source::Room,
        RowsSource::Replica => Source::Replica,
    }
}

fn is_append(rpc: &Result<Box<Rpc>, Box<Refusal>>) -> bool {
    rpc.as_ref()
        .is_ok_and(|rpc| rpc.label.info.answer.is_mutation())
}
