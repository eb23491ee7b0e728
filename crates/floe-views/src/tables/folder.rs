//! Where the files of rooms with tables are.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use floe_proto::RoomId;

/// The folder with a SQLite file for each room that has tables, and what belongs to it.
///
/// A room's number is never given out again, so a file is never taken for that of another room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFolder(PathBuf);

/// What lies in a [`TableFolder`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Contents {
    /// Rooms that have a file, a snapshot, or anything else; what belongs to none that the host
    /// knows can be [removed](TableFolder::remove).
    pub rooms: BTreeSet<RoomId>,
    /// Files that belong to no room.
    pub unknown: Vec<PathBuf>,
}

const FILE: &str = "sqlite";
const SNAPSHOT: &str = "snapshot";
const CLEAN: &str = "clean";
/// The file while it is made from the snapshot.
const BUILDING: &str = "building";
/// The snapshot while it is made from the file.
const COPY: &str = "copy";
/// All that a room may have: its file, and what SQLite keeps beside it, first what must not outlive
/// the rest.
const ALL: [&str; 13] = [
    CLEAN,
    "sqlite-wal",
    "sqlite-shm",
    FILE,
    "building-journal",
    "building-wal",
    "building-shm",
    BUILDING,
    "copy-journal",
    "copy-wal",
    "copy-shm",
    COPY,
    SNAPSHOT,
];
const COPIES: [&str; 4] = ["copy-journal", "copy-wal", "copy-shm", COPY];
const BUILDINGS: [&str; 4] = ["building-journal", "building-wal", "building-shm", BUILDING];

impl TableFolder {
    /// Names the folder; nothing is made.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns what lies in the folder; nothing where there is none.
    ///
    /// # Errors
    /// The file system's.
    pub fn contents(&self) -> io::Result<Contents> {
        let mut contents = Contents::default();
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(contents),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            match entry.file_name().to_str().and_then(room_of) {
                Some((room, _)) => drop(contents.rooms.insert(room)),
                None => contents.unknown.push(entry.path()),
            }
        }
        contents.unknown.sort();
        Ok(contents)
    }

    /// Removes what was being made when the process before this one died; returns how many files
    /// that were. Nobody may use the folder meanwhile.
    ///
    /// # Errors
    /// The file system's.
    pub fn clean(&self) -> io::Result<usize> {
        let mut removed = 0;
        let entries = match std::fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let found = name.to_str().and_then(room_of);
            if found.is_some_and(|(_, what)| COPIES.contains(&what) || BUILDINGS.contains(&what)) {
                std::fs::remove_file(entry.path())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes all that a room has: its file, its snapshot, and what is beside them.
    ///
    /// # Errors
    /// The file system's; what is not there is no error.
    pub fn remove(&self, room: RoomId) -> io::Result<()> {
        self.remove_all(room, &ALL)
    }

    /// Returns the path of the room's file.
    #[must_use]
    pub fn file(&self, room: RoomId) -> PathBuf {
        self.path(room, FILE)
    }

    pub(super) fn create(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)
    }

    /// Removes the file, but not the snapshot.
    pub(super) fn remove_file(&self, room: RoomId) -> io::Result<()> {
        let all_but_last = ALL.split_last().map_or(&[][..], |(_, rest)| rest);
        self.remove_all(room, all_but_last)
    }

    pub(super) fn remove_snapshot(&self, room: RoomId) -> io::Result<()> {
        self.remove_all(room, &[SNAPSHOT])
    }

    pub(super) fn snapshot(&self, room: RoomId) -> PathBuf {
        self.path(room, SNAPSHOT)
    }

    /// Where a file is made that takes its place once it is whole; what was begun before is gone.
    pub(super) fn begin(&self, room: RoomId) -> io::Result<PathBuf> {
        self.remove_all(room, &BUILDINGS)?;
        Ok(self.path(room, BUILDING))
    }

    /// Where a copy of the file is made that becomes the snapshot once it is whole.
    pub(super) fn copy(&self, room: RoomId) -> PathBuf {
        self.path(room, COPY)
    }

    /// Makes an empty file there; what was begun before is gone.
    pub(super) fn begin_copy(&self, room: RoomId) -> io::Result<()> {
        self.remove_copy(room)?;
        std::fs::File::create_new(self.copy(room))?;
        Ok(())
    }

    pub(super) fn remove_copy(&self, room: RoomId) -> io::Result<()> {
        self.remove_all(room, &COPIES)
    }

    /// Whether the file was closed in such a way that it outlives a loss of power.
    pub(super) fn is_clean(&self, room: RoomId) -> io::Result<bool> {
        self.path(room, CLEAN).try_exists()
    }

    /// Notes, so that it outlives a loss of power, that the file does so, too: all of it is on the
    /// disk.
    pub(super) fn mark_clean(&self, room: RoomId) -> io::Result<()> {
        sync(&self.file(room))?;
        let log = self.path(room, "sqlite-wal");
        if log.try_exists()? {
            sync(&log)?;
        }
        self.sync()?;
        std::fs::write(self.path(room, CLEAN), [])?;
        Ok(())
    }

    /// Takes that back, before anything is written.
    pub(super) fn mark_used(&self, room: RoomId) -> io::Result<()> {
        if self.is_clean(room)? {
            self.remove_all(room, &[CLEAN])?;
            self.sync()?;
        }
        Ok(())
    }

    /// Makes the names of the folder's files outlive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync(&self.0)
    }

    fn path(&self, room: RoomId, what: &str) -> PathBuf {
        self.0.join(format!("{:016x}.{what}", room.0))
    }

    fn remove_all(&self, room: RoomId, what: &[&str]) -> io::Result<()> {
        for what in what {
            match std::fs::remove_file(self.path(room, what)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Waits until a file, or the names in a folder, are on the disk.
pub fn sync(path: &Path) -> io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}

/// Returns whose file that is, and what it is to the room.
fn room_of(name: &str) -> Option<(RoomId, &str)> {
    let (number, what) = name.split_once('.')?;
    let is_ours = number.len() == 16 && ALL.contains(&what);
    let number = u64::from_str_radix(number, 16).ok()?;
    (is_ours && name.to_ascii_lowercase() == name).then_some((RoomId(number), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_room_are_known_and_others_are_named() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = TableFolder::new(temporary.path().join("tables"));
        assert_eq!(folder.contents().unwrap(), Contents::default());
        folder.create().unwrap();
        for what in ALL {
            std::fs::write(folder.path(RoomId(255), what), "").unwrap();
        }
        let strange = ["00ff.sqlite", "note.txt", "00000000000000FF.sqlite"];
        for name in strange {
            std::fs::write(folder.0.join(name), "").unwrap();
        }
        let contents = folder.contents().unwrap();
        assert_eq!(contents.rooms, BTreeSet::from([RoomId(255)]));
        assert_eq!(contents.unknown.len(), strange.len());
        let begun = COPIES.len() + BUILDINGS.len();
        assert_eq!(folder.clean().unwrap(), begun);
        assert_eq!(folder.clean().unwrap(), 0);
        let left = std::fs::read_dir(&folder.0).unwrap().count();
        assert_eq!(left, ALL.len() - begun + strange.len());
        folder.remove(RoomId(255)).unwrap();
        assert_eq!(folder.contents().unwrap().rooms, BTreeSet::new());
    }
}
