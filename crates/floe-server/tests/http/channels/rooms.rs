//! Rooms that nobody uses leave memory, and come back as they were.

use serde_json::json;

use super::{contents, events, seqs};
use crate::harness::{TestServer, delete, eventually, get, patch, post};

fn forgetful() -> TestServer {
    TestServer::with(|settings| settings.limits.room_idle_timeout_ms = 0)
}

fn loaded(server: &TestServer) -> f64 {
    server.metric("floe_streams_loaded")
}

#[test]
fn a_room_nobody_uses_leaves_memory_and_comes_back_as_it_was() {
    let server = forgetful();
    let channel = server.channel();
    let token = server.token(&channel, &["read", "append"], "tim");
    server.fill(&channel, 100);
    let keyed = || channel.says("ann", "once").field("Idempotency-Key", "k");
    let first = server.expect(201, keyed()).json();
    server.expect(201, delete(&channel.at("/events/7?authorId=ann")));
    server.expect(200, patch(&channel.at("")).json(r#"{"slow":"conflate"}"#));
    let before = server.expect(200, get(&channel.at(""))).json();
    eventually("all rooms leave memory", || loaded(&server) == 0.0);
    // Recent events are there at once.
    let recent = server.ask(&channel, "/events?order=desc&limit=3");
    assert_eq!(seqs(&recent), [102, 101, 100]);
    assert_eq!(contents(&recent), ["", "once", "100"]);
    assert_eq!(server.expect(200, get(&channel.at(""))).json(), before);
    assert_eq!(server.expect(200, keyed()).json(), first);
    let read = server.ask(&channel, "/events?afterSeq=6&limit=1");
    assert_eq!(events(&read)[0]["deleted"], true);
    server.expect(201, channel.says("ann", "hi").token(&token));
    eventually("all rooms leave memory again", || loaded(&server) == 0.0);
    assert_eq!(server.say(&channel, "ann", "next")["seq"], 104);
    let found = server.ask(&channel, "/query?waitFor=104&afterSeq=100");
    assert_eq!(contents(&found), ["once", "hi", "next"]);
}

#[test]
fn a_room_with_a_reader_stays() {
    let server = forgetful();
    let channel = server.channel();
    let other = server.channel();
    server.fill(&other, 1);
    let mut events = server.subscribe(&channel, 0);
    eventually("all other rooms leave memory", || loaded(&server) == 1.0);
    server.say(&channel, "ann", "hello");
    assert_eq!(events.message().unwrap().json()["content"], "hello");
    drop(events);
    eventually("all rooms leave memory", || loaded(&server) == 0.0);
}

#[test]
fn what_a_channel_is_outlives_restarts_and_crashes() {
    let server = TestServer::start();
    let body = json!({ "namespace": "acme", "name": "x", "retention": { "maxEvents": 50 } });
    let channel = server.channel_with(&body);
    let token = server.token(&channel, &["read"], "tim");
    server.fill(&channel, 60);
    eventually("the first events go", || {
        server.ask(&channel, "")["metadata"]["startSeq"] == 11
    });
    server.expect(201, delete(&channel.at("/events/30?authorId=ann")));
    let keyed = || channel.says("ann", "once").field("Idempotency-Key", "k");
    let first = server.expect(201, keyed()).json();
    let gone = server.channel_of("acme", "gone");
    server.expect(200, delete(&gone.at("")));
    eventually("retention rests", || {
        server.ask(&channel, "")["metadata"]["startSeq"] == 13
    });
    server.settle(&channel);
    let before = server.expect(200, get(&channel.at(""))).json();
    let events = server
        .expect(200, get(&channel.at("/events?limit=1000")))
        .json();
    for server in [server.crashed(), server.restart()] {
        assert_eq!(server.expect(200, get(&channel.at(""))).json(), before);
        let read = server
            .expect(200, get(&channel.at("/events?limit=1000")))
            .json();
        assert_eq!(read, events);
        server.expect(200, get(&channel.at("/events")).token(&token));
        assert_eq!(server.expect(200, keyed()).json(), first);
        server.send(get(&gone.at("/events"))).refused(410, "GONE");
        server
            .send(get(&channel.at("/events?afterSeq=5")))
            .refused(410, "OFFSET_EXPIRED");
        let list = server
            .expect(200, get("/v1/channels?namespace=acme"))
            .json();
        assert_eq!(list["channels"].as_array().map(Vec::len), Some(1));
        server.expect(
            201,
            post(&channel.at("/events")).json(r#"{"authorId":"a","content":"b"}"#),
        );
    }
}
