//! A connection that creates or deletes streams.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::load::meter::Kind;
use crate::load::request::RequestTemplate;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// What is done to every stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manage {
    /// PUT, measured as a create.
    Create,
    /// DELETE, not measured.
    Delete,
}

/// Works through the streams `next, next + step, …` below `end`.
pub(crate) struct ManageRole {
    what: Manage,
    template: Rc<RequestTemplate>,
    next: u64,
    step: u64,
    end: u64,
    pipeline: usize,
    sent_ns: VecDeque<u64>,
    status: u16,
    ready: bool,
}

impl ManageRole {
    pub(crate) fn new(
        what: Manage,
        template: &Rc<RequestTemplate>,
        (next, step, end): (u64, u64, u64),
        pipeline: usize,
    ) -> Self {
        Self {
            what,
            template: Rc::clone(template),
            next,
            step,
            end,
            pipeline,
            sent_ns: VecDeque::with_capacity(pipeline),
            status: 0,
            ready: false,
        }
    }

    fn send_what_may(&mut self, io: &mut Io<'_>) {
        while self.sent_ns.len() < self.pipeline && self.next < self.end {
            if !io.shared.take_operation() {
                return;
            }
            self.sent_ns.push_back(io.shared.now_ns());
            self.template.put(io.out, self.next);
            self.next += self.step;
        }
    }

    fn is_done(&self) -> bool {
        match self.what {
            Manage::Create => matches!(self.status, 200 | 201),
            Manage::Delete => matches!(self.status, 204 | 404),
        }
    }
}

impl Role for ManageRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        self.send_what_may(io);
    }

    fn handle_start(&mut self, io: &mut Io<'_>) {
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
        if !self.is_done() {
            io.shared.note_status("create or delete", self.status);
        } else if self.what == Manage::Create {
            let took_ns = io.shared.now_ns() - sent_ns;
            io.shared.note(Kind::Create, took_ns, 1, 0);
        }
        self.send_what_may(io);
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        let lost = self.sent_ns.len();
        self.sent_ns.clear();
        io.shared.in_flight -= lost;
        io.shared.completed += lost as u64;
        for _ in 0..lost {
            io.shared
                .note_error("create or delete lost with its connection");
        }
        if self.next >= self.end {
            return After::Stop;
        }
        io.shared.reconnects += 1;
        After::Reconnect
    }
}
