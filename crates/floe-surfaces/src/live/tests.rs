use std::borrow::Cow;

use floe_proto::{ChannelId, Code, EventKind};

use super::*;
use crate::json::Messages;
use crate::ws::{Decoder, Item, Role};

const CHANNEL: ChannelId = ChannelId([0, 1, 2, 3, 4, 0xff]);

/// Reads a JSON frame and describes what came of it.
fn read(json: &str) -> Result<String, (Code, String)> {
    match read_frame(Format::Json, json.as_bytes(), &mut Vec::new()) {
        Ok(frame) => Ok(format!("{frame:?}")),
        Err(error) => Err((error.code, error.message)),
    }
}

fn join(json: &str) -> Join<'_> {
    let mut scratch = Vec::new();
    let frame = read_frame(Format::Json, json.as_bytes(), &mut scratch).unwrap();
    let Command::Join(join) = frame.command else {
        panic!("{frame:?}");
    };
    Join {
        room: RoomName::parse(Cow::Owned(join.room.as_str().into())).unwrap(),
        data: join.data.map(|data| &*data.to_owned().leak()),
        memory: join.memory.map(|text| Cow::Owned(text.into_owned())),
        user: join.user.map(|text| Cow::Owned(text.into_owned())),
        token: join.token.map(|text| Cow::Owned(text.into_owned())),
        ..join
    }
}

#[test]
fn a_join_says_what_is_wanted() {
    let plain = join(r#"{"type":"join","room":"channel/0001020304ff"}"#);
    assert_eq!(plain.room.channel(), Some(CHANNEL));
    assert_eq!(plain.room.stream(), None);
    assert_eq!(
        plain,
        Join {
            room: plain.room.clone(),
            after: After::Now,
            limit: None,
            events: true,
            presence: PresenceMode::None,
            data: None,
            memory: None,
            user: None,
            token: None,
        }
    );
    let full = join(
        r#"{"id":7,"room":"stream/a b/c","after":12,"limit":3,"events":false,"presence":"member",
            "data":{"x": 1},"memory":"cursor/","user":"ann","token":"dG9r","type":"join"}"#,
    );
    assert_eq!(full.room.stream(), Some("a b/c"));
    assert_eq!(
        full,
        Join {
            room: full.room.clone(),
            after: After::Seq(12),
            limit: Some(3),
            events: false,
            presence: PresenceMode::Member,
            data: Some(r#"{"x": 1}"#),
            memory: Some("cursor/".into()),
            user: Some("ann".into()),
            token: Some("dG9r".into()),
        }
    );
    let after = |json: &str| join(&format!(r#"{{"type":"join","room":"stream/a",{json}}}"#)).after;
    assert_eq!(after(r#""after":"start""#), After::Start);
    assert_eq!(after(r#""after":"now""#), After::Now);
    assert_eq!(after(r#""after":null"#), After::Now);
    assert_eq!(after(r#""limit":50"#), After::Start);
    assert_eq!(after(r#""limit":50,"after":"now""#), After::Now);
    let all = join(r#"{"type":"join","room":"stream/a","memory":true,"presence":"watch"}"#);
    assert_eq!(
        (all.memory, all.presence),
        (Some("".into()), PresenceMode::Watch)
    );
}

#[test]
fn a_room_with_tables_is_the_stream_that_its_log_is() {
    let room = |name: &'static str| RoomName::parse(Cow::Borrowed(name));
    let board = room("room/acme/board").unwrap();
    assert_eq!(board.stream(), Some("__room__/acme/board"));
    assert_eq!((board.channel(), board.as_str()), (None, "room/acme/board"));
    assert_eq!(board.table().unwrap().as_str(), "acme/board");
    let stream = room("stream/__room__/acme/board").unwrap();
    assert_eq!((stream.stream(), stream.table()), (board.stream(), None));
    for name in ["room/", "room/..", "room/a//b", "room/a b", "rooms/a"] {
        assert_eq!(room(name).unwrap_err().code, Code::InvalidRequest, "{name}");
    }
}

#[test]
fn an_rpc_is_what_it_is_on_every_transport() {
    let rpc = |rest: &str| {
        let json = format!(r#"{{"type":"rpc","id":1,"room":"room/a",{rest}}}"#);
        match read_frame(Format::Json, json.as_bytes(), &mut Vec::new()) {
            Ok(ClientFrame {
                command: Command::Rpc { rpc, .. },
                ..
            }) => Ok(*rpc),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err((error.code, error.message)),
        }
    };
    let call = r#""method":"deleteTask","payload":{"id":1},"updateId":"u""#;
    let body = format!("{{{call}}}");
    assert_eq!(
        rpc(call),
        Ok(crate::tables::read_rpc(body.as_bytes()).unwrap())
    );
    assert!(rpc(r#""method":"getUsage","payload":null,"updateId":null"#).is_ok());
    for (rest, code, message) in [
        (r#""payload":{}"#, Code::InvalidFrame, "`method` is missing"),
        (
            r#""method":"dance""#,
            Code::UnknownAction,
            "`dance` is no method",
        ),
        (
            r#""method":"deleteTask""#,
            Code::InvalidRequest,
            "`id` is missing",
        ),
        (
            r#""method":"getUsage","updateId":[]"#,
            Code::InvalidRequest,
            "`updateId` is neither a string nor a number",
        ),
        (
            r#""method":"getUsage","key":1"#,
            Code::InvalidFrame,
            "`key` is no field of rpc",
        ),
    ] {
        assert_eq!(rpc(rest), Err((code, message.into())), "{rest}");
    }
    let elsewhere = read(r#"{"type":"rpc","room":"stream/a","method":"getUsage"}"#);
    let message = "`room` is not `room/` and a name".to_owned();
    assert_eq!(elsewhere, Err((Code::InvalidRequest, message)));
}

#[test]
fn an_append_carries_events_or_messages() {
    let body = |room: &str, json: &str| {
        let json = format!(r#"{{"type":"append","room":"{room}",{json}}}"#);
        match read_frame(Format::Json, json.as_bytes(), &mut Vec::new()) {
            Ok(ClientFrame {
                command: Command::Append(append),
                ..
            }) => Ok(format!("{:?}", append.body)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.message),
        }
    };
    let draft = |kind, content: Option<&'static str>, target_seq| Draft {
        kind,
        content: content.map(Cow::Borrowed),
        target_seq,
        reply_to: None,
        data: None,
        removed: false,
        author_id: None,
    };
    let channel = |json: &str| body("channel/0001020304ff", json);
    let is = |body: AppendBody<'_>| Ok(format!("{body:?}"));
    assert_eq!(
        channel(r#""content":"hi""#),
        is(AppendBody::Event(draft(
            EventKind::Message,
            Some("hi"),
            None
        )))
    );
    assert_eq!(
        channel(r#""kind":"deletion","targetSeq":4"#),
        is(AppendBody::Event(draft(EventKind::Deletion, None, Some(4))))
    );
    assert_eq!(
        channel(
            r#""authorId":"a","events":[{"content":"x"},{"kind":"reaction","content":"+","targetSeq":1,"removed":true,"authorId":"b"}]"#
        ),
        is(AppendBody::Events(vec![
            Draft {
                author_id: Some("a".into()),
                ..draft(EventKind::Message, Some("x"), None)
            },
            Draft {
                author_id: Some("b".into()),
                removed: true,
                ..draft(EventKind::Reaction, Some("+"), Some(1))
            },
        ]))
    );
    assert_eq!(
        channel(r#""data":{"a":1},"replyTo":7"#),
        is(AppendBody::Event(Draft {
            reply_to: Some(7),
            data: Some(r#"{"a":1}"#),
            ..draft(EventKind::Message, Some(""), None)
        }))
    );
    assert_eq!(
        channel(r#""kind":"pin","targetSeq":4,"removed":true"#),
        is(AppendBody::Event(Draft {
            removed: true,
            ..draft(EventKind::Pin, None, Some(4))
        }))
    );
    let stream = |json: &str| body("stream/a", json);
    assert_eq!(stream(r#""data":[1, 2]"#), is(AppendBody::Data("[1, 2]")));
    assert_eq!(
        stream(r#""events":[1, 2]"#),
        is(AppendBody::Batch("[1, 2]"))
    );
    assert_eq!(
        stream(r#""content":"a\nb""#),
        is(AppendBody::Content("a\nb".into()))
    );
    for (message, refused) in [
        ("`content` is missing", channel(r#""kind":"message""#)),
        (
            "`targetSeq` is missing",
            channel(r#""kind":"edit","content":"x""#),
        ),
        (
            "a deletion has no `content`",
            channel(r#""kind":"deletion","content":"x","targetSeq":1"#),
        ),
        (
            "a message has no `targetSeq`",
            channel(r#""content":"x","targetSeq":1"#),
        ),
        (
            "`targetSeq` counts from 1",
            channel(r#""kind":"edit","content":"x","targetSeq":0"#),
        ),
        (
            "only a reaction or a pin can be `removed`",
            channel(r#""content":"x","removed":true"#),
        ),
        (
            "a reaction has no `data`",
            channel(r#""kind":"reaction","content":"+","targetSeq":1,"data":{}"#),
        ),
        (
            "a pin has no `content`",
            channel(r#""kind":"pin","content":"x","targetSeq":1"#),
        ),
        (
            "`replyTo` counts from 1",
            channel(r#""content":"x","replyTo":0"#),
        ),
        (
            "`replyTo` is for channels; the room is a stream",
            stream(r#""data":1,"replyTo":1"#),
        ),
        (
            "events[1]: `content` is missing",
            channel(r#""events":[{"content":"x"},{}]"#),
        ),
        (
            "events[0]: `type` is no field of an event",
            channel(r#""events":[{"content":"x","type":"message"}]"#),
        ),
        (
            "`content` stands beside `events` instead of in one of them",
            channel(r#""content":"x","events":[{"content":"x"}]"#),
        ),
        (
            "`events` has not 1 to 1000 elements",
            channel(r#""events":[]"#),
        ),
        ("`events` is not an array", channel(r#""events":{}"#)),
        (
            "`kind` is for channels; the room is a stream",
            stream(r#""data":1,"kind":"message""#),
        ),
        (
            "exactly one of `content`, `data` and `events` must be there",
            stream(r#""data":1,"content":"x""#),
        ),
        (
            "exactly one of `content`, `data` and `events` must be there",
            stream(r#""idempotencyKey":"k""#),
        ),
    ] {
        assert_eq!(refused, Err(message.to_owned()));
    }
}

#[test]
fn each_wrong_frame_names_its_field() {
    use Code::{InvalidFrame, InvalidRequest};
    let deep = format!(
        r#"{{"type":"presence","room":"stream/a","data":{}1{}}}"#,
        "[".repeat(DEPTH_MAX + 1),
        "]".repeat(DEPTH_MAX + 1)
    );
    let long_id = format!(r#"{{"type":"ping","id":"{}"}}"#, "x".repeat(65));
    for (json, code, message) in [
        ("", InvalidFrame, "the frame cannot be read: EOF"),
        (
            "[]",
            InvalidFrame,
            "the frame cannot be read: invalid type: sequence, expected an object",
        ),
        (
            r#"{"type":"ping"} x"#,
            InvalidFrame,
            "the frame cannot be read: trailing characters",
        ),
        ("{}", InvalidFrame, "`type` is missing"),
        (r#"{"type":1}"#, InvalidFrame, "`type` is not a string"),
        (
            r#"{"type":"hello"}"#,
            InvalidFrame,
            "`type` is none that a client may send",
        ),
        (
            r#"{"type":"ping","pong":1}"#,
            InvalidFrame,
            "`pong` is no known field",
        ),
        (
            r#"{"type":"ping","room":"a"}"#,
            InvalidFrame,
            "`room` is no field of ping",
        ),
        (
            r#"{"type":"ping","type":"ping"}"#,
            InvalidFrame,
            "`type` is there twice",
        ),
        (
            r#"{"type":"ping","id":1.5}"#,
            InvalidFrame,
            "`id` is not a string or a whole number",
        ),
        (
            r#"{"type":"ping","id":9007199254740992}"#,
            InvalidRequest,
            "`id` is not a whole number that a double holds",
        ),
        (&long_id, InvalidRequest, "`id` is longer than 64 bytes"),
        (r#"{"type":"join"}"#, InvalidFrame, "`room` is missing"),
        (
            r#"{"type":"join","room":"lobby"}"#,
            InvalidRequest,
            "`room` is neither",
        ),
        (
            r#"{"type":"join","room":"channel/0001020304FF"}"#,
            InvalidRequest,
            "`room` is neither",
        ),
        (
            r#"{"type":"join","room":"stream/"}"#,
            InvalidRequest,
            "`room` is neither",
        ),
        (
            r#"{"type":"join","room":"stream/a","after":-1}"#,
            InvalidFrame,
            "`after` is not",
        ),
        (
            r#"{"type":"join","room":"stream/a","after":"then"}"#,
            InvalidRequest,
            "`after` is not",
        ),
        (
            r#"{"type":"join","room":"stream/a","presence":true}"#,
            InvalidFrame,
            "`presence` is not a string",
        ),
        (
            r#"{"type":"join","room":"stream/a","presence":"x"}"#,
            InvalidRequest,
            "`presence` is neither",
        ),
        (
            r#"{"type":"join","room":"stream/a","data":1}"#,
            InvalidRequest,
            "`data` is for who joins as a member",
        ),
        (
            r#"{"type":"join","room":"stream/a","memory":1}"#,
            InvalidFrame,
            "`memory` is not true, false",
        ),
        (
            r#"{"type":"join","room":"stream/a","user":""}"#,
            InvalidRequest,
            "`user` is empty",
        ),
        (
            r#"{"type":"join","room":"stream/a","limit":4294967296}"#,
            InvalidRequest,
            "`limit` is larger",
        ),
        (
            r#"{"type":"typing","room":"stream/a"}"#,
            InvalidFrame,
            "`typing` is missing",
        ),
        (
            r#"{"type":"typing","room":"stream/a","typing":"yes"}"#,
            InvalidFrame,
            "`typing` is not true or false",
        ),
        (
            r#"{"type":"presence","room":"stream/a"}"#,
            InvalidFrame,
            "`data` is missing",
        ),
        (&deep, InvalidRequest, "`data` is nested deeper than 64"),
        (
            r#"{"type":"members","room":"stream/a","limit":0}"#,
            InvalidRequest,
            "`limit` is not 1 to 1000",
        ),
        (
            r#"{"type":"memory","room":"stream/a"}"#,
            InvalidFrame,
            "`op` is missing",
        ),
        (
            r#"{"type":"memory","room":"stream/a","op":"x"}"#,
            InvalidRequest,
            "`op` is none of",
        ),
        (
            r#"{"type":"memory","room":"stream/a","op":"set","key":"k"}"#,
            InvalidFrame,
            "`value` is missing",
        ),
        (
            r#"{"type":"memory","room":"stream/a","op":"set","key":"k","value":1,"ttlMs":0}"#,
            InvalidRequest,
            "`ttlMs` is not 1 or more",
        ),
        (
            r#"{"type":"memory","room":"stream/a","op":"delete","key":"k","value":1}"#,
            InvalidFrame,
            "`value` is no field of memory delete",
        ),
        (
            r#"{"type":"memory","room":"stream/a","op":"delete","key":""}"#,
            InvalidRequest,
            "`key` is empty",
        ),
    ] {
        let (found, text) = read(json).unwrap_err();
        assert!(
            found == code && text.starts_with(message),
            "{json}: {found:?} {text}"
        );
    }
}

#[test]
fn a_refused_frame_is_answered_under_its_id() {
    let refused = |json: &str| {
        let error = read_frame(Format::Json, json.as_bytes(), &mut Vec::new()).unwrap_err();
        error.id
    };
    assert_eq!(
        refused(r#"{"what":1,"id":"q-\u00e4"}"#),
        Some(FrameId::Text("q-ä".into()))
    );
    assert_eq!(
        refused(r#"{"type":"leave","id":-3}"#),
        Some(FrameId::Number(-3))
    );
    assert_eq!(refused("{"), None);
}

#[test]
fn the_other_frames_are_read() {
    let memory = |json: &str| read(&format!(r#"{{"type":"memory","room":"stream/a",{json}}}"#));
    assert!(
        memory(r#""op":"set","key":"k","value":null,"ttlMs":5,"ifVersion":0"#)
            .unwrap()
            .ends_with(
                r#"op: Set { key: "k", value: "null", ttl_ms: Some(5), if_version: Some(0) } } }"#
            )
    );
    assert!(
        memory(r#""op":"delete","key":"k","ifVersion":2"#)
            .unwrap()
            .ends_with(r#"op: Delete { key: "k", if_version: Some(2) } } }"#)
    );
    assert!(
        memory(r#""op":"list""#)
            .unwrap()
            .ends_with(r#"op: List { prefix: "", after: None, limit: 100 } } }"#)
    );
    assert!(
        read(r#"{"type":"members","room":"stream/a","after":"bob","limit":2}"#)
            .unwrap()
            .ends_with(r#"after: Some("bob"), limit: 2 } }"#)
    );
    assert!(
        read(r#"{"type":"ping"}"#)
            .unwrap()
            .ends_with("command: Ping }")
    );
    assert!(read(r#"{"type":"leave","room":"stream/a"}"#).is_ok());
    assert!(read(r#"{"type":"presence","room":"stream/a","data":null}"#).is_ok());
    assert!(
        read(r#"{"type":"typing","room":"stream/a","typing":true}"#)
            .unwrap()
            .ends_with("typing: true } }")
    );
}

#[test]
fn what_goes_into_a_stream_has_the_form_of_its_log() {
    let mut messages = Messages::default();
    let mut payload = |body: AppendBody<'_>, json| {
        body.stream_payload(json, &mut messages)
            .map(|()| {
                let bytes = String::from_utf8(messages.bytes.clone()).unwrap();
                (bytes, messages.lens.clone())
            })
            .map_err(|problem| problem.code)
    };
    let ok = |bytes: &str, lens: &[u32]| Ok((bytes.to_owned(), lens.to_vec()));
    assert_eq!(
        payload(AppendBody::Data("[1, 2]"), true),
        ok("[1, 2],", &[7])
    );
    assert_eq!(
        payload(AppendBody::Batch("[1, 2]"), true),
        ok("1,2,", &[2, 2])
    );
    assert_eq!(
        payload(AppendBody::Content("ä".into()), false),
        ok("ä", &[])
    );
    assert_eq!(payload(AppendBody::Data("\"aGk=\""), false), ok("hi", &[]));
    for (body, json) in [
        (AppendBody::Content("x".into()), true),
        (AppendBody::Batch("[1]"), false),
        (AppendBody::Data("1"), false),
        (AppendBody::Data("\"a\""), false),
    ] {
        assert_eq!(payload(body, json), Err(Code::InvalidRequest));
    }
}

/// Runs a writer and returns the payload of the one message it wrote.
fn written(format: Format, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    let mut decoder = Decoder::new(Role::Client, u32::MAX);
    let step = decoder.next(&mut out).unwrap();
    match (format, step.item) {
        (Format::Json, Some(Item::Text(text))) => text.as_bytes().to_vec(),
        (Format::Cbor, Some(Item::Binary(bytes))) => bytes.to_vec(),
        (_, other) => panic!("{other:?}"),
    }
}

fn json(write: impl FnOnce(&mut Vec<u8>)) -> String {
    String::from_utf8(written(Format::Json, write)).unwrap()
}

#[test]
fn events_are_the_bytes_of_the_log() {
    let parts: [&[u8]; 2] = [br#"{"seq":1 },{"se"#, br#"q":2},"#];
    assert_eq!(
        json(|out| write_events(out, Format::Json, "stream/\"a\"", parts.into_iter(), 2)),
        r#"{"type":"events","room":"stream/\"a\"","events":[{"seq":1 },{"seq":2}],"next":2}"#
    );
    assert_eq!(
        json(|out| write_events(out, Format::Json, "stream/a", std::iter::empty(), 0)),
        r#"{"type":"events","room":"stream/a","events":[],"next":0}"#
    );
}

#[test]
fn bytes_are_text_where_they_are_whole_characters() {
    let chunk = |text, bytes: &[u8]| {
        let mut len = 0;
        let frame = json(|out| {
            len = write_chunk(out, Format::Json, "stream/a", text, bytes, 10);
        });
        (frame, len)
    };
    let frame = |rest: &str| format!(r#"{{"type":"events","room":"stream/a","events":{rest}}}"#);
    assert_eq!(
        chunk(true, b"a\n\xc3\xa4"),
        (frame(r#"["a\nä"],"next":14"#), 4)
    );
    // The rest of a character may come with the next read.
    assert_eq!(chunk(true, b"a\xc3"), (frame(r#"["a"],"next":11"#), 1));
    assert_eq!(
        chunk(true, b"\xc3"),
        (frame(r#"["ww=="],"encoding":"base64","next":11"#), 1)
    );
    assert_eq!(
        chunk(true, b"a\xff"),
        (frame(r#"["Yf8="],"encoding":"base64","next":12"#), 2)
    );
    assert_eq!(
        chunk(false, b"hi"),
        (frame(r#"["aGk="],"encoding":"base64","next":12"#), 2)
    );
}

#[test]
fn a_goodbye_is_followed_by_its_close_frame() {
    let mut out = Vec::new();
    write_goodbye(&mut out, Format::Json, Code::SlowConsumer, "too slow");
    let mut decoder = Decoder::new(Role::Client, u32::MAX);
    let step = decoder.next(&mut out).unwrap();
    let used = step.used;
    assert_eq!(
        step.item,
        Some(Item::Text(
            r#"{"type":"goodbye","code":"SLOW_CONSUMER","message":"too slow","retry":"reconnect"}"#
        ))
    );
    assert_eq!(
        decoder.next(&mut out[used..]).unwrap().item,
        Some(Item::Close(Some((
            Code::SlowConsumer.close_code(),
            "SLOW_CONSUMER"
        ))))
    );
}
