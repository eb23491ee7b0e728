use floe_proto::RoomId;
use proptest::prelude::*;

use super::super::{Live, LiveLimits, Timer, Wheel};
use super::*;

/// Members with their clock.
struct Clock {
    live: Live,
    wheel: Wheel<Timer>,
    now: Millis,
}

const START: Millis = Millis(1_600_000);
const TICK: u64 = Wheel::<Timer>::TICK_MS;
const GRACE_MS: u64 = 5_000;

impl Clock {
    fn new(change: impl FnOnce(&mut PresenceLimits)) -> Self {
        let mut limits = LiveLimits::default();
        change(&mut limits.presence);
        Self {
            live: Live::new(&limits, START),
            wheel: Wheel::new(START),
            now: START,
        }
    }

    fn join(&mut self, connection: u64, user: &str, data: &[u8]) -> Result<(), PresenceError> {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        let presence = &mut self.live.presence;
        presence.join(connection, user, data, self.now, &mut timers)
    }

    fn leave(&mut self, connection: u64, leave: Leave) -> bool {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        let presence = &mut self.live.presence;
        presence.leave(connection, leave, self.now, &mut timers)
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        let mut due = Vec::new();
        self.wheel.advance(self.now, &mut due);
        for timer in due {
            let mut timers = Timers::new(&mut self.wheel, RoomId(1));
            self.live.handle_timer(&timer, self.now, &mut timers);
        }
    }

    fn presence(&self) -> &Presence {
        &self.live.presence
    }

    fn users(&self) -> Vec<&str> {
        let page = self.presence().page(None, usize::MAX).into_iter();
        page.map(|member| member.user).collect()
    }
}

#[test]
fn several_connections_of_one_user_are_one_member() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", b"1").unwrap();
    let version = clock.presence().version();
    clock.wait(100);
    clock.join(2, "ann", b"1").unwrap();
    assert_eq!(clock.presence().version(), version);
    assert!(clock.leave(1, Leave::Said));
    let ann = Member {
        user: "ann",
        data: b"1",
        since: START,
    };
    assert_eq!(clock.presence().page(None, 9), [ann]);
    assert!(clock.leave(2, Leave::Said) && !clock.leave(2, Leave::Said));
    assert!(clock.live.is_empty() && clock.wheel.is_empty());
}

#[test]
fn a_page_that_is_loaded_again_is_no_leave() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", b"1").unwrap();
    let version = clock.presence().version();
    clock.leave(1, Leave::Lost);
    clock.wait(GRACE_MS - TICK);
    clock.join(2, "ann", b"1").unwrap();
    clock.wait(10 * GRACE_MS);
    assert_eq!(clock.users(), ["ann"]);
    assert_eq!(clock.presence().version(), version);
    assert_eq!(clock.presence().page(None, 1)[0].since, START);

    clock.leave(2, Leave::Lost);
    clock.wait(GRACE_MS);
    assert!(clock.live.is_empty());
    let changes = clock.presence().changes_since(version);
    let told = Told::Delta {
        from: version,
        set: vec![],
        left: vec!["ann"],
    };
    assert_eq!((changes.count, changes.told), (0, told));
}

#[test]
fn a_crowd_is_counted_and_told_one_by_one_once_it_is_small_again() {
    let mut clock = Clock::new(|limits| limits.told_max = 2);
    let empty = clock.presence().version();
    for (connection, user) in [(1, "ann"), (2, "bob")] {
        clock.join(connection, user, b"1").unwrap();
    }
    let two = clock.presence().version();
    assert!(matches!(
        clock.presence().changes_since(empty).told,
        Told::Delta { set, .. } if set.len() == 2
    ));
    clock.join(3, "cleo", b"1").unwrap();
    let crowded = clock.presence().changes_since(two);
    assert_eq!((crowded.count, &crowded.told), (3, &Told::CountOnly));
    assert_eq!(clock.presence().snapshot().told, Told::CountOnly);
    let seen = crowded.version;
    clock.leave(1, Leave::Said);
    let all = clock.presence().changes_since(seen);
    assert!(matches!(&all.told, Told::All(members) if members.len() == 2));
    let seen = all.version;
    clock.leave(2, Leave::Said);
    assert!(matches!(
        clock.presence().changes_since(seen).told,
        Told::Delta { left, .. } if left == ["bob"]
    ));
}

#[test]
fn new_bounds_turn_a_crowd_into_members_and_back_and_nobody_has_to_go() {
    let mut clock = Clock::new(|limits| limits.told_max = 1);
    for (connection, user) in [(1, "ann"), (2, "bob")] {
        clock.join(connection, user, b"1").unwrap();
    }
    let seen = clock.presence().changes_since(0);
    assert_eq!((seen.count, &seen.told), (2, &Told::CountOnly));
    let seen = seen.version;
    let mut limits = LiveLimits::default();
    limits.presence.keyed.keys_max = 3;
    clock.live.set_limits(&limits);
    clock.join(3, "cleo", b"1").unwrap();
    let all = clock.presence().changes_since(seen);
    assert!(matches!(&all.told, Told::All(members) if members.len() == 3));
    let seen = all.version;
    let refused = clock.join(4, "dan", b"1");
    assert_eq!(
        refused,
        Err(PresenceError::Keyed(KeyedError::Keys { keys_max: 3 }))
    );
    limits.presence.told_max = 2;
    limits.presence.keyed.keys_max = 1;
    clock.live.set_limits(&limits);
    clock.live.presence.update(1, b"2").unwrap();
    assert_eq!(clock.presence().changes_since(seen).told, Told::CountOnly);
    assert_eq!(clock.users(), ["ann", "bob", "cleo"]);
}

#[test]
fn bounds_and_strangers_are_refused_with_their_codes() {
    let mut clock = Clock::new(|limits| {
        limits.keyed.keys_max = 2;
        limits.keyed.value_bytes_max = 4;
        limits.connections_max = 3;
    });
    clock.join(1, "ann", b"1").unwrap();
    assert_eq!(clock.join(1, "bob", b"1"), Err(PresenceError::Joined));
    clock.join(2, "bob", b"1").unwrap();
    let full = PresenceError::Keyed(KeyedError::Keys { keys_max: 2 });
    assert_eq!(clock.join(3, "cleo", b"1"), Err(full));
    clock.join(3, "bob", b"1").unwrap();
    let crowded = PresenceError::Connections { connections_max: 3 };
    assert_eq!(clock.join(4, "bob", b"1"), Err(crowded));
    let long = PresenceError::Keyed(KeyedError::Value { value_bytes_max: 4 });
    let presence = &mut clock.live.presence;
    assert_eq!(presence.update(1, b"12345"), Err(long));
    assert_eq!(presence.update(9, b"1"), Err(PresenceError::NotJoined));
    assert_eq!(presence.update(1, b"2"), Ok(()));
    assert_eq!((presence.user(1), presence.user(9)), (Some("ann"), None));
    assert_eq!(presence.page(Some("a"), 1)[0].data, b"2");
    let codes = [
        full,
        crowded,
        long,
        PresenceError::Joined,
        PresenceError::NotJoined,
    ];
    assert_eq!(
        codes.map(PresenceError::code),
        [
            Code::LimitReached,
            Code::LimitReached,
            Code::BodyTooLarge,
            Code::AlreadyJoined,
            Code::NotJoined
        ]
    );
}

#[test]
fn a_room_made_again_is_not_mistaken_for_the_one_before() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", b"1").unwrap();
    let seen = clock.live.versions();
    let again = Live::new(&LiveLimits::default(), START.plus(1));
    assert!(again.versions() > seen);
    assert_eq!(
        again.presence.changes_since(seen.presence).told,
        Told::All(vec![])
    );
    assert!(again.versions().presence < 1 << 53);
}

#[test]
fn a_room_that_ends_leaves_no_timer_behind() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", b"1").unwrap();
    clock.leave(1, Leave::Lost);
    let mut timers = Timers::new(&mut clock.wheel, RoomId(1));
    clock
        .live
        .memory
        .set_typing("ann", clock.now, &mut timers)
        .unwrap();
    assert_eq!(clock.wheel.len(), 2);
    clock
        .live
        .end(&mut Timers::new(&mut clock.wheel, RoomId(1)));
    assert!(clock.wheel.is_empty());
}

/// What a reader knows, from what it was told.
#[derive(Debug, Default)]
struct Reader {
    version: u64,
    count: usize,
    known: Option<BTreeMap<String, Vec<u8>>>,
}

impl Reader {
    fn read(&mut self, presence: &Presence) {
        let owned = |member: &Member<'_>| (member.user.to_owned(), member.data.to_vec());
        let changes = presence.changes_since(self.version);
        (self.version, self.count) = (changes.version, changes.count);
        match changes.told {
            Told::CountOnly => self.known = None,
            Told::All(all) => self.known = Some(all.iter().map(owned).collect()),
            Told::Delta { set, left, .. } => {
                let known = self.known.as_mut();
                let known = known.expect("a delta comes after all were told");
                left.iter().for_each(|user| drop(known.remove(*user)));
                known.extend(set.iter().map(owned));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn members_agree_with_a_model_that_counts_connections(
        ops in proptest::collection::vec((0..8_u8, 0..5_usize, 0..8_u64), 1..120),
    ) {
        const USERS: [&str; 5] = ["ann", "bob", "cleo", "dan", "eve"];
        let mut clock = Clock::new(|limits| {
            limits.told_max = 3;
            limits.keyed.removed_max = 2;
        });
        // Connections with their users; and each member's data and end of grace.
        let mut connections: BTreeMap<u64, &str> = BTreeMap::new();
        let mut members: BTreeMap<String, (Vec<u8>, Option<Millis>)> = BTreeMap::new();
        let mut readers = [Reader::default(), Reader::default()];
        for (op, user, number) in ops {
            let user = USERS[user];
            let data = vec![number as u8];
            match op {
                0..3 => {
                    let joined = clock.join(number, user, &data);
                    prop_assert_eq!(joined.is_ok(), !connections.contains_key(&number));
                    if joined.is_ok() {
                        connections.insert(number, user);
                        members.insert(user.into(), (data, None));
                    }
                }
                3 => {
                    let updated = clock.live.presence.update(number, &[9]);
                    let user = connections.get(&number);
                    prop_assert_eq!(updated.is_ok(), user.is_some());
                    if let Some(member) = user.and_then(|user| members.get_mut(*user)) {
                        member.0 = vec![9];
                    }
                }
                4 | 5 => {
                    let leave = if op == 4 { Leave::Said } else { Leave::Lost };
                    let user = connections.remove(&number);
                    prop_assert_eq!(clock.leave(number, leave), user.is_some());
                    if let Some(user) = user.filter(|user| !connections.values().any(|one| one == user)) {
                        if leave == Leave::Said {
                            members.remove(user);
                        } else if let Some(member) = members.get_mut(user) {
                            member.1 = Some(clock.now.plus(GRACE_MS));
                        }
                    }
                }
                6 => {
                    clock.wait(number * 700);
                    let tick = Millis(clock.now.0 / TICK * TICK);
                    members.retain(|_, (_, ends_at)| ends_at.is_none_or(|ends_at| ends_at > tick));
                }
                _ => readers[number as usize % 2].read(clock.presence()),
            }
            let users: Vec<_> = members.keys().map(String::as_str).collect();
            prop_assert_eq!(clock.users(), users);
            prop_assert_eq!(clock.presence().count(), members.len());
        }
        for reader in &mut readers {
            reader.read(clock.presence());
            prop_assert_eq!(reader.count, members.len());
            let all = members.iter().map(|(user, (data, _))| (user.clone(), data.clone()));
            let told = (members.len() <= 3).then(|| all.collect::<BTreeMap<_, _>>());
            prop_assert_eq!(&reader.known, &told);
        }
    }
}
