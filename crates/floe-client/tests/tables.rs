//! Rooms with tables against the server itself, with connections that break.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cutting_proxy;
mod real_server;

use cutting_proxy::CuttingProxy;
use floe_client::rooms::{Changed, Insert, Inserted, OnConflict, Room, RoomError, Rooms, Value};
use real_server::RealServer;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_made_once() {
    let server = RealServer::start();
    let proxy = CuttingProxy::start(server.address());
    let room = Rooms::new(&proxy.url()).unwrap().room("board/1");
    create(&room).await;
    for number in 0..5 {
        let rows = rows(number * 10..number * 10 + 10);
        let update_id = format!("batch-{number}");
        // The first answer is that to the look at the log's end.
        proxy.cut_answer(2);
        let inserted = room.insert(&insert(&rows, &update_id)).await.unwrap();
        assert_eq!(inserted.rows, 10);
    }
    assert_eq!(proxy.cuts(), 5);
    let found = room
        .execute_sql(
            "SELECT count(*) AS n, count(DISTINCT note) AS d FROM t",
            &[0; 0],
        )
        .await
        .unwrap();
    let row = &found.rows().unwrap()[0];
    assert_eq!(row.get("n"), Some(&Value::Integer(50)));
    assert_eq!(row.get("d"), Some(&Value::Integer(50)));
}

#[tokio::test]
async fn the_log_tells_what_became_of_a_change() {
    let server = RealServer::start();
    let proxy = CuttingProxy::start(server.address());
    let room = Rooms::new(&proxy.url()).unwrap().room("board");
    create(&room).await;
    room.insert(&insert(&rows(0..3), "three")).await.unwrap();
    let update = json!({"table": "t", "where": {"note": "row 1"}, "values": {"note": "one"}});
    proxy.cut_answer(2);
    let changed = room.change("updateRow", &update, "one").await.unwrap();
    assert!(
        matches!(changed, Changed::Settled { messages: 1 }),
        "{changed:?}"
    );
    assert_eq!(proxy.cuts(), 1);
}

#[tokio::test]
async fn a_refusal_says_which_row_and_nothing_is_inserted() {
    let server = RealServer::start();
    let room = Rooms::new(&server.url()).unwrap().room("board");
    create(&room).await;
    let rows =
        to_raw_value(&json!([{"id": 1, "note": "a"}, {"id": 2}, {"id": 3, "note": "c"}])).unwrap();
    let Err(RoomError::Refused(refused)) = room.insert(&insert(&rows, "all")).await else {
        panic!("a row without its note was inserted");
    };
    assert_eq!(refused.refusal.code, "CONSTRAINT");
    assert_eq!(
        (refused.row, refused.column.as_deref()),
        (Some(1), Some("note"))
    );
    let partly = Insert {
        partial: true,
        ..insert(&rows, "some")
    };
    let Inserted {
        rows,
        failed,
        unknown,
    } = room.insert(&partly).await.unwrap();
    assert_eq!((rows, unknown, failed.len()), (2, 0, 1));
    assert_eq!((failed[0].row, &*failed[0].code), (Some(1), "CONSTRAINT"));
    let changed = room
        .change("deleteRow", &json!({"table": "t", "key": 1}), "gone")
        .await;
    assert!(
        matches!(changed, Ok(Changed::Answered { .. })),
        "{changed:?}"
    );
}

async fn create(room: &Room) {
    let table = serde_json::from_value(json!({"name": "t", "columns": [
        {"name": "id", "type": "INTEGER", "primaryKey": true},
        {"name": "note", "type": "TEXT", "notNull": true},
    ]}));
    room.create_table(&table.unwrap(), "table").await.unwrap();
    let schema = room.schema().await.unwrap();
    let columns = &schema["t"];
    assert_eq!((columns[0].pk, columns[0].notnull), (1, false));
    assert_eq!((columns[1].pk, columns[1].notnull), (0, true));
}

fn rows(numbers: std::ops::Range<u64>) -> Box<RawValue> {
    let rows: Vec<_> = numbers
        .map(|number| json!({"note": format!("row {number}")}))
        .collect();
    to_raw_value(&rows).unwrap()
}

fn insert<'a>(rows: &'a RawValue, update_id: &'a str) -> Insert<'a> {
    let count: Vec<&RawValue> = serde_json::from_str(rows.get()).unwrap();
    Insert {
        table: "t",
        rows,
        rows_count: count.len() as u64,
        on_conflict: OnConflict::Fail,
        partial: false,
        update_id,
    }
}
