//! A live reader over long-poll.

use super::order::Order;
use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::request::put_get;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Asks for what follows its offset, again and again.
pub(crate) struct PollRole {
    stream: u64,
    offset: Vec<u8>,
    cursor: Vec<u8>,
    order: Order,
    records: RecordScanner,
    status: u16,
    asked_ns: u64,
    ready: bool,
    /// Waits to ask again after a refusal.
    is_refused: bool,
}

impl PollRole {
    pub(crate) fn new(stream: u64, offset: &[u8]) -> Self {
        Self {
            stream,
            offset: offset.to_vec(),
            cursor: Vec::new(),
            order: Order::default(),
            records: RecordScanner::default(),
            status: 0,
            asked_ns: 0,
            ready: false,
            is_refused: false,
        }
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        self.asked_ns = io.shared.now_ns();
        let live: &[&[u8]] = match self.cursor.is_empty() {
            true => &[b"&live=long-poll"],
            false => &[b"&live=long-poll&cursor=", &self.cursor],
        };
        put_get(io.out, &io.shared.target, self.stream, &self.offset, live);
    }
}

impl Role for PollRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        self.ask(io);
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        if !matches!(head.status, 200 | 204) {
            return io.shared.note_status("long-poll", head.status);
        }
        if !head.next_offset.is_empty() {
            self.offset.clear();
            self.offset.extend_from_slice(head.next_offset);
        }
        self.cursor.clear();
        self.cursor.extend_from_slice(head.cursor);
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        if self.status != 200 {
            return;
        }
        let now_ns = io.shared.now_ns();
        let (order, shared) = (&mut self.order, &mut *io.shared);
        shared.note_bytes(Kind::Delivery, body.len() as u64);
        self.records
            .scan(body, |record| order.receive(shared, now_ns, record));
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        match self.status {
            200 => {
                let took_ns = io.shared.now_ns() - self.asked_ns;
                io.shared.note(Kind::Round, took_ns, 0, 0);
                self.order.commit();
                self.ask(io);
            }
            204 => self.ask(io),
            // Asking again at once would make a loop of a lasting refusal.
            _ => {
                self.is_refused = true;
                let later_ns = io.shared.now_ns() + REFUSED_DELAY_NS;
                io.wake_at(later_ns);
            }
        }
    }

    fn handle_wake(&mut self, io: &mut Io<'_>) {
        if std::mem::take(&mut self.is_refused) {
            self.ask(io);
        }
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.is_refused = false;
        self.order.rewind(io.shared);
        self.records.reset();
        io.shared.reconnects += 1;
        After::Reconnect
    }
}

const REFUSED_DELAY_NS: u64 = 100_000_000;
