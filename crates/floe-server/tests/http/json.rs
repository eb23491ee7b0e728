//! JSON mode.

use crate::harness::{TestServer, get, head, offset, post, put};

fn started() -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("list").content_type("application/json"));
    server
}

#[test]
fn one_level_of_arrays_is_batching() {
    let server = started();
    let mut tail = 0;
    for (body, messages) in [
        ("1", 1),
        ("[2,3]", 2),
        ("[[4,5]]", 1),
        ("[[],{}]", 2),
        (" [ \"a,b\" , \"]\" ] ", 2),
        ("null", 1),
        ("\"[1,2]\"", 1),
    ] {
        tail += messages;
        assert_eq!(
            server.expect(204, post("list").json(body)).next(),
            offset(tail),
            "{body}"
        );
    }
    let all = "[1,2,3,[4,5],[],{},\"a,b\",\"]\",null,\"[1,2]\"]";
    assert_eq!(server.expect(200, get("list")).text(), all);
    assert_eq!(server.restart().expect(200, get("list")).text(), all);
}

#[test]
fn what_is_not_json_or_appends_nothing_is_400() {
    let server = started();
    for body in [
        "[]",
        " [ ] ",
        "{",
        "[1,]",
        "1 2",
        "nul",
        "'a'",
        "{a:1}",
        "[1}",
        "\u{feff}1",
        "NaN",
        "01",
        "\"\t\"",
        " ",
    ] {
        server
            .send(post("list").json(body))
            .refused(400, "INVALID_JSON");
    }
    server
        .send(post("list").json("\"").body([b'"', 0xff, 0xfe, b'"']))
        .refused(400, "INVALID_JSON");
    assert_eq!(server.expect(200, head("list")).next(), offset(0));
}

#[test]
fn a_value_stays_as_it_was_sent() {
    let server = started();
    let values = [
        "1.0",
        "1e400",
        "-0",
        "123456789012345678901234567890",
        "{\"b\": 1,  \"a\":2, \"a\":3}",
        "\"\\u00e4\\/\u{e4}\"",
        "{\n  \"x\" : [ 1 ,2 ]\n}",
    ];
    for value in values {
        server.expect(204, post("list").json(value));
    }
    let expected = format!("[{}]", values.join(","));
    assert_eq!(server.expect(200, get("list")).text(), expected);
    let server = server.restart();
    assert_eq!(server.expect(200, get("list")).text(), expected);
    for (at, value) in values.iter().enumerate() {
        let read = server.expect(200, get(&format!("list?offset={}", offset(at as u64))));
        assert!(
            read.text().starts_with(&format!("[{value}")),
            "{}",
            read.text()
        );
    }
}

#[test]
fn a_deep_value_is_stored_like_any_other() {
    let server = TestServer::start();
    server.expect(201, put("list").content_type("application/json"));
    let deep = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    server.expect(204, post("list").json(&deep));
    assert!(server.read_all("list") == format!("[{}]", &deep[1..deep.len() - 1]).as_bytes());
    let objects = "{\"a\":".repeat(100_000);
    server
        .send(post("list").json(&objects))
        .refused(400, "INVALID_JSON");
    server.expect(204, post("list").json("1"));
}

#[test]
fn a_read_never_ends_within_a_message() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 50);
    server.expect(201, put("list").content_type("application/json"));
    let values: Vec<_> = (0..30).map(|number| "x".repeat(number * 7)).collect();
    server.expect(
        204,
        post("list").json(&serde_json::to_string(&values).unwrap()),
    );
    let (mut all, mut from) = (Vec::<String>::new(), "-1".to_owned());
    loop {
        let piece = server.expect(200, get(&format!("list?offset={from}")));
        let array: Vec<String> = serde_json::from_slice(&piece.body).unwrap();
        assert!(!array.is_empty());
        all.extend(array);
        assert_eq!(piece.next(), offset(all.len() as u64));
        if piece.is_up_to_date() {
            break;
        }
        from = piece.next().to_owned();
    }
    assert_eq!(all, values);
}

#[test]
fn other_types_than_json_are_not_looked_into() {
    let server = TestServer::start();
    for kind in [
        "application/jsonl",
        "text/json-seq",
        "application/octet-stream",
    ] {
        let name = kind.replace('/', "-");
        server.expect(201, put(&name).content_type(kind));
        server.expect(204, post(&name).content_type(kind).body("[1,"));
        assert_eq!(server.read_all(&name), b"[1,");
    }
}
