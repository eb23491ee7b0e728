//! Every method over HTTP.

use serde_json::json;

use super::Room;
use crate::harness::TestServer;

#[test]
fn rows_are_inserted_changed_deleted_and_read() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let inserted = room.call(
        "insertRow",
        &json!({"table": "notes", "values": {"text": "a"}}),
    );
    assert_eq!(inserted["type"], "mutation_success");
    assert_eq!(
        inserted["data"]["row"],
        json!({"id": 1, "text": "a", "mark": null})
    );
    let changed = json!({"table": "notes", "key": 1, "values": {"text": "b"}});
    room.call("updateRow", &changed);
    assert_eq!(
        room.rows("SELECT id, text FROM notes"),
        json!([{"id": 1, "text": "b"}])
    );
    room.call("deleteRow", &json!({"table": "notes", "key": 1}));
    assert_eq!(room.rows("SELECT * FROM notes"), json!([]));
}
