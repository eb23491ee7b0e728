//! Requests over HTTP, and their answers.

use floe_proto::Code;
use floe_proto::table::{Params, TableError};

use super::super::Source;
use super::super::http::{
    Ask, Connect, GlobalQuery, GlobalRows, ROUTES, owns, read_request, write_global,
};
use super::super::{
    Refusal, Resume, TableRoom, write_backup_head, write_client, write_json, write_refused,
};
use super::{label, written};
use crate::access::Deed;
use crate::http::{Cors, Envelope, Method};
use crate::limits::Pace;

fn read(method: Method, target: &str, body: &str) -> Result<(Option<TableRoom>, Ask), Code> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    assert!(owns(path), "{path}");
    read_request(method, path, query, std::iter::empty(), body.as_bytes())
        .map(|asked| (asked.room, asked.ask))
        .map_err(|reject| reject.code)
}

fn asked(method: Method, target: &str) -> Result<Ask, Code> {
    read(method, target, r#"{"method":"getUsage","sql":"x"}"#).map(|(_, ask)| ask)
}

#[test]
fn every_route_is_read_and_by_no_other_method() {
    let all = [
        Method::Get,
        Method::Put,
        Method::Post,
        Method::Patch,
        Method::Delete,
        Method::Other,
    ];
    for (_, pattern) in ROUTES {
        let path = pattern.replace("{room}", "acme/board");
        assert!(owns(&path), "{path}");
        let (target, body) = if path.starts_with("/v1/rooms/") {
            (path.clone(), r#"{"method":"getUsage"}"#)
        } else {
            (
                format!("{path}?room_id=acme/board"),
                r#"{"sql":"SELECT 1"}"#,
            )
        };
        for method in all {
            let read = read(method, &target, body);
            // A room may be called like anything that is asked of one.
            if ROUTES.contains(&(method, pattern)) || method == Method::Delete && body.len() > 20 {
                assert!(read.is_ok(), "{method:?} {target}: {read:?}");
            } else {
                let code = read.unwrap_err();
                let refused = [Code::MethodNotAllowed, Code::UnknownRoute];
                assert!(refused.contains(&code), "{method:?} {target}: {code:?}");
            }
        }
    }
    for path in [
        "/connects",
        "/v1/room/a",
        "/v1/rooms",
        "/v1/sqlx",
        "/health",
    ] {
        assert!(!owns(path), "{path}");
    }
}

#[test]
fn a_room_is_named_in_the_path_or_in_the_query() {
    let room = |method, target: &str| {
        read(method, target, r#"{"method":"getUsage"}"#)
            .map(|(room, _)| room.map(|room| room.as_str().to_owned()))
    };
    let name = |name: &str| Ok(Some(name.to_owned()));
    assert_eq!(
        room(Method::Post, "/v1/rooms/acme/board/rpc"),
        name("acme/board")
    );
    assert_eq!(
        room(Method::Post, "/v1/rooms/acme%2Fboard/rpc"),
        name("acme/board")
    );
    assert_eq!(room(Method::Delete, "/v1/rooms/a/schema"), name("a/schema"));
    assert_eq!(room(Method::Get, "/schema?x=1&room_id=a%2fb"), name("a/b"));
    assert_eq!(room(Method::Get, "/manifest"), Ok(None));
    for target in [
        "/connect",
        "/websocket?",
        "/schema?room_id=",
        "/backup?room_id=..",
        "/schema?room_id=a&room_id=b",
        "/schema?room_id=%ff",
        "/schema?room_id=%",
        "/v1/rooms/../schema",
        "/v1/rooms//schema",
        "/v1/rooms/a%20b/schema",
        "/v1/rooms/%/schema",
    ] {
        assert_eq!(
            room(Method::Get, target),
            Err(Code::InvalidRequest),
            "{target}"
        );
    }
    for target in ["/v1/rooms/", "/v1/rooms/a", "/v1/rooms/a/tables"] {
        assert_eq!(
            room(Method::Get, target),
            Err(Code::UnknownRoute),
            "{target}"
        );
    }
}

#[test]
fn a_connection_names_what_it_has_seen() {
    let connect = |query: &str| match asked(Method::Get, &format!("/connect?room_id=a{query}")) {
        Ok(Ask::Connect(connect)) => Ok(connect),
        Ok(ask) => panic!("{ask:?}"),
        Err(code) => Err(code),
    };
    assert_eq!(connect(""), Ok(Connect::default()));
    let all = connect("&after=41&incarnation=2a&tables=notes,Tasks").unwrap();
    let resume = Resume {
        after: 41,
        incarnation: Some("2a".into()),
    };
    assert_eq!(all.resume, Some(resume));
    assert_eq!(all.tables, ["notes".into(), "Tasks".into()]);
    assert_eq!(connect("&after=&tables="), Ok(Connect::default()));
    let long = format!("&after=1&incarnation={}", "x".repeat(33));
    let many = format!("&tables={}", "t,".repeat(1_001));
    for query in [
        "&after=x",
        "&after=-1",
        "&after=18446744073709551616",
        "&after=1&after=1",
        "&incarnation=2a",
        "&tables=_a",
        "&tables=%ff",
        &long,
        &many,
    ] {
        assert_eq!(connect(query), Err(Code::InvalidRequest), "{query}");
    }
}

#[test]
fn each_request_needs_its_right() {
    for (method, target, deed) in [
        (Method::Get, "/connect?room_id=a", Deed::Read),
        (Method::Get, "/backup?room_id=a", Deed::Read),
        (Method::Delete, "/v1/rooms/a", Deed::Manage),
        (Method::Post, "/v1/sql", Deed::Survey),
        (Method::Options, "/v1/rooms/a/rpc", Deed::Nothing),
    ] {
        let body = r#"{"sql":"SELECT 1"}"#;
        let (_, ask) = read(method, target, body).unwrap();
        assert_eq!(ask.deed(), deed, "{target}");
    }
    for info in super::METHODS {
        let body = format!(r#"{{"method":"{}","payload":{}}}"#, info.name, info.example);
        let (_, ask) = read(Method::Post, "/v1/rooms/a/rpc", &body).unwrap();
        assert_eq!(ask.deed(), info.needs, "{}", info.name);
    }
    // Whoever may do nothing in the room does not learn what was wrong either.
    let (_, ask) = read(Method::Post, "/v1/rooms/a/rpc", "{").unwrap();
    assert_eq!(ask.deed(), Deed::Enter);
}

#[test]
fn a_question_to_the_replica_names_its_rooms() {
    let global = |body: &str| match read(Method::Post, "/global-query", body) {
        Ok((None, Ask::Global(global))) => Ok(global),
        Ok(other) => panic!("{other:?}"),
        Err(code) => Err(code),
    };
    let rooms = |names: &[&str]| {
        let rooms = names.iter().map(|name| TableRoom::parse(name).unwrap());
        Some(rooms.collect())
    };
    assert_eq!(
        global(r#"{"sql":"SELECT ?","params":[1],"rooms":["b","a","b"]}"#),
        Ok(GlobalQuery {
            sql: "SELECT ?".into(),
            params: Params::Positional(vec![floe_proto::table::Value::Integer(1)]),
            rooms: rooms(&["a", "b"]),
            min_seqs: None,
        })
    );
    let at_least = |body| global(body).unwrap().min_seqs.unwrap();
    assert_eq!(at_least(r#"{"sql":"x","minSeq":{}}"#), []);
    assert_eq!(
        at_least(r#"{"sql":"x","rooms":["b","a"],"minSeq":{"b":7}}"#),
        [(TableRoom::parse("b").unwrap(), 7)]
    );
    assert_eq!(global(r#"{"sql":"x","rooms":null}"#).unwrap().rooms, None);
    assert_eq!(
        global(r#"{"sql":"x","rooms":[]}"#).unwrap().rooms,
        rooms(&[])
    );
    for (body, code) in [
        ("", Code::InvalidJson),
        ("[]", Code::InvalidRequest),
        ("{}", Code::InvalidRequest),
        (r#"{"sql":"  "}"#, Code::InvalidRequest),
        (r#"{"sql":"x","rooms":["a b"]}"#, Code::InvalidRequest),
        (r#"{"sql":"x","rooms":[1]}"#, Code::InvalidRequest),
        (r#"{"sql":"x","minSeq":3}"#, Code::InvalidRequest),
        (r#"{"sql":"x","minSeq":{"a":-1}}"#, Code::InvalidRequest),
        (r#"{"sql":"x","minSeq":{"a b":1}}"#, Code::InvalidRequest),
        (
            r#"{"sql":"x","rooms":["b"],"minSeq":{"a":1}}"#,
            Code::InvalidRequest,
        ),
        (r#"{"sql":"x","namespace":"other"}"#, Code::InvalidRequest),
    ] {
        assert_eq!(global(body), Err(code), "{body}");
    }
    assert_eq!(asked(Method::Get, "/v1/sql"), Err(Code::MethodNotAllowed));
    let found = GlobalRows {
        total: 1,
        rooms: 2,
        source: Source::Replica,
        data: br#"[{"n":1}]"#,
        truncated: false,
    };
    let errors = [("b", Code::NotFound, "there is no such room")];
    assert_eq!(
        written(|out| write_global(
            out,
            &found,
            [("n", "INTEGER")].into_iter(),
            [("a", 4)].into_iter(),
            errors.into_iter()
        )),
        r#"{"total":1,"rooms":2,"data":[{"n":1}],"columns":[{"name":"n","type":"INTEGER"}],"truncated":false,"source":"replica","seqs":{"a":4},"errors":[{"room":"b","code":"NOT_FOUND","message":"there is no such room"}]}"#
    );
}

#[test]
fn answers_over_http_are_the_same_json_with_a_status() {
    let envelope = Envelope {
        date: "now",
        cors: Cors::Unasked,
        close: false,
        head: false,
        pace: Pace::NONE,
    };
    let said = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    };
    let error = |code| Refusal::of(&label("insertRow", "1"), TableError::new(code, "no"));
    for (code, status) in [
        (Code::Constraint, "409"),
        (Code::PreconditionFailed, "412"),
        (Code::DiskFull, "507"),
        (Code::UnknownAction, "400"),
    ] {
        let refusal = error(code);
        let (head, body) = said(&|out| write_refused(out, &envelope, &refusal));
        let line = format!("HTTP/1.1 {} ", code.http_status());
        assert!(head.starts_with(&line) && line.contains(status), "{head}");
        assert_eq!(head.contains("Retry-After: 1"), code == Code::DiskFull);
        let json = written(|out| super::write_refusal(out, &refusal));
        assert_eq!(body, json);
    }
    let (head, body) = said(&|out| write_json(out, &envelope, b"{}"));
    assert!(
        head.contains("200 OK") && head.contains("no-store"),
        "{head}"
    );
    assert_eq!(body, "{}");
    let (head, body) = said(&|out| write_client(out, &envelope, "x"));
    assert!(head.contains("text/typescript") && body == "x", "{head}");
    let (head, body) = said(&|out| write_backup_head(out, &envelope, 4096));
    assert!(
        head.contains("Content-Length: 4096") && body.is_empty(),
        "{head}"
    );
}
