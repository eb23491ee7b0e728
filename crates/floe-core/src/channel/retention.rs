//! How much of a channel is kept, decided from a few marks along its log.

use std::collections::VecDeque;

use floe_proto::codec::{Put, Reader};
use floe_proto::{Millis, Retention};

use crate::record::Record;
use crate::room::{Room, Size};

/// Time between two steps of a channel's retention: under a stream of events it goes on in steps
/// and not with each.
pub const RETAIN_INTERVAL_MS: u64 = 1_000;

/// A place in a room's log, between two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// Units before it.
    unit: u64,
    /// Bytes before it.
    bytes: u64,
    /// When the newest unit before it was taken.
    time: Millis,
}

/// Marks along the log of a room.
///
/// Between two marks lies about a [`STEPS`]th of what is kept, so that is how much more may be
/// kept than was promised. Less never is: a mark stands for what lies before it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The newest mark at or before the first unit that is kept.
    base: Mark,
    /// Ascending.
    marks: VecDeque<Mark>,
    /// The room's tail.
    end: Mark,
    /// When the room's start moved last.
    retained_at: Millis,
}

/// Marks in the length of each bound; two may come of a step.
const STEPS: u64 = 12;
/// Marks that are kept; at the bound every other one is forgotten.
const MARKS_MAX: usize = 64;
/// Bytes between two marks at least, where no bound says how far they should be apart.
const UNBOUNDED_STEP_BYTES: u64 = 64 * 1024;

impl Marks {
    pub const fn new(created_at: Millis) -> Self {
        let start = Mark {
            unit: 0,
            bytes: 0,
            time: created_at,
        };
        Self {
            base: start,
            marks: VecDeque::new(),
            end: start,
            retained_at: Millis(0),
        }
    }

    /// Stands for a stream that has been there for a while.
    pub const fn of_stream(start: u64, tail: u64, now: Millis) -> Self {
        let base = Mark {
            unit: start,
            bytes: 0,
            time: now,
        };
        let end = Mark { unit: tail, ..base };
        Self {
            base,
            marks: VecDeque::new(),
            end,
            retained_at: Millis(0),
        }
    }

    /// Notes what was appended, with a mark before it if the last one lies far enough back.
    pub fn take(&mut self, size: Size, now: Millis, retention: Retention) {
        let end = Mark {
            unit: self.end.unit.saturating_add(size.units),
            bytes: self.end.bytes.saturating_add(size.bytes),
            time: self.end.time.max(now),
        };
        let last = self.last();
        let is_far = match (retention.max_age_ms, retention.max_bytes) {
            (None, None) => {
                let span = self.end.bytes - self.base.bytes;
                end.bytes - last.bytes > (span / STEPS).max(UNBOUNDED_STEP_BYTES)
            }
            (age, bytes) => {
                age.is_some_and(|age| end.time.since(last.time) >= age / STEPS)
                    || bytes.is_some_and(|bytes| end.bytes - last.bytes > bytes / STEPS)
            }
        };
        if is_far {
            self.mark();
        }
        self.end = end;
    }

    /// Makes a mark at the tail, unless there is one.
    pub fn mark(&mut self) {
        if self.end.unit == self.last().unit {
            return;
        }
        self.marks.push_back(self.end);
        if self.marks.len() > MARKS_MAX {
            let mut at = 0;
            self.marks.retain(|_| {
                at += 1;
                at % 2 == 0
            });
        }
    }

    pub fn forget_before(&mut self, start: u64, now: Millis) {
        while let Some(mark) = self.marks.front().filter(|mark| mark.unit <= start) {
            self.base = *mark;
            self.marks.pop_front();
        }
        if self.end.unit <= start {
            self.base = self.end;
        }
        self.retained_at = self.retained_at.max(now);
    }

    /// Bytes of what is kept, as far as marks tell.
    pub const fn kept_bytes(&self) -> u64 {
        self.end.bytes - self.base.bytes
    }

    fn last(&self) -> Mark {
        self.marks.back().copied().unwrap_or(self.base)
    }

    /// Returns the first unit that must be kept.
    fn start(&self, retention: Retention, now: Millis) -> u64 {
        self.start_by_size(retention)
            .max(self.start_by_age(retention, now))
    }

    fn start_by_age(&self, retention: Retention, now: Millis) -> u64 {
        let Some(age) = retention.max_age_ms else {
            return 0;
        };
        self.last_where(|mark| now.since(mark.time) >= age)
    }

    fn start_by_size(&self, retention: Retention) -> u64 {
        let by_events = retention
            .max_events
            .map_or(0, |events| self.end.unit.saturating_sub(events));
        let by_bytes = retention.max_bytes.map_or(0, |bytes| {
            self.last_where(|mark| self.end.bytes - mark.bytes >= bytes)
        });
        by_events.max(by_bytes)
    }

    /// Returns the unit of the last mark of which something holds that holds of all before, too.
    fn last_where(&self, holds: impl Fn(&Mark) -> bool) -> u64 {
        let marks = self.marks.iter().chain([&self.end]);
        let last = marks.take_while(|mark| holds(mark)).last();
        last.map_or(0, |mark| mark.unit)
    }

    /// Returns when the start will be due to move, from `start` on.
    fn wake_at(&self, retention: Retention, start: u64) -> Option<Millis> {
        let due = if self.start_by_size(retention) > start {
            Millis(0)
        } else {
            let age = retention.max_age_ms?;
            let mut marks = self.marks.iter().chain([&self.end]);
            marks.find(|mark| mark.unit > start)?.time.plus(age)
        };
        Some(due.max(self.retained_at.plus(RETAIN_INTERVAL_MS)))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.retained_at.0);
        out.put_varint(self.marks.len() as u64);
        let mut last = Mark {
            unit: 0,
            bytes: 0,
            time: Millis(0),
        };
        for mark in [&self.base]
            .into_iter()
            .chain(&self.marks)
            .chain([&self.end])
        {
            out.put_varint(mark.unit - last.unit);
            out.put_varint(mark.bytes - last.bytes);
            out.put_varint(mark.time.0 - last.time.0);
            last = *mark;
        }
    }

    pub fn decode(reader: &mut Reader<'_>) -> Option<Self> {
        let retained_at = Millis(reader.varint()?);
        let count = reader.varint()?;
        let mut last = Mark {
            unit: 0,
            bytes: 0,
            time: Millis(0),
        };
        let mut next = || -> Option<Mark> {
            last = Mark {
                unit: last.unit.checked_add(reader.varint()?)?,
                bytes: last.bytes.checked_add(reader.varint()?)?,
                time: Millis(last.time.0.checked_add(reader.varint()?)?),
            };
            Some(last)
        };
        let base = next()?;
        let mut marks = VecDeque::new();
        for _ in 0..count {
            marks.push_back(next()?);
        }
        Some(Self {
            base,
            marks,
            end: next()?,
            retained_at,
        })
    }
}

impl Room {
    /// Decides whether retention drops events at `now`; returns the record that moves the start.
    ///
    /// The host asks after appends and at [`wake_at`](Self::wake_at); both are cheap. Channels have a
    /// retention, and streams that were told to [keep](Record::Keep) so much. All events
    /// within each bound are kept, and of the others the most: a bound is passed by a twelfth of
    /// it, or by one append, at most.
    #[must_use]
    pub fn decide_retention(&self, now: Millis) -> Option<Record<'static>> {
        let (marks, retention) = self.marks()?;
        if marks.retained_at.plus(RETAIN_INTERVAL_MS) > now {
            return None;
        }
        // What is not durable was shown to nobody yet.
        let start = marks.start(retention, now).min(self.visible().tail);
        (start > self.start()).then_some(Record::Retain { start })
    }

    /// Returns what decides how much is kept, if there is something and the room lives.
    fn marks(&self) -> Option<(&Marks, Retention)> {
        if self.is_gone() {
            return None;
        }
        match self.channel() {
            Some(channel) => Some((&channel.marks, channel.settings.retention)),
            None => self.kept().map(|kept| (kept.marks(), kept.retention())),
        }
    }

    /// Returns the bytes that the room holds itself, of what is kept; `None` where only the log
    /// knows, as of a stream of JSON messages.
    #[must_use]
    pub fn kept_bytes(&self) -> Option<u64> {
        match self.channel() {
            Some(channel) => Some(channel.marks.kept_bytes()),
            None if self.is_json() => None,
            None => {
                let from = self.start().max(self.own_start());
                Some(self.staged().tail.saturating_sub(from))
            }
        }
    }

    /// Returns when the host must look at the room even if nobody uses it.
    ///
    /// At that moment it asks [`deadline`](Self::deadline) whether the room has ended, and
    /// [`decide_retention`](Self::decide_retention) what of it has.
    #[must_use]
    pub fn wake_at(&self) -> Option<Millis> {
        let kept = self.marks();
        let retention = kept.and_then(|(marks, retention)| marks.wake_at(retention, self.start()));
        [self.deadline(), retention].into_iter().flatten().min()
    }
}
