//! What tables look like.

use std::borrow::Cow;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::{TableError, Value};
use crate::Code;

/// Bytes of the name of a table or column.
pub const NAME_BYTES_MAX: usize = 64;

/// A table, as it was asked for and as the log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Table {
    /// Its name; see [`check_name`].
    pub name: Box<str>,
    /// Its columns, at least one.
    pub columns: Vec<Column>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// Its name; see [`check_name`].
    pub name: Box<str>,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Whether it is the primary key, or a part of it. One that is `INTEGER` and the whole key is
    /// given the next number where an insert leaves it out.
    #[serde(default)]
    pub primary_key: bool,
    /// Whether it must have a value.
    #[serde(default)]
    pub not_null: bool,
    /// Whether no two rows may have the same value.
    #[serde(default)]
    pub unique: bool,
    /// What an insert that leaves it out gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// What a column holds; SQLite refuses all else (its `STRICT` tables). In JSON it is its word, in upper
/// or lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ColumnType {
    /// Whole numbers of 64 bits; also `INT`.
    Integer,
    /// Numbers.
    Real,
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// 0 or 1; also `BOOL`.
    Boolean,
    /// Text that is JSON.
    Json,
    /// Any value.
    Any,
}

impl ColumnType {
    const WORDS: [(&str, Self); 9] = [
        ("INTEGER", Self::Integer),
        ("REAL", Self::Real),
        ("TEXT", Self::Text),
        ("BLOB", Self::Blob),
        ("BOOLEAN", Self::Boolean),
        ("JSON", Self::Json),
        ("ANY", Self::Any),
        ("INT", Self::Integer),
        ("BOOL", Self::Boolean),
    ];
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Cow::<'de, str>::deserialize(deserializer)?;
        let mut words = Self::WORDS.iter();
        let found = words.find(|(known, _)| known.eq_ignore_ascii_case(&word));
        found.map(|(_, kind)| *kind).ok_or_else(|| {
            D::Error::custom("a type is INTEGER, REAL, TEXT, BLOB, BOOLEAN, JSON or ANY")
        })
    }
}

/// Checks the name of a table or column: 1 to [`NAME_BYTES_MAX`] ASCII letters, digits and `_`, first a
/// letter. What begins with `_`, or with `sqlite`, is the database's own.
///
/// # Errors
/// Says what is wrong with which name ([`Code::InvalidRequest`]).
pub fn check_name(name: &str) -> Result<(), TableError> {
    let is_word = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let begins = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic());
    let is_own = name
        .get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("sqlite"));
    if begins && is_word && !is_own && name.len() <= NAME_BYTES_MAX {
        return Ok(());
    }
    let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
    Err(TableError::new(
        Code::InvalidRequest,
        format!(
            "`{shown}` is no name: 1 to {NAME_BYTES_MAX} letters, digits and `_`, first a letter, and \
             not `sqlite…`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["tasks", "T1", "a_b"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "",
            "_hidden",
            "1st",
            "a b",
            "a\"b",
            "sqlite_master",
            "SQLITE1",
            "é",
            &long,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_table_is_written_as_it_was_read() {
        let json = r#"{"name":"t","columns":[{"name":"id","type":"INTEGER","primaryKey":true,"notNull":false,"unique":false},{"name":"n","type":"ANY","primaryKey":false,"notNull":true,"unique":true,"default":1.5}]}"#;
        let table: Table = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&table).unwrap(), json);
        let short: Table =
            serde_json::from_str(r#"{"name":"t","columns":[{"name":"n","type":"text"}]}"#).unwrap();
        assert_eq!(short.columns[0].kind, ColumnType::Text);
        for (word, kind) in ColumnType::WORDS {
            let json = format!("{{\"name\":\"n\",\"type\":\"{word}\"}}");
            let column: Column = serde_json::from_str(&json).unwrap();
            assert_eq!(column.kind, kind);
        }
        assert!(serde_json::from_str::<Table>(r#"{"name":"t","columns":[],"x":1}"#).is_err());
    }
}
