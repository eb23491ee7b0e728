//! The write buffer of a room: what changes fast is written once an interval, and none of it is lost.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Room;
use crate::harness::{ChildServer, TestServer, delete, eventually, head, post};

/// Longer than any test takes: what is written before was asked for.
const LONG: u64 = 60_000;

fn update(key: &str, value: impl Into<Value>) -> Value {
    json!({"key": key, "value": value.into(), "interval": LONG})
}

/// Returns the keys and values that were written, in their order.
fn written(server: &TestServer, room: &str) -> Vec<(String, Value)> {
    let stream = format!("__room__/{room}");
    // A room that has just come to be is told of once that is durable.
    if server.send(head(&stream)).status == 404 {
        return Vec::new();
    }
    let text = String::from_utf8(server.read_all(&stream)).unwrap();
    let text = text.replace("][", ",");
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let all = all.into_iter().filter(|one| one["type"] == "buffered");
    all.map(|one| {
        let key = one["key"].as_str().unwrap().to_owned();
        let value = &one["value"]["value"];
        let json = value.as_str().map(serde_json::from_str);
        (
            key,
            json.map_or_else(|| value.clone(), |json| json.unwrap()),
        )
    })
    .collect()
}

#[test]
fn three_seconds_of_steady_updates_are_written_several_times() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let mut connection = server.connect();
    let (started, mut updates) = (Instant::now(), 0_u32);
    while started.elapsed() < Duration::from_secs(3) {
        updates += 1;
        let update = json!({"key": "slider", "value": updates});
        connection
            .ask(&room.request("updateDebounced", &update))
            .expect(200);
    }
    room.call("flushDebounced", &json!({}));
    let took = started.elapsed().as_secs_f64();
    let written = written(&server, "board");
    assert!(written.len() >= 3, "{written:?}");
    // One for each interval, which may begin a tick early, and the last.
    assert!(
        (written.len() as f64) < took / 0.98 + 2.0,
        "{took}: {written:?}"
    );
    assert_eq!(written.last().unwrap().1, updates);
    assert!(
        updates > 10 * written.len() as u32,
        "{updates}: {written:?}"
    );
    assert_eq!(
        server.metric("floe_buffer_updates_total"),
        f64::from(updates)
    );
    assert_eq!(
        server.metric("floe_buffer_writes_total"),
        written.len() as f64
    );
    assert_eq!(server.metric("floe_buffer_keys"), 0.0);
    assert_eq!(server.metric("floe_buffer_bytes"), 0.0);
}

#[test]
fn readers_see_the_newest_value_at_once_and_rows_once_it_is_written() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let newest = |key: &str| room.call("getDebounced", &json!({ "key": key }))["data"].clone();
    assert_eq!(newest("a"), Value::Null);
    room.call("updateDebounced", &update("a", 1));
    room.call("updateDebounced", &update("a", json!({"x": [null]})));
    assert_eq!(newest("a"), json!({"key": "a", "value": {"x": [null]}}));
    assert_eq!(written(&server, "board"), []);
    let flushed = room.call("flushDebounced", &json!({"key": "a"}));
    assert_eq!(flushed["type"], "success");
    assert!(flushed["seq"].as_u64().unwrap() > 0, "{flushed}");
    assert_eq!(newest("a"), json!({"key": "a", "value": {"x": [null]}}));
    assert_eq!(
        written(&server, "board"),
        [("a".to_owned(), json!({"x": [null]}))]
    );
    let rows = room.rows("SELECT key, value ->> '$.x' AS x FROM buffered");
    assert_eq!(rows, json!([{"key": "a", "x": "[null]"}]));
    // Nothing is left to write.
    assert_eq!(room.call("flushDebounced", &json!({})).get("seq"), None);
}

#[test]
fn a_value_is_written_when_its_interval_is_over_without_anyone_asking() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    room.call(
        "updateDebounced",
        &json!({"key": "a", "value": "x", "interval": 50}),
    );
    eventually("it is written", || {
        written(&server, "board") == [("a".to_owned(), json!("x"))]
    });
}

#[test]
fn counters_lose_nothing_whoever_adds_and_however_often_they_are_written() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let add = json!({"key": "n", "interval": 20});
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = server.connect();
                for _ in 0..100 {
                    connection
                        .ask(&room.request("incrementDebounced", &add))
                        .expect(200);
                }
            });
        }
    });
    let more = json!({"key": "n", "by": -10, "interval": LONG});
    assert_eq!(room.call("incrementDebounced", &more)["data"], 390);
    room.call("flushDebounced", &json!({"key": "n"}));
    let (_, last) = written(&server, "board").pop().unwrap();
    assert_eq!(last, 390);
    // What is durable is what is added to.
    assert_eq!(room.call("incrementDebounced", &more)["data"], 380);
    let server = server.restart();
    let room = Room::new(&server, "board");
    assert_eq!(room.call("incrementDebounced", &more)["data"], 370);
    room.call("updateDebounced", &update("text", "7"));
    room.refused(
        "incrementDebounced",
        &json!({"key": "text"}),
        400,
        "INVALID_REQUEST",
    );
    room.call("flushDebounced", &json!({}));
    room.refused(
        "incrementDebounced",
        &json!({"key": "text"}),
        400,
        "INVALID_REQUEST",
    );
}

#[test]
fn thousands_of_increments_of_one_connection_are_a_few_writes() {
    const ALL: usize = 5_000;
    const AT_ONCE: usize = 100;

    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let mut connection = server.connect();
    let add = room.request("incrementDebounced", &json!({"key": "n"}));
    let some = add.bytes().repeat(AT_ONCE);
    let started = Instant::now();
    for _ in 0..ALL / AT_ONCE {
        connection.write(&some);
        for _ in 0..AT_ONCE {
            connection.answer_to("POST").expect(200);
        }
    }
    let took = started.elapsed().as_secs_f64();
    let rate = ALL as f64 / took;
    room.call("flushDebounced", &json!({}));
    let written = written(&server, "board");
    println!("{rate:.0} increments/s, {} writes", written.len());
    assert_eq!(written.last().unwrap().1, ALL);
    assert!(
        (written.len() as f64) < took / 0.98 + 2.0,
        "{took}: {written:?}"
    );
}

#[test]
fn what_is_buffered_is_written_before_what_is_ordered_after_it() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    for round in 0..5 {
        room.call("updateDebounced", &update("a", round));
        let seq = room.note("after");
        let log = server.read_all("__room__/board");
        let text = String::from_utf8(log).unwrap().replace("][", ",");
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(all.len() as u64, seq);
        let [.., buffered, note] = &all[..] else {
            panic!("{all:?}");
        };
        assert_eq!(
            (&buffered["type"], &note["type"]),
            (&json!("buffered"), &json!("notes"))
        );
        assert_eq!(written(&server, "board").last().unwrap().1, round);
    }
    // Also before what then fails.
    room.call("updateDebounced", &update("a", "last"));
    let wrong = json!({"table": "notes", "values": {"text": null}});
    assert!(room.send("insertRow", &wrong).status >= 400);
    assert_eq!(written(&server, "board").last().unwrap().1, "last");
}

#[test]
fn a_stop_writes_what_is_buffered() {
    let server = TestServer::start();
    for name in ["one", "two"] {
        let room = Room::new(&server, name);
        room.call("updateDebounced", &update("a", name));
        room.call(
            "incrementDebounced",
            &json!({"key": "n", "by": 7, "interval": LONG}),
        );
    }
    let server = server.restart();
    for name in ["one", "two"] {
        let expected = [("a".to_owned(), json!(name)), ("n".to_owned(), json!(7))];
        assert_eq!(written(&server, name), expected);
        let room = Room::new(&server, name);
        let newest = room.call("getDebounced", &json!({"key": "a"}));
        assert_eq!(newest["data"]["value"], name);
    }
}

#[test]
fn what_was_flushed_is_there_after_a_crash() {
    let server = ChildServer::start();
    let call = |server: &ChildServer, method: &str, payload: Value| -> Value {
        let call = json!({"method": method, "payload": payload});
        server
            .expect(200, post("/v1/rooms/board/rpc").value(&call))
            .json()
    };
    call(&server, "updateDebounced", update("a", 1));
    call(
        &server,
        "incrementDebounced",
        json!({"key": "n", "by": 5, "interval": LONG}),
    );
    call(&server, "flushDebounced", json!({}));
    call(&server, "updateDebounced", update("a", 2));
    let server = server.kill_and_restart();
    let newest = call(&server, "getDebounced", json!({"key": "a"}));
    assert_eq!(newest["data"]["value"], 1);
    let sum = call(
        &server,
        "incrementDebounced",
        json!({"key": "n", "interval": LONG}),
    );
    assert_eq!(sum["data"], 6);
}

#[test]
fn a_room_stays_in_memory_until_all_is_written() {
    let server = TestServer::with(|settings| settings.limits.room_idle_timeout_ms = 1);
    let room = Room::new(&server, "board");
    room.call(
        "updateDebounced",
        &json!({"key": "a", "value": 1, "interval": 4_000}),
    );
    let started = Instant::now();
    eventually("all rooms leave memory", || {
        let keys = server.metric("floe_buffer_keys");
        let loaded = server.metric("floe_streams_loaded");
        assert!(keys == 0.0 || loaded >= 1.0 || started.elapsed() > Duration::from_secs(4));
        loaded == 0.0
    });
    assert_eq!(written(&server, "board"), [("a".to_owned(), json!(1))]);
}

#[test]
fn what_a_deleted_room_had_buffered_goes_with_it() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    room.call(
        "updateDebounced",
        &json!({"key": "a", "value": 1, "interval": 500}),
    );
    server.expect(204, delete("/v1/rooms/board"));
    room.call("updateDebounced", &update("b", 2));
    room.call("flushDebounced", &json!({}));
    assert_eq!(written(&server, "board"), [("b".to_owned(), json!(2))]);
    eventually("nothing is left of the first", || {
        server.metric("floe_buffer_keys") == 0.0
    });
    assert_eq!(written(&server, "board"), [("b".to_owned(), json!(2))]);
    let first = room.call("getDebounced", &json!({"key": "a"}));
    assert_eq!(first["data"], Value::Null);
}

#[test]
fn the_buffer_has_bounds_and_its_table_is_its_own() {
    let server = TestServer::with(|settings| {
        settings.limits.buffer_keys_max = 2;
        settings.limits.buffer_bytes_max = 100;
    });
    let room = Room::new(&server, "board");
    for key in ["a", "b"] {
        room.call("updateDebounced", &update(key, 1));
    }
    room.refused("updateDebounced", &update("c", 1), 503, "OVERLOADED");
    room.refused(
        "incrementDebounced",
        &json!({"key": "c"}),
        503,
        "OVERLOADED",
    );
    room.refused(
        "updateDebounced",
        &update("a", "x".repeat(98)),
        503,
        "OVERLOADED",
    );
    room.call("updateDebounced", &update("a", 2));
    room.call("flushDebounced", &json!({}));
    room.call("updateDebounced", &update("c", 1));
    for interval in [json!(0), json!(60_001)] {
        let update = json!({"key": "a", "value": 1, "interval": interval});
        room.refused("updateDebounced", &update, 400, "INVALID_REQUEST");
    }
    let long = update("a", "x".repeat(100_000));
    room.refused("updateDebounced", &long, 400, "INVALID_REQUEST");
    for (method, payload) in [
        (
            "insertRow",
            json!({"table": "buffered", "values": {"key": "z", "value": 1}}),
        ),
        (
            "updateRow",
            json!({"table": "Buffered", "key": "a", "values": {"value": 1}}),
        ),
        ("deleteRow", json!({"table": "buffered", "key": "a"})),
        ("deleteTable", json!({"name": "buffered"})),
    ] {
        room.refused(method, &payload, 403, "FORBIDDEN");
    }
    assert_eq!(
        room.rows("SELECT count(*) AS n FROM buffered"),
        json!([{"n": 2}])
    );
}
