//! The write buffers of rooms with tables, as the event loop sees them: who waits for which flush,
//! and which calls wait until it is known what is written down.
//!
//! The buffers themselves are [`floe_core::buffer`]. This knows no connection and hands nothing to
//! the tables by itself: the loop does both (`reactor/tables/buffered.rs`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use floe_core::buffer::{
    BufferError, BufferLimits, BufferUsage, Buffers, Durable, Flush, FlushId, Increment,
    Incremented, Number, Update,
};
use floe_proto::{Code, Millis, RoomId};

use crate::shard::TablePlace;
use crate::tables::{Asker, Refused};

/// What is asked of a room's write buffer.
#[derive(Debug, Clone, PartialEq)]
pub enum Buffering {
    /// Take a new value of a key.
    Update {
        /// Its key.
        key: Box<str>,
        /// JSON.
        value: Box<str>,
        /// How long it may take to be written down.
        interval_ms: u64,
    },
    /// Add to the value of a key.
    Increment {
        /// Its key.
        key: Box<str>,
        /// How much.
        by: i64,
        /// How long it may take to be written down.
        interval_ms: u64,
    },
    /// Tell the newest value of a key.
    Get {
        /// Its key.
        key: Box<str>,
    },
    /// Write down what is not, of one key or all.
    Flush {
        /// Which one.
        key: Option<Box<str>>,
    },
}

/// What came of a [`Buffering`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buffered {
    /// What was asked for, or the sum where something was added; JSON.
    pub value: Option<Box<str>>,
    /// The place of the newest message of a flush, where there was something to write down.
    pub seq: Option<u64>,
}

/// Who waits, and what they are told.
pub type Told = (Asker, Result<Buffered, Refused>);

/// The write buffers of all rooms.
#[derive(Debug)]
pub struct RoomBuffers {
    buffers: Buffers,
    /// Where the rooms are that have something that is not written down; the shard keeps them.
    places: BTreeMap<RoomId, TablePlace>,
    /// Calls that wait until it is known what is written down under their key, oldest first.
    asking: BTreeMap<(RoomId, Box<str>), Asking>,
    /// The key that each question is about.
    questions: BTreeMap<u64, (RoomId, Box<str>)>,
    last_question: u64,
    /// Calls that wait, in all of `asking`.
    parked: usize,
    waits: Vec<Wait>,
}

#[derive(Debug)]
struct Asking {
    place: TablePlace,
    calls: VecDeque<(Asker, Buffering)>,
}

/// Somebody who is answered once some flushes are durable.
#[derive(Debug)]
struct Wait {
    asker: Asker,
    flushes: BTreeSet<FlushId>,
    seq: u64,
}

/// Calls that wait at a time, of all rooms.
const PARKED_MAX: usize = 10_000;

/// What to do for a call that has to wait.
#[derive(Debug, PartialEq)]
pub enum Later {
    /// Nothing: its turn will come.
    Nothing,
    /// Ask the tables what is written down under the call's key, by this number.
    Ask(u64),
    /// Hand these to the tables.
    Flush(Vec<Flush>),
    /// It is refused, or done by now.
    Told(Result<Buffered, Refused>),
}

impl Buffering {
    fn key(&self) -> Option<&str> {
        match self {
            Self::Update { key, .. } | Self::Increment { key, .. } | Self::Get { key } => Some(key),
            Self::Flush { key } => key.as_deref(),
        }
    }
}

impl RoomBuffers {
    /// Makes them empty.
    pub fn new(limits: BufferLimits, now: Millis) -> Self {
        Self {
            buffers: Buffers::new(limits, now),
            places: BTreeMap::new(),
            asking: BTreeMap::new(),
            questions: BTreeMap::new(),
            last_question: 0,
            parked: 0,
            waits: Vec::new(),
        }
    }

    /// Bounds what comes from now on.
    pub const fn set_limits(&mut self, limits: BufferLimits) {
        self.buffers.set_limits(limits);
    }

    /// Does what can be done at once; `None` of what has to [wait](Self::later).
    pub fn at_once(
        &mut self,
        place: TablePlace,
        call: &Buffering,
        now: Millis,
    ) -> Option<Result<Buffered, Refused>> {
        let room = place.id;
        if let Some(key) = call.key()
            && !self.asking.is_empty()
            && self.asking.contains_key(&(room, key.into()))
        {
            return None;
        }
        match call {
            Buffering::Flush { key } => {
                let key = key.as_deref();
                let waits = match key {
                    Some(key) => self.buffers.get(room, key).is_some(),
                    None => self.buffers.holds(room),
                };
                (!waits).then(|| Ok(Buffered::default()))
            }
            Buffering::Get { key } => {
                let value = self.buffers.get(room, key)?;
                Some(Ok(shown(key, Some(value))))
            }
            Buffering::Update { .. } | Buffering::Increment { .. } => {
                self.change(place, call, Durable::Unknown, now)
            }
        }
    }

    /// Notes who waits for a call that could not be done at once.
    pub fn later(
        &mut self,
        asker: Asker,
        place: TablePlace,
        call: Buffering,
        now: Millis,
    ) -> Later {
        if let Some(told) = self.at_once(place, &call, now) {
            return Later::Told(told);
        }
        let room = place.id;
        let Some(key) = call.key().map(Box::<str>::from) else {
            return self.wait(asker, room, None);
        };
        let is_asked = self.asking.contains_key(&(room, key.clone()));
        if !is_asked && matches!(call, Buffering::Flush { .. }) {
            return self.wait(asker, room, Some(&key));
        }
        if self.parked >= PARKED_MAX {
            let message = "too many calls wait for the room's tables";
            return Later::Told(Err(Refused::new(Code::Overloaded, message)));
        }
        self.parked += 1;
        let asking = self.asking.entry((room, key.clone()));
        let asking = asking.or_insert_with(|| Asking {
            place,
            calls: VecDeque::new(),
        });
        asking.calls.push_back((asker, call));
        if is_asked {
            return Later::Nothing;
        }
        self.last_question += 1;
        self.questions.insert(self.last_question, (room, key));
        Later::Ask(self.last_question)
    }

    /// Returns the key that a question is about.
    pub fn question(&self, number: u64) -> Option<&str> {
        Some(&self.questions.get(&number)?.1)
    }

    /// Takes what is written down under the key of a question; returns what those are told who waited
    /// for it, and what is to be flushed for others.
    pub fn learned(
        &mut self,
        number: u64,
        durable: Result<Option<Box<str>>, Refused>,
        now: Millis,
    ) -> (Vec<Told>, Vec<Flush>) {
        let (mut told, mut flushes) = (Vec::new(), Vec::new());
        let Some(of) = self.questions.remove(&number) else {
            return (told, flushes);
        };
        let Some(Asking { place, calls }) = self.asking.remove(&of) else {
            return (told, flushes);
        };
        self.parked -= calls.len();
        for (asker, call) in calls {
            let outcome = match &durable {
                Err(refused) => Err(refused.clone()),
                Ok(value) => match self.knowing(asker, place, &call, value.as_deref(), now) {
                    Ok(outcome) => outcome,
                    Err(more) => {
                        flushes.extend(more);
                        continue;
                    }
                },
            };
            told.push((asker, outcome));
        }
        (told, flushes)
    }

    /// Does a call whose key is known; else returns what is to be flushed for it.
    fn knowing(
        &mut self,
        asker: Asker,
        place: TablePlace,
        call: &Buffering,
        durable: Option<&str>,
        now: Millis,
    ) -> Result<Result<Buffered, Refused>, Vec<Flush>> {
        let known = durable.map_or(Durable::Absent, Durable::Value);
        let done = match call {
            Buffering::Get { key } => {
                let value = self.buffers.get(place.id, key).or(durable);
                Some(Ok(shown(key, value)))
            }
            Buffering::Update { .. } | Buffering::Increment { .. } => {
                self.change(place, call, known, now)
            }
            Buffering::Flush { key } => match self.wait(asker, place.id, key.as_deref()) {
                Later::Flush(flushes) => return Err(flushes),
                Later::Told(told) => Some(told),
                Later::Nothing | Later::Ask(_) => return Err(Vec::new()),
            },
        };
        Ok(done.unwrap_or_else(|| Err(Refused::new(Code::Internal, "the value is not known"))))
    }

    /// Takes an update or increment; `None` where it takes to know what is written down.
    fn change(
        &mut self,
        place: TablePlace,
        call: &Buffering,
        durable: Durable<'_>,
        now: Millis,
    ) -> Option<Result<Buffered, Refused>> {
        let room = place.id;
        let done = match call {
            Buffering::Update {
                key,
                value,
                interval_ms,
            } => {
                let update = Update {
                    key,
                    value,
                    interval_ms: Some(*interval_ms),
                };
                let updated = self.buffers.update(room, &update, now);
                updated.map(|()| Buffered::default())
            }
            Buffering::Increment {
                key,
                by,
                interval_ms,
            } => {
                let increment = Increment {
                    key,
                    by: Number::Whole(*by),
                    interval_ms: Some(*interval_ms),
                    durable,
                };
                match self.buffers.increment(room, &increment, now) {
                    Ok(Incremented::Unknown) => return None,
                    Ok(Incremented::Sum(sum)) => Ok(Buffered {
                        value: Some(sum.to_string().into()),
                        seq: None,
                    }),
                    Err(error) => Err(error),
                }
            }
            Buffering::Get { .. } | Buffering::Flush { .. } => return None,
        };
        if done.is_ok() {
            self.places.insert(room, place);
        }
        Some(done.map_err(refused))
    }

    /// Has somebody wait until all that is not written down of a room, or of one key, is.
    fn wait(&mut self, asker: Asker, room: RoomId, key: Option<&str>) -> Later {
        let flushes = self.buffers.take(room, key);
        let under_way: BTreeSet<_> = self.buffers.under_way(room, key).into_iter().collect();
        if under_way.is_empty() {
            return Later::Told(Ok(Buffered::default()));
        }
        self.waits.push(Wait {
            asker,
            flushes: under_way,
            seq: 0,
        });
        Later::Flush(flushes)
    }

    /// Takes all of a room that waits to be written down, for something that must come after it.
    pub fn take(&mut self, room: RoomId) -> Vec<Flush> {
        if self.buffers.holds(room) {
            self.buffers.take(room, None)
        } else {
            Vec::new()
        }
    }

    /// Takes what is due.
    pub fn take_due(&mut self, now: Millis) -> Vec<Flush> {
        self.buffers.take_due(now)
    }

    /// Takes everything that no flush is under way for, as before a stop.
    pub fn take_all(&mut self) -> Vec<Flush> {
        let rooms: Vec<_> = self.buffers.rooms().collect();
        let rooms = rooms.into_iter();
        let resting = rooms.filter(|room| self.buffers.under_way(*room, None).is_empty());
        let resting: Vec<_> = resting.collect();
        let flushes = resting
            .into_iter()
            .flat_map(|room| self.buffers.take(room, None));
        flushes.collect()
    }

    /// Returns when something is due.
    pub fn next_due(&self) -> Option<Millis> {
        self.buffers.next_due()
    }

    /// Takes what came of a flush, which is the seq of its last message; returns what those are told
    /// who waited for it.
    pub fn finished(
        &mut self,
        id: FlushId,
        room: RoomId,
        outcome: Result<u64, Refused>,
        now: Millis,
    ) -> Vec<Told> {
        self.buffers.finish(id, outcome.is_ok(), now);
        if let Err(refused) = &outcome
            && matches!(refused.error.code, Code::NotFound | Code::Gone)
        {
            // The room has come to its end, and so has all that it had not written down.
            self.buffers.forget(room);
        }
        let mut told = Vec::new();
        self.waits.retain_mut(|wait| {
            if !wait.flushes.remove(&id) {
                return true;
            }
            match &outcome {
                Err(refused) => {
                    told.push((wait.asker, Err(refused.clone())));
                    return false;
                }
                Ok(seq) => wait.seq = wait.seq.max(*seq),
            }
            if wait.flushes.is_empty() {
                let seq = (wait.seq > 0).then_some(wait.seq);
                told.push((wait.asker, Ok(Buffered { value: None, seq })));
            }
            !wait.flushes.is_empty()
        });
        told
    }

    /// Returns where a room is that has something that is not written down.
    pub fn place(&self, room: RoomId) -> Option<TablePlace> {
        self.places.get(&room).copied()
    }

    /// Returns where a room was, once it has nothing any more that is not written down.
    pub fn let_go(&mut self, room: RoomId) -> Option<TablePlace> {
        if self.buffers.holds(room) {
            return None;
        }
        self.places.remove(&room)
    }

    /// Drops all that a room has not written down: the room is gone.
    pub fn forget(&mut self, room: RoomId) {
        self.buffers.forget(room);
    }

    /// Whether nothing is left that is not written down.
    pub fn is_empty(&self) -> bool {
        self.buffers.usage().keys == 0
    }

    /// Returns how much there is and was.
    pub const fn usage(&self) -> BufferUsage {
        self.buffers.usage()
    }

    /// Returns the keys and bytes of a room.
    pub fn room_usage(&self, room: RoomId) -> (usize, usize) {
        self.buffers.room_usage(room)
    }
}

/// Shows the value of a key, if it has one.
fn shown(key: &str, value: Option<&str>) -> Buffered {
    let key = serde_json::Value::from(key);
    let value = value.map(|value| format!(r#"{{"key":{key},"value":{value}}}"#));
    Buffered {
        value: value.map(Into::into),
        seq: None,
    }
}

fn refused(error: BufferError) -> Refused {
    Refused::new(error.code(), error.to_string())
}
