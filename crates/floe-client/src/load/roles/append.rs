//! A connection that appends, back to back or at a pace.

use std::collections::VecDeque;
use std::rc::Rc;

use super::pace::Pace;
use crate::load::record::Record;
use crate::load::request::{Appends, put_filler};
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Appends to one stream after the other.
pub(crate) struct AppendRole {
    appends: Rc<dyn Appends>,
    streams: Streams,
    /// Number of the first stream.
    first: u64,
    pipeline: usize,
    pace: Option<Pace>,
    /// Number among the writers whose messages readers check.
    writer: Option<u16>,
    sequence: u64,
    sent_ns: VecDeque<u64>,
    status: u16,
    ready: bool,
}

impl AppendRole {
    pub(crate) fn new(appends: &Rc<dyn Appends>, streams: Streams, pipeline: usize) -> Self {
        Self {
            appends: Rc::clone(appends),
            streams,
            first: 0,
            pipeline,
            pace: None,
            writer: None,
            sequence: 0,
            sent_ns: VecDeque::with_capacity(pipeline),
            status: 0,
            ready: false,
        }
    }

    /// Makes every message a record of writer `writer`.
    pub(crate) fn with_records(mut self, writer: u16) -> Self {
        self.writer = Some(writer);
        self
    }

    /// Counts the streams from `first` on.
    pub(crate) fn with_first_stream(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// Begins an append only when it is due.
    pub(crate) fn with_pace(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    fn send_what_may(&mut self, io: &mut Io<'_>) {
        while self.sent_ns.len() < self.pipeline {
            let now_ns = io.shared.now_ns();
            if let Some(pace) = &mut self.pace
                && !pace.take_due(now_ns)
            {
                let due_ns = pace.due_ns();
                if io.shared.running && self.sent_ns.is_empty() {
                    io.wake_at(due_ns);
                }
                return;
            }
            if !io.shared.take_operation() {
                return;
            }
            self.send(io, now_ns);
        }
    }

    fn send(&mut self, io: &mut Io<'_>, now_ns: u64) {
        self.sent_ns.push_back(now_ns);
        let stream = self.first + self.streams.next();
        let Some(writer) = self.writer else {
            return self.appends.put(io.out, stream, &mut put_filler);
        };
        let sequence = &mut self.sequence;
        self.appends.put(io.out, stream, &mut |out, bytes| {
            let record = Record {
                writer,
                sequence: *sequence,
                sent_ns: now_ns,
            };
            record.put(out, bytes);
            *sequence += 1;
        });
    }
}

impl Role for AppendRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        if io.shared.running {
            self.send_what_may(io);
        }
    }

    fn handle_start(&mut self, io: &mut Io<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.start(io.shared.now_ns());
        }
        self.send_what_may(io);
    }

    fn handle_wake(&mut self, io: &mut Io<'_>) {
        self.send_what_may(io);
    }

    fn handle_head(&mut self, _: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        let Some(sent_ns) = self.sent_ns.pop_front() else {
            return io.shared.note_error("answer without a request");
        };
        io.shared.in_flight -= 1;
        io.shared.completed += 1;
        if matches!(self.status, 200 | 201 | 204) {
            let latency_ns = io.shared.now_ns() - sent_ns;
            let (messages, bytes) = (self.appends.messages(), self.appends.body_bytes());
            io.shared
                .note(self.appends.kind(), latency_ns, messages, bytes);
            if let Some(writer) = self.writer {
                io.shared.written[usize::from(writer)] += messages;
            }
        } else {
            let what = self.appends.kind().as_str();
            io.shared.note_status(what, self.status);
        }
        self.send_what_may(io);
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        let lost = self.sent_ns.len();
        self.sent_ns.clear();
        io.shared.in_flight -= lost;
        for _ in 0..lost {
            io.shared.note_error("append lost with its connection");
        }
        io.shared.reconnects += 1;
        After::Reconnect
    }
}

/// Which stream is next.
#[derive(Debug, Clone)]
pub(crate) enum Streams {
    /// In turn, in steps, so that connections do not meet on one stream.
    Turn {
        /// The next stream.
        next: u64,
        /// How far to go from there.
        step: u64,
        /// How many there are.
        count: u64,
    },
    /// Any, at random.
    Random {
        /// Where chance comes from.
        random: fastrand::Rng,
        /// How many there are.
        count: u64,
    },
}

impl Streams {
    fn next(&mut self) -> u64 {
        match self {
            Self::Turn { next, step, count } => {
                let stream = *next % *count;
                *next = (stream + *step) % *count;
                stream
            }
            Self::Random { random, count } => random.u64(..*count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_in_turn_touch_every_stream() {
        let mut seen = vec![0; 7];
        for connection in 0..3 {
            let mut streams = Streams::Turn {
                next: connection,
                step: 3,
                count: 7,
            };
            for _ in 0..7 {
                seen[streams.next() as usize] += 1;
            }
        }
        assert_eq!(seen, [3; 7]);
    }
}
