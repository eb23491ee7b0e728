//! A follower of a query over the WebSocket of a room with tables.

use crate::load::meter::Kind;
use crate::load::record::RecordScanner;
use crate::load::response::Head;
use crate::load::role::{After, Io, Role, Shared};
use crate::load::tables::{LAST_WRITER, connect_path};
use crate::load::websocket::{WebSocket, put_handshake_to, put_text, text_in};

/// Follows a query whose one row is a record, and checks that it never goes back.
pub(crate) struct WatchRole {
    room: String,
    /// The statement, without anything that JSON escapes.
    sql: &'static str,
    socket: Option<Box<WebSocket>>,
    state: Watching,
    ready: bool,
}

#[derive(Default)]
struct Watching {
    /// Whether the first rows were received.
    subscribed: bool,
    /// Number of the newest record.
    newest: Option<u64>,
    /// Whether the last record of the run was received.
    done: bool,
}

impl WatchRole {
    pub(crate) fn new(room: &str, sql: &'static str) -> Self {
        Self {
            room: room.to_owned(),
            sql,
            socket: None,
            state: Watching::default(),
            ready: false,
        }
    }
}

impl Watching {
    fn hear(&mut self, shared: &mut Shared, now_ns: u64, frame: &str) {
        match text_in(frame, "\"type\":\"") {
            Some("query_subscribed") => self.subscribed = true,
            Some("query_update") => {}
            Some("query_error" | "error") => {
                let code = text_in(frame, "\"code\":\"").unwrap_or("no code");
                return shared.note_error(&format!("the server said {code}"));
            }
            Some(_) | None => return,
        }
        let is_update = !frame.starts_with("{\"type\":\"query_subscribed\"");
        RecordScanner::default().scan(frame.as_bytes(), |record| {
            let Some(record) = record else {
                return shared.note_error("row damaged");
            };
            if record.writer == LAST_WRITER {
                shared.healed += usize::from(!self.done);
                self.done = true;
                return;
            }
            if self.newest.is_some_and(|newest| newest > record.sequence) {
                shared.note_error("a query showed an older row than before");
            }
            self.newest = Some(record.sequence);
            if is_update {
                let latency_ns = now_ns.saturating_sub(record.sent_ns);
                shared.note(Kind::Delivery, latency_ns, 1, frame.len() as u64);
            }
        });
    }
}

impl Role for WatchRole {
    fn handle_open(&mut self, io: &mut Io<'_>) {
        put_handshake_to(io.out, &io.shared.target, &connect_path(&self.room), "");
    }

    fn handle_head(&mut self, io: &mut Io<'_>, head: &Head<'_>) {
        if head.status != 101 {
            return io.shared.note_status("WebSocket", head.status);
        }
        self.socket = Some(Box::new(WebSocket::new()));
        let subscribe = format!(
            r#"{{"action":"subscribe_query","queryId":"bench","sql":"{}"}}"#,
            self.sql
        );
        put_text(io.out, subscribe.as_bytes());
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
        if self.state.subscribed && !self.ready {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::record::Record;
    use crate::load::target::Target;

    #[test]
    fn newer_rows_are_timed_and_older_ones_are_an_error() {
        let target = Target::parse("http://127.0.0.1:1", "r").unwrap();
        let mut shared = Shared::new(target);
        shared.measuring = true;
        let mut watching = Watching::default();
        let frame = |kind: &str, writer, sequence| {
            let mut row = Vec::new();
            let record = Record {
                writer,
                sequence,
                sent_ns: 1_000,
            };
            record.put(&mut row, 40);
            let row = String::from_utf8(row).unwrap();
            format!(r#"{{"type":"{kind}","queryId":"bench","data":[{{"note":"{row}"}}]}}"#)
        };
        watching.hear(&mut shared, 5_000, &frame("query_subscribed", 0, 3));
        assert!(watching.subscribed);
        watching.hear(&mut shared, 5_000, &frame("query_update", 0, 7));
        assert_eq!(shared.meters.of(Kind::Delivery).count, 1);
        assert!(shared.errors.is_empty());
        watching.hear(&mut shared, 5_000, &frame("query_update", 0, 6));
        assert_eq!(shared.errors.len(), 1);
        for _ in 0..2 {
            watching.hear(&mut shared, 5_000, &frame("query_update", LAST_WRITER, 0));
        }
        assert_eq!(shared.healed, 1);
    }
}
