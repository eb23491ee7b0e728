//! Reading by sequence number, from the log.

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{TestServer, get};

fn page(body: &Value) -> (Vec<u64>, bool) {
    (seqs(body), body["hasMore"].as_bool().unwrap())
}

#[test]
fn events_are_read_from_the_oldest_or_from_the_newest() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 10);
    let cases: [(&str, Vec<u64>, bool); 17] = [
        ("", (1..=10).collect(), false),
        ("?afterSeq=0", (1..=10).collect(), false),
        ("?afterSeq=7", vec![8, 9, 10], false),
        ("?afterSeq=10", vec![], false),
        ("?limit=3", vec![1, 2, 3], true),
        ("?limit=10", (1..=10).collect(), false),
        ("?limit=9", (1..=9).collect(), true),
        ("?afterSeq=4&limit=2", vec![5, 6], true),
        ("?beforeSeq=4", vec![1, 2, 3], false),
        ("?afterSeq=2&beforeSeq=6", vec![3, 4, 5], false),
        ("?afterSeq=2&beforeSeq=6&limit=2", vec![3, 4], true),
        ("?afterSeq=6&beforeSeq=3", vec![], false),
        ("?order=asc&limit=2", vec![1, 2], true),
        ("?order=desc", (1..=10).rev().collect(), false),
        ("?order=desc&limit=3", vec![10, 9, 8], true),
        ("?order=desc&beforeSeq=4&limit=2", vec![3, 2], true),
        ("?order=desc&afterSeq=7&limit=5", vec![10, 9, 8], false),
    ];
    for (query, expected, has_more) in cases {
        let body = server.ask(&channel, &format!("/events{query}"));
        assert_eq!(page(&body), (expected, has_more), "{query}");
    }
}

#[test]
fn the_edges_of_what_can_be_asked_for_are_answers() {
    let server = TestServer::start();
    let channel = server.channel();
    assert_eq!(page(&server.ask(&channel, "/events")), (vec![], false));
    assert_eq!(
        page(&server.ask(&channel, "/events?order=desc")),
        (vec![], false)
    );
    server.fill(&channel, 3);
    let huge = u64::MAX;
    for (query, expected) in [
        (format!("?afterSeq={huge}"), vec![]),
        (format!("?beforeSeq={huge}"), vec![1, 2, 3]),
        (
            format!("?order=desc&beforeSeq={huge}&limit=1000"),
            vec![3, 2, 1],
        ),
        ("?beforeSeq=0".to_owned(), vec![]),
        ("?beforeSeq=1".to_owned(), vec![]),
        ("?order=desc&beforeSeq=0".to_owned(), vec![]),
        ("?order=desc&beforeSeq=1".to_owned(), vec![]),
        ("?afterSeq=4".to_owned(), vec![]),
    ] {
        let body = server.ask(&channel, &format!("/events{query}"));
        assert_eq!(page(&body), (expected, false), "{query}");
    }
}

#[test]
fn pages_both_ways_have_every_event_once() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 53);
    for limit in [1, 7, 53, 100] {
        let (mut up, mut after) = (Vec::new(), 0);
        loop {
            let target = format!("/events?afterSeq={after}&limit={limit}");
            let (part, has_more) = page(&server.ask(&channel, &target));
            assert!(part.len() <= limit);
            after = part.last().copied().unwrap_or(after);
            up.extend(part);
            if !has_more {
                break;
            }
        }
        assert_eq!(up, (1..=53).collect::<Vec<_>>(), "{limit}");
        let (mut down, mut before) = (Vec::new(), u64::MAX);
        loop {
            let target = format!("/events?order=desc&beforeSeq={before}&limit={limit}");
            let (part, has_more) = page(&server.ask(&channel, &target));
            before = part.last().copied().unwrap_or(before);
            down.extend(part);
            if !has_more {
                break;
            }
        }
        down.reverse();
        assert_eq!(down, up, "{limit}");
    }
}

#[test]
fn a_page_of_large_events_is_bounded_both_ways() {
    let server = TestServer::with(|settings| settings.limits.read_chunk_bytes_max = 64 << 10);
    let channel = server.channel();
    let text = "x".repeat(9_000);
    for _ in 0..40 {
        server.say(&channel, "ann", &text);
    }
    for order in ["asc", "desc"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let target = channel.at(&format!("/events?limit=1000&order={order}{cursor}"));
            let answer = server.expect(200, get(&target));
            assert!(answer.body.len() <= 80 << 10, "{}", answer.body.len());
            let (part, has_more) = page(&answer.json());
            let last = part.last().copied();
            seen.extend(part);
            if !has_more {
                break;
            }
            let last = last.expect("a page with more after it has something");
            cursor = match order {
                "asc" => format!("&afterSeq={last}"),
                _ => format!("&beforeSeq={last}"),
            };
        }
        seen.sort_unstable();
        assert_eq!(seen, (1..=40).collect::<Vec<_>>(), "{order}");
    }
}

#[test]
fn one_event_is_shown_with_what_was_said_of_it() {
    let server = TestServer::start();
    let channel = server.channel();
    let event = server.say(&channel, "ann", "hello");
    let found = server.ask(&channel, "/events/1?waitFor=1");
    assert_eq!(found["event"]["content"], "hello");
    assert_eq!(found["event"]["channelId"], channel.id.as_str());
    assert_eq!(found["event"]["createdAt"], event["createdAt"]);
    assert_eq!(found["event"]["reactions"], json!([]));
    assert_eq!(found["versions"], json!([]));
    assert!(found["lag"]["events"].is_u64() && found["lag"]["ms"].is_u64());
    server
        .send(get(&channel.at("/events/2")))
        .refused(404, "NOT_FOUND");
}

#[test]
fn what_is_read_is_what_was_answered_to_the_writer() {
    let server = TestServer::start();
    let channel = server.channel();
    let written: Vec<_> = (0..20)
        .map(|number| server.say(&channel, "ann", &format!("{number}")))
        .collect();
    assert_eq!(events(&server.ask(&channel, "/events")), written);
    let server = server.restart();
    assert_eq!(events(&server.ask(&channel, "/events")), written);
    let newest = server.ask(&channel, "/events?order=desc&limit=1");
    assert_eq!(contents(&newest), ["19"]);
}

#[test]
fn a_head_has_no_body() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 3);
    for rest in [
        "",
        "/events",
        "/events/1?waitFor=3",
        "/query?waitFor=3",
        "/realtime",
    ] {
        let whole = server.expect(200, get(&channel.at(rest)));
        let head = server.expect(200, crate::harness::head(&channel.at(rest)));
        assert!(head.body.is_empty());
        if !rest.contains("waitFor") {
            assert_eq!(
                head.header("content-length"),
                whole.header("content-length")
            );
        }
    }
}
