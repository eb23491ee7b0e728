//! Reading a segment; no byte is used before its checksum was seen to be right.

use std::cmp::Ordering;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use floe_proto::RoomId;

use super::{CHUNK_BYTES, HEADER_LEN, Origin, ROW_LEN, Row, TRAILER_LEN, Trailer, header};
use crate::disk::{Disk, DiskFile};
use crate::error::{Corrupt, ReadError};
use crate::manifest::SegmentId;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) file: Arc<F>,
    pub(crate) id: SegmentId,
    /// Where the payload is, if the segment is cold.
    pub(crate) origin: Option<Origin>,
    trailer: Trailer,
    pub(super) crcs: Box<[u32]>,
    /// One bit per chunk whose checksum has been found right.
    verified: Box<[AtomicU64]>,
}

impl<F: DiskFile> Segment<F> {
    /// Opens the segment that the manifest names.
    pub(crate) fn open<D: Disk<File = F>>(disk: &D, id: SegmentId) -> Result<Self, ReadError> {
        let name = id.file_name();
        let damaged = |at, what| {
            let file = name.clone();
            ReadError::Corrupt(Corrupt { file, at, what })
        };
        let file = disk.open_read(&name).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                damaged(0, "the file is missing")
            } else {
                ReadError::Io(error)
            }
        })?;
        let len = file.len()?;
        if len != id.bytes || len < (HEADER_LEN + TRAILER_LEN) as u64 {
            return Err(damaged(len, "the file's length is wrong"));
        }
        let trailer_at = len - TRAILER_LEN as u64;
        let mut bytes = [0; TRAILER_LEN];
        file.read_exact_at(&mut bytes, trailer_at)?;
        let trailer = Trailer::decode(&bytes)
            .filter(|trailer| trailer.number == id.number && Trailer::crc(&bytes) == id.crc)
            .filter(|trailer| trailer.rows_at <= len && trailer.file_len() == len)
            .ok_or_else(|| damaged(trailer_at, "the trailer is damaged"))?;

        let mut table = vec![0; trailer.crcs() as usize * 4];
        file.read_exact_at(&mut table, trailer.crcs_at())?;
        if crc32c::crc32c(&table) != trailer.crcs_crc {
            return Err(damaged(
                trailer.crcs_at(),
                "the table of checksums is damaged",
            ));
        }
        let crcs: Box<[u32]> = table
            .chunks_exact(4)
            .map(|crc| u32::from_le_bytes(crc.try_into().expect("four bytes")))
            .collect();
        let mut segment = Self {
            file: Arc::new(file),
            id,
            origin: None,
            trailer,
            verified: (0..crcs.len().div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            crcs,
        };
        if let Some(object) = id.object {
            let header = segment.read(0, HEADER_LEN)?;
            let origin = Origin::decode(&header, id.number, object);
            segment.origin = Some(origin.ok_or_else(|| damaged(0, "the header is damaged"))?);
        }
        Ok(segment)
    }

    /// Bytes of the segment, wherever they are.
    pub(crate) fn bytes(&self) -> u64 {
        self.origin.map_or(self.id.bytes, |origin| origin.bytes)
    }

    /// Bytes of the segment that have checksums: all but the checksums themselves and the trailer.
    pub(crate) fn covered(&self) -> u64 {
        self.origin
            .map_or(self.trailer.crcs_at(), |origin| origin.covered)
    }

    pub(crate) fn number(&self) -> u32 {
        self.id.number
    }

    pub(crate) fn row_count(&self) -> u32 {
        self.trailer.rows
    }

    /// Where blocks end and rows start.
    pub(crate) fn blocks_end(&self) -> u64 {
        self.trailer.rows_at
    }

    pub(crate) fn tombstones(&self) -> u32 {
        self.trailer.tombstones
    }

    /// Reads one row.
    pub(crate) fn row(&self, row: u32) -> Result<Row, ReadError> {
        let at = self.row_at(row);
        let mut bytes = [0; ROW_LEN];
        self.read_into(&mut bytes, at)?;
        self.decode_row(&bytes, at)
    }

    /// Finds the row of a room.
    pub(crate) fn find(&self, room: RoomId) -> Result<Option<Row>, ReadError> {
        let (mut low, mut high) = (0, self.trailer.rows);
        while low < high {
            let middle = low + (high - low) / 2;
            let row = self.row(middle)?;
            match row.room.cmp(&room) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Some(row)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    pub(super) fn row_at(&self, row: u32) -> u64 {
        self.trailer.rows_at + u64::from(row) * ROW_LEN as u64
    }

    pub(super) fn decode_row(&self, bytes: &[u8; ROW_LEN], at: u64) -> Result<Row, ReadError> {
        Row::decode(bytes, self.trailer.rows_at)
            .filter(|row| self.holds(row))
            .ok_or_else(|| self.damaged(at, "a row contradicts itself"))
    }

    /// Whether the payload of a row is where the segment's kind says.
    fn holds(&self, row: &Row) -> bool {
        match &self.origin {
            None => row.object_at.is_none(),
            Some(origin) => {
                let end = row.payload_at().checked_add(row.payload_len);
                row.tombstone || (row.object_at.is_some() && end <= Some(origin.covered))
            }
        }
    }

    /// Reads bytes of blocks or rows.
    pub(crate) fn read(&self, at: u64, len: usize) -> Result<Vec<u8>, ReadError> {
        if at.saturating_add(len as u64) > self.trailer.crcs_at() {
            return Err(self.damaged(at, "something points past the end"));
        }
        let mut bytes = vec![0; len];
        self.read_into(&mut bytes, at)?;
        Ok(bytes)
    }

    fn read_into(&self, bytes: &mut [u8], at: u64) -> Result<(), ReadError> {
        self.verify(at, bytes.len() as u64)?;
        Ok(self.file.read_exact_at(bytes, at)?)
    }

    /// Reads bytes whose checksums have been checked.
    pub(super) fn read_checked(
        &self,
        bytes: &mut Vec<u8>,
        from: u64,
        to: u64,
    ) -> Result<(), ReadError> {
        bytes.resize((to - from) as usize, 0);
        Ok(self.file.read_exact_at(bytes, from)?)
    }

    /// Reads whole chunks from `from` to `to`, or to the last one, and checks their checksums.
    ///
    /// `needed` is the end of what must be there.
    pub(super) fn read_chunks(
        &self,
        bytes: &mut Vec<u8>,
        from: u64,
        to: u64,
        needed: u64,
    ) -> Result<(), ReadError> {
        if needed > self.trailer.crcs_at() {
            return Err(self.damaged(from, "something points past the end"));
        }
        self.read_checked(bytes, from, to.min(self.trailer.crcs_at()))?;
        let first = from / CHUNK_BYTES as u64;
        let mut chunks = bytes.chunks(CHUNK_BYTES).zip(first..);
        chunks.try_for_each(|(bytes, chunk)| self.check_chunk(chunk, bytes))
    }

    /// Checks a chunk unless that was done before.
    fn check_chunk(&self, chunk: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let (word, bit) = (&self.verified[chunk as usize / 64], 1 << (chunk % 64));
        if word.load(Relaxed) & bit == 0 {
            self.compare_chunk(chunk, bytes)?;
            word.fetch_or(bit, Relaxed);
        }
        Ok(())
    }

    /// Makes sure that the checksums of all chunks that hold the range are right.
    pub(crate) fn verify(&self, at: u64, len: u64) -> Result<(), ReadError> {
        if at.saturating_add(len) > self.trailer.crcs_at() {
            return Err(self.damaged(at, "something points past the end"));
        }
        if len == 0 {
            return Ok(());
        }
        let first = at / CHUNK_BYTES as u64;
        let last = (at + len - 1) / CHUNK_BYTES as u64;
        let mut buffer = Vec::new();
        for chunk in first..=last {
            let (word, bit) = (&self.verified[chunk as usize / 64], 1 << (chunk % 64));
            if word.load(Relaxed) & bit == 0 {
                self.verify_chunk(chunk, &mut buffer)?;
                word.fetch_or(bit, Relaxed);
            }
        }
        Ok(())
    }

    /// Reads a chunk and checks its checksum, whether or not that was done before.
    pub(crate) fn verify_chunk(&self, chunk: u64, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        let at = chunk * CHUNK_BYTES as u64;
        let len = (self.trailer.crcs_at() - at).min(CHUNK_BYTES as u64);
        buffer.resize(len as usize, 0);
        self.file.read_exact_at(buffer, at)?;
        self.compare_chunk(chunk, buffer)
    }

    fn compare_chunk(&self, chunk: u64, bytes: &[u8]) -> Result<(), ReadError> {
        let at = chunk * CHUNK_BYTES as u64;
        if crc32c::crc32c(bytes) != self.crcs[chunk as usize] {
            return Err(self.damaged(at, "a checksum is wrong"));
        }
        let hot = self.id.object.is_none();
        if chunk == 0 && hot && bytes[..HEADER_LEN] != header(self.number()) {
            return Err(self.damaged(0, "the header is damaged"));
        }
        Ok(())
    }

    /// How many chunks have checksums.
    pub(crate) fn chunks(&self) -> u64 {
        self.crcs.len() as u64
    }

    pub(crate) fn damaged(&self, at: u64, what: &'static str) -> ReadError {
        ReadError::Corrupt(Corrupt {
            file: self.id.file_name(),
            at,
            what,
        })
    }

    /// Bytes that the checksums take in memory.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.crcs.len() * 4 + self.verified.len() * 8
    }
}
