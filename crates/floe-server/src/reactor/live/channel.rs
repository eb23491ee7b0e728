//! WebSockets of channels: `/ws/channel/<id>`. What they are told is for
//! [`channel_telling`](super::channel_telling).

use std::borrow::Cow;
use std::sync::Arc;

use floe_core::Start;
use floe_log::Disk;
use floe_proto::{ChannelId, Code, EventKind, Rights};
use floe_surfaces::access::{Deed, Grant, Room, Wanted};
use floe_surfaces::community::channel::{self, Action, write_read};
use floe_surfaces::community::common::param;
use floe_surfaces::community::{Incoming, Label, Welcome, write_pong, write_welcome};
use floe_surfaces::live::{Draft, PresenceMode};

use super::super::channels::no_channel;
use super::super::conn::{Context, Place};
use super::commands::{forbidden, memory_failure};
use super::community::{Begun, CommunityRoom, Opened, join_of};
use super::{Admitted, Join, Live, Reactor};
use crate::shard::{Failure, Marked, NewEvent, NewEvents, SlotId};

/// What a WebSocket has been told of the channel that it is for.
#[derive(Debug)]
pub(in crate::reactor) struct ChannelSession {
    /// Which.
    pub channel: ChannelId,
    /// What comes before the log.
    pub stage: Stage,
    /// Messages that it shows to somebody who comes.
    pub recent: u32,
    /// The revision of the counted reactions that it has been told.
    pub reactions_seen: u64,
}

/// How far a WebSocket of a channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::reactor) enum Stage {
    /// What it missed is gone: that comes first, with the oldest event that is kept, and the newest.
    Reload {
        /// The oldest.
        oldest: u64,
        /// The newest.
        head: u64,
    },
    /// The newest messages come next.
    Recent,
    /// The view has been asked for them.
    Asked {
        /// Which question that is among the connection's commands.
        command: u16,
    },
    /// Who is there comes next.
    Others,
    /// Only the log and what changes.
    Following,
}

/// Messages shown to somebody who comes and does not say how many, and most of them.
const RECENT: (u32, u32) = (50, 100);

/// A user who has read further.
#[derive(Debug)]
pub(in crate::reactor) struct MovedMark {
    /// The connection that said so.
    at: usize,
    user: Box<str>,
    marked: Marked,
}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of a channel.
    pub(super) fn open_channel(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        opened: &Opened<'_>,
    ) {
        let entered = self.enter_channel(at, &admitted, opened);
        let (join, session) = match entered {
            Ok(entered) => entered,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let (slot, user) = (join.slot, join.user.clone());
        let is_member = join.presence == PresenceMode::Member;
        let begun = Begun {
            join,
            room: CommunityRoom::Channel(session),
            needs: 0,
        };
        self.begin_room(at, context, admitted, begun, |reactor| {
            if let (true, Some(user)) = (is_member, user) {
                let (ticket, now) = (reactor.conns[at].ticket(at), reactor.clock.wall);
                let joined = reactor.shard.change_live(slot, now, |live, timers| {
                    live.presence.join(ticket.0, &user, b"null", now, timers)
                });
                joined.map_err(|error| Failure::new(error.code(), error.to_string()))?;
            }
            Ok(())
        });
    }

    fn enter_channel(
        &mut self,
        at: usize,
        admitted: &Admitted<'_>,
        opened: &Opened<'_>,
    ) -> Result<(Join, ChannelSession), Failure> {
        let channel: ChannelId = opened.id.parse().map_err(|_| no_channel())?;
        let session = &Arc::clone(&admitted.opened).session;
        let wanted = Wanted::in_room(Deed::Read, Room::Channel(channel));
        let grant = self.grant(session, admitted.token.as_deref(), &wanted)?;
        let after = opened.after()?;
        let (default, most) = RECENT;
        let recent = number(opened.query, "recent")?.unwrap_or(default.into());
        let recent = u32::try_from(recent).unwrap_or(most).min(most);
        self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
        let name = channel.room_name();
        let now = self.clock.wall;
        let plan = self.shard.plan_read(now, name.as_bytes(), Start::Now)?;
        self.admit_reader(at, plan.slot)?;
        let (oldest, head) = (self.shard.room(plan.slot).start() + 1, plan.span.edge.tail);
        let mut join = join_of(grant, plan.slot, opened.id);
        join.by_token = admitted.token.is_some();
        join.presence = if join.user.is_some() && join.rights.contains(Rights::PRESENCE) {
            PresenceMode::Member
        } else {
            PresenceMode::Watch
        };
        join.next = after.unwrap_or(head);
        let stage = match after {
            Some(after) if after + 1 < oldest || after > head => Stage::Reload { oldest, head },
            Some(_) => Stage::Others,
            None if recent == 0 => Stage::Others,
            None => Stage::Recent,
        };
        let session = ChannelSession {
            channel,
            stage,
            recent,
            reactions_seen: self.reaction_counts.revision(),
        };
        Ok((join, session))
    }

    /// Writes the welcome to a channel.
    pub(super) fn welcome_to_channel(&self, out: &mut Vec<u8>, join: &Join) {
        let limits = &self.limits;
        let welcome = Welcome {
            room: &join.room,
            user: join.user.as_deref(),
            heartbeat_ms: limits.live_ping_ms,
            sequence: Some(self.shard.room(join.slot).visible().tail),
            limits: &[
                ("frameBytes", limits.live_message_bytes_max.into()),
                ("contentChars", self.bounds.content_chars_max as u64),
                ("reactionChars", self.bounds.reaction_chars_max as u64),
                ("dataBytes", self.bounds.data_bytes_max as u64),
            ],
            ..Welcome::default()
        };
        write_welcome(out, &welcome);
    }

    /// Does what a frame asks of a channel.
    pub(super) fn heard_in_channel(
        &mut self,
        at: usize,
        channel: ChannelId,
        incoming: &Incoming<'_>,
    ) {
        let label = &incoming.label;
        let action = match channel::read_action(incoming) {
            Ok(Action::Ping) => return self.tell_message(at, |out| write_pong(out, label)),
            Ok(action) => action,
            Err(refusal) => return self.tell_refusal(at, &refusal),
        };
        let done = self.renewed_grant(at, channel).and_then(|(slot, grant)| {
            let user = grant.author.clone().ok_or_else(|| {
                let message = "who writes is a user: the address says `?user=`, or the token does";
                Failure::new(Code::InvalidRequest, message)
            })?;
            match action {
                Action::Ping => Ok(()),
                Action::Typing(typing) => self.type_in_channel(slot, &grant, &user, typing),
                Action::Read { sequence } => {
                    self.read_channel(at, label, channel, &grant, &user, sequence)
                }
                Action::Message {
                    content,
                    reply_to,
                    data,
                } => {
                    let mut said = draft(EventKind::Message, None);
                    said.content = Some(content);
                    said.reply_to = reply_to;
                    said.data = data;
                    self.append_frame(at, label, channel, &grant, &user, &said)
                }
                Action::Edit { sequence, content } => {
                    let mut edit = draft(EventKind::Edit, Some(sequence));
                    edit.content = Some(content);
                    self.append_frame(at, label, channel, &grant, &user, &edit)
                }
                Action::Delete { sequence } => {
                    let delete = draft(EventKind::Deletion, Some(sequence));
                    self.append_frame(at, label, channel, &grant, &user, &delete)
                }
                Action::React {
                    sequence,
                    emoji,
                    removed,
                } => {
                    let mut react = draft(EventKind::Reaction, Some(sequence));
                    react.content = Some(emoji);
                    react.removed = removed;
                    self.append_frame(at, label, channel, &grant, &user, &react)
                }
                Action::Pin { sequence, removed } => {
                    let mut pin = draft(EventKind::Pin, Some(sequence));
                    pin.removed = removed;
                    self.append_frame(at, label, channel, &grant, &user, &pin)
                }
            }
        });
        match done {
            Ok(()) if is_answered(&incoming.kind) => {}
            Ok(()) => self.acknowledge_frame(at, label),
            Err(failure) => self.fail_frame(at, label, failure),
        }
    }

    /// Decides anew what a connection may do in its channel: what time takes away, it gives back.
    fn renewed_grant(&mut self, at: usize, channel: ChannelId) -> Result<(SlotId, Grant), Failure> {
        let gone = || Failure::new(Code::Internal, "the connection is gone");
        let live = self.live_ref(at).ok_or_else(gone)?;
        let slot = live.joins.first().ok_or_else(gone)?.slot;
        let (opened, token) = (Arc::clone(&live.opened), live.token.clone());
        let wanted = Wanted::in_room(Deed::Enter, Room::Channel(channel));
        let grant = self.grant(&opened.session, token.as_deref(), &wanted)?;
        Ok((slot, grant))
    }

    /// Has an event appended to a channel; the answer comes once it is durable.
    fn append_frame(
        &mut self,
        at: usize,
        label: &Label<'_>,
        channel: ChannelId,
        grant: &Grant,
        user: &str,
        draft: &Draft<'_>,
    ) -> Result<(), Failure> {
        let drafts = std::slice::from_ref(draft);
        let events = self.check_drafts(drafts, Some(user), None)?;
        let bytes: usize = events.iter().map(NewEvent::bytes).sum();
        let name = channel.room_name();
        self.charge_append(at, name.as_bytes(), Some(&grant.namespace), bytes)?;
        let new = NewEvents {
            kind: draft.kind,
            events: &events,
            target_seq: draft.target_seq,
            removed: draft.removed,
            key: label.nonce.as_deref(),
            rights: grant.rights,
        };
        self.metrics.append(bytes as u64);
        let ticket = self.await_command(at, label.clone(), "", 0);
        let now = self.clock.wall;
        if let Err(failure) = self.shard.append_events(now, ticket, channel, &new) {
            self.shard.refuse_cold(ticket, failure);
        }
        Ok(())
    }

    /// Notes how far a user has read a channel; the answer comes once that is durable.
    fn read_channel(
        &mut self,
        at: usize,
        label: &Label<'_>,
        channel: ChannelId,
        grant: &Grant,
        user: &str,
        sequence: u64,
    ) -> Result<(), Failure> {
        if !grant.rights.contains(Rights::READ) {
            return Err(forbidden());
        }
        let slot = self.shard.find_channel(self.clock.wall, channel)?;
        let tail = slot.map_or(0, |slot| self.shard.room(slot).visible().tail);
        if sequence > tail {
            let message = "the channel has no such event";
            return Err(Failure::new(Code::NotFound, message));
        }
        let ticket = self.await_command(at, label.clone(), "", 0);
        let now = self.clock.wall;
        self.shard
            .mark_read(now, ticket, &grant.namespace, user, channel, sequence);
        Ok(())
    }

    /// Notes that a user has read further, to tell the user's other connections.
    pub(in crate::reactor) fn note_mark(&mut self, at: usize, user: Box<str>, marked: Marked) {
        if marked.moved {
            self.marks_moved.push(MovedMark { at, user, marked });
        }
    }

    /// Tells the other connections of users how far they have read, where they take part in the channel.
    pub(in crate::reactor) fn tell_marks(&mut self) {
        for MovedMark { at, user, marked } in std::mem::take(&mut self.marks_moved) {
            let Ok(Some(slot)) = self.shard.find_channel(self.clock.wall, marked.channel) else {
                continue;
            };
            let is_of = |live: &Live| {
                let mut joins = live.joins.iter();
                live.community().is_some()
                    && joins.any(|join| join.slot == slot && join.user.as_deref() == Some(&*user))
            };
            let own = usize::from(self.live_ref(at).is_some_and(is_of));
            let all = self.shard.live(slot);
            let all = all.map_or(0, |live| live.presence.connections_of(&user));
            // Most have no other, and a large room is not searched for it.
            if all <= own {
                continue;
            }
            let readers = self.shard.readers(slot).iter();
            let places: Vec<usize> = readers.map(|reader| Place::of(*reader).at).collect();
            for other in places {
                if other != at && self.live_ref(other).is_some_and(is_of) {
                    self.tell_message(other, |out| {
                        write_read(out, marked.channel, marked.seq);
                    });
                }
            }
        }
    }

    /// Notes that a user is writing something in a channel, or is not any more.
    pub(super) fn type_in_channel(
        &mut self,
        slot: SlotId,
        grant: &Grant,
        user: &str,
        typing: bool,
    ) -> Result<(), Failure> {
        if !grant.rights.contains(Rights::APPEND) {
            return Err(forbidden());
        }
        if typing && self.load_level().is_thinned() {
            // Nobody misses it, and it would end by itself.
            return Ok(());
        }
        let now = self.clock.wall;
        let changed = self.shard.change_live(slot, now, |live, timers| {
            if typing {
                live.memory.set_typing(user, now, timers).map(drop)
            } else {
                live.memory.clear_typing(user, timers);
                Ok(())
            }
        });
        changed.map_err(memory_failure)
    }
}

/// Returns an event that says nothing yet.
const fn draft<'a>(kind: EventKind, target_seq: Option<u64>) -> Draft<'a> {
    Draft {
        kind,
        content: None,
        target_seq,
        reply_to: None,
        data: None,
        removed: false,
        author_id: None,
    }
}

/// Returns whether the answer to a frame comes from the log.
fn is_answered(kind: &str) -> bool {
    kind != "typing"
}

/// Reads a parameter that is a whole number.
pub(super) fn number(query: &str, name: &str) -> Result<Option<u64>, Failure> {
    let reject = |message: String| Failure::new(Code::InvalidRequest, message);
    let value: Option<Cow<'_, str>> =
        param(query, name).map_err(|refused| reject(refused.message.into()))?;
    let number = value.map(|value| value.parse::<u64>()).transpose();
    number.map_err(|_| reject(format!("`{name}` is no whole number")))
}
