//! Channels and voice rooms of a waddle.

use serde_json::json;

use super::Town;
use crate::harness::{delete, get, patch, post};

#[test]
fn rooms_are_made_listed_changed_and_gone() {
    let (town, channel) = Town::birds();
    town.put("mod", "birds", "moderator");
    town.join("bob", "birds");
    let staff = json!({ "name": "staff", "read": "moderator" });
    let staff = town.channel("birds", &staff);
    let news = town.channel("birds", &json!({ "name": "news", "write": "admin" }));
    let voice = json!({ "name": "talk", "kind": "voice", "participantsMax": 5 });
    let voice = town.channel("birds", &voice);
    let ids = |who: &str| {
        let rooms = town.read(who, "/v1/waddles/birds/channels");
        let rooms = rooms["channels"].as_array().unwrap().iter();
        let mut ids: Vec<_> = rooms
            .map(|room| room["id"].as_str().unwrap().to_owned())
            .collect();
        ids.sort();
        ids
    };
    let mut all = vec![
        channel.id.clone(),
        staff.id.clone(),
        news.id.clone(),
        voice.id.clone(),
    ];
    all.sort();
    assert_eq!(ids("mod"), all);
    assert_eq!(ids("app"), all);
    all.retain(|id| *id != staff.id);
    assert_eq!(ids("bob"), all);
    let at = |id: &str| format!("/v1/waddles/birds/channels/{id}");
    let shown = town.read("bob", &at(&voice.id));
    assert_eq!(
        (&shown["kind"], &shown["participantsMax"]),
        (&json!("voice"), &json!(5))
    );
    town.send("bob", get(&at(&staff.id)))
        .refused(404, "NOT_FOUND");

    // Who may write where is what the room says.
    assert_eq!(town.send("bob", channel.says("bob", "hi")).status, 201);
    assert_eq!(town.send("bob", news.says("bob", "hi")).status, 403);
    assert_eq!(town.status("bob", get(&news.at("/events"))), 200);
    assert_eq!(town.send("mod", news.says("mod", "hi")).status, 403);
    assert_eq!(town.send("ann", news.says("ann", "hi")).status, 201);
    assert_eq!(town.send("bob", staff.says("bob", "hi")).status, 403);
    assert_eq!(town.send("mod", staff.says("mod", "hi")).status, 201);

    let change = patch(&at(&news.id)).json(r#"{"write":"member","name":"all news"}"#);
    let changed = town.send("ann", change).expect(200).json();
    assert_eq!(
        (&changed["name"], &changed["read"]),
        (&json!("all news"), &json!("member"))
    );
    assert_eq!(town.send("bob", news.says("bob", "hi")).status, 201);
    for (body, code) in [
        (
            json!({ "read": "admin", "write": "member" }),
            "INVALID_REQUEST",
        ),
        (json!({ "participantsMax": 3 }), "INVALID_REQUEST"),
        (json!({ "name": "" }), "INVALID_REQUEST"),
        (json!({ "kind": "voice" }), "INVALID_REQUEST"),
    ] {
        let change = patch(&at(&news.id)).value(&body);
        assert_eq!(town.send("ann", change).code(), code, "{body}");
    }
    town.send("mod", patch(&at(&news.id)).json(r#"{"name":"x"}"#))
        .refused(403, "FORBIDDEN");

    // What is gone is gone for its members at once.
    town.send("mod", delete(&at(&news.id)))
        .refused(403, "FORBIDDEN");
    for id in [&news.id, &voice.id] {
        town.send("ann", delete(&at(id))).expect(204);
        town.send("ann", delete(&at(id))).refused(404, "NOT_FOUND");
    }
    assert_eq!(town.send("bob", news.says("bob", "hi")).status, 403);
    assert_eq!(town.status("admin", get(&news.at("/events"))), 410);
    assert_eq!(
        town.read("bob", "/v1/waddles/birds/channels")["channels"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn a_channel_of_a_waddle_takes_no_tokens_and_ends_there_alone() {
    let (town, channel) = Town::birds();
    let own = town.send("admin", post("/v1/channels").json(r#"{"name":"own"}"#));
    let own = crate::harness::Channel::of(&own.expect(201));
    let token = json!({ "rights": ["read"], "author": "eve" });
    let sign = |at: String| town.send("admin", post(&at).value(&token));
    sign(channel.at("/tokens")).refused(405, "METHOD_NOT_ALLOWED");
    let signed = sign(own.at("/tokens")).expect(201).json();
    assert!(signed["token"].is_string());
    // One that is signed by hand, with whatever secret, opens nothing either.
    let id = channel.id.parse().unwrap();
    let rights = floe_proto::Rights::READ;
    let until = floe_proto::Millis(4_000_000_000_000);
    let forged = floe_proto::token::ChannelToken::new(id, rights, "eve", until).unwrap();
    let forged = forged.sign("secret");
    town.server
        .send(get(&channel.at("/events")).token(&forged))
        .refused(401, "UNAUTHORIZED");
    town.send("admin", delete(&channel.at("")))
        .refused(405, "METHOD_NOT_ALLOWED");
    town.send("ann", delete(&channel.at("")))
        .refused(405, "METHOD_NOT_ALLOWED");
    town.send("admin", delete(&own.at(""))).expect(200);
}
