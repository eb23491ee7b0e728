//! A blocking client of the live protocol.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};

use floe_surfaces::http::Method;
use floe_surfaces::live::{Format, cbor};
use floe_surfaces::ws::{self, Decoder, Deflate, Item, Offer, Opcode, Role};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, Request, Response, TestServer, get};

/// A connection that speaks the live protocol.
pub struct Client {
    pub socket: TcpStream,
    format: Format,
    decoder: Decoder,
    unread: Vec<u8>,
    /// Frames that came while another was waited for, oldest first.
    passed: VecDeque<Value>,
    last_id: u64,
    /// Bytes that came.
    pub received: usize,
}

/// What a server sent.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Frame(Value),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
    /// The connection ended.
    End,
}

/// A request for a WebSocket.
pub fn upgrade() -> Request {
    get("/v1/live")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", 13)
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// What both sides agree on where a client asks for compression and nothing more.
pub fn deflate() -> Deflate {
    let fields: [(&str, &[u8]); 6] = [
        ("Host", b"a"),
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", b"permessage-deflate"),
    ];
    let offer = Offer {
        deflate: true,
        ..Offer::default()
    };
    let accept = ws::handshake(Method::Get, fields.into_iter(), &offer).unwrap();
    accept.deflate.unwrap()
}

impl Client {
    /// Connects, and reads the welcome.
    #[track_caller]
    pub fn of(server: &TestServer) -> Self {
        Self::open(server, &upgrade())
    }

    /// Connects to speak CBOR, and reads the welcome.
    #[track_caller]
    pub fn cbor(server: &TestServer) -> Self {
        let request = upgrade().field("Sec-WebSocket-Protocol", "floe.v1.cbor");
        Self::open(server, &request)
    }

    /// Connects with an API key, and reads the welcome.
    #[track_caller]
    pub fn with_key(server: &TestServer, key: &str) -> Self {
        let request = upgrade().field("Authorization", format!("ApiKey {key}"));
        Self::open(server, &request)
    }

    /// Connects by another path, and reads the welcome.
    #[track_caller]
    pub fn at(server: &TestServer, path: &str) -> Self {
        let mut request = upgrade();
        request.target = path.into();
        Self::open(server, &request)
    }

    #[track_caller]
    fn open(server: &TestServer, request: &Request) -> Self {
        let (mut client, _) = Self::greet(server, request);
        assert_eq!(client.frame()["type"], "welcome");
        client
    }

    /// Connects; returns the answer to the handshake, too, which must be an upgrade.
    #[track_caller]
    pub fn greet(server: &TestServer, request: &Request) -> (Self, Response) {
        let socket = TcpStream::connect(server.address()).unwrap();
        Self::greet_on(socket, request, &[])
    }

    /// Connects by a socket, and sends more bytes right behind the request.
    #[track_caller]
    pub fn greet_on(socket: TcpStream, request: &Request, more: &[u8]) -> (Self, Response) {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut client = Self {
            socket,
            format: Format::Json,
            decoder: Decoder::new(Role::Client, 64 << 20),
            unread: Vec::new(),
            passed: VecDeque::new(),
            last_id: 0,
            received: 0,
        };
        client.write(&[&request.bytes(), more].concat());
        let end = loop {
            let mut windows = client.unread.windows(4);
            if let Some(at) = windows.position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(client.more(), "the connection ended within the handshake");
        };
        let head: Vec<u8> = client.unread.drain(..end + 4).collect();
        let answer = Response::parse(&head[..end]).expect(101);
        client.format = Format::of_protocol(answer.header("sec-websocket-protocol"));
        if answer.header("sec-websocket-extensions").is_some() {
            client.decoder = Decoder::new(Role::Client, 64 << 20).with_deflate(Some(deflate()));
        }
        (client, answer)
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends bytes as they are, to a server that may have gone.
    pub fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }

    /// Sends one WebSocket frame.
    #[track_caller]
    pub fn send(&mut self, opcode: Opcode, payload: &[u8]) {
        self.write(&masked(opcode, payload));
    }

    /// Sends a frame of the protocol.
    #[track_caller]
    pub fn say(&mut self, frame: &Value) {
        let bytes = self.written(frame);
        self.write(&bytes);
    }

    /// Returns a frame of the protocol as bytes of the connection.
    pub fn written(&self, frame: &Value) -> Vec<u8> {
        let json = frame.to_string();
        match self.format {
            Format::Json => masked(Opcode::Text, json.as_bytes()),
            Format::Cbor => {
                let mut payload = Vec::new();
                cbor::one_from_json(json.as_bytes(), &mut payload);
                masked(Opcode::Binary, &payload)
            }
        }
    }

    /// Asks for something and returns the answer; what comes before it is kept for later.
    #[track_caller]
    pub fn ask(&mut self, mut frame: Value) -> Value {
        self.last_id += 1;
        let id = json!(self.last_id);
        frame["id"] = id.clone();
        self.say(&frame);
        self.wait_for(|frame| frame["id"] == id)
    }

    /// Asks for something that must be refused, and checks why.
    #[track_caller]
    pub fn refused(&mut self, frame: Value, code: &str) -> Value {
        let room = frame["room"].clone();
        let error = self.ask(frame);
        assert_eq!(
            (&error["type"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{error}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
        if error.get("room").is_some() {
            assert_eq!(error["room"], room);
        }
        error
    }

    /// Joins a room and returns the answer, which must be a `joined`.
    #[track_caller]
    pub fn join(&mut self, room: &str, more: Value) -> Value {
        let mut frame = json!({"type": "join", "room": room});
        for (name, value) in more.as_object().unwrap() {
            frame[name] = value.clone();
        }
        let joined = self.ask(frame);
        assert_eq!(joined["type"], "joined", "{joined}");
        joined
    }

    /// Appends to a channel and returns the sequence number.
    #[track_caller]
    pub fn append(&mut self, room: &str, author: &str, content: &str) -> u64 {
        let ack = self.ask(json!({
            "type": "append", "room": room, "authorId": author, "content": content,
        }));
        assert_eq!(ack["type"], "ack", "{ack}");
        ack["seq"].as_u64().unwrap()
    }

    /// Returns the next frame, whatever it is.
    #[track_caller]
    pub fn frame(&mut self) -> Value {
        match self.passed.pop_front() {
            Some(frame) => frame,
            None => self.next_frame(),
        }
    }

    /// Returns the first frame of a kind; what comes before it is kept for later.
    #[track_caller]
    pub fn next_of(&mut self, kind: &str) -> Value {
        self.wait_for(|frame| frame["type"] == kind)
    }

    /// Returns the first frame that is wanted; what comes before it is kept for later.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.passed.iter().position(&wanted) {
            return self.passed.remove(at).unwrap();
        }
        loop {
            let frame = self.next_frame();
            if wanted(&frame) {
                return frame;
            }
            self.passed.push_back(frame);
        }
    }

    /// Returns all that the server has sent before it answers a question that comes now.
    #[track_caller]
    pub fn so_far(&mut self) -> Vec<Value> {
        let pong = self.ask(json!({"type": "ping"}));
        assert_eq!(pong["type"], "pong");
        self.passed.drain(..).collect()
    }

    /// Returns the frames that came while others were waited for.
    pub fn take_passed(&mut self) -> Vec<Value> {
        self.passed.drain(..).collect()
    }

    /// Reads events of one room until `seq`; returns those of all frames. Other frames are kept.
    #[track_caller]
    pub fn events_until(&mut self, room: &str, seq: u64) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let frame = self.wait_for(|frame| frame["type"] == "events" && frame["room"] == room);
            all.extend(frame["events"].as_array().unwrap().iter().cloned());
            let next = frame["next"].as_u64().unwrap();
            assert!(next <= seq, "{frame}");
            if next == seq {
                return all;
            }
        }
    }

    /// Returns what comes next. Pings are answered.
    #[track_caller]
    fn next_frame(&mut self) -> Value {
        loop {
            match self.hear() {
                Heard::Frame(frame) => return frame,
                Heard::Ping(payload) => self.send(Opcode::Pong, &payload),
                Heard::Pong(_) => {}
                ended => panic!("instead of a frame: {ended:?}; before: {:?}", self.passed),
            }
        }
    }

    /// Returns the next thing that the socket brings.
    #[track_caller]
    pub fn hear(&mut self) -> Heard {
        loop {
            let step = self.decoder.next(&mut self.unread).unwrap();
            let used = step.used;
            let heard = match (step.item, self.format) {
                (Some(Item::Text(text)), Format::Json) => {
                    Some(Heard::Frame(serde_json::from_str(text).unwrap()))
                }
                (Some(Item::Binary(bytes)), Format::Cbor) => {
                    let mut text = Vec::new();
                    cbor::to_json(bytes, &mut text).unwrap();
                    Some(Heard::Frame(serde_json::from_slice(&text).unwrap()))
                }
                (Some(Item::Ping(payload)), _) => Some(Heard::Ping(payload.to_vec())),
                (Some(Item::Pong(payload)), _) => Some(Heard::Pong(payload.to_vec())),
                (Some(Item::Close(reason)), _) => {
                    let reason = reason.map(|(code, text)| (code, text.to_owned()));
                    Some(Heard::Close(reason))
                }
                (Some(item), _) => panic!("a message of the wrong kind: {item:?}"),
                (None, _) => None,
            };
            self.unread.drain(..used);
            match heard {
                Some(heard) => return heard,
                None if self.more() => {}
                None => return Heard::End,
            }
        }
    }

    /// Reads to the end; returns the frames, and the close frame if there is one.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<Value>, Option<(u16, String)>) {
        let mut frames: Vec<_> = self.passed.drain(..).collect();
        let mut close = None;
        loop {
            match self.hear() {
                Heard::Frame(frame) => frames.push(frame),
                Heard::Close(reason) => close = reason,
                Heard::Ping(_) | Heard::Pong(_) => {}
                Heard::End => return (frames, close),
            }
        }
    }

    /// Reads to the end, where the server must have closed with a code.
    #[track_caller]
    pub fn ends_with(&mut self, code: u16) {
        let (frames, close) = self.rest();
        let closed_with = close.as_ref().map(|(code, _)| *code);
        assert_eq!(closed_with, Some(code), "{close:?} after {frames:?}");
    }

    /// Receives something; false at the end.
    #[track_caller]
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.socket.read(&mut buffer) {
            Ok(len) => {
                self.received += len;
                self.unread.extend_from_slice(&buffer[..len]);
                len > 0
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}; before: {:?}", self.passed),
        }
    }
}

/// Returns one frame as a client sends it.
pub fn masked(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ws::write_masked(&mut bytes, opcode, payload, [0x5a, 0x17, 0xc3, 0x88]);
    bytes
}
