//! Takes what callers do out of their allowances, and refuses what is beyond.
//!
//! Everything that one deed costs is checked in every scope first, and then taken in all of them:
//! what is refused has cost nothing.

use std::net::IpAddr;
use std::sync::Arc;

use floe_core::rate::{Bucket, Empty, Rate, Seat, Table};
use floe_proto::{Millis, NameHash, Namespace};
use floe_surfaces::limits::{CountKind, CountState, Limits, Pace, RateKind, RateState, Scope};

use crate::quotas::{Quotas, ScopeQuotas, has_count, has_rate};

/// Counts that are kept here; those of what is stored are the shard's.
const COUNTS: usize = 2;

type Keyed<K> = Table<K, { RateKind::COUNT }, COUNTS>;

/// The allowances of all callers.
#[derive(Debug)]
pub struct Limiter {
    quotas: Arc<Quotas>,
    is_on: bool,
    ip: Keyed<u128>,
    user: Keyed<NameHash>,
    namespace: Keyed<Namespace>,
    room: Keyed<NameHash>,
}

/// Where one connection's caller stands. It holds its seats until [`Limiter::leave`].
#[derive(Debug, Default)]
pub struct Seats {
    own: [Bucket; RateKind::COUNT],
    ip: Option<(u128, Seat)>,
    home: Option<Home>,
    /// Whether the connection is counted for its address.
    counts_for_ip: bool,
    /// Live readers of the connection.
    readers: u32,
}

/// Whose the connection is.
#[derive(Debug)]
struct Home {
    user: Option<(NameHash, Seat)>,
    namespace: (Namespace, Seat),
}

/// What a deed costs, by the number of its kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost([u64; RateKind::COUNT]);

/// What a deed touches besides the connection and whose it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Touched<'a> {
    /// The namespace that it acts in, if that is another than the caller's own.
    pub namespace: Option<&'a Namespace>,
    /// The room.
    pub room: Option<NameHash>,
}

/// Why a deed was refused. Nothing was taken for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It goes too fast.
    Rate {
        /// The rate, and what is left of it.
        state: RateState,
        /// When there is enough again.
        empty: Empty,
    },
    /// There are too many.
    Count {
        /// For whom.
        scope: Scope,
        /// Of what.
        kind: CountKind,
        /// How many there may be.
        most: u64,
    },
}

/// How much is known of who does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Where it comes from: connection and address are asked.
    Arrived,
    /// Whom and what it is about: all are asked, but where it comes from not for the request again.
    Known,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Connection,
    Ip(Seat),
    User(Seat),
    Namespace(Seat),
    Room(Seat),
}

impl Seats {
    /// Returns whether it is known whose the connection is.
    pub const fn has_home(&self) -> bool {
        self.home.is_some()
    }
}

impl Cost {
    /// One of a kind.
    #[must_use]
    pub fn one(kind: RateKind) -> Self {
        Self::default().and(kind, 1)
    }

    /// So many of another kind, too.
    #[must_use]
    pub fn and(mut self, kind: RateKind, count: u64) -> Self {
        self.0[kind as usize] += count;
        self
    }
}

impl Limiter {
    /// Makes a limiter in which everyone has all that they may.
    pub fn new(quotas: Arc<Quotas>) -> Self {
        let keys_max = quotas.keys_max;
        Self {
            is_on: quotas.limits_requests(),
            quotas,
            ip: Table::new(keys_max),
            user: Table::new(keys_max),
            namespace: Table::new(keys_max),
            room: Table::new(keys_max),
        }
    }

    /// Returns whether anything is limited.
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Returns whether anything is limited by room.
    pub fn limits_rooms(&self) -> bool {
        self.quotas.room != ScopeQuotas::NONE
    }

    /// Returns the quotas.
    pub const fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// Goes by other quotas from now on. Who was beyond what they now may stays, and gets no more.
    pub fn set_quotas(&mut self, quotas: Arc<Quotas>) {
        self.is_on = quotas.limits_requests();
        self.ip.set_keys_max(quotas.keys_max);
        self.user.set_keys_max(quotas.keys_max);
        self.namespace.set_keys_max(quotas.keys_max);
        self.room.set_keys_max(quotas.keys_max);
        self.quotas = quotas;
    }

    /// Returns how many keys each scope remembers.
    pub fn sizes(&self) -> [(Scope, usize); 4] {
        [
            (Scope::Ip, self.ip.len()),
            (Scope::User, self.user.len()),
            (Scope::Namespace, self.namespace.len()),
            (Scope::Room, self.room.len()),
        ]
    }

    /// Forgets, a few at a time, who has all that they may.
    pub fn sweep(&mut self, now: Millis) {
        let quotas = &self.quotas;
        self.ip.sweep(quotas.ip.rates(), now);
        self.user.sweep(quotas.user.rates(), now);
        self.room.sweep(quotas.room.rates(), now);
        if quotas.namespaces.is_empty() {
            self.namespace.sweep(quotas.namespace.rates(), now);
        }
    }

    /// Lets an address connect.
    ///
    /// # Errors
    /// When its connections come too fast.
    pub fn connect(&mut self, ip: IpAddr, now: Millis) -> Result<(), Refusal> {
        let mut seats = Seats::default();
        self.sit_at(&mut seats, ip, now);
        let cost = Cost::one(RateKind::Connects);
        let spent = self.spend(&mut seats, cost, Touched::default(), Stage::Arrived, now);
        self.leave(&mut seats);
        spent.map(drop)
    }

    /// Takes a connection from an address on, and counts it.
    ///
    /// # Errors
    /// When there are too many from there.
    pub fn arrive(&mut self, ip: IpAddr, now: Millis) -> Result<Seats, Refusal> {
        let mut seats = Seats::default();
        self.sit_at(&mut seats, ip, now);
        if let Some((_, seat)) = seats.ip {
            let kind = CountKind::Connections;
            let most = self.quotas.ip.count(kind);
            if let Err(refusal) = raise(&mut self.ip, seat, Scope::Ip, kind, most) {
                self.leave(&mut seats);
                return Err(refusal);
            }
            seats.counts_for_ip = true;
        }
        Ok(seats)
    }

    /// Takes the seat of an address, which may be another than the request before came from.
    ///
    /// A connection that carries those of several addresses is a proxy's, and counts for none.
    pub fn sit_at(&mut self, seats: &mut Seats, ip: IpAddr, now: Millis) {
        let key = network(ip);
        if seats.ip.is_some_and(|(held, _)| held == key) {
            return;
        }
        self.stand_up(seats);
        let seat = self.ip.enter(&key, self.quotas.ip.rates(), now);
        self.ip.hold(seat);
        seats.ip = Some((key, seat));
    }

    fn stand_up(&mut self, seats: &mut Seats) {
        if let Some((_, seat)) = seats.ip.take() {
            if std::mem::take(&mut seats.counts_for_ip) {
                self.ip.lower(seat, CountKind::Connections as usize, 1);
            }
            self.ip.release(seat);
        }
    }

    /// Makes a connection a user's of a namespace, and counts it for them.
    ///
    /// # Errors
    /// When they have too many; the connection is nobody's then.
    pub fn move_in(
        &mut self,
        seats: &mut Seats,
        user: Option<NameHash>,
        namespace: &Namespace,
        now: Millis,
    ) -> Result<(), Refusal> {
        if seats.home.as_ref().is_some_and(|home| {
            home.user.map(|(user, _)| user) == user && home.namespace.0 == *namespace
        }) {
            return Ok(());
        }
        self.move_out(seats);
        let quotas = self.quotas.of_namespace(namespace);
        let user = user.map(|user| {
            let seat = self.user.enter(&user, self.quotas.user.rates(), now);
            (user, seat)
        });
        let seat = self.namespace.enter(namespace, quotas.rates(), now);
        let kind = CountKind::Connections;
        if let Some((_, user)) = user {
            let most = self.quotas.user.count(kind);
            raise(&mut self.user, user, Scope::User, kind, most)?;
        }
        let most = quotas.count(kind);
        let raised = raise(&mut self.namespace, seat, Scope::Namespace, kind, most);
        if let (Err(_), Some((_, user))) = (raised, user) {
            self.user.lower(user, kind as usize, 1);
        }
        raised?;
        if let Some((_, user)) = user {
            self.user.hold(user);
            self.user
                .add(user, CountKind::Readers as usize, seats.readers);
        }
        self.namespace.hold(seat);
        self.namespace
            .add(seat, CountKind::Readers as usize, seats.readers);
        seats.home = Some(Home {
            user,
            namespace: (namespace.clone(), seat),
        });
        Ok(())
    }

    fn move_out(&mut self, seats: &mut Seats) {
        let Some(home) = seats.home.take() else {
            return;
        };
        let readers = seats.readers;
        if let Some((_, seat)) = home.user {
            self.user.lower(seat, CountKind::Connections as usize, 1);
            self.user.lower(seat, CountKind::Readers as usize, readers);
            self.user.release(seat);
        }
        let (_, seat) = home.namespace;
        let namespace = &mut self.namespace;
        namespace.lower(seat, CountKind::Connections as usize, 1);
        namespace.lower(seat, CountKind::Readers as usize, readers);
        namespace.release(seat);
    }

    /// Lets a connection go.
    pub fn leave(&mut self, seats: &mut Seats) {
        self.move_out(seats);
        self.stand_up(seats);
    }

    /// Checks whether a connection may have another live reader.
    ///
    /// # Errors
    /// When its user or namespace has too many.
    pub fn check_reader(&self, seats: &Seats) -> Result<(), Refusal> {
        let Some(home) = &seats.home else {
            return Ok(());
        };
        let kind = CountKind::Readers;
        let (name, seat) = &home.namespace;
        if let (Some((_, user)), Some(most)) = (home.user, self.quotas.user.count(kind)) {
            let scope = Scope::User;
            below(&self.user, user, scope, kind, most)?;
        }
        match self.quotas.of_namespace(name).count(kind) {
            Some(most) => below(&self.namespace, *seat, Scope::Namespace, kind, most),
            None => Ok(()),
        }
    }

    /// Counts another live reader of a connection.
    pub fn add_reader(&mut self, seats: &mut Seats) {
        seats.readers += 1;
        if let Some(home) = &seats.home {
            let kind = CountKind::Readers as usize;
            if let Some((_, user)) = home.user {
                self.user.add(user, kind, 1);
            }
            self.namespace.add(home.namespace.1, kind, 1);
        }
    }

    /// Counts a live reader less.
    pub fn drop_reader(&mut self, seats: &mut Seats) {
        if seats.readers == 0 {
            // It began while nothing was limited.
            return;
        }
        seats.readers -= 1;
        if let Some(home) = &seats.home {
            let kind = CountKind::Readers as usize;
            if let Some((_, user)) = home.user {
                self.user.lower(user, kind, 1);
            }
            self.namespace.lower(home.namespace.1, kind, 1);
        }
    }

    /// Takes what a deed costs; returns what is left of the limit that is nearest to its end.
    ///
    /// # Errors
    /// When it does not fit somewhere.
    pub fn spend(
        &mut self,
        seats: &mut Seats,
        cost: Cost,
        touched: Touched<'_>,
        stage: Stage,
        now: Millis,
    ) -> Result<Pace, Refusal> {
        let count_in = |place: Place, kind: RateKind| match (stage, place, kind) {
            (Stage::Known, Place::Connection | Place::Ip(_), RateKind::Requests) => 0,
            _ => cost.0[kind as usize],
        };
        let mut places = [None; 5];
        self.places(&mut places, seats, touched, stage, now);
        let places = places.iter().flatten();
        for (place, quotas) in places.clone() {
            for kind in RateKind::ALL {
                let count = count_in(*place, kind);
                if let (Some(rate), 1..) = (quotas.rates()[kind as usize], count) {
                    let bucket = self.bucket(seats, *place, kind);
                    if let Err(empty) = bucket.check(rate, now, count) {
                        let state = state(bucket, place.scope(), kind, rate, now);
                        return Err(Refusal::Rate { state, empty });
                    }
                }
            }
        }
        let mut pace = Pace::NONE;
        for (place, quotas) in places {
            for kind in RateKind::ALL {
                let count = count_in(*place, kind);
                if let (Some(rate), 1..) = (quotas.rates()[kind as usize], count) {
                    let bucket = self.bucket(seats, *place, kind);
                    // It was found to fit, and each place is there once.
                    let _ = bucket.take(rate, now, count);
                    pace.note(&state(bucket, place.scope(), kind, rate, now));
                }
            }
        }
        Ok(pace)
    }

    fn places(
        &mut self,
        places: &mut [Option<(Place, ScopeQuotas)>; 5],
        seats: &Seats,
        touched: Touched<'_>,
        stage: Stage,
        now: Millis,
    ) {
        let quotas = &self.quotas;
        places[0] = Some((Place::Connection, quotas.connection));
        places[1] = seats.ip.map(|(_, seat)| (Place::Ip(seat), quotas.ip));
        if stage == Stage::Arrived {
            return;
        }
        let home = seats.home.as_ref();
        let user = home.and_then(|home| home.user);
        places[2] = user.map(|(_, seat)| (Place::User(seat), quotas.user));
        let own = home.map(|home| &home.namespace);
        let namespace = match (touched.namespace, own) {
            (Some(other), Some((name, seat))) if other == name => Some((name, *seat)),
            (Some(other), _) => {
                let of = quotas.of_namespace(other);
                Some((other, self.namespace.enter(other, of.rates(), now)))
            }
            (None, own) => own.map(|(name, seat)| (name, *seat)),
        };
        places[3] =
            namespace.map(|(name, seat)| (Place::Namespace(seat), quotas.of_namespace(name)));
        if self.limits_rooms()
            && let Some(room) = touched.room
        {
            let seat = self.room.enter(&room, quotas.room.rates(), now);
            places[4] = Some((Place::Room(seat), quotas.room));
        }
    }

    fn bucket<'a>(
        &'a mut self,
        seats: &'a mut Seats,
        place: Place,
        kind: RateKind,
    ) -> &'a mut Bucket {
        let kind = kind as usize;
        match place {
            Place::Connection => &mut seats.own[kind],
            Place::Ip(seat) => self.ip.bucket_mut(seat, kind),
            Place::User(seat) => self.user.bucket_mut(seat, kind),
            Place::Namespace(seat) => self.namespace.bucket_mut(seat, kind),
            Place::Room(seat) => self.room.bucket_mut(seat, kind),
        }
    }

    /// Returns the limits of a connection, its address and its user.
    pub fn own(&self, seats: &Seats, now: Millis) -> Limits {
        let mut limits = Limits::default();
        let connection = &self.quotas.connection;
        rates(&mut limits, Scope::Connection, connection, now, |kind| {
            seats.own[kind]
        });
        if let Some((_, seat)) = seats.ip {
            told(&mut limits, &self.ip, seat, Scope::Ip, &self.quotas.ip, now);
        }
        let user = seats.home.as_ref().and_then(|home| home.user);
        if let Some((_, seat)) = user {
            let quotas = &self.quotas.user;
            told(&mut limits, &self.user, seat, Scope::User, quotas, now);
        }
        limits
    }

    /// Returns the limits of a namespace, but for what it stores.
    pub fn of_namespace(&self, name: &Namespace, now: Millis) -> Limits {
        let mut limits = Limits::default();
        let quotas = self.quotas.of_namespace(name);
        match self.namespace.find(name) {
            Some(seat) => {
                let scope = Scope::Namespace;
                told(&mut limits, &self.namespace, seat, scope, &quotas, now);
            }
            None => {
                let (scope, full) = (Scope::Namespace, Bucket::default());
                rates(&mut limits, scope, &quotas, now, |_| full);
                counts(&mut limits, scope, &quotas, |_| 0);
            }
        }
        limits
    }

    /// Returns the namespaces that something is remembered of.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        self.namespace.iter().map(|(name, _)| name)
    }
}

impl Place {
    const fn scope(self) -> Scope {
        match self {
            Self::Connection => Scope::Connection,
            Self::Ip(_) => Scope::Ip,
            Self::User(_) => Scope::User,
            Self::Namespace(_) => Scope::Namespace,
            Self::Room(_) => Scope::Room,
        }
    }
}

fn raise<K: Ord + Clone>(
    table: &mut Keyed<K>,
    seat: Seat,
    scope: Scope,
    kind: CountKind,
    most: Option<u64>,
) -> Result<(), Refusal> {
    if let Some(most) = most {
        below(table, seat, scope, kind, most)?;
    }
    table.add(seat, kind as usize, 1);
    Ok(())
}

fn below<K: Ord + Clone>(
    table: &Keyed<K>,
    seat: Seat,
    scope: Scope,
    kind: CountKind,
    most: u64,
) -> Result<(), Refusal> {
    if u64::from(table.count(seat, kind as usize)) < most {
        return Ok(());
    }
    Err(Refusal::Count { scope, kind, most })
}

fn told<K: Ord + Clone>(
    limits: &mut Limits,
    table: &Keyed<K>,
    seat: Seat,
    scope: Scope,
    quotas: &ScopeQuotas,
    now: Millis,
) {
    rates(limits, scope, quotas, now, |kind| *table.bucket(seat, kind));
    counts(limits, scope, quotas, |kind| {
        u64::from(table.count(seat, kind))
    });
}

fn rates(
    limits: &mut Limits,
    scope: Scope,
    quotas: &ScopeQuotas,
    now: Millis,
    bucket: impl Fn(usize) -> Bucket,
) {
    for kind in RateKind::ALL {
        if let Some(rate) = quotas.rates()[kind as usize]
            && has_rate(scope, kind)
        {
            let bucket = bucket(kind as usize);
            limits.rates.push(state(&bucket, scope, kind, rate, now));
        }
    }
}

fn counts(limits: &mut Limits, scope: Scope, quotas: &ScopeQuotas, used: impl Fn(usize) -> u64) {
    for kind in [CountKind::Connections, CountKind::Readers] {
        if let Some(most) = quotas.count(kind)
            && has_count(scope, kind)
        {
            limits.counts.push(CountState {
                scope,
                kind,
                most: Some(most),
                used: used(kind as usize),
                complete: true,
            });
        }
    }
}

fn state(bucket: &Bucket, scope: Scope, kind: RateKind, rate: Rate, now: Millis) -> RateState {
    RateState {
        scope,
        kind,
        rate,
        left: bucket.left(rate, now),
        full_in_ms: bucket.full_in_ms(rate, now),
    }
}

/// Returns what an address counts as: of IPv6, the network that one customer has.
fn network(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip) >> 64 << 64,
    }
}

#[cfg(test)]
mod tests;
