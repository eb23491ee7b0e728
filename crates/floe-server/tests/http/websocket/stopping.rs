//! What the server says when it stops, and coming back to it.

use serde_json::json;

use super::slow::{get_stuck, large_stream};
use super::{Client, Heard, TestServer, channel, seqs};

#[test]
fn a_stop_is_told_with_a_goodbye_and_a_code_that_says_come_back() {
    let mut server = TestServer::start();
    let channel = channel(&server);
    let mut idle = Client::of(&server);
    let mut joined = Client::of(&server);
    joined.join(
        &channel.room,
        json!({"presence": "member", "user": "ann", "memory": true}),
    );
    server.ask_to_stop();
    for client in [&mut idle, &mut joined] {
        let goodbye = client.next_of("goodbye");
        assert_eq!(
            (&goodbye["code"], &goodbye["retry"]),
            (&json!("STOPPING"), &json!("reconnect"))
        );
        let reason = (4029, "STOPPING".to_owned());
        assert_eq!(client.hear(), Heard::Close(Some(reason)));
        assert_eq!(client.hear(), Heard::End);
    }
    server.stop();
}

#[test]
fn a_stop_says_goodbye_behind_what_a_slow_reader_has_yet_to_take() {
    let mut server = TestServer::start();
    large_stream(&server);
    let mut slow = Client::of(&server);
    get_stuck(&mut slow);
    server.ask_to_stop();
    let (frames, close) = slow.rest();
    assert_eq!(frames.last().unwrap()["type"], "goodbye");
    assert_eq!(close, Some((4029, "STOPPING".to_owned())));
    // What it was not sent any more, it finds where it stopped.
    let mut sent = frames.iter().filter_map(|frame| frame["next"].as_u64());
    let next = sent.next_back().unwrap();
    server.stop();
    let server = server.restart();
    let mut back = Client::of(&server);
    let joined = back.join("stream/large", json!({"after": next}));
    assert_eq!(joined["seq"], next);
}

#[test]
fn a_stop_waits_no_longer_than_it_may_for_a_reader_that_takes_nothing() {
    let mut server = TestServer::with(|settings| settings.limits.stop_timeout_ms = 200);
    large_stream(&server);
    let mut stuck = Client::of(&server);
    get_stuck(&mut stuck);
    server.stop();
}

#[test]
fn a_client_that_comes_back_after_a_restart_misses_nothing_and_sees_nothing_twice() {
    let mut server = TestServer::start();
    let channel = channel(&server);
    let (mut seen, mut written) = (0_u64, 0_u64);
    for round in 0..4 {
        let mut reader = Client::of(&server);
        let joined = reader.join(&channel.room, json!({"after": seen}));
        assert_eq!(joined["seq"], seen);
        let mut writer = Client::of(&server);
        let mut all = Vec::new();
        for number in 0..60 {
            let key = format!("{round}:{number}");
            all.extend(writer.written(&json!({
                "type": "append", "room": channel.room, "authorId": "ann", "content": key,
                "idempotencyKey": key, "id": key,
            })));
        }
        writer.write(&all);
        // Some are acknowledged when the stop comes, some not.
        for _ in 0..5 {
            writer.next_of("ack");
        }
        server.ask_to_stop();
        let (frames, close) = reader.rest();
        assert_eq!(close.unwrap().0, 4029);
        for frame in frames.iter().filter(|frame| frame["type"] == "events") {
            for event in frame["events"].as_array().unwrap() {
                seen += 1;
                assert_eq!(event["seq"], seen);
            }
        }
        server = server.restart();
        // Those that were not are sent again, with all the others, and each is there once.
        let mut writer = Client::of(&server);
        writer.write(&all);
        for _ in 0..60 {
            writer.next_of("ack");
        }
        written += 60;
    }
    let events = channel.read(&server);
    assert_eq!(seqs(&events), (1..=written).collect::<Vec<_>>());
    let mut contents: Vec<_> = events
        .iter()
        .map(|event| event["content"].as_str().unwrap())
        .collect();
    contents.sort_unstable();
    contents.dedup();
    assert_eq!(contents.len() as u64, written);
    let mut reader = Client::of(&server);
    let joined = reader.join(&channel.room, json!({"after": seen}));
    assert_eq!(
        (&joined["seq"], &joined["head"]),
        (&json!(seen), &json!(written))
    );
    if seen < written {
        let rest = reader.events_until(&channel.room, written);
        assert_eq!(seqs(&rest), (seen + 1..=written).collect::<Vec<_>>());
    }
}
