//! Events by their words, or parts of them.

use floe_proto::{EventQuery, Page, Scope, Search, SearchMode, StoredEvent};
use rusqlite::{Connection, Row};

use crate::matching::Wanted;
use crate::{QueryError, cursor, key, terms};

use super::Reader;
use super::documents::{Span, Texts, find, words_beginning};
use super::events::{check_text, events};
use super::row::{COLUMNS, Found};
use super::scope::{Area, ChannelsSeen};

/// Words that the index is asked for; the rest are looked for in what it finds.
const WORDS_ASKED: usize = 32;

/// Answers.
pub fn search(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    check_text(reader, Some(&search.text))?;
    match search.mode {
        SearchMode::Words => words(reader, search),
        SearchMode::Substring => substring(reader, search),
    }
}

/// Events of a channel up to which it is faster to look at all of them than to ask the index.
const SCANNED_MAX: u64 = 2_000;

/// Where a page of found words ends: among the matches of a window, best first.
#[derive(Debug, Clone, Copy)]
struct Progress {
    window: Window,
    /// Rank and key of the last match shown.
    last: Option<(f64, i64)>,
}

/// Matches between two keys, newest first: those of documents, or of events
/// where no index is asked.
#[derive(Debug, Clone, Copy)]
struct Window {
    span: Span,
    scanned: bool,
}

impl Progress {
    fn read(question: cursor::Question, page: &str) -> Result<Self, QueryError> {
        let [scanned, after, before, rank, key] = cursor::read(question, page)?;
        let rank = f64::from_bits(rank);
        let span = Span {
            after: after as i64,
            before: before as i64,
        };
        Ok(Self {
            window: Window {
                span,
                scanned: scanned > 0,
            },
            last: rank.is_finite().then_some((rank, key as i64)),
        })
    }

    fn write(self, question: cursor::Question) -> Box<str> {
        let (rank, key) = self.last.unwrap_or((f64::INFINITY, 0));
        let numbers = [
            u64::from(self.window.scanned),
            self.window.span.after as u64,
            self.window.span.before as u64,
            rank.to_bits(),
            key as u64,
        ];
        cursor::write(question, numbers)
    }
}

impl Window {
    /// Returns the first window of an area.
    fn first(area: &Area) -> Self {
        match area {
            Area::Channel(known) if known.applied.saturating_sub(known.start) < SCANNED_MAX => {
                Self {
                    span: Span {
                        after: -1,
                        before: known.applied as i64 + 1,
                    },
                    scanned: true,
                }
            }
            Area::Channel(_) | Area::Namespace(_) | Area::Channels(..) => Self {
                span: Span {
                    after: -1,
                    before: i64::MAX,
                },
                scanned: false,
            },
        }
    }

    /// Returns the window of all that is older.
    const fn older(mut self) -> Self {
        self.span = Span {
            after: -1,
            before: self.span.after + 1,
        };
        self
    }
}

/// A match in the window.
struct Hit {
    rank: f64,
    key: i64,
    found: Found,
}

/// Takes the newest matches as a window, and shows them best first; older ones follow as the next
/// window. So a word that everybody uses costs no more than a rare one.
fn words(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    let question = cursor::Question::new(3)
        .scope(&search.scope)
        .text(Some(&search.text));
    let progress = match &search.page {
        Some(page) => Some(Progress::read(question, page)?),
        None => None,
    };
    if !reader.options.words {
        return Err(QueryError::IndexOff { index: "words" });
    }
    let mut page = Page {
        items: Vec::new(),
        next: None,
    };
    let db = &reader.db;
    let Some(wanted) = Wanted::read(&search.text) else {
        return Ok(page);
    };
    let Some(area) = Area::find(db, &search.scope)? else {
        return Ok(page);
    };
    let progress = progress.unwrap_or_else(|| Progress {
        window: Window::first(&area),
        last: None,
    });
    let (window, hits) = window(reader, &wanted, area, progress.window)?;
    let limit = search.limit.clamp(1, reader.options.page_items_max) as usize;
    let mut hits = hits
        .into_iter()
        .filter(|hit| {
            progress.last.is_none_or(|(rank, key)| {
                hit.rank < rank || (hit.rank.total_cmp(&rank).is_eq() && hit.key < key)
            })
        })
        .peekable();
    let mut last = progress.last;
    let mut bytes = 0;
    while page.items.len() < limit && bytes < reader.options.page_bytes_max {
        let Some(hit) = hits.next() else { break };
        bytes += hit.found.content.len();
        last = Some((hit.rank, hit.key));
        let snippet = wanted.snippet(&hit.found.content);
        page.items.push(StoredEvent {
            snippet: Some(snippet.into()),
            rank: Some(hit.rank),
            ..hit.found.complete(db, None)?
        });
    }
    let next = if hits.peek().is_some() {
        Some(Progress { window, last })
    } else {
        // Older matches, if the window does not reach down to the oldest.
        (window.span.after >= 0).then_some(Progress {
            window: window.older(),
            last: None,
        })
    };
    page.next = next.map(|next| next.write(question));
    Ok(page)
}

/// Returns the matches of a window, best first, and where the window ends.
fn window(
    reader: &Reader,
    wanted: &Wanted,
    area: Area,
    mut window: Window,
) -> Result<(Window, Vec<Hit>), QueryError> {
    let mut hits = Hits {
        db: &reader.db,
        wanted,
        area,
        channels: ChannelsSeen::default(),
        found: Vec::new(),
    };
    match (window.scanned, hits.area.clone()) {
        (true, Area::Channel(known)) => hits.scan(known.no, window.span)?,
        (true, Area::Namespace(_) | Area::Channels(..)) => return Err(QueryError::Page),
        (false, _) => {
            let candidates_max = reader.options.candidates_max.max(1) as usize;
            window.span = hits.ask(window.span, candidates_max)?;
        }
    }
    let mut found = hits.found;
    found.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.key.cmp(&a.key)));
    Ok((window, found))
}

/// Matches while they are gathered.
struct Hits<'a> {
    db: &'a Connection,
    wanted: &'a Wanted,
    area: Area,
    channels: ChannelsSeen,
    found: Vec<Hit>,
}

impl Hits<'_> {
    /// Looks at every message of a channel.
    fn scan(&mut self, channel: i64, span: Span) -> rusqlite::Result<()> {
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events
             WHERE row > ?1 AND row < ?2 AND deleted_at IS NULL ORDER BY row DESC"
        ))?;
        let mut rows = statement.query((
            key::row(channel, 0),
            key::row(channel, u64::try_from(span.before).unwrap_or(0)),
        ))?;
        while let Some(row) = rows.next()? {
            let seq = key::seq(row.get(0)?);
            self.take(seq as i64, row)?;
        }
        Ok(())
    }

    /// Asks the index for the newest documents; returns what part of the span they cover.
    fn ask(&mut self, mut span: Span, candidates_max: usize) -> rusqlite::Result<Span> {
        let db = self.db;
        let words = self.wanted.whole_words().into_iter();
        let all: Vec<_> = words.take(WORDS_ASKED).collect();
        let any = words_beginning(db, self.area.ns(), self.wanted.beginning())?;
        let asked = terms::question(&self.area.terms(), &all, &any);
        let mut candidates = Vec::new();
        find(db, Texts::Words, &asked, span, true, |doc, row| {
            candidates.push((doc, row));
            Ok(candidates.len() < candidates_max)
        })?;
        // What comes in later must not push anything out of the window.
        if let Some((doc, _)) = candidates.first() {
            span.before = doc + 1;
        }
        if candidates.len() >= candidates_max
            && let Some((doc, _)) = candidates.last()
        {
            span.after = doc - 1;
        }
        let mut read = db.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM events WHERE row = ?1 AND deleted_at IS NULL"
        ))?;
        for (doc, row) in candidates {
            let mut rows = read.query([row])?;
            if let Some(row) = rows.next()? {
                self.take(doc, row)?;
            }
        }
        Ok(span)
    }

    /// Takes a row if it matches and may be seen.
    fn take(&mut self, key: i64, row: &Row<'_>) -> rusqlite::Result<()> {
        let content = row.get_ref(5)?.as_str().unwrap_or_default();
        let Some(rank) = self.wanted.rank(content) else {
            return Ok(());
        };
        let channel = self.channels.of_row(self.db, row.get(0)?, false)?;
        if let Some(channel) = channel.filter(|channel| self.area.has(channel)) {
            let found = Found::read(row, channel)?;
            self.found.push(Hit { rank, key, found });
        }
        Ok(())
    }
}

/// Shows what contains the text, newest first.
fn substring(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    if !matches!(search.scope, Scope::Channel(_)) && !reader.options.trigrams {
        return Err(QueryError::IndexOff { index: "trigrams" });
    }
    if search.text.is_empty() {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    }
    let query = EventQuery {
        content_contains: Some(search.text.clone()),
        newest_first: true,
        page: search.page.clone(),
        ..EventQuery::new(search.scope.clone(), search.limit)
    };
    let mut page = events(reader, &query)?;
    for item in &mut page.items {
        let content = item.event.content.as_deref().unwrap_or_default();
        item.snippet = Some(crate::matching::snippet_of_part(content, &search.text).into());
    }
    Ok(page)
}
