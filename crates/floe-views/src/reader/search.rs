//! Events by their words, or parts of them.

use floe_proto::{EventQuery, Page, Scope, Search, SearchMode, StoredEvent};

use crate::matching::Wanted;
use crate::{QueryError, cursor, terms};

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

/// Where a page of found words ends: among the matches of a window, best first.
#[derive(Debug, Clone, Copy)]
struct Progress {
    window: Span,
    /// Rank and document of the last match shown.
    last: Option<(f64, i64)>,
}

impl Progress {
    const START: Self = Self {
        window: Span {
            after: -1,
            before: i64::MAX,
        },
        last: None,
    };

    fn read(question: cursor::Question, page: &str) -> Result<Self, QueryError> {
        let [after, before, rank, doc] = cursor::read(question, page)?;
        let rank = f64::from_bits(rank);
        Ok(Self {
            window: Span {
                after: after as i64,
                before: before as i64,
            },
            last: rank.is_finite().then_some((rank, doc as i64)),
        })
    }

    fn write(self, question: cursor::Question) -> Box<str> {
        let (rank, doc) = self.last.unwrap_or((f64::INFINITY, 0));
        let numbers = [
            self.window.after as u64,
            self.window.before as u64,
            rank.to_bits(),
            doc as u64,
        ];
        cursor::write(question, numbers)
    }
}

/// A match in the window.
struct Hit {
    rank: f64,
    doc: i64,
    found: Found,
}

/// Takes the newest matches as a window, and shows them best first; older ones follow as the next
/// window. So a word that everybody uses costs no more than a rare one.
fn words(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    let question = cursor::Question::new(3)
        .scope(&search.scope)
        .text(Some(&search.text));
    let progress = match &search.page {
        Some(page) => Progress::read(question, page)?,
        None => Progress::START,
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
    let (window, hits) = window(reader, &wanted, area, progress.window)?;
    let limit = search.limit.clamp(1, reader.options.page_items_max) as usize;
    let mut hits = hits
        .into_iter()
        .filter(|hit| {
            progress.last.is_none_or(|(rank, doc)| {
                hit.rank < rank || (hit.rank.total_cmp(&rank).is_eq() && hit.doc < doc)
            })
        })
        .peekable();
    let mut last = progress.last;
    let mut bytes = 0;
    while page.items.len() < limit && bytes < reader.options.page_bytes_max {
        let Some(hit) = hits.next() else { break };
        bytes += hit.found.content.len();
        last = Some((hit.rank, hit.doc));
        let snippet = wanted.snippet(&hit.found.content);
        page.items.push(StoredEvent {
            snippet: Some(snippet.into()),
            rank: Some(hit.rank),
            ..hit.found.complete(db)?
        });
    }
    let next = if hits.peek().is_some() {
        Some(Progress { window, last })
    } else {
        // Older matches, if the window does not reach down to the oldest.
        (window.after >= 0).then_some(Progress {
            window: Span {
                after: -1,
                before: window.after + 1,
            },
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
    mut window: Span,
) -> Result<(Span, Vec<Hit>), QueryError> {
    let db = &reader.db;
    let mut all = vec![area.term()];
    all.extend(wanted.whole_words().into_iter().take(WORDS_ASKED));
    let any = words_beginning(db, area.ns(), wanted.beginning())?;
    let asked = terms::question(&all, &any);
    let mut candidates = Vec::new();
    let candidates_max = reader.options.candidates_max.max(1) as usize;
    find(db, Texts::Words, &asked, window, true, |doc, row| {
        candidates.push((doc, row));
        Ok(candidates.len() < candidates_max)
    })?;
    // What comes in later must not push anything out of the window.
    if let Some((doc, _)) = candidates.first() {
        window.before = doc + 1;
    }
    if candidates.len() >= candidates_max
        && let Some((doc, _)) = candidates.last()
    {
        window.after = doc - 1;
    }
    let mut channels = ChannelsSeen::default();
    let mut read = db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM events WHERE row = ?1 AND deleted_at IS NULL"
    ))?;
    let mut hits = Vec::new();
    for (doc, row) in candidates {
        let Some(channel) = channels.of_row(db, row, false)?.filter(|it| area.has(it)) else {
            continue;
        };
        let mut rows = read.query([row])?;
        let Some(row) = rows.next()? else { continue };
        let content = row.get_ref(5)?.as_str().unwrap_or_default();
        if let Some(found) = wanted.find(content) {
            hits.push(Hit {
                rank: found.rank,
                doc,
                found: Found::read(row, channel)?,
            });
        }
    }
    hits.sort_by(|a, b| b.rank.total_cmp(&a.rank).then(b.doc.cmp(&a.doc)));
    Ok((window, hits))
}

/// Shows what contains the text, newest first.
fn substring(reader: &Reader, search: &Search) -> Result<Page<StoredEvent>, QueryError> {
    if matches!(search.scope, Scope::Namespace(_)) && !reader.options.trigrams {
        return Err(QueryError::IndexOff { index: "trigrams" });
    }
    if search.text.is_empty() {
        return Ok(Page {
            items: Vec::new(),
            next: None,
        });
    }
    let query = EventQuery {
        scope: search.scope.clone(),
        after_seq: None,
        before_seq: None,
        author_id: None,
        content_contains: Some(search.text.clone()),
        after_date: None,
        before_date: None,
        newest_first: true,
        limit: search.limit,
        page: search.page.clone(),
        with_deleted: false,
    };
    let mut page = events(reader, &query)?;
    for item in &mut page.items {
        let content = item.event.content.as_deref().unwrap_or_default();
        item.snippet = Some(crate::matching::snippet_of_part(content, &search.text).into());
    }
    Ok(page)
}
