//! The bytes of a simulated file.

use super::Rng;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A file's bytes, and which of them are safe.
#[derive(Debug, Default)]
pub(super) struct Inode {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    /// Writes since the last sync, oldest first.
    writes: Vec<(usize, Vec<u8>)>,
}

impl Inode {
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self {
            safe: bytes.clone(),
            bytes,
            writes: Vec::new(),
        }
    }

    pub(super) fn settled(&self) -> Self {
        Self::holding(self.bytes.clone())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn write(&mut self, bytes: &[u8], at: u64) {
        let at = at as usize;
        put(&mut self.bytes, bytes, at);
        self.writes.push((at, bytes.to_vec()));
    }

    pub(super) fn sync(&mut self) {
        for (at, bytes) in self.writes.drain(..) {
            put(&mut self.safe, &bytes, at);
        }
    }

    pub(super) fn flip(&mut self, at: usize, bits: u8) {
        self.bytes[at] ^= bits;
        if let Some(byte) = self.safe.get_mut(at) {
            *byte ^= bits;
        }
    }

    /// The file after a loss of power: each sector of each write since the last sync is there or
    /// not, and the file is as long as some of those writes made it.
    pub(super) fn crash(&self, rng: &mut Rng) -> Self {
        let mut bytes = self.safe.clone();
        // Often nothing or all of it is lost, which random sectors alone would hardly ever show.
        let kept = [0, 1, 3, 4][rng.below(4) as usize];
        for (at, written) in &self.writes {
            let mut from = 0;
            while from < written.len() {
                let sector_end = ((at + from) / SECTOR + 1) * SECTOR;
                let to = written.len().min(sector_end - at);
                if rng.below(4) < kept {
                    put(&mut bytes, &written[from..to], at + from);
                }
                from = to;
            }
        }
        Self::holding(bytes)
    }
}

fn put(target: &mut Vec<u8>, bytes: &[u8], at: usize) {
    let end = at + bytes.len();
    if target.len() < end {
        target.resize(end, 0);
    }
    target[at..end].copy_from_slice(bytes);
}
