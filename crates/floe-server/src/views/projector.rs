//! The thread that applies events to the view.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use floe_log::DiskFile;
use floe_proto::{ChannelId, ChannelMeta};
use floe_views::{Applied, Change, Folder, Projector, ViewError};

use super::{Done, Mailbox, ViewSettings};
use crate::shard::Handed;

/// What the projector is to do.
#[derive(Debug)]
pub enum Task<F> {
    /// Apply what became visible.
    Apply(Vec<Handed<F>>),
    /// Say which of these channels the view does not have as they are; where `all` is given, forget
    /// channels that are not in it.
    Compare {
        /// What is known of the channels.
        channels: Vec<ChannelMeta>,
        /// All channels there are.
        all: Option<HashSet<ChannelId>>,
    },
    /// Make the view anew: a question met damage in it.
    Anew,
    /// Note that the view has everything.
    Complete {
        /// The log's end.
        watermark: u64,
    },
}

/// The projector's side of the thread.
pub struct Projecting {
    folder: Folder,
    options: floe_views::Options,
    mailbox: Arc<Mailbox>,
    open: Option<Open>,
    /// Whether rows wait to be removed.
    trims: bool,
}

/// The view's file.
struct Open {
    projector: Projector,
    number: u32,
}

/// First wait after a failure.
const BACKOFF_MS_MIN: u64 = 100;
/// Longest wait after failures in a row.
const BACKOFF_MS_MAX: u64 = 30_000;
/// Time without anything to do after which rows are removed.
const TRIM_MS: u64 = 10;
/// Time between two looks for a file that was rebuilt, while there is nothing to do.
const LOOK_MS: u64 = 5_000;

impl Projecting {
    pub fn new(settings: &ViewSettings, mailbox: Arc<Mailbox>) -> Self {
        Self {
            folder: settings.folder.clone(),
            options: settings.options.clone(),
            mailbox,
            open: None,
            trims: false,
        }
    }

    /// Runs until the event loop lets go of the queue.
    pub fn run<F: DiskFile>(mut self, tasks: &Receiver<Task<F>>) {
        let Some(generation) = self.reopen(tasks) else {
            return;
        };
        let watermark = self.open.as_ref().map(|open| open.projector.watermark());
        let watermark = watermark.and_then(Result::ok).unwrap_or(0);
        self.mailbox.put(Done::Opened {
            watermark,
            generation,
        });
        loop {
            let patience_ms = if self.trims { TRIM_MS } else { LOOK_MS };
            let task = match tasks.recv_timeout(Duration::from_millis(patience_ms)) {
                Ok(task) => Some(task),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if self.is_replaced() {
                tracing::info!("another file has become the view");
                let Some(generation) = self.reopen(tasks) else {
                    return;
                };
                self.mailbox.put(match task {
                    Some(_) => Done::Lost { generation },
                    None => Done::Replaced { generation },
                });
            } else if let Some(task) = task {
                let Some(()) = self.work(tasks, &task) else {
                    return;
                };
            } else if self.trims {
                self.trim();
            }
        }
    }

    /// Does what is to be done, however often it fails; `None` once the server stops.
    fn work<F: DiskFile>(&mut self, tasks: &Receiver<Task<F>>, task: &Task<F>) -> Option<()> {
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            match self.perform(task) {
                Ok(Performed::Done(done)) => {
                    done.into_iter().for_each(|done| self.mailbox.put(done));
                    return Some(());
                }
                Ok(Performed::Damaged) => {
                    return self.begin_anew(tasks, "a question met damage in it");
                }
                Err(error) if error.is_corrupt() => return self.begin_anew(tasks, &error),
                Err(error @ ViewError::Gap { .. }) => {
                    tracing::warn!(%error, "what the view has is looked at again");
                    let generation = self.mailbox.current().generation;
                    self.mailbox.put(Done::Lost { generation });
                    return Some(());
                }
                Err(error) => {
                    tracing::warn!(%error, backoff_ms, "the view could not be written");
                    self.mailbox.put(Done::Failed);
                    wait(tasks, &mut backoff_ms)?;
                }
            }
        }
    }

    /// Removes some of the rows that wait for it.
    fn trim(&mut self) {
        let trimmed = self.open.as_mut().map(|open| open.projector.trim());
        self.trims = match trimmed {
            Some(Ok(applied)) => applied.more_to_trim,
            Some(Err(error)) => {
                // The next batch tries again, and finds out what is wrong.
                tracing::warn!(%error, "rows of the view could not be removed");
                false
            }
            None => false,
        };
    }

    /// Makes an empty file the view; `None` once the server stops.
    fn begin_anew<F>(&mut self, tasks: &Receiver<Task<F>>, why: impl Display) -> Option<()> {
        if let Some(Open { number, .. }) = self.open.take() {
            self.replace(number, why);
        }
        let generation = self.reopen(tasks)?;
        self.mailbox.put(Done::Lost { generation });
        Some(())
    }

    /// Opens the newest file, however long it takes, and returns its generation; `None` once the
    /// server stops.
    fn reopen<F>(&mut self, tasks: &Receiver<Task<F>>) -> Option<u64> {
        self.open = None;
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            match self.open_newest() {
                Ok(open) => {
                    let generation = self.mailbox.replace(open.number);
                    if let Err(error) = self.folder.remove_before(open.number) {
                        tracing::warn!(%error, "an old file of the view could not be removed");
                    }
                    self.open = Some(open);
                    return Some(generation);
                }
                Err((number, error)) if error.is_corrupt() => {
                    self.open = None;
                    self.replace(number, error);
                }
                Err((_, error)) => {
                    tracing::warn!(%error, backoff_ms, "the view could not be opened");
                }
            }
            self.mailbox.put(Done::Failed);
            wait(tasks, &mut backoff_ms)?;
        }
    }

    fn open_newest(&self) -> Result<Open, (u32, ViewError)> {
        let number = self.folder.create().and_then(|()| self.folder.newest());
        let number = number.map_err(|error| (0, error.into()))?.unwrap_or(1);
        Projector::open(self.folder.file(number), &self.options)
            .map(|projector| Open { projector, number })
            .map_err(|error| (number, error))
    }

    fn is_replaced(&self) -> bool {
        let open = self.open.as_ref().map(|open| open.number);
        matches!((open, self.folder.newest()), (Some(open), Ok(newest)) if newest != Some(open))
    }

    /// Makes an empty file the view in the place of a damaged one.
    fn replace(&self, number: u32, why: impl Display) {
        tracing::error!(%why, "the view is damaged and is made anew");
        let made = self
            .folder
            .begin()
            .map_err(ViewError::from)
            .and_then(|path| Projector::open(path, &self.options))
            .map(drop)
            .and_then(|()| Ok(self.folder.publish()?));
        if let Err(error) = made {
            tracing::error!(%error, number, "the view could not be made anew");
        }
    }

    fn perform<F: DiskFile>(&mut self, task: &Task<F>) -> Result<Performed, ViewError> {
        let Some(Open { projector, .. }) = &mut self.open else {
            return Ok(Performed::Done(None));
        };
        let done = match task {
            Task::Apply(batch) => {
                let (done, applied) = apply(projector, batch)?;
                self.trims = applied.more_to_trim;
                if applied.unknown > 0 {
                    let events = applied.unknown;
                    tracing::warn!(events, "events of a kind that the view does not know");
                }
                Some(done)
            }
            Task::Compare { channels, all } => {
                Some(Done::Behind(compare(projector, channels, all.as_ref())?))
            }
            Task::Anew => return Ok(Performed::Damaged),
            Task::Complete { watermark } => {
                projector.set_watermark(*watermark)?;
                None
            }
        };
        Ok(Performed::Done(done))
    }
}

/// What came of a task.
enum Performed {
    /// It is done; this is to be told.
    Done(Option<Done>),
    /// The view must be made anew.
    Damaged,
}

/// Returns the channels that the view does not have as they are, each with the events it lacks.
fn compare(
    projector: &mut Projector,
    channels: &[ChannelMeta],
    all: Option<&HashSet<ChannelId>>,
) -> Result<Vec<(ChannelId, u64)>, ViewError> {
    let mut ahead = HashSet::new();
    let mut behind = Vec::new();
    for meta in channels {
        let known = projector.known(meta.id)?;
        if known.as_ref().is_some_and(|known| known.head > meta.head) {
            // The view of another log, such as that of a later backup: what it has never happened.
            ahead.insert(meta.id);
        }
        if known.as_ref() != Some(meta) {
            let has = known
                .map_or(0, |known| known.head)
                .max(meta.start.saturating_sub(1));
            behind.push((meta.id, meta.head.saturating_sub(has)));
        }
    }
    if all.is_some() || !ahead.is_empty() {
        let is_there = |channel| all.is_none_or(|all| all.contains(&channel));
        projector.retain(|channel| is_there(channel) && !ahead.contains(&channel))?;
    }
    Ok(behind)
}

fn apply<F: DiskFile>(
    projector: &mut Projector,
    batch: &[Handed<F>],
) -> Result<(Done, Applied), ViewError> {
    let started = Instant::now();
    let mut bytes = Vec::with_capacity(batch.len());
    for handed in batch {
        bytes.push(handed.read().map_err(ViewError::Io)?);
    }
    let mut changes = Vec::with_capacity(batch.len());
    for (handed, events) in batch.iter().zip(&bytes) {
        // Where nobody knows how far the view is, only that is found out.
        let known = handed.first_seq.is_some() || handed.purged;
        if known {
            changes.push(Change {
                meta: handed.meta.clone(),
                first_seq: handed.first_seq.unwrap_or(1),
                events,
                purged: handed.purged,
            });
        }
    }
    let applied = projector.apply(&changes)?;
    let mut rooms = Vec::with_capacity(batch.len());
    for handed in batch {
        let seq = projector.applied(handed.meta.id)?.unwrap_or(0);
        rooms.push((handed.slot, handed.meta.id, seq));
    }
    let done = Done::Applied {
        rooms,
        events: applied.events,
        seconds: started.elapsed().as_secs_f64(),
    };
    Ok((done, applied))
}

/// Waits, longer each time; `None` when the server stops meanwhile.
///
/// Nothing is sent while a task is under way, so a message can only be the last one.
fn wait<F>(tasks: &Receiver<Task<F>>, backoff_ms: &mut u64) -> Option<()> {
    let waited = tasks.recv_timeout(Duration::from_millis(*backoff_ms));
    *backoff_ms = (*backoff_ms * 2).min(BACKOFF_MS_MAX);
    matches!(waited, Err(RecvTimeoutError::Timeout)).then_some(())
}
