//! Files of recordings in an object store, in parts that fit into memory.

use std::fs::File;
use std::io::{self, Read, Write};

use floe_log::{ObjectStore, StoreError};

use super::folder::Folder;

/// Why a file did not get from one place to the other.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Bytes of an object; the last of a file has fewer.
const PART_BYTES: u64 = 8 << 20;
/// Bytes that are read from the store at once.
const READ_BYTES: u64 = 1 << 20;

/// Puts a file of so many bytes into the store.
pub fn put(
    store: &dyn ObjectStore,
    folder: &Folder,
    name: &str,
    bytes: u64,
) -> Result<(), MoveError> {
    let mut file = File::open(folder.file(name))?;
    let mut part = Vec::new();
    for number in 0..parts(bytes) {
        part.clear();
        Read::by_ref(&mut file)
            .take(PART_BYTES)
            .read_to_end(&mut part)?;
        store.put(&folder.key(name, number), &part)?;
    }
    Ok(())
}

/// Writes `len` bytes of a file that is in the store from `from` on to another file.
pub fn fetch(
    store: &dyn ObjectStore,
    folder: &Folder,
    name: &str,
    from: u64,
    len: u64,
    to: &mut File,
) -> Result<(), MoveError> {
    let (mut at, end) = (from, from + len);
    let mut buffer = Vec::new();
    while at < end {
        let within = at % PART_BYTES;
        let step = READ_BYTES.min(end - at).min(PART_BYTES - within);
        // A mebibyte at most.
        buffer.resize(step as usize, 0);
        store.read(&folder.key(name, at / PART_BYTES), within, &mut buffer)?;
        to.write_all(&buffer)?;
        at += step;
    }
    Ok(())
}

/// Removes a file of so many bytes from the store; one that is not there is no error.
pub fn remove(
    store: &dyn ObjectStore,
    folder: &Folder,
    name: &str,
    bytes: u64,
) -> Result<(), StoreError> {
    (0..parts(bytes)).try_for_each(|number| store.remove(&folder.key(name, number)))
}

const fn parts(bytes: u64) -> u64 {
    bytes.div_ceil(PART_BYTES)
}
