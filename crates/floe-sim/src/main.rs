//! Runs simulated worlds: one seed in detail, or many in a row.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use floe_sim::run::{Kind, Outcome, run};

/// Runs Floe on a simulated disk at a simulated time, with crashes, and checks its promises.
#[derive(Debug, Parser)]
struct Arguments {
    /// Simulates this alone; without it, each seed is used for everything.
    #[arg(long)]
    world: Option<Kind>,
    /// Runs this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs these seeds, the last one not included.
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..1000")]
    seeds: std::ops::Range<u64>,
    /// Steps of each run.
    #[arg(long, default_value_t = 600)]
    steps: u64,
    /// Seeds that run at once; as many as there are processors.
    #[arg(long)]
    jobs: Option<usize>,
    /// Prints every step.
    #[arg(long)]
    verbose: bool,
}

fn seeds(text: &str) -> Result<std::ops::Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("write A..B")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = Instant::now();
    let outcomes = match arguments.seed {
        Some(seed) => arguments.run_one(seed),
        None => run_many(&arguments),
    };
    let mut counts = BTreeMap::<&str, u64>::new();
    for outcome in &outcomes {
        for (what, count) in &outcome.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    let failed: Vec<&Outcome> = outcomes.iter().filter(|it| it.failure.is_some()).collect();
    for outcome in failed.iter().take(SHOWN) {
        print_failure(outcome, arguments.steps);
    }
    for outcome in failed.iter().skip(SHOWN) {
        let what = outcome.failure.as_ref().map(|broken| broken.what.as_str());
        let first = what.and_then(|what| what.lines().next());
        let (kind, seed) = (outcome.kind.as_str(), outcome.seed);
        println!("{kind}, seed {seed}: {}", first.unwrap_or_default());
    }
    if arguments.seed.is_some() {
        for outcome in &outcomes {
            println!("{}: trace {:016x}", outcome.kind.as_str(), outcome.trace);
        }
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    println!("{}", counts.join(", "));
    let seconds = started.elapsed().as_secs_f64();
    let rate = outcomes.len() as f64 / seconds;
    println!(
        "{seconds:.1} s, {rate:.0} seeds/s of {} steps",
        arguments.steps
    );
    println!(
        "{} passed, {} failed",
        outcomes.len() - failed.len(),
        failed.len()
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}

impl Arguments {
    /// Runs one seed, in each kind of world that is wanted.
    fn run_one(&self, seed: u64) -> Vec<Outcome> {
        let kinds = Kind::ALL.into_iter();
        let kinds = kinds.filter(|kind| self.world.is_none_or(|only| only == *kind));
        kinds
            .map(|kind| run(kind, seed, self.steps, self.verbose))
            .collect()
    }
}

/// Failures that are shown with their last steps.
const SHOWN: usize = 3;

fn run_many(arguments: &Arguments) -> Vec<Outcome> {
    let next = AtomicU64::new(arguments.seeds.start);
    let outcomes = Mutex::new(Vec::new());
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or_else(processors) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.seeds.end {
                        return;
                    }
                    let run = arguments.run_one(seed);
                    outcomes.lock().expect("no run panics").extend(run);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no run panics");
    outcomes.sort_by_key(|outcome| (outcome.seed, outcome.kind.as_str()));
    outcomes
}

fn print_failure(outcome: &Outcome, steps: u64) {
    let Some(broken) = &outcome.failure else {
        return;
    };
    for step in &broken.last {
        println!("{step}");
    }
    let seed = outcome.seed;
    let kind = outcome.kind.as_str();
    println!("{kind}, seed {seed} fails: {}", broken.what);
    println!(
        "again: cargo run -p floe-sim --release -- --world {kind} --seed {seed} --steps {steps} \
         --verbose\n"
    );
}
