//! The server over real sockets: every rule of the protocol, every limit, hostile clients, restarts.
//!
//! Rules are named by their row in the specification, such as C1 or R10.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test names the cases that it is about"
)]

mod access_webhook;
mod admin;
mod append;
mod browsers;
mod channels;
mod cold;
mod community;
mod connect;
mod create;
mod disk_full;
mod errors;
mod forks;
mod harness;
mod hostile;
mod http2;
mod json;
mod limits;
mod live;
mod load;
mod matrix;
mod metrics;
mod namespaces;
mod private_ca;
mod producers;
mod proxies;
mod quotas;
mod read;
mod registry;
mod rules;
mod stop;
mod subscriptions;
mod tables;
mod tls;
mod tokens;
mod voice_media;
mod waddles;
mod websocket;
mod websocket_http2;
