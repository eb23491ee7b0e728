//! What an `append` carries.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use floe_proto::EventKind;

use super::fields::{Field, Fields, Problem};
use super::{BATCH_EVENTS_MAX, USER_BYTES_MAX};
use crate::json::Messages;

/// What is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendBody<'a> {
    /// One event of a channel.
    Event(Draft<'a>),
    /// Several events of a channel, all or none; at least one.
    Events(Vec<Draft<'a>>),
    /// A text, for a stream of text or bytes.
    Content(Cow<'a, str>),
    /// A JSON value: a message of a JSON stream, or bytes in base64.
    Data(&'a str),
    /// A JSON array: messages of a JSON stream, at least one.
    Batch(&'a str),
}

/// An event of a channel before the server has stamped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft<'a> {
    /// What it says happened.
    pub kind: EventKind,
    /// The text of a message or of its new version, or the reaction; none in a deletion or a pin.
    /// That of a message is empty only beside data.
    pub content: Option<Cow<'a, str>>,
    /// The event it is about; none in a message.
    pub target_seq: Option<u64>,
    /// The message that a message answers.
    pub reply_to: Option<u64>,
    /// What a message carries besides its text; JSON that the host has yet to check.
    pub data: Option<&'a str>,
    /// Whether a reaction or a pin is taken back.
    pub removed: bool,
    /// Who caused it, where the client may say so.
    pub author_id: Option<Cow<'a, str>>,
}

impl<'a> AppendBody<'a> {
    /// Fields of an `append` that make up its body.
    pub(super) const FIELDS: [Field; 8] = [
        Field::Content,
        Field::ReplyTo,
        Field::Data,
        Field::Events,
        Field::Kind,
        Field::TargetSeq,
        Field::Removed,
        Field::AuthorId,
    ];

    pub(super) fn read(fields: &Fields<'a>, channel: bool) -> Result<Self, Problem> {
        let batch = fields.list(Field::Events, BATCH_EVENTS_MAX)?;
        if channel {
            return match batch {
                None => Draft::read(fields).map(Self::Event),
                Some(batch) => Self::read_batch(fields, &batch),
            };
        }
        for field in [
            Field::Kind,
            Field::TargetSeq,
            Field::ReplyTo,
            Field::Removed,
            Field::AuthorId,
        ] {
            if fields.raw(field)?.is_some() {
                return Err(Problem::value(format!(
                    "`{}` is for channels; the room is a stream",
                    field.name()
                )));
            }
        }
        let content = fields.text(Field::Content, usize::MAX)?;
        let messages = fields.raw(Field::Events)?;
        match (content, fields.raw(Field::Data)?, messages) {
            (Some(content), None, None) => Ok(Self::Content(content)),
            (None, Some(data), None) => Ok(Self::Data(data)),
            (None, None, Some(messages)) => Ok(Self::Batch(messages)),
            _ => Err(Problem::shape(
                "exactly one of `content`, `data` and `events` must be there",
            )),
        }
    }

    fn read_batch(fields: &Fields<'a>, batch: &[&'a str]) -> Result<Self, Problem> {
        for field in [
            Field::Content,
            Field::Data,
            Field::Kind,
            Field::TargetSeq,
            Field::ReplyTo,
            Field::Removed,
        ] {
            if fields.raw(field)?.is_some() {
                return Err(Problem::shape(format!(
                    "`{}` stands beside `events` instead of in one of them",
                    field.name()
                )));
            }
        }
        let author_id = fields.word(Field::AuthorId, USER_BYTES_MAX)?;
        let drafts = batch.iter().enumerate().map(|(at, json)| {
            let mut draft = Fields::read(json)
                .and_then(|fields| {
                    fields.only("an event", &[&Draft::FIELDS])?;
                    Draft::read(&fields)
                })
                .map_err(|problem| {
                    Problem::new(problem.code, format!("events[{at}]: {}", problem.message))
                })?;
            draft.author_id = draft.author_id.or_else(|| author_id.clone());
            Ok(draft)
        });
        drafts.collect::<Result<_, _>>().map(Self::Events)
    }

    /// Turns what goes into a stream into the form of its log: messages of a JSON stream, else
    /// bytes, without any `lens`.
    ///
    /// # Errors
    /// The body does not fit the kind of stream; `out` is then empty.
    pub fn stream_payload(&self, json: bool, out: &mut Messages) -> Result<(), Problem> {
        out.bytes.clear();
        out.lens.clear();
        match (self, json) {
            (Self::Data(message), true) => {
                out.push(message.as_bytes());
                Ok(())
            }
            (Self::Batch(messages), true) => out
                .split(messages.as_bytes())
                .map_err(|error| Problem::shape(format!("`events` cannot be read: {error}"))),
            (Self::Content(text), false) => {
                out.bytes.extend_from_slice(text.as_bytes());
                Ok(())
            }
            (Self::Data(data), false) => {
                let text: Cow<'_, str> = serde_json::from_str(data)
                    .map_err(|_| Problem::value("`data` for a stream of bytes is not a string"))?;
                STANDARD
                    .decode_vec(text.as_bytes(), &mut out.bytes)
                    .map_err(|_| {
                        out.bytes.clear();
                        Problem::value("`data` for a stream of bytes is not base64")
                    })
            }
            (Self::Content(_), true) => Err(Problem::value(
                "`content` is for text and channels; a JSON stream takes `data` or `events`",
            )),
            (Self::Batch(_), false) => Err(Problem::value(
                "`events` is for channels and JSON streams; this stream takes `content` or `data`",
            )),
            (Self::Event(_) | Self::Events(_), _) => Err(Problem::value(
                "an event of a channel cannot go into a stream",
            )),
        }
    }
}

impl<'a> Draft<'a> {
    const FIELDS: [Field; 7] = [
        Field::Content,
        Field::Data,
        Field::Kind,
        Field::TargetSeq,
        Field::ReplyTo,
        Field::Removed,
        Field::AuthorId,
    ];

    fn read(fields: &Fields<'a>) -> Result<Self, Problem> {
        let kind = match fields.text(Field::Kind, usize::MAX)?.as_deref() {
            None | Some("message") => EventKind::Message,
            Some("edit") => EventKind::Edit,
            Some("reaction") => EventKind::Reaction,
            Some("deletion") => EventKind::Deletion,
            Some("pin") => EventKind::Pin,
            Some(_) => {
                return Err(Problem::value(
                    "`kind` is none of message, edit, reaction, deletion and pin",
                ));
            }
        };
        let data = fields.raw(Field::Data)?.filter(|data| *data != "null");
        let mut content = fields.text(Field::Content, usize::MAX)?;
        if kind == EventKind::Message && data.is_some() {
            // A picture needs no words.
            content.get_or_insert_default();
        }
        let draft = Self {
            kind,
            content,
            target_seq: fields.number(Field::TargetSeq)?,
            reply_to: fields.number(Field::ReplyTo)?,
            data,
            removed: fields.boolean(Field::Removed)?.unwrap_or(false),
            author_id: fields.word(Field::AuthorId, USER_BYTES_MAX)?,
        };
        draft.check()?;
        Ok(draft)
    }

    /// Refuses what the kind cannot have or lacks what it must have.
    fn check(&self) -> Result<(), Problem> {
        let kind = self.kind.as_str();
        let has_content = !matches!(self.kind, EventKind::Deletion | EventKind::Pin);
        let has_target = self.kind != EventKind::Message;
        for (field, there, wanted) in [
            (Field::Content, self.content.is_some(), has_content),
            (Field::TargetSeq, self.target_seq.is_some(), has_target),
        ] {
            match (there, wanted) {
                (true, false) => {
                    return Err(Problem::value(format!(
                        "a {kind} has no `{}`",
                        field.name()
                    )));
                }
                (false, true) => {
                    return Err(Problem::shape(format!("`{}` is missing", field.name())));
                }
                (true, true) | (false, false) => {}
            }
        }
        if self.kind != EventKind::Message {
            for (field, there) in [
                (Field::ReplyTo, self.reply_to.is_some()),
                (Field::Data, self.data.is_some()),
            ] {
                if there {
                    let name = field.name();
                    return Err(Problem::value(format!("a {kind} has no `{name}`")));
                }
            }
        }
        for (field, seq) in [
            (Field::TargetSeq, self.target_seq),
            (Field::ReplyTo, self.reply_to),
        ] {
            if seq == Some(0) {
                let name = field.name();
                return Err(Problem::value(format!("`{name}` counts from 1")));
            }
        }
        if self.removed && !matches!(self.kind, EventKind::Reaction | EventKind::Pin) {
            return Err(Problem::value("only a reaction or a pin can be `removed`"));
        }
        Ok(())
    }
}
