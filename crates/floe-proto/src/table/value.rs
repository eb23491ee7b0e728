//! Values of rows, and their JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// One value of a row, as SQLite stores it.
///
/// In JSON a boolean is read as 0 or 1, an array or object as its text, and an object with the one
/// member `$base64` as bytes, which is also how bytes are written. A number that is not finite is
/// written as `null`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// Text.
    Text(Box<str>),
    /// Bytes.
    Blob(Box<[u8]>),
}

/// Values by the name of their column, in the order in which they were given or are declared.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(pub Vec<(Box<str>, Value)>);

/// The member that says that an object stands for bytes.
const BASE64: &str = "$base64";

impl Value {
    fn of_json(json: serde_json::Value) -> Result<Self, String> {
        Ok(match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(is) => Self::Integer(is.into()),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(whole) => Self::Integer(whole),
                None => Self::Real(number.as_f64().ok_or("a number is too large")?),
            },
            serde_json::Value::String(text) => Self::Text(text.into()),
            serde_json::Value::Object(members)
                if members.len() == 1 && members.contains_key(BASE64) =>
            {
                let text = members.get(BASE64).and_then(serde_json::Value::as_str);
                let bytes = text.and_then(|text| STANDARD.decode(text).ok());
                Self::Blob(bytes.ok_or("`$base64` is not base64")?.into())
            }
            nested @ (serde_json::Value::Array(_) | serde_json::Value::Object(_)) => {
                Self::Text(nested.to_string().into())
            }
        })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of_json(serde_json::Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Integer(whole) => serializer.serialize_i64(*whole),
            Self::Real(real) => serializer.serialize_f64(*real),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Blob(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BASE64, &STANDARD.encode(bytes))?;
                map.end()
            }
        }
    }
}

impl Row {
    /// Returns the value of a column; names differ in case alone are one, as in SQL.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&Value> {
        let mut values = self.0.iter();
        let found = values.find(|(name, _)| name.eq_ignore_ascii_case(column));
        found.map(|(_, value)| value)
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of values by column")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut row = Row::default();
                while let Some((name, value)) = map.next_entry::<Box<str>, Value>()? {
                    if row.get(&name).is_some() {
                        return Err(A::Error::custom(format_args!("`{name}` is there twice")));
                    }
                    row.0.push((name, value));
                }
                Ok(row)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_as_it_was_read() {
        let json = r#"{"id":1,"at":1.5,"title":"ä","gone":null,"raw":{"$base64":"AAH/"}}"#;
        let row: Row = serde_json::from_str(json).unwrap();
        assert_eq!(row.get("RAW"), Some(&Value::Blob([0, 1, 255].into())));
        assert_eq!(serde_json::to_string(&row).unwrap(), json);
    }

    #[test]
    fn what_sql_has_not_is_read_as_what_it_has() {
        let json = r#"{"done":true,"tags":["a",{"b":1}],"far":18446744073709551615}"#;
        let row: Row = serde_json::from_str(json).unwrap();
        assert_eq!(row.get("done"), Some(&Value::Integer(1)));
        let tags = r#"["a",{"b":1}]"#.into();
        assert_eq!(row.get("tags"), Some(&Value::Text(tags)));
        assert_eq!(
            row.get("far"),
            Some(&Value::Real(18_446_744_073_709_551_615.0))
        );
    }

    #[test]
    fn what_is_no_row_is_refused() {
        for json in ["1", "[]", r#"{"a":1,"A":2}"#, r#"{"a":{"$base64":"?"}}"#] {
            assert!(serde_json::from_str::<Row>(json).is_err(), "{json}");
        }
    }
}
