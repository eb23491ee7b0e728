//! Stopping.

use std::time::{Duration, Instant};

use crate::harness::{TestServer, eventually, get, head, offset, post, put};

#[test]
fn waiting_readers_are_told_to_come_back_and_appends_are_answered() {
    let mut server = TestServer::start();
    server.expect(201, put("log").text("hello"));
    let mut polls: Vec<_> = (0..10)
        .map(|_| {
            let mut connection = server.connect();
            connection.write(get("log?offset=now&live=long-poll").bytes());
            connection
        })
        .collect();
    let mut followers: Vec<_> = (0..10).map(|_| server.follow("log", "now")).collect();
    for events in &mut followers {
        events.step().unwrap();
    }
    eventually("all wait", || server.metric("floe_live_readers") == 20.0);
    server.expect(201, put("other").content_type("text/plain"));
    let mut idle = server.connect();
    idle.ask(&get("/healthz")).expect(200);
    let mut writers: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for (at, connection) in writers.iter_mut().enumerate() {
        connection.write(post("other").text(&at.to_string()).bytes());
    }
    let started = Instant::now();
    server.ask_to_stop();
    let mut acknowledged = 0;
    for connection in &mut writers {
        // Served, or closed before it was looked at.
        let answer = connection.try_answer("POST");
        match answer.map(|answer| answer.status) {
            Some(204) => acknowledged += 1,
            Some(503) | None => {}
            Some(other) => panic!("{other}"),
        }
    }
    for connection in &mut polls {
        let ended = connection.answer().expect(204);
        assert_eq!(ended.next(), offset(5));
        assert!(ended.is_up_to_date() && ended.header("stream-cursor").is_some());
        assert_eq!(ended.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    for events in followers {
        assert!(events.into_connection().is_closed());
    }
    assert!(idle.is_closed());
    server.stop();
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    let server = server.restart();
    assert_eq!(server.read_all("log"), b"hello");
    assert!(server.read_all("other").len() >= acknowledged);
}

#[test]
fn everything_acknowledged_before_a_stop_is_there_after_it() {
    let mut server = TestServer::start();
    let address = server.address();
    for writer in 0..4 {
        server.expect(201, put(&format!("log{writer}")).content_type("text/plain"));
    }
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            std::thread::spawn(move || {
                let name = format!("log{writer}");
                let socket = std::net::TcpStream::connect(address).unwrap();
                let mut connection = crate::harness::Connection::new(socket);
                let mut acknowledged = 0;
                loop {
                    let append = post(&name).text(".").producer("p", 0, acknowledged);
                    if !connection.try_write(append.bytes()) {
                        return acknowledged;
                    }
                    match connection.try_answer("POST").map(|answer| answer.status) {
                        Some(200) => acknowledged += 1,
                        Some(503) | None => return acknowledged,
                        Some(other) => panic!("{other}"),
                    }
                }
            })
        })
        .collect();
    eventually("all write", || server.metric("floe_appends_total") > 200.0);
    server.stop();
    let acknowledged: Vec<u64> = writers
        .into_iter()
        .map(|writer| writer.join().unwrap())
        .collect();
    let server = server.restart();
    for (writer, count) in acknowledged.into_iter().enumerate() {
        let name = format!("log{writer}");
        let there = server.read_all(&name).len() as u64;
        // One more may have been written whose answer was lost; its repetition finds that out.
        assert!(there == count || there == count + 1, "{there} {count}");
        let again = post(&name).text(".").producer("p", 0, count);
        server.expect(if there == count { 200 } else { 204 }, again);
        assert_eq!(server.expect(200, head(&name)).next(), offset(count + 1));
    }
}

#[test]
fn a_stalled_reader_holds_a_stop_up_for_stop_timeout_ms_at_most() {
    let mut server = TestServer::with(|settings| settings.limits.stop_timeout_ms = 300);
    server.expect(201, put("log").content_type("text/plain"));
    for _ in 0..8 {
        server.expect(204, post("log").text(&"x".repeat(1 << 20)));
    }
    let mut stalled = server.connect();
    for _ in 0..8 {
        stalled.write(get("log").bytes());
    }
    let mut half = server.connect();
    half.write("POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
    server.expect(200, get("/healthz"));
    let started = Instant::now();
    server.stop();
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    drop(stalled.rest());
}

#[test]
fn a_server_that_is_stopped_before_it_runs_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = floe_server::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: folder.path().to_owned(),
        ..floe_server::Settings::default()
    };
    let server = floe_server::Server::open(&settings).unwrap();
    server.stopper().stop().unwrap();
    server.run().unwrap();
}

#[test]
fn a_folder_serves_one_server_and_an_address_too() {
    let server = TestServer::start();
    let settings = floe_server::Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data: server.folder().to_owned(),
        ..floe_server::Settings::default()
    };
    let taken = floe_server::Server::open(&settings).err().unwrap();
    assert!(
        matches!(taken, floe_server::StartError::Open { .. }),
        "{taken}"
    );
    let folder = tempfile::tempdir().unwrap();
    let settings = floe_server::Settings {
        listen: server.address(),
        data: folder.path().to_owned(),
        ..floe_server::Settings::default()
    };
    let taken = floe_server::Server::open(&settings).err().unwrap();
    assert!(
        matches!(taken, floe_server::StartError::Listen { .. }),
        "{taken}"
    );
    server.expect(200, get("/healthz"));
}
