//! Requests about rules, and their answers.

use floe_core::access::{AccessChange, AccessPatch, Role, RoomAccess};
use floe_proto::{ChannelId, Code, Rights};

use super::*;
use crate::http::Envelope;

fn read(method: Method, path: &str, if_match: Option<&str>, body: &str) -> Result<Ask, Code> {
    let fields = if_match.map(|value| ("If-Match", value.as_bytes()));
    read_request(method, path, fields.into_iter(), body.as_bytes())
        .map(|asked| asked.ask)
        .map_err(|reject| reject.code)
}

#[test]
fn every_route_is_read_and_no_other_method() {
    let all = [
        Method::Get,
        Method::Put,
        Method::Post,
        Method::Patch,
        Method::Delete,
        Method::Other,
    ];
    for (_, pattern) in ROUTES {
        for room in ["stream/a/b", "channel/0123456789ab"] {
            let path = pattern.replace("{room}", room).replace("{user}", "mia");
            assert!(owns(&path));
            for method in all {
                let known = ROUTES.contains(&(method, pattern));
                let read = read(method, &path, None, "{}");
                // The path of a stream may end like a member's.
                let is_other_room = pattern.contains("{user}") && room.starts_with("stream");
                if known {
                    assert!(read.is_ok(), "{method:?} {path}");
                } else if !is_other_room {
                    let code = read.unwrap_err();
                    let refused = [Code::MethodNotAllowed, Code::UnknownRoute];
                    assert!(refused.contains(&code), "{method:?} {path}");
                }
            }
        }
    }
}

#[test]
fn rooms_are_named_as_on_live_connections() {
    let room = |path: &'static str| {
        let read = read_request(Method::Get, path, std::iter::empty(), b"");
        read.map(|asked| asked.room)
    };
    let stream = room("/v1/access/stream/a%20b/c").unwrap();
    assert_eq!(stream, RoomPath::Stream(b"a b/c".as_slice().into()));
    assert_eq!(stream.to_string(), "stream/a b/c");
    let channel = room("/v1/access/channel/010203040506").unwrap();
    assert_eq!(channel, RoomPath::Channel(ChannelId([1, 2, 3, 4, 5, 6])));
    for path in [
        "/v1/access/",
        "/v1/access/stream/",
        "/v1/access/stream",
        "/v1/access/channel/xyz",
        "/v1/access/room/",
        "/v1/access/room/a b",
        "/v1/access/stream/%",
    ] {
        assert_eq!(room(path).unwrap_err().code, Code::UnknownRoute, "{path}");
    }
}

#[test]
fn what_is_not_said_stays_or_goes() {
    let path = "/v1/access/stream/a";
    let body = r#"{"public":"read","owner":"olga","members":{"mia":"moderator"}}"#;
    let rules = RoomAccess {
        public: Rights::READ,
        owner: Some("olga".into()),
        members: [("mia".into(), Role::Moderator)].into(),
    };
    let change = |change, if_version| Ok(Ask::Change { change, if_version });
    assert_eq!(
        read(Method::Put, path, Some("\"7\""), body),
        change(AccessChange::Replace(rules), Some(7))
    );
    assert_eq!(
        read(Method::Put, path, Some("*"), "{}"),
        change(AccessChange::Replace(RoomAccess::default()), None)
    );
    let patch = AccessPatch {
        owner: Some(None),
        members: [("mia".into(), None), ("tom".into(), Some(Role::Reader))].into(),
        ..AccessPatch::default()
    };
    assert_eq!(
        read(
            Method::Patch,
            path,
            None,
            r#"{"owner":null,"members":{"mia":null,"tom":"reader"}}"#
        ),
        change(AccessChange::Merge(patch), None)
    );
    let gone = AccessPatch {
        members: [("a b".into(), None)].into(),
        ..AccessPatch::default()
    };
    assert_eq!(
        read(
            Method::Delete,
            "/v1/access/stream/a/members/a%20b",
            None,
            ""
        ),
        change(AccessChange::Merge(gone), None)
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    let path = "/v1/access/stream/a";
    for (body, code) in [
        ("", Code::InvalidJson),
        ("[]", Code::InvalidRequest),
        (r#"{"public":"write"}"#, Code::InvalidRequest),
        (r#"{"members":{"mia":"king"}}"#, Code::InvalidRequest),
        (r#"{"members":{"mia":null}}"#, Code::InvalidRequest),
        (r#"{"membres":{}}"#, Code::InvalidRequest),
        (r#"{"owner":1}"#, Code::InvalidRequest),
    ] {
        assert_eq!(read(Method::Put, path, None, body), Err(code), "{body}");
    }
    assert_eq!(
        read(Method::Put, path, Some("\"x\""), "{}"),
        Err(Code::InvalidRequest)
    );
    let long = " ".repeat(BODY_BYTES_MAX + 1);
    assert_eq!(
        read(Method::Put, path, None, &long),
        Err(Code::BodyTooLarge)
    );
}

#[test]
fn an_answer_can_be_sent_back() {
    let access = RoomAccess {
        public: Rights::READ,
        owner: Some("olga".into()),
        members: [("mia".into(), Role::Member)].into(),
    };
    let rules = Rules {
        room: "stream/a",
        version: 3,
        access: &access,
    };
    let envelope = Envelope {
        date: "now",
        cors: crate::http::Cors::Unasked,
        close: false,
        head: false,
        pace: crate::limits::Pace::NONE,
    };
    let mut out = Vec::new();
    write_rules(&mut out, &envelope, &rules);
    let text = String::from_utf8(out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("\r\nETag: \"3\""), "{head}");
    assert_eq!(
        body,
        r#"{"room":"stream/a","version":3,"public":"read","owner":"olga","members":{"mia":"member"}}"#
    );
    assert_eq!(
        read(Method::Put, "/v1/access/stream/a", Some("\"3\""), body),
        Ok(Ask::Change {
            change: AccessChange::Replace(access),
            if_version: Some(3)
        })
    );
}
