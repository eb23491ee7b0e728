//! Deleting channels: softly first, then for good.

use serde_json::json;

use super::contents;
use crate::harness::{Channel, Request, TestServer, delete, eventually, get, patch, post};

/// Every request for a channel that is not there any more.
fn requests(channel: &Channel) -> Vec<Request> {
    vec![
        get(&channel.at("/events")),
        get(&channel.at("/events/1")),
        get(&channel.at("/query")),
        get(&channel.at("/search?mode=substring&q=x")),
        get(&channel.at("/poll")),
        get(&channel.at("/subscribe")),
        get(&channel.at("/realtime")),
        get(&channel.at("/presence")),
        channel.says("ann", "x"),
        delete(&channel.at("/events/1?authorId=ann")),
        patch(&channel.at("")).json(r#"{"slow":"conflate"}"#),
        post(&channel.at("/secret")),
        post(&channel.at("/tokens")).json(r#"{"rights":["read"],"author":"ann"}"#),
        delete(&channel.at("")),
        get(&channel.stream()),
        get(&format!("{}?offset=-1&live=sse", channel.stream())),
    ]
}

#[test]
fn a_deleted_channel_says_so_and_takes_and_shows_nothing() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    let token = server.token(&channel, &["read", "append"], "ann");
    let removed = server.expect(200, delete(&channel.at("")));
    assert_eq!(removed.json(), json!({ "success": true }));
    let check = |server: &TestServer| {
        for request in requests(&channel) {
            server.send(request).refused(410, "GONE");
        }
        let with_token = get(&channel.at("/events")).token(&token);
        server.send(with_token).refused(410, "GONE");
        let metadata = server.ask(&channel, "")["metadata"].clone();
        assert!(metadata["deletedAt"].is_string(), "{metadata}");
        let list = server.expect(200, get("/v1/channels")).json();
        assert_eq!(list["channels"], json!([]));
        let found = server.expect(200, get("/v1/query")).json();
        assert_eq!(contents(&found), [""; 0]);
        // The kept form has no code for it.
        let body = json!({ "channelId": channel.id });
        server
            .send(post("/channel/read").value(&body))
            .refused(404, "NOT_FOUND");
    };
    check(&server);
    check(&server.crashed());
    check(&server.restart());
}

#[test]
fn live_readers_of_a_deleted_channel_are_told_why_they_end() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let mut sse = server.subscribe(&channel, 2);
    let kept_target = format!("/channel/subscribe?channelId={}&afterSeq=2", channel.id);
    let mut kept = server.connect().follow(&get(&kept_target));
    kept.message().unwrap();
    let mut poll = server.connect();
    poll.write(get(&channel.at("/poll?afterSeq=2")).bytes());
    let mut stream = server.follow(&channel.stream(), "now");
    stream.step().unwrap();
    let mut stream_poll = server.connect();
    let target = format!("{}?offset=now&live=long-poll", channel.stream());
    stream_poll.write(get(&target).bytes());
    eventually("all wait", || server.metric("floe_live_readers") == 5.0);
    server.expect(200, delete(&channel.at("")));
    let closed = sse.message().unwrap();
    assert_eq!(
        (closed.kind.as_str(), &closed.json()["code"]),
        ("closed", &json!("GONE"))
    );
    assert_eq!(sse.message(), None);
    let closed = kept.message().unwrap();
    assert_eq!(
        (closed.kind.as_str(), &closed.json()["code"]),
        ("closed", &json!("NOT_FOUND"))
    );
    assert_eq!(kept.message(), None);
    poll.answer().refused(410, "GONE");
    assert_eq!(stream.step(), None);
    let ended = stream_poll.answer();
    assert!(matches!(ended.status, 404 | 410), "{ended:?}");
    assert_eq!(server.metric("floe_live_readers"), 0.0);
}

#[test]
fn a_channel_is_purged_after_its_grace_time_and_leaves_nothing() {
    let server = TestServer::with(|settings| {
        settings.limits.channel_purge_after_ms = 300;
    });
    let channel = server.channel();
    let other = server.channel();
    server.fill(&channel, 3);
    server.fill(&other, 1);
    server.expect(200, get(&channel.at("/query?waitFor=3")));
    server.expect(200, delete(&channel.at("")));
    server
        .send(get(&channel.at("/events")))
        .refused(410, "GONE");
    eventually("the channel is purged", || {
        server.send(get(&channel.at(""))).status == 404
    });
    let check = |server: &TestServer| {
        for request in requests(&channel) {
            server.send(request).refused(404, "NOT_FOUND");
        }
        let list = server.expect(200, get("/v1/channels")).json();
        assert_eq!(list["channels"][0]["channelId"], other.id.as_str());
        assert_eq!(list["channels"].as_array().unwrap().len(), 1);
        let found = server.expect(200, get("/v1/query")).json();
        assert_eq!(contents(&found), ["1"]);
    };
    check(&server);
    check(&server.crashed());
    check(&server.restart());
}

#[test]
fn a_channel_nobody_asks_for_is_purged_all_the_same() {
    let server = TestServer::with(|settings| {
        settings.limits.channel_purge_after_ms = 300;
    });
    let busy = server.channel();
    let channel = server.channel();
    server.fill(&channel, 3);
    let rooms = server.metric("floe_streams");
    server.expect(200, delete(&channel.at("")));
    eventually("the room is gone", || {
        // A server at rest looks at everything.
        server.say(&busy, "ann", "x");
        server.metric("floe_streams") == rooms - 1.0
    });
}

#[test]
fn a_purge_that_is_due_at_the_start_happens() {
    let server = TestServer::with(|settings| {
        settings.limits.channel_purge_after_ms = 700;
    });
    let channel = server.channel();
    server.fill(&channel, 3);
    let rooms = server.metric("floe_streams");
    server.expect(200, delete(&channel.at("")));
    for server in [server.crashed(), server.restart()] {
        eventually("the room is gone", || {
            server.metric("floe_streams") == rooms - 1.0
        });
        server.send(get(&channel.at(""))).refused(404, "NOT_FOUND");
    }
}

#[test]
fn a_key_of_another_namespace_deletes_nothing() {
    let server = TestServer::start();
    let channel = server.channel_of("acme", "kept");
    let body = json!({ "namespace": "other", "channelId": channel.id });
    server
        .send(post("/channel/delete").value(&body))
        .refused(404, "NOT_FOUND");
    server.expect(200, get(&channel.at("/events")));
    let body = json!({ "namespace": "acme", "channelId": channel.id });
    let removed = server.expect(200, post("/channel/delete").value(&body));
    assert_eq!(removed.json(), json!({ "success": true }));
    server
        .send(get(&channel.at("/events")))
        .refused(410, "GONE");
}
