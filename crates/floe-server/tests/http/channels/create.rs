//! Making channels, describing, listing and changing them.

use serde_json::{Value, json};

use super::fields;
use crate::harness::{Channel, Response, TestServer, get, patch, post};

fn names(list: &Value) -> Vec<&str> {
    let channels = list["channels"].as_array().unwrap();
    let names = channels.iter().map(|channel| channel["name"].as_str());
    names.map(Option::unwrap).collect()
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}

fn is_moment(value: &Value) -> bool {
    let text = value.as_str().unwrap();
    text.len() == 24 && text.ends_with('Z') && text.as_bytes()[19] == b'.'
}

#[test]
fn a_channel_is_created_with_a_secret_that_is_shown_once() {
    let server = TestServer::start();
    let created = server.expect(201, post("/v1/channels").json(r#"{"name":"deploys"}"#));
    let body = created.json();
    assert_eq!(fields(&body), ["metadata", "secret"]);
    let channel = Channel::of(&created);
    assert!(is_hex(&channel.id, 12) && is_hex(&channel.secret, 64));
    assert_eq!(
        created.header("location"),
        Some(channel.at("").as_str()),
        "{created:?}"
    );
    let metadata = &body["metadata"];
    assert!(is_moment(&metadata["createdAt"]));
    let expected = json!({
        "channelId": channel.id,
        "name": "deploys",
        "ownerNamespace": "default",
        "createdAt": metadata["createdAt"],
        "headSeq": 0,
        "startSeq": 1,
        "eventCount": 0,
        "retention": {},
        "slow": "disconnect",
        "deletedAt": null,
    });
    assert_eq!(without_nulls(metadata), without_nulls(&expected));
    let described = server.expect(200, get(&channel.at("")));
    assert_eq!(described.json(), json!({ "metadata": metadata }));
    for answer in [
        described,
        server.expect(200, get("/v1/channels")),
        server.expect(200, get(&channel.at("/events"))),
        server.expect(200, get(&channel.at("/realtime"))),
    ] {
        assert!(!answer.text().contains(&channel.secret), "{answer:?}");
    }
}

/// Bounds that are not set may be left out or null.
fn without_nulls(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(retention) = value["retention"].as_object_mut() {
        retention.retain(|_, bound| !bound.is_null());
    }
    value
}

#[test]
fn no_two_channels_share_an_id_or_a_secret() {
    let server = TestServer::start();
    let channels: Vec<_> = (0..50).map(|_| server.channel()).collect();
    for (at, one) in channels.iter().enumerate() {
        for other in &channels[at + 1..] {
            assert!(one.id != other.id && one.secret != other.secret);
        }
    }
}

#[test]
fn metadata_counts_what_was_appended() {
    let server = TestServer::start();
    let channel = server.channel();
    server.fill(&channel, 7);
    let metadata = server.ask(&channel, "")["metadata"].clone();
    assert_eq!(
        (
            &metadata["headSeq"],
            &metadata["startSeq"],
            &metadata["eventCount"]
        ),
        (&json!(7), &json!(1), &json!(7))
    );
    let again = server.restart();
    assert_eq!(again.ask(&channel, "")["metadata"], metadata);
}

#[test]
fn settings_are_set_at_the_create_changed_and_kept() {
    let server = TestServer::start();
    let channel = server.channel_with(&json!({
        "name": "kept",
        "retention": { "maxEvents": 10, "maxBytes": 1_000_000 },
        "slow": "conflate",
    }));
    let shown = |server: &TestServer| {
        let metadata = server.ask(&channel, "")["metadata"].clone();
        let metadata = without_nulls(&metadata);
        (metadata["retention"].clone(), metadata["slow"].clone())
    };
    let first = json!({ "maxEvents": 10, "maxBytes": 1_000_000 });
    assert_eq!(shown(&server), (first.clone(), json!("conflate")));
    let changed = server.expect(200, patch(&channel.at("")).json(r#"{"slow":"disconnect"}"#));
    assert_eq!(changed.json()["metadata"]["slow"], "disconnect");
    assert_eq!(shown(&server), (first, json!("disconnect")));
    let body = json!({ "retention": { "maxAgeMs": 86_400_000 } });
    server.expect(200, patch(&channel.at("")).value(&body));
    let second = (json!({ "maxAgeMs": 86_400_000 }), json!("disconnect"));
    assert_eq!(shown(&server), second);
    // What is so already is no change, and no failure.
    server.expect(200, patch(&channel.at("")).value(&body));
    let server = server.restart();
    assert_eq!(shown(&server), second);
}

#[test]
fn a_list_is_of_one_namespace_in_order_and_page_by_page() {
    let server = TestServer::start();
    for number in 0..25 {
        server.channel_of("acme", &format!("acme {number}"));
        server.channel_of("other", &format!("other {number}"));
    }
    let expected: Vec<_> = (0..25).map(|number| format!("acme {number}")).collect();
    let whole = server
        .expect(200, get("/v1/channels?namespace=acme"))
        .json();
    assert_eq!(
        sorted(names(&whole)),
        sorted(expected.iter().map(String::as_str).collect())
    );
    assert_eq!(
        (&whole["hasMore"], &whole["next"]),
        (&json!(false), &Value::Null)
    );
    for limit in [1, 7, 25, 1_000] {
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let target = format!("/v1/channels?namespace=acme&limit={limit}{page}");
            let part = server.expect(200, get(&target)).json();
            let count = names(&part).len();
            assert!(count <= limit, "{part}");
            all.extend(part["channels"].as_array().unwrap().clone());
            let Some(next) = part["next"].as_str() else {
                assert_eq!(part["hasMore"], false);
                break;
            };
            assert_eq!(part["hasMore"], true);
            page = format!("&page={next}");
        }
        assert_eq!(all, *whole["channels"].as_array().unwrap(), "{limit}");
    }
    let none = server
        .expect(200, get("/v1/channels?namespace=nobody"))
        .json();
    assert_eq!(names(&none), [""; 0]);
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn a_list_has_a_new_channel_at_once_and_never_its_secret() {
    let server = TestServer::start();
    for number in 0..30 {
        let channel = server.channel_of("acme", &format!("{number}"));
        let list: Response = server.expect(200, get("/v1/channels?namespace=acme"));
        let body = list.json();
        let channels = body["channels"].as_array().unwrap();
        assert_eq!(channels.len(), number + 1);
        assert!(
            channels
                .iter()
                .any(|other| other["channelId"] == channel.id.as_str())
        );
        assert!(!list.text().contains(&channel.secret) && !list.text().contains("secret"));
    }
}

#[test]
fn the_description_of_the_surface_is_served() {
    let server = TestServer::start();
    let answer = server.expect(200, get("/v1/openapi.json"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    assert!(document["paths"]["/v1/channels/{channelId}/events"]["post"].is_object());
}

#[test]
fn a_channel_names_its_live_url() {
    let server = TestServer::start();
    let channel = server.channel();
    let answer = server.ask(&channel, "/realtime");
    let expected = json!({
        "channelId": channel.id,
        "url": "ws://floe.test/v1/live",
        "room": format!("channel/{}", channel.id),
    });
    assert_eq!(answer, expected);
    let server = server.restart_with(|settings| {
        settings.public_url = Some("https://live.example.com/".to_owned());
    });
    let answer = server.ask(&channel, "/realtime");
    assert_eq!(answer["url"], "wss://live.example.com/v1/live");
}
