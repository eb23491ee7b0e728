//! Runs the subscriptions: stores what they decide, sends what they send.
//!
//! Each namespace has its own, which know nothing of the others'. Their state is the value of one
//! room each, `__ds/subscriptions/<id>` in their namespace; `__ds/subscriptions` there lists the ids,
//! and `__ds/subscription-namespaces` the namespaces besides the default one. Nothing they decide
//! leaves the process before it is durable.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use floe_core::subscription::{
    Backfill, Effect, Input, Limits, Pattern, Refusal, Reply, Request, Subscriptions,
};
use floe_log::{Disk, Lsn};
use floe_proto::codec::{Put as _, Reader};
use floe_proto::{Millis, Namespace, RoomId};
use floe_surfaces::subscriptions::{PublicKey, wake_event_body};
use mio::Waker;

use crate::shard::{Change, ChangeKind, Failure, Shard, Ticket};
use crate::webhook::{self, Answer, Delivery, SigningKey, WebhookSender};

/// The host's side of all subscriptions.
pub struct SubscriptionHost {
    spaces: BTreeMap<Namespace, Space>,
    /// When each namespace wants to be looked at.
    timers: BTreeSet<(Millis, Namespace)>,
    /// Bounds of each namespace.
    bounds: Limits,
    /// Subscriptions of all namespaces at once.
    total_max: usize,
    key: Arc<SigningKey>,
    sender: WebhookSender,
    answers: Arc<Mutex<Vec<Answer>>>,
    random: SystemRandom,
    /// Namespaces that the list of them has.
    listed: BTreeSet<Namespace>,
    /// Effects in order, from the first that could not be stored yet.
    waiting: VecDeque<(Namespace, Effect)>,
    /// Effects that leave once the log is durable up to a position.
    held: VecDeque<(Lsn, Namespace, Effect)>,
    walks: VecDeque<Walk>,
}

/// The subscriptions of one namespace.
struct Space {
    machine: Subscriptions,
    /// Ids that the list of ids has.
    ids: BTreeSet<Arc<str>>,
    /// Its entry among the timers.
    scheduled: Option<Millis>,
}

impl Space {
    fn new(bounds: Limits) -> Self {
        Self {
            machine: Subscriptions::new(bounds),
            ids: BTreeSet::new(),
            scheduled: None,
        }
    }
}

/// A backfill on its way through all rooms.
struct Walk {
    namespace: Namespace,
    number: u64,
    pattern: Option<Pattern>,
    streams: Vec<Box<str>>,
    rooms: Vec<RoomId>,
    at: usize,
}

const LIST: &[u8] = b"__ds/subscriptions";
const NAMESPACES: &[u8] = b"__ds/subscription-namespaces";
const SIGNING_KEY: &[u8] = b"__ds/signing-key";
/// Rooms looked at in one turn of a backfill.
const WALK_STEP: usize = 512;

impl SubscriptionHost {
    /// Takes up the subscriptions that the log holds, and the key, which is drawn the first time.
    ///
    /// # Errors
    /// When the log cannot be read or written, or holds what this version does not understand.
    pub fn open<D: Disk>(
        shard: &mut Shard<D>,
        now: Millis,
        development: bool,
        limits: &crate::settings::Limits,
        waker: &Arc<Waker>,
    ) -> io::Result<Self> {
        let seed = match shard.value(now, SIGNING_KEY).map_err(broken)? {
            Some(seed) => seed,
            None => {
                let seed = SigningKey::draw_seed().map_err(io::Error::other)?.to_vec();
                shard.set_value(now, SIGNING_KEY, &seed).map_err(broken)?;
                seed
            }
        };
        let key = Arc::new(SigningKey::from_seed(&seed).map_err(io::Error::other)?);
        let answers = Arc::new(Mutex::new(Vec::new()));
        let on_answer = {
            let (answers, waker) = (Arc::clone(&answers), Arc::clone(waker));
            move |answer| {
                lock(&answers).push(answer);
                if let Err(error) = waker.wake() {
                    tracing::error!(%error, "the event loop could not be woken");
                }
            }
        };
        let webhooks = webhook::Limits {
            development,
            ..webhook::Limits::default()
        };
        let mut host = Self {
            spaces: BTreeMap::new(),
            timers: BTreeSet::new(),
            bounds: Limits::default(),
            total_max: 0,
            sender: WebhookSender::new(Arc::clone(&key), webhooks, on_answer),
            key,
            answers,
            random: SystemRandom::new(),
            listed: BTreeSet::new(),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            walks: VecDeque::new(),
        };
        host.set_limits(limits);
        host.restore(shard, now)?;
        Ok(host)
    }

    /// Bounds what comes from now on; what is there stays.
    pub fn set_limits(&mut self, limits: &crate::settings::Limits) {
        self.bounds = Limits {
            subscriptions_max: limits.subscriptions_max,
            links_max: limits.subscription_links_max,
            ..Limits::default()
        };
        for space in self.spaces.values_mut() {
            space.machine.set_limits(self.bounds);
        }
        self.total_max = limits.subscriptions_total_max;
        let timeout = Duration::from_millis(limits.webhook_timeout_ms);
        self.sender
            .set_bounds(limits.webhooks_in_flight_max, timeout);
    }

    fn restore<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> io::Result<()> {
        let list = shard.value(now, NAMESPACES).map_err(broken)?;
        let list = list.unwrap_or_default();
        let mut reader = Reader::new(&list);
        while let Some(name) = reader.str() {
            let namespace = name.parse().map_err(io::Error::other)?;
            self.listed.insert(namespace);
        }
        self.restore_space(shard, now, &Namespace::default())?;
        for namespace in self.listed.clone() {
            self.restore_space(shard, now, &namespace)?;
        }
        let is_empty = self.is_empty();
        shard.note_changes(!is_empty);
        if !is_empty {
            for (name, from, tail) in shard.replayed() {
                self.advance(now, &name, from, tail);
            }
        }
        Ok(())
    }

    fn restore_space<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        namespace: &Namespace,
    ) -> io::Result<()> {
        let list = shard.value(now, &namespace.qualify(LIST)).map_err(broken)?;
        let list = list.unwrap_or_default();
        let mut space = Space::new(self.bounds);
        let mut reader = Reader::new(&list);
        while let Some(id) = reader.str() {
            space.ids.insert(id.into());
        }
        for id in &space.ids {
            // The list is written before the value, so a crash may leave an id without one.
            let name = room_of(namespace, id);
            let Some(value) = shard.value(now, &name).map_err(broken)? else {
                continue;
            };
            let random = &self.random;
            space
                .machine
                .restore(now, &mut || draw(random), &value)
                .map_err(|_| io::Error::other(format!("the subscription {id} does not decode")))?;
        }
        if !space.ids.is_empty() {
            self.spaces.insert(namespace.clone(), space);
            self.gather(namespace);
        }
        Ok(())
    }

    /// Returns the public half of the key that webhooks are signed with.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// Returns how many subscriptions there are, and how many webhooks are out.
    pub fn counts(&self) -> (usize, usize) {
        (self.len(), self.sender.in_flight())
    }

    fn len(&self) -> usize {
        self.spaces.values().map(|space| space.machine.len()).sum()
    }

    fn is_empty(&self) -> bool {
        self.spaces.values().all(|space| space.machine.is_empty())
    }

    /// Returns when [`turn`](Self::turn) wants to be called.
    pub fn poll_wake(&self, now: Millis) -> Option<Millis> {
        if self.walks.is_empty() {
            self.timers.first().map(|(at, _)| *at)
        } else {
            Some(now)
        }
    }

    /// Hands in a request about the subscriptions of a namespace; its reply comes from
    /// [`turn`](Self::turn).
    pub fn request(
        &mut self,
        now: Millis,
        ticket: Ticket,
        namespace: &Namespace,
        id: Arc<str>,
        request: Request,
    ) {
        let ticket = ticket.0;
        let known = self.spaces.get(namespace);
        let is_known = known.is_some_and(|space| space.machine.contains(&id));
        if matches!(request, Request::Put(_)) && !is_known && self.len() >= self.total_max {
            let refusal = Refusal::LimitReached {
                what: "subscriptions of the server",
                max: self.total_max,
            };
            let reply = Reply::Refused(refusal);
            let effect = Effect::Reply { ticket, reply };
            return self.waiting.push_back((namespace.clone(), effect));
        }
        if known.is_none() {
            let space = Space::new(self.bounds);
            self.spaces.insert(namespace.clone(), space);
        }
        self.handle(
            now,
            namespace,
            Input::Request {
                ticket,
                id,
                request,
            },
        );
    }

    /// Returns whether a bearer token is of a subscription.
    pub fn knows_token(&self, namespace: &Namespace, id: &str, token: &str) -> bool {
        let space = self.spaces.get(namespace);
        space.is_some_and(|space| space.machine.knows_token(id, token))
    }

    /// Hands in what has become visible.
    pub fn changes(&mut self, now: Millis, changes: Vec<Change>) {
        for Change { name, kind } in changes {
            let Some((namespace, path)) = self.watched(&name) else {
                continue;
            };
            self.handle(
                now,
                &namespace,
                match kind {
                    ChangeKind::Created { tail } => Input::StreamCreated { path, tail },
                    ChangeKind::Advanced { from, tail } => {
                        Input::StreamAdvanced { path, from, tail }
                    }
                    ChangeKind::Deleted => Input::StreamDeleted { path },
                },
            );
        }
    }

    fn advance(&mut self, now: Millis, name: &[u8], from: u64, tail: u64) {
        if let Some((namespace, path)) = self.watched(name) {
            let advanced = Input::StreamAdvanced { path, from, tail };
            self.handle(now, &namespace, advanced);
        }
    }

    /// Takes a stream's full name apart, if a subscription of its namespace wants to know of it.
    fn watched<'a>(&self, name: &'a [u8]) -> Option<(Namespace, &'a str)> {
        let (namespace, path) = Namespace::split(name);
        let (namespace, space) = self.spaces.get_key_value(namespace)?;
        let path = std::str::from_utf8(path).ok()?;
        let watches = space.machine.watches(path);
        watches.then(|| (namespace.clone(), path))
    }

    /// Does what can be done now; returns the replies that may leave.
    pub fn turn<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> Vec<(Ticket, Reply)> {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for Answer {
            namespace,
            id,
            wake_id,
            generation,
            outcome,
        } in answers
        {
            self.handle(
                now,
                &namespace,
                Input::WebhookAnswered {
                    id,
                    wake_id,
                    generation,
                    outcome,
                },
            );
        }
        while let Some((at, namespace)) = self.timers.first().cloned()
            && at <= now
        {
            self.handle(now, &namespace, Input::Wake);
            if self.timers.first() == Some(&(at, namespace)) {
                // Whatever is due still has its turn when the loop comes round.
                break;
            }
        }
        self.walk(shard, now);
        self.store(shard, now);
        shard.note_changes(!self.is_empty());
        self.release(shard, now)
    }

    fn handle(&mut self, now: Millis, namespace: &Namespace, input: Input<'_>) {
        let random = &self.random;
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.machine.handle(now, &mut || draw(random), input);
            self.gather(namespace);
        }
    }

    /// Takes what a namespace wants done, and notes when it wants to be looked at.
    fn gather(&mut self, namespace: &Namespace) {
        let Some(space) = self.spaces.get_mut(namespace) else {
            return;
        };
        while let Some(effect) = space.machine.poll_effect() {
            match effect {
                Effect::Backfill(Backfill {
                    number,
                    pattern,
                    streams,
                }) => {
                    self.walks.push_back(Walk {
                        namespace: namespace.clone(),
                        number,
                        pattern,
                        streams,
                        rooms: Vec::new(),
                        at: 0,
                    });
                }
                Effect::Persist { .. }
                | Effect::Forget { .. }
                | Effect::AppendWake { .. }
                | Effect::SendWebhook(_)
                | Effect::Reply { .. } => self.waiting.push_back((namespace.clone(), effect)),
            }
        }
        let wake = space.machine.poll_wake();
        if wake != space.scheduled {
            if let Some(at) = space.scheduled {
                self.timers.remove(&(at, namespace.clone()));
            }
            if let Some(at) = wake {
                self.timers.insert((at, namespace.clone()));
            }
            space.scheduled = wake;
        }
        let is_unused = space.machine.is_empty() && space.ids.is_empty();
        if is_unused && !self.walks.iter().any(|walk| walk.namespace == *namespace) {
            self.spaces.remove(namespace);
        }
    }

    /// Stages what must be stored, in order, until the log has no space.
    fn store<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) {
        while let Some((namespace, effect)) = self.waiting.pop_front() {
            let stored = match &effect {
                Effect::Persist { id, value } => self.persist(shard, now, &namespace, id, value),
                Effect::Forget { id } => self.forget(shard, now, &namespace, id),
                Effect::Backfill(_)
                | Effect::AppendWake { .. }
                | Effect::SendWebhook(_)
                | Effect::Reply { .. } => Ok(()),
            };
            if let Err(failure) = stored {
                let code = failure.code.as_str();
                tracing::warn!(code, "a subscription waits to be stored");
                return self.waiting.push_front((namespace, effect));
            }
            if !matches!(effect, Effect::Persist { .. } | Effect::Forget { .. }) {
                self.held.push_back((shard.staged(), namespace, effect));
            }
        }
    }

    /// Stages the state of a subscription, after the lists that lead to it.
    fn persist<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        namespace: &Namespace,
        id: &Arc<str>,
        value: &[u8],
    ) -> Result<(), Failure> {
        if !namespace.is_default() && !self.listed.contains(namespace) {
            let mut listed = self.listed.clone();
            listed.insert(namespace.clone());
            list_namespaces(shard, now, &listed)?;
            self.listed = listed;
        }
        let space = self.spaces.entry(namespace.clone());
        let space = space.or_insert_with(|| Space::new(self.bounds));
        if space.ids.insert(Arc::clone(id))
            && let Err(failure) = list_ids(shard, now, namespace, &space.ids)
        {
            space.ids.remove(id);
            return Err(failure);
        }
        shard.set_value(now, &room_of(namespace, id), value)
    }

    /// Stages the end of a subscription, before that of the lists that lead to it.
    fn forget<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        namespace: &Namespace,
        id: &Arc<str>,
    ) -> Result<(), Failure> {
        shard.forget_value(now, &room_of(namespace, id))?;
        let Some(space) = self.spaces.get_mut(namespace) else {
            return Ok(());
        };
        if space.ids.remove(id) {
            list_ids(shard, now, namespace, &space.ids)?;
        }
        if space.ids.is_empty() && self.listed.contains(namespace) {
            let mut listed = self.listed.clone();
            listed.remove(namespace);
            list_namespaces(shard, now, &listed)?;
            self.listed = listed;
        }
        self.gather(namespace);
        Ok(())
    }

    /// Forgets the subscriptions of a namespace that is being deleted; whoever waits for an answer
    /// gets it. Their rooms are for the caller to delete.
    ///
    /// # Errors
    /// When the log has no space.
    pub fn forget_namespace<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        namespace: &Namespace,
    ) -> Result<(), Failure> {
        if self.listed.contains(namespace) {
            let mut listed = self.listed.clone();
            listed.remove(namespace);
            list_namespaces(shard, now, &listed)?;
            self.listed = listed;
        }
        let space = self.spaces.remove(namespace);
        if let Some(at) = space.and_then(|space| space.scheduled) {
            self.timers.remove(&(at, namespace.clone()));
        }
        self.walks.retain(|walk| walk.namespace != *namespace);
        let stays = |of: &Namespace, effect: &Effect| {
            of != namespace || matches!(effect, Effect::Reply { .. })
        };
        self.waiting.retain(|(of, effect)| stays(of, effect));
        self.held.retain(|(_, of, effect)| stays(of, effect));
        Ok(())
    }

    /// Lets go what has become durable.
    fn release<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> Vec<(Ticket, Reply)> {
        let mut replies = Vec::new();
        while self
            .held
            .front()
            .is_some_and(|(lsn, ..)| *lsn <= shard.durable())
        {
            let Some((_, namespace, effect)) = self.held.pop_front() else {
                break;
            };
            match effect {
                Effect::Reply { ticket, reply } => replies.push((Ticket(ticket), reply)),
                Effect::SendWebhook(notification) => {
                    self.sender.send(Delivery::new(namespace, &notification));
                }
                Effect::AppendWake { stream, event } => {
                    let mut message = wake_event_body(&event);
                    message.push(b',');
                    let name = namespace.qualify(stream.as_bytes());
                    if let Err(failure) = shard.append_message(now, &name, &message) {
                        let code = failure.code.as_str();
                        tracing::warn!(
                            code,
                            "a wake event was not appended; the lease's end repeats it"
                        );
                    }
                }
                Effect::Persist { .. } | Effect::Forget { .. } | Effect::Backfill(_) => {}
            }
        }
        replies
    }

    /// Goes on with the first backfill.
    fn walk<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) {
        let Some(walk) = self.walks.front_mut() else {
            return;
        };
        let number = walk.number;
        let namespace = walk.namespace.clone();
        let mut found = Vec::new();
        if walk.at == 0 {
            for path in std::mem::take(&mut walk.streams) {
                let tail = shard.tail(now, &namespace.qualify(path.as_bytes()));
                found.push((path, tail));
            }
            if walk.pattern.is_some() {
                walk.rooms = shard.room_ids();
            }
        }
        let end = walk.rooms.len().min(walk.at + WALK_STEP);
        for room in &walk.rooms[walk.at..end] {
            let Some((name, tail)) = shard.name_and_tail(*room) else {
                continue;
            };
            let (owner, path) = Namespace::split(&name);
            let Some(path) = std::str::from_utf8(path)
                .ok()
                .filter(|_| owner == namespace.as_str())
            else {
                continue;
            };
            let pattern = walk.pattern.as_ref();
            if pattern.is_some_and(|pattern| pattern.matches(path)) {
                found.push((path.into(), Some(tail)));
            }
        }
        walk.at = end;
        let done = walk.at == walk.rooms.len();
        let space = self.spaces.get(&namespace);
        if done || space.is_none_or(|space| !space.machine.is_backfilling(number)) {
            self.walks.pop_front();
        }
        self.handle(
            now,
            &namespace,
            Input::Found {
                backfill: number,
                streams: found,
                done,
            },
        );
    }
}

impl std::fmt::Debug for SubscriptionHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubscriptionHost")
            .field("namespaces", &self.spaces.len())
            .finish_non_exhaustive()
    }
}

fn room_of(namespace: &Namespace, id: &str) -> Vec<u8> {
    [&*namespace.qualify(LIST), b"/", id.as_bytes()].concat()
}

fn list_ids<D: Disk>(
    shard: &mut Shard<D>,
    now: Millis,
    namespace: &Namespace,
    ids: &BTreeSet<Arc<str>>,
) -> Result<(), Failure> {
    let mut list = Vec::new();
    for id in ids {
        list.put_bytes(id.as_bytes());
    }
    shard.set_value(now, &namespace.qualify(LIST), &list)
}

fn list_namespaces<D: Disk>(
    shard: &mut Shard<D>,
    now: Millis,
    namespaces: &BTreeSet<Namespace>,
) -> Result<(), Failure> {
    let mut list = Vec::new();
    for namespace in namespaces {
        list.put_bytes(namespace.as_str().as_bytes());
    }
    shard.set_value(now, NAMESPACES, &list)
}

fn broken(failure: Failure) -> io::Error {
    io::Error::other(failure.message)
}

fn draw(random: &SystemRandom) -> u128 {
    let mut bytes = [0; 16];
    random
        .fill(&mut bytes)
        .expect("the operating system has random bytes");
    u128::from_le_bytes(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
