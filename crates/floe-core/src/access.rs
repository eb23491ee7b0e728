//! Who may do what in one room, besides what their credentials say.

use std::collections::BTreeMap;

use floe_proto::Rights;

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
