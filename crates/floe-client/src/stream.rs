//! One stream of a server.

use std::time::Duration;

use bytes::Bytes;
use http::Method;

use crate::error::{AppendError, CreateError, DeleteError, HeadError};
use crate::follow::{Follow, Follower};
use crate::offset::Offset;
use crate::producer::Producer;
use crate::read::Reader;
use crate::transport::{Answer, Ask, Failure, Transport, header, is_true};

/// A handle for one stream; it costs nothing until it is used.
#[derive(Debug, Clone)]
pub struct Stream {
    transport: Transport,
    url: String,
    content_type: String,
}

/// How a stream is created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateOptions {
    /// First content; for JSON one value, or an array of values. Default: none.
    pub body: Bytes,
    /// The stream is deleted when nobody has read or written it for this long, in whole seconds.
    /// Default: never.
    pub time_to_live: Option<Duration>,
    /// The stream is deleted at this moment (RFC 3339). Default: never.
    pub expires_at: Option<String>,
    /// The stream is closed from the start: `body` is all that it will ever hold.
    pub closed: bool,
}

/// A stream that is there now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Whether this call made it; otherwise it was there with the same configuration.
    pub is_new: bool,
    /// Its tail.
    pub next_offset: Offset,
}

/// What a server says about a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// Content type of all of its data.
    pub content_type: String,
    /// Its tail.
    pub next_offset: Offset,
    /// Whether it takes no more data.
    pub is_closed: bool,
}

impl Stream {
    pub(crate) fn new(transport: Transport, url: String) -> Self {
        Self {
            transport,
            url,
            content_type: "application/octet-stream".to_owned(),
        }
    }

    /// Sets the content type that [`create`](Self::create) and appends name.
    ///
    /// Default `application/octet-stream`; it must be the one that the stream was created with.
    #[must_use]
    pub fn with_content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Replaces the retry policy of this handle.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: crate::RetryPolicy) -> Self {
        self.transport = self.transport.with_policy(policy);
        self
    }

    /// Shows an API key or token with every request; `None` where it cannot stand in a header.
    #[must_use]
    pub fn with_bearer(mut self, bearer: &str) -> Option<Self> {
        self.transport = self.transport.with_bearer(bearer)?;
        Some(self)
    }

    /// Returns the stream's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Creates the stream, unless it is there with the same configuration; durable on return.
    pub async fn create(&self, options: &CreateOptions) -> Result<Created, CreateError> {
        let mut ask = self
            .ask(Method::PUT)
            .header("content-type", &self.content_type);
        if let Some(time_to_live) = options.time_to_live {
            ask = ask.header("stream-ttl", time_to_live.as_secs());
        }
        if let Some(expires_at) = &options.expires_at {
            ask = ask.header("stream-expires-at", expires_at);
        }
        if options.closed {
            ask = ask.header("stream-closed", "true");
        }
        ask.body = options.body.clone();
        match self.transport.send_again(&ask).await {
            Ok(answer) => Ok(Created {
                is_new: answer.status == 201,
                next_offset: next_offset(&answer),
            }),
            Err(Failure::Refused { refusal, .. }) if refusal.status == 409 => {
                Err(CreateError::Exists(refusal))
            }
            Err(Failure::Refused { refusal, .. }) => Err(CreateError::Refused(refusal)),
            Err(Failure::Unreachable(unreachable)) => Err(unreachable.into()),
        }
    }

    /// Appends `body` and returns the offset behind it; durable on return.
    ///
    /// Sent once: after [`AppendError::Unreachable`], or when the future is dropped, nobody knows
    /// whether it was written. A [`producer`](Self::producer) has no such doubt.
    pub async fn append(&self, body: impl Into<Bytes>) -> Result<Offset, AppendError> {
        let answer = self.transport.send(&self.append_ask(body.into())).await;
        answer
            .map(|answer| next_offset(&answer))
            .map_err(append_error)
    }

    /// Closes the stream for good and returns its final offset; a second close changes nothing.
    pub async fn close(&self) -> Result<Offset, AppendError> {
        let ask = self.ask(Method::POST).header("stream-closed", "true");
        let answer = self.transport.send_again(&ask).await;
        answer
            .map(|answer| next_offset(&answer))
            .map_err(append_error)
    }

    /// Starts a producer whose appends are written once, however often they are sent.
    ///
    /// `id` names it on this stream; `epoch` is higher than that of every producer of this name
    /// that went before, which it fences.
    #[must_use]
    pub fn producer(&self, id: impl Into<String>, epoch: u64) -> Producer {
        Producer::new(self.clone(), id.into(), epoch)
    }

    /// Reads what is there, from `offset` to the tail.
    #[must_use]
    pub fn read(&self, offset: Offset) -> Reader {
        Reader::new(self.clone(), offset)
    }

    /// Reads what is there from `offset` on, and then what comes.
    #[must_use]
    pub fn follow(&self, offset: Offset, how: Follow) -> Follower {
        Follower::new(self.clone(), offset, how)
    }

    /// Asks for the stream's type, tail and state.
    pub async fn head(&self) -> Result<StreamInfo, HeadError> {
        match self.transport.send_again(&self.ask(Method::HEAD)).await {
            Ok(answer) => Ok(StreamInfo {
                content_type: answer.header("content-type").unwrap_or_default().to_owned(),
                next_offset: next_offset(&answer),
                is_closed: answer.is_closed(),
            }),
            Err(Failure::Refused { refusal, .. }) => match refusal.status {
                404 => Err(HeadError::Missing),
                _ => Err(HeadError::Refused(refusal)),
            },
            Err(Failure::Unreachable(unreachable)) => Err(unreachable.into()),
        }
    }

    /// Deletes the stream and its data.
    pub async fn delete(&self) -> Result<(), DeleteError> {
        match self.transport.send_again(&self.ask(Method::DELETE)).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused { refusal, .. }) => match refusal.status {
                404 => Err(DeleteError::Missing),
                _ => Err(DeleteError::Refused(refusal)),
            },
            Err(Failure::Unreachable(unreachable)) => Err(unreachable.into()),
        }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn append_ask(&self, body: Bytes) -> Ask {
        let mut ask = self.ask(Method::POST);
        // A close without data names no type: it must not be refused for it.
        if !body.is_empty() {
            ask = ask.header("content-type", &self.content_type);
        }
        ask.body = body;
        ask
    }

    /// A GET from `offset` with the rest of the query, such as `&live=sse`.
    pub(crate) fn read_ask(&self, offset: &Offset, rest: &str) -> Ask {
        Ask::new(Method::GET, &format!("{}?offset={offset}{rest}", self.url))
    }

    fn ask(&self, method: Method) -> Ask {
        Ask::new(method, &self.url)
    }
}

pub(crate) fn next_offset(answer: &Answer) -> Offset {
    answer
        .header("stream-next-offset")
        .map_or(Offset::NOW, Offset::from)
}

pub(crate) fn append_error(failure: Failure) -> AppendError {
    match failure {
        Failure::Refused {
            refusal, headers, ..
        } => match refusal.status {
            404 => AppendError::Missing,
            409 if is_true(&headers, "stream-closed") => AppendError::Closed {
                next_offset: header(&headers, "stream-next-offset").map(Offset::from),
            },
            _ => AppendError::Refused(refusal),
        },
        Failure::Unreachable(unreachable) => unreachable.into(),
    }
}
