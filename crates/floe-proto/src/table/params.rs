//! Values that an SQL text is given.

use serde::de::{Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::{Row, Value};

/// The values of an SQL text's parameters: an array or an object in JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Params {
    /// For `?` and `?1`, in their order.
    Positional(Vec<Value>),
    /// For `:name`, `@name` and `$name`, by their names without the sign.
    Named(Row),
}

impl Params {
    /// Returns how many values there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Positional(values) => values.len(),
            Self::Named(row) => row.0.len(),
        }
    }

    /// Returns whether there is no value.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Params {
    fn default() -> Self {
        Self::Positional(Vec::new())
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Positional(values) => values.serialize(serializer),
            Self::Named(row) => row.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Params;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of values or an object of values by name")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<Params, A::Error> {
                let values = serde::de::value::SeqAccessDeserializer::new(seq);
                Vec::deserialize(values).map(Params::Positional)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Params, A::Error> {
                let row = serde::de::value::MapAccessDeserializer::new(map);
                Row::deserialize(row).map(Params::Named)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_are_written_as_they_were_read() {
        for json in ["[]", r#"[1,"a",null]"#, r#"{"a":1,"b":2.5}"#] {
            let params: Params = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&params).unwrap(), json);
        }
        for json in ["1", r#""a""#, r#"{"a":1,"A":2}"#] {
            assert!(serde_json::from_str::<Params>(json).is_err(), "{json}");
        }
    }
}
