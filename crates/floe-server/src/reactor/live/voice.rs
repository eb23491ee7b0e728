//! WebSockets of voice rooms: `/ws/voice/<id>`.

use floe_log::Disk;
use floe_proto::{Code, Rights, VoiceId};
use floe_surfaces::access::{Deed, Grant, Room, Session, Wanted};
use floe_surfaces::community::voice::{self, Action};
use floe_surfaces::community::{Incoming, Refusal, Welcome, write_pong, write_welcome};

use super::super::caller::full_name;
use super::super::channels::may_own;
use super::super::conn::Context;
use super::community::{CommunityRoom, Opened, join_of};
use super::telling::{Next, SharedFrames};
use super::{Admitted, Join, Reactor};
use crate::shard::{Failure, SlotId};

/// What a WebSocket has been told of the voice room that it is for.
#[derive(Debug)]
pub(in crate::reactor) struct VoiceSession {}

impl<D: Disk> Reactor<D> {
    /// Turns a connection into a WebSocket of a voice room, which it makes if it may.
    pub(super) fn open_voice(
        &mut self,
        at: usize,
        context: Context,
        admitted: Admitted<'_>,
        opened: &Opened<'_>,
    ) {
        let session = &admitted.opened.clone().session;
        let entered = self.enter_voice(session, admitted.token.as_deref(), opened.id);
        let entered = entered.and_then(|(grant, slot)| {
            self.settle_live(at, &grant.namespace, grant.author.as_deref())?;
            self.admit_reader(at, slot)?;
            Ok(join_of(grant, slot, opened.id))
        });
        let join = match entered {
            Ok(join) => join,
            Err(failure) => return self.answer_refused_read(at, context, failure),
        };
        let room = CommunityRoom::Voice(VoiceSession {});
        self.begin_community(at, context, admitted, join, room);
    }

    /// Writes the welcome to a voice room.
    pub(super) fn welcome_to_voice(&self, out: &mut Vec<u8>, join: &Join) {
        let welcome = Welcome {
            room: &join.room,
            user: join.user.as_deref(),
            heartbeat_ms: self.limits.live_ping_ms,
            limits: &[("frameBytes", self.limits.live_message_bytes_max.into())],
            ..Welcome::default()
        };
        write_welcome(out, &welcome);
    }

    /// Finds a voice room for somebody who may see it. Whoever may make rooms finds it in any case.
    fn enter_voice(
        &mut self,
        session: &Session,
        token: Option<&str>,
        id: &str,
    ) -> Result<(Grant, SlotId), Failure> {
        let missing = || Failure::new(Code::NotFound, "there is no such voice room");
        let id: VoiceId = id.parse().map_err(|_| missing())?;
        let path = id.room_path();
        let room = Room::Stream(path.as_bytes());
        let grant = self.grant(session, token, &Wanted::in_room(Deed::Read, room))?;
        let name = full_name(session, path.as_bytes());
        let now = self.clock.wall;
        let makes = Rights::CREATE.with(Rights::MANAGE);
        let slot = if grant.rights.intersects(makes) {
            let owner = session.caller().user.clone().filter(|user| may_own(user));
            self.shard.ensure_voice(now, &name, owner)?
        } else {
            self.shard.find_voice(now, &name)?.ok_or_else(missing)?
        };
        Ok((grant, slot))
    }

    /// Does what a frame asks of a voice room.
    pub(super) fn voice_frame(&mut self, at: usize, incoming: &Incoming<'_>) {
        match voice::read_action(incoming) {
            Ok(Action::Ping) => self.tell_message(at, |out| write_pong(out, &incoming.label)),
            Ok(_) => {
                let message = "nothing else can be asked here yet";
                let label = incoming.label.clone();
                self.tell_refusal(at, &Refusal::new(label, Code::UnknownAction, message));
            }
            Err(refusal) => self.tell_refusal(at, &refusal),
        }
    }

    /// Returns what comes next for a WebSocket of a voice room.
    pub(super) fn next_of_voice(
        &mut self,
        _at: usize,
        _place: usize,
        _shared: &mut SharedFrames,
    ) -> Result<Next, Failure> {
        Ok(Next::Nothing)
    }
}
