//! Runs the subscriptions: stores what they decide, sends what they send.
//!
//! Their state is the value of one room each, `__ds/subscriptions/<id>`; the room
//! `__ds/subscriptions` lists the ids. Nothing they decide leaves the process before it is durable.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_core::subscription::{
    Backfill, Effect, Input, Limits, Pattern, Reply, Request, Subscriptions,
};
use floe_log::{Disk, Lsn};
use floe_proto::codec::{Put as _, Reader};
use floe_proto::{Millis, RoomId};
use floe_surfaces::subscriptions::{PublicKey, wake_event_body};
use mio::Waker;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::shard::{Change, ChangeKind, Failure, Shard, Ticket};
use crate::webhook::{self, Answer, Delivery, SigningKey, WebhookSender};

/// The host's side of all subscriptions.
pub struct SubscriptionHost {
    machine: Subscriptions,
    key: Arc<SigningKey>,
    sender: WebhookSender,
    answers: Arc<Mutex<Vec<Answer>>>,
    random: SystemRandom,
    /// Ids that the list of ids has.
    ids: BTreeSet<Arc<str>>,
    /// Effects in order, from the first that could not be stored yet.
    waiting: VecDeque<Effect>,
    /// Effects that leave once the log is durable up to a position.
    held: VecDeque<(Lsn, Effect)>,
    walks: VecDeque<Walk>,
}

/// A backfill on its way through all rooms.
struct Walk {
    number: u64,
    pattern: Option<Pattern>,
    streams: Vec<Box<str>>,
    rooms: Vec<RoomId>,
    at: usize,
}

const LIST: &[u8] = b"__ds/subscriptions";
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
            in_flight_max: limits.webhooks_in_flight_max,
            timeout: Duration::from_millis(limits.webhook_timeout_ms),
            ..webhook::Limits::default()
        };
        let bounds = Limits {
            subscriptions_max: limits.subscriptions_max,
            links_max: limits.subscription_links_max,
            ..Limits::default()
        };
        let mut host = Self {
            machine: Subscriptions::new(bounds),
            sender: WebhookSender::new(Arc::clone(&key), webhooks, on_answer),
            key,
            answers,
            random: SystemRandom::new(),
            ids: BTreeSet::new(),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            walks: VecDeque::new(),
        };
        host.restore(shard, now)?;
        Ok(host)
    }

    fn restore<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> io::Result<()> {
        let list = shard.value(now, LIST).map_err(broken)?.unwrap_or_default();
        let mut reader = Reader::new(&list);
        while let Some(id) = reader.str() {
            self.ids.insert(id.into());
        }
        for id in self.ids.clone() {
            // The list is written before the value, so a crash may leave an id without one.
            let Some(value) = shard.value(now, &room_of(&id)).map_err(broken)? else {
                continue;
            };
            let random = &self.random;
            self.machine
                .restore(now, &mut || draw(random), &value)
                .map_err(|_| io::Error::other(format!("the subscription {id} does not decode")))?;
        }
        shard.note_changes(!self.machine.is_empty());
        if !self.machine.is_empty() {
            for (name, from, tail) in shard.replayed() {
                self.advance(now, &name, from, tail);
            }
        }
        self.gather();
        Ok(())
    }

    /// Returns the public half of the key that webhooks are signed with.
    pub fn public_key(&self) -> &PublicKey {
        self.key.public()
    }

    /// Returns how many subscriptions there are, and how many webhooks are out.
    pub fn counts(&self) -> (usize, usize) {
        (self.machine.len(), self.sender.in_flight())
    }

    /// Returns when [`turn`](Self::turn) wants to be called.
    pub fn poll_wake(&self, now: Millis) -> Option<Millis> {
        if self.walks.is_empty() {
            self.machine.poll_wake()
        } else {
            Some(now)
        }
    }

    /// Hands in a request; its reply comes from [`turn`](Self::turn).
    pub fn request(&mut self, now: Millis, ticket: Ticket, id: Arc<str>, request: Request) {
        self.handle(
            now,
            Input::Request {
                ticket: ticket.0,
                id,
                request,
            },
        );
    }

    /// Hands in what has become visible.
    pub fn changes(&mut self, now: Millis, changes: Vec<Change>) {
        for Change { name, kind } in changes {
            let Ok(path) = std::str::from_utf8(&name) else {
                continue;
            };
            if !self.machine.watches(path) {
                continue;
            }
            self.handle(
                now,
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
        if let Ok(path) = std::str::from_utf8(name)
            && self.machine.watches(path)
        {
            self.handle(now, Input::StreamAdvanced { path, from, tail });
        }
    }

    /// Does what can be done now; returns the replies that may leave.
    pub fn turn<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> Vec<(Ticket, Reply)> {
        let answers = std::mem::take(&mut *lock(&self.answers));
        for Answer {
            id,
            wake_id,
            generation,
            outcome,
        } in answers
        {
            self.handle(
                now,
                Input::WebhookAnswered {
                    id,
                    wake_id,
                    generation,
                    outcome,
                },
            );
        }
        if self.machine.poll_wake().is_some_and(|at| at <= now) {
            self.handle(now, Input::Wake);
        }
        self.walk(shard, now);
        self.store(shard, now);
        shard.note_changes(!self.machine.is_empty());
        self.release(shard, now)
    }

    fn handle(&mut self, now: Millis, input: Input<'_>) {
        let random = &self.random;
        self.machine.handle(now, &mut || draw(random), input);
        self.gather();
    }

    fn gather(&mut self) {
        while let Some(effect) = self.machine.poll_effect() {
            match effect {
                Effect::Backfill(Backfill {
                    number,
                    pattern,
                    streams,
                }) => {
                    self.walks.push_back(Walk {
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
                | Effect::Reply { .. } => self.waiting.push_back(effect),
            }
        }
    }

    /// Stages what must be stored, in order, until the log has no space.
    fn store<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) {
        while let Some(effect) = self.waiting.front() {
            let stored = match effect {
                Effect::Persist { id, value } => {
                    let id = Arc::clone(id);
                    let new = self.ids.insert(Arc::clone(&id));
                    let listed = if new { self.list(shard, now) } else { Ok(()) };
                    if listed.is_err() {
                        self.ids.remove(&id);
                    }
                    listed.and_then(|()| shard.set_value(now, &room_of(&id), value))
                }
                Effect::Forget { id } => {
                    let id = Arc::clone(id);
                    shard.forget_value(now, &room_of(&id)).and_then(|()| {
                        if self.ids.remove(&id) {
                            self.list(shard, now)
                        } else {
                            Ok(())
                        }
                    })
                }
                Effect::Backfill(_)
                | Effect::AppendWake { .. }
                | Effect::SendWebhook(_)
                | Effect::Reply { .. } => Ok(()),
            };
            if let Err(failure) = stored {
                let code = failure.code.as_str();
                tracing::warn!(code, "a subscription waits to be stored");
                return;
            }
            match self.waiting.pop_front() {
                None | Some(Effect::Persist { .. } | Effect::Forget { .. }) => {}
                Some(effect) => self.held.push_back((shard.staged(), effect)),
            }
        }
    }

    fn list<D: Disk>(&self, shard: &mut Shard<D>, now: Millis) -> Result<(), Failure> {
        let mut list = Vec::new();
        for id in &self.ids {
            list.put_bytes(id.as_bytes());
        }
        shard.set_value(now, LIST, &list)
    }

    /// Lets go what has become durable.
    fn release<D: Disk>(&mut self, shard: &mut Shard<D>, now: Millis) -> Vec<(Ticket, Reply)> {
        let mut replies = Vec::new();
        while self
            .held
            .front()
            .is_some_and(|(lsn, _)| *lsn <= shard.durable())
        {
            match self.held.pop_front() {
                Some((_, Effect::Reply { ticket, reply })) => replies.push((Ticket(ticket), reply)),
                Some((_, Effect::SendWebhook(notification))) => {
                    self.sender.send(Delivery::from(&notification));
                }
                Some((_, Effect::AppendWake { stream, event })) => {
                    let mut message = wake_event_body(&event);
                    message.push(b',');
                    if let Err(failure) = shard.append_message(now, stream.as_bytes(), &message) {
                        let code = failure.code.as_str();
                        tracing::warn!(
                            code,
                            "a wake event was not appended; the lease's end repeats it"
                        );
                    }
                }
                Some((_, Effect::Persist { .. } | Effect::Forget { .. } | Effect::Backfill(_)))
                | None => {}
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
        let mut found = Vec::new();
        if walk.at == 0 {
            for path in std::mem::take(&mut walk.streams) {
                let tail = shard.tail(now, path.as_bytes());
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
            let Ok(path) = String::from_utf8(name) else {
                continue;
            };
            if walk
                .pattern
                .as_ref()
                .is_some_and(|pattern| pattern.matches(&path))
            {
                found.push((path.into(), Some(tail)));
            }
        }
        walk.at = end;
        let done = walk.at == walk.rooms.len();
        if done || !self.machine.is_backfilling(number) {
            self.walks.pop_front();
        }
        self.handle(
            now,
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
            .field("ids", &self.ids)
            .finish_non_exhaustive()
    }
}

fn room_of(id: &str) -> Vec<u8> {
    [LIST, b"/", id.as_bytes()].concat()
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
