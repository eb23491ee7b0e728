//! Idempotency keys: the newest appends that may be asked for again.

use std::collections::{BTreeMap, VecDeque};

use floe_proto::Millis;
use floe_proto::codec::{Put, Reader};
use sha2::{Digest, Sha256};

/// Idempotency keys that a channel remembers for as long as it lives.
pub const KEYS_MIN: usize = 256;
/// Idempotency keys that a channel remembers at most; the oldest are forgotten first.
pub const KEYS_MAX: usize = 4096;
/// How long a key beyond the newest [`KEYS_MIN`] is remembered.
pub const KEYS_KEPT_MS: u64 = 60_000;

/// Hash of an author and an idempotency key of theirs.
///
/// It is the same in every process. It is the beginning of a cryptographic hash, so that nobody
/// can make up a key whose hash is that of somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// Hashes a key of an author.
    #[must_use]
    pub fn of(author: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((author.len() as u64).to_le_bytes());
        hash.update(author);
        hash.update(key);
        let mut first = [0; 8];
        first.copy_from_slice(&hash.finalize()[..8]);
        Self(u64::from_le_bytes(first))
    }
}

/// The newest keys of a channel, and what came of each.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    by_hash: BTreeMap<KeyHash, Outcome>,
    /// Oldest first.
    order: VecDeque<(KeyHash, Millis)>,
}

/// What came of the append with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Its first unit.
    pub first: u64,
    pub units: u64,
}

impl Keys {
    pub fn find(&self, key: KeyHash) -> Option<Outcome> {
        self.by_hash.get(&key).copied()
    }

    /// Notes the outcome of a key, unless it has one.
    pub fn insert(&mut self, key: KeyHash, first: u64, units: u64, now: Millis) {
        if self.by_hash.contains_key(&key) {
            return;
        }
        let now = self.order.back().map_or(now, |(_, last)| now.max(*last));
        self.by_hash.insert(key, Outcome { first, units });
        self.order.push_back((key, now));
        while self.is_oldest_superfluous(now)
            && let Some((oldest, _)) = self.order.pop_front()
        {
            self.by_hash.remove(&oldest);
        }
    }

    fn is_oldest_superfluous(&self, now: Millis) -> bool {
        let is_old = |(_, time): &(KeyHash, Millis)| now.since(*time) >= KEYS_KEPT_MS;
        self.order.len() > KEYS_MAX
            || (self.order.len() > KEYS_MIN && self.order.front().is_some_and(is_old))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.order.len() as u64);
        let (mut unit, mut time) = (0, 0);
        for (key, at) in &self.order {
            let Some(outcome) = self.by_hash.get(key) else {
                unreachable!("every key in order has an outcome");
            };
            out.put_u64(key.0);
            out.put_varint(outcome.first - unit);
            out.put_varint(outcome.units);
            out.put_varint(at.0 - time);
            (unit, time) = (outcome.first, at.0);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut keys = Self::default();
        let (mut unit, mut time) = (0_u64, 0_u64);
        for _ in 0..reader.varint()? {
            let key = KeyHash(reader.u64()?);
            unit = unit.checked_add(reader.varint()?)?;
            let units = reader.varint()?;
            time = time.checked_add(reader.varint()?)?;
            keys.by_hash.insert(key, Outcome { first: unit, units });
            keys.order.push_back((key, Millis(time)));
        }
        (keys.by_hash.len() == keys.order.len()).then_some(keys)
    }
}
