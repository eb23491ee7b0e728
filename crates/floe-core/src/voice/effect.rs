//! What comes of an input besides the new state.

use std::sync::Arc;

use floe_proto::Millis;

use super::{Sends, Session};

/// Something that the host must act on.
///
/// What began and ended, and who came and went, goes into the room's log, in this order. Everything is
/// for the [`Media`](super::Media), which know participants by the numbers of their seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A session began. It goes into the log.
    Started(Session),
    /// Somebody came. It goes into the log.
    Joined {
        /// The session.
        session: Arc<str>,
        /// Their seat.
        seat: u64,
        /// Who.
        user: Arc<str>,
        /// When.
        joined_at: Millis,
        /// What they send.
        sends: Sends,
    },
    /// What a participant sends, or may send, is another than before.
    Changed {
        /// Whose.
        seat: u64,
        /// What they send.
        sends: Sends,
        /// Whether a moderator keeps them from being heard.
        muted: bool,
    },
    /// A participant's connection is lost, and the seat kept.
    Away {
        /// Whose.
        seat: u64,
        /// The connection that was.
        connection: u64,
    },
    /// A seat has another connection. The one before is to be told that it has none.
    Returned {
        /// Whose.
        seat: u64,
        /// The connection that had it until now, unless that was lost before.
        before: Option<u64>,
        /// The connection that has it now.
        connection: u64,
    },
    /// Somebody is gone. It goes into the log; their connection, if it is there, is to be told.
    Left {
        /// The session.
        session: Arc<str>,
        /// Their seat.
        seat: u64,
        /// Who.
        user: Arc<str>,
        /// The connection that had it.
        connection: Option<u64>,
        /// Why.
        why: Gone,
    },
    /// A recording began. It goes into the log.
    Recording {
        /// The session.
        session: Arc<str>,
        /// What the host named it.
        id: Arc<str>,
        /// Who wanted it, where that is a user.
        by: Option<Arc<str>>,
        /// When.
        started_at: Millis,
    },
    /// A recording is over. It goes into the log.
    RecordingEnded {
        /// The session.
        session: Arc<str>,
        /// Which.
        id: Arc<str>,
        /// Why.
        why: Cut,
    },
    /// The session is over. It goes into the log.
    Ended(Session),
}

/// Why a recording is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// A moderator said so.
    Stopped,
    /// The session is over.
    Ended,
    /// The host or the media could not go on with it.
    Failed,
}

impl Cut {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// Why a participant is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// They said so.
    Left,
    /// Their connection was lost, and the grace time is over.
    Lost,
    /// A moderator took the seat.
    Kicked,
    /// They may not be here any more.
    Denied,
    /// The server stops.
    Stopped,
}

impl Gone {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Lost => "lost",
            Self::Kicked => "kicked",
            Self::Denied => "denied",
            Self::Stopped => "stopped",
        }
    }
}
