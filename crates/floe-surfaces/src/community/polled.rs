//! Answers to whoever polls a room, and to whoever asks who is there.

use floe_core::live::{Live, Memory, Shown, Statuses, Told, ToldStatuses};
use floe_core::voice::Changes;

use super::voice::{SessionShown, write_participants, write_session};
use super::waddle::write_users;
use crate::http::{Answer, Envelope};
use crate::tables::object::{Object, json};

/// What happened in a room, and how things are.
#[derive(Debug, Clone, Copy)]
pub struct Polled<'a> {
    /// Frames, each followed by a comma.
    pub frames: &'a [u8],
    /// The place after which they begin.
    pub from: u64,
    /// The place to poll from next.
    pub next: u64,
    /// Whether there is more already.
    pub has_more: bool,
    /// What the room knows while somebody is there.
    pub live: Option<&'a Live>,
    /// Whether it is a channel, and not a waddle.
    pub is_channel: bool,
}

/// Users that are named as writing something.
const TYPING_MAX: usize = 100;

/// Writes the answer to a poll.
pub fn write_polled(out: &mut Vec<u8>, envelope: &Envelope<'_>, polled: &Polled<'_>) {
    let mut body = Vec::new();
    Object::write(&mut body, |object| {
        write_frames(object, polled.frames, (polled.from, polled.next));
        object.boolean("hasMore", polled.has_more);
        if polled.is_channel {
            write_channel(object, polled.live);
        } else {
            write_waddle(object, polled.live);
        }
    });
    write_json(out, envelope, &body);
}

/// Writes the answer to a poll of a voice room: the frames that somebody is told first who comes.
pub fn write_polled_voice(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    after: u64,
    session: Option<&SessionShown<'_>>,
    participants: &Changes<'_>,
) {
    let mut frames = Vec::new();
    if let Some(shown) = session {
        write_session(&mut frames, shown);
        frames.push(b',');
    }
    write_participants(&mut frames, participants);
    let mut body = Vec::new();
    Object::write(&mut body, |object| {
        write_frames(object, &frames, (after, participants.version));
        object.boolean("hasMore", false);
    });
    write_json(out, envelope, &body);
}

fn write_frames(object: &mut Object<'_>, frames: &[u8], (from, next): (u64, u64)) {
    object.written("frames", |out| {
        out.push(b'[');
        out.extend_from_slice(frames.strip_suffix(b",").unwrap_or(frames));
        out.push(b']');
    });
    object.number("after", from);
    object.number("sequence", next);
}

fn write_channel(object: &mut Object<'_>, live: Option<&Live>) {
    let typing = live.map(|live| live.memory.page(Memory::TYPING_PREFIX, None, TYPING_MAX));
    let typing = typing.unwrap_or_default().into_iter();
    let typing = typing.filter_map(|(key, ..)| key.strip_prefix(Memory::TYPING_PREFIX));
    object.list("typing", typing, json);
    object.written("participants", |out| {
        Object::write(out, |object| {
            let there = live.map(|live| live.presence.snapshot());
            let count = there.as_ref().map_or(0, |there| there.count as u64);
            if let Some(Told::All(members)) = there.map(|there| there.told) {
                let users = members.iter().map(|member| member.user);
                object.list("users", users, json);
            }
            object.number("count", count);
        });
    });
}

fn write_waddle(object: &mut Object<'_>, live: Option<&Live>) {
    object.written("presence", |out| {
        Object::write(out, |object| {
            let there = live.map(|live| live.statuses.changes_since(0));
            let count = there.as_ref().map_or(0, |there| there.count as u64);
            if let Some(ToldStatuses::All(users)) = there.map(|there| there.told) {
                write_users(object, &users);
            }
            object.number("count", count);
        });
    });
}

/// A page of those who are in a waddle.
#[derive(Debug, Clone, Copy)]
pub struct PresencePage<'a> {
    /// The users, ascending.
    pub users: &'a [Shown<'a>],
    /// How many there are in all.
    pub count: u64,
    /// After whom the next page begins.
    pub next: Option<&'a str>,
}

/// Writes a page of those who are in a waddle.
pub fn write_presence_page(out: &mut Vec<u8>, envelope: &Envelope<'_>, page: &PresencePage<'_>) {
    let mut body = Vec::new();
    Object::write(&mut body, |object| {
        write_users(object, page.users);
        object.number("count", page.count);
        if let Some(next) = page.next {
            object.text("next", next);
        }
    });
    write_json(out, envelope, &body);
}

/// Returns a page of those who are to be seen.
#[must_use]
pub fn presence_page<'a>(
    statuses: Option<&'a Statuses>,
    after: Option<&str>,
    limit: usize,
) -> (Vec<Shown<'a>>, bool) {
    let page = statuses.map(|statuses| statuses.page(after, limit.saturating_add(1)));
    let mut page = page.unwrap_or_default();
    let has_more = page.len() > limit;
    page.truncate(limit);
    (page, has_more)
}

/// Writes the answer to a broadcast that all have been told, or are about to be.
pub fn write_broadcast_done(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    Answer::start(out, envelope, 204)
        .field("Cache-Control", b"no-store")
        .no_body(true);
}

fn write_json(out: &mut Vec<u8>, envelope: &Envelope<'_>, body: &[u8]) {
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body);
}
