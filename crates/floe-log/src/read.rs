//! Reading states and data.

use std::sync::Arc;

use bytes::Bytes;
use floe_proto::RoomId;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::fold::Folded;
use crate::index::{NO_SLOT, Room};
use crate::log::Log;
use crate::memtable::RoomFrames;

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
    /// Bytes in memory, shared with the log.
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
        let mut records = self
            .memories(entry)
            .into_iter()
            .flatten()
            .flat_map(RoomFrames::views);
        Ok(self.fold.fold(room, None, &mut records)?)
    }

    /// Reads units of a room from `from` on: up to `to`, and up to `bytes_max` bytes, but one
    /// unit at least if there is one.
    ///
    /// What is staged is there, too: a host shows nothing beyond what it knows to be durable by
    /// its choice of `to`.
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
        let entry = self.entry(room)?;
        let mut reading = Reading {
            next: from,
            to: to.min(entry.end),
            bytes_left: bytes_max as u64,
            parts: Vec::new(),
        };
        for frames in self.memories(entry).into_iter().flatten() {
            if !reading.is_done() {
                reading.read_frames(frames);
            }
        }
        Ok(Chunk {
            parts: reading.parts,
            next: reading.next,
        })
    }

    fn entry(&self, room: RoomId) -> Result<&Room, ReadError> {
        self.index.room(room).ok_or(ReadError::NoRoom { room })
    }

    /// The room's records in memory, oldest first.
    fn memories(&self, room: &Room) -> [Option<RoomFrames<'_>>; 1] {
        let tail = &self.staging.buffer[..];
        let active = (room.active != NO_SLOT).then(|| self.active.room(room.active, tail));
        [active]
    }
}

/// A read on its way.
struct Reading<F> {
    next: u64,
    to: u64,
    bytes_left: u64,
    parts: Vec<Part<F>>,
}

impl<F> Reading<F> {
    fn is_done(&self) -> bool {
        self.next >= self.to || self.bytes_left == 0
    }

    fn read_frames(&mut self, frames: RoomFrames<'_>) {
        let mut index = frames.find(self.next);
        while !self.is_done() && index < frames.len() {
            let frame = frames.frame(index);
            let header = frame.header;
            let skip = self.next - header.first;
            let from = frame.bytes_before(skip);
            let wanted = self.to.min(frame.end()) - self.next;
            let (units, bytes) = self.fit(
                wanted,
                header
                    .messages
                    .then(|| frame.lens().skip(skip as usize).map(u64::from)),
            );
            if bytes > 0 {
                let at = frame.payload_at() + from as usize;
                let bytes = frames.slice(index, at, at + bytes as usize);
                self.parts.push(Part::Memory(bytes));
            }
            if units < wanted {
                self.bytes_left = 0;
            }
            self.next += units;
            index += 1;
        }
    }

    /// Returns how many of the wanted units fit, and their bytes; one unit always fits if nothing
    /// was read before.
    fn fit(&mut self, wanted: u64, lens: Option<impl Iterator<Item = u64>>) -> (u64, u64) {
        let first = self.parts.is_empty();
        let (units, bytes) = match lens {
            None => {
                let units = wanted.min(self.bytes_left.max(u64::from(first)));
                (units, units)
            }
            Some(lens) => {
                let (mut units, mut bytes) = (0, 0);
                for len in lens.take(wanted as usize) {
                    let must = first && units == 0;
                    if bytes + len > self.bytes_left && !must {
                        break;
                    }
                    units += 1;
                    bytes += len;
                }
                (units, bytes)
            }
        };
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        (units, bytes)
    }
}
