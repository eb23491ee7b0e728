//! Who asks: from what a request shows to a session, once per connection and change.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use floe_core::access::Role;
use floe_log::Disk;
use floe_proto::{Code, Millis, Namespace};
use floe_surfaces::access::{
    Caller, Credentials, Deed, Denied, Grant, Known, NAMESPACE_DEFAULT, Room, Session, Source,
    Wanted, authorize,
};
use floe_surfaces::streams::Request;

use super::Reactor;
use super::channels::known;
use crate::shard::{AUDIT, Failure, REGISTRY, is_community, is_internal};

/// A session with what it was opened with, so that the same is not looked up again.
#[derive(Debug)]
pub struct Opened {
    pub session: Session,
    /// What was shown; by a ticket what was shown for it.
    bearer: Box<str>,
    share: Box<str>,
    /// The ticket that opened it, which is good for the connection that showed it first.
    ticket: Box<str>,
    /// The namespace that was named.
    named: Option<Namespace>,
    /// The state of what callers are recognised by.
    epoch: u64,
    /// Until when nobody need ask again who this is.
    until: Millis,
    /// Whether a channel's token says it all.
    pub by_token: bool,
    /// As which user the caller speaks, who may speak as any.
    acting_as: Option<Box<str>>,
    /// When the last use of its key was noted last, in milliseconds of wall time.
    used_noted_ms: AtomicU64,
}

impl Opened {
    /// Returns the namespace that was named when it was opened.
    pub const fn named(&self) -> Option<&Namespace> {
        self.named.as_ref()
    }

    /// Returns a session of anyone.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        Self {
            session: Session::new(Caller::open(), None).expect("everyone may"),
            bearer: Box::default(),
            share: Box::default(),
            ticket: Box::default(),
            named: None,
            epoch: 0,
            until: Millis(u64::MAX),
            by_token: false,
            acting_as: None,
            used_noted_ms: AtomicU64::new(0),
        }
    }

    fn is_same(
        &self,
        credentials: &Credentials<'_>,
        named: Option<&Namespace>,
        epoch: u64,
    ) -> bool {
        // As whom somebody spoke is said anew with each request.
        if self.acting_as.is_some() {
            return false;
        }
        if let Some(ticket) = credentials.ticket() {
            let fits = named.is_none() || self.named.as_ref() == named;
            return self.epoch == epoch && fits && same(&self.ticket, ticket);
        }
        self.epoch == epoch
            && self.ticket.is_empty()
            && same(&self.bearer, credentials.bearer().unwrap_or_default())
            && same(&self.share, credentials.share().unwrap_or_default())
            && self.named.as_ref() == named
    }
}

impl<D: Disk> Reactor<D> {
    /// Finds out who asks, and notes it for the connection.
    ///
    /// # Errors
    /// Refuses credentials that open nothing, and a namespace that is not theirs.
    pub(super) fn open_session(
        &mut self,
        at: usize,
        credentials: &Credentials<'_>,
        named: Option<Namespace>,
    ) -> Result<Arc<Opened>, Failure> {
        let opened = self.find_session(at, credentials, named)?;
        if let Some(namespace) = opened.session.namespace() {
            self.judge_page(at, namespace);
        }
        Ok(opened)
    }

    fn find_session(
        &mut self,
        at: usize,
        credentials: &Credentials<'_>,
        named: Option<Namespace>,
    ) -> Result<Arc<Opened>, Failure> {
        let now = self.clock.wall;
        let epoch = self.access_epoch;
        let conn = &mut self.conns[at];
        if let Some(opened) = &conn.session
            && opened.is_same(credentials, named.as_ref(), epoch)
            && now < opened.until
            && !opened.session.caller().has_ended(now)
        {
            let opened = Arc::clone(opened);
            self.note_used(&opened);
            return Ok(opened);
        }
        conn.session = None;
        if let Some(ticket) = credentials.ticket() {
            return self.redeem(at, ticket, named);
        }
        let is_everyone = self.access.is_open()
            && named.is_none()
            && credentials.bearer().is_none()
            && credentials.share().is_none();
        if is_everyone
            && let Some(opened) = &self.everyone
            && opened.epoch == epoch
            && now < opened.until
        {
            self.conns[at].session = Some(Arc::clone(opened));
            return Ok(Arc::clone(opened));
        }
        let (caller, until) = self.recognise(self.conns[at].client, credentials, named.as_ref())?;
        let text = |shown: Option<&str>| shown.unwrap_or_default().into();
        let opened = Arc::new(Opened {
            session: self.enter(caller, named.clone())?,
            bearer: text(credentials.bearer()),
            share: text(credentials.share()),
            ticket: Box::default(),
            named,
            epoch,
            until,
            by_token: false,
            acting_as: None,
            used_noted_ms: AtomicU64::new(0),
        });
        if is_everyone {
            self.everyone = Some(Arc::clone(&opened));
        }
        self.conns[at].session = Some(Arc::clone(&opened));
        self.note_used(&opened);
        self.note_end(&opened);
        Ok(opened)
    }

    /// Puts a caller into the namespace that their request names, or their own.
    ///
    /// # Errors
    /// Refuses a namespace that is not theirs, and one that is being deleted to whoever may know.
    fn enter(&self, caller: Caller, named: Option<Namespace>) -> Result<Session, Failure> {
        let session = Session::new(caller, named).map_err(refused)?;
        if session.caller().source != Source::Anonymous
            && let Some(namespace) = session.namespace()
        {
            self.check_stands(namespace.as_str())?;
        }
        Ok(session)
    }

    /// Takes a ticket, and opens a session as whoever drew it, if they are still believed.
    fn redeem(
        &mut self,
        at: usize,
        ticket: &str,
        named: Option<Namespace>,
    ) -> Result<Arc<Opened>, Failure> {
        let wrong = || {
            Failure::new(
                Code::Unauthorized,
                "the ticket is not good, or not any more",
            )
        };
        let drawn = self.tickets.take(self.clock.wall, ticket);
        let drawn = self.renew(at, &drawn.ok_or_else(wrong)?)?;
        let named = named.or_else(|| drawn.named.clone());
        let opened = Arc::new(Opened {
            session: self.enter(drawn.session.caller().clone(), named.clone())?,
            bearer: drawn.bearer.clone(),
            share: drawn.share.clone(),
            ticket: ticket.into(),
            named,
            epoch: self.access_epoch,
            until: drawn.until,
            by_token: false,
            acting_as: None,
            used_noted_ms: AtomicU64::new(0),
        });
        self.conns[at].session = Some(Arc::clone(&opened));
        self.note_used(&opened);
        self.note_end(&opened);
        Ok(opened)
    }

    /// Notes that a key was used, once a minute for each connection.
    fn note_used(&mut self, opened: &Opened) {
        let now = self.clock.wall;
        let noted_ms = opened.used_noted_ms.load(Ordering::Relaxed);
        if now.0.saturating_sub(noted_ms) >= USED_NOTED_MS
            && let Source::Key(id) = &opened.session.caller().source
        {
            opened.used_noted_ms.store(now.0, Ordering::Relaxed);
            self.directory.note_used(now, id);
        }
    }

    /// Finds out who a session is of now, if it was opened before something changed.
    ///
    /// # Errors
    /// Its credentials open nothing any more.
    pub(super) fn renew(
        &mut self,
        at: usize,
        opened: &Arc<Opened>,
    ) -> Result<Arc<Opened>, Failure> {
        self.renew_from(self.conns[at].client, opened)
    }

    /// Does so for somebody whose connection may be gone.
    pub(super) fn renew_from(
        &mut self,
        client: IpAddr,
        opened: &Arc<Opened>,
    ) -> Result<Arc<Opened>, Failure> {
        let now = self.clock.wall;
        if opened.epoch == self.access_epoch && !opened.session.caller().has_ended(now) {
            return Ok(Arc::clone(opened));
        }
        let credentials = Credentials::of(&opened.bearer, &opened.share);
        let found = self.recognise(client, &credentials, opened.named.as_ref());
        let before = opened.session.caller();
        let (caller, until) = match found {
            // What the webhook said holds until it ends, whatever became of keys and issuers.
            Err(failure)
                if failure.errand.is_some() && matches!(before.source, Source::Webhook { .. }) =>
            {
                if self.access.is_revoked(before) {
                    return Err(refused(Denied::REVOKED));
                }
                (before.clone(), opened.until)
            }
            found => found?,
        };
        let mut session = self.enter(caller, opened.named.clone())?;
        if let Some(user) = &opened.acting_as {
            session = session.acting_as(user).map_err(refused)?;
        }
        Ok(Arc::new(Opened {
            session,
            bearer: opened.bearer.clone(),
            share: opened.share.clone(),
            ticket: opened.ticket.clone(),
            named: opened.named.clone(),
            epoch: self.access_epoch,
            until,
            by_token: opened.by_token,
            acting_as: opened.acting_as.clone(),
            used_noted_ms: AtomicU64::new(0),
        }))
    }

    /// Lets a session speak as a user, where it may say who it is.
    ///
    /// # Errors
    /// `FORBIDDEN` where the credentials name another user, or none and may not say.
    pub(super) fn act_as(&self, opened: &Opened, user: &str) -> Result<Arc<Opened>, Failure> {
        let session = opened.session.acting_as(user).map_err(refused)?;
        Ok(Arc::new(Opened {
            session,
            bearer: opened.bearer.clone(),
            share: opened.share.clone(),
            ticket: opened.ticket.clone(),
            named: opened.named.clone(),
            epoch: opened.epoch,
            until: opened.until,
            by_token: opened.by_token,
            acting_as: Some(user.into()),
            used_noted_ms: AtomicU64::new(opened.used_noted_ms.load(Ordering::Relaxed)),
        }))
    }

    /// Lets somebody ask whose credentials do not matter: a channel's token says it all, or what is
    /// asked for is everyone's.
    pub(super) fn anonymous_session(
        &mut self,
        at: usize,
        named: Option<Namespace>,
        by_token: bool,
    ) -> Result<Arc<Opened>, Failure> {
        let session = self.enter(Caller::anonymous(), named)?;
        let opened = Arc::new(Opened {
            session,
            bearer: Box::default(),
            share: Box::default(),
            ticket: Box::default(),
            // What stands here is for this request alone.
            named: None,
            epoch: u64::MAX,
            until: Millis(0),
            by_token,
            acting_as: None,
            used_noted_ms: AtomicU64::new(0),
        });
        self.conns[at].session = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Decides what a session may do in a room, which for a channel may be its token's to say.
    pub(super) fn grant(
        &mut self,
        session: &Session,
        token: Option<&str>,
        wanted: &Wanted<'_>,
    ) -> Result<Grant, Failure> {
        let now = self.clock.wall;
        let known = match wanted.room {
            Some(Room::Channel(id)) => {
                let slot = self.shard.find_channel(now, id)?;
                let standing = self.standing(session, slot)?;
                let known = slot.and_then(|slot| known(self.shard.room(slot)));
                known.map(|known| Known { standing, ..known })
            }
            Some(room @ Room::Stream(path)) if token.is_none() => {
                // Where the caller may do all that a room's own rules can allow, they add nothing.
                let rights = session.caller().grants.in_room(room);
                if rights.contains(Role::Owner.rights()) {
                    None
                } else {
                    self.known_stream(session, path)?
                }
            }
            Some(Room::Stream(_)) | None => None,
        };
        let grant = authorize(session, token, wanted, known, now).map_err(refused)?;
        self.check_stands(grant.namespace.as_str())?;
        Ok(grant)
    }

    /// Returns what decides who may do something with a stream, if it is there.
    fn known_stream<'a>(
        &'a mut self,
        session: &'a Session,
        path: &[u8],
    ) -> Result<Option<Known<'a>>, Failure> {
        let name = full_name(session, path);
        let slot = self.shard.find_ruled(self.clock.wall, &name)?;
        let standing = self.standing(session, slot)?;
        Ok(slot.map(|slot| Known {
            standing,
            owner: session
                .namespace()
                .map_or(NAMESPACE_DEFAULT, Namespace::as_str),
            secret: None,
            deleted: false,
            access: self.shard.room(slot).access(),
        }))
    }

    /// Checks whether a session may do with a stream what a request asks for.
    pub(super) fn admit_stream_request(
        &mut self,
        session: &Session,
        token: Option<&str>,
        name: &[u8],
        request: &Request<'_>,
    ) -> Result<Option<Grant>, Failure> {
        let room = Room::at(name);
        if let Room::Channel(_) = room {
            let wanted = Wanted::in_room(Deed::Read, room);
            return self.grant(session, token, &wanted).map(Some);
        }
        let deed = match request {
            Request::Create(_) => Deed::Create,
            Request::Append { .. } => Deed::Append,
            Request::Read(_) => Deed::Read,
            Request::Describe => Deed::Describe,
            Request::Delete => Deed::Manage,
            Request::Preflight => Deed::Nothing,
        };
        if let Request::Create(create) = request
            && let Some(fork) = &create.fork
        {
            let own = session.namespace().cloned().unwrap_or_default();
            let is_own = fork.namespace.as_ref().is_none_or(|named| *named == own);
            if !is_own || is_unspeakable(&fork.source) {
                return Err(Failure::new(Code::NotFound, "there is no such stream"));
            }
            self.admit_stream(session, &fork.source, Deed::Read)?;
        }
        // Most callers may, whatever the room's own rules say, and its rules are not looked up.
        if name != REGISTRY
            && name != AUDIT
            && !is_community(name)
            && session
                .caller()
                .grants
                .in_room(room)
                .intersects(deed.rights())
        {
            return Ok(None);
        }
        self.admit_stream(session, name, deed).map(Some)
    }

    /// Decides what a session may do with the stream at a path.
    pub(super) fn admit_stream(
        &mut self,
        session: &Session,
        path: &[u8],
        deed: Deed,
    ) -> Result<Grant, Failure> {
        // What the server writes of a whole namespace is for those who may see all of it.
        let wanted = match path {
            REGISTRY => Wanted::of_namespace(Deed::Survey),
            AUDIT => Wanted::of_namespace(Deed::Administer),
            _ => Wanted::in_room(deed, Room::Stream(path)),
        };
        self.grant(session, None, &wanted)
    }
}

/// Milliseconds for which the use of a key by one connection is noted once.
const USED_NOTED_MS: u64 = 60_000;

/// Returns the full name of the room at a path, as a session means it. A channel's name is the same
/// in every namespace: who may see it is decided by its owner.
pub(super) fn full_name<'a>(session: &Session, path: &'a [u8]) -> Cow<'a, [u8]> {
    match (session.namespace(), Room::at(path)) {
        (Some(namespace), Room::Stream(path)) => namespace.qualify(path),
        (None, Room::Stream(path)) => Cow::Borrowed(path),
        (_, Room::Channel(_)) => Cow::Borrowed(path),
    }
}

/// Returns whether no room can be called so from outside.
pub(super) fn is_unspeakable(path: &[u8]) -> bool {
    path.first() == Some(&Namespace::MARK) || is_internal(path)
}

pub(super) fn refused(denied: Denied) -> Failure {
    Failure::new(denied.code, denied.message)
}

/// Compares to the end, whatever differs: a connection may carry the requests of several callers.
fn same(one: &str, other: &str) -> bool {
    let bytes = one.bytes().zip(other.bytes());
    let differ = bytes.fold(0, |differ, (one, other)| differ | (one ^ other));
    std::hint::black_box(differ) == 0 && one.len() == other.len()
}
