//! The JSON object of a body, read by name.

use std::borrow::Cow;
use std::fmt;

use floe_proto::Code;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::params::NAME_CHARS_SHOWN;
use super::reject::Fault;

/// The members of an object, whose values are read once they are asked for.
#[derive(Debug, Default)]
pub(super) struct Members<'a> {
    list: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Members<'a> {
    /// Reads a body.
    pub fn read(body: &'a [u8]) -> Result<Self, Fault> {
        if body.trim_ascii().is_empty() {
            let message = "the body is empty where a JSON object is needed";
            return Err(Fault::new(Code::InvalidJson, message));
        }
        serde_json::from_slice(body).map_err(|why| {
            let code = if why.is_data() {
                Code::InvalidRequest
            } else {
                Code::InvalidJson
            };
            Fault::new(code, format!("the body is not a JSON object: {why}"))
        })
    }

    /// Reads an object inside another.
    pub fn inside(value: &'a RawValue) -> Result<Self, Fault> {
        serde_json::from_str(value.get())
            .map_err(|why| Fault::invalid(format!("not a JSON object: {why}")))
    }

    /// Takes a value; `null` is as if it were not there.
    pub fn value(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.list.iter().position(|(known, _)| known == name)?;
        let (_, value) = self.list.swap_remove(at);
        (value.get() != "null").then_some(value)
    }

    /// Whether a text is missing or empty.
    pub fn has_no_text(&self, name: &str) -> bool {
        let value = self.list.iter().find(|(known, _)| known == name);
        value.is_none_or(|(_, value)| matches!(value.get(), "null" | "\"\""))
    }

    /// Takes a text.
    pub fn text(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        self.value(name).map(|value| text(name, value)).transpose()
    }

    /// Takes a whole number.
    pub fn whole(&mut self, name: &str) -> Result<Option<u64>, Fault> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = serde_json::from_str(value.get());
        number
            .map(Some)
            .map_err(|_| Fault::invalid(format!("{name} is not a whole number")))
    }

    /// Takes an array.
    pub fn array(&mut self, name: &str) -> Result<Option<Vec<&'a RawValue>>, Fault> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let array = serde_json::from_str(value.get());
        array
            .map(Some)
            .map_err(|_| Fault::invalid(format!("{name} is not an array")))
    }

    /// Refuses what nobody took.
    pub fn end(self) -> Result<(), Fault> {
        match self.list.first() {
            Some((name, _)) => {
                let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
                Err(Fault::invalid(format!("unknown field `{name}`")))
            }
            None => Ok(()),
        }
    }
}

/// Reads a text, without a copy where it has no escapes.
pub(super) fn text<'a>(name: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Fault> {
    let json = value.get();
    let inner = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(plain) if !plain.contains('\\') => Ok(Cow::Borrowed(plain)),
        Some(_) => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|why| Fault::invalid(format!("{name} is not text: {why}"))),
        None => Err(Fault::invalid(format!("{name} is not a string"))),
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    if list.len() == MEMBERS_MAX {
                        let message = format_args!("more than {MEMBERS_MAX} fields");
                        return Err(serde::de::Error::custom(message));
                    }
                    if list.iter().any(|(known, _)| *known == name) {
                        let name: String = name.chars().take(NAME_CHARS_SHOWN).collect();
                        let message = format_args!("`{name}` is there twice");
                        return Err(serde::de::Error::custom(message));
                    }
                    list.push((name, map.next_value()?));
                }
                Ok(Members { list })
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Fields of one object.
const MEMBERS_MAX: usize = 32;
