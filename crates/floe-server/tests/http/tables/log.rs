//! The room's log, as everyone may read it: Durable Streams State Protocol.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Room, note};
use crate::harness::{TestServer, delete, get, post, put};

fn messages(server: &TestServer) -> Vec<Value> {
    serde_json::from_slice::<Value>(&server.read_all("__room__/board"))
        .unwrap()
        .as_array()
        .unwrap()
        .clone()
}

#[test]
fn the_log_holds_each_change_as_a_state_message() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    room.note("a");
    let change = json!({"table": "notes", "key": 1, "values": {"text": "b"}});
    room.call("updateRow", &change);
    room.call("deleteRow", &json!({"table": "notes", "key": 1}));
    let all = messages(&server);
    let brief = |message: &Value| {
        let word = |name: &str| message[name].as_str().unwrap().to_owned();
        let operation = message["headers"]["operation"].as_str().unwrap().to_owned();
        (word("type"), word("key"), operation)
    };
    let told: Vec<_> = all.iter().map(brief).collect();
    let expected = [
        ("__schema__", "notes", "insert"),
        ("notes", "1", "insert"),
        ("notes", "1", "update"),
        ("notes", "1", "delete"),
    ];
    let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
    assert_eq!(told, expected);
    assert_eq!(all[2]["old_value"]["text"], "a");
    assert_eq!(all[2]["value"]["text"], "b");
    assert_eq!(all[3].get("value"), None);
    assert_eq!(all[1]["headers"]["txid"], "r1");
}

#[test]
fn a_reader_of_the_log_alone_comes_to_the_same_rows() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let rows: Vec<_> = (0..20)
        .map(|at| json!({"text": format!("{at}"), "mark": at}))
        .collect();
    room.call("batchInsert", &json!({"table": "notes", "rows": rows}));
    room.call(
        "updateRow",
        &json!({"table": "notes", "where": {"mark": 3}, "values": {"text": "x"}}),
    );
    room.call(
        "deleteRow",
        &json!({"table": "notes", "where": {"mark": 4}}),
    );
    let broken = json!({"table": "notes", "rows": [{"text": "y"}, {"text": null}]});
    room.refused("batchInsert", &broken, 409, "CONSTRAINT");
    let mut state = BTreeMap::new();
    for message in messages(&server) {
        if message["type"] != "notes" {
            continue;
        }
        let id: i64 = message["key"].as_str().unwrap().parse().unwrap();
        match message["headers"]["operation"].as_str().unwrap() {
            "delete" => drop(state.remove(&id)),
            _ => drop(state.insert(id, message["value"].clone())),
        }
    }
    let found: Vec<Value> = state.into_values().collect();
    assert_eq!(json!(found), room.rows("SELECT * FROM notes ORDER BY id"));
}

#[test]
fn the_changes_of_a_call_stand_side_by_side_and_followers_get_them() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let mut events = server.follow("__room__/board", "now");
    let rows: Vec<_> = (0..5).map(|at| json!({"text": format!("{at}")})).collect();
    let done = room.call("batchInsert", &json!({"table": "notes", "rows": rows}));
    assert_eq!(done["seq"], 6);
    let (heard, _) = events.until_up_to_date();
    let heard = if heard.is_empty() {
        events.until_up_to_date().0
    } else {
        heard
    };
    let heard: Value = serde_json::from_str(&heard).unwrap();
    assert_eq!(heard.as_array().unwrap().len(), 5);
}

#[test]
fn nobody_but_the_server_writes_the_log() {
    let server = TestServer::start();
    Room::new(&server, "board").with_notes();
    let stream = "__room__/board";
    server
        .send(post(stream).json("[1]"))
        .refused(405, "METHOD_NOT_ALLOWED");
    server
        .send(put("__room__/new").json("[1]"))
        .refused(405, "METHOD_NOT_ALLOWED");
    server
        .send(delete(stream))
        .refused(405, "METHOD_NOT_ALLOWED");
    server
        .send(get("__room__/new?offset=-1"))
        .refused(404, "NOT_FOUND");
    assert_eq!(messages(&server).len(), 1);
    Room::new(&server, "board").call("insertRow", &note("a"));
}
