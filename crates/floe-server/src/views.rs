//! The SQL side of the server: a thread that applies what became visible, and threads that answer
//! questions.
//!
//! The event loop never waits for SQLite. Rooms that moved wait in the shard's queue, one entry a
//! room however far it moved, until the projector asks for more; so the backlog is the log itself.
//! A question may wait until the view has reached what was visible when it was asked.

mod projector;
mod questions;

use std::collections::HashSet;
use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use floe_log::{Disk, DiskFile};
use floe_proto::{ChannelId, Code, Millis, RoomId};
use floe_views::Folder;
use mio::Waker;

use crate::metrics::Metrics;
use crate::shard::{Failure, Handed, Shard, SlotId, Ticket};

pub use questions::{Answer, Ask};

use self::projector::{Projecting, Task};
use self::questions::Question;

/// Where the projector's and the questions' threads leave what they have done.
#[derive(Debug)]
pub struct Mailbox {
    done: Mutex<Vec<Done>>,
    /// Grows with each file that becomes the view.
    generation: AtomicU64,
    waker: Arc<Waker>,
}

/// Something that a thread of the SQL side has done.
#[derive(Debug)]
pub enum Done {
    /// The view is open, and this is what its last clean stop had seen.
    Opened {
        /// The log's end at that stop; 0 if it was none.
        watermark: u64,
    },
    /// A batch is in the view.
    Applied {
        /// Rooms of the batch, and the newest sequence number that the view has of each.
        rooms: Vec<(SlotId, ChannelId, u64)>,
        /// Events it brought.
        events: u64,
        /// How long it took.
        seconds: f64,
    },
    /// These of the channels asked about are not as far as they should be.
    Behind(Vec<ChannelId>),
    /// A batch failed and will be tried again.
    Failed,
    /// Another file is the view, or what it has is not what was thought: how far it is must be
    /// looked at again.
    Lost,
    /// A question is answered.
    Answered {
        /// Who asked.
        ticket: Ticket,
        /// What came of it.
        answer: Result<Answer, Failure>,
    },
}

/// The view's threads, as the event loop sees them.
#[derive(Debug)]
pub struct ViewHost<F> {
    tasks: Option<Sender<Task<F>>>,
    questions: Option<Sender<Question>>,
    mailbox: Arc<Mailbox>,
    threads: Vec<JoinHandle<()>>,
    /// Whether the projector has something to do.
    busy: bool,
    /// Number of the oldest room in the batch under way.
    under_way: Option<u64>,
    failing: bool,
    open: usize,
    questions_max: usize,
    waiting: Vec<Waiting>,
    walk: Option<Walk>,
    /// Events of the batch under way.
    events_under_way: u64,
    metrics: Metrics,
}

/// A question that waits for the view.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    ask: Ask,
    /// What must be visible before the wait for the view begins.
    until: Option<(ChannelId, u64)>,
    /// The view must have taken every room with a smaller number.
    mark: Option<u64>,
    /// Uptime at which it waits no longer.
    deadline_ms: u64,
}

/// The look at all rooms after a start that cannot trust the view to be complete.
#[derive(Debug)]
struct Walk {
    rooms: Vec<RoomId>,
    at: usize,
    seen: HashSet<ChannelId>,
}

/// How far the view is behind the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Events that it does not have yet.
    pub events: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub ms: u64,
    /// Whether the last batch failed.
    pub failing: bool,
}

/// What the SQL side is started with.
#[derive(Debug, Clone)]
pub struct ViewSettings {
    /// The folder of its files.
    pub folder: Folder,
    /// What the view keeps and how.
    pub options: floe_views::Options,
    /// Questions under way or waiting.
    pub questions_max: usize,
}

/// Threads that answer questions.
const QUESTION_THREADS: usize = 2;
/// Rooms looked at in one turn of the walk.
const WALK_STEP: usize = 512;

impl<F: DiskFile + 'static> ViewHost<F> {
    /// Starts the threads. The view is opened by them, so that a start never waits for it.
    pub fn start(settings: ViewSettings, waker: &Arc<Waker>, metrics: Metrics) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox {
            done: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
            waker: Arc::clone(waker),
        });
        let (tasks, task_queue) = channel();
        let (questions, question_queue) = channel();
        let mut threads = Vec::new();
        let projecting = Projecting::new(&settings, Arc::clone(&mailbox));
        threads.push(spawn("floe-projector", move || {
            projecting.run(&task_queue)
        })?);
        let question_queue = Arc::new(Mutex::new(question_queue));
        for _ in 0..QUESTION_THREADS {
            let (queue, mailbox) = (Arc::clone(&question_queue), Arc::clone(&mailbox));
            let settings = settings.clone();
            threads.push(spawn("floe-query", move || {
                questions::run(&settings, &queue, &mailbox);
            })?);
        }
        Ok(Self {
            tasks: Some(tasks),
            questions: Some(questions),
            mailbox,
            threads,
            busy: true,
            under_way: None,
            failing: false,
            open: 0,
            questions_max: settings.questions_max,
            waiting: Vec::new(),
            walk: None,
            events_under_way: 0,
            metrics,
        })
    }

    /// Asks the view, once it has what `wait` asks for; the answer comes from [`turn`](Self::turn).
    ///
    /// # Errors
    /// [`Code::Overloaded`] when too many ask already.
    pub fn ask(
        &mut self,
        ticket: Ticket,
        ask: Ask,
        wait: Wait,
        mark: u64,
        uptime_ms: u64,
    ) -> Result<(), Failure> {
        if self.open + self.waiting.len() >= self.questions_max {
            return Err(Failure::new(
                Code::Overloaded,
                "query.open_max questions are under way",
            ));
        }
        match wait {
            Wait::No => self.send(ticket, ask),
            Wait::Visible { timeout_ms } => self.waiting.push(Waiting {
                ticket,
                ask,
                until: None,
                mark: Some(mark),
                deadline_ms: uptime_ms + timeout_ms,
            }),
            Wait::Seq {
                channel,
                seq,
                timeout_ms,
            } => self.waiting.push(Waiting {
                ticket,
                ask,
                until: Some((channel, seq)),
                mark: None,
                deadline_ms: uptime_ms + timeout_ms,
            }),
        }
        Ok(())
    }

    /// Does what can be done now; returns answers.
    pub fn turn<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        uptime_ms: u64,
    ) -> Vec<(Ticket, Result<Answer, Failure>)> {
        let mut answers = Vec::new();
        for done in self.mailbox.take() {
            self.take(shard, now, done, &mut answers);
        }
        self.feed(shard);
        self.release(shard, now, uptime_ms, &mut answers);
        answers
    }

    /// Returns when [`turn`](Self::turn) wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        if self.walk.is_some() && !self.busy {
            return Some(uptime_ms);
        }
        self.waiting.iter().map(|waiting| waiting.deadline_ms).min()
    }

    /// Returns how far the view is behind.
    pub fn lag<D: Disk<File = F>>(&self, shard: &Shard<D>, now: Millis) -> Lag {
        let (waiting, oldest) = shard.unviewed();
        let events = waiting + self.events_under_way;
        Lag {
            events,
            ms: oldest.filter(|_| events > 0).map_or(0, |at| now.since(at)),
            failing: self.failing,
        }
    }

    /// Stops the threads once what is under way is done; a view that has everything is marked as
    /// complete, so that the next start need not look for what it lacks.
    pub fn stop<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) {
        // What is left is little most of the time, and the next start finds it anyway.
        let complete =
            !self.busy && self.walk.is_none() && !shard.has_unviewed() && !shard.is_busy();
        if let Some(tasks) = self.tasks.take().filter(|_| complete) {
            let _ = tasks.send(Task::Complete {
                watermark: shard.durable().0,
            });
        }
        self.questions = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    fn take<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        done: Done,
        answers: &mut Vec<(Ticket, Result<Answer, Failure>)>,
    ) {
        match done {
            Done::Opened { watermark } => {
                self.busy = false;
                if watermark != shard.durable().0 {
                    self.begin_walk(shard);
                }
            }
            Done::Applied {
                rooms,
                events,
                seconds,
            } => {
                self.metrics.viewed(events, seconds);
                self.busy = false;
                self.failing = false;
                self.under_way = None;
                self.events_under_way = 0;
                for (slot, channel, seq) in rooms {
                    shard.viewed(slot, channel, seq);
                }
            }
            Done::Behind(channels) => {
                self.busy = false;
                for channel in channels {
                    shard.mark_unviewed(now, channel);
                }
            }
            Done::Failed => {
                self.metrics.view_failed();
                self.failing = true;
            }
            Done::Lost => {
                self.busy = false;
                self.under_way = None;
                self.events_under_way = 0;
                shard.forget_viewed();
                self.begin_walk(shard);
            }
            Done::Answered { ticket, answer } => {
                self.open -= 1;
                answers.push((ticket, answer));
            }
        }
    }

    fn begin_walk<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        self.walk = Some(Walk {
            rooms: shard.room_ids(),
            at: 0,
            seen: HashSet::new(),
        });
    }

    /// Gives the projector something to do.
    fn feed<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) {
        if self.busy {
            return;
        }
        let task = match self.step_walk(shard) {
            Some(task) => Some(task),
            None => self.next_batch(shard),
        };
        if let (Some(task), Some(tasks)) = (task, &self.tasks) {
            // The thread ends only after this sender is gone.
            self.busy = tasks.send(task).is_ok();
        }
    }

    fn next_batch<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) -> Option<Task<F>> {
        let (oldest, batch) = shard.take_unviewed(BATCH_EVENTS_MAX, BATCH_BYTES_MAX);
        if batch.is_empty() {
            return None;
        }
        self.under_way = oldest;
        self.events_under_way = batch.iter().map(Handed::events).sum();
        Some(Task::Apply(batch))
    }

    /// Asks the projector about some of the rooms that have not been looked at.
    fn step_walk<D: Disk<File = F>>(&mut self, shard: &Shard<D>) -> Option<Task<F>> {
        let walk = self.walk.as_mut()?;
        let end = walk.rooms.len().min(walk.at + WALK_STEP);
        let step = &walk.rooms[walk.at..end];
        let heads: Vec<_> = step
            .iter()
            .filter_map(|room| shard.channel_head(*room))
            .collect();
        walk.at = end;
        walk.seen.extend(heads.iter().map(|(channel, _)| *channel));
        if end == walk.rooms.len() {
            let seen = std::mem::take(&mut walk.seen);
            self.walk = None;
            return Some(Task::Compare {
                heads,
                all: Some(seen),
            });
        }
        Some(Task::Compare { heads, all: None })
    }

    /// Sends the questions on whose wait is over.
    fn release<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        uptime_ms: u64,
        answers: &mut Vec<(Ticket, Result<Answer, Failure>)>,
    ) {
        if self.waiting.is_empty() {
            return;
        }
        let reached = self.under_way.unwrap_or(u64::MAX).min(shard.view_mark());
        for mut waiting in std::mem::take(&mut self.waiting) {
            if waiting.mark.is_none()
                && let Some((channel, seq)) = waiting.until
                && shard
                    .channel_seq(now, channel)
                    .is_none_or(|head| head >= seq)
            {
                waiting.mark = Some(shard.next_view_mark());
            }
            if self.walk.is_none() && waiting.mark.is_some_and(|mark| reached >= mark) {
                self.send(waiting.ticket, waiting.ask);
            } else if uptime_ms >= waiting.deadline_ms {
                let message = "the view has not reached the wanted event in time";
                answers.push((waiting.ticket, Err(Failure::new(Code::ViewBehind, message))));
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    fn send(&mut self, ticket: Ticket, ask: Ask) {
        if let Some(questions) = &self.questions
            && questions.send(Question { ticket, ask }).is_ok()
        {
            self.open += 1;
        }
    }
}

/// How long a question waits for the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It is answered with what the view has.
    No,
    /// Until the view has all that is visible now.
    Visible {
        /// Milliseconds after which it fails.
        timeout_ms: u64,
    },
    /// Until the view has an event of a channel, which need not be there yet.
    Seq {
        /// The channel.
        channel: ChannelId,
        /// The event.
        seq: u64,
        /// Milliseconds after which it fails.
        timeout_ms: u64,
    },
}

/// Events of one batch, about.
const BATCH_EVENTS_MAX: u64 = 20_000;
/// Bytes of events of one batch, about.
const BATCH_BYTES_MAX: usize = 4 << 20;

impl Mailbox {
    /// Leaves something and wakes the event loop.
    pub fn put(&self, done: Done) {
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(done);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }

    fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
