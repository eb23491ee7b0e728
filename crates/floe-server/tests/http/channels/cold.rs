//! Channels whose older events have moved to the cold tier.

use serde_json::json;

use super::{contents, events, seqs, until_tail};
use crate::cold::{Store, segment_files};
use crate::harness::{Channel, TestServer, delete, eventually, get, patch, post};

const EVENTS: u64 = 300;

/// Text number `seq`, of some thousand bytes.
fn text(seq: u64) -> String {
    format!("{seq:05} {}", "x".repeat(3_000))
}

/// A channel all of whose events are cold.
fn cold_channel(server: &TestServer) -> Channel {
    let channel = server.channel();
    let keyed = channel
        .says("ann", &text(1))
        .field("Idempotency-Key", "first");
    server.expect(201, keyed);
    for seq in 2..=EVENTS {
        server.say(&channel, "ann", &text(seq));
    }
    let target = channel.at(&format!("/query?limit=1&waitFor={EVENTS}"));
    server.expect(200, get(&target));
    eventually("all segments are cold", || segment_files(server) == 0);
    channel
}

fn texts(from: u64, to: u64) -> Vec<String> {
    (from..=to).map(text).collect()
}

#[test]
fn cold_events_are_read_in_every_way() {
    let store = Store::new();
    let server = store.serve();
    let channel = cold_channel(&server);
    let check = |server: &TestServer| {
        let read = server.ask(&channel, "/events?limit=1000");
        assert_eq!(contents(&read), texts(1, EVENTS));
        let read = server.ask(&channel, "/events?order=desc&limit=1000");
        assert_eq!(seqs(&read), (1..=EVENTS).rev().collect::<Vec<_>>());
        let read = server.ask(&channel, "/events?order=desc&beforeSeq=5");
        assert_eq!(seqs(&read), [4, 3, 2, 1]);
        let polled = server.ask(&channel, "/poll?afterSeq=2&limit=2");
        assert_eq!(seqs(&polled), [3, 4]);
        let body = json!({ "channelId": channel.id, "limit": 3 });
        let kept = server
            .expect(200, post("/channel/read").value(&body))
            .json();
        assert_eq!(contents(&kept), texts(1, 3));
        let mut sse = server.subscribe(&channel, 0);
        for seq in 1..=EVENTS {
            assert_eq!(sse.message().unwrap().seq(), seq);
        }
        let mut stream = server.follow(&channel.stream(), "-1");
        let all = until_tail(&mut stream);
        assert_eq!(
            seqs(&json!({ "events": all })),
            (1..=EVENTS).collect::<Vec<_>>()
        );
    };
    check(&server);
    let server = server.restart();
    check(&server);
}

#[test]
fn cold_events_are_edited_and_deleted_and_a_key_of_then_is_known() {
    let store = Store::new();
    let server = store.serve();
    let channel = cold_channel(&server);
    let server = server.restart();
    let again = channel
        .says("ann", "else")
        .field("Idempotency-Key", "first");
    let answer = server.expect(200, again).json();
    assert_eq!(answer["event"]["content"], text(1));
    let body = json!({ "authorId": "ann", "content": "edited" });
    server.expect(201, patch(&channel.at("/events/2")).value(&body));
    server.expect(201, delete(&channel.at("/events/3?authorId=ann")));
    let wait = EVENTS + 2;
    let found = server.ask(&channel, &format!("/query?limit=2&waitFor={wait}"));
    assert_eq!(contents(&found), [text(1), "edited".to_owned()]);
    let read = server.ask(&channel, "/events?limit=3");
    assert_eq!(events(&read)[2]["deleted"], true);
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], wait);
}

#[test]
fn a_lost_view_is_made_anew_from_cold_events() {
    let store = Store::new();
    let server = store.serve();
    let channel = cold_channel(&server);
    let server = server.restart_after(|folder| {
        std::fs::remove_dir_all(folder.join("view")).unwrap();
    });
    let mut all = Vec::new();
    let mut page = String::new();
    eventually("the view has all", || {
        let target = channel.at(&format!("/query?limit=1&waitFor={EVENTS}"));
        server.send(get(&target)).status == 200
    });
    loop {
        let found = server.ask(&channel, &format!("/query?limit=100{page}"));
        all.extend(seqs(&found));
        let Some(next) = found["next"].as_str() else {
            break;
        };
        page = format!("&page={next}");
    }
    assert_eq!(all, (1..=EVENTS).collect::<Vec<_>>());
}

#[test]
fn a_store_that_is_down_fails_what_needs_it_alone() {
    let store = Store::new();
    let server = store.serve();
    let channel = cold_channel(&server);
    let server = server.restart_after(|folder| {
        std::fs::remove_dir_all(folder.join("view")).unwrap();
        store.fail();
    });
    for request in [
        get(&channel.at("/events")),
        get(&channel.at("/events?order=desc&beforeSeq=9")),
        get(&channel.at("/poll?afterSeq=0")),
        get(&channel.at("/subscribe")),
        get(&channel.stream()),
        delete(&channel.at("/events/3?authorId=ann")),
    ] {
        let target = request.target.clone();
        let answer = server.send(request);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (503, "COLD_UNAVAILABLE"),
            "{target}"
        );
    }
    let body = json!({ "channelId": channel.id });
    let kept = server.send(post("/channel/read").value(&body));
    assert_eq!(kept.status, 503);
    // What is new is taken, read, pushed, and found; of others all is found.
    let head = EVENTS + 1;
    assert_eq!(server.say(&channel, "ann", "new")["seq"], head);
    let read = server.ask(&channel, &format!("/events?afterSeq={EVENTS}"));
    assert_eq!(contents(&read), ["new"]);
    let other = server.channel();
    server.say(&other, "ann", "other");
    assert_eq!(contents(&server.ask(&other, "/query?waitFor=1")), ["other"]);
    store.work_again();
    eventually("the view has all", || {
        let target = channel.at(&format!("/query?limit=1&waitFor={head}"));
        server.send(get(&target)).status == 200
    });
    let read = server.ask(&channel, "/events?limit=1");
    assert_eq!(contents(&read), texts(1, 1));
}
