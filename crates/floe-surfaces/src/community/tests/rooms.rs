//! What waddles and channels say, whatever takes it to the client.

use floe_core::live::{Shown, Status};
use floe_proto::community::write_messages;
use floe_proto::community::{About, Ban, Cause, Change, Member, Policy, Role, Signed};
use floe_proto::{ChannelId, Event, EventKind, Millis};
use serde_json::{Value, json};

use super::super::channel::{self, Action, write_event, write_events};
use super::super::waddle::{self, write_broadcast, write_changes, write_presence_update};
use super::super::{Carrier, RoomPath, SocketKind, SocketPath, read_frame};

const CHANNEL: ChannelId = ChannelId([0xab, 0, 0, 0, 0, 1]);
const AT: Millis = Millis(1_700_000_000_123);
const AT_TEXT: &str = "2023-11-14T22:13:20.123Z";

fn event(seq: u64, kind: EventKind) -> Event<'static> {
    Event {
        seq,
        kind,
        author_id: "ann".into(),
        content: Some("hi\n".into()),
        target_seq: (kind != EventKind::Message).then_some(1),
        reply_to: None,
        data: None,
        removed: false,
        created_at: AT,
        deleted: false,
    }
}

/// Returns the frames of a list.
fn listed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<Value> {
    let mut out = b"[".to_vec();
    write(&mut out);
    assert_eq!(out.pop(), Some(b','));
    out.push(b']');
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn paths_without_a_socket_name_a_room_and_what_is_asked_of_it() {
    let live = |kind, id| RoomPath::Live(SocketPath { kind, id });
    for (path, parsed) in [
        (
            "/v1/waddles/den/live",
            Some(live(SocketKind::Waddle, "den")),
        ),
        (
            "/v1/channels/0a/live",
            Some(live(SocketKind::Channel, "0a")),
        ),
        ("/v1/waddles/den/presence", Some(RoomPath::Presence("den"))),
        (
            "/v1/waddles/den/broadcast",
            Some(RoomPath::Broadcast("den")),
        ),
        // That is of channels, as they are without waddles.
        ("/v1/channels/0a/presence", None),
        ("/v1/waddles//live", None),
        ("/v1/waddles/den", None),
        ("/v1/waddles/den/live/", None),
        ("/v1/voice/0a/live", Some(live(SocketKind::Voice, "0a"))),
    ] {
        assert_eq!(RoomPath::parse(path), parsed, "{path}");
    }
}

#[test]
fn each_event_is_a_frame_that_says_its_place_once() {
    let frames = listed(|out| {
        for (seq, kind) in [
            (1, EventKind::Message),
            (2, EventKind::Edit),
            (3, EventKind::Reaction),
            (4, EventKind::Pin),
            (5, EventKind::Deletion),
        ] {
            Carrier::List.message(out, Some(seq), |out| {
                write_event(out, CHANNEL, &event(seq, kind))
            });
        }
    });
    assert_eq!(
        frames[0],
        json!({
            "type": "message", "sequence": 1, "id": "ab0000000001-1", "author": "ann",
            "content": "hi\n", "createdAt": AT_TEXT,
        })
    );
    assert_eq!(
        frames[1],
        json!({
            "type": "message_edit", "sequence": 1, "eventSequence": 2, "author": "ann",
            "content": "hi\n", "editedAt": AT_TEXT,
        })
    );
    let kinds: Vec<_> = frames
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds[2..], ["reaction_add", "pin", "message_delete"]);
    let stub = Event::stub(9, EventKind::Edit, AT);
    let mut out = Vec::new();
    write_event(&mut out, CHANNEL, &stub);
    assert_eq!(
        serde_json::from_slice::<Value>(&out).unwrap(),
        json!({"type": "message_edit", "eventSequence": 9, "editedAt": AT_TEXT, "deleted": true})
    );
}

#[test]
fn a_stream_of_events_has_a_line_for_the_place_and_one_for_the_frame() {
    let mut log = Vec::new();
    for seq in [1, 2] {
        event(seq, EventKind::Message).write_json(CHANNEL, &mut log);
        log.push(b',');
    }
    let mut out = Vec::new();
    write_events(&mut out, Carrier::Events, CHANNEL, &log);
    let text = String::from_utf8(out).unwrap();
    let events: Vec<&str> = text.split_terminator("\n\n").collect();
    assert_eq!(events.len(), 2);
    for (seq, event) in (1..).zip(events) {
        let (id, data) = event.split_once('\n').unwrap();
        assert_eq!(id, format!("id: {seq}"));
        let frame: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(frame["sequence"], seq);
    }
    let mut out = Vec::new();
    Carrier::Events.message(&mut out, None, |out| {
        write_broadcast(out, "{\n\"a\":\r\n1}", Some("ann"), AT_TEXT);
    });
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.matches(['\n', '\r']).count(), 2, "{text:?}");
}

#[test]
fn changes_of_a_waddle_are_told_by_what_they_are_about_and_bans_to_few() {
    let member = Member {
        role: Role::Moderator,
        joined_at: AT,
        timed_out_until: None,
    };
    let about = About {
        name: "Den".into(),
        join: Policy::Open,
    };
    let ban = Ban {
        by: "ann".into(),
        at: AT,
        until: None,
        reason: Some("spam".into()),
    };
    let changes = [
        (Change::About(about), false),
        (
            Change::Member {
                user: "bob".into(),
                member: Some(member),
                cause: Cause::Role,
            },
            false,
        ),
        (
            Change::Member {
                user: "cem".into(),
                member: None,
                cause: Cause::Banned,
            },
            false,
        ),
        (
            Change::Ban {
                user: "cem".into(),
                ban: Some(ban),
            },
            true,
        ),
        (
            Change::Room {
                id: CHANNEL,
                room: None,
            },
            false,
        ),
    ];
    let signed = Signed {
        waddle: "den",
        first_seq: 7,
        now: AT,
        user: Some("ann"),
        reason: Some("spam"),
    };
    let (mut log, mut lens) = (Vec::new(), Vec::new());
    write_messages(&changes, &signed, &mut log, &mut lens);
    let told =
        |shows_bans| listed(|out| assert!(write_changes(out, Carrier::List, 7, &log, shows_bans)));
    let all = told(true);
    let kinds: Vec<_> = all
        .iter()
        .map(|frame| frame["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "waddle_update",
            "member_update",
            "member_left",
            "ban",
            "channel_removed"
        ]
    );
    assert_eq!(
        all[1],
        json!({
            "type": "member_update", "userId": "bob", "role": "moderator", "joinedAt": AT_TEXT,
            "cause": "role", "actor": "ann", "reason": "spam", "sequence": 8, "at": AT_TEXT,
        })
    );
    assert_eq!(
        (&all[3]["reason"], &all[3]["by"]),
        (&json!("spam"), &json!("ann"))
    );
    assert_eq!(all[4]["channelId"], CHANNEL.to_string());
    let few = told(false);
    assert_eq!(few.len(), 4);
    assert!(few.iter().all(|frame| frame["type"] != "ban"));
    assert!(!write_changes(
        &mut Vec::new(),
        Carrier::List,
        1,
        b"{},",
        true
    ));
}

#[test]
fn statuses_say_when_they_were_taken_as_far_as_that_is_known() {
    let shown = |last_seen| Shown {
        user: "ann",
        status: Status::Dnd,
        last_seen,
    };
    let written = |shown: &Shown<'_>| {
        let mut out = Vec::new();
        write_presence_update(&mut out, shown);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    assert_eq!(
        written(&shown(Some(AT))),
        json!({"type": "presence_update", "userId": "ann", "status": "dnd", "lastSeen": AT_TEXT})
    );
    assert_eq!(written(&shown(None)).get("lastSeen"), None);
}

#[test]
fn frames_ask_for_what_their_words_say() {
    let asks = |frame: Value| {
        let text = frame.to_string();
        let incoming = read_frame(text.as_bytes()).unwrap();
        format!("{:?}", channel::read_action(&incoming))
    };
    assert!(asks(json!({"type": "typing"})).contains("Typing(true)"));
    assert!(asks(json!({"type": "unpin", "sequence": 3})).contains("removed: true"));
    assert!(asks(json!({"type": "message", "data": {}})).contains("content: \"\""));
    let text = json!({"type": "read", "sequence": 3}).to_string();
    let incoming = read_frame(text.as_bytes()).unwrap();
    assert_eq!(
        channel::read_action(&incoming),
        Ok(Action::Read { sequence: 3 })
    );
    let text = json!({"type": "presence_update", "status": "invisible"}).to_string();
    let incoming = read_frame(text.as_bytes()).unwrap();
    assert_eq!(
        waddle::read_action(&incoming),
        Ok(waddle::Action::Presence(Status::Offline))
    );
}
