//! Sound over TCP: connections to the port of HTTP that begin with a frame.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use floe_server::{MediaSettings, ProxySettings, Settings, TrustedProxies};

use super::browser::{Browser, ROOM};
use super::{server, until_both_hear};
use crate::community::{Member, socket};
use crate::harness::{Certificate, PATIENCE, TestServer, Tunnel, eventually, get};
use crate::websocket::Client;

const PROXY: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 40000 443\r\n";

fn with(set: impl FnOnce(&mut Settings)) -> TestServer {
    TestServer::with(|settings| {
        settings.media = MediaSettings::default();
        set(settings);
    })
}

/// Has one who speaks over TCP alone and one who does not hear each other.
#[track_caller]
fn hear(server: &TestServer, mut over_tcp: Browser, other: Browser, first: &[u8]) {
    over_tcp.connect_over_tcp(server, first);
    let mut both = [over_tcp, other];
    both[1].connect();
    until_both_hear(&mut both, "over TCP");
    both[0].connect();
    until_both_hear(&mut both, "by another connection");
}

#[test]
fn who_has_no_udp_is_heard_and_hears_over_tcp() {
    let server = server();
    let both = ["ann", "bob"].map(|user| Browser::join(&server, user));
    let [ann, bob] = both;
    hear(&server, ann, bob, &[]);
    assert!(server.metric("floe_media_packets_out_total") > 0.0);
    eventually("both connections are gone", || {
        server.metric("floe_media_tcp_connections") == 0.0
    });
}

#[test]
fn where_tls_is_spoken_media_come_to_the_same_port() {
    let certificate = Certificate::new();
    let server = with(|settings| settings.tls = Some(certificate.settings()));
    let connector = certificate.connector(&["http/1.1"]);
    let tunnel = Tunnel::start(server.own_address(), connector, Vec::new());
    let server = server.through(tunnel);
    let [ann, bob] = ["ann", "bob"].map(|user| Browser::join(&server, user));
    hear(&server, ann, bob, &[]);
}

#[test]
fn media_come_through_a_proxy_that_says_who_sends_them() {
    let server = with(|settings| {
        settings.proxies = ProxySettings {
            trusted: TrustedProxies::parse("127.0.0.1").unwrap(),
            protocol: true,
        };
    });
    let [ann, bob] = ["ann", "bob"].map(|user| {
        let mut stream = TcpStream::connect(server.own_address()).unwrap();
        stream.write_all(PROXY).unwrap();
        let target = socket(&format!("{ROOM}?user={user}"));
        let (mut client, _) = Client::greet_on(stream, &target, &[]);
        let welcome = client.frame();
        Browser::sit(Member { client, welcome }, user)
    });
    hear(&server, ann, bob, PROXY);
}

#[test]
fn connections_that_bring_nothing_for_anybody_are_closed_and_the_server_serves_on() {
    let server = server();
    let stranger = [&[0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[7; 12]].concat();
    let longer = [3, 255, 0, 1];
    let mut last = Vec::new();
    for round in 0..300 {
        let mut stream = TcpStream::connect(server.own_address()).unwrap();
        let said = if round % 2 == 0 {
            &stranger[..]
        } else {
            &longer
        };
        stream.write_all(said).unwrap();
        last.push(stream);
    }
    // More than may be unknown at once: the first of them are closed.
    let first = &mut last[0];
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(first.read(&mut [0; 16]).unwrap_or_default(), 0);
    server.expect(200, get("/healthz"));
    let mut too_long = TcpStream::connect(server.own_address()).unwrap();
    too_long.set_read_timeout(Some(PATIENCE)).unwrap();
    too_long.write_all(&[0, 1, 0, 255, 255]).unwrap();
    assert_eq!(too_long.read(&mut [0; 16]).unwrap_or_default(), 0);
    drop(last);
    eventually("all are gone", || {
        server.metric("floe_media_tcp_connections") == 0.0
    });
}

#[test]
fn without_media_such_a_connection_is_no_request() {
    let server = TestServer::start();
    let mut stream = TcpStream::connect(server.own_address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&[0, 1, 0, 0, 1, 0]).unwrap();
    stream.write_all(b"\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}
