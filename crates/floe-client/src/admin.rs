//! Administration of a server: namespaces, API keys, tokens.

use http::Method;
use serde_json::Value;

use crate::client::{UrlError, check};
use crate::error::{Refusal, Unreachable};
use crate::retry::RetryPolicy;
use crate::transport::{Ask, Failure, Transport};

/// Asks a server for acts of administration; each is sent once.
///
/// What a request and its answer hold stands in the server's `/v1/openapi.json`. The `Debug` form
/// does not show the credential.
#[derive(Clone)]
pub struct Admin {
    transport: Transport,
    /// URL of the server, without a slash at its end.
    root: String,
    key: Option<String>,
}

impl Admin {
    /// Makes a client for `http://host:port`, or `http://host:port/n/namespace`, that shows an API
    /// key or token, if it has one.
    ///
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// When this is no such URL.
    pub fn new(url: &str, key: Option<&str>) -> Result<Self, UrlError> {
        check(url)?;
        let policy = RetryPolicy {
            tries_max: 1,
            ..RetryPolicy::default()
        };
        Ok(Self {
            transport: Transport::new(policy),
            root: url.trim_end_matches('/').to_owned(),
            key: key.map(Into::into),
        })
    }

    /// Returns the answer to a GET of a path such as `/v1/keys`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn get(&self, path: &str) -> Result<Value, AdminError> {
        self.ask(Method::GET, path, None).await
    }

    /// Returns the answer to a POST with a body of JSON.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        self.ask(Method::POST, path, Some(body)).await
    }

    /// Deletes what is at a path.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn delete(&self, path: &str) -> Result<(), AdminError> {
        self.ask(Method::DELETE, path, None).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, AdminError> {
        let mut ask = Ask::new(method, &format!("{}{path}", self.root));
        if let Some(key) = &self.key {
            ask = ask.header("authorization", format!("Bearer {key}"));
        }
        if let Some(body) = body {
            ask = ask.header("content-type", "application/json");
            ask.body = body.to_string().into();
        }
        let answer = self.transport.send(&ask).await?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(AdminError::Answer)
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Why an act of administration failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The server refused.
    #[error(transparent)]
    Refused(Refusal),
    /// It may have been done: ask what there is.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The server answered something else than JSON.
    #[error("the server's answer is not JSON")]
    Answer(#[source] serde_json::Error),
}

impl From<Failure> for AdminError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { refusal, .. } => Self::Refused(refusal),
            Failure::Unreachable(unreachable) => Self::Unreachable(unreachable),
        }
    }
}
