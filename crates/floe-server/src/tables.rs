//! The tables of rooms: a queue for each room, a thread that writes their files, threads that read
//! them, and one that makes snapshots of them.
//!
//! The log is the truth; a room's file is made from it. A call goes its way so: it waits in its room's
//! queue; the writer runs it, with others that wait, in one transaction of the file, which says what
//! messages come of it; the loop appends the messages of all of them as one record; once that is
//! durable the calls are answered, and the transaction is committed. So a file never holds what the
//! log does not, and what is read from it is durable. Should the log refuse, the transaction is
//! rolled back and the calls fail with the log's code.
//!
//! A file that is behind is caught up from the log when it is opened, one that is ahead, damaged or
//! gone is made anew. What goes wrong with a file is its room's business alone: the log stays as it
//! is, and the room works again once its file can be written.
//!
//! # How to use it
//! Find the room ([`Shard::find_tables`] or [`Shard::ensure_tables`]), then
//! [`TableHost::call`] or [`TableHost::ask`]. Neither fails by itself: whatever comes of it is handed
//! out by [`TableHost::turn`] as an [`Answered`] with the [`Asker`] that was given. After each
//! commit there is a [`Notice`], after the answers to the calls that it is of; for all that was
//! visible when it is handed out, a question sees it.

mod bounds;
mod host;
mod readers;
mod room;
mod saver;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use floe_proto::table::{Applied, Call, TableError};
use floe_proto::{Code, Millis, RoomId};
use mio::Waker;

use crate::buffers::Buffered;
use crate::shard::{Failure, Ticket};

pub use bounds::{TableBounds, TableSettings};
pub use host::TableHost;
pub use readers::{Answer, Ask, TASKS_SQL};

use self::readers::{Asked, Unanswered};
use self::saver::Saved;
use self::writer::Ran;

/// Who waits for what comes of a call or question; handed back with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "each part of the server that asks has its own")]
pub enum Asker {
    /// A connection, or a command of a WebSocket.
    Connection(Ticket),
    /// A live query, by a number that means something to whoever keeps it.
    Query(u64),
    /// The write buffer, by a number that means something to it.
    Buffer(u64),
}

/// What came of a call or question.
#[derive(Debug)]
#[allow(dead_code, reason = "some of those who ask know the room")]
pub struct Answered {
    /// Who asked.
    pub asker: Asker,
    /// Which room.
    pub room: RoomId,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a call or question.
#[derive(Debug)]
pub enum Outcome {
    /// Of a call. What was done is durable.
    Called(Result<Applied, Refused>),
    /// Of a question.
    Asked(Result<Answer, Refused>),
    /// Of something that was asked of the write buffer.
    Buffered(Result<Buffered, Refused>),
}

/// A commit: the room's file now has all messages up to `seq`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Which room.
    pub room: RoomId,
    /// Its full name.
    pub name: Box<[u8]>,
    /// Place of the newest message.
    pub seq: u64,
    /// Names of the tables that were touched, in lower case, each once, in order.
    pub tables: Vec<Box<str>>,
    /// Whether a table came, changed or went.
    pub schema_changed: bool,
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct At {
    /// As people have it.
    pub now: Millis,
    /// Milliseconds since the server started, which nobody moves.
    pub uptime_ms: u64,
}

/// What a turn of the host brings.
#[derive(Debug, Default)]
pub struct Turned {
    /// What came of calls and questions, in the order of each room.
    pub answers: Vec<Answered>,
    /// Commits.
    pub notices: Vec<Notice>,
    /// Rooms that have come to their end.
    pub gone: Vec<RoomId>,
}

/// A call in its room's queue.
#[derive(Debug)]
struct Queued {
    asker: Asker,
    call: Call,
    /// Bytes that it took to ask for it, about.
    bytes: usize,
}

/// Why a call or question failed. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong.
    pub error: TableError,
    /// Milliseconds before which another try fails; 0 where nobody knows.
    pub retry_after_ms: u64,
}

impl Refused {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        TableError::new(code, message).into()
    }
}

impl From<TableError> for Refused {
    fn from(error: TableError) -> Self {
        Self {
            error,
            retry_after_ms: 0,
        }
    }
}

impl From<&Failure> for Refused {
    fn from(failure: &Failure) -> Self {
        Self {
            error: TableError::new(failure.code, failure.message.clone()),
            retry_after_ms: failure.retry_after_ms,
        }
    }
}

/// What a thread has done.
#[derive(Debug)]
enum Done {
    /// These rooms have files in the folder.
    Found(Vec<RoomId>),
    /// A file is open, and has this many messages.
    Opened(RoomId, Result<u64, Refused>),
    /// A file has what it was handed, and now this many messages.
    CaughtUp(RoomId, Result<u64, Refused>),
    /// A batch was run.
    Ran(RoomId, Ran),
    /// A transaction was committed; the file now has this many messages.
    Committed(RoomId, u64),
    /// A file failed and was closed; these calls were not run.
    Broken(RoomId, Vec<Queued>, Refused),
    /// A question is answered.
    Answered(Asked, Result<Answer, Unanswered>, f64),
    /// A file was damaged, and is made anew.
    Rebuilt,
    /// A snapshot was made, or not.
    Saved(RoomId, Saved),
}

/// Where the threads leave what they have done.
#[derive(Debug)]
struct Mailbox {
    done: Mutex<Vec<Done>>,
    waker: Arc<Waker>,
}

impl Mailbox {
    /// Leaves something, and wakes the event loop if it does not know yet.
    fn put(&self, done: Done) {
        let mut all = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(done);
        let is_first = all.len() == 1;
        drop(all);
        if is_first && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the event loop could not be woken");
        }
    }

    fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *self.done.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
