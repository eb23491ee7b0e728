//! Objects: how they are called, cut into parts and read.

use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::hash;
use crate::manifest::ObjectId;
use crate::segment::{CHUNK_BYTES, Segment};

use super::{FetchError, ObjectStore, StoreError};

/// A store, and which of its keys are this log's.
pub(crate) struct Remote {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// First word of all keys, unlike that of any other log.
    pub(crate) log: String,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("log", &self.log)
            .finish_non_exhaustive()
    }
}

impl Remote {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, hash_key: &[u8; 16]) -> Self {
        // What it is made from stays secret: a hash leads nowhere back.
        let log = hash::name_hash(hash_key, "cold", b"log");
        let log = format!("{:032x}", log.0);
        Self { store, log }
    }

    /// Returns the key of one part of a segment's object.
    pub(crate) fn key(&self, number: u32, object: ObjectId, part: u32) -> String {
        let Self { log, .. } = self;
        format!("{log}/{number:08x}-{:016x}/{part:04x}", object.0)
    }

    /// Reads a segment's number and its object back from a key; `None` if it is not one of ours.
    pub(crate) fn parse_key(&self, key: &str) -> Option<(u32, ObjectId)> {
        let rest = key.strip_prefix(&self.log)?.strip_prefix('/')?;
        let (segment, part) = rest.split_once('/')?;
        let (number, object) = segment.split_once('-')?;
        let number = u32::from_str_radix(number, 16).ok()?;
        let object = ObjectId(NonZeroU64::new(u64::from_str_radix(object, 16).ok()?)?);
        let part = u32::from_str_radix(part, 16).ok()?;
        (self.key(number, object, part) == key).then_some((number, object))
    }

    /// Reads whole chunks of a cold segment's object, and checks them.
    pub(crate) fn read_chunks<F: DiskFile>(
        &self,
        segment: &Segment<F>,
        chunks: Range<u64>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let (Some(origin), Some(object)) = (segment.origin, segment.id.object) else {
            unreachable!("only cold segments have objects");
        };
        let crcs = segment.object_crcs(chunks.clone())?;
        let part_bytes = u64::from(origin.part_bytes);
        let start = chunks.start * CHUNK_BYTES as u64;
        let end = (chunks.end * CHUNK_BYTES as u64).min(origin.covered);
        buffer.resize((end - start) as usize, 0);
        let mut at = start;
        while at < end {
            let part = at / part_bytes;
            let until = ((part + 1) * part_bytes).min(end);
            let key = self.key(segment.number(), object, part as u32);
            let into = &mut buffer[(at - start) as usize..(until - start) as usize];
            self.store.read(&key, at % part_bytes, into)?;
            at = until;
        }
        for ((bytes, crc), chunk) in buffer.chunks(CHUNK_BYTES).zip(crcs).zip(chunks) {
            if crc32c::crc32c(bytes) != crc {
                let at = chunk * CHUNK_BYTES as u64;
                return Err(segment
                    .damaged(at, "a checksum of its object is wrong")
                    .into());
            }
        }
        Ok(())
    }
}

/// Reads payload of a cold segment from front to back, many rows with one request.
#[derive(Debug)]
pub(crate) struct ObjectReader<'a, F> {
    remote: &'a Remote,
    segment: &'a Segment<F>,
    /// Chunks that are in the window.
    chunks: Range<u64>,
    window: Vec<u8>,
}

/// Chunks read with one request.
const WINDOW_CHUNKS: u64 = 64;

impl<'a, F: DiskFile> ObjectReader<'a, F> {
    pub(crate) fn new(remote: &'a Remote, segment: &'a Segment<F>) -> Self {
        Self {
            remote,
            segment,
            chunks: 0..0,
            window: Vec::new(),
        }
    }

    /// Hands out `len` bytes from `at` on, piece by piece.
    pub(crate) fn read<E: From<FetchError>>(
        &mut self,
        mut at: u64,
        len: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let end = at.saturating_add(len);
        if end > self.segment.covered() {
            let error = self.segment.damaged(at, "something points past the end");
            return Err(FetchError::from(error).into());
        }
        while at < end {
            let chunk = at / CHUNK_BYTES as u64;
            if !self.chunks.contains(&chunk) {
                let known = self.segment.covered().div_ceil(CHUNK_BYTES as u64);
                let until = (chunk + WINDOW_CHUNKS).min(known);
                self.chunks = 0..0;
                self.remote
                    .read_chunks(self.segment, chunk..until, &mut self.window)?;
                self.chunks = chunk..until;
            }
            let from = at - self.chunks.start * CHUNK_BYTES as u64;
            let here = (end - at).min(self.window.len() as u64 - from);
            take(&self.window[from as usize..(from + here) as usize])?;
            at += here;
        }
        Ok(())
    }
}

/// Reads a whole object and checks it; `each` gets the bytes of every piece.
pub(crate) fn verify_object<F: DiskFile>(
    remote: &Remote,
    segment: &Segment<F>,
    each: &mut dyn FnMut(u64),
) -> Result<(), FetchError> {
    let mut reader = ObjectReader::new(remote, segment);
    reader.read(0, segment.covered(), &mut |bytes| {
        each(bytes.len() as u64);
        Ok::<_, FetchError>(())
    })
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Missing => Self::Missing,
            StoreError::Unavailable(what) => Self::Unavailable(what),
        }
    }
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt(corrupt) => Self::Corrupt(corrupt),
            ReadError::Io(error) => Self::Io(error),
            ReadError::NoRoom { .. }
            | ReadError::Gone { .. }
            | ReadError::Cold(_)
            | ReadError::Fold(_) => unreachable!("an object is no room"),
        }
    }
}
