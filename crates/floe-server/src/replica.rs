//! The sync engine: what became visible goes to replicas, in order, from the log itself.
//!
//! Each replica has a thread that takes batches, and a feed on the event loop that makes them: one
//! entry a room however far it moved. What a replica lacks is never queued but read from the log when
//! its thread has nothing to do, so a replica that is slow or away costs no memory and holds up nobody.
//! Where nobody knows how far a replica is, it is asked.

mod feed;
mod settings;
mod status;
mod worker;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use floe_log::{Disk, DiskFile};
use floe_proto::Millis;
use floe_views::replica::{Embedded, EmbeddedFolder, Postgres, ReplicaTarget};
use mio::Waker;

use self::feed::Feed;
use crate::metrics::Metrics;
use crate::shard::{Replicated, Shard};

pub use self::settings::{PostgresUrl, ReplicaSettings, ReplicaUrlError};
pub use self::status::{Progress, SyncStatus};
use self::worker::Done;

/// All replicas, as the event loop sees them.
#[derive(Debug)]
pub struct ReplicaHost<F> {
    feeds: Vec<Feed<F>>,
    mailbox: Arc<Mailbox>,
    metrics: Metrics,
}

/// Where the threads leave what they have done.
#[derive(Debug)]
pub struct Mailbox {
    done: Mutex<Vec<(usize, Done)>>,
    waker: Arc<Waker>,
}

impl<F: DiskFile + 'static> ReplicaHost<F> {
    /// Starts a thread for each replica; the thread opens it, so that a start never waits for one.
    pub fn start(
        settings: &ReplicaSettings,
        folder: &EmbeddedFolder,
        waker: &Arc<Waker>,
        metrics: Metrics,
    ) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox {
            done: Mutex::default(),
            waker: Arc::clone(waker),
        });
        let mut host = Self {
            feeds: Vec::new(),
            mailbox,
            metrics,
        };
        let tables = Replicated {
            tables: true,
            channels: false,
        };
        match settings {
            ReplicaSettings::Off => {}
            // The SQL view has the channels already, in a file on this very disk.
            ReplicaSettings::Embedded => {
                host.add(tables, Box::new(Embedded::new(folder.clone())))?;
            }
            ReplicaSettings::Postgres(url) => {
                // Questions about many rooms are asked of the files, whose wall is known.
                host.add(tables, Box::new(Embedded::new(folder.clone())))?;
                let all = Replicated {
                    tables: true,
                    channels: true,
                };
                let target = Postgres::new(url.reveal()).map_err(io::Error::other)?;
                host.add(all, Box::new(target))?;
            }
        }
        Ok(host)
    }

    fn add(&mut self, wanted: Replicated, target: Box<dyn ReplicaTarget>) -> io::Result<()> {
        let feed = Feed::start(self.feeds.len(), wanted, target, &self.mailbox)?;
        self.feeds.push(feed);
        Ok(())
    }

    /// Returns which rooms the shard must tell of.
    pub fn wanted(&self) -> Replicated {
        let mut wanted = Replicated::default();
        for feed in &self.feeds {
            wanted.tables |= feed.wanted().tables;
            wanted.channels |= feed.wanted().channels;
        }
        wanted
    }

    /// Does what can be done now.
    pub fn turn<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, now: Millis, uptime_ms: u64) {
        if self.feeds.is_empty() {
            return;
        }
        for (at, done) in self.mailbox.take() {
            if let Some(feed) = self.feeds.get_mut(at) {
                feed.take(shard, now, uptime_ms, done, &self.metrics);
            }
        }
        let moved = shard.take_moved();
        for feed in &mut self.feeds {
            for moved in &moved {
                feed.note(uptime_ms, moved);
            }
            feed.feed(shard, uptime_ms);
        }
    }

    /// Returns when [`turn`](Self::turn) wants to be called although nothing has happened.
    pub fn wake_ms(&self, uptime_ms: u64) -> Option<u64> {
        let wakes = self.feeds.iter().filter_map(|feed| feed.wake_ms(uptime_ms));
        wakes.min()
    }

    /// Returns how the replica is that was asked for; the last of them, where there are several.
    pub fn status(&self, now: Millis, uptime_ms: u64) -> SyncStatus {
        let feed = self.feeds.last();
        feed.map_or_else(SyncStatus::default, |feed| feed.status(now, uptime_ms))
    }

    /// Begins to give every replica everything again, from the first message of each room.
    ///
    /// What a replica has stays until what replaces it is there.
    pub fn sync_all<D: Disk<File = F>>(&mut self, shard: &Shard<D>, uptime_ms: u64) {
        for feed in &mut self.feeds {
            feed.sync_all(shard, uptime_ms);
        }
    }

    /// Returns how far that has come; `None` where nobody has asked for it since the start.
    pub fn progress(&self) -> Option<Progress> {
        self.feeds.last()?.progress()
    }

    /// Stops the threads once what is under way is done; a replica that has everything is marked as
    /// complete, so that the next start need not look for what it lacks.
    pub fn stop<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>) {
        let moved = shard.take_moved();
        for feed in &mut self.feeds {
            for moved in &moved {
                feed.note(0, moved);
            }
            feed.stop(shard);
        }
    }
}

impl Mailbox {
    /// Leaves something and wakes the event loop.
    fn put(&self, feed: usize, done: Done) {
        let mut all = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((feed, done));
        drop(all);
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }

    fn take(&self) -> Vec<(usize, Done)> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
