//! Waddles: who belongs to a community, and what that allows in its rooms.

use floe_core::channel::NewChannel;
use floe_core::community::{Act, By, Community, CommunityError};
use floe_core::{ContentType, Create, DataRecord, Lifetime, Record};
use floe_log::{Disk, Payload};
use floe_proto::community::{
    About, Change, RoomKind, Signed, VOICE_ROOMS, WADDLES, WaddleId, encode_changes, write_messages,
};
use floe_proto::{ChannelId, Code, Millis, Namespace, Rights};

use super::{Failure, Pending, Reply, Shard, SlotId, Ticket};

/// What was done in a waddle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// The waddle's room.
    pub slot: SlotId,
    /// Sequence number of the last message of the waddle's log, as far as the act goes.
    pub seq: u64,
    /// What changed, in the order of the messages; nothing where it was so already.
    pub changes: Vec<Change>,
}

/// What is done in a waddle, by whom and why.
#[derive(Debug, Clone, Copy)]
pub struct Deed<'a> {
    /// What.
    pub act: &'a Act,
    /// Who.
    pub by: By<'a>,
    /// Why, in words that all members read.
    pub reason: Option<&'a str>,
}

impl<D: Disk> Shard<D> {
    /// Makes a waddle; replies [`Reply::Acted`].
    ///
    /// `name` is the full name of its room.
    pub fn create_waddle(
        &mut self,
        now: Millis,
        ticket: Ticket,
        name: &[u8],
        about: About,
        owner: &str,
    ) {
        match self.stage_waddle(now, name, about, owner) {
            Ok(acted) => self.reply_last(ticket, acted),
            Err(failure) => self.refuse(ticket, failure),
        }
    }

    /// Replies once all that was staged last is durable.
    fn reply_last(&mut self, ticket: Ticket, acted: Acted) {
        if let Some(pending) = self.pending.back_mut() {
            pending.reply = Some((ticket, Reply::Acted(Box::new(acted))));
        }
    }

    fn stage_waddle(
        &mut self,
        now: Millis,
        name: &[u8],
        about: About,
        owner: &str,
    ) -> Result<Acted, Failure> {
        let changes = self.would_create_waddle(now, name, &about, owner)?;
        let create = Create {
            community: Some(changes.clone().into()),
            ..Create::new(ContentType::new("application/json"), Lifetime::Unlimited)
        };
        let written = compose(name, None, &changes, 1, now, Some(owner), None);
        self.tell_created(name, "application/json", now)?;
        let slot = self.stage_create(now, name, &create, true, written.payload())?;
        self.has_come_true(name);
        self.list_joined(now, name, &changes);
        let seq = self.room(slot).staged().tail;
        Ok(Acted { slot, seq, changes })
    }

    /// Returns with what a new waddle would begin, without making it.
    ///
    /// # Errors
    /// Why it may not be made.
    pub fn would_create_waddle(
        &mut self,
        now: Millis,
        name: &[u8],
        about: &About,
        owner: &str,
    ) -> Result<Vec<Change>, Failure> {
        if self.find(now, name)?.is_some() {
            return Err(Failure::new(Code::Exists, "the waddle is there already"));
        }
        let changes = Community::found(about.clone(), owner, now);
        let changes = changes.map_err(|error| refused(&error))?;
        let (namespace, _) = Namespace::split(name);
        let namespace = namespace.to_owned();
        self.check_joined(now, &namespace, owner)?;
        if self.log.len() >= self.limits.streams_max {
            let message = "the server has streams.max streams";
            return Err(Failure::new(Code::LimitReached, message));
        }
        self.check_new_room(&namespace, 0)?;
        Ok(changes)
    }

    /// Does something in a waddle; replies [`Reply::Acted`].
    ///
    /// Returns what changes, so that those whose rights it is about are judged anew. That is before
    /// it is durable: whoever may no longer listen hears nothing more.
    pub fn act(
        &mut self,
        now: Millis,
        ticket: Ticket,
        name: &[u8],
        deed: &Deed<'_>,
    ) -> Option<Acted> {
        match self.stage_act(now, name, deed) {
            Ok(acted) if acted.changes.is_empty() => {
                self.answer(Some(acted.slot), ticket, Reply::Acted(Box::new(acted)));
                None
            }
            Ok(acted) => {
                self.reply_last(ticket, acted.clone());
                Some(acted)
            }
            Err(failure) => {
                self.refuse(ticket, failure);
                None
            }
        }
    }

    /// Returns what an act would change, without doing it.
    ///
    /// # Errors
    /// Why it may not be done.
    pub fn would_act(
        &mut self,
        now: Millis,
        name: &[u8],
        deed: &Deed<'_>,
    ) -> Result<Vec<Change>, Failure> {
        let slot = self.waddle(now, name)?;
        let limits = self.limits.community();
        let room = &self.slots[slot.0 as usize].room;
        let community = room
            .community()
            .ok_or_else(|| refused(&CommunityError::NoCommunity))?;
        let changes = community.decide(deed.act, deed.by, now, &limits);
        let changes = changes.map_err(|error| refused(&error))?;
        let (namespace, _) = Namespace::split(name);
        let namespace = namespace.to_owned();
        for change in &changes {
            if let Change::Member {
                user,
                member: Some(_),
                ..
            } = change
                && self.community_of(slot)?.role_of(user).is_none()
            {
                self.check_joined(now, &namespace, user)?;
            }
        }
        Ok(changes)
    }

    fn stage_act(&mut self, now: Millis, name: &[u8], deed: &Deed<'_>) -> Result<Acted, Failure> {
        let changes = self.would_act(now, name, deed)?;
        let slot = self.waddle(now, name)?;
        let seq = self.room(slot).staged().tail;
        if changes.is_empty() {
            return Ok(Acted { slot, seq, changes });
        }
        let before = self.community_of(slot)?;
        let user = deed.by.user;
        let written = compose(
            name,
            Some(before),
            &changes,
            seq + 1,
            now,
            user,
            deed.reason,
        );
        self.check_growth(slot, written.bytes.len() as u64)?;
        let mut encoded = Vec::new();
        encode_changes(&changes, &mut encoded);
        let record = Record::Data(DataRecord {
            changes: Some(&encoded),
            ..DataRecord::default()
        });
        let lsn = self.stage(slot, &record, written.payload(), now)?;
        self.queue(lsn, slot, None);
        self.list_joined(now, name, &changes);
        let seq = self.room(slot).staged().tail;
        Ok(Acted { slot, seq, changes })
    }

    /// Finds a waddle that is there.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub fn waddle(&mut self, now: Millis, name: &[u8]) -> Result<SlotId, Failure> {
        let slot = self.find(now, name)?;
        let slot = slot.filter(|slot| {
            let slot = &self.slots[slot.0 as usize];
            slot.room.community().is_some() && !slot.room.is_gone()
        });
        slot.ok_or_else(|| refused(&CommunityError::NoCommunity))
    }

    fn community_of(&self, slot: SlotId) -> Result<&Community, Failure> {
        let community = self.slots[slot.0 as usize].room.community();
        community.ok_or_else(|| refused(&CommunityError::NoCommunity))
    }

    /// Stages a channel of a waddle, or a voice room; the waddle itself must be told as well
    /// ([`Act::Room`]), after it, since a room that its waddle does not know is nobody's.
    ///
    /// # Errors
    /// When the room is there, or the server or namespace takes no more.
    pub fn stage_waddle_room(
        &mut self,
        now: Millis,
        name: &[u8],
        waddle: &WaddleId,
        channel: Option<NewChannel>,
    ) -> Result<SlotId, Failure> {
        if self.find(now, name)?.is_some() {
            return Err(Failure::new(Code::Exists, "the room is there already"));
        }
        if self.log.len() >= self.limits.streams_max {
            let message = "the server has streams.max streams";
            return Err(Failure::new(Code::LimitReached, message));
        }
        let owner = channel.as_ref().map(|channel| channel.owner.clone());
        let (namespace, _) = Namespace::split(name);
        self.check_new_room(owner.as_deref().unwrap_or(namespace), 0)?;
        let create = Create {
            channel: channel.map(Box::new),
            waddle: Some(waddle.clone()),
            ..Create::new(ContentType::new("application/json"), Lifetime::Unlimited)
        };
        self.stage_create(now, name, &create, true, Payload::NONE)
    }

    /// Replies [`Reply::Told`] once all that is staged is durable, and with it whatever was read of
    /// rooms.
    pub fn tell_durable(&mut self, ticket: Ticket) {
        let lsn = self.log.staged();
        if lsn > self.log.durable() {
            self.pending.push_back(Pending {
                lsn,
                staged: None,
                reply: Some((ticket, Reply::Told)),
            });
        } else {
            self.ready.push_back((ticket, Reply::Told));
        }
    }

    /// Finds a room of a waddle that is in the log.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find_waddle_room(
        &mut self,
        now: Millis,
        waddle: SlotId,
        id: ChannelId,
    ) -> Result<Option<SlotId>, Failure> {
        let Some(kind) = self
            .community_of(waddle)?
            .rooms()
            .get(&id)
            .map(|room| room.kind)
        else {
            return Ok(None);
        };
        let (namespace, _) = Namespace::split(self.room(waddle).name());
        let namespace: Namespace = namespace.parse().unwrap_or_default();
        self.find(now, &waddle_room_name(&namespace, id, kind))
    }

    /// Stages the end of a room of a waddle: a channel's with its grace, a voice room's at once. One
    /// that is gone already stays gone.
    ///
    /// # Errors
    /// When it cannot be read, or the log has no space.
    pub fn end_waddle_room(
        &mut self,
        now: Millis,
        namespace: &Namespace,
        id: ChannelId,
        kind: RoomKind,
    ) -> Result<(), Failure> {
        let name = waddle_room_name(namespace, id, kind);
        let Some(slot) = self.find(now, &name)? else {
            return Ok(());
        };
        let room = &self.slots[slot.0 as usize].room;
        if room.is_gone() {
            return Ok(());
        }
        match kind {
            RoomKind::Voice => self.remove(slot, now),
            RoomKind::Text => {
                let grace_ms = self.limits.channel_purge_after_ms;
                let record = room.decide_channel_end(now, grace_ms);
                let record =
                    record.map_err(|error| Failure::new(error.code(), error.to_string()))?;
                let lsn = self.stage(slot, &record, Payload::NONE, now)?;
                self.queue(lsn, slot, None);
                self.note_wake(slot);
                Ok(())
            }
        }
    }

    /// Returns when what a user may do in a waddle's room changes by itself next.
    ///
    /// # Errors
    /// When the waddle cannot be read.
    pub fn rights_change_at(
        &mut self,
        now: Millis,
        slot: SlotId,
        user: &str,
    ) -> Result<Option<Millis>, Failure> {
        let waddle = match self.slots[slot.0 as usize].room.community() {
            Some(_) => Some(slot),
            None => self.waddle_of(now, slot)?,
        };
        let Some(waddle) = waddle else {
            return Ok(None);
        };
        Ok(self.community_of(waddle)?.changes_at(user, now))
    }

    /// Returns what a user may do in a room as far as its waddle says; `None` for a room that is
    /// neither a waddle's own nor one of its rooms.
    ///
    /// # Errors
    /// When the waddle cannot be read.
    pub fn waddle_rights(
        &mut self,
        now: Millis,
        slot: SlotId,
        user: &str,
    ) -> Result<Option<Rights>, Failure> {
        let room = &self.slots[slot.0 as usize].room;
        if let Some(community) = room.community() {
            return Ok(Some(community.rights(user, None, now)));
        }
        if room.waddle().is_none() {
            return Ok(None);
        }
        let id = waddle_room_id(room.name());
        let Some(waddle) = self.waddle_of(now, slot)? else {
            // The waddle is gone, and nobody is a member of what is not there.
            return Ok(Some(Rights::NONE));
        };
        let community = self.community_of(waddle)?;
        Ok(Some(id.map_or(Rights::NONE, |id| {
            community.rights(user, Some(id), now)
        })))
    }

    /// Returns the waddle that a room is of, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn waddle_of(&mut self, now: Millis, slot: SlotId) -> Result<Option<SlotId>, Failure> {
        let room = &self.slots[slot.0 as usize].room;
        let Some(waddle) = room.waddle() else {
            return Ok(None);
        };
        let owner = room.channel().map(|channel| channel.owner());
        let namespace = owner.unwrap_or_else(|| Namespace::split(room.name()).0);
        let name = full_name(namespace, waddle.path().as_bytes());
        let slot = self.find(now, &name)?;
        Ok(slot.filter(|slot| {
            let room = &self.slots[slot.0 as usize].room;
            room.community().is_some() && !room.is_gone()
        }))
    }

    /// Returns the waddles that a user has joined, oldest first, as far as a list says that is kept
    /// beside them: it may name one that the user has left, or that is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn joined_waddles(
        &mut self,
        now: Millis,
        namespace: &str,
        user: &str,
    ) -> Result<Vec<WaddleId>, Failure> {
        let value = self.value(now, &joined_name(namespace, user))?;
        let value = String::from_utf8(value.unwrap_or_default()).unwrap_or_default();
        Ok(value.lines().filter_map(|id| id.parse().ok()).collect())
    }

    /// Returns the waddles that a user is a member of, oldest first: those that they are listed for,
    /// each looked up.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn verified_waddles(
        &mut self,
        now: Millis,
        namespace: &str,
        user: &str,
    ) -> Result<Vec<WaddleId>, Failure> {
        let mut verified = Vec::new();
        for id in self.joined_waddles(now, namespace, user)? {
            let name = full_name(namespace, id.path().as_bytes());
            let slot = match self.waddle(now, &name) {
                Err(failure) if failure.code == Code::NotFound => continue,
                found => found?,
            };
            if self.community_of(slot)?.role_of(user).is_some() {
                verified.push(id);
            }
        }
        Ok(verified)
    }

    /// Refuses a user who has joined as many waddles as a user may.
    fn check_joined(&mut self, now: Millis, namespace: &str, user: &str) -> Result<(), Failure> {
        let max = self.limits.waddle_joined_max;
        let listed = self.joined_waddles(now, namespace, user)?.len();
        if listed >= max && self.verified_waddles(now, namespace, user)?.len() >= max {
            let message = "the user has joined waddle.joined_max waddles";
            return Err(Failure::new(Code::LimitReached, message));
        }
        Ok(())
    }

    /// Keeps the lists of those who came and went, as far as there is space.
    fn list_joined(&mut self, now: Millis, waddle: &[u8], changes: &[Change]) {
        if let Err(failure) = self.note_joined(now, waddle, changes) {
            // Who belongs to a waddle is looked up there; this is a list for the user's own eyes.
            let code = failure.code.as_str();
            tracing::warn!(code, "a user's list of waddles is behind");
        }
    }

    fn note_joined(
        &mut self,
        now: Millis,
        waddle: &[u8],
        changes: &[Change],
    ) -> Result<(), Failure> {
        let (namespace, path) = Namespace::split(waddle);
        let (namespace, Some(id)) = (namespace.to_owned(), WaddleId::of_path(path)) else {
            return Ok(());
        };
        for change in changes {
            let Change::Member { user, member, .. } = change else {
                continue;
            };
            let mut joined = self.joined_waddles(now, &namespace, user)?;
            if joined.len() >= self.limits.waddle_joined_max {
                joined = self.verified_waddles(now, &namespace, user)?;
                // The new one is put where it belongs, at the end.
                joined.retain(|other| *other != id || member.is_none());
            }
            let place = joined.iter().position(|other| *other == id);
            match (place, member) {
                (None, Some(_)) => joined.push(id.clone()),
                (Some(place), None) => drop(joined.remove(place)),
                (Some(_), Some(_)) | (None, None) => continue,
            }
            let lines: Vec<&str> = joined.iter().map(WaddleId::as_str).collect();
            let name = joined_name(&namespace, user);
            self.set_value(now, &name, lines.join("\n").as_bytes())?;
        }
        Ok(())
    }
}

/// Returns whether the room is a waddle's own, or a voice room: the server alone writes there.
pub fn is_community(name: &[u8]) -> bool {
    let (_, path) = Namespace::split(name);
    path.starts_with(WADDLES.as_bytes()) || path.starts_with(VOICE_ROOMS.as_bytes())
}

/// Returns the full name of the room of a waddle that has an identity.
pub fn waddle_room_name(namespace: &Namespace, id: ChannelId, kind: RoomKind) -> Vec<u8> {
    match kind {
        RoomKind::Text => id.room_name().into_bytes(),
        RoomKind::Voice => {
            let path = format!("{VOICE_ROOMS}{id}");
            namespace.qualify(path.as_bytes()).into_owned()
        }
    }
}

/// Returns the identity of a channel or voice room by the full name of its room.
fn waddle_room_id(name: &[u8]) -> Option<ChannelId> {
    let (_, path) = Namespace::split(name);
    let voice = path.strip_prefix(VOICE_ROOMS.as_bytes());
    match voice {
        Some(id) => std::str::from_utf8(id).ok()?.parse().ok(),
        None => ChannelId::of_room(path),
    }
}

fn full_name(namespace: &str, path: &[u8]) -> Vec<u8> {
    let namespace: Option<Namespace> = namespace.parse().ok();
    namespace.map_or_else(|| path.to_vec(), |namespace| namespace.qualify(path).into())
}

/// The name of the room whose value lists the waddles that a user has joined.
fn joined_name(namespace: &str, user: &str) -> Vec<u8> {
    let path = [super::registry::RESERVED, b"joined/", user.as_bytes()].concat();
    full_name(namespace, &path)
}

/// Messages as they stand in the log.
struct Written {
    bytes: Vec<u8>,
    lens: Vec<u32>,
}

impl Written {
    fn payload(&self) -> Payload<'_> {
        Payload {
            bytes: &self.bytes,
            lens: &self.lens,
        }
    }
}

fn compose(
    name: &[u8],
    before: Option<&Community>,
    changes: &[Change],
    first_seq: u64,
    now: Millis,
    user: Option<&str>,
    reason: Option<&str>,
) -> Written {
    let (_, path) = Namespace::split(name);
    let waddle = WaddleId::of_path(path);
    let signed = Signed {
        waddle: waddle.as_ref().map_or("", WaddleId::as_str),
        first_seq,
        now,
        user,
        reason,
    };
    let is_new = |change: &Change| match (change, before) {
        (_, None) => true,
        (Change::About(_), Some(_)) => false,
        (Change::Member { user, .. }, Some(before)) => !before.members().contains_key(user),
        (Change::Ban { user, .. }, Some(before)) => !before.bans().contains_key(user),
        (Change::Room { id, .. }, Some(before)) => !before.rooms().contains_key(id),
    };
    let changes: Vec<_> = changes
        .iter()
        .map(|change| (change.clone(), is_new(change)))
        .collect();
    let (mut bytes, mut lens) = (Vec::new(), Vec::new());
    write_messages(&changes, &signed, &mut bytes, &mut lens);
    Written { bytes, lens }
}

fn refused(error: &CommunityError) -> Failure {
    Failure::new(error.code(), error.to_string())
}
