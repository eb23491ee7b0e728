//! The buffer of one room.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use floe_proto::Millis;

use super::{BufferError, BufferLimits, Durable, FlushId, Increment, Incremented, Number, Update};

/// What one room has not written down. See the [module](super).
#[derive(Debug, Clone, Default)]
pub(super) struct Buffer {
    keys: BTreeMap<Arc<str>, Unwritten>,
    /// When each key that waits is due.
    due: BTreeSet<(Millis, Arc<str>)>,
    /// The keys of each flush that is under way.
    flushes: BTreeMap<FlushId, Vec<Arc<str>>>,
    bytes: usize,
}

/// What a key has that is not written down; one of both at least.
#[derive(Debug, Clone, Default)]
struct Unwritten {
    /// The newest value, which waits for its interval.
    waiting: Option<Waiting>,
    /// Older values, which are being written, oldest first.
    under_way: VecDeque<UnderWay>,
}

#[derive(Debug, Clone)]
struct Waiting {
    value: Box<str>,
    due: Millis,
    interval_ms: u64,
}

#[derive(Debug, Clone)]
struct UnderWay {
    flush: FlushId,
    value: Box<str>,
    interval_ms: u64,
}

/// Keys and values that are written down now.
pub(super) type Values = Vec<(Box<str>, Box<str>)>;

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Bytes of all keys and values.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns when the first value is due.
    pub(super) fn next_due(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Returns the newest value of a key, if it is not written down.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let unwritten = self.keys.get(key)?;
        let waiting = unwritten.waiting.as_ref().map(|waiting| &*waiting.value);
        waiting.or_else(|| unwritten.under_way.back().map(|older| &*older.value))
    }

    pub(super) fn update(
        &mut self,
        limits: &BufferLimits,
        update: &Update<'_>,
        now: Millis,
    ) -> Result<(), BufferError> {
        let &Update { key, value, .. } = update;
        let interval_ms = check(limits, key, value, update.interval_ms)?;
        self.check_space(limits, key, value)?;
        self.put(key, value.into(), interval_ms, now);
        Ok(())
    }

    pub(super) fn increment(
        &mut self,
        limits: &BufferLimits,
        increment: &Increment<'_>,
        now: Millis,
    ) -> Result<Incremented, BufferError> {
        let &Increment { key, by, .. } = increment;
        let newest = match (self.get(key), increment.durable) {
            (Some(value), _) | (None, Durable::Value(value)) => Number::of_json(value),
            (None, Durable::Absent) => Some(Number::Whole(0)),
            (None, Durable::Unknown) => {
                check(limits, key, "", increment.interval_ms)?;
                return Ok(Incremented::Unknown);
            }
        };
        let sum = newest.ok_or(BufferError::NotANumber)?.plus(by);
        let sum = sum.ok_or(BufferError::Range)?;
        let update = Update {
            key,
            value: &sum.to_string(),
            interval_ms: increment.interval_ms,
        };
        self.update(limits, &update, now)?;
        Ok(Incremented::Sum(sum))
    }

    /// Takes what is due until `now`, as flush `id`.
    pub(super) fn take_due(&mut self, id: FlushId, now: Millis, bytes_max: usize) -> Values {
        let due = self.due.iter().take_while(|(at, _)| *at <= now);
        let waiting = due.filter_map(|(_, key)| {
            let waiting = self.keys.get(key)?.waiting.as_ref()?;
            Some((key.clone(), waiting))
        });
        let mut keys = first_of(waiting, bytes_max);
        keys.sort_unstable();
        self.begin(id, keys)
    }

    /// Takes what waits, or that of one key, as flush `id`.
    pub(super) fn take(&mut self, id: FlushId, key: Option<&str>, bytes_max: usize) -> Values {
        let keys = match key {
            Some(key) => {
                let known = self.keys.get_key_value(key);
                let waits = known.filter(|(_, unwritten)| unwritten.waiting.is_some());
                waits.map(|(key, _)| key.clone()).into_iter().collect()
            }
            None => {
                let all = self.keys.iter();
                let waiting = all.filter_map(|(key, unwritten)| {
                    Some((key.clone(), unwritten.waiting.as_ref()?))
                });
                first_of(waiting, bytes_max)
            }
        };
        self.begin(id, keys)
    }

    /// Returns the flushes that are under way, or those of one key, oldest first.
    pub(super) fn under_way(&self, key: Option<&str>) -> Vec<FlushId> {
        match key {
            None => self.flushes.keys().copied().collect(),
            Some(key) => {
                let unwritten = self.keys.get(key).into_iter();
                let older = unwritten.flat_map(|unwritten| &unwritten.under_way);
                older.map(|older| older.flush).collect()
            }
        }
    }

    /// A flush is durable, or failed; returns how many values it had.
    pub(super) fn finish(&mut self, id: FlushId, is_durable: bool, now: Millis) -> usize {
        let keys = self.flushes.remove(&id).unwrap_or_default();
        for key in &keys {
            let Some(unwritten) = self.keys.get_mut(key) else {
                continue;
            };
            let at = unwritten
                .under_way
                .iter()
                .position(|older| older.flush == id);
            let Some(older) = at.and_then(|at| unwritten.under_way.remove(at)) else {
                continue;
            };
            let is_newest =
                unwritten.waiting.is_none() && unwritten.under_way.iter().all(|one| one.flush < id);
            if !is_durable && is_newest {
                let due = now.plus(older.interval_ms);
                unwritten.waiting = Some(Waiting {
                    value: older.value,
                    due,
                    interval_ms: older.interval_ms,
                });
                self.due.insert((due, key.clone()));
                continue;
            }
            self.bytes -= older.value.len();
            if unwritten.waiting.is_none() && unwritten.under_way.is_empty() {
                self.bytes -= key.len();
                self.keys.remove(key);
            }
        }
        keys.len()
    }

    fn begin(&mut self, id: FlushId, keys: Vec<Arc<str>>) -> Values {
        let mut values = Vec::with_capacity(keys.len());
        for key in &keys {
            let Some(unwritten) = self.keys.get_mut(key) else {
                continue;
            };
            let Some(waiting) = unwritten.waiting.take() else {
                continue;
            };
            self.due.remove(&(waiting.due, key.clone()));
            values.push((Box::from(&**key), waiting.value.clone()));
            unwritten.under_way.push_back(UnderWay {
                flush: id,
                value: waiting.value,
                interval_ms: waiting.interval_ms,
            });
        }
        if !keys.is_empty() {
            self.flushes.insert(id, keys);
        }
        values
    }

    fn put(&mut self, key: &str, value: Box<str>, interval_ms: u64, now: Millis) {
        let due = now.plus(interval_ms);
        if !self.keys.contains_key(key) {
            self.bytes += key.len();
            self.keys.insert(key.into(), Unwritten::default());
        }
        self.bytes += value.len();
        let Some(unwritten) = self.keys.get_mut(key) else {
            return;
        };
        if let Some(waiting) = &mut unwritten.waiting {
            self.bytes -= waiting.value.len();
            (waiting.value, waiting.interval_ms) = (value, interval_ms);
            // Whoever updated it first was promised that it would be written by then.
            if due < waiting.due {
                let moved = std::mem::replace(&mut waiting.due, due);
                self.due.remove(&(moved, key.into()));
                self.due.insert((due, key.into()));
            }
            return;
        }
        unwritten.waiting = Some(Waiting {
            value,
            due,
            interval_ms,
        });
        self.due.insert((due, key.into()));
    }

    fn check_space(
        &self,
        limits: &BufferLimits,
        key: &str,
        value: &str,
    ) -> Result<(), BufferError> {
        let known = self.keys.get(key);
        let keys_max = limits.keys_max;
        if known.is_none() && self.keys.len() >= keys_max {
            return Err(BufferError::Keys { keys_max });
        }
        let replaced = known.and_then(|unwritten| unwritten.waiting.as_ref());
        let replaced = replaced.map_or(0, |waiting| waiting.value.len());
        let added = value.len() + if known.is_none() { key.len() } else { 0 };
        if self.bytes - replaced + added > limits.bytes_max {
            return Err(BufferError::Bytes { bytes: self.bytes });
        }
        Ok(())
    }
}

/// Returns the first keys, as many as take so many bytes with their values, but at least one.
fn first_of<'a>(
    waiting: impl Iterator<Item = (Arc<str>, &'a Waiting)>,
    bytes_max: usize,
) -> Vec<Arc<str>> {
    let mut bytes = 0;
    let mut keys = Vec::new();
    for (key, waiting) in waiting {
        bytes += key.len() + waiting.value.len();
        if bytes > bytes_max && !keys.is_empty() {
            break;
        }
        keys.push(key);
    }
    keys
}

/// Checks what can be told of an update by itself; returns its interval.
fn check(
    limits: &BufferLimits,
    key: &str,
    value: &str,
    interval_ms: Option<u64>,
) -> Result<u64, BufferError> {
    let &BufferLimits {
        key_bytes_max,
        value_bytes_max,
        interval_ms_min,
        interval_ms_max,
        ..
    } = limits;
    if key.is_empty() || key.len() > key_bytes_max {
        return Err(BufferError::Key { key_bytes_max });
    }
    if value.len() > value_bytes_max {
        return Err(BufferError::Value { value_bytes_max });
    }
    let interval_ms = interval_ms.unwrap_or(limits.interval_ms);
    if interval_ms < interval_ms_min || interval_ms > interval_ms_max {
        return Err(BufferError::Interval {
            interval_ms_min,
            interval_ms_max,
        });
    }
    Ok(interval_ms)
}
