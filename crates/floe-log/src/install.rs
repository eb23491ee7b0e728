//! Moving rooms over to a new segment, a slice at a time.
//!
//! A segment may hold a million rooms. While they move over, each one is read where the index
//! says, and both places hold the same.

use std::collections::VecDeque;

use floe_proto::RoomId;

use crate::disk::Disk;
use crate::flush::FlushedRow;
use crate::index::{NO_SLOT, Run};
use crate::log::Log;
use crate::lsn::Lsn;
use crate::rooms::Death;

/// New segments whose rooms have not all moved over.
#[derive(Debug, Default)]
pub(crate) struct Installs {
    queue: VecDeque<Install>,
}

#[derive(Debug)]
struct Install {
    /// Number of the new segment.
    segment: u32,
    /// The row that comes next.
    next: u32,
    change: Change,
}

#[derive(Debug)]
enum Change {
    Flush {
        rows: Vec<FlushedRow>,
        replay: Lsn,
    },
    Merge {
        rows: Vec<Option<RoomId>>,
        inputs: Vec<u32>,
    },
}

impl Installs {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn push_flush(&mut self, segment: u32, rows: Vec<FlushedRow>, replay: Lsn) {
        self.push(segment, Change::Flush { rows, replay });
    }

    pub(crate) fn push_merge(&mut self, segment: u32, rows: Vec<Option<RoomId>>, inputs: Vec<u32>) {
        self.push(segment, Change::Merge { rows, inputs });
    }

    fn push(&mut self, segment: u32, change: Change) {
        self.queue.push_back(Install {
            segment,
            next: 0,
            change,
        });
    }
}

impl<D: Disk> Log<D> {
    /// Moves at most `rows_max` rooms over to new segments.
    pub(crate) fn install(&mut self, rows_max: u32) {
        let Some(mut install) = self.installs.queue.pop_front() else {
            return;
        };
        let end = install.next.saturating_add(rows_max);
        while install.next < end {
            let run = Run {
                segment: install.segment,
                row: install.next,
            };
            let at = install.next as usize;
            match &install.change {
                Change::Flush { rows, replay } => match rows.get(at) {
                    Some(&row) => self.install_flushed(row, run),
                    None => return self.end_flush(*replay),
                },
                Change::Merge { rows, inputs } => match rows.get(at) {
                    Some(&Some(room)) => self.install_merged(room, run, inputs),
                    Some(None) => {}
                    None => return self.end_merge(inputs),
                },
            }
            install.next += 1;
        }
        self.installs.queue.push_front(install);
    }

    fn install_flushed(&mut self, row: FlushedRow, run: Run) {
        if row.tombstone {
            return;
        }
        let Some(room) = self.rooms.index.room_mut(row.room) else {
            // It was deleted meanwhile, so the row came into the world dead.
            self.rooms.deaths.push(Death::whole(run));
            return;
        };
        room.slots[1 - self.rooms.side] = NO_SLOT;
        room.runs.push(run);
        match room.slots[self.rooms.side] {
            NO_SLOT => self.wakes.set(&mut self.rooms.index, row.room, row.wake_at),
            // Younger records may have moved the time; the flush that takes them will tell.
            slot => self.rooms.active.set_previous(slot, run),
        }
    }

    fn end_flush(&mut self, replay: Lsn) {
        let frozen = self.frozen.take();
        self.trash
            .memtables
            .extend(frozen.map(|frozen| frozen.memtable));
        self.wal.retire(replay, self.durable);
    }

    fn install_merged(&mut self, room: RoomId, run: Run, inputs: &[u32]) {
        let Some(room) = self.rooms.index.room_mut(room) else {
            self.rooms.deaths.push(Death::whole(run));
            return;
        };
        let replaced = |old: &Run| inputs.contains(&old.segment);
        if let Some(at) = room.runs.iter().position(replaced) {
            room.runs.retain(|old| !replaced(old));
            room.runs.insert(at, run);
        }
        let slot = room.slots[self.rooms.side];
        if let (true, Some(&youngest)) = (slot != NO_SLOT, room.runs.last()) {
            self.rooms.active.set_previous(slot, youngest);
        }
    }

    fn end_merge(&mut self, inputs: &[u32]) {
        let gone = self.segments.take_replaced(inputs);
        let is_gone = |run: &Run| gone.iter().any(|segment| segment.number() == run.segment);
        self.rooms.deaths.retain(|death| !is_gone(&death.run));
        for segment in &gone {
            self.cold.bury(segment);
        }
        self.trash.segments.extend(gone);
    }
}
