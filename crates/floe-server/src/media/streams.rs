//! All connections that bring media over TCP.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::tcp::{Ended, RECEIVE_BYTES, Stream};

/// The connections, by token and by who is at the other end.
#[derive(Debug)]
pub struct Streams {
    all: Slab<Stream>,
    by_peer: HashMap<SocketAddr, usize>,
    buffer: Box<[u8; RECEIVE_BYTES]>,
    /// Those that may have something.
    ready: Vec<usize>,
    /// Those that are to send something.
    touched: Vec<usize>,
    /// Frames that nobody took in time.
    dropped: u64,
}

/// Connections at once; above, a new one is closed.
const STREAMS_MAX: usize = 4_096;
/// Of those, how many may have brought nothing that is somebody's; above, the one that is there for
/// longest goes.
const UNKNOWN_MAX: usize = 256;
/// The first token; those below are of sockets for datagrams.
const FIRST: usize = 1 << 16;

impl Streams {
    /// Begins with none.
    pub fn new() -> Self {
        Self {
            all: Slab::new(),
            by_peer: HashMap::new(),
            buffer: Box::new([0; RECEIVE_BYTES]),
            ready: Vec::new(),
            touched: Vec::new(),
            dropped: 0,
        }
    }

    /// Takes a connection over, and what was read of it.
    pub fn open(
        &mut self,
        socket: std::net::TcpStream,
        first: Vec<u8>,
        registry: &Registry,
        now: Instant,
    ) -> io::Result<()> {
        if self.all.len() >= STREAMS_MAX {
            tracing::debug!("a connection for media is one too many");
            return Ok(());
        }
        let unknown = self.all.iter().filter(|(_, stream)| !stream.is_known);
        if unknown.clone().count() >= UNKNOWN_MAX
            && let Some((oldest, _)) = unknown.min_by_key(|(_, stream)| stream.heard_at)
        {
            self.close(oldest, registry);
        }
        let entry = self.all.vacant_entry();
        let at = entry.key();
        let stream = Stream::new(socket, first, registry, Token(FIRST + at), now)?;
        let peer = stream.peer();
        entry.insert(stream);
        if let Some(before) = self.by_peer.insert(peer, at) {
            self.close(before, registry);
            self.by_peer.insert(peer, at);
        }
        self.ready.push(at);
        Ok(())
    }

    /// Takes note of what the system says of a token.
    pub fn ready(&mut self, token: Token, readable: bool, writable: bool) {
        let at = token.0.checked_sub(FIRST);
        let Some((at, stream)) = at.and_then(|at| Some((at, self.all.get_mut(at)?))) else {
            return;
        };
        stream.ready(readable, writable);
        if readable {
            self.ready.push(at);
        }
        if writable {
            self.touched.push(at);
        }
    }

    /// Returns whether there may be something to receive.
    pub fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Has all of them looked at, where it is not known any more which have something.
    pub fn look_at_all(&mut self) {
        self.ready = self.all.iter().map(|(at, _)| at).collect();
    }

    /// Takes in what there is, a step of each connection.
    pub fn receive(
        &mut self,
        registry: &Registry,
        now: Instant,
        mut take: impl FnMut(SocketAddr, &[u8]) -> bool,
    ) {
        let mut ready = std::mem::take(&mut self.ready);
        ready.sort_unstable();
        ready.dedup();
        for at in ready {
            let Some(stream) = self.all.get_mut(at) else {
                continue;
            };
            match stream.receive(&mut self.buffer, now, &mut take) {
                Ok(()) if stream.is_readable() => self.ready.push(at),
                Ok(()) => {}
                Err(Ended) => self.close(at, registry),
            }
        }
    }

    /// Has a datagram wait to be sent to who is at an address. Where nobody is, it is dropped.
    pub fn push(&mut self, destination: SocketAddr, datagram: &[u8]) {
        let Some(&at) = self.by_peer.get(&destination) else {
            self.dropped += 1;
            return;
        };
        if let Some(stream) = self.all.get_mut(at) {
            self.dropped += stream.push(datagram);
        }
        if self.touched.last() != Some(&at) {
            self.touched.push(at);
        }
    }

    /// Sends what waits.
    pub fn flush(&mut self, registry: &Registry) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for at in touched {
            let flushed = self.all.get_mut(at).map(Stream::flush);
            if flushed == Some(Err(Ended)) {
                self.close(at, registry);
            }
        }
    }

    /// Closes those that were silent for too long.
    pub fn time_out(&mut self, registry: &Registry, now: Instant) {
        let late = self.all.iter().filter(|(_, one)| one.deadline() <= now);
        let late: Vec<usize> = late.map(|(at, _)| at).collect();
        for at in late {
            self.close(at, registry);
        }
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Returns how many frames nobody took in time.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn close(&mut self, at: usize, registry: &Registry) {
        let Some(stream) = self.all.try_remove(at) else {
            return;
        };
        self.by_peer.remove(&stream.peer());
        stream.close(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tcp::{PROOF, SILENCE};
    use mio::Poll;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    /// All connect to one port, so that no two are from the same address.
    fn listen() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    /// Connects a browser that says something first.
    fn connect(
        (listener, streams, poll): (&TcpListener, &mut Streams, &Poll),
        now: Instant,
        first: &[u8],
    ) -> TcpStream {
        let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let opened = streams.open(near, first.to_vec(), poll.registry(), now);
        opened.unwrap();
        far
    }

    #[test]
    fn who_proves_nothing_has_little_time_and_who_does_may_pause() {
        let (poll, start) = (Poll::new().unwrap(), Instant::now());
        let mut streams = Streams::new();
        let listener = listen();
        let frame = [0, 3, b'a', b'n', b'n'];
        let known = connect((&listener, &mut streams, &poll), start, &frame);
        let stranger = connect(
            (&listener, &mut streams, &poll),
            start,
            &[0, 3, b'x', b'y', b'z'],
        );
        let mut seen = Vec::new();
        streams.receive(poll.registry(), start, |from, frame| {
            seen.push((from, frame.to_vec()));
            frame == b"ann"
        });
        seen.sort_by_key(|(_, frame)| frame.clone());
        let expected = [(&known, b"ann"), (&stranger, b"xyz")];
        let expected = expected.map(|(from, frame)| (from.local_addr().unwrap(), frame.to_vec()));
        assert_eq!(seen, expected);
        streams.time_out(poll.registry(), start + PROOF / 2);
        assert_eq!(streams.count(), 2);
        streams.time_out(poll.registry(), start + PROOF);
        assert_eq!(streams.count(), 1);
        streams.push(stranger.local_addr().unwrap(), b"to nobody");
        assert_eq!(streams.dropped(), 1);
        streams.time_out(poll.registry(), start + SILENCE);
        assert_eq!(streams.count(), 0);
    }

    #[test]
    fn the_oldest_that_proved_nothing_makes_room_for_the_next() {
        let (poll, start) = (Poll::new().unwrap(), Instant::now());
        let mut streams = Streams::new();
        let listener = listen();
        let mut far = Vec::new();
        for at in 0..=UNKNOWN_MAX as u64 {
            let now = start + std::time::Duration::from_millis(at);
            far.push(connect((&listener, &mut streams, &poll), now, &[0]));
        }
        assert_eq!(streams.count(), UNKNOWN_MAX);
        let first = far[0].local_addr().unwrap();
        assert!(!streams.by_peer.contains_key(&first));
    }

    #[test]
    fn what_comes_while_nobody_looks_is_found_again() {
        let (poll, start) = (Poll::new().unwrap(), Instant::now());
        let mut streams = Streams::new();
        let listener = listen();
        let mut far = connect((&listener, &mut streams, &poll), start, &[]);
        streams.receive(poll.registry(), start, |_, _| true);
        assert!(!streams.is_readable());
        far.write_all(&[0, 1, 7]).unwrap();
        let mut seen = Vec::new();
        while seen.is_empty() {
            streams.look_at_all();
            for (_, stream) in &mut streams.all {
                stream.ready(true, true);
            }
            streams.receive(poll.registry(), start, |_, frame| {
                seen.extend_from_slice(frame);
                true
            });
        }
        assert_eq!(seen, [7]);
    }
}
