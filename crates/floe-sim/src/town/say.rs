//! What people say in channels, and who may.

use floe_proto::{ChannelId, EventKind, Rights};
use floe_server::shard::{Failure, NewEvent, NewEvents, SlotId, Ticket, waddle_room_name};

use super::act::{Expected, kind};
use super::model::{May, Op, PLACES, USERS};
use super::{End, Town, namespace, waddle_name};

impl Town {
    /// Somebody says something in a channel, member or not.
    pub(super) fn say(&mut self) -> Result<(), End> {
        let text: Vec<_> = self
            .rooms
            .iter()
            .filter(|(.., voice)| !voice)
            .copied()
            .collect();
        if text.is_empty() {
            return Ok(());
        }
        // Mostly in those of late: the older ones are gone.
        let late = text.len().min(6) as u64;
        let (id, place, voice) = text[text.len() - 1 - self.rng.below(late) as usize];
        let user = self.somebody(place);
        let Some(slot) = self.slot(place, Some((id, voice)))? else {
            return Ok(());
        };
        let now = self.now();
        let rights = self.host.shard().waddle_rights(now, slot, user);
        let rights = match rights {
            Ok(rights) => rights.unwrap_or(Rights::NONE),
            Err(failure) => return Err(self.unreadable(&failure)),
        };
        let Some(room) = self.truth.staged().rooms.get(&id).cloned() else {
            return Err(format!("{id} is there, and nobody made it").into());
        };
        self.words += 1;
        let content = format!(
            "{} {}",
            self.words,
            "z".repeat(self.rng.below(300) as usize)
        );
        let may = self.truth.staged().may(place, Some(id), user, self.now);
        let expected = match (room.ended_at, may.write) {
            (Some(_), _) => Expected::Refused("GONE"),
            (None, true) => Expected::Said(room.said.len() as u64 + 1),
            (None, false) => Expected::Refused("FORBIDDEN"),
        };
        let op = matches!(expected, Expected::Said(_)).then(|| Op::Said(id, user, content.clone()));
        let ticket = self.ticket();
        let wish = format!("{user} speaks in {id}");
        self.trace.note(format!("{ticket}: {wish}"));
        let event = NewEvent {
            author_id: user,
            content: Some(&content),
            reply_to: None,
            data: None,
        };
        let new = NewEvents {
            kind: EventKind::Message,
            events: &[event],
            target_seq: None,
            removed: false,
            key: None,
            rights,
        };
        let shard = self.host.shard();
        if let Err(failure) = shard.append_events(now, Ticket(ticket), id, &new) {
            return Err(format!("{wish}: {failure:?}").into());
        }
        self.settle(ticket, wish, expected, op)
    }

    /// Compares what one user may do in one room with what they should.
    pub(super) fn check_rights(&mut self) -> Result<(), End> {
        let (place, user) = (self.place(), self.user());
        let mut rooms = self.rooms.iter().filter(|(_, of, _)| *of == place);
        let room = match self.rng.chance(1, 3) {
            true => None,
            false => rooms.next_back().map(|(id, _, voice)| (*id, *voice)),
        };
        self.check_right(place, room, user)
    }

    /// Compares what everyone may do everywhere with what they should.
    pub(super) fn check_everyones_rights(&mut self) -> Result<(), End> {
        for place in 0..PLACES.len() {
            let rooms = self.rooms.iter().filter(|(_, of, _)| *of == place);
            let rooms = rooms.map(|(id, _, voice)| Some((*id, *voice)));
            let rooms: Vec<_> = rooms.chain([None]).collect();
            for room in rooms {
                for user in USERS {
                    self.check_right(place, room, user)?;
                }
            }
        }
        Ok(())
    }

    fn check_right(
        &mut self,
        place: usize,
        room: Option<(ChannelId, bool)>,
        user: &str,
    ) -> Result<(), End> {
        let Some(slot) = self.slot(place, room)? else {
            return Ok(());
        };
        let now = self.now();
        let rights = match self.host.shard().waddle_rights(now, slot, user) {
            Ok(rights) => rights,
            Err(failure) => return Err(self.unreadable(&failure)),
        };
        let may = rights.map(|rights| May {
            read: rights.contains(Rights::READ),
            write: rights.contains(Rights::APPEND),
            moderate: rights.contains(Rights::DELETE_ANY),
            manage: rights.contains(Rights::MANAGE),
        });
        let id = room.map(|(id, _)| id);
        let wanted = self.truth.staged().may(place, id, user, self.now);
        if may != Some(wanted) {
            let what = format!("{user} may {may:?} in {id:?} of {place}, not {wanted:?}");
            return Err(what.into());
        }
        Ok(())
    }

    /// Finds the room of a waddle, or the waddle's own.
    pub(super) fn slot(
        &mut self,
        place: usize,
        room: Option<(ChannelId, bool)>,
    ) -> Result<Option<SlotId>, End> {
        let now = self.now();
        let found = match room {
            None => match self.host.shard().waddle(now, &waddle_name(place)) {
                Ok(slot) => Ok(Some(slot)),
                Err(failure) if failure.code.as_str() == "NOT_FOUND" => Ok(None),
                Err(failure) => Err(failure),
            },
            Some((id, true)) => {
                let name = waddle_room_name(&namespace(place), id, kind(true));
                self.host.shard().find_voice(now, &name)
            }
            Some((id, false)) => self.host.shard().find_channel(now, id),
        };
        match found {
            Ok(slot) => Ok(slot),
            // A deleted channel whose time has come cannot go before there is space.
            Err(failure)
                if room.is_some_and(|(id, _)| self.may_be_purged(id))
                    && self.host.is_excused(&failure, &mut self.trace)? =>
            {
                Ok(None)
            }
            Err(failure) => Err(self.unreadable(&failure)),
        }
    }

    fn may_be_purged(&self, id: ChannelId) -> bool {
        let room = self.truth.staged().rooms.get(&id);
        room.is_some_and(|room| room.may_be_purged(self.now))
    }

    pub(super) fn unreadable(&mut self, failure: &Failure) -> End {
        self.host.blame(
            &format!("a room cannot be read: {failure:?}"),
            &mut self.trace,
        )
    }
}
