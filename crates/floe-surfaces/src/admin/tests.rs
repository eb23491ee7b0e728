use std::collections::BTreeSet;

use floe_core::access::Role;
use floe_core::directory::Revoked;
use floe_proto::{Code, Rights};
use proptest::prelude::*;

use super::*;
use crate::access::{Office, RoomPattern, Scope};
use crate::http::Method;

fn read<'a>(method: Method, target: &'a str, body: &'a str) -> Result<Asked<'a>, Reject> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    read_request(method, path, query, std::iter::empty(), body.as_bytes())
}

fn ask(method: Method, target: &str, body: &str) -> Ask {
    read(method, target, body)
        .unwrap_or_else(|reject| panic!("{target} {body}: {reject:?}"))
        .ask
}

fn refused(method: Method, target: &str, body: &str) -> Reject {
    read(method, target, body).unwrap_err()
}

#[test]
fn every_route_is_owned_and_stands_once() {
    let mut seen = BTreeSet::new();
    for route in &ROUTES {
        assert!(owns(route.path), "{}", route.path);
        assert!(seen.insert((route.path, format!("{:?}", route.method))));
    }
    for path in [
        "/v1/keysx",
        "/v1/stream/keys",
        "/v1/channels",
        "/keys",
        "/v1/",
    ] {
        assert!(!owns(path), "{path}");
    }
    let open = ROUTES
        .iter()
        .filter(|route| route.office == Office::Everyone);
    assert_eq!(
        open.map(|route| route.path).collect::<Vec<_>>(),
        ["/v1/whoami"]
    );
}

#[test]
fn what_is_no_route_is_refused() {
    for (method, target, code) in [
        (Method::Get, "/v1/keys/a/b", Code::UnknownRoute),
        (Method::Get, "/v1/invitations", Code::UnknownRoute),
        (Method::Put, "/v1/keys", Code::MethodNotAllowed),
        (Method::Head, "/v1/tickets", Code::MethodNotAllowed),
        (Method::Get, "/v1/keys?x=1", Code::InvalidRequest),
        (
            Method::Get,
            "/v1/keys?limit=1&limit=1",
            Code::InvalidRequest,
        ),
        (Method::Get, "/v1/keys?limit=0", Code::InvalidRequest),
        (Method::Get, "/v1/keys?limit=1001", Code::InvalidRequest),
        (Method::Get, "/v1/keys?namespace=a/b", Code::InvalidRequest),
        (Method::Get, "/v1/keys/a%2fb", Code::InvalidRequest),
        (Method::Delete, "/v1/namespaces/-a", Code::InvalidRequest),
    ] {
        assert_eq!(refused(method, target, "").code, code, "{target}");
    }
    assert_eq!(ask(Method::Options, "/v1/anything", ""), Ask::Preflight);
    assert_eq!(
        ask(Method::Head, "/v1/whoami?ticket=x&share=y", ""),
        Ask::Whoami
    );
}

#[test]
fn a_key_is_read_with_all_that_it_says() {
    let body = r#"{"namespace":"*","name":"ci","rights":["read"],"rooms":{"stream/a/**":["append"]},
        "user":"ann","expiresInSeconds":5}"#;
    let Ask::CreateKey(key) = ask(Method::Post, "/v1/keys", body) else {
        panic!("no key");
    };
    assert_eq!((key.scope, &*key.name), (Some(Scope::All), "ci"));
    assert_eq!(key.user.as_deref(), Some("ann"));
    let grants: Vec<_> = key.grants.iter().collect();
    assert_eq!(
        grants,
        [
            ("**".to_owned(), Rights::READ),
            ("stream/a/**".to_owned(), Rights::APPEND)
        ]
    );
    for body in [
        "{}",
        r#"{"rights":[]}"#,
        r#"{"rights":["king"]}"#,
        r#"{"rights":["read"],"rooms":{"a":["read"]}}"#,
        r#"{"rights":["read"],"user":""}"#,
        r#"{"rights":["read"],"user":"a\nb"}"#,
        r#"{"rights":["read"],"expiresInSeconds":0}"#,
        r#"{"rights":["read"],"expiresInSeconds":1,"expiresAt":"2030-01-01T00:00:00Z"}"#,
        r#"{"rights":["read"],"expiresAt":"tomorrow"}"#,
        r#"{"rights":["read"],"colour":1}"#,
        r#"{"rights":["read"],"namespace":"a/b"}"#,
        r#"{"rights":"read"}"#,
    ] {
        let reject = refused(Method::Post, "/v1/keys", body);
        assert_eq!(reject.code, Code::InvalidRequest, "{body}");
    }
    let list = refused(Method::Post, "/v1/keys", r#"[null,"x",["read"]]"#);
    assert_eq!(list.code, Code::InvalidRequest);
    for body in ["", "{", "{,"] {
        assert_eq!(
            refused(Method::Post, "/v1/keys", body).code,
            Code::InvalidJson
        );
    }
}

#[test]
fn a_token_without_a_user_reads_and_nothing_else() {
    let token = |body: &str| {
        let asked = ask(Method::Post, "/v1/tokens", body);
        let Ask::SignToken(token) = asked else {
            panic!("{asked:?}");
        };
        token
    };
    let plain = token(r#"{"user":"ann","rights":["read","append"]}"#);
    assert_eq!(
        (plain.purpose, plain.user.as_deref()),
        (Use::Access, Some("ann"))
    );
    let share = token(r#"{"use":"share","rooms":{"stream/a":["read"]}}"#);
    assert_eq!((share.purpose, share.user), (Use::Share, None));
    let invite = token(r#"{"use":"invite","room":"stream/a/b","role":"member"}"#);
    let expected = Invite {
        room: RoomPattern::parse("stream/a/b").unwrap(),
        role: Role::Member,
    };
    assert_eq!(invite.purpose, Use::Invite(expected));
    assert_eq!(invite.grants.iter().count(), 1);
    for body in [
        r#"{"rights":["append"]}"#,
        r#"{"use":"share","rooms":{"stream/a":["append"]}}"#,
        r#"{"use":"x","rights":["read"]}"#,
        r#"{"namespace":"*","rights":["read"]}"#,
        r#"{"use":"invite","room":"stream/a/*","role":"member"}"#,
        r#"{"use":"invite","room":"channel/*","role":"member"}"#,
        r#"{"use":"invite","room":"stream/a","role":"king"}"#,
        r#"{"use":"invite","room":"stream/a","role":"member","rights":["read"]}"#,
        r#"{"rights":["read"],"room":"stream/a"}"#,
    ] {
        let reject = refused(Method::Post, "/v1/tokens", body);
        assert_eq!(reject.code, Code::InvalidRequest, "{body}");
    }
}

#[test]
fn one_thing_is_revoked_at_a_time() {
    let revoke = |body: &str| ask(Method::Post, "/v1/revocations", body);
    assert_eq!(
        revoke(r#"{"key":"abc"}"#),
        Ask::Revoke(NewRevocation::Key("abc".into()))
    );
    let user = NewRevocation::Of {
        scope: None,
        what: Revoked::User("ann".into()),
        until: None,
    };
    assert_eq!(revoke(r#"{"user":"ann"}"#), Ask::Revoke(user));
    for body in [
        "{}",
        r#"{"key":"a","user":"b"}"#,
        r#"{"key":"a","namespace":"b"}"#,
        r#"{"user":""}"#,
        r#"{"token":"a\u0000"}"#,
    ] {
        let reject = refused(Method::Post, "/v1/revocations", body);
        assert_eq!(reject.code, Code::InvalidRequest, "{body}");
    }
}

#[test]
fn settings_are_bounded() {
    let change =
        |body: &str| read(Method::Patch, "/v1/namespaces/acme", body).map(|asked| asked.ask);
    assert!(change(r#"{"origins":["https://a"],"quotas":{"rooms":5,"x":null}}"#).is_ok());
    assert!(change(r#"{"retention":{"maxEvents":5}}"#).is_ok());
    let many: Vec<_> = (0..33).map(|at| format!("\"https://{at}\"")).collect();
    for body in [
        r#"{"origins":["ftp://a"]}"#,
        r#"{"origins":["https://a b"]}"#,
        r#"{"quotas":{"a b":1}}"#,
        r#"{"quotas":{"":1}}"#,
        r#"{"quotas":{"a":-1}}"#,
        r#"{"name":"other"}"#,
        &format!("{{\"origins\":[{}]}}", many.join(",")),
    ] {
        assert_eq!(
            change(body).unwrap_err().code,
            Code::InvalidRequest,
            "{body}"
        );
    }
}

proptest! {
    #[test]
    fn hostile_requests_are_read_or_refused(
        target in "/v1/(keys|tokens|namespaces|revocations|invitations|tickets|whoami)[/a-z%?=&]{0,20}",
        body in ".{0,60}",
    ) {
        for method in [Method::Get, Method::Post, Method::Patch, Method::Delete, Method::Other] {
            let _ = read(method, &target, &body);
        }
    }
}
