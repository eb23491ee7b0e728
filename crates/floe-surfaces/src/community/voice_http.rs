//! Voice rooms over plain HTTP.

use floe_core::voice::{Changes, Recording, Told};
use floe_proto::{Code, VoiceId};

use super::voice::{SessionShown, participant, recording_members, session_members};
use super::voice_recordings;
use crate::access::{Credentials, Deed};
use crate::http::{Answer, Envelope, Method, Reject, decode};
use crate::live::USER_BYTES_MAX;
use crate::tables::fields::Fields;
use crate::tables::object::Object;

/// Every route of voice rooms, with its parameters in braces.
pub const ROUTES: [(Method, &str); 5] = [
    (Method::Get, "/v1/voice/{voiceId}"),
    (Method::Post, "/v1/voice/{voiceId}/participants/{user}/mute"),
    (Method::Delete, "/v1/voice/{voiceId}/participants/{user}"),
    (Method::Put, "/v1/voice/{voiceId}/recording"),
    (Method::Delete, "/v1/voice/{voiceId}/recording"),
];

/// What the paths of voice rooms begin with.
const ROOT: &str = "/v1/voice/";

/// Returns whether a path is one of a voice room over HTTP, known or not.
#[must_use]
pub fn owns(path: &str) -> bool {
    path.starts_with(ROOT)
}

/// A request about a voice room.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Who asks, as far as a request says.
    pub credentials: Credentials<'a>,
    /// The room; `None` where the path names none that could be one.
    pub room: Option<VoiceId>,
    /// What is wanted.
    pub ask: Ask,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// What a browser may send.
    Preflight,
    /// The session and its participants.
    Describe,
    /// That a participant is heard no more, or may be heard again.
    Mute {
        /// Who.
        user: Box<str>,
        /// Whether they are kept from being heard.
        muted: bool,
    },
    /// That a participant has no seat any more.
    Kick {
        /// Who.
        user: Box<str>,
    },
    /// That the session is recorded, or no more.
    Record(bool),
    /// Something of the room's recordings.
    Recordings(voice_recordings::Ask),
}

impl Ask {
    /// Returns what the caller must be allowed in the room.
    #[must_use]
    pub const fn deed(&self) -> Deed {
        match self {
            Self::Preflight => Deed::Nothing,
            Self::Describe => Deed::Read,
            Self::Recordings(ask) => ask.deed(),
            Self::Mute { .. } | Self::Kick { .. } | Self::Record(_) => Deed::Moderate,
        }
    }
}

/// Reads a request whose path is one of a voice room.
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
    let mut range = None;
    let mut credentials = Credentials::read(fields.inspect(|(name, value)| {
        if name.eq_ignore_ascii_case("range") {
            range = Some(*value);
        }
    }));
    credentials.query(query);
    let rest = path.strip_prefix(ROOT).unwrap_or_default();
    let mut parts = rest.split('/');
    let room = parts.next().unwrap_or_default().parse().ok();
    let parts: Vec<&str> = parts.collect();
    let ask = match (method, parts.as_slice()) {
        (Method::Options, _) => Ask::Preflight,
        (Method::Get | Method::Head, []) => Ask::Describe,
        (Method::Post, ["participants", user, "mute"]) => Ask::Mute {
            user: name(user)?,
            muted: muted(body)?,
        },
        (Method::Delete, ["participants", user]) => Ask::Kick { user: name(user)? },
        (Method::Put, ["recording"]) => Ask::Record(true),
        (Method::Delete, ["recording"]) => Ask::Record(false),
        (method, ["recordings", parts @ ..]) => {
            let ask = voice_recordings::Ask::read(method, parts, range);
            Ask::Recordings(ask.ok_or_else(|| match parts.len() {
                0..=2 => Reject::new(Code::MethodNotAllowed, "this path takes another method"),
                _ => Reject::new(Code::UnknownRoute, "no route has this path"),
            })?)
        }
        (_, [] | ["recording"] | ["participants", _] | ["participants", _, "mute"]) => {
            let message = "this path takes another method";
            return Err(Reject::new(Code::MethodNotAllowed, message));
        }
        _ => return Err(Reject::new(Code::UnknownRoute, "no route has this path")),
    };
    Ok(Asked {
        credentials,
        room,
        ask,
    })
}

fn name(text: &str) -> Result<Box<str>, Reject> {
    let name = decode(text).and_then(|name| String::from_utf8(name.into_owned()).ok());
    let name = name.filter(|name| (1..=USER_BYTES_MAX).contains(&name.len()));
    let name = name.ok_or_else(|| Reject::invalid("a user has 1 to 128 bytes"))?;
    Ok(name.into())
}

/// Reads the body of a mute, which may be none.
fn muted(body: &[u8]) -> Result<bool, Reject> {
    if body.trim_ascii().is_empty() {
        return Ok(true);
    }
    let text = std::str::from_utf8(body)
        .map_err(|_| Reject::new(Code::InvalidJson, "the body is not UTF-8"))?;
    let read = |fields: Fields<'_>| {
        fields.only("a mute", |name| name == "muted")?;
        fields.boolean("muted")
    };
    let muted = Fields::read(text, "the body").and_then(read);
    let muted = muted.map_err(|error| Reject::new(error.code, error.message))?;
    Ok(muted.unwrap_or(true))
}

/// Writes the answer with a voice room: its session, if there is one, and its participants.
pub fn write_room(
    out: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    room: VoiceId,
    session: Option<&SessionShown<'_>>,
    participants: &Changes<'_>,
) {
    let mut body = Vec::new();
    Object::write(&mut body, |object| {
        object.text("voiceId", &room.to_string());
        match session {
            None => object.json("session", b"null"),
            Some(shown) => object.written("session", |out| {
                Object::write(out, |object| session_members(object, shown));
            }),
        }
        let all = match &participants.told {
            Told::All(all) => all.as_slice(),
            Told::Delta { set, .. } => set.as_slice(),
        };
        object.list("participants", all.iter(), participant);
        object.number("count", participants.count as u64);
        object.number("version", participants.version);
    });
    answer(out, envelope, &body);
}

/// Writes what is told of a recording that has begun.
#[must_use]
pub fn recording_json(recording: &Recording) -> Vec<u8> {
    let mut body = Vec::new();
    Object::write(&mut body, |object| recording_members(object, recording));
    body
}

fn answer(out: &mut Vec<u8>, envelope: &Envelope<'_>, body: &[u8]) {
    Answer::start(out, envelope, 200)
        .field("Content-Type", b"application/json")
        .field("Cache-Control", b"no-store")
        .body(body);
}
