//! `floe bench`: load, measurements and comparisons.

mod arguments;
mod compare;
mod print;
mod rooms;
mod tables;
mod voice;

use std::io::{self, IsTerminal, Write};

use floe_client::load::{Report, ServerProcess, Target, run as run_load};

pub use arguments::{BenchArguments, EXAMPLES};

use crate::exit::CheckFailed;
use arguments::Subject;

/// Runs every round and prints what was found.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    let subjects = arguments.subjects()?;
    let mut reports: Vec<Vec<Report>> = subjects.iter().map(|_| Vec::new()).collect();
    for round in 0..arguments.rounds() {
        for (subject, reports) in subjects.iter().zip(&mut reports) {
            let report = run_once(arguments, subject)?;
            if !arguments.json() && arguments.rounds() > 1 {
                let line = print::one_line(&report);
                talk(&format!("round {} {}: {line}", round + 1, subject.name));
            }
            reports.push(report);
        }
    }
    let mut out = io::stdout().lock();
    if arguments.json() {
        compare::print_json(&mut out, &subjects, &reports)?;
    } else if arguments.rounds() == 1 && subjects.len() == 1 {
        print::print_report(&mut out, &reports[0][0])?;
    } else {
        compare::print_table(&mut out, &subjects, &reports)?;
    }
    out.flush()?;
    check(&reports)
}

fn run_once(arguments: &BenchArguments, subject: &Subject) -> anyhow::Result<Report> {
    let server = match &subject.command {
        Some(command) => {
            let address = Target::parse(&subject.url, "")?.address;
            Some(ServerProcess::start(command, address)?)
        }
        None => None,
    };
    let pid = server.as_ref().map(ServerProcess::pid).or(subject.pid);
    let mut plan = arguments.plan();
    // The streams of a server that we started go away with its folder.
    plan.keep_streams |= server.is_some();
    let bearer = subject.bearer.as_deref();
    Ok(run_load(&plan, &subject.url, bearer, pid)?)
}

fn check(reports: &[Vec<Report>]) -> anyhow::Result<()> {
    let errors: u64 = reports.iter().flatten().map(Report::error_count).sum();
    match errors {
        0 => Ok(()),
        1 => Err(CheckFailed("1 error".to_owned()).into()),
        errors => Err(CheckFailed(format!("{errors} errors")).into()),
    }
}

/// Says how far a long run has come, if somebody is looking.
fn talk(line: &str) {
    if io::stderr().is_terminal() {
        eprintln!("{line}");
    }
}
