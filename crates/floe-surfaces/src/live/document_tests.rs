//! `docs/PROTOCOL.md` and the code say the same.

use floe_core::live::MemoryUsage;
use floe_proto::{Code, Millis, Retry};

use super::*;
use crate::ws::{Decoder, Item, Role};

const DOCUMENT: &str = include_str!("../../../../docs/PROTOCOL.md");
const ROOM: &str = "channel/5ae3f09c11d2";
/// The document's moment: 2026-01-02T03:04:05.678Z.
const MOMENT: Millis = Millis(1_767_323_045_678);

/// The examples of one side, each without white space between its parts.
fn examples(side: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let fence = format!("```json {side}\n");
    for block in DOCUMENT.split(&fence).skip(1) {
        let block = block.split("```").next().unwrap();
        let frames = serde_json::Deserializer::from_str(block);
        for frame in frames.into_iter::<&serde_json::value::RawValue>() {
            examples.push(compact(frame.unwrap().get()));
        }
    }
    examples
}

fn compact(json: &str) -> String {
    let mut in_text = false;
    let mut compact = String::new();
    for char in json.chars() {
        // The document's texts have no escaped quotes.
        in_text ^= char == '"';
        if in_text || !char.is_whitespace() {
            compact.push(char);
        }
    }
    compact
}

fn member<'a>(user: &'a str, since: Millis, data: Option<&'a str>) -> Member<'a> {
    Member { user, since, data }
}

/// Writes the server's examples, in the order of the document.
fn write_examples(out: &mut Vec<Vec<u8>>, format: Format) {
    let ids: Vec<_> = (0..23).map(FrameId::Number).collect();
    let id = |number: usize| Some(&ids[number]);
    let mut say = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = Vec::new();
        write(&mut frame);
        out.push(frame);
    };
    say(&|out| {
        let welcome = Welcome {
            connection: "c-17",
            heartbeat_ms: 30_000,
            limits: Limits {
                frame_bytes: 1 << 20,
                rooms: 1_000,
                content_chars: 10_000,
                batch_events: BATCH_EVENTS_MAX as u64,
                presence_bytes: 4_096,
                memory_value_bytes: 65_536,
            },
        };
        write_welcome(out, format, &welcome);
    });
    say(&|out| {
        let ends_at = Some(Millis(MOMENT.0 + 60_000));
        write_authenticated(out, format, id(21), Some("ann"), ends_at);
    });
    say(&|out| {
        let joined = Joined {
            id: id(1),
            room: ROOM,
            content_type: "application/json",
            head: 43,
            start: 1,
            seq: 41,
            user: Some("ann"),
            closed: false,
        };
        write_joined(out, format, &joined);
    });
    say(&|out| {
        let events: [&[u8]; 2] = [
            br#"{"id":"5ae3f09c11d2-42","seq":42,"type":"message","authorId":"bob","content":"hi","createdAt":"2026-01-02T03:04:05.678Z"},"#,
            br#"{"id":"5ae3f09c11d2-43","seq":43,"type":"edit","authorId":"bob","targetSeq":42,"content":"hi!","createdAt":"2026-01-02T03:04:06.000Z"},"#,
        ];
        write_events(out, format, ROOM, events.into_iter(), 43);
    });
    say(&|out| write_live(out, format, ROOM, 43));
    say(&|out| {
        write_chunk(out, format, "stream/log.txt", true, b"started\n", 0);
    });
    say(&|out| {
        let photo = b"\xff\xd8\xff\xe0\x00\x10";
        write_chunk(out, format, "stream/photo", false, photo, 0);
    });
    say(&|out| write_left(out, format, id(4), "stream/metrics/cpu"));
    for duplicate in [false, true] {
        say(&|out| {
            let ack = Ack {
                id: id(5),
                room: ROOM,
                seq: Some(44),
                count: Some(1),
                duplicate,
                version: None,
            };
            write_ack(out, format, &ack);
        });
    }
    say(&|out| {
        let snapshot = PresenceSnapshot {
            room: ROOM,
            version: 7,
            count: 2,
        };
        let members = [
            member("ann", MOMENT, Some(r#"{"color":"teal"}"#)),
            member("bob", MOMENT, None),
        ];
        write_presence_snapshot(out, format, &snapshot, members.into_iter());
    });
    say(&|out| {
        let delta = PresenceDelta {
            room: ROOM,
            version: 9,
            count: 2,
        };
        let set = [member("cem", MOMENT.plus(322), None)];
        write_presence_delta(out, format, &delta, set.into_iter(), ["bob"].into_iter());
    });
    say(&|out| {
        let page = MembersPage {
            id: id(14),
            room: ROOM,
            version: 9,
            count: 250,
            next: Some("bob"),
        };
        write_members(
            out,
            format,
            &page,
            [member("bob", MOMENT, None)].into_iter(),
        );
    });
    for (number, version) in [(15, 10), (16, 12)] {
        say(&|out| {
            let ack = Ack {
                id: id(number),
                room: ROOM,
                version: Some(version),
                ..Ack::default()
            };
            write_ack(out, format, &ack);
        });
    }
    say(&|out| {
        let page = MemoryChange {
            id: id(19),
            room: ROOM,
            version: 13,
            snapshot: false,
            next: Some("cursor/ann"),
            usage: Some(MemoryUsage {
                entries: 2,
                bytes: 32,
                entries_max: 1_024,
                bytes_max: 262_144,
                evictions: 0,
            }),
        };
        let entry = Entry {
            key: "cursor/ann",
            value: r#"{"x":3}"#,
            version: 12,
            expires_at: Some(MOMENT.plus(60_000)),
        };
        write_memory(out, format, &page, [entry].into_iter(), std::iter::empty());
    });
    say(&|out| {
        let change = MemoryChange {
            id: None,
            room: ROOM,
            version: 14,
            snapshot: false,
            next: None,
            usage: None,
        };
        let removed = ["leader"].into_iter();
        write_memory(out, format, &change, std::iter::empty(), removed);
    });
    say(&|out| write_typing(out, format, ROOM, ["ann"].into_iter()));
    say(&|out| {
        let result = r#"{"type":"mutation_success","action":"insertRow","updateId":"n-1","data":{"rows":1,"key":"7","row":{"id":7,"text":"hi"}},"seq":12}"#;
        write_rpc_result(out, format, id(22), "room/board", result);
    });
    say(&|out| {
        let message = "only its author may edit an event";
        write_error(out, format, id(6), Some(ROOM), Code::Forbidden, message);
    });
    say(&|out| {
        let failure = (Code::RateLimited, "user: 10 frames per second");
        write_error_later(out, format, id(7), Some(ROOM), failure, 250);
    });
    say(&|out| write_closed(out, format, ROOM, Code::Gone, "the channel was deleted"));
    say(&|out| {
        let message = "you may only read in the waddle until 2026-01-02T03:04:05.678Z: calm down";
        let failure = (Code::TimedOut, message);
        write_error_later(out, format, None, Some(ROOM), failure, 60_000);
    });
    say(&|out| write_goodbye(out, format, Code::Stopping, "the server is stopping"));
    say(&|out| write_pong(out, format, id(20)));
}

/// The payload of the first message in `frames`.
fn payload(format: Format, mut frames: Vec<u8>) -> Vec<u8> {
    let mut decoder = Decoder::new(Role::Client, u32::MAX);
    match (format, decoder.next(&mut frames).unwrap().item) {
        (Format::Json, Some(Item::Text(text))) => text.as_bytes().to_vec(),
        (Format::Cbor, Some(Item::Binary(bytes))) => bytes.to_vec(),
        (_, other) => panic!("{other:?}"),
    }
}

#[test]
fn the_servers_examples_are_what_is_written() {
    let mut frames = Vec::new();
    write_examples(&mut frames, Format::Json);
    let written: Vec<_> = frames
        .into_iter()
        .map(|frame| String::from_utf8(payload(Format::Json, frame)).unwrap())
        .collect();
    assert_eq!(written, examples("server"));
}

#[test]
fn both_encodings_say_the_same() {
    let mut frames = Vec::new();
    write_examples(&mut frames, Format::Cbor);
    let examples = examples("server");
    assert_eq!(frames.len(), examples.len());
    for (frame, example) in frames.into_iter().zip(examples) {
        let mut json = Vec::new();
        cbor::to_json(&payload(Format::Cbor, frame), &mut json).unwrap();
        // CBOR says of bytes what they are by itself.
        let expected = example
            .replace("floe.v1.json", "floe.v1.cbor")
            .replace(r#","encoding":"base64""#, "");
        assert_eq!(String::from_utf8(json).unwrap(), expected);
    }
}

#[test]
fn the_clients_examples_are_understood_in_both_encodings() {
    let examples = examples("client");
    assert_eq!(examples.len(), 26);
    for example in examples {
        let (mut unused, mut scratch) = (Vec::new(), Vec::new());
        let json = read_frame(Format::Json, example.as_bytes(), &mut unused).unwrap();
        let mut bytes = Vec::new();
        cbor::one_from_json(example.as_bytes(), &mut bytes);
        let cbor = read_frame(Format::Cbor, &bytes, &mut scratch).unwrap();
        assert_eq!(cbor, json, "{example}");
    }
}

#[test]
fn the_close_codes_are_those_of_the_codes() {
    let mut rows = 0;
    for line in DOCUMENT.lines() {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let (Some(number), Some(word)) = (cells.next(), cells.next()) else {
            continue;
        };
        let Ok(number) = number.parse::<u16>() else {
            continue;
        };
        let word = word.trim_matches('`');
        let code = Code::ALL.into_iter().find(|code| code.as_str() == word);
        assert_eq!(code.map(Code::close_code), Some(number), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 8);
    let words = [Retry::Never, Retry::Later, Retry::Reconnect].map(retry_word);
    for word in words {
        assert!(DOCUMENT.contains(&format!("\n| `{word}` | ")), "{word}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    for row in [
        format!("| nesting of `data`, `value`, `events` | {DEPTH_MAX} |"),
        format!("| `id` | {ID_BYTES_MAX} bytes |"),
        format!("| `room` | {ROOM_BYTES_MAX} bytes |"),
        format!("| `user`, `authorId`, `idempotencyKey` | {USER_BYTES_MAX} bytes |"),
        format!("| `token` | {TOKEN_BYTES_MAX} bytes |"),
        format!("| `bearer` | {BEARER_BYTES_MAX} bytes |"),
        format!("| `key`, `prefix` | {KEY_BYTES_MAX} bytes |"),
        format!("| `events` of one append | {BATCH_EVENTS_MAX} |"),
        format!(
            "| `limit` of `members` and `memory list` | 1 to {PAGE_MAX}, {PAGE_DEFAULT} by default |"
        ),
    ] {
        assert!(DOCUMENT.contains(&row), "{row}");
    }
    assert_eq!(IDEMPOTENCY_KEY_BYTES_MAX, USER_BYTES_MAX);
}
