//! Why an act was refused.

use floe_proto::Code;
use floe_proto::community::Role;

use super::Community;

/// Why nothing changed in a waddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// The room is no waddle's, or it was deleted.
    #[error("there is no such waddle")]
    NoCommunity,
    /// Say who you are.
    #[error("this takes a user")]
    NoUser,
    /// Who is no member learns and changes nothing.
    #[error("you are no member of the waddle")]
    NotMember,
    /// A role above yours is needed.
    #[error("this takes the role of a {} at least", needed.as_str())]
    Role {
        /// The least role.
        needed: Role,
    },
    /// Nobody acts on who stands as high as they, nor gives what they have not.
    #[error("this takes a role above that of who it is about")]
    Rank,
    /// Come when the ban is over.
    #[error("the user is banned from the waddle")]
    Banned,
    /// Ask to be added.
    #[error("the waddle takes those who are added, and no others")]
    InviteOnly,
    /// The user who is named is no member.
    #[error("the user is no member of the waddle")]
    NoSuchMember,
    /// The user is a member already.
    #[error("the user is a member of the waddle already")]
    AlreadyMember,
    /// There is no such ban.
    #[error("the user is not banned")]
    NotBanned,
    /// There is no such room.
    #[error("the waddle has no such room")]
    NoSuchRoom,
    /// The room is there already.
    #[error("the waddle has this room already")]
    RoomExists,
    /// Hand it over first.
    #[error("the owner hands the waddle over before they go")]
    Owner,
    /// A name is empty or too long.
    #[error("a user has 1 to {} bytes", Community::USER_BYTES_MAX)]
    User,
    /// A name is empty or too long.
    #[error("a name has 1 to {} characters", Community::NAME_CHARS_MAX)]
    Name,
    /// A reason is too long.
    #[error("a reason has up to {} characters", Community::REASON_CHARS_MAX)]
    Reason,
    /// The end of a ban or time-out is not in the future.
    #[error("the end lies in the past")]
    Past,
    /// The least role that writes must be one that reads.
    #[error("who writes in a room reads it")]
    LeastRoles,
    /// A voice room holds somebody, and a channel knows no such bound.
    #[error("a voice room takes 1 participant or more, and a channel has no such bound")]
    Participants,
    /// The waddle has as many members as it may.
    #[error("the waddle has waddle.members_max = {max} members")]
    Members {
        /// How many.
        max: usize,
    },
    /// The waddle keeps as many users out as it may.
    #[error("the waddle has waddle.bans_max = {max} bans")]
    Bans {
        /// How many.
        max: usize,
    },
    /// The waddle has as many rooms as it may.
    #[error("the waddle has waddle.rooms_max = {max} rooms")]
    Rooms {
        /// How many.
        max: usize,
    },
}

impl CommunityError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::NoCommunity
            | Self::NotMember
            | Self::NoSuchMember
            | Self::NotBanned
            | Self::NoSuchRoom => Code::NotFound,
            Self::Role { .. } | Self::Rank | Self::Banned | Self::InviteOnly => Code::Forbidden,
            Self::AlreadyMember | Self::RoomExists | Self::Owner => Code::Exists,
            Self::NoUser
            | Self::User
            | Self::Name
            | Self::Reason
            | Self::Past
            | Self::LeastRoles
            | Self::Participants => Code::InvalidRequest,
            Self::Members { .. } | Self::Bans { .. } | Self::Rooms { .. } => Code::LimitReached,
        }
    }
}
