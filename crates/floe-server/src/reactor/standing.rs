//! Whether those who listen still may, once what let them in has changed or ended.
//!
//! Nothing of this is on the way of a request: a connection that asks is looked at when it asks.

use std::sync::Arc;

use floe_log::Disk;
use floe_proto::{ChannelId, Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Grant, Room, Session, Wanted};
use floe_surfaces::channels::Hidden;

use super::Reactor;
use super::caller::Opened;
use super::conn::{Following, State};
use crate::shard::{Failure, SlotId};

impl<D: Disk> Reactor<D> {
    /// Judges all who listen anew: what callers are recognised by has changed.
    ///
    /// Those who stand are not disturbed; the others are told why, and end.
    pub(super) fn judge_all(&mut self) {
        self.access_epoch += 1;
        self.judge(None);
    }

    /// Judges those who listen to one room anew: its own rules have changed.
    pub(super) fn judge_room(&mut self, slot: SlotId) {
        self.judge(Some(slot));
    }

    /// Ends all readers of a channel that were let in by a token, since the secret that it was
    /// signed with is no more.
    pub(super) fn end_tokens(&mut self, slot: SlotId) {
        let (code, message) = (Code::Unauthorized, "the channel has another secret");
        let all: Vec<usize> = self.conns.iter().map(|(at, _)| at).collect();
        for at in all {
            let Some(conn) = self.conns.get(at) else {
                continue;
            };
            let by_token = conn.session.as_ref().is_some_and(|opened| opened.by_token);
            match conn.live() {
                Some(live) if live.follows_by_token(slot) => {
                    self.close_room(at, slot, code, message);
                }
                None if by_token && conn.reads() == Some(slot) => {
                    self.end_reader(at, Failure::new(code, message));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Notes when a session ends that was opened.
    pub(super) fn note_end(&mut self, opened: &Opened) {
        if let Some(ends_at) = opened.session.caller().ends_at {
            self.ends_next = self.ends_next.min(ends_at);
        }
    }

    /// Ends the long-polls and event streams of those whose credentials have ended.
    pub(super) fn end_outlived_readers(&mut self) {
        let now = self.clock.wall;
        if now < self.ends_next {
            return;
        }
        let mut next = self.end_outlived_away();
        let mut outlived = Vec::new();
        for (at, conn) in &self.conns {
            let ends_at = conn
                .session
                .as_ref()
                .and_then(|opened| opened.session.caller().ends_at);
            match ends_at {
                Some(ends_at) if ends_at > now => next = next.min(ends_at),
                Some(_) if conn.reads().is_some() => outlived.push(at),
                Some(_) | None => {}
            }
        }
        self.ends_next = next;
        for at in outlived {
            let message = "the credentials have ended";
            self.end_reader(at, Failure::new(Code::Unauthorized, message));
        }
    }

    fn judge(&mut self, slot: Option<SlotId>) {
        self.judge_away(slot);
        let all: Vec<usize> = self.conns.iter().map(|(at, _)| at).collect();
        for at in all {
            let Some(conn) = self.conns.get(at) else {
                continue;
            };
            match (&conn.state, conn.reads()) {
                (State::Live(_), _) => self.judge_live(at, slot, None),
                (_, Some(read)) if slot.is_none_or(|slot| slot == read) => {
                    self.judge_reader(at, read, None);
                }
                _ => {}
            }
        }
    }

    /// Judges somebody who listens to a room anew: what they may there has changed. `why` is what they
    /// are told in place of general words if they may not listen any more.
    pub(super) fn judge_listener(&mut self, at: usize, slot: SlotId, why: Option<&Failure>) {
        match self.conns.get(at).map(|conn| &conn.state) {
            Some(State::Live(_)) => self.judge_live(at, Some(slot), why),
            Some(_) => self.judge_reader(at, slot, why),
            None => {}
        }
    }

    /// Judges a long-poll or an event stream.
    fn judge_reader(&mut self, at: usize, slot: SlotId, why: Option<&Failure>) {
        let Some(opened) = self.conns[at].session.clone() else {
            return;
        };
        if opened.by_token {
            if let Err(failure) = self.check_room_stands(slot) {
                self.end_reader(at, failure);
            }
            return;
        }
        let judged = self.renew(at, &opened).and_then(|opened| {
            self.judge_in(&opened.session, slot, Deed::Read)?;
            Ok(opened)
        });
        match judged {
            Ok(opened) => {
                // They may end sooner than what was shown at first.
                self.note_end(&opened);
                self.conns[at].session = Some(opened);
            }
            Err(failure) => self.end_reader(at, in_words(failure, why)),
        }
    }

    /// Refuses a loaded room of a namespace that is being deleted.
    fn check_room_stands(&self, slot: SlotId) -> Result<(), Failure> {
        let room = self.shard.room(slot);
        let owner = room.channel().map(|channel| channel.owner());
        self.check_stands(owner.unwrap_or_else(|| Namespace::split(room.name()).0))
    }

    /// Ends a long-poll or an event stream whose client may not listen any more.
    pub(super) fn end_reader(&mut self, at: usize, failure: Failure) {
        match self.conns.get(at).map(|conn| &conn.state) {
            Some(State::LongPoll(poll)) => {
                let (context, following) = (poll.context.context(), poll.following);
                self.unpark(at);
                match following {
                    Following::Channel { form, .. } => {
                        self.answer_channel_failure(at, context, form, &failure);
                    }
                    Following::Stream | Following::Room { .. } => {
                        self.answer_failure(at, context, &failure);
                    }
                }
            }
            Some(State::Sse(sse)) => match sse.following {
                following @ Following::Channel { .. } => {
                    self.end_channel_sse(at, following, failure.code, &failure.message);
                }
                // The protocol has no event for this: who comes back is told.
                Following::Stream | Following::Room { .. } => self.end_sse(at),
            },
            _ => {}
        }
    }

    /// Judges a WebSocket, or one of its rooms.
    fn judge_live(&mut self, at: usize, slot: Option<SlotId>, why: Option<&Failure>) {
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let opened = Arc::clone(&live.opened);
        match self.renew(at, &opened) {
            Ok(opened) => {
                self.take_session(at, &opened, slot, why);
                self.close_rooms_by_token(at);
                let outlives_ms = self.outlives_ms(at);
                if let Some(conn) = self.conns.get(at) {
                    let deadline_ms = conn.deadline_ms.min(outlives_ms);
                    self.set_deadline(at, deadline_ms);
                }
            }
            Err(failure) => self.dismiss(at, failure.code, &failure.message),
        }
    }

    /// Closes those rooms of a WebSocket that were joined with a channel's token and whose namespace
    /// is being deleted.
    fn close_rooms_by_token(&mut self, at: usize) {
        let Some(live) = self.live_ref(at) else {
            return;
        };
        let joins = live.joins.iter().filter(|join| join.by_token);
        let slots: Vec<SlotId> = joins.map(|join| join.slot).collect();
        for slot in slots {
            if let Err(failure) = self.check_room_stands(slot) {
                self.close_room(at, slot, failure.code, &failure.message);
            }
        }
    }

    /// Lets a WebSocket go on as `opened`, in one of its rooms or all: those that this may not see
    /// are closed, with `why` where there is nothing better to say, and the others' rights are what they
    /// are now.
    pub(super) fn take_session(
        &mut self,
        at: usize,
        opened: &Arc<Opened>,
        slot: Option<SlotId>,
        why: Option<&Failure>,
    ) {
        let Some(live) = self.live_mut(at) else {
            return;
        };
        live.opened = Arc::clone(opened);
        let joins = live.joins.iter().filter(|join| !join.by_token);
        let joins = joins.filter(|join| slot.is_none_or(|slot| slot == join.slot));
        let slots: Vec<(SlotId, Deed)> = joins.map(|join| (join.slot, join.deed())).collect();
        for (slot, deed) in slots {
            match self.judge_in(&opened.session, slot, deed) {
                Ok(grant) => self.take_grant(at, slot, grant),
                Err(failure) => {
                    let failure = in_words(failure, why);
                    self.close_room(at, slot, failure.code, &failure.message);
                }
            }
        }
    }

    fn take_grant(&mut self, at: usize, slot: SlotId, grant: Grant) {
        let Some(live) = self.live_mut(at) else {
            return;
        };
        if let Some(join) = live.joins.iter_mut().find(|join| join.slot == slot) {
            // Who may only read any more comes back without being seen.
            if join.is_member() && !grant.rights.contains(Rights::PRESENCE) {
                let message = "the connection may no longer be a member of the room";
                return self.close_room(at, slot, Code::Forbidden, message);
            }
            join.rights = grant.rights;
            join.ends_at = grant.ends_at;
            join.hidden = hidden(grant.rights);
            self.limit_voice(at, slot, grant.rights);
        }
    }

    /// Decides what a session may do in a loaded room.
    pub(super) fn judge_in(
        &mut self,
        session: &Session,
        slot: SlotId,
        deed: Deed,
    ) -> Result<Grant, Failure> {
        let name = self.shard.room(slot).name().to_vec();
        let (namespace, path) = Namespace::split(&name);
        if let Some(id) = ChannelId::of_room(path) {
            let wanted = Wanted::in_room(deed, Room::Channel(id));
            return self.grant(session, None, &wanted);
        }
        if !session.opens(namespace) {
            return Err(Failure::new(Code::Forbidden, "the namespace is another's"));
        }
        self.admit_stream(session, path, deed)
    }
}

/// Returns what somebody is told who may not go on: the reason where it is known, in place of general
/// words.
fn in_words(failure: Failure, why: Option<&Failure>) -> Failure {
    match why {
        Some(why) if failure.code == Code::Forbidden => why.clone(),
        Some(_) | None => failure,
    }
}

/// Returns how deleted events are shown to someone with these rights.
pub(super) fn hidden(rights: Rights) -> Hidden {
    if rights.contains(Rights::READ_DELETED) {
        Hidden::Mark
    } else {
        Hidden::Stub
    }
}
