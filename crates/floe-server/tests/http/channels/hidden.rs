//! Deleted content is shown nowhere, by no way of reading.

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, Events, TestServer, delete, eventually, get, patch, post, put};

/// What must never be seen again.
const SECRET: &str = "the secret";

/// A channel with a deleted message, an edit of it and a reaction to it, each with the secret, and
/// the marker far behind: at 1 to 3 and 40.
fn with_secret(server: &TestServer) -> Channel {
    let channel = server.channel();
    server.say(&channel, "ann", SECRET);
    let body = json!({ "authorId": "ann", "content": format!("{SECRET} edited") });
    server.expect(201, patch(&channel.at("/events/1")).value(&body));
    server.expect(
        201,
        put(&channel.at("/events/1/reactions/the%20secret?authorId=bob")),
    );
    let fill: Vec<_> = (4..40).map(|number| number.to_string()).collect();
    let fill: Vec<_> = fill.iter().map(String::as_str).collect();
    server.expect(201, channel.says_all("cy", &fill));
    server.expect(201, delete(&channel.at("/events/1?authorId=ann")));
    channel
}

/// Every way to read the channel by request and answer, whole or in windows without the marker.
fn ways(channel: &Channel) -> Vec<(&'static str, crate::harness::Request)> {
    let read = json!({ "channelId": channel.id, "limit": 5 });
    let log = json!({ "logId": channel.id, "limit": 5 });
    vec![
        ("read", get(&channel.at("/events"))),
        ("read a window", get(&channel.at("/events?limit=5"))),
        (
            "read a window after 1",
            get(&channel.at("/events?afterSeq=1&limit=3")),
        ),
        ("read before 3", get(&channel.at("/events?beforeSeq=3"))),
        (
            "read back",
            get(&channel.at("/events?order=desc&limit=1000")),
        ),
        (
            "read back a window",
            get(&channel.at("/events?order=desc&beforeSeq=4")),
        ),
        ("kept read", post("/channel/read").value(&read)),
        ("kept log read", post("/log/read").value(&log)),
        ("long-poll", get(&channel.at("/poll?afterSeq=0&limit=5"))),
        ("query", get(&channel.at("/query?waitFor=40"))),
        ("query all", get("/v1/query")),
        (
            "query text",
            get(&channel.at("/query?waitFor=40&contentContains=secret")),
        ),
        (
            "search",
            get(&channel.at("/search?mode=substring&q=secret&waitFor=40")),
        ),
        ("stream", get(&channel.stream())),
        (
            "stream from",
            get(&format!("{}?offset={:016}", channel.stream(), 0)),
        ),
        (
            "stream middle",
            get(&format!("{}?offset={:016}", channel.stream(), 1)),
        ),
        (
            "stream long-poll",
            get(&format!("{}?offset=-1&live=long-poll", channel.stream())),
        ),
    ]
}

#[test]
fn no_answer_has_deleted_content() {
    let server = TestServer::start();
    let channel = with_secret(&server);
    let check = |server: &TestServer| {
        for (way, request) in ways(&channel) {
            let text = server.expect(200, request).text();
            assert!(!text.contains("secret"), "{way}: {text}");
        }
        for seq in 1..=3 {
            let target = channel.at(&format!("/events/{seq}?waitFor=40"));
            server.send(get(&target)).refused(404, "NOT_FOUND");
        }
    };
    check(&server);
    check(&server.crashed());
    check(&server.restart());
}

#[test]
fn no_live_reader_is_shown_deleted_content_from_the_log() {
    let server = TestServer::start();
    let channel = with_secret(&server);
    for (target, stubs) in [
        (channel.at("/subscribe?afterSeq=0"), true),
        (
            format!("/channel/subscribe?channelId={}", channel.id),
            false,
        ),
        (
            format!("/log/subscribe?logId={}&afterSeq=0", channel.id),
            false,
        ),
    ] {
        let mut events = server.connect().follow(&get(&target));
        assert_eq!(events.message().unwrap().kind, "connected");
        let seen = until(&mut events, 40);
        assert!(
            !seen
                .iter()
                .any(|event| event.to_string().contains("secret")),
            "{target}"
        );
        let body = json!({ "events": seen });
        let first = if stubs { 1 } else { 4 };
        assert_eq!(seqs(&body), (first..=40).collect::<Vec<_>>(), "{target}");
    }
    let mut stream = server.follow(&channel.stream(), "-1");
    let all = super::until_tail(&mut stream);
    assert!(!json!(all).to_string().contains("secret"), "{all:?}");
    assert_eq!(
        seqs(&json!({ "events": all })),
        (1..=40).collect::<Vec<_>>()
    );
}

fn until(events: &mut Events, seq: u64) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let message = events.message().expect("the answer ended");
        assert_eq!(message.kind, "message");
        let event = message.json();
        assert_eq!(event["seq"].as_u64().unwrap(), message.seq());
        seen.push(event);
        if message.seq() == seq {
            return seen;
        }
    }
}

#[test]
fn a_stub_stands_for_each_event_that_is_hidden() {
    let server = TestServer::start();
    let channel = with_secret(&server);
    let read = server.ask(&channel, "/events?limit=4");
    let kinds: Vec<_> = events(&read)
        .iter()
        .map(|event| event["type"].clone())
        .collect();
    assert_eq!(kinds, ["message", "edit", "reaction", "message"]);
    for event in &events(&read)[..3] {
        let fields = super::fields(event);
        assert_eq!(
            fields,
            ["createdAt", "deleted", "id", "seq", "type"],
            "{event}"
        );
    }
    assert_eq!(contents(&read)[3], "4");
}

#[test]
fn who_may_see_deleted_events_gets_them_marked() {
    let server = TestServer::start();
    let channel = with_secret(&server);
    let may = server.token(&channel, &["read", "read:deleted"], "auditor");
    let read = server
        .expect(200, get(&channel.at("/events?limit=4")).token(&may))
        .json();
    assert_eq!(contents(&read), [SECRET, "the secret edited", SECRET, "4"]);
    let marks: Vec<_> = events(&read)
        .iter()
        .map(|event| event["deleted"].clone())
        .collect();
    assert_eq!(marks, [json!(true), json!(true), json!(true), Value::Null]);
    let body = json!({ "channelId": channel.id, "limit": 2 });
    let read = server
        .expect(200, post("/channel/read").token(&may).value(&body))
        .json();
    assert_eq!(contents(&read), [SECRET, "the secret edited"]);
    assert_eq!(events(&read)[0]["deleted"], true);
    let found = server.expect(
        200,
        get(&channel.at("/query?waitFor=40&limit=2")).token(&may),
    );
    assert_eq!(contents(&found.json()), ["the secret edited", "4"]);
    let found = server
        .expect(200, get(&channel.at("/events/1?waitFor=40")).token(&may))
        .json();
    assert_eq!(found["event"]["deleted"], true);
    let mut sse = server
        .connect()
        .follow(&get(&channel.at("/subscribe?afterSeq=0")).token(&may));
    sse.message().unwrap();
    assert_eq!(sse.message().unwrap().json()["content"], SECRET);
    // Without `read` the right shows nothing.
    let cannot = server.token(&channel, &["read:deleted"], "auditor");
    server
        .send(get(&channel.at("/events")).token(&cannot))
        .refused(403, "FORBIDDEN");
}

#[test]
fn a_key_shows_deleted_events_only_if_it_says_so() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "*:admin:root *:read,read-deleted:audit".into();
    });
    let created = server.expect(
        201,
        post("/v1/channels").key("root").json(r#"{"name":"x"}"#),
    );
    let channel = Channel::of(&created);
    server.expect(201, channel.says("ann", SECRET).key("root"));
    server.expect(
        201,
        delete(&channel.at("/events/1?authorId=ann")).key("root"),
    );
    for (key, expected) in [("root", ""), ("audit", SECRET)] {
        let read = server
            .expect(200, get(&channel.at("/events")).key(key))
            .json();
        assert_eq!(contents(&read)[0], expected, "{key}");
    }
}

#[test]
fn a_reader_that_waits_sees_no_content_that_was_deleted_before_its_turn() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    server.expect(201, delete(&channel.at("/events/2?authorId=ann")));
    let mut waiting = server.connect();
    waiting.write(get(&channel.at("/poll?afterSeq=4")).bytes());
    eventually("the reader waits", || {
        server.metric("floe_live_readers") == 1.0
    });
    server.say(&channel, "ann", "5");
    let polled = waiting.answer().expect(200).json();
    assert_eq!(contents(&polled), ["5"]);
    let polled = server.ask(&channel, "/poll?afterSeq=1&limit=2");
    assert_eq!(
        (seqs(&polled), contents(&polled)),
        (vec![2, 3], vec!["", "3"])
    );
}

#[test]
fn the_kept_form_pages_over_what_it_leaves_out() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 200);
    for seq in 1..=120 {
        server.expect(
            201,
            delete(&channel.at(&format!("/events/{seq}?authorId=ann"))),
        );
    }
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let body = json!({ "channelId": channel.id, "afterSeq": after, "limit": 50 });
        let read = server
            .expect(200, post("/channel/read").value(&body))
            .json();
        let part = seqs(&read);
        let has_more = read["hasMore"] == true;
        assert!(part.len() == 50 || !has_more, "{read}");
        all.extend(part);
        if !has_more {
            break;
        }
        after = *all.last().unwrap();
    }
    assert_eq!(all, (121..=320).collect::<Vec<_>>());
}

#[test]
fn more_hidden_events_than_one_answer_looks_at_hold_up_nobody() {
    let server = TestServer::with(|settings| {
        settings.limits.read_chunk_bytes_max = 4_000;
        settings.limits.sse_event_bytes_max = 400;
    });
    let channel = server.channel();
    let mut expected = Vec::new();
    server.say(&channel, "ann", SECRET);
    for _ in 0..150 {
        let body = json!({ "authorId": "ann", "content": SECRET });
        server.expect(201, patch(&channel.at("/events/1")).value(&body));
    }
    server.expect(201, delete(&channel.at("/events/1?authorId=ann")));
    for number in 0..5 {
        expected.push(server.say(&channel, "ann", &format!("{number}"))["seq"].clone());
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), 0, 0);
    loop {
        let body = json!({ "channelId": channel.id, "afterSeq": after });
        let read = server
            .expect(200, post("/channel/read").value(&body))
            .json();
        assert!(!read.to_string().contains("secret"), "{read}");
        let part = seqs(&read);
        seen.extend(
            events(&read)
                .iter()
                .filter(|event| event["type"] == "message" && event["deleted"].is_null())
                .map(|event| event["seq"].clone()),
        );
        pages += 1;
        if read["hasMore"] == false {
            break;
        }
        assert!(part.last().is_some_and(|last| *last > after), "{read}");
        after = *part.last().unwrap();
    }
    assert_eq!(seen, expected);
    assert!(pages > 3, "{pages}");
    let target = format!("/channel/subscribe?channelId={}", channel.id);
    let mut follower = server.connect().follow(&get(&target));
    assert_eq!(follower.message().unwrap().kind, "connected");
    assert_eq!(follower.message().unwrap().json()["type"], "deletion");
    for seq in &expected {
        assert_eq!(follower.message().unwrap().json()["seq"], *seq);
    }
    // It paused on the way, so that others had their turn.
    assert!(follower.heartbeats > 1, "{}", follower.heartbeats);
    let said = server.say(&channel, "ann", "last");
    assert_eq!(follower.message().unwrap().json(), said);
}
