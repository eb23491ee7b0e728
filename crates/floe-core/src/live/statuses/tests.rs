use std::collections::BTreeSet;

use floe_proto::RoomId;
use proptest::prelude::*;

use super::super::{Live, LiveLimits, Timer, Wheel};
use super::*;

/// Users with their clock.
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

    fn join(
        &mut self,
        connection: u64,
        user: &str,
        status: Option<Status>,
    ) -> Result<(), PresenceError> {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        let statuses = &mut self.live.statuses;
        statuses.join(connection, user, status, self.now, &mut timers)
    }

    fn update(&mut self, connection: u64, status: Status) -> Result<(), PresenceError> {
        self.live.statuses.update(connection, status, self.now)
    }

    fn leave(&mut self, connection: u64, leave: Leave) -> bool {
        let mut timers = Timers::new(&mut self.wheel, RoomId(1));
        let statuses = &mut self.live.statuses;
        statuses.leave(connection, leave, self.now, &mut timers)
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

    fn status(&self, user: &str) -> Status {
        self.live.statuses.of(user).status
    }
}

#[test]
fn hidden_goes_before_undisturbed_and_that_before_the_most_present() {
    let rows: [(&[Status], Status); 7] = [
        (
            &[Status::Away, Status::Online, Status::Idle],
            Status::Online,
        ),
        (&[Status::Away, Status::Idle], Status::Idle),
        (&[Status::Away], Status::Away),
        (&[Status::Online, Status::Dnd, Status::Away], Status::Dnd),
        (&[Status::Dnd], Status::Dnd),
        (&[Status::Online, Status::Offline], Status::Offline),
        (&[Status::Dnd, Status::Offline], Status::Offline),
    ];
    for (statuses, combined) in rows {
        let mut clock = Clock::new(|_| ());
        for (connection, status) in (0..).zip(statuses) {
            clock.join(connection, "ann", Some(*status)).unwrap();
        }
        assert_eq!(clock.status("ann"), combined, "{statuses:?}");
        let count = usize::from(combined != Status::Offline);
        assert_eq!(clock.live.statuses.count(), count);
    }
}

#[test]
fn a_device_that_goes_leaves_the_user_to_the_others() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", Some(Status::Dnd)).unwrap();
    clock.join(2, "ann", Some(Status::Away)).unwrap();
    clock.leave(1, Leave::Lost);
    assert_eq!(clock.status("ann"), Status::Away);
    clock.update(2, Status::Online).unwrap();
    let version = clock.live.statuses.version();
    clock.join(3, "ann", None).unwrap();
    clock.update(3, Status::Idle).unwrap();
    assert_eq!(clock.live.statuses.version(), version);
    assert_eq!(clock.update(9, Status::Idle), Err(PresenceError::NotJoined));
    assert_eq!(clock.join(3, "bob", None), Err(PresenceError::Joined));
}

#[test]
fn a_page_that_is_loaded_again_changes_nothing_and_goes_on_as_it_was() {
    let mut clock = Clock::new(|_| ());
    clock.join(1, "ann", Some(Status::Dnd)).unwrap();
    clock.join(2, "bob", Some(Status::Offline)).unwrap();
    let version = clock.live.statuses.version();
    clock.leave(1, Leave::Lost);
    clock.leave(2, Leave::Lost);
    clock.wait(GRACE_MS - TICK);
    clock.join(3, "ann", None).unwrap();
    clock.join(4, "bob", None).unwrap();
    clock.wait(10 * GRACE_MS);
    assert_eq!(clock.live.statuses.version(), version);
    assert_eq!(clock.status("ann"), Status::Dnd);
    assert_eq!(clock.status("bob"), Status::Offline);

    let seen = clock.now;
    clock.leave(3, Leave::Lost);
    clock.wait(GRACE_MS);
    let ann = Shown {
        user: "ann",
        status: Status::Offline,
        last_seen: Some(seen),
    };
    let changes = clock.live.statuses.changes_since(version);
    assert_eq!(changes.told, ToldStatuses::Delta(vec![ann]));
    assert_eq!(changes.count, 0);
    clock.leave(4, Leave::Said);
    assert!(clock.live.is_empty() && clock.wheel.is_empty());
}

#[test]
fn whoever_left_first_is_forgotten_first() {
    let mut left = Left::new();
    for number in 0..=Statuses::LEFT_MAX as u64 {
        left.note(&number.to_string(), Millis(number));
    }
    assert_eq!(left.seen.len(), Statuses::LEFT_MAX);
    assert_eq!(left.order.len(), Statuses::LEFT_MAX);
    assert!(!left.seen.contains_key("0") && left.seen.contains_key("1"));
    left.note("1", Millis(99_999));
    left.forget("2");
    assert_eq!(left.seen.len(), left.order.len());
}

#[test]
fn ten_thousand_users_are_counted_and_told_in_pages() {
    let mut clock = Clock::new(|_| ());
    for number in 0..10_000_u64 {
        let status = Status::ALL[(number % 4) as usize];
        clock
            .join(number, &format!("u{number:05}"), Some(status))
            .unwrap();
    }
    let changes = clock.live.statuses.changes_since(0);
    assert_eq!(
        (changes.count, changes.told),
        (10_000, ToldStatuses::CountOnly)
    );
    let mut users = BTreeSet::new();
    let mut after = None;
    loop {
        let page = clock.live.statuses.page(after.as_deref(), 1_000);
        users.extend(page.iter().map(|shown| shown.user.to_owned()));
        after = page.last().map(|shown| shown.user.to_owned());
        if page.len() < 1_000 {
            break;
        }
    }
    assert_eq!(users.len(), 10_000);
    let version = changes.version;
    for number in 1_000..10_000 {
        clock.leave(number, Leave::Said);
    }
    let changes = clock.live.statuses.changes_since(version);
    assert!(matches!(&changes.told, ToldStatuses::All(all) if all.len() == 1_000));
}

#[test]
fn bounds_hold_and_leave_everyone_as_they_were() {
    let mut clock = Clock::new(|limits| {
        limits.connections_max = 3;
        limits.keyed.keys_max = 1;
    });
    clock.join(1, "ann", None).unwrap();
    assert!(matches!(
        clock.join(2, "bob", None),
        Err(PresenceError::Keyed(_))
    ));
    assert!(clock.live.statuses.of("bob").last_seen.is_none());
    clock.join(2, "bob", Some(Status::Offline)).unwrap();
    assert!(matches!(
        clock.update(2, Status::Online),
        Err(PresenceError::Keyed(_))
    ));
    assert_eq!(clock.status("bob"), Status::Offline);
    clock.join(3, "bob", Some(Status::Away)).unwrap();
    let crowded = PresenceError::Connections { connections_max: 3 };
    assert_eq!(clock.join(4, "ann", None), Err(crowded));
    clock.leave(1, Leave::Said);
    clock.update(2, Status::Online).unwrap();
    assert_eq!(clock.status("bob"), Status::Online);
}

/// What a reader knows, from what it was told.
#[derive(Debug, Default)]
struct Reader {
    version: u64,
    count: usize,
    known: Option<BTreeMap<String, Status>>,
}

impl Reader {
    fn read(&mut self, statuses: &Statuses) {
        let changes = statuses.changes_since(self.version);
        (self.version, self.count) = (changes.version, changes.count);
        let owned = |shown: &Shown<'_>| (shown.user.to_owned(), shown.status);
        match changes.told {
            ToldStatuses::CountOnly => self.known = None,
            ToldStatuses::All(all) => self.known = Some(all.iter().map(owned).collect()),
            ToldStatuses::Delta(delta) => {
                let known = self.known.as_mut();
                let known = known.expect("a delta comes after all were told");
                for shown in &delta {
                    if shown.status == Status::Offline {
                        known.remove(shown.user);
                    } else {
                        known.insert(shown.user.to_owned(), shown.status);
                    }
                }
            }
        }
    }
}

/// A user of the model: how each connection is, or how the user was and until when.
#[derive(Debug, Clone)]
enum Modelled {
    There(BTreeMap<u64, Status>),
    Grace(Status, Millis),
}

impl Modelled {
    fn status(&self) -> Status {
        let connections = match self {
            Self::There(connections) => connections,
            Self::Grace(status, _) => return *status,
        };
        let has = |status| connections.values().any(|one| *one == status);
        let order = [
            Status::Offline,
            Status::Dnd,
            Status::Online,
            Status::Idle,
            Status::Away,
        ];
        order.into_iter().find(|status| has(*status)).unwrap()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn statuses_agree_with_a_model_of_devices(
        ops in proptest::collection::vec((0..9_u8, 0..4_usize, 0..8_u64, 0..6_usize), 1..120),
    ) {
        const USERS: [&str; 4] = ["ann", "bob", "cleo", "dan"];
        let mut clock = Clock::new(|limits| {
            limits.told_max = 2;
            limits.keyed.removed_max = 2;
        });
        let mut owners: BTreeMap<u64, &str> = BTreeMap::new();
        let mut users: BTreeMap<&str, Modelled> = BTreeMap::new();
        let mut readers = [Reader::default(), Reader::default()];
        for (op, user, number, status) in ops {
            let user = USERS[user];
            let status = Status::ALL.get(status).copied();
            match op {
                0..3 => {
                    let joined = clock.join(number, user, status);
                    prop_assert_eq!(joined.is_ok(), !owners.contains_key(&number));
                    if joined.is_ok() {
                        owners.insert(number, user);
                        let (mut there, kept) = match users.remove(user) {
                            Some(Modelled::There(there)) => (there, Status::Online),
                            Some(Modelled::Grace(kept, _)) => (BTreeMap::new(), kept),
                            None => (BTreeMap::new(), Status::Online),
                        };
                        there.insert(number, status.unwrap_or(kept));
                        users.insert(user, Modelled::There(there));
                    }
                }
                3 | 4 => {
                    let status = status.unwrap_or_default();
                    let owner = owners.get(&number);
                    prop_assert_eq!(clock.update(number, status).is_ok(), owner.is_some());
                    if let Some(Modelled::There(there)) = owner.and_then(|owner| users.get_mut(owner)) {
                        there.insert(number, status);
                    }
                }
                5 | 6 => {
                    let leave = if op == 5 { Leave::Said } else { Leave::Lost };
                    let owner = owners.remove(&number);
                    prop_assert_eq!(clock.leave(number, leave), owner.is_some());
                    let Some(owner) = owner else { continue };
                    let before = users[owner].status();
                    let Some(Modelled::There(there)) = users.get_mut(owner) else {
                        panic!("who has connections is there");
                    };
                    there.remove(&number);
                    if there.is_empty() && leave == Leave::Said {
                        users.remove(owner);
                    } else if there.is_empty() {
                        let grace = Modelled::Grace(before, clock.now.plus(GRACE_MS));
                        users.insert(owner, grace);
                    }
                }
                7 => {
                    clock.wait(number * 700);
                    let tick = Millis(clock.now.0 / TICK * TICK);
                    users.retain(|_, user| match user {
                        Modelled::There(_) => true,
                        Modelled::Grace(_, ends_at) => *ends_at > tick,
                    });
                }
                _ => readers[number as usize % 2].read(&clock.live.statuses),
            }
            for user in USERS {
                let expected = users.get(user).map_or(Status::Offline, Modelled::status);
                prop_assert_eq!(clock.status(user), expected, "{}", user);
            }
            prop_assert_eq!(clock.live.statuses.is_empty(), users.is_empty());
        }
        let seen = |(user, known): (&&str, &Modelled)| {
            let status = known.status();
            (status != Status::Offline).then(|| ((*user).to_owned(), status))
        };
        let expected: BTreeMap<String, Status> = users.iter().filter_map(seen).collect();
        for reader in &mut readers {
            reader.read(&clock.live.statuses);
            prop_assert_eq!(reader.count, expected.len());
            let told = (expected.len() <= 2).then(|| expected.clone());
            prop_assert_eq!(&reader.known, &told);
        }
        // What others were last told of somebody who left is when that was.
        for user in USERS {
            let shown = clock.live.statuses.of(user);
            prop_assert!(shown.last_seen.is_none_or(|seen| START <= seen && seen <= clock.now));
        }
    }
}
