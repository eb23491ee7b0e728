//! A connection that asks the SQL view, back to back.

use std::rc::Rc;

use crate::load::meter::Kind;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Asks one question after the other, each picked at random.
pub(crate) struct AskRole {
    /// Whole requests.
    questions: Rc<[Vec<u8>]>,
    random: fastrand::Rng,
    asked_ns: Option<u64>,
    status: u16,
    body_bytes: u64,
    ready: bool,
}

impl AskRole {
    pub(crate) fn new(questions: &Rc<[Vec<u8>]>, seed: u64) -> Self {
        Self {
            questions: Rc::clone(questions),
            random: fastrand::Rng::with_seed(seed),
            asked_ns: None,
            status: 0,
            body_bytes: 0,
            ready: false,
        }
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        if self.asked_ns.is_some() || !io.shared.asking || !io.shared.take_operation() {
            return;
        }
        self.asked_ns = Some(io.shared.now_ns());
        self.body_bytes = 0;
        if let Some(question) = self.random.choice(self.questions.iter()) {
            io.out.extend_from_slice(question);
        }
    }
}

impl Role for AskRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        self.ask(io);
    }

    fn handle_start(&mut self, io: &mut Io<'_>) {
        self.ask(io);
    }

    fn handle_head(&mut self, _: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
    }

    fn handle_body(&mut self, _: &mut Io<'_>, body: &[u8]) {
        self.body_bytes += body.len() as u64;
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        let Some(asked_ns) = self.asked_ns.take() else {
            return io.shared.note_error("answer without a request");
        };
        io.shared.in_flight -= 1;
        io.shared.completed += 1;
        if self.status == 200 {
            let took_ns = io.shared.now_ns() - asked_ns;
            io.shared.note(Kind::Query, took_ns, 0, self.body_bytes);
        } else {
            io.shared.note_status("query", self.status);
        }
        self.ask(io);
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        if self.asked_ns.take().is_some() {
            io.shared.in_flight -= 1;
            io.shared.note_error("query lost with its connection");
        }
        io.shared.reconnects += 1;
        After::Reconnect
    }
}
