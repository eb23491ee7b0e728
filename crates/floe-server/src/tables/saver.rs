//! The thread that makes snapshots of rooms' files, one at a time.

use std::sync::mpsc::Receiver;
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_proto::RoomId;
use floe_views::tables::{Snapshot, TableFileError, TableFolder};

use super::{Done, Mailbox};

/// What came of a snapshot.
#[derive(Debug)]
pub(super) enum Saved {
    /// It is in its place, and has so many messages of the log.
    Kept(u64),
    /// The room or its file went meanwhile, or the server stops.
    Dropped,
    /// The one before stays.
    Failed(TableFileError),
}

/// Which room's file is copied for the moment, as the thread that copies it and the one that may
/// remove it agree.
///
/// A snapshot of a file that was removed never comes into its place: whoever removes a file says so
/// here [first](Self::forget).
#[derive(Debug, Default)]
pub(super) struct Copying(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    room: Option<RoomId>,
    is_over: bool,
}

impl Copying {
    /// Notes that a room's file is about to be removed or made anew.
    pub fn forget(&self, room: RoomId) {
        self.lock().room.take_if(|copied| *copied == room);
    }

    /// Ends the copy under way, and all that would come after it.
    pub fn stop(&self) {
        *self.lock() = State {
            room: None,
            is_over: true,
        };
    }

    fn begin(&self, room: RoomId) -> bool {
        let mut state = self.lock();
        state.room = Some(room).filter(|_| !state.is_over);
        state.room.is_some()
    }

    fn is_wanted(&self, room: RoomId) -> bool {
        self.lock().room == Some(room)
    }

    /// Puts a snapshot in its place, unless its file went.
    fn keep(&self, room: RoomId, snapshot: Snapshot) -> Result<Saved, TableFileError> {
        let mut state = self.lock();
        if state.room.take() != Some(room) {
            return Ok(Saved::Dropped);
        }
        let applied = snapshot.applied();
        snapshot.keep()?;
        Ok(Saved::Kept(applied))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes snapshots until the event loop lets go of the queue.
pub(super) fn run(
    folder: &TableFolder,
    rooms: &Receiver<RoomId>,
    copying: &Copying,
    mailbox: &Mailbox,
) {
    while let Ok(room) = rooms.recv() {
        let saved = match save(folder, room, copying) {
            Ok(saved) => saved,
            // A file that has gone cannot be copied.
            Err(_) if !copying.is_wanted(room) => Saved::Dropped,
            Err(error) => Saved::Failed(error),
        };
        copying.forget(room);
        if let Saved::Failed(error) = &saved {
            tracing::warn!(room = room.0, %error, "no snapshot of a room's tables was made");
        }
        mailbox.put(Done::Saved(room, saved));
    }
}

fn save(folder: &TableFolder, room: RoomId, copying: &Copying) -> Result<Saved, TableFileError> {
    if !copying.begin(room) {
        return Ok(Saved::Dropped);
    }
    let made = Snapshot::make(folder, room, || copying.is_wanted(room))?;
    match made {
        Some(snapshot) => copying.keep(room, snapshot),
        None => Ok(Saved::Dropped),
    }
}

#[cfg(test)]
mod tests {
    use floe_views::tables::{RoomFile, TableOptions};

    use super::*;

    const ROOM: RoomId = RoomId(7);

    fn folder() -> (tempfile::TempDir, TableFolder) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = TableFolder::new(temporary.path());
        RoomFile::open(&folder, ROOM, 0, &TableOptions::default()).unwrap();
        (temporary, folder)
    }

    fn has(folder: &TableFolder, what: &str) -> bool {
        folder.file(ROOM).with_extension(what).exists()
    }

    #[test]
    fn a_snapshot_of_a_file_that_went_meanwhile_is_not_kept() {
        let (_temporary, folder) = folder();
        let copying = Copying::default();
        assert!(copying.begin(ROOM));
        let made = Snapshot::make(&folder, ROOM, || copying.is_wanted(ROOM));
        let made = made.unwrap().unwrap();
        copying.forget(RoomId(8));
        assert!(copying.is_wanted(ROOM));
        copying.forget(ROOM);
        folder.remove(ROOM).unwrap();
        assert!(matches!(copying.keep(ROOM, made).unwrap(), Saved::Dropped));
        assert!(!has(&folder, "snapshot") && !has(&folder, "copy"));
    }

    #[test]
    fn a_copy_ends_when_its_file_goes_or_the_server_stops() {
        let (_temporary, folder) = folder();
        let copying = Copying::default();
        let saved = save(&folder, ROOM, &copying).unwrap();
        assert!(matches!(saved, Saved::Kept(0)));
        assert!(copying.begin(ROOM));
        let made = Snapshot::make(&folder, ROOM, || {
            let is_wanted = copying.is_wanted(ROOM);
            copying.forget(ROOM);
            is_wanted
        });
        assert!(made.unwrap().is_none());
        copying.stop();
        let saved = save(&folder, ROOM, &copying).unwrap();
        assert!(matches!(saved, Saved::Dropped));
        assert!(has(&folder, "snapshot") && !has(&folder, "copy"));
    }
}
