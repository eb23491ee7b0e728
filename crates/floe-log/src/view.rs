//! Looking at a folder without changing it.

use std::sync::Arc;

use floe_proto::{NameHash, RoomId};

use crate::disk::Disk;
use crate::error::{OpenError, ReadError};
use crate::fold::{Fold, Folded};
use crate::log::Log;
use crate::open::{Access, Recovery, open};
use crate::options::Options;
use crate::read::Chunk;
use crate::stats::{RoomInfo, SegmentInfo, Stats};

/// What a folder held at one moment. Nothing in the folder is changed, created or locked.
///
/// A server that has the folder open may remove a file in between; then opening fails, and another
/// try may succeed.
#[derive(Debug)]
pub struct View<D: Disk> {
    log: Log<D>,
}

impl<D: Disk> View<D> {
    /// Reads the folder as a start would.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::NoLog`] when there is none.
    pub fn open(disk: D, fold: Arc<dyn Fold>) -> Result<(Self, Recovery), OpenError> {
        let (log, recovery) = open(disk, Options::default(), fold, Access::Read)?;
        Ok((Self { log }, recovery))
    }

    /// Returns figures about the log.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.log.stats()
    }

    /// Returns figures about each segment, oldest data first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.log.segments()
    }

    /// Returns the hash of a room's name.
    #[must_use]
    pub fn hash(&self, namespace: &str, name: &[u8]) -> NameHash {
        self.log.hash(namespace, name)
    }

    /// Returns the room of that name.
    #[must_use]
    pub fn find(&self, name: NameHash) -> Option<RoomId> {
        self.log.find(name)
    }

    /// Returns the names' hashes and the rooms, oldest room first.
    #[must_use]
    pub fn rooms(&self) -> Vec<(NameHash, RoomId)> {
        let mut rooms: Vec<_> = self.log.rooms().collect();
        rooms.sort_unstable_by_key(|&(_, room)| room);
        rooms
    }

    /// Returns figures about a room.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn room(&self, room: RoomId) -> Result<RoomInfo, ReadError> {
        self.log.room(room)
    }

    /// Returns the state of a room.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn state(&self, room: RoomId) -> Result<Folded, ReadError> {
        self.log.state(room)
    }

    /// Reads units of a room, as [`Log::read`] does.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(
        &self,
        room: RoomId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Chunk<D::File>, ReadError> {
        self.log.read(room, from, to, bytes_max)
    }
}
