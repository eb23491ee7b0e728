//! Browsers: CORS and the fields that keep answers from being misread.

use crate::harness::{TestServer, get, head, options, post, put};

#[test]
fn a_preflight_allows_every_field_of_the_protocol() {
    let server = TestServer::start();
    for target in ["any", "a/b", "__ds/subscriptions/x", "__ds/jwks.json"] {
        let preflight = options(target)
            .field("Origin", "https://app.example")
            .field("Access-Control-Request-Method", "PUT");
        let allowed = server.expect(204, preflight);
        assert_eq!(allowed.header("access-control-allow-origin"), Some("*"));
        let methods = allowed.header("access-control-allow-methods").unwrap();
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"] {
            assert!(methods.contains(method), "{method}");
        }
        let fields = allowed
            .header("access-control-allow-headers")
            .unwrap()
            .to_lowercase();
        for field in [
            "content-type",
            "authorization",
            "if-none-match",
            "stream-seq",
            "stream-ttl",
            "stream-expires-at",
            "stream-closed",
            "stream-forked-from",
            "stream-fork-offset",
            "stream-fork-sub-offset",
            "producer-id",
            "producer-epoch",
            "producer-seq",
        ] {
            assert!(fields.split(", ").any(|one| one == field), "{field}");
        }
    }
}

#[test]
fn answers_to_other_origins_expose_every_field_of_the_protocol() {
    let server = TestServer::start();
    let origin = "https://app.example";
    let requests = [
        put("log")
            .content_type("text/plain")
            .field("Stream-TTL", 60),
        post("log").text("x").producer("p", 0, 0),
        get("log"),
        get("log?offset=-1&live=long-poll"),
        head("log"),
        get("none"),
        post("log").text("x").producer("p", 0, 9),
    ];
    for request in requests {
        let answer = server.send(request.field("Origin", origin));
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{answer:?}"
        );
        let exposed = answer
            .header("access-control-expose-headers")
            .unwrap()
            .to_lowercase();
        for (name, _) in &answer.fields {
            if name.starts_with("stream-") || name.starts_with("producer-") || name == "etag" {
                assert!(exposed.split(", ").any(|one| one == name), "{name}");
            }
        }
        for name in [
            "etag",
            "location",
            "stream-cursor",
            "stream-sse-data-encoding",
        ] {
            assert!(exposed.split(", ").any(|one| one == name), "{name}");
        }
    }
    let events = server
        .connect()
        .follow(&get("log?offset=-1&live=sse").field("Origin", origin));
    assert_eq!(events.head.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn a_host_cannot_inject_fields() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection.write("PUT /v1/stream/a HTTP/1.1\r\nHost: a\tb\r\n\r\n");
    let created = connection.answer().expect(201);
    assert!(!created.header("location").unwrap().contains('\t'));
    connection.write("PUT /v1/stream/%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: a\r\n\r\n");
    let created = connection.answer().expect(201);
    assert_eq!(created.header("set-cookie"), None);
    assert_eq!(
        created.header("location"),
        Some("http://a/v1/stream/%0d%0aSet-Cookie:x")
    );
}
