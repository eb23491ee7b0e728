//! Frames of a client.

use std::borrow::Cow;

use super::append::AppendBody;
use super::fields::{Field, Fields, Problem};
use super::{
    BEARER_BYTES_MAX, Format, FrameId, IDEMPOTENCY_KEY_BYTES_MAX, KEY_BYTES_MAX, PAGE_DEFAULT,
    PAGE_MAX, RoomName, TOKEN_BYTES_MAX, USER_BYTES_MAX, cbor,
};
use crate::tables::{self, Rpc};
use floe_proto::Code;

/// One frame of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientFrame<'a> {
    /// What the client calls it; a frame without an `id` is acknowledged by no frame of its own.
    pub id: Option<FrameId<'a>>,
    /// What it asks for.
    pub command: Command<'a>,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Command<'a> {
    /// Follow a room.
    Join(Join<'a>),
    /// Write to a room.
    Append(Append<'a>),
    /// Follow a room no longer.
    Leave {
        /// The room.
        room: RoomName<'a>,
    },
    /// Change what others see of this member.
    Presence {
        /// The room.
        room: RoomName<'a>,
        /// The new data, as JSON.
        data: &'a str,
    },
    /// Say whether this user is typing.
    Typing {
        /// The room.
        room: RoomName<'a>,
        /// Whether the user is typing.
        typing: bool,
    },
    /// Read or change the room's memory.
    Memory {
        /// The room.
        room: RoomName<'a>,
        /// What to do.
        op: MemoryOp<'a>,
    },
    /// Ask for a page of the room's members.
    Members {
        /// The room.
        room: RoomName<'a>,
        /// Only members whose `user` sorts after this one.
        after: Option<Cow<'a, str>>,
        /// Members of the page.
        limit: u32,
    },
    /// Call a method of a room with tables.
    Rpc {
        /// The room.
        room: RoomName<'a>,
        /// What is called.
        rpc: Box<Rpc>,
    },
    /// Show other credentials than at the handshake.
    Auth {
        /// An API key or signed token, as `Authorization: Bearer` would have it.
        bearer: Cow<'a, str>,
    },
    /// Ask whether the server is there.
    Ping,
}

/// How a room is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join<'a> {
    /// The room.
    pub room: RoomName<'a>,
    /// Where the events begin.
    pub after: After,
    /// Only so many of the newest events that are there already.
    pub limit: Option<u32>,
    /// Whether events are wanted at all.
    pub events: bool,
    /// Part in the room's presence.
    pub presence: PresenceMode,
    /// What others see of this member, as JSON.
    pub data: Option<&'a str>,
    /// The prefix of the keys whose values are wanted; empty for all, `None` for nothing.
    pub memory: Option<Cow<'a, str>>,
    /// Who this is, where no token says so.
    pub user: Option<Cow<'a, str>>,
    /// The channel token.
    pub token: Option<Cow<'a, str>>,
}

/// Where the events of a room begin for who joins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// With the next one.
    Now,
    /// With the oldest one that is kept.
    Start,
    /// After this sequence number: messages or bytes that the client has seen.
    Seq(u64),
}

/// The part that a connection takes in a room's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresenceMode {
    /// None: it neither sees nor is seen.
    None,
    /// It sees and is not seen.
    Watch,
    /// It sees and is seen.
    Member,
}

/// A write to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append<'a> {
    /// The room.
    pub room: RoomName<'a>,
    /// What to append.
    pub body: AppendBody<'a>,
    /// Makes a repeated append harmless.
    pub idempotency_key: Option<Cow<'a, str>>,
}

/// What is done with a room's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryOp<'a> {
    /// Set a value.
    Set {
        /// Its key.
        key: Cow<'a, str>,
        /// The value, as JSON.
        value: &'a str,
        /// Milliseconds until it goes away by itself.
        ttl_ms: Option<u64>,
        /// Only if the value there has this version; 0 when there must be none.
        if_version: Option<u64>,
    },
    /// Remove a value.
    Delete {
        /// Its key.
        key: Cow<'a, str>,
        /// Only if the value there has this version.
        if_version: Option<u64>,
    },
    /// Ask for a value.
    Get {
        /// Its key.
        key: Cow<'a, str>,
    },
    /// Ask for a page of values.
    List {
        /// Only of keys that begin with this.
        prefix: Cow<'a, str>,
        /// Only of keys that sort after this one.
        after: Option<Cow<'a, str>>,
        /// Values of the page.
        limit: u32,
    },
}

/// Why a frame was refused. The connection goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameError {
    /// The frame's `id`, if it has one that can be read.
    pub id: Option<FrameId<'static>>,
    /// The stable code.
    pub code: Code,
    /// What is wrong, for people; it names the field.
    pub message: String,
}

/// Reads the payload of one message of a client.
///
/// What a CBOR frame carries is kept in `scratch` in its JSON form, whose old content is dropped;
/// a JSON frame leaves it alone.
///
/// # Errors
/// The frame is malformed ([`Code::InvalidFrame`]) or asks for what cannot be
/// ([`Code::InvalidRequest`]).
pub fn read_frame<'a>(
    format: Format,
    payload: &'a [u8],
    scratch: &'a mut Vec<u8>,
) -> Result<ClientFrame<'a>, FrameError> {
    let read = || {
        let json = match format {
            Format::Json => payload,
            Format::Cbor => {
                scratch.clear();
                cbor::to_json(payload, scratch).map_err(|error| {
                    Problem::shape(format!("the frame cannot be read: {error}"))
                })?;
                scratch
            }
        };
        let json = std::str::from_utf8(json)
            .map_err(|_| Problem::shape("the frame cannot be read: it is not UTF-8"))?;
        Fields::read(json)
    };
    let fields = read().map_err(|problem| FrameError::new(None, problem))?;
    let id = fields
        .id()
        .map_err(|problem| FrameError::new(None, problem))?;
    match Command::read(&fields) {
        Ok(command) => Ok(ClientFrame { id, command }),
        Err(problem) => Err(FrameError::new(id, problem)),
    }
}

impl FrameError {
    fn new(id: Option<FrameId<'_>>, problem: Problem) -> Self {
        Self {
            id: id.map(FrameId::into_owned),
            code: problem.code,
            message: problem.message,
        }
    }
}

impl<'a> Command<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Problem> {
        let kind = Fields::need(fields.text(Field::Type, usize::MAX)?, Field::Type)?;
        match &*kind {
            "join" => Join::read(fields).map(Self::Join),
            "append" => Append::read(fields).map(Self::Append),
            "leave" => {
                only(fields, "leave", &[Field::Room])?;
                let room = room(fields)?;
                Ok(Self::Leave { room })
            }
            "presence" => {
                only(fields, "presence", &[Field::Room, Field::Data])?;
                Ok(Self::Presence {
                    room: room(fields)?,
                    data: Fields::need(fields.raw(Field::Data)?, Field::Data)?,
                })
            }
            "typing" => {
                only(fields, "typing", &[Field::Room, Field::Typing])?;
                Ok(Self::Typing {
                    room: room(fields)?,
                    typing: Fields::need(fields.boolean(Field::Typing)?, Field::Typing)?,
                })
            }
            "memory" => Ok(Self::Memory {
                op: MemoryOp::read(fields)?,
                room: room(fields)?,
            }),
            "members" => {
                only(
                    fields,
                    "members",
                    &[Field::Room, Field::After, Field::Limit],
                )?;
                Ok(Self::Members {
                    room: room(fields)?,
                    after: fields.text(Field::After, USER_BYTES_MAX)?,
                    limit: page(fields)?,
                })
            }
            "rpc" => {
                let own = [Field::Room, Field::Method, Field::Payload, Field::UpdateId];
                only(fields, "rpc", &own)?;
                let room = room(fields)?;
                if room.table().is_none() {
                    return Err(Problem::value("`room` is not `room/` and a name"));
                }
                let rpc = rpc(fields)?;
                Ok(Self::Rpc { room, rpc })
            }
            "auth" => {
                only(fields, "auth", &[Field::Bearer])?;
                let bearer = fields.word(Field::Bearer, BEARER_BYTES_MAX)?;
                Ok(Self::Auth {
                    bearer: Fields::need(bearer, Field::Bearer)?,
                })
            }
            "ping" => {
                only(fields, "ping", &[])?;
                Ok(Self::Ping)
            }
            _ => Err(Problem::shape("`type` is none that a client may send")),
        }
    }
}

impl<'a> Join<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Problem> {
        only(
            fields,
            "join",
            &[
                Field::Room,
                Field::After,
                Field::Limit,
                Field::Events,
                Field::Presence,
                Field::Data,
                Field::Memory,
                Field::User,
                Field::Token,
            ],
        )?;
        let limit = limit(fields)?;
        let presence = match fields.text(Field::Presence, usize::MAX)?.as_deref() {
            None => PresenceMode::None,
            Some("watch") => PresenceMode::Watch,
            Some("member") => PresenceMode::Member,
            Some(_) => return Err(Problem::value("`presence` is neither watch nor member")),
        };
        let data = fields.raw(Field::Data)?;
        if data.is_some() && presence != PresenceMode::Member {
            return Err(Problem::value("`data` is for who joins as a member"));
        }
        Ok(Self {
            room: room(fields)?,
            after: After::read(fields, limit)?,
            limit,
            events: fields.boolean(Field::Events)?.unwrap_or(true),
            presence,
            data,
            memory: Self::memory(fields)?,
            user: fields.word(Field::User, USER_BYTES_MAX)?,
            token: fields.word(Field::Token, TOKEN_BYTES_MAX)?,
        })
    }

    /// Reads `true`, `false` or a prefix.
    fn memory(fields: &Fields<'a>) -> Result<Option<Cow<'a, str>>, Problem> {
        match fields.raw(Field::Memory)? {
            Some("true") => Ok(Some(Cow::Borrowed(""))),
            Some("false") | None => Ok(None),
            Some(json) if json.starts_with('"') || json == "null" => {
                fields.text(Field::Memory, KEY_BYTES_MAX)
            }
            Some(_) => Err(Problem::shape(
                "`memory` is not true, false or the prefix of a key",
            )),
        }
    }
}

impl After {
    /// Without an `after`, a `limit` asks for the newest events, and else only new ones are wanted.
    fn read(fields: &Fields<'_>, limit: Option<u32>) -> Result<Self, Problem> {
        const WANTED: &str = "`after` is not a sequence number, \"now\" or \"start\"";
        match fields.raw(Field::After)? {
            None | Some("null") if limit.is_some() => Ok(Self::Start),
            None | Some("null") => Ok(Self::Now),
            Some(json) if json.starts_with('"') => {
                match fields.text(Field::After, usize::MAX)?.as_deref() {
                    Some("now") => Ok(Self::Now),
                    Some("start") => Ok(Self::Start),
                    Some(_) | None => Err(Problem::value(WANTED)),
                }
            }
            Some(_) => match fields.number(Field::After) {
                Ok(Some(seq)) => Ok(Self::Seq(seq)),
                Ok(None) | Err(_) => Err(Problem::shape(WANTED)),
            },
        }
    }
}

impl<'a> Append<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Problem> {
        const OWN: &[Field] = &[Field::Type, Field::Id, Field::Room, Field::IdempotencyKey];
        fields.only("append", &[OWN, &AppendBody::FIELDS])?;
        let room = room(fields)?;
        Ok(Self {
            body: AppendBody::read(fields, room.channel().is_some())?,
            room,
            idempotency_key: fields.word(Field::IdempotencyKey, IDEMPOTENCY_KEY_BYTES_MAX)?,
        })
    }
}

impl<'a> MemoryOp<'a> {
    fn read(fields: &Fields<'a>) -> Result<Self, Problem> {
        let op = Fields::need(fields.text(Field::Op, usize::MAX)?, Field::Op)?;
        let key = || Fields::need(fields.word(Field::Key, KEY_BYTES_MAX)?, Field::Key);
        match &*op {
            "set" => {
                let own = [Field::Key, Field::Value, Field::TtlMs, Field::IfVersion];
                Self::only(fields, "memory set", &own)?;
                let ttl_ms = fields.number(Field::TtlMs)?;
                if ttl_ms == Some(0) {
                    return Err(Problem::value("`ttlMs` is not 1 or more"));
                }
                Ok(Self::Set {
                    key: key()?,
                    value: Fields::need(fields.raw(Field::Value)?, Field::Value)?,
                    ttl_ms,
                    if_version: fields.number(Field::IfVersion)?,
                })
            }
            "delete" => {
                Self::only(fields, "memory delete", &[Field::Key, Field::IfVersion])?;
                Ok(Self::Delete {
                    key: key()?,
                    if_version: fields.number(Field::IfVersion)?,
                })
            }
            "get" => {
                Self::only(fields, "memory get", &[Field::Key])?;
                Ok(Self::Get { key: key()? })
            }
            "list" => {
                let own = [Field::Prefix, Field::After, Field::Limit];
                Self::only(fields, "memory list", &own)?;
                Ok(Self::List {
                    prefix: fields
                        .text(Field::Prefix, KEY_BYTES_MAX)?
                        .unwrap_or_default(),
                    after: fields.text(Field::After, KEY_BYTES_MAX)?,
                    limit: page(fields)?,
                })
            }
            _ => Err(Problem::value("`op` is none of set, delete, get and list")),
        }
    }

    fn only(fields: &Fields<'_>, what: &str, own: &[Field]) -> Result<(), Problem> {
        const ALL: &[Field] = &[Field::Type, Field::Id, Field::Room, Field::Op];
        fields.only(what, &[ALL, own])
    }
}

/// Refuses all fields but `type`, `id` and `allowed`.
fn only(fields: &Fields<'_>, what: &str, allowed: &[Field]) -> Result<(), Problem> {
    fields.only(what, &[&[Field::Type, Field::Id], allowed])
}

fn room<'a>(fields: &Fields<'a>) -> Result<RoomName<'a>, Problem> {
    let room = Fields::need(fields.text(Field::Room, usize::MAX)?, Field::Room)?;
    RoomName::parse(room)
}

/// Reads the method that is called and its payload, as every surface of tables has them.
fn rpc(fields: &Fields<'_>) -> Result<Box<Rpc>, Problem> {
    let method = Fields::need(fields.text(Field::Method, usize::MAX)?, Field::Method)?;
    let (payload, update_id) = (fields.raw(Field::Payload)?, fields.raw(Field::UpdateId)?);
    tables::read_parts(&method, payload, update_id)
        .map(Box::new)
        .map_err(|refusal| Problem::new(refusal.error.code, refusal.error.message))
}

fn limit(fields: &Fields<'_>) -> Result<Option<u32>, Problem> {
    fields
        .number(Field::Limit)?
        .map(|limit| {
            u32::try_from(limit).map_err(|_| Problem::value("`limit` is larger than 4294967295"))
        })
        .transpose()
}

fn page(fields: &Fields<'_>) -> Result<u32, Problem> {
    match limit(fields)?.unwrap_or(PAGE_DEFAULT) {
        limit @ 1..=PAGE_MAX => Ok(limit),
        _ => Err(Problem::value(format!("`limit` is not 1 to {PAGE_MAX}"))),
    }
}
