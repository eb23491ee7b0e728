//! Rooms of communities without WebSockets, in the document.

use floe_core::live::{Live, LiveLimits, Status, Timers, Wheel};
use floe_core::voice::{Changes, Features, Join, Sends, Told, Voice, VoiceLimits};
use floe_proto::{RoomId, VoiceId};

use super::*;
use crate::community::polled::{
    Polled, PresencePage, presence_page, write_polled, write_polled_voice, write_presence_page,
};
use crate::community::voice::SessionShown;
use crate::community::{RoomPath, voice_http, voice_recordings};

/// What is told of the session of a room.
fn shown(voice: &Voice) -> Option<SessionShown<'_>> {
    Some(SessionShown {
        session: voice.session()?,
        recording: voice.recording(),
        participants_max: 100,
        features: Features::default(),
    })
}

/// The target of an operation, with the examples of its parameters.
fn target(document: &Value, path: &str, operation: &Value) -> String {
    let mut target = path.to_owned();
    for parameter in parameters(document, operation, "path") {
        let name = format!("{{{}}}", parameter["name"].as_str().unwrap());
        target = target.replace(&name, parameter["example"].as_str().unwrap());
    }
    assert!(!target.contains('{'), "{target}");
    target
}

#[test]
fn rooms_are_documented_as_they_are_read() {
    let document = document();
    let mut names = BTreeSet::new();
    for (method, path) in RoomPath::ROUTES {
        let operation = &document["paths"][path][word(method)];
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
        let target = target(&document, path, operation);
        let read = RoomPath::parse(&target).unwrap();
        assert_eq!(read.method(), method, "{target}");
        references(&document, operation);
    }
    let voice = voice_http::ROUTES.iter().chain(&voice_recordings::ROUTES);
    for &(method, path) in voice {
        let operation = &document["paths"][path][word(method)];
        assert!(names.insert(operation["operationId"].as_str().unwrap().to_owned()));
        let target = target(&document, path, operation);
        let content = &operation["requestBody"]["content"]["application/json"];
        let body = content.get("example").map(Value::to_string);
        let body = body.unwrap_or_default();
        if !body.is_empty() {
            conforms(&document, &content["schema"], &content["example"], path);
        }
        let fields = std::iter::empty();
        let asked = voice_http::read_request(method, &target, "", fields, body.as_bytes());
        assert!(asked.unwrap().room.is_some(), "{target}");
        references(&document, operation);
    }
}

#[test]
fn rooms_are_answered_as_the_document_says() {
    let document = document();
    let check = |path: &str, write: &dyn Fn(&mut Vec<u8>)| {
        let (status, body) = answer(write);
        assert_eq!(status, 200);
        let response = &document["paths"][path]["get"]["responses"]["200"];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}");
        conforms(&document, schema, &body, path);
    };
    let now = Millis(1);
    let (mut wheel, room) = (Wheel::new(now), RoomId(1));
    let mut live = Live::new(&LiveLimits::default(), now);
    let timers = &mut Timers::new(&mut wheel, room);
    for (connection, user) in [(1, "ann"), (2, "bob")] {
        let status = Some(Status::Away);
        let joined = live.statuses.join(connection, user, status, now, timers);
        joined.unwrap();
        let joined = live.presence.join(connection, user, b"{}", now, timers);
        joined.unwrap();
    }
    live.memory.set_typing("ann", now, timers).unwrap();
    for live in [None, Some(&live)] {
        for (path, is_channel) in [
            ("/v1/waddles/{waddle}/live", false),
            ("/v1/channels/{channelId}/live", true),
        ] {
            check(path, &|out| {
                let polled = Polled {
                    frames: br#"{"type":"message","sequence":4},"#,
                    from: 3,
                    next: 4,
                    has_more: true,
                    live,
                    is_channel,
                };
                write_polled(out, &ENVELOPE, &polled);
            });
        }
    }
    check("/v1/waddles/{waddle}/presence", &|out| {
        let (users, has_more) = presence_page(Some(&live.statuses), None, 1);
        assert!(has_more);
        let page = PresencePage {
            users: &users,
            count: 2,
            next: Some(users[0].user),
        };
        write_presence_page(out, &ENVELOPE, &page);
    });
    let mut voice = Voice::new(VoiceLimits::default(), 0);
    let sit = Join {
        connection: 1,
        user: "ann",
        sends: Sends {
            audio: true,
            ..Sends::default()
        },
        session: "s",
    };
    voice.join(&sit, now, timers).unwrap();
    for voice in [None, Some(&voice)] {
        check("/v1/voice/{voiceId}", &|out| {
            let participants = Changes {
                version: voice.map_or(0, Voice::version),
                count: voice.map_or(0, Voice::count),
                told: Told::All(voice.map_or_else(Vec::new, Voice::participants)),
            };
            let shown = voice.and_then(shown);
            voice_http::write_room(
                out,
                &ENVELOPE,
                VoiceId(CHANNEL),
                shown.as_ref(),
                &participants,
            );
        });
        check("/v1/voice/{voiceId}/live", &|out| {
            let participants = Changes {
                version: voice.map_or(0, Voice::version),
                count: voice.map_or(0, Voice::count),
                told: Told::All(voice.map_or_else(Vec::new, Voice::participants)),
            };
            let shown = voice.and_then(shown);
            write_polled_voice(out, &ENVELOPE, 0, shown.as_ref(), &participants);
        });
    }
    voice.record(Some("mia"), "r1", now).unwrap();
    check("/v1/voice/{voiceId}", &|out| {
        let participants = voice.changes_since(0);
        let shown = shown(&voice);
        let id = VoiceId(CHANNEL);
        voice_http::write_room(out, &ENVELOPE, id, shown.as_ref(), &participants);
    });
}
