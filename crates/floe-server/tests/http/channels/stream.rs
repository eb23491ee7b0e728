//! A channel as a JSON Durable Stream: read by all its clients, written by none.

use serde_json::{Value, json};

use super::seqs;
use crate::harness::{
    Request, TestServer, Webhook, delete, eventually, get, head, offset, post, put,
};

fn array(text: &str) -> Vec<u64> {
    let events: Value = serde_json::from_str(text).unwrap();
    seqs(&json!({ "events": events }))
}

#[test]
fn a_channel_is_read_as_a_stream_from_any_offset() {
    let server = TestServer::start();
    let channel = server.channel();
    let stream = channel.stream();
    let empty = server.expect(200, get(&stream));
    assert_eq!(
        (empty.text().as_str(), empty.next()),
        ("[]", offset(0).as_str())
    );
    server.fill(&channel, 5);
    let whole = server.expect(200, get(&stream));
    assert_eq!(whole.header("content-type"), Some("application/json"));
    assert_eq!(array(&whole.text()), [1, 2, 3, 4, 5]);
    assert_eq!(whole.next(), offset(5));
    assert!(whole.is_up_to_date() && !whole.is_closed());
    assert_eq!(whole.json(), server.ask(&channel, "/events")["events"]);
    let rest = server.expect(200, get(&format!("{stream}?offset={}", offset(3))));
    assert_eq!(array(&rest.text()), [4, 5]);
    let described = server.expect(200, head(&stream));
    assert_eq!(described.next(), offset(5));
}

#[test]
fn a_channel_is_followed_as_a_stream() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let mut events = server.follow(&channel.stream(), "-1");
    assert_eq!(
        seqs(&json!({ "events": super::until_tail(&mut events) })),
        [1, 2]
    );
    let mut waiting = server.connect();
    let target = format!("{}?offset=now&live=long-poll", channel.stream());
    waiting.write(get(&target).bytes());
    eventually("the readers wait", || {
        server.metric("floe_live_readers") == 2.0
    });
    let said = server.say(&channel, "ann", "three");
    assert_eq!(super::until_tail(&mut events), std::slice::from_ref(&said));
    let polled = waiting.answer().expect(200);
    assert_eq!(polled.json(), json!([said]));
    assert_eq!(polled.next(), offset(3));
}

#[test]
fn no_cache_keeps_what_may_be_deleted_or_is_not_for_everyone() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 1_000);
    let channel = server.channel();
    server.fill(&channel, 30);
    let stream = channel.stream();
    let targets = [
        stream.clone(),
        format!("{stream}?offset={}", offset(0)),
        format!("{stream}?offset={}", offset(30)),
        format!("{stream}?offset=now"),
        format!("{stream}?offset={}&live=long-poll", offset(0)),
    ];
    let read = |target: &str, tag: &str| {
        let answer = server.expect(200, get(target).field("If-None-Match", tag));
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{target}");
        assert_eq!(answer.header("etag"), None, "{target}");
        answer.text()
    };
    assert!(
        targets
            .iter()
            .all(|target| !read(target, "\"x\"").contains("\"deleted\""))
    );
    server.expect(201, delete(&channel.at("/events/2?authorId=ann")));
    assert!(read(&targets[0], "*").contains("\"deleted\""));
    assert!(read(&targets[1], "*").contains("\"deleted\""));
}

#[test]
fn nothing_is_written_to_a_channel_as_a_stream() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let stream = channel.stream();
    let fresh = "__channel__/0123456789ab";
    let requests: Vec<Request> = vec![
        post(&stream).json(r#"[{"x":1}]"#),
        post(&stream).json("{}").producer("p", 0, 0),
        post(&stream).closed(),
        put(&stream).json("[]"),
        put(&stream).json(r#"[{"x":1}]"#),
        put(&stream).text("x"),
        delete(&stream),
        put(fresh).json("[]"),
        put(fresh).text("x"),
        post(fresh).json("[1]"),
        delete(fresh),
        put("__channel__/").json("[]"),
        put("__channel__/not-an-id").json("[]"),
    ];
    for request in requests {
        let target = format!("{} {}", request.method, request.target);
        let answer = server.send(request);
        assert!(matches!(answer.status, 400..=405), "{target} {answer:?}");
    }
    assert_eq!(array(&server.expect(200, get(&stream)).text()), [1, 2]);
    assert_eq!(server.say(&channel, "ann", "3")["seq"], 3);
    server.send(get(fresh)).refused(404, "NOT_FOUND");
}

#[test]
fn a_channel_is_not_forked() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    let fork = |name: &str| {
        put(name).field(
            "Stream-Forked-From",
            format!("/v1/stream/{}", channel.stream()),
        )
    };
    let answer = server.send(fork("copy"));
    assert!(matches!(answer.status, 400..=409), "{answer:?}");
    let answer = server.send(fork("copy").field("Stream-Fork-Offset", offset(1)));
    assert!(matches!(answer.status, 400..=409), "{answer:?}");
    server.send(get("copy")).refused(404, "NOT_FOUND");
}

#[test]
fn channels_are_not_listed_among_streams() {
    let server = TestServer::start();
    server.expect(201, put("plain").text("x"));
    let channel = server.channel();
    server.fill(&channel, 2);
    server.expect(200, delete(&channel.at("")));
    let listed = server.expect(200, get("__registry__")).text();
    assert!(
        listed.contains("plain") && !listed.contains("__channel__"),
        "{listed}"
    );
    let server = server.restart();
    let listed = server.expect(200, get("__registry__")).text();
    assert!(!listed.contains("__channel__"), "{listed}");
}

#[test]
fn no_subscription_to_streams_hears_of_channels() {
    let server = TestServer::start();
    let hook = crate::harness::Receiver::start();
    let subscribe =
        |id: &str, body: Value| server.send(put(&format!("__ds/subscriptions/{id}")).value(&body));
    let webhook = json!({ "url": hook.url() });
    let all = json!({ "type": "webhook", "pattern": "**", "webhook": webhook });
    assert!(subscribe("all", all).status < 300);
    let channel = server.channel();
    let named = json!({ "type": "webhook", "streams": [channel.stream()], "webhook": webhook });
    subscribe("named", named).refused(400, "INVALID_REQUEST");
    let wake = json!({ "type": "pull-wake", "pattern": "**", "wake_stream": channel.stream() });
    subscribe("wake", wake).refused(400, "INVALID_REQUEST");
    server.fill(&channel, 3);
    server.expect(201, put("plain").text("x"));
    let wake: Webhook = hook.next();
    assert!(
        !wake.body.to_string().contains("__channel__"),
        "{}",
        wake.body
    );
    assert!(wake.body.to_string().contains("plain"), "{}", wake.body);
    wake.answer(200, r#"{"done":true}"#);
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 3);
}
