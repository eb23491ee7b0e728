//! A fixed set of short worlds, so that every test run has some.

use std::collections::BTreeMap;

use floe_sim::run::{Kind, Outcome, run};
use floe_sim::town::Town;
use floe_sim::world::World;

const STEPS: u64 = 400;

fn check(kind: Kind, seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for seed in seeds {
        let outcome = run(kind, seed, STEPS, false);
        if let Some(broken) = &outcome.failure {
            let (last, what) = (broken.last.join("\n"), &broken.what);
            panic!(
                "{last}\nseed {seed} fails: {what}\nagain: cargo run -p floe-sim --release -- \
                 --world {} --seed {seed} --steps {STEPS} --verbose",
                kind.as_str()
            );
        }
        for (what, count) in outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    counts
}

#[test]
fn every_promise_is_kept_in_the_first_worlds() {
    check(Kind::Streams, 0..150);
}

#[test]
fn every_promise_is_kept_in_more_worlds_and_nothing_is_left_out() {
    let counts = check(Kind::Streams, 1_000_000..1_000_150);
    for what in [
        "create",
        "fork",
        "append",
        "delete",
        "read",
        "followed",
        "want of space",
        "kill",
        "power loss",
        "restart",
        "crash in recovery",
        "crash in commit",
        "crash in flush",
        "crash in prepare",
    ] {
        assert!(counts.contains_key(what), "never: {what} in {counts:?}");
    }
}

#[test]
fn every_promise_is_kept_in_communities_and_nothing_is_left_out() {
    let counts = check(Kind::Communities, 0..150);
    for what in [
        "founded",
        "about",
        "join",
        "leave",
        "add",
        "role",
        "kick",
        "ban",
        "unban",
        "time-out",
        "room made",
        "room changed",
        "room deleted",
        "waddle ended",
        "said",
        "refused",
        "no change",
        "want of space",
        "kill",
        "power loss",
        "restart",
        "crash in recovery",
    ] {
        assert!(counts.contains_key(what), "never: {what} in {counts:?}");
    }
}

#[test]
fn one_seed_is_always_the_same_world() {
    let trace = |kind, seed| {
        let Outcome { trace, counts, .. } = run(kind, seed, STEPS, false);
        (trace, counts)
    };
    for kind in Kind::ALL {
        for seed in 0..20 {
            assert_eq!(
                trace(kind, seed),
                trace(kind, seed),
                "{kind:?}, seed {seed}"
            );
        }
    }
}

#[test]
fn a_disk_that_does_not_sync_is_found_out() {
    let is_found_out = |seed| {
        let mut world = World::new(seed, false);
        world.let_disk_lie();
        world.run(STEPS).is_err()
    };
    let found_out = (0..20).filter(|seed| is_found_out(*seed)).count();
    assert!(found_out > 15, "only {found_out} of 20");
    let is_found_out = |seed| {
        let mut town = Town::new(seed, false);
        town.let_disk_lie();
        town.run(STEPS).is_err()
    };
    let found_out = (0..20).filter(|seed| is_found_out(*seed)).count();
    assert!(found_out > 15, "only {found_out} of 20");
}
