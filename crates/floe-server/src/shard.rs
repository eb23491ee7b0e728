//! One shard: its rooms, its log, and the order in which everything becomes visible.
//!
//! A shard is called with commands and never waits for a disk to sync. What a command changes is
//! staged in the log at once; its reply comes from [`Shard::poll_reply`] once the log says that it
//! is durable. Replies leave in the order of the log, and an answer that was computed from
//! something staged waits for that to be durable too.

mod access;
mod append;
mod channels;
mod cold;
mod community;
mod create;
mod delete;
mod fetch;
mod live;
mod reads;
mod recordings;
mod registry;
mod replicated;
mod tables;
mod tally;
mod value;
mod viewed;
mod voice;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use floe_core::live::Live;
use floe_core::load::Level;
use floe_core::{AppendError, ContentType, Edge, Room, Size};
use floe_log::{
    ColdWant, CommitDone, CommitJob, Disk, Fold, FoldError, Folded, Log, Lsn, OpenError, Payload,
    Progress, RecordView, Recovery, StageError, Work, WorkDone,
};
use floe_proto::{ChannelId, Code, Millis, NameHash, RoomId};
use slab::Slab;

use crate::access::ErrandId;
use crate::identity_hash::IdentityHash;
use crate::metrics::Metrics;
use crate::settings::Limits;

pub use access::Rules;
pub use channels::{Appended, ChangeChannel, NewEvent, NewEvents};
pub use community::{Acted, Deed, is_community, waddle_room_name};
pub use create::{ForkOf, NewRoom};
pub use fetch::{Fetched, ReadPlan, read_parts};
pub use live::MemoryTotals;
pub use reads::{Marked, READER_BYTES_MAX, READS_MAX};
pub use registry::{
    AUDIT, REGISTRY, is_channel, is_internal, is_reserved, is_table_room, is_voice_room,
};
pub use replicated::{Messages, Moved, ReplicaRoom, Replicated};
pub use tables::{TablePlace, TablesMoved};
pub use viewed::Handed;
pub use voice::{VoiceTotals, Voiced};

/// Who asked, in the host's own terms; handed back with the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Place of a loaded room. It stays the room's for as long as somebody reads or waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(u32);

#[cfg(test)]
impl SlotId {
    /// Makes one that is of no shard.
    pub const fn for_test(place: u32) -> Self {
        Self(place)
    }
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The room is there.
    Created {
        /// Whether this command made it.
        new: bool,
        /// How far it reaches.
        edge: Edge,
        /// Its content type.
        content_type: ContentType,
    },
    /// The data is durable, or was already.
    Appended {
        /// How far the room reaches.
        edge: Edge,
        /// Epoch and highest accepted sequence of the producer.
        producer: Option<(u64, u64)>,
        /// Whether data was added; a duplicate or a mere close adds none.
        new_data: bool,
    },
    /// The room refused the append.
    Refused(AppendError),
    /// The room is gone.
    Deleted,
    /// A channel is as it was asked to be.
    Channel(ChannelId),
    /// Events are durable, or were already.
    Events(Appended),
    /// A room's own rules are as they were asked to be.
    Access(Box<Rules>),
    /// Something was done in a waddle, or was so already.
    Acted(Box<Acted>),
    /// How far a user has read a channel is noted.
    Marked(Marked),
    /// How far a user has read, for each channel that is marked, the one moved last at the end.
    Reads(Vec<(ChannelId, u64)>),
    /// What was read of rooms and is told is durable.
    Told,
    /// The command failed.
    Failed(Failure),
}

/// Why a command failed, as the wire says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code.
    pub code: Code,
    /// What to tell a person.
    pub message: std::borrow::Cow<'static, str>,
    /// What must be fetched first, and then it may be asked again; see
    /// [`Shard::wait_for_cold`].
    pub cold: Option<ColdWant>,
    /// What is under way and must end first, and then it may be asked again.
    pub errand: Option<ErrandId>,
    /// Milliseconds before which another try fails; 0 where nobody knows.
    pub retry_after_ms: u64,
}

impl Failure {
    /// Makes a failure.
    pub fn new(code: Code, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            cold: None,
            errand: None,
            retry_after_ms: 0,
        }
    }

    fn not_found() -> Self {
        Self::new(Code::NotFound, "there is no such stream")
    }
}

/// Milliseconds after which what was refused under load may be tried again.
pub const LOAD_RETRY_MS: u64 = 5_000;

/// Since when the readers of a room have something to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Since {
    /// When the first of the messages was staged, in the host's own time.
    pub message_us: Option<u64>,
    /// When live state first changed.
    pub live: Option<Millis>,
}

/// The rooms of one log.
#[derive(Debug)]
pub struct Shard<D: Disk> {
    log: Log<D>,
    limits: Arc<Limits>,
    /// Boxed, so that rooms that leave memory take it with them.
    slots: Slab<Box<Slot>>,
    names: HashMap<NameHash, SlotId, IdentityHash>,
    pending: VecDeque<Pending>,
    ready: VecDeque<(Ticket, Reply)>,
    advanced: VecDeque<SlotId>,
    /// End of the newest delete: what is missing may not be called so before it is durable.
    deleted_until: Lsn,
    registries: registry::Registries,
    /// Where the next look for idle rooms begins.
    sweep_at: usize,
    /// Presence and memory, as far as they are not each room's own.
    live_rooms: live::LiveRooms,
    /// Channels that the SQL view must look at, oldest first.
    unviewed: VecDeque<viewed::Unviewed>,
    /// Number of the next of them.
    next_unviewed: u64,
    /// Whether there is a view to feed.
    viewing: bool,
    /// Which rooms replicas are told of.
    replicated: Replicated,
    /// Rooms that moved, for replicas.
    moved: Vec<Moved>,
    /// The newest time that the host has told.
    latest: Millis,
    /// Names of rooms that came, moved or went, for subscriptions; kept only while asked for.
    changes: Option<Vec<Change>>,
    meta: Vec<u8>,
    cold: cold::ColdWaits,
    /// What namespaces store.
    tally: tally::Tally,
    /// Rooms with tables of which something became durable, oldest first.
    tables_moved: VecDeque<TablesMoved>,
    /// What is given up.
    load: Level,
    /// When what becomes durable now was staged, in the host's own time.
    staged_us: Option<u64>,
    /// Where the time is noted that it takes to load a room.
    cold_starts: Option<Metrics>,
}

/// A loaded room.
#[derive(Debug)]
struct Slot {
    room: Room,
    name: NameHash,
    /// Live readers, in no order.
    readers: Vec<Ticket>,
    /// Staged records that are not durable yet.
    in_flight: u32,
    /// When it was last used, in seconds.
    used_s: u32,
    /// Whether its create is durable.
    born: bool,
    /// Whether it is deleted, durable or not.
    gone: bool,
    /// Whether the host has been told that the visible edge moved.
    queued: bool,
    /// Whether the host of its tables keeps it in memory.
    held: bool,
    /// Whether its write buffer has something that is not written down.
    buffered: bool,
    /// Whether the SQL view must look at it.
    unviewed: bool,
    /// The unit up to which the SQL view was given it.
    viewed: u64,
    /// The unit up to which the SQL view has it.
    applied: u64,
    /// Since when there is something that a pass over the readers must tell.
    since: Since,
    /// Whether the log of a voice room is known to say all up to now.
    voice_logged: bool,
    /// Whether readers are to be told of a change of live state.
    live_changed: bool,
    /// Presence and memory, while there is any.
    live: Option<Box<Live>>,
}

/// What happens once the log is durable up to `lsn`.
#[derive(Debug)]
struct Pending {
    lsn: Lsn,
    /// The room that a record was staged for, and its edge with that record.
    staged: Option<(SlotId, Edge)>,
    reply: Option<(Ticket, Reply)>,
}

/// Something that became visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The room's name.
    pub name: Box<[u8]>,
    /// What happened.
    pub kind: ChangeKind,
}

/// What happened to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It came to be.
    Created {
        /// Units it began with.
        tail: u64,
    },
    /// Its tail moved.
    Advanced {
        /// The tail before.
        from: u64,
        /// The tail now.
        tail: u64,
    },
    /// It is gone.
    Deleted,
}

impl<D: Disk> Shard<D> {
    /// Opens the log and recovers what is durable.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        disk: D,
        options: floe_log::Options,
        limits: Arc<Limits>,
    ) -> Result<(Self, Recovery), OpenError> {
        let (log, recovery) = Log::open(disk, options, Arc::new(CoreFold))?;
        let shard = Self {
            log,
            live_rooms: live::LiveRooms::new(limits.live()),
            limits,
            slots: Slab::new(),
            names: HashMap::default(),
            pending: VecDeque::new(),
            ready: VecDeque::new(),
            advanced: VecDeque::new(),
            deleted_until: Lsn::default(),
            registries: registry::Registries::default(),
            sweep_at: 0,
            unviewed: VecDeque::new(),
            next_unviewed: 0,
            viewing: false,
            replicated: Replicated::default(),
            moved: Vec::new(),
            latest: Millis::default(),
            changes: None,
            meta: Vec::new(),
            cold: cold::ColdWaits::default(),
            tally: tally::Tally::default(),
            tables_moved: VecDeque::new(),
            load: Level::default(),
            staged_us: None,
            cold_starts: None,
        };
        Ok((shard, recovery))
    }

    /// Takes what has been staged and must be written and synced, on any thread.
    pub fn take_commit(&mut self) -> Option<CommitJob<D>> {
        self.log.take_commit()
    }

    /// Takes note of a commit; replies and moved rooms can be polled now.
    ///
    /// # Errors
    /// The disk's. The process must end: what is on disk is unknown until it is recovered.
    pub fn finish_commit(&mut self, done: CommitDone) -> std::io::Result<()> {
        let durable = self.log.finish_commit(done)?;
        while self
            .pending
            .front()
            .is_some_and(|pending| pending.lsn <= durable)
        {
            let Some(pending) = self.pending.pop_front() else {
                break;
            };
            if let Some((slot, edge)) = pending.staged {
                self.show(slot, edge);
            }
            self.ready.extend(pending.reply);
        }
        Ok(())
    }

    /// Asks for a flush although memory holds little, as before a long rest.
    pub fn request_flush(&mut self) {
        self.log.request_flush();
    }

    /// Takes background work on the log, for a thread that may block.
    pub fn take_work(&mut self) -> Option<Work<D>> {
        self.log.take_work()
    }

    /// Takes note of background work.
    ///
    /// # Errors
    /// The disk's. The process must end, as after a failed commit.
    pub fn finish_work(&mut self, done: WorkDone<D>) -> std::io::Result<Progress> {
        self.log.finish_work(done).map_err(std::io::Error::other)
    }

    /// Marks the log as cleanly closed, once everything staged has been committed.
    ///
    /// # Errors
    /// The disk's; the next start recovers.
    pub fn close(self) -> std::io::Result<()> {
        self.log.close()
    }

    /// Returns whether something staged is not durable yet.
    pub fn is_busy(&self) -> bool {
        !self.pending.is_empty() || self.log.staged() > self.log.durable()
    }

    /// Returns the next reply, in the order of the log.
    pub fn poll_reply(&mut self) -> Option<(Ticket, Reply)> {
        self.ready.pop_front()
    }

    /// Returns the next room whose visible edge moved, or that is gone, with its live readers.
    ///
    /// The readers are the host's until it gives those that stay back to
    /// [`give_back`](Self::give_back).
    pub fn poll_advanced(&mut self) -> Option<(SlotId, Vec<Ticket>)> {
        let id = self.advanced.pop_front()?;
        let readers = std::mem::take(&mut self.slots[id.0 as usize].readers);
        Some((id, readers))
    }

    /// Ends what [`poll_advanced`](Self::poll_advanced) began, when the visible edge was `edge`.
    ///
    /// A room that has moved on since then is polled again.
    pub fn give_back(&mut self, id: SlotId, readers: Vec<Ticket>, edge: Edge) {
        let gone = self.is_gone(id);
        let slot = &mut self.slots[id.0 as usize];
        slot.readers.extend(readers);
        if (gone || slot.room.visible() != edge) && !slot.readers.is_empty() {
            return self.advanced.push_back(id);
        }
        slot.since.message_us = None;
        slot.queued = false;
        self.drop_if_gone(id);
    }

    /// Notes when the first of what is committed next was staged, in a time of the host's own that
    /// [`take_since`](Self::take_since) answers in.
    pub const fn note_staged(&mut self, staged_us: Option<u64>) {
        self.staged_us = staged_us;
    }

    /// Takes since when the readers of a room have something to be told, as its pass begins.
    pub fn take_since(&mut self, id: SlotId) -> Since {
        std::mem::take(&mut self.slots[id.0 as usize].since)
    }

    /// Has things given up from now on.
    pub const fn set_load(&mut self, level: Level) {
        self.load = level;
    }

    /// Notes from now on how long it takes to load rooms.
    pub fn time_cold_starts(&mut self, metrics: Metrics) {
        self.cold_starts = Some(metrics);
    }

    /// Returns how many live readers each loaded room has that is not being served.
    pub fn crowds(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().map(|(_, slot)| slot.readers.len())
    }

    /// Adds a live reader to a room, which stays loaded for it.
    pub fn add_reader(&mut self, slot: SlotId, reader: Ticket) {
        self.slots[slot.0 as usize].readers.push(reader);
    }

    /// Removes a live reader.
    pub fn remove_reader(&mut self, slot: SlotId, reader: Ticket) {
        let entry = &mut self.slots[slot.0 as usize];
        if let Some(at) = entry.readers.iter().position(|other| *other == reader) {
            entry.readers.swap_remove(at);
        }
        if entry.readers.is_empty() {
            entry.readers = Vec::new();
            self.drop_if_gone(slot);
        }
    }

    /// Returns the live readers of a room.
    pub fn readers(&self, slot: SlotId) -> &[Ticket] {
        &self.slots[slot.0 as usize].readers
    }

    /// Returns a loaded room.
    pub fn room(&self, slot: SlotId) -> &Room {
        &self.slots[slot.0 as usize].room
    }

    /// Returns whether a loaded room is deleted, and durably so.
    pub fn is_gone(&self, slot: SlotId) -> bool {
        let slot = &self.slots[slot.0 as usize];
        (slot.gone || slot.room.is_gone()) && slot.in_flight == 0
    }

    /// Returns whether a loaded room is durably there, or was.
    pub fn is_born(&self, slot: SlotId) -> bool {
        self.slots[slot.0 as usize].born
    }

    /// Rooms there are.
    pub fn rooms(&self) -> usize {
        self.log.len()
    }

    /// Rooms in memory.
    pub fn loaded(&self) -> usize {
        self.slots.len()
    }

    /// Bytes of memory by part: records that no segment holds, the index, loaded rooms.
    pub fn memory(&self) -> [u64; 3] {
        let memory = self.log.stats().memory;
        let places = self.slots.capacity() * size_of::<Box<Slot>>();
        let rooms = places + self.slots.len() * size_of::<Slot>();
        let unflushed = memory.unflushed_bytes + memory.unflushed_index_bytes;
        [
            unflushed,
            memory.index_bytes + memory.checksum_bytes,
            rooms as u64,
        ]
    }

    /// Bytes on disk by part: the write-ahead log, segments.
    pub fn disk_bytes(&self) -> [u64; 2] {
        let stats = self.log.stats();
        [stats.wal_bytes, stats.segment_bytes]
    }

    /// Does what time asks for: ends rooms whose lifetime is over and drops idle ones from memory.
    ///
    /// Returns when it wants to be called again, if anything is waiting.
    pub fn tick(&mut self, now: Millis) -> Option<Millis> {
        self.latest = now;
        self.expire_due(now);
        // There is no space yet if this fails, and the next tick tries again.
        let _ = self.settle_registries(now);
        self.sweep_idle(now);
        self.log.next_wake()
    }

    /// Begins to note changes for [`take_changes`](Self::take_changes), or stops.
    pub fn note_changes(&mut self, wanted: bool) {
        self.changes = if wanted {
            Some(self.changes.take().unwrap_or_default())
        } else {
            None
        };
    }

    /// Takes the changes noted since the last call, in the order of the log.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.changes
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Hashes the name of something that is no room, so that nobody outside can aim at a collision.
    pub fn key_of(&self, kind: &str, name: &[u8]) -> NameHash {
        self.log.hash(kind, name)
    }

    /// Hashes the full name of a room.
    pub fn room_key(&self, name: &[u8]) -> NameHash {
        self.log.hash(NAMESPACE, name)
    }

    /// End of what is staged.
    pub fn staged(&self) -> Lsn {
        self.log.staged()
    }

    /// End of what is durable.
    pub fn durable(&self) -> Lsn {
        self.log.durable()
    }

    /// Returns the numbers of all rooms, those not loaded included, for a slow walk.
    pub fn room_ids(&self) -> Vec<RoomId> {
        let mut rooms: Vec<_> = self.log.rooms().map(|(_, room)| room).collect();
        rooms.sort_unstable();
        rooms
    }

    /// Moves a room's visible edge and says so to whom it concerns.
    fn show(&mut self, id: SlotId, edge: Edge) {
        let slot = &mut self.slots[id.0 as usize];
        slot.in_flight -= 1;
        let was_born = std::mem::replace(&mut slot.born, true);
        let before = slot.room.visible();
        slot.room.show(edge);
        let after = slot.room.visible();
        let gone = (slot.gone || slot.room.is_gone()) && slot.in_flight == 0;
        if let Some(changes) = &mut self.changes {
            let kind = match () {
                () if gone => Some(ChangeKind::Deleted),
                () if !was_born => Some(ChangeKind::Created { tail: after.tail }),
                () if before.tail < after.tail => Some(ChangeKind::Advanced {
                    from: before.tail,
                    tail: after.tail,
                }),
                () => None,
            };
            changes.extend(kind.map(|kind| Change {
                name: slot.room.name().into(),
                kind,
            }));
        }
        let is_read = slot.queued || !slot.readers.is_empty();
        if is_read && before.tail < after.tail && slot.since.message_us.is_none() {
            slot.since.message_us = self.staged_us;
        }
        // Who has come to a room that was not durable yet is told nothing of it before it is.
        let moved = gone || !was_born || before != after;
        if moved && !slot.readers.is_empty() && !slot.queued {
            slot.queued = true;
            self.advanced.push_back(id);
        }
        self.note_unviewed(id, self.latest);
        self.note_tables(id, !was_born || before != after, gone);
        self.note_moved(id, gone);
        self.drop_if_gone(id);
    }

    /// Finds a room that is there, loading it if need be.
    ///
    /// A room whose lifetime is over is deleted on the way.
    fn find(&mut self, now: Millis, name: &[u8]) -> Result<Option<SlotId>, Failure> {
        let hash = self.log.hash(NAMESPACE, name);
        let Some(id) = self.find_hash(now, hash)? else {
            return Ok(None);
        };
        if self.slots[id.0 as usize].room.name() != name {
            return Err(Failure::new(Code::Internal, "two names share one hash"));
        }
        if registry::is_registry(name) {
            self.check_registry(id, now)?;
        }
        Ok(Some(id))
    }

    fn find_hash(&mut self, now: Millis, hash: NameHash) -> Result<Option<SlotId>, Failure> {
        let id = match self.names.get(&hash) {
            Some(id) => *id,
            None => match self.log.find(hash) {
                Some(room) => self.load(room, hash)?,
                None => return Ok(None),
            },
        };
        let slot = &mut self.slots[id.0 as usize];
        slot.used_s = seconds(now);
        if slot.room.deadline().is_some_and(|deadline| deadline <= now) && !slot.room.is_deleted() {
            self.remove(id, now)?;
            return Ok(self.names.get(&hash).copied());
        }
        if slot.room.is_deleted() {
            self.remove_unused(id, now)?;
            return Ok(self.names.get(&hash).copied());
        }
        Ok(Some(id))
    }

    fn load(&mut self, room: RoomId, name: NameHash) -> Result<SlotId, Failure> {
        let began = self.cold_starts.as_ref().map(|_| Instant::now());
        let loaded = self.load_state(room)?;
        if let (Some(metrics), Some(began)) = (&self.cold_starts, began) {
            metrics.cold_start(began.elapsed().as_secs_f64());
        }
        Ok(self.insert(loaded, name, true))
    }

    fn load_state(&self, room: RoomId) -> Result<Room, Failure> {
        let folded = self.log.state(room).map_err(|error| read_failure(&error))?;
        Room::decode(room, &folded.state)
            .ok_or_else(|| Failure::new(Code::Corrupt, "a room's state does not decode"))
    }

    fn insert(&mut self, room: Room, name: NameHash, born: bool) -> SlotId {
        // After a start the log knows no times of rooms that no flush has seen since.
        if let Some(wake_at) = room.wake_at().filter(|_| !room.is_deleted()) {
            self.log.set_wake(room.id(), Some(wake_at));
        }
        let slot = Slot {
            room,
            name,
            readers: Vec::new(),
            in_flight: 0,
            used_s: 0,
            born,
            gone: false,
            queued: false,
            held: false,
            buffered: false,
            unviewed: false,
            viewed: viewed::UNKNOWN,
            applied: viewed::UNKNOWN,
            voice_logged: false,
            live_changed: false,
            since: Since::default(),
            live: None,
        };
        // A process has no memory for four thousand million rooms.
        let id = SlotId(self.slots.insert(Box::new(slot)) as u32);
        self.names.insert(name, id);
        id
    }

    /// Answers now, or once what the answer was computed from is durable.
    fn answer(&mut self, from: Option<SlotId>, ticket: Ticket, reply: Reply) {
        let waits = match from {
            Some(slot) => self.slots[slot.0 as usize].in_flight > 0,
            None => self.deleted_until > self.log.durable(),
        };
        if waits {
            let lsn = self.log.staged();
            self.pending.push_back(Pending {
                lsn,
                staged: None,
                reply: Some((ticket, reply)),
            });
        } else {
            self.ready.push_back((ticket, reply));
        }
    }

    /// Answers a command or a read with a failure, once all that it may tell of is durable.
    ///
    /// A stream that is not there may be missing because of a delete that a crash would undo.
    pub fn refuse(&mut self, ticket: Ticket, failure: Failure) {
        let of_the_server = matches!(
            failure.code,
            Code::DiskFull
                | Code::Overloaded
                | Code::LimitReached
                | Code::BodyTooLarge
                | Code::Internal
                | Code::Corrupt
                | Code::ColdUnavailable
                | Code::RateLimited
                | Code::QuotaExceeded
        );
        let tells = !of_the_server && self.log.staged() > self.log.durable();
        let reply = Reply::Failed(failure);
        if tells {
            self.pending.push_back(Pending {
                lsn: self.log.staged(),
                staged: None,
                reply: Some((ticket, reply)),
            });
        } else {
            self.ready.push_back((ticket, reply));
        }
    }

    /// Stages a record for a loaded room and applies it.
    fn stage(
        &mut self,
        id: SlotId,
        record: &floe_core::Record<'_>,
        payload: Payload<'_>,
        now: Millis,
    ) -> Result<Lsn, Failure> {
        let before = self.held_before(id);
        let slot = &mut self.slots[id.0 as usize];
        self.meta.clear();
        record.encode(&mut self.meta);
        let size = data_size(slot.room.is_json(), &payload);
        let lsn = self
            .log
            .append(slot.room.id(), now, &self.meta, payload)
            .map_err(|error| stage_failure(&error))?;
        slot.room.apply(record, size, now);
        slot.in_flight += 1;
        self.count_change(id, before, size.bytes);
        Ok(lsn)
    }

    /// Queues what happens once a staged record is durable.
    fn queue(&mut self, lsn: Lsn, id: SlotId, reply: Option<(Ticket, Reply)>) {
        let edge = self.slots[id.0 as usize].room.staged();
        self.pending.push_back(Pending {
            lsn,
            staged: Some((id, edge)),
            reply,
        });
    }

    /// Frees the slot of a deleted room once nobody needs it.
    fn drop_if_gone(&mut self, id: SlotId) {
        let slot = &self.slots[id.0 as usize];
        let told = slot.queued || slot.unviewed || slot.live_changed;
        let wanted = slot.in_flight > 0 || told || slot.held || slot.buffered;
        if slot.gone && !wanted && slot.readers.is_empty() {
            self.end_live(id);
            self.slots.remove(id.0 as usize);
        }
    }

    /// Drops rooms from memory that nobody has used for a while, a few at a time.
    fn sweep_idle(&mut self, now: Millis) {
        let idle_s = (self.limits.room_idle_timeout_ms / 1000) as u32;
        let crowded = self.slots.len() > self.limits.rooms_loaded_max;
        let keep_after = seconds(now).saturating_sub(if crowded { 0 } else { idle_s });
        let end = self.sweep_at + SWEEP_STEP.min(self.slots.capacity());
        for at in self.sweep_at..end {
            let Some(slot) = self.slots.get(at) else {
                continue;
            };
            let told = slot.queued || slot.unviewed || slot.gone;
            let wanted = slot.in_flight > 0 || told || slot.held || slot.buffered;
            let lives =
                slot.live_changed || slot.live.as_ref().is_some_and(|live| !live.is_empty());
            let idle = slot.readers.is_empty() && !wanted && !lives;
            if idle && slot.used_s < keep_after {
                self.log.set_wake(slot.room.id(), slot.room.wake_at());
                let name = slot.name;
                self.end_live(SlotId(at as u32));
                self.names.remove(&name);
                self.slots.remove(at);
            }
        }
        self.sweep_at = if end >= self.slots.capacity() { 0 } else { end };
    }
}

/// Folds with the same code that a live room runs.
#[derive(Debug)]
pub struct CoreFold;

impl Fold for CoreFold {
    fn fold(
        &self,
        room: RoomId,
        state: Option<&[u8]>,
        records: &mut dyn Iterator<Item = RecordView<'_>>,
    ) -> Result<Folded, FoldError> {
        let records = records.map(|record| {
            let size = Size {
                units: record.units,
                bytes: record.payload_len as u64,
            };
            (record.time, record.meta, size)
        });
        let folding = floe_core::fold(room, state, records).ok_or_else(|| FoldError {
            room,
            reason: "its records do not decode".into(),
        })?;
        Ok(Folded {
            state: folding.state,
            wake_at: folding.wake_at,
            keep_from: folding.start,
        })
    }
}

/// The only namespace there is so far.
const NAMESPACE: &str = "default";

/// Slots looked at in one sweep.
const SWEEP_STEP: usize = 4096;

fn data_size(json: bool, payload: &Payload<'_>) -> Size {
    let bytes = payload.bytes.len() as u64;
    Size {
        units: if json {
            payload.lens.len() as u64
        } else {
            bytes
        },
        bytes,
    }
}

fn seconds(now: Millis) -> u32 {
    // Enough for a hundred years from 1970.
    (now.0 / 1000) as u32
}

fn stage_failure(error: &StageError) -> Failure {
    let code = match error {
        StageError::Full => Code::DiskFull,
        StageError::Busy { .. } => Code::Overloaded,
        StageError::TooLarge { .. } => Code::BodyTooLarge,
        StageError::Exists { .. } | StageError::NoRoom { .. } | StageError::Io(_) => Code::Internal,
    };
    Failure::new(code, error.to_string())
}

fn read_failure(error: &floe_log::ReadError) -> Failure {
    match error {
        floe_log::ReadError::Corrupt(corrupt) => {
            tracing::error!(%corrupt, "stored bytes are damaged");
            Failure::new(Code::Corrupt, "stored bytes are damaged")
        }
        floe_log::ReadError::Gone { .. } => Failure::new(Code::OffsetExpired, error.to_string()),
        floe_log::ReadError::Cold(want) => Failure {
            cold: Some(*want),
            ..Failure::new(Code::ColdUnavailable, cold::UNAVAILABLE)
        },
        floe_log::ReadError::NoRoom { .. }
        | floe_log::ReadError::Fold(_)
        | floe_log::ReadError::Io(_) => {
            tracing::error!(%error, "a read failed");
            Failure::new(Code::Internal, "the server could not read its log")
        }
    }
}
