//! What a room with tables has to say to a WebSocket that is for it alone: row changes from the log,
//! what changed of its memory, its tables, and the rows of live queries.
//!
//! All of it is pulled from where the reader stands, like what [`telling`](super::telling) tells.

use std::sync::Arc;

use bytes::Bytes;
use floe_core::live::{Changes, Memory, Own};
use floe_log::Disk;
use floe_proto::Code;
use floe_proto::table::Change;
use floe_surfaces::live::Entry;
use floe_surfaces::tables::{self, MemoryKind, MemoryUpdate, Refusal, RowsOf};

use super::table::TableSession;
use super::table_followed::Stretch;
use super::telling::{NOTHING_SEEN, Next, SharedFrames, Wire, entry};
use super::{Join, Live, Purpose, Reactor};
use crate::live_queries::QueryKey;
use crate::shard::{Failure, SlotId};

/// Frames of row changes, for all who stand at the same place and watch the same tables.
#[derive(Debug, Clone)]
pub(super) struct RowsFrame {
    form: Wire,
    tables: Arc<[Box<str>]>,
    from: u64,
    next: u64,
    bytes: Bytes,
}

/// Frames of changed memory, for all who have seen the same and watch the same.
#[derive(Debug, Clone)]
pub(super) struct MemoryFrame {
    form: Wire,
    prefixes: Arc<[Box<str>]>,
    from: u64,
    to: u64,
    bytes: Bytes,
}

/// A frame of a live query, for all who call it the same.
#[derive(Debug, Clone)]
pub(super) struct QueryFrame {
    form: Wire,
    key: QueryKey,
    version: u64,
    id: Box<str>,
    bytes: Bytes,
}

/// Frames that tell a reader nothing and that it is taken past in one turn: no socket that is full ever
/// ends such a run.
const SILENT_STEP: usize = 16;
/// Frames of each kind that one pass keeps.
const KEPT_MAX: usize = 8;

/// What a join is moved by once its frame is on its way.
enum Moved {
    Rows(u64),
    Memory(u64),
    Schema(u64),
    Query {
        place: usize,
        version: u64,
        ended: bool,
    },
}

impl<D: Disk> Reactor<D> {
    /// Returns what comes next for a WebSocket of one room with tables.
    pub(super) fn next_of_tables(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        for _ in 0..SILENT_STEP {
            let Some((bytes, moved)) = self.table_frame(at, place, shared)? else {
                return Ok(Next::Nothing);
            };
            self.move_table_session(at, place, &moved);
            // What nobody here wants is passed over.
            if !bytes.is_empty() {
                return Ok(Next::Send(bytes));
            }
        }
        // Others have their turn; this one goes on with the next look at what is due.
        if let Some(session) = self.live_mut(at).and_then(Live::table_mut) {
            session.owed = true;
        }
        self.set_deadline(at, self.clock.uptime_ms + 1);
        Ok(Next::Nothing)
    }

    /// Goes on telling where it was left off; returns whether it was.
    pub(super) fn tell_owed(&mut self, at: usize) -> bool {
        let session = self.live_mut(at).and_then(Live::table_mut);
        if !session.is_some_and(|session| std::mem::take(&mut session.owed)) {
            return false;
        }
        self.tell_rooms(at);
        let is_empty = self
            .conns
            .get(at)
            .is_some_and(|conn| conn.output.is_empty());
        let done = self.live_ref(at).filter(|live| {
            let table = live.table();
            is_empty && table.is_some_and(|session| !session.owed)
        });
        if let Some(silent_ms) = done.map(|live| live.silent_ms) {
            self.set_deadline(at, silent_ms.min(self.outlives_ms(at)));
        }
        true
    }

    fn table_frame(
        &self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Option<(Bytes, Moved)>, Failure> {
        let Some(live) = self.live_ref(at) else {
            return Ok(None);
        };
        let (Some(session), Some(join)) = (live.table(), live.joins.get(place)) else {
            return Ok(None);
        };
        let form = live.wire();
        let tail = self.shard.room(join.slot).visible().tail;
        if let Some(stretch) = session.followed.next().filter(|next| next.from < tail) {
            let to = stretch.to.min(tail);
            let frame = self.rows_frame(join, form, &stretch, to, shared)?;
            return Ok(Some((frame.bytes, Moved::Rows(frame.next))));
        }
        if let Some(frame) = self.memory_frame(session, join, form, shared) {
            return Ok(Some(frame));
        }
        if let Some((version, bytes)) = self.schema_frame(session) {
            return Ok(Some((self.pack(bytes, form), Moved::Schema(version))));
        }
        Ok(self.query_frame(session, form, shared))
    }

    fn move_table_session(&mut self, at: usize, place: usize, moved: &Moved) {
        let mut over = None;
        if let Some(live) = self.live_mut(at) {
            let join = live.joins.get_mut(place);
            let session = match &mut live.purpose {
                Purpose::Table(session) => Some(session),
                Purpose::Rooms | Purpose::Community(_) => None,
            };
            match (moved, join, session) {
                (Moved::Rows(next), _, Some(session)) => session.followed.moved(*next),
                (Moved::Memory(to), Some(join), _) => join.memory_seen = *to,
                (Moved::Schema(version), _, Some(session)) => session.schema_seen = *version,
                (
                    Moved::Query {
                        place,
                        version,
                        ended,
                    },
                    _,
                    Some(session),
                ) => {
                    if *ended {
                        over = (*place < session.queries.len())
                            .then(|| session.queries.swap_remove(*place).key);
                    } else if let Some(query) = session.queries.get_mut(*place) {
                        query.seen = *version;
                        query.label = None;
                    }
                }
                (Moved::Memory(_), None, _)
                | (Moved::Rows(_) | Moved::Schema(_) | Moved::Query { .. }, _, None) => {}
            }
        }
        if let Some(key) = over {
            self.live_queries.unsubscribe(key);
        }
    }

    /// Writes the row changes of tables that come next, up to a place.
    fn rows_frame(
        &self,
        join: &Join,
        form: Wire,
        stretch: &Stretch<'_>,
        to: u64,
        shared: &mut SharedFrames,
    ) -> Result<RowsFrame, Failure> {
        let Stretch {
            tables: watched,
            from,
            ..
        } = *stretch;
        let found = shared.rows.iter().find(|frame| {
            let same = frame.from == from && frame.form == form && frame.tables == *watched;
            same && frame.next <= to
        });
        if let Some(frame) = found {
            return Ok(frame.clone());
        }
        let bytes_max = self.limits.sse_event_bytes_max;
        let (json, next) = self.visible_events(join.slot, from, to, bytes_max, join.hidden)?;
        let corrupt = || Failure::new(Code::Corrupt, "a message is no change of a row");
        let mut list = Vec::with_capacity(json.len() + 2);
        list.push(b'[');
        list.extend_from_slice(json.strip_suffix(b",").unwrap_or(&json));
        list.push(b']');
        let changes: Vec<Change<'_>> = serde_json::from_slice(&list).map_err(|_| corrupt())?;
        let mut out = Vec::new();
        for (seq, change) in (from + 1..).zip(&changes) {
            let mut watched = watched.iter();
            if watched.any(|table| table.eq_ignore_ascii_case(&change.table)) {
                tables::frame(&mut out, |out| tables::write_row_event(out, change, seq));
            }
        }
        let frame = RowsFrame {
            form,
            tables: Arc::clone(watched),
            from,
            next,
            bytes: self.pack(out, form),
        };
        if shared.rows.len() < KEPT_MAX {
            shared.rows.push(frame.clone());
        }
        Ok(frame)
    }

    /// Writes what changed of the cursors, the presence and the watched keys.
    fn memory_frame(
        &self,
        session: &TableSession,
        join: &Join,
        form: Wire,
        shared: &mut SharedFrames,
    ) -> Option<(Bytes, Moved)> {
        let memory = &self.shard.live(join.slot)?.memory;
        let (from, to) = (join.memory_seen, memory.version());
        // Nobody is told of a room before it is durable.
        if from == to || !self.shard.tables_live(join.slot) {
            return None;
        }
        let found = shared.memory.iter().find(|frame| {
            frame.from == from && frame.form == form && frame.prefixes == session.prefixes
        });
        if let Some(frame) = found {
            return Some((frame.bytes.clone(), Moved::Memory(frame.to)));
        }
        let mut out = Vec::new();
        write_memory(&mut out, memory, &session.prefixes, from);
        let frame = MemoryFrame {
            form,
            prefixes: Arc::clone(&session.prefixes),
            from,
            to,
            bytes: self.pack(out, form),
        };
        if shared.memory.len() < KEPT_MAX {
            shared.memory.push(frame.clone());
        }
        Some((frame.bytes, Moved::Memory(to)))
    }

    /// Returns the values under a prefix as JSON, as far as one answer takes them.
    pub(super) fn memory_entries(&self, slot: SlotId, prefix: &str) -> String {
        let mut out = Vec::new();
        let memory = self.shard.live(slot).map(|live| &live.memory);
        let most = usize::try_from(tables::ENTRIES_MAX).unwrap_or(usize::MAX);
        let page = memory.map_or_else(Vec::new, |memory| memory.page(prefix, None, most));
        let entries = page.iter().filter_map(|(key, value, version)| {
            let key = shown_as(MemoryKind::Memory, key, &[prefix.into()])
                .is_some()
                .then_some(key)?;
            entry(memory?, key, value, *version)
        });
        tables::write_entries(&mut out, MemoryKind::Memory, entries);
        String::from_utf8(out).unwrap_or_default()
    }

    /// Writes the tables as they are, if the reader knows them otherwise.
    fn schema_frame(&self, session: &TableSession) -> Option<(u64, Vec<u8>)> {
        let schema = self.room_schemas.get(session.place.id)?;
        let (version, json, seq) = schema.newest()?;
        if version <= session.schema_seen {
            return None;
        }
        let mut out = Vec::new();
        tables::frame(&mut out, |out| tables::write_schema_update(out, json, seq));
        Some((version, out))
    }

    /// Writes the rows of the first live query whose reader has not seen them.
    fn query_frame(
        &self,
        session: &TableSession,
        form: Wire,
        shared: &mut SharedFrames,
    ) -> Option<(Bytes, Moved)> {
        let mut queries = session.queries.iter().enumerate();
        let (place, watched, query) = queries.find_map(|(place, watched)| {
            let query = self.live_queries.get(watched.key)?;
            let is_due = query.version() > watched.seen
                && (watched.label.is_none() || query.knows(watched.needs));
            is_due.then_some((place, watched, query))
        })?;
        let version = query.version();
        let outcome = query.outcome()?;
        let moved = Moved::Query {
            place,
            version,
            ended: outcome.is_err(),
        };
        let found = shared.queries.iter().find(|frame| {
            let same = frame.key == watched.key && frame.version == version;
            same && frame.form == form && frame.id == watched.id && watched.label.is_none()
        });
        if let Some(frame) = found {
            return Some((frame.bytes.clone(), moved));
        }
        let mut out = Vec::new();
        tables::frame(&mut out, |out| match (outcome, &watched.label) {
            (Ok(found), Some(label)) => {
                tables::write_query(out, label, RowsOf::Subscribed, &found.body);
            }
            (Ok(found), None) => tables::write_query_update(out, &watched.id, &found.body),
            (Err(error), Some(label)) => {
                tables::write_refusal(out, &Refusal::of(label, error.clone()));
            }
            (Err(error), None) => tables::write_query_ended(out, &watched.id, error),
        });
        let bytes = self.pack(out, form);
        if watched.label.is_none() && shared.queries.len() < KEPT_MAX {
            shared.queries.push(QueryFrame {
                form,
                key: watched.key,
                version,
                id: watched.id.clone(),
                bytes: bytes.clone(),
            });
        }
        Some((bytes, moved))
    }
}

/// Writes what changed since a version, a message for each part of the memory.
fn write_memory(out: &mut Vec<u8>, memory: &Memory, prefixes: &[Box<str>], from: u64) {
    let (version, snapshot, set, removed) = match memory.changes_since(from) {
        Changes::Delta(delta) => (delta.to, false, delta.set, delta.removed),
        Changes::Snapshot(snapshot) => (snapshot.version, true, snapshot.entries, Vec::new()),
    };
    for kind in [
        MemoryKind::Cursors,
        MemoryKind::Presence,
        MemoryKind::Memory,
    ] {
        let shown = |key| shown_as(kind, key, prefixes);
        let removed: Vec<&str> = removed.iter().filter_map(|key| shown(key)).collect();
        let entries = set.iter().filter_map(|(key, value)| {
            let shown = shown(key)?;
            let version = memory.get(key).map_or(0, |(_, version)| version);
            let entry = entry(memory, key, value, version)?;
            Some(Entry {
                key: shown,
                ..entry
            })
        });
        let mut entries = entries.peekable();
        // Nothing is told of nothing, unless there may have been something.
        let watched = kind != MemoryKind::Memory || !prefixes.is_empty();
        let forgets = snapshot && watched && from != NOTHING_SEEN;
        if entries.peek().is_none() && removed.is_empty() && !forgets {
            continue;
        }
        let update = MemoryUpdate {
            kind,
            snapshot,
            version,
        };
        tables::frame(out, |out| {
            tables::write_memory_update(out, &update, entries, removed.into_iter());
        });
    }
}

/// Returns what a key is called in a part of the memory: the user whose own it is, or as it is where
/// somebody watches its prefix.
fn shown_as<'a>(kind: MemoryKind, key: &'a str, prefixes: &[Box<str>]) -> Option<&'a str> {
    match (kind, Own::of_key(key)) {
        (MemoryKind::Cursors, Some(Own::Cursor)) => key.strip_prefix(Own::Cursor.prefix()),
        (MemoryKind::Presence, Some(Own::Presence)) => key.strip_prefix(Own::Presence.prefix()),
        (MemoryKind::Memory, None) => {
            let mut prefixes = prefixes.iter();
            prefixes
                .any(|prefix| key.starts_with(&**prefix))
                .then_some(key)
        }
        (MemoryKind::Cursors | MemoryKind::Presence | MemoryKind::Memory, _) => None,
    }
}
