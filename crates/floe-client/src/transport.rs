//! Requests over pooled connections, tried again where that is safe.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use floe_proto::Retry;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;

use crate::error::{Refusal, Unreachable};
use crate::retry::{RetryPolicy, Tries};
use crate::tls;

/// A pool of connections and the policy for using them.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    policy: RetryPolicy,
    /// What is shown with every request.
    authorization: Option<HeaderValue>,
}

/// A request that can be sent more than once.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

/// A whole answer that is not a refusal.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// No answer, or a refusal.
#[derive(Debug)]
pub(crate) enum Failure {
    Refused {
        refusal: Refusal,
        headers: Box<HeaderMap>,
        body: Bytes,
    },
    Unreachable(Unreachable),
}

impl Ask {
    pub(crate) fn new(method: Method, url: &str) -> Self {
        Self {
            method,
            url: url.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut builder = Request::builder()
            .method(self.method.clone())
            .uri(&self.url);
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        builder.body(Full::new(self.body.clone()))
    }
}

/// Lets a connector speak TLS where the URL says so.
fn with_tls(connector: HttpConnector) -> HttpsConnector<HttpConnector> {
    HttpsConnectorBuilder::new()
        .with_tls_config(ClientConfig::clone(tls::config()))
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector)
}

impl Transport {
    pub(crate) fn new(policy: RetryPolicy) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.enforce_http(false);
        Self {
            http: Client::builder(TokioExecutor::new()).build(with_tls(connector)),
            policy,
            authorization: None,
        }
    }

    /// Shows an API key or token with every request; `None` where it cannot stand in a header.
    pub(crate) fn with_bearer(mut self, bearer: &str) -> Option<Self> {
        let mut value = HeaderValue::try_from(format!("Bearer {bearer}")).ok()?;
        value.set_sensitive(true);
        self.authorization = Some(value);
        Some(self)
    }

    pub(crate) fn with_policy(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    pub(crate) const fn answer_timeout(&self) -> Duration {
        self.policy.answer_timeout
    }

    pub(crate) fn tries(&self) -> Tries {
        Tries::new(self.policy)
    }

    /// Sends `ask` once and waits for the whole answer.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, Failure> {
        self.send_within(ask, self.policy.answer_timeout).await
    }

    /// Sends `ask` until it is answered, refused for good or out of tries.
    pub(crate) async fn send_again(&self, ask: &Ask) -> Result<Answer, Failure> {
        let mut tries = self.tries();
        loop {
            match self.send(ask).await {
                Err(failure) => wait(&mut tries, failure).await?,
                answer => return answer,
            }
        }
    }

    /// Sends `ask` once, waits up to `timeout` for its head and then for the body.
    pub(crate) async fn send_within(
        &self,
        ask: &Ask,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let response = self.open(ask, timeout).await?;
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect())
            .await
            .map_err(unreachable)?
            .map_err(Unreachable)
            .map_err(Failure::Unreachable)?;
        Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    /// Sends `ask` once and returns as soon as the head of the answer is there.
    pub(crate) async fn open(
        &self,
        ask: &Ask,
        timeout: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = ask.request().map_err(unreachable)?;
        if let Some(authorization) = &self.authorization {
            let fields = request.headers_mut();
            fields.insert(http::header::AUTHORIZATION, authorization.clone());
        }
        let response = tokio::time::timeout(timeout, self.http.request(request))
            .await
            .map_err(unreachable)?
            .map_err(unreachable)?;
        if response.status().is_success() || response.status().as_u16() == 304 {
            return Ok(response);
        }
        Err(refused(response).await)
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    pub(crate) fn is_closed(&self) -> bool {
        is_true(&self.headers, "stream-closed")
    }
}

impl Failure {
    /// Returns whether another try can help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused { refusal, .. } => refusal.retry != Retry::Never,
            Self::Unreachable(_) => true,
        }
    }
}

/// Waits before the next try, or returns the failure if there is none.
pub(crate) async fn wait(tries: &mut Tries, failure: Failure) -> Result<(), Failure> {
    if !failure.may_pass() {
        return Err(failure);
    }
    match tries.delay_after_failure(fastrand::f64()) {
        Some(delay) => {
            tokio::time::sleep(delay).await;
            Ok(())
        }
        None => Err(failure),
    }
}

pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(crate) fn is_true(headers: &HeaderMap, name: &str) -> bool {
    header(headers, name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

pub(crate) fn unreachable(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::Unreachable(Unreachable(Box::new(error)))
}

async fn refused(response: Response<Incoming>) -> Failure {
    let status = response.status().as_u16();
    let (head, body) = response.into_parts();
    let body = Limited::new(body, REFUSAL_BYTES_MAX).collect();
    let body = match tokio::time::timeout(BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        // The status alone says enough.
        Ok(Err(_)) | Err(_) => Bytes::new(),
    };
    Failure::Refused {
        refusal: Refusal::new(status, &body),
        headers: Box::new(head.headers),
        body,
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for one chunk of a catch-up read to arrive.
pub(crate) const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// Larger answers are refused: no server of ours sends chunks like that.
const BODY_BYTES_MAX: usize = 256 << 20;
const REFUSAL_BYTES_MAX: usize = 64 << 10;
