//! One WebSocket, from its handshake to its end.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use floe_surfaces::http::Method;
use floe_surfaces::ws::{Decoder, Item, Offer, Opcode, Role, handshake, write_masked};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::Address;
use crate::error::Refusal;
use crate::tls;

/// An open WebSocket of the live protocol.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Box<dyn Wire>,
    decoder: Decoder,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have come and were not looked at.
    came: std::ops::Range<usize>,
    /// Bytes that the network has not taken.
    out: Vec<u8>,
    /// Whether bytes that the stream has taken may not have left yet.
    unflushed: bool,
}

/// What a WebSocket goes over.
trait Wire: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Wire for T {}

/// What came over a WebSocket.
#[derive(Debug)]
pub(super) enum Heard {
    /// A frame.
    Frame(String),
    /// The server closed it, with this code.
    Closed(Option<u16>),
}

/// Why there is no WebSocket.
#[derive(Debug)]
pub(super) enum OpenError {
    /// The server answered, but not with a WebSocket.
    Refused(Refusal),
    /// There is no server, or none that can be understood.
    Io(io::Error),
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Socket {
    /// Connects and shakes hands.
    pub(super) async fn open(address: &Address, api_key: Option<&str>) -> Result<Self, OpenError> {
        let opening = Self::shake_hands(address, api_key);
        match tokio::time::timeout(OPEN_TIMEOUT, opening).await {
            Ok(opened) => opened,
            Err(late) => Err(io::Error::new(io::ErrorKind::TimedOut, late).into()),
        }
    }

    async fn shake_hands(address: &Address, api_key: Option<&str>) -> Result<Self, OpenError> {
        let mut stream = connect(address).await?;
        let key = new_key();
        let fields = [
            ("Host", address.host.as_str()),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", &key),
            ("Sec-WebSocket-Protocol", PROTOCOL),
        ];
        let mut request = "GET /v1/live HTTP/1.1\r\n".to_owned();
        for (name, value) in fields {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(api_key) = api_key {
            request.push_str(&format!("Authorization: ApiKey {api_key}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;

        let mut buffer = vec![0; BUFFER_BYTES];
        let mut len = 0;
        let head_len = loop {
            let more = stream.read(&mut buffer[len..]).await?;
            if more == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            len += more;
            if let Some(head_len) = accepted(&buffer[..len], &fields)? {
                break head_len;
            }
        };
        Ok(Self {
            stream,
            decoder: Decoder::new(Role::Client, MESSAGE_BYTES_MAX),
            buffer,
            came: head_len..len,
            out: Vec::new(),
            unflushed: false,
        })
    }

    /// Sends one frame, while [`next`](Self::next) is waited for.
    pub(super) fn send(&mut self, frame: &str) {
        write_masked(&mut self.out, Opcode::Text, frame.as_bytes(), mask());
    }

    /// Returns whether there is room for more frames.
    pub(super) fn takes_more(&self) -> bool {
        self.out.len() < OUT_BYTES_MAX
    }

    /// Waits for the next frame, and sends meanwhile. Cancel safe.
    pub(super) async fn next(&mut self) -> io::Result<Heard> {
        loop {
            if let Some(heard) = self.look()? {
                return Ok(heard);
            }
            match poll_fn(|context| self.poll_network(context)).await? {
                0 => return Ok(Heard::Closed(None)),
                len => self.came = 0..len,
            }
        }
    }

    /// Sends what the network takes, and returns how much has come.
    fn poll_network(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut stream = Pin::new(&mut self.stream);
        while !self.out.is_empty() {
            let Poll::Ready(sent) = stream.as_mut().poll_write(context, &self.out)? else {
                break;
            };
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
            self.unflushed = true;
        }
        // What is encrypted may wait for the network behind what was taken.
        if self.unflushed && stream.as_mut().poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(stream.poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    fn look(&mut self) -> io::Result<Option<Heard>> {
        while !self.came.is_empty() {
            let step = self
                .decoder
                .next(&mut self.buffer[self.came.clone()])
                .map_err(io::Error::other)?;
            self.came.start += step.used;
            match step.item {
                Some(Item::Text(text)) => return Ok(Some(Heard::Frame(text.to_owned()))),
                Some(Item::Ping(payload)) => {
                    write_masked(&mut self.out, Opcode::Pong, payload, mask());
                }
                Some(Item::Close(reason)) => {
                    return Ok(Some(Heard::Closed(reason.map(|(code, _)| code))));
                }
                Some(Item::Binary(_) | Item::Pong(_)) => {}
                None => break,
            }
        }
        Ok(None)
    }
}

/// Connects, and agrees on encryption where the address says so.
async fn connect(address: &Address) -> io::Result<Box<dyn Wire>> {
    let socket = TcpStream::connect(&address.connect).await?;
    socket.set_nodelay(true)?;
    let Some(name) = &address.secure else {
        return Ok(Box::new(socket));
    };
    let tls = TlsConnector::from(Arc::clone(tls::config()));
    Ok(Box::new(tls.connect(name.clone(), socket).await?))
}

/// Looks at the answer to a handshake; returns its length once it is there and right.
fn accepted(bytes: &[u8], fields: &[(&str, &str)]) -> Result<Option<usize>, OpenError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let parsed = answer.parse(bytes).map_err(io::Error::other)?;
    let httparse::Status::Complete(len) = parsed else {
        return match bytes.len() < BUFFER_BYTES {
            true => Ok(None),
            false => Err(io::Error::other("the answer's head is too long").into()),
        };
    };
    let field = |name: &str| {
        let found = answer.headers.iter();
        let mut found = found.filter(|header| header.name.eq_ignore_ascii_case(name));
        found.next().map(|header| header.value)
    };
    let status = answer.code.unwrap_or_default();
    if status != 101 {
        return Err(OpenError::Refused(Refusal::new(status, &bytes[len..])));
    }
    // What a server has to answer to these fields, by the codec's own word.
    let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
    let offer = Offer {
        protocols: &[PROTOCOL],
        ..Offer::default()
    };
    let wanted = handshake(Method::Get, fields, &offer).map_err(io::Error::other)?;
    if field("sec-websocket-accept") != Some(&wanted.key[..]) {
        return Err(io::Error::other("the answer belongs to another handshake").into());
    }
    Ok(Some(len))
}

fn new_key() -> String {
    use base64::Engine;
    let key: [u8; 16] = fastrand::u128(..).to_ne_bytes();
    base64::engine::general_purpose::STANDARD.encode(key)
}

fn mask() -> [u8; 4] {
    fastrand::u32(..).to_ne_bytes()
}

const PROTOCOL: &str = "floe.v1.json";
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
const BUFFER_BYTES: usize = 64 << 10;
/// Above, nothing is taken on until the network has taken some of it.
const OUT_BYTES_MAX: usize = 1 << 20;
const HEADERS_MAX: usize = 48;
/// More than a server puts into one frame.
const MESSAGE_BYTES_MAX: u32 = 64 << 20;
