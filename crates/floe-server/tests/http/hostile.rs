//! Clients that are slow, gone, wrong or hostile.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Response, TestServer, eventually, get, head, offset, post, put};

fn started() -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("log").text("hello"));
    server
}

/// Sends bytes on a connection of their own; returns the first answer.
#[track_caller]
fn raw(server: &TestServer, bytes: impl AsRef<[u8]>) -> Response {
    let mut connection = server.connect();
    connection.write(bytes);
    connection.answer()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    let mut bytes = Vec::new();
    for number in 0..100 {
        bytes.extend(post("log").text(&format!("{number},")).bytes());
        bytes.extend(get("log").bytes());
        bytes.extend(head("log").bytes());
        bytes.extend(post("log").text("").bytes());
    }
    let mut connection = server.connect();
    let mut writer = connection.socket.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        use std::io::Write as _;
        writer.write_all(&bytes).unwrap();
    });
    let mut all = String::new();
    for number in 0..100 {
        all += &format!("{number},");
        let appended = connection.answer_to("POST").expect(204);
        assert_eq!(appended.next(), offset(all.len() as u64));
        assert_eq!(connection.answer().expect(200).text(), all);
        assert_eq!(
            connection.answer_to("HEAD").expect(200).next(),
            appended.next()
        );
        connection.answer_to("POST").refused(400, "EMPTY_BODY");
    }
    sending.join().unwrap();
}

#[test]
fn what_is_pipelined_behind_a_wait_is_answered_after_it() {
    let server = started();
    let mut connection = server.connect();
    let mut bytes = get("log?offset=now&live=long-poll").bytes();
    bytes.extend(get("log").bytes());
    connection.write(bytes);
    eventually("it waits", || server.metric("floe_live_readers") == 1.0);
    server.expect(204, post("log").text("!"));
    assert_eq!(connection.answer().expect(200).text(), "!");
    assert_eq!(connection.answer().expect(200).text(), "hello!");
    // More than a head behind a wait stays in the socket, and is answered all the same.
    let mut bytes = get("log?offset=now&live=long-poll").bytes();
    for _ in 0..1_000 {
        bytes.extend(get("log?offset=now").bytes());
    }
    connection.write(bytes);
    eventually("it waits", || server.metric("floe_live_readers") == 1.0);
    server.expect(204, post("log").text("?"));
    assert_eq!(connection.answer().expect(200).text(), "?");
    for _ in 0..1_000 {
        connection.answer().expect(200);
    }
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let server = started();
    let mut connection = server.connect();
    for request in [
        post("log").text(" world"),
        post("log").text("!!").chunked(1),
        get("log"),
    ] {
        for byte in request.bytes() {
            connection.write([byte]);
        }
        let answer = connection.answer_to(&request.method);
        assert!(answer.status < 300, "{answer:?}");
    }
    assert_eq!(server.read_all("log"), b"hello world!!");
}

#[test]
fn a_half_closed_client_gets_its_answer() {
    let server = started();
    for (request, status) in [
        (get("log"), 200),
        (post("log").text("!"), 204),
        (put("new"), 201),
    ] {
        // Both in one packet, and the end on its own.
        for pause in [0, 30] {
            let mut connection = server.connect();
            let mut request = request.clone();
            if status == 201 {
                request.target = format!("/v1/stream/new{pause}");
            }
            connection.write(request.bytes());
            std::thread::sleep(Duration::from_millis(pause));
            connection.finish();
            connection.answer_to(&request.method).expect(status);
            let started = Instant::now();
            assert!(connection.is_closed());
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "the end was not noticed"
            );
        }
    }
    assert_eq!(server.read_all("log"), b"hello!!");
}

#[test]
fn a_large_answer_reaches_a_half_closed_client() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    for _ in 0..4 {
        server.expect(204, post("log").text(&"x".repeat(1 << 20)));
    }
    let mut connection = server.connect();
    connection.write(get("log").bytes());
    connection.finish();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(connection.answer().expect(200).body.len(), 4 << 20);
    assert!(connection.is_closed());
}

#[test]
fn a_client_that_vanishes_while_it_waits_is_forgotten() {
    let server = started();
    for live in ["long-poll", "sse"] {
        let waiting: Vec<Connection> = (0..10)
            .map(|_| {
                let mut connection = server.connect();
                connection.write(get(&format!("log?offset=now&live={live}")).bytes());
                connection
            })
            .collect();
        eventually("all wait", || server.metric("floe_live_readers") == 10.0);
        drop(waiting);
        eventually("none waits", || server.metric("floe_live_readers") == 0.0);
        // Gone before it could be parked.
        for _ in 0..10 {
            let mut connection = server.connect();
            connection.write(get(&format!("log?offset=now&live={live}")).bytes());
        }
        eventually("none waits", || {
            server.metric("floe_live_readers") == 0.0 && server.metric("floe_connections") <= 2.0
        });
    }
    // An append whose client has gone may or may not be there, but is whole.
    for _ in 0..20 {
        server
            .connect()
            .write(post("log").text("0123456789").bytes());
    }
    eventually("all are gone", || server.metric("floe_connections") <= 2.0);
    assert_eq!(server.read_all("log").len() % 10, 5);
}

#[test]
fn a_client_may_wait_for_a_word_before_it_sends_its_body() {
    let server = TestServer::with(|settings| settings.limits.http_body_bytes_max = 100);
    server.expect(201, put("log").content_type("text/plain"));
    let head = |length: &str| {
        format!(
            "POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
             Expect: 100-Continue\r\n{length}\r\n\r\n"
        )
    };
    let mut connection = server.connect();
    connection.write(head("Content-Length: 5"));
    connection.head().expect(100);
    connection.write("hello");
    connection.answer().expect(204);
    connection.write(head("Transfer-Encoding: chunked"));
    connection.head().expect(100);
    connection.write("3\r\nabc\r\n");
    std::thread::sleep(Duration::from_millis(20));
    connection.write("0\r\n\r\n");
    connection.answer().expect(204);
    // Whoever has sent it already needs no word.
    connection.write(head("Content-Length: 2") + "!!");
    connection.answer().expect(204);
    // Nor whoever would send too much.
    connection.write(head("Content-Length: 101"));
    connection.answer().refused(413, "BODY_TOO_LARGE");
    assert_eq!(server.read_all("log"), b"helloabc!!");
}

#[test]
fn requests_of_two_lengths_or_odd_chunks_are_refused_and_the_connection_ends() {
    let server = started();
    let smuggled =
        "POST /v1/stream/log HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n!";
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length:",
        "Content-Length: 18446744073709551621",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding : chunked",
        "Content-Length : 5",
        "Content-Length: 5\r\n folded: x",
        "X: y\r\n\tTransfer-Encoding: chunked",
        " Content-Length: 5",
        "Content-Length\x0b: 5",
        "Content-Length: 5\0",
        "X\0: y",
        "X: a\rb",
        ": y",
        "no colon",
    ] {
        let mut connection = server.connect();
        connection.write(format!(
            "POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n{fields}\r\n\r\n\
             0\r\n\r\n{smuggled}"
        ));
        let refused = connection.answer().refused(400, "INVALID_REQUEST");
        assert_eq!(refused.header("connection"), Some("close"), "{fields}");
        assert!(connection.is_closed(), "{fields}");
    }
    for chunks in [
        "5\r\nhello0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "g\r\n",
        "-1\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5\r;x\r\nhello\r\n0\r\n\r\n",
        "\r\n",
        ";x\r\n",
        "fffffffffffffffff\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\nX: y\n\n",
        "5\r\nhello\r\n0\r\n \r\n",
    ] {
        let mut connection = server.connect();
        connection.write(format!(
            "POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
             Transfer-Encoding: chunked\r\n\r\n{chunks}{smuggled}"
        ));
        connection.answer().refused(400, "INVALID_REQUEST");
        assert!(connection.is_closed(), "{chunks:?}");
    }
    assert_eq!(server.read_all("log"), b"hello");
}

#[test]
fn chunk_extensions_and_trailers_are_passed_over() {
    let server = started();
    let mut connection = server.connect();
    connection.write(
        "POST /v1/stream/log HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         1;a=b;c=\"d\"\r\n!\r\n0001\r\n?\r\n0;last\r\nStream-Closed: true\r\nX: y\r\n\r\n",
    );
    assert!(!connection.answer().expect(204).is_closed());
    assert_eq!(connection.ask(&get("log")).expect(200).text(), "hello!?");
}

#[test]
fn an_http_1_0_client_is_served_and_left() {
    let server = started();
    let mut connection = server.connect();
    connection.write("GET /v1/stream/log HTTP/1.0\r\n\r\n");
    let read = connection.answer().expect(200);
    assert_eq!(
        (read.text().as_str(), read.header("connection")),
        ("hello", Some("close"))
    );
    assert!(connection.is_closed());
    let mut connection = server.connect();
    connection.write("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    connection.answer().expect(200);
    connection.ask(&get("/healthz")).expect(200);
    raw(
        &server,
        "POST /v1/stream/log HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    )
    .refused(400, "INVALID_REQUEST");
    for version in [
        "HTTP/0.9",
        "HTTP/1.2",
        "HTTP/2.0",
        "HTTP/3",
        "http/1.1",
        "HTTP/1.1 x",
        "",
    ] {
        raw(&server, format!("GET /healthz {version}\r\n\r\n")).refused(400, "INVALID_REQUEST");
    }
}

#[test]
fn a_connection_ends_when_its_client_says_so() {
    let server = started();
    let mut connection = server.connect();
    let mut bytes = get("log").field("Connection", "close").bytes();
    bytes.extend(get("log").bytes());
    connection.write(bytes);
    assert_eq!(
        connection.answer().expect(200).header("connection"),
        Some("close")
    );
    assert!(connection.is_closed());
    let mut events = server
        .connect()
        .follow(&get("log?offset=-1&live=sse").field("Connection", "close"));
    assert_eq!(events.until_up_to_date().0, "hello");
    server.expect(204, post("log").closed());
    assert!(events.step().unwrap().is_closed());
    assert!(events.into_connection().is_closed());
}

#[test]
fn a_target_may_be_absolute() {
    let server = started();
    for target in [
        "http://floe.test/v1/stream/log",
        "HTTP://x:1/v1/stream/log?offset=-1",
    ] {
        let read = raw(&server, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).expect(200);
        assert_eq!(read.text(), "hello");
    }
    for target in [
        "*",
        "http://",
        "http://floe.test",
        "floe.test:443",
        "//v1/stream/log",
        "/v1/stream",
        "x",
    ] {
        let answer = raw(&server, format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(
            matches!(answer.status, 200 | 400 | 404),
            "{target} {answer:?}"
        );
        assert_ne!(answer.text(), "hello", "{target}");
    }
}

#[test]
fn unknown_methods_are_405_and_broken_ones_400() {
    let server = started();
    for method in ["PATCH", "TRACE", "CONNECT", "get", "GETS", "M-SEARCH"] {
        for target in [
            "/v1/stream/log",
            "/healthz",
            "/metrics",
            "/",
            "/v1/stream/__ds/jwks.json",
        ] {
            raw(
                &server,
                format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"),
            )
            .refused(405, "METHOD_NOT_ALLOWED");
        }
    }
    for method in ["", "G T", "\u{e4}", "GET\t", "\0"] {
        raw(
            &server,
            format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n\r\n"),
        )
        .refused(400, "INVALID_REQUEST");
    }
}

#[test]
fn percent_signs_name_bytes_or_nothing() {
    let server = TestServer::start();
    for (name, same) in [
        ("a%2Fb", "a/b"),
        ("%C3%A4", "%c3%a4"),
        ("a%00%ff%20", "a%00%FF%20"),
        ("a%25b", "%61%25%62"),
        ("..%2f..", "../.."),
        ("a//b", "a%2f/b"),
        ("+", "%2B"),
    ] {
        server.expect(201, put(name).text(name));
        assert_eq!(server.read_all(same), name.as_bytes());
    }
    // Case and slashes are part of a name.
    for other in ["A/b", "a/b/", "a/./b", "a"] {
        server.send(get(other)).refused(404, "NOT_FOUND");
    }
    for broken in ["%", "a%", "a%2", "%zz", "%+1", "%-1", "% 1", ""] {
        let answer = server.send(get(broken));
        assert!(matches!(answer.status, 400 | 404), "{broken}: {answer:?}");
        assert!(
            matches!(answer.code().as_str(), "UNKNOWN_ROUTE" | "INVALID_REQUEST"),
            "{broken}"
        );
    }
    let server = server.restart();
    assert_eq!(server.read_all("a%00%ff%20"), b"a%00%ff%20");
    server
        .send(put("%00a").text("x"))
        .refused(404, "UNKNOWN_ROUTE");
    // The listing is JSON whatever names there are.
    serde_json::from_slice::<Vec<serde_json::Value>>(&server.read_all("__registry__")).unwrap();
}

#[test]
fn bytes_that_no_request_has_are_400() {
    let server = started();
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET /v1/stream/\0 HTTP/1.1\r\n\r\n",
        b"GET /v1/stream/\x7f HTTP/1.1\r\n\r\n",
        b"GET /v1/stream/\x01 HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \0\r\n\r\n",
    ] {
        raw(&server, bytes).refused(400, "INVALID_REQUEST");
    }
    // In a field that matters, what is not text is refused; elsewhere it is nobody's business.
    let mut request = post("log").text("x").field("Producer-Id", "@").bytes();
    let at = request.iter().position(|byte| *byte == b'@').unwrap();
    request[at] = 0xff;
    raw(&server, request).refused(400, "INVALID_REQUEST");
    raw(
        &server,
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
    )
    .expect(200);
}

#[test]
fn a_request_without_one_host_is_400_and_http_1_0_gets_no_chunks() {
    let server = started();
    raw(&server, b"GET /healthz HTTP/1.1\r\n\r\n").refused(400, "INVALID_REQUEST");
    let twice = b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
    raw(&server, twice).refused(400, "INVALID_REQUEST");
    raw(&server, b"GET /healthz HTTP/1.0\r\n\r\n").expect(200);
    let events = b"GET /v1/stream/log?offset=-1&live=sse HTTP/1.0\r\n\r\n";
    raw(&server, events).refused(400, "INVALID_REQUEST");
}

#[test]
fn a_very_long_query_is_read_or_refused_but_never_fatal() {
    let server = started();
    let long = "x=y&".repeat(3_000);
    assert_eq!(
        server.expect(200, get(&format!("log?{long}"))).text(),
        "hello"
    );
    let same = "offset=-1&".repeat(1_000);
    server
        .send(get(&format!("log?{same}")))
        .refused(400, "INVALID_OFFSET");
    let longer = "x=y&".repeat(30_000);
    server
        .send(get(&format!("log?{longer}")))
        .refused(431, "HEAD_TOO_LARGE");
}

#[test]
fn ten_thousand_broken_connections_leave_nothing_behind() {
    let server = started();
    let pieces: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\r\n\r\n\r\n\r\n\r\n\r\n",
        b"GET",
        b"GET / HTTP/1.1\r\nX",
        b"POST /v1/stream/log HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nx",
        b"POST /v1/stream/log HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x0c\x04\0\0\0\0\0garbage that is no frame",
        b"GET /v1/stream/log?offset=now&live=sse HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/stream/log HTTP/1.1\r\n\r\nGET /v1/stream/log HTTP/1.1\r\n\r\nGET",
    ];
    let started = Instant::now();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let before = resident_bytes();
    for number in 0..10_000 {
        let mut connection = server.connect();
        if number % 2 == 0 {
            connection.try_write(pieces[number / 2 % pieces.len()]);
            continue;
        }
        let mut noise = [0; 64];
        for byte in &mut noise {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state as u8;
        }
        connection.try_write(noise);
    }
    assert!(
        started.elapsed() < Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
    eventually("all are gone", || {
        server.metric("floe_connections") <= 1.0 && server.metric("floe_live_readers") == 0.0
    });
    assert_eq!(server.expect(200, get("/healthz")).text(), "ok\n");
    assert_eq!(server.read_all("log"), b"hello");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        // Other tests run in this process too, so this bounds the order of size alone.
        assert!(after.saturating_sub(before) < 512 << 20, "{before} {after}");
    }
}

/// Memory of this process, where the system tells it.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<u64>().ok()? * 4_096)
}

#[test]
fn a_body_that_never_comes_costs_no_memory() {
    let server = started();
    let before = resident_bytes();
    let mut connections: Vec<_> = (0..200).map(|_| server.connect()).collect();
    for connection in &mut connections {
        connection.write(
            "POST /v1/stream/log HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 8000000\r\n\r\nx",
        );
    }
    server.expect(200, get("/healthz"));
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after.saturating_sub(before) < 512 << 20, "{before} {after}");
    }
}
