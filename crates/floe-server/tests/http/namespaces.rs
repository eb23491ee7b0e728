//! Two namespaces with the same names in them: neither shows a trace of the other.

use serde_json::{Value, json};

use crate::harness::{
    Channel, Receiver, Request, Response, TestServer, Webhook, delete, eventually, get, head,
    offset, post, put,
};
use crate::websocket::Client;

const KEYS: &str = "acme:admin:a beta:admin:b acme:read:a-read acme:write:a-write \
    acme:read,write:a-both *:admin:root";

fn walled() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

fn keys(server: &TestServer, key: &str) -> Vec<(String, String)> {
    let read = server.expect(200, get("__registry__?offset=-1").key(key));
    let events = read.json();
    let events = events.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    events
        .map(|event| {
            let operation = &event["headers"]["operation"];
            (text(operation), text(&event["key"]))
        })
        .collect()
}

fn told(operation: &str, path: &str) -> (String, String) {
    (operation.to_owned(), path.to_owned())
}

#[test]
fn streams_of_one_name_are_two_streams() {
    let server = walled();
    for (key, text) in [("a", "ours"), ("b", "theirs")] {
        let created = server.expect(201, put("news").text(text).key(key));
        assert_eq!(
            created.header("location"),
            Some("http://floe.test/v1/stream/news")
        );
    }
    server.expect(204, post("news").text("!").key("a"));
    let check = |server: &TestServer| {
        for (key, text) in [("a", "ours!"), ("b", "theirs")] {
            let read = server.expect(200, get("news?offset=-1").key(key));
            assert_eq!(read.text(), text);
        }
        let under = get("/n/acme/v1/stream/news?offset=-1").key("root");
        assert_eq!(server.expect(200, under).text(), "ours!");
        server
            .send(get("news?offset=-1").key("root"))
            .refused(404, "NOT_FOUND");
    };
    check(&server);
    let server = server.restart();
    check(&server);
    server.expect(204, delete("news").key("b"));
    server.expect(404, head("news").key("b"));
    server.expect(200, head("news").key("a"));
    let forked = put("copy")
        .field("Stream-Forked-From", "/v1/stream/news")
        .key("a");
    server.expect(201, forked);
    for (from, status) in [
        ("/n/acme/v1/stream/news", 201),
        ("/n/beta/v1/stream/news", 404),
        ("/n/nowhere/v1/stream/news", 404),
    ] {
        let name = format!("copy{}", from.len());
        let forked = put(&name).field("Stream-Forked-From", from).key("a");
        server.expect(status, forked);
    }
    let across = put("copy")
        .field("Stream-Forked-From", "/v1/stream/news")
        .key("b");
    server.send(across).refused(404, "NOT_FOUND");
}

#[test]
fn no_name_reaches_across_the_wall() {
    let server = walled();
    server.expect(201, put("secret").text("x").key("a"));
    let full = "%00acme%00secret";
    for (key, place) in [("b", ""), ("root", ""), ("root", "/n/beta")] {
        let at = |path: &str| format!("{place}/v1/{path}");
        for request in [
            get(&at(&format!("stream/{full}"))),
            put(&at(&format!("stream/{full}"))).text("x"),
            delete(&at(&format!("stream/{full}"))),
            get(&at(&format!("access/stream/{full}"))),
            put(&at("stream/fork")).field("Stream-Forked-From", format!("/v1/stream/{full}")),
        ] {
            let target = format!("{} {}", request.method, request.target);
            assert_eq!(server.send(request.key(key)).status, 404, "{target}");
        }
        for body in [
            json!({"type": "pull-wake", "streams": ["\u{0}acme\u{0}secret"], "wake_stream": "w"}),
            json!({"type": "pull-wake", "pattern": "**", "wake_stream": "\u{0}acme\u{0}secret"}),
        ] {
            let subscribe = put(&at("stream/__ds/subscriptions/s")).value(&body);
            server
                .send(subscribe.key(key))
                .refused(400, "INVALID_REQUEST");
        }
    }
}

#[test]
fn a_namespace_that_is_not_ones_own_is_refused_whether_it_exists_or_not() {
    let server = walled();
    server.expect(201, put("news").text("x").key("b"));
    type Make = fn(&str) -> Request;
    let rows: [(&str, Make); 10] = [
        ("stream/news", |at| get(at)),
        ("stream/news", |at| put(at).text("x")),
        ("stream/news", |at| post(at).text("x")),
        ("stream/news", |at| delete(at)),
        ("stream/__registry__", |at| get(at)),
        ("stream/__ds/subscriptions/s", |at| get(at)),
        ("access/stream/news", |at| get(at)),
        ("channels", |at| get(at)),
        ("query", |at| get(at)),
        ("search?q=x", |at| get(at)),
    ];
    for (path, request) in rows {
        let ask = |namespace: &str| {
            let target = format!("/n/{namespace}/v1/{path}");
            server.send(request(&target).key("a"))
        };
        let (there, none): (Response, Response) = (ask("beta"), ask("nowhere"));
        assert_eq!((there.status, none.status), (403, 403), "{path}: {there:?}");
        assert_eq!(there.body, none.body, "{path}");
        assert!(!there.text().contains("beta"), "{path}");
        let wrong = server.send(request(&format!("/n/beta/v1/{path}")).key("wrong"));
        assert_eq!(wrong.status, 401, "{path}");
    }
}

#[test]
fn each_namespace_has_a_listing_of_its_own() {
    let server = walled();
    server
        .send(get("__registry__?offset=-1").key("a"))
        .refused(404, "NOT_FOUND");
    server.expect(201, put("x/one").text("1").key("a"));
    server.expect(201, put("x/two").text("2").key("b"));
    server.expect(204, delete("x/two").key("b"));
    let check = |server: &TestServer| {
        assert_eq!(keys(server, "a"), [told("insert", "x/one")]);
        assert_eq!(
            keys(server, "b"),
            [told("insert", "x/two"), told("delete", "x/two")]
        );
        assert_eq!(keys(server, "root"), []);
    };
    check(&server);
    let mut live = server
        .connect()
        .follow(&get("__registry__?offset=now&live=sse").key("a"));
    live.step().unwrap();
    server.expect(201, put("y").text("2").key("b"));
    server.expect(201, put("z").text("2").key("a"));
    let event = live.step().unwrap().data.unwrap();
    assert!(
        event.contains("\"z\"") && !event.contains("\"y\""),
        "{event}"
    );
    // The listing shows the whole namespace, and nobody writes it.
    server.expect(403, get("__registry__?offset=-1").key("a-write"));
    server.expect(405, put("__registry__").json("[]").key("a"));
    server.expect(405, delete("__registry__").key("a"));
    drop(live);
    let server = server.restart();
    assert_eq!(keys(&server, "a").len(), 2);
    assert_eq!(keys(&server, "b").len(), 3);
}

const ROOT: &str = "__ds/subscriptions";

fn subscribe(receiver: &Receiver) -> Request {
    let body =
        json!({ "type": "webhook", "webhook": { "url": receiver.url() }, "pattern": "jobs/*" });
    put(&format!("{ROOT}/s")).value(&body)
}

/// Answers through the callback of a webhook, by the path that it names.
fn call_back(webhook: &Value, stream: &str, at: u64) -> Request {
    let url = webhook["callback_url"].as_str().unwrap();
    let target = url.strip_prefix("http://floe.test").unwrap();
    let token = webhook["callback_token"].as_str().unwrap();
    let body = json!({
        "wake_id": webhook["wake_id"],
        "generation": webhook["generation"],
        "acks": [{ "stream": stream, "offset": offset(at) }],
        "done": true,
    });
    post(target)
        .field("Authorization", format!("Bearer {token}"))
        .value(&body)
}

#[test]
fn a_subscription_hears_of_its_own_namespace_alone() {
    let server = walled();
    let (ours, theirs) = (Receiver::start(), Receiver::start());
    server.expect(201, put("jobs/old").text("12").key("b"));
    let made = server.expect(201, subscribe(&ours).key("a")).json();
    let jwks = made["webhook"]["signing"]["jwks_url"].as_str().unwrap();
    assert_eq!(jwks, "http://floe.test/n/acme/v1/stream/__ds/jwks.json");
    let path = jwks.strip_prefix("http://floe.test").unwrap();
    let set = server.expect(200, get(path)).json();
    assert_eq!(
        set,
        server.expect(200, get("/v1/stream/__ds/jwks.json")).json()
    );
    server.expect(201, subscribe(&theirs).key("b"));
    server.expect(201, put("jobs/1").text("123").key("a"));
    let webhook = ours.next();
    assert!(theirs.is_quiet());
    let body = webhook.body.clone();
    assert_eq!(body["streams"].as_array().unwrap().len(), 1);
    assert_eq!(body["streams"][0]["path"], "jobs/1");
    assert_eq!(
        body["callback_url"],
        "http://floe.test/n/acme/v1/stream/__ds/subscriptions/s/callback"
    );
    // Its token opens nothing at the same place of another namespace.
    let mut astray = call_back(&body, "jobs/1", 3);
    astray.target = astray.target.replace("acme", "beta");
    server.send(astray).refused(401, "UNAUTHORIZED");
    Webhook::answer(webhook, 200, "{}");
    server.expect(200, call_back(&body, "jobs/1", 3));
    let view = |server: &TestServer, key: &str| {
        let view = server.expect(200, get(&format!("{ROOT}/s")).key(key));
        view.json()
    };
    eventually("it is done", || {
        view(&server, "a")["streams"][0]["acked_offset"] == offset(3)
    });
    let streams = view(&server, "b")["streams"].clone();
    assert_eq!(streams.as_array().unwrap().len(), 1);
    assert_eq!(streams[0]["path"], "jobs/old");
    // Both are there after a restart, and go on.
    let server = server.restart();
    assert_eq!(view(&server, "a")["streams"][0]["path"], "jobs/1");
    assert_eq!(view(&server, "b")["streams"][0]["path"], "jobs/old");
    server.expect(204, post("jobs/old").text("3").key("b"));
    assert_eq!(theirs.next().body["streams"][0]["path"], "jobs/old");
    assert!(ours.is_quiet());
    server.expect(204, delete(&format!("{ROOT}/s")).key("a"));
    server.expect(404, get(&format!("{ROOT}/s")).key("a"));
    server.expect(200, get(&format!("{ROOT}/s")).key("b"));
    let server = server.restart();
    server.expect(404, get(&format!("{ROOT}/s")).key("a"));
    server.expect(200, get(&format!("{ROOT}/s")).key("b"));
}

#[test]
fn a_wake_stream_is_one_of_the_subscriptions_namespace() {
    let server = walled();
    for key in ["a", "b"] {
        server.expect(201, put("wakes").json("[]").key(key));
    }
    let body = json!({ "type": "pull-wake", "pattern": "jobs/*", "wake_stream": "wakes" });
    let subscribe = put(&format!("{ROOT}/s")).value(&body).key("a");
    server.expect(201, subscribe);
    server.expect(201, put("jobs/1").text("x").key("b"));
    server.expect(201, put("jobs/2").text("xy").key("a"));
    let read = |key: &str| {
        let read = server.expect(200, get("wakes?offset=-1").key(key));
        read.json().as_array().unwrap().clone()
    };
    eventually("a wake is announced", || !read("a").is_empty());
    assert_eq!(read("a")[0]["stream"], "jobs/2");
    assert_eq!(read("b"), [] as [Value; 0]);
    // A worker claims with a key, and goes on with what it was given where it was given it.
    let claim = || post(&format!("{ROOT}/s/claim")).json(r#"{"worker":"w"}"#);
    server.expect(401, claim());
    server.expect(403, claim().key("a-read"));
    server.expect(403, claim().key("a-write"));
    server.expect(404, claim().key("b"));
    let claimed = server.expect(200, claim().key("a-both")).json();
    assert_eq!(claimed["streams"].as_array().unwrap().len(), 1);
    let ack = |place: &str| {
        let token = claimed["token"].as_str().unwrap();
        let body = json!({
            "wake_id": claimed["wake_id"], "generation": claimed["generation"],
            "acks": [{ "stream": "jobs/2", "offset": offset(2) }], "done": true,
        });
        post(&format!("{place}/v1/stream/{ROOT}/s/ack"))
            .field("Authorization", format!("Bearer {token}"))
            .value(&body)
    };
    // Nor do strangers learn whether there is a subscription.
    server.expect(401, ack(""));
    server.expect(401, ack("/n/beta"));
    server.expect(200, ack("/n/acme"));
}

#[test]
fn subscriptions_are_administered_with_the_right_to_manage() {
    let server = walled();
    let body = json!({ "type": "pull-wake", "pattern": "jobs/*", "wake_stream": "wakes" });
    let requests = [
        put(&format!("{ROOT}/s")).value(&body),
        get(&format!("{ROOT}/s")),
        post(&format!("{ROOT}/s/streams")).json(r#"{"streams":["x"]}"#),
        delete(&format!("{ROOT}/s/streams/x")),
        delete(&format!("{ROOT}/s")),
    ];
    for request in requests {
        let target = format!("{} {}", request.method, request.target);
        let status = |request: Request| server.send(request).status;
        assert_eq!(status(request.clone()), 401, "{target}");
        assert_eq!(status(request.clone().key("wrong")), 401, "{target}");
        for key in ["a-read", "a-write", "a-both"] {
            assert_eq!(status(request.clone().key(key)), 403, "{target} {key}");
        }
        assert!(status(request.key("a")) < 300, "{target}");
    }
    // Who holds a wake shows no key, and a key is no wake's token.
    server.expect(201, put(&format!("{ROOT}/s")).value(&body).key("a"));
    let held = json!({ "wake_id": "w_1", "generation": 1 });
    for action in ["ack", "release", "callback"] {
        let at = format!("/n/acme/v1/stream/{ROOT}/s/{action}");
        for request in [
            post(&at).value(&held),
            post(&at).value(&held).field("Authorization", "Bearer a"),
        ] {
            let status = server.send(request).status;
            assert!(matches!(status, 400 | 401), "{action} {status}");
        }
    }
}

#[test]
fn subscriptions_are_bounded_in_each_namespace_and_in_all() {
    let server = TestServer::with(|settings| {
        settings.api_keys = KEYS.into();
        settings.limits.subscriptions_max = 2;
        settings.limits.subscriptions_total_max = 3;
    });
    let body = json!({ "type": "pull-wake", "pattern": "jobs/*", "wake_stream": "wakes" });
    let subscribe = |id: &str, key: &str| {
        let request = put(&format!("{ROOT}/{id}")).value(&body);
        server.send(request.key(key))
    };
    subscribe("1", "a").expect(201);
    subscribe("2", "a").expect(201);
    subscribe("3", "a").refused(429, "LIMIT_REACHED");
    subscribe("1", "b").expect(201);
    subscribe("2", "b").refused(429, "LIMIT_REACHED");
    subscribe("2", "a").expect(200);
    server.expect(204, delete(&format!("{ROOT}/1")).key("a"));
    subscribe("2", "b").expect(201);
}

#[test]
fn channels_of_one_name_show_nothing_of_each_other() {
    let server = walled();
    let make = |key: &str, word: &str| {
        let made = post("/v1/channels").json(r#"{"name":"room"}"#).key(key);
        let channel = Channel::of(&server.expect(201, made));
        server.expect(201, channel.says("ann", word).key(key));
        server.expect(200, get(&channel.at("/query?waitFor=1")).key(key));
        channel
    };
    let (ours, theirs) = (make("a", "our words"), make("b", "their words"));
    for (key, own, other) in [("a", &ours, &theirs), ("b", &theirs, &ours)] {
        for target in [
            "/v1/channels".to_owned(),
            "/v1/query".to_owned(),
            "/v1/search?q=words".to_owned(),
            format!("/v1/query?waitFor=1&channel={}", own.id),
        ] {
            let text = server.send(get(&target).key(key)).text();
            assert!(!text.contains(&other.id), "{target}: {text}");
        }
        for request in [
            get(&other.at("")),
            get(&other.at("/presence")),
            get(&other.at("/events")),
            get(&other.at("/query")),
            get(&format!("/v1/access/channel/{}", other.id)),
            get(&other.stream()),
        ] {
            let target = request.target.clone();
            let there = server.send(request.clone().key(key));
            let mut none = request.key(key);
            none.target = none.target.replace(&other.id, "0123456789ab");
            let none = server.send(none);
            assert_eq!((there.status, &there.body), (404, &none.body), "{target}");
        }
    }
}

#[test]
fn live_rooms_of_one_name_share_neither_members_nor_memory_nor_events() {
    let server = walled();
    let room = "stream/news";
    let mut clients = Vec::new();
    for (key, user) in [("a", "ann"), ("b", "bob")] {
        server.expect(201, put("news").json("[]").key(key));
        let mut client = Client::with_key(&server, key);
        client.ask(json!({
            "type": "join", "room": room, "user": user, "presence": "member", "memory": "",
        }));
        clients.push((user, client));
    }
    for (user, client) in &mut clients {
        let set = json!({ "type": "memory", "room": room, "op": "set", "key": "k", "value": user });
        assert_eq!(client.ask(set)["type"], "ack");
        client.ask(json!({ "type": "append", "room": room, "data": user }));
    }
    for (user, client) in &mut clients {
        let members = client.ask(json!({ "type": "members", "room": room }));
        assert_eq!(members["count"], 1);
        assert_eq!(members["members"][0]["user"], *user);
        let memory = client.ask(json!({ "type": "memory", "room": room, "op": "list" }));
        assert_eq!(memory["set"][0]["value"], *user, "{memory}");
        let events = client.wait_for(|frame| frame["type"] == "events");
        assert_eq!(events["events"], json!([user]));
        let heard = client.so_far();
        assert!(heard.iter().all(|frame| frame["type"] != "events"));
    }
}
