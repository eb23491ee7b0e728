//! Who is put out, kept out or timed out is told why, on every connection.

use serde_json::{Value, json};

use super::{Member, socket};
use crate::harness::{Channel, Connection, Events, delete, get, put};
use crate::waddles::{Town, by};
use crate::websocket::Client;
use crate::websocket::client::Heard;

/// All the ways in which bob is connected to the waddle and its rooms.
struct Connected {
    /// WebSockets of one room: the waddle, a channel, a voice room.
    rooms: Vec<Member>,
    /// The live protocol, in the channel.
    live: Client,
    /// Server-sent events: of the waddle and the channel as rooms, and of the channel alone.
    events: Vec<Events>,
    polled: Connection,
}

impl Connected {
    #[track_caller]
    fn of(town: &Town, channel: &Channel, voice: &str) -> Self {
        town.join("bob", "den");
        let id = &channel.id;
        let sockets = [
            "/ws/waddle/den".to_owned(),
            format!("/ws/channel/{id}"),
            format!("/ws/voice/{voice}"),
        ];
        let rooms: Vec<_> = sockets
            .iter()
            .map(|target| Member::with(&town.server, &by("bob", socket(target))))
            .collect();
        let mut live = town.client("bob");
        live.join(&format!("channel/{id}"), json!({ "events": true }));
        let follow = [
            "/v1/waddles/den/live".to_owned(),
            channel.at("/live"),
            channel.at("/subscribe?afterSeq=0"),
        ];
        let mut events: Vec<_> = follow
            .iter()
            .map(|target| town.server.connect().follow(&by("bob", get(target))))
            .collect();
        for events in &mut events {
            // The first is the welcome.
            events.message().unwrap();
        }
        let mut polled = town.server.connect();
        polled.write(by("bob", get(&channel.at("/poll?afterSeq=0"))).bytes());
        Self {
            rooms,
            live,
            events,
            polled,
        }
    }

    /// Reads what all of them are told of an act, and that they end with it.
    #[track_caller]
    fn all_end(self, code: &str, close: u16) -> Vec<String> {
        let mut messages = Vec::new();
        let is_it = |frame: &Value| frame["code"] == code;
        for mut room in self.rooms {
            let goodbye = room.client.wait_for(is_it);
            assert_eq!(goodbye["retry"], "never", "{goodbye}");
            messages.push(message(&goodbye));
            let Heard::Close(Some((told, _))) = room.client.hear() else {
                panic!("the connection goes on");
            };
            assert_eq!(told, close);
        }
        let mut live = self.live;
        let closed = live.wait_for(|frame| frame["type"] == "closed");
        assert_eq!(closed["code"], code, "{closed}");
        messages.push(message(&closed));
        for mut events in self.events {
            messages.push(told(&mut events, code));
            assert_eq!(events.message(), None);
        }
        let mut polled = self.polled;
        let refused = polled.answer().refused(403, code).json();
        messages.push(message(&refused));
        messages
    }

    /// Reads what all of them are told of an act that leaves them where they are.
    #[track_caller]
    fn all_hear(&mut self, code: &str) -> Vec<String> {
        let mut messages = Vec::new();
        let is_it = |frame: &Value| frame["type"] == "error" && frame["code"] == code;
        let live = std::iter::once(&mut self.live);
        for client in self
            .rooms
            .iter_mut()
            .map(|room| &mut room.client)
            .chain(live)
        {
            let error = client.wait_for(is_it);
            assert_eq!(
                (&error["retry"], error.get("id")),
                (&json!("later"), None),
                "{error}"
            );
            assert!(
                error["retryAfterMs"].as_u64().unwrap() > 3_000_000,
                "{error}"
            );
            messages.push(message(&error));
            // It goes on.
            assert_eq!(client.ask(json!({ "type": "ping" }))["type"], "pong");
        }
        for events in &mut self.events[..2] {
            messages.push(told(events, code));
        }
        messages
    }
}

fn message(frame: &Value) -> String {
    frame["message"].as_str().unwrap().to_owned()
}

/// Reads on to what has a code; returns it in words.
#[track_caller]
fn told(events: &mut Events, code: &str) -> String {
    loop {
        let frame = events.message().expect("the answer ended").json();
        if frame["code"] == code {
            return message(&frame);
        }
    }
}

#[test]
fn who_is_put_out_kept_out_or_timed_out_is_told_why_on_every_connection() {
    let town = Town::start();
    town.found("den");
    let channel = town.channel("den", &json!({ "name": "general" }));
    let lounge = town.channel("den", &json!({ "name": "lounge", "kind": "voice" }));
    let (bans, timeouts) = ("/v1/waddles/den/bans/bob", "/v1/waddles/den/timeouts/bob");
    let mut bob = Connected::of(&town, &channel, &lounge.id);

    // As much as a reason may say, and more than a control frame holds.
    let long = "é".repeat(500);
    let term = put(timeouts).value(&json!({ "seconds": 3_600, "reason": long }));
    let member = town.send("ann", term).expect(200).json();
    let until = member["timedOutUntil"].as_str().unwrap();
    let expected = format!("you may only read in the waddle until {until}: {long}");
    assert_eq!(bob.all_hear("TIMED_OUT"), vec![expected; 6]);

    let kick = delete("/v1/waddles/den/members/bob?reason=too%20loud");
    town.send("ann", kick).expect(204);
    let expected = "you were put out of the waddle: too loud".to_owned();
    assert_eq!(bob.all_end("KICKED", 4557), vec![expected; 8]);

    let bob = Connected::of(&town, &channel, &lounge.id);
    let ban = put(bans).value(&json!({ "seconds": 60, "reason": "spam" }));
    let ban = town.send("ann", ban).expect(200).json();
    let until = ban["until"].as_str().unwrap();
    let expected = format!("you are banned from the waddle until {until}: spam");
    assert_eq!(bob.all_end("BANNED", 4558), vec![expected; 8]);

    // Nobody need say why.
    town.send("ann", delete(bans)).expect(204);
    let bob = Connected::of(&town, &channel, &lounge.id);
    let kick = delete("/v1/waddles/den/members/bob");
    town.send("ann", kick).expect(204);
    let expected = "you were put out of the waddle".to_owned();
    assert_eq!(bob.all_end("KICKED", 4557), vec![expected; 8]);
}
