//! Who is heard, against a plain model and under many speakers.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn everybody_is_heard_while_there_is_room_and_the_quietest_gives_way() {
    let start = Instant::now();
    let mut loudest = Loudest::new(2);
    let mut place = |who, level, at| {
        let heard = loudest.hear(who, level, start + ms(at));
        heard.map(|heard| (heard.place, heard.is_new))
    };
    assert_eq!(place(1, -100, 0), Some((0, true)));
    assert_eq!(place(2, -30, 0), Some((1, true)));
    for at in [20, 40, 60, 80, 100] {
        assert_eq!(place(3, -20, at), None, "a place is safe at first");
    }
    assert_eq!(place(3, -20, 700), Some((0, true)));
    assert_eq!(place(1, -25, 1_400), None, "not louder by enough");
    assert_eq!(loudest.places().collect::<Vec<_>>(), [Some(3), Some(2)]);
}

#[test]
fn who_is_silent_gives_way_to_anybody() {
    let start = Instant::now();
    let mut loudest = Loudest::new(1);
    loudest.hear(1, -10, start).unwrap();
    let later = start + SILENT;
    assert!(loudest.hear(2, -127, later).unwrap().is_new);
    assert!(loudest.leave(2));
    assert!(!loudest.leave(2));
    assert_eq!(loudest.places().collect::<Vec<_>>(), [None]);
}

#[test]
fn a_single_loud_packet_takes_no_place() {
    let start = Instant::now();
    let mut loudest = Loudest::new(1);
    for turn in 0..500 {
        let now = start + ms(turn * 20);
        assert!(loudest.hear(1, -40, now).is_some());
        let click = if turn % 50 == 40 { 0 } else { -127 };
        assert_eq!(loudest.hear(2, click, now), None);
    }
}

/// Has so many speak about equally loud for a minute, and counts changes after the first second.
fn changes_a_minute(speakers: usize, noise: i8) -> u64 {
    let start = Instant::now();
    let mut loudest = Loudest::new(10);
    let mut drawn = 1_u64;
    let mut settled = 0;
    for turn in 0..61 * 50 {
        if turn == 50 {
            settled = loudest.changes;
        }
        for who in 0..speakers {
            drawn = drawn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let noise = (drawn >> 33) % (2 * noise.unsigned_abs() as u64 + 1);
            let level = -40 + i8::try_from(noise).unwrap() - 10;
            loudest.hear(who, level, start + ms(turn * 20));
        }
    }
    loudest.changes - settled
}

#[test]
fn many_who_are_about_as_loud_do_not_take_turns() {
    let changes = [10, 20, 50, 500].map(|speakers| changes_a_minute(speakers, 10));
    // Of 3 000 turns, in each of which all are up to 10 dB louder or less loud than they are.
    let is_calm = changes
        .iter()
        .zip([0, 5, 10, 60])
        .all(|(one, most)| *one <= most);
    assert!(is_calm, "{changes:?}");
}

/// The same by looking at all that was ever heard, whenever something is.
#[derive(Default)]
struct Model {
    /// What was heard of each since they came last, and left no pause.
    heard: BTreeMap<usize, Vec<(u64, f32)>>,
    places: Vec<Option<(usize, u64)>>,
    /// Who gave way lately; how loud they are is known.
    gave_way: BTreeSet<usize>,
}

impl Model {
    fn loudness(&self, who: usize) -> f32 {
        let mut levels = self.heard[&who].iter().map(|(_, loudness)| *loudness);
        let first = levels.next().unwrap();
        levels.fold(first, smooth)
    }

    fn is_silent(&self, who: usize, at: u64) -> bool {
        let last = self.heard[&who].last();
        last.is_none_or(|(then, _)| at - then >= 1_500)
    }

    fn hear(&mut self, who: usize, level: i8, at: u64) -> Option<usize> {
        let placed = |one: &Option<(usize, u64)>| one.is_some_and(|(one, _)| one == who);
        let mine = self.places.iter().position(placed);
        let is_new = !self.heard.contains_key(&who);
        if mine.is_none() && !is_new && self.is_silent(who, at) {
            self.heard.remove(&who);
            self.gave_way.remove(&who);
        }
        let heard = self.heard.entry(who).or_default();
        heard.push((at, 127.0 + f32::from(level)));
        let is_known = heard.len() >= STEADY.into() || self.gave_way.contains(&who);
        if mine.is_some() {
            return mine;
        }
        let free = self.places.iter().position(Option::is_none);
        let silent = || {
            let silent =
                |one: &Option<(usize, u64)>| one.is_some_and(|(one, _)| self.is_silent(one, at));
            self.places.iter().position(silent)
        };
        let quieter = || {
            let places = self.places.iter().enumerate();
            let held = places.filter_map(|(place, one)| Some((place, (*one)?)));
            let held = held.filter(|(_, (_, since))| at - since >= 600);
            let held = held.map(|(place, (one, _))| (place, self.loudness(one)));
            let (place, quietest) = held.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
            (is_known && self.loudness(who) >= quietest + MARGIN).then_some(place)
        };
        let place = free.or_else(silent).or_else(quieter)?;
        self.gave_way.remove(&who);
        if let Some((before, _)) = self.places[place].replace((who, at)) {
            self.gave_way.insert(before);
        }
        Some(place)
    }

    fn leave(&mut self, who: usize) {
        self.heard.remove(&who);
        self.gave_way.remove(&who);
        for place in &mut self.places {
            *place = place.filter(|(one, _)| *one != who);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Hear(usize, i8),
    Leave(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (0..12_usize, -127..=0_i8).prop_map(|(who, level)| Step::Hear(who, level)),
        10 => (0..12_usize).prop_map(|who| Step::Hear(who, -20)),
        1 => (0..12_usize).prop_map(Step::Leave),
        6 => (0..60_u64).prop_map(Step::Wait),
        1 => (0..2_000_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn it_does_what_the_plain_model_does(
        places in 1..6_usize,
        steps in proptest::collection::vec(step(), 1..400),
    ) {
        let start = Instant::now();
        let mut at = 0;
        let mut loudest = Loudest::new(places);
        let mut model = Model { places: vec![None; places], ..Model::default() };
        let mut changes = 0;
        for step in steps {
            match step {
                Step::Wait(passed) => at += passed,
                Step::Leave(who) => {
                    loudest.leave(who);
                    model.leave(who);
                }
                Step::Hear(who, level) => {
                    let before: Vec<_> = loudest.places().collect();
                    let heard = loudest.hear(who, level, start + ms(at));
                    prop_assert_eq!(heard.map(|heard| heard.place), model.hear(who, level, at));
                    if let Some(heard) = heard {
                        prop_assert_eq!(heard.is_new, !before.contains(&Some(who)));
                        prop_assert_eq!(heard.is_new, heard.change > changes);
                        changes = changes.max(heard.change);
                    }
                }
            }
            let of_model: Vec<_> = model.places.iter().map(|one| one.map(|(who, _)| who)).collect();
            prop_assert_eq!(loudest.places().collect::<Vec<_>>(), of_model);
        }
        // Nothing is kept of who left.
        for who in 0..12 {
            loudest.leave(who);
        }
        prop_assert!(loudest.waiting.is_empty());
    }

    #[test]
    fn who_is_louder_than_all_others_is_soon_heard(
        others in proptest::collection::vec(-90..-40_i8, 1..40),
        places in 1..10_usize,
    ) {
        let start = Instant::now();
        let mut loudest = Loudest::new(places);
        let mut heard_from = None;
        for turn in 0..400 {
            let now = start + ms(turn * 20);
            for (who, level) in others.iter().enumerate() {
                loudest.hear(who, *level, now);
            }
            // They begin to speak once the others are settled.
            let level = if turn < 300 { -127 } else { -20 };
            if loudest.hear(99, level, now).is_some() && turn >= 300 {
                heard_from = heard_from.or(Some(turn - 300));
            }
        }
        prop_assert!(heard_from.is_some_and(|turns| turns <= 20), "{:?}", heard_from);
    }
}
