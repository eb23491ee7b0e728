//! Datagrams from and to the network, many at a time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

/// One socket for media.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    is_ipv4: bool,
    /// Whether there may be something to receive.
    readable: bool,
    /// Whether something may be sent.
    writable: bool,
    /// What is to be sent, oldest first.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// Datagrams that the system did not take in time, or not at all.
    unsent: u64,
}

/// Bytes of the longest datagram that is taken in. What browsers send fits into a packet of Ethernet.
pub const DATAGRAM_BYTES_MAX: usize = 2_048;
/// Datagrams that wait for the system to take them; above, the oldest is dropped.
const WAITING_MAX: usize = 8_192;
/// Datagrams handed to the system by one call.
const BATCH: usize = 64;

impl Udp {
    /// Takes over a socket that does not block.
    pub fn new(socket: std::net::UdpSocket, registry: &Registry, token: Token) -> io::Result<Self> {
        let is_ipv4 = socket.local_addr()?.is_ipv4();
        let mut socket = UdpSocket::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self {
            socket,
            is_ipv4,
            readable: true,
            writable: true,
            waiting: VecDeque::new(),
            unsent: 0,
        })
    }

    /// Takes note of what the system says.
    pub const fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Returns whether there may be something to receive.
    pub const fn is_readable(&self) -> bool {
        self.readable
    }

    /// Returns whether datagrams for an address can go out here.
    pub const fn reaches(&self, destination: SocketAddr) -> bool {
        self.is_ipv4 == destination.is_ipv4()
    }

    /// Returns how many datagrams the system did not take.
    pub const fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Receives a datagram, if there is one: its length, and where it is from.
    pub fn receive(
        &mut self,
        into: &mut [u8; DATAGRAM_BYTES_MAX + 1],
    ) -> Option<(usize, SocketAddr)> {
        while self.readable {
            match self.socket.recv_from(into) {
                // What is longer was cut off, and is of nobody who means well.
                Ok((len, _)) if len > DATAGRAM_BYTES_MAX => {}
                Ok((len, from)) => {
                    let ip = from.ip().to_canonical();
                    return Some((len, SocketAddr::new(ip, from.port())));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // It is about something that was sent, if anything.
                    tracing::trace!(%error, "a datagram was not received");
                    return None;
                }
            }
        }
        None
    }

    /// Has a datagram wait for [`flush`](Self::flush), or for enough others to go with.
    pub fn push(&mut self, destination: SocketAddr, bytes: Vec<u8>) {
        if self.waiting.len() == WAITING_MAX {
            self.waiting.pop_front();
            self.unsent += 1;
        }
        let destination = match (self.is_ipv4, destination.ip()) {
            (false, IpAddr::V4(ip)) => {
                let ip: Ipv6Addr = ip.to_ipv6_mapped();
                SocketAddr::new(ip.into(), destination.port())
            }
            (true | false, _) => destination,
        };
        self.waiting.push_back((destination, bytes));
        if self.waiting.len().is_multiple_of(BATCH) {
            self.flush();
        }
    }

    /// Sends what waits, as far as the system takes it.
    pub fn flush(&mut self) {
        while self.writable && !self.waiting.is_empty() {
            let first = self.waiting.iter().take(BATCH);
            match send_many(&self.socket, first) {
                Ok(sent) => drop(self.waiting.drain(..sent.min(self.waiting.len()))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::trace!(%error, "a datagram was not sent");
                    self.waiting.pop_front();
                    self.unsent += 1;
                }
            }
        }
    }
}

/// Sends datagrams until the system takes no more; returns how many it took, at least one.
///
/// # Errors
/// Why it did not take the first.
#[cfg(target_os = "linux")]
fn send_many<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = &'a (SocketAddr, Vec<u8>)>,
) -> io::Result<usize> {
    use rustix::net::{
        MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, addr::SocketAddrArg as _, sendmmsg,
    };
    let (addresses, slices): (Vec<SocketAddrAny>, Vec<[io::IoSlice<'_>; 1]>) = datagrams
        .map(|(to, bytes)| (to.as_any(), [io::IoSlice::new(bytes)]))
        .unzip();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = addresses
        .iter()
        .map(|_| SendAncillaryBuffer::default())
        .collect();
    let parts = addresses.iter().zip(&slices).zip(&mut controls);
    let mut messages: Vec<MMsgHdr<'_>> = parts
        .map(|((to, slice), control)| MMsgHdr::new_with_addr(to, slice, control))
        .collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
fn send_many<'a>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = &'a (SocketAddr, Vec<u8>)>,
) -> io::Result<usize> {
    let mut sent = 0;
    for (to, bytes) in datagrams {
        match socket.send_to(bytes, *to) {
            Ok(_) => sent += 1,
            Err(error) if sent == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(sent)
}
