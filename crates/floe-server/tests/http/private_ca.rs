//! Keys of issuers and the authorisation webhook behind certificates of a private authority.

use floe_server::{AccessWebhookSettings, IssuerSettings, JwksSettings, Roots};
use floe_surfaces::access::jwt::{Issuer, KeySet};
use serde_json::json;

use crate::harness::{
    Authority, ISSUER, Place, Request, TestServer, TokenKey, eventually, get, put,
};

fn with(request: Request, bearer: &str) -> Request {
    request.field("Authorization", format!("Bearer {bearer}"))
}

fn https(authority: &Authority, place: &Place) -> String {
    let address = authority.stand_before(place.address());
    format!("https://localhost:{}/x", address.port())
}

fn roots(authority: &Authority) -> Roots {
    Roots::parse(authority.pem().as_bytes()).unwrap()
}

#[test]
fn keys_are_fetched_from_who_shows_a_certificate_of_a_named_authority() {
    let (ours, another) = (Authority::new(), Authority::new());
    let key = TokenKey::new("one");
    let place = Place::publishing(&[&key]);
    let url = https(&ours, &place);
    let issuer = |roots: Roots| IssuerSettings {
        issuer: Issuer::new(ISSUER, KeySet::default()),
        jwks: Some(JwksSettings {
            roots,
            ..JwksSettings::new(&url)
        }),
    };
    let server = TestServer::with(|settings| {
        settings.api_keys = "*:admin:root".into();
        settings.access.issuers = vec![issuer(Roots::default())];
    });
    let token = key.grant(&json!({"**": ["read", "create"]}));
    let make = || server.send(with(put("news").json("[]"), &token));
    make().refused(503, "ACCESS_UNAVAILABLE");
    let believe = |roots: Roots| {
        let set = |settings: &mut floe_server::Settings| {
            settings.access.issuers = vec![issuer(roots)];
        };
        server.reload(set).unwrap();
    };
    // That of somebody else does not help, and ours does, without a restart.
    believe(roots(&another));
    eventually("it is tried again", || {
        let metrics = server.expect(200, get("/metrics").key("root")).text();
        metrics.contains("floe_access_key_failures_total 2\n")
    });
    make().refused(503, "ACCESS_UNAVAILABLE");
    assert_eq!(place.asked(), 0);
    believe(roots(&ours));
    eventually("the keys come", || make().status == 201);
    assert_eq!(place.asked(), 1);
}

#[test]
fn the_webhook_is_asked_behind_a_certificate_of_a_named_authority() {
    let ours = Authority::new();
    let yes = json!({"allow": true, "namespace": "acme", "rooms": {"**": ["read"]}});
    let place = Place::answering(200, &yes);
    let url = https(&ours, &place);
    let ask = |roots: Roots| {
        let webhook = AccessWebhookSettings {
            roots,
            secret: Some("between-us".into()),
            ..AccessWebhookSettings::new(&url)
        };
        TestServer::with(|settings| {
            settings.api_keys = "*:admin:root".into();
            settings.access.webhook = Some(webhook);
        })
    };
    let server = ask(Roots::default());
    let asked = || with(get("/v1/whoami"), "opaque");
    server.send(asked()).refused(503, "ACCESS_UNAVAILABLE");
    // What is between us was told to nobody.
    assert_eq!(place.requests(), [""; 0]);
    let server = ask(roots(&ours));
    let known = server.expect(200, asked()).json();
    assert_eq!(known["namespace"], "acme");
    assert_eq!(place.asked(), 1);
}
