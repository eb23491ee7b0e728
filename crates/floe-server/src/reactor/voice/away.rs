//! Participants whose connection is lost: what they may do is judged as if it were there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use floe_core::voice::SeatId;
use floe_log::Disk;
use floe_proto::{Millis, Rights};
use floe_surfaces::access::Deed;

use super::super::Reactor;
use super::super::caller::Opened;
use crate::shard::{Failure, SlotId, Ticket};

/// Those who have a seat and no connection: no more than there are seats.
pub(in crate::reactor) type AllAway = BTreeMap<SeatId, Away>;

/// Somebody whose connection is lost, and who may come back to the seat.
#[derive(Debug, Clone)]
pub(in crate::reactor) struct Away {
    /// As who.
    opened: Arc<Opened>,
    /// From where.
    client: IpAddr,
}

/// Participants without a connection that are kept in mind beyond those that there are.
const AWAY_SPARE: usize = 64;

impl<D: Disk> Reactor<D> {
    /// Keeps in mind who has the seat of a connection that is lost.
    pub(in crate::reactor) fn note_away(
        &mut self,
        slot: SlotId,
        seat: u64,
        opened: &Arc<Opened>,
        client: IpAddr,
    ) {
        let room = self.shard.room(slot).id();
        let away = Away {
            opened: Arc::clone(opened),
            client,
        };
        self.note_end(&away.opened);
        // What is left of rooms that are gone.
        if self.away.len() > 2 * self.shard.voice_totals().participants + AWAY_SPARE {
            let shard = &self.shard;
            self.away
                .retain(|seat, _| shard.voice_slot(seat.room).is_some());
        }
        self.away.insert(SeatId { room, seat }, away);
    }

    /// Judges those anew whose connection is lost, in one room or all: who may not be in it any more
    /// is gone, and who may not send any more is silent.
    pub(in crate::reactor) fn judge_away(&mut self, slot: Option<SlotId>) {
        let room = slot.map(|slot| self.shard.room(slot).id());
        let all = self.away.iter();
        let all = all.filter(|(seat, _)| room.is_none_or(|room| room == seat.room));
        let all: Vec<_> = all.map(|(seat, away)| (*seat, away.clone())).collect();
        for (seat, away) in all {
            let Some(slot) = self.shard.voice_slot(seat.room) else {
                self.away.remove(&seat);
                continue;
            };
            let judged = self.judge_one_away(&away, slot);
            self.hold_away(slot, seat.seat, judged);
        }
        self.settle_voice(None);
    }

    fn judge_one_away(&mut self, away: &Away, slot: SlotId) -> Result<Rights, Failure> {
        let opened = self.renew_from(away.client, &away.opened)?;
        let grant = self.judge_in(&opened.session, slot, Deed::Read)?;
        Ok(grant.rights)
    }

    fn hold_away(&mut self, slot: SlotId, seat: u64, judged: Result<Rights, Failure>) {
        match judged {
            Ok(rights) => self.hold_to(slot, seat, rights),
            // Who is not known for the moment may be known again.
            Err(failure) if failure.code.retry() != floe_proto::Retry::Never => {}
            Err(_) => self.hold_to(slot, seat, Rights::NONE),
        }
    }

    /// Holds the participant of a seat to rights that are others than before: who may not append any
    /// more is silent, and who may not be seen either is gone.
    pub(in crate::reactor) fn hold_to(&mut self, slot: SlotId, seat: u64, rights: Rights) {
        let now = self.clock.wall;
        if rights.contains(Rights::APPEND) {
            return;
        }
        let listens = rights.contains(Rights::READ.with(Rights::PRESENCE));
        self.shard
            .change_voice(slot, now, |voice, timers| match listens {
                true => voice.silence(seat, timers),
                false => voice.expel(seat, timers),
            });
    }

    /// Returns when the first of those whose connection is lost are known no more, and judges them
    /// anew whose time has come.
    pub(in crate::reactor) fn end_outlived_away(&mut self) -> Millis {
        let now = self.clock.wall;
        let ends = |away: &Away| away.opened.session.caller().ends_at;
        if self.away.values().filter_map(ends).any(|at| at <= now) {
            self.judge_away(None);
        }
        let next = self.away.values().filter_map(ends).filter(|at| *at > now);
        next.min().unwrap_or(Millis(u64::MAX))
    }

    /// Returns the seat that a connection has in a room.
    pub(in crate::reactor) fn seat_of(&self, slot: SlotId, connection: Ticket) -> Option<u64> {
        self.shard.voice(slot)?.seat_of(connection.0)
    }
}
