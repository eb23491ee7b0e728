//! Requests, as clients send them.

use std::fmt;

use floe_server::shard::{ForkOf, NewRoom, Shard, Ticket};
use floe_surfaces::http::Method;
use floe_surfaces::streams::{Request, RequestHead, Scratch, read_request};

use crate::disk::StepDisk;
use crate::draw::namespace;
use crate::model::Life;
use floe_log::Payload;
use floe_proto::{Millis, Offset};

/// A request that may change something.
#[derive(Debug, Clone)]
pub enum Command {
    /// PUT
    Create(Create),
    /// POST
    Append(Append),
    /// DELETE
    Delete {
        /// The stream.
        name: String,
    },
}

/// A PUT.
#[derive(Debug, Clone)]
pub struct Create {
    /// The stream.
    pub name: String,
    /// `Content-Type`
    pub content_type: Option<&'static str>,
    /// `Stream-TTL` or `Stream-Expires-At`
    pub life: Option<Life>,
    /// `Stream-Closed`
    pub closed: bool,
    /// The fork fields.
    pub fork: Option<Fork>,
    /// First data.
    pub body: Body,
}

/// The fork fields of a PUT.
#[derive(Debug, Clone)]
pub struct Fork {
    /// `Stream-Forked-From`
    pub source: String,
    /// `Stream-Fork-Offset`
    pub at: Option<u64>,
    /// `Stream-Fork-Sub-Offset`
    pub beyond: u64,
}

/// A POST.
#[derive(Debug, Clone)]
pub struct Append {
    /// The stream.
    pub name: String,
    /// `Content-Type`
    pub content_type: &'static str,
    /// Data; empty only to close.
    pub body: Body,
    /// `Stream-Closed`
    pub close: bool,
    /// `Stream-Seq`
    pub seq: Option<String>,
    /// `Producer-Id`, `Producer-Epoch` and `Producer-Seq`
    pub producer: Option<(String, u64, u64)>,
}

/// The body of a request.
#[derive(Clone)]
pub enum Body {
    /// As it is.
    Bytes(Vec<u8>),
    /// JSON: an array of messages, or one message alone.
    Messages {
        /// The messages.
        messages: Vec<String>,
        /// Whether they come in an array.
        array: bool,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wire = self.wire();
        let start = String::from_utf8_lossy(&wire[..wire.len().min(12)]);
        write!(f, "{start:?} of {} bytes", wire.len())
    }
}

impl Body {
    /// No body.
    pub const NONE: Self = Self::Bytes(Vec::new());

    /// Returns whether no data comes of it.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Messages { messages, .. } => messages.is_empty(),
        }
    }

    /// Returns the bytes that go over the wire.
    pub fn wire(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Messages { messages, array } => match array {
                true => format!("[ {}\n]", messages.join(" ,\t")).into_bytes(),
                false => messages.concat().into_bytes(),
            },
        }
    }
}

impl Command {
    /// Returns the stream that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Create(create) => &create.name,
            Self::Append(append) => &append.name,
            Self::Delete { name } => name,
        }
    }

    /// Returns the stream that it would fork.
    pub fn source(&self) -> Option<&str> {
        match self {
            Self::Create(create) => create.fork.as_ref().map(|fork| &*fork.source),
            Self::Append(_) | Self::Delete { .. } => None,
        }
    }

    /// Hands the request to a shard, by way of the surface that reads requests.
    pub fn send(&self, shard: &mut Shard<StepDisk>, now: Millis, ticket: Ticket) {
        let (method, fields, body) = match self {
            Self::Create(create) => (Method::Put, create.fields(), create.body.wire()),
            Self::Append(append) => (Method::Post, append.fields(), append.body.wire()),
            Self::Delete { .. } => (Method::Delete, Vec::new(), Vec::new()),
        };
        let head = RequestHead {
            method,
            query: None,
        };
        let mut scratch = Scratch::default();
        let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let name = self.name().as_bytes();
        match read_request(head, fields, &body, &mut scratch).expect("what is drawn is well formed")
        {
            Request::Create(create) => {
                // A request names a stream of its own namespace.
                let own = namespace(self.name()).as_bytes();
                let source = create
                    .fork
                    .as_ref()
                    .map(|fork| [own, &fork.source].concat());
                let fork = create.fork.as_ref().zip(source.as_ref());
                let fork = fork.map(|(fork, source)| ForkOf {
                    source,
                    at: fork.at,
                    beyond: fork.beyond,
                });
                let body = create.body;
                let payload = Payload {
                    bytes: body.bytes,
                    lens: body.lens,
                };
                let new = NewRoom {
                    create: create.create,
                    fork,
                    json: body.json,
                    payload,
                };
                shard.create(now, ticket, name, new);
            }
            Request::Append { append, body } => {
                let payload = Payload {
                    bytes: body.bytes,
                    lens: body.lens,
                };
                shard.append(now, ticket, name, &append, payload);
            }
            Request::Delete => shard.delete(now, ticket, name),
            Request::Read(_) | Request::Describe | Request::Preflight => {
                unreachable!("the request writes")
            }
        }
    }
}

impl Create {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = Vec::new();
        if let Some(content_type) = self.content_type {
            fields.push(("content-type", content_type.to_owned()));
        }
        match self.life {
            None => {}
            Some(Life::Forever) => unreachable!("no field asks for it"),
            Some(Life::Ttl(seconds)) => fields.push(("stream-ttl", seconds.to_string())),
            Some(Life::Until(at)) => {
                let at = jiff::Timestamp::from_millisecond(at as i64).expect("times are near");
                fields.push(("stream-expires-at", format!("{at:.3}")));
            }
        }
        if self.closed {
            fields.push(("stream-closed", "true".into()));
        }
        if let Some(fork) = &self.fork {
            let path = &fork.source[namespace(&fork.source).len()..];
            fields.push(("stream-forked-from", format!("/v1/stream/{path}")));
            if let Some(at) = fork.at {
                fields.push(("stream-fork-offset", Offset(at).to_string()));
            }
            if fork.beyond > 0 {
                fields.push(("stream-fork-sub-offset", fork.beyond.to_string()));
            }
        }
        fields
    }
}

impl Append {
    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("content-type", self.content_type.to_owned())];
        if self.close {
            fields.push(("stream-closed", "true".into()));
        }
        if let Some(seq) = &self.seq {
            fields.push(("stream-seq", seq.clone()));
        }
        if let Some((id, epoch, seq)) = &self.producer {
            fields.push(("producer-id", id.clone()));
            fields.push(("producer-epoch", epoch.to_string()));
            fields.push(("producer-seq", seq.to_string()));
        }
        fields
    }
}
