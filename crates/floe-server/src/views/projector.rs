//! The thread that applies events to the view.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use floe_log::DiskFile;
use floe_proto::ChannelId;
use floe_views::{Change, Projector, ViewError};

use super::{Done, Mailbox, ViewSettings, remove_view};
use crate::shard::Handed;

/// What the projector is to do.
#[derive(Debug)]
pub enum Task<F> {
    /// Apply what became visible.
    Apply(Vec<Handed<F>>),
    /// Say which of these channels the view does not have up to their newest event; where `all` is
    /// given, forget channels that are not in it.
    Compare {
        /// Channels and their newest sequence number.
        heads: Vec<(ChannelId, u64)>,
        /// All channels there are.
        all: Option<HashSet<ChannelId>>,
    },
    /// Note that the view has everything.
    Complete {
        /// The log's end.
        watermark: u64,
    },
}

/// The projector's side of the thread.
pub struct Projecting {
    path: PathBuf,
    options: floe_views::Options,
    mailbox: Arc<Mailbox>,
    projector: Option<Projector>,
}

/// First wait after a failure.
const BACKOFF_MS_MIN: u64 = 100;
/// Longest wait after failures in a row.
const BACKOFF_MS_MAX: u64 = 30_000;

impl Projecting {
    pub fn new(settings: &ViewSettings, mailbox: Arc<Mailbox>) -> Self {
        Self {
            path: settings.path.clone(),
            options: settings.options.clone(),
            mailbox,
            projector: None,
        }
    }

    /// Runs until the event loop lets go of the queue.
    pub fn run<F: DiskFile>(mut self, tasks: &Receiver<Task<F>>) {
        let Some(()) = self.open(tasks) else { return };
        while let Ok(task) = tasks.recv() {
            let mut backoff_ms = BACKOFF_MS_MIN;
            loop {
                match self.perform(&task) {
                    Ok(done) => {
                        done.into_iter().for_each(|done| self.mailbox.put(done));
                        break;
                    }
                    Err(error) if error.is_corrupt() => {
                        tracing::error!(%error, "the view is damaged and is made anew");
                        self.projector = None;
                        if let Err(error) = remove_view(&self.path) {
                            tracing::error!(%error, "the view could not be removed");
                        }
                        let Some(()) = self.reopen(tasks) else { return };
                        self.mailbox.put(Done::Lost);
                        break;
                    }
                    Err(error) => {
                        tracing::warn!(%error, backoff_ms, "the view could not be written");
                        self.mailbox.put(Done::Failed);
                        if stops(tasks, backoff_ms) {
                            return;
                        }
                        backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
                    }
                }
            }
        }
    }

    fn open<F>(&mut self, tasks: &Receiver<Task<F>>) -> Option<()> {
        self.reopen(tasks)?;
        let projector = self.projector.as_mut()?;
        let watermark = projector.watermark().unwrap_or(0);
        self.mailbox.put(Done::Opened { watermark });
        Some(())
    }

    /// Opens the view, however long it takes; `None` once the server stops.
    fn reopen<F>(&mut self, tasks: &Receiver<Task<F>>) -> Option<()> {
        let mut backoff_ms = BACKOFF_MS_MIN;
        loop {
            match Projector::open(&self.path, &self.options) {
                Ok(projector) => {
                    self.projector = Some(projector);
                    return Some(());
                }
                Err(error) if error.is_corrupt() => {
                    tracing::error!(%error, "the view is damaged and is made anew");
                    if let Err(error) = remove_view(&self.path) {
                        tracing::error!(%error, "the view could not be removed");
                    }
                }
                Err(error) => tracing::warn!(%error, backoff_ms, "the view could not be opened"),
            }
            self.mailbox.put(Done::Failed);
            if stops(tasks, backoff_ms) {
                return None;
            }
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    fn perform<F: DiskFile>(&mut self, task: &Task<F>) -> Result<Option<Done>, ViewError> {
        let Some(projector) = &mut self.projector else {
            return Ok(None);
        };
        match task {
            Task::Apply(batch) => apply(projector, batch).map(Some),
            Task::Compare { heads, all } => {
                let mut behind = Vec::new();
                for (channel, head) in heads {
                    if projector.applied(*channel)?.is_none_or(|seq| seq < *head) {
                        behind.push(*channel);
                    }
                }
                if let Some(all) = all {
                    projector.retain(|channel| all.contains(&channel))?;
                }
                Ok(Some(Done::Behind(behind)))
            }
            Task::Complete { watermark } => {
                projector.set_watermark(*watermark)?;
                Ok(None)
            }
        }
    }
}

fn apply<F: DiskFile>(projector: &mut Projector, batch: &[Handed<F>]) -> Result<Done, ViewError> {
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
    Ok(Done::Applied {
        rooms,
        events: applied.events,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Waits; returns whether the server stops meanwhile.
///
/// Nothing is sent while a task is under way, so a message can only be the last one.
fn stops<F>(tasks: &Receiver<Task<F>>, ms: u64) -> bool {
    match tasks.recv_timeout(Duration::from_millis(ms)) {
        Err(RecvTimeoutError::Timeout) => false,
        Ok(_) | Err(RecvTimeoutError::Disconnected) => true,
    }
}
