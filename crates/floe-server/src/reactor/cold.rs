//! Readers that wait for cold data, and the threads that fetch it. How requests wait, see
//! [`parked`](super::parked).

use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use super::conn::{Place, State};
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    /// Lets an event stream wait for the data that its reader needs next; the stream ends if that
    /// cannot be had.
    pub(super) fn stall_sse(&mut self, at: usize, failure: &Failure) {
        if !self.stalls(at, failure) {
            self.end_sse(at);
        }
    }

    /// Lets a reader that stays as it is be told once cold data was fetched; `false` for any other
    /// failure, and where nothing can be fetched.
    pub(super) fn stalls(&mut self, at: usize, failure: &Failure) -> bool {
        let (Some(want), Some(conn)) = (failure.cold, self.conns.get(at)) else {
            return false;
        };
        self.shard.wait_for_cold(conn.ticket(at), want).is_ok()
    }

    /// Goes on with the requests whose data has come, and gives work to the threads of the cold
    /// tier.
    pub(super) fn look_after_cold(&mut self) {
        while let Some((ticket, result)) = self.shard.poll_cold() {
            let Place { at, generation, .. } = Place::of(ticket);
            let conn = self.conns.get(at);
            if conn.is_some_and(|conn| conn.generation == generation) {
                self.thaw(at, result);
                self.resume(at);
            }
        }
        while let Some(work) = self.shard.take_fetch() {
            self.workers.fetch(work);
        }
    }

    /// Takes upkeep for the thread that waits for the store.
    pub(super) fn take_cold_work(&mut self) {
        if let Some(work) = self.shard.take_cold_work(self.clock.wall) {
            self.workers.keep_up(work);
        }
        match self.shard.poll_cold_change() {
            Some(true) => {
                tracing::warn!("the store of cold data fails; data stays here until it works");
            }
            Some(false) => tracing::info!("the store of cold data works again"),
            None => {}
        }
    }

    /// Goes on with one connection.
    fn thaw(&mut self, at: usize, result: Result<(), Failure>) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        if let State::Sse(_) = conn.state {
            return match result {
                Ok(()) => self.follow(at),
                Err(_) => self.end_sse(at),
            };
        }
        if let State::Live(_) = conn.state {
            // What cannot be had closes its room, and no other.
            return self.tell_rooms(at);
        }
        let State::Parked(parked) = &mut conn.state else {
            return;
        };
        let (context, request) = (parked.context, parked.request.take());
        conn.state = State::Receiving;
        match (result, request) {
            (Ok(()), Some(request)) => self.serve_again(at, context, &request),
            // A long-poll that was woken: it is asked again, and finds the data here.
            (Ok(()), None) => {
                let message = "older data was fetched; ask again";
                self.answer_error(at, context, Code::ColdUnavailable, message);
            }
            (Err(failure), _) => self.answer_failure(at, context, &failure),
        }
    }
}
