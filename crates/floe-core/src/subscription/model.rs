//! Random inputs against what must hold whatever happens.

use std::collections::BTreeMap;
use std::sync::Arc;

use floe_proto::{Millis, Offset};
use proptest::prelude::*;

use super::*;

const PATHS: [&str; 4] = ["e/a", "e/b", "e/c", "named"];
/// Those that the pattern covers.
const COVERED: [&str; 3] = ["e/a", "e/b", "e/c"];
const IDS: [&str; 2] = ["hook", "pull"];

#[derive(Debug, Clone)]
enum Step {
    Put(usize),
    Delete(usize),
    Append(usize),
    DeleteStream(usize),
    AddNamed(usize),
    RemoveNamed(usize),
    Claim,
    /// The holder processes up to so many units of each stream it was told of.
    Ack {
        behind: u64,
        done: bool,
        release: bool,
    },
    Answer {
        outcome: Outcome,
    },
    Callback {
        behind: u64,
        done: bool,
    },
    /// A holder of an older wake comes back.
    Late,
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Accepted),
        Just(Outcome::Failed)
    ];
    prop_oneof![
        2 => (0..2usize).prop_map(Step::Put),
        1 => (0..2usize).prop_map(Step::Delete),
        6 => (0..4usize).prop_map(Step::Append),
        1 => (0..4usize).prop_map(Step::DeleteStream),
        1 => (0..2usize).prop_map(Step::AddNamed),
        1 => (0..2usize).prop_map(Step::RemoveNamed),
        3 => Just(Step::Claim),
        3 => (0..3u64, any::<bool>(), prop::bool::weighted(0.2))
            .prop_map(|(behind, done, release)| Step::Ack { behind, done, release }),
        3 => outcome.prop_map(|outcome| Step::Answer { outcome }),
        2 => (0..3u64, any::<bool>()).prop_map(|(behind, done)| Step::Callback { behind, done }),
        1 => Just(Step::Late),
        3 => (1..90_000u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// What the world outside knows.
#[derive(Default)]
struct World {
    set: Option<Subscriptions>,
    now: u64,
    random: u128,
    tails: BTreeMap<&'static str, u64>,
    /// How far each subscription was acknowledged in each covered stream.
    positions: BTreeMap<(&'static str, &'static str), u64>,
    stored: BTreeMap<Arc<str>, Vec<u8>>,
    /// Newest generation seen of each life of a subscription.
    generations: BTreeMap<&'static str, u64>,
    /// Wakes that were begun and not ended, by subscription: at most one each.
    in_flight: BTreeMap<&'static str, u64>,
    claim: Option<Claim>,
    sent: Option<Notification>,
    unanswered: bool,
    old: Vec<(&'static str, Request)>,
    reply: Option<Reply>,
}

impl World {
    fn handle(&mut self, input: Input<'_>) {
        let mut set = self.set.take().unwrap();
        let random = &mut self.random;
        set.handle(Millis(self.now), &mut || next(random), input);
        self.set = Some(set);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.set.as_mut().unwrap().poll_effect() {
            match effect {
                Effect::Persist { id, value } => drop(self.stored.insert(id, value)),
                Effect::Forget { id } => drop(self.stored.remove(&id)),
                Effect::Backfill(backfill) => self.answer_backfill(&backfill),
                Effect::AppendWake { event, .. } => self.begun("pull", event.generation),
                Effect::SendWebhook(sent) => {
                    self.begun("hook", sent.generation);
                    self.check_streams(&sent.streams);
                    self.sent = Some(sent);
                    self.unanswered = true;
                }
                Effect::Reply { reply, .. } => self.reply = Some(reply),
            }
        }
    }

    /// The same wake may be announced or sent again; another one only has a higher generation.
    fn begun(&mut self, id: &'static str, generation: u64) {
        let newest = self.generations.entry(id).or_default();
        assert!(generation >= *newest, "{id}: {generation} after {newest}");
        if generation > *newest {
            assert_eq!(self.in_flight.get(id), None, "{id}: two wakes in flight");
        }
        *newest = generation;
        self.in_flight.insert(id, generation);
    }

    fn check_streams(&self, streams: &[StreamState]) {
        assert!(streams.iter().any(StreamState::has_pending));
        for state in streams {
            let tail = self.tails.get(&*state.link.path).copied().unwrap_or(0);
            assert!(
                state.link.acked <= state.tail && state.tail.0 <= tail,
                "{state:?} {tail}"
            );
        }
    }

    fn answer_backfill(&mut self, backfill: &Backfill) {
        let covered = self.tails.iter().filter(|(path, _)| {
            let pattern = backfill.pattern.as_ref();
            pattern.is_some_and(|pattern| pattern.matches(path))
        });
        let covered = covered.map(|(path, tail)| ((*path).into(), Some(*tail)));
        let named = backfill.streams.iter();
        let named = named.map(|path| (path.clone(), self.tails.get(&**path).copied()));
        let streams = named.chain(covered).collect();
        let mut set = self.set.take().unwrap();
        let random = &mut self.random;
        let input = Input::Found {
            backfill: backfill.number,
            streams,
            done: true,
        };
        set.handle(Millis(self.now), &mut || next(random), input);
        self.set = Some(set);
    }

    fn ask(&mut self, id: &'static str, request: Request) -> Reply {
        self.handle(Input::Request {
            ticket: 0,
            id: id.into(),
            request,
        });
        self.reply.take().expect("every request is answered")
    }

    /// What is in flight ends before the request's effects are seen, so it is noted ahead.
    fn holder(&mut self, id: &'static str, request: Request, done: bool) {
        self.old.push((id, request.clone()));
        let before = self.in_flight.get(id).copied();
        if done {
            self.in_flight.remove(id);
        }
        let reply = self.ask(id, request.clone());
        match (reply, request) {
            (Reply::Acked { .. }, Request::Ack(ack) | Request::Callback(ack)) => {
                self.acknowledge(id, ack.acks.iter().map(|(path, at)| (&**path, at.0)));
            }
            (Reply::Refused(_), _) => {
                if let Some(generation) = before {
                    self.in_flight.insert(id, generation);
                }
            }
            _ => {}
        }
    }

    fn acknowledge<'a>(&mut self, id: &'static str, acks: impl Iterator<Item = (&'a str, u64)>) {
        for (path, at) in acks {
            let Some(path) = COVERED.into_iter().find(|covered| *covered == path) else {
                continue;
            };
            if let Some(position) = self.positions.get_mut(&(id, path)) {
                *position = at.max(*position);
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Put(at) => self.put(IDS[at]),
            Step::Delete(at) => {
                let id = IDS[at];
                self.ask(id, Request::Delete);
                self.generations.remove(id);
                self.in_flight.remove(id);
                self.positions.retain(|(known, _), _| *known != id);
                if at == 0 {
                    self.sent = None;
                } else {
                    self.claim = None;
                }
            }
            Step::Append(at) => {
                let path = PATHS[at];
                let before = self
                    .tails
                    .insert(path, self.tails.get(path).map_or(0, |t| t + 1));
                let tail = self.tails[path];
                if before.is_none() && COVERED.contains(&path) {
                    self.positions
                        .extend(self.living().map(|id| ((id, path), 0)));
                }
                self.handle(match before {
                    None => Input::StreamCreated { path, tail },
                    Some(from) => Input::StreamAdvanced { path, from, tail },
                });
            }
            Step::DeleteStream(at) => {
                let path = PATHS[at];
                if self.tails.remove(path).is_some() {
                    self.positions.retain(|(_, known), _| *known != path);
                    // A late ack of it would count for another stream of its path.
                    let told = self.sent.iter_mut().map(|sent| &mut sent.streams);
                    let claimed = self.claim.iter_mut().map(|claim| &mut claim.streams);
                    for streams in told.chain(claimed) {
                        streams.retain(|state| *state.link.path != *path);
                    }
                    self.handle(Input::StreamDeleted { path });
                }
            }
            Step::AddNamed(at) => {
                self.ask(IDS[at], Request::AddStreams(vec!["named".into()]));
            }
            Step::RemoveNamed(at) => {
                self.ask(IDS[at], Request::RemoveStream("named".into()));
            }
            Step::Claim => {
                let worker = "w".into();
                let reply = self.ask("pull", Request::Claim { worker });
                if let Reply::Claimed(claim) = reply {
                    self.begun("pull", claim.generation);
                    self.check_streams(&claim.streams);
                    self.claim = Some(claim);
                } else if reply == Reply::Refused(Refusal::NoPendingWork) {
                    // A wake whose work is gone ends here.
                    self.in_flight.remove("pull");
                }
            }
            Step::Ack {
                behind,
                done,
                release,
            } => {
                if let Some(claim) = self.claim.clone() {
                    let ack = ack(
                        &claim.token,
                        &claim.wake_id,
                        claim.generation,
                        &claim.streams,
                        behind,
                        done,
                    );
                    match release {
                        true => self.holder("pull", Request::Release(ack), true),
                        false => self.holder("pull", Request::Ack(ack), done),
                    }
                }
            }
            Step::Callback { behind, done } => {
                if let Some(sent) = self.sent.clone() {
                    let ack = ack(
                        &sent.token,
                        &sent.wake_id,
                        sent.generation,
                        &sent.streams,
                        behind,
                        done,
                    );
                    self.holder("hook", Request::Callback(ack), done);
                }
            }
            Step::Answer { outcome } => self.answer(outcome),
            Step::Late => {
                for (id, request) in std::mem::take(&mut self.old) {
                    let (Request::Ack(ack) | Request::Release(ack) | Request::Callback(ack)) =
                        &request
                    else {
                        continue;
                    };
                    let generation = ack.generation;
                    let newest = self.view(id).map_or(u64::MAX, |view| view.generation);
                    if generation < newest {
                        let reply = self.ask(id, request);
                        assert!(matches!(reply, Reply::Refused(_)), "{reply:?}");
                    }
                }
            }
            Step::Pass(ms) => self.pass(ms),
            Step::Restart => {
                let mut set = Subscriptions::new(Limits::default());
                for value in self.stored.values() {
                    let random = &mut self.random;
                    set.restore(Millis(self.now), &mut || next(random), value)
                        .unwrap();
                }
                self.set = Some(set);
                self.unanswered = false;
                self.drain();
            }
        }
    }

    fn put(&mut self, id: &'static str) {
        let target = match id {
            "hook" => Target::Webhook {
                url: "https://h.example".into(),
                base: "".into(),
            },
            _ => Target::PullWake {
                wake_stream: "wake".into(),
            },
        };
        let pattern = Some("e/*".into());
        let put = Put {
            target,
            pattern,
            lease_ms: 5_000,
            ..Put::default()
        };
        if let Reply::Created(_) = self.ask(id, Request::Put(put)) {
            let existing = self.tails.iter().filter(|(path, _)| COVERED.contains(path));
            self.positions
                .extend(existing.map(|(path, tail)| ((id, *path), *tail)));
        }
    }

    fn living(&self) -> impl Iterator<Item = &'static str> + use<> {
        let living: Vec<_> = IDS
            .into_iter()
            .filter(|id| self.stored.contains_key(*id))
            .collect();
        living.into_iter()
    }

    fn answer(&mut self, outcome: Outcome) {
        let Some(sent) = self.sent.clone().filter(|_| self.unanswered) else {
            return;
        };
        self.unanswered = false;
        let current = self
            .view("hook")
            .is_some_and(|view| view.generation == sent.generation);
        if current && outcome == Outcome::Done {
            self.in_flight.remove("hook");
            let told = sent.streams.iter();
            self.acknowledge("hook", told.map(|state| (&*state.link.path, state.tail.0)));
        }
        self.handle(Input::WebhookAnswered {
            id: sent.subscription_id,
            wake_id: sent.wake_id,
            generation: sent.generation,
            outcome,
        });
    }

    /// Time goes from deadline to deadline, as a host lets it.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while let Some(at) = self
            .set
            .as_ref()
            .unwrap()
            .poll_wake()
            .filter(|at| at.0 <= until)
        {
            self.now = self.now.max(at.0);
            let due = self.in_flight.clone();
            // A deadline ends a wake, or sends the same one again.
            for id in IDS {
                self.in_flight.remove(id);
            }
            self.handle(Input::Wake);
            for (id, generation) in due {
                let held = self
                    .claim
                    .as_ref()
                    .is_some_and(|claim| claim.generation == generation);
                let can_end = id == "hook" || held;
                if !can_end || self.in_flight.contains_key(id) || self.is_pending(id) {
                    let now = self.in_flight.entry(id).or_insert(generation);
                    assert!(*now >= generation);
                }
            }
        }
        self.now = until;
    }

    fn view(&mut self, id: &'static str) -> Option<View> {
        if let Reply::Found(view) = self.ask(id, Request::Get) {
            return Some(view);
        }
        None
    }

    fn is_pending(&mut self, id: &'static str) -> bool {
        let streams = self.view(id).map(|view| view.streams).unwrap_or_default();
        streams.iter().any(|link| {
            self.tails
                .get(&*link.path)
                .is_some_and(|tail| *tail > link.acked.0)
        })
    }

    /// Positions are those of the plain model, and a subscription with work has a wake.
    fn check(&mut self) {
        for id in IDS {
            let Some(view) = self.view(id) else { continue };
            for path in COVERED {
                let link = view.streams.iter().find(|link| *link.path == *path);
                // A link that is not kept stands at its stream's tail.
                let position = link
                    .map(|link| link.acked.0)
                    .or(self.tails.get(path).copied());
                assert_eq!(
                    position,
                    self.positions.get(&(id, path)).copied(),
                    "{id} {path}"
                );
            }
            let wakes =
                self.in_flight.contains_key(id) || self.set.as_ref().unwrap().poll_wake().is_some();
            assert!(wakes || !self.is_pending(id), "{id} forgot its work");
        }
    }

    /// Workers that work for long enough see everything.
    fn work_off(&mut self) {
        for _ in 0..60 {
            self.pass(4_000);
            self.step(Step::Answer {
                outcome: Outcome::Done,
            });
            self.step(Step::Claim);
            self.step(Step::Ack {
                behind: 0,
                done: true,
                release: false,
            });
        }
        for id in IDS {
            let Some(view) = self.view(id) else { continue };
            for link in view.streams {
                let tail = self.tails.get(&*link.path).copied().unwrap_or(0);
                assert_eq!(link.acked.0, tail, "{id} never gave {} out", link.path);
            }
        }
    }
}

fn ack(
    token: &str,
    wake_id: &str,
    generation: u64,
    streams: &[StreamState],
    behind: u64,
    done: bool,
) -> Ack {
    let acks = streams.iter().map(|state| {
        let at = state.tail.0.saturating_sub(behind);
        (state.link.path.clone(), Offset(at))
    });
    Ack {
        token: token.into(),
        wake_id: wake_id.into(),
        generation,
        acks: acks.collect(),
        done,
    }
}

fn next(random: &mut u128) -> u128 {
    *random += 1;
    random.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

proptest! {

    #[test]
    fn one_wake_at_a_time_and_no_work_is_forgotten(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World {
            set: Some(Subscriptions::new(Limits::default())),
            now: 1_000_000,
            ..World::default()
        };
        for step in steps {
            world.step(step);
            world.check();
        }
        world.work_off();
    }
}
