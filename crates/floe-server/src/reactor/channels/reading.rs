//! Reading a channel's events: a page, once they come, or all that follow.

use floe_core::{Room, Start};
use floe_log::{Disk, Part};
use floe_proto::{ChannelId, Code, Rights};
use floe_surfaces::access::Grant;
use floe_surfaces::channels::{self, Form, Hidden, Presences, Read, redact, split_events};

use super::{Reactor, envelope, no_channel};
use crate::reactor::conn::{Context, Following};
use crate::reactor::live::member;
use crate::shard::{Failure, Fetched, SlotId};

/// Events of a channel as one reader may see them.
#[derive(Debug, Default)]
pub struct EventsRead {
    /// Their JSON in the order in which they are shown, each followed by a comma.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub events: u64,
    /// The unit after the last one looked at.
    pub next: u64,
    /// Whether one that the reader may see follows.
    pub has_more: bool,
}

impl<D: Disk> Reactor<D> {
    /// Answers with a page of events from the log.
    pub(super) fn read_events(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        grant: &Grant,
        id: ChannelId,
        read: &Read,
    ) {
        let start = read.after_seq.filter(|seq| *seq > 0);
        let hidden = hidden_for(form, grant.rights);
        let page = self.plan_events(id, start).and_then(|(slot, from)| {
            let tail = self.shard.room(slot).visible().tail;
            let before = read.before_seq.map(|seq| seq.saturating_sub(1));
            let to = before.map_or(tail, |to| to.min(tail));
            if read.newest_first {
                self.newest_events(slot, from, to, read.limit, hidden)
            } else {
                self.oldest_events(slot, from, to, read.limit, hidden)
            }
        });
        match page {
            Ok(page) => {
                self.show(at, context, |out, envelope| {
                    let events = std::iter::once(&page.bytes[..]);
                    channels::write_events(out, envelope, events, page.has_more);
                });
            }
            Err(failure) => self.refuse_channel(at, context, form, failure),
        }
    }

    /// Follows a channel by server-sent events.
    pub(super) fn subscribe(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        grant: &Grant,
        id: ChannelId,
        after_seq: u64,
    ) {
        if context.old {
            let message = "server-sent events come in chunks, which HTTP/1.0 has not";
            let failure = Failure::new(Code::InvalidRequest, message);
            return self.refuse_channel(at, context, form, failure);
        }
        let following = Following::Channel {
            form,
            hidden: hidden_for(form, grant.rights),
            limit: 0,
        };
        let name = id.room_name();
        let start = start_after(after_seq);
        let begun = self
            .shard
            .plan_read(self.clock.wall, name.as_bytes(), start)
            .and_then(|plan| self.start_channel_sse(at, context, plan, (form, following), id));
        if let Err(failure) = begun {
            self.refuse_channel(at, context, form, failure);
        }
    }

    /// Answers with the events after one, once there are any.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn poll_events(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        grant: &Grant,
        id: ChannelId,
        after_seq: u64,
        limit: u32,
    ) {
        let following = Following::Channel {
            form,
            hidden: hidden_for(form, grant.rights),
            limit,
        };
        let name = id.room_name();
        let start = start_after(after_seq);
        match self
            .shard
            .plan_read(self.clock.wall, name.as_bytes(), start)
        {
            Ok(plan) if plan.span.from < plan.span.edge.tail => {
                self.answer_polled(at, context, plan.slot, plan.span.from, following);
            }
            Ok(plan) => self.start_long_poll(at, context, plan, 0, following),
            Err(failure) => self.refuse_channel(at, context, form, failure),
        }
    }

    /// Answers a long-poll of a channel with what there is.
    pub(in crate::reactor) fn answer_polled(
        &mut self,
        at: usize,
        context: Context,
        slot: SlotId,
        from: u64,
        following: Following,
    ) {
        let Following::Channel {
            form,
            hidden,
            limit,
            ..
        } = following
        else {
            return;
        };
        let tail = self.shard.room(slot).visible().tail;
        match self.oldest_events(slot, from, tail, limit, hidden) {
            Ok(page) => self.show(at, context, |out, envelope| {
                let events = std::iter::once(&page.bytes[..]);
                channels::write_polled(out, envelope, events, page.next, page.has_more);
            }),
            Err(failure) => self.answer_channel_failure(at, context, form, &failure),
        }
    }

    /// Answers with a page of those who are in a channel.
    pub(super) fn list_members(
        &mut self,
        at: usize,
        context: Context,
        form: Form,
        id: ChannelId,
        asked: &Presences,
    ) {
        let slot = match self.shard.find_channel(self.clock.wall, id) {
            Ok(Some(slot)) => slot,
            Ok(None) => return self.refuse_channel(at, context, form, no_channel()),
            Err(failure) => return self.refuse_channel(at, context, form, failure),
        };
        let live = self.shard.live(slot);
        let limit = asked.limit as usize;
        let page = live.map_or_else(Vec::new, |live| {
            live.presence.page(asked.after.as_deref(), limit)
        });
        let members = page.iter().map(member);
        let members: Vec<_> = members.collect();
        let presence = channels::Presence {
            channel: id,
            count: live.map_or(0, |live| live.presence.count() as u64),
            members: &members,
            next: page
                .last()
                .filter(|_| page.len() == limit)
                .map(|member| member.user),
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        channels::write_presence(&mut self.out, &envelope, &presence);
        self.answer(at, context);
    }

    /// Finds a channel's room and the unit that a read after an event begins with.
    fn plan_events(
        &mut self,
        id: ChannelId,
        after_seq: Option<u64>,
    ) -> Result<(SlotId, u64), Failure> {
        let name = id.room_name();
        let plan = self
            .shard
            .plan_read(self.clock.wall, name.as_bytes(), Start::Oldest)?;
        let oldest = plan.span.from;
        match after_seq {
            Some(seq) if seq < oldest => Err(Failure::new(
                Code::OffsetExpired,
                format!("the oldest event that is kept is {}", oldest + 1),
            )),
            Some(seq) => Ok((plan.slot, seq.min(plan.span.edge.tail))),
            None => Ok((plan.slot, oldest)),
        }
    }

    /// Reads at most `limit` events from unit `from` on that the reader may see, the oldest first.
    fn oldest_events(
        &self,
        slot: SlotId,
        from: u64,
        to: u64,
        limit: u32,
        hidden: Hidden,
    ) -> Result<EventsRead, Failure> {
        let limit = u64::from(limit);
        let mut left = self.limits.read_chunk_bytes_max;
        let mut read = EventsRead {
            next: from,
            ..EventsRead::default()
        };
        while read.next < to && !read.has_more {
            if left == 0 {
                read.has_more = true;
                break;
            }
            // One more than wanted says whether there is more.
            let wanted = limit - read.events + 1;
            let wanted = if read.next == from {
                wanted
            } else {
                wanted.max(LOOK_STEP)
            };
            let end = to.min(read.next.saturating_add(wanted));
            let looked = self.look(slot, read.next, end, left, hidden)?;
            left = left.saturating_sub(looked.bytes);
            read.next = looked.next;
            for (seq, event) in split_events(&looked.events) {
                if read.events == limit {
                    read.has_more = true;
                    read.next = seq - 1;
                    break;
                }
                read.push(event);
            }
        }
        if read.has_more && read.events == 0 {
            self.push_last(slot, &mut read)?;
        }
        Ok(read)
    }

    /// Shows the last of more hidden events than one answer looks at, as a stub: the form that
    /// leaves them out knows no cursor but the number of an event, and must get on.
    fn push_last(&self, slot: SlotId, read: &mut EventsRead) -> Result<(), Failure> {
        let looked = self.look(slot, read.next - 1, read.next, usize::MAX, Hidden::Stub)?;
        for (_, event) in split_events(&looked.events) {
            read.push(event);
        }
        Ok(())
    }

    /// Reads at most `limit` events that end before unit `to`, the newest first.
    fn newest_events(
        &self,
        slot: SlotId,
        from: u64,
        to: u64,
        limit: u32,
        hidden: Hidden,
    ) -> Result<EventsRead, Failure> {
        let limit = u64::from(limit);
        let bytes_max = self.limits.read_chunk_bytes_max;
        let mut read = EventsRead {
            next: to,
            ..EventsRead::default()
        };
        while read.next > from && !read.has_more {
            if read.events == limit {
                read.has_more = true;
                break;
            }
            let step = (limit - read.events).min(LOOK_STEP);
            let first = read.next.saturating_sub(step).max(from);
            let mut events = Vec::new();
            let mut next = first;
            while next < read.next {
                let looked = self.look(slot, next, read.next, bytes_max, hidden)?;
                events.extend_from_slice(&looked.events);
                next = looked.next;
            }
            read.next = first;
            let mut newest: Vec<_> = split_events(&events).collect();
            newest.reverse();
            for (_, event) in newest {
                let is_over = read.bytes.len() + event.len() > bytes_max;
                if is_over && read.events > 0 {
                    read.has_more = true;
                    break;
                }
                read.push(event);
            }
        }
        Ok(read)
    }

    /// Reads units of any room as a stream shows them: what was deleted of a channel is a stub.
    pub(in crate::reactor) fn fetch_shown(
        &self,
        slot: SlotId,
        from: u64,
        bytes_max: usize,
    ) -> Result<Fetched<D::File>, Failure> {
        let fetched = self.shard.fetch(slot, from, bytes_max)?;
        let room = self.shard.room(slot);
        if !room.redacts(from, fetched.next) {
            return Ok(fetched);
        }
        let next = fetched.next;
        let bytes = fetched.to_vec().map_err(|error| unreadable(&error))?;
        let bytes = without_hidden(room, from, next, bytes, Hidden::Stub);
        Ok(Fetched {
            bytes: bytes.len() as u64,
            parts: vec![Part::Memory(bytes.into())],
            next,
        })
    }

    /// Reads events as they stand in the log, without what the reader may not see; returns the
    /// unit after the last one, too.
    pub(in crate::reactor) fn visible_events(
        &self,
        slot: SlotId,
        from: u64,
        to: u64,
        bytes_max: usize,
        hidden: Hidden,
    ) -> Result<(Vec<u8>, u64), Failure> {
        let looked = self.look(slot, from, to, bytes_max, hidden)?;
        Ok((looked.events, looked.next))
    }

    fn look(
        &self,
        slot: SlotId,
        from: u64,
        to: u64,
        bytes_max: usize,
        hidden: Hidden,
    ) -> Result<Looked, Failure> {
        let fetched = self.shard.fetch_until(slot, from, to, bytes_max)?;
        let bytes = fetched.to_vec().map_err(|error| unreadable(&error))?;
        let room = self.shard.room(slot);
        Ok(Looked {
            bytes: bytes.len(),
            events: without_hidden(room, from, fetched.next, bytes, hidden),
            next: fetched.next,
        })
    }
}

impl EventsRead {
    fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.bytes.push(b',');
        self.events += 1;
    }
}

/// A part of the log as a reader may see it.
struct Looked {
    /// The events that may be seen, each followed by a comma.
    events: Vec<u8>,
    /// How many bytes all of them have in the log.
    bytes: usize,
    /// The unit after the last one.
    next: u64,
}

/// Events looked at in one step, so that what is hidden is not looked at one by one.
const LOOK_STEP: u64 = 64;

/// Takes out of the bytes of a room's units what a reader may not see.
pub(in crate::reactor) fn without_hidden(
    room: &Room,
    from: u64,
    to: u64,
    bytes: Vec<u8>,
    hidden: Hidden,
) -> Vec<u8> {
    if !room.redacts(from, to) {
        return bytes;
    }
    redact(&bytes, &|seq| seq > 0 && room.hides(seq - 1), hidden).bytes
}

/// Notes that stored bytes could not be read; returns what the reader is told.
pub(in crate::reactor) fn unreadable(error: &std::io::Error) -> Failure {
    tracing::error!(%error, "a read failed");
    Failure::new(Code::Internal, "the server could not read its log")
}

/// Returns how deleted events are shown to whoever asks in a form and with these rights.
fn hidden_for(form: Form, rights: Rights) -> Hidden {
    if rights.contains(Rights::READ_DELETED) {
        Hidden::Mark
    } else if form.is_kept() {
        Hidden::Omit
    } else {
        Hidden::Stub
    }
}

/// Returns where events after one begin; those after none are all that are kept.
fn start_after(after_seq: u64) -> Start {
    if after_seq == 0 {
        Start::Oldest
    } else {
        Start::At(after_seq)
    }
}
