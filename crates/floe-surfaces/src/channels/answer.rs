//! Answers in every form.

use std::io::Write as _;

use floe_core::channel::SlowPolicy;
use floe_proto::{ChannelId, ChannelMeta, Event, Millis, Page, StoredEvent};
use serde::Serialize;

use super::route::Form;
use super::sse::number;
use crate::http::{Answer, Envelope, preflight_for};
use crate::live::{LIVE_PATH, Member};

/// How far the view is behind the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Lag {
    /// Events that it does not have yet.
    pub events: u64,
    /// Milliseconds since the oldest of them.
    pub ms: u64,
}

/// One page of those who are in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence<'a> {
    /// Whose members they are.
    pub channel: ChannelId,
    /// How many members there are, on all pages.
    pub count: u64,
    /// Those of this page.
    pub members: &'a [Member<'a>],
    /// Hand this in as `after` for what follows; `None` at the end.
    pub next: Option<&'a str>,
}

/// Writes the answer to a create, which alone shows the secret.
pub fn write_created(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    meta: &ChannelMeta,
    slow: SlowPolicy,
    secret: &str,
) {
    let mut body = b"{\"metadata\":".to_vec();
    metadata(&mut body, form, meta, Some(slow));
    body.extend_from_slice(b",\"secret\":");
    text(&mut body, secret);
    body.push(b'}');
    let answer = Answer::start(out, envelope, made(form));
    let answer = if form.is_kept() {
        answer
    } else {
        let location = format!("/v1/channels/{}", meta.id);
        answer.field("Location", location.as_bytes())
    };
    finish(answer, &body);
}

/// Writes a channel's metadata: the answer to a question for it, and to a change.
pub fn write_channel(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    meta: &ChannelMeta,
    slow: SlowPolicy,
) {
    let mut body = b"{\"metadata\":".to_vec();
    metadata(&mut body, form, meta, Some(slow));
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes a page of channels.
pub fn write_channels(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    page: &Page<ChannelMeta>,
    lag: Lag,
) {
    let mut body = Vec::with_capacity(64 + 200 * page.items.len());
    body.extend_from_slice(b"{\"");
    body.extend_from_slice(form.list_name().as_bytes());
    body.extend_from_slice(b"\":[");
    separated(&mut body, &page.items, |body, meta| {
        metadata(body, form, meta, None);
    });
    body.push(b']');
    page_end(&mut body, page.next.as_deref(), lag);
    json(out, envelope, 200, &body);
}

/// Writes the event that a request caused; `event` is its JSON.
///
/// A repeat that changed nothing is told from the first time by its status under `/v1`.
pub fn write_event(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    event: &[u8],
    duplicate: bool,
) {
    let mut body = Vec::with_capacity(event.len() + 16);
    body.extend_from_slice(b"{\"event\":");
    body.extend_from_slice(event.strip_suffix(b",").unwrap_or(event));
    body.push(b'}');
    json(out, envelope, appended(form, duplicate), &body);
}

/// Writes the events that an append of several caused, from the bytes of the log.
pub fn write_batch(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    events: &[u8],
    duplicate: bool,
) {
    let mut body = Vec::with_capacity(events.len() + 16);
    event_list(&mut body, [events]);
    body.push(b'}');
    json(out, envelope, appended(form, duplicate), &body);
}

/// Writes events that were read.
///
/// Each of `parts` holds one event or several that follow each other with commas, as the log has
/// them; a last comma is no matter.
pub fn write_events<'a>(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    parts: impl IntoIterator<Item = &'a [u8]>,
    has_more: bool,
) {
    let mut body = Vec::new();
    event_list(&mut body, parts);
    flag(&mut body, "hasMore", has_more);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes the answer to a long-poll, with or without events.
///
/// `next_after_seq` is what to ask with next. `parts` are as for [`write_events`].
pub fn write_polled<'a>(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    parts: impl IntoIterator<Item = &'a [u8]>,
    next_after_seq: u64,
    has_more: bool,
) {
    let mut body = Vec::new();
    event_list(&mut body, parts);
    flag(&mut body, "hasMore", has_more);
    body.extend_from_slice(b",\"nextAfterSeq\":");
    number(&mut body, next_after_seq);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes one event with all that later ones said of it; `versions` begins with the oldest.
pub fn write_found(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    found: &StoredEvent,
    versions: &[Event<'_>],
    lag: Lag,
) {
    let mut body = b"{\"event\":".to_vec();
    stored(&mut body, found, false);
    body.extend_from_slice(b",\"versions\":[");
    separated(&mut body, versions, |body, version| {
        version.write_json(found.channel, body);
    });
    body.push(b']');
    lagging(&mut body, lag);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes a page of the answer to a query.
pub fn write_queried(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    page: &Page<StoredEvent>,
    lag: Lag,
) {
    stored_page(out, envelope, page, lag, false);
}

/// Writes a page of the answer to a search: as to a query, with `rank` and `snippet`.
///
/// A snippet is a list of pieces in their order, those that were searched for with
/// `"match":true`, so that whoever shows them need neither escape nor parse anything.
pub fn write_hits(out: &mut Vec<u8>, envelope: &Envelope<'_>, page: &Page<StoredEvent>, lag: Lag) {
    stored_page(out, envelope, page, lag, true);
}

/// Writes a token, and the moment at which it really ends.
pub fn write_token(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    form: Form,
    token: &str,
    expires_at: Millis,
) {
    let mut body = b"{\"token\":".to_vec();
    text(&mut body, token);
    moment(&mut body, "expiresAt", expires_at);
    body.push(b'}');
    json(out, envelope, made(form), &body);
}

/// Writes a channel's new secret.
pub fn write_secret(out: &mut Vec<u8>, envelope: &Envelope<'_>, channel: ChannelId, secret: &str) {
    let mut body = Vec::new();
    open_with_channel(&mut body, channel);
    body.extend_from_slice(b",\"secret\":");
    text(&mut body, secret);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Returns the WebSocket address on a server whose HTTP address is `base`.
#[must_use]
pub fn realtime_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    let rest = base.strip_prefix("http");
    format!("ws{}{LIVE_PATH}", rest.unwrap_or(base))
}

/// Writes where a channel's WebSocket is, and the room to join there.
pub fn write_realtime(out: &mut Vec<u8>, envelope: &Envelope<'_>, channel: ChannelId, url: &str) {
    let mut body = Vec::new();
    open_with_channel(&mut body, channel);
    body.extend_from_slice(b",\"url\":");
    text(&mut body, url);
    let _ = write!(body, ",\"room\":\"channel/{channel}\"}}");
    json(out, envelope, 200, &body);
}

/// Writes a page of those who are in a channel.
pub fn write_presence(out: &mut Vec<u8>, envelope: &Envelope<'_>, presence: &Presence<'_>) {
    let mut body = Vec::new();
    open_with_channel(&mut body, presence.channel);
    body.extend_from_slice(b",\"count\":");
    number(&mut body, presence.count);
    body.extend_from_slice(b",\"members\":[");
    separated(&mut body, presence.members, |body, member| {
        body.extend_from_slice(b"{\"user\":");
        text(body, member.user);
        moment(body, "since", member.since);
        if let Some(data) = member.data {
            body.extend_from_slice(b",\"data\":");
            body.extend_from_slice(data.as_bytes());
        }
        body.push(b'}');
    });
    body.push(b']');
    next(&mut body, presence.next);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes that it was done.
pub fn write_success(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    json(out, envelope, 200, b"{\"success\":true}");
}

/// Writes the answer to a ping.
pub fn write_pong(out: &mut Vec<u8>, envelope: &Envelope<'_>, now: Millis) {
    let mut body = b"{\"message\":\"pong\"".to_vec();
    moment(&mut body, "timestamp", now);
    body.push(b'}');
    json(out, envelope, 200, &body);
}

/// Writes the description of this surface.
pub fn write_openapi(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    let answer = Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"public, max-age=300");
    answer.body(OPENAPI.as_bytes());
}

/// Writes the answer to a CORS preflight.
pub fn write_preflight(out: &mut Vec<u8>, envelope: &Envelope<'_>, form: Form) {
    let (methods, headers): (&[u8], &[u8]) = match form {
        Form::V1 => (
            b"GET, HEAD, PUT, POST, PATCH, DELETE, OPTIONS",
            b"Authorization, Content-Type, X-Channel-Token, X-Log-Token, Idempotency-Key, \
            Last-Event-ID",
        ),
        Form::Channel => (
            b"GET, HEAD, POST, OPTIONS",
            b"Authorization, Content-Type, X-Channel-Token",
        ),
        Form::Log => (
            b"GET, HEAD, POST, OPTIONS",
            b"Authorization, Content-Type, X-Log-Token",
        ),
    };
    preflight_for(out, envelope, methods, headers);
}

/// The `OpenAPI` document of this surface.
pub(super) const OPENAPI: &str = include_str!("../../../../docs/openapi.json");

const fn made(form: Form) -> u16 {
    if form.is_kept() { 200 } else { 201 }
}

const fn appended(form: Form, duplicate: bool) -> u16 {
    if duplicate { 200 } else { made(form) }
}

pub(super) fn json(out: &mut Vec<u8>, envelope: &Envelope<'_>, status: u16, body: &[u8]) {
    finish(Answer::start(out, envelope, status), body);
}

fn finish(answer: Answer<'_>, body: &[u8]) {
    answer
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body);
}

/// The kept form knows four fields; the rest came later.
fn metadata(body: &mut Vec<u8>, form: Form, meta: &ChannelMeta, slow: Option<SlowPolicy>) {
    body.extend_from_slice(b"{\"");
    body.extend_from_slice(form.id_name().as_bytes());
    // Writing to a vector cannot fail.
    let _ = write!(body, "\":\"{}\",\"name\":", meta.id);
    text(body, &meta.name);
    body.extend_from_slice(b",\"ownerNamespace\":");
    text(body, &meta.owner);
    moment(body, "createdAt", meta.created_at);
    if form.is_kept() {
        body.push(b'}');
        return;
    }
    let count = (meta.head + 1).saturating_sub(meta.start.max(1));
    let _ = write!(
        body,
        r#","headSeq":{},"startSeq":{},"eventCount":{count},"retention":"#,
        meta.head, meta.start,
    );
    // Numbers always serialize.
    let _ = serde_json::to_writer(&mut *body, &meta.retention);
    match slow {
        Some(SlowPolicy::Disconnect) => body.extend_from_slice(b",\"slow\":\"disconnect\""),
        Some(SlowPolicy::Conflate) => body.extend_from_slice(b",\"slow\":\"conflate\""),
        None => {}
    }
    match meta.deleted_at {
        Some(at) => moment(body, "deletedAt", at),
        None => body.extend_from_slice(b",\"deletedAt\":null"),
    }
    body.push(b'}');
}

fn stored_page(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    page: &Page<StoredEvent>,
    lag: Lag,
    found: bool,
) {
    let mut body = Vec::with_capacity(64 + 256 * page.items.len());
    body.extend_from_slice(b"{\"events\":[");
    separated(&mut body, &page.items, |body, event| {
        stored(body, event, found);
    });
    body.push(b']');
    page_end(&mut body, page.next.as_deref(), lag);
    json(out, envelope, 200, &body);
}

/// An event as the log has it, with more fields at its end.
fn stored(body: &mut Vec<u8>, stored: &StoredEvent, found: bool) {
    stored.event.write_json(stored.channel, body);
    body.pop();
    let _ = write!(body, r#","channelId":"{}""#, stored.channel);
    if let Some(at) = stored.edited_at {
        moment(body, "editedAt", at);
    }
    body.extend_from_slice(b",\"reactions\":[");
    separated(body, &stored.reactions, |body, (reaction, count)| {
        body.extend_from_slice(b"{\"reaction\":");
        text(body, reaction);
        let _ = write!(body, ",\"count\":{count}}}");
    });
    body.push(b']');
    if found {
        if let Some(rank) = stored.rank {
            body.extend_from_slice(b",\"rank\":");
            // What is no number of JSON is written as null.
            let _ = serde_json::to_writer(&mut *body, &rank);
        }
        body.extend_from_slice(b",\"snippet\":[");
        let snippet: Vec<_> = pieces(stored.snippet.as_deref().unwrap_or_default()).collect();
        separated(body, &snippet, |body, (matches, piece)| {
            body.extend_from_slice(b"{\"text\":");
            text(body, piece);
            let _ = write!(body, ",\"match\":{matches}}}");
        });
        body.push(b']');
    }
    body.push(b'}');
}

/// Splits a snippet at the marks around what was searched for.
fn pieces(snippet: &str) -> impl Iterator<Item = (bool, &str)> {
    let mut rest = snippet;
    let mut inside = false;
    let all = std::iter::from_fn(move || {
        let at = rest.find(['\u{2}', '\u{3}']);
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(at.unwrap_or(rest.len()));
        let was_inside = inside;
        inside = after.starts_with('\u{2}');
        rest = after.get(1..).unwrap_or_default();
        Some((was_inside, piece))
    });
    all.filter(|(_, piece)| !piece.is_empty())
}

fn event_list<'a>(body: &mut Vec<u8>, parts: impl IntoIterator<Item = &'a [u8]>) {
    body.extend_from_slice(b"{\"events\":[");
    let mut first = true;
    for part in parts {
        let part = part.strip_suffix(b",").unwrap_or(part);
        if part.is_empty() {
            continue;
        }
        if !first {
            body.push(b',');
        }
        first = false;
        body.extend_from_slice(part);
    }
    body.push(b']');
}

fn page_end(body: &mut Vec<u8>, cursor: Option<&str>, lag: Lag) {
    flag(body, "hasMore", cursor.is_some());
    next(body, cursor);
    lagging(body, lag);
    body.push(b'}');
}

pub(super) fn next(body: &mut Vec<u8>, cursor: Option<&str>) {
    body.extend_from_slice(b",\"next\":");
    match cursor {
        Some(cursor) => text(body, cursor),
        None => body.extend_from_slice(b"null"),
    }
}

pub(super) fn lagging(body: &mut Vec<u8>, lag: Lag) {
    body.extend_from_slice(b",\"lag\":");
    // Numbers always serialize.
    let _ = serde_json::to_writer(&mut *body, &lag);
}

fn open_with_channel(body: &mut Vec<u8>, channel: ChannelId) {
    let _ = write!(body, "{{\"channelId\":\"{channel}\"");
}

pub(super) fn flag(body: &mut Vec<u8>, name: &str, value: bool) {
    let _ = write!(body, ",\"{name}\":{value}");
}

pub(super) fn moment(body: &mut Vec<u8>, name: &str, at: Millis) {
    let _ = write!(body, ",\"{name}\":\"{}\"", at.rfc3339());
}

pub(super) fn text(body: &mut Vec<u8>, text: &str) {
    // A string always has a JSON form, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(&mut *body, text);
}

pub(super) fn separated<T>(body: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            body.push(b',');
        }
        write(body, item);
    }
}
