//! Files that fail.

use floe_log::{Disk, DiskFile};
use floe_proto::RoomId;

use super::super::room::{Phase, backoff_ms};
use super::super::{At, Queued, Refused};
use super::TableHost;
use crate::shard::Shard;

/// Times in a row that a file may fail before what waits for it fails too.
const FAILURES_MAX: u32 = 2;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Has a file that failed opened again, or lets what waits for it fail.
    pub(super) fn broken<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        calls: Vec<Queued>,
        fault: &Refused,
        at: At,
    ) {
        self.metrics.failed();
        let Some(room) = self.rooms.get_mut(&id) else {
            for queued in calls {
                self.refuse_call(queued.asker, id, fault.clone());
            }
            return;
        };
        if calls.is_empty() && matches!(room.phase, Phase::Running) {
            // The calls come back, too.
            return;
        }
        room.put_back(calls);
        room.failures += 1;
        if room.failures > FAILURES_MAX {
            return self.fail(shard, id, fault, at);
        }
        self.leave(shard, id, Phase::Closed);
        self.advance(shard, id, at);
    }

    /// Lets all that waits for a room's file fail, and leaves it alone for a while.
    pub(super) fn fail<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        id: RoomId,
        fault: &Refused,
        at: At,
    ) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        self.metrics.failed();
        room.failures += 1;
        let until_ms = at.uptime_ms + backoff_ms(room.failures);
        let error = fault.clone();
        let why = &error.error;
        tracing::warn!(room = id.0, %why, "the tables of a room cannot be used for the moment");
        self.leave(shard, id, Phase::Failed(until_ms, error.clone()));
        self.fail_waiting(id, &error);
    }

    pub(super) fn fail_waiting(&mut self, id: RoomId, error: &Refused) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let (calls, reads) = (
            std::mem::take(&mut room.queue),
            std::mem::take(&mut room.reads),
        );
        room.queue_bytes = 0;
        self.asking -= reads.len();
        for queued in calls {
            self.refuse_call(queued.asker, id, error.clone());
        }
        for read in reads {
            self.refuse_question(read.asker, id, error.clone());
        }
    }
}
