//! The load generator's workloads over channels, against the server itself.
#![cfg(feature = "load")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod real_server;

use std::time::Duration;

use floe_client::load::{Form, Plan, Report, Transport, Workload, run};
use real_server::RealServer;

#[test]
fn every_workload_counts_what_it_did_and_finds_no_fault() {
    let server = RealServer::start();
    for (workload, expected) in [
        (Workload::Live, &["append", "delivery"][..]),
        (Workload::LiveRooms, &["append", "delivery"]),
        (Workload::LiveIdle, &[]),
        (Workload::LiveStorm, &["delivery", "heal"]),
        (Workload::LiveChurn, &["append", "delivery", "heal"]),
        (Workload::ChannelAppend, &["append"]),
        (Workload::Query, &["query"]),
        (Workload::Search, &["query"]),
    ] {
        let report = run_small(&server, small_plan(workload));
        let names: Vec<_> = report.operations.keys().copied().collect();
        assert_eq!(names, expected, "{workload:?}");
        assert!(report.units > 0.0, "{workload:?}");
    }
}

#[test]
fn channels_are_followed_in_every_way_and_written_to_in_every_form() {
    let server = RealServer::start();
    for transport in [
        Transport::WebSocket,
        Transport::Channel,
        Transport::Sse,
        Transport::Stream,
    ] {
        let plan = Plan {
            transport,
            batch: 3,
            ..small_plan(Workload::Live)
        };
        let report = run_small(&server, plan);
        assert!(report.operations["delivery"].count >= 3, "{transport:?}");
    }
    for form in [Form::V1, Form::Kept] {
        let plan = Plan {
            form,
            ..small_plan(Workload::ChannelAppend)
        };
        let report = run_small(&server, plan);
        assert!(report.operations["append"].count > 0, "{form:?}");
    }
}

#[test]
fn a_storm_heals_every_client() {
    let report = run_small(&RealServer::start(), small_plan(Workload::LiveStorm));
    assert_eq!(report.operations["heal"].count, 4);
    assert_eq!(report.operations["delivery"].count, 4 * 20);
}

#[test]
fn a_question_that_is_refused_is_an_error() {
    let plan = Plan {
        questions: vec!["limit=0".to_owned()],
        ..small_plan(Workload::Query)
    };
    let report = run(&plan, &RealServer::start().url(), None, None).unwrap();
    assert!(report.errors["query answered 400"] > 0);
}

fn run_small(server: &RealServer, plan: Plan) -> Report {
    let report = run(&plan, &server.url(), None, None).unwrap();
    assert!(report.errors.is_empty(), "{plan:?}: {:?}", report.errors);
    report
}

fn small_plan(workload: Workload) -> Plan {
    Plan {
        workload,
        connections: 3,
        rooms: 5,
        readers: 4,
        writers: 2,
        appends_per_second: Some(100.0),
        events: 5_000,
        missed: 20,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(300),
        settle: Duration::from_millis(20),
        stay: Duration::from_millis(30),
        catch_up_limit: Duration::from_secs(5),
        ..Plan::default()
    }
}
