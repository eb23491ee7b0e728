//! Answers about messages, and the JSON of messages, which sockets send, too.

use std::io::Write as _;

use floe_proto::{ChannelId, Event, EventKind, Page, StoredEvent, Unread};

use super::super::answer::{Lag, flag, json, lagging, moment, next, separated, text};
use crate::http::Envelope;

/// How much of some channels a user has not read.
#[derive(Debug, Clone, Copy)]
pub struct Unreads<'a> {
    /// The user.
    pub user: &'a str,
    /// The counts of the view.
    pub counts: &'a [Unread],
    /// How far the view is behind.
    pub lag: Lag,
}

/// Appends a message as it was said: `{sequence, id, channelId, author, content, createdAt, replyTo?,
/// data?, deleted?}`.
pub fn message_json(out: &mut Vec<u8>, channel: ChannelId, event: &Event<'_>) {
    message_open(out, channel, event);
    out.push(b'}');
}

/// Appends a message as the view has it: what [`message_json`] writes, and `editedAt?`, `reactions`,
/// `replies`, `pinned`, `pinnedBy?`, `pinnedAt?`.
pub fn stored_message_json(out: &mut Vec<u8>, stored: &StoredEvent) {
    message_open(out, stored.channel, &stored.event);
    if let Some(at) = stored.edited_at {
        moment(out, "editedAt", at);
    }
    out.extend_from_slice(b",\"reactions\":{");
    let counts = stored
        .reactions
        .iter()
        .map(|(emoji, count)| (&**emoji, *count));
    reactions_json(
        out,
        counts,
        stored.own_reactions.iter().map(|emoji| &**emoji),
    );
    let _ = write!(out, "}},\"replies\":{}", stored.replies);
    flag(out, "pinned", stored.pin.is_some());
    if let Some(pin) = &stored.pin {
        out.extend_from_slice(b",\"pinnedBy\":");
        text(out, &pin.author_id);
        moment(out, "pinnedAt", pin.at);
    }
    out.push(b'}');
}

/// Appends `"counts":{<emoji>:<count>…},"byMe":[<emoji>…]`.
pub fn reactions_json<'a>(
    out: &mut Vec<u8>,
    counts: impl Iterator<Item = (&'a str, u32)>,
    by_me: impl Iterator<Item = &'a str>,
) {
    out.extend_from_slice(b"\"counts\":{");
    for (at, (emoji, count)) in counts.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, emoji);
        let _ = write!(out, ":{count}");
    }
    out.extend_from_slice(b"},\"byMe\":[");
    for (at, emoji) in by_me.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        text(out, emoji);
    }
    out.push(b']');
}

/// Writes the answer to who said something; a repeat of a nonce is told from the first time by its
/// status.
pub fn write_said(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    channel: ChannelId,
    event: &Event<'_>,
    nonce: Option<&str>,
    duplicate: bool,
) {
    let mut body = Vec::new();
    message_open(&mut body, channel, event);
    if let Some(nonce) = nonce {
        body.extend_from_slice(b",\"nonce\":");
        text(&mut body, nonce);
    }
    body.push(b'}');
    json(out, envelope, if duplicate { 200 } else { 201 }, &body);
}

/// Writes the answer to who edited, deleted, pinned or reacted to a message: `{sequence,
/// eventSequence, author, …}`.
pub fn write_acted(out: &mut Vec<u8>, envelope: &Envelope<'_>, event: &Event<'_>) {
    let mut body = Vec::new();
    let _ = write!(
        body,
        "{{\"sequence\":{},\"eventSequence\":{},\"author\":",
        event.target_seq.unwrap_or_default(),
        event.seq
    );
    text(&mut body, &event.author_id);
    let content = event.content.as_deref().unwrap_or_default();
    match event.kind {
        EventKind::Edit => {
            body.extend_from_slice(b",\"content\":");
            text(&mut body, content);
            moment(&mut body, "editedAt", event.created_at);
        }
        EventKind::Reaction => {
            body.extend_from_slice(b",\"emoji\":");
            text(&mut body, content);
            flag(&mut body, "removed", event.removed);
        }
        EventKind::Pin => flag(&mut body, "pinned", !event.removed),
        EventKind::Deletion => flag(&mut body, "deleted", true),
        EventKind::Message => {}
    }
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes a page of messages; `applied` is the newest event that it takes into account.
pub fn write_messages(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    found: &Page<StoredEvent>,
    applied: u64,
    lag: Lag,
) {
    let mut body = Vec::with_capacity(64 + 256 * found.items.len());
    body.extend_from_slice(b"{\"messages\":[");
    separated(&mut body, &found.items, stored_message_json);
    let _ = write!(body, "],\"sequence\":{applied}");
    flag(&mut body, "hasMore", found.next.is_some());
    next(&mut body, found.next.as_deref());
    lagging(&mut body, lag);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes the versions of a message, which begin with the oldest; one that was never edited has one.
pub fn write_message_versions(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    found: &StoredEvent,
    versions: &[Event<'_>],
    lag: Lag,
) {
    let mut body = Vec::new();
    let _ = write!(body, "{{\"sequence\":{},\"versions\":[", found.event.seq);
    let whole = std::slice::from_ref(&found.event);
    let versions = if versions.is_empty() { whole } else { versions };
    separated(&mut body, versions, |body, version| {
        let _ = write!(body, "{{\"eventSequence\":{},\"author\":", version.seq);
        text(body, &version.author_id);
        body.extend_from_slice(b",\"content\":");
        text(body, version.content.as_deref().unwrap_or_default());
        moment(body, "createdAt", version.created_at);
        if version.deleted {
            flag(body, "deleted", true);
        }
        body.push(b'}');
    });
    body.push(b']');
    lagging(&mut body, lag);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes how far a user has read a channel.
pub fn write_marked(out: &mut Vec<u8>, envelope: &Envelope<'_>, channel: ChannelId, seq: u64) {
    let body = format!("{{\"channelId\":\"{channel}\",\"sequence\":{seq}}}");
    json(out, envelope, 200, body.as_bytes());
}

/// Writes how much a user has not read.
pub fn write_unreads(out: &mut Vec<u8>, envelope: &Envelope<'_>, unreads: &Unreads<'_>) {
    let mut body = b"{\"userId\":".to_vec();
    text(&mut body, unreads.user);
    body.extend_from_slice(b",\"channels\":[");
    separated(&mut body, unreads.counts, |body, counts| {
        let _ = write!(
            body,
            "{{\"channelId\":\"{}\",\"sequence\":{},\"head\":{},\"unread\":{},\"mentions\":{}}}",
            counts.channel, counts.after_seq, counts.applied, counts.unread, counts.mentions
        );
    });
    body.push(b']');
    lagging(&mut body, unreads.lag);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// A message without its closing brace.
fn message_open(out: &mut Vec<u8>, channel: ChannelId, event: &Event<'_>) {
    let seq = event.seq;
    let _ = write!(
        out,
        "{{\"sequence\":{seq},\"id\":\"{channel}-{seq}\",\"channelId\":\"{channel}\",\"author\":"
    );
    text(out, &event.author_id);
    out.extend_from_slice(b",\"content\":");
    text(out, event.content.as_deref().unwrap_or_default());
    moment(out, "createdAt", event.created_at);
    if let Some(reply_to) = event.reply_to {
        let _ = write!(out, ",\"replyTo\":{reply_to}");
    }
    if let Some(data) = &event.data {
        out.extend_from_slice(b",\"data\":");
        out.extend_from_slice(data.as_bytes());
    }
    if event.deleted {
        flag(out, "deleted", true);
    }
}
