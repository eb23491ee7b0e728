//! A fixed set of short worlds, so that every test run has some.

use std::collections::BTreeMap;

use floe_sim::run::{Outcome, run};
use floe_sim::world::World;

const STEPS: u64 = 400;

fn check(seeds: std::ops::Range<u64>) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for seed in seeds {
        let outcome = run(seed, STEPS, false);
        if let Some(broken) = &outcome.failure {
            let (last, what) = (broken.last.join("\n"), &broken.what);
            panic!(
                "{last}\nseed {seed} fails: {what}\nagain: cargo run -p floe-sim --release -- \
                 --seed {seed} --steps {STEPS} --verbose"
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
    check(0..150);
}

#[test]
fn every_promise_is_kept_in_more_worlds_and_nothing_is_left_out() {
    let counts = check(1_000_000..1_000_150);
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
fn one_seed_is_always_the_same_world() {
    let trace = |seed| {
        let Outcome { trace, counts, .. } = run(seed, STEPS, false);
        (trace, counts)
    };
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
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
}
