//! Retention: what is dropped, and what readers from before are told.

use serde_json::{Value, json};

use super::{contents, seqs};
use crate::harness::{Channel, Request, TestServer, delete, eventually, get, patch, post, put};

fn start_seq(server: &TestServer, channel: &Channel) -> u64 {
    let metadata = &server.ask(channel, "")["metadata"];
    metadata["startSeq"].as_u64().unwrap()
}

/// Requests from before what is kept, on every way of reading that begins at a number.
fn from(channel: &Channel, seq: u64) -> Vec<(&'static str, Request)> {
    let body = json!({ "channelId": channel.id, "afterSeq": seq });
    let log = json!({ "logId": channel.id, "afterSeq": seq });
    let id = &channel.id;
    let stream = channel.stream();
    vec![
        ("read", get(&channel.at(&format!("/events?afterSeq={seq}")))),
        ("poll", get(&channel.at(&format!("/poll?afterSeq={seq}")))),
        (
            "sse",
            get(&channel.at(&format!("/subscribe?afterSeq={seq}"))),
        ),
        (
            "sse again",
            get(&channel.at("/subscribe?afterSeq=9999")).field("Last-Event-ID", seq),
        ),
        ("kept read", post("/channel/read").value(&body)),
        ("kept log read", post("/log/read").value(&log)),
        (
            "kept sse",
            get(&format!("/channel/subscribe?channelId={id}&afterSeq={seq}")),
        ),
        ("stream", get(&format!("{stream}?offset={seq:016}"))),
        (
            "stream poll",
            get(&format!("{stream}?offset={seq:016}&live=long-poll")),
        ),
        (
            "stream sse",
            get(&format!("{stream}?offset={seq:016}&live=sse")),
        ),
    ]
}

#[track_caller]
fn readers_from_before_are_told(server: &TestServer, channel: &Channel, start: u64) {
    for seq in [1, start - 2] {
        for (way, request) in from(channel, seq) {
            let answer = server.send(request);
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (410, "OFFSET_EXPIRED"),
                "{way}"
            );
        }
    }
    // From the edge on, and from the beginning whatever that is, there is an answer.
    let read = server.ask(channel, &format!("/events?afterSeq={}&limit=1", start - 1));
    assert_eq!(seqs(&read), [start]);
    for target in ["/events?limit=1", "/events?afterSeq=0&limit=1"] {
        assert_eq!(seqs(&server.ask(channel, target)), [start]);
    }
    let mut events = server.subscribe(channel, start - 1);
    assert_eq!(events.message().unwrap().seq(), start);
    let read = server.expect(200, get(&channel.stream())).json();
    assert_eq!(read[0]["seq"], start);
}

#[test]
fn the_newest_events_are_kept_and_the_rest_goes() {
    let server = TestServer::start();
    let busy = server.channel();
    let body = json!({ "name": "short", "retention": { "maxEvents": 10 } });
    let channel = server.channel_with(&body);
    server.fill(&channel, 100);
    eventually("the first events go", || {
        // A server at rest looks at everything.
        server.say(&busy, "ann", "x");
        start_seq(&server, &channel) == 91
    });
    server.expect(200, delete(&busy.at("")));
    readers_from_before_are_told(&server, &channel, 91);
    let read = server.ask(&channel, "/events");
    assert_eq!(seqs(&read), (91..=100).collect::<Vec<_>>());
    let back = server.ask(&channel, "/events?order=desc");
    assert_eq!(
        (seqs(&back), &back["hasMore"]),
        ((91..=100).rev().collect(), &json!(false))
    );
    assert_eq!(server.ask(&channel, "")["metadata"]["eventCount"], 10);
    eventually("the view follows", || {
        seqs(&server.ask(&channel, "/query?limit=1000")) == (91..=100).collect::<Vec<_>>()
    });
    let found = server.ask(&channel, "/search?mode=substring&q=42");
    assert_eq!(contents(&found), [""; 0]);
    server.settle(&channel);
    for server in [server.crashed(), server.restart()] {
        readers_from_before_are_told(&server, &channel, 91);
        let found = server.ask(&channel, "/query?limit=1000&waitFor=100");
        assert_eq!(seqs(&found), (91..=100).collect::<Vec<_>>());
    }
}

#[test]
fn bytes_are_a_bound_that_is_passed_by_a_part_of_it() {
    let server = TestServer::start();
    let body = json!({ "name": "short", "retention": { "maxBytes": 20_000 } });
    let channel = server.channel_with(&body);
    let text = "x".repeat(850);
    for _ in 0..100 {
        server.say(&channel, "ann", &text);
    }
    eventually("the first events go", || start_seq(&server, &channel) >= 75);
    let start = start_seq(&server, &channel);
    let kept = server
        .expect(200, get(&channel.at("/events?limit=1000")))
        .body
        .len();
    assert!((20_000..23_500).contains(&kept), "{kept}");
    readers_from_before_are_told(&server, &channel, start);
}

#[test]
fn old_events_go_though_nobody_writes_and_somebody_reads() {
    let server = TestServer::start();
    let busy = server.channel();
    let body = json!({ "name": "short", "retention": { "maxAgeMs": 1_500 } });
    let channel = server.channel_with(&body);
    server.fill(&channel, 5);
    let _reader = server.subscribe(&channel, 5);
    assert_eq!(seqs(&server.ask(&channel, "/events")).len(), 5);
    eventually("all events go", || {
        server.say(&busy, "ann", "x");
        start_seq(&server, &channel) == 6
    });
    assert_eq!(seqs(&server.ask(&channel, "/events")), [0_u64; 0]);
    server
        .send(get(&channel.at("/events?afterSeq=1")))
        .refused(410, "OFFSET_EXPIRED");
    // The numbers go on.
    assert_eq!(server.say(&channel, "ann", "next")["seq"], 6);
    eventually("the view follows", || {
        contents(&server.ask(&channel, "/query")) == ["next"]
    });
}

#[test]
fn a_bound_set_later_drops_what_is_there_already() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 50);
    let body = json!({ "retention": { "maxEvents": 5 } });
    server.expect(200, patch(&channel.at("")).value(&body));
    eventually("the first events go", || start_seq(&server, &channel) == 46);
    // A bound taken away brings nothing back.
    server.expect(200, patch(&channel.at("")).json(r#"{"retention":{}}"#));
    server.fill(&channel, 10);
    assert_eq!(start_seq(&server, &channel), 46);
    assert_eq!(
        seqs(&server.ask(&channel, "/events")),
        (46..=60).collect::<Vec<_>>()
    );
}

#[test]
fn nothing_is_said_of_what_is_kept_no_more() {
    let server = TestServer::start();
    let body = json!({ "name": "short", "retention": { "maxEvents": 2 } });
    let channel = server.channel_with(&body);
    server.fill(&channel, 5);
    eventually("the first events go", || start_seq(&server, &channel) == 4);
    let edit = json!({ "authorId": "ann", "content": "late" });
    for request in [
        patch(&channel.at("/events/2")).value(&edit),
        put(&channel.at("/events/2/reactions/up?authorId=ann")),
        delete(&channel.at("/events/2?authorId=ann")),
    ] {
        server.send(request).refused(410, "OFFSET_EXPIRED");
    }
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 5);
    eventually("the view forgets it", || {
        server.send(get(&channel.at("/events/2?waitFor=5"))).status == 404
    });
}

#[test]
fn an_edit_of_what_is_kept_no_more_is_hidden() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "old words");
    let edit = json!({ "authorId": "ann", "content": "old words again" });
    server.expect(201, patch(&channel.at("/events/1")).value(&edit));
    server.say(&channel, "ann", "new");
    let body = json!({ "retention": { "maxEvents": 2 } });
    server.expect(200, patch(&channel.at("")).value(&body));
    eventually("the first event goes", || start_seq(&server, &channel) == 2);
    let read = server.ask(&channel, "/events");
    assert_eq!(contents(&read), ["", "new"]);
}

#[test]
fn a_follower_behind_what_is_kept_ends_and_is_told_when_it_comes_back() {
    let server = TestServer::start();
    let body = json!({ "name": "short", "retention": { "maxEvents": 5 } });
    let channel = server.channel_with(&body);
    let mut events = server.subscribe(&channel, 0);
    server.say(&channel, "ann", "first");
    let seen = events.message().unwrap().seq();
    drop(events);
    server.fill(&channel, 50);
    eventually("the first events go", || start_seq(&server, &channel) > 40);
    let again = get(&channel.at("/subscribe")).field("Last-Event-ID", seen);
    server.send(again).refused(410, "OFFSET_EXPIRED");
}

#[test]
fn the_bounds_of_retention_are_checked() {
    let server = TestServer::start();
    let channel = server.channel();
    for retention in [
        json!({ "maxEvents": 0 }),
        json!({ "maxEvents": -1 }),
        json!({ "maxEvents": 1.5 }),
        json!({ "maxEvents": "5" }),
        json!({ "maxAge": 5 }),
        json!([]),
        json!("x"),
    ] {
        let body = json!({ "retention": retention });
        server
            .send(patch(&channel.at("")).value(&body))
            .refused(400, "INVALID_REQUEST");
        let body = json!({ "name": "x", "retention": retention });
        server
            .send(post("/v1/channels").value(&body))
            .refused(400, "INVALID_REQUEST");
    }
    let list = server.expect(200, get("/v1/channels")).json();
    assert_eq!(list["channels"].as_array().map(Vec::len), Some(1));
    let metadata: Value = server.ask(&channel, "")["metadata"].clone();
    assert!(
        metadata["retention"]
            .as_object()
            .unwrap()
            .values()
            .all(Value::is_null)
    );
}
