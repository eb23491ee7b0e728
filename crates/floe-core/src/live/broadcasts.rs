//! What is told to all who are in a room at the moment, and to nobody later.

use std::collections::VecDeque;
use std::sync::Arc;

/// The newest broadcasts of a room. A reader that is too far behind has missed some, and is told how
/// many.
#[derive(Debug, Clone, Default)]
pub struct Broadcasts {
    kept: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// Broadcasts so far.
    version: u64,
}

impl Broadcasts {
    /// Broadcasts that are kept for readers that have not taken them.
    pub const KEPT_MAX: usize = 256;
    /// Bytes of those that are kept; the newest is in any case.
    pub const KEPT_BYTES_MAX: usize = 1 << 20;

    /// Makes a room without broadcasts, whose first gets the version after `version`.
    #[must_use]
    pub const fn new(version: u64) -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            version,
        }
    }

    /// Tells all who are there.
    pub fn push(&mut self, data: &[u8]) {
        self.version += 1;
        self.bytes += data.len();
        self.kept.push_back(data.into());
        while self.kept.len() > Self::KEPT_MAX
            || self.kept.len() > 1 && self.bytes > Self::KEPT_BYTES_MAX
        {
            let oldest = self.kept.pop_front();
            self.bytes -= oldest.map_or(0, |oldest| oldest.len());
        }
    }

    /// The version of the newest.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Returns those after a version, oldest first, and how many more there were that are not kept.
    pub fn since(&self, version: u64) -> (u64, impl Iterator<Item = &[u8]>) {
        let wanted = self.version.saturating_sub(version);
        let kept = self.kept.len() as u64;
        let passed = kept.saturating_sub(wanted) as usize;
        let broadcasts = self.kept.iter().skip(passed).map(|data| &**data);
        (wanted.saturating_sub(kept), broadcasts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(broadcasts: &Broadcasts, version: u64) -> (u64, Vec<Vec<u8>>) {
        let (missed, kept) = broadcasts.since(version);
        (missed, kept.map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn readers_get_each_broadcast_once_and_learn_of_those_they_missed() {
        let mut broadcasts = Broadcasts::new(10);
        broadcasts.push(b"a");
        broadcasts.push(b"b");
        assert_eq!(
            since(&broadcasts, 10),
            (0, vec![b"a".to_vec(), b"b".to_vec()])
        );
        assert_eq!(since(&broadcasts, 11), (0, vec![b"b".to_vec()]));
        assert_eq!(since(&broadcasts, 12), (0, vec![]));
        for _ in 0..Broadcasts::KEPT_MAX {
            broadcasts.push(b"c");
        }
        let (missed, kept) = since(&broadcasts, 11);
        assert_eq!((missed, kept.len()), (1, Broadcasts::KEPT_MAX));
        broadcasts.push(&vec![b'd'; Broadcasts::KEPT_BYTES_MAX]);
        broadcasts.push(b"e");
        assert_eq!(since(&broadcasts, broadcasts.version() - 1).1, [b"e"]);
        assert_eq!(since(&broadcasts, broadcasts.version() - 2).0, 1);
    }
}
