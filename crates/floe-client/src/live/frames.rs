//! What the server says, as the application sees it.

use serde::Deserialize;
use serde_json::value::RawValue;

/// What happened in a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum News {
    /// Events: first those that were there, then those that happen.
    Events(Events),
    /// All of history has been told, up to this sequence number.
    Live {
        /// The cursor at that moment.
        seq: u64,
    },
    /// Who is there, or how that changed.
    Presence(Presence),
    /// What the room remembers, or how that changed.
    Memory(Memory),
    /// All who are typing.
    Typing {
        /// Their names.
        users: Vec<String>,
    },
}

/// Some consecutive events.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Events {
    /// Each as the server wrote it.
    pub events: Vec<Box<RawValue>>,
    /// Sequence number of the last one: the cursor to keep.
    pub next: u64,
    /// `base64` where bytes are written so.
    pub encoding: Option<String>,
}

/// An event of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChannelEvent {
    /// The channel and the sequence number.
    pub id: String,
    /// Its place in the channel, from 1.
    pub seq: u64,
    /// `message`, `edit`, `reaction` or `deletion`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who caused it; missing in a deleted one.
    pub author_id: Option<String>,
    /// What it says; missing in a deleted one and in a deletion.
    pub content: Option<String>,
    /// What an edit, reaction or deletion is about.
    pub target_seq: Option<u64>,
    /// Whether a reaction is taken back.
    #[serde(default)]
    pub removed: bool,
    /// Whether it was deleted.
    #[serde(default)]
    pub deleted: bool,
    /// When it was written, RFC 3339.
    pub created_at: String,
}

/// Who is there.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Presence {
    /// Version of what is told.
    pub version: u64,
    /// Members in all, also where only some are listed.
    pub count: u64,
    /// Everybody, which replaces what was known; `None` when it is a change.
    pub members: Option<Vec<Member>>,
    /// Who came or changed.
    #[serde(default)]
    pub set: Vec<Member>,
    /// Who is gone; to be applied before `set`.
    #[serde(default)]
    pub left: Vec<String>,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// Who it is.
    pub user: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// What it says of itself.
    pub data: Option<serde_json::Value>,
}

/// What a room remembers.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Memory {
    /// Version of what is told.
    pub version: u64,
    /// Whether it replaces what was known.
    #[serde(default)]
    pub snapshot: bool,
    /// Values that are there or changed.
    pub set: Vec<Entry>,
    /// Keys that are gone.
    #[serde(default)]
    pub removed: Vec<String>,
}

/// A value of a room's memory.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its key.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// Its version, for a change that depends on it.
    pub version: u64,
}

/// What came of a request that changed something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Ack {
    /// Sequence number of the last event appended; 0 where none was.
    #[serde(default)]
    pub seq: u64,
    /// Events, or bytes, appended.
    #[serde(default)]
    pub count: u64,
    /// Whether an earlier try had done it.
    #[serde(default)]
    pub duplicate: bool,
    /// Version of the room's presence or memory with the change; 0 where none changed.
    #[serde(default)]
    pub version: u64,
}

impl Events {
    /// Reads the events of a channel.
    ///
    /// # Errors
    /// They are none, because the room is a stream.
    pub fn channel_events(&self) -> Result<Vec<ChannelEvent>, serde_json::Error> {
        let events = self.events.iter();
        events
            .map(|event| serde_json::from_str(event.get()))
            .collect()
    }
}

/// The fields by which a frame finds its way.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Envelope {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) id: Option<u64>,
    pub(super) room: Option<String>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) retry: Option<String>,
    pub(super) seq: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) users: Option<Vec<String>>,
}
