//! API keys as settings name them.

use std::fmt;

use floe_proto::Rights;
use sha2::{Digest as _, Sha256};

use super::KeyRights;

/// The API keys of a server. Without any, everything is open.
#[derive(Clone, Default)]
pub struct Access {
    keys: Vec<Key>,
}

/// Keys are kept as digests, so that comparing them tells nothing of how far two agree, and memory
/// holds none.
#[derive(Clone)]
struct Key {
    /// `None` for all of them.
    namespace: Option<Box<str>>,
    rights: KeyRights,
    digest: [u8; 32],
}

impl Access {
    /// Keys that a server may have.
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
        let mut access = Self::default();
        for (at, entry) in text.split_whitespace().enumerate() {
            if at == Self::KEYS_MAX {
                return Err(KeyError::TooMany);
            }
            let key = Key::parse(entry, at + 1)?;
            if access.keys.iter().any(|known| known.digest == key.digest) {
                return Err(KeyError::Twice { entry: at + 1 });
            }
            access.keys.push(key);
        }
        Ok(access)
    }

    /// Returns whether no key is configured, so that everyone may do everything.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.keys.is_empty()
    }

    /// Finds a key and what it opens: the namespace, `None` if all, and what it may do there.
    ///
    /// All keys are compared to their ends, whichever it is.
    pub(super) fn find(&self, key: &str) -> Option<(Option<&str>, KeyRights)> {
        if key.is_empty() || key.len() > Self::KEY_BYTES_MAX {
            return None;
        }
        let digest = digest(key);
        let mut found = None;
        for key in &self.keys {
            if same(&key.digest, &digest) {
                found = Some((key.namespace.as_deref(), key.rights));
            }
        }
        found
    }
}

impl Key {
    fn parse(text: &str, entry: usize) -> Result<Self, KeyError> {
        let (namespace, rest) = text.split_once(':').ok_or(KeyError::Shape { entry })?;
        let (rights, key) = rest.split_once(':').ok_or(KeyError::Shape { entry })?;
        if namespace.is_empty() || key.is_empty() || key.len() > Access::KEY_BYTES_MAX {
            return Err(KeyError::Shape { entry });
        }
        Ok(Self {
            namespace: (namespace != "*").then(|| namespace.into()),
            rights: KeyRights::parse(rights).ok_or(KeyError::Rights { entry })?,
            digest: digest(key),
        })
    }
}

impl KeyRights {
    fn parse(words: &str) -> Option<Self> {
        let mut rights = Self {
            in_channel: Rights::NONE,
            write: false,
            admin: false,
        };
        for word in words.split(',') {
            let channel = match word {
                "read" => Rights::READ,
                "write" => {
                    rights.write = true;
                    Rights::APPEND.with(Rights::DELETE_OWN)
                }
                "admin" => {
                    rights.write = true;
                    rights.admin = true;
                    Self::ADMIN.in_channel
                }
                "read-deleted" => Rights::READ_DELETED,
                _ => return None,
            };
            rights.in_channel = rights.in_channel.with(channel);
        }
        Some(rights)
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
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
    #[error("there are more than {} API keys", Access::KEYS_MAX)]
    TooMany,
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Compares to the end, whatever differs.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
    std::hint::black_box(differ) == 0
}
