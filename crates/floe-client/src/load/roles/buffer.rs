//! A connection that updates a value of a room's write buffer over its WebSocket.

use std::collections::VecDeque;

use super::pace::Pace;
use crate::load::meter::Kind;
use crate::load::record::Record;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::tables::{Updates, connect_path};
use crate::load::websocket::{WebSocket, number_in, put_handshake_to, put_text, text_in};

/// Updates one key, back to back or at a pace.
pub(crate) struct BufferRole {
    room: String,
    updates: Updates,
    /// Number among those who update.
    writer: u16,
    pipeline: usize,
    pace: Option<Pace>,
    socket: Option<Box<WebSocket>>,
    /// Numbers and times of updates without an answer.
    sent: VecDeque<(u64, u64)>,
    next: u64,
    frame: Vec<u8>,
    ready: bool,
}

impl BufferRole {
    pub(crate) fn new(
        room: &str,
        updates: Updates,
        writer: u16,
        pipeline: usize,
        pace: Option<Pace>,
    ) -> Self {
        Self {
            room: room.to_owned(),
            updates,
            writer,
            pipeline,
            pace,
            socket: None,
            sent: VecDeque::new(),
            next: 0,
            frame: Vec::new(),
            ready: false,
        }
    }

    fn send_what_may(&mut self, io: &mut Io<'_>) {
        while self.socket.is_some() && self.sent.len() < self.pipeline {
            let now_ns = io.shared.now_ns();
            if let Some(pace) = &mut self.pace
                && !pace.take_due(now_ns)
            {
                let due_ns = pace.due_ns();
                if io.shared.running && self.sent.is_empty() {
                    io.wake_at(due_ns);
                }
                return;
            }
            if !io.shared.take_operation() {
                return;
            }
            self.frame.clear();
            self.frame.extend_from_slice(b"{\"action\":\"rpc\",");
            // No two values are alike: one that is what it was need not be written.
            let record = Record {
                writer: self.writer,
                sequence: self.next,
                sent_ns: now_ns,
            };
            self.updates.put_rpc(&mut self.frame, record);
            self.sent.push_back((self.next, now_ns));
            self.next += 1;
            put_text(io.out, &self.frame);
        }
    }

    fn hear(sent: &mut VecDeque<(u64, u64)>, shared: &mut Shared, frame: &str) {
        let failed = match text_in(frame, "\"type\":\"") {
            Some("success") => false,
            Some("error") => true,
            Some(_) | None => return,
        };
        if failed {
            let code = text_in(frame, "\"code\":\"").unwrap_or("no code");
            shared.note_error(&format!("update answered {code}"));
        }
        let id = number_in(frame, b"\"requestId\":");
        let Some(at) = sent.iter().position(|(number, _)| Some(*number) == id) else {
            return;
        };
        let Some((_, sent_ns)) = sent.remove(at) else {
            return;
        };
        shared.in_flight -= 1;
        shared.completed += 1;
        if !failed {
            let latency_ns = shared.now_ns() - sent_ns;
            shared.note(Kind::Update, latency_ns, 1, 0);
        }
    }
}

impl Role for BufferRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        put_handshake_to(io.out, &io.shared.target, &connect_path(&self.room), "");
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

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        if head.status != 101 {
            return io.shared.note_status("WebSocket", head.status);
        }
        self.socket = Some(Box::new(WebSocket::new()));
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        if io.shared.running {
            self.send_what_may(io);
        }
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        let sent = &mut self.sent;
        let read = socket.read(body, io.out, io.shared, |shared, frame| {
            Self::hear(sent, shared, frame);
        });
        if let Err(ended) = read {
            io.shared.note_error(&ended.to_string());
        }
        self.send_what_may(io);
    }

    fn handle_end(&mut self, _: &mut Io<'_>) {}

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.socket = None;
        for _ in 0..self.sent.len() {
            io.shared.note_error("update lost with its connection");
        }
        io.shared.in_flight -= self.sent.len();
        self.sent.clear();
        io.shared.reconnects += 1;
        After::Reconnect
    }
}
