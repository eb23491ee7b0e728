//! What a directory holds of namespaces and keys.

use std::collections::BTreeMap;
use std::fmt;

use floe_proto::{Millis, Namespace, Retention, Rights};

use super::{Shown, looks_after};

/// The digest of a key's secret.
pub type Digest = [u8; 32];

/// A pattern over rooms as a surface writes it, and what is granted there.
pub type Grant = (Box<str>, Rights);

/// What the server signs a namespace's tokens with. Its `Debug` form does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SigningSecret(pub [u8; 32]);

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(..)")
    }
}

/// A namespace that somebody made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceEntry {
    /// What it is called.
    pub name: Namespace,
    /// When it was made.
    pub created_at: Millis,
    /// What the server signs its tokens with.
    pub secret: SigningSecret,
    /// Counts its secrets, from one on.
    pub secret_number: u64,
    /// The secret that it had before, and when tokens signed with that end.
    pub old_secret: Option<(SigningSecret, Millis)>,
    /// What operators have settled for it.
    pub settings: NamespaceSettings,
    /// Since when it is being deleted: nothing is done there any more, and its name is not free.
    pub deleting_since: Option<Millis>,
}

impl NamespaceEntry {
    /// Describes a namespace with its first secret, of which nothing is settled yet.
    #[must_use]
    pub fn new(name: Namespace, created_at: Millis, secret: SigningSecret) -> Self {
        Self {
            name,
            created_at,
            secret,
            secret_number: 1,
            old_secret: None,
            settings: NamespaceSettings::default(),
            deleting_since: None,
        }
    }

    /// Gives the namespace a new secret, and the old one an end.
    pub(super) fn rotate(&mut self, now: Millis, secret: SigningSecret, old_until: Millis) {
        let old = std::mem::replace(&mut self.secret, secret);
        self.secret_number += 1;
        self.old_secret = (old_until > now).then_some((old, old_until));
    }

    /// Forgets a secret that has ended; returns whether there was one.
    pub(super) fn forget_old_secret(&mut self, now: Millis) -> bool {
        let ended = |(_, until): &mut (_, Millis)| *until <= now;
        self.old_secret.take_if(ended).is_some()
    }
}

/// What operators settle for a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceSettings {
    /// Origins whose pages may open live connections here and read answers, besides the server's
    /// own. Where there is none, every page may read answers.
    pub origins: Vec<Box<str>>,
    /// What new channels keep that name nothing themselves.
    pub retention: Retention,
    /// Quotas by name. What they mean is not the directory's to know.
    pub quotas: BTreeMap<Box<str>, u64>,
}

/// What changes in the settings of a namespace; what is not there stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// The origins, as a whole.
    pub origins: Option<Vec<Box<str>>>,
    /// The retention, as a whole.
    pub retention: Option<Retention>,
    /// Quotas one by one; `None` takes one away.
    pub quotas: BTreeMap<Box<str>, Option<u64>>,
}

impl NamespaceSettings {
    /// Origins that one namespace may name.
    pub const ORIGINS_MAX: usize = 32;
    /// Bytes of an origin.
    pub const ORIGIN_BYTES_MAX: usize = 256;
    /// Quotas that one namespace may have.
    pub const QUOTAS_MAX: usize = 64;
    /// Bytes of a quota's name.
    pub const QUOTA_BYTES_MAX: usize = 64;

    /// Changes what a change names.
    pub fn change(&mut self, change: SettingsChange) {
        if let Some(origins) = change.origins {
            self.origins = origins;
        }
        if let Some(retention) = change.retention {
            self.retention = retention;
        }
        for (name, value) in change.quotas {
            match value {
                Some(value) => {
                    if self.quotas.len() < Self::QUOTAS_MAX || self.quotas.contains_key(&name) {
                        self.quotas.insert(name, value);
                    }
                }
                None => {
                    self.quotas.remove(&name);
                }
            }
        }
    }
}

/// An API key, without its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// By what it is called.
    pub id: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// The digest of its secret.
    pub digest: Digest,
    /// `None` for all of them.
    pub namespace: Option<Namespace>,
    /// What it opens there.
    pub grants: Box<[Grant]>,
    /// As whom its bearer speaks.
    pub user: Option<Box<str>>,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// The digest of the secret that it had before, and when that ends.
    pub rotated: Option<(Digest, Millis)>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Millis>,
}

impl KeyEntry {
    /// Bytes of a key's name.
    pub const NAME_BYTES_MAX: usize = 128;
    /// Bytes of all the patterns of a key.
    pub const GRANT_BYTES_MAX: usize = 8 << 10;
    /// The pattern for all rooms and the namespace itself.
    pub const EVERYWHERE: &str = "**";

    /// Returns whether it opens nothing any more.
    #[must_use]
    pub fn has_ended(&self, now: Millis) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Returns whether its bearer looks after the whole server.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        let everywhere = |grant: &&Grant| &*grant.0 == Self::EVERYWHERE;
        let mut grants = self.grants.iter().filter(everywhere);
        self.namespace.is_none() && grants.any(|(_, rights)| looks_after(*rights))
    }

    /// Gives the key a new secret, and the old one an end.
    pub(super) fn rotate(&mut self, digest: Digest, old_until: Millis) {
        let old = std::mem::replace(&mut self.digest, digest);
        self.rotated = Some((old, old_until));
    }

    /// Forgets a secret that has ended; returns whether there was one.
    pub(super) fn forget_old_secret(&mut self, now: Millis) -> bool {
        self.rotated.take_if(|(_, until)| *until <= now).is_some()
    }

    /// Returns the key as revocations look at it.
    pub(super) fn as_shown(&self) -> Shown<'_> {
        Shown {
            namespace: self.namespace.as_ref(),
            user: self.user.as_deref(),
            token: None,
            issued_at: Some(self.created_at),
        }
    }
}

impl fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyEntry")
            .field("id", &self.id)
            .field("namespace", &self.namespace)
            .field("grants", &self.grants)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
