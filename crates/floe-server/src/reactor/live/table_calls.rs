//! Methods of rooms with tables, called over WebSockets: over a room's own, and over one of many rooms.

use std::sync::Arc;

use floe_log::Disk;
use floe_proto::Code;
use floe_proto::table::{Call, TableError};
use floe_surfaces::access::{Grant, Wanted};
use floe_surfaces::limits::RateKind;
use floe_surfaces::live::{self, FrameId, RoomName};
use floe_surfaces::tables::{self, Label, Method, Refusal, Rpc, Scope};

use super::super::conn::Place;
use super::super::tables::{Keeping, asks, write_answer, write_kept};
use super::{Reactor, write_failure};
use crate::shard::{Failure, TablePlace};
use crate::tables::{Asker, Outcome, Refused};

/// A call of which nothing has come yet.
#[derive(Debug)]
pub(in crate::reactor) struct TableCall {
    /// Its number among the commands of the connection.
    pub command: u16,
    label: Label,
    /// What was asked in SQL.
    sql: Option<Box<str>>,
    /// How it was called on a connection of many rooms.
    frame: Option<CallFrame>,
    /// What it is answered once the room is durable that it came with, where it does nothing else.
    kept: Option<Vec<u8>>,
}

/// A frame of the live protocol that calls a method.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct CallFrame {
    id: Option<FrameId<'static>>,
    room: Box<str>,
}

/// A room that a method is called of, by whom, and how it is answered.
pub(super) struct Called {
    pub place: TablePlace,
    pub grant: Grant,
    pub frame: Option<CallFrame>,
}

impl<D: Disk> Reactor<D> {
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

    /// Has a method done; its answer comes once it is.
    pub(super) fn call_from_socket(
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
            Ok(Keeping::Done(Ok(kept))) if self.shard.tables_live(place.slot) => {
                return self.tell_call(at, frame, |out| write_kept(out, &label, &kept));
            }
            Ok(Keeping::Done(Ok(kept))) => {
                // Nobody is told of a room before it is durable: a call that does nothing waits for it.
                let mut json = Vec::new();
                write_kept(&mut json, &label, &kept);
                let (asker, now) = (self.await_table(at, label, None, frame), self.table_time());
                if let Some(call) = self.live_mut(at).and_then(|live| live.calls.last_mut()) {
                    call.kept = Some(json);
                }
                let nothing = Call::default();
                return self
                    .tables
                    .call(&mut self.shard, asker, place, nothing, 0, now);
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
        if method == Method::GetSyncStatus {
            let json = self.sync_json();
            return self.tell_call(at, frame, |out| tables::write_data(out, &label, &json));
        }
        if method == Method::ForceSyncAll {
            let asker = self.await_table(at, label, None, frame);
            return self.sync_for_socket(asker, &grant.namespace);
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
        if let Method::ExecuteSql(query) = method {
            let asker = self.await_table(at, label, sql, frame);
            return self.ask_sql(asker, place, query);
        }
        match asks(&method) {
            Some(ask) => {
                let asker = self.await_table(at, label, sql, frame);
                self.ask_table(asker, place, ask, 0);
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
                kept: None,
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
        let Some(call) = self.take_call(at, command) else {
            return;
        };
        let TableCall {
            label,
            sql,
            frame,
            kept,
            ..
        } = call;
        let frame = frame.as_ref();
        match outcome {
            Outcome::Called(Ok(_)) if kept.is_some() => {
                self.tell_call(at, frame, |out| out.extend(kept.unwrap_or_default()));
            }
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

    /// Tells how far a whole sync of the replica is that a WebSocket has called for.
    pub(super) fn tell_sync_progress(&mut self, at: usize, command: u16, progress: &str) {
        let calls = self.live_ref(at).map(|live| &live.calls);
        let call = calls.and_then(|calls| calls.iter().find(|call| call.command == command));
        let Some(call) = call else { return };
        let mut json = Vec::new();
        tables::write_progress(&mut json, &call.label, progress);
        // One frame answers a frame, and this is not it.
        let frame = call
            .frame
            .clone()
            .map(|frame| CallFrame { id: None, ..frame });
        self.tell_call(at, frame.as_ref(), |out| out.extend(json));
    }

    /// Answers a WebSocket that has called for a whole sync of the replica.
    pub(super) fn answer_sync(&mut self, at: usize, command: u16) {
        let Some(TableCall { label, frame, .. }) = self.take_call(at, command) else {
            return;
        };
        let json = self.sync_json();
        self.tell_call(at, frame.as_ref(), |out| {
            tables::write_data(out, &label, &json);
        });
    }

    fn take_call(&mut self, at: usize, command: u16) -> Option<TableCall> {
        let live = self.live_mut(at)?;
        let place = live.calls.iter().position(|call| call.command == command)?;
        Some(live.calls.remove(place))
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
}
