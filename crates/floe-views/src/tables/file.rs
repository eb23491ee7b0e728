//! The one writer of a room's file.

use std::borrow::Cow;

use floe_proto::table::{Applied, Call, Mutation, Table, TableError};
use floe_proto::table::{BUFFERED, TASKS};
use floe_proto::{Code, Millis, RoomId};
use rusqlite::Connection;

use super::catalog::Catalog;
use super::constraint::unexpected;
use super::error::TableFileError;
use super::folder::TableFolder;
use super::usage::Counted;
use super::work::Work;
use super::{Messages, TableOptions, apply, store};
use crate::split::Split;

/// The tables of one room, to be written.
///
/// The log is the truth, and the file is made from it: either by [`apply`](Self::apply), or by calls
/// ([`begin`](Self::begin), [`run`](Self::run), [`commit`](Self::commit)) whose messages the host
/// appends to the log before it commits. Dropping it leaves a file that is good as long as the system
/// does not lose power; [`close`](Self::close) leaves one that is good in any case.
#[derive(Debug)]
pub struct RoomFile {
    db: Connection,
    folder: TableFolder,
    room: RoomId,
    options: TableOptions,
    catalog: Catalog,
    counted: Counted,
    applied: u64,
    /// Messages of the log, those of the batch under way included.
    staged: u64,
    /// Whether the file says that this run of the system writes it.
    is_marked: bool,
}

/// What is known of a room's file that is closed for a while, so that it is opened quickly again.
///
/// It holds within one process, which must be the only one that writes the file meanwhile, through
/// nothing but [`RoomFile::reopen`].
#[derive(Debug)]
pub struct Resting {
    applied: u64,
    /// The tables, where they are few enough to be kept.
    catalog: Option<Catalog>,
    is_marked: bool,
}

/// Columns of all tables of a room up to which they are kept while its file is closed.
const RESTING_COLUMNS_MAX: usize = 64;

impl RoomFile {
    /// Opens the file of a room whose log has `tail` messages, and makes it where there is none.
    ///
    /// A file that is damaged, not of this log (it has more than the log does), or may have been hurt
    /// by a loss of power, gives way to the newest snapshot, and to an empty one where there is none
    /// that is good: [`applied`](Self::applied) says where the log goes on from there.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(
        folder: &TableFolder,
        room: RoomId,
        tail: u64,
        options: &TableOptions,
    ) -> Result<Self, TableFileError> {
        folder.create()?;
        let db = match Self::open_as_it_is(folder, room, tail, options)? {
            Some(db) => db,
            None => Self::restore(folder, room, tail, options)?,
        };
        let catalog = Catalog::load(&db)?;
        let applied = store::applied(&db)?;
        Ok(Self {
            folder: folder.clone(),
            room,
            options: options.clone(),
            catalog,
            counted: Counted::default(),
            applied,
            staged: applied,
            is_marked: false,
            db,
        })
    }

    /// Opens a file again that was closed with [`rest`](Self::rest). One that is not as it was then, or
    /// of which the log, with `tail` messages, knows less, is [opened](Self::open) like any other.
    ///
    /// # Errors
    /// The file system's.
    pub fn reopen(
        folder: &TableFolder,
        room: RoomId,
        tail: u64,
        resting: Resting,
        options: &TableOptions,
    ) -> Result<Self, TableFileError> {
        let Resting {
            applied,
            catalog,
            is_marked,
        } = resting;
        let found = (applied <= tail).then(|| store::reopen(&folder.file(room), applied, options));
        let Some(db) = found.flatten() else {
            return Self::open(folder, room, tail, options);
        };
        Ok(Self {
            folder: folder.clone(),
            room,
            options: options.clone(),
            catalog: match catalog {
                Some(catalog) => catalog,
                None => Catalog::load(&db)?,
            },
            counted: Counted::default(),
            applied,
            staged: applied,
            is_marked,
            db,
        })
    }

    /// Returns how many messages of the log the file has.
    #[must_use]
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns the tables, in the order of their names.
    #[must_use]
    pub fn schema(&self) -> Vec<Table> {
        self.catalog.tables()
    }

    /// Applies messages of the log: the JSON of each, and a comma after it, as they lie there.
    ///
    /// What the file has already is left out.
    ///
    /// # Errors
    /// Nothing was applied then.
    pub fn apply(&mut self, first_seq: u64, messages: &[u8]) -> Result<(), TableFileError> {
        self.begin()?;
        let applied = self.apply_all(first_seq, messages);
        if applied.is_err() {
            self.rollback();
            return applied;
        }
        self.commit()
    }

    /// Returns whether all pages of the file fit together, which takes a look at each.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        store::is_sound(&self.db).unwrap_or(false)
    }

    /// Begins a batch of calls.
    ///
    /// # Errors
    /// There is no batch then.
    pub fn begin(&mut self) -> Result<(), TableFileError> {
        if !self.is_marked {
            self.folder.mark_used(self.room)?;
        }
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        if !self.is_marked {
            store::set_boot(&self.db)?;
            self.is_marked = true;
        }
        Ok(())
    }

    /// Does a call, in the batch under way, and appends its messages to `out`.
    ///
    /// # Errors
    /// Nothing of the call is there then; the batch goes on.
    pub fn run(
        &mut self,
        call: &Call,
        now: Millis,
        out: &mut Messages,
    ) -> Result<Applied, TableError> {
        if self.db.is_autocommit() {
            return Err(no_batch());
        }
        self.save_ids_before(call)?;
        self.execute("SAVEPOINT call")?;
        let (bytes, len) = (out.bytes.len(), out.len());
        self.catalog.begin();
        let mut work = Work {
            db: &self.db,
            catalog: &mut self.catalog,
            options: &self.options,
            start: bytes,
            out,
            seq: self.staged + 1,
            now,
            txid: match &call.txid {
                Some(txid) => Cow::Borrowed(&**txid),
                None => Cow::Owned((self.staged + 1).to_string()),
            },
            user: call.user.as_deref(),
            rows_left: self.options.call_rows_max,
            writes: 0,
            schema_changed: false,
        };
        let done = work.perform(call);
        let (writes, schema_changed) = (work.writes, work.schema_changed);
        match done {
            Ok(applied) => {
                self.execute("RELEASE call")?;
                self.staged += applied.count;
                self.counted.writes(now, writes);
                Ok(applied)
            }
            Err(error) => {
                out.truncate(bytes, len);
                self.catalog.undo(0);
                // SQLite may have ended the whole batch: then there is nothing to come back to.
                if !self.db.is_autocommit() {
                    self.execute("ROLLBACK TO call")?;
                    self.execute("RELEASE call")?;
                    if schema_changed {
                        self.catalog = Catalog::load(&self.db).map_err(|_| no_batch())?;
                    }
                }
                Err(error)
            }
        }
    }

    /// Ends the batch: what it did is there for readers. The log must have its messages.
    ///
    /// # Errors
    /// Nothing of the batch is there then; [`apply`](Self::apply) brings it from the log.
    pub fn commit(&mut self) -> Result<(), TableFileError> {
        let committed = self.try_commit();
        if committed.is_err() {
            self.rollback();
        }
        committed
    }

    /// Takes back the batch.
    pub fn rollback(&mut self) {
        if !self.db.is_autocommit() {
            // It fails only where SQLite has done it already.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        self.staged = self.applied;
        self.counted.clear();
        // Who cannot read the tables any more finds none, and must open the file anew.
        self.catalog = Catalog::load(&self.db).unwrap_or_default();
        self.is_marked = false;
    }

    /// Notes that the tables were read; it is written with the next batch.
    pub fn count_reads(&mut self, now: Millis, count: u64) {
        self.counted.reads(now, count);
    }

    /// Closes the file for a while, without waiting for the disk: it is good as long as the system does
    /// not lose power.
    ///
    /// # Errors
    /// What was [counted](Self::count_reads) since the last batch is lost.
    pub fn rest(mut self) -> Result<Resting, TableFileError> {
        self.save_counted()?;
        let Self {
            db,
            catalog,
            applied,
            is_marked,
            ..
        } = self;
        db.close().map_err(|(_, error)| error)?;
        Ok(Resting {
            applied,
            catalog: Some(catalog).filter(|catalog| catalog.columns() <= RESTING_COLUMNS_MAX),
            is_marked,
        })
    }

    /// Closes the file so that it outlives a loss of power; waits for the disk.
    ///
    /// # Errors
    /// The file is made again from the snapshot and the log after a loss of power.
    pub fn close(mut self) -> Result<(), TableFileError> {
        self.save_counted()?;
        let Self {
            db, folder, room, ..
        } = self;
        db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        db.close().map_err(|(_, error)| error)?;
        folder.mark_clean(room)?;
        Ok(())
    }

    fn open_as_it_is(
        folder: &TableFolder,
        room: RoomId,
        tail: u64,
        options: &TableOptions,
    ) -> Result<Option<Connection>, TableFileError> {
        let was_synced = folder.is_clean(room)?;
        store::open(&folder.file(room), room, tail, was_synced, options)
    }

    /// Makes the file from the snapshot, or empty.
    fn restore(
        folder: &TableFolder,
        room: RoomId,
        tail: u64,
        options: &TableOptions,
    ) -> Result<Connection, TableFileError> {
        folder.remove_file(room)?;
        let snapshot = folder.snapshot(room);
        if snapshot.try_exists()? {
            let building = folder.begin(room)?;
            std::fs::copy(&snapshot, &building)?;
            std::fs::rename(&building, folder.file(room))?;
            let found = store::open(&folder.file(room), room, tail, true, options)?;
            if let Some(db) = found
                && store::is_sound(&db).unwrap_or(false)
            {
                return Ok(db);
            }
            folder.remove_file(room)?;
            folder.remove_snapshot(room)?;
        }
        store::create(&folder.file(room), room, options)
    }

    fn apply_all(&mut self, first_seq: u64, messages: &[u8]) -> Result<(), TableFileError> {
        if first_seq > self.applied + 1 {
            return Err(TableFileError::Gap {
                expected: self.applied + 1,
                found: first_seq,
            });
        }
        for (seq, message) in (first_seq..).zip(Split(messages)) {
            let message = message.ok_or_else(|| TableFileError::NotChange {
                seq,
                reason: "it is no JSON object".to_owned(),
            })?;
            if seq > self.staged {
                let (catalog, counted) = (&mut self.catalog, &mut self.counted);
                apply::apply(&self.db, catalog, counted, seq, message)?;
                self.staged = seq;
            }
        }
        Ok(())
    }

    fn save_counted(&mut self) -> Result<(), TableFileError> {
        if self.counted.is_empty() {
            return Ok(());
        }
        self.begin()?;
        self.commit()
    }

    fn try_commit(&mut self) -> Result<(), TableFileError> {
        if self.db.is_autocommit() {
            return Err(TableFileError::NoBatch);
        }
        self.catalog.save(&self.db)?;
        self.counted.save(&self.db, self.options.usage_days)?;
        if self.staged != self.applied {
            store::set_applied(&self.db, self.staged)?;
        }
        self.db.execute_batch("COMMIT")?;
        self.applied = self.staged;
        self.counted.clear();
        Ok(())
    }

    /// A call that fails after it changed a table has the catalogue read again, so all that it says
    /// must be in the file before.
    fn save_ids_before(&mut self, call: &Call) -> Result<(), TableError> {
        let may_change_tables = call.mutations.iter().any(|mutation| match mutation {
            Mutation::CreateTable(_) | Mutation::AlterTable { .. } | Mutation::DropTable { .. } => {
                true
            }
            Mutation::Flush(_) => self.catalog.get(BUFFERED).is_none(),
            Mutation::CreateTask { .. } => self.catalog.get(TASKS).is_none(),
            Mutation::Insert { .. }
            | Mutation::Update { .. }
            | Mutation::Delete { .. }
            | Mutation::CompleteTask { .. }
            | Mutation::DeleteTask { .. } => false,
        });
        if may_change_tables {
            let saved = self.catalog.save(&self.db);
            saved.map_err(|error| unexpected(&error))?;
        }
        Ok(())
    }

    fn execute(&self, sql: &str) -> Result<(), TableError> {
        let done = self
            .db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]));
        done.map_err(|error| unexpected(&error))?;
        Ok(())
    }
}

fn no_batch() -> TableError {
    TableError::new(
        Code::ViewUnavailable,
        "the room's tables cannot be written for the moment",
    )
}
