//! Who comes, goes, and is put out; by whom.

use serde_json::json;

use super::Town;
use crate::harness::{delete, eventually, get, patch, post, put};

#[test]
fn roles_are_given_from_above_and_nobody_reaches_up() {
    let (town, _) = Town::birds();
    for (who, role) in [
        ("mod", "moderator"),
        ("adam", "admin"),
        ("alma", "admin"),
        ("mia", "member"),
    ] {
        town.put(who, "birds", role);
    }
    let role = |by: &str, who: &str, role: &str| {
        let at = format!("/v1/waddles/birds/members/{who}");
        town.status(by, put(&at).value(&json!({ "role": role })))
    };
    let kick =
        |by: &str, who: &str| town.status(by, delete(&format!("/v1/waddles/birds/members/{who}")));
    assert_eq!(role("mia", "mia", "moderator"), 403);
    assert_eq!(role("mod", "mia", "moderator"), 403);
    assert_eq!(role("adam", "mia", "admin"), 403);
    assert_eq!(role("adam", "alma", "member"), 403);
    assert_eq!(role("adam", "ann", "member"), 409);
    assert_eq!(role("adam", "mia", "moderator"), 200);
    assert_eq!(role("adam", "mia", "member"), 200);
    assert_eq!(
        (kick("mia", "mod"), kick("mod", "adam"), kick("adam", "ann")),
        (403, 403, 403)
    );
    assert_eq!((kick("mod", "mia"), kick("mod", "mia")), (204, 404));
    // The owner goes only once another one is there, and is an admin from then on.
    town.send("ann", post("/v1/waddles/birds/leave"))
        .refused(409, "EXISTS");
    assert_eq!(role("adam", "adam", "owner"), 403);
    assert_eq!(role("ann", "adam", "owner"), 200);
    let members = town.read("mod", "/v1/waddles/birds/members?role=owner");
    assert_eq!(members["members"][0]["user"], "adam");
    assert_eq!(town.read("ann", "/v1/waddles/birds")["role"], "admin");
    town.send("ann", delete("/v1/waddles/birds"))
        .refused(403, "FORBIDDEN");
    town.send("ann", post("/v1/waddles/birds/leave"))
        .expect(204);
    town.send("ann", get("/v1/waddles/birds/members"))
        .refused(404, "NOT_FOUND");
}

#[test]
fn an_invite_only_waddle_takes_those_who_are_added() {
    let (town, _) = Town::birds();
    town.send(
        "ann",
        patch("/v1/waddles/birds").json(r#"{"join":"invite"}"#),
    )
    .expect(200);
    town.send("bob", post("/v1/waddles/birds/join"))
        .refused(403, "FORBIDDEN");
    town.put("bob", "birds", "member");
    assert_eq!(town.read("bob", "/v1/waddles/birds")["role"], "member");
    town.send("bob", put("/v1/waddles/birds/members/cat").json("{}"))
        .refused(403, "FORBIDDEN");
    town.send("bob", patch("/v1/waddles/birds").json(r#"{"join":"open"}"#))
        .refused(403, "FORBIDDEN");
}

#[test]
fn a_ban_keeps_out_until_it_is_over_or_lifted() {
    let (town, _) = Town::birds();
    town.join("bob", "birds");
    let ban =
        |body: serde_json::Value| town.send("ann", put("/v1/waddles/birds/bans/bob").value(&body));
    ban(json!({ "until": "2001-01-01T00:00:00Z" })).refused(400, "INVALID_REQUEST");
    ban(json!({ "reason": "loud" })).expect(200);
    assert_eq!(town.read("ann", "/v1/waddles/birds/members")["count"], 1);
    let join = || town.send("bob", post("/v1/waddles/birds/join"));
    join().refused(403, "FORBIDDEN");
    // Nor is anyone added who is kept out.
    town.send("ann", put("/v1/waddles/birds/members/bob").json("{}"))
        .refused(403, "FORBIDDEN");
    town.send("ann", delete("/v1/waddles/birds/bans/bob"))
        .expect(204);
    town.send("ann", delete("/v1/waddles/birds/bans/bob"))
        .refused(404, "NOT_FOUND");
    join().expect(200);
    // One that has an end ends by itself, in the list as at the door.
    ban(json!({ "seconds": 1 })).expect(200);
    eventually("the ban is over", || join().status == 200);
    let bans = town.read("ann", "/v1/waddles/birds/bans");
    assert_eq!(bans["bans"], json!([]));
    town.send("ann", put("/v1/waddles/birds/bans/ann").json("{}"))
        .refused(403, "FORBIDDEN");
}

#[test]
fn bounds_hold_and_say_so() {
    let town = Town::with(|settings| {
        settings.limits.waddle_members_max = 2;
        settings.limits.waddle_bans_max = 1;
        settings.limits.waddle_rooms_max = 1;
        settings.limits.waddle_joined_max = 2;
    });
    for id in ["one", "two"] {
        town.found(id);
    }
    let third = || post("/v1/waddles").json(r#"{"id":"three","name":"n"}"#);
    town.send("ann", third()).refused(429, "LIMIT_REACHED");
    // What is gone no longer counts.
    town.send("ann", delete("/v1/waddles/two")).expect(204);
    town.send("ann", third()).expect(201);
    let listed = town.read("ann", "/v1/waddles");
    let ids: Vec<_> = listed["waddles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["one", "three"]);

    town.join("bob", "one");
    town.send("cat", post("/v1/waddles/one/join"))
        .refused(429, "LIMIT_REACHED");
    town.channel("one", &json!({ "name": "first" }));
    let room = post("/v1/waddles/one/channels").json(r#"{"name":"n"}"#);
    town.send("ann", room).refused(429, "LIMIT_REACHED");
    let ban = |who: &str| put(&format!("/v1/waddles/one/bans/{who}")).json("{}");
    town.send("ann", ban("x")).expect(200);
    town.send("ann", ban("y")).refused(429, "LIMIT_REACHED");
}
