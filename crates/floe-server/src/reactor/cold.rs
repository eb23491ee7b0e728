//! Requests that wait for cold data, parked like any other that waits.
//!
//! Whoever serves a request answers a failure that says what must be fetched first; that answer is
//! not sent, but the request is kept, and served again once the data is here. So no surface knows of
//! this, and a stream that was deleted meanwhile is found to be.

use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use super::conn::{Context, Place, State};
use crate::shard::Failure;

/// A request as it came.
#[derive(Debug)]
pub struct ColdRequest {
    method: Box<str>,
    target: Box<str>,
    fields: Vec<(Box<str>, Box<[u8]>)>,
    body: Box<[u8]>,
}

/// Bytes of a body that is kept; a longer one is no read, and gets the failure.
const BODY_BYTES_MAX: usize = 64 << 10;

impl<D: Disk> Reactor<D> {
    /// Parks a connection whose request failed for want of cold data; `false` for any other
    /// failure, and where nothing can be fetched.
    pub(super) fn waits_for_cold(
        &mut self,
        at: usize,
        context: Context,
        failure: &Failure,
    ) -> bool {
        let (Some(want), Some(conn)) = (failure.cold, self.conns.get_mut(at)) else {
            return false;
        };
        if self.shard.wait_for_cold(conn.ticket(at), want).is_err() {
            return false;
        }
        conn.state = State::Cold(context, None);
        let deadline_ms = self.clock.uptime_ms + self.limits.cold_read_timeout_ms;
        self.set_deadline(at, deadline_ms);
        true
    }

    /// Keeps the request of a connection that was just parked.
    pub(super) fn keep_cold(
        &mut self,
        at: usize,
        method: &str,
        target: &str,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let Some(State::Cold(_, request @ None)) = self.conns.get_mut(at).map(|c| &mut c.state)
        else {
            return;
        };
        if body.len() > BODY_BYTES_MAX {
            return self.end_cold(at);
        }
        let fields = fields.iter();
        *request = Some(Box::new(ColdRequest {
            method: method.into(),
            target: target.into(),
            fields: fields
                .map(|field| (field.name.into(), field.value.into()))
                .collect(),
            body: body.into(),
        }));
    }

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
        let State::Cold(context, request) = &mut conn.state else {
            return;
        };
        let (context, request) = (*context, request.take());
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

    fn serve_again(&mut self, at: usize, context: Context, request: &ColdRequest) {
        let ColdRequest {
            method,
            target,
            fields,
            body,
        } = request;
        let fields: Vec<httparse::Header<'_>> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value })
            .collect();
        self.answer_request(at, context, method, target, &fields, body);
        self.keep_cold(at, method, target, &fields, body);
    }

    /// Answers a request whose data did not come in time.
    pub(super) fn end_cold(&mut self, at: usize) {
        let Some(State::Cold(context, _)) = self.conns.get(at).map(|conn| &conn.state) else {
            return;
        };
        let context = *context;
        let message = "the store of older data took longer than cold.read_timeout_ms";
        self.answer_error(at, context, Code::ColdUnavailable, message);
    }
}
