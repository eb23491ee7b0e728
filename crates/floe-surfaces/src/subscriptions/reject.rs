//! Answers to requests that were refused.

use std::borrow::Cow;

use floe_core::subscription::Refusal;
use floe_proto::Code;
use serde_json::{Map, Value, json};

use crate::http::{Answer, Envelope};

/// Why a request was not handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// What went wrong.
    pub code: Code,
    /// In words.
    pub message: Cow<'static, str>,
}

impl Reject {
    pub(super) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

/// Writes the answer to a request that was not handed on.
pub fn write_reject(out: &mut Vec<u8>, envelope: &Envelope<'_>, reject: &Reject) {
    write_error(out, envelope, reject.code, &reject.message, Map::new());
}

pub(super) fn write_refusal(out: &mut Vec<u8>, envelope: &Envelope<'_>, refusal: &Refusal) {
    let mut details = Map::new();
    let mut detail = |name: &str, value: Value| drop(details.insert(name.to_owned(), value));
    match refusal {
        Refusal::AlreadyClaimed { holder, generation } => {
            detail("current_holder", json!(**holder));
            detail("generation", json!(generation));
        }
        Refusal::Fenced { generation } => detail("generation", json!(generation)),
        Refusal::BeyondTail { stream, tail, .. } => {
            detail("stream", json!(**stream));
            detail("tail_offset", json!(tail.to_string()));
        }
        Refusal::NotFound
        | Refusal::Exists
        | Refusal::NothingLinked
        | Refusal::Pattern(_)
        | Refusal::Path { .. }
        | Refusal::Lease { .. }
        | Refusal::TooLong { .. }
        | Refusal::Empty { .. }
        | Refusal::WrongType { .. }
        | Refusal::LimitReached { .. }
        | Refusal::NoPendingWork
        | Refusal::Unauthorized => {}
    }
    write_error(out, envelope, refusal.code(), &refusal.to_string(), details);
}

/// Writes our form of an error and, nested in it, the protocol's form with its details.
fn write_error(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    code: Code,
    message: &str,
    mut details: Map<String, Value>,
) {
    details.insert("code".to_owned(), json!(code.as_str()));
    details.insert("message".to_owned(), json!(message));
    let body = json!({ "code": code.as_str(), "message": message, "error": details });
    let status = code.http_status();
    let answer = Answer::start(out, envelope, status)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store");
    let bearer: Option<&[u8]> = (status == 401).then_some(b"Bearer");
    let answer = answer.maybe("WWW-Authenticate", bearer);
    let answer = match envelope.retry_after(code) {
        Some(seconds) => answer.number("Retry-After", seconds),
        None => answer,
    };
    answer.body(body.to_string().as_bytes());
}
