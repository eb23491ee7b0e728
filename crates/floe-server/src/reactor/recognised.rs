//! Callers that it takes something to recognise, and requests that wait for that.

use std::net::IpAddr;

use floe_log::Disk;
use floe_proto::{Code, Millis, Namespace};
use floe_surfaces::access::{Caller, Credentials};

use super::Reactor;
use super::caller::refused;
use super::conn::{Place, State};
use crate::access::{Asker, Miss, Times, Turned};
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    /// Finds out who shows these credentials, and until when that need not be asked again.
    ///
    /// # Errors
    /// Refuses credentials that open nothing. A failure with an errand is one for now: the request
    /// is to be parked and served again.
    pub(super) fn recognise(
        &mut self,
        client: IpAddr,
        credentials: &Credentials<'_>,
        named: Option<&Namespace>,
    ) -> Result<(Caller, Millis), Failure> {
        let asker = Asker {
            credentials,
            named,
            peer: client,
        };
        let now = self.times();
        let found = self
            .recogniser
            .recognise(&self.access, self.access_epoch, &asker, now);
        found.map_err(|miss| match miss {
            Miss::Denied(denied) => refused(denied),
            Miss::Wait(errand) => Failure {
                errand: Some(errand),
                ..Failure::new(Code::AccessUnavailable, BEING_ASKED)
            },
            Miss::Unavailable => Failure::new(Code::AccessUnavailable, NO_ANSWER),
        })
    }

    /// Goes on with the requests for which it is known now who asks, and begins what is due.
    pub(super) fn look_after_access(&mut self) {
        let now = self.times();
        if self.recogniser.turn(&mut self.access, now) == Turned::Changed {
            self.judge_all();
        }
        while let Some(ticket) = self.recogniser.poll_ended() {
            let Place { at, generation, .. } = Place::of(ticket);
            let conn = self.conns.get_mut(at);
            let Some(conn) = conn.filter(|conn| conn.generation == generation) else {
                continue;
            };
            if let State::Live(_) = conn.state {
                self.authenticate_again(at);
                self.resume(at);
                continue;
            }
            let State::Parked(parked) = &mut conn.state else {
                continue;
            };
            let (context, request) = (parked.context, parked.request.take());
            conn.state = State::Receiving;
            if let Some(request) = request {
                self.serve_again(at, context, &request);
                self.resume(at);
            }
        }
    }

    fn times(&self) -> Times {
        Times {
            wall: self.clock.wall,
            uptime_ms: self.clock.uptime_ms,
        }
    }
}

const BEING_ASKED: &str = "it is being found out who asks; try again";
const NO_ANSWER: &str = "what knows who asks does not answer; try again later";
