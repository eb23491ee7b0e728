//! What was said, told and heard, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use floe_core::voice::MediaOutput;
use str0m::media::Mid;
use str0m::rtp::RtpPacket;

use super::{Decision, TURN, decision};

/// All that is known of a room.
pub struct Ledger {
    start: Instant,
    /// The longest that a datagram takes.
    far: Duration,
    people: BTreeMap<usize, Person>,
    pub decisions: Vec<Decision>,
}

struct Person {
    is_here: bool,
    /// From when until when they may be heard.
    audible: Vec<(Instant, Option<Instant>)>,
    /// What they were told of each medium: whom it carries, and since when.
    told: BTreeMap<Mid, Vec<(Instant, Option<String>)>>,
    /// What they heard by each medium, by its number: whom, and which word.
    heard: BTreeMap<Mid, BTreeMap<u64, (u8, u32)>>,
    words: BTreeSet<(u8, u32)>,
}

impl Ledger {
    pub fn new(start: Instant, far: Duration) -> Self {
        Self {
            start,
            far,
            people: BTreeMap::new(),
            decisions: Vec::new(),
        }
    }

    pub fn present(&self) -> Vec<usize> {
        let people = self.people.iter().filter(|(_, one)| one.is_here);
        people.map(|(who, _)| *who).collect()
    }

    pub fn comes(&mut self, who: usize, now: Instant) {
        let person = Person {
            is_here: true,
            audible: vec![(now, None)],
            told: BTreeMap::new(),
            heard: BTreeMap::new(),
            words: BTreeSet::new(),
        };
        self.people.insert(who, person);
    }

    pub fn goes(&mut self, who: usize, now: Instant) {
        self.hushes(who, now);
        self.person(who).is_here = false;
    }

    pub fn hushes(&mut self, who: usize, now: Instant) {
        if let Some((_, until)) = self.person(who).audible.last_mut() {
            until.get_or_insert(now);
        }
    }

    pub fn speaks(&mut self, who: usize, now: Instant) {
        let audible = &mut self.person(who).audible;
        if audible.last().is_some_and(|(_, until)| until.is_some()) {
            audible.push((now, None));
        }
    }

    /// Takes note that somebody has another browser, which knows nothing.
    pub fn begins_anew(&mut self, who: usize) {
        self.check_order_of(who);
        let person = self.person(who);
        person.told.clear();
        person.heard.clear();
    }

    /// Takes note of what was told in a turn that is over now.
    pub fn told(&mut self, turn: u64, now: Instant, output: &MediaOutput) {
        self.decisions.extend(decision(turn, output));
        let MediaOutput::Tracks { seat, tracks } = output else {
            return;
        };
        let who = seat.seat as usize - 1;
        let users = tracks.iter().filter_map(|track| track.user.as_deref());
        let users: Vec<_> = users.collect();
        let own = format!("user{who}");
        assert!(!users.contains(&&*own), "{who} is told to hear themselves");
        let distinct: BTreeSet<_> = users.iter().collect();
        assert_eq!(distinct.len(), users.len(), "{who}: one by two media");
        let person = self.person(who);
        for track in tracks {
            let user = track.user.as_deref().map(Into::into);
            let mid = Mid::from(&*track.mid);
            person.told.entry(mid).or_default().push((now, user));
        }
    }

    pub fn heard(&mut self, turn: u64, hearer: usize, mid: Mid, packet: &RtpPacket) {
        let [speaker, word @ ..] = &*packet.payload else {
            panic!("an empty word");
        };
        let (speaker, word) = (*speaker, u32::from_be_bytes(word.try_into().unwrap()));
        let at = packet.timestamp;
        let ms = at.duration_since(self.start).as_millis();
        let is = format!("{hearer} hears word {word} of {speaker} after {ms} ms");
        assert_ne!(hearer, usize::from(speaker), "{is}");
        let far = self.far;
        let audible = &self.people[&usize::from(speaker)].audible;
        let could = |(from, until): &(Instant, Option<Instant>)| {
            *from <= at && until.is_none_or(|until| at <= until + far)
        };
        assert!(audible.iter().any(could), "{is}, who is muted or gone");
        let person = self.person(hearer);
        assert!(person.words.insert((speaker, word)), "{is} again");
        let user = format!("user{speaker}");
        let told = person.told.get(&mid).map_or(&[][..], |told| told);
        let ends = told.iter().skip(1).map(|(at, _)| Some(*at));
        let ends = ends.chain([None]);
        // What is told is written down when its turn is over.
        let was_told = told.iter().zip(ends).any(|((from, whom), until)| {
            whom.as_deref() == Some(&*user)
                && *from <= at + TURN
                && until.is_none_or(|until| at <= until + far)
        });
        assert!(was_told, "{is} by {mid}, and was not told: {told:?}");
        let heard = person.heard.entry(mid).or_default();
        let before = heard.insert(*packet.seq_no, (speaker, word));
        assert_eq!(before, None, "{is} in place of another");
        self.decisions
            .push(Decision::Heard(turn, hearer, speaker, word));
    }

    /// Sees to it that the numbers of each medium are in the order in which words were said.
    pub fn check_order(&self) {
        for who in self.people.keys() {
            self.check_order_of(*who);
        }
    }

    fn check_order_of(&self, who: usize) {
        for (mid, heard) in &self.people[&who].heard {
            let mut newest = BTreeMap::new();
            let mut runs = Vec::new();
            for (speaker, word) in heard.values() {
                let before = newest.insert(speaker, word);
                assert!(
                    before < Some(word),
                    "{who}: {speaker} by {mid}: {word} late"
                );
                if runs.last() != Some(speaker) {
                    runs.push(*speaker);
                }
            }
            // Each change of who is heard was told: nobody is heard in between others.
            let told = &self.people[&who].told[mid];
            let changes = told.iter().filter(|(_, user)| user.is_some()).count();
            assert!(runs.len() <= changes, "{who}: {mid} carries {runs:?}");
        }
    }

    pub fn forget_words(&mut self) {
        for person in self.people.values_mut() {
            person.words.clear();
        }
    }

    /// Sees to it that all who have a place were heard by all others, and nobody else.
    pub fn check_calm(&self, words: usize, slots: usize) {
        let here = self.present();
        let count = |hearer: usize, speaker: usize| {
            let words = self.people[&hearer].words.iter();
            words
                .filter(|(who, _)| usize::from(*who) == speaker)
                .count()
        };
        let mut placed = 0;
        for &speaker in &here {
            let hearers = here.iter().filter(|hearer| **hearer != speaker);
            let counts: Vec<_> = hearers.map(|hearer| count(*hearer, speaker)).collect();
            let is_placed = counts.iter().all(|heard| *heard == words);
            let is_silent = counts.iter().all(|heard| *heard == 0);
            assert!(
                is_placed || is_silent,
                "of {speaker}, others heard {counts:?}"
            );
            placed += usize::from(is_placed);
        }
        assert_eq!(placed, here.len().min(slots), "{here:?}");
    }

    fn person(&mut self, who: usize) -> &mut Person {
        self.people.get_mut(&who).unwrap()
    }
}
