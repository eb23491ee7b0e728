//! Messages in the log of a room with tables.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Millis;

/// The `type` of the messages that say what became of a table itself. Their key is the table's name,
/// their value a [`Table`](super::Table), with the member `steps` where it was altered.
pub const SCHEMA_TYPE: &str = "__schema__";

/// One change message of the Durable Streams State Protocol (1.0, section 4.1), as it stands in the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Change<'a> {
    /// The table, or [`SCHEMA_TYPE`].
    #[serde(rename = "type", borrow)]
    pub table: Cow<'a, str>,
    /// The row's key as text: the primary key's value, a JSON array of them where it has several, the
    /// row's number where the table has none.
    #[serde(borrow)]
    pub key: Cow<'a, str>,
    /// The row now, as a [`Row`](super::Row); none of a deletion.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a RawValue>,
    /// The row before, if it was there.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub old_value: Option<&'a RawValue>,
    /// What happened, when, and by whom.
    #[serde(borrow)]
    pub headers: Headers<'a>,
}

/// The headers of a [`Change`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Headers<'a> {
    /// What happened.
    pub operation: Operation,
    /// What the client calls the call, or the seq of its first message.
    #[serde(borrow)]
    pub txid: Cow<'a, str>,
    /// When the server took it.
    #[serde(with = "crate::time::rfc3339")]
    pub timestamp: Millis,
    /// Who did it, where that is known.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Cow<'a, str>>,
}

/// What happened to a row. The words are on the wire; none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// It is new.
    Insert,
    /// It has other values.
    Update,
    /// It is gone.
    Delete,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_written_as_it_was_read() {
        let json = r#"{"type":"tasks","key":"7","value":{"id":7},"old_value":{"id":6},"headers":{"operation":"update","txid":"a\"b","timestamp":"2026-01-02T03:04:05.678Z","user":"ann"}}"#;
        let change: Change<'_> = serde_json::from_str(json).unwrap();
        assert_eq!(change.headers.txid, "a\"b");
        assert_eq!(change.headers.operation, Operation::Update);
        assert_eq!(serde_json::to_string(&change).unwrap(), json);
        let gone = r#"{"type":"tasks","key":"7","headers":{"operation":"delete","txid":"1","timestamp":"2026-01-02T03:04:05.678Z"}}"#;
        let change: Change<'_> = serde_json::from_str(gone).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), gone);
    }
}
