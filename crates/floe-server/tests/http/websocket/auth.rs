//! Credentials that come, change and end while a WebSocket is open.

use serde_json::{Value, json};

use super::{Client, TestServer, put, upgrade};

const KEYS: &str = "acme:read:k-reads acme:read,write:k-both other:admin:k-other *:admin:root";

fn join() -> Value {
    json!({"type": "join", "room": "stream/news"})
}

fn guarded() -> TestServer {
    let server = TestServer::with(|settings| settings.api_keys = KEYS.into());
    let json = put("news").json(r#""one""#).key("k-both");
    server.expect(201, json);
    server
}

#[test]
fn a_page_shows_its_credentials_in_its_first_frame() {
    let server = guarded();
    let mut page = Client::of(&server);
    let mut from_start = join();
    from_start["after"] = json!("start");
    page.refused(from_start.clone(), "UNAUTHORIZED");
    page.refused(json!({"type": "auth", "bearer": "wrong"}), "UNAUTHORIZED");
    let shown = page.ask(json!({"type": "auth", "bearer": "k-reads"}));
    assert_eq!(shown["type"], "authenticated");
    assert!(shown.get("user").is_none());
    assert_eq!(page.ask(from_start)["type"], "joined");
    let append = json!({"type": "append", "room": "stream/news", "data": "two"});
    page.refused(append, "FORBIDDEN");
}

#[test]
fn rooms_stay_joined_with_the_rights_that_new_credentials_give() {
    let server = guarded();
    let mut client = Client::with_key(&server, "k-reads");
    client.ask(join());
    let append = json!({"type": "append", "room": "stream/news", "data": "two"});
    client.refused(append.clone(), "FORBIDDEN");
    client.ask(json!({"type": "auth", "bearer": "k-both"}));
    assert_eq!(client.ask(append)["type"], "ack");
    // Neither a stranger's credentials nor wrong ones change anything.
    client.refused(json!({"type": "auth", "bearer": "k-other"}), "FORBIDDEN");
    client.refused(json!({"type": "auth", "bearer": "nope"}), "UNAUTHORIZED");
    client.refused(json!({"type": "auth", "bearer": ""}), "INVALID_REQUEST");
    client.refused(json!({"type": "auth"}), "INVALID_FRAME");
    let again = json!({"type": "append", "room": "stream/news", "data": "three"});
    assert_eq!(client.ask(again)["type"], "ack");
}

#[test]
fn a_room_that_new_credentials_do_not_open_is_closed() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "acme:read:k-reads acme:write:k-writes".into();
    });
    server.expect(201, put("news").json("[]").key("k-writes"));
    let mut client = Client::with_key(&server, "k-reads");
    client.ask(join());
    client.ask(json!({"type": "auth", "bearer": "k-writes"}));
    let closed = client.next_of("closed");
    assert_eq!(
        (&closed["room"], &closed["code"]),
        (&json!("stream/news"), &json!("FORBIDDEN"))
    );
}

#[test]
fn a_namespace_is_named_before_the_path() {
    let server = guarded();
    let named = |key: &str| {
        let mut request = upgrade().field("Authorization", format!("Bearer {key}"));
        request.target = "/n/acme/v1/live".into();
        request
    };
    server.send(named("k-other")).refused(403, "FORBIDDEN");
    let mut root = Client::greet(&server, &named("root")).0;
    assert_eq!(root.frame()["type"], "welcome");
    assert_eq!(root.ask(join())["type"], "joined");
    let mut outside = Client::with_key(&server, "root");
    outside.refused(join(), "NOT_FOUND");
}
