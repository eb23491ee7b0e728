//! The threads that ask the embedded replica.

use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use floe_proto::table::{Params, TableError};
use floe_proto::{Code, RoomId};
use floe_views::replica::{Batch, EmbeddedFolder, GlobalRows, Mode, ReplicaError, ReplicaReader};
use floe_views::tables::{Rows, RowsSource, SqlLimits};

use super::Mailbox;
use crate::shard::{ReplicaRoom, Ticket};
use crate::tables::Asker;

/// A question about many rooms of one namespace.
#[derive(Debug, Clone, PartialEq)]
pub struct GlobalAsk {
    /// The namespace.
    pub namespace: Box<str>,
    /// The rooms; all of them where it is `None`.
    pub rooms: Option<Vec<Box<str>>>,
    /// The numbers of the rooms, as far as they are there; `None` where all are asked.
    pub ids: Option<Vec<RoomId>>,
    /// Rooms, and how many messages of each the answer must show at least; where it is `None`, the
    /// answer must show all that was visible when it was asked.
    pub least: Option<Vec<(RoomId, u64)>>,
    /// One statement that only reads.
    pub sql: Box<str>,
    /// Its values.
    pub params: Params,
}

/// A question about one room.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomAsk {
    /// Who gets the answer.
    pub asker: Asker,
    /// The room.
    pub room: RoomId,
    /// Its full name.
    pub name: Box<[u8]>,
    /// The namespace it is in.
    pub namespace: Box<str>,
    /// Messages that the answer must show at least.
    pub min_seq: u64,
    /// One statement that only reads.
    pub sql: Box<str>,
    /// Its values.
    pub params: Params,
}

/// A question.
#[derive(Debug)]
pub enum Question {
    /// About many rooms.
    Global(Ticket, GlobalAsk),
    /// About rooms all of whose messages are here, because the replica is away.
    Rooms(Ticket, GlobalAsk, Vec<Whole>),
    /// About one room.
    Room(RoomAsk),
}

/// All messages of a room. They are not read before the thread wants them.
pub struct Whole {
    pub room: ReplicaRoom,
    pub read: Box<dyn Fn() -> io::Result<Vec<u8>> + Send>,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.room).finish()
    }
}

/// A question, and how long it may wait.
#[derive(Debug)]
pub struct Waiting {
    pub question: Question,
    /// What the replica must have before.
    pub needs: Needs,
    /// Uptime at which it waits no longer.
    pub deadline_ms: u64,
    /// Batches that the replica had when it was asked in vain.
    pub tried: Option<u64>,
}

/// What the replica must have before it is asked.
#[derive(Debug)]
pub enum Needs {
    /// All that was visible at a mark.
    Mark(u64),
    /// Messages of rooms.
    Seqs(Vec<(RoomId, u64)>),
    /// Nothing: it is not asked.
    Nothing,
}

/// What the replica says.
#[derive(Debug)]
pub enum Said {
    /// Of many rooms.
    Global(Result<GlobalRows, TableError>),
    /// Of one room.
    Room(Result<Rows, TableError>),
    /// It has fewer messages than the answer must show.
    Behind,
    /// It cannot say; the room can.
    Nothing,
}

/// What came of a question.
#[derive(Debug)]
pub enum Answered {
    /// Of one about many rooms.
    Global(Ticket, Result<GlobalRows, TableError>),
    /// Of one about one room; where the replica has no answer, the room must be asked.
    Room(RoomAsk, Result<Result<Rows, TableError>, Unsaid>),
}

/// Why the replica says nothing of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsaid {
    /// It cannot be asked, or not this.
    Unable,
    /// It had not enough in time.
    Late,
}

/// Threads that answer.
pub const THREADS: usize = 4;
/// How much they leave the CPU to others: as much as can be.
const PRIORITY: i32 = 19;
/// Namespaces that one thread has open.
const OPEN_MAX: usize = 16;

/// Answers questions until the event loop lets go of the queue.
pub fn run(
    folder: &EmbeddedFolder,
    questions: &Mutex<Receiver<(Waiting, Arc<SqlLimits>)>>,
    mailbox: &Mailbox,
) {
    // On Linux this is the thread's own: who writes to a room goes before who asks about many.
    if let Err(error) = rustix::process::setpriority_process(None, PRIORITY) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
    let mut open: HashMap<Box<str>, ReplicaReader> = HashMap::new();
    loop {
        let next = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok((waiting, limits)) = next else {
            return;
        };
        let namespace = match &waiting.question {
            Question::Global(_, ask) => &ask.namespace,
            Question::Room(ask) => &ask.namespace,
            Question::Rooms(_, ask, rooms) => {
                let said = ask_rooms(ask, rooms, &limits);
                mailbox.answer(waiting, said);
                continue;
            }
        };
        if open.len() >= OPEN_MAX && !open.contains_key(namespace) {
            open.clear();
        }
        let reader = open
            .entry(namespace.clone())
            .or_insert_with(|| ReplicaReader::new(folder, namespace));
        let said = match &waiting.question {
            Question::Global(_, ask) => ask_many(reader, ask, &limits),
            Question::Room(ask) => ask_one(reader, ask, &limits),
            Question::Rooms(..) => Said::Nothing,
        };
        mailbox.answer(waiting, said);
    }
}

fn ask_many(reader: &mut ReplicaReader, ask: &GlobalAsk, limits: &SqlLimits) -> Said {
    let rooms: Option<Vec<&str>> = ask
        .rooms
        .as_ref()
        .map(|rooms| rooms.iter().map(|room| &**room).collect());
    let least = ask.least.as_deref().unwrap_or_default();
    match reader.query(rooms.as_deref(), least, &ask.sql, &ask.params, limits) {
        Ok(Some(rows)) => Said::Global(Ok(rows)),
        Ok(None) => Said::Behind,
        Err(error) => Said::Global(Err(error)),
    }
}

/// Makes a replica of the rooms alone, in memory, and asks that.
fn ask_rooms(ask: &GlobalAsk, rooms: &[Whole], limits: &SqlLimits) -> Said {
    let made = rooms
        .iter()
        .map(|whole| (whole.read)())
        .collect::<io::Result<Vec<_>>>()
        .map_err(ReplicaError::from)
        .and_then(|messages| {
            let batches = rooms.iter().zip(&messages);
            let batches = batches.map(|(whole, messages)| Batch {
                room: whole.room.as_ref(),
                kind: whole.room.kind,
                ruled: whole.room.ruled,
                start: whole.room.start + 1,
                first_seq: whole.room.start + 1,
                messages,
                mode: Mode::Add,
            });
            let batches: Vec<_> = batches.collect();
            ReplicaReader::of_rooms(&batches.iter().collect::<Vec<_>>())
        });
    match made {
        Ok(mut reader) => {
            let mut said = ask_many(&mut reader, ask, limits);
            if let Said::Global(Ok(found)) = &mut said {
                found.rows.source = RowsSource::Room;
            }
            said
        }
        Err(error) => {
            tracing::warn!(%error, "rooms could not be asked for the replica");
            let message = "the replica cannot be asked for the moment, nor the rooms for it";
            Said::Global(Err(TableError::new(Code::ReplicaUnavailable, message)))
        }
    }
}

fn ask_one(reader: &mut ReplicaReader, ask: &RoomAsk, limits: &SqlLimits) -> Said {
    match reader.query_room(ask.room, &ask.sql, &ask.params, limits) {
        Ok(Some(rows)) if rows.applied < ask.min_seq => Said::Behind,
        Ok(Some(rows)) => Said::Room(Ok(rows)),
        Ok(None) if ask.min_seq > 0 => Said::Behind,
        Ok(None) => Said::Nothing,
        // A table may be too new for the replica, or the SQL ask what the room alone knows.
        Err(error) if matches!(error.code, Code::SqlRejected | Code::ViewUnavailable) => {
            Said::Nothing
        }
        Err(error) => Said::Room(Err(error)),
    }
}
