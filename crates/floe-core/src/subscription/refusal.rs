//! Why a subscription request was refused.

use floe_proto::{Code, Offset};

use super::pattern::PatternError;

/// Why a request was refused. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such subscription.
    #[error("there is no subscription of this id")]
    NotFound,
    /// The id is taken.
    #[error("the subscription exists with another configuration")]
    Exists,
    /// Give a pattern, streams, or both.
    #[error("at least one of pattern or streams is required")]
    NothingLinked,
    /// The pattern cannot be used.
    #[error("pattern: {0}")]
    Pattern(PatternError),
    /// Give a path without empty segments, outside of the reserved `__ds`.
    #[error("`{path}` is not a stream path")]
    Path {
        /// What was given.
        path: Box<str>,
    },
    /// Give a lease of 1 second to 10 minutes.
    #[error("lease_ttl_ms must be from 1000 to 600000, not {lease_ms}")]
    Lease {
        /// What was given.
        lease_ms: u64,
    },
    /// Shorten the field.
    #[error("{field} is longer than {bytes_max} bytes")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// Give the field.
    #[error("{field} is empty")]
    Empty {
        /// The field.
        field: &'static str,
    },
    /// The operation belongs to the other type of subscription.
    #[error("the subscription is of type {is}")]
    WrongType {
        /// The subscription's type.
        is: &'static str,
    },
    /// Another try succeeds once something is removed.
    #[error("the limit of {max} {what} is reached")]
    LimitReached {
        /// What is counted.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// Wait for the next wake event.
    #[error("{holder} holds the lease")]
    AlreadyClaimed {
        /// The worker that holds it.
        holder: Box<str>,
        /// The generation it was claimed for.
        generation: u64,
    },
    /// Wait for the next wake event.
    #[error("nothing is pending")]
    NoPendingWork,
    /// The token was never one of this subscription.
    #[error("the bearer token is missing or wrong")]
    Unauthorized,
    /// Stop: the work was or will be given to another.
    #[error("the wake is no longer the current one")]
    Fenced {
        /// The current generation.
        generation: u64,
    },
    /// Nothing has been written there.
    #[error("offset {offset} of `{stream}` lies beyond its tail {tail}")]
    BeyondTail {
        /// The stream.
        stream: Box<str>,
        /// What was acknowledged.
        offset: Offset,
        /// The stream's tail.
        tail: Offset,
    },
}

impl Refusal {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NotFound => Code::NotFound,
            Self::Exists => Code::Exists,
            Self::NothingLinked
            | Self::Pattern(_)
            | Self::Path { .. }
            | Self::Lease { .. }
            | Self::TooLong { .. }
            | Self::Empty { .. }
            | Self::WrongType { .. } => Code::InvalidRequest,
            Self::LimitReached { .. } => Code::LimitReached,
            Self::AlreadyClaimed { .. } => Code::AlreadyClaimed,
            Self::NoPendingWork => Code::NoPendingWork,
            Self::Unauthorized => Code::Unauthorized,
            Self::Fenced { .. } => Code::Fenced,
            Self::BeyondTail { .. } => Code::InvalidOffset,
        }
    }
}
