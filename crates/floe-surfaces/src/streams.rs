//! The Durable Streams protocol: create, append, close, read, fork and delete over HTTP.
//!
//! [`read_request`] turns the parts of a request into a [`Request`]; the `write_*` functions turn
//! what came of it into the bytes of an answer.

mod answer;
mod request;
mod sse;

pub use answer::{
    ReadAnswer, write_append_error, write_appended, write_created, write_deleted, write_described,
    write_read, write_up_to_date,
};
pub use request::{
    Body, Create, ForkFrom, Live, Read, Reject, Request, RequestHead, Scratch, read_request,
};
pub use sse::{SseControl, SseStyle, write_sse_control, write_sse_data, write_sse_head};
