//! Answers to questions.

mod channels;
mod documents;
mod events;
mod merge;
mod page;
mod reactions;
mod row;
mod scope;
mod search;
mod single;
mod unread;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use floe_proto::{
    ChannelId, ChannelMeta, ChannelQuery, Event, EventQuery, Page, Reactions, Scope, Search,
    StoredEvent, Unread, UnreadQuery,
};
use rusqlite::{Connection, OptionalExtension as _};

use self::scope::Known;
use crate::projector::number_of;
use crate::{Options, QueryError, schema};

/// Reads a view while it is written; any number of readers may be open.
///
/// Every question sees one moment of the view, takes no longer than
/// [`Options::query_timeout_ms`], and is answered with a page of bounded size.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
    options: Options,
    clock: Clock,
}

/// When the question under way must end.
#[derive(Debug, Clone)]
struct Clock {
    started: Instant,
    /// Milliseconds after `started`.
    deadline_ms: Arc<AtomicU64>,
}

/// Steps of SQLite's machine between two looks at the clock: some tens of microseconds.
const STEPS_PER_LOOK: i32 = 2_000;

impl Reader {
    /// Opens a view that a projector has opened before.
    ///
    /// # Errors
    /// [`QueryError::Unavailable`] when there is none, or it cannot be read.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, QueryError> {
        let mut db = schema::open_to_read(path.as_ref(), options)?;
        let clock = Clock {
            started: Instant::now(),
            deadline_ms: Arc::new(AtomicU64::new(u64::MAX)),
        };
        let watched = clock.clone();
        db.progress_handler(STEPS_PER_LOOK, Some(move || watched.is_over()))?;
        Ok(Self {
            db,
            options: options.clone(),
            clock,
        })
    }

    /// Returns the messages that all filters of the question hold for.
    ///
    /// In one channel they are in the order of their numbers, across a namespace in the order of
    /// their times. A page may be short, or empty, and still name a next one: then the part of the
    /// view that was looked at holds no more.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn events(&self, query: &EventQuery) -> Result<Page<StoredEvent>, QueryError> {
        self.limited(|| events::events(self, query))
    }

    /// Returns what [`events`](Self::events) does, and the newest event of the channel that the view
    /// has, which is what the answer takes into account; 0 across a namespace.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn messages(&self, query: &EventQuery) -> Result<(Page<StoredEvent>, u64), QueryError> {
        self.limited(|| {
            let applied = match &query.scope {
                Scope::Channel(id) => Known::find(&self.db, *id)?.map(|known| known.applied),
                Scope::Namespace(_) | Scope::Channels { .. } => None,
            };
            Ok((events::events(self, query)?, applied.unwrap_or(0)))
        })
    }

    /// Returns the messages that match a text.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn search(&self, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
        self.limited(|| search::search(self, search))
    }

    /// Returns the channels of a namespace in the order of their creation.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn channels(&self, query: &ChannelQuery) -> Result<Page<ChannelMeta>, QueryError> {
        self.limited(|| channels::channels(self, query))
    }

    /// Returns a message, and its versions from the first to the newest if it was edited.
    ///
    /// `viewer` is whose own reactions are told from others'.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn event(
        &self,
        channel: ChannelId,
        seq: u64,
        with_deleted: bool,
        viewer: Option<&str>,
    ) -> Result<Option<(StoredEvent, Vec<Event<'static>>)>, QueryError> {
        self.limited(|| single::event(self, channel, seq, with_deleted, viewer))
    }

    /// Returns the reactions to a message and who gives them; `None` for a channel that the view
    /// does not know.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn reactions(&self, channel: ChannelId, seq: u64) -> Result<Option<Reactions>, QueryError> {
        self.limited(|| reactions::reactions(self, channel, seq))
    }

    /// Counts what a user has not read, for each channel of the question.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn unread(&self, query: &UnreadQuery) -> Result<Vec<Unread>, QueryError> {
        self.limited(|| unread::unread(self, query))
    }

    /// Returns the number of the newest event of a channel that the view has; `None` for a channel
    /// it does not know.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn applied(&self, channel: ChannelId) -> Result<Option<u64>, QueryError> {
        self.limited(|| {
            let applied = self
                .db
                .prepare_cached("SELECT applied FROM channels WHERE id = ?1")?
                .query_row([number_of(channel)], |row| row.get::<_, i64>(0))
                .optional()?;
            Ok(applied.map(|applied| applied as u64))
        })
    }

    /// Asks within one read transaction and the time limit.
    fn limited<T>(&self, ask: impl FnOnce() -> Result<T, QueryError>) -> Result<T, QueryError> {
        let timeout_ms = self.options.query_timeout_ms;
        self.clock.set(timeout_ms);
        let answer = self
            .db
            .unchecked_transaction()
            .map_err(QueryError::from)
            .and_then(|_transaction| ask());
        self.clock.set(u64::MAX);
        answer.map_err(|error| {
            if error.is_interrupt() {
                return QueryError::Timeout { timeout_ms };
            }
            error
        })
    }
}

impl Clock {
    fn set(&self, in_ms: u64) {
        let deadline_ms = self.now_ms().saturating_add(in_ms);
        self.deadline_ms.store(deadline_ms, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.now_ms() > self.deadline_ms.load(Ordering::Relaxed)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
