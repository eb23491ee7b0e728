//! From bytes on a socket to whole requests.

use std::io::{self, Read as _};

use floe_log::Disk;
use floe_proto::Code;

use super::Reactor;
use super::conn::{Conn, Context, State};
use super::http1::{self, BodyLen, ChunkScan, FIELDS_MAX, unchunk};
use crate::media;

/// How HTTP/2 with prior knowledge begins (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes that every connection may hold, whatever the others do.
const HELD_FREE: usize = 64 << 10;

/// What became of the first request in a buffer.
enum Taken {
    /// It was dispatched; this many bytes are done with.
    Request(usize),
    /// More bytes are needed.
    Incomplete,
    /// The connection is gone or on its way out.
    Ended,
}

impl<D: Disk> Reactor<D> {
    /// Reads what a socket has, and serves the requests in it.
    pub(super) fn receive(&mut self, at: usize) {
        self.receive_some(at);
        self.weigh(at);
    }

    /// Counts what a connection holds of a request or frame that has begun to arrive, and refuses it
    /// where all connections hold too much together.
    ///
    /// Many uploads that never end cost their clients, and not those who ask for little.
    fn weigh(&mut self, at: usize) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        let held = conn.input.len() + conn.live().map_or(0, |live| live.memory());
        self.received_held = self.received_held - conn.held + held;
        conn.held = held;
        if self.received_held <= self.limits.received_bytes_max || held <= HELD_FREE {
            return;
        }
        let message = "all requests under way have more than received.bytes_max together";
        match conn.state {
            State::Live(_) => self.dismiss(at, Code::Overloaded, message),
            State::Receiving => {
                conn.input = Vec::new();
                self.refuse(at, Context::default(), Code::Overloaded, message);
            }
            // What comes before its turn is bounded by a head.
            State::Waiting(..)
            | State::Parked(_)
            | State::LongPoll(_)
            | State::Sse(_)
            | State::Closing
            | State::Draining => {}
        }
        if let Some(conn) = self.conns.get_mut(at) {
            self.received_held -= conn.held;
            conn.held = 0;
        }
    }

    fn receive_some(&mut self, at: usize) {
        loop {
            let Some(conn) = self.conns.get_mut(at) else {
                return;
            };
            if matches!(conn.state, State::Live(_)) && !self.hear_on(at) {
                return;
            }
            let Some(conn) = self.conns.get_mut(at) else {
                return;
            };
            if conn.takes_requests()
                && conn.input.len() >= conn.needed.max(1)
                && !self.serve_input(at)
            {
                return;
            }
            let Some(conn) = self.conns.get_mut(at) else {
                return;
            };
            if !conn.readable || conn.ended {
                return self.after_end(at);
            }
            // What comes before its turn is bounded like a head; the rest waits in the socket.
            let listens = matches!(conn.state, State::Draining | State::Live(_));
            let waits = !conn.takes_requests() && !listens;
            if waits && conn.input.len() >= self.limits.http_head_bytes_max {
                return;
            }
            match conn.socket.read(&mut self.received) {
                Ok(0) => {
                    conn.ended = true;
                    conn.readable = false;
                }
                Ok(len) => {
                    conn.readable = len == self.received.len() || conn.hung_up;
                    self.metrics.received(len as u64);
                    if !self.take_in(at, len) {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => conn.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.close(at),
            }
        }
    }

    /// Takes `len` received bytes in; returns whether the connection is still there.
    fn take_in(&mut self, at: usize, len: usize) -> bool {
        let Some(conn) = self.conns.get_mut(at) else {
            return false;
        };
        if matches!(conn.state, State::Draining) {
            return true;
        }
        if matches!(conn.state, State::Live(_)) {
            return self.hear_received(at, len);
        }
        if !conn.input.is_empty() || !conn.takes_requests() {
            conn.input.extend_from_slice(&self.received[..len]);
            return true;
        }
        // The common case: whole requests, served from the shared buffer without a copy.
        let received = std::mem::take(&mut self.received);
        let used = self.serve(at, &received[..len]);
        let alive = match (used, self.conns.get_mut(at)) {
            (Some(used), Some(conn)) => {
                conn.input.extend_from_slice(&received[used..len]);
                self.note_partial(at);
                true
            }
            _ => false,
        };
        self.received = received;
        alive
    }

    /// Hands what was put aside to a WebSocket; returns whether it listens to more.
    fn hear_on(&mut self, at: usize) -> bool {
        let Some(conn) = self.conns.get_mut(at) else {
            return false;
        };
        if !conn.input.is_empty() {
            let mut input = std::mem::take(&mut conn.input);
            let Some(used) = self.hear(at, &mut input) else {
                return false;
            };
            input.drain(..used);
            if let Some(conn) = self.conns.get_mut(at) {
                conn.input = input;
            }
        }
        let conn = self.conns.get(at);
        conn.is_some_and(|conn| !matches!(conn.state, State::Live(_)))
            || (conn.is_some_and(|conn| conn.input.is_empty()) && !self.is_held(at))
    }

    /// Hands `len` received bytes to a WebSocket; returns whether the connection is still there.
    fn hear_received(&mut self, at: usize, len: usize) -> bool {
        let mut received = std::mem::take(&mut self.received);
        let used = self.hear(at, &mut received[..len]);
        let alive = match (used, self.conns.get_mut(at)) {
            (Some(used), Some(conn)) => {
                conn.input.extend_from_slice(&received[used..len]);
                true
            }
            _ => false,
        };
        self.received = received;
        alive
    }

    /// Serves requests that were put aside; returns whether the connection is still there.
    fn serve_input(&mut self, at: usize) -> bool {
        let Some(conn) = self.conns.get_mut(at) else {
            return false;
        };
        let mut input = std::mem::take(&mut conn.input);
        let Some(used) = self.serve(at, &input) else {
            return false;
        };
        let Some(conn) = self.conns.get_mut(at) else {
            return false;
        };
        if used < input.len() {
            input.drain(..used);
            conn.input = input;
        }
        self.note_partial(at);
        true
    }

    /// Starts the clock of a request that has begun to arrive.
    fn note_partial(&mut self, at: usize) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        if conn.takes_requests() && !conn.input.is_empty() && !conn.started {
            conn.started = true;
            let deadline_ms = self.clock.uptime_ms + self.limits.http_request_timeout_ms;
            self.set_deadline(at, deadline_ms);
        }
    }

    /// Serves the requests at the start of `data`; returns the bytes done with, or `None` when the
    /// connection is gone.
    fn serve(&mut self, at: usize, data: &[u8]) -> Option<usize> {
        let mut used = 0;
        while self.conns.get(at)?.takes_requests() && used < data.len() {
            match self.take_request(at, &data[used..]) {
                Taken::Request(len) => {
                    used += len;
                    if let Some(conn) = self.conns.get_mut(at) {
                        conn.needed = 0;
                        conn.started = false;
                        conn.continued = false;
                        conn.chunks = ChunkScan::default();
                    }
                }
                Taken::Incomplete => break,
                Taken::Ended => {
                    used = data.len();
                    break;
                }
            }
        }
        self.conns.contains(at).then_some(used)
    }

    fn take_request(&mut self, at: usize, data: &[u8]) -> Taken {
        // What the request before came from is nothing to this one.
        self.conns[at].page = None;
        // An empty line before a request is to be passed over (RFC 9112, section 2.2).
        let skipped = data
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count()
            .min(4);
        let data = &data[skipped..];
        if data.starts_with(b"PRI * HTTP/2") || HTTP2_PREFACE.starts_with(data) && data.len() >= 3 {
            return self.take_http2(at, data);
        }
        if self.brings_media(at, data) {
            return self.hand_media(at, data);
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let framing = match http1::parse(&mut request, data, self.limits.http_head_bytes_max) {
            Ok(Some(framing)) => framing,
            Ok(None) => return self.incomplete(at, data.len() + skipped + 1),
            Err((code, message)) => {
                self.refuse(at, Context::default(), code, message);
                return Taken::Ended;
            }
        };
        let method = request.method.unwrap_or_default();
        let target = request.path.unwrap_or_default();
        self.note_page(at, target, request.headers);
        let context = Context {
            close: framing.close,
            cors: framing.has_origin,
            head: method == "HEAD",
            old: framing.old,
            secure: self.client(at, request.headers).secure,
            ..Context::default()
        };
        let body_bytes_max = self.limits.http_body_bytes_max;
        let encoded = &data[framing.head_len..];
        let unchunked;
        let (body, body_len) = match framing.body {
            BodyLen::Exact(len) if len > body_bytes_max => {
                self.refuse(
                    at,
                    context,
                    Code::BodyTooLarge,
                    "the body is larger than http.body_bytes_max",
                );
                return Taken::Ended;
            }
            BodyLen::Exact(len) if encoded.len() < len => {
                self.encourage(at, framing.expects_continue);
                return self.incomplete(at, skipped + framing.head_len + len);
            }
            BodyLen::Exact(len) => (&encoded[..len], len),
            BodyLen::Chunked => match self.scan_chunks(at, encoded, body_bytes_max) {
                Ok(Some((len, content))) => {
                    unchunked = unchunk(&encoded[..len], content);
                    (&unchunked[..], len)
                }
                Ok(None) => {
                    self.encourage(at, framing.expects_continue);
                    return self.incomplete(at, skipped + data.len() + 1);
                }
                Err((code, message)) => {
                    self.refuse(at, context, code, message);
                    return Taken::Ended;
                }
            },
        };
        self.dispatch(at, context, method, target, request.headers, body);
        Taken::Request(skipped + framing.head_len + body_len)
    }

    fn incomplete(&mut self, at: usize, needed: usize) -> Taken {
        if let Some(conn) = self.conns.get_mut(at) {
            conn.needed = needed;
        }
        Taken::Incomplete
    }

    /// Scans a chunked body on from where the last look ended.
    fn scan_chunks(
        &mut self,
        at: usize,
        encoded: &[u8],
        content_max: usize,
    ) -> Result<Option<(usize, usize)>, (Code, &'static str)> {
        let Some(conn) = self.conns.get_mut(at) else {
            return Ok(None);
        };
        let end = conn.chunks.scan(encoded, content_max)?;
        // Tiny chunks must not let the encoding grow without bound.
        if encoded.len() > 2 * content_max + (64 << 10) {
            return Err((
                Code::BodyTooLarge,
                "the body is larger than http.body_bytes_max",
            ));
        }
        Ok(end.map(|end| (end, conn.chunks.content)))
    }

    /// Tells a client that waits for it to send its body (RFC 9110, section 10.1.1).
    fn encourage(&mut self, at: usize, expected: bool) {
        let Some(conn) = self.conns.get_mut(at) else {
            return;
        };
        if expected && !conn.continued {
            conn.continued = true;
            self.out.clear();
            self.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.send(at);
        }
    }

    /// Hands a connection that speaks HTTP/2 to the gateway, once its preface is there.
    fn take_http2(&mut self, at: usize, data: &[u8]) -> Taken {
        if data.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(data) {
            return self.incomplete(at, data.len() + 1);
        }
        let conn = &self.conns[at];
        if !data.starts_with(HTTP2_PREFACE) || !matches!(conn.socket, super::Socket::Tcp(_)) {
            self.refuse(
                at,
                Context::default(),
                Code::InvalidRequest,
                "the request is not HTTP/1.1",
            );
            return Taken::Ended;
        }
        let conn = self.give_away(at);
        if let super::Socket::Tcp(socket) = conn.socket
            && !self.gateway.serve_http2(socket, conn.peer, data)
        {
            self.metrics.error(Code::Overloaded);
        }
        Taken::Ended
    }

    /// Returns whether what a connection from the network brings is media of voice rooms, and no request.
    fn brings_media(&self, at: usize, data: &[u8]) -> bool {
        let conn = &self.conns[at];
        data.first().copied().is_some_and(media::begins_so)
            && matches!(conn.socket, super::Socket::Tcp(_))
            && conn.output.is_empty()
            && self.media.is_running()
    }

    /// Hands a connection that brings media to the thread for them.
    fn hand_media(&mut self, at: usize, data: &[u8]) -> Taken {
        if let super::Socket::Tcp(socket) = self.give_away(at).socket {
            self.media.take_over(socket.into(), data);
        }
        Taken::Ended
    }

    /// Lets go of a connection, which goes on elsewhere.
    fn give_away(&mut self, at: usize) -> Conn<D::File> {
        let mut conn = self.conns.remove(at);
        self.received_held -= conn.held;
        let _ = self.poll.registry().deregister(&mut conn.socket);
        self.close_account(conn.account.take());
        self.metrics.connections(self.conns.len());
        conn
    }

    /// Ends the connection if its peer has, and nothing is left to answer.
    fn after_end(&mut self, at: usize) {
        let Some(conn) = self.conns.get(at) else {
            return;
        };
        if !conn.ended {
            return;
        }
        match conn.state {
            State::Receiving if !conn.output.is_empty() => {}
            State::Waiting(..) | State::Parked(_) | State::Closing => {}
            State::Receiving
            | State::LongPoll(_)
            | State::Sse(_)
            | State::Live(_)
            | State::Draining => self.close(at),
        }
    }
}
