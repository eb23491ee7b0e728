//! The event loop: one thread, many keep-alive connections, no allocation per request.

use std::cmp::Reverse;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::response::{Piece, ResponseParser};
use super::role::{After, Io, Role, Shared};
use super::target::Target;
use super::wire::Wire;

/// Drives the roles of one run over their connections.
pub(crate) struct Engine {
    /// State that the roles share.
    pub(crate) shared: Shared,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    /// Connections that had more to read than one turn takes.
    unread: Vec<usize>,
    opening: usize,
    /// Connections that wait for their turn to open.
    unopened: Vec<usize>,
}

impl Engine {
    pub(crate) fn new(target: Target) -> io::Result<Self> {
        Ok(Self {
            shared: Shared::new(target),
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_MAX),
            connections: Vec::new(),
            scratch: vec![0; READ_BYTES],
            unread: Vec::new(),
            opening: 0,
            unopened: Vec::new(),
        })
    }

    /// Adds a connection; it opens as soon as not too many others are opening.
    pub(crate) fn add(&mut self, role: Box<dyn Role>) {
        self.unopened.push(self.connections.len());
        self.connections.push(Connection::new(role));
    }

    /// Connections added so far.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Lets every role begin.
    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.shared.running = true;
        for at in 0..self.connections.len() {
            if self.connections[at].is_open() {
                self.call(at, |role, io| role.handle_start(io));
            }
            self.settle(at)?;
        }
        Ok(())
    }

    /// Runs for `duration`.
    pub(crate) fn run_for(&mut self, duration: Duration) -> io::Result<()> {
        self.run_until(duration, |_| false).map(drop)
    }

    /// Runs until `done`, at most for `limit`; returns whether it is done.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Shared) -> bool,
    ) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        while !done(&self.shared) {
            let now = Instant::now();
            if now >= deadline {
                return Ok(false);
            }
            self.open_some()?;
            self.turn(deadline - now)?;
        }
        Ok(true)
    }

    fn turn(&mut self, limit: Duration) -> io::Result<()> {
        let timeout = match self.unread.is_empty() {
            true => self.until_wake(limit),
            false => Duration::ZERO,
        };
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        for at in std::mem::take(&mut self.unread) {
            self.handle_readable(at)?;
        }
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(at) = event.token();
            if self.connections[at].opening && (event.is_writable() || event.is_error()) {
                self.handle_opened(at)?;
            } else if event.is_writable() {
                self.flush(at)?;
            }
            if event.is_readable() || event.is_read_closed() {
                self.connections[at].ending |= event.is_read_closed() || event.is_error();
                self.handle_readable(at)?;
            }
        }
        self.events = events;
        self.handle_wakes()
    }

    fn until_wake(&self, limit: Duration) -> Duration {
        match self.shared.wakes.peek() {
            Some(Reverse((at_ns, _))) => {
                let left = Duration::from_nanos(at_ns.saturating_sub(self.shared.now_ns()));
                left.min(limit)
            }
            None => limit,
        }
    }

    fn handle_wakes(&mut self) -> io::Result<()> {
        while let Some(&Reverse((at_ns, at))) = self.shared.wakes.peek() {
            if at_ns > self.shared.now_ns() {
                break;
            }
            self.shared.wakes.pop();
            if self.connections[at].socket.is_none() {
                self.unopened.push(at);
            } else if self.connections[at].is_open() {
                self.call(at, |role, io| role.handle_wake(io));
                self.settle(at)?;
            }
        }
        Ok(())
    }

    /// Opens waiting connections, few enough at a time that a listen queue holds them.
    fn open_some(&mut self) -> io::Result<()> {
        while self.opening < OPENING_MAX {
            let Some(at) = self.unopened.pop() else {
                break;
            };
            if self.connections[at].socket.is_some() {
                continue;
            }
            let mut socket = TcpStream::connect(self.shared.target.address)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, Token(at), interest)?;
            self.connections[at].socket = Some(Wire::new(socket, &self.shared.target)?);
            self.connections[at].opening = true;
            self.opening += 1;
        }
        Ok(())
    }

    fn handle_opened(&mut self, at: usize) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let Some(socket) = connection.socket.as_ref().map(Wire::socket) else {
            return Ok(());
        };
        if let Some(error) = socket.take_error()? {
            self.shared.note_error(&format!("connect: {error}"));
            return self.close(at);
        }
        if socket.peer_addr().is_err() {
            return Ok(());
        }
        socket.set_nodelay(true)?;
        connection.opening = false;
        self.opening -= 1;
        self.call(at, |role, io| role.handle_open(io));
        self.settle(at)
    }

    fn handle_readable(&mut self, at: usize) -> io::Result<()> {
        for _ in 0..READS_PER_TURN {
            let connection = &mut self.connections[at];
            let Some(socket) = &mut connection.socket else {
                return Ok(());
            };
            let reads_all = socket.reads_all();
            let len = match socket.read(&mut self.scratch) {
                Ok(0) => return self.handle_eof(at),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.settle(at),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.shared.note_error(&format!("read: {}", error.kind()));
                    return self.close(at);
                }
            };
            if !self.feed(at, len)? {
                return Ok(());
            }
            // Less than asked for means that the socket is empty, and saves asking again.
            if reads_all && len < self.scratch.len() && !self.connections[at].ending {
                return self.settle(at);
            }
        }
        self.unread.push(at);
        self.settle(at)
    }

    /// Hands `len` bytes of the scratch buffer to the role; returns whether it stays open.
    fn feed(&mut self, at: usize, len: usize) -> io::Result<bool> {
        let connection = &mut self.connections[at];
        let mut carry = std::mem::take(&mut connection.carry);
        let read = &self.scratch[..len];
        let carried = !carry.is_empty();
        if carried {
            carry.extend_from_slice(read);
        }
        let mut input = if carried { &carry[..] } else { read };
        let mut io = Io {
            connection: at,
            out: &mut connection.out,
            shared: &mut self.shared,
        };
        let mut stay_open = true;
        loop {
            match connection.parser.poll_piece(&mut input) {
                Ok(Some(Piece::Head(head))) => {
                    connection.close_after |= head.close;
                    connection.role.handle_head(&mut io, &head);
                }
                Ok(Some(Piece::Body(body))) => connection.role.handle_body(&mut io, body),
                Ok(Some(Piece::End)) => {
                    connection.role.handle_end(&mut io);
                    if connection.close_after {
                        stay_open = false;
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    io.shared.note_error(&error.to_string());
                    stay_open = false;
                    break;
                }
            }
        }
        let rest = input.len();
        if carried {
            carry.drain(..carry.len() - rest);
        } else {
            carry.extend_from_slice(&self.scratch[len - rest..len]);
        }
        connection.carry = carry;
        if !stay_open {
            self.close(at)?;
        }
        Ok(stay_open)
    }

    fn handle_eof(&mut self, at: usize) -> io::Result<()> {
        if !self.connections[at].parser.may_end_here() {
            self.shared.note_error("answer cut short");
        }
        self.close(at)
    }

    fn close(&mut self, at: usize) -> io::Result<()> {
        if std::mem::take(&mut self.connections[at].opening) {
            self.opening -= 1;
        }
        let after = self.call(at, |role, io| role.handle_close(io));
        self.connections[at].reset();
        if after == After::Reconnect {
            let at_ns = self.shared.now_ns() + RECONNECT_DELAY_NS;
            self.shared.wakes.push(Reverse((at_ns, at)));
        }
        Ok(())
    }

    /// Sends what the role has written.
    fn settle(&mut self, at: usize) -> io::Result<()> {
        match self.connections[at].out.is_empty() {
            true => Ok(()),
            false => self.flush(at),
        }
    }

    fn flush(&mut self, at: usize) -> io::Result<()> {
        let connection = &mut self.connections[at];
        let Some(socket) = &mut connection.socket else {
            return Ok(());
        };
        while connection.sent < connection.out.len() {
            match socket.write(&connection.out[connection.sent..]) {
                Ok(len) => connection.sent += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.shared.note_error(&format!("write: {}", error.kind()));
                    return self.close(at);
                }
            }
        }
        connection.out.clear();
        connection.sent = 0;
        // What is encrypted and waits leaves with the next look at a socket that takes more.
        match socket.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                self.shared.note_error(&format!("write: {}", error.kind()));
                self.close(at)
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Calls the role of connection `at`.
    fn call<T>(&mut self, at: usize, handle: impl FnOnce(&mut dyn Role, &mut Io<'_>) -> T) -> T {
        let connection = &mut self.connections[at];
        let mut io = Io {
            connection: at,
            out: &mut connection.out,
            shared: &mut self.shared,
        };
        handle(connection.role.as_mut(), &mut io)
    }
}

/// One keep-alive connection.
struct Connection {
    socket: Option<Wire<TcpStream>>,
    opening: bool,
    /// The peer has closed its side: reads go on until they return nothing.
    ending: bool,
    close_after: bool,
    parser: ResponseParser,
    /// Start of a head or chunk line whose end has not arrived.
    carry: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    role: Box<dyn Role>,
}

impl Connection {
    fn new(role: Box<dyn Role>) -> Self {
        Self {
            socket: None,
            opening: false,
            ending: false,
            close_after: false,
            parser: ResponseParser::default(),
            carry: Vec::new(),
            out: Vec::new(),
            sent: 0,
            role,
        }
    }

    fn is_open(&self) -> bool {
        self.socket.is_some() && !self.opening
    }

    fn reset(&mut self) {
        self.socket = None;
        self.opening = false;
        self.ending = false;
        self.close_after = false;
        self.parser = ResponseParser::default();
        self.carry.clear();
        self.out.clear();
        self.sent = 0;
    }
}

const EVENTS_MAX: usize = 1024;
/// Fits the second-level cache of the machines we measure on.
const READ_BYTES: usize = 256 * 1024;
/// Bounds how long one fast connection keeps the others waiting.
const READS_PER_TURN: usize = 16;
/// Connections that may be opening at one time.
const OPENING_MAX: usize = 512;
const RECONNECT_DELAY_NS: u64 = 10_000_000;
