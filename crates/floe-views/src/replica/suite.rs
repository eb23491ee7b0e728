//! What every target must do, run against each of them.

use std::fmt::Write as _;

use floe_proto::RoomId;

use super::{Applied, Batch, Mode, ReplicaError, ReplicaTarget, RoomKind, RoomRef};

/// A target, and a way to look into it.
pub trait Subject {
    fn target(&mut self) -> &mut dyn ReplicaTarget;
    /// Opens what the target wrote anew, as after a restart.
    fn reopen(&mut self);
    /// Returns `room table key seq row` of all rows of a namespace, then `room seq kind author content`
    /// of all events, in order.
    fn dump(&mut self, namespace: &str) -> Vec<String>;
    /// Returns `room table {definition}` of all tables of a namespace, in order.
    fn tables(&mut self, namespace: &str) -> Vec<String>;
}

const A: RoomRef<'static> = RoomRef {
    namespace: "default",
    room: RoomId(7),
    name: "a",
};
const B: RoomRef<'static> = RoomRef {
    namespace: "default",
    room: RoomId(8),
    name: "b",
};
const OTHER: RoomRef<'static> = RoomRef {
    namespace: "Other.ns",
    room: RoomId(9),
    name: "a",
};
const CHANNEL: RoomRef<'static> = RoomRef {
    namespace: "default",
    room: RoomId(10),
    name: "0123456789ab",
};

pub fn run(subject: &mut dyn Subject) {
    rows_are_as_the_log_says(subject);
    batches_may_come_again(subject);
    gaps_are_refused_and_nothing_of_the_batch_is_there(subject);
    tables_change_with_their_rows(subject);
    a_namespace_is_a_wall(subject);
    rooms_go_and_begin_anew(subject);
    channels_keep_what_is_not_deleted(subject);
    hostile_rows_are_only_rows(subject);
    only_what_is_wanted_stays(subject);
}

fn rows_are_as_the_log_says(subject: &mut dyn Subject) {
    let messages = [
        create(
            "items",
            r#"{"name":"id","type":"INTEGER","primaryKey":true},{"name":"n","type":"REAL"}"#,
        ),
        insert("items", "1", r#"{"id":1,"n":1.0}"#),
        insert("items", "2", r#"{"id":2,"n":0.1}"#),
        update("items", "1", r#"{"id":1,"n":0.30000000000000004}"#),
        delete("items", "2"),
        insert("items", "3", r#"{"id":3,"n":null}"#),
    ];
    let applied = apply(subject, A, 1, &messages).unwrap();
    assert_eq!(applied.messages, 6);
    let expected = [
        r#"a items 1 4 {"id":1,"n":0.30000000000000004}"#,
        r#"a items 3 6 {"id":3,"n":null}"#,
    ];
    assert_eq!(subject.dump("default"), expected);
    assert_eq!(known(subject, A), Some(6));
    subject.reopen();
    assert_eq!(known(subject, A), Some(6));
    assert_eq!(subject.dump("default"), expected);
}

fn batches_may_come_again(subject: &mut dyn Subject) {
    let messages = [
        insert("items", "3", r#"{"id":3,"n":0.5}"#),
        insert("items", "4", r#"{"id":4,"n":4.0}"#),
    ];
    // The first of them was there already, and was something else.
    let applied = apply(subject, A, 6, &messages).unwrap();
    let expected = Applied {
        messages: 1,
        repeated: 1,
        unknown: 0,
    };
    assert_eq!(applied, expected);
    let again = apply(subject, A, 6, &messages).unwrap();
    assert_eq!((again.messages, again.repeated), (0, 2));
    let dump = subject.dump("default");
    assert_eq!(dump.len(), 3, "{dump:?}");
    assert_eq!(dump[1], r#"a items 3 6 {"id":3,"n":null}"#);
    assert_eq!(known(subject, A), Some(7));
}

fn gaps_are_refused_and_nothing_of_the_batch_is_there(subject: &mut dyn Subject) {
    let before = subject.dump("default");
    let good = bytes(&[insert("items", "1", r#"{"id":1}"#)]);
    let bad = bytes(&[insert("items", "9", r#"{"id":9}"#)]);
    let outcome = subject
        .target()
        .apply(&[batch(B, 1, &good), batch(A, 9, &bad)]);
    assert!(
        matches!(
            outcome,
            Err(ReplicaError::Gap {
                room: RoomId(7),
                expected: 8,
                found: 9
            })
        ),
        "{outcome:?}"
    );
    assert_eq!(subject.dump("default"), before);
    assert_eq!(known(subject, B), None);
    assert_eq!(known(subject, A), Some(7));
}

fn tables_change_with_their_rows(subject: &mut dyn Subject) {
    let columns = r#"{"name":"id","type":"INTEGER","primaryKey":true},{"name":"n","type":"TEXT"}"#;
    let altered = r#"{"name":"id","type":"INTEGER","primaryKey":true},{"name":"m","type":"TEXT"},{"name":"raw","type":"BLOB","default":{"$base64":"AAE="}}"#;
    let messages = [
        create("t", columns),
        insert("t", "1", r#"{"id":1,"n":"one"}"#),
        alter(
            "t",
            "t",
            altered,
            r#"[{"renameColumn":{"from":"n","to":"m"}},{"addColumn":{"name":"raw","type":"BLOB","default":{"$base64":"AAE="}}}]"#,
        ),
        insert("t", "2", r#"{"id":2,"m":"two","raw":null}"#),
        renamed_away("t", "u"),
        renamed_here("t", "u", altered),
        update("u", "2", r#"{"id":2,"m":"deux","raw":null}"#),
        alter(
            "u",
            "u",
            r#"{"name":"id","type":"INTEGER","primaryKey":true}"#,
            r#"[{"dropColumn":"m"},{"dropColumn":"raw"}]"#,
        ),
        create("gone", columns),
        insert("gone", "1", r#"{"id":1,"n":""}"#),
        drop_table("gone"),
    ];
    // Each by itself, and then all at once elsewhere: the outcome is the same.
    for (at, message) in (1..).zip(&messages[..3]) {
        apply(subject, B, at, std::slice::from_ref(message)).unwrap();
    }
    let dump = subject.dump("default");
    assert_eq!(
        dump[3..],
        [r#"b t 1 2 {"id":1,"m":"one","raw":{"$base64":"AAE="}}"#]
    );
    for (at, message) in (4..).zip(&messages[3..]) {
        apply(subject, B, at, std::slice::from_ref(message)).unwrap();
    }
    let expected = [r#"b u 1 2 {"id":1}"#, r#"b u 2 7 {"id":2}"#];
    assert_eq!(subject.dump("default")[3..], expected);
    let tables = subject.tables("default");
    assert_eq!(tables.len(), 2, "{tables:?}");
    assert!(tables[1].starts_with("b u {"), "{tables:?}");
    assert!(!tables[1].contains("raw"), "{tables:?}");
    let once = Batch {
        mode: Mode::Anew,
        ..batch(B, 1, &[])
    };
    let all = bytes(&messages);
    subject
        .target()
        .apply(&[Batch {
            messages: &all,
            ..once
        }])
        .unwrap();
    assert_eq!(subject.dump("default")[3..], expected);
    assert_eq!(subject.tables("default"), tables);
}

fn a_namespace_is_a_wall(subject: &mut dyn Subject) {
    let before = subject.dump("default");
    apply(
        subject,
        OTHER,
        1,
        &[insert("items", "1", r#"{"id":"other"}"#)],
    )
    .unwrap();
    assert_eq!(subject.dump("default"), before);
    assert_eq!(subject.dump("Other.ns"), [r#"a items 1 1 {"id":"other"}"#]);
    let long = "n".repeat(64);
    let twin = format!("{}m", &long[..63]);
    for (namespace, room) in [(&long, 11), (&twin, 12)] {
        let room = RoomRef {
            namespace,
            room: RoomId(room),
            name: "x",
        };
        let row = format!(r#"{{"id":{}}}"#, room.room.0);
        apply(subject, room, 1, &[insert("items", "1", &row)]).unwrap();
    }
    assert_eq!(subject.dump(&long), [r#"x items 1 1 {"id":11}"#]);
    assert_eq!(subject.dump(&twin), [r#"x items 1 1 {"id":12}"#]);
}

fn rooms_go_and_begin_anew(subject: &mut dyn Subject) {
    let messages = bytes(&[insert("items", "1", r#"{"id":10}"#)]);
    let anew = Batch {
        mode: Mode::Anew,
        ..batch(A, 1, &messages)
    };
    subject.target().apply(&[anew]).unwrap();
    assert_eq!(known(subject, A), Some(1));
    let dump = subject.dump("default");
    assert_eq!(dump[0], r#"a items 1 1 {"id":10}"#);
    assert!(dump[1].starts_with("b "), "{dump:?}");
    let gone = Batch {
        mode: Mode::Remove,
        ..batch(A, 2, &[])
    };
    subject.target().apply(&[gone]).unwrap();
    assert_eq!(known(subject, A), None);
    assert!(
        subject
            .dump("default")
            .iter()
            .all(|row| !row.starts_with("a "))
    );
    // Another room of the same name has another number, and another room by that number another name.
    let named = RoomRef { name: "else", ..B };
    assert_eq!(known(subject, named), None);
    assert_eq!(known(subject, B), Some(11));
}

fn channels_keep_what_is_not_deleted(subject: &mut dyn Subject) {
    let event = |seq: u64, rest: &str| {
        format!(
            r#"{{"id":"0123456789ab-{seq}","seq":{seq},{rest},"createdAt":"2026-01-02T03:04:05.678Z"}}"#
        )
    };
    let messages = bytes(&[
        event(1, r#""type":"message","authorId":"ann","content":"one""#),
        event(2, r#""type":"message","authorId":"bob","content":"two""#),
        event(
            3,
            r#""type":"edit","authorId":"bob","targetSeq":2,"content":"zwei""#,
        ),
        event(4, r#""type":"deletion","authorId":"bob","targetSeq":2"#),
        event(
            5,
            r#""type":"reaction","authorId":"ann","targetSeq":1,"content":"+""#,
        ),
        "{\"type\":\"newer\"}".into(),
    ]);
    let channel = Batch {
        kind: RoomKind::Channel,
        ..batch(CHANNEL, 1, &messages)
    };
    let applied = subject.target().apply(&[channel]).unwrap();
    assert_eq!((applied.messages, applied.unknown), (5, 1));
    let events = |subject: &mut dyn Subject| -> Vec<String> {
        let dump = subject.dump("default");
        dump.into_iter()
            .filter(|row| row.starts_with("0123456789ab "))
            .collect()
    };
    let expected = [
        "0123456789ab 1 message ann one",
        "0123456789ab 2 message bob -",
        "0123456789ab 3 edit bob -",
        "0123456789ab 4 deletion bob -",
        "0123456789ab 5 reaction ann +",
    ];
    assert_eq!(events(subject), expected);
    assert_eq!(known(subject, CHANNEL), Some(6));
    let trimmed = Batch {
        start: 4,
        first_seq: 7,
        messages: &[],
        ..channel
    };
    subject.target().apply(&[trimmed]).unwrap();
    assert_eq!(events(subject), expected[3..]);
}

fn hostile_rows_are_only_rows(subject: &mut dyn Subject) {
    let room = RoomRef {
        namespace: "hostile",
        room: RoomId(20),
        name: "'; DROP TABLE _rows; --",
    };
    let long = "k".repeat(20_000);
    let long_row = format!(r#"{{"k":"{long}"}}"#);
    let messages = [
        insert("t\"; --", "'", r#"{"a'\"b":"\\x41\t\n\r\\."}"#),
        insert("t", &long, &long_row),
        insert("t", "\\u0000", r#"{"k":"nul\u0000"}"#),
        insert("t", "", r#"{"k":9007199254740993}"#),
        insert("t", "\\\\N", r#"{"k":1e300}"#),
        "{".to_owned() + "}",
        update("t", "", r#"{"k":-9223372036854775808}"#),
    ];
    let applied = apply(subject, room, 1, &messages).unwrap();
    assert_eq!((applied.messages, applied.unknown), (6, 1));
    let dump = subject.dump("hostile");
    assert_eq!(dump.len(), 5, "{dump:?}");
    assert!(
        dump.iter()
            .any(|row| row.ends_with(r#"{"k":-9223372036854775808}"#)),
        "{dump:?}"
    );
    assert!(dump.iter().any(|row| row.contains(&long_row)));
    apply(
        subject,
        room,
        8,
        &[delete("t", &long), delete("t", "\\u0000")],
    )
    .unwrap();
    assert_eq!(subject.dump("hostile").len(), 3);
}

fn only_what_is_wanted_stays(subject: &mut dyn Subject) {
    let removed = subject
        .target()
        .retain(&mut |room| room == B.room || room == OTHER.room);
    assert_eq!(removed.unwrap(), 4);
    assert_eq!(subject.dump("hostile"), [""; 0]);
    assert_eq!(subject.dump("default").len(), 2);
    assert_eq!(subject.dump("Other.ns").len(), 1);
}

fn apply(
    subject: &mut dyn Subject,
    room: RoomRef<'_>,
    first_seq: u64,
    messages: &[String],
) -> Result<Applied, ReplicaError> {
    subject
        .target()
        .apply(&[batch(room, first_seq, &bytes(messages))])
}

fn batch<'a>(room: RoomRef<'a>, first_seq: u64, messages: &'a [u8]) -> Batch<'a> {
    Batch {
        room,
        kind: RoomKind::Tables,
        ruled: false,
        start: 1,
        first_seq,
        messages,
        mode: Mode::Add,
    }
}

fn known(subject: &mut dyn Subject, room: RoomRef<'_>) -> Option<u64> {
    subject.target().applied(&[room]).unwrap()[0]
}

fn bytes(messages: &[String]) -> Vec<u8> {
    messages.iter().fold(Vec::new(), |mut all, message| {
        all.extend_from_slice(message.as_bytes());
        all.push(b',');
        all
    })
}

fn change(
    table: &str,
    key: &str,
    value: Option<&str>,
    old: Option<&str>,
    operation: &str,
) -> String {
    let table = table.replace('"', "\\\"");
    let mut json = format!(r#"{{"type":"{table}","key":"{key}""#);
    for (member, value) in [("value", value), ("old_value", old)] {
        if let Some(value) = value {
            write!(json, r#","{member}":{value}"#).unwrap();
        }
    }
    write!(json, r#","headers":{{"operation":"{operation}","txid":"1","timestamp":"2026-01-02T03:04:05.678Z"}}}}"#).unwrap();
    json
}

fn insert(table: &str, key: &str, row: &str) -> String {
    change(table, key, Some(row), None, "insert")
}

fn update(table: &str, key: &str, row: &str) -> String {
    change(table, key, Some(row), Some("{}"), "update")
}

fn delete(table: &str, key: &str) -> String {
    change(table, key, None, Some("{}"), "delete")
}

fn create(table: &str, columns: &str) -> String {
    let value = format!(r#"{{"name":"{table}","columns":[{columns}]}}"#);
    change("__schema__", table, Some(&value), None, "insert")
}

fn alter(from: &str, to: &str, columns: &str, steps: &str) -> String {
    let value = format!(r#"{{"name":"{to}","columns":[{columns}],"steps":{steps}}}"#);
    let old = format!(r#"{{"name":"{from}","columns":[]}}"#);
    change("__schema__", from, Some(&value), Some(&old), "update")
}

fn renamed_away(from: &str, to: &str) -> String {
    let old = format!(r#"{{"name":"{from}","columns":[],"renamedTo":"{to}"}}"#);
    change("__schema__", from, None, Some(&old), "delete")
}

fn renamed_here(from: &str, to: &str, columns: &str) -> String {
    let value = format!(
        r#"{{"name":"{to}","columns":[{columns}],"steps":[{{"renameTable":"{to}"}}],"renamedFrom":"{from}"}}"#
    );
    change("__schema__", to, Some(&value), None, "insert")
}

fn drop_table(table: &str) -> String {
    change("__schema__", table, None, None, "delete")
}
