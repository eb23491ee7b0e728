//! Short lives of the directory, in which it is crashed at every kind of moment.

use std::collections::BTreeMap;

use floe_sim::directory::run;

const STEPS: u64 = 300;

#[test]
fn what_was_acknowledged_holds_and_the_rest_is_whole_or_not_there() {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..150 {
        let lived = run(seed, STEPS);
        let lived = lived.unwrap_or_else(|what| panic!("seed {seed} fails: {what}"));
        for (what, count) in lived {
            *counts.entry(what).or_default() += count;
        }
    }
    for what in [
        "answer",
        "crash",
        "deletion",
        "forgotten",
        "key",
        "lost",
        "revocation",
        "room",
        "secret",
    ] {
        assert!(counts.contains_key(what), "never: {what} in {counts:?}");
    }
}

#[test]
fn one_seed_is_always_the_same_life() {
    for seed in 0..10 {
        assert_eq!(run(seed, STEPS), run(seed, STEPS), "seed {seed}");
    }
}
