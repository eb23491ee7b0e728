//! Rooms without WebSockets: server-sent events and polling.

use serde_json::{Value, json};

use super::Member;
use crate::harness::{Events, Request, TestServer, eventually, get, post};

fn follow(server: &TestServer, request: &Request) -> Events {
    server.connect().follow(request)
}

/// Reads on to the first frame of a kind; returns the place that came with it, too.
#[track_caller]
fn next_of(events: &mut Events, kind: &str) -> (Option<String>, Value) {
    loop {
        let message = events.message().expect("the answer ended");
        let frame: Value = serde_json::from_str(&message.data).unwrap();
        if frame["type"] == kind {
            return (message.id, frame);
        }
    }
}

#[test]
fn a_channel_is_followed_by_events_that_name_their_place() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut events = follow(&server, &get(&channel.at("/live?user=bob&recent=0")));
    assert_eq!(next_of(&mut events, "welcome").1["userId"], "bob");
    assert_eq!(
        next_of(&mut events, "participants").1["users"],
        json!(["bob"])
    );
    let mut ann = Member::of(&server, &format!("/ws/channel/{}?user=ann", channel.id));
    assert_eq!(
        next_of(&mut events, "participants_update").1["joined"],
        json!(["ann"])
    );
    for number in 1..=3 {
        ann.ask(json!({"type": "message", "content": number.to_string()}));
        let (id, frame) = next_of(&mut events, "message");
        assert_eq!(
            (id, &frame["sequence"]),
            (Some(number.to_string()), &json!(number))
        );
    }
    ann.ask(json!({"type": "typing"}));
    assert_eq!(next_of(&mut events, "typing").1["users"], json!(["ann"]));
    drop(events);
    ann.ask(json!({"type": "message", "content": "4"}));
    ann.ask(json!({"type": "message_edit", "sequence": 4, "content": "four"}));
    let back = get(&channel.at("/live?user=bob")).field("Last-Event-ID", 2);
    let mut events = follow(&server, &back);
    for (place, kind) in [(3, "message"), (4, "message"), (5, "message_edit")] {
        assert_eq!(next_of(&mut events, kind).0, Some(place.to_string()));
    }
    let wrong = get(&channel.at("/live")).field("Last-Event-ID", "x");
    server.expect(400, wrong);
    server.expect(405, crate::harness::post(&channel.at("/live")));
    server.expect(404, get("/v1/channels/000000000000/live"));
    server.send(crate::harness::delete(&channel.at("")));
    assert_eq!(next_of(&mut events, "error").1["code"], "GONE");
    assert!(events.message().is_none());
}

#[test]
fn what_another_device_has_read_is_told_as_an_event_and_the_stream_goes_on() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut events = follow(&server, &get(&channel.at("/live?user=bob")));
    next_of(&mut events, "participants");
    let mut bob = Member::of(&server, &format!("/ws/channel/{}?user=bob", channel.id));
    bob.ask(json!({"type": "message", "content": "1"}));
    bob.ask(json!({"type": "read", "sequence": 1}));
    assert_eq!(next_of(&mut events, "read").1["sequence"], 1);
    bob.ask(json!({"type": "message", "content": "2"}));
    assert_eq!(next_of(&mut events, "message").1["content"], "2");
    // What is said over HTTP is told to all of the user's connections, and to nobody else's.
    let mut ann = Member::of(&server, &format!("/ws/channel/{}?user=ann", channel.id));
    ann.client.next_of("participants");
    let mark = json!({"sequence": 2, "userId": "bob"});
    server.expect(200, post(&channel.at("/read")).value(&mark));
    assert_eq!(next_of(&mut events, "read").1["sequence"], 2);
    assert_eq!(bob.client.next_of("read")["sequence"], 2);
    bob.ask(json!({"type": "message", "content": "3"}));
    let told = |frame: &Value| frame["type"] == "read" || frame["content"] == "3";
    assert_eq!(ann.client.wait_for(told)["type"], "message");
}

#[test]
fn one_connection_carries_the_requests_of_many_users() {
    let server = TestServer::start();
    let channel = server.channel();
    let mut connection = server.connect();
    for user in ["ann", "bob", "ann"] {
        let poll = get(&channel.at(&format!("/live?poll=true&user={user}")));
        connection.write(poll.bytes());
        assert_eq!(connection.answer().status, 200, "{user}");
        let reads = get(&format!("/v1/reads?channels={}&userId={user}", channel.id));
        connection.write(reads.bytes());
        assert_eq!(connection.answer().status, 200, "{user}");
    }
}

#[test]
fn whoever_polls_gets_what_came_after_or_waits_for_it() {
    let server = TestServer::with(|settings| settings.limits.long_poll_timeout_ms = 700);
    let channel = server.channel();
    let mut ann = Member::of(&server, &format!("/ws/channel/{}?user=ann", channel.id));
    let poll =
        |after: &str| server.expect(200, get(&channel.at(&format!("/live?poll=true{after}"))));
    let first = poll("").json();
    assert_eq!(
        (&first["frames"], &first["sequence"]),
        (&json!([]), &json!(0))
    );
    for number in 1..=3 {
        ann.ask(json!({"type": "message", "content": number.to_string()}));
    }
    ann.ask(json!({"type": "typing"}));
    let all = poll("&after=1").json();
    let contents: Vec<_> = all["frames"].as_array().unwrap().iter().collect();
    assert_eq!(contents.len(), 2);
    assert_eq!(
        (&contents[0]["type"], &contents[0]["sequence"]),
        (&json!("message"), &json!(2))
    );
    assert_eq!(
        (&all["sequence"], &all["hasMore"]),
        (&json!(3), &json!(false))
    );
    assert_eq!(all["participants"], json!({"users": ["ann"], "count": 1}));
    // Nothing comes: after a while it says so.
    let nothing = poll("&after=3").json();
    assert_eq!(
        (&nothing["frames"], &nothing["sequence"]),
        (&json!([]), &json!(3))
    );
    // What comes while it waits is the answer.
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut sequence = 3;
            loop {
                let answer = poll(&format!("&after={sequence}")).json();
                sequence = answer["sequence"].as_u64().unwrap();
                if sequence == 4 {
                    return answer;
                }
            }
        });
        eventually("somebody polls", || {
            server.metric("floe_live_readers") >= 2.0
        });
        ann.ask(json!({"type": "reaction_add", "sequence": 1, "emoji": "x"}));
        waiting.join().unwrap()
    });
    assert_eq!(waiting["frames"][0]["type"], "reaction_add");
    server.expect(400, get(&channel.at("/live?poll=perhaps")));
}
