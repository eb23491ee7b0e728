//! The full-text index, as the projector writes it.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use rusqlite::{CachedStatement, Connection, OptionalExtension as _};

use crate::{Options, key, schema, terms};

/// Bits of a document's number below its time.
const PLACE_BITS: u32 = 12;
/// Latest time that a document's number can hold; far beyond the year 9999.
const MS_MAX: i64 = 1 << 50;
/// Numbers looked at for a document: those of four seconds. One that lies further off stays behind
/// when its event is edited or deleted, which costs space and no more: whatever the index finds is
/// checked in the event itself.
const SPAN: i64 = 4_000 << PLACE_BITS;
/// Words that are known to be in the dictionary; at the bound all are forgotten.
const KNOWN_MAX: usize = 1 << 18;

/// Which indexes there are, and what is known of them.
#[derive(Debug, Default)]
pub struct Index {
    words: bool,
    parts: bool,
    known: HashSet<u64>,
    hasher: RandomState,
}

/// What a batch changes in the index, by row: what must be found of it in the end.
#[derive(Debug, Default)]
pub struct Pending<'a>(BTreeMap<i64, Content<'a>>);

#[derive(Debug)]
struct Content<'a> {
    /// Namespace and time of a row that the index does not have yet.
    new: Option<(i64, i64)>,
    text: Option<Cow<'a, str>>,
}

impl<'a> Pending<'a> {
    /// Notes a new row of a namespace, and its time.
    pub fn add(&mut self, row: i64, ns: i64, at: i64, text: Cow<'a, str>) {
        let content = Content {
            new: Some((ns, at)),
            text: Some(text),
        };
        self.0.insert(row, content);
    }

    /// Notes that a row has another text, or none that may be found.
    pub fn change(&mut self, row: i64, text: Option<Cow<'a, str>>) {
        let content = self.0.entry(row).or_insert(Content {
            new: None,
            text: None,
        });
        content.text = text;
    }
}

impl Index {
    /// Brings the indexes to what the options want: fills them, or empties them.
    pub fn open(db: &Connection, options: &Options) -> rusqlite::Result<Self> {
        let mut index = Self::default();
        let had = (
            schema::state(db, "words")? == Some(1),
            schema::state(db, "parts")? == Some(1),
        );
        for (wanted, there, name) in [
            (options.words, had.0, "words"),
            (options.trigrams, had.1, "parts"),
        ] {
            if there && !wanted {
                db.execute_batch(&format!(
                    "INSERT INTO {name} ({name}) VALUES ('delete-all')"
                ))?;
            }
            schema::set_state(db, name, i64::from(wanted))?;
        }
        if !options.words {
            db.execute_batch("DELETE FROM dictionary")?;
        }
        if !options.words && !options.trigrams {
            db.execute_batch("DELETE FROM documents")?;
        }
        index.words = options.words && !had.0;
        index.parts = options.trigrams && !had.1;
        if index.words || index.parts {
            index.fill(db, had.0 || had.1)?;
        }
        index.words = options.words;
        index.parts = options.trigrams;
        Ok(index)
    }

    /// Puts all rows into the indexes that are switched on.
    fn fill(&mut self, db: &Connection, has_documents: bool) -> rusqlite::Result<()> {
        let mut writing = Writing::new(db)?;
        let mut rows =
            db.prepare("SELECT row, ns, created_at, content FROM events WHERE deleted_at IS NULL")?;
        let mut rows = rows.query([])?;
        while let Some(found) = rows.next()? {
            let (row, at) = (found.get(0)?, found.get(2)?);
            let known = match has_documents {
                true => document(db, row, at)?,
                false => None,
            };
            let doc = match known {
                Some(doc) => doc,
                None => writing.new_document(row, at)?,
            };
            let text = found.get_ref(3)?.as_str().unwrap_or_default();
            self.insert(db, &mut writing, doc, row, found.get(1)?, text)?;
        }
        Ok(())
    }

    /// Writes what a batch has changed.
    pub fn write(&mut self, db: &Connection, pending: Pending<'_>) -> rusqlite::Result<()> {
        if !self.is_on() {
            return Ok(());
        }
        let mut texts = Vec::with_capacity(pending.0.len());
        let mut writing = Writing::new(db)?;
        for (row, content) in pending.0 {
            let (ns, at, known) = match content.new {
                Some((ns, at)) => (ns, at, None),
                None => self.known(db, row)?,
            };
            if let Some(doc) = known {
                self.delete(db, doc, content.text.is_none())?;
            }
            if let Some(text) = content.text {
                let doc = match known {
                    Some(doc) => doc,
                    None => writing.new_document(row, at)?,
                };
                texts.push((doc, row, ns, text));
            }
        }
        // The index takes them fastest in this order.
        texts.sort_unstable_by_key(|(doc, ..)| *doc);
        for (doc, row, ns, text) in texts {
            self.insert(db, &mut writing, doc, row, ns, &text)?;
        }
        Ok(())
    }

    /// Returns the namespace, the time and the document of a row that the index has.
    fn known(&self, db: &Connection, row: i64) -> rusqlite::Result<(i64, i64, Option<i64>)> {
        let (ns, at) = db
            .prepare_cached("SELECT ns, created_at FROM events WHERE row = ?1")?
            .query_row([row], |found| Ok((found.get(0)?, found.get(1)?)))?;
        Ok((ns, at, document(db, row, at)?))
    }

    /// Takes a row away for good.
    pub fn remove(&self, db: &Connection, row: i64, at: i64) -> rusqlite::Result<()> {
        if self.is_on()
            && let Some(doc) = document(db, row, at)?
        {
            self.delete(db, doc, true)?;
        }
        Ok(())
    }

    /// Forgets what is known of the file, after a batch that was not applied.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    const fn is_on(&self) -> bool {
        self.words || self.parts
    }

    fn insert(
        &mut self,
        db: &Connection,
        writing: &mut Writing<'_>,
        doc: i64,
        row: i64,
        ns: i64,
        text: &str,
    ) -> rusqlite::Result<()> {
        let terms = &mut writing.terms;
        if self.words {
            terms::write_place(ns, key::channel(row), terms);
            let mut result = Ok(());
            terms::write_words(text, terms, |word| {
                if result.is_ok() {
                    result = self.learn(db, ns, word);
                }
            });
            result?;
            writing.words.execute((doc, &*terms))?;
        }
        if self.parts {
            terms::write_place(ns, key::channel(row), terms);
            terms::write_parts(text, terms);
            writing.parts.execute((doc, &*terms))?;
        }
        Ok(())
    }

    /// Makes sure that the dictionary has a word.
    fn learn(&mut self, db: &Connection, ns: i64, word: &str) -> rusqlite::Result<()> {
        if !self.known.insert(self.hasher.hash_one((ns, word))) {
            return Ok(());
        }
        if self.known.len() > KNOWN_MAX {
            self.known.clear();
        }
        db.prepare_cached("INSERT OR IGNORE INTO dictionary (ns, word) VALUES (?1, ?2)")?
            .execute((ns, word))?;
        Ok(())
    }

    fn delete(&self, db: &Connection, doc: i64, for_good: bool) -> rusqlite::Result<()> {
        if self.words {
            db.prepare_cached("DELETE FROM words WHERE rowid = ?1")?
                .execute([doc])?;
        }
        if self.parts {
            db.prepare_cached("DELETE FROM parts WHERE rowid = ?1")?
                .execute([doc])?;
        }
        if for_good {
            db.prepare_cached("DELETE FROM documents WHERE doc = ?1")?
                .execute([doc])?;
        }
        Ok(())
    }
}

/// Returns the smallest number that a document of this time can have.
pub fn first_document(at: i64) -> i64 {
    at.clamp(0, MS_MAX) << PLACE_BITS
}

/// Returns a number larger than that of any document before this time.
pub fn end_of_documents(at: i64) -> i64 {
    first_document(at) + SPAN
}

/// Returns the number of a row's document.
fn document(db: &Connection, row: i64, at: i64) -> rusqlite::Result<Option<i64>> {
    let first = first_document(at);
    db.prepare_cached("SELECT doc FROM documents WHERE doc >= ?1 AND doc < ?2 AND row = ?3")?
        .query_row((first, first + SPAN, row), |found| found.get(0))
        .optional()
}

/// What is at hand while many documents are written.
struct Writing<'a> {
    documents: CachedStatement<'a>,
    words: CachedStatement<'a>,
    parts: CachedStatement<'a>,
    terms: String,
    /// Channel and time of the event that a document was found for last, and its number.
    last: (i64, i64, i64),
}

impl<'a> Writing<'a> {
    fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            documents: db.prepare_cached(
                "INSERT INTO documents (doc, row) VALUES (?1, ?2) ON CONFLICT (doc) DO NOTHING",
            )?,
            words: db.prepare_cached("INSERT INTO words (rowid, terms) VALUES (?1, ?2)")?,
            parts: db.prepare_cached("INSERT INTO parts (rowid, terms) VALUES (?1, ?2)")?,
            terms: String::new(),
            last: (0, 0, 0),
        })
    }

    /// Gives a row a free number for its time.
    fn new_document(&mut self, row: i64, at: i64) -> rusqlite::Result<i64> {
        // Channels start at different places of a millisecond, so that few find theirs taken.
        let channel = key::channel(row);
        let spread = (channel as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut doc = first_document(at) + (spread >> (64 - PLACE_BITS + 1)) as i64;
        // Events that were appended at once have one time, and each goes behind the one before.
        if let (last_channel, last_at, last) = self.last
            && (last_channel, last_at) == (channel, at)
        {
            doc = last + 1;
        }
        while self.documents.execute((doc, row))? == 0 {
            doc += 1;
        }
        self.last = (channel, at, doc);
        Ok(doc)
    }
}
