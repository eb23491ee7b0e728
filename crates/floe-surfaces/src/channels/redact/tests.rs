use floe_proto::{Event, EventKind, Millis};
use proptest::prelude::*;
use serde_json::Value;

use super::*;

const CHANNEL: ChannelId = ChannelId([0xab, 0, 0, 0, 0, 1]);

fn event(seq: u64, kind: EventKind, target_seq: Option<u64>, content: &str) -> Event<'static> {
    Event {
        seq,
        kind,
        author_id: format!("ann {{\"{content}").into(),
        content: (kind != EventKind::Deletion).then(|| content.to_owned().into()),
        target_seq,
        reply_to: None,
        data: None,
        removed: false,
        created_at: Millis(seq * 1_000),
        deleted: false,
    }
}

fn log(events: &[Event<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in events {
        event.write_json(CHANNEL, &mut bytes);
        bytes.push(b',');
    }
    bytes
}

fn values(bytes: &[u8]) -> Vec<Value> {
    let mut array = b"[".to_vec();
    array.extend_from_slice(bytes.strip_suffix(b",").unwrap_or(bytes));
    array.push(b']');
    serde_json::from_slice(&array).unwrap()
}

/// The message at 3 was deleted by the marker at 9, which lies far outside of most reads.
fn history() -> [Event<'static>; 6] {
    [
        event(3, EventKind::Message, None, "secret"),
        event(4, EventKind::Message, None, "plain"),
        event(5, EventKind::Edit, Some(3), "secret again"),
        event(6, EventKind::Reaction, Some(3), "+1"),
        event(7, EventKind::Reaction, Some(4), "+1"),
        event(9, EventKind::Deletion, Some(3), ""),
    ]
}

#[test]
fn deleted_content_is_gone_though_its_marker_lies_elsewhere() {
    let without_marker = log(&history()[..5]);
    for mode in [Hidden::Stub, Hidden::Omit] {
        let redacted = redact(&without_marker, &|seq| seq == 3, mode);
        let text = String::from_utf8(redacted.bytes).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("plain"), "{text}");
        assert_eq!(redacted.hidden, 3);
    }
}

#[test]
fn a_stub_keeps_the_number_and_says_nothing_else() {
    let redacted = redact(&log(&history()), &|seq| seq == 3, Hidden::Stub);
    let mut expected = history();
    for at in [0, 2, 3] {
        let event = &expected[at];
        expected[at] = Event::stub(event.seq, event.kind, event.created_at);
    }
    assert_eq!(redacted.bytes, log(&expected));
    assert_eq!((redacted.events, redacted.hidden), (6, 3));
}

#[test]
fn the_kept_form_leaves_deleted_events_out_and_shows_the_marker() {
    let redacted = redact(&log(&history()), &|seq| seq == 3, Hidden::Omit);
    let [_, plain, _, _, reaction, deletion] = history();
    assert_eq!(redacted.bytes, log(&[plain, reaction, deletion]));
    assert_eq!((redacted.events, redacted.hidden), (3, 3));
}

#[test]
fn who_has_the_right_sees_deleted_events_marked() {
    let redacted = redact(&log(&history()), &|seq| seq == 3, Hidden::Mark);
    let mut expected = history();
    for at in [0, 2, 3] {
        expected[at].deleted = true;
    }
    assert_eq!(redacted.bytes, log(&expected));
    assert_eq!((redacted.events, redacted.hidden), (6, 3));
}

#[test]
fn an_edit_that_was_deleted_itself_is_hidden_without_its_target() {
    let redacted = redact(&log(&history()), &|seq| seq == 5, Hidden::Omit);
    assert_eq!((redacted.events, redacted.hidden), (5, 1));
    assert!(!String::from_utf8(redacted.bytes).unwrap().contains("again"));
}

#[test]
fn what_is_no_event_is_never_shown() {
    for mode in [Hidden::Stub, Hidden::Omit] {
        let redacted = redact(br#"{"id":"x"},{"id":"y"},"#, &|_| false, mode);
        assert_eq!(redacted.bytes, b"");
        assert_eq!((redacted.events, redacted.hidden), (0, 2));
    }
}

fn kind() -> impl Strategy<Value = EventKind> {
    proptest::sample::select(vec![
        EventKind::Message,
        EventKind::Edit,
        EventKind::Reaction,
        EventKind::Deletion,
    ])
}

fn events() -> impl Strategy<Value = Vec<Event<'static>>> {
    let one = (
        kind(),
        proptest::option::of(1..20_u64),
        prop_oneof![
            ".{0,30}",
            "[{}\\[\\],:\"\\\\ a]{0,30}",
            r#"(\},\{|"id":"|\\|"|\},\{"id":"|\},){0,6}"#,
        ],
    );
    proptest::collection::vec(one, 0..20).prop_map(|all| {
        let number = |(at, (kind, target, content)): (usize, (_, _, String))| {
            event(at as u64 + 1, kind, target, &content)
        };
        all.into_iter().enumerate().map(number).collect()
    })
}

proptest! {
    #[test]
    fn events_are_split_where_they_end(events in events()) {
        let bytes = log(&events);
        let split: Vec<_> = split_events(&bytes).collect();
        let expected: Vec<_> = events
            .iter()
            .map(|event| {
                let mut json = Vec::new();
                event.write_json(CHANNEL, &mut json);
                (event.seq, json)
            })
            .collect();
        prop_assert_eq!(split.len(), expected.len());
        for ((seq, slice), (expected_seq, json)) in split.iter().zip(&expected) {
            prop_assert_eq!((seq, *slice), (expected_seq, &json[..]));
        }
    }

    /// A plain model over parsed events comes to the same in every mode.
    #[test]
    fn redaction_agrees_with_a_plain_model(
        events in events(),
        hidden in proptest::collection::btree_set(1..20_u64, 0..6),
        mode in proptest::sample::select(vec![Hidden::Stub, Hidden::Omit, Hidden::Mark]),
    ) {
        let hides = |seq: u64| hidden.contains(&seq);
        let concerned = |event: &Event<'_>| {
            let follows = matches!(event.kind, EventKind::Edit | EventKind::Reaction);
            hides(event.seq) || (follows && event.target_seq.is_some_and(hides))
        };
        let expected: Vec<_> = events
            .iter()
            .filter_map(|event| match mode {
                _ if !concerned(event) => Some(event.clone()),
                Hidden::Stub => Some(Event::stub(event.seq, event.kind, event.created_at)),
                Hidden::Omit => None,
                Hidden::Mark => Some(Event { deleted: true, ..event.clone() }),
            })
            .collect();
        let redacted = redact(&log(&events), &hides, mode);
        prop_assert_eq!(redacted.events, expected.len() as u64);
        prop_assert_eq!(redacted.hidden, events.iter().filter(|event| concerned(event)).count() as u64);
        prop_assert_eq!(values(&redacted.bytes), values(&log(&expected)));
    }

    #[test]
    fn hostile_bytes_never_panic_and_none_is_lost(bytes: Vec<u8>, noise in r#"(\},\{"id":"|[a-f0-9]{12}-1","seq":1,"type":"m|[,{}"]){0,20}"#) {
        for bytes in [&bytes[..], noise.as_bytes()] {
            let split: Vec<&[u8]> = split_events(bytes).map(|(_, slice)| slice).collect();
            let joined = split.join(&b","[..]);
            prop_assert!(joined == bytes || [&joined, &b","[..]].concat() == bytes);
            for mode in [Hidden::Stub, Hidden::Omit, Hidden::Mark] {
                let _ = redact(bytes, &|_| true, mode);
            }
        }
    }
}
