//! Which pages may read the answers of a namespace: those of its origins (CORS).

use serde_json::{Value, json};

use super::{KEYS, guarded, sign};
use crate::harness::{
    Channel, Request, Response, TestServer, get, head, options, patch, post, put,
};

const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";

/// Has a namespace list origins.
#[track_caller]
fn list(server: &TestServer, namespace: &str, origins: &[&str]) {
    let target = format!("/v1/namespaces/{namespace}");
    let body = json!({ "origins": origins });
    let changed = server.send(patch(&target).key("k-root").value(&body));
    if changed.status == 404 {
        let body = json!({ "name": namespace, "origins": origins });
        server.expect(201, post("/v1/namespaces").key("k-root").value(&body));
    }
}

/// Returns what an answer says of who may read it, and whether it is another for others.
fn said(answer: &Response) -> (Option<&str>, bool) {
    assert_eq!(answer.header("access-control-allow-credentials"), None);
    let allowed = answer.header("access-control-allow-origin");
    let exposed = answer.header("access-control-expose-headers");
    assert_eq!(allowed.is_some(), exposed.is_some(), "{answer:?}");
    (allowed, answer.header("vary") == Some("Origin"))
}

/// Sends a request from pages of all kinds, and checks that `APP` alone may read the answer.
#[track_caller]
fn is_for_the_app(server: &TestServer, request: &Request) {
    let from = |origin| server.send(request.clone().field("Origin", origin));
    let answer = from(APP);
    assert_eq!(said(&answer), (Some(APP), true), "{request:?} {answer:?}");
    let answer = from(EVIL);
    assert_eq!(said(&answer), (None, true), "{request:?} {answer:?}");
    let answer = server.send(request.clone());
    assert_eq!(said(&answer), (None, true), "{request:?} {answer:?}");
}

/// Sends a request from a page, and checks that every page may read the answer.
#[track_caller]
fn is_for_anyone(server: &TestServer, request: &Request) {
    let answer = server.send(request.clone().field("Origin", EVIL));
    assert_eq!(said(&answer), (Some("*"), false), "{request:?} {answer:?}");
}

#[test]
fn the_answers_of_a_namespace_are_for_its_pages_and_those_of_others_for_all() {
    let server = guarded();
    list(&server, "acme", &[APP]);
    server.expect(201, put("a").text("x").key("k-acme"));
    server.expect(201, put("a").text("x").key("k-umbra"));
    server.expect(201, put("a").text("x").key("k-root"));
    let by_key = [
        get("a"),
        get("a?offset=-1"),
        head("a"),
        get("none"),
        post("a").text("y"),
        post("a").json("{}"),
        get("/v1/channels"),
        get("/v1/limits"),
        get("/v1/whoami"),
        get("/v1/access/stream/a"),
        get("__ds/subscriptions/none"),
        get("__registry__"),
    ];
    for request in by_key {
        let target = request.target.clone();
        is_for_the_app(&server, &request.clone().key("k-acme"));
        let mut prefixed = request.clone();
        prefixed.target = format!("/n/acme{target}");
        is_for_the_app(&server, &prefixed.clone().key("k-acme"));
        is_for_the_app(&server, &prefixed.clone().key("k-root"));
        // Nor does a refusal tell more than the answer would.
        is_for_the_app(&server, &prefixed.clone().key("k-umbra"));
        is_for_the_app(&server, &prefixed);
        is_for_anyone(&server, &request.clone().key("k-umbra"));
        is_for_anyone(&server, &request.clone().key("k-root"));
        is_for_anyone(&server, &request);
    }
    // What is refused before anybody looks who asks is of the namespace in the path.
    for request in [
        put("bad%zz"),
        get("/v1/channels/x"),
        post("/v1/keys").body("{"),
    ] {
        let mut prefixed = request.clone();
        prefixed.target = format!("/n/acme{}", request.target);
        is_for_the_app(&server, &prefixed.key("k-acme"));
        is_for_anyone(&server, &request.key("k-acme"));
    }
    for open in ["/healthz", "/", "/v1/openapi.json", "/none"] {
        is_for_anyone(&server, &get(open));
    }
}

#[test]
fn a_preflight_is_answered_by_what_its_path_says() {
    let server = guarded();
    list(&server, "acme", &[APP]);
    let targets = [
        "/v1/stream/a",
        "/v1/stream/__ds/subscriptions/x",
        "/v1/channels",
        "/channel/create",
        "/v1/keys",
        "/v1/access/stream/a",
    ];
    let ask = |target: &str, origin| {
        let asked = options(target)
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "POST");
        server.expect(204, asked)
    };
    let methods = "access-control-allow-methods";
    for target in targets {
        let prefixed = format!("/n/acme{target}");
        let told = ask(&prefixed, APP);
        assert_eq!(said(&told), (Some(APP), true), "{target}");
        assert!(told.header(methods).is_some());
        let told = ask(&prefixed, EVIL);
        assert_eq!(said(&told), (None, true), "{target}");
        assert_eq!(told.header(methods), None);
        assert_eq!(told.header("access-control-allow-headers"), None);
        // Nobody says yet whose the request will be, so the default namespace decides.
        let told = ask(target, EVIL);
        assert_eq!(said(&told), (Some("*"), false), "{target}");
        assert!(told.header(methods).is_some());
    }
    list(&server, "default", &[EVIL]);
    for target in targets {
        assert_eq!(said(&ask(target, APP)), (None, true), "{target}");
        assert_eq!(said(&ask(target, EVIL)), (Some(EVIL), true), "{target}");
        let prefixed = format!("/n/acme{target}");
        assert_eq!(said(&ask(&prefixed, APP)), (Some(APP), true), "{target}");
    }
}

#[test]
fn requests_on_one_connection_are_judged_one_by_one() {
    let server = guarded();
    list(&server, "acme", &[APP]);
    let mut connection = server.connect();
    let ours = |origin| get("none").key("k-acme").field("Origin", origin);
    let theirs = |origin| get("none").key("k-umbra").field("Origin", origin);
    for _ in 0..2 {
        for (request, expected) in [
            (ours(APP), (Some(APP), true)),
            (ours(EVIL), (None, true)),
            (theirs(APP), (Some("*"), false)),
            (get("none").key("k-umbra"), (None, false)),
            (get("none").key("k-acme"), (None, true)),
            (
                get("none").key("wrong").field("Origin", EVIL),
                (Some("*"), false),
            ),
        ] {
            assert_eq!(said(&connection.ask(&request)), expected, "{request:?}");
        }
    }
    // What cannot be understood is nobody's.
    connection.ask(&ours(APP));
    connection.write("GET / HTTP/9\r\n\r\n");
    assert_eq!(said(&connection.answer()), (None, false));
}

#[test]
fn long_polls_event_streams_and_refused_uploads_say_it_too() {
    let server = TestServer::with(|settings| {
        settings.api_keys = KEYS.into();
        settings.limits.http_body_bytes_max = 1_000;
        settings.limits.long_poll_timeout_ms = 100;
    });
    list(&server, "acme", &[APP]);
    server.expect(201, put("a").content_type("text/plain").key("k-acme"));
    is_for_the_app(&server, &get("a?offset=now&live=long-poll").key("k-acme"));
    is_for_the_app(
        &server,
        &get("/n/acme/v1/stream/a").key("k-acme").body([0; 2_000]),
    );
    for (origin, expected) in [(APP, (Some(APP), true)), (EVIL, (None, true))] {
        let asked = get("a?offset=-1&live=sse").key("k-acme");
        let events = server.connect().follow(&asked.field("Origin", origin));
        assert_eq!(said(&events.head), expected);
    }
}

#[test]
fn a_channel_answers_by_the_origins_of_its_own_namespace() {
    let server = guarded();
    list(&server, "acme", &[APP]);
    let made = post("/v1/channels")
        .key("k-acme")
        .value(&json!({ "name": "c" }));
    let channel = Channel::of(&server.expect(201, made));
    let body = json!({ "author": "ann", "rights": ["read", "append"] });
    let token = post(&channel.at("/tokens")).key("k-acme").value(&body);
    let token = server.expect(201, token).json();
    let token = token["token"].as_str().unwrap();
    is_for_the_app(&server, &get(&channel.at("/events")).token(token));
    is_for_the_app(&server, &get(&channel.at("/events")).key("k-root"));
    is_for_the_app(&server, &get(&channel.stream()).token(token));
    let share = sign(
        &server,
        "k-acme",
        &json!({ "use": "share", "rooms": { "stream/a": ["read"] } }),
    );
    let share = share["token"].as_str().unwrap();
    is_for_the_app(&server, &get(&format!("a?share={share}")));
}

#[test]
fn what_is_listed_holds_at_once_and_after_a_restart() {
    let server = TestServer::with(|settings| {
        settings.api_keys = KEYS.into();
        settings.origins = vec!["https://ops.example".into()];
    });
    let asked = |origin: &str| get("none").key("k-acme").field("Origin", origin);
    let mut connection = server.connect();
    assert_eq!(said(&connection.ask(&asked(EVIL))), (Some("*"), false));
    list(&server, "acme", &[APP, "https://b.example"]);
    assert_eq!(said(&connection.ask(&asked(EVIL))), (None, true));
    for origin in [
        APP,
        "https://b.example",
        "https://ops.example",
        "http://floe.test",
    ] {
        let answer = connection.ask(&asked(origin));
        assert_eq!(said(&answer), (Some(origin), true), "{origin}");
    }
    assert_eq!(said(&connection.ask(&asked("null"))), (None, true));
    let server = server.restart();
    is_for_the_app(&server, &get("none").key("k-acme"));
    list(&server, "acme", &["*"]);
    for origin in [EVIL, "null"] {
        let answer = server.send(asked(origin));
        assert_eq!(said(&answer), (Some(origin), true));
    }
    list(&server, "acme", &[]);
    is_for_anyone(&server, &get("none").key("k-acme"));
    let shown = server.expect(200, get("/v1/namespaces/acme").key("k-root"));
    assert_eq!(shown.json()["origins"], Value::Array(Vec::new()));
}
