//! The log of one shard.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use floe_proto::{NameHash, RoomId};

use crate::commit::{CommitDone, CommitJob, InFlight, Write, Writes};
use crate::disk::Disk;
use crate::fold::Fold;
use crate::hash;
use crate::index::Index;
use crate::lsn::Lsn;
use crate::manifest::{Shared, lock};
use crate::memtable::Memtable;
use crate::options::Options;
use crate::wake::Wakes;
use crate::wal::Wal;

/// The durable records of all rooms of one shard.
///
/// The log decides and the host does: nothing here starts a thread or waits for a disk, but for
/// reads of what is no longer in memory. Stage records, take the [`CommitJob`], run it on another
/// thread, hand back what it returns, and acknowledge every record whose position
/// [`durable`](Self::durable) has reached. Take background work with
/// [`take_work`](Self::take_work) after every commit.
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) options: Options,
    pub(crate) fold: Arc<dyn Fold>,
    pub(crate) hash_key: [u8; 16],
    pub(crate) manifest: Arc<Shared>,
    pub(crate) index: Index,
    pub(crate) wakes: Wakes,
    pub(crate) wal: Wal<D>,
    /// Records that are being gathered.
    pub(crate) active: Memtable,
    pub(crate) staging: Staging<D>,
    pub(crate) in_flight: InFlight,
    pub(crate) durable: Lsn,
    pub(crate) next_room: u64,
    pub(crate) _lock: D::Lock,
}

/// Frames that no commit has taken yet.
#[derive(Debug)]
pub(crate) struct Staging<D: Disk> {
    /// Frames that are not shared yet.
    pub(crate) buffer: BytesMut,
    /// Where the buffer goes in the current segment.
    pub(crate) at: u32,
    pub(crate) writes: Writes<D::File>,
}

impl<D: Disk> Log<D> {
    /// Hashes a room's namespace and name with the folder's key.
    #[must_use]
    pub fn hash(&self, namespace: &str, name: &[u8]) -> NameHash {
        hash::name_hash(&self.hash_key, namespace, name)
    }

    /// Returns the room of that name, counting what is staged.
    #[must_use]
    pub fn find(&self, name: NameHash) -> Option<RoomId> {
        self.index.find(name)
    }

    /// Returns the unit after the room's last, counting what is staged.
    #[must_use]
    pub fn end(&self, room: RoomId) -> Option<u64> {
        self.index.room(room).map(|room| room.end)
    }

    /// Returns how many rooms there are, counting what is staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Returns whether there is no room at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the names' hashes and the rooms, in no particular order.
    pub fn rooms(&self) -> impl Iterator<Item = (NameHash, RoomId)> {
        self.index.names()
    }

    /// Returns the end of what is staged.
    #[must_use]
    pub fn staged(&self) -> Lsn {
        self.wal.position()
    }

    /// Returns the end of what would survive power loss.
    #[must_use]
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// Takes everything staged since the last call; `None` if that is nothing.
    ///
    /// Several jobs may run at once. The next may be taken before this one has run.
    pub fn take_commit(&mut self) -> Option<CommitJob<D>> {
        self.share_buffer();
        if self.staging.writes.is_empty() {
            return None;
        }
        let writes = std::mem::take(&mut self.staging.writes);
        let ticket = self.in_flight.push(self.wal.position());
        Some(CommitJob::new(ticket, writes))
    }

    /// Takes note of a commit that has run; returns the end of what is durable now.
    ///
    /// # Errors
    /// The job's. What the disk holds is unknown then, and a second sync may succeed without
    /// having written anything: the host ends the process, and the next start recovers what is
    /// there. It must not stage, commit or acknowledge anything more.
    pub fn finish_commit(&mut self, done: CommitDone) -> io::Result<Lsn> {
        if let Some(durable) = self.in_flight.finish(done)? {
            // A flush may have made more durable than the commit did.
            self.durable = self.durable.max(durable);
        }
        Ok(self.durable)
    }

    /// Ends the log well: what is durable is written down, so that the next start knows exactly
    /// what it has to find.
    ///
    /// Blocks. Everything staged must have been committed; background work may be unfinished.
    ///
    /// # Errors
    /// The disk's. Nothing durable is lost then.
    pub fn close(self) -> io::Result<()> {
        let mut manifest = lock(&self.manifest);
        manifest.durable = self.durable;
        manifest.write(&self.disk)
    }

    /// Bytes of records in memory that no segment holds.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        self.active.bytes
    }

    /// Makes the staged frames shareable, so that commit and readers use the same bytes.
    pub(crate) fn share_buffer(&mut self) {
        let bytes = self.staging.buffer.split().freeze();
        if bytes.is_empty() {
            return;
        }
        self.active.push_chunk(bytes.clone());
        self.staging.writes.push(Write {
            file: self.wal.current().file.clone(),
            at: self.staging.at,
            bytes: bytes.clone(),
        });
        self.staging.at += bytes.len() as u32;
    }
}

impl<D: Disk> fmt::Debug for Log<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("rooms", &self.len())
            .field("staged", &self.staged())
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}
