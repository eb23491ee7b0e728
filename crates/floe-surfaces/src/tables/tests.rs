//! What is asked and answered, as a client sees it.

use floe_proto::Code;
use floe_proto::table::{
    Alteration, Applied, Call, Change, Mutated, Mutation, OnConflict, Params, Place, Row,
    TableError, Value,
};

use super::*;
use crate::live::Entry;

fn call(name: &str, payload: &str) -> Result<Method, TableError> {
    let body = format!(r#"{{"method":"{name}","payload":{payload}}}"#);
    read_rpc(body.as_bytes())
        .map(|rpc| rpc.method)
        .map_err(|refusal| refusal.error)
}

fn refused(name: &str, payload: &str) -> (Code, String) {
    let error = call(name, payload).unwrap_err();
    (error.code, error.message)
}

fn mutation(name: &str, payload: &str) -> Mutation {
    let Ok(Method::Mutate(call)) = call(name, payload) else {
        panic!("{name} {payload}");
    };
    call.mutations.into_iter().next().unwrap()
}

fn row(json: &str) -> Row {
    serde_json::from_str(json).unwrap()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    let _: serde_json::Value = serde_json::from_str(&text).unwrap();
    text
}

fn label(name: &str, request: &str) -> Label {
    let info = MethodInfo::named(name).unwrap();
    let ids = Ids {
        request_id: Some(request.into()),
        ..Ids::default()
    };
    Label { info, ids }
}

#[test]
fn every_method_is_read_by_its_example_and_by_nothing_more() {
    for info in METHODS {
        let read = call(info.name, info.example);
        assert!(read.is_ok(), "{}: {read:?}", info.name);
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(info.example).unwrap();
        let mut stray = members.clone();
        stray.insert("stray".into(), 1.into());
        let stray = serde_json::to_string(&stray).unwrap();
        let (code, message) = refused(info.name, &stray);
        assert_eq!(code, Code::InvalidRequest, "{message}");
        assert!(message.contains("`stray`"), "{message}");
        for param in info.params {
            let mut less = members.clone();
            let was_there = less.remove(param.name).is_some();
            let read = call(info.name, &serde_json::to_string(&less).unwrap());
            if param.required {
                let message = read.unwrap_err().message;
                assert_eq!(message, format!("`{}` is missing", param.name));
            } else if was_there && param.name != "key" && param.name != "where" {
                // The two of which one must be there are told apart below.
                let one_of = ["prefix", "params", "table"].contains(&param.name);
                assert!(one_of || read.is_ok(), "{}: {read:?}", info.name);
            }
        }
    }
}

#[test]
fn top_level_actions_are_the_methods_that_they_name() {
    for info in METHODS {
        let Some(action) = info.action else { continue };
        let inner = info.example.trim_start_matches('{').trim_end_matches('}');
        let comma = if inner.is_empty() { "" } else { "," };
        let beside = format!(r#"{{"action":"{action}"{comma}{inner},"updateId":"u"}}"#);
        let within = format!(
            r#"{{"action":"{action}","payload":{},"updateId":"u"}}"#,
            info.example
        );
        let rpc = format!(
            r#"{{"action":"rpc","method":"{}","payload":{},"updateId":"u"}}"#,
            info.name, info.example
        );
        let expected = read_frame(rpc.as_bytes()).unwrap();
        assert_eq!(read_frame(within.as_bytes()), Ok(expected.clone()));
        assert_eq!(read_frame(beside.as_bytes()), Ok(expected));
    }
    for action in ["createTask", "completeTask", "deleteTask", "listTasks"] {
        assert!(MethodInfo::of_action(action).is_some(), "{action}");
    }
}

#[test]
fn nothing_is_met_with_silence() {
    let answer = |frame: &str| {
        let refusal = read_frame(frame.as_bytes()).unwrap_err();
        written(|out| write_refusal(out, &refusal))
    };
    assert_eq!(
        answer(r#"{"action":"dance","requestId":7,"updateId":"a\"b"}"#),
        r#"{"type":"error","code":"UNKNOWN_ACTION","message":"`dance` is no action","requestId":7,"updateId":"a\"b"}"#
    );
    assert_eq!(
        answer(r#"{"action":"rpc","method":"dance","updateId":"u"}"#),
        r#"{"type":"error","code":"UNKNOWN_ACTION","message":"`dance` is no method","updateId":"u"}"#
    );
    for frame in [
        "",
        "{",
        "[]",
        "1",
        "{}",
        r#"{"action":1}"#,
        r#"{"action":null}"#,
        "nul",
    ] {
        let answer = answer(frame);
        let begins = r#"{"type":"error","code":"INVALID_FRAME","message":""#;
        assert!(answer.starts_with(begins), "{frame}: {answer}");
    }
    let deep = format!(
        r#"{{"action":"ping","requestId":{}1{}}}"#,
        "[".repeat(99),
        "]".repeat(99)
    );
    assert!(answer(&deep).contains("INVALID_FRAME"));
    assert_eq!(
        answer(r#"{"action":"completeTask","payload":{"id":0},"updateId":"u"}"#),
        r#"{"type":"mutation_error","action":"completeTask","code":"INVALID_REQUEST","error":"`id` is not 1 or more","updateId":"u"}"#
    );
    assert_eq!(
        answer(r#"{"action":"subscribe_query","queryId":"q","sql":"","updateId":"u"}"#),
        r#"{"type":"query_error","action":"subscribeQuery","code":"INVALID_REQUEST","error":"`sql` is empty","updateId":"u","queryId":"q"}"#
    );
    assert_eq!(read_frame(br#"{"action":"ping"}"#), Ok(Action::Ping));
    assert_eq!(written(write_pong), r#"{"type":"pong"}"#);
}

#[test]
fn mutations_are_read() {
    let title = " a\u{3000}b ";
    assert_eq!(
        mutation("createTask", &format!(r#"{{"title":"{title}"}}"#)),
        Mutation::CreateTask {
            title: "a\u{3000}b".into()
        }
    );
    assert_eq!(
        mutation(
            "insertRow",
            r#"{"table":"t","values":{},"onConflict":"update"}"#
        ),
        Mutation::Insert {
            table: "t".into(),
            rows: vec![Row::default()],
            on_conflict: OnConflict::Update,
            each: false
        }
    );
    for (key, place) in [
        (r#""key":"a""#, Place::Key(vec![Value::Text("a".into())])),
        (
            r#""key":[1,2.5]"#,
            Place::Key(vec![Value::Integer(1), Value::Real(2.5)]),
        ),
        (r#""key":{"a":1}"#, Place::Named(row(r#"{"a":1}"#))),
        (r#""where":{"a":null}"#, Place::Where(row(r#"{"a":null}"#))),
    ] {
        let payload = format!(r#"{{"table":"t",{key},"values":{{"b":true}}}}"#);
        let values = row(r#"{"b":1}"#);
        let (table, expected) = ("t".into(), place.clone());
        assert_eq!(
            mutation("updateRow", &payload),
            Mutation::Update {
                table,
                place: expected,
                values
            }
        );
        let payload = format!(r#"{{"table":"t",{key}}}"#);
        let table = "t".into();
        assert_eq!(
            mutation("deleteRow", &payload),
            Mutation::Delete { table, place }
        );
    }
    let steps =
        r#"[{"dropColumn":"a"},{"renameColumn":{"from":"b","to":"c"}},{"renameTable":"u"}]"#;
    assert_eq!(
        mutation("alterTable", &format!(r#"{{"name":"t","steps":{steps}}}"#)),
        Mutation::AlterTable {
            table: "t".into(),
            steps: vec![
                Alteration::DropColumn("a".into()),
                Alteration::RenameColumn {
                    from: "b".into(),
                    to: "c".into()
                },
                Alteration::RenameTable("u".into())
            ]
        }
    );
    let Ok(Method::Mutate(Call {
        preconditions,
        mutations,
        ..
    })) = call(
        "transaction",
        r#"{"mutations":[{"method":"deleteTask","payload":{"id":1}},{"method":"deleteRow","payload":{"table":"t","key":1}}],
            "preconditions":[{"table":"t","key":["a",1],"version":0}]}"#,
    )
    else {
        panic!("no transaction");
    };
    assert_eq!((mutations.len(), preconditions.len()), (2, 1));
    assert_eq!(preconditions[0].key.len(), 2);
}

#[test]
fn a_mutation_that_cannot_be_says_which_field_and_why() {
    for (name, payload, message) in [
        (
            "createTask",
            r#"{"title":" \t "}"#,
            "`title` has not 1 to 500 characters",
        ),
        ("createTask", r#"{"title":7}"#, "`title` is not a string"),
        ("createTask", r#"{"title":null}"#, "`title` is missing"),
        (
            "createTask",
            "7",
            "`payload` cannot be read: invalid type: integer `7`, expected an object at line 1 column 1",
        ),
        ("deleteTask", r#"{"id":-1}"#, "`id` is not 1 or more"),
        (
            "deleteTask",
            r#"{"id":1.5}"#,
            "`id` is not a whole number of 64 bits",
        ),
        ("deleteTask", r#"{"id":1,"id":2}"#, "`id` is there twice"),
        (
            "createTable",
            r#"{"name":"_t","columns":[]}"#,
            "`name`: `_t` is no name: 1 to 64 letters, digits and `_`, first a letter, and not `sqlite…`",
        ),
        (
            "createTable",
            r#"{"name":"t","columns":[]}"#,
            "`columns` is empty",
        ),
        (
            "createTable",
            r#"{"name":"t","columns":[{"name":"a","type":"DATE"}]}"#,
            "columns[0]: cannot be read: a type is INTEGER, REAL, TEXT, BLOB, BOOLEAN, JSON or ANY",
        ),
        (
            "createTable",
            r#"{"name":"t","columns":[{"name":"a","type":"ANY"},{"name":"A","type":"ANY"}]}"#,
            "the column `A` is there twice",
        ),
        (
            "alterTable",
            r#"{"name":"t","steps":[]}"#,
            "`steps` is empty",
        ),
        (
            "alterTable",
            r#"{"name":"t","steps":[{"dropColumn":"a b"}]}"#,
            "steps[0]: `a b` is no name: 1 to 64 letters, digits and `_`, first a letter, and not `sqlite…`",
        ),
        (
            "insertRow",
            r#"{"table":"t","values":[]}"#,
            "`values` cannot be read: invalid type: sequence, expected an object of values by column",
        ),
        (
            "insertRow",
            r#"{"table":"t","values":{"a\"b":1}}"#,
            "`values`: `a\"b` is no name: 1 to 64 letters, digits and `_`, first a letter, and not `sqlite…`",
        ),
        (
            "insertRow",
            r#"{"table":"t","values":{},"onConflict":"ignore"}"#,
            "`onConflict` is neither fail nor update",
        ),
        (
            "updateRow",
            r#"{"table":"t","key":1,"values":{}}"#,
            "`values` is empty",
        ),
        (
            "updateRow",
            r#"{"table":"t","values":{"a":1}}"#,
            "exactly one of `key` and `where` must be there",
        ),
        (
            "updateRow",
            r#"{"table":"t","key":1,"where":{"a":1},"values":{"a":1}}"#,
            "exactly one of `key` and `where` must be there",
        ),
        (
            "deleteRow",
            r#"{"table":"t","key":[]}"#,
            "`key` has not 1 to 1000 values",
        ),
        (
            "deleteRow",
            r#"{"table":"t","where":{}}"#,
            "`where` is empty",
        ),
        (
            "batchInsert",
            r#"{"table":"t","rows":[]}"#,
            "`rows` is empty",
        ),
        (
            "batchInsert",
            r#"{"table":"t","rows":[{},{"a":1,"a":2}]}"#,
            "rows[1]: cannot be read: `a` is there twice",
        ),
        ("transaction", r#"{"mutations":[]}"#, "`mutations` is empty"),
        (
            "transaction",
            r#"{"mutations":[{"method":"deleteTable","payload":{"name":"t"}}]}"#,
            "mutations[0]: `deleteTable` is no method that changes rows or tasks",
        ),
        (
            "transaction",
            r#"{"mutations":[{"method":"transaction","payload":{}}]}"#,
            "mutations[0]: `transaction` is no method that changes rows or tasks",
        ),
        (
            "transaction",
            r#"{"mutations":[{"method":"deleteTask","payload":{"id":1,"x":1}}]}"#,
            "mutations[0]: `x` is no field of deleteTask",
        ),
        (
            "transaction",
            r#"{"mutations":[{"method":"deleteTask","payload":{"id":1}}],"preconditions":[{"table":"t","key":1}]}"#,
            "preconditions[0]: `version` is missing",
        ),
    ] {
        assert_eq!(
            refused(name, payload),
            (Code::InvalidRequest, message.into()),
            "{name} {payload}"
        );
    }
    let rows = call("batchInsert", r#"{"table":"t","rows":[{},{"_a":1}]}"#).unwrap_err();
    assert_eq!((rows.row, rows.column.as_deref()), (Some(1), Some("_a")));
}

#[test]
fn bounds_hold_at_their_edge() {
    let title = |len: usize| format!(r#"{{"title":"{}"}}"#, "ä".repeat(len));
    assert!(call("createTask", &title(TITLE_CHARS_MAX)).is_ok());
    assert!(call("createTask", &title(TITLE_CHARS_MAX + 1)).is_err());
    let sql = |len: usize| format!(r#"{{"sql":"{}"}}"#, "ä".repeat(len));
    assert!(call("executeSQL", &sql(SQL_CHARS_MAX)).is_ok());
    assert!(call("executeSQL", &sql(SQL_CHARS_MAX + 1)).is_err());
    let params = |len: usize| format!(r#"{{"sql":"x","params":[{}]}}"#, vec!["1"; len].join(","));
    assert!(call("executeSQL", &params(SQL_PARAMS_MAX)).is_ok());
    assert!(call("executeSQL", &params(SQL_PARAMS_MAX + 1)).is_err());
    // Two of the bytes are the quotes.
    let value = |len: usize| format!(r#"{{"key":"k","value":"{}"}}"#, "x".repeat(len));
    assert!(call("updateDebounced", &value(BUFFERED_BYTES_MAX - 2)).is_ok());
    assert!(call("updateDebounced", &value(BUFFERED_BYTES_MAX - 1)).is_err());
    let rows = |len: usize| format!(r#"{{"table":"t","rows":[{}]}}"#, vec!["{}"; len].join(","));
    assert!(call("batchInsert", &rows(BATCH_ROWS_MAX)).is_ok());
    assert!(call("batchInsert", &rows(BATCH_ROWS_MAX + 1)).is_err());
    let key = |len: usize| format!(r#"{{"key":"{}","value":1}}"#, "x".repeat(len));
    assert!(call("setMemory", &key(KEY_BYTES_MAX)).is_ok());
    assert!(call("setMemory", &key(KEY_BYTES_MAX + 1)).is_err());
    assert!(call("setMemory", &key(0)).is_err());
    for (interval, ok) in [(9, false), (10, true), (60_000, true), (60_001, false)] {
        let payload = format!(r#"{{"key":"k","interval":{interval}}}"#);
        assert_eq!(
            call("incrementDebounced", &payload).is_ok(),
            ok,
            "{interval}"
        );
    }
    for (limit, ok) in [
        ("0", false),
        ("1", true),
        ("1000", true),
        ("1001", false),
        ("1e3", false),
    ] {
        let payload = format!(r#"{{"prefix":"","limit":{limit}}}"#);
        assert_eq!(call("getMemory", &payload).is_ok(), ok, "{limit}");
    }
    let long = format!(
        r#"{{"method":"getUsage","requestId":"{}"}}"#,
        "x".repeat(ID_BYTES_MAX)
    );
    assert!(read_rpc(long.as_bytes()).is_err());
}

#[test]
fn what_would_write_is_no_question() {
    assert!(call("executeSQL", r#"{"sql":"SELECT 1","readonly":true}"#).is_ok());
    let (code, message) = refused("executeSQL", r#"{"sql":"SELECT 1","readonly":false}"#);
    assert_eq!(code, Code::InvalidRequest);
    assert_eq!(message, "`readonly` is not true, and SQL here only reads");
    assert_eq!(
        call(
            "executeSQL",
            r#"{"sql":"x","params":{"a":1},"source":"replica","minSeq":4}"#
        ),
        Ok(Method::ExecuteSql(Query {
            sql: "x".into(),
            params: Params::Named(row(r#"{"a":1}"#)),
            source: Source::Replica,
            min_seq: Some(4)
        }))
    );
}

#[test]
fn the_id_of_a_call_is_that_of_its_messages() {
    for (ids, txid) in [
        (r#""updateId":"u","requestId":"r""#, Some("u")),
        (r#""requestId":"a\"b""#, Some("a\"b")),
        (r#""requestId":12"#, Some("12")),
        (r#""requestId":"""#, None),
        (r#""updateId":null"#, None),
    ] {
        let body = format!(r#"{{"method":"deleteTask","payload":{{"id":1}},{ids}}}"#);
        let Ok(Rpc {
            method: Method::Mutate(call),
            ..
        }) = read_rpc(body.as_bytes())
        else {
            panic!("{ids}");
        };
        assert_eq!(call.txid.as_deref(), txid, "{ids}");
    }
    for id in ["{}", "[1]", "true"] {
        let body = format!(r#"{{"method":"getUsage","requestId":{id}}}"#);
        let refusal = read_rpc(body.as_bytes()).unwrap_err();
        let message = "`requestId` is neither a string nor a number";
        assert_eq!(refusal.error.message, message);
    }
}

#[test]
fn answers_have_the_form_of_the_surface() {
    let task = Applied {
        results: vec![Mutated {
            rows: 1,
            row: Some(row(r#"{"id":1,"title":"a","status":"open"}"#)),
            key: Some("1".into()),
            failed: Vec::new(),
        }],
        first_seq: 7,
        count: 2,
        schema_changed: true,
    };
    assert_eq!(
        written(|out| write_mutated(out, &label("createTask", "1"), &task)),
        r#"{"type":"mutation_success","action":"createTask","requestId":1,"data":{"id":1,"title":"a","status":"open"},"seq":8}"#
    );
    assert_eq!(
        written(|out| write_mutated(out, &label("insertRow", "1"), &task)),
        r#"{"type":"mutation_success","action":"insertRow","requestId":1,"data":{"rows":1,"key":"1","row":{"id":1,"title":"a","status":"open"}},"seq":8}"#
    );
    let batch = Applied {
        results: vec![Mutated {
            rows: 1,
            failed: vec![TableError {
                column: Some("a".into()),
                row: Some(1),
                table: Some("t".into()),
                ..TableError::new(Code::Constraint, "`a` is taken")
            }],
            ..Mutated::default()
        }],
        first_seq: 9,
        count: 1,
        schema_changed: false,
    };
    assert_eq!(
        written(|out| write_mutated(out, &label("batchInsert", "1"), &batch)),
        r#"{"type":"mutation_success","action":"batchInsert","requestId":1,"data":{"rows":1,"failed":[{"code":"CONSTRAINT","error":"`a` is taken","table":"t","column":"a","row":1}]},"seq":9}"#
    );
    assert_eq!(
        written(|out| write_mutated(out, &label("transaction", "1"), &Applied::default())),
        r#"{"type":"mutation_success","action":"transaction","requestId":1,"data":{"results":[]},"seq":0}"#
    );
    let error = batch.results[0].failed[0].clone();
    let refusal = Refusal {
        retry_after_ms: Some(5),
        ..Refusal::of(&label("insertRow", "1"), error)
    };
    assert_eq!(
        written(|out| write_refusal(out, &refusal)),
        r#"{"type":"mutation_error","action":"insertRow","code":"CONSTRAINT","error":"`a` is taken","requestId":1,"table":"t","column":"a","row":1,"retryAfterMs":5}"#
    );
    let success = Success {
        version: Some(3),
        ..Success::default()
    };
    assert_eq!(
        written(|out| write_success(out, &label("setCursor", "\"a\""), &success)),
        r#"{"type":"success","action":"setCursor","requestId":"a","version":3}"#
    );
    assert_eq!(
        written(|out| write_data(out, &label("getSyncStatus", "1"), br#"{"lag":0}"#)),
        r#"{"type":"query_result","action":"getSyncStatus","requestId":1,"data":{"lag":0}}"#
    );
    assert_eq!(
        written(|out| write_progress(out, &label("forceSyncAll", "1"), r#"{"done":0}"#)),
        r#"{"type":"progress","action":"forceSyncAll","requestId":1,"data":{"done":0}}"#
    );
    let reset = Reset {
        code: Code::Gone,
        tables: &["notes", "tasks"],
        seq: 7,
        incarnation: "2a",
    };
    assert_eq!(
        written(|out| write_reset(out, &reset)),
        r#"{"type":"reset","code":"GONE","tables":["notes","tasks"],"seq":7,"incarnation":"2a"}"#
    );
}

#[test]
fn a_subscription_names_one_table_or_many_and_what_was_seen() {
    let notes = || Box::<str>::from("notes");
    let one = Method::Subscribe(Watch::Tables {
        tables: vec![notes()],
        resume: None,
    });
    assert_eq!(call("subscribe", r#"{"table":"notes"}"#), Ok(one));
    let seen = r#"{"tables":["notes","a"],"after":0,"incarnation":"2a"}"#;
    let many = Method::Subscribe(Watch::Tables {
        tables: vec![notes(), "a".into()],
        resume: Some(Resume {
            after: 0,
            incarnation: Some("2a".into()),
        }),
    });
    assert_eq!(call("subscribe", seen), Ok(many));
    let over = Method::Unsubscribe(Unwatch::Tables(vec![notes(), "a".into()]));
    assert_eq!(call("unsubscribe", r#"{"tables":["notes","a"]}"#), Ok(over));
    for (wrong, why) in [
        ("{}", "exactly one of `table` and `tables` must be there"),
        (
            r#"{"table":"a","tables":["b"]}"#,
            "exactly one of `table` and `tables` must be there",
        ),
        (r#"{"tables":[]}"#, "`tables` is empty"),
        (
            r#"{"tables":[1]}"#,
            "`tables` has an element that is no string",
        ),
        (
            r#"{"table":"a","incarnation":"2a"}"#,
            "`incarnation` goes with `after`",
        ),
        (
            r#"{"table":"a","after":-1}"#,
            "`after` is not a whole number from 0 on",
        ),
    ] {
        assert_eq!(
            refused("subscribe", wrong),
            (Code::InvalidRequest, why.to_owned())
        );
    }
}

#[test]
fn rows_are_encoded_once_for_all_who_are_told() {
    let rows = Rows {
        data: br#"[{"n":1}]"#,
        truncated: false,
        seq: 5,
    };
    let mut shared = Vec::new();
    write_rows(&mut shared, &rows, [("n", "INTEGER")].into_iter());
    let asked = label("executeSQL", "1");
    let of = RowsOf::Query {
        sql: "SELECT \"n\"",
        source: Source::Replica,
    };
    assert_eq!(
        written(|out| write_query(out, &asked, of, &shared)),
        r#"{"type":"query_result","action":"executeSQL","requestId":1,"data":[{"n":1}],"columns":[{"name":"n","type":"INTEGER"}],"truncated":false,"seq":5,"source":"replica","originalSql":"SELECT \"n\""}"#
    );
    let frame = br#"{"action":"subscribe_query","queryId":"q","sql":"SELECT 1"}"#;
    let Ok(Action::Rpc(rpc)) = read_frame(frame) else {
        panic!("no rpc");
    };
    assert_eq!(
        written(|out| write_query(out, &rpc.label, RowsOf::Subscribed, &shared)),
        r#"{"type":"query_subscribed","action":"subscribeQuery","queryId":"q","data":[{"n":1}],"columns":[{"name":"n","type":"INTEGER"}],"truncated":false,"seq":5}"#
    );
    assert_eq!(
        written(|out| write_query_update(out, "\"q\"", &shared)),
        r#"{"type":"query_update","queryId":"q","data":[{"n":1}],"columns":[{"name":"n","type":"INTEGER"}],"truncated":false,"seq":5}"#
    );
    assert_eq!(
        written(|out| {
            let error = TableError::new(Code::QueryTimeout, "too slow");
            write_query_ended(out, "7", &error);
        }),
        r#"{"type":"query_error","queryId":7,"code":"QUERY_TIMEOUT","error":"too slow"}"#
    );
}

#[test]
fn events_have_the_form_of_the_surface() {
    let message = |operation: &str, values: &str| {
        let json = format!(
            r#"{{"type":"t","key":"7",{values}"headers":{{"operation":"{operation}","txid":"x","timestamp":"2026-01-02T03:04:05.678Z","user":"ann"}}}}"#
        );
        let change: Change<'_> = serde_json::from_str(&json).unwrap();
        written(|out| write_row_event(out, &change, 9))
    };
    let event = |action: &str, row: &str| {
        format!(
            r#"{{"event":"update","table":"t","action":"{action}","row":{row},"key":"7","seq":9,"txid":"x","user":"ann"}}"#
        )
    };
    let (now, before) = (r#""value":{"a":1},"#, r#""old_value":{"a":0},"#);
    let both = format!("{now}{before}");
    assert_eq!(message("insert", now), event("added", r#"{"a":1}"#));
    assert_eq!(message("update", &both), event("modified", r#"{"a":1}"#));
    assert_eq!(message("delete", before), event("deleted", r#"{"a":0}"#));
    assert_eq!(message("delete", ""), event("deleted", "null"));
    let entry = |key| Entry {
        key,
        value: r#"{"x":1}"#,
        version: 4,
        expires_at: Some(floe_proto::Millis(1_767_323_045_678)),
    };
    let update = MemoryUpdate {
        kind: MemoryKind::Cursors,
        snapshot: true,
        version: 4,
    };
    assert_eq!(
        written(|out| {
            write_memory_update(
                out,
                &update,
                [entry("ann")].into_iter(),
                ["bob"].into_iter(),
            );
        }),
        r#"{"event":"memory_update","type":"cursors","snapshot":true,"version":4,"data":[{"userId":"ann","position":{"x":1},"version":4,"expiresAt":"2026-01-02T03:04:05.678Z"}],"removed":["bob"]}"#
    );
    assert_eq!(
        written(|out| write_schema_update(out, b"{}", 3)),
        r#"{"type":"schema_update","schema":{},"seq":3}"#
    );
}

mod hostile;
mod requests;
mod typescript;
