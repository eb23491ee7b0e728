use floe_proto::RoomId;
use proptest::prelude::*;

use super::super::{Timer, Wheel};
use super::*;

/// A memory with its clock.
struct Clock {
    memory: Memory,
    wheel: Wheel<Timer>,
    now: Millis,
}

const START: Millis = Millis(1_600_000);
const TICK: u64 = Wheel::<Timer>::TICK_MS;

impl Clock {
    fn new(limits: MemoryLimits) -> Self {
        Self {
            memory: Memory::new(limits, 0),
            wheel: Wheel::new(START),
            now: START,
        }
    }

    fn set(&mut self, key: &str, value: &[u8], ttl_ms: u64) -> Result<u64, MemoryError> {
        self.set_if(key, value, ttl_ms, None)
    }

    fn set_if(
        &mut self,
        key: &str,
        value: &[u8],
        ttl_ms: u64,
        if_version: Option<u64>,
    ) -> Result<u64, MemoryError> {
        let set = SetValue {
            key,
            value,
            ttl_ms,
            if_version,
        };
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        self.memory.set(&set, self.now, &mut timers)
    }

    fn remove(&mut self, key: &str, if_version: Option<u64>) -> Result<Option<u64>, MemoryError> {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        self.memory.remove(key, if_version, &mut timers)
    }

    fn type_as(&mut self, user: &str) -> u64 {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        self.memory.set_typing(user, self.now, &mut timers).unwrap()
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        let mut due = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for timer in due {
            assert_eq!((timer.room, timer.kind), (RoomId(1), TimerKind::Memory));
            let mut timers = Timers::new(&mut self.wheel, RoomId(1));
            self.memory.handle_timer(&timer.key, self.now, &mut timers);
        }
    }

    fn has(&self, key: &str) -> bool {
        self.memory.get(key).is_some()
    }
}

#[test]
fn a_value_goes_when_its_time_is_over_and_not_before() {
    let mut clock = Clock::new(MemoryLimits::default());
    clock.set("a", b"1", 160).unwrap();
    clock.wait(159);
    assert!(clock.has("a"));
    clock.wait(1);
    assert!(!clock.has("a") && clock.memory.is_empty());
    assert_eq!((clock.memory.version(), clock.wheel.len()), (2, 0));
}

#[test]
fn setting_again_renews_a_life_or_shortens_it_with_one_timer() {
    let mut clock = Clock::new(MemoryLimits::default());
    clock.set("a", b"1", 1_600).unwrap();
    clock.wait(800);
    assert_eq!(clock.set("a", b"1", 1_600), Ok(1));
    assert_eq!(clock.wheel.len(), 1);
    clock.wait(1_584);
    assert!(clock.has("a"));
    clock.wait(16);
    assert!(!clock.has("a"));

    clock.set("b", b"1", 86_400_000).unwrap();
    clock.set("b", b"1", 16).unwrap();
    assert_eq!(clock.wheel.len(), 1);
    clock.wait(16);
    assert!(!clock.has("b") && clock.wheel.is_empty());
}

#[test]
fn compare_and_set_sees_what_others_did() {
    let mut clock = Clock::new(MemoryLimits::default());
    assert_eq!(clock.set_if("a", b"1", 100, Some(0)), Ok(1));
    let changed = |version| Err(MemoryError::Changed { version });
    assert_eq!(clock.set_if("a", b"2", 100, Some(0)), changed(1));
    assert_eq!(clock.set_if("a", b"2", 100, Some(1)), Ok(2));
    assert_eq!(
        clock.remove("a", Some(1)),
        Err(MemoryError::Changed { version: 2 })
    );
    assert_eq!(clock.remove("a", Some(2)), Ok(Some(3)));
    assert_eq!(clock.remove("a", None), Ok(None));
    assert_eq!(clock.set_if("a", b"3", 100, Some(3)), changed(0));
    assert!(clock.wheel.is_empty());
}

#[test]
fn whoever_types_on_is_told_of_once() {
    let mut clock = Clock::new(MemoryLimits::default());
    let version = clock.type_as("ann");
    for _ in 0..10 {
        clock.wait(2_000);
        assert_eq!(clock.type_as("ann"), version);
    }
    assert_eq!(clock.memory.page("typing/", None, 9).len(), 1);
    clock.wait(3_000 + TICK);
    assert!(clock.memory.is_empty());
    clock.type_as("bob");
    let mut timers = Timers::new(&mut clock.wheel, RoomId(1));
    assert!(clock.memory.clear_typing("bob", &mut timers).is_some());
    assert!(clock.memory.is_empty() && clock.wheel.is_empty());
}

#[test]
fn what_users_tell_of_themselves_stays_as_long_as_is_due_to_it() {
    let mut clock = Clock::new(MemoryLimits::default());
    for own in Own::ALL {
        let mut timers = Timers::new(&mut clock.wheel, RoomId(1));
        let set = clock
            .memory
            .set_own(own, "ann", b"1", clock.now, &mut timers);
        assert!(set.is_ok());
    }
    let there = |clock: &Clock| Own::ALL.map(|own| clock.has(&own.key("ann")));
    clock.wait(3_008);
    assert_eq!(there(&clock), [false, true, true]);
    clock.wait(26_992 - TICK);
    assert_eq!(there(&clock), [false, true, true]);
    clock.wait(TICK);
    assert_eq!(there(&clock), [false, false, true]);
    clock.wait(30_000);
    assert!(clock.memory.is_empty() && clock.wheel.is_empty());
}

#[test]
fn bad_times_and_keys_of_others_are_refused() {
    let mut clock = Clock::new(MemoryLimits::default());
    let ttl_ms_max = 86_400_000;
    for ttl_ms in [0, ttl_ms_max + 1] {
        let refused = Err(MemoryError::Ttl { ttl_ms_max });
        assert_eq!(clock.set("a", b"1", ttl_ms), refused);
    }
    for own in Own::ALL {
        let (key, reserved) = (own.key("bob"), MemoryError::Reserved(own));
        assert_eq!(clock.set(&key, b"1", 9), Err(reserved));
        assert_eq!(clock.remove(&key, None), Err(reserved));
    }
    let refused = Err(MemoryError::Keyed(KeyedError::Key { key_bytes_max: 256 }));
    assert_eq!(clock.set("", b"1", 9), refused);
    assert!(clock.wheel.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn memory_agrees_with_a_model_that_looks_at_the_clock(
        ops in proptest::collection::vec((0..6_u8, 0..5_usize, 1..4_000_u64), 1..100),
        evicts: bool,
    ) {
        const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];
        let mut limits = MemoryLimits::default();
        limits.keyed.keys_max = 3;
        limits.keyed.evicts = evicts;
        let mut clock = Clock::new(limits);
        // Each key with its end, least recently used first.
        let mut plain: Vec<(&str, Millis, u64)> = Vec::new();
        let mut evictions = 0;
        for (op, key, number) in ops {
            let key = KEYS[key];
            let at = plain.iter().position(|one| one.0 == key);
            match op {
                0..3 => {
                    let set = clock.set(key, &number.to_le_bytes(), number);
                    let ends_at = clock.now.plus(number);
                    match at {
                        Some(at) => {
                            plain.remove(at);
                            plain.push((key, ends_at, number));
                        }
                        None if plain.len() < 3 => plain.push((key, ends_at, number)),
                        None if evicts => {
                            plain.remove(0);
                            evictions += 1;
                            plain.push((key, ends_at, number));
                        }
                        None => prop_assert!(set.is_err()),
                    }
                }
                3 => {
                    let removed = clock.remove(key, None).unwrap();
                    prop_assert_eq!(removed.is_some(), at.is_some());
                    at.map(|at| plain.remove(at));
                }
                4 => {
                    clock.memory.touch(key);
                    if let Some(at) = at {
                        let used = plain.remove(at);
                        plain.push(used);
                    }
                }
                _ => {
                    // On the tick, so that nothing may be a little late.
                    clock.wait(number / TICK * TICK);
                    plain.retain(|(_, ends_at, _)| *ends_at > clock.now);
                }
            }
            for key in KEYS {
                let value = plain.iter().find(|one| one.0 == key).map(|one| one.2.to_le_bytes());
                let found = clock.memory.get(key).map(|(value, _)| value);
                prop_assert_eq!(found, value.as_ref().map(|value| &value[..]), "{}", key);
            }
            prop_assert_eq!(clock.wheel.len(), plain.len());
            let usage = MemoryUsage {
                entries: plain.len(),
                bytes: plain.len() * 9,
                entries_max: 3,
                bytes_max: limits.keyed.bytes_max,
                evictions,
            };
            prop_assert_eq!(clock.memory.usage(), usage);
        }
        clock.wait(16_000);
        prop_assert!(clock.memory.is_empty() && clock.wheel.is_empty());
    }
}
