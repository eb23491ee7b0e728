//! What a room remembers for a while, and who is typing.

use serde_json::{Value, json};

use super::{Client, TestServer, channel};
use crate::harness::get as get_request;

fn set(room: &str, key: &str, value: Value) -> Value {
    json!({"type": "memory", "room": room, "op": "set", "key": key, "value": value})
}

fn list(room: &str, prefix: &str) -> Value {
    json!({"type": "memory", "room": room, "op": "list", "prefix": prefix})
}

/// Returns the keys and values of a frame.
fn entries(frame: &Value) -> Vec<(&str, &Value)> {
    let list = frame["set"].as_array().unwrap();
    list.iter()
        .map(|entry| (entry["key"].as_str().unwrap(), &entry["value"]))
        .collect()
}

#[test]
fn values_are_set_listed_and_deleted_and_whoever_wants_them_is_told() {
    let server = TestServer::start();
    let channel = channel(&server);
    let room = channel.room.as_str();
    let mut ann = Client::of(&server);
    ann.join(room, json!({}));
    let first = ann.ask(set(room, "cursor/ann", json!({"x": 3})));
    assert_eq!(first["type"], "ack");
    ann.ask(set(room, "leader", json!("ann")));
    let mut all = Client::of(&server);
    all.join(room, json!({"memory": true}));
    let snapshot = all.next_of("memory");
    assert_eq!(
        (&snapshot["snapshot"], &snapshot["removed"]),
        (&json!(true), &json!([]))
    );
    assert_eq!(
        entries(&snapshot),
        [("cursor/ann", &json!({"x": 3})), ("leader", &json!("ann"))]
    );
    assert_eq!(snapshot["set"][0]["version"], first["version"]);
    let mut cursors = Client::of(&server);
    cursors.join(room, json!({"memory": "cursor/"}));
    let snapshot = cursors.next_of("memory");
    assert_eq!(entries(&snapshot), [("cursor/ann", &json!({"x": 3}))]);
    let changed = ann.ask(set(room, "cursor/bob", json!([1, null])));
    for client in [&mut all, &mut cursors] {
        let delta = client.next_of("memory");
        assert_eq!(delta.get("snapshot"), None);
        assert_eq!(entries(&delta), [("cursor/bob", &json!([1, null]))]);
        assert_eq!(delta["version"], changed["version"]);
    }
    ann.ask(json!({"type": "memory", "room": room, "op": "delete", "key": "leader"}));
    let delta = all.next_of("memory");
    assert_eq!(
        (&delta["set"], &delta["removed"]),
        (&json!([]), &json!(["leader"]))
    );
    // What does not concern them, they are not told.
    assert!(
        cursors
            .so_far()
            .iter()
            .all(|frame| frame["type"] != "memory")
    );
    let listed = ann.ask(list(room, ""));
    assert_eq!(listed["type"], "memory");
    let keys: Vec<_> = entries(&listed).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["cursor/ann", "cursor/bob"]);
    assert_eq!(listed.get("next"), None);
    let listed = ann.ask(list(room, "cursor/b"));
    assert_eq!(entries(&listed), [("cursor/bob", &json!([1, null]))]);
    assert_eq!(entries(&ann.ask(list(room, "none"))), []);
}

#[test]
fn lists_come_in_pages() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"user": "ann"}));
    for number in 0..6 {
        client.ask(set(&channel.room, &format!("z{number}"), json!(number)));
    }
    // Who is typing is told in another way, and no part of it.
    client.ask(json!({"type": "typing", "room": channel.room, "typing": true}));
    let (mut keys, mut after) = (Vec::new(), None);
    loop {
        let mut asked = list(&channel.room, "");
        asked["limit"] = json!(2);
        if let Some(after) = after {
            asked["after"] = after;
        }
        let page = client.ask(asked);
        let entries = entries(&page);
        assert_eq!(entries.len(), 2, "{page}");
        keys.extend(entries.into_iter().map(|(key, _)| key.to_owned()));
        after = page.get("next").cloned();
        if after.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["z0", "z1", "z2", "z3", "z4", "z5"]);
}

#[test]
fn a_value_goes_when_its_time_is_over_and_whoever_wants_it_is_told() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"memory": true}));
    client.next_of("memory");
    let mut short = set(&channel.room, "short", json!(1));
    short["ttlMs"] = json!(60);
    client.ask(short.clone());
    client.ask(set(&channel.room, "long", json!(2)));
    let mut gone = false;
    while !gone {
        let delta = client.next_of("memory");
        for entry in delta["set"].as_array().unwrap() {
            assert!(
                entry["expiresAt"].as_str().unwrap().ends_with('Z'),
                "{entry}"
            );
        }
        gone = delta["removed"] == json!(["short"]);
    }
    let listed = client.ask(list(&channel.room, ""));
    assert_eq!(entries(&listed), [("long", &json!(2))]);
    assert!(listed["set"][0]["expiresAt"].is_string());
    // Set again in time it stays.
    short["ttlMs"] = json!(60_000);
    client.ask(short);
    assert_eq!(
        entries(&client.ask(list(&channel.room, "short"))),
        [("short", &json!(1))]
    );
}

#[test]
fn a_change_that_depends_on_a_version_is_refused_once_there_is_another() {
    let server = TestServer::start();
    let channel = channel(&server);
    let room = channel.room.as_str();
    let mut client = Client::of(&server);
    client.join(room, json!({}));
    let with = |mut frame: Value, version: &Value| {
        frame["ifVersion"] = version.clone();
        frame
    };
    let claim = |user: &str| set(room, "leader", json!(user));
    let delete = json!({"type": "memory", "room": room, "op": "delete", "key": "leader"});
    let first = client.ask(with(claim("ann"), &json!(0)));
    assert_eq!(first["type"], "ack");
    client.refused(with(claim("bob"), &json!(0)), "FENCED");
    client.refused(with(delete.clone(), &json!(0)), "FENCED");
    let second = client.ask(with(claim("bob"), &first["version"]));
    client.refused(with(claim("ann"), &first["version"]), "FENCED");
    assert_eq!(
        entries(&client.ask(list(room, ""))),
        [("leader", &json!("bob"))]
    );
    assert_eq!(
        client.ask(with(delete.clone(), &second["version"]))["type"],
        "ack"
    );
    // What is not there can be deleted again, to no effect.
    assert_eq!(client.ask(delete)["type"], "ack");
    assert_eq!(entries(&client.ask(list(room, ""))), []);
}

#[test]
fn memory_has_bounds() {
    let server = TestServer::with(|settings| {
        settings.limits.memory_keys_max = 3;
        settings.limits.memory_value_bytes_max = 100;
        settings.limits.memory_bytes_max = 250;
        settings.limits.memory_ttl_ms_max = 60_000;
    });
    let channel = channel(&server);
    let room = channel.room.as_str();
    let mut client = Client::of(&server);
    client.refused(set(room, "a", json!(1)), "NOT_JOINED");
    client.join(room, json!({}));
    client.refused(set(room, "a", json!("x".repeat(99))), "BODY_TOO_LARGE");
    client.refused(set(room, "", json!(1)), "INVALID_REQUEST");
    client.refused(set(room, &"x".repeat(257), json!(1)), "INVALID_REQUEST");
    for key in ["typing/ann", "cursors/ann", "presence/ann"] {
        client.refused(set(room, key, json!(true)), "FORBIDDEN");
        let delete = json!({"type": "memory", "room": room, "op": "delete", "key": key});
        client.refused(delete, "FORBIDDEN");
    }
    for (ttl, code) in [
        (json!(0), "INVALID_REQUEST"),
        (json!(60_001), "INVALID_REQUEST"),
    ] {
        let mut frame = set(room, "a", json!(1));
        frame["ttlMs"] = ttl;
        client.refused(frame, code);
    }
    // No other key can make space for what is larger than all of the memory.
    client.refused(
        set(room, &"x".repeat(200), json!("x".repeat(98))),
        "LIMIT_REACHED",
    );
}

#[test]
fn keys_used_longest_ago_make_way_and_whoever_wants_them_is_told() {
    let server = TestServer::with(|settings| {
        settings.limits.memory_keys_max = 3;
        settings.limits.memory_bytes_max = 250;
    });
    let channel = channel(&server);
    let room = channel.room.as_str();
    let mut reader = Client::of(&server);
    reader.join(room, json!({"memory": true}));
    reader.next_of("memory");
    let mut client = Client::of(&server);
    client.join(room, json!({}));
    for key in ["a", "b", "c"] {
        client.ask(set(room, key, json!(1)));
    }
    // Whoever watches uses nothing, whoever asks does.
    let get = |key: &str| json!({"type": "memory", "room": room, "op": "get", "key": key});
    assert_eq!(entries(&client.ask(get("a"))), [("a", &json!(1))]);
    assert_eq!(entries(&client.ask(get("ab"))), []);
    client.ask(list(room, "b"));
    client.ask(set(room, "d", json!(1)));
    reader.wait_for(|frame| frame["type"] == "memory" && frame["removed"] == json!(["c"]));
    // What is larger makes way for itself.
    client.ask(set(room, "e", json!("x".repeat(246))));
    reader
        .wait_for(|frame| frame["type"] == "memory" && frame["removed"] == json!(["a", "b", "d"]));
    let listed = client.ask(list(room, ""));
    assert_eq!(entries(&listed), [("e", &json!("x".repeat(246)))]);
    let usage = json!({
        "entries": 1, "bytes": 249, "entriesMax": 3, "bytesMax": 250, "evictions": 4,
    });
    assert_eq!(listed["usage"], usage);
    let metrics = server.expect(200, get_request("/metrics")).text();
    for line in [
        "floe_room_memory_entries 1",
        "floe_room_memory_bytes 249",
        "floe_room_memory_evictions_total 4",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line}: {metrics}");
    }
}

#[test]
fn memory_outlives_the_last_reader_but_not_the_server() {
    let server = TestServer::with(|settings| settings.limits.room_idle_timeout_ms = 1);
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({}));
    client.ask(set(&channel.room, "kept", json!(1)));
    drop(client);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"memory": true}));
    assert_eq!(entries(&client.next_of("memory")), [("kept", &json!(1))]);
    drop(client);
    let server = server.restart();
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"memory": true}));
    assert_eq!(entries(&client.next_of("memory")), []);
}

#[test]
fn fast_changes_are_put_together_and_the_last_value_comes() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut reader = Client::of(&server);
    reader.join(&channel.room, json!({"memory": true}));
    let mut writer = Client::of(&server);
    writer.join(&channel.room, json!({}));
    let mut all = Vec::new();
    for number in 1..=2_000 {
        all.extend(writer.written(&set(&channel.room, "cursor", json!(number))));
    }
    writer.write(&all);
    let mut frames = 0;
    loop {
        let frame = reader.next_of("memory");
        frames += 1;
        if entries(&frame) == [("cursor", &json!(2_000))] {
            break;
        }
    }
    assert!(frames < 2_000, "{frames}");
}

#[test]
fn typing_is_told_and_wears_off() {
    let server = TestServer::with(|settings| settings.limits.typing_ttl_ms = 80);
    let channel = channel(&server);
    let room = channel.room.as_str();
    let mut watcher = Client::of(&server);
    watcher.join(room, json!({"presence": "watch"}));
    let mut ann = Client::of(&server);
    ann.join(room, json!({"user": "ann"}));
    let typing = |typing: bool| json!({"type": "typing", "room": room, "typing": typing});
    let told = |users: Value| json!({"type": "typing", "room": room, "users": users});
    ann.say(&typing(true));
    assert_eq!(watcher.next_of("typing"), told(json!(["ann"])));
    assert_eq!(watcher.next_of("typing"), told(json!([])));
    let mut bob = Client::of(&server);
    bob.join(room, json!({"user": "bob", "presence": "member"}));
    assert_eq!(bob.ask(typing(true))["type"], "ack");
    assert_eq!(watcher.next_of("typing"), told(json!(["bob"])));
    bob.ask(typing(false));
    assert_eq!(watcher.next_of("typing"), told(json!([])));
    // Who wants none of presence is told nothing of it.
    assert!(ann.so_far().iter().all(|frame| frame["type"] != "typing"));
    let mut nobody = Client::of(&server);
    nobody.join(room, json!({}));
    nobody.refused(typing(true), "INVALID_REQUEST");
    ann.ask(json!({"type": "leave", "room": room}));
    ann.refused(typing(true), "NOT_JOINED");
}

#[test]
fn typing_goes_to_those_who_watch_whatever_else_the_room_tells_them() {
    let server = TestServer::with(|settings| settings.limits.typing_ttl_ms = 60_000);
    let channel = channel(&server);
    let room = channel.room.as_str();
    // Side by side, so that they are told of the same changes in the same turn.
    let mut both = Client::of(&server);
    both.join(room, json!({"presence": "watch", "memory": true}));
    let mut only_memory = Client::of(&server);
    only_memory.join(room, json!({"memory": true}));
    let mut watches = Client::of(&server);
    watches.join(room, json!({"presence": "watch"}));
    let mut ann = Client::of(&server);
    ann.join(room, json!({"user": "ann"}));
    for round in 0..10 {
        let says = |what: bool| json!({"type": "typing", "room": room, "typing": what});
        let is_typing = round % 2 == 0;
        let frames = [
            ann.written(&says(is_typing)),
            ann.written(&set(room, "round", json!(round))),
        ];
        ann.write(&frames.concat());
        let users = if is_typing { json!(["ann"]) } else { json!([]) };
        assert_eq!(both.next_of("typing")["users"], users);
        assert_eq!(watches.next_of("typing")["users"], users);
        for client in [&mut both, &mut only_memory] {
            client.wait_for(|frame| {
                frame["type"] == "memory" && entries(frame) == [("round", &json!(round))]
            });
        }
    }
    assert!(
        only_memory
            .so_far()
            .iter()
            .all(|frame| frame["type"] != "typing")
    );
    // Who comes later is told, too.
    ann.ask(json!({"type": "typing", "room": room, "typing": true}));
    let mut late = Client::of(&server);
    late.join(room, json!({"presence": "watch"}));
    assert_eq!(late.next_of("typing")["users"], json!(["ann"]));
}
