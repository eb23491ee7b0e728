//! What the SQL view does not have yet: one entry a channel, however far it has moved.

use floe_log::{ColdWant, Disk, DiskFile, Part, ReadError};
use floe_proto::{ChannelId, ChannelMeta, Millis, RoomId};

use super::{Failure, Shard, SlotId};

/// A channel's news for the view.
#[derive(Debug)]
pub struct Handed<F> {
    /// The room it came from, for [`Shard::viewed`].
    pub slot: SlotId,
    /// What is known of the channel now.
    pub meta: ChannelMeta,
    /// Place of the first event; `None` where the view must say first how far it is.
    pub first_seq: Option<u64>,
    /// Whether the channel is gone for good.
    pub purged: bool,
    parts: Vec<Part<F>>,
    events: u64,
}

/// A room that the view must look at.
#[derive(Debug)]
pub(super) struct Unviewed {
    /// Rooms that came before have smaller numbers.
    number: u64,
    slot: SlotId,
    since: Millis,
}

/// How far the view is in a room that nobody knows it of.
pub(super) const UNKNOWN: u64 = u64::MAX;

impl<F: DiskFile> Handed<F> {
    /// Returns how many events there are.
    pub fn events(&self) -> u64 {
        self.events
    }

    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.len() as usize).sum()
    }

    /// Reads the events: their JSON, each followed by a comma.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut all = Vec::new();
        super::fetch::read_parts(&self.parts, &mut all)?;
        Ok(all)
    }
}

impl<D: Disk> Shard<D> {
    /// Begins to note which channels moved, for a view.
    pub fn note_for_view(&mut self) {
        self.viewing = true;
    }

    /// Returns how many channels have moved that the view was not given.
    pub fn unviewed_len(&self) -> usize {
        self.unviewed.len()
    }

    /// Returns the events that the view was not given, and since when the oldest channel waits.
    pub fn unviewed(&self) -> (u64, Option<Millis>) {
        let events = self.unviewed.iter().map(|entry| {
            let slot = &self.slots[entry.slot.0 as usize];
            let tail = slot.room.visible().tail;
            match slot.viewed {
                UNKNOWN => tail - slot.room.start(),
                viewed => tail.saturating_sub(viewed),
            }
        });
        let oldest = self.unviewed.iter().map(|entry| entry.since).min();
        (events.sum(), oldest)
    }

    /// Returns the number of the oldest channel that waits, or the next one's if none does.
    pub fn view_mark(&self) -> u64 {
        let oldest = self.unviewed.front().map(|entry| entry.number);
        oldest.unwrap_or(self.next_unviewed)
    }

    /// Returns the number that the next channel to move gets: all that is visible now waits with
    /// smaller ones.
    pub fn next_view_mark(&self) -> u64 {
        self.next_unviewed
    }

    /// Notes that a room moved, if it is a channel.
    pub(super) fn note_unviewed(&mut self, id: SlotId, now: Millis) {
        let slot = &mut self.slots[id.0 as usize];
        if !self.viewing || slot.unviewed || slot.room.channel().is_none() {
            return;
        }
        slot.unviewed = true;
        self.unviewed.push_back(Unviewed {
            number: self.next_unviewed,
            slot: id,
            since: now,
        });
        self.next_unviewed += 1;
    }

    /// Notes that the view lacks something of a channel.
    pub fn mark_unviewed(&mut self, now: Millis, channel: ChannelId) {
        // A channel that cannot be read is reported where it is read; here it can only be left out.
        if let Ok(Some(slot)) = self.find(now, channel.room_name().as_bytes()) {
            self.note_unviewed(slot, now);
        }
    }

    /// Takes news for the view: about `events_max` events of `bytes_max` bytes. Returns the number
    /// of the oldest channel among them, too.
    ///
    /// Channels take turns, so that one that moves faster than the view holds up no other. One that
    /// has more waits again, as if it had moved only now: what is known of it has been handed out.
    pub fn take_unviewed(
        &mut self,
        events_max: u64,
        bytes_max: usize,
    ) -> (Option<u64>, Vec<Handed<D::File>>) {
        let mut batch = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        let oldest = self.unviewed.front().map(|entry| entry.number);
        let mut stay = Vec::new();
        let mut cold = 0;
        while events < events_max && bytes < bytes_max && batch.len() < ROOMS_MAX {
            let Some(mut entry) = self.unviewed.pop_front() else {
                break;
            };
            let share = (events_max / SHARES).max(1).min(events_max - events);
            let handed = match self.hand(entry.slot, share, bytes_max - bytes) {
                Ok(Some(handed)) => handed,
                Ok(None) => {
                    self.settle_viewed(entry.slot);
                    continue;
                }
                Err(want) => {
                    // It keeps its place until the data was fetched.
                    self.want_cold(want);
                    stay.push(entry);
                    cold += 1;
                    if cold == COLD_MAX {
                        break;
                    }
                    continue;
                }
            };
            events += handed.events;
            bytes += handed.bytes();
            let slot = &mut self.slots[entry.slot.0 as usize];
            if let Some(first_seq) = handed.first_seq {
                slot.viewed = first_seq - 1 + handed.events;
            }
            match handed.first_seq {
                _ if handed.purged => self.settle_viewed(entry.slot),
                None => stay.push(entry),
                Some(_) if slot.viewed >= slot.room.visible().tail => {
                    self.settle_viewed(entry.slot);
                }
                Some(_) => {
                    entry.number = self.next_unviewed;
                    self.next_unviewed += 1;
                    self.unviewed.push_back(entry);
                }
            }
            batch.push(handed);
        }
        for entry in stay.into_iter().rev() {
            self.unviewed.push_front(entry);
        }
        (oldest, batch)
    }

    /// Notes how far the view is in a room.
    pub fn viewed(&mut self, id: SlotId, channel: ChannelId, seq: u64) {
        // Its place may be another room's by now.
        if let Some(slot) = self.slots.get_mut(id.0 as usize)
            && slot
                .room
                .channel()
                .is_some_and(|there| there.id() == channel)
        {
            slot.applied = seq;
            if slot.viewed == UNKNOWN {
                slot.viewed = seq;
            }
        }
    }

    /// Returns whether the view has an event; one of a channel that is not there is not waited for.
    ///
    /// Where nobody knows how far the view is, it will be found out.
    pub fn is_viewed(&mut self, now: Millis, channel: ChannelId, seq: u64) -> bool {
        let Ok(Some(id)) = self.find_channel(now, channel) else {
            return true;
        };
        let slot = &self.slots[id.0 as usize];
        if slot.applied == UNKNOWN {
            self.note_unviewed(id, now);
            return false;
        }
        slot.applied >= seq
    }

    /// Forgets how far the view is: it has lost everything.
    pub fn forget_viewed(&mut self) {
        for (_, slot) in &mut self.slots {
            slot.viewed = UNKNOWN;
            slot.applied = UNKNOWN;
        }
    }

    /// Returns what is known of the channel of a room; `None` where it is no channel's.
    ///
    /// # Errors
    /// When the room's state cannot be read.
    pub fn channel_meta(&self, room: RoomId) -> Result<Option<ChannelMeta>, Failure> {
        Ok(self.load_state(room)?.channel_meta())
    }

    /// Returns whether a room is there.
    pub fn has_room(&self, room: RoomId) -> bool {
        self.log.end(room).is_some()
    }

    /// Returns news of one channel, if there is something to hand out, or what must be fetched
    /// first.
    fn hand(
        &self,
        id: SlotId,
        events_max: u64,
        bytes_max: usize,
    ) -> Result<Option<Handed<D::File>>, ColdWant> {
        let slot = &self.slots[id.0 as usize];
        let Some(meta) = slot.room.channel_meta() else {
            return Ok(None);
        };
        let mut handed = Handed {
            slot: id,
            first_seq: None,
            purged: slot.gone,
            parts: Vec::new(),
            events: 0,
            meta,
        };
        if slot.gone || slot.viewed == UNKNOWN {
            return Ok(Some(handed));
        }
        let from = slot.viewed.max(slot.room.start());
        let to = slot
            .room
            .visible()
            .tail
            .min(from.saturating_add(events_max));
        handed.first_seq = Some(from + 1);
        if from < to {
            match self.log.read(slot.room.id(), from, to, bytes_max) {
                Ok(chunk) => {
                    handed.events = chunk.next - from;
                    handed.parts = chunk.parts;
                }
                Err(ReadError::Cold(want)) => return Err(want),
                Err(error) => {
                    // Damage is reported to whoever reads; the view goes on with what there is.
                    tracing::error!(%error, "the view could not be given a channel's events");
                    return Ok(None);
                }
            }
        }
        Ok(Some(handed))
    }

    fn settle_viewed(&mut self, id: SlotId) {
        self.slots[id.0 as usize].unviewed = false;
        self.drop_if_gone(id);
    }
}

/// Entries of one batch.
const ROOMS_MAX: usize = 4_096;
/// Channels that share a batch in which all have much.
const SHARES: u64 = 8;
/// Channels whose cold data is asked for at once, while others are handed out.
const COLD_MAX: usize = 64;
