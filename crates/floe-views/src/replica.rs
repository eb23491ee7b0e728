//! Replicas: the rows and events of all rooms, tagged by room, in a database of their own.
//!
//! A [`ReplicaTarget`] is given what became visible in the log, in batches that are applied whole or
//! not at all, together with how far each room has come; so a batch may be handed in again, and a
//! replica itself says where to go on. It holds nothing that the log does not.

mod embedded;
mod error;
mod plan;
mod postgres;
mod query;
#[cfg(test)]
mod suite;

use std::fmt;

use floe_proto::RoomId;

pub use embedded::{Embedded, EmbeddedFolder};
pub use error::ReplicaError;
pub use postgres::{Postgres, is_postgres_url};
pub use query::{GlobalRows, ReplicaReader};

/// A database that holds the rows and events of all rooms.
///
/// Every call may wait for the database, but for no longer than a named time.
pub trait ReplicaTarget: fmt::Debug + Send {
    /// Opens or connects, and makes what is missing.
    ///
    /// # Errors
    /// When it cannot be had now.
    fn open(&mut self) -> Result<(), ReplicaError>;

    /// Looks whether it is still there, and is what was opened.
    ///
    /// # Errors
    /// [`ReplicaError::Lost`] where what it had is gone.
    fn check(&mut self) -> Result<(), ReplicaError>;

    /// Returns how many messages it has of each of these rooms; `None` of a room that it does not
    /// know, or knows by another name.
    ///
    /// # Errors
    /// When it cannot be read.
    fn applied(&mut self, rooms: &[RoomRef<'_>]) -> Result<Vec<Option<u64>>, ReplicaError>;

    /// Applies batches of rooms that are not twice among them; all of one namespace are in the
    /// replica together, or none of them. Messages that it has already are left out.
    ///
    /// # Errors
    /// [`ReplicaError::Gap`] where messages are missing in between. What was applied before the
    /// failure may be there.
    fn apply(&mut self, batches: &[Batch<'_>]) -> Result<Applied, ReplicaError>;

    /// Removes every room that `keep` does not want; returns how many went.
    ///
    /// # Errors
    /// When it cannot be written.
    fn retain(&mut self, keep: &mut dyn FnMut(RoomId) -> bool) -> Result<u64, ReplicaError>;

    /// Returns what [`set_watermark`](Self::set_watermark) noted; 0 where anything may have changed
    /// since, and where nothing can be noted.
    ///
    /// # Errors
    /// When it cannot be read.
    fn watermark(&mut self) -> Result<u64, ReplicaError>;

    /// Notes a number of the host's own, until the next batch.
    ///
    /// # Errors
    /// When it cannot be written.
    fn set_watermark(&mut self, watermark: u64) -> Result<(), ReplicaError>;
}

/// A room as a replica knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomRef<'a> {
    /// The namespace it is in.
    pub namespace: &'a str,
    /// Its number, which is never another room's.
    pub room: RoomId,
    /// Its name: what stands behind `room/`, or the channel's identity.
    pub name: &'a str,
}

/// What the messages of a room say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoomKind {
    /// Changes of rows and tables ([`floe_proto::table::Change`]).
    Tables,
    /// Events of a channel ([`floe_proto::Event`]).
    Channel,
}

/// What became visible of one room.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// The room.
    pub room: RoomRef<'a>,
    /// What its messages say.
    pub kind: RoomKind,
    /// Whether it has rules of its own about who may read it.
    pub ruled: bool,
    /// Number of the oldest message that is kept, from 1.
    pub start: u64,
    /// Number of the first message in `messages`, from 1.
    pub first_seq: u64,
    /// Messages as they lie in the log: the JSON of each, and a comma after it.
    pub messages: &'a [u8],
    /// What becomes of what the replica has of the room.
    pub mode: Mode,
}

/// What becomes of what a replica has of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The messages are added.
    Add,
    /// It is forgotten, and the messages are the first.
    Anew,
    /// It is forgotten, and the room with it.
    Remove,
}

/// What a call of [`ReplicaTarget::apply`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Messages that the replica did not have.
    pub messages: u64,
    /// Messages that it had already.
    pub repeated: u64,
    /// Messages that this program does not understand and left out.
    pub unknown: u64,
}

impl std::ops::AddAssign for Applied {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.repeated += other.repeated;
        self.unknown += other.unknown;
    }
}
