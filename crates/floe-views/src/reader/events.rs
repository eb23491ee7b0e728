//! Events by their place, author, time and content.

use floe_proto::{Among, EventQuery, Page, Scope, StoredEvent};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::filter::Filter;
use crate::{QueryError, cursor, key, terms};

use super::Reader;
use super::documents::{self, Texts};
use super::merge::{Part, merge};
use super::page::{Filling, Place};
use super::row::{COLUMNS, author_no};
use super::scope::{Area, Known};

/// Channels of a namespace that are looked at one by one where only some numbers are wanted.
const MERGED_MAX: u32 = 1_024;

/// Answers.
pub fn events(reader: &Reader, query: &EventQuery) -> Result<Page<StoredEvent>, QueryError> {
    let parts = asked_parts(reader, query);
    let question = question(query).flag(parts.is_some());
    let from = match &query.page {
        Some(page) => {
            let [at, row] = cursor::read(question, page)?.map(|number| number as i64);
            Some(Place { at, row })
        }
        None => None,
    };
    check_text(reader, query.content_contains.as_deref())?;
    let db = &reader.db;
    let mut filter = Filter::of(query);
    let area = Area::find(db, &query.scope)?;
    let Some(area) = area.filter(|_| filter.may_hold()) else {
        return Ok(EMPTY);
    };
    if let Some(name) = &query.author_id {
        filter.author = author_no(db, area.ns(), name)?;
        if filter.author.is_none() {
            return Ok(EMPTY);
        }
    }
    let Some(among) = Lead::find(db, &area, &query.among)? else {
        return Ok(EMPTY);
    };
    let viewer = match &query.viewer {
        Some(name) => author_no(db, area.ns(), name)?,
        None => None,
    };
    let mut page = Filling::new(db, &reader.options, filter, area.clone(), query.limit);
    let looking = Looking {
        db,
        filter,
        newest_first: query.newest_first,
        from,
        among,
    };
    match parts {
        Some(parts) => looking.by_parts(area, parts, &mut page)?,
        None => looking.look(area, &mut page)?,
    }
    let filled = page.end();
    let items = filled
        .found
        .into_iter()
        .map(|found| found.complete(db, viewer));
    Ok(Page {
        items: items.collect::<rusqlite::Result<_>>()?,
        next: filled
            .more_after
            .map(|place| cursor::write(question, [place.at as u64, place.row as u64])),
    })
}

/// A page of nothing.
const EMPTY: Page<StoredEvent> = Page {
    items: Vec::new(),
    next: None,
};

/// Returns the parts to ask the index for, where it can answer.
///
/// It has nothing that was deleted. And its order is that of time, while that of a channel is the
/// order of its events, which a clock that was set back tells apart.
fn asked_parts(reader: &Reader, query: &EventQuery) -> Option<Vec<String>> {
    let text = query.content_contains.as_ref()?;
    let parts = terms::parts(text);
    let in_namespace = !matches!(query.scope, Scope::Channel(_));
    let can_answer = reader.options.trigrams
        && in_namespace
        && !query.with_deleted
        && query.among == Among::All
        && !parts.is_empty();
    can_answer.then_some(parts)
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

/// How events are looked for.
struct Looking<'a> {
    db: &'a Connection,
    filter: Filter<'a>,
    newest_first: bool,
    from: Option<Place>,
    among: Lead,
}

impl Looking<'_> {
    fn look(&self, area: Area, page: &mut Filling<'_>) -> rusqlite::Result<()> {
        match (&area, self.among) {
            (Area::Channel(known), Lead::Answered(message)) => {
                let from = "events INDEXED BY events_by_reply WHERE reply_to";
                return self.listed(known, from, message, page);
            }
            (Area::Channel(known), Lead::Mentioned(user)) => {
                return self.listed(known, "mentions WHERE user", user, page);
            }
            (Area::Channel(known), Lead::Pinned) => return self.pinned(known, page),
            (Area::Namespace(_) | Area::Channels(..), _) | (Area::Channel(_), Lead::Any) => {}
        }
        match (area, self.filter.author) {
            (Area::Channel(known), None) => self.channel(&known, page),
            (Area::Channel(known), Some(author)) => self.author_in_channel(&known, author, page),
            // What is not of these channels is passed over.
            (Area::Channels(ns, _), author) => self.by_time(ns, author, page),
            (Area::Namespace(ns), author) => match self.parts_of_channels(ns)? {
                Some(parts) => merge(self.db, parts, self.newest_first, page),
                None => self.by_time(ns, author, page),
            },
        }
    }

    /// Looks at what has all parts of the wanted text, in the order of documents.
    fn by_parts(
        &self,
        area: Area,
        parts: Vec<String>,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<()> {
        let after = self.filter.after_date.map_or(0, |date| number(date.0));
        let before = self
            .filter
            .before_date
            .map_or(i64::MAX, |date| number(date.0));
        let mut span = documents::of_times(after, before);
        match (self.from, self.newest_first) {
            (Some(place), true) => span.before = span.before.min(place.at),
            (Some(place), false) => span.after = span.after.max(place.at),
            (None, _) => {}
        }
        let question = terms::question(&area.terms(), &parts, &[]);
        let db = self.db;
        documents::find(
            db,
            Texts::Parts,
            &question,
            span,
            self.newest_first,
            |doc, row| {
                if area.has_row(db, row)? {
                    page.offer(Place { at: doc, row })
                } else {
                    Ok(true)
                }
            },
        )
    }

    fn channel(&self, known: &Known, page: &mut Filling<'_>) -> rusqlite::Result<()> {
        let part = self.part(known, self.from)?;
        let order = self.order();
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events WHERE row > ?1 AND row < ?2 ORDER BY row {order}"
        ))?;
        let mut rows = statement.query((part.after, part.before))?;
        while let Some(row) = rows.next()? {
            if !page.offer_row(row)? {
                break;
            }
        }
        Ok(())
    }

    fn author_in_channel(
        &self,
        known: &Known,
        author: i64,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<()> {
        let from = "events INDEXED BY events_by_author WHERE author";
        self.listed(known, from, author, page)
    }

    /// Looks at the rows of a channel that an index lists under a key.
    fn listed(
        &self,
        known: &Known,
        from: &str,
        key: i64,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<()> {
        let part = self.part(known, self.from)?;
        let order = self.order();
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT row FROM {from} = ?3 AND row > ?1 AND row < ?2 ORDER BY row {order}"
        ))?;
        let mut rows = statement.query((part.after, part.before, key))?;
        while let Some(row) = rows.next()? {
            let row = row.get(0)?;
            if !page.offer(Place { at: 0, row })? {
                break;
            }
        }
        Ok(())
    }

    /// Looks at what is pinned, in the order in which it was.
    fn pinned(&self, known: &Known, page: &mut Filling<'_>) -> rusqlite::Result<()> {
        let mut after = key::row(known.no, 0);
        let mut before = key::row(known.no + 1, 0);
        // The channel may have another number since the view was made again.
        let passed = self
            .from
            .map(|place| key::row(known.no, key::seq(place.at)));
        match (passed, self.newest_first) {
            (Some(row), true) => before = before.min(row),
            (Some(row), false) => after = after.max(row),
            (None, _) => {}
        }
        let order = self.order();
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT row, event FROM pins INDEXED BY pins_by_row WHERE row > ?1 AND row < ?2
             ORDER BY row {order}"
        ))?;
        let mut rows = statement.query((after, before))?;
        while let Some(row) = rows.next()? {
            let place = Place {
                at: row.get(0)?,
                row: row.get(1)?,
            };
            if !page.offer(place)? {
                break;
            }
        }
        Ok(())
    }

    fn by_time(
        &self,
        ns: i64,
        author: Option<i64>,
        page: &mut Filling<'_>,
    ) -> rusqlite::Result<()> {
        let order = self.order();
        let (from, key) = match (self.among, author) {
            (Lead::Mentioned(user), _) => {
                ("mentions INDEXED BY mentions_by_time WHERE user = ?1", user)
            }
            (_, Some(author)) => (
                "events INDEXED BY events_by_author_and_time WHERE author = ?1",
                author,
            ),
            (_, None) => ("events INDEXED BY events_by_time WHERE ns = ?1", ns),
        };
        let mut after = self.filter.after_date.map_or(-1, |date| number(date.0));
        let mut before = self
            .filter
            .before_date
            .map_or(i64::MAX, |date| number(date.0));
        let (passed, sign) = match (self.from, self.newest_first) {
            (Some(place), true) => {
                before = before.min(place.at.saturating_add(1));
                (place, "<")
            }
            (Some(place), false) => {
                after = after.max(place.at.saturating_sub(1));
                (place, ">")
            }
            (None, _) => (Place { at: -1, row: -1 }, ">"),
        };
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT created_at, row FROM {from} AND created_at > ?2 AND created_at < ?3
             AND (created_at, row) {sign} (?4, ?5) ORDER BY created_at {order}, row {order}"
        ))?;
        let mut rows = statement.query(params![key, after, before, passed.at, passed.row])?;
        while let Some(row) = rows.next()? {
            let place = Place {
                at: row.get(0)?,
                row: row.get(1)?,
            };
            if !page.offer(place)? {
                break;
            }
        }
        Ok(())
    }

    /// Returns the part of each channel of a namespace that can be in the answer; `None` where it
    /// is better to look at all of them in the order of times.
    fn parts_of_channels(&self, ns: i64) -> rusqlite::Result<Option<Vec<Part>>> {
        // Authors and times narrow down better than numbers do.
        let is_narrow = self.filter.author.is_some()
            || matches!(self.among, Lead::Mentioned(_))
            || self.filter.after_date.is_some()
            || self.filter.before_date.is_some();
        if is_narrow || !self.filter.bounds_seqs() {
            return Ok(None);
        }
        let channels = Known::of_namespace(self.db, ns, MERGED_MAX + 1)?;
        if channels.len() > MERGED_MAX as usize || channels.iter().any(|known| known.behind_ms > 0)
        {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(channels.len());
        for known in channels {
            let mut part = self.part(&known, None)?;
            if let Some(place) = self.from {
                self.go_on(&known, place, &mut part)?;
            }
            if part.after + 1 < part.before {
                parts.push(part);
            }
        }
        Ok(Some(parts))
    }

    /// Moves the beginning of a part to behind `place`, in the order of times.
    fn go_on(&self, known: &Known, place: Place, part: &mut Part) -> rusqlite::Result<()> {
        // Events of one moment are in the order of their rows, so channel by channel.
        let is_later = key::channel(place.row) < known.no;
        let is_late = |at| {
            if is_later {
                at >= place.at
            } else {
                at > place.at
            }
        };
        let is_own = key::channel(place.row) == known.no;
        if self.newest_first {
            part.before = match is_own {
                true => place.row,
                false => first_row_from_end(self.db, part, is_late)?,
            };
        } else {
            part.after = match is_own {
                true => place.row,
                false => first_row_from_start(self.db, part, is_late)? - 1,
            };
        }
        Ok(())
    }

    /// Returns the part of a channel that can be in the answer.
    fn part(&self, known: &Known, from: Option<Place>) -> rusqlite::Result<Part> {
        let after_seq = self.filter.after_seq.max(known.start.saturating_sub(1));
        let before_seq = self.filter.before_seq.min(known.applied + 1);
        let mut part = Part {
            after: key::row(known.no, after_seq),
            before: key::row(known.no, before_seq),
        };
        if known.deleted && !self.filter.with_deleted {
            part.before = part.after;
        }
        // The channel may have another number since the view was made again.
        let from = from.map(|place| key::row(known.no, key::seq(place.row)));
        match (from, self.newest_first) {
            (Some(row), true) => part.before = part.before.min(row),
            (Some(row), false) => part.after = part.after.max(row),
            (None, _) => {}
        }
        // Where times went back, some events on the wrong side are looked at, and left out later.
        let behind_ms = number(known.behind_ms);
        if let Some(date) = self.filter.after_date {
            let early = number(date.0).saturating_sub(behind_ms);
            part.after = first_row(self.db, &part, |at| at > early)? - 1;
        }
        if let Some(date) = self.filter.before_date {
            let late = number(date.0).saturating_add(behind_ms);
            part.before = first_row(self.db, &part, |at| at >= late)?;
        }
        Ok(part)
    }

    const fn order(&self) -> &'static str {
        if self.newest_first { "DESC" } else { "ASC" }
    }
}

/// Returns the first row of a part from whose time on `is_late`, or the part's end: by halving what
/// is left again and again, so times must not go back by more than `is_late` allows for.
fn first_row(db: &Connection, part: &Part, is_late: impl Fn(i64) -> bool) -> rusqlite::Result<i64> {
    let mut low = part.after + 1;
    let mut high = part.before;
    while low < high {
        let middle = low + (high - low) / 2;
        match row_from(db, middle, high)? {
            Some((row, at)) if !is_late(at) => low = row + 1,
            Some(_) | None => high = middle,
        }
    }
    Ok(low)
}

/// Does what [`first_row`] does, faster where the row is near the start.
fn first_row_from_start(
    db: &Connection,
    part: &Part,
    is_late: impl Fn(i64) -> bool,
) -> rusqlite::Result<i64> {
    let mut part = *part;
    let mut step = 1;
    while let Some((row, at)) = row_from(db, part.after + step, part.before)? {
        if is_late(at) {
            part.before = row + 1;
            break;
        }
        part.after = row;
        step *= 4;
    }
    first_row(db, &part, is_late)
}

/// Does what [`first_row`] does, faster where the row is near the end.
fn first_row_from_end(
    db: &Connection,
    part: &Part,
    is_late: impl Fn(i64) -> bool,
) -> rusqlite::Result<i64> {
    let mut part = *part;
    let mut step = 1;
    while part.before - step > part.after {
        let middle = part.before - step;
        match row_from(db, middle, part.before)? {
            Some((row, at)) if !is_late(at) => {
                part.after = row;
                break;
            }
            Some(_) | None => part.before = middle,
        }
        step *= 4;
    }
    first_row(db, &part, is_late)
}

/// Returns the first row from `from` on and its time.
fn row_from(db: &Connection, from: i64, before: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    db.prepare_cached(
        "SELECT row, created_at FROM events WHERE row >= ?1 AND row < ?2 ORDER BY row LIMIT 1",
    )?
    .query_row((from, before), |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

/// Among which rows to look, in numbers of the file.
#[derive(Debug, Clone, Copy)]
enum Lead {
    /// All of them.
    Any,
    /// Those that answer the message of this row.
    Answered(i64),
    /// Those that are pinned.
    Pinned,
    /// Those that mention the user of this number.
    Mentioned(i64),
}

impl Lead {
    /// Finds what a question names; `None` where that leaves nothing.
    fn find(db: &Connection, area: &Area, among: &Among) -> rusqlite::Result<Option<Self>> {
        Ok(match (among, area) {
            (Among::All, _) => Some(Self::Any),
            (Among::Pinned, Area::Channel(_)) => Some(Self::Pinned),
            (Among::RepliesTo(seq), Area::Channel(known)) => {
                Some(Self::Answered(key::row(known.no, *seq)))
            }
            (Among::Mentioning(user), _) => author_no(db, area.ns(), user)?.map(Self::Mentioned),
            (Among::Pinned | Among::RepliesTo(_), Area::Namespace(_) | Area::Channels(..)) => None,
        })
    }
}

fn question(query: &EventQuery) -> cursor::Question {
    let (among, replies_to, user) = match &query.among {
        Among::All => (0, None, None),
        Among::RepliesTo(seq) => (1, Some(*seq), None),
        Among::Pinned => (2, None, None),
        Among::Mentioning(user) => (3, None, Some(&**user)),
    };
    cursor::Question::new(1)
        .number(Some(among))
        .number(replies_to)
        .text(user)
        .scope(&query.scope)
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
