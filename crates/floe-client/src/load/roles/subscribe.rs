//! A live reader over the server-sent events of a channel.

use super::order::Order;
use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role};

/// Follows one channel and checks what arrives; comes back with its cursor when an answer ends.
pub(crate) struct SubscribeRole {
    name: String,
    cursor: u64,
    /// The `id` of an event whose data has not arrived as a whole.
    coming: u64,
    order: Order,
    records: RecordScanner,
    ids: Vec<u8>,
    status: u16,
    ready: bool,
}

impl SubscribeRole {
    /// Follows the channel `name` after `cursor`.
    pub(crate) fn new(name: &str, cursor: u64) -> Self {
        Self {
            name: name.to_owned(),
            cursor,
            coming: cursor,
            order: Order::default(),
            records: RecordScanner::default(),
            ids: Vec::new(),
            status: 0,
            ready: false,
        }
    }

    /// Notes the newest event that is there as a whole: an `id` counts once the next line begins
    /// after its data, which an empty line ends.
    fn note_ids(&mut self, mut bytes: &[u8]) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.keep(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let id = self.ids.strip_prefix(b"id: ");
            let id = id.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            if let Some(id) = id {
                self.coming = id;
            } else if self.ids.is_empty() && self.coming != self.cursor {
                self.cursor = self.coming;
                self.order.commit();
            }
            self.ids.clear();
        }
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LINE_BYTES_MAX.saturating_sub(self.ids.len());
        self.ids.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn rewind(&mut self, io: &mut Io<'_>) {
        self.order.rewind(io.shared);
        self.records.reset();
        self.ids.clear();
        self.coming = self.cursor;
        io.shared.reconnects += 1;
    }
}

impl Role for SubscribeRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        let request = format!(
            "GET /v1/channels/{}/subscribe?afterSeq={} HTTP/1.1\r\n{}\r\n\r\n",
            self.name, self.cursor, io.shared.target.fields
        );
        io.out.extend_from_slice(request.as_bytes());
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
        // The event `connected` says that the reader is registered.
        if !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
        let now_ns = io.shared.now_ns();
        let (order, shared) = (&mut self.order, &mut *io.shared);
        shared.note_bytes(Kind::Delivery, body.len() as u64);
        self.records
            .scan(body, |record| order.receive(shared, now_ns, record));
        self.note_ids(body);
    }

    fn handle_end(&mut self, io: &mut Io<'_>) {
        self.rewind(io);
        if self.status == 200 {
            self.handle_open(io);
        }
    }

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.rewind(io);
        After::Reconnect
    }
}

/// Longer lines carry data: an `id` is a number.
const LINE_BYTES_MAX: usize = 64;
