//! Fetching blocks of cold segments into the cache.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile, is_full};
use crate::error::Corrupt;
use crate::segment::{CHUNK_BYTES, Segment};

use super::cache::{BlockKey, Place};
use super::{Remote, StoreError};

/// Blocks that a read needs and that are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColdWant {
    pub(crate) segment: u32,
    /// The first block that is missing.
    pub(crate) first: u32,
    /// The last block that the read needs.
    pub(crate) last: u32,
}

/// Names a fetch that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FetchId(pub(crate) u64);

/// Why a block could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store cannot be reached, or refuses. Another try may succeed.
    #[error("the store of cold data does not answer: {0}")]
    Unavailable(String),
    /// The object is not in the store.
    #[error("an object is missing in the store of cold data")]
    Missing,
    /// The object is not what was stored.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The local disk failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Fetches blocks that lie side by side.
pub(crate) struct FetchJob<D: Disk> {
    pub(crate) id: FetchId,
    pub(crate) disk: D,
    pub(crate) remote: Arc<Remote>,
    pub(crate) segment: Arc<Segment<D::File>>,
    /// The first block.
    pub(crate) first: u32,
    pub(crate) block_bytes: u32,
    /// Numbers and names of the files to be made, one for each block.
    pub(crate) files: Vec<(u64, String)>,
}

/// What a [`FetchJob`] brought.
#[derive(Debug)]
pub(crate) struct FetchDone {
    pub(crate) id: FetchId,
    pub(crate) segment: u32,
    /// Files that may have been made.
    pub(crate) files: Vec<u64>,
    /// Blocks, and where they are.
    pub(crate) result: Result<Vec<(BlockKey, Place)>, FetchError>,
}

/// Blocks read with one request, at most.
const BLOCKS: usize = 16;

impl<D: Disk> FetchJob<D> {
    pub(crate) fn run(self) -> FetchDone {
        let mut result = self.fetch();
        if matches!(result, Err(FetchError::Corrupt(_))) {
            // The damage may have come on the way.
            result = self.fetch();
        }
        FetchDone {
            id: self.id,
            segment: self.segment.number(),
            files: self.files.iter().map(|&(file, _)| file).collect(),
            result,
        }
    }

    fn fetch(&self) -> Result<Vec<(BlockKey, Place)>, FetchError> {
        let chunks = u64::from(self.block_bytes) / CHUNK_BYTES as u64;
        let known = self.segment.covered().div_ceil(CHUNK_BYTES as u64);
        let mut buffer = Vec::new();
        let mut blocks = Vec::new();
        let mut block = self.first;
        for files in self.files.chunks(BLOCKS) {
            let start = u64::from(block) * chunks;
            let end = (start + chunks * files.len() as u64).min(known);
            if end <= start {
                let error = self.segment.damaged(0, "a block lies past the end");
                return Err(error.into());
            }
            self.remote
                .read_chunks(&self.segment, start..end, &mut buffer)?;
            let pieces = buffer.chunks(self.block_bytes as usize);
            for (bytes, (number, name)) in pieces.zip(files) {
                let place = match self.keep(bytes, name) {
                    Ok(()) => Place::File {
                        number: *number,
                        bytes: bytes.len() as u64,
                    },
                    // Reads go on while the disk is full.
                    Err(error) if is_full(&error) => {
                        let _ = self.disk.remove(name);
                        Place::Memory(Bytes::copy_from_slice(bytes))
                    }
                    Err(error) => return Err(error.into()),
                };
                blocks.push(((self.segment.number(), block), place));
                block += 1;
            }
        }
        Ok(blocks)
    }
}

impl<D: Disk> FetchJob<D> {
    fn keep(&self, bytes: &[u8], name: &str) -> io::Result<()> {
        self.disk.create(name)?.write_all_at(bytes, 0)
    }
}

impl FetchError {
    /// Returns whether the store, rather than what is in it, is at fault.
    pub(crate) fn is_of_the_store(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}

impl From<FetchError> for StoreError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Missing => Self::Missing,
            FetchError::Unavailable(what) => Self::Unavailable(what),
            error @ (FetchError::Corrupt(_) | FetchError::Io(_)) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
