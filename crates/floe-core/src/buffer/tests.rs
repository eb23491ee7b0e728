use std::collections::{BTreeMap, BTreeSet, VecDeque};

use floe_proto::Millis;
use proptest::prelude::*;

use super::*;

const ROOM: RoomId = RoomId(1);
const START: Millis = Millis(1_600_000);

fn buffers() -> Buffers {
    Buffers::new(BufferLimits::default(), START)
}

fn set<'a>(key: &'a str, value: &'a str) -> Update<'a> {
    Update {
        key,
        value,
        interval_ms: None,
    }
}

fn add<'a>(key: &'a str, by: i64, durable: Durable<'a>) -> Increment<'a> {
    Increment {
        key,
        by: Number::Whole(by),
        interval_ms: None,
        durable,
    }
}

fn take(buffers: &mut Buffers, key: Option<&str>) -> Flush {
    let mut flushes = buffers.take(ROOM, key);
    assert_eq!(flushes.len(), 1);
    flushes.remove(0)
}

fn values(flush: &Flush) -> Vec<(&str, &str)> {
    let values = flush.values.iter();
    values.map(|(key, value)| (&**key, &**value)).collect()
}

#[test]
fn steady_updates_are_written_once_an_interval_and_not_put_off() {
    let mut buffers = buffers();
    let (mut now, mut written) = (START, Vec::new());
    // Three seconds, an update each millisecond.
    for number in 0..3_000_u64 {
        let value = number.to_string();
        buffers.update(ROOM, &set("slider", &value), now).unwrap();
        assert_eq!(buffers.get(ROOM, "slider"), Some(&*value));
        for flush in buffers.take_due(now) {
            written.push(now.since(START));
            buffers.finish(flush.id, true, now);
        }
        now = now.plus(1);
    }
    assert_eq!(written.len(), 3, "{written:?}");
    for (at, count) in written.iter().zip(1..) {
        assert!((count * 984..=count * 1_000).contains(at), "{written:?}");
    }
    let usage = buffers.usage();
    assert_eq!((usage.updates, usage.writes, usage.keys), (3_000, 3, 1));
}

#[test]
fn a_shorter_interval_counts_from_its_own_update() {
    let mut buffers = buffers();
    buffers.update(ROOM, &set("a", "1"), START).unwrap();
    let soon = Update {
        interval_ms: Some(100),
        ..set("a", "2")
    };
    buffers.update(ROOM, &soon, START.plus(200)).unwrap();
    assert_eq!(buffers.take_due(START.plus(280)), []);
    let due = buffers.take_due(START.plus(300));
    assert_eq!(values(&due[0]), [("a", "2")]);
}

#[test]
fn what_comes_while_a_flush_is_under_way_waits_for_its_own_interval() {
    let mut buffers = buffers();
    buffers.update(ROOM, &set("a", "1"), START).unwrap();
    let first = take(&mut buffers, None);
    assert_eq!(buffers.get(ROOM, "a"), Some("1"));
    assert_eq!(buffers.take(ROOM, None), []);
    assert_eq!(buffers.under_way(ROOM, Some("a")), [first.id]);
    buffers
        .update(ROOM, &set("a", "2"), START.plus(500))
        .unwrap();
    buffers.finish(first.id, true, START.plus(600));
    assert_eq!(buffers.take_due(START.plus(1_400)), []);
    assert_eq!(
        values(&buffers.take_due(START.plus(1_500))[0]),
        [("a", "2")]
    );
}

#[test]
fn a_flush_that_fails_puts_back_what_is_still_newest() {
    let mut buffers = buffers();
    for key in ["a", "b"] {
        buffers.update(ROOM, &set(key, "1"), START).unwrap();
    }
    let first = take(&mut buffers, None);
    buffers.update(ROOM, &set("a", "2"), START).unwrap();
    let second = take(&mut buffers, Some("a"));
    assert_eq!(buffers.under_way(ROOM, None), [first.id, second.id]);
    buffers.finish(first.id, false, START.plus(50));
    assert_eq!(buffers.get(ROOM, "a"), Some("2"));
    assert_eq!(buffers.get(ROOM, "b"), Some("1"));
    buffers.finish(second.id, true, START.plus(60));
    assert_eq!(buffers.get(ROOM, "a"), None);
    assert_eq!(buffers.take_due(START.plus(1_000)), []);
    let again = buffers.take_due(START.plus(1_050));
    assert_eq!(values(&again[0]), [("b", "1")]);
    buffers.finish(again[0].id, true, START.plus(1_051));
    assert!(!buffers.holds(ROOM) && buffers.next_due().is_none());
    let usage = buffers.usage();
    assert_eq!((usage.keys, usage.bytes), (0, 0));
    assert_eq!((usage.updates, usage.writes, usage.failures), (3, 2, 2));
}

#[test]
fn counters_add_to_what_is_newest_and_need_to_know_what_is_durable() {
    let mut buffers = buffers();
    let unknown = buffers.increment(ROOM, &add("n", 2, Durable::Unknown), START);
    assert_eq!(unknown, Ok(Incremented::Unknown));
    assert!(!buffers.holds(ROOM));
    let sum = |sum| Ok(Incremented::Sum(Number::Whole(sum)));
    let known = add("n", 2, Durable::Value("40"));
    assert_eq!(buffers.increment(ROOM, &known, START), sum(42));
    assert_eq!(
        buffers.increment(ROOM, &add("n", -1, Durable::Unknown), START),
        sum(41)
    );
    let flush = take(&mut buffers, None);
    assert_eq!(
        buffers.increment(ROOM, &add("n", 1, Durable::Unknown), START),
        sum(42)
    );
    buffers.finish(flush.id, false, START);
    assert_eq!(buffers.get(ROOM, "n"), Some("42"));
    assert_eq!(
        buffers.increment(ROOM, &add("m", 5, Durable::Absent), START),
        sum(5)
    );
    buffers.update(ROOM, &set("text", "\"7\""), START).unwrap();
    let refused = buffers.increment(ROOM, &add("text", 1, Durable::Unknown), START);
    assert_eq!(refused, Err(BufferError::NotANumber));
    let refused = buffers.increment(ROOM, &add("list", 1, Durable::Value("[1]")), START);
    assert_eq!(refused, Err(BufferError::NotANumber));
    let refused = buffers.increment(ROOM, &add("m", i64::MAX, Durable::Unknown), START);
    assert_eq!(refused, Err(BufferError::Range));
    assert_eq!(buffers.get(ROOM, "m"), Some("5"));
}

#[test]
fn each_bound_refuses_with_its_own_word_and_changes_nothing() {
    let limits = BufferLimits {
        keys_max: 2,
        key_bytes_max: 3,
        value_bytes_max: 10,
        bytes_max: 15,
        total_bytes_max: 20,
        ..BufferLimits::default()
    };
    let mut buffers = Buffers::new(limits, START);
    for key in ["", "long"] {
        let refused = Err(BufferError::Key { key_bytes_max: 3 });
        assert_eq!(buffers.update(ROOM, &set(key, "1"), START), refused);
        let increment = add(key, 1, Durable::Unknown);
        assert!(buffers.increment(ROOM, &increment, START).is_err());
    }
    let long = "12345678901";
    let refused = BufferError::Value {
        value_bytes_max: 10,
    };
    assert_eq!(buffers.update(ROOM, &set("a", long), START), Err(refused));
    assert_eq!(refused.code(), Code::BodyTooLarge);
    for interval_ms in [0, 9, 60_001] {
        let update = Update {
            interval_ms: Some(interval_ms),
            ..set("a", "1")
        };
        let refused = buffers.update(ROOM, &update, START).unwrap_err();
        assert_eq!(refused.code(), Code::InvalidRequest);
    }
    assert!(!buffers.holds(ROOM));
    buffers.update(ROOM, &set("a", &long[..10]), START).unwrap();
    let refused = BufferError::Bytes { bytes: 11 };
    assert_eq!(buffers.update(ROOM, &set("b", "1234"), START), Err(refused));
    assert_eq!(refused.code(), Code::Overloaded);
    // What is being written counts until it is.
    let flush = take(&mut buffers, None);
    assert_eq!(
        buffers.update(ROOM, &set("a", "12345"), START),
        Err(refused)
    );
    buffers.update(ROOM, &set("a", "1234"), START).unwrap();
    // Another room has its own space, but not more than there is for all.
    let full = Err(BufferError::Bytes { bytes: 0 });
    assert_eq!(buffers.update(RoomId(2), &set("a", "12345"), START), full);
    assert!(!buffers.holds(RoomId(2)));
    buffers.update(RoomId(2), &set("a", "1234"), START).unwrap();
    buffers.finish(flush.id, true, START);
    buffers.update(ROOM, &set("b", "1"), START).unwrap();
    let refused = BufferError::Keys { keys_max: 2 };
    assert_eq!(buffers.update(ROOM, &set("c", "1"), START), Err(refused));
    assert_eq!(refused.code(), Code::Overloaded);
    assert_eq!(buffers.room_usage(ROOM), (2, 7));
}

#[test]
fn a_flush_is_no_larger_than_may_be_and_nothing_is_left_out() {
    let limits = BufferLimits {
        flush_bytes_max: 10,
        ..BufferLimits::default()
    };
    let mut buffers = Buffers::new(limits, START);
    for (key, value) in [
        ("a", "123"),
        ("b", "123"),
        ("c", "1234567890123"),
        ("d", "1"),
    ] {
        buffers.update(ROOM, &set(key, value), START).unwrap();
    }
    let keys = |flushes: &[Flush]| -> Vec<Vec<String>> {
        let values = flushes.iter().map(|flush| flush.values.iter());
        values
            .map(|values| values.map(|(key, _)| key.to_string()).collect())
            .collect()
    };
    let due = buffers.take_due(START.plus(1_000));
    assert_eq!(keys(&due), [vec!["a", "b"], vec!["c"], vec!["d"]]);
    for flush in due {
        buffers.finish(flush.id, false, START);
    }
    let all = buffers.take(ROOM, None);
    assert_eq!(keys(&all), [vec!["a", "b"], vec!["c"], vec!["d"]]);
}

#[test]
fn a_room_that_is_gone_leaves_nothing_behind() {
    let mut buffers = buffers();
    buffers.update(ROOM, &set("a", "1"), START).unwrap();
    let flush = take(&mut buffers, None);
    buffers.update(ROOM, &set("a", "2"), START).unwrap();
    buffers.update(RoomId(2), &set("a", "3"), START).unwrap();
    buffers.forget(ROOM);
    buffers.finish(flush.id, false, START);
    assert_eq!(buffers.rooms().collect::<Vec<_>>(), [RoomId(2)]);
    let due = buffers.take_due(START.plus(1_000));
    assert_eq!((due.len(), due[0].room), (1, RoomId(2)));
    buffers.finish(due[0].id, true, START.plus(1_000));
    assert_eq!((buffers.usage().keys, buffers.usage().bytes), (0, 0));
    assert_eq!(buffers.next_due(), None);
}

#[test]
fn a_hundred_rooms_have_a_timer_each_however_many_keys_they_have() {
    let mut buffers = buffers();
    for room in 0..100 {
        for key in 0..50 {
            let (key, at) = (key.to_string(), START.plus(key));
            buffers.update(RoomId(room), &set(&key, "1"), at).unwrap();
        }
    }
    let due = buffers.take_due(START.plus(1_100));
    assert_eq!(due.len(), 100);
    assert!(due.iter().all(|flush| flush.values.len() == 50));
}

#[derive(Debug, Clone)]
enum Op {
    Update {
        key: usize,
        value: u8,
        interval_ms: u64,
    },
    Increment {
        key: usize,
        by: i8,
    },
    Flush {
        key: Option<usize>,
    },
    Finish {
        is_durable: bool,
    },
    Wait {
        ms: u64,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..4_usize, any::<u8>(), 20..300_u64)
            .prop_map(|(key, value, interval_ms)| Op::Update { key, value, interval_ms }),
        4 => (0..4_usize, any::<i8>()).prop_map(|(key, by)| Op::Increment { key, by }),
        1 => proptest::option::of(0..4_usize).prop_map(|key| Op::Flush { key }),
        3 => any::<bool>().prop_map(|is_durable| Op::Finish { is_durable }),
        3 => (0..400_u64).prop_map(|ms| Op::Wait { ms }),
    ]
}

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

/// What a buffer must amount to: the newest value of each key, and what the table has of it.
#[derive(Default)]
struct Model {
    newest: BTreeMap<&'static str, String>,
    table: BTreeMap<String, String>,
    /// Flushes that are under way, oldest first: the log takes them in this order.
    under_way: VecDeque<Flush>,
    /// By when each key is to be on its way.
    promised: BTreeMap<&'static str, Millis>,
}

impl Model {
    fn durable(&self, key: &str) -> Durable<'_> {
        let value = self.table.get(key);
        value.map_or(Durable::Absent, |value| Durable::Value(value))
    }

    fn promise(&mut self, key: &'static str, by: Millis) {
        let promised = self.promised.entry(key).or_insert(by);
        *promised = by.min(*promised);
    }

    fn begin(&mut self, flush: Flush) {
        let flushed: BTreeSet<_> = flush.values.iter().map(|(key, _)| &**key).collect();
        self.promised.retain(|key, _| !flushed.contains(key));
        self.under_way.push_back(flush);
    }

    fn finish(&mut self, buffers: &mut Buffers, is_durable: bool, now: Millis) {
        let Some(flush) = self.under_way.pop_front() else {
            return;
        };
        if is_durable {
            let values = flush.values.iter();
            self.table
                .extend(values.map(|(key, value)| (key.to_string(), value.to_string())));
        }
        buffers.finish(flush.id, is_durable, now);
    }

    /// What is seen is what is newest; and what is newest somebody holds.
    fn check(&self, buffers: &Buffers, now: Millis) -> Result<(), TestCaseError> {
        for key in KEYS {
            let seen = buffers.get(ROOM, key);
            let seen = seen.or(self.table.get(key).map(|value| &**value));
            prop_assert_eq!(seen, self.newest.get(key).map(|value| &**value), "{}", key);
        }
        for (key, by) in &self.promised {
            prop_assert!(
                now < *by,
                "{} was promised by {:?}, and it is {:?}",
                key,
                by,
                now
            );
        }
        let held: BTreeSet<_> = KEYS
            .iter()
            .filter(|key| buffers.get(ROOM, key).is_some())
            .collect();
        prop_assert_eq!(buffers.usage().keys, held.len());
        prop_assert_eq!(buffers.holds(ROOM), !held.is_empty());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn whatever_fails_and_whenever_nothing_is_lost_overwritten_or_late(
        ops in proptest::collection::vec(op(), 1..120),
    ) {
        let limits = BufferLimits { flush_bytes_max: 6, ..BufferLimits::default() };
        let (mut buffers, mut model, mut now) = (Buffers::new(limits, START), Model::default(), START);
        for op in ops {
            match op {
                Op::Update { key, value, interval_ms } => {
                    let (key, value) = (KEYS[key], value.to_string());
                    let update = Update { key, value: &value, interval_ms: Some(interval_ms) };
                    buffers.update(ROOM, &update, now).unwrap();
                    model.newest.insert(key, value);
                    model.promise(key, now.plus(interval_ms));
                }
                Op::Increment { key, by } => {
                    let key = KEYS[key];
                    let known = add(key, by.into(), model.durable(key));
                    let newest = model.newest.get(key).map_or(0, |value| value.parse().unwrap());
                    let sum = newest + i64::from(by);
                    let done = buffers.increment(ROOM, &known, now);
                    prop_assert_eq!(done, Ok(Incremented::Sum(Number::Whole(sum))));
                    model.newest.insert(key, sum.to_string());
                    model.promise(key, now.plus(1_000));
                }
                Op::Flush { key } => {
                    let flushes = buffers.take(ROOM, key.map(|key| KEYS[key]));
                    flushes.into_iter().for_each(|flush| model.begin(flush));
                }
                Op::Finish { is_durable } => model.finish(&mut buffers, is_durable, now),
                Op::Wait { ms } => {
                    // The host looks whenever something is due, and not before.
                    let end = now.plus(ms);
                    while let Some(next) = buffers.next_due().filter(|next| *next <= end) {
                        now = next.max(now);
                        buffers.take_due(now).into_iter().for_each(|flush| model.begin(flush));
                    }
                    now = end;
                    buffers.take_due(now).into_iter().for_each(|flush| model.begin(flush));
                }
            }
            model.check(&buffers, now)?;
        }
        while !model.under_way.is_empty() {
            model.finish(&mut buffers, false, now);
        }
        for flush in buffers.take(ROOM, None) {
            model.begin(flush);
            model.finish(&mut buffers, true, now);
        }
        let table: Vec<_> = model.table.iter().map(|(key, value)| (&**key, value)).collect();
        let newest: Vec<_> = model.newest.iter().map(|(key, value)| (*key, value)).collect();
        prop_assert_eq!(table, newest);
        prop_assert_eq!((buffers.usage().keys, buffers.usage().bytes), (0, 0));
        prop_assert_eq!((buffers.holds(ROOM), buffers.next_due()), (false, None));
    }
}
