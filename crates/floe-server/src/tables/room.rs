//! What the host knows of one room.

use std::collections::VecDeque;

use floe_proto::RoomId;
use floe_proto::table::{Alteration, Applied, BUFFERED, Call, Mutation, TASKS};

use super::readers::Ask;
use super::{Asker, Notice, Queued, Refused};
use crate::shard::{SlotId, TablePlace};

/// A room whose tables are in use.
#[derive(Debug)]
pub(super) struct Room {
    pub id: RoomId,
    /// Its place in the shard, which is held.
    pub slot: SlotId,
    pub phase: Phase,
    /// Calls that have not been run, oldest first.
    pub queue: VecDeque<Queued>,
    /// Bytes of them, about.
    pub queue_bytes: usize,
    /// Questions that wait until the file has what was visible when they were asked.
    pub reads: Vec<Read>,
    /// Messages that the file has, as far as it was said.
    pub committed: u64,
    /// Which opening of the file it is; readers open theirs anew where it has changed.
    pub generation: u64,
    /// Calls that are run each by itself, because together the log did not take them.
    pub singly: usize,
    /// What is told once the file has it.
    pub notice: Option<Notice>,
    /// Whether the file must be looked at: questions could not be answered.
    pub doubted: bool,
    /// Times in a row that the file failed.
    pub failures: u32,
    /// Messages since the last snapshot.
    pub unsaved: u64,
    /// Questions that were answered and are not counted in the file.
    pub asked: u64,
    /// When it was last used, in turns of the host.
    pub used: u64,
    /// Uptime of the last use.
    pub used_ms: u64,
}

/// What a room's file is doing.
#[derive(Debug)]
pub(super) enum Phase {
    /// It is not open.
    Closed,
    /// It waits until another is closed.
    Wanting,
    /// The writer opens it.
    Opening,
    /// The writer applies what the log has and the file lacks.
    CatchingUp,
    /// What the file lacks is cold and being fetched, since this uptime.
    Cold(u64),
    /// It has nothing to do.
    Ready,
    /// The writer runs a batch.
    Running,
    /// The messages of a batch are staged.
    Staged(Batch),
    /// It failed, and is not looked at before this uptime.
    Failed(u64, Refused),
}

/// A batch that waits for the log.
#[derive(Debug)]
pub(super) struct Batch {
    /// The tail behind its messages.
    pub until: u64,
    pub done: Vec<(Asker, Result<Applied, Refused>)>,
    /// What it touched.
    pub notice: Notice,
}

/// A question that waits.
#[derive(Debug)]
pub(super) struct Read {
    pub asker: Asker,
    pub ask: Ask,
    /// Messages that the file must have.
    pub needs: u64,
    /// Uptime until which it waits for a message that is not there yet.
    pub until_ms: Option<u64>,
    /// Times that it was asked before, of a file that failed.
    pub tries: u8,
}

impl Room {
    pub fn new(room: TablePlace) -> Self {
        Self {
            id: room.id,
            slot: room.slot,
            phase: Phase::Closed,
            queue: VecDeque::new(),
            queue_bytes: 0,
            reads: Vec::new(),
            committed: 0,
            generation: 0,
            singly: 0,
            notice: None,
            doubted: false,
            failures: 0,
            unsaved: 0,
            asked: 0,
            used: 0,
            used_ms: 0,
        }
    }

    /// Returns whether its file is open or about to be, and so takes one of the places.
    pub const fn has_place(&self) -> bool {
        match self.phase {
            Phase::Closed | Phase::Wanting | Phase::Failed(..) => false,
            Phase::Opening
            | Phase::CatchingUp
            | Phase::Cold(_)
            | Phase::Ready
            | Phase::Running
            | Phase::Staged(_) => true,
        }
    }

    /// Returns why nothing can be asked of it for the moment, if its file has just failed.
    pub fn refusal(&self, uptime_ms: u64) -> Option<Refused> {
        if let Phase::Failed(until_ms, refused) = &self.phase {
            return (uptime_ms < *until_ms).then(|| refused.clone());
        }
        None
    }

    /// Returns whether something waits for its file.
    pub fn has_work(&self) -> bool {
        !self.queue.is_empty() || !self.reads.is_empty()
    }

    /// Returns whether its file can be closed without anyone noticing.
    pub fn rests(&self) -> bool {
        matches!(self.phase, Phase::Ready) && !self.has_work() && self.notice.is_none()
    }

    /// Returns whether so many messages have come since the last snapshot that another is due. A
    /// larger file costs more to copy, so that is done less often.
    pub fn wants_snapshot(&self, every: u64) -> bool {
        every > 0 && self.unsaved >= every.max(self.committed / 4)
    }

    /// Takes calls for one batch.
    pub fn take_calls(&mut self, most: usize) -> Vec<Queued> {
        let most = if self.singly > 0 { 1 } else { most };
        self.singly = self.singly.saturating_sub(1);
        let count = self.queue.len().min(most);
        let calls: Vec<Queued> = self.queue.drain(..count).collect();
        self.queue_bytes -= calls.iter().map(|queued| queued.bytes).sum::<usize>();
        calls
    }

    /// Puts calls back where they came from.
    pub fn put_back(&mut self, calls: Vec<Queued>) {
        for queued in calls.into_iter().rev() {
            self.queue_bytes += queued.bytes;
            self.queue.push_front(queued);
        }
    }
}

impl Notice {
    pub(super) fn new(room: RoomId, name: &[u8]) -> Self {
        Self {
            room,
            name: name.into(),
            seq: 0,
            tables: Vec::new(),
            schema_changed: false,
        }
    }

    /// Takes note of a call that was done.
    pub(super) fn add(&mut self, call: &Call, applied: &Applied) {
        self.schema_changed |= applied.schema_changed;
        for mutation in &call.mutations {
            self.touch(touched(mutation));
            if let Mutation::AlterTable { steps, .. } = mutation {
                for step in steps {
                    if let Alteration::RenameTable(name) = step {
                        self.touch(name);
                    }
                }
            }
        }
    }

    fn touch(&mut self, table: &str) {
        let table = table.to_ascii_lowercase().into_boxed_str();
        if let Err(at) = self.tables.binary_search(&table) {
            self.tables.insert(at, table);
        }
    }

    /// Takes in a newer one.
    pub(super) fn merge(&mut self, newer: Self) {
        self.seq = newer.seq;
        self.schema_changed |= newer.schema_changed;
        self.tables.extend(newer.tables);
        self.tables.sort_unstable();
        self.tables.dedup();
    }
}

/// Returns the table that a mutation touches.
fn touched(mutation: &Mutation) -> &str {
    match mutation {
        Mutation::CreateTable(table) => &table.name,
        Mutation::AlterTable { table, .. }
        | Mutation::DropTable { table }
        | Mutation::Insert { table, .. }
        | Mutation::Update { table, .. }
        | Mutation::Delete { table, .. } => table,
        Mutation::Flush(_) => BUFFERED,
        Mutation::CreateTask { .. }
        | Mutation::CompleteTask { .. }
        | Mutation::DeleteTask { .. } => TASKS,
    }
}

/// Returns the time that a file is left alone after it failed so often.
pub(super) const fn backoff_ms(failures: u32) -> u64 {
    let doubled = if failures > 6 { 6 } else { failures };
    BACKOFF_MS_MIN << doubled
}

/// First wait after a failure; the longest is 64 times as long.
const BACKOFF_MS_MIN: u64 = 50;
