//! The load generator against a small server.
#![cfg(feature = "load")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod small_server;

use std::time::Duration;

use floe_client::load::{Plan, Report, Workload, run};
use small_server::{Fault, SmallServer};

#[test]
fn every_workload_counts_what_it_did_and_finds_no_fault() {
    for (workload, expected) in [
        (Workload::Append, &["append"][..]),
        (Workload::Create, &["create"]),
        (Workload::Read, &["first_byte", "pass"]),
        (Workload::Sse, &["append", "delivery"]),
        (Workload::LongPoll, &["append", "delivery", "round"]),
        (
            Workload::Mixed,
            &["append", "delivery", "first_byte", "pass", "round"],
        ),
        (Workload::Storm, &["delivery", "heal"]),
        (Workload::IdleReaders, &[]),
        (Workload::IdleStreams, &[]),
    ] {
        let report = run_small(workload, &SmallServer::start());
        let names: Vec<_> = report.operations.keys().copied().collect();
        assert_eq!(names, expected, "{workload:?}");
        assert!(
            report.errors.is_empty(),
            "{workload:?}: {:?}",
            report.errors
        );
        assert!(report.units > 0.0, "{workload:?}");
    }
}

#[test]
fn a_skipped_message_is_an_error() {
    let server = SmallServer::start();
    server.inject(Fault::SkipMessage);
    let report = run_small(Workload::Storm, &server);
    let errors: Vec<_> = report.errors.keys().collect();
    assert!(
        errors.iter().any(|error| error.contains("gap of 1")),
        "{errors:?}"
    );
}

#[test]
fn answers_that_end_are_resumed_without_gap_or_duplicate() {
    let server = SmallServer::start();
    for _ in 0..5 {
        server.inject(Fault::EndEvents);
    }
    let report = run_small(Workload::Storm, &server);
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    assert_eq!(report.operations["heal"].count, 4);
}

#[test]
fn a_refused_append_is_counted_as_an_error() {
    let server = SmallServer::start();
    let plan = small_plan(Workload::Append);
    let faults = server.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        faults.inject(Fault::Overloaded);
    });
    let report = run(&plan, &server.url(), None, None).unwrap();
    assert_eq!(report.errors.get("append answered 503"), Some(&1));
}

#[test]
fn the_cost_of_a_known_process_is_reported() {
    let server = SmallServer::start();
    let plan = small_plan(Workload::Append);
    let report = run(&plan, &server.url(), None, Some(std::process::id())).unwrap();
    let cost = report.server.unwrap();
    assert!(cost.memory_after.unwrap().rss_bytes > 0);
}

fn run_small(workload: Workload, server: &SmallServer) -> Report {
    run(&small_plan(workload), &server.url(), None, None).unwrap()
}

fn small_plan(workload: Workload) -> Plan {
    Plan {
        workload,
        content_type: "text/plain".to_owned(),
        connections: 3,
        streams: 5,
        readers: 4,
        poll_readers: 2,
        scanners: 1,
        writers: 2,
        appends_per_second: Some(100.0),
        stream_bytes: 100_000,
        missed: 20,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(300),
        settle: Duration::from_millis(20),
        catch_up_limit: Duration::from_secs(2),
        ..Plan::default()
    }
}
