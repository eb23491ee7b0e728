//! Rooms so large that several threads send to their readers.

use serde_json::json;

use super::slow::{get_stuck, large_stream};
use super::{Channel, Client, TestServer, channel, seqs};
use crate::harness::{Events, eventually, get};

/// More than one thread is woken for.
const CROWD: usize = 300;
/// Readers of event streams among them.
const STREAMED: usize = 20;
const EVENTS: u64 = 60;

fn join_all(server: &TestServer, channel: &Channel) -> Vec<Client> {
    let join = |_| {
        let mut client = Client::of(server);
        client.join(&channel.room, json!({"after": 0}));
        client
    };
    (0..CROWD).map(join).collect()
}

fn stream_all(server: &TestServer, channel: &Channel) -> Vec<Events> {
    let follow = |_| {
        let target = channel.path("/subscribe?afterSeq=0");
        let mut events = server.connect().follow(&get(&target));
        assert_eq!(events.message().unwrap().kind, "connected");
        events
    };
    (0..STREAMED).map(follow).collect()
}

#[test]
fn everybody_in_a_crowd_gets_every_event_once_and_in_order() {
    let server = TestServer::with(|settings| settings.limits.fanout_threads = 3);
    let channel = channel(&server);
    let mut crowd = join_all(&server, &channel);
    let mut streams = stream_all(&server, &channel);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut writer = Client::of(&server);
            for number in 1..=EVENTS {
                assert_eq!(writer.append(&channel.room, "ann", "x"), number);
                let threads = usize::try_from(number % 4).unwrap();
                // It may change while the room is sent to.
                let set = |settings: &mut floe_server::Settings| {
                    settings.limits.fanout_threads = threads;
                };
                server.reload(set).unwrap();
            }
        });
        // Some come and go meanwhile.
        for client in crowd.iter_mut().step_by(50) {
            client.wait_for(|frame| frame["next"].as_u64() >= Some(EVENTS / 2));
            client.say(&json!({"type": "leave", "id": "l", "room": channel.room}));
            client.next_of("left");
            client.take_passed();
            client.join(&channel.room, json!({"after": 0}));
        }
        writer.join().unwrap();
    });
    let all: Vec<_> = (1..=EVENTS).collect();
    for client in &mut crowd {
        assert_eq!(seqs(&client.events_until(&channel.room, EVENTS)), all);
    }
    for events in &mut streams {
        for number in &all {
            assert_eq!(events.message().unwrap().seq(), *number);
        }
    }
    assert!(server.metric("floe_fanout_slices_total") > 0.0);
}

#[test]
fn who_does_not_take_it_or_is_gone_harms_nobody_else_in_a_crowd() {
    let server = TestServer::with(|settings| {
        settings.limits.fanout_threads = 2;
        settings.limits.reader_stall_timeout_ms = 400;
    });
    let channel = channel(&server);
    large_stream(&server);
    let mut crowd = join_all(&server, &channel);
    let mut stuck = crowd.swap_remove(7);
    stuck.next_of("live");
    get_stuck(&mut stuck);
    // They leave without a word, and the server finds out by writing.
    crowd.truncate(CROWD - 10);
    let mut writer = Client::of(&server);
    for number in 1..=EVENTS {
        assert_eq!(writer.append(&channel.room, "ann", "x"), number);
    }
    let all: Vec<_> = (1..=EVENTS).collect();
    for client in &mut crowd {
        assert_eq!(seqs(&client.events_until(&channel.room, EVENTS)), all);
    }
    let left = crowd.len() as f64;
    eventually("the stuck one and those who left are no readers", || {
        server.metric("floe_live_readers") == left
    });
    assert_eq!(
        server.metric("floe_errors_total{code=\"SLOW_CONSUMER\"}"),
        1.0
    );
}
