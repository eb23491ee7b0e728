//! Who may do what in one room, besides what their credentials say.

use std::collections::BTreeMap;

use floe_proto::codec::{Put, Reader};
use floe_proto::{Code, Rights};

use crate::record::Record;
use crate::room::Room;

/// A room's own rules: they only ever add to what a caller's credentials allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomAccess {
    /// What everyone may, known or not: nothing, or [`Rights::READ`].
    pub public: Rights,
    /// Who may do everything in the room.
    pub owner: Option<Box<str>>,
    /// Users with a role.
    pub members: BTreeMap<Box<str>, Role>,
}

impl RoomAccess {
    /// Members that a room may name; more belong into the grants of their credentials.
    pub const MEMBERS_MAX: usize = 1_000;
    /// Bytes of a user's name.
    pub const USER_BYTES_MAX: usize = 128;

    /// Returns the rules that a room begins with that a user made.
    #[must_use]
    pub fn owned_by(user: &str) -> Self {
        Self {
            owner: Some(user.into()),
            ..Self::default()
        }
    }

    /// Returns what a user may, and what everyone may where there is none.
    #[must_use]
    pub fn rights(&self, user: Option<&str>) -> Rights {
        let Some(user) = user else {
            return self.public;
        };
        if self.owner.as_deref() == Some(user) {
            return self.public.with(Role::Owner.rights());
        }
        let role = self.members.get(user);
        self.public
            .with(role.map_or(Rights::NONE, |role| role.rights()))
    }

    /// Returns whether a room may have these rules.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn check(&self) -> Result<(), AccessError> {
        if self.members.len() > Self::MEMBERS_MAX {
            return Err(AccessError::Members);
        }
        let fits = |user: &str| (1..=Self::USER_BYTES_MAX).contains(&user.len());
        let mut users = self.members.keys().chain(&self.owner);
        if users.any(|user| !fits(user)) {
            return Err(AccessError::User);
        }
        if self.public != Rights::NONE && self.public != Rights::READ {
            return Err(AccessError::Public);
        }
        Ok(())
    }

    /// Appends the rules' bytes to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.public.bits().into());
        out.put_u8(u8::from(self.owner.is_some()));
        if let Some(owner) = &self.owner {
            out.put_bytes(owner.as_bytes());
        }
        out.put_varint(self.members.len() as u64);
        for (user, role) in &self.members {
            out.put_bytes(user.as_bytes());
            out.put_u8(*role as u8);
        }
    }

    /// Reads rules back; `None` when the bytes are none.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let public = Rights::from_bits(u16::try_from(reader.varint()?).ok()?)?;
        let owner = match crate::record::decode_flag(reader)? {
            true => Some(reader.str()?.into()),
            false => None,
        };
        let mut members = BTreeMap::new();
        for _ in 0..reader.varint()? {
            let user = reader.str()?.into();
            members.insert(user, Role::of_number(reader.u8()?)?);
        }
        Some(Self {
            public,
            owner,
            members,
        })
    }
}

/// What somebody wants of a room's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessChange {
    /// These in place of all that there are.
    Replace(RoomAccess),
    /// Some of them changed.
    Merge(AccessPatch),
}

/// Changes of a room's rules; what is not named stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessPatch {
    /// What everyone may.
    pub public: Option<Rights>,
    /// Who owns the room; `Some(None)` is nobody.
    pub owner: Option<Option<Box<str>>>,
    /// Users and their new role; `None` takes them out.
    pub members: BTreeMap<Box<str>, Option<Role>>,
}

impl AccessPatch {
    fn apply(self, rules: &mut RoomAccess) {
        rules.public = self.public.unwrap_or(rules.public);
        if let Some(owner) = self.owner {
            rules.owner = owner;
        }
        for (user, role) in self.members {
            match role {
                Some(role) => rules.members.insert(user, role),
                None => rules.members.remove(&user),
            };
        }
    }
}

impl Room {
    /// Decides a change of the room's own rules; `None` where nothing would change.
    ///
    /// `if_version` is the version that the caller has seen, if it matters.
    ///
    /// # Errors
    /// See [`AccessError`].
    pub fn decide_access(
        &self,
        change: AccessChange,
        if_version: Option<u64>,
    ) -> Result<Option<Record<'static>>, AccessError> {
        if self.is_gone() {
            return Err(AccessError::Gone);
        }
        let version = self.access_version();
        if if_version.is_some_and(|wanted| wanted != version) {
            return Err(AccessError::Changed { version });
        }
        let before = self.access();
        let mut rules = before.cloned().unwrap_or_default();
        match change {
            AccessChange::Replace(new) => rules = new,
            AccessChange::Merge(patch) => patch.apply(&mut rules),
        }
        rules.check()?;
        let same = before.map_or(rules == RoomAccess::default(), |before| *before == rules);
        Ok((!same).then(|| Record::Access(Box::new(rules))))
    }
}

/// Why a room's rules stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The room was deleted.
    #[error("the room is deleted")]
    Gone,
    /// Somebody changed them meanwhile; read them again.
    #[error("the rules have changed; their version is {version} now")]
    Changed {
        /// The version they have.
        version: u64,
    },
    /// More belong into the grants of their credentials.
    #[error("a room names at most {} members", RoomAccess::MEMBERS_MAX)]
    Members,
    /// A name is empty or too long.
    #[error("a user has 1 to {} bytes", RoomAccess::USER_BYTES_MAX)]
    User,
    /// Everyone may nothing, or read.
    #[error("everyone may nothing, or read")]
    Public,
}

impl AccessError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Gone => Code::Gone,
            Self::Changed { .. } => Code::Fenced,
            Self::Members => Code::LimitReached,
            Self::User | Self::Public => Code::InvalidRequest,
        }
    }
}

/// What a member is in a room.
///
/// The numbers are kept on disk, so none is ever given another meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Role {
    /// Reads, and is seen.
    Reader = 1,
    /// Appends, and deletes what is its own.
    Member = 2,
    /// Deletes what anyone said.
    Moderator = 3,
    /// Does everything in the room, its rules included.
    Owner = 4,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Member, Self::Moderator, Self::Owner];

    /// Returns what the role allows.
    #[must_use]
    pub const fn rights(self) -> Rights {
        let reader = Rights::READ.with(Rights::PRESENCE);
        let member = reader.with(Rights::APPEND).with(Rights::DELETE_OWN);
        let moderator = member.with(Rights::DELETE_ANY);
        match self {
            Self::Reader => reader,
            Self::Member => member,
            Self::Moderator => moderator,
            Self::Owner => moderator.with(Rights::MANAGE),
        }
    }

    /// Returns the role's word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Moderator => "moderator",
            Self::Owner => "owner",
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }

    /// Returns the role that a word stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_what_the_one_below_may() {
        for pair in Role::ALL.windows(2) {
            assert!(pair[1].rights().contains(pair[0].rights()));
            assert_ne!(pair[1].rights(), pair[0].rights());
        }
        for role in Role::ALL {
            assert_eq!(Role::of_word(role.as_str()), Some(role));
            assert!(!role.rights().intersects(Rights::ADMIN.with(Rights::CREATE)));
        }
        assert_eq!(Role::of_word("king"), None);
    }

    #[test]
    fn rules_add_up() {
        let access = RoomAccess {
            public: Rights::READ,
            owner: Some("olga".into()),
            members: [("mia".into(), Role::Member)].into(),
        };
        assert_eq!(access.rights(None), Rights::READ);
        assert_eq!(access.rights(Some("someone")), Rights::READ);
        assert_eq!(access.rights(Some("olga")), Role::Owner.rights());
        assert!(access.rights(Some("mia")).contains(Rights::APPEND));
        assert_eq!(RoomAccess::default().rights(Some("mia")), Rights::NONE);
    }
}
