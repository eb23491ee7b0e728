//! A live reader over SSE.

use super::order::Order;
use crate::load::control::ControlScanner;
use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::request::put_get_path;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};
use crate::load::target::Target;

/// Follows one stream and checks what arrives; resumes where it was when the answer ends.
pub(crate) struct FollowRole {
    path: Vec<u8>,
    offset: Vec<u8>,
    order: Order,
    records: RecordScanner,
    controls: ControlScanner,
    status: u16,
    ready: bool,
    /// Waits to ask again after a refusal.
    is_refused: bool,
    /// Messages after which the reader has caught up, and when it set out.
    heal: Option<Heal>,
}

/// What a client missed and since when it asks for it.
#[derive(Debug, Clone, Copy)]
struct Heal {
    messages: u64,
    since_ns: u64,
}

impl FollowRole {
    /// Follows stream `number` of a run.
    pub(crate) fn new(target: &Target, number: u64, offset: &[u8]) -> Self {
        let mut path = Vec::new();
        target.put_path(&mut path, number);
        Self::at(path, offset)
    }

    /// Follows the channel `name` as the stream that it is, from its start.
    pub(crate) fn channel(name: &str) -> Self {
        Self::at(format!("/v1/stream/__channel__/{name}").into(), b"-1")
    }

    fn at(path: Vec<u8>, offset: &[u8]) -> Self {
        Self {
            path,
            offset: offset.to_vec(),
            order: Order::default(),
            records: RecordScanner::default(),
            controls: ControlScanner::default(),
            status: 0,
            ready: false,
            is_refused: false,
            heal: None,
        }
    }

    /// Counts as healed once `messages` have arrived, timed from `since_ns`.
    pub(crate) fn healing(mut self, messages: u64, since_ns: u64) -> Self {
        self.heal = Some(Heal { messages, since_ns });
        self
    }

    /// Goes back to the last offset that the server named.
    fn rewind(&mut self, io: &mut Io<'_>) {
        self.order.rewind(io.shared);
        self.records.reset();
        self.controls.reset();
        io.shared.reconnects += 1;
    }

    fn note_heal(&mut self, io: &mut Io<'_>, now_ns: u64) {
        if let Some(heal) = self.heal
            && self.order.received() >= heal.messages
        {
            self.heal = None;
            io.shared.healed += 1;
            let took_ns = now_ns.saturating_sub(heal.since_ns);
            io.shared.note(Kind::Heal, took_ns, heal.messages, 0);
        }
    }
}

impl Role for FollowRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        let target = &io.shared.target;
        put_get_path(io.out, target, &self.path, &self.offset, &[b"&live=sse"]);
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        if head.status != 200 {
            io.shared.note_status("SSE", head.status);
        }
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        if self.status != 200 {
            return;
        }
        // The first control event says that the reader is registered.
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        let now_ns = io.shared.now_ns();
        let (order, shared) = (&mut self.order, &mut *io.shared);
        shared.note_bytes(Kind::Delivery, body.len() as u64);
        self.records
            .scan(body, |record| order.receive(shared, now_ns, record));
        let offset = &mut self.offset;
        self.controls.scan(body, |found| {
            offset.clear();
            offset.extend_from_slice(found);
            order.commit();
        });
        self.note_heal(io, now_ns);
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        self.rewind(io);
        match self.status {
            200 => self.handle_open(io),
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
            self.handle_open(io);
        }
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.is_refused = false;
        self.rewind(io);
        After::Reconnect
    }
}

const REFUSED_DELAY_NS: u64 = 100_000_000;
