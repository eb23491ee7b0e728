//! Values between SQLite and the wire.

use floe_proto::table::{Row, Value};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

/// A value as a parameter of a statement.
#[derive(Debug, Clone, Copy)]
pub struct Bound<'v>(pub &'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Integer(whole) => ValueRef::Integer(*whole),
            Value::Real(real) => ValueRef::Real(*real),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Takes a value out of SQLite; what is no UTF-8 in a text is replaced.
pub fn value_of(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(whole) => Value::Integer(whole),
        ValueRef::Real(real) => Value::Real(real),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.into()),
    }
}

/// Returns how many bytes a value takes.
pub fn bytes_of(value: &Value) -> usize {
    match value {
        Value::Null => 0,
        Value::Integer(_) | Value::Real(_) => 8,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

/// Returns a key as text: the value itself where it is one number or text, else JSON.
///
/// No two keys of one table have the same text, because a column of a key has one type.
pub fn key_text(key: &[&Value]) -> Box<str> {
    match key {
        [Value::Integer(whole)] => whole.to_string().into(),
        [Value::Text(text)] => text.clone(),
        [one] => json(one),
        several => json(several),
    }
}

/// Returns a row as the JSON of a message.
pub fn row_json(row: &Row) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(row).unwrap_or_default()
}

fn json(value: impl serde::Serialize) -> Box<str> {
    // Values have no maps with keys that are no text, which is all that could fail.
    serde_json::to_string(&value).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_one_text_each() {
        let text = |text: &str| Value::Text(text.into());
        assert_eq!(&*key_text(&[&Value::Integer(-7)]), "-7");
        assert_eq!(&*key_text(&[&text("a\"b")]), "a\"b");
        assert_eq!(&*key_text(&[&Value::Real(1.0)]), "1.0");
        assert_eq!(&*key_text(&[&Value::Integer(1), &text("1")]), r#"[1,"1"]"#);
        let bytes = Value::Blob([0, 255].into());
        assert_eq!(&*key_text(&[&bytes]), r#"{"$base64":"AP8="}"#);
    }
}
