//! How users are: online, idle, not to be disturbed, away, or not to be seen at all.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use floe_proto::Millis;

use super::keyed::{Changes, Keyed};
use super::presence::{Leave, PresenceError, PresenceLimits};
use super::timers::{TimerKind, Timers};
use super::wheel::TimerId;

/// How a user is, or says of one of its connections that it is. The words are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    /// There.
    #[default]
    Online,
    /// There, but has done nothing for a while.
    Idle,
    /// Somewhere else.
    Away,
    /// There, and not to be disturbed.
    Dnd,
    /// Not there, or not to be seen.
    Offline,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] = [
        Self::Online,
        Self::Idle,
        Self::Away,
        Self::Dnd,
        Self::Offline,
    ];

    /// Returns the status' word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Idle => "idle",
            Self::Away => "away",
            Self::Dnd => "dnd",
            Self::Offline => "offline",
        }
    }

    /// Returns the status that a word stands for; `invisible` is `offline`.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        if word == "invisible" {
            return Some(Self::Offline);
        }
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// The statuses of the users in a room, each combined over the user's connections.
///
/// The rule: a connection that wants not to be seen hides the user. Else one that is not to be
/// disturbed speaks for all. Else the user is as the most present of the connections is: online
/// before idle, idle before away.
///
/// A user whose last connection is lost stays as it was for a grace time, and a connection that comes
/// back within it, and does not say how it is, goes on as the user was. When others last saw a user
/// that is gone is remembered for some of those who left.
#[derive(Debug, Clone)]
pub struct Statuses {
    limits: PresenceLimits,
    /// What others see of each user that is to be seen.
    shown: Keyed,
    users: BTreeMap<Arc<str>, User>,
    connections: BTreeMap<u64, (Arc<str>, Status)>,
    left: Left,
    /// The last version at which there were more users than are told one by one.
    crowded_at: Option<u64>,
}

/// A user, with all connections.
#[derive(Debug, Clone, Default)]
struct User {
    /// Connections of each status, in the order of [`Status::ALL`].
    connections: [u32; Status::ALL.len()],
    /// How the user was when the last connection went.
    kept: Status,
    /// When the user last did something that others see.
    seen: Millis,
    /// Ends the grace time of a user without connections.
    grace: Option<TimerId>,
}

/// How a user is, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Who.
    pub user: &'a str,
    /// How; [`Status::Offline`] for one who left.
    pub status: Status,
    /// When the status was taken, or when the user was last there; unknown of those who left long ago.
    pub last_seen: Option<Millis>,
}

/// What a reader has to be told of statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusChanges<'a> {
    /// The version that the reader has seen then.
    pub version: u64,
    /// How many users there are to be seen.
    pub count: usize,
    /// How they are.
    pub told: ToldStatuses<'a>,
}

/// Which users a reader is told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToldStatuses<'a> {
    /// Those that came, changed or left.
    Delta(Vec<Shown<'a>>),
    /// All that are to be seen, ascending by user.
    All(Vec<Shown<'a>>),
    /// None: there are too many. Pages of them are there to be asked for.
    CountOnly,
}

impl Statuses {
    /// Users of whom it is remembered when they were last there. Above: the ones who left first are
    /// forgotten.
    pub const LEFT_MAX: usize = 10_000;

    /// Makes an empty room, whose first change gets the version after `version`.
    #[must_use]
    pub const fn new(limits: PresenceLimits, version: u64) -> Self {
        Self {
            limits,
            shown: Keyed::new(limits.keyed, version),
            users: BTreeMap::new(),
            connections: BTreeMap::new(),
            left: Left::new(),
            crowded_at: None,
        }
    }

    /// Bounds who comes from now on; those who are there stay.
    pub fn set_limits(&mut self, limits: PresenceLimits) {
        self.note_crowd();
        self.limits = limits;
        self.shown.set_limits(limits.keyed);
        self.note_crowd();
    }

    /// A connection of a user comes. Without a status it is as the user was, if it comes back in
    /// time, and else online.
    ///
    /// # Errors
    /// See [`PresenceError`]; nothing is changed.
    pub fn join(
        &mut self,
        connection: u64,
        user: &str,
        status: Option<Status>,
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
        let known = self.users.get_key_value(user);
        let name = known.map_or_else(|| user.into(), |(name, _)| Arc::clone(name));
        let kept = known.map(|(_, user)| user).filter(|user| user.is_gone());
        let status = status.or(kept.map(|user| user.kept)).unwrap_or_default();
        let mut after = known.map_or_else(User::default, |(_, user)| user.clone());
        after.count_mut(status, |count| count + 1);
        self.show(&name, after.combined(), now)?;
        if let Some(grace) = after.grace.take() {
            timers.cancel(grace);
        }
        after.seen = now;
        self.connections.insert(connection, (name.clone(), status));
        self.users.insert(name, after);
        Ok(())
    }

    /// A connection says how it is.
    ///
    /// # Errors
    /// [`PresenceError::NotJoined`]; [`PresenceError::Keyed`] where a user that was not to be seen
    /// finds no space to be. Nothing is changed.
    pub fn update(
        &mut self,
        connection: u64,
        status: Status,
        now: Millis,
    ) -> Result<(), PresenceError> {
        let known = self.connections.get(&connection);
        let (name, before) = known.cloned().ok_or(PresenceError::NotJoined)?;
        let user = self.users.get(&name).ok_or(PresenceError::NotJoined)?;
        let mut after = user.clone();
        after.count_mut(before, |count| count.saturating_sub(1));
        after.count_mut(status, |count| count + 1);
        self.show(&name, after.combined(), now)?;
        after.seen = now;
        self.users.insert(name.clone(), after);
        self.connections.insert(connection, (name, status));
        Ok(())
    }

    /// A connection goes; returns whether it was there.
    pub fn leave(
        &mut self,
        connection: u64,
        leave: Leave,
        now: Millis,
        timers: &mut Timers<'_>,
    ) -> bool {
        let Some((name, status)) = self.connections.remove(&connection) else {
            return false;
        };
        let Some(user) = self.users.get_mut(&name) else {
            return true;
        };
        user.kept = user.combined();
        user.seen = now;
        user.count_mut(status, |count| count.saturating_sub(1));
        if !user.is_gone() {
            let combined = user.combined();
            // Whoever is seen has a place; who was hidden until now may find none, and stays so.
            let _ = self.show(&name, combined, now);
        } else if leave == Leave::Lost && self.limits.grace_ms > 0 {
            let ends_at = now.plus(self.limits.grace_ms);
            user.grace = Some(timers.set(ends_at, TimerKind::Status, name));
        } else {
            self.remove(&name);
        }
        true
    }

    /// Returns how a user is, as others see it.
    #[must_use]
    pub fn of<'a>(&self, user: &'a str) -> Shown<'a> {
        match self.shown.get(user) {
            Some((value, _)) => read(user, value),
            None => self.gone(user),
        }
    }

    /// Returns whether others see a user otherwise than at a version.
    #[must_use]
    pub fn has_changed(&self, user: &str, version: u64) -> bool {
        self.shown.has_changed(user, version)
    }

    /// How many users there are to be seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shown.len()
    }

    /// Whether nobody is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The version of the newest change.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.shown.version()
    }

    /// Returns up to `limit` users to be seen that come after `after`, ascending by user.
    #[must_use]
    pub fn page(&self, after: Option<&str>, limit: usize) -> Vec<Shown<'_>> {
        let page = self.shown.page("", after, limit).into_iter();
        page.map(|(user, value, _)| read(user, value)).collect()
    }

    /// Returns what changed since a version.
    #[must_use]
    pub fn changes_since(&self, version: u64) -> StatusChanges<'_> {
        let told = if self.count() > self.limits.told_max {
            ToldStatuses::CountOnly
        } else if self.crowded_at.is_some_and(|crowded| version <= crowded) {
            self.all()
        } else {
            match self.shown.changes_since(version) {
                Changes::Snapshot(_) => self.all(),
                Changes::Delta(delta) => {
                    let set = delta.set.into_iter();
                    let set = set.map(|(user, value)| read(user, value));
                    let left = delta.removed.into_iter().map(|user| self.gone(user));
                    ToldStatuses::Delta(set.chain(left).collect())
                }
            }
        };
        StatusChanges {
            version: self.version(),
            count: self.count(),
            told,
        }
    }

    /// The grace time of a user is over.
    pub(super) fn handle_timer(&mut self, user: &str) {
        let known = self.users.get_mut(user);
        if known.is_some_and(|user| user.grace.take().is_some()) {
            self.remove(user);
        }
    }

    /// Takes all timers back.
    pub(super) fn cancel_timers(&mut self, timers: &mut Timers<'_>) {
        for grace in self.users.values_mut().filter_map(|user| user.grace.take()) {
            timers.cancel(grace);
        }
    }

    fn all(&self) -> ToldStatuses<'_> {
        let entries = self.shown.snapshot().entries.into_iter();
        ToldStatuses::All(entries.map(|(user, value)| read(user, value)).collect())
    }

    fn gone<'a>(&self, user: &'a str) -> Shown<'a> {
        Shown {
            user,
            status: Status::Offline,
            last_seen: self.left.seen.get(user).copied(),
        }
    }

    /// Has others see how a user is. The same again is no change.
    fn show(&mut self, user: &Arc<str>, status: Status, now: Millis) -> Result<(), PresenceError> {
        if status == Status::Offline {
            self.hide(user, now);
            return Ok(());
        }
        let known = self.shown.get(user);
        if known.is_some_and(|(value, _)| read(user, value).status == status) {
            return Ok(());
        }
        // Users never make way for others.
        self.shown
            .set(user, &written(status, now), &mut Vec::new())?;
        self.left.forget(user);
        self.note_crowd();
        Ok(())
    }

    fn hide(&mut self, user: &str, seen: Millis) {
        self.note_crowd();
        if self.shown.remove(user).is_some() {
            self.left.note(user, seen);
        }
        self.note_crowd();
    }

    fn remove(&mut self, user: &str) {
        if let Some(known) = self.users.remove(user) {
            self.hide(user, known.seen);
        }
    }

    fn note_crowd(&mut self) {
        if self.shown.len() > self.limits.told_max {
            self.crowded_at = Some(self.shown.version());
        }
    }
}

impl User {
    fn count_mut(&mut self, status: Status, change: impl FnOnce(u32) -> u32) {
        if let Some(count) = self.connections.get_mut(status as usize) {
            *count = change(*count);
        }
    }

    fn is_gone(&self) -> bool {
        self.connections.iter().all(|count| *count == 0)
    }

    /// Combines the connections' statuses; without connections the user is as it was.
    fn combined(&self) -> Status {
        let mut says = Status::ALL.into_iter().zip(self.connections);
        let mut says = says.by_ref().filter(|(_, count)| *count > 0);
        let first = says.next().map(|(status, _)| status);
        let strongest = says.last().map(|(status, _)| status).or(first);
        match strongest {
            Some(strong @ (Status::Offline | Status::Dnd)) => strong,
            Some(_) => first.unwrap_or_default(),
            None => self.kept,
        }
    }
}

/// When users were last there that left, for the newest of them.
#[derive(Debug, Clone)]
struct Left {
    seen: BTreeMap<Arc<str>, Millis>,
    /// The same by when it was.
    order: BTreeMap<(Millis, Arc<str>), ()>,
}

impl Left {
    const fn new() -> Self {
        Self {
            seen: BTreeMap::new(),
            order: BTreeMap::new(),
        }
    }

    fn note(&mut self, user: &str, at: Millis) {
        self.forget(user);
        let name: Arc<str> = user.into();
        match self.seen.entry(name.clone()) {
            btree_map::Entry::Vacant(place) => place.insert(at),
            btree_map::Entry::Occupied(_) => return,
        };
        self.order.insert((at, name), ());
        if self.seen.len() > Statuses::LEFT_MAX
            && let Some(((_, first), ())) = self.order.pop_first()
        {
            self.seen.remove(&first);
        }
    }

    fn forget(&mut self, user: &str) {
        if let Some((name, at)) = self.seen.remove_entry(user) {
            self.order.remove(&(at, name));
        }
    }
}

/// Bytes of a status with its moment.
const WRITTEN_BYTES: usize = 9;

fn written(status: Status, at: Millis) -> [u8; WRITTEN_BYTES] {
    let mut value = [0; WRITTEN_BYTES];
    let (first, moment) = value.split_at_mut(1);
    first.fill(status as u8);
    moment.copy_from_slice(&at.0.to_le_bytes());
    value
}

fn read<'a>(user: &'a str, value: &[u8]) -> Shown<'a> {
    let (first, moment) = value.split_first().unwrap_or((&0, &[]));
    let status = Status::ALL.into_iter().find(|one| *one as u8 == *first);
    let moment = moment.try_into().ok().map(u64::from_le_bytes);
    Shown {
        user,
        status: status.unwrap_or_default(),
        last_seen: moment.map(Millis),
    }
}

#[cfg(test)]
mod tests;
