//! Nothing secret shows anywhere but in the answer that it is for.

use serde_json::{Value, json};

use super::{guarded, make, sign};
use crate::harness::{TestServer, delete, get, post, put};

/// Returns every text that an operator can get out of a server.
fn everything_shown(server: &TestServer, secrets: &[String]) -> String {
    let mut shown = String::new();
    for target in [
        "/v1/keys",
        "/n/acme/v1/keys",
        "/v1/namespaces",
        "/v1/namespaces/acme",
        "/v1/revocations",
        "/v1/whoami",
        "/metrics",
        "__audit__?offset=-1",
        "/n/acme/v1/stream/__audit__?offset=-1",
        "/n/acme/v1/stream/__registry__?offset=-1",
        "/v1/channels?namespace=acme",
        "/v1/query?namespace=acme",
        "/v1/stream/__ds/directory",
    ] {
        shown.push_str(&server.send(get(target).key("k-root")).text());
    }
    for secret in secrets {
        // Errors that a request with a secret in it is answered with.
        for request in [
            get(&format!("/v1/keys/{secret}")),
            get(&format!("/v1/keys?x={secret}")).key("k-root"),
            get("/v1/keys").key(&format!("{secret}x")),
            post("/v1/keys").key("k-root").body(secret),
            post("/v1/invitations/accept")
                .key("k-root")
                .value(&json!({ "invitation": format!("{secret}x") })),
        ] {
            let answer = server.send(request);
            if answer.status >= 400 && !answer.text().contains("unknown parameter") {
                shown.push_str(&answer.text());
            }
        }
    }
    shown
}

#[test]
fn what_is_secret_is_shown_once_and_lies_in_no_file_but_as_a_digest() {
    let server = guarded();
    server.expect(201, put("a").text("x").key("k-acme"));
    let key = make(&server, "k-acme", &json!({ "rights": ["read", "admin"] }));
    let rotated = post(&format!("/v1/keys/{}/rotate", key.id)).key("k-acme");
    let rotated = server.expect(200, rotated).json()["secret"].clone();
    let token = sign(
        &server,
        "k-acme",
        &json!({ "user": "ann", "rights": ["read"] }),
    );
    let share = json!({ "use": "share", "rooms": { "stream/a": ["read"] } });
    let share = sign(&server, "k-acme", &share);
    let ticket = server.expect(201, post("/v1/tickets").key("k-acme")).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secrets = [
        key.secret.clone(),
        text(&rotated),
        text(&token["token"]),
        text(&share["token"]),
        text(&ticket["ticket"]),
    ];
    server.expect(200, get(&format!("a?share={}", secrets[3])));
    let shown = everything_shown(&server, &secrets);
    assert!(shown.contains(&key.id), "the key is listed");
    let check = |shown: &str, place: &str| {
        for secret in &secrets {
            // Keys begin with their id, which is no secret; of tokens only the signature is one.
            let tail = &secret[secret.len() - 32..];
            assert!(!shown.contains(tail), "{tail} of {secret} in {place}");
        }
        for settings in ["k-root", "k-acme", "k-umbra"] {
            assert!(!shown.contains(settings), "{settings} in {place}");
        }
    };
    check(&shown, "what is shown");
    server.expect(204, delete(&format!("/v1/keys/{}", key.id)).key("k-acme"));
    let mut server = server;
    server.stop();
    let mut folders = vec![server.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                check(
                    &String::from_utf8_lossy(&bytes),
                    &path.display().to_string(),
                );
            }
        }
    }
}
