//! Appending and closing: A1 to A9.

use crate::harness::{TestServer, delete, get, head, offset, post, put};

// A1
#[test]
fn an_append_is_204_with_the_new_tail() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    let mut connection = server.connect();
    for (at, text) in ["one", "two", "three"].iter().enumerate() {
        let appended = connection.ask(&post("log").text(text)).expect(204);
        assert_eq!(appended.next(), offset([3, 6, 11][at]));
        assert!(!appended.is_closed());
    }
    let closed = connection.ask(&post("log").text("!").closed()).expect(204);
    assert!(closed.is_closed());
    assert_eq!(closed.next(), offset(12));
    assert_eq!(server.read_all("log"), b"onetwothree!");
    let server = server.restart();
    assert_eq!(server.read_all("log"), b"onetwothree!");
    assert!(server.expect(200, head("log")).is_closed());
}

// A2
#[test]
fn an_empty_body_may_only_close() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    server.send(post("log").text("")).refused(400, "EMPTY_BODY");
    server.send(post("log")).refused(400, "EMPTY_BODY");
    let closed = server.expect(204, post("log").content_type("image/png").closed());
    assert!(closed.is_closed());
}

// A3
#[test]
fn appends_that_do_not_fit_are_refused() {
    let server = TestServer::with(|settings| settings.limits.http_body_bytes_max = 100);
    server.expect(201, put("log").content_type("text/plain"));
    server
        .send(post("log").body("x"))
        .refused(400, "CONTENT_TYPE_REQUIRED");
    server
        .send(post("log").content_type(" ").body("x"))
        .refused(400, "CONTENT_TYPE_REQUIRED");
    server
        .send(post("log").content_type("text/html").body("x"))
        .refused(409, "CONTENT_TYPE_MISMATCH");
    server
        .send(post("other").text("x"))
        .refused(404, "NOT_FOUND");
    server
        .send(post("log").text(&"x".repeat(101)))
        .refused(413, "BODY_TOO_LARGE");
    server
        .send(post("log").text(&"x".repeat(101)).chunked(10))
        .refused(413, "BODY_TOO_LARGE");
    server.expect(204, post("log").text(&"x".repeat(100)));
    server.expect(
        201,
        put("fork").field("Stream-Forked-From", "/v1/stream/log"),
    );
    server.expect(204, delete("log"));
    server.send(post("log").text("x")).refused(410, "GONE");
    assert_eq!(server.read_all("fork").len(), 100);
}

// A4
#[test]
fn a_body_may_come_in_chunks_of_any_size() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    let text = "0123456789".repeat(300);
    for size in [1, 7, 1000, 5000] {
        server.expect(204, post("log").text(&text).chunked(size));
    }
    assert_eq!(server.read_all("log"), text.repeat(4).as_bytes());
}

// A5
#[test]
fn a_stream_seq_must_grow_as_bytes_and_is_remembered() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    let append = |seq: &str| post("log").text(".").field("Stream-Seq", seq);
    server.expect(204, append("10"));
    server
        .send(append("10"))
        .refused(409, "SEQUENCE_REGRESSION");
    server.send(append("1")).refused(409, "SEQUENCE_REGRESSION");
    // As bytes, 9 comes after 10.
    server.expect(204, append("9"));
    server
        .send(append("10"))
        .refused(409, "SEQUENCE_REGRESSION");
    server.expect(204, append("a"));
    server.expect(204, post("log").text("no seq"));
    let server = server.restart();
    server.send(append("Z")).refused(409, "SEQUENCE_REGRESSION");
    server.send(append("a")).refused(409, "SEQUENCE_REGRESSION");
    server.expect(204, append("b"));
    server
        .send(append(&"c".repeat(300)))
        .refused(400, "INVALID_REQUEST");
    assert_eq!(server.read_all("log"), b"...no seq.");
}

// A6
#[test]
fn a_closed_stream_says_where_it_ends() {
    let server = TestServer::start();
    server.expect(201, put("log").text("done").closed());
    let server = server.restart();
    let refused = server.send(post("log").text("more")).refused(409, "CLOSED");
    assert!(refused.is_closed());
    assert_eq!(refused.next(), offset(4));
    assert_eq!(server.read_all("log"), b"done");
}

// A7
#[test]
fn closed_is_checked_before_the_type_and_the_type_before_the_sequence() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    server.expect(204, post("log").text("x").field("Stream-Seq", "5"));
    let wrong = post("log")
        .content_type("image/png")
        .body("x")
        .field("Stream-Seq", "1");
    server
        .send(wrong.clone())
        .refused(409, "CONTENT_TYPE_MISMATCH");
    server.expect(204, post("log").closed());
    server.send(wrong).refused(409, "CLOSED");
}

// A8
#[test]
fn closing_again_is_204_and_appending_to_a_closed_stream_is_409() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    server.expect(204, post("log").text("end").closed());
    for _ in 0..2 {
        let again = server.expect(204, post("log").closed());
        assert!(again.is_closed());
        assert_eq!(again.next(), offset(3));
    }
    server
        .send(post("log").text("end").closed())
        .refused(409, "CLOSED");
    let server = server.restart();
    server.expect(204, post("log").closed());
    server
        .send(post("log").text("end").closed())
        .refused(409, "CLOSED");
}

// A9
#[test]
fn an_append_that_closes_is_one_step_and_is_never_undone() {
    let server = TestServer::start();
    server.expect(201, put("log").content_type("text/plain"));
    // A refused one does neither.
    server
        .send(post("log").content_type("image/png").body("x").closed())
        .refused(409, "CONTENT_TYPE_MISMATCH");
    let open = server.expect(200, head("log"));
    assert!(!open.is_closed() && open.next() == offset(0));
    server.expect(204, post("log").text("last").closed());
    let mut server = server;
    for _ in 0..2 {
        server = server.restart();
        let read = server.expect(200, get("log"));
        assert!(read.is_closed());
        assert_eq!(read.text(), "last");
    }
}
