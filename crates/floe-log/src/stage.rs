//! Staging: a record gets its place in the log, in memory.

use bytes::BytesMut;
use floe_proto::{Millis, NameHash, RoomId};

use crate::disk::Disk;
use crate::error::StageError;
use crate::frame::{self, Body, HEADER_LEN, Header, Kind};
use crate::log::Log;
use crate::lsn::Lsn;
use crate::memtable::FrameRef;

/// Bytes of a staging buffer; commits share it until it is full.
const BUFFER_BYTES: usize = 1 << 20;

/// The units of one record.
///
/// The units of a record are messages or bytes; readers of a room in which both occur must know
/// from elsewhere which are which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload<'a> {
    /// The bytes, as readers get them.
    pub bytes: &'a [u8],
    /// The length of each message; empty where units are bytes.
    ///
    /// Staging panics when the lengths do not make up `bytes`: a start would take such a record
    /// for a damaged one.
    pub lens: &'a [u32],
}

impl Payload<'_> {
    /// A record without data, which changes nothing but the room's state.
    pub const NONE: Self = Self {
        bytes: &[],
        lens: &[],
    };

    /// Returns how many units there are.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self.lens.len() {
            0 => self.bytes.len() as u64,
            messages => messages as u64,
        }
    }
}

impl<D: Disk> Log<D> {
    /// Stages a new room under a name that no room has.
    ///
    /// # Errors
    /// [`StageError`]; nothing has changed then.
    pub fn create(
        &mut self,
        name: NameHash,
        now: Millis,
        meta: &[u8],
        payload: Payload<'_>,
    ) -> Result<(RoomId, Lsn), StageError> {
        if let Some(room) = self.find(name) {
            return Err(StageError::Exists { room });
        }
        let room = RoomId(self.rooms.next_room);
        let record = Record {
            kind: Kind::Create,
            room,
            name: Some(name),
            first: 0,
            now,
            meta,
            payload,
        };
        Ok((room, self.stage(&record)?))
    }

    /// Stages a record of a room.
    ///
    /// # Errors
    /// [`StageError`]; nothing has changed then.
    pub fn append(
        &mut self,
        room: RoomId,
        now: Millis,
        meta: &[u8],
        payload: Payload<'_>,
    ) -> Result<Lsn, StageError> {
        let first = self.end(room).ok_or(StageError::NoRoom { room })?;
        self.stage(&Record {
            kind: Kind::Append,
            room,
            name: None,
            first,
            now,
            meta,
            payload,
        })
    }

    /// Stages the end of a room; its name is free at once, its space comes back in time.
    ///
    /// # Errors
    /// [`StageError`]; nothing has changed then. [`StageError::NoRoom`] also when the room has
    /// another name.
    pub fn delete(&mut self, room: RoomId, name: NameHash, now: Millis) -> Result<Lsn, StageError> {
        if self.find(name) != Some(room) {
            return Err(StageError::NoRoom { room });
        }
        let first = self.end(room).ok_or(StageError::NoRoom { room })?;
        self.stage(&Record {
            kind: Kind::Delete,
            room,
            name: Some(name),
            first,
            now,
            meta: &[],
            payload: Payload::NONE,
        })
    }

    fn stage(&mut self, record: &Record<'_>) -> Result<Lsn, StageError> {
        let mut header = record.header(self.options.record_bytes_max)?;
        let len = header.frame_len();
        self.make_room(len)?;

        header.lsn = self.wal.position();
        header.durable = self.durable;
        let at = FrameRef {
            chunk: self.rooms.active.next_chunk(),
            at: self.staging.buffer.len() as u32,
        };
        frame::put(&mut self.staging.buffer, &header, &record.body());
        self.wal.advance(len);
        self.rooms.note(&header, record.name, at);
        Ok(self.wal.position())
    }

    /// Makes sure that a frame fits in memory, in the log, and in the buffer.
    fn make_room(&mut self, len: usize) -> Result<(), StageError> {
        let unflushed_bytes = self.unflushed_bytes();
        if unflushed_bytes > 0 && unflushed_bytes + len as u64 > self.options.unflushed_bytes_max {
            return Err(StageError::Busy { unflushed_bytes });
        }
        if !self.wal.fits(len) {
            self.roll(len)?;
        }
        if self.staging.buffer.capacity() - self.staging.buffer.len() < len {
            self.share_buffer();
            self.staging.buffer = BytesMut::with_capacity(len.max(BUFFER_BYTES));
        }
        Ok(())
    }

    /// Ends the segment and goes over to one that a frame of `len` bytes fits in.
    fn roll(&mut self, len: usize) -> Result<(), StageError> {
        let next = self.wal.next_segment(&self.disk, &self.options, len)?;
        let seal = Header {
            kind: Kind::Seal,
            messages: false,
            lsn: self.wal.position(),
            durable: self.durable,
            room: RoomId(0),
            first: u64::from(next.number),
            time: Millis(0),
            payload_len: 0,
            meta_len: 0,
            units: 0,
        };
        let body = Body {
            name: None,
            meta: &[],
            lens: &[],
            payload: &[],
        };
        frame::put(&mut self.staging.buffer, &seal, &body);
        self.wal.advance(HEADER_LEN);
        self.share_buffer();
        self.wal.roll(next);
        self.staging.at = 0;
        Ok(())
    }
}

/// What a frame is made from.
struct Record<'a> {
    kind: Kind,
    room: RoomId,
    name: Option<NameHash>,
    first: u64,
    now: Millis,
    meta: &'a [u8],
    payload: Payload<'a>,
}

impl Record<'_> {
    fn header(&self, bytes_max: u32) -> Result<Header, StageError> {
        let Payload { bytes, lens } = self.payload;
        assert!(
            lens.is_empty()
                || lens.iter().map(|&len| u64::from(len)).sum::<u64>() == bytes.len() as u64,
            "the lengths of messages make up the payload"
        );
        let total = (bytes.len() + self.meta.len() + lens.len() * 4) as u64;
        if total > u64::from(bytes_max) {
            return Err(StageError::TooLarge {
                bytes: total,
                bytes_max: u64::from(bytes_max),
            });
        }
        Ok(Header {
            kind: self.kind,
            messages: !lens.is_empty(),
            lsn: Lsn::default(),
            durable: Lsn::default(),
            room: self.room,
            first: self.first,
            time: self.now,
            payload_len: bytes.len() as u32,
            meta_len: self.meta.len() as u32,
            units: self.payload.units() as u32,
        })
    }

    fn body(&self) -> Body<'_> {
        Body {
            name: self.name,
            meta: self.meta,
            lens: self.payload.lens,
            payload: self.payload.bytes,
        }
    }
}
