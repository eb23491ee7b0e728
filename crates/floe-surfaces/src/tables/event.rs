//! What a connection is told without asking.

use floe_proto::table::{Change, Operation};

use super::object::Object;
use crate::live::Entry;

/// Which part of the memory changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryKind {
    /// Where users are.
    Cursors,
    /// How users are.
    Presence,
    /// Anything else.
    Memory,
}

/// What became of a part of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryUpdate {
    /// The part.
    pub kind: MemoryKind,
    /// Whether what was known before is to be forgotten.
    pub snapshot: bool,
    /// Version of the memory.
    pub version: u64,
}

impl MemoryKind {
    /// Returns the word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cursors => "cursors",
            Self::Presence => "presence",
            Self::Memory => "memory",
        }
    }

    /// Returns what the key and the value of an entry are called.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Cursors => ("userId", "position"),
            Self::Presence => ("userId", "status"),
            Self::Memory => ("key", "value"),
        }
    }
}

/// Appends the event of a row that was changed by the message at `seq`.
pub fn write_row_event(out: &mut Vec<u8>, change: &Change<'_>, seq: u64) {
    let (action, row) = match change.headers.operation {
        Operation::Insert => ("added", change.value),
        Operation::Update => ("modified", change.value),
        Operation::Delete => ("deleted", change.old_value),
    };
    Object::write(out, |object| {
        object.text("event", "update");
        object.text("table", &change.table);
        object.text("action", action);
        object.json("row", row.map_or(&b"null"[..], |row| row.get().as_bytes()));
        object.text("key", &change.key);
        object.number("seq", seq);
        object.text("txid", &change.headers.txid);
        if let Some(user) = &change.headers.user {
            object.text("user", user);
        }
    });
}

/// Appends a `schema_update`: the tables are these now. `schema` is JSON.
pub fn write_schema_update(out: &mut Vec<u8>, schema: &[u8], seq: u64) {
    Object::typed(out, "schema_update", |object| {
        object.json("schema", schema);
        object.number("seq", seq);
    });
}

/// Appends a `memory_update`: entries that were set, as they are now, and keys that are gone.
pub fn write_memory_update<'a>(
    out: &mut Vec<u8>,
    update: &MemoryUpdate,
    set: impl Iterator<Item = Entry<'a>>,
    removed: impl Iterator<Item = &'a str>,
) {
    Object::write(out, |object| {
        object.text("event", "memory_update");
        object.text("type", update.kind.word());
        if update.snapshot {
            object.boolean("snapshot", true);
        }
        object.number("version", update.version);
        object.written("data", |out| write_entries(out, update.kind, set));
        object.list("removed", removed, super::object::json);
    });
}

/// Appends entries of the memory as an array, as `getMemory`, `getCursors` and `getPresence` answer it.
pub fn write_entries<'a>(
    out: &mut Vec<u8>,
    kind: MemoryKind,
    entries: impl Iterator<Item = Entry<'a>>,
) {
    let (key, value) = kind.names();
    out.push(b'[');
    for (at, entry) in entries.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        Object::write(out, |object| {
            object.text(key, entry.key);
            object.json(value, entry.value.as_bytes());
            object.number("version", entry.version);
            if let Some(at) = entry.expires_at {
                object.text("expiresAt", &at.rfc3339());
            }
        });
    }
    out.push(b']');
}
