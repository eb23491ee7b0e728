//! What addresses, users, connections, namespaces and rooms may have and do, over every transport.

use std::time::{Duration, Instant};

use floe_core::rate::Rate;
use floe_server::{CountKind, ProxySettings, Quotas, RateKind, Scope, ScopeQuotas, TrustedProxies};
use floe_surfaces::ws::Opcode;
use serde_json::{Value, json};

use crate::harness::{
    Connection, Request, Response, TestServer, delete, eventually, get, post, put,
};
use crate::http2;
use crate::websocket::client::{Client, Heard};

const KEYS: &str = "acme:admin:k1 acme:admin:k2 umbra:admin:k3 *:admin:root";

/// A rate that comes back in a second, with so much at once.
fn slow(kind: RateKind, burst: u64) -> ScopeQuotas {
    ScopeQuotas::NONE.rate(kind, Rate::new(1, burst))
}

/// A server where a stream `log` is in two namespaces, and a stream `other` in one.
fn limited(set: impl FnOnce(&mut Quotas)) -> TestServer {
    let server = TestServer::with(|settings| {
        settings.api_keys = KEYS.into();
        settings.proxies = ProxySettings {
            trusted: TrustedProxies::parse("127.0.0.1").unwrap(),
            protocol: false,
        };
    });
    for (name, key) in [("log", "k1"), ("other", "k1"), ("log", "k3")] {
        server.expect(201, put(name).text("x").key(key));
    }
    limit(&server, set);
    server
}

/// Sets quotas while the server runs, and waits until they hold.
fn limit(server: &TestServer, set: impl FnOnce(&mut Quotas)) {
    server
        .reload(|settings| {
            settings.quotas = Quotas::default();
            set(&mut settings.quotas);
        })
        .unwrap();
    // It is taken over between two turns, and this takes one.
    server.expect(200, get("/healthz"));
    server.expect(200, get("/healthz"));
}

/// Asks the same until it is refused; returns how often it was answered, and the refusal.
#[track_caller]
fn until_refused(mut ask: impl FnMut() -> Response) -> (u64, Response) {
    for asked in 0..500 {
        let answer = ask();
        if answer.status == 429 {
            return (asked, answer);
        }
        assert!(answer.status < 300, "{answer:?}");
    }
    panic!("nothing was refused");
}

fn read(name: &str, key: &str, from: &str) -> Request {
    get(name).key(key).field("X-Forwarded-For", from)
}

fn seconds(refused: &Response) -> u64 {
    refused.header("retry-after").unwrap().parse().unwrap()
}

#[test]
fn requests_are_limited_in_each_scope_and_nobody_else_is() {
    for scope in Scope::ALL {
        let server = limited(|quotas| *quotas.scope_mut(scope) = slow(RateKind::Requests, 5));
        let mut connection = server.connect();
        let (answered, refused) = until_refused(|| connection.ask(&read("log", "k1", "192.0.2.1")));
        assert!(answered >= 5, "{scope:?}: {answered}");
        let refused = refused.refused(429, "RATE_LIMITED");
        assert_eq!(seconds(&refused), 1);
        let name = scope.as_str();
        let policy = format!("\"{name}-requests\";q=5;w=5");
        assert_eq!(refused.header("ratelimit-policy"), Some(&*policy));
        let state = format!("\"{name}-requests\";r=0;t=5");
        assert_eq!(refused.header("ratelimit"), Some(&*state));
        assert!(refused.text().contains(name), "{refused:?}");
        // The same in all but the one thing.
        let mut other = server.connect();
        let allowed = match scope {
            Scope::Ip => connection.ask(&read("log", "k1", "192.0.2.2")),
            Scope::User => connection.ask(&read("log", "k2", "192.0.2.1")),
            Scope::Connection => other.ask(&read("log", "k1", "192.0.2.1")),
            Scope::Namespace => connection.ask(&read("log", "k3", "192.0.2.1")),
            Scope::Room => connection.ask(&read("other", "k1", "192.0.2.1")),
        };
        let allowed = allowed.expect(200);
        let state = format!("\"{name}-requests\";r=4;t=1");
        assert_eq!(allowed.header("ratelimit"), Some(&*state), "{scope:?}");
        // Whoever watches is answered all the same, and so is everyone in a moment.
        connection.ask(&get("/healthz")).expect(200);
        eventually("there is some left again", || {
            connection.ask(&read("log", "k1", "192.0.2.1")).status == 200
        });
        let metric = format!("floe_limited_total{{scope=\"{name}\",kind=\"requests\"}}");
        let metrics = server.expect(200, get("/metrics").key("root")).text();
        assert!(metrics.contains(&metric), "{metrics}");
    }
}

#[test]
fn where_nothing_is_limited_nothing_is_told() {
    let server = limited(|_| {});
    let mut connection = server.connect();
    for _ in 0..200 {
        let answer = connection.ask(&read("log", "k1", "192.0.2.1")).expect(200);
        assert_eq!(answer.header("ratelimit"), None);
    }
}

#[test]
fn who_is_not_let_in_is_limited_by_address_all_the_same() {
    let server = limited(|quotas| quotas.ip = slow(RateKind::Requests, 5));
    let mut connection = server.connect();
    let guess = read("log", "wrong", "192.0.2.1");
    let refused = (0..500).find(|_| connection.ask(&guess).status == 429);
    assert!(refused.is_some_and(|asked| asked >= 5));
}

#[test]
fn appended_bytes_are_limited_and_what_is_refused_is_not_there() {
    for scope in [
        Scope::User,
        Scope::Namespace,
        Scope::Room,
        Scope::Connection,
    ] {
        let server =
            limited(|quotas| *quotas.scope_mut(scope) = slow(RateKind::AppendBytes, 1_000));
        let mut connection = server.connect();
        let append = |text: &str| post("log").text(text).key("k1");
        connection.ask(&append(&"a".repeat(900))).expect(204);
        let refused = connection
            .ask(&append(&"b".repeat(900)))
            .refused(429, "RATE_LIMITED");
        assert!((700..=900).contains(&seconds(&refused)), "{refused:?}");
        connection
            .ask(&append(&"c".repeat(1_001)))
            .refused(413, "BODY_TOO_LARGE");
        // What fits goes on, and reads do.
        connection.ask(&append("d")).expect(204);
        let all = connection.ask(&get("log?offset=-1").key("k1")).expect(200);
        assert_eq!(all.text(), format!("x{}d", "a".repeat(900)), "{scope:?}");
    }
}

#[test]
fn a_channel_is_a_room_like_any_other() {
    let server = limited(|_| {});
    let body = json!({ "name": "room" });
    let made = server.expect(201, post("/v1/channels").value(&body).key("k1"));
    let id = made.json()["metadata"]["channelId"]
        .as_str()
        .unwrap()
        .to_owned();
    limit(&server, |quotas| {
        quotas.room = slow(RateKind::AppendBytes, 1_000);
    });
    let path = format!("/v1/channels/{id}/events");
    let say = |content: &str| {
        let body = json!({ "authorId": "ann", "content": content });
        server.send(post(&path).value(&body).key("k1"))
    };
    say(&"a".repeat(900)).expect(201);
    say(&"b".repeat(900)).refused(429, "RATE_LIMITED");
    let events = server.expect(200, get(&path).key("k1")).json();
    assert_eq!(events["events"].as_array().unwrap().len(), 1);
}

#[test]
fn readers_are_counted_for_their_user_and_namespace() {
    for scope in [Scope::User, Scope::Namespace] {
        let server = limited(|quotas| {
            *quotas.scope_mut(scope) = ScopeQuotas::NONE.most(CountKind::Readers, 2);
        });
        let poll = get("log?offset=now&live=long-poll").key("k1");
        let mut polls: Vec<Connection> = (0..2).map(|_| server.connect()).collect();
        for connection in &mut polls {
            connection.write(poll.bytes());
        }
        let parked = || {
            let metrics = server.expect(200, get("/metrics").key("root")).text();
            metrics.contains("floe_live_readers 2\n")
        };
        eventually("both wait", parked);
        let refused = server.send(poll.clone()).refused(429, "LIMIT_REACHED");
        assert!(refused.text().contains("2 readers"), "{refused:?}");
        let mut live = Client::with_key(&server, "k1");
        live.refused(
            json!({"type": "join", "room": "stream/log"}),
            "LIMIT_REACHED",
        );
        let mut stranger = Client::with_key(&server, "k3");
        stranger.join("stream/log", json!({}));
        server.expect(204, post("log").text("more").key("k1"));
        for connection in &mut polls {
            connection.answer().expect(200);
        }
        live.join("stream/log", json!({}));
        live.join("stream/other", json!({}));
        live.refused(
            json!({"type": "join", "room": "stream/__registry__"}),
            "LIMIT_REACHED",
        );
        let left = live.ask(json!({"type": "leave", "room": "stream/other"}));
        assert_eq!(left["type"], "left");
        live.join("stream/other", json!({}));
    }
}

#[test]
fn readers_begin_no_faster_than_they_may() {
    let server = limited(|quotas| quotas.user = slow(RateKind::Joins, 3));
    let sse = get("log?offset=-1&live=sse").key("k1");
    let mut streams = Vec::new();
    let refused = loop {
        let mut connection = server.connect();
        connection.write(sse.bytes());
        let head = connection.head();
        if head.status != 200 {
            assert_eq!(head.status, 429);
            break head;
        }
        streams.push(connection);
        assert!(streams.len() < 100);
    };
    assert!(streams.len() >= 3);
    assert_eq!(refused.header("retry-after"), Some("1"));
}

#[test]
fn connections_are_counted_and_refused_before_any_work() {
    // Without a trusted proxy, whose clients are many.
    let server = TestServer::with(|settings| {
        settings.quotas.ip = ScopeQuotas::NONE.most(CountKind::Connections, 3);
    });
    let mut open: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut open {
        connection.ask(&get("/healthz")).expect(200);
    }
    let mut beyond = server.connect();
    beyond.answer().refused(429, "LIMIT_REACHED");
    assert!(beyond.is_closed());
    open.pop();
    eventually("there is room again", || {
        server.connect().ask(&get("/healthz")).status == 200
    });
}

#[test]
fn connections_of_a_user_and_a_namespace_are_counted() {
    for (scope, other) in [(Scope::User, "k2"), (Scope::Namespace, "k3")] {
        let server = limited(|quotas| {
            *quotas.scope_mut(scope) = ScopeQuotas::NONE.most(CountKind::Connections, 2);
        });
        let mut open: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
        open[0].ask(&read("log", "k1", "192.0.2.1")).expect(200);
        open[1].ask(&read("log", "k1", "192.0.2.2")).expect(200);
        open[2]
            .ask(&read("log", "k1", "192.0.2.1"))
            .refused(429, "LIMIT_REACHED");
        open[2].ask(&read("log", other, "192.0.2.1")).expect(200);
        open.remove(0);
        eventually("there is room again", || {
            open[1].ask(&read("log", "k1", "192.0.2.1")).status == 200
        });
    }
}

#[test]
fn connections_come_no_faster_than_they_may() {
    let server = TestServer::with(|settings| {
        settings.quotas.ip = slow(RateKind::Connects, 5);
    });
    let refused = (0..500).find_map(|_| {
        let answer = server.send(get("/healthz"));
        (answer.status == 429).then_some(answer)
    });
    refused.unwrap().refused(429, "RATE_LIMITED");
}

#[test]
fn http2_has_the_same_limits() {
    let server = limited(|quotas| {
        quotas.user = slow(RateKind::Requests, 5).rate(RateKind::AppendBytes, Rate::new(1, 100));
        quotas.namespace = ScopeQuotas::NONE.rate(RateKind::AppendBytes, Rate::new(1, 150));
    });
    http2::with_client(&server, |mut client| async move {
        let append = |key: &str| {
            let request = http2::to("POST", "log").header("content-type", "text/plain");
            request.header("authorization", format!("ApiKey {key}"))
        };
        let appended = client.ask(append("k1"), &"x".repeat(90)).await;
        assert_eq!(appended.status(), 204);
        assert!(appended.headers().contains_key("ratelimit"));
        for (key, scope) in [
            ("k1", "user-append_bytes"),
            ("k2", "namespace-append_bytes"),
        ] {
            let refused = client.ask(append(key), &"x".repeat(90)).await;
            assert_eq!(refused.status(), 429);
            assert_eq!(http2::code(&refused), "RATE_LIMITED");
            let policy = refused.headers()["ratelimit-policy"].to_str().unwrap();
            assert!(policy.contains(scope), "{policy}");
            let wait: u64 = refused.headers()["retry-after"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert!(wait > 10, "{wait}");
        }
        let mut answered = 0;
        loop {
            let read = http2::to("GET", "log").header("authorization", "ApiKey k1");
            let answer = client.ask(read, "").await;
            if answer.status() == 429 {
                break;
            }
            answered += 1;
            assert!(answered < 500);
        }
    });
}

#[test]
fn a_socket_that_goes_too_fast_is_told_so_and_goes_on() {
    for scope in [Scope::Connection, Scope::Ip, Scope::User, Scope::Namespace] {
        let server = limited(|quotas| *quotas.scope_mut(scope) = slow(RateKind::Frames, 5));
        let mut client = Client::with_key(&server, "k1");
        let refused = (0..500).find_map(|_| {
            let answer = client.ask(json!({"type": "ping"}));
            (answer["type"] == "error").then_some(answer)
        });
        let refused = refused.unwrap();
        assert_eq!(
            (&refused["code"], &refused["retry"]),
            (&json!("RATE_LIMITED"), &json!("later"))
        );
        let retry_after_ms = refused["retryAfterMs"].as_u64().unwrap();
        assert!((1..=1_000).contains(&retry_after_ms), "{refused}");
        // It is not read until there is something left, so this one succeeds.
        let started = Instant::now();
        assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
        assert!(started.elapsed() >= Duration::from_millis(retry_after_ms.min(100) / 2));
    }
}

#[test]
fn what_a_socket_appends_is_limited_like_a_request() {
    let server = limited(|quotas| {
        quotas.room = slow(RateKind::AppendBytes, 1_000);
        quotas.user = ScopeQuotas::NONE.rate(RateKind::Joins, Rate::new(1, 1));
    });
    let mut client = Client::with_key(&server, "k1");
    let append = |text: &str| json!({"type": "append", "room": "stream/log", "content": text});
    assert_eq!(client.ask(append(&"a".repeat(900)))["type"], "ack");
    let refused = client.refused(append(&"b".repeat(900)), "RATE_LIMITED");
    assert!(
        refused["retryAfterMs"].as_u64().unwrap() > 100_000,
        "{refused}"
    );
    client.refused(append(&"c".repeat(1_001)), "BODY_TOO_LARGE");
    // The room is empty for requests, too.
    server
        .send(post("log").text(&"d".repeat(900)).key("k1"))
        .refused(429, "RATE_LIMITED");
    assert_eq!(client.ask(append("e"))["type"], "ack");
    let all = server.expect(200, get("log?offset=-1").key("k1")).text();
    assert_eq!(all, format!("x{}e", "a".repeat(900)));
    client.join("stream/other", json!({}));
    let join = json!({"type": "join", "room": "stream/log"});
    let answer = client.ask(join);
    if answer["type"] == "error" {
        assert_eq!(answer["code"], "RATE_LIMITED", "{answer}");
        assert!(answer["retryAfterMs"].as_u64().unwrap() <= 1_000);
    }
}

#[test]
fn a_socket_that_never_learns_is_closed() {
    let server = limited(|quotas| {
        quotas.connection = ScopeQuotas::NONE.rate(RateKind::Frames, Rate::new(10, 5));
        quotas.socket_refusals_max = 3;
    });
    let mut client = Client::with_key(&server, "k1");
    let frame = client.written(&json!({"type": "ping"}));
    let mut goodbye = Value::Null;
    let mut refused = 0;
    assert!(client.try_write(&frame.repeat(200)));
    let close = loop {
        match client.hear() {
            Heard::Frame(frame) if frame["type"] == "goodbye" => goodbye = frame,
            Heard::Frame(frame) if frame["type"] == "error" => refused += 1,
            Heard::Frame(frame) => assert_eq!(frame["type"], "pong"),
            Heard::Ping(payload) => client.send(Opcode::Pong, &payload),
            Heard::Pong(_) => {}
            Heard::Close(close) => break close,
            Heard::End => panic!("no goodbye"),
        }
    };
    assert_eq!(goodbye["code"], "RATE_LIMITED");
    assert_eq!(close.unwrap().0, floe_proto::Code::RateLimited.close_code());
    assert_eq!(refused, 4);
}

#[test]
fn a_flood_of_one_is_nothing_to_another() {
    let server = limited(|quotas| {
        quotas.ip = ScopeQuotas::NONE.rate(RateKind::Requests, Rate::new(20, 50));
    });
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let mut connection = server.connect();
            let mut refused = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let answer = connection.ask(&read("log", "k1", "192.0.2.1"));
                refused += u64::from(answer.status == 429);
            }
            refused
        });
        let mut connection = server.connect();
        let mut slowest = Duration::ZERO;
        for _ in 0..40 {
            let started = Instant::now();
            let append = post("log").text("y").key("k2");
            connection
                .ask(&append.field("X-Forwarded-For", "192.0.2.2"))
                .expect(204);
            slowest = slowest.max(started.elapsed());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(flood.join().unwrap() > 0);
        println!("the slowest of 40 appends beside a flood took {slowest:?}");
    });
}

#[test]
fn a_namespace_holds_as_many_rooms_as_it_may() {
    let server = limited(|quotas| {
        quotas.namespace = ScopeQuotas::NONE.most(CountKind::Rooms, 3);
        let more = ScopeQuotas::NONE.most(CountKind::Rooms, 2);
        quotas.namespaces.insert("umbra".parse().unwrap(), more);
    });
    let usage = |key: &str| counts(&server, key, "rooms");
    eventually("all rooms are counted", || {
        usage("k1")["counting"].is_null()
    });
    assert_eq!(
        (&usage("k1")["used"], &usage("k1")["max"]),
        (&json!(2), &json!(3))
    );
    let make = |name: &str, key: &str| server.send(put(name).text("x").key(key));
    make("third", "k1").expect(201);
    let refused = make("fourth", "k2").refused(507, "QUOTA_EXCEEDED");
    assert!(seconds(&refused) > 1);
    let channel = post("/v1/channels").value(&json!({ "name": "room" }));
    server
        .send(channel.clone().key("k1"))
        .refused(507, "QUOTA_EXCEEDED");
    server
        .send(get("fourth").key("k1"))
        .refused(404, "NOT_FOUND");
    // The same once more is no new room.
    make("third", "k1").expect(200);
    make("second", "k3").expect(201);
    make("third", "k3").refused(507, "QUOTA_EXCEEDED");
    server.expect(204, post("log").text("more").key("k1"));
    server.expect(204, delete("third").key("k1"));
    server.expect(201, channel.key("k1"));
    assert_eq!(usage("k1")["used"], 3);
    // It is counted again after a start.
    let server = server.restart_with(|settings| {
        settings.quotas.namespace = ScopeQuotas::NONE.most(CountKind::Rooms, 3);
    });
    let usage = || counts(&server, "k1", "rooms");
    eventually("all rooms are counted", || usage()["counting"].is_null());
    assert_eq!(usage()["used"], 3);
    server
        .send(put("fourth").text("x").key("k1"))
        .refused(507, "QUOTA_EXCEEDED");
}

/// Returns a count of the namespace of a key.
#[track_caller]
fn counts(server: &TestServer, key: &str, kind: &str) -> Value {
    let told = server.expect(200, get("/v1/limits").key(key)).json();
    let namespace = told["namespace"].as_str().unwrap();
    let all = told["namespaces"][namespace].as_array().unwrap();
    let found = all.iter().find(|row| row["kind"] == kind);
    found
        .unwrap_or_else(|| panic!("no {kind} in {told}"))
        .clone()
}

#[test]
fn a_namespace_stores_as_much_as_it_may() {
    let set = |quotas: &mut Quotas| {
        quotas.namespace = ScopeQuotas::NONE.most(CountKind::StoredBytes, 2_000);
    };
    let server = limited(set);
    let append = |name: &str, bytes: usize| post(name).text(&"y".repeat(bytes)).key("k1");
    server.expect(204, append("log", 1_500));
    server.expect(204, append("other", 400));
    server
        .send(append("log", 400))
        .refused(507, "QUOTA_EXCEEDED");
    server
        .send(put("new").text(&"y".repeat(400)).key("k1"))
        .refused(507, "QUOTA_EXCEEDED");
    let mut client = Client::with_key(&server, "k1");
    let over = json!({"type": "append", "room": "stream/log", "content": "y".repeat(400)});
    let refused = client.refused(over.clone(), "QUOTA_EXCEEDED");
    assert!(refused["retryAfterMs"].as_u64().unwrap() > 1_000);
    // Another namespace has its own, and reads go on.
    server.expect(204, post("log").text(&"y".repeat(1_500)).key("k3"));
    let all = server.expect(200, get("log?offset=-1").key("k1"));
    assert_eq!(all.body.len(), 1_501);
    assert_eq!(counts(&server, "k1", "stored_bytes")["used"], 1_902);
    // The same after a start, of JSON too, whose bytes only the log knows.
    server.expect(204, delete("other").key("k1"));
    server.expect(201, put("json").json(r#"["a","b"]"#).key("k1"));
    let used = counts(&server, "k1", "stored_bytes")["used"]
        .as_u64()
        .unwrap();
    assert!((1_502..1_520).contains(&used), "{used}");
    let mut server = server.restart_with(|settings| set(&mut settings.quotas));
    for _ in 0..2 {
        let counted = || counts(&server, "k1", "stored_bytes");
        eventually("all is counted", || counted()["counting"].is_null());
        assert_eq!(counted()["used"], used);
        server = server.restart_with(|settings| set(&mut settings.quotas));
    }
    server
        .send(append("log", 600))
        .refused(507, "QUOTA_EXCEEDED");
    server.expect(204, delete("log").key("k1"));
    server.expect(201, put("log").text(&"y".repeat(600)).key("k1"));
}

#[test]
fn retention_and_lifetimes_give_space_back() {
    let server = limited(|_| {});
    let channel = json!({ "name": "room", "retention": { "maxBytes": 2_000 } });
    let made = server.expect(201, post("/v1/channels").value(&channel).key("k1"));
    let id = made.json()["metadata"]["channelId"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/channels/{id}/events");
    let say = |content: &str| {
        let body = json!({ "authorId": "ann", "content": content });
        server.send(post(&path).value(&body).key("k1"))
    };
    for _ in 0..5 {
        say(&"a".repeat(1_000)).expect(201);
    }
    server.expect(
        201,
        put("short")
            .text(&"x".repeat(3_000))
            .field("Stream-TTL", 1)
            .key("k1"),
    );
    limit(&server, |quotas| {
        quotas.namespace = ScopeQuotas::NONE.most(CountKind::StoredBytes, 100_000);
    });
    let used = || {
        counts(&server, "k1", "stored_bytes")["used"]
            .as_u64()
            .unwrap()
    };
    eventually("all is counted", || {
        counts(&server, "k1", "stored_bytes")["counting"].is_null()
    });
    // To ask for it would keep it alive.
    eventually("the stream ends", || used() < 8_000);
    eventually("retention drops the oldest", || {
        say(&"b".repeat(10)).expect(201);
        std::thread::sleep(Duration::from_millis(100));
        used() < 4_500
    });
}

#[test]
fn a_changed_setting_takes_effect_while_connections_stay() {
    let server = limited(|_| {});
    let mut connection = server.connect();
    let mut client = Client::with_key(&server, "k1");
    for _ in 0..50 {
        connection.ask(&read("log", "k1", "192.0.2.1")).expect(200);
    }
    limit(&server, |quotas| {
        quotas.user = slow(RateKind::Requests, 5).rate(RateKind::Frames, Rate::new(1, 5));
    });
    let (answered, _) = until_refused(|| connection.ask(&read("log", "k1", "192.0.2.1")));
    assert!((5..50).contains(&answered), "{answered}");
    let refused = (0..500).find(|_| client.ask(json!({"type": "ping"}))["type"] == "error");
    assert!(refused.is_some());
    limit(&server, |_| {});
    for _ in 0..50 {
        connection.ask(&read("log", "k1", "192.0.2.1")).expect(200);
    }
}

#[test]
fn callers_learn_what_applies_to_them_and_no_more() {
    let server = limited(|quotas| {
        quotas.ip = ScopeQuotas::NONE.most(CountKind::Connections, 100);
        quotas.user = ScopeQuotas::NONE.rate(RateKind::Requests, Rate::new(10, 100));
        quotas.namespace = ScopeQuotas::NONE.most(CountKind::Readers, 7);
    });
    let told = |request: Request| server.expect(200, request).json();
    let anyone = told(get("/v1/limits"));
    assert_eq!(anyone["namespace"], "default");
    assert!(anyone.get("namespaces").is_none() && anyone.get("bounds").is_none());
    let own = told(get("/v1/limits").key("k1"));
    let user = json!({
        "scope": "user", "kind": "requests", "perSecond": 10, "burst": 100, "remaining": 100,
        "resetMs": 0,
    });
    assert!(own["limits"].as_array().unwrap().contains(&user), "{own}");
    let readers = json!({
        "scope": "namespace", "kind": "readers", "max": 7, "used": 0, "remaining": 7,
    });
    assert_eq!(own["namespaces"], json!({ "acme": [readers] }));
    assert!(own.get("bounds").is_none());
    let all = told(get("/v1/limits").key("root"));
    assert_eq!(all["bounds"]["http.connections_max"], 60_000);
    let names: Vec<_> = all["namespaces"].as_object().unwrap().keys().collect();
    assert!(names.iter().any(|name| *name == "acme"), "{names:?}");
    let one = told(get("/n/umbra/v1/limits").key("root"));
    assert_eq!(one["namespace"], "umbra");
    assert!(one["namespaces"].get("acme").is_none());
    server
        .send(get("/n/umbra/v1/limits").key("k1"))
        .refused(403, "FORBIDDEN");
    server
        .send(post("/v1/limits").key("k1"))
        .refused(405, "METHOD_NOT_ALLOWED");
}

#[test]
fn a_flood_of_addresses_is_forgotten() {
    let server = limited(|quotas| {
        quotas.ip = ScopeQuotas::NONE.rate(RateKind::Requests, Rate::new(1, 5));
        quotas.keys_max = 100;
    });
    let mut connection = server.connect();
    let (_, refused) = until_refused(|| connection.ask(&read("log", "k1", "192.0.2.1")));
    refused.refused(429, "RATE_LIMITED");
    for address in 0..1_000 {
        let from = format!("10.0.{}.{}", address / 250, address % 250);
        connection.ask(&read("log", "k1", &from)).expect(200);
    }
    let metrics = server.expect(200, get("/metrics").key("root")).text();
    let keys = metrics.lines().find_map(|line| {
        let count = line.strip_prefix("floe_limit_keys{scope=\"ip\"} ")?;
        count.parse::<u64>().ok()
    });
    assert!(keys.unwrap() <= 100, "{keys:?}");
}

#[test]
fn requests_about_subscriptions_count_for_their_namespace() {
    let server = limited(|_| {});
    let root = "/v1/stream/__ds/subscriptions/s";
    let wake = json!({ "type": "pull-wake", "pattern": "jobs", "wake_stream": "wakes" });
    for key in ["k1", "k3"] {
        let wakes = put("wakes").content_type("application/json").key(key);
        server.expect(201, wakes);
        server.expect(201, put(root).key(key).value(&wake));
        server.expect(201, put("jobs").text("work").key(key));
        server.expect(204, post("jobs").text("more").key(key));
    }
    let claim = || {
        post(&format!("{root}/claim"))
            .key("k1")
            .value(&json!({ "worker": "w" }))
    };
    let mut held = Value::Null;
    eventually("there is work to claim", || {
        let answer = server.send(claim());
        let claimed = answer.status == 200;
        if claimed {
            held = answer.json();
        }
        claimed
    });
    let shows = |token: &str| {
        let ack = json!({
            "wake_id": held["wake_id"], "generation": held["generation"], "acks": [],
        });
        post(&format!("/n/acme{root}/ack"))
            .field("Authorization", format!("Bearer {token}"))
            .value(&ack)
    };
    let token = held["token"].as_str().unwrap();
    let other = format!("ds_1_{}_{}", "0".repeat(32), "1".repeat(32));
    server.expect(200, shows(token));

    limit(&server, |quotas| {
        quotas.namespace = slow(RateKind::Requests, 5);
    });
    let guesses = (0..20).map(|_| server.send(shows(&other)));
    for guess in guesses {
        guess.refused(401, "UNAUTHORIZED");
    }
    let describe = |key: &str| server.send(get(root).key(key));
    // Guesses have used up nothing of it.
    assert_eq!(
        describe("k1").expect(200).header("ratelimit").unwrap(),
        "\"namespace-requests\";r=4;t=1"
    );
    let (answered, refused) = until_refused(|| describe("k1"));
    assert!(answered >= 4, "{answered}");
    let refused = refused.refused(429, "RATE_LIMITED");
    assert!(
        refused
            .header("ratelimit")
            .unwrap()
            .starts_with("\"namespace-")
    );
    describe("k3").expect(200);

    // Whoever holds a wake uses up the same.
    eventually("there is some left", || {
        server.send(shows(token)).status == 200
    });
    let (_, refused) = until_refused(|| server.send(shows(token)));
    refused.refused(429, "RATE_LIMITED");
    limit(&server, |_| {});
    server.expect(200, shows(token));
}
