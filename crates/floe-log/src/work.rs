//! Background work: making segments ahead of need, flushing, merging.

use std::io;

use crate::disk::Disk;
use crate::log::Log;
use crate::wal::{PrepareDone, PrepareJob};

/// Work that must not hold up commits.
///
/// Run each piece on a thread of its own, or on a pool of two at least: a merge may take seconds,
/// and a segment to write to must not wait for it.
#[derive(Debug)]
#[must_use = "the log runs full when its background work is not done"]
pub struct Work<D: Disk>(Task<D>);

#[derive(Debug)]
enum Task<D: Disk> {
    Prepare(PrepareJob<D>),
}

/// What became of a piece of [`Work`].
#[derive(Debug)]
#[must_use = "the log learns from this that the work was done"]
pub struct WorkDone<D: Disk>(Outcome<D>);

#[derive(Debug)]
enum Outcome<D: Disk> {
    Prepare(PrepareDone<D>),
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
        })
    }
}

impl<D: Disk> Log<D> {
    /// Takes the most urgent piece of work; `None` when there is none, or all is on its way.
    pub fn take_work(&mut self) -> Option<Work<D>> {
        let prepare = self.wal.take_prepare(&self.disk, &self.options);
        prepare.map(|job| Work(Task::Prepare(job)))
    }

    /// Takes note of work that has run.
    ///
    /// # Errors
    /// When the disk failed. As with [`finish_commit`](Self::finish_commit), the host ends the
    /// process.
    pub fn finish_work(&mut self, done: WorkDone<D>) -> io::Result<Progress> {
        let made = match done.0 {
            Outcome::Prepare(done) => self.wal.finish_prepare(done)?,
        };
        Ok(if made { Progress::Done } else { Progress::Full })
    }
}
