//! A live reader over a WebSocket.

use super::order::Order;
use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::websocket::{
    WebSocket, number_in, put_close, put_handshake, put_handshake_to, put_text, text_in,
};

/// Follows one channel and checks what arrives; comes back with its cursor when it is cut off.
pub(crate) struct ListenRole {
    socket: Option<Box<WebSocket>>,
    state: Following,
    status: u16,
    ready: bool,
    stay: Option<Stay>,
}

/// How long a reader stays before it goes and comes back.
struct Stay {
    /// What it is called in the room.
    user: String,
    mean_ns: u64,
    random: fastrand::Rng,
    /// When it set out.
    since_ns: u64,
    /// When it goes, once it is there.
    until_ns: Option<u64>,
    /// Whether it has said that it goes.
    leaving: bool,
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
    /// Whether the socket is for the channel alone.
    alone: bool,
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
                alone: false,
            },
            status: 0,
            ready: false,
            stay: None,
        }
    }

    /// Counts as healed once `events` have arrived, timed from `since_ns`.
    pub(crate) fn healing(mut self, events: u64, since_ns: u64) -> Self {
        self.state.heal = Some((events, since_ns));
        self
    }

    /// Follows over a socket that is for the channel alone.
    pub(crate) fn in_channel(mut self) -> Self {
        self.state.alone = true;
        self
    }

    /// Is a member of the room, and goes and comes back again and again, after `mean_ns` on average;
    /// reader `number` draws its times from that.
    pub(crate) fn churning(mut self, number: usize, mean_ns: u64) -> Self {
        self.stay = Some(Stay {
            user: format!("reader-{number}"),
            mean_ns: mean_ns.max(1),
            random: fastrand::Rng::with_seed(number as u64),
            since_ns: 0,
            until_ns: None,
            leaving: false,
        });
        self
    }

    /// Notes that it is there, and when it will go.
    fn arrived(&mut self, io: &mut Io<'_>) {
        let now_ns = io.shared.now_ns();
        let Some(stay) = self.stay.as_mut().filter(|stay| stay.until_ns.is_none()) else {
            return;
        };
        io.shared
            .note(Kind::Heal, now_ns.saturating_sub(stay.since_ns), 0, 0);
        let until_ns = now_ns + stay.random.u64(0..=2 * stay.mean_ns);
        stay.until_ns = Some(until_ns);
        io.wake_at(until_ns);
    }
}

impl Following {
    fn hear(&mut self, shared: &mut Shared, now_ns: u64, frame: &str) {
        if frame.starts_with(EVENTS) {
            return self.take_events(shared, now_ns, frame);
        }
        match text_in(frame, "\"type\":\"") {
            Some("message") if self.alone => self.take_message(shared, now_ns, frame),
            Some("welcome") if self.alone => self.live = true,
            Some("participants" | "typing" | "reactions") if self.alone => {}
            Some("welcome" | "joined" | "presence") => {}
            Some("live") => self.live = true,
            Some("error" | "closed" | "goodbye") => {
                let code = text_in(frame, "\"code\":\"").unwrap_or("no code");
                shared.note_error(&format!("the server said {code}"));
            }
            Some(_) | None => shared.note_error("frame of a type that was not asked for"),
        }
    }

    fn take_message(&mut self, shared: &mut Shared, now_ns: u64, frame: &str) {
        shared.note_bytes(Kind::Delivery, frame.len() as u64);
        let order = &mut self.order;
        RecordScanner::default().scan(frame.as_bytes(), |record| {
            order.receive(shared, now_ns, record);
        });
        order.commit();
        self.cursor += 1;
        if number_in(frame, b"\"sequence\":") != Some(self.cursor) {
            shared.note_error("a message is not the one that comes next");
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
        if let Some(stay) = &mut self.stay {
            stay.since_ns = io.shared.now_ns();
        }
        let Following {
            room,
            cursor,
            alone,
            ..
        } = &self.state;
        if *alone {
            let path = format!("/ws/{room}?after={cursor}");
            return put_handshake_to(io.out, &io.shared.target, &path, "");
        }
        put_handshake(io.out, &io.shared.target);
    }

    fn handle_wake(&mut self, io: &mut Io<'_>) {
        let now_ns = io.shared.now_ns();
        if let Some(stay) = &mut self.stay
            && stay.until_ns.is_some_and(|until_ns| until_ns <= now_ns)
            && !stay.leaving
            && io.shared.running
        {
            stay.leaving = true;
            put_close(io.out);
        }
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        self.status = head.status;
        if head.status != 101 {
            return io.shared.note_status("WebSocket", head.status);
        }
        self.socket = Some(Box::new(WebSocket::new()));
        let Following { room, cursor, .. } = &self.state;
        if self.state.alone {
            return;
        }
        let member = self.stay.as_ref().map(|stay| {
            let user = &stay.user;
            format!(r#","user":"{user}","presence":"member""#)
        });
        let member = member.unwrap_or_default();
        let join = format!(r#"{{"type":"join","room":"{room}","after":{cursor}{member}}}"#);
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
        let leaving = self.stay.as_ref().is_some_and(|stay| stay.leaving);
        if let Err(ended) = read
            && !leaving
        {
            io.shared.note_error(&ended.to_string());
        }
        if self.state.live {
            self.arrived(io);
        }
        if self.state.live && !self.ready {
            self.ready = true;
            io.shared.ready += 1;
        }
    }

    fn handle_end(&mut self, _: &mut Io<'_>) {}

    fn handle_close(&mut self, io: &mut Io<'_>) -> After {
        self.socket = None;
        match &mut self.stay {
            Some(stay) if stay.leaving => {
                stay.leaving = false;
                stay.until_ns = None;
                self.state.live = false;
            }
            Some(_) | None => io.shared.reconnects += 1,
        }
        After::Reconnect
    }
}

const EVENTS: &str = "{\"type\":\"events\"";
