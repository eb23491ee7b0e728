//! Creating: C1 to C9.

use std::time::Duration;

use crate::harness::{TestServer, delete, eventually, get, head, offset, post, put};

// C1
#[test]
fn a_new_stream_is_201_with_its_place_type_and_tail() {
    let server = TestServer::start();
    let created = server.expect(201, put("a/b%20c").text("hello"));
    assert_eq!(
        created.header("location"),
        Some("http://floe.test/v1/stream/a/b%20c")
    );
    assert_eq!(created.header("content-type"), Some("text/plain"));
    assert_eq!(created.next(), offset(5));
    assert!(!created.is_closed());
    assert_eq!(server.read_all("a/b%20c"), b"hello");
    // The same name, written in another way.
    assert_eq!(server.read_all("%61/b%20%63"), b"hello");
}

#[test]
fn a_public_url_is_the_base_of_locations() {
    let server = TestServer::with(|settings| {
        settings.public_url = Some("https://floe.example.com/".into());
    });
    let created = server.expect(201, put("a"));
    assert_eq!(
        created.header("location"),
        Some("https://floe.example.com/v1/stream/a")
    );
}

// C2
#[test]
fn creating_again_is_200_if_all_is_equal_and_409_if_anything_differs() {
    let server = TestServer::start();
    let at = "2099-01-01T00:00:00Z";
    let make = [
        put("plain").content_type("text/plain"),
        put("ttl")
            .content_type("text/plain")
            .field("Stream-TTL", 60),
        put("expiry")
            .content_type("text/plain")
            .field("Stream-Expires-At", at),
        put("closed").content_type("text/plain").closed(),
    ];
    for (one, request) in make.iter().enumerate() {
        server.expect(201, request.clone());
        let again = server.expect(200, request.clone());
        assert_eq!(again.next(), offset(0));
        assert_eq!(again.header("location"), None);
        for (other, different) in make.iter().enumerate() {
            if one != other {
                let mut different = different.clone();
                different.target = request.target.clone();
                server.send(different).refused(409, "EXISTS");
            }
        }
        let different = put(request.target.as_str()).content_type("text/html");
        server.send(different).refused(409, "EXISTS");
    }
    // The same moment in other words is the same configuration.
    let same = put("expiry")
        .content_type("text/plain")
        .field("Stream-Expires-At", "2099-01-01T01:00:00+01:00");
    server.expect(200, same);
    server
        .send(
            put("ttl")
                .content_type("text/plain")
                .field("Stream-TTL", 61),
        )
        .refused(409, "EXISTS");
    // A body is not configuration: creating again writes nothing.
    server.expect(200, put("plain").text("ignored"));
    assert_eq!(server.read_all("plain"), b"");
}

// C2, over a restart
#[test]
fn a_configuration_is_the_same_after_a_restart() {
    let server = TestServer::start();
    let at = "2099-01-01T00:00:00Z";
    let make = [
        put("plain").content_type("text/plain"),
        put("ttl").field("Stream-TTL", 60),
        put("expiry")
            .content_type("application/json")
            .field("Stream-Expires-At", at),
        put("closed").text("all").closed(),
    ];
    for request in &make {
        server.expect(201, request.clone());
    }
    let heads: Vec<_> = make.iter().map(|request| head(&request.target)).collect();
    let describe = |server: &TestServer| -> Vec<_> {
        let describe = |request: &_| {
            let mut fields = server.expect(200, Clone::clone(request)).fields;
            fields.retain(|(name, _)| name != "date");
            fields
        };
        heads.iter().map(describe).collect()
    };
    let before = describe(&server);
    let server = server.restart();
    assert_eq!(describe(&server), before);
    for request in make {
        server.expect(200, request);
    }
}

// C3
#[test]
fn closed_is_part_of_the_configuration() {
    let server = TestServer::start();
    server.expect(201, put("open"));
    server.send(put("open").closed()).refused(409, "EXISTS");
    server.expect(204, post("open").closed());
    server.send(put("open")).refused(409, "EXISTS");
    assert!(server.expect(200, put("open").closed()).is_closed());
}

// C4
#[test]
fn content_types_default_to_bytes_and_compare_without_case() {
    let server = TestServer::start();
    let created = server.expect(201, put("bytes"));
    assert_eq!(
        created.header("content-type"),
        Some("application/octet-stream")
    );
    server.expect(200, put("bytes").content_type("Application/Octet-Stream"));
    server.expect(201, put("text").content_type("Text/Plain; charset=UTF-8"));
    server.expect(200, put("text").content_type("text/plain; charset=utf-8"));
    server.expect(204, post("text").content_type("TEXT/PLAIN").body("x"));
    let long = format!("text/{}", "x".repeat(300));
    server
        .send(put("long").content_type(&long))
        .refused(400, "INVALID_REQUEST");
}

// C5
#[test]
fn a_ttl_is_a_whole_number_of_seconds_and_nothing_else() {
    let server = TestServer::start();
    for text in [
        "",
        "+1",
        "-1",
        "01",
        "1.5",
        "1e3",
        "0x1",
        "1 s",
        "one",
        "99999999999999999999",
    ] {
        server
            .send(put("ttl").field("Stream-TTL", text))
            .refused(400, "INVALID_REQUEST");
    }
    server.expect(404, head("ttl"));
    server.expect(201, put("ttl").field("Stream-TTL", 3600));
    let described = server.expect(200, head("ttl"));
    assert_eq!(described.header("stream-ttl"), Some("3600"));
    // As long as a number can say.
    server.expect(201, put("longest").field("Stream-TTL", u64::MAX));
    server.expect(200, get("longest"));
}

// C5
#[test]
fn reads_and_writes_restart_a_ttl_and_head_does_not() {
    let server = TestServer::start();
    for stream in ["read", "written", "followed", "tail", "described", "left"] {
        server.expect(
            201,
            put(stream)
                .content_type("text/plain")
                .field("Stream-TTL", 1),
        );
    }
    // A live read counts once, when it begins.
    let mut follower = None;
    for round in 0..4 {
        std::thread::sleep(Duration::from_millis(450));
        server.expect(200, get("read"));
        server.expect(204, post("written").text("x"));
        server.expect(200, get("tail?offset=now"));
        server.send(head("described"));
        if round == 0 {
            follower = Some(server.follow("followed", "-1"));
        }
    }
    for (stream, status) in [
        ("read", 200),
        ("written", 200),
        ("tail", 200),
        ("described", 404),
        ("left", 404),
        ("followed", 404),
    ] {
        server.expect(status, head(stream));
    }
    assert!(follower.unwrap().step().is_some());
}

// C5 and C6, over a restart
#[test]
fn a_lifetime_ends_while_the_server_is_down() {
    let server = TestServer::start();
    server.expect(201, put("ttl").text("old").field("Stream-TTL", 1));
    server.expect(201, put("kept").text("old").field("Stream-TTL", 3600));
    let mut server = server;
    server.stop();
    std::thread::sleep(Duration::from_millis(1_050));
    let server = server.restart();
    server.expect(404, head("ttl"));
    server.expect(201, put("ttl").text("new"));
    assert_eq!(server.read_all("ttl"), b"new");
    assert_eq!(server.read_all("kept"), b"old");
}

// C6
#[test]
fn an_expiry_is_a_moment_and_excludes_a_ttl() {
    let server = TestServer::start();
    for text in [
        "",
        "tomorrow",
        "2099-13-01T00:00:00Z",
        "2099-01-01",
        "2099-01-01T00:00:00",
        "4070908800",
    ] {
        server
            .send(put("expiry").field("Stream-Expires-At", text))
            .refused(400, "INVALID_REQUEST");
    }
    let both = put("expiry")
        .field("Stream-Expires-At", "2099-01-01T00:00:00Z")
        .field("Stream-TTL", 60);
    server.send(both).refused(400, "INVALID_REQUEST");
    server.expect(404, head("expiry"));
    server.expect(
        201,
        put("expiry").field("Stream-Expires-At", "2099-01-01T00:00:00Z"),
    );
    let described = server.expect(200, head("expiry"));
    assert_eq!(
        described.header("stream-expires-at"),
        Some("2099-01-01T00:00:00.000Z")
    );
    // What is over is over.
    server.expect(
        201,
        put("past").field("Stream-Expires-At", "2001-01-01T00:00:00Z"),
    );
    server.send(get("past")).refused(404, "NOT_FOUND");
}

#[test]
fn a_stream_whose_time_is_over_leaves_without_being_asked_for() {
    let server = TestServer::start();
    let before = server.metric("floe_streams");
    server.expect(201, put("short").field("Stream-TTL", 0));
    eventually("the stream is gone", || {
        server.metric("floe_streams") <= before
    });
    server.send(delete("short")).refused(404, "NOT_FOUND");
}

// C7
#[test]
fn a_stream_created_closed_is_whole() {
    let server = TestServer::start();
    let created = server.expect(201, put("whole").text("everything").closed());
    assert!(created.is_closed());
    assert_eq!(created.next(), offset(10));
    let read = server.expect(200, get("whole"));
    assert!(read.is_closed() && read.is_up_to_date());
    assert_eq!(read.text(), "everything");
    assert!(server.expect(201, put("empty").closed()).is_closed());
    server
        .send(
            post("empty")
                .content_type("application/octet-stream")
                .body("x"),
        )
        .refused(409, "CLOSED");
}

// C8
#[test]
fn a_stream_may_begin_with_data() {
    let server = TestServer::start();
    assert_eq!(
        server.expect(201, put("list").json("[1,2,3]")).next(),
        offset(3)
    );
    assert_eq!(server.expect(201, put("none").json("[]")).next(), offset(0));
    assert_eq!(server.expect(200, get("none")).text(), "[]");
    server
        .send(put("bad").json("[1,"))
        .refused(400, "INVALID_JSON");
    server.expect(404, head("bad"));
    let chunked = put("chunked").text("in pieces").chunked(2);
    assert_eq!(server.expect(201, chunked).next(), offset(9));
}

// C9
#[test]
fn only_true_closes_in_any_case() {
    let server = TestServer::start();
    for (at, value) in ["", "1", "yes", "false", "truE ish"].iter().enumerate() {
        let name = format!("open{at}");
        let created = server.expect(201, put(&name).field("Stream-Closed", value));
        assert!(!created.is_closed(), "{value}");
        server
            .send(post(&name).field("Stream-Closed", value))
            .refused(400, "EMPTY_BODY");
    }
    for (at, value) in ["true", "TRUE", "True"].iter().enumerate() {
        let name = format!("closed{at}");
        assert!(
            server
                .expect(201, put(&name).field("Stream-Closed", value))
                .is_closed()
        );
    }
}
