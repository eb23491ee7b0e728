//! Where something is in a stream.

use std::borrow::Cow;
use std::fmt;

/// A place in a stream, as the server named it.
///
/// Opaque: it can be kept, compared and handed back. Two offsets of one stream sort like their
/// bytes; [`Offset::START`] and [`Offset::NOW`] are names for places and do not sort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(Cow<'static, str>);

impl Offset {
    /// Before the first byte.
    pub const START: Self = Self(Cow::Borrowed("-1"));
    /// After the last byte, wherever that is when the server is asked.
    pub const NOW: Self = Self(Cow::Borrowed("now"));

    /// Returns the text that the server knows it by.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Offset {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl From<&str> for Offset {
    fn from(text: &str) -> Self {
        Self(Cow::Owned(text.to_owned()))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
