//! The one writer of a view.

mod apply;
mod channel;
pub(crate) mod mentions;
mod names;
mod pins;
mod trim;

use std::path::Path;

use floe_proto::{ChannelId, ChannelMeta};
use rusqlite::Connection;

use crate::index::Index;
use crate::{Options, ViewError, schema};

use self::channel::Channels;
pub use self::channel::{id_of, number_of};
use self::names::Names;

/// Applies what the log says to the view, in batches that are applied whole or not at all.
#[derive(Debug)]
pub struct Projector {
    db: Connection,
    options: Options,
    channels: Channels,
    names: Names,
    index: Index,
}

/// What became visible of one channel.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// What is known of the channel now.
    pub meta: ChannelMeta,
    /// Number of the first event in `events`.
    pub first_seq: u64,
    /// Events as they lie in the log: the JSON of each, and a comma after it.
    pub events: &'a [u8],
    /// Whether the channel is gone for good; `events` is not looked at then.
    pub purged: bool,
}

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Events that the view did not have yet.
    pub events: u64,
    /// Events that it had already.
    pub repeated: u64,
    /// Events that this program does not understand and left out.
    pub unknown: u64,
    /// Rows that were removed for retention and purges.
    pub removed: u64,
    /// Whether more is to be removed than one batch does; [`Projector::trim`] goes on.
    pub more_to_trim: bool,
}

impl Projector {
    /// Opens the view, makes it where there is none, and brings one of an older version up to date.
    ///
    /// # Errors
    /// [`ViewError::Corrupt`] when it must be deleted and made again.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, ViewError> {
        let mut db = schema::open(path.as_ref(), options)?;
        let tx = db.transaction()?;
        let index = Index::open(&tx, options)?;
        tx.commit()?;
        Ok(Self {
            db,
            options: options.clone(),
            channels: Channels::default(),
            names: Names::default(),
            index,
        })
    }

    /// Applies a batch in one transaction.
    ///
    /// Events that the view has already are left out, so a batch may be handed in again. Changes of
    /// one channel must lie in the order of the log; channels may lie in any order.
    ///
    /// # Errors
    /// Nothing was applied then.
    pub fn apply(&mut self, changes: &[Change<'_>]) -> Result<Applied, ViewError> {
        let applied = apply::apply(self, changes);
        if applied.is_err() {
            self.forget();
        }
        applied
    }

    /// Removes more of what retention and purges have left over; call it while
    /// [`Applied::more_to_trim`] says so and nothing else is to be applied.
    ///
    /// # Errors
    /// Nothing was removed then.
    pub fn trim(&mut self) -> Result<Applied, ViewError> {
        self.apply(&[])
    }

    /// Returns the number of the newest event applied of a channel; `None` for one that the view
    /// does not know.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn applied(&mut self, channel: ChannelId) -> Result<Option<u64>, ViewError> {
        let state = self.channels.get(&self.db, channel)?;
        Ok(state.map(|state| state.applied))
    }

    /// Returns what the view says of a channel, with the newest event applied as its head; `None` for
    /// one that it does not know.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known(&self, channel: ChannelId) -> Result<Option<ChannelMeta>, ViewError> {
        Ok(channel::meta(&self.db, channel)?)
    }

    /// Calls `each` with every channel and the number of its newest event applied.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn for_each_applied(&self, mut each: impl FnMut(ChannelId, u64)) -> Result<(), ViewError> {
        let mut statement = self
            .db
            .prepare("SELECT id, applied FROM channels WHERE NOT purged ORDER BY id")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            each(channel::id_of(row.get(0)?), row.get::<_, i64>(1)? as u64);
        }
        Ok(())
    }

    /// Drops every channel that `keep` does not want, as a purge does.
    ///
    /// # Errors
    /// When the file cannot be read or written; nothing was dropped then.
    pub fn retain(&mut self, mut keep: impl FnMut(ChannelId) -> bool) -> Result<(), ViewError> {
        let mut gone = Vec::new();
        self.for_each_applied(|channel, _| {
            if !keep(channel) {
                gone.push(channel);
            }
        })?;
        let tx = self.db.transaction()?;
        for channel in gone {
            channel::mark_purged(&tx, channel)?;
        }
        tx.commit()?;
        self.forget();
        Ok(())
    }

    /// Returns what [`set_watermark`](Self::set_watermark) noted; 0 when anything was applied since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn watermark(&self) -> Result<u64, ViewError> {
        Ok(schema::state(&self.db, WATERMARK)?.unwrap_or(0) as u64)
    }

    /// Notes a number of the host's own, until the next batch.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_watermark(&mut self, watermark: u64) -> Result<(), ViewError> {
        schema::set_state(&self.db, WATERMARK, watermark as i64)?;
        Ok(())
    }

    /// Forgets what is known of the file, after a batch that was not applied.
    fn forget(&mut self) {
        self.channels = Channels::default();
        self.names = Names::default();
        self.index.forget();
    }
}

/// Name of the host's number.
const WATERMARK: &str = "watermark";
