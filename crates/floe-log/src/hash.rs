//! The keyed hash of names, and the plain one of our own tables.

use std::hash::{BuildHasher, Hasher};

use floe_proto::NameHash;
use siphasher::sip128::{Hasher128, SipHasher13};

/// Hashes a namespace and a name with a folder's key.
pub(crate) fn name_hash(key: &[u8; 16], namespace: &str, name: &[u8]) -> NameHash {
    let mut hasher = SipHasher13::new_with_key(key);
    // The length comes first, so that no two pairs give the same bytes.
    hasher.write(&(namespace.len() as u64).to_le_bytes());
    hasher.write(namespace.as_bytes());
    hasher.write(name);
    NameHash(hasher.finish128().as_u128())
}

/// Hash of tables whose keys nobody outside chooses: room numbers and name hashes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FixedState;

impl BuildHasher for FixedState {
    type Hasher = Mix;

    fn build_hasher(&self) -> Mix {
        Mix(0)
    }
}

/// Multiplies and folds each number that it is given.
#[derive(Debug)]
pub(crate) struct Mix(u64);

impl Hasher for Mix {
    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_usize(&mut self, _: usize) {
        // The length prefix of an array says nothing.
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
