//! What becomes of those who are in a waddle's rooms once what they may do there has changed.

use std::collections::BTreeMap;

use floe_log::Disk;
use floe_proto::community::{Cause, Change, WaddleId};
use floe_proto::{ChannelId, Code, Millis, Namespace, Rights};
use floe_surfaces::access::{Room, Session};

use super::Reactor;
use crate::shard::{Failure, SlotId};
use crate::views::Answer;

/// What an act has taken from somebody.
enum Lost {
    /// Some rights, perhaps.
    Some,
    /// Their place in the waddle; this is why.
    Place(Failure),
    /// The right to write, for a while; this is why.
    Word(Failure),
}

impl<D: Disk> Reactor<D> {
    /// Judges those anew whose rights in a waddle an act is about, and tells them why.
    pub(in crate::reactor) fn judge_waddle(
        &mut self,
        waddle: SlotId,
        changes: &[Change],
        reason: Option<&str>,
    ) {
        for change in changes {
            if let Change::Room { id, room: Some(_) } = change {
                let now = self.clock.wall;
                if let Ok(Some(slot)) = self.shard.find_waddle_room(now, waddle, *id) {
                    self.judge_room(slot);
                }
            }
        }
        let lost = lost(changes, reason, self.clock.wall);
        if lost.is_empty() {
            return;
        }
        let name = self.shard.room(waddle).name().to_vec();
        let (namespace, path) = Namespace::split(&name);
        let Some(id) = WaddleId::of_path(path) else {
            return;
        };
        self.judge_away(None);
        let all: Vec<usize> = self.conns.iter().map(|(at, _)| at).collect();
        for at in all {
            let user = self
                .listener(at)
                .and_then(|session| session.caller().user.clone());
            let Some(lost) = user.and_then(|user| lost.get(&*user)) else {
                continue;
            };
            for slot in self.listened(at) {
                if slot == waddle || self.is_of_waddle(slot, &id, namespace) {
                    match lost {
                        Lost::Some => self.judge_listener(at, slot, None),
                        Lost::Place(why) => self.judge_listener(at, slot, Some(why)),
                        Lost::Word(why) => {
                            self.judge_listener(at, slot, None);
                            self.warn_listener(at, slot, why);
                        }
                    }
                }
            }
        }
    }

    /// Returns who listens on a connection.
    fn listener(&self, at: usize) -> Option<&Session> {
        let conn = self.conns.get(at)?;
        match conn.live() {
            Some(live) => Some(live.session()),
            None => conn.session.as_ref().map(|opened| &opened.session),
        }
    }

    /// Returns the rooms that a connection listens to.
    fn listened(&self, at: usize) -> Vec<SlotId> {
        let Some(conn) = self.conns.get(at) else {
            return Vec::new();
        };
        match conn.live() {
            Some(live) => live.rooms().collect(),
            None => conn.reads().into_iter().collect(),
        }
    }

    fn is_of_waddle(&self, slot: SlotId, id: &WaddleId, namespace: &str) -> bool {
        let room = self.shard.room(slot);
        let owner = room.channel().map(|channel| channel.owner());
        let owner = owner.unwrap_or_else(|| Namespace::split(room.name()).0);
        room.waddle() == Some(id) && owner == namespace
    }

    /// Returns what the waddle that a room is of lets a session's user do there, and notes when that
    /// changes by itself.
    pub(in crate::reactor) fn standing(
        &mut self,
        session: &Session,
        slot: Option<SlotId>,
    ) -> Result<Option<Rights>, Failure> {
        let (Some(slot), Some(user)) = (slot, session.caller().user.as_deref()) else {
            return Ok(None);
        };
        let now = self.clock.wall;
        let rights = self.shard.waddle_rights(now, slot, user)?;
        // Who may write is not timed out.
        if rights.is_some_and(|rights| !rights.contains(Rights::APPEND))
            && let Some(at) = self.shard.rights_change_at(now, slot, user)?
        {
            self.standing_next = self.standing_next.min(at);
        }
        Ok(rights)
    }

    /// Judges those in waddles' rooms anew once a time-out is over that was met when one of them was
    /// judged. That is before anything of this turn is heard.
    pub(in crate::reactor) fn end_time_outs(&mut self) {
        if self.clock.wall < self.standing_next {
            return;
        }
        self.standing_next = Millis(u64::MAX);
        let all: Vec<usize> = self.conns.iter().map(|(at, _)| at).collect();
        for at in all {
            for slot in self.listened(at) {
                let room = self.shard.room(slot);
                if room.community().is_some() || room.waddle().is_some() {
                    self.judge_listener(at, slot, None);
                }
            }
        }
    }

    /// Leaves out of an answer of the view what is said in rooms of waddles that whoever asked may not
    /// read now.
    pub(in crate::reactor) fn within_standing(&mut self, at: usize, answer: Answer) -> Answer {
        let opened = self.conns.get(at).and_then(|conn| conn.session.clone());
        let Some(opened) = opened.filter(|opened| opened.session.caller().user.is_some()) else {
            return answer;
        };
        let mut seen = BTreeMap::new();
        let mut may_read = |id: ChannelId| match seen.get(&id) {
            Some(may) => *may,
            None => {
                let may = self.may_read(&opened.session, id);
                seen.insert(id, may);
                may
            }
        };
        match answer {
            Answer::Events(mut page) => {
                page.items.retain(|found| may_read(found.channel));
                Answer::Events(page)
            }
            Answer::Messages { mut page, applied } => {
                page.items.retain(|found| may_read(found.channel));
                Answer::Messages { page, applied }
            }
            Answer::Unread(mut all) => {
                all.retain(|unread| may_read(unread.channel));
                Answer::Unread(all)
            }
            // These are for rooms whose listeners are judged themselves.
            Answer::Reactions(_) => answer,
            Answer::Channels(mut page) => {
                page.items.retain(|channel| may_read(channel.id));
                Answer::Channels(page)
            }
            Answer::Event(found) => Answer::Event(found.filter(|found| may_read(found.0.channel))),
        }
    }

    /// Returns whether the waddle that a channel is of, if it is of one, lets somebody read there.
    fn may_read(&mut self, session: &Session, id: ChannelId) -> bool {
        let grants = session.caller().grants.in_room(Room::Channel(id));
        if grants.contains(Rights::MANAGE) {
            return true;
        }
        let found = self.shard.find_channel(self.clock.wall, id);
        let standing = found.and_then(|slot| self.standing(session, slot));
        standing.is_ok_and(|rights| rights.is_none_or(|rights| rights.contains(Rights::READ)))
    }

    /// Returns whether a channel is of a waddle that is there.
    pub(in crate::reactor) fn is_of_a_waddle(&mut self, id: ChannelId) -> bool {
        let now = self.clock.wall;
        let Ok(Some(slot)) = self.shard.find_channel(now, id) else {
            return false;
        };
        matches!(self.shard.waddle_of(now, slot), Ok(Some(_)))
    }
}

/// Returns from whom changes take something, and what each of them is told of it.
fn lost<'a>(changes: &'a [Change], reason: Option<&str>, now: Millis) -> BTreeMap<&'a str, Lost> {
    let mut lost = BTreeMap::new();
    for change in changes {
        let Change::Member {
            user,
            member,
            cause,
        } = change
        else {
            // The end of a room is told to all who are there.
            continue;
        };
        let told = match cause {
            // Who comes in was in none of its rooms.
            Cause::Joined | Cause::Added => continue,
            Cause::Role | Cause::Left => Lost::Some,
            Cause::Kicked => {
                let what = "you were put out of the waddle";
                Lost::Place(explained(Code::Kicked, what, None, reason))
            }
            Cause::Banned => {
                let until = ban_end(changes, user);
                let what = "you are banned from the waddle";
                Lost::Place(explained(Code::Banned, what, until, reason))
            }
            Cause::TimeOut => match member.and_then(|member| member.timed_out_until) {
                Some(until) => {
                    let what = "you may only read in the waddle";
                    let why = explained(Code::TimedOut, what, Some(until), reason);
                    Lost::Word(Failure {
                        retry_after_ms: until.0.saturating_sub(now.0),
                        ..why
                    })
                }
                None => Lost::Some,
            },
        };
        lost.insert(&**user, told);
    }
    lost
}

/// Returns when the ban ends that changes bring over somebody, if it does.
fn ban_end(changes: &[Change], of: &str) -> Option<Millis> {
    changes.iter().find_map(|change| match change {
        Change::Ban { user, ban } if **user == *of => ban.as_ref()?.until,
        Change::About(_) | Change::Member { .. } | Change::Ban { .. } | Change::Room { .. } => None,
    })
}

/// Says what a moderator has done, with the reason they gave.
fn explained(
    code: Code,
    what: &'static str,
    until: Option<Millis>,
    reason: Option<&str>,
) -> Failure {
    let mut message = what.to_owned();
    if let Some(until) = until {
        message.push_str(" until ");
        message.push_str(&until.rfc3339());
    }
    if let Some(reason) = reason {
        message.push_str(": ");
        message.push_str(reason);
    }
    Failure::new(code, message)
}
