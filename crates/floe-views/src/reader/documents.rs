//! Questions to the full-text indexes.

use rusqlite::Connection;

use crate::{index, terms};

use super::scope::Area;

/// Words of the dictionary that are looked at for a beginning.
const WORDS_LOOKED_AT: u32 = 2_000;
/// Words that a beginning stands for: the shortest.
const WORDS_MEANT_MAX: usize = 24;

/// A full-text index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    /// That of words.
    Words,
    /// That of parts of three characters.
    Parts,
}

/// Documents between two that do not belong to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The number before the first.
    pub after: i64,
    /// The number after the last.
    pub before: i64,
}

impl Area {
    /// Returns the terms of which all documents of the area have one.
    pub fn terms(&self) -> Vec<String> {
        match self {
            Self::Channel(known) => vec![terms::channel(known.no)],
            Self::Namespace(no) => vec![terms::namespace(*no)],
            Self::Channels(_, all) => all.iter().map(|known| terms::channel(known.no)).collect(),
        }
    }
}

/// Calls `each` with the document and the row of what an index finds, until it returns `false`.
pub fn find(
    db: &Connection,
    texts: Texts,
    question: &str,
    span: Span,
    newest_first: bool,
    mut each: impl FnMut(i64, i64) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    let name = match texts {
        Texts::Words => "words",
        Texts::Parts => "parts",
    };
    let order = if newest_first { "DESC" } else { "ASC" };
    let mut statement = db.prepare_cached(&format!(
        "SELECT d.doc, d.row FROM {name} CROSS JOIN documents d ON d.doc = {name}.rowid
         WHERE {name} MATCH ?1 AND {name}.rowid > ?2 AND {name}.rowid < ?3
         ORDER BY {name}.rowid {order}"
    ))?;
    let mut rows = statement.query((question, span.after, span.before))?;
    while let Some(row) = rows.next()? {
        if !each(row.get(0)?, row.get(1)?)? {
            break;
        }
    }
    Ok(())
}

/// Returns the documents of events after one moment and before another, and few besides.
pub fn of_times(after: i64, before: i64) -> Span {
    Span {
        after: index::first_document(after) - 1,
        before: index::end_of_documents(before),
    }
}

/// Returns words of a namespace that begin like this, the word itself among them.
pub fn words_beginning(db: &Connection, ns: i64, beginning: &str) -> rusqlite::Result<Vec<String>> {
    let mut words = db
        .prepare_cached(
            "SELECT word FROM dictionary WHERE ns = ?1 AND word > ?2 AND word < ?3
             ORDER BY word LIMIT ?4",
        )?
        .query_map(
            (
                ns,
                beginning,
                format!("{beginning}{}", char::MAX),
                WORDS_LOOKED_AT,
            ),
            |row| row.get(0),
        )?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    words.sort_by_key(String::len);
    words.truncate(WORDS_MEANT_MAX);
    words.push(beginning.to_owned());
    Ok(words)
}
