//! The look at all rooms, where nobody knows what a replica lacks.

use std::collections::HashSet;

use floe_log::{Disk, DiskFile};
use floe_proto::RoomId;

use super::{Busy, Feed, LOCATE_STEP};
use crate::replica::worker::Task;
use crate::shard::Shard;

/// A look at all rooms.
#[derive(Debug)]
pub struct Walk {
    rooms: Vec<RoomId>,
    at: usize,
    seen: HashSet<RoomId>,
    /// Whether every room could be read, so that what was not seen is not there.
    whole: bool,
    /// The namespace of which the replica is given everything again, whatever it has.
    anew: Option<Box<str>>,
}

impl Walk {
    /// Returns how many rooms there were.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// Returns how many have not been looked at.
    pub fn left(&self) -> usize {
        self.rooms.len() - self.at
    }
}

impl<F: DiskFile + 'static> Feed<F> {
    pub(super) fn begin_walk<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        uptime_ms: u64,
        anew: Option<Box<str>>,
    ) {
        if self.is_known() {
            self.unknown_since_ms = uptime_ms;
        }
        let anew = anew.or_else(|| self.walk.take()?.anew);
        self.walk = Some(Walk {
            rooms: shard.room_ids(),
            at: 0,
            seen: HashSet::new(),
            whole: true,
            anew,
        });
    }

    /// Looks at some of the rooms that have not been looked at.
    pub(super) fn step_walk<D: Disk<File = F>>(
        &mut self,
        shard: &Shard<D>,
        uptime_ms: u64,
    ) -> Option<(Task<F>, Busy)> {
        let wanted = self.wanted;
        let walk = self.walk.as_mut()?;
        if walk.left() == 0 {
            let seen = std::mem::take(&mut walk.seen);
            if walk.whole {
                return Some((Task::Retain(seen), Busy::Retaining));
            }
            self.walk = None;
            return None;
        }
        let end = walk.rooms.len().min(walk.at + LOCATE_STEP);
        let (mut rooms, mut anew) = (Vec::new(), Vec::new());
        for room in &walk.rooms[walk.at..end] {
            match shard.replica_room(*room, None) {
                Ok(Some(there)) if wanted.has(there.kind) => {
                    walk.seen.insert(*room);
                    if walk.anew.as_ref() == Some(&there.namespace) {
                        anew.push(*room);
                    } else {
                        rooms.push(there);
                    }
                }
                Ok(_) => {}
                // It went since the walk began, or nobody can say what it is.
                Err(_) => walk.whole &= !shard.has_room(*room),
            }
        }
        walk.at = end;
        for room in anew {
            if let Some(entry) = self.enter(uptime_ms, room) {
                entry.anew = true;
            }
        }
        (!rooms.is_empty()).then(|| (Task::Locate(rooms.clone()), Busy::Locating(rooms)))
    }
}
