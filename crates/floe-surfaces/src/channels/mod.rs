//! Channels over HTTP: REST under `/v1`, and the form kept for clients of before under `/channel`
//! and `/log`.
//!
//! [`read_request`] turns the parts of a request of any form into one [`Ask`]; the `write_*`
//! functions turn what came of it into the bytes of an answer in the [`Form`] it was asked in.
//! [`access`](crate::access) decides who may ask.
//!
//! Events come as the bytes that the log keeps. What a reader may not see is taken out of them by
//! [`redact`], before an answer is written.

mod answer;
mod bounds;
mod members;
pub mod messages;
mod params;
mod redact;
mod reject;
mod request;
mod route;
mod sse;

pub use crate::live::Member;
pub use answer::{
    Lag, Presence, realtime_url, write_batch, write_channel, write_channels, write_created,
    write_event, write_events, write_found, write_hits, write_openapi, write_polled, write_pong,
    write_preflight, write_presence, write_queried, write_realtime, write_secret, write_success,
    write_token,
};
pub use bounds::Bounds;
pub use redact::{Hidden, Redacted, redact, split_events};
pub use reject::{Reject, write_error, write_reject};
pub use request::{
    Append, Ask, Asked, Change, Create, Edit, Filter, Found, List, Place, Presences, React, Read,
    Said, Seek, Token, WaitFor, read_request,
};
pub use route::{Form, owns, routes};
pub use sse::{
    write_sse_closed, write_sse_connected, write_sse_head, write_sse_heartbeat, write_sse_message,
};

#[cfg(test)]
mod tests;
