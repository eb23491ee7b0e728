//! Answers to requests.

use floe_core::subscription::{Claim, Reply, Target, View};
use floe_proto::Millis;
use serde::Serialize;

use super::body::{LinkBody, StreamBody, bytes, streams};
use super::jwks_url;
use super::key::PublicKey;
use super::reject::write_refusal;
use crate::http::{Answer, Envelope};

/// Writes the answer to a request.
///
/// `base` is what [`base_url`](super::base_url) says of this request, `key` signs webhooks.
pub fn write_reply(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    reply: &Reply,
    base: &str,
    key: &PublicKey,
) {
    let (status, body) = match reply {
        Reply::Created(view) => (201, bytes(&ViewBody::new(view, base, key))),
        Reply::Confirmed(view) | Reply::Found(view) => {
            (200, bytes(&ViewBody::new(view, base, key)))
        }
        Reply::Claimed(claim) => (200, bytes(&ClaimBody::new(claim))),
        Reply::Acked { next_wake } => (
            200,
            bytes(&AckBody {
                ok: true,
                next_wake: *next_wake,
            }),
        ),
        Reply::Deleted | Reply::StreamsAdded | Reply::StreamRemoved | Reply::Released => {
            return Answer::start(out, envelope, 204).no_body(true);
        }
        Reply::Refused(refusal) => return write_refusal(out, envelope, refusal),
    };
    Answer::start(out, envelope, status)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(&body);
}

#[derive(Serialize)]
struct ViewBody<'a> {
    id: &'a str,
    subscription_id: &'a str,
    r#type: &'static str,
    pattern: Option<&'a str>,
    streams: Vec<LinkBody<'a>>,
    webhook: Option<WebhookBody<'a>>,
    wake_stream: Option<&'a str>,
    lease_ttl_ms: u64,
    created_at: String,
    status: &'static str,
    description: Option<&'a str>,
    generation: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    links_refused: u64,
}

#[derive(Serialize)]
struct WebhookBody<'a> {
    url: &'a str,
    signing: SigningBody,
}

#[derive(Serialize)]
struct SigningBody {
    alg: &'static str,
    kid: String,
    jwks_url: String,
}

#[derive(Serialize)]
struct ClaimBody<'a> {
    wake_id: &'a str,
    generation: u64,
    token: &'a str,
    streams: Vec<StreamBody<'a>>,
    lease_ttl_ms: u64,
}

#[derive(Serialize)]
struct AckBody {
    ok: bool,
    next_wake: bool,
}

impl<'a> ViewBody<'a> {
    fn new(view: &'a View, base: &str, key: &PublicKey) -> Self {
        let (webhook, wake_stream) = match &view.target {
            Target::Webhook { url, .. } => (Some(WebhookBody::new(url, base, key)), None),
            Target::PullWake { wake_stream } => (None, Some(&**wake_stream)),
        };
        Self {
            id: &view.id,
            subscription_id: &view.id,
            r#type: view.target.type_name(),
            pattern: view.pattern.as_deref(),
            streams: view.streams.iter().map(LinkBody::new).collect(),
            webhook,
            wake_stream,
            lease_ttl_ms: view.lease_ms,
            created_at: rfc3339(view.created_at),
            status: if view.failed { "failed" } else { "active" },
            description: view.description.as_deref(),
            generation: view.generation,
            next_attempt_at: view.next_attempt_at.map(rfc3339),
            links_refused: view.links_refused,
        }
    }
}

impl<'a> WebhookBody<'a> {
    fn new(url: &'a str, base: &str, key: &PublicKey) -> Self {
        Self {
            url,
            signing: SigningBody {
                alg: "ed25519",
                kid: key.id(),
                jwks_url: jwks_url(base),
            },
        }
    }
}

impl<'a> ClaimBody<'a> {
    fn new(claim: &'a Claim) -> Self {
        Self {
            wake_id: &claim.wake_id,
            generation: claim.generation,
            token: &claim.token,
            streams: streams(&claim.streams),
            lease_ttl_ms: claim.lease_ms,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands a reference to skip_serializing_if"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn rfc3339(at: Millis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}
