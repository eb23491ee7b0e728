//! A plain model of a channel, which keeps everything and looks through all of it.

use proptest::prelude::*;

use super::*;
use crate::fold;

#[derive(Debug, Clone, Copy)]
enum Op {
    Say {
        author: u8,
        count: u8,
        key: Option<u8>,
    },
    About {
        kind: EventKind,
        author: u8,
        any: bool,
        seq: u8,
    },
    Wait {
        ms: u16,
    },
    Retain,
    Reload,
    Rebound {
        retention: Retention,
    },
}

#[derive(Debug, Clone)]
struct Known {
    kind: EventKind,
    author: &'static str,
    target: Option<usize>,
    at: Millis,
    bytes: u64,
    deleted: bool,
}

const AUTHORS: [&str; 3] = ["ann", "bob", "cleo"];

fn retention() -> impl Strategy<Value = Retention> {
    let bound = |max| proptest::option::of(0..max);
    (bound(60_000_u64), bound(40_u64), bound(4_000_u64)).prop_map(
        |(max_age_ms, max_events, max_bytes)| Retention {
            max_age_ms,
            max_events,
            max_bytes,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        Just(EventKind::Edit),
        Just(EventKind::Reaction),
        Just(EventKind::Deletion),
        Just(EventKind::Pin)
    ];
    prop_oneof![
        4 => (0..3_u8, 1..4_u8, proptest::option::of(0..6_u8))
            .prop_map(|(author, count, key)| Op::Say { author, count, key }),
        6 => (kind, 0..3_u8, any::<bool>(), 0..50_u8)
            .prop_map(|(kind, author, any, seq)| Op::About { kind, author, any, seq }),
        2 => (0..20_000_u16).prop_map(|ms| Op::Wait { ms }),
        2 => Just(Op::Retain),
        1 => Just(Op::Reload),
        1 => retention().prop_map(|retention| Op::Rebound { retention }),
    ]
}

/// The room, the model, and the records since the last fold.
struct World {
    room: Room,
    events: Vec<Known>,
    keys: Vec<((u8, u8), (u64, u64))>,
    now: Millis,
    folded: Vec<u8>,
    records: Vec<(Millis, Vec<u8>, Size)>,
}

impl World {
    fn new(retention: Retention) -> Self {
        let room = channel_with(settings(retention));
        let mut folded = Vec::new();
        room.encode(&mut folded);
        Self {
            room,
            events: Vec::new(),
            keys: Vec::new(),
            now: NOW,
            folded,
            records: Vec::new(),
        }
    }

    fn write(&mut self, record: &Record<'_>, size: Size) {
        let mut meta = Vec::new();
        record.encode(&mut meta);
        assert_eq!(Record::decode(&meta).as_ref(), Some(record));
        self.room.apply(record, size, self.now);
        self.room.show(self.room.staged());
        self.records.push((self.now, meta, size));
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Say { author, count, key } => self.say(author, count.into(), key),
            Op::About {
                kind,
                author,
                any,
                seq,
            } => self.about(kind, AUTHORS[usize::from(author)], any, seq.into()),
            Op::Wait { ms } => self.now = self.now.plus(ms.into()),
            Op::Retain => self.retain(),
            Op::Reload => self.reload(),
            Op::Rebound { retention } => {
                let decided = self.room.decide_settings(settings(retention)).unwrap();
                if let Some(record) = decided {
                    self.write(&record, Size::NONE);
                }
            }
        }
    }

    fn say(&mut self, by: u8, count: u64, key: Option<u8>) {
        let author = AUTHORS[usize::from(by)];
        let append = EventAppend {
            count,
            key: key.map(|key| KeyHash::of(author, &key.to_string())),
            ..message(author)
        };
        let decision = self.room.decide_event(&append).unwrap();
        let new = (self.events.len() as u64 + 1, count);
        let known = key.and_then(|key| self.keys.iter().find(|(known, _)| *known == (by, key)));
        let expected = known.map_or(new, |(_, outcome)| *outcome);
        let Appended { first_seq, count } = decision.appended;
        assert_eq!((first_seq, count), expected);
        assert_eq!(decision.record.is_some(), known.is_none());
        if let Some(record) = decision.record {
            self.keys.extend(key.map(|key| ((by, key), new)));
            for _ in 0..count {
                self.push(EventKind::Message, author, None, 100);
            }
            let size = Size {
                units: count,
                bytes: 100 * count,
            };
            self.write(&record, size);
        }
    }

    fn push(&mut self, kind: EventKind, author: &'static str, target: Option<usize>, bytes: u64) {
        self.events.push(Known {
            kind,
            author,
            target,
            at: self.now,
            bytes,
            deleted: false,
        });
    }

    fn about(&mut self, kind: EventKind, author: &'static str, any: bool, seq: u64) {
        let at = (seq as usize).wrapping_sub(1);
        let target = self.events.get(at).map(|event| Target {
            seq,
            author_id: event.author,
            kind: event.kind,
        });
        let rights = if any { Rights::TOKEN } else { MEMBER };
        let append = EventAppend {
            count: 1,
            kind,
            author_id: author,
            rights,
            key: None,
            target,
            replies: &[],
        };
        let expected = self.expect_about(kind, author, any, at);
        let decided = self.room.decide_event(&append);
        assert_eq!(decided.clone().map(|_| ()), expected);
        if let Ok(decision) = decided {
            self.push(kind, author, Some(at), 50);
            if kind == EventKind::Deletion {
                self.events[at].deleted = true;
            }
            let size = Size {
                units: 1,
                bytes: 50,
            };
            self.write(&decision.record.unwrap(), size);
        }
    }

    fn expect_about(
        &self,
        kind: EventKind,
        author: &str,
        any: bool,
        at: usize,
    ) -> Result<(), EventError> {
        // Pins ask for the right before they look at what they are about.
        if kind == EventKind::Pin && !any {
            return Err(EventError::Forbidden);
        }
        let Some(target) = self.events.get(at) else {
            return Err(EventError::NoTarget);
        };
        let seq = at as u64 + 1;
        let oldest = self.room.start() + 1;
        let fits = match kind {
            EventKind::Deletion => target.kind != EventKind::Deletion,
            EventKind::Message | EventKind::Edit | EventKind::Reaction | EventKind::Pin => {
                target.kind == EventKind::Message
            }
        };
        let may = any || kind == EventKind::Reaction || target.author == author;
        match () {
            () if seq < oldest => Err(EventError::TargetExpired { oldest }),
            () if !fits => Err(EventError::TargetKind { kind: target.kind }),
            () if !may => Err(EventError::Forbidden),
            () if target.deleted && kind == EventKind::Deletion => {
                Err(EventError::AlreadyDeleted { seq })
            }
            () if target.deleted => Err(EventError::TargetDeleted { seq }),
            () => Ok(()),
        }
    }

    /// Drops what retention lets go, and checks that nothing promised goes.
    fn retain(&mut self) {
        let Some(record) = self.room.decide_retention(self.now) else {
            return;
        };
        let before = self.room.start();
        self.write(&record, Size::NONE);
        let start = self.room.start() as usize;
        assert!(self.room.start() > before && start <= self.events.len());
        assert!(
            self.is_outside(start - 1),
            "event {start} was dropped too early"
        );
    }

    /// Whether an event lies outside one of the bounds, and may go.
    fn is_outside(&self, at: usize) -> bool {
        let Retention {
            max_age_ms,
            max_events,
            max_bytes,
        } = self.room.channel().unwrap().settings().retention;
        let after = &self.events[at + 1..];
        let bytes: u64 = after.iter().map(|event| event.bytes).sum();
        max_age_ms.is_some_and(|age| self.now.since(self.events[at].at) >= age)
            || max_events.is_some_and(|events| after.len() as u64 >= events)
            || max_bytes.is_some_and(|max| bytes >= max)
    }

    /// Loads the room from what a fold of its records says.
    fn reload(&mut self) {
        let records = self.records.iter();
        let records = records.map(|(time, meta, size)| (*time, &**meta, *size));
        let folding = fold(RoomId(1), Some(&self.folded), records).unwrap();
        assert_eq!(folding.start, self.room.start());
        assert_eq!(folding.wake_at, self.room.wake_at());
        let room = Room::decode(RoomId(1), &folding.state).unwrap();
        assert_eq!(room, self.room);
        self.room = room;
        self.folded = folding.state;
        self.records.clear();
    }

    fn check(&self) {
        let start = self.room.start();
        for (unit, event) in (0_u64..).zip(&self.events).skip(start as usize) {
            assert_eq!(self.room.hides(unit), event.deleted, "{unit}");
            assert_eq!(self.room.hidden_in(unit, unit + 1), event.deleted);
            let said_of_hidden = matches!(event.kind, EventKind::Edit | EventKind::Reaction)
                && event
                    .target
                    .is_some_and(|target| self.events[target].deleted || (target as u64) < start);
            let target_hidden = event
                .target
                .is_some_and(|target| self.room.hides(target as u64));
            if event.deleted || said_of_hidden {
                assert!(self.room.redacts(unit, unit + 1), "{unit}");
                assert!(event.deleted || target_hidden, "{unit}");
            }
        }
    }

    /// What lies outside a bound is gone soon: what is kept beyond it is no more than two steps
    /// between marks and one append.
    fn check_dropped(&mut self) {
        self.now = self.now.plus(RETAIN_INTERVAL_MS);
        self.retain();
        let Retention {
            max_age_ms,
            max_events,
            max_bytes,
        } = self.room.channel().unwrap().settings().retention;
        let kept = &self.events[self.room.start() as usize..];
        if let Some(events) = max_events {
            assert!(kept.len() as u64 <= events);
        }
        if let (Some(age), Some(oldest)) = (max_age_ms, kept.first()) {
            assert!(self.now.since(oldest.at) < age + age / 12 + 1, "{kept:?}");
        }
        if let Some(max) = max_bytes {
            let bytes: u64 = kept.iter().map(|event| event.bytes).sum();
            assert!(bytes < max + max / 12 + 301, "{bytes} of {max}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_channel_agrees_with_a_model_that_keeps_everything(
        bounds in retention(),
        ops in proptest::collection::vec(op(), 0..120),
    ) {
        let mut world = World::new(bounds);
        for op in ops {
            world.step(op);
            world.check();
        }
        world.reload();
    }

    #[test]
    fn what_is_outside_a_bound_goes_soon(
        bounds in retention(),
        ops in proptest::collection::vec(op(), 0..120),
    ) {
        let mut world = World::new(bounds);
        for op in ops.into_iter().filter(|op| !matches!(op, Op::Rebound { .. })) {
            world.step(op);
            world.check_dropped();
        }
    }

    #[test]
    fn foreign_states_never_panic(
        cut in 0..400_usize,
        at in 0..400_usize,
        byte: u8,
        ops in proptest::collection::vec(op(), 0..30),
    ) {
        let mut world = World::new(Retention::default());
        ops.into_iter().for_each(|op| world.step(op));
        let mut state = Vec::new();
        world.room.encode(&mut state);
        if let Some(old) = state.get_mut(at) {
            *old = byte;
        }
        state.truncate(cut.max(1));
        if let Some(mut room) = Room::decode(RoomId(1), &state) {
            let _ = room.decide_event(&message(ANN));
            let _ = room.decide_retention(Millis(u64::MAX));
            let _ = (room.hides(3), room.redacts(0, 9), room.wake_at());
            let mut again = Vec::new();
            room.apply(&Record::Retain { start: 1 }, Size::NONE, NOW);
            room.encode(&mut again);
        }
    }
}
