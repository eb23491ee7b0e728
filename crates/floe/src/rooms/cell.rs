//! Values as the text of a cell, and back.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_client::rooms::{ColumnType, Value};

/// Returns a value as text; `null` is what stands for none.
///
/// A number that is not whole keeps its point, so that it is one again when it is read. Bytes are base64.
pub fn text_of<'v>(value: &'v Value, null: &'v str) -> Cow<'v, str> {
    match value {
        Value::Null => null.into(),
        Value::Integer(whole) => whole.to_string().into(),
        Value::Real(real) => format!("{real:?}").into(),
        Value::Text(text) => (&**text).into(),
        Value::Blob(bytes) => STANDARD.encode(bytes).into(),
    }
}

/// Reads a cell that is to stand in a column.
///
/// # Errors
/// Says what the cell is not.
pub fn value_of(text: &str, kind: ColumnType) -> Result<Value, &'static str> {
    let value = match kind {
        ColumnType::Integer => whole(text).ok_or("a whole number of 64 bits")?,
        ColumnType::Real => number(text).ok_or("a number")?,
        ColumnType::Boolean => boolean(text)
            .or_else(|| whole(text).filter(|value| matches!(value, Value::Integer(0 | 1))))
            .ok_or("true, false, 1 or 0")?,
        ColumnType::Text | ColumnType::Json => Value::Text(text.into()),
        ColumnType::Blob => STANDARD
            .decode(text)
            .map(|bytes| Value::Blob(bytes.into()))
            .map_err(|_| "base64")?,
        ColumnType::Any => whole(text)
            .or_else(|| number(text))
            .unwrap_or_else(|| Value::Text(text.into())),
    };
    Ok(value)
}

/// Reads a whole number that is written as a computer writes one: `007` and `+1` are something else.
pub fn whole(text: &str) -> Option<Value> {
    let whole: i64 = text.parse().ok()?;
    (whole.to_string() == text).then_some(Value::Integer(whole))
}

/// Reads a number that JSON has, too: `1.50` is one, `.5`, `inf` and `0x1` are not.
pub fn number(text: &str) -> Option<Value> {
    let number: serde_json::Number = serde_json::from_str(text).ok()?;
    let real = number.as_f64().filter(|real| real.is_finite())?;
    (text.trim() == text).then_some(Value::Real(real))
}

/// Reads `true` or `false`.
pub fn boolean(text: &str) -> Option<Value> {
    match text {
        "true" | "TRUE" | "True" => Some(Value::Integer(1)),
        "false" | "FALSE" | "False" => Some(Value::Integer(0)),
        _ => None,
    }
}

/// Returns the type that a schema names.
pub fn kind_of(name: &str) -> ColumnType {
    let word = serde_json::Value::String(name.to_ascii_uppercase());
    // A type of a later version takes what looks like it.
    serde_json::from_value(word).unwrap_or(ColumnType::Any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_written() {
        for (value, kind) in [
            (Value::Integer(i64::MIN), ColumnType::Integer),
            (Value::Integer(-1), ColumnType::Any),
            (Value::Real(2.0), ColumnType::Any),
            (Value::Real(1e300), ColumnType::Real),
            (Value::Integer(1), ColumnType::Boolean),
            (Value::Text("007".into()), ColumnType::Any),
            (Value::Text("a\nb,\"".into()), ColumnType::Text),
            (Value::Blob([0, 255].into()), ColumnType::Blob),
        ] {
            let text = text_of(&value, "");
            assert_eq!(value_of(&text, kind), Ok(value.clone()), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, kind) in [
            ("1.5", ColumnType::Integer),
            ("9223372036854775808", ColumnType::Integer),
            ("", ColumnType::Real),
            ("inf", ColumnType::Real),
            (" 1.5", ColumnType::Real),
            ("2", ColumnType::Boolean),
            ("?", ColumnType::Blob),
        ] {
            assert!(value_of(text, kind).is_err(), "{text}");
        }
        assert_eq!(kind_of("text"), ColumnType::Text);
        assert_eq!(kind_of("GEOMETRY"), ColumnType::Any);
    }
}
