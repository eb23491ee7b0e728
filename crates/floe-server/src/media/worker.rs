//! The thread for media.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use floe_core::voice::Features;
use floe_media::{Datagram, Forwarder, Protocol, Transmit};
use mio::{Events, Poll, Token, Waker};

use super::bound::Bound;
use super::link::Link;
use super::udp::{DATAGRAM_BYTES_MAX, Udp};

/// A forwarder with its sockets.
#[derive(Debug)]
pub struct Worker {
    poll: Poll,
    link: Arc<Link>,
    forwarder: Forwarder,
    sockets: Vec<Udp>,
    /// By which socket datagrams came, where there are several of a kind.
    routes: HashMap<SocketAddr, usize>,
    received: Box<[u8; DATAGRAM_BYTES_MAX + 1]>,
}

const WAKER: Token = Token(usize::MAX);
/// Events taken from the system in one turn.
const EVENTS_STEP: usize = 256;
/// Datagrams taken from one socket before what comes of them is sent.
const RECEIVE_STEP: usize = 64;
/// How long it sleeps at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// Addresses whose sockets are known; above, all are forgotten, and learned anew.
const ROUTES_MAX: usize = 65_536;

impl Worker {
    /// Makes it; [`run`](Self::run) runs it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(bound: Bound, event_loop: &Arc<Waker>) -> io::Result<(Self, Arc<Link>, Features)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let link = Arc::new(Link::new(waker, Arc::clone(event_loop)));
        let Bound { sockets, config } = bound;
        let sockets = sockets.into_iter().enumerate();
        let sockets = sockets
            .map(|(at, socket)| Udp::new(socket, poll.registry(), Token(at)))
            .collect::<io::Result<Vec<_>>>()?;
        let forwarder = Forwarder::new(config).map_err(io::Error::other)?;
        let features = forwarder.features();
        let worker = Self {
            poll,
            link: Arc::clone(&link),
            forwarder,
            sockets,
            routes: HashMap::new(),
            received: Box::new([0; DATAGRAM_BYTES_MAX + 1]),
        };
        Ok((worker, link, features))
    }

    /// Runs until it is asked to end.
    pub fn run(mut self) {
        // Whatever ends the thread, nobody goes on asking it.
        let _ends = Ends(Arc::clone(&self.link));
        let mut events = Events::with_capacity(EVENTS_STEP);
        while !self.link.is_stopping() {
            match self.poll.poll(&mut events, Some(self.patience())) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "media are carried no more");
                    return;
                }
            }
            for event in &events {
                if let Some(socket) = self.sockets.get_mut(event.token().0) {
                    socket.ready(event.is_readable(), event.is_writable());
                }
            }
            self.turn();
        }
    }

    /// Does all that there is to do, a step of it where there is much.
    fn turn(&mut self) {
        for input in self.link.take_inputs() {
            self.forwarder.handle(Instant::now(), input);
            self.send();
        }
        for at in 0..self.sockets.len() {
            self.receive(at);
            self.send();
        }
        let now = Instant::now();
        if self.forwarder.poll_timeout().is_some_and(|due| due <= now) {
            self.forwarder.handle_timeout(now);
            self.send();
        }
        let forwarder = &mut self.forwarder;
        self.link
            .say(std::iter::from_fn(|| forwarder.poll_output()));
    }

    /// Takes in what a socket has, a step of it.
    fn receive(&mut self, at: usize) {
        let now = Instant::now();
        let many = self.sockets.len() > 1;
        let Some(socket) = self.sockets.get_mut(at) else {
            return;
        };
        for _ in 0..RECEIVE_STEP {
            let Some((len, source)) = socket.receive(&mut self.received) else {
                return;
            };
            let datagram = Datagram {
                protocol: Protocol::Udp,
                source,
                bytes: &self.received[..len],
            };
            let is_known = self.forwarder.receive(now, datagram);
            if many && is_known {
                if self.routes.len() >= ROUTES_MAX {
                    self.routes.clear();
                }
                self.routes.insert(source, at);
            }
        }
    }

    /// Sends what the forwarder has to send.
    fn send(&mut self) {
        while let Some(transmit) = self.forwarder.poll_transmit() {
            let Transmit {
                protocol,
                destination,
                bytes,
            } = transmit;
            match protocol {
                Protocol::Udp => {
                    let at = self.route(destination);
                    if let Some(socket) = self.sockets.get_mut(at) {
                        socket.push(destination, bytes.into());
                    }
                }
                // Nothing comes by them.
                Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => {}
            }
        }
        for socket in &mut self.sockets {
            socket.flush();
        }
    }

    /// Returns the socket by which something goes to an address: the one by which it came, or else the
    /// first that can.
    fn route(&self, destination: SocketAddr) -> usize {
        let known = self.routes.get(&destination).copied();
        known.unwrap_or_else(|| {
            let mut sockets = self.sockets.iter();
            let reaches = sockets.position(|socket| socket.reaches(destination));
            reaches.unwrap_or_default()
        })
    }

    /// Returns how long it may sleep.
    fn patience(&self) -> Duration {
        if self.sockets.iter().any(Udp::is_readable) {
            return Duration::ZERO;
        }
        let due = self.forwarder.poll_timeout();
        let due = due.map(|due| due.saturating_duration_since(Instant::now()));
        due.map_or(PATIENCE, |wait| wait.min(PATIENCE))
    }
}

/// Says at its end that nothing is carried any more.
#[derive(Debug)]
struct Ends(Arc<Link>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.end();
    }
}
