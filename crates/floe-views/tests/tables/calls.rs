//! Calls: what they do, and the messages that say so.

use floe_proto::Code;
use floe_proto::table::{Call, Mutation, OnConflict, Place, Precondition, Value};

use crate::common::{Room, insert, row};

const PEOPLE: &str = r#"{"name":"people","columns":[
    {"name":"id","type":"INTEGER","primaryKey":true},
    {"name":"mail","type":"TEXT","unique":true},
    {"name":"age","type":"INTEGER","notNull":true,"default":1},
    {"name":"is_in","type":"BOOLEAN"}]}"#;

#[test]
fn a_call_leaves_rows_and_messages_that_say_so() {
    let mut room = Room::new();
    room.create(PEOPLE);
    let applied = room
        .insert("people", r#"[{"mail":"a@b"},{"id":9,"age":2}]"#)
        .unwrap();
    assert_eq!((applied.first_seq, applied.count), (2, 2));
    assert_eq!(applied.results[0].rows, 2);
    let update = Mutation::Update {
        table: "people".into(),
        place: Place::Key(vec![Value::Integer(9)]),
        values: row(r#"{"mail":"c@d"}"#),
    };
    let applied = room.call(vec![update]).unwrap();
    assert_eq!(applied.results[0].key.as_deref(), Some("9"));
    let messages = room.messages(4);
    assert_eq!(
        messages[0].to_string(),
        r#"{"headers":{"operation":"update","timestamp":"2026-01-01T00:00:00.003Z","txid":"4","user":"ann"},"key":"9","old_value":{"age":2,"id":9,"is_in":null,"mail":null},"type":"people","value":{"age":2,"id":9,"is_in":null,"mail":"c@d"}}"#
    );
    assert_eq!(
        room.ask("SELECT id, mail, age FROM people ORDER BY id"),
        r#"[{"id":1,"mail":"a@b","age":1},{"id":9,"mail":"c@d","age":2}]"#
    );
}

#[test]
fn a_broken_rule_names_its_column_and_leaves_nothing() {
    let mut room = Room::new();
    room.create(PEOPLE);
    room.insert("people", r#"[{"id":1,"mail":"a"}]"#).unwrap();
    for (rows, column) in [
        (r#"[{"id":2},{"mail":"a"}]"#, "mail"),
        (r#"[{"id":2},{"id":1}]"#, "id"),
        (r#"[{"id":2},{"age":null}]"#, "age"),
        (r#"[{"id":2},{"age":"old"}]"#, "age"),
        (r#"[{"id":2},{"is_in":2}]"#, "is_in"),
        (r#"[{"id":2},{"id":"x"}]"#, "id"),
    ] {
        let error = room.insert("people", rows).unwrap_err();
        assert_eq!(error.code, Code::Constraint, "{rows}: {error}");
        assert_eq!(error.column.as_deref(), Some(column), "{rows}: {error}");
        assert_eq!(error.row, Some(1), "{rows}: {error}");
    }
    assert_eq!(room.log.len(), 2);
    assert_eq!(room.ask("SELECT count(*) AS n FROM people"), r#"[{"n":1}]"#);
}

#[test]
fn a_row_changes_only_from_the_version_that_is_asked_for() {
    let mut room = Room::new();
    room.create(PEOPLE);
    room.insert("people", r#"[{"id":5}]"#).unwrap();
    let call = |key: i64, version: u64, rows: &str| Call {
        preconditions: vec![Precondition {
            table: "people".into(),
            key: vec![Value::Integer(key)],
            version,
        }],
        mutations: vec![insert("people", rows)],
        ..Call::default()
    };
    for (key, version) in [(5, 0), (5, 1), (5, 3), (6, 2)] {
        let error = room.run(&call(key, version, "[{}]")).unwrap_err();
        assert_eq!(error.code, Code::PreconditionFailed, "{key} {version}");
    }
    assert_eq!(room.run(&call(5, 2, "[{}]")).unwrap().first_seq, 3);
    assert_eq!(room.run(&call(9, 0, "[{}]")).unwrap().first_seq, 4);
}

#[test]
fn a_batch_is_all_or_nothing_unless_it_is_each_for_itself() {
    let mut room = Room::new();
    room.create(PEOPLE);
    let rows = r#"[{"id":1,"mail":"a"},{"mail":"a"},{"none":1},{"id":3}]"#;
    assert_eq!(room.insert("people", rows).unwrap_err().row, Some(1));
    let each = Mutation::Insert {
        table: "people".into(),
        rows: serde_json::from_str(rows).unwrap(),
        on_conflict: OnConflict::Fail,
        each: true,
    };
    let applied = room.call(vec![each]).unwrap();
    let result = &applied.results[0];
    assert_eq!((applied.count, result.rows), (2, 2));
    let failed: Vec<_> = result
        .failed
        .iter()
        .map(|one| (one.row, one.code))
        .collect();
    assert_eq!(
        failed,
        [(Some(1), Code::Constraint), (Some(2), Code::InvalidRequest)]
    );
    // A number that was given out once is not given out again.
    let delete = Mutation::Delete {
        table: "people".into(),
        place: Place::Key(vec![Value::Integer(3)]),
    };
    room.call(vec![delete]).unwrap();
    let applied = room.insert("people", "[{}]").unwrap();
    assert_eq!(applied.results[0].key.as_deref(), Some("4"));
}

#[test]
fn tasks_and_buffered_values_have_tables_when_they_are_needed() {
    let mut room = Room::new();
    let task = |title: &str| Mutation::CreateTask {
        title: title.into(),
    };
    for title in ["", "  ", &"x".repeat(501)] {
        let error = room.call(vec![task(title)]).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest);
    }
    let none = room.call(vec![Mutation::CompleteTask { id: 1 }]);
    assert_eq!(none.unwrap_err().code, Code::NotFound);
    let made = room.call(vec![task(" milk ")]).unwrap();
    assert_eq!((made.count, made.schema_changed), (2, true));
    room.call(vec![Mutation::CompleteTask { id: 1 }]).unwrap();
    assert_eq!(
        room.ask("SELECT * FROM tasks"),
        r#"[{"id":1,"title":"milk","status":"completed"}]"#
    );
    for (id, code) in [(0, Code::InvalidRequest), (2, Code::NotFound)] {
        let error = room.call(vec![Mutation::DeleteTask { id }]).unwrap_err();
        assert_eq!(error.code, code);
    }
    let flush = |value: &str| Mutation::Flush(vec![("slider".into(), value.into())]);
    assert_eq!(room.call(vec![flush("1")]).unwrap().count, 2);
    assert_eq!(room.call(vec![flush("1")]).unwrap().count, 0);
    assert_eq!(room.call(vec![flush("2")]).unwrap().count, 1);
    let error = room.call(vec![flush("no json")]).unwrap_err();
    assert_eq!(error.column.as_deref(), Some("value"));
}

#[test]
fn a_rule_goes_with_a_column_that_is_named_anew() {
    let mut room = Room::new();
    room.create(PEOPLE);
    let alter = |table: &str, step: &str| Mutation::AlterTable {
        table: table.into(),
        steps: vec![serde_json::from_str(step).unwrap()],
    };
    for (table, step) in [
        ("people", r#"{"renameColumn":{"from":"is_in","to":"here"}}"#),
        ("people", r#"{"renameColumn":{"from":"mail","to":"post"}}"#),
        ("people", r#"{"renameTable":"folk"}"#),
    ] {
        room.call(vec![alter(table, step)]).unwrap();
    }
    room.insert("folk", r#"[{"post":"a"}]"#).unwrap();
    for (rows, column) in [(r#"[{"here":7}]"#, "here"), (r#"[{"post":"a"}]"#, "post")] {
        let error = room.insert("folk", rows).unwrap_err();
        assert_eq!(error.code, Code::Constraint);
        assert_eq!(error.column.as_deref(), Some(column), "{error}");
    }
    for step in [r#"{"dropColumn":"id"}"#, r#"{"dropColumn":"none"}"#] {
        let error = room.call(vec![alter("folk", step)]).unwrap_err();
        assert_eq!(error.code, Code::InvalidRequest, "{step}");
    }
    assert_eq!(
        room.insert("people", "[{}]").unwrap_err().code,
        Code::NotFound
    );
}

#[test]
fn rows_that_are_there_have_the_default_of_a_new_column() {
    let mut room = Room::new();
    room.create(PEOPLE);
    room.insert("people", "[{}]").unwrap();
    for default in ["-9223372036854775808", "9223372036854775807", "-1"] {
        let name = format!("c{}", room.log.len());
        let json =
            format!(r#"{{"addColumn":{{"name":"{name}","type":"INTEGER","default":{default}}}}}"#);
        let alter = Mutation::AlterTable {
            table: "people".into(),
            steps: vec![serde_json::from_str(&json).unwrap()],
        };
        room.call(vec![alter]).unwrap();
        let told = room.ask(&format!("SELECT {name} AS n FROM people"));
        assert_eq!(told, format!(r#"[{{"n":{default}}}]"#));
    }
}
