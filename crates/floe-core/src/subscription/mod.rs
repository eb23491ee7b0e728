//! Subscriptions: durable cursors over streams that wake a worker while work is pending.
//!
//! [`Subscriptions`] holds all subscriptions of one namespace as a state machine without I/O. A
//! subscription links streams, by name or by [`Pattern`], and knows how far each was
//! acknowledged. While a link's tail lies beyond that, and no wake is in flight, it starts a wake:
//! a webhook request, or an event on a wake stream that workers race to claim.
//!
//! Order is the host's part of the contract: an effect may leave the process only once every
//! [`Effect::Persist`] and [`Effect::Forget`] that was polled before it is durable.
//!
//! ```
//! use floe_core::subscription::{Effect, Input, Limits, Put, Reply, Request, Subscriptions, Target};
//! use floe_proto::Millis;
//!
//! let mut subscriptions = Subscriptions::new(Limits::default());
//! let mut random = || 4; // the host's random bits
//! let put = Put {
//!     target: Target::PullWake { wake_stream: "wake/pool".into() },
//!     pattern: Some("events/*".into()),
//!     ..Put::default()
//! };
//! let request = Request::Put(put);
//! let input = Input::Request { ticket: 1, id: "pool".into(), request };
//! subscriptions.handle(Millis(1_000), &mut random, input);
//! let mut backfill = 0;
//! while let Some(effect) = subscriptions.poll_effect() {
//!     if let Effect::Backfill(request) = effect {
//!         backfill = request.number; // the host looks for streams that are already there
//!     }
//! }
//! let input = Input::Found { backfill, streams: Vec::new(), done: true };
//! subscriptions.handle(Millis(1_000), &mut random, input);
//! assert!(matches!(subscriptions.poll_effect(), Some(Effect::Persist { .. })));
//! let reply = subscriptions.poll_effect();
//! assert!(matches!(reply, Some(Effect::Reply { ticket: 1, reply: Reply::Created(_) })));
//!
//! assert!(subscriptions.watches("events/new"));
//! let input = Input::StreamCreated { path: "events/new", tail: 1 };
//! subscriptions.handle(Millis(1_001), &mut random, input);
//! assert!(matches!(subscriptions.poll_effect(), Some(Effect::Persist { .. })));
//! assert!(matches!(subscriptions.poll_effect(), Some(Effect::AppendWake { .. })));
//! ```

mod codec;
mod config;
mod delivery;
mod effect;
mod holder;
mod index;
mod input;
mod limits;
mod link;
mod one;
mod pattern;
mod refusal;
mod set;
mod turn;
mod wake;

pub use config::{Put, Target};
pub use effect::{
    Backfill, Claim, Effect, LinkView, Notification, Reply, StreamState, View, WakeEvent,
};
pub use input::{Ack, Input, Outcome, Request};
pub use limits::Limits;
pub use pattern::{Pattern, PatternError};
pub use refusal::Refusal;
pub use set::{RestoreError, Subscriptions};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
