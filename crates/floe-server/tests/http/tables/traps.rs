//! Traps that others fell into.

use serde_json::json;

use super::Room;
use crate::harness::TestServer;

#[test]
fn no_sql_reaches_another_room_or_what_is_hidden() {
    let server = TestServer::start();
    let secret = Room::new(&server, "secret").with_notes();
    secret.note("nobody else reads this");
    let room = Room::new(&server, "board").with_notes();
    room.note("mine");
    for sql in [
        "SELECT * FROM \"secret\".notes",
        "SELECT * FROM \"main\".\"_floe_state\"",
        "SELECT * FROM _floe_versions",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "ATTACH 'secret.sqlite' AS secret",
        "SELECT load_extension('x')",
        "SELECT readfile('/etc/passwd')",
        "PRAGMA journal_mode = DELETE",
        "VACUUM INTO '/tmp/floe-stolen'",
        "SELECT 1; SELECT 2",
    ] {
        let error = room.refused("executeSQL", &json!({ "sql": sql }), 400, "SQL_REJECTED");
        assert!(!error.to_string().contains("nobody else"), "{sql}: {error}");
    }
    assert_eq!(
        room.rows("SELECT text FROM notes"),
        json!([{"text": "mine"}])
    );
}

#[test]
fn nothing_writes_through_the_gate() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    room.note("a");
    let not_readonly = json!({"sql": "SELECT 1", "readonly": false});
    room.refused("executeSQL", &not_readonly, 400, "INVALID_REQUEST");
    for sql in [
        "DELETE FROM notes",
        "WITH old AS (SELECT 1) DELETE FROM notes",
        "WITH n AS (SELECT 1) INSERT INTO notes (text) SELECT 'x' FROM n",
        "INSERT INTO notes (text) VALUES ('x') RETURNING id",
        "UPDATE notes SET text = 'x'",
        "DROP TABLE notes",
        "CREATE TABLE t (a)",
        "BEGIN",
        "/* */ dElEtE from notes",
    ] {
        room.refused("executeSQL", &json!({ "sql": sql }), 400, "SQL_REJECTED");
    }
    assert_eq!(
        room.rows("SELECT id, text FROM notes"),
        json!([{"id": 1, "text": "a"}])
    );
}

#[test]
fn whoever_was_answered_reads_what_they_wrote() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    for count in 1..=30 {
        let seq = room.note("a");
        let answer = room.call(
            "executeSQL",
            &json!({"sql": "SELECT count(*) AS n FROM notes"}),
        );
        assert_eq!(answer["data"], json!([{ "n": count }]));
        assert!(answer["seq"].as_u64().unwrap() >= seq);
    }
}

#[test]
fn a_question_waits_for_the_message_that_it_names_and_not_for_ever() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 300);
    let room = Room::new(&server, "board").with_notes();
    let seq = room.note("a");
    let at_least = |seq: u64| json!({"sql": "SELECT count(*) AS n FROM notes", "minSeq": seq});
    room.call("executeSQL", &at_least(seq));
    room.refused("executeSQL", &at_least(seq + 1), 503, "VIEW_BEHIND");
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let mut asking = server.connect();
    asking.write(room.request("executeSQL", &at_least(3)).bytes());
    room.note("a");
    assert_eq!(room.note("b"), 3);
    let answer = asking.answer_to("POST").expect(200).json();
    assert_eq!(answer["data"], json!([{"n": 2}]));
}
