//! Readers that wait: long-polls and server-sent events.

use bytes::Bytes;
use floe_core::live::Leave;
use floe_core::{Edge, Span};
use floe_log::Disk;
use floe_proto::{CURSOR_EPOCH_MS, CURSOR_INTERVAL_MS, ChannelId, Code};
use floe_surfaces::channels::{self, Form, Hidden, split_events};
use floe_surfaces::streams::{self, SseControl, SseStyle};

use super::channels::{unreadable, without_hidden};
use super::conn::{Context, Following, LongPoll, Place, Sse, State, next_generation};
use super::live::{PolledKind, SharedFrames};
use super::{Reactor, envelope};
use crate::shard::{Failure, ReadPlan, Since, SlotId, Ticket};

/// One pass over the readers of a stream that moved.
#[derive(Debug)]
pub struct Pass {
    pub(super) slot: SlotId,
    pub(super) readers: Vec<Ticket>,
    /// Since when they have something to be told.
    since: Since,
    /// The visible edge when the pass began.
    edge: Edge,
    /// The next reader.
    pub(super) at: usize,
    /// Readers before it that stay parked.
    kept: usize,
    /// Whether one of those may have left.
    left: bool,
    pub(super) shared: Shared,
}

/// What readers at the same place are sent.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) frame: Option<Frame>,
    pub(super) live: SharedFrames,
}

/// Readers served in one turn of the loop.
const DELIVER_STEP: usize = 32;
/// Readers of one stream served before another stream's are.
const SLICE_STEP: usize = 32;

/// Events encoded for one reader, as they are for every other at the same place.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    from: u64,
    cursor_min: u64,
    following: Following,
    pub(super) bytes: Bytes,
    next: u64,
    /// Whether the stream ends with it.
    pub(super) ends: bool,
}

impl<D: Disk> Reactor<D> {
    /// Answers a long-poll at the tail, or parks it there.
    pub(super) fn start_long_poll(
        &mut self,
        at: usize,
        context: Context,
        plan: ReadPlan,
        cursor: u64,
        following: Following,
    ) {
        if plan.span.edge.closed {
            self.out.clear();
            let envelope = envelope(&mut self.clock, self.conns.get(at), context);
            streams::write_up_to_date(&mut self.out, &envelope, plan.span.edge, cursor);
            return self.answer(at, context);
        }
        if let Err(failure) = self.admit_poller(at, plan.slot) {
            return self.answer_failure(at, context, &failure);
        }
        let poll = LongPoll {
            context: context.brief(),
            slot: plan.slot,
            from: plan.span.from,
            cursor,
            following,
        };
        self.park(
            at,
            State::LongPoll(poll),
            plan.slot,
            self.limits.long_poll_timeout_ms,
        );
    }

    /// Begins an event stream.
    pub(super) fn start_sse(&mut self, at: usize, context: Context, plan: ReadPlan, cursor: u64) {
        if let Err(failure) = self.admit_reader(at, plan.slot) {
            return self.answer_failure(at, context, &failure);
        }
        let style = SseStyle::of(self.shard.room(plan.slot).content_type());
        let sse = Sse {
            slot: plan.slot,
            next: plan.span.from,
            cursor_min: if cursor > self.interval() { cursor } else { 0 },
            style,
            following: Following::Stream,
            close: context.close,
            ends_ms: self.sse_ends_ms(at),
        };
        self.out.clear();
        streams::write_sse_head(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
            style,
        );
        self.begin_sse(at, context, sse);
    }

    /// Returns the uptime at which an event stream that begins now ends: at its bound, or with what
    /// its client has shown.
    fn sse_ends_ms(&self, at: usize) -> u64 {
        let bound_ms = self.clock.uptime_ms + self.limits.sse_timeout_ms;
        let opened = self.conns[at].session.as_ref();
        let end = opened.and_then(|opened| opened.session.caller().ends_at);
        end.map_or(bound_ms, |end| bound_ms.min(self.uptime_of(end)))
    }

    /// Begins the event stream of a channel.
    pub(super) fn start_channel_sse(
        &mut self,
        at: usize,
        context: Context,
        plan: ReadPlan,
        (form, following): (Form, Following),
        channel: ChannelId,
    ) -> Result<(), Failure> {
        self.admit_reader(at, plan.slot)?;
        let sse = Sse {
            slot: plan.slot,
            next: plan.span.from,
            cursor_min: 0,
            style: SseStyle::Text,
            following,
            close: context.close,
            ends_ms: self.sse_ends_ms(at),
        };
        self.out.clear();
        channels::write_sse_head(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
        );
        let mut event = Vec::new();
        channels::write_sse_connected(&mut event, form, channel, plan.span.from);
        write_chunk(&mut self.out, &event);
        self.begin_sse(at, context, sse);
        Ok(())
    }

    /// Sends the head in `self.out` with the first event, and goes on from there.
    fn begin_sse(&mut self, at: usize, context: Context, sse: Sse) {
        self.park(at, State::Sse(sse), sse.slot, self.limits.sse_timeout_ms);
        self.await_heartbeat(at, sse.ends_ms);
        // The head leaves with the first event, which always comes at once.
        match self.frame(sse) {
            Ok(frame) => {
                self.out.extend_from_slice(&frame.bytes);
                // The head says which pages may read it, and nothing else will.
                self.conns[at].page = None;
                self.send(at);
                self.moved(at, &frame);
                if !frame.ends {
                    self.follow(at);
                }
            }
            Err(failure) => {
                self.unpark(at);
                self.answer_failure(at, context, &failure);
            }
        }
    }

    /// Lets a connection begin to follow a room.
    pub(super) fn admit_reader(&mut self, at: usize, slot: SlotId) -> Result<(), Failure> {
        self.admit_joiner()?;
        self.admit_poller(at, slot)
    }

    /// Lets a connection wait for a room's next message.
    fn admit_poller(&mut self, at: usize, slot: SlotId) -> Result<(), Failure> {
        if self.readers >= self.limits.readers_max {
            return Err(Failure::new(
                Code::LimitReached,
                "the server has readers.max live readers",
            ));
        }
        if self.shard.readers(slot).len() >= self.limits.stream_readers_max {
            return Err(Failure::new(
                Code::LimitReached,
                "the stream has stream.readers_max live readers",
            ));
        }
        self.charge_reader(at, slot)
    }

    fn park(&mut self, at: usize, state: State, slot: SlotId, timeout_ms: u64) {
        self.generation = next_generation(self.generation);
        let conn = &mut self.conns[at];
        conn.state = state;
        // What was noted of it when it was parked before means it no more.
        conn.generation = self.generation;
        // A parked connection owns no buffer.
        conn.input.shrink_to_fit();
        let reader = conn.ticket(at);
        self.shard.add_reader(slot, reader);
        self.readers += 1;
        self.count_reader(at);
        let deadline_ms = self.clock.uptime_ms + timeout_ms;
        self.set_deadline(at, deadline_ms);
    }

    /// Returns whether a pass under way has a reader, so that it is given back with the others.
    pub(super) fn is_passing(&self, slot: SlotId, reader: Ticket) -> bool {
        self.passes.iter().any(|pass| {
            let (served, waiting) = (&pass.readers[..pass.kept], &pass.readers[pass.at..]);
            pass.slot == slot && (served.contains(&reader) || waiting.contains(&reader))
        })
    }

    /// Takes a connection off the list of its stream's readers.
    pub(super) fn unpark(&mut self, at: usize) {
        self.forget_live(at, Leave::Lost);
        if let Some(slot) = self.slot_of(at) {
            let conn = &mut self.conns[at];
            conn.state = State::Receiving;
            let reader = conn.ticket(at);
            self.readers -= 1;
            self.uncount_reader(at);
            self.shard.remove_reader(slot, reader);
            self.note_left(slot);
        }
    }

    /// Serves some readers of the streams that moved.
    ///
    /// A stream with many readers is served in slices, so that a fan-out holds up nobody; what is
    /// written meanwhile goes out with the same events to those whose turn has not come.
    pub(super) fn deliver(&mut self) {
        while let Some((slot, readers)) = self.shard.poll_advanced() {
            let edge = self.shard.room(slot).visible();
            let since = self.shard.take_since(slot);
            self.passes.push_back(Pass {
                since,
                slot,
                readers,
                edge,
                at: 0,
                kept: 0,
                left: false,
                shared: Shared::default(),
            });
        }
        let mut budget = DELIVER_STEP;
        while budget > 0 {
            let Some(mut pass) = self.passes.pop_front() else {
                return;
            };
            let left = pass.readers.len() - pass.at;
            let together = self.fan_out.slice(left);
            if together > 0 {
                self.send_ahead(&mut pass, together);
            }
            let slice = SLICE_STEP.min(left).max(together);
            for _ in 0..slice {
                self.deliver_next(&mut pass);
            }
            budget = budget.saturating_sub(slice.max(1));
            if pass.at < pass.readers.len() {
                self.passes.push_back(pass);
            } else {
                pass.readers.truncate(pass.kept);
                if pass.left {
                    let slot = pass.slot;
                    pass.readers
                        .retain(|reader| self.still_reads(*reader, slot));
                }
                self.note_told(pass.since);
                self.shard.give_back(pass.slot, pass.readers, pass.edge);
            }
        }
    }

    /// Notes how long it took until everybody was told, at the end of a pass.
    fn note_told(&self, since: Since) {
        let Since { message_us, live } = since;
        if message_us.is_none() && live.is_none() {
            return;
        }
        let now_us = self.clock.now_us();
        if let Some(since_us) = message_us {
            let us = now_us.saturating_sub(since_us);
            self.metrics.message_latency(us as f64 / 1e6);
        }
        if let Some(since) = live {
            let turn_us = now_us.saturating_sub(self.clock.uptime_us);
            let ms = self.clock.wall.since(since) as f64;
            self.metrics
                .presence_latency(ms / 1e3 + turn_us as f64 / 1e6);
        }
    }

    /// Returns how many readers each room has that is being served.
    pub(super) fn passing(&self) -> impl Iterator<Item = usize> {
        self.passes.iter().map(|pass| pass.readers.len())
    }

    /// Serves the next reader of a pass; those that stay parked move to its front.
    fn deliver_next(&mut self, pass: &mut Pass) {
        let reader = pass.readers[pass.at];
        pass.at += 1;
        let gone = self.shard.is_gone(pass.slot);
        self.deliver_one(reader, pass.slot, gone, &mut pass.shared);
        let Place { at, generation, .. } = Place::of(reader);
        if self.still_reads(reader, pass.slot) {
            pass.readers[pass.kept] = reader;
            pass.kept += 1;
        } else if self
            .conns
            .get(at)
            .is_some_and(|conn| conn.generation == generation)
        {
            self.resume(at);
        }
    }

    fn still_reads(&self, reader: Ticket, slot: SlotId) -> bool {
        let Place { at, generation, .. } = Place::of(reader);
        let conn = self.conns.get(at);
        conn.is_some_and(|conn| conn.generation == generation && conn.follows(slot))
    }

    /// Notes that a reader of a room left, which a pass under way would else give back.
    pub(super) fn note_left(&mut self, slot: SlotId) {
        for pass in self.passes.iter_mut().filter(|pass| pass.slot == slot) {
            pass.left = true;
        }
    }

    fn deliver_one(&mut self, reader: Ticket, slot: SlotId, gone: bool, shared: &mut Shared) {
        let Place { at, generation, .. } = Place::of(reader);
        let conn = self
            .conns
            .get(at)
            .filter(|conn| conn.generation == generation);
        match conn.map(|conn| &conn.state) {
            Some(State::LongPoll(poll)) => {
                let poll = *poll;
                if gone {
                    self.end_gone_poll(at)
                } else {
                    self.answer_long_poll(at, poll)
                }
            }
            Some(State::Sse(sse)) if gone => {
                let following = sse.following;
                self.end_gone_sse(at, following);
            }
            Some(State::Sse(sse)) => {
                let sse = *sse;
                self.push_frame(at, sse, &mut shared.frame);
            }
            Some(State::Live(_)) => self.tell_room(at, slot, &mut shared.live),
            Some(
                State::Receiving
                | State::Waiting(..)
                | State::Parked(_)
                | State::Closing
                | State::Draining,
            )
            | None => {}
        }
    }

    fn answer_long_poll(&mut self, at: usize, poll: LongPoll) {
        let edge = self.shard.room(poll.slot).visible();
        let seen = match poll.following {
            Following::Room {
                kind: PolledKind::Voice,
                ..
            } => self.voice_version(poll.slot),
            Following::Stream | Following::Channel { .. } | Following::Room { .. } => edge.tail,
        };
        if seen == poll.from {
            if edge.closed {
                self.end_long_poll(at);
            }
            return;
        }
        self.unpark(at);
        match poll.following {
            Following::Stream => {}
            Following::Channel { .. } => {
                let (context, following) = (poll.context.context(), poll.following);
                return self.answer_polled(at, context, poll.slot, poll.from, following);
            }
            Following::Room { .. } => {
                let (context, following) = (poll.context.context(), poll.following);
                return self.answer_room_poll(at, context, poll.slot, poll.from, following);
            }
        }
        match self.fetch_shown(poll.slot, poll.from, self.limits.read_chunk_bytes_max) {
            Ok(fetched) => {
                let plan = ReadPlan {
                    slot: poll.slot,
                    span: Span {
                        from: poll.from,
                        edge,
                    },
                };
                self.answer_fetched(
                    at,
                    poll.context.context(),
                    plan,
                    fetched,
                    Some(poll.cursor),
                    false,
                    None,
                );
            }
            Err(failure) => self.answer_failure(at, poll.context.context(), &failure),
        }
    }

    /// Ends a long-poll that has found nothing.
    pub(super) fn end_long_poll(&mut self, at: usize) {
        let Some(State::LongPoll(poll)) = self.conns.get(at).map(|conn| &conn.state) else {
            return;
        };
        let poll = *poll;
        let edge = self.shard.room(poll.slot).visible();
        self.unpark(at);
        let context = poll.context.context();
        let context = Context {
            close: context.close || self.stop_ms.is_some(),
            ..context
        };
        match poll.following {
            Following::Stream => {}
            following @ Following::Channel { .. } => {
                return self.answer_polled(at, context, poll.slot, poll.from, following);
            }
            following @ Following::Room { .. } => {
                return self.answer_room_poll(at, context, poll.slot, poll.from, following);
            }
        }
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        streams::write_up_to_date(&mut self.out, &envelope, edge, poll.cursor);
        self.answer(at, context);
    }

    fn end_gone_poll(&mut self, at: usize) {
        let Some(State::LongPoll(poll)) = self.conns.get(at).map(|conn| &conn.state) else {
            return;
        };
        let (context, following) = (poll.context.context(), poll.following);
        self.unpark(at);
        match following {
            Following::Stream => {
                self.answer_error(at, context, Code::NotFound, "the stream was deleted");
            }
            Following::Channel { form, .. } => {
                let failure = Failure::new(Code::Gone, "the channel was deleted");
                self.answer_channel_failure(at, context, form, &failure);
            }
            Following::Room { .. } => {
                self.answer_error(at, context, Code::Gone, "the room was deleted");
            }
        }
    }

    /// Sends the next events to a reader, sharing what others at the same place got.
    fn push_frame(&mut self, at: usize, sse: Sse, shared: &mut Option<Frame>) {
        let edge = self.shard.room(sse.slot).visible();
        if sse.next == edge.tail && !edge.closed {
            return;
        }
        // A reader that has not taken its last event catches up when it has, from the log.
        if self
            .conns
            .get(at)
            .is_none_or(|conn| !conn.output.is_empty())
        {
            return;
        }
        let frame = match self.shared_frame(sse, shared) {
            Ok(frame) => frame,
            Err(failure) => return self.stall_sse(at, &failure),
        };
        self.send_shared(at, frame.bytes.clone());
        self.moved(at, &frame);
        if !frame.ends {
            self.follow(at);
        }
    }

    /// Returns the events from where a reader stands, encoded once for all who stand there.
    pub(super) fn shared_frame(
        &mut self,
        sse: Sse,
        shared: &mut Option<Frame>,
    ) -> Result<Frame, Failure> {
        let fits = |frame: &&Frame| {
            frame.from == sse.next
                && frame.cursor_min == sse.cursor_min
                && frame.following == sse.following
        };
        match shared.as_ref().filter(fits) {
            Some(frame) => Ok(frame.clone()),
            None => Ok(shared.insert(self.frame(sse)?).clone()),
        }
    }

    /// Sends events until the reader is at the tail or its socket is full.
    pub(super) fn follow(&mut self, at: usize) {
        let mut silent = 0;
        loop {
            let Some(conn) = self.conns.get(at) else {
                return;
            };
            let State::Sse(sse) = conn.state else { return };
            let edge = self.shard.room(sse.slot).visible();
            if !conn.output.is_empty() || sse.next == edge.tail {
                return;
            }
            match self.frame(sse) {
                Ok(frame) => {
                    self.send_shared(at, frame.bytes.clone());
                    self.moved(at, &frame);
                    silent += usize::from(frame.bytes.is_empty());
                }
                Err(failure) => return self.stall_sse(at, &failure),
            }
            if silent == SILENT_STEP {
                // Its next sign of life comes at once, and it goes on from there.
                return self.set_deadline(at, self.clock.uptime_ms + 1);
            }
        }
    }

    /// Moves a reader past the events it was sent.
    pub(super) fn moved(&mut self, at: usize, frame: &Frame) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        let State::Sse(sse) = &mut conn.state else {
            return;
        };
        sse.next = frame.next;
        if frame.ends {
            self.finish_sse(at);
        }
    }

    /// Encodes the events from where a reader stands.
    fn frame(&mut self, sse: Sse) -> Result<Frame, Failure> {
        match sse.following {
            // A room of a community is followed as a WebSocket is.
            Following::Stream | Following::Room { .. } => self.stream_frame(sse),
            Following::Channel { hidden, .. } => self.channel_frame(sse, hidden),
        }
    }

    /// Encodes a channel's events, each as one of its own; there may be none to see.
    fn channel_frame(&self, sse: Sse, hidden: Hidden) -> Result<Frame, Failure> {
        let edge = self.shard.room(sse.slot).visible();
        let mut out = Vec::new();
        let mut next = sse.next;
        if next < edge.tail {
            let bytes_max = self.limits.sse_event_bytes_max;
            let (events, end) =
                self.visible_events(sse.slot, next, edge.tail, bytes_max, hidden)?;
            next = end;
            let mut messages = Vec::with_capacity(events.len() + 256);
            for (seq, event) in split_events(&events) {
                channels::write_sse_message(&mut messages, seq, event);
            }
            write_chunk(&mut out, &messages);
        }
        Ok(Frame {
            from: sse.next,
            cursor_min: sse.cursor_min,
            following: sse.following,
            bytes: out.into(),
            next,
            ends: false,
        })
    }

    fn stream_frame(&mut self, sse: Sse) -> Result<Frame, Failure> {
        let interval = self.interval();
        let room = self.shard.room(sse.slot);
        let edge = room.visible();
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(CHUNK_SIZE);
        let mut next = sse.next;
        if next < edge.tail {
            let fetched = self
                .shard
                .fetch(sse.slot, next, self.limits.sse_event_bytes_max)?;
            next = fetched.next;
            let data = fetched.to_vec().map_err(|error| unreadable(&error))?;
            let room = self.shard.room(sse.slot);
            let mut data = without_hidden(room, sse.next, next, data, Hidden::Stub);
            if sse.style == SseStyle::Text && next < edge.tail {
                next -= trim_seam(&mut data) as u64;
            }
            streams::write_sse_data(&mut out, sse.style, std::iter::once(&data[..]));
        }
        let cursor = interval.max(sse.cursor_min);
        streams::write_sse_control(&mut out, &SseControl { next, edge, cursor });
        let ends = edge.closed && next == edge.tail;
        let size = format!("{:08x}", out.len() - CHUNK_SIZE.len());
        out[..8].copy_from_slice(size.as_bytes());
        out.extend_from_slice(if ends { b"\r\n0\r\n\r\n" } else { b"\r\n" });
        Ok(Frame {
            from: sse.next,
            cursor_min: sse.cursor_min,
            following: sse.following,
            bytes: out.into(),
            next,
            ends,
        })
    }

    fn interval(&self) -> u64 {
        self.clock.wall.0.saturating_sub(CURSOR_EPOCH_MS) / CURSOR_INTERVAL_MS
    }

    /// Sends bytes that others are sent too; what the socket does not take is not copied.
    pub(super) fn send_shared(&mut self, at: usize, bytes: Bytes) {
        let Some(conn) = self.conns.get_mut(at).filter(|_| !bytes.is_empty()) else {
            return;
        };
        let sent = std::io::Write::write(&mut conn.socket, &bytes);
        self.note_shared(at, bytes, sent);
    }

    /// Ends an event stream whose time is over; lets the reader of any other know that it is alive.
    pub(super) fn time_out_sse(&mut self, at: usize, ends_ms: u64) {
        if self.clock.uptime_ms >= ends_ms {
            return self.end_sse(at);
        }
        self.send_shared(at, Bytes::from_static(HEARTBEAT));
        if self
            .conns
            .get(at)
            .is_some_and(|conn| conn.output.is_empty())
        {
            self.await_heartbeat(at, ends_ms);
            self.follow(at);
        }
    }

    /// Sets the time of an event stream's next sign of life.
    ///
    /// Those of all readers fall on few moments, so that the loop seldom looks for them.
    pub(super) fn await_heartbeat(&mut self, at: usize, ends_ms: u64) {
        let next_ms = self.clock.uptime_ms + self.limits.sse_heartbeat_ms;
        let next_ms = next_ms.next_multiple_of(DEADLINE_GRID_MS);
        self.set_deadline(at, next_ms.min(ends_ms));
    }

    /// Ends the event stream of a room that was deleted.
    fn end_gone_sse(&mut self, at: usize, following: Following) {
        self.end_channel_sse(at, following, Code::Gone, "the channel was deleted");
    }

    /// Ends an event stream; that of a channel says why.
    pub(super) fn end_channel_sse(
        &mut self,
        at: usize,
        following: Following,
        code: Code,
        message: &str,
    ) {
        if let Following::Channel { form, .. } = following
            && self
                .conns
                .get(at)
                .is_some_and(|conn| conn.output.is_empty())
        {
            let mut event = Vec::new();
            channels::write_sse_closed(&mut event, form, code, message);
            let mut chunk = Vec::new();
            write_chunk(&mut chunk, &event);
            self.send_shared(at, chunk.into());
        }
        if self.conns.contains(at) {
            self.end_sse(at);
        }
    }

    /// Ends an event stream between two events, so that the client comes back for more.
    pub(super) fn end_sse(&mut self, at: usize) {
        let Some(conn) = self.conns.get(at) else {
            return;
        };
        if !conn.output.is_empty() {
            return self.close(at);
        }
        self.send_shared(at, Bytes::from_static(b"0\r\n\r\n"));
        self.finish_sse(at);
    }

    /// Takes a reader whose event stream has ended back to requests.
    fn finish_sse(&mut self, at: usize) {
        let Some(State::Sse(sse)) = self.conns.get(at).map(|conn| &conn.state) else {
            return;
        };
        let close = sse.close || self.stop_ms.is_some();
        self.unpark(at);
        if let Some(conn) = self.conns.get_mut(at) {
            conn.state = if close {
                State::Closing
            } else {
                State::Receiving
            };
        }
        self.after_answer(at);
    }
}

/// A comment, in a chunk of its own: proxies and clients see that the connection lives.
const HEARTBEAT: &[u8] = b"3\r\n:\n\n\r\n";

/// Frames of nothing but hidden events that a reader is taken past in one turn: no socket that is
/// full ever ends such a run.
const SILENT_STEP: usize = 16;

/// Distance of the moments that recurring deadlines fall on.
pub(super) const DEADLINE_GRID_MS: u64 = 1_000;

/// Room for the size of a chunk, which is known once it is encoded.
const CHUNK_SIZE: &[u8] = b"00000000\r\n";

/// Writes bytes as one chunk of a body; nothing where there are none, which would end it.
pub(super) fn write_chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
        out.extend_from_slice(b"\r\n");
    }
}

/// Cuts off the end of text what belongs to what follows: a character that is not whole, or a CR
/// that a LF may follow; returns the bytes cut.
fn trim_seam(text: &mut Vec<u8>) -> usize {
    if text.len() > 1 && text.last() == Some(&b'\r') {
        text.pop();
        return 1;
    }
    let tail = &text[text.len().saturating_sub(3)..];
    let start = tail.iter().rposition(|byte| byte & 0xc0 != 0x80);
    let Some(start) = start else { return 0 };
    let have = tail.len() - start;
    let want = match tail[start] {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    };
    // A text of nothing but the beginning of a character goes out as it is.
    if have >= want || have == text.len() {
        return 0;
    }
    text.truncate(text.len() - have);
    have
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_between_two_characters_or_lines() {
        let cut = |text: &[u8]| {
            let mut text = text.to_vec();
            trim_seam(&mut text)
        };
        assert_eq!(cut("aé".as_bytes()), 0);
        assert_eq!(cut(b"a\xc3"), 1);
        assert_eq!((cut(b"a\r"), cut(b"\r"), cut(b"a\r\n")), (1, 0, 0));
        assert_eq!(cut(b"a\xe2\x82"), 2);
        assert_eq!(cut(b"a\xf0\x9f\x98"), 3);
        assert_eq!(cut("a😀".as_bytes()), 0);
        assert_eq!(cut(b"\xe2\x82"), 0);
        assert_eq!(cut(b"a\x80\x80\x80"), 0);
    }
}
