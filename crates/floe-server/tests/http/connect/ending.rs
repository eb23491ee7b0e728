//! Credentials that end, or are taken back, while a connection is open.

use floe_server::{IssuerSettings, JwksSettings};
use floe_surfaces::access::jwt::{Issuer, KeySet};
use serde_json::{Value, json};

use super::{Member, connect};
use crate::harness::{ISSUER, Place, TestServer, TokenKey, delete, post, unix_seconds};

const KEYS: &str = "*:admin:k-root acme:admin:k-acme";

fn guarded() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

/// Makes a key; returns its number and the key.
#[track_caller]
fn key(server: &TestServer, body: &Value) -> (String, String) {
    let made = server.expect(201, post("/v1/keys").key("k-acme").value(body));
    let made = made.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["key"]["id"]), text(&made["secret"]))
}

/// Connects with a key to a room that is there, and has been told something of it.
#[track_caller]
fn connected(server: &TestServer, key: &str) -> Member {
    let mut request = connect("board");
    request.target.push_str("&tables=tasks");
    let request = request.field("Authorization", format!("Bearer {key}"));
    let mut member = Member::with(server, &request);
    member.client.next_of("success");
    member
}

#[track_caller]
fn is_ended(mut member: Member) {
    let (frames, close) = member.client.rest();
    let told = frames.last().expect("a last word");
    assert_eq!(
        (&told["type"], &told["code"]),
        (&json!("error"), &json!("UNAUTHORIZED")),
        "{told}"
    );
    let (code, reason) = close.expect("a close frame");
    assert!(
        (4500..5000).contains(&code),
        "no use in coming back: {code}"
    );
    assert_eq!(reason, "UNAUTHORIZED");
}

#[test]
fn a_key_that_is_taken_back_ends_its_connections_and_no_others() {
    let server = guarded();
    let rights = json!({"rights": ["read", "append"]});
    let ((id, one), (_, other)) = (key(&server, &rights), key(&server, &rights));
    let ended = connected(&server, &one);
    let mut stays = connected(&server, &other);
    server.expect(204, delete(&format!("/v1/keys/{id}")).key("k-acme"));
    is_ended(ended);
    let made = stays.call("createTask", json!({"title": "x"}));
    assert_eq!(stays.next_seqs(1), [super::seq(&made)]);
}

#[test]
fn a_key_that_ends_ends_its_connections() {
    let server = guarded();
    let body = json!({"rights": ["read", "append"], "expiresInSeconds": 2});
    let (_, secret) = key(&server, &body);
    is_ended(connected(&server, &secret));
}

#[test]
fn a_user_who_is_revoked_loses_the_connections() {
    let server = guarded();
    let token = |user: &str| {
        let body =
            json!({"user": user, "rooms": {"room/*": ["read", "append"]}, "expiresInSeconds": 600});
        let made = server.expect(201, post("/v1/tokens").key("k-acme").value(&body));
        made.json()["token"].as_str().unwrap().to_owned()
    };
    let revoked = connected(&server, &token("ann"));
    let mut stays = connected(&server, &token("bob"));
    let body = json!({"user": "ann"});
    server.expect(201, post("/v1/revocations").key("k-acme").value(&body));
    is_ended(revoked);
    stays.call("createTask", json!({"title": "x"}));
}

#[test]
fn a_token_that_ends_ends_its_connections() {
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    let mut issuer = IssuerSettings {
        issuer: Issuer::new(ISSUER, KeySet::default()),
        jwks: Some(JwksSettings::new(&place.url())),
    };
    issuer.issuer.skew_seconds = 0;
    let server = TestServer::with(|settings| settings.access.issuers = vec![issuer]);
    let claims = json!({
        "exp": unix_seconds() + 3,
        "floe": {"namespace": "acme", "rooms": {"room/**": ["read", "append"]}},
    });
    is_ended(connected(&server, &key.sign(&claims)));
}
