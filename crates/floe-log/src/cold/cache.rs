//! Blocks of cold segments that were fetched, in files of their own; in memory while there is no
//! space for files.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::disk::Disk;
use crate::error::ReadError;
use crate::hash::FixedState;
use crate::read::Part;

/// A block: the segment's number and which of its blocks.
pub(crate) type BlockKey = (u32, u32);

/// Where the bytes of a fetched block are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// In the file of this number.
    File { number: u64, bytes: u64 },
    /// In memory.
    Memory(Bytes),
}

/// Bytes of blocks in memory; what is read last is there even if it alone is more.
const MEMORY_BYTES_MAX: u64 = 64 << 20;

/// Which blocks are here.
///
/// At its bound it lets go of blocks that nobody has read for a round. A file that is let go of
/// stays readable for those who have it open, and is removed in the background. A start begins
/// without any.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    blocks: HashMap<BlockKey, Block, FixedState>,
    /// Blocks in the order in which it is asked whether they were read.
    round: VecDeque<BlockKey>,
    pub(crate) bytes: u64,
    /// Those of them that are in memory.
    memory_bytes: u64,
    /// Number of the next file.
    next: u64,
    /// Files to be removed.
    gone: Vec<String>,
}

#[derive(Debug)]
struct Block {
    place: Place,
    /// Whether it was read since it was last asked.
    read: AtomicBool,
}

/// Returns whether a file belongs to a cache.
pub(crate) fn is_cache_file(name: &str) -> bool {
    name.starts_with("cache-")
}

fn file_name(number: u64) -> String {
    format!("cache-{number:016x}")
}

impl Cache {
    /// Takes a name for the file of a block that is to be fetched.
    pub(crate) fn take_name(&mut self) -> (u64, String) {
        let number = self.next;
        self.next += 1;
        (number, file_name(number))
    }

    pub(crate) fn contains(&self, key: BlockKey) -> bool {
        self.blocks.contains_key(&key)
    }

    /// Returns `len` bytes from `at` on of a block, if it is here.
    pub(crate) fn part<D: Disk>(
        &self,
        disk: &D,
        key: BlockKey,
        at: u64,
        len: u64,
    ) -> Result<Option<Part<D::File>>, ReadError> {
        let Some(block) = self.blocks.get(&key) else {
            return Ok(None);
        };
        block.read.store(true, Relaxed);
        Ok(Some(match &block.place {
            Place::File { number, .. } => Part::File {
                file: Arc::new(disk.open_read(&file_name(*number))?),
                at,
                len,
            },
            Place::Memory(bytes) => Part::Memory(bytes.slice(at as usize..(at + len) as usize)),
        }))
    }

    /// Enters blocks that were fetched together, and makes room for them.
    pub(crate) fn insert(&mut self, blocks: Vec<(BlockKey, Place)>, bytes_max: u64) {
        let bytes: u64 = blocks.iter().map(|(_, place)| place.bytes()).sum();
        let in_memory = blocks.iter().map(|(_, place)| place.memory_bytes());
        let memory_bytes: u64 = in_memory.sum();
        let is_full = |cache: &Self| {
            let memory = memory_bytes > 0 && cache.memory_bytes + memory_bytes > MEMORY_BYTES_MAX;
            memory || cache.bytes + bytes > bytes_max
        };
        while is_full(self) && self.evict_one() {}
        for (key, place) in blocks {
            self.bytes += place.bytes();
            self.memory_bytes += place.memory_bytes();
            let read = AtomicBool::new(true);
            match self.blocks.insert(key, Block { place, read }) {
                None => self.round.push_back(key),
                Some(before) => self.drop_block(&before),
            }
        }
    }

    /// Lets go of all blocks of a segment.
    pub(crate) fn forget(&mut self, segment: u32) {
        let gone: Vec<Block> = self
            .blocks
            .extract_if(|key, _| key.0 == segment)
            .map(|(_, block)| block)
            .collect();
        self.round.retain(|key| key.0 != segment);
        for block in &gone {
            self.drop_block(block);
        }
    }

    /// Notes a file that was made for nothing.
    pub(crate) fn discard(&mut self, file: u64) {
        self.gone.push(file_name(file));
    }

    /// Takes the files that are to be removed.
    pub(crate) fn take_gone(&mut self) -> Vec<String> {
        std::mem::take(&mut self.gone)
    }

    fn evict_one(&mut self) -> bool {
        // Each turn either ends or takes a mark away, so this ends.
        while let Some(key) = self.round.pop_front() {
            let read = self
                .blocks
                .get(&key)
                .map(|block| block.read.swap(false, Relaxed));
            if read == Some(true) {
                self.round.push_back(key);
                continue;
            }
            if let Some(block) = self.blocks.remove(&key) {
                self.drop_block(&block);
                return true;
            }
        }
        false
    }

    fn drop_block(&mut self, block: &Block) {
        self.bytes -= block.place.bytes();
        self.memory_bytes -= block.place.memory_bytes();
        if let Place::File { number, .. } = block.place {
            self.gone.push(file_name(number));
        }
    }
}

impl Place {
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::File { bytes, .. } => *bytes,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn memory_bytes(&self) -> u64 {
        match self {
            Self::File { .. } => 0,
            Self::Memory(bytes) => bytes.len() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimDisk;

    fn insert(cache: &mut Cache, key: BlockKey) {
        let (number, _) = cache.take_name();
        cache.insert(vec![(key, Place::File { number, bytes: 10 })], 30);
    }

    #[test]
    fn a_full_cache_lets_go_of_what_nobody_reads() {
        let disk = SimDisk::new();
        (0..9).for_each(|file| drop(disk.create(&file_name(file)).unwrap()));
        let mut cache = Cache::default();
        (0..3).for_each(|block| insert(&mut cache, (1, block)));
        assert_eq!((cache.bytes, cache.gone.len()), (30, 0));
        // All are marked as new, so the oldest goes, and the others lose their marks.
        insert(&mut cache, (2, 0));
        assert_eq!(cache.take_gone(), [file_name(0)]);
        assert!(cache.part(&disk, (1, 1), 0, 1).unwrap().is_some());
        insert(&mut cache, (2, 1));
        assert_eq!(cache.take_gone(), [file_name(2)]);
        assert!(cache.part(&disk, (1, 2), 0, 1).unwrap().is_none());
        cache.forget(2);
        assert_eq!(cache.bytes, 10);
        assert_eq!(cache.take_gone().len(), 2);
        assert!(cache.contains((1, 1)) && !cache.contains((2, 0)));
    }

    #[test]
    fn blocks_in_memory_have_a_bound_of_their_own() {
        let disk = SimDisk::new();
        let mut cache = Cache::default();
        for block in 0..3 {
            let bytes = Bytes::from(vec![7; 32 << 20]);
            cache.insert(vec![((1, block), Place::Memory(bytes))], u64::MAX);
        }
        assert_eq!(cache.bytes, 64 << 20);
        assert!(!cache.contains((1, 0)));
        let part = cache.part(&disk, (1, 2), 5, 3).unwrap();
        assert!(matches!(part, Some(Part::Memory(bytes)) if bytes == [7; 3][..]));
        assert_eq!(cache.take_gone(), [""; 0]);
    }

    #[test]
    fn a_block_that_comes_twice_is_counted_once() {
        let mut cache = Cache::default();
        insert(&mut cache, (1, 0));
        insert(&mut cache, (1, 0));
        assert_eq!(cache.bytes, 10);
        assert_eq!(cache.take_gone(), [file_name(0)]);
        assert_eq!(cache.round.len(), 1);
    }
}
