//! Tables made, changed and dropped.

use floe_proto::Code;
use floe_proto::table::{Alteration, Column, Mutated, Operation, Table, TableError, check_name};
use rusqlite::Connection;

use super::TableOptions;
use super::constraint::{refused, unexpected};
use super::definition::{
    check_column, check_count, check_table, column_sql, create_table, index_name, invalid,
    is_there, unique_index,
};
use super::layout::{Layout, quote};
use super::messages::Definition;
use super::rows::of_table;
use super::work::Work;

impl Work<'_> {
    /// Makes a table.
    pub fn create_table(&mut self, table: &Table) -> Result<Mutated, TableError> {
        check_table(table, self.options)?;
        self.check_space()?;
        self.check_free(&table.name)?;
        if self.catalog.len() >= self.options.tables_max {
            return Err(TableError::new(
                Code::LimitReached,
                format!("the room has {} tables already", self.options.tables_max),
            ));
        }
        let layout = Layout::new(self.seq.cast_signed(), table.clone());
        create(self.db, table)
            .and_then(|()| self.catalog.write(self.db, None, layout))
            .map_err(|error| unexpected(&error))?;
        let definition = Definition::of(table);
        self.tell_table(Operation::Insert, &table.name, Some(&definition), None);
        Ok(Mutated::default())
    }

    /// Changes a table.
    pub fn alter_table(&mut self, name: &str, steps: &[Alteration]) -> Result<Mutated, TableError> {
        let layout = self.catalog.need(name)?;
        self.check_space()?;
        if steps.is_empty() {
            return Err(of_table(
                &layout,
                Code::InvalidRequest,
                "nothing is to be changed",
            ));
        }
        if steps.len() > self.options.columns_max {
            return Err(super::work::too_many("steps", self.options.columns_max));
        }
        let old = layout.table.clone();
        let mut new = old.clone();
        for step in steps {
            check_step(&new, step, self.options)?;
            if let Alteration::RenameTable(to) = step {
                self.check_free(to)?;
            }
            alter(self.db, &mut new, step).map_err(|error| unfit(error, &layout))?;
        }
        let altered = Layout::new(layout.number, new.clone());
        self.catalog
            .write(self.db, Some(&old.name), altered)
            .map_err(|error| unexpected(&error))?;
        let mut before = Definition::of(&old);
        let mut after = Definition::of(&new);
        after.steps = steps.to_vec();
        if new.name == old.name {
            self.tell_table(Operation::Update, &old.name, Some(&after), Some(&before));
        } else {
            before.renamed_to = Some(new.name.clone());
            after.renamed_from = Some(old.name.clone());
            self.tell_table(Operation::Delete, &old.name, None, Some(&before));
            self.tell_table(Operation::Insert, &new.name, Some(&after), None);
        }
        Ok(Mutated::default())
    }

    /// Drops a table with its rows.
    pub fn drop_table(&mut self, name: &str) -> Result<Mutated, TableError> {
        let layout = self.catalog.need(name)?;
        drop_table(self.db, layout.name())
            .and_then(|()| self.catalog.remove(self.db, &layout))
            .map_err(|error| unexpected(&error))?;
        let definition = Definition::of(&layout.table);
        self.tell_table(Operation::Delete, layout.name(), None, Some(&definition));
        Ok(Mutated::default())
    }

    fn check_free(&self, name: &str) -> Result<(), TableError> {
        match self.catalog.get(name) {
            Some(layout) => Err(of_table(
                &layout,
                Code::Exists,
                "the table is there already",
            )),
            None => Ok(()),
        }
    }
}

/// Says why SQLite does not change a table: the rows that are there, or what it cannot do at all.
fn unfit(error: rusqlite::Error, layout: &Layout) -> TableError {
    if let rusqlite::Error::SqliteFailure(failure, Some(message)) = &error
        && failure.extended_code == rusqlite::ffi::SQLITE_ERROR
    {
        return of_table(layout, Code::InvalidRequest, message);
    }
    refused(error, layout)
}

/// Makes a table in the file.
pub fn create(db: &Connection, table: &Table) -> rusqlite::Result<()> {
    db.execute(&create_table(table), [])?;
    for index in table
        .columns
        .iter()
        .filter_map(|one| unique_index(table, one))
    {
        db.execute(&index, [])?;
    }
    Ok(())
}

/// Drops a table from the file.
pub fn drop_table(db: &Connection, name: &str) -> rusqlite::Result<()> {
    db.execute(&format!("DROP TABLE {}", quote(name)), [])?;
    Ok(())
}

/// Changes a table, in the file and as it is known.
pub fn alter(db: &Connection, table: &mut Table, step: &Alteration) -> rusqlite::Result<()> {
    let name = quote(&table.name);
    match step {
        Alteration::AddColumn(column) => {
            let sql = format!("ALTER TABLE {name} ADD COLUMN {}", column_sql(column));
            db.execute(&sql, [])?;
            table.columns.push(column.clone());
            if let Some(index) = unique_index(table, column) {
                db.execute(&index, [])?;
            }
        }
        Alteration::DropColumn(column) => {
            for known in column_of(table, column) {
                drop_index(db, table, known)?;
            }
            let sql = format!("ALTER TABLE {name} DROP COLUMN {}", quote(column));
            db.execute(&sql, [])?;
            let columns = &mut table.columns;
            columns.retain(|known| !known.name.eq_ignore_ascii_case(column));
        }
        Alteration::RenameColumn { from, to } => {
            for known in column_of(table, from) {
                drop_index(db, table, known)?;
            }
            let sql = format!(
                "ALTER TABLE {name} RENAME COLUMN {} TO {}",
                quote(from),
                quote(to)
            );
            db.execute(&sql, [])?;
            let mut columns = table.columns.iter_mut();
            if let Some(known) = columns.find(|known| known.name.eq_ignore_ascii_case(from)) {
                known.name.clone_from(to);
            }
            for index in column_of(table, to).filter_map(|one| unique_index(table, one)) {
                db.execute(&index, [])?;
            }
        }
        Alteration::RenameTable(to) => {
            for known in &table.columns {
                drop_index(db, table, known)?;
            }
            db.execute(&format!("ALTER TABLE {name} RENAME TO {}", quote(to)), [])?;
            table.name.clone_from(to);
            for index in table
                .columns
                .iter()
                .filter_map(|one| unique_index(table, one))
            {
                db.execute(&index, [])?;
            }
        }
    }
    Ok(())
}

fn column_of<'t>(table: &'t Table, name: &str) -> impl Iterator<Item = &'t Column> {
    let columns = table.columns.iter();
    columns.filter(move |known| known.name.eq_ignore_ascii_case(name))
}

fn drop_index(db: &Connection, table: &Table, column: &Column) -> rusqlite::Result<()> {
    if unique_index(table, column).is_some() {
        let index = index_name(&table.name, &column.name);
        db.execute(&format!("DROP INDEX {index}"), [])?;
    }
    Ok(())
}

fn check_step(table: &Table, step: &Alteration, options: &TableOptions) -> Result<(), TableError> {
    let known = |name: &str| {
        let mut columns = table.columns.iter();
        let found = columns.find(|column| column.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let shown: String = name.chars().take(100).collect();
            let mut error = invalid(table, None, format!("has no column `{shown}`"));
            error.column = Some(shown.into());
            error
        })
    };
    match step {
        Alteration::AddColumn(column) => {
            check_column(table, column, options)?;
            check_count(table, table.columns.len() + 1, options)?;
            check_new(table, &column.name)?;
            if column.primary_key {
                let what = "has its key for good: no column can become a part of it".to_owned();
                return Err(invalid(table, Some(column), what));
            }
            let is_null = matches!(column.default, None | Some(floe_proto::table::Value::Null));
            if column.not_null && is_null {
                let what = format!(
                    "needs a default for `{}`, for the rows that are there",
                    column.name
                );
                return Err(invalid(table, Some(column), what));
            }
            Ok(())
        }
        Alteration::DropColumn(name) => {
            let column = known(name)?;
            if column.primary_key {
                let what = format!("cannot lose `{}`, which is of its key", column.name);
                return Err(invalid(table, Some(column), what));
            }
            if table.columns.len() == 1 {
                return Err(invalid(table, Some(column), "needs a column".to_owned()));
            }
            Ok(())
        }
        Alteration::RenameColumn { from, to } => {
            let column = known(from)?;
            check_name(to)?;
            if column.name.eq_ignore_ascii_case(to) {
                return Ok(());
            }
            check_new(table, to)
        }
        Alteration::RenameTable(to) => check_name(to),
    }
}

fn check_new(table: &Table, name: &str) -> Result<(), TableError> {
    if is_there(table.columns.iter(), name) {
        let mut error = invalid(table, None, format!("has a column `{name}` already"));
        error.code = Code::Exists;
        error.column = Some(name.into());
        return Err(error);
    }
    Ok(())
}
