//! What can be asked of a room, for programs: written from [`METHODS`].

use super::METHODS;
use super::catalog::{Answer, MethodInfo, Param, Scope, Shape};
use super::object::Object;

impl Answer {
    /// Returns the `type` of the answer of a call that succeeds.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task | Self::Row | Self::Rows | Self::Transaction | Self::Schema => {
                "mutation_success"
            }
            Self::Query => "query_result",
            Self::LiveQuery => "query_subscribed",
            Self::Success => "success",
        }
    }
}

impl Scope {
    /// Returns the word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Namespace => "namespace",
        }
    }
}

impl Shape {
    /// Returns the word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Text | Self::Table | Self::OneOf(_) => "string",
            Self::Tables => "string[]",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Json => "any",
            Self::Row => "row",
            Self::Rows => "row[]",
            Self::Key => "key",
            Self::Columns => "column[]",
            Self::Steps => "step[]",
            Self::SqlParams => "values",
            Self::Mutations => "mutation[]",
            Self::Preconditions => "precondition[]",
        }
    }
}

/// Appends the manifest as JSON.
pub fn write_manifest(out: &mut Vec<u8>) {
    Object::write(out, |object| {
        object.number("version", VERSION);
        object.list("methods", METHODS.iter(), method);
        object.list("events", EVENTS.iter(), super::object::json);
    });
}

/// Raised when a client that was made for the manifest of before may fail.
const VERSION: u64 = 1;

/// What a connection may be told without having asked.
const EVENTS: &[&str] = &[
    "update",
    "memory_update",
    "schema_update",
    "query_update",
    "reset",
];

fn method(out: &mut Vec<u8>, info: &MethodInfo) {
    Object::write(out, |object| {
        object.text("name", info.name);
        if let Some(action) = info.action {
            object.text("action", action);
        }
        object.text("about", info.about);
        object.list("needs", info.needs.rights().words(), super::object::json);
        object.text("in", info.scope.word());
        object.list("params", info.params.iter(), param);
        object.text("answer", info.answer.word());
        object.json("example", info.example.as_bytes());
    });
}

fn param(out: &mut Vec<u8>, param: &Param) {
    Object::write(out, |object| {
        object.text("name", param.name);
        object.text("type", param.shape.word());
        if let Shape::OneOf(words) = param.shape {
            object.list("values", words.iter(), super::object::json);
        }
        object.boolean("required", param.required);
        object.text("about", param.about);
    });
}
