//! What was acknowledged is there after a restart, a crash, and whatever becomes of the files.

use std::io::{Seek as _, SeekFrom, Write as _};
use std::thread;

use serde_json::json;

use super::{Room, files, note};
use crate::harness::{TestServer, eventually};

/// A room with this many notes, and one that was changed and one that is gone.
fn filled(server: &TestServer, count: usize) {
    let room = Room::new(server, "board").with_notes();
    for at in 0..count {
        room.note(&format!("note {at}"));
    }
    let change = json!({"table": "notes", "key": 1, "values": {"text": "changed"}});
    room.call("updateRow", &change);
    room.call("deleteRow", &json!({"table": "notes", "key": 2}));
}

#[track_caller]
fn is_filled(server: &TestServer, count: usize) {
    let room = Room::new(server, "board");
    let found = room.number("SELECT count(*) FROM notes");
    assert_eq!(found, count as i64 - 1);
    assert_eq!(
        room.rows("SELECT text FROM notes WHERE id IN (1, 2, 3) ORDER BY id"),
        json!([{"text": "changed"}, {"text": "note 2"}])
    );
    // Versions and numbers are what they were.
    let next = room.call("insertRow", &note("next"));
    assert_eq!(next["seq"], count + 4);
    assert_eq!(next["data"]["row"]["id"], count + 1);
    let unless = json!({
        "mutations": [{"method": "deleteRow", "payload": {"table": "notes", "key": count + 1}}],
        "preconditions": [{"table": "notes", "key": 1, "version": count + 2}],
    });
    room.call("transaction", &unless);
}

#[test]
fn a_restart_keeps_all() {
    let server = TestServer::start();
    filled(&server, 20);
    is_filled(&server.restart(), 20);
}

#[test]
fn a_crash_keeps_all_that_was_acknowledged() {
    let server = TestServer::start();
    filled(&server, 20);
    is_filled(&server.crashed(), 20);
    let without_files = server.crashed().restart_after(|folder| {
        std::fs::remove_dir_all(folder.join("tables")).unwrap();
    });
    is_filled(&without_files, 20);
}

#[test]
fn a_file_that_was_deleted_is_made_again_from_the_log() {
    let server = TestServer::with(|settings| settings.limits.tables_snapshot_every = 0);
    filled(&server, 300);
    let server = server.restart_after(|folder| {
        std::fs::remove_dir_all(folder.join("tables")).unwrap();
    });
    is_filled(&server, 300);
}

#[test]
fn a_snapshot_stands_in_for_the_oldest_messages() {
    let server = TestServer::with(|settings| settings.limits.tables_snapshot_every = 50);
    filled(&server, 120);
    eventually("a snapshot is made", || {
        server.metric("floe_tables_snapshots_total") >= 1.0
    });
    assert_eq!(files(server.folder(), ".snapshot").len(), 1);
    let server = server.restart_after(|folder| {
        for path in files(folder, "") {
            if !path.to_str().unwrap().ends_with(".snapshot") {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
    is_filled(&server, 120);
}

#[test]
fn snapshots_are_made_of_rooms_in_turn_while_all_of_them_are_written() {
    const ROOMS: usize = 4;
    let server = TestServer::with(|settings| settings.limits.tables_snapshot_every = 25);
    let names: Vec<String> = (0..ROOMS).map(|at| format!("room{at}")).collect();
    thread::scope(|scope| {
        for name in &names {
            let server = &server;
            scope.spawn(move || {
                let room = Room::new(server, name).with_notes();
                for at in 0..120 {
                    room.note(&format!("{name} {at}"));
                }
                room.call("deleteRow", &json!({"table": "notes", "key": 7}));
            });
        }
    });
    eventually("each has a snapshot", || {
        files(server.folder(), ".snapshot").len() == ROOMS
    });
    assert!(server.metric("floe_tables_snapshot_errors_total") < 1.0);
    // Some may be written just now.
    let server = server.crashed().restart_after(|folder| {
        let begun = folder.join("tables/0000000000000001.copy");
        std::fs::write(begun, "half a snapshot").unwrap();
        for path in files(folder, "") {
            let name = path.to_str().unwrap();
            if !name.ends_with(".snapshot") && !name.ends_with(".copy") {
                std::fs::remove_file(path).unwrap();
            }
        }
    });
    for name in &names {
        let room = Room::new(&server, name);
        let sql = format!("SELECT count(*) FROM notes WHERE text LIKE '{name} %'");
        assert_eq!(room.number(&sql), 119);
        assert_eq!(room.note("next"), 123);
    }
    eventually("what was half made is gone", || {
        files(server.folder(), ".copy").is_empty()
    });
}

#[test]
fn a_damaged_file_is_made_again() {
    for at in [0, 4_096, 8_192 + 10] {
        let server = TestServer::start();
        filled(&server, 300);
        let server = server.restart_after(|folder| {
            let files = files(folder, ".sqlite");
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .open(&files[0])
                .unwrap();
            file.seek(SeekFrom::Start(at)).unwrap();
            file.write_all(&[0x5a; 2_000]).unwrap();
        });
        // A question may meet the damage, or a call.
        let room = Room::new(&server, "board");
        let found = room.rows("SELECT count(*) AS n, max(length(text)) AS l FROM notes");
        assert_eq!(found[0]["n"], 299, "damaged at {at}");
        is_filled(&server, 300);
    }
}

#[test]
fn a_file_that_is_ahead_of_its_log_is_made_again() {
    let server = TestServer::start();
    filled(&server, 10);
    let ahead = server.crashed();
    let room = Room::new(&ahead, "board");
    for _ in 0..10 {
        room.note("never happened");
    }
    let newer = ahead.folder().join("tables");
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(&newer).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let server = server.restart_after(|folder| {
        for path in files(folder, "") {
            std::fs::remove_file(path).unwrap();
        }
        for entry in std::fs::read_dir(copy.path()).unwrap() {
            let entry = entry.unwrap();
            let to = folder.join("tables").join(entry.file_name());
            std::fs::copy(entry.path(), to).unwrap();
        }
    });
    is_filled(&server, 10);
}

#[test]
fn files_of_no_room_are_removed_at_the_start() {
    let server = TestServer::start();
    filled(&server, 5);
    let stranger = format!("{:016x}.sqlite", 1_u64 << 40);
    let server = server.restart_after(|folder| {
        std::fs::write(folder.join("tables").join(&stranger), "").unwrap();
    });
    let path = server.folder().join("tables").join(&stranger);
    eventually("the stranger is gone", || !path.exists());
    is_filled(&server, 5);
}

#[test]
fn what_is_under_way_at_a_stop_is_there_or_was_refused() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let mut writers: Vec<_> = (0..20).map(|_| server.connect()).collect();
    for writer in &mut writers {
        writer.write(room.request("insertRow", &note("a")).bytes());
    }
    server.ask_to_stop();
    let mut acknowledged = 0;
    for writer in &mut writers {
        if let Some(answer) = writer.try_answer("POST") {
            acknowledged += i64::from(answer.status == 200);
        }
    }
    let server = server.restart();
    let found = Room::new(&server, "board").number("SELECT count(*) FROM notes");
    assert!(found >= acknowledged, "{found} of {acknowledged}");
}
