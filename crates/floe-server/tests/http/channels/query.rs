//! Filtering events in the SQL view, checked against a plain model.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{contents, events, seqs};
use crate::harness::{Channel, TestServer, get};

const AUTHORS: [&str; 3] = ["ann", "bob", "cy"];

/// Makes a channel whose events have times that differ; returns them.
fn history(server: &TestServer) -> (Channel, Vec<Value>) {
    let channel = server.channel();
    let mut all = Vec::new();
    for number in 0..24 {
        let text = format!("number {number} {}", ["red", "green"][number % 2]);
        all.push(server.say(&channel, AUTHORS[number % 3], &text));
        if number % 4 == 3 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
    (channel, all)
}

/// Asks page by page until nothing follows.
#[track_caller]
fn all_pages(server: &TestServer, target: &str) -> Vec<Value> {
    let (mut all, mut page) = (Vec::new(), String::new());
    loop {
        let body = server.expect(200, get(&format!("{target}{page}"))).json();
        all.extend(events(&body).to_vec());
        assert!(body["lag"]["events"].is_u64(), "{body}");
        let Some(next) = body["next"].as_str() else {
            assert_eq!(body["hasMore"], false);
            return all;
        };
        assert_eq!(body["hasMore"], true);
        page = format!("&page={next}");
    }
}

/// Every combination of the filters, each as parameter and as what must hold.
#[test]
fn each_filter_holds_alone_and_with_every_other() {
    type Holds = Box<dyn Fn(&Value) -> bool>;
    let server = TestServer::start();
    let (channel, all) = history(&server);
    let at = |number: usize| all[number]["createdAt"].as_str().unwrap().to_owned();
    let (early, late) = (at(4), at(17));
    let filters: [(String, Holds); 6] = [
        (
            "afterSeq=5".into(),
            Box::new(|event| event["seq"].as_u64().unwrap() > 5),
        ),
        (
            "beforeSeq=20".into(),
            Box::new(|event| event["seq"].as_u64().unwrap() < 20),
        ),
        (
            "authorId=bob".into(),
            Box::new(|event| event["authorId"] == "bob"),
        ),
        (
            "contentContains=r+1".into(),
            Box::new(|event| event["content"].as_str().unwrap().contains("r 1")),
        ),
        (format!("afterDate={early}"), {
            let early = early.clone();
            Box::new(move |event| event["createdAt"].as_str().unwrap() > early.as_str())
        }),
        (format!("beforeDate={late}"), {
            let late = late.clone();
            Box::new(move |event| event["createdAt"].as_str().unwrap() < late.as_str())
        }),
    ];
    let mut answers = BTreeSet::new();
    for chosen in 0..1_u32 << filters.len() {
        let chosen: Vec<_> = (0..filters.len())
            .filter(|at| chosen >> at & 1 == 1)
            .map(|at| &filters[at])
            .collect();
        let expected: Vec<_> = all
            .iter()
            .filter(|event| chosen.iter().all(|(_, holds)| holds(event)))
            .map(|event| event["seq"].as_u64().unwrap())
            .collect();
        answers.insert(expected.clone());
        let parameters: Vec<_> = chosen.iter().map(|(text, _)| text.as_str()).collect();
        let parameters = parameters.join("&");
        for (order, limit) in [("asc", 1_000), ("desc", 5)] {
            let wait = all.len();
            let target = channel.at(&format!(
                "/query?order={order}&limit={limit}&waitFor={wait}&{parameters}"
            ));
            let found = all_pages(&server, &target);
            let mut found = seqs(&json!({ "events": found }));
            if order == "desc" {
                found.reverse();
            }
            assert_eq!(found, expected, "{target}");
        }
        let target = format!(
            "/v1/query?waitFor={}-{}&limit=7&{parameters}",
            channel.id,
            all.len()
        );
        let found = all_pages(&server, &target);
        assert_eq!(seqs(&json!({ "events": found })), expected, "{target}");
    }
    assert!(
        answers.len() > 12,
        "the filters differ in little: {answers:?}"
    );
}

#[test]
fn a_query_shows_what_the_log_has_and_more() {
    let server = TestServer::start();
    let channel = server.channel();
    let event = server.say(&channel, "ann", "hello");
    let found = server.ask(&channel, "/query?waitFor=1");
    let mut expected = event;
    expected["channelId"] = json!(channel.id);
    expected["reactions"] = json!([]);
    assert_eq!(events(&found), [expected]);
}

#[test]
fn a_query_across_channels_is_in_the_order_of_time() {
    let server = TestServer::start();
    let channels = [
        server.channel_of("acme", "a"),
        server.channel_of("acme", "b"),
        server.channel_of("other", "c"),
    ];
    let mut expected = Vec::new();
    for number in 0..30 {
        let channel = &channels[number % 3];
        server.say(channel, "ann", &format!("{number}"));
        if number % 3 < 2 {
            expected.push(format!("{number}"));
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    for (channel, last) in [(&channels[0], 10), (&channels[1], 10)] {
        let target = format!(
            "/v1/query?namespace=acme&limit=1&waitFor={}-{last}",
            channel.id
        );
        server.expect(200, get(&target));
    }
    for limit in [3, 100] {
        let target = format!("/v1/query?namespace=acme&limit={limit}");
        let found = json!({ "events": all_pages(&server, &target) });
        assert_eq!(contents(&found), expected, "{limit}");
        let found = json!({ "events": all_pages(&server, &format!("{target}&order=desc")) });
        let mut found = contents(&found);
        found.reverse();
        assert_eq!(found, expected, "{limit}");
    }
    // Sequence numbers are each channel's own.
    let found = all_pages(&server, "/v1/query?namespace=acme&afterSeq=8&limit=3");
    assert_eq!(
        contents(&json!({ "events": found })),
        ["24", "25", "27", "28"]
    );
    let none = server.expect(200, get("/v1/query?namespace=nobody")).json();
    assert_eq!(contents(&none), [""; 0]);
}

#[test]
fn special_characters_are_looked_for_as_they_are() {
    let server = TestServer::start();
    let channel = server.channel();
    let texts = [
        "100%",
        "a_b",
        "axb",
        "back\\slash",
        "\"quote\"",
        "it's",
        "\u{1f600} hi",
        "100",
    ];
    for text in texts {
        server.say(&channel, text, text);
    }
    for text in texts {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let expected: Vec<_> = texts.iter().filter(|other| other.contains(text)).collect();
        let target = format!("/query?waitFor=8&contentContains={encoded}");
        assert_eq!(
            contents(&server.ask(&channel, &target)),
            expected[..].iter().map(|text| **text).collect::<Vec<_>>()
        );
        let target = format!("/query?waitFor=8&authorId={encoded}");
        assert_eq!(contents(&server.ask(&channel, &target)), [text]);
    }
}

#[test]
fn a_moment_is_a_time_or_milliseconds() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "now");
    for (parameter, is_there) in [
        ("afterDate=2020-01-01T00:00:00Z", true),
        ("afterDate=2020-01-01T00:00:00.000%2B02:00", true),
        ("afterDate=1577836800000", true),
        ("beforeDate=2020-01-01T00:00:00Z", false),
        ("beforeDate=1577836800000", false),
        ("beforeDate=99999999999999", true),
        ("afterDate=99999999999999", false),
    ] {
        let found = server.ask(&channel, &format!("/query?waitFor=1&{parameter}"));
        assert_eq!(contents(&found).len(), usize::from(is_there), "{parameter}");
    }
}

#[test]
fn a_page_belongs_to_its_question() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 5);
    let first = server.ask(&channel, "/query?waitFor=5&limit=2");
    let next = first["next"].as_str().unwrap();
    let second = server.ask(&channel, &format!("/query?limit=2&page={next}"));
    assert_eq!(contents(&second), ["3", "4"]);
    for target in [
        channel.at(&format!("/query?limit=2&authorId=ann&page={next}")),
        channel.at("/query?page=x"),
        channel.at("/query?page=AAAA"),
        format!("/v1/query?page={next}"),
        format!("/v1/channels?page={next}"),
        channel.at(&format!("/search?mode=substring&q=1&page={next}")),
    ] {
        server.send(get(&target)).refused(400, "INVALID_REQUEST");
    }
}
