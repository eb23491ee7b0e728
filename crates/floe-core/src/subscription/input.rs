//! What is handed in.

use std::sync::Arc;

use floe_proto::Offset;

use super::config::Put;

/// One input of [`Subscriptions::handle`](super::Subscriptions::handle).
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A request; exactly one [`Reply`](super::Reply) with the ticket follows, perhaps later.
    Request {
        /// The host's name for the request.
        ticket: u64,
        /// The subscription.
        id: Arc<str>,
        /// What is wanted.
        request: Request,
    },
    /// A stream was created, durably, with `tail` units.
    StreamCreated {
        /// Its path.
        path: &'a str,
        /// Units of its initial body.
        tail: u64,
    },
    /// A stream's visible tail has moved.
    ///
    /// May be handed in again, and is after recovery: the host then gives each stream that the log
    /// replayed records of, `from` being its tail before the oldest of them.
    StreamAdvanced {
        /// Its path.
        path: &'a str,
        /// The tail before.
        from: u64,
        /// The tail now.
        tail: u64,
    },
    /// A stream is gone; one created later under its path is another one.
    StreamDeleted {
        /// Its path.
        path: &'a str,
    },
    /// A slice of what [`Effect::Backfill`](super::Effect::Backfill) asked for.
    Found {
        /// Number of the backfill.
        backfill: u64,
        /// Streams with their visible tails; `None` for a named one that does not exist.
        streams: Vec<(Box<str>, Option<u64>)>,
        /// Whether this was the last slice.
        done: bool,
    },
    /// What became of [`Effect::SendWebhook`](super::Effect::SendWebhook).
    WebhookAnswered {
        /// The subscription.
        id: Arc<str>,
        /// Its wake, as in the notification.
        wake_id: Box<str>,
        /// Its generation, as in the notification.
        generation: u64,
        /// What came back.
        outcome: Outcome,
    },
    /// The time of [`poll_wake`](super::Subscriptions::poll_wake) has come.
    Wake,
}

/// What a client wants of a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Create it, or confirm that it is so.
    Put(Put),
    /// Describe it.
    Get,
    /// Remove it.
    Delete,
    /// Link streams by name.
    AddStreams(Vec<Box<str>>),
    /// Unlink a stream that was linked by name.
    RemoveStream(Box<str>),
    /// Take the lease, as this worker.
    Claim {
        /// The worker's name.
        worker: Box<str>,
    },
    /// Acknowledge under a claim.
    Ack(Ack),
    /// Give a claim back; its acks are not read.
    Release(Ack),
    /// Acknowledge under a webhook's wake.
    Callback(Ack),
}

/// What the holder of a wake sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ack {
    /// The bearer token, empty if none was sent.
    pub token: Box<str>,
    /// The wake.
    pub wake_id: Box<str>,
    /// Its generation.
    pub generation: u64,
    /// Streams with the position up to which each was processed.
    pub acks: Vec<(Box<str>, Offset)>,
    /// Whether the holder is finished.
    pub done: bool,
}

/// What came back from a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Success, and everything in the notification is processed.
    Done,
    /// Success; a callback will follow.
    Accepted,
    /// No answer, or one that is not a success.
    Failed,
}
