//! The room's decisions, one claim a test.

use floe_proto::{Millis, Retention, Rights, RoomId};

use super::access::{AccessChange, AccessError, AccessPatch, Role, RoomAccess};
use super::*;

const NOW: Millis = Millis(1_000);

fn room_of(content_type: &str, lifetime: Lifetime) -> Room {
    let create = Create::new(ContentType::new(content_type), lifetime);
    Room::create(RoomId(1), &create.record(b"a", NOW), Size::NONE, NOW).unwrap()
}

fn text_room() -> Room {
    room_of("text/plain", Lifetime::Unlimited)
}

fn of_bytes(bytes: u64) -> Size {
    Size {
        units: bytes,
        bytes,
    }
}

fn bytes(units: u64) -> Append<'static> {
    Append {
        content_type: Some("text/plain"),
        units,
        ..Append::default()
    }
}

fn from(id: &'static str, epoch: u64, seq: u64) -> Append<'static> {
    Append {
        producer: Some(Producer { id, epoch, seq }),
        ..bytes(1)
    }
}

/// Decides and applies, as a host does, and returns whether anything was written.
fn append(room: &mut Room, append: Append<'_>) -> Result<bool, AppendError> {
    let decision = room.decide_append(&append)?;
    let Some(record) = decision.record else {
        return Ok(false);
    };
    room.apply(&record, of_bytes(append.units), NOW);
    assert_eq!(room.staged(), decision.edge);
    Ok(true)
}

#[test]
fn nothing_staged_is_visible_until_it_is_shown() {
    let mut room = text_room();
    append(&mut room, bytes(5)).unwrap();
    assert_eq!(room.decide_read(Start::Oldest).unwrap().edge.tail, 0);
    assert_eq!(
        room.decide_read(Start::At(5)),
        Err(ReadError::BeyondTail { tail: 0 })
    );
    room.show(room.staged());
    assert_eq!(room.decide_read(Start::Now).unwrap().from, 5);
}

#[test]
fn a_closed_room_takes_nothing_but_its_close_again() {
    let mut room = text_room();
    append(
        &mut room,
        Append {
            close: true,
            ..bytes(3)
        },
    )
    .unwrap();
    assert_eq!(
        append(&mut room, bytes(1)),
        Err(AppendError::Closed { tail: 3 })
    );
    let both = Append {
        close: true,
        ..bytes(1)
    };
    assert_eq!(
        append(&mut room, both),
        Err(AppendError::Closed { tail: 3 })
    );
    assert_eq!(
        append(
            &mut room,
            Append {
                close: true,
                ..Append::default()
            }
        ),
        Ok(false)
    );
}

#[test]
fn a_producer_is_deduplicated_fenced_and_held_to_its_order() {
    let mut room = text_room();
    assert_eq!(
        append(&mut room, from("p", 0, 1)),
        Err(AppendError::ProducerGap {
            expected: 0,
            received: 1
        })
    );
    assert_eq!(append(&mut room, from("p", 0, 0)), Ok(true));
    assert_eq!(append(&mut room, from("p", 0, 1)), Ok(true));
    let duplicate = room.decide_append(&from("p", 0, 0)).unwrap();
    assert_eq!((duplicate.record, duplicate.producer), (None, Some((0, 1))));
    assert_eq!(
        append(&mut room, from("p", 0, 3)),
        Err(AppendError::ProducerGap {
            expected: 2,
            received: 3
        })
    );
    assert_eq!(
        append(&mut room, from("p", 2, 1)),
        Err(AppendError::ProducerEpochStart)
    );
    assert_eq!(append(&mut room, from("p", 2, 0)), Ok(true));
    assert_eq!(
        append(&mut room, from("p", 1, 0)),
        Err(AppendError::ProducerFenced { epoch: 2 })
    );
    assert_eq!(append(&mut room, from("q", 0, 0)), Ok(true));
}

#[test]
fn only_the_tuple_that_closed_is_a_duplicate_of_the_close() {
    let mut room = text_room();
    append(&mut room, from("p", 1, 0)).unwrap();
    let close = Append {
        close: true,
        ..from("p", 1, 1)
    };
    assert_eq!(append(&mut room, close), Ok(true));
    assert_eq!(append(&mut room, close), Ok(false));
    let closed = Err(AppendError::Closed { tail: 2 });
    assert_eq!(append(&mut room, from("p", 1, 0)), closed);
    assert_eq!(append(&mut room, from("p", 1, 2)), closed);
    assert_eq!(append(&mut room, from("q", 0, 0)), closed);
    assert_eq!(
        append(&mut room, from("p", 0, 0)),
        Err(AppendError::ProducerFenced { epoch: 1 })
    );
}

#[test]
fn stream_seq_compares_bytes_and_only_grows() {
    let mut room = text_room();
    let with = |seq: &'static [u8]| Append {
        stream_seq: Some(seq),
        ..bytes(1)
    };
    assert_eq!(append(&mut room, with(b"2")), Ok(true));
    assert_eq!(
        append(&mut room, with(b"10")),
        Err(AppendError::SequenceRegression)
    );
    assert_eq!(
        append(&mut room, with(b"2")),
        Err(AppendError::SequenceRegression)
    );
    assert_eq!(append(&mut room, with(b"a")), Ok(true));
    assert_eq!(
        append(&mut room, with(b"B")),
        Err(AppendError::SequenceRegression)
    );
}

#[test]
fn checks_come_in_the_order_closed_type_sequence() {
    let mut room = text_room();
    let wrong = Append {
        content_type: Some("image/png"),
        stream_seq: Some(b"1"),
        ..bytes(1)
    };
    append(
        &mut room,
        Append {
            stream_seq: Some(b"5"),
            ..bytes(1)
        },
    )
    .unwrap();
    assert_eq!(append(&mut room, wrong), Err(AppendError::ContentType));
    append(
        &mut room,
        Append {
            close: true,
            ..Append::default()
        },
    )
    .unwrap();
    assert_eq!(
        append(&mut room, wrong),
        Err(AppendError::Closed { tail: 1 })
    );
}

#[test]
fn a_sliding_lifetime_follows_touches_and_tells_the_log_now_and_then() {
    let mut room = room_of("text/plain", Lifetime::Ttl(80));
    assert_eq!(room.deadline(), Some(NOW.plus(80_000)));
    assert_eq!(room.touch(NOW.plus(9_999)), None);
    assert_eq!(room.deadline(), Some(NOW.plus(89_999)));
    assert_eq!(room.touch(NOW.plus(10_000)), Some(Record::Touched));
    room.apply(&Record::Touched, Size::NONE, NOW.plus(10_000));
    assert_eq!(room.touch(NOW.plus(10_001)), None);
    assert_eq!(
        room_of("a/b", Lifetime::ExpiresAt(Millis(7))).deadline(),
        Some(Millis(7))
    );
}

#[test]
fn forks_of_forks_read_each_unit_where_it_was_written() {
    let mut source = text_room();
    append(&mut source, bytes(10)).unwrap();
    let fork = source.decide_fork(None, Some(4), 2).unwrap();
    let create = Create {
        fork: Some(fork),
        ..Create::new(ContentType::new("text/plain"), Lifetime::Unlimited)
    };
    let mut child = Room::create(RoomId(2), &create.record(b"b", NOW), of_bytes(3), NOW).unwrap();
    assert_eq!((child.staged().tail, child.own_start()), (9, 6));
    let inherited = Holder {
        room: RoomId(1),
        base: 0,
        until: 6,
    };
    let own = Holder {
        room: RoomId(2),
        base: 6,
        until: u64::MAX,
    };
    assert_eq!((child.holder(5), child.holder(6)), (inherited, own));
    append(&mut child, bytes(1)).unwrap();

    for (at, holders) in [
        (3, vec![(RoomId(1), 3), (RoomId(2), 3)]),
        (6, vec![(RoomId(1), 6), (RoomId(2), 6)]),
        (8, vec![(RoomId(1), 6), (RoomId(2), 8)]),
    ] {
        assert_eq!(
            child.decide_fork(None, Some(at), 0).unwrap().lineage,
            holders,
            "{at}"
        );
    }
    assert_eq!(
        child.decide_fork(None, Some(9), 2),
        Err(ForkError::BeyondTail { tail: 10 })
    );
    assert_eq!(
        child.decide_fork(Some(&ContentType::new("a/b")), None, 0),
        Err(ForkError::ContentType)
    );
}

#[test]
fn state_round_trips_with_everything_in_it() {
    let mut room = room_of("Text/Plain; charset=x", Lifetime::Ttl(9));
    append(
        &mut room,
        Append {
            stream_seq: Some(b"1"),
            ..from("p", 3, 0)
        },
    )
    .unwrap();
    append(
        &mut room,
        Append {
            close: true,
            ..from("q", 0, 0)
        },
    )
    .unwrap();
    for record in [
        Record::ForkAdded(RoomId(9)),
        Record::ForkAdded(RoomId(4)),
        Record::ForkRemoved(RoomId(9)),
        Record::Value(b"value"),
        Record::Access(Box::new(RoomAccess::owned_by("olga"))),
        Record::Keep(Retention {
            max_age_ms: Some(5_000),
            max_events: Some(3),
            max_bytes: None,
        }),
        Record::SoftDelete,
    ] {
        room.apply(&record, Size::NONE, NOW);
    }
    let mut state = Vec::new();
    room.encode(&mut state);
    room.show(room.staged());
    assert_eq!(Room::decode(RoomId(1), &state), Some(room));
    for cut in 0..state.len() {
        assert_eq!(Room::decode(RoomId(1), &state[..cut]), None);
    }
}

#[test]
fn golden_bytes_of_a_state() {
    let mut room = room_of("text/plain", Lifetime::Ttl(300));
    append(&mut room, bytes(200)).unwrap();
    let mut state = Vec::new();
    room.encode(&mut state);
    let plain = b"\x01\x01a\x0atext/plain\x01\xac\x02\x00\xc8\x01\x00";
    let times = b"\xe8\x03\0\0\0\0\0\0\xe8\x03\0\0\0\0\0\0";
    assert_eq!(state, [&plain[..], times, b"\0"].concat());

    append(
        &mut room,
        Append {
            close: true,
            ..from("p", 1, 0)
        },
    )
    .unwrap();
    room.apply(&Record::ForkAdded(RoomId(9)), Size::NONE, NOW);
    state.clear();
    room.encode(&mut state);
    let closed = b"\x01\x01a\x0atext/plain\x01\xac\x02\x01\xc9\x01\x00";
    let extra = b"\x01\x01\x01p\x01\0\x01\x01p\x01\0\0\x01\x09\0\0";
    assert_eq!(state, [&closed[..], times, extra].concat());

    let mut owned = room_of("text/plain", Lifetime::Unlimited);
    let rules = RoomAccess {
        public: Rights::READ,
        owner: Some("o".into()),
        members: [("m".into(), Role::Reader)].into(),
    };
    owned.apply(&Record::Access(Box::new(rules)), Size::NONE, NOW);
    state.clear();
    owned.encode(&mut state);
    let head = b"\x01\x01a\x0atext/plain\0\x08\0\0";
    let rest = b"\x01\0\0\0\0\0\0\x01\x01\x01\x01o\x01\x01m\x01";
    assert_eq!(state, [&head[..], times, rest].concat());
}

#[test]
fn rules_of_a_room_have_versions_and_bounds() {
    let mut room = room_of("text/plain", Lifetime::Unlimited);
    let merge = |patch: AccessPatch| AccessChange::Merge(patch);
    let add = |user: &str, role: Option<Role>| {
        merge(AccessPatch {
            members: [(user.into(), role)].into(),
            ..AccessPatch::default()
        })
    };
    assert_eq!((room.access(), room.access_version()), (None, 0));
    assert_eq!(room.decide_access(add("mia", None), None), Ok(None));
    let record = room.decide_access(add("mia", Some(Role::Member)), Some(0));
    room.apply(&record.unwrap().unwrap(), Size::NONE, NOW);
    assert_eq!(room.access_version(), 1);
    assert_eq!(
        room.decide_access(add("mia", None), Some(0)),
        Err(AccessError::Changed { version: 1 })
    );
    let owner = merge(AccessPatch {
        public: Some(Rights::READ),
        owner: Some(Some("olga".into())),
        ..AccessPatch::default()
    });
    let record = room.decide_access(owner.clone(), Some(1)).unwrap();
    room.apply(&record.unwrap(), Size::NONE, NOW);
    assert_eq!(room.decide_access(owner, None), Ok(None));
    let rules = room.access().unwrap();
    assert_eq!(rules.members.get("mia"), Some(&Role::Member));
    assert_eq!(rules.rights(None), Rights::READ);

    let many = (0..=RoomAccess::MEMBERS_MAX).map(|at| (at.to_string().into(), Role::Reader));
    let many = RoomAccess {
        members: many.collect(),
        ..RoomAccess::default()
    };
    let refused = |rules| room.decide_access(AccessChange::Replace(rules), None).err();
    assert_eq!(refused(many), Some(AccessError::Members));
    assert_eq!(refused(RoomAccess::owned_by("")), Some(AccessError::User));
    let long = "x".repeat(RoomAccess::USER_BYTES_MAX + 1);
    assert_eq!(
        refused(RoomAccess::owned_by(&long)),
        Some(AccessError::User)
    );
    let everyone = RoomAccess {
        public: Rights::APPEND,
        ..RoomAccess::default()
    };
    assert_eq!(refused(everyone), Some(AccessError::Public));
    assert_eq!(refused(RoomAccess::owned_by("olga")), None);
    room.apply(&Record::SoftDelete, Size::NONE, NOW);
    assert_eq!(
        room.decide_access(add("mia", None), None),
        Err(AccessError::Gone)
    );
}

#[test]
fn a_fork_takes_no_rules_of_its_source() {
    let create = Create {
        owner: Some("olga".into()),
        ..Create::new(ContentType::new("text/plain"), Lifetime::Unlimited)
    };
    let record = create.record(b"a", NOW);
    let source = Room::create(RoomId(1), &record, Size::NONE, NOW).unwrap();
    assert_eq!(source.access(), Some(&RoomAccess::owned_by("olga")));
    assert_eq!(source.access_version(), 1);
    let fork = Create {
        fork: Some(source.decide_fork(None, None, 0).unwrap()),
        ..Create::new(ContentType::new("text/plain"), Lifetime::Unlimited)
    };
    let fork = fork.record(b"b", NOW);
    let fork = Room::create(RoomId(2), &fork, Size::NONE, NOW).unwrap();
    assert_eq!(fork.access(), None);
}

#[test]
fn folding_in_pieces_equals_folding_at_once() {
    let create = Create::new(ContentType::new("text/plain"), Lifetime::Ttl(5));
    let mut metas = vec![(create.record(b"a", NOW), 2)];
    for seq in 0..5 {
        let producer = Some(Producer {
            id: "p",
            epoch: 0,
            seq,
        });
        metas.push((
            Record::Data(DataRecord {
                producer,
                ..DataRecord::default()
            }),
            3,
        ));
    }
    let metas: Vec<_> = metas
        .into_iter()
        .enumerate()
        .map(|(at, (record, units))| {
            let mut meta = Vec::new();
            record.encode(&mut meta);
            (NOW.plus(at as u64), meta, units)
        })
        .collect();
    let records = |range: std::ops::Range<usize>| {
        metas[range]
            .iter()
            .map(|(time, meta, units)| (*time, &**meta, of_bytes(*units)))
    };
    let whole = fold(RoomId(1), None, records(0..6)).unwrap();
    let first = fold(RoomId(1), None, records(0..3)).unwrap();
    assert_eq!(
        fold(RoomId(1), Some(&first.state), records(3..6)),
        Some(whole)
    );
    assert_eq!(fold(RoomId(1), None, records(1..3)), None);
}
