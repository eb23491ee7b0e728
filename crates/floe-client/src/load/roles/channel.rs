//! A connection that makes or deletes channels.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::load::channels::ChannelWork;
use crate::load::meter::Kind;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};
use crate::load::websocket::text_in;

/// Works through every `step`th request of some work.
pub(crate) struct ChannelRole {
    work: Rc<ChannelWork>,
    next: u64,
    step: u64,
    /// Numbers and times of requests without an answer.
    sent: VecDeque<(u64, u64)>,
    status: u16,
    body: Vec<u8>,
    ready: bool,
}

impl ChannelRole {
    pub(crate) fn new(work: &Rc<ChannelWork>, next: u64, step: u64) -> Self {
        Self {
            work: Rc::clone(work),
            next,
            step,
            sent: VecDeque::new(),
            status: 0,
            body: Vec::new(),
            ready: false,
        }
    }

    fn send_what_may(&mut self, io: &mut Io<'_>) {
        while self.sent.len() < PIPELINE && self.next < self.work.len() {
            if !io.shared.take_operation() {
                return;
            }
            self.sent.push_back((self.next, io.shared.now_ns()));
            self.work.put(io.out, &io.shared.target, self.next);
            self.next += self.step;
        }
    }

    fn note_name(&self, io: &mut Io<'_>, number: u64) {
        let body = String::from_utf8_lossy(&self.body);
        let Some(name) = text_in(&body, "\"channelId\":\"") else {
            return io.shared.note_error("channel without an identity");
        };
        let names = &mut io.shared.names;
        let place = number as usize;
        if names.len() <= place {
            names.resize(place + 1, String::new());
        }
        names[place] = name.to_owned();
    }
}

impl Role for ChannelRole {
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
        self.body.clear();
    }

    fn handle_body(&mut self, _: &mut Io<'_>, body: &[u8]) {
        self.body.extend_from_slice(body);
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        let Some((number, sent_ns)) = self.sent.pop_front() else {
            return io.shared.note_error("answer without a request");
        };
        io.shared.in_flight -= 1;
        io.shared.completed += 1;
        if !matches!(self.status, 200 | 201 | 204) {
            io.shared.note_status("create or delete", self.status);
        } else if matches!(*self.work, ChannelWork::Create(_)) {
            let took_ns = io.shared.now_ns() - sent_ns;
            io.shared.note(Kind::Create, took_ns, 1, 0);
            self.note_name(io, number);
        }
        self.send_what_may(io);
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        for _ in 0..self.sent.len() {
            io.shared
                .note_error("create or delete lost with its connection");
        }
        io.shared.in_flight -= self.sent.len();
        io.shared.completed += self.sent.len() as u64;
        self.sent.clear();
        match self.next < self.work.len() {
            true => After::Reconnect,
            false => After::Stop,
        }
    }
}

/// Requests that a connection has under way: nobody measures these.
const PIPELINE: usize = 16;
