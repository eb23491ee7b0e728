//! Keyed state: values under keys, of which every reader is told what has changed.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use floe_proto::Code;

/// Values under keys, with a version for each change.
///
/// A reader that has seen a version is told what became of each key that changed since, once, as
/// it is now. So a slow reader is told less often, and nothing waits for it.
#[derive(Debug, Clone)]
pub struct Keyed {
    limits: KeyedLimits,
    entries: BTreeMap<Arc<str>, Entry>,
    /// The key of each entry, by the version of its last change.
    order: BTreeMap<u64, Arc<str>>,
    /// The key of each entry, by when it was last used; empty where no key makes way.
    uses: BTreeMap<u64, Arc<str>>,
    /// Uses so far.
    used: u64,
    /// Keys that made way so far.
    evictions: u64,
    /// Keys that were removed, oldest first.
    removed: VecDeque<(u64, Arc<str>)>,
    version: u64,
    /// Changes up to this version are not all known any more.
    floor: u64,
    bytes: usize,
}

/// Bounds of a [`Keyed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedLimits {
    /// Keys at once.
    pub keys_max: usize,
    /// Bytes of a key.
    pub key_bytes_max: usize,
    /// Bytes of a value.
    pub value_bytes_max: usize,
    /// Bytes of all keys and values.
    pub bytes_max: usize,
    /// Removed keys that are remembered for readers that have not seen them go.
    pub removed_max: usize,
    /// Whether the keys that were used longest ago make way at a bound; else a new key is refused.
    /// It is the same for as long as the map is there.
    pub evicts: bool,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Box<[u8]>,
    version: u64,
    /// When it was last used, among all uses; 0 where that is not counted.
    used: u64,
}

/// What a reader has to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes<'a> {
    /// What changed.
    Delta(Delta<'a>),
    /// Everything: it is not known any more what has changed.
    Snapshot(Snapshot<'a>),
}

/// What changed between two versions; nothing if they are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta<'a> {
    /// The version that the reader has seen.
    pub from: u64,
    /// The version that it has seen then.
    pub to: u64,
    /// Keys and their values, in the order of their changes.
    pub set: Vec<(&'a str, &'a [u8])>,
    /// Keys that are there no more, ascending.
    pub removed: Vec<&'a str>,
}

/// Everything that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot<'a> {
    /// The version of it.
    pub version: u64,
    /// Keys and their values, ascending by key.
    pub entries: Vec<(&'a str, &'a [u8])>,
}

impl Keyed {
    /// Makes a map without keys, whose first change gets the version after `version`.
    #[must_use]
    pub const fn new(limits: KeyedLimits, version: u64) -> Self {
        Self {
            limits,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            uses: BTreeMap::new(),
            used: 0,
            evictions: 0,
            removed: VecDeque::new(),
            version,
            floor: version,
            bytes: 0,
        }
    }

    /// Bounds what is set from now on; what is there stays until something is set.
    pub const fn set_limits(&mut self, limits: KeyedLimits) {
        let evicts = self.limits.evicts;
        self.limits = KeyedLimits { evicts, ..limits };
    }

    /// The version of the newest change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all keys and values.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keys that made way since the map was made.
    #[must_use]
    pub const fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Returns a value and the version of its last change; that alone is no use of it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(&[u8], u64)> {
        let entry = self.entries.get(key)?;
        Some((&entry.value, entry.version))
    }

    /// Notes that a key was used: others make way before it.
    pub fn touch(&mut self, key: &str) {
        if !self.limits.evicts {
            return;
        }
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(name) = self.uses.remove(&entry.used) {
            self.used += 1;
            entry.used = self.used;
            self.uses.insert(self.used, name);
        }
    }

    /// Sets a value, which is a use of it; returns the version of the key's last change.
    ///
    /// The same value again is no change. Keys that made way are appended to `evicted`; readers are
    /// told of them as of all that are removed.
    ///
    /// # Errors
    /// See [`KeyedError`]; nothing is changed.
    pub fn set(
        &mut self,
        key: &str,
        value: &[u8],
        evicted: &mut Vec<Arc<str>>,
    ) -> Result<u64, KeyedError> {
        self.check(key, value)?;
        let known = self.entries.get(key);
        if let Some(entry) = known.filter(|entry| *entry.value == *value) {
            let version = entry.version;
            self.touch(key);
            return Ok(version);
        }
        let old = known.map(|entry| (key.len() + entry.value.len(), entry.version, entry.used));
        let old_bytes = old.map_or(0, |(bytes, ..)| bytes);
        self.make_space(key, key.len() + value.len(), old_bytes, evicted)?;
        self.version += 1;
        let name = match old.and_then(|(_, version, _)| self.order.remove(&version)) {
            Some(name) => name,
            None => key.into(),
        };
        let mut used = 0;
        if self.limits.evicts {
            self.uses.remove(&old.map_or(0, |(.., used)| used));
            self.used += 1;
            used = self.used;
            self.uses.insert(used, name.clone());
        }
        self.bytes += key.len() + value.len();
        self.bytes -= old_bytes;
        let entry = Entry {
            value: value.into(),
            version: self.version,
            used,
        };
        self.entries.insert(name.clone(), entry);
        self.order.insert(self.version, name);
        Ok(self.version)
    }

    /// Removes a key; returns the version of that change, `None` if it was not there.
    pub fn remove(&mut self, key: &str) -> Option<u64> {
        let (name, entry) = self.entries.remove_entry(key)?;
        self.order.remove(&entry.version);
        self.uses.remove(&entry.used);
        self.bytes -= key.len() + entry.value.len();
        self.version += 1;
        self.removed.push_back((self.version, name));
        if self.removed.len() > self.limits.removed_max
            && let Some((version, _)) = self.removed.pop_front()
        {
            self.floor = version;
        }
        Some(self.version)
    }

    /// Returns whether all that changed since a version is known.
    #[must_use]
    pub const fn knows_since(&self, version: u64) -> bool {
        self.floor <= version && version <= self.version
    }

    /// Returns whether a key changed or went since a version, as far as that is known.
    #[must_use]
    pub fn has_changed(&self, key: &str, version: u64) -> bool {
        if let Some((_, changed)) = self.get(key) {
            return changed > version;
        }
        let first = self.removed.partition_point(|(at, _)| *at <= version);
        self.removed.range(first..).any(|(_, gone)| **gone == *key)
    }

    /// Returns what changed since a version.
    #[must_use]
    pub fn changes_since(&self, version: u64) -> Changes<'_> {
        if !self.knows_since(version) {
            return Changes::Snapshot(self.snapshot());
        }
        let since = (Bound::Excluded(version), Bound::Unbounded);
        let set = self.order.range::<u64, _>(since);
        let first = self.removed.partition_point(|(at, _)| *at <= version);
        let mut removed: Vec<_> = self
            .removed
            .range(first..)
            .map(|(_, key)| &**key)
            .filter(|key| !self.entries.contains_key(*key))
            .collect();
        removed.sort_unstable();
        removed.dedup();
        Changes::Delta(Delta {
            from: version,
            to: self.version,
            set: set
                .filter_map(|(_, key)| Some((&**key, self.get(key)?.0)))
                .collect(),
            removed,
        })
    }

    /// Returns everything.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        let entries = self.entries.iter();
        Snapshot {
            version: self.version,
            entries: entries
                .map(|(key, entry)| (&**key, &*entry.value))
                .collect(),
        }
    }

    /// Returns up to `limit` keys that begin with `prefix` and come after `after`, with their values
    /// and versions, ascending by key.
    ///
    /// A page that is full may have another behind it, after its last key.
    #[must_use]
    pub fn page(&self, prefix: &str, after: Option<&str>, limit: usize) -> Vec<(&str, &[u8], u64)> {
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        self.entries
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, entry)| (&**key, &*entry.value, entry.version))
            .collect()
    }

    fn check(&self, key: &str, value: &[u8]) -> Result<(), KeyedError> {
        let KeyedLimits {
            key_bytes_max,
            value_bytes_max,
            ..
        } = self.limits;
        if key.is_empty() || key.len() > key_bytes_max {
            return Err(KeyedError::Key { key_bytes_max });
        }
        if value.len() > value_bytes_max {
            return Err(KeyedError::Value { value_bytes_max });
        }
        Ok(())
    }

    /// Makes space for a key, which has `old_bytes` with its value now; none if it is not there.
    fn make_space(
        &mut self,
        key: &str,
        bytes: usize,
        old_bytes: usize,
        evicted: &mut Vec<Arc<str>>,
    ) -> Result<(), KeyedError> {
        let KeyedLimits {
            keys_max,
            bytes_max,
            ..
        } = self.limits;
        if bytes > bytes_max || keys_max == 0 {
            return Err(KeyedError::Bytes { bytes_max });
        }
        loop {
            // A key that is there may change, also where there are more than there may be by now.
            let refusal = if old_bytes == 0 && self.entries.len() >= keys_max {
                KeyedError::Keys { keys_max }
            } else if self.bytes - old_bytes + bytes > bytes_max {
                KeyedError::Bytes { bytes_max }
            } else {
                return Ok(());
            };
            let mut oldest = self.uses.values();
            let oldest = oldest.find(|oldest| ***oldest != *key).cloned();
            let Some(oldest) = oldest else {
                return Err(refusal);
            };
            self.remove(&oldest);
            self.evictions += 1;
            evicted.push(oldest);
        }
    }
}

/// Why a value was not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyedError {
    /// Use another key.
    #[error("a key has 1 to {key_bytes_max} bytes")]
    Key {
        /// Bytes of a key.
        key_bytes_max: usize,
    },
    /// Use a shorter value.
    #[error("a value has at most {value_bytes_max} bytes")]
    Value {
        /// Bytes of a value.
        value_bytes_max: usize,
    },
    /// Remove keys, or wait until some have expired.
    #[error("the room holds its limit of {keys_max} keys")]
    Keys {
        /// Keys at once.
        keys_max: usize,
    },
    /// Remove keys, or wait until some have expired.
    #[error("the room holds its limit of {bytes_max} bytes of keys and values")]
    Bytes {
        /// Bytes at once.
        bytes_max: usize,
    },
}

impl KeyedError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Key { .. } => Code::InvalidRequest,
            Self::Value { .. } => Code::BodyTooLarge,
            Self::Keys { .. } | Self::Bytes { .. } => Code::LimitReached,
        }
    }
}

#[cfg(test)]
mod tests;
