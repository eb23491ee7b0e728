//! Readers that do not take what they are told.

use serde_json::{Value, json};

use super::{Heard, Member, insert, notes, seq};
use crate::harness::{TestServer, eventually};
use crate::tables::Room;

/// Bytes of the rows that are written: more than the buffers of two sockets hold.
const LARGE: usize = 24 << 20;

#[test]
fn a_reader_that_stops_reading_is_closed_and_comes_back_without_a_loss() {
    let server = TestServer::with(|settings| settings.limits.reader_stall_timeout_ms = 500);
    let mut quick = Member::of(&server, "board");
    let made = seq(&quick.call("createTable", notes()));
    quick.ask(json!({"action": "subscribe", "table": "notes"}));
    let mut slow = Member::of(&server, "board");
    slow.ask(json!({"action": "subscribe", "table": "notes"}));
    let room = Room::new(&server, "board");
    let text = "x".repeat(20_000);
    let mut count = 0;
    while (count as usize) * text.len() < LARGE {
        let rows = (0..40).map(|row| json!({"text": format!("{count} {row} {text}")}));
        let rows: Vec<Value> = rows.collect();
        room.call("batchInsert", &json!({"table": "notes", "rows": rows}));
        // Whoever reads has each row by then, whatever the other does.
        let wanted: Vec<u64> = (1..=40).map(|row| made + count + row).collect();
        assert_eq!(quick.next_seqs(40), wanted);
        count += 40;
    }
    let code = "floe_errors_total{code=\"SLOW_CONSUMER\"}";
    eventually("the slow one is closed", || server.metric(code) == 1.0);
    eventually("one reader is left", || {
        server.metric("floe_live_readers") == 1.0
    });
    // Its messages end somewhere, without a word: there was no space for one. That says: come back.
    let mut last = made;
    loop {
        match slow.client.hear() {
            Heard::Frame(frame) if frame["event"] == "update" => {
                assert_eq!(seq(&frame), last + 1);
                last += 1;
            }
            Heard::Frame(frame) => assert_eq!(frame["type"], "schema_update", "{frame}"),
            heard => break assert_eq!(heard, Heard::End),
        }
    }
    assert!(last < made + count, "it was not slow");
    let end = seq(&quick.call("insertRow", insert("end")));
    let mut back = Member::came(&server, "board", &format!("after={last}&tables=notes"));
    let missed: Vec<u64> = (last + 1..=end).collect();
    assert_eq!(back.next_seqs(missed.len()), missed);
    assert_eq!(server.metric(code), 1.0, "and nobody else was closed");
}

#[test]
fn answers_that_are_not_taken_hold_back_their_reader_alone() {
    let server = TestServer::start();
    let mut greedy = Member::of(&server, "board");
    greedy.call("createTable", notes());
    let text = "x".repeat(100_000);
    greedy.call("insertRow", insert(&text));
    let asked: Vec<u8> = (0..400)
        .flat_map(|number| {
            let sql = json!({"sql": "SELECT text FROM notes"});
            let frame = json!({"action": "rpc", "method": "executeSQL", "payload": sql, "requestId": number});
            greedy.client.written(&frame)
        })
        .collect();
    greedy.client.write(&asked);
    let mut other = Member::of(&server, "board");
    other.ask(json!({"action": "subscribe", "table": "tasks"}));
    let made = other.call("createTask", json!({"title": "unhindered"}));
    assert_eq!(other.next_seqs(1), [seq(&made)]);
    let mut answered: Vec<u64> = (0..400)
        .map(|_| {
            let answer = greedy.client.next_of("query_result");
            assert_eq!(answer["data"][0]["text"], text);
            answer["requestId"].as_u64().unwrap()
        })
        .collect();
    answered.sort_unstable();
    assert_eq!(answered, (0..400).collect::<Vec<_>>());
}
