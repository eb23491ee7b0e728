//! A plain model of a voice room, fed the same inputs.

use std::collections::BTreeMap;

use floe_proto::{Millis, RoomId};
use proptest::prelude::*;

use super::*;
use crate::live::{Timer, Wheel};

const TICK_MS: u64 = Wheel::<Timer>::TICK_MS;
const START: Millis = Millis(1_700_000_000_000);
const LIMITS: VoiceLimits = VoiceLimits {
    participants_max: 3,
    user_bytes_max: 8,
    grace_ms: 1_000,
    speaking_ms: 300,
    left_max: 2,
};

#[derive(Debug, Clone)]
enum Input {
    Join(u64, &'static str, Sends),
    Leave(u64),
    Lose(u64),
    Deny(u64),
    Enable(u64, Enable),
    Speak(u64, bool),
    Rate(u64, Quality),
    Silence(u64),
    Expel(u64),
    End,
    Record(Option<&'static str>),
    StopRecord(Cut),
    Moderate(&'static str, bool),
    Kick(&'static str),
    Wait(u64),
    RoomMax(Option<usize>),
    GraceMs(u64),
    Pull(usize),
}

fn input() -> impl Strategy<Value = Input> {
    let users = ["ann", "bob", "cem", "dee", "eve"];
    let user = (0..users.len()).prop_map(move |at| users[at]);
    let connection = 0..7_u64;
    let choice = || proptest::option::of(any::<bool>());
    let sends = any::<[bool; 3]>().prop_map(|[audio, video, screen]| Sends {
        audio,
        video,
        screen,
    });
    let change = (choice(), choice(), choice()).prop_map(|(audio, video, screen)| Enable {
        audio,
        video,
        screen,
    });
    let quality = prop_oneof![
        Just(Quality::None),
        Just(Quality::Good),
        Just(Quality::Lost)
    ];
    prop_oneof![
        6 => (connection.clone(), user.clone(), sends)
            .prop_map(|(connection, user, sends)| Input::Join(connection, user, sends)),
        2 => connection.clone().prop_map(Input::Leave),
        3 => connection.clone().prop_map(Input::Lose),
        1 => connection.clone().prop_map(Input::Deny),
        3 => (connection.clone(), change)
            .prop_map(|(connection, change)| Input::Enable(connection, change)),
        2 => (0..6_u64, quality).prop_map(|(seat, quality)| Input::Rate(seat, quality)),
        4 => (connection, any::<bool>())
            .prop_map(|(connection, speaking)| Input::Speak(connection, speaking)),
        2 => (user.clone(), any::<bool>()).prop_map(|(user, muted)| Input::Moderate(user, muted)),
        1 => (0..8_u64).prop_map(Input::Silence),
        1 => (0..8_u64).prop_map(Input::Expel),
        1 => Just(Input::End),
        2 => proptest::option::of(user.clone()).prop_map(Input::Record),
        1 => prop_oneof![Just(Cut::Stopped), Just(Cut::Failed)].prop_map(Input::StopRecord),
        1 => user.prop_map(Input::Kick),
        4 => (0..1_500_u64).prop_map(Input::Wait),
        1 => proptest::option::of(0..5_usize).prop_map(Input::RoomMax),
        1 => (0..2_u64).prop_map(|factor| Input::GraceMs(factor * LIMITS.grace_ms)),
        3 => (0..2_usize).prop_map(Input::Pull),
    ]
}

/// Somebody with a seat.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    user: String,
    seat: u64,
    joined_at: Millis,
    sends: Sends,
    muted: bool,
    quality: Quality,
    connection: Option<u64>,
    speaks_until: Option<u64>,
    away_until: Option<u64>,
}

/// A participant as a reader remembers one.
type Known = (u64, Millis, Sends, Quality, [bool; 3]);

fn known(participant: &Participant<'_>) -> (String, Known) {
    let Participant {
        user,
        seat,
        joined_at,
        sends,
        speaking,
        muted,
        quality,
        reconnecting,
    } = *participant;
    let flags = [speaking, muted, reconnecting];
    (user.to_owned(), (seat, joined_at, sends, quality, flags))
}

struct Model {
    now: Millis,
    people: Vec<Person>,
    session: Option<(String, Millis)>,
    recording: Option<Recording>,
    given: u64,
    room_max: Option<usize>,
    grace_ms: u64,
    sessions: u64,
    effects: Vec<Effect>,
}

impl Model {
    fn tick(&self, in_ms: u64) -> u64 {
        (self.now.0 + in_ms)
            .div_ceil(TICK_MS)
            .max(self.now.0 / TICK_MS + 1)
    }

    fn seated(&self, connection: u64) -> Result<usize, VoiceError> {
        let place = self
            .people
            .iter()
            .position(|person| person.connection == Some(connection));
        place.ok_or(VoiceError::NotJoined)
    }

    fn named(&self, user: &str) -> Option<usize> {
        self.people.iter().position(|person| person.user == user)
    }

    fn changed(&mut self, at: usize) {
        let person = &self.people[at];
        self.effects.push(Effect::Changed {
            seat: person.seat,
            sends: person.sends,
            muted: person.muted,
        });
    }

    fn remove(&mut self, at: usize, why: Gone) {
        let person = self.people.remove(at);
        let session = self.session.as_ref().unwrap().0.as_str().into();
        self.effects.push(Effect::Left {
            session,
            seat: person.seat,
            user: person.user.as_str().into(),
            connection: person.connection,
            why,
        });
        if self.people.is_empty() {
            self.cut(Cut::Ended);
            let (id, started_at) = self.session.take().unwrap();
            self.effects.push(Effect::Ended(Session {
                id: id.as_str().into(),
                started_at,
            }));
        }
    }

    /// Ends the recording; returns whether there was one.
    fn cut(&mut self, why: Cut) -> bool {
        let Some(recording) = self.recording.take() else {
            return false;
        };
        self.effects.push(Effect::RecordingEnded {
            session: self.session.as_ref().unwrap().0.as_str().into(),
            id: recording.id,
            why,
        });
        true
    }

    fn at(&self, seat: u64) -> Option<usize> {
        self.people.iter().position(|person| person.seat == seat)
    }

    fn apply(&mut self, input: &Input) -> Result<(), VoiceError> {
        match *input {
            Input::Join(connection, user, sends) => {
                if self.seated(connection).is_ok() {
                    return Err(VoiceError::Joined);
                }
                if let Some(at) = self.named(user) {
                    let person = &mut self.people[at];
                    let before = person.connection.replace(connection);
                    person.sends = sends;
                    person.sends.audio = sends.audio && !person.muted;
                    person.speaks_until = None;
                    person.away_until = None;
                    let seat = person.seat;
                    self.effects.push(Effect::Returned {
                        seat,
                        before,
                        connection,
                    });
                    self.changed(at);
                    return Ok(());
                }
                let participants_max = self.room_max.map_or(3, |own| own.min(3));
                if self.people.len() >= participants_max {
                    return Err(VoiceError::Full { participants_max });
                }
                if self.session.is_none() {
                    self.session = Some((format!("s{}", self.sessions), self.now));
                    self.effects.push(Effect::Started(Session {
                        id: format!("s{}", self.sessions).as_str().into(),
                        started_at: self.now,
                    }));
                }
                self.given += 1;
                self.people.push(Person {
                    user: user.to_owned(),
                    seat: self.given,
                    joined_at: self.now,
                    sends,
                    muted: false,
                    quality: Quality::None,
                    connection: Some(connection),
                    speaks_until: None,
                    away_until: None,
                });
                self.effects.push(Effect::Joined {
                    session: self.session.as_ref().unwrap().0.as_str().into(),
                    seat: self.given,
                    user: user.into(),
                    joined_at: self.now,
                    sends,
                });
            }
            Input::Leave(connection) => {
                let at = self.seated(connection)?;
                self.remove(at, Gone::Left);
            }
            Input::Lose(connection) => {
                if let Ok(at) = self.seated(connection) {
                    if self.grace_ms == 0 {
                        self.remove(at, Gone::Lost);
                        return Ok(());
                    }
                    let away_until = self.tick(self.grace_ms);
                    let person = &mut self.people[at];
                    person.connection = None;
                    person.speaks_until = None;
                    person.away_until = Some(away_until);
                    let seat = person.seat;
                    self.effects.push(Effect::Away { seat, connection });
                }
            }
            Input::Deny(connection) => {
                if let Ok(at) = self.seated(connection) {
                    self.remove(at, Gone::Denied);
                }
            }
            Input::Enable(connection, change) => {
                let at = self.seated(connection)?;
                let person = &mut self.people[at];
                if person.muted && change.audio == Some(true) {
                    return Err(VoiceError::Muted);
                }
                let before = person.sends;
                for (one, said) in [
                    (&mut person.sends.audio, change.audio),
                    (&mut person.sends.video, change.video),
                    (&mut person.sends.screen, change.screen),
                ] {
                    if let Some(said) = said {
                        *one = said;
                    }
                }
                if !person.sends.audio {
                    person.speaks_until = None;
                }
                if before != person.sends {
                    self.changed(at);
                }
            }
            Input::Speak(connection, speaking) => {
                let at = self.seated(connection)?;
                let until = self.tick(LIMITS.speaking_ms);
                let person = &mut self.people[at];
                person.speaks_until = (speaking && person.sends.audio).then_some(until);
            }
            Input::Moderate(user, muted) => {
                let at = self.named(user).ok_or(VoiceError::NoParticipant)?;
                let person = &mut self.people[at];
                if person.muted != muted {
                    person.muted = muted;
                    if muted {
                        person.sends.audio = false;
                        person.speaks_until = None;
                    }
                    self.changed(at);
                }
            }
            Input::Rate(seat, quality) => {
                if let Some(at) = self.at(seat) {
                    self.people[at].quality = quality;
                }
            }
            Input::Silence(seat) => {
                if let Some(at) = self.at(seat) {
                    let person = &mut self.people[at];
                    person.speaks_until = None;
                    let sent = std::mem::take(&mut person.sends);
                    if sent != Sends::default() {
                        self.changed(at);
                    }
                }
            }
            Input::Expel(seat) => {
                if let Some(at) = self.at(seat) {
                    self.remove(at, Gone::Denied);
                }
            }
            Input::End => {
                while !self.people.is_empty() {
                    self.remove(0, Gone::Stopped);
                }
            }
            Input::Record(by) => {
                let (session, _) = self.session.as_ref().ok_or(VoiceError::NoSession)?;
                if self.recording.is_some() {
                    return Err(VoiceError::Recorded);
                }
                let recording = Recording {
                    id: format!("r{}", self.sessions).as_str().into(),
                    by: by.map(Into::into),
                    started_at: self.now,
                };
                self.effects.push(Effect::Recording {
                    session: session.as_str().into(),
                    id: recording.id.clone(),
                    by: recording.by.clone(),
                    started_at: self.now,
                });
                self.recording = Some(recording);
            }
            Input::StopRecord(why) => {
                if !self.cut(why) {
                    return Err(VoiceError::NotRecorded);
                }
            }
            Input::Kick(user) => {
                let at = self.named(user).ok_or(VoiceError::NoParticipant)?;
                self.remove(at, Gone::Kicked);
            }
            Input::Wait(ms) => {
                self.now = self.now.plus(ms);
                let tick = self.now.0 / TICK_MS;
                for person in &mut self.people {
                    if person.speaks_until.is_some_and(|until| until <= tick) {
                        person.speaks_until = None;
                    }
                }
                let over = |person: &Person| person.away_until.is_some_and(|until| until <= tick);
                while let Some(at) = self.people.iter().position(over) {
                    self.remove(at, Gone::Lost);
                }
            }
            Input::RoomMax(most) => self.room_max = most,
            Input::GraceMs(ms) => self.grace_ms = ms,
            Input::Pull(_) => {}
        }
        Ok(())
    }

    fn known(&self) -> Vec<(String, Known)> {
        let shown = |person: &Person| {
            let flags = [
                person.speaks_until.is_some(),
                person.muted,
                person.connection.is_none(),
            ];
            let Person {
                seat,
                joined_at,
                sends,
                quality,
                ..
            } = *person;
            (
                person.user.clone(),
                (seat, joined_at, sends, quality, flags),
            )
        };
        self.people.iter().map(shown).collect()
    }
}

/// Someone who is told from time to time.
#[derive(Default)]
struct Reader {
    seen: u64,
    known: BTreeMap<String, Known>,
}

impl Reader {
    fn pull(&mut self, voice: &Voice) {
        let changes = voice.changes_since(self.seen);
        self.seen = changes.version;
        match changes.told {
            Told::All(all) => self.known = all.iter().map(known).collect(),
            Told::Delta { set, left, .. } => {
                for user in left {
                    self.known.remove(user);
                }
                self.known.extend(set.iter().map(known));
            }
        }
        assert_eq!(self.known.len(), changes.count);
    }
}

/// Effects whose order is that of timers within one tick have none that matters.
fn sorted(mut effects: Vec<Effect>) -> Vec<Effect> {
    effects.sort_by_key(|effect| match effect {
        Effect::Left { seat, .. } => *seat,
        Effect::RecordingEnded { .. } => u64::MAX - 1,
        Effect::Ended(_) => u64::MAX,
        Effect::Started(_)
        | Effect::Joined { .. }
        | Effect::Changed { .. }
        | Effect::Away { .. }
        | Effect::Returned { .. }
        | Effect::Recording { .. } => 0,
    });
    effects
}

fn apply(
    voice: &mut Voice,
    input: &Input,
    model: &Model,
    wheel: &mut Wheel<Timer>,
) -> Result<(), VoiceError> {
    let now = model.now;
    let room = RoomId(1);
    if let Input::Wait(_) = input {
        let mut due = Vec::new();
        wheel.advance(now, &mut due);
        for timer in due {
            let mut timers = Timers::new(wheel, room);
            voice.handle_timer(timer.kind, &timer.key, &mut timers);
        }
        return Ok(());
    }
    let timers = &mut Timers::new(wheel, room);
    match *input {
        Input::Join(connection, user, sends) => {
            let join = Join {
                connection,
                user,
                sends,
                session: &format!("s{}", model.sessions),
            };
            voice.join(&join, now, timers)
        }
        Input::Leave(connection) => voice.leave(connection, timers),
        Input::Lose(connection) => {
            voice.lose(connection, now, timers);
            Ok(())
        }
        Input::Deny(connection) => {
            voice.deny(connection, timers);
            Ok(())
        }
        Input::Enable(connection, change) => voice.enable(connection, change, timers),
        Input::Speak(connection, speaking) => voice.speak(connection, speaking, now, timers),
        Input::Moderate(user, muted) => voice.moderate(user, muted, timers),
        Input::Rate(seat, quality) => {
            voice.rate(seat, quality);
            Ok(())
        }
        Input::Silence(seat) => {
            voice.silence(seat, timers);
            Ok(())
        }
        Input::Expel(seat) => {
            voice.expel(seat, timers);
            Ok(())
        }
        Input::End => {
            voice.end(timers);
            Ok(())
        }
        Input::Record(by) => voice.record(by, &format!("r{}", model.sessions), now),
        Input::StopRecord(why) => voice.stop_record(why),
        Input::Kick(user) => voice.kick(user, timers),
        Input::RoomMax(most) => {
            voice.set_room_max(most);
            Ok(())
        }
        Input::GraceMs(grace_ms) => {
            voice.set_limits(VoiceLimits { grace_ms, ..LIMITS });
            Ok(())
        }
        Input::Wait(_) | Input::Pull(_) => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn it_does_what_a_plain_model_does(inputs in proptest::collection::vec(input(), 0..120)) {
        let mut wheel = Wheel::new(START);
        let mut voice = Voice::new(LIMITS, 7);
        let mut model = Model {
            now: START,
            people: Vec::new(),
            session: None,
            recording: None,
            given: 0,
            room_max: None,
            grace_ms: LIMITS.grace_ms,
            sessions: 0,
            effects: Vec::new(),
        };
        let mut readers = [Reader::default(), Reader::default()];
        for input in inputs {
            model.sessions += 1;
            let before = voice.version();
            let (shown, recorded) = (model.known(), model.recording.clone());
            let expected = model.apply(&input);
            prop_assert_eq!(apply(&mut voice, &input, &model, &mut wheel), expected, "{:?}", input);
            let effects: Vec<_> = std::iter::from_fn(|| voice.poll_effect()).collect();
            prop_assert_eq!(sorted(effects), sorted(std::mem::take(&mut model.effects)));
            let participants: Vec<_> = voice.participants().iter().map(known).collect();
            prop_assert_eq!(&participants, &model.known());
            let session = voice.session().map(|session| (session.id.to_string(), session.started_at));
            prop_assert_eq!(session, model.session.clone());
            prop_assert!(recorded == model.recording || voice.version() > before);
            prop_assert_eq!(voice.recording(), model.recording.as_ref());
            prop_assert!(voice.is_empty() == voice.session().is_none());
            // Whatever is seen of it is a change of the version.
            prop_assert!(shown == model.known() || voice.version() > before);
            for person in &model.people {
                let sits = person.connection.and_then(|connection| voice.seat_of(connection));
                prop_assert_eq!(sits, person.connection.map(|_| person.seat));
                prop_assert_eq!(voice.connection_of(person.seat), person.connection);
            }
            prop_assert_eq!(
                voice.connections.len(),
                model.people.iter().filter(|person| person.connection.is_some()).count()
            );
            prop_assert!(voice.left.len() <= LIMITS.left_max);
            if let Input::Pull(at) = input {
                readers[at].pull(&voice);
                let all: BTreeMap<_, _> = model.known().into_iter().collect();
                prop_assert_eq!(&readers[at].known, &all);
            }
        }
        voice.cancel_timers(&mut Timers::new(&mut wheel, RoomId(1)));
        prop_assert!(wheel.is_empty());
    }
}
