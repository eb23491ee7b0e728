//! What a waddle shows of itself: to its members, and to those who may come in.

use std::ops::Bound;
use std::sync::Arc;

use floe_core::community::CommunityError;
use floe_log::Disk;
use floe_proto::community::{Policy, Role};
use floe_proto::{Code, Namespace};
use floe_surfaces::access::{Deed, Wanted};
use floe_surfaces::community::http::{self, Listed, Page};

use super::{Desk, Expect, Reactor, Sight, Told, no_waddle};
use crate::reactor::caller::Opened;
use crate::reactor::conn::Context;
use crate::shard::Failure;

impl<D: Disk> Reactor<D> {
    /// Answers with the waddles that the caller has joined.
    pub(super) fn list_joined(
        &mut self,
        at: usize,
        context: Context,
        opened: &Arc<Opened>,
        namespace: &Namespace,
    ) -> Result<(), Failure> {
        let Some(user) = opened.session.caller().user.as_deref() else {
            // Who is nobody is told so, and who could say who they are is told to.
            let wanted = Wanted::of_namespace(Deed::Manage);
            self.grant(&opened.session, None, &wanted)?;
            let message = "say whose waddles: `user`";
            return Err(Failure::new(Code::InvalidRequest, message));
        };
        let now = self.clock.wall;
        let mut waddles = Vec::new();
        for id in self.shard.verified_waddles(now, namespace.as_str(), user)? {
            let name = namespace.qualify(id.path().as_bytes()).into_owned();
            let slot = self.shard.waddle(now, &name)?;
            let community = self.community(slot)?;
            waddles.push(http::waddle_json(&Listed {
                id: id.as_str(),
                community,
                role: community.role_of(user),
            }));
        }
        let body = http::waddles_json(waddles);
        let expect = Expect::Waddle(Told::json(200, &body));
        let ticket = self.wait(at, context, Some(Box::new(expect)));
        self.shard.tell_durable(ticket);
        Ok(())
    }

    /// Answers with a waddle.
    pub(super) fn describe_waddle(&mut self, desk: &Desk) -> Result<(), Failure> {
        let (slot, sight) = self.look_at(desk)?;
        let community = self.community(slot)?;
        let role = match sight {
            Sight::All => None,
            Sight::Member(role) => Some(role),
            Sight::Outside if community.about().join == Policy::Invite => return Err(no_waddle()),
            Sight::Outside => {
                let body = http::outline_json(desk.id.as_str(), community);
                self.tell_of_waddle(desk, &body);
                return Ok(());
            }
        };
        let body = http::waddle_json(&Listed {
            id: desk.id.as_str(),
            community,
            role,
        });
        self.tell_of_waddle(desk, &body);
        Ok(())
    }

    /// Answers with members, ascending by user.
    pub(super) fn list_waddle_members(
        &mut self,
        desk: &Desk,
        page: &Page,
        role: Option<Role>,
    ) -> Result<(), Failure> {
        let (slot, _) = self.see_waddle(desk)?;
        let community = self.community(slot)?;
        let members = community
            .members()
            .range::<str, _>((after(page), Bound::Unbounded))
            .filter(|(_, member)| role.is_none_or(|role| member.role == role));
        let (members, next) = cut(members, page.limit);
        let shown = members
            .iter()
            .map(|(user, member)| http::member_json(user, member));
        let body = http::members_json(community.members().len(), shown.collect(), next);
        self.tell_of_waddle(desk, &body);
        Ok(())
    }

    /// Answers with the bans that are not over, ascending by user.
    pub(super) fn list_bans(&mut self, desk: &Desk, page: &Page) -> Result<(), Failure> {
        let (slot, sight) = match desk.user() {
            // What reads without being a user does not look after who may come.
            None => self.look_for_act(desk, false)?,
            Some(_) => self.see_waddle(desk)?,
        };
        if let Sight::Member(role) = sight
            && role < Role::Moderator
        {
            let needed = Role::Moderator;
            let error = CommunityError::Role { needed };
            return Err(Failure::new(error.code(), error.to_string()));
        }
        let now = self.clock.wall;
        let community = self.community(slot)?;
        let bans = community
            .bans()
            .range::<str, _>((after(page), Bound::Unbounded))
            .filter(|(_, ban)| !ban.is_over(now));
        let (bans, next) = cut(bans, page.limit);
        let shown = bans.iter().map(|(user, ban)| http::ban_json(user, ban));
        let body = http::bans_json(shown.collect(), next);
        self.tell_of_waddle(desk, &body);
        Ok(())
    }
}

fn after(page: &Page) -> Bound<&str> {
    page.after
        .as_deref()
        .map_or(Bound::Unbounded, Bound::Excluded)
}

type Cut<'a, T> = (Vec<(&'a str, &'a T)>, Option<&'a str>);

/// Takes a page; returns after whom the next one begins, if there is one.
fn cut<'a, T>(mut all: impl Iterator<Item = (&'a Box<str>, &'a T)>, limit: usize) -> Cut<'a, T> {
    let taken: Vec<_> = all
        .by_ref()
        .take(limit)
        .map(|(user, item)| (&**user, item))
        .collect();
    let has_more = all.next().is_some();
    let next = taken.last().filter(|_| has_more).map(|(user, _)| *user);
    (taken, next)
}
