use floe_core::channel::SlowPolicy;
use floe_proto::{ChannelMeta, Event, EventKind, Millis, Page, Retention, StoredEvent};
use serde_json::json;

use super::*;

pub(super) const LAG: Lag = Lag { events: 3, ms: 40 };

pub(super) fn meta() -> ChannelMeta {
    ChannelMeta {
        id: CHANNEL,
        name: "de\"ploys".into(),
        owner: "acme".into(),
        created_at: Millis(1_000),
        deleted_at: None,
        head: 9,
        start: 3,
        retention: Retention {
            max_events: Some(7),
            ..Retention::default()
        },
    }
}

pub(super) fn event(seq: u64, content: &str) -> Event<'static> {
    Event {
        seq,
        kind: EventKind::Message,
        author_id: "ann".into(),
        content: Some(content.to_owned().into()),
        target_seq: None,
        reply_to: None,
        data: None,
        removed: false,
        created_at: Millis(2_000),
        deleted: false,
    }
}

pub(super) fn bytes(event: &Event<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    event.write_json(CHANNEL, &mut bytes);
    bytes.push(b',');
    bytes
}

pub(super) fn found() -> StoredEvent {
    StoredEvent {
        channel: CHANNEL,
        event: event(7, "newest"),
        edited_at: Some(Millis(3_000)),
        reactions: vec![("+1".into(), 2)],
        own_reactions: vec!["+1".into()],
        replies: 3,
        pin: None,
        snippet: Some("the \u{2}new\u{3}est <b>".into()),
        rank: Some(1.5),
    }
}

pub(super) fn answer(write: impl FnOnce(&mut Vec<u8>)) -> (u16, Value) {
    let mut out = Vec::new();
    write(&mut out);
    let (status, head, body) = parts(&out);
    assert!(
        head.contains("Content-Type: application/json\r\n"),
        "{head}"
    );
    (status, body)
}

fn json_of(seq: u64, content: &str) -> Value {
    json!({
        "id": format!("{ID}-{seq}"), "seq": seq, "type": "message", "authorId": "ann",
        "content": content, "createdAt": "1970-01-01T00:00:02.000Z",
    })
}

#[test]
fn a_secret_is_shown_by_its_making_alone() {
    let secret = "5".repeat(64);
    let created = |form| {
        answer(|out| {
            write_created(
                out,
                &ENVELOPE,
                form,
                &meta(),
                SlowPolicy::Disconnect,
                &secret,
            )
        })
    };
    let kept = |id: &str| {
        json!({
            "metadata": {
                id: ID, "name": "de\"ploys", "ownerNamespace": "acme",
                "createdAt": "1970-01-01T00:00:01.000Z",
            },
            "secret": secret,
        })
    };
    assert_eq!(created(Form::Channel), (200, kept("channelId")));
    assert_eq!(created(Form::Log), (200, kept("logId")));
    let full = json!({
        "channelId": ID, "name": "de\"ploys", "ownerNamespace": "acme",
        "createdAt": "1970-01-01T00:00:01.000Z", "headSeq": 9, "startSeq": 3, "eventCount": 7,
        "retention": {"maxEvents": 7}, "slow": "disconnect", "deletedAt": null,
    });
    let (status, body) = created(Form::V1);
    assert_eq!(status, 201);
    assert_eq!(body["metadata"], full);
    assert_eq!(body["secret"], secret);
    for form in [Form::V1, Form::Channel, Form::Log] {
        let page = Page {
            items: vec![meta(), meta()],
            next: Some("n".into()),
        };
        let (_, list) = answer(|out| write_channels(out, &ENVELOPE, form, &page, LAG));
        let (_, shown) =
            answer(|out| write_channel(out, &ENVELOPE, form, &meta(), SlowPolicy::Conflate));
        assert!(!list.to_string().contains("secret"));
        assert!(!shown.to_string().contains("secret"));
        let name = if form == Form::Log {
            "logs"
        } else {
            "channels"
        };
        assert_eq!(list[name].as_array().unwrap().len(), 2);
        assert_eq!(list["next"], "n");
        assert_eq!(list["hasMore"], true);
    }
}

#[test]
fn an_empty_channel_counts_no_events() {
    for (head, start, count) in [(0, 0, 0), (0, 1, 0), (1, 1, 1), (5, 6, 0), (5, 3, 3)] {
        let meta = ChannelMeta {
            head,
            start,
            ..meta()
        };
        let (_, body) =
            answer(|out| write_channel(out, &ENVELOPE, Form::V1, &meta, SlowPolicy::Disconnect));
        assert_eq!(body["metadata"]["eventCount"], count, "{head} {start}");
    }
}

#[test]
fn events_leave_as_the_log_has_them() {
    let one = bytes(&event(7, "a,\"b\""));
    let body = json!({"event": json_of(7, "a,\"b\"")});
    for (form, duplicate, status) in [
        (Form::V1, false, 201),
        (Form::V1, true, 200),
        (Form::Channel, false, 200),
        (Form::Log, false, 200),
    ] {
        let answered = answer(|out| write_event(out, &ENVELOPE, form, &one, duplicate));
        assert_eq!(answered, (status, body.clone()));
    }
    let both = [one.clone(), bytes(&event(8, "c"))].concat();
    let list = json!([json_of(7, "a,\"b\""), json_of(8, "c")]);
    let batch = answer(|out| write_batch(out, &ENVELOPE, Form::V1, &both, false));
    assert_eq!(batch, (201, json!({"events": list})));
    let whole: [&[u8]; 1] = [&both];
    let apart: Vec<&[u8]> = split_events(&both).map(|(_, event)| event).collect();
    let expected = json!({"events": list, "hasMore": true});
    for parts in [&whole[..], &apart[..]] {
        let read = answer(|out| write_events(out, &ENVELOPE, parts.iter().copied(), true));
        assert_eq!(read, (200, expected.clone()));
    }
    let none = answer(|out| write_polled(out, &ENVELOPE, [], 8, false));
    let expected = json!({"events": [], "hasMore": false, "nextAfterSeq": 8});
    assert_eq!(none, (200, expected));
}

#[test]
fn the_view_says_how_far_it_is_behind() {
    let page = Page {
        items: vec![found()],
        next: None,
    };
    let mut stored = json_of(7, "newest");
    stored["channelId"] = json!(ID);
    stored["editedAt"] = json!("1970-01-01T00:00:03.000Z");
    stored["reactions"] = json!([{"reaction": "+1", "count": 2}]);
    let lag = json!({"events": 3, "ms": 40});
    let queried = answer(|out| write_queried(out, &ENVELOPE, &page, LAG));
    let expected = json!({"events": [stored], "hasMore": false, "next": null, "lag": lag});
    assert_eq!(queried, (200, expected));
    let versions = [event(7, "oldest"), event(9, "newest")];
    let one = answer(|out| write_found(out, &ENVELOPE, &found(), &versions, LAG));
    let expected = json!({
        "event": stored, "versions": [json_of(7, "oldest"), json_of(9, "newest")], "lag": lag,
    });
    assert_eq!(one, (200, expected));
    let (_, hits) = answer(|out| write_hits(out, &ENVELOPE, &page, LAG));
    assert_eq!(hits["events"][0]["rank"], 1.5);
    assert_eq!(
        hits["events"][0]["snippet"],
        json!([
            {"text": "the ", "match": false},
            {"text": "new", "match": true},
            {"text": "est <b>", "match": false},
        ])
    );
}

#[test]
fn the_rest_is_answered_as_the_form_wants_it() {
    let done = answer(|out| write_success(out, &ENVELOPE));
    assert_eq!(done, (200, json!({"success": true})));
    let pong = answer(|out| write_pong(out, &ENVELOPE, Millis(0)));
    let expected = json!({"message": "pong", "timestamp": "1970-01-01T00:00:00.000Z"});
    assert_eq!(pong, (200, expected));
    let token = json!({"token": "t", "expiresAt": "1970-01-01T01:00:00.000Z"});
    for (form, status) in [(Form::V1, 201), (Form::Channel, 200), (Form::Log, 200)] {
        let given = answer(|out| write_token(out, &ENVELOPE, form, "t", Millis(3_600_000)));
        assert_eq!(given, (status, token.clone()));
    }
    let url = realtime_url("https://floe.example.com/");
    assert_eq!(url, "wss://floe.example.com/v1/live");
    assert_eq!(realtime_url("http://a:1"), "ws://a:1/v1/live");
    let expected = json!({"channelId": ID, "url": url, "room": format!("channel/{ID}")});
    let realtime = answer(|out| write_realtime(out, &ENVELOPE, CHANNEL, &url));
    assert_eq!(realtime, (200, expected));
    let members = [
        Member {
            user: "ann",
            since: Millis(0),
            data: Some("{\"a\":1}"),
        },
        Member {
            user: "bob",
            since: Millis(0),
            data: None,
        },
    ];
    let presence = Presence {
        channel: CHANNEL,
        count: 3,
        members: &members,
        next: Some("bob"),
    };
    let present = answer(|out| write_presence(out, &ENVELOPE, &presence));
    let expected = json!({
        "channelId": ID, "count": 3, "next": "bob", "members": [
            {"user": "ann", "since": "1970-01-01T00:00:00.000Z", "data": {"a": 1}},
            {"user": "bob", "since": "1970-01-01T00:00:00.000Z"},
        ],
    });
    assert_eq!(present, (200, expected));
}

#[test]
fn an_event_stream_is_written_as_clients_of_the_kept_form_read_it() {
    let mut out = Vec::new();
    write_sse_connected(&mut out, Form::Channel, CHANNEL, 3);
    write_sse_connected(&mut out, Form::Log, CHANNEL, 0);
    let event = bytes(&event(4, "x\ny"));
    write_sse_message(&mut out, 4, &event);
    write_sse_heartbeat(&mut out);
    write_sse_closed(
        &mut out,
        Form::Channel,
        Code::Gone,
        "the channel was deleted",
    );
    let json = std::str::from_utf8(event.strip_suffix(b",").unwrap()).unwrap();
    let expected = format!(
        "event: connected\ndata: {{\"channelId\":\"{ID}\",\"afterSeq\":3}}\n\n\
         event: connected\ndata: {{\"logId\":\"{ID}\",\"afterSeq\":0}}\n\n\
         event: message\nid: 4\ndata: {json}\n\n\
         : \n\n\
         event: closed\ndata: {{\"code\":\"NOT_FOUND\",\"message\":\"the channel was deleted\"}}\n\n"
    );
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    let mut head = Vec::new();
    write_sse_head(&mut head, &ENVELOPE);
    let head = String::from_utf8(head).unwrap();
    for field in [
        "Content-Type: text/event-stream\r\n",
        "Cache-Control: no-cache\r\n",
        "Access-Control-Allow-Origin: *\r\n",
    ] {
        assert!(head.contains(field), "{head}");
    }
}
