//! One setting with its value.

use clap::{Arg, ArgMatches};
use serde_json::Value;

use super::key::{Kind, is_list, is_secret, key_of};
use super::origin::Origin;

/// One setting: its value as it will be used, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name in a file.
    pub key: String,
    /// Its value; null where it has none.
    pub value: Value,
    /// Whether the value must not be shown.
    pub is_secret: bool,
    /// Whether it is a table of the file, and no argument.
    pub is_table: bool,
    /// Where it stands.
    pub origin: Origin,
}

impl Setting {
    /// Takes the value of an argument.
    pub fn of(argument: &Arg, matches: &ArgMatches, origin: Origin) -> Self {
        let kind = Kind::of(argument);
        let raw = matches.get_raw(argument.get_id().as_str());
        let mut values = raw
            .into_iter()
            .flatten()
            .map(|text| value_of(kind, &text.to_string_lossy()));
        let value = if is_list(argument) {
            Value::Array(values.collect())
        } else {
            values.next().unwrap_or(Value::Null)
        };
        Self {
            key: key_of(argument).unwrap_or_default(),
            value,
            is_secret: is_secret(argument),
            is_table: false,
            origin,
        }
    }

    /// Returns whether nothing is set.
    pub fn is_unset(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(values) => values.is_empty(),
            Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
        }
    }

    /// Returns the value, or `(set)` for a secret.
    pub fn shown(&self) -> Value {
        if self.is_secret && !self.is_unset() {
            Value::from("(set)")
        } else {
            self.value.clone()
        }
    }
}

fn value_of(kind: Kind, text: &str) -> Value {
    let value = match kind {
        Kind::Switch => Some(Value::Bool(is_true(text))),
        Kind::Number => match text.parse::<u64>() {
            Ok(number) => Some(number.into()),
            Err(_) => text.parse::<i64>().ok().map(Value::from),
        },
        Kind::Fraction => text.parse::<f64>().ok().map(Value::from),
        Kind::Text | Kind::Any => None,
    };
    value.unwrap_or_else(|| text.into())
}

/// Returns what the parsers of switches take for true.
fn is_true(text: &str) -> bool {
    let text = text.to_lowercase();
    ["true", "t", "yes", "y", "on", "1"].contains(&&*text)
}
