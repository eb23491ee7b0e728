//! Numbers for names: of namespaces, and of authors within one.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _};

/// Names whose numbers are known without asking the file.
#[derive(Debug, Default)]
pub struct Names {
    namespaces: HashMap<Box<str>, i64>,
    authors: HashMap<i64, HashMap<Box<str>, i64>>,
    authors_kept: usize,
}

/// Authors, and namespaces, that are kept in memory; at the bound all are forgotten.
const NAMES_MAX: usize = 65_536;

impl Names {
    /// Returns the number of a namespace, which gets one if it has none.
    pub fn namespace(&mut self, db: &Connection, name: &str) -> rusqlite::Result<i64> {
        if let Some(no) = self.namespaces.get(name) {
            return Ok(*no);
        }
        let known = db
            .prepare_cached("SELECT no FROM namespaces WHERE name = ?1")?
            .query_row([name], |row| row.get(0))
            .optional()?;
        let no = match known {
            Some(no) => no,
            None => db
                .prepare_cached("INSERT INTO namespaces (name) VALUES (?1)")?
                .insert([name])?,
        };
        if self.namespaces.len() >= NAMES_MAX {
            self.namespaces.clear();
        }
        self.namespaces.insert(name.into(), no);
        Ok(no)
    }

    /// Returns the number of an author, who gets one if they have none.
    pub fn author(&mut self, db: &Connection, ns: i64, name: &str) -> rusqlite::Result<i64> {
        if let Some(no) = self.authors.get(&ns).and_then(|names| names.get(name)) {
            return Ok(*no);
        }
        let known = db
            .prepare_cached("SELECT no FROM authors WHERE ns = ?1 AND name = ?2")?
            .query_row((ns, name), |row| row.get(0))
            .optional()?;
        let no = match known {
            Some(no) => no,
            None => db
                .prepare_cached("INSERT INTO authors (ns, name) VALUES (?1, ?2)")?
                .insert((ns, name))?,
        };
        if self.authors_kept >= NAMES_MAX {
            self.authors.clear();
            self.authors_kept = 0;
        }
        self.authors_kept += 1;
        self.authors.entry(ns).or_default().insert(name.into(), no);
        Ok(no)
    }
}
