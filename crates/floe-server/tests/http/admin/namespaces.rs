//! Namespaces: made, changed and deleted by operators; what they settle holds.

use serde_json::{Value, json};

use super::{guarded, make, whoami};
use crate::harness::{Channel, TestServer, delete, get, patch, post, put};
use crate::websocket::client::{Client, upgrade};

fn names(server: &TestServer, target: &str) -> Vec<String> {
    let body = server.expect(200, get(target).key("k-root")).json();
    let list = body["namespaces"].as_array().unwrap().clone();
    let names = list
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned());
    names.collect()
}

#[test]
fn operators_make_change_and_delete_namespaces() {
    let server = guarded();
    let body = json!({
        "name": "third", "origins": ["https://app.example.com"], "quotas": { "rooms": 5 },
        "retention": { "maxEvents": 10 },
    });
    let made = server.expect(201, post("/v1/namespaces").key("k-root").value(&body));
    assert_eq!(made.json()["quotas"], json!({ "rooms": 5 }));
    let again = server.send(post("/v1/namespaces").key("k-root").value(&body));
    again.refused(409, "EXISTS");
    assert_eq!(names(&server, "/v1/namespaces"), ["default", "third"]);
    assert_eq!(names(&server, "/v1/namespaces?limit=1"), ["default"]);
    assert_eq!(names(&server, "/v1/namespaces?after=default"), ["third"]);
    let change = json!({ "quotas": { "rooms": null, "bytes": 7 } });
    let target = "/v1/namespaces/third";
    server.expect(200, patch(target).key("k-root").value(&change));
    let server = server.restart();
    let shown = server.expect(200, get(target).key("k-root")).json();
    assert_eq!(shown["quotas"], json!({ "bytes": 7 }));
    assert_eq!(shown["origins"], json!(["https://app.example.com"]));
    assert_eq!(shown["retention"], json!({ "maxEvents": 10 }));
    server.expect(204, delete(target).key("k-root"));
    for gone in [get(target), delete(target), patch(target).value(&change)] {
        server.send(gone.key("k-root")).refused(404, "NOT_FOUND");
    }
    let default = server.send(delete("/v1/namespaces/default").key("k-root"));
    default.refused(409, "EXISTS");
    server.expect(200, get("/v1/namespaces/default").key("k-root"));
    assert_eq!(names(&server.restart(), "/v1/namespaces"), ["default"]);
}

#[test]
fn a_namespace_with_rooms_stays_and_an_empty_one_takes_its_keys_along() {
    let server = guarded();
    let make_third = || {
        let body = json!({ "name": "third" });
        server.expect(201, post("/v1/namespaces").key("k-root").value(&body));
    };
    make_third();
    let key = make(
        &server,
        "k-root",
        &json!({ "namespace": "third", "rights": ["admin", "create", "manage", "append", "read"] }),
    );
    assert_eq!(whoami(&server, &key.secret)["namespace"], "third");
    let target = "/v1/namespaces/third";
    server.expect(201, put("a").text("x").key(&key.secret));
    server
        .send(delete(target).key("k-root"))
        .refused(409, "EXISTS");
    server.expect(204, delete("a").key(&key.secret));
    let channel = post("/v1/channels")
        .key(&key.secret)
        .value(&json!({ "name": "c" }));
    let channel = Channel::of(&server.expect(201, channel));
    server
        .send(delete(target).key("k-root"))
        .refused(409, "EXISTS");
    server.expect(200, delete(&channel.at("")).key(&key.secret));
    server.expect(204, delete(target).key("k-root"));
    server
        .send(get("/v1/whoami").key(&key.secret))
        .refused(401, "UNAUTHORIZED");
    // Who gets the name next sees nothing of what was there.
    make_third();
    let next = json!({ "namespace": "third", "rights": ["admin", "read"] });
    let next = make(&server, "k-root", &next);
    let log = server.expect(200, get("__audit__?offset=-1").key(&next.secret));
    let log: Vec<Value> = serde_json::from_slice(&log.body).unwrap();
    assert_eq!(log.len(), 1, "{log:?}");
}

#[test]
fn what_a_namespace_settles_holds_there_and_nowhere_else() {
    let server = guarded();
    let change = json!({ "name": "third", "origins": ["https://third.example"],
        "retention": { "maxEvents": 3 } });
    server.expect(201, post("/v1/namespaces").key("k-root").value(&change));
    let create = |namespace: &str, more: Value| {
        let mut body = json!({ "namespace": namespace, "name": "c" });
        if !more.is_null() {
            body["retention"] = more;
        }
        let made = server.expect(201, post("/v1/channels").key("k-root").value(&body));
        made.json()["metadata"]["retention"].clone()
    };
    assert_eq!(create("third", Value::Null)["maxEvents"], 3);
    assert_eq!(create("third", json!({ "maxEvents": 9 }))["maxEvents"], 9);
    assert!(create("acme", Value::Null)["maxEvents"].is_null());
    let page = |namespace: &str| {
        let mut request = upgrade()
            .key("k-root")
            .field("Origin", "https://third.example");
        request.target = format!("/n/{namespace}/v1/live");
        request
    };
    server.send(page("acme")).refused(403, "ORIGIN_REJECTED");
    let mut there = Client::greet(&server, &page("third")).0;
    assert_eq!(there.frame()["type"], "welcome");
}
