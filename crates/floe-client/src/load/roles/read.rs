//! A catch-up reader.

use super::pace::Pace;
use crate::load::meter::Kind;
use crate::load::request::put_get;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Reads one stream from its start to its tail, again and again.
pub(crate) struct ReadRole {
    stream: u64,
    /// Bytes that each pass must bring; zero if nobody knows.
    stream_bytes: u64,
    pace: Option<Pace>,
    offset: Vec<u8>,
    up_to_date: bool,
    status: u16,
    asked_ns: u64,
    pass_ns: u64,
    pass_bytes: u64,
    first_byte_due: bool,
    ready: bool,
    busy: bool,
}

impl ReadRole {
    pub(crate) fn new(stream: u64, stream_bytes: u64) -> Self {
        Self {
            stream,
            stream_bytes,
            pace: None,
            offset: Vec::new(),
            up_to_date: false,
            status: 0,
            asked_ns: 0,
            pass_ns: 0,
            pass_bytes: 0,
            first_byte_due: false,
            ready: false,
            busy: false,
        }
    }

    /// Begins a pass only when it is due.
    pub(crate) fn with_pace(mut self, pace: Option<Pace>) -> Self {
        self.pace = pace;
        self
    }

    fn begin_pass(&mut self, io: &mut Io<'_>) {
        if let Some(pace) = &mut self.pace
            && !pace.take_due(io.shared.now_ns())
        {
            let due_ns = pace.due_ns();
            if io.shared.running {
                io.wake_at(due_ns);
            }
            return;
        }
        if !io.shared.take_operation() {
            return;
        }
        self.busy = true;
        self.pass_ns = io.shared.now_ns();
        self.pass_bytes = 0;
        self.offset.clear();
        self.offset.extend_from_slice(b"-1");
        self.ask(io);
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        self.asked_ns = io.shared.now_ns();
        self.first_byte_due = true;
        put_get(io.out, &io.shared.target, self.stream, &self.offset, &[]);
    }

    fn end_pass(&mut self, io: &mut Io<'_>) {
        self.busy = false;
        io.shared.in_flight -= 1;
        io.shared.completed += 1;
        if self.stream_bytes != 0 && self.pass_bytes != self.stream_bytes {
            io.shared.note_error("pass with a wrong number of bytes");
        }
        let took_ns = io.shared.now_ns() - self.pass_ns;
        // Bytes are counted as they arrive, so that a window may cut a pass in two.
        io.shared.note(Kind::Pass, took_ns, 0, 0);
        self.begin_pass(io);
    }
}

impl Role for ReadRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        if io.shared.running {
            self.begin_pass(io);
        }
    }

    fn handle_start(&mut self, io: &mut Io<'_>) {
        if let Some(pace) = &mut self.pace {
            pace.start(io.shared.now_ns());
        }
        self.begin_pass(io);
    }

    fn handle_wake(&mut self, io: &mut Io<'_>) {
        if !self.busy {
            self.begin_pass(io);
        }
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        self.up_to_date = head.up_to_date;
        if head.status != 200 {
            return io.shared.note_status("read", head.status);
        }
        self.offset.clear();
        self.offset.extend_from_slice(head.next_offset);
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        if std::mem::take(&mut self.first_byte_due) {
            let took_ns = io.shared.now_ns() - self.asked_ns;
            io.shared.note(Kind::FirstByte, took_ns, 0, 0);
        }
        self.pass_bytes += body.len() as u64;
        io.shared.note_bytes(Kind::Pass, body.len() as u64);
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        if self.status != 200 {
            self.busy = false;
            io.shared.in_flight -= 1;
            let later_ns = io.shared.now_ns() + REFUSED_DELAY_NS;
            io.wake_at(later_ns);
        } else if self.up_to_date {
            self.end_pass(io);
        } else {
            self.ask(io);
        }
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        if std::mem::take(&mut self.busy) {
            io.shared.in_flight -= 1;
            io.shared.note_error("pass lost with its connection");
        }
        io.shared.reconnects += 1;
        After::Reconnect
    }
}

const REFUSED_DELAY_NS: u64 = 100_000_000;
