//! Who a WebSocket is of, while it is open.

use std::sync::Arc;

use floe_log::Disk;
use floe_proto::{Code, Millis};
use floe_surfaces::access::{Credentials, Session};
use floe_surfaces::live::{self, FrameId};

use super::super::Reactor;
use crate::shard::Failure;

/// An `auth` frame that waits until it is known whose credentials it shows.
#[derive(Debug)]
pub struct Asking {
    id: Option<FrameId<'static>>,
    bearer: Box<str>,
}

impl<D: Disk> Reactor<D> {
    /// Takes other credentials than those of the handshake.
    pub(super) fn live_auth(&mut self, at: usize, id: Option<FrameId<'_>>, bearer: &str) {
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let before = Arc::clone(&live.opened);
        // What the connection had is what it keeps if this fails.
        let kept = self.conns[at].session.clone();
        let credentials = Credentials::of(bearer, "");
        let named = before.named().cloned();
        let opened = self
            .open_session(at, &credentials, named)
            .and_then(|opened| same_person(&before.session, &opened.session).map(|()| opened));
        let opened = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                self.conns[at].session = kept;
                let ticket = self.conns[at].ticket(at);
                let waits = failure
                    .errand
                    .is_some_and(|errand| self.recogniser.wait(errand, ticket));
                if let (true, Some(live)) = (waits, self.live_mut(at)) {
                    live.asking = Some(Box::new(Asking {
                        id: id.map(FrameId::into_owned),
                        bearer: bearer.into(),
                    }));
                    return;
                }
                let id = id.as_ref();
                return self.tell_error(at, id, None, failure.code, &failure.message);
            }
        };
        let caller = opened.session.caller();
        self.tell(at, |out, format| {
            let (user, ends_at) = (caller.user.as_deref(), caller.ends_at);
            live::write_authenticated(out, format, id.as_ref(), user, ends_at);
        });
        self.take_session(at, &opened, None, None);
        self.settle_session(at, &opened);
        self.await_sound(at);
    }

    /// Goes on with an `auth` frame that waited.
    pub(in crate::reactor) fn authenticate_again(&mut self, at: usize) {
        let asking = self.live_mut(at).and_then(|live| live.asking.take());
        if let Some(asking) = asking {
            let Asking { id, bearer } = *asking;
            self.live_auth(at, id, &bearer);
        }
    }

    /// Ends what has outlived the credentials that it was allowed for: rooms of a WebSocket, or all
    /// of it; returns whether it is still there.
    pub(super) fn end_outlived(&mut self, at: usize) -> bool {
        let now = self.clock.wall;
        let Some(live) = self.live_ref(at) else {
            return false;
        };
        if live.opened.session.caller().has_ended(now) {
            self.dismiss(at, Code::Unauthorized, "the credentials have ended");
            return false;
        }
        while let Some(slot) = self.live_ref(at).and_then(|live| {
            let mut joins = live.joins.iter();
            joins.find(|join| join.has_ended(now)).map(|join| join.slot)
        }) {
            self.close_room(at, slot, Code::Unauthorized, super::TOKEN_ENDED);
        }
        self.live_ref(at).is_some()
    }

    /// Returns the uptime at which the first of a WebSocket's credentials ends.
    pub(in crate::reactor) fn outlives_ms(&self, at: usize) -> u64 {
        let Some(live) = self.live_ref(at) else {
            return u64::MAX;
        };
        let ends = live.joins.iter().filter_map(|join| join.ends_at);
        let first = ends.chain(live.opened.session.caller().ends_at).min();
        first.map_or(u64::MAX, |end| self.uptime_of(end))
    }

    /// Returns the uptime of a moment to come.
    pub(in crate::reactor) fn uptime_of(&self, moment: Millis) -> u64 {
        let in_ms = moment.since(self.clock.wall);
        self.clock.uptime_ms.saturating_add(in_ms)
    }
}

/// Checks that fresh credentials are of whom the connection speaks for already.
fn same_person(before: &Session, now: &Session) -> Result<(), Failure> {
    let refused = |message: &'static str| Err(Failure::new(Code::Forbidden, message));
    let user = before.caller().user.as_deref();
    if user.is_some() && user != now.caller().user.as_deref() {
        return refused("the connection speaks for another user");
    }
    let namespace = before.namespace();
    if namespace.is_some() && namespace != now.namespace() {
        return refused("the connection is of another namespace");
    }
    Ok(())
}
