//! Media over TCP: frames of RFC 4571, each a datagram behind its length.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::udp::DATAGRAM_BYTES_MAX;

/// One connection that brings media.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    peer: SocketAddr,
    readable: bool,
    writable: bool,
    /// Whether a frame of it was somebody's.
    pub is_known: bool,
    /// When something came last, or since when it is there.
    pub heard_at: Instant,
    /// What came and is no whole frame yet.
    input: Vec<u8>,
    /// Frames that are to be sent, oldest first.
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
    /// Bytes of the first that were sent.
    sent: usize,
}

/// The connection is over, or is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

/// Bytes of a frame's length.
const LENGTH: usize = 2;
/// Bytes that wait to be sent; above, the oldest frame is dropped, and the browser loses a packet. More
/// would come too late to be of use.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// Bytes that the system is asked to keep of what was sent and has not arrived.
const SYSTEM_BUFFER_BYTES: usize = 128 << 10;
/// Frames handed to the system by one call.
const BATCH: usize = 32;
/// Bytes taken in before others have their turn.
pub const RECEIVE_BYTES: usize = 16 << 10;
/// How long a connection may take to bring something that is somebody's.
pub const PROOF: Duration = Duration::from_secs(10);
/// How long a connection may be silent.
pub const SILENCE: Duration = Duration::from_secs(60);

/// Returns whether a connection that begins so brings media: the length of a STUN message, which is
/// shorter than 1024 bytes. Neither HTTP nor TLS begins so.
pub const fn begins_so(first: u8) -> bool {
    first < 4
}

impl Stream {
    /// Takes over a connection of which something has been read.
    ///
    /// # Errors
    /// The operating system's.
    pub fn new(
        socket: std::net::TcpStream,
        first: Vec<u8>,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> io::Result<Self> {
        let peer = socket.peer_addr()?;
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, SYSTEM_BUFFER_BYTES)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            readable: true,
            writable: true,
            is_known: false,
            heard_at: now,
            input: first,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent: 0,
        })
    }

    /// Returns who is at the other end.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Takes note of what the system says.
    pub const fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Returns whether there may be something more to receive.
    pub const fn is_readable(&self) -> bool {
        self.readable
    }

    /// Returns until when something must come.
    pub fn deadline(&self) -> Instant {
        self.heard_at + if self.is_known { SILENCE } else { PROOF }
    }

    /// Receives something, and hands each whole frame to `take`, which says whether it was somebody's.
    ///
    /// # Errors
    /// When the other end is gone, or sends what is no media.
    pub fn receive(
        &mut self,
        buffer: &mut [u8; RECEIVE_BYTES],
        now: Instant,
        mut take: impl FnMut(SocketAddr, &[u8]) -> bool,
    ) -> Result<(), Ended> {
        match self.socket.read(buffer) {
            Ok(0) => return Err(Ended),
            Ok(len) => {
                self.readable = len == buffer.len();
                self.input.extend_from_slice(&buffer[..len]);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Ended),
        }
        let peer = self.peer;
        let mut is_known = false;
        let used = frames(&self.input, |frame| is_known |= take(peer, frame))?;
        self.input.drain(..used);
        if is_known {
            self.heard_at = now;
            self.is_known = true;
        }
        Ok(())
    }

    /// Has a datagram wait for [`flush`](Self::flush); returns how many were dropped for it.
    pub fn push(&mut self, datagram: &[u8]) -> u64 {
        let Ok(length) = u16::try_from(datagram.len()) else {
            return 1;
        };
        let mut dropped = 0;
        while self.waiting_bytes + datagram.len() > WAITING_BYTES_MAX {
            // Of a frame that has begun to leave, the rest must follow.
            let Some(frame) = self.waiting.remove(usize::from(self.sent > 0)) else {
                return dropped + 1;
            };
            self.waiting_bytes -= frame.len();
            dropped += 1;
        }
        let mut frame = Vec::with_capacity(LENGTH + datagram.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(datagram);
        self.waiting_bytes += frame.len();
        self.waiting.push_back(frame);
        dropped
    }

    /// Sends what waits, as far as the system takes it.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn flush(&mut self) -> Result<(), Ended> {
        while self.writable && !self.waiting.is_empty() {
            let frames = self.waiting.iter().take(BATCH).enumerate();
            let slices: Vec<IoSlice<'_>> = frames
                .map(|(at, frame)| IoSlice::new(&frame[if at == 0 { self.sent } else { 0 }..]))
                .collect();
            match self.socket.write_vectored(&slices) {
                Ok(sent) => self.note_sent(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended),
            }
        }
        Ok(())
    }

    fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        while let Some(first) = self.waiting.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            self.waiting_bytes -= first.len();
            self.waiting.pop_front();
        }
    }

    /// Ends the connection.
    pub fn close(mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.socket);
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

/// Hands each whole frame to `take`; returns how many bytes they are.
fn frames(input: &[u8], mut take: impl FnMut(&[u8])) -> Result<usize, Ended> {
    let mut rest = input;
    while let Some((length, more)) = rest.split_first_chunk::<LENGTH>() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length > DATAGRAM_BYTES_MAX {
            return Err(Ended);
        }
        let Some((frame, more)) = more.split_at_checked(length) else {
            break;
        };
        if !frame.is_empty() {
            take(frame);
        }
        rest = more;
    }
    Ok(input.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Poll;
    use proptest::prelude::*;
    use std::net::TcpListener;

    fn pair(poll: &Poll) -> (Stream, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        let now = Instant::now();
        let stream = Stream::new(near, Vec::new(), poll.registry(), Token(0), now);
        (stream.unwrap(), far)
    }

    #[test]
    fn a_slow_receiver_loses_the_oldest_and_never_half_a_frame() {
        let poll = Poll::new().unwrap();
        let (mut stream, mut far) = pair(&poll);
        let mut dropped = 0;
        // More than the system and the stream keep together.
        let mut number = 0_u32;
        while dropped < 1_000 {
            let mut datagram = [0; 1_000];
            datagram[..4].copy_from_slice(&number.to_be_bytes());
            number += 1;
            dropped += stream.push(&datagram);
            stream.flush().unwrap();
            assert!(stream.waiting_bytes <= WAITING_BYTES_MAX + LENGTH);
        }
        let mut read = Vec::new();
        let mut seen = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        while seen.last() != Some(&(number - 1)) {
            stream.writable = true;
            stream.flush().unwrap();
            let len = far.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..len]);
            let used = frames(&read, |frame| {
                assert_eq!(frame.len(), 1_000);
                seen.push(u32::from_be_bytes(frame[..4].try_into().unwrap()));
            });
            read.drain(..used.unwrap());
        }
        assert!(seen.is_sorted_by(|a, b| a < b), "in order, each once");
        assert_eq!(seen.len() as u64, u64::from(number) - dropped);
    }

    #[test]
    fn a_frame_longer_than_any_datagram_ends_the_connection() {
        let long = u16::try_from(DATAGRAM_BYTES_MAX + 1).unwrap().to_be_bytes();
        assert_eq!(frames(&long, |_| {}), Err(Ended));
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_they_are_cut(
            sent in proptest::collection::vec(
                proptest::collection::vec(any::<u8>(), 1..200), 0..20),
            cut in 1_usize..50,
        ) {
            let wire: Vec<u8> = sent.iter().flat_map(|frame| {
                let length = u16::try_from(frame.len()).unwrap().to_be_bytes();
                [&length[..], frame].concat()
            }).collect();
            let (mut held, mut came) = (Vec::new(), Vec::new());
            for piece in wire.chunks(cut) {
                held.extend_from_slice(piece);
                let used = frames(&held, |frame| came.push(frame.to_vec())).unwrap();
                held.drain(..used);
            }
            prop_assert_eq!(came, sent);
            prop_assert!(held.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = frames(&bytes, |_| {});
        }
    }
}
