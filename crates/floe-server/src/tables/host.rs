//! The rooms whose tables are in use, and what each does next.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use floe_log::{Disk, DiskFile, Payload};
use floe_proto::table::Call;
use floe_proto::{Code, Millis, RoomId};
use mio::Waker;

use super::bounds::{TableBounds, TableSettings};
use super::readers::{self, Answer, Ask, Asked, Unanswered};
use super::room::{Batch, Phase, Read, Room, backoff_ms};
use super::writer::{Batching, Ran, Task, Writer};
use super::{Answered, Asker, At, Done, Mailbox, Notice, Outcome, Queued, Refused, Turned};
use crate::metrics::TableMetrics;
use crate::shard::{Failure, Shard, SlotId, TablePlace, TablesMoved};

/// The tables of all rooms, as the event loop sees them.
#[derive(Debug)]
pub struct TableHost<F> {
    bounds: TableBounds,
    tasks: Option<Sender<Task<F>>>,
    questions: Option<Sender<Asked>>,
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
/// Files closed after one look at rooms that nobody uses; the disk is waited for with each.
const CLOSES_MAX: usize = 8;
/// Bytes of messages that a file is handed at once to catch up, about.
const CATCH_UP_BYTES: usize = 1 << 20;
/// Files looked at in one turn whether their rooms are still there.
const FOUND_STEP: usize = 256;
/// Times that a question is asked again because the file failed.
const TRIES_MAX: u8 = 2;
/// Times in a row that a file may fail before what waits for it fails too.
const FAILURES_MAX: u32 = 2;

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
        let writer = Writer::new(settings, Arc::clone(&mailbox));
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
        Ok(Self {
            bounds: settings.bounds.clone(),
            tasks: Some(tasks),
            questions: Some(questions),
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

    /// Asks a room's tables, once they have all that is visible now, and at least `min_seq` messages.
    pub fn ask<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        asker: Asker,
        place: TablePlace,
        mut ask: Ask,
        min_seq: u64,
        at: At,
    ) {
        let (most, wait_ms) = (self.bounds.queries_max, self.bounds.wait_ms);
        let is_full = self.asking >= most;
        let room = self.enter(shard, place, at);
        let refusal = match room.refusal(at.uptime_ms) {
            Some(refused) => Some(refused),
            None if is_full => {
                let message = format!("tables.queries_max: {most} questions are under way");
                Some(Refused::new(Code::Overloaded, message))
            }
            None => None,
        };
        if let Some(error) = refusal {
            return self.refuse_question(asker, place.id, error);
        }
        if let Ask::Usage(unsaved) = &mut ask {
            *unsaved = room.asked;
        }
        if let Ask::Audit(first_seq, messages) = &mut ask {
            match newest(shard, place.slot) {
                Ok(newest) => (*first_seq, *messages) = newest,
                Err(failure) => {
                    return self.refuse_question(asker, place.id, Refused::from(&failure));
                }
            }
        }
        let visible = shard.tables_visible(place.slot);
        room.reads.push(Read {
            asker,
            ask,
            needs: visible.max(min_seq),
            until_ms: (min_seq > visible).then(|| at.uptime_ms + wait_ms),
            tries: 0,
        });
        self.asking += 1;
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

    /// Answers a batch that is durable, and has it committed.
    fn settle(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let Phase::Staged(batch) = std::mem::replace(&mut room.phase, Phase::Ready) else {
            return;
        };
        let Batch {
            until,
            done,
            notice,
        } = batch;
        room.unsaved += until - room.committed.min(until);
        room.failures = 0;
        match &mut room.notice {
            Some(older) => older.merge(notice),
            None => room.notice = Some(notice),
        }
        for (asker, result) in done {
            self.turned.answers.push(Answered {
                asker,
                room: id,
                outcome: Outcome::Called(result),
            });
        }
        self.send(Task::Commit(id));
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
            Done::Saved(id, made) => {
                self.metrics.saved(made);
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.saving = false;
                }
            }
        }
    }

    /// Hands on what came of a question; one whose file failed is asked once more.
    fn answered<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        asked: Asked,
        result: Result<Answer, Unanswered>,
        at: At,
    ) {
        let result = match result {
            Ok(answer) => {
                if let Some(room) = self.rooms.get_mut(&asked.room) {
                    room.asked += 1;
                }
                Ok(answer)
            }
            Err(Unanswered::Refused(error)) => Err(error.into()),
            Err(Unanswered::Failed(refused)) => {
                if let Some(room) = self.rooms.get_mut(&asked.room)
                    && asked.tries < TRIES_MAX
                {
                    // The second time it is the file that must be looked at.
                    room.doubted |= asked.tries > 0 && room.generation == asked.generation;
                    room.reads.push(Read {
                        asker: asked.asker,
                        ask: asked.ask,
                        needs: shard.tables_visible(room.slot),
                        until_ms: None,
                        tries: asked.tries + 1,
                    });
                    return self.advance(shard, asked.room, at);
                }
                Err(refused)
            }
        };
        self.asking -= 1;
        self.turned.answers.push(Answered {
            asker: asked.asker,
            room: asked.room,
            outcome: Outcome::Asked(result),
        });
    }

    /// Goes on with a room that has a file with `committed` messages.
    fn catch_up<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId, at: At) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let visible = shard.tables_visible(room.slot);
        if room.committed >= visible || shard.tables_ended(room.slot) {
            room.phase = Phase::Ready;
            self.tell(id);
            return self.advance(shard, id, at);
        }
        let since_ms = if let Phase::Cold(since_ms) = room.phase {
            since_ms
        } else {
            at.uptime_ms
        };
        match shard.hand_tables(room.slot, room.committed, CATCH_UP_BYTES) {
            Ok(handed) => {
                room.phase = Phase::CatchingUp;
                let first_seq = room.committed + 1;
                self.send(Task::CatchUp(id, first_seq, handed));
            }
            Err(failure)
                if failure.cold.is_some()
                    && at.uptime_ms < since_ms + self.bounds.cold_read_timeout_ms =>
            {
                room.phase = Phase::Cold(since_ms);
                self.cold.push(id);
            }
            Err(failure) => {
                let error = Refused::from(&failure);
                self.send(Task::Drop(id, at.now, 0));
                self.fail(shard, id, &error, at);
            }
        }
    }

    /// Appends what a batch has brought.
    fn ran<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId, ran: Ran, at: At) {
        self.metrics.ran(ran.seconds);
        let Some(room) = self.rooms.get_mut(&id) else {
            let error = Refused::new(Code::NotFound, "the room was deleted");
            let calls = ran.done.into_iter().map(|(queued, _)| queued);
            for queued in calls.chain(ran.left) {
                self.refuse_call(queued.asker, id, error.clone());
            }
            return;
        };
        room.put_back(ran.left);
        room.phase = Phase::Ready;
        if ran.lens.is_empty() {
            room.failures = 0;
            room.asked += ran.asked;
            for (queued, result) in ran.done {
                self.turned.answers.push(Answered {
                    asker: queued.asker,
                    room: id,
                    outcome: Outcome::Called(result.map_err(Refused::from)),
                });
            }
            return self.advance(shard, id, at);
        }
        if shard.tables_ended(room.slot) {
            // Whether the room is gone is known once that is durable.
            room.put_back(ran.done.into_iter().map(|(queued, _)| queued).collect());
            return self.send(Task::Rollback(id));
        }
        let payload = Payload {
            bytes: &ran.bytes,
            lens: &ran.lens,
        };
        match shard.append_tables(at.now, room.slot, payload) {
            Ok(until) => {
                let mut notice = Notice::new(id, shard.room(room.slot).name());
                notice.seq = until;
                let mut done = Vec::with_capacity(ran.done.len());
                for (queued, result) in ran.done {
                    if let Ok(applied) = &result {
                        notice.add(&queued.call, applied);
                    }
                    done.push((queued.asker, result.map_err(Refused::from)));
                }
                room.phase = Phase::Staged(Batch {
                    until,
                    done,
                    notice,
                });
            }
            Err(failure) => {
                let small = matches!(failure.code, Code::BodyTooLarge | Code::QuotaExceeded);
                if small && ran.done.len() > 1 {
                    // One that is too much must not take the others with it.
                    room.singly = ran.done.len();
                    room.put_back(ran.done.into_iter().map(|(queued, _)| queued).collect());
                } else {
                    for (queued, _) in ran.done {
                        self.refuse_call(queued.asker, id, Refused::from(&failure));
                    }
                }
                self.send(Task::Rollback(id));
                self.advance(shard, id, at);
            }
        }
    }

    /// Has a file that failed opened again, or lets what waits for it fail.
    fn broken<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        calls: Vec<Queued>,
        fault: &Refused,
        at: At,
    ) {
        self.metrics.failed();
        let Some(room) = self.rooms.get_mut(&id) else {
            for queued in calls {
                self.refuse_call(queued.asker, id, fault.clone());
            }
            return;
        };
        if calls.is_empty() && matches!(room.phase, Phase::Running) {
            // The calls come back, too.
            return;
        }
        room.put_back(calls);
        room.failures += 1;
        if room.failures > FAILURES_MAX {
            return self.fail(shard, id, fault, at);
        }
        self.leave(shard, id, Phase::Closed);
        self.advance(shard, id, at);
    }

    /// Lets all that waits for a room's file fail, and leaves it alone for a while.
    fn fail<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId, fault: &Refused, at: At) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        self.metrics.failed();
        room.failures += 1;
        let until_ms = at.uptime_ms + backoff_ms(room.failures);
        let error = fault.clone();
        let why = &error.error;
        tracing::warn!(room = id.0, %why, "the tables of a room cannot be used for the moment");
        self.leave(shard, id, Phase::Failed(until_ms, error.clone()));
        self.fail_waiting(id, &error);
    }

    fn fail_waiting(&mut self, id: RoomId, error: &Refused) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let (calls, reads) = (
            std::mem::take(&mut room.queue),
            std::mem::take(&mut room.reads),
        );
        room.queue_bytes = 0;
        self.asking -= reads.len();
        for queued in calls {
            self.refuse_call(queued.asker, id, error.clone());
        }
        for read in reads {
            self.refuse_question(read.asker, id, error.clone());
        }
    }

    /// Gives a room's place among the open files to another.
    fn leave<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId, phase: Phase) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let had = room.has_place();
        room.phase = phase;
        if had {
            self.open -= 1;
            self.let_in(shard);
        }
    }

    /// Opens the files of rooms that wait for a place, as long as there is one.
    fn let_in<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        while self.open < self.bounds.open_max {
            let Some(id) = self.wanting.pop_front() else {
                return;
            };
            if let Some(room) = self.rooms.get(&id)
                && matches!(room.phase, Phase::Wanting)
            {
                self.open(shard, id);
            }
        }
    }

    fn open<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        self.generation += 1;
        room.generation = self.generation;
        room.phase = Phase::Opening;
        let tail = shard.tables_visible(room.slot);
        self.open += 1;
        self.send(Task::Open(id, tail));
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

    /// Has a batch of calls run, if there are any.
    fn run<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId, at: At) {
        let most = self.bounds.batch_calls_max;
        let (rows_max, bytes_max) = (self.bounds.batch_rows_max, self.bounds.batch_bytes_max);
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if room.queue.is_empty() || shard.tables_ended(room.slot) {
            return;
        }
        let calls = room.take_calls(most);
        let batching = Batching {
            now: at.now,
            asked: std::mem::take(&mut room.asked),
            rows_max,
            bytes_max,
        };
        room.phase = Phase::Running;
        self.send(Task::Run(id, calls, batching));
    }

    /// Sends the questions on that the file has all for.
    fn release(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if room.reads.is_empty() || room.doubted {
            return;
        }
        let committed = room.committed;
        let ready: Vec<Read> = room
            .reads
            .extract_if(.., |read| read.needs <= committed)
            .collect();
        let generation = room.generation;
        for read in ready {
            let asked = Asked {
                asker: read.asker,
                room: id,
                generation,
                tries: read.tries,
                limits: Arc::clone(&self.bounds.query),
                ask: read.ask,
            };
            self.question(asked);
        }
    }

    /// Tells what was committed.
    fn tell(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.get_mut(&id)
            && let Some(notice) = room.notice.take_if(|notice| notice.seq <= room.committed)
        {
            self.turned.notices.push(notice);
        }
    }

    /// Has a snapshot made of a room that has moved far enough.
    fn save(&mut self, id: RoomId) {
        let every = self.bounds.snapshot_every;
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        // A larger file costs more to copy, so that is done less often.
        let due = room.unsaved >= every.max(room.committed / 4);
        if every == 0 || room.saving || !due {
            return;
        }
        room.saving = true;
        room.unsaved = 0;
        self.send(Task::Save(id));
    }

    /// Closes the file that has rested longest, if another wants its place.
    fn make_place<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) {
        if self.wanting.is_empty() || self.open < self.bounds.open_max {
            return;
        }
        let resting = self.rooms.values().filter(|room| room.rests());
        let oldest = resting.min_by_key(|room| room.used).map(|room| room.id);
        if let Some(id) = oldest {
            self.finish(shard, id, at, Task::Drop);
        }
    }

    /// Takes a room out of use, and closes its file so.
    fn finish<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        at: At,
        close: impl FnOnce(RoomId, Millis, u64) -> Task<F>,
    ) {
        let asked = self.rooms.get(&id).map_or(0, |room| room.asked);
        self.send(close(id, at.now, asked));
        self.forget(shard, id);
    }

    /// Takes a room out of use.
    fn forget<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId) {
        self.leave(shard, id, Phase::Closed);
        if let Some(room) = self.rooms.remove(&id) {
            shard.release_tables(room.slot);
        }
    }

    /// Closes the files of rooms that nobody uses, and ends the wait for what has not come in time.
    fn sweep<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) {
        let late = self.rooms.values_mut().flat_map(|room| {
            let reads = room.reads.extract_if(.., |read| {
                read.until_ms
                    .is_some_and(|until_ms| at.uptime_ms >= until_ms)
            });
            let id = room.id;
            reads.map(move |read| (id, read.asker)).collect::<Vec<_>>()
        });
        for (id, asker) in late.collect::<Vec<_>>() {
            let message = "the room has not reached the wanted message in time";
            self.asking -= 1;
            self.refuse_question(asker, id, Refused::new(Code::ViewBehind, message));
        }
        let idle_ms = self.bounds.idle_timeout_ms;
        let idle = self.rooms.values().filter(|room| {
            let unused = at.uptime_ms.saturating_sub(room.used_ms) >= idle_ms;
            let failed = room.refusal(at.uptime_ms).is_some();
            let over = !failed && (room.rests() || !room.has_place());
            unused && over && !room.has_work()
        });
        let idle: Vec<RoomId> = idle.map(|room| room.id).take(CLOSES_MAX).collect();
        for id in idle {
            self.finish(shard, id, at, Task::Close);
        }
    }

    /// Has files removed that are of no room.
    fn step_found<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        for _ in 0..FOUND_STEP {
            let Some(id) = self.found.pop() else {
                return;
            };
            if !shard.has_tables(id) {
                self.send(Task::Remove(id));
            }
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

    fn refuse_question(&mut self, asker: Asker, room: RoomId, error: Refused) {
        self.turned.answers.push(Answered {
            asker,
            room,
            outcome: Outcome::Asked(Err(error)),
        });
    }

    fn question(&self, question: Asked) {
        // The threads end only after this sender is gone.
        if let Some(questions) = &self.questions {
            let _ = questions.send(question);
        }
    }

    fn send(&self, task: Task<F>) {
        // The thread ends only after this sender is gone.
        if let Some(tasks) = &self.tasks {
            let _ = tasks.send(task);
        }
    }
}

/// Reads the newest messages of a room, and the place of the first of them. Few large ones stand for
/// many.
fn newest<D: Disk>(shard: &mut Shard<D>, slot: SlotId) -> Result<(u64, Vec<u8>), Failure> {
    let tail = shard.tables_visible(slot);
    let mut all = Vec::new();
    let mut first = tail;
    for count in AUDIT_STEPS {
        let from = tail.saturating_sub(count);
        let mut read = Vec::new();
        let mut next = from;
        while next < tail && read.len() <= AUDIT_BYTES_MAX {
            let fetched = shard.hand_tables(slot, next, AUDIT_BYTES_MAX)?;
            let bytes = fetched.to_vec();
            read.extend(bytes.map_err(|error| Failure::new(Code::Internal, error.to_string()))?);
            next = fetched.next;
        }
        if next >= tail && (read.len() <= AUDIT_BYTES_MAX || all.is_empty()) {
            (first, all) = (from, read);
        } else {
            break;
        }
    }
    Ok((first + 1, all))
}

/// Messages of the audit log, fewer where they are large.
const AUDIT_STEPS: [u64; 3] = [1, 10, 50];
/// Bytes of the messages that the audit log is made from, about.
const AUDIT_BYTES_MAX: usize = 1 << 20;

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
