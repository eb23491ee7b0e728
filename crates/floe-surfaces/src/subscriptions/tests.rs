use floe_core::subscription::{
    Ack, Claim, LinkView, Notification, Put, Refusal, Reply, Request, StreamState, Target, View,
    WakeEvent,
};
use floe_proto::{Code, Millis, Offset};
use serde_json::{Value, json};

use super::*;
use crate::http::{Envelope, Method};

const BASE: &str = "http://127.0.0.1:4437";

fn read(method: Method, path: &str, body: &Value) -> Result<Asked, Code> {
    let context = Context {
        base: BASE,
        development: true,
    };
    let body = body.to_string();
    let asked = read_request(method, path, Some("Bearer t"), body.as_bytes(), &context);
    asked.map_err(|reject| reject.code)
}

fn asked(id: &str, request: Request) -> Result<Asked, Code> {
    Ok(Asked::Subscription {
        id: id.into(),
        request,
    })
}

fn answer(reply: &Reply) -> (String, Value) {
    let envelope = Envelope {
        date: "now",
        cors: crate::http::Cors::Unasked,
        close: false,
        head: false,
        pace: crate::limits::Pace::NONE,
    };
    let mut out = Vec::new();
    write_reply(&mut out, &envelope, reply, BASE, &PublicKey::new([7; 32]));
    let text = String::from_utf8(out).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(body).unwrap()
    };
    (head.to_owned(), body)
}

#[test]
fn administration_takes_rights_and_who_holds_a_wake_shows_its_token() {
    use crate::access::Deed;
    let put = json!({"type": "webhook", "webhook": {"url": "http://127.0.0.1/"}, "pattern": "a"});
    let held = json!({"wake_id": "w_1", "generation": 1});
    let manage: &[Deed] = &[Deed::Manage];
    let rows: [(Method, &str, Value, &[Deed]); 10] = [
        (Method::Put, "subscriptions/s", put.clone(), manage),
        (Method::Get, "subscriptions/s", json!({}), manage),
        (Method::Delete, "subscriptions/s", json!({}), manage),
        (
            Method::Post,
            "subscriptions/s/streams",
            json!({"streams": ["a"]}),
            manage,
        ),
        (
            Method::Delete,
            "subscriptions/s/streams/a",
            json!({}),
            manage,
        ),
        (
            Method::Post,
            "subscriptions/s/claim",
            json!({"worker": "w"}),
            &[Deed::Survey, Deed::Append],
        ),
        (Method::Post, "subscriptions/s/ack", held.clone(), &[]),
        (Method::Post, "subscriptions/s/release", held.clone(), &[]),
        (Method::Post, "subscriptions/s/callback", held, &[]),
        (Method::Get, "jwks.json", json!({}), &[]),
    ];
    for (method, path, body, deeds) in rows {
        assert_eq!(read(method, path, &body).unwrap().deeds(), deeds, "{path}");
    }
    let acme = "acme".parse().unwrap();
    assert_eq!(base_in(BASE, &Namespace::default()), BASE);
    assert_eq!(base_in(BASE, &acme), format!("{BASE}/n/acme"));
    let mut asked = read(Method::Put, "subscriptions/s", &put).unwrap();
    asked.rebase("http://b/n/acme");
    let Asked::Subscription {
        request: Request::Put(put),
        ..
    } = asked
    else {
        panic!("no put");
    };
    let Target::Webhook { base, .. } = put.target else {
        panic!("no webhook");
    };
    assert_eq!(&*base, "http://b/n/acme");
}

fn view() -> View {
    View {
        id: "a b".into(),
        target: Target::Webhook {
            url: "https://e.com/".into(),
            base: BASE.into(),
        },
        pattern: Some("events/*".into()),
        streams: vec![link()],
        lease_ms: 30_000,
        description: None,
        created_at: Millis(0),
        generation: 0,
        failed: false,
        next_attempt_at: None,
        links_refused: 0,
    }
}

fn link() -> LinkView {
    LinkView {
        path: "events/a".into(),
        explicit: false,
        acked: Offset(1),
    }
}

fn states() -> Vec<StreamState> {
    vec![StreamState {
        link: link(),
        tail: Offset(2),
    }]
}

#[test]
fn a_put_is_read_with_its_defaults() {
    let body = json!({ "type": "pull-wake", "pattern": "events/*", "wake_stream": "wake/pool", "extra": 1 });
    let put = Put {
        target: Target::PullWake {
            wake_stream: "wake/pool".into(),
        },
        pattern: Some("events/*".into()),
        ..Put::default()
    };
    assert_eq!(put.lease_ms, 30_000);
    assert_eq!(
        read(Method::Put, "subscriptions/s%201", &body),
        asked("s 1", Request::Put(put))
    );
}

#[test]
fn a_webhook_remembers_where_callbacks_go() {
    let body = json!({
        "type": "webhook", "streams": ["a"], "webhook": { "url": "http://127.0.0.1:1/w" },
        "lease_ttl_ms": 1000, "description": "d",
    });
    let put = Put {
        target: Target::Webhook {
            url: "http://127.0.0.1:1/w".into(),
            base: BASE.into(),
        },
        pattern: None,
        streams: vec!["a".into()],
        lease_ms: 1_000,
        description: Some("d".into()),
    };
    assert_eq!(
        read(Method::Put, "subscriptions/s", &body),
        asked("s", Request::Put(put))
    );
}

#[test]
fn malformed_puts_are_rejected_by_code() {
    for (body, code) in [
        (json!({}), Code::InvalidRequest),
        (json!({ "type": "push" }), Code::InvalidRequest),
        (
            json!({ "type": "webhook", "pattern": "a" }),
            Code::InvalidRequest,
        ),
        (
            json!({ "type": "pull-wake", "pattern": "a" }),
            Code::InvalidRequest,
        ),
        (
            json!({ "type": "pull-wake", "wake_stream": "w", "streams": [1] }),
            Code::InvalidRequest,
        ),
        (
            json!({ "type": "pull-wake", "wake_stream": "w", "lease_ttl_ms": 1.5 }),
            Code::InvalidRequest,
        ),
        (
            json!({ "type": "webhook", "webhook": { "url": "http://10.0.0.1/hook" } }),
            Code::WebhookUrlRejected,
        ),
    ] {
        assert_eq!(
            read(Method::Put, "subscriptions/s", &body),
            Err(code),
            "{body}"
        );
    }
    let context = Context {
        base: BASE,
        development: false,
    };
    let broken = |body: &[u8]| {
        let asked = read_request(Method::Put, "subscriptions/s", None, body, &context);
        asked.unwrap_err().code
    };
    assert_eq!(broken(b"{"), Code::InvalidJson);
    assert_eq!(broken(b""), Code::InvalidJson);
    assert_eq!(broken(&vec![b' '; BODY_BYTES_MAX + 1]), Code::BodyTooLarge);
    let local = br#"{"type":"webhook","pattern":"a","webhook":{"url":"http://127.0.0.1/"}}"#;
    assert_eq!(broken(local), Code::WebhookUrlRejected);
}

#[test]
fn routes_and_methods() {
    let none = Value::Null;
    let streams = json!({ "streams": ["a", "b"] });
    let added = Request::AddStreams(vec!["a".into(), "b".into()]);
    let worker = "w".into();
    for (method, path, body, expected) in [
        (Method::Get, "jwks.json", &none, Ok(Asked::KeySet)),
        (
            Method::Get,
            "subscriptions/s",
            &none,
            asked("s", Request::Get),
        ),
        (
            Method::Head,
            "subscriptions/s",
            &none,
            asked("s", Request::Get),
        ),
        (
            Method::Delete,
            "subscriptions/s",
            &none,
            asked("s", Request::Delete),
        ),
        (
            Method::Post,
            "subscriptions/s/streams",
            &streams,
            asked("s", added),
        ),
        (
            Method::Delete,
            "subscriptions/s/streams/a%2Fb",
            &none,
            asked("s", Request::RemoveStream("a/b".into())),
        ),
        (
            Method::Delete,
            "subscriptions/s/streams/a/b",
            &none,
            asked("s", Request::RemoveStream("a/b".into())),
        ),
        (
            Method::Post,
            "subscriptions/s/claim",
            &json!({ "worker": "w" }),
            asked("s", Request::Claim { worker }),
        ),
        (
            Method::Post,
            "jwks.json",
            &none,
            Err(Code::MethodNotAllowed),
        ),
        (
            Method::Post,
            "subscriptions/s",
            &none,
            Err(Code::MethodNotAllowed),
        ),
        (
            Method::Get,
            "subscriptions/s/claim",
            &none,
            Err(Code::MethodNotAllowed),
        ),
        (
            Method::Post,
            "subscriptions/s/claim",
            &json!({}),
            Err(Code::InvalidRequest),
        ),
        (
            Method::Get,
            "subscriptions/",
            &none,
            Err(Code::UnknownRoute),
        ),
        (Method::Get, "subscriptions", &none, Err(Code::UnknownRoute)),
        (
            Method::Get,
            "subscriptions/%zz",
            &none,
            Err(Code::UnknownRoute),
        ),
        (
            Method::Get,
            "subscriptions/%ff",
            &none,
            Err(Code::InvalidRequest),
        ),
        (
            Method::Delete,
            "subscriptions/s/streams/",
            &none,
            Err(Code::UnknownRoute),
        ),
        (
            Method::Post,
            "subscriptions/s/else",
            &none,
            Err(Code::UnknownRoute),
        ),
        (Method::Get, "else", &none, Err(Code::UnknownRoute)),
    ] {
        assert_eq!(read(method, path, body), expected, "{path}");
    }
}

#[test]
fn acks_need_a_token_and_offsets_of_ours() {
    let body = json!({
        "wake_id": "w_1", "generation": 3, "done": true,
        "acks": [{ "stream": "events/a", "offset": "0000000000000002" }],
    });
    let ack = Ack {
        token: "t".into(),
        wake_id: "w_1".into(),
        generation: 3,
        acks: vec![("events/a".into(), Offset(2))],
        done: true,
    };
    for (action, request) in [
        ("ack", Request::Ack(ack.clone())),
        ("release", Request::Release(ack.clone())),
        ("callback", Request::Callback(ack)),
    ] {
        let path = format!("subscriptions/s/{action}");
        assert_eq!(read(Method::Post, &path, &body), asked("s", request));
        let context = Context {
            base: BASE,
            development: true,
        };
        for authorization in [None, Some("Bearer"), Some("Basic x"), Some("Bearer  ")] {
            let rejected = read_request(Method::Post, &path, authorization, b"{}", &context);
            assert_eq!(rejected.unwrap_err().code, Code::Unauthorized);
        }
    }
    let foreign =
        json!({ "wake_id": "w", "generation": 1, "acks": [{ "stream": "a", "offset": "-1" }] });
    assert_eq!(
        read(Method::Post, "subscriptions/s/ack", &foreign),
        Err(Code::InvalidOffset)
    );
}

#[test]
fn a_subscription_is_shown_with_its_signing_key_and_no_secret() {
    let (head, body) = answer(&Reply::Created(view()));
    assert!(
        head.starts_with("HTTP/1.1 201 ") && head.contains("Content-Type: application/json\r\n")
    );
    let expected = json!({
        "id": "a b", "subscription_id": "a b", "type": "webhook", "pattern": "events/*",
        "streams": [{ "path": "events/a", "link_type": "glob", "acked_offset": "0000000000000001" }],
        "webhook": { "url": "https://e.com/", "signing": {
            "alg": "ed25519", "kid": "ds_BwcHBwcHBwcHBwcH",
            "jwks_url": "http://127.0.0.1:4437/v1/stream/__ds/jwks.json",
        } },
        "wake_stream": null, "lease_ttl_ms": 30000, "created_at": "1970-01-01T00:00:00.000Z",
        "status": "active", "description": null, "generation": 0,
    });
    assert_eq!(body, expected);
    let failed = View {
        failed: true,
        next_attempt_at: Some(Millis(1_000)),
        links_refused: 2,
        ..view()
    };
    let (head, body) = answer(&Reply::Found(failed));
    assert!(head.starts_with("HTTP/1.1 200 "));
    assert_eq!(body["status"], "failed");
    assert_eq!(body["next_attempt_at"], "1970-01-01T00:00:01.000Z");
    assert_eq!(body["links_refused"], 2);
}

#[test]
fn claims_acks_and_empty_answers() {
    let claim = Claim {
        wake_id: "w_1".into(),
        generation: 7,
        token: "t".into(),
        streams: states(),
        lease_ms: 1_000,
    };
    let expected = json!({
        "wake_id": "w_1", "generation": 7, "token": "t", "lease_ttl_ms": 1000,
        "streams": [{
            "path": "events/a", "link_type": "glob", "acked_offset": "0000000000000001",
            "tail_offset": "0000000000000002", "has_pending": true,
        }],
    });
    assert_eq!(answer(&Reply::Claimed(claim)).1, expected);
    let acked = answer(&Reply::Acked { next_wake: false }).1;
    assert_eq!(acked, json!({ "ok": true, "next_wake": false }));
    for reply in [
        Reply::Deleted,
        Reply::StreamsAdded,
        Reply::StreamRemoved,
        Reply::Released,
    ] {
        let (head, body) = answer(&reply);
        assert!(head.starts_with("HTTP/1.1 204 ") && body.is_null());
    }
}

#[test]
fn errors_have_our_form_and_the_protocols() {
    let refusal = Refusal::AlreadyClaimed {
        holder: "w2".into(),
        generation: 7,
    };
    let (head, body) = answer(&Reply::Refused(refusal));
    assert!(head.starts_with("HTTP/1.1 409 ") && head.contains("Cache-Control: no-store"));
    let expected = json!({
        "code": "ALREADY_CLAIMED", "message": "w2 holds the lease",
        "error": {
            "code": "ALREADY_CLAIMED", "message": "w2 holds the lease",
            "current_holder": "w2", "generation": 7,
        },
    });
    assert_eq!(body, expected);
    let (head, body) = answer(&Reply::Refused(Refusal::Unauthorized));
    assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("WWW-Authenticate: Bearer"));
    assert_eq!(body["error"]["code"], "UNAUTHORIZED");
}

#[test]
fn a_notification_tells_where_to_call_back() {
    let notification = Notification {
        url: "https://e.com/".into(),
        base: BASE.into(),
        subscription_id: "a b/ü".into(),
        wake_id: "w_1".into(),
        generation: 7,
        token: "t".into(),
        streams: states(),
        timeout_ms: 1,
    };
    let body: Value = serde_json::from_slice(&notification_body(&notification)).unwrap();
    let expected = json!({
        "subscription_id": "a b/ü", "wake_id": "w_1", "generation": 7, "callback_token": "t",
        "callback_url": "http://127.0.0.1:4437/v1/stream/__ds/subscriptions/a%20b%2F%C3%BC/callback",
        "streams": [{
            "path": "events/a", "link_type": "glob", "acked_offset": "0000000000000001",
            "tail_offset": "0000000000000002", "has_pending": true,
        }],
    });
    assert_eq!(body, expected);
}

#[test]
fn a_wake_event_is_one_json_message() {
    let event = WakeEvent {
        subscription_id: "s\"1".into(),
        stream: "events/a".into(),
        generation: 7,
        at: Millis(9),
    };
    let expected =
        br#"{"type":"wake","subscription_id":"s\"1","stream":"events/a","generation":7,"ts":9}"#;
    assert_eq!(wake_event_body(&event), expected);
}

#[test]
fn the_key_set_is_a_cached_jwk_set() {
    let key = PublicKey::new([7; 32]);
    let expected = json!({ "keys": [{
        "kty": "OKP", "crv": "Ed25519", "x": "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc",
        "kid": "ds_BwcHBwcHBwcHBwcH", "use": "sig", "alg": "EdDSA",
    }] });
    assert_eq!(
        serde_json::from_str::<Value>(&key.jwks()).unwrap(),
        expected
    );
}

#[test]
fn the_base_is_configured_or_comes_from_the_host() {
    for (configured, host, expected) in [
        (
            Some("https://floe.example/"),
            Some("h"),
            "https://floe.example",
        ),
        (None, Some("h:1"), "http://h:1"),
        (None, Some("[::1]:1"), "http://[::1]:1"),
        (None, Some("evil/@x"), "http://local:2"),
        (None, Some(""), "http://local:2"),
        (None, None, "http://local:2"),
    ] {
        assert_eq!(base_url(configured, false, host, "local:2"), expected);
    }
    assert_eq!(base_url(None, true, Some("h"), "local:2"), "https://h");
}
