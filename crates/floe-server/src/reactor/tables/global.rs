//! Questions that the replica answers, about many rooms with tables or about one, and how the replica is.

use floe_log::Disk;
use floe_proto::table::TableError;
use floe_proto::{Code, Namespace, RoomId};
use floe_surfaces::access::{Deed, Grant, Session};
use floe_surfaces::tables::{self, GlobalQuery, Label, Query, Source, TableRoom};
use floe_views::replica::GlobalRows;
use serde_json::json;

use super::{TableExpect, source_of};
use crate::reactor::Reactor;
use crate::reactor::caller::full_name;
use crate::reactor::conn::{Context, Expect, Place};
use crate::replica::{Answered, GlobalAsk, RoomAsk, Unsaid};
use crate::shard::{Failure, TablePlace};
use crate::tables::{self as host, Answer, Ask, Asker, Outcome, Refused};

impl<D: Disk> Reactor<D> {
    /// Asks the replica about those of the rooms that the caller may read. Whoever may survey the
    /// namespace may read all of them, and whoever names some is told of each that is refused.
    pub(super) fn ask_global(
        &mut self,
        at: usize,
        context: Context,
        session: &Session,
        grant: &Grant,
        query: GlobalQuery,
    ) -> Result<(), Failure> {
        let mut refused = Vec::new();
        let mut ids = query.rooms.is_some().then(Vec::new);
        let rooms = query.rooms.map(|named| {
            let mut rooms = Vec::with_capacity(named.len());
            for room in named {
                match self.admit_stream(session, room.path(), Deed::Read) {
                    Ok(_) => {
                        if let Some(ids) = &mut ids {
                            ids.extend(self.table_room(session, &room));
                        }
                        rooms.push(room.as_str().into());
                    }
                    Err(failure) => refused.push((room.as_str().into(), failure)),
                }
            }
            rooms
        });
        let least = query.min_seqs.map(|seqs| self.least_of(session, seqs));
        let ask = GlobalAsk {
            namespace: grant.namespace.as_str().into(),
            rooms,
            ids,
            least,
            sql: query.sql,
            params: query.params,
        };
        let expect = Expect::Tables(TableExpect::Global(refused));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        let uptime_ms = self.clock.uptime_ms;
        let asked = self
            .replicas
            .ask(&mut self.shard, ticket, ask, &self.limits, uptime_ms);
        if let Err(failure) = asked {
            self.take_expected(at);
            return Err(failure);
        }
        Ok(())
    }

    /// Returns which rooms must have come how far; those that are not there are told of by themselves.
    fn least_of(&mut self, session: &Session, seqs: Vec<(TableRoom, u64)>) -> Vec<(RoomId, u64)> {
        let seqs = seqs.into_iter();
        let seqs = seqs.filter_map(|(room, seq)| Some((self.table_room(session, &room)?, seq)));
        seqs.collect()
    }

    /// Returns the number of a room that is there.
    fn table_room(&mut self, session: &Session, room: &TableRoom) -> Option<RoomId> {
        let name = full_name(session, room.path());
        let found = self.shard.find_tables(self.clock.wall, &name);
        Some(found.ok().flatten()?.id)
    }

    /// Asks a room's tables in SQL: the room itself, or the replica as long as it can say. What comes of
    /// it goes to `asker`.
    pub(in crate::reactor) fn ask_sql(&mut self, asker: Asker, place: TablePlace, query: Query) {
        let Query {
            sql,
            params,
            source,
            min_seq,
        } = query;
        let min_seq = min_seq.unwrap_or(0);
        let (sql, params) = match source {
            Source::Room => (sql, params),
            Source::Replica => {
                let name = self.shard.room(place.slot).name();
                let ask = RoomAsk {
                    asker,
                    room: place.id,
                    name: name.into(),
                    namespace: Namespace::split(name).0.into(),
                    min_seq,
                    sql,
                    params,
                };
                let uptime_ms = self.clock.uptime_ms;
                match self.replicas.ask_room(ask, &self.limits, uptime_ms) {
                    Ok(()) => return,
                    Err(ask) => (ask.sql, ask.params),
                }
            }
        };
        self.ask_table(asker, place, Ask::Query { sql, params }, min_seq);
    }

    /// Hands on what came of a question to the replica.
    pub(in crate::reactor) fn replica_answered(&mut self, answered: Answered) {
        match answered {
            Answered::Global(ticket, outcome) => {
                let Place { at, generation, .. } = Place::of(ticket);
                let conn = self.conns.get(at);
                if conn.is_some_and(|conn| conn.generation == generation) {
                    self.answer_global(at, outcome);
                    self.resume(at);
                }
            }
            Answered::Room(ask, Ok(outcome)) => {
                self.answer_one(&ask, outcome.map(Answer::Rows).map_err(Refused::from));
            }
            Answered::Room(ask, Err(unsaid)) => self.ask_room_instead(ask, unsaid),
        }
    }

    fn answer_one(&mut self, ask: &RoomAsk, outcome: Result<Answer, Refused>) {
        self.table_answered(host::Answered {
            asker: ask.asker,
            room: ask.room,
            outcome: Outcome::Asked(outcome),
        });
    }

    /// Asks a room what the replica could not say. Who has waited for it waits no longer.
    fn ask_room_instead(&mut self, ask: RoomAsk, unsaid: Unsaid) {
        // It may be another room by now, or none.
        let found = self.shard.find_tables(self.clock.wall, &ask.name);
        let place = match found {
            Ok(found) => found.filter(|place| place.id == ask.room),
            Err(failure) => return self.answer_one(&ask, Err(Refused::from(&failure))),
        };
        let Some(place) = place else {
            let error = TableError::new(Code::NotFound, "the room was deleted");
            return self.answer_one(&ask, Err(error.into()));
        };
        let is_behind = self.shard.tables_visible(place.slot) < ask.min_seq;
        if unsaid == Unsaid::Late && is_behind {
            let message = "the room has not reached the wanted message in time";
            let error = TableError::new(Code::ViewBehind, message);
            return self.answer_one(&ask, Err(error.into()));
        }
        let RoomAsk {
            asker,
            min_seq,
            sql,
            params,
            ..
        } = ask;
        self.ask_table(asker, place, Ask::Query { sql, params }, min_seq);
    }

    /// Answers a question about many rooms.
    fn answer_global(&mut self, at: usize, outcome: Result<GlobalRows, TableError>) {
        let Some((context, Some(expect))) = self.take_expected(at) else {
            return;
        };
        let Expect::Tables(TableExpect::Global(refused)) = *expect else {
            unreachable!("only who asked about many rooms waits for the replica");
        };
        let found = match outcome {
            Ok(found) => found,
            Err(error) => {
                let failure = Failure::new(error.code, error.message);
                return self.answer_failure(at, context, &failure);
            }
        };
        let missing = Failure::new(Code::NotFound, "there is no such room");
        let missing = found.missing.iter().map(|room| (&**room, &missing));
        let refused = refused.iter().map(|(room, failure)| (&**room, failure));
        let errors = refused.chain(missing);
        let errors = errors.map(|(room, failure)| (room, failure.code, &*failure.message));
        let columns = found.rows.columns.iter();
        let columns =
            columns.map(|column| (&*column.name, column.kind.as_deref().unwrap_or("ANY")));
        let rows = tables::GlobalRows {
            total: found.rows.count as u64,
            rooms: found.asked,
            source: source_of(&found.rows),
            data: &found.rows.data,
            truncated: found.rows.truncated,
        };
        let mut json = Vec::new();
        let seqs = found.seqs.iter().map(|(room, seq)| (&**room, *seq));
        tables::write_global(&mut json, &rows, columns, seqs, errors);
        self.show(at, context, |out, envelope| {
            tables::write_json(out, envelope, &json);
        });
    }

    /// Answers with how the replica is, and how far a whole sync has come that somebody asked for.
    pub(super) fn show_sync(&mut self, at: usize, context: Context, label: &Label) {
        let mut json = Vec::new();
        tables::write_data(&mut json, label, &self.sync_json());
        self.show(at, context, |out, envelope| {
            tables::write_json(out, envelope, &json);
        });
    }

    /// Returns how the replica is, as JSON.
    pub(in crate::reactor) fn sync_json(&self) -> Vec<u8> {
        let (now, uptime_ms) = (self.clock.wall, self.clock.uptime_ms);
        let mut status = self.replicas.status(now, uptime_ms).to_json();
        if let Some(progress) = self.replicas.progress() {
            status["progress"] = json!({
                "done": progress.done,
                "rooms": progress.rooms,
                "complete": progress.complete,
            });
        }
        status.to_string().into_bytes()
    }
}
