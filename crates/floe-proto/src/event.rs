//! Events of a channel and their wire form, which is also their form in the log.

use std::borrow::Cow;
use std::io::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{ChannelId, Millis};

mod data;

pub use data::{DATA_DEPTH_MAX, DataError, MENTION_BYTES_MAX, MENTIONS_MAX, check_data, mentions};

/// One event of a channel.
///
/// Its sequence number is its place in the room's log, counted from 1; numbers are contiguous and
/// never reused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its place in the channel, from 1.
    pub seq: u64,
    /// What it says happened.
    pub kind: EventKind,
    /// Who caused it.
    pub author_id: Cow<'a, str>,
    /// The text of a message or of its new version, or the reaction.
    pub content: Option<Cow<'a, str>>,
    /// The event it is about: what is edited, reacted to, pinned or deleted.
    pub target_seq: Option<u64>,
    /// The message that a message answers.
    pub reply_to: Option<u64>,
    /// What a message carries besides its text: a JSON object, see [`check_data`].
    pub data: Option<Cow<'a, str>>,
    /// Whether a reaction or a pin is taken back.
    pub removed: bool,
    /// When the server took it.
    pub created_at: Millis,
    /// Whether it was deleted since; without `content` for all who may not see deleted events.
    pub deleted: bool,
}

/// What an event says happened. The words are on the wire; none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Somebody said something.
    Message,
    /// A message has a new version.
    Edit,
    /// Somebody reacted to a message, or took that back.
    Reaction,
    /// An event was deleted.
    Deletion,
    /// A message was pinned, so that everyone finds it, or that was taken back.
    Pin,
}

impl EventKind {
    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Edit => "edit",
            Self::Reaction => "reaction",
            Self::Deletion => "deletion",
            Self::Pin => "pin",
        }
    }
}

impl Event<'_> {
    /// Appends the event's JSON: one object, on one line, with its fields in a fixed order.
    pub fn write_json(&self, channel: ChannelId, out: &mut Vec<u8>) {
        // Writing to a vector cannot fail.
        let _ = write!(
            out,
            r#"{{"id":"{channel}-{seq}","seq":{seq},"type":"{}""#,
            self.kind.as_str(),
            seq = self.seq,
        );
        if !self.deleted || self.content.is_some() || self.kind == EventKind::Deletion {
            out.extend_from_slice(br#","authorId":"#);
            write_text(&self.author_id, out);
        }
        if let Some(target) = self.target_seq {
            let _ = write!(out, r#","targetSeq":{target}"#);
        }
        if let Some(content) = &self.content {
            out.extend_from_slice(br#","content":"#);
            write_text(content, out);
        }
        if let Some(reply_to) = self.reply_to {
            let _ = write!(out, r#","replyTo":{reply_to}"#);
        }
        if let Some(data) = &self.data {
            out.extend_from_slice(br#","data":"#);
            data::write_compact(data, out);
        }
        if self.removed {
            out.extend_from_slice(br#","removed":true"#);
        }
        let _ = write!(out, r#","createdAt":"{}""#, self.created_at.rfc3339());
        if self.deleted {
            out.extend_from_slice(br#","deleted":true"#);
        }
        out.push(b'}');
    }

    /// Reads what [`write_json`](Self::write_json) wrote; `None` for anything else.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Event<'_>> {
        let wire: WireEvent<'_> = serde_json::from_slice(json).ok()?;
        Some(Event {
            seq: wire.seq,
            kind: wire.kind,
            author_id: wire.author_id,
            content: wire.content,
            target_seq: wire.target_seq,
            reply_to: wire.reply_to,
            data: wire.data.map(|data| Cow::Borrowed(data.get())),
            removed: wire.removed,
            created_at: Millis::parse_rfc3339(&wire.created_at)?,
            deleted: wire.deleted,
        })
    }

    /// Returns what a reader sees of a deleted event: that it was there, and nothing else.
    #[must_use]
    pub const fn stub(seq: u64, kind: EventKind, created_at: Millis) -> Event<'static> {
        Event {
            seq,
            kind,
            author_id: Cow::Borrowed(""),
            content: None,
            target_seq: None,
            reply_to: None,
            data: None,
            removed: false,
            created_at,
            deleted: true,
        }
    }

    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Event<'static> {
        Event {
            seq: self.seq,
            kind: self.kind,
            author_id: Cow::Owned(self.author_id.into_owned()),
            content: self.content.map(|content| Cow::Owned(content.into_owned())),
            target_seq: self.target_seq,
            reply_to: self.reply_to,
            data: self.data.map(|data| Cow::Owned(data.into_owned())),
            removed: self.removed,
            created_at: self.created_at,
            deleted: self.deleted,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireEvent<'a> {
    seq: u64,
    #[serde(rename = "type")]
    kind: EventKind,
    #[serde(borrow, default)]
    author_id: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
    #[serde(default)]
    target_seq: Option<u64>,
    #[serde(default)]
    reply_to: Option<u64>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    removed: bool,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(default)]
    deleted: bool,
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // A string always has a JSON form, and writing to a vector cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHANNEL: ChannelId = ChannelId([0xab, 0, 0, 0, 0, 1]);

    fn json(event: &Event<'_>) -> String {
        let mut out = Vec::new();
        event.write_json(CHANNEL, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_wire_form_is_fixed() {
        let message = Event {
            seq: 7,
            kind: EventKind::Message,
            author_id: "ann".into(),
            content: Some("he said \"hi\"\n".into()),
            target_seq: None,
            reply_to: None,
            data: None,
            removed: false,
            created_at: Millis(1_700_000_000_123),
            deleted: false,
        };
        assert_eq!(
            json(&message),
            r#"{"id":"ab0000000001-7","seq":7,"type":"message","authorId":"ann","content":"he said \"hi\"\n","createdAt":"2023-11-14T22:13:20.123Z"}"#
        );
        let reply = Event {
            reply_to: Some(3),
            data: Some(r#"{ "files": [{"id":"a"},{"id":"b"}] }"#.into()),
            ..message.clone()
        };
        assert_eq!(
            json(&reply),
            r#"{"id":"ab0000000001-7","seq":7,"type":"message","authorId":"ann","content":"he said \"hi\"\n","replyTo":3,"data":{"files":[{"id":"a"}, {"id":"b"}]},"createdAt":"2023-11-14T22:13:20.123Z"}"#
        );
        let pin = Event {
            kind: EventKind::Pin,
            target_seq: Some(3),
            content: None,
            removed: true,
            ..message.clone()
        };
        assert_eq!(
            json(&pin),
            r#"{"id":"ab0000000001-7","seq":7,"type":"pin","authorId":"ann","targetSeq":3,"removed":true,"createdAt":"2023-11-14T22:13:20.123Z"}"#
        );
        let stub = Event::stub(7, EventKind::Message, message.created_at);
        assert_eq!(
            json(&stub),
            r#"{"id":"ab0000000001-7","seq":7,"type":"message","createdAt":"2023-11-14T22:13:20.123Z","deleted":true}"#
        );
        let deletion = Event {
            seq: 8,
            kind: EventKind::Deletion,
            target_seq: Some(7),
            content: None,
            ..message
        };
        assert_eq!(
            json(&deletion),
            r#"{"id":"ab0000000001-8","seq":8,"type":"deletion","authorId":"ann","targetSeq":7,"createdAt":"2023-11-14T22:13:20.123Z"}"#
        );
    }

    proptest! {
        #[test]
        fn events_round_trip(
            seq in 1..u64::MAX,
            author in ".{0,40}",
            content in proptest::option::of(".{0,80}"),
            target_seq in proptest::option::of(1..u64::MAX),
            reply_to in proptest::option::of(1..u64::MAX),
            data in proptest::option::of(".{0,40}"),
            removed: bool,
            at in 0..4_000_000_000_000_u64,
        ) {
            let data = data.map(|text| serde_json::json!({"text": text}).to_string());
            let event = Event {
                seq,
                kind: EventKind::Edit,
                author_id: author.into(),
                content: content.map(Into::into),
                target_seq,
                reply_to,
                data: data.map(Into::into),
                removed,
                created_at: Millis(at),
                deleted: false,
            };
            let json = json(&event);
            let has_boundary = json.contains("},{\"id\":\"");
            prop_assert!(!has_boundary);
            prop_assert_eq!(Event::parse(json.as_bytes()), Some(event));
        }

        #[test]
        fn hostile_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Event::parse(&bytes);
        }
    }
}
