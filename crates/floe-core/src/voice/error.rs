//! Why something was not done.

use floe_proto::Code;

/// Why a voice room refused something. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoiceError {
    /// Participants are called by a name of some length.
    #[error("a participant's name has 1 to {bytes_max} bytes")]
    User {
        /// Bytes of the longest.
        bytes_max: usize,
    },
    /// The connection has a seat already.
    #[error("the connection has joined already")]
    Joined,
    /// The connection has no seat.
    #[error("the connection has not joined")]
    NotJoined,
    /// Try again once others have left.
    #[error("the room holds its limit of {participants_max} participants")]
    Full {
        /// Participants at once.
        participants_max: usize,
    },
    /// A moderator decided so.
    #[error("a moderator has muted the participant")]
    Muted,
    /// Nobody of that name is there.
    #[error("there is no such participant")]
    NoParticipant,
    /// There is nobody to record.
    #[error("nobody takes part")]
    NoSession,
    /// The one recording that there may be is under way.
    #[error("the room is being recorded already")]
    Recorded,
    /// There is no recording to end.
    #[error("the room is not being recorded")]
    NotRecorded,
}

impl VoiceError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::User { .. } => Code::InvalidRequest,
            Self::Joined => Code::AlreadyJoined,
            Self::NotJoined => Code::NotJoined,
            Self::Full { .. } => Code::LimitReached,
            Self::Muted => Code::Forbidden,
            Self::Recorded => Code::Exists,
            Self::NoParticipant | Self::NoSession | Self::NotRecorded => Code::NotFound,
        }
    }
}
