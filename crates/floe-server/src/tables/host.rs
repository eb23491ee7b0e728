//! The rooms whose tables are in use, and what each does next.

mod batches;
mod faults;
mod files;
mod questions;
mod snapshots;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use floe_log::{Disk, DiskFile};
use floe_proto::table::Call;
use floe_proto::{Code, RoomId};
use floe_views::tables::SqlLimits;
use mio::Waker;

use super::bounds::{TableBounds, TableSettings};
use super::readers::{self, Asked};
use super::room::{Phase, Room};
use super::saver::{self, Copying};
use super::writer::{Task, Writer};
use super::{Answered, Asker, At, Done, Mailbox, Outcome, Queued, Refused, Turned};
use crate::metrics::TableMetrics;
use crate::shard::{Shard, TablePlace, TablesMoved};

/// The tables of all rooms, as the event loop sees them.
#[derive(Debug)]
pub struct TableHost<F> {
    bounds: TableBounds,
    tasks: Option<Sender<Task<F>>>,
    questions: Option<Sender<Asked>>,
    /// Rooms whose snapshot is to be made; there is one at a time.
    saves: Option<Sender<RoomId>>,
    /// The room whose snapshot is being made.
    saving: Option<RoomId>,
    copying: Arc<Copying>,
    mailbox: Arc<Mailbox>,
    threads: Vec<JoinHandle<()>>,
    /// Rooms that are in use, which the shard holds.
    rooms: BTreeMap<RoomId, Room>,
    /// Rooms that have a place among the open files.
    open: usize,
    /// Rooms that wait for one, oldest first.
    wanting: VecDeque<RoomId>,
    /// Rooms that wait for cold data.
    cold: Vec<RoomId>,
    /// Questions that wait or are under way.
    asking: usize,
    /// Files that may be of no room any more.
    found: Vec<RoomId>,
    generation: u64,
    turns: u64,
    /// Uptime of the next look at rooms that nobody uses.
    sweep_ms: u64,
    turned: Turned,
    metrics: TableMetrics,
}

/// Milliseconds between two looks at rooms that nobody uses.
const SWEEP_MS: u64 = 1_000;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Starts the threads. They look for files that are of no room any more.
    pub fn start(
        settings: &TableSettings,
        waker: &Arc<Waker>,
        metrics: TableMetrics,
    ) -> io::Result<Self> {
        // What a crash has left of copies is nobody's.
        let _ = std::fs::remove_dir_all(&settings.copies);
        let mailbox = Arc::new(Mailbox {
            done: Mutex::default(),
            waker: Arc::clone(waker),
        });
        let (tasks, task_queue) = channel();
        let copying = Arc::new(Copying::default());
        let writer = Writer::new(settings, Arc::clone(&mailbox), Arc::clone(&copying));
        let mut threads = vec![spawn("floe-tables", move || writer.run(&task_queue))?];
        let (questions, question_queue) = channel();
        let question_queue = Arc::new(Mutex::new(question_queue));
        for _ in 0..settings.readers.max(1) {
            let (queue, mailbox) = (Arc::clone(&question_queue), Arc::clone(&mailbox));
            let settings = settings.clone();
            threads.push(spawn("floe-tables-query", move || {
                readers::run(&settings, &queue, &mailbox);
            })?);
        }
        let (saves, save_queue) = channel();
        let (folder, its) = (settings.folder.clone(), Arc::clone(&mailbox));
        let shared = Arc::clone(&copying);
        threads.push(spawn("floe-tables-save", move || {
            saver::run(&folder, &save_queue, &shared, &its);
        })?);
        Ok(Self {
            bounds: settings.bounds.clone(),
            tasks: Some(tasks),
            questions: Some(questions),
            saves: Some(saves),
            saving: None,
            copying,
            mailbox,
            threads,
            rooms: BTreeMap::new(),
            open: 0,
            wanting: VecDeque::new(),
            cold: Vec::new(),
            asking: 0,
            found: Vec::new(),
            generation: 0,
            turns: 0,
            sweep_ms: 0,
            turned: Turned::default(),
            metrics,
        })
    }

    /// Bounds what comes from now on.
    pub fn set_bounds(&mut self, bounds: TableBounds) {
        self.bounds = bounds;
    }

    /// Returns the bounds of one query.
    pub const fn query_limits(&self) -> &Arc<SqlLimits> {
        &self.bounds.query
    }

    /// Queues a call, which took about so many bytes to ask for.
    ///
    /// It is answered once it is durable, or refused. Calls to one room happen in the order in which
    /// they come.
    pub fn call<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        asker: Asker,
        place: TablePlace,
        call: Call,
        bytes: usize,
        at: At,
    ) {
        let bounds = &self.bounds;
        let (calls_max, bytes_max) = (bounds.queue_calls_max, bounds.queue_bytes_max);
        let room = self.enter(shard, place, at);
        let refusal = match room.refusal(at.uptime_ms) {
            Some(refused) => Some(refused),
            None if room.queue.len() >= calls_max || room.queue_bytes + bytes > bytes_max => {
                let message = "the room has tables.queue_max calls waiting";
                Some(Refused::new(Code::Overloaded, message))
            }
            None => None,
        };
        if let Some(error) = refusal {
            return self.refuse_call(asker, place.id, error);
        }
        room.queue.push_back(Queued { asker, call, bytes });
        room.queue_bytes += bytes;
        self.advance(shard, place.id, at);
    }

    /// Does what can be done now; returns what came of it.
    pub fn turn<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) -> Turned {
        self.turns += 1;
        while let Some(moved) = shard.poll_tables() {
            self.moved(shard, moved, at);
        }
        for done in self.mailbox.take() {
            self.take(shard, done, at);
        }
        for id in std::mem::take(&mut self.cold) {
            self.catch_up(shard, id, at);
        }
        self.step_found(shard);
        if at.uptime_ms >= self.sweep_ms {
            self.sweep_ms = at.uptime_ms + SWEEP_MS;
            self.sweep(shard, at);
        }
        for answered in &self.turned.answers {
            if let Outcome::Called(result) = &answered.outcome {
                self.metrics.called(result.is_err());
            }
        }
        std::mem::take(&mut self.turned)
    }

    /// Returns when [`turn`](Self::turn) wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        let told = !self.turned.answers.is_empty() || !self.turned.notices.is_empty();
        if told || !self.found.is_empty() {
            return Some(uptime_ms);
        }
        let sweeps = !self.rooms.is_empty() || !self.cold.is_empty();
        sweeps.then_some(self.sweep_ms)
    }

    /// Returns whether a call has not been answered.
    pub fn is_busy(&self) -> bool {
        let busy = |room: &Room| {
            !room.queue.is_empty() || matches!(room.phase, Phase::Running | Phase::Staged(_))
        };
        !self.turned.answers.is_empty() || self.rooms.values().any(busy)
    }

    /// Stops the threads once what is durable is in the files. What was not appended is undone.
    pub fn stop<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) {
        let _ = self.turn(shard, at);
        // A file whose pages are still being read cannot be closed whole.
        self.copying.stop();
        self.saves = None;
        self.tasks = None;
        self.questions = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    /// Notes how much is under way.
    pub fn show_metrics(&self, live_queries: usize) {
        self.metrics.follow(live_queries);
        let queued = self.rooms.values().map(|room| room.queue.len()).sum();
        self.metrics.show(self.open, queued, self.asking);
    }

    /// Takes a room into use.
    fn enter<D: Disk>(&mut self, shard: &mut Shard<D>, place: TablePlace, at: At) -> &mut Room {
        let room = self.rooms.entry(place.id).or_insert_with(|| {
            shard.hold_tables(place.slot);
            Room::new(place)
        });
        room.used = self.turns;
        room.used_ms = at.uptime_ms;
        room
    }

    /// Takes note of what became durable of a room.
    fn moved<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, moved: TablesMoved, at: At) {
        if let Some(room) = self.rooms.get_mut(&moved.id) {
            let visible = shard.tables_visible(room.slot);
            if matches!(&room.phase, Phase::Staged(batch) if batch.until <= visible) {
                self.settle(moved.id);
            }
            self.advance(shard, moved.id, at);
        }
        if moved.gone {
            let error = Refused::new(Code::NotFound, "the room was deleted");
            self.fail_waiting(moved.id, &error);
            self.turned.gone.push(moved.id);
            self.forget(shard, moved.id);
            self.send(Task::Remove(moved.id));
        }
    }

    /// Takes what a thread has done.
    fn take<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, done: Done, at: At) {
        match done {
            Done::Found(rooms) => self.found = rooms,
            Done::Opened(id, Ok(applied)) | Done::CaughtUp(id, Ok(applied)) => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.committed = applied;
                    self.catch_up(shard, id, at);
                }
            }
            Done::Opened(id, Err(fault)) | Done::CaughtUp(id, Err(fault)) => {
                self.fail(shard, id, &fault, at);
            }
            Done::Ran(id, ran) => self.ran(shard, id, ran, at),
            Done::Committed(id, applied) => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.committed = applied;
                    self.tell(id);
                    self.save(id);
                    self.advance(shard, id, at);
                }
            }
            Done::Broken(id, calls, fault) => {
                self.broken(shard, id, calls, &fault, at);
            }
            Done::Answered(asked, result, seconds) => {
                self.metrics.asked(seconds, result.is_err());
                self.answered(shard, asked, result, at);
            }
            Done::Rebuilt => self.metrics.rebuilt(),
            Done::Saved(id, saved) => self.saved(shard, id, &saved, at),
        }
    }

    /// Does what a room can do next.
    fn advance<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId, at: At) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        match room.phase {
            Phase::Failed(until_ms, _) if at.uptime_ms < until_ms => {}
            Phase::Closed | Phase::Failed(..) => {
                // A room that is not durable yet has no file.
                if room.has_work() && shard.tables_live(room.slot) {
                    room.phase = Phase::Wanting;
                    self.wanting.push_back(id);
                    self.make_place(shard, at);
                    self.let_in(shard);
                }
            }
            Phase::Ready if room.doubted => {
                room.doubted = false;
                self.generation += 1;
                room.generation = self.generation;
                room.phase = Phase::Opening;
                let tail = shard.tables_visible(room.slot);
                self.send(Task::Check(id, tail));
            }
            Phase::Ready => {
                self.release(id);
                self.run(shard, id, at);
                self.make_place(shard, at);
                self.let_in(shard);
            }
            Phase::Running | Phase::Staged(_) => self.release(id),
            Phase::Wanting | Phase::Opening | Phase::CatchingUp | Phase::Cold(_) => {}
        }
    }

    /// Refuses a call that may not be made.
    pub fn refuse(&mut self, asker: Asker, room: RoomId, error: Refused) {
        self.refuse_call(asker, room, error);
    }

    fn refuse_call(&mut self, asker: Asker, room: RoomId, error: Refused) {
        self.turned.answers.push(Answered {
            asker,
            room,
            outcome: Outcome::Called(Err(error)),
        });
    }

    fn send(&self, task: Task<F>) {
        // The thread ends only after this sender is gone.
        if let Some(tasks) = &self.tasks {
            let _ = tasks.send(task);
        }
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
