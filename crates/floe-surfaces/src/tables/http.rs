//! Rooms with tables over HTTP.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_proto::Code;
use floe_proto::table::{Params, TableError};

use super::answer::{Refusal, write_refusal};
use super::client::{Rpc, read_rpc};
use super::fields::{Fields, invalid};
use super::method::{Resume, Source, checked_table, params, sql};
use super::object::Object;
use super::room::TableRoom;
use super::{GLOBAL_ROOMS_MAX, INCARNATION_BYTES_MAX, TABLES_MAX};
use crate::access::{Credentials, Deed};
use crate::http::{Answer, Envelope, Method, Reject, decode};

/// Every route of the surface, with its parameters in braces. The name of a room may have `/` in it.
pub const ROUTES: [(Method, &str); 14] = [
    (Method::Get, "/connect"),
    (Method::Get, "/websocket"),
    (Method::Get, "/schema"),
    (Method::Get, "/manifest"),
    (Method::Get, "/backup"),
    (Method::Get, "/download-client"),
    (Method::Post, "/global-query"),
    (Method::Post, "/v1/sql"),
    (Method::Post, "/v1/rooms/{room}/rpc"),
    (Method::Get, "/v1/rooms/{room}/schema"),
    (Method::Get, "/v1/rooms/{room}/manifest"),
    (Method::Get, "/v1/rooms/{room}/backup"),
    (Method::Get, "/v1/rooms/{room}/client"),
    (Method::Delete, "/v1/rooms/{room}"),
];

/// Returns whether a path is one of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    kept(path).is_some()
        || matches!(path, "/v1/sql" | "/global-query")
        || path.starts_with(ROOMS_ROOT)
}

const ROOMS_ROOT: &str = "/v1/rooms/";

/// A request about a room with tables, or about many.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who asks, as far as a request says.
    pub credentials: Credentials<'a>,
    /// The room, where it is about one.
    pub room: Option<TableRoom>,
    /// What is wanted.
    pub ask: Ask,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// What a browser may send.
    Preflight,
    /// A WebSocket of the room.
    Connect(Connect),
    /// The tables and their columns.
    Schema,
    /// What can be asked of a room.
    Manifest,
    /// The tables as an SQLite file.
    Backup,
    /// A TypeScript client for the tables.
    Client,
    /// A method, or why the body is none; that is answered to who may have asked for something.
    Rpc(Result<Box<Rpc>, Box<Refusal>>),
    /// That the room goes, with all it holds.
    Remove,
    /// The rows of many rooms, from the replica.
    Global(GlobalQuery),
}

/// What a WebSocket of a room begins with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connect {
    /// Tables of whose rows it is told from the start.
    pub tables: Vec<Box<str>>,
    /// What the client has seen before, for these and what it subscribes to without saying so.
    pub resume: Option<Resume>,
}

/// A question to the replica about many rooms of a namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalQuery {
    /// One statement that only reads.
    pub sql: Box<str>,
    /// Its values.
    pub params: Params,
    /// The rooms; all of them where it is `None`.
    pub rooms: Option<Vec<TableRoom>>,
    /// What the rows must show at least of these rooms; where it is `None`, all that was acknowledged
    /// before.
    pub min_seqs: Option<Vec<(TableRoom, u64)>>,
}

impl Ask {
    /// Returns what the caller must be allowed: in the room where there is one, else in the namespace.
    /// An rpc says itself what it needs.
    #[must_use]
    pub fn deed(&self) -> Deed {
        match self {
            Self::Preflight => Deed::Nothing,
            Self::Connect(_) | Self::Schema | Self::Manifest | Self::Backup | Self::Client => {
                Deed::Read
            }
            Self::Rpc(rpc) => match rpc {
                Ok(rpc) => rpc.label.info.needs,
                Err(_) => Deed::Enter,
            },
            Self::Remove => Deed::Manage,
            Self::Global(_) => Deed::Survey,
        }
    }
}

/// Reads a request whose path [`owns`] says yes to.
///
/// # Errors
/// See [`Reject`].
pub fn read_request<'a>(
    method: Method,
    path: &str,
    query: &'a str,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Asked<'a>, Reject> {
    let mut credentials = Credentials::read(fields);
    credentials.query(query);
    let asked = |room, ask| {
        Ok(Asked {
            credentials,
            room,
            ask,
        })
    };
    if method == Method::Options {
        return asked(None, Ask::Preflight);
    }
    if matches!(path, "/v1/sql" | "/global-query") {
        takes(method, Method::Post)?;
        let global = GlobalQuery::read(body).map_err(rejected)?;
        return asked(None, Ask::Global(global));
    }
    if let Some(mut ask) = kept(path) {
        takes(method, Method::Get)?;
        if let Ask::Connect(connect) = &mut ask {
            *connect = Connect::read(query)?;
        }
        let room = match (value_in(query, "room_id")?, &ask) {
            (None, Ask::Manifest) => None,
            (None, _) => return Err(Reject::invalid("`room_id` is missing")),
            (Some(room), _) => Some(TableRoom::parse(&room)?),
        };
        return asked(room, ask);
    }
    let rest = path.strip_prefix(ROOMS_ROOT).unwrap_or_default();
    if method == Method::Delete {
        return asked(Some(room_of(rest)?), Ask::Remove);
    }
    let (room, last) = rest
        .rsplit_once('/')
        .ok_or_else(|| Reject::new(Code::UnknownRoute, NO_ROUTE))?;
    let (wanted, ask) = match last {
        "rpc" => (Method::Post, Ask::Rpc(read_rpc(body).map(Box::new))),
        "schema" => (Method::Get, Ask::Schema),
        "manifest" => (Method::Get, Ask::Manifest),
        "backup" => (Method::Get, Ask::Backup),
        "client" => (Method::Get, Ask::Client),
        _ => return Err(Reject::new(Code::UnknownRoute, NO_ROUTE)),
    };
    takes(method, wanted)?;
    asked(Some(room_of(room)?), ask)
}

const NO_ROUTE: &str = "no route has this path";

/// Returns what a path of the surface outside `/v1` asks for with a `room_id`.
fn kept(path: &str) -> Option<Ask> {
    Some(match path {
        "/connect" | "/websocket" => Ask::Connect(Connect::default()),
        "/schema" => Ask::Schema,
        "/manifest" => Ask::Manifest,
        "/backup" => Ask::Backup,
        "/download-client" => Ask::Client,
        _ => return None,
    })
}

fn takes(method: Method, wanted: Method) -> Result<(), Reject> {
    let is_get = wanted == Method::Get && method == Method::Head;
    if method == wanted || is_get {
        return Ok(());
    }
    let word = if wanted == Method::Get { "GET" } else { "POST" };
    let message = format!("this path takes {word}");
    Err(Reject::new(Code::MethodNotAllowed, message))
}

/// Reads a room in a path.
fn room_of(text: &str) -> Result<TableRoom, Reject> {
    let name = decode(text).unwrap_or_default();
    TableRoom::parse(std::str::from_utf8(&name).unwrap_or_default())
}

impl Connect {
    fn read(query: &str) -> Result<Self, Reject> {
        let names = value_in(query, "tables")?.unwrap_or_default();
        let names = names.split(',').filter(|name| !name.is_empty());
        if names.clone().count() > TABLES_MAX {
            let message = format!("`tables` has more than {TABLES_MAX} names");
            return Err(Reject::invalid(message));
        }
        let tables = names.map(|name| checked_table(name, "tables"));
        let tables = tables.collect::<Result<_, _>>().map_err(rejected)?;
        let after = match value_in(query, "after")? {
            Some(text) => Some(
                text.parse()
                    .map_err(|_| Reject::invalid("`after` is not a whole number from 0 on"))?,
            ),
            None => None,
        };
        let incarnation = value_in(query, "incarnation")?;
        if incarnation
            .as_ref()
            .is_some_and(|text| text.len() > INCARNATION_BYTES_MAX)
        {
            let message = format!("`incarnation` is longer than {INCARNATION_BYTES_MAX} bytes");
            return Err(Reject::invalid(message));
        }
        let incarnation = incarnation.map(|text| text.into_owned().into_boxed_str());
        let resume = Resume::of(after, incarnation).map_err(rejected)?;
        Ok(Self { tables, resume })
    }
}

/// Finds a parameter of a query; one without a value is as if it were not there.
fn value_in<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, Reject> {
    let mut found = None;
    for pair in query.split('&') {
        let value = pair.strip_prefix(name);
        let Some(value) = value.and_then(|rest| rest.strip_prefix('=')) else {
            continue;
        };
        if found.is_some() {
            return Err(Reject::invalid(format!("`{name}` is given more than once")));
        }
        found = Some(value);
    }
    let Some(value) = found.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = match decode(value) {
        Some(Cow::Borrowed(_)) => Some(Cow::Borrowed(value)),
        Some(Cow::Owned(bytes)) => String::from_utf8(bytes).ok().map(Cow::Owned),
        None => None,
    };
    text.map(Some)
        .ok_or_else(|| Reject::invalid(format!("`{name}` is not percent-encoded UTF-8")))
}

impl GlobalQuery {
    fn read(body: &[u8]) -> Result<Self, TableError> {
        let text = std::str::from_utf8(body)
            .map_err(|_| TableError::new(Code::InvalidJson, "the body is not UTF-8"))?;
        let fields = Fields::read(text, "the query")?;
        fields.only("a query", |name| {
            matches!(name, "sql" | "params" | "rooms" | "minSeq")
        })?;
        let rooms = match fields.json("rooms") {
            None => None,
            Some(_) => Some(rooms(&fields)?),
        };
        Ok(Self {
            sql: sql(&fields)?,
            params: params(&fields)?,
            min_seqs: min_seqs(&fields, rooms.as_deref())?,
            rooms,
        })
    }
}

fn rooms(fields: &Fields<'_>) -> Result<Vec<TableRoom>, TableError> {
    let listed = fields.list("rooms", GLOBAL_ROOMS_MAX)?;
    let rooms = listed.iter().enumerate().map(|(at, json)| {
        let name: String = serde_json::from_str(json)
            .map_err(|_| invalid(format!("rooms[{at}] is not a string")))?;
        TableRoom::parse(&name)
            .map_err(|reject| invalid(format!("rooms[{at}]: {}", reject.message)))
    });
    let mut rooms: Vec<_> = rooms.collect::<Result<_, _>>()?;
    rooms.sort_unstable();
    rooms.dedup();
    Ok(rooms)
}

/// Reads what the answer must show at least of rooms, which must be among those that are asked.
fn min_seqs(
    fields: &Fields<'_>,
    rooms: Option<&[TableRoom]>,
) -> Result<Option<Vec<(TableRoom, u64)>>, TableError> {
    let wanted = "an object of rooms, with a whole number from 0 on for each";
    let Some(named) = fields.typed::<BTreeMap<String, u64>>("minSeq", wanted)? else {
        return Ok(None);
    };
    if named.len() > GLOBAL_ROOMS_MAX {
        let message = format!("`minSeq` has more than {GLOBAL_ROOMS_MAX} rooms");
        return Err(invalid(message));
    }
    let seqs = named.into_iter().map(|(name, seq)| {
        let room = TableRoom::parse(&name)
            .map_err(|reject| invalid(format!("a room of `minSeq`: {}", reject.message)))?;
        if rooms.is_some_and(|rooms| !rooms.contains(&room)) {
            return Err(invalid(format!(
                "`minSeq` names {room}, which is not asked"
            )));
        }
        Ok((room, seq))
    });
    seqs.collect::<Result<_, _>>().map(Some)
}

fn rejected(error: TableError) -> Reject {
    Reject::new(error.code, error.message)
}

/// Writes an answer that is JSON: to an rpc that succeeded, or with the schema or manifest.
pub fn write_json(out: &mut Vec<u8>, envelope: &Envelope<'_>, json: &[u8]) {
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(json);
}

/// Writes the answer to an rpc that failed: the same JSON as over a WebSocket, with the code's status.
pub fn write_refused(out: &mut Vec<u8>, envelope: &Envelope<'_>, refusal: &Refusal) {
    let mut json = Vec::new();
    write_refusal(&mut json, refusal);
    let code = refusal.code();
    let answer = Answer::start(out, envelope, code.http_status())
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store");
    let answer = match envelope.retry_after(code) {
        Some(seconds) => answer.number("Retry-After", seconds),
        None => answer,
    };
    answer.body(&json);
}

/// Writes the answer with the TypeScript client of a room.
pub fn write_client(out: &mut Vec<u8>, envelope: &Envelope<'_>, source: &str) {
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"text/typescript; charset=utf-8")
        .field("Content-Disposition", b"attachment; filename=\"client.ts\"")
        .field("Cache-Control", b"no-store")
        .body(source.as_bytes());
}

/// Writes the head of the answer with a room's SQLite file; `len` bytes of it follow, unless the
/// request was a HEAD.
pub fn write_backup_head(out: &mut Vec<u8>, envelope: &Envelope<'_>, len: u64) {
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/vnd.sqlite3")
        .field(
            "Content-Disposition",
            b"attachment; filename=\"room.sqlite\"",
        )
        .field("Cache-Control", b"no-store")
        .body_follows(len);
}

/// What the replica answers about many rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GlobalRows<'a> {
    /// Rows in `data`.
    pub total: u64,
    /// Rooms that they are of.
    pub rooms: u64,
    /// Where they are from.
    pub source: Source,
    /// An array of objects, as JSON.
    pub data: &'a [u8],
    /// Whether there are more rows, which a limit kept back.
    pub truncated: bool,
}

/// Appends the answer to a [`GlobalQuery`] as JSON, with how far it is in each room
/// that was named, and the rooms that could not be asked.
pub fn write_global<'a>(
    out: &mut Vec<u8>,
    found: &GlobalRows<'_>,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
    seqs: impl Iterator<Item = (&'a str, u64)>,
    errors: impl Iterator<Item = (&'a str, Code, &'a str)>,
) {
    Object::write(out, |object| {
        object.number("total", found.total);
        object.number("rooms", found.rooms);
        object.json("data", found.data);
        object.list("columns", columns, |out, (name, kind)| {
            Object::write(out, |object| {
                object.text("name", name);
                object.text("type", kind);
            });
        });
        object.boolean("truncated", found.truncated);
        object.text("source", found.source.as_str());
        object.written("seqs", |out| {
            Object::write(out, |object| {
                for (room, seq) in seqs {
                    object.number(room, seq);
                }
            });
        });
        object.list("errors", errors, |out, (room, code, message)| {
            Object::write(out, |object| {
                object.text("room", room);
                object.text("code", code.as_str());
                object.text("message", message);
            });
        });
    });
}
