//! What replicas do not have yet: which rooms moved, and their messages once they are asked for.

use floe_log::{ColdWant, Disk, DiskFile, Part, ReadError};
use floe_proto::{ChannelId, Namespace, RoomId, table};
use floe_views::replica::{RoomKind, RoomRef};

use super::{Failure, NAMESPACE, Shard, SlotId};

/// Which rooms a replica is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replicated {
    /// Rooms with tables.
    pub tables: bool,
    /// Channels.
    pub channels: bool,
}

/// A room that moved, or went.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The room.
    pub room: RoomId,
    /// What its messages say.
    pub kind: RoomKind,
    /// Where it is loaded, if it still is.
    pub slot: SlotId,
    /// What it was, if it is gone for good.
    pub gone: Option<ReplicaRoom>,
}

/// A room as a replica is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRoom {
    /// Its number.
    pub room: RoomId,
    /// The namespace it is in.
    pub namespace: Box<str>,
    /// Its name: what stands behind `room/`, or the channel's identity.
    pub name: Box<str>,
    /// What its messages say.
    pub kind: RoomKind,
    /// Whether it has rules of its own about who may read it.
    pub ruled: bool,
    /// Messages before the oldest that is kept.
    pub start: u64,
    /// Messages there are, as far as everyone may see.
    pub tail: u64,
}

impl ReplicaRoom {
    /// Returns it as a replica names it.
    pub fn as_ref(&self) -> RoomRef<'_> {
        RoomRef {
            namespace: &self.namespace,
            room: self.room,
            name: &self.name,
        }
    }
}

/// Messages of a room.
#[derive(Debug)]
pub struct Messages<F> {
    parts: Vec<Part<F>>,
    /// Their bytes.
    pub bytes: u64,
    /// Number of the newest.
    pub end: u64,
}

impl<F: DiskFile> Messages<F> {
    /// Reads them: their JSON, each followed by a comma.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::with_capacity(self.bytes as usize);
        super::fetch::read_parts(&self.parts, &mut all)?;
        Ok(all)
    }
}

impl Replicated {
    /// Returns whether rooms with such messages are among them.
    pub const fn has(self, kind: RoomKind) -> bool {
        match kind {
            RoomKind::Tables => self.tables,
            RoomKind::Channel => self.channels,
        }
    }

    fn kind(self, name: &[u8], is_channel: bool) -> Option<RoomKind> {
        if self.channels && is_channel {
            Some(RoomKind::Channel)
        } else if self.tables && super::is_table_room(name) {
            Some(RoomKind::Tables)
        } else {
            None
        }
    }
}

impl<D: Disk> Shard<D> {
    /// Begins to note which rooms moved, for replicas.
    pub fn note_for_replicas(&mut self, replicated: Replicated) {
        self.replicated = replicated;
    }

    /// Takes the rooms that moved since the last call, in the order of the log.
    pub fn take_moved(&mut self) -> Vec<Moved> {
        std::mem::take(&mut self.moved)
    }

    /// Notes that a room moved, if a replica is told of it.
    pub(super) fn note_moved(&mut self, id: SlotId, gone: bool) {
        if self.replicated == Replicated::default() {
            return;
        }
        let room = &self.slots[id.0 as usize].room;
        let kind = self.replicated.kind(room.name(), room.channel().is_some());
        let Some(kind) = kind else {
            return;
        };
        let gone = gone.then(|| self.describe_replicated(room)).flatten();
        let room = room.id();
        let repeats = gone.is_none()
            && self
                .moved
                .last()
                .is_some_and(|last| last.room == room && last.gone.is_none());
        if !repeats {
            self.moved.push(Moved {
                room,
                kind,
                slot: id,
                gone,
            });
        }
    }

    /// Returns what a replica is told of a room, which may be loaded at `hint`; `None` where there is
    /// no such room, or none that it is told of.
    ///
    /// # Errors
    /// When the room's state cannot be read.
    pub fn replica_room(
        &self,
        room: RoomId,
        hint: Option<SlotId>,
    ) -> Result<Option<ReplicaRoom>, Failure> {
        let is_there = |id: &SlotId| {
            let slot = self.slots.get(id.0 as usize);
            slot.is_some_and(|slot| slot.room.id() == room)
        };
        let at = |id: SlotId| {
            let slot = &self.slots[id.0 as usize];
            let is_gone = slot.gone || slot.room.is_gone();
            if is_gone {
                None
            } else {
                self.describe_replicated(&slot.room)
            }
        };
        if let Some(id) = hint.filter(is_there) {
            return Ok(at(id));
        }
        if self.log.end(room).is_none() {
            return Ok(None);
        }
        let state = self.load_state(room)?;
        let hash = self.log.hash(NAMESPACE, state.name());
        if let Some(id) = self.names.get(&hash).copied().filter(is_there) {
            return Ok(at(id));
        }
        if state.is_gone() {
            return Ok(None);
        }
        // What is not loaded has nothing in flight: all of it is durable.
        Ok(self.describe_replicated(&state))
    }

    fn describe_replicated(&self, room: &floe_core::Room) -> Option<ReplicaRoom> {
        let kind = self
            .replicated
            .kind(room.name(), room.channel().is_some())?;
        let (namespace, path) = Namespace::split(room.name());
        let (namespace, name) = match kind {
            RoomKind::Tables => {
                let name = path.strip_prefix(table::ROOMS.as_bytes())?;
                (namespace.into(), std::str::from_utf8(name).ok()?.into())
            }
            RoomKind::Channel => {
                let name = ChannelId::of_room(path)?.to_string();
                (room.channel_meta()?.owner, name.into())
            }
        };
        Some(ReplicaRoom {
            room: room.id(),
            namespace,
            name,
            kind,
            ruled: room.access().is_some(),
            start: room.start(),
            tail: room.visible().tail,
        })
    }

    /// Reads messages of a room for a replica: about `bytes_max` bytes, but at least one message.
    ///
    /// # Errors
    /// What must be fetched first, which is asked for on the way; `None` where the messages are
    /// damaged or gone.
    pub fn read_for_replica(
        &mut self,
        room: RoomId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Messages<D::File>, Option<ColdWant>> {
        if from >= to {
            return Ok(Messages {
                parts: Vec::new(),
                bytes: 0,
                end: from,
            });
        }
        match self.log.read(room, from, to, bytes_max) {
            Ok(chunk) => Ok(Messages {
                bytes: chunk.parts.iter().map(super::fetch::part_len).sum(),
                parts: chunk.parts,
                end: chunk.next,
            }),
            Err(ReadError::Cold(want)) => {
                self.want_cold(want);
                Err(Some(want))
            }
            Err(error) => {
                // Damage is reported to whoever reads; a replica goes on with what there is.
                tracing::error!(%error, "a replica could not be given a room's messages");
                Err(None)
            }
        }
    }
}
