//! Presence: who is in a room, since when, with what data.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use floe_proto::{Code, Millis};

use super::keyed::{Changes, Keyed, KeyedError, KeyedLimits};
use super::timers::{TimerKind, Timers};
use super::wheel::TimerId;

/// The members of a room. Several connections of one user are one member.
///
/// A member whose last connection is lost stays for a grace time: whoever loads a page again comes
/// back within it, and nobody is told of a leave. In a room of very many members changes are told
/// as a count alone.
#[derive(Debug, Clone)]
pub struct Presence {
    limits: PresenceLimits,
    /// The data of each member.
    data: Keyed,
    members: BTreeMap<Arc<str>, Presences>,
    connections: BTreeMap<u64, Arc<str>>,
    /// The last version at which there were more members than are told one by one.
    crowded_at: Option<u64>,
}

/// Bounds of a [`Presence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceLimits {
    /// Members, their data, and the bytes of both.
    pub keyed: KeyedLimits,
    /// Members up to which changes are told one by one.
    pub told_max: usize,
    /// Connections of all members.
    pub connections_max: usize,
    /// How long a member stays whose last connection is lost.
    pub grace_ms: u64,
}

impl Default for PresenceLimits {
    fn default() -> Self {
        Self {
            keyed: KeyedLimits {
                keys_max: 100_000,
                key_bytes_max: 128,
                value_bytes_max: 1_024,
                bytes_max: 16 * 1_024 * 1_024,
                removed_max: 1_024,
                evicts: false,
            },
            told_max: 1_000,
            connections_max: 200_000,
            grace_ms: 5_000,
        }
    }
}

/// How often a user is there.
#[derive(Debug, Clone)]
struct Presences {
    since: Millis,
    connections: u32,
    /// Ends the grace time of a user without connections.
    grace: Option<TimerId>,
}

/// A member, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// Who.
    pub user: &'a str,
    /// What the user wants others to know; JSON.
    pub data: &'a [u8],
    /// When the first of the user's connections came.
    pub since: Millis,
}

/// How a connection ends its presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Leave {
    /// It said so: if it was the user's last, the member is gone at once.
    Said,
    /// It was lost, and may come back.
    Lost,
}

/// What a reader has to be told of the members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberChanges<'a> {
    /// The version that the reader has seen then.
    pub version: u64,
    /// How many members there are.
    pub count: usize,
    /// Who they are.
    pub told: Told<'a>,
}

/// Which members a reader is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<'a> {
    /// Those that came or have other data, in the order of their changes, and those that left.
    Delta {
        /// The version that the reader has seen.
        from: u64,
        /// Members that came or changed.
        set: Vec<Member<'a>>,
        /// Users that are members no more, ascending.
        left: Vec<&'a str>,
    },
    /// All of them, ascending by user.
    All(Vec<Member<'a>>),
    /// None: there are too many. Pages of them are there to be asked for.
    CountOnly,
}

impl Presence {
    /// Makes an empty room, whose first change gets the version after `version`.
    #[must_use]
    pub const fn new(limits: PresenceLimits, version: u64) -> Self {
        Self {
            limits,
            data: Keyed::new(limits.keyed, version),
            members: BTreeMap::new(),
            connections: BTreeMap::new(),
            crowded_at: None,
        }
    }

    /// Bounds who comes from now on; those who are there stay.
    pub fn set_limits(&mut self, limits: PresenceLimits) {
        // Readers of a crowd know its count alone, also where it is no crowd any more.
        self.note_crowd();
        self.limits = limits;
        self.data.set_limits(limits.keyed);
        self.note_crowd();
    }

    /// A connection of a user comes, with the user's newest data.
    ///
    /// # Errors
    /// See [`PresenceError`]; nothing is changed.
    pub fn join(
        &mut self,
        connection: u64,
        user: &str,
        data: &[u8],
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> Result<(), PresenceError> {
        if self.connections.contains_key(&connection) {
            return Err(PresenceError::Joined);
        }
        let connections_max = self.limits.connections_max;
        if self.connections.len() >= connections_max {
            return Err(PresenceError::Connections { connections_max });
        }
        self.set_data(user, data)?;
        let name = self.members.get_key_value(user);
        let name = name.map_or_else(|| user.into(), |(name, _)| name.clone());
        self.connections.insert(connection, name.clone());
        let member = match self.members.entry(name) {
            btree_map::Entry::Occupied(member) => member.into_mut(),
            btree_map::Entry::Vacant(place) => place.insert(Presences {
                since: now,
                connections: 0,
                grace: None,
            }),
        };
        member.connections += 1;
        if let Some(grace) = member.grace.take() {
            timers.cancel(grace);
        }
        Ok(())
    }

    /// A connection has other data for its user; the newest counts.
    ///
    /// # Errors
    /// See [`PresenceError`]; nothing is changed.
    pub fn update(&mut self, connection: u64, data: &[u8]) -> Result<(), PresenceError> {
        let user = self.connections.get(&connection).cloned();
        self.set_data(&user.ok_or(PresenceError::NotJoined)?, data)
    }

    /// A connection goes; returns whether it was there.
    pub fn leave(
        &mut self,
        connection: u64,
        leave: Leave,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> bool {
        let Some(user) = self.connections.remove(&connection) else {
            return false;
        };
        let Some(member) = self.members.get_mut(&user) else {
            return true;
        };
        member.connections -= 1;
        if member.connections > 0 {
            return true;
        }
        let grace_ms = self.limits.grace_ms;
        if leave == Leave::Lost && grace_ms > 0 {
            let ends_at = now.plus(grace_ms);
            member.grace = Some(timers.set(ends_at, TimerKind::Presence, user));
        } else {
            self.remove(&user);
        }
        true
    }

    /// How many members there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The version of the newest change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.data.version()
    }

    /// Returns how many connections a user has here.
    #[must_use]
    pub fn connections_of(&self, user: &str) -> usize {
        let member = self.members.get(user);
        member.map_or(0, |member| member.connections as usize)
    }

    /// Returns the user of a connection.
    #[must_use]
    pub fn user(&self, connection: u64) -> Option<&str> {
        self.connections.get(&connection).map(|user| &**user)
    }

    /// Returns up to `limit` members whose users come after `after`, ascending by user.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<Member<'_>> {
        let page = self.data.page("", after, limit).into_iter();
        page.filter_map(|(user, data, _)| self.member(user, data))
            .collect()
    }

    /// Returns whether all that changed since a version is known. Where it is, a reader that is
    /// told of all members has lost nothing: there were too many to tell of before.
    #[must_use]
    pub const fn knows_since(&self, version: u64) -> bool {
        self.data.knows_since(version)
    }

    /// Returns what changed since a version.
    #[must_use]
    pub fn changes_since(&self, version: u64) -> MemberChanges<'_> {
        let told = if self.count() > self.limits.told_max {
            Told::CountOnly
        } else if self.crowded_at.is_some_and(|crowded| version <= crowded) {
            self.all()
        } else {
            match self.data.changes_since(version) {
                Changes::Snapshot(_) => self.all(),
                Changes::Delta(delta) => Told::Delta {
                    from: delta.from,
                    set: self.members(delta.set.into_iter()),
                    left: delta.removed,
                },
            }
        };
        self.changes(told)
    }

    /// Returns all members, or their count where there are too many.
    #[must_use]
    pub fn snapshot(&self) -> MemberChanges<'_> {
        self.changes(if self.count() > self.limits.told_max {
            Told::CountOnly
        } else {
            self.all()
        })
    }

    /// The grace time of a user is over.
    pub(super) fn handle_timer(&mut self, user: &str) {
        let member = self.members.get_mut(user);
        if member.is_some_and(|member| member.grace.take().is_some()) {
            self.remove(user);
        }
    }

    /// Takes all timers back.
    pub(super) fn cancel_timers(&mut self, timers: &mut Timers<'_>) {
        for grace in self
            .members
            .values_mut()
            .filter_map(|member| member.grace.take())
        {
            timers.cancel(grace);
        }
    }

    fn set_data(&mut self, user: &str, data: &[u8]) -> Result<(), PresenceError> {
        // Members never make way for others, so there is nobody to be told of.
        self.data.set(user, data, &mut Vec::new())?;
        self.note_crowd();
        Ok(())
    }

    fn remove(&mut self, user: &str) {
        self.note_crowd();
        self.members.remove(user);
        self.data.remove(user);
        self.note_crowd();
    }

    fn note_crowd(&mut self) {
        if self.data.len() > self.limits.told_max {
            self.crowded_at = Some(self.data.version());
        }
    }

    fn changes<'a>(&'a self, told: Told<'a>) -> MemberChanges<'a> {
        MemberChanges {
            version: self.version(),
            count: self.count(),
            told,
        }
    }

    fn all(&self) -> Told<'_> {
        Told::All(self.members(self.data.snapshot().entries.into_iter()))
    }

    fn members<'a>(&'a self, data: impl Iterator<Item = (&'a str, &'a [u8])>) -> Vec<Member<'a>> {
        data.filter_map(|(user, data)| self.member(user, data))
            .collect()
    }

    fn member<'a>(&self, user: &'a str, data: &'a [u8]) -> Option<Member<'a>> {
        let since = self.members.get(user)?.since;
        Some(Member { user, data, since })
    }
}

/// Why somebody is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// Users and their data are bounded.
    #[error(transparent)]
    Keyed(#[from] KeyedError),
    /// The connection is there already; it may update.
    #[error("the connection has joined already")]
    Joined,
    /// The connection must join first.
    #[error("the connection has not joined")]
    NotJoined,
    /// Try again once others have left.
    #[error("the room holds its limit of {connections_max} connections")]
    Connections {
        /// Connections at once.
        connections_max: usize,
    },
}

impl PresenceError {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(self) -> Code {
        match self {
            Self::Keyed(error) => error.code(),
            Self::Joined => Code::AlreadyJoined,
            Self::NotJoined => Code::NotJoined,
            Self::Connections { .. } => Code::LimitReached,
        }
    }
}

#[cfg(test)]
mod tests;
