//! One connection, byte by byte if need be.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::{Events, PATIENCE, Request, Response};

/// A connection to the server.
pub struct Connection {
    pub socket: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Self {
            socket,
            received: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).unwrap();
    }

    /// Sends bytes as they are, to a server that may have gone.
    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.socket.write_all(bytes.as_ref()).is_ok()
    }

    /// Says that nothing more will be sent.
    #[track_caller]
    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends a request and reads its answer.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Response {
        // An early refusal may come before the whole request is taken.
        let _ = self.socket.write_all(&request.bytes());
        self.answer_to(&request.method)
    }

    /// Reads the answer to a request that may have a body.
    #[track_caller]
    pub fn answer(&mut self) -> Response {
        self.answer_to("GET")
    }

    /// Reads the answer to a request of some method, unless the connection ends instead.
    #[track_caller]
    pub fn try_answer(&mut self, method: &str) -> Option<Response> {
        if self.received.is_empty() && !self.more() {
            return None;
        }
        Some(self.answer_to(method))
    }

    /// Reads the answer to a request of some method.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Response {
        let mut response = self.head();
        let empty = method == "HEAD" || matches!(response.status, 100 | 204 | 304);
        if response.header("transfer-encoding").is_some() {
            while let Some(chunk) = self.chunk() {
                response.body.extend_from_slice(&chunk);
            }
        } else if empty {
            if response.status == 204 {
                assert_eq!(response.header("content-length"), None, "{response:?}");
            }
        } else {
            let len = response.header("content-length").expect("a length");
            response.body = self.exactly(len.parse().unwrap());
        }
        response
    }

    /// Reads the head of an answer, and checks what all have in common.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n\r\n") {
                break at;
            }
            assert!(
                self.more(),
                "the connection ended before an answer: {:?}",
                self.received
            );
        };
        let head = self.exactly(end + 4);
        let response = Response::parse(&head[..end]);
        if response.status != 100 {
            // Security and browsers.
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(
                response.header("cross-origin-resource-policy"),
                Some("cross-origin")
            );
            assert!(response.header("date").is_some());
        }
        response
    }

    /// Sends a request for an event stream, which must be one.
    #[track_caller]
    pub fn follow(mut self, request: &Request) -> Events {
        self.write(request.bytes());
        let head = self.head().expect(200);
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        Events::new(self, head)
    }

    /// Reads a chunk of a body; `None` at the end of the body.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(at) = find(&self.received, b"\r\n") {
                break at;
            }
            assert!(self.more(), "the connection ended within a body");
        };
        let line = self.exactly(end + 2);
        let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
        let mut chunk = self.exactly(size + 2);
        assert_eq!(chunk.split_off(size), b"\r\n");
        (size > 0).then_some(chunk)
    }

    /// Returns whether the server closes the connection without another byte.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        !self.more() && self.received.is_empty()
    }

    /// Reads until the server closes.
    pub fn rest(mut self) -> Vec<u8> {
        while self.more() {}
        self.received
    }

    #[track_caller]
    fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            assert!(
                self.more(),
                "the connection ended within an answer: {:?}",
                self.received
            );
        }
        self.received.drain(..len).collect()
    }

    /// Receives something; false at the end.
    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.socket.read(&mut buffer) {
            Ok(len) => {
                self.received.extend_from_slice(&buffer[..len]);
                len > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
