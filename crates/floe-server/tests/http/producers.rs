//! Idempotent producers: P1 to P7.

use crate::harness::{Request, Response, TestServer, get, head, offset, post, put};

fn started() -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    server
}

fn append(epoch: u64, seq: u64, text: &str) -> Request {
    post("log").text(text).producer("p", epoch, seq)
}

#[track_caller]
fn echoes(response: &Response, epoch: &str, seq: &str) {
    assert_eq!(
        response.header("producer-epoch"),
        Some(epoch),
        "{response:?}"
    );
    assert_eq!(response.header("producer-seq"), Some(seq), "{response:?}");
}

// P1
#[test]
fn the_three_fields_come_together_or_not_at_all() {
    let server = started();
    let fields = [
        ("Producer-Id", "p"),
        ("Producer-Epoch", "0"),
        ("Producer-Seq", "0"),
    ];
    for some in 1..7 {
        let mut request = post("log").text("x");
        for (at, (name, value)) in fields.iter().enumerate() {
            if some & 1 << at != 0 {
                request = request.field(name, value);
            }
        }
        server.send(request).refused(400, "INVALID_REQUEST");
    }
    let with = |id: &str, epoch: &str, seq: &str| {
        post("log")
            .text("x")
            .field("Producer-Id", id)
            .field("Producer-Epoch", epoch)
            .field("Producer-Seq", seq)
    };
    let beyond = (1_u64 << 53).to_string();
    for request in [
        with("", "0", "0"),
        with("p", "-1", "0"),
        with("p", "0", "-1"),
        with("p", "1.5", "0"),
        with("p", "0", "x"),
        with("p", "", "0"),
        with("p", &beyond, "0"),
        with("p", "0", &beyond),
        with(&"p".repeat(257), "0", "0"),
    ] {
        server.send(request).refused(400, "INVALID_REQUEST");
    }
    let largest = ((1_u64 << 53) - 1).to_string();
    server.expect(200, with("p", &largest, "0"));
    assert_eq!(server.read_all("log"), b"x");
}

// P2
#[test]
fn a_lower_epoch_is_fenced_and_a_higher_one_starts_at_zero() {
    let server = started();
    server.expect(200, append(3, 0, "a"));
    let fenced = server
        .send(append(2, 0, "b"))
        .refused(403, "PRODUCER_FENCED");
    assert_eq!(fenced.header("producer-epoch"), Some("3"));
    server
        .send(append(4, 1, "c"))
        .refused(400, "PRODUCER_EPOCH_START");
    server.expect(200, append(4, 0, "d"));
    server
        .send(append(3, 1, "e"))
        .refused(403, "PRODUCER_FENCED");
    assert_eq!(server.read_all("log"), b"ad");
}

// P3 and P4
#[test]
fn duplicates_are_204_the_next_is_200_and_a_gap_is_409() {
    let server = started();
    for seq in 0..3 {
        let appended = server.expect(200, append(0, seq, "x"));
        echoes(&appended, "0", &seq.to_string());
        assert_eq!(appended.next(), offset(seq + 1));
    }
    for seq in 0..3 {
        let duplicate = server.expect(204, append(0, seq, "whatever"));
        echoes(&duplicate, "0", "2");
    }
    let gap = server.send(append(0, 5, "y")).refused(409, "PRODUCER_GAP");
    assert_eq!(gap.header("producer-expected-seq"), Some("3"));
    assert_eq!(gap.header("producer-received-seq"), Some("5"));
    let first = post("log").text("y").producer("other", 0, 1);
    let gap = server.send(first).refused(409, "PRODUCER_GAP");
    assert_eq!(gap.header("producer-expected-seq"), Some("0"));
    assert_eq!(server.read_all("log"), b"xxx");
}

// P5
#[test]
fn a_number_counts_requests_and_not_messages() {
    let server = TestServer::start();
    server.expect(201, put("list").content_type("application/json"));
    let batch = |seq, body: &str| post("list").json(body).producer("p", 0, seq);
    assert_eq!(server.expect(200, batch(0, "[1,2,3]")).next(), offset(3));
    assert_eq!(server.expect(200, batch(1, "[4,5]")).next(), offset(5));
    server.expect(204, batch(1, "[4,5]"));
    assert_eq!(server.expect(200, get("list")).text(), "[1,2,3,4,5]");
}

// P5
#[test]
fn of_equal_requests_at_once_exactly_one_writes() {
    let server = started();
    for seq in 0..20 {
        let mut connections: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for connection in &mut connections {
            connection.write(append(0, seq, "x").bytes());
        }
        let statuses: Vec<_> = connections
            .iter_mut()
            .map(|connection| connection.answer_to("POST").status)
            .collect();
        let new = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(new, 1, "{statuses:?}");
        assert!(
            statuses.iter().all(|status| matches!(status, 200 | 204)),
            "{statuses:?}"
        );
    }
    assert_eq!(server.expect(200, head("log")).next(), offset(20));
}

// P6
#[test]
fn a_producer_is_known_after_a_restart() {
    let server = started();
    server.expect(200, append(1, 0, "a"));
    server.expect(200, append(1, 1, "b"));
    let mut server = server;
    for _ in 0..2 {
        server = server.restart();
        echoes(&server.expect(204, append(1, 0, "a")), "1", "1");
        echoes(&server.expect(204, append(1, 1, "b")), "1", "1");
        server
            .send(append(0, 0, "x"))
            .refused(403, "PRODUCER_FENCED");
        server.send(append(1, 3, "x")).refused(409, "PRODUCER_GAP");
    }
    server.expect(200, append(1, 2, "c"));
    assert_eq!(server.read_all("log"), b"abc");
}

// P7
#[test]
fn only_the_tuple_that_closed_a_stream_succeeds_again() {
    let server = started();
    server.expect(200, append(1, 0, "a"));
    let closed = server.expect(200, append(1, 1, "b").closed());
    assert!(closed.is_closed());
    let mut server = server;
    for _ in 0..2 {
        let again = server.expect(204, append(1, 1, "b").closed());
        assert!(again.is_closed());
        echoes(&again, "1", "1");
        server.send(append(1, 0, "a")).refused(409, "CLOSED");
        server.send(append(1, 2, "c")).refused(409, "CLOSED");
        server
            .send(append(0, 0, "c"))
            .refused(403, "PRODUCER_FENCED");
        server = server.restart();
    }
    assert_eq!(server.read_all("log"), b"ab");
}

// P7
#[test]
fn a_producer_may_close_without_data() {
    let server = started();
    server.expect(200, append(0, 0, "a"));
    let close = || post("log").closed().producer("p", 0, 1);
    assert!(server.expect(204, close()).is_closed());
    assert!(server.expect(204, close()).is_closed());
    let refused = server.send(append(0, 2, "b")).refused(409, "CLOSED");
    assert!(refused.is_closed());
}

// P7
#[test]
fn a_duplicate_is_found_before_its_stream_seq_is_compared() {
    let server = started();
    let request = |seq, order: &str| append(0, seq, "x").field("Stream-Seq", order);
    server.expect(200, request(0, "a"));
    server.expect(200, request(1, "b"));
    server.expect(204, request(0, "a"));
    server.expect(204, request(1, "b"));
    server
        .send(request(2, "b"))
        .refused(409, "SEQUENCE_REGRESSION");
    // What was refused took no number.
    server.expect(200, request(2, "c"));
    assert_eq!(server.read_all("log"), b"xxx");
}
