//! What changes a model.

use super::{Content, Life, Model, Stream};

/// One change that happens whole or not at all.
#[derive(Debug, Clone)]
pub enum Op {
    /// A stream comes to be.
    Create {
        /// Its number, never used before.
        uid: u64,
        /// Everything it begins with, what it inherits included.
        stream: Box<Stream>,
    },
    /// Data, a close, or both.
    Append {
        /// The stream.
        uid: u64,
        /// The data; empty only to close.
        content: Content,
        /// Who sent it: producer, epoch and sequence.
        producer: Option<(String, u64, u64)>,
        /// The `Stream-Seq`.
        seq: Option<String>,
        /// Whether nothing may follow.
        close: bool,
        /// When.
        now: u64,
    },
    /// A stream is deleted, or its life is over: it is kept while it has forks.
    Delete {
        /// The stream.
        uid: u64,
    },
    /// A stream whose life may be over, or that was kept for such forks, was found to be gone.
    Vanish {
        /// The stream.
        uid: u64,
    },
    /// A read that restarts a sliding life.
    Touch {
        /// The stream.
        uid: u64,
        /// When.
        now: u64,
        /// A moment of which a restart knows in any case.
        surely: u64,
    },
    /// A value of the server's own.
    SetValue {
        /// Its name.
        name: String,
        /// The value.
        value: Vec<u8>,
    },
    /// The end of such a value.
    ForgetValue {
        /// Its name.
        name: String,
    },
}

impl Model {
    /// Applies a change, the world's `count`-th; returns the names it concerns.
    pub fn apply(&mut self, op: &Op, count: u64) -> Vec<String> {
        match op {
            Op::Create { uid, stream } => {
                let mut stream = Stream::clone(stream);
                let name = stream.name.clone();
                stream.edges = vec![(count, stream.tail(), stream.closed)];
                self.streams.insert(*uid, stream);
                let taken = self.names.insert(name.clone(), *uid);
                assert_eq!(taken, None, "{name} is created while it is there");
                vec![name]
            }
            Op::Append {
                uid,
                content,
                producer,
                seq,
                close,
                now,
            } => {
                let stream = self.streams.get_mut(uid).expect("appends go to a stream");
                stream.content.extend(content);
                if let Some((id, epoch, seq)) = producer {
                    stream.producers.insert(id.clone(), (*epoch, *seq));
                }
                if *close {
                    stream.closed = true;
                    stream.closed_by.clone_from(producer);
                }
                if seq.is_some() {
                    stream.seq.clone_from(seq);
                }
                stream.touched = stream.touched.max(*now);
                stream.touched_surely = stream.touched_surely.max(*now);
                stream.edges.push((count, stream.tail(), stream.closed));
                vec![stream.name.clone()]
            }
            Op::Delete { uid } if !self.forks(*uid).is_empty() => {
                let stream = self.streams.get_mut(uid).expect("a stream is deleted once");
                stream.soft_deleted = true;
                vec![stream.name.clone()]
            }
            Op::Delete { uid } => self.remove(*uid),
            Op::Vanish { uid } => self.vanish(*uid),
            Op::Touch { uid, now, surely } => {
                if let Some(stream) = self.streams.get_mut(uid) {
                    stream.touched = stream.touched.max(*now);
                    stream.touched_surely = stream.touched_surely.max(*surely);
                }
                Vec::new()
            }
            Op::SetValue { name, value } => {
                self.values.insert(name.clone(), value.clone());
                vec![name.clone()]
            }
            Op::ForgetValue { name } => {
                self.values.remove(name);
                vec![name.clone()]
            }
        }
    }

    /// Removes a stream, and sources that only it kept.
    fn remove(&mut self, uid: u64) -> Vec<String> {
        let Some(stream) = self.streams.remove(&uid) else {
            return Vec::new();
        };
        self.names.remove(&stream.name);
        let mut names = vec![stream.name.clone()];
        let source = stream.source;
        self.graves.insert(uid, stream);
        if let Some((source, _)) = source
            && self.streams.get(&source).is_some_and(|it| it.soft_deleted)
            && self.forks(source).is_empty()
        {
            names.extend(self.remove(source));
        }
        names
    }

    fn vanish(&mut self, uid: u64) -> Vec<String> {
        let mut names = Vec::new();
        for fork in self.forks(uid) {
            names.extend(self.vanish(fork));
        }
        names.extend(self.remove(uid));
        names
    }

    /// Makes a stream that inherits nothing.
    pub fn stream(
        name: &str,
        content_type: &str,
        life: Life,
        content: Content,
        now: u64,
    ) -> Stream {
        Stream {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            life,
            created_at: now,
            content,
            closed: false,
            soft_deleted: false,
            source: None,
            producers: std::collections::BTreeMap::new(),
            closed_by: None,
            seq: None,
            touched: now,
            touched_surely: now,
            edges: Vec::new(),
        }
    }
}
