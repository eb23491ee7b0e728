//! The end of a namespace that is marked: all that lies in it goes, a few rooms at a time.
//!
//! Nothing of it is written down but the mark: after a start it begins again with what is left. The
//! log keeps the order, so a namespace that is forgotten has no room left.

use floe_log::{Disk, Lsn};
use floe_proto::{Millis, Namespace, RoomId};

use crate::shard::{Failure, REGISTRY, Shard};

/// A namespace on its way out.
#[derive(Debug)]
pub(super) struct Clearing {
    namespace: Namespace,
    state: State,
    /// End of what was staged for it last. The next rooms go once that is durable, so that one
    /// batch is under way at a time.
    staged_until: Lsn,
    /// Time before which it is not tried again, after the log had no space.
    retry_at: Millis,
    view_mark: Option<u64>,
}

#[derive(Debug)]
enum State {
    /// Nothing has gone yet.
    Marked,
    /// Its rooms go.
    Rooms(Pass),
    /// Nothing is left of it.
    Cleared,
}

/// What came of a step of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The pass goes on.
    Within,
    /// Another begins.
    Again,
    /// None is left to look at.
    Over,
}

/// One look at all rooms that may be the namespace's.
#[derive(Debug)]
struct Pass {
    rooms: Vec<RoomId>,
    at: usize,
    /// The newest room that was ever looked at.
    seen: Option<RoomId>,
    /// Rooms that are kept for their forks, which go as well.
    left: Vec<RoomId>,
    removed: usize,
}

/// A namespace of which nothing is left in the log.
#[derive(Debug)]
pub struct Cleared<'a> {
    /// Which.
    pub namespace: &'a Namespace,
    /// The mark by which it is known whether the view has forgotten it, too.
    pub view_mark: &'a mut Option<u64>,
}

/// Rooms looked at in one turn.
const LOOK_STEP: usize = 256;
/// Rooms deleted in one turn.
const REMOVE_STEP: usize = 128;
/// Milliseconds between two passes.
const AGAIN_MS: u64 = 10;
/// Milliseconds until it is tried again when the log had no space.
const RETRY_MS: u64 = 1_000;

impl Clearing {
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            state: State::Marked,
            staged_until: Lsn::default(),
            retry_at: Millis(0),
            view_mark: None,
        }
    }

    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns whether [`turn`](Self::turn) has something to do before anything else happens.
    pub fn is_busy(&self, durable: Lsn, now: Millis) -> bool {
        !matches!(self.state, State::Cleared)
            && self.staged_until <= durable
            && self.retry_at <= now
    }

    /// Goes on; returns the namespace once nothing of it is left, durably so.
    pub fn turn<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        forget_subscriptions: impl FnOnce(&mut Shard<D>, &Namespace) -> Result<(), Failure>,
    ) -> Option<Cleared<'_>> {
        if self.staged_until > shard.durable() || self.retry_at > now {
            return None;
        }
        let gone = match &mut self.state {
            State::Marked => {
                let registry = self.namespace.qualify(REGISTRY);
                // Without a registry nobody is told of each room that goes.
                let begun = forget_subscriptions(shard, &self.namespace)
                    .and_then(|()| shard.forget_value(now, &registry));
                begun.map(|()| self.state = State::Rooms(Pass::new(shard.room_ids())))
            }
            State::Rooms(pass) => {
                pass.step(shard, now, self.namespace.as_str())
                    .map(|step| match step {
                        Step::Within => {}
                        Step::Again => self.retry_at = now.plus(AGAIN_MS),
                        Step::Over => self.state = State::Cleared,
                    })
            }
            State::Cleared => {
                return Some(Cleared {
                    namespace: &self.namespace,
                    view_mark: &mut self.view_mark,
                });
            }
        };
        self.staged_until = shard.staged();
        if let Err(failure) = gone {
            let (code, namespace) = (failure.code.as_str(), &self.namespace);
            tracing::warn!(code, %namespace, "the deletion of a namespace waits");
            self.retry_at = now.plus(RETRY_MS);
        }
        None
    }
}

impl Pass {
    fn new(rooms: Vec<RoomId>) -> Self {
        Self {
            rooms,
            at: 0,
            seen: None,
            left: Vec::new(),
            removed: 0,
        }
    }

    /// Looks at some rooms, and deletes those of the namespace.
    fn step<D: Disk>(
        &mut self,
        shard: &mut Shard<D>,
        now: Millis,
        namespace: &str,
    ) -> Result<Step, Failure> {
        let removed_before = self.removed;
        for _ in 0..LOOK_STEP {
            let Some(room) = self.rooms.get(self.at).copied() else {
                return Ok(self.next_pass(shard, namespace));
            };
            if self.removed - removed_before >= REMOVE_STEP {
                return Ok(Step::Within);
            }
            if shard.lies_in(room, namespace) {
                shard.end_room(now, room)?;
                self.removed += 1;
                if shard.has_room(room) {
                    self.left.push(room);
                }
            }
            self.seen = self.seen.max(Some(room));
            self.at += 1;
        }
        Ok(Step::Within)
    }

    /// Begins to look at what was left and what has come meanwhile, if there is any.
    ///
    /// Others make rooms all the while; theirs keep nothing from its end.
    fn next_pass<D: Disk>(&mut self, shard: &Shard<D>, namespace: &str) -> Step {
        let mut newer = shard.room_ids();
        newer.retain(|room| Some(*room) > self.seen);
        self.seen = self.seen.max(newer.last().copied());
        newer.retain(|room| shard.lies_in(*room, namespace));
        let left = std::mem::take(&mut self.left).into_iter();
        let left = left.filter(|room| shard.has_room(*room));
        self.rooms = left.chain(newer).collect();
        self.at = 0;
        match self.rooms.is_empty() {
            true => Step::Over,
            false => Step::Again,
        }
    }
}
