//! The embedded replica: a SQLite file for each namespace, so that a namespace is a wall.

mod file;
mod folder;
mod write;

use std::collections::BTreeMap;

use floe_proto::RoomId;

pub use self::folder::EmbeddedFolder;
pub(super) use self::write::{fill, guess};

use self::file::File;
pub(super) use self::file::{SCHEMA, identity};
use super::{Applied, Batch, ReplicaError, ReplicaTarget, RoomRef};

/// A replica in SQLite files.
#[derive(Debug)]
pub struct Embedded {
    folder: EmbeddedFolder,
    /// Files that are open, by namespace, and when each was last used.
    open: BTreeMap<String, (u64, File)>,
    uses: u64,
    /// Whether the folder may say that everything is here.
    marked: bool,
}

/// Files open at once; at the bound the one that was not used for longest is closed.
const FILES_MAX: usize = 64;

impl Embedded {
    /// Names the folder; nothing is made before there is something to keep.
    #[must_use]
    pub const fn new(folder: EmbeddedFolder) -> Self {
        Self {
            folder,
            open: BTreeMap::new(),
            uses: 0,
            marked: true,
        }
    }

    /// Returns the file of a namespace, which is made if need be.
    fn file(&mut self, namespace: &str) -> Result<&mut File, ReplicaError> {
        self.uses += 1;
        if !self.open.contains_key(namespace) {
            if self.open.len() >= FILES_MAX {
                let oldest = self.open.iter().min_by_key(|(_, (used, _))| *used);
                if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                    self.open.remove(&oldest);
                }
            }
            let opened = File::open(&self.folder.file(namespace));
            let file = opened.map_err(|error| self.failed(namespace, error))?;
            self.open.insert(namespace.to_owned(), (0, file));
        }
        match self.open.get_mut(namespace) {
            Some((used, file)) => {
                *used = self.uses;
                Ok(file)
            }
            None => Err(ReplicaError::Lost),
        }
    }

    /// Does something with the file of a namespace.
    fn with<T>(
        &mut self,
        namespace: &str,
        act: impl FnOnce(&mut File) -> Result<T, FileError>,
    ) -> Result<T, ReplicaError> {
        let done = act(self.file(namespace)?);
        done.map_err(|error| self.failed(namespace, error))
    }

    /// Looks after a file that failed: one that is damaged goes, and is made again from the log.
    fn failed(&mut self, namespace: &str, error: FileError) -> ReplicaError {
        match error {
            FileError::Replica(error) => error,
            FileError::Sqlite(error) => {
                self.open.remove(namespace);
                if !is_damage(&error) {
                    return ReplicaError::Unavailable(error.to_string());
                }
                match self.folder.remove(namespace) {
                    Ok(()) => ReplicaError::Lost,
                    Err(error) => error.into(),
                }
            }
        }
    }

    fn unmark(&mut self) -> Result<(), ReplicaError> {
        if self.marked {
            self.folder.unmark()?;
            self.marked = false;
        }
        Ok(())
    }
}

impl ReplicaTarget for Embedded {
    fn open(&mut self) -> Result<(), ReplicaError> {
        self.open.clear();
        Ok(())
    }

    fn check(&mut self) -> Result<(), ReplicaError> {
        let gone = self.open.values().any(|(_, file)| !file.is_there());
        if gone {
            self.open.clear();
            return Err(ReplicaError::Lost);
        }
        Ok(())
    }

    fn applied(&mut self, rooms: &[RoomRef<'_>]) -> Result<Vec<Option<u64>>, ReplicaError> {
        let mut applied = Vec::with_capacity(rooms.len());
        for room in rooms {
            // A namespace of which nothing was kept has no file, and needs none.
            let known = if self.folder.has(room.namespace) {
                self.with(room.namespace, |file| Ok(file.applied(room)?))?
            } else {
                self.open.remove(room.namespace);
                None
            };
            applied.push(known);
        }
        Ok(applied)
    }

    fn apply(&mut self, batches: &[Batch<'_>]) -> Result<Applied, ReplicaError> {
        self.unmark()?;
        let mut by_namespace: BTreeMap<&str, Vec<&Batch<'_>>> = BTreeMap::new();
        for batch in batches {
            let group = by_namespace.entry(batch.room.namespace);
            group.or_default().push(batch);
        }
        let mut applied = Applied::default();
        for (namespace, group) in by_namespace {
            applied += self.with(namespace, |file| file.apply(&group))?;
        }
        Ok(applied)
    }

    fn retain(&mut self, keep: &mut dyn FnMut(RoomId) -> bool) -> Result<u64, ReplicaError> {
        let mut removed = 0;
        for namespace in self.folder.namespaces()? {
            let (gone, left) = self.with(&namespace, |file| Ok(file.retain(keep)?))?;
            removed += gone;
            if left == 0 {
                self.open.remove(&namespace);
                self.folder.remove(&namespace)?;
            }
        }
        if removed > 0 {
            self.unmark()?;
        }
        Ok(removed)
    }

    fn watermark(&mut self) -> Result<u64, ReplicaError> {
        Ok(self.folder.watermark()?)
    }

    fn set_watermark(&mut self, watermark: u64) -> Result<(), ReplicaError> {
        self.folder.mark(watermark)?;
        self.marked = true;
        Ok(())
    }
}

/// Why a file could not be read or written.
#[derive(Debug)]
enum FileError {
    Sqlite(rusqlite::Error),
    Replica(ReplicaError),
}

impl From<rusqlite::Error> for FileError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<ReplicaError> for FileError {
    fn from(error: ReplicaError) -> Self {
        Self::Replica(error)
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

#[cfg(test)]
mod tests;
