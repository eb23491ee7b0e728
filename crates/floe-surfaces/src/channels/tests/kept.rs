use floe_core::channel::SlowPolicy;
use floe_proto::{Code, Retention, Rights};
use serde_json::json;

use super::*;

#[test]
fn every_route_of_the_kept_form_is_read() {
    let body = |value: serde_json::Value| value.to_string();
    let namespace = || Some("acme".into());
    let cases = [
        (
            "create",
            json!({"namespace": "acme", "name": "deploys"}),
            Ask::Create(Create {
                namespace: namespace(),
                name: "deploys".into(),
                retention: Retention::default(),
                slow: SlowPolicy::Disconnect,
            }),
        ),
        (
            "list",
            json!({"namespace": "acme"}),
            Ask::List(List {
                namespace: namespace(),
                limit: 1000,
                page: None,
            }),
        ),
        (
            "append",
            json!({"channelId": ID, "content": "hi \u{e4}\n", "authorId": "ann", "extra": 1}),
            Ask::Append(
                CHANNEL,
                Append {
                    author_id: Some("ann".into()),
                    messages: vec![Said {
                        content: "hi \u{e4}\n".into(),
                        reply_to: None,
                        data: None,
                    }],
                    batch: false,
                    key: None,
                },
            ),
        ),
        (
            "read",
            json!({"channelId": ID}),
            Ask::Read(
                CHANNEL,
                Read {
                    after_seq: None,
                    before_seq: None,
                    limit: 50,
                    newest_first: false,
                },
            ),
        ),
        (
            "delete-event",
            json!({"channelId": ID, "targetSeq": 7, "authorId": "ann"}),
            Ask::Delete {
                channel: CHANNEL,
                seq: 7,
                author_id: Some("ann".into()),
            },
        ),
        (
            "delete",
            json!({"namespace": "acme", "channelId": ID}),
            Ask::Remove {
                channel: CHANNEL,
                namespace: namespace(),
            },
        ),
        (
            "token/create",
            json!({
                "namespace": "acme", "channelId": ID, "displayName": "ann",
                "permissions": ["read", "append", "delete:any"],
            }),
            Ask::Token(
                CHANNEL,
                Token {
                    namespace: namespace(),
                    rights: Rights::READ.with(Rights::APPEND).with(Rights::DELETE_ANY),
                    author: "ann".into(),
                    expires_in_seconds: 604_800,
                },
            ),
        ),
    ];
    for (route, value, expected) in cases {
        let text = body(value);
        let target = format!("/channel/{route}");
        let asked = post(&target, &text).read().unwrap();
        assert_eq!(
            (asked.form, asked.ask),
            (Form::Channel, expected),
            "{route}"
        );
    }
    assert_eq!(get("/ping").ask(), Ok(Ask::Ping));
}

#[test]
fn a_log_is_a_channel_by_another_name() {
    let body = format!(r#"{{"logId":"{ID}","afterSeq":3,"limit":2}}"#);
    let asked = post("/log/read", &body).read().unwrap();
    let read = Read {
        after_seq: Some(3),
        before_seq: None,
        limit: 2,
        newest_first: false,
    };
    assert_eq!(asked.form, Form::Log);
    assert_eq!(asked.ask, Ask::Read(CHANNEL, read));
    assert_eq!(
        post("/log/read", &format!(r#"{{"channelId":"{ID}"}}"#)).invalid(),
        "logId is required"
    );
    let token = |words: &str| {
        let body = format!(
            r#"{{"namespace":"a","logId":"{ID}","permissions":[{words}],"displayName":"b"}}"#
        );
        match post("/log/token/create", &body).ask() {
            Ok(Ask::Token(_, token)) => Ok(token.rights),
            Ok(other) => panic!("{other:?}"),
            Err((_, message)) => Err(message),
        }
    };
    assert_eq!(
        token(r#""read","write""#),
        Ok(Rights::READ.with(Rights::APPEND))
    );
    assert_eq!(
        token(r#""append""#),
        Err("permissions holds something else than read and write".to_owned())
    );
}

#[test]
fn a_subscription_comes_back_to_what_it_saw() {
    let subscribe = |sent: Sent<'_>| {
        let asked = sent.read().unwrap();
        let Ask::Subscribe { channel, after_seq } = asked.ask else {
            panic!("{:?}", asked.ask);
        };
        assert_eq!(channel, CHANNEL);
        (after_seq, asked.credentials.token().map(str::to_owned))
    };
    let target = format!("/channel/subscribe?channelId={ID}&token=a%2Db&afterSeq=3&_=17");
    assert_eq!(subscribe(get(&target)), (3, Some("a-b".to_owned())));
    let back: &[(&str, &[u8])] = &[("Last-Event-ID", b"9")];
    assert_eq!(subscribe(get(&target).with(back)).0, 9);
    let from_header: &[(&str, &[u8])] = &[("X-Channel-Token", b"header")];
    assert_eq!(
        subscribe(get(&target).with(from_header)).1.as_deref(),
        Some("header")
    );
    let log = format!("/log/subscribe?logId={ID}");
    assert_eq!(subscribe(get(&log)), (0, None));
    let wrong: &[(&str, &[u8])] = &[("last-event-id", b"x")];
    assert_eq!(
        get(&log).with(wrong).invalid(),
        "Last-Event-ID is not a whole number"
    );
    assert_eq!(get("/channel/subscribe").invalid(), "channelId is required");
}

#[test]
fn a_token_is_taken_from_the_query_only_where_a_browser_needs_it() {
    let target = format!("/v1/channels/{ID}/events?token=t");
    assert!(
        get(&target)
            .invalid()
            .starts_with("unknown parameter `token`")
    );
    let body = format!(r#"{{"channelId":"{ID}","content":"x"}}"#);
    assert_eq!(
        post("/channel/append?token=t", &body).invalid(),
        "authorId is required"
    );
}

#[test]
fn limits_hold_with_a_key_as_with_a_token() {
    let long = "\u{e4}".repeat(10_001);
    let append = format!(r#"{{"channelId":"{ID}","content":"{long}","authorId":"a"}}"#);
    let read = format!(r#"{{"channelId":"{ID}","limit":101}}"#);
    let name = "n".repeat(101);
    let create = format!(r#"{{"namespace":"a","name":"{name}"}}"#);
    for fields in [&[][..], &[TOKEN][..]] {
        let (code, message) = post("/channel/append", &append)
            .with(fields)
            .ask()
            .unwrap_err();
        assert_eq!(code, Code::EventTooLarge);
        assert_eq!(message, "content is longer than 10000 characters");
        assert_eq!(Form::Channel.code(code), Code::InvalidRequest);
        assert_eq!(
            post("/channel/read", &read).with(fields).invalid(),
            "limit is not 1 to 100"
        );
        assert_eq!(
            post("/channel/create", &create).with(fields).invalid(),
            "name is longer than 100 characters"
        );
    }
    let fits = "\u{e4}".repeat(10_000);
    let append = format!(r#"{{"channelId":"{ID}","content":"{fits}","authorId":"a"}}"#);
    assert!(post("/channel/append", &append).ask().is_ok());
}

#[test]
fn a_token_names_the_author_and_what_the_request_says_is_not_read() {
    let body = format!(r#"{{"channelId":"{ID}","content":"x","authorId":17}}"#);
    assert_eq!(
        post("/channel/append", &body).invalid(),
        "authorId is not a string"
    );
    let Ok(Ask::Append(_, append)) = post("/channel/append", &body).with(&[TOKEN]).ask() else {
        panic!("a token's author needs no other");
    };
    assert_eq!(append.author_id, None);
}

#[test]
fn what_is_wrong_is_named() {
    let with = |rest: &str| format!(r#"{{"channelId":"{ID}",{rest}}}"#);
    let token = |rest: &str| with(&format!(r#""namespace":"a",{rest}"#));
    let cases = [
        ("append", with(r#""authorId":"a""#), "content is required"),
        (
            "append",
            with(r#""authorId":"a","content":"""#),
            "content is empty",
        ),
        (
            "append",
            with(r#""authorId":"a","content":null"#),
            "content is required",
        ),
        (
            "append",
            r#"{"channelId":"3F9AC2017B5E","content":"x"}"#.to_owned(),
            "channelId is not 12 lower-case hexadecimal digits",
        ),
        ("read", with(r#""limit":0"#), "limit is not 1 to 100"),
        (
            "read",
            with(r#""limit":"9""#),
            "limit is not a whole number",
        ),
        (
            "read",
            with(r#""afterSeq":-1"#),
            "afterSeq is not a whole number",
        ),
        (
            "read",
            with(r#""afterSeq":1.5"#),
            "afterSeq is not a whole number",
        ),
        (
            "delete-event",
            with(r#""targetSeq":0"#),
            "targetSeq is 0; events count from 1",
        ),
        ("delete-event", with(r#""x":0"#), "targetSeq is required"),
        ("create", with(r#""name":"x""#), "namespace is required"),
        ("delete", with(r#""x":1"#), "namespace is required"),
        (
            "create",
            with(r#""namespace":"*","name":"x""#),
            "namespace is `*` or has control characters",
        ),
        (
            "token/create",
            token(r#""permissions":[],"displayName":"a""#),
            "permissions is empty",
        ),
        (
            "token/create",
            token(r#""permissions":["write"],"displayName":"a""#),
            "permissions holds something else than read, append, read:deleted, delete:own, delete:any",
        ),
        (
            "token/create",
            token(r#""permissions":["read"]"#),
            "displayName is required",
        ),
        (
            "token/create",
            token(r#""permissions":["read"],"displayName":"ääääääääääääääääa""#),
            "displayName is not 1 to 32 bytes long",
        ),
        (
            "token/create",
            token(r#""permissions":["read"],"displayName":"a","expiresInSeconds":0"#),
            "expiresInSeconds is not 1 to 315360000",
        ),
    ];
    for (route, body, expected) in cases {
        let target = format!("/channel/{route}");
        assert_eq!(post(&target, &body).invalid(), expected, "{route} {body}");
    }
    for body in ["", "[]", "{", r#"{"a":1,"a":2}"#, "7"] {
        let (code, message) = post("/channel/read", body).ask().unwrap_err();
        assert_eq!(Form::Channel.code(code), Code::InvalidRequest, "{message}");
        assert!(message.starts_with("the body is "), "{message}");
    }
}

#[test]
fn failures_have_the_four_codes_and_others_ours() {
    let answer = |sent: Sent<'_>| {
        let mut out = Vec::new();
        write_reject(&mut out, &ENVELOPE, &sent.read().unwrap_err());
        let (status, _, body) = parts(&out);
        (status, body["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(
        answer(get("/channel/nothing")),
        (404, "NOT_FOUND".to_owned())
    );
    assert_eq!(
        answer(post("/channel/read", "{")),
        (400, "INVALID_REQUEST".to_owned())
    );
    assert_eq!(
        answer(get("/v1/channels/x/y")),
        (404, "UNKNOWN_ROUTE".to_owned())
    );
    let kept = [
        (Code::Unauthorized, "UNAUTHORIZED", 401),
        (Code::Forbidden, "FORBIDDEN", 403),
        (Code::Gone, "NOT_FOUND", 404),
        (Code::DiskFull, "DISK_FULL", 507),
        (Code::LimitReached, "LIMIT_REACHED", 429),
        (Code::OffsetExpired, "OFFSET_EXPIRED", 410),
    ];
    for (code, word, status) in kept {
        for form in [Form::Channel, Form::Log] {
            let mut out = Vec::new();
            write_error(&mut out, &ENVELOPE, form, code, "why");
            let (given, _, body) = parts(&out);
            assert_eq!(given, status);
            assert_eq!(body, json!({"code": word, "message": "why"}));
        }
    }
}

#[test]
fn a_preflight_allows_the_fields_that_are_needed() {
    for (path, field) in [
        ("/channel/append", "X-Channel-Token"),
        ("/log/x", "X-Log-Token"),
    ] {
        let asked = send(Method::Options, path, "").read().unwrap();
        assert_eq!(asked.ask, Ask::Preflight);
        let mut out = Vec::new();
        write_preflight(&mut out, &ENVELOPE, asked.form);
        let (status, head, _) = parts(&out);
        assert_eq!(status, 204);
        let expected =
            format!("Access-Control-Allow-Headers: Authorization, Content-Type, {field}\r\n");
        assert!(head.contains(&expected), "{head}");
        assert!(
            head.contains("Access-Control-Allow-Origin: *\r\n"),
            "{head}"
        );
    }
}
