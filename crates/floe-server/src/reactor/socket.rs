//! The two kinds of socket a connection may have.

use std::io::{self, IoSlice, Read, Write};

use mio::event::Source;
use mio::{Interest, Registry, Token};

/// A connected, non-blocking socket.
#[derive(Debug)]
pub enum Socket {
    /// From the network.
    Tcp(mio::net::TcpStream),
    /// From the gateway of the same process.
    Local(mio::net::UnixStream),
    /// With a thread that sends to it, for as long as the loop waits for that thread.
    Lent,
}

/// Says that a socket is not there.
fn lent() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Socket {
    /// Says that nothing more will be sent.
    pub fn shutdown_write(&self) {
        // The peer may be gone already, which is as good.
        let _ = match self {
            Self::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Self::Local(socket) => socket.shutdown(std::net::Shutdown::Write),
            Self::Lent => Ok(()),
        };
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buffer),
            Self::Local(socket) => socket.read(buffer),
            Self::Lent => Err(lent()),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Local(socket) => socket.write(bytes),
            Self::Lent => Err(lent()),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write_vectored(slices),
            Self::Local(socket) => socket.write_vectored(slices),
            Self::Lent => Err(lent()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Socket {
    fn register(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.register(registry, token, interests),
            Self::Local(socket) => socket.register(registry, token, interests),
            Self::Lent => Err(lent()),
        }
    }

    fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.reregister(registry, token, interests),
            Self::Local(socket) => socket.reregister(registry, token, interests),
            Self::Lent => Err(lent()),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => socket.deregister(registry),
            Self::Local(socket) => socket.deregister(registry),
            Self::Lent => Err(lent()),
        }
    }
}
