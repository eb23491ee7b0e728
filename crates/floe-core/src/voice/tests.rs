use floe_proto::{Code, Millis, RoomId};

use super::*;
use crate::live::{Live, LiveLimits, Timer, Wheel};

const NOW: Millis = Millis(1_700_000_000_000);
const ROOM: RoomId = RoomId(1);

fn join(connection: u64, user: &str) -> Join<'_> {
    Join {
        connection,
        user,
        sends: Sends::VOICE,
        session: "s",
    }
}

const fn heard(audio: bool) -> Enable {
    Enable {
        audio: Some(audio),
        video: None,
        screen: None,
    }
}

fn room() -> (Voice, Wheel<Timer>) {
    (Voice::new(VoiceLimits::default(), 0), Wheel::new(NOW))
}

fn drain(voice: &mut Voice) -> Vec<Effect> {
    std::iter::from_fn(|| voice.poll_effect()).collect()
}

#[test]
fn a_second_connection_of_a_user_takes_the_seat_over_and_nothing_else_changes() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    voice.moderate("ann", true, timers).unwrap();
    drain(&mut voice);
    voice.join(&join(2, "ann"), NOW.plus(50), timers).unwrap();
    let returned = Effect::Returned {
        seat: 1,
        before: Some(1),
        connection: 2,
    };
    assert_eq!(drain(&mut voice).first(), Some(&returned));
    let ann = voice.participants()[0];
    assert_eq!(
        (ann.joined_at, ann.muted, ann.sends.audio),
        (NOW, true, false)
    );
    assert_eq!(voice.leave(1, timers), Err(VoiceError::NotJoined));
    // What the older connection does later is nothing to the seat.
    voice.lose(1, NOW, timers);
    assert!(!voice.participants()[0].reconnecting);
    assert!(voice.is_seated(2) && !voice.is_seated(1));
}

#[test]
fn a_lost_seat_is_kept_up_to_the_end_of_the_grace_time_and_not_longer() {
    let limits = LiveLimits::default();
    let mut wheel = Wheel::new(NOW);
    let mut live = Live::new(&limits, NOW);
    let timers = &mut Timers::new(&mut wheel, ROOM);
    live.voice().join(&join(1, "ann"), NOW, timers).unwrap();
    live.voice().lose(1, NOW, timers);
    let ann = live.voice().participants()[0];
    assert!(ann.reconnecting && !ann.speaking);
    let ends_at = NOW.plus(limits.voice.grace_ms);
    let mut due = Vec::new();
    wheel.advance(Millis(ends_at.0 - 1), &mut due);
    assert_eq!(due, []);
    wheel.advance(ends_at.plus(Wheel::<Timer>::TICK_MS), &mut due);
    let timers = &mut Timers::new(&mut wheel, ROOM);
    for timer in &due {
        live.handle_timer(timer, ends_at, timers);
    }
    let effects = drain(live.voice());
    assert!(matches!(
        effects.as_slice(),
        [
            ..,
            Effect::Left {
                why: Gone::Lost,
                connection: None,
                ..
            },
            Effect::Ended(_)
        ]
    ));
    assert!(live.is_empty() && wheel.is_empty());
}

#[test]
fn who_is_not_heard_does_not_speak() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    voice.speak(1, true, NOW, timers).unwrap();
    assert!(voice.participants()[0].speaking);
    let version = voice.version();
    voice.speak(1, true, NOW.plus(10), timers).unwrap();
    assert_eq!(voice.version(), version, "going on is no change");
    voice.enable(1, heard(false), timers).unwrap();
    assert!(!voice.participants()[0].speaking);
    voice.speak(1, true, NOW, timers).unwrap();
    assert!(!voice.participants()[0].speaking);
    assert_eq!(wheel.len(), 0);
}

#[test]
fn what_a_moderator_mutes_is_not_for_the_participant_to_undo() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    voice.moderate("ann", true, timers).unwrap();
    let both = Enable {
        screen: Some(true),
        ..heard(true)
    };
    let refused = voice.enable(1, both, timers);
    assert_eq!(refused, Err(VoiceError::Muted));
    assert!(!voice.participants()[0].sends.screen, "nothing is changed");
    let seen = Enable {
        audio: None,
        ..both
    };
    voice.enable(1, seen, timers).unwrap();
    voice.moderate("ann", false, timers).unwrap();
    assert!(
        !voice.participants()[0].sends.audio,
        "being heard is for them to say"
    );
    voice.enable(1, heard(true), timers).unwrap();
    let sends = voice.participants()[0].sends;
    assert!(sends.audio && sends.screen && !sends.video);
}

#[test]
fn how_well_media_reach_somebody_is_a_change_like_any_other_until_they_are_gone() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    assert_eq!(voice.participants()[0].quality, Quality::None);
    let version = voice.version();
    voice.rate(1, Quality::Good);
    assert_eq!(voice.version(), version + 1);
    voice.rate(1, Quality::Good);
    voice.rate(2, Quality::Poor);
    assert_eq!(voice.version(), version + 1, "nothing is another");
    // It is the seat's, and so outlasts the connection for signals.
    voice.lose(1, NOW, timers);
    voice.rate(1, Quality::Lost);
    assert_eq!(voice.participants()[0].quality, Quality::Lost);
    voice.leave(1, timers).unwrap_err();
    voice.kick("ann", timers).unwrap();
    voice.rate(1, Quality::Good);
    assert!(voice.is_empty());
}

#[test]
fn who_may_not_send_any_more_is_silent_at_once_also_while_away() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    voice.speak(1, true, NOW, timers).unwrap();
    voice.lose(1, NOW, timers);
    drain(&mut voice);
    voice.silence(1, timers);
    let silent = Effect::Changed {
        seat: 1,
        sends: Sends::NOTHING,
        muted: false,
    };
    assert_eq!(drain(&mut voice), [silent]);
    voice.silence(1, timers);
    assert_eq!(drain(&mut voice), [], "nothing is another");
    voice.expel(1, timers);
    let effects = drain(&mut voice);
    assert!(
        matches!(
            effects.as_slice(),
            [
                Effect::Left {
                    why: Gone::Denied,
                    connection: None,
                    ..
                },
                Effect::Ended(_)
            ]
        ),
        "{effects:?}"
    );
    assert_eq!(wheel.len(), 0);
}

#[test]
fn a_recording_is_of_one_session_and_ends_with_it() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    let early = voice.record(Some("mia"), "r0", NOW).unwrap_err();
    assert_eq!(
        (early, early.code()),
        (VoiceError::NoSession, Code::NotFound)
    );
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    drain(&mut voice);
    let version = voice.version();
    voice.record(Some("mia"), "r1", NOW.plus(5)).unwrap();
    assert!(voice.version() > version);
    let again = voice.record(None, "r2", NOW).unwrap_err();
    assert_eq!((again, again.code()), (VoiceError::Recorded, Code::Exists));
    let recording = Recording {
        id: "r1".into(),
        by: Some("mia".into()),
        started_at: NOW.plus(5),
    };
    assert_eq!(voice.recording(), Some(&recording));
    voice.stop_record(Cut::Stopped).unwrap();
    let none = voice.stop_record(Cut::Stopped).unwrap_err();
    assert_eq!(
        (none, none.code()),
        (VoiceError::NotRecorded, Code::NotFound)
    );
    voice.record(None, "r3", NOW).unwrap();
    drain(&mut voice);
    voice.end(timers);
    let effects = drain(&mut voice);
    assert!(
        matches!(
            effects.as_slice(),
            [
                Effect::Left {
                    why: Gone::Stopped,
                    ..
                },
                Effect::RecordingEnded {
                    why: Cut::Ended,
                    ..
                },
                Effect::Ended(_)
            ]
        ),
        "{effects:?}"
    );
    assert_eq!(voice.recording(), None);
}

#[test]
fn a_full_room_refuses_newcomers_and_takes_back_its_own() {
    let (mut voice, mut wheel) = room();
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.set_room_max(Some(1));
    assert_eq!(voice.participants_max(), 1);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    let refused = voice.join(&join(2, "bob"), NOW, timers);
    assert_eq!(refused.unwrap_err().code(), Code::LimitReached);
    voice.lose(1, NOW, timers);
    voice.join(&join(3, "ann"), NOW, timers).unwrap();
    voice.set_room_max(None);
    voice.join(&join(2, "bob"), NOW, timers).unwrap();
    let long = "x".repeat(129);
    for name in ["", &long] {
        let refused = voice.join(&join(4, name), NOW, timers);
        assert_eq!(refused.unwrap_err().code(), Code::InvalidRequest);
    }
}

#[test]
fn a_reader_too_far_behind_is_told_everything() {
    let (mut voice, mut wheel) = room();
    voice.set_limits(VoiceLimits {
        left_max: 1,
        ..VoiceLimits::default()
    });
    let timers = &mut Timers::new(&mut wheel, ROOM);
    voice.join(&join(1, "ann"), NOW, timers).unwrap();
    let seen = voice.version();
    for (connection, user) in [(2, "bob"), (3, "cem")] {
        voice.join(&join(connection, user), NOW, timers).unwrap();
        voice.leave(connection, timers).unwrap();
    }
    assert!(matches!(voice.changes_since(seen).told, Told::All(all) if all.len() == 1));
    let newest = voice.version();
    let nothing = Told::Delta {
        from: newest,
        set: vec![],
        left: vec![],
    };
    assert_eq!(voice.changes_since(newest).told, nothing);
    // A version of another life of the room is none of this one.
    assert!(matches!(voice.changes_since(newest + 1).told, Told::All(_)));
}

#[test]
fn without_media_features_are_none_and_signals_are_refused() {
    let mut media = NoMedia;
    assert_eq!(media.features(), Features::default());
    let seat = SeatId {
        room: ROOM,
        seat: 1,
    };
    let joined = MediaInput::Joined {
        seat,
        user: "ann".into(),
        sends: Sends::VOICE,
    };
    assert_eq!(media.handle(NOW, joined), Ok(()));
    let signal = Signal::Answer("v=0".into());
    let refused = media.handle(NOW, MediaInput::Signal { seat, signal });
    assert_eq!(refused.unwrap_err().code(), Code::MediaUnavailable);
    assert_eq!((media.poll_output(), media.poll_timeout()), (None, None));
}
