//! What the log of a voice room says: messages of the State Protocol, so that whoever plays them back
//! knows who takes part, and whether that is recorded.

use std::sync::Arc;

use floe_core::voice::{Effect, Participant, Recording, Sends, Session};
use floe_proto::Millis;

use super::voice::{recording_members, sends_members};
use crate::json::Messages;
use crate::tables::object::Object;

/// Adds what an effect says, if it is one for the log.
pub fn log_effect(messages: &mut Messages, effect: &Effect, now: Millis) {
    match effect {
        Effect::Started(session) => log_session(messages, session, now),
        Effect::Joined {
            session,
            user,
            joined_at,
            sends,
            ..
        } => log_participant(messages, user, session, (*joined_at, *sends), now),
        Effect::Left {
            session, user, why, ..
        } => {
            log_end(messages, ("participant", user), session, why.as_str(), now);
        }
        Effect::Recording {
            session,
            id,
            by,
            started_at,
        } => {
            let recording = Recording {
                id: Arc::clone(id),
                by: by.clone(),
                started_at: *started_at,
            };
            log_recording(messages, &recording, session, now);
        }
        Effect::RecordingEnded { session, id, why } => {
            log_end(messages, ("recording", id), session, why.as_str(), now);
        }
        Effect::Ended(session) => {
            log_end(
                messages,
                ("session", &session.id),
                &session.id,
                "empty",
                now,
            );
        }
        Effect::Changed { .. } | Effect::Away { .. } | Effect::Returned { .. } => {}
    }
}

/// Adds that nothing holds any more that was said before. It stands where nobody knows how the log came
/// to end, and what holds comes behind it.
pub fn log_reset(messages: &mut Messages, now: Millis) {
    add(messages, |object| {
        object.written("headers", |out| {
            Object::write(out, |object| {
                object.text("control", "reset");
                object.text("timestamp", &now.rfc3339());
            });
        });
    });
}

/// Returns whether a message of the log is the end of a session, which a comma may follow.
#[must_use]
pub fn is_session_end(message: &[u8]) -> bool {
    says(message, "session", "delete")
}

/// Returns whether a message of the log says what a recording holds; a comma may follow.
#[must_use]
pub fn is_recording_index(message: &[u8]) -> bool {
    says(message, "recording_index", "insert")
}

fn says(message: &[u8], kind: &str, operation: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Message<'a> {
        r#type: Option<&'a str>,
        headers: Headers<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Headers<'a> {
        operation: Option<&'a str>,
    }
    let message = message.strip_suffix(b",").unwrap_or(message);
    serde_json::from_slice(message).is_ok_and(|message: Message<'_>| {
        message.r#type == Some(kind) && message.headers.operation == Some(operation)
    })
}

/// Adds the session, its participants and its recording as they are.
pub fn log_state(
    messages: &mut Messages,
    session: &Session,
    participants: &[Participant<'_>],
    recording: Option<&Recording>,
    now: Millis,
) {
    log_session(messages, session, now);
    for participant in participants {
        let Participant {
            user,
            joined_at,
            sends,
            ..
        } = participant;
        log_participant(messages, user, &session.id, (*joined_at, *sends), now);
    }
    if let Some(recording) = recording {
        log_recording(messages, recording, &session.id, now);
    }
}

fn log_session(messages: &mut Messages, session: &Session, now: Millis) {
    add(messages, |object| {
        object.text("type", "session");
        object.text("key", &session.id);
        object.written("value", |out| {
            Object::write(out, |object| {
                object.text("sessionId", &session.id);
                object.text("startedAt", &session.started_at.rfc3339());
            });
        });
        headers(object, "insert", now, |_| {});
    });
}

fn log_participant(
    messages: &mut Messages,
    user: &str,
    session: &str,
    (joined_at, sends): (Millis, Sends),
    now: Millis,
) {
    add(messages, |object| {
        object.text("type", "participant");
        object.text("key", user);
        object.written("value", |out| {
            Object::write(out, |object| {
                object.text("userId", user);
                object.text("sessionId", session);
                object.text("joinedAt", &joined_at.rfc3339());
                sends_members(object, sends);
            });
        });
        headers(object, "insert", now, |_| {});
    });
}

fn log_recording(messages: &mut Messages, recording: &Recording, session: &str, now: Millis) {
    add(messages, |object| {
        object.text("type", "recording");
        object.text("key", &recording.id);
        object.written("value", |out| {
            Object::write(out, |object| {
                recording_members(object, recording);
                object.text("sessionId", session);
            });
        });
        headers(object, "insert", now, |_| {});
    });
}

fn log_end(
    messages: &mut Messages,
    (kind, key): (&str, &str),
    session: &str,
    reason: &str,
    now: Millis,
) {
    add(messages, |object| {
        object.text("type", kind);
        object.text("key", key);
        headers(object, "delete", now, |object| {
            object.text("sessionId", session);
            object.text("reason", reason);
        });
    });
}

fn headers(
    object: &mut Object<'_>,
    operation: &str,
    now: Millis,
    more: impl FnOnce(&mut Object<'_>),
) {
    object.written("headers", |out| {
        Object::write(out, |object| {
            object.text("operation", operation);
            object.text("timestamp", &now.rfc3339());
            more(object);
        });
    });
}

fn add(messages: &mut Messages, members: impl FnOnce(&mut Object<'_>)) {
    let mut message = Vec::new();
    Object::write(&mut message, members);
    messages.push(&message);
}
