mod rooms;

use floe_core::voice::{
    Candidate, Changes, Cut, Effect, Enable, Features, Gone, Participant, Quality, Recording,
    Sends, Session, Signal, Told,
};
use floe_proto::{Code, Millis};
use serde_json::{Value, json};

use super::voice::{Action, read_action};
use super::voice_http::{Ask, read_request};
use crate::access::Deed;
use crate::http::Method;
use crate::json::Messages;

use super::common::param;
use super::*;
use crate::live::FrameId;

fn read(frame: &Value) -> Result<(String, Label<'static>), (Code, Label<'static>)> {
    let bytes = frame.to_string();
    match read_frame(bytes.as_bytes()) {
        Ok(incoming) => Ok((incoming.kind.clone().into(), incoming.label.into_owned())),
        Err(refusal) => Err((refusal.code, refusal.label.into_owned())),
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    write(&mut out);
    serde_json::from_slice(&out).unwrap()
}

fn label() -> Label<'static> {
    Label {
        id: Some(FrameId::Number(7)),
        nonce: Some("n".into()),
    }
}

#[test]
fn paths_name_one_room_of_a_known_kind() {
    for (path, kind, id) in [
        ("/ws/waddle/den", SocketKind::Waddle, "den"),
        ("/ws/channel/0123", SocketKind::Channel, "0123"),
        ("/ws/voice/a%20b", SocketKind::Voice, "a%20b"),
    ] {
        assert_eq!(SocketPath::parse(path), Some(SocketPath { kind, id }));
        assert!(owns(path));
    }
    for path in [
        "/ws/",
        "/ws/voice",
        "/ws/voice/",
        "/ws/voice/a/b",
        "/ws/den/a",
    ] {
        assert_eq!(SocketPath::parse(path), None, "{path}");
        assert!(owns(path));
    }
    assert!(!owns("/ws") && !owns("/v1/ws/voice/a"));
}

#[test]
fn the_query_says_as_whom_one_wants_to_act() {
    let opening = Opening::read("after=1&user=ann%40x&token=a.b-c_d").unwrap();
    assert_eq!(opening.user.as_deref(), Some("ann@x"));
    assert_eq!(opening.token.as_deref(), Some("a.b-c_d"));
    assert_eq!(Opening::read("").unwrap(), Opening::default());
    let long = format!("user={}", "x".repeat(129));
    for wrong in ["user=", "user=%ff", "user=%2", &long] {
        let refused = Opening::read(wrong).err().unwrap();
        assert_eq!(refused.code, Code::InvalidRequest, "{wrong}");
    }
    assert_eq!(param("a=1&b=", "b").unwrap().as_deref(), Some(""));
    assert_eq!(param("ab=1", "b").unwrap(), None);
}

#[test]
fn a_frame_has_a_type_and_perhaps_what_its_answer_repeats() {
    let frame = json!({"type": "message", "id": 7, "nonce": "n", "whatever": {"a": [1]}});
    assert_eq!(read(&frame), Ok(("message".into(), label())));
    let text = Label {
        id: Some(FrameId::Text("x".into())),
        nonce: None,
    };
    let frame = json!({"type": "ping", "id": "x", "nonce": null});
    assert_eq!(read(&frame), Ok(("ping".into(), text.clone())));
    let refused = read(&json!({"id": "x"}));
    assert_eq!(refused, Err((Code::InvalidFrame, text)));
    let many: serde_json::Map<_, _> = (0..20).map(|at| (at.to_string(), json!(1))).collect();
    for wrong in [
        json!([]),
        json!("type"),
        json!({"type": 1}),
        json!({"type": "ping", "id": 1.5}),
        json!({"type": "ping", "id": 1_u64 << 53}),
        json!({"type": "ping", "id": "x".repeat(65)}),
        json!({"type": "ping", "id": {}}),
        json!({"type": "ping", "nonce": 1}),
        json!({"type": "ping", "nonce": "x".repeat(129)}),
        Value::Object(many),
    ] {
        let refused = read(&wrong).unwrap_err();
        assert_eq!(refused.0, Code::InvalidFrame, "{wrong}");
    }
    for wrong in [&b"{"[..], b"\xff", b"", b"{\"type\":\"a\""] {
        assert_eq!(read_frame(wrong).unwrap_err().code, Code::InvalidFrame);
    }
}

#[test]
fn an_unknown_type_is_refused_by_its_name_which_may_be_long() {
    let frame = json!({"type": "x".repeat(100), "id": 7, "nonce": "n"}).to_string();
    let incoming = read_frame(frame.as_bytes()).unwrap();
    let refusal = incoming.unknown();
    assert_eq!(refusal.code, Code::UnknownAction);
    assert_eq!(refusal.label, label());
    assert!(refusal.message.len() < 80, "{}", refusal.message);
}

#[test]
fn frames_about_the_connection_say_what_they_must() {
    let welcome = Welcome {
        room: "den",
        user: Some("ann"),
        heartbeat_ms: 30_000,
        sequence: Some(4),
        limits: &[("frameBytes", 9)],
        shard: None,
    };
    assert_eq!(
        written(|out| write_welcome(out, &welcome)),
        json!({
            "type": "welcome", "room": "den", "userId": "ann", "heartbeatMs": 30_000,
            "sequence": 4, "limits": {"frameBytes": 9},
        })
    );
    assert_eq!(
        written(|out| write_pong(out, &Label::default())),
        json!({"type": "pong"})
    );
    assert_eq!(
        written(|out| write_ack(out, &label(), Some(3))),
        json!({"type": "ack", "id": 7, "nonce": "n", "sequence": 3})
    );
    let refusal = Refusal {
        retry_after_ms: Some(5),
        ..Refusal::new(label(), Code::RateLimited, "too fast")
    };
    assert_eq!(
        written(|out| write_refusal(out, &refusal)),
        json!({
            "type": "error", "id": 7, "nonce": "n", "code": "RATE_LIMITED",
            "message": "too fast", "retry": "later", "retryAfterMs": 5,
        })
    );
}

const NOW: Millis = Millis(1_700_000_000_000);

fn action(frame: &Value) -> Result<Action<'static>, Code> {
    let bytes = frame.to_string().into_bytes().leak();
    let incoming = read_frame(bytes).map_err(|refusal| refusal.code)?;
    read_action(&incoming).map_err(|refusal| refusal.code)
}

#[test]
fn frames_of_a_voice_room_say_what_is_wanted_in_the_shortest_way() {
    let join = |audio, video, screen| {
        Ok(Action::Join(Sends {
            audio,
            video,
            screen,
        }))
    };
    let mute = |audio, video, screen| {
        Ok(Action::Mute(Enable {
            audio,
            video,
            screen,
        }))
    };
    let other = |muted| {
        let user = "bob".into();
        Ok(Action::MuteOther { user, muted })
    };
    for (frame, wanted) in [
        (json!({"type": "join"}), join(true, false, false)),
        (
            json!({"type": "join", "audioEnabled": false, "videoEnabled": true}),
            join(false, true, false),
        ),
        (
            json!({"type": "join", "screenEnabled": true}),
            join(true, false, true),
        ),
        (json!({"type": "leave"}), Ok(Action::Leave)),
        (json!({"type": "mute"}), mute(Some(false), None, None)),
        (
            json!({"type": "mute", "muted": false}),
            mute(Some(true), None, None),
        ),
        (
            json!({"type": "mute", "videoEnabled": true}),
            mute(None, Some(true), None),
        ),
        (
            json!({"type": "mute", "audioEnabled": true, "videoEnabled": false}),
            mute(Some(true), Some(false), None),
        ),
        (
            json!({"type": "mute", "screenEnabled": false}),
            mute(None, None, Some(false)),
        ),
        (
            json!({"type": "mute", "muted": true, "screenEnabled": true}),
            mute(Some(false), None, Some(true)),
        ),
        (json!({"type": "mute", "userId": "bob"}), other(true)),
        (
            json!({"type": "mute", "userId": "bob", "muted": false}),
            other(false),
        ),
        (json!({"type": "speaking"}), Ok(Action::Speaking(true))),
        (
            json!({"type": "speaking", "isSpeaking": false}),
            Ok(Action::Speaking(false)),
        ),
        (
            json!({"type": "speaking", "speaking": false}),
            Ok(Action::Speaking(false)),
        ),
        (
            json!({"type": "kick", "userId": "bob"}),
            Ok(Action::Kick { user: "bob".into() }),
        ),
        (json!({"type": "kick"}), Err(Code::InvalidRequest)),
        (
            json!({"type": "record", "recording": true}),
            Ok(Action::Record(true)),
        ),
        (
            json!({"type": "record", "recording": false}),
            Ok(Action::Record(false)),
        ),
        (json!({"type": "record"}), Err(Code::InvalidRequest)),
        (
            json!({"type": "mute", "muted": true, "audioEnabled": true}),
            Err(Code::InvalidRequest),
        ),
        (
            json!({"type": "join", "screenEnabled": 1}),
            Err(Code::InvalidRequest),
        ),
        (json!({"type": "speak"}), Err(Code::UnknownAction)),
        (json!({"type": "offer"}), Err(Code::InvalidRequest)),
    ] {
        assert_eq!(action(&frame), wanted, "{frame}");
    }
}

#[test]
fn signals_are_read_as_browsers_write_them_and_written_so_again() {
    let candidate = Candidate {
        candidate: "candidate:1".into(),
        mid: Some("0".into()),
        line: Some(1),
    };
    for (frame, signal) in [
        (
            json!({"type": "offer", "sdp": "v=0"}),
            Signal::Offer {
                sdp: "v=0".into(),
                sources: Box::default(),
            },
        ),
        (
            json!({"type": "answer", "sdp": "v=0"}),
            Signal::Answer("v=0".into()),
        ),
        (
            json!({"type": "candidate", "candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 1}),
            Signal::Candidate(Some(candidate.clone())),
        ),
        (
            json!({"type": "candidate", "candidate": null}),
            Signal::Candidate(None),
        ),
    ] {
        assert_eq!(written(|out| voice::write_signal(out, &signal)), frame);
        assert_eq!(action(&frame), Ok(Action::Signal(signal)), "{frame}");
    }
    let object = json!({"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 1});
    let frame = json!({"type": "candidate", "candidate": object});
    let wanted = Action::Signal(Signal::Candidate(Some(candidate)));
    assert_eq!(action(&frame), Ok(wanted));
}

fn session() -> Session {
    Session {
        id: "s1".into(),
        started_at: NOW,
    }
}

fn recording() -> Recording {
    Recording {
        id: "r1".into(),
        by: Some("mia".into()),
        started_at: NOW,
    }
}

fn ann() -> Participant<'static> {
    Participant {
        user: "ann",
        seat: 1,
        joined_at: NOW,
        sends: Sends::VOICE,
        speaking: true,
        muted: false,
        quality: Quality::Fair,
        reconnecting: false,
    }
}

#[test]
fn who_takes_part_is_told_whole_or_by_what_changed() {
    let shown = json!({
        "userId": "ann", "joinedAt": "2023-11-14T22:13:20.000Z", "audioEnabled": true,
        "videoEnabled": false, "screenEnabled": false, "speaking": true, "muted": false,
        "quality": "fair", "reconnecting": false,
    });
    let changes = |told| Changes {
        version: 9,
        count: 1,
        told,
    };
    let all = changes(Told::All(vec![ann()]));
    assert_eq!(
        written(|out| voice::write_participants(out, &all)),
        json!({"type": "participants", "participants": [shown], "count": 1, "version": 9})
    );
    let some = changes(Told::Delta {
        from: 7,
        set: vec![ann()],
        left: vec!["b\"ob"],
    });
    assert_eq!(
        written(|out| voice::write_participants(out, &some)),
        json!({
            "type": "participants_changed", "set": [shown], "left": ["b\"ob"], "count": 1,
            "version": 9,
        })
    );
    let features = Features {
        audio: true,
        ..Features::default()
    };
    let session = session();
    let mut shown = voice::SessionShown {
        session: &session,
        recording: None,
        participants_max: 5,
        features,
    };
    let mut wanted = json!({
        "type": "session", "sessionId": "s1", "startedAt": "2023-11-14T22:13:20.000Z",
        "maxParticipants": 5,
        "features": {"audio": true, "video": false, "screen": false, "recording": false, "audioSlots": 0, "videoSlots": 0},
        "recording": null,
    });
    assert_eq!(written(|out| voice::write_session(out, &shown)), wanted);
    let recording = recording();
    shown.recording = Some(&recording);
    wanted["recording"] = json!({
        "recordingId": "r1", "startedBy": "mia", "startedAt": "2023-11-14T22:13:20.000Z",
    });
    assert_eq!(written(|out| voice::write_session(out, &shown)), wanted);
    let mut told = wanted["recording"].clone();
    told["type"] = "recording".into();
    assert_eq!(
        written(|out| voice::write_recording(out, Some(&recording))),
        told
    );
    assert_eq!(
        written(|out| voice::write_recording(out, None)),
        json!({"type": "recording", "recordingId": null})
    );
}

#[test]
fn servers_for_ice_are_told_as_browsers_take_them() {
    let mut servers = voice::IceServers::default();
    let none = json!({"type": "ice_servers", "iceServers": [], "expiresAt": null});
    assert_eq!(written(|out| voice::write_ice_servers(out, &servers)), none);
    let login = voice::TurnLogin {
        username: "5:ann".into(),
        credential: "c2Vh".into(),
    };
    assert!(!format!("{login:?}").contains("c2Vh"));
    for (url, login) in [("stun:s", None), ("turn:t", Some(login))] {
        let urls = vec![url.into()];
        servers.servers.push(voice::IceServer { urls, login });
    }
    servers.expires_at = Some(NOW);
    assert_eq!(
        written(|out| voice::write_ice_servers(out, &servers)),
        json!({
            "type": "ice_servers",
            "iceServers": [
                {"urls": ["stun:s"]},
                {"urls": ["turn:t"], "username": "5:ann", "credential": "c2Vh"},
            ],
            "expiresAt": "2023-11-14T22:13:20.000Z",
        })
    );
    assert_eq!(
        action(&json!({"type": "ice_servers"})),
        Ok(Action::IceServers)
    );
}

#[test]
fn the_log_holds_who_takes_part_for_whoever_plays_it_back() {
    let mut messages = Messages::default();
    log_reset(&mut messages, NOW);
    log_state(&mut messages, &session(), &[ann()], Some(&recording()), NOW);
    let id: std::sync::Arc<str> = "s1".into();
    for effect in [
        Effect::Joined {
            session: id.clone(),
            seat: 2,
            user: "bob".into(),
            joined_at: NOW,
            sends: Sends {
                video: true,
                screen: true,
                ..Sends::NOTHING
            },
        },
        Effect::Away {
            seat: 2,
            connection: 1,
        },
        Effect::Recording {
            session: id.clone(),
            id: "r2".into(),
            by: None,
            started_at: NOW,
        },
        Effect::RecordingEnded {
            session: id.clone(),
            id: "r2".into(),
            why: Cut::Stopped,
        },
        Effect::Left {
            session: id,
            seat: 2,
            user: "bob".into(),
            connection: None,
            why: Gone::Lost,
        },
        Effect::Ended(session()),
    ] {
        log_effect(&mut messages, &effect, NOW);
    }
    let mut at = 0;
    let ends = messages.lens.iter().map(|len| {
        at += *len as usize;
        is_session_end(&messages.bytes[at - *len as usize..at])
    });
    let ends: Vec<bool> = ends.collect();
    assert_eq!(ends.iter().filter(|end| **end).count(), 1);
    assert_eq!(ends.last(), Some(&true));
    let bytes = messages.bytes.strip_suffix(b",").unwrap();
    let all: Vec<Value> = serde_json::from_slice(&[b"[", bytes, b"]"].concat()).unwrap();
    assert_eq!(all.len(), messages.lens.len());
    let at = "2023-11-14T22:13:20.000Z";
    let came = |user: &str, audio: bool| {
        json!({
            "type": "participant", "key": user,
            "value": {
                "userId": user, "sessionId": "s1", "joinedAt": at, "audioEnabled": audio,
                "videoEnabled": !audio, "screenEnabled": !audio,
            },
            "headers": {"operation": "insert", "timestamp": at},
        })
    };
    let recorded = |id: &str, by: Value| {
        json!({
            "type": "recording", "key": id,
            "value": {"recordingId": id, "startedBy": by, "startedAt": at, "sessionId": "s1"},
            "headers": {"operation": "insert", "timestamp": at},
        })
    };
    let wanted = json!([
        {"headers": {"control": "reset", "timestamp": at}},
        {
            "type": "session", "key": "s1", "value": {"sessionId": "s1", "startedAt": at},
            "headers": {"operation": "insert", "timestamp": at},
        },
        came("ann", true),
        recorded("r1", json!("mia")),
        came("bob", false),
        recorded("r2", Value::Null),
        {
            "type": "recording", "key": "r2",
            "headers": {"operation": "delete", "timestamp": at, "sessionId": "s1", "reason": "stopped"},
        },
        {
            "type": "participant", "key": "bob",
            "headers": {"operation": "delete", "timestamp": at, "sessionId": "s1", "reason": "lost"},
        },
        {
            "type": "session", "key": "s1",
            "headers": {"operation": "delete", "timestamp": at, "sessionId": "s1", "reason": "empty"},
        },
    ]);
    assert_eq!(Value::from(all), wanted);
}

#[test]
fn requests_about_a_voice_room_are_read_by_their_path() {
    let read = |method, path: &str, body: &[u8]| {
        let asked = read_request(method, path, "", std::iter::empty(), body);
        asked.map(|asked| (asked.room.map(|room| room.to_string()), asked.ask))
    };
    let room = || Some("00000000000a".to_owned());
    let root = "/v1/voice/00000000000a";
    let mute = |muted| Ask::Mute {
        user: "a b".into(),
        muted,
    };
    let path = format!("{root}/participants/a%20b");
    let mute_path = format!("{path}/mute");
    let recording = format!("{root}/recording");
    for (method, path, body, wanted) in [
        (Method::Get, root, &b""[..], Ask::Describe),
        (Method::Options, root, b"", Ask::Preflight),
        (Method::Post, &mute_path, b"", mute(true)),
        (Method::Post, &mute_path, b"{\"muted\":false}", mute(false)),
        (Method::Delete, &path, b"", Ask::Kick { user: "a b".into() }),
        (Method::Put, &recording, b"", Ask::Record(true)),
        (Method::Delete, &recording, b"", Ask::Record(false)),
    ] {
        assert!(voice_http::owns(path));
        assert_eq!(read(method, path, body).unwrap(), (room(), wanted));
    }
    assert_eq!(read(Method::Get, "/v1/voice/x", b"").unwrap().0, None);
    assert_eq!(mute(true).deed(), Deed::Moderate);
    for (method, path, body, code) in [
        (Method::Put, root, &b""[..], Code::MethodNotAllowed),
        (Method::Get, &mute_path, b"", Code::MethodNotAllowed),
        (Method::Post, &recording, b"", Code::MethodNotAllowed),
        (
            Method::Get,
            "/v1/voice/00000000000a/x",
            b"",
            Code::UnknownRoute,
        ),
        (Method::Post, &mute_path, b"{", Code::InvalidJson),
        (Method::Post, &mute_path, b"\xff", Code::InvalidJson),
        (Method::Post, &mute_path, b"{\"x\":1}", Code::InvalidRequest),
    ] {
        assert_eq!(read(method, path, body).unwrap_err().code, code, "{path}");
    }
}
