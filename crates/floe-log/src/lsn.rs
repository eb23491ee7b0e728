//! Positions in the write-ahead log.

use std::fmt;

/// A position in the write-ahead log: segment number and byte in it.
///
/// Positions only grow. The position that staging returns is the end of the record's frame, so
/// the record is durable once [`Log::durable`](crate::Log::durable) has reached it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    pub(crate) const fn new(segment: u32, at: u32) -> Self {
        Self((segment as u64) << 32 | at as u64)
    }

    pub(crate) const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) const fn at(self) -> u32 {
        self.0 as u32
    }

    pub(crate) const fn plus(self, bytes: u32) -> Self {
        Self(self.0 + bytes as u64)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.at())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
