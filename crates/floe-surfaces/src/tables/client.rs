//! What a client sends.

use floe_proto::Code;
use floe_proto::table::TableError;

use super::answer::Refusal;
use super::catalog::{MethodInfo, Scope};
use super::fields::{Fields, invalid};
use super::method::{Method, Unwatch, Watch, check_id, id};
use crate::access::Deed;

/// One message of a client on a room's own WebSocket.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Ask whether the server is there.
    Ping,
    /// Call a method.
    Rpc(Rpc),
}

/// A method that is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Rpc {
    /// What an answer says of the call.
    pub label: Label,
    /// The method with its payload.
    pub method: Method,
}

/// What an answer says of the call that it answers.
#[derive(Debug, Clone)]
pub struct Label {
    /// What is known of the method.
    pub info: &'static MethodInfo,
    /// What the client calls the call.
    pub ids: Ids,
}

/// What a client calls its call: JSON strings or numbers, given back as they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Its `requestId`.
    pub request_id: Option<Box<str>>,
    /// Its `updateId`.
    pub update_id: Option<Box<str>>,
    /// The `queryId` of the query that it is about.
    pub query_id: Option<Box<str>>,
}

impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        self.info.name == other.info.name && self.ids == other.ids
    }
}

impl Rpc {
    /// Returns what the caller must be allowed, and where.
    #[must_use]
    pub const fn needs(&self) -> (Deed, Scope) {
        (self.label.info.needs, self.label.info.scope)
    }
}

impl Ids {
    /// Returns what the client calls the call, as text: the `txid` of its messages. The `updateId` goes
    /// first.
    #[must_use]
    pub fn text(&self) -> Option<Box<str>> {
        let json = self.update_id.as_deref().or(self.request_id.as_deref())?;
        match serde_json::from_str::<String>(json) {
            Ok(text) if text.is_empty() => None,
            Ok(text) => Some(text.into()),
            Err(_) => Some(json.into()),
        }
    }

    fn read(fields: &Fields<'_>) -> Result<Self, TableError> {
        let read = |name| fields.json(name).map(|_| id(fields, name)).transpose();
        Ok(Self {
            request_id: read("requestId")?,
            update_id: read("updateId")?,
            query_id: None,
        })
    }
}

/// Reads one text message of a room's own WebSocket.
///
/// # Errors
/// What to answer instead: the connection goes on.
pub fn read_frame(payload: &[u8]) -> Result<Action, Box<Refusal>> {
    let fields = object(payload, "the frame").map_err(|error| {
        Box::new(Refusal::unread(TableError {
            code: Code::InvalidFrame,
            ..error
        }))
    })?;
    let ids = Ids::read(&fields).map_err(unread)?;
    let unread = |error| unread_of(&ids, error);
    let shape = |message: &str| unread(TableError::new(Code::InvalidFrame, message));
    let action = match fields.text("action", usize::MAX) {
        Ok(Some(action)) => action,
        Ok(None) => return Err(shape("`action` is missing")),
        Err(_) => return Err(shape("`action` is not a string")),
    };
    match &*action {
        "ping" => {
            let only = fields.only("ping", |name| matches!(name, "action" | "requestId"));
            only.map(|()| Action::Ping).map_err(unread)
        }
        "rpc" => rpc(&fields, ids, &["action"]).map(Action::Rpc),
        _ => match MethodInfo::of_action(&action) {
            Some(info) => top_level(&fields, ids, info).map(Action::Rpc),
            None => Err(unread(unknown("action", &action))),
        },
    }
}

/// Reads what a frame of the live protocol has of a call; `payload` and `update_id` are JSON.
///
/// # Errors
/// What to answer instead.
pub fn read_parts(
    method: &str,
    payload: Option<&str>,
    update_id: Option<&str>,
) -> Result<Rpc, Box<Refusal>> {
    let info = MethodInfo::named(method).ok_or_else(|| unread(unknown("method", method)))?;
    let mut ids = Ids::default();
    if let Some(json) = update_id.filter(|json| *json != "null") {
        ids.update_id = Some(check_id(json, "updateId").map_err(unread)?);
    }
    let payload = payload.filter(|json| *json != "null");
    finished(info, ids, Method::read(info, payload))
}

/// Reads the body of an rpc over HTTP.
///
/// # Errors
/// What to answer instead.
pub fn read_rpc(json: &[u8]) -> Result<Rpc, Box<Refusal>> {
    let fields = object(json, "the call").map_err(unread)?;
    let ids = Ids::read(&fields).map_err(unread)?;
    rpc(&fields, ids, &[])
}

fn object<'a>(json: &'a [u8], what: &str) -> Result<Fields<'a>, TableError> {
    let text = std::str::from_utf8(json).map_err(|_| {
        TableError::new(
            Code::InvalidJson,
            format!("{what} cannot be read: it is not UTF-8"),
        )
    })?;
    Fields::read(text, what)
}

fn rpc(fields: &Fields<'_>, ids: Ids, also: &[&str]) -> Result<Rpc, Box<Refusal>> {
    let unread = |error| unread_of(&ids, error);
    let own = |name: &str| {
        matches!(name, "method" | "payload" | "requestId" | "updateId") || also.contains(&name)
    };
    let method = fields.text("method", usize::MAX).map_err(unread)?;
    let Some(method) = method else {
        return Err(unread(invalid("`method` is missing")));
    };
    let info = MethodInfo::named(&method).ok_or_else(|| unread(unknown("method", &method)))?;
    let read = || {
        fields.only("an rpc", own)?;
        Method::read(info, fields.json("payload"))
    };
    let read = read();
    finished(info, ids, read)
}

/// Reads a method that is an action of its own. Its payload is a member like that of an rpc, or what
/// stands beside `action`.
fn top_level(
    fields: &Fields<'_>,
    ids: Ids,
    info: &'static MethodInfo,
) -> Result<Rpc, Box<Refusal>> {
    let others = |name: &str| matches!(name, "action" | "requestId" | "updateId" | "payload");
    let read = match fields.json("payload") {
        Some(payload) => fields
            .only(info.name, others)
            .and_then(|()| Method::read(info, Some(payload))),
        None => Method::of_members(info, fields, others),
    };
    let ids = Ids {
        query_id: id(fields, "queryId").ok(),
        ..ids
    };
    finished(info, ids, read)
}

fn finished(
    info: &'static MethodInfo,
    mut ids: Ids,
    read: Result<Method, TableError>,
) -> Result<Rpc, Box<Refusal>> {
    let mut method = match read {
        Ok(method) => method,
        Err(error) => return Err(Box::new(Refusal::of(&Label { info, ids }, error))),
    };
    if let Method::Mutate(call) = &mut method {
        call.txid = ids.text();
    }
    if let Method::Subscribe(Watch::Query { id, .. }) | Method::Unsubscribe(Unwatch::Query(id)) =
        &method
    {
        ids.query_id = Some(id.clone());
    }
    let label = Label { info, ids };
    Ok(Rpc { label, method })
}

fn unread(error: TableError) -> Box<Refusal> {
    Box::new(Refusal::unread(error))
}

fn unread_of(ids: &Ids, error: TableError) -> Box<Refusal> {
    Box::new(Refusal {
        ids: ids.clone(),
        ..Refusal::unread(error)
    })
}

fn unknown(what: &str, name: &str) -> TableError {
    let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
    TableError::new(Code::UnknownAction, format!("`{shown}` is no {what}"))
}

/// Characters of an unknown name that are repeated to the client.
const NAME_SHOWN_CHARS: usize = 40;
