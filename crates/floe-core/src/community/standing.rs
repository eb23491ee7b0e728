//! What a member may do in which room.

use floe_proto::community::Role;
use floe_proto::{ChannelId, Millis, Rights};

use super::Community;

impl Community {
    /// Returns what a user may do in the waddle itself (`room` is `None`), or in one of its rooms.
    ///
    /// Who is no member may nothing. A role below what the room demands takes the right to read or to
    /// write away, a time-out the right to write. In the waddle's own log nobody writes but the
    /// server, which does not take the right away: it is that to broadcast.
    #[must_use]
    pub fn rights(&self, user: &str, room: Option<ChannelId>, now: Millis) -> Rights {
        let Some(member) = self.members.get(user) else {
            return Rights::NONE;
        };
        if self.ban_of(user, now).is_some() {
            return Rights::NONE;
        }
        let mut rights = member.role.rights();
        if member.is_timed_out(now) {
            rights = rights.without(WRITING);
        }
        let Some(room) = room else {
            return rights;
        };
        let Some(room) = self.rooms.get(&room) else {
            // The room is gone, and with it what membership gave there.
            return Rights::NONE;
        };
        if member.role < room.read {
            return Rights::NONE;
        }
        if member.role < room.write {
            rights = rights.without(WRITING);
        }
        rights
    }

    /// Returns what a user is in the waddle.
    #[must_use]
    pub fn role_of(&self, user: &str) -> Option<Role> {
        self.members.get(user).map(|member| member.role)
    }

    /// Returns when what a user may do changes by itself next.
    #[must_use]
    pub fn changes_at(&self, user: &str, now: Millis) -> Option<Millis> {
        let until = self.members.get(user)?.timed_out_until?;
        (now < until).then_some(until)
    }
}

/// What who may not write may not do.
const WRITING: Rights = Rights::APPEND.with(Rights::DELETE_OWN);
