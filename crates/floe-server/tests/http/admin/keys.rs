//! API keys: made, shown once, rotated, ended; nobody gives more than they have.

use serde_json::json;

use super::{KEYS, Made, end_key, guarded, make, reads, whoami};
use crate::harness::{TestServer, delete, eventually, get, post, put};

#[test]
fn the_first_key_closes_an_open_server_and_the_last_one_does_not_open_it() {
    let server = TestServer::start();
    server.expect(201, put("before").text("x"));
    for weak in [
        json!({ "rights": ["admin"] }),
        json!({ "namespace": "*", "rights": ["read"] }),
        json!({ "namespace": "*", "rights": ["admin"], "expiresInSeconds": 60 }),
    ] {
        let refused = server.send(post("/v1/keys").value(&weak));
        refused.refused(409, "EXISTS");
    }
    let all = json!({ "namespace": "*", "rights": ["admin", "manage", "read", "read:deleted"] });
    let root = Made::of(&server.expect(201, post("/v1/keys").value(&all)));
    server.send(get("before")).refused(401, "UNAUTHORIZED");
    server.expect(200, get("before").key(&root.secret));
    let only = format!("/v1/keys/{}", root.id);
    let last = server.send(delete(&only).key(&root.secret));
    last.refused(409, "EXISTS");
    // Somebody of the settings can, and the server stays closed all the same.
    let server = server.restart_with(|settings| settings.api_keys = KEYS.into());
    server.expect(200, get("before").key(&root.secret));
    server.expect(204, delete(&only).key("k-root"));
    let server = server.restart_with(|settings| settings.api_keys = String::new());
    server.send(get("before")).refused(401, "UNAUTHORIZED");
    server
        .send(post("/v1/keys").value(&all))
        .refused(401, "UNAUTHORIZED");
}

#[test]
fn a_key_opens_what_it_says_and_is_there_after_a_restart() {
    let server = guarded();
    let body = json!({
        "name": "reader of news", "rooms": { "stream/news/**": ["read"] }, "user": "ann",
        "expiresAt": "2999-01-01T00:00:00Z",
    });
    let made = make(&server, "k-acme", &body);
    assert_eq!(made.secret.len(), "floe_".len() + 16 + 1 + 48);
    assert!(made.secret.starts_with(&format!("floe_{}_", made.id)));
    server.expect(201, put("news/a").text("x").key("k-acme"));
    server.expect(201, put("other").text("x").key("k-acme"));
    let check = |server: &TestServer| {
        server.expect(200, get("news/a").key(&made.secret));
        server
            .send(get("other").key(&made.secret))
            .refused(403, "FORBIDDEN");
        server
            .send(put("news/b").key(&made.secret))
            .refused(403, "FORBIDDEN");
        let who = whoami(server, &made.secret);
        assert_eq!(who["user"], "ann");
        assert_eq!(who["namespace"], "acme");
        assert_eq!(who["source"], json!({ "kind": "key", "id": made.id }));
        assert_eq!(who["rooms"], json!({ "stream/news/**": ["read"] }));
        let shown = server.expect(200, get(&format!("/v1/keys/{}", made.id)).key("k-acme"));
        let shown = shown.json();
        assert_eq!(shown["name"], "reader of news");
        assert_eq!(shown["namespace"], "acme");
        assert_eq!(shown["expired"], false);
        assert!(shown.get("secret").is_none());
    };
    check(&server);
    check(&server.restart());
}

#[test]
fn a_key_ends_when_it_says() {
    let server = guarded();
    let body = json!({ "rights": ["read"], "expiresInSeconds": 1 });
    let made = make(&server, "k-acme", &body);
    server.expect(200, get("/v1/whoami").key(&made.secret));
    eventually("the key ends", || {
        server.send(get("/v1/whoami").key(&made.secret)).status == 401
    });
    let shown = server.expect(200, get(&format!("/v1/keys/{}", made.id)).key("k-acme"));
    assert_eq!(shown.json()["expired"], true);
    let late = json!({ "rights": ["read"], "expiresAt": "2001-01-01T00:00:00Z" });
    let refused = server.send(post("/v1/keys").key("k-acme").value(&late));
    refused.refused(400, "INVALID_REQUEST");
}

#[test]
fn a_rotated_key_has_a_new_secret_and_the_old_one_for_as_long_as_is_said() {
    let server = guarded();
    let made = make(&server, "k-acme", &json!({ "rights": ["read"] }));
    let rotate = |seconds: u64| {
        let body = json!({ "oldExpiresInSeconds": seconds });
        let target = format!("/v1/keys/{}/rotate", made.id);
        Made::of(&server.expect(200, post(&target).key("k-acme").value(&body)))
    };
    let second = rotate(1);
    assert_eq!(second.id, made.id);
    assert_ne!(second.secret, made.secret);
    server.expect(200, get("/v1/whoami").key(&made.secret));
    server.expect(200, get("/v1/whoami").key(&second.secret));
    eventually("the old secret ends", || {
        server.send(get("/v1/whoami").key(&made.secret)).status == 401
    });
    let third = rotate(0);
    let server = server.restart();
    server
        .send(get("/v1/whoami").key(&second.secret))
        .refused(401, "UNAUTHORIZED");
    server.expect(200, get("/v1/whoami").key(&third.secret));
}

#[test]
fn nobody_gives_more_than_they_have() {
    let server = guarded();
    let manager = make(
        &server,
        "k-acme",
        &json!({ "rights": ["admin", "read"], "rooms": { "stream/a/**": ["append"] } }),
    );
    let create = |key: &str, body: &serde_json::Value| {
        server.send(post("/v1/keys").key(key).value(body)).status
    };
    let manager_key = &manager.secret;
    assert_eq!(
        create(
            manager_key,
            &json!({ "rooms": { "stream/a/b": ["append"] } })
        ),
        201
    );
    for more in [
        json!({ "rights": ["append"] }),
        json!({ "rights": ["manage"] }),
        json!({ "rooms": { "stream/**": ["append"] } }),
        json!({ "rooms": { "channel/*": ["append"] } }),
    ] {
        assert_eq!(create(manager_key, &more), 403, "{more}");
    }
    // The admin of a namespace sees no deleted events, and gives nobody the sight of them.
    assert_eq!(
        create("k-acme", &json!({ "rights": ["read:deleted"] })),
        403
    );
    assert_eq!(
        create("k-root", &json!({ "rights": ["read:deleted"] })),
        201
    );
    // Nor do they learn the secret of a key that can do more than they.
    let strong = json!({ "namespace": "acme", "rights": ["read:deleted"] });
    let strong = make(&server, "k-root", &strong);
    let rotate = post(&format!("/v1/keys/{}/rotate", strong.id));
    server.send(rotate.key("k-acme")).refused(403, "FORBIDDEN");
    // Of other namespaces nobody gives anything.
    for namespace in ["umbra", "*", "nowhere"] {
        let body = json!({ "namespace": namespace, "rights": ["read"] });
        assert_eq!(create("k-acme", &body), 403, "{namespace}");
    }
}

#[test]
fn keys_of_another_namespace_are_not_there() {
    let server = guarded();
    let acme = make(&server, "k-acme", &json!({ "rights": ["read"] }));
    let root = make(
        &server,
        "k-root",
        &json!({ "namespace": "*", "rights": ["read"] }),
    );
    for id in [&acme.id, &root.id, "nonesuch"] {
        let target = format!("/v1/keys/{id}");
        for request in [
            get(&target),
            delete(&target),
            post(&format!("{target}/rotate")),
            post("/v1/revocations").value(&json!({ "key": id })),
        ] {
            let refused = server.send(request.key("k-umbra"));
            refused.refused(404, "NOT_FOUND");
        }
    }
    let ids = |key: &str, target: &str| -> Vec<String> {
        let body = server.expect(200, get(target).key(key)).json();
        let keys = body["keys"].as_array().unwrap().clone();
        let mut ids: Vec<_> = keys
            .iter()
            .map(|key| key["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    assert_eq!(ids("k-umbra", "/v1/keys"), Vec::<String>::new());
    assert_eq!(ids("k-acme", "/v1/keys"), std::slice::from_ref(&acme.id));
    let mut both = [acme.id.clone(), root.id.clone()];
    both.sort();
    assert_eq!(ids("k-root", "/v1/keys"), both);
    assert_eq!(
        ids("k-root", "/v1/keys?namespace=acme"),
        std::slice::from_ref(&acme.id)
    );
    assert_eq!(
        ids("k-root", "/n/acme/v1/keys"),
        std::slice::from_ref(&acme.id)
    );
    // A page at a time.
    let first = server
        .expect(200, get("/v1/keys?limit=1").key("k-root"))
        .json();
    let next = first["next"].as_str().unwrap();
    let second = format!("/v1/keys?limit=1&after={next}");
    let second = server.expect(200, get(&second).key("k-root")).json();
    assert_ne!(first["keys"][0]["id"], second["keys"][0]["id"]);
    assert!(second["next"].is_null());
    end_key(&server, "k-acme", &acme.id);
    server
        .send(get("/v1/whoami").key(&acme.secret))
        .refused(401, "UNAUTHORIZED");
}

#[test]
fn the_last_use_of_a_key_is_shown() {
    let server = guarded();
    let made = make(&server, "k-acme", &reads("stream/a"));
    let target = format!("/v1/keys/{}", made.id);
    let last = || server.expect(200, get(&target).key("k-acme")).json()["lastUsedAt"].clone();
    assert!(last().is_null());
    whoami(&server, &made.secret);
    assert!(last().as_str().unwrap().starts_with("20"));
}
