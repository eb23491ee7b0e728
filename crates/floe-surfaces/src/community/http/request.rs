//! Requests about waddles.

use floe_core::community::Community;
use floe_proto::community::{About, Policy, Role, RoomKind, WaddleId};
use floe_proto::{ChannelId, Code, Millis};

use super::body::{self, checked_reason, parse, parse_or_default};
use super::query::Query;
use super::{BODY_BYTES_MAX, ROOT, ROUTES};
use crate::access::Credentials;
use crate::http::{Method, Reject, decode};

/// A request about waddles.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who asks, as far as a request says.
    pub credentials: Credentials<'a>,
    /// As whom the caller acts, where they may say so and do.
    pub actor: Option<Box<str>>,
    /// The waddle that is named.
    pub waddle: Option<WaddleId>,
    /// What is wanted.
    pub ask: Ask,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What a browser may send.
    Preflight,
    /// A new waddle.
    Create {
        /// What it is called in paths; made by the server without it.
        id: Option<WaddleId>,
        /// What it is.
        about: About,
        /// Whose it is, where the caller is no user.
        owner: Option<Box<str>>,
    },
    /// The waddles that the caller has joined.
    Joined,
    /// The waddle as far as the caller may know of it.
    Describe,
    /// Another name, or who may come in; what is `None` stays.
    Change {
        /// What people call it.
        name: Option<Box<str>>,
        /// Who may come in.
        join: Option<Policy>,
    },
    /// The end of the waddle and of all its rooms.
    Delete,
    /// Members, ascending by user.
    Members {
        /// Which part of the list.
        page: Page,
        /// Only those who are this.
        role: Option<Role>,
    },
    /// Somebody becomes a member, or has another role.
    Put {
        /// Who.
        user: Box<str>,
        /// As what.
        role: Role,
    },
    /// Somebody is put out.
    Kick {
        /// Who.
        user: Box<str>,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// The caller comes in.
    Join,
    /// The caller goes.
    Leave,
    /// Bans, ascending by user.
    Bans(Page),
    /// Somebody is kept out.
    Ban {
        /// Who.
        user: Box<str>,
        /// Until when; for good without it.
        end: Option<End>,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// Somebody may come again.
    Unban {
        /// Who.
        user: Box<str>,
    },
    /// Somebody may not write for a while, or may again.
    TimeOut {
        /// Who.
        user: Box<str>,
        /// Until when; `None` gives the right back.
        end: Option<End>,
        /// Why.
        reason: Option<Box<str>>,
    },
    /// A new room.
    CreateRoom(NewRoom),
    /// The rooms that the caller may read.
    Rooms,
    /// One of them.
    DescribeRoom(ChannelId),
    /// A room is otherwise.
    ChangeRoom(ChannelId, RoomChange),
    /// A room goes.
    DeleteRoom(ChannelId),
    /// Messages by their words, in the text channels that the caller may read.
    Search(Seek),
}

/// When something ends that has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// So many seconds from now on.
    After {
        /// How many.
        seconds: u64,
    },
    /// At a moment.
    At(Millis),
}

impl End {
    /// Returns the moment, which is counted from `now`.
    #[must_use]
    pub const fn moment(self, now: Millis) -> Millis {
        match self {
            Self::After { seconds } => now.plus(seconds.saturating_mul(1_000)),
            Self::At(at) => at,
        }
    }
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What comes after this, which need not be there.
    pub after: Option<Box<str>>,
    /// At most so much.
    pub limit: usize,
}

impl Page {
    /// Items of a page where nothing is said.
    pub const LIMIT: usize = 100;
    /// Items of a page at most.
    pub const LIMIT_MAX: usize = 1_000;
}

/// A new room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRoom {
    /// What it is.
    pub kind: RoomKind,
    /// What people call it.
    pub name: Box<str>,
    /// The least role that sees it.
    pub read: Role,
    /// The least role that writes in it.
    pub write: Role,
    /// How many may be in a voice room.
    pub participants_max: Option<u32>,
}

/// What changes of a room; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomChange {
    /// What people call it.
    pub name: Option<Box<str>>,
    /// The least role that sees it.
    pub read: Option<Role>,
    /// The least role that writes in it.
    pub write: Option<Role>,
    /// How many may be in a voice room; as many as the server allows with `Some(None)`.
    pub participants_max: Option<Option<u32>>,
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seek {
    /// The words.
    pub text: Box<str>,
    /// Hits of one page.
    pub limit: u32,
    /// Where the page before ended.
    pub page: Option<Box<str>>,
}

/// Reads a request whose path [`owns`](super::owns) says yes to.
///
/// # Errors
/// See [`Reject`].
pub fn read_request<'a>(
    method: Method,
    path: &'a str,
    query: &'a str,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Asked<'a>, Reject> {
    let mut credentials = Credentials::read(fields);
    credentials.query(query);
    let rest = path.strip_prefix(ROOT).unwrap_or_default();
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    if !is_route(&parts) {
        return Err(Reject::new(Code::UnknownRoute, "no route has this path"));
    }
    let waddle = match parts.first() {
        Some(id) => Some(waddle(id)?),
        None => None,
    };
    if method == Method::Options {
        return Ok(Asked {
            credentials,
            actor: None,
            waddle,
            ask: Ask::Preflight,
        });
    }
    if body.len() > BODY_BYTES_MAX {
        let message = format!("the body has at most {BODY_BYTES_MAX} bytes");
        return Err(Reject::new(Code::BodyTooLarge, message));
    }
    let (ask, actor) = read_ask(method, &parts, query, body)?;
    Ok(Asked {
        credentials,
        actor,
        waddle,
        ask,
    })
}

/// Returns whether some method takes the parts of a path.
fn is_route(parts: &[&str]) -> bool {
    ROUTES.iter().any(|(_, route)| {
        let rest = route.strip_prefix(ROOT).unwrap_or_default();
        let mut wanted = rest.split('/').skip(1);
        let fits = parts.iter().all(|part| {
            let wanted = wanted.next();
            wanted.is_some_and(|wanted| wanted.starts_with('{') || wanted == *part)
        });
        fits && wanted.next().is_none()
    })
}

type Read = Result<(Ask, Option<Box<str>>), Reject>;

fn read_ask(method: Method, parts: &[&str], query: &str, body: &[u8]) -> Read {
    let mut params = Query::read(query, params_of(method, parts))?;
    let (ask, actor) = match (method, parts.get(1..).unwrap_or_default()) {
        (Method::Post, []) if parts.is_empty() => create(body)?,
        (Method::Get | Method::Head, []) if parts.is_empty() => (Ask::Joined, None),
        (Method::Get | Method::Head, []) => (Ask::Describe, None),
        (Method::Patch, []) => {
            let body: body::About = parse(body)?;
            let (name, join) = (body.name, body.join);
            (Ask::Change { name, join }, body.user_id)
        }
        (Method::Delete, []) => (Ask::Delete, None),
        (Method::Get | Method::Head, ["members"]) => {
            let role = match params.text("role") {
                Some(word) => Some(Role::of_word(&word).ok_or_else(no_role)?),
                None => None,
            };
            let page = params.page()?;
            (Ask::Members { page, role }, None)
        }
        (Method::Put, ["members", user]) => {
            let body: body::Membership = parse_or_default(body)?;
            let (user, role) = (decoded(user)?, body.role);
            (Ask::Put { user, role }, body.user_id)
        }
        (Method::Delete, ["members", user]) => {
            let reason = checked_reason(params.text("reason"))?;
            let user = decoded(user)?;
            (Ask::Kick { user, reason }, None)
        }
        (Method::Post, ["join"]) => (Ask::Join, parse_or_default::<body::Actor>(body)?.user_id),
        (Method::Post, ["leave"]) => (Ask::Leave, parse_or_default::<body::Actor>(body)?.user_id),
        (Method::Get | Method::Head, ["bans"]) => (Ask::Bans(params.page()?), None),
        (Method::Put, ["bans", user]) => {
            let body: body::Term = parse_or_default(body)?;
            let (user, end) = (decoded(user)?, body.end()?);
            let reason = checked_reason(body.reason)?;
            (Ask::Ban { user, end, reason }, body.user_id)
        }
        (Method::Delete, ["bans", user]) => (
            Ask::Unban {
                user: decoded(user)?,
            },
            None,
        ),
        (Method::Put, ["timeouts", user]) => {
            let body: body::Term = parse(body)?;
            let end = body.end()?;
            if end.is_none() {
                return Err(Reject::invalid("a time-out takes `seconds` or `until`"));
            }
            let reason = checked_reason(body.reason)?;
            let user = decoded(user)?;
            (Ask::TimeOut { user, end, reason }, body.user_id)
        }
        (Method::Delete, ["timeouts", user]) => {
            let user = decoded(user)?;
            let (end, reason) = (None, None);
            (Ask::TimeOut { user, end, reason }, None)
        }
        (Method::Post, ["channels"]) => {
            let body: body::Room = parse(body)?;
            let room = NewRoom {
                kind: body.kind,
                name: body.name,
                read: body.read,
                write: body.write.unwrap_or(body.read),
                participants_max: body.participants_max,
            };
            (Ask::CreateRoom(room), body.user_id)
        }
        (Method::Get | Method::Head, ["channels"]) => (Ask::Rooms, None),
        (Method::Get | Method::Head, ["channels", id]) => (Ask::DescribeRoom(room(id)?), None),
        (Method::Patch, ["channels", id]) => {
            let body: body::RoomPatch = parse(body)?;
            let change = RoomChange {
                name: body.name,
                read: body.read,
                write: body.write,
                participants_max: body.participants_max,
            };
            (Ask::ChangeRoom(room(id)?, change), body.user_id)
        }
        (Method::Delete, ["channels", id]) => (Ask::DeleteRoom(room(id)?), None),
        (Method::Get | Method::Head, ["search"]) => (seek(&mut params)?, None),
        _ => {
            let message = "the path is there, and does not take this method";
            return Err(Reject::new(Code::MethodNotAllowed, message));
        }
    };
    let actor = match (actor, params.actor()) {
        (Some(one), Some(other)) if one != other => {
            let message = "`userId` and the query's `user` name two users";
            return Err(Reject::invalid(message));
        }
        (Some(actor), _) | (None, Some(actor)) => Some(checked_user(actor)?),
        (None, None) => None,
    };
    Ok((ask, actor))
}

/// Returns the parameters that a route takes besides who acts.
fn params_of(method: Method, parts: &[&str]) -> &'static [&'static str] {
    match (method, parts.get(1..).unwrap_or_default()) {
        (Method::Get | Method::Head, ["members"]) => &["after", "limit", "role"],
        (Method::Get | Method::Head, ["bans"]) => &["after", "limit"],
        (Method::Get | Method::Head, ["search"]) => &["q", "limit", "after"],
        (Method::Delete, ["members", _]) => &["reason"],
        _ => &[],
    }
}

fn create(body: &[u8]) -> Read {
    let body: body::Waddle = parse(body)?;
    let id = match body.id {
        Some(id) => Some(waddle(&id)?),
        None => None,
    };
    let about = About {
        name: body.name,
        join: body.join,
    };
    let owner = body.owner.map(checked_user).transpose()?;
    Ok((Ask::Create { id, about, owner }, body.user_id))
}

fn seek(params: &mut Query<'_>) -> Result<Ask, Reject> {
    let text = params.text("q");
    let text = text.ok_or_else(|| Reject::invalid("q is required"))?;
    let Page { after, limit } = params.page()?;
    Ok(Ask::Search(Seek {
        text,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        page: after,
    }))
}

fn waddle(text: &str) -> Result<WaddleId, Reject> {
    text.parse()
        .map_err(|error: floe_proto::community::ParseWaddleIdError| {
            Reject::invalid(error.to_string())
        })
}

fn room(text: &str) -> Result<ChannelId, Reject> {
    text.parse()
        .map_err(|_| Reject::invalid("a channel has an id of 12 hexadecimal digits"))
}

fn decoded(user: &str) -> Result<Box<str>, Reject> {
    let user = decode(user).and_then(|user| String::from_utf8(user.into_owned()).ok());
    let user = user.ok_or_else(|| Reject::invalid("the user is not UTF-8"))?;
    checked_user(user.into())
}

fn checked_user(user: Box<str>) -> Result<Box<str>, Reject> {
    let max = Community::USER_BYTES_MAX;
    let fits = (1..=max).contains(&user.len());
    if !fits || user.chars().any(char::is_control) {
        let message = format!("a user has 1 to {max} bytes and no control characters");
        return Err(Reject::invalid(message));
    }
    Ok(user)
}

fn no_role() -> Reject {
    Reject::invalid("a role is `member`, `moderator`, `admin` or `owner`")
}
