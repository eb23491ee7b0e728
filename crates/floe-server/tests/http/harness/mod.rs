//! A server in this process and a blocking client for it.

mod channel;
mod child;
mod connection;
mod issuer;
mod request;
mod response;
mod server;
mod sse;
mod tls;
mod webhook;

use std::time::{Duration, Instant};

pub use channel::Channel;
pub use child::ChildServer;
pub use connection::Connection;
pub use issuer::{ISSUER, Place, TokenKey, unix_seconds};
pub use request::{Request, delete, get, head, options, patch, post, put};
pub use response::Response;
pub use server::TestServer;
pub use sse::Events;
pub use tls::{Authority, Certificate, Tunnel, connect_tls};
pub use webhook::{Receiver, Webhook};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "waited too long: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The offset after `units` units.
pub fn offset(units: u64) -> String {
    format!("{units:016}")
}
