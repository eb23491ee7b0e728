//! The form kept for existing clients, exactly as written.

use serde_json::{Value, json};

use super::{contents, events, fields, seqs};
use crate::harness::{Channel, Request, Response, TestServer, get, options, post};

/// The two names of the form: prefix, field of the id, field of a list, header of the token.
const FORMS: [(&str, &str, &str, &str); 2] = [
    ("channel", "channelId", "channels", "X-Channel-Token"),
    ("log", "logId", "logs", "X-Log-Token"),
];

fn ask(form: &str, operation: &str, body: &Value) -> Request {
    post(&format!("/{form}/{operation}")).value(body)
}

#[track_caller]
fn failed(answer: &Response, status: u16, code: &str) {
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{answer:?}"
    );
    assert_eq!(fields(&answer.json()), ["code", "message"]);
}

#[test]
fn every_route_of_both_names_answers_as_written() {
    let server = TestServer::start();
    for (form, id, list, _) in FORMS {
        let namespace = format!("acme-{form}");
        let body = json!({ "namespace": namespace, "name": "deploys" });
        let created = server.expect(200, ask(form, "create", &body));
        let channel = Channel::of(&created);
        let created = created.json();
        assert_eq!(fields(&created), ["metadata", "secret"]);
        let mut expected = ["createdAt", id, "name", "ownerNamespace"];
        expected.sort_unstable();
        assert_eq!(fields(&created["metadata"]), expected);
        assert_eq!(created["metadata"]["ownerNamespace"], namespace.as_str());
        assert_eq!((channel.id.len(), channel.secret.len()), (12, 64));

        let listed = server
            .expect(200, ask(form, "list", &json!({ "namespace": namespace })))
            .json();
        assert_eq!(listed[list], json!([created["metadata"]]));

        for seq in 1..=3 {
            let body = json!({ id: channel.id, "content": format!("{seq}"), "authorId": "ann" });
            let appended = server.expect(200, ask(form, "append", &body)).json();
            assert_eq!(fields(&appended), ["event"]);
            let event = &appended["event"];
            assert_eq!(
                fields(event),
                ["authorId", "content", "createdAt", "id", "seq", "type"]
            );
            assert_eq!(
                (&event["seq"], &event["type"]),
                (&json!(seq), &json!("message"))
            );
        }
        let read = server
            .expect(200, ask(form, "read", &json!({ id: channel.id })))
            .json();
        assert_eq!(fields(&read), ["events", "hasMore"]);
        assert_eq!(
            (contents(&read), &read["hasMore"]),
            (vec!["1", "2", "3"], &json!(false))
        );
        let body = json!({ id: channel.id, "afterSeq": 1, "limit": 1 });
        let read = server.expect(200, ask(form, "read", &body)).json();
        assert_eq!(
            (contents(&read), &read["hasMore"]),
            (vec!["2"], &json!(true))
        );

        let body = json!({ id: channel.id, "targetSeq": 2, "authorId": "ann" });
        let deleted = server.expect(200, ask(form, "delete-event", &body)).json();
        assert_eq!(
            (
                &deleted["event"]["type"],
                &deleted["event"]["targetSeq"],
                &deleted["event"]["seq"]
            ),
            (&json!("deletion"), &json!(2), &json!(4))
        );
        let read = server
            .expect(200, ask(form, "read", &json!({ id: channel.id })))
            .json();
        assert_eq!(seqs(&read), [1, 3, 4]);

        let body = json!({ "namespace": namespace, id: channel.id });
        let removed = server.expect(200, ask(form, "delete", &body));
        assert_eq!(removed.json(), json!({ "success": true }));
        let read = server.send(ask(form, "read", &json!({ id: channel.id })));
        failed(&read, 404, "NOT_FOUND");
        let listed = server
            .expect(200, ask(form, "list", &json!({ "namespace": namespace })))
            .json();
        assert_eq!(listed[list], json!([]));
    }
}

#[test]
fn both_names_serve_the_same_rooms() {
    let server = TestServer::start();
    let body = json!({ "namespace": "acme", "name": "x" });
    let log = Channel::of(&server.expect(200, ask("log", "create", &body)));
    let body = json!({ "channelId": log.id, "content": "hello", "authorId": "ann" });
    server.expect(200, ask("channel", "append", &body));
    let read = server
        .expect(200, ask("log", "read", &json!({ "logId": log.id })))
        .json();
    assert_eq!(contents(&read), ["hello"]);
    assert_eq!(contents(&server.ask(&log, "/events")), ["hello"]);
    let listed = server.expect(200, ask("channel", "list", &json!({ "namespace": "acme" })));
    assert_eq!(listed.json()["channels"][0]["channelId"], log.id.as_str());
}

#[test]
fn tokens_are_signed_and_shown_in_both_names() {
    let server = TestServer::start();
    for (form, id, _, header) in FORMS {
        let body = json!({ "namespace": "acme", "name": "x" });
        let channel = Channel::of(&server.expect(200, ask(form, "create", &body)));
        let rights: &[&str] = if form == "log" {
            &["read", "write"]
        } else {
            &["read", "append", "delete:own"]
        };
        let body = json!({
            "namespace": "acme", id: channel.id, "permissions": rights, "displayName": "Tim",
        });
        let signed = server.expect(200, ask(form, "token/create", &body)).json();
        assert_eq!(fields(&signed), ["expiresAt", "token"]);
        let token = signed["token"].as_str().unwrap();
        let body = json!({ id: channel.id, "content": "hi", "authorId": "ignored" });
        let appended = server.expect(200, ask(form, "append", &body).field(header, token));
        assert_eq!(appended.json()["event"]["authorId"], "Tim");
        let body = json!({ id: channel.id });
        let read = server
            .expect(200, ask(form, "read", &body).field(header, token))
            .json();
        assert_eq!(contents(&read), ["hi"]);
        let body = json!({ id: channel.id, "targetSeq": 1 });
        let deleted = server.send(ask(form, "delete-event", &body).field(header, token));
        if form == "channel" {
            assert_eq!(deleted.expect(200).json()["event"]["authorId"], "Tim");
        }
        let target = format!(
            "/{form}/subscribe?{id}={}&token={token}&afterSeq=0",
            channel.id
        );
        let mut events = server.connect().follow(&get(&target));
        let connected = events.message().unwrap();
        assert_eq!(connected.json(), json!({ id: channel.id, "afterSeq": 0 }));
        // The other name's words are not its own.
        let wrong = if form == "log" { "append" } else { "write" };
        let body = json!({
            "namespace": "acme", id: channel.id, "permissions": [wrong], "displayName": "Tim",
        });
        failed(
            &server.send(ask(form, "token/create", &body)),
            400,
            "INVALID_REQUEST",
        );
        let body = json!({
            "namespace": "acme", id: channel.id, "permissions": ["read"],
            "displayName": "a".repeat(33),
        });
        failed(
            &server.send(ask(form, "token/create", &body)),
            400,
            "INVALID_REQUEST",
        );
        let body = json!({
            "namespace": "else", id: channel.id, "permissions": ["read"], "displayName": "Tim",
        });
        failed(
            &server.send(ask(form, "token/create", &body)),
            404,
            "NOT_FOUND",
        );
    }
}

#[test]
fn a_subscriber_gets_connected_then_messages_with_their_seq() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    for (form, id, ..) in FORMS {
        let target = format!("/{form}/subscribe?{id}={}&afterSeq=1", channel.id);
        let mut events = server.connect().follow(&get(&target));
        let connected = events.message().unwrap();
        assert_eq!(
            (connected.kind.as_str(), connected.id.as_deref()),
            ("connected", None)
        );
        assert_eq!(connected.json(), json!({ id: channel.id, "afterSeq": 1 }));
        for seq in [2, 3] {
            let message = events.message().unwrap();
            assert_eq!((message.kind.as_str(), message.seq()), ("message", seq));
            assert_eq!(message.json()["seq"], seq);
        }
        let again = get(&target).field("Last-Event-ID", 2);
        let mut events = server.connect().follow(&again);
        assert_eq!(events.message().unwrap().json()["afterSeq"], 2);
        assert_eq!(events.message().unwrap().seq(), 3);
    }
}

#[test]
fn a_ping_is_answered() {
    let server = TestServer::with(|settings| settings.api_keys = "a:admin:key".into());
    let pong = server.expect(200, get("/ping")).json();
    assert_eq!(fields(&pong), ["message", "timestamp"]);
    assert_eq!(pong["message"], "pong");
    assert_eq!(pong["timestamp"].as_str().unwrap().len(), 24);
}

#[test]
fn failures_have_four_codes() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "acme:read:reader acme:admin:admin".into();
    });
    for (form, id, _, header) in FORMS {
        let send =
            |operation: &str, body: Value| server.send(ask(form, operation, &body).key("admin"));
        let body = json!({ "namespace": "acme", "name": "x" });
        let channel = Channel::of(&send("create", body.clone()));
        let there = &channel.id;
        failed(
            &server.send(ask(form, "create", &body)),
            401,
            "UNAUTHORIZED",
        );
        failed(
            &server.send(ask(form, "create", &body).key("wrong")),
            401,
            "UNAUTHORIZED",
        );
        failed(
            &server.send(ask(form, "create", &body).key("reader")),
            403,
            "FORBIDDEN",
        );
        let read = ask(form, "read", &json!({ id: there })).field(header, "nonsense");
        failed(&server.send(read), 401, "UNAUTHORIZED");
        failed(
            &send("list", json!({ "namespace": "other" })),
            403,
            "FORBIDDEN",
        );
        failed(
            &send("read", json!({ id: "0123456789ab" })),
            404,
            "NOT_FOUND",
        );
        failed(&send("nothing", json!({})), 404, "NOT_FOUND");
        for (operation, body) in [
            ("create", json!({ "namespace": "acme" })),
            ("create", json!({ "name": "x" })),
            ("create", json!({ "namespace": "acme", "name": "" })),
            (
                "create",
                json!({ "namespace": "acme", "name": "x".repeat(101) }),
            ),
            ("create", json!({ "namespace": "acme", "name": 7 })),
            ("create", json!([])),
            ("create", json!("x")),
            ("list", json!({})),
            ("append", json!({ id: there, "authorId": "ann" })),
            ("append", json!({ id: there, "content": "x" })),
            (
                "append",
                json!({ id: there, "content": "", "authorId": "ann" }),
            ),
            (
                "append",
                json!({ id: there, "content": 1, "authorId": "ann" }),
            ),
            (
                "append",
                json!({ id: there, "content": "x", "authorId": "" }),
            ),
            (
                "append",
                json!({ id: "x", "content": "x", "authorId": "ann" }),
            ),
            (
                "append",
                json!({ id: there.to_uppercase() + "!", "content": "x", "authorId": "a" }),
            ),
            ("append", json!({ "content": "x", "authorId": "ann" })),
            ("read", json!({})),
            ("read", json!({ id: there, "limit": 0 })),
            ("read", json!({ id: there, "limit": 101 })),
            ("read", json!({ id: there, "limit": "5" })),
            ("read", json!({ id: there, "afterSeq": -1 })),
            ("read", json!({ id: there, "afterSeq": 1.5 })),
            ("delete-event", json!({ id: there, "authorId": "ann" })),
            (
                "delete-event",
                json!({ id: there, "authorId": "ann", "targetSeq": 0 }),
            ),
            ("delete-event", json!({ id: there, "targetSeq": 1 })),
            ("delete", json!({ id: there })),
            ("delete", json!({ "namespace": "acme" })),
            (
                "token/create",
                json!({ id: there, "permissions": ["read"], "displayName": "x" }),
            ),
            (
                "token/create",
                json!({ "namespace": "acme", id: there, "displayName": "x" }),
            ),
            (
                "token/create",
                json!({ "namespace": "acme", id: there, "permissions": ["read"] }),
            ),
        ] {
            failed(&send(operation, body), 400, "INVALID_REQUEST");
        }
        for body in ["", "{", "nonsense", "\u{0}", "{\"a\":1,\"a\":2}"] {
            let request = post(&format!("/{form}/read")).key("admin").json(body);
            failed(&server.send(request), 400, "INVALID_REQUEST");
        }
        let too_long = json!({ id: there, "content": "x".repeat(10_001), "authorId": "ann" });
        failed(&send("append", too_long), 400, "INVALID_REQUEST");
        let longest = json!({ id: there, "content": "\u{20ac}".repeat(10_000), "authorId": "a" });
        assert_eq!(send("append", longest).status, 200);
        let read = send("read", json!({ id: there })).json();
        assert_eq!(events(&read).len(), 1);
        let listed = send("list", json!({ "namespace": "acme" })).json();
        let of_form = FORMS.iter().position(|(other, ..)| *other == form).unwrap() + 1;
        let list = if form == "log" { "logs" } else { "channels" };
        assert_eq!(listed[list].as_array().map(Vec::len), Some(of_form));
    }
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    let server = TestServer::start();
    let channel = server.channel();
    let body = json!({
        "channelId": channel.id, "content": "x", "authorId": "ann", "more": [1, { "a": null }],
    });
    server.expect(200, post("/channel/append?x=y").value(&body));
    let target = format!(
        "/channel/subscribe?channelId={}&afterSeq=1&x=%zz",
        channel.id
    );
    server.connect().follow(&get(&target));
}

#[test]
fn the_content_type_of_a_body_does_not_matter() {
    let server = TestServer::start();
    let channel = server.channel();
    let body = json!({ "channelId": channel.id, "content": "x", "authorId": "ann" }).to_string();
    for request in [
        post("/channel/append").body(&body),
        post("/channel/append").text(&body),
        post("/channel/append")
            .content_type("application/json; charset=utf-8")
            .body(&body),
    ] {
        server.expect(200, request);
    }
}

#[test]
fn a_preflight_allows_the_headers_of_the_contract() {
    let server = TestServer::with(|settings| settings.api_keys = "a:admin:key".into());
    for (form, _, _, header) in FORMS {
        for path in ["append", "create", "subscribe", "token/create"] {
            let asked = options(&format!("/{form}/{path}"))
                .field("Origin", "https://a.example")
                .field("Access-Control-Request-Method", "POST")
                .field("Access-Control-Request-Headers", "authorization");
            let answer = server.expect(204, asked);
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let allowed = answer.header("access-control-allow-headers").unwrap();
            for name in ["Authorization", "Content-Type", header] {
                assert!(allowed.split(", ").any(|other| other == name), "{allowed}");
            }
            let methods = answer.header("access-control-allow-methods").unwrap();
            assert!(
                methods.contains("POST") && methods.contains("GET"),
                "{methods}"
            );
        }
    }
    let refused = post("/channel/create")
        .field("Origin", "https://a.example")
        .json("{}");
    let answer = server.send(refused);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
}
