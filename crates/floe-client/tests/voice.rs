//! The load generator's workload over voice rooms, against the server itself.
#![cfg(feature = "load")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod real_server;

use std::time::Duration;

use floe_client::load::{Plan, RunError, Workload, run};
use real_server::RealServer;

fn plan() -> Plan {
    Plan {
        workload: Workload::Voice,
        rooms: 2,
        participants: 3,
        speakers: 2,
        warm_up: Duration::from_millis(200),
        duration: Duration::from_secs(2),
        ..Plan::default()
    }
}

#[test]
fn everybody_hears_those_who_speak_in_their_room_and_nobody_else() {
    let server = RealServer::with(|settings| settings.media.on = true);
    for checked_percent in [100.0, 50.0] {
        let plan = Plan {
            checked_percent,
            ..plan()
        };
        let report = run(&plan, &server.url(), None, Some(std::process::id())).unwrap();
        assert!(report.errors.is_empty(), "{:?}", report.errors);
        assert_eq!(report.operations["handshake"].count, 6);
        assert!(report.operations["packet"].count > 0);
        // Two who speak are heard by each other and by the third, in time or not.
        assert!((1.0..=8.0).contains(&report.extra["streams"]));
        assert_eq!(report.extra["duplicates"], 0.0);
    }
}

#[test]
fn a_server_without_sound_is_refused() {
    let server = RealServer::with(|settings| settings.media.on = false);
    let refused = run(&plan(), &server.url(), None, None).unwrap_err();
    assert!(matches!(refused, RunError::NoMedia), "{refused}");
}
