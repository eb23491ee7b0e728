//! Reading rooms.

use floe_core::{Room, Span, Start};
use floe_log::{Disk, DiskFile, Part, Payload, ReadError};
use floe_proto::{Code, Millis};

use super::{Failure, Shard, SlotId, read_failure};

/// Where a read begins, in a loaded room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPlan {
    /// The room.
    pub slot: SlotId,
    /// What to read.
    pub span: Span,
}

/// Bytes that a read found.
#[derive(Debug)]
pub struct Fetched<F> {
    /// The bytes in order, in the wire form of the log.
    pub parts: Vec<Part<F>>,
    /// How many bytes they are.
    pub bytes: u64,
    /// Unit after the last one.
    pub next: u64,
}

impl<D: Disk> Shard<D> {
    /// Finds a room and where a read of it begins; the read restarts a sliding lifetime.
    ///
    /// # Errors
    /// When there is no such room, or nothing to read there.
    pub fn plan_read(
        &mut self,
        now: Millis,
        name: &[u8],
        start: Start,
    ) -> Result<ReadPlan, Failure> {
        let slot = self.find_visible(now, name)?;
        let span = self.slots[slot.0 as usize]
            .room
            .decide_read(start)
            .map_err(|error| Failure::new(error.code(), error.to_string()))?;
        let touched = self.slots[slot.0 as usize].room.touch(now);
        if let Some(record) = touched
            && let Ok(lsn) = self.stage(slot, &record, Payload::NONE, now)
        {
            // A touch that finds no space is made up for by the next read.
            self.queue(lsn, slot, None);
        }
        Ok(ReadPlan { slot, span })
    }

    /// Finds a room to describe it; this restarts nothing.
    ///
    /// # Errors
    /// When there is no such room.
    pub fn describe(&mut self, now: Millis, name: &[u8]) -> Result<&Room, Failure> {
        let slot = self.find_visible(now, name)?;
        let room = &self.slots[slot.0 as usize].room;
        if room.is_deleted() {
            return Err(Failure::new(
                Code::Gone,
                "the stream is deleted and kept for its forks",
            ));
        }
        Ok(room)
    }

    fn find_visible(&mut self, now: Millis, name: &[u8]) -> Result<SlotId, Failure> {
        let slot = self.find(now, name)?.ok_or_else(Failure::not_found)?;
        if self.slots[slot.0 as usize].born {
            Ok(slot)
        } else {
            Err(Failure::not_found())
        }
    }

    /// Reads visible units from `from` on, about `bytes_max` bytes, but at least one unit.
    ///
    /// # Errors
    /// When stored bytes are damaged or cannot be read.
    pub fn fetch(
        &self,
        slot: SlotId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Fetched<D::File>, Failure> {
        self.fetch_until(slot, from, u64::MAX, bytes_max)
    }

    /// Reads like [`fetch`](Self::fetch), but no unit from `to` on.
    ///
    /// # Errors
    /// When stored bytes are damaged or cannot be read.
    pub fn fetch_until(
        &self,
        slot: SlotId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Fetched<D::File>, Failure> {
        let room = &self.slots[slot.0 as usize].room;
        let tail = room.visible().tail.min(to);
        let mut fetched = Fetched {
            parts: Vec::new(),
            bytes: 0,
            next: from,
        };
        while fetched.next < tail && fetched.bytes < bytes_max as u64 {
            let holder = room.holder(fetched.next);
            let until = holder.until.min(tail);
            let room_left = bytes_max - fetched.bytes as usize;
            let chunk = self.log.read(
                holder.room,
                fetched.next - holder.base,
                until - holder.base,
                room_left,
            );
            let chunk = match chunk {
                // What was found is an answer; the next read waits for the rest.
                Err(ReadError::Cold(_)) if fetched.next > from => break,
                chunk => chunk.map_err(|error| self.fetch_failure(slot, &error))?,
            };
            fetched.bytes += chunk.parts.iter().map(part_len).sum::<u64>();
            fetched.parts.extend(chunk.parts);
            if chunk.next + holder.base <= fetched.next {
                return Err(Failure::new(Code::Internal, "a read made no progress"));
            }
            fetched.next = chunk.next + holder.base;
        }
        Ok(fetched)
    }

    /// A room whose delete is staged has no data any more, although its readers still wait.
    fn fetch_failure(&self, slot: SlotId, error: &ReadError) -> Failure {
        if self.slots[slot.0 as usize].gone {
            Failure::not_found()
        } else {
            read_failure(error)
        }
    }
}

/// Returns the bytes of a part.
pub fn part_len<F>(part: &Part<F>) -> u64 {
    match part {
        Part::Memory(bytes) => bytes.len() as u64,
        Part::File { len, .. } => *len,
    }
}

impl<F: DiskFile> Fetched<F> {
    /// Returns whether all of it is in memory.
    pub fn in_memory(&self) -> bool {
        self.parts
            .iter()
            .all(|part| matches!(part, Part::Memory(_)))
    }

    /// Cuts off the comma after the last JSON message.
    pub fn trim_last_comma(&mut self) {
        match self.parts.last_mut() {
            None => return,
            Some(Part::Memory(bytes)) => bytes.truncate(bytes.len() - 1),
            Some(Part::File { len, .. }) => *len -= 1,
        }
        self.bytes -= 1;
    }

    /// Returns the bytes in one piece.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn to_vec(&self) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::with_capacity(self.bytes as usize);
        read_parts(&self.parts, &mut all)?;
        Ok(all)
    }
}

/// Appends the bytes of all parts to `all`.
///
/// # Errors
/// When a file cannot be read.
pub fn read_parts<F: DiskFile>(parts: &[Part<F>], all: &mut Vec<u8>) -> std::io::Result<()> {
    for part in parts {
        match part {
            Part::Memory(bytes) => all.extend_from_slice(bytes),
            Part::File { file, at, len } => {
                let start = all.len();
                all.resize(start + *len as usize, 0);
                file.read_exact_at(&mut all[start..], *at)?;
            }
        }
    }
    Ok(())
}
