//! What a server should hold, in plain maps and vectors, written from the protocol's rules.

mod answer;
mod content;
mod judge;
mod op;

use std::collections::BTreeMap;

pub use answer::{Answer, Expected};
pub use content::Content;
pub use judge::media_type;
pub use op::Op;

/// All streams of a server, and the values that it keeps for itself.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Streams that a name leads to, or that forks keep.
    pub streams: BTreeMap<u64, Stream>,
    /// Streams by name.
    pub names: BTreeMap<String, u64>,
    /// The server's own values.
    pub values: BTreeMap<String, Vec<u8>>,
    /// Streams that are gone, for readers that were there before.
    pub graves: BTreeMap<u64, Stream>,
}

/// One stream, from its create to its end; a name that is used again is another stream.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Content type as its creator wrote it.
    pub content_type: String,
    /// When it ends by itself.
    pub life: Life,
    /// When it was created, in milliseconds.
    pub created_at: u64,
    /// All data, what it inherited included.
    pub content: Content,
    /// Whether it takes no more.
    pub closed: bool,
    /// Whether it was deleted and forks keep it.
    pub soft_deleted: bool,
    /// The stream that it is a fork of, and the units inherited.
    pub source: Option<(u64, u64)>,
    /// Epoch and highest sequence of each producer.
    pub producers: BTreeMap<String, (u64, u64)>,
    /// The request of a producer that closed it.
    pub closed_by: Option<(String, u64, u64)>,
    /// The newest `Stream-Seq`.
    pub seq: Option<String>,
    /// The newest read or write.
    pub touched: u64,
    /// A read or write that counts even if memory is lost.
    pub touched_surely: u64,
    /// Tail and closed state after each change, with the number of changes in the world by then.
    pub edges: Vec<(u64, u64, bool)>,
}

/// When a stream ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Never.
    Forever,
    /// This many seconds after the last read or write.
    Ttl(u64),
    /// At this moment.
    Until(u64),
}

impl Stream {
    /// Returns the unit after the last.
    pub fn tail(&self) -> u64 {
        self.content.units()
    }

    fn is_over(&self, touched: u64, now: u64) -> bool {
        match self.life {
            Life::Forever => false,
            Life::Ttl(seconds) => now >= touched + seconds * 1000,
            Life::Until(at) => now >= at,
        }
    }

    /// Returns whether its life is over, whatever was lost.
    pub fn is_surely_over(&self, now: u64) -> bool {
        self.is_over(self.touched, now)
    }

    /// Returns whether its life may be over.
    pub fn may_be_over(&self, now: u64) -> bool {
        self.is_over(self.touched_surely, now)
    }
}

impl Model {
    /// Returns the stream that a name leads to, one kept for its forks included.
    pub fn find(&self, name: &str) -> Option<(u64, &Stream)> {
        let uid = *self.names.get(name)?;
        Some((uid, &self.streams[&uid]))
    }

    /// Returns the forks of a stream.
    pub fn forks(&self, uid: u64) -> Vec<u64> {
        let is_fork = |stream: &Stream| stream.source.is_some_and(|(source, _)| source == uid);
        let streams = self.streams.iter();
        streams
            .filter(|(_, stream)| is_fork(stream))
            .map(|(&fork, _)| fork)
            .collect()
    }

    /// Returns whether a server may rightly say that the stream is not there.
    ///
    /// An expired stream goes when somebody looks at it, and one kept for its forks with the last
    /// of them, so both may be there or not.
    pub fn may_be_gone(&self, uid: u64, now: u64) -> bool {
        let stream = &self.streams[&uid];
        let by_itself = stream.soft_deleted || stream.may_be_over(now);
        by_itself
            && self
                .forks(uid)
                .iter()
                .all(|&fork| self.may_be_gone(fork, now))
    }

    /// Returns whether a server may rightly say that the stream was deleted and is kept for forks.
    pub fn may_be_kept(&self, uid: u64, now: u64) -> bool {
        let stream = &self.streams[&uid];
        stream.soft_deleted || (stream.may_be_over(now) && !self.forks(uid).is_empty())
    }

    /// Returns whether a server may rightly serve the stream.
    pub fn may_be_there(&self, uid: u64, now: u64) -> bool {
        let stream = &self.streams[&uid];
        !stream.soft_deleted && !stream.is_surely_over(now)
    }
}
