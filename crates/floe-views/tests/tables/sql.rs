//! SQL of people: what it may say, what it never may, and where it ends.

use std::time::{Duration, Instant};

use floe_proto::Code;
use floe_proto::table::{Params, Row, TableError, Value};
use floe_views::tables::{Rows, SqlLimits};

use crate::common::ROOM;
use crate::common::Room;
use crate::rebuild::dump;

const PEOPLE: &str = r#"{"name":"people","columns":[
    {"name":"id","type":"INTEGER","primaryKey":true},
    {"name":"name","type":"TEXT","unique":true},
    {"name":"raw","type":"BLOB"}]}"#;

fn room() -> Room {
    let mut room = Room::new();
    room.create(PEOPLE);
    room.create(r#"{"name":"Notes","columns":[{"name":"by","type":"INTEGER"},{"name":"text","type":"JSON"}]}"#);
    room.insert(
        "people",
        r#"[{"name":"ann","raw":{"$base64":"AP8="}},{"name":"bob"},{"name":"eve"}]"#,
    )
    .unwrap();
    room.insert(
        "notes",
        r#"[{"by":1,"text":{"a":[1,2]}},{"by":2,"text":[]}]"#,
    )
    .unwrap();
    room
}

fn ask(room: &Room, sql: &str, params: &Params, limits: &SqlLimits) -> Result<Rows, TableError> {
    room.reader().query(sql, params, limits)
}

#[test]
fn all_that_only_reads_the_rooms_tables_is_answered() {
    let room = room();
    for (sql, data) in [
        ("SELECT 1", r#"[{"1":1}]"#),
        (
            "VALUES (1,'a'),(2,NULL)",
            r#"[{"column1":1,"column2":"a"},{"column1":2,"column2":null}]"#,
        ),
        (
            "SELECT raw FROM people WHERE id = 1;",
            r#"[{"raw":{"$base64":"AP8="}}]"#,
        ),
        (
            "SELECT p.name, count(*) AS n FROM people p JOIN notes ON by = p.id GROUP BY 1 ORDER BY 1",
            r#"[{"name":"ann","n":1},{"name":"bob","n":1}]"#,
        ),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<3) SELECT sum(x) AS s FROM c",
            r#"[{"s":6}]"#,
        ),
        (
            "WITH c AS (SELECT 1) SELECT count(*) AS n FROM c",
            r#"[{"n":1}]"#,
        ),
        (
            "SELECT name, row_number() OVER (ORDER BY name DESC) AS n FROM people ORDER BY id LIMIT 1",
            r#"[{"name":"ann","n":3}]"#,
        ),
        (
            "SELECT value FROM notes, json_each(text, '$.a') ORDER BY 1",
            r#"[{"value":1},{"value":2}]"#,
        ),
        (
            "SELECT text ->> '$.a[1]' AS v FROM notes WHERE by=1",
            r#"[{"v":2}]"#,
        ),
        (
            "SELECT name, type, pk FROM pragma_table_info('people') WHERE pk",
            r#"[{"name":"id","type":"INTEGER","pk":1}]"#,
        ),
        (
            "SELECT count(*) AS n FROM \"people\" -- all",
            r#"[{"n":3}]"#,
        ),
        (
            "SELECT typeof(1e999) AS t, 1e999 AS r",
            r#"[{"t":"real","r":null}]"#,
        ),
        (
            "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a",
            r#"[{"a":1,"a_3":2,"a_2":3,"a_4":4}]"#,
        ),
        (
            "SELECT trim('  x ') || replace('aXa', 'X', 'b') || instr('abc','c') AS t",
            r#"[{"t":"xaba3"}]"#,
        ),
    ] {
        let rows = room
            .query(sql)
            .map(|rows| String::from_utf8(rows.data).unwrap());
        assert_eq!(rows.as_deref(), Ok(data), "{sql}");
    }
    let plan = room.ask("EXPLAIN QUERY PLAN SELECT * FROM people WHERE name = 'ann'");
    assert!(
        plan.contains("SEARCH people USING INDEX people.name"),
        "{plan}"
    );
    assert!(room.ask("PRAGMA table_info(people)").contains("\"raw\""));
}

#[test]
fn an_answer_says_its_columns_its_tables_and_its_place_in_the_log() {
    let room = room();
    let rows = room
        .query("SELECT p.id, name AS called, raw, by + 1 FROM people AS p, NOTES")
        .unwrap();
    let columns: Vec<_> = rows
        .columns
        .iter()
        .map(|one| (&*one.name, one.kind.as_deref()))
        .collect();
    let wanted = [
        ("id", Some("INTEGER")),
        ("called", Some("TEXT")),
        ("raw", Some("BLOB")),
        ("by + 1", None),
    ];
    assert_eq!(columns, wanted);
    assert_eq!(rows.tables, ["Notes".into(), "people".into()]);
    assert_eq!((rows.applied, rows.count, rows.truncated), (7, 6, false));
    let none = room.query("SELECT 1").unwrap();
    assert!(none.tables.is_empty());
    // A table is read although no column of it is.
    let counted = room.query("SELECT EXISTS (SELECT 1 FROM people)").unwrap();
    assert_eq!(counted.tables, ["people".into()]);
}

#[test]
fn parameters_stand_for_values_alone() {
    let room = room();
    let limits = SqlLimits::default();
    let positional = |values: &[Value]| Params::Positional(values.to_vec());
    let text = |text: &str| Value::Text(text.into());
    let hostile = text("x' OR 1=1 --");
    let sql = "SELECT count(*) AS n FROM people WHERE name = ? OR id = ?";
    let rows = ask(
        &room,
        sql,
        &positional(&[hostile, Value::Integer(2)]),
        &limits,
    )
    .unwrap();
    assert_eq!(rows.data, br#"[{"n":1}]"#);
    let named = |names: &[(&str, Value)]| {
        Params::Named(Row(names
            .iter()
            .map(|(name, value)| ((*name).into(), value.clone()))
            .collect()))
    };
    let sql = "SELECT :a || $b || @c || :a AS t";
    let given = named(&[("a", text("1")), ("$b", text("2")), ("c", text("3"))]);
    assert_eq!(
        ask(&room, sql, &given, &limits).unwrap().data,
        br#"[{"t":"1231"}]"#
    );
    for (sql, params) in [
        ("SELECT ?", positional(&[])),
        ("SELECT ?", positional(&[Value::Null, Value::Null])),
        ("SELECT :a", named(&[("b", Value::Null)])),
        (
            "SELECT :a",
            named(&[("a", Value::Null), ("b", Value::Null)]),
        ),
    ] {
        let error = ask(&room, sql, &params, &limits).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest, "{sql}: {error}");
    }
}

/// SQL that wants more than to read the room's tables.
const HOSTILE: &[&str] = &[
    // What is no statement, or several.
    "",
    ";",
    "-- nothing",
    "SELEC 1",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM people",
    "SELECT 1;;DROP TABLE people",
    "SELECT 1\0; DELETE FROM people",
    // Statements that write, plainly or in disguise.
    "DELETE FROM people",
    "UPDATE people SET name = 'x'",
    "INSERT INTO people DEFAULT VALUES",
    "REPLACE INTO people (id) VALUES (1)",
    "INSERT INTO people (name) VALUES ('x') RETURNING id",
    "WITH x AS (SELECT 1) DELETE FROM people",
    "WITH x AS (SELECT 1) DELETE FROM people RETURNING id",
    "WITH x AS (SELECT 1) INSERT INTO people (name) SELECT 'x'",
    "WITH x AS (SELECT 1) UPDATE people SET name = 'x' RETURNING *",
    "EXPLAIN DELETE FROM people",
    "EXPLAIN QUERY PLAN DELETE FROM people",
    "EXPLAIN SELECT 1",
    "DROP TABLE people",
    "ALTER TABLE people RENAME TO other",
    "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE TRIGGER t AFTER INSERT ON people BEGIN SELECT 1; END",
    "CREATE INDEX i ON people (raw)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON people BEGIN DELETE FROM people; END",
    "REINDEX",
    "ANALYZE",
    "VACUUM",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "RELEASE a",
    "END",
    // Other files.
    "ATTACH DATABASE ':memory:' AS other",
    "ATTACH '/tmp/x.sqlite' AS x",
    "DETACH main",
    "VACUUM INTO '/tmp/floe-stolen.sqlite'",
    "SELECT * FROM other.people",
    "SELECT * FROM temp.x",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/floe-stolen', 'x')",
    "SELECT load_extension('x')",
    "SELECT load_extension('x', 'y')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT edit('x')",
    "SELECT sqlite_log(1, 'x')",
    "SELECT sqlite_source_id()",
    "SELECT * FROM fsdir('/')",
    "SELECT * FROM csv('/etc/passwd')",
    "CREATE VIRTUAL TABLE temp.x USING fts5(a)",
    "CREATE VIRTUAL TABLE x USING dbstat",
    "CREATE VIRTUAL TABLE x USING rtree(a, b, c)",
    "SELECT rtreecheck('people')",
    // Settings.
    "PRAGMA writable_schema = ON",
    "PRAGMA writable_schema",
    "PRAGMA query_only = 0",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 9",
    "PRAGMA database_list",
    "PRAGMA temp_store_directory = '/tmp'",
    "PRAGMA wal_checkpoint",
    "PRAGMA optimize",
    "PRAGMA integrity_check",
    "PRAGMA table_list",
    "PRAGMA function_list",
    "PRAGMA module_list",
    "PRAGMA index_list(people)",
    "PRAGMA compile_options",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA cache_size = 1000000",
    "PRAGMA mmap_size = 1000000",
    "PRAGMA trusted_schema = ON",
    "SELECT * FROM pragma_database_list",
    "SELECT file FROM pragma_database_list()",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT * FROM pragma_table_list",
    "SELECT * FROM pragma_function_list",
    "SELECT * FROM pragma_compile_options",
    // What the file has beside the room's tables.
    "SELECT * FROM _floe_state",
    "SELECT 1 FROM _floe_state",
    "SELECT count(*) FROM _floe_versions",
    "SELECT * FROM main._floe_tables",
    "SELECT * FROM \"_floe_usage\"",
    "SELECT * FROM [_FLOE_STATE]",
    "SELECT (SELECT value FROM _floe_state LIMIT 1)",
    "SELECT * FROM people, _floe_state",
    "SELECT name FROM people WHERE id IN (SELECT seq FROM _floe_versions)",
    "WITH c AS (SELECT * FROM _floe_state) SELECT 1 FROM c",
    "SELECT _floe_state.value FROM people",
    "SELECT * FROM sqlite_schema",
    "SELECT count(*) FROM sqlite_master",
    "SELECT 1 FROM sqlite_schema",
    "SELECT sql FROM main.sqlite_master",
    "SELECT * FROM sqlite_temp_schema",
    "SELECT * FROM sqlite_sequence",
    "SELECT * FROM sqlite_stat1",
    "SELECT * FROM dbstat",
    "SELECT count(*) FROM dbstat",
    "SELECT 1 FROM dbstat('main')",
    "SELECT * FROM sqlite_dbpage",
    "SELECT * FROM bytecode('SELECT 1')",
    "SELECT count(*) FROM fts3tokenize",
    // What is not there.
    "SELECT * FROM \"other_room\"",
    "SELECT * FROM 'other_room'",
    "SELECT \"no_column\" FROM people",
    "SELECT missing(1)",
    "SELECT * FROM people WHERE name MATCH 'x'",
    "SELECT name REGEXP 'x' FROM people",
];

#[test]
fn hostile_sql_is_refused_and_leaves_nothing() {
    let room = room();
    let before = dump(&room.folder, ROOM);
    let mut reader = room.reader();
    let path = room.folder.file(ROOM);
    let folder = path.parent().unwrap().to_str().unwrap();
    for sql in HOSTILE {
        let answer = reader.query(sql, &Params::default(), &SqlLimits::default());
        let Err(error) = answer else {
            panic!("{sql} was answered: {answer:?}");
        };
        assert_eq!(error.code, Code::SqlRejected, "{sql}: {error}");
        assert!(!error.message.contains(folder), "{sql}: {error}");
        // What a file has beside the tables is as if it were not there.
        let named = error.message.to_lowercase().contains("_floe");
        assert!(
            !named || error.message.starts_with("no such"),
            "{sql}: {error}"
        );
        // The reader goes on.
        let next = reader.query(
            "SELECT count(*) AS n FROM people",
            &Params::default(),
            &SqlLimits::default(),
        );
        assert_eq!(next.unwrap().data, br#"[{"n":3}]"#, "{sql}");
    }
    assert_eq!(dump(&room.folder, ROOM), before);
    assert!(!std::path::Path::new("/tmp/floe-stolen.sqlite").exists());
    assert!(!std::path::Path::new("/tmp/floe-stolen").exists());
}

#[test]
fn hidden_tables_answer_as_tables_that_are_not_there() {
    let room = room();
    for (hidden, missing) in [
        (
            "SELECT * FROM pragma_table_info('_floe_state')",
            "SELECT * FROM pragma_table_info('_none')",
        ),
        (
            "SELECT * FROM pragma_table_info('sqlite_schema')",
            "SELECT * FROM pragma_table_info('none')",
        ),
    ] {
        assert_eq!(room.ask(hidden), "[]", "{hidden}");
        assert_eq!(room.ask(missing), "[]", "{missing}");
    }
    let refused = |sql| room.query(sql).unwrap_err().message;
    assert_eq!(
        refused("PRAGMA table_info(_floe_state)"),
        refused("PRAGMA table_info(_none)")
    );
    let hidden = room.query("SELECT * FROM _floe_state").unwrap_err();
    let missing = room.query("SELECT * FROM _none").unwrap_err();
    assert_eq!(hidden.message, "no such table: _floe_state");
    assert_eq!(missing.message, "no such table: _none");
}

/// SQL that would never end, or need more than there is.
#[test]
fn what_never_ends_is_stopped_at_its_time() {
    let room = room();
    let limits = SqlLimits {
        timeout_ms: 200,
        ..SqlLimits::default()
    };
    for sql in [
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT count(*) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x FROM c WHERE x > 1",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 1000)
         SELECT count(*) FROM c a, c b, c d, c e",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 100000)
         SELECT max(length(replace(hex(randomblob(500000)), '0', x))) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)
         SELECT count(*) FROM c WHERE hex(randomblob(100000)) LIKE '%x%y%z%'",
    ] {
        let started = Instant::now();
        let error = ask(&room, sql, &Params::default(), &limits).unwrap_err();
        assert_eq!(error.code, Code::QueryTimeout, "{sql}: {error}");
        assert!(started.elapsed() < Duration::from_secs(20), "{sql}");
    }
    room.query("SELECT 1").unwrap();
}

/// One step of SQLite's machine cannot be stopped, so none may take long.
#[test]
fn functions_of_long_texts_are_quick() {
    let room = room();
    let long = "replace(hex(zeroblob(500000)), '0', 'a')";
    let limits = SqlLimits {
        timeout_ms: 60_000,
        ..SqlLimits::default()
    };
    for sql in [
        format!("SELECT length(ltrim({long}, hex(zeroblob(400000)) || 'a')) AS n"),
        format!("SELECT length(trim({long}, {long} || 'b')) AS n"),
        format!("SELECT instr({long}, substr({long}, 1, 500000) || 'b') AS n"),
        format!(
            "SELECT length(replace({long}, substr({long}, 1, 500000) || 'b', '')) - 1000000 AS n"
        ),
        format!("SELECT {long} LIKE '%{}b' AS n", "a%".repeat(100)),
    ] {
        let started = Instant::now();
        let rows = ask(&room, &sql, &Params::default(), &limits).unwrap();
        assert_eq!(rows.data, br#"[{"n":0}]"#, "{sql}");
        assert!(started.elapsed() < Duration::from_secs(20), "{sql}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let room = room();
    let limits = SqlLimits {
        temporary_bytes_max: 32 << 20,
        timeout_ms: 60_000,
        ..SqlLimits::default()
    };
    for sql in [
        "SELECT zeroblob(1000000000)",
        "SELECT randomblob(1000000000)",
        "SELECT printf('%.*c', 100000000, 'x')",
        "SELECT hex(zeroblob(2000000))",
        "WITH RECURSIVE c(x) AS (SELECT 'a' UNION ALL SELECT x||x FROM c) SELECT max(length(x)) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000)
         SELECT group_concat(hex(randomblob(500))) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 3000)
         SELECT json_group_array(hex(randomblob(500))) FROM c",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)
         SELECT randomblob(10000) AS b FROM c ORDER BY b",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c)
         SELECT DISTINCT randomblob(10000) AS b FROM c LIMIT 1 OFFSET 1000000",
        "WITH RECURSIVE c(x, b) AS (SELECT 1, randomblob(9000) UNION SELECT x+1, randomblob(9000) FROM c)
         SELECT count(*) FROM c",
    ] {
        let error = ask(&room, sql, &Params::default(), &limits).unwrap_err();
        assert_eq!(error.code, Code::QueryTooLarge, "{sql}: {error}");
    }
    for (part, sql) in [
        ("SELECT 1 UNION ALL ", "SELECT 1"),
        ("(", "1"),
        ("1+", "1"),
        ("SELECT * FROM (", "SELECT 1"),
    ] {
        let sql = format!("SELECT {}{sql}", part.repeat(9_000 / part.len()));
        let error = room.query(&sql).unwrap_err();
        assert_eq!(error.code, Code::SqlRejected, "{part}: {error}");
    }
    let long = format!("SELECT '{}'", "x".repeat(10_000));
    assert_eq!(room.query(&long).unwrap_err().code, Code::SqlRejected);
}

#[test]
fn sql_that_doubles_itself_is_stopped() {
    let room = room();
    let mut sql = "WITH c0 AS (SELECT 1 AS x)".to_owned();
    for at in 1..40 {
        sql.push_str(&format!(
            ", c{at} AS (SELECT a.x FROM c{0} a, c{0} b)",
            at - 1
        ));
    }
    sql.push_str(" SELECT count(*) FROM c39");
    let limits = SqlLimits {
        timeout_ms: 500,
        ..SqlLimits::default()
    };
    let started = Instant::now();
    let answer = ask(&room, &sql, &Params::default(), &limits);
    assert!(started.elapsed() < Duration::from_secs(20));
    let answer = answer.map_err(|error| error.code);
    assert!(matches!(
        answer,
        Ok(_) | Err(Code::SqlRejected | Code::QueryTimeout | Code::QueryTooLarge)
    ));
    let many = "SELECT 1; ".repeat(990);
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let mut reader = room.reader();
    let ask = move || {
        let answer = reader.query(&many, &Params::default(), &SqlLimits::default());
        answer.unwrap_err().code
    };
    std::thread::scope(|scope| {
        let asked = small.spawn_scoped(scope, ask);
        assert_eq!(asked.unwrap().join().unwrap(), Code::SqlRejected);
    });
}

#[test]
fn an_answer_ends_at_its_rows_and_bytes() {
    let room = room();
    let many =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c LIMIT 100) SELECT x FROM c";
    let rows = |rows_max, bytes_max| {
        let limits = SqlLimits {
            rows_max,
            bytes_max,
            ..SqlLimits::default()
        };
        ask(&room, many, &Params::default(), &limits).unwrap()
    };
    let answer = rows(2, 1000);
    assert_eq!(
        (answer.data.as_slice(), answer.truncated),
        (&br#"[{"x":1},{"x":2}]"#[..], true)
    );
    let answer = rows(100, 10_000);
    assert_eq!((answer.count, answer.truncated), (100, false));
    let answer = rows(100, 30);
    assert!(
        answer.truncated && answer.data.len() <= 31,
        "{}",
        answer.data.len()
    );
    assert!(serde_json::from_slice::<serde_json::Value>(&answer.data).is_ok());
    assert_eq!(rows(100, 1).data, b"[]");
}

#[test]
fn a_query_sees_one_moment_and_never_stands_in_the_writers_way() {
    let mut room = room();
    let mut reader = room.reader();
    let count = |reader: &mut floe_views::tables::RoomReader| {
        let sql = "SELECT count(*) AS n FROM people";
        let rows = reader
            .query(sql, &Params::default(), &SqlLimits::default())
            .unwrap();
        (String::from_utf8(rows.data).unwrap(), rows.applied)
    };
    assert_eq!(count(&mut reader), (r#"[{"n":3}]"#.to_owned(), 7));
    room.file.begin().unwrap();
    let call = floe_proto::table::Call {
        mutations: vec![crate::common::insert("people", r#"[{"name":"zoe"}]"#)],
        ..Default::default()
    };
    room.file.run(&call, room.now, &mut room.log).unwrap();
    // What is not durable yet is not there for readers.
    assert_eq!(count(&mut reader), (r#"[{"n":3}]"#.to_owned(), 7));
    room.file.commit().unwrap();
    assert_eq!(count(&mut reader), (r#"[{"n":4}]"#.to_owned(), 8));
    room.call(vec![floe_proto::table::Mutation::DropTable {
        table: "people".into(),
    }])
    .unwrap();
    let gone = reader.query(
        "SELECT * FROM people",
        &Params::default(),
        &SqlLimits::default(),
    );
    assert_eq!(gone.unwrap_err().message, "no such table: people");
}
