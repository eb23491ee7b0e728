//! Random acts of random users, against a plain model of who is what and may do what.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::Town;
use crate::harness::{Channel, Request, delete, get, patch, post, put};

/// Who acts; `admin` is the operator. The first owns the waddle.
const WHO: [&str; 6] = ["ann", "bob", "cat", "dan", "eve", "admin"];
const ROLES: [&str; 4] = ["member", "moderator", "admin", "owner"];

#[derive(Debug, Clone)]
enum Act {
    Join,
    Leave,
    Put(usize, usize),
    Kick(usize),
    Ban(usize),
    Unban(usize),
    TimeOut(usize),
    Calm(usize),
    Policy(bool),
    Least(usize, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let user = 0..WHO.len() - 1;
    prop_oneof![
        3 => Just(Act::Join),
        1 => Just(Act::Leave),
        4 => (user.clone(), 0..ROLES.len()).prop_map(|(who, role)| Act::Put(who, role)),
        1 => user.clone().prop_map(Act::Kick),
        2 => user.clone().prop_map(Act::Ban),
        2 => user.clone().prop_map(Act::Unban),
        2 => user.clone().prop_map(Act::TimeOut),
        1 => user.prop_map(Act::Calm),
        1 => any::<bool>().prop_map(Act::Policy),
        2 => (0..ROLES.len(), 0..ROLES.len()).prop_map(|(read, write)| Act::Least(read, write)),
    ]
}

/// The waddle as plain as can be: roles are numbers, the operator's is above all.
#[derive(Debug, Clone, Default)]
struct Model {
    roles: BTreeMap<usize, usize>,
    timed_out: BTreeMap<usize, bool>,
    banned: BTreeMap<usize, bool>,
    invite: bool,
    read: usize,
    write: usize,
}

const OPERATOR: usize = 5;
const OWNER: usize = 3;

impl Model {
    /// How high somebody stands, 0 for who is no member.
    fn rank(&self, who: usize) -> usize {
        match who {
            OPERATOR => 9,
            who => self.roles.get(&who).map_or(0, |role| role + 1),
        }
    }

    fn is_banned(&self, who: usize) -> bool {
        self.banned.contains_key(&who)
    }

    fn goes(&mut self, who: usize) {
        self.roles.remove(&who);
        self.timed_out.remove(&who);
    }

    /// Does something, and says with which status it is answered.
    fn act(&mut self, by: usize, act: &Act) -> u16 {
        let rank = self.rank(by);
        // Who is outside learns nothing, whatever they try but to come in.
        if rank == 0 && !matches!(act, Act::Join) {
            return 404;
        }
        match *act {
            // The operator is no user, and only users come and go.
            Act::Join | Act::Leave if by == OPERATOR => 400,
            Act::Join if rank > 0 => 200,
            Act::Join if self.is_banned(by) || self.invite => 403,
            Act::Join => {
                self.roles.insert(by, 0);
                200
            }
            Act::Leave if self.roles[&by] == OWNER => 409,
            Act::Leave => {
                self.goes(by);
                204
            }
            Act::Policy(invite) => match rank {
                0..3 => 403,
                _ => {
                    self.invite = invite;
                    200
                }
            },
            Act::Least(read, write) => match (rank, read <= write) {
                (0..3, _) => 403,
                (_, false) => 400,
                (_, true) => {
                    (self.read, self.write) = (read, write);
                    200
                }
            },
            Act::Put(who, role) => self.put(by, who, role),
            Act::Kick(_) | Act::Ban(_) | Act::Unban(_) | Act::TimeOut(_) | Act::Calm(_)
                if rank < 2 =>
            {
                403
            }
            Act::Unban(who) => match self.banned.remove(&who) {
                Some(_) => 204,
                None => 404,
            },
            Act::Ban(who) if self.is_out_of_reach(rank, who) => 403,
            Act::Ban(who) => {
                self.goes(who);
                self.banned.insert(who, true);
                200
            }
            Act::Kick(who) | Act::TimeOut(who) | Act::Calm(who) if self.rank(who) == 0 => 404,
            Act::Kick(who) | Act::TimeOut(who) | Act::Calm(who)
                if self.is_out_of_reach(rank, who) =>
            {
                403
            }
            Act::Kick(who) => {
                self.goes(who);
                204
            }
            Act::TimeOut(who) => {
                self.timed_out.insert(who, true);
                200
            }
            Act::Calm(who) => {
                self.timed_out.remove(&who);
                204
            }
        }
    }

    fn is_out_of_reach(&self, rank: usize, who: usize) -> bool {
        self.roles.get(&who) == Some(&OWNER) || self.rank(who) >= rank
    }

    fn put(&mut self, by: usize, who: usize, role: usize) -> u16 {
        let rank = self.rank(by);
        if rank < 3 {
            return 403;
        }
        match self.roles.get(&who).copied() {
            None if role == OWNER || rank <= role + 1 => 403,
            None if self.is_banned(who) => 403,
            None => {
                self.roles.insert(who, role);
                200
            }
            Some(had) if had == role => 200,
            Some(_) if role == OWNER => {
                let owner = self.roles.iter().find(|(_, role)| **role == OWNER);
                let owner = owner.map(|(who, _)| *who);
                if by != OPERATOR && owner != Some(by) {
                    return 403;
                }
                if let Some(owner) = owner {
                    self.roles.insert(owner, OWNER - 1);
                }
                self.roles.insert(who, OWNER);
                200
            }
            Some(OWNER) => 409,
            Some(_) if self.is_out_of_reach(rank, who) || rank <= role + 1 => 403,
            Some(_) => {
                self.roles.insert(who, role);
                200
            }
        }
    }

    fn reads(&self, who: usize) -> bool {
        self.rank(who) > self.read
    }

    fn writes(&self, who: usize) -> bool {
        who == OPERATOR || self.rank(who) > self.write && !self.timed_out.contains_key(&who)
    }
}

fn request(act: &Act, channel: &Channel) -> Request {
    let at = |rest: String| format!("/v1/waddles/birds{rest}");
    match *act {
        Act::Join => post(&at("/join".into())),
        Act::Leave => post(&at("/leave".into())),
        Act::Put(who, role) => {
            put(&at(format!("/members/{}", WHO[who]))).value(&json!({ "role": ROLES[role] }))
        }
        Act::Kick(who) => delete(&at(format!("/members/{}", WHO[who]))),
        Act::Ban(who) => put(&at(format!("/bans/{}", WHO[who]))).json("{}"),
        Act::Unban(who) => delete(&at(format!("/bans/{}", WHO[who]))),
        Act::TimeOut(who) => {
            put(&at(format!("/timeouts/{}", WHO[who]))).json(r#"{"until":"2100-01-01T00:00:00Z"}"#)
        }
        Act::Calm(who) => delete(&at(format!("/timeouts/{}", WHO[who]))),
        Act::Policy(invite) => {
            let join = if invite { "invite" } else { "open" };
            patch(&at(String::new())).value(&json!({ "join": join }))
        }
        Act::Least(read, write) => patch(&at(format!("/channels/{}", channel.id)))
            .value(&json!({ "read": ROLES[read], "write": ROLES[write] })),
    }
}

/// Compares all that the waddle shows, and what each may do, with the model.
fn compare(town: &Town, channel: &Channel, model: &Model) {
    let members = town.read("admin", "/v1/waddles/birds/members");
    let shown: BTreeMap<_, _> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| {
            let is_out = member.get("timedOutUntil").is_some();
            (text(&member["user"]), (text(&member["role"]), is_out))
        })
        .collect();
    let expected: BTreeMap<_, _> = model
        .roles
        .iter()
        .map(|(who, role)| {
            let is_out = model.timed_out.contains_key(who);
            (WHO[*who].to_owned(), (ROLES[*role].to_owned(), is_out))
        })
        .collect();
    assert_eq!(shown, expected);
    let bans = town.read("admin", "/v1/waddles/birds/bans");
    let bans = bans["bans"].as_array().unwrap().iter();
    let bans: Vec<_> = bans.map(|ban| text(&ban["user"])).collect();
    let expected: Vec<_> = model
        .banned
        .keys()
        .map(|who| WHO[*who].to_owned())
        .collect();
    assert_eq!(bans, expected);
    for (who, name) in WHO.iter().enumerate() {
        let may = |allowed: bool, status: u16| if allowed { status } else { 403 };
        let reads = town.status(name, get(&channel.at("/events")));
        assert_eq!(
            reads,
            may(model.reads(who), 200),
            "{name} reads in {model:?}"
        );
        let writes = town.status(name, channel.says(name, "x"));
        assert_eq!(
            writes,
            may(model.writes(who), 201),
            "{name} writes in {model:?}"
        );
        let inside = town.status(name, get("/v1/waddles/birds/channels"));
        let expected = if model.rank(who) > 0 { 200 } else { 404 };
        assert_eq!(inside, expected, "{name} looks in {model:?}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn membership_and_rights_are_those_of_a_plain_model() {
    let cases = Config {
        cases: 12,
        failure_persistence: None,
        ..Config::default()
    };
    let acts = prop::collection::vec((0..WHO.len(), act()), 1..40);
    TestRunner::new(cases)
        .run(&acts, |acts| {
            let (town, channel) = Town::birds();
            let mut model = Model::default();
            model.roles.insert(0, OWNER);
            for (by, act) in &acts {
                let expected = model.act(*by, act);
                let answer = town.send(WHO[*by], request(act, &channel));
                assert_eq!(answer.status, expected, "{} {act:?}: {answer:?}", WHO[*by]);
                compare(&town, &channel, &model);
            }
            // And so it is after a start.
            let town = Town {
                server: town.server.restart(),
            };
            compare(&town, &channel, &model);
            Ok(())
        })
        .unwrap();
}
