//! The traps of the specification that others fell into; each name is a claim.

use serde_json::{Value, json};

use super::{contents, seqs};
use crate::harness::{Channel, TestServer, delete, get, post};

#[test]
fn a_deleted_message_stays_away_though_its_marker_lies_outside_the_window() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 100);
    server.expect(201, delete(&channel.at("/events/3?authorId=ann")));
    let body = json!({ "channelId": channel.id, "afterSeq": 0, "limit": 5 });
    let read = server
        .expect(200, post("/channel/read").value(&body))
        .json();
    assert_eq!(contents(&read), ["1", "2", "4", "5", "6"]);
    let read = server.ask(&channel, "/events?limit=5");
    assert_eq!(contents(&read), ["1", "2", "", "4", "5"]);
    let read = server.ask(&channel, "/events?order=desc&beforeSeq=5");
    assert_eq!(contents(&read), ["4", "", "2", "1"]);
    let found = server.ask(&channel, "/query?waitFor=101&beforeSeq=5");
    assert_eq!(contents(&found), ["1", "2", "4"]);
}

#[test]
fn the_bearer_of_a_token_is_held_to_every_bound() {
    let server = TestServer::start();
    let channel = server.channel();
    let token = server.token(&channel, &["read", "append"], "tim");
    let says = |content: &str| {
        let body = json!({ "content": content });
        server.send(post(&channel.at("/events")).token(&token).value(&body))
    };
    says(&"x".repeat(10_001)).refused(413, "EVENT_TOO_LARGE");
    says("").refused(400, "INVALID_REQUEST");
    let kept = |operation: &str, body: Value| {
        server.send(
            post(&format!("/channel/{operation}"))
                .token(&token)
                .value(&body),
        )
    };
    let id = &channel.id;
    kept(
        "append",
        json!({ "channelId": id, "content": "x".repeat(10_001) }),
    )
    .refused(400, "INVALID_REQUEST");
    for limit in [0, 101, 1_000_000] {
        kept("read", json!({ "channelId": id, "limit": limit })).refused(400, "INVALID_REQUEST");
    }
    for rest in [
        "/events?limit=1001",
        "/query?limit=1001",
        "/poll?limit=1001",
    ] {
        server
            .send(get(&channel.at(rest)).token(&token))
            .refused(400, "INVALID_REQUEST");
    }
    let many: Vec<_> = (0..1_001).map(|_| json!({ "content": "x" })).collect();
    let batch = post(&channel.at("/events"))
        .token(&token)
        .value(&json!({ "events": many }));
    server.send(batch).refused(400, "INVALID_REQUEST");
    let key = post(&channel.at("/events"))
        .token(&token)
        .field("Idempotency-Key", "k".repeat(129))
        .json(r#"{"content":"x"}"#);
    server.send(key).refused(400, "INVALID_REQUEST");
    assert_eq!(seqs(&server.ask(&channel, "/events")), [0_u64; 0]);
}

#[test]
fn no_key_deletes_what_another_namespace_owns() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "team:admin:ours other:admin:theirs".into();
    });
    let created = server.expect(
        201,
        post("/v1/channels").key("ours").json(r#"{"name":"x"}"#),
    );
    let channel = Channel::of(&created);
    server.expect(201, channel.says("ann", "x").key("ours"));
    for namespace in ["team", "other"] {
        let body = json!({ "namespace": namespace, "channelId": channel.id });
        for form in ["channel", "log"] {
            let mut body = body.clone();
            body["logId"] = json!(channel.id);
            let request = post(&format!("/{form}/delete")).key("theirs").value(&body);
            server.send(request).refused(404, "NOT_FOUND");
        }
    }
    server
        .send(delete(&channel.at("")).key("theirs"))
        .refused(404, "NOT_FOUND");
    let event = delete(&channel.at("/events/1?authorId=ann")).key("theirs");
    server.send(event).refused(404, "NOT_FOUND");
    let read = server
        .expect(200, get(&channel.at("/events")).key("ours"))
        .json();
    assert_eq!(contents(&read), ["x"]);
}

#[test]
fn a_key_that_only_reads_creates_no_channel() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "team:read:guest team:admin:owner".into();
    });
    let body = json!({ "namespace": "team", "name": "x" });
    for target in ["/v1/channels", "/channel/create", "/log/create"] {
        let request = post(target).key("guest").value(&body);
        server.send(request).refused(403, "FORBIDDEN");
    }
    let list = server.expect(200, get("/v1/channels").key("guest")).json();
    assert_eq!(list["channels"], json!([]));
}

#[test]
fn an_event_stream_beats_and_resumes_after_the_last_event_seen() {
    let server = TestServer::with(|settings| {
        settings.limits.sse_heartbeat_ms = 100;
        settings.limits.sse_timeout_ms = 1_500;
    });
    let channel = server.channel();
    server.fill(&channel, 3);
    let target = format!("/channel/subscribe?channelId={}&afterSeq=0", channel.id);
    let mut events = server.connect().follow(&get(&target));
    events.message().unwrap();
    let mut last = None;
    while let Some(message) = events.message() {
        last = message.id;
    }
    assert!(events.heartbeats >= 1);
    server.say(&channel, "ann", "4");
    let again = get(&target).field("Last-Event-ID", last.unwrap());
    let mut events = server.connect().follow(&again);
    events.message().unwrap();
    assert_eq!(events.message().unwrap().seq(), 4);
}

#[test]
fn a_reader_that_comes_amid_appends_gets_history_then_news_in_order_and_once() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 500);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut connection = server.connect();
            for number in 0..500 {
                connection
                    .ask(&channel.says("ann", &format!("{number}")))
                    .expect(201);
            }
        });
        for _ in 0..10 {
            let mut events = server.subscribe(&channel, 0);
            for seq in 1..=600 {
                assert_eq!(events.message().unwrap().seq(), seq);
            }
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_list_has_no_channel_of_another_tenant() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "a:admin:key-a b:admin:key-b *:admin:root".into();
    });
    for key in ["key-a", "key-b"] {
        server.expect(201, post("/v1/channels").key(key).json(r#"{"name":"x"}"#));
    }
    for (key, namespace) in [("key-a", "a"), ("key-b", "b"), ("root", "a")] {
        let body = json!({ "namespace": namespace });
        let lists = [
            server
                .expect(200, post("/channel/list").key(key).value(&body))
                .json()["channels"]
                .clone(),
            server
                .expect(200, post("/log/list").key(key).value(&body))
                .json()["logs"]
                .clone(),
            server
                .expect(
                    200,
                    get(&format!("/v1/channels?namespace={namespace}")).key(key),
                )
                .json()["channels"]
                .clone(),
        ];
        for list in lists {
            let owners: Vec<_> = list
                .as_array()
                .unwrap()
                .iter()
                .map(|channel| channel["ownerNamespace"].clone())
                .collect();
            assert_eq!(owners, [json!(namespace)]);
        }
    }
}

#[test]
fn a_token_lives_until_the_moment_that_was_told() {
    use base64::Engine as _;
    let server = TestServer::start();
    let channel = server.channel();
    for seconds in [1, 3_599, 3_600, 3_601, 604_800] {
        let body = json!({ "rights": ["read"], "author": "tim", "expiresInSeconds": seconds });
        let signed = server
            .expect(201, post(&channel.at("/tokens")).value(&body))
            .json();
        let token = signed["token"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(token)
            .unwrap();
        let at = bytes.len() - 15;
        let hours = u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]);
        let ends_ms = 1_704_067_200_000 + u64::from(hours) * 3_600_000;
        let told = floe_proto::Millis::parse_rfc3339(signed["expiresAt"].as_str().unwrap());
        assert_eq!(told, Some(floe_proto::Millis(ends_ms)));
        let now_ms = std::time::SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap()
            .as_millis() as u64;
        assert!(ends_ms + 5_000 >= now_ms + seconds * 1_000);
        server.expect(200, get(&channel.at("/events")).token(token));
    }
}

#[test]
fn what_a_reader_was_pushed_outlives_a_crash() {
    use crate::harness::{ChildServer, Events};
    let server = ChildServer::start();
    let created = server.expect(201, post("/v1/channels").json(r#"{"name":"x"}"#));
    let channel = Channel::of(&created);
    let mut events: Events = server.connect().follow(&get(&channel.at("/subscribe")));
    events.message().unwrap();
    let mut writers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for number in 0..200 {
        let writer = &mut writers[number % 4];
        writer.write(channel.says("ann", &format!("{number}")).bytes());
        if number >= 3 {
            writers[(number + 1) % 4].answer().expect(201);
        }
    }
    let mut seen = Vec::new();
    while seen.len() < 150 {
        seen.push(events.message().unwrap().json());
    }
    let server = server.kill_and_restart();
    let read = server
        .expect(200, get(&channel.at("/events?limit=1000")))
        .json();
    assert_eq!(read["events"].as_array().unwrap()[..150], seen);
}
