//! What is revoked, deleted or over ends live connections within a second, on each transport.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{bearer, end_key, guarded, make, revoke, sign};
use crate::harness::{Connection, Events, Request, TestServer, get, post, put};
use crate::websocket::client::{Client, upgrade};

/// Within this everything ends that was let in by what is no more.
const SOON: Duration = Duration::from_millis(1_500);

/// One live connection of each kind.
struct Listeners {
    events: Events,
    poll: Connection,
    socket: Client,
}

impl Listeners {
    /// Listens to `news`, as whoever `show` makes of a request.
    fn of(server: &TestServer, show: impl Fn(Request) -> Request) -> Self {
        let events = show(get("news?offset=now&live=sse"));
        let mut events = server.connect().follow(&events);
        events.step().unwrap();
        let mut poll = server.connect();
        poll.write(show(get("news?offset=now&live=long-poll")).bytes());
        let (mut socket, _) = Client::greet(server, &show(upgrade()));
        assert_eq!(socket.frame()["type"], "welcome");
        socket.ask(json!({ "type": "join", "room": "stream/news" }));
        Self {
            events,
            poll,
            socket,
        }
    }

    /// Checks that all end, and say so where they can.
    #[track_caller]
    fn end(mut self) {
        let since = Instant::now();
        self.poll.answer().refused(401, "UNAUTHORIZED");
        while self.events.step().is_some() {}
        let (frames, close) = self.socket.rest();
        let goodbye = frames.last().expect("a goodbye");
        assert_eq!(goodbye["type"], "goodbye", "{frames:?}");
        assert_eq!(goodbye["code"], "UNAUTHORIZED");
        let (code, _) = close.expect("a close frame");
        assert!((4500..5000).contains(&code), "{code}");
        assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    }

    /// Checks that all go on.
    #[track_caller]
    fn go_on(mut self, server: &TestServer, by: &str) {
        server.expect(204, post("news").json("1").key(by));
        assert_eq!(self.poll.answer().status, 200);
        assert!(self.events.step().unwrap().data.is_some());
        assert_eq!(self.socket.next_of("events")["room"], "stream/news");
    }
}

fn news(server: &TestServer, by: &str) {
    server.expect(201, put("news").json("[0]").key(by));
}

#[test]
fn a_deleted_key_ends_its_listeners_and_no_others() {
    let server = guarded();
    news(&server, "k-acme");
    let body = json!({ "rights": ["read", "presence"] });
    let (one, other) = (
        make(&server, "k-acme", &body),
        make(&server, "k-acme", &body),
    );
    let listeners = Listeners::of(&server, |request| request.key(&one.secret));
    let others = Listeners::of(&server, |request| request.key(&other.secret));
    end_key(&server, "k-acme", &one.id);
    listeners.end();
    others.go_on(&server, "k-acme");
}

#[test]
fn a_revoked_token_ends_its_listeners_and_no_others() {
    let server = guarded();
    news(&server, "k-acme");
    let body = json!({ "user": "ann", "rights": ["read"] });
    let (one, other) = (
        sign(&server, "k-acme", &body),
        sign(&server, "k-acme", &body),
    );
    let listen = |token: &Value| {
        let text = token["token"].as_str().unwrap().to_owned();
        Listeners::of(&server, move |request| bearer(request, &text))
    };
    let (listeners, others) = (listen(&one), listen(&other));
    revoke(&server, "k-acme", &json!({ "token": one["id"] }));
    listeners.end();
    others.go_on(&server, "k-acme");
}

#[test]
fn a_revoked_user_loses_tokens_and_keys() {
    let server = guarded();
    news(&server, "k-acme");
    let body = json!({ "user": "ann", "rights": ["read"] });
    let key = make(&server, "k-acme", &body);
    let token = sign(&server, "k-acme", &body)["token"].clone();
    let token = token.as_str().unwrap();
    let elsewhere = make(&server, "k-umbra", &body);
    let by_key = Listeners::of(&server, |request| request.key(&key.secret));
    let by_token = Listeners::of(&server, |request| bearer(request, token));
    revoke(&server, "k-acme", &json!({ "user": "ann" }));
    by_key.end();
    by_token.end();
    let server = server.restart();
    server
        .send(get("news").key(&key.secret))
        .refused(401, "UNAUTHORIZED");
    server
        .send(bearer(get("news"), token))
        .refused(401, "UNAUTHORIZED");
    server.expect(200, get("/v1/whoami").key(&elsewhere.secret));
    let listed = server
        .expect(200, get("/v1/revocations").key("k-acme"))
        .json();
    assert_eq!(listed["revocations"][0]["user"], "ann");
    let foreign = server
        .expect(200, get("/v1/revocations").key("k-umbra"))
        .json();
    assert_eq!(foreign["revocations"], json!([]));
    // What the user is given from now on is good.
    let again = make(&server, "k-acme", &body);
    server.expect(200, get("news").key(&again.secret));
}

#[test]
fn a_key_that_is_over_ends_its_listeners() {
    let server = guarded();
    news(&server, "k-acme");
    let body = json!({ "rights": ["read"], "expiresInSeconds": 1 });
    let key = make(&server, "k-acme", &body);
    let listeners = Listeners::of(&server, |request| request.key(&key.secret));
    std::thread::sleep(Duration::from_secs(1));
    listeners.end();
}

#[test]
fn the_first_key_ends_those_who_listen_without_one() {
    let server = TestServer::start();
    server.expect(201, put("news").json("[0]"));
    let listeners = Listeners::of(&server, |request| request);
    let all = json!({ "namespace": "*", "rights": ["admin", "read"] });
    server.expect(201, post("/v1/keys").value(&all));
    let mut listeners = listeners;
    listeners.poll.answer().refused(401, "UNAUTHORIZED");
    while listeners.events.step().is_some() {}
    let frame = listeners
        .socket
        .wait_for(|frame| matches!(frame["type"].as_str(), Some("goodbye" | "closed")));
    assert_eq!(frame["code"], "UNAUTHORIZED");
}

#[test]
fn a_deleted_namespace_ends_those_who_listen_by_its_keys() {
    let server = guarded();
    server.expect(
        201,
        post("/v1/namespaces")
            .key("k-root")
            .value(&json!({ "name": "third" })),
    );
    let body = json!({ "namespace": "third", "rights": ["read"] });
    let key = make(&server, "k-root", &body);
    let (mut socket, _) = Client::greet(&server, &upgrade().key(&key.secret));
    assert_eq!(socket.frame()["type"], "welcome");
    server.expect(
        204,
        crate::harness::delete("/v1/namespaces/third").key("k-root"),
    );
    let (frames, close) = socket.rest();
    assert_eq!(frames.last().unwrap()["code"], "NAMESPACE_DELETING");
    assert!(close.is_some());
}
