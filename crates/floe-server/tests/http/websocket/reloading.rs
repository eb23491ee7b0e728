//! New settings for a server that runs: they hold at once, and nobody is dropped for them.

use serde_json::json;

use super::{Client, TestServer, channel, get, post, put, upgrade};
use crate::harness::eventually;

#[test]
fn new_limits_hold_at_once_for_connections_that_stay() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut socket = Client::of(&server);
    socket.join(&channel.room, json!({"presence": "member", "user": "ann"}));
    server.expect(201, put("log").text("first "));
    let mut reader = server.follow("log", "-1");
    assert_eq!(reader.until_up_to_date().0, "first ");
    let mut writer = server.connect();
    let says = |content: &str| {
        let event = json!({"authorId": "bob", "content": content}).to_string();
        post(&channel.path("/events")).json(&event)
    };
    writer.ask(&says("a long message")).expect(201);

    server
        .reload(|settings| {
            let limits = &mut settings.limits;
            limits.channel_content_chars_max = 5;
            limits.streams_max = 0;
            limits.presence_members_max = 1;
            limits.memory_keys_max = 1;
            limits.query_open_max = 0;
            limits.subscriptions_max = 0;
        })
        .unwrap();
    eventually("the limit of an event's content holds", || {
        writer.ask(&says("a long message")).status == 413
    });
    let says_more = json!({
        "type": "append", "room": channel.room, "authorId": "ann", "content": "a long message",
    });
    socket.refused(says_more, "EVENT_TOO_LARGE");
    // In rooms that were live before, too.
    let set = |key: &str| json!({"type": "memory", "room": channel.room, "op": "set", "key": key, "value": 1});
    for key in ["a", "b"] {
        assert_eq!(socket.ask(set(key))["type"], "ack");
    }
    // What was used longest ago has made way.
    let list = json!({"type": "memory", "room": channel.room, "op": "list", "prefix": ""});
    let listed = socket.ask(list);
    assert_eq!(listed["set"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["set"][0]["key"], "b");
    let mut other = Client::of(&server);
    let joins = json!({
        "type": "join", "room": channel.room, "presence": "member", "user": "bob",
    });
    other.refused(joins, "LIMIT_REACHED");
    writer.ask(&put("another")).refused(429, "LIMIT_REACHED");
    writer
        .ask(&get(&channel.path("/query")))
        .refused(503, "OVERLOADED");

    // Those who were there before are there still.
    writer.ask(&says("short")).expect(201);
    let heard = socket.wait_for(|frame| {
        let events = frame["events"].as_array();
        events.is_some_and(|events| events.iter().any(|event| event["content"] == "short"))
    });
    assert_eq!(heard["room"], json!(channel.room));
    writer.ask(&post("log").text("second")).expect(204);
    assert_eq!(reader.step().unwrap().data.as_deref(), Some("second"));
    assert_eq!(
        server.metric("floe_config_reloads_total{outcome=\"good\"}"),
        1.0
    );
    assert_eq!(
        server.metric("floe_config_reloads_total{outcome=\"bad\"}"),
        0.0
    );
}

#[test]
fn new_keys_and_origins_hold_at_once_and_wrong_keys_change_nothing() {
    let server = TestServer::start();
    let listing = || server.send(get("/v1/channels"));
    listing().expect(200);
    let loaded = server.metric("floe_config_loaded_timestamp_seconds");
    server
        .reload(|settings| "no key".clone_into(&mut settings.api_keys))
        .unwrap_err();
    listing().expect(200);
    let status = |origin: &str| {
        let mut connection = server.connect();
        connection.write(upgrade().field("Origin", origin).bytes());
        connection.head().status
    };
    assert_eq!(status("https://a.example"), 403);
    let mut before = Client::of(&server);
    server
        .reload(|settings| {
            settings.origins = vec!["https://a.example".to_owned()];
        })
        .unwrap();
    eventually("the origin may come", || status("https://a.example") == 101);
    assert_eq!(status("https://b.example"), 403);
    server
        .reload(|settings| "*:admin:k".clone_into(&mut settings.api_keys))
        .unwrap();
    eventually("a key is needed", || listing().status == 401);
    server.expect(200, get("/v1/channels").field("Authorization", "ApiKey k"));
    assert!(before.so_far().is_empty());
    let text = server
        .expect(200, get("/metrics").field("Authorization", "ApiKey k"))
        .text();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    assert!(value("floe_config_loaded_timestamp_seconds ") > loaded);
    assert_eq!(value("floe_config_reloads_total{outcome=\"good\"} "), 2.0);
}

#[test]
fn who_listens_with_a_key_that_is_gone_ends_and_the_others_stay() {
    let keys = "*:admin:k-root *:read:k-gone";
    let server = TestServer::with(|settings| keys.clone_into(&mut settings.api_keys));
    let by = |key: &str| format!("ApiKey {key}");
    let made = put("log").text("x").field("Authorization", by("k-root"));
    server.expect(201, made);
    let follow = |key: &str| {
        let request = get("log?offset=now&live=sse").field("Authorization", by(key));
        server.connect().follow(&request)
    };
    let (mut stays, mut ends) = (follow("k-root"), follow("k-gone"));
    stays.step().unwrap();
    ends.step().unwrap();
    server
        .reload(|settings| "*:admin:k-root".clone_into(&mut settings.api_keys))
        .unwrap();
    assert!(ends.step().is_none());
    let append = post("log").text("y").field("Authorization", by("k-root"));
    server.expect(204, append);
    assert_eq!(stays.step().unwrap().data.as_deref(), Some("y"));
}
