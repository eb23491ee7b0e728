//! Waddles over HTTP.

mod acts;
mod deleting;
mod listing;
mod rooms;
mod searching;
mod standing;

use std::sync::Arc;

use floe_core::community::{By, Community, CommunityError};
use floe_log::Disk;
use floe_proto::community::{Role, WaddleId};
use floe_proto::{Code, Namespace, Rights};
use floe_surfaces::access::{Deed, Room, Wanted};
use floe_surfaces::community::http::{self, Ask, Asked};
use floe_surfaces::http::Method;
use serde_json::Value;

use super::Reactor;
use super::caller::Opened;
use super::conn::{Context, Expect};
use super::limits::Payer;
use crate::shard::{Failure, Reply, SlotId};

pub(super) use self::deleting::Ending;
pub use self::searching::Sought;

/// What is told of a waddle once it is durable.
#[derive(Debug)]
pub struct Told {
    status: u16,
    /// JSON; none where there is nothing to show.
    body: Option<Box<[u8]>>,
}

impl Told {
    const DONE: Self = Self {
        status: 204,
        body: None,
    };

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::written(status, body.to_string().into_bytes())
    }

    /// Shows JSON that is written already.
    pub(super) fn written(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            body: Some(body.into()),
        }
    }
}

/// Who asks something of a waddle, and where.
#[derive(Debug)]
struct Desk {
    at: usize,
    context: Context,
    opened: Arc<Opened>,
    namespace: Namespace,
    id: WaddleId,
    /// Full name of the waddle's room.
    name: Box<[u8]>,
    /// Whether the caller's credentials let them manage the waddle whatever they are in it.
    is_operator: bool,
}

impl Desk {
    fn user(&self) -> Option<&str> {
        self.opened.session.caller().user.as_deref()
    }

    fn by(&self) -> By<'_> {
        By {
            user: self.user(),
            is_operator: self.is_operator,
        }
    }
}

/// What somebody is to a waddle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// They may see all of it: operators, and what reads without being a user.
    All,
    /// A member.
    Member(Role),
    /// A user who is no member.
    Outside,
}

impl<D: Disk> Reactor<D> {
    /// Serves a request about waddles.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the parts of a request"
    )]
    pub(super) fn waddle_request(
        &mut self,
        at: usize,
        mut context: Context,
        method: Method,
        path: &str,
        named: Option<Namespace>,
        query: Option<&str>,
        fields: &[httparse::Header<'_>],
        body: &[u8],
    ) {
        let headers = fields.iter().map(|field| (field.name, field.value));
        let query = query.unwrap_or_default();
        let asked = match http::read_request(method, path, query, headers, body) {
            Ok(asked) => asked,
            Err(reject) => return self.answer_error(at, context, reject.code, &reject.message),
        };
        if asked.ask == Ask::Preflight {
            return self.show(at, context, |out, envelope| {
                floe_surfaces::channels::write_preflight(
                    out,
                    envelope,
                    floe_surfaces::channels::Form::V1,
                );
            });
        }
        if let Err(failure) = self.serve_waddles(at, &mut context, named, asked, body.len()) {
            self.answer_refused_read(at, context, failure);
        }
    }

    fn serve_waddles(
        &mut self,
        at: usize,
        context: &mut Context,
        named: Option<Namespace>,
        asked: Asked<'_>,
        bytes: usize,
    ) -> Result<(), Failure> {
        let Asked {
            credentials,
            actor,
            waddle,
            ask,
        } = asked;
        let mut opened = self.open_session(at, &credentials, named)?;
        if let Some(actor) = &actor {
            opened = self.act_as(&opened, actor)?;
        }
        let namespace = opened.session.namespace().cloned().unwrap_or_default();
        self.check_stands(namespace.as_str())?;
        self.judge_page(at, &namespace);
        if self.limiter.is_on() {
            let payer = Payer::of(&opened, None);
            self.charge(at, context, &payer, None, bytes)?;
        }
        let context = *context;
        match (ask, waddle) {
            (Ask::Create { id, about, owner }, _) => {
                let id = id.unwrap_or_else(|| self.new_waddle_id());
                let desk = self.desk(at, context, opened, namespace, id);
                self.create_waddle(&desk, about, owner)
            }
            (Ask::Joined, _) => self.list_joined(at, context, &opened, &namespace),
            (ask, Some(id)) => {
                let desk = self.desk(at, context, opened, namespace, id);
                self.check_not_ending(&desk)?;
                self.serve_waddle(desk, ask)
            }
            (_, None) => Err(Failure::new(
                Code::UnknownRoute,
                "this is asked of one waddle",
            )),
        }
    }

    fn serve_waddle(&mut self, desk: Desk, ask: Ask) -> Result<(), Failure> {
        match ask {
            Ask::Preflight | Ask::Create { .. } | Ask::Joined => {
                unreachable!("it is asked of no waddle")
            }
            Ask::Describe => self.describe_waddle(&desk),
            Ask::Members { page, role } => self.list_waddle_members(&desk, &page, role),
            Ask::Bans(page) => self.list_bans(&desk, &page),
            Ask::Rooms => self.list_rooms(&desk),
            Ask::DescribeRoom(id) => self.describe_room(&desk, id),
            Ask::CreateRoom(new) => self.create_room(&desk, new),
            Ask::ChangeRoom(id, change) => self.change_room(&desk, id, change),
            Ask::DeleteRoom(id) => self.delete_room(&desk, id),
            Ask::Delete => self.delete_waddle(&desk),
            Ask::Search(seek) => self.search_waddle(desk, seek),
            ask @ (Ask::Change { .. }
            | Ask::Put { .. }
            | Ask::Kick { .. }
            | Ask::Join
            | Ask::Leave
            | Ask::Ban { .. }
            | Ask::Unban { .. }
            | Ask::TimeOut { .. }) => self.act_in_waddle(&desk, ask),
        }
    }

    fn desk(
        &self,
        at: usize,
        context: Context,
        opened: Arc<Opened>,
        namespace: Namespace,
        id: WaddleId,
    ) -> Desk {
        let path = id.path();
        let room = Room::Stream(path.as_bytes());
        let grants = &opened.session.caller().grants;
        Desk {
            at,
            context,
            is_operator: grants.in_room(room).contains(Rights::MANAGE),
            name: namespace.qualify(path.as_bytes()).into(),
            opened,
            namespace,
            id,
        }
    }

    /// Finds a waddle, and what the caller is to it. Who may learn nothing of it is not told whether
    /// it is there.
    fn look_at(&mut self, desk: &Desk) -> Result<(SlotId, Sight), Failure> {
        if desk.user().is_none() && !desk.is_operator {
            self.check_deed(desk, Deed::Read)?;
        }
        let slot = self.shard.waddle(self.clock.wall, &desk.name)?;
        let role = |user| {
            self.community(slot)
                .map(|community| community.role_of(user))
        };
        let sight = match desk.user() {
            Some(user) if !desk.is_operator => role(user)?.map_or(Sight::Outside, Sight::Member),
            Some(_) | None => Sight::All,
        };
        Ok((slot, sight))
    }

    /// Finds a waddle whose inner life the caller may see.
    fn see_waddle(&mut self, desk: &Desk) -> Result<(SlotId, Sight), Failure> {
        match self.look_at(desk)? {
            (_, Sight::Outside) => Err(no_waddle()),
            found => Ok(found),
        }
    }

    /// Checks whether the caller's credentials allow something in the waddle, whatever they are in it.
    fn check_deed(&mut self, desk: &Desk, deed: Deed) -> Result<(), Failure> {
        let path = desk.id.path();
        let wanted = Wanted::in_room(deed, Room::Stream(path.as_bytes()));
        self.grant(&desk.opened.session, None, &wanted).map(drop)
    }

    fn community(&self, slot: SlotId) -> Result<&Community, Failure> {
        self.shard.room(slot).community().ok_or_else(no_waddle)
    }

    /// Answers with something of a waddle, once that is durable.
    fn tell_of_waddle(&mut self, desk: &Desk, body: &Value) {
        let expect = Expect::Waddle(Told::json(200, body));
        let ticket = self.wait(desk.at, desk.context, Some(Box::new(expect)));
        self.shard.tell_durable(ticket);
    }

    /// Answers what was done in a waddle, or not.
    pub(super) fn answer_waddle(&mut self, at: usize, context: Context, told: &Told, reply: Reply) {
        match reply {
            Reply::Acted(_) | Reply::Deleted | Reply::Told => {
                self.show(at, context, |out, envelope| match &told.body {
                    Some(body) => http::write_json(out, envelope, told.status, body),
                    None => http::write_done(out, envelope),
                })
            }
            Reply::Failed(failure) => self.answer_failure(at, context, &failure),
            Reply::Created { .. }
            | Reply::Appended { .. }
            | Reply::Refused(_)
            | Reply::Channel(_)
            | Reply::Events(_)
            | Reply::Access(_)
            | Reply::Marked(_)
            | Reply::Reads(_) => unreachable!("a waddle was asked about"),
        }
    }

    /// Draws an identity for a waddle that is given none.
    fn new_waddle_id(&self) -> WaddleId {
        let digits = self.random_text::<8>();
        digits.parse().expect("hexadecimal digits are an identity")
    }
}

/// The refusal of what cannot be known to be there.
fn no_waddle() -> Failure {
    let error = CommunityError::NoCommunity;
    Failure::new(error.code(), error.to_string())
}
