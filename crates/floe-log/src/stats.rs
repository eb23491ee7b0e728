//! Figures about a log and its rooms.

use floe_proto::RoomId;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::index::NO_SLOT;
use crate::log::Log;
use crate::lsn::Lsn;

/// Figures about a log at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Rooms that are there.
    pub rooms: usize,
    /// End of what is staged.
    pub staged: Lsn,
    /// End of what is durable.
    pub durable: Lsn,
    /// Bytes of all write-ahead segments, spare ones included.
    pub wal_bytes: u64,
    /// Bytes of write-ahead segments that the next start would read.
    pub wal_live_bytes: u64,
    /// Segments.
    pub segments: usize,
    /// Bytes of all segments.
    pub segment_bytes: u64,
    /// Bytes of segments known to be of no use any more.
    pub dead_bytes: u64,
    /// Memory that the log takes.
    pub memory: Memory,
}

/// Memory that a log takes, by part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Which rooms there are and where they lie, and when they want to be looked at.
    pub index_bytes: u64,
    /// Records that no segment holds.
    pub unflushed_bytes: u64,
    /// Where those records lie.
    pub unflushed_index_bytes: u64,
    /// Checksums of segments.
    pub checksum_bytes: u64,
}

/// One segment's figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The file's name.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes in the object store, if the segment is cold.
    pub object_bytes: Option<u64>,
    /// Rooms that have data in it.
    pub rooms: u32,
    /// Rooms that it says are gone.
    pub tombstones: u32,
    /// Bytes known to be of no use any more.
    pub dead_bytes: u64,
}

/// One room's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomInfo {
    /// The oldest unit that is there.
    pub first: u64,
    /// The unit after the last.
    pub end: u64,
    /// Bytes of payload in segments.
    pub payload_bytes: u64,
    /// Segments that it has rows in.
    pub segments: usize,
    /// Records in memory.
    pub unflushed_records: usize,
}

impl<D: Disk> Log<D> {
    /// Returns figures about the log.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let live = self.segments.list();
        let index = self.rooms.index.memory_bytes() + self.wakes.memory_bytes();
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.memtable);
        let memtables = frozen.into_iter().chain([&self.rooms.active]);
        let unflushed_index: usize = memtables.map(|memtable| memtable.index_bytes()).sum();
        let checksums: usize = live.iter().map(|live| live.segment.memory_bytes()).sum();
        Stats {
            rooms: self.len(),
            staged: self.staged(),
            durable: self.durable(),
            wal_bytes: self.wal.bytes(),
            wal_live_bytes: self.wal.live_bytes(),
            segments: live.len(),
            segment_bytes: live.iter().map(|live| live.segment.id.bytes).sum(),
            dead_bytes: live.iter().map(|live| live.dead_bytes).sum(),
            memory: Memory {
                index_bytes: index as u64,
                unflushed_bytes: self.unflushed_bytes(),
                unflushed_index_bytes: unflushed_index as u64,
                checksum_bytes: checksums as u64,
            },
        }
    }

    /// Returns figures about each segment, oldest data first.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentInfo> {
        let live = self.segments.list().iter();
        live.map(|live| SegmentInfo {
            file: live.segment.id.file_name(),
            bytes: live.segment.id.bytes,
            object_bytes: live.segment.origin.map(|origin| origin.bytes),
            rooms: live.segment.row_count() - live.segment.tombstones(),
            tombstones: live.segment.tombstones(),
            dead_bytes: live.dead_bytes,
        })
        .collect()
    }

    /// Returns figures about a room; reads its rows.
    ///
    /// # Errors
    /// [`ReadError::NoRoom`], or what the disk says.
    pub fn room(&self, room: RoomId) -> Result<RoomInfo, ReadError> {
        let entry = self.entry(room)?;
        let memories = self.memories(entry);
        let in_memory = memories.iter().flatten().next();
        let mut first = in_memory.map(|frames| frames.range().0);
        let mut payload_bytes = 0;
        for (index, run) in entry.runs.iter().enumerate() {
            let row = self.segments.get(run.segment).row(run.row)?;
            payload_bytes += row.payload_len;
            if index == 0 {
                first = Some(row.first);
            }
        }
        Ok(RoomInfo {
            first: first.unwrap_or(0),
            end: entry.end,
            payload_bytes,
            segments: entry.runs.len(),
            unflushed_records: memories.iter().flatten().map(|frames| frames.len()).sum(),
        })
    }

    /// Returns the bytes of payload that a room holds, in segments and in memory; reads its rows.
    ///
    /// # Errors
    /// [`ReadError::NoRoom`], or what the disk says.
    pub fn payload_bytes(&self, room: RoomId) -> Result<u64, ReadError> {
        let entry = self.entry(room)?;
        let mut bytes = 0;
        for run in &entry.runs {
            bytes += self.segments.get(run.segment).row(run.row)?.payload_len;
        }
        let frames = self.memories(entry).into_iter().flatten();
        let in_memory = frames.flat_map(|frames| frames.iter());
        let in_memory = in_memory.map(|frame| u64::from(frame.header.payload_len));
        Ok(bytes + in_memory.sum::<u64>())
    }

    /// Returns the rooms with records in memory, each with the first unit of the oldest of them, in
    /// the order of their numbers. After [`open`](Self::open) these are the rooms replayed.
    #[must_use]
    pub fn unflushed(&self) -> Vec<(RoomId, u64)> {
        let mut rooms: Vec<_> = self
            .rooms()
            .filter_map(|(_, room)| {
                let memories = self.memories(self.rooms.index.room(room)?);
                let oldest = memories.into_iter().flatten().next()?;
                Some((room, oldest.range().0))
            })
            .collect();
        rooms.sort_unstable();
        rooms
    }

    /// Returns whether nothing of the room is in memory but its place in the index.
    #[must_use]
    pub fn is_flushed(&self, room: RoomId) -> bool {
        let entry = self.rooms.index.room(room);
        entry.is_some_and(|entry| entry.slots == [NO_SLOT; 2])
    }
}
