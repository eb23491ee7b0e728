//! Requests of the protocol, read and checked.

use std::borrow::Cow;

use floe_core::{Append, ContentType, Lifetime, Producer, Start};
use floe_proto::{Code, Millis, Namespace, Offset};

pub use crate::http::Reject;
use crate::http::{self, Method};
use crate::json::Messages;

/// A request on one stream.
#[derive(Debug)]
pub enum Request<'a> {
    /// Make the stream, or find it as it should be.
    Create(Create<'a>),
    /// Append, close, or both.
    Append {
        /// What the room decides on.
        append: Append<'a>,
        /// The bytes to append.
        body: Body<'a>,
    },
    /// Read, perhaps waiting for more.
    Read(Read<'a>),
    /// Describe the stream.
    Describe,
    /// Delete the stream.
    Delete,
    /// Answer a browser's question about headers.
    Preflight,
}

impl Request<'_> {
    /// Returns the bytes that it brings for the stream.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        match self {
            Self::Create(create) => create.body.bytes.len(),
            Self::Append { body, .. } => body.bytes.len(),
            Self::Read(_) | Self::Describe | Self::Delete | Self::Preflight => 0,
        }
    }
}

/// A request to create.
#[derive(Debug)]
pub struct Create<'a> {
    /// Content type and the rest of the configuration; its fork is not resolved.
    pub create: floe_core::Create,
    /// What to fork.
    pub fork: Option<ForkFrom<'a>>,
    /// First data.
    pub body: Body<'a>,
    /// Value of the `Host` field, for the `Location` of the answer.
    pub host: Option<&'a str>,
}

/// The source of a fork as a request names it.
#[derive(Debug, PartialEq, Eq)]
pub struct ForkFrom<'a> {
    /// Percent-decoded path of the source.
    pub source: Cow<'a, [u8]>,
    /// The namespace that stands before the path, which can only be the request's own.
    pub namespace: Option<Namespace>,
    /// Where to fork; `None` is the tail.
    pub at: Option<u64>,
    /// Units to inherit beyond `at`.
    pub beyond: u64,
}

/// Data in the form that the log keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Body<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Length of each message; empty when units are bytes.
    pub lens: &'a [u32],
    /// Whether the body is JSON, whatever it holds.
    pub json: bool,
}

impl Body<'_> {
    /// Returns how many units the body holds.
    #[must_use]
    pub const fn units(&self) -> u64 {
        if self.json {
            self.lens.len() as u64
        } else {
            self.bytes.len() as u64
        }
    }
}

/// A request to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read<'a> {
    /// Where to begin.
    pub start: Start,
    /// Whether to wait for more.
    pub live: Live,
    /// The `Stream-Cursor` that the client saw last.
    pub cursor: Option<u64>,
    /// The `If-None-Match` field.
    pub if_none_match: Option<&'a str>,
}

/// How a read follows the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Live {
    /// Not at all: catch-up.
    No,
    /// One answer, once there is data.
    LongPoll,
    /// Server-sent events.
    Sse,
}

/// The parts of a request that this surface reads.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// Method.
    pub method: Method,
    /// Query without its question mark.
    pub query: Option<&'a str>,
}

/// Room for the messages of one JSON body, kept between requests.
#[derive(Debug, Default)]
pub struct Scratch {
    messages: Messages,
}

/// Reads a request from its parts.
///
/// `fields` are the header fields in any case; `body` is the whole body.
///
/// # Errors
/// See [`Reject`].
pub fn read_request<'a>(
    head: RequestHead<'a>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Request<'a>, Reject> {
    match head.method {
        Method::Get => {
            let fields = Fields::read(fields)?;
            read(head.query.unwrap_or_default(), fields.if_none_match).map(Request::Read)
        }
        Method::Post => append(&Fields::read(fields)?, body, scratch),
        Method::Put => create(&Fields::read(fields)?, body, scratch).map(Request::Create),
        Method::Head => Ok(Request::Describe),
        Method::Delete => Ok(Request::Delete),
        Method::Options => Ok(Request::Preflight),
        Method::Patch | Method::Other => Err(Reject::new(
            Code::MethodNotAllowed,
            "streams take GET, HEAD, PUT, POST, DELETE and OPTIONS",
        )),
    }
}

/// The fields that the protocol knows, found in one pass.
#[derive(Debug, Default)]
struct Fields<'a> {
    content_type: Option<&'a str>,
    host: Option<&'a str>,
    if_none_match: Option<&'a str>,
    closed: bool,
    ttl: Option<&'a str>,
    expires_at: Option<&'a str>,
    seq: Option<&'a str>,
    forked_from: Option<&'a str>,
    fork_offset: Option<&'a str>,
    fork_sub_offset: Option<&'a str>,
    producer_id: Option<&'a str>,
    producer_epoch: Option<&'a str>,
    producer_seq: Option<&'a str>,
}

impl<'a> Fields<'a> {
    fn read(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Reject> {
        let mut found = Self::default();
        for (name, value) in fields {
            let slot = match name.len() {
                4 if name.eq_ignore_ascii_case("host") => &mut found.host,
                10 if name.eq_ignore_ascii_case("stream-ttl") => &mut found.ttl,
                10 if name.eq_ignore_ascii_case("stream-seq") => &mut found.seq,
                11 if name.eq_ignore_ascii_case("producer-id") => &mut found.producer_id,
                12 if name.eq_ignore_ascii_case("content-type") => &mut found.content_type,
                12 if name.eq_ignore_ascii_case("producer-seq") => &mut found.producer_seq,
                13 if name.eq_ignore_ascii_case("stream-closed") => {
                    // Any other value is as if the field were absent.
                    found.closed |= value.eq_ignore_ascii_case(b"true");
                    continue;
                }
                13 if name.eq_ignore_ascii_case("if-none-match") => &mut found.if_none_match,
                14 if name.eq_ignore_ascii_case("producer-epoch") => &mut found.producer_epoch,
                17 if name.eq_ignore_ascii_case("stream-expires-at") => &mut found.expires_at,
                18 if name.eq_ignore_ascii_case("stream-forked-from") => &mut found.forked_from,
                18 if name.eq_ignore_ascii_case("stream-fork-offset") => &mut found.fork_offset,
                22 if name.eq_ignore_ascii_case("stream-fork-sub-offset") => {
                    &mut found.fork_sub_offset
                }
                _ => continue,
            };
            let text = std::str::from_utf8(value)
                .map_err(|_| Reject::invalid(format!("{name} is not UTF-8")))?;
            *slot = Some(text);
        }
        Ok(found)
    }

    /// The three producer fields: all or none.
    fn producer(&self) -> Result<Option<Producer<'a>>, Reject> {
        let (id, epoch, seq) = match (self.producer_id, self.producer_epoch, self.producer_seq) {
            (None, None, None) => return Ok(None),
            (Some(id), Some(epoch), Some(seq)) => (id, epoch, seq),
            _ => {
                return Err(Reject::invalid(
                    "Producer-Id, Producer-Epoch and Producer-Seq come together",
                ));
            }
        };
        if id.is_empty() {
            return Err(Reject::invalid("Producer-Id is empty"));
        }
        if id.len() > PRODUCER_ID_BYTES_MAX {
            return Err(Reject::invalid(format!(
                "Producer-Id is longer than {PRODUCER_ID_BYTES_MAX} bytes"
            )));
        }
        let number = |name: &str, text: &str| {
            whole_number(text)
                .filter(|value| *value < 1 << 53)
                .ok_or_else(|| {
                    Reject::invalid(format!("{name} is not a whole number from 0 to 2^53-1"))
                })
        };
        Ok(Some(Producer {
            id,
            epoch: number("Producer-Epoch", epoch)?,
            seq: number("Producer-Seq", seq)?,
        }))
    }

    fn lifetime(&self) -> Result<Option<Lifetime>, Reject> {
        match (self.ttl, self.expires_at) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(Reject::invalid(
                "Stream-TTL and Stream-Expires-At exclude each other",
            )),
            (Some(ttl), None) => match whole_number(ttl) {
                Some(seconds) if ttl.len() == 1 || !ttl.starts_with('0') => {
                    Ok(Some(Lifetime::Ttl(seconds)))
                }
                Some(_) | None => Err(Reject::invalid(
                    "Stream-TTL is not a whole number of seconds",
                )),
            },
            (None, Some(text)) => {
                let at: Option<jiff::Timestamp> = if is_rfc3339(text) {
                    text.parse().ok()
                } else {
                    None
                };
                let at =
                    at.ok_or_else(|| Reject::invalid("Stream-Expires-At is not an RFC 3339 time"))?;
                let at = u64::try_from(at.as_millisecond()).unwrap_or(0);
                Ok(Some(Lifetime::ExpiresAt(Millis(at))))
            }
        }
    }

    fn fork(&self) -> Result<Option<ForkFrom<'a>>, Reject> {
        let reject = |message: &'static str| Reject::new(Code::InvalidFork, message);
        let Some(from) = self.forked_from else {
            return match self.fork_sub_offset.or(self.fork_offset) {
                Some(_) => Err(reject("a fork offset needs Stream-Forked-From")),
                None => Ok(None),
            };
        };
        let (namespace, path) = match http::split_namespace(from) {
            Ok((Some(namespace), path)) => (Some(namespace), path.strip_prefix(http::STREAM_ROOT)),
            Ok((None, _)) | Err(_) => (None, from.strip_prefix(http::STREAM_ROOT)),
        };
        let namespace = namespace.filter(|_| path.is_some());
        let path = path.unwrap_or_else(|| from.trim_start_matches('/'));
        let source =
            http::decode(path).ok_or_else(|| reject("Stream-Forked-From is not a path"))?;
        let at = match self.fork_offset {
            None => None,
            Some(text) => match start(text) {
                Some(Start::At(at)) => Some(at),
                Some(Start::Oldest) => Some(0),
                Some(Start::Now) => None,
                None => return Err(reject("Stream-Fork-Offset is not an offset")),
            },
        };
        let beyond = match self.fork_sub_offset {
            None => 0,
            Some(text) => whole_number(text)
                .filter(|_| text.len() == 1 || !text.starts_with('0'))
                .ok_or_else(|| reject("Stream-Fork-Sub-Offset is not a whole number"))?,
        };
        if beyond > 0 && self.fork_offset.is_none() {
            return Err(reject("Stream-Fork-Sub-Offset needs Stream-Fork-Offset"));
        }
        Ok(Some(ForkFrom {
            source,
            namespace,
            at,
            beyond,
        }))
    }
}

fn create<'a>(
    fields: &Fields<'a>,
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Create<'a>, Reject> {
    let fork = fields.fork()?;
    let content_type = fields.content_type.filter(|text| !text.trim().is_empty());
    if content_type.is_some_and(|text| text.len() > CONTENT_TYPE_BYTES_MAX) {
        return Err(Reject::invalid(format!(
            "Content-Type is longer than {CONTENT_TYPE_BYTES_MAX} bytes"
        )));
    }
    let lifetime = fields.lifetime()?;
    let create = floe_core::Create {
        content_type: content_type.map(ContentType::new),
        lifetime,
        closed: fields.closed,
        fork: None,
        channel: None,
        owner: None,
        community: None,
        waddle: None,
    };
    // A fork may inherit its content type, so only the room can say how to read the body then; a
    // body without a content type is bytes.
    let body = payload(content_type.unwrap_or(ContentType::DEFAULT), body, scratch)?;
    Ok(Create {
        create,
        fork,
        body,
        host: fields.host,
    })
}

fn append<'a>(
    fields: &Fields<'a>,
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Request<'a>, Reject> {
    let producer = fields.producer()?;
    let stream_seq = fields.seq.map(str::as_bytes);
    if stream_seq.is_some_and(|seq| seq.len() > STREAM_SEQ_BYTES_MAX) {
        return Err(Reject::invalid(format!(
            "Stream-Seq is longer than {STREAM_SEQ_BYTES_MAX} bytes"
        )));
    }
    let append = Append {
        content_type: None,
        units: 0,
        close: fields.closed,
        stream_seq,
        producer,
    };
    if body.is_empty() {
        return if fields.closed {
            Ok(Request::Append {
                append,
                body: Body::default(),
            })
        } else {
            Err(Reject::new(
                Code::EmptyBody,
                "an append needs a body, or Stream-Closed: true",
            ))
        };
    }
    let content_type = fields
        .content_type
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Reject::new(Code::ContentTypeRequired, "a body needs a Content-Type"))?;
    let body = payload(content_type, body, scratch)?;
    if body.units() == 0 {
        return Err(Reject::new(
            Code::InvalidJson,
            "an empty array appends nothing",
        ));
    }
    let append = Append {
        content_type: Some(content_type),
        units: body.units(),
        ..append
    };
    Ok(Request::Append { append, body })
}

fn payload<'a>(
    content_type: &str,
    body: &'a [u8],
    scratch: &'a mut Scratch,
) -> Result<Body<'a>, Reject> {
    if !ContentType::names_json(content_type) {
        return Ok(Body {
            bytes: body,
            lens: &[],
            json: false,
        });
    }
    if body.is_empty() {
        return Ok(Body {
            json: true,
            ..Body::default()
        });
    }
    let messages = &mut scratch.messages;
    messages.split(body).map_err(|error| {
        Reject::new(Code::InvalidJson, format!("the body is not JSON: {error}"))
    })?;
    Ok(Body {
        bytes: &messages.bytes,
        lens: &messages.lens,
        json: true,
    })
}

fn read<'a>(query: &'a str, if_none_match: Option<&'a str>) -> Result<Read<'a>, Reject> {
    let mut offset = None;
    let mut live = Live::No;
    let mut cursor = None;
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match key {
            "offset" => {
                if offset.is_some() {
                    return Err(Reject::new(
                        Code::InvalidOffset,
                        "offset is given more than once",
                    ));
                }
                let Some(start) = start(value) else {
                    return Err(Reject::new(
                        Code::InvalidOffset,
                        "offset is not one that this server gave",
                    ));
                };
                offset = Some(start);
            }
            "live" => {
                live = match value {
                    "long-poll" => Live::LongPoll,
                    "sse" => Live::Sse,
                    _ => return Err(Reject::invalid("live is neither long-poll nor sse")),
                };
            }
            // A cursor only ever steers caches, so one that is no number is ignored.
            "cursor" => cursor = whole_number(value),
            _ => {}
        }
    }
    let start = match (offset, live) {
        (Some(start), _) => start,
        (None, Live::No) => Start::Oldest,
        (None, Live::LongPoll | Live::Sse) => {
            return Err(Reject::new(
                Code::InvalidOffset,
                "a live read needs an offset",
            ));
        }
    };
    Ok(Read {
        start,
        live,
        cursor,
        if_none_match,
    })
}

fn start(text: &str) -> Option<Start> {
    match text {
        "-1" => Some(Start::Oldest),
        "now" => Some(Start::Now),
        _ => text
            .parse::<Offset>()
            .ok()
            .map(|offset| Start::At(offset.0)),
    }
}

/// Returns whether a time has the shape of RFC 3339; the calendar is for others to check.
fn is_rfc3339(text: &str) -> bool {
    let shape = b"0000-00-00T00:00:00";
    let Some((start, rest)) = text.as_bytes().split_at_checked(shape.len()) else {
        return false;
    };
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte.eq_ignore_ascii_case(other),
    };
    let fraction = match rest.strip_prefix(b".") {
        Some(digits) => {
            1 + digits
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        }
        None => 0,
    };
    let zone = &rest[fraction..];
    let offset = zone.len() == 6 && matches!(zone[0], b'+' | b'-') && zone[3] == b':';
    start.iter().zip(shape).all(fits)
        && fraction != 1
        && (offset || zone.eq_ignore_ascii_case(b"z"))
}

/// Reads decimal digits and nothing else.
fn whole_number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// Bytes a `Producer-Id` may have.
pub const PRODUCER_ID_BYTES_MAX: usize = 256;
/// Bytes a `Stream-Seq` may have.
pub const STREAM_SEQ_BYTES_MAX: usize = 256;
/// Bytes a stream's `Content-Type` may have.
pub const CONTENT_TYPE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;
