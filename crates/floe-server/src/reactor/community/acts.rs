//! What is done in waddles: its record in the audit log, then the act, and those whose rights it is
//! about are judged anew.

use floe_core::community::{Act, CommunityError};
use floe_log::Disk;
use floe_proto::Code;
use floe_proto::community::{About, Change, Role};
use floe_surfaces::access::{Deed as Wish, Wanted};
use floe_surfaces::community::http::{self, Ask, Listed};
use serde_json::{Value, json};

use super::{Desk, Expect, Reactor, Sight, Told, no_waddle};
use crate::shard::{Deed, Failure, SlotId};

/// An act as the caller means it.
pub(super) struct Meant {
    /// What the audit log and the metrics call it.
    pub word: &'static str,
    pub act: Act,
    pub reason: Option<Box<str>>,
    /// To what it is done.
    pub target: Value,
    pub shown: Shown,
}

/// What the answer to an act shows.
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// The waddle.
    Waddle,
    /// A member as they are then.
    Member(Box<str>),
    /// A ban as it is then.
    Ban(Box<str>),
    /// This.
    Given(Told),
}

impl<D: Disk> Reactor<D> {
    /// Makes a waddle.
    pub(super) fn create_waddle(
        &mut self,
        desk: &Desk,
        about: About,
        owner: Option<Box<str>>,
    ) -> Result<(), Failure> {
        let wanted = Wanted::of_namespace(Wish::Create);
        self.grant(&desk.opened.session, None, &wanted)?;
        let owner = match (desk.user(), owner) {
            (Some(user), Some(owner)) if *user != *owner && !desk.is_operator => {
                let message = "who is a user makes waddles of their own";
                return Err(Failure::new(Code::Forbidden, message));
            }
            (_, Some(owner)) => owner,
            (Some(user), None) => user.into(),
            (None, None) => {
                let message = "`owner` is required of who is no user";
                return Err(Failure::new(Code::InvalidRequest, message));
            }
        };
        let now = self.clock.wall;
        let changes = self
            .shard
            .would_create_waddle(now, &desk.name, &about, &owner)?;
        let target = json!({ "waddle": desk.id.as_str(), "owner": owner });
        self.log_waddle(desk, "create", target)?;
        let body = self.founded_json(desk, &changes);
        let expect = Expect::Waddle(Told::json(201, &body));
        let ticket = self.wait(desk.at, desk.context, Some(Box::new(expect)));
        self.shard
            .create_waddle(now, ticket, &desk.name, about, &owner);
        Ok(())
    }

    fn founded_json(&self, desk: &Desk, changes: &[Change]) -> Value {
        let mut body = json!({
            "id": desk.id.as_str(),
            "createdAt": self.clock.wall.rfc3339(),
            "memberCount": 1,
        });
        for change in changes {
            match change {
                Change::About(about) => {
                    body["name"] = json!(about.name);
                    body["join"] = json!(about.join);
                }
                Change::Member { user, .. } => body["owner"] = json!(user),
                Change::Ban { .. } | Change::Room { .. } => {}
            }
        }
        body
    }

    /// Does what is asked about the waddle itself, a member or a ban.
    pub(super) fn act_in_waddle(&mut self, desk: &Desk, ask: Ask) -> Result<(), Failure> {
        let (slot, _) = self.look_for_act(desk, ask == Ask::Join)?;
        let meant = self.meant(desk, slot, ask)?;
        self.do_act(desk, slot, meant)
    }

    /// Finds a waddle in which the caller wants to do something. Who is no member may do nothing
    /// there but come in, and learns of it no more than that.
    pub(super) fn look_for_act(
        &mut self,
        desk: &Desk,
        comes_in: bool,
    ) -> Result<(SlotId, Sight), Failure> {
        if desk.user().is_none() {
            self.check_deed(desk, Wish::Manage)?;
        }
        let (slot, sight) = self.look_at(desk)?;
        if sight == Sight::Outside && !comes_in {
            return Err(no_waddle());
        }
        Ok((slot, sight))
    }

    fn meant(&self, desk: &Desk, slot: SlotId, ask: Ask) -> Result<Meant, Failure> {
        let now = self.clock.wall;
        let community = self.community(slot)?;
        let own = || desk.user().map_or_else(Box::default, Into::into);
        let (word, act, reason, shown) = match ask {
            Ask::Change { name, join } => {
                let about = About {
                    name: name.unwrap_or_else(|| community.about().name.clone()),
                    join: join.unwrap_or(community.about().join),
                };
                ("change", Act::About(about), None, Shown::Waddle)
            }
            Ask::Put { user, role } => {
                let shown = Shown::Member(user.clone());
                match community.role_of(&user) {
                    Some(_) => ("role", Act::SetRole { user, role }, None, shown),
                    None => ("add", Act::Add { user, role }, None, shown),
                }
            }
            Ask::Kick { user, reason } => ("kick", Act::Kick { user }, reason, Shown::Nothing),
            Ask::Join => ("join", Act::Join, None, Shown::Member(own())),
            Ask::Leave => ("leave", Act::Leave, None, Shown::Nothing),
            Ask::Ban { user, end, reason } => {
                let shown = Shown::Ban(user.clone());
                let act = Act::Ban {
                    user,
                    until: end.map(|end| end.moment(now)),
                    reason: reason.clone(),
                };
                ("ban", act, reason, shown)
            }
            Ask::Unban { user } => ("unban", Act::Unban { user }, None, Shown::Nothing),
            Ask::TimeOut { user, end, reason } => {
                let shown = match end {
                    Some(_) => Shown::Member(user.clone()),
                    None => Shown::Nothing,
                };
                let until = end.map(|end| end.moment(now));
                ("timeout", Act::TimeOut { user, until }, reason, shown)
            }
            Ask::Preflight
            | Ask::Create { .. }
            | Ask::Joined
            | Ask::Describe
            | Ask::Delete
            | Ask::Members { .. }
            | Ask::Bans(_)
            | Ask::CreateRoom(_)
            | Ask::Rooms
            | Ask::DescribeRoom(_)
            | Ask::ChangeRoom(..)
            | Ask::DeleteRoom(_)
            | Ask::Search(_) => unreachable!("it is served elsewhere"),
        };
        Ok(Meant {
            word,
            target: described(desk, &act, reason.as_deref()),
            act,
            reason,
            shown,
        })
    }

    /// Does something in a waddle, with its record in the audit log: both are durable before the
    /// answer.
    pub(super) fn do_act(
        &mut self,
        desk: &Desk,
        slot: SlotId,
        meant: Meant,
    ) -> Result<(), Failure> {
        let now = self.clock.wall;
        let deed = Deed {
            act: &meant.act,
            by: desk.by(),
            reason: meant.reason.as_deref(),
        };
        let changes = self.shard.would_act(now, &desk.name, &deed)?;
        if !changes.is_empty() {
            self.log_waddle(desk, meant.word, meant.target)?;
        }
        let told = self.told(desk, slot, meant.shown, &changes)?;
        let expect = Expect::Waddle(told);
        let ticket = self.wait(desk.at, desk.context, Some(Box::new(expect)));
        let acted = self.shard.act(now, ticket, &desk.name, &deed);
        if let Some(acted) = acted {
            self.judge_waddle(acted.slot, &acted.changes, meant.reason.as_deref());
        }
        Ok(())
    }

    /// Returns what is told of an act: how things are once it is done.
    fn told(
        &self,
        desk: &Desk,
        slot: SlotId,
        shown: Shown,
        changes: &[Change],
    ) -> Result<Told, Failure> {
        let community = self.community(slot)?;
        let body = match shown {
            Shown::Nothing => return Ok(Told::DONE),
            Shown::Given(told) => return Ok(told),
            Shown::Waddle => {
                let mut body = http::waddle_json(&Listed {
                    id: desk.id.as_str(),
                    community,
                    role: desk.user().and_then(|user| community.role_of(user)),
                });
                for change in changes {
                    if let Change::About(about) = change {
                        body["name"] = json!(about.name);
                        body["join"] = json!(about.join);
                    }
                }
                body
            }
            Shown::Member(of) => {
                let changed = changes.iter().rev().find_map(|change| match change {
                    Change::Member { user, member, .. } if *user == of => *member,
                    Change::About(_)
                    | Change::Member { .. }
                    | Change::Ban { .. }
                    | Change::Room { .. } => None,
                });
                let member = changed.or_else(|| community.members().get(&of).copied());
                let member = member.ok_or_else(no_member)?;
                http::member_json(&of, &member)
            }
            Shown::Ban(of) => {
                let changed = changes.iter().rev().find_map(|change| match change {
                    Change::Ban { user, ban } if *user == of => ban.as_ref(),
                    Change::About(_)
                    | Change::Member { .. }
                    | Change::Ban { .. }
                    | Change::Room { .. } => None,
                });
                let ban = changed.or_else(|| community.bans().get(&of));
                http::ban_json(&of, ban.ok_or_else(no_member)?)
            }
        };
        Ok(Told::json(200, &body))
    }

    /// Stages the record of an act in a waddle, and counts it.
    pub(super) fn log_waddle(
        &mut self,
        desk: &Desk,
        word: &'static str,
        target: Value,
    ) -> Result<(), Failure> {
        let caller = desk.opened.session.caller();
        let act = format!("waddle.{word}");
        self.log_done(desk.at, caller, &desk.namespace, &act, target)?;
        self.metrics.waddle_act(word);
        Ok(())
    }
}

/// Describes an act for the audit log.
fn described(desk: &Desk, act: &Act, reason: Option<&str>) -> Value {
    let mut target = json!({ "waddle": desk.id.as_str() });
    match act {
        Act::About(about) => {
            target["name"] = json!(about.name);
            target["join"] = json!(about.join);
        }
        Act::Join | Act::Leave => target["user"] = json!(desk.user()),
        Act::Add { user, role } | Act::SetRole { user, role } => {
            target["user"] = json!(user);
            target["role"] = json!(Role::as_str(*role));
        }
        Act::Kick { user } | Act::Unban { user } => target["user"] = json!(user),
        Act::Ban { user, until, .. } | Act::TimeOut { user, until } => {
            target["user"] = json!(user);
            target["until"] = json!(until.map(floe_proto::Millis::rfc3339));
        }
        Act::Room { id, .. } => target["channel"] = json!(id.to_string()),
    }
    if let Some(reason) = reason {
        target["reason"] = reason.into();
    }
    target
}

fn no_member() -> Failure {
    let error = CommunityError::NoSuchMember;
    Failure::new(error.code(), error.to_string())
}
