//! What is done in a waddle, and who may.

use floe_proto::community::{
    About, Ban, Cause, Change, CommunityRoom, Member, Policy, Role, RoomKind,
};
use floe_proto::{ChannelId, Millis};

use super::{Community, CommunityError, CommunityLimits};

/// Something that somebody wants to do in a waddle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Give it another name, or let others in. For admins.
    About(About),
    /// Come in.
    Join,
    /// Go. The owner hands the waddle over first.
    Leave,
    /// Make somebody a member. For admins, with a role below their own.
    Add {
        /// Who.
        user: Box<str>,
        /// As what.
        role: Role,
    },
    /// Give a member another role. For admins, below their own; an owner who gives [`Role::Owner`]
    /// hands the waddle over, and is an admin then.
    SetRole {
        /// Who.
        user: Box<str>,
        /// As what.
        role: Role,
    },
    /// Put a member out, who may come again. For moderators.
    Kick {
        /// Who.
        user: Box<str>,
    },
    /// Keep a user out, member or not. For moderators.
    Ban {
        /// Who.
        user: Box<str>,
        /// Until when; for good without it.
        until: Option<Millis>,
        /// In words.
        reason: Option<Box<str>>,
    },
    /// Let a user come again. For moderators.
    Unban {
        /// Who.
        user: Box<str>,
    },
    /// Take the right to write from a member for a while, or give it back. For moderators.
    TimeOut {
        /// Who.
        user: Box<str>,
        /// Until when; `None` gives it back.
        until: Option<Millis>,
    },
    /// Make a room, change it, or take it away. For admins.
    Room {
        /// Which.
        id: ChannelId,
        /// What it is then; its kind and age stay as they were.
        room: Option<CommunityRoom>,
        /// Whether it must be new, or must be there.
        is_new: bool,
    },
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct By<'a> {
    /// The user, where it is one.
    pub user: Option<&'a str>,
    /// Whether their credentials let them manage the waddle whatever they are in it.
    pub is_operator: bool,
}

/// How high somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// No member.
    Outside,
    /// A member.
    Role(Role),
    /// The server's own people.
    Operator,
}

impl Community {
    /// Decides what changes when somebody does something; what is so already changes nothing.
    ///
    /// # Errors
    /// See [`CommunityError`].
    pub fn decide(
        &self,
        act: &Act,
        by: By<'_>,
        now: Millis,
        limits: &CommunityLimits,
    ) -> Result<Vec<Change>, CommunityError> {
        match act {
            Act::About(about) => self.decide_about(about, by),
            Act::Join => self.decide_join(by, now, limits),
            Act::Leave => self.decide_leave(by),
            Act::Add { user, role } => self.decide_add(user, *role, by, now, limits),
            Act::SetRole { user, role } => self.decide_role(user, *role, by),
            Act::Kick { user } => self.decide_kick(user, by),
            Act::Ban {
                user,
                until,
                reason,
            } => self.decide_ban(user, *until, reason.as_deref(), by, now, limits),
            Act::Unban { user } => self.decide_unban(user, by, now),
            Act::TimeOut { user, until } => self.decide_time_out(user, *until, by, now),
            Act::Room { id, room, is_new } => {
                self.decide_room(*id, room.as_ref(), *is_new, by, limits)
            }
        }
    }

    /// Decides the first changes of a new waddle.
    ///
    /// # Errors
    /// [`CommunityError::Name`], [`CommunityError::User`].
    pub fn found(about: About, owner: &str, now: Millis) -> Result<Vec<Change>, CommunityError> {
        check_name(&about.name)?;
        check_user(owner)?;
        let member = Member {
            role: Role::Owner,
            joined_at: now,
            timed_out_until: None,
        };
        Ok(vec![
            Change::About(about),
            Change::Member {
                user: owner.into(),
                member: Some(member),
                cause: Cause::Joined,
            },
        ])
    }

    /// Returns how high somebody stands.
    #[must_use]
    pub fn standing(&self, by: By<'_>) -> Standing {
        if by.is_operator {
            return Standing::Operator;
        }
        let role = by.user.and_then(|user| self.role_of(user));
        role.map_or(Standing::Outside, Standing::Role)
    }

    fn decide_about(&self, about: &About, by: By<'_>) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Admin)?;
        check_name(&about.name)?;
        if *about == self.about {
            return Ok(Vec::new());
        }
        Ok(vec![Change::About(about.clone())])
    }

    fn decide_join(
        &self,
        by: By<'_>,
        now: Millis,
        limits: &CommunityLimits,
    ) -> Result<Vec<Change>, CommunityError> {
        let user = by.user.ok_or(CommunityError::NoUser)?;
        if self.members.contains_key(user) {
            return Ok(Vec::new());
        }
        check_user(user)?;
        if self.ban_of(user, now).is_some() {
            return Err(CommunityError::Banned);
        }
        if self.about.join == Policy::Invite && !by.is_operator {
            return Err(CommunityError::InviteOnly);
        }
        self.check_members(limits)?;
        Ok(self.enter(user, Role::Member, Cause::Joined, now))
    }

    fn decide_leave(&self, by: By<'_>) -> Result<Vec<Change>, CommunityError> {
        let user = by.user.ok_or(CommunityError::NoUser)?;
        match self.role_of(user) {
            None => Err(CommunityError::NotMember),
            Some(Role::Owner) => Err(CommunityError::Owner),
            Some(_) => Ok(vec![gone(user, Cause::Left)]),
        }
    }

    fn decide_add(
        &self,
        user: &str,
        role: Role,
        by: By<'_>,
        now: Millis,
        limits: &CommunityLimits,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Admin)?;
        check_user(user)?;
        if self.members.contains_key(user) {
            return Err(CommunityError::AlreadyMember);
        }
        if role == Role::Owner || self.standing(by) <= Standing::Role(role) {
            return Err(CommunityError::Rank);
        }
        if self.ban_of(user, now).is_some() {
            return Err(CommunityError::Banned);
        }
        self.check_members(limits)?;
        Ok(self.enter(user, role, Cause::Added, now))
    }

    /// A user comes in; what is left of a ban that is over goes.
    fn enter(&self, user: &str, role: Role, cause: Cause, now: Millis) -> Vec<Change> {
        let over = self.bans.contains_key(user).then(|| Change::Ban {
            user: user.into(),
            ban: None,
        });
        let member = Member {
            role,
            joined_at: now,
            timed_out_until: None,
        };
        let entered = Change::Member {
            user: user.into(),
            member: Some(member),
            cause,
        };
        over.into_iter().chain([entered]).collect()
    }

    fn decide_role(
        &self,
        user: &str,
        role: Role,
        by: By<'_>,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Admin)?;
        let member = self.members.get(user);
        let member = member.ok_or(CommunityError::NoSuchMember)?;
        if member.role == role {
            return Ok(Vec::new());
        }
        let changed = |user: &str, member: &Member, role| Change::Member {
            user: user.into(),
            member: Some(Member { role, ..*member }),
            cause: Cause::Role,
        };
        if role == Role::Owner {
            let mut owners = self.members.iter();
            let owner = owners.find(|(_, member)| member.role == Role::Owner);
            let is_own = owner.is_some_and(|(owner, _)| by.user == Some(&**owner));
            if !by.is_operator && !is_own {
                return Err(CommunityError::Rank);
            }
            let before = owner.map(|(owner, member)| changed(owner, member, Role::Admin));
            let after = changed(user, member, Role::Owner);
            return Ok(before.into_iter().chain([after]).collect());
        }
        if member.role == Role::Owner {
            return Err(CommunityError::Owner);
        }
        self.check_rank(by, user)?;
        if self.standing(by) <= Standing::Role(role) {
            return Err(CommunityError::Rank);
        }
        Ok(vec![changed(user, member, role)])
    }

    fn decide_kick(&self, user: &str, by: By<'_>) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Moderator)?;
        if !self.members.contains_key(user) {
            return Err(CommunityError::NoSuchMember);
        }
        self.check_rank(by, user)?;
        Ok(vec![gone(user, Cause::Kicked)])
    }

    fn decide_ban(
        &self,
        user: &str,
        until: Option<Millis>,
        reason: Option<&str>,
        by: By<'_>,
        now: Millis,
        limits: &CommunityLimits,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Moderator)?;
        check_user(user)?;
        self.check_rank(by, user)?;
        check_end(until, now)?;
        if reason.is_some_and(|reason| reason.chars().count() > Self::REASON_CHARS_MAX) {
            return Err(CommunityError::Reason);
        }
        let mut changes = Vec::new();
        if !self.bans.contains_key(user) && self.bans.len() >= limits.bans_max {
            let mut over = self.bans.iter().filter(|(_, ban)| ban.is_over(now));
            let (user, _) = over.next().ok_or(CommunityError::Bans {
                max: limits.bans_max,
            })?;
            changes.push(Change::Ban {
                user: user.clone(),
                ban: None,
            });
        }
        if self.members.contains_key(user) {
            changes.push(gone(user, Cause::Banned));
        }
        changes.push(Change::Ban {
            user: user.into(),
            ban: Some(Ban {
                by: by.user.unwrap_or_default().into(),
                at: now,
                until,
                reason: reason.filter(|reason| !reason.is_empty()).map(Into::into),
            }),
        });
        Ok(changes)
    }

    fn decide_unban(
        &self,
        user: &str,
        by: By<'_>,
        now: Millis,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Moderator)?;
        if self.ban_of(user, now).is_none() {
            return Err(CommunityError::NotBanned);
        }
        Ok(vec![Change::Ban {
            user: user.into(),
            ban: None,
        }])
    }

    fn decide_time_out(
        &self,
        user: &str,
        until: Option<Millis>,
        by: By<'_>,
        now: Millis,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Moderator)?;
        let member = self.members.get(user);
        let member = member.ok_or(CommunityError::NoSuchMember)?;
        self.check_rank(by, user)?;
        check_end(until, now)?;
        if member.timed_out_until == until {
            return Ok(Vec::new());
        }
        Ok(vec![Change::Member {
            user: user.into(),
            member: Some(Member {
                timed_out_until: until,
                ..*member
            }),
            cause: Cause::TimeOut,
        }])
    }

    fn decide_room(
        &self,
        id: ChannelId,
        room: Option<&CommunityRoom>,
        is_new: bool,
        by: By<'_>,
        limits: &CommunityLimits,
    ) -> Result<Vec<Change>, CommunityError> {
        self.check_role(by, Role::Admin)?;
        let before = self.rooms.get(&id);
        match (before, is_new) {
            (Some(_), true) => return Err(CommunityError::RoomExists),
            (None, false) => return Err(CommunityError::NoSuchRoom),
            (None, true) if self.rooms.len() >= limits.rooms_max => {
                return Err(CommunityError::Rooms {
                    max: limits.rooms_max,
                });
            }
            _ => {}
        }
        let Some(room) = room else {
            return Ok(vec![Change::Room { id, room: None }]);
        };
        check_name(&room.name)?;
        if room.write < room.read {
            return Err(CommunityError::LeastRoles);
        }
        let room = CommunityRoom {
            kind: before.map_or(room.kind, |before| before.kind),
            created_at: before.map_or(room.created_at, |before| before.created_at),
            ..room.clone()
        };
        match (room.kind, room.participants_max) {
            (RoomKind::Voice, Some(0)) | (RoomKind::Text, Some(_)) => {
                return Err(CommunityError::Participants);
            }
            (RoomKind::Voice | RoomKind::Text, _) => {}
        }
        if before == Some(&room) {
            return Ok(Vec::new());
        }
        Ok(vec![Change::Room {
            id,
            room: Some(room),
        }])
    }

    fn check_role(&self, by: By<'_>, needed: Role) -> Result<(), CommunityError> {
        match self.standing(by) {
            Standing::Outside => Err(CommunityError::NotMember),
            standing if standing < Standing::Role(needed) => Err(CommunityError::Role { needed }),
            Standing::Role(_) | Standing::Operator => Ok(()),
        }
    }

    /// Nobody acts on who stands as high as they; whoever is no member stands lowest. The owner is
    /// out of reach for everyone.
    fn check_rank(&self, by: By<'_>, user: &str) -> Result<(), CommunityError> {
        let about = self.role_of(user).map_or(Standing::Outside, Standing::Role);
        if about == Standing::Role(Role::Owner) || self.standing(by) <= about {
            return Err(CommunityError::Rank);
        }
        Ok(())
    }

    fn check_members(&self, limits: &CommunityLimits) -> Result<(), CommunityError> {
        let max = limits.members_max;
        if self.members.len() >= max {
            return Err(CommunityError::Members { max });
        }
        Ok(())
    }
}

fn gone(user: &str, cause: Cause) -> Change {
    Change::Member {
        user: user.into(),
        member: None,
        cause,
    }
}

fn check_user(user: &str) -> Result<(), CommunityError> {
    if (1..=Community::USER_BYTES_MAX).contains(&user.len()) {
        Ok(())
    } else {
        Err(CommunityError::User)
    }
}

fn check_name(name: &str) -> Result<(), CommunityError> {
    if (1..=Community::NAME_CHARS_MAX).contains(&name.chars().count()) {
        Ok(())
    } else {
        Err(CommunityError::Name)
    }
}

fn check_end(until: Option<Millis>, now: Millis) -> Result<(), CommunityError> {
    if until.is_some_and(|until| until <= now) {
        return Err(CommunityError::Past);
    }
    Ok(())
}
