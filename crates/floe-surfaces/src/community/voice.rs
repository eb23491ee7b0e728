//! What the WebSocket of a voice room says.

use std::borrow::Cow;
use std::collections::BTreeMap;

use floe_core::voice::{
    Candidate, Changes, Enable, Features, Layer, Participant, Recording, Sends, Session, Signal,
    Source, Told, Track, Watch,
};
use floe_proto::Millis;
use floe_proto::table::TableError;

use super::common::{Incoming, Refusal};
use crate::live::USER_BYTES_MAX;
use crate::tables::fields::{Fields, invalid, need};
use crate::tables::object::Object;

/// What a client asks of a voice room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Whether the server is there.
    Ping,
    /// A seat, or the one that the user has for this connection.
    Join(Sends),
    /// To give the seat back.
    Leave,
    /// To be heard or seen, or no more.
    Mute(Enable),
    /// Says whether the participant speaks just now.
    Speaking(bool),
    /// That another is heard no more, or may be heard again.
    MuteOther {
        /// Who.
        user: Cow<'a, str>,
        /// Whether they are kept from being heard.
        muted: bool,
    },
    /// That another has no seat any more.
    Kick {
        /// Who.
        user: Cow<'a, str>,
    },
    /// That the session is recorded, or no more.
    Record(bool),
    /// Which servers help its browser find a way for media.
    IceServers,
    /// What browser and media must agree on.
    Signal(Signal),
    /// What one of the media that it receives is to show.
    Watch(Watch),
}

/// Bytes of the longest SDP.
pub const SDP_BYTES_MAX: usize = 64 << 10;
/// Bytes of the longest ICE candidate.
pub const CANDIDATE_BYTES_MAX: usize = 1 << 10;
/// Bytes of the longest name of a media.
const MID_BYTES_MAX: usize = 64;
/// Bytes of the longest word that stands for one of a few things.
const WORD_BYTES_MAX: usize = 16;
/// Media of one offer whose source is said.
const SOURCES_MAX: usize = 16;

/// Reads what a frame asks of a voice room.
///
/// # Errors
/// What to answer instead.
pub fn read_action<'a>(incoming: &Incoming<'a>) -> Result<Action<'a>, Refusal<'a>> {
    let fields = &incoming.fields;
    let action = match &*incoming.kind {
        "ping" => Ok(Action::Ping),
        "join" => join(fields),
        "leave" => Ok(Action::Leave),
        "mute" => mute(fields),
        "speaking" => speaking(fields),
        "kick" => user(fields).map(|user| Action::Kick { user }),
        "record" => record(fields),
        "ice_servers" => Ok(Action::IceServers),
        "offer" => offer(fields).map(Action::Signal),
        "watch" => watch(fields).map(Action::Watch),
        "answer" => sdp(fields).map(|sdp| Action::Signal(Signal::Answer(sdp))),
        "candidate" => candidate(fields).map(|one| Action::Signal(Signal::Candidate(one))),
        _ => return Err(incoming.unknown()),
    };
    action.map_err(|error| incoming.refuse(error))
}

fn join<'a>(fields: &Fields<'_>) -> Result<Action<'a>, TableError> {
    Ok(Action::Join(Sends::VOICE.with(enable(fields)?)))
}

/// Reads what a participant says of what they send.
fn enable(fields: &Fields<'_>) -> Result<Enable, TableError> {
    Ok(Enable {
        audio: fields.boolean("audioEnabled")?,
        video: fields.boolean("videoEnabled")?,
        screen: fields.boolean("screenEnabled")?,
    })
}

/// Reads a `mute`: of another where it names one, else of oneself. Who says nothing more mutes.
fn mute<'a>(fields: &Fields<'a>) -> Result<Action<'a>, TableError> {
    let muted = fields.boolean("muted")?;
    if fields.json("userId").is_some() {
        return Ok(Action::MuteOther {
            user: user(fields)?,
            muted: muted.unwrap_or(true),
        });
    }
    let mut change = enable(fields)?;
    if muted.is_some() && change.audio.is_some() {
        return Err(invalid("`muted` and `audioEnabled` say the same"));
    }
    if let Some(muted) = muted {
        change.audio = Some(!muted);
    } else if change == Enable::default() {
        change.audio = Some(false);
    }
    Ok(Action::Mute(change))
}

fn speaking<'a>(fields: &Fields<'_>) -> Result<Action<'a>, TableError> {
    let said = match fields.boolean("isSpeaking")? {
        None => fields.boolean("speaking")?,
        said => said,
    };
    Ok(Action::Speaking(said.unwrap_or(true)))
}

fn record<'a>(fields: &Fields<'_>) -> Result<Action<'a>, TableError> {
    Ok(Action::Record(need(
        fields.boolean("recording")?,
        "recording",
    )?))
}

fn user<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, TableError> {
    let user = need(fields.text("userId", USER_BYTES_MAX)?, "userId")?;
    if user.is_empty() {
        return Err(invalid("`userId` is empty"));
    }
    Ok(user)
}

fn sdp(fields: &Fields<'_>) -> Result<Box<str>, TableError> {
    fields.word("sdp", SDP_BYTES_MAX)
}

/// Reads an offer: what its media show stands beside it, where they show a screen.
fn offer(fields: &Fields<'_>) -> Result<Signal, TableError> {
    let sdp = sdp(fields)?;
    let mut sources = Vec::new();
    if let Some(json) = fields.json("sources") {
        let said: BTreeMap<Box<str>, Box<str>> =
            serde_json::from_str(json).map_err(|_| invalid("`sources` names media by text"))?;
        if said.len() > SOURCES_MAX {
            return Err(invalid("`sources` names too many media"));
        }
        for (mid, word) in said {
            sources.push((mid, source(&word)?));
        }
    }
    Ok(Signal::Offer {
        sdp,
        sources: sources.into(),
    })
}

fn source(word: &str) -> Result<Source, TableError> {
    [Source::Microphone, Source::Camera, Source::Screen]
        .into_iter()
        .find(|source| source.as_str() == word)
        .ok_or_else(|| invalid("a source is `microphone`, `camera` or `screen`"))
}

/// Reads a `watch`: whose picture a medium is to show, or anyone's.
fn watch(fields: &Fields<'_>) -> Result<Watch, TableError> {
    let user = fields.text("userId", USER_BYTES_MAX)?;
    let said = fields.text("source", WORD_BYTES_MAX)?;
    let source = said.map_or(Ok(Source::Camera), |word| source(&word))?;
    if source == Source::Microphone {
        return Err(invalid("only pictures are watched"));
    }
    let quality = match fields.text("quality", WORD_BYTES_MAX)?.as_deref() {
        None | Some("high") => Layer::High,
        Some("medium") => Layer::Medium,
        Some("low") => Layer::Low,
        Some(_) => return Err(invalid("a quality is `low`, `medium` or `high`")),
    };
    Ok(Watch {
        mid: need(fields.text("mid", MID_BYTES_MAX)?, "mid")?.into(),
        user: user.map(Into::into),
        source,
        quality,
    })
}

/// Reads a candidate: a text with its media beside it, or the object that browsers make of it. None is
/// the end of them.
fn candidate(fields: &Fields<'_>) -> Result<Option<Candidate>, TableError> {
    let Some(json) = fields.json("candidate") else {
        return Ok(None);
    };
    if !json.starts_with('{') {
        return one_candidate(fields).map(Some);
    }
    let object = Fields::read(json, "`candidate`")?;
    one_candidate(&object).map(Some)
}

fn one_candidate(fields: &Fields<'_>) -> Result<Candidate, TableError> {
    let line = fields.whole("sdpMLineIndex")?;
    let line = line.map(u16::try_from).transpose();
    let text = fields.text("candidate", CANDIDATE_BYTES_MAX)?;
    Ok(Candidate {
        candidate: need(text, "candidate")?.into(),
        mid: fields.text("sdpMid", MID_BYTES_MAX)?.map(Into::into),
        line: line.map_err(|_| invalid("`sdpMLineIndex` is too large"))?,
    })
}

/// What a reader is told of a session.
#[derive(Debug, Clone, Copy)]
pub struct SessionShown<'a> {
    /// The session.
    pub session: &'a Session,
    /// What is recorded of it.
    pub recording: Option<&'a Recording>,
    /// Participants at once.
    pub participants_max: usize,
    /// What it carries.
    pub features: Features,
}

/// Writes a `session`: there is one, and what it carries.
pub fn write_session(out: &mut Vec<u8>, shown: &SessionShown<'_>) {
    Object::typed(out, "session", |object| session_members(object, shown));
}

/// Writes a `recording`: the session is recorded, or no more.
pub fn write_recording(out: &mut Vec<u8>, recording: Option<&Recording>) {
    Object::typed(out, "recording", |object| match recording {
        None => object.json("recordingId", b"null"),
        Some(recording) => recording_members(object, recording),
    });
}

/// Writes a `session_ended`.
pub fn write_session_ended(out: &mut Vec<u8>, session: &str) {
    Object::typed(out, "session_ended", |object| {
        object.text("sessionId", session);
    });
}

/// Writes `participants`, all of them, or `participants_changed` where a reader knows the others.
pub fn write_participants(out: &mut Vec<u8>, changes: &Changes<'_>) {
    let Changes {
        version,
        count,
        told,
    } = changes;
    let kind = match told {
        Told::All(_) => "participants",
        Told::Delta { .. } => "participants_changed",
    };
    Object::typed(out, kind, |object| {
        match told {
            Told::All(all) => object.list("participants", all.iter(), participant),
            Told::Delta { set, left, .. } => {
                object.list("set", set.iter(), participant);
                object.list("left", left.iter(), |out, user| {
                    crate::tables::object::json(out, *user);
                });
            }
        }
        object.number("count", *count as u64);
        object.number("version", *version);
    });
}

/// Writes a `left`: the connection has no seat any more.
pub fn write_left(out: &mut Vec<u8>, reason: &str) {
    Object::typed(out, "left", |object| object.text("reason", reason));
}

/// Writes what the media want to agree on with a browser.
pub fn write_signal(out: &mut Vec<u8>, signal: &Signal) {
    match signal {
        Signal::Offer { sdp, .. } => Object::typed(out, "offer", |object| object.text("sdp", sdp)),
        Signal::Answer(sdp) => Object::typed(out, "answer", |object| object.text("sdp", sdp)),
        Signal::Candidate(one) => Object::typed(out, "candidate", |object| match one {
            None => object.json("candidate", b"null"),
            Some(one) => {
                object.text("candidate", &one.candidate);
                if let Some(mid) = &one.mid {
                    object.text("sdpMid", mid);
                }
                object.maybe_number("sdpMLineIndex", one.line.map(u64::from));
            }
        }),
    }
}

/// Servers that help a browser find a way for media.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IceServers {
    /// Which.
    pub servers: Vec<IceServer>,
    /// When the first login ends, if there is one.
    pub expires_at: Option<Millis>,
}

/// Servers that a browser reaches in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceServer {
    /// Their addresses.
    pub urls: Vec<Box<str>>,
    /// What a browser shows there, where that is needed.
    pub login: Option<TurnLogin>,
}

/// What a browser shows to TURN servers. Its `Debug` form does not show the credential.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnLogin {
    /// The name.
    pub username: String,
    /// What goes with it.
    pub credential: String,
}

impl std::fmt::Debug for TurnLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TurnLogin")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Writes `ice_servers`, as a browser takes them.
pub fn write_ice_servers(out: &mut Vec<u8>, servers: &IceServers) {
    Object::typed(out, "ice_servers", |object| {
        object.list("iceServers", servers.servers.iter(), |out, server| {
            Object::write(out, |object| {
                object.list("urls", server.urls.iter(), |out, url| {
                    crate::tables::object::json(out, &**url);
                });
                if let Some(login) = &server.login {
                    object.text("username", &login.username);
                    object.text("credential", &login.credential);
                }
            });
        });
        match servers.expires_at {
            Some(at) => object.text("expiresAt", &at.rfc3339()),
            None => object.json("expiresAt", b"null"),
        }
    });
}

/// Writes `tracks`: what the media that a browser receives show.
pub fn write_tracks(out: &mut Vec<u8>, tracks: &[Track]) {
    Object::typed(out, "tracks", |object| {
        object.list("tracks", tracks.iter(), |out, track| {
            Object::write(out, |object| {
                object.text("mid", &track.mid);
                object.text("source", track.source.as_str());
                match &track.user {
                    Some(user) => object.text("userId", user),
                    None => object.json("userId", b"null"),
                }
            });
        });
    });
}

pub(super) fn recording_members(object: &mut Object<'_>, recording: &Recording) {
    object.text("recordingId", &recording.id);
    match &recording.by {
        Some(user) => object.text("startedBy", user),
        None => object.json("startedBy", b"null"),
    }
    object.text("startedAt", &recording.started_at.rfc3339());
}

pub(super) fn session_members(object: &mut Object<'_>, shown: &SessionShown<'_>) {
    let SessionShown {
        session,
        recording,
        participants_max,
        features,
    } = *shown;
    object.text("sessionId", &session.id);
    object.text("startedAt", &session.started_at.rfc3339());
    object.number("maxParticipants", participants_max as u64);
    object.written("features", |out| {
        Object::write(out, |object| {
            object.boolean("audio", features.audio);
            object.boolean("video", features.video);
            object.boolean("screen", features.screen);
            object.boolean("recording", features.recording);
            object.number("audioSlots", features.audio_slots.into());
            object.number("videoSlots", features.video_slots.into());
        });
    });
    match recording {
        None => object.json("recording", b"null"),
        Some(recording) => object.written("recording", |out| {
            Object::write(out, |object| recording_members(object, recording));
        }),
    }
}

/// Writes what a participant sends.
pub(super) fn sends_members(object: &mut Object<'_>, sends: Sends) {
    object.boolean("audioEnabled", sends.audio);
    object.boolean("videoEnabled", sends.video);
    object.boolean("screenEnabled", sends.screen);
}

pub(super) fn participant(out: &mut Vec<u8>, participant: &Participant<'_>) {
    Object::write(out, |object| {
        object.text("userId", participant.user);
        object.text("joinedAt", &participant.joined_at.rfc3339());
        sends_members(object, participant.sends);
        object.boolean("speaking", participant.speaking);
        object.boolean("muted", participant.muted);
        object.text("quality", participant.quality.as_str());
        object.boolean("reconnecting", participant.reconnecting);
    });
}
