//! What a channel has to tell a WebSocket that is for it alone: the newest messages to somebody who comes,
//! who is there and who writes, and then its log, event by event.

use bytes::Bytes;
use floe_core::live::{Changes, Live as LiveState, Memory, Told};
use floe_log::Disk;
use floe_proto::{ChannelId, Event, EventKind, EventQuery, Scope};
use floe_surfaces::channels::{Hidden, split_events};
use floe_surfaces::community::Carrier;
use floe_surfaces::community::channel::{
    Messages, Reactions, write_events, write_messages, write_participants,
    write_participants_update, write_reactions, write_reload, write_typing,
};

use super::super::conn::Place;
use super::channel::{ChannelSession, Stage};
use super::community::CommunityRoom;
use super::telling::{NOTHING_SEEN, Next, SharedFrames, TYPING_MAX, Wire, is_typing};
use super::{Join, Live, Reactor};
use crate::shard::{Appended, Failure, SlotId};
use crate::views::{Answer, Ask, Wait};

/// A frame of a channel or waddle, for all who stand at the same place.
#[derive(Debug, Clone)]
pub(super) struct RoomFrame {
    pub form: Wire,
    pub of: Of,
    pub from: u64,
    pub to: u64,
    pub bytes: Bytes,
}

/// What a frame tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Events of a channel.
    Events(Hidden),
    /// Who is in a channel.
    Participants,
    /// Who writes in it.
    Typing,
    /// How often messages were reacted to.
    Reactions,
    /// Changes of a waddle, bans among them or not.
    Changes(bool),
    /// How the users of a waddle are.
    Statuses,
    /// What all are told.
    Broadcasts,
}

/// Milliseconds that somebody who comes waits for the view.
const RECENT_WAIT_MS: u64 = 2_000;
/// Frames of each room that one pass keeps.
const KEPT_MAX: usize = 8;

impl SharedFrames {
    /// Returns a frame that another reader was told, or makes it.
    pub(super) fn room_frame<E>(
        &mut self,
        (form, of, from): (Wire, Of, u64),
        make: impl FnOnce() -> Result<(u64, Bytes), E>,
    ) -> Result<RoomFrame, E> {
        let mut known = self.rooms.iter();
        let fits = |frame: &&RoomFrame| frame.form == form && frame.of == of && frame.from == from;
        if let Some(frame) = known.find(fits) {
            return Ok(frame.clone());
        }
        let (to, bytes) = make()?;
        let frame = RoomFrame {
            form,
            of,
            from,
            to,
            bytes,
        };
        if self.rooms.len() < KEPT_MAX {
            self.rooms.push(frame.clone());
        }
        Ok(frame)
    }
}

impl<D: Disk> Reactor<D> {
    /// Returns what comes next for a WebSocket of a channel.
    pub(super) fn next_of_channel(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some((session, join, form)) = self.of_channel(at, place) else {
            return Ok(Next::Nothing);
        };
        match session.stage {
            Stage::Reload { oldest, head } => {
                let mut out = Vec::new();
                form.carrier
                    .message(&mut out, None, |out| write_reload(out, oldest, head));
                let stage = if session.recent == 0 {
                    Stage::Others
                } else {
                    Stage::Recent
                };
                let bytes = self.pack(out, form);
                Ok(self.moved_channel(at, place, bytes, |session, join| {
                    join.next = head;
                    session.stage = stage;
                }))
            }
            Stage::Recent => self.ask_recent(at, place),
            Stage::Asked { .. } => Ok(Next::Nothing),
            Stage::Others => {
                let (out, seen) = self.others(join, form.carrier);
                let bytes = self.pack(out, form);
                Ok(self.moved_channel(at, place, bytes, |session, join| {
                    (join.presence_seen, join.memory_seen) = seen;
                    session.stage = Stage::Following;
                }))
            }
            Stage::Following => self.next_followed(at, place, shared),
        }
    }

    fn of_channel(&self, at: usize, place: usize) -> Option<(&ChannelSession, &Join, Wire)> {
        let live = self.live_ref(at)?;
        let session = live.community()?;
        let CommunityRoom::Channel(channel) = &session.room else {
            return None;
        };
        Some((channel, live.joins.get(place)?, live.wire()))
    }

    fn moved_channel(
        &mut self,
        at: usize,
        place: usize,
        bytes: Bytes,
        moved: impl FnOnce(&mut ChannelSession, &mut Join),
    ) -> Next {
        if let Some(live) = self.live_mut(at)
            && let Some((session, join)) = live.channel_mut(place)
        {
            moved(session, join);
        }
        Next::Send(bytes)
    }

    /// Asks the view for the newest messages, and the log where there is no view to be asked.
    fn ask_recent(&mut self, at: usize, place: usize) -> Result<Next, Failure> {
        let Some((session, join, _)) = self.of_channel(at, place) else {
            return Ok(Next::Nothing);
        };
        let (channel, seq) = (session.channel, self.shard.room(join.slot).visible().tail);
        if seq == 0 {
            return self.recent_of_log(at, place);
        }
        let query = EventQuery {
            newest_first: true,
            viewer: join.user.clone(),
            ..EventQuery::new(Scope::Channel(channel), session.recent)
        };
        let command = self.live_mut(at).map_or(0, Live::take_command);
        let ticket = Place {
            at,
            generation: self.conns[at].generation,
            command,
        };
        let wait = Wait::Seq {
            channel,
            seq,
            timeout_ms: RECENT_WAIT_MS,
        };
        let mark = self.shard.next_view_mark();
        let (ask, uptime_ms) = (Ask::Messages(query), self.clock.uptime_ms);
        let asked = self.views.ask(ticket.ticket(), ask, wait, mark, uptime_ms);
        if asked.is_err() {
            return self.recent_of_log(at, place);
        }
        Ok(self.moved_channel(at, place, Bytes::new(), |session, _| {
            session.stage = Stage::Asked { command };
        }))
    }

    /// Shows what the view has said of the newest messages, and goes on from there.
    pub(in crate::reactor) fn answer_recent(
        &mut self,
        at: usize,
        command: u16,
        answer: Result<Answer, Failure>,
    ) {
        let Some((session, join, form)) = self.of_channel(at, 0) else {
            return;
        };
        if session.stage != (Stage::Asked { command }) {
            return;
        }
        let (slot, start) = (join.slot, self.shard.room(join.slot).start());
        let told = match answer {
            Ok(Answer::Messages { page, applied }) if applied >= start => {
                let mut messages: Vec<_> = page.items.iter().collect();
                messages.reverse();
                let shown = Messages {
                    messages: &messages,
                    sequence: applied,
                    has_more: page.next.is_some(),
                };
                let mut out = Vec::new();
                form.carrier
                    .message(&mut out, None, |out| write_messages(out, &shown));
                let bytes = self.pack(out, form);
                Ok(self.moved_channel(at, 0, bytes, |session, join| {
                    join.next = applied;
                    session.stage = Stage::Others;
                }))
            }
            Ok(_) | Err(_) => self.recent_of_log(at, 0),
        };
        match told {
            Ok(Next::Send(bytes)) => {
                self.out.clear();
                self.out.extend_from_slice(&bytes);
                self.send(at);
                self.tell_room(at, slot, &mut SharedFrames::default());
            }
            Ok(Next::Nothing | Next::Close(..)) => {}
            Err(failure) => self.dismiss(at, failure.code, &failure.message),
        }
    }

    /// Shows the newest messages as they stand in the log: what has become of them follows.
    fn recent_of_log(&mut self, at: usize, place: usize) -> Result<Next, Failure> {
        let Some((session, join, form)) = self.of_channel(at, place) else {
            return Ok(Next::Nothing);
        };
        let room = self.shard.room(join.slot);
        let tail = room.visible().tail;
        let sequence = tail.saturating_sub(session.recent.into()).max(room.start());
        let page = Messages {
            messages: &[],
            sequence,
            has_more: sequence > room.start(),
        };
        let mut out = Vec::new();
        form.carrier
            .message(&mut out, None, |out| write_messages(out, &page));
        let bytes = self.pack(out, form);
        Ok(self.moved_channel(at, place, bytes, |session, join| {
            join.next = sequence;
            session.stage = Stage::Others;
        }))
    }

    /// Writes who is in a channel and who writes there; returns what has been seen then.
    fn others(&self, join: &Join, carrier: Carrier) -> (Vec<u8>, (u64, u64)) {
        let mut out = Vec::new();
        let live = self.shard.live(join.slot);
        carrier.message(&mut out, None, |out| {
            write_typing(out, typing(live).into_iter())
        });
        carrier.message(&mut out, None, |out| write_all_participants(out, live));
        let seen = live.map(LiveState::versions);
        let seen = seen.map_or((NOTHING_SEEN, NOTHING_SEEN), |seen| {
            (seen.presence, seen.memory)
        });
        (out, seen)
    }

    fn next_followed(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some((session, join, form)) = self.of_channel(at, place) else {
            return Ok(Next::Nothing);
        };
        let (channel, slot) = (session.channel, join.slot);
        let tail = self.shard.room(slot).visible().tail;
        let place_of = |of, from| (form, of, from);
        if join.next < tail {
            let (from, hidden) = (join.next, join.hidden);
            let frame = shared.room_frame(place_of(Of::Events(hidden), from), || {
                self.channel_events(slot, channel, from, hidden, form)
            })?;
            return Ok(self.moved_channel(at, place, frame.bytes, |_, join| join.next = frame.to));
        }
        let from = session.reactions_seen;
        let newest = self.reaction_counts.since(channel, from).last();
        if let Some(revision) = newest.map(|counted| counted.revision) {
            let user = join.user.as_deref();
            let bytes = self.reactions_frame(channel, from, user, form, shared)?;
            return Ok(self.moved_channel(at, place, bytes, |session, _| {
                session.reactions_seen = revision;
            }));
        }
        let Some(versions) = self.shard.live(slot).map(LiveState::versions) else {
            return Ok(Next::Nothing);
        };
        if join.presence_seen != versions.presence {
            let from = join.presence_seen;
            let frame = shared.room_frame::<Failure>(place_of(Of::Participants, from), || {
                let out = self.participants(slot, from, form.carrier);
                Ok((versions.presence, self.pack(out, form)))
            })?;
            return Ok(self.moved_channel(at, place, frame.bytes, |_, join| {
                join.presence_seen = frame.to;
            }));
        }
        if join.memory_seen != versions.memory {
            let from = join.memory_seen;
            let frame = shared.room_frame::<Failure>(place_of(Of::Typing, from), || {
                let out = self.typing_since(slot, from, form.carrier);
                Ok((versions.memory, self.pack(out, form)))
            })?;
            return Ok(self.moved_channel(at, place, frame.bytes, |_, join| {
                join.memory_seen = frame.to;
            }));
        }
        Ok(Next::Nothing)
    }

    fn channel_events(
        &self,
        slot: SlotId,
        channel: ChannelId,
        from: u64,
        hidden: Hidden,
        form: Wire,
    ) -> Result<(u64, Bytes), Failure> {
        let bytes_max = self.limits.sse_event_bytes_max;
        let (events, next) = self.visible_events(slot, from, u64::MAX, bytes_max, hidden)?;
        let mut out = Vec::new();
        write_events(&mut out, form.carrier, channel, &events);
        Ok((next, self.pack(out, form)))
    }

    /// Writes how often messages were reacted to; few readers are among those who did.
    fn reactions_frame(
        &self,
        channel: ChannelId,
        from: u64,
        reader: Option<&str>,
        form: Wire,
        shared: &mut SharedFrames,
    ) -> Result<Bytes, Failure> {
        let counted = || self.reaction_counts.since(channel, from);
        let make = |reader: Option<&str>| {
            let mut out = Vec::new();
            for one in counted() {
                let mine: Option<Vec<&str>> = match reader {
                    Some(reader) => one.by(reader).map(Iterator::collect),
                    None => Some(Vec::new()),
                };
                let reactions = Reactions {
                    sequence: one.target,
                    by_me: mine.as_deref(),
                    at: one.at,
                };
                form.carrier.message(&mut out, None, |out| {
                    write_reactions(out, &reactions, one.counts());
                });
            }
            self.pack(out, form)
        };
        let own = reader.filter(|reader| {
            let mut all = counted();
            all.any(|one| one.by(reader).is_none_or(|mut mine| mine.next().is_some()))
        });
        if own.is_some() {
            return Ok(make(own));
        }
        let frame = shared.room_frame::<Failure>((form, Of::Reactions, from), || {
            Ok((self.reaction_counts.revision(), make(None)))
        })?;
        Ok(frame.bytes)
    }

    /// Has the reactions to a message counted, if an event that is durable now is about them and
    /// somebody is in the channel.
    pub(in crate::reactor) fn note_reaction(&mut self, appended: &Appended) {
        if appended.duplicate || appended.count != 1 {
            return;
        }
        let mut events = split_events(&appended.events);
        let event = events.next().and_then(|(_, event)| Event::parse(event));
        let Some(event) = event.filter(|event| event.kind == EventKind::Reaction) else {
            return;
        };
        let slot = self.shard.find_channel(self.clock.wall, appended.channel);
        if let (Ok(Some(slot)), Some(target)) = (slot, event.target_seq)
            && !self.shard.readers(slot).is_empty()
        {
            self.count_reactions(appended.channel, target, event.seq);
        }
    }

    fn participants(&self, slot: SlotId, from: u64, carrier: Carrier) -> Vec<u8> {
        let mut out = Vec::new();
        let live = self.shard.live(slot);
        let changes = live.map(|live| live.presence.changes_since(from));
        let count = changes.as_ref().map_or(0, |changes| changes.count as u64);
        carrier.message(&mut out, None, |out| {
            match changes.map(|changes| changes.told) {
                Some(Told::Delta { set, left, .. }) => {
                    let joined = set.iter().map(|member| member.user);
                    write_participants_update(out, joined, left.into_iter(), count);
                }
                Some(Told::All(_) | Told::CountOnly) | None => write_all_participants(out, live),
            }
        });
        out
    }

    /// Writes who writes in a room, if that changed since a version.
    fn typing_since(&self, slot: SlotId, from: u64, carrier: Carrier) -> Vec<u8> {
        let mut out = Vec::new();
        let live = self.shard.live(slot);
        let changed = live.is_some_and(|live| match live.memory.changes_since(from) {
            Changes::Delta(delta) => {
                delta.set.iter().any(|(key, _)| is_typing(key))
                    || delta.removed.iter().any(|key| is_typing(key))
            }
            Changes::Snapshot(_) => true,
        });
        if changed {
            carrier.message(&mut out, None, |out| {
                write_typing(out, typing(live).into_iter())
            });
        }
        out
    }
}

impl Live {
    fn channel_mut(&mut self, place: usize) -> Option<(&mut ChannelSession, &mut Join)> {
        let join = self.joins.get_mut(place)?;
        match &mut self.purpose.community_mut()?.room {
            CommunityRoom::Channel(session) => Some((session, join)),
            CommunityRoom::Voice(_) | CommunityRoom::Waddle(_) => None,
        }
    }
}

/// Returns who writes in a room.
fn typing(live: Option<&LiveState>) -> Vec<&str> {
    let page = live.map(|live| live.memory.page(Memory::TYPING_PREFIX, None, TYPING_MAX));
    let page = page.unwrap_or_default().into_iter();
    page.filter_map(|(key, ..)| key.strip_prefix(Memory::TYPING_PREFIX))
        .collect()
}

fn write_all_participants(out: &mut Vec<u8>, live: Option<&LiveState>) {
    let Some(presence) = live.map(|live| &live.presence) else {
        return write_participants(out, Some(std::iter::empty()), 0);
    };
    let changes = presence.snapshot();
    let users = match &changes.told {
        Told::All(members) => Some(members.iter().map(|member| member.user)),
        Told::Delta { .. } | Told::CountOnly => None,
    };
    write_participants(out, users, changes.count as u64);
}
