//! What a room answers.

use floe_proto::table::Row;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The rows of a query.
#[derive(Debug, Clone, Deserialize)]
pub struct Found {
    /// The rows as the server wrote them: an array of objects.
    pub data: Box<RawValue>,
    /// Their columns, in the order of the query.
    #[serde(default)]
    pub columns: Vec<ColumnInfo>,
    /// Whether there are more, which a limit of the server kept back.
    #[serde(default)]
    pub truncated: bool,
    /// Place of the newest message of the room's log that the rows show.
    #[serde(default)]
    pub seq: u64,
}

/// A column of a query.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ColumnInfo {
    /// Its name.
    pub name: String,
    /// What its table declares, if it is a column of one.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
}

impl Found {
    /// Reads the rows.
    ///
    /// # Errors
    /// When the data are no rows.
    pub fn rows(&self) -> Result<Vec<Row>, super::RoomError> {
        serde_json::from_str(self.data.get()).map_err(super::RoomError::Answer)
    }
}

/// A column as `/schema` tells of it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct SchemaColumn {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it must have a value.
    #[serde(deserialize_with = "flag")]
    pub notnull: bool,
    /// Its place in the primary key, from 1; 0 where it is no part of it.
    pub pk: u32,
}

fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Is(bool),
        Number(i64),
    }
    Ok(match Flag::deserialize(deserializer)? {
        Flag::Is(is) => is,
        Flag::Number(number) => number != 0,
    })
}

/// What became of a change.
#[derive(Debug, Clone)]
pub enum Changed {
    /// The server said so.
    Answered {
        /// What it said.
        data: Box<RawValue>,
    },
    /// The answer was lost, but the change is in the room's log.
    Settled {
        /// Rows and tables that it changed.
        messages: u64,
    },
}

/// What became of rows that were inserted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inserted {
    /// How many are there.
    pub rows: u64,
    /// Those that are not.
    pub failed: Vec<Failed>,
    /// How many more are not; which ones was in an answer that was lost.
    pub unknown: u64,
}

/// A row that was not inserted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failed {
    /// The stable code.
    pub code: String,
    /// What is wrong.
    pub error: String,
    /// The column.
    pub column: Option<String>,
    /// The place of the row among those that were handed in, from 0.
    pub row: Option<usize>,
}
