//! Background work: making segments ahead of need, flushing, merging, clearing away.

use std::fmt;
use std::sync::Arc;

use crate::cold::{CoolDone, CoolJob, FetchDone, FetchJob, SweepDone, SweepJob};
use crate::disk::Disk;
use crate::error::WorkError;
use crate::flush::{FlushJob, Flushed};
use crate::log::{Frozen, Log};
use crate::merge::{MergeJob, Merged};
use crate::plan::{self, Size};
use crate::prepare::{PrepareDone, PrepareJob};
use crate::trash::CleanJob;

/// Rooms that move over to a new segment in one go, between two commits.
const COMMIT_ROWS: u32 = 256;
/// Rooms that move over each time somebody asks for work.
const WORK_ROWS: u32 = 1024;
/// Deletions that make a flush worth it, so that their space comes back.
const DEATHS: usize = 4096;

/// Work that must not hold up commits.
///
/// Run each piece on a thread of its own, or on a pool of three at least: a merge may take
/// seconds, and a segment to write to must not wait for it.
#[must_use = "the log runs full when its background work is not done"]
pub struct Work<D: Disk>(Task<D>);

pub(crate) enum Task<D: Disk> {
    Prepare(PrepareJob<D>),
    Flush(FlushJob<D>),
    Merge(MergeJob<D>),
    Clean(CleanJob<D>),
    Fetch(FetchJob<D>),
    Cool(CoolJob<D>),
    /// A cold segment is written anew.
    Rewrite(MergeJob<D>),
    Sweep(SweepJob<D>),
    /// Rooms are moving over to a new segment; the host only has to ask again.
    Settle,
}

/// What became of a piece of [`Work`].
#[must_use = "the log learns from this that the work was done"]
pub struct WorkDone<D: Disk>(Outcome<D>);

enum Outcome<D: Disk> {
    Prepare(PrepareDone<D>),
    Flush(Box<Result<Flushed<D>, WorkError>>),
    Merge(Box<Result<Merged<D>, WorkError>>),
    Fetch(FetchDone),
    Cool(Box<CoolDone<D>>),
    Rewrite(Box<Result<Merged<D>, WorkError>>),
    Sweep(SweepDone),
    Nothing,
}

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It was done; ask for more at once.
    Done,
    /// Space ran out and nothing has changed; ask again after a second or so.
    Full,
}

impl<D: Disk> Work<D> {
    /// Does the work; blocks.
    pub fn run(self) -> WorkDone<D> {
        WorkDone(match self.0 {
            Task::Prepare(job) => Outcome::Prepare(job.run()),
            Task::Flush(job) => Outcome::Flush(Box::new(job.run())),
            Task::Merge(job) => Outcome::Merge(Box::new(job.run())),
            Task::Clean(job) => {
                job.run();
                Outcome::Nothing
            }
            Task::Fetch(job) => Outcome::Fetch(job.run()),
            Task::Cool(job) => Outcome::Cool(Box::new(job.run())),
            Task::Rewrite(job) => Outcome::Rewrite(Box::new(job.run())),
            Task::Sweep(job) => Outcome::Sweep(job.run()),
            Task::Settle => Outcome::Nothing,
        })
    }

    pub(crate) fn new(task: Task<D>) -> Self {
        Self(task)
    }

    /// Returns a word for what it does, for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Task::Prepare(_) => "prepare",
            Task::Flush(_) => "flush",
            Task::Merge(_) => "merge",
            Task::Clean(_) => "clean",
            Task::Fetch(_) => "fetch",
            Task::Cool(_) => "cool",
            Task::Rewrite(_) => "rewrite",
            Task::Sweep(_) => "sweep",
            Task::Settle => "settle",
        }
    }
}

impl<D: Disk> fmt::Debug for Work<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Work").field(&self.name()).finish()
    }
}

impl<D: Disk> fmt::Debug for WorkDone<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkDone").finish_non_exhaustive()
    }
}

impl<D: Disk> Log<D> {
    /// Takes the most urgent piece of work; `None` when there is none, or all is on its way.
    ///
    /// Ask after each commit and after each piece of work that has ended.
    pub fn take_work(&mut self) -> Option<Work<D>> {
        self.install(WORK_ROWS);
        let task = self
            .wal
            .take_prepare(&self.disk, &self.home, &self.options)
            .map(Task::Prepare)
            .or_else(|| self.take_flush().map(Task::Flush))
            .or_else(|| self.take_clean().map(Task::Clean))
            .or_else(|| self.take_merge().map(Task::Merge))
            .or_else(|| self.take_settle());
        task.map(Work)
    }

    /// Takes note of work that has run.
    ///
    /// # Errors
    /// When the disk failed, or held damaged data. As with
    /// [`finish_commit`](Self::finish_commit), the host ends the process.
    pub fn finish_work(&mut self, done: WorkDone<D>) -> Result<Progress, WorkError> {
        let result = match done.0 {
            Outcome::Prepare(done) => self.wal.finish_prepare(done).map_err(WorkError::Io),
            Outcome::Flush(result) => self.finish_flush(*result),
            Outcome::Merge(result) => self.finish_merge(*result),
            Outcome::Fetch(done) => {
                self.finish_fetch(done);
                Ok(())
            }
            Outcome::Cool(done) => self.finish_cool(*done),
            Outcome::Rewrite(result) => {
                let result = result.and_then(|merged| self.install_merge(merged));
                self.end_upkeep(result)
            }
            Outcome::Sweep(done) => {
                self.finish_sweep(done);
                Ok(())
            }
            Outcome::Nothing => {
                self.settling = false;
                Ok(())
            }
        };
        match result {
            Ok(()) => Ok(Progress::Done),
            Err(error) if error.is_full() => Ok(Progress::Full),
            Err(error) => Err(error),
        }
    }

    /// Asks for a flush even if memory holds little, as before a long idle time.
    pub fn request_flush(&mut self) {
        self.flush_wanted = true;
    }

    /// Lets rooms move over while commits come and go.
    pub(crate) fn install_some(&mut self) {
        self.install(COMMIT_ROWS);
    }

    fn take_flush(&mut self) -> Option<FlushJob<D>> {
        if self.flushing || !self.installs.is_empty() {
            return None;
        }
        if self.frozen.is_none() {
            self.freeze()?;
        }
        let number = self.take_segment_number();
        let frozen = self.frozen.as_ref()?;
        self.flushing = true;
        Some(FlushJob {
            disk: self.disk.clone(),
            fold: self.fold.clone(),
            home: self.home.clone(),
            memtable: frozen.memtable.clone(),
            segments: frozen.segments.clone(),
            number,
            replay: frozen.replay,
            durable: self.durable,
            next_room: frozen.next_room,
            deaths: frozen.deaths.clone(),
        })
    }

    /// Begins a new memtable if the old one is worth a segment.
    fn freeze(&mut self) -> Option<()> {
        let wanted = self.flush_wanted
            || self.rooms.active.is_worth_a_flush(self.options.flush_bytes)
            || self.wal.is_long(&self.options)
            || self.rooms.deaths.len() >= DEATHS;
        if !wanted || self.rooms.active.is_empty() {
            return None;
        }
        self.share_buffer();
        self.flush_wanted = false;
        self.rooms.side = 1 - self.rooms.side;
        self.frozen = Some(Frozen {
            memtable: Arc::new(std::mem::take(&mut self.rooms.active)),
            segments: self.segments.handles(),
            replay: self.wal.position(),
            next_room: self.rooms.next_room,
            deaths: std::mem::take(&mut self.rooms.deaths),
        });
        Some(())
    }

    fn finish_flush(&mut self, result: Result<Flushed<D>, WorkError>) -> Result<(), WorkError> {
        self.flushing = false;
        let flushed = result?;
        for (segment, bytes) in flushed.dead.segments() {
            self.segments.add_dead(segment, bytes);
        }
        let number = flushed
            .segment
            .as_ref()
            .map_or(0, |segment| segment.number());
        if let Some(segment) = flushed.segment {
            self.segments.push(segment);
        }
        self.installs
            .push_flush(number, flushed.rows, flushed.replay);
        Ok(())
    }

    fn take_merge(&mut self) -> Option<MergeJob<D>> {
        if self.merging || !self.installs.is_empty() {
            return None;
        }
        let mut sizes: Vec<Size> = self.segments.list().iter().map(Size::of).collect();
        for (size, live) in sizes.iter_mut().zip(self.segments.list()) {
            size.pinned |= self.cold.pins(live.number);
        }
        if let (Some(size), Some(oldest)) = (sizes.first_mut(), self.segments.list().first())
            && oldest.segment.tombstones() == oldest.segment.row_count()
        {
            // Nobody needs to be told that rooms are gone of which nothing is left.
            size.dead_bytes = size.bytes;
        }
        let chosen = plan::choose(&sizes, self.options.segment_bytes_max)?;
        self.merging = true;
        let job = self.merge_job(chosen);
        self.merge_inputs = job.inputs.iter().map(|input| input.number()).collect();
        Some(job)
    }

    /// Makes a job of merging these of the live segments.
    pub(crate) fn merge_job(&mut self, chosen: std::ops::Range<usize>) -> MergeJob<D> {
        let mut inputs = self.segments.handles();
        let younger = inputs.split_off(chosen.end);
        let older = inputs.drain(..chosen.start).collect();
        MergeJob {
            disk: self.disk.clone(),
            home: self.home.clone(),
            older,
            inputs,
            younger,
            number: self.take_segment_number(),
            remote: self.cold.remote().cloned(),
        }
    }

    fn finish_merge(&mut self, result: Result<Merged<D>, WorkError>) -> Result<(), WorkError> {
        self.merging = false;
        self.merge_inputs.clear();
        self.install_merge(result?)
    }

    fn install_merge(&mut self, merged: Merged<D>) -> Result<(), WorkError> {
        let number = merged
            .segment
            .as_ref()
            .map_or(0, |segment| segment.number());
        self.segments.replace(&merged.inputs, merged.segment);
        self.installs.push_merge(number, merged.rows, merged.inputs);
        Ok(())
    }

    fn take_clean(&mut self) -> Option<CleanJob<D>> {
        let mut files = self.wal.take_surplus(&self.options);
        files.extend(self.cold.cache.take_gone());
        self.trash.take(&self.disk, &self.home, files)
    }

    fn take_settle(&mut self) -> Option<Task<D>> {
        if self.settling || self.installs.is_empty() {
            return None;
        }
        self.settling = true;
        Some(Task::Settle)
    }

    fn take_segment_number(&mut self) -> u32 {
        let number = self.next_segment;
        self.next_segment += 1;
        number
    }
}
