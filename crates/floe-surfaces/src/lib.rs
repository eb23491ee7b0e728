//! Floe's wire protocols as pure translators: a request in, a command out; an outcome in, an
//! answer out.
//!
//! Nothing here does I/O, reads a clock or keeps state between two calls. Requests come as the
//! parts of an HTTP message, whatever host parsed it; answers leave as the bytes of an HTTP/1.1
//! head and body, the one form that every host can send or translate.
//!
//! - [`access`]: API keys and channel tokens, and what they allow.
//! - [`admin`]: namespaces, API keys, tokens, revocations and tickets over HTTP.
//! - [`channels`]: channels and logs over HTTP, as REST and in the kept form.
//! - [`community`]: waddles, their members, channels and voice rooms, over HTTP and WebSockets of their own.
//! - [`http`]: routes, the frame every answer shares, error bodies, CORS.
//! - [`json`]: bodies of JSON streams, split into messages as they were sent.
//! - [`limits`]: what limits are called and how they are told.
//! - [`room_access`]: who owns a room, who is a member, whether everyone reads.
//! - [`streams`]: the Durable Streams protocol.
//! - [`tables`]: rooms with tables: frames, methods, HTTP, manifest.
//! - [`live`]: the live protocol of rooms, which is spoken over it.
//! - [`ws`]: WebSocket, handshake and frames.

pub mod access;
pub mod admin;
pub mod channels;
pub mod community;
pub mod http;
pub mod json;
pub mod limits;
pub mod live;
pub mod room_access;
pub mod streams;
pub mod subscriptions;
pub mod tables;
pub mod ws;
