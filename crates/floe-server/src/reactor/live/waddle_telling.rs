//! What a waddle has to tell a WebSocket that is for it alone: how its users are, what changes in it, and
//! broadcasts.

use bytes::Bytes;
use floe_core::live::{Live as LiveState, ToldStatuses};
use floe_log::Disk;
use floe_proto::{Code, Rights};
use floe_surfaces::channels::Hidden;
use floe_surfaces::community::Carrier;
use floe_surfaces::community::channel::write_reload;
use floe_surfaces::community::waddle::{
    write_broadcasts_missed, write_changes, write_presence_count, write_presence_state,
    write_presence_update,
};

use super::channel_telling::Of;
use super::community::CommunityRoom;
use super::telling::{NOTHING_SEEN, Next, SharedFrames, Wire};
use super::waddle::WaddleSession;
use super::{Join, Live, Reactor};
use crate::shard::{Failure, SlotId};

impl<D: Disk> Reactor<D> {
    /// Returns what comes next for a WebSocket of a waddle.
    pub(super) fn next_of_waddle(
        &mut self,
        at: usize,
        place: usize,
        shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        let Some((session, join, form)) = self.of_waddle(at, place) else {
            return Ok(Next::Nothing);
        };
        if let Some((oldest, head)) = session.reload {
            let mut out = Vec::new();
            form.carrier
                .message(&mut out, None, |out| write_reload(out, oldest, head));
            let bytes = self.pack(out, form);
            return Ok(self.moved_waddle(at, place, bytes, |session, _| session.reload = None));
        }
        let slot = join.slot;
        let versions = self.shard.live(slot).map(LiveState::versions);
        let versions = versions.unwrap_or_default();
        if session.statuses_seen != versions.statuses {
            let from = session.statuses_seen;
            let bytes = self.statuses_frame(slot, from, join.user.as_deref(), form, shared)?;
            return Ok(self.moved_waddle(at, place, bytes, |session, _| {
                session.statuses_seen = versions.statuses;
            }));
        }
        if join.next < self.shard.room(slot).visible().tail {
            let from = join.next;
            let shows_bans = join
                .rights
                .intersects(Rights::DELETE_ANY.with(Rights::MANAGE));
            let frame = shared.room_frame((form, Of::Changes(shows_bans), from), || {
                self.waddle_changes(slot, from, shows_bans, form)
            })?;
            return Ok(self.moved_waddle(at, place, frame.bytes, |_, join| join.next = frame.to));
        }
        if session.broadcasts_seen == NOTHING_SEEN && versions.broadcasts != NOTHING_SEEN {
            return Ok(self.moved_waddle(at, place, Bytes::new(), |session, _| {
                session.broadcasts_seen = versions.broadcasts;
            }));
        }
        if session.broadcasts_seen != versions.broadcasts {
            let from = session.broadcasts_seen;
            let frame = shared.room_frame::<Failure>((form, Of::Broadcasts, from), || {
                let out = self.broadcasts(slot, from, form.carrier);
                Ok((versions.broadcasts, self.pack(out, form)))
            })?;
            return Ok(self.moved_waddle(at, place, frame.bytes, |session, _| {
                session.broadcasts_seen = frame.to;
            }));
        }
        Ok(Next::Nothing)
    }

    fn of_waddle(&self, at: usize, place: usize) -> Option<(&WaddleSession, &Join, Wire)> {
        let live = self.live_ref(at)?;
        let CommunityRoom::Waddle(session) = &live.community()?.room else {
            return None;
        };
        Some((session, live.joins.get(place)?, live.wire()))
    }

    fn moved_waddle(
        &mut self,
        at: usize,
        place: usize,
        bytes: Bytes,
        moved: impl FnOnce(&mut WaddleSession, &mut Join),
    ) -> Next {
        if let Some(live) = self.live_mut(at)
            && let Some((session, join)) = live.waddle_mut(place)
        {
            moved(session, join);
        }
        Next::Send(bytes)
    }

    /// Writes how users are, to others than themselves.
    fn statuses_frame(
        &self,
        slot: SlotId,
        from: u64,
        reader: Option<&str>,
        form: Wire,
        shared: &mut SharedFrames,
    ) -> Result<Bytes, Failure> {
        let Some(statuses) = self.shard.live(slot).map(|live| &live.statuses) else {
            return Ok(Bytes::new());
        };
        let version = statuses.version();
        let make = |own: Option<&str>| {
            let changes = statuses.changes_since(from);
            let mut out = Vec::new();
            match &changes.told {
                ToldStatuses::Delta(delta) => {
                    for shown in delta.iter().filter(|shown| Some(shown.user) != own) {
                        form.carrier
                            .message(&mut out, None, |out| write_presence_update(out, shown));
                    }
                }
                ToldStatuses::All(all) => {
                    form.carrier
                        .message(&mut out, None, |out| write_presence_state(out, all));
                }
                ToldStatuses::CountOnly => form.carrier.message(&mut out, None, |out| {
                    write_presence_count(out, changes.count as u64);
                }),
            }
            self.pack(out, form)
        };
        // Few readers are among those whose status changed, and only they are told something else.
        let is_first = from == NOTHING_SEEN;
        let changed = reader.is_some_and(|user| statuses.has_changed(user, from));
        if changed && !is_first {
            return Ok(make(reader));
        }
        let frame = shared
            .room_frame::<Failure>((form, Of::Statuses, from), || Ok((version, make(None))))?;
        Ok(frame.bytes)
    }

    fn waddle_changes(
        &self,
        slot: SlotId,
        from: u64,
        shows_bans: bool,
        form: Wire,
    ) -> Result<(u64, Bytes), Failure> {
        let bytes_max = self.limits.sse_event_bytes_max;
        let (messages, next) =
            self.visible_events(slot, from, u64::MAX, bytes_max, Hidden::Mark)?;
        let mut out = Vec::new();
        if !write_changes(&mut out, form.carrier, from + 1, &messages, shows_bans) {
            let message = "a message of the waddle is no change";
            return Err(Failure::new(Code::Corrupt, message));
        }
        Ok((next, self.pack(out, form)))
    }

    fn broadcasts(&self, slot: SlotId, from: u64, carrier: Carrier) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(live) = self.shard.live(slot) else {
            return out;
        };
        let (missed, broadcasts) = live.broadcasts.since(from);
        if missed > 0 {
            carrier.message(&mut out, None, |out| write_broadcasts_missed(out, missed));
        }
        for frame in broadcasts {
            carrier.message(&mut out, None, |out| out.extend_from_slice(frame));
        }
        out
    }
}

impl Live {
    fn waddle_mut(&mut self, place: usize) -> Option<(&mut WaddleSession, &mut Join)> {
        let join = self.joins.get_mut(place)?;
        match &mut self.purpose.community_mut()?.room {
            CommunityRoom::Waddle(session) => Some((session, join)),
            CommunityRoom::Voice(_) | CommunityRoom::Channel(_) => None,
        }
    }
}
