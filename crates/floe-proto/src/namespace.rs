//! Tenants.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a tenant: rooms, keys and quotas of one never touch another's.
///
/// It has 1 to 64 ASCII letters, digits, `-`, `_` and `.`, and begins with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The namespace of all who name none, which is always there.
    pub const DEFAULT: &'static str = "default";
    /// Bytes of the longest name.
    pub const BYTES_MAX: usize = 64;
    /// The byte that no path from outside begins with: it stands before the namespace in the full
    /// name of a room, and after it.
    pub const MARK: u8 = 0;

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether it is the namespace of all who name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }

    /// Returns the full name of the room at `path` in this namespace.
    ///
    /// In the default namespace that is the path itself.
    #[must_use]
    pub fn qualify<'a>(&self, path: &'a [u8]) -> Cow<'a, [u8]> {
        if self.is_default() {
            return Cow::Borrowed(path);
        }
        let mut name = Vec::with_capacity(self.0.len() + path.len() + 2);
        name.push(Self::MARK);
        name.extend_from_slice(self.0.as_bytes());
        name.push(Self::MARK);
        name.extend_from_slice(path);
        Cow::Owned(name)
    }

    /// Takes a room's full name apart: the namespace as text, and the path in it.
    #[must_use]
    pub fn split(name: &[u8]) -> (&str, &[u8]) {
        let Some((&Self::MARK, rest)) = name.split_first() else {
            return (Self::DEFAULT, name);
        };
        let end = rest.iter().position(|byte| *byte == Self::MARK);
        let (namespace, path) = rest.split_at(end.unwrap_or(rest.len()));
        let namespace = std::str::from_utf8(namespace).unwrap_or_default();
        (namespace, path.get(1..).unwrap_or_default())
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = ParseNamespaceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let first = text.bytes().next();
        let valid = text.len() <= Self::BYTES_MAX
            && first.is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(plain);
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(ParseNamespaceError)
        }
    }
}

/// The text is no name of a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseNamespaceError;

impl fmt::Display for ParseNamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a namespace has 1 to 64 letters, digits, `-`, `_` and `.`, and begins with a letter or \
             digit",
        )
    }
}

impl std::error::Error for ParseNamespaceError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_plain_and_bounded() {
        for good in ["default", "a", "0", "Acme-2", "a.b_c", &"x".repeat(64)] {
            assert_eq!(good.parse::<Namespace>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", ".", "a/b", "a b", "a\0", "ä", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Namespace>(), Err(ParseNamespaceError), "{bad}");
        }
    }

    #[test]
    fn the_default_namespace_adds_nothing_to_a_name() {
        let full = Namespace::default().qualify(b"a/b");
        assert_eq!(&*full, b"a/b");
        assert_eq!(Namespace::split(&full), ("default", &b"a/b"[..]));
    }

    proptest! {
        #[test]
        fn full_names_come_apart_again_and_never_meet(
            one in "[a-z0-9][a-z0-9_.-]{0,10}",
            other in "[a-z0-9][a-z0-9_.-]{0,10}",
            path in proptest::collection::vec(1_u8.., 1..20),
            tail in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let path = [path, tail].concat();
            let one: Namespace = one.parse().unwrap();
            let other: Namespace = other.parse().unwrap();
            let full = one.qualify(&path);
            prop_assert_eq!(Namespace::split(&full), (one.as_str(), &path[..]));
            prop_assert_eq!(full == other.qualify(&path), one == other);
        }

        #[test]
        fn any_bytes_can_be_taken_apart(name in proptest::collection::vec(any::<u8>(), 0..20)) {
            let _ = Namespace::split(&name);
        }
    }
}
