//! Frames about keyed state: presence, memory, typing.

use floe_core::live::MemoryUsage;
use floe_proto::Millis;

use super::map::{Map, frame};
use super::{Format, FrameId};

/// A member of a room, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Who it is.
    pub user: &'a str,
    /// Since when it is there.
    pub since: Millis,
    /// What it says of itself, as JSON.
    pub data: Option<&'a str>,
}

/// All that a reader of a room's presence knows, at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceSnapshot<'a> {
    /// The room.
    pub room: &'a str,
    /// Version of the presence.
    pub version: u64,
    /// Members in the room, listed here or not.
    pub count: u64,
}

/// What has changed in a room's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceDelta<'a> {
    /// The room.
    pub room: &'a str,
    /// Version of the presence with the changes.
    pub version: u64,
    /// Members in the room now.
    pub count: u64,
}

/// One page of a room's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembersPage<'a> {
    /// The request.
    pub id: Option<&'a FrameId<'a>>,
    /// The room.
    pub room: &'a str,
    /// Version of the presence.
    pub version: u64,
    /// Members in the room.
    pub count: u64,
    /// The `after` of the next page, if there is one.
    pub next: Option<&'a str>,
}

/// A value of a room's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its key.
    pub key: &'a str,
    /// The value, as JSON.
    pub value: &'a str,
    /// Version of the memory that brought it.
    pub version: u64,
    /// When it goes away by itself.
    pub expires_at: Option<Millis>,
}

/// What a `memory` frame is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryChange<'a> {
    /// The request, if the frame answers a `get` or `list`.
    pub id: Option<&'a FrameId<'a>>,
    /// The room.
    pub room: &'a str,
    /// Version of the memory.
    pub version: u64,
    /// Whether what the reader knew before is to be forgotten.
    pub snapshot: bool,
    /// The `after` of the next page of a list, if there is one.
    pub next: Option<&'a str>,
    /// How much the memory holds, in an answer.
    pub usage: Option<MemoryUsage>,
}

/// Appends a `presence` frame with the members; what the reader knew before is to be forgotten.
pub fn write_presence_snapshot<'a>(
    out: &mut Vec<u8>,
    format: Format,
    snapshot: &PresenceSnapshot<'_>,
    members: impl Iterator<Item = Member<'a>>,
) {
    frame(out, format, "presence", |map| {
        map.text("room", snapshot.room);
        map.number("version", snapshot.version);
        map.number("count", snapshot.count);
        map.objects("members", members, member);
    });
}

/// Appends a `presence` frame with what has changed since the one before: members that came or
/// changed, as they are now, and users that are gone.
pub fn write_presence_delta<'a>(
    out: &mut Vec<u8>,
    format: Format,
    delta: &PresenceDelta<'_>,
    set: impl Iterator<Item = Member<'a>>,
    left: impl Iterator<Item = &'a str>,
) {
    frame(out, format, "presence", |map| {
        map.text("room", delta.room);
        map.number("version", delta.version);
        map.number("count", delta.count);
        map.objects("set", set, member);
        map.texts("left", left);
    });
}

/// Appends a `members` frame: the answer to a question for a page of members.
pub fn write_members<'a>(
    out: &mut Vec<u8>,
    format: Format,
    page: &MembersPage<'_>,
    members: impl Iterator<Item = Member<'a>>,
) {
    frame(out, format, "members", |map| {
        map.id(page.id);
        map.text("room", page.room);
        map.number("version", page.version);
        map.number("count", page.count);
        map.objects("members", members, member);
        map.maybe_text("next", page.next);
    });
}

/// Appends a `memory` frame: values that were set and keys that are gone.
pub fn write_memory<'a>(
    out: &mut Vec<u8>,
    format: Format,
    change: &MemoryChange<'_>,
    set: impl Iterator<Item = Entry<'a>>,
    removed: impl Iterator<Item = &'a str>,
) {
    frame(out, format, "memory", |map| {
        map.id(change.id);
        map.text("room", change.room);
        map.number("version", change.version);
        map.flag("snapshot", change.snapshot);
        map.objects("set", set, entry);
        map.texts("removed", removed);
        map.maybe_text("next", change.next);
        if let Some(used) = change.usage {
            map.object("usage", |map| usage(map, used));
        }
    });
}

/// Appends a `typing` frame: all who are typing in the room.
pub fn write_typing<'a>(
    out: &mut Vec<u8>,
    format: Format,
    room: &str,
    users: impl Iterator<Item = &'a str>,
) {
    frame(out, format, "typing", |map| {
        map.text("room", room);
        map.texts("users", users);
    });
}

fn member(map: &mut Map<'_>, member: Member<'_>) {
    map.text("user", member.user);
    map.time("since", member.since);
    if let Some(data) = member.data {
        map.json("data", data);
    }
}

fn usage(map: &mut Map<'_>, usage: MemoryUsage) {
    map.number("entries", usage.entries as u64);
    map.number("bytes", usage.bytes as u64);
    map.number("entriesMax", usage.entries_max as u64);
    map.number("bytesMax", usage.bytes_max as u64);
    map.number("evictions", usage.evictions);
}

fn entry(map: &mut Map<'_>, entry: Entry<'_>) {
    map.text("key", entry.key);
    map.json("value", entry.value);
    map.number("version", entry.version);
    if let Some(at) = entry.expires_at {
        map.time("expiresAt", at);
    }
}
