//! WebSockets over HTTP/2 (RFC 8441).

use std::collections::VecDeque;
use std::future::Future;

use bytes::Bytes;
use floe_surfaces::ws::{Decoder, Item, Opcode, Role};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::harness::{Certificate, PATIENCE, TestServer, connect_tls, eventually, get};
use crate::websocket::client::masked;

/// Runs a client in time.
fn run(client: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ended = tokio::time::timeout(PATIENCE, client).await;
        ended.expect("the client waited too long");
    });
}

/// Begins HTTP/2 and waits until the server has said that it knows CONNECT with a protocol.
async fn begin(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> SendRequest<Bytes> {
    let (client, connection) = h2::client::handshake(io).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    let mut client: SendRequest<Bytes> = client.ready().await.unwrap();
    while !client.is_extended_connect_protocol_enabled() {
        let request = Request::get("http://floe.test/healthz").body(()).unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        answer.await.unwrap();
    }
    client
}

async fn connect(server: &TestServer) -> SendRequest<Bytes> {
    let socket = tokio::net::TcpStream::connect(server.own_address()).await;
    begin(socket.unwrap()).await
}

fn asks(protocol: &'static str) -> http::request::Builder {
    Request::builder()
        .method(Method::CONNECT)
        .uri("https://floe.test/v1/live")
        .extension(Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
}

/// Sends a CONNECT; returns the answer and what to send more on.
async fn send(
    client: &mut SendRequest<Bytes>,
    request: http::request::Builder,
) -> (Response<RecvStream>, SendStream<Bytes>) {
    let (answer, more) = client
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    (answer.await.unwrap(), more)
}

/// Reads a refusal; returns its status and code.
async fn refusal(
    client: &mut SendRequest<Bytes>,
    request: http::request::Builder,
) -> (u16, String) {
    let (answer, _more) = send(client, request).await;
    let status = answer.status().as_u16();
    assert!(!answer.headers().contains_key("connection"));
    assert!(!answer.headers().contains_key("upgrade"));
    let mut body = answer.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        bytes.extend_from_slice(&data.unwrap());
    }
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

/// A stream that speaks the live protocol.
struct Socket {
    send: SendStream<Bytes>,
    receive: RecvStream,
    decoder: Decoder,
    unread: Vec<u8>,
    passed: VecDeque<Value>,
}

impl Socket {
    /// Opens a WebSocket, and reads the welcome.
    async fn open(client: &mut SendRequest<Bytes>) -> Self {
        let (answer, more) = send(client, asks("websocket")).await;
        assert_eq!(answer.status(), StatusCode::OK);
        for name in [
            "connection",
            "upgrade",
            "sec-websocket-accept",
            "content-length",
        ] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let mut socket = Self {
            send: more,
            receive: answer.into_body(),
            decoder: Decoder::new(Role::Client, 64 << 20),
            unread: Vec::new(),
            passed: VecDeque::new(),
        };
        assert_eq!(socket.next().await.unwrap()["type"], "welcome");
        socket
    }

    fn say(&mut self, frame: &Value) {
        let bytes = masked(Opcode::Text, frame.to_string().as_bytes());
        self.send.send_data(bytes.into(), false).unwrap();
    }

    /// Says something and returns the first frame of a kind.
    async fn ask(&mut self, frame: Value, kind: &str) -> Value {
        self.say(&frame);
        self.next_of(kind).await
    }

    async fn next_of(&mut self, kind: &str) -> Value {
        if let Some(at) = self.passed.iter().position(|frame| frame["type"] == kind) {
            return self.passed.remove(at).unwrap();
        }
        loop {
            let frame = self.next().await.expect("the socket ended");
            if frame["type"] == kind {
                return frame;
            }
            self.passed.push_back(frame);
        }
    }

    /// Returns the next frame; `None` at the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let step = self.decoder.next(&mut self.unread).unwrap();
            let used = step.used;
            let frame = match step.item {
                Some(Item::Text(text)) => Some(serde_json::from_str(text).unwrap()),
                Some(Item::Close(_)) => return None,
                Some(item) => panic!("instead of a frame: {item:?}"),
                None => None,
            };
            self.unread.drain(..used);
            if frame.is_some() {
                return frame;
            }
            let data = self.receive.data().await?.unwrap();
            self.receive
                .flow_control()
                .release_capacity(data.len())
                .unwrap();
            self.unread.extend_from_slice(&data);
        }
    }
}

#[test]
fn two_sockets_of_one_connection_join_append_and_hear() {
    let server = TestServer::start();
    let room = format!("channel/{}", server.channel().id);
    run(async {
        let mut client = connect(&server).await;
        let mut one = Socket::open(&mut client).await;
        let mut other = Socket::open(&mut client).await;
        for socket in [&mut one, &mut other] {
            socket
                .ask(json!({"type": "join", "room": room}), "joined")
                .await;
        }
        let append = json!({
            "type": "append", "id": 1, "room": room, "authorId": "ann", "content": "hello",
        });
        one.ask(append, "ack").await;
        let heard = other.next_of("events").await;
        assert_eq!(heard["events"][0]["content"], "hello");
        // Far more than any window holds.
        let content = "x".repeat(9_000);
        for id in 0..100 {
            one.say(&json!({
                "type": "append", "id": id, "room": room, "authorId": "ann", "content": content,
            }));
            one.next_of("ack").await;
        }
        let mut events = 1;
        while events < 101 {
            events += other.next_of("events").await["events"]
                .as_array()
                .unwrap()
                .len();
        }
        assert_eq!(server.metric("floe_websockets"), 2.0);
        // Either end may end it: by the protocol, by its stream, by its absence.
        let close = masked(Opcode::Close, &1000_u16.to_be_bytes());
        one.send.send_data(close.into(), false).unwrap();
        while one.next().await.is_some() {}
        other.send.send_data(Bytes::new(), true).unwrap();
        while other.next().await.is_some() {}
        let gone = Socket::open(&mut client).await;
        drop(gone);
    });
    eventually("all are gone", || server.metric("floe_websockets") == 0.0);
}

#[test]
fn it_works_over_tls() {
    let certificate = Certificate::new();
    let server = TestServer::with(|settings| settings.tls = Some(certificate.settings()));
    run(async {
        let connector = certificate.connector(&["h2"]);
        let tls = connect_tls(server.own_address(), &connector, &[])
            .await
            .unwrap();
        let mut client = begin(tls).await;
        let mut socket = Socket::open(&mut client).await;
        let pong = socket.ask(json!({"type": "ping", "id": 7}), "pong").await;
        assert_eq!(pong["id"], 7);
    });
}

#[test]
fn subprotocol_origin_and_credentials_pass() {
    let server = TestServer::with(|settings| {
        settings.api_keys = "*:read,write,admin:secret-of-more-than-16-bytes".into();
    });
    run(async {
        let mut client = connect(&server).await;
        let cbor = asks("websocket").header("sec-websocket-protocol", "floe.v1.cbor");
        let (answer, _more) = send(&mut client, cbor).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["sec-websocket-protocol"], "floe.v1.cbor");
        let same = asks("websocket").header("origin", "https://floe.test");
        assert_eq!(send(&mut client, same).await.0.status(), StatusCode::OK);
        let foreign = asks("websocket").header("origin", "https://evil.example.com");
        let refused = refusal(&mut client, foreign).await;
        assert_eq!(refused, (403, "ORIGIN_REJECTED".into()));
    });
}

#[test]
fn any_other_connect_is_refused_and_the_connection_goes_on() {
    let server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        let bare = Request::builder()
            .method(Method::CONNECT)
            .uri("floe.test:80");
        for request in [bare, asks("webtransport")] {
            let refused = refusal(&mut client, request).await;
            assert_eq!(refused, (405, "METHOD_NOT_ALLOWED".into()));
        }
        let version = Request::builder()
            .method(Method::CONNECT)
            .uri("https://floe.test/v1/live")
            .extension(Protocol::from_static("websocket"));
        let refused = refusal(&mut client, version).await;
        assert_eq!(refused, (426, "UPGRADE_REQUIRED".into()));
        let elsewhere = Request::builder()
            .method(Method::CONNECT)
            .uri("https://floe.test/v1/nowhere")
            .extension(Protocol::from_static("websocket"));
        let refused = refusal(&mut client, elsewhere).await;
        assert_eq!(refused, (404, "UNKNOWN_ROUTE".into()));
        Socket::open(&mut client).await;
    });
    server.expect(200, get("/healthz"));
}

#[test]
fn a_stop_says_goodbye() {
    let mut server = TestServer::start();
    run(async {
        let mut client = connect(&server).await;
        let mut socket = Socket::open(&mut client).await;
        server.ask_to_stop();
        let mut last = Value::Null;
        while let Some(frame) = socket.next().await {
            last = frame;
        }
        assert_eq!(last["code"], "STOPPING");
    });
    server.stop();
}
