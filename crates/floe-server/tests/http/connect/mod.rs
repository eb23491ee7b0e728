//! Rooms with tables over a WebSocket of their own.

mod durable;
mod ending;
mod resume;
mod slow;
mod sync;

use floe_surfaces::ws::Opcode;
use serde_json::{Value, json};

use crate::harness::{Request, TestServer, get};
use crate::websocket::client::Heard;
use crate::websocket::{Client, upgrade};

/// A connection to one room.
struct Member {
    client: Client,
    last_id: u64,
}

fn connect(room: &str) -> Request {
    let mut request = upgrade();
    request.target = format!("/connect?room_id={room}");
    request
}

impl Member {
    #[track_caller]
    fn of(server: &TestServer, room: &str) -> Self {
        Self::with(server, &connect(room))
    }

    #[track_caller]
    fn with(server: &TestServer, request: &Request) -> Self {
        let (client, _) = Client::greet(server, request);
        Self { client, last_id: 0 }
    }

    /// Sends a frame and returns its answer; what comes before is kept.
    #[track_caller]
    fn ask(&mut self, mut frame: Value) -> Value {
        self.last_id += 1;
        let id = json!(self.last_id);
        frame["requestId"] = id.clone();
        self.client.say(&frame);
        self.client.wait_for(|frame| frame["requestId"] == id)
    }

    #[track_caller]
    fn rpc(&mut self, method: &str, payload: Value) -> Value {
        self.ask(json!({"action": "rpc", "method": method, "payload": payload}))
    }

    /// Calls a method that must succeed.
    #[track_caller]
    fn call(&mut self, method: &str, payload: Value) -> Value {
        let answer = self.rpc(method, payload);
        assert!(answer.get("code").is_none(), "{answer}");
        answer
    }

    #[track_caller]
    fn refused(&mut self, frame: Value, code: &str) -> Value {
        let answer = self.ask(frame);
        assert_eq!(answer["code"], code, "{answer}");
        answer
    }

    /// Subscribes to a query and returns its first rows.
    #[track_caller]
    fn follow(&mut self, id: &str, sql: &str) -> Value {
        let frame = json!({"action": "subscribe_query", "queryId": id, "sql": sql});
        let answer = self.ask(frame);
        assert_eq!(answer["type"], "query_subscribed", "{answer}");
        assert_eq!(answer["queryId"], id);
        answer["data"].clone()
    }

    /// Returns the rows of a query once they are those.
    #[track_caller]
    fn rows_until(&mut self, id: &str, wanted: &Value) {
        self.client.wait_for(|frame| {
            frame["type"] == "query_update" && frame["queryId"] == id && frame["data"] == *wanted
        });
    }

    /// Comes to a room with more in its query.
    #[track_caller]
    fn came(server: &TestServer, room: &str, query: &str) -> Self {
        let mut request = connect(room);
        request.target = format!("{}&{query}", request.target);
        Self::with(server, &request)
    }

    /// Returns the numbers of the next row changes.
    #[track_caller]
    fn next_seqs(&mut self, count: usize) -> Vec<u64> {
        let mut rows = std::iter::repeat_with(|| self.next_row());
        rows.by_ref().take(count).map(|row| seq(&row)).collect()
    }

    #[track_caller]
    fn next_row(&mut self) -> Value {
        self.client.wait_for(|frame| frame["event"] == "update")
    }

    /// Returns all that came before the answer to a ping.
    #[track_caller]
    fn so_far(&mut self) -> Vec<Value> {
        self.client.say(&json!({"action": "ping"}));
        self.client.next_of("pong");
        self.client.take_passed()
    }
}

fn notes() -> Value {
    json!({"name": "notes", "columns": [
        {"name": "id", "type": "INTEGER", "primaryKey": true},
        {"name": "text", "type": "TEXT", "notNull": true, "unique": true},
    ]})
}

#[track_caller]
fn seq(frame: &Value) -> u64 {
    frame["seq"].as_u64().unwrap_or_else(|| panic!("{frame}"))
}

fn insert(text: &str) -> Value {
    json!({"table": "notes", "values": {"text": text}})
}

#[test]
fn a_room_comes_to_be_with_its_first_connection_and_answers_in_its_own_words() {
    let server = TestServer::start();
    server.expect(400, get("/connect"));
    server.expect(426, get("/connect?room_id=a"));
    let mut websocket = upgrade();
    websocket.target = "/websocket?room_id=a/b".into();
    let mut ann = Member::with(&server, &websocket);
    ann.client.say(&json!({"action": "ping"}));
    assert_eq!(ann.client.frame(), json!({"type": "pong"}));
    let made = ann.call("createTask", json!({"title": "  write  "}));
    assert_eq!(made["type"], "mutation_success");
    assert_eq!(made["action"], "createTask");
    assert_eq!(made["data"]["title"], "write");
    let listed = ann.ask(json!({"action": "listTasks"}));
    assert_eq!(listed["type"], "query_result");
    assert_eq!(listed["data"][0]["title"], "write");
    // The messages of the room are an ordinary stream.
    let log = server.expect(200, get("/v1/stream/__room__/a/b?offset=-1"));
    assert!(log.text().contains("\"type\":\"tasks\""), "{}", log.text());
}

#[test]
fn every_action_is_answered_at_its_top_level_or_refused_by_its_code() {
    let server = TestServer::start();
    let mut ann = Member::of(&server, "a");
    for (action, payload) in [
        ("createTask", json!({"title": "one"})),
        ("completeTask", json!({"id": 1})),
        ("deleteTask", json!({"id": 1})),
    ] {
        let done = ann.ask(json!({"action": action, "payload": payload, "updateId": "u"}));
        assert_eq!(
            (&done["type"], &done["action"], &done["updateId"]),
            (&json!("mutation_success"), &json!(action), &json!("u")),
            "{done}"
        );
    }
    ann.refused(json!({"action": "dance"}), "UNKNOWN_ACTION");
    ann.refused(
        json!({"action": "rpc", "method": "dance"}),
        "UNKNOWN_ACTION",
    );
    ann.refused(
        json!({"action": "createTask", "payload": {"title": " "}}),
        "INVALID_REQUEST",
    );
    ann.refused(
        json!({"action": "completeTask", "payload": {"id": 9}}),
        "NOT_FOUND",
    );
    for (opcode, payload) in [(Opcode::Text, &b"{"[..]), (Opcode::Binary, b"\xa0")] {
        ann.client.send(opcode, payload);
        ann.client
            .wait_for(|frame| frame["code"] == "INVALID_FRAME");
    }
    ann.call("listTasks", json!({}));
}

#[test]
fn subscribers_of_a_table_are_told_of_each_row_the_writer_included() {
    let server = TestServer::start();
    let (mut ann, mut bob, mut cem) = (
        Member::of(&server, "a"),
        Member::of(&server, "a"),
        Member::of(&server, "other"),
    );
    ann.call("createTable", notes());
    for member in [&mut ann, &mut bob] {
        let done = member.ask(json!({"action": "subscribe", "table": "notes"}));
        assert_eq!(done["type"], "success", "{done}");
    }
    let made = ann.call("insertRow", insert("x"));
    ann.call(
        "updateRow",
        json!({"table": "notes", "key": 1, "values": {"text": "y"}}),
    );
    ann.call("deleteRow", json!({"table": "notes", "key": 1}));
    for member in [&mut ann, &mut bob] {
        let told: Vec<Value> = (0..3).map(|_| member.next_row()).collect();
        let actions: Vec<&Value> = told.iter().map(|event| &event["action"]).collect();
        assert_eq!(actions, ["added", "modified", "deleted"]);
        assert_eq!(told[0]["row"], json!({"id": 1, "text": "x"}));
        assert_eq!(told[0]["seq"], made["seq"]);
        assert_eq!(told[1]["row"]["text"], "y");
        assert!(told.is_sorted_by_key(|event| event["seq"].as_u64()));
    }
    bob.ask(json!({"action": "unsubscribe", "table": "notes"}));
    ann.call("insertRow", insert("z"));
    assert_eq!(ann.next_row()["row"]["text"], "z");
    assert!(!bob.so_far().iter().any(|frame| frame["event"] == "update"));
    assert_eq!(
        cem.so_far(),
        [] as [Value; 0],
        "another room is another room"
    );
}

#[test]
fn a_live_query_has_its_rows_at_once_and_again_whenever_they_change() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (Member::of(&server, "a"), Member::of(&server, "a"));
    ann.call("createTable", notes());
    ann.call("insertRow", insert("x"));
    let count = "SELECT count(*) AS n FROM notes";
    assert_eq!(bob.follow("q", count), json!([{"n": 1}]));
    assert_eq!(ann.follow("mine", count), json!([{"n": 1}]));
    for text in ["y", "z"] {
        ann.call("insertRow", insert(text));
    }
    bob.rows_until("q", &json!([{"n": 3}]));
    ann.rows_until("mine", &json!([{"n": 3}]));
    bob.so_far();
    // What does not change the rows is told to nobody.
    ann.call(
        "updateRow",
        json!({"table": "notes", "key": 1, "values": {"text": "w"}}),
    );
    ann.call("createTask", json!({"title": "other"}));
    bob.ask(json!({"action": "unsubscribe_query", "queryId": "q"}));
    ann.call("insertRow", insert("v"));
    ann.rows_until("mine", &json!([{"n": 4}]));
    let told = bob.so_far();
    assert!(
        !told.iter().any(|frame| frame["type"] == "query_update"),
        "{told:?}"
    );
    let wrong = json!({"action": "subscribe_query", "queryId": "w", "sql": "DELETE FROM notes"});
    assert_eq!(bob.refused(wrong, "SQL_REJECTED")["queryId"], "w");
}

#[test]
fn a_live_query_never_runs_ahead_of_the_answer_to_the_one_who_changed_it() {
    let server = TestServer::start();
    let mut ann = Member::of(&server, "a");
    ann.call("createTable", notes());
    ann.follow("q", "SELECT text FROM notes ORDER BY id");
    for turn in 0..50 {
        ann.so_far();
        let answer = ann.call("insertRow", insert(&turn.to_string()));
        let seq = answer["seq"].as_u64();
        assert!(seq.is_some(), "{answer}");
        let before = ann.client.take_passed();
        let ahead = |frame: &Value| frame["queryId"] == "q" && frame["seq"].as_u64() >= seq;
        assert!(!before.iter().any(ahead), "{before:?}");
        // It comes, and only then.
        ann.client.wait_for(ahead);
    }
}

#[test]
fn all_are_told_when_tables_change() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (Member::of(&server, "a"), Member::of(&server, "a"));
    ann.call("createTable", notes());
    for member in [&mut ann, &mut bob] {
        let told = member.client.next_of("schema_update");
        assert!(told["schema"].to_string().contains("notes"), "{told}");
    }
    let step = json!({"addColumn": {"name": "color", "type": "TEXT"}});
    ann.call("alterTable", json!({"name": "notes", "steps": [step]}));
    let told = bob.client.next_of("schema_update");
    assert!(told["schema"].to_string().contains("color"), "{told}");
    ann.call("deleteTable", json!({"name": "notes"}));
    let told = bob.client.next_of("schema_update");
    assert!(!told["schema"].to_string().contains("notes"), "{told}");
}

#[test]
fn cursors_presence_and_watched_keys_reach_each_socket_once() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (Member::of(&server, "a"), Member::of(&server, "a"));
    bob.ask(json!({"action": "subscribe_memory", "prefix": "color/"}));
    ann.call("setCursor", json!({"userId": "ann", "position": {"x": 1}}));
    ann.call("setPresence", json!({"userId": "ann", "status": "away"}));
    ann.call("setMemory", json!({"key": "color/ann", "value": "teal"}));
    ann.call("setMemory", json!({"key": "other", "value": 1}));
    let update = |kind: &'static str| {
        move |frame: &Value| frame["event"] == "memory_update" && frame["type"] == kind
    };
    let cursors = bob.client.wait_for(update("cursors"));
    assert_eq!(cursors["data"][0]["userId"], "ann");
    assert_eq!(cursors["data"][0]["position"], json!({"x": 1}));
    assert_eq!(
        bob.client.wait_for(update("presence"))["data"][0]["status"],
        "away"
    );
    assert_eq!(
        bob.client.wait_for(update("memory"))["data"][0]["value"],
        "teal"
    );
    let more = bob.so_far();
    assert!(
        !more.iter().any(|frame| frame["event"] == "memory_update"),
        "{more:?}"
    );
    let cursors = bob.call("getCursors", json!({}));
    assert_eq!(cursors["data"][0]["userId"], "ann");
}

#[test]
fn a_connection_that_may_not_read_the_room_is_not_made() {
    let keys = "acme:read:reader acme:read,write:writer acme:admin:admin other:admin:stranger";
    let server = TestServer::with(|settings| settings.api_keys = keys.into());
    let with = |key: &str| connect("a").field("Authorization", format!("Bearer {key}"));
    server.expect(401, connect("a"));
    server.expect(401, with("nobody"));
    // Who may only read makes no room, and learns of none.
    server.expect(404, with("reader"));
    let mut writer = Member::with(&server, &with("writer"));
    writer.call("createTask", json!({"title": "x"}));
    writer.refused(
        json!({"action": "rpc", "method": "createTable", "payload": notes()}),
        "FORBIDDEN",
    );
    let mut reader = Member::with(&server, &with("reader"));
    assert_eq!(reader.call("listTasks", json!({}))["data"][0]["title"], "x");
    reader.refused(
        json!({"action": "createTask", "payload": {"title": "y"}}),
        "FORBIDDEN",
    );
    let set = json!({"key": "k", "value": 1});
    reader.refused(
        json!({"action": "rpc", "method": "setMemory", "payload": set}),
        "FORBIDDEN",
    );
    Member::with(&server, &with("admin")).call("createTable", notes());
    // The room of that name in another namespace is another room.
    let mut stranger = Member::with(&server, &with("stranger"));
    assert_eq!(stranger.call("listTasks", json!({}))["data"], json!([]));
    let mut other = with("stranger");
    other.target = "/n/acme/connect?room_id=a".into();
    server.expect(403, other);
}

#[test]
fn a_room_that_is_deleted_closes_its_connections() {
    let server = TestServer::start();
    let mut ann = Member::of(&server, "a");
    ann.call("createTask", json!({"title": "x"}));
    server.expect(204, crate::harness::delete("/v1/rooms/a"));
    let ended = loop {
        match ann.client.hear() {
            Heard::Frame(frame) if frame.get("code").is_none() => {}
            Heard::Frame(frame) => assert_eq!(frame["code"], "GONE", "{frame}"),
            Heard::Ping(_) | Heard::Pong(_) => {}
            ended => break ended,
        }
    };
    assert!(
        matches!(ended, Heard::Close(Some((4500.., _)))),
        "{ended:?}"
    );
    // The next one of that name is another room.
    let mut bob = Member::of(&server, "a");
    assert_eq!(bob.call("listTasks", json!({}))["data"], json!([]));
}

#[test]
fn methods_are_frames_of_the_live_protocol_and_who_has_joined_is_told() {
    let server = TestServer::start();
    for mut client in [Client::of(&server), Client::cbor(&server)] {
        let rpc = |method: &str, payload: Value| json!({"type": "rpc", "room": "room/a", "method": method, "payload": payload});
        let made = client.ask(rpc("createTask", json!({"title": "x"})));
        assert_eq!(made["result"]["type"], "mutation_success", "{made}");
        let after = made["result"]["seq"].clone();
        client.join("room/a", json!({"after": after, "memory": "cursors/"}));
        let mut other = Member::of(&server, "a");
        other.call("setCursor", json!({"userId": "bob", "position": 1}));
        let added = other.call("createTask", json!({"title": "y"}));
        let events = client.events_until("room/a", added["seq"].as_u64().unwrap());
        assert_eq!(events[0]["value"]["title"], "y");
        let memory = client.wait_for(|frame| {
            frame["type"] == "memory" && frame["set"].as_array().is_some_and(|set| !set.is_empty())
        });
        assert_eq!(memory["set"][0]["key"], "cursors/bob");
        let listed = client.ask(rpc(
            "executeSQL",
            json!({"sql": "SELECT count(*) AS n FROM tasks"}),
        ));
        let counted = listed["result"]["data"][0]["n"].as_u64();
        assert!(counted >= Some(2), "{listed}");
        client.refused(
            rpc("executeSQL", json!({"sql": "DELETE FROM tasks"})),
            "SQL_REJECTED",
        );
        client.refused(
            rpc("subscribe", json!({"table": "tasks"})),
            "UNKNOWN_ACTION",
        );
        client.refused(rpc("dance", json!({})), "UNKNOWN_ACTION");
        client.refused(
            json!({"type": "append", "room": "room/a", "data": {"x": 1}}),
            "METHOD_NOT_ALLOWED",
        );
    }
}
