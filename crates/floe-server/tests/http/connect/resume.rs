//! Connections that come back and name the last message that they saw.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::{Member, insert, notes, seq};
use crate::harness::{TestServer, delete, get};
use crate::tables::Room;

/// A room with notes and tasks, and a member who writes them.
fn board(server: &TestServer) -> Member {
    let mut writer = Member::of(server, "board");
    writer.call("createTable", notes());
    let first = writer.call("createTask", json!({"title": "first"}));
    assert_eq!(seq(&first), FIRST);
    writer
}

/// The first change of a row: tables come before.
const FIRST: u64 = 3;

/// Writes notes and tasks in turn; returns the numbers of the notes, and of the tasks.
fn write(writer: &mut Member, prefix: &str, count: usize) -> (Vec<u64>, Vec<u64>) {
    let turns = (0..count).map(|at| {
        let text = format!("{prefix} {at}");
        let note = seq(&writer.call("insertRow", insert(&text)));
        (
            note,
            seq(&writer.call("createTask", json!({"title": text}))),
        )
    });
    turns.unzip()
}

fn sorted(some: &[u64], others: &[u64]) -> Vec<u64> {
    let mut all = [some, others].concat();
    all.sort_unstable();
    all
}

#[track_caller]
fn subscribe(member: &mut Member, more: Value) -> Value {
    let mut frame = json!({"action": "subscribe"});
    frame
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let answer = member.ask(frame);
    assert_eq!(answer["type"], "success", "{answer}");
    answer
}

#[test]
fn who_comes_back_is_told_what_it_missed_of_its_tables_in_order_and_then_what_comes() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let mut reader = Member::of(&server, "board");
    let begun = subscribe(&mut reader, json!({"tables": ["notes", "tasks"]}));
    let (before_notes, before_tasks) = write(&mut writer, "seen", 3);
    let seen = reader.next_seqs(6);
    assert_eq!(seen, sorted(&before_notes, &before_tasks));
    assert!(seq(&begun) < seen[0], "{begun}");
    drop(reader);
    let last = seen[5];
    let (missed_notes, missed_tasks) = write(&mut writer, "missed", 20);
    let missed = sorted(&missed_notes, &missed_tasks);

    let both =
        json!({"tables": ["notes", "tasks"], "after": last, "incarnation": begun["incarnation"]});
    let mut by_one_frame = Member::of(&server, "board");
    assert_eq!(subscribe(&mut by_one_frame, both)["seq"], last);
    let query = format!("after={last}&tables=notes,tasks");
    let mut by_the_handshake = Member::came(&server, "board", &query);
    let told = by_the_handshake.client.next_of("success");
    assert_eq!(
        (&told["action"], &told["seq"]),
        (&json!("subscribe"), &json!(last))
    );
    let mut by_two_frames = Member::came(&server, "board", &format!("after={last}"));
    let frames = ["notes", "tasks"].map(|table| {
        by_two_frames
            .client
            .written(&json!({"action": "subscribe", "table": table}))
    });
    by_two_frames.client.write(&frames.concat());
    let mut notes_alone = Member::of(&server, "board");
    subscribe(&mut notes_alone, json!({"table": "Notes", "after": last}));

    let (next_notes, next_tasks) = write(&mut writer, "live", 3);
    let wanted = [missed, sorted(&next_notes, &next_tasks)].concat();
    for member in [&mut by_one_frame, &mut by_the_handshake, &mut by_two_frames] {
        assert_eq!(member.next_seqs(wanted.len()), wanted);
        assert!(
            !member
                .so_far()
                .iter()
                .any(|frame| frame["event"] == "update")
        );
    }
    let of_notes = [missed_notes, next_notes].concat();
    assert_eq!(notes_alone.next_seqs(of_notes.len()), of_notes);
}

#[test]
fn each_table_goes_on_from_where_its_subscription_says() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let (old_notes, old_tasks) = write(&mut writer, "old", 10);
    let mut reader = Member::of(&server, "board");
    subscribe(&mut reader, json!({"table": "notes"}));
    let after = old_tasks[3];
    let answer = subscribe(&mut reader, json!({"table": "tasks", "after": after}));
    assert_eq!(answer["seq"], after);
    let (new_notes, new_tasks) = write(&mut writer, "new", 2);
    let missed = [&old_tasks[4..], &sorted(&new_notes, &new_tasks)].concat();
    assert_eq!(reader.next_seqs(missed.len()), missed);
    // Who subscribes again and says nothing is told nothing twice; who says so is told again.
    let again = subscribe(&mut reader, json!({"table": "notes"}));
    assert_eq!(seq(&again), *missed.last().unwrap());
    subscribe(
        &mut reader,
        json!({"table": "notes", "after": old_notes[8]}),
    );
    let notes = [old_notes[9], new_notes[0], new_notes[1]];
    assert_eq!(reader.next_seqs(3), notes);
}

#[test]
fn what_cannot_be_taken_up_again_is_reset_and_goes_on_from_here() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let (old_notes, _) = write(&mut writer, "old", 2);
    let mut reader = Member::of(&server, "board");
    let known = subscribe(&mut reader, json!({"table": "notes"}));
    let tail = seq(&known);
    // Beyond the end, as after a folder was brought back from a backup.
    let beyond = json!({"action": "subscribe", "tables": ["notes", "tasks"], "after": tail + 1});
    let answer = reader.ask(beyond);
    assert_eq!(
        (&answer["type"], &answer["seq"]),
        (&json!("success"), &json!(tail))
    );
    let reset = reader.client.next_of("reset");
    assert_eq!(
        reset,
        json!({"type": "reset", "code": "INVALID_OFFSET", "tables": ["notes", "tasks"],
            "seq": tail, "incarnation": known["incarnation"]})
    );
    let (new_notes, new_tasks) = write(&mut writer, "new", 1);
    assert_eq!(reader.next_seqs(2), sorted(&new_notes, &new_tasks));

    // Another room of the same name, which has come as far as the one before.
    server.expect(204, delete("/v1/rooms/board"));
    let mut writer = board(&server);
    let (notes_now, _) = write(&mut writer, "other", 5);
    assert!(*notes_now.last().unwrap() > old_notes[0]);
    let incarnation = known["incarnation"].as_str().unwrap();
    let query = format!(
        "after={}&incarnation={incarnation}&tables=notes",
        old_notes[0]
    );
    let mut back = Member::came(&server, "board", &query);
    let reset = back.client.next_of("reset");
    assert_eq!(reset["code"], "GONE", "{reset}");
    assert_ne!(reset["incarnation"], known["incarnation"]);
    let (next, _) = write(&mut writer, "next", 1);
    assert_eq!(back.next_seqs(1), next, "and nothing that was before");
}

#[test]
fn a_table_that_seldom_changes_is_found_behind_much_that_nobody_wants() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let room = Room::new(&server, "board");
    let text = "x".repeat(20_000);
    for batch in 0..5 {
        let rows = (0..40).map(|row| json!({"text": format!("{batch} {row} {text}")}));
        let rows: Vec<Value> = rows.collect();
        room.call("batchInsert", &json!({"table": "notes", "rows": rows}));
    }
    let last = seq(&writer.call("createTask", json!({"title": "last"})));
    let mut reader = Member::came(&server, "board", "after=0&tables=tasks");
    let told = reader.next_seqs(2);
    assert_eq!(told, [FIRST, last]);
    // It lives on: deadlines are what they were.
    reader.call("listTasks", json!({}));
    let next = seq(&writer.call("createTask", json!({"title": "next"})));
    assert_eq!(reader.next_seqs(1), [next]);
}

#[test]
fn whoever_loses_its_connection_again_and_again_misses_nothing_and_sees_nothing_twice() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let is_over = AtomicBool::new(false);
    let (written, seen) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut all = Vec::new();
            for turn in 0..60 {
                let (notes, tasks) = write(&mut writer, &format!("turn {turn}"), 2);
                all.extend(sorted(&notes, &tasks));
            }
            is_over.store(true, Ordering::Release);
            all
        });
        let mut seen: Vec<u64> = Vec::new();
        for turn in 1.. {
            let ends = is_over.load(Ordering::Acquire);
            let last = seen.last().copied().unwrap_or(FIRST);
            let query = format!("after={last}&tables=notes,tasks");
            let mut reader = Member::came(&server, "board", &query);
            if ends {
                reader.so_far_into(&mut seen);
                break;
            }
            // Sometimes it breaks before anything has come.
            seen.extend(reader.next_seqs(turn % 4));
        }
        (writing.join().unwrap(), seen)
    });
    assert_eq!(seen, written);
}

impl Member {
    /// Takes the numbers of all row changes that come until the room's end.
    fn so_far_into(&mut self, seen: &mut Vec<u64>) {
        let tail = seq(&self.call("executeSQL", json!({"sql": "SELECT 1"})));
        while seen.last().is_none_or(|last| *last < tail) {
            seen.extend(self.next_seqs(1));
        }
    }
}

#[test]
fn a_restart_is_a_reconnect_like_any_other() {
    let server = TestServer::start();
    let mut writer = board(&server);
    let mut reader = Member::of(&server, "board");
    let begun = subscribe(&mut reader, json!({"table": "notes"}));
    let (notes, _) = write(&mut writer, "before", 4);
    let seen = reader.next_seqs(2);
    assert_eq!(seen, notes[..2]);
    drop((reader, writer));
    let server = server.restart();
    let incarnation = begun["incarnation"].as_str().unwrap();
    let query = format!("after={}&incarnation={incarnation}&tables=notes", seen[1]);
    let mut back = Member::came(&server, "board", &query);
    assert_eq!(back.next_seqs(2), notes[2..]);
    assert_eq!(
        back.client.take_passed().len(),
        1,
        "the answer alone, no reset"
    );
}

#[test]
fn what_is_seen_is_said_as_it_must_be() {
    let server = TestServer::start();
    let mut reader = board(&server);
    for query in [
        "after=x",
        "after=-1",
        "after=1&after=2",
        "incarnation=1",
        "tables=_a",
        "tables=a%20b",
    ] {
        let target = format!("/connect?room_id=board&{query}");
        server.send(get(&target)).refused(400, "INVALID_REQUEST");
    }
    for wrong in [
        json!({"table": "notes", "tables": ["notes"]}),
        json!({}),
        json!({"tables": []}),
        json!({"tables": [1]}),
        json!({"tables": ["_a"]}),
        json!({"table": "notes", "after": -1}),
        json!({"table": "notes", "incarnation": "1"}),
    ] {
        let mut frame = wrong;
        frame["action"] = json!("subscribe");
        reader.refused(frame, "INVALID_REQUEST");
    }
}
