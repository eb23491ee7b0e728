//! The rules of rooms over HTTP.

use floe_core::access::{AccessChange, Role};
use floe_log::Disk;
use floe_proto::{Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Wanted};
use floe_surfaces::http::Method;
use floe_surfaces::room_access::{self, Ask, Asked, RoomPath};
use serde_json::{Value, json};

use super::caller::{full_name, is_unspeakable};
use super::conn::{Context, Expect};
use super::{Reactor, envelope};
use crate::shard::{Failure, Rules, is_reserved, is_table_room, is_voice_room};

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
                let has_rules = !is_reserved(path) || is_table_room(path) || is_voice_room(path);
                if is_unspeakable(path) || !has_rules {
                    let message = "the server's own streams have no rules of their own";
                    return Err(Failure::new(Code::NotFound, message));
                }
                full_name(&opened.session, path).into_owned()
            }
        };
        let grant = self.grant(&opened.session, None, &wanted)?;
        self.judge_page(at, &grant.namespace);
        let now = self.clock.wall;
        let shown = room.to_string();
        match ask {
            Ask::Show | Ask::Preflight => {
                let rules = self.shard.rules(now, &name)?;
                self.answer_rules(at, context, &shown, &rules);
            }
            Ask::Change { change, if_version } => {
                let changes = self
                    .shard
                    .would_change_access(now, &name, &change, if_version)?;
                if changes {
                    let caller = opened.session.caller();
                    let target = described(&shown, &change);
                    self.log_rules(at, caller, &grant.namespace, target)?;
                }
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
        room_access::write_rules(
            &mut self.out,
            &envelope(&mut self.clock, self.conns.get(at), context),
            &shown,
        );
        self.answer(at, context);
    }
}

/// Describes a change for the audit log.
fn described(room: &str, change: &AccessChange) -> Value {
    let word = |public: Rights| match public.contains(Rights::READ) {
        true => "read",
        false => "none",
    };
    let mut target = json!({ "room": room });
    let members: Vec<_> = match change {
        AccessChange::Replace(rules) => {
            target["replaced"] = true.into();
            target["public"] = word(rules.public).into();
            target["owner"] = json!(rules.owner);
            let members = rules.members.iter();
            members.map(|(user, role)| (user, Some(*role))).collect()
        }
        AccessChange::Merge(patch) => {
            if let Some(public) = patch.public {
                target["public"] = word(public).into();
            }
            if let Some(owner) = &patch.owner {
                target["owner"] = json!(owner);
            }
            let members = patch.members.iter();
            members.map(|(user, role)| (user, *role)).collect()
        }
    };
    if members.len() > AUDITED_MAX {
        target["memberCount"] = members.len().into();
        return target;
    }
    let members = members.into_iter();
    let members = members.map(|(user, role)| (user.to_string(), json!(role.map(Role::as_str))));
    target["members"] = members.collect::<serde_json::Map<_, _>>().into();
    target
}

/// Members that a record of the audit log names; of more it says how many they are.
const AUDITED_MAX: usize = 100;
