//! Namespaces that are deleted with all that is in them.

use serde_json::{Value, json};

use super::{guarded, make, records, sign, whoami};
use crate::channels::views::Stopped;
use crate::harness::{Channel, Request, TestServer, delete, eventually, get, patch, post, put};
use crate::websocket::client::{Client, upgrade};

const THIRD: &str = "/v1/namespaces/third";

/// Makes a namespace; returns a key that does everything there.
#[track_caller]
fn third(server: &TestServer) -> String {
    let body = json!({ "name": "third" });
    server.expect(201, post("/v1/namespaces").key("k-root").value(&body));
    let rights = ["admin", "create", "manage", "append", "read", "presence"];
    let body = json!({ "namespace": "third", "rights": rights });
    make(server, "k-root", &body).secret
}

/// Puts something of every kind into the namespace of a key; returns a channel.
#[track_caller]
fn furnish(server: &TestServer, key: &str) -> Channel {
    for path in ["news", "a/b", "a/c"] {
        server.expect(201, put(path).json("[1]").key(key));
    }
    for fork in ["fork", "fork/of"] {
        let source = put(fork).json("[]").key(key);
        server.expect(201, source.field("Stream-Forked-From", "/v1/stream/news"));
    }
    // A stream that lives on for its forks, and a channel that waits to be purged.
    server.expect(204, delete("news").key(key));
    let channel = |name: &str| {
        let made = post("/v1/channels").value(&json!({ "name": name }));
        Channel::of(&server.expect(201, made.key(key)))
    };
    let (channel, gone) = (channel("one"), channel("gone"));
    for channel in [&channel, &gone] {
        server.expect(201, channel.says("ann", "hello").key(key));
    }
    server.expect(200, delete(&gone.at("")).key(key));
    let body = json!({ "type": "pull-wake", "wake_stream": "wakes", "pattern": "a/*" });
    server.expect(201, put("__ds/subscriptions/s").value(&body).key(key));
    let seen = get(&channel.at("/query?waitFor=1")).key(key);
    server.expect(200, seen);
    channel
}

fn delete_all(server: &TestServer) -> Value {
    let request = delete(&format!("{THIRD}?rooms=delete")).key("k-root");
    server.expect(202, request).json()
}

fn is_gone(server: &TestServer) -> bool {
    server.send(get(THIRD).key("k-root")).status == 404
}

/// Checks that somebody who gets the name next finds nothing of what was there.
#[track_caller]
fn finds_nothing(server: &TestServer, before: &Channel) {
    let key = third(server);
    for path in [
        "news",
        "a/b",
        "fork",
        "wakes",
        "__registry__",
        "__ds/subscriptions/s",
    ] {
        server.send(get(path).key(&key)).refused(404, "NOT_FOUND");
    }
    let log = records(server, &key, "__audit__");
    assert_eq!(log.len(), 1, "{log:?}");
    let list = server.expect(200, get("/v1/channels").key(&key)).json();
    assert_eq!(list["channels"], json!([]));
    let found = server.expect(200, get("/v1/query").key(&key)).json();
    assert_eq!(found["events"], json!([]));
    server
        .send(get(&before.at("")).key(&key))
        .refused(404, "NOT_FOUND");
    server
        .send(get(&before.at("")).key("k-root"))
        .refused(404, "NOT_FOUND");
    let made = put("a/b").json("[]").key(&key);
    server.expect(201, made);
}

#[test]
fn a_namespace_goes_with_all_that_is_in_it() {
    let server = guarded();
    let rooms = |server: &TestServer| -> u32 {
        let metrics = server.expect(200, get("/metrics").key("k-root")).text();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("floe_streams "));
        line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
    };
    server.expect(201, put("stays").text("x").key("k-acme"));
    let first = rooms(&server);
    let refused = server.send(delete(&format!("{THIRD}?rooms=delete")).key("k-root"));
    refused.refused(404, "NOT_FOUND");
    let key = third(&server);
    let channel = furnish(&server, &key);
    server
        .send(delete(THIRD).key("k-root"))
        .refused(409, "EXISTS");
    let before = whoami(&server, &key)["namespace"].clone();
    assert_eq!(before, "third");
    let marked = delete_all(&server);
    assert!(marked["deletingSince"].is_string(), "{marked}");
    eventually("the namespace is gone", || is_gone(&server));
    server
        .send(get("/v1/whoami").key(&key))
        .refused(401, "UNAUTHORIZED");
    let acts = records(&server, "k-root", "__audit__");
    let acts: Vec<_> = acts.iter().map(|record| &record["act"]).collect();
    assert_eq!(
        acts[acts.len() - 2..],
        ["namespace.delete", "namespace.deleted"]
    );
    let server = server.restart();
    // The server's own that are not the namespace's: three drawers of the directory, the audit log of
    // operators, the list of namespaces with subscriptions.
    let left = rooms(&server);
    assert!(left <= first + 5, "{left} {first}");
    finds_nothing(&server, &channel);
    server.expect(200, get("stays?offset=-1").key("k-acme"));
}

#[test]
fn while_a_namespace_is_deleted_everything_there_is_refused_with_one_code() {
    let server = guarded();
    let key = third(&server);
    let channel = furnish(&server, &key);
    let token = sign(&server, &key, &json!({ "user": "ann", "rights": ["read"] }));
    let token = token["token"].as_str().unwrap().to_owned();
    let ticket = server.expect(201, post("/v1/tickets").key(&key)).json();
    let ticket = ticket["ticket"].as_str().unwrap().to_owned();
    let bearer = |request: Request| request.field("Authorization", format!("Bearer {token}"));
    let asked = json!({ "rights": ["read"], "author": "tess" });
    let by_channel = post(&channel.at("/tokens")).value(&asked).key(&key);
    let by_channel = server.expect(201, by_channel).json()["token"].clone();
    let by_channel = by_channel.as_str().unwrap().to_owned();
    // The view cannot forget anything for the time being, so the deletion does not end.
    let stopped = Stopped::new(&server);
    delete_all(&server);
    let named = |target: &str| get(&format!("/n/third{target}"));
    let of_third = json!({ "namespace": "third", "name": "x", "rights": ["read"] });
    let check = |server: &TestServer| {
        let refused = [
            get("a/b?offset=-1").key(&key),
            put("new").json("[]").key(&key),
            get("/v1/whoami").key(&key),
            get("/v1/channels").key(&key),
            get("/v1/query").key(&key),
            get("/v1/limits").key(&key),
            post("/v1/keys")
                .value(&json!({ "rights": ["read"] }))
                .key(&key),
            post("/v1/tickets").key(&key),
            get("__ds/subscriptions/s").key(&key),
            upgrade().key(&key),
            bearer(get("a/b?offset=-1")),
            named("/v1/stream/a/b?offset=-1").key("k-root"),
            named("/v1/whoami").key("k-root"),
            post("/v1/keys").value(&of_third).key("k-root"),
            post("/v1/namespaces")
                .value(&json!({ "name": "third" }))
                .key("k-root"),
            patch(THIRD).value(&json!({ "quotas": {} })).key("k-root"),
            post(&format!("{THIRD}/rotate-secret")).key("k-root"),
            delete(THIRD).key("k-root"),
        ];
        for request in refused {
            server
                .send(request.clone())
                .refused(410, "NAMESPACE_DELETING");
        }
        // Nobody who does not belong there learns of it.
        for (request, code) in [
            (named("/v1/stream/a/b").key("k-acme"), 403),
            (named("/v1/stream/a/b"), 401),
        ] {
            assert_eq!(server.send(request).status, code);
        }
        let shown = server.expect(200, get(THIRD).key("k-root")).json();
        assert!(shown["deletingSince"].is_string());
    };
    check(&server);
    let with_ticket = get(&format!("a/b?offset=-1&ticket={ticket}"));
    server.send(with_ticket).refused(410, "NAMESPACE_DELETING");
    // To ask again is no mistake.
    delete_all(&server);
    // A crash in the middle is no end of it, and no way back.
    let crashed = server.crashed();
    eventually("the namespace is gone", || is_gone(&crashed));
    let by_token = crashed.send(get(&channel.at("/events")).token(&by_channel));
    by_token.refused(401, "UNAUTHORIZED");
    finds_nothing(&crashed, &channel);
    stopped.go_on();
    eventually("the namespace is gone", || is_gone(&server));
    finds_nothing(&server, &channel);
}

#[test]
fn those_who_listen_there_are_told_and_end() {
    let server = guarded();
    let key = third(&server);
    let channel = furnish(&server, &key);
    let listen = |by: &str| {
        let (mut socket, _) = Client::greet(&server, &upgrade().key(by));
        assert_eq!(socket.frame()["type"], "welcome");
        socket
    };
    let mut member = listen(&key);
    member
        .ask(json!({ "type": "join", "room": "stream/a/b", "presence": "member", "user": "ann" }));
    // An operator's connection is of no namespace, and stays without the room.
    let mut operator = listen("k-root");
    let room = format!("channel/{}", channel.id);
    operator.ask(json!({ "type": "join", "room": room }));
    let mut poll = server.connect();
    let tail = server.expect(200, get("a/b?offset=-1").key(&key));
    let target = format!("a/b?offset={}&live=long-poll", tail.next());
    poll.write(get(&target).key(&key).bytes());
    let mut events = server
        .connect()
        .follow(&get("a/b?offset=now&live=sse").key(&key));
    events.step().unwrap();
    delete_all(&server);
    let (frames, close) = member.rest();
    assert_eq!(frames.last().unwrap()["code"], "NAMESPACE_DELETING");
    let (code, _) = close.expect("a close frame");
    assert!((4500..5000).contains(&code), "{code}");
    let told = operator.wait_for(|frame| frame["type"] == "closed");
    assert_eq!(told["code"], "NAMESPACE_DELETING");
    poll.answer().refused(410, "NAMESPACE_DELETING");
    while events.step().is_some() {}
    eventually("the namespace is gone", || is_gone(&server));
    operator.ask(json!({ "type": "ping" }));
}

#[test]
fn an_empty_namespace_takes_its_subscriptions_along() {
    let server = guarded();
    let key = third(&server);
    let body = json!({ "type": "pull-wake", "wake_stream": "wakes", "pattern": "a/*" });
    server.expect(201, put("__ds/subscriptions/s").value(&body).key(&key));
    server.expect(204, delete(THIRD).key("k-root"));
    let check = |server: &TestServer| {
        let key = third(server);
        let refused = server.send(get("__ds/subscriptions/s").key(&key));
        refused.refused(404, "NOT_FOUND");
        server.expect(204, delete(THIRD).key("k-root"));
    };
    check(&server);
    check(&server.restart());
}

#[test]
fn many_rooms_go_while_others_are_served() {
    let server = guarded();
    let key = third(&server);
    let mut connection = server.connect();
    for number in 0..1_000 {
        let made = put(&format!("r/{number}")).text("x").key(&key);
        connection.ask(&made).expect(201);
    }
    delete_all(&server);
    let mut other = server.connect();
    let mut number = 0;
    eventually("the namespace is gone", || {
        number += 1;
        let made = put(&format!("o/{number}")).text("x").key("k-acme");
        other.ask(&made).expect(201);
        is_gone(&server)
    });
    let names = records(&server, "k-acme", "__registry__");
    assert_eq!(names.len(), number);
}
