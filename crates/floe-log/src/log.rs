//! The log of one shard.

use std::fmt;
use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use floe_proto::{NameHash, RoomId};

use crate::cold::Cold;
use crate::commit::{CommitDone, CommitJob, InFlight, Write, Writes};
use crate::disk::Disk;
use crate::fold::Fold;
use crate::hash;
use crate::install::Installs;
use crate::lsn::Lsn;
use crate::manifest::Home;
use crate::memtable::Memtable;
use crate::options::Options;
use crate::rooms::{Death, Rooms};
use crate::segment::Segment;
use crate::segments::Segments;
use crate::trash::Trash;
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
    pub(crate) home: Arc<Home<D::Lock>>,
    pub(crate) rooms: Rooms,
    pub(crate) segments: Segments<D::File>,
    /// The memtable that is being flushed.
    pub(crate) frozen: Option<Frozen<D>>,
    pub(crate) installs: Installs,
    pub(crate) trash: Trash<D::File>,
    pub(crate) next_segment: u32,
    /// Which jobs are on their way.
    pub(crate) flushing: bool,
    pub(crate) merging: bool,
    /// Numbers of the segments that are being merged.
    pub(crate) merge_inputs: Vec<u32>,
    pub(crate) cold: Cold,
    pub(crate) settling: bool,
    pub(crate) flush_wanted: bool,
    pub(crate) wakes: Wakes,
    pub(crate) wal: Wal<D>,
    pub(crate) staging: Staging<D>,
    pub(crate) in_flight: InFlight,
    pub(crate) durable: Lsn,
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

/// A memtable on its way to a segment, and what the flush needs to know.
///
/// It stays until all rooms have moved over, and for the next try if space ran out.
#[derive(Debug)]
pub(crate) struct Frozen<D: Disk> {
    pub(crate) memtable: Arc<Memtable>,
    /// Segments that the memtable's rooms had rows in.
    pub(crate) segments: Vec<Arc<Segment<D::File>>>,
    /// Where the log went on when the memtable was full.
    pub(crate) replay: Lsn,
    pub(crate) next_room: u64,
    pub(crate) deaths: Vec<Death>,
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
        self.rooms.index.find(name)
    }

    /// Returns the unit after the room's last, counting what is staged.
    #[must_use]
    pub fn end(&self, room: RoomId) -> Option<u64> {
        self.rooms.index.room(room).map(|room| room.end)
    }

    /// Returns how many rooms there are, counting what is staged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rooms.index.len()
    }

    /// Returns whether there is no room at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the names' hashes and the rooms, in no particular order.
    pub fn rooms(&self) -> impl Iterator<Item = (NameHash, RoomId)> {
        self.rooms.index.names()
    }

    /// Returns the number that the next room gets.
    #[must_use]
    pub const fn next_room(&self) -> RoomId {
        RoomId(self.rooms.next_room)
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
        self.install_some();
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
            self.durable = durable;
        }
        Ok(self.durable)
    }

    /// Ends the log well: what is durable is written down, so that the next start knows exactly
    /// what it has to find.
    ///
    /// Blocks. What was not committed is lost; background work may be unfinished. The folder is
    /// free for others once all jobs have ended, too.
    ///
    /// # Errors
    /// The disk's. Nothing durable is lost then.
    pub fn close(self) -> io::Result<()> {
        self.home
            .update(&self.disk, |manifest| manifest.durable = self.durable)
    }

    /// Bytes of records in memory that no segment holds.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        let frozen = self
            .frozen
            .as_ref()
            .map_or(0, |frozen| frozen.memtable.bytes);
        self.rooms.active.bytes + frozen
    }

    /// Makes the staged frames shareable, so that commit and readers use the same bytes.
    pub(crate) fn share_buffer(&mut self) {
        let bytes = self.staging.buffer.split().freeze();
        if bytes.is_empty() {
            return;
        }
        self.rooms.active.push_chunk(bytes.clone());
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
