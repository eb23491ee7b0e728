//! Compressed messages, where the server is told to offer them.

use floe_surfaces::ws::{Deflater, Opcode, write_frame};
use serde_json::json;

use super::client::deflate;
use super::{Client, Request, TestServer, channel, contents, upgrade};

fn willing() -> Request {
    upgrade().field("Sec-WebSocket-Extensions", "permessage-deflate")
}

fn compressing() -> TestServer {
    TestServer::with(|settings| {
        settings.live_compression = true;
        settings.limits.live_message_bytes_max = 4_096;
    })
}

/// A client's compressed message, masked with a key of zeros.
fn compressed(text: &str) -> Vec<u8> {
    let (mut plain, mut frame) = (Vec::new(), Vec::new());
    write_frame(&mut plain, Opcode::Text, text.as_bytes());
    Deflater::new(9).write_frames(&mut frame, &plain, deflate());
    assert!(
        frame[0] & 0x40 != 0 && frame[1] < 126,
        "it is compressed, and short"
    );
    frame[1] |= 0x80;
    frame.splice(2..2, [0; 4]);
    frame
}

#[test]
fn it_is_offered_only_where_both_sides_want_it() {
    let (_, answer) = Client::greet(&TestServer::start(), &willing());
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    let server = compressing();
    let (_, answer) = Client::greet(&server, &upgrade());
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    let (_, answer) = Client::greet(&server, &willing());
    let agreed = answer.header("sec-websocket-extensions").unwrap();
    assert!(agreed.starts_with("permessage-deflate"), "{agreed}");
}

#[test]
fn events_come_compressed_to_those_who_agreed_and_plain_to_others() {
    let server = compressing();
    let channel = channel(&server);
    let (room, long) = (channel.room.as_str(), "na ".repeat(600));
    let mut plain = Client::of(&server);
    plain.join(room, json!({}));
    let mut packed = Client::greet(&server, &willing()).0;
    assert_eq!(packed.frame()["type"], "welcome");
    packed.join(room, json!({}));
    plain.append(room, "ann", &long);
    for client in [&mut plain, &mut packed] {
        assert_eq!(contents(&client.events_until(room, 1)), [long.as_str()]);
    }
    // The same bytes cross the wire as fewer.
    let mut raw = Client::greet(&server, &willing()).0;
    raw.frame();
    raw.join(room, json!({"after": "now"}));
    plain.append(room, "ann", &long);
    let before = raw.received;
    assert_eq!(contents(&raw.events_until(room, 2)), [long.as_str()]);
    assert!(
        raw.received - before < long.len() / 4,
        "{}",
        raw.received - before
    );
}

#[test]
fn a_clients_compressed_frames_are_read_and_bounded_by_what_comes_out() {
    let server = compressing();
    let channel = channel(&server);
    let mut client = Client::greet(&server, &willing()).0;
    client.frame();
    let content = "ho ".repeat(100);
    let append = json!({"type": "append", "id": 1, "room": channel.room,
        "content": content, "authorId": "ann"});
    client.write(&compressed(&append.to_string()));
    assert_eq!(client.next_of("ack")["seq"], 1);
    // Few bytes that become many.
    let bomb = json!({"type": "append", "id": 2, "room": channel.room,
        "content": "h".repeat(5_000), "authorId": "ann"});
    client.write(&compressed(&bomb.to_string()));
    client.ends_with(1009);
}
