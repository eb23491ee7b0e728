//! The members of one JSON object, found first and read one by one, so that a mistake can be named.

use std::borrow::Cow;
use std::fmt;

use floe_proto::Code;
use floe_proto::table::TableError;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::live::{DEPTH_MAX, too_deep};

/// Members of an object, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// Whether there are more than anything takes.
    more: bool,
}

/// More members than any object has that is read here.
const MEMBERS_MAX: usize = 16;
/// Characters of an unknown member's name that are repeated to the client.
const NAME_SHOWN_CHARS: usize = 40;

impl<'a> Fields<'a> {
    /// Reads an object; what it must not have is refused by [`Fields::only`].
    pub fn read(json: &'a str, what: &str) -> Result<Self, TableError> {
        let fields = serde_json::from_str(json).map_err(|error| {
            let code = match error.is_data() {
                true => Code::InvalidRequest,
                false => Code::InvalidJson,
            };
            TableError::new(code, format!("{what} cannot be read: {error}"))
        })?;
        if too_deep(json.as_bytes()) {
            return Err(invalid(format!("{what} is nested deeper than {DEPTH_MAX}")));
        }
        Ok(fields)
    }

    /// Refuses what is there besides `allowed`, and what is there twice.
    pub fn only(&self, what: &str, allowed: impl Fn(&str) -> bool) -> Result<(), TableError> {
        for (at, (name, _)) in self.members.iter().enumerate() {
            let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
            if !allowed(name) {
                return Err(invalid(format!("`{shown}` is no field of {what}")));
            }
            let mut before = self.members.iter().take(at);
            if before.any(|(other, _)| other == name) {
                return Err(invalid(format!("`{shown}` is there twice")));
            }
        }
        self.check_count(what)
    }

    /// Refuses more members than are read.
    pub fn check_count(&self, what: &str) -> Result<(), TableError> {
        if self.more {
            return Err(invalid(format!("{what} has more fields than there are")));
        }
        Ok(())
    }

    /// Returns a value as it was written, `null` included.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        let mut members = self.members.iter();
        let (_, json) = members.find(|(known, _)| known == name)?;
        Some(json)
    }

    /// Returns a value as it was written, if it is not `null`.
    pub fn json(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|json| *json != "null")
    }

    /// Returns a value of a fixed type; `null` is as good as nothing.
    pub fn typed<T: Deserialize<'a>>(
        &self,
        name: &str,
        wanted: &str,
    ) -> Result<Option<T>, TableError> {
        let Some(json) = self.json(name) else {
            return Ok(None);
        };
        serde_json::from_str(json)
            .map(Some)
            .map_err(|_| invalid(format!("`{name}` is not {wanted}")))
    }

    /// Returns a value that reads itself and says best what is wrong with it.
    pub fn read_as<T: Deserialize<'a>>(&self, name: &str) -> Result<T, TableError> {
        let json = need(self.json(name), name)?;
        serde_json::from_str(json).map_err(|error| {
            // Where it stands within the value helps nobody.
            let text = error.to_string();
            let why = text.split(" at line ").next().unwrap_or_default();
            invalid(format!("`{name}` cannot be read: {why}"))
        })
    }

    /// Returns the elements of an array as they were written.
    pub fn list(&self, name: &str, max: usize) -> Result<Vec<&'a str>, TableError> {
        let elements: Option<Vec<&'a RawValue>> = self.typed(name, "an array")?;
        let elements = elements.unwrap_or_default();
        if elements.len() > max {
            return Err(invalid(format!("`{name}` has more than {max} elements")));
        }
        Ok(elements.into_iter().map(RawValue::get).collect())
    }

    /// Returns a text of at most `max` bytes.
    pub fn text(&self, name: &str, max: usize) -> Result<Option<Cow<'a, str>>, TableError> {
        let Some(Text(text)) = self.typed(name, "a string")? else {
            return Ok(None);
        };
        if text.len() > max {
            return Err(invalid(format!("`{name}` is longer than {max} bytes")));
        }
        Ok(Some(text))
    }

    /// Returns a text that must be there and not be empty.
    pub fn word(&self, name: &str, max: usize) -> Result<Box<str>, TableError> {
        let text = need(self.text(name, max)?, name)?;
        if text.is_empty() {
            return Err(invalid(format!("`{name}` is empty")));
        }
        Ok(text.into())
    }

    pub fn whole(&self, name: &str) -> Result<Option<u64>, TableError> {
        self.typed(name, "a whole number from 0 on")
    }

    pub fn integer(&self, name: &str) -> Result<Option<i64>, TableError> {
        self.typed(name, "a whole number of 64 bits")
    }

    pub fn boolean(&self, name: &str) -> Result<Option<bool>, TableError> {
        self.typed(name, "true or false")
    }
}

/// Insists on what must be there.
pub(crate) fn need<T>(found: Option<T>, name: &str) -> Result<T, TableError> {
    found.ok_or_else(|| invalid(format!("`{name}` is missing")))
}

pub(crate) fn invalid(message: impl Into<String>) -> TableError {
    TableError::new(Code::InvalidRequest, message)
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Text(name)) = map.next_key()? {
            if fields.members.len() == MEMBERS_MAX {
                fields.more = true;
                map.next_value::<IgnoredAny>()?;
            } else {
                let json: &RawValue = map.next_value()?;
                fields.members.push((name, json.get()));
            }
        }
        Ok(fields)
    }
}

/// A text, borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
