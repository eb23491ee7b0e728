//! What `/metrics` and `/healthz` say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{TestServer, eventually, get, head, post, put};
use crate::websocket::Client;

/// Reads the text form of Prometheus; every sample belongs to a metric that was described.
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut kinds = BTreeMap::new();
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match words.next().unwrap() {
                "TYPE" => {
                    let name = words.next().unwrap().to_owned();
                    let kind = words.next().unwrap();
                    assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                    assert_eq!(kinds.insert(name, kind.to_owned()), None, "{line}");
                }
                "HELP" | "UNIT" => assert!(words.nth(1).is_some(), "{line}"),
                "EOF" => assert!(text.ends_with("# EOF\n")),
                other => panic!("{other}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect(line);
        let name = series.split('{').next().unwrap();
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{line}"
        );
        if let Some((_, labels)) = series.split_once('{') {
            let labels = labels.strip_suffix('}').expect(line);
            for label in labels.split(',') {
                let (_, value) = label.split_once('=').expect(line);
                assert!(value.starts_with('"') && value.ends_with('"'), "{line}");
            }
        }
        let described = ["", "_total", "_sum", "_count", "_bucket"]
            .iter()
            .any(|end| {
                name.strip_suffix(end)
                    .is_some_and(|name| kinds.contains_key(name))
            });
        assert!(described, "{line}");
        let value: f64 = value.parse().expect(line);
        assert_eq!(samples.insert(series.to_owned(), value), None, "{line}");
    }
    samples
}

fn samples(server: &TestServer) -> BTreeMap<String, f64> {
    parse(&server.expect(200, get("/metrics")).text())
}

#[test]
fn metrics_count_what_happened() {
    let server = TestServer::start();
    let before = samples(&server);
    server.expect(201, put("log").content_type("text/plain"));
    for _ in 0..5 {
        server.expect(204, post("log").text("0123456789"));
    }
    server.expect(200, head("log"));
    server.expect(200, get("log"));
    server.expect(404, get("none"));
    let mut events = server.follow("log", "now");
    events.step().unwrap();
    server.expect(204, post("log").text("x"));
    events.until_up_to_date();
    let after = samples(&server);
    let grown = |series: &str| after[series] - before[series];
    for (series, by) in [
        ("floe_requests_total{method=\"PUT\"}", 1.0),
        ("floe_requests_total{method=\"POST\"}", 6.0),
        ("floe_requests_total{method=\"HEAD\"}", 1.0),
        ("floe_requests_total{method=\"GET\"}", 4.0),
        ("floe_errors_total{code=\"NOT_FOUND\"}", 1.0),
        ("floe_appends_total", 6.0),
        ("floe_append_payload_bytes_total", 51.0),
        ("floe_live_readers", 1.0),
        ("floe_streams", 1.0),
        ("floe_deliveries_total", 1.0),
    ] {
        assert_eq!(grown(series), by, "{series}");
    }
    assert!(grown("floe_commit_seconds_count") >= 2.0);
    assert!(grown("floe_received_bytes_total") > 500.0);
    assert!(grown("floe_sent_bytes_total") > 500.0);
    assert!(after["floe_memory_bytes{part=\"unflushed\"}"] > 0.0);
    assert!(after["floe_disk_bytes{part=\"wal\"}"] > 0.0);
    drop(events);
    eventually("the reader has left", || {
        samples(&server)["floe_live_readers"] == 0.0
    });
    let server = server.restart();
    assert!(samples(&server)["floe_recovery_seconds"] > 0.0);
    assert_eq!(samples(&server)["floe_streams"], after["floe_streams"]);
}

#[test]
fn health_and_the_root_answer_anyone() {
    let server = TestServer::start();
    let health = server.expect(200, get("/healthz"));
    assert_eq!(
        (health.text().as_str(), health.header("cache-control")),
        ("ok\n", Some("no-store"))
    );
    let root = server.expect(200, get("/"));
    assert_eq!(
        root.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    server.expect(200, get("/healthz?verbose"));
}

#[test]
fn rooms_and_what_reaches_their_readers_are_measured() {
    let server = TestServer::start();
    let channel = server.channel();
    let room = format!("channel/{}", channel.id);
    let mut crowd: Vec<_> = (0..3).map(|_| Client::of(&server)).collect();
    for (number, client) in crowd.iter_mut().enumerate() {
        let user = format!("user-{number}");
        client.join(&room, json!({"user": user, "presence": "member"}));
    }
    crowd[0].append(&room, "ann", "hello");
    for client in &mut crowd {
        client.events_until(&room, 1);
    }
    let counts = |name: &str| server.metric(&format!("floe_{name}_seconds_count"));
    eventually("a message and presence have reached everybody", || {
        counts("message_latency") > 0.0 && counts("presence_latency") > 0.0
    });
    let now = samples(&server);
    assert_eq!(now["floe_rooms_live"], 1.0);
    assert_eq!(now["floe_room_connections_count"], 1.0);
    assert_eq!(now["floe_room_connections_sum"], 3.0);
    assert_eq!(now["floe_room_connections_bucket{le=\"2.0\"}"], 0.0);
    assert_eq!(now["floe_room_connections_bucket{le=\"5.0\"}"], 1.0);
    assert!(now["floe_message_latency_seconds_sum"] > 0.0);
    assert!(now["floe_message_latency_seconds_sum"] < 60.0);
    assert!(now["floe_resident_bytes"] > 1e6);
    assert_eq!(now["floe_resumes_total"], 0.0);
    let mut back = Client::of(&server);
    back.join(&room, json!({"after": 1}));
    back.socket.shutdown(std::net::Shutdown::Both).unwrap();
    for mut client in crowd {
        client.send(floe_surfaces::ws::Opcode::Close, &[]);
    }
    eventually("all have left, each in its way", || {
        let now = samples(&server);
        now["floe_websockets_ended_total{reason=\"CLIENT\"}"] == 3.0
            && now["floe_websockets_ended_total{reason=\"LOST\"}"] == 1.0
            && now["floe_rooms_live"] == 0.0
    });
    assert_eq!(samples(&server)["floe_resumes_total"], 1.0);
    let server = server.restart();
    let before = samples(&server)["floe_room_cold_start_seconds_count"];
    server.ask(&channel, "/events");
    let after = samples(&server);
    assert!(after["floe_room_cold_start_seconds_count"] > before);
    assert!(after["floe_room_cold_start_seconds_sum"] > 0.0);
}

/// Returns the metrics that a query names.
fn names_in(query: &str) -> BTreeSet<&str> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("floe_")).collect()
}

#[test]
fn every_metric_of_the_dashboard_is_in_a_scrape() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/grafana.json");
    let text = std::fs::read_to_string(path).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let server = TestServer::start();
    let samples = samples(&server);
    let known: BTreeSet<_> = samples
        .keys()
        .map(|series| series.split('{').next().unwrap())
        .collect();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        if panel["type"] == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{panel}");
        for target in targets {
            let query = target["expr"].as_str().unwrap();
            let names = names_in(query);
            assert!(!names.is_empty(), "{query}");
            for name in names {
                assert!(known.contains(name), "{query}: {name} is in no scrape");
                asked.insert(name.to_owned());
            }
        }
    }
    assert!(asked.len() > 40, "{asked:?}");
    // The document names only what there is, too.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/METRICS.md");
    for name in names_in(&std::fs::read_to_string(path).unwrap()) {
        let is_known = known.iter().any(|known| known.starts_with(name));
        assert!(is_known, "{name}");
    }
}
