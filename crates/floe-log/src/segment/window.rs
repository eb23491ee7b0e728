//! Reading a segment from front to back without a system call for each piece.

use super::{CHUNK_BYTES, ROW_LEN, Row, Segment};
use crate::disk::DiskFile;
use crate::error::ReadError;

/// Bytes read at a time; a multiple of the chunk.
const WINDOW_BYTES: u64 = 4 * CHUNK_BYTES as u64;

/// Pieces of a segment, asked for in about the order in which they lie.
///
/// Whole chunks are read, so that a checksum that has not been checked yet is checked on the way.
#[derive(Debug)]
pub(crate) struct Window<'a, F> {
    segment: &'a Segment<F>,
    /// Whether pieces lie so far apart that what is between them is not worth reading.
    sparse: bool,
    at: u64,
    bytes: Vec<u8>,
}

impl<'a, F: DiskFile> Window<'a, F> {
    pub(crate) fn new(segment: &'a Segment<F>) -> Self {
        Self {
            segment,
            sparse: false,
            at: 0,
            bytes: Vec::new(),
        }
    }

    /// A window for pieces that lie far apart.
    pub(crate) fn sparse(segment: &'a Segment<F>) -> Self {
        Self {
            sparse: true,
            ..Self::new(segment)
        }
    }

    /// Returns a row.
    pub(crate) fn row(&mut self, row: u32) -> Result<Row, ReadError> {
        let segment = self.segment;
        let at = segment.row_at(row);
        let bytes = self.get(at, ROW_LEN)?;
        let bytes = bytes.first_chunk().expect("a piece is as long as asked");
        segment.decode_row(bytes, at)
    }

    /// Returns a piece of blocks or rows.
    pub(crate) fn get(&mut self, at: u64, len: usize) -> Result<&[u8], ReadError> {
        if len == 0 {
            return Ok(&[]);
        }
        let end = at.saturating_add(len as u64);
        if at < self.at || end > self.at + self.bytes.len() as u64 {
            self.fill(at, end)?;
        }
        let from = (at - self.at) as usize;
        Ok(&self.bytes[from..from + len])
    }

    /// Hands a piece of any length to `take`, a part at a time.
    pub(crate) fn copy<E: From<ReadError>>(
        &mut self,
        at: u64,
        len: u64,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut done = 0;
        while done < len {
            let now = (len - done).min(WINDOW_BYTES);
            take(self.get(at + done, now as usize)?)?;
            done += now;
        }
        Ok(())
    }

    fn fill(&mut self, at: u64, end: u64) -> Result<(), ReadError> {
        let chunk = CHUNK_BYTES as u64;
        let (from, to) = if self.sparse {
            self.segment.verify(at, end - at)?;
            (at, end)
        } else {
            let from = at / chunk * chunk;
            let to = end.max(from.saturating_add(WINDOW_BYTES));
            (from, to.div_ceil(chunk).saturating_mul(chunk))
        };
        self.at = from;
        let result = if self.sparse {
            self.segment.read_checked(&mut self.bytes, from, to)
        } else {
            self.segment.read_chunks(&mut self.bytes, from, to, end)
        };
        result.inspect_err(|_| self.bytes.clear())
    }
}
