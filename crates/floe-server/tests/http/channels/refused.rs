//! What is refused, with which code, and that it changes nothing.

use serde_json::{Value, json};

use super::contents;
use crate::harness::{Channel, Request, TestServer, delete, get, options, patch, post, put};

/// What the server shows of a channel and of all.
fn state(server: &TestServer, channel: &Channel) -> [Value; 3] {
    [
        server.expect(200, get(&channel.at(""))).json(),
        server.ask(channel, "/events?limit=1000"),
        server.expect(200, get("/v1/channels")).json()["channels"].clone(),
    ]
}

fn with(channel: &Channel, rest: &str, body: &Value) -> Request {
    post(&channel.at(rest)).value(body)
}

#[test]
fn bad_bodies_are_refused_and_change_nothing() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let before = state(&server, &channel);
    let many: Vec<_> = (0..1_001).map(|_| json!({ "content": "x" })).collect();
    let cases: Vec<(u16, &str, Request)> = vec![
        (400, "INVALID_JSON", post("/v1/channels")),
        (400, "INVALID_JSON", post("/v1/channels").json("{")),
        (
            400,
            "INVALID_JSON",
            post("/v1/channels").json(r#"{"name":"x"} x"#),
        ),
        (400, "INVALID_JSON", post("/v1/channels").body([0xff, 0xfe])),
        (400, "INVALID_REQUEST", post("/v1/channels").json("[]")),
        (400, "INVALID_REQUEST", post("/v1/channels").json("7")),
        (400, "INVALID_REQUEST", post("/v1/channels").json("{}")),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":null}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":""}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":7}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","name":"y"}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","more":1}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"\ud800"}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","slow":"never"}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","namespace":"*"}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","namespace":""}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").json(r#"{"name":"x","namespace":"a\nb"}"#),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").value(&json!({ "name": "x".repeat(101) })),
        ),
        (
            400,
            "INVALID_REQUEST",
            post("/v1/channels").value(&json!({ "name": "x", "namespace": "x".repeat(101) })),
        ),
        (400, "INVALID_REQUEST", patch(&channel.at("")).json("{}")),
        (
            400,
            "INVALID_REQUEST",
            patch(&channel.at("")).json(r#"{"name":"y"}"#),
        ),
        (
            400,
            "INVALID_JSON",
            with(&channel, "/events", &json!(null)).body("nul"),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(&channel, "/events", &json!({})),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(&channel, "/events", &json!({ "content": "x" })),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(&channel, "/events", &json!({ "authorId": "ann" })),
        ),
        (400, "INVALID_REQUEST", channel.says("", "x")),
        (400, "INVALID_REQUEST", channel.says("ann", "")),
        (400, "INVALID_REQUEST", channel.says(&"a".repeat(129), "x")),
        (
            413,
            "EVENT_TOO_LARGE",
            channel.says("ann", &"x".repeat(10_001)),
        ),
        (
            413,
            "EVENT_TOO_LARGE",
            channel.says("ann", &"\u{20ac}".repeat(10_001)),
        ),
        (
            413,
            "EVENT_TOO_LARGE",
            channel.says_all("ann", &["x", &"x".repeat(10_001)]),
        ),
        (400, "INVALID_REQUEST", channel.says_all("ann", &[])),
        (
            400,
            "INVALID_REQUEST",
            with(
                &channel,
                "/events",
                &json!({ "authorId": "ann", "events": many }),
            ),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(
                &channel,
                "/events",
                &json!({ "authorId": "ann", "events": [7] }),
            ),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(
                &channel,
                "/events",
                &json!({ "authorId": "ann", "events": "x" }),
            ),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(
                &channel,
                "/events",
                &json!({ "events": [
                    { "content": "x", "authorId": "ann" }, { "content": "y", "authorId": "bob" },
                ] }),
            ),
        ),
        (
            400,
            "INVALID_REQUEST",
            with(
                &channel,
                "/events",
                &json!({ "authorId": "ann", "content": "x", "events": [{ "content": "y" }] }),
            ),
        ),
        (
            400,
            "INVALID_REQUEST",
            channel
                .says("ann", "x")
                .field("Idempotency-Key", "k".repeat(129)),
        ),
        (
            400,
            "INVALID_REQUEST",
            patch(&channel.at("/events/1")).json(r#"{"authorId":"ann"}"#),
        ),
        (
            413,
            "EVENT_TOO_LARGE",
            patch(&channel.at("/events/1"))
                .value(&json!({ "authorId": "ann", "content": "x".repeat(10_001) })),
        ),
        (
            400,
            "INVALID_REQUEST",
            put(&channel.at("/events/1/reactions/up")),
        ),
        (
            400,
            "INVALID_REQUEST",
            put(&channel.at("/events/x/reactions/up?authorId=ann")),
        ),
        (400, "INVALID_REQUEST", delete(&channel.at("/events/1"))),
        (
            400,
            "INVALID_REQUEST",
            delete(&channel.at("/events/x?authorId=ann")),
        ),
        (
            400,
            "INVALID_REQUEST",
            delete(&channel.at("/events/1?authorId=ann&more=1")),
        ),
        (400, "INVALID_REQUEST", delete("/v1/channels/NOTHEXADECIM")),
        (400, "INVALID_REQUEST", delete("/v1/channels/0123")),
        (404, "NOT_FOUND", delete("/v1/channels/0123456789ab")),
    ];
    for (status, code, request) in cases {
        let shown: String = String::from_utf8_lossy(&request.bytes())
            .chars()
            .take(300)
            .collect();
        let answer = server.send(request);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{shown}"
        );
    }
    assert_eq!(state(&server, &channel), before);
    assert_eq!(server.say(&channel, "ann", "next")["seq"], 3);
}

#[test]
fn bad_parameters_are_refused_by_name() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let long = "x".repeat(257);
    let cases = [
        ("/events?afterSeq=x", "afterSeq"),
        ("/events?afterSeq=-1", "afterSeq"),
        ("/events?afterSeq=1.5", "afterSeq"),
        ("/events?afterSeq=18446744073709551616", "afterSeq"),
        ("/events?afterSeq=1&afterSeq=2", "afterSeq"),
        ("/events?beforeSeq=x", "beforeSeq"),
        ("/events?limit=0", "limit"),
        ("/events?limit=1001", "limit"),
        ("/events?limit=x", "limit"),
        ("/events?order=up", "order"),
        ("/events?AfterSeq=1", "AfterSeq"),
        ("/events?more=1", "more"),
        ("/events?afterSeq=%zz", "afterSeq"),
        ("/events?afterSeq=%ff", "afterSeq"),
        ("/query?limit=0", "limit"),
        ("/query?afterDate=yesterday", "afterDate"),
        ("/query?beforeDate=2026-13-01T00:00:00Z", "beforeDate"),
        ("/query?afterDate=-5", "afterDate"),
        ("/query?waitFor=x", "waitFor"),
        ("/query?waitFor=0123456789ab-1", "waitFor"),
        ("/query?q=x", "q"),
        ("/query?namespace=x", "namespace"),
        ("/search", "q"),
        ("/search?q=", "q"),
        ("/search?q=x&mode=magic", "mode"),
        ("/poll?afterSeq=x", "afterSeq"),
        ("/poll?limit=1001", "limit"),
        ("/subscribe?afterSeq=x", "afterSeq"),
        ("/subscribe?limit=5", "limit"),
        ("/events/0", "seq"),
        ("/events/x", "seq"),
        ("/events/1?more=1", "more"),
        ("?more=1", "more"),
        ("/realtime?more=1", "more"),
    ];
    for (rest, named) in cases {
        let answer = server.send(get(&channel.at(rest)));
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "INVALID_REQUEST"),
            "{rest}"
        );
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.contains(named), "{rest}: {message}");
    }
    for target in [
        channel.at(&format!("/search?q={long}")),
        channel.at(&format!("/query?contentContains={long}")),
        channel.at(&format!("/query?authorId={long}")),
        channel.at(&format!("/query?page={}", "x".repeat(513))),
        "/v1/query?waitFor=1".to_owned(),
        "/v1/query?waitFor=x-1".to_owned(),
        "/v1/query?namespace=*".to_owned(),
        "/v1/search".to_owned(),
        format!("/v1/channels?namespace={long}"),
        "/v1/channels?page=x".to_owned(),
        "/channel/subscribe".to_owned(),
        "/channel/subscribe?channelId=x".to_owned(),
        format!("/log/subscribe?channelId={}", channel.id),
    ] {
        server.send(get(&target)).refused(400, "INVALID_REQUEST");
    }
}

#[test]
fn paths_and_methods_are_told_apart() {
    let server = TestServer::start();
    let channel = server.channel();
    for target in [
        channel.at("/"),
        channel.at("/nothing"),
        channel.at("/events/1/2"),
        "/v1/channels/".to_owned(),
        "/v1/queries".to_owned(),
        "/v1/query/x".to_owned(),
        "/v1/Channels".to_owned(),
    ] {
        let answer = server.send(get(&target));
        assert!(matches!(answer.status, 400 | 404), "{target} {answer:?}");
    }
    for request in [
        put(&channel.at("")),
        delete("/v1/channels"),
        delete(&channel.at("/events")),
        post(&channel.at("/query")).json("{}"),
        post(&channel.at("/subscribe")).json("{}"),
        crate::harness::head(&channel.at("/subscribe")),
        crate::harness::head(&channel.at("/poll")),
        patch("/v1/search"),
        get("/channel/append"),
        post("/channel/subscribe").json("{}"),
        delete("/channel/delete"),
        Request::new("TRACE", &channel.at("")),
        Request::new("get", &channel.at("")),
    ] {
        let shown = format!("{} {}", request.method, request.target);
        let answer = server.send(request);
        assert_eq!(answer.status, 405, "{shown} {answer:?}");
    }
}

#[test]
fn browsers_may_ask_and_read_every_answer() {
    let server = TestServer::start();
    let channel = server.channel();
    let origin = "https://a.example";
    for target in [
        channel.at("/events"),
        "/v1/channels".into(),
        "/v1/query".into(),
    ] {
        let answer = server.expect(204, options(&target).field("Origin", origin));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let allowed = answer.header("access-control-allow-headers").unwrap();
        for name in [
            "Authorization",
            "Content-Type",
            "X-Channel-Token",
            "Idempotency-Key",
            "Last-Event-ID",
        ] {
            assert!(allowed.split(", ").any(|other| other == name), "{allowed}");
        }
        let methods = answer.header("access-control-allow-methods").unwrap();
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
            assert!(
                methods.split(", ").any(|other| other == method),
                "{methods}"
            );
        }
    }
    for request in [
        get(&channel.at("/events")),
        get(&channel.at("/events?limit=0")),
        get(&channel.at("/query")),
        get("/v1/channels/0123456789ab"),
        channel.says("ann", "x"),
    ] {
        let answer = server.send(request.field("Origin", origin));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{answer:?}"
        );
        let plain = server.send(get(&channel.at("/events")));
        assert_eq!(plain.header("access-control-allow-origin"), None);
    }
}

#[test]
fn content_has_the_bound_that_is_set() {
    let server = TestServer::with(|settings| settings.limits.channel_content_chars_max = 5);
    let channel = server.channel();
    server.say(&channel, "ann", "12345");
    server.say(
        &channel,
        "ann",
        "\u{1f600}\u{1f600}\u{1f600}\u{1f600}\u{1f600}",
    );
    server
        .send(channel.says("ann", "123456"))
        .refused(413, "EVENT_TOO_LARGE");
    assert_eq!(contents(&server.ask(&channel, "/events")).len(), 2);
}

#[test]
fn a_body_that_is_too_large_is_refused_before_it_is_read() {
    let server = TestServer::with(|settings| settings.limits.http_body_bytes_max = 10_000);
    let channel = server.channel();
    let answer = server.send(channel.says_all("ann", &["x"; 1_000]));
    answer.refused(413, "BODY_TOO_LARGE");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 0);
}

#[test]
fn too_many_channels_are_refused() {
    let server = TestServer::with(|settings| settings.limits.streams_max = 3);
    let create = || post("/v1/channels").json(r#"{"name":"x"}"#);
    let mut channels = Vec::new();
    loop {
        let answer = server.send(create());
        if answer.status != 201 {
            answer.refused(429, "LIMIT_REACHED");
            break;
        }
        channels.push(Channel::of(&answer));
    }
    // The server has streams of its own.
    assert!((1..3).contains(&channels.len()), "{channels:?}");
    server.say(&channels[0], "ann", "x");
    let server = server.restart_with(|settings| settings.limits.streams_max = 4);
    server.expect(201, create());
}

#[test]
fn hostile_bodies_and_paths_never_end_the_server() {
    let server = TestServer::start();
    let channel = server.channel();
    let deep = "[".repeat(100_000);
    let bodies = [
        deep.clone(),
        format!(r#"{{"name":{deep}"#),
        format!(r#"{{"a":{}"#, r#"{"a":"#.repeat(50_000)),
        r#"{"name":"x","retention":{"maxEvents":1e400}}"#.into(),
        r#"{"name":"x","retention":{"maxEvents":18446744073709551615,"maxBytes":18446744073709551615,"maxAgeMs":18446744073709551615}}"#.into(),
        format!("{{{}}}", (0..5_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",")),
    ];
    for body in bodies {
        for target in [
            "/v1/channels".to_owned(),
            channel.at("/events"),
            "/channel/append".into(),
        ] {
            let answer = server.send(post(&target).json(&body));
            assert!(matches!(answer.status, 201 | 400), "{answer:?}");
        }
        let answer = server.send(patch(&channel.at("")).json(&body));
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
    }
    for rest in [
        "/events/%00",
        "/events/..",
        "/events//1",
        "/events/1/reactions/",
        "/%2e%2e",
    ] {
        assert!(server.send(put(&channel.at(rest))).status >= 400);
    }
    // With the largest bounds there are nothing goes away, and all goes on.
    let body = json!({ "name": "x", "retention": {
        "maxEvents": u64::MAX, "maxBytes": u64::MAX, "maxAgeMs": u64::MAX,
    } });
    let channel = server.channel_with(&body);
    server.fill(&channel, 10);
    assert_eq!(server.ask(&channel, "")["metadata"]["startSeq"], 1);
    let found = server.ask(&channel, "/query?waitFor=10");
    assert_eq!(contents(&found).len(), 10);
}
