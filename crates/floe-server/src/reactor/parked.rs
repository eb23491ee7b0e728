//! Requests that wait for something other than the disk: cold data, or who it is that asks.
//!
//! Whoever serves a request answers a failure that says what must be fetched first; that answer is
//! not sent, but the request is kept, and served again once it is here. So no surface knows of this,
//! and a stream that was deleted meanwhile is found to be.

use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use super::conn::{Context, State};
use crate::shard::Failure;

/// A request that waits.
#[derive(Debug)]
pub struct Parked {
    pub context: Context,
    /// How it came; a long-poll that was woken has nothing more to be served.
    pub request: Option<Box<KeptRequest>>,
    why: Why,
}

/// A request as it came.
#[derive(Debug)]
pub struct KeptRequest {
    method: Box<str>,
    target: Box<str>,
    fields: Vec<(Box<str>, Box<[u8]>)>,
    body: Box<[u8]>,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Cold data.
    Cold,
    /// Who asks.
    Caller,
}

/// Bytes of a body that is kept for cold data; a longer one is no read, and gets the failure.
const COLD_BODY_BYTES_MAX: usize = 64 << 10;

impl Why {
    /// Returns what to answer when it did not come in time.
    const fn late(self) -> (Code, &'static str) {
        match self {
            Self::Cold => (
                Code::ColdUnavailable,
                "the store of older data took longer than cold.read_timeout_ms",
            ),
            Self::Caller => (
                Code::AccessUnavailable,
                "it took longer than access.timeout_ms to find out who asks",
            ),
        }
    }
}

impl<D: Disk> Reactor<D> {
    /// Parks a connection whose request failed for want of something that is fetched; `false` for
    /// any other failure, and where nothing can be fetched.
    pub(super) fn parks(&mut self, at: usize, context: Context, failure: &Failure) -> bool {
        let Some(conn) = self.conns.get(at) else {
            return false;
        };
        let ticket = conn.ticket(at);
        let (why, patience_ms) = if let Some(want) = failure.cold {
            if self.shard.wait_for_cold(ticket, want).is_err() {
                return false;
            }
            (Why::Cold, self.limits.cold_read_timeout_ms)
        } else if let Some(errand) = failure.errand {
            if !self.recogniser.wait(errand, ticket) {
                return false;
            }
            (Why::Caller, self.limits.access_timeout_ms)
        } else {
            return false;
        };
        if let Some(conn) = self.conns.get_mut(at) {
            conn.state = State::Parked(Parked {
                context,
                request: None,
                why,
            });
        }
        self.set_deadline(at, self.clock.uptime_ms.saturating_add(patience_ms));
        true
    }

    /// Keeps the request of a connection that was just parked.
    pub(super) fn keep_parked(
        &mut self,
        at: usize,
        method: &str,
        target: &str,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let Some(State::Parked(parked)) = self.conns.get_mut(at).map(|conn| &mut conn.state) else {
            return;
        };
        if parked.request.is_some() {
            return;
        }
        if parked.why == Why::Cold && body.len() > COLD_BODY_BYTES_MAX {
            return self.end_parked(at);
        }
        let fields = fields.iter();
        parked.request = Some(Box::new(KeptRequest {
            method: method.into(),
            target: target.into(),
            fields: fields
                .map(|field| (field.name.into(), field.value.into()))
                .collect(),
            body: body.into(),
        }));
    }

    /// Serves a request again that was kept.
    pub(super) fn serve_again(&mut self, at: usize, context: Context, request: &KeptRequest) {
        let KeptRequest {
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
        self.keep_parked(at, method, target, &fields, body);
    }

    /// Answers a request for which what it waits for did not come in time.
    pub(super) fn end_parked(&mut self, at: usize) {
        let Some(State::Parked(parked)) = self.conns.get(at).map(|conn| &conn.state) else {
            return;
        };
        let (context, (code, message)) = (parked.context, parked.why.late());
        self.answer_error(at, context, code, message);
    }
}
