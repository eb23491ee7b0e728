//! The log is the truth: whatever calls make of a file, its messages make of an empty one.

use std::collections::BTreeMap;

use floe_proto::table::{
    Alteration, Call, ColumnType, Mutation, OnConflict, Params, Place, Precondition, Row, Table,
    Value,
};
use floe_proto::{Millis, RoomId};
use floe_views::tables::{
    Messages, RoomFile, RoomReader, Snapshot, SqlLimits, TableFolder, TableOptions,
};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::common::{ROOM, START, table};

/// All that a file says, in one text: what its tables are, their rows with their numbers, and what it
/// has beside them.
pub fn dump(folder: &TableFolder, room: RoomId) -> String {
    let db = rusqlite::Connection::open(folder.file(room)).unwrap();
    let list = |sql: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        let count = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..count).map(|at| format!("{:?}", row.get_ref(at).unwrap()));
            Ok(values.collect::<Vec<_>>().join(" | "))
        });
        rows.unwrap().map(Result::unwrap).collect()
    };
    let mut text = list("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").join("\n");
    let names: Vec<String> = db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    for name in names {
        let all = match db.prepare(&format!("SELECT _rowid_ FROM \"{name}\"")) {
            Ok(_) => "_rowid_, *",
            Err(_) => "*",
        };
        let rows = match &*name {
            "_floe_state" => list("SELECT * FROM _floe_state WHERE name = 'applied'"),
            name => {
                let mut rows = list(&format!("SELECT {all} FROM \"{name}\""));
                rows.sort();
                rows
            }
        };
        text.push_str(&format!("\n{name}:\n{}", rows.join("\n")));
    }
    text
}

const NAMES: [&str; 3] = ["a", "Bee", "c_c"];
const COLUMNS: [&str; 6] = ["id", "x", "Y", "z", "w", "no"];
const SHAPES: [&str; 7] = [
    r#"[{"name":"id","type":"INTEGER","primaryKey":true},{"name":"x","type":"TEXT","unique":true},
        {"name":"Y","type":"REAL","default":1}]"#,
    r#"[{"name":"id","type":"TEXT","primaryKey":true},{"name":"x","type":"ANY","default":"it's"}]"#,
    r#"[{"name":"x","type":"INTEGER"},{"name":"Y","type":"JSON","default":"{}"}]"#,
    r#"[{"name":"x","type":"INTEGER","primaryKey":true},{"name":"id","type":"REAL","primaryKey":true},
        {"name":"z","type":"BOOLEAN","notNull":true,"default":true}]"#,
    r#"[{"name":"id","type":"BLOB","primaryKey":true},{"name":"z","type":"BLOB","unique":true}]"#,
    r#"[{"name":"z","type":"ANY","unique":true},{"name":"w","type":"REAL","default":-0.1}]"#,
    r#"[{"name":"id","type":"REAL","primaryKey":true,"unique":true},{"name":"w","type":"INTEGER"}]"#,
];

fn value() -> impl Strategy<Value = Value> {
    let text = |text: &str| Value::Text(text.into());
    prop_oneof![
        6 => select(vec![0, 1, 2, 3, 4, -5, 7, 1 << 60]).prop_map(Value::Integer),
        2 => select(vec![0.1, 1.0, -0.0, 1e300, 5e-324, 9_007_199_254_740_993.0, 0.1 + 0.2])
            .prop_map(Value::Real),
        2 => any::<f64>().prop_filter("finite", |real| real.is_finite()).prop_map(Value::Real),
        4 => select(vec![
            text(""), text("a"), text("b"), text("1"), text("é\0x"), text("1e0"),
            text(r#"{"a":[1]}"#), text("\"q\\'"),
        ]),
        1 => "\\PC{0,8}".prop_map(|text| Value::Text(text.into())),
        2 => select(vec![vec![], vec![0], vec![1, 255]]).prop_map(|bytes| Value::Blob(bytes.into())),
        1 => Just(Value::Null),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let column = select(COLUMNS[..5].to_vec());
    prop::collection::btree_map(column, value(), 0..4).prop_map(|values| {
        let values = values.into_iter();
        Row(values.map(|(name, value)| (name.into(), value)).collect())
    })
}

fn name() -> impl Strategy<Value = Box<str>> {
    select(NAMES.to_vec()).prop_map(Into::into)
}

fn step() -> impl Strategy<Value = Alteration> {
    let column = || select(COLUMNS.to_vec()).prop_map(Box::<str>::from);
    let kinds = select(vec![
        "INTEGER", "TEXT", "REAL", "JSON", "BOOLEAN", "ANY", "BLOB",
    ]);
    let defaults = select(vec![
        "",
        r#","default":1"#,
        r#","default":"1""#,
        r#","notNull":true,"default":0"#,
    ]);
    prop_oneof![
        3 => (column(), kinds, defaults, any::<bool>()).prop_map(|(name, kind, default, unique)| {
            let json = format!(r#"{{"name":"{name}","type":"{kind}","unique":{unique}{default}}}"#);
            Alteration::AddColumn(serde_json::from_str(&json).unwrap())
        }),
        2 => column().prop_map(Alteration::DropColumn),
        2 => (column(), column()).prop_map(|(from, to)| Alteration::RenameColumn { from, to }),
        1 => name().prop_map(Alteration::RenameTable),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        4 => prop::collection::vec(value(), 1..3).prop_map(Place::Key),
        1 => row().prop_map(Place::Named),
        3 => row().prop_map(Place::Where),
    ]
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let conflict = select(vec![OnConflict::Fail, OnConflict::Update]);
    prop_oneof![
        4 => (name(), select(SHAPES.to_vec())).prop_map(|(name, columns)| {
            Mutation::CreateTable(self::table(&format!(r#"{{"name":"{name}","columns":{columns}}}"#)))
        }),
        2 => (name(), prop::collection::vec(step(), 1..3))
            .prop_map(|(table, steps)| Mutation::AlterTable { table, steps }),
        1 => name().prop_map(|table| Mutation::DropTable { table }),
        14 => (name(), prop::collection::vec(row(), 1..4), conflict, any::<bool>())
            .prop_map(|(table, rows, on_conflict, each)| Mutation::Insert {
                table, rows, on_conflict, each,
            }),
        7 => (name(), place(), row())
            .prop_map(|(table, place, values)| Mutation::Update { table, place, values }),
        3 => (name(), place()).prop_map(|(table, place)| Mutation::Delete { table, place }),
        2 => prop::collection::vec(("[ab]", select(vec!["1", "{}", "nope"])), 1..3)
            .prop_map(|all| Mutation::Flush(
                all.into_iter().map(|(key, value)| (key.into(), value.into())).collect()
            )),
        1 => select(vec!["", " milk ", "bread"])
            .prop_map(|title| Mutation::CreateTask { title: title.into() }),
        1 => (0..4_i64).prop_map(|id| Mutation::CompleteTask { id }),
        1 => (0..4_i64).prop_map(|id| Mutation::DeleteTask { id }),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    let precondition = (name(), value(), 0..6_u64).prop_map(|(table, key, version)| Precondition {
        table,
        key: vec![key],
        version,
    });
    (
        prop::collection::vec(mutation(), 1..3),
        prop::option::weighted(0.1, precondition),
        prop::option::of(Just("tx \"1\"")),
    )
        .prop_map(|(mutations, precondition, txid)| Call {
            preconditions: precondition.into_iter().collect(),
            mutations,
            txid: txid.map(Into::into),
            user: Some("ann".into()),
        })
}

/// Applies messages in pieces, some of which the file has already.
fn apply(file: &mut RoomFile, log: &Messages, from: usize, piece: usize) {
    let ends: Vec<usize> = log
        .lens
        .iter()
        .scan(0, |end, len| {
            *end += *len as usize;
            Some(*end)
        })
        .collect();
    let start = |at: usize| if at == 0 { 0 } else { ends[at - 1] };
    let mut at = from;
    while at < ends.len() {
        let end = (at + piece).min(ends.len());
        let again = at.saturating_sub(1);
        file.apply(again as u64 + 1, &log.bytes[start(again)..start(end)])
            .unwrap();
        at = end;
        assert_eq!(file.applied(), at as u64);
    }
}

fn open(folder: &TableFolder, tail: u64) -> RoomFile {
    RoomFile::open(folder, ROOM, tail, &TableOptions::default()).unwrap()
}

/// What the messages alone say that the rows of each table are, by their keys.
fn rows_of(log: &Messages) -> BTreeMap<(String, String), serde_json::Value> {
    let text = format!(
        "[{}]",
        std::str::from_utf8(&log.bytes)
            .unwrap()
            .trim_end_matches(',')
    );
    let messages: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let mut rows = BTreeMap::new();
    for message in messages {
        let word = |name: &str| message[name].as_str().unwrap().to_owned();
        let id = (word("type"), word("key"));
        match message["headers"]["operation"].as_str().unwrap() {
            "delete" => {
                assert!(rows.remove(&id).is_some(), "{message}");
                if id.0 == "__schema__" {
                    rows.retain(|(table, _), _| *table != id.1);
                }
            }
            "insert" => {
                assert!(
                    rows.insert(id, message["value"].clone()).is_none(),
                    "{message}"
                );
            }
            _ => {
                let old = rows.insert(id, message["value"].clone());
                assert_eq!(old.as_ref(), Some(&message["old_value"]));
            }
        }
    }
    rows
}

/// Makes most rows and keys such that the tables that are there can take them.
fn fit(call: &Call, schema: &[Table], seed: u64) -> Call {
    let mut call = call.clone();
    let mut seed = seed;
    for mutation in &mut call.mutations {
        let mut fit_row = |row: &mut Row, name: &str| {
            let table = schema.iter().find(|table| *table.name == *name);
            let Some(table) = table.filter(|_| !next(&mut seed).is_multiple_of(10)) else {
                return;
            };
            row.0
                .retain(|(name, _)| table.columns.iter().any(|column| column.name == *name));
            for column in &table.columns {
                let given = row.0.iter_mut().find(|(name, _)| *name == column.name);
                match given {
                    Some((_, value)) => fit_value(value, column.kind, next(&mut seed)),
                    None if next(&mut seed).is_multiple_of(3) || column.primary_key => {
                        let mut value = Value::Null;
                        fit_value(&mut value, column.kind, next(&mut seed));
                        row.0.push((column.name.clone(), value));
                    }
                    None => {}
                }
            }
        };
        match mutation {
            Mutation::Insert { table, rows, .. } => {
                rows.iter_mut().for_each(|row| fit_row(row, table));
            }
            Mutation::Update {
                table,
                place,
                values,
            } => {
                fit_row(values, table);
                fit_place(place, table, schema, &mut seed);
            }
            Mutation::Delete { table, place } => fit_place(place, table, schema, &mut seed),
            Mutation::CreateTable(_)
            | Mutation::AlterTable { .. }
            | Mutation::DropTable { .. }
            | Mutation::Flush(_)
            | Mutation::CreateTask { .. }
            | Mutation::CompleteTask { .. }
            | Mutation::DeleteTask { .. } => {}
        }
    }
    call
}

fn fit_place(place: &mut Place, table: &str, schema: &[Table], seed: &mut u64) {
    let Some(table) = schema.iter().find(|known| *known.name == *table) else {
        return;
    };
    let column = &table.columns[next(seed) as usize % table.columns.len()];
    let keys = table.columns.iter().filter(|column| column.primary_key);
    let mut of = |kind| {
        let mut value = Value::Null;
        fit_value(&mut value, kind, next(seed));
        value
    };
    match place {
        Place::Key(key) => {
            *key = keys.map(|column| of(column.kind)).collect();
            if key.is_empty() {
                key.push(of(ColumnType::Integer));
            }
        }
        Place::Named(row) => {
            row.0 = keys
                .map(|column| (column.name.clone(), of(column.kind)))
                .collect();
        }
        Place::Where(row) => row.0 = vec![(column.name.clone(), of(column.kind))],
    }
}

fn fit_value(value: &mut Value, kind: ColumnType, seed: u64) {
    let small = (seed / 16 % 6) as i64;
    if seed.is_multiple_of(16) {
        return;
    }
    *value = match kind {
        ColumnType::Integer => Value::Integer(small),
        ColumnType::Boolean => Value::Integer(small % 2),
        ColumnType::Real if matches!(value, Value::Real(_)) && seed % 16 < 8 => return,
        ColumnType::Real => Value::Real(small as f64 / 10.0),
        ColumnType::Text => Value::Text(format!("t{small}").into()),
        ColumnType::Json => Value::Text(format!("[{small}]").into()),
        ColumnType::Blob => Value::Blob([small as u8].into()),
        ColumnType::Any => return,
    };
}

fn next(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_file_made_from_the_log_is_the_file_that_calls_made(
        shapes in prop::collection::vec(select(SHAPES.to_vec()), NAMES.len()),
        batches in prop::collection::vec((prop::collection::vec(call(), 1..4), 0..10_u8), 1..40),
        seed in any::<u64>(),
        snapshot_at in any::<Index>(),
        piece in 1..9_usize,
    ) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = |name: &str| TableFolder::new(temporary.path().join(name));
        let written = folder("written");
        let mut file = open(&written, 0);
        let (mut log, mut now) = (Messages::default(), START);
        let (snapshot_at, mut seed) = (snapshot_at.index(batches.len()), seed);
        file.begin().unwrap();
        for (name, columns) in NAMES.iter().zip(shapes) {
            let table = self::table(&format!(r#"{{"name":"{name}","columns":{columns}}}"#));
            let mutations = vec![Mutation::CreateTable(table)];
            let call = Call { mutations, ..Call::default() };
            file.run(&call, now, &mut log).unwrap();
        }
        file.commit().unwrap();
        for (number, (calls, fate)) in batches.iter().enumerate() {
            let before = log.clone();
            let schema = file.schema();
            file.begin().unwrap();
            for call in calls {
                let call = &fit(call, &file.schema(), next(&mut seed));
                now = Millis(now.0 + 20_000_000);
                let len = log.len();
                let done = file.run(call, now, &mut log);
                let count = done.as_ref().map_or(0, |applied| applied.count);
                prop_assert_eq!(log.len() - len, count as usize);
                if let Ok(applied) = done {
                    prop_assert_eq!(applied.first_seq, len as u64 + 1);
                    prop_assert_eq!(applied.results.len(), call.mutations.len());
                }
            }
            if *fate == 0 {
                // The log did not take the batch.
                file.rollback();
                log = before;
                prop_assert_eq!(file.schema(), schema);
            } else {
                file.commit().unwrap();
            }
            prop_assert_eq!(file.applied(), log.len() as u64);
            if number == snapshot_at {
                let made = Snapshot::make(&written, ROOM, || true).unwrap();
                made.unwrap().keep().unwrap();
            }
        }
        let tail = log.len() as u64;
        let schema: Vec<Table> = file.schema();
        file.close().unwrap();
        let wanted = dump(&written, ROOM);

        let rebuilt = folder("rebuilt");
        let mut file = open(&rebuilt, tail);
        apply(&mut file, &log, 0, piece);
        prop_assert_eq!(file.schema(), schema.clone());
        file.close().unwrap();
        prop_assert_eq!(dump(&rebuilt, ROOM), wanted.clone());

        std::fs::remove_file(written.file(ROOM)).unwrap();
        let mut file = open(&written, tail);
        let from = file.applied() as usize;
        apply(&mut file, &log, from, piece);
        file.close().unwrap();
        prop_assert_eq!(dump(&written, ROOM), wanted);

        let reader = RoomReader::open(&written, ROOM, &TableOptions::default());
        assert_told(&log, &schema, &mut reader.unwrap());
    }
}

/// Checks that the rows are those that the messages told of, unless tables were altered since.
fn assert_told(log: &Messages, schema: &[Table], reader: &mut RoomReader) {
    if std::str::from_utf8(&log.bytes)
        .unwrap()
        .contains(r#""steps":["#)
    {
        return;
    }
    let told = rows_of(log);
    for table in schema {
        let sql = format!("SELECT * FROM {}", table.name);
        let rows = reader.query(&sql, &Params::default(), &SqlLimits::default());
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&rows.unwrap().data).unwrap();
        let mut found: Vec<String> = rows.iter().map(ToString::to_string).collect();
        let told = told.iter().filter(|((name, _), _)| **name == *table.name);
        let mut told: Vec<String> = told.map(|(_, row)| row.to_string()).collect();
        found.sort();
        told.sort();
        assert_eq!(found, told, "{}", table.name);
    }
}
