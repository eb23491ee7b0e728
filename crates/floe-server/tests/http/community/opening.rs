//! How a WebSocket of one room is opened, and what is the same on all of them.

use floe_surfaces::ws::Opcode;
use serde_json::json;

use super::{Member, socket};
use crate::harness::{Request, TestServer, get};
use crate::websocket::Client;

const ROOM: &str = "/ws/voice/00000000000a";
const KEYS: &str = "default:read:k-read default:admin:k-admin";

fn keyed() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

#[track_caller]
fn refused(server: &TestServer, request: Request, status: u16, code: &str) {
    let answer = server.expect(status, request);
    assert_eq!(answer.json()["code"], code, "{}", answer.text());
}

#[test]
fn a_page_shows_its_token_among_the_subprotocols_and_hears_what_it_offered() {
    let server = keyed();
    for (offered, spoken) in [
        ("floe.token, k-admin", "floe.token"),
        ("k-admin, floe.token", "floe.token"),
        ("k-admin", "k-admin"),
    ] {
        let request = socket(ROOM).field("Sec-WebSocket-Protocol", offered);
        let (mut client, answer) = Client::greet(&server, &request);
        assert_eq!(answer.header("sec-websocket-protocol"), Some(spoken));
        assert_eq!(client.frame()["type"], "welcome");
    }
    let two = socket(ROOM).field("Sec-WebSocket-Protocol", "k-admin, other");
    refused(&server, two, 400, "INVALID_REQUEST");
    let wrong = socket(ROOM).field("Sec-WebSocket-Protocol", "floe.token, k-wrong");
    refused(&server, wrong, 401, "UNAUTHORIZED");
}

#[test]
fn a_token_may_come_in_a_header_or_in_the_query_and_the_header_goes_first() {
    let server = keyed();
    Member::with(&server, &socket(ROOM).key("k-admin"));
    Member::with(&server, &socket(&format!("{ROOM}?token=k%2dadmin")));
    let both = socket(&format!("{ROOM}?token=k-admin")).key("k-wrong");
    refused(&server, both, 401, "UNAUTHORIZED");
    refused(&server, socket(ROOM), 401, "UNAUTHORIZED");
    // A channel's token opens its channel, and nothing else.
    let channel = server.expect(
        201,
        crate::harness::post("/v1/channels")
            .key("k-admin")
            .value(&json!({"name": "room"})),
    );
    let channel = crate::harness::Channel::of(&channel);
    let signed = crate::harness::post(&channel.at("/tokens"))
        .key("k-admin")
        .value(&json!({"rights": ["read"], "author": "ann"}));
    let token = server.expect(201, signed).json()["token"].clone();
    let target = format!("{ROOM}?token={}", token.as_str().unwrap());
    refused(&server, socket(&target), 403, "FORBIDDEN");
}

#[test]
fn only_who_may_manage_a_room_acts_there_as_somebody_else() {
    let server = keyed();
    let admin = socket(&format!("{ROOM}?user=ann%20b")).key("k-admin");
    let ann = Member::with(&server, &admin);
    assert_eq!(ann.welcome["userId"], "ann b");
    let nobody = Member::with(&server, &socket(ROOM).key("k-read"));
    assert_eq!(nobody.welcome.get("userId"), None);
    let reader = socket(&format!("{ROOM}?user=ann")).key("k-read");
    refused(&server, reader, 403, "FORBIDDEN");
    let signed = crate::harness::post("/v1/tokens")
        .key("k-admin")
        .value(&json!({"user": "mia", "rights": ["read"]}));
    let token = server.expect(201, signed).json()["token"].clone();
    let token = token.as_str().unwrap();
    let as_user = |user: &str| {
        let target = format!("{ROOM}{user}");
        socket(&target).field("Sec-WebSocket-Protocol", format!("floe.token, {token}"))
    };
    for user in ["", "?user=mia"] {
        let mia = Member::with(&server, &as_user(user));
        assert_eq!(mia.welcome["userId"], "mia");
    }
    refused(&server, as_user("?user=ann"), 403, "FORBIDDEN");
    let empty = socket(&format!("{ROOM}?user=")).key("k-admin");
    refused(&server, empty, 400, "INVALID_REQUEST");
}

#[test]
fn what_is_no_socket_of_a_room_is_refused_with_its_reason() {
    let server = TestServer::start();
    for path in ["/ws/", "/ws/voice", "/ws/den/00000000000a", "/ws/voice/a/b"] {
        refused(&server, socket(path), 404, "UNKNOWN_ROUTE");
    }
    refused(&server, get(ROOM), 426, "UPGRADE_REQUIRED");
    for id in ["x", "00000000000A", "00000000000a0"] {
        refused(
            &server,
            socket(&format!("/ws/voice/{id}")),
            404,
            "NOT_FOUND",
        );
    }
    let foreign = socket(ROOM).field("Origin", "https://elsewhere.example");
    refused(&server, foreign, 403, "ORIGIN_REJECTED");
}

#[test]
fn every_room_answers_pings_and_names_what_it_does_not_know() {
    let server = TestServer::start();
    let mut ann = Member::of(&server, &format!("{ROOM}?user=ann"));
    assert_eq!(ann.welcome["room"], "00000000000a");
    assert!(ann.welcome["heartbeatMs"].as_u64().unwrap() > 0);
    assert!(ann.welcome["limits"]["frameBytes"].as_u64().unwrap() > 0);
    let pong = ann.client.ask(json!({"type": "ping"}));
    assert_eq!(pong["type"], "pong");
    let unknown = ann.refused(json!({"type": "dance", "nonce": "n"}), "UNKNOWN_ACTION");
    assert_eq!(
        (&unknown["nonce"], &unknown["retry"]),
        (&json!("n"), &json!("never"))
    );
    for (opcode, payload) in [
        (Opcode::Text, &b"{"[..]),
        (Opcode::Text, b"[]"),
        (Opcode::Text, b"{\"type\":1}"),
        (Opcode::Text, b"{\"id\":{},\"type\":\"ping\"}"),
        (Opcode::Binary, b"\xa0"),
    ] {
        ann.client.send(opcode, payload);
        let refused = ann.client.next_of("error");
        assert_eq!(refused["code"], "INVALID_FRAME", "{refused}");
    }
    let pong = ann.client.ask(json!({"type": "ping"}));
    assert_eq!(pong["type"], "pong");
}
