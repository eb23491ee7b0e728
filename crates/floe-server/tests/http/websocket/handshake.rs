//! How a connection becomes a WebSocket, and which do not.

use std::net::TcpStream;

use serde_json::json;

use super::client::masked;
use super::{Client, Heard, TestServer, channel, get, post, upgrade};
use crate::harness::eventually;
use floe_surfaces::ws::Opcode;

#[test]
fn metrics_count_the_connections_that_are_websockets() {
    let server = TestServer::start();
    let clients = [(); 3].map(|()| Client::greet(&server, &upgrade()).0);
    eventually("they are counted", || {
        server.metric("floe_websockets") == 3.0
    });
    drop(clients);
    eventually("they are gone", || server.metric("floe_websockets") == 0.0);
}

#[test]
fn the_answer_upgrades_and_a_welcome_with_the_limits_follows() {
    let server = TestServer::with(|settings| {
        settings.limits.live_rooms_max = 7;
        settings.limits.live_ping_ms = 12_000;
    });
    let (mut client, answer) = Client::greet(&server, &upgrade());
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("connection"), Some("Upgrade"));
    // The example of RFC 6455.
    let accept = Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(answer.header("sec-websocket-accept"), accept);
    assert_eq!(answer.header("sec-websocket-protocol"), None);
    assert_eq!(answer.header("sec-websocket-extensions"), None);
    assert_eq!(answer.header("content-length"), None);
    let mut welcome = client.frame();
    assert!(!welcome["connection"].take().as_str().unwrap().is_empty());
    let limits = json!({
        "frameBytes": 1_048_576, "rooms": 7, "contentChars": 10_000, "batchEvents": 1_000,
        "presenceBytes": 1_024, "memoryValueBytes": 4_096,
    });
    let expected = json!({
        "type": "welcome", "protocol": "floe.v1.json", "connection": null,
        "heartbeatMs": 12_000, "limits": limits,
    });
    assert_eq!(welcome, expected);
}

#[test]
fn the_first_subprotocol_of_the_client_that_is_spoken_here_is_chosen() {
    let server = TestServer::start();
    for (asked, chosen) in [
        ("floe.v1.json", "floe.v1.json"),
        ("floe.v1.cbor", "floe.v1.cbor"),
        ("floe.v9.json, floe.v1.cbor, floe.v1.json", "floe.v1.cbor"),
        ("floe.v1.json,floe.v1.cbor", "floe.v1.json"),
    ] {
        let request = upgrade().field("Sec-WebSocket-Protocol", asked);
        let (mut client, answer) = Client::greet(&server, &request);
        assert_eq!(answer.header("sec-websocket-protocol"), Some(chosen));
        assert_eq!(client.frame()["protocol"], chosen);
    }
    let unknown = upgrade().field("Sec-WebSocket-Protocol", "graphql-ws");
    server.send(unknown).refused(400, "INVALID_REQUEST");
}

#[test]
fn who_asks_for_no_websocket_of_version_13_is_told_what_is_spoken_here() {
    let server = TestServer::start();
    let mut old = upgrade();
    old.fields[2].1 = "8".to_owned();
    let mut other = upgrade();
    other.fields[1].1 = "h2c".to_owned();
    for request in [get("/v1/live"), old, other] {
        let refusal = server.send(request);
        assert_eq!(refusal.header("sec-websocket-version"), Some("13"));
        assert_eq!(refusal.header("upgrade"), Some("websocket"));
        refusal.refused(426, "UPGRADE_REQUIRED");
    }
    let mut keyless = upgrade();
    keyless.fields.pop();
    server.send(keyless).refused(400, "INVALID_REQUEST");
    let mut short = upgrade();
    short.fields[3].1 = "c2hvcnQ=".to_owned();
    server.send(short).refused(400, "INVALID_REQUEST");
    let mut posted = upgrade();
    posted.method = "POST".to_owned();
    server.send(posted).refused(405, "METHOD_NOT_ALLOWED");
}

#[test]
fn a_connection_that_was_refused_takes_the_next_request() {
    let server = TestServer::start();
    let mut connection = server.connect();
    connection
        .ask(&get("/v1/live"))
        .refused(426, "UPGRADE_REQUIRED");
    connection.ask(&get("/healthz")).expect(200);
    let (mut client, _) = Client::greet_on(connection.socket, &upgrade(), &[]);
    assert_eq!(client.frame()["type"], "welcome");
}

#[test]
fn http_1_0_has_no_websockets() {
    let server = TestServer::start();
    let request = String::from_utf8(upgrade().bytes()).unwrap();
    let mut connection = server.connect();
    connection.write(request.replace("HTTP/1.1", "HTTP/1.0"));
    connection.answer().refused(426, "UPGRADE_REQUIRED");
}

#[test]
fn pages_of_the_same_origin_and_listed_ones_are_welcome_and_others_are_not() {
    let listed = "https://app.example.com";
    let server = TestServer::with(|settings| settings.origins = vec![listed.to_owned()]);
    let from = |origin: &str| upgrade().field("Origin", origin);
    for origin in ["http://floe.test", "https://FLOE.test", listed] {
        let (mut client, _) = Client::greet(&server, &from(origin));
        assert_eq!(client.frame()["type"], "welcome", "{origin}");
    }
    for origin in ["https://evil.example", "http://floe.test.evil", "null"] {
        server.send(from(origin)).refused(403, "ORIGIN_REJECTED");
    }
    let server = server.restart_with(|settings| settings.origins = vec!["*".to_owned()]);
    let (mut client, _) = Client::greet(&server, &from("https://evil.example"));
    assert_eq!(client.frame()["type"], "welcome");
}

#[test]
fn frames_may_come_right_behind_the_request() {
    let server = TestServer::start();
    let channel = channel(&server);
    channel.fill(&server, 0, 3);
    let join = json!({"type": "join", "id": "j", "room": channel.room, "after": "start"});
    let frames = masked(Opcode::Text, join.to_string().as_bytes());
    let socket = TcpStream::connect(server.address()).unwrap();
    let (mut client, _) = Client::greet_on(socket, &upgrade(), &frames);
    assert_eq!(client.frame()["type"], "welcome");
    assert_eq!(client.frame()["type"], "joined");
    assert_eq!(client.events_until(&channel.room, 3).len(), 3);
}

#[test]
fn the_upgrade_waits_for_the_answers_to_requests_before_it() {
    let server = TestServer::start();
    let channel = channel(&server);
    let mut connection = server.connect();
    let event = json!({"authorId": "ann", "content": "first"}).to_string();
    let append = post(&channel.path("/events")).json(&event);
    let join = json!({"type": "join", "room": channel.room, "after": "start"});
    let mut all = append.bytes();
    all.extend(upgrade().bytes());
    all.extend(masked(Opcode::Text, join.to_string().as_bytes()));
    connection.write(all);
    connection.answer().expect(201);
    // The rest of the conversation is a WebSocket's.
    let upgraded = connection.head();
    assert_eq!(upgraded.status, 101);
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let server = TestServer::start();
    let mut client = Client::of(&server);
    client.send(Opcode::Ping, b"are you there");
    assert_eq!(client.hear(), Heard::Pong(b"are you there".to_vec()));
    client.send(Opcode::Ping, b"");
    assert_eq!(client.hear(), Heard::Pong(Vec::new()));
    client.send(Opcode::Pong, b"unasked for");
    assert_eq!(
        client.ask(json!({"type": "ping"})),
        json!({"type": "pong", "id": 1})
    );
}

#[test]
fn a_close_is_answered_with_its_code() {
    let server = TestServer::start();
    for (payload, answer) in [
        (&b""[..], None),
        (&[0x03, 0xe8, b'b', b'y', b'e'], Some((1000, String::new()))),
        (&[0x0f, 0xa0], Some((4000, String::new()))),
    ] {
        let mut client = Client::of(&server);
        client.send(Opcode::Close, payload);
        assert_eq!(client.hear(), Heard::Close(answer));
        assert_eq!(client.hear(), Heard::End);
    }
}

#[test]
fn messages_may_come_in_fragments_with_pings_in_between() {
    let server = TestServer::start();
    let mut client = Client::of(&server);
    let whole = json!({"type": "ping", "id": "fragmented \u{1f600}"}).to_string();
    let mut first = masked(Opcode::Text, &whole.as_bytes()[..30]);
    first[0] &= 0x7f;
    client.write(&first);
    client.send(Opcode::Ping, b"between");
    assert_eq!(client.hear(), Heard::Pong(b"between".to_vec()));
    for (at, byte) in whole.as_bytes()[30..].iter().enumerate() {
        let mut fragment = masked(Opcode::Text, &[*byte]);
        let is_last = 30 + at + 1 == whole.len();
        fragment[0] = if is_last { 0x80 } else { 0 };
        client.write(&fragment);
    }
    assert_eq!(
        client.frame(),
        json!({"type": "pong", "id": "fragmented \u{1f600}"})
    );
}

#[test]
fn whoever_breaks_the_rules_of_websockets_is_told_which_by_the_close_code() {
    let server = TestServer::with(|settings| settings.limits.live_message_bytes_max = 1_000);
    let long = vec![b' '; 1_001];
    let unmasked = [0x81, 0x02, b'{', b'}'];
    let reserved = [0xc1, 0x80, 0, 0, 0, 0];
    for (bytes, code) in [
        (masked(Opcode::Text, &long), 1009),
        (masked(Opcode::Text, b"{\"type\":\"\xff\"}"), 1007),
        (unmasked.to_vec(), 1002),
        (reserved.to_vec(), 1002),
        (masked(Opcode::Close, &[0x03]), 1002),
    ] {
        let mut client = Client::of(&server);
        client.write(&bytes);
        client.ends_with(code);
    }
    // In fragments it is no shorter.
    let mut client = Client::of(&server);
    for first in [1, 0] {
        let mut fragment = masked(Opcode::Text, &[b' '; 600]);
        fragment[0] = first;
        assert!(client.try_write(&fragment));
    }
    client.ends_with(1009);
}

#[test]
fn a_silent_peer_is_pinged_and_told_goodbye_if_it_stays_silent() {
    let server = TestServer::with(|settings| settings.limits.live_ping_ms = 200);
    let channel = channel(&server);
    let mut client = Client::of(&server);
    client.join(&channel.room, json!({"presence": "member", "user": "ann"}));
    loop {
        match client.hear() {
            Heard::Frame(_) => {}
            heard => break assert_eq!(heard, Heard::Ping(Vec::new())),
        }
    }
    // One that answers is left alone.
    client.send(Opcode::Pong, b"");
    assert_eq!(client.hear(), Heard::Ping(Vec::new()));
    let Heard::Frame(goodbye) = client.hear() else {
        panic!("no goodbye");
    };
    assert_eq!(goodbye["type"], "goodbye");
    assert_eq!(goodbye["code"], "REQUEST_TIMEOUT");
    assert_eq!(goodbye["retry"], "reconnect");
    let reason = (4026, "REQUEST_TIMEOUT".to_owned());
    assert_eq!(client.hear(), Heard::Close(Some(reason)));
    assert_eq!(client.hear(), Heard::End);
}
