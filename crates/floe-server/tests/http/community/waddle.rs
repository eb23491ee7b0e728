//! Waddles over a WebSocket of their own.

use serde_json::{Value, json};

use super::{Member, shorten_grace, socket};
use crate::harness::{Channel, Request, TestServer, delete, get, post, put};
use crate::websocket::client::Heard;

/// Asks as a user.
#[track_caller]
fn by(server: &TestServer, user: &str, mut request: Request) -> Value {
    let more = if request.target.contains('?') {
        '&'
    } else {
        '?'
    };
    request.target = format!("{}{more}user={user}", request.target);
    let answer = server.send(request);
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Makes the waddle `den` of ann's, which everyone may join.
#[track_caller]
fn den(server: &TestServer) -> Channel {
    by(
        server,
        "ann",
        post("/v1/waddles").value(&json!({"id": "den", "name": "Den"})),
    );
    let made = post("/v1/waddles/den/channels").value(&json!({"name": "general"}));
    let made = by(server, "ann", made);
    Channel {
        id: made["id"].as_str().unwrap().to_owned(),
        secret: String::new(),
    }
}

/// Connects as a user, who joins; reads up to who is there.
#[track_caller]
fn come(server: &TestServer, user: &str, more: &str) -> (Member, Value) {
    let target = format!("/ws/waddle/den?join=true&user={user}{more}");
    let mut member = Member::of(server, &target);
    let state = member.client.next_of("presence_state");
    (member, state)
}

fn statuses(state: &Value) -> Vec<(&str, &str)> {
    let users = state["users"].as_array().unwrap().iter();
    users
        .map(|user| {
            (
                user[0].as_str().unwrap(),
                user[1]["status"].as_str().unwrap(),
            )
        })
        .collect()
}

#[track_caller]
fn update(member: &mut Member, user: &str) -> Value {
    member
        .client
        .wait_for(|frame| frame["type"] == "presence_update" && frame["userId"] == user)
}

#[test]
fn how_users_are_is_told_to_the_others_over_all_their_devices() {
    let server = TestServer::with(|settings| settings.limits.presence_grace_ms = 120_000);
    den(&server);
    let (mut ann, state) = come(&server, "ann", "");
    assert_eq!(statuses(&state), [("ann", "online")]);
    assert!(state["users"][0][1]["lastSeen"].is_string());
    let (mut bob, state) = come(&server, "bob", "&status=dnd");
    assert_eq!(statuses(&state), [("ann", "online"), ("bob", "dnd")]);
    assert_eq!(update(&mut ann, "bob")["status"], "dnd");
    let (mut phone, _) = come(&server, "bob", "&status=away");
    bob.ask(json!({"type": "presence_update", "status": "idle"}));
    assert_eq!(update(&mut ann, "bob")["status"], "idle");
    phone.ask(json!({"type": "presence_update", "status": "invisible"}));
    assert_eq!(update(&mut ann, "bob")["status"], "offline");
    phone.ask(json!({"type": "presence_update", "status": "online"}));
    assert_eq!(update(&mut ann, "bob")["status"], "online");
    // A page that is loaded again is no change, and neither is one of two devices.
    drop(phone);
    assert_eq!(update(&mut ann, "bob")["status"], "idle");
    drop(bob);
    let (bob, _) = come(&server, "bob", "");
    let one = get("/v1/waddles/den/presence?userId=bob");
    assert_eq!(by(&server, "ann", one)["users"][0][1]["status"], "idle");
    assert!(
        ann.client
            .so_far()
            .iter()
            .all(|frame| frame["type"] != "presence_update")
    );
    shorten_grace(&server);
    drop(bob);
    let left = update(&mut ann, "bob");
    assert_eq!(left["status"], "offline");
    assert!(left["lastSeen"].is_string());
    let one = get("/v1/waddles/den/presence?userId=bob");
    let one = by(&server, "ann", one);
    assert_eq!(
        (&one["count"], &one["users"][0][1]["lastSeen"]),
        (&json!(1), &left["lastSeen"])
    );
    // Nobody is told of themselves.
    ann.ask(json!({"type": "presence_update", "status": "away"}));
    assert!(
        ann.client
            .so_far()
            .iter()
            .all(|frame| frame["userId"] != "ann")
    );
}

#[test]
fn a_crowd_is_counted_and_listed_in_pages() {
    let server = TestServer::with(|settings| settings.limits.presence_told_max = 3);
    den(&server);
    let mut crowd = Vec::new();
    for number in 0..5 {
        let target = format!("/ws/waddle/den?join=true&user=u{number}");
        crowd.push(Member::of(&server, &target));
    }
    let first = &mut crowd[0].client;
    first.wait_for(|frame| frame["type"] == "presence_count" && frame["count"] == 5);
    let page = by(&server, "ann", get("/v1/waddles/den/presence?limit=2"));
    assert_eq!(statuses(&page), [("u0", "online"), ("u1", "online")]);
    assert_eq!((&page["count"], &page["next"]), (&json!(5), &json!("u1")));
    let rest = by(
        &server,
        "ann",
        get("/v1/waddles/den/presence?after=u1&limit=3"),
    );
    assert_eq!(statuses(&rest).len(), 3);
    assert_eq!(rest.get("next"), None);
    for wrong in ["limit=0", "limit=x", "limit=1001"] {
        let target = format!("/v1/waddles/den/presence?user=ann&{wrong}");
        server.expect(400, get(&target));
    }
}

#[test]
fn what_changes_in_a_waddle_is_told_to_its_members_and_bans_to_its_moderators() {
    let server = TestServer::start();
    let channel = den(&server);
    let (mut ann, _) = come(&server, "ann", "");
    let (mut bob, _) = come(&server, "bob", "");
    let (cem, _) = come(&server, "cem", "");
    let joined = ann.client.next_of("member_update");
    assert_eq!(
        (&joined["userId"], &joined["role"], &joined["cause"]),
        (&json!("bob"), &json!("member"), &json!("joined"))
    );
    let seen = ann.client.next_of("member_update")["sequence"]
        .as_u64()
        .unwrap();
    let role = put("/v1/waddles/den/members/bob").value(&json!({"role": "moderator"}));
    by(&server, "ann", role);
    let ban = put("/v1/waddles/den/bans/cem").value(&json!({"reason": "spam"}));
    by(&server, "bob", ban);
    let mut cem = cem;
    let goodbye = cem.client.next_of("error");
    assert_eq!(goodbye["code"], "BANNED", "{goodbye}");
    assert!(matches!(cem.client.hear(), Heard::Close(Some(_))));
    for member in [&mut ann, &mut bob] {
        let left = member.client.next_of("member_left");
        assert_eq!(
            (&left["userId"], &left["cause"]),
            (&json!("cem"), &json!("banned"))
        );
        let ban = member.client.next_of("ban");
        assert_eq!(
            (&ban["userId"], &ban["by"], &ban["reason"]),
            (&json!("cem"), &json!("bob"), &json!("spam"))
        );
        let gone = member.client.wait_for(|frame| {
            frame["type"] == "presence_update"
                && frame["userId"] == "cem"
                && frame["status"] == "offline"
        });
        assert_eq!(gone["status"], "offline");
    }
    let (mut dan, _) = come(&server, "dan", "");
    by(&server, "bob", delete("/v1/waddles/den/bans/cem"));
    let path = format!("/v1/waddles/den/channels/{}", channel.id);
    by(&server, "ann", delete(&path));
    let told = dan.client.next_of("channel_removed");
    assert_eq!(told["channelId"], channel.id.as_str());
    assert!(
        dan.client
            .take_passed()
            .iter()
            .all(|frame| frame["type"] != "unban")
    );
    // Who comes back gets what was missed.
    let (mut again, _) = come(&server, "ann", &format!("&after={seen}"));
    let mut kinds = Vec::new();
    while kinds.last() != Some(&json!("channel_removed")) {
        let frame = again
            .client
            .wait_for(|frame| frame.get("sequence").is_some());
        assert_eq!(frame["sequence"], seen + 1 + kinds.len() as u64);
        kinds.push(frame["type"].clone());
    }
    assert_eq!(
        kinds,
        [
            "member_update",
            "member_left",
            "ban",
            "member_update",
            "unban",
            "channel_removed"
        ]
    );
}

#[test]
fn only_members_come_in_and_whoever_may_join_can_do_so_at_once() {
    let server = TestServer::start();
    let channel = den(&server);
    server.expect(403, socket("/ws/waddle/den?user=eve"));
    server.expect(403, get("/v1/waddles/den/live?user=eve"));
    server.expect(403, get("/v1/waddles/den/live?user=eve&poll=true"));
    server.expect(403, get("/v1/waddles/den/presence?user=eve"));
    let room = format!("/ws/channel/{}?user=eve", channel.id);
    server.expect(403, socket(&room));
    server.expect(404, socket("/ws/waddle/nowhere?user=eve"));
    server.expect(404, socket("/ws/waddle/no%20where?user=eve"));
    server.expect(400, socket("/ws/waddle/den?user=ann&status=asleep"));
    server.expect(400, socket("/ws/waddle/den?user=ann&join=perhaps"));
    come(&server, "eve", "");
    Member::of(&server, &room);
    let policy = crate::harness::patch("/v1/waddles/den").value(&json!({"join": "invite"}));
    by(&server, "ann", policy);
    server.expect(403, socket("/ws/waddle/den?user=fay&join=true"));
    let banned = put("/v1/waddles/den/bans/eve").value(&json!({}));
    by(&server, "ann", banned);
    server.expect(403, socket("/ws/waddle/den?user=eve&join=true"));
    server.expect(403, socket(&room));
}

#[test]
fn a_member_who_is_put_out_or_timed_out_feels_it_while_connected() {
    let server = TestServer::start();
    let channel = den(&server);
    let (mut bob, _) = come(&server, "bob", "");
    let target = format!("/ws/channel/{}?user=bob", channel.id);
    let mut talking = Member::of(&server, &target);
    talking.ask(json!({"type": "message", "content": "hi"}));
    let term = put("/v1/waddles/den/timeouts/bob").value(&json!({"seconds": 3_600}));
    by(&server, "ann", term);
    talking.refused(json!({"type": "message", "content": "hi"}), "FORBIDDEN");
    talking.refused(json!({"type": "typing"}), "FORBIDDEN");
    bob.refused(
        json!({"type": "typing", "channelId": channel.id}),
        "FORBIDDEN",
    );
    bob.refused(json!({"type": "broadcast", "data": 1}), "FORBIDDEN");
    // What time took away, it gives back.
    let term = put("/v1/waddles/den/timeouts/bob").value(&json!({"seconds": 1}));
    by(&server, "ann", term);
    crate::harness::eventually("the time-out is over", || {
        let said = talking
            .client
            .ask(json!({"type": "message", "content": "again"}));
        said["type"] == "ack"
    });
    let kick = delete("/v1/waddles/den/members/bob");
    by(&server, "ann", kick);
    for mut member in [bob, talking] {
        let kicked = |frame: &Value| frame["type"] == "error" && frame["code"] == "KICKED";
        member.client.wait_for(kicked);
        assert!(matches!(member.client.hear(), Heard::Close(Some(_))));
    }
    server.expect(403, socket(&target));
}

#[test]
fn typing_goes_to_the_channel_and_broadcasts_to_all_who_are_there() {
    let server = TestServer::start();
    let channel = den(&server);
    let (mut ann, _) = come(&server, "ann", "");
    let (mut bob, _) = come(&server, "bob", "");
    let mut room = Member::of(&server, &format!("/ws/channel/{}?user=ann", channel.id));
    bob.ask(json!({"type": "typing", "channelId": channel.id, "isTyping": true}));
    room.client
        .wait_for(|frame| frame["type"] == "typing" && frame["users"] == json!(["bob"]));
    ann.ask(json!({"type": "broadcast", "data": {"raid": [1, 2]}}));
    let posted = post("/v1/waddles/den/broadcast").value(&json!({"text": "a\nb"}));
    by(&server, "ann", posted);
    for member in [&mut ann, &mut bob] {
        let first = member.client.next_of("broadcast");
        assert_eq!(
            (&first["data"], &first["userId"]),
            (&json!({"raid": [1, 2]}), &json!("ann"))
        );
        assert_eq!(member.client.next_of("broadcast")["data"]["text"], "a\nb");
    }
    // Nobody is told later.
    let (mut late, _) = come(&server, "cem", "");
    assert!(
        late.client
            .so_far()
            .iter()
            .all(|frame| frame["type"] != "broadcast")
    );
    bob.refused(json!({"type": "broadcast", "data": 1}), "FORBIDDEN");
    for (frame, code) in [
        (json!({"type": "broadcast"}), "INVALID_REQUEST"),
        (
            json!({"type": "broadcast", "data": "x".repeat(20_000)}),
            "BODY_TOO_LARGE",
        ),
        (json!({"type": "presence_update"}), "INVALID_REQUEST"),
        (
            json!({"type": "presence_update", "status": "asleep"}),
            "INVALID_REQUEST",
        ),
        (
            json!({"type": "typing", "channelId": "x"}),
            "INVALID_REQUEST",
        ),
        (json!({"type": "typing"}), "INVALID_REQUEST"),
        (json!({"type": "message", "content": "a"}), "UNKNOWN_ACTION"),
    ] {
        ann.refused(frame, code);
    }
    let lone = server.channel();
    ann.refused(json!({"type": "typing", "channelId": lone.id}), "NOT_FOUND");
    server.expect(
        403,
        post("/v1/waddles/den/broadcast?user=bob").value(&json!(1)),
    );
    server.expect(400, post("/v1/waddles/den/broadcast?user=ann").body(b"{"));
    server.expect(405, get("/v1/waddles/den/broadcast?user=ann"));
}

#[test]
fn a_full_shard_refuses_its_users_and_the_others_are_in_one_waddle_all_the_same() {
    let server = TestServer::with(|settings| {
        settings.limits.waddle_shards = 2;
        settings.limits.waddle_shard_connections_max = 1;
    });
    den(&server);
    let split = floe_core::shards::Split::new(2, 1);
    let mut users = (0..).map(|number| format!("user-{number}"));
    let other = users.find(|user| split.shard_of(user) == 0).unwrap();
    let (mut ann, _) = come(&server, "ann", "");
    assert_eq!(ann.welcome["shard"], "den-shard-1");
    let refused = server.send(socket("/ws/waddle/den?join=true&user=ben"));
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert!(refused.text().contains("LIMIT_REACHED"));
    let (member, state) = come(&server, &other, "");
    assert_eq!(member.welcome["shard"], "den-shard-0");
    assert!(statuses(&state).contains(&("ann", "online")));
    assert_eq!(update(&mut ann, &other)["status"], "online");
    drop(ann);
    crate::harness::eventually("ann has left her place", || {
        server.metric("floe_websockets") == 1.0
    });
    let (ben, _) = come(&server, "ben", "");
    assert_eq!(ben.welcome["shard"], "den-shard-1");
}
