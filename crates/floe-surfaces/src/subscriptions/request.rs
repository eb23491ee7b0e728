//! Requests under the reserved prefix.

use std::sync::Arc;

use floe_core::subscription::{Ack, Put, Request, Target};
use floe_proto::{Code, Offset};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::reject::Reject;
use super::webhook_url::WebhookUrl;
use crate::access::Deed;
use crate::http::{Method, decode};

/// Largest body of a request about subscriptions.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// What is asked for under the reserved prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The keys that webhooks are signed with.
    KeySet,
    /// Something of a subscription.
    Subscription {
        /// Its id.
        id: Arc<str>,
        /// What is wanted.
        request: Request,
    },
}

impl Asked {
    /// Returns what must be allowed in the namespace; nothing for what is everyone's, or for what a
    /// wake's own token allows.
    #[must_use]
    pub const fn deeds(&self) -> &'static [Deed] {
        let Self::Subscription { request, .. } = self else {
            return &[];
        };
        match request {
            Request::Put(_)
            | Request::Get
            | Request::Delete
            | Request::AddStreams(_)
            | Request::RemoveStream(_) => &[Deed::Manage],
            // A worker learns of streams anywhere, and says how far they are done.
            Request::Claim { .. } => &[Deed::Survey, Deed::Append],
            Request::Ack(_) | Request::Release(_) | Request::Callback(_) => &[],
        }
    }

    /// Returns the subscription and the token of its wake, of a request that shows one.
    #[must_use]
    pub fn wake_token(&self) -> Option<(&str, &str)> {
        let Self::Subscription { id, request } = self else {
            return None;
        };
        match request {
            Request::Ack(ack) | Request::Release(ack) | Request::Callback(ack) => {
                Some((id, &ack.token))
            }
            Request::Put(_)
            | Request::Get
            | Request::Delete
            | Request::AddStreams(_)
            | Request::RemoveStream(_)
            | Request::Claim { .. } => None,
        }
    }

    /// Puts the callbacks of a subscription under another base.
    pub fn rebase(&mut self, new: &str) {
        if let Self::Subscription {
            request: Request::Put(put),
            ..
        } = self
            && let Target::Webhook { base, .. } = &mut put.target
        {
            *base = new.into();
        }
    }
}

/// What is known of a request besides its own parts.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// What [`base_url`](super::base_url) says of it.
    pub base: &'a str,
    /// Whether webhooks to this machine are allowed.
    pub development: bool,
}

/// Reads a request; `path` is what follows `__ds/`, as sent.
///
/// # Errors
/// A [`Reject`] for [`write_reject`](super::write_reject).
pub fn read_request(
    method: Method,
    path: &str,
    authorization: Option<&str>,
    body: &[u8],
    context: &Context<'_>,
) -> Result<Asked, Reject> {
    let is_head = method == Method::Head;
    let method = if is_head { Method::Get } else { method };
    if path == "jwks.json" {
        return allow(method, Method::Get).map(|()| Asked::KeySet);
    }
    if body.len() > BODY_BYTES_MAX {
        let message = format!("a request about subscriptions has at most {BODY_BYTES_MAX} bytes");
        return Err(Reject::new(Code::BodyTooLarge, message));
    }
    let rest = path.strip_prefix("subscriptions/");
    let (id, action) = match rest.map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        Some((id, action)) if !id.is_empty() => (text(id)?, action),
        Some(_) | None => return Err(unknown()),
    };
    let request = match action {
        "" => match method {
            Method::Put => Request::Put(put(body, context)?),
            Method::Get => Request::Get,
            Method::Delete => Request::Delete,
            Method::Head | Method::Post | Method::Patch | Method::Options | Method::Other => {
                return Err(not_allowed());
            }
        },
        "streams" => {
            allow(method, Method::Post)?;
            Request::AddStreams(json::<StreamsBody>(body)?.streams)
        }
        "claim" => {
            allow(method, Method::Post)?;
            let ClaimBody { worker } = json(body)?;
            Request::Claim { worker }
        }
        "ack" => Request::Ack(ack(method, authorization, body)?),
        "release" => Request::Release(ack(method, authorization, body)?),
        "callback" => Request::Callback(ack(method, authorization, body)?),
        _ => match action.strip_prefix("streams/") {
            Some(stream) if !stream.is_empty() => {
                allow(method, Method::Delete)?;
                Request::RemoveStream(text(stream)?)
            }
            Some(_) | None => return Err(unknown()),
        },
    };
    let id = Arc::from(id);
    Ok(Asked::Subscription { id, request })
}

#[derive(Deserialize)]
struct PutBody {
    r#type: Kind,
    pattern: Option<Box<str>>,
    streams: Option<Vec<Box<str>>>,
    webhook: Option<WebhookBody>,
    wake_stream: Option<Box<str>>,
    lease_ttl_ms: Option<u64>,
    description: Option<Box<str>>,
}

#[derive(Deserialize)]
enum Kind {
    #[serde(rename = "webhook")]
    Webhook,
    #[serde(rename = "pull-wake")]
    PullWake,
}

#[derive(Deserialize)]
struct WebhookBody {
    url: Box<str>,
}

#[derive(Deserialize)]
struct StreamsBody {
    streams: Vec<Box<str>>,
}

#[derive(Deserialize)]
struct ClaimBody {
    worker: Box<str>,
}

#[derive(Deserialize)]
struct HolderBody {
    wake_id: Box<str>,
    generation: u64,
    acks: Option<Vec<AckBody>>,
    done: Option<bool>,
}

#[derive(Deserialize)]
struct AckBody {
    stream: Box<str>,
    offset: Box<str>,
}

fn put(body: &[u8], context: &Context<'_>) -> Result<Put, Reject> {
    let body: PutBody = json(body)?;
    let target = match body.r#type {
        Kind::Webhook => {
            let webhook = body.webhook.ok_or_else(|| missing("webhook.url"))?;
            let checked = WebhookUrl::parse(&webhook.url, context.development);
            checked.map_err(|why| Reject::new(Code::WebhookUrlRejected, why.to_string()))?;
            Target::Webhook {
                url: webhook.url,
                base: context.base.into(),
            }
        }
        Kind::PullWake => Target::PullWake {
            wake_stream: body.wake_stream.ok_or_else(|| missing("wake_stream"))?,
        },
    };
    let plain = Put::default();
    Ok(Put {
        target,
        pattern: body.pattern.filter(|pattern| !pattern.is_empty()),
        streams: body.streams.unwrap_or_default(),
        lease_ms: body.lease_ttl_ms.unwrap_or(plain.lease_ms),
        description: body.description,
    })
}

fn ack(method: Method, authorization: Option<&str>, body: &[u8]) -> Result<Ack, Reject> {
    allow(method, Method::Post)?;
    let token = bearer(authorization)?;
    let body: HolderBody = json(body)?;
    let position = |ack: AckBody| {
        let offset = ack.offset.parse::<Offset>().map_err(|why| {
            Reject::new(
                Code::InvalidOffset,
                format!("offset of `{}`: {why}", ack.stream),
            )
        })?;
        Ok((ack.stream, offset))
    };
    let acks = body.acks.unwrap_or_default().into_iter().map(position);
    Ok(Ack {
        token,
        wake_id: body.wake_id,
        generation: body.generation,
        acks: acks.collect::<Result<_, Reject>>()?,
        done: body.done.unwrap_or(false),
    })
}

fn bearer(authorization: Option<&str>) -> Result<Box<str>, Reject> {
    let token = authorization.and_then(|field| {
        let (scheme, token) = field.trim().split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(token.trim())
    });
    let token = token.filter(|token| !token.is_empty());
    let missing = || Reject::new(Code::Unauthorized, "the bearer token is missing");
    token.map(Into::into).ok_or_else(missing)
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Reject> {
    serde_json::from_slice(body).map_err(|why| {
        let code = if why.is_data() {
            Code::InvalidRequest
        } else {
            Code::InvalidJson
        };
        Reject::new(code, why.to_string())
    })
}

fn text(raw: &str) -> Result<Box<str>, Reject> {
    let bytes = decode(raw).ok_or_else(unknown)?;
    let text = std::str::from_utf8(&bytes);
    text.map(Into::into)
        .map_err(|_| Reject::new(Code::InvalidRequest, "the path is not UTF-8"))
}

fn allow(method: Method, allowed: Method) -> Result<(), Reject> {
    (method == allowed).then_some(()).ok_or_else(not_allowed)
}

fn missing(field: &str) -> Reject {
    Reject::new(
        Code::InvalidRequest,
        format!("{field} is required for this type"),
    )
}

fn unknown() -> Reject {
    Reject::new(Code::UnknownRoute, "no route has this path")
}

fn not_allowed() -> Reject {
    Reject::new(Code::MethodNotAllowed, "the path does not take this method")
}
