//! When a snapshot is made.

use floe_log::DiskFile;
use floe_proto::RoomId;

use super::super::writer::Task;
use super::TableHost;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Has a snapshot made of a room that has moved far enough.
    pub(super) fn save(&mut self, id: RoomId) {
        let every = self.bounds.snapshot_every;
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        // A larger file costs more to copy, so that is done less often.
        let due = room.unsaved >= every.max(room.committed / 4);
        if every == 0 || room.saving || !due {
            return;
        }
        room.saving = true;
        room.unsaved = 0;
        self.send(Task::Save(id));
    }
}
