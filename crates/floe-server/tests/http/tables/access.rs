//! Who may do what in a room with tables, and whose rooms they are.

use serde_json::{Value, json};

use super::{Room, note};
use crate::harness::{TestServer, get, patch, post};

const KEYS: &str = "acme:read:k-read acme:write:k-write acme:admin:k-admin \
    other:admin:o-admin *:admin:root";

fn guarded() -> TestServer {
    TestServer::with(|settings| settings.api_keys = KEYS.into())
}

/// Signs a token of a user with these rights in rooms.
fn signed(server: &TestServer, user: &str, rooms: &Value) -> String {
    let asked = json!({"user": user, "rooms": rooms});
    let made = server.expect(201, post("/v1/tokens").value(&asked).key("k-admin"));
    made.json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_room_comes_to_be_with_its_first_use_by_somebody_who_may_append() {
    let server = guarded();
    let room = Room::new(&server, "board");
    room.refused("listTasks", &json!({}), 401, "UNAUTHORIZED");
    room.by("k-read")
        .refused("listTasks", &json!({}), 404, "NOT_FOUND");
    room.by("k-write")
        .call("createTask", &json!({"title": "a"}));
    let listed = room.by("k-read").call("listTasks", &json!({}));
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[test]
fn each_method_takes_its_right() {
    let server = guarded();
    let room = Room::new(&server, "board");
    room.by("k-admin").with_notes();
    for (method, payload) in [
        ("insertRow", note("a")),
        ("createTask", json!({"title": "a"})),
    ] {
        room.by("k-read")
            .refused(method, &payload, 403, "FORBIDDEN");
        room.by("k-write").call(method, &payload);
    }
    for (method, payload) in [
        (
            "createTable",
            json!({"name": "t", "columns": [{"name": "a", "type": "TEXT"}]}),
        ),
        ("deleteTable", json!({"name": "t"})),
        ("getAuditLog", json!({})),
    ] {
        room.by("k-write")
            .refused(method, &payload, 403, "FORBIDDEN");
        room.by("k-admin").call(method, &payload);
    }
    for method in ["getSchema", "getUsage", "listTasks"] {
        room.by("k-read").call(method, &json!({}));
        room.by("o-admin").call(method, &json!({}));
    }
}

#[test]
fn the_same_name_in_two_namespaces_is_two_rooms() {
    let server = guarded();
    let room = Room::new(&server, "board");
    room.by("k-admin").with_notes().note("of acme");
    assert_eq!(
        room.by("o-admin").call("getSchema", &json!({}))["data"],
        json!({})
    );
    room.by("o-admin").with_notes().note("of other");
    let text = |key: &str, path: &str| {
        let call = json!({"method": "executeSQL", "payload": {"sql": "SELECT text FROM notes"}});
        server.send(post(path).value(&call).key(key))
    };
    let acme = text("root", "/n/acme/v1/rooms/board/rpc")
        .expect(200)
        .json();
    assert_eq!(acme["data"], json!([{"text": "of acme"}]));
    let other = text("o-admin", "/n/other/v1/rooms/board/rpc")
        .expect(200)
        .json();
    assert_eq!(other["data"], json!([{"text": "of other"}]));
    let denied = text("o-admin", "/n/acme/v1/rooms/board/rpc")
        .expect(403)
        .json();
    assert_eq!(denied["code"], "FORBIDDEN");
}

#[test]
fn grants_for_rooms_open_these_alone_and_name_who_did_it() {
    let server = guarded();
    let mia = signed(&server, "mia", &json!({"room/team/*": ["read", "append"]}));
    let room = Room::new(&server, "team/board").by(&mia);
    room.call("createTask", &json!({"title": "mine"}));
    let elsewhere = Room::new(&server, "board").by(&mia);
    elsewhere.refused("listTasks", &json!({}), 403, "FORBIDDEN");
    let read = get("__room__/team/board?offset=-1").key(&mia);
    let messages = server.expect(200, read).json();
    for message in messages.as_array().unwrap() {
        assert_eq!(message["headers"]["user"], "mia", "{message}");
    }
    // It is theirs, since they made it: owners manage.
    let audit = room.call("getAuditLog", &json!({}))["data"].clone();
    assert_eq!(audit[0]["user"], "mia");
}

#[test]
fn a_rooms_own_rules_let_members_in_and_out() {
    let server = guarded();
    let room = Room::new(&server, "board");
    room.by("k-admin").with_notes();
    let ben = signed(&server, "ben", &json!({"stream/none": ["read"]}));
    room.by(&ben)
        .refused("insertRow", &note("a"), 403, "FORBIDDEN");
    for path in ["/v1/access/room/board", "/v1/access/stream/__room__/board"] {
        let writer = patch(path).value(&json!({"members": {"ben": "member"}}));
        let rules = server.expect(200, writer.key("k-admin")).json();
        assert_eq!(rules["room"], "room/board");
        room.by(&ben).call("insertRow", &note("a"));
        let nobody = patch(path).value(&json!({"members": {"ben": null}}));
        server.expect(200, nobody.key("k-admin"));
        room.by(&ben)
            .refused("insertRow", &note("a"), 403, "FORBIDDEN");
    }
    let public = patch("/v1/access/room/board").value(&json!({"public": "read"}));
    server.expect(200, public.key("k-admin"));
    let found = room
        .by(&ben)
        .call("executeSQL", &json!({"sql": "SELECT text FROM notes"}));
    assert_eq!(found["data"], json!([{"text": "a"}, {"text": "a"}]));
    room.by(&ben)
        .refused("insertRow", &note("a"), 403, "FORBIDDEN");
}
