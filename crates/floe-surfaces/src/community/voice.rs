//! What the WebSocket of a voice room says.

use std::borrow::Cow;

use floe_proto::table::TableError;

use super::common::{Incoming, Refusal};
use crate::live::USER_BYTES_MAX;
use crate::tables::fields::{Fields, invalid, need};

/// What a client asks of a voice room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action<'a> {
    /// Whether the server is there.
    Ping,
    /// A seat, or the one that the user has for this connection.
    Join {
        /// Whether the participant is heard.
        audio: bool,
        /// Whether the participant is seen.
        video: bool,
    },
    /// To give the seat back.
    Leave,
    /// To be heard or seen, or no more; `None` stays as it is.
    Mute {
        /// Whether the participant is heard.
        audio: Option<bool>,
        /// Whether the participant is seen.
        video: Option<bool>,
    },
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
    /// What browser and media must agree on.
    Signal(Signal<'a>),
}

/// What browser and media must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal<'a> {
    /// An SDP offer.
    Offer(Cow<'a, str>),
    /// An SDP answer.
    Answer(Cow<'a, str>),
    /// An ICE candidate; none is the end of them.
    Candidate(Option<Candidate<'a>>),
}

/// An ICE candidate, as browsers write one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// The candidate's line.
    pub candidate: Cow<'a, str>,
    /// The media that it is for, by name.
    pub mid: Option<Cow<'a, str>>,
    /// The media that it is for, by place.
    pub line: Option<u16>,
}

/// Bytes of the longest SDP.
pub const SDP_BYTES_MAX: usize = 64 << 10;
/// Bytes of the longest ICE candidate.
pub const CANDIDATE_BYTES_MAX: usize = 1 << 10;
/// Bytes of the longest name of a media.
const MID_BYTES_MAX: usize = 64;

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
        "offer" => sdp(fields).map(|sdp| Action::Signal(Signal::Offer(sdp))),
        "answer" => sdp(fields).map(|sdp| Action::Signal(Signal::Answer(sdp))),
        "candidate" => candidate(fields).map(|one| Action::Signal(Signal::Candidate(one))),
        _ => return Err(incoming.unknown()),
    };
    action.map_err(|error| incoming.refuse(error))
}

fn join<'a>(fields: &Fields<'_>) -> Result<Action<'a>, TableError> {
    Ok(Action::Join {
        audio: fields.boolean("audioEnabled")?.unwrap_or(true),
        video: fields.boolean("videoEnabled")?.unwrap_or(false),
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
    let audio = fields.boolean("audioEnabled")?;
    let video = fields.boolean("videoEnabled")?;
    if muted.is_some() && audio.is_some() {
        return Err(invalid("`muted` and `audioEnabled` say the same"));
    }
    let audio = match (muted, audio, video) {
        (Some(muted), ..) => Some(!muted),
        (None, None, None) => Some(false),
        (None, audio, _) => audio,
    };
    Ok(Action::Mute { audio, video })
}

fn speaking<'a>(fields: &Fields<'_>) -> Result<Action<'a>, TableError> {
    let said = match fields.boolean("isSpeaking")? {
        None => fields.boolean("speaking")?,
        said => said,
    };
    Ok(Action::Speaking(said.unwrap_or(true)))
}

fn user<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, TableError> {
    let user = need(fields.text("userId", USER_BYTES_MAX)?, "userId")?;
    if user.is_empty() {
        return Err(invalid("`userId` is empty"));
    }
    Ok(user)
}

fn sdp<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, TableError> {
    need(fields.text("sdp", SDP_BYTES_MAX)?, "sdp")
}

/// Reads a candidate: a text with its media beside it, or the object that browsers make of it.
fn candidate<'a>(fields: &Fields<'a>) -> Result<Option<Candidate<'a>>, TableError> {
    let Some(json) = fields.json("candidate") else {
        return Ok(None);
    };
    if !json.starts_with('{') {
        return one_candidate(fields).map(Some);
    }
    let object: Fields<'a> = serde_json::from_str(json)
        .map_err(|error| invalid(format!("`candidate` cannot be read: {error}")))?;
    one_candidate(&object).map(Some)
}

fn one_candidate<'a>(fields: &Fields<'a>) -> Result<Candidate<'a>, TableError> {
    let line = fields.whole("sdpMLineIndex")?;
    let line = line.map(u16::try_from).transpose();
    Ok(Candidate {
        candidate: need(fields.text("candidate", CANDIDATE_BYTES_MAX)?, "candidate")?,
        mid: fields.text("sdpMid", MID_BYTES_MAX)?,
        line: line.map_err(|_| invalid("`sdpMLineIndex` is too large"))?,
    })
}
