//! The audit log.

use serde_json::{Value, json};

use super::{end_key, guarded, make, records, revoke, sign};
use crate::harness::{TestServer, delete, eventually, get, offset, patch, post, put};

fn acts(records: &[Value]) -> Vec<(&str, &str)> {
    let of = |record| -> &Value { record };
    let records = records.iter().map(of);
    records
        .map(|record| {
            (
                record["act"].as_str().unwrap(),
                record["outcome"].as_str().unwrap(),
            )
        })
        .collect()
}

#[test]
fn every_act_is_in_the_log_of_its_namespace() {
    let server = guarded();
    let ann = json!({ "rights": ["read", "admin"], "user": "ann" });
    let key = make(&server, "k-acme", &ann);
    let rotate = post(&format!("/v1/keys/{}/rotate", key.id));
    server.expect(200, rotate.key("k-acme"));
    let token = sign(&server, "k-acme", &json!({ "rights": ["read"] }));
    revoke(&server, "k-acme", &json!({ "token": token["id"] }));
    end_key(&server, "k-acme", &key.id);
    let more = json!({ "rights": ["read:deleted"] });
    server
        .send(post("/v1/keys").key("k-acme").value(&more))
        .refused(403, "FORBIDDEN");
    let name = json!({ "name": "third" });
    server.expect(201, post("/v1/namespaces").key("k-root").value(&name));
    let quotas = json!({ "quotas": { "rooms": 1 } });
    server.expect(
        200,
        patch("/v1/namespaces/third").key("k-root").value(&quotas),
    );
    server.expect(204, delete("/v1/namespaces/third").key("k-root"));
    let check = |server: &TestServer| {
        let acme = records(server, "k-acme", "__audit__");
        assert_eq!(
            acts(&acme),
            [
                ("key.create", "done"),
                ("key.rotate", "done"),
                ("token.sign", "done"),
                ("revoke", "done"),
                ("key.delete", "done"),
                ("key.create", "refused"),
            ]
        );
        let first = &acme[0];
        assert_eq!(first["target"]["id"], key.id.as_str());
        assert_eq!(first["target"]["user"], "ann");
        assert_eq!(first["by"]["source"]["kind"], "key");
        assert_eq!(first["peer"], "127.0.0.1");
        assert!(first["at"].as_str().unwrap().starts_with("20"));
        assert_eq!(acme[5]["code"], "FORBIDDEN");
        assert_eq!(acme[2]["target"]["id"], token["id"]);
        let operators = records(server, "k-root", "__audit__");
        assert_eq!(
            acts(&operators),
            [
                ("namespace.create", "done"),
                ("namespace.change", "done"),
                ("namespace.delete", "done"),
                ("namespace.deleted", "done"),
            ]
        );
    };
    check(&server);
    check(&server.restart());
}

#[test]
fn the_log_is_read_and_tailed_by_admins_and_written_by_nobody() {
    let server = guarded();
    make(&server, "k-acme", &json!({ "rights": ["read"] }));
    let mut tail = server
        .connect()
        .follow(&get("__audit__?offset=now&live=sse").key("k-acme"));
    tail.step().unwrap();
    make(&server, "k-acme", &json!({ "rights": ["append"] }));
    let told = tail.step().unwrap().data.unwrap();
    assert!(told.contains("key.create"), "{told}");
    server
        .send(get("__audit__").key("k-weak"))
        .refused(403, "FORBIDDEN");
    server
        .send(get("/n/acme/v1/stream/__audit__").key("k-umbra"))
        .refused(403, "FORBIDDEN");
    server.send(get("__audit__")).refused(401, "UNAUTHORIZED");
    for key in ["k-acme", "k-root"] {
        for request in [
            post("__audit__").json("{}"),
            put("__audit__").json("{}"),
            delete("__audit__"),
        ] {
            let refused = server.send(request.key(key));
            refused.refused(405, "METHOD_NOT_ALLOWED");
        }
    }
}

#[test]
fn refusals_cannot_fill_the_log() {
    let server = guarded();
    let mut connection = server.connect();
    for _ in 0..200 {
        let request = post("/v1/keys")
            .key("k-weak")
            .value(&json!({ "rights": ["read"] }));
        connection.ask(&request).refused(403, "FORBIDDEN");
    }
    let found = || records(&server, "k-acme", "__audit__").len();
    // What was refused is answered at once, and on disk a moment later.
    eventually("the refusals are there", || found() >= 60);
    // A minute may have ended meanwhile.
    assert!(found() <= 120, "{}", found());
}

/// Signs a token, which is one record of the log; returns its id.
fn act(server: &TestServer) -> Value {
    sign(server, "k-acme", &json!({ "rights": ["read"] }))["id"].clone()
}

#[test]
fn a_log_keeps_no_more_records_than_it_may() {
    let server = TestServer::with(|settings| {
        settings.api_keys = super::KEYS.into();
        settings.limits.audit_records_max = 5;
    });
    let first = act(&server);
    // Retention goes on in steps of a second.
    let mut last = Value::Null;
    eventually("the oldest are dropped", || {
        last = act(&server);
        let found = records(&server, "k-acme", "__audit__");
        assert_eq!(found.last().unwrap()["target"]["id"], last);
        !found.iter().any(|record| record["target"]["id"] == first)
    });
    let found = records(&server, "k-acme", "__audit__");
    assert!(found.len() >= 5, "{}", found.len());
    let gone = get(&format!("__audit__?offset={}", offset(0))).key("k-acme");
    server.send(gone).refused(410, "OFFSET_EXPIRED");
    let server = server.restart();
    assert_eq!(records(&server, "k-acme", "__audit__"), found);
}

#[test]
fn records_go_with_their_time_although_nothing_else_happens() {
    let server = TestServer::with(|settings| {
        settings.api_keys = super::KEYS.into();
        settings.limits.audit_age_max_ms = 3_000;
    });
    act(&server);
    assert_eq!(records(&server, "k-acme", "__audit__").len(), 1);
    eventually("the record is dropped", || {
        records(&server, "k-acme", "__audit__").is_empty()
    });
    // Who keeps them for ever from now on loses no more.
    server
        .reload(|settings| {
            settings.limits.audit_age_max_ms = 0;
            settings.limits.audit_records_max = 0;
            settings.limits.audit_bytes_max = 0;
        })
        .unwrap();
    eventually("the settings hold", || {
        act(&server);
        std::thread::sleep(std::time::Duration::from_millis(200));
        records(&server, "k-acme", "__audit__").len() > 20
    });
}
