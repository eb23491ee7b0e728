use floe_core::channel::SlowPolicy;
use floe_proto::{Code, Millis, Retention, Rights, SearchMode};

use super::*;

fn under(rest: &str) -> String {
    format!("/v1/channels/{ID}{rest}")
}

const ALL: Filter = Filter {
    after_seq: None,
    before_seq: None,
    author_id: None,
    content_contains: None,
    after_date: None,
    before_date: None,
    newest_first: false,
    limit: 50,
    page: None,
};

fn query(target: &str) -> Result<Found<Filter>, String> {
    match get(target).ask() {
        Ok(Ask::Query(found)) => Ok(found),
        Ok(other) => panic!("{other:?}"),
        Err((_, message)) => Err(message),
    }
}

#[test]
fn channels_are_made_changed_and_listed() {
    let body =
        r#"{"name":"d","retention":{"maxAgeMs":5,"maxEvents":6,"maxBytes":7},"slow":"conflate"}"#;
    let retention = Retention {
        max_age_ms: Some(5),
        max_events: Some(6),
        max_bytes: Some(7),
    };
    let create = Create {
        namespace: None,
        name: "d".into(),
        retention,
        slow: SlowPolicy::Conflate,
    };
    assert_eq!(post("/v1/channels", body).ask(), Ok(Ask::Create(create)));
    let change = Change {
        retention: Some(Retention::default()),
        slow: None,
    };
    assert_eq!(
        send(Method::Patch, &under(""), r#"{"retention":{}}"#).ask(),
        Ok(Ask::Change(CHANNEL, change))
    );
    let list = List {
        namespace: Some("a b".into()),
        limit: 7,
        page: Some("p".into()),
    };
    assert_eq!(
        get("/v1/channels?namespace=a+b&limit=7&page=p").ask(),
        Ok(Ask::List(list))
    );
    assert_eq!(get(&under("")).ask(), Ok(Ask::Describe(CHANNEL)));
    assert_eq!(
        send(Method::Delete, &under(""), "").ask(),
        Ok(Ask::Remove {
            channel: CHANNEL,
            namespace: None
        })
    );
    assert_eq!(post(&under("/secret"), "").ask(), Ok(Ask::Secret(CHANNEL)));
    let token = Token {
        namespace: None,
        rights: Rights::READ.with(Rights::READ_DELETED),
        author: "ann".into(),
        expires_in_seconds: 60,
    };
    for field in ["author", "displayName"] {
        let body = format!(
            r#"{{"rights":["read","read:deleted"],"{field}":"ann","expiresInSeconds":60}}"#
        );
        assert_eq!(
            post(&under("/tokens"), &body).ask(),
            Ok(Ask::Token(CHANNEL, token.clone()))
        );
    }
}

#[test]
fn one_event_or_several_are_appended_under_one_key() {
    let append = |author: Option<&'static str>, contents: &[&'static str], batch| Append {
        author_id: author.map(Into::into),
        messages: contents.iter().map(|text| said(text)).collect(),
        batch,
        key: Some("k1"),
    };
    let key: &[(&str, &[u8])] = &[("Idempotency-Key", b"k1")];
    let target = under("/events");
    let cases = [
        (
            r#"{"authorId":"ann","content":"a"}"#,
            append(Some("ann"), &["a"], false),
        ),
        (
            r#"{"authorId":"ann","events":[{"content":"a"},{"content":"b","authorId":"ann"}]}"#,
            append(Some("ann"), &["a", "b"], true),
        ),
        (
            r#"{"events":[{"content":"a","authorId":"ann"},{"content":"b"}]}"#,
            append(Some("ann"), &["a", "b"], true),
        ),
    ];
    for (body, expected) in cases {
        let ask = post(&target, body).with(key).ask();
        assert_eq!(ask, Ok(Ask::Append(CHANNEL, expected)), "{body}");
    }
    let both: &[(&str, &[u8])] = &[TOKEN, ("Idempotency-Key", b"k1")];
    let body = r#"{"events":[{"content":"a"}]}"#;
    assert_eq!(
        post(&target, body).with(both).ask(),
        Ok(Ask::Append(CHANNEL, append(None, &["a"], true)))
    );
}

#[test]
fn wrong_appends_are_named() {
    let target = under("/events");
    let many = format!(
        r#"{{"authorId":"a","events":[{}]}}"#,
        vec![r#"{"content":"x"}"#; 1001].join(",")
    );
    let cases = [
        (r#"{"content":"a"}"#, "authorId is required"),
        (
            r#"{"content":"a","authorId":"a","autor":1}"#,
            "unknown field `autor`",
        ),
        (r#"{"authorId":"a","events":[]}"#, "events is empty"),
        (r#"{"authorId":"a","events":{}}"#, "events is not an array"),
        (
            r#"{"authorId":"a","events":[{"content":"a"},{"content":1}]}"#,
            "events[1]: content is not a string",
        ),
        (
            r#"{"authorId":"a","events":[{"content":"a","authorId":"b"}]}"#,
            "events[0]: all events of one append have one authorId",
        ),
        (
            r#"{"authorId":"a","events":[{"content":"a"}],"content":"b"}"#,
            "unknown field `content`",
        ),
        (&many, "events holds more than 1000"),
    ];
    for (body, expected) in cases {
        assert_eq!(post(&target, body).invalid(), expected, "{body}");
    }
    let long = "k".repeat(129);
    let key: &[(&str, &[u8])] = &[("idempotency-key", long.as_bytes())];
    assert_eq!(
        post(&target, r#"{"content":"a","authorId":"a"}"#)
            .with(key)
            .invalid(),
        "Idempotency-Key is longer than 128 bytes"
    );
}

#[test]
fn events_are_edited_reacted_to_and_deleted() {
    let target = under("/events/7");
    let edit = Edit {
        seq: 7,
        author_id: Some("ann".into()),
        content: "b".into(),
    };
    let body = r#"{"content":"b","authorId":"ann"}"#;
    assert_eq!(
        send(Method::Patch, &target, body).ask(),
        Ok(Ask::Edit(CHANNEL, edit))
    );
    for (method, removed) in [(Method::Put, false), (Method::Delete, true)] {
        let target = under("/events/7/reactions/%F0%9F%91%8D?authorId=ann");
        let react = React {
            seq: 7,
            author_id: Some("ann".into()),
            reaction: "\u{1f44d}".into(),
            removed,
        };
        assert_eq!(
            send(method, &target, "").ask(),
            Ok(Ask::React(CHANNEL, react))
        );
    }
    let target = under("/events/7");
    assert_eq!(
        send(Method::Delete, &target, "").with(&[TOKEN]).ask(),
        Ok(Ask::Delete {
            channel: CHANNEL,
            seq: 7,
            author_id: None
        })
    );
    assert_eq!(
        send(Method::Delete, &target, "").invalid(),
        "authorId is required"
    );
    let zero = under("/events/0?authorId=a");
    assert_eq!(
        send(Method::Delete, &zero, "").invalid(),
        "seq is 0; events count from 1"
    );
    let long = format!(
        "{}?authorId=a",
        under(&format!("/events/1/reactions/{}", "x".repeat(65)))
    );
    assert_eq!(
        send(Method::Put, &long, "").invalid(),
        "reaction is longer than 64 characters"
    );
}

#[test]
fn reads_go_both_ways() {
    let read = |after_seq, before_seq, limit, newest_first| {
        let read = Read {
            after_seq,
            before_seq,
            limit,
            newest_first,
        };
        Ok(Ask::Read(CHANNEL, read))
    };
    assert_eq!(get(&under("/events")).ask(), read(None, None, 50, false));
    assert_eq!(
        get(&under(
            "/events?afterSeq=3&beforeSeq=9&limit=1000&order=desc"
        ))
        .ask(),
        read(Some(3), Some(9), 1000, true)
    );
    let wait = Some(WaitFor {
        channel: CHANNEL,
        seq: 9,
    });
    assert_eq!(
        get(&under("/events/7?waitFor=9")).ask(),
        Ok(Ask::Event {
            channel: CHANNEL,
            seq: 7,
            wait_for: wait
        })
    );
    assert_eq!(
        get(&under("/poll?afterSeq=4&limit=3")).ask(),
        Ok(Ask::Poll {
            channel: CHANNEL,
            after_seq: 4,
            limit: 3
        })
    );
    let presences = Presences {
        limit: 50,
        after: Some("ann".into()),
    };
    assert_eq!(
        get(&under("/presence?after=ann")).ask(),
        Ok(Ask::Presence(CHANNEL, presences))
    );
}

#[test]
fn every_filter_stands_alone_and_with_all_others() {
    let one = |target: &str| query(&under(&format!("/query?{target}"))).unwrap().what;
    assert_eq!(one(""), ALL);
    let date = Some(Millis(1_704_067_200_000));
    let cases = [
        (
            "afterSeq=1",
            Filter {
                after_seq: Some(1),
                ..ALL
            },
        ),
        (
            "beforeSeq=1",
            Filter {
                before_seq: Some(1),
                ..ALL
            },
        ),
        (
            "authorId=a",
            Filter {
                author_id: Some("a".into()),
                ..ALL
            },
        ),
        (
            "contentContains=a%26+b",
            Filter {
                content_contains: Some("a& b".into()),
                ..ALL
            },
        ),
        (
            "afterDate=2024-01-01T00:00:00Z",
            Filter {
                after_date: date,
                ..ALL
            },
        ),
        (
            "afterDate=2024-01-01T02:00:00+02:00",
            Filter {
                after_date: date,
                ..ALL
            },
        ),
        (
            "afterDate=2024-01-01T02:00:00%2B02:00",
            Filter {
                after_date: date,
                ..ALL
            },
        ),
        (
            "beforeDate=1704067200000",
            Filter {
                before_date: date,
                ..ALL
            },
        ),
        (
            "order=desc",
            Filter {
                newest_first: true,
                ..ALL
            },
        ),
        ("limit=1", Filter { limit: 1, ..ALL }),
        (
            "page=p",
            Filter {
                page: Some("p".into()),
                ..ALL
            },
        ),
    ];
    for (target, expected) in cases {
        assert_eq!(one(target), expected, "{target}");
    }
    let all = query(
        "/v1/query?namespace=acme&afterSeq=1&beforeSeq=2&authorId=a&contentContains=b\
         &afterDate=3&beforeDate=4&order=desc&limit=5&page=p&waitFor=3f9ac2017b5e-6",
    );
    let expected = Found {
        place: Place::Namespace(Some("acme".into())),
        what: Filter {
            after_seq: Some(1),
            before_seq: Some(2),
            author_id: Some("a".into()),
            content_contains: Some("b".into()),
            after_date: Some(Millis(3)),
            before_date: Some(Millis(4)),
            newest_first: true,
            limit: 5,
            page: Some("p".into()),
        },
        wait_for: Some(WaitFor {
            channel: CHANNEL,
            seq: 6,
        }),
    };
    assert_eq!(all, Ok(expected));
}

#[test]
fn searches_are_read() {
    let search = Found {
        place: Place::Channel(CHANNEL),
        what: Seek {
            text: "a b".into(),
            mode: SearchMode::Substring,
            limit: 50,
            page: None,
        },
        wait_for: None,
    };
    assert_eq!(
        get(&under("/search?q=a+b&mode=substring")).ask(),
        Ok(Ask::Search(search.clone()))
    );
    let across = Found {
        place: Place::Namespace(None),
        what: Seek {
            mode: SearchMode::Words,
            ..search.what
        },
        ..search
    };
    assert_eq!(get("/v1/search?q=a%20b").ask(), Ok(Ask::Search(across)));
}

#[test]
fn wrong_parameters_are_named() {
    let long = format!("/query?page={}", "p".repeat(513));
    let cases = [
        (
            "/query?author=a",
            "unknown parameter `author`; this route takes afterSeq, beforeSeq, authorId, \
             contentContains, afterDate, beforeDate, limit, order, page, waitFor",
        ),
        (
            "?a=b",
            "unknown parameter `a`; this route takes no parameters",
        ),
        ("/events?limit=1&limit=2", "limit is given more than once"),
        ("/events?limit=1001", "limit is not 1 to 1000"),
        ("/events?limit=-1", "limit is not a whole number"),
        (
            "/events?afterSeq=99999999999999999999",
            "afterSeq is not a whole number",
        ),
        ("/events?order=up", "order is neither asc nor desc"),
        ("/events/x", "seq is not a whole number"),
        ("/search", "q is required"),
        (
            "/search?q=a&mode=regex",
            "mode is neither words nor substring",
        ),
        ("/search?q=%ff", "q is not percent-encoded UTF-8"),
        ("/search?q=%f", "q is not percent-encoded UTF-8"),
        (
            "/query?afterDate=yesterday",
            "afterDate is neither an RFC 3339 time from 1970 on nor milliseconds since then",
        ),
        (
            "/query?waitFor=000000000000-1",
            "waitFor is an event of another channel",
        ),
        (&long, "page is longer than 512 bytes"),
    ];
    for (rest, expected) in cases {
        assert_eq!(get(&under(rest)).invalid(), expected, "{rest}");
    }
    assert_eq!(
        get("/v1/query?waitFor=6").invalid(),
        "waitFor is not an event's id, as it must be across channels"
    );
    assert_eq!(
        get("/v1/channels/XYZ/events").invalid(),
        "a channel id is 12 lower-case hexadecimal digits"
    );
    let change = |body| send(Method::Patch, &under(""), body).invalid();
    assert_eq!(
        change("{}"),
        "nothing to change: retention or slow is required"
    );
    assert_eq!(
        change(r#"{"retention":{"maxEvents":0}}"#),
        "retention: maxEvents is 0, which would keep nothing"
    );
    assert_eq!(
        change(r#"{"retention":{"maxEvent":1}}"#),
        "retention: unknown field `maxEvent`"
    );
    assert_eq!(
        change(r#"{"slow":"maybe"}"#),
        "slow is neither disconnect nor conflate"
    );
}

#[test]
fn methods_that_a_path_does_not_take_are_told_from_paths_that_are_not_there() {
    let code = |sent: Sent<'_>| sent.ask().unwrap_err().0;
    assert_eq!(
        code(send(Method::Put, "/v1/channels", "")),
        Code::MethodNotAllowed
    );
    assert_eq!(code(get("/channel/append")), Code::MethodNotAllowed);
    assert_eq!(
        code(send(Method::Head, &under("/subscribe"), "")),
        Code::MethodNotAllowed
    );
    assert_eq!(code(get("/v1/channels/")), Code::InvalidRequest);
    for path in ["/v1/channels/a/b", "/v1/channels/a/events/1/x", "/log/ping"] {
        assert!(owns(path));
        assert_eq!(code(get(path)), Code::UnknownRoute, "{path}");
    }
    for path in [
        "/v1/channelsx",
        "/v1/queryx",
        "/channels",
        "/pingx",
        "/v1/stream/a",
    ] {
        assert!(!owns(path), "{path}");
    }
    assert_eq!(
        send(Method::Head, &under(""), "").ask(),
        Ok(Ask::Describe(CHANNEL))
    );
}

fn said(content: &str) -> Said<'_> {
    Said {
        content: content.into(),
        reply_to: None,
        data: None,
    }
}

#[test]
fn messages_answer_others_and_carry_data() {
    let target = under("/events");
    let read = |body: &str| match post(&target, body).ask() {
        Ok(Ask::Append(_, append)) => append
            .messages
            .into_iter()
            .map(|said| {
                (
                    said.content.into_owned(),
                    said.reply_to,
                    said.data.map(str::to_owned),
                )
            })
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let data = Some(r#"{"mentions": ["bob"]}"#.to_owned());
    assert_eq!(
        read(r#"{"authorId":"ann","content":"a","replyTo":3,"data":{"mentions": ["bob"]}}"#),
        [("a".to_owned(), Some(3), data.clone())]
    );
    assert_eq!(
        read(
            r#"{"authorId":"ann","events":[{"data":{"mentions": ["bob"]}},{"content":"b","replyTo":1}]}"#
        ),
        [(String::new(), None, data), ("b".to_owned(), Some(1), None)]
    );
    let long = format!(
        r#"{{"authorId":"ann","content":"a","data":{{"x":"{}"}}}}"#,
        "y".repeat(5_000)
    );
    for (body, code) in [
        (
            r#"{"authorId":"ann","content":"a","data":[]}"#,
            Code::InvalidRequest,
        ),
        (
            r#"{"authorId":"ann","content":"a","replyTo":0}"#,
            Code::InvalidRequest,
        ),
        (
            r#"{"authorId":"ann","content":"","replyTo":1}"#,
            Code::InvalidRequest,
        ),
        (&long, Code::EventTooLarge),
    ] {
        assert_eq!(
            post(&target, body).ask().map_err(|reject| reject.0),
            Err(code),
            "{body}"
        );
    }
}
