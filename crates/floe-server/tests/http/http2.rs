//! HTTP/2 with prior knowledge, through the hyper client.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, TestServer, eventually, get, offset, post, put};

type Sender = SendRequest<BoxBody<Bytes, std::convert::Infallible>>;

/// Runs a client on a connection of its own.
pub fn with_client<F: Future<Output = ()>>(server: &TestServer, client: impl FnOnce(Client) -> F) {
    let address = server.address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket))
            .await
            .unwrap();
        tokio::spawn(connection);
        let ended = tokio::time::timeout(PATIENCE, client(Client { sender })).await;
        ended.expect("the client waited too long");
    });
}

#[derive(Clone)]
pub struct Client {
    sender: Sender,
}

impl Client {
    pub async fn start(
        &mut self,
        request: http::request::Builder,
        body: BoxBody<Bytes, std::convert::Infallible>,
    ) -> Response<Incoming> {
        self.sender.ready().await.unwrap();
        let answer = self
            .sender
            .send_request(request.body(body).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(!answer.headers().contains_key("connection"));
        assert!(!answer.headers().contains_key("transfer-encoding"));
        answer
    }

    pub async fn ask(&mut self, request: http::request::Builder, body: &str) -> Response<Bytes> {
        let body = Full::new(Bytes::copy_from_slice(body.as_bytes())).boxed();
        let (parts, body) = self.start(request, body).await.into_parts();
        Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
    }

    pub async fn get(&mut self, stream: &str) -> Response<Bytes> {
        self.ask(to("GET", stream), "").await
    }

    pub async fn append(&mut self, stream: &str, text: &str) -> Response<Bytes> {
        self.ask(
            to("POST", stream).header("content-type", "text/plain"),
            text,
        )
        .await
    }
}

pub fn to(method: &str, stream: &str) -> http::request::Builder {
    let path = if stream.starts_with('/') {
        stream.to_owned()
    } else {
        format!("/v1/stream/{stream}")
    };
    Request::builder()
        .method(method)
        .uri(format!("http://floe.test{path}"))
}

pub fn code(answer: &Response<Bytes>) -> String {
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

/// A body that comes in pieces, without a length.
struct Pieces(std::vec::IntoIter<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }
}

fn pieces(count: usize, bytes: usize) -> BoxBody<Bytes, std::convert::Infallible> {
    let pieces: Vec<_> = (0..count).map(|_| Bytes::from(vec![b'x'; bytes])).collect();
    Pieces(pieces.into_iter()).boxed()
}

// A4
#[test]
fn streams_are_created_written_and_read() {
    let server = TestServer::start();
    with_client(&server, |mut client| async move {
        let create = to("PUT", "a/b").header("content-type", "text/plain");
        let created = client.ask(create, "hello").await;
        assert_eq!(created.status(), StatusCode::CREATED);
        assert_eq!(
            created.headers()["location"],
            "http://floe.test/v1/stream/a/b"
        );
        let appended = client.append("a/b", " world").await;
        assert_eq!(appended.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            appended.headers()["stream-next-offset"],
            offset(11).as_str()
        );
        // A body without a length.
        let append = to("POST", "a/b").header("content-type", "text/plain");
        let streamed = client.start(append, pieces(10, 10_000)).await;
        assert_eq!(streamed.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            streamed.headers()["stream-next-offset"],
            offset(100_011).as_str()
        );
        let read = client.get("a/b").await;
        assert_eq!(read.status(), StatusCode::OK);
        assert_eq!(read.body().len(), 100_011);
        assert!(read.body().starts_with(b"hello worldxxx"));
        let described = client.ask(to("HEAD", "a/b"), "").await;
        assert_eq!(
            described.headers()["stream-next-offset"],
            offset(100_011).as_str()
        );
        let tag = read.headers()["etag"].clone();
        let same = client
            .ask(to("GET", "a/b").header("if-none-match", tag), "")
            .await;
        assert_eq!(same.status(), StatusCode::NOT_MODIFIED);
        let deleted = client.ask(to("DELETE", "a/b"), "").await;
        assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
        assert_eq!(code(&client.get("a/b").await), "NOT_FOUND");
    });
}

// R8 and R10
#[test]
fn live_readers_wait_side_by_side_on_one_connection() {
    let server = TestServer::with(|settings| settings.limits.long_poll_timeout_ms = 10_000);
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |mut client| async move {
        let polls: Vec<_> = (0..50)
            .map(|_| {
                let mut client = client.clone();
                tokio::spawn(async move { client.get("log?offset=now&live=long-poll").await })
            })
            .collect();
        let empty = Full::new(Bytes::new()).boxed();
        let mut events = client
            .start(to("GET", "log?offset=now&live=sse"), empty)
            .await;
        assert_eq!(events.headers()["content-type"], "text/event-stream");
        let mut text = String::new();
        while !text.contains("upToDate") {
            let frame = events.frame().await.unwrap().unwrap();
            text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
        loop {
            let metrics = client.get("/metrics").await;
            let metrics = std::str::from_utf8(metrics.body()).unwrap();
            if metrics.contains("floe_live_readers 51\n") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        client.append("log", "hello").await;
        for poll in polls {
            let read = poll.await.unwrap();
            assert_eq!(
                (read.status(), &read.body()[..]),
                (StatusCode::OK, &b"hello"[..])
            );
        }
        let close = to("POST", "log").header("stream-closed", "true");
        client.ask(close, "").await;
        let rest = events.into_body().collect().await.unwrap().to_bytes();
        let rest = std::str::from_utf8(&rest).unwrap();
        assert!(rest.contains("event: data\ndata:hello\n\n"), "{rest}");
        assert!(rest.contains("\"streamClosed\":true"), "{rest}");
    });
    eventually("all have left", || {
        server.metric("floe_live_readers") == 0.0
    });
}

#[test]
fn a_reader_that_cancels_is_forgotten() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |mut client| async move {
        for live in ["sse", "long-poll"] {
            let mut other = client.clone();
            let reader = tokio::spawn(async move {
                let empty = Full::new(Bytes::new()).boxed();
                let target = format!("log?offset=now&live={live}");
                let mut answer = other.start(to("GET", &target), empty).await;
                loop {
                    answer.frame().await.unwrap().unwrap();
                }
            });
            for (wanted, cancel) in [
                ("floe_live_readers 1\n", true),
                ("floe_live_readers 0\n", false),
            ] {
                loop {
                    let metrics = client.get("/metrics").await;
                    if std::str::from_utf8(metrics.body())
                        .unwrap()
                        .contains(wanted)
                    {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                if cancel {
                    reader.abort();
                }
            }
        }
    });
}

#[test]
fn a_hundred_streams_at_once_are_all_served() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |client| async move {
        let appends: Vec<_> = (0..100)
            .map(|number| {
                let mut client = client.clone();
                tokio::spawn(async move {
                    let append = to("POST", "log")
                        .header("content-type", "text/plain")
                        .header("producer-id", number.to_string())
                        .header("producer-epoch", "0")
                        .header("producer-seq", "0");
                    client.ask(append, "x").await.status()
                })
            })
            .collect();
        for append in appends {
            assert_eq!(append.await.unwrap(), StatusCode::OK);
        }
    });
    assert_eq!(server.read_all("log").len(), 100);
}

#[test]
fn refusals_carry_the_same_codes() {
    let server = TestServer::with(|settings| settings.limits.http_body_bytes_max = 1_000);
    server.expect(201, put("log").text("x").closed());
    with_client(&server, |mut client| async move {
        for (answer, status, expected) in [
            (client.get("none").await, 404, "NOT_FOUND"),
            (client.get("log?offset=x").await, 400, "INVALID_OFFSET"),
            (client.get("/nowhere").await, 404, "UNKNOWN_ROUTE"),
            (client.append("log", "x").await, 409, "CLOSED"),
            (client.append("log", "").await, 400, "EMPTY_BODY"),
            (
                client.append("log", &"x".repeat(1_001)).await,
                413,
                "BODY_TOO_LARGE",
            ),
            (client.get(&"x".repeat(2_000)).await, 414, "PATH_TOO_LONG"),
            (
                client.ask(to("PATCH", "log"), "").await,
                405,
                "METHOD_NOT_ALLOWED",
            ),
        ] {
            assert_eq!(
                (answer.status().as_u16(), code(&answer).as_str()),
                (status, expected)
            );
        }
        // The connection goes on.
        assert_eq!(client.get("log").await.status(), StatusCode::OK);
    });
}

#[test]
fn a_body_that_is_far_too_large_is_refused_and_the_connection_goes_on() {
    let server = TestServer::with(|settings| settings.limits.http_body_bytes_max = 1_000);
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |mut client| async move {
        for _ in 0..3 {
            let append = to("POST", "log").header("content-type", "text/plain");
            let answer = client.start(append, pieces(100, 10_000)).await;
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(
                std::str::from_utf8(&body)
                    .unwrap()
                    .contains("BODY_TOO_LARGE")
            );
            let append = to("POST", "log").header("content-type", "text/plain");
            let body = Full::new(Bytes::from(vec![b'x'; 1_000_000])).boxed();
            let answer = client.start(append, body).await;
            assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        assert_eq!(
            client.append("log", "x").await.status(),
            StatusCode::NO_CONTENT
        );
    });
    eventually("nothing is left", || {
        server.metric("floe_connections") <= 2.0
    });
}

#[test]
fn a_stop_ends_waiting_readers_with_an_answer() {
    let mut server = TestServer::start();
    server.expect(201, put("log").text("hello"));
    let stopper = {
        let address = server.address();
        move || {
            let socket = std::net::TcpStream::connect(address).unwrap();
            let mut connection = crate::harness::Connection::new(socket);
            eventually("all wait", || {
                let metrics = connection.ask(&get("/metrics")).text();
                metrics.contains("floe_live_readers 11\n")
            });
        }
    };
    std::thread::scope(|scope| {
        let server = &server;
        scope.spawn(move || {
            stopper();
            server.ask_to_stop();
        });
        with_client(server, |mut client| async move {
            let polls: Vec<_> = (0..10)
                .map(|_| {
                    let mut client = client.clone();
                    tokio::spawn(async move { client.get("log?offset=now&live=long-poll").await })
                })
                .collect();
            let empty = Full::new(Bytes::new()).boxed();
            let events = client
                .start(to("GET", "log?offset=now&live=sse"), empty)
                .await;
            for poll in polls {
                let ended = poll.await.unwrap();
                assert_eq!(ended.status(), StatusCode::NO_CONTENT);
                assert_eq!(ended.headers()["stream-next-offset"], offset(5).as_str());
            }
            events.into_body().collect().await.unwrap();
        });
    });
    server.stop();
}

#[test]
fn both_versions_see_the_same_streams() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |mut client| async move {
        client.append("log", "two").await;
    });
    server.expect(204, post("log").text("one"));
    assert_eq!(server.read_all("log"), b"twoone");
}

#[test]
fn a_get_is_no_websocket() {
    let server = TestServer::start();
    with_client(&server, |mut client| async move {
        let request = to("GET", "/v1/live")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let refusal = client.ask(request, "").await;
        assert_eq!(refusal.status(), StatusCode::UPGRADE_REQUIRED);
        assert_eq!(code(&refusal), "UPGRADE_REQUIRED");
        assert!(!refusal.headers().contains_key("upgrade"));
        assert_eq!(client.get("/healthz").await.status(), StatusCode::OK);
    });
}

#[test]
fn channels_are_served_with_every_method_and_header() {
    let server = TestServer::start();
    let channel = server.channel();
    let token = server.token(&channel, &["read", "append", "delete:own"], "tim");
    let json = |answer: &Response<Bytes>| -> serde_json::Value {
        serde_json::from_slice(answer.body()).unwrap()
    };
    let shown = channel.clone();
    with_client(&server, |mut client| async move {
        let of = |method: &str, rest: &str| {
            to(method, &shown.at(rest)).header("x-channel-token", token.as_str())
        };
        for status in [StatusCode::CREATED, StatusCode::OK] {
            let append = of("POST", "/events").header("idempotency-key", "k");
            let appended = client.ask(append, r#"{"content":"hello"}"#).await;
            assert_eq!(appended.status(), status);
            assert_eq!(json(&appended)["event"]["authorId"], "tim");
        }
        let edited = client
            .ask(of("PATCH", "/events/1"), r#"{"content":"edited"}"#)
            .await;
        assert_eq!(json(&edited)["event"]["type"], "edit");
        let reacted = client.ask(of("PUT", "/events/1/reactions/up"), "").await;
        assert_eq!(json(&reacted)["event"]["type"], "reaction");
        let found = client.ask(of("GET", "/events/1?waitFor=3"), "").await;
        assert_eq!(json(&found)["event"]["content"], "edited");
        let deleted = client.ask(of("DELETE", "/events/1"), "").await;
        assert_eq!(json(&deleted)["event"]["type"], "deletion");
        let follow = of("GET", "/subscribe").header("last-event-id", "3");
        let mut events = client.start(follow, pieces(0, 0)).await.into_body();
        let mut text = String::new();
        while !text.contains("deletion") {
            let frame = events.frame().await.unwrap().unwrap();
            text += std::str::from_utf8(frame.data_ref().unwrap()).unwrap();
        }
        assert!(
            text.contains("id: 4\n") && !text.contains("hello"),
            "{text}"
        );
        let refused = client.ask(to("GET", "/v1/channels/x"), "").await;
        assert_eq!(code(&refused), "INVALID_REQUEST");
    });
}

#[test]
fn a_connection_without_a_request_is_told_to_go_and_closed() {
    let server = TestServer::with(|settings| settings.limits.http_idle_timeout_ms = 500);
    server.expect(201, put("log").content_type("text/plain"));
    // One that answers pings, as every client does, and asks nothing more, or never did.
    for asks in [true, false] {
        with_client(&server, |mut client| async move {
            if asks {
                assert_eq!(client.get("log").await.status(), StatusCode::OK);
            }
            let began = std::time::Instant::now();
            while client.sender.ready().await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let lasted = began.elapsed();
            assert!(lasted >= Duration::from_millis(400), "{lasted:?}");
        });
    }
    eventually("nothing of them is left", || {
        server.metric("floe_gateway_connections") == 0.0
    });
}

#[test]
fn a_connection_with_a_reader_is_not_idle() {
    let server = TestServer::with(|settings| settings.limits.http_idle_timeout_ms = 300);
    server.expect(201, put("log").content_type("text/plain"));
    with_client(&server, |mut client| async move {
        let empty = Full::new(Bytes::new()).boxed();
        let mut reader = client
            .start(to("GET", "log?offset=now&live=sse"), empty)
            .await;
        let mut seen = String::new();
        while !seen.contains("upToDate") {
            seen.push_str(&data(&mut reader).await);
        }
        // Three times as long as an idle one may stay.
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(
            client.append("log", "late").await.status(),
            StatusCode::NO_CONTENT
        );
        while !seen.contains("late") {
            seen.push_str(&data(&mut reader).await);
        }
        drop(reader);
        while client.sender.ready().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
}

/// Returns the next piece of an answer's body, as text.
async fn data(answer: &mut Response<Incoming>) -> String {
    let frame = answer.frame().await.expect("it goes on").unwrap();
    let bytes = frame.into_data().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
