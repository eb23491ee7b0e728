//! Appending and closing.

use floe_core::Append;
use floe_log::{Disk, Payload};
use floe_proto::{Code, Millis};

use super::{Failure, Reply, Shard, SlotId, Ticket};

impl<D: Disk> Shard<D> {
    /// Appends to a room, closes it, or both; replies [`Reply::Appended`] or [`Reply::Refused`].
    pub fn append(
        &mut self,
        now: Millis,
        ticket: Ticket,
        name: &[u8],
        append: &Append<'_>,
        payload: Payload<'_>,
    ) {
        match self.find(now, name) {
            Ok(Some(slot)) => self.append_at(now, ticket, slot, append, payload),
            Ok(None) => self.answer(None, ticket, Reply::Failed(Failure::not_found())),
            Err(failure) => self.refuse(ticket, failure),
        }
    }

    fn append_at(
        &mut self,
        now: Millis,
        ticket: Ticket,
        id: SlotId,
        append: &Append<'_>,
        payload: Payload<'_>,
    ) {
        let slot = &self.slots[id.0 as usize];
        let decision = match slot.room.decide_append(append) {
            Ok(decision) => decision,
            Err(refused) => return self.answer(Some(id), ticket, Reply::Refused(refused)),
        };
        let (edge, producer) = (decision.edge, decision.producer);
        let reply = |new_data| Reply::Appended {
            edge,
            producer,
            new_data,
        };
        let Some(record) = &decision.record else {
            return self.answer(Some(id), ticket, reply(false));
        };
        if append
            .producer
            .is_some_and(|producer| slot.room.is_new_producer(producer.id))
            && slot.room.producers() >= self.limits.stream_producers_max
        {
            let message = "the stream knows stream.producers_max producers already";
            return self.refuse(ticket, Failure::new(Code::LimitReached, message));
        }
        let bytes = payload.bytes.len() as u64;
        if let Err(failure) = self.check_growth(id, bytes) {
            return self.refuse(ticket, failure);
        }
        match self.stage(id, record, payload, now) {
            Ok(lsn) => self.queue(lsn, id, Some((ticket, reply(append.units > 0)))),
            Err(failure) => self.refuse(ticket, failure),
        }
    }
}
