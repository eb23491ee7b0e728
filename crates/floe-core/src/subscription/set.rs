//! All subscriptions of a namespace.

mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use floe_proto::Millis;

use super::effect::{Backfill, Effect, Reply};
use super::index::Index;
use super::input::Input;
use super::limits::Limits;
use super::one::Subscription;
use super::turn::Turn;

/// All subscriptions of one namespace: their whole state and none of their I/O.
///
/// After each [`handle`](Self::handle), drain [`poll_effect`](Self::poll_effect) until it returns
/// `None`; only then hand in the next input. `now` never goes backwards.
#[derive(Debug)]
pub struct Subscriptions {
    limits: Limits,
    all: BTreeMap<Arc<str>, Subscription>,
    index: Index,
    timers: BTreeSet<(Millis, Arc<str>)>,
    backfills: BTreeMap<u64, Waiting>,
    backfills_begun: u64,
    effects: VecDeque<Effect>,
}

/// A subscription that waits for streams to be looked up, and the request behind it.
#[derive(Debug)]
struct Waiting {
    id: Arc<str>,
    ticket: Option<u64>,
    /// Whether the answer is about the subscription, not about added streams.
    is_put: bool,
}

impl Subscriptions {
    /// Makes an empty set.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            all: BTreeMap::new(),
            index: Index::default(),
            timers: BTreeSet::new(),
            backfills: BTreeMap::new(),
            backfills_begun: 0,
            effects: VecDeque::new(),
        }
    }

    /// Bounds what is asked for from now on; what is there stays.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Applies one input at time `now`. Each call of `random` gives 128 fresh random bits, from
    /// which tokens are made.
    pub fn handle(&mut self, now: Millis, random: &mut dyn FnMut() -> u128, input: Input<'_>) {
        let mut turn = Turn::new(now, random, self.limits);
        match input {
            Input::Request {
                ticket,
                id,
                request,
            } => self.handle_request(&mut turn, ticket, &id, request),
            Input::StreamCreated { path, tail } => {
                self.handle_advance(&mut turn, path, 0, tail);
                self.announce_on(&mut turn, path);
            }
            Input::StreamAdvanced { path, from, tail } => {
                self.handle_advance(&mut turn, path, from, tail);
            }
            Input::StreamDeleted { path } => self.handle_deleted(&mut turn, path),
            Input::Found {
                backfill,
                streams,
                done,
            } => self.handle_found(&mut turn, backfill, &streams, done),
            Input::WebhookAnswered {
                id,
                wake_id,
                generation,
                outcome,
            } => self.with(&mut turn, &id, |one, turn| {
                one.answered(turn, &wake_id, generation, outcome);
            }),
            Input::Wake => self.handle_wake(&mut turn),
        }
        self.settle(turn);
    }

    /// Returns the next thing the host must do, oldest first.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Returns when to hand in [`Input::Wake`]; `None` while nothing is timed.
    #[must_use]
    pub fn poll_wake(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Takes back a subscription from the value that was persisted last for it.
    ///
    /// Call it for every stored value before the first input, then drain the effects: they look up
    /// the tails that moved while the process was down.
    ///
    /// # Errors
    /// See [`RestoreError`].
    pub fn restore(
        &mut self,
        now: Millis,
        random: &mut dyn FnMut() -> u128,
        value: &[u8],
    ) -> Result<Arc<str>, RestoreError> {
        let mut one = Subscription::decode(value).ok_or(RestoreError)?;
        let id = one.id.clone();
        let mut turn = Turn::new(now, random, self.limits);
        one.renew_lease(now);
        if !one.start_wake(&mut turn) {
            // Whether the event reached the wake stream is not known; a second one does no harm.
            one.announce(&mut turn);
        }
        let streams = one.links.iter().map(|(path, _)| path.into()).collect();
        self.insert(one);
        self.begin_backfill(&mut turn, &id, streams, None, true);
        self.settle(turn);
        Ok(id)
    }

    /// Returns whether there is no subscription.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns how many subscriptions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Returns whether there is a subscription of this id.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    /// Returns whether a bearer token is of a subscription: whoever shows it holds a wake, or once
    /// did.
    #[must_use]
    pub fn knows_token(&self, id: &str, token: &str) -> bool {
        self.all.get(id).is_some_and(|one| one.knows_token(token))
    }

    /// Returns whether inputs about the stream matter to any subscription.
    #[must_use]
    pub fn watches(&self, path: &str) -> bool {
        self.index.watches(path)
    }

    /// Returns whether further slices of a backfill are wanted.
    #[must_use]
    pub fn is_backfilling(&self, number: u64) -> bool {
        self.backfills.contains_key(&number)
    }

    fn insert(&mut self, one: Subscription) {
        self.index.add(&one);
        self.all.insert(one.id.clone(), one);
    }

    fn begin_backfill(
        &mut self,
        turn: &mut Turn<'_>,
        id: &Arc<str>,
        streams: Vec<Box<str>>,
        ticket: Option<u64>,
        is_put: bool,
    ) {
        turn.touched.insert(id.clone());
        let one = &self.all[id];
        let pattern = (is_put && !one.backfilled).then(|| one.config.pattern.clone());
        self.backfills_begun += 1;
        let number = self.backfills_begun;
        let waiting = Waiting {
            id: id.clone(),
            ticket,
            is_put,
        };
        self.backfills.insert(number, waiting);
        turn.effects.push(Effect::Backfill(Backfill {
            number,
            pattern: pattern.flatten(),
            streams,
        }));
    }

    fn handle_found(
        &mut self,
        turn: &mut Turn<'_>,
        number: u64,
        streams: &[(Box<str>, Option<u64>)],
        done: bool,
    ) {
        let Some(waiting) = self.backfills.get(&number) else {
            return;
        };
        let id = waiting.id.clone();
        let index = &self.index;
        let Some(one) = self.all.get_mut(&id) else {
            return;
        };
        turn.touched.insert(id.clone());
        for (path, tail) in streams {
            one.found(turn, path, *tail, index.is_wake_stream(path));
        }
        one.start_wake(turn);
        if !done && !one.links.is_settled(&turn.limits) {
            return;
        }
        let Some(waiting) = self.backfills.remove(&number) else {
            return;
        };
        one.dirty |= waiting.is_put && !one.backfilled;
        one.backfilled |= waiting.is_put;
        if let Some(ticket) = waiting.ticket {
            let reply = match waiting.is_put {
                true => Reply::Created(one.view()),
                false => Reply::StreamsAdded,
            };
            turn.reply(ticket, reply);
        }
    }

    fn handle_advance(&mut self, turn: &mut Turn<'_>, path: &str, from: u64, tail: u64) {
        for id in self.index.watchers(path) {
            self.with(turn, &id, |one, turn| one.advance(turn, path, from, tail));
        }
    }

    /// A wake stream was created after a wake wanted to be announced on it.
    fn announce_on(&mut self, turn: &mut Turn<'_>, path: &str) {
        for id in self.index.waking_on(path) {
            if let Some(one) = self.all.get(id) {
                one.announce(turn);
            }
        }
    }

    fn handle_deleted(&mut self, turn: &mut Turn<'_>, path: &str) {
        let linked: Vec<_> = self.index.linked(path).cloned().collect();
        for id in linked {
            self.with(turn, &id, |one, _| one.forget_stream(path));
        }
    }

    fn handle_wake(&mut self, turn: &mut Turn<'_>) {
        let due = self.timers.iter().take_while(|(at, _)| *at <= turn.now);
        let due: Vec<_> = due.map(|(_, id)| id.clone()).collect();
        for id in due {
            self.with(turn, &id, |one, turn| one.expire(turn));
        }
    }

    fn with<'t>(
        &mut self,
        turn: &mut Turn<'t>,
        id: &Arc<str>,
        act: impl FnOnce(&mut Subscription, &mut Turn<'t>),
    ) {
        if let Some(one) = self.all.get_mut(id) {
            turn.touched.insert(id.clone());
            act(one, turn);
        }
    }

    /// Brings index and timers up to what was touched, and puts its state before the effects.
    fn settle(&mut self, turn: Turn<'_>) {
        for id in turn.touched {
            let Some(one) = self.all.get_mut(&id) else {
                continue;
            };
            for (path, linked) in one.links.take_changes() {
                self.index.link(&path, &id, linked);
            }
            let deadline = one.wake.as_ref().and_then(|wake| wake.deadline());
            if deadline != one.scheduled {
                if let Some(at) = one.scheduled {
                    self.timers.remove(&(at, id.clone()));
                }
                if let Some(at) = deadline {
                    self.timers.insert((at, id.clone()));
                }
                one.scheduled = deadline;
            }
            if std::mem::take(&mut one.dirty) {
                let value = one.encode();
                one.links.set_stored();
                self.effects.push_back(Effect::Persist { id, value });
            }
        }
        self.effects.extend(turn.effects);
    }
}

/// The bytes are not a persisted subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored bytes are not a subscription")]
pub struct RestoreError;
