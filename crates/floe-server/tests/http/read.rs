//! Reading, describing and deleting: R1 to R7 and R14 to R17.

use crate::harness::{TestServer, delete, get, head, offset, post, put};

fn server_with(text: &str) -> TestServer {
    let server = TestServer::start();
    server.expect(201, put("log").text(text));
    server
}

// R1
#[test]
fn offsets_grow_sort_as_bytes_and_are_safe_in_addresses() {
    let server = server_with("");
    let mut last = server.expect(200, head("log")).next().to_owned();
    for text in ["a", "bb", &"c".repeat(10_000), "d"] {
        let next = server.expect(204, post("log").text(text)).next().to_owned();
        assert!(
            next.as_bytes() > last.as_bytes() && next.len() < 256,
            "{last} {next}"
        );
        assert!(!next.contains([',', '&', '=', '?', '/']) && next != "-1" && next != "now");
        let read = server.expect(200, get(&format!("log?offset={last}")));
        assert_eq!(read.text(), text);
        assert_eq!(read.next(), next);
        last = next;
    }
}

// R1
#[test]
fn malformed_empty_and_repeated_offsets_are_400() {
    let server = server_with("hello");
    for query in [
        "offset=",
        "offset",
        "offset=x",
        "offset=-2",
        "offset=1,2",
        "offset=NOW",
        "offset=-1&offset=-1",
        "offset=-1&offset=now",
        "offset=00000000000000000",
        "offset=%00",
        "offset=0000000000000006",
        "offset=9999999999999999",
    ] {
        for live in ["", "&live=long-poll", "&live=sse"] {
            server
                .send(get(&format!("log?{query}{live}")))
                .refused(400, "INVALID_OFFSET");
        }
    }
}

// R2
#[test]
fn a_long_read_comes_in_pieces_and_the_last_says_so() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 1_000);
    server.expect(201, put("log").content_type("text/plain"));
    let text: String = (0..500).map(|number| format!("line {number}\n")).collect();
    for line in text.split_inclusive('\n') {
        server.expect(204, post("log").text(line));
    }
    let mut from = "-1".to_owned();
    let (mut all, mut pieces) = (String::new(), 0);
    loop {
        let piece = server.expect(200, get(&format!("log?offset={from}")));
        assert!(piece.body.len() < 2_000, "{}", piece.body.len());
        all += &piece.text();
        pieces += 1;
        assert_eq!(piece.is_up_to_date(), all.len() == text.len());
        assert_eq!(piece.next(), offset(all.len() as u64));
        assert_eq!(piece.header("content-type"), Some("text/plain"));
        if piece.is_up_to_date() {
            break;
        }
        from = piece.next().to_owned();
    }
    assert!(pieces >= 3);
    assert_eq!(all, text);
    let tail = server.expect(
        200,
        get(&format!("log?offset={}", offset(all.len() as u64))),
    );
    assert!(tail.is_up_to_date() && tail.body.is_empty());
}

// R2, over a restart and from segments
#[test]
fn what_was_flushed_merged_and_recovered_reads_the_same() {
    let set = |settings: &mut floe_server::Settings| settings.log.flush_bytes = 64 << 10;
    let server = TestServer::with(set);
    let mut texts = Vec::new();
    for stream in 0..3 {
        let name = format!("log{stream}");
        server.expect(201, put(&name).content_type("text/plain"));
        let mut connection = server.connect();
        let mut all = String::new();
        for number in 0..60 {
            let text = format!("{stream}:{number} {}\n", "x".repeat(number * 37 % 4_000));
            connection.ask(&post(&name).text(&text)).expect(204);
            all += &text;
        }
        assert_eq!(server.read_all(&name), all.as_bytes());
        texts.push(all);
    }
    let mut server = server;
    for _ in 0..2 {
        server = server.restart();
        for (stream, text) in texts.iter().enumerate() {
            assert_eq!(server.read_all(&format!("log{stream}")), text.as_bytes());
        }
    }
}

// R3
#[test]
fn closed_is_said_only_with_the_last_byte() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 10);
    server.expect(201, put("log").content_type("text/plain"));
    for _ in 0..5 {
        server.expect(204, post("log").text("0123456789"));
    }
    server.expect(204, post("log").closed());
    let first = server.expect(200, get("log"));
    assert!(!first.is_closed() && !first.is_up_to_date());
    let last = server.expect(200, get(&format!("log?offset={}", offset(45))));
    assert!(last.is_closed() && last.is_up_to_date());
    assert_eq!(last.text(), "56789");
    let after = server.expect(200, get(&format!("log?offset={}", offset(50))));
    assert!(after.is_closed() && after.is_up_to_date() && after.body.is_empty());
}

// R4
#[test]
fn what_is_not_there_is_404_and_what_is_soft_deleted_is_410() {
    let server = server_with("hello");
    server.send(get("other")).refused(404, "NOT_FOUND");
    server
        .send(get("other?offset=now&live=sse"))
        .refused(404, "NOT_FOUND");
    server.expect(
        201,
        put("fork").field("Stream-Forked-From", "/v1/stream/log"),
    );
    server.expect(204, delete("log"));
    for live in ["", "?offset=-1&live=long-poll", "?offset=-1&live=sse"] {
        server.send(get(&format!("log{live}"))).refused(410, "GONE");
    }
}

// R5
#[test]
fn now_is_the_tail_and_is_not_stored() {
    let server = server_with("hello");
    let read = server.expect(200, get("log?offset=now"));
    assert_eq!(
        (read.next(), read.text().as_str()),
        (offset(5).as_str(), "")
    );
    assert!(read.is_up_to_date());
    assert_eq!(read.header("cache-control"), Some("no-store"));
    assert_eq!(read.header("etag"), None);
    server.expect(201, put("list").json("[1,2]"));
    let read = server.expect(200, get("list?offset=now"));
    assert_eq!(
        (read.next(), read.text().as_str()),
        (offset(2).as_str(), "[]")
    );
}

// R6
#[test]
fn an_entity_tag_stands_for_stream_range_and_closed_state() {
    let server = server_with("hello");
    let tag = |target: &str| {
        let read = server.expect(200, get(target));
        read.header("etag").unwrap().to_owned()
    };
    let whole = tag("log");
    assert!(whole.starts_with('"') && whole.ends_with('"'));
    for given in [&whole, &format!("\"x\", W/{whole}"), "*"] {
        let same = server.expect(304, get("log").field("If-None-Match", given));
        assert!(same.body.is_empty());
        assert_eq!(same.header("etag"), Some(whole.as_str()));
        assert_eq!(same.next(), offset(5));
        assert!(same.is_up_to_date());
    }
    let mut tags = vec![whole.clone(), tag(&format!("log?offset={}", offset(2)))];
    server.expect(204, post("log").text("!"));
    server.expect(200, get("log").field("If-None-Match", &whole));
    tags.push(tag("log"));
    server.expect(204, post("log").closed());
    tags.push(tag("log"));
    server.expect(204, delete("log"));
    server.expect(201, put("log").text("hello"));
    tags.push(tag("log"));
    let mut distinct = tags.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), tags.len(), "{tags:?}");
    // A change of identity is one over a restart too.
    let before = tags.pop().unwrap();
    let server = server.restart();
    let read = server.expect(200, get("log"));
    assert_eq!(read.header("etag"), Some(before.as_str()));
}

// R7
#[test]
fn caches_keep_what_is_final_and_ask_again_at_the_tail() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 4);
    server.expect(201, put("log").content_type("text/plain"));
    for text in ["hell", "o wo", "rld"] {
        server.expect(204, post("log").text(text));
    }
    let caching = |target: &str| {
        let read = server.send(get(target));
        read.header("cache-control").unwrap().to_owned()
    };
    let kept = "public, max-age=60, stale-while-revalidate=300";
    assert_eq!(caching("log"), kept);
    let at = format!("log?offset={}", offset(8));
    assert_eq!(caching(&at), "public, no-cache");
    assert_eq!(caching(&format!("{at}&live=long-poll")), kept);
    server.expect(204, post("log").closed());
    assert_eq!(caching(&at), kept);
    assert_eq!(
        server.expect(200, head("log")).header("cache-control"),
        Some("no-store")
    );
}

// R7
#[test]
fn a_writer_reads_its_own_write_at_once() {
    let server = server_with("");
    let (mut writer, mut reader) = (server.connect(), server.connect());
    let mut all = String::new();
    for number in 0..50 {
        let text = format!("{number},");
        writer.ask(&post("log").text(&text)).expect(204);
        all += &text;
        assert_eq!(reader.ask(&get("log")).expect(200).text(), all);
    }
}

// R14
#[test]
fn a_head_describes_and_has_no_body() {
    let server = TestServer::start();
    server.expect(201, put("log").text("hello").field("Stream-TTL", 60));
    let mut connection = server.connect();
    let described = connection.ask(&head("log")).expect(200);
    assert_eq!(described.header("content-type"), Some("text/plain"));
    assert_eq!(described.header("stream-ttl"), Some("60"));
    assert_eq!(described.header("cache-control"), Some("no-store"));
    assert_eq!(described.next(), offset(5));
    assert!(!described.is_closed());
    connection.ask(&post("log").closed()).expect(204);
    assert!(connection.ask(&head("log")).expect(200).is_closed());
    // No body after any of these, or the next answer would not be one.
    for (target, status) in [
        ("other", 404),
        ("/nowhere", 404),
        ("/healthz", 200),
        ("/metrics", 200),
        ("/", 200),
        ("__ds/jwks.json", 200),
        ("__ds/subscriptions/x", 404),
        ("__ds/x", 404),
        ("__registry__", 200),
    ] {
        connection.ask(&head(target)).expect(status);
    }
    assert_eq!(connection.ask(&get("log")).expect(200).text(), "hello");
}

// R15
#[test]
fn what_is_deleted_is_gone_also_after_a_restart() {
    let server = server_with("hello");
    let deleted = server.expect(204, delete("log"));
    assert!(deleted.body.is_empty());
    let check = |server: &TestServer| {
        for request in [
            get("log"),
            head("log"),
            delete("log"),
            post("log").text("x"),
        ] {
            server.expect(404, request);
        }
    };
    check(&server);
    check(&server.restart());
}

// R16
#[test]
fn unknown_parameters_are_ignored() {
    let server = server_with("hello");
    for query in [
        "x=y",
        "x",
        "&&",
        "offset=-1&x=1&x=2",
        "Offset=zzz",
        "=",
        "x=%",
    ] {
        assert_eq!(
            server.expect(200, get(&format!("log?{query}"))).text(),
            "hello",
            "{query}"
        );
    }
}

// R17
#[test]
fn a_name_created_again_never_shows_old_data() {
    let server = server_with("old old old");
    server.expect(204, delete("log"));
    server.expect(201, put("log").text("new"));
    let check = |server: &TestServer| {
        assert_eq!(server.read_all("log"), b"new");
        assert_eq!(server.expect(200, head("log")).next(), offset(3));
        server
            .send(get(&format!("log?offset={}", offset(11))))
            .refused(400, "INVALID_OFFSET");
        let read = server.expect(200, get(&format!("log?offset={}", offset(1))));
        assert_eq!(read.text(), "ew");
    };
    check(&server);
    let server = server.restart();
    check(&server);
    // Nor what a producer, a sequence or a closure said of the old one.
    server.expect(
        200,
        post("log")
            .text("x")
            .producer("p", 5, 0)
            .field("Stream-Seq", "z")
            .closed(),
    );
    server.expect(204, delete("log"));
    server.expect(201, put("log").content_type("text/plain"));
    let server = server.restart();
    server.expect(
        200,
        post("log")
            .text("y")
            .producer("p", 0, 0)
            .field("Stream-Seq", "a"),
    );
    assert_eq!(server.read_all("log"), b"y");
}
