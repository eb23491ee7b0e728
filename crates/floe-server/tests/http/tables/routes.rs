//! The routes beside `rpc`: schema, manifest, backup, client, and the end of a room.

use serde_json::json;

use super::{Room, files};
use crate::harness::{TestServer, delete, eventually, get, head};

#[test]
fn schema_manifest_and_client_have_two_addresses_each() {
    let server = TestServer::start();
    Room::new(&server, "board").with_notes();
    for path in ["/v1/rooms/board/schema", "/schema?room_id=board"] {
        let schema = server.expect(200, get(path)).json();
        let id = json!({
            "cid": 0, "name": "id", "type": "INTEGER", "notnull": 0, "dflt_value": null, "pk": 1,
        });
        assert_eq!(schema["notes"][0], id, "{path}");
    }
    for path in [
        "/v1/rooms/board/manifest",
        "/manifest?room_id=board",
        "/manifest",
    ] {
        let manifest = server.expect(200, get(path)).text();
        assert!(manifest.contains("executeSQL"), "{path}");
    }
    for path in ["/v1/rooms/board/client", "/download-client?room_id=board"] {
        let client = server.expect(200, get(path)).text();
        assert!(
            client.contains("notes") || client.contains("Notes"),
            "{path}"
        );
    }
}

#[test]
fn a_room_that_nobody_made_has_no_schema() {
    let server = TestServer::start();
    for last in ["schema", "backup", "client"] {
        let path = format!("/v1/rooms/nowhere/{last}");
        server.send(get(&path)).refused(404, "NOT_FOUND");
    }
    server.send(get("/schema")).refused(400, "INVALID_REQUEST");
    server
        .send(get("/v1/rooms/a%20b/schema"))
        .refused(400, "INVALID_REQUEST");
    server
        .send(delete("/v1/rooms/nowhere"))
        .refused(404, "NOT_FOUND");
}

#[test]
fn a_backup_is_a_database_with_the_tables_and_nothing_else() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    let text = "x".repeat(50_000);
    for _ in 0..40 {
        room.note(&text);
    }
    for path in ["/v1/rooms/board/backup", "/backup?room_id=board"] {
        let backup = server.expect(200, get(path));
        assert_eq!(&backup.body[..15], b"SQLite format 3");
        let told = backup.header("content-length").unwrap().to_owned();
        assert_eq!(told, backup.body.len().to_string());
        assert!(backup.body.len() > 40 * 50_000);
        assert!(!backup.body.windows(11).any(|bytes| bytes == b"_floe_state"));
        let mut connection = server.connect();
        connection.write(head(path).bytes());
        let heard = connection.answer_to("HEAD").expect(200);
        assert_eq!(heard.header("content-length"), Some(&*told));
    }
    let copies = server.folder().join("tables-copies");
    assert_eq!(std::fs::read_dir(copies).unwrap().count(), 0);
}

#[test]
fn a_room_that_is_deleted_takes_its_file_with_it() {
    let server = TestServer::start();
    let room = Room::new(&server, "board").with_notes();
    room.note("a");
    assert_eq!(files(server.folder(), ".sqlite").len(), 1);
    server.expect(204, delete("/v1/rooms/board"));
    server
        .send(get("/v1/rooms/board/schema"))
        .refused(404, "NOT_FOUND");
    eventually("the file is gone", || {
        files(server.folder(), ".sqlite").is_empty()
    });
    // Another room of the name is another room.
    assert_eq!(room.call("getSchema", &json!({}))["data"], json!({}));
    let server = server.restart();
    let room = Room::new(&server, "board");
    assert_eq!(room.call("getSchema", &json!({}))["data"], json!({}));
}

#[test]
fn the_registry_lists_rooms_with_tables() {
    let server = TestServer::start();
    Room::new(&server, "board").with_notes();
    server.expect(204, delete("/v1/rooms/board"));
    let registry = String::from_utf8(server.read_all("__registry__")).unwrap();
    assert_eq!(registry.matches("__room__/board").count(), 3, "{registry}");
}
