//! Channels and voice rooms of a waddle.

use floe_core::channel::{ChannelSettings, NewChannel};
use floe_core::community::{Act, CommunityError};
use floe_log::Disk;
use floe_proto::community::{CommunityRoom, RoomKind};
use floe_proto::{ChannelId, Rights};
use floe_surfaces::community::http::{self, NewRoom, RoomChange};
use serde_json::json;

use super::acts::{Meant, Shown};
use super::{Desk, Reactor, Sight, Told};
use crate::reactor::channels::new_secret;
use crate::shard::{Deed, Failure, SlotId, waddle_room_name};

impl<D: Disk> Reactor<D> {
    /// Answers with the rooms that the caller may read.
    pub(super) fn list_rooms(&mut self, desk: &Desk) -> Result<(), Failure> {
        let (slot, sight) = self.see_waddle(desk)?;
        let rooms = self.readable_rooms(desk, slot, sight)?;
        let shown = rooms.iter().map(|(id, room)| http::room_json(*id, room));
        let body = http::rooms_json(shown.collect());
        self.tell_of_waddle(desk, &body);
        Ok(())
    }

    /// Returns the rooms that the caller may read now, ascending by identity.
    pub(super) fn readable_rooms(
        &self,
        desk: &Desk,
        slot: SlotId,
        sight: Sight,
    ) -> Result<Vec<(ChannelId, CommunityRoom)>, Failure> {
        let now = self.clock.wall;
        let community = self.community(slot)?;
        let may_read = |id: ChannelId| match (sight, desk.user()) {
            (Sight::All, _) => true,
            (Sight::Member(_), Some(user)) => {
                let rights = community.rights(user, Some(id), now);
                rights.contains(Rights::READ)
            }
            (Sight::Member(_), None) | (Sight::Outside, _) => false,
        };
        let rooms = community.rooms().iter().filter(|(id, _)| may_read(**id));
        Ok(rooms.map(|(id, room)| (*id, room.clone())).collect())
    }

    /// Answers with one room.
    pub(super) fn describe_room(&mut self, desk: &Desk, id: ChannelId) -> Result<(), Failure> {
        let (slot, sight) = self.see_waddle(desk)?;
        let rooms = self.readable_rooms(desk, slot, sight)?;
        let room = rooms.iter().find(|(room, _)| *room == id);
        let (_, room) = room.ok_or_else(no_room)?;
        self.tell_of_waddle(desk, &http::room_json(id, room));
        Ok(())
    }

    /// Makes a room: its own record first, since a room that its waddle does not know is nobody's,
    /// while one that it knows must be there.
    pub(super) fn create_room(&mut self, desk: &Desk, new: NewRoom) -> Result<(), Failure> {
        let (slot, _) = self.look_for_act(desk, false)?;
        let id = ChannelId(self.random_bytes());
        let now = self.clock.wall;
        let room = CommunityRoom {
            kind: new.kind,
            name: new.name,
            read: new.read,
            write: new.write,
            created_at: now,
            participants_max: new.participants_max,
        };
        let act = Act::Room {
            id,
            room: Some(room.clone()),
            is_new: true,
        };
        let deed = Deed {
            act: &act,
            by: desk.by(),
            reason: None,
        };
        self.shard.would_act(now, &desk.name, &deed)?;
        let channel = match new.kind {
            RoomKind::Voice => None,
            RoomKind::Text => {
                let settled = self.settings_of(&desk.namespace);
                Some(NewChannel {
                    id,
                    name: room.name.clone(),
                    owner: desk.namespace.as_str().into(),
                    secret: new_secret(&self.random_bytes::<32>()),
                    settings: ChannelSettings {
                        retention: settled.map(|settled| settled.retention).unwrap_or_default(),
                        ..ChannelSettings::default()
                    },
                })
            }
        };
        let name = waddle_room_name(&desk.namespace, id, new.kind);
        self.shard
            .stage_waddle_room(now, &name, &desk.id, channel)?;
        let target = json!({
            "waddle": desk.id.as_str(),
            "channel": id.to_string(),
            "kind": room.kind,
            "name": room.name,
            "read": room.read,
            "write": room.write,
        });
        let meant = Meant {
            word: "room.create",
            act,
            reason: None,
            target,
            shown: Shown::Given(Told::json(201, &http::room_json(id, &room))),
        };
        self.do_act(desk, slot, meant)
    }

    /// Changes a room: its name, or the least roles that read and write there.
    pub(super) fn change_room(
        &mut self,
        desk: &Desk,
        id: ChannelId,
        change: RoomChange,
    ) -> Result<(), Failure> {
        let (slot, _) = self.look_for_act(desk, false)?;
        let before = self.community(slot)?.rooms().get(&id);
        let before = before.ok_or_else(no_room)?;
        let room = CommunityRoom {
            name: change.name.unwrap_or_else(|| before.name.clone()),
            read: change.read.unwrap_or(before.read),
            write: change.write.unwrap_or(before.write),
            participants_max: change.participants_max.unwrap_or(before.participants_max),
            ..before.clone()
        };
        let target = json!({
            "waddle": desk.id.as_str(),
            "channel": id.to_string(),
            "name": room.name,
            "read": room.read,
            "write": room.write,
            "participantsMax": room.participants_max,
        });
        let meant = Meant {
            word: "room.change",
            reason: None,
            target,
            shown: Shown::Given(Told::json(200, &http::room_json(id, &room))),
            act: Act::Room {
                id,
                room: Some(room),
                is_new: false,
            },
        };
        self.do_act(desk, slot, meant)
    }

    /// Takes a room away. Its own end comes first, so that a crash between the two leaves a room of
    /// the waddle that can be taken away once more.
    pub(super) fn delete_room(&mut self, desk: &Desk, id: ChannelId) -> Result<(), Failure> {
        let (slot, _) = self.look_for_act(desk, false)?;
        let now = self.clock.wall;
        let act = Act::Room {
            id,
            room: None,
            is_new: false,
        };
        let deed = Deed {
            act: &act,
            by: desk.by(),
            reason: None,
        };
        self.shard.would_act(now, &desk.name, &deed)?;
        let room = self.community(slot)?.rooms().get(&id);
        let kind = room.ok_or_else(no_room)?.kind;
        self.shard.end_waddle_room(now, &desk.namespace, id, kind)?;
        let target = json!({ "waddle": desk.id.as_str(), "channel": id.to_string() });
        let meant = Meant {
            word: "room.delete",
            act,
            reason: None,
            target,
            shown: Shown::Nothing,
        };
        self.do_act(desk, slot, meant)
    }
}

fn no_room() -> Failure {
    let error = CommunityError::NoSuchRoom;
    Failure::new(error.code(), error.to_string())
}
