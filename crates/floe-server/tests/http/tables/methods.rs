//! Every method that needs no WebSocket.

use serde_json::{Value, json};

use super::{Room, note};
use crate::harness::{TestServer, post};

#[test]
fn rows_are_inserted_changed_deleted_and_read() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let inserted = room.call("insertRow", &note("a"));
    assert_eq!(inserted["type"], "mutation_success");
    assert_eq!(
        inserted["data"]["row"],
        json!({"id": 1, "text": "a", "mark": null})
    );
    assert_eq!(inserted["seq"], 2);
    let changed = json!({"table": "notes", "key": 1, "values": {"text": "b"}});
    assert_eq!(room.call("updateRow", &changed)["seq"], 3);
    assert_eq!(
        room.rows("SELECT id, text FROM notes"),
        json!([{"id": 1, "text": "b"}])
    );
    room.call("deleteRow", &json!({"table": "notes", "key": 1}));
    assert_eq!(room.rows("SELECT * FROM notes"), json!([]));
    let absent = json!({"table": "notes", "key": 1, "values": {"text": "c"}});
    room.refused("updateRow", &absent, 404, "NOT_FOUND");
    room.refused(
        "deleteRow",
        &json!({"table": "notes", "key": 1}),
        404,
        "NOT_FOUND",
    );
}

#[test]
fn constraints_say_which_column_and_why() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let with_mark = json!({"table": "notes", "values": {"text": "a", "mark": 7}});
    room.call("insertRow", &with_mark);
    let error = room.refused("insertRow", &with_mark, 409, "CONSTRAINT");
    assert_eq!(error["type"], "mutation_error");
    assert_eq!(
        (&error["table"], &error["column"]),
        (&json!("notes"), &json!("mark"))
    );
    let nothing = json!({"table": "notes", "values": {"mark": 8}});
    let error = room.refused("insertRow", &nothing, 409, "CONSTRAINT");
    assert_eq!(error["column"], "text");
    let word = json!({"table": "notes", "values": {"text": "a", "mark": "seven"}});
    let error = room.refused("insertRow", &word, 409, "CONSTRAINT");
    assert_eq!(error["column"], "mark");
    assert_eq!(room.number("SELECT count(*) FROM notes"), 1);
}

#[test]
fn tasks_are_there_without_a_table_being_made() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    assert_eq!(room.call("listTasks", &json!({}))["data"], json!([]));
    let made = room.call("createTask", &json!({"title": "  buy milk "}));
    assert_eq!(made["data"]["title"], "buy milk");
    let id = made["data"]["id"].clone();
    let done = room.call("completeTask", &json!({ "id": id }));
    assert_eq!(done["data"]["status"], "completed");
    let listed = room.call("listTasks", &json!({}));
    assert_eq!(listed["type"], "query_result");
    assert_eq!(
        listed["data"],
        json!([{"id": id, "title": "buy milk", "status": "completed"}])
    );
    room.call("deleteTask", &json!({ "id": id }));
    for method in ["completeTask", "deleteTask"] {
        room.refused(method, &json!({ "id": id }), 404, "NOT_FOUND");
        room.refused(method, &json!({ "id": 0 }), 400, "INVALID_REQUEST");
    }
    for title in ["", "   ", &"x".repeat(501)] {
        room.refused(
            "createTask",
            &json!({ "title": title }),
            400,
            "INVALID_REQUEST",
        );
    }
}

#[test]
fn tables_come_change_and_go() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    room.note("a");
    room.refused("createTable", &super::notes(), 409, "EXISTS");
    let steps = json!([
        {"addColumn": {"name": "color", "type": "TEXT", "default": "red"}},
        {"renameColumn": {"from": "text", "to": "body"}},
    ]);
    room.call("alterTable", &json!({"name": "notes", "steps": steps}));
    assert_eq!(
        room.rows("SELECT body, color FROM notes"),
        json!([{"body": "a", "color": "red"}])
    );
    let schema = room.call("getSchema", &json!({}))["data"].clone();
    let names = schema["notes"].as_array().unwrap().iter();
    let names: Vec<_> = names
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["id", "body", "mark", "color"]);
    room.call("deleteTable", &json!({"name": "notes"}));
    assert_eq!(room.call("getSchema", &json!({}))["data"], json!({}));
    room.refused("insertRow", &note("b"), 404, "NOT_FOUND");
    for name in ["_hidden", "sqlite_x", "a b", "\"t\""] {
        let table = json!({"name": name, "columns": [{"name": "a", "type": "TEXT"}]});
        room.refused("createTable", &table, 400, "INVALID_REQUEST");
    }
}

#[test]
fn a_batch_is_all_or_nothing_unless_asked_otherwise() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let rows = json!([{"text": "a", "mark": 1}, {"text": "b", "mark": 1}, {"text": "c"}]);
    let all = json!({"table": "notes", "rows": rows});
    let error = room.refused("batchInsert", &all, 409, "CONSTRAINT");
    assert_eq!(
        (&error["column"], &error["row"]),
        (&json!("mark"), &json!(1))
    );
    assert_eq!(room.number("SELECT count(*) FROM notes"), 0);
    let some = json!({"table": "notes", "rows": rows, "partial": true});
    let done = room.call("batchInsert", &some);
    assert_eq!(done["data"]["rows"], 2);
    assert_eq!(done["data"]["failed"][0]["row"], 1);
    assert_eq!(room.number("SELECT count(*) FROM notes"), 2);
}

#[test]
fn a_transaction_happens_whole_and_only_if_its_preconditions_hold() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let version = room.note("a");
    let insert = json!({"method": "insertRow", "payload": note("b")});
    let change = |text: &str| {
        json!({
            "method": "updateRow",
            "payload": {"table": "notes", "key": 1, "values": {"text": text}},
        })
    };
    let when = |version: u64| json!([{"table": "notes", "key": 1, "version": version}]);
    let stale = json!({
        "mutations": [insert, change("x")],
        "preconditions": when(version + 1),
    });
    room.refused("transaction", &stale, 412, "PRECONDITION_FAILED");
    let broken = json!({"mutations": [insert, {
        "method": "insertRow",
        "payload": {"table": "notes", "values": {"text": null}},
    }]});
    room.refused("transaction", &broken, 409, "CONSTRAINT");
    assert_eq!(room.number("SELECT count(*) FROM notes"), 1);
    let good = json!({"mutations": [insert, change("y")], "preconditions": when(version)});
    let done = room.call("transaction", &good);
    assert_eq!(done["data"]["results"].as_array().unwrap().len(), 2);
    assert_eq!(
        room.rows("SELECT text FROM notes ORDER BY id"),
        json!([{"text": "y"}, {"text": "b"}])
    );
    // What was good once is not good again.
    room.refused("transaction", &good, 412, "PRECONDITION_FAILED");
}

#[test]
fn sql_has_parameters_columns_and_bounds() {
    let server = TestServer::with(|settings| settings.limits.tables_query_rows_max = 3);
    let room = Room::new(&server, "board").with_notes();
    for text in ["a", "b", "c", "d"] {
        room.note(text);
    }
    let one = json!({"sql": "SELECT text FROM notes WHERE id = ?", "params": [2]});
    let answer = room.call("executeSQL", &one);
    assert_eq!(answer["type"], "query_result");
    assert_eq!(answer["data"], json!([{"text": "b"}]));
    assert_eq!(answer["columns"], json!([{"name": "text", "type": "TEXT"}]));
    assert_eq!(answer["truncated"], false);
    assert_eq!(answer["originalSql"], one["sql"]);
    let named = json!({"sql": "SELECT text FROM notes WHERE id = :id", "params": {"id": 3}});
    assert_eq!(
        room.call("executeSQL", &named)["data"],
        json!([{"text": "c"}])
    );
    let all = room.call(
        "executeSQL",
        &json!({"sql": "SELECT text FROM notes ORDER BY id"}),
    );
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    assert_eq!(all["truncated"], true);
}

#[test]
fn a_runaway_query_is_stopped_and_writers_do_not_wait_for_it() {
    let server = TestServer::with(|settings| {
        settings.limits.tables_query_timeout_ms = 1_500;
        settings.limits.tables_readers = 1;
    });
    let room = Room::new(&server, "board").with_notes();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT count(*) FROM n";
    let mut asking = server.connect();
    asking.write(
        room.request("executeSQL", &json!({ "sql": endless }))
            .bytes(),
    );
    // Writers go on while it runs.
    for _ in 0..20 {
        room.note("a");
    }
    let error = asking.answer_to("POST").expect(504).json();
    assert_eq!(error["code"], "QUERY_TIMEOUT");
    assert_eq!(error["type"], "query_error");
    assert_eq!(room.number("SELECT count(*) FROM notes"), 20);
}

#[test]
fn usage_and_audit_tell_what_happened() {
    let server = TestServer::with(|settings| settings.api_keys = "acme:admin:boss".into());
    let room = Room::new(&server, "board").by("boss").with_notes();
    for at in 0..60 {
        room.note(&at.to_string());
    }
    room.rows("SELECT 1");
    room.note("after");
    let usage = room.call("getUsage", &json!({}))["data"].clone();
    let today = &usage["days"][0];
    assert!(today["writes"].as_u64().unwrap() >= 61, "{usage}");
    assert!(today["reads"].as_u64().unwrap() >= 1, "{usage}");
    assert_eq!((&usage["tables"], &usage["seq"]), (&json!(1), &json!(62)));
    let audit = room.call("getAuditLog", &json!({}))["data"].clone();
    let entries = audit.as_array().unwrap();
    assert_eq!(entries.len(), 50);
    assert_eq!(entries[0]["seq"], 62);
    assert_eq!(entries[0]["table"], "notes");
    assert_eq!(entries[0]["operation"], "insert");
    assert_eq!(entries[49]["seq"], 13);
}

#[test]
fn what_is_no_method_or_no_json_is_refused() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    room.refused("explode", &json!({}), 400, "UNKNOWN_ACTION");
    room.refused("insertRow", &json!({"table": "t"}), 400, "INVALID_REQUEST");
    room.refused("subscribe", &json!({"table": "t"}), 400, "UNKNOWN_ACTION");
    let bad = post(&room.path("rpc")).json("{");
    server.send(bad).refused(400, "INVALID_JSON");
    let numbered = post(&room.path("rpc")).json(r#"{"method":"listTasks","requestId":7}"#);
    assert_eq!(server.expect(200, numbered).json()["requestId"], json!(7));
    assert_eq!(room.call("listTasks", &Value::Null)["data"], json!([]));
}
