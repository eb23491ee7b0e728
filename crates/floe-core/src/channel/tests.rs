//! What a channel decides, one claim a test; and a plain model fed the same events.

mod model;
mod retention;

use floe_proto::{ChannelId, EventKind, Millis, Retention, Rights, RoomId};

use super::*;
use crate::record::Record;
use crate::{Append, AppendError, ContentType, Create, CreateError, ForkError, Lifetime};
use crate::{ReadError, Start};

const NOW: Millis = Millis(1_000);
const ANN: &str = "ann";
const BOB: &str = "bob";
const MEMBER: Rights = Rights::READ.with(Rights::APPEND).with(Rights::DELETE_OWN);

fn create(settings: ChannelSettings) -> Create {
    Create {
        channel: Some(Box::new(NewChannel {
            id: ChannelId([0xab, 0, 0, 0, 0, 1]),
            name: "general".into(),
            owner: "acme".into(),
            secret: Secret::new("s3cret"),
            settings,
        })),
        ..Create::new(ContentType::new("application/json"), Lifetime::Unlimited)
    }
}

fn channel_with(settings: ChannelSettings) -> Room {
    let create = create(settings);
    let record = create.record(b"__channel__/ab0000000001", NOW);
    Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap()
}

fn channel() -> Room {
    channel_with(ChannelSettings::default())
}

fn settings(retention: Retention) -> ChannelSettings {
    ChannelSettings {
        retention,
        slow: SlowPolicy::Disconnect,
    }
}

fn message(author_id: &str) -> EventAppend<'_> {
    EventAppend {
        count: 1,
        kind: EventKind::Message,
        author_id,
        rights: MEMBER,
        key: None,
        target: None,
        replies: &[],
    }
}

fn about<'a>(kind: EventKind, author_id: &'a str, seq: u64, of: &'a str) -> EventAppend<'a> {
    EventAppend {
        kind,
        target: Some(Target {
            seq,
            author_id: of,
            kind: EventKind::Message,
        }),
        ..message(author_id)
    }
}

/// Decides, applies and shows, as a host does; returns the first sequence number.
fn append_at(room: &mut Room, append: &EventAppend<'_>, now: Millis) -> Result<u64, EventError> {
    let decision = room.decide_event(append)?;
    if let Some(record) = &decision.record {
        let size = Size {
            units: append.count,
            bytes: 100 * append.count,
        };
        room.apply(record, size, now);
        assert_eq!(room.staged(), decision.edge);
        room.show(room.staged());
    }
    Ok(decision.appended.first_seq)
}

fn append(room: &mut Room, event: &EventAppend<'_>) -> Result<u64, EventError> {
    append_at(room, event, NOW)
}

#[test]
fn numbers_count_from_one_and_a_batch_takes_as_many() {
    let mut room = channel();
    let batch = EventAppend {
        count: 3,
        ..message(ANN)
    };
    assert_eq!(append(&mut room, &message(ANN)), Ok(1));
    assert_eq!(append(&mut room, &batch), Ok(2));
    assert_eq!(append(&mut room, &message(BOB)), Ok(5));
    let none = EventAppend {
        count: 0,
        ..message(ANN)
    };
    assert_eq!(append(&mut room, &none), Err(EventError::Count));
    let meta = room.channel_meta().unwrap();
    assert_eq!((meta.head, meta.start), (5, 1));
}

#[test]
fn a_repeated_key_answers_with_what_came_first() {
    let mut room = channel();
    let keyed = |author, count| EventAppend {
        count,
        key: Some(KeyHash::of(author, "k")),
        ..message(author)
    };
    assert_eq!(append(&mut room, &keyed(ANN, 2)), Ok(1));
    assert_eq!(append(&mut room, &keyed(BOB, 1)), Ok(3));
    let again = room.decide_event(&keyed(ANN, 5)).unwrap();
    let first = Appended {
        first_seq: 1,
        count: 2,
    };
    assert_eq!((again.record, again.appended), (None, first));
    assert_eq!(room.first_outcome(KeyHash::of(ANN, "k")), Some(first));
    assert_eq!(room.first_outcome(KeyHash::of(ANN, "l")), None);
}

#[test]
fn hashes_of_keys_are_the_same_everywhere_and_know_author_from_key() {
    assert_eq!(KeyHash::of("ann", "1"), KeyHash(GOLDEN_KEY));
    assert_ne!(KeyHash::of("ann", "b1"), KeyHash::of("annb", "1"));
}

#[test]
fn keys_that_are_half_the_same_are_not_taken_for_one_another() {
    let mut room = channel();
    let with = |upper: u64| KeyHash(upper << 32 | 7);
    for upper in (0..200).chain(300..400) {
        let append = EventAppend {
            key: Some(with(upper)),
            ..message(ANN)
        };
        let known = room.first_outcome(with(upper));
        assert_eq!(known, None);
        let first_seq = append_at(&mut room, &append, NOW).unwrap();
        let outcome = room.first_outcome(with(upper)).unwrap();
        assert_eq!(outcome.first_seq, first_seq);
    }
    assert_eq!(room.first_outcome(with(250)), None);
    assert_eq!(room.first_outcome(with(0)).unwrap().first_seq, 1);
}

#[test]
fn the_newest_keys_are_kept_and_those_of_the_last_minute() {
    let mut room = channel();
    let use_key = |room: &mut Room, n: usize, now| {
        let append = EventAppend {
            key: Some(KeyHash(n as u64)),
            ..message(ANN)
        };
        append_at(room, &append, now).unwrap();
    };
    let known = |room: &Room| {
        let all = (0..2 * KEYS_MAX).filter(|n| room.first_outcome(KeyHash(*n as u64)).is_some());
        (all.clone().min(), all.count())
    };
    for n in 0..KEYS_MAX + 10 {
        use_key(&mut room, n, NOW);
    }
    assert_eq!(known(&room), (Some(10), KEYS_MAX));
    use_key(&mut room, KEYS_MAX + 10, NOW.plus(KEYS_KEPT_MS - 1));
    assert_eq!(known(&room), (Some(11), KEYS_MAX));
    use_key(&mut room, KEYS_MAX + 11, NOW.plus(KEYS_KEPT_MS));
    assert_eq!(known(&room), (Some(KEYS_MAX + 12 - KEYS_MIN), KEYS_MIN));
}

#[test]
fn each_kind_of_event_needs_its_right() {
    let mut room = channel();
    append(&mut room, &message(ANN)).unwrap();
    let with = |rights, event: EventAppend<'static>| {
        room.decide_event(&EventAppend { rights, ..event })
            .map(|decision| decision.appended.first_seq)
    };
    let refused = Err(EventError::Forbidden);
    let all_but_append = Rights::from_bits(Rights::TOKEN.bits() & !Rights::APPEND.bits()).unwrap();
    for kind in [EventKind::Edit, EventKind::Reaction] {
        assert_eq!(with(all_but_append, about(kind, ANN, 1, ANN)), refused);
        assert_eq!(with(Rights::APPEND, about(kind, ANN, 1, ANN)), Ok(2));
    }
    assert_eq!(with(all_but_append, message(ANN)), refused);
    let edit = about(EventKind::Edit, BOB, 1, ANN);
    let reaction = about(EventKind::Reaction, BOB, 1, ANN);
    let own = about(EventKind::Deletion, ANN, 1, ANN);
    let other = about(EventKind::Deletion, BOB, 1, ANN);
    assert_eq!(with(MEMBER, edit), refused);
    assert_eq!(with(Rights::TOKEN, edit), Ok(2));
    assert_eq!(with(MEMBER, reaction), Ok(2));
    assert_eq!(with(Rights::READ.with(Rights::APPEND), own), refused);
    assert_eq!(with(Rights::DELETE_OWN, own), Ok(2));
    assert_eq!(with(Rights::DELETE_OWN, other), refused);
    assert_eq!(with(Rights::DELETE_ANY, other), Ok(2));
    let pin = about(EventKind::Pin, ANN, 1, ANN);
    assert_eq!(with(MEMBER, pin), refused);
    assert_eq!(with(Rights::DELETE_ANY, pin), Ok(2));
}

#[test]
fn an_answer_is_to_a_message_that_is_there() {
    let mut room = channel();
    append(&mut room, &message(ANN)).unwrap();
    append(&mut room, &message(ANN)).unwrap();
    append(&mut room, &about(EventKind::Deletion, ANN, 2, ANN)).unwrap();
    let answer = |room: &Room, seq, kind| {
        let author_id = ANN;
        let replies = &[Target {
            seq,
            author_id,
            kind,
        }];
        let append = EventAppend {
            replies,
            ..message(BOB)
        };
        room.decide_event(&append)
            .map(|decision| decision.appended.first_seq)
    };
    assert_eq!(answer(&room, 1, EventKind::Message), Ok(4));
    assert_eq!(
        answer(&room, 2, EventKind::Message),
        Err(EventError::TargetDeleted { seq: 2 })
    );
    assert_eq!(
        answer(&room, 3, EventKind::Deletion),
        Err(EventError::TargetKind {
            kind: EventKind::Deletion
        })
    );
    for seq in [0, 4] {
        assert_eq!(
            answer(&room, seq, EventKind::Message),
            Err(EventError::NoTarget)
        );
    }
}

#[test]
fn what_is_deleted_stays_so_and_takes_nothing_more() {
    let mut room = channel();
    for _ in 0..3 {
        append(&mut room, &message(ANN)).unwrap();
    }
    let delete = about(EventKind::Deletion, ANN, 2, ANN);
    assert_eq!(append(&mut room, &delete), Ok(4));
    assert_eq!(
        append(&mut room, &delete),
        Err(EventError::AlreadyDeleted { seq: 2 })
    );
    for kind in [EventKind::Edit, EventKind::Reaction, EventKind::Pin] {
        let about = about(kind, ANN, 2, ANN);
        let rights = Rights::TOKEN;
        assert_eq!(
            append(&mut room, &EventAppend { rights, ..about }),
            Err(EventError::TargetDeleted { seq: 2 })
        );
    }
    let hidden: Vec<_> = (0..4).filter(|unit| room.hides(*unit)).collect();
    assert_eq!(hidden, [1]);
    assert!(room.hidden_in(0, 2) && !room.hidden_in(2, 4) && !room.hidden_in(1, 1));
}

#[test]
fn targets_must_be_there_and_of_a_kind_that_fits() {
    let mut room = channel();
    append(&mut room, &message(ANN)).unwrap();
    let delete = about(EventKind::Deletion, ANN, 1, ANN);
    for seq in [0, 2, u64::MAX] {
        assert_eq!(room.check_target(seq), Err(EventError::NoTarget));
        let target = delete.target.map(|target| Target { seq, ..target });
        let append = EventAppend { target, ..delete };
        assert_eq!(room.decide_event(&append), Err(EventError::NoTarget));
    }
    let nothing = EventAppend {
        target: None,
        ..delete
    };
    assert_eq!(room.decide_event(&nothing), Err(EventError::NoTarget));
    let two = EventAppend { count: 2, ..delete };
    assert_eq!(room.decide_event(&two), Err(EventError::Count));

    for (kind, target, fits) in [
        (EventKind::Deletion, EventKind::Deletion, false),
        (EventKind::Deletion, EventKind::Edit, true),
        (EventKind::Deletion, EventKind::Reaction, true),
        (EventKind::Edit, EventKind::Edit, false),
        (EventKind::Edit, EventKind::Deletion, false),
        (EventKind::Reaction, EventKind::Reaction, false),
        (EventKind::Pin, EventKind::Reaction, false),
        (EventKind::Pin, EventKind::Message, true),
        (EventKind::Deletion, EventKind::Pin, true),
    ] {
        let mut append = about(kind, ANN, 1, ANN);
        append.rights = Rights::TOKEN;
        if let Some(of) = &mut append.target {
            of.kind = target;
        }
        let expected = if fits {
            Ok(2)
        } else {
            Err(EventError::TargetKind { kind: target })
        };
        let decided = room.decide_event(&append);
        assert_eq!(decided.map(|one| one.appended.first_seq), expected);
    }
}

#[test]
fn edits_of_a_deleted_message_are_found_where_they_may_lie() {
    let mut room = channel();
    for event in [
        message(ANN),
        message(ANN),
        about(EventKind::Edit, ANN, 1, ANN),
        message(ANN),
    ] {
        append(&mut room, &event).unwrap();
    }
    assert!(!room.redacts(0, 4));
    append(&mut room, &about(EventKind::Deletion, ANN, 1, ANN)).unwrap();
    append(&mut room, &message(ANN)).unwrap();
    let redacted: Vec<_> = (0..6).map(|at| room.redacts(at, at + 1)).collect();
    assert_eq!(redacted, [true, false, true, false, false, false]);
    append(&mut room, &about(EventKind::Edit, ANN, 6, ANN)).unwrap();
    assert!(!room.redacts(5, 7));
}

#[test]
fn a_deleted_channel_answers_nothing_but_gone_and_is_purged_later() {
    let mut room = channel();
    append(&mut room, &message(ANN)).unwrap();
    let end = room.decide_channel_end(NOW, 500).unwrap();
    room.apply(&end, Size::NONE, NOW);
    assert_eq!(room.decide_event(&message(ANN)), Err(EventError::Gone));
    assert_eq!(room.decide_read(Start::Oldest), Err(ReadError::Gone));
    assert_eq!(
        room.decide_append(&Append::default()),
        Err(AppendError::Gone)
    );
    assert_eq!(room.decide_channel_end(NOW, 500), Err(ChannelError::Gone));
    assert_eq!(
        room.decide_settings(ChannelSettings::default()),
        Err(ChannelError::Gone)
    );
    let meta = room.channel_meta().unwrap();
    assert_eq!(meta.deleted_at, Some(NOW));
    assert_eq!(room.purge_at(), Some(NOW.plus(500)));
    assert_eq!(room.deadline(), Some(NOW.plus(500)));
    assert_eq!(room.wake_at(), Some(NOW.plus(500)));
    assert!(room.is_gone() && !room.is_deleted());
}

#[test]
fn a_closed_channel_answers_repeated_keys_and_takes_nothing_new() {
    let create = Create {
        closed: true,
        ..create(ChannelSettings::default())
    };
    let record = create.record(b"c", NOW);
    let mut room = Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap();
    room.show(room.staged());
    assert_eq!(
        append(&mut room, &message(ANN)),
        Err(EventError::Closed { head: 0 })
    );
}

#[test]
fn a_channel_is_no_stream_to_write_fork_or_make_twice() {
    let room = channel();
    let data = Append {
        content_type: Some("application/json"),
        units: 1,
        ..Append::default()
    };
    assert_eq!(room.decide_append(&data), Err(AppendError::Channel));
    let close = Append {
        close: true,
        ..Append::default()
    };
    assert_eq!(room.decide_append(&close), Err(AppendError::Channel));
    assert_eq!(room.decide_fork(None, None, 0), Err(ForkError::Channel));
    for again in [
        create(ChannelSettings::default()),
        Create::new(ContentType::new("application/json"), Lifetime::Unlimited),
    ] {
        assert_eq!(room.decide_create(&again, None), Err(CreateError::Exists));
    }
}

#[test]
fn a_stream_takes_no_events_and_knows_nothing_of_channels() {
    let create = Create::new(ContentType::new("application/json"), Lifetime::Unlimited);
    let record = create.record(b"a", NOW);
    let mut room = Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap();
    let before = room.clone();
    assert_eq!(room.decide_event(&message(ANN)), Err(EventError::NoChannel));
    assert_eq!(
        room.decide_secret(Secret::new("x")),
        Err(ChannelError::NoChannel)
    );
    let change = ChannelChange::Secret(Secret::new("x"));
    room.apply(&Record::Channel(change), Size::NONE, NOW);
    assert_eq!(room, before);
    assert_eq!((room.channel(), room.channel_meta()), (None, None));
    assert!(!room.hides(0) && !room.redacts(0, 9) && !room.is_gone());
}

#[test]
fn settings_and_secret_change_and_the_secret_is_never_printed() {
    let mut room = channel();
    let wanted = ChannelSettings {
        retention: Retention {
            max_events: Some(5),
            ..Retention::default()
        },
        slow: SlowPolicy::Conflate,
    };
    let record = room.decide_settings(wanted).unwrap().unwrap();
    room.apply(&record, Size::NONE, NOW);
    assert_eq!(room.decide_settings(wanted), Ok(None));
    let record = room.decide_secret(Secret::new("n3w")).unwrap();
    room.apply(&record, Size::NONE, NOW);
    let channel = room.channel().unwrap();
    assert_eq!((channel.settings(), channel.secret()), (wanted, "n3w"));
    let printed = format!("{record:?} {room:?} {:?}", create(wanted));
    assert!(!printed.contains("n3w") && !printed.contains("s3cret"));
}

#[test]
fn neighbours_are_one_run_and_runs_are_bounded() {
    let mut hidden = Hidden::default();
    for at in 0..HIDDEN_RANGES_MAX as u64 {
        assert!(hidden.has_space_for(2 * at));
        hidden.hide(2 * at, u64::MAX);
    }
    let end = 2 * HIDDEN_RANGES_MAX as u64;
    assert!(!hidden.has_space_for(end));
    for fits in [end - 1, 1, 0] {
        assert!(hidden.has_space_for(fits), "{fits}");
    }
    hidden.hide(1, u64::MAX);
    assert!(hidden.has_space_for(end));
    assert!(hidden.contains(0) && hidden.contains(1) && hidden.contains(2));
    assert!(!hidden.contains(3) && hidden.intersects(3, 5) && !hidden.intersects(3, 4));
}

#[test]
fn golden_bytes_of_a_channel() {
    let wanted = ChannelSettings {
        retention: Retention {
            max_age_ms: Some(300),
            max_events: None,
            max_bytes: Some(7),
        },
        slow: SlowPolicy::Conflate,
    };
    let create = create(wanted);
    let record = create.record(b"c", NOW);
    let mut meta = Vec::new();
    record.encode(&mut meta);
    let identity = b"\xab\0\0\0\0\x01\x07general\x04acme\x06s3cret\x0d\xac\x02\x07";
    let head = b"\x01\x01c\x10application/json\x00\x02\xe8\x03\0\0\0\0\0\0\x00";
    assert_eq!(meta, [&head[..], identity].concat());
    assert_eq!(Record::decode(&meta), Some(record.clone()));

    let mut room = Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap();
    let keyed = EventAppend {
        key: Some(KeyHash(0x0102)),
        ..message(ANN)
    };
    append(&mut room, &keyed).unwrap();
    append(&mut room, &about(EventKind::Edit, ANN, 1, ANN)).unwrap();
    append(&mut room, &about(EventKind::Deletion, ANN, 1, ANN)).unwrap();
    let end = room.decide_channel_end(NOW, 1).unwrap();
    room.apply(&end, Size::NONE, NOW);
    let mut state = Vec::new();
    room.encode(&mut state);
    let times = b"\xe8\x03\0\0\0\0\0\0\xe8\x03\0\0\0\0\0\0";
    let plain = b"\x01\x01c\x10application/json\x00\x04\x03\x00";
    let extra = b"\x01\x00\x00\x00\x00\x00\x00";
    let ended = b"\x01\xe8\x03\0\0\0\0\0\0\xe9\x03\0\0\0\0\0\0";
    let keys = b"\x01\x02\x01\0\0\0\0\0\0\x00\x01\xe8\x07";
    let hidden = b"\x01\x00\x01\x01\x01\x02";
    let marks = b"\x00\x02\x00\x00\xe8\x07\x01\x64\x00\x01\x64\x00\x01\x64\x00";
    let parts: [&[u8]; 8] = [plain, times, extra, identity, ended, keys, hidden, marks];
    assert_eq!(state, parts.concat());
    room.show(room.staged());
    assert_eq!(Room::decode(RoomId(1), &state), Some(room));
    for cut in 0..state.len() {
        assert_eq!(Room::decode(RoomId(1), &state[..cut]), None, "{cut}");
    }
}

/// Computed by another program: the first eight bytes, least significant first, of the SHA-256 of
/// the author's length in eight bytes, the author and the key.
const GOLDEN_KEY: u64 = 0x78f7_81d5_38e8_2d53;
