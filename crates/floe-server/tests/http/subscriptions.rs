//! Subscriptions: S1 to S6.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::harness::{
    Receiver, Request, TestServer, Webhook, delete, eventually, get, offset, post, put,
};

const ROOT: &str = "__ds/subscriptions";

fn subscribe(id: &str, body: &Value) -> Request {
    put(&format!("{ROOT}/{id}")).json(&body.to_string())
}

fn describe(server: &TestServer, id: &str) -> Value {
    server.expect(200, get(&format!("{ROOT}/{id}"))).json()
}

fn webhook(receiver: &Receiver, pattern: &str) -> Value {
    json!({ "type": "webhook", "webhook": { "url": receiver.url() }, "pattern": pattern })
}

fn pull_wake(pattern: &str) -> Value {
    json!({ "type": "pull-wake", "pattern": pattern, "wake_stream": "wakes" })
}

fn hold(id: &str, action: &str, token: &str, body: &Value) -> Request {
    post(&format!("{ROOT}/{id}/{action}"))
        .field("Authorization", format!("Bearer {token}"))
        .json(&body.to_string())
}

fn claim(server: &TestServer, id: &str) -> Value {
    let request = post(&format!("{ROOT}/{id}/claim")).json(r#"{"worker":"w"}"#);
    server.expect(200, request).json()
}

fn ack(claim: &Value, stream: &str, at: u64, done: bool) -> Value {
    json!({
        "wake_id": claim["wake_id"],
        "generation": claim["generation"],
        "acks": [{ "stream": stream, "offset": offset(at) }],
        "done": done,
    })
}

/// Answers through the callback of a webhook.
fn call_back(server: &TestServer, webhook: &Value, stream: &str, at: u64) {
    let url = webhook["callback_url"].as_str().unwrap();
    let target = &url[url.find("/v1/").unwrap()..];
    let request = post(target)
        .field(
            "Authorization",
            format!("Bearer {}", webhook["callback_token"].as_str().unwrap()),
        )
        .json(&ack(webhook, stream, at, true).to_string());
    assert_eq!(server.expect(200, request).json()["ok"], true);
}

fn links(view: &Value) -> Vec<(String, String, String)> {
    let text = |link: &Value, name: &str| link[name].as_str().unwrap().to_owned();
    let links = view["streams"].as_array().unwrap().iter();
    links
        .map(|link| {
            (
                text(link, "path"),
                text(link, "link_type"),
                text(link, "acked_offset"),
            )
        })
        .collect()
}

fn link(path: &str, kind: &str, at: u64) -> (String, String, String) {
    (path.to_owned(), kind.to_owned(), offset(at))
}

// S1
#[test]
fn a_subscription_is_created_confirmed_and_not_changed() {
    let server = TestServer::start();
    let body = pull_wake("jobs/*");
    let created = server.expect(201, subscribe("s", &body)).json();
    assert_eq!(created["id"], "s");
    assert_eq!(created["type"], "pull-wake");
    assert_eq!(created["lease_ttl_ms"], 30_000);
    server.expect(200, subscribe("s", &body));
    server
        .send(subscribe("s", &pull_wake("other/*")))
        .refused(409, "EXISTS");
    for lease in [999, 600_001] {
        let mut body = body.clone();
        body["lease_ttl_ms"] = json!(lease);
        server
            .send(subscribe("t", &body))
            .refused(400, "INVALID_REQUEST");
    }
    for body in [
        json!({ "type": "pull-wake", "wake_stream": "w" }),
        json!({ "type": "pull-wake", "pattern": "a" }),
        json!({ "type": "webhook", "pattern": "a" }),
        json!({ "type": "other", "pattern": "a", "wake_stream": "w" }),
        json!({ "type": "pull-wake", "pattern": "__ds/*", "wake_stream": "__ds/x" }),
    ] {
        server
            .send(subscribe("t", &body))
            .refused(400, "INVALID_REQUEST");
    }
    let server = server.restart();
    server.expect(200, subscribe("s", &body));
}

// S2
#[test]
fn links_are_found_added_removed_and_kept_over_a_restart() {
    let server = TestServer::start();
    server.expect(201, put("jobs/old").text("12345"));
    server.expect(201, put("jobs/deep/er").text("x"));
    server.expect(201, put("named").text("123"));
    server.expect(201, subscribe("s", &pull_wake("jobs/*")));
    // Existing streams are linked at their tails.
    eventually("the old one is linked", || {
        links(&describe(&server, "s")).len() == 1
    });
    assert_eq!(
        links(&describe(&server, "s")),
        [link("jobs/old", "glob", 5)]
    );
    let add = post(&format!("{ROOT}/s/streams")).json(r#"{"streams":["named","jobs/old"]}"#);
    server.expect(204, add);
    server.expect(201, put("jobs/new").content_type("text/plain"));
    let expected = [
        link("jobs/new", "glob", 0),
        link("jobs/old", "explicit", 5),
        link("named", "explicit", 3),
    ];
    eventually("all are linked", || {
        links(&describe(&server, "s")) == expected
    });
    let server = server.restart();
    assert_eq!(links(&describe(&server, "s")), expected);
    server.expect(204, delete(&format!("{ROOT}/s/streams/named")));
    eventually("one is unlinked", || {
        links(&describe(&server, "s")).len() == 2
    });
    // An explicit link that is removed falls back to the pattern.
    server.expect(204, delete(&format!("{ROOT}/s/streams/jobs/old")));
    server.expect(204, delete(&format!("{ROOT}/s")));
    server.expect(404, get(&format!("{ROOT}/s")));
    let server = server.restart();
    server.expect(404, get(&format!("{ROOT}/s")));
    server.expect(201, subscribe("s", &pull_wake("jobs/**")));
}

#[track_caller]
fn check_signature(server: &TestServer, webhook: &Webhook) {
    let keys = server.expect(200, get("__ds/jwks.json"));
    assert_eq!(
        keys.header("content-type"),
        Some("application/jwk-set+json")
    );
    assert_eq!(keys.header("cache-control"), Some("public, max-age=300"));
    let part = |name: &str| {
        let mut parts = webhook.signature.split(',');
        parts
            .find_map(|part| part.trim().strip_prefix(name))
            .unwrap()
    };
    let keys = keys.json();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == part("kid="));
    let key = URL_SAFE_NO_PAD
        .decode(key.unwrap()["x"].as_str().unwrap())
        .unwrap();
    let mut signed = format!("{}.", part("t=")).into_bytes();
    signed.extend_from_slice(&webhook.raw);
    let signature = URL_SAFE_NO_PAD.decode(part("ed25519=")).unwrap();
    UnparsedPublicKey::new(&ED25519, key)
        .verify(&signed, &signature)
        .unwrap();
}

// S3
#[test]
fn a_webhook_is_signed_and_done_acknowledges_what_it_said() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    server.expect(201, subscribe("s", &webhook(&receiver, "jobs/*")));
    server.expect(201, put("jobs/a").content_type("text/plain"));
    server.expect(204, post("jobs/a").text("work"));
    let first = receiver.next();
    check_signature(&server, &first);
    assert_eq!(first.body["subscription_id"], "s");
    assert_eq!(first.body["streams"][0]["path"], "jobs/a");
    assert_eq!(first.body["streams"][0]["tail_offset"], offset(4));
    assert_eq!(first.body["streams"][0]["has_pending"], true);
    first.answer(200, r#"{"done":true}"#);
    eventually("it is acknowledged", || {
        links(&describe(&server, "s")) == [link("jobs/a", "glob", 4)]
    });
    assert!(receiver.is_quiet());
    // The next append is the next wake.
    server.expect(204, post("jobs/a").text("more"));
    let second = receiver.next();
    assert!(second.body["generation"].as_u64() > first_generation(&second.body));
    // Accepted: the callback says what was done.
    let body = second.body.clone();
    second.answer(202, "{}");
    call_back(&server, &body, "jobs/a", 8);
    eventually("it is acknowledged", || {
        links(&describe(&server, "s")) == [link("jobs/a", "glob", 8)]
    });
    assert!(receiver.is_quiet());
    assert_eq!(server.metric("floe_webhooks_in_flight"), 0.0);
}

fn first_generation(later: &Value) -> Option<u64> {
    later["generation"]
        .as_u64()
        .map(|generation| generation - 1)
}

// S3
#[test]
fn a_webhook_that_fails_comes_again_with_the_same_wake() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    server.expect(201, subscribe("s", &webhook(&receiver, "a")));
    server.expect(201, put("a").content_type("text/plain"));
    server.expect(204, post("a").text("x"));
    let first = receiver.next();
    let wake = first.body["wake_id"].clone();
    first.answer(500, "");
    eventually("another try is planned", || {
        describe(&server, "s")["next_attempt_at"].is_string()
    });
    let again = receiver.next();
    assert_eq!(again.body["wake_id"], wake);
    again.answer(200, r#"{"done":true}"#);
    eventually("it is acknowledged", || {
        links(&describe(&server, "s")) == [link("a", "glob", 1)]
    });
}

// S3, over a restart
#[test]
fn a_webhook_that_was_out_at_a_stop_comes_again_after_it() {
    let (server, receiver) = (TestServer::start(), Receiver::start());
    // Whether the lost one was taken is known once its lease has ended.
    let mut body = webhook(&receiver, "a");
    body["lease_ttl_ms"] = json!(1_000);
    server.expect(201, subscribe("s", &body));
    server.expect(201, put("a").content_type("text/plain"));
    server.expect(204, post("a").text("x"));
    let lost = receiver.next();
    // Appended while the wake is out, and while nobody can be told.
    server.expect(204, post("a").text("y"));
    let key = server.expect(200, get("__ds/jwks.json")).json();
    let server = server.restart();
    drop(lost);
    assert_eq!(server.expect(200, get("__ds/jwks.json")).json(), key);
    let mut at = 0;
    while at < 2 {
        let webhook = receiver.next();
        check_signature(&server, &webhook);
        let tail = webhook.body["streams"][0]["tail_offset"]
            .as_str()
            .unwrap()
            .to_owned();
        at = tail.parse().unwrap();
        webhook.answer(200, r#"{"done":true}"#);
    }
    eventually("all is acknowledged", || {
        links(&describe(&server, "s")) == [link("a", "glob", 2)]
    });
    let server = server.restart();
    assert_eq!(links(&describe(&server, "s")), [link("a", "glob", 2)]);
    assert!(receiver.is_quiet());
}

// S4
#[test]
fn webhooks_stay_on_the_public_internet() {
    let urls = [
        "http://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data",
        "http://example.com/",
        "https://[fd00::1]/",
        "https://user@example.com/",
        "ftp://example.com/",
        "nonsense",
    ];
    let local = [
        "http://localhost:1234/",
        "http://127.0.0.1:1234/",
        "https://[::1]/",
    ];
    let ask = |server: &TestServer, url: &str| {
        let body = json!({ "type": "webhook", "webhook": { "url": url }, "pattern": "none" });
        server.send(subscribe("s", &body))
    };
    let server = TestServer::start();
    for url in urls {
        ask(&server, url).refused(400, "WEBHOOK_URL_REJECTED");
    }
    for url in local {
        ask(&server, url).expect(201);
        server.expect(204, delete(&format!("{ROOT}/s")));
    }
    // A server that others can reach does not call itself.
    let server = TestServer::with(|settings| settings.listen = "0.0.0.0:0".parse().unwrap());
    for url in urls.iter().chain(&local) {
        ask(&server, url).refused(400, "WEBHOOK_URL_REJECTED");
    }
}

fn wakes(server: &TestServer) -> Vec<Value> {
    serde_json::from_slice(&server.read_all("wakes")).unwrap()
}

fn pulling() -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("wakes").content_type("application/json"));
    let mut body = pull_wake("jobs/*");
    body["lease_ttl_ms"] = json!(1_000);
    server.expect(201, subscribe("s", &body));
    server.expect(201, put("jobs/a").content_type("text/plain"));
    server
}

// S5
#[test]
fn work_wakes_one_worker_who_claims_acknowledges_and_releases() {
    let server = pulling();
    let refused = post(&format!("{ROOT}/s/claim")).json(r#"{"worker":"w"}"#);
    server.send(refused.clone()).refused(409, "NO_PENDING_WORK");
    server.expect(204, post("jobs/a").text("work"));
    eventually("there is a wake", || wakes(&server).len() == 1);
    assert_eq!(wakes(&server)[0]["type"], "wake");
    assert_eq!(wakes(&server)[0]["subscription_id"], "s");
    let held = claim(&server, "s");
    let token = held["token"].as_str().unwrap();
    assert_eq!(held["streams"][0]["tail_offset"], offset(4));
    server.send(refused).refused(409, "ALREADY_CLAIMED");
    server
        .send(hold("s", "ack", "nonsense", &ack(&held, "jobs/a", 4, true)))
        .refused(401, "UNAUTHORIZED");
    server
        .send(hold("s", "ack", token, &ack(&held, "jobs/a", 99, false)))
        .refused(400, "INVALID_OFFSET");
    // S6: at most one wake is in flight, whatever is appended meanwhile.
    server.expect(204, post("jobs/a").text("more"));
    server.expect(
        200,
        hold("s", "ack", token, &ack(&held, "jobs/a", 4, false)),
    );
    assert_eq!(links(&describe(&server, "s")), [link("jobs/a", "glob", 4)]);
    assert_eq!(wakes(&server).len(), 1);
    let done = server.expect(200, hold("s", "ack", token, &ack(&held, "jobs/a", 4, true)));
    assert_eq!(done.json()["next_wake"], true);
    eventually("the rest wakes again", || wakes(&server).len() == 2);
    // Who held it before is fenced.
    server
        .send(hold("s", "ack", token, &ack(&held, "jobs/a", 8, true)))
        .refused(409, "FENCED");
    let held = claim(&server, "s");
    let release = json!({ "wake_id": held["wake_id"], "generation": held["generation"] });
    server.expect(
        204,
        hold("s", "release", held["token"].as_str().unwrap(), &release),
    );
    eventually("a release wakes again", || wakes(&server).len() == 3);
    let held = claim(&server, "s");
    let done = hold(
        "s",
        "ack",
        held["token"].as_str().unwrap(),
        &ack(&held, "jobs/a", 8, true),
    );
    assert_eq!(server.expect(200, done).json()["next_wake"], false);
}

// S5
#[test]
fn a_lease_that_ends_wakes_again_while_work_is_pending() {
    let server = pulling();
    server.expect(204, post("jobs/a").text("work"));
    let held = claim(&server, "s");
    eventually("the lease has ended", || wakes(&server).len() >= 2);
    server
        .send(hold(
            "s",
            "ack",
            held["token"].as_str().unwrap(),
            &ack(&held, "jobs/a", 4, true),
        ))
        .refused(409, "FENCED");
    let held = claim(&server, "s");
    server.expect(
        200,
        hold(
            "s",
            "ack",
            held["token"].as_str().unwrap(),
            &ack(&held, "jobs/a", 4, true),
        ),
    );
}

// S5 and S6, over a restart
#[test]
fn a_claim_is_known_after_a_restart() {
    let server = pulling();
    server.expect(204, post("jobs/a").text("work"));
    let held = claim(&server, "s");
    let token = held["token"].as_str().unwrap();
    let server = server.restart();
    let outcome = server.send(hold("s", "ack", token, &ack(&held, "jobs/a", 4, true)));
    // The lease may have ended meanwhile; then the work is claimed again, and no other way.
    if outcome.status != 200 {
        outcome.refused(409, "FENCED");
        let held = claim(&server, "s");
        let again = hold(
            "s",
            "ack",
            held["token"].as_str().unwrap(),
            &ack(&held, "jobs/a", 4, true),
        );
        server.expect(200, again);
    }
    let server = server.restart();
    assert_eq!(links(&describe(&server, "s")), [link("jobs/a", "glob", 4)]);
    let none = post(&format!("{ROOT}/s/claim")).json(r#"{"worker":"w"}"#);
    server.send(none).refused(409, "NO_PENDING_WORK");
}
