//! One request and its answer.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use floe_core::subscription::Outcome;
use floe_surfaces::subscriptions::{UrlError, WebhookUrl};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use super::connect::{ConnectError, Connector};
use super::key::SigningKey;
use super::sender::{Delivery, Limits};

/// Sends a delivery and reads what it comes to. The caller bounds the time.
///
/// A redirect is an answer like any other that is no success: it is not followed.
pub(super) async fn exchange(
    connector: &Connector,
    key: &SigningKey,
    limits: &Limits,
    delivery: &Delivery,
) -> Result<Outcome, ExchangeError> {
    let url = WebhookUrl::parse(&delivery.url, limits.development)?;
    let request = request(&url, key, delivery)?;
    let connection = TokioIo::new(connector.connect(&url).await?);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_BYTES_MAX);
    let (mut sender, connection) = builder.handshake::<_, Full<Bytes>>(connection).await?;
    // Dropped with this future, so that nothing of a connection outlives its answer or its time.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let response = sender.send_request(request).await?;
    read_answer(response, limits.answer_bytes_max).await
}

fn request(
    url: &WebhookUrl,
    key: &SigningKey,
    delivery: &Delivery,
) -> Result<Request<Full<Bytes>>, ExchangeError> {
    let unix_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs());
    let request = Request::post(&*url.target)
        .header(header::HOST, &*url.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header(
            header::USER_AGENT,
            concat!("floe/", env!("CARGO_PKG_VERSION")),
        )
        .header(header::CONNECTION, "close")
        .header("webhook-signature", key.signature(unix_s, &delivery.body))
        .body(Full::new(Bytes::from(delivery.body.clone())));
    request.map_err(|_| ExchangeError::Url(UrlError::Malformed))
}

async fn read_answer(
    response: Response<Incoming>,
    bytes_max: usize,
) -> Result<Outcome, ExchangeError> {
    let status = response.status();
    if !status.is_success() {
        return Err(ExchangeError::Status(status.as_u16()));
    }
    // Success is said; a body that is too long or breaks off only says nothing more.
    let Ok(body) = Limited::new(response.into_body(), bytes_max)
        .collect()
        .await
    else {
        return Ok(Outcome::Accepted);
    };
    let body: Option<serde_json::Value> = serde_json::from_slice(&body.to_bytes()).ok();
    let done = body.and_then(|body| body.get("done")?.as_bool());
    Ok(match done {
        Some(true) => Outcome::Done,
        Some(false) | None => Outcome::Accepted,
    })
}

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 << 10;

/// Why a delivery failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("no answer: {0}")]
    Http(#[from] hyper::Error),
    #[error("status {0}")]
    Status(u16),
}
