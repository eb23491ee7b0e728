//! What each request should be told.

use super::{Answer, Content, Expected, Life, Model, Op, Stream};
use crate::command::{Append, Body, Create};

impl Model {
    /// Says what should come of a create; `uid` is the number of the stream if one is made.
    pub fn judge_create(&self, create: &Create, uid: u64, now: u64) -> Expected {
        match self.find(&create.name) {
            Some((_, stream)) => self.judge_again(create, stream),
            None => self.judge_new(create, uid, now),
        }
    }

    fn judge_again(&self, create: &Create, stream: &Stream) -> Expected {
        let forks = match &create.fork {
            None => stream.source.is_none(),
            Some(fork) => {
                let Some((source, _)) = self.find(&fork.source) else {
                    return Expected::refused("NOT_FOUND");
                };
                let at = fork.at.map(|at| at + fork.beyond);
                stream
                    .source
                    .is_some_and(|(uid, until)| uid == source && at.is_none_or(|at| at == until))
            }
        };
        let inherits = create.fork.is_some();
        let same_type = match create.content_type {
            Some(wanted) => media_type(wanted) == media_type(&stream.content_type),
            None => inherits || media_type(&stream.content_type) == OCTETS,
        };
        let same_life = match create.life {
            Some(life) => life == stream.life,
            None => inherits || stream.life == Life::Forever,
        };
        let same_close = create.closed == stream.closed;
        if forks && same_type && same_life && same_close && !stream.soft_deleted {
            Expected::answer(Answer::Created {
                new: false,
                tail: stream.tail(),
                closed: stream.closed,
                content_type: stream.content_type.clone(),
            })
        } else {
            Expected::refused("EXISTS")
        }
    }

    fn judge_new(&self, create: &Create, uid: u64, now: u64) -> Expected {
        let mut content_type = create.content_type.unwrap_or(OCTETS).to_owned();
        let mut life = create.life.unwrap_or(Life::Forever);
        let mut inherited = None;
        if let Some(fork) = &create.fork {
            let Some((source_uid, source)) = self.find(&fork.source) else {
                return Expected::refused("NOT_FOUND");
            };
            if source.soft_deleted {
                return Expected::refused("EXISTS");
            }
            if create.content_type.is_none() {
                content_type.clone_from(&source.content_type);
            }
            if media_type(&content_type) != media_type(&source.content_type) {
                return Expected::refused("CONTENT_TYPE_MISMATCH");
            }
            let at = fork.at.unwrap_or(source.tail()) + fork.beyond;
            if at > source.tail() {
                return Expected::refused("INVALID_FORK");
            }
            life = create.life.unwrap_or(source.life);
            inherited = Some((source_uid, at, source.content.prefix(at)));
        }
        let json = media_type(&content_type) == JSON;
        // Without a content type a body is bytes, which a JSON stream cannot take.
        let body_is_json = create.content_type.is_some_and(|it| media_type(it) == JSON);
        if json != body_is_json && !create.body.is_empty() {
            return Expected::refused("CONTENT_TYPE_REQUIRED");
        }
        let mut stream = Self::stream(&create.name, &content_type, life, Content::empty(json), now);
        if let Some((source, at, content)) = inherited {
            stream.source = Some((source, at));
            stream.content = content;
        }
        stream.content.extend(&create.body.content(json));
        stream.closed = create.closed;
        Expected {
            answer: Answer::Created {
                new: true,
                tail: stream.tail(),
                closed: stream.closed,
                content_type,
            },
            op: Some(Op::Create {
                uid,
                stream: Box::new(stream),
            }),
        }
    }

    /// Says what should come of an append.
    pub fn judge_append(&self, append: &Append, producers_max: usize, now: u64) -> Expected {
        let Some((uid, stream)) = self.find(&append.name) else {
            return Expected::refused("NOT_FOUND");
        };
        if stream.soft_deleted {
            return Expected::refused("GONE");
        }
        if stream.closed {
            return judge_closed(append, stream);
        }
        let has_body = !append.body.is_empty();
        if has_body && media_type(append.content_type) != media_type(&stream.content_type) {
            return Expected::refused("CONTENT_TYPE_MISMATCH");
        }
        if let Some((_, epoch, _)) = &append.producer {
            match stream.judge_producer(append) {
                Verdict::Next => {}
                Verdict::Duplicate(last) => {
                    return Expected::answer(Answer::Appended {
                        tail: stream.tail(),
                        closed: false,
                        producer: Some((*epoch, last)),
                        new_data: false,
                    });
                }
                Verdict::Refused(code, numbers) => {
                    return Expected::answer(Answer::Refused(code, numbers));
                }
            }
        }
        if let (Some(new), Some(last)) = (&append.seq, &stream.seq)
            && new.as_bytes() <= last.as_bytes()
        {
            return Expected::refused("SEQUENCE_REGRESSION");
        }
        if let Some((id, ..)) = &append.producer
            && !stream.producers.contains_key(id)
            && stream.producers.len() >= producers_max
        {
            return Expected::refused("LIMIT_REACHED");
        }
        let content = append.body.content(stream.content.json);
        Expected {
            answer: Answer::Appended {
                tail: stream.tail() + content.units(),
                closed: append.close,
                producer: append
                    .producer
                    .as_ref()
                    .map(|(_, epoch, seq)| (*epoch, *seq)),
                new_data: content.units() > 0,
            },
            op: Some(Op::Append {
                uid,
                content,
                producer: append.producer.clone(),
                seq: append.seq.clone(),
                close: append.close,
                now,
            }),
        }
    }

    /// Says what should come of a delete.
    pub fn judge_delete(&self, name: &str) -> Expected {
        match self.find(name) {
            None => Expected::refused("NOT_FOUND"),
            Some((_, stream)) if stream.soft_deleted => Expected::refused("GONE"),
            Some((uid, _)) => Expected {
                answer: Answer::Deleted,
                op: Some(Op::Delete { uid }),
            },
        }
    }
}

/// A closed stream takes what closed it once more, and a close without a producer.
fn judge_closed(append: &Append, stream: &Stream) -> Expected {
    let closed = |producer| {
        Expected::answer(Answer::Appended {
            tail: stream.tail(),
            closed: true,
            producer,
            new_data: false,
        })
    };
    let refused = Expected::answer(Answer::Refused("CLOSED", vec![stream.tail()]));
    match &append.producer {
        None if append.close && append.body.is_empty() => closed(None),
        None => refused,
        Some(producer) if stream.closed_by.as_ref() == Some(producer) => {
            closed(Some((producer.1, producer.2)))
        }
        Some(_) => match stream.judge_producer(append) {
            Verdict::Refused("PRODUCER_FENCED", numbers) => {
                Expected::answer(Answer::Refused("PRODUCER_FENCED", numbers))
            }
            Verdict::Next | Verdict::Duplicate(_) | Verdict::Refused(..) => refused,
        },
    }
}

enum Verdict {
    Next,
    Duplicate(u64),
    Refused(&'static str, Vec<u64>),
}

impl Stream {
    fn judge_producer(&self, append: &Append) -> Verdict {
        let Some((id, epoch, seq)) = &append.producer else {
            return Verdict::Next;
        };
        let (known_epoch, next) = match self.producers.get(id) {
            None => (*epoch, 0),
            Some((known, last)) if known == epoch => (*known, last + 1),
            Some((known, _)) => (*known, 0),
        };
        match () {
            () if *epoch < known_epoch => Verdict::Refused("PRODUCER_FENCED", vec![known_epoch]),
            () if *epoch > known_epoch && *seq > 0 => {
                Verdict::Refused("PRODUCER_EPOCH_START", Vec::new())
            }
            () if *epoch > known_epoch => Verdict::Next,
            () if *seq == next => Verdict::Next,
            () if *seq < next => Verdict::Duplicate(next - 1),
            () => Verdict::Refused("PRODUCER_GAP", vec![next, *seq]),
        }
    }
}

const OCTETS: &str = "application/octet-stream";
const JSON: &str = "application/json";

/// Returns a media type without its parameters, in lower case.
pub fn media_type(text: &str) -> String {
    let end = text.find(';').unwrap_or(text.len());
    text[..end].trim().to_lowercase()
}

impl Body {
    /// Returns what a stream keeps of the body.
    fn content(&self, json: bool) -> Content {
        match self {
            Self::Messages { messages, .. } if json => Content::messages(messages),
            Self::Messages { .. } | Self::Bytes(_) => Content::plain(&self.wire()),
        }
    }
}
