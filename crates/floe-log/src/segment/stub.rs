//! What stays in the folder of a segment whose payload is in an object store.
//!
//! It has the form of a segment, with the same rows in the same places and their states and tables
//! of lengths, so that all but the payload is read as before. In front of the first block are the
//! checksums of the object.

use floe_proto::codec::{Put, Reader};

use super::{CHUNK_BYTES, HEADER_LEN, Row, Segment, SegmentWriter, Window, stub_name};
use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WorkError};
use crate::manifest::{ObjectId, SegmentId};

const MAGIC: &[u8; 8] = b"floe-col";
const VERSION: u32 = 1;

/// What a cold segment was before it was cold; its object is those bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Bytes of the segment.
    pub(crate) bytes: u64,
    /// Bytes of it that have checksums, from the first on.
    pub(crate) covered: u64,
    /// Bytes of each part of the object but the last.
    pub(crate) part_bytes: u32,
}

impl Origin {
    fn encode(&self, number: u32, object: ObjectId) -> [u8; HEADER_LEN] {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.put_u32(VERSION);
        bytes.put_u32(number);
        bytes.put_u64(object.0.get());
        bytes.put_u64(self.bytes);
        bytes.put_u64(self.covered);
        bytes.put_u32(self.part_bytes);
        bytes.resize(HEADER_LEN, 0);
        bytes.try_into().expect("a header has a fixed length")
    }

    /// Reads a header; `None` when it is not that of this segment.
    pub(super) fn decode(bytes: &[u8], number: u32, object: ObjectId) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let mine = reader.take(8)? == MAGIC
            && reader.u32()? == VERSION
            && reader.u32()? == number
            && reader.u64()? == object.0.get();
        let origin = Self {
            bytes: reader.u64()?,
            covered: reader.u64()?,
            part_bytes: reader.u32()?,
        };
        let parts = origin.part_bytes as usize;
        let whole = parts > 0 && parts.is_multiple_of(CHUNK_BYTES);
        (mine && whole && origin.covered <= origin.bytes).then_some(origin)
    }

    fn chunks(&self) -> u64 {
        self.covered.div_ceil(CHUNK_BYTES as u64)
    }
}

/// Writes the file that stays of a segment; durable on return, but for its entry in the folder.
pub(crate) fn write_stub<D: Disk>(
    disk: &D,
    segment: &Segment<D::File>,
    object: ObjectId,
    part_bytes: u32,
) -> Result<SegmentId, WorkError> {
    let number = segment.number();
    let origin = Origin {
        bytes: segment.id.bytes,
        covered: segment.covered(),
        part_bytes,
    };
    let header = origin.encode(number, object);
    let mut writer = SegmentWriter::create_as(disk, number, stub_name(number), &header)?;
    writer.newest = segment.id.newest;
    if let Err(error) = write_rows(&mut writer, segment) {
        writer.abandon();
        return Err(error);
    }
    let id = writer.finish()?;
    Ok(SegmentId {
        object: Some(object),
        ..id
    })
}

fn write_rows<D: Disk>(
    writer: &mut SegmentWriter<D>,
    segment: &Segment<D::File>,
) -> Result<(), WorkError> {
    for crc in &segment.crcs {
        writer.write(&crc.to_le_bytes())?;
    }
    let mut rows = Window::new(segment);
    for number in 0..segment.row_count() {
        let row = rows.row(number)?;
        let at = writer.at();
        writer.write(&segment.read(row.at, row.state_len as usize)?)?;
        writer.write(&segment.read(row.lens_at(), row.lens_len as usize)?)?;
        let object_at = (!row.tombstone).then(|| {
            u32::try_from(row.payload_at()).expect("a segment that is to be cold is not large")
        });
        writer.push_row(&Row {
            at,
            object_at,
            ..row
        });
    }
    Ok(())
}

impl<F: DiskFile> Segment<F> {
    /// Reads the checksums of chunks of the object, where the segment is cold.
    pub(crate) fn object_crcs(&self, chunks: std::ops::Range<u64>) -> Result<Vec<u32>, ReadError> {
        let known = self.origin.map_or(0, |origin| origin.chunks());
        if chunks.end > known {
            return Err(self.damaged(0, "something points past the end of the object"));
        }
        let count = (chunks.end - chunks.start) as usize;
        let bytes = self.read(HEADER_LEN as u64 + 4 * chunks.start, 4 * count)?;
        let (crcs, _) = bytes.as_chunks::<4>();
        Ok(crcs.iter().map(|crc| u32::from_le_bytes(*crc)).collect())
    }
}
