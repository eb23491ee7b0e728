//! Changes of a waddle, and their bytes.

use crate::codec::{Put, Reader};
use crate::{ChannelId, Millis};

use super::{About, Ban, CommunityRoom, Member, Policy, Role, RoomKind};

/// One thing that is different in a waddle from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The waddle itself.
    About(About),
    /// A member as they are now; `None` where the user is none any more.
    Member {
        /// Who.
        user: Box<str>,
        /// As what.
        member: Option<Member>,
        /// How that came.
        cause: Cause,
    },
    /// Who is kept out, and why; `None` where the user may come again.
    Ban {
        /// Who.
        user: Box<str>,
        /// Why.
        ban: Option<Ban>,
    },
    /// A room as it is now; `None` where it is gone.
    Room {
        /// Which.
        id: ChannelId,
        /// What it is.
        room: Option<CommunityRoom>,
    },
}

/// How a change of a member came. The numbers are on disk, the words on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// By themselves.
    Joined = 1,
    /// By somebody who may.
    Added = 2,
    /// They have another role.
    Role = 3,
    /// They may not write for a while, or may again.
    TimeOut = 4,
    /// They went.
    Left = 5,
    /// They were put out, and may come again.
    Kicked = 6,
    /// They were put out, and may not come again.
    Banned = 7,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::Joined,
        Self::Added,
        Self::Role,
        Self::TimeOut,
        Self::Left,
        Self::Kicked,
        Self::Banned,
    ];

    /// Returns the word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Joined => "joined",
            Self::Added => "added",
            Self::Role => "role",
            Self::TimeOut => "timeout",
            Self::Left => "left",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
        }
    }

    /// Returns the cause that a word stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| *cause as u8 == number)
    }
}

const ABOUT: u8 = 1;
const MEMBER: u8 = 2;
const NO_MEMBER: u8 = 3;
const BAN: u8 = 4;
const NO_BAN: u8 = 5;
const ROOM: u8 = 6;
const NO_ROOM: u8 = 7;

/// Appends the bytes of changes, how many first.
pub fn encode_changes(changes: &[Change], out: &mut Vec<u8>) {
    out.put_varint(changes.len() as u64);
    for change in changes {
        change.encode(out);
    }
}

/// Reads changes back; `None` when the bytes are none.
#[must_use]
pub fn decode_changes(bytes: &[u8]) -> Option<Vec<Change>> {
    let mut reader = Reader::new(bytes);
    let count = reader.varint()?;
    let mut changes = Vec::new();
    for _ in 0..count {
        changes.push(Change::decode(&mut reader)?);
    }
    reader.is_empty().then_some(changes)
}

impl Change {
    /// Appends the bytes of a change to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::About(about) => {
                out.put_u8(ABOUT);
                about.encode(out);
            }
            Self::Member {
                user,
                member,
                cause,
            } => {
                out.put_u8(if member.is_some() { MEMBER } else { NO_MEMBER });
                out.put_bytes(user.as_bytes());
                out.put_u8(*cause as u8);
                if let Some(member) = member {
                    member.encode(out);
                }
            }
            Self::Ban { user, ban } => {
                out.put_u8(if ban.is_some() { BAN } else { NO_BAN });
                out.put_bytes(user.as_bytes());
                if let Some(ban) = ban {
                    ban.encode(out);
                }
            }
            Self::Room { id, room } => {
                out.put_u8(if room.is_some() { ROOM } else { NO_ROOM });
                out.extend_from_slice(&id.0);
                if let Some(room) = room {
                    room.encode(out);
                }
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(match reader.u8()? {
            ABOUT => Self::About(About::decode(reader)?),
            kind @ (MEMBER | NO_MEMBER) => Self::Member {
                user: reader.str()?.into(),
                cause: Cause::of_number(reader.u8()?)?,
                member: match kind {
                    MEMBER => Some(Member::decode(reader)?),
                    _ => None,
                },
            },
            kind @ (BAN | NO_BAN) => Self::Ban {
                user: reader.str()?.into(),
                ban: match kind {
                    BAN => Some(Ban::decode(reader)?),
                    _ => None,
                },
            },
            kind @ (ROOM | NO_ROOM) => Self::Room {
                id: ChannelId(reader.take(6)?.try_into().ok()?),
                room: match kind {
                    ROOM => Some(CommunityRoom::decode(reader)?),
                    _ => None,
                },
            },
            _ => return None,
        })
    }
}

impl About {
    /// Appends the bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(self.name.as_bytes());
        out.put_u8(self.join as u8);
    }

    /// Reads them back.
    #[must_use]
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            name: reader.str()?.into(),
            join: Policy::of_number(reader.u8()?)?,
        })
    }
}

impl Member {
    /// Appends the bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.role as u8);
        out.put_varint(self.joined_at.0);
        put_option(self.timed_out_until.map(|at| at.0), out);
    }

    /// Reads them back.
    #[must_use]
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            role: Role::of_number(reader.u8()?)?,
            joined_at: Millis(reader.varint()?),
            timed_out_until: option(reader)?.map(Millis),
        })
    }
}

impl Ban {
    /// Appends the bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(self.by.as_bytes());
        out.put_varint(self.at.0);
        put_option(self.until.map(|at| at.0), out);
        out.put_bytes(self.reason.as_deref().unwrap_or_default().as_bytes());
    }

    /// Reads them back.
    #[must_use]
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            by: reader.str()?.into(),
            at: Millis(reader.varint()?),
            until: option(reader)?.map(Millis),
            reason: Some(reader.str()?)
                .filter(|text| !text.is_empty())
                .map(Into::into),
        })
    }
}

impl CommunityRoom {
    /// Appends the bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind as u8);
        out.put_bytes(self.name.as_bytes());
        out.put_u8(self.read as u8);
        out.put_u8(self.write as u8);
        out.put_varint(self.created_at.0);
        put_option(self.participants_max.map(u64::from), out);
    }

    /// Reads them back.
    #[must_use]
    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            kind: RoomKind::of_number(reader.u8()?)?,
            name: reader.str()?.into(),
            read: Role::of_number(reader.u8()?)?,
            write: Role::of_number(reader.u8()?)?,
            created_at: Millis(reader.varint()?),
            participants_max: match option(reader)? {
                Some(max) => Some(u32::try_from(max).ok()?),
                None => None,
            },
        })
    }
}

fn put_option(value: Option<u64>, out: &mut Vec<u8>) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        out.put_varint(value);
    }
}

fn option(reader: &mut Reader<'_>) -> Option<Option<u64>> {
    match reader.u8()? {
        0 => Some(None),
        1 => Some(Some(reader.varint()?)),
        _ => None,
    }
}
