//! TLS: HTTP/1.1 and HTTP/2 over it, and clients that shake hands badly.

use std::time::{Duration, Instant};

use floe_server::{Server, Settings, TrustedProxies};
use http::StatusCode;
use serde_json::json;

use crate::harness::{
    Certificate, Connection, PATIENCE, TestServer, Tunnel, connect_tls, eventually, get, offset,
    post, put,
};
use crate::http2::{to, with_client};
use crate::websocket::client::Client;

const HTTP1: &[&str] = &["http/1.1"];

/// Starts a server that speaks TLS, whose clients all go through a tunnel.
fn start(
    certificate: &Certificate,
    protocols: &[&str],
    set: impl FnOnce(&mut Settings),
) -> TestServer {
    let server = TestServer::with(|settings| {
        settings.tls = Some(certificate.settings());
        set(settings);
    });
    let connector = certificate.connector(protocols);
    let tunnel = Tunnel::start(server.own_address(), connector, Vec::new());
    server.through(tunnel)
}

/// Opens a connection that goes straight to the server.
fn plain(server: &TestServer) -> Connection {
    Connection::new(std::net::TcpStream::connect(server.own_address()).unwrap())
}

fn refusals(server: &TestServer, reason: &str) -> f64 {
    server.metric(&format!(
        "floe_handshake_failures_total{{reason=\"{reason}\"}}"
    ))
}

/// The first bytes of a ClientHello that says it is much longer.
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 7, 7, 7];

#[test]
fn http1_is_served_as_without_tls() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    let created = server.expect(201, put("log").content_type("text/plain"));
    assert_eq!(
        created.header("location"),
        Some("https://floe.test/v1/stream/log")
    );
    let mut connection = server.connect();
    let large = "0123456789abcdef".repeat(64 << 10);
    for body in ["hello", &large, " world"] {
        connection.ask(&post("log").text(body)).expect(204);
    }
    let read = server.read_all("log");
    assert_eq!(read.len(), large.len() + 11);
    assert!(read.starts_with(b"hello0123") && read.ends_with(b"def world"));
    connection.ask(&get("none")).refused(404, "NOT_FOUND");
    assert!(server.metric("floe_tls_handshakes_total") >= 3.0);
    assert!(server.metric("floe_tls_handshake_seconds_count") >= 3.0);
}

#[test]
fn requests_that_come_at_once_are_answered_in_their_order() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    server.expect(201, put("log").text("x"));
    let mut connection = server.connect();
    let many = 300;
    let request = get("log?offset=-1").bytes();
    connection.write(request.repeat(many));
    for _ in 0..many {
        assert_eq!(connection.answer().expect(200).body, b"x");
    }
}

#[test]
fn a_client_that_has_said_all_still_gets_its_answer() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    server.expect(201, put("log").text("x"));
    let mut connection = server.connect();
    connection.write(post("log").text("y").bytes());
    connection.finish();
    connection.answer().expect(204);
    assert!(connection.is_closed());
    eventually("only who asks is there", || {
        server.metric("floe_gateway_connections") == 1.0
    });
}

#[test]
fn event_streams_pass_and_are_forgotten_with_their_readers() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    server.expect(201, put("log").text("one"));
    let mut events = server.follow("log", "-1");
    assert_eq!(events.until_up_to_date().0, "one");
    server.expect(204, post("log").text("two"));
    assert_eq!(events.until_up_to_date().0, "two");
    assert_eq!(server.metric("floe_live_readers"), 1.0);
    drop(events);
    eventually("the reader is forgotten", || {
        server.metric("floe_live_readers") == 0.0
    });
    // The end of an answer is the end, too.
    let mut events = server.follow("log", "now");
    events.until_up_to_date();
    server.expect(204, post("log").closed());
    assert!(events.step().unwrap().is_closed());
    assert!(events.step().is_none());
}

#[test]
fn a_websocket_joins_appends_and_hears() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    let room = format!("channel/{}", server.channel().id);
    let mut one = Client::of(&server);
    let mut other = Client::of(&server);
    for client in [&mut one, &mut other] {
        client.join(&room, json!({}));
    }
    let seq = one.append(&room, "ann", "hello");
    let heard = other.events_until(&room, seq);
    assert_eq!(heard[0]["content"], "hello");
    assert_eq!(server.metric("floe_websockets"), 2.0);
    drop(one);
    drop(other);
    eventually("both are gone", || server.metric("floe_websockets") == 0.0);
}

#[test]
fn the_better_of_the_offered_protocols_is_spoken() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    let address = server.own_address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for (offered, spoken) in [
            (&["http/1.1", "h2"][..], Some(&b"h2"[..])),
            (&["h2"], Some(b"h2")),
            (HTTP1, Some(b"http/1.1")),
            (&[], None),
        ] {
            let connector = certificate.connector(offered);
            let tls = connect_tls(address, &connector, &[]).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), spoken);
        }
        let connector = certificate.connector(&["spdy/3"]);
        assert!(connect_tls(address, &connector, &[]).await.is_err());
    });
    eventually("the last is counted", || refusals(&server, "tls") == 1.0);
}

#[test]
fn http2_is_served_as_without_tls() {
    let certificate = Certificate::new();
    let server = start(&certificate, &["h2"], |_| {});
    with_client(&server, |mut client| async move {
        let create = to("PUT", "log").header("content-type", "text/plain");
        let created = client.ask(create, "hello").await;
        assert_eq!(created.status(), StatusCode::CREATED);
        assert_eq!(
            created.headers()["location"],
            "https://floe.test/v1/stream/log"
        );
        let appended = client.append("log", " world").await;
        assert_eq!(
            appended.headers()["stream-next-offset"],
            offset(11).as_str()
        );
        assert_eq!(client.get("log").await.body(), "hello world");
    });
}

#[test]
fn who_speaks_http_is_told_to_speak_tls() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    for request in [
        get("log").bytes(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET".to_vec(),
    ] {
        let mut connection = plain(&server);
        connection.write(request);
        let answer = connection.answer().refused(400, "TLS_REQUIRED");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    assert_eq!(refusals(&server, "plain"), 3.0);
}

#[test]
fn half_a_hello_ends_in_time() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |settings| {
        settings.limits.handshake_timeout_ms = 200;
    });
    let mut silent = plain(&server);
    let mut slow = plain(&server);
    slow.write(HALF_HELLO);
    assert!(silent.is_closed());
    assert!(slow.is_closed());
    eventually("both are counted", || refusals(&server, "timeout") == 2.0);
    // Who goes away is not waited for, and what is no TLS is not either.
    drop(plain(&server));
    eventually("it is counted", || refusals(&server, "closed") == 1.0);
    let mut broken = plain(&server);
    broken.write([22, 9, 9, 0, 3, 9, 9, 9]);
    broken.rest();
    eventually("it is counted", || refusals(&server, "tls") == 1.0);
    eventually("only who asks is there", || {
        server.metric("floe_gateway_connections") == 1.0
    });
}

#[test]
fn slow_clients_make_room_for_others() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |settings| {
        settings.limits.handshakes_max = 2;
        settings.limits.handshake_timeout_ms = 60_000;
    });
    let mut slow = [plain(&server), plain(&server)];
    for connection in &mut slow {
        connection.write(HALF_HELLO);
    }
    // They keep their places for a fair time, and one of them makes room after it.
    server.expect(200, get("/healthz"));
    assert!(slow[0].is_closed());
    eventually("it is counted", || refusals(&server, "crowded") == 1.0);
    slow[1]
        .socket
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let read = std::io::Read::read(&mut slow[1].socket, &mut [0]);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn many_who_come_at_once_wait_for_one_another() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |settings| {
        settings.limits.handshakes_max = 1
    });
    server.expect(201, put("log").text(""));
    let mut connections: Vec<_> = (0..50).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write(post("log").text("x").bytes());
    }
    for connection in &mut connections {
        connection.answer().expect(204);
    }
    assert_eq!(refusals(&server, "crowded"), 0.0);
}

#[test]
fn connections_beyond_the_limit_are_closed() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |settings| {
        settings.limits.http_connections_max = 3
    });
    let mut held: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for connection in &mut held {
        connection.ask(&get("/healthz")).expect(200);
    }
    let mut silent = plain(&server);
    let mut fourth = plain(&server);
    assert!(fourth.is_closed());
    drop(silent.socket.shutdown(std::net::Shutdown::Both));
    assert!(silent.is_closed());
    let overloaded = "floe_errors_total{code=\"OVERLOADED\"} 1\n";
    eventually("there is room again", || {
        let metrics = held[0].ask(&get("/metrics")).text();
        assert!(metrics.contains(overloaded), "{metrics}");
        metrics.contains("floe_gateway_connections 2\n")
    });
    server.expect(200, get("/healthz"));
}

#[test]
fn a_reader_that_takes_nothing_is_given_up() {
    let certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |settings| {
        settings.limits.reader_stall_timeout_ms = 300;
    });
    let large = "x".repeat(4 << 20);
    server.expect(201, put("log").text(&large));
    for _ in 0..4 {
        server.expect(204, post("log").text(&large));
    }
    let mut reader = server.connect();
    reader.write(get("log?offset=-1&live=sse").bytes());
    eventually("it is given up", || {
        server.metric("floe_live_readers") == 0.0
            && server.metric("floe_gateway_connections") == 1.0
    });
}

#[test]
fn a_stop_ends_waiting_readers_with_an_answer() {
    for protocols in [HTTP1, &["h2"]] {
        let certificate = Certificate::new();
        let mut server = start(&certificate, protocols, |_| {});
        if protocols == HTTP1 {
            server.expect(201, put("log").text("hello"));
            let mut poll = server.connect();
            poll.write(get("log?offset=now&live=long-poll").bytes());
            let mut events = server.follow("log", "now");
            events.until_up_to_date();
            eventually("both wait", || server.metric("floe_live_readers") == 2.0);
            server.ask_to_stop();
            poll.answer().expect(204);
            while events.step().is_some() {}
        } else {
            let stopping = &server;
            with_client(stopping, |mut client| async move {
                let create = to("PUT", "log").header("content-type", "text/plain");
                client.ask(create, "hello").await;
                let mut other = client.clone();
                let poll =
                    tokio::spawn(async move { other.get("log?offset=now&live=long-poll").await });
                while !client
                    .get("/metrics")
                    .await
                    .body()
                    .windows(21)
                    .any(|line| line == b"floe_live_readers 1\n#")
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                stopping.ask_to_stop();
                assert_eq!(poll.await.unwrap().status(), StatusCode::NO_CONTENT);
            });
        }
        server.stop();
    }
}

#[test]
fn a_stop_does_not_wait_for_who_has_had_its_answer() {
    let certificate = Certificate::new();
    let mut server = start(&certificate, HTTP1, |_| {});
    let mut idle: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut idle {
        connection.ask(&get("/healthz")).expect(200);
    }
    let mut slow = plain(&server);
    slow.write(HALF_HELLO);
    let started = Instant::now();
    server.stop();
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn the_peer_of_a_local_connection_is_that_of_the_encrypted_one() {
    let certificate = Certificate::new();
    for (trusted, scheme) in [("127.0.0.1", "http"), ("10.0.0.0/8", "https")] {
        let set = |settings: &mut Settings| {
            settings.proxies.trusted = TrustedProxies::parse(trusted).unwrap();
        };
        let location = format!("{scheme}://floe.test/v1/stream/log");
        // A trusted proxy says otherwise than the connection itself.
        let server = start(&certificate, HTTP1, set);
        let create = put("log").field("X-Forwarded-Proto", "http").text("x");
        let created = server.expect(201, create);
        assert_eq!(created.header("location"), Some(location.as_str()));
        let server = start(&certificate, &["h2"], set);
        with_client(&server, |mut client| async move {
            let create = to("PUT", "log").header("x-forwarded-proto", "http");
            let created = client.ask(create, "").await;
            assert_eq!(created.headers()["location"], location.as_str());
        });
    }
}

#[test]
fn a_certificate_that_changes_is_shown_to_new_connections() {
    let mut certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    let mut old = server.connect();
    old.ask(&get("/healthz")).expect(200);
    let address = server.own_address();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let shows = |connector: &tokio_rustls::TlsConnector| {
        runtime.block_on(async {
            let connected = connect_tls(address, connector, &[]);
            tokio::time::timeout(PATIENCE, connected)
                .await
                .unwrap()
                .is_ok()
        })
    };
    let first = certificate.connector(&[]);
    assert!(shows(&first));
    certificate.renew();
    let second = certificate.connector(&[]);
    eventually("the new one is shown", || shows(&second));
    assert!(!shows(&first));
    // Connections there are go on.
    old.ask(&get("/healthz")).expect(200);
}

#[test]
fn a_reload_takes_a_new_certificate_at_once_and_changes_nothing_for_a_broken_one() {
    let mut certificate = Certificate::new();
    let server = start(&certificate, HTTP1, |_| {});
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shows = |connector: &tokio_rustls::TlsConnector| {
        let address = server.own_address();
        runtime.block_on(async { connect_tls(address, connector, &[]).await.is_ok() })
    };
    certificate.renew();
    let second = certificate.connector(&[]);
    server.reload(|_| {}).unwrap();
    assert!(shows(&second));
    std::fs::write(certificate.settings().key, "nothing").unwrap();
    let message = server.reload(|settings| settings.limits.streams_max = 0);
    let message = message.unwrap_err().to_string();
    assert!(message.contains("holds no private key"), "{message}");
    assert!(shows(&second));
}

#[test]
fn a_server_without_a_usable_certificate_does_not_start() {
    let certificate = Certificate::new();
    std::fs::write(certificate.settings().key, "nothing").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.path().to_owned(),
        tls: Some(certificate.settings()),
        ..Settings::default()
    };
    let key = certificate.settings().key.display().to_string();
    let message = Server::open(&settings).unwrap_err().to_string();
    let expected =
        format!("cannot speak TLS: {key} holds no private key in PEM form without a passphrase");
    assert_eq!(message, expected);
}
