//! A connection as the generator has it: plain, or with TLS around it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::target::Target;

/// A connection to a target over a socket of the kind `S`.
#[derive(Debug)]
pub(crate) enum Wire<S: Read + Write> {
    /// What is written is what is sent.
    Plain(S),
    /// What is sent is encrypted.
    Secure(Box<StreamOwned<ClientConnection, S>>),
}

impl<S: Read + Write> Wire<S> {
    /// Speaks over a socket as the target's URL says. A handshake begins with the first write.
    pub(crate) fn new(socket: S, target: &Target) -> io::Result<Self> {
        let Some(name) = &target.secure else {
            return Ok(Self::Plain(socket));
        };
        let tls = session(name.clone())?;
        Ok(Self::Secure(Box::new(StreamOwned::new(tls, socket))))
    }

    /// Returns the socket.
    pub(crate) fn socket(&self) -> &S {
        match self {
            Self::Plain(socket) => socket,
            Self::Secure(tls) => &tls.sock,
        }
    }

    /// Returns whether a read that brought less than there was room for has emptied the socket.
    pub(crate) const fn reads_all(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Wire<std::net::TcpStream> {
    /// Connects, and waits for what it reads up to `timeout`.
    pub(crate) fn connect(target: &Target, timeout: Duration) -> io::Result<Self> {
        let address: SocketAddr = target.address;
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_read_timeout(Some(timeout))?;
        Self::new(socket, target)
    }
}

impl<S: Read + Write> Read for Wire<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            // Whoever ends without a word has ended all the same: what is missing is noticed by
            // whoever reads the answer.
            Self::Secure(tls) => match tls.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl<S: Read + Write> Write for Wire<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Secure(tls) => match tls.write(bytes)? {
                // There is no room for more before some of it has left.
                0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
                len => Ok(len),
            },
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Secure(tls) => tls.flush(),
        }
    }
}

fn session(name: ServerName<'static>) -> io::Result<ClientConnection> {
    ClientConnection::new(Arc::clone(crate::tls::config()), name).map_err(io::Error::other)
}
