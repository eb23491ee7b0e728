//! What rooms have to say to a WebSocket: events from the log, and what changed of live state.
//!
//! Both are pulled when the socket takes more, from where the reader stands, and encoded once for
//! all readers that stand there.

use bytes::Bytes;
use floe_core::channel::SlowPolicy;
use floe_core::live::{Changes, Member, Memory, Presence, Told};
use floe_log::Disk;
use floe_proto::Code;
use floe_surfaces::channels::Hidden;
use floe_surfaces::community::Carrier;
use floe_surfaces::live::{self, Format, PresenceMode};
use floe_surfaces::ws::{Deflate, Deflater};

use super::super::readers::write_chunk;
use super::channel_telling::RoomFrame;
use super::commands::is_text;
use super::table_telling::{MemoryFrame, QueryFrame, RowsFrame};
use super::voice::VoiceFrame;
use super::{Join, Purpose, Reactor};
use crate::shard::{Failure, SlotId};

/// Frames of one room, encoded for one reader as they are for every other at the same place.
#[derive(Debug, Default)]
pub struct SharedFrames {
    events: Vec<EventsFrame>,
    keyed: Vec<KeyedFrame>,
    pub(super) rows: Vec<RowsFrame>,
    pub(super) memory: Vec<MemoryFrame>,
    pub(super) queries: Vec<QueryFrame>,
    pub(super) rooms: Vec<RoomFrame>,
    pub(super) voice: Vec<VoiceFrame>,
}

/// How a connection wants its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wire {
    pub format: Format,
    pub deflate: Option<Deflate>,
    pub carrier: Carrier,
}

/// Frames that one pass keeps: readers stand at few places.
const KEPT_MAX: usize = 8;

#[derive(Debug, Clone)]
struct EventsFrame {
    form: Wire,
    hidden: Hidden,
    from: u64,
    next: u64,
    bytes: Bytes,
}

#[derive(Debug, Clone)]
struct KeyedFrame {
    form: Wire,
    of: KeyedOf,
    from: u64,
    to: u64,
    /// Whether the reader has missed changes that are not kept, and is told everything.
    lost: bool,
    bytes: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum KeyedOf {
    Presence,
    /// Keys with a prefix; also who types, for those who watch.
    Memory {
        prefix: Box<str>,
        watches: bool,
    },
    Typing,
}

/// What is to be done about one join.
pub(super) enum Next {
    Send(Bytes),
    Close(Code, &'static str),
    Nothing,
}

impl<D: Disk> Reactor<D> {
    /// Tells a WebSocket what a room has for it, as far as its socket takes it.
    pub(in crate::reactor) fn tell_room(
        &mut self,
        at: usize,
        slot: SlotId,
        shared: &mut SharedFrames,
    ) {
        while let Some(bytes) = self.next_told(at, slot, shared) {
            self.send_shared(at, bytes);
        }
    }

    /// Takes a WebSocket to what a room tells it next, and returns that. Where the room ends for it
    /// instead, it has been told so.
    pub(in crate::reactor) fn next_told(
        &mut self,
        at: usize,
        slot: SlotId,
        shared: &mut SharedFrames,
    ) -> Option<Bytes> {
        loop {
            if !self.conns.get(at)?.output.is_empty() {
                return None;
            }
            match self.next_frame(at, slot, shared) {
                // There may be nothing for this one to see of what moved.
                Ok(Next::Send(bytes)) if bytes.is_empty() => {}
                Ok(Next::Send(bytes)) => return Some(bytes),
                Ok(Next::Nothing) => return None,
                Ok(Next::Close(code, message)) => {
                    self.close_room(at, slot, code, message);
                    return None;
                }
                Err(failure) if self.stalls(at, &failure) => return None,
                Err(failure) => {
                    self.close_room(at, slot, failure.code, &failure.message);
                    return None;
                }
            }
        }
    }

    /// Tells a WebSocket whose socket takes more what its rooms have for it.
    pub(in crate::reactor) fn tell_rooms(&mut self, at: usize) {
        let mut place = 0;
        while let Some(slot) = self
            .live_ref(at)
            .and_then(|live| live.joins.get(place))
            .map(|join| join.slot)
        {
            self.tell_room(at, slot, &mut SharedFrames::default());
            let stays = self
                .live_ref(at)
                .and_then(|live| live.joins.get(place))
                .is_some_and(|join| join.slot == slot);
            if self
                .conns
                .get(at)
                .is_none_or(|conn| !conn.output.is_empty())
            {
                return;
            }
            place += usize::from(stays);
        }
    }

    /// Ends a room for a WebSocket, which goes on.
    pub(in crate::reactor) fn close_room(
        &mut self,
        at: usize,
        slot: SlotId,
        code: Code,
        message: &str,
    ) {
        // A connection of one room ends with it.
        if self
            .live_ref(at)
            .is_some_and(|live| !matches!(live.purpose, Purpose::Rooms))
        {
            return self.dismiss(at, code, message);
        }
        let left = self.live_mut(at).and_then(|live| {
            let place = live.joins.iter().position(|join| join.slot == slot)?;
            Some(live.joins.swap_remove(place))
        });
        let Some(join) = left else { return };
        let ticket = self.conns[at].ticket(at);
        self.leave_room(ticket, &join, floe_core::live::Leave::Said);
        self.metrics.error(code);
        self.tell(at, |out, format| {
            live::write_closed(out, format, &join.room, code, message);
        });
    }

    fn next_frame(
        &mut self,
        at: usize,
        slot: SlotId,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some(live) = self.live_ref(at) else {
            return Ok(Next::Nothing);
        };
        let form = live.wire();
        let Some(place) = live.joins.iter().position(|join| join.slot == slot) else {
            return Ok(Next::Nothing);
        };
        if self.shard.is_gone(slot) {
            return Ok(Next::Close(Code::Gone, "the room was deleted"));
        }
        match live.purpose {
            Purpose::Rooms => {}
            Purpose::Table(_) => return self.next_of_tables(at, place, shared),
            Purpose::Community(_) => return self.next_of_community(at, place, shared),
        }
        let join = &live.joins[place];
        let edge = self.shard.room(slot).visible();
        if join.events && join.next < edge.tail {
            let frame = self.events_frame(join, form, shared)?;
            let next = frame.next;
            let bytes = frame.bytes.clone();
            return Ok(self.moved_join(at, place, bytes, |join| join.next = next));
        }
        if !join.is_live {
            let mut out = Vec::new();
            live::write_live(&mut out, form.format, &join.room, join.next);
            return Ok(self.moved_join(at, place, out.into(), |join| join.is_live = true));
        }
        let keyed = self.next_keyed(join, form, shared);
        if let Some(frame) = keyed {
            if frame.lost && self.shard.slow_policy(slot) == SlowPolicy::Disconnect {
                let message = "the reader has missed changes that are not kept";
                return Ok(Next::Close(Code::SlowConsumer, message));
            }
            let (of, to) = (frame.of.clone(), frame.to);
            return Ok(self.moved_join(at, place, frame.bytes, |join| match of {
                KeyedOf::Presence => join.presence_seen = to,
                KeyedOf::Memory { .. } | KeyedOf::Typing => join.memory_seen = to,
            }));
        }
        if edge.closed && join.events {
            return Ok(Next::Close(Code::Closed, "the stream is closed"));
        }
        Ok(Next::Nothing)
    }

    fn moved_join(
        &mut self,
        at: usize,
        place: usize,
        bytes: Bytes,
        moved: impl FnOnce(&mut Join),
    ) -> Next {
        if let Some(join) = self.live_mut(at).and_then(|live| live.joins.get_mut(place)) {
            moved(join);
        }
        Next::Send(bytes)
    }

    fn events_frame(
        &self,
        join: &Join,
        form: Wire,
        shared: &mut SharedFrames,
    ) -> Result<EventsFrame, Failure> {
        let format = form.format;
        let found = shared.events.iter().find(|frame| {
            frame.from == join.next && frame.form == form && frame.hidden == join.hidden
        });
        if let Some(frame) = found {
            return Ok(frame.clone());
        }
        let room = self.shard.room(join.slot);
        let bytes_max = self.limits.sse_event_bytes_max;
        let (bytes, next) =
            self.visible_events(join.slot, join.next, u64::MAX, bytes_max, join.hidden)?;
        let mut out = Vec::new();
        let next = if room.is_json() {
            let parts = std::iter::once(&bytes[..]);
            live::write_events(&mut out, format, &join.room, parts, next);
            next
        } else {
            let text = is_text(room);
            let written = live::write_chunk(&mut out, format, &join.room, text, &bytes, join.next);
            join.next + written as u64
        };
        let frame = EventsFrame {
            form,
            hidden: join.hidden,
            from: join.next,
            next,
            bytes: self.pack(out, form),
        };
        if shared.events.len() < KEPT_MAX {
            shared.events.push(frame.clone());
        }
        Ok(frame)
    }

    /// Returns what changed of a room's live state that the reader has not seen.
    fn next_keyed(&self, join: &Join, form: Wire, shared: &mut SharedFrames) -> Option<KeyedFrame> {
        let format = form.format;
        let live = self.shard.live(join.slot)?;
        let versions = live.versions();
        let watches = join.presence != PresenceMode::None;
        let (of, from) = if watches && join.presence_seen != versions.presence {
            (KeyedOf::Presence, join.presence_seen)
        } else if join.memory_seen != versions.memory && (watches || join.memory.is_some()) {
            match &join.memory {
                Some(prefix) => {
                    let prefix = prefix.clone();
                    (KeyedOf::Memory { prefix, watches }, join.memory_seen)
                }
                None => (KeyedOf::Typing, join.memory_seen),
            }
        } else {
            return None;
        };
        let found = shared
            .keyed
            .iter()
            .find(|frame| frame.form == form && frame.of == of && frame.from == from);
        if let Some(frame) = found {
            return Some(frame.clone());
        }
        let mut out = Vec::new();
        let room = &*join.room;
        let (to, lost) = match &of {
            KeyedOf::Presence => write_presence(&mut out, format, room, &live.presence, from),
            KeyedOf::Memory { prefix, .. } => {
                write_memory(&mut out, format, room, &live.memory, prefix, from, watches)
            }
            // Who types is told as a whole, so nothing of it can be missed.
            KeyedOf::Typing => (
                write_typing(&mut out, format, room, &live.memory, from),
                false,
            ),
        };
        let frame = KeyedFrame {
            form,
            of,
            from,
            to,
            lost,
            bytes: self.pack(out, form),
        };
        if shared.keyed.len() < KEPT_MAX {
            shared.keyed.push(frame.clone());
        }
        Some(frame)
    }
}

impl<D: Disk> Reactor<D> {
    /// Puts frames into the form in which they are sent.
    pub(super) fn pack(&self, frames: Vec<u8>, form: Wire) -> Bytes {
        if form.carrier == Carrier::Events && !frames.is_empty() {
            let mut chunk = Vec::with_capacity(frames.len() + 16);
            write_chunk(&mut chunk, &frames);
            return chunk.into();
        }
        let Some(agreed) = form.deflate else {
            return frames.into();
        };
        let mut packed = Vec::with_capacity(frames.len());
        let mut deflater = self.deflater.borrow_mut();
        let deflater = deflater.get_or_insert_with(|| Deflater::new(DEFLATE_LEVEL));
        deflater.write_frames(&mut packed, &frames, agreed);
        packed.into()
    }
}

/// How hard frames are compressed: most of what there is to gain, at the least CPU.
const DEFLATE_LEVEL: u32 = 1;

fn write_presence(
    out: &mut Vec<u8>,
    format: Format,
    room: &str,
    presence: &Presence,
    from: u64,
) -> (u64, bool) {
    let changes = presence.changes_since(from);
    let (version, count) = (changes.version, changes.count as u64);
    let delta = live::PresenceDelta {
        room,
        version,
        count,
    };
    let snapshot = live::PresenceSnapshot {
        room,
        version,
        count,
    };
    match changes.told {
        Told::Delta { set, left, .. } => {
            let set = set.iter().map(member);
            live::write_presence_delta(out, format, &delta, set, left.into_iter());
            (version, false)
        }
        // The first frame replaces what a client may still know from before.
        Told::CountOnly if from == NOTHING_SEEN => {
            live::write_presence_snapshot(out, format, &snapshot, std::iter::empty());
            (version, false)
        }
        Told::CountOnly => {
            let nobody = std::iter::empty();
            live::write_presence_delta(out, format, &delta, nobody, std::iter::empty());
            (version, false)
        }
        Told::All(members) => {
            live::write_presence_snapshot(out, format, &snapshot, members.iter().map(member));
            (version, from != NOTHING_SEEN && !presence.knows_since(from))
        }
    }
}

/// Writes what changed below a prefix; who types is told in a frame of its own, to those who watch.
fn write_memory(
    out: &mut Vec<u8>,
    format: Format,
    room: &str,
    memory: &Memory,
    prefix: &str,
    from: u64,
    watches: bool,
) -> (u64, bool) {
    let wanted = |key: &str| key.starts_with(prefix) && !is_typing(key);
    let (version, afresh, set, removed) = match memory.changes_since(from) {
        Changes::Delta(delta) => (delta.to, false, delta.set, delta.removed),
        Changes::Snapshot(snapshot) => (snapshot.version, true, snapshot.entries, Vec::new()),
    };
    let lost = afresh && from != NOTHING_SEEN;
    let typing = lost
        || set.iter().any(|(key, _)| is_typing(key))
        || removed.iter().any(|key| is_typing(key));
    let set: Vec<_> = set.into_iter().filter(|(key, _)| wanted(key)).collect();
    let removed: Vec<_> = removed.into_iter().filter(|key| wanted(key)).collect();
    if afresh || !set.is_empty() || !removed.is_empty() {
        let change = live::MemoryChange {
            id: None,
            room,
            version,
            snapshot: afresh,
            next: None,
            usage: None,
        };
        let entries = set.iter().filter_map(|(key, value)| {
            let version = memory.get(key).map_or(0, |(_, version)| version);
            entry(memory, key, value, version)
        });
        live::write_memory(out, format, &change, entries, removed.into_iter());
    }
    if watches && typing {
        typing_frame(out, format, room, memory);
    }
    (version, lost)
}

fn write_typing(out: &mut Vec<u8>, format: Format, room: &str, memory: &Memory, from: u64) -> u64 {
    let typing = match memory.changes_since(from) {
        Changes::Delta(delta) => {
            delta.set.iter().any(|(key, _)| is_typing(key))
                || delta.removed.iter().any(|key| is_typing(key))
        }
        // Those who were typing may have stopped meanwhile.
        Changes::Snapshot(_) if from != NOTHING_SEEN => true,
        Changes::Snapshot(snapshot) => snapshot.entries.iter().any(|(key, _)| is_typing(key)),
    };
    if typing {
        typing_frame(out, format, room, memory);
    }
    memory.version()
}

fn typing_frame(out: &mut Vec<u8>, format: Format, room: &str, memory: &Memory) {
    let typing = memory.page(Memory::TYPING_PREFIX, None, TYPING_MAX);
    let users = typing
        .iter()
        .filter_map(|(key, ..)| key.strip_prefix(Memory::TYPING_PREFIX));
    live::write_typing(out, format, room, users);
}

/// Returns whether a key says that somebody is typing.
pub(in crate::reactor) fn is_typing(key: &str) -> bool {
    key.starts_with(Memory::TYPING_PREFIX)
}

/// The version that a reader has seen which has been told nothing yet.
pub(super) const NOTHING_SEEN: u64 = 0;
/// Users that a typing frame names.
pub(super) const TYPING_MAX: usize = 100;

/// Returns a member as the wire shows it.
pub fn member<'a>(member: &Member<'a>) -> live::Member<'a> {
    live::Member {
        user: member.user,
        since: member.since,
        data: std::str::from_utf8(member.data)
            .ok()
            .filter(|data| *data != "null"),
    }
}

/// Returns a value as the wire shows it; values come in as JSON, which is text.
pub(in crate::reactor) fn entry<'a>(
    memory: &Memory,
    key: &'a str,
    value: &'a [u8],
    version: u64,
) -> Option<live::Entry<'a>> {
    Some(live::Entry {
        key,
        value: std::str::from_utf8(value).ok()?,
        version,
        expires_at: memory.ends_at(key),
    })
}
