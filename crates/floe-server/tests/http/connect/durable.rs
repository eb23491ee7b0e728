//! What is told over sockets is durable, the room included that it is of.

use floe_surfaces::ws::Opcode;
use serde_json::{Value, json};

use super::{Member, connect};
use crate::harness::TestServer;
use crate::websocket::Client;
use crate::websocket::client::masked;

fn frames(frames: &[Value]) -> Vec<u8> {
    let frames = frames.iter();
    let frames = frames.flat_map(|frame| masked(Opcode::Text, frame.to_string().as_bytes()));
    frames.collect()
}

/// Returns what comes first of the answers to a method and to a ping behind it.
fn first(client: &mut Client) -> String {
    let is_answer = |frame: &Value| {
        let kind = frame["type"].as_str().unwrap_or_default();
        frame["requestId"] == 1 || frame["id"] == 1 || kind == "pong"
    };
    let (one, other) = (client.wait_for(is_answer), client.wait_for(is_answer));
    let kinds = [
        one["type"].as_str().unwrap(),
        other["type"].as_str().unwrap(),
    ];
    assert!(!kinds.contains(&"error"), "{kinds:?}");
    kinds[0].to_owned()
}

/// Methods that keep something in memory alone.
fn keeping() -> [(&'static str, Value); 4] {
    [
        ("setMemory", json!({"key": "k", "value": 1})),
        ("setCursor", json!({"userId": "ann", "position": 1})),
        ("setPresence", json!({"userId": "ann", "status": "here"})),
        ("updateDebounced", json!({"key": "k", "value": 1})),
    ]
}

#[test]
fn a_value_that_comes_with_its_room_is_answered_once_the_room_is_durable() {
    let server = TestServer::start();
    for (number, (method, payload)) in keeping().into_iter().enumerate() {
        let call = json!({"action": "rpc", "method": method, "payload": payload, "requestId": 1});
        let asked = frames(&[call, json!({"action": "ping"})]);
        let room = format!("connect-{number}");
        // All of it is read at once: the room cannot be durable before the first answer.
        let (mut client, _) = Client::greet_on(server.connect().socket, &connect(&room), &asked);
        assert_eq!(first(&mut client), "pong", "{method}");
        // In a room that is there, nothing waits.
        client.write(&asked);
        assert_eq!(first(&mut client), "success", "{method}");
    }
    let mut live = Client::of(&server);
    for (number, (method, payload)) in keeping().into_iter().enumerate() {
        let room = format!("room/live-{number}");
        let call =
            json!({"type": "rpc", "id": 1, "room": room, "method": method, "payload": payload});
        let asked = frames(&[call, json!({"type": "ping"})]);
        live.write(&asked);
        assert_eq!(first(&mut live), "pong", "{method}");
        live.write(&asked);
        assert_eq!(first(&mut live), "rpc", "{method}");
    }
}

#[test]
fn others_are_told_of_a_value_once_its_room_is_durable() {
    let server = TestServer::start();
    let set = json!({"action": "rpc", "method": "setCursor", "requestId": 1,
        "payload": {"userId": "ann", "position": 1}});
    let (mut client, _) = Client::greet_on(server.connect().socket, &connect("a"), &frames(&[set]));
    // The one who set it is told of it, too, without anything else happening in the room.
    let told = client.wait_for(|frame| frame["event"] == "memory_update");
    assert_eq!(told["data"][0]["userId"], "ann");
    let mut other = Member::of(&server, "a");
    assert_eq!(
        other.call("getCursors", json!({}))["data"][0]["userId"],
        "ann"
    );
}
