//! The tables that a room has.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::Code;
use floe_proto::table::{Table, TableError};
use rusqlite::Connection;

use super::error::TableFileError;
use super::layout::Layout;

/// The tables of a room by their names, as the file has them once [`Catalog::save`] is through.
#[derive(Debug, Default)]
pub struct Catalog {
    /// By the name in small letters.
    tables: BTreeMap<String, Entry>,
    /// Tables and what the last number given out was before, since the call under way began.
    before: Vec<(i64, i64)>,
}

#[derive(Debug)]
struct Entry {
    layout: Arc<Layout>,
    last_id: i64,
    is_saved: bool,
}

impl Catalog {
    /// Reads the tables from the file.
    pub fn load(db: &Connection) -> Result<Self, TableFileError> {
        let mut statement =
            db.prepare_cached("SELECT number, definition, last_id FROM _floe_tables")?;
        let mut rows = statement.query([])?;
        let mut catalog = Self::default();
        while let Some(row) = rows.next()? {
            let definition = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
            let Ok(table) = serde_json::from_str::<Table>(definition) else {
                return Err(TableFileError::Corrupt(None));
            };
            catalog.put(Layout::new(row.get(0)?, table), row.get(2)?);
        }
        Ok(catalog)
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Returns how many columns all of them have.
    pub fn columns(&self) -> usize {
        let entries = self.tables.values();
        entries.map(|entry| entry.layout.table.columns.len()).sum()
    }

    /// Returns a table; names that differ in case alone are one.
    pub fn get(&self, name: &str) -> Option<Arc<Layout>> {
        let entry = self.tables.get(&name.to_ascii_lowercase())?;
        Some(Arc::clone(&entry.layout))
    }

    /// Returns a table that must be there.
    pub fn need(&self, name: &str) -> Result<Arc<Layout>, TableError> {
        self.get(name).ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let mut error = TableError::new(Code::NotFound, format!("there is no table `{shown}`"));
            error.table = Some(shown.into());
            error
        })
    }

    /// Returns all tables in the order of their names.
    pub fn tables(&self) -> Vec<Table> {
        let entries = self.tables.values();
        entries.map(|entry| entry.layout.table.clone()).collect()
    }

    /// Returns the largest number that a row of the table ever had.
    pub fn last_id(&self, name: &str) -> i64 {
        let entry = self.tables.get(&name.to_ascii_lowercase());
        entry.map_or(0, |entry| entry.last_id)
    }

    /// Notes that a row of the table has a number.
    pub fn note_id(&mut self, name: &str, id: i64) {
        if let Some(entry) = self.tables.get_mut(&name.to_ascii_lowercase())
            && id > entry.last_id
        {
            self.before.push((entry.layout.number, entry.last_id));
            entry.last_id = id;
            entry.is_saved = false;
        }
    }

    /// Begins a call: what was before it is not taken back any more.
    pub fn begin(&mut self) {
        self.before.clear();
    }

    /// Returns a place that [`undo`](Self::undo) comes back to.
    pub const fn mark(&self) -> usize {
        self.before.len()
    }

    /// Takes back the numbers given out since [`mark`](Self::mark).
    pub fn undo(&mut self, mark: usize) {
        while self.before.len() > mark
            && let Some((number, last_id)) = self.before.pop()
        {
            let mut entries = self.tables.values_mut();
            if let Some(entry) = entries.find(|entry| entry.layout.number == number) {
                entry.last_id = last_id;
            }
        }
    }

    /// Writes a new table into the file, or what became of one under the name that it had.
    pub fn write(
        &mut self,
        db: &Connection,
        old_name: Option<&str>,
        layout: Layout,
    ) -> rusqlite::Result<()> {
        let old = old_name.and_then(|name| self.tables.remove(&name.to_ascii_lowercase()));
        let last_id = old.map_or(0, |entry| entry.last_id);
        let definition = serde_json::to_string(&layout.table)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        db.prepare_cached(
            "INSERT INTO _floe_tables (number, name, definition, last_id) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (number) DO UPDATE SET
             name = excluded.name, definition = excluded.definition, last_id = excluded.last_id",
        )?
        .execute((layout.number, layout.name(), definition, last_id))?;
        self.put(layout, last_id);
        Ok(())
    }

    /// Removes a table from the file.
    pub fn remove(&mut self, db: &Connection, layout: &Layout) -> rusqlite::Result<()> {
        db.prepare_cached("DELETE FROM _floe_tables WHERE number = ?1")?
            .execute([layout.number])?;
        db.prepare_cached("DELETE FROM _floe_versions WHERE number = ?1")?
            .execute([layout.number])?;
        self.tables.remove(&layout.name().to_ascii_lowercase());
        Ok(())
    }

    /// Writes the last numbers given out into the file.
    pub fn save(&mut self, db: &Connection) -> rusqlite::Result<()> {
        for entry in self.tables.values_mut().filter(|entry| !entry.is_saved) {
            db.prepare_cached("UPDATE _floe_tables SET last_id = ?2 WHERE number = ?1")?
                .execute((entry.layout.number, entry.last_id))?;
            entry.is_saved = true;
        }
        Ok(())
    }

    fn put(&mut self, layout: Layout, last_id: i64) {
        let entry = Entry {
            last_id,
            is_saved: true,
            layout: Arc::new(layout),
        };
        let name = entry.layout.name().to_ascii_lowercase();
        self.tables.insert(name, entry);
    }
}
