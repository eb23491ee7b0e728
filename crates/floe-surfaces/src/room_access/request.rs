//! Requests about a room's rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_core::access::{AccessChange, AccessPatch, Role, RoomAccess};
use floe_proto::{ChannelId, Code, Rights};
use serde::{Deserialize, Deserializer};

use super::ACCESS_ROOT;
use crate::access::{Credentials, Room};
pub use crate::http::Reject;
use crate::http::{Method, decode};
use crate::tables::TableRoom;

/// Largest body of a request about rules.
pub const BODY_BYTES_MAX: usize = 512 << 10;

/// A request about a room's rules.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who asks, as far as a request says.
    pub credentials: Credentials<'a>,
    /// The room.
    pub room: RoomPath<'a>,
    /// What is wanted.
    pub ask: Ask,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What a browser may send.
    Preflight,
    /// The rules as they are.
    Show,
    /// Other rules.
    Change {
        /// Which.
        change: AccessChange,
        /// The version that must still hold, if one must.
        if_version: Option<u64>,
    },
}

/// A room in a path: `stream/` and its path, `channel/` and its id, or `room/` and the name of a room
/// with tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomPath<'a> {
    /// A stream, by its percent-decoded path; that of a room with tables is one.
    Stream(Cow<'a, [u8]>),
    /// A channel.
    Channel(ChannelId),
}

impl<'a> RoomPath<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        match text.split_once('/')? {
            ("stream", path) => decode(path).map(Self::Stream),
            ("channel", id) => id.parse().ok().map(Self::Channel),
            ("room", name) => {
                let room = TableRoom::parse(name).ok()?;
                Some(Self::Stream(Cow::Owned(room.path().to_vec())))
            }
            _ => None,
        }
    }

    /// Returns the room as it matters to who may do something there.
    #[must_use]
    pub fn room(&self) -> Room<'_> {
        match self {
            Self::Stream(path) => Room::Stream(path),
            Self::Channel(id) => Room::Channel(*id),
        }
    }
}

impl std::fmt::Display for RoomPath<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(path) => match TableRoom::of_path(path) {
                Some(room) => write!(f, "room/{room}"),
                None => write!(f, "stream/{}", String::from_utf8_lossy(path)),
            },
            Self::Channel(id) => write!(f, "channel/{id}"),
        }
    }
}

/// Reads a request whose path [`owns`](super::owns) says yes to.
///
/// # Errors
/// See [`Reject`].
pub fn read_request<'a>(
    method: Method,
    path: &'a str,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Asked<'a>, Reject> {
    let mut credentials = Credentials::default();
    let mut if_match = None;
    for (name, value) in fields {
        credentials.field(name, value);
        if name.eq_ignore_ascii_case("if-match") {
            if_match = Some(value);
        }
    }
    let path = path.strip_prefix(ACCESS_ROOT).unwrap_or_default();
    let (room, member) = match path.rsplit_once("/members/") {
        Some((room, user)) if method == Method::Delete => (room, Some(user)),
        Some(_) | None => (path, None),
    };
    let room = RoomPath::parse(room).ok_or_else(|| {
        Reject::new(
            Code::UnknownRoute,
            "a room is `stream/` and a path, `channel/` and 12 hexadecimal digits, or `room/` and a name",
        )
    })?;
    if body.len() > BODY_BYTES_MAX {
        let message = format!("the rules of a room have at most {BODY_BYTES_MAX} bytes");
        return Err(Reject::new(Code::BodyTooLarge, message));
    }
    let change = match (method, member) {
        (Method::Options, _) => return asked(credentials, room, Ask::Preflight),
        (Method::Get | Method::Head, _) => return asked(credentials, room, Ask::Show),
        (Method::Delete, Some(user)) => without(user)?,
        (Method::Put, _) => replaced(parse(body)?)?,
        (Method::Patch, _) => AccessChange::Merge(patched(parse(body)?)?),
        (Method::Delete | Method::Post | Method::Other, _) => {
            let message = "rules take GET, PUT and PATCH, a member DELETE";
            return Err(Reject::new(Code::MethodNotAllowed, message));
        }
    };
    let if_version = if_match.map(version).transpose()?.flatten();
    asked(credentials, room, Ask::Change { change, if_version })
}

fn asked<'a>(
    credentials: Credentials<'a>,
    room: RoomPath<'a>,
    ask: Ask,
) -> Result<Asked<'a>, Reject> {
    Ok(Asked {
        credentials,
        room,
        ask,
    })
}

/// Reads `If-Match`: a version in quotes as `ETag` has it, or `*` for any.
fn version(value: &[u8]) -> Result<Option<u64>, Reject> {
    let text = std::str::from_utf8(value).unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let number = quoted.unwrap_or(text).parse();
    number
        .map(Some)
        .map_err(|_| Reject::invalid("If-Match is the version of the rules in quotes"))
}

/// Rules as they are written. A field that is not there differs from one that is null.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    public: Option<Box<str>>,
    #[serde(default, deserialize_with = "known")]
    owner: Option<Option<Box<str>>>,
    members: Option<BTreeMap<Box<str>, Option<Box<str>>>>,
    /// Answers have them, so that one can be sent back.
    #[expect(dead_code, reason = "the path and `If-Match` say it")]
    room: Option<serde::de::IgnoredAny>,
    #[expect(dead_code, reason = "the path and `If-Match` say it")]
    version: Option<serde::de::IgnoredAny>,
}

fn known<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<Box<str>>>, D::Error> {
    Option::deserialize(field).map(Some)
}

fn parse(body: &[u8]) -> Result<Body, Reject> {
    serde_json::from_slice(body).map_err(|error| {
        let code = if error.is_data() {
            Code::InvalidRequest
        } else {
            Code::InvalidJson
        };
        Reject::new(code, error.to_string())
    })
}

fn replaced(body: Body) -> Result<AccessChange, Reject> {
    let patch = patched(body)?;
    if patch.members.len() > RoomAccess::MEMBERS_MAX {
        let max = RoomAccess::MEMBERS_MAX;
        let message = format!("a room names at most {max} members");
        return Err(Reject::new(Code::LimitReached, message));
    }
    let members = patch.members.into_iter();
    let members = members.map(|(user, role)| {
        let role = role.ok_or_else(|| Reject::invalid("a member has a role"))?;
        Ok((user, role))
    });
    Ok(AccessChange::Replace(RoomAccess {
        public: patch.public.unwrap_or_default(),
        owner: patch.owner.flatten(),
        members: members.collect::<Result<_, Reject>>()?,
    }))
}

fn patched(body: Body) -> Result<AccessPatch, Reject> {
    let public = match body.public.as_deref() {
        None => None,
        Some("none") => Some(Rights::NONE),
        Some("read") => Some(Rights::READ),
        Some(_) => return Err(Reject::invalid("`public` is `none` or `read`")),
    };
    let members = body.members.unwrap_or_default().into_iter();
    let members = members.map(|(user, word)| {
        let role = word.map(|word| {
            Role::of_word(&word).ok_or_else(|| {
                Reject::invalid("a role is `reader`, `member`, `moderator` or `owner`")
            })
        });
        Ok((user, role.transpose()?))
    });
    Ok(AccessPatch {
        public,
        owner: body.owner,
        members: members.collect::<Result<_, Reject>>()?,
    })
}

fn without(user: &str) -> Result<AccessChange, Reject> {
    let user = decode(user).and_then(|user| String::from_utf8(user.into_owned()).ok());
    let user = user.ok_or_else(|| Reject::invalid("the user is not UTF-8"))?;
    Ok(AccessChange::Merge(AccessPatch {
        members: [(user.into(), None)].into(),
        ..AccessPatch::default()
    }))
}
