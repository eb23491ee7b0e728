//! Many writers, and many rooms.

use std::collections::BTreeSet;
use std::thread;

use serde_json::json;

use super::{Room, files, note};
use crate::harness::{TestServer, delete};

#[test]
fn many_writers_to_one_room_lose_nothing_and_share_no_version() {
    let server = TestServer::start();
    Room::new(&server, "board").with_notes();
    let seqs: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let server = &server;
                scope.spawn(move || {
                    let room = Room::new(server, "board");
                    let mut connection = server.connect();
                    let notes = (0..50).map(|at| {
                        let request = room.request("insertRow", &note(&format!("{writer} {at}")));
                        let answer = connection.ask(&request).expect(200).json();
                        answer["seq"].as_u64().unwrap()
                    });
                    notes.collect::<Vec<_>>()
                })
            })
            .collect();
        let seqs = writers.into_iter().map(|writer| writer.join().unwrap());
        // Each writer sees its own in order.
        let seqs = seqs.inspect(|seqs| assert!(seqs.is_sorted()));
        seqs.flatten().collect()
    });
    let distinct: BTreeSet<u64> = seqs.iter().copied().collect();
    assert_eq!(distinct, (2..=401).collect());
    let room = Room::new(&server, "board");
    assert_eq!(room.number("SELECT count(*) FROM notes"), 400);
    assert_eq!(room.number("SELECT count(DISTINCT text) FROM notes"), 400);
    // What was written together became durable together.
    let batches = server.metric("floe_tables_batches_total");
    assert!(batches <= 401.0, "{batches}");
}

#[test]
fn a_counter_that_many_add_to_with_preconditions_counts_each_once() {
    let server = TestServer::start();
    let room = Room::new(&server, "board");
    let columns = json!([
        {"name": "id", "type": "INTEGER", "primaryKey": true},
        {"name": "n", "type": "INTEGER", "notNull": true},
    ]);
    room.call(
        "createTable",
        &json!({"name": "counts", "columns": columns}),
    );
    room.call(
        "insertRow",
        &json!({"table": "counts", "values": {"id": 1, "n": 0}}),
    );
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let room = Room::new(&server, "board");
                for _ in 0..10 {
                    add_one(&room);
                }
            });
        }
    });
    assert_eq!(room.number("SELECT n FROM counts"), 40);
}

/// Reads the count and writes it back with one more, until nobody else was quicker.
fn add_one(room: &Room<'_>) {
    loop {
        let read = room.call("executeSQL", &json!({"sql": "SELECT n FROM counts"}));
        let (n, seq) = (read["data"][0]["n"].as_i64().unwrap(), read["seq"].clone());
        let change = json!({
            "mutations": [{
                "method": "updateRow",
                "payload": {"table": "counts", "key": 1, "values": {"n": n + 1}},
            }],
            "preconditions": [{"table": "counts", "key": 1, "version": seq}],
        });
        let answer = room.send("transaction", &change);
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.json()["code"], "PRECONDITION_FAILED");
    }
}

#[test]
fn more_rooms_than_open_files_all_work() {
    let server = TestServer::with(|settings| {
        settings.limits.tables_open_max = 4;
        settings.limits.tables_readers = 2;
    });
    thread::scope(|scope| {
        for worker in 0..4 {
            let server = &server;
            scope.spawn(move || {
                for round in 0..3 {
                    for at in 0..6 {
                        let room = Room::new(server, &format!("r{worker}/{at}"));
                        if round == 0 {
                            room.call("createTable", &super::notes());
                        }
                        room.note(&format!("{round}"));
                        let count = room.number("SELECT count(*) FROM notes");
                        assert_eq!(count, round + 1);
                    }
                }
            });
        }
    });
    assert!(server.metric("floe_tables_open_files") <= 4.0);
    assert_eq!(files(server.folder(), ".sqlite").len(), 24);
    let server = server.restart();
    let room = Room::new(&server, "r3/5");
    assert_eq!(room.number("SELECT count(*) FROM notes"), 3);
}

#[test]
fn a_room_takes_no_more_calls_than_may_wait() {
    let server = TestServer::with(|settings| settings.limits.tables_queue_max = 2);
    let room = Room::new(&server, "board").with_notes();
    let mut writers: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for writer in &mut writers {
        writer.write(room.request("insertRow", &note("a")).bytes());
    }
    let mut done = 0;
    for writer in &mut writers {
        let answer = writer.answer_to("POST");
        match answer.status {
            200 => done += 1,
            _ => assert_eq!(answer.expect(503).json()["code"], "OVERLOADED"),
        }
    }
    assert_eq!(room.number("SELECT count(*) FROM notes"), done);
}

#[test]
fn a_room_that_goes_while_it_is_written_answers_everyone() {
    let server = TestServer::start();
    for _ in 0..5 {
        let room = Room::new(&server, "board").with_notes();
        let mut writers: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for writer in &mut writers[..10] {
            writer.write(room.request("insertRow", &note("a")).bytes());
        }
        server.expect(204, delete("/v1/rooms/board"));
        for writer in &mut writers[10..] {
            writer.write(room.request("insertRow", &note("a")).bytes());
        }
        for writer in &mut writers {
            let answer = writer.answer_to("POST");
            assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        }
        server.expect(204, delete("/v1/rooms/board"));
    }
}
