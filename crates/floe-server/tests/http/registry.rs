//! The listing of all streams.

use serde_json::{Value, json};

use crate::harness::{TestServer, delete, eventually, get, head, offset, post, put};

fn events(server: &TestServer) -> Vec<Value> {
    serde_json::from_slice(&server.read_all("__registry__")).unwrap()
}

#[test]
fn every_create_and_delete_is_an_event() {
    let server = TestServer::start();
    let mut live = server.follow("__registry__", "now");
    live.step().unwrap();
    server.expect(201, put("a/b%20c").content_type("text/plain"));
    server.expect(200, put("a/b%20c").content_type("text/plain"));
    server.expect(204, post("a/b%20c").text("x"));
    server.expect(201, put("list").json("[1]"));
    server.expect(204, delete("a/b%20c"));
    server.expect(404, delete("a/b%20c"));
    let check = |server: &TestServer| {
        let events = events(server);
        let seen: Vec<_> = events
            .iter()
            .map(|event| {
                assert_eq!(event["type"], "stream");
                (event["headers"]["operation"].clone(), event["key"].clone())
            })
            .collect();
        let expected = [("insert", "a/b c"), ("insert", "list"), ("delete", "a/b c")];
        assert_eq!(
            seen,
            expected.map(|(operation, key)| (json!(operation), json!(key)))
        );
        assert_eq!(events[0]["value"]["path"], "a/b c");
        assert_eq!(events[0]["value"]["contentType"], "text/plain");
        assert!(events[0]["value"]["createdAt"].as_u64().unwrap() > 1_700_000_000_000);
    };
    check(&server);
    let first: Vec<Value> = serde_json::from_str(&live.step().unwrap().data.unwrap()).unwrap();
    assert_eq!(first[0]["key"], "a/b c");
    drop(live);
    check(&server.restart());
}

#[test]
fn the_end_of_a_lifetime_is_a_delete() {
    let server = TestServer::start();
    server.expect(201, put("short").field("Stream-TTL", 0));
    eventually("the stream is over", || events(&server).len() == 2);
    assert_eq!(events(&server)[1]["headers"]["operation"], "delete");
}

#[test]
fn a_soft_deleted_stream_is_listed_as_deleted_once() {
    let server = TestServer::start();
    server.expect(201, put("source"));
    server.expect(
        201,
        put("fork").field("Stream-Forked-From", "/v1/stream/source"),
    );
    server.expect(204, delete("source"));
    server.expect(204, delete("fork"));
    let seen: Vec<_> = events(&server)
        .iter()
        .map(|event| format!("{} {}", event["headers"]["operation"], event["key"]))
        .collect();
    assert_eq!(
        seen,
        [
            "\"insert\" \"source\"",
            "\"insert\" \"fork\"",
            "\"delete\" \"source\"",
            "\"delete\" \"fork\""
        ]
    );
}

#[test]
fn the_registry_is_written_by_the_server_alone() {
    let server = TestServer::start();
    for request in [
        put("__registry__").content_type("application/json"),
        post("__registry__").json("{}"),
        delete("__registry__"),
        post("%5F_registry__").json("{}"),
    ] {
        server.send(request).refused(405, "METHOD_NOT_ALLOWED");
    }
    assert_eq!(server.expect(200, head("__registry__")).next(), offset(0));
    assert_eq!(server.expect(200, get("__registry__")).text(), "[]");
}

#[test]
fn the_server_keeps_its_own_rooms_to_itself() {
    let server = TestServer::start();
    let body = json!({ "type": "pull-wake", "streams": ["a"], "wake_stream": "w" }).to_string();
    server.expect(201, put("__ds/subscriptions/s").json(&body));
    // However the reserved prefix is written.
    for name in [
        "__ds/signing-key",
        "%5F_ds/signing-key",
        "__ds%2Fsigning-key",
        "%5f%5f%64%73/subscriptions",
        "__ds%2fsubscriptions%2fs",
    ] {
        for request in [
            get(name),
            head(name),
            put(name),
            post(name).text("x"),
            delete(name),
        ] {
            let answer = server.send(request);
            assert!(matches!(answer.status, 404 | 405), "{name}: {answer:?}");
        }
        let fork = put("fork").field("Stream-Forked-From", format!("/v1/stream/{name}"));
        server.send(fork).refused(404, "NOT_FOUND");
    }
    server.expect(204, delete("__ds/subscriptions/s"));
    server.expect(201, put("__ds/subscriptions/s").json(&body));
    assert_eq!(events(&server), Vec::<Value>::new());
}
