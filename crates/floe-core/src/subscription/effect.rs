//! What is handed out.

use std::sync::Arc;

use floe_proto::{Millis, Offset};

use super::config::Target;
use super::pattern::Pattern;
use super::refusal::Refusal;

/// Something the host must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store the subscription's whole state in place of what was stored for it.
    ///
    /// When several wait, only the newest of an id must reach the disk.
    Persist {
        /// The subscription.
        id: Arc<str>,
        /// What [`Subscriptions::restore`](super::Subscriptions::restore) reads.
        value: Vec<u8>,
    },
    /// Remove what is stored for the subscription, if anything is.
    Forget {
        /// The subscription.
        id: Arc<str>,
    },
    /// Look up streams and hand them in as [`Input::Found`](super::Input::Found), in slices.
    Backfill(Backfill),
    /// Append an event to a wake stream; if it does not exist, do nothing.
    AppendWake {
        /// Path of the wake stream.
        stream: Box<str>,
        /// The event.
        event: WakeEvent,
    },
    /// Send a webhook request and hand in [`Input::WebhookAnswered`](super::Input::WebhookAnswered).
    SendWebhook(Notification),
    /// Answer a request.
    Reply {
        /// The host's name for the request.
        ticket: u64,
        /// The answer.
        reply: Reply,
    },
}

/// Streams that a subscription must know the tails of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backfill {
    /// Number to hand back; the host may stop once
    /// [`is_backfilling`](super::Subscriptions::is_backfilling) denies it.
    pub number: u64,
    /// All existing streams that this covers.
    pub pattern: Option<Pattern>,
    /// Streams by name, existing or not.
    pub streams: Vec<Box<str>>,
}

/// Event on a wake stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WakeEvent {
    /// The subscription.
    pub subscription_id: Arc<str>,
    /// A stream with pending work.
    pub stream: Box<str>,
    /// Generation of the wake.
    pub generation: u64,
    /// When the wake began.
    pub at: Millis,
}

/// A webhook request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Address to send it to.
    pub url: Box<str>,
    /// Scheme and authority that callback addresses begin with.
    pub base: Box<str>,
    /// The subscription.
    pub subscription_id: Arc<str>,
    /// The wake.
    pub wake_id: Box<str>,
    /// Its generation.
    pub generation: u64,
    /// Bearer token for the callback.
    pub token: Box<str>,
    /// Linked streams, by path.
    pub streams: Vec<StreamState>,
    /// An answer after this time comes too late.
    pub timeout_ms: u64,
}

/// A linked stream as a wake's holder is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// The link.
    pub link: LinkView,
    /// The stream's tail.
    pub tail: Offset,
}

impl StreamState {
    /// Returns whether there is work.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.tail > self.link.acked
    }
}

/// A link as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkView {
    /// The stream.
    pub path: Box<str>,
    /// Whether it was named by a request, rather than only matched.
    pub explicit: bool,
    /// How far it was processed.
    pub acked: Offset,
}

/// Answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The subscription was created.
    Created(View),
    /// It exists and is as wanted.
    Confirmed(View),
    /// It is so.
    Found(View),
    /// It is gone, or was not there.
    Deleted,
    /// The streams are linked.
    StreamsAdded,
    /// The stream is not linked by name, or was not.
    StreamRemoved,
    /// The worker holds the lease.
    Claimed(Claim),
    /// Acks are taken.
    Acked {
        /// Whether another wake has begun.
        next_wake: bool,
    },
    /// The lease is given back.
    Released,
    /// Nothing has changed.
    Refused(Refusal),
}

/// A subscription as clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its id.
    pub id: Arc<str>,
    /// How it wakes.
    pub target: Target,
    /// Streams it links as they come.
    pub pattern: Option<Box<str>>,
    /// Its links, by path.
    pub streams: Vec<LinkView>,
    /// Lease of a wake's holder.
    pub lease_ms: u64,
    /// What it is for.
    pub description: Option<Box<str>>,
    /// When it was created.
    pub created_at: Millis,
    /// Number of its newest wake; 0 before the first.
    pub generation: u64,
    /// Whether the last webhook request failed.
    pub failed: bool,
    /// When a failed webhook request is sent again.
    pub next_attempt_at: Option<Millis>,
    /// Pending streams that found no room since it was created.
    pub links_refused: u64,
}

/// What a worker learns by claiming.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The wake.
    pub wake_id: Box<str>,
    /// Its generation.
    pub generation: u64,
    /// Bearer token for acks and release.
    pub token: Box<str>,
    /// Linked streams, by path.
    pub streams: Vec<StreamState>,
    /// How long the lease lasts from now on.
    pub lease_ms: u64,
}
