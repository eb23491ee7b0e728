use floe_proto::RoomId;
use floe_proto::table::Value;

use super::*;
use crate::replica::{Batch, Embedded, Mode, ReplicaTarget, RoomKind, RoomRef};

struct World {
    _folder: tempfile::TempDir,
    reader: ReplicaReader,
}

const NONE: Params = Params::Positional(Vec::new());

fn message(kind: &str, key: &str, value: &str) -> String {
    format!(
        r#"{{"type":"{kind}","key":"{key}","value":{value},"headers":{{"operation":"insert","txid":"1","timestamp":"2026-01-02T03:04:05.678Z"}}}},"#
    )
}

fn table(name: &str, columns: &str) -> String {
    let value = format!(r#"{{"name":"{name}","columns":[{columns}]}}"#);
    message("__schema__", name, &value)
}

const ID: &str = r#"{"name":"id","type":"INTEGER","primaryKey":true}"#;

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = EmbeddedFolder::new(folder.path());
        let mut target = Embedded::new(files.clone());
        let items = format!(
            r#"{ID},{{"name":"n","type":"REAL"}},{{"name":"done","type":"BOOLEAN"}},{{"name":"raw","type":"BLOB"}},{{"name":"any","type":"ANY"}}"#
        );
        let rooms = [
            (
                "default",
                "a",
                false,
                table("items", &items)
                    + &message(
                        "items",
                        "1",
                        r#"{"id":1,"n":1.0,"done":1,"raw":{"$base64":"AAE="},"any":{"$base64":"AAH/"}}"#,
                    )
                    + &message(
                        "items",
                        "2",
                        r#"{"id":9007199254740993,"n":0.1,"done":0,"raw":null,"any":"x"}"#,
                    ),
            ),
            (
                "default",
                "b",
                false,
                table("Items", &format!(r#"{ID},{{"name":"more","type":"TEXT"}}"#))
                    + &message("Items", "1", r#"{"id":1,"more":"m"}"#)
                    + &table("only", ID)
                    + &message("only", "5", r#"{"id":5}"#),
            ),
            (
                "default",
                "quiet",
                true,
                table("items", ID) + &message("items", "7", r#"{"id":7}"#),
            ),
            (
                "other",
                "a",
                false,
                table("items", ID) + &message("items", "99", r#"{"id":99}"#),
            ),
        ];
        for (at, (namespace, name, ruled, messages)) in rooms.iter().enumerate() {
            let room = RoomRef {
                namespace,
                room: RoomId(at as u64),
                name,
            };
            let batch = Batch {
                room,
                kind: RoomKind::Tables,
                ruled: *ruled,
                start: 1,
                first_seq: 1,
                messages: messages.as_bytes(),
                mode: Mode::Add,
            };
            assert_eq!(target.apply(&[batch]).unwrap().unknown, 0);
        }
        Self {
            reader: ReplicaReader::new(&files, "default"),
            _folder: folder,
        }
    }

    fn ask(&mut self, rooms: Option<&[&str]>, sql: &str, params: &Params) -> GlobalRows {
        let limits = SqlLimits::default();
        let found = self.reader.query(rooms, &[], sql, params, &limits);
        found.unwrap().unwrap()
    }

    fn rows(&mut self, rooms: Option<&[&str]>, sql: &str) -> Result<String, (Code, String)> {
        let limits = SqlLimits::default();
        let found = self.reader.query(rooms, &[], sql, &NONE, &limits);
        let found = found.map_err(|error| (error.code, error.message))?.unwrap();
        Ok(String::from_utf8(found.rows.data).unwrap())
    }
}

#[test]
fn rooms_that_are_named_need_not_be_shown() {
    let mut world = World::new();
    for sql in [
        "SELECT id FROM items ORDER BY id",
        "SELECT count(*) AS id FROM items",
        "SELECT i.id FROM items i WHERE i.id IN (SELECT id FROM items)",
    ] {
        for rooms in [None, Some(&["a", "b"][..])] {
            world.rows(rooms, sql).unwrap();
        }
    }
    let rows = world.rows(Some(&["b"]), "SELECT id FROM items");
    assert_eq!(rows.unwrap(), r#"[{"id":1}]"#);
    for hidden in ["SELECT count(*) FROM _rooms", "SELECT 1 FROM _wanted"] {
        assert_eq!(
            world.rows(Some(&["a"]), hidden).unwrap_err().0,
            Code::SqlRejected
        );
    }
}

#[test]
fn rows_of_all_rooms_have_the_columns_and_types_of_all() {
    let mut world = World::new();
    let sql = "SELECT * FROM items ORDER BY _room, id";
    let found = world.ask(Some(&["a", "b"]), sql, &NONE);
    assert_eq!((found.asked, found.rows.count), (2, 3));
    assert_eq!(
        String::from_utf8(found.rows.data).unwrap(),
        r#"[{"_room":"a","id":1,"n":1.0,"done":1,"raw":{"$base64":"AAE="},"any":{"$base64":"AAH/"},"more":null},"#.to_owned()
            + r#"{"_room":"a","id":9007199254740993,"n":0.1,"done":0,"raw":null,"any":"x","more":null},"#
            + r#"{"_room":"b","id":1,"n":null,"done":null,"raw":null,"any":null,"more":"m"}]"#
    );
    let kinds: Vec<_> = found
        .rows
        .columns
        .iter()
        .map(|column| column.kind.as_deref())
        .collect();
    let expected = ["TEXT", "INTEGER", "REAL", "INTEGER", "BLOB", "ANY", "TEXT"];
    assert_eq!(kinds, expected.map(Some));
    // A text is compared with a number as in the room itself.
    let same = world.rows(
        None,
        "SELECT _room FROM items WHERE id = '1' AND more IS NULL",
    );
    assert_eq!(same.unwrap(), r#"[{"_room":"a"}]"#);
    let joined =
        "WITH i AS (SELECT * FROM items) SELECT count(*) AS n FROM i JOIN only USING (_room)";
    assert_eq!(world.rows(None, joined).unwrap(), r#"[{"n":1}]"#);
}

#[test]
fn only_the_rooms_that_are_asked_answer() {
    let mut world = World::new();
    let sql = "SELECT _room, id FROM items ORDER BY id";
    assert_eq!(
        world.rows(Some(&["b"]), sql).unwrap(),
        r#"[{"_room":"b","id":1}]"#
    );
    assert_eq!(
        world.rows(Some(&["quiet"]), sql).unwrap(),
        r#"[{"_room":"quiet","id":7}]"#
    );
    let found = world.ask(Some(&["a", "nowhere"]), sql, &NONE);
    assert_eq!(
        (found.asked, &found.missing[..]),
        (1, &["nowhere".into()][..])
    );
    assert_eq!(found.seqs, [("a".into(), 3)]);
    let limits = SqlLimits::default();
    for (least, answers) in [(3, true), (4, false)] {
        let least = [(RoomId(0), least)];
        let found = world.reader.query(None, &least, sql, &NONE, &limits);
        assert_eq!(found.unwrap().is_some(), answers);
    }
    assert_eq!(
        world.rows(Some(&[]), "SELECT 1 AS one").unwrap(),
        r#"[{"one":1}]"#
    );
    let params = Params::Positional(vec![Value::Text("b".into())]);
    let sql = "SELECT more FROM items WHERE _room = ?";
    let found = world.ask(None, sql, &params);
    assert_eq!(found.rows.data, br#"[{"more":"m"}]"#);
}

#[test]
fn nothing_it_can_say_reaches_what_is_kept_beside_the_tables() {
    let mut world = World::new();
    let hostile = [
        "SELECT * FROM _rows",
        "SELECT * FROM main._rows",
        "SELECT * FROM \"_rooms\"",
        "SELECT * FROM temp._wanted",
        "WITH items AS (SELECT * FROM _rows) SELECT * FROM items",
        "WITH items AS (SELECT name AS id FROM main._rooms) SELECT id FROM items",
        "SELECT (SELECT group_concat(row) FROM _rows) FROM items",
        "SELECT * FROM items WHERE EXISTS (SELECT 1 FROM _rooms)",
        "SELECT * FROM items UNION SELECT 1,2,3,4,5,6,7 FROM _tables",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM sqlite_temp_schema",
        "SELECT sql FROM sqlite_master",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_list",
        "PRAGMA database_list",
        "ATTACH 'x' AS y",
        "SELECT load_extension('x')",
        "SELECT _floe_bytes('AAAA')",
        "SELECT readfile('/etc/passwd')",
        "SELECT rowid FROM items",
        "DELETE FROM items",
        "WITH x AS (SELECT 1) DELETE FROM items",
        "INSERT INTO items (id) VALUES (1)",
        "CREATE TEMP TABLE t (a)",
        "DROP VIEW items",
        "SELECT 1; DELETE FROM items",
        "VACUUM INTO 'x'",
        "EXPLAIN SELECT * FROM items",
        "SELECT * FROM items, _rows",
        "SELECT d.row FROM items AS d",
        "SELECT json_each.value FROM items, json_each((SELECT row FROM _rows))",
    ];
    for sql in hostile {
        for rooms in [None, Some(&["a"][..])] {
            let outcome = world.rows(rooms, sql);
            assert!(
                matches!(&outcome, Err((Code::SqlRejected, _))),
                "{sql}: {outcome:?}"
            );
        }
    }
    // Whatever it says, it says nothing of rooms that are not asked, nor of another namespace.
    for sql in [
        "SELECT * FROM items",
        "SELECT count(*) FROM items, items AS more",
    ] {
        let all = world.rows(None, sql).unwrap();
        assert!(!all.contains(r#""id":99"#), "{all}");
    }
    let plan = world.rows(None, "EXPLAIN QUERY PLAN SELECT * FROM items");
    assert!(plan.is_ok(), "{plan:?}");
}

#[test]
fn one_room_is_asked_in_its_own_words_and_says_how_far_it_is() {
    let mut world = World::new();
    let limits = SqlLimits::default();
    let mut ask = |room: u64, sql: &str| {
        let found = world.reader.query_room(RoomId(room), sql, &NONE, &limits);
        found.map_err(|error| error.code)
    };
    let found = ask(0, "SELECT * FROM items ORDER BY id").unwrap().unwrap();
    assert_eq!((found.applied, found.source), (3, RowsSource::Replica));
    assert_eq!(
        String::from_utf8(found.data).unwrap(),
        r#"[{"id":1,"n":1.0,"done":1,"raw":{"$base64":"AAE="},"any":{"$base64":"AAH/"}},"#
            .to_owned()
            + r#"{"id":9007199254740993,"n":0.1,"done":0,"raw":null,"any":"x"}]"#
    );
    let columns: Vec<_> = found
        .columns
        .iter()
        .map(|column| (&*column.name, column.kind.as_deref()))
        .collect();
    let expected = [
        ("id", Some("INTEGER")),
        ("n", Some("REAL")),
        ("done", Some("INTEGER")),
        ("raw", Some("BLOB")),
        ("any", Some("ANY")),
    ];
    assert_eq!(columns, expected);
    assert_eq!(found.tables, ["items".into()]);
    let joined = "SELECT i.id AS i, o.id AS o FROM ITEMS i, only o";
    let found = ask(1, joined).unwrap().unwrap();
    assert_eq!(found.data, br#"[{"i":1,"o":5}]"#);
    assert_eq!((found.applied, found.tables.len()), (4, 2));
    // A room of another namespace is none.
    assert_eq!(ask(3, "SELECT 1").unwrap(), None);
    for hostile in [
        "SELECT * FROM only",
        "SELECT _room FROM items",
        "SELECT * FROM _rows",
        "SELECT * FROM main._rows",
        "WITH items AS (SELECT * FROM _rows) SELECT * FROM items",
        "SELECT (SELECT group_concat(row) FROM _rows) FROM items",
        "SELECT _floe_bytes('AAAA')",
        "SELECT d.row FROM items AS d",
        "SELECT rowid FROM items",
        "SELECT * FROM pragma_table_info('items')",
        "SELECT * FROM sqlite_schema",
        "DELETE FROM items",
    ] {
        assert_eq!(ask(0, hostile), Err(Code::SqlRejected), "{hostile}");
    }
}

#[test]
fn rooms_in_memory_say_what_a_replica_of_them_would() {
    let of_a = table("items", ID) + &message("items", "1", r#"{"id":1}"#);
    let of_b = of_a.clone() + &message("items", "2", r#"{"id":2}"#);
    let batch = |at: u64, name: &'static str, messages: &'static str| Batch {
        room: RoomRef {
            namespace: "default",
            room: RoomId(at),
            name,
        },
        kind: RoomKind::Tables,
        ruled: false,
        start: 1,
        first_seq: 1,
        messages: messages.as_bytes(),
        mode: Mode::Add,
    };
    let rooms = [batch(1, "a", of_a.leak()), batch(2, "b", of_b.leak())];
    let mut reader = ReplicaReader::of_rooms(&[&rooms[0], &rooms[1]]).unwrap();
    let limits = SqlLimits::default();
    let mut ask = |rooms: &[&str], sql: &str| {
        let least = [(RoomId(2), 3)];
        let found = reader.query(Some(rooms), &least, sql, &NONE, &limits);
        found.map(Option::unwrap).map_err(|error| error.code)
    };
    let sql = "SELECT _room, count(*) AS n FROM items GROUP BY _room ORDER BY _room";
    for _ in 0..2 {
        let found = ask(&["a", "b", "c"], sql).unwrap();
        assert_eq!(
            found.rows.data,
            br#"[{"_room":"a","n":1},{"_room":"b","n":2}]"#
        );
        assert_eq!(found.seqs, [("a".into(), 2), ("b".into(), 3)]);
        assert_eq!(found.missing, ["c".into()]);
    }
    let hidden = ask(&["a"], "SELECT * FROM _rows");
    assert_eq!(hidden.unwrap_err(), Code::SqlRejected);
    let mut broken = batch(3, "c", "{},");
    broken.first_seq = 7;
    assert!(ReplicaReader::of_rooms(&[&broken]).is_err());
}

#[test]
fn what_runs_away_is_stopped() {
    let mut world = World::new();
    let limits = SqlLimits {
        timeout_ms: 200,
        ..SqlLimits::default()
    };
    let sql = "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)
         SELECT count(*) FROM c, items";
    let outcome = world.reader.query(None, &[], sql, &NONE, &limits);
    assert_eq!(outcome.unwrap_err().code, Code::QueryTimeout);
    assert_eq!(
        world.rows(None, "SELECT count(*) AS n FROM items").unwrap(),
        r#"[{"n":4}]"#
    );
}

#[test]
fn a_file_that_comes_or_goes_is_read_anew() {
    let folder = tempfile::tempdir().unwrap();
    let files = EmbeddedFolder::new(folder.path().join("replica"));
    let mut reader = ReplicaReader::new(&files, "default");
    let mut count = || {
        let found = reader.query(None, &[], "SELECT 1 AS n", &NONE, &SqlLimits::default());
        found.unwrap().unwrap().asked
    };
    assert_eq!(count(), 0);
    let mut target = Embedded::new(files.clone());
    let messages = table("items", ID);
    for at in 1..=2 {
        let batch = Batch {
            room: RoomRef {
                namespace: "default",
                room: RoomId(at),
                name: "a",
            },
            kind: RoomKind::Tables,
            ruled: false,
            start: 1,
            first_seq: 1,
            messages: messages.as_bytes(),
            mode: Mode::Add,
        };
        target.apply(&[batch]).unwrap();
        assert_eq!(count(), at);
    }
    files.remove("default").unwrap();
    assert_eq!(count(), 0);
}
