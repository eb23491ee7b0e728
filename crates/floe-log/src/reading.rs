//! One read, gathered from segments and memory.

use std::sync::Arc;

use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::memtable::RoomFrames;
use crate::read::{Chunk, Part};
use crate::segment::{Lens, Place, Row, Segment};

/// A read on its way: from one unit on, until `to` or until no more bytes fit.
#[derive(Debug)]
pub(crate) struct Reading<F> {
    next: u64,
    to: u64,
    bytes_left: u64,
    parts: Vec<Part<F>>,
    /// Bytes of small records, copied side by side: cheaper than a share in each.
    copied: Vec<u8>,
}

/// Finds the payload of a cold segment from a place on, so many bytes.
pub(crate) type ReadCold<'a, F> =
    dyn Fn(&Segment<F>, u64, u64) -> Result<Vec<Part<F>>, ReadError> + 'a;

/// Bytes of a record from which a read shares them instead of copying.
const SHARED_BYTES_MIN: u64 = 4 << 10;

impl<F: DiskFile> Reading<F> {
    pub(crate) fn new(from: u64, to: u64, bytes_max: u64) -> Self {
        Self {
            next: from,
            to,
            bytes_left: bytes_max,
            parts: Vec::new(),
            copied: Vec::new(),
        }
    }

    /// The unit after the last one read.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn into_chunk(mut self) -> Chunk<F> {
        self.end_copies();
        Chunk {
            parts: self.parts,
            next: self.next,
        }
    }

    fn is_done(&self) -> bool {
        self.next >= self.to || (self.bytes_left == 0 && !self.is_first())
    }

    /// Whether nothing was read, so that one unit is read whatever its size.
    fn is_first(&self) -> bool {
        self.parts.is_empty() && self.copied.is_empty()
    }

    /// Makes what was copied a part.
    fn end_copies(&mut self) {
        if !self.copied.is_empty() {
            let copied = std::mem::take(&mut self.copied);
            self.parts.push(Part::Memory(copied.into()));
        }
    }

    /// Reads records that are in memory.
    pub(crate) fn read_frames(&mut self, frames: RoomFrames<'_>) -> Result<(), ReadError> {
        self.check_first(frames.range().0)?;
        let mut index = frames.find(self.next);
        while !self.is_done() && index < frames.len() {
            let frame = frames.frame(index);
            let skip = self.next - frame.header.first;
            let wanted = self.to.min(frame.end()) - self.next;
            let (units, bytes) = match frame.header.messages {
                true => self.fit(frame.lens().skip(skip as usize).take(wanted as usize)),
                false => self.fit_bytes(wanted),
            };
            if bytes > 0 {
                let from = frame.bytes_before(skip) as usize;
                let to = from + bytes as usize;
                if bytes < SHARED_BYTES_MIN {
                    self.copied.extend_from_slice(&frame.payload()[from..to]);
                } else {
                    self.end_copies();
                    let at = frame.payload_at();
                    let part = frames.slice(index, at + from, at + to);
                    self.parts.push(Part::Memory(part));
                }
            }
            self.advance(units, bytes, wanted);
            index += 1;
        }
        Ok(())
    }

    /// Reads units of a row.
    pub(crate) fn read_row(
        &mut self,
        segment: &Segment<F>,
        row: &Row,
        cold: &ReadCold<'_, F>,
    ) -> Result<(), ReadError> {
        if self.is_done() || row.end <= self.next {
            return Ok(());
        }
        self.check_first(row.first)?;
        if self.is_done() {
            return Ok(());
        }
        let skip = self.next - row.first;
        let wanted = self.to.min(row.end) - self.next;
        let (units, from, bytes) = match row.messages {
            true => self.find_messages(segment, row, skip, wanted)?,
            false => {
                let (units, bytes) = self.fit_bytes(wanted);
                (units, skip, bytes)
            }
        };
        if from.saturating_add(bytes) > row.payload_len {
            return Err(segment.damaged(row.lens_at(), "lengths exceed the payload"));
        }
        if bytes > 0 {
            let at = row.payload_at() + from;
            if row.object_at.is_some() {
                return self.read_cold(cold(segment, at, bytes), units, bytes, wanted);
            }
            segment.verify(at, bytes)?;
            self.end_copies();
            self.parts.push(Part::File {
                file: Arc::clone(&segment.file),
                at,
                len: bytes,
            });
        }
        self.advance(units, bytes, wanted);
        Ok(())
    }

    /// Takes what was found of a cold row; a read that has begun ends where data is missing.
    fn read_cold(
        &mut self,
        found: Result<Vec<Part<F>>, ReadError>,
        units: u64,
        bytes: u64,
        wanted: u64,
    ) -> Result<(), ReadError> {
        match found {
            Ok(parts) => {
                self.end_copies();
                self.parts.extend(parts);
                self.advance(units, bytes, wanted);
                Ok(())
            }
            Err(ReadError::Cold(_)) if !self.is_first() => {
                self.to = self.next;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Finds messages that fit: how many, the bytes before them, and their bytes.
    fn find_messages(
        &self,
        segment: &Segment<F>,
        row: &Row,
        skip: u64,
        wanted: u64,
    ) -> Result<(u64, u64, u64), ReadError> {
        let damaged = || segment.damaged(row.lens_at(), "a table of lengths contradicts itself");
        let read = |at: u64, len: usize| match at.saturating_add(len as u64) {
            end if end > u64::from(row.lens_len) => Err(damaged()),
            _ => segment.read(row.lens_at() + at, len),
        };
        let lens = Lens::new(row.units(), row.lens_len.into(), read).ok_or_else(damaged)?;
        let from = lens.place(skip)?.ok_or_else(damaged)?;
        let to = skip + wanted;
        let mut fit = lens.fit(from, to, self.bytes_left)?.ok_or_else(damaged)?;
        if fit.message == from.message && self.is_first() {
            fit = lens.place(skip + 1)?.ok_or_else(damaged)?;
        }
        let sound = from.message == skip && fit.message >= skip && fit.at >= from.at;
        let Place { message, at } = if sound { fit } else { return Err(damaged()) };
        Ok((message - skip, from.at, at - from.at))
    }

    fn advance(&mut self, units: u64, bytes: u64, wanted: u64) {
        self.next += units;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        if units < wanted {
            // The next unit did not fit, and none behind it may overtake it.
            self.to = self.next;
        }
    }

    fn fit_bytes(&self, wanted: u64) -> (u64, u64) {
        let bytes = wanted.min(self.bytes_left.max(u64::from(self.is_first())));
        (bytes, bytes)
    }

    fn fit(&self, lens: impl Iterator<Item = u32>) -> (u64, u64) {
        let (mut units, mut bytes) = (0, 0);
        for len in lens.map(u64::from) {
            let must = self.is_first() && units == 0;
            if bytes + len > self.bytes_left && !must {
                break;
            }
            units += 1;
            bytes += len;
        }
        (units, bytes)
    }

    /// Ends the read where units are missing; there is an error if it starts there.
    fn check_first(&mut self, first: u64) -> Result<(), ReadError> {
        if self.next < first && self.next < self.to {
            if self.is_first() {
                return Err(ReadError::Gone { first });
            }
            self.to = self.next;
        }
        Ok(())
    }
}
