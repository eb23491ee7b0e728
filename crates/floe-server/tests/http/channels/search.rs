//! Searching by text.

use serde_json::{Value, json};

use super::{contents, events};
use crate::harness::{Channel, Response, TestServer, delete, get, patch};

fn search(server: &TestServer, target: &str) -> Value {
    server.expect(200, get(target)).json()
}

fn sorted(body: &Value) -> Vec<&str> {
    let mut found = contents(body);
    found.sort_unstable();
    found
}

fn marked(body: &Value) -> Vec<Vec<String>> {
    let snippets = events(body).iter().map(|event| {
        let pieces = event["snippet"].as_array().unwrap().iter();
        let matches = pieces.filter(|piece| piece["match"] == true);
        matches
            .map(|piece| piece["text"].as_str().unwrap().to_owned())
            .collect()
    });
    snippets.collect()
}

fn library(server: &TestServer) -> [Channel; 3] {
    let channels = [
        server.channel_of("acme", "one"),
        server.channel_of("acme", "two"),
        server.channel_of("other", "three"),
    ];
    for channel in &channels {
        for text in [
            "the quick brown fox",
            "quick quick rabbits",
            "slow brown bears \u{4f60}\u{597d}\u{4e16}\u{754c}",
            "nothing of interest",
        ] {
            server.say(channel, "ann", text);
        }
    }
    channels
}

#[test]
fn words_are_found_in_one_channel_with_snippets_and_rank() {
    let server = TestServer::start();
    let [one, ..] = library(&server);
    let found = search(&server, &one.at("/search?q=brown&waitFor=4"));
    assert_eq!(
        sorted(&found),
        [
            "slow brown bears \u{4f60}\u{597d}\u{4e16}\u{754c}",
            "the quick brown fox"
        ]
    );
    assert!(
        events(&found).iter().all(|hit| hit["rank"].is_number()),
        "{found}"
    );
    assert_eq!(marked(&found), [["brown"], ["brown"]]);
    assert!(
        events(&found)
            .iter()
            .all(|hit| hit["channelId"] == one.id.as_str())
    );
    let found = search(&server, &one.at("/search?q=QUICK+fox&mode=words&waitFor=4"));
    assert_eq!(contents(&found), ["the quick brown fox"]);
    let found = search(&server, &one.at("/search?q=zebra&waitFor=4"));
    assert_eq!(
        (contents(&found), &found["hasMore"]),
        (vec![], &json!(false))
    );
}

#[test]
fn words_are_found_across_a_namespace_and_no_other() {
    let server = TestServer::start();
    let channels = library(&server);
    for channel in &channels {
        server.expect(200, get(&channel.at("/query?waitFor=4&limit=1")));
    }
    let found = search(&server, "/v1/search?namespace=acme&q=rabbits");
    let mut ids: Vec<_> = events(&found)
        .iter()
        .map(|hit| hit["channelId"].clone())
        .collect();
    ids.sort_unstable_by_key(Value::to_string);
    let mut expected = vec![json!(channels[0].id), json!(channels[1].id)];
    expected.sort_unstable_by_key(Value::to_string);
    assert_eq!(ids, expected);
    let found = search(&server, "/v1/search?namespace=nobody&q=rabbits");
    assert_eq!(contents(&found), [""; 0]);
}

#[test]
fn hits_come_page_by_page() {
    let server = TestServer::start();
    let channel = server.channel();
    for number in 0..23 {
        server.say(&channel, "ann", &format!("needle {number}"));
    }
    for mode in ["words", "substring"] {
        let (mut all, mut page) = (Vec::new(), String::new());
        loop {
            let target = format!("/search?q=needle&mode={mode}&limit=5&waitFor=23{page}");
            let found = server.ask(&channel, &target);
            assert!(events(&found).len() <= 5);
            all.extend(contents(&found).into_iter().map(str::to_owned));
            let Some(next) = found["next"].as_str() else {
                break;
            };
            page = format!("&page={next}");
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 23, "{mode}");
    }
}

#[test]
fn a_substring_is_found_in_one_channel_always() {
    let server = TestServer::start();
    let [one, ..] = library(&server);
    let found = search(&server, &one.at("/search?mode=substring&q=ick&waitFor=4"));
    assert_eq!(
        sorted(&found),
        ["quick quick rabbits", "the quick brown fox"]
    );
    let found = search(
        &server,
        &one.at("/search?mode=substring&q=%E5%A5%BD%E4%B8%96&waitFor=4"),
    );
    assert_eq!(contents(&found).len(), 1);
}

#[test]
fn a_substring_across_channels_needs_its_index() {
    let server = TestServer::start();
    library(&server);
    let refused = server.send(get("/v1/search?namespace=acme&mode=substring&q=ick"));
    refused.refused(400, "INVALID_REQUEST");
    let server = TestServer::with(|settings| settings.view.trigrams = true);
    let channels = library(&server);
    for channel in &channels {
        server.expect(200, get(&channel.at("/query?waitFor=4&limit=1")));
    }
    let found = search(&server, "/v1/search?namespace=acme&mode=substring&q=uick");
    assert_eq!(contents(&found).len(), 4, "{found}");
}

#[test]
fn what_was_deleted_or_edited_away_is_not_found() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "secret plans");
    server.say(&channel, "ann", "secret edits");
    server.expect(201, delete(&channel.at("/events/1?authorId=ann")));
    let body = json!({ "authorId": "ann", "content": "public edits" });
    server.expect(201, patch(&channel.at("/events/2")).value(&body));
    for mode in ["words", "substring"] {
        let found = server.ask(&channel, &format!("/search?mode={mode}&q=secret&waitFor=4"));
        assert_eq!(contents(&found), [""; 0], "{mode}");
        let found = server.ask(&channel, &format!("/search?mode={mode}&q=public&waitFor=4"));
        assert_eq!(contents(&found), ["public edits"], "{mode}");
    }
}

#[test]
fn any_text_is_a_question_and_no_syntax() {
    let server = TestServer::start();
    let channel = server.channel();
    server.say(&channel, "ann", "a \"b\" AND (c) OR NOT NEAR* ^d: - + %");
    for text in [
        "\"", "AND", "OR OR", "(", ")", "*", "a*", "^", "-", "NEAR(", "col:x", "%", "'", ";--",
    ] {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for mode in ["words", "substring"] {
            let target = channel.at(&format!("/search?mode={mode}&q={encoded}&waitFor=1"));
            let answer: Response = server.send(get(&target));
            assert!(matches!(answer.status, 200 | 400), "{text} {answer:?}");
        }
    }
}
