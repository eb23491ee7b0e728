//! Questions: when they are asked, and what comes of them.

use std::sync::Arc;

use floe_log::{Disk, DiskFile};
use floe_proto::{Code, RoomId};

use super::super::readers::{Answer, Ask, Asked, Unanswered};
use super::super::room::Read;
use super::super::{Answered, Asker, At, Outcome, Refused};
use super::TableHost;
use crate::shard::{Failure, Shard, SlotId, TablePlace};

/// Times that a question is asked again because the file failed.
const TRIES_MAX: u8 = 2;

impl<F: DiskFile + 'static> TableHost<F> {
    /// Asks a room's tables, once they have all that is visible now, and at least `min_seq` messages.
    pub fn ask<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        asker: Asker,
        place: TablePlace,
        mut ask: Ask,
        min_seq: u64,
        at: At,
    ) {
        let (most, wait_ms) = (self.bounds.queries_max, self.bounds.wait_ms);
        let is_full = self.asking >= most;
        let room = self.enter(shard, place, at);
        let refusal = match room.refusal(at.uptime_ms) {
            Some(refused) => Some(refused),
            None if is_full => {
                let message = format!("tables.queries_max: {most} questions are under way");
                Some(Refused::new(Code::Overloaded, message))
            }
            None => None,
        };
        if let Some(error) = refusal {
            return self.refuse_question(asker, place.id, error);
        }
        if let Ask::Usage(unsaved) = &mut ask {
            *unsaved = room.asked;
        }
        if let Ask::Audit(first_seq, messages) = &mut ask {
            match newest(shard, place.slot) {
                Ok(newest) => (*first_seq, *messages) = newest,
                Err(failure) => {
                    return self.refuse_question(asker, place.id, Refused::from(&failure));
                }
            }
        }
        let visible = shard.tables_visible(place.slot);
        room.reads.push(Read {
            asker,
            ask,
            needs: visible.max(min_seq),
            until_ms: (min_seq > visible).then(|| at.uptime_ms + wait_ms),
            tries: 0,
        });
        self.asking += 1;
        self.advance(shard, place.id, at);
    }

    /// Sends the questions on that the file has all for.
    pub(super) fn release(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        if room.reads.is_empty() || room.doubted {
            return;
        }
        let committed = room.committed;
        let ready: Vec<Read> = room
            .reads
            .extract_if(.., |read| read.needs <= committed)
            .collect();
        let generation = room.generation;
        for read in ready {
            let asked = Asked {
                asker: read.asker,
                room: id,
                generation,
                tries: read.tries,
                limits: Arc::clone(&self.bounds.query),
                ask: read.ask,
            };
            self.question(asked);
        }
    }

    pub(super) fn question(&self, question: Asked) {
        // The threads end only after this sender is gone.
        if let Some(questions) = &self.questions {
            let _ = questions.send(question);
        }
    }

    /// Hands on what came of a question; one whose file failed is asked once more.
    pub(super) fn answered<D: Disk<File = F>>(
        &mut self,
        shard: &mut Shard<D>,
        asked: Asked,
        result: Result<Answer, Unanswered>,
        at: At,
    ) {
        let result = match result {
            Ok(answer) => {
                if let Some(room) = self.rooms.get_mut(&asked.room) {
                    room.asked += 1;
                }
                Ok(answer)
            }
            Err(Unanswered::Refused(error)) => Err(error.into()),
            Err(Unanswered::Failed(refused)) => {
                if let Some(room) = self.rooms.get_mut(&asked.room)
                    && asked.tries < TRIES_MAX
                {
                    // The second time it is the file that must be looked at.
                    room.doubted |= asked.tries > 0 && room.generation == asked.generation;
                    room.reads.push(Read {
                        asker: asked.asker,
                        ask: asked.ask,
                        needs: shard.tables_visible(room.slot),
                        until_ms: None,
                        tries: asked.tries + 1,
                    });
                    return self.advance(shard, asked.room, at);
                }
                Err(refused)
            }
        };
        self.asking -= 1;
        self.turned.answers.push(Answered {
            asker: asked.asker,
            room: asked.room,
            outcome: Outcome::Asked(result),
        });
    }

    pub(super) fn refuse_question(&mut self, asker: Asker, room: RoomId, error: Refused) {
        self.turned.answers.push(Answered {
            asker,
            room,
            outcome: Outcome::Asked(Err(error)),
        });
    }
}

/// Reads the newest messages of a room, and the place of the first of them. Few large ones stand for
/// many.
fn newest<D: Disk>(shard: &mut Shard<D>, slot: SlotId) -> Result<(u64, Vec<u8>), Failure> {
    let tail = shard.tables_visible(slot);
    let mut all = Vec::new();
    let mut first = tail;
    for count in AUDIT_STEPS {
        let from = tail.saturating_sub(count);
        let mut read = Vec::new();
        let mut next = from;
        while next < tail && read.len() <= AUDIT_BYTES_MAX {
            let fetched = shard.hand_tables(slot, next, AUDIT_BYTES_MAX)?;
            let bytes = fetched.to_vec();
            read.extend(bytes.map_err(|error| Failure::new(Code::Internal, error.to_string()))?);
            next = fetched.next;
        }
        if next >= tail && (read.len() <= AUDIT_BYTES_MAX || all.is_empty()) {
            (first, all) = (from, read);
        } else {
            break;
        }
    }
    Ok((first + 1, all))
}

/// Messages of the audit log, fewer where they are large.
const AUDIT_STEPS: [u64; 3] = [1, 10, 50];
/// Bytes of the messages that the audit log is made from, about.
const AUDIT_BYTES_MAX: usize = 1 << 20;
