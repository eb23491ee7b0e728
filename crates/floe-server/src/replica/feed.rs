//! The event loop's side of a replica: what it lacks, and what it is given next.

mod walk;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use floe_log::{Disk, DiskFile};
use floe_proto::{Millis, RoomId};
use floe_views::replica::{Mode, ReplicaTarget};

use self::walk::Walk;
use super::Mailbox;
use super::status::{Progress, SyncStatus};
use super::worker::{Done, Handed, Task, Worker};
use crate::metrics::Metrics;
use crate::shard::{Moved, ReplicaRoom, Replicated, Shard, SlotId};

/// What one replica lacks.
#[derive(Debug)]
pub struct Feed<F> {
    wanted: Replicated,
    tasks: Option<Sender<Task<F>>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the replica has been opened.
    open: bool,
    /// Whether the last thing that was tried worked.
    available: bool,
    busy: Option<Busy>,
    /// Rooms that it lacks something of, oldest first, and what is known of each.
    queue: VecDeque<RoomId>,
    entries: HashMap<RoomId, Entry>,
    /// Number of the next entry.
    next_number: u64,
    /// Messages that the replica was given of a room; of others nobody knows.
    given: HashMap<RoomId, u64>,
    walk: Option<Walk>,
    /// Whether rooms moved that no entry tells of, so that all must be looked at.
    overflowed: bool,
    /// Since when it is not known what the replica lacks.
    unknown_since_ms: u64,
    /// Whether the last thing that was sent was a step of the walk.
    walked: bool,
    /// Uptime of the next batch, unless somebody waits for it.
    paced_ms: u64,
    /// Whether somebody waits.
    hurries: bool,
    /// Whether everything was to be sent again since the start, and of how many rooms.
    forced: Option<u64>,
    syncs: u64,
    errors: u64,
    last_sync: Option<(Millis, u64)>,
}

/// What the thread does.
#[derive(Debug)]
enum Busy {
    Opening,
    Locating(Vec<ReplicaRoom>),
    Applying(Vec<(RoomId, Entry)>),
    Retaining,
}

/// A room that the replica lacks something of.
#[derive(Debug, Clone)]
struct Entry {
    /// Entries that came before have smaller numbers.
    number: u64,
    /// Where the room is loaded, if it still is.
    slot: Option<SlotId>,
    /// Uptime since when it waits.
    since_ms: u64,
    /// What the room was, if it is gone.
    gone: Option<Box<ReplicaRoom>>,
    /// Whether the replica is to forget what it has of it.
    anew: bool,
}

/// Messages of one batch, about.
const BATCH_MESSAGES_MAX: u64 = 8_000;
/// Bytes of messages of one batch, about.
const BATCH_BYTES_MAX: u64 = 2 << 20;
/// Rooms of one batch.
const BATCH_ROOMS_MAX: usize = 1_024;
/// Rooms that share a batch in which all have much.
const SHARES: u64 = 8;
/// Rooms that are asked about at once.
const LOCATE_STEP: usize = 512;
/// Rooms that wait at once; of more it is only known that there are some, and all are looked at.
const QUEUE_MAX: usize = 65_536;
/// Rooms of which it is known how far the replica is; at the bound all are forgotten, and asked about.
const GIVEN_MAX: usize = 65_536;
/// Rooms whose cold data is asked for at once, while others are handed out.
const COLD_MAX: usize = 64;
/// Milliseconds from one batch to the next while nobody waits: many small ones cost more than few.
const PACE_MS: u64 = 20;
/// Milliseconds after which cold data is asked for again.
const COLD_MS: u64 = 100;
/// How long a stop waits for the thread; what it was doing is done again by the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl<F: DiskFile + 'static> Feed<F> {
    /// Starts the thread.
    pub fn start(
        at: usize,
        wanted: Replicated,
        target: Box<dyn ReplicaTarget>,
        mailbox: &Arc<Mailbox>,
    ) -> io::Result<Self> {
        let (tasks, queue) = channel();
        let worker = Worker {
            feed: at,
            target,
            mailbox: Arc::clone(mailbox),
        };
        let thread = std::thread::Builder::new()
            .name("floe-replica".into())
            .spawn(move || worker.run(&queue))?;
        Ok(Self {
            wanted,
            tasks: Some(tasks),
            thread: Some(thread),
            open: false,
            available: false,
            busy: Some(Busy::Opening),
            queue: VecDeque::new(),
            entries: HashMap::new(),
            next_number: 0,
            given: HashMap::new(),
            walk: None,
            overflowed: false,
            unknown_since_ms: 0,
            walked: false,
            paced_ms: 0,
            hurries: false,
            forced: None,
            syncs: 0,
            errors: 0,
            last_sync: None,
        })
    }

    /// Returns which rooms it is told of.
    pub const fn wanted(&self) -> Replicated {
        self.wanted
    }

    /// Takes note of what the thread has done.
    pub fn take<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        now: Millis,
        uptime_ms: u64,
        done: Done,
        metrics: &Metrics,
    ) {
        match done {
            Done::Opened { watermark } => {
                self.open = true;
                self.available = true;
                self.busy = None;
                if watermark != shard.durable().0 {
                    self.begin_walk(shard, uptime_ms, None);
                }
            }
            Done::Located(rooms) => {
                self.available = true;
                if let Some(Busy::Locating(asked)) = self.busy.take() {
                    for (room, (_, applied)) in asked.iter().zip(rooms) {
                        self.located(uptime_ms, room, applied);
                    }
                }
            }
            Done::Applied { applied, seconds } => {
                self.available = true;
                self.syncs += 1;
                self.last_sync = Some((now, uptime_ms));
                metrics.replicated(applied.messages, seconds);
                if let Some(Busy::Applying(rooms)) = self.busy.take() {
                    for (_, entry) in rooms {
                        metrics.replica_delay(uptime_ms.saturating_sub(entry.since_ms));
                    }
                }
            }
            Done::Retained => {
                self.available = true;
                self.busy = None;
                self.walk = None;
            }
            Done::Astray { lost } => {
                self.give_back();
                if lost {
                    self.available = true;
                    self.errors += 1;
                    metrics.replica_failed();
                    self.given.clear();
                    self.begin_walk(shard, uptime_ms, None);
                }
            }
            Done::Failed => {
                self.available = false;
                self.errors += 1;
                metrics.replica_failed();
            }
            Done::Back => self.available = true,
        }
    }

    /// Notes that a room moved, or went.
    pub fn note(&mut self, uptime_ms: u64, moved: &Moved) {
        if !self.wanted.has(moved.kind) {
            return;
        }
        let gone = moved.gone.clone().map(Box::new);
        if let Some(entry) = self.enter(uptime_ms, moved.room) {
            entry.slot = Some(moved.slot);
            entry.gone = entry.gone.take().or(gone);
        }
    }

    /// Gives the thread something to do.
    pub fn feed<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, uptime_ms: u64) {
        if self.busy.is_some() || !self.open || !self.available {
            return;
        }
        if self.overflowed && self.walk.is_none() && self.queue.len() < QUEUE_MAX / 2 {
            self.begin_walk(shard, uptime_ms, None);
            self.overflowed = false;
        }
        let walks = self.walk.is_some()
            && self.queue.len() < LOCATE_STEP
            && (self.queue.is_empty() || !self.walked);
        self.walked = walks;
        let next = if walks {
            self.step_walk(shard, uptime_ms)
        } else if uptime_ms >= self.paced_ms || self.hurries {
            self.next_batch(shard, uptime_ms)
        } else {
            None
        };
        if let (Some((task, busy)), Some(tasks)) = (next, &self.tasks) {
            // The thread ends only after this sender is gone.
            if tasks.send(task).is_ok() {
                self.busy = Some(busy);
            }
        }
    }

    /// Returns when it wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        if self.busy.is_some() || !self.available {
            return None;
        }
        if self.walk.is_some() && self.queue.len() < LOCATE_STEP {
            return Some(uptime_ms);
        }
        let waits = !self.queue.is_empty() || self.overflowed;
        waits.then_some(self.paced_ms.max(uptime_ms))
    }

    /// Returns how the replica is.
    pub fn status(&self, now: Millis, uptime_ms: u64) -> SyncStatus {
        let settling = !self.is_known();
        let waits = self.entries.values().chain(self.under_way());
        let oldest = waits.map(|entry| entry.since_ms).min();
        let unknown = settling.then_some(self.unknown_since_ms);
        let oldest = oldest.into_iter().chain(unknown).min();
        let walked = self.walk.as_ref().map_or(0, |walk| walk.left() as u64);
        SyncStatus {
            replica_available: self.open && self.available,
            is_healthy: false,
            last_sync: self.last_sync.map(|(at, _)| at),
            last_sync_age_ms: self.last_sync.map(|(at, _)| now.since(at)),
            total_syncs: self.syncs,
            sync_errors: self.errors,
            lag_ms: oldest.map_or(0, |since| uptime_ms.saturating_sub(since)),
            queue_depth: (self.entries.len() + self.under_way().count()) as u64 + walked,
            settling,
        }
        .judged()
    }

    /// Begins to give the replica all of a namespace again.
    pub fn sync_all<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        namespace: &str,
        uptime_ms: u64,
    ) {
        self.begin_walk(shard, uptime_ms, Some(namespace.into()));
        self.forced = self.walk.as_ref().map(|walk| walk.len() as u64);
    }

    /// Returns how far that has come.
    pub fn progress(&self) -> Option<Progress> {
        let rooms = self.forced?;
        let left = self.walk.as_ref().map_or(0, Walk::left) as u64;
        let waiting = self.entries.values().chain(self.under_way());
        let waiting = waiting.filter(|entry| entry.anew).count() as u64;
        Some(Progress {
            done: rooms.saturating_sub(left + waiting),
            rooms,
            complete: self.walk.is_none() && waiting == 0,
        })
    }

    /// Whether it is known what the replica lacks.
    const fn is_known(&self) -> bool {
        self.open && self.walk.is_none() && !self.overflowed
    }

    /// Whether it is known what the replica lacks, and it can be had.
    pub const fn is_settled(&self) -> bool {
        self.is_known() && self.available
    }

    /// Returns the number of the next room to move: all that is visible now has smaller ones.
    pub const fn mark(&self) -> u64 {
        self.next_number
    }

    /// Returns whether the replica has all that was visible at a mark.
    pub fn has_reached(&self, mark: u64) -> bool {
        let mut waits = self.entries.values().chain(self.under_way());
        self.is_settled() && waits.all(|entry| entry.number >= mark)
    }

    /// Returns whether it can be had.
    pub const fn is_available(&self) -> bool {
        self.open && self.available
    }

    /// Returns how many batches are in it, since the start.
    pub const fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Returns whether it has so many messages of a room, as far as is known here; while a batch of the
    /// room is under way nobody knows.
    pub fn may_have(&self, room: RoomId, messages: u64) -> bool {
        let waits = self.entries.contains_key(&room);
        match (&self.busy, self.given.get(&room)) {
            (Some(Busy::Applying(rooms)), _) if rooms.iter().any(|(one, _)| *one == room) => false,
            (_, Some(given)) => *given >= messages,
            (_, None) => self.is_settled() && !waits,
        }
    }

    /// Says whether somebody waits for the replica.
    pub const fn set_hurry(&mut self, hurries: bool) {
        self.hurries = hurries;
    }

    /// Stops the thread once what is under way is done.
    pub fn stop<D: Disk>(&mut self, shard: &Shard<D>) {
        let rests = self.busy.is_none() && self.is_settled() && self.entries.is_empty();
        if let Some(tasks) = self.tasks.take().filter(|_| rests && !shard.is_busy()) {
            let _ = tasks.send(Task::Complete {
                watermark: shard.durable().0,
            });
        }
        let Some(thread) = self.thread.take() else {
            return;
        };
        let until = Instant::now() + STOP_PATIENCE;
        while !thread.is_finished() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }

    fn under_way(&self) -> impl Iterator<Item = &Entry> {
        let rooms = match &self.busy {
            Some(Busy::Applying(rooms)) => &rooms[..],
            Some(Busy::Opening | Busy::Locating(_) | Busy::Retaining) | None => &[],
        };
        rooms.iter().map(|(_, entry)| entry)
    }

    /// Returns the entry of a room, made if need be; `None` where there are too many.
    fn enter(&mut self, uptime_ms: u64, room: RoomId) -> Option<&mut Entry> {
        if !self.entries.contains_key(&room) {
            if self.entries.len() >= QUEUE_MAX {
                if !std::mem::replace(&mut self.overflowed, true) {
                    self.unknown_since_ms = uptime_ms;
                }
                return None;
            }
            self.queue.push_back(room);
            self.next_number += 1;
        }
        let number = self.next_number - 1;
        Some(self.entries.entry(room).or_insert(Entry {
            number,
            slot: None,
            since_ms: uptime_ms,
            gone: None,
            anew: false,
        }))
    }

    /// Takes back what the thread was given and did not do.
    fn give_back(&mut self) {
        if let Some(Busy::Applying(rooms)) = self.busy.take() {
            for (room, mut old) in rooms.into_iter().rev() {
                self.given.remove(&room);
                if let Some(newer) = self.entries.remove(&room) {
                    old.slot = newer.slot.or(old.slot);
                    old.gone = newer.gone.or(old.gone);
                    old.anew |= newer.anew;
                    self.queue.retain(|waiting| *waiting != room);
                }
                self.queue.push_front(room);
                self.entries.insert(room, old);
            }
        }
    }

    /// Takes note of how far the replica is in a room.
    fn located(&mut self, uptime_ms: u64, room: &ReplicaRoom, applied: Option<u64>) {
        let is_known = self.entries.contains_key(&room.room);
        if applied == Some(room.tail) && !is_known {
            return;
        }
        let Some(entry) = self.enter(uptime_ms, room.room) else {
            return;
        };
        match applied {
            None => entry.anew = true,
            Some(applied) => self.set_given(room.room, applied),
        }
    }

    fn set_given(&mut self, room: RoomId, messages: u64) {
        if self.given.len() >= GIVEN_MAX && !self.given.contains_key(&room) {
            self.given.clear();
        }
        self.given.insert(room, messages);
    }

    /// Makes the next batch, or asks how far the replica is where nobody knows.
    fn next_batch<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        uptime_ms: u64,
    ) -> Option<(Task<F>, Busy)> {
        let unknown = self.unknown(shard);
        if !unknown.is_empty() {
            return Some((Task::Locate(unknown.clone()), Busy::Locating(unknown)));
        }
        let mut batch = Vec::new();
        let mut under_way = Vec::new();
        let mut stay = Vec::new();
        let (mut messages, mut bytes) = (0, 0);
        while messages < BATCH_MESSAGES_MAX
            && bytes < BATCH_BYTES_MAX
            && batch.len() < BATCH_ROOMS_MAX
        {
            let Some(room) = self.queue.pop_front() else {
                break;
            };
            let Some(entry) = self.entries.remove(&room) else {
                continue;
            };
            let share = (BATCH_MESSAGES_MAX / SHARES).min(BATCH_MESSAGES_MAX - messages);
            match self.hand(shard, room, &entry, share, BATCH_BYTES_MAX - bytes) {
                Hand::Over(handed) => {
                    let end = handed
                        .messages
                        .as_ref()
                        .map_or(handed.from, |read| read.end);
                    messages += end - handed.from;
                    bytes += handed.messages.as_ref().map_or(0, |read| read.bytes);
                    if handed.mode != Mode::Remove {
                        self.set_given(room, end);
                        if end < handed.room.tail {
                            // Others come first, but it is no younger for that.
                            self.queue.push_back(room);
                            let rest = Entry {
                                anew: false,
                                ..entry.clone()
                            };
                            self.entries.insert(room, rest);
                        }
                    }
                    under_way.push((room, entry));
                    batch.push(*handed);
                }
                Hand::Nothing => {}
                Hand::Later => {
                    stay.push(room);
                    self.entries.insert(room, entry);
                    if stay.len() >= COLD_MAX {
                        break;
                    }
                }
            }
        }
        let waits_for_cold = batch.is_empty() && !stay.is_empty();
        self.paced_ms = uptime_ms + if waits_for_cold { COLD_MS } else { PACE_MS };
        for room in stay.into_iter().rev() {
            self.queue.push_front(room);
        }
        (!batch.is_empty()).then_some((Task::Apply(batch), Busy::Applying(under_way)))
    }

    /// Returns the first of the rooms that wait of which nobody knows how far the replica is.
    fn unknown<D: Disk<File = F>>(&self, shard: &Shard<D>) -> Vec<ReplicaRoom> {
        let rooms = self.queue.iter().take(LOCATE_STEP).filter_map(|room| {
            let entry = self.entries.get(room)?;
            let is_known = entry.gone.is_some() || entry.anew || self.given.contains_key(room);
            if is_known {
                return None;
            }
            shard.replica_room(*room, entry.slot).ok().flatten()
        });
        rooms.collect()
    }

    /// Returns what the replica is given of a room.
    fn hand<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        room: RoomId,
        entry: &Entry,
        messages_max: u64,
        bytes_max: u64,
    ) -> Hand<F> {
        if let Some(gone) = &entry.gone {
            self.given.remove(&room);
            return Hand::Over(Box::new(Handed {
                room: (**gone).clone(),
                mode: Mode::Remove,
                from: 0,
                messages: None,
            }));
        }
        let there = match shard.replica_room(room, entry.slot) {
            Ok(Some(there)) => there,
            // If it went, that is told, too.
            Ok(None) => return Hand::Nothing,
            Err(failure) => {
                let code = failure.code.as_str();
                tracing::error!(code, room = room.0, "a room cannot be replicated");
                return Hand::Nothing;
            }
        };
        let given = self.given.get(&room).copied().filter(|_| !entry.anew);
        let (mode, from) = match given {
            Some(given) if given <= there.tail => (Mode::Add, given.max(there.start)),
            // What it has beyond the room's end never happened.
            Some(_) => (Mode::Anew, there.start),
            None if entry.anew => (Mode::Anew, there.start),
            None => return Hand::Later,
        };
        let to = there.tail.min(from.saturating_add(messages_max));
        match shard.read_for_replica(room, from, to, bytes_max as usize) {
            Ok(messages) => Hand::Over(Box::new(Handed {
                room: there,
                mode,
                from,
                messages: Some(messages),
            })),
            Err(Some(_)) => Hand::Later,
            Err(None) => Hand::Nothing,
        }
    }
}

/// What becomes of a room that waits.
enum Hand<F> {
    /// The replica is given this.
    Over(Box<Handed<F>>),
    /// It waits no longer.
    Nothing,
    /// It keeps its place.
    Later,
}
