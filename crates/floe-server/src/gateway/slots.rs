//! How many connections may begin at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};

use super::lock;

/// The places of connections that have not begun yet.
///
/// While all are taken, the one that has had its place for longest makes room, as long as it had a
/// fair time: who opens many connections and lets them begin slowly keeps nobody out, and many who
/// come at once wait for one another.
#[derive(Debug)]
pub(super) struct Slots {
    max: AtomicUsize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    /// By their age.
    slots: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// A place.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    lost: oneshot::Receiver<()>,
    slots: Arc<Slots>,
}

/// How long a place is its holder's, whoever waits.
const FAIR_TIME: Duration = Duration::from_millis(1_000);

impl Slots {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max: AtomicUsize::new(max.max(1)),
            taken: Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Bounds the places that are taken from now on.
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max.max(1), Ordering::Relaxed);
    }

    /// Waits for a place.
    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        loop {
            match self.try_take() {
                Ok(slot) => return slot,
                Err(wait) => {
                    // A place that comes free before this waits is remembered.
                    let _ = tokio::time::timeout(wait, self.freed.notified()).await;
                }
            }
        }
    }

    /// Takes a place, or says when the next holder has had a fair time.
    fn try_take(self: &Arc<Self>) -> Result<Slot, Duration> {
        let mut taken = lock(&self.taken);
        if taken.slots.len() >= self.max.load(Ordering::Relaxed)
            && let Some(oldest) = taken.slots.first_entry()
        {
            let wait = FAIR_TIME.saturating_sub(oldest.get().0.elapsed());
            if !wait.is_zero() {
                return Err(wait);
            }
            oldest.remove();
        }
        taken.last += 1;
        let id = taken.last;
        let (taking, lost) = oneshot::channel();
        taken.slots.insert(id, (Instant::now(), taking));
        Ok(Slot {
            id,
            lost,
            slots: Arc::clone(self),
        })
    }
}

impl Slot {
    /// Waits until the place is taken away.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if lock(&self.slots.taken).slots.remove(&self.id).is_some() {
            self.slots.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_holder_that_had_a_fair_time_makes_room() {
        let slots = Slots::new(2);
        let mut first = slots.try_take().unwrap();
        let second = slots.try_take().unwrap();
        assert!(slots.try_take().unwrap_err() <= FAIR_TIME);
        drop(second);
        let _third = slots.try_take().unwrap();
        lock(&slots.taken).slots.get_mut(&first.id).unwrap().0 -= FAIR_TIME;
        assert!(
            first
                .lost
                .try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
        let _fourth = slots.try_take().unwrap();
        assert_eq!(
            first.lost.try_recv(),
            Err(oneshot::error::TryRecvError::Closed)
        );
        // A place that was taken away does not come free twice.
        drop(first);
        assert_eq!(lock(&slots.taken).slots.len(), 2);
        assert!(slots.try_take().is_err());
    }
}
