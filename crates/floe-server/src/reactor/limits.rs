//! What callers may have and do: where it is asked, and how it is told.

use std::sync::Arc;

use floe_core::rate::Empty;
use floe_log::Disk;
use floe_proto::{Code, Millis, NameHash, Namespace, Rights};
use floe_surfaces::access::{Grant, Session, Source};
use floe_surfaces::limits::{self, CountKind, CountState, Limits, Pace, RateKind, Scope, Told};

use super::caller::Opened;
use super::conn::Context;
use super::{Reactor, envelope};
use crate::limiter::{Cost, Refusal, Seats, Stage, Touched};
use crate::proxy::Peer;
use crate::quotas::Quotas;
use crate::shard::{Failure, SlotId};

/// How a connection stands with what it may.
#[derive(Debug, Default)]
pub struct Account {
    seats: Seats,
    /// As whom and in which namespace it was looked up last.
    looked_up: Option<(Arc<Opened>, Namespace)>,
    /// Frames of a WebSocket that were refused lately.
    refusals: u32,
    /// Uptime of the last of them.
    refused_ms: u64,
    /// Uptime until which a WebSocket is not read.
    pub(super) held_ms: u64,
}

/// On whose account something is done.
#[derive(Debug, Clone)]
pub struct Payer<'a> {
    opened: &'a Arc<Opened>,
    /// In whose name, where a token says so.
    author: Option<&'a str>,
    /// The namespace that it is done in.
    namespace: Namespace,
}

impl<'a> Payer<'a> {
    /// Returns who does something that may have been granted on other grounds than the session.
    pub fn of(opened: &'a Arc<Opened>, grant: Option<&'a Grant>) -> Self {
        let author = grant.and_then(|grant| grant.author.as_deref());
        let own = || opened.session.namespace().cloned().unwrap_or_default();
        Self {
            opened,
            author: author.filter(|_| opened.by_token),
            namespace: grant.map_or_else(own, |grant| grant.namespace.clone()),
        }
    }
}

/// Milliseconds that a WebSocket is not read at least, and at most, after it went too fast.
const HOLD_MS: (u64, u64) = (100, 1_000);
/// Milliseconds without a refusal after which a WebSocket has a clean slate.
const FORGIVEN_MS: u64 = 10_000;
/// Namespaces of one answer.
const NAMESPACES_SHOWN_MAX: usize = 1_000;

impl<D: Disk> Reactor<D> {
    /// Goes by other quotas from now on.
    pub(super) fn set_quotas(&mut self, quotas: Arc<Quotas>) {
        self.shard.set_quotas(Arc::clone(&quotas));
        self.limiter.set_quotas(quotas);
    }

    /// Lets an address connect.
    pub(super) fn admit_connect(&mut self, peer: Peer) -> Result<(), Failure> {
        if !self.limiter.is_on() || peer.proxy {
            return Ok(());
        }
        let outcome = self.limiter.connect(peer.ip, self.uptime());
        outcome.map_err(|refusal| self.refused(&refusal, &mut Context::default()))
    }

    /// Takes a connection on, if its address may have another.
    pub(super) fn admit_connection(&mut self, peer: Peer) -> Result<Option<Box<Account>>, Failure> {
        if !self.limiter.is_on() || peer.proxy {
            return Ok(None);
        }
        let seats = match self.limiter.arrive(peer.ip, self.uptime()) {
            Ok(seats) => seats,
            Err(refusal) => return Err(self.refused(&refusal, &mut Context::default())),
        };
        Ok(Some(Box::new(Account {
            seats,
            ..Account::default()
        })))
    }

    /// Gives back what a connection held.
    pub(super) fn close_account(&mut self, account: Option<Box<Account>>) {
        if let Some(mut account) = account {
            self.limiter.leave(&mut account.seats);
        }
    }

    /// Takes a request out of what its connection and address may, before anything else is done.
    pub(super) fn admit_request(
        &mut self,
        at: usize,
        context: &mut Context,
    ) -> Result<(), Failure> {
        let (ip, now) = (self.conns[at].client, self.uptime());
        let mut account = self.take_account(at);
        self.limiter.sit_at(&mut account.seats, ip, now);
        let cost = Cost::one(RateKind::Requests);
        let spent = self.limiter.spend(
            &mut account.seats,
            cost,
            Touched::default(),
            Stage::Arrived,
            now,
        );
        self.conns[at].account = Some(account);
        self.paced(spent, context)
    }

    /// Takes a request out of what its user, namespace and room may, and what it appends out of what
    /// all of them may.
    pub(super) fn charge(
        &mut self,
        at: usize,
        context: &mut Context,
        payer: &Payer<'_>,
        room: Option<&[u8]>,
        bytes: usize,
    ) -> Result<(), Failure> {
        if !self.limiter.is_on() || context.charged {
            return Ok(());
        }
        let now = self.uptime();
        let room = room.filter(|_| self.limiter.limits_rooms());
        let room = room.map(|name| self.shard.room_key(name));
        let mut account = self.take_account(at);
        let spent = self.look_up(&mut account, payer).and_then(|()| {
            let touched = Touched {
                namespace: None,
                room,
            };
            let seats = &mut account.seats;
            let cost = Cost::one(RateKind::Requests).and(RateKind::AppendBytes, bytes as u64);
            self.limiter.spend(seats, cost, touched, Stage::Known, now)
        });
        self.conns[at].account = Some(account);
        context.charged = true;
        self.paced(spent, context)
    }

    /// Finds the account of whoever a connection acts for.
    fn look_up(&mut self, account: &mut Account, payer: &Payer<'_>) -> Result<(), Refusal> {
        let Payer {
            opened,
            author,
            namespace,
        } = payer;
        if author.is_none()
            && account
                .looked_up
                .as_ref()
                .is_some_and(|(of, within)| Arc::ptr_eq(of, opened) && within == namespace)
        {
            return Ok(());
        }
        account.looked_up = None;
        let user = self.user_key(&opened.session, *author, namespace);
        let now = self.uptime();
        self.limiter
            .move_in(&mut account.seats, user, namespace, now)?;
        if author.is_none() {
            account.looked_up = Some((Arc::clone(opened), namespace.clone()));
        }
        Ok(())
    }

    /// Returns what a user is remembered by: a user of a namespace, or a key or token that is
    /// nobody's.
    fn user_key(
        &self,
        session: &Session,
        author: Option<&str>,
        namespace: &Namespace,
    ) -> Option<NameHash> {
        let caller = session.caller();
        let of = caller.namespace.as_ref().unwrap_or(namespace).as_str();
        let user = author.or(caller.user.as_deref());
        let (kind, of, name) = match (user, &caller.source) {
            (Some(user), _) => ("limits/user", of, user),
            (None, Source::Key(id)) => ("limits/key", "", &**id),
            (None, Source::Token { issuer, id, .. }) => {
                ("limits/token", &**issuer, id.as_deref().unwrap_or_default())
            }
            (None, Source::Open | Source::Anonymous | Source::Webhook { .. }) => return None,
        };
        let name = [of.as_bytes(), name.as_bytes()].join(&0);
        Some(self.shard.key_of(kind, &name))
    }

    /// Makes a WebSocket that of whom it first joins a room for, if the handshake did not say whose
    /// it is.
    pub(super) fn settle_live(
        &mut self,
        at: usize,
        namespace: &Namespace,
        author: Option<&str>,
    ) -> Result<(), Failure> {
        if !self.limiter.is_on() {
            return Ok(());
        }
        let Some(live) = self.live_ref(at).filter(|live| live.joins.is_empty()) else {
            return Ok(());
        };
        let opened = Arc::clone(&live.opened);
        if opened.session.namespace().is_some() {
            return Ok(());
        }
        let author = author.filter(|_| opened.session.caller().user.is_none());
        let payer = Payer {
            opened: &opened,
            author,
            namespace: namespace.clone(),
        };
        let mut account = self.take_account(at);
        let settled = self.look_up(&mut account, &payer);
        self.conns[at].account = Some(account);
        settled.map_err(|refusal| self.refused(&refusal, &mut Context::default()))
    }

    /// Makes a WebSocket that of whom its new credentials are of. Who has too many connections keeps
    /// this one, on nobody's account.
    pub(super) fn settle_session(&mut self, at: usize, opened: &Arc<Opened>) {
        if !self.limiter.is_on() || !self.conns.contains(at) {
            return;
        }
        let mut account = self.take_account(at);
        let payer = Payer::of(opened, None);
        if let Err(refusal) = self.look_up(&mut account, &payer) {
            let _ = self.refused(&refusal, &mut Context::default());
        }
        self.conns[at].account = Some(account);
    }

    /// Takes something that a WebSocket does out of what everyone concerned may.
    pub(super) fn charge_live(
        &mut self,
        at: usize,
        kind: RateKind,
        count: u64,
        room: Option<&[u8]>,
        namespace: Option<&Namespace>,
    ) -> Result<(), Failure> {
        if !self.limiter.is_on() {
            return Ok(());
        }
        let now = self.uptime();
        let room = room.filter(|_| self.limiter.limits_rooms());
        let room = room.map(|name| self.shard.room_key(name));
        let mut account = self.take_account(at);
        if !account.seats.has_home()
            && let Some(live) = self.live_ref(at)
        {
            // It was opened while nothing was limited, or had too many beside it.
            let opened = Arc::clone(&live.opened);
            let ip = self.conns[at].client;
            self.limiter.sit_at(&mut account.seats, ip, now);
            let _ = self.look_up(&mut account, &Payer::of(&opened, None));
        }
        let cost = Cost::default().and(kind, count);
        let touched = Touched { namespace, room };
        let seats = &mut account.seats;
        let spent = self.limiter.spend(seats, cost, touched, Stage::Known, now);
        self.conns[at].account = Some(account);
        self.paced(spent, &mut Context::default())
    }

    /// Lets a connection begin to follow a room.
    pub(super) fn charge_reader(&mut self, at: usize, slot: SlotId) -> Result<(), Failure> {
        if !self.limiter.is_on() {
            return Ok(());
        }
        if let Some(account) = &self.conns[at].account
            && let Err(refusal) = self.limiter.check_reader(&account.seats)
        {
            return Err(self.refused(&refusal, &mut Context::default()));
        }
        let name = self.shard.room(slot).name().to_vec();
        self.charge_live(at, RateKind::Joins, 1, Some(&name), None)
    }

    /// Counts a live reader that began.
    pub(super) fn count_reader(&mut self, at: usize) {
        if let Some(account) = &mut self.conns[at].account {
            self.limiter.add_reader(&mut account.seats);
        }
    }

    /// Counts a live reader that ended.
    pub(super) fn uncount_reader(&mut self, at: usize) {
        if let Some(conn) = self.conns.get_mut(at)
            && let Some(account) = &mut conn.account
        {
            self.limiter.drop_reader(&mut account.seats);
        }
    }

    /// Reads a WebSocket that went too fast no more for a moment; ends it if it never learns.
    pub(super) fn slow_down(&mut self, at: usize, retry_after_ms: u64) {
        let uptime_ms = self.clock.uptime_ms;
        let most = self.limiter.quotas().socket_refusals_max;
        let Some(account) = self
            .conns
            .get_mut(at)
            .and_then(|conn| conn.account.as_mut())
        else {
            return;
        };
        if uptime_ms.saturating_sub(account.refused_ms) > FORGIVEN_MS {
            account.refusals = 0;
        }
        account.refusals += 1;
        account.refused_ms = uptime_ms;
        account.held_ms = uptime_ms + retry_after_ms.clamp(HOLD_MS.0, HOLD_MS.1);
        if account.refusals > most {
            let message = "the client goes on faster than its limits allow";
            return self.dismiss(at, Code::RateLimited, message);
        }
        self.await_sound(at);
    }

    /// Returns the uptime until which a WebSocket is not read, 0 if it is.
    pub(super) fn held_ms(&self, at: usize) -> u64 {
        let account = self.conns.get(at).and_then(|conn| conn.account.as_ref());
        let held_ms = account.map_or(0, |account| account.held_ms);
        if held_ms > self.clock.uptime_ms {
            held_ms
        } else {
            0
        }
    }

    /// Answers which limits apply to a caller, and what is left of them.
    pub(super) fn tell_limits(&mut self, at: usize, context: Context, opened: &Arc<Opened>) {
        let now = self.uptime();
        let session = &opened.session;
        let namespace = session.namespace().cloned().unwrap_or_default();
        let mut account = self.take_account(at);
        if self.limiter.is_on() {
            // Who has too many connections already is told so.
            let payer = Payer::of(opened, None);
            let _ = self.look_up(&mut account, &payer);
        }
        let own = self.limiter.own(&account.seats, now);
        self.conns[at].account = Some(account);
        let caller = session.caller();
        let mut more = false;
        let shown = match session.namespace() {
            _ if !caller.grants.in_namespace().contains(Rights::ADMIN) => Vec::new(),
            Some(namespace) => vec![namespace.clone()],
            None => {
                let mut all = self.limited_namespaces();
                more = all.len() > NAMESPACES_SHOWN_MAX;
                all.truncate(NAMESPACES_SHOWN_MAX);
                all
            }
        };
        let shown = shown.into_iter();
        let namespaces = shown.map(|name| (name.to_string(), self.limits_of(&name, now)));
        let bounds = if caller.is_operator() {
            self.limits.named()
        } else {
            Vec::new()
        };
        let told = Told {
            namespace: namespace.as_str(),
            own,
            namespaces: namespaces.collect(),
            more,
            bounds: &bounds,
        };
        self.out.clear();
        let envelope = envelope(&mut self.clock, self.conns.get(at), context);
        limits::write_limits(&mut self.out, &envelope, &told);
        self.answer(at, context);
    }

    /// Returns the namespaces that there is something to tell of, in order.
    fn limited_namespaces(&self) -> Vec<Namespace> {
        let quotas = self.limiter.quotas();
        let mut all: Vec<_> = self.limiter.namespaces().cloned().collect();
        all.extend(quotas.namespaces.keys().cloned());
        all.extend(self.shard.usages().filter_map(|name| name.parse().ok()));
        all.push(Namespace::default());
        all.sort_unstable();
        all.dedup();
        all
    }

    fn limits_of(&self, name: &Namespace, now: Millis) -> Limits {
        let mut limits = self.limiter.of_namespace(name, now);
        let quotas = self.limiter.quotas().of_namespace(name);
        let Some((usage, complete)) = self.shard.usage(name.as_str()) else {
            return limits;
        };
        for (kind, used) in [
            (CountKind::Rooms, usage.rooms),
            (CountKind::StoredBytes, usage.bytes),
        ] {
            limits.counts.push(CountState {
                scope: Scope::Namespace,
                kind,
                most: quotas.count(kind),
                used,
                complete,
            });
        }
        limits
    }

    fn take_account(&mut self, at: usize) -> Box<Account> {
        self.conns[at].account.take().unwrap_or_default()
    }

    fn paced(
        &mut self,
        spent: Result<Pace, Refusal>,
        context: &mut Context,
    ) -> Result<(), Failure> {
        match spent {
            Ok(pace) => {
                context.pace = pace.or(context.pace);
                Ok(())
            }
            Err(refusal) => Err(self.refused(&refusal, context)),
        }
    }

    /// Counts a refusal and puts it into words.
    fn refused(&mut self, refusal: &Refusal, context: &mut Context) -> Failure {
        match refusal {
            Refusal::Count { scope, kind, most } => {
                self.metrics.limited(*scope, kind.as_str());
                let (scope, kind) = (scope.as_str(), kind.as_str());
                let message = format!("{scope}: {most} {kind} at once");
                Failure::new(Code::LimitReached, message)
            }
            Refusal::Rate { state, empty } => {
                self.metrics.limited(state.scope, state.kind.as_str());
                let (scope, kind) = (state.scope.as_str(), state.kind.as_str());
                let (rate, burst) = (state.rate.per_second(), state.rate.burst());
                match empty {
                    Empty::Always => {
                        let message = format!("{scope}: never more than {burst} {kind} at once");
                        Failure::new(Code::BodyTooLarge, message)
                    }
                    Empty::For(ms) => {
                        context.pace = Pace::NONE;
                        context.pace.note(state);
                        let message = format!("{scope}: {rate} {kind} per second, {burst} at once");
                        Failure {
                            retry_after_ms: *ms,
                            ..Failure::new(Code::RateLimited, message)
                        }
                    }
                }
            }
        }
    }

    /// The clock that allowances go by: no one moves it.
    const fn uptime(&self) -> Millis {
        Millis(self.clock.uptime_ms)
    }
}
