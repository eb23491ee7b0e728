//! Keeps the directory of namespaces, API keys and revocations: stores it, and lets answers leave
//! once what they tell of is durable.
//!
//! Each drawer of the directory is the value of one room, `__ds/directory/<number>`.

mod clearing;

use std::collections::VecDeque;
use std::io;

use floe_core::directory::{Command, Directory, Drawer, Limits};
use floe_log::{Disk, Lsn};
use floe_proto::{ChannelId, Code, Millis, Namespace, RoomId};
use serde_json::Value;

use self::clearing::Clearing;
use crate::shard::{AUDIT, Failure, REGISTRY, Shard, Ticket, is_internal};

pub use self::clearing::Cleared;

/// What came of an act.
#[derive(Debug)]
pub enum Outcome {
    /// It is done; status and body of the answer.
    Done(u16, Value),
    /// It is done, and there is nothing to say.
    Deleted,
    /// It was refused.
    Failed(Failure),
    /// No room lies in the namespace, which can be deleted now.
    Empty(Box<Deletion>),
}

/// The host's side of the directory.
#[derive(Debug)]
pub struct DirectoryHost {
    directory: Directory,
    /// Answers that leave once everything is stored.
    waiting: Vec<(Ticket, Outcome)>,
    /// Answers that leave once the log is durable up to a position.
    held: VecDeque<(Lsn, Ticket, Outcome)>,
    /// End of the newest change.
    changed_until: Lsn,
    walks: VecDeque<Walk>,
    /// The namespace that is on its way out; others that are marked have their turn after it.
    clearing: Option<Clearing>,
    /// Those who wait until a namespace is gone.
    awaiting: Vec<(Namespace, Ticket)>,
}

/// The wish to delete a namespace, while its rooms are looked for.
#[derive(Debug)]
pub struct Deletion {
    /// Which.
    pub namespace: Namespace,
    /// What the audit log says of it.
    pub audit: Value,
}

#[derive(Debug)]
struct Walk {
    ticket: Ticket,
    deletion: Box<Deletion>,
    rooms: Vec<RoomId>,
    at: usize,
    /// The newest room that was looked at.
    seen: Option<RoomId>,
}

const ROOM: &str = "__ds/directory";
/// Drawers stored in one turn.
const STORE_STEP: usize = 16;
/// Rooms looked at in one turn of a walk.
const WALK_STEP: usize = 512;
/// Namespaces at once whose rooms are looked for. Above: 503 `OVERLOADED`.
const WALKS_MAX: usize = 16;

impl DirectoryHost {
    /// Takes up the directory that the log holds.
    ///
    /// # Errors
    /// When the log cannot be read, or holds what this version does not understand.
    pub fn open<D: Disk>(shard: &mut Shard<D>, now: Millis) -> io::Result<Self> {
        let mut directory = Directory::new(Limits::default());
        for drawer in Drawer::all() {
            let value = shard.value(now, &room_of(drawer));
            let value = value.map_err(|failure| io::Error::other(failure.message))?;
            if let Some(value) = value {
                let number = drawer.number();
                directory.restore(&value).ok_or_else(|| {
                    io::Error::other(format!("drawer {number} of the directory does not decode"))
                })?;
            }
        }
        Ok(Self {
            directory,
            waiting: Vec::new(),
            held: VecDeque::new(),
            changed_until: Lsn::default(),
            walks: VecDeque::new(),
            clearing: None,
            awaiting: Vec::new(),
        })
    }

    /// Returns the directory.
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Notes that a key was used.
    pub fn note_used(&mut self, now: Millis, id: &str) {
        self.directory.note_used(now, id);
    }

    /// Applies a command that was decided.
    pub fn apply(&mut self, now: Millis, command: Command) {
        self.directory.apply(now, command);
    }

    /// Lets an answer leave once everything that was changed is durable.
    pub fn answer(&mut self, ticket: Ticket, outcome: Outcome) {
        self.waiting.push((ticket, outcome));
    }

    /// Returns whether something that was changed is not durable yet.
    pub fn is_ahead(&self, durable: Lsn) -> bool {
        !self.directory.is_stored() || self.changed_until > durable
    }

    /// Returns whether [`turn`](Self::turn) or [`clear`](Self::clear) has something to do at once.
    pub fn is_busy(&self, durable: Lsn, now: Millis) -> bool {
        let clears = match &self.clearing {
            Some(clearing) => clearing.is_busy(durable, now),
            None => self.directory.deleting().is_some(),
        };
        let clears = clears && !self.is_ahead(durable);
        clears || !self.walks.is_empty() || !self.directory.is_stored()
    }

    /// Lets an answer leave once a namespace that is being deleted is gone.
    pub fn await_end(&mut self, namespace: Namespace, ticket: Ticket) {
        self.awaiting.push((namespace, ticket));
    }

    /// Goes on with the deletion of namespaces that are marked, once the mark is durable; returns
    /// the one of which nothing is left in the log, until it is forgotten.
    pub fn clear<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        forget_subscriptions: impl FnOnce(&mut Shard<D>, &Namespace) -> Result<(), Failure>,
    ) -> Option<Cleared<'_>> {
        if self.is_ahead(shard.durable()) {
            return None;
        }
        let clearing = match &mut self.clearing {
            Some(clearing) => clearing,
            none @ None => {
                let namespace = self.directory.deleting()?;
                none.insert(Clearing::new(namespace.clone()))
            }
        };
        clearing.turn(shard, now, forget_subscriptions)
    }

    /// Answers those who wait for a namespace that was forgotten.
    pub fn end_clearing(&mut self, namespace: &Namespace) {
        self.clearing
            .take_if(|clearing| clearing.namespace() == namespace);
        let gone = self.awaiting.extract_if(.., |(name, _)| name == namespace);
        let answers = gone.map(|(_, ticket)| (ticket, Outcome::Deleted));
        self.waiting.extend(answers);
    }

    /// Looks for rooms in a namespace before it is deleted.
    ///
    /// # Errors
    /// When too many are looked for already.
    pub fn empty<D: Disk>(
        &mut self,
        shard: &Shard<D>,
        ticket: Ticket,
        deletion: Box<Deletion>,
    ) -> Result<(), Failure> {
        if self.walks.len() >= WALKS_MAX {
            let message = "too many namespaces are being deleted";
            return Err(Failure::new(Code::Overloaded, message));
        }
        self.walks.push_back(Walk {
            ticket,
            deletion,
            rooms: shard.room_ids(),
            at: 0,
            seen: None,
        });
        Ok(())
    }

    /// Does what can be done now; returns the answers that may leave.
    pub fn turn<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> Vec<(Ticket, Outcome)> {
        self.directory.tick(now);
        self.store(shard, now);
        let mut ready = Vec::new();
        ready.extend(self.walk(shard));
        if self.directory.is_stored() {
            let until = shard.staged();
            let waiting = self.waiting.drain(..);
            self.held
                .extend(waiting.map(|(ticket, outcome)| (until, ticket, outcome)));
        }
        while self
            .held
            .front()
            .is_some_and(|(until, ..)| *until <= shard.durable())
        {
            let first = self.held.pop_front();
            ready.extend(first.map(|(_, ticket, outcome)| (ticket, outcome)));
        }
        ready
    }

    fn store<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) {
        for _ in 0..STORE_STEP {
            let Some((drawer, bytes)) = self.directory.poll_unstored() else {
                return;
            };
            if let Err(failure) = shard.set_value(now, &room_of(drawer), &bytes) {
                let code = failure.code.as_str();
                tracing::warn!(code, "a change of access waits to be stored");
                return self.directory.store_again(drawer);
            }
            self.changed_until = shard.staged();
        }
    }

    /// Goes on with the first walk; returns its end.
    fn walk<D: Disk>(&mut self, shard: &Shard<D>) -> Option<(Ticket, Outcome)> {
        let walk = self.walks.front_mut()?;
        let end = walk.rooms.len().min(walk.at + WALK_STEP);
        let namespace = walk.deletion.namespace.as_str();
        let mut steps = walk.rooms[walk.at..end].iter();
        let found = steps.any(|room| is_in(shard, *room, namespace));
        walk.at = end;
        walk.seen = walk.seen.max(walk.rooms[..end].last().copied());
        if !found && end < walk.rooms.len() {
            return None;
        }
        if !found {
            // Rooms have come meanwhile: they are looked at, too.
            let newer = shard.room_ids().into_iter();
            walk.rooms = newer.filter(|room| Some(*room) > walk.seen).collect();
            walk.at = 0;
            if !walk.rooms.is_empty() {
                return None;
            }
        }
        let walk = self.walks.pop_front()?;
        if found {
            let message = "the namespace has rooms; delete them first";
            let failure = Failure::new(Code::Exists, message);
            return Some((walk.ticket, Outcome::Failed(failure)));
        }
        Some((walk.ticket, Outcome::Empty(walk.deletion)))
    }
}

/// Returns whether somebody's room lies in a namespace.
fn is_in<D: Disk>(shard: &Shard<D>, room: RoomId, namespace: &str) -> bool {
    let Some((name, owner)) = shard.name_and_owner(room) else {
        return false;
    };
    let (lies_in, path) = Namespace::split(&name);
    let lies_in = if ChannelId::of_room(path).is_some() {
        owner.as_deref().unwrap_or_default()
    } else {
        lies_in
    };
    lies_in == namespace && path != REGISTRY && path != AUDIT && !is_internal(&name)
}

fn room_of(drawer: Drawer) -> Vec<u8> {
    format!("{ROOM}/{:02x}", drawer.number()).into_bytes()
}
