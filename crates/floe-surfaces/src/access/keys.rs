//! API keys.

use std::collections::HashMap;
use std::fmt;

use floe_core::directory::KeyEntry;
use floe_proto::{Millis, Namespace, Rights};
use sha2::{Digest as _, Sha256};

use super::caller::{ALL_BUT_DELETED, Caller, Grants, RoomPattern, Source};

/// The API keys of a server, found by the digest of their secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyRing {
    keys: HashMap<[u8; 32], Key>,
}

/// What is kept of an API key: not the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// By what it is called in lists and the audit log.
    pub id: Box<str>,
    /// `None` for all of them.
    pub namespace: Option<Namespace>,
    /// What it opens there.
    pub grants: Grants,
    /// As whom its bearer speaks; `None` for bearers who say so themselves.
    pub user: Option<Box<str>>,
    /// When it ends.
    pub ends_at: Option<Millis>,
}

impl Key {
    /// Returns who shows the key.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            namespace: self.namespace.clone(),
            user: self.user.clone(),
            grants: self.grants.clone(),
            ends_at: self.ends_at,
            source: Source::Key(self.id.clone()),
        }
    }
}

impl KeyRing {
    /// Keys that settings may name.
    pub const KEYS_MAX: usize = 1_000;
    /// Bytes that a key may have.
    pub const KEY_BYTES_MAX: usize = 256;

    /// Reads keys, each as `NAMESPACE:RIGHTS:KEY`, separated by white space.
    ///
    /// The namespace `*` is all of them. Rights are `read`, `write` and `admin`, separated by
    /// commas; `admin` has the other two. `read-deleted`, which no key has unless it says so, shows
    /// what deleted events said. A key may hold colons.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut ring = Self::default();
        for (at, entry) in text.split_whitespace().enumerate() {
            if at == Self::KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            let (digest, key) = read_key(entry, at + 1)?;
            if ring.insert(digest, key).is_some() {
                return Err(KeyError::Twice { entry: at + 1 });
            }
        }
        Ok(ring)
    }

    /// Returns whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the keys, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Key> {
        self.keys.values()
    }

    /// Adds a key that the server keeps, under its secret and the one that it had before.
    pub(super) fn keep(&mut self, entry: &KeyEntry) {
        // A pattern that cannot be read any more grants nothing.
        let grants = entry.grants.iter();
        let grants = grants
            .filter_map(|(pattern, rights)| Some((RoomPattern::parse(pattern).ok()?, *rights)));
        let key = Key {
            id: entry.id.clone(),
            namespace: entry.namespace.clone(),
            grants: Grants::new(grants),
            user: entry.user.clone(),
            ends_at: entry.expires_at,
        };
        if let Some((digest, until)) = entry.rotated {
            let ends_at = key.ends_at.map_or(until, |at| at.min(until));
            let old = Key {
                ends_at: Some(ends_at),
                ..key.clone()
            };
            self.insert(digest, old);
        }
        self.insert(entry.digest, key);
    }

    /// Adds a key by the digest of its secret; returns the one that had it before.
    pub fn insert(&mut self, digest: [u8; 32], key: Key) -> Option<Key> {
        self.keys.insert(digest, key)
    }

    /// Removes a key.
    pub fn remove(&mut self, digest: &[u8; 32]) -> Option<Key> {
        self.keys.remove(digest)
    }

    /// Finds a key by its secret.
    ///
    /// What is looked up and compared are digests, of which nobody can choose a part, so the time
    /// that it takes tells nothing of a key.
    #[must_use]
    pub fn find(&self, secret: &str) -> Option<&Key> {
        if secret.is_empty() || secret.len() > Self::KEY_BYTES_MAX {
            return None;
        }
        self.keys.get(&Self::digest(secret))
    }

    /// Returns what is kept of a secret: its SHA-256. Keys are random, so it needs no salt.
    #[must_use]
    pub fn digest(secret: &str) -> [u8; 32] {
        Sha256::digest(secret.as_bytes()).into()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

fn read_key(text: &str, entry: usize) -> Result<([u8; 32], Key), KeyError> {
    let (namespace, rest) = text.split_once(':').ok_or(KeyError::Shape { entry })?;
    let (words, secret) = rest.split_once(':').ok_or(KeyError::Shape { entry })?;
    if secret.is_empty() || secret.len() > KeyRing::KEY_BYTES_MAX {
        return Err(KeyError::Shape { entry });
    }
    let namespace = match namespace {
        "*" => None,
        name => Some(name.parse().map_err(|_| KeyError::Namespace { entry })?),
    };
    let rights = rights_of(words).ok_or(KeyError::Rights { entry })?;
    let key = Key {
        id: format!("settings-{entry}").into(),
        namespace,
        grants: Grants::everywhere(rights),
        user: None,
        ends_at: None,
    };
    Ok((KeyRing::digest(secret), key))
}

/// Reads the rights of a key in the settings.
fn rights_of(words: &str) -> Option<Rights> {
    let mut rights = Rights::NONE;
    for word in words.split(',') {
        rights = rights.with(match word {
            "read" => Rights::READ.with(Rights::PRESENCE),
            "write" => Rights::APPEND
                .with(Rights::DELETE_OWN)
                .with(Rights::PRESENCE)
                .with(Rights::CREATE),
            "admin" => ALL_BUT_DELETED,
            "read-deleted" => Rights::READ_DELETED,
            _ => return None,
        });
    }
    Some(rights)
}

/// Why keys cannot be read. The keys themselves are not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Write it as it should be.
    #[error("API key {entry} is not NAMESPACE:RIGHTS:KEY")]
    Shape {
        /// Which, from 1.
        entry: usize,
    },
    /// Call the namespace otherwise.
    #[error("the namespace of API key {entry} is no name of a namespace, and not `*` either")]
    Namespace {
        /// Which, from 1.
        entry: usize,
    },
    /// Use other words.
    #[error("the rights of API key {entry} are not among read, write, admin and read-deleted")]
    Rights {
        /// Which, from 1.
        entry: usize,
    },
    /// Give every entry a key of its own.
    #[error("API key {entry} is there twice")]
    Twice {
        /// Which, from 1.
        entry: usize,
    },
    /// Drop some.
    #[error("there are more than {} API keys", KeyRing::KEYS_MAX)]
    TooMany,
}
