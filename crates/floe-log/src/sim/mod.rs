//! A disk in memory that loses power.
//!
//! Reads see every write at once. A write is safe once its file was synced, a name once the
//! folder was; when power is lost, each sector of each unsynced write is kept or lost on its own,
//! and so is each change of a name.

mod file;
mod rng;
mod store;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use file::Inode;
pub use rng::Rng;
pub use store::SimStore;

/// A disk in memory; clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// A file on a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    inode: usize,
}

/// Keeps a [`SimDisk`] from being opened twice.
#[derive(Debug)]
pub struct SimLock {
    disk: SimDisk,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    /// Names that would survive.
    safe_names: BTreeMap<String, usize>,
    /// Changes since, oldest first.
    name_changes: Vec<NameChange>,
    locked: bool,
    bytes_max: Option<u64>,
    ops: u64,
    dies_at: Option<u64>,
    sync_fails_at: Option<u64>,
    trace: u32,
}

#[derive(Debug, Clone)]
enum NameChange {
    Add(String, usize),
    /// A file gets a new name; it is this file whichever others of the old name were lost.
    Rename(String, String, usize),
    Remove(String),
}

impl SimDisk {
    /// An empty disk.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a disk is not a value")]
    pub fn new() -> Self {
        Self {
            state: Arc::default(),
        }
    }

    /// Lets writes fail for want of space beyond this many bytes; `None` for no bound.
    pub fn set_bytes_max(&self, bytes_max: Option<u64>) {
        self.state().bytes_max = bytes_max;
    }

    /// Lets power fail after this many more operations: the last one may be done in part, and
    /// every later one fails.
    pub fn die_after(&self, ops: u64) {
        let mut state = self.state();
        state.dies_at = Some(state.ops + ops);
    }

    /// Lets the disk go on with everything that was written: not power failed, but a process was
    /// killed.
    pub fn revive(&self) {
        self.state().dies_at = None;
    }

    /// Returns whether power has failed.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        let state = self.state();
        state.dies_at.is_some_and(|at| state.ops >= at)
    }

    /// Lets the sync fail that comes after this many more operations, or the first one later.
    pub fn fail_sync_after(&self, ops: u64) {
        let mut state = self.state();
        state.sync_fails_at = Some(state.ops + ops);
    }

    /// Returns the bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state().bytes()
    }

    /// Returns how many operations there were.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state().ops
    }

    /// Returns a checksum of all operations so far; equal runs have equal ones.
    #[must_use]
    pub fn trace(&self) -> u32 {
        self.state().trace
    }

    /// Returns the disk as it may be after a loss of power at this moment.
    #[must_use]
    pub fn crash(&self, rng: &mut Rng) -> Self {
        let state = self.state();
        let mut names = state.safe_names.clone();
        for change in &state.name_changes {
            if rng.chance(1, 2) {
                change.apply(&mut names);
            }
        }
        let inodes: Vec<Inode> = state.inodes.iter().map(|inode| inode.crash(rng)).collect();
        Self {
            state: Arc::new(Mutex::new(State {
                inodes,
                safe_names: names.clone(),
                names,
                bytes_max: state.bytes_max,
                trace: state.trace,
                ..State::default()
            })),
        }
    }

    /// Returns a disk with the same files, all of them safe.
    #[must_use]
    pub fn copy(&self) -> Self {
        let state = self.state();
        Self {
            state: Arc::new(Mutex::new(State {
                inodes: state.inodes.iter().map(Inode::settled).collect(),
                names: state.names.clone(),
                safe_names: state.names.clone(),
                ..State::default()
            })),
        }
    }

    /// Returns the bytes of a file.
    #[must_use]
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = *state.names.get(name)?;
        Some(state.inodes[inode].bytes().to_vec())
    }

    /// Makes a file hold these bytes, safely.
    pub fn set_contents(&self, name: &str, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = state.inodes.len();
        state.inodes.push(Inode::holding(bytes));
        state.names.insert(name.to_owned(), inode);
        state.safe_names.insert(name.to_owned(), inode);
    }

    /// Changes one byte of a file in place; open files see it, too.
    pub fn flip(&self, name: &str, at: usize, bits: u8) {
        let mut state = self.state();
        let inode = state.names[name];
        state.inodes[inode].flip(at, bits);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation; an error once power is gone.
    fn op(&self, what: &str, name: &str) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.dies_at.is_some_and(|at| state.ops >= at) {
            return Err(io::Error::other("the power is gone"));
        }
        state.ops += 1;
        state.note(what.as_bytes());
        state.note(name.as_bytes());
        Ok(state)
    }

    fn file(&self, inode: usize) -> SimFile {
        SimFile {
            disk: self.clone(),
            inode,
        }
    }
}

impl State {
    fn note(&mut self, bytes: &[u8]) {
        self.trace = crc32c::crc32c_append(self.trace, bytes);
    }

    fn bytes(&self) -> u64 {
        let inodes = self.names.values();
        inodes.map(|&inode| self.inodes[inode].len()).sum()
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn is_dying(&self) -> bool {
        self.dies_at == Some(self.ops)
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Add(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn lock(&self) -> io::Result<SimLock> {
        let mut state = self.state();
        if std::mem::replace(&mut state.locked, true) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(SimLock { disk: self.clone() })
    }

    fn create(&self, name: &str) -> io::Result<SimFile> {
        let mut state = self.op("create", name)?;
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(NameChange::Add(name.to_owned(), inode));
        Ok(self.file(inode))
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        let inode = self.op("open", name)?.find(name)?;
        Ok(self.file(inode))
    }

    fn open_read(&self, name: &str) -> io::Result<SimFile> {
        self.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.op("rename", from)?;
        let inode = state.find(from)?;
        let (from, to) = (from.to_owned(), to.to_owned());
        state.change(NameChange::Rename(from, to, inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.op("remove", name)?;
        state.find(name)?;
        state.change(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.op("list", "")?.names.keys().cloned().collect())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.op("sync", "folder")?;
        if state.is_dying() {
            return Err(io::Error::other("the power fails"));
        }
        state.safe_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let state = self.disk.state();
        let bytes = state.inodes[self.inode].bytes();
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let end = at.saturating_add(buffer.len());
        let found = bytes.get(at..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.disk.op("write", "")?;
        state.note(&at.to_le_bytes());
        state.note(bytes);
        let grown = (at + bytes.len() as u64).saturating_sub(state.inodes[self.inode].len());
        if grown > 0
            && state
                .bytes_max
                .is_some_and(|max| state.bytes() + grown > max)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes[self.inode].write(bytes, at);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.op("sync", "")?;
        if state.is_dying() {
            return Err(io::Error::other("the power fails"));
        }
        if state.sync_fails_at.is_some_and(|at| state.ops >= at) {
            state.sync_fails_at = None;
            return Err(io::Error::other("the disk does not answer"));
        }
        state.inodes[self.inode].sync();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[self.inode].len())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.state().locked = false;
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimDisk")
            .field("files", &state.names.len())
            .field("ops", &state.ops)
            .finish_non_exhaustive()
    }
}
