//! A connection that inserts a row, and asks the replica until the row is there.

use std::rc::Rc;

use serde::Deserialize;

use crate::load::meter::Kind;
use crate::load::request::{Appends, put_filler};
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Measures from the answer to an insert to the first answer of the replica that shows it. Nothing waits
/// in the server for that, so what is asked does not hurry the replica; the time of one question is
/// what the measure is good to, and is counted, too.
pub(crate) struct LagRole {
    insert: Rc<dyn Appends>,
    /// A whole request.
    question: Rc<[u8]>,
    step: Step,
    status: u16,
    body: Vec<u8>,
    ready: bool,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// The next insert is due.
    Resting {
        until_ns: u64,
    },
    Inserting,
    Asking {
        /// What the replica is to have.
        seq: u64,
        acknowledged_ns: u64,
        asked_ns: u64,
    },
}

/// What both answers say.
#[derive(Deserialize)]
struct Answer<'a> {
    seq: u64,
    #[serde(borrow)]
    source: Option<&'a str>,
}

/// Longest rest before an insert: as long as it happens to be, so that inserts do not keep step with
/// the replica's batches.
const REST_NS_MAX: u64 = 50_000_000;
/// Bytes of an answer that are looked at.
const BODY_BYTES_MAX: usize = 64 << 10;

impl LagRole {
    pub(crate) fn new(insert: &Rc<dyn Appends>, question: &Rc<[u8]>) -> Self {
        Self {
            insert: Rc::clone(insert),
            question: Rc::clone(question),
            step: Step::Resting { until_ns: 0 },
            status: 0,
            body: Vec::new(),
            ready: false,
        }
    }

    fn begin(&mut self, io: &mut Io<'_>) {
        let Step::Resting { until_ns } = self.step else {
            return;
        };
        if io.shared.now_ns() >= until_ns && io.shared.take_operation() {
            self.step = Step::Inserting;
            self.insert.put(io.out, 0, &mut put_filler);
        }
    }

    fn ask(&mut self, io: &mut Io<'_>, seq: u64, acknowledged_ns: u64) {
        self.step = Step::Asking {
            seq,
            acknowledged_ns,
            asked_ns: io.shared.now_ns(),
        };
        io.out.extend_from_slice(&self.question);
    }

    fn rest(&mut self, io: &mut Io<'_>) {
        io.shared.in_flight -= 1;
        io.shared.completed += 1;
        let until_ns = io.shared.now_ns() + fastrand::u64(..REST_NS_MAX);
        self.step = Step::Resting { until_ns };
        io.wake_at(until_ns);
    }
}

impl Role for LagRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        self.begin(io);
    }

    fn handle_start(&mut self, io: &mut Io<'_>) {
        self.begin(io);
    }

    fn handle_wake(&mut self, io: &mut Io<'_>) {
        self.begin(io);
    }

    fn handle_head(&mut self, _: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        self.body.clear();
    }

    fn handle_body(&mut self, _: &mut Io<'_>, body: &[u8]) {
        let space = BODY_BYTES_MAX - self.body.len();
        self.body.extend_from_slice(&body[..body.len().min(space)]);
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        let answer = serde_json::from_slice::<Answer<'_>>(&self.body);
        let now_ns = io.shared.now_ns();
        match (self.step, answer) {
            (Step::Resting { .. }, _) => io.shared.note_error("answer without a request"),
            (_, _) if self.status != 200 => {
                io.shared.note_status("replica_lag", self.status);
                self.rest(io);
            }
            (_, Err(_)) => {
                io.shared.note_error("replica_lag answered something else");
                self.rest(io);
            }
            (Step::Inserting, Ok(answer)) => {
                let seq = answer.seq;
                self.ask(io, seq, now_ns);
            }
            (Step::Asking { .. }, Ok(answer)) if answer.source != Some("replica") => {
                io.shared.note_error("the room answered for the replica");
                self.rest(io);
            }
            (
                Step::Asking {
                    seq,
                    acknowledged_ns,
                    asked_ns,
                },
                Ok(answer),
            ) => {
                io.shared.note(Kind::Query, now_ns - asked_ns, 0, 0);
                if answer.seq >= seq {
                    io.shared
                        .note(Kind::ReplicaLag, now_ns - acknowledged_ns, 0, 0);
                    self.rest(io);
                } else if io.shared.running {
                    self.ask(io, seq, acknowledged_ns);
                } else {
                    self.rest(io);
                }
            }
        }
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        if !matches!(self.step, Step::Resting { .. }) {
            io.shared.note_error("replica_lag lost with its connection");
            self.rest(io);
        }
        io.shared.reconnects += 1;
        After::Reconnect
    }
}
