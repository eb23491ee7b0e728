//! A waddle against a plain model of who is in it.

use std::collections::BTreeMap;

use floe_proto::codec::Reader;
use floe_proto::community::{
    About, Change, CommunityRoom, Policy, Role, RoomKind, decode_changes, encode_changes,
};
use floe_proto::{ChannelId, Millis, Rights};
use proptest::prelude::*;

use super::*;

const LIMITS: CommunityLimits = CommunityLimits {
    members_max: 4,
    bans_max: 2,
    rooms_max: 2,
};

fn about(join: Policy) -> About {
    About {
        name: "Penguins".into(),
        join,
    }
}

fn waddle() -> Community {
    let changes = Community::found(about(Policy::Open), "ann", Millis(0)).unwrap();
    Community::new(&changes, Millis(0)).unwrap()
}

fn user(name: &str) -> By<'_> {
    By {
        user: Some(name),
        is_operator: false,
    }
}

const OPERATOR: By<'static> = By {
    user: None,
    is_operator: true,
};

fn act(waddle: &mut Community, by: By<'_>, act: &Act, now: u64) -> Result<usize, CommunityError> {
    let changes = waddle.decide(act, by, Millis(now), &LIMITS)?;
    let mut bytes = Vec::new();
    encode_changes(&changes, &mut bytes);
    assert_eq!(decode_changes(&bytes).as_ref(), Some(&changes));
    waddle.apply_bytes(&bytes);
    Ok(changes.len())
}

fn room(read: Role, write: Role) -> CommunityRoom {
    CommunityRoom {
        kind: RoomKind::Text,
        name: "general".into(),
        read,
        write,
        created_at: Millis(0),
        participants_max: None,
    }
}

const ROOM: ChannelId = ChannelId([1; 6]);

fn add(user: &str, role: Role) -> Act {
    Act::Add {
        user: user.into(),
        role,
    }
}

fn kick(user: &str) -> Act {
    Act::Kick { user: user.into() }
}

#[test]
fn a_ban_ends_by_itself_and_keeps_out_until_then() {
    let mut waddle = waddle();
    assert_eq!(act(&mut waddle, user("bob"), &Act::Join, 1), Ok(1));
    assert_eq!(act(&mut waddle, user("bob"), &Act::Join, 1), Ok(0));
    let ban = Act::Ban {
        user: "bob".into(),
        until: Some(Millis(100)),
        reason: Some("spam".into()),
    };
    assert_eq!(act(&mut waddle, user("ann"), &ban, 2), Ok(2));
    assert_eq!(waddle.rights("bob", None, Millis(3)), Rights::NONE);
    let join = act(&mut waddle, user("bob"), &Act::Join, 99);
    assert_eq!(join, Err(CommunityError::Banned));
    // What is left of the ban goes as the user comes.
    assert_eq!(act(&mut waddle, user("bob"), &Act::Join, 100), Ok(2));
    assert!(waddle.bans().is_empty());
}

#[test]
fn bans_that_are_over_make_way() {
    let mut waddle = waddle();
    let ban = |user: &str, until: u64| Act::Ban {
        user: user.into(),
        until: Some(Millis(until)),
        reason: None,
    };
    for (name, until) in [("x", 10), ("y", 20)] {
        assert_eq!(act(&mut waddle, user("ann"), &ban(name, until), 1), Ok(1));
    }
    let full = act(&mut waddle, user("ann"), &ban("z", 30), 2);
    assert_eq!(full, Err(CommunityError::Bans { max: 2 }));
    assert_eq!(act(&mut waddle, user("ann"), &ban("z", 30), 10), Ok(2));
    assert_eq!(waddle.bans().len(), 2);
}

#[test]
fn the_owner_hands_over_and_only_then_goes() {
    let mut waddle = waddle();
    let leave = act(&mut waddle, user("ann"), &Act::Leave, 1);
    assert_eq!(leave, Err(CommunityError::Owner));
    act(&mut waddle, user("bob"), &Act::Join, 1).unwrap();
    let hand_over = Act::SetRole {
        user: "bob".into(),
        role: Role::Owner,
    };
    let taken = act(&mut waddle, user("bob"), &hand_over, 1);
    assert_eq!(
        taken,
        Err(CommunityError::Role {
            needed: Role::Admin
        })
    );
    assert_eq!(act(&mut waddle, user("ann"), &hand_over, 1), Ok(2));
    assert_eq!(waddle.role_of("ann"), Some(Role::Admin));
    assert_eq!(act(&mut waddle, user("ann"), &Act::Leave, 1), Ok(1));
    assert_eq!(waddle.role_of("bob"), Some(Role::Owner));
}

#[test]
fn rooms_demand_roles_and_time_outs_take_the_word() {
    let mut waddle = waddle();
    act(&mut waddle, user("bob"), &Act::Join, 1).unwrap();
    let new = |read, write| Act::Room {
        id: ROOM,
        room: Some(room(read, write)),
        is_new: true,
    };
    let changed = |read, write| Act::Room {
        id: ROOM,
        room: Some(room(read, write)),
        is_new: false,
    };
    let refused = act(
        &mut waddle,
        user("bob"),
        &new(Role::Member, Role::Member),
        1,
    );
    assert_eq!(
        refused,
        Err(CommunityError::Role {
            needed: Role::Admin
        })
    );
    let wrong = act(&mut waddle, user("ann"), &new(Role::Admin, Role::Member), 1);
    assert_eq!(wrong, Err(CommunityError::LeastRoles));
    act(
        &mut waddle,
        user("ann"),
        &new(Role::Member, Role::Moderator),
        1,
    )
    .unwrap();
    let rights = |waddle: &Community, now| waddle.rights("bob", Some(ROOM), Millis(now));
    assert!(rights(&waddle, 2).contains(Rights::READ));
    assert!(!rights(&waddle, 2).contains(Rights::APPEND));
    act(
        &mut waddle,
        user("ann"),
        &changed(Role::Member, Role::Member),
        2,
    )
    .unwrap();
    assert!(rights(&waddle, 2).contains(Rights::APPEND));
    let time_out = Act::TimeOut {
        user: "bob".into(),
        until: Some(Millis(50)),
    };
    act(&mut waddle, user("ann"), &time_out, 3).unwrap();
    assert!(!rights(&waddle, 49).contains(Rights::APPEND));
    assert!(rights(&waddle, 49).contains(Rights::READ));
    assert_eq!(waddle.changes_at("bob", Millis(4)), Some(Millis(50)));
    assert!(rights(&waddle, 50).contains(Rights::APPEND));
    act(
        &mut waddle,
        user("ann"),
        &changed(Role::Admin, Role::Admin),
        60,
    )
    .unwrap();
    assert_eq!(rights(&waddle, 61), Rights::NONE);
    let gone = Act::Room {
        id: ROOM,
        room: None,
        is_new: false,
    };
    act(&mut waddle, user("ann"), &gone, 62).unwrap();
    assert_eq!(waddle.rights("ann", Some(ROOM), Millis(63)), Rights::NONE);
}

/// What the model knows: who is what, who is banned until when.
#[derive(Debug, Default)]
struct Model {
    roles: BTreeMap<String, Role>,
    bans: BTreeMap<String, Option<u64>>,
}

impl Model {
    fn is_banned(&self, user: &str, now: u64) -> bool {
        let ban = self.bans.get(user);
        ban.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    /// How high somebody stands: 0 outside, 1 to 4 a role, 5 an operator.
    fn rank(&self, by: By<'_>) -> u8 {
        if by.is_operator {
            return 5;
        }
        by.user
            .and_then(|user| self.roles.get(user))
            .map_or(0, |role| *role as u8)
    }

    fn rank_of(&self, user: &str) -> u8 {
        self.roles.get(user).map_or(0, |role| *role as u8)
    }

    /// Does what is done if it may be, and says whether it may.
    fn act(&mut self, by: By<'_>, act: &Act, now: u64) -> bool {
        let rank = self.rank(by);
        match act {
            Act::Join => {
                let Some(user) = by.user else { return false };
                if self.roles.contains_key(user) {
                    return true;
                }
                let may = !self.is_banned(user, now) && self.roles.len() < LIMITS.members_max;
                if may {
                    self.bans.remove(user);
                    self.roles.insert(user.to_owned(), Role::Member);
                }
                may
            }
            Act::Leave => {
                let role = by.user.and_then(|user| self.roles.get(user));
                let may = role.is_some_and(|role| *role != Role::Owner);
                if may {
                    self.roles.remove(by.user.unwrap_or_default());
                }
                may
            }
            Act::Add { user, role } => {
                let may = rank >= 3
                    && !self.roles.contains_key(&**user)
                    && *role != Role::Owner
                    && rank > *role as u8
                    && !self.is_banned(user, now)
                    && self.roles.len() < LIMITS.members_max;
                if may {
                    self.bans.remove(&**user);
                    self.roles.insert(user.to_string(), *role);
                }
                may
            }
            Act::SetRole { user, role } => {
                let Some(had) = self.roles.get(&**user).copied() else {
                    return false;
                };
                if rank < 3 {
                    return false;
                }
                if had == *role {
                    return true;
                }
                if *role == Role::Owner {
                    if rank < 4 {
                        return false;
                    }
                    for role in self.roles.values_mut() {
                        if *role == Role::Owner {
                            *role = Role::Admin;
                        }
                    }
                    self.roles.insert(user.to_string(), Role::Owner);
                    return true;
                }
                let may = had != Role::Owner && rank > had as u8 && rank > *role as u8;
                if may {
                    self.roles.insert(user.to_string(), *role);
                }
                may
            }
            Act::Kick { user } => {
                let about = self.rank_of(user);
                let may = rank >= 2 && (1..4).contains(&about) && rank > about;
                if may {
                    self.roles.remove(&**user);
                }
                may
            }
            Act::Ban { user, until, .. } => {
                let about = self.rank_of(user);
                let until = until.map(|until| until.0);
                let over = self
                    .bans
                    .iter()
                    .find(|(_, until)| until.is_some_and(|until| until <= now));
                let over = over.map(|(user, _)| user.clone());
                let is_full =
                    !self.bans.contains_key(&**user) && self.bans.len() >= LIMITS.bans_max;
                let may = rank >= 2
                    && about < 4
                    && rank > about
                    && until.is_none_or(|until| until > now)
                    && (!is_full || over.is_some());
                if may {
                    if let Some(over) = over.filter(|_| is_full) {
                        self.bans.remove(&over);
                    }
                    self.roles.remove(&**user);
                    self.bans.insert(user.to_string(), until);
                }
                may
            }
            Act::Unban { user } => {
                let may = rank >= 2 && self.is_banned(user, now);
                if may {
                    self.bans.remove(&**user);
                }
                may
            }
            Act::About(_) | Act::TimeOut { .. } | Act::Room { .. } => true,
        }
    }
}

fn users() -> impl Strategy<Value = Box<str>> {
    prop_oneof!["ann", "bob", "cem", "dee", "eve"].prop_map(String::into_boxed_str)
}

fn roles() -> impl Strategy<Value = Role> {
    (0..4_usize).prop_map(|place| Role::ALL[place])
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Join),
        1 => Just(Act::Leave),
        3 => (users(), roles()).prop_map(|(user, role)| Act::Add { user, role }),
        4 => (users(), roles()).prop_map(|(user, role)| Act::SetRole { user, role }),
        2 => users().prop_map(|user| Act::Kick { user }),
        2 => (users(), proptest::option::of(0..60_u64)).prop_map(|(user, until)| Act::Ban {
            user,
            until: until.map(Millis),
            reason: None,
        }),
        1 => users().prop_map(|user| Act::Unban { user }),
    ]
}

proptest! {
    #[test]
    fn a_waddle_is_as_its_model(
        steps in proptest::collection::vec((proptest::option::of(users()), any::<bool>(), acts()), 1..60),
    ) {
        let mut waddle = waddle();
        let mut model = Model::default();
        model.roles.insert("ann".to_owned(), Role::Owner);
        for (now, (user, is_operator, act)) in (1..).zip(&steps) {
            let by = By { user: user.as_deref(), is_operator: *is_operator && user.is_none() };
            let done = super::tests::act(&mut waddle, by, act, now);
            let may = model.act(by, act, now);
            prop_assert_eq!(done.is_ok(), may, "{:?} by {:?} at {}: {:?}", act, by, now, done);
            let roles: BTreeMap<String, Role> = waddle
                .members()
                .iter()
                .map(|(user, member)| (user.to_string(), member.role))
                .collect();
            prop_assert_eq!(&roles, &model.roles);
            let bans: BTreeMap<String, Option<u64>> = waddle
                .bans()
                .iter()
                .map(|(user, ban)| (user.to_string(), ban.until.map(|until| until.0)))
                .collect();
            prop_assert_eq!(&bans, &model.bans);
            let owners = roles.values().filter(|role| **role == Role::Owner);
            prop_assert_eq!(owners.count(), 1);
            for name in ["ann", "bob", "cem", "dee", "eve"] {
                let rights = waddle.rights(name, None, Millis(now));
                let is_in = model.roles.contains_key(name);
                prop_assert_eq!(rights.contains(Rights::READ), is_in);
                prop_assert_eq!(
                    rights.contains(Rights::DELETE_ANY),
                    model.rank_of(name) >= 2
                );
            }
            let mut bytes = Vec::new();
            waddle.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            let back = Community::decode(&mut reader, Millis(0));
            prop_assert!(reader.is_empty());
            prop_assert_eq!(back.as_ref(), Some(&waddle));
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes: Vec<u8>) {
        let mut waddle = waddle();
        waddle.apply_bytes(&bytes);
        let _ = Community::decode(&mut Reader::new(&bytes), Millis(0));
    }
}

#[test]
fn only_who_may_adds_and_kicks() {
    let mut waddle = waddle();
    let by_nobody = act(&mut waddle, user("bob"), &add("cem", Role::Member), 1);
    assert_eq!(by_nobody, Err(CommunityError::NotMember));
    act(&mut waddle, OPERATOR, &add("bob", Role::Admin), 1).unwrap();
    act(&mut waddle, user("bob"), &add("cem", Role::Moderator), 1).unwrap();
    let equal = act(&mut waddle, user("bob"), &add("dee", Role::Admin), 1);
    assert_eq!(equal, Err(CommunityError::Rank));
    for (by, about, error) in [
        ("cem", "bob", CommunityError::Rank),
        ("bob", "ann", CommunityError::Rank),
        ("bob", "eve", CommunityError::NoSuchMember),
    ] {
        assert_eq!(act(&mut waddle, user(by), &kick(about), 1), Err(error));
    }
    assert_eq!(act(&mut waddle, user("bob"), &kick("cem"), 1), Ok(1));
    act(
        &mut waddle,
        user("ann"),
        &Act::About(about(Policy::Invite)),
        1,
    )
    .unwrap();
    let uninvited = act(&mut waddle, user("cem"), &Act::Join, 1);
    assert_eq!(uninvited, Err(CommunityError::InviteOnly));
    let unchanged = waddle.decide(
        &Act::About(about(Policy::Invite)),
        user("ann"),
        Millis(1),
        &LIMITS,
    );
    assert_eq!(unchanged, Ok(Vec::<Change>::new()));
}
