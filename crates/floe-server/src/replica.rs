//! The sync engine: what became visible goes to replicas, in order, from the log itself.
//!
//! Each replica has a thread that takes batches, and a feed on the event loop that makes them: one
//! entry a room however far it moved. What a replica lacks is never queued but read from the log when
//! its thread has nothing to do, so a replica that is slow or away costs no memory and holds up nobody.
//! Where nobody knows how far a replica is, it is asked.

mod feed;
mod questions;
mod settings;
mod status;
mod worker;

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use floe_log::{Disk, DiskFile};
use floe_proto::table::TableError;
use floe_proto::{Code, Millis, RoomId};
use floe_views::replica::{Embedded, EmbeddedFolder, Postgres, ReplicaTarget};
use floe_views::tables::SqlLimits;
use mio::Waker;

use self::feed::Feed;
use self::questions::{Needs, Question, Said, Waiting, Whole};
use crate::metrics::Metrics;
use crate::settings::Limits;
use crate::shard::{Failure, Replicated, Shard, Ticket};

pub use self::questions::{Answered, GlobalAsk, RoomAsk, Unsaid};
pub use self::settings::{PostgresUrl, ReplicaSettings, ReplicaUrlError};
pub use self::status::{Progress, SyncStatus};
use self::worker::Done;

/// All replicas, as the event loop sees them.
#[derive(Debug)]
pub struct ReplicaHost<F> {
    feeds: Vec<Feed<F>>,
    mailbox: Arc<Mailbox>,
    metrics: Metrics,
    folder: EmbeddedFolder,
    /// Where questions go, once one was asked.
    questions: Option<Sender<(Waiting, Arc<SqlLimits>)>>,
    readers: Vec<JoinHandle<()>>,
    /// Questions under way.
    asking: usize,
    waiting: Vec<Waiting>,
}

/// Rooms that are asked for a replica that is away.
const ROOMS_MAX: usize = 16;
/// Bytes of their messages, about: all of them are read, and put into memory, for one question.
const ROOMS_BYTES_MAX: u64 = 16 << 20;
/// Bytes of messages that are read at once.
const READ_BYTES: usize = 1 << 20;

/// Where the threads leave what they have done.
#[derive(Debug)]
pub struct Mailbox {
    done: Mutex<Vec<(usize, Done)>>,
    answered: Mutex<Vec<(Waiting, Said)>>,
    waker: Arc<Waker>,
}

impl<F: DiskFile + 'static> ReplicaHost<F> {
    /// Starts a thread for each replica; the thread opens it, so that a start never waits for one.
    pub fn start(
        settings: &ReplicaSettings,
        folder: &EmbeddedFolder,
        waker: &Arc<Waker>,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox {
            done: Mutex::default(),
            answered: Mutex::default(),
            waker: Arc::clone(waker),
        });
        let mut host = Self {
            feeds: Vec::new(),
            mailbox,
            metrics,
            folder: folder.clone(),
            questions: None,
            readers: Vec::new(),
            asking: 0,
            waiting: Vec::new(),
        };
        let tables = Replicated {
            tables: true,
            channels: false,
        };
        match settings {
            ReplicaSettings::Off => {}
            // The SQL view has the channels already, in a file on this very disk.
            ReplicaSettings::Embedded => {
                host.add(tables, Box::new(Embedded::new(folder.clone())))?;
            }
            ReplicaSettings::Postgres(url) => {
                // Questions about many rooms are asked of the files, whose wall is known.
                host.add(tables, Box::new(Embedded::new(folder.clone())))?;
                let all = Replicated {
                    tables: true,
                    channels: true,
                };
                let target = Postgres::new(url.reveal()).map_err(io::Error::other)?;
                host.add(all, Box::new(target))?;
            }
        }
        Ok(host)
    }

    fn add(&mut self, wanted: Replicated, target: Box<dyn ReplicaTarget>) -> io::Result<()> {
        let feed = Feed::start(self.feeds.len(), wanted, target, &self.mailbox)?;
        self.feeds.push(feed);
        Ok(())
    }

    /// Returns which rooms the shard must tell of.
    pub fn wanted(&self) -> Replicated {
        let mut wanted = Replicated::default();
        for feed in &self.feeds {
            wanted.tables |= feed.wanted().tables;
            wanted.channels |= feed.wanted().channels;
        }
        wanted
    }

    /// Asks about many rooms, once the replica has what the answer must show; the answer comes from
    /// [`turn`](Self::turn).
    ///
    /// # Errors
    /// [`Code::ReplicaUnavailable`] where there is none, [`Code::Overloaded`] when too many ask.
    pub fn ask<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        ticket: Ticket,
        ask: GlobalAsk,
        limits: &Limits,
        uptime_ms: u64,
    ) -> Result<(), Failure> {
        if self.asking + self.waiting.len() >= limits.query_open_max {
            let message = "query.open_max questions are under way";
            return Err(Failure::new(Code::Overloaded, message));
        }
        self.note(shard, uptime_ms);
        let Some(feed) = self.feeds.first() else {
            let message = "the server keeps no replica";
            return Err(Failure::new(Code::ReplicaUnavailable, message));
        };
        if !feed.is_available()
            && let Some(rooms) = whole_rooms(shard, &ask)
        {
            let question = Question::Rooms(ticket, ask, rooms);
            self.wait(question, Needs::Nothing, limits, uptime_ms);
            return Ok(());
        }
        let needs = match &ask.least {
            Some(least) => Needs::Seqs(least.clone()),
            None => Needs::Mark(feed.mark()),
        };
        self.wait(Question::Global(ticket, ask), needs, limits, uptime_ms);
        Ok(())
    }

    /// Asks about one room, once the replica has as much of it as the answer must show; the answer
    /// comes from [`turn`](Self::turn).
    ///
    /// # Errors
    /// The question, where there is no replica, it is away, or too many ask: the room can be asked.
    pub fn ask_room(
        &mut self,
        ask: RoomAsk,
        limits: &Limits,
        uptime_ms: u64,
    ) -> Result<(), RoomAsk> {
        let is_full = self.asking + self.waiting.len() >= limits.query_open_max;
        if is_full || !self.feeds.first().is_some_and(Feed::is_available) {
            return Err(ask);
        }
        let needs = Needs::Seqs(match ask.min_seq {
            0 => Vec::new(),
            min_seq => vec![(ask.room, min_seq)],
        });
        self.wait(Question::Room(ask), needs, limits, uptime_ms);
        Ok(())
    }

    fn wait(&mut self, question: Question, needs: Needs, limits: &Limits, uptime_ms: u64) {
        self.waiting.push(Waiting {
            question,
            needs,
            deadline_ms: uptime_ms + limits.query_wait_ms,
            tried: None,
        });
    }

    /// Does what can be done now; returns answers. What is asked now is bounded by `limits`.
    pub fn turn<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        limits: &Arc<SqlLimits>,
        now: Millis,
        uptime_ms: u64,
    ) -> Vec<Answered> {
        if self.feeds.is_empty() {
            return Vec::new();
        }
        for (at, done) in self.mailbox.take() {
            if let Some(feed) = self.feeds.get_mut(at) {
                feed.take(shard, now, uptime_ms, done, &self.metrics);
            }
        }
        self.note(shard, uptime_ms);
        let mut answers = self.take_answers();
        self.release(limits, uptime_ms, &mut answers);
        let hurries = !self.waiting.is_empty();
        for (at, feed) in self.feeds.iter_mut().enumerate() {
            feed.set_hurry(at == 0 && hurries);
            feed.feed(shard, uptime_ms);
        }
        answers
    }

    /// Notes which rooms moved.
    fn note<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, uptime_ms: u64) {
        let moved = shard.take_moved();
        for feed in &mut self.feeds {
            for moved in &moved {
                feed.note(uptime_ms, moved);
            }
        }
    }

    /// Takes what the threads say. What was asked too early waits again.
    fn take_answers(&mut self) -> Vec<Answered> {
        let syncs = self.feeds.first().map(Feed::syncs);
        let mut answers = Vec::new();
        for (waiting, said) in self.mailbox.take_answered() {
            self.asking -= 1;
            match (waiting.question, said) {
                (
                    Question::Global(ticket, _) | Question::Rooms(ticket, ..),
                    Said::Global(outcome),
                ) => {
                    answers.push(Answered::Global(ticket, outcome));
                }
                (Question::Room(ask), Said::Room(outcome)) => {
                    answers.push(Answered::Room(ask, Ok(outcome)));
                }
                (Question::Room(ask), Said::Nothing) => {
                    answers.push(Answered::Room(ask, Err(Unsaid::Unable)));
                }
                (question, Said::Behind | Said::Global(_) | Said::Room(_) | Said::Nothing) => {
                    self.waiting.push(Waiting {
                        question,
                        tried: syncs,
                        ..waiting
                    });
                }
            }
        }
        answers
    }

    /// Sends the questions on whose wait is over.
    fn release(&mut self, limits: &Arc<SqlLimits>, uptime_ms: u64, answers: &mut Vec<Answered>) {
        for waiting in std::mem::take(&mut self.waiting) {
            let Some(feed) = self.feeds.first() else {
                return;
            };
            let is_ready = match &waiting.needs {
                Needs::Nothing => true,
                Needs::Mark(mark) => feed.has_reached(*mark),
                Needs::Seqs(seqs) => {
                    feed.is_available()
                        && waiting.tried != Some(feed.syncs())
                        && seqs.iter().all(|(room, seq)| feed.may_have(*room, *seq))
                }
            };
            let is_late = uptime_ms >= waiting.deadline_ms;
            let is_available = feed.is_available();
            match waiting.question {
                _ if is_ready => {
                    if self.send(waiting, Arc::clone(limits)) {
                        self.asking += 1;
                    }
                }
                Question::Room(ask) if is_late || !is_available => {
                    let why = if is_available {
                        Unsaid::Late
                    } else {
                        Unsaid::Unable
                    };
                    answers.push(Answered::Room(ask, Err(why)));
                }
                Question::Global(ticket, _) | Question::Rooms(ticket, ..) if is_late => {
                    let (code, message) = if is_available {
                        (
                            Code::ViewBehind,
                            "the replica is catching up, and has not come so far in time",
                        )
                    } else {
                        (
                            Code::ReplicaUnavailable,
                            "the replica cannot be asked for the moment",
                        )
                    };
                    let error = TableError::new(code, message);
                    answers.push(Answered::Global(ticket, Err(error)));
                }
                Question::Global(..) | Question::Rooms(..) | Question::Room(_) => {
                    self.waiting.push(waiting);
                }
            }
        }
    }

    /// Hands a question to the threads, which start with the first.
    fn send(&mut self, waiting: Waiting, limits: Arc<SqlLimits>) -> bool {
        let questions = match &self.questions {
            Some(questions) => questions,
            None => {
                let (sender, receiver) = channel();
                let receiver = Arc::new(Mutex::new(receiver));
                for _ in 0..questions::THREADS {
                    let (folder, receiver) = (self.folder.clone(), Arc::clone(&receiver));
                    let mailbox = Arc::clone(&self.mailbox);
                    let thread = std::thread::Builder::new()
                        .name("floe-global".into())
                        .spawn(move || questions::run(&folder, &receiver, &mailbox));
                    match thread {
                        Ok(thread) => self.readers.push(thread),
                        Err(error) => tracing::error!(%error, "a thread did not start"),
                    }
                }
                self.questions.insert(sender)
            }
        };
        questions.send((waiting, limits)).is_ok()
    }

    /// Returns when [`turn`](Self::turn) wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        let wakes = self.feeds.iter().filter_map(|feed| feed.wake_ms(uptime_ms));
        let deadlines = self.waiting.iter().map(|waiting| waiting.deadline_ms);
        wakes.chain(deadlines).min()
    }

    /// Returns how the replica is that was asked for; the last of them, where there are several.
    pub fn status(&self, now: Millis, uptime_ms: u64) -> SyncStatus {
        let feed = self.feeds.last();
        feed.map_or_else(SyncStatus::default, |feed| feed.status(now, uptime_ms))
    }

    /// Begins to give every replica all of one namespace again, from the first message of each room,
    /// unless that is under way.
    ///
    /// What a replica has stays until what replaces it is there.
    pub fn sync_all<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        namespace: &str,
        uptime_ms: u64,
    ) {
        if self.progress().is_some_and(|progress| !progress.complete) {
            return;
        }
        for feed in &mut self.feeds {
            feed.sync_all(shard, namespace, uptime_ms);
        }
    }

    /// Returns how far that has come; `None` where nobody has asked for it since the start.
    pub fn progress(&self) -> Option<Progress> {
        self.feeds.last()?.progress()
    }

    /// Stops the threads once what is under way is done; a replica that has everything is marked as
    /// complete, so that the next start need not look for what it lacks.
    pub fn stop<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) {
        let moved = shard.take_moved();
        for feed in &mut self.feeds {
            for moved in &moved {
                feed.note(0, moved);
            }
            feed.stop(shard);
        }
        self.questions = None;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

/// Returns all that is visible of the rooms that are asked; `None` where no rooms are named, they have
/// too much, something of it must be fetched first, or it is not enough.
fn whole_rooms<D: Disk>(shard: &mut Shard<D>, ask: &GlobalAsk) -> Option<Vec<Whole>>
where
    D::File: 'static,
{
    let ids = ask.ids.as_ref().filter(|ids| ids.len() <= ROOMS_MAX)?;
    let mut left = ROOMS_BYTES_MAX;
    let mut rooms = Vec::with_capacity(ids.len());
    for id in ids {
        let Some(room) = shard.replica_room(*id, None).ok()? else {
            continue;
        };
        let mut chunks = Vec::new();
        let mut at = room.start;
        while at < room.tail {
            let read = shard
                .read_for_replica(*id, at, room.tail, READ_BYTES)
                .ok()?;
            left = left.checked_sub(read.bytes)?;
            at = read.end;
            chunks.push(read);
        }
        let enough = |(one, seq): &(RoomId, u64)| one != id || *seq <= room.tail;
        if !ask.least.iter().flatten().all(enough) {
            return None;
        }
        rooms.push(Whole {
            room,
            read: Box::new(move || {
                let mut all = Vec::new();
                for chunk in &chunks {
                    all.append(&mut chunk.read()?);
                }
                Ok(all)
            }),
        });
    }
    Some(rooms)
}

impl Mailbox {
    /// Leaves something and wakes the event loop.
    fn put(&self, feed: usize, done: Done) {
        let mut all = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((feed, done));
        drop(all);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }

    /// Leaves an answer and wakes the event loop.
    fn answer(&self, waiting: Waiting, said: Said) {
        let mut all = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((waiting, said));
        drop(all);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }

    fn take_answered(&self) -> Vec<(Waiting, Said)> {
        std::mem::take(&mut *self.answered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> Vec<(usize, Done)> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
