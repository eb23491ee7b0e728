//! Tickets: each opens one connection as whoever drew it.

use serde_json::json;

use super::{guarded, make};
use crate::harness::{Channel, Request, TestServer, get, post, put};
use crate::websocket::client::{Client, upgrade};

#[track_caller]
fn draw(server: &TestServer, key: &str) -> String {
    let drawn = server.expect(201, post("/v1/tickets").key(key)).json();
    let ticket = drawn["ticket"].as_str().unwrap().to_owned();
    assert_eq!(ticket.len(), 48);
    assert!(drawn["expiresAt"].is_string());
    ticket
}

fn live(ticket: &str) -> Request {
    let mut request = upgrade();
    request.target = format!("/v1/live?ticket={ticket}");
    request
}

#[test]
fn a_ticket_opens_one_socket_as_whoever_drew_it() {
    let server = guarded();
    server.expect(201, put("news").json("[0]").key("k-acme"));
    let ann = json!({ "rights": ["read"], "user": "ann" });
    let ann = make(&server, "k-acme", &ann);
    let ticket = draw(&server, &ann.secret);
    let (mut socket, _) = Client::greet(&server, &live(&ticket));
    assert_eq!(socket.frame()["type"], "welcome");
    assert_eq!(
        socket.ask(json!({ "type": "join", "room": "stream/news" }))["type"],
        "joined"
    );
    server.send(live(&ticket)).refused(401, "UNAUTHORIZED");
    server.send(live("nonesuch")).refused(401, "UNAUTHORIZED");
    // It ends with the key that it was drawn by.
    super::end_key(&server, "k-acme", &ann.id);
    let (frames, _) = socket.rest();
    assert_eq!(frames.last().unwrap()["code"], "UNAUTHORIZED");
}

#[test]
fn a_ticket_opens_one_event_stream() {
    let server = guarded();
    server.expect(201, put("news").json("[0]").key("k-acme"));
    let channel = post("/v1/channels")
        .key("k-acme")
        .value(&json!({ "name": "c" }));
    let channel = Channel::of(&server.expect(201, channel));
    for target in [
        "news?offset=-1&live=sse".to_owned(),
        format!("{}?afterSeq=0", channel.at("/subscribe").as_str()),
    ] {
        let ticket = draw(&server, "k-acme");
        let shown = get(&format!("{target}&ticket={ticket}"));
        let _events = server.connect().follow(&shown);
        server.send(shown).refused(401, "UNAUTHORIZED");
    }
    // Those who may not read may not by a ticket either.
    let weak = make(
        &server,
        "k-acme",
        &json!({ "rooms": { "stream/a": ["read"] } }),
    );
    let ticket = draw(&server, &weak.secret);
    let refused = server.send(get(&format!("news?offset=-1&live=sse&ticket={ticket}")));
    refused.refused(403, "FORBIDDEN");
    server
        .send(post("/v1/tickets"))
        .refused(401, "UNAUTHORIZED");
}

#[test]
fn a_ticket_is_worth_nothing_once_its_key_is_gone() {
    let server = guarded();
    let key = make(&server, "k-acme", &json!({ "rights": ["read"] }));
    let ticket = draw(&server, &key.secret);
    super::end_key(&server, "k-acme", &key.id);
    server.send(live(&ticket)).refused(401, "UNAUTHORIZED");
}

#[test]
fn a_ticket_keeps_its_namespace() {
    let server = guarded();
    let drawn = server
        .expect(201, post("/n/acme/v1/tickets").key("k-root"))
        .json();
    let ticket = drawn["ticket"].as_str().unwrap();
    let who = server.expect(200, get(&format!("/v1/whoami?ticket={ticket}")));
    assert_eq!(who.json()["namespace"], "acme");
    let other = draw(&server, "k-acme");
    let elsewhere = server.send(get(&format!("/n/umbra/v1/whoami?ticket={other}")));
    elsewhere.refused(403, "FORBIDDEN");
}

#[test]
fn an_open_server_has_tickets_as_well() {
    let server = TestServer::start();
    let drawn = server.expect(201, post("/v1/tickets")).json();
    let (mut socket, _) = Client::greet(&server, &live(drawn["ticket"].as_str().unwrap()));
    assert_eq!(socket.frame()["type"], "welcome");
}
