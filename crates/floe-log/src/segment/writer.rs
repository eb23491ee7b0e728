//! Writing a segment from front to back.

use std::io;

use floe_proto::Millis;
use floe_proto::codec::Put;

use super::{CHUNK_BYTES, HEADER_LEN, ROW_LEN, Row, TRAILER_LEN, Trailer, file_name, header};
use crate::disk::{Disk, DiskFile};
use crate::manifest::SegmentId;

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;
/// Bytes after which the file is synced, so that no large sync holds up those of commits.
const SYNC_BYTES: u64 = 1 << 20;

/// Writes a new segment; rows in ascending order of rooms.
#[derive(Debug)]
pub(crate) struct SegmentWriter<D: Disk> {
    disk: D,
    file: D::File,
    name: String,
    number: u32,
    buffer: Vec<u8>,
    /// Bytes that have gone to the file; a multiple of the chunk.
    written: u64,
    synced: u64,
    crcs: Vec<u8>,
    rows: Vec<u8>,
    tombstones: u32,
    /// When the youngest of the records was staged.
    pub(crate) newest: Millis,
}

impl<D: Disk> SegmentWriter<D> {
    pub(crate) fn create(disk: &D, number: u32) -> io::Result<Self> {
        Self::create_as(disk, number, file_name(number), &header(number))
    }

    /// Begins a file of another kind that has the form of a segment.
    pub(super) fn create_as(
        disk: &D,
        number: u32,
        name: String,
        header: &[u8; HEADER_LEN],
    ) -> io::Result<Self> {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES + CHUNK_BYTES);
        buffer.extend_from_slice(header);
        Ok(Self {
            file: disk.create(&name)?,
            disk: disk.clone(),
            name,
            number,
            newest: Millis(0),
            buffer,
            written: 0,
            synced: 0,
            crcs: Vec::new(),
            rows: Vec::new(),
            tombstones: 0,
        })
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Where the next byte goes.
    pub(crate) fn at(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Writes bytes of a block.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = BUFFER_BYTES.saturating_sub(self.buffer.len()).max(1);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(now);
            if self.buffer.len() >= BUFFER_BYTES {
                self.flush(false)?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Adds a row and returns its number.
    pub(crate) fn push_row(&mut self, row: &Row) -> u32 {
        let number = self.row_count();
        self.rows.extend_from_slice(&row.encode());
        self.tombstones += u32::from(row.tombstone);
        number
    }

    pub(crate) fn row_count(&self) -> u32 {
        u32::try_from(self.rows.len() / ROW_LEN).expect("a segment has fewer rows than bytes")
    }

    /// Writes rows and trailer; durable on return, but for the file's entry in the folder.
    pub(crate) fn finish(mut self) -> io::Result<SegmentId> {
        let rows = self.row_count();
        let rows_at = self.at();
        let table = std::mem::take(&mut self.rows);
        self.write(&table)?;
        self.flush(true)?;
        let trailer = Trailer {
            number: self.number,
            rows,
            tombstones: self.tombstones,
            rows_at,
            crcs_crc: crc32c::crc32c(&self.crcs),
        };
        let encoded = trailer.encode();
        let mut tail = std::mem::take(&mut self.crcs);
        tail.extend_from_slice(&encoded);
        self.file.write_all_at(&tail, self.written)?;
        self.file.sync_data()?;
        debug_assert_eq!(self.written + tail.len() as u64, trailer.file_len());
        Ok(SegmentId {
            number: self.number,
            bytes: trailer.file_len(),
            crc: u32::from_le_bytes(*encoded.last_chunk().expect("a trailer ends in a checksum")),
            newest: self.newest,
            object: None,
        })
    }

    /// Removes what has been written.
    pub(crate) fn abandon(self) {
        // The file is nothing but wasted space, and the next start removes it.
        let _ = self.disk.remove(&self.name);
    }

    /// Sums and writes whole chunks; at the end the last one, too.
    fn flush(&mut self, all: bool) -> io::Result<()> {
        let whole = self.buffer.len() / CHUNK_BYTES * CHUNK_BYTES;
        let len = if all { self.buffer.len() } else { whole };
        for chunk in self.buffer[..len].chunks(CHUNK_BYTES) {
            self.crcs.put_u32(crc32c::crc32c(chunk));
        }
        self.file.write_all_at(&self.buffer[..len], self.written)?;
        self.buffer.drain(..len);
        self.written += len as u64;
        if self.written - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.written;
        }
        Ok(())
    }
}

const _: () = assert!(BUFFER_BYTES.is_multiple_of(CHUNK_BYTES) && TRAILER_LEN > 4);
