//! Rooms with tables whose log has moved to the cold tier.

use std::fs;

use serde_json::{Value, json};

use super::Room;
use crate::cold::{Store, segment_files};
use crate::harness::{TestServer, eventually, post};

const ROWS: u64 = 240;
/// Rows of one call.
const STEP: u64 = 20;

/// Text of row `id`, of some thousand bytes.
fn text(id: u64) -> String {
    format!("{id:05} {}", "x".repeat(3_000))
}

/// Fills a room until its log is cold; returns the seq of the last message.
fn fill(server: &TestServer, room: &Room<'_>) -> u64 {
    let mut seq = 0;
    for from in (1..=ROWS).step_by(STEP as usize) {
        let rows: Vec<Value> = (from..from + STEP)
            .map(|id| json!({"id": id, "text": text(id)}))
            .collect();
        let batch = json!({"table": "notes", "rows": rows});
        seq = room.call("batchInsert", &batch)["seq"].as_u64().unwrap();
    }
    eventually("segments move", || {
        server.metric("floe_cold_uploads_total") > 0.0 && segment_files(server) == 0
    });
    seq
}

#[test]
fn a_lost_room_file_and_a_wiped_replica_are_made_anew_from_a_cold_log() {
    let store = Store::new();
    let server = store.serve();
    let room = Room::new(&server, "board").with_notes();
    let seq = fill(&server, &room);
    assert_eq!(seq, ROWS + 1);
    let server = server.restart_after(|folder| {
        fs::remove_dir_all(folder.join("tables")).unwrap();
        fs::remove_dir_all(folder.join("replica")).unwrap();
    });
    let all = "SELECT id, text FROM notes ORDER BY id";
    let expected: Vec<Value> = (1..=ROWS)
        .map(|id| json!({"id": id, "text": text(id)}))
        .collect();
    // The replica first: nothing has been fetched for the room yet.
    let mut found = Value::Null;
    eventually("the replica has all", || {
        let question = json!({"sql": all, "minSeq": {"board": seq}});
        let answer = server.send(post("/v1/sql").value(&question));
        if answer.status == 200 {
            found = answer.json();
        }
        answer.status == 200
    });
    assert_eq!(found["source"], "replica");
    assert_eq!(found["data"], json!(expected));
    assert!(server.metric("floe_cold_fetches_total") > 0.0);
    let room = Room::new(&server, "board");
    assert_eq!(room.rows(all), json!(expected));
    // It goes on as if nothing had happened.
    let after = room.call(
        "updateRow",
        &json!({"table": "notes", "key": 1, "values": {"text": "new"}}),
    );
    let question = json!({
        "sql": "SELECT text FROM notes WHERE id = 1",
        "source": "replica", "minSeq": after["seq"],
    });
    let answer = room.call("executeSQL", &question);
    assert_eq!(answer["data"], json!([{"text": "new"}]));
}
