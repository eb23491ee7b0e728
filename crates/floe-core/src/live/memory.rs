//! A room's memory: values that go by themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::{Code, Millis};

use super::keyed::{Changes, Keyed, KeyedError, KeyedLimits};
use super::timers::{TimerKind, Timers};
use super::wheel::TimerId;

/// Values under keys, each with a time to live. Nothing of it is ever on disk.
///
/// It is bounded: at its bounds, keys that were used longest ago make way, be it by a read or a write,
/// and watchers are told of them as of all that are removed.
///
/// Some keys are a user's own: the prefix says what they tell of the user, whose name is the rest.
/// Only [`Memory::set_own`] sets them, so nobody speaks for another.
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
    /// How long a user's cursor stays where it is.
    pub cursor_ttl_ms: u64,
    /// How long a user's status holds.
    pub presence_ttl_ms: u64,
}

/// How much a memory holds, how much it may hold, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUsage {
    /// Keys that are there.
    pub entries: usize,
    /// Bytes of all keys and values.
    pub bytes: usize,
    /// Keys that may be there at once.
    pub entries_max: usize,
    /// Bytes that keys and values may have.
    pub bytes_max: usize,
    /// Keys that made way since the memory was made.
    pub evictions: u64,
}

/// What a user tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Own {
    /// That it is typing.
    Typing,
    /// Where its cursor is.
    Cursor,
    /// How it is.
    Presence,
}

impl Own {
    /// Everything that a user tells of itself.
    pub const ALL: [Self; 3] = [Self::Typing, Self::Cursor, Self::Presence];

    /// What the keys begin with; the rest is the user.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Typing => "typing/",
            Self::Cursor => "cursors/",
            Self::Presence => "presence/",
        }
    }

    /// Returns the key of a user.
    #[must_use]
    pub fn key(self, user: &str) -> String {
        format!("{}{user}", self.prefix())
    }

    /// Returns what a key tells of its user, if it is one of these.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|own| key.starts_with(own.prefix()))
    }
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
                evicts: true,
            },
            ttl_ms_max: 24 * 60 * 60 * 1_000,
            typing_ttl_ms: 3_000,
            cursor_ttl_ms: 30_000,
            presence_ttl_ms: 60_000,
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
    pub const TYPING_PREFIX: &str = Own::Typing.prefix();

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
        check_free(set.key)?;
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
        check_free(key)?;
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
        self.set_own(Own::Typing, user, b"true", now, timers)
    }

    /// Sets what a user tells of itself, for the time that is due to it. Who the user is, the host
    /// has made sure of.
    ///
    /// # Errors
    /// See [`MemoryError`]; nothing is changed.
    pub fn set_own(
        &mut self,
        own: Own,
        user: &str,
        value: &[u8],
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<u64, MemoryError> {
        let ttl_ms = match own {
            Own::Typing => self.limits.typing_ttl_ms,
            Own::Cursor => self.limits.cursor_ttl_ms,
            Own::Presence => self.limits.presence_ttl_ms,
        };
        self.put(&own.key(user), value, now.plus(ttl_ms), timers)
    }

    /// Notes that a user is typing no more; returns the version of that change, if it is one.
    pub fn clear_typing(&mut self, user: &str, timers: &mut Timers<'_>) -> Option<u64> {
        self.take(&Own::Typing.key(user), timers)
    }

    /// Notes that a value is read, so that others make way before it.
    pub fn touch(&mut self, key: &str) {
        self.values.touch(key);
    }

    /// Returns how much there is.
    #[must_use]
    pub fn usage(&self) -> MemoryUsage {
        MemoryUsage {
            entries: self.values.len(),
            bytes: self.values.bytes(),
            entries_max: self.limits.keyed.keys_max,
            bytes_max: self.limits.keyed.bytes_max,
            evictions: self.values.evictions(),
        }
    }

    /// Returns a value and the version of its last change; [`touch`](Self::touch) makes it a use.
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

fn check_free(key: &str) -> Result<(), MemoryError> {
    match Own::of_key(key) {
        Some(own) => Err(MemoryError::Reserved(own)),
        None => Ok(()),
    }
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
    /// Users say that of themselves, and in another way.
    #[error("keys that begin with {} are set by the user that they name", .0.prefix())]
    Reserved(Own),
}

impl MemoryError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Keyed(error) => error.code(),
            Self::Changed { .. } => Code::Fenced,
            Self::Ttl { .. } => Code::InvalidRequest,
            Self::Reserved(_) => Code::Forbidden,
        }
    }
}

#[cfg(test)]
mod tests;
