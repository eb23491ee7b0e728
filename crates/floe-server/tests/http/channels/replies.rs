//! Messages that answer others and carry data, by every way of appending.

use serde_json::{Value, json};

use super::{events, seqs};
use crate::harness::{Channel, Request, TestServer, delete, post};

fn says(channel: &Channel, more: Value) -> Request {
    let mut body = json!({ "authorId": "ann" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    post(&channel.at("/events")).value(&body)
}

#[test]
fn an_answer_names_a_message_that_is_there() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 2);
    server.expect(201, delete(&channel.at("/events/2?authorId=ann")));
    let data = json!({ "mentions": ["bob"], "files": [{ "id": "a" }, { "id": "b" }] });
    let answer = json!({ "content": "yes", "replyTo": 1, "data": data });
    let event = server.expect(201, says(&channel, answer)).json()["event"].clone();
    assert_eq!((&event["replyTo"], &event["data"]), (&json!(1), &data));
    // What is deleted, what is no message and what is not there takes no answer.
    for (seq, status) in [(2, 404), (3, 400), (5, 404)] {
        let answer = json!({ "content": "yes", "replyTo": seq });
        server.expect(status, says(&channel, answer));
    }
    let both = json!({ "events": [{ "content": "a", "replyTo": 1 }, { "data": {} }] });
    server.expect(201, says(&channel, both));
    // All or none: the second answers what is deleted.
    let both = json!({ "events": [{ "content": "a" }, { "content": "b", "replyTo": 2 }] });
    server.expect(404, says(&channel, both));
    let log = server.ask(&channel, "/events?afterSeq=3");
    assert_eq!(seqs(&log), [4, 5, 6]);
    assert_eq!(events(&log)[0], event);
    assert_eq!(events(&log)[2]["data"], json!({}));
    assert_eq!(events(&log)[2]["content"], "");
    let server = server.restart();
    assert_eq!(server.ask(&channel, "/events?afterSeq=3"), log);
}

#[test]
fn data_that_looks_like_events_is_split_and_hidden_as_one() {
    let server = TestServer::start();
    let channel = server.channel();
    let fake = json!({ "list": [{ "id": "x" }, { "id": format!("{}-1", channel.id), "seq": 1 }] });
    server.expect(
        201,
        says(&channel, json!({ "content": "secret", "data": fake })),
    );
    server.expect(
        201,
        says(&channel, json!({ "content": "kept", "data": fake })),
    );
    server.expect(201, delete(&channel.at("/events/1?authorId=ann")));
    let log = server.ask(&channel, "/events");
    assert_eq!(seqs(&log), [1, 2, 3]);
    assert_eq!(
        (&events(&log)[0]["deleted"], &events(&log)[0]["data"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(events(&log)[1]["data"], fake);
}

#[test]
fn data_is_bounded_and_the_kept_form_takes_none() {
    let server = TestServer::start();
    let channel = server.channel();
    for (data, status, code) in [
        (json!([]), 400, "INVALID_REQUEST"),
        (json!({ "x": "y".repeat(5_000) }), 413, "EVENT_TOO_LARGE"),
    ] {
        let refused = server.expect(
            status,
            says(&channel, json!({ "content": "a", "data": data })),
        );
        assert_eq!(refused.json()["code"], code);
    }
    let kept = json!({
        "channelId": channel.id, "authorId": "ann", "content": "a", "replyTo": 9, "data": { "x": 1 },
    });
    let event = server
        .expect(200, post("/channel/append").value(&kept))
        .json()["event"]
        .clone();
    assert_eq!(event["seq"], 1);
    assert_eq!(
        (&event["data"], &event["replyTo"]),
        (&Value::Null, &Value::Null)
    );
}
