//! Signed tokens: keys that are fetched, on every surface, and who their bearer is.

use std::time::{Duration, Instant};

use floe_server::{IssuerSettings, JwksSettings};
use floe_surfaces::access::jwt::{Issuer, KeySet, Secret};
use serde_json::{Value, json};

use crate::harness::{
    ISSUER, Place, Request, TestServer, TokenKey, eventually, get, post, put, unix_seconds,
};
use crate::websocket::client::{Client, upgrade};

/// An issuer whose keys are fetched from a place.
fn fetched_from(place: &Place) -> IssuerSettings {
    IssuerSettings {
        issuer: Issuer::new(ISSUER, KeySet::default()),
        jwks: Some(JwksSettings::new(&place.url())),
    }
}

fn server_with(place: &Place) -> TestServer {
    let issuer = fetched_from(place);
    TestServer::with(|settings| {
        settings.api_keys = "*:admin:root".into();
        settings.access.issuers = vec![issuer];
    })
}

fn with(request: Request, token: &str) -> Request {
    request.field("Authorization", format!("Bearer {token}"))
}

fn everything() -> Value {
    json!({"**": ["read", "append", "presence", "create"]})
}

#[test]
fn the_same_token_opens_streams_channels_sse_and_sockets_and_says_who_it_is() {
    let key = TokenKey::new("one");
    let server = server_with(&Place::publishing(&[&key]));
    let token = key.grant(&everything());
    server.expect(201, with(put("news").json("[]"), &token));
    server.expect(204, with(post("news").json("[1]"), &token));
    // It is in the token's namespace, and nowhere else.
    server.expect(200, get("/n/acme/v1/stream/news?offset=-1").key("root"));
    server.expect(404, get("news?offset=-1").key("root"));
    let other = with(get("/n/other/v1/stream/news?offset=-1"), &token);
    server.send(other).refused(403, "FORBIDDEN");

    let made = with(post("/v1/channels").json(r#"{"name":"c"}"#), &token);
    let made = server.expect(201, made).json();
    let id = made["metadata"]["channelId"].as_str().unwrap().to_owned();
    let events = format!("/v1/channels/{id}/events");
    // Whoever it is, is whom the token names, whatever the body says.
    let said = post(&events).json(r#"{"authorId":"mallory","content":"one"}"#);
    let said = server.expect(201, with(said, &token)).json();
    assert_eq!(said["event"]["authorId"], "tess");

    let sse = with(get("news?offset=-1&live=sse"), &token);
    let mut sse = server.connect().follow(&sse);
    assert_eq!(sse.until_up_to_date().0, "[1]");

    let mut socket = Client::greet(&server, &with(upgrade(), &token)).0;
    assert_eq!(socket.frame()["type"], "welcome");
    let room = format!("channel/{id}");
    socket.join(&room, json!({"presence": "member", "user": "mallory"}));
    let there = socket.next_of("presence").to_string();
    assert!(
        there.contains("tess") && !there.contains("mallory"),
        "{there}"
    );
    assert_eq!(socket.append(&room, "mallory", "two"), 2);
    let last = with(
        get(&format!("/v1/channels/{id}/events/2?waitFor=2")),
        &token,
    );
    let last = server.expect(200, last).text();
    assert!(last.contains("tess") && !last.contains("mallory"), "{last}");
}

#[test]
fn what_a_token_does_not_grant_it_does_not_open() {
    let key = TokenKey::new("one");
    let server = server_with(&Place::publishing(&[&key]));
    for path in ["a/b", "c"] {
        let made = put(&format!("/n/acme/v1/stream/{path}"));
        server.expect(201, made.json("[]").key("root"));
    }
    let some = key.grant(&json!({"stream/a/**": ["read"]}));
    server.expect(200, with(get("a/b?offset=-1"), &some));
    for request in [
        get("c?offset=-1"),
        post("a/b").json("[1]"),
        put("a/d").json("[]"),
    ] {
        server.send(with(request, &some)).refused(403, "FORBIDDEN");
    }
}

#[test]
fn a_wrong_token_is_refused_with_the_rule_it_breaks_and_nothing_of_it() {
    let key = TokenKey::new("one");
    let server = server_with(&Place::publishing(&[&key]));
    let forger = TokenKey::new("one");
    for (token, why) in [
        (forger.grant(&everything()), "signature"),
        (key.sign(&json!({"exp": unix_seconds() - 3_600})), "expired"),
        (
            key.sign(&json!({"nbf": unix_seconds() + 3_600})),
            "not valid yet",
        ),
        (
            key.sign(&json!({"iss": "https://secret.example"})),
            "issuer",
        ),
        (key.sign(&json!({})), "namespace"),
        ("a.b.c".to_owned(), "cannot be read"),
    ] {
        let refused = server.send(with(get("x?offset=-1"), &token));
        let refused = refused.refused(401, "UNAUTHORIZED").text();
        assert!(
            refused.contains(why) && !refused.contains("secret"),
            "{refused}"
        );
        assert!(
            token.len() < 10 || !refused.contains(&token[..10]),
            "{refused}"
        );
    }
}

#[test]
fn a_new_key_is_fetched_once_it_is_used_and_without_a_restart() {
    let (old, new) = (TokenKey::new("old"), TokenKey::new("new"));
    let place = Place::publishing(&[&old]);
    let server = server_with(&place);
    let ask = |key: &TokenKey| {
        let token = key.grant(&everything());
        server.send(with(get("x?offset=-1"), &token)).status
    };
    assert_eq!(ask(&old), 404);
    assert_eq!(place.asked(), 1);
    // Keys that came just now are not fetched again for whoever names another.
    assert_eq!((ask(&new), place.asked()), (401, 1));
    place.publish(&[&new]);
    eventually("the new key", || ask(&new) == 404);
    assert_eq!(place.asked(), 2);
    // The old one went with the old keys.
    assert_eq!(ask(&old), 401);
}

#[test]
fn a_place_that_is_slow_keeps_nobody_waiting_but_those_who_need_it() {
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    place.take(Duration::from_millis(700));
    let server = server_with(&place);
    let token = key.grant(&everything());
    let mut waiting = server.connect();
    waiting.write(with(put("news").json("[7]"), &token).bytes());
    let began = Instant::now();
    for _ in 0..10 {
        server.expect(404, get("x?offset=-1").key("root"));
    }
    assert!(began.elapsed() < Duration::from_millis(500));
    waiting.answer().expect(201);
    assert!(began.elapsed() < Duration::from_millis(5_000));
    assert_eq!(place.asked(), 1);
}

#[test]
fn without_keys_nobody_is_believed_and_they_may_come_later() {
    let key = TokenKey::new("one");
    let place = Place::answering(500, &json!({}));
    let server = server_with(&place);
    let token = key.grant(&everything());
    let ask = || server.send(with(get("x?offset=-1"), &token));
    ask().refused(503, "ACCESS_UNAVAILABLE");
    ask().refused(503, "ACCESS_UNAVAILABLE");
    assert_eq!(place.asked(), 1);
    server.expect(404, get("x?offset=-1").key("root"));
    assert!(figure(&server, "floe_access_key_failures_total") >= 1.0);
}

#[test]
fn a_request_waits_no_longer_than_it_may() {
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    place.take(Duration::from_secs(8));
    let issuer = fetched_from(&place);
    let server = TestServer::with(|settings| {
        settings.access.issuers = vec![issuer];
        settings.limits.access_timeout_ms = 200;
    });
    let late = server.send(with(get("x?offset=-1"), &key.grant(&everything())));
    let late = late.refused(503, "ACCESS_UNAVAILABLE").text();
    assert!(late.contains("access.timeout_ms"), "{late}");
    let mut socket = server.connect();
    let asked = with(upgrade(), &key.grant(&everything()));
    socket.ask(&asked).refused(503, "ACCESS_UNAVAILABLE");
}

#[test]
fn a_token_is_checked_once_and_not_per_connection() {
    let key = TokenKey::new("one");
    let server = server_with(&Place::publishing(&[&key]));
    let token = key.grant(&everything());
    for _ in 0..5 {
        server.expect(404, with(get("x?offset=-1"), &token));
    }
    assert_eq!(verified(&server), 1.0);
    assert_eq!(recalled(&server), 4.0);
    let other = key.grant(&json!({"**": ["read"]}));
    server.expect(404, with(get("x?offset=-1"), &other));
    assert_eq!(verified(&server), 2.0);
}

fn verified(server: &TestServer) -> f64 {
    figure(server, "floe_access_tokens_verified_total")
}

fn recalled(server: &TestServer) -> f64 {
    figure(server, "floe_access_recalled_total")
}

fn figure(server: &TestServer, name: &str) -> f64 {
    let metrics = server.expect(200, get("/metrics").key("root")).text();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn a_token_ends_while_its_connection_stays() {
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    let mut issuer = fetched_from(&place);
    issuer.issuer.skew_seconds = 0;
    let server = TestServer::with(|settings| settings.access.issuers = vec![issuer]);
    let claims = json!({
        "exp": unix_seconds() + 2,
        "floe": {"namespace": "acme", "rooms": everything()},
    });
    let token = key.sign(&claims);
    let mut connection = server.connect();
    connection
        .ask(&with(get("x?offset=-1"), &token))
        .expect(404);
    eventually("the end of the token", || {
        let answer = connection.ask(&with(get("x?offset=-1"), &token));
        answer.status == 401
    });
}

#[test]
fn settings_are_read_again_and_keys_stay_where_they_are_from_the_same_place() {
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    let server = server_with(&place);
    let token = key.grant(&everything());
    server.expect(404, with(get("x?offset=-1"), &token));
    let mut issuer = fetched_from(&place);
    issuer.issuer.skew_seconds += 30;
    place.answer(500, &json!({}));
    let reloaded = server.reload(|settings| {
        settings.api_keys = "*:admin:root".into();
        settings.access.issuers = vec![issuer];
    });
    reloaded.unwrap();
    eventually("another try", || place.asked() == 2);
    server.expect(404, with(get("x?offset=-1"), &token));
    // Without the issuer, its tokens are nothing, and those who listen are told.
    let sse = with(get("y?offset=-1&live=sse"), &token);
    server.expect(201, with(put("y").json("[]"), &token));
    let mut sse = server.connect().follow(&sse);
    sse.until_up_to_date();
    server
        .reload(|settings| settings.access.issuers.clear())
        .unwrap();
    eventually("its end", || {
        server.send(with(get("x?offset=-1"), &token)).status == 401
    });
    while sse.step().is_some() {}
}

#[test]
fn an_issuer_may_sign_with_a_secret() {
    let secret = [7; 32];
    let keys = KeySet::of_secrets([Secret::new(None, &secret).unwrap()]);
    let server = TestServer::with(|settings| {
        settings.access.issuers = vec![IssuerSettings {
            issuer: Issuer::new(ISSUER, keys),
            jwks: None,
        }];
    });
    // A key of another kind does not do, whatever the header says.
    let token = TokenKey::new("one").grant(&everything());
    let refused = server.send(with(get("x?offset=-1"), &token));
    refused.refused(401, "UNAUTHORIZED");
    server.send(get("x?offset=-1")).refused(401, "UNAUTHORIZED");
}
