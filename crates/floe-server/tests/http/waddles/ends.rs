//! The end of a waddle.

use serde_json::json;

use super::{Town, by};
use crate::harness::{delete, get, post};

#[test]
fn a_deleted_waddle_takes_its_rooms_along_and_tells_who_listens() {
    let town = Town::with(|settings| settings.limits.waddle_rooms_max = 500);
    town.found("birds");
    town.join("bob", "birds");
    // More than go in one turn.
    let channels: Vec<_> = (0..150)
        .map(|number| town.channel("birds", &json!({ "name": number.to_string() })))
        .collect();
    let voice = town.channel("birds", &json!({ "name": "v", "kind": "voice" }));
    town.send("bob", delete("/v1/waddles/birds"))
        .refused(403, "FORBIDDEN");
    let (first, last) = (&channels[0], &channels[149]);
    let mut events = town
        .server
        .connect()
        .follow(&by("bob", get(&last.at("/subscribe?afterSeq=0"))));
    assert_eq!(events.message().unwrap().kind, "connected");
    let mut client = town.client("bob");
    let room = format!("channel/{}", first.id);
    client.join(&room, json!({ "events": true }));
    town.send("ann", delete("/v1/waddles/birds")).expect(204);
    let closed = client.wait_for(|frame| frame["type"] == "closed");
    assert_eq!(closed["code"], "GONE", "{closed}");
    let mut kinds = Vec::new();
    while let Some(message) = events.message() {
        kinds.push(message.kind);
    }
    assert_eq!(
        kinds.last().map(String::as_str),
        Some("closed"),
        "{kinds:?}"
    );
    let check = |town: &Town| {
        for channel in [first, last] {
            assert_eq!(town.status("admin", get(&channel.at("/events"))), 410);
            assert_eq!(town.status("bob", get(&channel.at("/events"))), 403);
        }
        let voice = format!("/v1/stream/__voice__/{}", voice.id);
        assert_eq!(town.status("admin", get(&voice)), 404);
        for who in ["ann", "bob", "admin"] {
            assert_eq!(town.status(who, get("/v1/waddles/birds")), 404);
        }
        assert_eq!(town.read("bob", "/v1/waddles")["waddles"], json!([]));
    };
    check(&town);
    check(&Town {
        server: town.server.restart(),
    });
}

#[test]
fn what_was_answered_survives_a_crash() {
    let (town, channel) = Town::birds();
    town.join("bob", "birds");
    town.put("bob", "birds", "moderator");
    town.send("bob", channel.says("bob", "hello")).expect(201);
    town.send("bob", post("/v1/waddles/birds/leave"))
        .expect(204);
    let town = Town {
        server: town.server.crashed(),
    };
    town.send("bob", get("/v1/waddles/birds/members"))
        .refused(404, "NOT_FOUND");
    assert_eq!(town.read("ann", "/v1/waddles/birds/members")["count"], 1);
    let events = town.read("ann", &channel.at("/events"));
    assert_eq!(events["events"][0]["content"], "hello");
}
