//! A page while it is filled.

use floe_proto::Millis;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::filter::{Candidate, Filter};
use crate::{Options, key};

use super::row::{COLUMNS, Found};
use super::scope::{Area, ChannelsSeen};

/// Rows on their way into a page, in the order in which they are offered.
pub struct Filling<'a> {
    db: &'a Connection,
    options: &'a Options,
    filter: Filter<'a>,
    limit: usize,
    channels: ChannelsSeen,
    area: Area,
    found: Vec<Found>,
    bytes: usize,
    effort: u32,
    last: Place,
    more: bool,
}

/// A place in an order of events: a time, where the order is one of times, and a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Time of the event.
    pub at: i64,
    /// Its row.
    pub row: i64,
}

/// What a page says in the end.
pub struct Filled {
    /// Its rows.
    pub found: Vec<Found>,
    /// The place it ends at, where more may follow.
    pub more_after: Option<Place>,
}

/// Effort of looking at a place in an index.
const EFFORT_ENTRY: u32 = 1;
/// Effort of reading a row that lies behind the one before.
const EFFORT_ROW: u32 = 2;
/// Effort of reading a row that lies elsewhere.
const EFFORT_FETCH: u32 = 8;

impl<'a> Filling<'a> {
    /// Starts an empty page.
    pub fn new(
        db: &'a Connection,
        options: &'a Options,
        filter: Filter<'a>,
        area: Area,
        limit: u32,
    ) -> Self {
        Self {
            area,
            db,
            options,
            filter,
            limit: limit.clamp(1, options.page_items_max) as usize,
            channels: ChannelsSeen::default(),
            found: Vec::new(),
            bytes: 0,
            effort: 0,
            last: Place::default(),
            more: false,
        }
    }

    /// Ends the page.
    pub fn end(self) -> Filled {
        Filled {
            found: self.found,
            more_after: self.more.then_some(self.last),
        }
    }

    /// Offers a place of an index; returns whether the next one is wanted.
    pub fn offer(&mut self, place: Place) -> rusqlite::Result<bool> {
        if !self.spend(EFFORT_ENTRY) {
            return Ok(false);
        }
        if !self.is_visible(place.row)? {
            self.last = place;
            return Ok(true);
        }
        if !self.spend(EFFORT_FETCH) {
            return Ok(false);
        }
        let mut read = self
            .db
            .prepare_cached(&format!("SELECT {COLUMNS} FROM events WHERE row = ?1"))?;
        let taken = read
            .query_row([place.row], |row| self.take(row))
            .optional()?
            .unwrap_or(true);
        if taken {
            self.last = place;
        }
        Ok(taken)
    }

    /// Offers a row itself; returns whether the next one is wanted.
    pub fn offer_row(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        if !self.spend(EFFORT_ROW) {
            return Ok(false);
        }
        let number = row.get(0)?;
        let taken = !self.is_visible(number)? || self.take(row)?;
        if taken {
            self.last = Place { at: 0, row: number };
        }
        Ok(taken)
    }

    fn is_visible(&mut self, row: i64) -> rusqlite::Result<bool> {
        let with_deleted = self.filter.with_deleted;
        Ok(self.filter.holds_for_seq(key::seq(row))
            && self.area.has_channel(key::channel(row))
            && self.channels.of_row(self.db, row, with_deleted)?.is_some())
    }

    /// Takes a row if the filters hold; returns `false` if there is no space for it.
    fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let candidate = Candidate {
            author: row.get(1)?,
            created_at: Millis(row.get::<_, i64>(2)? as u64),
            deleted: !matches!(row.get_ref(3)?, ValueRef::Null),
            content: row.get_ref(5)?.as_str().unwrap_or_default(),
        };
        if !self.filter.holds(candidate) {
            return Ok(true);
        }
        let with_deleted = self.filter.with_deleted;
        let Some(channel) = self.channels.of_row(self.db, row.get(0)?, with_deleted)? else {
            return Ok(true);
        };
        if self.found.len() >= self.limit || self.bytes >= self.options.page_bytes_max {
            self.more = true;
            return Ok(false);
        }
        let found = Found::read(row, channel)?;
        self.bytes += found.content.len() + found.data.as_ref().map_or(0, String::len);
        self.found.push(found);
        Ok(true)
    }

    /// Counts an effort; returns `false` when the page has had all it may have.
    ///
    /// There is always enough for one row, so that every page gets on.
    fn spend(&mut self, effort: u32) -> bool {
        if self.effort >= self.options.scan_max.max(EFFORT_ENTRY + EFFORT_FETCH) {
            self.more = true;
            return false;
        }
        self.effort += effort;
        true
    }
}
