//! The end of a waddle: its rooms first, some in each turn of the loop, and then the waddle itself.
//!
//! A crash in between leaves a waddle with fewer rooms, which can be deleted once more.

use std::ops::Bound;

use floe_core::community::CommunityError;
use floe_log::Disk;
use floe_proto::community::{Role, RoomKind};
use floe_proto::{ChannelId, Code, Namespace};
use serde_json::json;

use super::{Desk, Expect, Reactor, Sight, Told};
use crate::shard::{Failure, Ticket};

/// A waddle on its way out.
#[derive(Debug)]
pub struct Ending {
    ticket: Ticket,
    namespace: Namespace,
    /// Full name of its room.
    name: Box<[u8]>,
    /// The last of its rooms that was ended.
    after: Option<ChannelId>,
}

/// Rooms that are ended in one turn.
const ROOMS_STEP: usize = 64;

impl<D: Disk> Reactor<D> {
    /// Begins to delete a waddle, for its owner or an operator.
    pub(super) fn delete_waddle(&mut self, desk: &Desk) -> Result<(), Failure> {
        let (_, sight) = self.look_for_act(desk, false)?;
        if let Sight::Member(role) = sight
            && role < Role::Owner
        {
            let needed = Role::Owner;
            let error = CommunityError::Role { needed };
            return Err(Failure::new(error.code(), error.to_string()));
        }
        self.log_waddle(desk, "delete", json!({ "waddle": desk.id.as_str() }))?;
        let expect = Expect::Waddle(Told::DONE);
        let ticket = self.wait(desk.at, desk.context, Some(Box::new(expect)));
        self.waddles_ending.push_back(Ending {
            ticket,
            namespace: desk.namespace.clone(),
            name: desk.name.clone(),
            after: None,
        });
        Ok(())
    }

    /// Refuses what is asked of a waddle on its way out.
    pub(super) fn check_not_ending(&self, desk: &Desk) -> Result<(), Failure> {
        let mut ending = self.waddles_ending.iter();
        if ending.any(|ending| ending.name == desk.name) {
            return Err(Failure::new(Code::Gone, "the waddle is being deleted"));
        }
        Ok(())
    }

    /// Ends some rooms of waddles that are deleted; what has none any more is deleted itself.
    pub(in crate::reactor) fn end_waddles(&mut self) {
        let Some(mut ending) = self.waddles_ending.pop_front() else {
            return;
        };
        match self.end_rooms(&mut ending) {
            Ok(true) => {
                let now = self.clock.wall;
                self.shard.delete(now, ending.ticket, &ending.name);
            }
            Ok(false) => self.waddles_ending.push_back(ending),
            Err(failure) => self.shard.refuse(ending.ticket, failure),
        }
    }

    /// Ends some rooms of a waddle; returns whether it has no more.
    fn end_rooms(&mut self, ending: &mut Ending) -> Result<bool, Failure> {
        let now = self.clock.wall;
        let slot = self.shard.waddle(now, &ending.name)?;
        let from = ending.after.map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.community(slot)?.rooms();
        let rooms = rooms.range((from, Bound::Unbounded)).take(ROOMS_STEP);
        let rooms: Vec<(ChannelId, RoomKind)> = rooms.map(|(id, room)| (*id, room.kind)).collect();
        for (id, kind) in &rooms {
            self.shard
                .end_waddle_room(now, &ending.namespace, *id, *kind)?;
            ending.after = Some(*id);
        }
        Ok(rooms.len() < ROOMS_STEP)
    }
}
