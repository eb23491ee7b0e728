//! A room's memory: values that go by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::{Code, Millis};

use super::keyed::{Changes, Keyed, KeyedError, KeyedLimits};
use super::timers::{TimerKind, Timers};
use super::wheel::TimerId;

/// Values under keys, each with a time to live. Nothing of it is ever on disk.
///
/// Who is typing is a value under [`Memory::TYPING_PREFIX`] and the user, which only
/// [`Memory::set_typing`] sets.
#[derive(Debug, Clone)]
pub struct Memory {
    limits: MemoryLimits,
    values: Keyed,
    lives: BTreeMap<Arc<str>, Life>,
}

/// Bounds of a [`Memory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLimits {
    /// Keys, values and their bytes.
    pub keyed: KeyedLimits,
    /// Longest time to live.
    pub ttl_ms_max: u64,
    /// How long a user is typing after saying so.
    pub typing_ttl_ms: u64,
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self {
            keyed: KeyedLimits {
                keys_max: 1_024,
                key_bytes_max: 256,
                value_bytes_max: 4_096,
                bytes_max: 256 * 1_024,
                removed_max: 1_024,
                evicts: false,
            },
            ttl_ms_max: 24 * 60 * 60 * 1_000,
            typing_ttl_ms: 3_000,
        }
    }
}

/// When a value goes, and the timer that looks after it.
///
/// The timer may be early: a value that is set again in time keeps it, and is looked at then.
#[derive(Debug, Clone, Copy)]
struct Life {
    ends_at: Millis,
    timer: TimerId,
    timer_at: Millis,
}

/// A request to set a value.
#[derive(Debug, Clone, Copy)]
pub struct SetValue<'a> {
    /// Where.
    pub key: &'a str,
    /// What; JSON.
    pub value: &'a [u8],
    /// How long it stays unless it is set again.
    pub ttl_ms: u64,
    /// Only if this is the version of the key's last change; 0 if it is not there.
    pub if_version: Option<u64>,
}

impl Memory {
    /// What the keys of typing users begin with.
    pub const TYPING_PREFIX: &str = "typing/";

    /// Makes an empty memory, whose first change gets the version after `version`.
    #[must_use]
    pub const fn new(limits: MemoryLimits, version: u64) -> Self {
        Self {
            limits,
            values: Keyed::new(limits.keyed, version),
            lives: BTreeMap::new(),
        }
    }

    /// Bounds what is set from now on; what is there stays, and as long as it was to.
    pub const fn set_limits(&mut self, limits: MemoryLimits) {
        self.limits = limits;
        self.values.set_limits(limits.keyed);
    }

    /// Sets a value; returns the version of the key's last change.
    ///
    /// # Errors
    /// See [`MemoryError`]; nothing is changed.
    pub fn set(
        &mut self,
        set: &SetValue<'_>,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<u64, MemoryError> {
        if set.key.starts_with(Self::TYPING_PREFIX) {
            return Err(MemoryError::Reserved);
        }
        let ttl_ms_max = self.limits.ttl_ms_max;
        if set.ttl_ms == 0 || set.ttl_ms > ttl_ms_max {
            return Err(MemoryError::Ttl { ttl_ms_max });
        }
        self.check_version(set.key, set.if_version)?;
        self.put(set.key, set.value, now.plus(set.ttl_ms), timers)
    }

    /// Removes a value; returns the version of that change, `None` if it was not there.
    ///
    /// # Errors
    /// [`MemoryError::Reserved`], or [`MemoryError::Changed`] if it is not the version that is
    /// wanted.
    pub fn remove(
        &mut self,
        key: &str,
        if_version: Option<u64>,
        timers: &mut Timers<'_>,
    ) -> Result<Option<u64>, MemoryError> {
        if key.starts_with(Self::TYPING_PREFIX) {
            return Err(MemoryError::Reserved);
        }
        self.check_version(key, if_version)?;
        Ok(self.take(key, timers))
    }

    /// Notes that a user is typing, for a few seconds from now on.
    ///
    /// Said again in time, it is no change, and nobody is told.
    ///
    /// # Errors
    /// See [`MemoryError`]; nothing is changed.
    pub fn set_typing(
        &mut self,
        user: &str,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<u64, MemoryError> {
        let key = typing_key(user);
        self.put(&key, b"true", now.plus(self.limits.typing_ttl_ms), timers)
    }

    /// Notes that a user is typing no more; returns the version of that change, if it is one.
    pub fn clear_typing(&mut self, user: &str, timers: &mut Timers<'_>) -> Option<u64> {
        self.take(&typing_key(user), timers)
    }

    /// Returns a value and the version of its last change.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(&[u8], u64)> {
        self.values.get(key)
    }

    /// Returns when a value goes unless it is set again; `None` if it is not there.
    #[must_use]
    pub fn ends_at(&self, key: &str) -> Option<Millis> {
        Some(self.lives.get(key)?.ends_at)
    }

    /// Returns values by the beginning of their keys: see [`Keyed::page`].
    #[must_use]
    pub fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(&str, &[u8], u64)> {
        self.values.page(prefix, after, limit)
    }

    /// Returns what changed since a version.
    #[must_use]
    pub fn changes_since(&self, version: u64) -> Changes<'_> {
        self.values.changes_since(version)
    }

    /// The version of the newest change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.values.version()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A timer of a key is due: its value goes, unless it was set again meanwhile.
    pub(super) fn handle_timer(&mut self, key: &Arc<str>, now: Millis, timers: &mut Timers<'_>) {
        let Some(life) = self.lives.get_mut(key) else {
            return;
        };
        if life.ends_at > now {
            life.timer = timers.set(life.ends_at, TimerKind::Memory, key.clone());
            life.timer_at = life.ends_at;
        } else {
            self.lives.remove(key);
            self.values.remove(key);
        }
    }

    /// Takes all timers back.
    pub(super) fn cancel_timers(&mut self, timers: &mut Timers<'_>) {
        for life in self.lives.values() {
            timers.cancel(life.timer);
        }
        self.lives.clear();
    }

    fn put(
        &mut self,
        key: &str,
        value: &[u8],
        ends_at: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<u64, MemoryError> {
        let mut evicted = Vec::new();
        let version = self.values.set(key, value, &mut evicted)?;
        for key in evicted {
            self.end_life(&key, timers);
        }
        if let Some(life) = self.lives.get_mut(key) {
            life.ends_at = ends_at;
            if life.timer_at <= ends_at {
                return Ok(version);
            }
        }
        let name = match self.end_life(key, timers) {
            Some(name) => name,
            None => key.into(),
        };
        let life = Life {
            ends_at,
            timer: timers.set(ends_at, TimerKind::Memory, name.clone()),
            timer_at: ends_at,
        };
        self.lives.insert(name, life);
        Ok(version)
    }

    fn take(&mut self, key: &str, timers: &mut Timers<'_>) -> Option<u64> {
        self.end_life(key, timers);
        self.values.remove(key)
    }

    fn end_life(&mut self, key: &str, timers: &mut Timers<'_>) -> Option<Arc<str>> {
        let (name, life) = self.lives.remove_entry(key)?;
        timers.cancel(life.timer);
        Some(name)
    }

    fn check_version(&self, key: &str, wanted: Option<u64>) -> Result<(), MemoryError> {
        let version = self.get(key).map_or(0, |(_, version)| version);
        match wanted {
            Some(wanted) if wanted != version => Err(MemoryError::Changed { version }),
            Some(_) | None => Ok(()),
        }
    }
}

fn typing_key(user: &str) -> String {
    format!("{}{user}", Memory::TYPING_PREFIX)
}

/// Why memory was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Keys and values are bounded.
    #[error(transparent)]
    Keyed(#[from] KeyedError),
    /// Read the value, and decide again.
    #[error("the key was changed at version {version}")]
    Changed {
        /// The version of the key's last change; 0 if it is not there.
        version: u64,
    },
    /// Use a time to live within the bound.
    #[error("a time to live is 1 to {ttl_ms_max} milliseconds")]
    Ttl {
        /// Longest time to live.
        ttl_ms_max: u64,
    },
    /// Users say themselves that they are typing, and in another way.
    #[error("keys that begin with typing/ are set by who is typing")]
    Reserved,
}

impl MemoryError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Keyed(error) => error.code(),
            Self::Changed { .. } => Code::Fenced,
            Self::Ttl { .. } => Code::InvalidRequest,
            Self::Reserved => Code::Forbidden,
        }
    }
}

#[cfg(test)]
mod tests;
