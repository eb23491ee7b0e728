//! A writer over a WebSocket.

use std::collections::VecDeque;

use super::pace::Pace;
use crate::load::meter::Kind;
use crate::load::record::Record;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::websocket::{WebSocket, number_in, put_handshake, put_text, text_in};

/// What a writer says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spoken {
    /// Characters of one event's content.
    pub(crate) content_bytes: usize,
    /// Events in one append.
    pub(crate) batch: usize,
    /// Appends that may be without an answer.
    pub(crate) pipeline: usize,
}

/// Appends to its channels in turn, back to back or at a pace.
pub(crate) struct SpeakRole {
    spoken: Spoken,
    /// Number among the writers whose events readers check.
    writer: u16,
    rooms: Vec<Room>,
    next_room: usize,
    pace: Option<Pace>,
    socket: Option<Box<WebSocket>>,
    sent: VecDeque<Sent>,
    next_id: u64,
    frame: Vec<u8>,
    ready: bool,
}

struct Room {
    name: String,
    sequence: u64,
}

struct Sent {
    id: u64,
    sent_ns: u64,
}

impl SpeakRole {
    /// Writes to the channels `names`, as writer `writer`.
    pub(crate) fn new(spoken: Spoken, writer: u16, names: &[String]) -> Self {
        let room = |name: &String| Room {
            name: name.clone(),
            sequence: 0,
        };
        Self {
            spoken,
            writer,
            rooms: names.iter().map(room).collect(),
            next_room: 0,
            pace: None,
            socket: None,
            sent: VecDeque::new(),
            next_id: 0,
            frame: Vec::new(),
            ready: false,
        }
    }

    /// Begins an append only when it is due.
    pub(crate) fn with_pace(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    fn send_what_may(&mut self, io: &mut Io<'_>) {
        while self.socket.is_some() && self.sent.len() < self.spoken.pipeline {
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
            self.send(io, now_ns);
        }
    }

    fn send(&mut self, io: &mut Io<'_>, now_ns: u64) {
        let (id, batch) = (self.next_id, self.spoken.batch);
        self.next_id += 1;
        self.sent.push_back(Sent {
            id,
            sent_ns: now_ns,
        });
        let rooms = self.rooms.len();
        let room = &mut self.rooms[self.next_room];
        self.next_room = (self.next_room + 1) % rooms;
        let head = format!(
            r#"{{"type":"append","id":{id},"room":"channel/{}","authorId":"w{}","#,
            room.name, self.writer
        );
        self.frame.clear();
        self.frame.extend_from_slice(head.as_bytes());
        if batch > 1 {
            self.frame.extend_from_slice(b"\"events\":[");
        }
        for at in 0..batch {
            let opening: &[u8] = match (batch, at) {
                (1, _) => b"\"content\":\"",
                (_, 0) => b"{\"content\":\"",
                _ => b",{\"content\":\"",
            };
            self.frame.extend_from_slice(opening);
            let record = Record {
                writer: self.writer,
                sequence: room.sequence,
                sent_ns: now_ns,
            };
            record.put(&mut self.frame, self.spoken.content_bytes);
            room.sequence += 1;
            let closing: &[u8] = if batch > 1 { b"\"}" } else { b"\"" };
            self.frame.extend_from_slice(closing);
        }
        let closing: &[u8] = if batch > 1 { b"]}" } else { b"}" };
        self.frame.extend_from_slice(closing);
        put_text(io.out, &self.frame);
    }

    /// Takes the answer to an append; the server may answer in another order.
    fn hear(
        sent: &mut VecDeque<Sent>,
        (spoken, writer): (Spoken, u16),
        shared: &mut Shared,
        frame: &str,
    ) {
        let kind = text_in(frame, "\"type\":\"");
        let failed = match kind {
            Some("ack") => false,
            Some("error" | "goodbye") => true,
            Some(_) | None => return,
        };
        if failed {
            let code = text_in(frame, "\"code\":\"").unwrap_or("no code");
            shared.note_error(&format!("append answered {code}"));
        }
        let id = number_in(frame, b"\"id\":");
        let Some(at) = sent.iter().position(|one| Some(one.id) == id) else {
            return;
        };
        let Some(one) = sent.remove(at) else { return };
        shared.in_flight -= 1;
        shared.completed += 1;
        if !failed {
            let latency_ns = shared.now_ns() - one.sent_ns;
            let events = spoken.batch as u64;
            let bytes = events * spoken.content_bytes as u64;
            shared.note(Kind::Append, latency_ns, events, bytes);
            shared.written[usize::from(writer)] += events;
        }
    }
}

impl Role for SpeakRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        put_handshake(io.out, &io.shared.target);
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
        let (sent, who) = (&mut self.sent, (self.spoken, self.writer));
        let read = socket.read(body, io.out, io.shared, |shared, frame| {
            Self::hear(sent, who, shared, frame);
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
            io.shared.note_error("append lost with its connection");
        }
        io.shared.in_flight -= self.sent.len();
        self.sent.clear();
        io.shared.reconnects += 1;
        After::Reconnect
    }
}
