//! Which rooms have their files open.

use floe_log::{Disk, DiskFile};
use floe_proto::{Code, Millis, RoomId};

use super::super::room::Phase;
use super::super::writer::Task;
use super::super::{At, Refused};
use super::TableHost;
use crate::shard::Shard;

/// Files closed after one look at rooms that nobody uses; the disk is waited for with each.
const CLOSES_MAX: usize = 8;
/// Bytes of messages that a file is handed at once to catch up, about.
const CATCH_UP_BYTES: usize = 1 << 20;
/// Files looked at in one turn whether their rooms are still there.
const FOUND_STEP: usize = 256;

impl<F: DiskFile + 'static> TableHost<F> {
    pub(super) fn open<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        self.generation += 1;
        room.generation = self.generation;
        room.phase = Phase::Opening;
        let tail = shard.tables_visible(room.slot);
        self.open += 1;
        self.send(Task::Open(id, tail));
    }

    /// Goes on with a room that has a file with `committed` messages.
    pub(super) fn catch_up<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId, at: At) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let visible = shard.tables_visible(room.slot);
        if room.committed >= visible || shard.tables_ended(room.slot) {
            room.phase = Phase::Ready;
            self.tell(id);
            return self.advance(shard, id, at);
        }
        let since_ms = if let Phase::Cold(since_ms) = room.phase {
            since_ms
        } else {
            at.uptime_ms
        };
        match shard.hand_tables(room.slot, room.committed, CATCH_UP_BYTES) {
            Ok(handed) => {
                room.phase = Phase::CatchingUp;
                let first_seq = room.committed + 1;
                self.send(Task::CatchUp(id, first_seq, handed));
            }
            Err(failure)
                if failure.cold.is_some()
                    && at.uptime_ms < since_ms + self.bounds.cold_read_timeout_ms =>
            {
                room.phase = Phase::Cold(since_ms);
                self.cold.push(id);
            }
            Err(failure) => {
                let error = Refused::from(&failure);
                self.send(Task::Drop(id, at.now, 0));
                self.fail(shard, id, &error, at);
            }
        }
    }

    /// Opens the files of rooms that wait for a place, as long as there is one.
    pub(super) fn let_in<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        while self.open < self.bounds.open_max {
            let Some(id) = self.wanting.pop_front() else {
                return;
            };
            if let Some(room) = self.rooms.get(&id)
                && matches!(room.phase, Phase::Wanting)
            {
                self.open(shard, id);
            }
        }
    }

    /// Closes the file that has rested longest, if another wants its place.
    pub(super) fn make_place<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) {
        if self.wanting.is_empty() || self.open < self.bounds.open_max {
            return;
        }
        let saving = self.saving;
        let resting = self.rooms.values();
        let resting = resting.filter(|room| room.rests() && saving != Some(room.id));
        let oldest = resting.min_by_key(|room| room.used).map(|room| room.id);
        if let Some(id) = oldest {
            self.finish(shard, id, at, Task::Drop);
        }
    }

    /// Gives a room's place among the open files to another.
    pub(super) fn leave<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId, phase: Phase) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let had = room.has_place();
        room.phase = phase;
        if had {
            self.open -= 1;
            self.let_in(shard);
        }
    }

    /// Takes a room out of use, and closes its file so.
    pub(super) fn finish<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        at: At,
        close: impl FnOnce(RoomId, Millis, u64) -> Task<F>,
    ) {
        let asked = self.rooms.get(&id).map_or(0, |room| room.asked);
        self.send(close(id, at.now, asked));
        self.forget(shard, id);
    }

    /// Takes a room out of use.
    pub(super) fn forget<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, id: RoomId) {
        self.leave(shard, id, Phase::Closed);
        if let Some(room) = self.rooms.remove(&id) {
            shard.release_tables(room.slot);
        }
    }

    /// Closes the files of rooms that nobody uses, and ends the wait for what has not come in time.
    pub(super) fn sweep<D: Disk<File = F>>(&mut self, shard: &mut Shard<D>, at: At) {
        let late = self.rooms.values_mut().flat_map(|room| {
            let reads = room.reads.extract_if(.., |read| {
                read.until_ms
                    .is_some_and(|until_ms| at.uptime_ms >= until_ms)
            });
            let id = room.id;
            reads.map(move |read| (id, read.asker)).collect::<Vec<_>>()
        });
        for (id, asker) in late.collect::<Vec<_>>() {
            let message = "the room has not reached the wanted message in time";
            self.asking -= 1;
            self.refuse_question(asker, id, Refused::new(Code::ViewBehind, message));
        }
        let idle_ms = self.bounds.idle_timeout_ms;
        let idle = self.rooms.values().filter(|room| {
            let unused = at.uptime_ms.saturating_sub(room.used_ms) >= idle_ms;
            let failed = room.refusal(at.uptime_ms).is_some();
            let over = !failed && (room.rests() || !room.has_place());
            unused && over && !room.has_work() && self.saving != Some(room.id)
        });
        let idle: Vec<RoomId> = idle.map(|room| room.id).take(CLOSES_MAX).collect();
        for id in idle {
            self.finish(shard, id, at, Task::Close);
        }
    }

    /// Has files removed that are of no room.
    pub(super) fn step_found<D: Disk<File = F>>(&mut self, shard: &Shard<D>) {
        for _ in 0..FOUND_STEP {
            let Some(id) = self.found.pop() else {
                return;
            };
            if !shard.has_tables(id) {
                self.send(Task::Remove(id));
            }
        }
    }
}
