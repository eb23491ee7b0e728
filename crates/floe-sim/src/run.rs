//! Running seeds.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::town::Town;
use crate::trace::Trace;
use crate::world::{Violation, World};

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Streams, forks and values.
    Streams,
    /// Communities.
    Communities,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Streams, Self::Communities];

    /// Returns its word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Streams => "streams",
            Self::Communities => "communities",
        }
    }
}

/// What came of one seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was simulated.
    pub kind: Kind,
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
pub fn run(kind: Kind, seed: u64, steps: u64, verbose: bool) -> Outcome {
    match kind {
        Kind::Streams => {
            let mut world = World::new(seed, verbose);
            let result = catch_unwind(AssertUnwindSafe(|| world.run(steps)));
            outcome(kind, seed, result, &world.trace, &world.counts)
        }
        Kind::Communities => {
            let mut town = Town::new(seed, verbose);
            let result = catch_unwind(AssertUnwindSafe(|| town.run(steps)));
            outcome(kind, seed, result, &town.trace, &town.counts)
        }
    }
}

fn outcome(
    kind: Kind,
    seed: u64,
    result: std::thread::Result<Result<(), Violation>>,
    trace: &Trace,
    counts: &BTreeMap<&'static str, u64>,
) -> Outcome {
    let what = match result {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => Some(format!("panic: {}", panic_text(&*panic))),
    };
    Outcome {
        kind,
        seed,
        trace: trace.hash(),
        counts: counts.clone(),
        failure: what.map(|what| Broken {
            what,
            last: trace.last(),
        }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a word".into())
}
