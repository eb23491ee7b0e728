//! The threads that ask the embedded replica about many rooms.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

use floe_proto::table::{Params, TableError};
use floe_views::replica::{EmbeddedFolder, GlobalRows, ReplicaReader};
use floe_views::tables::SqlLimits;

use super::Mailbox;
use crate::shard::Ticket;

/// A question about many rooms of one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAsk {
    /// The namespace.
    pub namespace: Box<str>,
    /// The rooms; all of them where it is `None`.
    pub rooms: Option<Vec<Box<str>>>,
    /// One statement that only reads.
    pub sql: Box<str>,
    /// Its values.
    pub params: Params,
}

/// A question on its way to a thread.
#[derive(Debug)]
pub struct Question {
    pub ticket: Ticket,
    pub ask: GlobalAsk,
}

/// What came of a question.
#[derive(Debug)]
pub struct Answered {
    pub ticket: Ticket,
    pub outcome: Result<GlobalRows, TableError>,
}

/// Threads that answer.
pub const THREADS: usize = 4;
/// How much they leave the CPU to others: as much as can be.
const PRIORITY: i32 = 19;
/// Namespaces that one thread has open.
const OPEN_MAX: usize = 16;

/// Answers questions until the event loop lets go of the queue.
pub fn run(folder: &EmbeddedFolder, questions: &Mutex<Receiver<Question>>, mailbox: &Mailbox) {
    // On Linux this is the thread's own: who writes to a room goes before who asks about many.
    if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
    let limits = SqlLimits::default();
    let mut open: HashMap<Box<str>, ReplicaReader> = HashMap::new();
    loop {
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(Question { ticket, ask }) = next else {
            return;
        };
        if open.len() >= OPEN_MAX && !open.contains_key(&ask.namespace) {
            open.clear();
        }
        let reader = open
            .entry(ask.namespace.clone())
            .or_insert_with(|| ReplicaReader::new(folder, &ask.namespace));
        let rooms: Option<Vec<&str>> = ask
            .rooms
            .as_ref()
            .map(|rooms| rooms.iter().map(|room| &**room).collect());
        let outcome = reader.query(rooms.as_deref(), &ask.sql, &ask.params, &limits);
        mailbox.answer(Answered { ticket, outcome });
    }
}
