//! Reading states and data.

use std::sync::Arc;

use bytes::Bytes;
use floe_proto::RoomId;
use smallvec::SmallVec;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::fold::Folded;
use crate::index::{NO_SLOT, Room, Run};
use crate::log::Log;
use crate::memtable::RoomFrames;
use crate::reading::Reading;
use crate::segment::Segment;

/// Units of a room, in order.
#[derive(Debug)]
pub struct Chunk<F> {
    /// The bytes; their ends are ends of units only at the end of the last.
    pub parts: Vec<Part<F>>,
    /// The unit after the last one returned.
    pub next: u64,
}

/// A range of a room's bytes.
#[derive(Debug)]
pub enum Part<F> {
    /// Bytes in memory; large ones are shared with the log.
    Memory(Bytes),
    /// Bytes in a file; their checksums have been checked.
    File {
        /// The file, which stays readable even if the log is done with it.
        file: Arc<F>,
        /// Where the bytes start.
        at: u64,
        /// How many there are.
        len: u64,
    },
}

impl<F> Part<F> {
    /// Returns how many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<F> Chunk<F> {
    /// Returns how many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.parts.iter().map(Part::len).sum()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl<D: Disk> Log<D> {
    /// Returns the state of a room, counting what is staged.
    ///
    /// # Errors
    /// [`ReadError::NoRoom`] when there is no such room, or the disk or the fold failed.
    pub fn state(&self, room: RoomId) -> Result<Folded, ReadError> {
        let entry = self.entry(room)?;
        let before = match entry.runs.last() {
            Some(run) => Some(self.flushed_state(*run)?),
            None => None,
        };
        let memories = self.memories(entry);
        let mut records = memories.into_iter().flatten().flat_map(RoomFrames::views);
        match before {
            Some(folded) if memories.iter().all(Option::is_none) => Ok(folded),
            before => {
                let state = before.as_ref().map(|folded| &folded.state[..]);
                Ok(self.fold.fold(room, state, &mut records)?)
            }
        }
    }

    fn flushed_state(&self, run: Run) -> Result<Folded, ReadError> {
        let segment = self.segments.get(run.segment);
        let row = segment.row(run.row)?;
        Ok(Folded {
            state: segment.read(row.at, row.state_len as usize)?,
            wake_at: row.wake_at,
            keep_from: row.keep_from,
        })
    }

    /// Reads units of a room from `from` on: up to `to`, and up to `bytes_max` bytes, but one
    /// unit at least if there is one.
    ///
    /// What is staged is there, too: a host shows nothing beyond what it knows to be durable by
    /// its choice of `to`. Large records in memory are shared, small ones are copied side by side.
    ///
    /// # Errors
    /// [`ReadError::Gone`] when `from` was dropped by retention, [`ReadError::NoRoom`], or what
    /// the disk says.
    pub fn read(
        &self,
        room: RoomId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Chunk<D::File>, ReadError> {
        let entry = self.entry(room)?;
        let mut reading = Reading::new(from, to.min(entry.end), bytes_max as u64);
        let memories = self.memories(entry);
        let in_memory = memories
            .iter()
            .flatten()
            .map(|frames| frames.range().0)
            .min();
        if in_memory.is_none_or(|first| from < first) {
            self.read_runs(&entry.runs, &mut reading)?;
        }
        for frames in memories.into_iter().flatten() {
            reading.read_frames(frames)?;
        }
        Ok(reading.into_chunk())
    }

    fn read_runs(&self, runs: &[Run], reading: &mut Reading<D::File>) -> Result<(), ReadError> {
        // Most reads are near the end, so the first run to read is looked for from there.
        let mut rows = SmallVec::<[_; 4]>::new();
        for run in runs.iter().rev() {
            let segment = self.segments.get(run.segment);
            let row = segment.row(run.row)?;
            if row.end <= reading.next() {
                break;
            }
            rows.push((segment, row));
            if row.first <= reading.next() {
                break;
            }
        }
        let cold =
            |segment: &Segment<D::File>, at, len| self.cold.parts(&self.disk, segment, at, len);
        for (segment, row) in rows.iter().rev() {
            reading.read_row(segment, row, &cold)?;
        }
        Ok(())
    }

    pub(crate) fn entry(&self, room: RoomId) -> Result<&Room, ReadError> {
        self.rooms
            .index
            .room(room)
            .ok_or(ReadError::NoRoom { room })
    }

    /// The room's records in memory, oldest first.
    pub(crate) fn memories(&self, room: &Room) -> [Option<RoomFrames<'_>>; 2] {
        let side = self.rooms.side;
        let slots = [room.slots[1 - side], room.slots[side]];
        let tail = &self.staging.buffer[..];
        let frozen = self
            .frozen
            .as_ref()
            .filter(|_| slots[0] != NO_SLOT)
            .map(|frozen| frozen.memtable.room(slots[0], &[]));
        let active = (slots[1] != NO_SLOT).then(|| self.rooms.active.room(slots[1], tail));
        [frozen, active]
    }
}
