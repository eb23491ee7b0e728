//! One room over every transport: the same events, the same numbers.

use serde_json::{Value, json};

use super::{Channel, Client, TestServer, channel, get, seqs};
use crate::harness::{Connection, offset};

/// Reads server-sent events of a channel until one has a number.
#[track_caller]
fn sse_until(events: &mut Sse, seq: u64) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let event = events.message();
        let is_last = event["seq"] == seq;
        all.push(event);
        if is_last {
            return all;
        }
    }
}

/// A reader of a channel's server-sent events.
struct Sse {
    connection: Connection,
    text: String,
}

impl Sse {
    #[track_caller]
    fn of(server: &TestServer, channel: &Channel, after: u64) -> Self {
        let mut connection = server.connect();
        let target = channel.path(&format!("/subscribe?afterSeq={after}"));
        connection.write(get(&target).bytes());
        connection.head().expect(200);
        Self {
            connection,
            text: String::new(),
        }
    }

    /// Returns the next `message`, whose `id` must be its number.
    #[track_caller]
    fn message(&mut self) -> Value {
        loop {
            let Some(end) = self.text.find("\n\n") else {
                let chunk = self.connection.chunk().expect("the answer goes on");
                self.text.push_str(std::str::from_utf8(&chunk).unwrap());
                continue;
            };
            let event: String = self.text.drain(..end + 2).collect();
            let field = |name: &str| {
                let mut lines = event.lines();
                lines.find_map(|line| line.strip_prefix(name).map(str::trim).map(str::to_owned))
            };
            if field("event:").as_deref() != Some("message") {
                continue;
            }
            let message: Value = serde_json::from_str(&field("data:").unwrap()).unwrap();
            assert_eq!(field("id:"), Some(message["seq"].to_string()));
            return message;
        }
    }
}

#[test]
fn the_same_events_come_over_every_transport_with_the_same_cursor() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 2);
    let stream = format!("__channel__/{}", channel.id);
    let mut websocket = Client::of(&server);
    websocket.join(&channel.room, json!({"after": 1}));
    let mut cbor = Client::cbor(&server);
    cbor.join(&channel.room, json!({"after": 1}));
    let mut sse = Sse::of(&server, &channel, 1);
    let mut durable = server.follow(&stream, &offset(1));
    // Every kind, so that none is left out anywhere.
    let room = channel.room.as_str();
    let mut writer = Client::of(&server);
    writer.join(room, json!({"user": "ann", "events": false}));
    for (more, seq) in [
        (json!({"content": "three \u{1f600}"}), 3),
        (json!({"kind": "edit", "targetSeq": 3, "content": "3"}), 4),
        (
            json!({"kind": "reaction", "targetSeq": 3, "content": "+1"}),
            5,
        ),
        (
            json!({"kind": "reaction", "targetSeq": 3, "content": "+1", "removed": true}),
            6,
        ),
        (json!({"events": [{"content": "7"}, {"content": "8"}]}), 8),
    ] {
        let mut append = json!({"type": "append", "room": room});
        for (name, value) in more.as_object().unwrap() {
            append[name] = value.clone();
        }
        assert_eq!(writer.ask(append)["seq"], seq);
    }
    let all = channel.read(&server)[1..].to_vec();
    assert_eq!(seqs(&all), [2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(websocket.events_until(room, 8), all);
    assert_eq!(cbor.events_until(room, 8), all);
    assert_eq!(sse_until(&mut sse, 8), all);
    let (mut streamed, mut next) = (Vec::<Value>::new(), String::new());
    while next != offset(8) {
        let step = durable.step().unwrap();
        if let Some(data) = &step.data {
            streamed.extend(serde_json::from_str::<Vec<Value>>(data).unwrap());
        }
        next = step.next().to_owned();
    }
    assert_eq!(streamed, all);
    for after in 1..8 {
        // What was begun on one transport goes on, on every other.
        let rest = &all[after as usize - 1..];
        let polled = server.expect(200, get(&channel.path(&format!("/poll?afterSeq={after}"))));
        assert_eq!(polled.json()["events"], json!(rest));
        assert_eq!(polled.json()["nextAfterSeq"], 8);
        let read = server.expect(200, get(&format!("{stream}?offset={}", offset(after))));
        assert_eq!(read.json(), json!(rest));
        assert_eq!(read.next(), offset(8));
        let mut client = Client::of(&server);
        client.join(room, json!({"after": after}));
        assert_eq!(client.events_until(room, 8), rest);
    }
}

#[test]
fn an_append_by_http_is_pushed_and_one_by_websocket_answers_polls() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({}));
    client.next_of("live");
    let mut poll = server.connect();
    poll.write(get(&channel.path("/poll?afterSeq=0")).bytes());
    client.append(&channel.room, "ann", "from a socket");
    let polled = poll.answer().expect(200).json();
    assert_eq!(
        json!(client.events_until(&channel.room, 1)),
        polled["events"]
    );
    let event = channel.post(&server, "bob", "from a request");
    assert_eq!(client.events_until(&channel.room, 2), [event]);
}

#[test]
fn a_deleted_event_is_a_stub_wherever_it_is_read() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 2);
    let mut writer = Client::of(&server);
    let append = json!({
        "type": "append", "room": channel.room, "kind": "deletion", "targetSeq": 1,
        "authorId": "ann",
    });
    writer.join(&channel.room, json!({"events": false}));
    assert_eq!(writer.ask(append)["seq"], 3);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"after": "start"}));
    let events = client.events_until(&channel.room, 3);
    assert_eq!(events, channel.read(&server));
    assert_eq!(events[0]["deleted"], true);
    assert_eq!(events[0].get("content"), None);
    assert_eq!(events[0].get("authorId"), None);
    assert_eq!(events[1]["content"], "1");
    let stream = format!("__channel__/{}", channel.id);
    assert_eq!(server.expect(200, get(&stream)).json(), json!(events));
}
