//! Calls: what they do, and the messages that say so.

use floe_proto::Code;
use floe_proto::table::{Mutation, Place, Value};

use crate::common::{Room, row};

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
