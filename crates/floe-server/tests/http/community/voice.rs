//! Voice rooms: who takes part, over real sockets.

use floe_surfaces::ws::Opcode;
use serde_json::{Value, json};

use super::{Member, socket};
use crate::harness::{PATIENCE, Request, TestServer, delete, eventually, get, post, put};
use crate::websocket::client::Heard;

pub const ROOM: &str = "/ws/voice/00000000000a";
pub const REST: &str = "/v1/voice/00000000000a";
const STREAM: &str = "/v1/stream/__voice__/00000000000a";

/// Opens the room as a user.
#[track_caller]
pub fn enter(server: &TestServer, user: &str) -> Member {
    let member = Member::of(server, &format!("{ROOM}?user={user}"));
    assert_eq!(member.welcome["userId"], user);
    member
}

impl Member {
    #[track_caller]
    pub fn sit(&mut self) {
        self.ask(json!({"type": "join"}));
    }

    /// Waits until the participants are so; what was told before is forgotten.
    #[track_caller]
    pub fn until(&mut self, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        loop {
            let frame = self.client.next_of("participants");
            let all = frame["participants"].as_array().unwrap();
            assert_eq!(frame["count"], all.len());
            if wanted(all) {
                return all.clone();
            }
        }
    }

    /// Waits until those take part, in this order.
    #[track_caller]
    pub fn until_users(&mut self, users: &[&str]) -> Vec<Value> {
        self.until(|all| names(all) == users)
    }

    /// Waits until something of the first participant is so.
    #[track_caller]
    fn until_first(&mut self, field: &str, value: bool) {
        self.until(|all| all.first().is_some_and(|first| first[field] == value));
    }
}

pub fn names(participants: &[Value]) -> Vec<&str> {
    let users = participants
        .iter()
        .map(|one| one["userId"].as_str().unwrap());
    users.collect()
}

pub fn room(server: &TestServer) -> Value {
    server.expect(200, get(REST)).json()
}

/// Waits until the room is so, as plain HTTP tells.
#[track_caller]
fn until_room(server: &TestServer, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = std::time::Instant::now() + PATIENCE;
    loop {
        let room = room(server);
        if wanted(&room) {
            return room;
        }
        assert!(std::time::Instant::now() < until, "{room}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// What the log says, each message in one word for what and one for whom; what recordings hold, which it
/// says as soon as that is known, is left out.
pub fn log(server: &TestServer) -> Vec<String> {
    let log = server
        .expect(200, get(&format!("{STREAM}?offset=-1")))
        .json();
    let told = log.as_array().unwrap().iter();
    let told = told.filter(|message| message["type"] != "recording_index");
    let said = told.map(|message| {
        let headers = &message["headers"];
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        assert!(headers["timestamp"].is_string(), "{message}");
        match (message["type"].as_str(), headers["operation"].as_str()) {
            (Some("participant"), Some("insert")) => {
                assert_eq!(message["value"]["userId"], message["key"]);
                format!("+{}", text(&message["key"]))
            }
            (Some("participant"), Some("delete")) => {
                format!("-{} {}", text(&message["key"]), text(&headers["reason"]))
            }
            (Some("recording"), Some("insert")) => {
                assert_eq!(message["value"]["recordingId"], message["key"]);
                "record".to_owned()
            }
            (Some("recording"), Some("delete")) => format!("cut {}", text(&headers["reason"])),
            (Some("session"), Some("insert")) => "begin".to_owned(),
            (Some("session"), Some("delete")) => "end".to_owned(),
            _ => text(&headers["control"]),
        }
    });
    said.collect()
}

#[test]
fn a_voice_room_comes_to_be_with_the_first_who_may_make_it_and_is_written_by_the_server_alone() {
    let keys = "default:read:k-read default:admin:k-admin";
    let server = TestServer::with(|settings| settings.api_keys = keys.into());
    server.expect(404, socket(ROOM).key("k-read"));
    server.expect(404, get(REST).key("k-read"));
    Member::with(&server, &socket(ROOM).key("k-admin"));
    Member::with(&server, &socket(ROOM).key("k-read"));
    let log = server.expect(200, get(&format!("{STREAM}?offset=-1")).key("k-read"));
    assert_eq!(log.json(), json!([]));
    server.expect(405, put(STREAM).text("x").key("k-admin"));
    server.expect(401, get(&format!("{STREAM}?offset=-1")));
}

#[test]
fn a_session_begins_with_the_first_who_joins_and_ends_with_the_last_who_leaves() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.until_users(&[]);
    bob.until_users(&[]);
    ann.ask(json!({"type": "join", "audioEnabled": true, "videoEnabled": true}));
    let session = ann.client.next_of("session");
    assert_eq!(session["maxParticipants"], 100);
    let none = json!({"audio": false, "video": false, "screen": false, "recording": false,
        "audioSlots": 0, "videoSlots": 0});
    assert_eq!(session["features"], none);
    assert!(session["startedAt"].is_string(), "{session}");
    assert_eq!(session["recording"], Value::Null);
    let told = bob.client.next_of("session");
    assert_eq!(told, session);
    let participants = bob.until_users(&["ann"]);
    let mut shown = participants[0].clone();
    assert!(
        shown["joinedAt"].as_str().unwrap().ends_with('Z'),
        "{shown}"
    );
    shown["joinedAt"] = Value::Null;
    assert_eq!(
        shown,
        json!({
            "userId": "ann", "joinedAt": null, "audioEnabled": true, "videoEnabled": true,
            "screenEnabled": false, "speaking": false, "muted": false, "quality": "none",
            "reconnecting": false,
        })
    );
    bob.sit();
    ann.until_users(&["ann", "bob"]);
    let room = room(&server);
    assert_eq!(room["session"]["sessionId"], session["sessionId"]);
    assert_eq!(room["count"], 2);
    ann.ask(json!({"type": "leave"}));
    ann.refused(json!({"type": "leave"}), "NOT_JOINED");
    ann.until_users(&["bob"]);
    bob.ask(json!({"type": "leave"}));
    for member in [&mut ann, &mut bob] {
        member.until_users(&[]);
        let ended = member.client.next_of("session_ended");
        assert_eq!(ended["sessionId"], session["sessionId"]);
    }
    assert_eq!(self::room(&server)["session"], Value::Null);
    // The next one is another.
    ann.sit();
    let next = ann.client.next_of("session");
    assert_ne!(next["sessionId"], session["sessionId"]);
    assert_eq!(
        log(&server),
        [
            "begin",
            "+ann",
            "+bob",
            "-ann left",
            "-bob left",
            "end",
            "begin",
            "+ann"
        ]
    );
    assert_eq!(server.metric("floe_voice_rooms"), 1.0);
    assert_eq!(server.metric("floe_voice_participants"), 1.0);
    assert_eq!(server.metric("floe_voice_sessions_total"), 2.0);
}

#[test]
fn a_second_connection_of_a_user_takes_the_seat_and_the_first_is_told() {
    let server = TestServer::start();
    let mut first = enter(&server, "ann");
    first.sit();
    let before = first.until_users(&["ann"]);
    first.refused(json!({"type": "join"}), "ALREADY_JOINED");
    let mut second = enter(&server, "ann");
    second.ask(json!({"type": "join", "videoEnabled": true}));
    assert_eq!(first.client.next_of("left")["reason"], "replaced");
    first.refused(json!({"type": "speaking"}), "NOT_JOINED");
    let after = second.until(|all| all.iter().any(|one| one["videoEnabled"] == true));
    assert_eq!(after.len(), 1);
    assert_eq!(after[0]["joinedAt"], before[0]["joinedAt"]);
    // That the first goes is nothing to the seat.
    drop(first);
    second.ask(json!({"type": "mute"}));
    second.until_first("audioEnabled", false);
    assert_eq!(log(&server), ["begin", "+ann"]);
}

#[test]
fn participants_mute_themselves_and_speaking_wears_off() {
    let server = TestServer::with(|settings| settings.limits.voice_speaking_ms = 300);
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    ann.client.say(&json!({"type": "speaking"}));
    bob.until_first("speaking", true);
    bob.until_first("speaking", false);
    ann.ask(json!({"type": "speaking", "isSpeaking": true}));
    bob.until_first("speaking", true);
    ann.ask(json!({"type": "mute"}));
    let shown = bob.until(|all| all.first().is_some_and(|ann| ann["audioEnabled"] == false));
    assert_eq!(shown[0]["speaking"], false);
    // Who is not heard does not speak, and that is no mistake.
    ann.ask(json!({"type": "speaking", "speaking": true}));
    ann.ask(json!({"type": "mute", "audioEnabled": true, "videoEnabled": true}));
    let shown = bob.until(|all| all.first().is_some_and(|ann| ann["videoEnabled"] == true));
    assert_eq!(
        (&shown[0]["audioEnabled"], &shown[0]["speaking"]),
        (&json!(true), &json!(false))
    );
    ann.ask(json!({"type": "mute", "muted": true}));
    bob.until_first("audioEnabled", false);
    ann.ask(json!({"type": "mute", "screenEnabled": true}));
    let shown = bob.until(|all| all.first().is_some_and(|ann| ann["screenEnabled"] == true));
    assert_eq!(
        (&shown[0]["audioEnabled"], &shown[0]["videoEnabled"]),
        (&json!(false), &json!(true))
    );
    let both = json!({"type": "mute", "muted": true, "audioEnabled": true});
    ann.refused(both, "INVALID_REQUEST");
}

#[test]
fn who_comes_back_within_the_grace_time_never_left() {
    let server = TestServer::with(|settings| settings.limits.voice_grace_ms = 120_000);
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    let before = bob.until_users(&["ann"]);
    drop(ann);
    let away = bob.until(|all| all.first().is_some_and(|ann| ann["reconnecting"] == true));
    assert_eq!(away.len(), 1);
    assert_eq!(room(&server)["participants"][0]["reconnecting"], true);
    let mut ann = enter(&server, "ann");
    ann.sit();
    let after = bob.until(|all| all.first().is_some_and(|ann| ann["reconnecting"] == false));
    assert_eq!(after[0]["joinedAt"], before[0]["joinedAt"]);
    assert_eq!(log(&server), ["begin", "+ann"]);
}

#[test]
fn who_does_not_come_back_has_left_and_the_session_ends_with_them() {
    let server = TestServer::with(|settings| settings.limits.voice_grace_ms = 200);
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    bob.until_users(&["ann"]);
    drop(ann);
    bob.until_users(&[]);
    bob.client.next_of("session_ended");
    // Nobody waits for what a timer does, so it may be told before the log says so.
    eventually("the log says so", || {
        log(&server) == ["begin", "+ann", "-ann lost", "end"]
    });
    // Nobody needs to be there for that.
    bob.sit();
    drop(bob);
    until_room(&server, |room| room["session"].is_null());
    assert_eq!(server.metric("floe_voice_participants"), 0.0);
}

#[test]
fn a_full_room_refuses_with_its_limit_and_those_in_it_notice_nothing() {
    let server = TestServer::with(|settings| settings.limits.voice_participants_max = 2);
    let mut members: Vec<Member> = ["ann", "bob", "cem"]
        .map(|user| enter(&server, user))
        .into();
    members[0].sit();
    members[1].sit();
    let refused = members[2].refused(json!({"type": "join"}), "LIMIT_REACHED");
    assert_eq!(refused["retry"], "later");
    // It sees the room all the same, and comes in once there is space.
    members[2].until_users(&["ann", "bob"]);
    members[0].ask(json!({"type": "leave"}));
    members[2].sit();
    members[1].until_users(&["bob", "cem"]);
    let text = server.expect(200, get("/metrics")).text();
    assert!(
        text.contains("floe_voice_joins_refused_total{code=\"LIMIT_REACHED\"} 1\n"),
        "{text}"
    );
}

#[test]
fn moderators_mute_and_kick_and_others_may_not() {
    let keys = "default:write:k-user default:admin:k-admin";
    let server = &TestServer::with(|settings| settings.api_keys = keys.into());
    let signed = |user: &str, rights: Value| {
        let asked = post("/v1/tokens")
            .key("k-admin")
            .value(&json!({"user": user, "rights": rights}));
        let token = server.expect(201, asked).json()["token"].clone();
        let protocols = format!("floe.token, {}", token.as_str().unwrap());
        socket(ROOM).field("Sec-WebSocket-Protocol", protocols)
    };
    let may_speak = json!(["read", "append", "presence"]);
    drop(Member::with(server, &socket(ROOM).key("k-admin")));
    let mut ann = Member::with(server, &signed("ann", may_speak.clone()));
    let mut bob = Member::with(server, &signed("bob", may_speak));
    let moderator = json!(["read", "append", "presence", "delete:any"]);
    let mut mia = Member::with(server, &signed("mia", moderator));
    ann.sit();
    bob.sit();
    ann.refused(json!({"type": "mute", "userId": "bob"}), "FORBIDDEN");
    ann.refused(json!({"type": "kick", "userId": "bob"}), "FORBIDDEN");
    mia.refused(json!({"type": "kick", "userId": "nobody"}), "NOT_FOUND");
    mia.ask(json!({"type": "mute", "userId": "bob"}));
    let muted = |all: &[Value]| {
        all.iter()
            .any(|one| one["userId"] == "bob" && one["muted"] == true)
    };
    ann.until(muted);
    bob.refused(json!({"type": "mute", "muted": false}), "FORBIDDEN");
    mia.ask(json!({"type": "mute", "userId": "bob", "muted": false}));
    bob.ask(json!({"type": "mute", "muted": false}));
    mia.ask(json!({"type": "kick", "userId": "bob"}));
    assert_eq!(bob.client.next_of("left")["reason"], "kicked");
    ann.until_users(&["ann"]);
    // Whoever was kicked is not banned.
    bob.sit();
    // The same by plain HTTP.
    let path = |user: &str, rest: &str| format!("{REST}/participants/{user}{rest}");
    server.expect(403, post(&path("bob", "/mute")).key("k-user"));
    server.expect(403, delete(&path("bob", "")).key("k-user"));
    server.expect(401, delete(&path("bob", "")));
    server.expect(404, delete(&path("nobody", "")).key("k-admin"));
    server.expect(200, post(&path("bob", "/mute")).key("k-admin"));
    ann.until(muted);
    let unmute = post(&path("bob", "/mute")).value(&json!({"muted": false}));
    server.expect(200, unmute.key("k-admin"));
    server.expect(200, delete(&path("bob", "")).key("k-admin"));
    assert_eq!(bob.client.next_of("left")["reason"], "kicked");
    let wrong = |request: Request, status| server.expect(status, request.key("k-admin"));
    wrong(post(&path("bob", "/mute")).json("{"), 400);
    wrong(post(&path("bob", "/mute")).value(&json!({"muted": 1})), 400);
    wrong(post(&path("%ff", "/mute")), 400);
    wrong(get(&path("bob", "")), 405);
    wrong(get(&format!("{REST}/dance")), 404);
    wrong(get("/v1/voice/x"), 404);
}

#[test]
fn who_may_only_be_seen_listens() {
    let keys = "default:read:k-read default:admin:k-admin";
    let server = TestServer::with(|settings| settings.api_keys = keys.into());
    drop(Member::with(&server, &socket(ROOM).key("k-admin")));
    let signed = |rights: Value| {
        let asked = post("/v1/tokens")
            .key("k-admin")
            .value(&json!({"user": "ann", "rights": rights}));
        let token = server.expect(201, asked).json()["token"].clone();
        socket(ROOM).key(token.as_str().unwrap())
    };
    let mut ann = Member::with(&server, &signed(json!(["read"])));
    ann.refused(json!({"type": "join", "audioEnabled": false}), "FORBIDDEN");
    let mut ann = Member::with(&server, &signed(json!(["read", "presence"])));
    ann.refused(json!({"type": "join"}), "FORBIDDEN");
    ann.ask(json!({"type": "join", "audioEnabled": false}));
    ann.until_first("audioEnabled", false);
    ann.refused(json!({"type": "mute", "muted": false}), "FORBIDDEN");
    // A key that is nobody's has nobody to sit down.
    let mut nobody = Member::with(&server, &socket(ROOM).key("k-read"));
    nobody.refused(
        json!({"type": "join", "audioEnabled": false}),
        "INVALID_REQUEST",
    );
}

#[test]
fn without_media_offers_and_candidates_are_refused_by_a_code_of_their_own() {
    let server = TestServer::start();
    let mut ann = enter(&server, "ann");
    let offer = json!({"type": "offer", "sdp": "v=0"});
    ann.refused(offer.clone(), "NOT_JOINED");
    ann.sit();
    let candidate = json!({"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0});
    for frame in [
        offer,
        json!({"type": "answer", "sdp": "v=0"}),
        json!({"type": "candidate", "candidate": candidate}),
        json!({"type": "candidate", "candidate": "candidate:1", "sdpMid": "0"}),
        json!({"type": "candidate", "candidate": null}),
    ] {
        let refused = ann.refused(frame, "MEDIA_UNAVAILABLE");
        assert_eq!(refused["retry"], "never");
    }
    for frame in [
        json!({"type": "offer"}),
        json!({"type": "offer", "sdp": ""}),
        json!({"type": "offer", "sdp": 1}),
        json!({"type": "offer", "sdp": "x".repeat((64 << 10) + 1)}),
        json!({"type": "candidate", "candidate": {"sdpMid": "0"}}),
        json!({"type": "candidate", "candidate": "c", "sdpMLineIndex": 70_000}),
    ] {
        ann.refused(frame, "INVALID_REQUEST");
    }
    ann.until_users(&["ann"]);
}

#[test]
fn hostile_frames_change_nothing_and_the_room_goes_on() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    bob.until_users(&["ann"]);
    let long = "x".repeat(200);
    for frame in [
        json!({"type": "join", "audioEnabled": "yes"}),
        json!({"type": "mute", "userId": ""}),
        json!({"type": "mute", "userId": long}),
        json!({"type": "mute", "userId": {"a": 1}}),
        json!({"type": "kick"}),
        json!({"type": "speaking", "isSpeaking": 1}),
    ] {
        bob.refused(frame, "INVALID_REQUEST");
    }
    for frame in [
        json!({"type": "dance"}),
        json!({"type": "JOIN"}),
        json!({"type": ""}),
    ] {
        bob.refused(frame, "UNKNOWN_ACTION");
    }
    let deep = format!(
        "{{\"type\":\"join\",\"x\":{}1{}}}",
        "[".repeat(200),
        "]".repeat(200)
    );
    for payload in [&b"\xff\xfe"[..], b"null", deep.as_bytes()] {
        // What is no text ends the connection by the protocol's own rules, and is sent as bytes.
        let opcode = if payload.is_ascii() {
            Opcode::Text
        } else {
            Opcode::Binary
        };
        bob.client.send(opcode, payload);
        assert_eq!(bob.client.next_of("error")["code"], "INVALID_FRAME");
    }
    for _ in 0..50 {
        bob.client.say(&json!({"type": "join"}));
        bob.client.say(&json!({"type": "leave"}));
    }
    bob.sit();
    ann.until_users(&["ann", "bob"]);
}

#[test]
fn a_reader_may_be_told_of_changes_alone() {
    let server = TestServer::start();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    let mut eve = Member::of(&server, &format!("{ROOM}?changes=true"));
    // First it is told everything.
    assert_eq!(eve.until_users(&["ann"]).len(), 1);
    bob.sit();
    let came = eve.client.next_of("participants_changed");
    assert_eq!(came["set"][0]["userId"], "bob");
    assert_eq!((&came["count"], &came["left"]), (&json!(2), &json!([])));
    ann.ask(json!({"type": "leave"}));
    let left = eve.client.next_of("participants_changed");
    assert_eq!((&left["count"], &left["set"]), (&json!(1), &json!([])));
    assert_eq!(left["left"], json!(["ann"]));
    assert!(left["version"].as_u64() > came["version"].as_u64());
}

#[test]
fn who_cannot_have_a_websocket_sees_the_same_as_events() {
    let server = TestServer::start();
    let mut ann = enter(&server, "ann");
    ann.sit();
    let mut events = server.connect().follow(&get(&format!("{REST}/live")));
    let mut next = |kind: &str| {
        let event = events.message().unwrap().json();
        assert_eq!(event["type"], kind, "{event}");
        event
    };
    assert_eq!(next("welcome")["room"], "00000000000a");
    next("session");
    assert_eq!(next("participants")["participants"][0]["userId"], "ann");
    ann.ask(json!({"type": "leave"}));
    assert_eq!(next("participants")["count"], 0);
    next("session_ended");
    server.expect(404, get("/v1/voice/x/live"));
}

#[test]
fn who_polls_is_told_who_takes_part_once_that_has_changed() {
    let server = TestServer::with(|settings| settings.limits.long_poll_timeout_ms = 500);
    let target = |after: u64| format!("{REST}/live?poll=true&after={after}");
    server.expect(404, get(&target(0)));
    let mut ann = enter(&server, "ann");
    let first = server.expect(200, get(&format!("{REST}/live?poll=true")));
    let frames = json!([
        {"type": "participants", "participants": [], "count": 0, "version": 0},
    ]);
    let nobody = json!({"frames": frames, "after": 0, "sequence": 0, "hasMore": false});
    assert_eq!(first.json(), nobody);
    // Nothing comes: after a while it says so.
    assert_eq!(server.expect(200, get(&target(0))).json(), nobody);
    let mut waiting = server.connect();
    waiting.write(get(&target(0)).bytes());
    ann.sit();
    let mut answer = waiting.answer().json();
    // A slow machine may have answered before anything happened.
    if answer["sequence"] == 0 {
        answer = server.expect(200, get(&target(0))).json();
    }
    assert_eq!(answer["frames"][0]["type"], "session");
    assert_eq!(answer["frames"][1]["participants"][0]["userId"], "ann");
    let seen = answer["sequence"].as_u64().unwrap();
    assert_eq!(answer["frames"][1]["version"], seen);
    ann.ask(json!({"type": "leave"}));
    let last = server.expect(200, get(&target(seen))).json();
    assert_eq!(last["frames"][0]["count"], 0, "{last}");
    assert_eq!(last["after"], seen);
    server.expect(400, get(&format!("{REST}/live?poll=true&after=x")));
    server.expect(404, get("/v1/voice/x/live?poll=true"));
}

#[test]
fn whoever_loses_the_right_to_the_room_is_gone_from_it_at_once() {
    let keys = "default:admin:k-admin";
    let server = TestServer::with(|settings| {
        settings.api_keys = keys.into();
        settings.limits.voice_grace_ms = 600_000;
    });
    let asked = post("/v1/tokens")
        .key("k-admin")
        .value(&json!({"user": "ann", "rights": ["read", "append", "presence"]}));
    let token = server.expect(201, asked).json()["token"].clone();
    let mut eve = Member::with(&server, &socket(ROOM).key("k-admin"));
    let mut ann = Member::with(&server, &socket(ROOM).key(token.as_str().unwrap()));
    ann.sit();
    eve.until_users(&["ann"]);
    let revoke = post("/v1/revocations")
        .key("k-admin")
        .value(&json!({"user": "ann"}));
    server.expect(201, revoke);
    eve.until_users(&[]);
    assert_eq!(ann.client.next_of("error")["code"], "UNAUTHORIZED");
    let heard = loop {
        match ann.client.hear() {
            Heard::Frame(_) | Heard::Ping(_) | Heard::Pong(_) => {}
            heard => break heard,
        }
    };
    assert!(
        matches!(heard, Heard::Close(Some((4500.., _)))),
        "{heard:?}"
    );
}

#[test]
fn after_a_crash_the_log_begins_afresh_with_the_next_session() {
    let server = TestServer::start();
    let mut ann = enter(&server, "ann");
    ann.sit();
    let server = server.crashed();
    assert_eq!(room(&server)["session"], Value::Null);
    let mut bob = enter(&server, "bob");
    bob.sit();
    bob.ask(json!({"type": "leave"}));
    assert_eq!(
        log(&server),
        [
            "begin",
            "+ann",
            "reset",
            "begin",
            "+bob",
            "-bob left",
            "end"
        ]
    );
}

#[test]
fn the_log_keeps_so_much_and_lets_the_oldest_go() {
    let server = TestServer::with(|settings| settings.limits.voice_log_messages_max = 10);
    let mut ann = enter(&server, "ann");
    let until = std::time::Instant::now() + PATIENCE;
    let mut said = 0;
    // It is looked at once in a while, and what lies within the bound stays.
    loop {
        ann.sit();
        ann.ask(json!({"type": "leave"}));
        said += 4;
        let kept = log(&server).len();
        assert!(kept >= 10.min(said), "{kept} of {said}");
        if kept < said {
            return;
        }
        assert!(std::time::Instant::now() < until, "all of {said} are kept");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
