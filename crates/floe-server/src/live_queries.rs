//! Live queries: a `SELECT` whose rows are told again whenever a commit changes them.
//!
//! All who ask the same of the same room share one [`Query`]: it runs once for all of them, and what
//! it found is encoded once. At most one run of it is under way, and at most one more is owed, so a
//! room that changes faster than its queries run costs no more than they take. A run that finds what
//! the last one found tells nobody.
//!
//! This decides; the reactor runs, and its sockets pull what they have not seen
//! ([`Query::version`]), as they do everything else.

use std::collections::HashMap;

use bytes::Bytes;
use floe_proto::RoomId;
use floe_proto::table::{Params, TableError};
use slab::Slab;

use crate::shard::TablePlace;

/// What is asked of which room. Equal ones are one query.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The room.
    pub place: TablePlace,
    /// The SQL, as it was written.
    pub sql: Box<str>,
    /// Its parameters.
    pub params: Params,
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What subscribers are told, as far as it is the same for all of them.
    pub body: Bytes,
    /// The tables that it read.
    pub tables: Vec<Box<str>>,
}

impl Found {
    /// Returns what the rows are, without the message up to which they are so, which comes last.
    fn rows(&self) -> &[u8] {
        const SEQ: &[u8] = b",\"seq\":";
        let at = self.body.windows(SEQ.len()).rposition(|part| part == SEQ);
        self.body
            .get(..at.unwrap_or(self.body.len()))
            .unwrap_or_default()
    }
}

/// Number of a query, for as long as anybody subscribes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryKey(usize);

/// A query and its newest answer.
#[derive(Debug)]
pub struct Query {
    asked: Asked,
    subscribers: usize,
    /// Raised with every answer that differs from the one before; 0 before the first.
    version: u64,
    outcome: Option<Result<Found, TableError>>,
    /// The newest answer shows all messages up to this place.
    known: u64,
    /// What the run under way shows, at least.
    will_know: u64,
    /// Whether a run is under way.
    running: bool,
    /// Whether something has changed since that run began.
    stale: bool,
}

/// The live queries of all rooms.
#[derive(Debug, Default)]
pub struct LiveQueries {
    queries: Slab<Query>,
    rooms: HashMap<RoomId, Vec<QueryKey>>,
}

impl QueryKey {
    /// Returns the number as whoever runs the query hands it back.
    pub const fn number(self) -> u64 {
        self.0 as u64
    }
}

impl Query {
    /// Returns what is asked.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Returns the newest answer, if one has come.
    pub fn outcome(&self) -> Option<&Result<Found, TableError>> {
        self.outcome.as_ref()
    }

    /// Returns the number of the newest answer; 0 while none has come.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns whether the newest answer shows all messages up to a place.
    pub fn knows(&self, seq: u64) -> bool {
        self.outcome.is_some() && self.known >= seq
    }

    /// Returns whether a commit may have changed the answer. One that failed may work whenever
    /// something has changed, such as that its table is there.
    fn depends_on(&self, tables: &[Box<str>], schema_changed: bool) -> bool {
        match &self.outcome {
            _ if schema_changed => true,
            None | Some(Err(_)) => true,
            Some(Ok(found)) => found.tables.iter().any(|table| {
                let mut tables = tables.iter();
                tables.any(|changed| changed.eq_ignore_ascii_case(table))
            }),
        }
    }
}

impl LiveQueries {
    /// Returns how many different queries there are.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Returns the query of a number that [`QueryKey::number`] gave.
    pub fn of_number(&self, number: u64) -> Option<QueryKey> {
        let key = usize::try_from(number).ok()?;
        self.queries.contains(key).then_some(QueryKey(key))
    }

    /// Returns how many different queries a room has.
    pub fn in_room(&self, room: RoomId) -> usize {
        self.rooms.get(&room).map_or(0, Vec::len)
    }

    /// Returns a query.
    pub fn get(&self, key: QueryKey) -> Option<&Query> {
        self.queries.get(key.0)
    }

    /// Returns whether somebody asks that already.
    pub fn has(&self, asked: &Asked) -> bool {
        let mut keys = self.rooms.get(&asked.place.id).into_iter().flatten();
        keys.any(|key| self.get(*key).is_some_and(|query| query.asked == *asked))
    }

    /// Adds a subscriber who wants all messages up to `seq` shown; returns whether the query must be
    /// run now.
    pub fn subscribe(&mut self, asked: Asked, seq: u64) -> (QueryKey, bool) {
        let keys = self.rooms.entry(asked.place.id).or_default();
        let same = keys.iter().copied().find(|key| {
            let query = self.queries.get(key.0);
            query.is_some_and(|query| query.asked == asked)
        });
        if let Some(key) = same {
            let Some(query) = self.queries.get_mut(key.0) else {
                return (key, false);
            };
            query.subscribers += 1;
            if query.running {
                query.stale |= query.will_know < seq;
                return (key, false);
            }
            query.running = !query.knows(seq);
            return (key, query.running);
        }
        let key = QueryKey(self.queries.insert(Query {
            asked,
            subscribers: 1,
            version: 0,
            outcome: None,
            known: 0,
            will_know: seq,
            running: true,
            stale: false,
        }));
        keys.push(key);
        (key, true)
    }

    /// Notes that a run begins which will show all messages up to `seq`.
    pub fn begins(&mut self, key: QueryKey, seq: u64) {
        if let Some(query) = self.queries.get_mut(key.0) {
            query.will_know = seq;
        }
    }

    /// Takes a subscriber away; the query goes with its last one.
    pub fn unsubscribe(&mut self, key: QueryKey) {
        let Some(query) = self.queries.get_mut(key.0) else {
            return;
        };
        query.subscribers -= 1;
        if query.subscribers == 0 && !query.running {
            self.forget(key);
        }
    }

    /// Returns the queries that must be run because a commit touched tables of a room.
    pub fn committed(
        &mut self,
        room: RoomId,
        tables: &[Box<str>],
        schema_changed: bool,
    ) -> Vec<QueryKey> {
        let keys = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
        let mut due = Vec::new();
        for key in keys {
            let Some(query) = self.queries.get_mut(key.0) else {
                continue;
            };
            if query.running {
                // What it reads is not known before it is done.
                query.stale = true;
            } else if query.depends_on(tables, schema_changed) {
                query.running = true;
                due.push(*key);
            }
        }
        due
    }

    /// Takes the outcome of a run; returns whether subscribers have something new to be told, and
    /// whether the query must be run again.
    pub fn finished(&mut self, key: QueryKey, outcome: Result<Found, TableError>) -> Finished {
        let Some(query) = self.queries.get_mut(key.0) else {
            return Finished::default();
        };
        if query.subscribers == 0 {
            self.forget(key);
            return Finished::default();
        }
        let is_new = match (&query.outcome, &outcome) {
            (Some(Ok(before)), Ok(now)) => before.rows() != now.rows(),
            (Some(Err(before)), Err(now)) => before != now,
            (None | Some(_), _) => true,
        };
        if is_new {
            query.version += 1;
            query.outcome = Some(outcome);
        } else if let (Some(Ok(before)), Ok(now)) = (&mut query.outcome, outcome) {
            before.tables = now.tables;
        }
        query.known = query.will_know;
        query.running = std::mem::take(&mut query.stale);
        Finished {
            is_new,
            again: query.running,
        }
    }

    fn forget(&mut self, key: QueryKey) {
        let Some(query) = self.queries.try_remove(key.0) else {
            return;
        };
        if let Some(keys) = self.rooms.get_mut(&query.asked.place.id) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.rooms.remove(&query.asked.place.id);
            }
        }
    }
}

/// What follows from a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finished {
    /// Whether subscribers have something new to be told.
    pub is_new: bool,
    /// Whether it must be run again: something changed while it ran.
    pub again: bool,
}

#[cfg(test)]
mod tests {
    use floe_proto::Code;
    use floe_proto::table::Value;

    use super::*;
    use crate::shard::SlotId;

    const FIRST: RoomId = RoomId(1);
    const OTHER: RoomId = RoomId(2);

    fn asked(room: RoomId, sql: &str) -> Asked {
        Asked {
            place: TablePlace {
                id: room,
                slot: SlotId::for_test(0),
            },
            sql: sql.into(),
            params: Params::Positional(vec![Value::Integer(1)]),
        }
    }

    fn found(body: &'static str) -> Result<Found, TableError> {
        Ok(Found {
            body: Bytes::from_static(body.as_bytes()),
            tables: vec!["tasks".into()],
        })
    }

    fn tables(names: &[&str]) -> Vec<Box<str>> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn those_who_ask_the_same_share_one_query() {
        let mut live = LiveQueries::default();
        let (one, runs) = live.subscribe(asked(FIRST, "SELECT 1"), 0);
        assert!(runs);
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 0), (one, false));
        let (other, runs) = live.subscribe(asked(OTHER, "SELECT 1"), 0);
        assert!(runs && other != one);
        assert_eq!((live.len(), live.in_room(FIRST)), (2, 1));
        live.finished(one, found("a"));
        live.unsubscribe(one);
        assert_eq!(live.in_room(FIRST), 1);
        live.unsubscribe(one);
        assert_eq!((live.len(), live.in_room(FIRST)), (1, 0));
    }

    #[test]
    fn a_query_runs_again_when_what_it_reads_has_changed() {
        let mut live = LiveQueries::default();
        let (key, _) = live.subscribe(asked(FIRST, "SELECT * FROM tasks"), 0);
        let first = live.finished(key, found("a"));
        assert!(first.is_new && !first.again);
        assert_eq!(live.committed(FIRST, &tables(&["other"]), false), []);
        assert_eq!(live.committed(OTHER, &tables(&["tasks"]), false), []);
        assert_eq!(live.committed(FIRST, &tables(&["Tasks"]), false), [key]);
        let same = live.finished(key, found("a"));
        assert!(!same.is_new, "the same rows are not told twice");
        assert_eq!(live.committed(FIRST, &[], true), [key]);
        assert!(live.finished(key, found("b")).is_new);
        assert_eq!(live.get(key).unwrap().version(), 2);
    }

    #[test]
    fn what_changes_while_it_runs_owes_one_more_run() {
        let mut live = LiveQueries::default();
        let (key, _) = live.subscribe(asked(FIRST, "SELECT * FROM tasks"), 0);
        for _ in 0..100 {
            assert_eq!(live.committed(FIRST, &tables(&["x"]), false), []);
        }
        assert!(live.finished(key, found("a")).again);
        assert!(!live.finished(key, found("a")).again);
    }

    #[test]
    fn who_subscribes_late_is_shown_what_was_there_by_then() {
        let mut live = LiveQueries::default();
        let (key, _) = live.subscribe(asked(FIRST, "SELECT 1"), 3);
        assert!(!live.get(key).unwrap().knows(3));
        live.finished(key, found("a"));
        assert!(live.get(key).unwrap().knows(3));
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 3), (key, false));
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 4), (key, true));
        live.begins(key, 4);
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 4), (key, false));
        assert!(!live.finished(key, found("a")).again);
        assert!(live.get(key).unwrap().knows(4));
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 5), (key, true));
        assert_eq!(live.subscribe(asked(FIRST, "SELECT 1"), 6), (key, false));
        assert!(
            live.finished(key, found("a")).again,
            "its rows may be too old for the last"
        );
    }

    #[test]
    fn what_failed_is_tried_again_once_anything_has_changed() {
        let mut live = LiveQueries::default();
        let (key, _) = live.subscribe(asked(FIRST, "SELECT * FROM later"), 0);
        let error = || Err(TableError::new(Code::SqlRejected, "no such table: later"));
        assert!(live.finished(key, error()).is_new);
        assert_eq!(live.committed(FIRST, &tables(&["x"]), false), [key]);
        assert!(!live.finished(key, error()).is_new);
        assert_eq!(live.committed(FIRST, &tables(&["later"]), true), [key]);
        assert!(live.finished(key, found("a")).is_new);
    }

    #[test]
    fn a_query_that_nobody_wants_goes_once_its_run_is_over() {
        let mut live = LiveQueries::default();
        let (key, _) = live.subscribe(asked(FIRST, "SELECT 1"), 0);
        live.unsubscribe(key);
        assert_eq!(live.len(), 1, "its number is not another's while it runs");
        assert_eq!(live.finished(key, found("a")), Finished::default());
        assert_eq!((live.len(), live.in_room(FIRST)), (0, 0));
    }
}
