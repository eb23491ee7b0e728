//! Tokens that the server signs itself: plain ones, share links, invitations.

use serde_json::{Value, json};

use super::{bearer, guarded, make, reads, records, sign};
use crate::harness::{Channel, TestServer, get, post, put};
use crate::websocket::client::{Client, upgrade};

#[test]
fn a_signed_token_opens_what_it_says_as_whom_it_says() {
    let server = guarded();
    server.expect(201, put("a/b").json("[1]").key("k-acme"));
    let body = json!({ "user": "ann", "rooms": { "stream/a/**": ["read", "append"] } });
    let token = sign(&server, "k-acme", &body);
    let text = token["token"].as_str().unwrap();
    let check = |server: &TestServer| {
        server.expect(200, bearer(get("a/b"), text));
        server
            .send(bearer(get("c"), text))
            .refused(403, "FORBIDDEN");
        let who = server.expect(200, bearer(get("/v1/whoami"), text)).json();
        assert_eq!(
            (&who["user"], &who["namespace"]),
            (&json!("ann"), &json!("acme"))
        );
        assert_eq!(who["source"]["id"], token["id"]);
    };
    check(&server);
    check(&server.restart());
}

#[test]
fn a_share_link_reads_one_room_and_says_where() {
    let server = guarded();
    server.expect(201, put("a/b").text("hello").key("k-acme"));
    let mut body = reads("stream/a/b");
    body["use"] = json!("share");
    let link = sign(&server, "k-acme", &body);
    let url = link["url"].as_str().unwrap();
    let path = &url[url.find("/n/acme/").unwrap()..];
    assert!(path.starts_with("/n/acme/v1/stream/a/b?share="), "{url}");
    assert_eq!(server.expect(200, get(path)).text(), "hello");
    // It is for links alone, and of an end.
    let as_key = bearer(get("a/b"), link["token"].as_str().unwrap());
    assert_eq!(server.send(as_key).status, 401);
    let mut short = body.clone();
    short["expiresInSeconds"] = json!(1);
    let short = sign(&server, "k-acme", &short);
    assert!(short["expiresAt"].as_str().unwrap() < link["expiresAt"].as_str().unwrap());
    let several = json!({ "use": "share", "rooms": { "stream/a/**": ["read"] } });
    assert!(sign(&server, "k-acme", &several).get("url").is_none());
}

#[test]
fn who_may_not_manage_signs_nothing_and_nobody_signs_more_than_they_have() {
    let server = guarded();
    let user = json!({ "rooms": { "stream/a/**": ["read", "append", "manage"] }, "user": "ann" });
    let ann = make(&server, "k-acme", &user);
    let sign =
        |key: &str, body: &Value| server.send(post("/v1/tokens").key(key).value(body)).status;
    for (body, status) in [
        (reads("stream/a/b"), 201),
        (
            json!({ "user": "ann", "rooms": { "stream/a/b": ["append"] } }),
            201,
        ),
        (
            json!({ "user": "bob", "rooms": { "stream/a/b": ["append"] } }),
            403,
        ),
        (reads("stream/b"), 403),
        (reads("**"), 403),
        (json!({ "rights": ["read"], "namespace": "umbra" }), 403),
        (
            json!({ "rights": ["read"], "expiresInSeconds": 40_000_000 }),
            403,
        ),
    ] {
        assert_eq!(sign(&ann.secret, &body), status, "{body}");
    }
    assert_eq!(sign("k-weak", &reads("stream/a")), 403);
    assert_eq!(sign("k-acme", &json!({ "rights": ["read:deleted"] })), 403);
    let long = json!({ "rights": ["read"], "expiresInSeconds": 40_000_000 });
    assert_eq!(sign("k-acme", &long), 400);
    server
        .send(post("/v1/tokens").value(&reads("stream/a")))
        .refused(401, "UNAUTHORIZED");
}

#[test]
fn whose_room_it_is_shares_it() {
    let server = guarded();
    let ann = json!({ "rights": ["create"], "user": "ann" });
    let ann = make(&server, "k-acme", &ann);
    let bob = make(
        &server,
        "k-acme",
        &json!({ "rights": ["create"], "user": "bob" }),
    );
    server.expect(201, put("mine").text("x").key(&ann.secret));
    let mut link = reads("stream/mine");
    link["use"] = json!("share");
    let made = sign(&server, &ann.secret, &link);
    let url = made["url"].as_str().unwrap();
    server.expect(200, get(&url[url.find("/n/").unwrap()..]));
    let refused = server.send(post("/v1/tokens").key(&bob.secret).value(&link));
    refused.refused(403, "FORBIDDEN");
}

#[test]
fn an_invitation_makes_a_member_of_whoever_accepts_it() {
    let server = guarded();
    let user = |name: &str| {
        let body = json!({ "rooms": { "stream/none": ["read"] }, "user": name });
        make(&server, "k-acme", &body).secret
    };
    let (ann, bob) = (user("ann"), user("bob"));
    server.expect(201, put("club").text("x").key("k-acme"));
    let channel = post("/v1/channels")
        .key("k-acme")
        .value(&json!({ "name": "c" }));
    let channel = Channel::of(&server.expect(201, channel));
    for (room, target) in [
        ("stream/club".to_owned(), "club".to_owned()),
        (format!("channel/{}", channel.id), channel.at("/events")),
    ] {
        let body = json!({ "use": "invite", "room": room, "role": "member" });
        let invitation = sign(&server, "k-acme", &body)["token"].clone();
        let accept = |key: &str| {
            let body = json!({ "invitation": invitation });
            server.send(post("/v1/invitations/accept").key(key).value(&body))
        };
        server
            .send(get(&target).key(&ann))
            .refused(403, "FORBIDDEN");
        let accepted = accept(&ann).expect(200).json();
        assert_eq!(
            (&accepted["role"], &accepted["user"]),
            (&json!("member"), &json!("ann"))
        );
        server.expect(200, get(&target).key(&ann));
        server
            .send(get(&target).key(&bob))
            .refused(403, "FORBIDDEN");
        // Those without a name, and those of elsewhere, become nothing.
        accept("k-weak").refused(403, "FORBIDDEN");
        let elsewhere = json!({ "rooms": { "stream/none": ["read"] }, "user": "ann" });
        let elsewhere = make(&server, "k-umbra", &elsewhere).secret;
        accept(&elsewhere).refused(400, "INVALID_REQUEST");
        // It opens nothing by itself.
        let text = invitation.as_str().unwrap();
        assert_eq!(server.send(bearer(get(&target), text)).status, 401);
        assert_eq!(
            server.send(get(&format!("{target}?share={text}"))).status,
            401
        );
    }
    let bad = json!({ "invitation": "x.y.z" });
    let refused = server.send(post("/v1/invitations/accept").key(&ann).value(&bad));
    refused.refused(400, "INVALID_REQUEST");
}

#[test]
fn a_share_link_that_was_revoked_or_has_ended_opens_nothing() {
    let server = guarded();
    server.expect(201, put("a").text("x").key("k-acme"));
    let mut body = reads("stream/a");
    body["use"] = json!("share");
    let link = sign(&server, "k-acme", &body);
    let path = format!("a?share={}", link["token"].as_str().unwrap());
    server.expect(200, get(&path));
    super::revoke(&server, "k-acme", &json!({ "token": link["id"] }));
    server.send(get(&path)).refused(401, "UNAUTHORIZED");
    let server = server.restart();
    server.send(get(&path)).refused(401, "UNAUTHORIZED");
}

/// Gives a namespace a new secret.
#[track_caller]
fn rotate(server: &TestServer, by: &str, namespace: &str, body: &Value) -> Value {
    let path = format!("/v1/namespaces/{namespace}/rotate-secret");
    server.expect(200, post(&path).key(by).value(body)).json()
}

#[test]
fn a_new_secret_ends_the_tokens_of_the_old_one_and_what_listens_by_them() {
    let server = guarded();
    server.expect(201, put("news").json("[0]").key("k-acme"));
    let ann = json!({ "user": "ann", "rights": ["read"] });
    let token = |body: &Value| {
        let signed = sign(&server, "k-acme", body);
        signed["token"].as_str().unwrap().to_owned()
    };
    let old = token(&ann);
    let link = token(&json!({ "use": "share", "rooms": { "stream/news": ["read"] } }));
    let by_link = get(&format!("/n/acme/v1/stream/news?offset=-1&share={link}"));
    server.expect(200, by_link.clone());
    let elsewhere = sign(&server, "k-umbra", &ann)["token"].clone();
    let elsewhere = elsewhere.as_str().unwrap();
    let (mut socket, _) = Client::greet(&server, &bearer(upgrade(), &old));
    assert_eq!(socket.frame()["type"], "welcome");
    let mut events = server
        .connect()
        .follow(&bearer(get("news?offset=now&live=sse"), &old));
    events.step().unwrap();
    let rotated = rotate(&server, "k-acme", "acme", &json!({}));
    let expected = json!({ "namespace": "acme", "secretId": "2", "oldSecretExpiresAt": null });
    assert_eq!(rotated, expected);
    let (frames, close) = socket.rest();
    assert_eq!(frames.last().unwrap()["code"], "UNAUTHORIZED");
    assert!(close.is_some());
    while events.step().is_some() {}
    let new = token(&ann);
    let check = |server: &TestServer| {
        server
            .send(bearer(get("news?offset=-1"), &old))
            .refused(401, "UNAUTHORIZED");
        server.send(by_link.clone()).refused(401, "UNAUTHORIZED");
        server.expect(200, bearer(get("news?offset=-1"), &new));
        server.expect(200, bearer(get("/v1/whoami"), elsewhere));
    };
    check(&server);
    let server = server.restart();
    check(&server);
    let acts = records(&server, "k-acme", "__audit__");
    let act = acts
        .iter()
        .find(|record| record["act"] == "namespace.rotate-secret");
    assert_eq!(act.unwrap()["target"], expected);
    let refused = post("/v1/namespaces/umbra/rotate-secret").key("k-acme");
    server.send(refused).refused(403, "FORBIDDEN");
    let nowhere = post("/v1/namespaces/nowhere/rotate-secret").key("k-root");
    server.send(nowhere).refused(404, "NOT_FOUND");
    // The default namespace is there without having been made.
    assert_eq!(
        rotate(&server, "k-root", "default", &json!({}))["secretId"],
        "1"
    );
}

#[test]
fn tokens_of_the_old_secret_may_last_a_little_longer_and_no_longer_than_that() {
    let server = guarded();
    server.expect(201, put("news").json("[0]").key("k-acme"));
    let ann = json!({ "user": "ann", "rights": ["read"] });
    let old = sign(&server, "k-acme", &ann)["token"].clone();
    let old = old.as_str().unwrap();
    let listen = || {
        let (mut socket, _) = Client::greet(&server, &bearer(upgrade(), old));
        assert_eq!(socket.frame()["type"], "welcome");
        let mut poll = server.connect();
        poll.write(bearer(get("news?offset=now&live=long-poll"), old).bytes());
        (socket, poll)
    };
    // Those who listened before, and those who come while it still holds, end with it.
    let before = listen();
    let rotated = rotate(
        &server,
        "k-acme",
        "acme",
        &json!({ "oldExpiresInSeconds": 6 }),
    );
    assert!(rotated["oldSecretExpiresAt"].is_string(), "{rotated}");
    let after = listen();
    server.expect(200, bearer(get("news?offset=-1"), old));
    for (mut socket, mut poll) in [before, after] {
        let (frames, close) = socket.rest();
        assert_eq!(frames.last().unwrap()["code"], "UNAUTHORIZED");
        assert!(close.is_some());
        poll.answer().refused(401, "UNAUTHORIZED");
    }
    server
        .send(bearer(get("news?offset=-1"), old))
        .refused(401, "UNAUTHORIZED");
    let too_long = json!({ "oldExpiresInSeconds": 366 * 86_400 + 1 });
    server
        .send(
            post("/v1/namespaces/acme/rotate-secret")
                .key("k-acme")
                .value(&too_long),
        )
        .refused(400, "INVALID_REQUEST");
}
