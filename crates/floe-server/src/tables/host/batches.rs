//! The way of a batch of calls: run, appended, durable, committed.

use floe_log::{Disk, DiskFile, Payload};
use floe_proto::{Code, RoomId};

use super::super::room::{Batch, Phase};
use super::super::writer::{Batching, Ran, Task};
use super::super::{Answered, At, Notice, Outcome, Refused};
use super::TableHost;
use crate::shard::Shard;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Has a batch of calls run, if there are any.
    pub(super) fn run<D: Disk<File = F>>(&mut self, shard: &Shard<D>, id: RoomId, at: At) {
        let most = self.bounds.batch_calls_max;
        let (rows_max, bytes_max) = (self.bounds.batch_rows_max, self.bounds.batch_bytes_max);
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if room.queue.is_empty() || shard.tables_ended(room.slot) {
            return;
        }
        let calls = room.take_calls(most);
        let batching = Batching {
            now: at.now,
            asked: std::mem::take(&mut room.asked),
            rows_max,
            bytes_max,
        };
        room.phase = Phase::Running;
        self.send(Task::Run(id, calls, batching));
    }

    /// Appends what a batch has brought.
    pub(super) fn ran<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        id: RoomId,
        ran: Ran,
        at: At,
    ) {
        self.metrics.ran(ran.seconds);
        let Some(room) = self.rooms.get_mut(&id) else {
            let error = Refused::new(Code::NotFound, "the room was deleted");
            let calls = ran.done.into_iter().map(|(queued, _)| queued);
            for queued in calls.chain(ran.left) {
                self.refuse_call(queued.asker, id, error.clone());
            }
            return;
        };
        room.put_back(ran.left);
        room.phase = Phase::Ready;
        if ran.lens.is_empty() {
            room.failures = 0;
            room.asked += ran.asked;
            for (queued, result) in ran.done {
                self.turned.answers.push(Answered {
                    asker: queued.asker,
                    room: id,
                    outcome: Outcome::Called(result.map_err(Refused::from)),
                });
            }
            return self.advance(shard, id, at);
        }
        if shard.tables_ended(room.slot) {
            // Whether the room is gone is known once that is durable.
            room.put_back(ran.done.into_iter().map(|(queued, _)| queued).collect());
            return self.send(Task::Rollback(id));
        }
        let payload = Payload {
            bytes: &ran.bytes,
            lens: &ran.lens,
        };
        match shard.append_tables(at.now, room.slot, payload) {
            Ok(until) => {
                let mut notice = Notice::new(id, shard.room(room.slot).name());
                notice.seq = until;
                let mut done = Vec::with_capacity(ran.done.len());
                for (queued, result) in ran.done {
                    if let Ok(applied) = &result {
                        notice.add(&queued.call, applied);
                    }
                    done.push((queued.asker, result.map_err(Refused::from)));
                }
                room.phase = Phase::Staged(Batch {
                    until,
                    done,
                    notice,
                });
            }
            Err(failure) => {
                let small = matches!(failure.code, Code::BodyTooLarge | Code::QuotaExceeded);
                if small && ran.done.len() > 1 {
                    // One that is too much must not take the others with it.
                    room.singly = ran.done.len();
                    room.put_back(ran.done.into_iter().map(|(queued, _)| queued).collect());
                } else {
                    for (queued, _) in ran.done {
                        self.refuse_call(queued.asker, id, Refused::from(&failure));
                    }
                }
                self.send(Task::Rollback(id));
                self.advance(shard, id, at);
            }
        }
    }

    /// Answers a batch that is durable, and has it committed.
    pub(super) fn settle(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let Phase::Staged(batch) = std::mem::replace(&mut room.phase, Phase::Ready) else {
            return;
        };
        let Batch {
            until,
            done,
            notice,
        } = batch;
        room.unsaved += until - room.committed.min(until);
        room.failures = 0;
        match &mut room.notice {
            Some(older) => older.merge(notice),
            None => room.notice = Some(notice),
        }
        for (asker, result) in done {
            self.turned.answers.push(Answered {
                asker,
                room: id,
                outcome: Outcome::Called(result),
            });
        }
        self.send(Task::Commit(id));
    }

    /// Tells what was committed.
    pub(super) fn tell(&mut self, id: RoomId) {
        if let Some(room) = self.rooms.get_mut(&id)
            && let Some(notice) = room.notice.take_if(|notice| notice.seq <= room.committed)
        {
            self.turned.notices.push(notice);
        }
    }
}
