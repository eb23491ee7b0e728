//! Appending: one event, several, and the same one again.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, ChildServer, Request, TestServer, get, post};

fn with_key(request: Request, key: &str) -> Request {
    request.field("Idempotency-Key", key)
}

#[test]
fn events_are_numbered_from_one_and_stamped() {
    let server = TestServer::start();
    let channel = server.channel();
    for seq in 1..=3_u64 {
        let event = server.say(&channel, "ann", &format!("number {seq}"));
        let expected = json!({
            "id": format!("{}-{seq}", channel.id),
            "seq": seq,
            "type": "message",
            "authorId": "ann",
            "content": format!("number {seq}"),
            "createdAt": event["createdAt"],
        });
        assert_eq!(event, expected);
        assert_eq!(event["createdAt"].as_str().unwrap().len(), 24);
    }
    assert_eq!(seqs(&server.ask(&channel, "/events")), [1, 2, 3]);
}

#[test]
fn a_batch_is_appended_in_order_and_whole() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "first");
    let answer = server
        .expect(201, channel.says_all("bob", &["a", "b", "c"]))
        .json();
    assert_eq!(seqs(&answer), [2, 3, 4]);
    assert_eq!(contents(&answer), ["a", "b", "c"]);
    assert!(
        events(&answer)
            .iter()
            .all(|event| event["authorId"] == "bob")
    );
    // One bad event refuses all.
    let body = json!({ "authorId": "bob", "events": [{ "content": "d" }, { "content": "" }] });
    let refused = server.send(post(&channel.at("/events")).value(&body));
    refused.refused(400, "INVALID_REQUEST");
    assert_eq!(seqs(&server.ask(&channel, "/events")), [1, 2, 3, 4]);
    // The author may stand in the events.
    let body = json!({ "events": [{ "content": "d", "authorId": "cy" }, { "content": "e" }] });
    let answer = server
        .expect(201, post(&channel.at("/events")).value(&body))
        .json();
    assert!(
        events(&answer)
            .iter()
            .all(|event| event["authorId"] == "cy")
    );
}

#[test]
fn any_text_comes_back_as_it_was() {
    let server = TestServer::start();
    let channel = server.channel();
    let texts = [
        "plain",
        "\"quoted\" \\ back",
        "line\nbreak\r\n\ttab",
        "\u{0}\u{1}\u{1f}\u{7f}",
        "\u{2028}\u{2029}",
        "\u{e4}\u{20ac}\u{1f600}",
        "},{\"id\":\"x\"},",
        "data: x\n\nevent: message\n",
        " ",
    ];
    for text in texts {
        assert_eq!(server.say(&channel, text, text)["content"], text);
    }
    let read = server.ask(&channel, "/events");
    assert_eq!(contents(&read), texts);
    assert!(
        events(&read)
            .iter()
            .zip(texts)
            .all(|(event, text)| event["authorId"] == text)
    );
    let mut events = server.subscribe(&channel, 0);
    for text in texts {
        assert_eq!(events.message().unwrap().json()["content"], text);
    }
    let target = channel.at(&format!("/query?waitFor={}", texts.len()));
    assert_eq!(contents(&server.expect(200, get(&target)).json()), texts);
}

#[test]
fn a_repeated_key_gets_the_first_outcome_and_appends_nothing() {
    let server = TestServer::start();
    let channel = server.channel();
    let first = server
        .expect(201, with_key(channel.says("ann", "once"), "k-1"))
        .json();
    server.say(&channel, "ann", "between");
    for content in ["once", "something else"] {
        let again = server
            .expect(200, with_key(channel.says("ann", content), "k-1"))
            .json();
        assert_eq!(again, first);
    }
    // Keys are each author's own.
    let other = server
        .expect(201, with_key(channel.says("bob", "once"), "k-1"))
        .json();
    assert_eq!(other["event"]["seq"], 3);
    let batch = with_key(channel.says_all("ann", &["a", "b"]), "k-2");
    let first_batch = server.expect(201, batch.clone()).json();
    assert_eq!(server.expect(200, batch.clone()).json(), first_batch);
    assert_eq!(seqs(&server.ask(&channel, "/events")), [1, 2, 3, 4, 5]);
    let server = server.restart();
    let again = server
        .expect(200, with_key(channel.says("ann", "once"), "k-1"))
        .json();
    assert_eq!(again, first);
    assert_eq!(server.expect(200, batch).json(), first_batch);
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 5);
}

#[test]
fn a_key_used_by_many_at_once_appends_once() {
    let server = TestServer::start();
    let channel = server.channel();
    let answers: Vec<(u16, Value)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let answer = server.send(with_key(channel.says("ann", "once"), "k"));
                    (answer.status, answer.json())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let created = answers.iter().filter(|(status, _)| *status == 201).count();
    assert_eq!(created, 1, "{answers:?}");
    assert!(
        answers.iter().all(|(_, body)| *body == answers[0].1),
        "{answers:?}"
    );
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], 1);
}

#[test]
fn a_key_that_was_acknowledged_is_known_after_a_crash() {
    let server = ChildServer::start();
    let created = server.expect(201, post("/v1/channels").json(r#"{"name":"x"}"#));
    let channel = Channel::of(&created);
    let first = server
        .expect(201, with_key(channel.says("ann", "once"), "k"))
        .json();
    let server = server.kill_and_restart();
    let again = server
        .expect(200, with_key(channel.says("ann", "once"), "k"))
        .json();
    assert_eq!(again, first);
}

#[test]
fn a_key_whose_event_retention_took_is_answered_without_appending() {
    let server = TestServer::start();
    let body = json!({ "name": "short", "retention": { "maxEvents": 2 } });
    let channel = server.channel_with(&body);
    let batch = with_key(channel.says_all("ann", &["a", "b", "c"]), "k");
    server.expect(201, batch.clone());
    crate::harness::eventually("the first events go", || {
        server.say(&channel, "ann", "more");
        server.ask(&channel, "")["metadata"]["startSeq"]
            .as_u64()
            .unwrap()
            > 3
    });
    let head = server.ask(&channel, "")["metadata"]["headSeq"].clone();
    let again = server.send(batch);
    assert!(again.status == 200 || again.status == 410, "{again:?}");
    assert_eq!(server.ask(&channel, "")["metadata"]["headSeq"], head);
}

#[test]
fn many_writers_leave_no_gap_and_no_duplicate() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|writer| {
                let (server, channel) = (&server, &channel);
                scope.spawn(move || {
                    let mut connection = server.connect();
                    let mut seqs = Vec::new();
                    for number in 0..50 {
                        let request = channel.says(&format!("{writer}"), &format!("{number}"));
                        let event = connection.ask(&request).expect(201).json();
                        seqs.push(event["event"]["seq"].as_u64().unwrap());
                    }
                    assert!(seqs.is_sorted());
                    seqs
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=400).collect::<Vec<_>>());
    let read = server.ask(&channel, "/events?limit=1000");
    assert_eq!(seqs(&read), all);
    let distinct: HashSet<_> = events(&read)
        .iter()
        .map(|event| (event["authorId"].clone(), event["content"].clone()))
        .collect();
    assert_eq!(distinct.len(), 400);
}
