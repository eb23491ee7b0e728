//! The routes, in one table that the parser reads and the `OpenAPI` document is checked against.

use super::messages::MessageOperation;
use crate::http::Method;

/// The form in which a request was asked, and in which it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// REST under `/v1`.
    V1,
    /// The kept form under `/channel`.
    Channel,
    /// The kept form under `/log`, where a channel is called a log.
    Log,
}

impl Form {
    /// Returns the field with the channel's identity.
    #[must_use]
    pub const fn id_name(self) -> &'static str {
        match self {
            Self::V1 | Self::Channel => "channelId",
            Self::Log => "logId",
        }
    }

    /// Returns the field with a list of channels.
    pub(super) const fn list_name(self) -> &'static str {
        match self {
            Self::V1 | Self::Channel => "channels",
            Self::Log => "logs",
        }
    }

    /// Returns whether this is one of the kept forms.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        matches!(self, Self::Channel | Self::Log)
    }
}

/// Returns whether a path is one of this surface, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    let under = |rest: &str| rest.is_empty() || rest.starts_with('/');
    path == "/ping"
        || path.starts_with("/channel/")
        || path.starts_with("/log/")
        || path.strip_prefix("/v1/").is_some_and(|rest| {
            rest.strip_prefix("channels").is_some_and(under)
                || matches!(
                    rest,
                    "query" | "search" | "reads" | "limits" | "openapi.json"
                )
        })
}

/// Returns every route of this surface: its method, and its whole path with parameters in braces.
pub fn routes() -> impl Iterator<Item = (Method, String)> {
    let kept = ["channel", "log"].into_iter().flat_map(|form| {
        let under =
            move |endpoint: &Endpoint| (endpoint.method, format!("/{form}/{}", endpoint.path));
        KEPT.iter().map(under)
    });
    let v1 = V1.iter();
    v1.map(|endpoint| (endpoint.method, format!("/v1/{}", endpoint.path)))
        .chain(kept)
        .chain(std::iter::once((PING.method, format!("/{}", PING.path))))
}

/// What a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Ping,
    OpenApi,
    Limits,
    Create,
    List,
    Describe,
    Change,
    Remove,
    Append,
    Read,
    Event,
    Edit,
    React,
    Unreact,
    Delete,
    Query,
    QueryAll,
    Search,
    SearchAll,
    Token,
    Secret,
    Realtime,
    Presence,
    Subscribe,
    Poll,
    Message(MessageOperation),
    Reads,
}

/// One route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Endpoint {
    pub method: Method,
    /// Path after `/v1/`, or after `/channel/` and `/log/`, with its parameters in braces.
    pub path: &'static str,
    pub operation: Operation,
    /// Query parameters; others are refused under `/v1`.
    pub params: &'static [&'static str],
}

/// The route of a request, with what stands in the place of the path's parameters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matched<'a> {
    pub endpoint: &'static Endpoint,
    pub captures: [&'a str; CAPTURES_MAX],
}

/// Why no route was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    Path,
    Method,
}

/// Returns the form of a path, and what follows its prefix.
pub(super) fn form(path: &str) -> (Form, &str) {
    if path == "/ping" {
        return (Form::Channel, "ping");
    }
    let prefixes = [
        (Form::Channel, "/channel/"),
        (Form::Log, "/log/"),
        (Form::V1, "/v1/"),
    ];
    let found = prefixes
        .into_iter()
        .find_map(|(form, prefix)| Some((form, path.strip_prefix(prefix)?)));
    found.unwrap_or((Form::V1, ""))
}

/// Finds the route of a request.
pub(super) fn find<'a>(path: &'a str, method: Method) -> Result<Matched<'a>, Miss> {
    let (form, rest) = form(path);
    let table: &'static [Endpoint] = match form {
        Form::V1 => &V1,
        Form::Channel | Form::Log if path == "/ping" => std::slice::from_ref(&PING),
        Form::Channel | Form::Log => &KEPT,
    };
    let mut miss = Miss::Path;
    for endpoint in table {
        if let Some(captures) = captures(endpoint.path, rest) {
            if endpoint.method == method {
                return Ok(Matched { endpoint, captures });
            }
            miss = Miss::Method;
        }
    }
    Err(miss)
}

fn captures<'a>(template: &str, path: &'a str) -> Option<[&'a str; CAPTURES_MAX]> {
    let mut captures = [""; CAPTURES_MAX];
    let mut count = 0;
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        if expected.starts_with('{') {
            *captures.get_mut(count)? = segment;
            count += 1;
        } else if segment != expected {
            return None;
        }
    }
    segments.next().is_none().then_some(captures)
}

const CAPTURES_MAX: usize = 3;

const fn route(
    method: Method,
    path: &'static str,
    operation: Operation,
    params: &'static [&'static str],
) -> Endpoint {
    Endpoint {
        method,
        path,
        operation,
        params,
    }
}

const fn message(
    method: Method,
    path: &'static str,
    operation: MessageOperation,
    params: &'static [&'static str],
) -> Endpoint {
    route(method, path, Operation::Message(operation), params)
}

pub(super) const PING: Endpoint = route(Method::Get, "ping", Operation::Ping, &[]);

/// Routes under `/channel/`, and the same under `/log/`.
pub(super) const KEPT: [Endpoint; 8] = {
    use Method::{Get, Post};
    [
        route(Post, "append", Operation::Append, &[]),
        route(Post, "read", Operation::Read, &[]),
        route(Get, "subscribe", Operation::Subscribe, KEPT_SUBSCRIBE),
        route(Post, "create", Operation::Create, &[]),
        route(Post, "list", Operation::List, &[]),
        route(Post, "delete-event", Operation::Delete, &[]),
        route(Post, "delete", Operation::Remove, &[]),
        route(Post, "token/create", Operation::Token, &[]),
    ]
};

/// Routes under `/v1/`, the busiest first.
pub(super) const V1: [Endpoint; 37] = {
    use MessageOperation as Of;
    use Method::{Delete, Get, Patch, Post, Put};
    [
        route(Post, "channels/{channelId}/events", Operation::Append, &[]),
        route(Get, "channels/{channelId}/events", Operation::Read, READ),
        route(
            Get,
            "channels/{channelId}/subscribe",
            Operation::Subscribe,
            &["afterSeq", "token"],
        ),
        route(Get, "channels/{channelId}/poll", Operation::Poll, POLL),
        route(Get, "channels/{channelId}/query", Operation::Query, FILTERS),
        route(
            Get,
            "channels/{channelId}/search",
            Operation::Search,
            SEARCH,
        ),
        route(
            Get,
            "channels/{channelId}/events/{seq}",
            Operation::Event,
            &["waitFor"],
        ),
        route(
            Patch,
            "channels/{channelId}/events/{seq}",
            Operation::Edit,
            &[],
        ),
        route(
            Delete,
            "channels/{channelId}/events/{seq}",
            Operation::Delete,
            AUTHOR,
        ),
        route(
            Put,
            "channels/{channelId}/events/{seq}/reactions/{reaction}",
            Operation::React,
            AUTHOR,
        ),
        route(
            Delete,
            "channels/{channelId}/events/{seq}/reactions/{reaction}",
            Operation::Unreact,
            AUTHOR,
        ),
        message(Post, "channels/{channelId}/messages", Of::Say, &[]),
        message(Get, "channels/{channelId}/messages", Of::List, MESSAGES),
        message(Patch, MESSAGE, Of::Edit, &[]),
        message(Delete, MESSAGE, Of::Delete, USER),
        message(Put, REACTION, Of::React, USER),
        message(Delete, REACTION, Of::Unreact, USER),
        message(Put, PIN, Of::Pin, USER),
        message(Delete, PIN, Of::Unpin, USER),
        message(
            Get,
            "channels/{channelId}/messages/{sequence}/thread",
            Of::Thread,
            MESSAGES,
        ),
        message(
            Get,
            "channels/{channelId}/messages/{sequence}/versions",
            Of::Versions,
            &["waitFor", "userId"],
        ),
        message(Get, "channels/{channelId}/pins", Of::Pins, MESSAGES),
        message(Post, "channels/{channelId}/read", Of::Read, &[]),
        route(Get, "reads", Operation::Reads, &["channels", "userId"]),
        route(Post, "channels", Operation::Create, &[]),
        route(Get, "channels", Operation::List, LIST),
        route(Get, "channels/{channelId}", Operation::Describe, &[]),
        route(Patch, "channels/{channelId}", Operation::Change, &[]),
        route(Delete, "channels/{channelId}", Operation::Remove, &[]),
        route(Post, "channels/{channelId}/tokens", Operation::Token, &[]),
        route(Post, "channels/{channelId}/secret", Operation::Secret, &[]),
        route(
            Get,
            "channels/{channelId}/realtime",
            Operation::Realtime,
            &[],
        ),
        route(
            Get,
            "channels/{channelId}/presence",
            Operation::Presence,
            &["limit", "after"],
        ),
        route(Get, "query", Operation::QueryAll, FILTERS_ALL),
        route(Get, "search", Operation::SearchAll, SEARCH_ALL),
        route(Get, "limits", Operation::Limits, &[]),
        route(Get, "openapi.json", Operation::OpenApi, &[]),
    ]
};

const MESSAGE: &str = "channels/{channelId}/messages/{sequence}";
const REACTION: &str = "channels/{channelId}/messages/{sequence}/reactions/{emoji}";
const PIN: &str = "channels/{channelId}/messages/{sequence}/pin";
const USER: &[&str] = &["userId"];
const MESSAGES: &[&str] = &[
    "after", "before", "limit", "order", "page", "deleted", "waitFor", "userId",
];
const KEPT_SUBSCRIBE: &[&str] = &["channelId", "logId", "afterSeq", "token"];
const READ: &[&str] = &["afterSeq", "beforeSeq", "limit", "order"];
const POLL: &[&str] = &["afterSeq", "limit", "token"];
const AUTHOR: &[&str] = &["authorId"];
const LIST: &[&str] = &["namespace", "limit", "page"];
const FILTERS: &[&str] = &[
    "afterSeq",
    "beforeSeq",
    "authorId",
    "contentContains",
    "afterDate",
    "beforeDate",
    "limit",
    "order",
    "page",
    "waitFor",
];
const FILTERS_ALL: &[&str] = &[
    "namespace",
    "afterSeq",
    "beforeSeq",
    "authorId",
    "contentContains",
    "afterDate",
    "beforeDate",
    "limit",
    "order",
    "page",
    "waitFor",
];
const SEARCH: &[&str] = &["q", "mode", "limit", "page", "waitFor"];
const SEARCH_ALL: &[&str] = &["namespace", "q", "mode", "limit", "page", "waitFor"];
