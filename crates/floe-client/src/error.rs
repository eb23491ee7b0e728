//! Why an operation failed, by what the caller can do next.

use std::error::Error;
use std::fmt;

use floe_proto::{Code, Retry};

use crate::Offset;

/// What a server said when it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The server's stable word for it, such as `BODY_TOO_LARGE`; `HTTP_<status>` if it sent none.
    pub code: String,
    /// What the server said to people.
    pub message: String,
    /// Whether the same request can succeed later.
    pub retry: Retry,
}

impl Refusal {
    /// Makes sense of a refusal's status and body, whatever the server put there.
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        let (code, message) = parse_body(body);
        let known = code
            .as_deref()
            .and_then(|word| Code::ALL.into_iter().find(|code| code.as_str() == word));
        let by_status = match status {
            408 => Retry::Reconnect,
            429 | 500.. => Retry::Later,
            _ => Retry::Never,
        };
        Self {
            status,
            retry: known.map_or(by_status, Code::retry),
            code: code.unwrap_or_else(|| format!("HTTP_{status}")),
            message,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answered {} {}", self.status, self.code)?;
        match self.message.is_empty() {
            true => Ok(()),
            false => write!(f, " ({})", self.message),
        }
    }
}

impl Error for Refusal {}

/// The server could not be reached, or the connection broke before the answer was complete.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the server")]
pub struct Unreachable(#[source] pub(crate) Box<dyn Error + Send + Sync>);

/// Why a stream was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The name is taken by a stream of another configuration: choose another, or use it as it is.
    #[error("the stream exists with another configuration")]
    Exists(#[source] Refusal),
    /// The server refused; its advice says whether to try again.
    #[error(transparent)]
    Refused(Refusal),
    /// The stream may have been created; creating it again is harmless.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// There is no such stream: create it.
    #[error("the stream does not exist")]
    Missing,
    /// The stream takes no more data.
    #[error("the stream is closed")]
    Closed {
        /// Its final offset, if the server said it.
        next_offset: Option<Offset>,
    },
    /// The server refused; its advice says whether to try again.
    #[error(transparent)]
    Refused(Refusal),
    /// Nobody knows whether the data was written: a producer would find out.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why a producer's append failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// There is no such stream: create it.
    #[error("the stream does not exist")]
    Missing,
    /// The stream takes no more data.
    #[error("the stream is closed")]
    Closed {
        /// Its final offset, if the server said it.
        next_offset: Option<Offset>,
    },
    /// Another producer with this name has taken over: stop, or begin anew with a higher epoch.
    #[error("fenced by epoch {epoch} of this producer")]
    Fenced {
        /// The epoch that is now valid.
        epoch: u64,
    },
    /// The server does not know appends that it acknowledged: begin anew with a higher epoch.
    #[error("the server expects sequence {expected}, not {sequence}")]
    Gap {
        /// What the server expects.
        expected: u64,
        /// What was sent.
        sequence: u64,
    },
    /// The server refused; the data was not written and its number is free again.
    #[error(transparent)]
    Refused(Refusal),
    /// All tries failed; the next call sends the same data first.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// There is no such stream, or no longer.
    #[error("the stream does not exist")]
    Missing,
    /// What lies at the offset is no longer kept, or the stream was deleted: start anew.
    #[error("the offset is no longer kept")]
    Gone(#[source] Refusal),
    /// The server refused; its advice says whether to try again.
    #[error(transparent)]
    Refused(Refusal),
    /// All tries failed; the reader is where it was.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why a stream's state is not known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// There is no such stream.
    #[error("the stream does not exist")]
    Missing,
    /// The server refused; its advice says whether to try again.
    #[error(transparent)]
    Refused(Refusal),
    /// All tries failed.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

/// Why a stream was not deleted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeleteError {
    /// There is no such stream, perhaps because an earlier try deleted it.
    #[error("the stream does not exist")]
    Missing,
    /// The server refused; its advice says whether to try again.
    #[error(transparent)]
    Refused(Refusal),
    /// The stream may have been deleted.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
}

fn parse_body(body: &[u8]) -> (Option<String>, String) {
    let field = |value: &serde_json::Value, name: &str| {
        let text = value.get(name).and_then(serde_json::Value::as_str);
        text.map(str::to_owned)
    };
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => (
            field(&value, "code"),
            // Mutations and queries of rooms with tables say it as `error`.
            field(&value, "message")
                .or_else(|| field(&value, "error"))
                .unwrap_or_default(),
        ),
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            (None, text.chars().take(MESSAGE_CHARS_MAX).collect())
        }
    }
}

const MESSAGE_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_code_brings_its_own_advice() {
        let refusal = Refusal::new(507, br#"{"code":"DISK_FULL","message":"no space"}"#);
        assert_eq!(
            (refusal.code.as_str(), refusal.retry),
            ("DISK_FULL", Retry::Later)
        );
        assert_eq!(
            refusal.to_string(),
            "the server answered 507 DISK_FULL (no space)"
        );
        let refusal = Refusal::new(500, br#"{"code":"CORRUPT","message":"x"}"#);
        assert_eq!(refusal.retry, Retry::Never);
    }

    #[test]
    fn the_status_advises_where_the_code_is_unknown_or_missing() {
        for (status, body, code, retry) in [
            (503, &b"busy"[..], "HTTP_503", Retry::Later),
            (400, b"", "HTTP_400", Retry::Never),
            (408, b"{}", "HTTP_408", Retry::Reconnect),
            (429, br#"{"code":"NEWER"}"#, "NEWER", Retry::Later),
        ] {
            let refusal = Refusal::new(status, body);
            assert_eq!((refusal.code.as_str(), refusal.retry), (code, retry));
        }
    }
}
