//! Copies of rooms' files, for the day that one is gone.

use floe_proto::RoomId;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, ffi};

use super::error::TableFileError;
use super::folder::sync;
use super::{TableFolder, store};

/// A copy of a room's file that is whole and on the disk, and not in its place yet.
///
/// [`keep`](Self::keep) puts it there; dropping it removes it. It is made beside those who write and
/// read the file, and holds up neither: it has one moment of the file, which is one place in the log.
#[derive(Debug)]
pub struct Snapshot {
    folder: TableFolder,
    room: RoomId,
    applied: u64,
    is_kept: bool,
}

/// Pages that are copied between two questions whether to go on.
const PAGES_AT_ONCE: i32 = 256;

impl Snapshot {
    /// Copies the file of a room, of which there is one copy at a time. `None` when `go_on`, which is
    /// asked again and again, says no.
    ///
    /// # Errors
    /// The file system's, and [`TableFileError::Corrupt`] when pages of the file do not fit together.
    pub fn make(
        folder: &TableFolder,
        room: RoomId,
        go_on: impl FnMut() -> bool,
    ) -> Result<Option<Self>, TableFileError> {
        folder.begin_copy(room)?;
        // Whatever comes of it, it is removed unless it is kept.
        let snapshot = Self {
            folder: folder.clone(),
            room,
            applied: 0,
            is_kept: false,
        };
        snapshot.fill(go_on)
    }

    /// Returns how many messages of the log it has.
    #[must_use]
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// Puts it in the place of the one before, which is there until then.
    ///
    /// # Errors
    /// The file system's; one of the two is there then.
    pub fn keep(mut self) -> Result<(), TableFileError> {
        let Self { folder, room, .. } = &self;
        std::fs::rename(folder.copy(*room), folder.snapshot(*room))?;
        folder.sync()?;
        self.is_kept = true;
        Ok(())
    }

    fn fill(mut self, mut go_on: impl FnMut() -> bool) -> Result<Option<Self>, TableFileError> {
        let path = self.folder.copy(self.room);
        let mut to = Connection::open(&path)?;
        // One that is half written is never used, and a whole one is synced at the end.
        to.pragma_update(None, "journal_mode", "OFF")?;
        to.pragma_update(None, "synchronous", "OFF")?;
        let Some(applied) = self.copy(&mut to, &mut go_on)? else {
            return Ok(None);
        };
        if !go_on() {
            return Ok(None);
        }
        if store::applied(&to)? != applied || !store::is_sound(&to)? {
            return Err(TableFileError::Corrupt(None));
        }
        to.close().map_err(|(_, error)| error)?;
        if !go_on() {
            return Ok(None);
        }
        sync(&path)?;
        self.applied = applied;
        Ok(Some(self))
    }

    /// Copies all pages as they are at one moment; numbers of rows stay what they were. Returns how
    /// many messages of the log there were at that moment.
    fn copy(
        &self,
        to: &mut Connection,
        go_on: &mut impl FnMut() -> bool,
    ) -> Result<Option<u64>, TableFileError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let from = Connection::open_with_flags(self.folder.file(self.room), flags)?;
        from.busy_timeout(store::BUSY_TIMEOUT)?;
        // The pages are read in this transaction, so what is committed meanwhile is not among them.
        let moment = from.unchecked_transaction()?;
        let applied = store::applied(&moment)?;
        let backup = Backup::new(&moment, to)?;
        loop {
            if !go_on() {
                return Ok(None);
            }
            match backup.step(PAGES_AT_ONCE)? {
                StepResult::Done => return Ok(Some(applied)),
                StepResult::More => {}
                StepResult::Busy | StepResult::Locked | _ => return Err(busy().into()),
            }
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if !self.is_kept {
            // What stays is removed at the next start, or with the next copy.
            let _ = self.folder.remove_copy(self.room);
        }
    }
}

fn busy() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)
}
