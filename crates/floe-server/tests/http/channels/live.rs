//! Following a channel: server-sent events and long-polls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{contents, seqs};
use crate::harness::{Channel, Events, TestServer, eventually, get};

/// Reads the next message and checks that it is whole.
#[track_caller]
fn next(events: &mut Events) -> Value {
    let message = events.message().expect("the answer ended");
    assert_eq!(message.kind, "message");
    let event = message.json();
    assert_eq!(event["seq"].as_u64(), Some(message.seq()));
    event
}

#[test]
fn history_comes_first_and_then_what_is_new() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 5);
    let target = channel.at("/subscribe?afterSeq=2");
    let mut events = server.connect().follow(&get(&target));
    assert_eq!(events.head.header("cache-control"), Some("no-cache"));
    let connected = events.message().unwrap();
    assert_eq!(
        (connected.kind.as_str(), connected.id.as_deref()),
        ("connected", None)
    );
    assert_eq!(
        connected.json(),
        json!({ "channelId": channel.id, "afterSeq": 2 })
    );
    for seq in 3..=5 {
        assert_eq!(next(&mut events)["seq"], seq);
    }
    for seq in 6..=10 {
        let said = server.say(&channel, "ann", "new");
        assert_eq!(next(&mut events), said);
        assert_eq!(said["seq"], seq);
    }
}

#[test]
fn the_last_event_seen_goes_before_what_the_address_says() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 5);
    for (target, last, first) in [
        ("/subscribe?afterSeq=1", None, 2),
        ("/subscribe?afterSeq=1", Some("3"), 4),
        ("/subscribe", Some("4"), 5),
        ("/subscribe?afterSeq=4", Some("0"), 1),
        ("/subscribe?afterSeq=4", Some(""), 5),
        ("/subscribe", None, 1),
    ] {
        let mut request = get(&channel.at(target));
        if let Some(last) = last {
            request = request.field("Last-Event-ID", last);
        }
        let mut events = server.connect().follow(&request);
        let connected = events.message().unwrap();
        assert_eq!(connected.json()["afterSeq"], first - 1);
        assert_eq!(next(&mut events)["seq"], first, "{target} {last:?}");
    }
    for last in ["x", "-1", "1.5", "99999999999999999999", "5 5"] {
        let request = get(&channel.at("/subscribe")).field("Last-Event-ID", last);
        server.send(request).refused(400, "INVALID_REQUEST");
    }
}

#[test]
fn a_reader_from_beyond_the_newest_event_is_refused() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 5);
    for target in ["/subscribe?afterSeq=6", "/poll?afterSeq=6"] {
        let answer = server.send(get(&channel.at(target)));
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    let target = format!("/channel/subscribe?channelId={}&afterSeq=6", channel.id);
    server.send(get(&target)).refused(400, "INVALID_REQUEST");
}

#[test]
fn readers_that_come_and_go_while_others_write_miss_nothing_and_see_nothing_twice() {
    const EVENTS: u64 = 600;
    let server = TestServer::with(|settings| settings.limits.sse_event_bytes_max = 1_000);
    let channel = server.channel();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (server, channel, done) = (&server, &channel, &done);
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                scope.spawn(move || {
                    let mut connection = server.connect();
                    for number in 0..EVENTS / 3 {
                        let request = channel.says(&format!("{writer}"), &format!("{number}"));
                        connection.ask(&request).expect(201);
                    }
                })
            })
            .collect();
        let readers: Vec<_> = (0..6_u64)
            .map(|reader| {
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while seen.len() < EVENTS as usize {
                        let last = seen.last().copied().unwrap_or(0);
                        if reader % 2 == 0 {
                            follow_for(server, channel, last, 7 + reader * 13, &mut seen);
                        } else {
                            poll_once(server, channel, last, 1 + reader * 3, &mut seen);
                        }
                    }
                    seen
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), (1..=EVENTS).collect::<Vec<_>>());
        }
    });
    assert!(done.load(Ordering::Relaxed));
    eventually("nobody reads", || server.metric("floe_live_readers") == 0.0);
}

/// Reads some events of a stream and drops it, perhaps in the middle of one.
fn follow_for(server: &TestServer, channel: &Channel, last: u64, count: u64, seen: &mut Vec<u64>) {
    let request = get(&channel.at("/subscribe?afterSeq=0")).field("Last-Event-ID", last);
    let mut events = server.connect().follow(&request);
    assert_eq!(events.message().unwrap().json()["afterSeq"], last);
    for _ in 0..count.min(600 - seen.len() as u64) {
        seen.push(next(&mut events)["seq"].as_u64().unwrap());
    }
}

fn poll_once(server: &TestServer, channel: &Channel, last: u64, limit: u64, seen: &mut Vec<u64>) {
    let target = channel.at(&format!("/poll?afterSeq={last}&limit={limit}"));
    let body = server.expect(200, get(&target)).json();
    let part = seqs(&body);
    assert!(part.len() as u64 <= limit);
    let next = part.last().copied().unwrap_or(last);
    assert_eq!(body["nextAfterSeq"], next);
    seen.extend(part);
}

#[test]
fn a_long_poll_answers_at_once_or_waits_or_ends_with_nothing() {
    let server = TestServer::with(|settings| settings.limits.long_poll_timeout_ms = 200);
    let channel = server.channel();
    server.fill(&channel, 3);
    let polled = server.ask(&channel, "/poll?afterSeq=1&limit=1");
    assert_eq!((seqs(&polled), &polled["hasMore"]), (vec![2], &json!(true)));
    assert_eq!(polled["nextAfterSeq"], 2);
    let started = Instant::now();
    let nothing = server.ask(&channel, "/poll?afterSeq=3");
    assert!(started.elapsed() >= Duration::from_millis(180));
    assert_eq!(
        nothing,
        json!({ "events": [], "hasMore": false, "nextAfterSeq": 3 })
    );
    let empty = server.channel();
    let nothing = server.ask(&empty, "/poll");
    assert_eq!(nothing["nextAfterSeq"], 0);
    let server = server.restart_with(|settings| settings.limits.long_poll_timeout_ms = 20_000);
    let mut waiting = server.connect();
    waiting.write(get(&channel.at("/poll?afterSeq=3&limit=10")).bytes());
    eventually("the reader waits", || {
        server.metric("floe_live_readers") == 1.0
    });
    server.expect(201, channel.says_all("ann", &["4", "5"]));
    let polled = waiting.answer().expect(200).json();
    assert_eq!(
        (contents(&polled), &polled["nextAfterSeq"]),
        (vec!["4", "5"], &json!(5))
    );
    // The connection goes on.
    waiting.ask(&get(&channel.at(""))).expect(200);
}

#[test]
fn a_silent_stream_shows_that_it_is_alive_and_ends_after_its_time() {
    let server = TestServer::with(|settings| {
        settings.limits.sse_heartbeat_ms = 100;
        settings.limits.sse_timeout_ms = 2_500;
    });
    let channel = server.channel();
    server.fill(&channel, 1);
    let mut events = server.subscribe(&channel, 0);
    next(&mut events);
    assert_eq!(events.message(), None);
    // Heartbeats fall on whole seconds of the server's clock.
    assert!(
        (1..=3).contains(&events.heartbeats),
        "{}",
        events.heartbeats
    );
    let mut connection = events.into_connection();
    connection.ask(&get(&channel.at(""))).expect(200);
}

#[test]
fn a_stop_ends_readers_between_two_events() {
    let mut server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    let mut events = server.subscribe(&channel, 0);
    let mut poll = server.connect();
    poll.write(get(&channel.at("/poll?afterSeq=3")).bytes());
    eventually("all wait", || server.metric("floe_live_readers") == 2.0);
    server.stop();
    for seq in 1..=3 {
        assert_eq!(next(&mut events)["seq"], seq);
    }
    assert_eq!(events.message(), None);
    let nothing = poll.answer().expect(200).json();
    assert_eq!(nothing["nextAfterSeq"], 3);
}

#[test]
fn a_large_history_is_sent_whole_to_a_reader_that_takes_its_time() {
    let server = TestServer::start();
    let channel = server.channel();
    let text = "x".repeat(9_000);
    for _ in 0..300 {
        server.say(&channel, "ann", &text);
    }
    let mut events = server.subscribe(&channel, 0);
    std::thread::sleep(Duration::from_millis(50));
    for seq in 1..=150 {
        assert_eq!(next(&mut events)["seq"], seq);
    }
    server.say(&channel, "ann", "last");
    for seq in 151..=301 {
        assert_eq!(next(&mut events)["seq"], seq);
    }
}

#[test]
fn a_reader_that_takes_nothing_is_closed_and_holds_up_nobody() {
    let server = TestServer::with(|settings| settings.limits.reader_stall_timeout_ms = 300);
    let channel = server.channel();
    let text = "x".repeat(10_000);
    let mut stalled = server.connect();
    stalled.write(get(&channel.at("/subscribe")).bytes());
    stalled.head().expect(200);
    let mut events = server.subscribe(&channel, 0);
    let mut writer = server.connect();
    for seq in 1..=1_500 {
        writer.ask(&channel.says("ann", &text)).expect(201);
        assert_eq!(next(&mut events)["seq"], seq);
    }
    eventually("the stalled reader is closed", || {
        server.metric("floe_live_readers") == 1.0
    });
}

#[test]
fn a_browser_of_another_origin_may_follow() {
    let server = TestServer::start();
    let channel = server.channel();
    let request = get(&channel.at("/subscribe")).field("Origin", "https://a.example");
    let events = server.connect().follow(&request);
    assert_eq!(events.head.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn too_many_readers_are_refused() {
    let server = TestServer::with(|settings| settings.limits.stream_readers_max = 2);
    let channel = server.channel();
    let _one = server.subscribe(&channel, 0);
    let _two = server.subscribe(&channel, 0);
    for target in ["/subscribe", "/poll"] {
        server
            .send(get(&channel.at(target)))
            .refused(429, "LIMIT_REACHED");
    }
    let other = server.channel();
    let _three = server.subscribe(&other, 0);
}
