//! What carries sound and picture: the seam for a machine that does, and the one that does not.

use floe_proto::{Code, Millis, RoomId};

/// A machine that carries the media of all voice rooms of a host, without I/O of its own.
///
/// The host hands it what happens ([`handle`](Self::handle)) and then takes out what it wants
/// ([`poll_output`](Self::poll_output)) until there is nothing; when the moment of
/// [`poll_timeout`](Self::poll_timeout) has come, it hands in [`MediaInput::Timeout`]. Participants are
/// known by their seats, which stay theirs when a connection is lost and another comes.
pub trait Media: std::fmt::Debug + Send {
    /// What it carries.
    fn features(&self) -> Features;

    /// Takes in what happened.
    ///
    /// # Errors
    /// See [`MediaError`]; nothing is changed.
    fn handle(&mut self, now: Millis, input: &MediaInput<'_>) -> Result<(), MediaError>;

    /// Hands out what the host must do next, oldest first.
    fn poll_output(&mut self) -> Option<MediaOutput>;

    /// Returns when to hand in a time-out; `None` while nothing waits for time to pass.
    fn poll_timeout(&self) -> Option<Millis>;
}

/// What is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features {
    /// Sound.
    pub audio: bool,
    /// Pictures of cameras.
    pub video: bool,
    /// Pictures of screens.
    pub screen: bool,
    /// Recordings.
    pub recording: bool,
}

/// One seat among those of all rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId {
    /// The room.
    pub room: RoomId,
    /// The number of the seat there.
    pub seat: u64,
}

/// What a [`Media`] is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaInput<'a> {
    /// A participant came.
    Joined {
        /// Which.
        seat: SeatId,
        /// Who.
        user: &'a str,
        /// Whether they are to be heard.
        audio: bool,
        /// Whether they are to be seen.
        video: bool,
    },
    /// What a participant sends, or may send, is another than before.
    Changed {
        /// Which.
        seat: SeatId,
        /// Whether they are to be heard.
        audio: bool,
        /// Whether they are to be seen.
        video: bool,
        /// Whether a moderator keeps them from being heard.
        muted: bool,
    },
    /// A participant's connection for signals is lost; they may come back.
    Away(SeatId),
    /// A participant has another connection for signals.
    Returned(SeatId),
    /// A participant is gone.
    Left(SeatId),
    /// A participant's browser wants to agree on something.
    Signal {
        /// Which.
        seat: SeatId,
        /// On what.
        signal: &'a Signal,
    },
    /// The moment of [`Media::poll_timeout`] has come.
    Timeout,
}

/// What a [`Media`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaOutput {
    /// Tell a participant's browser.
    Signal {
        /// Which.
        seat: SeatId,
        /// What.
        signal: Signal,
    },
    /// A participant speaks, or stops, as the media hear it.
    Speaking {
        /// Which.
        seat: SeatId,
        /// Whether they speak.
        speaking: bool,
    },
}

/// What a browser and the media must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// An SDP offer.
    Offer(Box<str>),
    /// An SDP answer.
    Answer(Box<str>),
    /// An ICE candidate; none is the end of them.
    Candidate(Option<Candidate>),
}

/// An ICE candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its line.
    pub candidate: Box<str>,
    /// The media that it is for, by name.
    pub mid: Option<Box<str>>,
    /// The media that it is for, by place.
    pub line: Option<u16>,
}

/// Why media did not take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// Nothing of it is carried here.
    #[error("this server carries no media")]
    Unavailable,
    /// The signal is malformed, or comes at the wrong time.
    #[error("the signal cannot be taken: {0}")]
    Signal(Box<str>),
}

impl MediaError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unavailable => Code::MediaUnavailable,
            Self::Signal(_) => Code::InvalidRequest,
        }
    }
}

/// Voice rooms without media: who is there is told, and nothing is carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoMedia;

impl Media for NoMedia {
    fn features(&self) -> Features {
        Features::default()
    }

    fn handle(&mut self, _: Millis, input: &MediaInput<'_>) -> Result<(), MediaError> {
        match input {
            MediaInput::Signal { .. } => Err(MediaError::Unavailable),
            MediaInput::Joined { .. }
            | MediaInput::Changed { .. }
            | MediaInput::Away(_)
            | MediaInput::Returned(_)
            | MediaInput::Left(_)
            | MediaInput::Timeout => Ok(()),
        }
    }

    fn poll_output(&mut self) -> Option<MediaOutput> {
        None
    }

    fn poll_timeout(&self) -> Option<Millis> {
        None
    }
}
