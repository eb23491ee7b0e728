//! Where the events of a room begin for whoever joins it, and that none is missing or there twice.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Client, TestServer, channel, channel_by, contents, delete, get, post, put, seqs};
use crate::harness::{eventually, offset};

#[test]
fn history_comes_first_then_the_word_that_it_is_over_then_what_happens() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 3);
    let mut client = Client::of(&server);
    let joined = client.join(&channel.room, json!({"after": 1, "user": "ann"}));
    let expected = json!({
        "type": "joined", "id": 1, "room": channel.room, "contentType": "application/json",
        "head": 3, "start": 1, "seq": 1, "user": "ann",
    });
    assert_eq!(joined, expected);
    let all = channel.read(&server);
    let history = json!({
        "type": "events", "room": channel.room, "events": all[1..], "next": 3,
    });
    assert_eq!(client.frame(), history);
    assert_eq!(
        client.frame(),
        json!({"type": "live", "room": channel.room, "seq": 3})
    );
    let event = channel.post(&server, "bob", "news");
    let news = json!({"type": "events", "room": channel.room, "events": [event], "next": 4});
    assert_eq!(client.frame(), news);
    assert_eq!(client.so_far(), Vec::<Value>::new());
}

#[test]
fn events_begin_where_the_join_says() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 10);
    for (asked, seq) in [
        (json!({}), 10),
        (json!({"after": "now"}), 10),
        (json!({"after": null}), 10),
        (json!({"after": 10}), 10),
        (json!({"after": 7}), 7),
        (json!({"after": 0}), 0),
        (json!({"after": "start"}), 0),
        (json!({"limit": 4}), 6),
        (json!({"limit": 0}), 10),
        (json!({"limit": 100}), 0),
        (json!({"limit": 4, "after": 8}), 8),
        (json!({"limit": 4, "after": 2}), 6),
        (json!({"limit": 4, "after": "now"}), 10),
    ] {
        let mut client = Client::of(&server);
        let joined = client.join(&channel.room, asked.clone());
        assert_eq!(
            (&joined["seq"], &joined["head"]),
            (&json!(seq), &json!(10)),
            "{asked}"
        );
        if seq < 10 {
            let events = client.events_until(&channel.room, 10);
            assert_eq!(seqs(&events), (seq + 1..=10).collect::<Vec<_>>(), "{asked}");
        }
        assert_eq!(client.next_of("live")["seq"], 10);
        assert_eq!(client.so_far(), Vec::<Value>::new(), "{asked}");
    }
}

#[test]
fn a_room_may_be_joined_without_its_events() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 2);
    let mut client = Client::of(&server);
    let joined = client.join(&channel.room, json!({"events": false, "after": "start"}));
    assert_eq!(joined["head"], 2);
    assert_eq!(client.append(&channel.room, "ann", "said"), 3);
    assert_eq!(client.so_far(), Vec::<Value>::new());
}

#[test]
fn joins_that_cannot_be_are_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 2);
    let mut client = Client::of(&server);
    let join = |room: &str, more: Value| {
        let mut join = json!({"type": "join", "room": room});
        for (name, value) in more.as_object().unwrap() {
            join[name] = value.clone();
        }
        join
    };
    let here = channel.room.as_str();
    for (room, more, code) in [
        ("channel/0123456789ab", json!({}), "NOT_FOUND"),
        ("stream/none", json!({}), "NOT_FOUND"),
        (here, json!({"after": 3}), "INVALID_OFFSET"),
        (here, json!({"after": u64::MAX}), "INVALID_OFFSET"),
        (here, json!({"after": "then"}), "INVALID_REQUEST"),
        (here, json!({"after": -1}), "INVALID_FRAME"),
        (here, json!({"after": 1.5}), "INVALID_FRAME"),
        (here, json!({"presence": "member"}), "INVALID_REQUEST"),
        (
            here,
            json!({"presence": "here", "user": "ann"}),
            "INVALID_REQUEST",
        ),
        (
            here,
            json!({"presence": "watch", "data": {}}),
            "INVALID_REQUEST",
        ),
        (here, json!({"user": "x".repeat(129)}), "INVALID_REQUEST"),
        (here, json!({"user": ""}), "INVALID_REQUEST"),
        (here, json!({"limit": -1}), "INVALID_FRAME"),
        (here, json!({"what": 1}), "INVALID_FRAME"),
        (&here.to_uppercase(), json!({}), "INVALID_REQUEST"),
        ("lobby", json!({}), "INVALID_REQUEST"),
        ("stream/", json!({}), "INVALID_REQUEST"),
    ] {
        let asked = join(room, more);
        let error = client.ask(asked.clone());
        assert_eq!(error["code"], code, "{asked}: {error}");
        assert_eq!(error["type"], "error");
    }
    client.join(here, json!({}));
    client.refused(join(here, json!({})), "ALREADY_JOINED");
    // The first is still there.
    client.next_of("live");
    channel.post(&server, "ann", "news");
    assert_eq!(contents(&client.events_until(here, 3)), ["news"]);
}

#[test]
fn streams_of_the_server_itself_cannot_be_joined_as_streams() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    for room in [
        format!("stream/__channel__/{}", channel.id),
        "stream/__ds/x".to_owned(),
    ] {
        client.refused(json!({"type": "join", "room": room}), "NOT_FOUND");
    }
}

#[test]
fn a_connection_joins_no_more_rooms_than_it_may() {
    let server = TestServer::with(|settings| settings.limits.live_rooms_max = 3);
    let rooms: Vec<_> = (0..4).map(|_| channel(&server).room).collect();
    let mut client = Client::of(&server);
    for room in &rooms[..3] {
        client.join(room, json!({}));
    }
    let join = json!({"type": "join", "room": rooms[3]});
    client.refused(join.clone(), "LIMIT_REACHED");
    let left = client.ask(json!({"type": "leave", "room": rooms[0]}));
    assert_eq!(left["type"], "left");
    assert_eq!(client.ask(join)["type"], "joined");
}

#[test]
fn joins_count_as_live_readers_and_are_forgotten_with_the_connection() {
    let server = TestServer::with(|settings| settings.limits.readers_max = 2);
    let rooms: Vec<_> = (0..3).map(|_| channel(&server).room).collect();
    let mut client = Client::of(&server);
    client.join(&rooms[0], json!({}));
    client.join(&rooms[1], json!({}));
    client.refused(json!({"type": "join", "room": rooms[2]}), "LIMIT_REACHED");
    assert_eq!(server.metric("floe_live_readers"), 2.0);
    drop(client);
    eventually("nobody reads", || server.metric("floe_live_readers") == 0.0);
}

#[test]
fn a_cursor_before_what_is_kept_is_refused_and_the_start_is_not() {
    let server = TestServer::start();
    let kept = json!({"name": "kept", "retention": {"maxEvents": 3}});
    let channel = channel_by(&server, &kept, |request| request);
    let mut early = Client::of(&server);
    early.join(&channel.room, json!({"after": "start"}));
    channel.fill(&server, 0, 4);
    channel.fill(&server, 4, 6);
    let start = || {
        let read = server.expect(200, get(&channel.path("/events"))).json();
        read["events"][0]["seq"].as_u64()
    };
    eventually("old events go", || start() == Some(8));
    let mut client = Client::of(&server);
    let join = json!({"type": "join", "room": channel.room, "after": 6});
    client.refused(join, "OFFSET_EXPIRED");
    let none = json!({"type": "join", "room": channel.room, "after": 0});
    client.refused(none, "OFFSET_EXPIRED");
    let joined = client.join(&channel.room, json!({"after": "start"}));
    assert_eq!((&joined["start"], &joined["seq"]), (&json!(8), &json!(7)));
    assert_eq!(seqs(&client.events_until(&channel.room, 10)), [8, 9, 10]);
    // Who was there all the time has seen all.
    assert_eq!(early.events_until(&channel.room, 10).len(), 10);
}

#[test]
fn nothing_is_missing_or_there_twice_while_a_writer_appends_during_the_join() {
    let server = TestServer::start();
    let channel = channel(&server);
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writer = Client::of(&server);
            let mut last = 0;
            while !ends.load(Ordering::Relaxed) {
                last = writer.append(&channel.room, "ann", &last.to_string());
            }
        });
        let mut readers = Vec::new();
        for round in 0..40 {
            let mut reader = Client::of(&server);
            let after = match round % 3 {
                0 => json!({"after": "start"}),
                1 => json!({"limit": 5}),
                _ => json!({}),
            };
            let from = reader.join(&channel.room, after)["seq"].as_u64().unwrap();
            readers.push((reader, from));
        }
        ends.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        // One that all of them see, wherever they began.
        let last = Client::of(&server).append(&channel.room, "ann", "last");
        for (mut reader, from) in readers {
            let events = reader.events_until(&channel.room, last);
            assert_eq!(seqs(&events), (from + 1..=last).collect::<Vec<_>>());
            let lives = reader.so_far();
            assert_eq!(lives.len(), 1, "{lives:?}");
        }
    });
}

#[test]
fn many_rooms_on_one_socket_do_not_mix() {
    let server = TestServer::start();
    let rooms: Vec<_> = (0..50).map(|_| channel(&server)).collect();
    let mut client = Client::of(&server);
    for room in &rooms {
        client.join(&room.room, json!({}));
    }
    let mut writer = Client::of(&server);
    for round in 1..=5 {
        for (number, room) in rooms.iter().enumerate() {
            let content = format!("{number}:{round}");
            writer.append(&room.room, "ann", &content);
        }
    }
    for (number, room) in rooms.iter().enumerate() {
        let events = client.events_until(&room.room, 5);
        let expected: Vec<_> = (1..=5).map(|round| format!("{number}:{round}")).collect();
        assert_eq!(contents(&events), expected);
    }
}

#[test]
fn nothing_of_a_room_comes_after_it_was_left() {
    let server = TestServer::start();
    let (left, kept) = (channel(&server), channel(&server));
    let mut client = Client::of(&server);
    client.join(&left.room, json!({"presence": "watch", "memory": true}));
    client.join(&kept.room, json!({}));
    client.so_far();
    let answer = client.ask(json!({"type": "leave", "room": left.room}));
    assert_eq!(
        answer,
        json!({"type": "left", "id": answer["id"], "room": left.room})
    );
    left.post(&server, "ann", "unheard");
    kept.post(&server, "ann", "heard");
    assert_eq!(client.frame()["room"], kept.room);
    client.refused(json!({"type": "leave", "room": left.room}), "NOT_JOINED");
    // And back again, from where it stopped.
    client.join(&left.room, json!({"after": 0}));
    assert_eq!(contents(&client.events_until(&left.room, 1)), ["unheard"]);
}

#[test]
fn leaving_and_joining_again_under_a_fan_out_loses_and_repeats_nothing() {
    let server = TestServer::start();
    let channel = channel(&server);
    // So many that a fan-out takes several turns of the loop.
    let mut crowd: Vec<_> = (0..150)
        .map(|_| {
            let mut client = Client::of(&server);
            client.join(&channel.room, json!({"after": 0}));
            client
        })
        .collect();
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writer = Client::of(&server);
            let mut last = 0;
            while last < 100 || !ends.load(Ordering::Relaxed) {
                last = writer.append(&channel.room, "ann", &last.to_string());
            }
            last
        });
        for client in crowd.iter_mut().step_by(10) {
            let mut seen = 0;
            for _ in 0..20 {
                client.say(&json!({"type": "leave", "id": "l", "room": channel.room}));
                loop {
                    let frame = client.frame();
                    match frame["type"].as_str().unwrap() {
                        "left" => break,
                        "events" => {
                            for event in frame["events"].as_array().unwrap() {
                                seen += 1;
                                assert_eq!(event["seq"], seen);
                            }
                        }
                        "live" => {}
                        other => panic!("{other}"),
                    }
                }
                client.join(&channel.room, json!({"after": seen}));
            }
            client.say(&json!({"type": "leave", "room": channel.room}));
        }
        ends.store(true, Ordering::Relaxed);
        let last = writer.join().unwrap();
        for (number, client) in crowd.iter_mut().enumerate() {
            if number % 10 != 0 {
                let events = client.events_until(&channel.room, last);
                assert_eq!(seqs(&events), (1..=last).collect::<Vec<_>>());
            }
        }
    });
    let stay = (crowd.len() - crowd.len().div_ceil(10)) as f64;
    assert_eq!(server.metric("floe_live_readers"), stay);
}

#[test]
fn a_channel_that_is_deleted_ends_for_those_in_it() {
    let server = TestServer::start();
    let (gone, kept) = (channel(&server), channel(&server));
    let mut client = Client::of(&server);
    client.join(&gone.room, json!({"presence": "member", "user": "ann"}));
    client.join(&kept.room, json!({}));
    client.so_far();
    server.expect(200, delete(&gone.path("")));
    let closed = client.next_of("closed");
    assert_eq!(
        (&closed["room"], &closed["code"], &closed["retry"]),
        (&json!(gone.room), &json!("GONE"), &json!("never"))
    );
    client.refused(json!({"type": "join", "room": gone.room}), "GONE");
    client.refused(
        json!({"type": "typing", "room": gone.room, "typing": true}),
        "NOT_JOINED",
    );
    kept.post(&server, "ann", "still here");
    assert_eq!(
        contents(&client.events_until(&kept.room, 1)),
        ["still here"]
    );
}

#[test]
fn a_stream_that_is_deleted_ends_and_a_new_one_of_its_name_is_another() {
    let server = TestServer::start();
    server.expect(201, put("list").json("[1,2]"));
    let mut client = Client::of(&server);
    client.join("stream/list", json!({"after": "start"}));
    assert_eq!(client.events_until("stream/list", 2), [json!(1), json!(2)]);
    server.expect(204, delete("list"));
    assert_eq!(client.next_of("closed")["code"], "GONE");
    server.expect(201, put("list").json("[3]"));
    client.join("stream/list", json!({"after": "start"}));
    assert_eq!(client.events_until("stream/list", 1), [json!(3)]);
}

#[test]
fn a_stream_that_is_closed_says_so_after_its_last_message() {
    let server = TestServer::start();
    server.expect(201, put("list").json("[1]"));
    let mut client = Client::of(&server);
    let joined = client.join("stream/list", json!({"after": "start"}));
    assert_eq!(joined.get("closed"), None);
    server.expect(204, post("list").json("[2]").closed());
    assert_eq!(client.events_until("stream/list", 2), [json!(1), json!(2)]);
    let closed = client.next_of("closed");
    assert_eq!(
        (&closed["code"], &closed["retry"]),
        (&json!("CLOSED"), &json!("never"))
    );
    let joined = client.join("stream/list", json!({"after": 1}));
    assert_eq!(joined["closed"], true);
    assert_eq!(client.events_until("stream/list", 2), [json!(2)]);
    assert_eq!(client.next_of("closed")["code"], "CLOSED");
}

#[test]
fn text_comes_whole_and_bytes_come_in_base64() {
    let server = TestServer::with(|settings| settings.limits.sse_event_bytes_max = 100);
    let text = "grün, \u{20ac}, \u{1f600}; ".repeat(60);
    server.expect(201, put("text").text(&text));
    let bytes: Vec<u8> = (0..2_000).map(|number| (number % 251) as u8).collect();
    server.expect(201, put("bytes").body(&bytes));
    let mut client = Client::of(&server);
    let joined = client.join("stream/text", json!({"after": "start"}));
    assert_eq!(joined["contentType"], "text/plain");
    assert_eq!(joined["head"], text.len());
    let pieces = client.events_until("stream/text", text.len() as u64);
    assert!(pieces.len() > 5);
    let read: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
    assert_eq!(read, text);
    client.join("stream/bytes", json!({"after": "start"}));
    let (mut read, mut next) = (Vec::new(), 0);
    while next < 2_000 {
        let frame = client.next_of("events");
        assert_eq!(frame["encoding"], "base64");
        let piece = frame["events"][0].as_str().unwrap();
        read.extend(STANDARD.decode(piece).unwrap());
        next = frame["next"].as_u64().unwrap();
        assert_eq!(next, read.len() as u64);
    }
    assert_eq!(read, bytes);
    // A cursor of one transport is one of every other.
    let rest = server
        .expect(200, get(&format!("text?offset={}", offset(7))))
        .text();
    client.ask(json!({"type": "leave", "room": "stream/text"}));
    client.join("stream/text", json!({"after": 7}));
    let pieces = client.events_until("stream/text", text.len() as u64);
    let read: String = pieces.iter().map(|piece| piece.as_str().unwrap()).collect();
    assert_eq!(read, rest);
}

#[test]
fn names_of_streams_are_written_as_they_are() {
    let server = TestServer::start();
    server.expect(201, put("a%20b/%C3%BC").json("[7]"));
    let mut client = Client::of(&server);
    client.join("stream/a b/\u{fc}", json!({"after": "start"}));
    assert_eq!(client.events_until("stream/a b/\u{fc}", 1), [json!(7)]);
    client.refused(
        json!({"type": "join", "room": "stream/a%20b/%C3%BC"}),
        "NOT_FOUND",
    );
}
