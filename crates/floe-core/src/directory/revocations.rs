//! What is no longer believed before its end.

use std::collections::BTreeMap;

use floe_proto::{Millis, Namespace};

/// What was revoked and still matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    all: BTreeMap<(Option<Namespace>, Revoked), Revocation>,
}

/// Something that is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Where; `None` is everywhere.
    pub namespace: Option<Namespace>,
    /// What.
    pub what: Revoked,
    /// When it was revoked. Of a user that is everything up to then.
    pub revoked_at: Millis,
    /// When what was revoked has ended by itself.
    pub until: Millis,
}

/// What can be revoked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revoked {
    /// One token, by its id.
    Token(Box<str>),
    /// All that a user was given.
    User(Box<str>),
}

impl Revoked {
    /// Bytes of a token's id or a user's name.
    pub const NAME_BYTES_MAX: usize = 256;

    /// Returns the token's id or the user's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Token(name) | Self::User(name) => name,
        }
    }
}

/// What somebody showed, as far as it can be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The namespace that they belong to.
    pub namespace: Option<&'a Namespace>,
    /// Who they are.
    pub user: Option<&'a str>,
    /// The token's id.
    pub token: Option<&'a str>,
    /// When it was given to them; what says nothing of it is as old as can be.
    pub issued_at: Option<Millis>,
}

impl Revocation {
    /// Milliseconds that a revocation matters at most, and where it says nothing: 400 days.
    pub const LIFE_MS_MAX: u64 = 400 * 24 * 3_600_000;

    /// Returns whether it covers what somebody showed.
    #[must_use]
    pub fn covers(&self, shown: &Shown<'_>) -> bool {
        let here = self.namespace.is_none() || self.namespace.as_ref() == shown.namespace;
        here && match &self.what {
            Revoked::Token(id) => shown.token == Some(&**id),
            Revoked::User(user) => {
                let old = shown.issued_at.is_none_or(|at| at <= self.revoked_at);
                shown.user == Some(&**user) && old
            }
        }
    }
}

impl Revocations {
    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns them all: those of everywhere, then namespace by namespace.
    pub fn iter(&self) -> impl Iterator<Item = &Revocation> {
        self.all.values()
    }

    /// Returns whether one covers what somebody showed.
    #[must_use]
    pub fn cover(&self, shown: &Shown<'_>) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let token = shown.token.map(|id| Revoked::Token(id.into()));
        let user = shown.user.map(|user| Revoked::User(user.into()));
        let mut names = [token, user].into_iter().flatten();
        names.any(|what| {
            let everywhere = self.all.get(&(None, what.clone()));
            let here = shown.namespace.cloned();
            let here = here.and_then(|here| self.all.get(&(Some(here), what)));
            let mut found = [everywhere, here].into_iter().flatten();
            found.any(|revocation| revocation.covers(shown))
        })
    }

    pub(super) fn contains(&self, revocation: &Revocation) -> bool {
        self.all.contains_key(&place(revocation))
    }

    /// Adds a revocation, or makes one that is there cover as much and last as long.
    pub(super) fn insert(&mut self, mut revocation: Revocation) {
        if let Some(before) = self.all.get(&place(&revocation)) {
            revocation.until = revocation.until.max(before.until);
            revocation.revoked_at = revocation.revoked_at.max(before.revoked_at);
        }
        self.all.insert(place(&revocation), revocation);
    }

    /// Counts those that matter at `now`: all, and those of a namespace.
    pub(super) fn count(&self, now: Millis, namespace: Option<&Namespace>) -> (usize, usize) {
        let matter = || self.all.values().filter(|one| one.until > now);
        let same = matter().filter(|one| one.namespace.as_ref() == namespace);
        (matter().count(), same.count())
    }

    pub(super) fn forget_lapsed(&mut self, now: Millis, mut forgotten: impl FnMut(&Revocation)) {
        self.all.retain(|_, revocation| {
            let matters = revocation.until > now;
            if !matters {
                forgotten(revocation);
            }
            matters
        });
    }
}

fn place(revocation: &Revocation) -> (Option<Namespace>, Revoked) {
    (revocation.namespace.clone(), revocation.what.clone())
}
