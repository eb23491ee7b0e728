use super::*;

fn bounded(retention: Retention) -> Room {
    channel_with(settings(retention))
}

fn retain(room: &mut Room, now: Millis) -> u64 {
    if let Some(record) = room.decide_retention(now) {
        room.apply(&record, Size::NONE, now);
    }
    room.start()
}

#[test]
fn more_events_than_promised_go_in_steps_of_time() {
    let mut room = bounded(Retention {
        max_events: Some(3),
        ..Retention::default()
    });
    for _ in 0..3 {
        append(&mut room, &message(ANN)).unwrap();
    }
    assert_eq!((room.decide_retention(NOW), room.wake_at()), (None, None));
    append(&mut room, &message(ANN)).unwrap();
    assert_eq!(room.wake_at(), Some(Millis(RETAIN_INTERVAL_MS)));
    assert_eq!(retain(&mut room, NOW), 1);
    append(&mut room, &message(ANN)).unwrap();
    let next = NOW.plus(RETAIN_INTERVAL_MS);
    assert_eq!(room.wake_at(), Some(next));
    assert_eq!(retain(&mut room, Millis(next.0 - 1)), 1);
    assert_eq!(retain(&mut room, next), 2);
    assert_eq!(room.wake_at(), None);
    assert_eq!(
        room.decide_read(Start::At(1)),
        Err(ReadError::Expired { start: 2 })
    );
    assert_eq!(
        room.check_target(2),
        Err(EventError::TargetExpired { oldest: 3 })
    );
    let meta = room.channel_meta().unwrap();
    assert_eq!((meta.start, meta.head), (3, 5));
}

#[test]
fn the_last_event_of_a_quiet_channel_goes_when_it_is_too_old() {
    let mut room = bounded(Retention {
        max_age_ms: Some(60_000),
        ..Retention::default()
    });
    append_at(&mut room, &message(ANN), NOW).unwrap();
    append_at(&mut room, &message(ANN), NOW.plus(50_000)).unwrap();
    let first = NOW.plus(60_000);
    assert_eq!(room.wake_at(), Some(first));
    assert_eq!(retain(&mut room, Millis(first.0 - 1)), 0);
    assert_eq!(retain(&mut room, first), 1);
    let second = NOW.plus(110_000);
    assert_eq!(room.wake_at(), Some(second));
    assert_eq!(retain(&mut room, second), 2);
    assert_eq!(room.wake_at(), None);
}

#[test]
fn nothing_goes_before_it_is_durable() {
    let mut room = bounded(Retention {
        max_events: Some(0),
        ..Retention::default()
    });
    let record = room.decide_event(&message(ANN)).unwrap().record.unwrap();
    let size = Size {
        units: 1,
        bytes: 100,
    };
    room.apply(&record, size, NOW);
    assert_eq!(room.decide_retention(NOW), None);
    room.show(room.staged());
    assert_eq!(retain(&mut room, NOW), 1);
}

#[test]
fn a_channel_without_bounds_keeps_everything_and_few_marks() {
    let mut room = channel();
    for at in 0..20_000 {
        append_at(&mut room, &message(ANN), Millis(at * 1_000)).unwrap();
    }
    assert_eq!(room.decide_retention(Millis(u64::MAX)), None);
    assert_eq!(room.wake_at(), None);
    let mut state = Vec::new();
    room.encode(&mut state);
    assert!(state.len() < 600, "{}", state.len());
    // Bounds that come later find the history marked well enough.
    let record = room.decide_settings(settings(Retention {
        max_bytes: Some(1_000_000),
        ..Retention::default()
    }));
    room.apply(&record.unwrap().unwrap(), Size::NONE, NOW);
    let start = retain(&mut room, Millis(20_000_000));
    assert!((8_000..=10_000).contains(&start), "{start}");
}

#[test]
fn what_was_said_of_messages_that_are_kept_no_more_is_redacted() {
    let mut room = bounded(Retention {
        max_events: Some(1),
        ..Retention::default()
    });
    append(&mut room, &message(ANN)).unwrap();
    append(&mut room, &about(EventKind::Edit, ANN, 1, ANN)).unwrap();
    assert!(!room.redacts(1, 2));
    assert_eq!(retain(&mut room, NOW), 1);
    assert!(room.redacts(1, 2) && room.hides(0) && !room.hides(1));
}
