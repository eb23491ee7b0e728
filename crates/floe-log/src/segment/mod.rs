//! Immutable files in which each room's data lies side by side.

pub(crate) mod lens;
mod reader;
mod row;
mod stub;
mod window;
mod writer;

pub(crate) use lens::{Lens, LensWriter, Place};
pub(crate) use reader::Segment;
pub(crate) use row::{ROW_LEN, Row};
pub(crate) use stub::{Origin, write_stub};
pub(crate) use window::Window;
pub(crate) use writer::SegmentWriter;

use floe_proto::codec::{Put, Reader};

/// Bytes under one checksum.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// Bytes of a segment's header.
pub(crate) const HEADER_LEN: usize = 64;
/// Bytes of a segment's trailer.
pub(crate) const TRAILER_LEN: usize = 64;

const HEADER_MAGIC: &[u8; 8] = b"floe-seg";
const TRAILER_MAGIC: &[u8; 8] = b"floe-end";
const VERSION: u32 = 1;

/// Name of a segment's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("seg-{number:08x}")
}

/// Reads a number back from a name.
pub(crate) fn file_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("seg-")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (file_name(number) == name).then_some(number)
}

/// Name of the file that stays in the folder for a cold segment.
pub(crate) fn stub_name(number: u32) -> String {
    format!("cold-{number:08x}")
}

/// Reads a number back from the name of such a file.
pub(crate) fn stub_number(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("cold-")?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    (stub_name(number) == name).then_some(number)
}

fn header(number: u32) -> [u8; HEADER_LEN] {
    let mut bytes = [0; HEADER_LEN];
    bytes[..8].copy_from_slice(HEADER_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// The last bytes of a segment: where everything lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) number: u32,
    pub(crate) rows: u32,
    /// Rows that say that a room is gone.
    pub(crate) tombstones: u32,
    pub(crate) rows_at: u64,
    /// Checksum of the table of checksums.
    pub(crate) crcs_crc: u32,
}

impl Trailer {
    /// Where the table of checksums starts, which is where the rows end.
    pub(crate) fn crcs_at(&self) -> u64 {
        self.rows_at + u64::from(self.rows) * ROW_LEN as u64
    }

    /// How many checksums there are.
    pub(crate) fn crcs(&self) -> u64 {
        self.crcs_at().div_ceil(CHUNK_BYTES as u64)
    }

    /// Bytes of the whole file.
    pub(crate) fn file_len(&self) -> u64 {
        self.crcs_at() + 4 * self.crcs() + TRAILER_LEN as u64
    }

    /// The checksum that the last bytes of a trailer hold.
    pub(crate) fn crc(bytes: &[u8; TRAILER_LEN]) -> u32 {
        crc32c::crc32c(&bytes[..TRAILER_LEN - 4])
    }

    pub(crate) fn encode(&self) -> [u8; TRAILER_LEN] {
        let mut bytes = Vec::with_capacity(TRAILER_LEN);
        bytes.extend_from_slice(TRAILER_MAGIC);
        bytes.put_u32(VERSION);
        bytes.put_u32(self.number);
        bytes.put_u32(self.rows);
        bytes.put_u32(self.tombstones);
        bytes.put_u64(self.rows_at);
        bytes.put_u32(self.crcs_crc);
        bytes.resize(TRAILER_LEN - 4, 0);
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes.try_into().expect("a trailer has a fixed length")
    }

    /// Reads and checks a trailer; `None` when it is damaged.
    pub(crate) fn decode(bytes: &[u8; TRAILER_LEN]) -> Option<Self> {
        let stored = bytes.last_chunk::<4>().copied().map(u32::from_le_bytes);
        if stored != Some(Self::crc(bytes)) {
            return None;
        }
        let mut reader = Reader::new(bytes);
        if reader.take(8)? != TRAILER_MAGIC || reader.u32()? != VERSION {
            return None;
        }
        Some(Self {
            number: reader.u32()?,
            rows: reader.u32()?,
            tombstones: reader.u32()?,
            rows_at: reader.u64()?,
            crcs_crc: reader.u32()?,
        })
    }
}
