//! Voice rooms with media: what these are told, and what they say is told to everyone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use floe_core::voice::{
    Features, Media, MediaError, MediaInput, MediaOutput, Quality, SeatId, Sends,
};
use floe_proto::Millis;
use serde_json::{Value, json};

use super::voice::{REST, ROOM, enter, log, names, room};
use super::{Member, socket};
use crate::harness::{Channel, TestServer, delete, eventually, get, post, put};
use crate::waddles::{Town, by};

/// Media that carry nothing, and tell what they were told.
#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    inputs: Vec<MediaInput>,
    outputs: VecDeque<MediaOutput>,
    /// Whether they take no recording.
    is_full: bool,
}

impl Heard {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap()
    }

    /// The seat of whoever came so many others after the first.
    fn seat(&self, place: usize) -> SeatId {
        let said = self.said();
        let mut seats = said.inputs.iter().filter_map(|input| match input {
            MediaInput::Joined { seat, .. } => Some(*seat),
            _ => None,
        });
        seats.nth(place).unwrap()
    }

    /// What the participant of a seat sends, as the media were told last.
    fn sends(&self, of: SeatId) -> Sends {
        let said = self.said();
        let mut sends = said.inputs.iter().rev().filter_map(|input| match input {
            MediaInput::Joined { seat, sends, .. } | MediaInput::Changed { seat, sends, .. } => {
                (*seat == of).then_some(*sends)
            }
            _ => None,
        });
        sends.next().unwrap()
    }

    /// What they were told of recordings.
    fn records(&self) -> Vec<Option<String>> {
        let said = self.said();
        let records = said.inputs.iter().filter_map(|input| match input {
            MediaInput::Record { recording, .. } => Some(recording.as_deref().map(str::to_owned)),
            _ => None,
        });
        records.collect()
    }

    fn has_left(&self, of: SeatId) -> bool {
        self.said().inputs.contains(&MediaInput::Left(of))
    }
}

impl Media for Heard {
    fn features(&self) -> Features {
        Features {
            recording: true,
            ..Features::default()
        }
    }

    fn handle(&mut self, _: Millis, input: MediaInput) -> Result<(), MediaError> {
        let mut said = self.said();
        let is_refused = matches!(
            input,
            MediaInput::Record {
                recording: Some(_),
                ..
            }
        );
        said.inputs.push(input);
        match is_refused && said.is_full {
            true => Err(MediaError::Busy),
            false => Ok(()),
        }
    }

    fn poll_output(&mut self) -> Option<MediaOutput> {
        self.said().outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Millis> {
        None
    }
}

fn server() -> (TestServer, Heard) {
    let heard = Heard::default();
    let server = TestServer::carrying(Box::new(heard.clone()), |_| {});
    (server, heard)
}

const SCREEN: Sends = Sends {
    audio: true,
    video: false,
    screen: true,
};

#[test]
fn what_participants_send_reaches_the_media_and_what_these_say_reaches_everyone() {
    let (server, heard) = server();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.ask(json!({"type": "join", "screenEnabled": true}));
    let seat = heard.seat(0);
    assert_eq!(heard.sends(seat), SCREEN);
    let quality = Quality::Fair;
    let output = MediaOutput::Quality { seat, quality };
    heard.said().outputs.push_back(output);
    ann.ask(json!({"type": "mute", "audioEnabled": false, "videoEnabled": true}));
    let sends = Sends {
        audio: false,
        video: true,
        screen: true,
    };
    assert_eq!(heard.sends(seat), sends);
    let shown = bob.until(|all| all.first().is_some_and(|ann| ann["quality"] == "fair"));
    assert_eq!(shown[0]["screenEnabled"], true);
    assert_eq!(room(&server)["participants"][0]["quality"], "fair");
}

#[test]
fn a_recording_is_announced_to_all_who_are_there_and_to_all_who_come() {
    let (server, heard) = server();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    let record = |recording: bool| json!({"type": "record", "recording": recording});
    // There is nobody to record.
    ann.refused(record(true), "NOT_FOUND");
    ann.sit();
    assert_eq!(bob.client.next_of("session")["recording"], Value::Null);
    ann.refused(record(false), "NOT_FOUND");
    bob.ask(record(true));
    let told = ann.client.next_of("recording");
    assert_eq!(told["startedBy"], "bob");
    assert!(told["startedAt"].as_str().unwrap().ends_with('Z'), "{told}");
    let id = told["recordingId"].as_str().unwrap().to_owned();
    assert_eq!(heard.records(), [Some(id.clone())]);
    bob.refused(record(true), "EXISTS");
    let shown = json!({
        "recordingId": id, "startedBy": "bob", "startedAt": told["startedAt"],
    });
    let mut cem = enter(&server, "cem");
    assert_eq!(cem.client.next_of("session")["recording"], shown);
    assert_eq!(room(&server)["session"]["recording"], shown);
    let mut events = server.connect().follow(&get(&format!("{REST}/live")));
    let told = loop {
        let event = events.message().unwrap().json();
        if event["type"] == "session" {
            break event;
        }
    };
    assert_eq!(told["recording"], shown);
    // It ends when somebody says so, or with the session.
    bob.ask(record(false));
    for member in [&mut ann, &mut bob, &mut cem] {
        let over = |frame: &Value| frame["type"] == "recording" && frame["recordingId"].is_null();
        member.client.wait_for(over);
    }
    bob.ask(record(true));
    let again = cem.client.next_of("recording")["recordingId"].clone();
    ann.ask(json!({"type": "leave"}));
    assert_eq!(cem.client.next_of("recording")["recordingId"], Value::Null);
    cem.client.next_of("session_ended");
    assert_ne!(again, id);
    let again = again.as_str().map(str::to_owned);
    assert_eq!(heard.records(), [Some(id), None, again, None]);
    assert_eq!(
        log(&server),
        [
            "begin",
            "+ann",
            "record",
            "cut stopped",
            "record",
            "-ann left",
            "cut ended",
            "end"
        ]
    );
}

#[test]
fn a_recording_is_for_moderators_also_by_plain_http() {
    let heard = Heard::default();
    let keys = "default:write:k-user default:admin:k-admin";
    let server = TestServer::carrying(Box::new(heard.clone()), |settings| {
        settings.api_keys = keys.into();
    });
    drop(Member::with(&server, &socket(ROOM).key("k-admin")));
    let asked = post("/v1/tokens").key("k-admin");
    let asked = asked.value(&json!({"user": "ann", "rights": ["read", "append", "presence"]}));
    let token = server.expect(201, asked).json()["token"].clone();
    let mut ann = Member::with(&server, &socket(ROOM).key(token.as_str().unwrap()));
    ann.sit();
    ann.refused(json!({"type": "record", "recording": true}), "FORBIDDEN");
    let recording = format!("{REST}/recording");
    server.expect(403, put(&recording).key("k-user"));
    server.expect(401, put(&recording));
    server.expect(404, delete(&recording).key("k-admin"));
    let begun = server.expect(200, put(&recording).key("k-admin")).json();
    // A key is nobody.
    assert_eq!(begun["startedBy"], Value::Null);
    assert_eq!(
        ann.client.next_of("recording")["recordingId"],
        begun["recordingId"]
    );
    let conflict = server.expect(409, put(&recording).key("k-admin"));
    assert_eq!(conflict.json()["code"], "EXISTS");
    server.expect(403, delete(&recording).key("k-user"));
    server.expect(200, delete(&recording).key("k-admin"));
    assert_eq!(ann.client.next_of("recording")["recordingId"], Value::Null);
    assert_eq!(heard.records().len(), 2);
}

#[test]
fn what_the_media_do_not_record_is_not_said_to_be_recorded() {
    let (server, heard) = server();
    let mut ann = enter(&server, "ann");
    ann.sit();
    heard.said().is_full = true;
    ann.refused(json!({"type": "record", "recording": true}), "OVERLOADED");
    assert_eq!(room(&server)["session"]["recording"], Value::Null);
    eventually("the log says so", || {
        log(&server) == ["begin", "+ann", "record", "cut failed"]
    });
    heard.said().is_full = false;
    ann.ask(json!({"type": "record", "recording": true}));
    let is_so = |frame: &Value| frame["type"] == "recording" && frame["recordingId"].is_string();
    ann.client.wait_for(is_so);
}

/// A voice room of a waddle of ann's, with bob in the waddle.
fn town(grace_ms: u64) -> (Town, Heard, Channel) {
    let heard = Heard::default();
    let town = Town::carrying(Box::new(heard.clone()), |settings| {
        settings.limits.voice_grace_ms = grace_ms;
    });
    town.found("birds");
    let room = town.channel("birds", &json!({"name": "v", "kind": "voice"}));
    town.join("bob", "birds");
    (town, heard, room)
}

fn come(town: &Town, who: &str, room: &Channel) -> Member {
    let target = format!("/n/acme/ws/voice/{}", room.id);
    Member::with(&town.server, &by(who, socket(&target)))
}

fn are_away(all: &[Value], users: &[&str]) -> bool {
    names(all) == users && all.iter().all(|one| one["reconnecting"] == true)
}

/// Returns whether nothing of the second participant is heard or seen.
fn is_silent(all: &[Value]) -> bool {
    let sends = ["audioEnabled", "videoEnabled", "screenEnabled"];
    all.get(1)
        .is_some_and(|bob| sends.iter().all(|field| bob[*field] == false))
}

#[test]
fn who_is_timed_out_is_neither_heard_nor_seen_from_then_on_and_goes_on_listening() {
    let (town, heard, room) = town(15_000);
    let (mut ann, mut bob) = (come(&town, "ann", &room), come(&town, "bob", &room));
    ann.sit();
    bob.ask(json!({"type": "join", "videoEnabled": true, "screenEnabled": true}));
    ann.until_users(&["ann", "bob"]);
    let timeout = "/v1/waddles/birds/timeouts/bob";
    let asked = put(timeout).value(&json!({"seconds": 600}));
    town.send("ann", asked).expect(200);
    // It is so before the act is answered.
    assert_eq!(heard.sends(heard.seat(1)), Sends::NOTHING);
    assert!(!heard.has_left(heard.seat(1)));
    ann.until(is_silent);
    bob.until(is_silent);
    for more in [
        json!({"type": "mute", "muted": false}),
        json!({"type": "mute", "screenEnabled": true}),
    ] {
        bob.refused(more, "FORBIDDEN");
    }
    bob.ask(json!({"type": "mute", "videoEnabled": false}));
    town.send("ann", delete(timeout)).expect(204);
    bob.ask(json!({"type": "mute", "muted": false}));
    ann.until(|all| all.len() == 2 && all[1]["audioEnabled"] == true);
}

#[test]
fn who_is_timed_out_while_away_is_silent_too_and_comes_back_to_listen() {
    let (town, heard, room) = town(600_000);
    let (mut ann, mut bob) = (come(&town, "ann", &room), come(&town, "bob", &room));
    ann.sit();
    bob.sit();
    drop(bob);
    ann.until(|all| all.len() == 2 && all[1]["reconnecting"] == true);
    let asked = put("/v1/waddles/birds/timeouts/bob").value(&json!({"seconds": 600}));
    town.send("ann", asked).expect(200);
    assert_eq!(heard.sends(heard.seat(1)), Sends::NOTHING);
    let all = ann.until(is_silent);
    assert_eq!(all[1]["reconnecting"], true);
    let mut bob = come(&town, "bob", &room);
    bob.refused(json!({"type": "join"}), "FORBIDDEN");
    bob.ask(json!({"type": "join", "audioEnabled": false}));
    ann.until(|all| all.len() == 2 && all[1]["reconnecting"] == false);
}

#[test]
fn who_is_banned_is_gone_at_once_also_while_away() {
    let (town, heard, room) = town(600_000);
    let (mut ann, mut bob) = (come(&town, "ann", &room), come(&town, "bob", &room));
    ann.sit();
    bob.sit();
    drop(bob);
    ann.until(|all| all.len() == 2 && all[1]["reconnecting"] == true);
    let ban = put("/v1/waddles/birds/bans/bob").value(&json!({"seconds": 600}));
    town.send("ann", ban).expect(200);
    assert!(heard.has_left(heard.seat(1)));
    ann.until_users(&["ann"]);
}

#[test]
fn nobody_is_left_behind_in_the_media_by_a_room_that_is_deleted() {
    let (town, heard, room) = town(600_000);
    let (mut ann, mut bob) = (come(&town, "ann", &room), come(&town, "bob", &room));
    ann.sit();
    bob.sit();
    drop(bob);
    ann.until(|all| all.len() == 2 && all[1]["reconnecting"] == true);
    let at = format!("/v1/waddles/birds/channels/{}", room.id);
    town.send("ann", delete(&at)).expect(204);
    eventually("both have left", || {
        heard.has_left(heard.seat(0)) && heard.has_left(heard.seat(1))
    });
}

#[test]
fn whose_token_is_revoked_while_away_is_gone_at_once() {
    let heard = Heard::default();
    let server = TestServer::carrying(Box::new(heard.clone()), |settings| {
        settings.api_keys = "default:admin:k-admin".into();
        settings.limits.voice_grace_ms = 600_000;
    });
    let mut eve = Member::with(&server, &socket(ROOM).key("k-admin"));
    let come = |user: &str| {
        let rights = json!(["read", "append", "presence"]);
        let asked = json!({"user": user, "rights": rights});
        let asked = post("/v1/tokens").key("k-admin").value(&asked);
        let token = server.expect(201, asked).json()["token"].clone();
        let mut member = Member::with(&server, &socket(ROOM).key(token.as_str().unwrap()));
        member.sit();
    };
    come("ann");
    come("bob");
    eve.until(|all| are_away(all, &["ann", "bob"]));
    let revoke = post("/v1/revocations").key("k-admin");
    server.expect(201, revoke.value(&json!({"user": "ann"})));
    assert!(heard.has_left(heard.seat(0)));
    eve.until(|all| are_away(all, &["bob"]));
    assert!(!heard.has_left(heard.seat(1)));
}

#[test]
fn a_stop_ends_sessions_in_their_logs_and_the_next_begins_without_a_reset() {
    let (server, heard) = server();
    let (mut ann, mut bob) = (enter(&server, "ann"), enter(&server, "bob"));
    ann.sit();
    bob.sit();
    ann.ask(json!({"type": "record", "recording": true}));
    drop(bob);
    eventually("bob is away", || {
        room(&server)["participants"][1]["reconnecting"] == true
    });
    let server = server.restart();
    assert!(heard.has_left(heard.seat(0)) && heard.has_left(heard.seat(1)));
    assert_eq!(heard.records().last(), Some(&None));
    enter(&server, "cem").sit();
    assert_eq!(
        log(&server),
        [
            "begin",
            "+ann",
            "+bob",
            "record",
            "-ann stopped",
            "-bob stopped",
            "cut ended",
            "end",
            "begin",
            "+cem"
        ]
    );
}
