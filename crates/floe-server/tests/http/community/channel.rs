//! Channels over a WebSocket of their own.

use std::time::Instant;

use serde_json::{Value, json};

use super::{Member, shorten_grace, socket};
use crate::harness::{Channel, TestServer, eventually, get, post};
use crate::websocket::client::Heard;

/// Connects as a user, and reads up to who is there.
#[track_caller]
fn come(server: &TestServer, channel: &Channel, user: &str, more: &str) -> Member {
    let target = format!("/ws/channel/{}?user={user}{more}", channel.id);
    let mut member = Member::of(server, &target);
    assert_eq!(member.welcome["userId"], user);
    member.client.next_of("participants");
    member.client.take_passed();
    member
}

/// Reads frames of the log until the event of this place; returns all of them.
#[track_caller]
fn log_until(member: &mut Member, sequence: u64) -> Vec<Value> {
    let place = |frame: &Value| match frame["eventSequence"].as_u64() {
        None if frame["type"] == "message" => frame["sequence"].as_u64(),
        place => place,
    };
    let mut all = Vec::new();
    loop {
        let frame = member.client.wait_for(|frame| place(frame).is_some());
        let is_last = place(&frame) == Some(sequence);
        all.push(frame);
        if is_last {
            return all;
        }
    }
}

fn places(frames: &[Value]) -> Vec<u64> {
    let place = |frame: &Value| {
        let of = match &frame["eventSequence"] {
            Value::Null => &frame["sequence"],
            own => own,
        };
        of.as_u64().unwrap()
    };
    frames.iter().map(place).collect()
}

#[test]
fn what_is_said_is_told_to_all_in_one_order_and_acknowledged_once() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut ann = come(&server, &channel, "ann", "");
    let mut bob = come(&server, &channel, "bob", "");
    let ack = ann.ask(json!({"type": "message", "content": "hi", "nonce": "n1"}));
    assert_eq!((&ack["nonce"], &ack["sequence"]), (&json!("n1"), &json!(1)));
    let again = ann.ask(json!({"type": "message", "content": "hi", "nonce": "n1"}));
    assert_eq!(again["sequence"], 1);
    bob.ask(json!({
        "type": "message", "content": "yes", "replyTo": 1, "data": {"mentions": ["ann"]},
    }));
    ann.ask(json!({"type": "message_edit", "sequence": 1, "content": "hello"}));
    bob.ask(json!({"type": "reaction_add", "sequence": 1, "emoji": "👍"}));
    bob.ask(json!({"type": "reaction_remove", "sequence": 1, "emoji": "👍"}));
    ann.ask(json!({"type": "pin", "sequence": 2}));
    ann.ask(json!({"type": "unpin", "sequence": 2}));
    ann.ask(json!({"type": "message_delete", "sequence": 1}));
    let told = log_until(&mut bob, 8);
    assert_eq!(places(&told), (1..=8).collect::<Vec<_>>());
    assert_eq!(log_until(&mut ann, 8), told);
    let kinds: Vec<_> = told
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "message",
            "message",
            "message_edit",
            "reaction_add",
            "reaction_remove",
            "pin",
            "unpin",
            "message_delete",
        ]
    );
    let [hi, yes, edit, add, _, pin, _, delete] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(
        (&hi["id"], &hi["author"], &hi["content"]),
        (
            &json!(format!("{}-1", channel.id)),
            &json!("ann"),
            &json!("hi")
        )
    );
    assert!(hi["createdAt"].is_string());
    assert_eq!(
        (&yes["replyTo"], &yes["data"]),
        (&json!(1), &json!({"mentions": ["ann"]}))
    );
    assert_eq!(
        (&edit["sequence"], &edit["content"], &edit["author"]),
        (&json!(1), &json!("hello"), &json!("ann"))
    );
    assert_eq!(
        (&add["sequence"], &add["emoji"], &add["userId"]),
        (&json!(1), &json!("👍"), &json!("bob"))
    );
    assert_eq!(
        (&pin["sequence"], &pin["userId"]),
        (&json!(2), &json!("ann"))
    );
    assert_eq!(delete["sequence"], 1);
}

#[test]
fn whoever_comes_back_gets_exactly_what_was_missed_while_others_go_on() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut seen = 0;
    for round in 0..6_u64 {
        let mut bob = come(&server, &channel, "bob", &format!("&after={seen}"));
        let mut ann = come(&server, &channel, "ann", "");
        for number in 1..=20 {
            let content = format!("{round} {number}");
            ann.ask(json!({"type": "message", "content": content}));
        }
        // The connection is lost at some place; what was on its way then is told again.
        let upto = round * 20 + 7 + round;
        let told = log_until(&mut bob, upto);
        assert_eq!(places(&told), (seen + 1..=upto).collect::<Vec<_>>());
        seen = upto;
    }
    let mut bob = come(&server, &channel, "bob", &format!("&after={seen}"));
    let rest = log_until(&mut bob, 120);
    assert_eq!(places(&rest), (seen + 1..=120).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_resumed_is_to_be_loaded_anew() {
    let server = TestServer::start();
    let channel = server.channel_with(&json!({"name": "room", "retention": {"maxEvents": 5}}));
    let mut head = 0;
    eventually("the oldest events go", || {
        server.expect(201, channel.says("ann", "x"));
        head += 1;
        let read = get(&channel.at("/events?afterSeq=3"));
        head > 10 && server.send(read).status == 410
    });
    for after in [3, head + 99] {
        let target = format!("/ws/channel/{}?user=bob&after={after}&recent=2", channel.id);
        let mut bob = Member::of(&server, &target);
        let reload = bob.client.frame();
        assert_eq!(
            (&reload["type"], &reload["head"]),
            (&json!("reload"), &json!(head))
        );
        assert!(reload["oldest"].as_u64().unwrap() > 4);
        bob.client.next_of("messages");
    }
}

#[test]
fn who_comes_is_shown_the_newest_messages_who_writes_and_who_is_there() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut ann = come(&server, &channel, "ann", "");
    for number in 1..=9 {
        ann.ask(json!({"type": "message", "content": number.to_string()}));
    }
    ann.ask(json!({"type": "typing", "isTyping": true}));
    let target = format!("/ws/channel/{}?user=bob&recent=3", channel.id);
    let mut bob = Member::of(&server, &target);
    assert_eq!(bob.welcome["sequence"], 9);
    let messages = bob.client.frame();
    assert_eq!(messages["type"], "messages", "{messages}");
    assert_eq!(messages["hasMore"], true);
    let typing = bob.client.frame();
    assert_eq!(typing, json!({"type": "typing", "users": ["ann"]}));
    let there = bob.client.frame();
    assert_eq!(
        there,
        json!({"type": "participants", "users": ["ann", "bob"], "count": 2})
    );
    let shown = messages["messages"].as_array().unwrap();
    let mut contents: Vec<Value> = shown.iter().map(|one| one["content"].clone()).collect();
    if messages["sequence"].as_u64().unwrap() < 9 {
        let told = log_until(&mut bob, 9);
        contents.extend(told.iter().map(|one| one["content"].clone()));
    }
    assert_eq!(contents, ["7", "8", "9"]);
}

#[test]
fn typing_ends_by_itself_three_seconds_after_it_was_last_said() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut ann = come(&server, &channel, "ann", "");
    let mut bob = come(&server, &channel, "bob", "");
    let begun = Instant::now();
    ann.ask(json!({"type": "typing", "isTyping": true}));
    let is_typing =
        |users: Value| move |frame: &Value| frame["type"] == "typing" && frame["users"] == users;
    bob.client.wait_for(is_typing(json!(["ann"])));
    bob.client.wait_for(is_typing(json!([])));
    let lasted = begun.elapsed().as_millis();
    assert!(lasted >= 2_900, "{lasted}");
    ann.ask(json!({"type": "typing", "isTyping": true}));
    bob.client.wait_for(is_typing(json!(["ann"])));
    ann.ask(json!({"type": "typing", "isTyping": false}));
    bob.client.wait_for(is_typing(json!([])));
}

#[test]
fn who_is_there_is_told_as_it_changes_and_a_page_that_is_loaded_again_is_no_change() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 120_000);
    let channel = server.channel();
    let mut ann = come(&server, &channel, "ann", "");
    let bob = come(&server, &channel, "bob", "");
    let joined = ann.client.next_of("participants_update");
    assert_eq!(
        joined,
        json!({"type": "participants_update", "joined": ["bob"], "left": [], "count": 2})
    );
    drop(bob);
    let bob = come(&server, &channel, "bob", "");
    let phone = come(&server, &channel, "bob", "");
    drop(bob);
    ann.ask(json!({"type": "message", "content": "still two"}));
    assert!(
        ann.client
            .so_far()
            .iter()
            .all(|frame| frame["type"] != "participants_update")
    );
    shorten_grace(&server);
    drop(phone);
    let left = ann.client.next_of("participants_update");
    assert_eq!(
        (&left["left"], &left["count"]),
        (&json!(["bob"]), &json!(1))
    );
}

#[test]
fn every_frame_that_cannot_be_done_says_why() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut ann = come(&server, &channel, "ann", "");
    ann.ask(json!({"type": "message", "content": "one"}));
    let long = "x".repeat(200_000);
    for (frame, code) in [
        (json!({"type": "message"}), "INVALID_REQUEST"),
        (json!({"type": "message", "content": ""}), "INVALID_REQUEST"),
        (json!({"type": "message", "content": 1}), "INVALID_REQUEST"),
        (
            json!({"type": "message", "content": long}),
            "EVENT_TOO_LARGE",
        ),
        (
            json!({"type": "message", "content": "a", "data": []}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "message", "content": "a", "replyTo": 0}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "message", "content": "a", "replyTo": 99}),
            "NOT_FOUND",
        ),
        (
            json!({"type": "message_edit", "sequence": 1}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "message_edit", "content": "a"}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "message_edit", "sequence": 7, "content": "a"}),
            "NOT_FOUND",
        ),
        (
            json!({"type": "message_delete", "sequence": 0}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "message_delete", "sequence": -1}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "reaction_add", "sequence": 1}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "reaction_add", "sequence": 1, "emoji": ""}),
            "INVALID_REQUEST",
        ),
        (json!({"type": "pin", "sequence": "1"}), "INVALID_REQUEST"),
        (json!({"type": "typing", "isTyping": 1}), "INVALID_REQUEST"),
        (
            json!({"type": "presence_update", "status": "idle"}),
            "UNKNOWN_ACTION",
        ),
    ] {
        ann.refused(frame, code);
    }
    let mut nobody = Member::of(&server, &format!("/ws/channel/{}", channel.id));
    nobody.refused(
        json!({"type": "message", "content": "a"}),
        "INVALID_REQUEST",
    );
    for (target, status) in [
        ("/ws/channel/zzz".to_owned(), 404),
        ("/ws/channel/000000000000".to_owned(), 404),
        (format!("/ws/channel/{}?after=x", channel.id), 400),
        (format!("/ws/channel/{}?recent=-1", channel.id), 400),
    ] {
        server.expect(status, socket(&target));
    }
}

#[test]
fn rights_are_those_of_the_credentials_and_end_with_them() {
    let keys = "default:read:k-read default:write:k-write default:admin:k-admin";
    let server = TestServer::with(|settings| settings.api_keys = keys.into());
    let made = post("/v1/channels")
        .key("k-admin")
        .value(&json!({"name": "room"}));
    let channel = Channel::of(&server.expect(201, made));
    let target = format!("/ws/channel/{}", channel.id);
    server.expect(401, socket(&target));
    let signed = post("/v1/tokens")
        .key("k-admin")
        .value(&json!({"user": "mia", "rights": ["read", "presence"]}));
    let signed = server.expect(201, signed).json();
    let token = signed["token"].as_str().unwrap().to_owned();
    let offered = format!("floe.token, {token}");
    let mut mia = Member::with(
        &server,
        &socket(&target).field("Sec-WebSocket-Protocol", &offered),
    );
    mia.refused(json!({"type": "message", "content": "a"}), "FORBIDDEN");
    mia.refused(json!({"type": "typing"}), "FORBIDDEN");
    let user = format!("{target}?user=ann");
    server.expect(403, socket(&user).key("k-read"));
    let mut ann = Member::with(&server, &socket(&user).key("k-admin"));
    ann.ask(json!({"type": "message", "content": "hi"}));
    let gone = crate::harness::delete(&channel.at("")).key("k-admin");
    server.send(gone);
    let goodbye = mia.client.next_of("error");
    assert_eq!(goodbye["code"], "GONE", "{goodbye}");
    assert!(matches!(mia.client.hear(), Heard::Close(Some(_))));
}

#[test]
fn a_reader_that_stops_reading_is_closed_and_nobody_else_notices() {
    let server = TestServer::with(|settings| settings.limits.reader_stall_timeout_ms = 400);
    let channel = server.channel();
    let stuck = come(&server, &channel, "stuck", "");
    let mut quick = come(&server, &channel, "quick", "");
    let content = "x".repeat(4_000);
    let mut number = 0;
    let code = "floe_errors_total{code=\"SLOW_CONSUMER\"}";
    eventually("the slow one is closed", || {
        let all: Vec<&str> = std::iter::repeat_n(content.as_str(), 100).collect();
        server.expect(201, channel.says_all("ann", &all));
        number += 100;
        let told = log_until(&mut quick, number);
        assert_eq!(told.len(), 100);
        server.metric(code) == 1.0
    });
    drop(stuck);
    let mut back = come(&server, &channel, "stuck", "&after=0");
    assert_eq!(
        places(&log_until(&mut back, number)),
        (1..=number).collect::<Vec<_>>()
    );
}
