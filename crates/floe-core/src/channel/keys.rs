//! Idempotency keys: the newest appends that may be asked for again.

use std::collections::VecDeque;

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

    const fn lower_half(self) -> u32 {
        self.0 as u32
    }
}

/// The newest keys of a channel, oldest first, and what came of each.
///
/// A look through halves of all hashes, which lie side by side, takes less time than a tree would,
/// and the log's fold has no tree to build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    /// The lower half of each hash.
    halves: VecDeque<u32>,
    outcomes: VecDeque<Outcome>,
}

/// What came of the append with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outcome {
    key: KeyHash,
    /// Its first unit.
    pub first: u64,
    pub units: u64,
    time: Millis,
}

impl Keys {
    pub fn find(&self, key: KeyHash) -> Option<Outcome> {
        let (front, back) = self.halves.as_slices();
        find_half(front, key, |at| self.outcomes.get(at))
            .or_else(|| find_half(back, key, |at| self.outcomes.get(front.len() + at)))
    }

    /// Notes the outcome of a new key.
    pub fn insert(&mut self, key: KeyHash, first: u64, units: u64, now: Millis) {
        let time = self.outcomes.back().map_or(now, |last| now.max(last.time));
        self.push(Outcome {
            key,
            first,
            units,
            time,
        });
        while self.is_oldest_superfluous(time) {
            self.halves.pop_front();
            self.outcomes.pop_front();
        }
    }

    fn push(&mut self, outcome: Outcome) {
        self.halves.push_back(outcome.key.lower_half());
        self.outcomes.push_back(outcome);
    }

    fn is_oldest_superfluous(&self, now: Millis) -> bool {
        let is_old = |oldest: &Outcome| now.since(oldest.time) >= KEYS_KEPT_MS;
        self.outcomes.len() > KEYS_MAX
            || (self.outcomes.len() > KEYS_MIN && self.outcomes.front().is_some_and(is_old))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.outcomes.len() as u64);
        let (mut unit, mut time) = (0, 0);
        for outcome in &self.outcomes {
            out.put_u64(outcome.key.0);
            out.put_varint(outcome.first - unit);
            out.put_varint(outcome.units);
            out.put_varint(outcome.time.0 - time);
            (unit, time) = (outcome.first, outcome.time.0);
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let mut keys = Self::default();
        let (mut first, mut time) = (0_u64, 0_u64);
        for _ in 0..reader.varint()? {
            let key = KeyHash(reader.u64()?);
            first = first.checked_add(reader.varint()?)?;
            let units = reader.varint()?;
            time = time.checked_add(reader.varint()?)?;
            keys.push(Outcome {
                key,
                first,
                units,
                time: Millis(time),
            });
        }
        Some(keys)
    }
}

/// Finds a key by its half, many at a glance: a search that could stop at each takes much longer.
fn find_half<'a>(
    halves: &[u32],
    key: KeyHash,
    outcome: impl Fn(usize) -> Option<&'a Outcome>,
) -> Option<Outcome> {
    const GLANCE: usize = 64;
    let half = key.lower_half();
    for (glance, chunk) in halves.chunks(GLANCE).enumerate() {
        if !chunk.iter().fold(false, |is, one| is | (*one == half)) {
            continue;
        }
        let places = glance * GLANCE..glance * GLANCE + chunk.len();
        let found = places.filter_map(&outcome).find(|one| one.key == key);
        if found.is_some() {
            return found.copied();
        }
    }
    None
}
