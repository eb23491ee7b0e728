//! Writing to rooms: acknowledged once durable, in order, and once.

use serde_json::{Value, json};
use std::fmt::Write as _;

use super::{Client, Heard, TestServer, channel, contents, put, seqs};
use crate::harness::{eventually, post};
use floe_surfaces::ws::Opcode;

fn append(room: &str, more: Value) -> Value {
    let mut frame = json!({"type": "append", "room": room});
    for (name, value) in more.as_object().unwrap() {
        frame[name] = value.clone();
    }
    frame
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    let ack = client.ask(append(
        &channel.room,
        json!({"authorId": "ann", "content": "kept"}),
    ));
    let expected = json!({"type": "ack", "id": 1, "room": channel.room, "seq": 1, "count": 1});
    assert_eq!(ack, expected);
    drop(client);
    let server = server.restart();
    let events = channel.read(&server);
    assert_eq!(
        (contents(&events), &events[0]["authorId"]),
        (vec!["kept"], &json!("ann"))
    );
}

#[test]
fn every_kind_of_event_is_appended() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"user": "ann"}));
    for (seq, more) in (1..).zip([
        json!({"content": "hello"}),
        json!({"kind": "message", "content": ""}),
        json!({"kind": "edit", "targetSeq": 1, "content": "hello!"}),
        json!({"kind": "reaction", "targetSeq": 1, "content": "\u{1f44d}"}),
        json!({"kind": "reaction", "targetSeq": 1, "content": "\u{1f44d}", "removed": true}),
        json!({"kind": "deletion", "targetSeq": 2}),
        json!({"content": "yes", "replyTo": 1, "data": {"mentions": ["bob"]}}),
        json!({"kind": "pin", "targetSeq": 1}),
    ]) {
        let ack = client.ask(append(&channel.room, more));
        assert_eq!(
            (&ack["seq"], &ack["count"]),
            (&json!(seq), &json!(1)),
            "{ack}"
        );
    }
    let events = client.events_until(&channel.room, 8);
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "message", "message", "edit", "reaction", "reaction", "deletion", "message", "pin"
        ]
    );
    assert_eq!(events[4]["removed"], true);
    assert_eq!(events[6]["data"], json!({"mentions": ["bob"]}));
    assert_eq!(events[6]["replyTo"], 1);
    assert!(events.iter().all(|event| event["authorId"] == "ann"));
}

#[test]
fn a_batch_is_all_or_nothing() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({}));
    let batch = json!({"authorId": "bot", "events": [
        {"content": "one"}, {"content": "two", "authorId": "ann"}, {"content": "three"},
    ]});
    let ack = client.ask(append(&channel.room, batch));
    assert_eq!((&ack["seq"], &ack["count"]), (&json!(3), &json!(3)));
    let events = client.events_until(&channel.room, 3);
    assert_eq!(contents(&events), ["one", "two", "three"]);
    assert_eq!(events[1]["authorId"], "ann");
    for (events, code) in [
        (json!([]), "INVALID_REQUEST"),
        (
            json!([{"content": "fine"}, {"content": 7}]),
            "INVALID_FRAME",
        ),
        (
            json!([{"content": "fine"}, {"kind": "deletion", "targetSeq": 1}]),
            "INVALID_REQUEST",
        ),
        (
            json!([{"content": "fine"}, {"content": "x".repeat(10_001)}]),
            "EVENT_TOO_LARGE",
        ),
        (
            json!(vec![json!({"content": "x"}); 1_001]),
            "INVALID_REQUEST",
        ),
    ] {
        let batch = json!({"authorId": "bot", "events": events});
        client.refused(append(&channel.room, batch), code);
    }
    assert_eq!(channel.read(&server).len(), 3);
}

#[test]
fn an_append_that_is_repeated_with_its_key_is_done_once() {
    let server = TestServer::start();
    let channel = channel(&server);
    let once = json!({"authorId": "ann", "content": "once", "idempotencyKey": "k-1"});
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({}));
    let first = client.ask(append(&channel.room, once.clone()));
    assert_eq!(first.get("duplicate"), None);
    channel.post(&server, "bob", "between");
    // While it is under way, too, and in a batch of its own.
    let again = client.ask(append(&channel.room, once.clone()));
    let duplicate = |ack: &Value| {
        (
            ack["seq"].clone(),
            ack["count"].clone(),
            ack["duplicate"].clone(),
        )
    };
    let expected = (json!(1), json!(1), json!(true));
    assert_eq!(duplicate(&again), expected);
    let mut other = Client::of(&server);
    other.join(&channel.room, json!({"events": false}));
    assert_eq!(
        duplicate(&other.ask(append(&channel.room, once.clone()))),
        expected
    );
    // A key is its author's.
    let others = json!({"authorId": "bob", "content": "another", "idempotencyKey": "k-1"});
    assert_eq!(other.ask(append(&channel.room, others))["seq"], 3);
    drop((client, other));
    let server = server.restart();
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"events": false}));
    assert_eq!(
        duplicate(&client.ask(append(&channel.room, once))),
        expected
    );
    assert_eq!(
        contents(&channel.read(&server)),
        ["once", "between", "another"]
    );
    let pair = append(
        &channel.room,
        json!({"authorId": "ann", "content": "pair", "idempotencyKey": "k-2"}),
    );
    let (mut one, mut two) = (pair.clone(), pair);
    one["id"] = json!("one");
    two["id"] = json!("two");
    let both = [client.written(&one), client.written(&two)].concat();
    client.write(&both);
    assert_eq!((&client.frame()["id"], 4), (&json!("one"), 4));
    let second = client.frame();
    assert_eq!(
        (&second["id"], &second["seq"], &second["duplicate"]),
        (&json!("two"), &json!(4), &json!(true))
    );
}

#[test]
fn a_room_need_not_be_joined_to_write_to_it() {
    let server = TestServer::start();
    let channel = channel(&server);
    server.expect(201, put("list").json("[]"));
    let mut client = Client::of(&server);
    assert_eq!(client.append(&channel.room, "ann", "hi"), 1);
    assert_eq!(
        client.ask(append("stream/list", json!({"data": {"n": 1}})))["seq"],
        1
    );
    client.refused(append("stream/none", json!({"data": 1})), "NOT_FOUND");
    let none = append(
        "channel/0123456789ab",
        json!({"authorId": "a", "content": "b"}),
    );
    client.refused(none, "NOT_FOUND");
    client.refused(
        append(&channel.room, json!({"content": "by nobody"})),
        "INVALID_REQUEST",
    );
    let own = format!("stream/__channel__/{}", channel.id);
    client.refused(append(&own, json!({"data": {}})), "NOT_FOUND");
    client.refused(
        append("stream/__registry__", json!({"data": {}})),
        "METHOD_NOT_ALLOWED",
    );
    assert_eq!(client.so_far(), Vec::<Value>::new());
}

#[test]
fn streams_take_messages_text_and_bytes() {
    let server = TestServer::start();
    server.expect(201, put("list").json("[]"));
    server.expect(201, put("text").text("a"));
    server.expect(201, put("bytes").body(b""));
    let mut client = Client::of(&server);
    for room in ["stream/list", "stream/text", "stream/bytes"] {
        client.join(room, json!({}));
    }
    for (room, more, seq, count) in [
        ("stream/list", json!({"data": {"n": 1}}), 1, 1),
        (
            "stream/list",
            json!({"events": [2, "three", null, [5]]}),
            5,
            4,
        ),
        ("stream/text", json!({"content": "\u{fc}b"}), 4, 3),
        ("stream/bytes", json!({"data": "/9j/4AAQ"}), 6, 6),
    ] {
        let ack = client.ask(append(room, more));
        assert_eq!(
            (&ack["seq"], &ack["count"]),
            (&json!(seq), &json!(count)),
            "{ack}"
        );
    }
    assert_eq!(
        client.events_until("stream/list", 5),
        [
            json!({"n": 1}),
            json!(2),
            json!("three"),
            json!(null),
            json!([5])
        ]
    );
    assert_eq!(client.events_until("stream/text", 4), [json!("\u{fc}b")]);
    assert_eq!(client.events_until("stream/bytes", 6), [json!("/9j/4AAQ")]);
    assert_eq!(server.read_all("text"), "a\u{fc}b".as_bytes());
    for (room, more, code) in [
        ("stream/list", json!({"content": "text"}), "INVALID_REQUEST"),
        ("stream/text", json!({"events": [1]}), "INVALID_REQUEST"),
        (
            "stream/bytes",
            json!({"data": "not base64!"}),
            "INVALID_REQUEST",
        ),
        ("stream/bytes", json!({"data": 7}), "INVALID_REQUEST"),
        ("stream/bytes", json!({"data": ""}), "EMPTY_BODY"),
        ("stream/text", json!({"content": ""}), "EMPTY_BODY"),
        (
            "stream/list",
            json!({"data": 1, "idempotencyKey": "k"}),
            "INVALID_REQUEST",
        ),
        (
            "stream/list",
            json!({"data": 1, "kind": "edit"}),
            "INVALID_REQUEST",
        ),
        ("stream/list", json!({}), "INVALID_FRAME"),
    ] {
        client.refused(append(room, more), code);
    }
    server.expect(204, post("list").closed());
    client.refused(append("stream/list", json!({"data": 1})), "CLOSED");
}

#[test]
fn hundreds_of_appends_without_waiting_are_acknowledged_in_order() {
    let server = TestServer::with(|settings| settings.limits.live_commands_max = 4);
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({}));
    client.next_of("live");
    let mut all = Vec::new();
    for number in 1..=500 {
        let mut frame = append(
            &channel.room,
            json!({"authorId": "ann", "content": number.to_string()}),
        );
        frame["id"] = json!(number);
        all.extend(client.written(&frame));
        if number % 100 == 0 {
            // Refusals keep their place among them.
            let mut wrong = append(&channel.room, json!({"authorId": "ann", "content": "x"}));
            wrong["kind"] = json!("edit");
            wrong["targetSeq"] = json!(9_999);
            wrong["id"] = json!(format!("wrong {number}"));
            all.extend(client.written(&wrong));
        }
    }
    client.write(&all);
    for number in 1..=500 {
        let ack = client.wait_for(|frame| frame["type"] == "ack" || frame["type"] == "error");
        assert_eq!(
            (&ack["id"], &ack["seq"]),
            (&json!(number), &json!(number)),
            "{ack}"
        );
        if number % 100 == 0 {
            let error = client.wait_for(|frame| frame["type"] == "ack" || frame["type"] == "error");
            assert_eq!(error["id"], format!("wrong {number}"));
        }
    }
    let events = client.events_until(&channel.room, 500);
    assert_eq!(seqs(&events), (1..=500).collect::<Vec<_>>());
    let numbers: Vec<_> = (1..=500).map(|number| number.to_string()).collect();
    assert_eq!(contents(&events), numbers);
    // The numbers that streams report are each append's own, however many go to the disk at once.
    server.expect(201, put("list").json("[]"));
    let mut all = Vec::new();
    for number in 1..=100 {
        let mut frame = append("stream/list", json!({"data": number}));
        frame["id"] = json!(number);
        all.extend(client.written(&frame));
    }
    client.write(&all);
    for number in 1..=100 {
        let ack = client.next_of("ack");
        assert_eq!((&ack["id"], &ack["seq"]), (&json!(number), &json!(number)));
    }
}

#[test]
fn appends_without_an_id_are_done_all_the_same() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.say(&append(
        &channel.room,
        json!({"authorId": "ann", "content": "quietly"}),
    ));
    let ack = client.frame();
    assert_eq!(
        ack,
        json!({"type": "ack", "room": channel.room, "seq": 1, "count": 1})
    );
    assert_eq!(contents(&channel.read(&server)), ["quietly"]);
}

#[test]
fn what_cannot_be_appended_is_refused_by_name_and_changes_nothing() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"user": "ann"}));
    client.append(&channel.room, "ann", "one");
    client.append(&channel.room, "bob", "two");
    for (more, code) in [
        (json!({"content": "x".repeat(10_001)}), "EVENT_TOO_LARGE"),
        (
            json!({"kind": "reaction", "targetSeq": 1, "content": "x".repeat(65)}),
            "EVENT_TOO_LARGE",
        ),
        (json!({}), "INVALID_FRAME"),
        (json!({"content": 7}), "INVALID_FRAME"),
        (json!({"content": "x", "mood": "good"}), "INVALID_FRAME"),
        (json!({"kind": "shout", "content": "x"}), "INVALID_REQUEST"),
        (json!({"kind": "edit", "content": "x"}), "INVALID_FRAME"),
        (
            json!({"kind": "edit", "targetSeq": 0, "content": "x"}),
            "INVALID_REQUEST",
        ),
        (
            json!({"kind": "edit", "targetSeq": 77, "content": "x"}),
            "NOT_FOUND",
        ),
        (
            json!({"kind": "deletion", "targetSeq": 1, "content": "x"}),
            "INVALID_REQUEST",
        ),
        (json!({"content": "x", "removed": true}), "INVALID_REQUEST"),
        (json!({"content": "x", "data": 1}), "INVALID_REQUEST"),
        (
            json!({"content": "x", "authorId": "y".repeat(129)}),
            "INVALID_REQUEST",
        ),
        (
            json!({"content": "x", "idempotencyKey": "y".repeat(129)}),
            "INVALID_REQUEST",
        ),
        (
            json!({"content": "x", "idempotencyKey": ""}),
            "INVALID_REQUEST",
        ),
    ] {
        let frame = append(&channel.room, more);
        let error = client.ask(frame.clone());
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{frame}: {error}"
        );
    }
    // Ten thousand characters are fine, of however many bytes.
    let long = "\u{1f600}".repeat(10_000);
    assert_eq!(client.append(&channel.room, "ann", &long), 3);
    assert_eq!(channel.read(&server).len(), 3);
}

#[test]
fn frames_that_cannot_be_read_are_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    let mut deep = String::new();
    write!(
        deep,
        "{{\"type\":\"join\",\"room\":\"{}\",\"presence\":\"member\"",
        channel.room
    )
    .unwrap();
    write!(
        deep,
        ",\"user\":\"a\",\"data\":{}{}}}",
        "[".repeat(65),
        "]".repeat(65)
    )
    .unwrap();
    for (text, code) in [
        ("", "INVALID_FRAME"),
        ("hello", "INVALID_FRAME"),
        ("[]", "INVALID_FRAME"),
        ("{}", "INVALID_FRAME"),
        ("{\"type\":7}", "INVALID_FRAME"),
        ("{\"type\":\"shout\"}", "INVALID_FRAME"),
        ("{\"type\":\"ping\"} ", "pong"),
        ("{\"type\":\"ping\"}{}", "INVALID_FRAME"),
        ("{\"type\":\"ping\",\"type\":\"ping\"}", "INVALID_FRAME"),
        ("{\"type\":\"ping\",\"extra\":1}", "INVALID_FRAME"),
        ("{\"type\":\"join\"}", "INVALID_FRAME"),
        (&deep, "INVALID_REQUEST"),
    ] {
        client.send(Opcode::Text, text.as_bytes());
        let answer = client.frame();
        if code == "pong" {
            assert_eq!(answer, json!({"type": "pong"}));
        } else {
            assert_eq!(answer["code"], code, "{text}: {answer}");
            assert_eq!(answer.get("id"), None);
        }
    }
    for id in [
        json!(true),
        json!([1]),
        json!("x".repeat(65)),
        json!(1.5),
        json!(1_u64 << 53),
    ] {
        client.say(&json!({"type": "ping", "id": id}));
        let answer = client.frame();
        assert_eq!(answer["type"], "error", "{id}: {answer}");
    }
    for id in [
        json!(0),
        json!(-5),
        json!((1_u64 << 53) - 1),
        json!("x".repeat(64)),
        json!(""),
    ] {
        client.say(&json!({"type": "ping", "id": id}));
        assert_eq!(client.frame(), json!({"type": "pong", "id": id}));
    }
}

#[test]
fn a_client_that_closes_while_its_appends_are_under_way_harms_nobody() {
    let server = TestServer::start();
    let channel = channel(&server);
    for round in 0..20 {
        let mut client = Client::of(&server);
        let mut all = Vec::new();
        for number in 0..20 {
            let content = format!("{round}:{number}");
            all.extend(client.written(&append(
                &channel.room,
                json!({"authorId": "ann", "content": content, "idempotencyKey": content}),
            )));
        }
        all.extend(super::client::masked(Opcode::Close, &[0x03, 0xe8]));
        client.write(&all);
        if round % 2 == 0 {
            let (_, close) = client.rest();
            assert_eq!(close, Some((1000, String::new())));
        }
    }
    // The same with a broken frame at the end instead.
    let mut client = Client::of(&server);
    let mut all = client.written(&append(
        &channel.room,
        json!({"authorId": "a", "content": "b"}),
    ));
    all.extend([0x81, 0x00]);
    client.write(&all);
    client.ends_with(1002);
    // What was read is done, if a moment later: nobody waits for an answer.
    eventually("all are there", || channel.read(&server).len() == 401);
    let mut client = Client::of(&server);
    assert_eq!(client.append(&channel.room, "ann", "on"), 402);
    client.send(Opcode::Close, b"");
    assert_eq!(client.hear(), Heard::Close(None));
}
