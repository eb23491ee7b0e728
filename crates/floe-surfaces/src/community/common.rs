//! What the WebSockets of all kinds of rooms share.

use std::borrow::Cow;
use std::fmt;

use floe_proto::Code;
use floe_proto::table::TableError;

use crate::http::{Method, Reject, decode};
use crate::live::{FrameId, ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, USER_BYTES_MAX, retry_word};
use crate::tables::fields::Fields;
use crate::tables::object::Object;
use crate::ws::{Opcode, begin_frame, end_frame, write_close};

/// What a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A waddle: a community with its members.
    Waddle,
    /// A channel.
    Channel,
    /// A voice room.
    Voice,
}

impl SocketKind {
    const ALL: [Self; 3] = [Self::Waddle, Self::Channel, Self::Voice];

    /// Returns the word for it in paths.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waddle => "waddle",
            Self::Channel => "channel",
            Self::Voice => "voice",
        }
    }
}

/// The path of a WebSocket: `/ws/`, the kind of room, `/`, and its id as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketPath<'a> {
    /// What the room is.
    pub kind: SocketKind,
    /// Its id; whether it is one is for its kind to say.
    pub id: &'a str,
}

impl<'a> SocketPath<'a> {
    /// Every route of such a WebSocket.
    pub const ROUTES: [&'static str; 3] = ["/ws/waddle/{id}", "/ws/channel/{id}", "/ws/voice/{id}"];

    /// Reads a path.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let (kind, id) = path.strip_prefix(super::SOCKETS_ROOT)?.split_once('/')?;
        let kind = SocketKind::ALL
            .into_iter()
            .find(|one| one.as_str() == kind)?;
        (!id.is_empty() && !id.contains('/')).then_some(Self { kind, id })
    }
}

/// What is asked of a room besides its WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomPath<'a> {
    /// `/v1/waddles/<id>/live`, `/v1/channels/<id>/live`, `/v1/voice/<id>/live`: its frames as server-sent
    /// events, or by polling.
    Live(SocketPath<'a>),
    /// `/v1/waddles/<id>/presence`: who is in a waddle.
    Presence(&'a str),
    /// `/v1/waddles/<id>/broadcast`: to tell all who are in a waddle something.
    Broadcast(&'a str),
}

impl<'a> RoomPath<'a> {
    /// Every route, with its method.
    pub const ROUTES: [(Method, &'static str); 5] = [
        (Method::Get, "/v1/waddles/{waddle}/live"),
        (Method::Get, "/v1/channels/{channelId}/live"),
        (Method::Get, "/v1/voice/{voiceId}/live"),
        (Method::Get, "/v1/waddles/{waddle}/presence"),
        (Method::Post, "/v1/waddles/{waddle}/broadcast"),
    ];

    /// Reads a path.
    #[must_use]
    pub fn parse(path: &'a str) -> Option<Self> {
        let (kind, rest) = path.strip_prefix("/v1/")?.split_once('/')?;
        let (id, what) = rest.split_once('/')?;
        let kind = match kind {
            "waddles" => SocketKind::Waddle,
            "channels" => SocketKind::Channel,
            "voice" => SocketKind::Voice,
            _ => return None,
        };
        match (kind, what) {
            _ if id.is_empty() => None,
            (kind, "live") => Some(Self::Live(SocketPath { kind, id })),
            (SocketKind::Waddle, "presence") => Some(Self::Presence(id)),
            (SocketKind::Waddle, "broadcast") => Some(Self::Broadcast(id)),
            _ => None,
        }
    }

    /// The method that the path takes.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Live(_) | Self::Presence(_) => Method::Get,
            Self::Broadcast(_) => Method::Post,
        }
    }
}

/// What the query of a WebSocket's address says, whatever its room is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Opening<'a> {
    /// What stands for `Authorization` where a header cannot be set. It is for nobody to log.
    pub token: Option<Cow<'a, str>>,
    /// As whom the caller wants to act.
    pub user: Option<Cow<'a, str>>,
}

impl<'a> Opening<'a> {
    /// Reads a query.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] where a parameter is malformed.
    pub fn read(query: &'a str) -> Result<Self, Reject> {
        let token = param(query, "token")?;
        let user = param(query, "user")?;
        if user
            .as_ref()
            .is_some_and(|user| !(1..=USER_BYTES_MAX).contains(&user.len()))
        {
            return Err(Reject::invalid("`user` has 1 to 128 bytes"));
        }
        Ok(Self { token, user })
    }
}

impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("token", &self.token.is_some())
            .field("user", &self.user)
            .finish()
    }
}

/// Finds a parameter of a query, decoded.
///
/// # Errors
/// [`Code::InvalidRequest`] where it is no text.
pub fn param<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Reject> {
    let mut values = query.split('&').filter_map(|pair| pair.split_once('='));
    let Some((_, value)) = values.find(|(found, _)| *found == name) else {
        return Ok(None);
    };
    let text = match decode(value) {
        None if value.is_empty() => Some(Cow::Borrowed("")),
        None => None,
        Some(Cow::Borrowed(bytes)) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Some(Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Cow::Owned),
    };
    match text {
        Some(text) => Ok(Some(text)),
        None => Err(Reject::invalid(format!("`{name}` is no text"))),
    }
}

/// What an answer repeats of the frame that it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Label<'a> {
    /// Its `id`.
    pub id: Option<FrameId<'a>>,
    /// Its `nonce`.
    pub nonce: Option<Cow<'a, str>>,
}

impl Label<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> Label<'static> {
        Label {
            id: self.id.map(FrameId::into_owned),
            nonce: self.nonce.map(|nonce| Cow::Owned(nonce.into_owned())),
        }
    }

    /// Returns whether somebody waits for the answer.
    #[must_use]
    pub const fn is_asked(&self) -> bool {
        self.id.is_some() || self.nonce.is_some()
    }

    fn write(&self, object: &mut Object<'_>) {
        match &self.id {
            None => {}
            Some(FrameId::Text(id)) => object.text("id", id),
            Some(FrameId::Number(id)) => object.json("id", id.to_string().as_bytes()),
        }
        if let Some(nonce) = &self.nonce {
            object.text("nonce", nonce);
        }
    }
}

/// One message of a client. What it has besides what its type takes is passed over.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// What the answer repeats.
    pub label: Label<'a>,
    /// Its `type`.
    pub kind: Cow<'a, str>,
    pub(super) fields: Fields<'a>,
}

/// Why a frame failed. Nothing has changed, and the connection goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal<'a> {
    /// What the answer repeats.
    pub label: Label<'a>,
    /// The stable code.
    pub code: Code,
    /// In words.
    pub message: Cow<'a, str>,
    /// When to come back.
    pub retry_after_ms: Option<u64>,
}

impl<'a> Refusal<'a> {
    /// Refuses a frame.
    #[must_use]
    pub fn new(label: Label<'a>, code: Code, message: impl Into<Cow<'a, str>>) -> Self {
        Self {
            label,
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }
}

impl<'a> Incoming<'a> {
    /// Refuses the frame for what is wrong with a field.
    pub(super) fn refuse(&self, error: TableError) -> Refusal<'a> {
        Refusal::new(self.label.clone(), error.code, error.message)
    }

    /// Refuses the frame for its type.
    pub(super) fn unknown(&self) -> Refusal<'a> {
        let shown: String = self.kind.chars().take(KIND_SHOWN_CHARS).collect();
        let message = format!("`{shown}` is no type of frame here");
        Refusal::new(self.label.clone(), Code::UnknownAction, message)
    }
}

/// Characters of an unknown type that are repeated to the client.
const KIND_SHOWN_CHARS: usize = 40;

/// Reads one text message of a client, as far as it is the same in every room.
///
/// # Errors
/// What to answer instead.
pub fn read_frame(payload: &[u8]) -> Result<Incoming<'_>, Refusal<'_>> {
    let mut label = Label::default();
    match read_parts(payload, &mut label) {
        Ok((kind, fields)) => Ok(Incoming {
            label,
            kind,
            fields,
        }),
        Err(message) => Err(Refusal::new(label, Code::InvalidFrame, message)),
    }
}

fn read_parts<'a>(
    payload: &'a [u8],
    label: &mut Label<'a>,
) -> Result<(Cow<'a, str>, Fields<'a>), String> {
    let text = std::str::from_utf8(payload)
        .map_err(|_| "the frame cannot be read: it is not UTF-8".to_owned())?;
    let fields = Fields::read(text, "the frame").map_err(|error| error.message.to_string())?;
    fields
        .check_count("the frame")
        .map_err(|error| error.message.to_string())?;
    label.id = read_id(&fields)?;
    let nonce = fields.text("nonce", IDEMPOTENCY_KEY_BYTES_MAX);
    label.nonce = nonce.map_err(|error| error.message.to_string())?;
    match fields.text("type", usize::MAX) {
        Ok(Some(kind)) => Ok((kind, fields)),
        Ok(None) => Err("`type` is missing".into()),
        Err(error) => Err(error.message.to_string()),
    }
}

/// Reads an `id`: a text, or a whole number that a double holds.
fn read_id<'a>(fields: &Fields<'a>) -> Result<Option<FrameId<'a>>, String> {
    const SAFE: i64 = (1 << 53) - 1;
    let Some(json) = fields.json("id") else {
        return Ok(None);
    };
    if json.starts_with('"') {
        let text = fields.text("id", ID_BYTES_MAX);
        return text
            .map(|text| text.map(FrameId::Text))
            .map_err(|error| error.message.to_string());
    }
    match json.parse::<i64>() {
        Ok(number) if (-SAFE..=SAFE).contains(&number) => Ok(Some(FrameId::Number(number))),
        Ok(_) | Err(_) => {
            Err("`id` is neither a string nor a whole number that a double holds".into())
        }
    }
}

/// What takes frames to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Carrier {
    /// A WebSocket, as text messages.
    #[default]
    Socket,
    /// Server-sent events.
    Events,
    /// Elements of an array, each followed by a comma.
    List,
}

impl Carrier {
    /// Appends what `write` writes, one JSON object; `sequence` is its place in the room's log, from which
    /// a client goes on that comes back.
    pub fn message(
        self,
        out: &mut Vec<u8>,
        sequence: Option<u64>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        match self {
            Self::Socket => message(out, write),
            Self::Events => {
                if let Some(sequence) = sequence {
                    out.extend_from_slice(format!("id: {sequence}\n").as_bytes());
                }
                out.extend_from_slice(b"data: ");
                write(out);
                out.extend_from_slice(b"\n\n");
            }
            Self::List => {
                write(out);
                out.push(b',');
            }
        }
    }
}

/// Appends what `write` writes, one JSON object, as a message of a WebSocket.
pub fn message(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = begin_frame(out);
    write(out);
    end_frame(out, start, Opcode::Text);
}

/// The first frame of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// The room's id.
    pub room: &'a str,
    /// As whom the connection acts, if as anybody.
    pub user: Option<&'a str>,
    /// Milliseconds of silence after which the server pings.
    pub heartbeat_ms: u64,
    /// Place of the newest event of the room's log, where it matters.
    pub sequence: Option<u64>,
    /// What the server takes, by its name.
    pub limits: &'a [(&'static str, u64)],
    /// Which shard of a waddle the connection has come to.
    pub shard: Option<&'a str>,
}

/// Writes a `welcome`.
pub fn write_welcome(out: &mut Vec<u8>, welcome: &Welcome<'_>) {
    Object::typed(out, "welcome", |object| {
        object.text("room", welcome.room);
        if let Some(user) = welcome.user {
            object.text("userId", user);
        }
        object.number("heartbeatMs", welcome.heartbeat_ms);
        object.maybe_number("sequence", welcome.sequence);
        object.written("limits", |out| {
            Object::write(out, |object| {
                for (name, value) in welcome.limits {
                    object.number(name, *value);
                }
            });
        });
        if let Some(shard) = welcome.shard {
            object.text("shard", shard);
        }
    });
}

/// Writes a `pong`: the answer to a `ping`.
pub fn write_pong(out: &mut Vec<u8>, label: &Label<'_>) {
    Object::typed(out, "pong", |object| label.write(object));
}

/// Writes an `ack`: what a frame asked for is done, and durable where anything of it is to be.
pub fn write_ack(out: &mut Vec<u8>, label: &Label<'_>, sequence: Option<u64>) {
    Object::typed(out, "ack", |object| {
        label.write(object);
        object.maybe_number("sequence", sequence);
    });
}

/// Writes an `error`.
pub fn write_refusal(out: &mut Vec<u8>, refusal: &Refusal<'_>) {
    Object::typed(out, "error", |object| {
        refusal.label.write(object);
        object.text("code", refusal.code.as_str());
        object.text("message", &refusal.message);
        object.text("retry", retry_word(refusal.code.retry()));
        object.maybe_number("retryAfterMs", refusal.retry_after_ms);
    });
}

/// Appends an `error` that ends a stream of events; the client may come back by what it says.
pub fn write_farewell(out: &mut Vec<u8>, code: Code, why: &str) {
    Carrier::Events.message(out, None, |out| {
        write_refusal(out, &Refusal::new(Label::default(), code, why));
    });
}

/// Appends an `error` that ends the connection, and the close frame with the code's close code; nothing
/// may follow.
pub fn write_goodbye(out: &mut Vec<u8>, code: Code, why: &str) {
    message(out, |out| {
        write_refusal(out, &Refusal::new(Label::default(), code, why))
    });
    write_close(out, code.close_code(), code.as_str());
}
