//! What people want, and what they are answered.

use floe_core::channel::{ChannelSettings, NewChannel, Secret};
use floe_core::community::{Act, By as Doer};
use floe_proto::community::{About, CommunityRoom, Policy, Role, RoomKind};
use floe_proto::{ChannelId, Millis};
use floe_server::shard::{Deed, Failure, Reply, Ticket, waddle_room_name};

use super::model::{By, Change, Entry, OWNER, Op, PLACES, Waddle, Wish};
use super::{End, Town, namespace, waddle_id, waddle_name};

/// Something that was asked and is not answered yet.
#[derive(Debug)]
pub struct Asked {
    /// In words.
    pub wish: String,
    /// What must be answered.
    pub expected: Expected,
    /// All up to this is durable once it is answered.
    pub tells: u64,
}

/// What must be answered.
#[derive(Debug)]
pub enum Expected {
    /// An act, with the last message of it and how many there are.
    Acted(&'static str, u64, usize),
    /// What is said has this place.
    Said(u64),
    /// The waddle is gone.
    Ended,
    /// It is refused with this code.
    Refused(&'static str),
}

impl Expected {
    /// Compares it with an answer.
    pub fn check(&self, reply: &Reply) -> Result<(), String> {
        let is_it = match (self, reply) {
            (Self::Acted(_, seq, count), Reply::Acted(acted)) => {
                (*seq, *count) == (acted.seq, acted.changes.len())
            }
            (Self::Said(seq), Reply::Events(said)) => said.first_seq == *seq && !said.duplicate,
            (Self::Ended, Reply::Deleted) => true,
            (Self::Refused(code), Reply::Failed(failure)) => failure.code.as_str() == *code,
            _ => false,
        };
        match is_it {
            true => Ok(()),
            false => Err(format!("it should be {self:?}")),
        }
    }

    /// Returns a word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Acted(_, _, 0) => "no change",
            Self::Acted(word, ..) => word,
            Self::Said(_) => "said",
            Self::Ended => "waddle ended",
            Self::Refused(_) => "refused",
        }
    }
}

impl Town {
    /// Somebody wants something of a waddle.
    pub(super) fn act(&mut self) -> Result<(), End> {
        let place = self.place();
        if self.truth.staged().waddles.contains_key(&place) && !self.rng.chance(1, 40) {
            let wish = self.wish(place);
            let by = match self.rng.below(12) {
                _ if matches!(wish, Wish::Join) => Some(self.user()),
                0 | 1 => None,
                2..7 => Some(self.owner(place)),
                _ => Some(self.somebody(place)),
            };
            return self.do_act(place, by, &wish);
        }
        self.found(place)
    }

    fn found(&mut self, place: usize) -> Result<(), End> {
        let owner = self.user();
        let invite = self.rng.chance(1, 4);
        let waddle = Waddle::of(PLACES[place].1, invite, owner, self.now);
        let is_there = self.truth.staged().waddles.contains_key(&place);
        let expected = match is_there {
            true => Expected::Refused("EXISTS"),
            false => Expected::Acted("founded", waddle.told, 2),
        };
        let about = about(&waddle.name, invite);
        let (now, ticket) = (self.now(), self.ticket());
        let wish = format!("{owner} founds {place}");
        self.trace.note(format!("{ticket}: {wish}"));
        let name = waddle_name(place);
        self.host
            .shard()
            .create_waddle(now, Ticket(ticket), &name, about, owner);
        let op = (!is_there).then_some(Op::Founded(place, waddle));
        self.settle(ticket, wish, expected, op)
    }

    /// Does something as the server's loop does it: a room of its own before the waddle knows it, and
    /// its end before the waddle knows it no more.
    fn do_act(&mut self, place: usize, by: By, wish: &Wish) -> Result<(), End> {
        let waddle = &self.truth.staged().waddles[&place];
        let verdict = waddle.judge(wish, by, self.now, &self.bounds);
        let told = waddle.told;
        if let (Wish::Room { id, entry, is_new }, Ok(changes)) = (wish, &verdict)
            && !changes.is_empty()
        {
            let before = waddle.rooms.get(id).map(|entry| entry.voice);
            let made = match (entry, is_new) {
                (Some(entry), true) => self.make_room(place, *id, entry),
                (Some(_), false) => Ok(()),
                (None, _) => self.end_room(place, *id, before.unwrap_or_default()),
            };
            if let Err(failure) = made {
                self.count("want of space");
                return self.excuse(&failure, "a room");
            }
        }
        let act = act_of(wish);
        let deed = Deed {
            act: &act,
            by: Doer {
                user: by,
                is_operator: by.is_none(),
            },
            reason: None,
        };
        let (now, ticket) = (self.now(), self.ticket());
        let text = format!("in {place} {by:?} wants {wish:?}");
        self.trace.note(format!("{ticket}: {text}"));
        let name = waddle_name(place);
        let acted = self.host.shard().act(now, Ticket(ticket), &name, &deed);
        let changes = verdict.as_ref().map_or(0, Vec::len);
        if let Some(acted) = &acted
            && acted.changes.len() != changes
        {
            return Err(format!("{text} changes {:?}, not {verdict:?}", acted.changes).into());
        }
        let expected = match &verdict {
            Ok(changes) => {
                let count = changes.len();
                Expected::Acted(word_of(wish), told + count as u64, count)
            }
            Err(code) => Expected::Refused(code),
        };
        let changes = verdict.ok().filter(|changes| !changes.is_empty());
        let op = changes.map(|changes: Vec<Change>| Op::Acted(place, changes));
        self.settle(ticket, text, expected, op)
    }

    /// Notes what must come of something that was asked, unless the server has no space for it.
    pub(super) fn settle(
        &mut self,
        ticket: u64,
        wish: String,
        expected: Expected,
        op: Option<Op>,
    ) -> Result<(), End> {
        // What is answered at once was decided without the disk.
        let mut at_once = None;
        while let Some((other, reply)) = self.host.shard().poll_reply() {
            match other.0 == ticket {
                true => at_once = Some(reply),
                false => self.answered(other.0, &reply)?,
            }
        }
        match &at_once {
            Some(Reply::Failed(failure)) if self.host.is_excused(failure, &mut self.trace)? => {
                self.trace.note(format!("{ticket} finds no space"));
                self.count("want of space");
                return Ok(());
            }
            Some(reply) if op.is_some() => {
                let what = format!("{wish} is answered {reply:?} before it can be durable");
                return Err(what.into());
            }
            Some(_) | None => {}
        }
        let tells = match (op, &expected) {
            (Some(op), _) => self.truth.add(op),
            // How much there is of something is no secret that must be durable.
            (None, Expected::Refused("LIMIT_REACHED")) => 0,
            (None, Expected::Refused(_)) => self.truth.count(),
            // What was so before was told to others, or will be first.
            (None, _) => 0,
        };
        let asked = Asked {
            wish,
            expected,
            tells,
        };
        self.asked.insert(ticket, asked);
        if let Some(reply) = at_once {
            self.answered(ticket, &reply)?;
        }
        Ok(())
    }

    fn excuse(&mut self, failure: &Failure, what: &str) -> Result<(), End> {
        match self.host.is_excused(failure, &mut self.trace)? {
            true => Ok(()),
            false => Err(format!("{what}: {failure:?}").into()),
        }
    }

    fn make_room(&mut self, place: usize, id: ChannelId, entry: &Entry) -> Result<(), Failure> {
        let channel = (!entry.voice).then(|| NewChannel {
            id,
            name: entry.name.as_str().into(),
            owner: namespace(place).as_str().into(),
            secret: Secret::new("s"),
            settings: ChannelSettings::default(),
        });
        let name = waddle_room_name(&namespace(place), id, kind(entry.voice));
        let now = self.now();
        let waddle = waddle_id(place);
        let shard = self.host.shard();
        shard.stage_waddle_room(now, &name, &waddle, channel)?;
        self.truth.add(Op::RoomMade(id, place));
        self.rooms.push((id, place, entry.voice));
        Ok(())
    }

    /// Ends a room; one that is ended already stays so.
    fn end_room(&mut self, place: usize, id: ChannelId, voice: bool) -> Result<(), Failure> {
        let now = self.now();
        let shard = self.host.shard();
        shard.end_waddle_room(now, &namespace(place), id, kind(voice))?;
        let room = self.truth.staged().rooms.get(&id);
        if room.is_some_and(|room| room.ended_at.is_none()) {
            self.truth.add(Op::RoomEnded(id, self.now, voice));
        }
        Ok(())
    }

    /// The end of a waddle: its rooms first, then the waddle itself.
    pub(super) fn end_waddle(&mut self) -> Result<(), End> {
        let place = self.place();
        let Some(waddle) = self.truth.staged().waddles.get(&place) else {
            return Ok(());
        };
        let rooms: Vec<_> = waddle
            .rooms
            .iter()
            .map(|(id, entry)| (*id, entry.voice))
            .collect();
        for (id, voice) in rooms {
            if let Err(failure) = self.end_room(place, id, voice) {
                return self.excuse(&failure, "the end of a room");
            }
        }
        let (now, ticket) = (self.now(), self.ticket());
        let wish = format!("the end of {place}");
        self.trace.note(format!("{ticket}: {wish}"));
        let name = waddle_name(place);
        self.host.shard().delete(now, Ticket(ticket), &name);
        self.settle(ticket, wish, Expected::Ended, Some(Op::Ended(place)))
    }

    /// Draws something that somebody may want.
    fn wish(&mut self, place: usize) -> Wish {
        let user = self.somebody(place);
        let role = 1 + self.rng.below(u64::from(OWNER)) as u8;
        match self.rng.below(20) {
            0 => Wish::About(format!("w{}", self.rng.below(3)), self.rng.chance(1, 3)),
            1..6 => Wish::Join,
            6 => Wish::Leave,
            7 | 8 => Wish::Add(user, role),
            9..11 => Wish::Role(user, role),
            11 => Wish::Kick(user),
            12..14 => {
                let reason = self
                    .rng
                    .chance(1, 2)
                    .then(|| format!("because {}", self.now));
                Wish::Ban(user, self.term(), reason)
            }
            14 => Wish::Unban(user),
            15..17 => Wish::TimeOut(user, self.term()),
            _ => self.wish_for_room(place),
        }
    }

    fn owner(&self, place: usize) -> &'static str {
        let mut members = self.truth.staged().waddles[&place].members.iter();
        let owner = members.find(|(_, member)| member.role == OWNER);
        owner.map(|(user, _)| *user).expect("there is one")
    }

    fn term(&mut self) -> Option<u64> {
        let soon = [0, 1, 5_000, 60_000][self.rng.below(4) as usize];
        self.rng.chance(3, 4).then_some(self.now + soon)
    }

    fn wish_for_room(&mut self, place: usize) -> Wish {
        let known = &self.truth.staged().waddles[&place].rooms;
        let known: Vec<ChannelId> = known.keys().copied().collect();
        let is_new = known.is_empty() || self.rng.chance(1, 3);
        let id = match is_new {
            true => self.new_id(),
            false => known[self.rng.below(known.len() as u64) as usize],
        };
        if !is_new && self.rng.chance(1, 3) {
            let entry = None;
            return Wish::Room { id, entry, is_new };
        }
        let before = self.truth.staged().waddles[&place].rooms.get(&id).cloned();
        let entry = Entry {
            // What a room is for never changes.
            voice: before
                .as_ref()
                .map_or(self.rng.chance(1, 4), |entry| entry.voice),
            since: before.map_or(self.now, |entry| entry.since),
            name: format!("r{}", self.rng.below(5)),
            read: 1 + self.rng.below(2) as u8,
            write: 1 + self.rng.below(3) as u8,
        };
        let entry = Some(entry);
        Wish::Room { id, entry, is_new }
    }

    fn new_id(&mut self) -> ChannelId {
        let bytes = self.rng.next_u64().to_be_bytes();
        ChannelId([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]])
    }
}

/// The kind of a room.
pub fn kind(voice: bool) -> RoomKind {
    if voice {
        RoomKind::Voice
    } else {
        RoomKind::Text
    }
}

fn about(name: &str, invite: bool) -> About {
    About {
        name: name.into(),
        join: if invite { Policy::Invite } else { Policy::Open },
    }
}

fn role(number: u8) -> Role {
    Role::of_number(number).expect("roles are 1 to 4")
}

fn act_of(wish: &Wish) -> Act {
    match wish {
        Wish::About(name, invite) => Act::About(about(name, *invite)),
        Wish::Join => Act::Join,
        Wish::Leave => Act::Leave,
        Wish::Add(user, as_what) => Act::Add {
            user: (*user).into(),
            role: role(*as_what),
        },
        Wish::Role(user, as_what) => Act::SetRole {
            user: (*user).into(),
            role: role(*as_what),
        },
        Wish::Kick(user) => Act::Kick {
            user: (*user).into(),
        },
        Wish::Ban(user, until, reason) => Act::Ban {
            user: (*user).into(),
            until: until.map(Millis),
            reason: reason.as_deref().map(Into::into),
        },
        Wish::Unban(user) => Act::Unban {
            user: (*user).into(),
        },
        Wish::TimeOut(user, until) => Act::TimeOut {
            user: (*user).into(),
            until: until.map(Millis),
        },
        Wish::Room { id, entry, is_new } => Act::Room {
            id: *id,
            room: entry.as_ref().map(|entry| CommunityRoom {
                kind: kind(entry.voice),
                name: entry.name.as_str().into(),
                read: role(entry.read),
                write: role(entry.write),
                created_at: Millis(entry.since),
                participants_max: None,
            }),
            is_new: *is_new,
        },
    }
}

fn word_of(wish: &Wish) -> &'static str {
    match wish {
        Wish::About(..) => "about",
        Wish::Join => "join",
        Wish::Leave => "leave",
        Wish::Add(..) => "add",
        Wish::Role(..) => "role",
        Wish::Kick(_) => "kick",
        Wish::Ban(..) => "ban",
        Wish::Unban(_) => "unban",
        Wish::TimeOut(..) => "time-out",
        Wish::Room { is_new: true, .. } => "room made",
        Wish::Room { entry: Some(_), .. } => "room changed",
        Wish::Room { .. } => "room deleted",
    }
}
