//! Running seeds.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::world::World;

/// What came of one seed.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A number that stands for all that happened; equal runs have equal ones.
    pub trace: u64,
    /// How often each thing happened.
    pub counts: BTreeMap<&'static str, u64>,
    /// What went wrong, and the last steps before.
    pub failure: Option<Broken>,
}

/// A promise that was not kept.
#[derive(Debug)]
pub struct Broken {
    /// Which one, and how.
    pub what: String,
    /// The last steps.
    pub last: Vec<String>,
}

/// Runs one seed for some steps; `verbose` prints each.
pub fn run(seed: u64, steps: u64, verbose: bool) -> Outcome {
    let mut world = World::new(seed, verbose);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(steps)));
    let what = match result {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => Some(format!("panic: {}", panic_text(&*panic))),
    };
    Outcome {
        seed,
        trace: world.trace.hash(),
        counts: world.counts.clone(),
        failure: what.map(|what| Broken {
            what,
            last: world.trace.last(),
        }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a word".into())
}
