//! What a log knows of its cold tier, and what it does next.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use floe_proto::Millis;

use crate::disk::{Disk, DiskFile};
use crate::error::{ReadError, WorkError};
use crate::hash;
use crate::log::Log;
use crate::manifest::ObjectId;
use crate::merge::MergeJob;
use crate::read::Part;
use crate::segment::{CHUNK_BYTES, Segment};
use crate::segments::Live;
use crate::work::{Task, Work};

use super::backoff::Backoff;
use super::{
    Cache, ColdWant, CoolDone, CoolJob, FetchDone, FetchError, FetchId, FetchJob, ObjectStore,
    Remote, SweepDone, SweepJob,
};

/// Settings of the cold tier; all have defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdOptions {
    /// Bytes of segments that stay in the folder; 1 GiB. What is beyond moves, oldest data first.
    pub hot_bytes_max: u64,
    /// Milliseconds since its youngest record that a segment stays in the folder; 10 minutes.
    pub age_min_ms: u64,
    /// Bytes from which a segment may move; 32 MiB. Smaller ones are merged first.
    pub segment_bytes_min: u64,
    /// Bytes of fetched blocks kept in the folder; 1 GiB; four times the largest record at least.
    pub cache_bytes_max: u64,
    /// Bytes of one object; 16 MiB. A segment is stored as several; a multiple of 64 KiB.
    pub part_bytes: u32,
    /// Bytes that are fetched at least; 1 MiB; a multiple of 64 KiB.
    pub block_bytes: u32,
    /// Fetches that may wait at once; 256. Beyond it reads of cold data fail.
    pub fetches_max: usize,
}

impl Default for ColdOptions {
    fn default() -> Self {
        Self {
            hot_bytes_max: 1 << 30,
            age_min_ms: 10 * 60 * 1000,
            segment_bytes_min: 32 << 20,
            cache_bytes_max: 1 << 30,
            part_bytes: 16 << 20,
            block_bytes: 1 << 20,
            fetches_max: 256,
        }
    }
}

impl ColdOptions {
    fn bounded(self, record_bytes_max: u32) -> Self {
        let chunk = CHUNK_BYTES as u32;
        let whole = |bytes: u32| bytes.clamp(chunk, 1 << 30).next_multiple_of(chunk);
        let least = 4 * u64::from(record_bytes_max);
        Self {
            cache_bytes_max: self.cache_bytes_max.max(least),
            part_bytes: whole(self.part_bytes),
            block_bytes: whole(self.block_bytes),
            ..self
        }
    }
}

/// Figures about the cold tier; counts are since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColdStats {
    /// Cold segments.
    pub segments: usize,
    /// Bytes of their objects.
    pub object_bytes: u64,
    /// Bytes of segments in the folder that should have moved by now.
    pub lag_bytes: u64,
    /// Bytes of fetched blocks in the folder.
    pub cache_bytes: u64,
    /// Segments moved.
    pub cooled: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Fetches that succeeded.
    pub fetched: u64,
    /// Bytes of them.
    pub fetched_bytes: u64,
    /// Objects removed.
    pub removed: u64,
    /// Pieces of work that the store failed, fetches included.
    pub failures: u64,
    /// Reads that found all they needed in the cache.
    pub hits: u64,
    /// Reads that had to wait for a fetch.
    pub misses: u64,
}

/// The cold tier's part of a log.
#[derive(Debug, Default)]
pub(crate) struct Cold {
    remote: Option<Arc<Remote>>,
    options: ColdOptions,
    now: Millis,
    pub(crate) cache: Cache,
    /// Fetches that no thread has taken, oldest first.
    queue: VecDeque<Fetch>,
    /// Fetches on their way.
    under_way: Vec<Fetch>,
    /// Fetches that have ended.
    ended: VecDeque<(FetchId, Result<(), FetchError>)>,
    next_fetch: u64,
    /// Until when fetches are refused, because the store failed one.
    fetch_backoff: Backoff,
    /// Whether upkeep is on its way: of cooling, writing anew and sweeping one at a time.
    upkeep: bool,
    upkeep_backoff: Backoff,
    /// The segment that is being cooled or written anew.
    pinned: Option<u32>,
    doomed: Vec<(u32, ObjectId)>,
    /// When all objects are looked at next.
    sweep_at: Millis,
    tries: u64,
    /// Random, so that two processes never draw the same, whatever their clocks say.
    salt: u64,
    stats: ColdStats,
    hits: std::cell::Cell<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Fetch {
    id: FetchId,
    want: ColdWant,
}

/// Milliseconds between two looks at all objects.
const SWEEP_MS: u64 = 24 * 60 * 60 * 1000;

impl Cold {
    /// Returns whether local merges must leave a segment alone.
    pub(crate) fn pins(&self, number: u32) -> bool {
        self.pinned == Some(number)
    }

    pub(crate) fn remote(&self) -> Option<&Arc<Remote>> {
        self.remote.as_ref()
    }

    /// Notes that a cold segment is of no use any more.
    pub(crate) fn bury<F: DiskFile>(&mut self, segment: &Segment<F>) {
        if let Some(object) = segment.id.object {
            self.cache.forget(segment.number());
            self.doomed.push((segment.number(), object));
        }
    }

    /// Returns the payload of a cold segment from `at` on, out of the cache.
    pub(crate) fn parts<D: Disk>(
        &self,
        disk: &D,
        segment: &Segment<D::File>,
        at: u64,
        len: u64,
    ) -> Result<Vec<Part<D::File>>, ReadError> {
        let block_bytes = u64::from(self.options.block_bytes);
        let (first, last) = (at / block_bytes, (at + len - 1) / block_bytes);
        let missing =
            (first..=last).find(|&block| !self.cache.contains((segment.number(), block as u32)));
        if let Some(missing) = missing {
            return Err(ReadError::Cold(ColdWant {
                segment: segment.number(),
                first: missing as u32,
                last: last as u32,
            }));
        }
        let mut parts = Vec::new();
        for block in first..=last {
            let start = block * block_bytes;
            let (from, until) = (at.max(start), (at + len).min(start + block_bytes));
            let key = (segment.number(), block as u32);
            let part = self.cache.part(disk, key, from - start, until - from)?;
            parts.push(part.expect("it was just there"));
        }
        self.hits.set(self.hits.get() + 1);
        Ok(parts)
    }

    /// A number that differs from server to server and from try to try.
    fn draw(&mut self, hash_key: &[u8; 16], number: u32) -> u64 {
        self.tries += 1;
        let mut bytes = [0; 28];
        bytes[..8].copy_from_slice(&self.now.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tries.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..].copy_from_slice(&number.to_le_bytes());
        hash::name_hash(hash_key, "cold object", &bytes).0 as u64
    }

    fn fail_upkeep(&mut self, hash_key: &[u8; 16]) {
        self.stats.failures += 1;
        let chance = self.draw(hash_key, 0);
        self.upkeep_backoff.fail(self.now, chance);
    }
}

impl<D: Disk> Log<D> {
    /// Lets segments move to a store, and read from there.
    ///
    /// Without this, cold segments are there, but reads of what they hold fail with
    /// [`ReadError::Cold`].
    pub fn use_store(&mut self, store: Arc<dyn ObjectStore>, options: ColdOptions) {
        self.cold.remote = Some(Arc::new(Remote::new(store, &self.hash_key)));
        let mut salt = [0; 8];
        // Where every run must be the same, the host's time tells them apart. A system without
        // random numbers would not have opened a log.
        if self.options.hash_key.is_none() && getrandom::fill(&mut salt).is_ok() {
            self.cold.salt = u64::from_le_bytes(salt);
        }
        self.cold.options = options.bounded(self.options.record_bytes_max);
    }

    /// Asks for blocks; once [`poll_fetched`](Self::poll_fetched) returns the name, read again.
    ///
    /// # Errors
    /// When the store has failed a moment ago, or too many wait.
    pub fn want_cold(&mut self, want: ColdWant) -> Result<FetchId, FetchError> {
        let refuse = |what: &str| Err(FetchError::Unavailable(what.to_owned()));
        if self.cold.remote.is_none() {
            return refuse("there is no store of cold data");
        }
        self.cold.stats.misses += 1;
        let covers = |fetch: &&Fetch| {
            let Fetch { want: on_way, .. } = fetch;
            on_way.segment == want.segment && (on_way.first..=on_way.last).contains(&want.first)
        };
        let mut all = self.cold.queue.iter().chain(&self.cold.under_way);
        if let Some(fetch) = all.find(covers) {
            return Ok(fetch.id);
        }
        if !self.cold.fetch_backoff.is_over(self.cold.now) {
            return refuse("it failed a moment ago");
        }
        if self.cold.queue.len() >= self.cold.options.fetches_max {
            return refuse("too many reads wait for it");
        }
        let id = FetchId(self.cold.next_fetch);
        self.cold.next_fetch += 1;
        self.cold.queue.push_back(Fetch { id, want });
        Ok(id)
    }

    /// Returns the next fetch that has ended.
    pub fn poll_fetched(&mut self) -> Option<(FetchId, Result<(), FetchError>)> {
        self.cold.ended.pop_front()
    }

    /// Takes a fetch, for a thread that may wait for the store.
    pub fn take_fetch(&mut self) -> Option<Work<D>> {
        let remote = Arc::clone(self.cold.remote.as_ref()?);
        loop {
            let fetch = self.cold.queue.pop_front()?;
            let Fetch { id, want } = fetch;
            let live = self.segments.find(want.segment);
            let Some(segment) = live.filter(|segment| segment.origin.is_some()) else {
                // It was merged meanwhile, and whoever reads again finds it elsewhere.
                self.cold.ended.push_back((id, Ok(())));
                continue;
            };
            let blocks = want.first..=want.last;
            let job = FetchJob {
                id,
                disk: self.disk.clone(),
                remote,
                segment: Arc::clone(segment),
                first: want.first,
                block_bytes: self.cold.options.block_bytes,
                files: blocks.map(|_| self.cold.cache.take_name()).collect(),
            };
            self.cold.under_way.push(fetch);
            return Some(Work::new(Task::Fetch(job)));
        }
    }

    /// Says what time it is, without asking for work.
    pub fn set_cold_time(&mut self, now: Millis) {
        self.cold.now = now;
    }

    /// Takes the most urgent upkeep of the cold tier, for a thread that may wait for the store.
    ///
    /// `now` is the host's time, which never goes back.
    pub fn take_cold_work(&mut self, now: Millis) -> Option<Work<D>> {
        self.cold.now = now;
        let remote = Arc::clone(self.cold.remote.as_ref()?);
        if self.cold.upkeep || !self.cold.upkeep_backoff.is_over(now) {
            return None;
        }
        let task = self
            .take_sweep(&remote)
            .map(Task::Sweep)
            .or_else(|| self.take_cool(&remote).map(Task::Cool))
            .or_else(|| self.take_rewrite().map(Task::Rewrite))?;
        self.cold.upkeep = true;
        Some(Work::new(task))
    }

    fn take_sweep(&mut self, remote: &Arc<Remote>) -> Option<SweepJob<D>> {
        let all = self.cold.now >= self.cold.sweep_at;
        if !all && self.cold.doomed.is_empty() {
            return None;
        }
        Some(SweepJob {
            home: Arc::clone(&self.home),
            remote: Arc::clone(remote),
            doomed: match all {
                true => Vec::new(),
                false => std::mem::take(&mut self.cold.doomed),
            },
        })
    }

    fn take_cool(&mut self, remote: &Arc<Remote>) -> Option<CoolJob<D>> {
        let (live, _) = self.due_to_move()?;
        let segment = Arc::clone(&live.segment);
        let number = segment.number();
        let object = NonZeroU64::new(self.cold.draw(&self.hash_key, number))?;
        self.cold.pinned = Some(number);
        Some(CoolJob {
            disk: self.disk.clone(),
            home: Arc::clone(&self.home),
            remote: Arc::clone(remote),
            segment,
            object: ObjectId(object),
            part_bytes: self.cold.options.part_bytes,
        })
    }

    /// Finds the segment that moves next, and how many bytes should have moved by now.
    fn due_to_move(&self) -> Option<(&Live<D::File>, u64)> {
        let is_hot = |live: &&Live<D::File>| live.segment.origin.is_none() && !live.replaced;
        let hot = self.segments.list().iter().filter(is_hot);
        let hot_bytes: u64 = hot.map(|live| live.segment.id.bytes).sum();
        let surplus = hot_bytes.saturating_sub(self.cold.options.hot_bytes_max);
        if surplus == 0 || self.cold.remote.is_none() {
            return None;
        }
        let mut all = self.segments.list().iter().enumerate();
        let found = all.find(|(at, live)| is_hot(live) && self.may_cool(*at, live));
        found.map(|(_, live)| (live, surplus))
    }

    fn may_cool(&self, at: usize, live: &Live<D::File>) -> bool {
        let options = &self.cold.options;
        let id = live.segment.id;
        let old = id.newest.plus(options.age_min_ms) <= self.cold.now;
        // What lies before a cold segment is never merged, so it need not wait to become larger.
        let mut younger = self.segments.list()[at..].iter();
        let worth = id.bytes >= options.segment_bytes_min
            || younger.any(|live| live.segment.origin.is_some());
        let dead = live.dead_bytes * 2 > id.bytes;
        let busy = self.merge_inputs.contains(&id.number);
        old && worth && !dead && !busy && id.bytes <= u32::MAX.into()
    }

    /// Begins to write anew the oldest cold segment of which half is dead.
    fn take_rewrite(&mut self) -> Option<MergeJob<D>> {
        if !self.installs.is_empty() {
            return None;
        }
        let is_worth = |(at, live): &(usize, &Live<D::File>)| {
            let segment = &live.segment;
            // Nobody needs to be told that rooms are gone of which nothing is left.
            let useless = *at == 0 && segment.tombstones() == segment.row_count();
            let dead = useless || live.dead_bytes * 2 > segment.bytes();
            segment.origin.is_some() && !live.replaced && dead
        };
        let (at, live) = self.segments.list().iter().enumerate().find(is_worth)?;
        self.cold.pinned = Some(live.number);
        Some(self.merge_job(at..at + 1))
    }

    pub(crate) fn finish_cool(&mut self, done: CoolDone<D>) -> Result<(), WorkError> {
        self.cold.upkeep = false;
        self.cold.pinned = None;
        self.cold.stats.sent_bytes += done.bytes;
        match done.result {
            Ok(segment) => {
                self.cold.stats.cooled += 1;
                self.cold.upkeep_backoff.succeed();
                let hot = self.segments.swap(segment);
                self.trash.segments.extend(hot);
                Ok(())
            }
            Err(error) => {
                // Parts of it may be there.
                self.cold.doomed.push((done.number, done.object));
                self.end_upkeep(Err(error))
            }
        }
    }

    pub(crate) fn finish_sweep(&mut self, done: SweepDone) {
        self.cold.upkeep = false;
        self.cold.stats.removed += done.removed;
        match done.result {
            Ok(()) => {
                self.cold.upkeep_backoff.succeed();
                if done.doomed.is_empty() {
                    self.cold.sweep_at = self.cold.now.plus(SWEEP_MS);
                }
            }
            Err(_) => {
                self.cold.doomed.extend(done.doomed);
                self.cold.fail_upkeep(&self.hash_key);
            }
        }
    }

    /// Ends a piece of upkeep; what the store failed is tried again later.
    pub(crate) fn end_upkeep(&mut self, result: Result<(), WorkError>) -> Result<(), WorkError> {
        self.cold.upkeep = false;
        self.cold.pinned = None;
        match result {
            Ok(()) => {
                self.cold.upkeep_backoff.succeed();
                Ok(())
            }
            Err(error) if error.is_full() || error.store().is_some() => {
                self.cold.fail_upkeep(&self.hash_key);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn finish_fetch(&mut self, done: FetchDone) {
        let FetchDone { id, segment, .. } = done;
        self.cold.under_way.retain(|fetch| fetch.id != id);
        let live = self.segments.find(segment);
        let is_cold = live.is_some_and(|segment| segment.origin.is_some());
        let result = match done.result {
            Ok(blocks) if is_cold => {
                self.cold.fetch_backoff.succeed();
                self.cold.stats.fetched += 1;
                let bytes: u64 = blocks.iter().map(|(_, place)| place.bytes()).sum();
                self.cold.stats.fetched_bytes += bytes;
                let bytes_max = self.cold.options.cache_bytes_max;
                self.cold.cache.insert(blocks, bytes_max);
                Ok(())
            }
            result => {
                for file in done.files {
                    self.cold.cache.discard(file);
                }
                match result {
                    Err(error) if is_cold => {
                        self.cold.stats.failures += 1;
                        if error.is_of_the_store() {
                            let chance = self.cold.draw(&self.hash_key, segment);
                            self.cold.fetch_backoff.fail(self.cold.now, chance);
                        }
                        Err(error)
                    }
                    // It was merged meanwhile, and whoever reads again finds it elsewhere.
                    Ok(_) | Err(_) => Ok(()),
                }
            }
        };
        self.cold.ended.push_back((id, result));
    }

    /// Returns figures about the cold tier.
    #[must_use]
    pub fn cold_stats(&self) -> ColdStats {
        let cold = self.segments.list().iter().filter(|live| !live.replaced);
        let origins = cold.filter_map(|live| live.segment.origin);
        let mut stats = ColdStats {
            lag_bytes: self.due_to_move().map_or(0, |(_, bytes)| bytes),
            cache_bytes: self.cold.cache.bytes,
            hits: self.cold.hits.get(),
            ..self.cold.stats
        };
        for origin in origins {
            stats.segments += 1;
            stats.object_bytes += origin.bytes;
        }
        stats
    }

    /// Failures in a row of what uploads and removes.
    #[must_use]
    pub fn cold_failures(&self) -> u32 {
        self.cold.upkeep_backoff.failures()
    }
}
