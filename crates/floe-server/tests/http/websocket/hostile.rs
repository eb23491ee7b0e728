//! What no client should send. The server goes on, and nobody else notices.

use serde_json::{Value, json};

use super::client::masked;
use super::{Channel, Client, TestServer, channel, put, seqs};
use floe_surfaces::live::cbor;
use floe_surfaces::ws::Opcode;

/// A row of numbers that look random and are always the same.
struct Row(u64);

impl Row {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Checks that the server still does what it should, for somebody else.
#[track_caller]
fn goes_on(server: &TestServer, channel: &Channel) {
    let mut client = Client::of(server);
    let from = client.join(&channel.room, json!({}))["seq"]
        .as_u64()
        .unwrap();
    let seq = client.append(&channel.room, "ann", "still here");
    let events = client.events_until(&channel.room, seq);
    assert_eq!(seqs(&events), (from + 1..=seq).collect::<Vec<_>>());
}

#[test]
fn noise_after_the_handshake_ends_that_connection_alone() {
    let server = TestServer::start();
    let channel = channel(&server);
    for seed in 1..=100 {
        let mut row = Row(seed * 0x9e37_79b9);
        let mut client = Client::of(&server);
        let len = row.below(2_000);
        let noise = row.bytes(len);
        client.try_write(&noise);
        client.finish();
        client.rest();
    }
    goes_on(&server, &channel);
}

#[test]
fn noise_in_good_frames_is_refused_frame_by_frame() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut row = Row(7);
    let mut client = Client::cbor(&server);
    for _ in 0..500 {
        let len = row.below(60);
        let payload = row.bytes(len);
        client.send(Opcode::Binary, &payload);
        assert_eq!(client.frame()["type"], "error", "{payload:x?}");
    }
    assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
    goes_on(&server, &channel);
}

#[test]
fn frames_that_are_almost_right_never_do_harm() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 5);
    server.expect(201, put("list").json("[1]"));
    let room = channel.room.as_str();
    let frames: Vec<Vec<u8>> = [
        json!({"type": "join", "id": 1, "room": room, "after": 2, "limit": 3, "user": "ann",
            "presence": "member", "data": {"a": [1, "\u{1f600}"]}, "memory": "k"}),
        json!({"type": "append", "id": "x", "room": room, "content": "hi", "authorId": "bob",
            "idempotencyKey": "k"}),
        json!({"type": "append", "room": room, "kind": "deletion", "targetSeq": 3}),
        json!({"type": "append", "room": "stream/list", "events": [1, {"a": null}]}),
        json!({"type": "memory", "id": 2, "room": room, "op": "set", "key": "k", "value": 1,
            "ttlMs": 50, "ifVersion": 0}),
        json!({"type": "memory", "room": room, "op": "list", "prefix": "k", "limit": 5}),
        json!({"type": "presence", "room": room, "data": [null]}),
        json!({"type": "members", "room": room, "after": "a", "limit": 7}),
        json!({"type": "typing", "room": room, "typing": true}),
        json!({"type": "leave", "id": 3, "room": room}),
        json!({"type": "join", "room": "stream/list", "after": "start"}),
        json!({"type": "leave", "room": "stream/list"}),
    ]
    .iter()
    .map(|frame| frame.to_string().into_bytes())
    .collect();
    let mut row = Row(11);
    for round in 0..12 {
        let mut client = if round % 2 == 0 {
            Client::of(&server)
        } else {
            Client::cbor(&server)
        };
        for _ in 0..120 {
            let mut frame = frames[row.below(frames.len())].clone();
            if round % 2 == 1 {
                let json = std::mem::take(&mut frame);
                cbor::one_from_json(&json, &mut frame);
            }
            for _ in 0..row.below(3) {
                let at = row.below(frame.len());
                match row.below(4) {
                    0 => frame[at] = (row.next() >> 16) as u8,
                    1 => drop(frame.remove(at)),
                    2 => frame.insert(at, b"0123456789\"{}[],:"[row.below(17)]),
                    _ => frame.truncate(at.max(1)),
                }
            }
            match round % 2 {
                // What is no text would end the connection, as it should.
                0 => client.send(Opcode::Text, String::from_utf8_lossy(&frame).as_bytes()),
                _ => client.send(Opcode::Binary, &frame),
            }
        }
        client.say(&json!({"type": "ping", "id": "end"}));
        let pong = client.wait_for(|frame| frame["id"] == "end");
        assert_eq!(pong["type"], "pong");
    }
    goes_on(&server, &channel);
}

#[test]
fn thousands_of_tiny_frames_are_all_answered() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    let mut sender = client.socket.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut all = Vec::new();
        for _ in 0..20_000 {
            all.extend(masked(Opcode::Text, b"{}"));
            all.extend(masked(Opcode::Ping, b""));
            all.extend(masked(Opcode::Pong, b"x"));
        }
        sender.write_all(&all).unwrap();
    });
    let (mut errors, mut pongs) = (0, 0);
    while (errors, pongs) != (20_000, 20_000) {
        match client.hear() {
            super::Heard::Frame(frame) => {
                assert_eq!(frame["code"], "INVALID_FRAME");
                errors += 1;
            }
            super::Heard::Pong(_) => pongs += 1,
            other => panic!("{other:?}"),
        }
    }
    sending.join().unwrap();
    goes_on(&server, &channel);
}

#[test]
fn frames_for_rooms_that_were_never_joined_are_refused() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    for room in [channel.room.as_str(), "channel/0123456789ab", "stream/none"] {
        for frame in [
            json!({"type": "leave", "room": room}),
            json!({"type": "presence", "room": room, "data": 1}),
            json!({"type": "typing", "room": room, "typing": true}),
            json!({"type": "members", "room": room}),
            json!({"type": "memory", "room": room, "op": "list"}),
            json!({"type": "memory", "room": room, "op": "set", "key": "a", "value": 1}),
            json!({"type": "memory", "room": room, "op": "delete", "key": "a"}),
        ] {
            client.refused(frame, "NOT_JOINED");
        }
    }
    goes_on(&server, &channel);
}

#[test]
fn connections_that_break_at_any_byte_leave_nothing_behind() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 0);
    let channel = channel(&server);
    let join = json!({
        "type": "join", "room": channel.room, "presence": "member", "user": "ann", "memory": true,
    });
    let whole = masked(Opcode::Text, join.to_string().as_bytes());
    for end in (0..=whole.len()).step_by(7) {
        let mut client = Client::of(&server);
        client.write(&whole[..end]);
        drop(client);
    }
    crate::harness::eventually("all are forgotten", || {
        server.metric("floe_live_readers") == 0.0
    });
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"presence": "watch"}));
    let presence = client.next_of("presence");
    assert_eq!(
        (&presence["count"], &presence["members"]),
        (&json!(0), &json!([]))
    );
    goes_on(&server, &channel);
}

#[test]
fn a_flood_of_joins_and_leaves_ends_where_it_began() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    let mut all = Vec::new();
    for _ in 0..500 {
        for kind in ["join", "leave"] {
            all.extend(client.written(&json!({"type": kind, "room": channel.room})));
        }
    }
    let mut writer = Client::of(&server);
    client.write(&all);
    for _ in 0..20 {
        writer.append(&channel.room, "ann", "meanwhile");
    }
    let frames = client.so_far();
    let count = |kind: &str| {
        frames
            .iter()
            .filter(|frame: &&Value| frame["type"] == kind)
            .count()
    };
    assert_eq!(
        (count("joined"), count("left"), count("error")),
        (500, 500, 0)
    );
    assert_eq!(server.metric("floe_live_readers"), 0.0);
    goes_on(&server, &channel);
}
