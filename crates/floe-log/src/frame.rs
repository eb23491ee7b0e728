//! The write-ahead log's frame: a header of fixed size, then name, meta, lengths and payload.
//!
//! `docs/FORMAT.md` gives the layout byte by byte.

use bytes::{BufMut, BytesMut};
use floe_proto::{Millis, NameHash, RoomId};

use crate::lsn::Lsn;

/// Bytes of a frame's header.
pub(crate) const HEADER_LEN: usize = 64;
/// Frames start at multiples of this.
pub(crate) const ALIGN: usize = 8;

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A room begins; the body starts with the hash of its name.
    Create = 1,
    /// A room goes on.
    Append = 2,
    /// A room ends; the body starts with the hash of its name.
    Delete = 3,
    /// The segment ends; `first` is the number of the segment that follows.
    Seal = 4,
}

impl Kind {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Create),
            2 => Some(Self::Append),
            3 => Some(Self::Delete),
            4 => Some(Self::Seal),
            _ => None,
        }
    }

    const fn name_len(self) -> usize {
        match self {
            Self::Create | Self::Delete => 16,
            Self::Append | Self::Seal => 0,
        }
    }
}

/// A frame's header, without its checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// Whether units are messages, so that the body holds a length for each.
    pub(crate) messages: bool,
    /// Where the frame starts.
    pub(crate) lsn: Lsn,
    /// What was known to be durable when the frame was staged.
    pub(crate) durable: Lsn,
    pub(crate) room: RoomId,
    /// The room's first unit in this frame.
    pub(crate) first: u64,
    pub(crate) time: Millis,
    pub(crate) payload_len: u32,
    pub(crate) meta_len: u32,
    pub(crate) units: u32,
}

impl Header {
    /// Bytes of lengths in the body.
    pub(crate) const fn lens_len(&self) -> usize {
        if self.messages {
            self.units as usize * 4
        } else {
            0
        }
    }

    const fn lens_at(&self) -> usize {
        self.kind.name_len() + self.meta_len as usize
    }

    /// Bytes of the whole frame, padding included.
    pub(crate) const fn frame_len(&self) -> usize {
        let body = self.lens_at() + self.lens_len() + self.payload_len as usize;
        (HEADER_LEN + body).next_multiple_of(ALIGN)
    }

    /// Reads the fields of a header whose checksum is known to be right.
    ///
    /// `None` when a field has a value that no version writes.
    fn parse(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let header = Self {
            kind: Kind::from_byte(bytes[60])?,
            messages: match bytes[61] {
                0 => false,
                1 => true,
                _ => return None,
            },
            lsn: Lsn(u64_at(bytes, 8)),
            durable: Lsn(u64_at(bytes, 16)),
            room: RoomId(u64_at(bytes, 24)),
            first: u64_at(bytes, 32),
            time: Millis(u64_at(bytes, 40)),
            payload_len: u32_at(bytes, 48),
            meta_len: u32_at(bytes, 52),
            units: u32_at(bytes, 56),
        };
        let consistent = header.messages || header.units == header.payload_len;
        (consistent && header.first.checked_add(u64::from(header.units)).is_some())
            .then_some(header)
    }

    /// Reads and checks the header of a frame that is to start at `lsn`.
    ///
    /// `None` when it is not such a header, or a damaged one.
    pub(crate) fn check(bytes: &[u8], lsn: Lsn) -> Option<Self> {
        let bytes: &[u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
        if u64_at(bytes, 8) != lsn.0 || u32_at(bytes, 0) != crc32c::crc32c(&bytes[4..]) {
            return None;
        }
        Self::parse(bytes)
    }

    /// Returns whether the bytes were meant to be the header of a frame at `lsn`, damaged or not.
    pub(crate) fn is_remnant(bytes: &[u8], lsn: Lsn) -> bool {
        let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else {
            return false;
        };
        if u64_at(bytes, 8) == lsn.0 {
            return true;
        }
        let mut mended = *bytes;
        mended[8..16].copy_from_slice(&lsn.0.to_le_bytes());
        u32_at(&mended, 0) == crc32c::crc32c(&mended[4..])
    }
}

/// The parts of a record that a frame carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a> {
    pub(crate) name: Option<NameHash>,
    pub(crate) meta: &'a [u8],
    pub(crate) lens: &'a [u32],
    pub(crate) payload: &'a [u8],
}

/// Appends one frame to a buffer.
pub(crate) fn put(buffer: &mut BytesMut, header: &Header, body: &Body<'_>) {
    debug_assert_eq!(header.kind.name_len() > 0, body.name.is_some());
    let start = buffer.len();
    let mut head = [0u8; HEADER_LEN];
    head[8..16].copy_from_slice(&header.lsn.0.to_le_bytes());
    head[16..24].copy_from_slice(&header.durable.0.to_le_bytes());
    head[24..32].copy_from_slice(&header.room.0.to_le_bytes());
    head[32..40].copy_from_slice(&header.first.to_le_bytes());
    head[40..48].copy_from_slice(&header.time.0.to_le_bytes());
    head[48..52].copy_from_slice(&header.payload_len.to_le_bytes());
    head[52..56].copy_from_slice(&header.meta_len.to_le_bytes());
    head[56..60].copy_from_slice(&header.units.to_le_bytes());
    head[60] = header.kind as u8;
    head[61] = u8::from(header.messages);

    buffer.put_slice(&head);
    if let Some(name) = body.name {
        buffer.put_u128_le(name.0);
    }
    buffer.put_slice(body.meta);
    for len in body.lens {
        buffer.put_u32_le(*len);
    }
    buffer.put_slice(body.payload);
    let padding = header.frame_len() - (buffer.len() - start);
    buffer.put_bytes(0, padding);

    // The body is summed where it lies, in one go, and the header after it.
    let frame = &mut buffer[start..];
    let crc = crc32c::crc32c(&frame[HEADER_LEN..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[4..HEADER_LEN]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
}

/// A frame in memory whose checksums have been checked, or that this process wrote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Reads a frame that is known to be whole.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        let head = bytes.first_chunk().expect("a frame starts with its header");
        let header = Header::parse(head).expect("a frame in memory was checked when it got there");
        Self {
            header,
            body: &bytes[HEADER_LEN..header.frame_len()],
        }
    }

    /// Reads and checks a whole frame whose header has been checked.
    ///
    /// `None` when the body is damaged or contradicts itself.
    pub(crate) fn check(bytes: &'a [u8], header: Header) -> Option<Self> {
        let body = bytes.get(HEADER_LEN..header.frame_len())?;
        if u32_at(bytes, 4) != crc32c::crc32c(body) {
            return None;
        }
        let frame = Self { header, body };
        let total: u64 = frame.lens().map(u64::from).sum();
        (!header.messages || total == u64::from(header.payload_len)).then_some(frame)
    }

    pub(crate) fn name(&self) -> Option<NameHash> {
        let bytes = self.body[..self.header.kind.name_len()].try_into().ok()?;
        Some(NameHash(u128::from_le_bytes(bytes)))
    }

    pub(crate) fn meta(&self) -> &'a [u8] {
        let at = self.header.kind.name_len();
        &self.body[at..at + self.header.meta_len as usize]
    }

    /// The length of each message; nothing where units are bytes.
    pub(crate) fn lens(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        let at = self.header.lens_at();
        let lens = &self.body[at..at + self.header.lens_len()];
        lens.chunks_exact(4).map(|len| u32_at(len, 0))
    }

    /// Where the payload lies, counted from the start of the frame.
    pub(crate) fn payload_at(&self) -> usize {
        HEADER_LEN + self.header.lens_at() + self.header.lens_len()
    }

    pub(crate) fn payload(&self) -> &'a [u8] {
        let at = self.payload_at() - HEADER_LEN;
        &self.body[at..at + self.header.payload_len as usize]
    }

    /// The payload bytes before a unit, counted from the frame's first.
    pub(crate) fn bytes_before(&self, unit: u64) -> u64 {
        if self.header.messages {
            self.lens().take(unit as usize).map(u64::from).sum()
        } else {
            unit
        }
    }

    /// The unit after the last.
    pub(crate) fn end(&self) -> u64 {
        self.header.first + u64::from(self.header.units)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
