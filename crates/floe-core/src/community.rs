//! Communities ("waddles"): who belongs, as what, and what that allows in which room.
//!
//! A [`Community`] is asked ([`Community::decide`]) whether somebody may do an [`Act`]; the answer is
//! what changes, for the host to put into the log of the waddle's room as one record. Only
//! [`Room::apply`](crate::Room::apply) changes it, from that record.

mod act;
mod error;
mod standing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use floe_proto::codec::{Put, Reader};
use floe_proto::community::{About, Ban, Change, CommunityRoom, Member, decode_changes};
use floe_proto::{ChannelId, Millis};

pub use act::{Act, By, Standing};
pub use error::CommunityError;

/// What a room knows because it is a waddle's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Community {
    about: About,
    created_at: Millis,
    members: BTreeMap<Box<str>, Member>,
    bans: BTreeMap<Box<str>, Ban>,
    rooms: BTreeMap<ChannelId, CommunityRoom>,
}

/// Bounds of a [`Community`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommunityLimits {
    /// Members.
    pub members_max: usize,
    /// Users that are kept out; bans that are over make way.
    pub bans_max: usize,
    /// Channels and voice rooms.
    pub rooms_max: usize,
}

impl Default for CommunityLimits {
    fn default() -> Self {
        Self {
            members_max: 100_000,
            bans_max: 10_000,
            rooms_max: 500,
        }
    }
}

impl Community {
    /// Bytes of a user's name.
    pub const USER_BYTES_MAX: usize = 128;
    /// Characters of the name of a waddle or room.
    pub const NAME_CHARS_MAX: usize = 100;
    /// Characters of the reason that an act may give.
    pub const REASON_CHARS_MAX: usize = 500;

    /// Makes a waddle from the changes that its create record brings.
    ///
    /// Returns `None` where they do not say what it is.
    #[must_use]
    pub(crate) fn new(changes: &[Change], created_at: Millis) -> Option<Self> {
        let about = changes.iter().find_map(|change| match change {
            Change::About(about) => Some(about.clone()),
            Change::Member { .. } | Change::Ban { .. } | Change::Room { .. } => None,
        })?;
        let mut community = Self {
            about,
            created_at,
            members: BTreeMap::new(),
            bans: BTreeMap::new(),
            rooms: BTreeMap::new(),
        };
        for change in changes {
            community.apply(change.clone());
        }
        Some(community)
    }

    /// What the waddle is.
    #[must_use]
    pub const fn about(&self) -> &About {
        &self.about
    }

    /// When it was made.
    #[must_use]
    pub const fn created_at(&self) -> Millis {
        self.created_at
    }

    /// Its members, ascending by user.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<Box<str>, Member> {
        &self.members
    }

    /// Who was kept out, ascending by user; some of it may be [over](Ban::is_over).
    #[must_use]
    pub const fn bans(&self) -> &BTreeMap<Box<str>, Ban> {
        &self.bans
    }

    /// Its channels and voice rooms.
    #[must_use]
    pub const fn rooms(&self) -> &BTreeMap<ChannelId, CommunityRoom> {
        &self.rooms
    }

    /// Returns why a user is kept out at `now`, if they are.
    #[must_use]
    pub fn ban_of(&self, user: &str, now: Millis) -> Option<&Ban> {
        self.bans.get(user).filter(|ban| !ban.is_over(now))
    }

    /// Takes in the changes of a record; bytes that are none change nothing.
    pub(crate) fn apply_bytes(&mut self, bytes: &[u8]) {
        for change in decode_changes(bytes).unwrap_or_default() {
            self.apply(change);
        }
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::About(about) => self.about = about,
            Change::Member { user, member, .. } => put(&mut self.members, user, member),
            Change::Ban { user, ban } => put(&mut self.bans, user, ban),
            Change::Room { id, room } => put(&mut self.rooms, id, room),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.about.encode(out);
        out.put_varint(self.members.len() as u64);
        for (user, member) in &self.members {
            out.put_bytes(user.as_bytes());
            member.encode(out);
        }
        out.put_varint(self.bans.len() as u64);
        for (user, ban) in &self.bans {
            out.put_bytes(user.as_bytes());
            ban.encode(out);
        }
        out.put_varint(self.rooms.len() as u64);
        for (id, room) in &self.rooms {
            out.extend_from_slice(&id.0);
            room.encode(out);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, created_at: Millis) -> Option<Self> {
        let about = About::decode(reader)?;
        let mut members = BTreeMap::new();
        for _ in 0..reader.varint()? {
            members.insert(reader.str()?.into(), Member::decode(reader)?);
        }
        let mut bans = BTreeMap::new();
        for _ in 0..reader.varint()? {
            bans.insert(reader.str()?.into(), Ban::decode(reader)?);
        }
        let mut rooms = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let id = ChannelId(reader.take(6)?.try_into().ok()?);
            rooms.insert(id, CommunityRoom::decode(reader)?);
        }
        Some(Self {
            about,
            created_at,
            members,
            bans,
            rooms,
        })
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}
