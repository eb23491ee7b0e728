//! The two forms of frames say the same.

use serde_json::{Value, json};

use super::{Client, TestServer, channel, put};
use floe_surfaces::live::cbor;
use floe_surfaces::ws::Opcode;

/// Takes out of a frame what differs from run to run: identities, times and versions.
fn plain(frame: &mut Value, id: &str) {
    match frame {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "createdAt" | "since" | "expiresAt" | "connection" => {
                        assert!(value.is_string());
                        *value = json!("?");
                    }
                    "version" => {
                        assert!(value.is_u64());
                        *value = json!(0);
                    }
                    "protocol" => *value = json!("?"),
                    _ => plain(value, id),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| plain(item, id)),
        Value::String(text) => *text = text.replace(id, "ID"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Has a long conversation and returns all that the server said.
fn conversation(server: &TestServer, mut client: Client, stream: &str) -> Vec<Value> {
    let channel = channel(server);
    server.expect(
        201,
        put(stream).json("[{\"a\":[1,2.5,-7,1e300,null,true,\"\u{1f600}\"]}]"),
    );
    server.expect(201, put(&format!("{stream}-text")).text("grün"));
    let room = channel.room.as_str();
    let list = format!("stream/{stream}");
    let text = format!("stream/{stream}-text");
    let mut said = Vec::new();
    for frame in [
        json!({"type": "join", "room": room, "user": "ann", "presence": "member",
            "data": {"x": [1, -1, 0.5, "é"]}, "memory": true, "after": "start"}),
        json!({"type": "append", "room": room, "content": "hello \u{1f600}"}),
        json!({"type": "append", "room": room, "events": [{"content": "a"}, {"content": "b"}]}),
        json!({"type": "append", "room": room, "kind": "edit", "targetSeq": 1, "content": "x"}),
        json!({"type": "append", "room": room, "kind": "edit", "targetSeq": 99, "content": "x"}),
        json!({"type": "presence", "room": room, "data": null}),
        json!({"type": "memory", "room": room, "op": "set", "key": "k", "value": {"n": 1.25}}),
        json!({"type": "memory", "room": room, "op": "list"}),
        json!({"type": "members", "room": room}),
        json!({"type": "typing", "room": room, "typing": true}),
        json!({"type": "join", "room": list, "after": 0}),
        json!({"type": "append", "room": list, "data": [0.1, 18_446_744_073_709_551_615_u64]}),
        json!({"type": "join", "room": text, "after": 0}),
        json!({"type": "shout"}),
        json!({"type": "leave", "room": text}),
        json!({"type": "leave", "room": text}),
        json!({"type": "ping"}),
    ] {
        said.push(client.ask(frame));
    }
    said.extend(client.so_far());
    for frame in &mut said {
        plain(frame, &channel.id);
        plain(frame, stream);
    }
    said
}

#[test]
fn the_same_conversation_has_the_same_content_in_both() {
    let server = TestServer::start();
    let json = conversation(&server, Client::of(&server), "said-here");
    let cbor = conversation(&server, Client::cbor(&server), "said-there");
    assert_eq!(json.len(), cbor.len(), "{json:?}\n{cbor:?}");
    for (json, cbor) in json.iter().zip(&cbor) {
        assert_eq!(json, cbor);
    }
}

#[test]
fn readers_of_both_forms_in_one_room_are_told_the_same() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut clients: Vec<_> = (0..20)
        .map(|number| match number % 2 {
            0 => Client::of(&server),
            _ => Client::cbor(&server),
        })
        .collect();
    for client in &mut clients {
        client.join(&channel.room, json!({"presence": "watch", "memory": true}));
        client.next_of("presence");
        client.next_of("memory");
    }
    let mut ann = Client::cbor(&server);
    ann.join(
        &channel.room,
        json!({"presence": "member", "user": "ann", "data": {"a": [1.5]}}),
    );
    ann.append(&channel.room, "ann", "hello");
    ann.ask(json!({
        "type": "memory", "room": channel.room, "op": "set", "key": "k", "value": [null, {}],
    }));
    let mut told: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let kinds = ["presence", "events", "memory"];
            kinds.map(|kind| client.next_of(kind))
        })
        .collect();
    let first = told.remove(0);
    assert!(told.iter().all(|other| *other == first), "{told:?}");
}

#[test]
fn a_message_of_the_other_kind_is_no_frame() {
    let server = TestServer::start();
    let mut binary = Vec::new();
    cbor::one_from_json(br#"{"type":"ping","id":7}"#, &mut binary);
    let mut plain = Client::of(&server);
    plain.send(Opcode::Binary, &binary);
    assert_eq!(plain.frame()["code"], "INVALID_FRAME");
    assert_eq!(plain.ask(json!({"type": "ping"}))["type"], "pong");
    let mut compact = Client::cbor(&server);
    compact.send(Opcode::Text, br#"{"type":"ping","id":7}"#);
    assert_eq!(compact.frame()["code"], "INVALID_FRAME");
    assert_eq!(compact.ask(json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn cbor_that_cannot_be_read_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    let mut client = Client::cbor(&server);
    for payload in [
        &b""[..],
        b"\xff",
        b"\xa1",
        b"\xa1\x64type",
        b"\xa1\x01\x02",
        b"\xc0\xa0",
        b"\xa0\xa0",
        b"\xa1\x64type\x62\xc3\x28",
        b"\xbf\x64type",
        &[0x9f; 10_000],
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        client.send(Opcode::Binary, payload);
        let error = client.frame();
        assert_eq!(error["code"], "INVALID_FRAME", "{payload:x?}: {error}");
    }
    assert_eq!(client.ask(json!({"type": "ping"}))["type"], "pong");
}

#[test]
fn bytes_go_in_and_out_of_a_stream_as_bytes() {
    let server = TestServer::start();
    server.expect(201, put("bytes").body(b"\x00\xff"));
    let mut client = Client::cbor(&server);
    client.join("stream/bytes", json!({"after": 0}));
    let frame = client.next_of("events");
    // As JSON they are shown in base64; the frame itself has them as they are.
    assert_eq!(frame["events"], json!(["AP8="]));
    assert_eq!(frame.get("encoding"), None);
    let mut append = Vec::new();
    append.extend(
        b"\xa4\x64type\x66append\x62id\x18\x63\x64room\x6cstream/bytes\x64data\x43\x01\x02\x03",
    );
    client.send(Opcode::Binary, &append);
    let ack = client.wait_for(|frame| frame["id"] == 99);
    assert_eq!(
        (&ack["seq"], &ack["count"]),
        (&json!(5), &json!(3)),
        "{ack}"
    );
    assert_eq!(server.read_all("bytes"), b"\x00\xff\x01\x02\x03");
}
