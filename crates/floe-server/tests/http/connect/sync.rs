//! Whole syncs of the replica, told of while they go on.

use serde_json::{Value, json};

use super::Member;
use crate::harness::TestServer;
use crate::tables::Room;
use crate::websocket::Client;

#[track_caller]
fn is_final(status: &Value, server_rooms: u64) {
    assert_eq!(status["progress"]["complete"], true, "{status}");
    assert!(
        status["progress"]["rooms"].as_u64() >= Some(server_rooms),
        "{status}"
    );
    assert_eq!(
        status["progress"]["done"], status["progress"]["rooms"],
        "{status}"
    );
    assert_eq!(status["replicaAvailable"], true, "{status}");
}

#[test]
fn a_whole_sync_tells_its_caller_how_far_it_is_and_how_it_ended() {
    let server = TestServer::start();
    for number in 0..20 {
        let room = Room::new(&server, &format!("room-{number}"));
        room.call("createTask", &json!({"title": "x"}));
    }
    let mut ann = Member::of(&server, "room-1");
    let mut others = Member::of(&server, "room-1");
    for turn in 0..3 {
        let call = json!({"action": "rpc", "method": "forceSyncAll", "requestId": turn});
        ann.client.say(&call);
        let status = ann.client.next_of("query_result");
        assert_eq!(status["requestId"], turn);
        is_final(&status["data"], 20);
        let told = ann.client.take_passed();
        let progress: Vec<&Value> = told
            .iter()
            .filter(|frame| frame["type"] == "progress")
            .collect();
        assert!(!progress.is_empty(), "{turn}: {told:?}");
        for frame in progress {
            assert_eq!(
                (&frame["action"], &frame["requestId"]),
                (&json!("forceSyncAll"), &status["requestId"])
            );
            assert!(
                frame["data"]["done"].as_u64() <= frame["data"]["rooms"].as_u64(),
                "{frame}"
            );
        }
    }
    assert!(
        !others
            .so_far()
            .iter()
            .any(|frame| frame["type"] == "progress")
    );
}

#[test]
fn over_the_live_protocol_one_frame_answers_and_the_others_have_no_id() {
    let server = TestServer::start();
    Room::new(&server, "a").call("createTask", &json!({"title": "x"}));
    for mut client in [Client::of(&server), Client::cbor(&server)] {
        let call = json!({"type": "rpc", "room": "room/a", "method": "forceSyncAll", "payload": {}, "updateId": "u"});
        let answer = client.ask(call);
        assert_eq!(answer["result"]["type"], "query_result", "{answer}");
        is_final(&answer["result"]["data"], 1);
        let told = client.take_passed();
        let progress = told
            .iter()
            .find(|frame| frame["result"]["type"] == "progress");
        let progress = progress.unwrap_or_else(|| panic!("{told:?}"));
        assert_eq!(
            (&progress["id"], &progress["result"]["updateId"]),
            (&Value::Null, &json!("u"))
        );
    }
}

#[test]
fn without_a_replica_there_is_nothing_to_wait_for() {
    let server = TestServer::with(|settings| settings.replica = floe_server::ReplicaSettings::Off);
    let mut ann = Member::of(&server, "a");
    let status = ann.call("forceSyncAll", json!({}));
    assert_eq!(status["data"]["replicaAvailable"], false, "{status}");
}
