//! The streams of one subscription and how far each was acknowledged.

use std::collections::BTreeMap;

use super::limits::Limits;

/// One stream as a subscription sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// Named by a request, rather than only covered by the pattern.
    pub explicit: bool,
    pub tail_known: TailKnown,
    /// Units that were processed.
    pub acked: u64,
    /// Units before the tail, as far as is known.
    pub tail: u64,
    /// Whether the durable state knows the link. One that is idle may wait with it.
    pub stored: bool,
    /// When it was last used, as a count of uses.
    used: u64,
}

/// What is known about a stream's tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TailKnown {
    /// The host was asked; until it answers, the link has no position.
    Never,
    /// It was so before a restart, and may have moved.
    Once,
    /// Every move since was seen.
    Now,
}

impl Link {
    pub const fn new(explicit: bool, acked: u64, tail: u64) -> Self {
        Self {
            explicit,
            tail_known: TailKnown::Now,
            acked,
            tail,
            stored: false,
            used: 0,
        }
    }

    /// A named stream whose tail the host was asked for.
    pub const fn asked() -> Self {
        Self {
            tail_known: TailKnown::Never,
            ..Self::new(true, 0, 0)
        }
    }

    pub const fn is_pending(&self) -> bool {
        self.tail > self.acked
    }

    /// Whether dropping the link loses nothing but its line in a list.
    pub const fn is_idle(&self) -> bool {
        !self.explicit && !self.is_pending() && matches!(self.tail_known, TailKnown::Now)
    }

    /// Takes the tail in; returns whether the durable state must learn of it.
    ///
    /// The first tail after the host was asked sets it, to `from`. A tail before the position
    /// means that another stream has taken the path while nobody looked: all of it is pending.
    pub fn advance(&mut self, from: u64, tail: u64) -> bool {
        let moved = match self.tail_known {
            TailKnown::Never => Some(from),
            TailKnown::Once if tail < self.acked => Some(0),
            TailKnown::Once | TailKnown::Now => None,
        };
        if let Some(acked) = moved {
            self.acked = acked;
            self.tail = tail;
        }
        self.tail_known = TailKnown::Now;
        self.tail = self.tail.max(tail);
        moved.is_some() || (self.is_pending() && !self.stored)
    }
}

/// All links of one subscription, by path.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    map: BTreeMap<Box<str>, Link>,
    /// Paths added (`true`) and removed since the index was last told.
    changes: Vec<(Box<str>, bool)>,
    uses: u64,
    /// Matched streams that found no room.
    pub refused: u64,
}

impl Links {
    pub fn get(&self, path: &str) -> Option<&Link> {
        self.map.get(path)
    }

    /// Returns a link, which counts as a use of it.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Link> {
        let link = self.map.get_mut(path)?;
        self.uses += 1;
        link.used = self.uses;
        Some(link)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Link)> {
        self.map.iter().map(|(path, link)| (&**path, link))
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn pending(&self) -> impl Iterator<Item = (&str, &Link)> {
        self.iter().filter(|(_, link)| link.is_pending())
    }

    pub fn insert(&mut self, path: &str, mut link: Link) {
        self.uses += 1;
        link.used = self.uses;
        if self.map.insert(path.into(), link).is_none() {
            self.changes.push((path.into(), true));
        }
    }

    pub fn remove(&mut self, path: &str) {
        if self.map.remove(path).is_some() {
            self.changes.push((path.into(), false));
        }
    }

    /// Links a matched stream that has come up; returns whether there was room.
    pub fn insert_matched(&mut self, path: &str, link: Link, limits: &Limits) -> bool {
        if !self.make_room(1, limits) {
            self.refused += u64::from(link.is_pending());
            return false;
        }
        self.insert(path, link);
        self.trim(limits);
        true
    }

    /// Links a matched stream that was there before, unless another would have to go for it.
    pub fn insert_old(&mut self, path: &str, link: Link, limits: &Limits) {
        if self.idle() < limits.idle_links_max && self.map.len() < limits.links_max {
            self.insert(path, link);
        }
    }

    /// Drops idle links until `count` more fit; returns whether they do.
    pub fn make_room(&mut self, count: usize, limits: &Limits) -> bool {
        while self.map.len() + count > limits.links_max {
            if !self.drop_oldest_idle() {
                return false;
            }
        }
        true
    }

    /// Drops idle links beyond their bound.
    pub fn trim(&mut self, limits: &Limits) {
        for _ in limits.idle_links_max..self.idle() {
            self.drop_oldest_idle();
        }
    }

    /// Returns whether no stream can be linked that has nothing pending, and none waits for its tail.
    pub fn is_settled(&self, limits: &Limits) -> bool {
        let waits = |link: &Link| link.tail_known == TailKnown::Never;
        self.idle() >= limits.idle_links_max && !self.map.values().any(waits)
    }

    pub fn set_stored(&mut self) {
        for link in self.map.values_mut() {
            link.stored = true;
        }
    }

    pub fn take_changes(&mut self) -> Vec<(Box<str>, bool)> {
        std::mem::take(&mut self.changes)
    }

    fn idle(&self) -> usize {
        self.map.values().filter(|link| link.is_idle()).count()
    }

    fn drop_oldest_idle(&mut self) -> bool {
        let idle = self.map.iter().filter(|(_, link)| link.is_idle());
        let Some((path, _)) = idle.min_by_key(|(_, link)| link.used) else {
            return false;
        };
        let path = path.clone();
        self.remove(&path);
        true
    }
}
