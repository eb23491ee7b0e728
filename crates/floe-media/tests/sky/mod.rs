//! What happens in a room under a seed, and what must hold of it.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod ledger;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use floe_core::voice::{MediaOutput, Quality, SeatId};
use floe_media::Config;

use crate::harness::dice::{Dice, mix};
use crate::harness::{Passing, World};
use ledger::Ledger;

/// What a seed says before anything happens.
#[derive(Debug, Clone)]
pub struct Sky {
    seed: u64,
    audio_slots: u16,
    /// Of a thousand datagrams, how many are lost, and how many come twice.
    lost: u64,
    doubled: u64,
    /// By how many milliseconds they may be late.
    late_ms: u64,
}

/// What was decided, and when: what is compared of two runs. Names, keys and numbers that are drawn
/// at random are left out, and so is how often reports are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    Speaking(u64, SeatId, bool),
    Tracks(u64, SeatId, Vec<Option<String>>),
    Quality(u64, SeatId, Quality),
    /// Of whom a browser heard which word, in which turn.
    Heard(u64, usize, u8, u32),
}

/// What one says at a time lasts so long.
const TURN: Duration = Duration::from_millis(20);
/// How long the storm lasts, in turns.
const STORM: u64 = 500;
const PEOPLE_MAX: usize = 6;
/// What is sent within so many milliseconds, and has no number, fares alike.
const MOMENT_MS: u128 = 40;
/// The least that a datagram takes.
const NEAR: Duration = Duration::from_millis(5);

impl Sky {
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice(mix(seed ^ 0x5EA));
        Self {
            seed,
            audio_slots: *dice.one_of(&[1, 2, 3, 10, 10]),
            lost: *dice.one_of(&[0, 20, 50, 150]),
            doubled: *dice.one_of(&[0, 10, 50]),
            late_ms: *dice.one_of(&[0, 10, 60, 200]),
        }
    }

    /// The same without any weather.
    pub fn clear(seed: u64) -> Self {
        Self {
            lost: 0,
            doubled: 0,
            late_ms: 0,
            ..Self::of(seed)
        }
    }

    /// The longest that a datagram takes.
    fn far(&self) -> Duration {
        NEAR + Duration::from_millis(self.late_ms)
    }

    /// Says what becomes of a datagram. A packet is known by its number, and anything else by when it is sent,
    /// so that what is drawn at random within them, and how many others there are, changes nothing.
    fn fate(&self, passing: &Passing, start: Instant) -> Vec<Duration> {
        let passed = passing.at.duration_since(start);
        let moment = (passed.as_millis() / MOMENT_MS) as u64;
        let (kind, number) = match passing.bytes.as_slice() {
            [128..=191, 192..=223, ..] => (1, moment),
            [128..=191, _, high, low, ..] => (2, u16::from_be_bytes([*high, *low]).into()),
            [first, ..] => (3 + u64::from(*first < 4), moment),
            [] => (0, 0),
        };
        let parts = [
            kind,
            number,
            u64::from(passing.to_server),
            passing.browser as u64,
            passing.address.port().into(),
        ];
        let drawn = parts
            .iter()
            .fold(self.seed, |drawn, part| mix(drawn ^ mix(*part)));
        let mut dice = Dice(drawn);
        if dice.below(1_000) < self.lost {
            return Vec::new();
        }
        let copies = 1 + usize::from(dice.below(1_000) < self.doubled);
        let delay = || NEAR + Duration::from_millis(dice.below(self.late_ms + 1));
        std::iter::repeat_with(delay).take(copies).collect()
    }
}

/// Has a seed happen, and returns what was decided.
pub fn play(sky: &Sky) -> Vec<Decision> {
    let mut play = Play::begin(sky);
    for turn in 0..STORM {
        if play.dice.once_in(25) {
            play.something_happens(turn);
        }
        play.turn();
    }
    play.calm();
    play.ledger.check_order();
    play.ledger.decisions
}

struct Play {
    world: World,
    dice: Dice,
    ledger: Ledger,
    /// Until which turn somebody is cut off.
    cut_off: Rc<Cell<Option<(usize, u64)>>>,
    turn: u64,
    /// How loud each speaks.
    levels: Vec<i8>,
    next_word: u32,
}

impl Play {
    fn begin(sky: &Sky) -> Self {
        let mut world = World::with(Config {
            audio_slots: sky.audio_slots,
            offers_per_second: 100,
            ..Config::default()
        });
        let cut_off = Rc::new(Cell::new(None));
        let cuts = Rc::clone(&cut_off);
        world.loses = Box::new(move |_, who| cuts.get().is_some_and(|(whom, _)| who == whom));
        let (start, weather) = (world.now, sky.clone());
        world.carries = Box::new(move |passing| weather.fate(passing, start));
        let mut play = Self {
            world,
            dice: Dice(sky.seed),
            ledger: Ledger::new(start, sky.far()),
            cut_off,
            turn: 0,
            levels: Vec::new(),
            next_word: 0,
        };
        for _ in 0..2 + play.dice.below(3) {
            play.join();
        }
        play
    }

    fn join(&mut self) {
        let at = self.world.browsers.len();
        assert_eq!(self.world.join(&format!("user{at}")), at);
        self.levels.push(-30);
        self.ledger.comes(at, self.world.now);
    }

    fn here(&self) -> Vec<usize> {
        self.ledger.present()
    }

    fn something_happens(&mut self, turn: u64) {
        let here = self.here();
        let who = *self.dice.one_of(&here);
        let now = self.world.now;
        match self.dice.below(7) {
            0 if here.len() < PEOPLE_MAX => self.join(),
            1 if here.len() > 2 => {
                self.world.leave(who);
                self.ledger.goes(who, now);
            }
            2 => {
                self.world.mute(who, true);
                self.ledger.hushes(who, now);
            }
            3 => {
                self.world.mute(who, false);
                self.ledger.speaks(who, now);
            }
            4 => self.world.restart_ice(who).unwrap(),
            5 => {
                self.world.reconnect(who);
                self.ledger.begins_anew(who);
            }
            6 => {
                let turns = 10 + self.dice.below(150);
                self.cut_off.set(Some((who, turn + turns)));
            }
            _ => {}
        }
    }

    /// Has everybody say a word.
    fn turn(&mut self) {
        self.turn += 1;
        if self
            .cut_off
            .get()
            .is_some_and(|(_, until)| self.turn >= until)
        {
            self.cut_off.set(None);
        }
        for who in self.here() {
            let step = self.dice.below(9) as i8 - 4;
            self.levels[who] = (self.levels[who] + step).clamp(-90, -5);
            self.say(who, self.levels[who]);
        }
        self.world.pass(TURN);
        self.listen();
    }

    fn say(&mut self, who: usize, level: i8) {
        let mut word = vec![who as u8];
        word.extend(self.next_word.to_be_bytes());
        self.next_word += 1;
        self.world.say(who, level, &word);
    }

    /// Writes down what was told and heard in this turn.
    fn listen(&mut self) {
        let (now, turn) = (self.world.now, self.turn);
        for output in std::mem::take(&mut self.world.outputs) {
            self.ledger.told(turn, now, &output);
        }
        for (at, browser) in self.world.browsers.iter_mut().enumerate() {
            let heard = std::mem::take(&mut browser.heard);
            let by = std::mem::take(&mut browser.heard_by);
            for (packet, mid) in heard.iter().zip(by) {
                self.ledger.heard(turn, at, mid, packet);
            }
        }
    }

    fn is_well(&self, who: usize) -> bool {
        let browser = &self.world.browsers[who];
        let is_connected = browser.is_here && browser.rtc.is_connected();
        is_connected && browser.quality == Quality::Good
    }

    /// Ends the storm, and sees to it that everybody who has a place is heard by everybody.
    fn calm(&mut self) {
        self.cut_off.set(None);
        self.world.carries = Box::new(|_| vec![NEAR]);
        for who in self.here() {
            self.world.mute(who, false);
            self.ledger.speaks(who, self.world.now);
        }
        for again in [true, false] {
            for _ in 0..500 {
                self.world.pass(TURN);
                self.listen();
                let connected = self.world.forwarder.counters().gauges.connected;
                let here = self.here();
                if connected == here.len() as u64 && here.iter().all(|who| self.is_well(*who)) {
                    break;
                }
            }
            // What a page does whose connection is gone for good.
            for who in self.here() {
                if !self.is_well(who) {
                    assert!(again, "{who} is {:?}", self.world.browsers[who].quality);
                    self.world.reconnect(who);
                    self.ledger.begins_anew(who);
                }
            }
        }
        let here = self.here();
        for turn in 0..200 {
            if turn == 100 {
                self.ledger.forget_words();
            }
            self.turn += 1;
            for &who in &here {
                self.say(who, -30);
            }
            self.world.pass(TURN);
            self.listen();
        }
        self.world.pass(10 * TURN);
        self.listen();
        let slots = self.world.forwarder.features().audio_slots.into();
        self.ledger.check_calm(100, slots);
    }
}

/// Who is told of a thing, and what is left of it when what is random is left out.
fn decision(turn: u64, output: &MediaOutput) -> Option<Decision> {
    match output {
        MediaOutput::Speaking { seat, speaking } => {
            Some(Decision::Speaking(turn, *seat, *speaking))
        }
        MediaOutput::Tracks { seat, tracks } => {
            let users = tracks.iter();
            let users = users.map(|track| track.user.as_deref().map(Into::into));
            Some(Decision::Tracks(turn, *seat, users.collect()))
        }
        MediaOutput::Quality { seat, quality } => Some(Decision::Quality(turn, *seat, *quality)),
        MediaOutput::Signal { .. } | MediaOutput::Refused { .. } => None,
    }
}
