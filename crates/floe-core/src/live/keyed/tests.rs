use proptest::prelude::*;

use super::*;

fn limits() -> KeyedLimits {
    KeyedLimits {
        keys_max: 4,
        key_bytes_max: 3,
        value_bytes_max: 10,
        bytes_max: 30,
        removed_max: 3,
        evicts: false,
    }
}

fn set(keyed: &mut Keyed, key: &str, value: &[u8]) -> Result<u64, KeyedError> {
    keyed.set(key, value, &mut Vec::new())
}

#[test]
fn a_reader_is_told_once_of_each_key_that_changed() {
    let mut keyed = Keyed::new(limits(), 10);
    for (key, value) in [("a", b"1"), ("b", b"1"), ("a", b"2"), ("c", b"1")] {
        set(&mut keyed, key, value).unwrap();
    }
    keyed.remove("b");
    assert_eq!(
        keyed.changes_since(11),
        Changes::Delta(Delta {
            from: 11,
            to: 15,
            set: vec![("a", b"2"), ("c", b"1")],
            removed: vec!["b"],
        })
    );
    set(&mut keyed, "b", b"3").unwrap();
    assert_eq!(
        keyed.changes_since(14),
        Changes::Delta(Delta {
            from: 14,
            to: 16,
            set: vec![("b", b"3")],
            removed: vec![],
        })
    );
}

#[test]
fn the_same_value_again_is_no_change() {
    let mut keyed = Keyed::new(limits(), 0);
    assert_eq!(set(&mut keyed, "a", b"1"), Ok(1));
    assert_eq!(set(&mut keyed, "b", b"1"), Ok(2));
    assert_eq!(set(&mut keyed, "a", b"1"), Ok(1));
    assert_eq!((keyed.version(), keyed.remove("x")), (2, None));
}

#[test]
fn versions_too_old_or_of_another_time_get_everything() {
    let mut keyed = Keyed::new(limits(), 100);
    for key in ["a", "b", "c", "d"] {
        set(&mut keyed, key, b"1").unwrap();
        keyed.remove(key);
    }
    let everything = Changes::Snapshot(Snapshot {
        version: 108,
        entries: vec![],
    });
    for version in [0, 99, 100, 101, 109, u64::MAX] {
        assert_eq!(keyed.changes_since(version), everything, "{version}");
    }
    let Changes::Delta(delta) = keyed.changes_since(102) else {
        panic!("three removed keys are remembered");
    };
    assert_eq!(delta.removed, ["b", "c", "d"]);
}

#[test]
fn each_bound_refuses_with_its_own_word_and_changes_nothing() {
    let mut keyed = Keyed::new(limits(), 0);
    for key in ["", "long"] {
        let refused = Err(KeyedError::Key { key_bytes_max: 3 });
        assert_eq!(set(&mut keyed, key, b""), refused);
    }
    assert_eq!(
        set(&mut keyed, "a", &[0; 11]),
        Err(KeyedError::Value {
            value_bytes_max: 10
        })
    );
    for key in ["a", "b", "c"] {
        set(&mut keyed, key, &[0; 8]).unwrap();
    }
    let full = Err(KeyedError::Bytes { bytes_max: 30 });
    assert_eq!(set(&mut keyed, "d", &[0; 3]), full);
    assert_eq!(set(&mut keyed, "a", &[1; 10]), Ok(4));
    assert_eq!(set(&mut keyed, "b", &[1; 10]), full);
    assert_eq!(set(&mut keyed, "d", b""), Ok(5));
    assert_eq!(
        set(&mut keyed, "e", b""),
        Err(KeyedError::Keys { keys_max: 4 })
    );
    assert_eq!((keyed.len(), keyed.bytes(), keyed.version()), (4, 30, 5));
}

#[test]
fn where_keys_make_way_it_is_those_that_were_used_longest_ago() {
    let mut keyed = Keyed::new(
        KeyedLimits {
            evicts: true,
            ..limits()
        },
        0,
    );
    for (key, value) in [("a", 4), ("b", 4), ("c", 4), ("d", 4), ("a", 5)] {
        set(&mut keyed, key, &vec![7; value]).unwrap();
    }
    // The same value again is a use, though no change; so is a look.
    set(&mut keyed, "c", &[7; 4]).unwrap();
    keyed.touch("a");
    keyed.touch("x");
    let mut evicted = Vec::new();
    keyed.set("e", &[7; 10], &mut evicted).unwrap();
    assert_eq!(evicted, ["b".into()]);
    keyed.set("c", &[7; 10], &mut evicted).unwrap();
    assert_eq!(evicted, ["b".into(), "d".into()]);
    let keys: Vec<_> = keyed.snapshot().entries.iter().map(|one| one.0).collect();
    assert_eq!(keys, ["a", "c", "e"]);
    assert_eq!((keyed.evictions(), keyed.version()), (2, 9));
    let Changes::Delta(delta) = keyed.changes_since(5) else {
        panic!("both are remembered");
    };
    assert_eq!(delta.removed, ["b", "d"]);
}

#[test]
fn a_lower_bound_holds_once_something_is_set() {
    let evicting = KeyedLimits {
        evicts: true,
        ..limits()
    };
    let mut keyed = Keyed::new(evicting, 0);
    for key in ["a", "b", "c", "d"] {
        set(&mut keyed, key, b"1").unwrap();
    }
    keyed.set_limits(KeyedLimits {
        keys_max: 2,
        ..evicting
    });
    assert_eq!(keyed.len(), 4);
    set(&mut keyed, "e", b"1").unwrap();
    let keys: Vec<_> = keyed.snapshot().entries.iter().map(|one| one.0).collect();
    assert_eq!(keys, ["d", "e"]);
}

#[test]
fn pages_follow_one_another_within_a_prefix() {
    let mut keyed = Keyed::new(limits(), 0);
    for key in ["a", "ba", "bb", "c"] {
        set(&mut keyed, key, b"1").unwrap();
    }
    let keys = |prefix, after, limit| -> Vec<_> {
        let page = keyed.page(prefix, after, limit).into_iter();
        page.map(|(key, ..)| key).collect()
    };
    assert_eq!(keys("", None, 3), ["a", "ba", "bb"]);
    assert_eq!(keys("", Some("bb"), 3), ["c"]);
    assert_eq!(keys("b", None, 9), ["ba", "bb"]);
    assert_eq!(keys("b", Some("a"), 9), ["ba", "bb"]);
    assert_eq!(keys("b", Some("ba"), 1), ["bb"]);
    assert_eq!(keys("b", Some("c"), 9), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn readers_of_any_pace_come_to_know_the_same(
        ops in proptest::collection::vec((0..5_u8, 0..6_usize, 0..4_u8), 1..80),
        evicts: bool,
    ) {
        const KEYS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let mut keyed = Keyed::new(KeyedLimits { evicts, ..limits() }, 7);
        let mut plain: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut used: Vec<&str> = Vec::new();
        let mut readers = vec![(7, BTreeMap::<String, Vec<u8>>::new()); 3];
        for (op, key, value) in ops {
            let key = KEYS[key];
            match op {
                0 | 1 => {
                    let mut evicted = Vec::new();
                    if keyed.set(key, &[value; 5], &mut evicted).is_ok() {
                        for gone in &evicted {
                            // Whoever made way was used longest ago of all but the key itself.
                            let first = used.iter().find(|one| **one != key && plain.contains_key(**one));
                            prop_assert_eq!(first.copied(), Some(&**gone));
                            plain.remove(&**gone);
                        }
                        plain.insert(key.into(), vec![value; 5]);
                        used.retain(|one| *one != key);
                        used.push(key);
                    } else {
                        prop_assert!(!evicts && plain.len() == 4 && evicted.is_empty());
                    }
                }
                2 => prop_assert_eq!(keyed.remove(key).is_some(), plain.remove(key).is_some()),
                3 => {
                    keyed.touch(key);
                    if plain.contains_key(key) {
                        used.retain(|one| *one != key);
                        used.push(key);
                    }
                }
                _ => {
                    let (version, known) = &mut readers[usize::from(value) % 3];
                    match keyed.changes_since(*version) {
                        Changes::Snapshot(snapshot) => {
                            known.clear();
                            let entries = snapshot.entries.iter();
                            known.extend(entries.map(|(key, value)| ((*key).into(), value.to_vec())));
                            *version = snapshot.version;
                        }
                        Changes::Delta(delta) => {
                            prop_assert_eq!(delta.from, *version);
                            for key in delta.removed {
                                known.remove(key);
                            }
                            for (key, value) in delta.set {
                                known.insert(key.into(), value.to_vec());
                            }
                            *version = delta.to;
                        }
                    }
                    prop_assert_eq!(*version, keyed.version());
                    prop_assert_eq!(&*known, &plain);
                }
            }
            let bytes: usize = plain.iter().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert_eq!((keyed.len(), keyed.bytes()), (plain.len(), bytes));
            prop_assert!(keyed.removed.len() <= 3 && keyed.order.len() == plain.len());
            prop_assert_eq!(keyed.uses.len(), if evicts { plain.len() } else { 0 });
        }
    }
}
