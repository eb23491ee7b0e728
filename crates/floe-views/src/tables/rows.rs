//! Rows of a table: found, inserted, changed, deleted.

use std::sync::Arc;

use floe_proto::Code;
use floe_proto::table::{Mutated, OnConflict, Operation, Place, Row, TableError, Value};
use rusqlite::{OptionalExtension as _, params_from_iter};

use super::constraint::{refused, unexpected, violation};
use super::layout::{Found, Key, Layout, quote};
use super::value::{Bound, bytes_of, row_json};
use super::work::{Work, too_large, too_many};

impl Work<'_> {
    /// Inserts rows, all or those that can be.
    pub fn insert(
        &mut self,
        table: &str,
        rows: &[Row],
        on_conflict: OnConflict,
        each: bool,
    ) -> Result<Mutated, TableError> {
        let layout = self.catalog.need(table)?;
        self.check_space()?;
        if rows.is_empty() {
            return Err(of_table(&layout, Code::InvalidRequest, "there are no rows"));
        }
        let mut mutated = Mutated::default();
        for (at, row) in rows.iter().enumerate() {
            self.count_row()?;
            let inserted = if each {
                self.apart(|work| work.insert_one(&layout, row, on_conflict))
            } else {
                self.insert_one(&layout, row, on_conflict)
            };
            match inserted {
                Ok(found) => note(&mut mutated, found),
                Err(mut error) => {
                    error.row = Some(at);
                    if !each || !is_about_row(error.code) {
                        return Err(error);
                    }
                    mutated.failed.push(error);
                }
            }
        }
        if rows.len() > 1 {
            (mutated.row, mutated.key) = (None, None);
        }
        Ok(mutated)
    }

    /// Changes rows.
    pub fn update(
        &mut self,
        table: &str,
        place: &Place,
        values: &Row,
    ) -> Result<Mutated, TableError> {
        let layout = self.catalog.need(table)?;
        self.check_space()?;
        if values.0.is_empty() {
            return Err(of_table(
                &layout,
                Code::InvalidRequest,
                "there are no values",
            ));
        }
        let mut mutated = Mutated::default();
        for found in self.all_at(&layout, place)? {
            let changed = self.update_one(&layout, &found, values)?;
            note(&mut mutated, changed);
        }
        Ok(mutated)
    }

    /// Deletes rows.
    pub fn delete(&mut self, table: &str, place: &Place) -> Result<Mutated, TableError> {
        let layout = self.catalog.need(table)?;
        let mut mutated = Mutated::default();
        for found in self.all_at(&layout, place)? {
            self.delete_one(&layout, &found)?;
            note(&mut mutated, found);
        }
        Ok(mutated)
    }

    /// Inserts a row, or changes the one that has its key.
    pub fn insert_one(
        &mut self,
        layout: &Arc<Layout>,
        row: &Row,
        on_conflict: OnConflict,
    ) -> Result<Found, TableError> {
        self.check_values(layout, row)?;
        if on_conflict == OnConflict::Update
            && let Some(key) = key_in(layout, row)
            && let Some(found) = self.find(layout, &key)?
        {
            return self.update_one(layout, &found, row);
        }
        let inserted = self.write_new(layout, row)?;
        let value = row_json(&inserted.row);
        self.tell_row(
            layout,
            Operation::Insert,
            &inserted.key_text(),
            Some(&value),
            None,
        )?;
        Ok(inserted)
    }

    /// Changes a row; nothing is told where it stays as it is.
    pub fn update_one(
        &mut self,
        layout: &Arc<Layout>,
        old: &Found,
        values: &Row,
    ) -> Result<Found, TableError> {
        self.check_values(layout, values)?;
        let new = self.write_change(layout, old, values)?;
        if new == *old {
            return Ok(new);
        }
        let (old_key, new_key) = (old.key_text(), new.key_text());
        let (old_json, new_json) = (row_json(&old.row), row_json(&new.row));
        if old_key == new_key {
            self.tell_row(
                layout,
                Operation::Update,
                &new_key,
                Some(&new_json),
                Some(&old_json),
            )?;
        } else {
            // A key names a row for good, so under another key it is another row.
            self.tell_row(layout, Operation::Delete, &old_key, None, Some(&old_json))?;
            self.tell_row(layout, Operation::Insert, &new_key, Some(&new_json), None)?;
        }
        Ok(new)
    }

    /// Deletes a row.
    pub fn delete_one(&mut self, layout: &Arc<Layout>, old: &Found) -> Result<(), TableError> {
        let sql = format!(
            "DELETE FROM {} WHERE {}",
            quote(layout.name()),
            layout.at_key
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        statement
            .execute(params_from_iter(old.key.iter().map(Bound)))
            .map_err(failed)?;
        drop(statement);
        let value = row_json(&old.row);
        self.tell_row(
            layout,
            Operation::Delete,
            &old.key_text(),
            None,
            Some(&value),
        )
    }

    /// Returns the row with a key.
    pub fn find(&mut self, layout: &Layout, key: &[Value]) -> Result<Option<Found>, TableError> {
        if key.len() != layout.key_len() {
            let what = format!("the key has {} values", layout.key_len());
            return Err(of_table(layout, Code::InvalidRequest, &what));
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            layout.columns,
            quote(layout.name()),
            layout.at_key
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        statement
            .query_row(params_from_iter(key.iter().map(Bound)), |row| {
                layout.read(row)
            })
            .optional()
            .map_err(failed)
    }

    fn all_at(&mut self, layout: &Arc<Layout>, place: &Place) -> Result<Vec<Found>, TableError> {
        let key = match place {
            Place::Key(key) => key.clone(),
            Place::Named(row) => named_key(layout, row)?,
            Place::Where(row) => return self.all_where(layout, row),
        };
        self.count_row()?;
        let found = self.find(layout, &key)?;
        let found = found.ok_or_else(|| {
            let key = super::value::key_text(&key.iter().collect::<Vec<_>>());
            let shown: String = key.chars().take(100).collect();
            of_table(
                layout,
                Code::NotFound,
                &format!("there is no row `{shown}`"),
            )
        })?;
        Ok(vec![found])
    }

    fn all_where(&mut self, layout: &Arc<Layout>, row: &Row) -> Result<Vec<Found>, TableError> {
        if row.0.is_empty() {
            return Err(of_table(
                layout,
                Code::InvalidRequest,
                "nothing says which rows are meant",
            ));
        }
        self.check_values(layout, row)?;
        let conditions: Vec<String> = row
            .0
            .iter()
            .map(|(name, _)| format!("{} IS ?", quote(name)))
            .collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {} ORDER BY {}",
            layout.columns,
            quote(layout.name()),
            conditions.join(" AND "),
            layout.order,
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        let values = row.0.iter().map(|(_, value)| Bound(value));
        let mut rows = statement.query(params_from_iter(values)).map_err(failed)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(failed)? {
            self.count_row()?;
            let one = layout.read(row).map_err(failed)?;
            bytes += one
                .row
                .0
                .iter()
                .map(|(_, value)| bytes_of(value))
                .sum::<usize>();
            if bytes > self.options.call_bytes_max {
                return Err(too_many("bytes of rows", self.options.call_bytes_max));
            }
            found.push(one);
        }
        Ok(found)
    }

    /// Does something that leaves nothing where it fails, while the call goes on.
    fn apart<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, TableError>,
    ) -> Result<T, TableError> {
        let (bytes, len) = (self.out.bytes.len(), self.out.len());
        let (seq, writes) = (self.seq, self.writes);
        let ids = self.catalog.mark();
        self.savepoint("SAVEPOINT one")?;
        let done = act(self);
        if done.is_err() {
            self.savepoint("ROLLBACK TO one")?;
            self.out.truncate(bytes, len);
            (self.seq, self.writes) = (seq, writes);
            self.catalog.undo(ids);
        }
        self.savepoint("RELEASE one")?;
        done
    }

    fn savepoint(&self, sql: &str) -> Result<(), TableError> {
        let mut statement = self.db.prepare_cached(sql).map_err(failed)?;
        statement.execute([]).map_err(failed)?;
        Ok(())
    }

    fn write_new(&mut self, layout: &Arc<Layout>, row: &Row) -> Result<Found, TableError> {
        let name = layout.name();
        let columns = &layout.table.columns;
        let mut values: Vec<Value> = Vec::with_capacity(columns.len() + 1);
        if layout.key == Key::Rowid {
            values.push(Value::Integer(self.next_id(layout)?));
        }
        for (at, column) in columns.iter().enumerate() {
            let given = row.get(&column.name);
            let value = match given.or(column.default.as_ref()) {
                None | Some(Value::Null) if layout.key == Key::Number(at) => {
                    Value::Integer(self.next_id(layout)?)
                }
                value => value.cloned().unwrap_or(Value::Null),
            };
            values.push(value);
        }
        let marks = vec!["?"; values.len()].join(",");
        let sql = format!(
            "INSERT INTO {} ({columns}) VALUES ({marks}) RETURNING {columns}",
            quote(name),
            columns = layout.columns,
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        let inserted = statement
            .query_row(params_from_iter(values.iter().map(Bound)), |row| {
                layout.read(row)
            })
            .map_err(|error| refused(error, layout))?;
        drop(statement);
        self.check_row(layout, &inserted)?;
        self.note_id(layout, &inserted);
        Ok(inserted)
    }

    fn write_change(
        &mut self,
        layout: &Arc<Layout>,
        old: &Found,
        values: &Row,
    ) -> Result<Found, TableError> {
        let sets: Vec<String> = values
            .0
            .iter()
            .map(|(name, _)| format!("{}=?", quote(name)))
            .collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE {} RETURNING {}",
            quote(layout.name()),
            sets.join(","),
            layout.at_key,
            layout.columns,
        );
        let mut statement = self.db.prepare_cached(&sql).map_err(failed)?;
        let values = values.0.iter().map(|(_, value)| Bound(value));
        let changed = statement
            .query_row(
                params_from_iter(values.chain(old.key.iter().map(Bound))),
                |row| layout.read(row),
            )
            .map_err(|error| refused(error, layout))?;
        drop(statement);
        self.check_row(layout, &changed)?;
        self.note_id(layout, &changed);
        Ok(changed)
    }

    fn next_id(&self, layout: &Layout) -> Result<i64, TableError> {
        let last = self.catalog.last_id(layout.name());
        last.checked_add(1).ok_or_else(|| {
            of_table(
                layout,
                Code::LimitReached,
                "the table has given out its last number",
            )
        })
    }

    fn note_id(&mut self, layout: &Layout, found: &Found) {
        if let (Key::Number(_) | Key::Rowid, Some(id)) = (&layout.key, found.number()) {
            self.catalog.note_id(layout.name(), id);
        }
    }

    /// Checks that all columns are there, and that no value is too large or none that SQLite has.
    fn check_values(&self, layout: &Layout, row: &Row) -> Result<(), TableError> {
        for (name, value) in &row.0 {
            let Some(place) = layout.place(name) else {
                let shown: String = name.chars().take(100).collect();
                let what = format!("there is no column `{shown}`");
                let mut error = of_table(layout, Code::InvalidRequest, &what);
                error.column = Some(shown.into());
                return Err(error);
            };
            if bytes_of(value) > self.options.value_bytes_max {
                let limit = self.options.value_bytes_max;
                let what = format!("a value of `{name}` has more than {limit} bytes");
                let mut error = too_large(layout, &what);
                error.column = Some(name.clone());
                return Err(error);
            }
            let is_number = matches!(value, Value::Integer(_) | Value::Null);
            if layout.key == Key::Number(place) && !is_number {
                return Err(violation(
                    layout,
                    Some(name),
                    "the value is no whole number",
                ));
            }
            if matches!(value, Value::Real(real) if !real.is_finite()) {
                return Err(violation(layout, Some(name), "the number is not finite"));
            }
        }
        Ok(())
    }

    /// Checks that a row as it is now can be read again by a query.
    fn check_row(&self, layout: &Layout, found: &Found) -> Result<(), TableError> {
        let values = found.row.0.iter();
        let bytes: usize = values.map(|(_, value)| bytes_of(value)).sum();
        let limit = self.options.row_bytes_max();
        if bytes > limit {
            return Err(too_large(
                layout,
                &format!("a row has more than {limit} bytes"),
            ));
        }
        Ok(())
    }

    /// Checks that the file may still grow.
    pub fn check_space(&self) -> Result<(), TableError> {
        let pages = |sql| -> rusqlite::Result<i64> {
            self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))
        };
        let count = pages("PRAGMA page_count").map_err(failed)?;
        let size = pages("PRAGMA page_size").map_err(failed)?;
        if count.saturating_mul(size).cast_unsigned() < self.options.file_bytes_max {
            return Ok(());
        }
        Err(TableError::new(
            Code::LimitReached,
            format!(
                "the room's tables have more than {} bytes",
                self.options.file_bytes_max
            ),
        ))
    }
}

fn note(mutated: &mut Mutated, found: Found) {
    mutated.rows += 1;
    let is_one = mutated.rows == 1;
    mutated.key = is_one.then(|| found.key_text());
    mutated.row = is_one.then_some(found.row);
}

/// Returns the key that a row is given, where it is given one.
fn key_in(layout: &Layout, row: &Row) -> Option<Vec<Value>> {
    let places = layout.key_places();
    let value = |at: &usize| {
        let column = layout.table.columns.get(*at)?;
        let given = row.get(&column.name).or(column.default.as_ref())?;
        (*given != Value::Null).then(|| given.clone())
    };
    let key: Option<Vec<Value>> = places.iter().map(value).collect();
    key.filter(|key| !key.is_empty())
}

/// Returns the key that is said by the names of its columns.
fn named_key(layout: &Layout, row: &Row) -> Result<Vec<Value>, TableError> {
    let places = layout.key_places();
    let value = |at: &usize| row.get(&layout.table.columns.get(*at)?.name).cloned();
    let key: Option<Vec<Value>> = places.iter().map(value).collect();
    key.filter(|key| !key.is_empty() && key.len() == row.0.len())
        .ok_or_else(|| {
            let what = "a row is named by the columns of its key, all of them and no other";
            of_table(layout, Code::InvalidRequest, what)
        })
}

fn is_about_row(code: Code) -> bool {
    matches!(
        code,
        Code::Constraint | Code::InvalidRequest | Code::NotFound | Code::Exists
    )
}

/// Makes an error about a table.
pub fn of_table(layout: &Layout, code: Code, what: &str) -> TableError {
    let mut error = TableError::new(code, format!("`{}`: {what}", layout.name()));
    error.table = Some(layout.name().into());
    error
}

fn failed(error: rusqlite::Error) -> TableError {
    unexpected(&error)
}
