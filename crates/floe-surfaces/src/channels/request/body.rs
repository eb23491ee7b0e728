//! Requests that are read from their path and body.

use std::borrow::Cow;

use floe_core::channel::SlowPolicy;
use floe_proto::token::ChannelToken;
use floe_proto::{ChannelId, Code, DataError, Retention, Rights, check_data};
use serde_json::value::RawValue;

use super::{
    Append, Ask, Change, Create, Edit, Fields, List, React, Read, Said, Token, channel, chars,
    event_seq, limit, namespace, page, segment,
};
use crate::channels::bounds::Bounds;
use crate::channels::members::{Members, text};
use crate::channels::params::{Params, whole};
use crate::channels::reject::Fault;
use crate::channels::route::{Form, Matched, Operation};

/// Reads a request that is no GET.
pub(super) fn read<'a>(
    form: Form,
    matched: &Matched<'a>,
    query: &'a str,
    body: &'a [u8],
    fields: &Fields<'a>,
    bounds: &Bounds,
) -> Result<Ask<'a>, Fault> {
    let endpoint = matched.endpoint;
    let params = Params::read(query, endpoint.params, form.is_kept())?;
    // The server names the author of a token's bearer, so that what the request says is not read.
    let named = fields.credentials.token().is_some();
    let shown = fields.credentials.bearer().is_some() || fields.credentials.share().is_some();
    let source = Source {
        form,
        bounds,
        named,
        shown,
    };
    if form.is_kept() {
        let mut members = Members::read(body)?;
        return source.kept(endpoint.operation, &mut members);
    }
    let takes_body = matches!(
        endpoint.operation,
        Operation::Create
            | Operation::Change
            | Operation::Append
            | Operation::Edit
            | Operation::Token
    );
    if !takes_body {
        return source.bodiless(matched, params);
    }
    let mut members = Members::read(body)?;
    let ask = source.rest(matched, &mut members, fields)?;
    members.end()?;
    Ok(ask)
}

/// What holds for every part of one request.
#[derive(Clone, Copy)]
struct Source<'b> {
    form: Form,
    bounds: &'b Bounds,
    /// Whether a channel's token names the author.
    named: bool,
    /// Whether credentials were shown that may name the author.
    shown: bool,
}

impl Source<'_> {
    /// Everything stands in the body, and what is not known is skipped.
    fn kept<'a>(self, operation: Operation, members: &mut Members<'a>) -> Result<Ask<'a>, Fault> {
        let bounds = self.bounds;
        Ok(match operation {
            Operation::Create => Ask::Create(Create {
                namespace: Some(self.namespace_needed(members)?),
                ..self.create(members)?
            }),
            Operation::List => Ask::List(List {
                namespace: Some(self.namespace_needed(members)?),
                limit: limit(members.whole("limit")?, bounds.limit_max, bounds.limit_max)?,
                page: page(members.text("page")?, bounds)?,
            }),
            Operation::Append => {
                let channel = self.id(members)?;
                Ask::Append(channel, self.one(members, None)?)
            }
            Operation::Read => Ask::Read(
                self.id(members)?,
                Read {
                    after_seq: members.whole("afterSeq")?,
                    before_seq: None,
                    limit: limit(
                        members.whole("limit")?,
                        bounds.limit_default,
                        bounds.limit_max_kept,
                    )?,
                    newest_first: false,
                },
            ),
            Operation::Delete => {
                let channel = self.id(members)?;
                let seq = members.whole("targetSeq")?;
                let seq = seq.ok_or_else(|| Fault::missing("targetSeq"))?;
                Ask::Delete {
                    channel,
                    seq: event_seq("targetSeq", seq)?,
                    author_id: self.author(members)?,
                }
            }
            Operation::Remove => {
                let namespace = Some(self.namespace_needed(members)?);
                let channel = self.id(members)?;
                Ask::Remove { channel, namespace }
            }
            Operation::Token => {
                let namespace = Some(self.namespace_needed(members)?);
                let channel = self.id(members)?;
                let rights = self.rights("permissions", members)?;
                let token = Token {
                    namespace,
                    ..self.token(rights, "displayName", members)?
                };
                Ask::Token(channel, token)
            }
            Operation::Ping
            | Operation::OpenApi
            | Operation::Limits
            | Operation::Describe
            | Operation::Change
            | Operation::Event
            | Operation::Edit
            | Operation::React
            | Operation::Unreact
            | Operation::Query
            | Operation::QueryAll
            | Operation::Search
            | Operation::SearchAll
            | Operation::Secret
            | Operation::Realtime
            | Operation::Presence
            | Operation::Subscribe
            | Operation::Poll
            | Operation::Message(_)
            | Operation::Reads => return Err(super::not_allowed()),
        })
    }

    fn bodiless<'a>(self, matched: &Matched<'a>, mut params: Params<'a>) -> Result<Ask<'a>, Fault> {
        let [id, seq, reaction] = matched.captures;
        let channel = channel(id)?;
        let operation = matched.endpoint.operation;
        if operation == Operation::Secret {
            return Ok(Ask::Secret(channel));
        }
        if operation == Operation::Remove {
            let namespace = None;
            return Ok(Ask::Remove { channel, namespace });
        }
        let seq = event_seq("seq", whole("seq", seq)?)?;
        let author_id = self.author_given(params.text("authorId"))?;
        if operation == Operation::Delete {
            return Ok(Ask::Delete {
                channel,
                seq,
                author_id,
            });
        }
        let reaction = segment("reaction", reaction)?;
        Ok(Ask::React(
            channel,
            React {
                seq,
                author_id,
                reaction: chars("reaction", reaction, self.bounds.reaction_chars_max)?,
                removed: operation == Operation::Unreact,
            },
        ))
    }

    fn rest<'a>(
        self,
        matched: &Matched<'a>,
        members: &mut Members<'a>,
        fields: &Fields<'a>,
    ) -> Result<Ask<'a>, Fault> {
        let [id, seq, _] = matched.captures;
        let operation = matched.endpoint.operation;
        if operation == Operation::Create {
            let namespace = members.text("namespace")?;
            let namespace = namespace.map(|text| namespace_of(text, self.bounds));
            return Ok(Ask::Create(Create {
                namespace: namespace.transpose()?,
                ..self.create(members)?
            }));
        }
        let channel = channel(id)?;
        if operation == Operation::Change {
            return Ok(Ask::Change(channel, self.change(members)?));
        }
        if operation == Operation::Append {
            return Ok(Ask::Append(channel, self.append(members, fields)?));
        }
        if operation == Operation::Edit {
            let edit = Edit {
                seq: event_seq("seq", whole("seq", seq)?)?,
                author_id: self.author(members)?,
                content: self.content(members)?,
            };
            return Ok(Ask::Edit(channel, edit));
        }
        let rights = self.rights("rights", members)?;
        Ok(Ask::Token(channel, self.token(rights, "author", members)?))
    }

    fn create(self, members: &mut Members<'_>) -> Result<Create, Fault> {
        let name = members.text("name")?;
        let name = name.ok_or_else(|| Fault::missing("name"))?;
        Ok(Create {
            namespace: None,
            name: chars("name", name, self.bounds.name_chars_max)?.into(),
            retention: retention(members)?.unwrap_or_default(),
            slow: slow(members)?.unwrap_or_default(),
        })
    }

    fn change(self, members: &mut Members<'_>) -> Result<Change, Fault> {
        let change = Change {
            retention: retention(members)?,
            slow: slow(members)?,
        };
        if change == Change::default() {
            return Err(Fault::invalid(
                "nothing to change: retention or slow is required",
            ));
        }
        Ok(change)
    }

    fn append<'a>(
        self,
        members: &mut Members<'a>,
        fields: &Fields<'a>,
    ) -> Result<Append<'a>, Fault> {
        let key_bytes_max = self.bounds.idempotency_key_bytes_max;
        if fields
            .idempotency_key
            .is_some_and(|key| key.len() > key_bytes_max)
        {
            return Err(Fault::invalid(format!(
                "Idempotency-Key is longer than {key_bytes_max} bytes"
            )));
        }
        let key = fields.idempotency_key;
        match members.array("events")? {
            Some(batch) => self.batch(&batch, members, key),
            None => self.one(members, key),
        }
    }

    fn one<'a>(self, members: &mut Members<'a>, key: Option<&'a str>) -> Result<Append<'a>, Fault> {
        Ok(Append {
            author_id: self.author(members)?,
            messages: vec![self.said(members)?],
            batch: false,
            key,
        })
    }

    /// The author stands beside the list, or in every event of it.
    fn batch<'a>(
        self,
        batch: &[&'a RawValue],
        members: &mut Members<'a>,
        key: Option<&'a str>,
    ) -> Result<Append<'a>, Fault> {
        if batch.is_empty() {
            return Err(Fault::invalid("events is empty"));
        }
        let max = self.bounds.batch_events_max;
        if batch.len() > max {
            return Err(Fault::invalid(format!("events holds more than {max}")));
        }
        let mut author_id = members.text("authorId")?;
        let mut messages = Vec::with_capacity(batch.len());
        for (at, value) in batch.iter().enumerate() {
            let within =
                |fault: Fault| Fault::new(fault.code, format!("events[{at}]: {}", fault.message));
            let mut event = Members::inside(value).map_err(within)?;
            messages.push(self.said(&mut event).map_err(within)?);
            let own = event.text("authorId").map_err(within)?;
            event.end().map_err(within)?;
            match (&author_id, own) {
                (_, None) => {}
                (Some(author), Some(own)) if *author == own => {}
                (None, Some(own)) if at == 0 => author_id = Some(own),
                (_, Some(_)) => {
                    return Err(within(Fault::invalid(
                        "all events of one append have one authorId",
                    )));
                }
            }
        }
        Ok(Append {
            author_id: self.author_given(author_id)?,
            messages,
            batch: true,
            key,
        })
    }

    /// Reads what a message says; the kept form takes its text alone.
    fn said<'a>(self, members: &mut Members<'a>) -> Result<Said<'a>, Fault> {
        if self.form.is_kept() {
            return Ok(Said {
                content: self.content(members)?,
                reply_to: None,
                data: None,
            });
        }
        said(members, self.bounds)
    }

    fn content<'a>(self, members: &mut Members<'a>) -> Result<Cow<'a, str>, Fault> {
        content(members, self.bounds)
    }

    fn author<'a>(self, members: &mut Members<'a>) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.named {
            members.value("authorId");
            return Ok(None);
        }
        self.author_given(members.text("authorId")?)
    }

    fn author_given<'a>(self, given: Option<Cow<'a, str>>) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.named {
            return Ok(None);
        }
        let author = match given {
            Some(author) => author,
            // Whoever asks may be known by name; who is not is refused by whoever finds that out.
            None if self.shown => return Ok(None),
            None => return Err(Fault::missing("authorId")),
        };
        chars("authorId", author, self.bounds.author_chars_max).map(Some)
    }

    fn id(self, members: &mut Members<'_>) -> Result<ChannelId, Fault> {
        let name = self.form.id_name();
        let id = members.text(name)?.ok_or_else(|| Fault::missing(name))?;
        id.parse()
            .map_err(|_| Fault::invalid(format!("{name} is not 12 lower-case hexadecimal digits")))
    }

    fn namespace_needed(self, members: &mut Members<'_>) -> Result<Box<str>, Fault> {
        let text = members.text("namespace")?;
        namespace_of(
            text.ok_or_else(|| Fault::missing("namespace"))?,
            self.bounds,
        )
    }

    fn rights(self, name: &str, members: &mut Members<'_>) -> Result<Rights, Fault> {
        let words = members.array(name)?.ok_or_else(|| Fault::missing(name))?;
        if words.is_empty() {
            return Err(Fault::invalid(format!("{name} is empty")));
        }
        let log = self.form == Form::Log;
        let mut rights = Rights::NONE;
        for word in words {
            let word = text(name, word)?;
            let right = if log {
                Rights::of_log_word(&word)
            } else {
                Rights::of_channel_word(&word)
            };
            let right = right.ok_or_else(|| {
                Fault::invalid(if log {
                    format!("{name} holds something else than read and write")
                } else {
                    let words: Vec<_> = Rights::TOKEN.channel_words().collect();
                    format!("{name} holds something else than {}", words.join(", "))
                })
            })?;
            rights = rights.with(right);
        }
        Ok(rights)
    }

    fn token(
        self,
        rights: Rights,
        author_name: &str,
        members: &mut Members<'_>,
    ) -> Result<Token, Fault> {
        let author = members.text(author_name)?;
        let author = match author {
            None if !self.form.is_kept() => members.text("displayName")?,
            author => author,
        };
        let author = author.ok_or_else(|| Fault::missing(author_name))?;
        if author.is_empty() || author.len() > ChannelToken::AUTHOR_BYTES_MAX {
            let max = ChannelToken::AUTHOR_BYTES_MAX;
            let message = format!("{author_name} is not 1 to {max} bytes long");
            return Err(Fault::invalid(message));
        }
        let seconds = members.whole("expiresInSeconds")?;
        let seconds = seconds.unwrap_or(TOKEN_SECONDS_DEFAULT);
        let max = self.bounds.token_seconds_max;
        if !(1..=max).contains(&seconds) {
            return Err(Fault::invalid(format!(
                "expiresInSeconds is not 1 to {max}"
            )));
        }
        Ok(Token {
            namespace: None,
            rights,
            author: author.into(),
            expires_in_seconds: seconds,
        })
    }
}

/// Reads what a message says.
pub(in crate::channels) fn said<'a>(
    members: &mut Members<'a>,
    bounds: &Bounds,
) -> Result<Said<'a>, Fault> {
    let data = members.value("data").map(RawValue::get);
    if let Some(data) = data {
        data_within(data, bounds)?;
    }
    let reply_to = members.whole("replyTo")?;
    let reply_to = reply_to.map(|seq| event_seq("replyTo", seq)).transpose()?;
    // A picture needs no words.
    let is_wordless = data.is_some() && members.has_no_text("content");
    let content = if is_wordless {
        members.value("content");
        Cow::Borrowed("")
    } else {
        content(members, bounds)?
    };
    Ok(Said {
        content,
        reply_to,
        data,
    })
}

/// Reads the text of a message.
pub(in crate::channels) fn content<'a>(
    members: &mut Members<'a>,
    bounds: &Bounds,
) -> Result<Cow<'a, str>, Fault> {
    let content = members.text("content")?;
    let content = content.ok_or_else(|| Fault::missing("content"))?;
    let max = bounds.content_chars_max;
    if content.is_empty() {
        return Err(Fault::invalid("content is empty"));
    }
    if content.len() > max && content.chars().count() > max {
        let message = format!("content is longer than {max} characters");
        return Err(Fault::new(Code::EventTooLarge, message));
    }
    Ok(content)
}

/// Refuses data that is too large, too deep or no object.
fn data_within(data: &str, bounds: &Bounds) -> Result<(), Fault> {
    check_data(data, bounds.data_bytes_max).map_err(|error| {
        let code = match error {
            DataError::TooLong { .. } => Code::EventTooLarge,
            DataError::NotAnObject | DataError::TooDeep => Code::InvalidRequest,
        };
        Fault::new(code, error.to_string())
    })
}

fn namespace_of(text: Cow<'_, str>, bounds: &Bounds) -> Result<Box<str>, Fault> {
    namespace(text, bounds).map(Cow::into)
}

fn retention(members: &mut Members<'_>) -> Result<Option<Retention>, Fault> {
    let Some(value) = members.value("retention") else {
        return Ok(None);
    };
    let within = |fault: Fault| Fault::invalid(format!("retention: {}", fault.message));
    let mut members = Members::inside(value).map_err(within)?;
    let mut bound = |name: &str| match members.whole(name) {
        Ok(Some(0)) => Err(within(Fault::invalid(format!(
            "{name} is 0, which would keep nothing"
        )))),
        bound => bound.map_err(within),
    };
    let retention = Retention {
        max_age_ms: bound("maxAgeMs")?,
        max_events: bound("maxEvents")?,
        max_bytes: bound("maxBytes")?,
    };
    members.end().map_err(within)?;
    Ok(Some(retention))
}

fn slow(members: &mut Members<'_>) -> Result<Option<SlowPolicy>, Fault> {
    match members.text("slow")?.as_deref() {
        None => Ok(None),
        Some("disconnect") => Ok(Some(SlowPolicy::Disconnect)),
        Some("conflate") => Ok(Some(SlowPolicy::Conflate)),
        Some(_) => Err(Fault::invalid("slow is neither disconnect nor conflate")),
    }
}

/// Seconds that a token lives when the request does not say: a week.
const TOKEN_SECONDS_DEFAULT: u64 = 604_800;
