//! Webhooks: signed requests to the addresses of subscriptions.
//!
//! [`WebhookSender`] sends them from one thread of its own, which runs only once there is something
//! to send. Addresses are checked when a connection is made, not only by their names: a name that
//! resolves to this machine or its network, now or on a later try, is not connected to.

mod connect;
mod exchange;
mod key;
mod sender;

pub(crate) use connect::{ConnectError, Connector};
pub use key::SigningKey;
pub use sender::{Answer, Delivery, Limits, WebhookSender};

#[cfg(test)]
mod tests;
