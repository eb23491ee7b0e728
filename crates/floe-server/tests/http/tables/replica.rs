//! What the replica is asked: one room or many, how far it must be, and who answers while it is away.

use std::fs;
use std::path::Path;
use std::thread;

use floe_server::{ReplicaSettings, Settings};
use serde_json::{Value, json};

use super::Room;
use crate::harness::{Response, TestServer, eventually, post};

/// A row of every type.
const ALL: &str = "SELECT *, n * 2 AS twice, typeof(any) AS kind FROM items ORDER BY id";

fn items() -> Value {
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    json!({
        "name": "items",
        "columns": [
            {"name": "id", "type": "INTEGER", "primaryKey": true},
            column("n", "REAL"),
            column("done", "BOOLEAN"),
            column("extra", "JSON"),
            column("raw", "BLOB"),
            column("any", "ANY"),
            column("Text", "TEXT"),
        ],
    })
}

/// Inserts a row; returns the seq of its message.
fn insert(room: &Room<'_>, id: i64) -> u64 {
    let values = json!({
        "id": id,
        "n": 0.1,
        "done": true,
        "extra": {"a": [1, "ä"]},
        "raw": {"$base64": "AAH/"},
        "any": 7,
        "Text": "it's \"quoted\"",
    });
    let inserted = room.call("insertRow", &json!({"table": "items", "values": values}));
    inserted["seq"].as_u64().unwrap()
}

/// Asks the replica; the answer shows at least so much.
fn ask(room: &Room<'_>, sql: &str, min_seq: u64) -> Value {
    let question = json!({"sql": sql, "source": "replica", "minSeq": min_seq});
    room.call("executeSQL", &question)
}

fn global(server: &TestServer, root: &str, question: &Value) -> Response {
    server.send(post(&format!("{root}/sql")).value(question))
}

/// A server that waits for the replica for as long as it takes.
fn serve(set: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::with(|settings| {
        settings.limits.query_wait_ms = 60_000;
        set(settings);
    })
}

/// Waits until the replica can be had.
fn await_replica(room: &Room<'_>) {
    eventually("the replica is there", || {
        let status = room.call("getSyncStatus", &json!({}));
        status["data"]["replicaAvailable"] == true
    });
}

/// Puts a file where the replica's folder should be.
fn take_away(folder: &Path) {
    let folder = folder.join("replica");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::write(&folder, "").unwrap();
}

#[test]
fn the_replica_says_what_the_room_says_and_how_far_it_is() {
    let server = serve(|_| {});
    let room = Room::new(&server, "board");
    room.call("createTable", &items());
    await_replica(&room);
    for id in [1, 2, i64::MAX] {
        insert(&room, id);
    }
    let empty = json!({"table": "items", "values": {"id": 4}});
    let seq = room.call("insertRow", &empty)["seq"].as_u64().unwrap();
    for sql in [
        ALL,
        "SELECT done, count(*) AS n FROM Items GROUP BY done ORDER BY n",
        "WITH one AS (SELECT id FROM items LIMIT 1) SELECT count(*) AS n FROM one",
        "SELECT a.id AS a, b.id AS b FROM items a JOIN items b ON a.id < b.id ORDER BY 1, 2",
    ] {
        let mut of_replica = ask(&room, sql, seq);
        let mut of_room = room.call("executeSQL", &json!({ "sql": sql }));
        assert_eq!(of_replica["source"], "replica", "{of_replica}");
        assert_eq!(of_room["source"], "room", "{of_room}");
        of_replica["source"].take();
        of_room["source"].take();
        assert_eq!(of_replica, of_room, "{sql}");
        assert_eq!(of_replica["seq"], seq);
    }
    let params = json!({
        "sql": "SELECT id FROM items WHERE id > :least ORDER BY id LIMIT 1",
        "params": {"least": 2}, "source": "replica",
    });
    let found = room.call("executeSQL", &params);
    assert_eq!(found["data"], json!([{"id": 4}]));
    assert_eq!(found["source"], "replica");
    // What only the room knows, the room says; nothing else can be read there either.
    for sql in [
        "SELECT rowid FROM items WHERE id = 4",
        "SELECT name, pk FROM pragma_table_info('items')",
    ] {
        let answer = ask(&room, sql, seq);
        assert_eq!(answer["source"], "room", "{answer}");
        assert_ne!(answer["data"], json!([]), "{answer}");
    }
    for sql in [
        "SELECT * FROM _rows",
        "SELECT * FROM main._rooms",
        "SELECT * FROM board",
        "SELECT _room FROM items",
        "DELETE FROM items",
    ] {
        let question = json!({"sql": sql, "source": "replica"});
        room.refused("executeSQL", &question, 400, "SQL_REJECTED");
    }
}

#[test]
fn who_names_a_message_reads_it_from_the_replica_while_others_write() {
    let server = serve(|_| {});
    let board = Room::new(&server, "board").with_notes();
    await_replica(&board);
    thread::scope(|scope| {
        let others: Vec<_> = (0..3)
            .map(|_| {
                let board = &board;
                scope.spawn(move || {
                    for _ in 0..60 {
                        board.note("theirs");
                    }
                })
            })
            .collect();
        for at in 1..=20 {
            let seq = board.note(&format!("mine {at}"));
            let sql = "SELECT count(*) AS n FROM notes WHERE text LIKE 'mine%'";
            let answer = ask(&board, sql, seq);
            assert_eq!(answer["data"], json!([{ "n": at }]));
            assert_eq!(answer["source"], "replica", "{answer}");
            assert!(answer["seq"].as_u64().unwrap() >= seq, "{answer}");
        }
        for other in others {
            other.join().unwrap();
        }
    });
}

#[test]
fn a_question_to_the_replica_waits_for_its_message_and_not_for_ever() {
    let server = TestServer::with(|settings| settings.limits.query_wait_ms = 300);
    let room = Room::new(&server, "board").with_notes();
    let question = |seq: u64| json!({"sql": "SELECT 1", "source": "replica", "minSeq": seq});
    room.refused("executeSQL", &question(2), 503, "VIEW_BEHIND");
    let many = json!({"sql": "SELECT 1", "rooms": ["board"], "minSeq": {"board": 2}});
    let answer = global(&server, "/v1", &many).expect(503);
    assert_eq!(answer.code(), "VIEW_BEHIND");
    let server = serve(|_| {});
    let room = Room::new(&server, "board").with_notes();
    await_replica(&room);
    let mut asking = server.connect();
    asking.write(room.request("executeSQL", &question(3)).bytes());
    let mut all = server.connect();
    let many = json!({"sql": "SELECT text FROM notes ORDER BY id", "minSeq": {"board": 3}});
    all.write(post("/v1/sql").value(&many).bytes());
    room.note("a");
    assert_eq!(room.note("b"), 3);
    let answer = asking.answer_to("POST").expect(200).json();
    assert_eq!(
        (&answer["seq"], &answer["source"]),
        (&json!(3), &json!("replica"))
    );
    let answer = all.answer_to("POST").expect(200).json();
    assert_eq!(answer["data"], json!([{"text": "a"}, {"text": "b"}]));
}

#[test]
fn the_room_answers_while_the_replica_is_away() {
    let server = TestServer::with(|settings| settings.replica = ReplicaSettings::Off);
    let room = Room::new(&server, "board").with_notes();
    let seq = room.note("a");
    let sql = "SELECT text FROM notes";
    let answer = ask(&room, sql, seq);
    assert_eq!(answer["source"], "room", "{answer}");
    let server = serve(|_| {});
    let room = Room::new(&server, "board").with_notes();
    await_replica(&room);
    let seq = room.note("a");
    assert_eq!(ask(&room, sql, seq)["source"], "replica");
    let server = server.restart_after(take_away);
    let room = Room::new(&server, "board");
    let answer = ask(&room, sql, seq);
    assert_eq!(
        (&answer["source"], &answer["seq"], &answer["data"]),
        (&json!("room"), &json!(seq), &json!([{"text": "a"}]))
    );
    let seq = room.note("b");
    // Rooms that are named answer together as the replica would; not all rooms at once.
    let other = Room::new(&server, "other").with_notes();
    other.note("c");
    let many = json!({
        "sql": "SELECT _room, count(*) AS n FROM notes GROUP BY _room ORDER BY _room",
        "rooms": ["board", "nowhere", "other"],
        "minSeq": {"board": seq},
    });
    let answer = global(&server, "/v1", &many).expect(200).json();
    assert_eq!(
        (&answer["source"], &answer["seqs"], &answer["data"]),
        (
            &json!("room"),
            &json!({"board": 3, "other": 2}),
            &json!([{"_room": "board", "n": 2}, {"_room": "other", "n": 1}])
        )
    );
    assert_eq!(answer["errors"][0]["room"], "nowhere", "{answer}");
    let server = server.restart_with(|settings| settings.limits.query_wait_ms = 200);
    let all = json!({"sql": "SELECT 1"});
    let answer = global(&server, "/v1", &all).expect(503);
    assert_eq!(answer.code(), "REPLICA_UNAVAILABLE");
    let server = server.restart_with(|settings| settings.limits.query_wait_ms = 60_000);
    let room = Room::new(&server, "board");
    assert_eq!(ask(&room, sql, seq)["data"].as_array().unwrap().len(), 2);
    // It comes back, and has all that it missed.
    fs::remove_file(server.folder().join("replica")).unwrap();
    eventually("the replica answers again", || {
        let answer = ask(&room, sql, seq);
        assert_eq!(answer["data"], json!([{"text": "a"}, {"text": "b"}]));
        answer["source"] == "replica"
    });
}

#[test]
fn a_namespace_is_a_wall_for_every_question_to_the_replica() {
    let server = serve(|settings| {
        settings.api_keys = "acme:admin:k-acme other:admin:k-other".into();
    });
    let (acme, other) = (Room::new(&server, "board"), Room::new(&server, "board"));
    let rooms = [acme.by("k-acme"), other.by("k-other")];
    for (room, text) in rooms.iter().zip(["of acme", "of other"]) {
        room.call("createTable", &super::notes());
        await_replica(room);
        let seq = room.note(text);
        let answer = ask(room, "SELECT text FROM notes", seq);
        assert_eq!(answer["source"], "replica");
        assert_eq!(answer["data"], json!([{ "text": text }]));
    }
    Room::new(&server, "secret")
        .by("k-other")
        .call("createTable", &super::notes());
    for (key, text) in [("k-acme", "of acme"), ("k-other", "of other")] {
        for rooms in [json!(null), json!(["board"])] {
            let question = json!({"sql": "SELECT text FROM notes", "rooms": rooms});
            let answer = server.expect(200, post("/v1/sql").value(&question).key(key));
            assert_eq!(answer.json()["data"], json!([{ "text": text }]));
        }
    }
    // Nor is there a way to name what is behind it, or to wait for it.
    let question = json!({
        "sql": "SELECT count(*) AS n FROM notes",
        "rooms": ["board", "secret"], "minSeq": {"secret": 1},
    });
    let asked = post("/v1/sql").value(&question).key("k-acme");
    let answer = server.expect(200, asked).json();
    assert_eq!(answer["data"], json!([{"n": 1}]));
    assert_eq!(answer["errors"][0]["room"], "secret", "{answer}");
    assert_eq!(answer["errors"][0]["code"], "NOT_FOUND");
    for path in ["/n/other/v1/sql", "/n/other/global-query"] {
        let question = json!({"sql": "SELECT 1"});
        let asked = post(path).value(&question).key("k-acme");
        assert_eq!(server.send(asked).status / 100, 4, "{path}");
    }
}
