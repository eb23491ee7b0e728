//! The rules of rooms over HTTP.

use floe_log::Disk;
use floe_proto::{Code, Namespace};
use floe_surfaces::access::{Deed, Wanted};
use floe_surfaces::http::Method;
use floe_surfaces::room_access::{self, Ask, Asked, RoomPath};

use super::caller::{full_name, is_unspeakable};
use super::conn::{Context, Expect};
use super::{Reactor, envelope};
use crate::shard::{Failure, Rules, is_reserved};

impl<D: Disk> Reactor<D> {
    /// Serves a request about a room's rules.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn access_request(
        &mut self,
        at: usize,
        context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let headers = fields.iter().map(|field| (field.name, field.value));
        let asked = match room_access::read_request(method, path, headers, body) {
            Ok(asked) => asked,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        if asked.ask == Ask::Preflight {
            return self.answer_preflight(at, context);
        }
        if let Err(failure) = self.serve_access(at, context, named, query, asked) {
            self.answer_refused_read(at, context, failure);
        }
    }

    fn serve_access(
        &mut self,
        at: usize,
        context: Context,
        named: Option<Namespace>,
        query: Option<&str>,
        asked: Asked<'_>,
    ) -> Result<(), Failure> {
        let Asked {
            mut credentials,
            room,
            ask,
        } = asked;
        credentials.query(query.unwrap_or_default());
        let opened = self.open_session(at, &credentials, named)?;
        let wanted = Wanted::in_room(Deed::Manage, room.room());
        let name = match &room {
            RoomPath::Channel(id) => id.room_name().into_bytes(),
            RoomPath::Stream(path) => {
                if path.len() > self.limits.stream_path_bytes_max {
                    let message = "the path is longer than stream.path_bytes_max";
                    return Err(Failure::new(Code::PathTooLong, message));
                }
                if is_unspeakable(path) || is_reserved(path) {
                    let message = "the server's own streams have no rules of their own";
                    return Err(Failure::new(Code::NotFound, message));
                }
                full_name(&opened.session, path).into_owned()
            }
        };
        self.grant(&opened.session, None, &wanted)?;
        let now = self.clock.wall;
        let shown = room.to_string();
        match ask {
            Ask::Show | Ask::Preflight => {
                let rules = self.shard.rules(now, &name)?;
                self.answer_rules(at, context, &shown, &rules);
            }
            Ask::Change { change, if_version } => {
                let ticket = self.wait(at, context, Some(Box::new(Expect::Rules(shown.into()))));
                let changed = self
                    .shard
                    .change_access(now, ticket, &name, change, if_version);
                if let Some(slot) = changed {
                    self.judge_room(slot);
                }
            }
        }
        Ok(())
    }

    /// Answers with the rules of a room as they are.
    pub(super) fn answer_rules(&mut self, at: usize, context: Context, room: &str, rules: &Rules) {
        self.out.clear();
        let shown = room_access::Rules {
            room,
            version: rules.version,
            access: &rules.access,
        };
        room_access::write_rules(&mut self.out, &envelope(&mut self.clock, context), &shown);
        self.answer(at, context);
    }
}
