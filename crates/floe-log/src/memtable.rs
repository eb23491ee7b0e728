//! Records in memory that no segment holds yet.

use bytes::Bytes;
use floe_proto::{Millis, RoomId};
use smallvec::SmallVec;

use crate::fold::RecordView;
use crate::frame::{Frame, Kind};
use crate::index::Run;

/// Records of all rooms since the last flush, sharing the bytes that went to the log.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    rooms: Vec<MemRoom>,
    chunks: Vec<Bytes>,
    /// Bytes of all frames.
    pub(crate) bytes: u64,
    /// When the youngest record was staged.
    pub(crate) newest: Millis,
}

/// Bytes of a room that are worth its part of a flush.
const ROOM_BYTES: u64 = 2 << 10;
/// How many times as much is gathered where rooms have less than that.
const SMALL_ROOMS_FACTOR: u64 = 4;

/// One room's records, oldest first.
#[derive(Debug)]
pub(crate) struct MemRoom {
    pub(crate) room: RoomId,
    /// The room's youngest row in a segment when the memtable was flushed.
    pub(crate) previous: Option<Run>,
    /// Most rooms of many have one or two, which need no allocation of their own.
    pub(crate) frames: SmallVec<[FrameRef; 2]>,
}

/// Where a frame lies: number of the chunk and byte in it.
///
/// The chunk that is being filled has the number after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameRef {
    pub(crate) chunk: u32,
    pub(crate) at: u32,
}

impl Memtable {
    /// Returns the number of the chunk that is being filled.
    pub(crate) fn next_chunk(&self) -> u32 {
        u32::try_from(self.chunks.len()).expect("fewer chunks than bytes in a log")
    }

    /// Takes over the filled chunk.
    pub(crate) fn push_chunk(&mut self, chunk: Bytes) {
        self.chunks.push(chunk);
    }

    /// Begins a room and returns its slot.
    pub(crate) fn add_room(&mut self, room: RoomId, previous: Option<Run>) -> u32 {
        let slot = u32::try_from(self.rooms.len()).expect("fewer rooms than bytes in a log");
        self.rooms.push(MemRoom {
            room,
            previous,
            frames: SmallVec::new(),
        });
        slot
    }

    /// Notes that the room in `slot` has a younger row in a segment by now.
    pub(crate) fn set_previous(&mut self, slot: u32, run: Run) {
        self.rooms[slot as usize].previous = Some(run);
    }

    /// Notes a frame of `len` bytes of the room in `slot`.
    pub(crate) fn push_frame(&mut self, slot: u32, frame: FrameRef, len: usize) {
        self.rooms[slot as usize].frames.push(frame);
        self.bytes += len as u64;
    }

    /// Bytes that it takes to know where the frames lie.
    pub(crate) fn index_bytes(&self) -> usize {
        let frames = self.rooms.iter().filter(|room| room.frames.spilled());
        let frames = frames.map(|room| room.frames.capacity());
        frames.sum::<usize>() * size_of::<FrameRef>()
            + self.rooms.capacity() * size_of::<MemRoom>()
            + self.chunks.capacity() * size_of::<Bytes>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether there is enough for a segment.
    ///
    /// A flush and the merges that follow cost by the room as much as by the byte, so where rooms
    /// have few bytes each, more is gathered first.
    pub(crate) fn is_worth_a_flush(&self, flush_bytes: u64) -> bool {
        let large = self.bytes / ROOM_BYTES >= self.rooms.len() as u64;
        self.bytes >= flush_bytes && (large || self.bytes / SMALL_ROOMS_FACTOR >= flush_bytes)
    }

    pub(crate) fn rooms(&self) -> &[MemRoom] {
        &self.rooms
    }

    /// Returns a view of one room; `tail` is the chunk that is being filled.
    pub(crate) fn room<'a>(&'a self, slot: u32, tail: &'a [u8]) -> RoomFrames<'a> {
        RoomFrames {
            memtable: self,
            frames: &self.rooms[slot as usize].frames,
            tail,
        }
    }
}

/// One room's frames in a memtable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomFrames<'a> {
    memtable: &'a Memtable,
    frames: &'a [FrameRef],
    tail: &'a [u8],
}

impl<'a> RoomFrames<'a> {
    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn frame(&self, index: usize) -> Frame<'a> {
        let FrameRef { chunk, at } = self.frames[index];
        let chunk = match self.memtable.chunks.get(chunk as usize) {
            Some(chunk) => chunk,
            None => self.tail,
        };
        Frame::trusted(&chunk[at as usize..])
    }

    /// Returns bytes of a frame, counted from its start, without a copy where they are shared.
    pub(crate) fn slice(&self, index: usize, from: usize, to: usize) -> Bytes {
        let FrameRef { chunk, at } = self.frames[index];
        let at = at as usize;
        match self.memtable.chunks.get(chunk as usize) {
            Some(chunk) => chunk.slice(at + from..at + to),
            // The chunk that is being filled cannot be shared. Nobody reads from it but a host
            // that shows what is not durable yet.
            None => Bytes::copy_from_slice(&self.tail[at + from..at + to]),
        }
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Frame<'a>> {
        (0..self.len()).map(move |index| self.frame(index))
    }

    /// Returns the first frame that ends after `unit`.
    pub(crate) fn find(&self, unit: u64) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            if self.frame(middle).end() <= unit {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns the room's first unit here and the unit after its last.
    pub(crate) fn range(&self) -> (u64, u64) {
        match self.len() {
            0 => (0, 0),
            len => (self.frame(0).header.first, self.frame(len - 1).end()),
        }
    }

    /// Returns what a fold sees of the records.
    pub(crate) fn views(self) -> impl Iterator<Item = RecordView<'a>> {
        self.iter()
            .filter(|frame| matches!(frame.header.kind, Kind::Create | Kind::Append))
            .map(|frame| RecordView {
                time: frame.header.time,
                meta: frame.meta(),
                first: frame.header.first,
                units: u64::from(frame.header.units),
                payload_len: frame.header.payload_len as usize,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_rooms_gather_more_before_a_flush() {
        const FLUSH_BYTES: u64 = 64 << 10;
        let with_rooms = |rooms: u64, bytes| {
            let mut memtable = Memtable::default();
            for room in 0..rooms {
                memtable.add_room(RoomId(room), None);
            }
            memtable.push_frame(0, FrameRef { chunk: 0, at: 0 }, bytes);
            memtable.is_worth_a_flush(FLUSH_BYTES)
        };
        assert!(!with_rooms(1, (64 << 10) - 1));
        assert!(with_rooms(1, 64 << 10));
        assert!(with_rooms(32, 64 << 10));
        assert!(!with_rooms(33, 64 << 10));
        assert!(!with_rooms(1000, (256 << 10) - 1));
        assert!(with_rooms(1000, 256 << 10));
    }
}
