//! What carries sound and picture: the seam for a machine that does, and the one that does not.

use std::sync::Arc;

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
    fn handle(&mut self, now: Millis, input: MediaInput) -> Result<(), MediaError>;

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
    /// Voices that one participant hears at once, at most; so many media for audio a browser offers to
    /// receive.
    pub audio_slots: u16,
    /// Pictures that one participant sees at once, at most.
    pub video_slots: u16,
}

/// One seat among those of all rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId {
    /// The room.
    pub room: RoomId,
    /// The number of the seat there.
    pub seat: u64,
}

/// What a participant sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sends {
    /// Whether they are to be heard.
    pub audio: bool,
    /// Whether they are to be seen.
    pub video: bool,
    /// Whether their screen is to be seen.
    pub screen: bool,
}

impl Sends {
    /// A voice, and nothing to be seen.
    pub const VOICE: Self = Self {
        audio: true,
        video: false,
        screen: false,
    };
    /// Nothing: who sends it only listens.
    pub const NOTHING: Self = Self {
        audio: false,
        video: false,
        screen: false,
    };

    /// Returns what is sent after a change.
    #[must_use]
    pub fn with(self, change: Enable) -> Self {
        Self {
            audio: change.audio.unwrap_or(self.audio),
            video: change.video.unwrap_or(self.video),
            screen: change.screen.unwrap_or(self.screen),
        }
    }
}

/// What a participant wants to send, or no more; `None` stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Enable {
    /// Whether they want to be heard.
    pub audio: Option<bool>,
    /// Whether they want to be seen.
    pub video: Option<bool>,
    /// Whether they want their screen to be seen.
    pub screen: Option<bool>,
}

impl Enable {
    /// Returns whether it turns anything on.
    #[must_use]
    pub fn turns_on(self) -> bool {
        [self.audio, self.video, self.screen].contains(&Some(true))
    }
}

impl From<Sends> for Enable {
    fn from(sends: Sends) -> Self {
        Self {
            audio: Some(sends.audio),
            video: Some(sends.video),
            screen: Some(sends.screen),
        }
    }
}

/// What a medium shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// What somebody shares.
    Screen,
}

impl Source {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Microphone => "microphone",
            Self::Camera => "camera",
            Self::Screen => "screen",
        }
    }
}

/// What a [`Media`] is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaInput {
    /// A participant came.
    Joined {
        /// Which.
        seat: SeatId,
        /// Who.
        user: Arc<str>,
        /// What they send.
        sends: Sends,
    },
    /// What a participant sends, or may send, is another than before.
    Changed {
        /// Which.
        seat: SeatId,
        /// What they send.
        sends: Sends,
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
        signal: Signal,
    },
    /// A participant says what one of the media that it receives is to show.
    Watch {
        /// Which.
        seat: SeatId,
        /// What.
        watch: Watch,
    },
    /// A recording of a room begins, or ends where there is none.
    Record {
        /// The room.
        room: RoomId,
        /// What the recording is called.
        recording: Option<Arc<str>>,
    },
    /// The moment of [`Media::poll_timeout`] has come.
    Timeout,
}

/// What one of the media for pictures that a participant receives is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The medium, by name.
    pub mid: Box<str>,
    /// Whose picture; none leaves it to the media.
    pub user: Option<Box<str>>,
    /// Which of theirs.
    pub source: Source,
    /// How good, at most.
    pub quality: Layer,
}

/// How good a picture is, of those that one browser sends at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Layer {
    /// The smallest.
    Low,
    /// The one between.
    Medium,
    /// The best there is.
    #[default]
    High,
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
    /// Tell a participant that something it asked for was not done.
    Refused {
        /// Which.
        seat: SeatId,
        /// Why.
        error: MediaError,
    },
    /// A participant speaks, or stops, as the media hear it. Who goes on speaking is named again at
    /// least every other second.
    Speaking {
        /// Which.
        seat: SeatId,
        /// Whether they speak.
        speaking: bool,
    },
    /// Tell a participant what the media that it receives show by now.
    Tracks {
        /// Which.
        seat: SeatId,
        /// All media that it receives, in the order of its offer.
        tracks: Box<[Track]>,
    },
    /// How well the media reach a participant is another than before.
    Quality {
        /// Which.
        seat: SeatId,
        /// How well.
        quality: Quality,
    },
}

/// What one of the media that a participant receives shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// The medium, by name.
    pub mid: Box<str>,
    /// Whose; none while it shows nothing.
    pub user: Option<Arc<str>>,
    /// What.
    pub source: Source,
}

/// How well media reach a participant, and theirs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Quality {
    /// There is no connection for media.
    #[default]
    None,
    /// Nothing to complain of.
    Good,
    /// Some is lost, or late.
    Fair,
    /// Much is.
    Poor,
    /// There was a connection, and nothing comes any more.
    Lost,
}

impl Quality {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
            Self::Lost => "lost",
        }
    }
}

/// What a browser and the media must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// An SDP offer.
    Offer {
        /// The offer.
        sdp: Box<str>,
        /// What its media show, by name, where that is neither the microphone nor the camera.
        sources: Box<[(Box<str>, Source)]>,
    },
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
    /// The media have a limit, and it is reached.
    #[error("{0}")]
    Limit(Box<str>),
    /// More was asked of the media than they have done by now; try again.
    #[error("the media have too much to do")]
    Busy,
}

impl MediaError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unavailable => Code::MediaUnavailable,
            Self::Signal(_) => Code::InvalidRequest,
            Self::Limit(_) => Code::LimitReached,
            Self::Busy => Code::Overloaded,
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

    fn handle(&mut self, _: Millis, input: MediaInput) -> Result<(), MediaError> {
        match input {
            MediaInput::Signal { .. } | MediaInput::Watch { .. } | MediaInput::Record { .. } => {
                Err(MediaError::Unavailable)
            }
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
