use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const ANN: NameHash = NameHash(1);
const BOB: NameHash = NameHash(2);
const ROOM: NameHash = NameHash(9);

fn limiter(set: impl FnOnce(&mut Quotas)) -> Limiter {
    let mut quotas = Quotas::default();
    set(&mut quotas);
    quotas.check().unwrap();
    Limiter::new(Arc::new(quotas))
}

fn one(kind: RateKind) -> ScopeQuotas {
    ScopeQuotas::NONE.rate(kind, Rate::new(1, 1))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, last))
}

fn namespace(name: &str) -> Namespace {
    name.parse().unwrap()
}

/// A connection from an address, of a user of a namespace.
fn connection(limiter: &mut Limiter, from: u8, user: NameHash, of: &str) -> Seats {
    let mut seats = limiter.arrive(ip(from), Millis(0)).unwrap();
    let of = namespace(of);
    limiter
        .move_in(&mut seats, Some(user), &of, Millis(0))
        .unwrap();
    seats
}

/// Appends a byte to a room, in one request; returns the scope that refuses it.
fn append(limiter: &mut Limiter, seats: &mut Seats, now: u64) -> Option<Scope> {
    let cost = Cost::one(RateKind::Requests).and(RateKind::AppendBytes, 1);
    let touched = Touched {
        namespace: None,
        room: Some(ROOM),
    };
    let now = Millis(now);
    let request = Cost::one(RateKind::Requests);
    let stages = [
        (request, Touched::default(), Stage::Arrived),
        (cost, touched, Stage::Known),
    ];
    for (cost, touched, stage) in stages {
        match limiter.spend(seats, cost, touched, stage, now) {
            Ok(_) => {}
            Err(Refusal::Rate { state, .. }) => return Some(state.scope),
            Err(Refusal::Count { scope, .. }) => return Some(scope),
        }
    }
    None
}

#[test]
fn each_scope_limits_those_that_are_of_it_and_no_other() {
    for kind in [RateKind::Requests, RateKind::AppendBytes] {
        for scope in Scope::ALL {
            let mut limiter = limiter(|quotas| *quotas.scope_mut(scope) = one(kind));
            let mut first = connection(&mut limiter, 1, ANN, "acme");
            assert_eq!(append(&mut limiter, &mut first, 0), None, "{scope:?}");
            assert_eq!(append(&mut limiter, &mut first, 999), Some(scope));
            // Another that has in common all but the one thing.
            let (from, user, of) = match scope {
                Scope::Ip => (2, ANN, "acme"),
                Scope::User => (1, BOB, "acme"),
                Scope::Namespace => (1, ANN, "umbra"),
                Scope::Connection | Scope::Room => (1, ANN, "acme"),
            };
            let mut second = connection(&mut limiter, from, user, of);
            let refused = append(&mut limiter, &mut second, 999);
            let shared = scope == Scope::Room;
            assert_eq!(refused, shared.then_some(scope), "{scope:?} {kind:?}");
            assert_eq!(append(&mut limiter, &mut first, 1_000), None);
        }
    }
}

#[test]
fn what_is_refused_in_one_scope_costs_nothing_in_another() {
    let mut limiter = limiter(|quotas| {
        quotas.user = one(RateKind::Frames);
        quotas.namespace = ScopeQuotas::NONE.rate(RateKind::Frames, Rate::new(1, 10));
    });
    let mut seats = connection(&mut limiter, 1, ANN, "acme");
    let frame = Cost::one(RateKind::Frames);
    let mut spend = |limiter: &mut Limiter| {
        let touched = Touched::default();
        limiter.spend(&mut seats, frame, touched, Stage::Known, Millis(0))
    };
    assert!(spend(&mut limiter).is_ok());
    for _ in 0..50 {
        assert!(spend(&mut limiter).is_err());
    }
    let left = limiter.of_namespace(&namespace("acme"), Millis(0));
    assert_eq!(left.rates[0].left, 9);
}

#[test]
fn more_than_a_burst_is_refused_for_good() {
    let mut limiter = limiter(|quotas| {
        quotas.user = ScopeQuotas::NONE.rate(RateKind::AppendBytes, Rate::new(1, 10));
    });
    let mut seats = connection(&mut limiter, 1, ANN, "acme");
    let cost = Cost::default().and(RateKind::AppendBytes, 11);
    let touched = Touched::default();
    let refused = limiter.spend(&mut seats, cost, touched, Stage::Known, Millis(0));
    assert!(matches!(
        refused,
        Err(Refusal::Rate {
            empty: Empty::Always,
            ..
        })
    ));
}

#[test]
fn connections_and_readers_are_counted_and_let_go() {
    let two = ScopeQuotas::NONE
        .most(CountKind::Connections, 2)
        .most(CountKind::Readers, 1);
    let mut limiter = limiter(|quotas| {
        quotas.ip = ScopeQuotas::NONE.most(CountKind::Connections, 3);
        quotas.user = two;
        quotas.namespace = two;
    });
    let acme = namespace("acme");
    let mut first = connection(&mut limiter, 1, ANN, "acme");
    let mut second = connection(&mut limiter, 1, ANN, "acme");
    let mut third = limiter.arrive(ip(1), Millis(0)).unwrap();
    let refused = |scope, kind, most| Err(Refusal::Count { scope, kind, most });
    let connections = CountKind::Connections;
    assert_eq!(
        limiter.arrive(ip(1), Millis(0)).map(drop),
        refused(Scope::Ip, connections, 3)
    );
    assert_eq!(
        limiter.move_in(&mut third, Some(ANN), &acme, Millis(0)),
        refused(Scope::User, connections, 2)
    );
    assert_eq!(
        limiter.move_in(&mut third, Some(BOB), &acme, Millis(0)),
        refused(Scope::Namespace, connections, 2)
    );
    limiter.leave(&mut second);
    limiter
        .move_in(&mut third, Some(BOB), &acme, Millis(0))
        .unwrap();
    assert!(limiter.arrive(ip(1), Millis(0)).is_ok());
    assert_eq!(limiter.check_reader(&first), Ok(()));
    limiter.add_reader(&mut first);
    let readers = CountKind::Readers;
    assert_eq!(
        limiter.check_reader(&first),
        refused(Scope::User, readers, 1)
    );
    assert_eq!(
        limiter.check_reader(&third),
        refused(Scope::Namespace, readers, 1)
    );
    // Who goes takes their readers along.
    limiter.leave(&mut first);
    assert_eq!(limiter.check_reader(&third), Ok(()));
    limiter.drop_reader(&mut third);
}

#[test]
fn a_connection_that_moves_takes_its_counts_along() {
    let mut limiter = limiter(|quotas| {
        quotas.namespace = ScopeQuotas::NONE.most(CountKind::Readers, 10);
    });
    let mut seats = connection(&mut limiter, 1, ANN, "acme");
    limiter.add_reader(&mut seats);
    let used = |limiter: &Limiter, name| {
        let limits = limiter.of_namespace(&namespace(name), Millis(0));
        limits.counts[0].used
    };
    assert_eq!(used(&limiter, "acme"), 1);
    let umbra = namespace("umbra");
    limiter
        .move_in(&mut seats, Some(ANN), &umbra, Millis(0))
        .unwrap();
    assert_eq!((used(&limiter, "acme"), used(&limiter, "umbra")), (0, 1));
    limiter.leave(&mut seats);
    assert_eq!(used(&limiter, "umbra"), 0);
}

#[test]
fn addresses_of_one_ipv6_network_are_one() {
    let mut limiter = limiter(|quotas| quotas.ip = one(RateKind::Connects));
    let v6 = |network, host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host));
    assert!(limiter.connect(v6(1, 1), Millis(0)).is_ok());
    assert!(limiter.connect(v6(1, 2), Millis(0)).is_err());
    assert!(limiter.connect(v6(2, 1), Millis(0)).is_ok());
    let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 7).to_ipv6_mapped());
    assert!(limiter.connect(ip(7), Millis(0)).is_ok());
    assert!(limiter.connect(mapped, Millis(0)).is_err());
}

#[test]
fn a_flood_of_addresses_is_bounded_and_frees_nobody() {
    let mut limiter = limiter(|quotas| {
        quotas.ip = ScopeQuotas::NONE.rate(RateKind::Connects, Rate::new(1, 5));
        quotas.keys_max = 1_000;
    });
    for _ in 0..5 {
        limiter.connect(ip(1), Millis(0)).unwrap();
    }
    for address in 0..100_000_u32 {
        let from = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + address));
        limiter.connect(from, Millis(0)).unwrap();
    }
    assert_eq!(limiter.sizes()[0], (Scope::Ip, 1_000));
    assert!(limiter.connect(ip(1), Millis(0)).is_err());
    // Once all have what they may, nothing is remembered.
    for _ in 0..100 {
        limiter.sweep(Millis(10_000));
    }
    assert_eq!(limiter.sizes()[0], (Scope::Ip, 0));
}

#[test]
fn other_quotas_hold_at_once_and_end_at_once() {
    let mut limiter = limiter(|quotas| quotas.connection = one(RateKind::Requests));
    let mut seats = connection(&mut limiter, 1, ANN, "acme");
    assert_eq!(append(&mut limiter, &mut seats, 0), None);
    assert_eq!(append(&mut limiter, &mut seats, 0), Some(Scope::Connection));
    limiter.set_quotas(Arc::default());
    assert!(!limiter.is_on());
    let quotas = Quotas {
        connection: ScopeQuotas::NONE.rate(RateKind::Requests, Rate::new(1, 3)),
        ..Quotas::default()
    };
    limiter.set_quotas(Arc::new(quotas));
    assert!(limiter.is_on());
    assert_eq!(append(&mut limiter, &mut seats, 0), None);
    assert_eq!(append(&mut limiter, &mut seats, 0), None);
    assert_eq!(append(&mut limiter, &mut seats, 0), Some(Scope::Connection));
}

#[test]
fn namespaces_can_have_quotas_of_their_own() {
    let mut limiter = limiter(|quotas| {
        quotas.namespace = one(RateKind::Requests);
        let more = ScopeQuotas::NONE.rate(RateKind::Requests, Rate::new(1, 3));
        quotas.namespaces.insert(namespace("acme"), more);
    });
    let mut acme = connection(&mut limiter, 1, ANN, "acme");
    let mut umbra = connection(&mut limiter, 1, ANN, "umbra");
    for _ in 0..3 {
        assert_eq!(append(&mut limiter, &mut acme, 0), None);
    }
    assert_eq!(append(&mut limiter, &mut acme, 0), Some(Scope::Namespace));
    assert_eq!(append(&mut limiter, &mut umbra, 0), None);
    assert_eq!(append(&mut limiter, &mut umbra, 0), Some(Scope::Namespace));
}
