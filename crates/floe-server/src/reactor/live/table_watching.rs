//! What a WebSocket of a room with tables watches: row changes, keys of the memory, live queries.

use std::sync::Arc;

use bytes::Bytes;
use floe_log::Disk;
use floe_proto::table::TableError;
use floe_proto::{Code, RoomId};
use floe_surfaces::tables::{
    self, Label, MethodInfo, Refusal, Reset, Resume, Success, Unwatch, Watch,
};

use super::super::tables::write_rows;
use super::{Live, Purpose, Reactor, SharedFrames};
use crate::live_queries::{Asked, Found, QueryKey};
use crate::tables::{Answer, Ask, Asker, Notice, Outcome};

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
    /// Has a connection told of something.
    pub(super) fn watch(&mut self, at: usize, label: Label, watch: Watch) {
        let watches_max = self.limits.tables_watches_max;
        let Some(live) = self.live_mut(at) else {
            return;
        };
        let (Purpose::Table(session), Some(join)) = (&mut live.purpose, live.joins.first()) else {
            return;
        };
        let more = match &watch {
            Watch::Tables { tables, .. } => tables.len(),
            Watch::Memory { .. } | Watch::Query { .. } => 1,
        };
        if session.watches() + more > watches_max {
            let message = "the connection has tables.watches_max subscriptions";
            let error = TableError::new(Code::LimitReached, message);
            return self.refuse_table_call(at, Refusal::of(&label, error), 0);
        }
        let slot = join.slot;
        match watch {
            Watch::Tables { tables, resume } => self.follow_rows(at, &label, &tables, resume),
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
                self.tell_room(at, slot, &mut SharedFrames::default());
            }
        }
    }

    /// Has a connection told of something no longer.
    pub(super) fn unwatch(&mut self, at: usize, label: &Label, unwatch: &Unwatch) {
        let Some(session) = self.live_mut(at).and_then(Live::table_mut) else {
            return;
        };
        let mut over = None;
        match unwatch {
            Unwatch::Tables(tables) => {
                // What comes back later was not missed, but unwanted.
                session.resume = None;
                for table in tables {
                    session.followed.unfollow(table);
                }
            }
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

    /// Has a connection told of row changes of tables that it named when it came.
    pub(super) fn follow_from_the_start(&mut self, at: usize, tables: &[Box<str>]) {
        let Some(info) = MethodInfo::named("subscribe") else {
            return;
        };
        let ids = tables::Ids::default();
        let watch = Watch::Tables {
            tables: tables.into(),
            resume: None,
        };
        self.watch(at, Label { info, ids }, watch);
        self.tell_followed(at);
    }

    /// Has a connection told of row changes of tables: of those that it has missed, as far as it says
    /// what it has seen, and of what comes.
    fn follow_rows(
        &mut self,
        at: usize,
        label: &Label,
        tables: &[Box<str>],
        resume: Option<Resume>,
    ) {
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let (Some(session), Some(join)) = (live.table(), live.joins.first()) else {
            return;
        };
        let room = self.shard.room(join.slot);
        let (start, tail) = (room.start(), room.visible().tail);
        let incarnation = incarnation(session.place.id);
        let is_said = resume.is_some();
        let resume = resume.or_else(|| session.resume.clone());
        let here = session.followed.place().unwrap_or(tail);
        let from = resume.map_or(Ok(here), |resume| {
            resumes(&resume, &incarnation, start, tail)
        });
        let seq = from.unwrap_or(tail);
        // Who says nothing else stays where it is.
        let mut moved = tables.to_vec();
        moved.retain(|table| is_said || !session.followed.has(table));
        if let (Err(code), false) = (from, moved.is_empty()) {
            let reset = Reset {
                code,
                tables: &moved,
                seq,
                incarnation: &incarnation,
            };
            self.tell_table(at, |out| tables::write_reset(out, &reset));
        }
        let Some(session) = self.live_mut(at).and_then(Live::table_mut) else {
            return;
        };
        for table in &moved {
            session.followed.follow(table, seq);
        }
        session.due = true;
        let stands = tables.iter();
        let stands = stands.filter_map(|table| session.followed.place_of(table));
        let success = Success {
            seq: stands.min(),
            incarnation: Some(&incarnation),
            ..Success::default()
        };
        self.tell_table(at, |out| tables::write_success(out, label, &success));
    }

    /// Tells what a connection is owed since it has subscribed to something, after all that it had to
    /// say, so that tables that it names one by one are told of in one order.
    pub(super) fn tell_followed(&mut self, at: usize) {
        let session = self.live_mut(at).and_then(Live::table_mut);
        let due = session.is_some_and(|session| std::mem::take(&mut session.due));
        if due {
            self.tell_rooms(at);
        }
    }

    fn tell_success(&mut self, at: usize, label: &Label, data: Option<&str>) {
        let success = Success {
            data,
            ..Success::default()
        };
        self.tell_table(at, |out| tables::write_success(out, label, &success));
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
}

/// The number of the question for a room's tables among those of live queries.
const SCHEMA: u64 = u64::MAX;

/// Returns what tells a room from others of its name.
pub(super) fn incarnation(room: RoomId) -> String {
    format!("{:x}", room.0)
}

/// Decides where a client goes on that has seen a room before, of which the messages behind `start` are
/// kept, up to `tail`.
fn resumes(resume: &Resume, incarnation: &str, start: u64, tail: u64) -> Result<u64, Code> {
    let known = resume.incarnation.as_deref();
    if known.is_some_and(|known| known != incarnation) {
        return Err(Code::Gone);
    }
    if resume.after > tail {
        return Err(Code::InvalidOffset);
    }
    if resume.after < start {
        return Err(Code::OffsetExpired);
    }
    Ok(resume.after)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_on_where_it_was_if_all_behind_that_is_there() {
        let resume = |after, incarnation: Option<&str>| Resume {
            after,
            incarnation: incarnation.map(Into::into),
        };
        let resumes = |asked| resumes(&asked, "2a", 3, 9);
        for after in [3, 5, 9] {
            assert_eq!(resumes(resume(after, Some("2a"))), Ok(after));
            assert_eq!(resumes(resume(after, None)), Ok(after));
            assert_eq!(resumes(resume(after, Some("2b"))), Err(Code::Gone));
        }
        assert_eq!(resumes(resume(2, None)), Err(Code::OffsetExpired));
        assert_eq!(resumes(resume(10, Some("2a"))), Err(Code::InvalidOffset));
        assert_eq!(incarnation(RoomId(0x2a)), "2a");
    }
}
