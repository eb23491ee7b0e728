//! Long-polls and server-sent events: R8 to R13.

use std::time::{Duration, Instant, SystemTime};

use floe_server::Settings;

use crate::harness::{Events, TestServer, delete, eventually, get, head, offset, post, put};

fn server_with(text: &str, set: impl FnOnce(&mut Settings)) -> TestServer {
    let server = TestServer::with(set);
    server.expect(201, put("log").text(text));
    server
}

fn readers(server: &TestServer, count: f64) {
    eventually("all readers wait", || {
        server.metric("floe_live_readers") == count
    });
}

// R8
#[test]
fn a_long_poll_needs_an_offset_and_answers_at_once_if_there_is_data() {
    let server = server_with("hello", |_| {});
    server
        .send(get("log?live=long-poll"))
        .refused(400, "INVALID_OFFSET");
    server
        .send(get("log?live=sse"))
        .refused(400, "INVALID_OFFSET");
    server
        .send(get("log?live=x&offset=-1"))
        .refused(400, "INVALID_REQUEST");
    server
        .send(get("log?live=&offset=-1"))
        .refused(400, "INVALID_REQUEST");
    server
        .send(get("none?live=long-poll&offset=-1"))
        .refused(404, "NOT_FOUND");
    let read = server.expect(200, get("log?offset=-1&live=long-poll"));
    assert_eq!(read.text(), "hello");
    assert!(read.is_up_to_date() && read.header("stream-cursor").is_some());
}

// R8
#[test]
fn a_long_poll_waits_for_the_next_append() {
    let server = server_with("hello", |_| {});
    let mut waiting: Vec<_> = ["now", &offset(5)]
        .iter()
        .map(|from| {
            let mut connection = server.connect();
            connection.write(get(&format!("log?offset={from}&live=long-poll")).bytes());
            connection
        })
        .collect();
    readers(&server, 2.0);
    server.expect(204, post("log").text(" world"));
    for connection in &mut waiting {
        let read = connection.answer().expect(200);
        assert_eq!(
            (read.text().as_str(), read.next()),
            (" world", offset(11).as_str())
        );
        assert!(read.is_up_to_date());
        // The connection goes on.
        connection.ask(&get("/healthz")).expect(200);
    }
    readers(&server, 0.0);
}

// R8
#[test]
fn a_long_poll_without_data_is_204_after_its_time() {
    let server = server_with("hello", |settings| {
        settings.limits.long_poll_timeout_ms = 150
    });
    let started = Instant::now();
    let nothing = server.expect(204, get("log?offset=now&live=long-poll"));
    assert!(started.elapsed() >= Duration::from_millis(140));
    assert_eq!(nothing.next(), offset(5));
    assert!(nothing.is_up_to_date() && !nothing.is_closed());
    assert!(nothing.header("stream-cursor").is_some());
}

// R8 and R13
#[test]
fn a_long_poll_ends_at_once_when_the_stream_is_or_gets_closed() {
    let server = server_with("hello", |_| {});
    let mut waiting = server.connect();
    waiting.write(get("log?offset=now&live=long-poll").bytes());
    readers(&server, 1.0);
    server.expect(204, post("log").closed());
    for ended in [
        waiting.answer(),
        server.send(get("log?offset=now&live=long-poll")),
    ] {
        let ended = ended.expect(204);
        assert!(ended.is_closed() && ended.is_up_to_date());
        assert_eq!(ended.header("stream-cursor"), None);
        assert_eq!(ended.next(), offset(5));
    }
    let last = server.expect(200, get("log?offset=-1&live=long-poll"));
    assert!(last.is_closed() && last.header("stream-cursor").is_none());
}

// R8 and R13
#[test]
fn a_long_poll_gets_what_was_appended_together_with_the_closing() {
    let server = server_with("hello", |_| {});
    let mut waiting = server.connect();
    waiting.write(get("log?offset=now&live=long-poll").bytes());
    readers(&server, 1.0);
    server.expect(204, post("log").text("!").closed());
    let read = waiting.answer().expect(200);
    assert!(read.is_closed() && read.is_up_to_date());
    assert_eq!(read.text(), "!");
}

// R8
#[test]
fn live_readers_of_a_deleted_stream_are_told() {
    let server = server_with("hello", |_| {});
    let mut waiting = server.connect();
    waiting.write(get("log?offset=now&live=long-poll").bytes());
    let mut events = server.follow("log", "now");
    assert!(events.step().unwrap().is_up_to_date());
    readers(&server, 2.0);
    server.expect(204, delete("log"));
    waiting.answer().refused(404, "NOT_FOUND");
    assert_eq!(events.step(), None);
    // A new stream of the name has other readers.
    server.expect(201, put("log").text("new"));
    readers(&server, 0.0);
}

// R9
#[test]
fn a_cursor_counts_intervals_and_always_moves_on() {
    let server = server_with("hello", |settings| {
        settings.limits.long_poll_timeout_ms = 50
    });
    let interval = || {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
        (now - 1_728_432_000) / 20
    };
    let cursor = |given: &str| -> u64 {
        let read = server.send(get(&format!("log?offset=-1&live=long-poll{given}")));
        read.header("stream-cursor").unwrap().parse().unwrap()
    };
    let before = interval();
    for given in ["", "&cursor=", "&cursor=x", "&cursor=1", "&cursor=-1"] {
        assert!((before..=interval()).contains(&cursor(given)), "{given}");
    }
    for ahead in [0, 1, 1_000] {
        let given = interval() + ahead;
        let got = cursor(&format!("&cursor={given}"));
        assert!(got > given && got <= given + 181, "{given} {got}");
    }
    let largest = cursor(&format!("&cursor={}", u64::MAX));
    assert!(largest > 0);
    let nothing = server.expect(
        204,
        get(&format!("log?offset=now&live=long-poll&cursor={before}")),
    );
    assert!(
        nothing
            .header("stream-cursor")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > before
    );
    let mut events = server.connect().follow(&get(&format!(
        "log?offset=now&live=sse&cursor={}",
        interval() + 5
    )));
    let step = events.step().unwrap();
    assert!(
        step.control["streamCursor"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            > interval() + 5
    );
}

// R10
#[test]
fn events_come_in_pairs_and_the_first_control_at_once() {
    let server = server_with("", |_| {});
    let mut events = server.follow("log", "-1");
    assert_eq!(events.head.header("cache-control"), Some("no-cache"));
    let first = events.step().unwrap();
    assert_eq!(
        (first.data.as_deref(), first.next()),
        (None, offset(0).as_str())
    );
    assert!(first.is_up_to_date() && !first.is_closed());
    assert!(first.control["streamCursor"].is_string());
    let mut all = String::new();
    for number in 0..20 {
        let text = format!("{number};");
        server.expect(204, post("log").text(&text));
        let (data, step) = events.until_up_to_date();
        all += &text;
        assert_eq!(
            (data, step.next().to_owned()),
            (text, offset(all.len() as u64))
        );
    }
    server.expect(204, post("log").closed());
    let last = events.step().unwrap();
    assert!(last.is_closed() && last.is_up_to_date() && last.data.is_none());
    assert!(last.control.get("streamCursor").is_none());
    let mut connection = events.into_connection();
    assert_eq!(connection.ask(&get("log")).expect(200).text(), all);
}

// R10 and R13
#[test]
fn the_last_append_comes_before_the_closing_control() {
    let server = server_with("hello", |_| {});
    let mut early = server.follow("log", "now");
    assert!(early.step().unwrap().is_up_to_date());
    server.expect(204, post("log").text(" world").closed());
    for (events, text) in [
        (early, " world"),
        (server.follow("log", "-1"), "hello world"),
    ] {
        let mut events = events;
        let step = events.step().unwrap();
        assert_eq!(step.data.as_deref(), Some(text));
        assert!(step.is_closed());
        events.into_connection();
    }
    let mut after = server.follow("log", "now");
    let step = after.step().unwrap();
    assert!(step.is_closed() && step.data.is_none());
    after.into_connection();
}

// R11
#[test]
fn text_arrives_line_by_line_whatever_ends_the_lines() {
    let server = server_with("", |_| {});
    let mut events = server.follow("log", "-1");
    events.step().unwrap();
    for (text, expected) in [
        ("a\nb", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("\n\n", "\n\n"),
        (" lead", " lead"),
        ("data: x\n\nevent: control\n", "data: x\n\nevent: control\n"),
        ("\u{e4}\u{20ac}\u{1f600}", "\u{e4}\u{20ac}\u{1f600}"),
        ("\r\n\r\n: comment", "\n\n: comment"),
    ] {
        server.expect(204, post("log").text(text));
        assert_eq!(events.until_up_to_date().0, expected, "{text:?}");
    }
}

// R11
#[test]
fn a_character_is_not_torn_apart_between_events() {
    let text = "\u{20ac}".repeat(2_000);
    let server = server_with("", |settings| settings.limits.sse_event_bytes_max = 100);
    server.expect(204, post("log").text(&text));
    let mut events = server.follow("log", "-1");
    let first = events.step().unwrap();
    assert!(first.data.as_deref().unwrap().len() <= 200);
    assert!(!first.is_up_to_date());
    let rest = events.until_up_to_date().0;
    assert_eq!(first.data.unwrap() + &rest, text);
}

// R11
#[test]
fn bytes_are_base64_and_json_is_one_array_an_event() {
    let server = server_with("", |settings| settings.limits.sse_event_bytes_max = 30);
    let bytes: Vec<u8> = (0..=255).collect();
    server.expect(201, put("bytes").body(&bytes));
    let mut events = server.follow("bytes", "-1");
    assert_eq!(
        events.head.header("stream-sse-data-encoding"),
        Some("base64")
    );
    let mut decoded = Vec::new();
    loop {
        use base64::Engine as _;
        let step = events.step().unwrap();
        let data = step.data.as_deref().unwrap();
        decoded.extend(
            base64::engine::general_purpose::STANDARD
                .decode(data)
                .unwrap(),
        );
        if step.is_up_to_date() {
            break;
        }
    }
    assert_eq!(decoded, bytes);

    let values: Vec<_> = (0..40)
        .map(|number| serde_json::json!({ "n": number }))
        .collect();
    server.expect(
        201,
        put("list").json(&serde_json::to_string_pretty(&values).unwrap()),
    );
    let mut events = server.follow("list", "-1");
    assert_eq!(events.head.header("stream-sse-data-encoding"), None);
    let (mut read, mut count) = (Vec::new(), 0);
    loop {
        let step = events.step().unwrap();
        count += 1;
        let array: Vec<serde_json::Value> = serde_json::from_str(&step.data.unwrap()).unwrap();
        read.extend(array);
        if step.control["upToDate"] == true {
            break;
        }
    }
    assert!(count > 5);
    assert_eq!(read, values);
}

// R12
#[test]
fn an_event_stream_ends_after_its_time_and_the_next_one_goes_on() {
    let server = server_with("hello", |settings| settings.limits.sse_timeout_ms = 200);
    let started = Instant::now();
    let mut events = server.follow("log", "-1");
    let (data, step) = events.until_up_to_date();
    assert_eq!(data, "hello");
    let next = step.next().to_owned();
    let mut connection = events.into_connection();
    let lasted = started.elapsed();
    assert!(
        lasted >= Duration::from_millis(190) && lasted < Duration::from_secs(5),
        "{lasted:?}"
    );
    connection.ask(&post("log").text(" world")).expect(204);
    let mut events = connection.follow(&get(&format!("log?offset={next}&live=sse")));
    assert_eq!(events.until_up_to_date().0, " world");
}

#[test]
fn a_silent_event_stream_shows_that_it_is_alive() {
    let server = server_with("hello", |settings| {
        settings.limits.sse_heartbeat_ms = 100;
        settings.limits.sse_timeout_ms = 2_500;
    });
    let mut events = server.follow("log", "-1");
    events.until_up_to_date();
    assert_eq!(events.step(), None);
    // Heartbeats fall on whole seconds of the server's clock.
    assert!(
        (1..=3).contains(&events.heartbeats),
        "{}",
        events.heartbeats
    );
}

#[test]
fn many_readers_of_one_stream_all_get_everything() {
    let server = server_with("", |_| {});
    let mut readers: Vec<Events> = (0..50).map(|_| server.follow("log", "-1")).collect();
    let mut writer = server.connect();
    let mut all = String::new();
    for number in 0..40 {
        let text = format!("{number},");
        writer.ask(&post("log").text(&text)).expect(204);
        all += &text;
    }
    writer.ask(&post("log").closed()).expect(204);
    for reader in &mut readers {
        let mut read = String::new();
        loop {
            let step = reader.step().unwrap();
            read += step.data.as_deref().unwrap_or_default();
            if step.is_closed() {
                break;
            }
        }
        assert_eq!(read, all);
    }
}

// P5 and R10
#[test]
fn a_reader_sees_nothing_that_is_not_durable() {
    let server = server_with("", |_| {});
    let mut events = server.follow("log", "now");
    events.step().unwrap();
    server.expect(204, post("log").text("seen"));
    let (data, step) = events.until_up_to_date();
    assert_eq!(data, "seen");
    drop(events);
    let server = server.restart();
    assert_eq!(server.expect(200, head("log")).next(), step.next());
}
