//! An object store in memory that fails, is slow, and does late what it was asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cold::{ObjectStore, StoreError};

use super::Rng;

/// A store in memory; clones are the same store. It outlives any crash of those who use it.
#[derive(Clone)]
pub struct SimStore {
    state: Arc<Mutex<State>>,
}

struct State {
    rng: Rng,
    objects: BTreeMap<String, Vec<u8>>,
    /// Requests that were answered with a failure and will be carried out all the same.
    late: Vec<Late>,
    /// Of a thousand requests, how many fail.
    failing: u64,
    down: bool,
    requests: u64,
    trace: u32,
}

enum Late {
    Put(String, Vec<u8>),
    Remove(String),
}

impl SimStore {
    /// An empty store; `seed` decides which requests fail once they are told to.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let state = State {
            rng: Rng::new(seed),
            objects: BTreeMap::new(),
            late: Vec::new(),
            failing: 0,
            down: false,
            requests: 0,
            trace: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Lets this many of a thousand requests fail: some before they are carried out, some after,
    /// some of them much later.
    pub fn set_failing(&self, of_thousand: u64) {
        self.state().failing = of_thousand;
    }

    /// Lets all requests fail, or no longer.
    pub fn set_down(&self, down: bool) {
        self.state().down = down;
    }

    /// Carries out what was answered with a failure before.
    pub fn catch_up(&self) {
        let mut state = self.state();
        for late in std::mem::take(&mut state.late) {
            match late {
                Late::Put(key, bytes) => {
                    state.objects.insert(key, bytes);
                }
                Late::Remove(key) => {
                    state.objects.remove(&key);
                }
            }
        }
    }

    /// Returns the keys of all objects.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.state().objects.keys().cloned().collect()
    }

    /// Returns the bytes of all objects.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let state = self.state();
        state
            .objects
            .values()
            .map(|object| object.len() as u64)
            .sum()
    }

    /// Returns how many requests there were.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state().requests
    }

    /// Returns a checksum of all requests so far; equal runs have equal ones.
    #[must_use]
    pub fn trace(&self) -> u32 {
        self.state().trace
    }

    /// Changes one byte of an object.
    pub fn flip(&self, key: &str, at: usize, bits: u8) {
        let mut state = self.state();
        if let Some(byte) = state
            .objects
            .get_mut(key)
            .and_then(|bytes| bytes.get_mut(at))
        {
            *byte ^= bits;
        }
    }

    /// Takes an object away.
    pub fn lose(&self, key: &str) {
        self.state().objects.remove(key);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request; says how it goes.
    fn request(&self, what: &str, key: &str) -> (MutexGuard<'_, State>, Fate) {
        let mut state = self.state();
        state.requests += 1;
        state.trace = crc32c::crc32c_append(state.trace, what.as_bytes());
        state.trace = crc32c::crc32c_append(state.trace, key.as_bytes());
        let failing = state.failing;
        let fate = match (state.down, state.rng.chance(failing, 1000)) {
            (true, _) => Fate::Refused,
            (false, true) => {
                [Fate::Refused, Fate::Unheard, Fate::Late][state.rng.below(3) as usize]
            }
            (false, false) => Fate::Done,
        };
        (state, fate)
    }
}

/// How a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Refused,
    /// It is carried out, and the connection is lost before that is said.
    Unheard,
    /// It seems to be lost, and is carried out later.
    Late,
}

fn lost() -> StoreError {
    StoreError::Unavailable("the connection was lost".into())
}

impl ObjectStore for SimStore {
    fn put(&self, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (mut state, fate) = self.request("put", key);
        match fate {
            Fate::Done | Fate::Unheard => {
                let before = state.objects.insert(key.to_owned(), bytes.to_vec());
                assert!(
                    before.is_none_or(|before| before == bytes),
                    "{key} is used twice"
                );
            }
            Fate::Late => state.late.push(Late::Put(key.to_owned(), bytes.to_vec())),
            Fate::Refused => {}
        }
        match fate {
            Fate::Done => Ok(()),
            Fate::Refused | Fate::Unheard | Fate::Late => Err(lost()),
        }
    }

    fn read(&self, key: &str, at: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let (state, fate) = self.request("read", key);
        if fate != Fate::Done {
            return Err(lost());
        }
        let object = state.objects.get(key).ok_or(StoreError::Missing)?;
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let found = object.get(at..at.saturating_add(buffer.len()));
        buffer.copy_from_slice(found.ok_or(StoreError::Missing)?);
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<(), StoreError> {
        let (mut state, fate) = self.request("remove", key);
        match fate {
            Fate::Done | Fate::Unheard => {
                state.objects.remove(key);
            }
            Fate::Late => state.late.push(Late::Remove(key.to_owned())),
            Fate::Refused => {}
        }
        match fate {
            Fate::Done => Ok(()),
            Fate::Refused | Fate::Unheard | Fate::Late => Err(lost()),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let (state, fate) = self.request("list", prefix);
        if fate != Fate::Done {
            return Err(lost());
        }
        let keys = state.objects.keys();
        Ok(keys
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect())
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("SimStore")
            .field("objects", &state.objects.len())
            .field("requests", &state.requests)
            .finish_non_exhaustive()
    }
}
