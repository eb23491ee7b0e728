//! Batches on their way into a file.

use floe_proto::EventKind;
use floe_proto::table::{Alteration, Column, ColumnType, Row, Table, Value};
use rusqlite::Connection;

use super::FileError;
use super::file::{File, Known, RoomRow, empty, remove};
use crate::replica::plan::{EventNow, Plan, RowNow, Step};
use crate::replica::{Applied, Batch, Mode, ReplicaError, RoomKind};

impl File {
    /// Applies batches of the namespace in one transaction.
    pub fn apply(&mut self, batches: &[&Batch<'_>]) -> Result<Applied, FileError> {
        let Self { db, known, .. } = self;
        let done = apply(db, known, batches);
        if done.is_err() {
            *known = Known::default();
        }
        done
    }
}

/// Puts rooms into a database that has the tables of a file, and nothing in them.
pub(in crate::replica) fn fill(
    db: &mut Connection,
    batches: &[&Batch<'_>],
) -> Result<(), ReplicaError> {
    match apply(db, &mut Known::default(), batches) {
        Ok(_) => Ok(()),
        Err(FileError::Replica(error)) => Err(error),
        Err(FileError::Sqlite(error)) => Err(ReplicaError::Unavailable(error.to_string())),
    }
}

fn apply(
    db: &mut Connection,
    known: &mut Known,
    batches: &[&Batch<'_>],
) -> Result<Applied, FileError> {
    let tx = db.transaction()?;
    let mut applied = Applied::default();
    for batch in batches {
        let id = batch.room.room;
        let found = known.room(&tx, id)?;
        if batch.mode == Mode::Remove {
            if let Some(row) = found {
                remove(&tx, row.no)?;
            }
            known.forget_room(id);
            continue;
        }
        let row = match found {
            Some(row) => row,
            None => create(&tx, batch)?,
        };
        let plan = Plan::read(batch, row.applied)?;
        let mut writing = Writing {
            db: &tx,
            known,
            room: row.no,
        };
        if batch.mode == Mode::Anew {
            empty(&tx, row.no)?;
            writing.known.forget_tables();
        }
        for step in &plan.steps {
            writing.step(step)?;
        }
        if batch.kind == RoomKind::Channel && batch.start > 1 {
            tx.prepare_cached("DELETE FROM _events WHERE room = ?1 AND seq < ?2")?
                .execute((row.no, batch.start as i64))?;
        }
        tx.prepare_cached("UPDATE _rooms SET applied = ?2, ruled = ?3, name = ?4 WHERE no = ?1")?
            .execute((row.no, plan.applied as i64, batch.ruled, batch.room.name))?;
        let row = RoomRow {
            applied: plan.applied,
            ..row
        };
        known.put_room(id, row);
        applied += plan.counts;
    }
    tx.commit()?;
    Ok(applied)
}

/// Gives a room its row.
fn create(db: &Connection, batch: &Batch<'_>) -> rusqlite::Result<RoomRow> {
    let kind = match batch.kind {
        RoomKind::Tables => 0,
        RoomKind::Channel => 1,
    };
    let no = db
        .prepare_cached(
            "INSERT INTO _rooms (id, name, kind, ruled, applied) VALUES (?1, ?2, ?3, ?4, 0)",
        )?
        .insert((batch.room.room.0 as i64, batch.room.name, kind, batch.ruled))?;
    Ok(RoomRow { no, applied: 0 })
}

/// One room on its way into a file.
struct Writing<'a> {
    db: &'a Connection,
    known: &'a mut Known,
    room: i64,
}

impl Writing<'_> {
    fn step(&mut self, step: &Step<'_>) -> rusqlite::Result<()> {
        match step {
            Step::Rows(rows) => {
                for ((table, key), row) in rows {
                    self.row(table, key, *row)?;
                }
                Ok(())
            }
            Step::Create(table) => {
                self.drop_table(&table.name)?;
                self.create_table(table).map(drop)
            }
            Step::Alter {
                table,
                now,
                reshape,
            } => self.alter(table, now, reshape),
            Step::Rename { from, to } => self.rename(from, to),
            Step::Drop(table) => self.drop_table(table),
            Step::Event(event) => self.event(event),
        }
    }

    fn row(&mut self, table: &str, key: &str, row: Option<RowNow<'_>>) -> rusqlite::Result<()> {
        let known = self.known.table(self.db, self.room, table)?;
        let Some(row) = row else {
            if let Some(table) = known {
                self.db
                    .prepare_cached("DELETE FROM _rows WHERE tbl = ?1 AND key = ?2")?
                    .execute((table, key))?;
            }
            return Ok(());
        };
        let table = match known {
            Some(table) => table,
            None => self.create_table(&guess(table, row.json))?,
        };
        self.db
            .prepare_cached(
                "INSERT INTO _rows (tbl, key, seq, row) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tbl, key) DO UPDATE SET seq = excluded.seq, row = excluded.row",
            )?
            .execute((table, key, row.seq as i64, row.json))?;
        Ok(())
    }

    fn create_table(&mut self, table: &Table) -> rusqlite::Result<i64> {
        self.db
            .prepare_cached("INSERT INTO _tables (room, name, definition) VALUES (?1, ?2, ?3)")?
            .insert((self.room, &*table.name, json(table)))
    }

    fn drop_table(&mut self, name: &str) -> rusqlite::Result<()> {
        if let Some(no) = self.known.table(self.db, self.room, name)? {
            for statement in [
                "DELETE FROM _rows WHERE tbl = ?1",
                "DELETE FROM _tables WHERE no = ?1",
            ] {
                self.db.prepare_cached(statement)?.execute([no])?;
            }
            self.known.forget_tables();
        }
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> rusqlite::Result<()> {
        if let Some(no) = self.known.table(self.db, self.room, from)? {
            self.db
                .prepare_cached(
                    "UPDATE _tables SET name = ?2, definition = json_set(definition, '$.name', ?2)
                     WHERE no = ?1",
                )?
                .execute((no, to))?;
            self.known.forget_tables();
        }
        Ok(())
    }

    fn alter(&mut self, name: &str, now: &Table, reshape: &[Alteration]) -> rusqlite::Result<()> {
        let known = match self.known.table(self.db, self.room, name)? {
            Some(no) => Some(no),
            None => self.known.table(self.db, self.room, &now.name)?,
        };
        let Some(no) = known else {
            return self.create_table(now).map(drop);
        };
        for step in reshape {
            self.reshape(no, step)?;
        }
        self.db
            .prepare_cached("UPDATE _tables SET name = ?2, definition = ?3 WHERE no = ?1")?
            .execute((no, &*now.name, json(now)))?;
        self.known.forget_tables();
        Ok(())
    }

    /// Rewrites the rows of a table.
    fn reshape(&mut self, no: i64, step: &Alteration) -> rusqlite::Result<()> {
        match step {
            Alteration::AddColumn(column) => {
                let default = column.default.as_ref().unwrap_or(&Value::Null);
                self.db
                    .prepare_cached(
                        "UPDATE _rows SET row = json_set(row, ?2, json(?3)) WHERE tbl = ?1",
                    )?
                    .execute((no, path(&column.name), json(default)))?;
            }
            Alteration::DropColumn(column) => {
                self.db
                    .prepare_cached("UPDATE _rows SET row = json_remove(row, ?2) WHERE tbl = ?1")?
                    .execute((no, path(column)))?;
            }
            Alteration::RenameColumn { from, to } => {
                self.db
                    .prepare_cached(
                        "UPDATE _rows SET row = json_set(json_remove(row, ?2), ?3, row -> ?2)
                         WHERE tbl = ?1",
                    )?
                    .execute((no, path(from), path(to)))?;
            }
            // Rows know their table by its number.
            Alteration::RenameTable(_) => {}
        }
        Ok(())
    }

    fn event(&mut self, event: &EventNow<'_>) -> rusqlite::Result<()> {
        self.db
            .prepare_cached(
                "INSERT OR REPLACE INTO _events
                   (room, seq, kind, author, content, target, removed, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute((
                self.room,
                event.seq as i64,
                event.kind.as_str(),
                &*event.author,
                event.content.as_deref(),
                event.target.map(|target| target as i64),
                event.removed,
                event.created_at.0 as i64,
            ))?;
        if let (EventKind::Deletion, Some(target)) = (event.kind, event.target) {
            self.db
                .prepare_cached(
                    "UPDATE _events SET content = NULL WHERE room = ?1 AND seq < ?3
                       AND (seq = ?2 OR (target = ?2 AND kind = 'edit'))",
                )?
                .execute((self.room, target as i64, event.seq as i64))?;
        }
        Ok(())
    }
}

/// Makes a table out of one of its rows, where the log says nothing of the table itself.
pub(in crate::replica) fn guess(name: &str, row: &str) -> Table {
    let row: Row = serde_json::from_str(row).unwrap_or_default();
    let columns = row.0.into_iter().map(|(name, _)| Column {
        name,
        kind: ColumnType::Any,
        primary_key: false,
        not_null: false,
        unique: false,
        default: None,
    });
    Table {
        name: name.into(),
        columns: columns.collect(),
    }
}

/// Returns the JSON path of a column. Names are plain words, so none needs to be escaped.
fn path(column: &str) -> String {
    format!("$.\"{}\"", column.replace('"', ""))
}

fn json(value: &impl serde::Serialize) -> String {
    // What came from JSON has a JSON form.
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}
