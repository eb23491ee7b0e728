//! Somebody else who is asked who shows what nothing here knows.

use std::time::Duration;

use floe_server::AccessWebhookSettings;
use serde_json::{Value, json};

use crate::harness::{Connection, Place, Request, TestServer, eventually, get, post, put};
use crate::websocket::client::{Client, upgrade};

fn server_with(place: &Place, set: impl FnOnce(&mut AccessWebhookSettings)) -> TestServer {
    let mut webhook = AccessWebhookSettings::new(&place.url());
    webhook.secret = Some("between-us".into());
    set(&mut webhook);
    TestServer::with(|settings| {
        settings.api_keys = "*:admin:root".into();
        settings.access.webhook = Some(webhook);
    })
}

fn yes() -> Value {
    json!({
        "allow": true,
        "namespace": "acme",
        "user": "tess",
        "rooms": {"**": ["read", "append", "create"]},
    })
}

fn with(request: Request, bearer: &str) -> Request {
    request.field("Authorization", format!("Bearer {bearer}"))
}

#[test]
fn it_is_asked_once_per_credential_and_says_who_that_is() {
    let place = Place::answering(200, &yes());
    let server = server_with(&place, |_| {});
    server.expect(201, with(put("news").json("[]"), "opaque"));
    server.expect(204, with(post("news").json("[1]"), "opaque"));
    server.expect(200, get("/n/acme/v1/stream/news?offset=-1").key("root"));
    assert_eq!(place.asked(), 1);
    let request = &place.requests()[0];
    assert!(request.starts_with("POST /x HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("authorization: Bearer between-us\r\n"),
        "{request}"
    );
    let (_, body) = request.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    let asked = json!({"bearer": "opaque", "namespace": null, "peer": "127.0.0.1"});
    assert_eq!(body, asked);
    server.expect(200, with(get("news?offset=-1"), "another"));
    assert_eq!(place.asked(), 2);
    let made = with(post("/v1/channels").json(r#"{"name":"c"}"#), "opaque");
    let made = server.expect(201, made).json();
    let id = made["metadata"]["channelId"].as_str().unwrap();
    let said = post(&format!("/v1/channels/{id}/events"));
    let said = said.json(r#"{"authorId":"mallory","content":"x"}"#);
    let said = server.expect(201, with(said, "opaque")).json();
    assert_eq!(said["event"]["authorId"], "tess");
}

#[test]
fn what_is_known_here_is_asked_of_nobody() {
    let place = Place::answering(200, &yes());
    let server = server_with(&place, |_| {});
    server.expect(404, get("x?offset=-1").key("root"));
    server.send(get("x?offset=-1")).refused(401, "UNAUTHORIZED");
    assert_eq!(place.asked(), 0);
}

#[test]
fn a_no_is_a_no_and_remembered() {
    for (status, body) in [
        (200, json!({"allow": false})),
        (403, json!({})),
        (401, json!(0)),
    ] {
        let place = Place::answering(status, &body);
        let server = server_with(&place, |_| {});
        for _ in 0..3 {
            let refused = server.send(with(get("x?offset=-1"), "opaque"));
            refused.refused(401, "UNAUTHORIZED");
        }
        assert_eq!(place.asked(), 1);
    }
}

#[test]
fn what_is_no_answer_lets_nobody_in() {
    let no_user = json!({"allow": true, "namespace": "a", "rooms": {"**": ["append"]}});
    for (status, body) in [(500, yes()), (302, yes()), (200, json!([])), (200, no_user)] {
        let place = Place::answering(status, &body);
        let server = server_with(&place, |_| {});
        let refused = server.send(with(get("x?offset=-1"), "opaque"));
        refused.refused(503, "ACCESS_UNAVAILABLE");
        // It may do so later.
        place.answer(200, &yes());
        eventually("an answer", || {
            server.send(with(get("x?offset=-1"), "opaque")).status == 404
        });
    }
}

#[test]
fn a_slow_one_keeps_only_those_waiting_that_it_is_asked_about() {
    let place = Place::answering(200, &yes());
    place.take(Duration::from_secs(5));
    let server = server_with(&place, |webhook| webhook.timeout_ms = 500);
    let mut waiting = server.connect();
    waiting.write(with(get("x?offset=-1"), "opaque").bytes());
    server.expect(404, get("x?offset=-1").key("root"));
    waiting.answer().refused(503, "ACCESS_UNAVAILABLE");
    let metrics = server.expect(200, get("/metrics").key("root")).text();
    assert!(metrics.contains("floe_access_webhook_failures_total 1\n"));
}

#[test]
fn a_yes_holds_no_longer_than_it_says() {
    let mut short = yes();
    short["expiresIn"] = json!(1);
    let place = Place::answering(200, &short);
    let server = server_with(&place, |_| {});
    let mut connection = server.connect();
    let request = with(get("x?offset=-1"), "opaque");
    connection.ask(&request).expect(404);
    place.answer(200, &json!({"allow": false}));
    eventually("its end", || connection.ask(&request).status == 401);
    // And no longer than the operator says.
    let place = Place::answering(200, &yes());
    let server = server_with(&place, |webhook| webhook.cache_seconds = 1);
    let mut connection = server.connect();
    connection.ask(&request).expect(404);
    place.answer(200, &json!({"allow": false}));
    eventually("its end", || connection.ask(&request).status == 401);
}

#[test]
fn those_who_show_nothing_are_asked_about_where_that_is_wanted() {
    let mut guest = yes();
    guest["rooms"] = json!({"stream/open/**": ["read"]});
    let place = Place::answering(200, &guest);
    let server = server_with(&place, |webhook| webhook.anonymous = true);
    for _ in 0..3 {
        server.expect(404, get("open/x?offset=-1"));
        server.send(get("x?offset=-1")).refused(403, "FORBIDDEN");
    }
    assert_eq!(place.asked(), 1);
}

#[test]
fn a_page_that_shows_its_credentials_in_its_first_frame_waits_for_the_answer() {
    let place = Place::answering(200, &yes());
    place.take(Duration::from_millis(300));
    let server = server_with(&place, |_| {});
    server.expect(201, put("/n/acme/v1/stream/news").json("[]").key("root"));
    let mut page = Client::greet(&server, &upgrade()).0;
    assert_eq!(page.frame()["type"], "welcome");
    page.say(&json!({"type": "auth", "id": 1, "bearer": "opaque"}));
    page.say(&json!({"type": "join", "id": 2, "room": "stream/news"}));
    let (first, second) = (page.frame(), page.frame());
    assert_eq!(
        (&first["type"], &first["id"]),
        (&json!("authenticated"), &json!(1))
    );
    assert_eq!(first["user"], "tess");
    assert_eq!(
        (&second["type"], &second["id"]),
        (&json!("joined"), &json!(2))
    );
    assert_eq!(place.asked(), 1);
    place.answer(500, &json!({}));
    page.refused(
        json!({"type": "auth", "bearer": "other"}),
        "ACCESS_UNAVAILABLE",
    );
}

/// Begins to listen as whoever shows a bearer.
fn listen(server: &TestServer, bearer: &str) -> (Client, Connection) {
    let (mut socket, _) = Client::greet(server, &with(upgrade(), bearer));
    assert_eq!(socket.frame()["type"], "welcome");
    socket.ask(json!({ "type": "join", "room": "stream/news" }));
    let mut poll = server.connect();
    poll.write(with(get("news?offset=now&live=long-poll"), bearer).bytes());
    (socket, poll)
}

fn revoke(server: &TestServer, body: &Value) {
    let request = post("/n/acme/v1/revocations").key("root").value(body);
    server.expect(201, request);
}

#[test]
fn a_revoked_user_ends_at_once_and_is_asked_about_again() {
    let place = Place::answering(200, &yes());
    let server = server_with(&place, |webhook| webhook.cache_seconds = 3_600);
    server.expect(201, with(put("news").json("[0]"), "opaque"));
    let (mut socket, mut poll) = listen(&server, "opaque");
    let drawn = server
        .expect(201, with(post("/v1/tickets"), "opaque"))
        .json();
    let ticket = drawn["ticket"].as_str().unwrap();
    let mut bob = yes();
    bob["user"] = json!("bob");
    place.answer(200, &bob);
    let (mut other, mut other_poll) = listen(&server, "another");
    assert_eq!(place.asked(), 2);
    // The webhook says no from now on, and nobody has noticed yet.
    place.answer(200, &json!({"allow": false}));
    server.expect(200, with(get("news?offset=-1"), "opaque"));
    // Somebody else of that name, in another namespace, is nobody here.
    let elsewhere = post("/n/umbra/v1/revocations").key("root");
    server.expect(201, elsewhere.value(&json!({ "user": "tess" })));
    server.expect(200, with(get("news?offset=-1"), "opaque"));
    assert_eq!(place.asked(), 2);
    revoke(&server, &json!({ "user": "tess" }));
    let (frames, close) = socket.rest();
    assert_eq!(frames.last().unwrap()["code"], "UNAUTHORIZED");
    assert!(close.is_some());
    poll.answer().refused(401, "UNAUTHORIZED");
    let by_ticket = get(&format!("news?offset=-1&ticket={ticket}"));
    server.send(by_ticket).refused(401, "UNAUTHORIZED");
    let again = with(get("news?offset=-1"), "opaque");
    server.send(again.clone()).refused(401, "UNAUTHORIZED");
    assert_eq!(place.asked(), 3);
    // Others go on, and nobody was asked about them.
    server.expect(204, post("/n/acme/v1/stream/news").json("[1]").key("root"));
    assert_eq!(other_poll.answer().status, 200);
    assert_eq!(other.next_of("events")["room"], "stream/news");
    // If the webhook says yes all the same, that is its word, and holds.
    place.answer(200, &yes());
    eventually("the no is forgotten", || {
        server.send(again.clone()).status == 200
    });
    let asked = place.asked();
    let (_socket, _poll) = listen(&server, "opaque");
    // Whatever else changes then, they stay.
    revoke(&server, &json!({ "token": "nonesuch" }));
    server.expect(200, again);
    assert_eq!(place.asked(), asked);
}

#[test]
fn what_was_asked_before_a_user_was_revoked_is_asked_again() {
    let place = Place::answering(200, &yes());
    let mut webhook = AccessWebhookSettings::new(&place.url());
    webhook.timeout_ms = 30_000;
    let server = TestServer::with(|settings| {
        settings.api_keys = "*:admin:root".into();
        settings.access.webhook = Some(webhook);
        settings.limits.access_timeout_ms = 60_000;
    });
    server.expect(201, put("/n/acme/v1/stream/news").json("[]").key("root"));
    place.take(Duration::from_secs(2));
    let mut waiting = server.connect();
    waiting.write(with(get("news?offset=-1"), "opaque").bytes());
    eventually("the question", || place.asked() == 1);
    revoke(&server, &json!({ "user": "tess" }));
    // The yes to the first question comes after the revocation, and is no answer.
    eventually("another question", || place.asked() == 2);
    place.answer(200, &json!({"allow": false}));
    waiting.answer().refused(401, "UNAUTHORIZED");
    assert_eq!(place.asked(), 2);
}
