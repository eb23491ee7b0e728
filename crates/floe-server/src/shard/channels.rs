//! Channels: rooms whose messages are events that the server stamps.

use bytes::Bytes;
use floe_core::channel::{
    ChannelSettings, EventAppend, EventError, KeyHash, NewChannel, Secret, Target,
};
use floe_core::{ContentType, Create, Lifetime};
use floe_log::{Disk, Payload};
use floe_proto::{ChannelId, Code, Event, EventKind, Millis, Rights};

use super::fetch::read_parts;
use super::{Failure, Reply, Shard, SlotId, Ticket, read_failure};

/// Events that somebody wants to append: one of any kind, or several messages at once.
#[derive(Debug, Clone, Copy)]
pub struct NewEvents<'a> {
    /// What they say happened; several are messages.
    pub kind: EventKind,
    /// Who says what; at least one.
    pub events: &'a [NewEvent<'a>],
    /// What they are about.
    pub target_seq: Option<u64>,
    /// Whether a reaction or a pin is taken back.
    pub removed: bool,
    /// Repeats of the first author with the same key change nothing and get the first outcome.
    pub key: Option<&'a str>,
    /// What the author may do.
    pub rights: Rights,
}

/// Who says what.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// Who says it.
    pub author_id: &'a str,
    /// What; a deletion and a pin have none.
    pub content: Option<&'a str>,
    /// The message that it answers.
    pub reply_to: Option<u64>,
    /// What else a message carries: JSON that [`floe_proto::check_data`] has found good.
    pub data: Option<&'a str>,
}

impl NewEvent<'_> {
    /// Bytes of what it says.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content.map_or(0, str::len) + self.data.map_or(0, str::len)
    }
}

/// Events that are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Their channel.
    pub channel: ChannelId,
    /// Place of the first.
    pub first_seq: u64,
    /// How many there are.
    pub count: u64,
    /// Their JSON, each followed by a comma.
    pub events: Bytes,
    /// Whether they were there already.
    pub duplicate: bool,
}

/// What may change of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeChannel {
    /// How it behaves.
    Settings(ChannelSettings),
    /// Its secret; tokens signed with the old one end.
    Secret(Secret),
    /// It is deleted, and goes for good this much later.
    Delete {
        /// Milliseconds until its events go.
        grace_ms: u64,
    },
}

impl<D: Disk> Shard<D> {
    /// Creates a channel; replies [`Reply::Channel`].
    ///
    /// `user` owns it, if it is a user who makes it.
    pub fn create_channel(
        &mut self,
        now: Millis,
        ticket: Ticket,
        new: NewChannel,
        user: Option<Box<str>>,
    ) {
        let id = new.id;
        let name = id.room_name();
        let outcome = self.find(now, name.as_bytes()).and_then(|taken| {
            if taken.is_some() {
                return Err(Failure::new(Code::Exists, "the channel is there already"));
            }
            if self.log.len() >= self.limits.streams_max {
                let message = "the server has streams.max streams";
                return Err(Failure::new(Code::LimitReached, message));
            }
            self.check_new_room(&new.owner, 0)?;
            let json = ContentType::new("application/json");
            let create = Create {
                channel: Some(Box::new(new)),
                owner: user,
                ..Create::new(json, Lifetime::Unlimited)
            };
            self.stage_create(now, name.as_bytes(), &create, true, Payload::NONE)
        });
        match outcome {
            Ok(slot) => self.answer(Some(slot), ticket, Reply::Channel(id)),
            Err(failure) => self.refuse(ticket, failure),
        }
    }

    /// Finds a channel that is there, deleted or not, as far as everyone may know.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn find_channel(&mut self, now: Millis, id: ChannelId) -> Result<Option<SlotId>, Failure> {
        let slot = self.find(now, id.room_name().as_bytes())?;
        Ok(slot.filter(|slot| self.slots[slot.0 as usize].born))
    }

    fn channel_slot(&mut self, now: Millis, id: ChannelId) -> Result<SlotId, Failure> {
        let slot = self.find(now, id.room_name().as_bytes())?;
        slot.ok_or_else(no_channel)
    }

    /// Appends events; replies [`Reply::Events`].
    ///
    /// # Errors
    /// When cold data must be fetched first: an event that others are about, or the outcome of a
    /// repeated key. Nothing has changed, and no reply comes.
    pub fn append_events(
        &mut self,
        now: Millis,
        ticket: Ticket,
        id: ChannelId,
        new: &NewEvents<'_>,
    ) -> Result<(), Failure> {
        match self.stage_events(now, ticket, id, new) {
            Err(failure) if failure.cold.is_some() => return Err(failure),
            Err(failure) => self.refuse(ticket, failure),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Refuses a command for want of cold data, and has that fetched for the next try.
    pub fn refuse_cold(&mut self, ticket: Ticket, failure: Failure) {
        if let Some(want) = failure.cold {
            self.want_cold(want);
        }
        self.refuse(ticket, failure);
    }

    fn stage_events(
        &mut self,
        now: Millis,
        ticket: Ticket,
        id: ChannelId,
        new: &NewEvents<'_>,
    ) -> Result<(), Failure> {
        let slot = self.channel_slot(now, id)?;
        let room = &self.slots[slot.0 as usize].room;
        let author_id = new.events.first().map_or("", |event| event.author_id);
        let key = new.key.map(|key| KeyHash::of(author_id, key));
        let repeated = key.is_some_and(|key| room.first_outcome(key).is_some());
        let target = match new.target_seq {
            Some(seq) if !repeated => {
                room.check_target(seq).map_err(|error| refused(&error))?;
                Some(self.one_event(slot, seq)?)
            }
            Some(_) | None => None,
        };
        let answered = if repeated {
            Vec::new()
        } else {
            self.answered(slot, new.events)?
        };
        let replies: Vec<_> = answered.iter().map(target_of).collect();
        let room = &self.slots[slot.0 as usize].room;
        let append = EventAppend {
            count: new.events.len() as u64,
            kind: new.kind,
            author_id,
            rights: new.rights,
            key,
            target: target.as_ref().map(target_of),
            replies: &replies,
        };
        let decision = room
            .decide_event(&append)
            .map_err(|error| refused(&error))?;
        let floe_core::channel::Appended { first_seq, count } = decision.appended;
        let mut appended = Appended {
            channel: id,
            first_seq,
            count,
            events: Bytes::new(),
            duplicate: decision.record.is_none(),
        };
        let Some(record) = decision.record else {
            appended.events = self.events(slot, first_seq, count)?;
            self.answer(Some(slot), ticket, Reply::Events(appended));
            return Ok(());
        };
        let (bytes, lens) = compose(id, first_seq, now, new);
        let payload = Payload {
            bytes: &bytes,
            lens: &lens,
        };
        // Who deletes makes room, in the end.
        if new.kind != EventKind::Deletion {
            self.check_growth(slot, bytes.len() as u64)?;
        }
        let lsn = self.stage(slot, &record, payload, now)?;
        appended.events = bytes.into();
        let reply = Reply::Events(appended);
        self.queue(lsn, slot, Some((ticket, reply)));
        self.retain(slot, now);
        self.note_wake(slot);
        Ok(())
    }

    /// Changes a channel; replies [`Reply::Channel`].
    pub fn change_channel(
        &mut self,
        now: Millis,
        ticket: Ticket,
        id: ChannelId,
        change: &ChangeChannel,
    ) {
        let outcome = self.channel_slot(now, id).and_then(|slot| {
            let room = &self.slots[slot.0 as usize].room;
            let record = match change {
                ChangeChannel::Settings(settings) => room.decide_settings(*settings),
                ChangeChannel::Secret(secret) => room.decide_secret(secret.clone()).map(Some),
                ChangeChannel::Delete { grace_ms } => {
                    room.decide_channel_end(now, *grace_ms).map(Some)
                }
            };
            let record = record.map_err(|error| Failure::new(error.code(), error.to_string()))?;
            let Some(record) = record else {
                self.answer(Some(slot), ticket, Reply::Channel(id));
                return Ok(());
            };
            let lsn = self.stage(slot, &record, Payload::NONE, now)?;
            self.queue(lsn, slot, Some((ticket, Reply::Channel(id))));
            self.note_wake(slot);
            Ok(())
        });
        if let Err(failure) = outcome {
            self.refuse(ticket, failure);
        }
    }

    /// Reads the events that others answer, each once.
    fn answered(
        &self,
        slot: SlotId,
        events: &[NewEvent<'_>],
    ) -> Result<Vec<Event<'static>>, Failure> {
        let room = &self.slots[slot.0 as usize].room;
        let mut seqs: Vec<u64> = events.iter().filter_map(|event| event.reply_to).collect();
        seqs.sort_unstable();
        seqs.dedup();
        let read = seqs.into_iter().map(|seq| {
            room.check_target(seq).map_err(|error| refused(&error))?;
            self.one_event(slot, seq)
        });
        read.collect()
    }

    /// Reads one event of a room.
    fn one_event(&self, slot: SlotId, seq: u64) -> Result<Event<'static>, Failure> {
        let bytes = self.events(slot, seq, 1)?;
        let json = bytes.strip_suffix(b",").unwrap_or(&bytes);
        Event::parse(json)
            .map(Event::into_owned)
            .ok_or_else(|| Failure::new(Code::Corrupt, "an event does not parse"))
    }

    /// Reads events of a room, staged or durable, as they stand in the log.
    fn events(&self, slot: SlotId, first_seq: u64, count: u64) -> Result<Bytes, Failure> {
        let room = &self.slots[slot.0 as usize].room;
        let mut all = Vec::new();
        let mut next = first_seq.saturating_sub(1).max(room.start());
        let end = (first_seq - 1)
            .saturating_add(count)
            .min(room.staged().tail);
        while next < end {
            let chunk = self
                .log
                .read(room.id(), next, end, usize::MAX)
                .map_err(|error| read_failure(&error))?;
            if chunk.next <= next {
                return Err(Failure::new(Code::Internal, "a read made no progress"));
            }
            next = chunk.next;
            read_parts(&chunk.parts, &mut all).map_err(|error| read_failure(&error.into()))?;
        }
        Ok(all.into())
    }

    /// Notes when the room must be looked at, be it that nobody uses it or that it never rests.
    pub(super) fn note_wake(&mut self, id: SlotId) {
        let room = &self.slots[id.0 as usize].room;
        if let Some(wake_at) = room.wake_at() {
            self.log.set_wake(room.id(), Some(wake_at));
        }
    }

    /// Stages what retention drops, if it drops anything.
    pub(super) fn retain(&mut self, id: SlotId, now: Millis) {
        let room = &self.slots[id.0 as usize].room;
        if let Some(record) = room.decide_retention(now)
            && let Ok(lsn) = self.stage(id, &record, Payload::NONE, now)
        {
            // What finds no space now is dropped with the next event.
            self.queue(lsn, id, None);
        }
    }
}

/// Writes the events as they stand in the log, and how long each is.
fn compose(id: ChannelId, first_seq: u64, now: Millis, new: &NewEvents<'_>) -> (Vec<u8>, Vec<u32>) {
    let lens = new.events.iter().map(|event| event.bytes() + EVENT_BYTES);
    let mut bytes = Vec::with_capacity(lens.sum());
    let mut lens = Vec::with_capacity(new.events.len());
    for (seq, event) in (first_seq..).zip(new.events) {
        let start = bytes.len();
        let event = Event {
            seq,
            kind: new.kind,
            author_id: event.author_id.into(),
            content: event.content.map(Into::into),
            target_seq: new.target_seq,
            reply_to: event.reply_to,
            data: event.data.map(Into::into),
            removed: new.removed,
            created_at: now,
            deleted: false,
        };
        event.write_json(id, &mut bytes);
        bytes.push(b',');
        lens.push((bytes.len() - start) as u32);
    }
    (bytes, lens)
}

/// Bytes of an event besides its content, about.
const EVENT_BYTES: usize = 160;

fn target_of<'a>(event: &'a Event<'_>) -> Target<'a> {
    Target {
        seq: event.seq,
        author_id: &event.author_id,
        kind: event.kind,
    }
}

fn refused(error: &EventError) -> Failure {
    Failure::new(error.code(), error.to_string())
}

fn no_channel() -> Failure {
    Failure::new(Code::NotFound, "there is no such channel")
}
