//! The fields of a client's frame, found first and read one by one, so that a mistake can be named.

use std::borrow::Cow;
use std::fmt;

use floe_proto::Code;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DEPTH_MAX, FrameId, ID_BYTES_MAX};

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// What is wrong, for people; it names the field.
    pub message: String,
}

impl Problem {
    pub(super) const fn new(code: Code, message: String) -> Self {
        Self { code, message }
    }

    /// A frame of the wrong shape.
    pub(super) fn shape(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidFrame, message.into())
    }

    /// A value of the right type that cannot be.
    pub(super) fn value(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message.into())
    }
}

/// Every field that some frame of a client may have.
macro_rules! fields {
    ($($field:ident $name:literal),* $(,)?) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Field { $($field),* }

        const NAMES: &[&str] = &[$($name),*];

        impl Field {
            const ALL: &[Self] = &[$(Self::$field),*];
        }
    };
}

fields! {
    Type "type",
    Id "id",
    Room "room",
    After "after",
    Events "events",
    Presence "presence",
    Data "data",
    Memory "memory",
    User "user",
    Token "token",
    Bearer "bearer",
    Limit "limit",
    Content "content",
    Kind "kind",
    TargetSeq "targetSeq",
    Removed "removed",
    IdempotencyKey "idempotencyKey",
    AuthorId "authorId",
    Typing "typing",
    Op "op",
    Key "key",
    Value "value",
    TtlMs "ttlMs",
    IfVersion "ifVersion",
    Prefix "prefix",
    Method "method",
    Payload "payload",
    UpdateId "updateId",
    ReplyTo "replyTo",
}

impl Field {
    pub(super) const fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.name() == name)
    }
}

/// The fields of one object, as they were written.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    raw: [Option<&'a RawValue>; NAMES.len()],
    /// The first field that nobody knows, or that is there twice.
    problem: Option<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn read(json: &'a str) -> Result<Self, Problem> {
        serde_json::from_str(json)
            .map_err(|error| Problem::shape(format!("the frame cannot be read: {error}")))
    }

    /// Refuses what is there besides `allowed`, what is unknown and what is there twice.
    pub(super) fn only(&self, what: &str, allowed: &[&[Field]]) -> Result<(), Problem> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let stray = Field::ALL.iter().find(|field| {
            let there = self.raw[**field as usize].is_some();
            there && !allowed.iter().any(|some| some.contains(field))
        });
        match stray {
            Some(field) => Err(Problem::shape(format!(
                "`{}` is no field of {what}",
                field.name()
            ))),
            None => Ok(()),
        }
    }

    /// Returns a value as it was written, `null` included.
    pub(super) fn raw(&self, field: Field) -> Result<Option<&'a str>, Problem> {
        let Some(raw) = self.raw[field as usize] else {
            return Ok(None);
        };
        let json = raw.get();
        if too_deep(json.as_bytes()) {
            return Err(Problem::value(format!(
                "`{}` is nested deeper than {DEPTH_MAX}",
                field.name()
            )));
        }
        Ok(Some(json))
    }

    pub(super) fn text(&self, field: Field, max: usize) -> Result<Option<Cow<'a, str>>, Problem> {
        let Some(Text(text)) = self.typed(field, "a string")? else {
            return Ok(None);
        };
        if text.len() > max {
            return Err(Problem::value(format!(
                "`{}` is longer than {max} bytes",
                field.name()
            )));
        }
        Ok(Some(text))
    }

    /// Returns a text that is not empty.
    pub(super) fn word(&self, field: Field, max: usize) -> Result<Option<Cow<'a, str>>, Problem> {
        let text = self.text(field, max)?;
        if text.as_deref() == Some("") {
            return Err(Problem::value(format!("`{}` is empty", field.name())));
        }
        Ok(text)
    }

    pub(super) fn number(&self, field: Field) -> Result<Option<u64>, Problem> {
        self.typed(field, "a whole number from 0 on")
    }

    pub(super) fn boolean(&self, field: Field) -> Result<Option<bool>, Problem> {
        self.typed(field, "true or false")
    }

    pub(super) fn id(&self) -> Result<Option<FrameId<'a>>, Problem> {
        const SAFE: i64 = (1 << 53) - 1;
        let Some(raw) = self.raw[Field::Id as usize] else {
            return Ok(None);
        };
        if raw.get().starts_with('"') {
            let text = self.text(Field::Id, ID_BYTES_MAX)?;
            return Ok(text.map(FrameId::Text));
        }
        match self.typed(Field::Id, "a string or a whole number")? {
            Some(number) if !(-SAFE..=SAFE).contains(&number) => Err(Problem::value(
                "`id` is not a whole number that a double holds",
            )),
            number => Ok(number.map(FrameId::Number)),
        }
    }

    pub(super) fn need<T>(found: Option<T>, field: Field) -> Result<T, Problem> {
        found.ok_or_else(|| Problem::shape(format!("`{}` is missing", field.name())))
    }

    /// Reads a value of a fixed type; `null` is as good as nothing.
    fn typed<T: Deserialize<'a>>(&self, field: Field, wanted: &str) -> Result<Option<T>, Problem> {
        match self.raw[field as usize] {
            None => Ok(None),
            Some(raw) => serde_json::from_str(raw.get())
                .map_err(|_| Problem::shape(format!("`{}` is not {wanted}", field.name()))),
        }
    }

    /// Returns the elements of `events`.
    pub(super) fn list(&self, field: Field, max: usize) -> Result<Option<Vec<&'a str>>, Problem> {
        let Some(json) = self.raw(field)? else {
            return Ok(None);
        };
        let elements: Vec<&RawValue> = serde_json::from_str(json)
            .map_err(|_| Problem::shape(format!("`{}` is not an array", field.name())))?;
        if elements.is_empty() || elements.len() > max {
            return Err(Problem::value(format!(
                "`{}` has not 1 to {max} elements",
                field.name()
            )));
        }
        Ok(Some(elements.into_iter().map(RawValue::get).collect()))
    }
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
            let Some(field) = Field::of(&name) else {
                let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
                fields
                    .problem
                    .get_or_insert_with(|| Problem::shape(format!("`{shown}` is no known field")));
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let slot = &mut fields.raw[field as usize];
            if slot.is_some() {
                fields.problem.get_or_insert_with(|| {
                    Problem::shape(format!("`{}` is there twice", field.name()))
                });
            }
            *slot = Some(map.next_value()?);
        }
        Ok(fields)
    }
}

/// Characters of an unknown field's name that are repeated to the client.
const NAME_SHOWN_CHARS: usize = 40;

/// A text, borrowed from the JSON where it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns whether valid JSON is nested deeper than [`DEPTH_MAX`].
pub(crate) fn too_deep(json: &[u8]) -> bool {
    let mut depth = 0;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return true;
                }
            }
            b']' | b'}' => depth -= 1,
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    false
}
