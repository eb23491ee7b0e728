//! What a community must be, in plain words: who belongs, as what, who is kept out, which rooms there
//! are and what was said in them.

use std::collections::BTreeMap;

use floe_proto::ChannelId;

/// Users, few enough to meet again.
pub const USERS: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "fay"];

/// Where a waddle may be: its namespace, and its id there.
pub const PLACES: [(&str, &str); 3] = [("", "birds"), ("", "bees"), ("acme", "birds")];

/// Milliseconds for which a deleted channel is kept.
pub const PURGE_AFTER_MS: u64 = 30_000;

/// A member is 1, a moderator 2, an admin 3, the owner 4.
pub const OWNER: u8 = 4;
const MODERATOR: u8 = 2;
const ADMIN: u8 = 3;
/// Stands above all of them.
const OPERATOR: u8 = 5;

/// Bounds of every waddle.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Members.
    pub members: usize,
    /// Bans.
    pub bans: usize,
    /// Rooms.
    pub rooms: usize,
}

/// All communities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    /// By place.
    pub waddles: BTreeMap<usize, Waddle>,
    /// Rooms by what they are called, those that were deleted and are not gone yet among them.
    pub rooms: BTreeMap<ChannelId, Room>,
}

/// One community.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waddle {
    /// What it is called.
    pub name: String,
    /// Whether only those who are added come in.
    pub invite: bool,
    /// Who belongs.
    pub members: BTreeMap<&'static str, Member>,
    /// Who was kept out, and may be still.
    pub bans: BTreeMap<&'static str, Ban>,
    /// Its rooms.
    pub rooms: BTreeMap<ChannelId, Entry>,
    /// Messages in its log.
    pub told: u64,
}

/// Somebody who belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// As what.
    pub role: u8,
    /// Since when.
    pub since: u64,
    /// Until when they may only read.
    pub quiet_until: Option<u64>,
}

/// Somebody who is kept out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ban {
    /// By whom; empty for the server's own people.
    pub by: String,
    /// Since when.
    pub at: u64,
    /// Until when.
    pub until: Option<u64>,
    /// Why.
    pub reason: Option<String>,
}

/// A room, as its waddle knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is for voices.
    pub voice: bool,
    /// What it is called.
    pub name: String,
    /// The least role that reads.
    pub read: u8,
    /// The least role that writes.
    pub write: u8,
    /// Since when.
    pub since: u64,
}

/// A room itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Where its waddle is.
    pub place: usize,
    /// When it was deleted.
    pub ended_at: Option<u64>,
    /// Who said what.
    pub said: Vec<(&'static str, String)>,
}

impl Room {
    /// Returns whether it may be gone for good, some time after it was deleted.
    pub fn may_be_purged(&self, now: u64) -> bool {
        let due = self.ended_at.map(|at| at + PURGE_AFTER_MS);
        due.is_some_and(|due| due <= now)
    }
}

/// Something that somebody wants done in a waddle.
#[derive(Debug, Clone)]
pub enum Wish {
    /// Another name or policy.
    About(String, bool),
    /// To come in.
    Join,
    /// To go.
    Leave,
    /// To make somebody a member.
    Add(&'static str, u8),
    /// To give a member another role.
    Role(&'static str, u8),
    /// To put a member out.
    Kick(&'static str),
    /// To keep a user out.
    Ban(&'static str, Option<u64>, Option<String>),
    /// To let a user come again.
    Unban(&'static str),
    /// To take a member's word, or give it back.
    TimeOut(&'static str, Option<u64>),
    /// To make a room or change it, or to take it away.
    Room {
        /// Which.
        id: ChannelId,
        /// What it is then.
        entry: Option<Entry>,
        /// Whether it must be new, or must be there.
        is_new: bool,
    },
}

/// Who wants it; nobody for the server's own people.
pub type By = Option<&'static str>;

/// One thing that changes in a waddle.
#[derive(Debug, Clone)]
pub enum Change {
    /// What it is.
    About(String, bool),
    /// A member.
    Member(&'static str, Option<Member>),
    /// A ban.
    Ban(&'static str, Option<Ban>),
    /// A room.
    Entry(ChannelId, Option<Entry>),
}

/// Something that happened: all of it is there after a crash, or none.
#[derive(Debug, Clone)]
pub enum Op {
    /// There is a waddle.
    Founded(usize, Waddle),
    /// Something was done in one.
    Acted(usize, Vec<Change>),
    /// One is gone.
    Ended(usize),
    /// There is a room.
    RoomMade(ChannelId, usize),
    /// A room was deleted; one for voices is gone with that.
    RoomEnded(ChannelId, u64, bool),
    /// Somebody said something.
    Said(ChannelId, &'static str, String),
}

/// What somebody may do somewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct May {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Decide about what others say.
    pub moderate: bool,
    /// Change the waddle.
    pub manage: bool,
}

impl Model {
    /// Makes something happen.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Founded(place, waddle) => {
                self.waddles.insert(*place, waddle.clone());
            }
            Op::Acted(place, changes) => {
                let waddle = self.waddles.get_mut(place).expect("it is there");
                for change in changes {
                    waddle.told += 1;
                    waddle.apply(change.clone());
                }
            }
            Op::Ended(place) => drop(self.waddles.remove(place)),
            Op::RoomMade(id, place) => {
                let room = Room {
                    place: *place,
                    ended_at: None,
                    said: Vec::new(),
                };
                self.rooms.insert(*id, room);
            }
            Op::RoomEnded(id, now, is_gone) => {
                if *is_gone {
                    self.rooms.remove(id);
                } else if let Some(room) = self.rooms.get_mut(id) {
                    room.ended_at.get_or_insert(*now);
                }
            }
            Op::Said(id, user, content) => {
                let room = self.rooms.get_mut(id).expect("it is there");
                room.said.push((user, content.clone()));
            }
        }
    }

    /// Says what a user may do in a waddle (`room` is `None`) or in a room that was made for it.
    pub fn may(&self, place: usize, room: Option<ChannelId>, user: &str, now: u64) -> May {
        let Some(waddle) = self.waddles.get(&place) else {
            return May::default();
        };
        let Some(member) = waddle.members.get(user) else {
            return May::default();
        };
        let (read, write) = match room {
            None => (1, 1),
            Some(id) => match waddle.rooms.get(&id) {
                Some(entry) => (entry.read, entry.write),
                None => return May::default(),
            },
        };
        if member.role < read {
            return May::default();
        }
        let is_quiet = member.quiet_until.is_some_and(|until| now < until);
        May {
            read: true,
            write: member.role >= write && !is_quiet,
            moderate: member.role >= MODERATOR,
            manage: member.role >= ADMIN,
        }
    }
}

/// What comes of a wish: changes, or the code with which it is refused.
pub type Verdict = Result<Vec<Change>, &'static str>;

impl Waddle {
    /// A waddle of an owner's.
    pub fn of(name: &str, invite: bool, owner: &'static str, now: u64) -> Self {
        let member = Member {
            role: OWNER,
            since: now,
            quiet_until: None,
        };
        Self {
            name: name.into(),
            invite,
            members: BTreeMap::from([(owner, member)]),
            told: 2,
            ..Self::default()
        }
    }

    fn apply(&mut self, change: Change) {
        fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        match change {
            Change::About(name, invite) => (self.name, self.invite) = (name, invite),
            Change::Member(user, member) => put(&mut self.members, user, member),
            Change::Ban(user, ban) => put(&mut self.bans, user, ban),
            Change::Entry(id, entry) => put(&mut self.rooms, id, entry),
        }
    }

    /// Decides what comes of a wish.
    pub fn judge(&self, wish: &Wish, by: By, now: u64, bounds: &Bounds) -> Verdict {
        let role = |user: &str| self.members.get(user).map_or(0, |member| member.role);
        let rank = by.map_or(OPERATOR, role);
        let least = |needed: u8| match rank {
            0 => Err("NOT_FOUND"),
            rank if rank < needed => Err("FORBIDDEN"),
            _ => Ok(()),
        };
        // The owner is out of reach for everyone.
        let above = |user: &str| match role(user) {
            OWNER => Err("FORBIDDEN"),
            other if rank <= other => Err("FORBIDDEN"),
            _ => Ok(()),
        };
        let to_come = |until: Option<u64>| match until {
            Some(until) if until <= now => Err("INVALID_REQUEST"),
            Some(_) | None => Ok(()),
        };
        let is_banned = |user: &str| {
            let ban = self.bans.get(user);
            ban.is_some_and(|ban| ban.until.is_none_or(|until| now < until))
        };
        match wish {
            Wish::About(name, invite) => {
                least(ADMIN)?;
                if (name, *invite) == (&self.name, self.invite) {
                    return Ok(Vec::new());
                }
                Ok(vec![Change::About(name.clone(), *invite)])
            }
            Wish::Join => {
                let user = by.ok_or("INVALID_REQUEST")?;
                if role(user) > 0 {
                    return Ok(Vec::new());
                }
                if is_banned(user) || self.invite {
                    return Err("FORBIDDEN");
                }
                self.entered(user, 1, now, bounds)
            }
            Wish::Leave => match by {
                None => Err("INVALID_REQUEST"),
                Some(user) => match role(user) {
                    0 => Err("NOT_FOUND"),
                    OWNER => Err("EXISTS"),
                    _ => Ok(vec![Change::Member(user, None)]),
                },
            },
            Wish::Add(user, new) => {
                least(ADMIN)?;
                if role(user) > 0 {
                    return Err("EXISTS");
                }
                if *new == OWNER || rank <= *new || is_banned(user) {
                    return Err("FORBIDDEN");
                }
                self.entered(user, *new, now, bounds)
            }
            Wish::Role(user, new) => {
                least(ADMIN)?;
                let member = *self.members.get(user).ok_or("NOT_FOUND")?;
                if member.role == *new {
                    return Ok(Vec::new());
                }
                let given = |user, member: Member, role| {
                    Change::Member(user, Some(Member { role, ..member }))
                };
                if *new == OWNER {
                    if rank < OWNER {
                        return Err("FORBIDDEN");
                    }
                    let mut members = self.members.iter();
                    let owner = members.find(|(_, member)| member.role == OWNER);
                    let before = owner.map(|(owner, member)| given(owner, *member, ADMIN));
                    return Ok(before
                        .into_iter()
                        .chain([given(user, member, OWNER)])
                        .collect());
                }
                if member.role == OWNER {
                    return Err("EXISTS");
                }
                above(user)?;
                if rank <= *new {
                    return Err("FORBIDDEN");
                }
                Ok(vec![given(user, member, *new)])
            }
            Wish::Kick(user) => {
                least(MODERATOR)?;
                if role(user) == 0 {
                    return Err("NOT_FOUND");
                }
                above(user)?;
                Ok(vec![Change::Member(user, None)])
            }
            Wish::Ban(user, until, reason) => {
                least(MODERATOR)?;
                above(user)?;
                to_come(*until)?;
                let mut changes = Vec::new();
                if !self.bans.contains_key(user) && self.bans.len() >= bounds.bans {
                    let mut over = self.bans.keys().filter(|user| !is_banned(user));
                    changes.push(Change::Ban(over.next().ok_or("LIMIT_REACHED")?, None));
                }
                if role(user) > 0 {
                    changes.push(Change::Member(user, None));
                }
                let ban = Ban {
                    by: by.unwrap_or_default().into(),
                    at: now,
                    until: *until,
                    reason: reason.clone(),
                };
                changes.push(Change::Ban(user, Some(ban)));
                Ok(changes)
            }
            Wish::Unban(user) => {
                least(MODERATOR)?;
                if !is_banned(user) {
                    return Err("NOT_FOUND");
                }
                Ok(vec![Change::Ban(user, None)])
            }
            Wish::TimeOut(user, until) => {
                least(MODERATOR)?;
                let member = *self.members.get(user).ok_or("NOT_FOUND")?;
                above(user)?;
                to_come(*until)?;
                if member.quiet_until == *until {
                    return Ok(Vec::new());
                }
                let quiet_until = *until;
                let member = Member {
                    quiet_until,
                    ..member
                };
                Ok(vec![Change::Member(user, Some(member))])
            }
            Wish::Room { id, entry, is_new } => {
                least(ADMIN)?;
                let before = self.rooms.get(id);
                match (before, is_new) {
                    (Some(_), true) => return Err("EXISTS"),
                    (None, false) => return Err("NOT_FOUND"),
                    (None, true) if self.rooms.len() >= bounds.rooms => {
                        return Err("LIMIT_REACHED");
                    }
                    _ => {}
                }
                if entry.as_ref().is_some_and(|entry| entry.write < entry.read) {
                    return Err("INVALID_REQUEST");
                }
                if entry.is_some() && entry.as_ref() == before {
                    return Ok(Vec::new());
                }
                Ok(vec![Change::Entry(*id, entry.clone())])
            }
        }
    }

    /// Somebody comes in; what is left of a ban that is over goes.
    fn entered(&self, user: &'static str, role: u8, now: u64, bounds: &Bounds) -> Verdict {
        if self.members.len() >= bounds.members {
            return Err("LIMIT_REACHED");
        }
        let over = self.bans.contains_key(user);
        let over = over.then_some(Change::Ban(user, None));
        let member = Member {
            role,
            since: now,
            quiet_until: None,
        };
        let entered = Change::Member(user, Some(member));
        Ok(over.into_iter().chain([entered]).collect())
    }
}
