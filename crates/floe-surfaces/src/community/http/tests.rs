//! Requests about waddles, read and refused.

use floe_proto::community::{About, Policy, Role, RoomKind};
use floe_proto::{Code, Millis};

use super::*;

fn ask(method: Method, target: &str, body: &str) -> Result<(Ask, Option<Box<str>>), Code> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let asked = read_request(method, path, query, std::iter::empty(), body.as_bytes());
    asked
        .map(|asked| (asked.ask, asked.actor))
        .map_err(|reject| reject.code)
}

#[test]
fn every_route_is_read() {
    for (method, route) in ROUTES {
        let path = route
            .replace("{waddle}", "birds")
            .replace("{user}", "ann%20b")
            .replace("{channel}", "0123456789ab");
        let target = match route.ends_with("/search") {
            true => format!("{path}?q=fish"),
            false => path,
        };
        let body = match (method, route.rsplit('/').next()) {
            (Method::Post, Some("waddles" | "channels")) => r#"{"name":"n"}"#,
            (Method::Put, _) if route.contains("timeouts") => r#"{"seconds":5}"#,
            _ => "{}",
        };
        assert!(owns(route));
        assert!(ask(method, &target, body).is_ok(), "{method:?} {route}");
        assert_eq!(
            ask(Method::Options, &target, ""),
            Ok((Ask::Preflight, None))
        );
        let (path, _) = target.split_once('?').unwrap_or((&target, ""));
        assert_eq!(ask(Method::Other, path, body), Err(Code::MethodNotAllowed));
    }
    assert!(!owns("/v1/waddlesx"));
    for path in [
        "/v1/waddles/",
        "/v1/waddles/a/b",
        "/v1/waddles/a/members/b/c",
    ] {
        let refused = ask(Method::Get, path, "").unwrap_err();
        assert!(
            matches!(refused, Code::UnknownRoute | Code::InvalidRequest),
            "{path}"
        );
    }
}

#[test]
fn what_a_body_says_is_taken() {
    let body = r#"{"id":"birds","name":"Birds","join":"invite","owner":"ann","userId":"bob"}"#;
    let (asked, actor) = ask(Method::Post, "/v1/waddles", body).unwrap();
    let about = About {
        name: "Birds".into(),
        join: Policy::Invite,
    };
    let owner = Some("ann".into());
    let id = Some("birds".parse().unwrap());
    assert_eq!(asked, Ask::Create { id, about, owner });
    assert_eq!(actor.as_deref(), Some("bob"));

    let body = r#"{"name":"n","kind":"voice","read":"moderator","participantsMax":3}"#;
    let (asked, _) = ask(Method::Post, "/v1/waddles/birds/channels", body).unwrap();
    let room = NewRoom {
        kind: RoomKind::Voice,
        name: "n".into(),
        read: Role::Moderator,
        write: Role::Moderator,
        participants_max: Some(3),
    };
    assert_eq!(asked, Ask::CreateRoom(room));

    let path = "/v1/waddles/birds/channels/0123456789ab";
    let (asked, _) = ask(Method::Patch, path, r#"{"participantsMax":null}"#).unwrap();
    let change = RoomChange {
        participants_max: Some(None),
        ..RoomChange::default()
    };
    assert_eq!(
        asked,
        Ask::ChangeRoom("0123456789ab".parse().unwrap(), change)
    );
}

#[test]
fn an_end_is_seconds_or_a_moment() {
    let path = "/v1/waddles/birds/timeouts/ann";
    let end = |body: &str| match ask(Method::Put, path, body) {
        Ok((Ask::TimeOut { end, .. }, _)) => Ok(end.unwrap().moment(Millis(1_000))),
        Ok(other) => panic!("{other:?}"),
        Err(code) => Err(code),
    };
    assert_eq!(end(r#"{"seconds":2}"#), Ok(Millis(3_000)));
    assert_eq!(
        end(r#"{"until":"1970-01-01T00:00:09Z"}"#),
        Ok(Millis(9_000))
    );
    for body in [
        "{}",
        r#"{"seconds":0}"#,
        r#"{"seconds":4000000000}"#,
        r#"{"until":"tomorrow"}"#,
        r#"{"seconds":1,"until":"1970-01-01T00:00:09Z"}"#,
        r#"{"seconds":-1}"#,
    ] {
        assert_eq!(end(body), Err(Code::InvalidRequest), "{body}");
    }
    let (asked, _) = ask(Method::Put, "/v1/waddles/birds/bans/ann", "").unwrap();
    let (user, end, reason) = ("ann".into(), None, None);
    assert_eq!(asked, Ask::Ban { user, end, reason });
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let long = "x".repeat(501);
    let reason = format!("/v1/waddles/a/members/b?reason={long}");
    let user = format!("/v1/waddles/a/members/{}", "u".repeat(129));
    let refused: [(Method, &str, &str, Code); 12] = [
        (Method::Post, "/v1/waddles", "{", Code::InvalidJson),
        (Method::Post, "/v1/waddles", "{}", Code::InvalidRequest),
        (
            Method::Post,
            "/v1/waddles",
            r#"{"name":"n","id":"a b"}"#,
            Code::InvalidRequest,
        ),
        (
            Method::Post,
            "/v1/waddles",
            r#"{"name":"n","who":1}"#,
            Code::InvalidRequest,
        ),
        (Method::Get, "/v1/waddles/a?x=1", "", Code::InvalidRequest),
        (
            Method::Get,
            "/v1/waddles/a/members?limit=0",
            "",
            Code::InvalidRequest,
        ),
        (
            Method::Get,
            "/v1/waddles/a/members?role=king",
            "",
            Code::InvalidRequest,
        ),
        (
            Method::Get,
            "/v1/waddles/a/search",
            "",
            Code::InvalidRequest,
        ),
        (
            Method::Post,
            "/v1/waddles/a/join?user=b",
            r#"{"userId":"c"}"#,
            Code::InvalidRequest,
        ),
        (Method::Delete, &reason, "", Code::InvalidRequest),
        (Method::Delete, &user, "", Code::InvalidRequest),
        (
            Method::Get,
            "/v1/waddles/a/channels/xyz",
            "",
            Code::InvalidRequest,
        ),
    ];
    for (method, target, body, code) in refused {
        assert_eq!(ask(method, target, body), Err(code), "{target} {body}");
    }
    let big = format!(r#"{{"name":"{}"}}"#, "x".repeat(BODY_BYTES_MAX));
    assert_eq!(
        ask(Method::Post, "/v1/waddles", &big),
        Err(Code::BodyTooLarge)
    );
}
