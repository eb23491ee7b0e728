//! Answers of the protocol.

use std::fmt::Write as _;

use floe_core::{AppendError, ContentType, Edge, Lifetime, Room};
use floe_proto::{Millis, Offset, RoomId};

use crate::http::{Answer, Envelope, error_with};

/// Writes the answer to a create: 201 when the stream is new, 200 when it was there.
pub fn write_created(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    new: bool,
    location: (Option<&str>, &str),
    content_type: &str,
    edge: Edge,
) {
    let answer = Answer::start(out, envelope, if new { 201 } else { 200 });
    let answer = match location {
        (Some(host), path) if new => answer.foreign("Location", &format!("http://{host}{path}")),
        (None, path) if new => answer.foreign("Location", path),
        _ => answer,
    };
    let answer = answer
        .foreign("Content-Type", content_type)
        .field("Stream-Next-Offset", &Offset(edge.tail).wire());
    closed(answer, edge.closed).no_body(false);
}

/// Writes the answer to an append: 204, or 200 for new data of a producer.
pub fn write_appended(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    edge: Edge,
    producer: Option<(u64, u64)>,
    new_data: bool,
) {
    let status = if producer.is_some() && new_data {
        200
    } else {
        204
    };
    let answer =
        Answer::start(out, envelope, status).field("Stream-Next-Offset", &Offset(edge.tail).wire());
    let answer = closed(answer, edge.closed);
    match producer {
        Some((epoch, seq)) => answer
            .number("Producer-Epoch", epoch)
            .number("Producer-Seq", seq),
        None => answer,
    }
    .no_body(status == 204);
}

/// Writes the answer to an append that a room refused.
pub fn write_append_error(out: &mut Vec<u8>, envelope: &Envelope<'_>, refused: &AppendError) {
    let message = refused.to_string();
    error_with(
        out,
        envelope,
        refused.code(),
        &message,
        |answer| match *refused {
            AppendError::Closed { tail } => {
                closed(answer, true).field("Stream-Next-Offset", &Offset(tail).wire())
            }
            AppendError::ProducerFenced { epoch } => answer.number("Producer-Epoch", epoch),
            AppendError::ProducerGap { expected, received } => answer
                .number("Producer-Expected-Seq", expected)
                .number("Producer-Received-Seq", received),
            AppendError::Gone
            | AppendError::ContentType
            | AppendError::SequenceRegression
            | AppendError::ProducerEpochStart
            | AppendError::Full
            | AppendError::Channel => answer,
        },
    );
}

/// Writes the answer to a HEAD.
pub fn write_described(out: &mut Vec<u8>, envelope: &Envelope<'_>, room: &Room) {
    let edge = room.visible();
    let answer = Answer::start(out, envelope, 200)
        .foreign("Content-Type", room.content_type().as_str())
        .field("Stream-Next-Offset", &Offset(edge.tail).wire())
        .field("Cache-Control", b"no-store");
    let answer = closed(answer, edge.closed);
    match room.lifetime() {
        Lifetime::Unlimited => answer,
        Lifetime::Ttl(seconds) => answer.number("Stream-TTL", seconds),
        Lifetime::ExpiresAt(at) => answer.field("Stream-Expires-At", rfc3339(at).as_bytes()),
    }
    .no_body(true);
}

/// Writes the answer to a DELETE.
pub fn write_deleted(out: &mut Vec<u8>, envelope: &Envelope<'_>) {
    Answer::start(out, envelope, 204).no_body(true);
}

/// What a read found, besides the bytes.
#[derive(Debug, Clone, Copy)]
pub struct ReadAnswer<'a> {
    /// The stream's identity, for the entity tag.
    pub room: RoomId,
    /// Content type of the stream.
    pub content_type: &'a ContentType,
    /// First unit returned.
    pub from: u64,
    /// Unit after the last one returned.
    pub next: u64,
    /// The visible edge at the time of the read.
    pub edge: Edge,
    /// The live cursor; `None` for catch-up and closed streams.
    pub cursor: Option<u64>,
    /// Whether the client asked for the tail, which no cache may keep.
    pub now: bool,
    /// The request's `If-None-Match`.
    pub if_none_match: Option<&'a str>,
    /// Bytes that will follow, brackets included.
    pub body_len: u64,
}

impl ReadAnswer<'_> {
    const fn at_tail(&self) -> bool {
        self.next == self.edge.tail
    }

    fn tag(&self) -> String {
        let mut tag = String::with_capacity(48);
        let state = if self.edge.closed && self.at_tail() {
            "c"
        } else {
            ""
        };
        // Writing to a string cannot fail.
        let _ = write!(
            tag,
            "\"{:x}-{:x}-{:x}{state}\"",
            self.room.0, self.from, self.next
        );
        tag
    }
}

/// Writes the head of an answer with data, or a 304, and returns whether the body follows.
pub fn write_read(out: &mut Vec<u8>, envelope: &Envelope<'_>, read: &ReadAnswer<'_>) -> bool {
    let tag = (!read.now).then(|| read.tag());
    let unchanged = match (&tag, read.if_none_match) {
        (Some(tag), Some(given)) => given
            .split(',')
            .any(|one| one.trim().trim_start_matches("W/") == tag || one.trim() == "*"),
        (None, _) | (_, None) => false,
    };
    // Browsers on other sites read streams, and a shared cache must not mix the two kinds of answer.
    let envelope = envelope.said();
    let answer = Answer::start(out, &envelope, if unchanged { 304 } else { 200 })
        .field("Stream-Next-Offset", &Offset(read.next).wire())
        .maybe("Stream-Up-To-Date", read.at_tail().then_some(b"true"))
        .maybe("ETag", tag.as_deref().map(str::as_bytes))
        .field("Cache-Control", read_caching(read));
    let answer = closed(answer, read.edge.closed && read.at_tail());
    let answer = match read.cursor {
        Some(cursor) => answer.number("Stream-Cursor", cursor),
        None => answer,
    };
    if unchanged {
        answer.no_body(true);
        return false;
    }
    answer
        .foreign("Content-Type", read.content_type.as_str())
        .body_follows(read.body_len);
    !envelope.head
}

/// What ends at the tail of an open stream changes with the next append, so a cache must ask; the
/// rest never changes.
fn read_caching(read: &ReadAnswer<'_>) -> &'static [u8] {
    if read.now {
        b"no-store"
    } else if read.cursor.is_none() && read.at_tail() && !read.edge.closed {
        b"public, no-cache"
    } else {
        b"public, max-age=60, stale-while-revalidate=300"
    }
}

/// Writes the answer of a long-poll that ends without data: 204.
pub fn write_up_to_date(out: &mut Vec<u8>, envelope: &Envelope<'_>, edge: Edge, cursor: u64) {
    let answer = Answer::start(out, &envelope.said(), 204)
        .field("Stream-Next-Offset", &Offset(edge.tail).wire())
        .field("Stream-Up-To-Date", b"true")
        .field("Cache-Control", b"no-store");
    let answer = closed(answer, edge.closed);
    let answer = if edge.closed {
        answer
    } else {
        answer.number("Stream-Cursor", cursor)
    };
    answer.no_body(true);
}

fn closed<'a>(answer: Answer<'a>, closed: bool) -> Answer<'a> {
    answer.maybe("Stream-Closed", closed.then_some(b"true"))
}

fn rfc3339(at: Millis) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}
