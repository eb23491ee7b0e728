//! Group commit: what was staged becomes durable in one write and one sync.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::disk::{Disk, DiskFile};
use crate::lsn::Lsn;

/// Everything staged since the one before it, to be written and synced by the host.
///
/// Several may run at once, on any threads, and end in any order. Hand what [`run`](Self::run)
/// returns to [`Log::finish_commit`](crate::Log::finish_commit).
#[derive(Debug)]
#[must_use = "what was staged becomes durable only when the job runs"]
pub struct CommitJob<D: Disk> {
    ticket: u64,
    writes: Writes<D::File>,
}

/// What became of a [`CommitJob`].
#[derive(Debug)]
#[must_use = "the log learns what is durable from this"]
pub struct CommitDone {
    ticket: u64,
    bytes: u64,
    result: io::Result<()>,
}

/// One write of a commit.
#[derive(Debug)]
pub(crate) struct Write<F> {
    pub(crate) file: Arc<F>,
    pub(crate) at: u32,
    pub(crate) bytes: Bytes,
}

pub(crate) type Writes<F> = SmallVec<[Write<F>; 1]>;

impl<D: Disk> CommitJob<D> {
    pub(crate) fn new(ticket: u64, writes: Writes<D::File>) -> Self {
        Self { ticket, writes }
    }

    /// Bytes to be written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let lens = self.writes.iter().map(|write| write.bytes.len() as u64);
        lens.sum()
    }

    /// Writes and syncs; blocks until the disk has everything.
    pub fn run(self) -> CommitDone {
        CommitDone {
            ticket: self.ticket,
            bytes: self.bytes(),
            result: self.write(),
        }
    }

    fn write(&self) -> io::Result<()> {
        for write in &self.writes {
            let at = u64::from(write.at);
            write.file.write_all_at(&write.bytes, at)?;
        }
        // Writes to one segment stand together, so each file is synced once.
        for (index, write) in self.writes.iter().enumerate() {
            let next = self.writes.get(index + 1);
            if next.is_none_or(|next| !Arc::ptr_eq(&next.file, &write.file)) {
                write.file.sync_data()?;
            }
        }
        Ok(())
    }
}

impl CommitDone {
    /// Bytes that were to be written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns why the commit failed, if it did.
    #[must_use]
    pub fn error(&self) -> Option<&io::Error> {
        self.result.as_ref().err()
    }
}

/// Commits on their way, oldest first.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    first_ticket: u64,
    commits: VecDeque<(Lsn, bool)>,
}

impl InFlight {
    /// Notes a commit that makes everything before `end` durable, and returns its ticket.
    pub(crate) fn push(&mut self, end: Lsn) -> u64 {
        self.commits.push_back((end, false));
        self.first_ticket + self.commits.len() as u64 - 1
    }

    /// Notes the end of one commit; returns how far all is durable, if that moved.
    pub(crate) fn finish(&mut self, done: CommitDone) -> io::Result<Option<Lsn>> {
        done.result?;
        let index = (done.ticket - self.first_ticket) as usize;
        self.commits[index].1 = true;
        let mut durable = None;
        // One that overtook another has to wait for it: the log has no holes.
        while let Some(&(end, true)) = self.commits.front() {
            durable = Some(end);
            self.commits.pop_front();
            self.first_ticket += 1;
        }
        Ok(durable)
    }
}
