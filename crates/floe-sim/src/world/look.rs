//! Reads and readers that wait.

use std::collections::VecDeque;

use floe_core::{Edge, Start};
use floe_proto::Millis;
use floe_server::shard::{Failure, Fetched, SlotId, Ticket};

use super::{End, Violation, World, is_disk_failure};
use crate::disk::StepFile;
use crate::draw::NAMES;
use crate::model::{Life, Op};

/// A client that follows a stream.
#[derive(Debug, Clone)]
pub struct Reader {
    /// The stream.
    pub uid: u64,
    /// Its name.
    pub name: String,
    /// The unit that comes next.
    pub next: u64,
    slot: SlotId,
    /// Whether one answer is enough, as for a long-poll.
    once: bool,
}

/// One pass over the readers of a stream that moved.
#[derive(Debug)]
pub struct Pass {
    slot: SlotId,
    edge: Edge,
    /// Those whose turn has not come.
    readers: VecDeque<Ticket>,
    stay: Vec<Ticket>,
}

/// What a server says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is there.
    There,
    /// It was deleted and is kept for its forks.
    Kept,
    /// It is not there.
    Absent,
}

impl World {
    /// Finds out whether a stream is there where the model cannot know.
    ///
    /// Returns false when the server cannot say for want of space.
    pub(super) fn settle(&mut self, name: &str) -> Result<bool, End> {
        let Some((uid, stream)) = self.truth.staged().find(name) else {
            return Ok(true);
        };
        let (model, now) = (self.truth.staged(), self.now);
        if !model.may_be_gone(uid, now) && !stream.may_be_over(now) {
            return Ok(true);
        }
        let sight = match self.shard().describe(Millis(now), name.as_bytes()) {
            Ok(_) => Sight::There,
            Err(failure) => match failure.code.as_str() {
                "GONE" => Sight::Kept,
                "NOT_FOUND" => Sight::Absent,
                _ if is_disk_failure(&failure) && self.faulty => {
                    return Err(self.blame(&format!("{name} cannot expire: {failure:?}")));
                }
                _ if is_disk_failure(&failure) && self.may_lack_space() => return Ok(false),
                _ => return Err(End::Violation(format!("{name}: {failure:?}"))),
            },
        };
        self.trace.note(format!("{name} may be over: {sight:?}"));
        let model = self.truth.staged();
        let stream = &model.streams[&uid];
        let unborn = stream.edges[0].0 > self.truth.floor();
        if sight == Sight::Absent && unborn && !model.forks(uid).is_empty() {
            // Whether it is gone, or kept for its forks, shows once its create is durable.
            return Ok(false);
        }
        let soft = stream.soft_deleted;
        match sight {
            Sight::There if model.may_be_there(uid, now) => {}
            Sight::Kept if soft => {}
            Sight::Kept if model.may_be_kept(uid, now) => self.truth.fate(Op::Delete { uid }),
            Sight::Absent if model.may_be_gone(uid, now) => self.truth.fate(Op::Vanish { uid }),
            Sight::There | Sight::Kept | Sight::Absent => {
                return Err(End::Violation(format!("{name} cannot be {sight:?}")));
            }
        }
        Ok(true)
    }

    /// Reads a stream somewhere, and perhaps stays to follow it.
    pub(super) fn read(&mut self) -> Result<(), End> {
        let stray = match self.rng.chance(1, 2) {
            true => self.strays.pop(),
            false => None,
        };
        let name = match &stray {
            Some(reader) => reader.name.clone(),
            None => NAMES[self.rng.below(NAMES.len() as u64) as usize].to_owned(),
        };
        if !self.settle(&name)? {
            return Ok(());
        }
        let found = self.truth.staged().find(&name);
        let start = match (&stray, found) {
            (Some(reader), Some((uid, _))) if reader.uid == uid => Start::At(reader.next),
            (_, found) => {
                let tail = found.map_or(0, |(_, stream)| stream.tail());
                match self.rng.below(4) {
                    0 => Start::Now,
                    1 => Start::Oldest,
                    _ => Start::At(self.rng.below(tail + 2)),
                }
            }
        };
        self.read_at(&name, start)
    }

    pub(super) fn read_at(&mut self, name: &str, start: Start) -> Result<(), End> {
        self.trace.note(format!("read {name} from {start:?}"));
        let now = self.now();
        let plan = match self.shard().plan_read(now, name.as_bytes(), start) {
            Ok(plan) => plan,
            Err(failure) => {
                if self.refused(name, start, &failure)? {
                    self.tell_refusal(name, failure);
                }
                return Ok(());
            }
        };
        self.count("read");
        let (from, edge) = (plan.span.from, plan.span.edge);
        let Some((uid, stream)) = self.truth.staged().find(name) else {
            return Err(format!("{name} is served though it is not there").into());
        };
        if stream.soft_deleted {
            return Err(format!("{name} is served though it is deleted").into());
        }
        let touch = match stream.life {
            Life::Ttl(seconds) => {
                let late = if self.tight {
                    u64::MAX
                } else {
                    (seconds * 125).max(250)
                };
                let surely = self.now.saturating_sub(late);
                Some(Op::Touch {
                    uid,
                    now: self.now,
                    surely,
                })
            }
            Life::Forever | Life::Until(_) => None,
        };
        let wanted = match start {
            Start::Oldest => 0,
            Start::Now => edge.tail,
            Start::At(at) => at,
        };
        if from != wanted || from > edge.tail {
            return Err(format!("a read of {name} from {start:?} begins at {from}").into());
        }
        self.seen(uid, edge)?;
        if let Some(touch) = touch {
            self.truth.fate(touch);
        }
        let next = self.fetch_some(uid, plan.slot, from)?;
        let follows = self.rng.chance(1, 2);
        let once = self.rng.chance(1, 2);
        if follows && !(edge.closed && next == edge.tail) && (!once || next == edge.tail) {
            // An event stream begins where it is asked to; a long-poll only waits at the tail.
            let ticket = self.ticket();
            self.trace
                .note(format!("{ticket} follows {name} from {next}"));
            let reader = Reader {
                uid,
                name: name.to_owned(),
                next,
                slot: plan.slot,
                once,
            };
            self.shard().add_reader(plan.slot, Ticket(ticket));
            self.readers.insert(ticket, reader);
            if !once {
                self.follow(ticket)?;
            }
        }
        Ok(())
    }

    /// Checks a read that was refused; returns whether that tells of the stream's end.
    fn refused(&mut self, name: &str, start: Start, failure: &Failure) -> Result<bool, Violation> {
        let code = failure.code.as_str();
        let floor = self.truth.floor();
        let found = self.truth.staged().find(name).map(|(_, stream)| stream);
        self.trace.note(format!("the read is refused: {code}"));
        match (code, found) {
            ("NOT_FOUND", None) => Ok(true),
            // It is not there before its create is durable.
            ("NOT_FOUND", Some(stream)) if stream.edges[0].0 > floor => Ok(false),
            ("NOT_FOUND", Some(_)) => Err(format!("{name} is not found though it was there")),
            ("GONE", Some(stream)) if stream.soft_deleted => Ok(true),
            // What is left of it goes when there is space.
            ("DISK_FULL" | "OVERLOADED", None) if self.may_lack_space() => Ok(false),
            ("INVALID_OFFSET", Some(stream)) => {
                let shown = stream.edges.iter().rev().find(|(at, ..)| *at <= floor);
                let tail = shown.map_or(0, |(_, tail, _)| *tail);
                match start {
                    Start::At(at) if at > tail && !stream.soft_deleted => Ok(false),
                    Start::Oldest | Start::Now | Start::At(_) => Err(format!(
                        "{name} has no {start:?}, though it was shown to {tail}"
                    )),
                }
            }
            _ => Err(format!(
                "a read of {name} from {start:?} fails: {failure:?}"
            )),
        }
    }

    /// Notes that somebody saw how far a stream reaches.
    fn seen(&mut self, uid: u64, edge: Edge) -> Result<(), Violation> {
        let floor = self.truth.floor();
        let stream = self.truth.stream(uid);
        let like =
            |(_, tail, closed): &&(u64, u64, bool)| (*tail, *closed) == (edge.tail, edge.closed);
        let Some((at, ..)) = stream.edges.iter().find(like) else {
            let edges = &stream.edges;
            return Err(format!(
                "{} is shown to {edge:?}, never in {edges:?}",
                stream.name
            ));
        };
        let shown = stream.edges.iter().rev().find(|(at, ..)| *at <= floor);
        if let Some((_, tail, closed)) = shown
            && (edge.tail < *tail || (*closed && !edge.closed))
        {
            return Err(format!(
                "{} is shown to {edge:?}, after {tail}",
                stream.name
            ));
        }
        let at = *at;
        self.truth.require(at);
        Ok(())
    }

    /// Reads one piece and compares it.
    fn fetch_some(&mut self, uid: u64, slot: SlotId, from: u64) -> Result<u64, End> {
        let bytes_max = [1, 10, 500, 1 << 20][self.rng.below(4) as usize];
        let tail = self.shard().room(slot).visible().tail;
        let fetched = match self.shard().fetch(slot, from, bytes_max) {
            Ok(fetched) => fetched,
            Err(failure) if failure.cold.is_some() => {
                self.fetch_cold(&failure)?;
                return Ok(from);
            }
            // Fetched blocks are files, which a disk without power does not open.
            Err(failure) if self.disk.sim.is_dead() && failure.code.as_str() == "INTERNAL" => {
                return Err(self.blame("a file of the cache is not opened"));
            }
            Err(failure) => {
                let name = &self.truth.stream(uid).name;
                let expected = matches!(failure.code.as_str(), "NOT_FOUND" | "GONE");
                if expected && self.may_have_ended(uid) {
                    return Ok(from);
                }
                return Err(format!("{name} cannot be read from {from}: {failure:?}").into());
            }
        };
        Ok(self.compare(uid, from, tail, bytes_max, &fetched)?)
    }

    fn compare(
        &mut self,
        uid: u64,
        from: u64,
        tail: u64,
        bytes_max: usize,
        fetched: &Fetched<StepFile>,
    ) -> Result<u64, Violation> {
        let stream = self.truth.stream(uid);
        let (name, next) = (&stream.name, fetched.next);
        let bytes = fetched
            .to_vec()
            .map_err(|error| format!("{name}: {error}"))?;
        if next > tail || next < from || (next == from && from < tail) {
            return Err(format!(
                "a read of {name} from {from} to {tail} ends at {next}"
            ));
        }
        let len = bytes.len();
        // It may go over by the last unit, where data of a fork follows upon inherited data.
        if next > from + 1 && stream.content.slice(from, next - 1).len() > bytes_max {
            return Err(format!("a read of {name} gives {len} of {bytes_max} bytes"));
        }
        let wanted = stream.content.slice(from, next);
        if bytes != wanted {
            let (bytes, wanted) = (show(&bytes), show(wanted));
            return Err(format!(
                "{name} from {from} to {next} holds {bytes}, not {wanted}"
            ));
        }
        self.trace.mix(&bytes);
        Ok(next)
    }

    /// Serves readers of the streams that moved: all of them, or some now and others later.
    pub(super) fn deliver(&mut self, all: bool) -> Result<(), End> {
        while all || self.rng.chance(4, 5) {
            while let Some((slot, readers)) = self.shard().poll_advanced() {
                let edge = self.shard().room(slot).visible();
                self.trace
                    .note(format!("{slot:?} moved to {edge:?}: {readers:?}"));
                self.passes.push_back(Pass {
                    slot,
                    edge,
                    readers: readers.into(),
                    stay: Vec::new(),
                });
            }
            let Some(mut pass) = self.passes.pop_front() else {
                return Ok(());
            };
            if let Some(reader) = pass.readers.pop_front() {
                let stays = match self.shard().is_gone(pass.slot) {
                    true => self.end(reader.0)?,
                    false => self.follow(reader.0)?,
                };
                if stays {
                    pass.stay.push(reader);
                }
                self.passes.push_back(pass);
            } else {
                self.shard().give_back(pass.slot, pass.stay, pass.edge);
            }
        }
        Ok(())
    }

    /// Serves a reader all that is visible; returns whether it stays.
    fn follow(&mut self, ticket: u64) -> Result<bool, End> {
        // It may have left before its turn came.
        let Some(reader) = self.readers.get(&ticket).cloned() else {
            return Ok(false);
        };
        let edge = self.shard().room(reader.slot).visible();
        self.seen(reader.uid, edge)?;
        let mut next = reader.next;
        while next < edge.tail {
            let after = self.fetch_some(reader.uid, reader.slot, next)?;
            if after == next {
                self.unpark(ticket);
                return Ok(false);
            }
            next = after;
            self.count("followed");
        }
        let moved = next > reader.next;
        if let Some(reader) = self.readers.get_mut(&ticket) {
            reader.next = next;
        }
        let ends = edge.closed || (reader.once && moved);
        if ends {
            self.unpark(ticket);
        }
        Ok(!ends)
    }

    /// Tells a reader that its stream is gone.
    fn end(&mut self, ticket: u64) -> Result<bool, End> {
        // It may have left before its turn came.
        let Some(reader) = self.readers.get(&ticket).cloned() else {
            return Ok(false);
        };
        self.unpark(ticket);
        if let Some(ended) = self.truth.ended(reader.uid) {
            self.truth.require(ended);
        } else if let Some(stream) = self.truth.staged().streams.get(&reader.uid)
            && !stream.may_be_over(self.now)
        {
            return Err(format!("{} is gone for {ticket} only", reader.name).into());
        }
        Ok(false)
    }

    fn unpark(&mut self, ticket: u64) {
        if let Some(reader) = self.readers.remove(&ticket) {
            self.shard().remove_reader(reader.slot, Ticket(ticket));
        }
    }

    /// Lets a reader give up.
    pub(super) fn leave(&mut self) {
        let tickets: Vec<u64> = self.readers.keys().copied().collect();
        if !tickets.is_empty() {
            let ticket = tickets[self.rng.below(tickets.len() as u64) as usize];
            self.trace.note(format!("{ticket} leaves"));
            self.unpark(ticket);
        }
    }

    /// Makes sure that no reader waits for what is there.
    pub(super) fn check_readers(&self) -> Result<(), Violation> {
        for (ticket, reader) in &self.readers {
            let stream = self.truth.stream(reader.uid);
            let there = self.truth.staged().streams.contains_key(&reader.uid);
            if !there || stream.soft_deleted {
                return Err(format!("{ticket} follows {}, which is gone", reader.name));
            }
            if reader.next < stream.tail() || stream.closed {
                let (tail, next) = (stream.tail(), reader.next);
                return Err(format!(
                    "{ticket} waits at {next} of {}, at {tail}",
                    reader.name
                ));
            }
        }
        Ok(())
    }

    /// Returns whether a stream was deleted, durably or not, or its life may be over.
    fn may_have_ended(&self, uid: u64) -> bool {
        let stream = self.truth.staged().streams.get(&uid);
        stream.is_none_or(|stream| stream.soft_deleted || stream.may_be_over(self.now))
    }
}

fn show(bytes: &[u8]) -> String {
    let short = &bytes[..bytes.len().min(80)];
    format!("{} bytes {:?}", bytes.len(), String::from_utf8_lossy(short))
}
