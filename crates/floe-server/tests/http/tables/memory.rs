//! What a room with tables remembers for a while: memory, cursors, presence.

use serde_json::{Value, json};

use super::Room;
use crate::harness::{TestServer, delete, eventually, post};
use crate::websocket::client::Client;

/// Returns what is named so of each entry.
fn each<'a>(answer: &'a Value, name: &str) -> Vec<&'a Value> {
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|entry| &entry[name]).collect()
}

#[test]
fn values_are_set_found_compared_and_deleted() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let set = room.call("setMemory", &json!({"key": "color/ann", "value": {"r": 1}}));
    assert_eq!(set["type"], "success");
    let version = &set["version"];
    room.call("setMemory", &json!({"key": "color/bob", "value": null}));
    room.call("setMemory", &json!({"key": "other", "value": 1}));
    let found = room.call("getMemory", &json!({"key": "color/ann"}));
    assert_eq!(found["type"], "query_result");
    assert_eq!(found["data"][0]["value"], json!({"r": 1}));
    assert_eq!(&found["data"][0]["version"], version);
    assert!(found["data"][0]["expiresAt"].is_string());
    let none = room.call("getMemory", &json!({"key": "color"}));
    assert_eq!(none["data"], json!([]));
    let colors = room.call("getMemory", &json!({"prefix": "color/"}));
    assert_eq!(each(&colors, "key"), ["color/ann", "color/bob"]);
    let first = room.call("getMemory", &json!({"prefix": "", "limit": 1}));
    assert_eq!(each(&first, "key"), ["color/ann"]);
    let next = json!({"prefix": "", "limit": 1, "after": "color/ann"});
    assert_eq!(each(&room.call("getMemory", &next), "key"), ["color/bob"]);
    let stale = json!({"key": "color/ann", "value": 2, "ifVersion": 0});
    room.refused("setMemory", &stale, 409, "FENCED");
    let fresh = json!({"key": "color/ann", "value": 2, "ifVersion": version});
    room.call("setMemory", &fresh);
    room.refused(
        "deleteMemory",
        &json!({"key": "color/ann", "ifVersion": version}),
        409,
        "FENCED",
    );
    room.call("deleteMemory", &json!({"key": "color/ann"}));
    let gone = room.call("getMemory", &json!({"key": "color/ann"}));
    assert_eq!(gone["data"], json!([]));
    room.call("setMemory", &json!({"key": "brief", "value": 1, "ttl": 50}));
    eventually("the value goes", || {
        room.call("getMemory", &json!({"key": "brief"}))["data"] == json!([])
    });
}

#[test]
fn all_surfaces_see_the_same_memory() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    room.call("setCursor", &json!({"userId": "ann", "position": [1, 2]}));
    room.call("setPresence", &json!({"userId": "ann", "status": "away"}));
    room.call("setMemory", &json!({"key": "k", "value": 1}));
    let cursors = room.call("getCursors", &json!({}));
    assert_eq!(each(&cursors, "userId"), ["ann"]);
    assert_eq!(each(&cursors, "position"), [&json!([1, 2])]);
    let presence = room.call("getPresence", &json!({}));
    assert_eq!(each(&presence, "userId"), ["ann"]);
    assert_eq!(each(&presence, "status"), ["away"]);
    let mut client = Client::of(&server);
    client.join("room/board", json!({"memory": true}));
    let snapshot = client.next_of("memory");
    let keys: Vec<_> = snapshot["set"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["key"])
        .collect();
    assert_eq!(keys, ["cursors/ann", "k", "presence/ann"]);
    room.call("setCursor", &json!({"userId": "ann", "position": [3, 4]}));
    let delta = client.next_of("memory");
    assert_eq!(delta["set"][0]["value"], json!([3, 4]));
    let seen = client.ask(json!({"type": "memory", "room": "room/board", "op": "get", "key": "k"}));
    assert_eq!(seen["set"][0]["value"], 1);
}

#[test]
fn nobody_speaks_for_another() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "*:admin:k-root acme:admin:k-acme".into();
    });
    let root = Room::new(&server, "board").by("k-acme");
    // A key that belongs to nobody says whom it speaks for.
    root.refused("setCursor", &json!({"position": 1}), 400, "INVALID_REQUEST");
    root.call("setCursor", &json!({"userId": "bob", "position": 1}));
    for key in ["cursors/bob", "presence/bob", "typing/bob"] {
        root.refused(
            "setMemory",
            &json!({"key": key, "value": 1}),
            403,
            "FORBIDDEN",
        );
        root.refused("deleteMemory", &json!({"key": key}), 403, "FORBIDDEN");
    }
    let body = json!({"user": "ann", "rooms": {"room/**": ["read", "append"]}});
    let made = server
        .expect(201, post("/v1/keys").key("k-acme").value(&body))
        .json();
    let ann = root.by(made["secret"].as_str().unwrap());
    for (method, name) in [("setCursor", "position"), ("setPresence", "status")] {
        let mut other = json!({"userId": "bob"});
        other[name] = json!(2);
        ann.refused(method, &other, 403, "FORBIDDEN");
        let mut own = json!({});
        own[name] = json!(3);
        ann.call(method, &own);
    }
    let cursors = ann.call("getCursors", &json!({}));
    assert_eq!(each(&cursors, "userId"), ["ann", "bob"]);
    assert_eq!(each(&cursors, "position"), [3, 1]);
    let body = json!({"user": "cem", "rooms": {"room/**": ["read"]}});
    let made = server
        .expect(201, post("/v1/keys").key("k-acme").value(&body))
        .json();
    let cem = root.by(made["secret"].as_str().unwrap());
    cem.call("getCursors", &json!({}));
    cem.refused(
        "setMemory",
        &json!({"key": "a", "value": 1}),
        403,
        "FORBIDDEN",
    );
    cem.refused("setPresence", &json!({"status": 1}), 403, "FORBIDDEN");
    cem.refused(
        "updateDebounced",
        &json!({"key": "a", "value": 1}),
        403,
        "FORBIDDEN",
    );
}

#[test]
fn keys_used_longest_ago_make_way_and_the_room_can_tell() {
    let server = TestServer::with(|settings| settings.limits.memory_keys_max = 2);
    let room = Room::new(&server, "board").with_notes();
    for key in ["a", "b"] {
        room.call("setMemory", &json!({"key": key, "value": 1}));
    }
    room.call("getMemory", &json!({"key": "a"}));
    room.call("setMemory", &json!({"key": "c", "value": 1}));
    let left = room.call("getMemory", &json!({"prefix": ""}));
    assert_eq!(each(&left, "key"), ["a", "c"]);
    room.call(
        "updateDebounced",
        &json!({"key": "k", "value": 12, "interval": 60_000}),
    );
    let usage = room.call("getUsage", &json!({}));
    let memory = json!({
        "entries": 2, "bytes": 4, "entriesMax": 2, "bytesMax": 262_144, "evictions": 1,
    });
    assert_eq!(usage["data"]["memory"], memory, "{usage}");
    let buffer = json!({"keys": 1, "bytes": 3, "keysMax": 1_024, "bytesMax": 4_194_304});
    assert_eq!(usage["data"]["buffer"], buffer, "{usage}");
    assert!(usage["data"]["days"].is_array(), "{usage}");
}

#[test]
fn a_room_that_is_made_again_remembers_nothing() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    room.call("setMemory", &json!({"key": "a", "value": 1}));
    server.expect(204, delete("/v1/rooms/board"));
    let left = room.call("getMemory", &json!({"prefix": ""}));
    assert_eq!(left["data"], json!([]));
}
