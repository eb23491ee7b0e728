//! Forks: F1 to F7.

use crate::harness::{Request, TestServer, delete, eventually, get, head, offset, post, put};

fn fork(name: &str, source: &str) -> Request {
    put(name).field("Stream-Forked-From", format!("/v1/stream/{source}"))
}

fn fork_at(name: &str, source: &str, at: u64) -> Request {
    fork(name, source).field("Stream-Fork-Offset", offset(at))
}

fn text_source() -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("source").text("0123456789"));
    server
}

// F1
#[test]
fn a_fork_begins_at_the_tail_an_offset_or_some_units_beyond() {
    let server = text_source();
    server.expect(201, put("list").json("[1,2,3,4]"));
    let cases = [
        (fork("tail", "source"), 10),
        (fork_at("offset", "source", 4), 4),
        (fork_at("none", "source", 0), 0),
        (
            fork_at("bytes", "source", 4).field("Stream-Fork-Sub-Offset", 3),
            7,
        ),
        (
            fork_at("zero", "source", 4).field("Stream-Fork-Sub-Offset", 0),
            4,
        ),
        (
            fork_at("messages", "list", 1).field("Stream-Fork-Sub-Offset", 2),
            3,
        ),
        (
            fork("zero-alone", "source").field("Stream-Fork-Sub-Offset", 0),
            10,
        ),
    ];
    for (request, tail) in cases {
        let created = server.expect(201, request.clone());
        assert_eq!(created.next(), offset(tail), "{request:?}");
        assert_eq!(server.expect(200, request).next(), offset(tail));
    }
    assert_eq!(server.read_all("tail"), b"0123456789");
    assert_eq!(server.read_all("bytes"), b"0123456");
    assert_eq!(server.read_all("none"), b"");
    assert_eq!(server.expect(200, get("messages")).text(), "[1,2,3]");
    // The path may be percent-encoded, and another fork is another configuration.
    server.expect(
        200,
        put("offset")
            .field("Stream-Forked-From", "/v1/stream/s%6Furce")
            .field("Stream-Fork-Offset", offset(4)),
    );
    server
        .send(fork_at("offset", "source", 5))
        .refused(409, "EXISTS");
    server.send(put("offset")).refused(409, "EXISTS");
}

// F1
#[test]
fn fork_fields_that_make_no_sense_are_400() {
    let server = text_source();
    let sub = |request: Request, value: &str| request.field("Stream-Fork-Sub-Offset", value);
    for request in [
        put("fork").field("Stream-Fork-Offset", offset(1)),
        sub(put("fork"), "1"),
        sub(fork("fork", "source"), "1"),
        sub(fork_at("fork", "source", 4), "7"),
        sub(fork_at("fork", "source", 4), "-1"),
        sub(fork_at("fork", "source", 4), "1.5"),
        sub(fork_at("fork", "source", 4), "01"),
        sub(fork_at("fork", "source", 4), "x"),
        sub(fork_at("fork", "source", 4), &u64::MAX.to_string()),
        fork("fork", "source").field("Stream-Fork-Offset", "x"),
        fork("fork", "source").field("Stream-Fork-Offset", ""),
        fork_at("fork", "source", 11),
        put("fork").field("Stream-Forked-From", ""),
        put("fork").field("Stream-Forked-From", "/v1/stream/%"),
    ] {
        server.send(request).refused(400, "INVALID_FORK");
    }
    server.expect(404, head("fork"));
}

// F2
#[test]
fn a_refused_fork_keeps_no_reference() {
    let server = text_source();
    server.send(fork("fork", "none")).refused(404, "NOT_FOUND");
    server
        .send(fork_at("fork", "source", 11))
        .refused(400, "INVALID_FORK");
    server
        .send(fork("fork", "source").content_type("text/html"))
        .refused(409, "CONTENT_TYPE_MISMATCH");
    server.expect(201, put("taken"));
    server.send(fork("taken", "source")).refused(409, "EXISTS");
    let inherited = server.expect(201, fork("fork", "source"));
    assert_eq!(inherited.header("content-type"), Some("text/plain"));
    server.expect(204, delete("fork"));
    // Nothing refers to the source any more, so it goes at once.
    server.expect(204, delete("source"));
    server.send(get("source")).refused(404, "NOT_FOUND");
    server.expect(201, put("source"));
    server.expect(201, fork("fork", "source"));
    server.expect(204, delete("source"));
    server.send(fork("second", "source")).refused(409, "EXISTS");
}

// F3
#[test]
fn a_fork_stitches_what_it_inherits_and_what_is_its_own() {
    let server = TestServer::with(|settings| settings.log.flush_bytes = 1 << 10);
    server.expect(201, put("source").json("[1,2,3]"));
    server.expect(201, fork_at("fork", "source", 2));
    server.expect(204, post("source").json("\"of the source\""));
    server.expect(
        204,
        post("fork").json(&format!("[\"{}\",5]", "x".repeat(2_000))),
    );
    let check = |server: &TestServer| {
        let all = format!("[1,2,\"{}\",5]", "x".repeat(2_000));
        assert_eq!(server.expect(200, get("fork")).text(), all);
        assert_eq!(server.expect(200, head("fork")).next(), offset(4));
        let across = server.expect(200, get(&format!("fork?offset={}", offset(1))));
        assert!(across.text().starts_with("[2,\"xxx"));
        assert_eq!(
            server.expect(200, get("source")).text(),
            "[1,2,3,\"of the source\"]"
        );
    };
    check(&server);
    check(&server.restart());
}

// F3 and F7
#[test]
fn appends_to_the_source_do_not_wake_readers_of_a_fork() {
    let server = text_source();
    server.expect(201, fork("fork", "source"));
    let mut poll = server.connect();
    poll.write(get("fork?offset=now&live=long-poll").bytes());
    let mut events = server.follow("fork", &offset(8));
    let (data, step) = events.until_up_to_date();
    assert_eq!((data.as_str(), step.next()), ("89", offset(10).as_str()));
    eventually("both wait", || server.metric("floe_live_readers") == 2.0);
    server.expect(204, post("source").text("hidden"));
    server.expect(204, post("source").closed());
    server.expect(204, post("fork").text("own"));
    assert_eq!(poll.answer().expect(200).text(), "own");
    assert_eq!(events.step().unwrap().data.as_deref(), Some("own"));
}

// F4
#[test]
fn a_fork_inherits_data_and_nothing_else() {
    let server = TestServer::start();
    server.expect(201, put("source").content_type("text/plain"));
    let write = |name: &str, epoch| {
        post(name)
            .text("x")
            .producer("p", epoch, 0)
            .field("Stream-Seq", "5")
    };
    server.expect(200, write("source", 7).closed());
    let created = server.expect(201, fork("fork", "source"));
    assert!(!created.is_closed());
    assert!(!server.expect(200, get("fork")).is_closed());
    server.expect(200, write("fork", 0));
    assert_eq!(server.read_all("fork"), b"xx");
    assert!(
        server
            .expect(201, fork("closed", "source").closed())
            .is_closed()
    );
}

// F5
#[test]
fn a_lifetime_is_inherited_unless_one_is_given() {
    let server = TestServer::start();
    let expiry = "2099-01-01T00:00:00.000Z";
    server.expect(201, put("ttl").field("Stream-TTL", 100));
    server.expect(201, put("expiry").field("Stream-Expires-At", expiry));
    server.expect(201, fork("from-ttl", "ttl"));
    server.expect(201, fork("from-expiry", "expiry"));
    server.expect(201, fork("own", "ttl").field("Stream-TTL", 7));
    server.expect(201, fork("other", "ttl").field("Stream-Expires-At", expiry));
    let server = server.restart();
    for (name, ttl, expires_at) in [
        ("from-ttl", Some("100"), None),
        ("from-expiry", None, Some(expiry)),
        ("own", Some("7"), None),
        ("other", None, Some(expiry)),
    ] {
        let described = server.expect(200, head(name));
        assert_eq!(described.header("stream-ttl"), ttl, "{name}");
        assert_eq!(described.header("stream-expires-at"), expires_at, "{name}");
    }
}

fn is_soft_deleted(server: &TestServer, name: &str) {
    server.send(get(name)).refused(410, "GONE");
    server.expect(410, head(name));
    server.send(post(name).text("x")).refused(410, "GONE");
    server.send(delete(name)).refused(410, "GONE");
    server
        .send(put(name).content_type("text/plain"))
        .refused(409, "EXISTS");
}

// F6
#[test]
fn a_deleted_source_lives_on_for_its_forks_also_over_a_restart() {
    let server = text_source();
    server.expect(201, fork_at("one", "source", 5));
    server.expect(201, fork("two", "source"));
    server.expect(204, delete("source"));
    is_soft_deleted(&server, "source");
    let server = server.restart();
    is_soft_deleted(&server, "source");
    assert_eq!(server.read_all("one"), b"01234");
    server.expect(204, delete("one"));
    is_soft_deleted(&server, "source");
    assert_eq!(server.read_all("two"), b"0123456789");
    let server = server.restart();
    server.expect(204, delete("two"));
    server.send(get("source")).refused(404, "NOT_FOUND");
    server.expect(201, put("source").text("new"));
    let server = server.restart();
    assert_eq!(server.read_all("source"), b"new");
}

// F6 and F7
#[test]
fn a_clean_up_climbs_the_whole_chain() {
    let server = text_source();
    let before = server.metric("floe_streams");
    server.expect(201, fork("child", "source"));
    server.expect(204, post("child").text("c"));
    server.expect(201, fork("grandchild", "child"));
    server.expect(204, post("grandchild").text("g"));
    server.expect(204, delete("source"));
    server.expect(204, delete("child"));
    let server = server.restart();
    is_soft_deleted(&server, "source");
    is_soft_deleted(&server, "child");
    assert_eq!(server.read_all("grandchild"), b"0123456789cg");
    server.expect(204, delete("grandchild"));
    for name in ["source", "child", "grandchild"] {
        server.send(get(name)).refused(404, "NOT_FOUND");
        server.expect(201, put(name));
        server.expect(204, delete(name));
    }
    assert_eq!(server.metric("floe_streams"), before - 1.0);
}

// F6
#[test]
fn a_source_whose_time_is_over_lives_on_for_its_forks() {
    let server = TestServer::start();
    server.expect(201, put("source").text("data").field("Stream-TTL", 1));
    server.expect(201, fork("fork", "source").field("Stream-TTL", 3_600));
    eventually("the source is over", || {
        server.send(head("source")).status == 410
    });
    assert_eq!(server.read_all("fork"), b"data");
    server.expect(204, delete("fork"));
    server.send(get("source")).refused(404, "NOT_FOUND");
}

// F7
#[test]
fn a_fork_says_nothing_of_its_source() {
    let server = text_source();
    let created = server.expect(201, fork_at("fork", "source", 5));
    for answer in [
        created,
        server.expect(200, get("fork")),
        server.expect(200, head("fork")),
    ] {
        assert!(
            !answer.fields.iter().any(|(name, _)| name.contains("fork")),
            "{answer:?}"
        );
    }
}

// F3 and F7
#[test]
fn live_readers_cross_from_inherited_to_own_data() {
    let server = text_source();
    server.expect(201, fork_at("child", "source", 6));
    server.expect(204, post("child").text("abc"));
    server.expect(201, fork_at("grandchild", "child", 8));
    server.expect(204, post("grandchild").text("XYZ"));
    let mut events = server.follow("grandchild", &offset(4));
    let (data, step) = events.until_up_to_date();
    assert_eq!(
        (data.as_str(), step.next()),
        ("45abXYZ", offset(11).as_str())
    );
    server.expect(204, post("grandchild").text("!").closed());
    let last = events.step().unwrap();
    assert!(last.is_closed() && last.data.as_deref() == Some("!"));
    let poll = server.expect(200, get("grandchild?offset=-1&live=long-poll"));
    assert_eq!(poll.text(), "012345abXYZ!");
}
