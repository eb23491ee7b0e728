//! The thread of a replica.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use floe_log::DiskFile;
use floe_proto::RoomId;
use floe_views::replica::{Applied, Batch, Mode, ReplicaError, ReplicaTarget};

use super::Mailbox;
use crate::shard::{Messages, ReplicaRoom};

/// What the thread is to do.
#[derive(Debug)]
pub enum Task<F> {
    /// Say how far these rooms are.
    Locate(Vec<ReplicaRoom>),
    /// Apply what became visible.
    Apply(Vec<Handed<F>>),
    /// Forget all rooms but these.
    Retain(HashSet<RoomId>),
    /// Note that the replica has everything.
    Complete {
        /// The log's end.
        watermark: u64,
    },
}

/// News of one room.
#[derive(Debug)]
pub struct Handed<F> {
    /// The room.
    pub room: ReplicaRoom,
    /// What becomes of what there is of it.
    pub mode: Mode,
    /// Messages before the first of them.
    pub from: u64,
    /// The messages.
    pub messages: Option<Messages<F>>,
}

/// What the thread has done.
#[derive(Debug)]
pub enum Done {
    /// The replica is open.
    Opened {
        /// The log's end when everything was known to be there; 0 if it never was.
        watermark: u64,
    },
    /// How many messages the replica has of these rooms.
    Located(Vec<(RoomId, Option<u64>)>),
    /// A batch is in the replica.
    Applied {
        /// What it did.
        applied: Applied,
        /// How long it took.
        seconds: f64,
    },
    /// Rooms are forgotten that were not wanted.
    Retained,
    /// The replica is not what it was thought to be; the task is dropped.
    Astray {
        /// Whether more than the rooms of the task is in doubt.
        lost: bool,
    },
    /// Something failed and will be tried again.
    Failed,
    /// What failed before works again.
    Back,
}

/// First wait after a failure.
const BACKOFF_MS_MIN: u64 = 100;
/// Longest wait after failures in a row.
const BACKOFF_MS_MAX: u64 = 10_000;
/// Time between two looks at a replica that has nothing to do.
const LOOK_MS: u64 = 2_000;

/// The thread's side.
pub struct Worker {
    pub feed: usize,
    pub target: Box<dyn ReplicaTarget>,
    pub mailbox: Arc<Mailbox>,
}

impl Worker {
    /// Runs until the event loop lets go of the queue.
    pub fn run<F: DiskFile>(mut self, tasks: &Receiver<Task<F>>) {
        let opened = self.until_done(tasks, |target| {
            target.open()?;
            target.watermark()
        });
        let Some(Ok(watermark)) = opened else {
            return;
        };
        self.put(Done::Opened { watermark });
        loop {
            let task = match tasks.recv_timeout(Duration::from_millis(LOOK_MS)) {
                Ok(task) => task,
                Err(RecvTimeoutError::Timeout) => {
                    let Some(()) = self.look(tasks) else {
                        return;
                    };
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let Some(()) = self.work(tasks, &task) else {
                return;
            };
        }
    }

    /// Looks whether the replica is still there; `None` once the server stops.
    fn look<F>(&mut self, tasks: &Receiver<Task<F>>) -> Option<()> {
        match self.target.check() {
            Ok(()) => Some(()),
            Err(ReplicaError::Unavailable(why)) => {
                tracing::warn!(%why, "a replica is away");
                self.put(Done::Failed);
                self.reopen(tasks)
            }
            Err(error) => {
                tracing::warn!(%error, "a replica is looked at again");
                self.put(Done::Astray { lost: true });
                Some(())
            }
        }
    }

    /// Opens the replica again, however long it takes; `None` once the server stops.
    ///
    /// Nobody knows what became of it meanwhile.
    fn reopen<F>(&mut self, tasks: &Receiver<Task<F>>) -> Option<()> {
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            // A task that comes meanwhile is one that was sent before the loop knew.
            match tasks.recv_timeout(Duration::from_millis(backoff_ms)) {
                Ok(_) => self.put(Done::Astray { lost: false }),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
            let opened = self.target.open().and_then(|()| self.target.check());
            match opened {
                Ok(()) => {
                    tracing::info!("a replica is back");
                    self.put(Done::Back);
                    return Some(());
                }
                Err(ReplicaError::Lost) => {
                    self.put(Done::Astray { lost: true });
                    return Some(());
                }
                Err(error) => {
                    tracing::warn!(%error, backoff_ms, "a replica is still away");
                    self.put(Done::Failed);
                }
            }
        }
    }

    /// Does what is to be done, however often it fails; `None` once the server stops.
    fn work<F: DiskFile>(&mut self, tasks: &Receiver<Task<F>>, task: &Task<F>) -> Option<()> {
        let done = match task {
            Task::Locate(rooms) => self.until_done(tasks, |target| locate(target, rooms))?,
            Task::Apply(batch) => self.until_done(tasks, |target| apply(target, batch))?,
            Task::Retain(rooms) => self.until_done(tasks, |target| {
                let removed = target.retain(&mut |room| rooms.contains(&room))?;
                if removed > 0 {
                    tracing::info!(removed, "rooms went from a replica that are not there");
                }
                Ok(Done::Retained)
            })?,
            Task::Complete { watermark } => {
                let noted = self.target.set_watermark(*watermark);
                if let Err(error) = noted {
                    tracing::warn!(%error, "a replica could not be marked as complete");
                }
                return Some(());
            }
        };
        self.put(match done {
            Ok(done) => done,
            Err(error) => {
                tracing::warn!(%error, "what a replica has is looked at again");
                Done::Astray {
                    lost: !matches!(error, ReplicaError::Gap { .. }),
                }
            }
        });
        Some(())
    }

    /// Tries until it works, or can never work; `None` once the server stops.
    fn until_done<F, T>(
        &mut self,
        tasks: &Receiver<Task<F>>,
        mut act: impl FnMut(&mut dyn ReplicaTarget) -> Result<T, ReplicaError>,
    ) -> Option<Result<T, ReplicaError>> {
        let mut backoff_ms = BACKOFF_MS_MIN;
        let mut failed = false;
        loop {
            let outcome = if failed {
                let opened = self.target.open();
                opened.and_then(|()| act(&mut *self.target))
            } else {
                act(&mut *self.target)
            };
            let why = match outcome {
                Ok(done) => {
                    if failed {
                        tracing::info!("a replica is back");
                        self.put(Done::Back);
                    }
                    return Some(Ok(done));
                }
                Err(error @ (ReplicaError::Gap { .. } | ReplicaError::Lost)) => {
                    return Some(Err(error));
                }
                Err(error @ (ReplicaError::Unavailable(_) | ReplicaError::Foreign(_))) => error,
            };
            failed = true;
            tracing::warn!(%why, backoff_ms, "a replica could not be written");
            self.put(Done::Failed);
            // Nothing is sent while a task is under way, so a message can only be the last one.
            let waited = tasks.recv_timeout(Duration::from_millis(backoff_ms));
            if !matches!(waited, Err(RecvTimeoutError::Timeout)) {
                return None;
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    fn put(&self, done: Done) {
        self.mailbox.put(self.feed, done);
    }
}

fn locate(target: &mut dyn ReplicaTarget, rooms: &[ReplicaRoom]) -> Result<Done, ReplicaError> {
    let refs: Vec<_> = rooms.iter().map(ReplicaRoom::as_ref).collect();
    let applied = target.applied(&refs)?;
    let rooms = rooms.iter().map(|room| room.room);
    Ok(Done::Located(rooms.zip(applied).collect()))
}

fn apply<F: DiskFile>(
    target: &mut dyn ReplicaTarget,
    handed: &[Handed<F>],
) -> Result<Done, ReplicaError> {
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(handed.len());
    for handed in handed {
        bytes.push(match &handed.messages {
            Some(messages) => messages.read()?,
            None => Vec::new(),
        });
    }
    let batches: Vec<_> = handed
        .iter()
        .zip(&bytes)
        .map(|(handed, messages)| Batch {
            room: handed.room.as_ref(),
            kind: handed.room.kind,
            ruled: handed.room.ruled,
            start: handed.room.start + 1,
            first_seq: handed.from + 1,
            messages,
            mode: handed.mode,
        })
        .collect();
    let applied = target.apply(&batches)?;
    if applied.unknown > 0 {
        let messages = applied.unknown;
        tracing::warn!(messages, "messages of a kind that a replica does not know");
    }
    Ok(Done::Applied {
        applied,
        seconds: started.elapsed().as_secs_f64(),
    })
}
