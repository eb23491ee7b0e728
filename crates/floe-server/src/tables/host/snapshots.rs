//! When a snapshot is made.

use floe_log::{Disk, DiskFile};
use floe_proto::RoomId;

use super::super::At;
use super::super::saver::Saved;
use super::TableHost;
use crate::shard::Shard;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Has a snapshot made of a room that has moved far enough, if none is being made.
    pub(super) fn save(&mut self, id: RoomId) {
        let every = self.bounds.snapshot_every;
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if self.saving.is_some() || !room.wants_snapshot(every) {
            return;
        }
        room.unsaved = 0;
        self.saving = Some(id);
        if let Some(saves) = &self.saves {
            // The thread ends only after this sender is gone.
            let _ = saves.send(id);
        }
    }

    /// Takes note of a snapshot, and has the next one made.
    pub(super) fn saved<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        saved: &Saved,
        at: At,
    ) {
        self.saving = None;
        match saved {
            Saved::Kept(applied) => {
                self.metrics.saved(true);
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.unsaved = room.committed.saturating_sub(*applied);
                }
            }
            Saved::Dropped => {}
            Saved::Failed(error) => {
                self.metrics.saved(false);
                if error.is_corrupt()
                    && let Some(room) = self.rooms.get_mut(&id)
                {
                    // It is the file itself that must be looked at.
                    room.doubted = true;
                    self.advance(shard, id, at);
                }
            }
        }
        let every = self.bounds.snapshot_every;
        let wanting = self
            .rooms
            .values()
            .filter(|room| room.wants_snapshot(every));
        let next = wanting.max_by_key(|room| room.unsaved).map(|room| room.id);
        if let Some(id) = next {
            self.save(id);
        }
    }
}
