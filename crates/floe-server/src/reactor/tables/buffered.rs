//! The write buffer of a room with tables, as surfaces have it: from calls to flushes, which the
//! tables take like any other call.
//!
//! What is buffered is on its way to the tables before anything that is called after it
//! ([`Reactor::flush_before`]), when it is due, when somebody asks for it, and before a stop. A room
//! stays in memory for as long as it has something that is not written down.

use floe_core::buffer::{Flush, FlushId};
use floe_log::Disk;
use floe_proto::table::{Alteration, BUFFERED, Call, Mutation};
use floe_proto::{Code, Millis, RoomId};

use super::super::Reactor;
use super::memory::Keeping;
use crate::buffers::{Buffered, Buffering, Later, Told};
use crate::shard::TablePlace;
use crate::tables::{Answer, Answered, Ask, Asker, Outcome, Refused};

impl<D: Disk> Reactor<D> {
    /// Does what can be done at once.
    pub(super) fn buffer(&mut self, place: TablePlace, call: Buffering) -> Keeping {
        match self.buffers.at_once(place, &call, self.buffer_time()) {
            Some(done) => {
                self.hold_buffered(place);
                Keeping::Done(done.map(Buffered::into))
            }
            None => Keeping::Waits(call),
        }
    }

    /// Notes who waits for what could not be done at once.
    pub(in crate::reactor) fn buffer_later(
        &mut self,
        asker: Asker,
        place: TablePlace,
        call: Buffering,
    ) {
        let later = self.buffers.later(asker, place, call, self.buffer_time());
        self.hold_buffered(place);
        match later {
            Later::Nothing => {}
            Later::Ask(number) => {
                if let Some(key) = self.buffers.question(number) {
                    let ask = Ask::Buffered(key.into());
                    self.ask_table(Asker::Buffer(number), place, ask, 0);
                }
            }
            Later::Flush(flushes) => self.hand_flushes(flushes),
            Later::Told(told) => self.tell_buffered(place.id, vec![(asker, told)]),
        }
    }

    /// Hands all that a room has not written down to its tables, for what is called next.
    pub(in crate::reactor) fn flush_before(&mut self, room: RoomId) {
        let flushes = self.buffers.take(room);
        self.hand_flushes(flushes);
    }

    /// Hands what is due to the tables.
    pub(in crate::reactor) fn flush_due(&mut self) {
        let flushes = self.buffers.take_due(self.buffer_time());
        self.hand_flushes(flushes);
    }

    /// Hands everything to the tables, before a stop; returns whether something is left.
    pub(in crate::reactor) fn flush_all(&mut self) -> bool {
        let flushes = self.buffers.take_all();
        self.hand_flushes(flushes);
        !self.buffers.is_empty()
    }

    /// Takes what came of a flush, or of the question what is written down.
    pub(super) fn buffer_answered(&mut self, number: u64, room: RoomId, outcome: Outcome) {
        let now = self.buffer_time();
        match outcome {
            Outcome::Called(called) => {
                let seq =
                    called.map(|applied| (applied.first_seq + applied.count).saturating_sub(1));
                if let Err(refused) = &seq {
                    let error = &refused.error;
                    tracing::warn!(room = room.0, %error, "buffered values were not written");
                }
                let told = self.buffers.finished(FlushId(number), room, seq, now);
                self.release_buffered(room);
                self.tell_buffered(room, told);
            }
            Outcome::Asked(asked) => {
                let durable = asked.and_then(|answer| match answer {
                    Answer::Buffered(value) => Ok(value),
                    Answer::Rows(_)
                    | Answer::Json(_)
                    | Answer::Tables(_)
                    | Answer::File(_)
                    | Answer::Usage(_) => Err(Refused::new(
                        Code::Internal,
                        "the tables answered something else",
                    )),
                });
                let (told, flushes) = self.buffers.learned(number, durable, now);
                if let Some(place) = self.buffers.place(room) {
                    self.hold_buffered(place);
                }
                self.hand_flushes(flushes);
                self.tell_buffered(room, told);
            }
            Outcome::Buffered(_) => {}
        }
    }

    /// Drops what rooms have not written down that are gone.
    pub(super) fn forget_buffered(&mut self, rooms: &[RoomId]) {
        for room in rooms {
            self.buffers.forget(*room);
            self.release_buffered(*room);
        }
    }

    fn release_buffered(&mut self, room: RoomId) {
        if let Some(place) = self.buffers.let_go(room) {
            self.shard.hold_buffered(place.slot, false);
        }
    }

    fn tell_buffered(&mut self, room: RoomId, told: Vec<Told>) {
        for (asker, outcome) in told {
            self.table_answered(Answered {
                asker,
                room,
                outcome: Outcome::Buffered(outcome),
            });
        }
    }

    /// The time of the write buffer, which nobody moves.
    const fn buffer_time(&self) -> Millis {
        Millis(self.clock.uptime_ms)
    }

    fn hand_flushes(&mut self, flushes: Vec<Flush>) {
        let now = self.table_time();
        for Flush { id, room, values } in flushes {
            // A room that has something to write down has a place.
            let Some(place) = self.buffers.place(room) else {
                continue;
            };
            let bytes = values.iter().map(|(key, value)| key.len() + value.len());
            let bytes = bytes.sum();
            let call = Call {
                mutations: vec![Mutation::Flush(values)],
                ..Call::default()
            };
            let asker = Asker::Buffer(id.0);
            self.tables
                .call(&mut self.shard, asker, place, call, bytes, now);
        }
    }

    /// Keeps a room in memory for as long as it has something that is not written down.
    fn hold_buffered(&mut self, place: TablePlace) {
        if self.buffers.place(place.id).is_some() {
            self.shard.hold_buffered(place.slot, true);
        }
    }
}

/// Refuses what would write into the table of the write buffer past it.
pub(super) fn check_buffered(call: &Call) -> Result<(), Refused> {
    let is_buffered = |name: &str| name.eq_ignore_ascii_case(BUFFERED);
    let writes = |mutation: &Mutation| match mutation {
        Mutation::CreateTable(table) => is_buffered(&table.name),
        Mutation::AlterTable { table, steps } => {
            let renames = steps.iter().any(|step| match step {
                Alteration::RenameTable(name) => is_buffered(name),
                Alteration::AddColumn(_)
                | Alteration::DropColumn(_)
                | Alteration::RenameColumn { .. } => false,
            });
            renames || is_buffered(table)
        }
        Mutation::DropTable { table }
        | Mutation::Insert { table, .. }
        | Mutation::Update { table, .. }
        | Mutation::Delete { table, .. } => is_buffered(table),
        Mutation::Flush(_)
        | Mutation::CreateTask { .. }
        | Mutation::CompleteTask { .. }
        | Mutation::DeleteTask { .. } => false,
    };
    if call.mutations.iter().any(writes) {
        let message = "`buffered` is written by updateDebounced and incrementDebounced alone";
        return Err(Refused::new(Code::Forbidden, message));
    }
    Ok(())
}
