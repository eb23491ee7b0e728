//! Full text over exactly those channels that the caller may read.

use std::collections::BTreeSet;

use serde_json::json;

use super::Town;
use crate::harness::{eventually, get, patch, post};

#[test]
fn a_search_finds_what_the_caller_may_read_and_nothing_else() {
    let (town, general) = Town::birds();
    town.found("owls");
    let elsewhere = town.channel("owls", &json!({ "name": "general" }));
    let staff = town.channel("birds", &json!({ "name": "staff", "read": "moderator" }));
    town.channel("birds", &json!({ "name": "empty" }));
    town.channel("birds", &json!({ "name": "talk", "kind": "voice" }));
    town.join("bob", "birds");
    for (channel, text) in [
        (&general, "a fish in the sea"),
        (&staff, "a fish in the office"),
        (&elsewhere, "a fish in the tree"),
    ] {
        town.send("ann", channel.says("ann", text)).expect(201);
    }
    let outside = town.send("admin", post("/v1/channels").json(r#"{"name":"own"}"#));
    let outside = crate::harness::Channel::of(&outside.expect(201));
    town.send("admin", outside.says("x", "a fish in none"))
        .expect(201);
    let found = |who: &str| {
        let page = town.read(who, "/v1/waddles/birds/search?q=fish");
        let hits = page["events"].as_array().unwrap().clone();
        hits.iter()
            .map(|hit| hit["content"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let both: BTreeSet<_> = ["a fish in the office", "a fish in the sea"]
        .map(Into::into)
        .into();
    let one: BTreeSet<_> = ["a fish in the sea"].map(Into::into).into();
    eventually("the view has all of it", || found("ann") == both);
    assert_eq!(found("bob"), one);
    assert_eq!(found("app"), both);
    let page = town.read("bob", "/v1/waddles/birds/search?q=fish");
    let hit = &page["events"][0];
    assert_eq!(hit["channelId"], json!(general.id));
    assert_eq!((&hit["authorId"], &hit["seq"]), (&json!("ann"), &json!(1)));
    let snippet = json!([
        { "match": false, "text": "a " },
        { "match": true, "text": "fish" },
        { "match": false, "text": " in the sea" },
    ]);
    assert_eq!(hit["snippet"], snippet, "{hit}");
    // Rights are what they are when it is asked.
    town.put("bob", "birds", "moderator");
    assert_eq!(found("bob"), both);
    let at = format!("/v1/waddles/birds/channels/{}", general.id);
    town.send(
        "ann",
        patch(&at).json(r#"{"read":"admin","write":"admin"}"#),
    )
    .expect(200);
    let office: BTreeSet<_> = ["a fish in the office"].map(Into::into).into();
    assert_eq!(found("bob"), office);
    town.send("cat", get("/v1/waddles/birds/search?q=fish"))
        .refused(404, "NOT_FOUND");
}

#[test]
fn a_search_comes_in_pages_over_many_channels() {
    let (town, _) = Town::birds();
    let mut wanted = BTreeSet::new();
    for number in 0..60 {
        let channel = town.channel("birds", &json!({ "name": "n" }));
        let text = format!("word {number}");
        town.send("ann", channel.says("ann", &text)).expect(201);
        wanted.insert(text);
    }
    let all = || {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let target = format!("/v1/waddles/birds/search?q=word&limit=7{after}");
            let page = town.read("ann", &target);
            let hits = page["events"].as_array().unwrap().iter();
            found.extend(hits.map(|hit| hit["content"].as_str().unwrap().to_owned()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return found,
            }
        }
    };
    eventually("the view has all of it", || all().len() == 60);
    let found = all();
    assert_eq!(found.len(), 60, "each once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), wanted);
}
