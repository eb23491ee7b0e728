//! Answers, in words of the model's own.

use floe_core::AppendError;
use floe_server::shard::Reply;

use super::Op;

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The stream is there.
    Created {
        /// Whether the request made it.
        new: bool,
        /// Its tail.
        tail: u64,
        /// Whether it is closed.
        closed: bool,
        /// Its content type.
        content_type: String,
    },
    /// The data is there.
    Appended {
        /// The tail.
        tail: u64,
        /// Whether the stream is closed.
        closed: bool,
        /// Epoch and highest sequence of the producer.
        producer: Option<(u64, u64)>,
        /// Whether data was added.
        new_data: bool,
    },
    /// The stream is deleted.
    Deleted,
    /// The request was refused with a code, and perhaps numbers that explain it.
    Refused(&'static str, Vec<u64>),
}

/// What a request should be told, and what it should change.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The answer.
    pub answer: Answer,
    /// The change, if there is one.
    pub op: Option<Op>,
}

impl Expected {
    /// A refusal, which changes nothing.
    pub fn refused(code: &'static str) -> Self {
        Self::answer(Answer::Refused(code, Vec::new()))
    }

    /// An answer to a request that changes nothing.
    pub fn answer(answer: Answer) -> Self {
        Self { answer, op: None }
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Created {
                new,
                edge,
                content_type,
            } => Self::Created {
                new,
                tail: edge.tail,
                closed: edge.closed,
                content_type: content_type.as_str().to_owned(),
            },
            Reply::Appended {
                edge,
                producer,
                new_data,
            } => Self::Appended {
                tail: edge.tail,
                closed: edge.closed,
                producer,
                new_data,
            },
            Reply::Refused(refused) => Self::Refused(refused.code().as_str(), numbers(refused)),
            Reply::Deleted => Self::Deleted,
            Reply::Failed(failure) => Self::Refused(failure.code.as_str(), Vec::new()),
            Reply::Channel(_)
            | Reply::Events(_)
            | Reply::Access(_)
            | Reply::Marked(_)
            | Reply::Reads(_)
            | Reply::Acted(_)
            | Reply::Told => {
                unreachable!("the simulation asks about streams alone")
            }
        }
    }
}

fn numbers(refused: AppendError) -> Vec<u64> {
    match refused {
        AppendError::Closed { tail } => vec![tail],
        AppendError::ProducerFenced { epoch } => vec![epoch],
        AppendError::ProducerGap { expected, received } => vec![expected, received],
        AppendError::Gone
        | AppendError::ContentType
        | AppendError::SequenceRegression
        | AppendError::ProducerEpochStart
        | AppendError::Full
        | AppendError::Channel => Vec::new(),
    }
}

impl Answer {
    /// Returns whether a server may give this answer to any request when space is short.
    pub fn is_want_of_space(&self) -> bool {
        matches!(self, Self::Refused("DISK_FULL" | "OVERLOADED", _))
    }

    /// Returns whether the server says that it failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Refused("INTERNAL" | "CORRUPT", _))
    }
}
