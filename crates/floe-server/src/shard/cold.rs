//! Reads that have to wait until cold data was fetched.

use std::collections::VecDeque;
use std::sync::Arc;

use floe_log::{ColdOptions, ColdStats, ColdWant, Disk, FetchError, FetchId, ObjectStore, Work};
use floe_proto::{Code, Millis};

use super::{Failure, Shard, Ticket};

/// What is said while cold data cannot be had.
pub(super) const UNAVAILABLE: &str =
    "the store of older data does not answer; newer data can be read";

/// Who waits for which fetch.
#[derive(Debug, Default)]
pub(super) struct ColdWaits {
    waiting: Vec<(FetchId, Ticket)>,
    ended: VecDeque<(Ticket, Result<(), Failure>)>,
    /// Failures in a row when that was last asked for.
    failures: u32,
}

impl<D: Disk> Shard<D> {
    /// Lets segments move to a store, and be read from there.
    pub fn use_store(&mut self, store: Arc<dyn ObjectStore>, options: ColdOptions) {
        self.log.use_store(store, options);
    }

    /// Parks a read until [`poll_cold`](Self::poll_cold) hands out its ticket; then it is to be
    /// tried again.
    ///
    /// # Errors
    /// When the store has just failed, or too many wait.
    pub fn wait_for_cold(&mut self, ticket: Ticket, want: ColdWant) -> Result<(), Failure> {
        let id = self.log.want_cold(want);
        let id = id.map_err(|error| fetch_failure(&error))?;
        let wait = (id, ticket);
        if !self.cold.waiting.contains(&wait) {
            self.cold.waiting.push(wait);
        }
        Ok(())
    }

    /// Returns the next read whose fetch has ended.
    pub fn poll_cold(&mut self) -> Option<(Ticket, Result<(), Failure>)> {
        // One fetch after the other, so that a reader finds its blocks before others push them out.
        while self.cold.ended.is_empty() {
            let (ended, result) = self.log.poll_fetched()?;
            let result = result.map_err(|error| {
                tracing::warn!(%error, "cold data could not be fetched");
                fetch_failure(&error)
            });
            let waiting = self.cold.waiting.extract_if(.., |(id, _)| *id == ended);
            let tickets = waiting.map(|(_, ticket)| (ticket, result.clone()));
            self.cold.ended.extend(tickets);
        }
        self.cold.ended.pop_front()
    }

    /// Has data fetched that nobody waits for, but somebody will ask for again.
    pub(super) fn want_cold(&mut self, want: ColdWant) {
        // If it is refused, the next one who asks tries again.
        let _ = self.log.want_cold(want);
    }

    /// Takes a fetch, for a thread that may wait for the store.
    pub fn take_fetch(&mut self) -> Option<Work<D>> {
        self.log.take_fetch()
    }

    /// Takes upkeep of the cold tier, for a thread that may wait for the store.
    pub fn take_cold_work(&mut self, now: Millis) -> Option<Work<D>> {
        // A start reads the last event of the registry if it may be false, so that must be here.
        self.log.set_cold_time(now);
        if self.registries.may_be_false(self.log.durable()) {
            return None;
        }
        self.log.take_cold_work(now)
    }

    /// Figures about the cold tier.
    pub fn cold_stats(&self) -> ColdStats {
        self.log.cold_stats()
    }

    /// Returns whether uploads began to fail, or work again, since the last call.
    pub fn poll_cold_change(&mut self) -> Option<bool> {
        let before = std::mem::replace(&mut self.cold.failures, self.log.cold_failures());
        let failing = self.cold.failures > 0;
        (failing != (before > 0)).then_some(failing)
    }
}

fn fetch_failure(error: &FetchError) -> Failure {
    match error {
        FetchError::Unavailable(_) | FetchError::Io(_) => {
            Failure::new(Code::ColdUnavailable, UNAVAILABLE)
        }
        FetchError::Missing | FetchError::Corrupt(_) => {
            Failure::new(Code::Corrupt, "stored bytes are missing or damaged")
        }
    }
}
