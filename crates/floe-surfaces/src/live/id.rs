//! What a client calls a frame, so that it knows the answer.

use std::borrow::Cow;

/// The `id` of a client's frame: given back in the answer, and nothing else is done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameId<'a> {
    /// A text of at most [`ID_BYTES_MAX`](super::ID_BYTES_MAX) bytes.
    Text(Cow<'a, str>),
    /// A whole number that a double holds.
    Number(i64),
}

impl FrameId<'_> {
    /// Copies what is borrowed.
    #[must_use]
    pub fn into_owned(self) -> FrameId<'static> {
        match self {
            Self::Text(text) => FrameId::Text(Cow::Owned(text.into_owned())),
            Self::Number(number) => FrameId::Number(number),
        }
    }
}
