//! The simulated disk, with a turnstile before each write and sync.
//!
//! Commits and background work run on threads of their own, as in the server, but only one thread
//! moves at a time, and who moves next is drawn from the seed. So the writes of several jobs mix in
//! every way that they can, and always in the same way for one seed.

use std::cell::{Cell, RefCell};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use floe_log::sim::{SimDisk, SimFile, SimLock};
use floe_log::{Disk, DiskFile};

/// A [`SimDisk`] whose changes wait for their turn on threads that have a [`Turnstile`].
#[derive(Debug, Clone)]
pub struct StepDisk {
    /// The disk.
    pub sim: SimDisk,
    /// Whether it says that files are synced and does nothing, to see whether anybody notices.
    pub lies: bool,
}

/// A file on a [`StepDisk`].
#[derive(Debug)]
pub struct StepFile {
    sim: SimFile,
    lies: bool,
}

impl StepDisk {
    fn file(&self, sim: SimFile) -> StepFile {
        StepFile {
            sim,
            lies: self.lies,
        }
    }
}

impl Disk for StepDisk {
    type File = StepFile;
    type Lock = SimLock;

    fn lock(&self) -> io::Result<SimLock> {
        self.sim.lock()
    }

    fn create(&self, name: &str) -> io::Result<StepFile> {
        if name.starts_with("MANIFEST") {
            LOCKED.set(true);
        }
        wait_turn()?;
        self.sim.create(name).map(|sim| self.file(sim))
    }

    fn open(&self, name: &str) -> io::Result<StepFile> {
        self.sim.open(name).map(|sim| self.file(sim))
    }

    fn open_read(&self, name: &str) -> io::Result<StepFile> {
        self.sim.open_read(name).map(|sim| self.file(sim))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        wait_turn()?;
        self.sim.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        wait_turn()?;
        self.sim.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.sim.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        wait_turn()?;
        LOCKED.set(false);
        self.sim.sync_dir()
    }
}

impl DiskFile for StepFile {
    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        self.sim.read_exact_at(buffer, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        wait_turn()?;
        self.sim.write_all_at(bytes, at)
    }

    fn sync_data(&self) -> io::Result<()> {
        wait_turn()?;
        if self.lies {
            return Ok(());
        }
        self.sim.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.sim.len()
    }
}

/// Lets one thread pass a given number of times.
#[derive(Debug, Clone, Default)]
pub struct Turnstile(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct State {
    turns: u32,
    waiting: bool,
    ended: bool,
    cancelled: bool,
}

thread_local! {
    /// Whether the thread replaces the manifest, which it does under a lock. Nobody may wait there:
    /// another thread might want the lock and never come to its own turnstile.
    static LOCKED: Cell<bool> = const { Cell::new(false) };
    static TURNSTILE: RefCell<Option<Turnstile>> = const { RefCell::new(None) };
}

fn wait_turn() -> io::Result<()> {
    if LOCKED.get() {
        return Ok(());
    }
    TURNSTILE.with_borrow(|turnstile| turnstile.as_ref().map_or(Ok(()), Turnstile::pass))
}

impl Turnstile {
    /// Makes every change that this thread asks a [`StepDisk`] for wait here.
    pub fn enter(&self) {
        TURNSTILE.set(Some(self.clone()));
    }

    /// Says that the thread is done.
    pub fn leave(&self) {
        self.lock().ended = true;
        self.0.moved.notify_all();
    }

    /// Lets the thread pass some times; returns once it waits again, or is done.
    pub fn grant(&self, turns: u32) -> bool {
        self.lock().turns += turns;
        self.0.moved.notify_all();
        let settled = self.0.moved.wait_while(self.lock(), |state| {
            !state.ended && (state.turns > 0 || !state.waiting)
        });
        settled.unwrap_or_else(PoisonError::into_inner).ended
    }

    /// Lets everything fail that the thread asks for from now on.
    pub fn cancel(&self) {
        self.lock().cancelled = true;
        self.0.moved.notify_all();
    }

    fn pass(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.waiting = true;
        self.0.moved.notify_all();
        let stopped = |state: &mut State| state.turns == 0 && !state.cancelled;
        let waited = self.0.moved.wait_while(state, stopped);
        state = waited.unwrap_or_else(PoisonError::into_inner);
        if state.cancelled {
            return Err(io::Error::other("the process is gone"));
        }
        state.waiting = false;
        state.turns -= 1;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}
