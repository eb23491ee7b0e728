//! Proxies in front: who is believed, and connections that begin with a header.

use std::time::Duration;

use floe_server::{ProxySettings, Server, Settings, StartError, TrustedProxies};

use crate::harness::{
    Certificate, Connection, Request, TestServer, Tunnel, eventually, get, post, put,
};

fn trusting(networks: &str, protocol: bool) -> ProxySettings {
    ProxySettings {
        trusted: TrustedProxies::parse(networks).unwrap(),
        protocol,
    }
}

fn behind(networks: &str) -> TestServer {
    TestServer::with(|settings| settings.proxies = trusting(networks, true))
}

/// Creates a stream as a proxy would that got the request by `https`.
fn create(name: &str) -> Request {
    put(name).field("X-Forwarded-Proto", "https").text("x")
}

/// Opens a connection that begins with a header.
fn connect(server: &TestServer, header: &[u8]) -> Connection {
    let mut connection = server.connect();
    connection.write(header);
    connection
}

fn v1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 10.0.0.1 40000 443\r\n").into_bytes()
}

fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &len, body].concat()
}

fn v2_of(client: [u8; 4]) -> Vec<u8> {
    v2(
        0x21,
        0x11,
        &[&client[..], &[10, 0, 0, 1, 1, 2, 3, 4]].concat(),
    )
}

fn counted(connection: &mut Connection, reason: &str) -> bool {
    let metrics = connection.ask(&get("/metrics")).text();
    metrics.contains(&format!(
        "floe_handshake_failures_total{{reason=\"{reason}\"}} 1\n"
    ))
}

#[test]
fn only_a_trusted_proxy_is_believed() {
    for (trusted, scheme) in [("127.0.0.1", "https"), ("10.0.0.0/8", "http"), ("", "http")] {
        let server = TestServer::with(|settings| settings.proxies = trusting(trusted, false));
        let created = server.expect(201, create("log"));
        let expected = format!("{scheme}://floe.test/v1/stream/log");
        assert_eq!(
            created.header("location"),
            Some(expected.as_str()),
            "{trusted}"
        );
    }
}

#[test]
fn the_header_says_who_the_client_is() {
    let server = behind("127.0.0.0/8, 10.0.0.0/8");
    // A client that is a trusted proxy itself is believed, so that one sees who it was taken for.
    for (at, (header, scheme)) in [
        (v1("10.1.1.1"), "https"),
        (v1("192.0.2.1"), "http"),
        (v2_of([10, 1, 1, 1]), "https"),
        (v2_of([192, 0, 2, 1]), "http"),
        // The proxy speaks for itself.
        (b"PROXY UNKNOWN\r\n".to_vec(), "https"),
        (v2(0x20, 0, b""), "https"),
        (v2(0x21, 0, b"abc"), "https"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut connection = connect(&server, &header);
        let created = connection.ask(&create(&format!("log{at}"))).expect(201);
        let expected = format!("{scheme}://floe.test/v1/stream/log{at}");
        assert_eq!(created.header("location"), Some(expected.as_str()));
        connection.ask(&get(&format!("log{at}"))).expect(200);
    }
}

#[test]
fn a_header_may_come_with_requests_or_in_pieces() {
    let server = behind("127.0.0.1");
    let mut connection = server.connect();
    let many = [
        v1("192.0.2.1"),
        put("log").text("x").bytes(),
        get("log").bytes(),
    ]
    .concat();
    connection.write(many);
    connection.answer_to("PUT").expect(201);
    assert_eq!(connection.answer().expect(200).body, b"x");
    for header in [v1("192.0.2.1"), v2_of([192, 0, 2, 1])] {
        let mut connection = server.connect();
        for byte in [header, post("log").text("y").bytes()].concat() {
            connection.write([byte]);
        }
        connection.answer_to("POST").expect(204);
    }
    // A large body right behind the header.
    let large = "x".repeat(1 << 20);
    let mut connection = server.connect();
    connection.write([v2_of([192, 0, 2, 1]), post("log").text(&large).bytes()].concat());
    connection.answer_to("POST").expect(204);
}

#[test]
fn http2_goes_through() {
    let server = behind("127.0.0.1");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let status = runtime.block_on(async {
        use tokio::io::AsyncWriteExt as _;
        let mut socket = tokio::net::TcpStream::connect(server.address())
            .await
            .unwrap();
        socket.write_all(&v1("192.0.2.1")).await.unwrap();
        let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("http://floe.test/healthz")
            .body(())
            .unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        answer.await.unwrap().status()
    });
    assert_eq!(status, 200);
}

#[test]
fn what_does_not_begin_with_a_header_is_closed() {
    let server = behind("127.0.0.1");
    let mut connection = connect(&server, &get("/healthz").bytes());
    assert!(connection.is_closed());
    let mut good = connect(&server, &v1("192.0.2.1"));
    eventually("it is counted", || counted(&mut good, "proxy_header"));
}

#[test]
fn a_slow_header_ends_in_time() {
    let server = TestServer::with(|settings| {
        settings.proxies = trusting("127.0.0.1", true);
        settings.limits.handshake_timeout_ms = 200;
    });
    let mut slow = connect(&server, b"PROXY TCP4 ");
    // Drops do not give more time.
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(20));
        slow.try_write("1");
    }
    assert!(slow.is_closed());
    let mut good = connect(&server, &v1("192.0.2.1"));
    eventually("it is counted", || counted(&mut good, "timeout"));
}

#[test]
fn who_is_no_trusted_proxy_is_closed_at_once() {
    let server = behind("10.0.0.0/8");
    for first in [v1("10.0.0.1"), get("/healthz").bytes()] {
        let mut connection = server.connect();
        connection.try_write(first);
        assert!(connection.is_closed());
    }
}

#[test]
fn the_header_comes_before_tls() {
    let certificate = Certificate::new();
    let server = TestServer::with(|settings| {
        settings.tls = Some(certificate.settings());
        settings.proxies = trusting("127.0.0.1", true);
    });
    let connector = certificate.connector(&["http/1.1"]);
    let tunnel = Tunnel::start(server.own_address(), connector, v2_of([192, 0, 2, 1]));
    let server = server.through(tunnel);
    let created = server.expect(201, put("log").text("x"));
    assert_eq!(
        created.header("location"),
        Some("https://floe.test/v1/stream/log")
    );
    // Without it, and without TLS behind it.
    let own = server.own_address();
    let straight = || Connection::new(std::net::TcpStream::connect(own).unwrap());
    let mut bare = straight();
    bare.write([22, 3, 1, 0, 5]);
    assert!(bare.is_closed());
    let mut plain = straight();
    plain.write([v1("192.0.2.1"), get("/healthz").bytes()].concat());
    plain.answer().refused(400, "TLS_REQUIRED");
    let mut asks = server.connect();
    eventually("both are counted", || {
        counted(&mut asks, "proxy_header") && counted(&mut asks, "plain")
    });
}

#[test]
fn the_protocol_without_a_trusted_proxy_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.path().to_owned(),
        proxies: trusting("", true),
        ..Settings::default()
    };
    assert!(matches!(
        Server::open(&settings),
        Err(StartError::NoProxies)
    ));
}
