//! What a waddle shows, and to whom.

use serde_json::json;

use super::Town;
use crate::harness::{delete, get, patch, post, put};

#[test]
fn a_waddle_is_made_shown_changed_and_gone() {
    let town = Town::start();
    let body = json!({ "id": "birds", "name": "Birds" });
    let made = town.send("ann", post("/v1/waddles").value(&body));
    let made = made.expect(201).json();
    assert_eq!(made["id"], "birds");
    assert_eq!(made["owner"], "ann");
    assert_eq!(made["join"], "open");
    assert_eq!(made["memberCount"], 1);
    town.send("bob", post("/v1/waddles").value(&body))
        .refused(409, "EXISTS");

    let unnamed = post("/v1/waddles").json(r#"{"name":"Other","join":"invite"}"#);
    let other = town.send("ann", unnamed).expect(201).json();
    assert_eq!(other["id"].as_str().unwrap().len(), 16);

    let shown = town.read("ann", "/v1/waddles/birds");
    assert_eq!(shown["name"], "Birds");
    assert_eq!(shown["role"], "owner");
    assert_eq!(shown["createdAt"], made["createdAt"]);
    let changed = patch("/v1/waddles/birds").json(r#"{"name":"Big Birds"}"#);
    let changed = town.send("ann", changed).expect(200).json();
    assert_eq!(
        (&changed["name"], &changed["join"]),
        (&json!("Big Birds"), &json!("open"))
    );
    assert_eq!(town.read("ann", "/v1/waddles/birds")["name"], "Big Birds");
    let listed = town.read("ann", "/v1/waddles");
    let listed = listed["waddles"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["id"], "birds");
    assert_eq!(listed[0]["role"], "owner");
    assert_eq!(listed[1]["id"], other["id"]);

    // It is there after a start, and gone after a delete and another start.
    let town = Town {
        server: town.server.restart(),
    };
    assert_eq!(town.read("ann", "/v1/waddles/birds")["name"], "Big Birds");
    town.send("ann", delete("/v1/waddles/birds")).expect(204);
    let town = Town {
        server: town.server.restart(),
    };
    town.send("ann", get("/v1/waddles/birds"))
        .refused(404, "NOT_FOUND");
    let listed = town.read("ann", "/v1/waddles");
    assert_eq!(listed["waddles"].as_array().unwrap().len(), 1, "{listed}");
    // The name is free again, and nobody of old belongs to the new one.
    town.send("bob", post("/v1/waddles").value(&body))
        .expect(201);
    town.send("ann", get("/v1/waddles/birds/members"))
        .refused(404, "NOT_FOUND");
}

#[test]
fn who_is_no_member_learns_no_more_than_the_name_of_an_open_waddle() {
    let (town, channel) = Town::birds();
    let secret = post("/v1/waddles").json(r#"{"id":"owls","name":"Owls","join":"invite"}"#);
    town.send("ann", secret).expect(201);
    let outline = town.read("bob", "/v1/waddles/birds");
    let expected = json!({ "id": "birds", "name": "birds", "join": "open", "memberCount": 1 });
    assert_eq!(outline, expected);
    let none = town.send("bob", get("/v1/waddles/nothing"));
    let none = none.refused(404, "NOT_FOUND").json();
    for waddle in ["owls", "birds"] {
        for rest in ["members", "bans", "channels", "search?q=x"] {
            let asked = get(&format!("/v1/waddles/{waddle}/{rest}"));
            assert_eq!(
                town.send("bob", asked).refused(404, "NOT_FOUND").json(),
                none
            );
        }
        for asked in [
            delete(""),
            patch("").json(r#"{"name":"x"}"#),
            put("/members/bob").json(r#"{"role":"admin"}"#),
            delete("/members/ann"),
            put("/bans/ann").json("{}"),
            put("/timeouts/ann").json(r#"{"seconds":5}"#),
            post("/channels").json(r#"{"name":"x"}"#),
            post("/leave"),
        ] {
            let mut asked = asked;
            asked.target = asked.target.replace("/v1/stream/", "");
            asked.target = format!("/v1/waddles/{waddle}{}", asked.target);
            assert_eq!(
                town.send("bob", asked).refused(404, "NOT_FOUND").json(),
                none
            );
        }
    }
    let asked = get("/v1/waddles/owls");
    assert_eq!(
        town.send("bob", asked).refused(404, "NOT_FOUND").json(),
        none
    );
    // Nor of its channels, though their own credentials open every room.
    for asked in [
        get(&channel.at("/events")),
        get(&channel.at("")),
        channel.says("bob", "x"),
    ] {
        town.send("bob", asked).refused(403, "FORBIDDEN");
    }
    // Without credentials nothing is told, and in another namespace it is not there.
    for who in ["nobody", "stranger"] {
        let status = if who == "nobody" { 401 } else { 404 };
        assert_eq!(town.status(who, get("/v1/waddles/birds")), status);
        assert_eq!(town.status(who, get("/v1/waddles/birds/members")), status);
    }
    assert_eq!(
        town.status("stranger", get("/n/acme/v1/waddles/birds")),
        403
    );
}

#[test]
fn what_may_manage_acts_as_itself_or_as_a_user_and_others_may_not() {
    let (town, channel) = Town::birds();
    // The operator may do everything, without being a member.
    town.send(
        "admin",
        put("/v1/waddles/birds/members/eve").json(r#"{"role":"admin"}"#),
    )
    .expect(200);
    assert_eq!(town.read("admin", "/v1/waddles/birds/members")["count"], 2);
    // As bob they are nobody there, and then a member.
    town.send("admin", get("/v1/waddles/birds/members?user=bob"))
        .refused(404, "NOT_FOUND");
    let join = post("/v1/waddles/birds/join").json(r#"{"userId":"bob"}"#);
    let joined = town.send("admin", join).expect(200).json();
    assert_eq!(
        (&joined["user"], &joined["role"]),
        (&json!("bob"), &json!("member"))
    );
    let shown = town.read("admin", "/v1/waddles/birds?user=bob");
    assert_eq!(shown["role"], "member");
    town.send(
        "admin",
        put("/v1/waddles/birds/bans/eve?user=bob").json("{}"),
    )
    .refused(403, "FORBIDDEN");
    let listed = town.read("admin", "/v1/waddles?user=bob");
    assert_eq!(listed["waddles"][0]["id"], "birds");
    town.send("admin", get("/v1/waddles"))
        .refused(400, "INVALID_REQUEST");
    // Who is a user is no other, and what may not manage is nobody.
    town.send("bob", get("/v1/waddles/birds?user=ann"))
        .refused(403, "FORBIDDEN");
    town.send("app", get("/v1/waddles/birds?user=ann"))
        .refused(403, "FORBIDDEN");
    // What reads without being a user reads, and does nothing.
    assert_eq!(town.read("app", "/v1/waddles/birds/members")["count"], 3);
    let rooms = town.read("app", "/v1/waddles/birds/channels");
    assert_eq!(rooms["channels"][0]["id"], json!(channel.id));
    for asked in [
        post("/v1/waddles/birds/join"),
        put("/v1/waddles/birds/bans/bob").json("{}"),
        delete("/v1/waddles/birds"),
        get("/v1/waddles/birds/bans"),
        post("/v1/waddles/birds/channels").json(r#"{"name":"x"}"#),
    ] {
        town.send("app", asked).refused(403, "FORBIDDEN");
    }
    // A waddle has an owner, whoever makes it.
    let make = |body| post("/v1/waddles").value(&body);
    town.send("admin", make(json!({ "name": "n" })))
        .refused(400, "INVALID_REQUEST");
    let made = town.send("admin", make(json!({ "name": "n", "owner": "zoe" })));
    assert_eq!(made.expect(201).json()["owner"], "zoe");
    town.send("bob", make(json!({ "name": "n", "owner": "zoe" })))
        .refused(403, "FORBIDDEN");
    town.send("eye", make(json!({ "name": "n", "owner": "zoe" })))
        .refused(403, "FORBIDDEN");
}

#[test]
fn members_and_bans_come_in_pages() {
    let (town, _) = Town::birds();
    for who in ["bob", "cat", "dan", "eve"] {
        town.join(who, "birds");
    }
    town.put("cat", "birds", "moderator");
    let users = |page: &serde_json::Value, list: &str| {
        let all = page[list].as_array().unwrap().iter();
        all.map(|member| member["user"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = town.read("bob", "/v1/waddles/birds/members?limit=2");
    assert_eq!(users(&first, "members"), ["ann", "bob"]);
    assert_eq!(
        (&first["next"], &first["count"]),
        (&json!("bob"), &json!(5))
    );
    let second = town.read("bob", "/v1/waddles/birds/members?limit=3&after=bob");
    assert_eq!(users(&second, "members"), ["cat", "dan", "eve"]);
    assert_eq!(second["next"], json!(null));
    let moderators = town.read("bob", "/v1/waddles/birds/members?role=moderator");
    assert_eq!(users(&moderators, "members"), ["cat"]);
    for who in ["x", "y", "z"] {
        let ban = put(&format!("/v1/waddles/birds/bans/{who}")).json(r#"{"reason":"spam"}"#);
        let ban = town.send("cat", ban).expect(200).json();
        assert_eq!(
            (&ban["by"], &ban["reason"]),
            (&json!("cat"), &json!("spam"))
        );
    }
    let bans = town.read("cat", "/v1/waddles/birds/bans?limit=2");
    assert_eq!(users(&bans, "bans"), ["x", "y"]);
    assert_eq!(bans["next"], "y");
    let bans = town.read("cat", "/v1/waddles/birds/bans?limit=2&after=y");
    assert_eq!(
        (users(&bans, "bans"), &bans["next"]),
        (vec!["z".to_owned()], &json!(null))
    );
    town.send("bob", get("/v1/waddles/birds/bans"))
        .refused(403, "FORBIDDEN");
}

#[test]
fn every_act_is_in_the_audit_log_and_what_changes_nothing_is_not() {
    let (town, channel) = Town::birds();
    town.join("bob", "birds");
    town.join("bob", "birds");
    town.put("bob", "birds", "moderator");
    town.put("bob", "birds", "moderator");
    let at = |rest: &str| format!("/v1/waddles/birds{rest}");
    town.send("bob", put(&at("/bans/eve")).json(r#"{"reason":"spam"}"#))
        .expect(200);
    town.send("bob", delete(&at("/bans/eve"))).expect(204);
    town.send("ann", put(&at("/timeouts/bob")).json(r#"{"seconds":60}"#))
        .expect(200);
    town.send("ann", delete(&at("/timeouts/bob"))).expect(204);
    town.send("ann", delete(&at("/members/bob?reason=rude")))
        .expect(204);
    town.send(
        "ann",
        patch(&at(&format!("/channels/{}", channel.id))).json(r#"{"name":"x"}"#),
    )
    .expect(200);
    town.send("ann", delete(&at(&format!("/channels/{}", channel.id))))
        .expect(204);
    town.send("ann", delete(&at(""))).expect(204);
    let log = town.read("admin", "__audit__?offset=-1");
    let acts: Vec<_> = log.as_array().unwrap().iter().collect();
    let words: Vec<_> = acts
        .iter()
        .map(|act| act["act"].as_str().unwrap())
        .collect();
    let expected = [
        "waddle.create",
        "waddle.room.create",
        "waddle.join",
        "waddle.role",
        "waddle.ban",
        "waddle.unban",
        "waddle.timeout",
        "waddle.timeout",
        "waddle.kick",
        "waddle.room.change",
        "waddle.room.delete",
        "waddle.delete",
    ];
    assert_eq!(words, expected, "{log}");
    assert!(
        acts.iter().all(|act| act["target"]["waddle"] == "birds"),
        "{log}"
    );
    assert_eq!(acts[4]["by"]["user"], "bob");
    let target = json!({ "waddle": "birds", "user": "eve", "until": null, "reason": "spam" });
    assert_eq!(acts[4]["target"], target);
    let counted = |act: &str| {
        let text = town.send("root", get("/metrics")).expect(200).text();
        let line = format!("floe_waddle_acts_total{{act=\"{act}\"}} ");
        text.lines()
            .find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok())
    };
    assert_eq!(counted("timeout"), Some(2));
    assert_eq!(counted("join"), Some(1));
}
