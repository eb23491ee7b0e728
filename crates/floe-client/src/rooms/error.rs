//! Why a call to a room failed.

use std::fmt;

use serde::Deserialize;

use crate::error::{Refusal, Unreachable};
use crate::transport::Failure;

/// Why a call to a room with tables failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// The server refused, and nothing has changed; its advice says whether to try again.
    #[error(transparent)]
    Refused(Box<CallRefusal>),
    /// All tries failed. Of a change nobody knows whether it was made.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The server answered something else than was asked for.
    #[error("the server's answer is not understood")]
    Answer(#[source] serde_json::Error),
}

/// What a server said when it refused a call, and what that is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRefusal {
    /// What it said.
    pub refusal: Refusal,
    /// The table.
    pub table: Option<String>,
    /// The column.
    pub column: Option<String>,
    /// The place of the row among those that were handed in, from 0.
    pub row: Option<usize>,
}

#[derive(Deserialize, Default)]
struct Place {
    table: Option<String>,
    column: Option<String>,
    row: Option<usize>,
}

impl CallRefusal {
    fn new(refusal: Refusal, body: &[u8]) -> Self {
        // Who is not Floe may answer anything.
        let Place { table, column, row } = serde_json::from_slice(body).unwrap_or_default();
        Self {
            refusal,
            table,
            column,
            row,
        }
    }
}

impl fmt::Display for CallRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)
    }
}

impl std::error::Error for CallRefusal {}

impl From<Failure> for RoomError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused { refusal, body, .. } => {
                Self::Refused(Box::new(CallRefusal::new(refusal, &body)))
            }
            Failure::Unreachable(unreachable) => Self::Unreachable(unreachable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_it_is_about() {
        let body = br#"{"type":"mutation_error","action":"batchInsert","code":"CONSTRAINT","error":"`id` is taken","table":"t","column":"id","row":7}"#;
        let refusal = CallRefusal::new(Refusal::new(409, body), body);
        assert_eq!(
            refusal.to_string(),
            "the server answered 409 CONSTRAINT (`id` is taken)"
        );
        assert_eq!(
            (
                refusal.table.as_deref(),
                refusal.column.as_deref(),
                refusal.row
            ),
            (Some("t"), Some("id"), Some(7))
        );
        let gateway = CallRefusal::new(Refusal::new(502, b"<html>"), b"<html>");
        assert_eq!(gateway.row, None);
    }
}
