//! Events by their place, author, time and content.

use floe_proto::{EventQuery, Millis, Page, Scope, StoredEvent};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::filter::{Candidate, Filter};
use crate::{QueryError, cursor, key};

use super::Reader;
use super::row::{COLUMNS, Found};
use super::scope::{ChannelsSeen, Known, Place};

/// Answers.
pub fn events(reader: &Reader, query: &EventQuery) -> Result<Page<StoredEvent>, QueryError> {
    let question = question(query);
    let from = match &query.page {
        Some(page) => Some(cursor::read::<1>(question, page)?[0]),
        None => None,
    };
    check_text(reader, query.content_contains.as_deref())?;
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let db = &reader.db;
    let Some(place) = Place::find(db, &query.scope)? else {
        return Ok(page);
    };
    let author = match &query.author_id {
        Some(name) => match author(db, place.ns(), name)? {
            Some(no) => Some(no),
            None => return Ok(page),
        },
        None => None,
    };
    let mut walk = Walk {
        reader,
        query,
        filter: Filter::of(query),
        seen: ChannelsSeen::default(),
        found: Vec::new(),
        bytes: 0,
        looked_at: 0,
        last: 0,
        more: false,
    };
    match place {
        Place::Channel(known) => walk.channel(known, author, from)?,
        Place::Namespace { .. } => walk.namespace(place, author, from)?,
    }
    page.next = walk.more.then(|| cursor::write(question, [walk.last]));
    for found in walk.found {
        page.items.push(found.complete(db)?);
    }
    Ok(page)
}

/// Refuses texts that are too long to look for.
pub fn check_text(reader: &Reader, text: Option<&str>) -> Result<(), QueryError> {
    let found = text.map_or(0, str::len);
    let text_bytes_max = reader.options.text_bytes_max;
    if found > text_bytes_max {
        return Err(QueryError::TextTooLong {
            found,
            text_bytes_max,
        });
    }
    Ok(())
}

/// Rows on their way into a page.
struct Walk<'a> {
    reader: &'a Reader,
    query: &'a EventQuery,
    filter: Filter<'a>,
    seen: ChannelsSeen,
    found: Vec<Found>,
    bytes: usize,
    looked_at: u32,
    /// Place of the newest row looked at that the page covers.
    last: u64,
    more: bool,
}

impl Walk<'_> {
    fn channel(
        &mut self,
        known: Known,
        author: Option<i64>,
        from: Option<u64>,
    ) -> Result<(), QueryError> {
        if known.deleted && !self.query.with_deleted {
            return Ok(());
        }
        let db = &self.reader.db;
        let mut after = self
            .query
            .after_seq
            .unwrap_or(0)
            .max(known.start.saturating_sub(1));
        let mut before = self
            .query
            .before_seq
            .unwrap_or(u64::MAX)
            .min(known.applied + 1);
        if let Some(row) = self.first_row(known.behind_ms).0 {
            after = after.max(first_seq(db, known, row)? - 1);
        }
        if let Some(row) = self.first_row(known.behind_ms).1 {
            before = before.min(first_seq(db, known, row)?);
        }
        match (from, self.query.newest_first) {
            (Some(from), true) => before = before.min(from),
            (Some(from), false) => after = after.max(from),
            (None, _) => {}
        }
        let order = if self.query.newest_first {
            "DESC"
        } else {
            "ASC"
        };
        let (index, by_author) = match author {
            Some(_) => ("events_of_author_in_channel", "AND author = ?4"),
            None => ("events_in_channel", "AND ?4 IS NULL"),
        };
        let mut statement = db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events INDEXED BY {index}
             WHERE channel = ?1 AND seq > ?2 AND seq < ?3 {by_author} ORDER BY seq {order}"
        ))?;
        let mut rows = statement.query(params![known.no, number(after), number(before), author])?;
        while let Some(row) = rows.next()? {
            let seq = row.get::<_, i64>(2)? as u64;
            if !self.take(row, seq)? {
                break;
            }
        }
        Ok(())
    }

    fn namespace(
        &mut self,
        place: Place,
        author: Option<i64>,
        from: Option<u64>,
    ) -> Result<(), QueryError> {
        let (first, end) = self.first_row(place.behind_ms());
        let mut after = first.map_or(-1, |row| row - 1);
        let mut before = end.unwrap_or(i64::MAX);
        match (from, self.query.newest_first) {
            (Some(from), true) => before = before.min(number(from)),
            (Some(from), false) => after = after.max(number(from)),
            (None, _) => {}
        }
        let order = if self.query.newest_first {
            "DESC"
        } else {
            "ASC"
        };
        let (index, by_author) = match author {
            Some(_) => ("events_of_author", "AND author = ?4"),
            None => ("events_of_namespace", "AND ?4 IS NULL"),
        };
        let mut statement = self.reader.db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events INDEXED BY {index}
             WHERE ns = ?1 AND row > ?2 AND row < ?3 {by_author} ORDER BY row {order}"
        ))?;
        let mut rows = statement.query(params![place.ns(), after, before, author])?;
        while let Some(row) = rows.next()? {
            let place = row.get::<_, i64>(0)? as u64;
            if !self.take(row, place)? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the first row that can lie after the question's first moment, and the first that
    /// cannot lie before its last.
    fn first_row(&self, behind_ms: u64) -> (Option<i64>, Option<i64>) {
        let after = self.query.after_date.map(|date| key::row_at(date.plus(1)));
        let before = self
            .query
            .before_date
            .map(|date| key::row_at(date.plus(behind_ms)));
        (after, before)
    }

    /// Takes a row into the page if it belongs there; returns whether the next one is wanted.
    fn take(&mut self, row: &Row<'_>, place: u64) -> Result<bool, QueryError> {
        let options = &self.reader.options;
        if self.looked_at >= options.scan_rows_max {
            self.more = true;
            return Ok(false);
        }
        self.looked_at += 1;
        let candidate = Candidate {
            seq: row.get::<_, i64>(2)? as u64,
            created_at: Millis(row.get::<_, i64>(4)? as u64),
            deleted: !matches!(row.get_ref(5)?, ValueRef::Null),
            content: row.get_ref(7)?.as_str().unwrap_or_default(),
        };
        if self.filter.holds(candidate) {
            let channel = self.seen.of_event(
                &self.reader.db,
                row.get(1)?,
                candidate.seq,
                self.query.with_deleted,
            )?;
            if let Some(channel) = channel {
                let limit = self.query.limit.clamp(1, options.page_items_max) as usize;
                if self.found.len() >= limit || self.bytes >= options.page_bytes_max {
                    self.more = true;
                    return Ok(false);
                }
                self.bytes += candidate.content.len();
                self.found.push(Found::read(row, channel)?);
            }
        }
        self.last = place;
        Ok(true)
    }
}

/// Returns the number of the channel's first message whose row is `row` or later.
///
/// Rows of a channel grow with its numbers, so this halves what is left again and again.
fn first_seq(db: &Connection, known: Known, row: i64) -> rusqlite::Result<u64> {
    let mut next = db.prepare_cached(
        "SELECT seq, row FROM events INDEXED BY events_in_channel
         WHERE channel = ?1 AND seq >= ?2 ORDER BY seq LIMIT 1",
    )?;
    let mut low = 1;
    let mut high = known.applied + 1;
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = next
            .query_row((known.no, number(middle)), |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        match found {
            Some((seq, at)) if at < row => low = seq as u64 + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

fn author(db: &Connection, ns: i64, name: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT no FROM authors WHERE ns = ?1 AND name = ?2")?
        .query_row((ns, name), |row| row.get(0))
        .optional()
}

fn question(query: &EventQuery) -> cursor::Question {
    let question = cursor::Question::new(1);
    let question = match &query.scope {
        Scope::Channel(id) => question.flag(true).text(Some(&id.to_string())),
        Scope::Namespace(name) => question.flag(false).text(Some(name)),
    };
    question
        .number(query.after_seq)
        .number(query.before_seq)
        .text(query.author_id.as_deref())
        .text(query.content_contains.as_deref())
        .number(query.after_date.map(|date| date.0))
        .number(query.before_date.map(|date| date.0))
        .flag(query.newest_first)
        .flag(query.with_deleted)
}

/// Returns a number as the file has it, or the largest.
fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
