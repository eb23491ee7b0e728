//! What a server keeps about who may use it: namespaces, API keys, revocations.
//!
//! The directory is asked ([`Directory::decide`]) and changes only by [`Directory::apply`]. What it
//! holds lies in [`Drawer`]s, each of which a host stores as one value:
//!
//! 1. It hands every stored drawer to [`Directory::restore`] at its start.
//! 2. After every change it stores the drawers that [`Directory::poll_unstored`] names, and lets an
//!    answer leave only once they are durable. A drawer that could not be stored goes back by
//!    [`Directory::store_again`].
//!
//! No secret of an API key is kept, only its digest. The secret of a namespace is kept: the server
//! signs tokens with it.

mod codec;
mod entry;
mod revocations;

use std::collections::{BTreeMap, BTreeSet};

use floe_proto::{Code, Millis, Namespace, Rights};

pub use entry::{
    Digest, Grant, KeyEntry, NamespaceEntry, NamespaceSettings, SettingsChange, SigningSecret,
};
pub use revocations::{Revocation, Revocations, Revoked, Shown};

/// Namespaces, API keys and revocations.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    limits: Limits,
    namespaces: BTreeMap<Namespace, NamespaceEntry>,
    /// Those of the namespaces that are being deleted.
    deleting: BTreeSet<Namespace>,
    keys: BTreeMap<Box<str>, KeyEntry>,
    revocations: Revocations,
    /// Whether there ever was a key, so that the server is open to nobody without one.
    closed: bool,
    unstored: BTreeSet<Drawer>,
    /// Drawers in which only the last use of keys is newer than what is stored.
    used: BTreeSet<Drawer>,
    used_stored_at: Millis,
}

/// Bounds of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Namespaces that were made; 10 000. Above: 429 `LIMIT_REACHED`, as for all of these.
    pub namespaces_max: usize,
    /// API keys; 10 000.
    pub keys_max: usize,
    /// API keys of one namespace, and of those of all namespaces; 1 000.
    pub namespace_keys_max: usize,
    /// Revocations that still matter; 100 000.
    pub revocations_max: usize,
    /// Revocations of one namespace that still matter; 10 000.
    pub namespace_revocations_max: usize,
    /// Milliseconds between two times that the last use of keys is stored; a minute.
    pub used_store_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            namespaces_max: 10_000,
            keys_max: 10_000,
            namespace_keys_max: 1_000,
            revocations_max: 100_000,
            namespace_revocations_max: 10_000,
            used_store_ms: 60_000,
        }
    }
}

/// One of the values that a directory is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drawer(u8);

impl Drawer {
    /// Every drawer.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// Returns the drawer's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }

    /// Spreads entries evenly; the rule is part of what is on disk.
    fn of(kind: u8, name: &[u8]) -> Self {
        let start = 0x811c_9dc5_u32 ^ u32::from(kind);
        let hash = name.iter().fold(start, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
        Self((hash >> 24) as u8 ^ hash as u8)
    }
}

/// What is asked of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make a namespace.
    CreateNamespace(NamespaceEntry),
    /// Change the settings of a namespace; one that nobody made is made.
    ChangeNamespace {
        /// Which.
        name: Namespace,
        /// What becomes of it.
        change: SettingsChange,
        /// The secret of a namespace that is made.
        secret: SigningSecret,
    },
    /// Begin to delete a namespace: it is marked, and nothing is done there any more.
    DeleteNamespace(Namespace),
    /// Forget a namespace of which nothing is left, and end its keys.
    ForgetNamespace(Namespace),
    /// Give a namespace a new secret to sign tokens with.
    RotateSecret {
        /// Which; the default one is made if need be.
        name: Namespace,
        /// The new secret.
        secret: SigningSecret,
        /// When tokens end that are signed with the old one.
        old_until: Millis,
    },
    /// Add an API key.
    CreateKey(KeyEntry),
    /// Give a key a new secret.
    RotateKey {
        /// Which.
        id: Box<str>,
        /// The digest of the new secret.
        digest: Digest,
        /// When the old secret ends.
        old_until: Millis,
    },
    /// End a key.
    DeleteKey(Box<str>),
    /// End tokens.
    Revoke(Revocation),
}

/// Why a directory does not do what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name is taken.
    #[error("there is a namespace of this name")]
    NamespaceExists,
    /// There is none of this name.
    #[error("nobody made a namespace of this name")]
    NoNamespace,
    /// It is always there.
    #[error("the namespace `default` cannot be deleted")]
    DefaultNamespace,
    /// It takes nothing any more, and is not gone yet.
    #[error("the namespace is being deleted")]
    BeingDeleted,
    /// It is not marked as what is to be forgotten.
    #[error("the namespace is not being deleted")]
    NotBeingDeleted,
    /// There is none of this id.
    #[error("there is no such key")]
    NoKey,
    /// The id is taken.
    #[error("there is a key of this id")]
    KeyExists,
    /// Nobody could look after the server any more.
    #[error(
        "the first key needs `admin` over all namespaces and no end: nobody could look after the \
         server otherwise"
    )]
    FirstKey,
    /// Nobody could look after the server any more.
    #[error(
        "this is the last key with `admin` over all namespaces: nobody could look after the server \
         any more"
    )]
    LastOperator,
    /// A bound is reached.
    #[error("there are {most} {what}, which is the most")]
    LimitReached {
        /// Of what.
        what: &'static str,
        /// The bound.
        most: usize,
    },
}

impl Refusal {
    /// Returns the code on the wire.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoNamespace | Self::NoKey => Code::NotFound,
            Self::LimitReached { .. } => Code::LimitReached,
            Self::BeingDeleted => Code::NamespaceDeleting,
            Self::NamespaceExists
            | Self::NotBeingDeleted
            | Self::KeyExists
            | Self::DefaultNamespace
            | Self::FirstKey
            | Self::LastOperator => Code::Exists,
        }
    }
}

impl Directory {
    /// Makes an empty directory.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Returns whether there ever was a key.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Returns the namespaces that were made, by name.
    pub fn namespaces(&self) -> impl Iterator<Item = &NamespaceEntry> {
        self.namespaces.values()
    }

    /// Returns the first namespace, by name, that is being deleted.
    #[must_use]
    pub fn deleting(&self) -> Option<&Namespace> {
        self.deleting.first()
    }

    /// Returns a namespace that was made.
    #[must_use]
    pub fn namespace(&self, name: &Namespace) -> Option<&NamespaceEntry> {
        self.namespaces.get(name)
    }

    /// Returns the keys, by id.
    pub fn keys(&self) -> impl Iterator<Item = &KeyEntry> {
        self.keys.values()
    }

    /// Returns the keys after an id, by id.
    pub fn keys_after(&self, id: &str) -> impl Iterator<Item = &KeyEntry> {
        use std::ops::Bound::{Excluded, Unbounded};
        self.keys
            .range::<str, _>((Excluded(id), Unbounded))
            .map(|(_, key)| key)
    }

    /// Returns a key.
    #[must_use]
    pub fn key(&self, id: &str) -> Option<&KeyEntry> {
        self.keys.get(id)
    }

    /// Returns what is revoked.
    #[must_use]
    pub const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    /// Decides whether a command can be applied. `operators_elsewhere` says whether the settings
    /// name somebody who can look after the server.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn decide(
        &self,
        now: Millis,
        command: &Command,
        operators_elsewhere: bool,
    ) -> Result<(), Refusal> {
        match command {
            Command::CreateNamespace(entry) => match self.standing(&entry.name) {
                Standing::There => Err(Refusal::NamespaceExists),
                Standing::Deleting => Err(Refusal::BeingDeleted),
                Standing::None => self.has_room_for_namespace(),
            },
            Command::ChangeNamespace { name, .. } => match self.standing(name) {
                Standing::There => Ok(()),
                Standing::Deleting => Err(Refusal::BeingDeleted),
                Standing::None => self.has_room_for_namespace(),
            },
            Command::DeleteNamespace(name) if name.is_default() => Err(Refusal::DefaultNamespace),
            Command::DeleteNamespace(name) => match self.standing(name) {
                Standing::There => Ok(()),
                Standing::Deleting => Err(Refusal::BeingDeleted),
                Standing::None => Err(Refusal::NoNamespace),
            },
            Command::ForgetNamespace(name) => match self.standing(name) {
                Standing::There => Err(Refusal::NotBeingDeleted),
                Standing::Deleting => Ok(()),
                Standing::None => Err(Refusal::NoNamespace),
            },
            Command::RotateSecret { name, .. } => match self.standing(name) {
                Standing::There => Ok(()),
                Standing::Deleting => Err(Refusal::BeingDeleted),
                Standing::None if name.is_default() => self.has_room_for_namespace(),
                Standing::None => Err(Refusal::NoNamespace),
            },
            Command::CreateKey(key) => self.decide_create_key(key, operators_elsewhere),
            Command::RotateKey { id, .. } => {
                let key = self.keys.get(id).ok_or(Refusal::NoKey)?;
                self.stays(key.namespace.as_ref())
            }
            Command::DeleteKey(id) => {
                let key = self.keys.get(id).ok_or(Refusal::NoKey)?;
                let left = |other: &KeyEntry| other.id != key.id;
                self.keeps_operator(now, operators_elsewhere, left)
            }
            Command::Revoke(revocation) => {
                let left = |key: &KeyEntry| !revocation.covers(&key.as_shown());
                self.keeps_operator(now, operators_elsewhere, left)?;
                self.has_room_for_revocation(now, revocation)
            }
        }
    }

    fn standing(&self, name: &Namespace) -> Standing {
        match self.namespaces.contains_key(name) {
            false => Standing::None,
            true if self.is_deleting(name.as_str()) => Standing::Deleting,
            true => Standing::There,
        }
    }

    /// Returns whether a namespace is being deleted: nothing is done there any more.
    #[must_use]
    pub fn is_deleting(&self, name: &str) -> bool {
        self.deleting.contains(name)
    }

    /// Refuses what would change something in a namespace that is being deleted.
    fn stays(&self, namespace: Option<&Namespace>) -> Result<(), Refusal> {
        match namespace.is_some_and(|name| self.is_deleting(name.as_str())) {
            true => Err(Refusal::BeingDeleted),
            false => Ok(()),
        }
    }

    fn has_room_for_namespace(&self) -> Result<(), Refusal> {
        let most = self.limits.namespaces_max;
        below(self.namespaces.len(), most, "namespaces")
    }

    fn decide_create_key(&self, key: &KeyEntry, operators_elsewhere: bool) -> Result<(), Refusal> {
        self.stays(key.namespace.as_ref())?;
        if self.keys.contains_key(&key.id) {
            return Err(Refusal::KeyExists);
        }
        let looked_after = self.closed || operators_elsewhere;
        if !looked_after && (!key.is_operator() || key.expires_at.is_some()) {
            return Err(Refusal::FirstKey);
        }
        below(self.keys.len(), self.limits.keys_max, "keys")?;
        let same = self.keys.values();
        let same = same.filter(|other| other.namespace == key.namespace);
        let most = self.limits.namespace_keys_max;
        below(same.count(), most, "keys of this namespace")
    }

    fn has_room_for_revocation(&self, now: Millis, new: &Revocation) -> Result<(), Refusal> {
        if self.revocations.contains(new) {
            return Ok(());
        }
        let (all, same) = self.revocations.count(now, new.namespace.as_ref());
        below(all, self.limits.revocations_max, "revocations")?;
        let most = self.limits.namespace_revocations_max;
        below(same, most, "revocations of this namespace")
    }

    /// Refuses what would leave nobody to look after the server, where there was somebody.
    fn keeps_operator(
        &self,
        now: Millis,
        operators_elsewhere: bool,
        left: impl Fn(&KeyEntry) -> bool,
    ) -> Result<(), Refusal> {
        let operators = || {
            let keys = self.keys.values();
            keys.filter(|key| key.is_operator() && !key.has_ended(now))
        };
        if operators_elsewhere || operators().next().is_none() || operators().any(left) {
            return Ok(());
        }
        Err(Refusal::LastOperator)
    }

    /// Applies a command that [`decide`](Self::decide) has let pass.
    pub fn apply(&mut self, now: Millis, command: Command) {
        match command {
            Command::CreateNamespace(entry) => self.put_namespace(entry),
            Command::ChangeNamespace {
                name,
                change,
                secret,
            } => {
                let entry = self.namespaces.remove(&name);
                let mut entry = entry.unwrap_or_else(|| NamespaceEntry::new(name, now, secret));
                entry.settings.change(change);
                self.put_namespace(entry);
            }
            Command::RotateSecret {
                name,
                secret,
                old_until,
            } => {
                let entry = match self.namespaces.remove(&name) {
                    Some(mut entry) => {
                        entry.rotate(now, secret, old_until);
                        entry
                    }
                    None => NamespaceEntry::new(name, now, secret),
                };
                self.put_namespace(entry);
            }
            Command::DeleteNamespace(name) => {
                if let Some(mut entry) = self.namespaces.remove(&name) {
                    entry.deleting_since = Some(now);
                    self.put_namespace(entry);
                }
            }
            Command::ForgetNamespace(name) => {
                self.drop_keys(|key| key.namespace.as_ref() == Some(&name));
                self.namespaces.remove(&name);
                self.deleting.remove(&name);
                self.unstored.insert(drawer_of_namespace(&name));
            }
            Command::CreateKey(key) => {
                self.close();
                self.put_key(key);
            }
            Command::RotateKey {
                id,
                digest,
                old_until,
            } => {
                if let Some(mut key) = self.keys.remove(&id) {
                    key.rotate(digest, old_until);
                    self.put_key(key);
                }
            }
            Command::DeleteKey(id) => self.drop_key(&id),
            Command::Revoke(revocation) => {
                self.forget_lapsed(now);
                // The keys of a user go for good: a revocation is forgotten one day.
                self.drop_keys(|key| revocation.covers(&key.as_shown()));
                self.unstored.insert(drawer_of_revocation(&revocation));
                self.revocations.insert(revocation);
            }
        }
    }

    /// Notes that a key was used.
    pub fn note_used(&mut self, now: Millis, id: &str) {
        if let Some(key) = self.keys.get_mut(id)
            && key.last_used_at.is_none_or(|before| before < now)
        {
            key.last_used_at = Some(now);
            self.used.insert(drawer_of_key(id));
        }
    }

    /// Does what time asks for: forgets what matters no more, and has the last use of keys stored.
    pub fn tick(&mut self, now: Millis) {
        if now.since(self.used_stored_at) < self.limits.used_store_ms {
            return;
        }
        self.used_stored_at = now;
        self.unstored.append(&mut self.used);
        self.forget_lapsed(now);
        for key in self.keys.values_mut() {
            if key.forget_old_secret(now) {
                self.unstored.insert(drawer_of_key(&key.id));
            }
        }
        for entry in self.namespaces.values_mut() {
            if entry.forget_old_secret(now) {
                self.unstored.insert(drawer_of_namespace(&entry.name));
            }
        }
    }

    fn forget_lapsed(&mut self, now: Millis) {
        let unstored = &mut self.unstored;
        self.revocations.forget_lapsed(now, |revocation| {
            unstored.insert(drawer_of_revocation(revocation));
        });
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.closed, true) {
            self.unstored.insert(CLOSED);
        }
    }

    fn put_namespace(&mut self, entry: NamespaceEntry) {
        self.unstored.insert(drawer_of_namespace(&entry.name));
        self.take_namespace(entry);
    }

    fn take_namespace(&mut self, entry: NamespaceEntry) {
        if entry.deleting_since.is_some() {
            self.deleting.insert(entry.name.clone());
        }
        self.namespaces.insert(entry.name.clone(), entry);
    }

    fn put_key(&mut self, key: KeyEntry) {
        self.unstored.insert(drawer_of_key(&key.id));
        self.keys.insert(key.id.clone(), key);
    }

    fn drop_keys(&mut self, dead: impl Fn(&KeyEntry) -> bool) {
        let keys = self.keys.values();
        let ids: Vec<_> = keys
            .filter(|key| dead(key))
            .map(|key| key.id.clone())
            .collect();
        for id in ids {
            self.drop_key(&id);
        }
    }

    fn drop_key(&mut self, id: &str) {
        self.keys.remove(id);
        self.unstored.insert(drawer_of_key(id));
    }

    /// Returns the next drawer that must be stored, and what it holds.
    pub fn poll_unstored(&mut self) -> Option<(Drawer, Vec<u8>)> {
        let drawer = self.unstored.pop_first()?;
        Some((drawer, self.encode(drawer)))
    }

    /// Notes that a drawer could not be stored.
    pub fn store_again(&mut self, drawer: Drawer) {
        self.unstored.insert(drawer);
    }

    /// Returns whether every change was handed out to be stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.unstored.is_empty()
    }
}

/// How a name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody made a namespace of it.
    None,
    /// It is a namespace.
    There,
    /// It is a namespace that is being deleted.
    Deleting,
}

fn below(there: usize, most: usize, what: &'static str) -> Result<(), Refusal> {
    match there < most {
        true => Ok(()),
        false => Err(Refusal::LimitReached { what, most }),
    }
}

/// The drawer that says whether there ever was a key.
const CLOSED: Drawer = Drawer(0);

fn drawer_of_namespace(name: &Namespace) -> Drawer {
    Drawer::of(codec::NAMESPACE, name.as_str().as_bytes())
}

fn drawer_of_key(id: &str) -> Drawer {
    Drawer::of(codec::KEY, id.as_bytes())
}

fn drawer_of_revocation(revocation: &Revocation) -> Drawer {
    Drawer::of(codec::REVOCATION, revocation.what.name().as_bytes())
}

/// Returns whether rights are those of somebody who looks after what they are for.
const fn looks_after(rights: Rights) -> bool {
    rights.contains(Rights::ADMIN)
}

#[cfg(test)]
mod tests;
