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

    /// Returns whether some channel has moved that the view was not given.
    pub fn has_unviewed(&self) -> bool {
        !self.unviewed.is_empty()
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
        let oldest = self.unviewed.front().map(|entry| entry.since);
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
    pub fn take_unviewed(
        &mut self,
        events_max: u64,
        bytes_max: usize,
    ) -> (Option<u64>, Vec<Handed<D::File>>) {
        let mut batch = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        let oldest = self.unviewed.front().map(|entry| entry.number);
        let mut asked = Vec::new();
        while events < events_max && bytes < bytes_max && batch.len() < ROOMS_MAX {
            let Some(entry) = self.unviewed.pop_front() else {
                break;
            };
            let handed = match self.hand(entry.slot, bytes_max - bytes) {
                Ok(Some(handed)) => handed,
                Ok(None) => {
                    self.settle_viewed(entry.slot);
                    continue;
                }
                Err(want) => {
                    // It keeps its place until the data was fetched.
                    self.want_cold(want);
                    asked.push(entry);
                    break;
                }
            };
            events += handed.events;
            bytes += handed
                .parts
                .iter()
                .map(|part| part.len() as usize)
                .sum::<usize>();
            let slot = &mut self.slots[entry.slot.0 as usize];
            let whole = match handed.first_seq {
                Some(first_seq) => {
                    slot.viewed = first_seq - 1 + handed.events;
                    slot.viewed >= slot.room.visible().tail
                }
                None => handed.purged,
            };
            batch.push(handed);
            if !whole {
                asked.push(entry);
            }
        }
        let whole = batch.iter().map(|handed| handed.slot);
        let whole: Vec<_> = whole
            .filter(|slot| asked.iter().all(|entry| entry.slot != *slot))
            .collect();
        for entry in asked.into_iter().rev() {
            self.unviewed.push_front(entry);
        }
        for slot in whole {
            self.settle_viewed(slot);
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
            && slot.viewed == UNKNOWN
        {
            slot.viewed = seq;
        }
    }

    /// Forgets how far the view is: it has lost everything.
    pub fn forget_viewed(&mut self) {
        for (_, slot) in &mut self.slots {
            slot.viewed = UNKNOWN;
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

    /// Returns the newest visible sequence number of a channel, if it is there.
    pub fn channel_seq(&mut self, now: Millis, channel: ChannelId) -> Option<u64> {
        let slot = self.find_channel(now, channel).ok()??;
        Some(self.slots[slot.0 as usize].room.visible().tail)
    }

    /// Returns news of one channel, if there is something to hand out, or what must be fetched
    /// first.
    fn hand(&self, id: SlotId, bytes_max: usize) -> Result<Option<Handed<D::File>>, ColdWant> {
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
        let to = slot.room.visible().tail;
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

/// Channels of one batch.
const ROOMS_MAX: usize = 4_096;
