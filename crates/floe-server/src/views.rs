//! The SQL side of the server: a thread that applies what became visible, and threads that answer
//! questions.
//!
//! The event loop never waits for SQLite. Rooms that moved wait in the shard's queue, one entry a
//! room however far it moved, until the projector asks for more; so the backlog is the log itself.
//! A question may wait until the view has reached what was visible when it was asked.

mod projector;
mod questions;

use std::collections::{HashSet, VecDeque};
use std::io;
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
    current: Mutex<Current>,
    waker: Arc<Waker>,
}

/// The file that is the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Current {
    /// Grows with each file that becomes the view. A question is asked of the file that the event
    /// loop knows of, and of no newer one: nobody has said yet what that lacks.
    generation: u64,
    /// Its number in the folder.
    number: u32,
}

/// Something that a thread of the SQL side has done.
#[derive(Debug)]
pub enum Done {
    /// The view is open, and this is what its last clean stop had seen.
    Opened {
        /// The log's end at that stop; 0 if it was none.
        watermark: u64,
        /// Generation of the file.
        generation: u64,
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
    /// These of the channels asked about are not as they should be, each with the events it lacks.
    Behind(Vec<(ChannelId, u64)>),
    /// A batch failed and will be tried again.
    Failed,
    /// Another file is the view, or what it has is not what was thought: how far it is must be
    /// looked at again.
    Lost {
        /// Generation of the file.
        generation: u64,
    },
    /// Another file has become the view while the projector had nothing to do.
    Replaced {
        /// Generation of the file.
        generation: u64,
    },
    /// A question met damage in the file of this generation.
    Damaged {
        /// Generation of the file.
        generation: u64,
    },
    /// A question was not asked: another file has become the view since it was sent.
    Unasked(Box<Question>),
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
    /// Whether the view is open. Before that nobody knows what it lacks.
    open: bool,
    /// Whether the projector has something to do.
    busy: bool,
    /// Generation of the file that is known to be the view.
    generation: u64,
    /// Whether the view must be made anew.
    damaged: bool,
    /// Number of the oldest room in the batch under way.
    under_way: Option<u64>,
    failing: bool,
    /// Questions under way.
    asking: usize,
    questions_max: usize,
    /// How long a question waits that is asked a second time, in milliseconds.
    wait_ms: u64,
    waiting: Vec<Waiting>,
    walk: Option<Walk>,
    backlog: Backlog,
    /// Events of the batch under way.
    events_under_way: u64,
    metrics: Metrics,
}

/// A question that waits for the view.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    ask: Ask,
    until: Until,
    /// Uptime at which it waits no longer.
    deadline_ms: u64,
}

/// What a question waits for.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// That it is known what the view lacks.
    Open,
    /// That the view has this event.
    Event(ChannelId, u64),
    /// That what the view was found to lack is on its way; then for all that is visible then.
    Settled,
    /// That the view has taken every channel with a smaller number.
    Taken(u64),
}

/// Channels that the view was found to lack something of. Few are in memory at a time, however many
/// there are.
#[derive(Debug, Default)]
struct Backlog {
    channels: VecDeque<(ChannelId, u64)>,
    /// Events that all of them lack.
    events: u64,
    since: Millis,
}

/// The look at all rooms after a start that cannot trust the view to be complete.
#[derive(Debug)]
struct Walk {
    rooms: Vec<RoomId>,
    at: usize,
    seen: HashSet<ChannelId>,
    /// Whether every room could be read, so that what was not seen is not there.
    whole: bool,
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
    /// Milliseconds that a question waits for the view.
    pub wait_ms: u64,
}

/// Threads that answer questions.
const QUESTION_THREADS: usize = 2;
/// Channels of the backlog that are in memory at a time.
const BACKLOG_STEP: usize = 1_024;
/// Rooms looked at in one turn of the walk.
const WALK_STEP: usize = 512;

impl<F: DiskFile + 'static> ViewHost<F> {
    /// Starts the threads. The view is opened by them, so that a start never waits for it.
    pub fn start(settings: ViewSettings, waker: &Arc<Waker>, metrics: Metrics) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox {
            done: Mutex::new(Vec::new()),
            current: Mutex::default(),
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
            open: false,
            busy: true,
            generation: 0,
            damaged: false,
            under_way: None,
            failing: false,
            asking: 0,
            questions_max: settings.questions_max,
            wait_ms: settings.wait_ms,
            waiting: Vec::new(),
            walk: None,
            backlog: Backlog::default(),
            events_under_way: 0,
            metrics,
        })
    }

    /// Bounds what is asked from now on.
    pub const fn set_bounds(&mut self, questions_max: usize, wait_ms: u64) {
        self.questions_max = questions_max;
        self.wait_ms = wait_ms;
    }

    /// Asks the view, once it has what `wait` asks for; the answer comes from [`turn`](Self::turn).
    ///
    /// # Errors
    /// [`Code::Overloaded`] when too many ask already, [`Code::ViewUnavailable`] when the view does
    /// not open.
    pub fn ask(
        &mut self,
        ticket: Ticket,
        ask: Ask,
        wait: Wait,
        mark: u64,
        uptime_ms: u64,
    ) -> Result<(), Failure> {
        if self.asking + self.waiting.len() >= self.questions_max {
            return Err(Failure::new(
                Code::Overloaded,
                "query.open_max questions are under way",
            ));
        }
        let (until, timeout_ms) = match wait {
            Wait::Open { .. } if self.is_open() => {
                self.send(ticket, ask, Until::Open);
                return Ok(());
            }
            Wait::Open { .. } if !self.open && self.failing => return Err(unavailable()),
            Wait::Open { timeout_ms } => (Until::Open, timeout_ms),
            Wait::Visible { timeout_ms } if self.is_settled() => (Until::Taken(mark), timeout_ms),
            Wait::Visible { timeout_ms } => (Until::Settled, timeout_ms),
            Wait::Seq {
                channel,
                seq,
                timeout_ms,
            } => (Until::Event(channel, seq), timeout_ms),
        };
        self.waiting.push(Waiting {
            ticket,
            ask,
            until,
            deadline_ms: uptime_ms + timeout_ms,
        });
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
            self.take(shard, now, uptime_ms, done, &mut answers);
        }
        self.feed(shard, now);
        self.release(shard, now, uptime_ms, &mut answers);
        answers
    }

    /// Returns when [`turn`](Self::turn) wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        let has_work = self.walk.is_some() || !self.backlog.channels.is_empty();
        if has_work && !self.busy {
            return Some(uptime_ms);
        }
        self.waiting.iter().map(|waiting| waiting.deadline_ms).min()
    }

    /// Returns how far the view is behind.
    pub fn lag<D: Disk<File = F>>(&self, shard: &Shard<D>, now: Millis) -> Lag {
        let (waiting, oldest) = shard.unviewed();
        let events = waiting + self.events_under_way + self.backlog.events;
        let backlog = (self.backlog.events > 0).then_some(self.backlog.since);
        let oldest = [oldest, backlog].into_iter().flatten().min();
        Lag {
            events,
            ms: oldest.filter(|_| events > 0).map_or(0, |at| now.since(at)),
            failing: self.failing,
        }
    }

    /// Returns whether the view has all that was visible when it was first asked so. `mark` is the
    /// asker's, and begins as `None`.
    pub fn has_all<D: Disk<File = F>>(&self, shard: &Shard<D>, mark: &mut Option<u64>) -> bool {
        if !self.is_settled() {
            *mark = None;
            return false;
        }
        let mark = *mark.get_or_insert(shard.next_view_mark());
        self.reached(shard) >= mark
    }

    /// Returns the mark of the first channel that the view may lack something of.
    fn reached<D: Disk<File = F>>(&self, shard: &Shard<D>) -> u64 {
        self.under_way.unwrap_or(u64::MAX).min(shard.view_mark())
    }

    /// Stops the threads once what is under way is done; a view that has everything is marked as
    /// complete, so that the next start need not look for what it lacks.
    pub fn stop<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) {
        // What is left is little most of the time, and the next start finds it anyway.
        let rests = !self.busy && !self.damaged && self.is_settled();
        let complete = rests && shard.unviewed_len() == 0 && !shard.is_busy();
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
        uptime_ms: u64,
        done: Done,
        answers: &mut Vec<(Ticket, Result<Answer, Failure>)>,
    ) {
        match done {
            Done::Opened {
                watermark,
                generation,
            } => {
                self.open = true;
                self.generation = generation;
                self.busy = false;
                self.failing = false;
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
                self.failing = false;
                if self.backlog.channels.is_empty() {
                    self.backlog.since = now;
                }
                let events = channels.iter().map(|(_, events)| events);
                self.backlog.events += events.sum::<u64>();
                self.backlog.channels.extend(channels);
                self.walk.take_if(|walk| walk.at == walk.rooms.len());
            }
            Done::Failed => {
                self.metrics.view_failed();
                self.failing = true;
            }
            Done::Lost { generation } => {
                self.generation = generation;
                self.busy = false;
                self.failing = false;
                self.damaged = false;
                self.under_way = None;
                self.events_under_way = 0;
                shard.forget_viewed();
                self.begin_walk(shard);
            }
            Done::Replaced { generation } => {
                self.generation = generation;
                shard.forget_viewed();
                self.begin_walk(shard);
            }
            Done::Damaged { generation } => {
                // Only once for each file, however many questions meet it.
                self.damaged |= generation == self.generation;
            }
            Done::Unasked(question) => {
                self.asking -= 1;
                self.waiting.push(Waiting {
                    ticket: question.ticket,
                    ask: question.ask,
                    until: question.until.again(),
                    deadline_ms: uptime_ms + self.wait_ms,
                });
            }
            Done::Answered { ticket, answer } => {
                self.asking -= 1;
                answers.push((ticket, answer));
            }
        }
    }

    fn begin_walk<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        self.backlog = Backlog::default();
        for waiting in &mut self.waiting {
            waiting.until = waiting.until.again();
        }
        self.walk = Some(Walk {
            rooms: shard.room_ids(),
            at: 0,
            seen: HashSet::new(),
            whole: true,
        });
    }

    /// Gives the projector something to do.
    fn feed<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, now: Millis) {
        if self.busy {
            return;
        }
        let task = if self.damaged {
            Some(Task::Anew)
        } else {
            self.step_walk(shard).or_else(|| {
                self.mark_backlog(shard, now);
                self.next_batch(shard)
            })
        };
        if let (Some(task), Some(tasks)) = (task, &self.tasks) {
            // The thread ends only after this sender is gone.
            self.busy = tasks.send(task).is_ok();
        }
    }

    /// Has some of the channels looked at that the view was found to lack something of.
    fn mark_backlog<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, now: Millis) {
        for _ in 0..BACKLOG_STEP {
            if shard.unviewed_len() >= BACKLOG_STEP {
                return;
            }
            let Some((channel, events)) = self.backlog.channels.pop_front() else {
                return;
            };
            self.backlog.events -= events;
            shard.mark_unviewed(now, channel);
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
        let mut channels = Vec::new();
        for room in &walk.rooms[walk.at..end] {
            match shard.channel_meta(*room) {
                Ok(Some(meta)) => {
                    walk.seen.insert(meta.id);
                    channels.push(meta);
                }
                Ok(None) => {}
                // It went since the walk began, or nobody can say whose it is.
                Err(_) => walk.whole &= !shard.has_room(*room),
            }
        }
        walk.at = end;
        let is_last = end == walk.rooms.len();
        let all = (is_last && walk.whole).then(|| std::mem::take(&mut walk.seen));
        Some(Task::Compare { channels, all })
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
        let reached = self.reached(shard);
        for mut waiting in std::mem::take(&mut self.waiting) {
            if matches!(waiting.until, Until::Settled) && self.is_settled() {
                waiting.until = Until::Taken(shard.next_view_mark());
            }
            let is_over = self.is_open()
                && match waiting.until {
                    Until::Open => true,
                    Until::Event(channel, seq) => shard.is_viewed(now, channel, seq),
                    Until::Settled => false,
                    Until::Taken(mark) => reached >= mark,
                };
            let fails = !self.open && self.failing && matches!(waiting.until, Until::Open);
            if is_over {
                self.send(waiting.ticket, waiting.ask, waiting.until);
            } else if fails {
                answers.push((waiting.ticket, Err(unavailable())));
            } else if uptime_ms >= waiting.deadline_ms {
                let message = "the view has not reached the wanted event in time";
                answers.push((waiting.ticket, Err(Failure::new(Code::ViewBehind, message))));
            } else {
                self.waiting.push(waiting);
            }
        }
    }

    /// Returns whether the view is open and it is known what it lacks.
    fn is_open(&self) -> bool {
        self.open && self.walk.is_none()
    }

    /// Returns whether the view lacks nothing but what moves now.
    fn is_settled(&self) -> bool {
        self.is_open() && self.backlog.channels.is_empty()
    }

    fn send(&mut self, ticket: Ticket, ask: Ask, until: Until) {
        let question = Question {
            ticket,
            ask,
            generation: self.generation,
            until,
        };
        if let Some(questions) = &self.questions
            && questions.send(question).is_ok()
        {
            self.asking += 1;
        }
    }
}

impl Until {
    /// Returns what to wait for once another file is the view.
    fn again(self) -> Self {
        match self {
            Self::Taken(_) => Self::Settled,
            Self::Open | Self::Event(..) | Self::Settled => self,
        }
    }
}

fn unavailable() -> Failure {
    let message = "the view cannot be opened for the moment";
    Failure::new(Code::ViewUnavailable, message)
}

/// How long a question waits for the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Until it is known what the view lacks; it is answered with what there is.
    Open {
        /// Milliseconds after which it fails.
        timeout_ms: u64,
    },
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

    /// Returns the file that is the view.
    fn current(&self) -> Current {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a file has become the view; returns its generation.
    fn replace(&self, number: u32) -> u64 {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.generation += 1;
        current.number = number;
        current.generation
    }

    fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(run)
}
