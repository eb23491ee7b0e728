//! A live reader over a WebSocket.

use super::order::Order;
use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::websocket::{WebSocket, number_in, put_handshake, put_text, text_in};

/// Follows one channel and checks what arrives; comes back with its cursor when it is cut off.
pub(crate) struct ListenRole {
    socket: Option<Box<WebSocket>>,
    state: Following,
    status: u16,
    ready: bool,
}

/// What a reader knows of its room.
struct Following {
    room: String,
    /// Sequence number of the last event that was received.
    cursor: u64,
    order: Order,
    /// Events after which the reader has caught up, and when it set out.
    heal: Option<(u64, u64)>,
    /// Whether history has been received.
    live: bool,
}

impl ListenRole {
    /// Follows the channel `name` after `cursor`.
    pub(crate) fn new(name: &str, cursor: u64) -> Self {
        Self {
            socket: None,
            state: Following {
                room: format!("channel/{name}"),
                cursor,
                order: Order::default(),
                heal: None,
                live: false,
            },
            status: 0,
            ready: false,
        }
    }

    /// Counts as healed once `events` have arrived, timed from `since_ns`.
    pub(crate) fn healing(mut self, events: u64, since_ns: u64) -> Self {
        self.state.heal = Some((events, since_ns));
        self
    }
}

impl Following {
    fn hear(&mut self, shared: &mut Shared, now_ns: u64, frame: &str) {
        if frame.starts_with(EVENTS) {
            return self.take_events(shared, now_ns, frame);
        }
        match text_in(frame, "\"type\":\"") {
            Some("welcome" | "joined") => {}
            Some("live") => self.live = true,
            Some("error" | "closed" | "goodbye") => {
                let code = text_in(frame, "\"code\":\"").unwrap_or("no code");
                shared.note_error(&format!("the server said {code}"));
            }
            Some(_) | None => shared.note_error("frame of a type that was not asked for"),
        }
    }

    fn take_events(&mut self, shared: &mut Shared, now_ns: u64, frame: &str) {
        shared.note_bytes(Kind::Delivery, frame.len() as u64);
        let (order, mut count) = (&mut self.order, 0);
        RecordScanner::default().scan(frame.as_bytes(), |record| {
            count += 1;
            order.receive(shared, now_ns, record);
        });
        order.commit();
        let next = number_in(frame, b"\"next\":").unwrap_or_default();
        if self.cursor + count != next {
            shared.note_error("events do not add up to the cursor");
        }
        self.cursor = next;
        if let Some((events, since_ns)) = self.heal
            && self.order.received() >= events
        {
            self.heal = None;
            shared.healed += 1;
            shared.note(Kind::Heal, now_ns.saturating_sub(since_ns), events, 0);
        }
    }
}

impl Role for ListenRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        put_handshake(io.out, &io.shared.target);
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        if head.status != 101 {
            return io.shared.note_status("WebSocket", head.status);
        }
        self.socket = Some(Box::new(WebSocket::new()));
        let Following { room, cursor, .. } = &self.state;
        let join = format!(r#"{{"type":"join","room":"{room}","after":{cursor}}}"#);
        put_text(io.out, join.as_bytes());
    }

    fn handle_body(&mut self, io: &mut Io<'_>, body: &[u8]) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        let now_ns = io.shared.now_ns();
        let state = &mut self.state;
        let read = socket.read(body, io.out, io.shared, |shared, frame| {
            state.hear(shared, now_ns, frame);
        });
        if let Err(ended) = read {
            io.shared.note_error(&ended.to_string());
        }
        if self.state.live && !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
    }

    fn handle_end(&mut self, _: &mut Io<'_>) {}

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.socket = None;
        io.shared.reconnects += 1;
        After::Reconnect
    }
}

const EVENTS: &str = "{\"type\":\"events\"";
