use floe_proto::Code;
use serde_json::{Value, json};

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
