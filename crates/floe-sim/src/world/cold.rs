//! The store of cold data, which fails and does things late, and the reads that wait for it.

use floe_server::shard::{Failure, Ticket};

use super::{End, Violation, World};
use crate::jobs::Job;

impl World {
    /// Lets the store fail, or work again, or do what it was thought to have lost.
    pub(super) fn change_store(&mut self) {
        let what = match self.rng.below(6) {
            0 => {
                self.store.set_down(true);
                "is down"
            }
            1 => {
                self.store.set_failing(300);
                "fails now and then"
            }
            2 => {
                self.store.catch_up();
                "does what it was asked long ago"
            }
            _ => {
                self.mend_store();
                "is well"
            }
        };
        self.trace.note(format!("the store {what}"));
    }

    pub(super) fn mend_store(&mut self) {
        self.store.set_down(false);
        self.store.set_failing(0);
    }

    /// Takes upkeep of the cold tier.
    pub(super) fn take_cold_work(&mut self) {
        let now = self.now();
        if let Some(work) = self.shard().take_cold_work(now) {
            self.trace.note(format!("take work: {}", work.name()));
            self.jobs.push(Job::work(work));
        }
    }

    /// Has fetched what a read wanted, or sees that the store does not answer.
    pub(super) fn fetch_cold(&mut self, failure: &Failure) -> Result<(), End> {
        let Some(want) = failure.cold else {
            return Ok(());
        };
        let ticket = Ticket(self.ticket());
        if let Err(refused) = self.shard().wait_for_cold(ticket, want) {
            return match refused.code.as_str() {
                "COLD_UNAVAILABLE" => {
                    self.count("cold read refused");
                    Ok(())
                }
                code => Err(format!("cold data is refused with {code}").into()),
            };
        }
        while let Some(work) = self.shard().take_fetch() {
            self.finish("fetch", Job::work(work).finish())?;
        }
        while let Some((_, result)) = self.shard().poll_cold() {
            match result {
                Ok(()) => self.count("cold read"),
                Err(failure) if failure.code.as_str() == "COLD_UNAVAILABLE" => {
                    self.count("cold read failed");
                }
                Err(failure) => return Err(format!("cold data: {failure:?}").into()),
            }
        }
        Ok(())
    }

    /// Fetches with a store that works.
    pub(super) fn fetch_surely(&mut self, failure: &Failure) -> Result<(), Violation> {
        self.mend_store();
        // Whoever was refused a moment ago is refused for a while, and must not wait for that here.
        let later = self.now().plus(60_001);
        if let Some(work) = self.shard().take_cold_work(later) {
            self.jobs.push(Job::work(work));
        }
        self.fetch_cold(failure).map_err(End::into_violation)
    }
}
