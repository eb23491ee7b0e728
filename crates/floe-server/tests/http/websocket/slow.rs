//! Readers that do not take what they are sent, and that nobody else waits for them.

use serde_json::{Value, json};

use super::{Channel, Client, Heard, TestServer, channel, channel_by, put, seqs};
use crate::harness::{eventually, get};

/// More than the buffers of two sockets hold.
const LARGE: usize = 24 << 20;

/// Makes a stream whose reader, if it does not read, has much to take.
pub fn large_stream(server: &TestServer) {
    server.expect(201, put("large").body(b""));
    let piece = vec![0x5a; 6 << 20];
    for _ in 0..LARGE / piece.len() {
        let append = crate::harness::post("large").content_type("application/octet-stream");
        server.expect(204, append.body(&piece));
    }
}

/// Joins the large stream and reads no further.
#[track_caller]
pub fn get_stuck(client: &mut Client) {
    let joined = client.join("stream/large", json!({"after": "start"}));
    assert_eq!(joined["head"], LARGE);
}

/// Reads on to the end of the large stream; other frames are kept.
#[track_caller]
fn get_unstuck(client: &mut Client) {
    let is_large = |frame: &Value| frame["type"] == "events" && frame["room"] == "stream/large";
    while client.wait_for(is_large)["next"] != LARGE {}
}

#[test]
fn a_reader_that_stops_reading_is_closed_and_the_others_miss_nothing() {
    let server = TestServer::with(|settings| settings.limits.reader_stall_timeout_ms = 400);
    let channel = channel(&server);
    large_stream(&server);
    let mut quick = Client::of(&server);
    quick.join(&channel.room, json!({}));
    let mut stuck = Client::of(&server);
    stuck.join(&channel.room, json!({}));
    stuck.next_of("live");
    get_stuck(&mut stuck);
    let mut writer = Client::of(&server);
    for number in 1..=100 {
        assert_eq!(writer.append(&channel.room, "ann", "x"), number);
        assert_eq!(seqs(&quick.events_until(&channel.room, number)), [number]);
    }
    eventually("the slow one is closed", || {
        server.metric("floe_live_readers") == 1.0
    });
    let code = "floe_errors_total{code=\"SLOW_CONSUMER\"}";
    assert_eq!(server.metric(code), 1.0);
    // Its frames end somewhere, without a word: there was no space for one.
    loop {
        match stuck.hear() {
            Heard::Frame(frame) => assert_eq!(frame["room"], "stream/large"),
            heard => break assert_eq!(heard, Heard::End),
        }
    }
    let mut back = Client::of(&server);
    back.join(&channel.room, json!({"after": 0}));
    assert_eq!(
        seqs(&back.events_until(&channel.room, 100)),
        (1..=100).collect::<Vec<_>>()
    );
}

#[test]
fn a_reader_that_is_slow_gets_every_event_from_where_it_stands() {
    let server = TestServer::start();
    let channel = channel(&server);
    large_stream(&server);
    let mut slow = Client::of(&server);
    slow.join(&channel.room, json!({}));
    get_stuck(&mut slow);
    channel.fill(&server, 0, 900);
    channel.fill(&server, 900, 900);
    get_unstuck(&mut slow);
    assert_eq!(
        seqs(&slow.events_until(&channel.room, 1_800)),
        (1..=1_800).collect::<Vec<_>>()
    );
}

/// Changes so many keys that what changed since before is not known any more.
#[track_caller]
fn change_much(server: &TestServer, channel: &Channel) {
    let mut writer = Client::of(server);
    writer.join(&channel.room, json!({"events": false}));
    let mut all = Vec::new();
    for number in 0..1_200 {
        let key = format!("key-{number}");
        let change =
            |op: &str| json!({"type": "memory", "room": channel.room, "op": op, "key": key});
        let mut set = change("set");
        set["value"] = json!(number);
        all.extend(writer.written(&set));
        all.extend(writer.written(&change("delete")));
    }
    writer.write(&all);
    let last = json!({
        "type": "memory", "room": channel.room, "op": "set", "key": "last", "value": true,
    });
    assert_eq!(writer.ask(last)["type"], "ack");
}

/// Makes a reader of a channel's memory that misses changes which are not kept.
#[track_caller]
fn behind(server: &TestServer, channel: &Channel) -> Client {
    large_stream(server);
    let mut slow = Client::of(server);
    slow.join(&channel.room, json!({"memory": true}));
    assert_eq!(slow.next_of("memory")["snapshot"], true);
    get_stuck(&mut slow);
    change_much(server, channel);
    get_unstuck(&mut slow);
    slow
}

#[test]
fn a_room_that_disconnects_ends_for_a_reader_that_lost_track_of_its_memory() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut slow = behind(&server, &channel);
    let closed = slow.next_of("closed");
    assert_eq!(
        (&closed["room"], &closed["code"], &closed["retry"]),
        (
            &json!(channel.room),
            &json!("SLOW_CONSUMER"),
            &json!("reconnect")
        )
    );
    // The connection goes on, and the room can be joined again.
    slow.join(&channel.room, json!({"memory": true, "after": 0}));
    let snapshot = slow.next_of("memory");
    assert_eq!(snapshot["snapshot"], true);
    assert_eq!(snapshot["set"][0]["key"], "last");
}

#[test]
fn a_room_that_conflates_sends_such_a_reader_everything_as_it_is_now() {
    let server = TestServer::start();
    let asked = json!({"name": "conflating", "slow": "conflate"});
    let channel = channel_by(&server, &asked, |request| request);
    let mut slow = behind(&server, &channel);
    let snapshot = slow.next_of("memory");
    assert_eq!(snapshot["snapshot"], true);
    let keys: Vec<_> = snapshot["set"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["key"])
        .collect();
    assert_eq!(keys, ["last"]);
    assert!(slow.so_far().iter().all(|frame| frame["type"] == "live"));
}

#[test]
fn a_reader_that_lost_track_of_who_is_typing_is_told_who_is() {
    let server = TestServer::with(|settings| settings.limits.typing_ttl_ms = 600_000);
    let channel = channel(&server);
    large_stream(&server);
    let mut ann = Client::of(&server);
    ann.join(&channel.room, json!({"user": "ann"}));
    let typing = |what: bool| json!({"type": "typing", "room": channel.room, "typing": what});
    ann.ask(typing(true));
    let mut slow = Client::of(&server);
    slow.join(&channel.room, json!({"presence": "watch"}));
    assert_eq!(slow.next_of("typing")["users"], json!(["ann"]));
    get_stuck(&mut slow);
    ann.ask(typing(false));
    change_much(&server, &channel);
    get_unstuck(&mut slow);
    assert_eq!(slow.next_of("typing")["users"], json!([]));
}

#[test]
fn answers_that_are_not_taken_hold_back_their_reader_alone() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 1);
    let mut greedy = Client::of(&server);
    greedy.join(&channel.room, json!({"events": false}));
    // Each question is small and each answer is not, so the answers pile up somewhere.
    let value = "x".repeat(4_000);
    for number in 0..50 {
        greedy.ask(json!({
            "type": "memory", "room": channel.room, "op": "set", "key": format!("{number}"),
            "value": value,
        }));
    }
    let mut list = json!({
        "type": "memory", "room": channel.room, "op": "list", "limit": 1_000, "id": 0,
    });
    let mut asked = Vec::new();
    for number in 1_000..1_150 {
        list["id"] = json!(number);
        asked.extend(greedy.written(&list));
    }
    greedy.write(&asked);
    let mut other = Client::of(&server);
    other.join(&channel.room, json!({"after": 0}));
    other.events_until(&channel.room, 1);
    assert_eq!(other.append(&channel.room, "ann", "unhindered"), 2);
    server.expect(200, get("/healthz"));
    for number in 1_000..1_150 {
        let answer = greedy.next_of("memory");
        assert_eq!(answer["id"], number);
        assert_eq!(answer["set"].as_array().unwrap().len(), 50);
    }
}
