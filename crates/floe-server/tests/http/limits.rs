//! Every bound has a setting, a code, and leaves the server as it was.

use std::time::{Duration, Instant};

use floe_server::Limits;

use crate::harness::{Connection, TestServer, eventually, get, head, offset, post, put};

fn limited(set: impl FnOnce(&mut Limits)) -> TestServer {
    TestServer::with(|settings| set(&mut settings.limits))
}

#[test]
fn a_body_beyond_http_body_bytes_max_is_413() {
    let server = limited(|limits| limits.http_body_bytes_max = 1_000);
    let (fits, large) = ("x".repeat(1_000), "x".repeat(1_001));
    server.expect(201, put("log").text(&fits));
    server
        .send(put("other").text(&large))
        .refused(413, "BODY_TOO_LARGE");
    for request in [
        post("log").text(&large),
        post("log").text(&large).chunked(100),
    ] {
        let mut connection = server.connect();
        let refused = connection.ask(&request).refused(413, "BODY_TOO_LARGE");
        assert_eq!(refused.header("connection"), Some("close"));
        assert!(connection.is_closed());
    }
    server.expect(204, post("log").text(&fits).chunked(7));
    // A length is refused before its body is sent.
    let mut connection = server.connect();
    connection.write("POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n");
    connection.answer().refused(413, "BODY_TOO_LARGE");
    let mut connection = server.connect();
    connection.write(
        "POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n",
    );
    connection.answer().refused(413, "BODY_TOO_LARGE");
    assert_eq!(server.read_all("log").len(), 2_000);
}

#[test]
fn a_chunked_body_is_bounded_as_it_is_sent() {
    let server = limited(|limits| limits.http_body_bytes_max = 1_000);
    server.expect(201, put("log").content_type("text/plain"));
    let mut connection = server.connect();
    connection
        .write("POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    // One byte of content in a line of two hundred.
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(190));
    for _ in 0..900 {
        if !connection.try_write(&chunk) {
            break;
        }
    }
    connection.answer().refused(413, "BODY_TOO_LARGE");
}

#[test]
fn a_head_beyond_http_head_bytes_max_is_431() {
    let server = limited(|limits| limits.http_head_bytes_max = 1_000);
    server.expect(200, get("/healthz").field("X-Long", "x".repeat(900)));
    server
        .send(get("/healthz").field("X-Long", "x".repeat(1_000)))
        .refused(431, "HEAD_TOO_LARGE");
    server
        .send(get(&format!("/healthz?{}", "x".repeat(1_000))))
        .refused(431, "HEAD_TOO_LARGE");
    // Whether it ends or not.
    let mut connection = server.connect();
    connection.write("x".repeat(1_000));
    connection.answer().refused(431, "HEAD_TOO_LARGE");
    let mut many = get("/healthz");
    for number in 0..65 {
        many = many.field("X", number);
    }
    server.send(many).refused(431, "HEAD_TOO_LARGE");
}

#[test]
fn a_path_beyond_stream_path_bytes_max_is_414() {
    let server = limited(|limits| limits.stream_path_bytes_max = 20);
    let longest = "x".repeat(20);
    server.expect(201, put(&longest));
    let encoded = "%78".repeat(20);
    server.expect(200, head(&encoded));
    for request in [
        put(&"x".repeat(21)),
        get(&"%78".repeat(21)),
        post(&"x".repeat(21)).text("x"),
    ] {
        server.send(request).refused(414, "PATH_TOO_LONG");
    }
    // The rest of the server has paths of its own.
    server.expect(404, get("/x".repeat(50).as_str()));
}

#[test]
fn a_connection_beyond_http_connections_max_is_503_and_closed() {
    let server = limited(|limits| limits.http_connections_max = 3);
    let mut open: Vec<Connection> = (0..3).map(|_| server.connect()).collect();
    for connection in &mut open {
        connection.ask(&get("/healthz")).expect(200);
    }
    let mut beyond = server.connect();
    let refused = beyond.answer().refused(503, "OVERLOADED");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(beyond.is_closed());
    for connection in &mut open {
        connection.ask(&get("/healthz")).expect(200);
    }
    open.pop();
    eventually("there is room again", || {
        server.connect().ask(&get("/healthz")).status == 200
    });
}

#[test]
fn uploads_beyond_received_bytes_max_are_503_and_small_requests_go_on() {
    let server = limited(|limits| limits.received_bytes_max = 150_000);
    server.expect(201, put("log").content_type("text/plain"));
    let large = post("log").text(&"x".repeat(100_000)).bytes();
    let (most, rest) = large.split_at(large.len() - 10);
    let mut first = server.connect();
    first.write(most);
    eventually("it has arrived", || {
        server.metric("floe_received_bytes_total") >= most.len() as f64
    });
    let mut second = server.connect();
    second.write(most);
    second.answer().refused(503, "OVERLOADED");
    let before = server.read_all("log").len();
    server.expect(204, post("log").text("small"));
    first.write(rest);
    first.answer().expect(204);
    assert_eq!(server.read_all("log").len(), before + 100_005);
    let mut again = server.connect();
    again.write(&large);
    again.answer().expect(204);
}

#[test]
fn a_reader_beyond_stream_readers_max_or_readers_max_is_429() {
    let server = limited(|limits| {
        limits.stream_readers_max = 2;
        limits.readers_max = 3;
    });
    for name in ["one", "two"] {
        server.expect(201, put(name).content_type("text/plain"));
    }
    let mut readers = vec![server.follow("one", "now"), server.follow("one", "now")];
    for live in ["sse", "long-poll"] {
        let refused = server.send(get(&format!("one?offset=now&live={live}")));
        let refused = refused.refused(429, "LIMIT_REACHED");
        assert!(
            refused.json()["message"]
                .as_str()
                .unwrap()
                .contains("stream.readers_max")
        );
        assert_eq!(refused.header("retry-after"), Some("1"));
    }
    readers.push(server.follow("two", "now"));
    let refused = server
        .send(get("two?offset=now&live=sse"))
        .refused(429, "LIMIT_REACHED");
    assert!(
        refused.json()["message"]
            .as_str()
            .unwrap()
            .contains("the server has readers.max")
    );
    // Who need not wait is served.
    server.expect(200, get("two?offset=now"));
    readers.remove(0);
    eventually("a place is free", || {
        server.metric("floe_live_readers") == 2.0
    });
    server.follow("two", "now").step().unwrap();
}

#[test]
fn a_producer_beyond_stream_producers_max_is_429() {
    let server = limited(|limits| limits.stream_producers_max = 2);
    server.expect(201, put("log").content_type("text/plain"));
    let append = |id: &str, seq| post("log").text("x").producer(id, 0, seq);
    server.expect(200, append("a", 0));
    server.expect(200, append("b", 0));
    server.send(append("c", 0)).refused(429, "LIMIT_REACHED");
    // Those that are known go on, over a restart too.
    let server = server.restart();
    server.expect(200, append("a", 1));
    server.expect(204, append("b", 0));
    server.send(append("c", 0)).refused(429, "LIMIT_REACHED");
    server.expect(204, post("log").text("no producer"));
}

#[test]
fn a_stream_beyond_streams_max_is_429() {
    let server = TestServer::start();
    // The server's own rooms count as well.
    let own = server.metric("floe_streams") as usize;
    let server = server.restart_with(|settings| settings.limits.streams_max = own + 2);
    server.expect(201, put("a"));
    server.expect(201, put("b"));
    server.send(put("c")).refused(429, "LIMIT_REACHED");
    server.expect(200, put("a"));
    server.expect(204, crate::harness::delete("a"));
    server.expect(201, put("c"));
}

#[test]
fn pieces_and_events_are_bounded_by_their_settings() {
    let server = limited(|limits| {
        limits.read_chunk_bytes_max = 1_000;
        limits.sse_event_bytes_max = 100;
    });
    server.expect(201, put("log").text(&"x".repeat(5_000)));
    let piece = server.expect(200, get("log"));
    assert_eq!(
        (piece.body.len(), piece.next()),
        (1_000, offset(1_000).as_str())
    );
    let poll = server.expect(200, get("log?offset=-1&live=long-poll"));
    assert_eq!(poll.body.len(), 1_000);
    let mut events = server.follow("log", "-1");
    assert_eq!(events.step().unwrap().data.unwrap().len(), 100);
}

#[test]
fn a_request_that_dribbles_in_is_408() {
    let server = limited(|limits| limits.http_request_timeout_ms = 300);
    let request = post("log").text("hello").bytes();
    for cut in [1, 20, request.len() - 1] {
        let mut connection = server.connect();
        connection.ask(&get("/healthz")).expect(200);
        let started = Instant::now();
        connection.write(&request[..cut]);
        // Each byte is progress, and none of them moves the deadline.
        let mut slow = connection.socket.try_clone().unwrap();
        let rest = request[cut..].to_vec();
        std::thread::spawn(move || {
            use std::io::Write as _;
            for byte in rest {
                std::thread::sleep(Duration::from_millis(20));
                if slow.write_all(&[byte]).is_err() {
                    return;
                }
                if started.elapsed() > Duration::from_millis(600) {
                    return;
                }
            }
        });
        let answer = connection.answer();
        if cut < request.len() - 1 {
            answer.refused(408, "REQUEST_TIMEOUT");
            assert!(started.elapsed() >= Duration::from_millis(280));
            assert!(connection.is_closed());
        } else {
            answer.refused(404, "NOT_FOUND");
        }
    }
}

#[test]
fn a_hundred_dribbling_clients_do_not_slow_anyone() {
    let server = limited(|limits| limits.http_request_timeout_ms = 400);
    server.expect(201, put("log").content_type("text/plain"));
    let mut slow: Vec<Connection> = (0..100).map(|_| server.connect()).collect();
    for connection in &mut slow {
        connection.write("POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx");
    }
    let mut quick = server.connect();
    for _ in 0..100 {
        quick.ask(&post("log").text("x")).expect(204);
    }
    for mut connection in slow {
        connection.answer().refused(408, "REQUEST_TIMEOUT");
    }
    eventually("they are gone", || server.metric("floe_connections") <= 2.0);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = limited(|limits| limits.http_idle_timeout_ms = 200);
    let mut silent = server.connect();
    let mut used = server.connect();
    used.ask(&get("/healthz")).expect(200);
    assert!(silent.is_closed());
    assert!(used.is_closed());
}

#[test]
fn a_stalled_reader_is_dropped_and_slows_nobody() {
    let server = limited(|limits| {
        limits.reader_stall_timeout_ms = 1_500;
        limits.http_body_bytes_max = 1 << 20;
    });
    server.expect(201, put("log").content_type("text/plain"));
    let mut stalled = server.connect();
    stalled.write(get("log?offset=now&live=sse").bytes());
    let readers: Vec<_> = (0..20).map(|_| server.follow("log", "now")).collect();
    eventually("all readers wait", || {
        server.metric("floe_live_readers") == 21.0
    });
    let threads: Vec<_> = readers
        .into_iter()
        .map(|mut events| {
            std::thread::spawn(move || {
                let mut bytes = 0;
                while let Some(step) = events.step() {
                    bytes += step.data.map_or(0, |data| data.len());
                    if step.control["streamClosed"] == true {
                        break;
                    }
                }
                bytes
            })
        })
        .collect();
    let mut writer = server.connect();
    let body = "x".repeat(512 << 10);
    let started = Instant::now();
    // More than the sockets in between hold.
    for _ in 0..16 {
        writer.ask(&post("log").text(&body)).expect(204);
    }
    let appended = started.elapsed();
    writer.ask(&post("log").closed()).expect(204);
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 16 * body.len());
    }
    assert!(appended < Duration::from_secs(10), "{appended:?}");
    eventually("the stalled one is gone", || {
        server.metric("floe_live_readers") == 0.0
    });
    eventually("its connection too", || {
        server.metric("floe_connections") <= 2.0
    });
    // It got whole events up to some point, and comes back for the rest.
    let received = stalled.rest();
    assert!(received.starts_with(b"HTTP/1.1 200") && received.len() < 16 * body.len());
}

#[test]
fn a_stalled_catch_up_read_is_dropped() {
    let server = limited(|limits| {
        limits.reader_stall_timeout_ms = 300;
        limits.read_chunk_bytes_max = 8 << 20;
    });
    server.expect(201, put("log").content_type("text/plain"));
    for _ in 0..8 {
        server.expect(204, post("log").text(&"x".repeat(1 << 20)));
    }
    let mut stalled = server.connect();
    for _ in 0..3 {
        stalled.write(get("log").bytes());
    }
    eventually("it is gone", || server.metric("floe_connections") <= 1.0);
    assert!(stalled.rest().len() < 24 << 20);
}

#[test]
fn idle_rooms_leave_memory_and_come_back() {
    let server = limited(|limits| {
        limits.room_idle_timeout_ms = 0;
        limits.rooms_loaded_max = 4;
    });
    for number in 0..20 {
        server.expect(201, put(&format!("log{number}")).text("hello"));
    }
    let follower = server.follow("log0", "now");
    eventually("they have left", || {
        server.metric("floe_streams_loaded") <= 6.0
    });
    for number in 0..20 {
        let name = format!("log{number}");
        server.expect(204, post(&name).text(" world"));
        assert_eq!(server.read_all(&name), b"hello world");
    }
    let mut follower = follower;
    assert_eq!(follower.step().unwrap().data, None);
    assert_eq!(follower.step().unwrap().data.as_deref(), Some(" world"));
}
