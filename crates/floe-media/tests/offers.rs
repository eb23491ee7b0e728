//! Offers that are none, or only almost: each is answered or refused, and nothing of it is left.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod harness;

use std::time::Duration;

use floe_core::voice::{MediaError, MediaInput};
use harness::World;
use harness::dice::Dice;

/// What a browser offers that speaks and shows itself in three sizes.
const OFFER: &str = include_str!("../../../fuzz/offer.sdp");

/// Changes some lines of an offer.
fn changed(dice: &mut Dice) -> String {
    let mut lines: Vec<String> = OFFER.lines().map(Into::into).collect();
    let words = [
        "0",
        "65536",
        "-1",
        "a=mid:0",
        "rtx/90000",
        "\u{1F980}",
        ":",
        ";",
        "=",
        "111",
    ];
    for _ in 0..=dice.below(6) {
        let [at, other] = [(); 2].map(|()| dice.below(lines.len() as u64) as usize);
        let place = dice.below(lines[at].len() as u64 + 1) as usize;
        let is_place = lines[at].is_char_boundary(place);
        match dice.below(7) {
            0 if lines.len() > 1 => {
                lines.remove(at);
            }
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 if is_place => lines[at].truncate(place),
            4 if is_place => {
                let word = *dice.one_of(&words);
                lines[at].insert_str(place, word);
            }
            5 => {
                let digits = dice.below(1 << 40).to_string();
                let kept = lines[at].trim_end_matches(|one: char| one.is_ascii_digit());
                lines[at] = format!("{kept}{digits}");
            }
            _ => {
                let block = lines[at.min(other)..at.max(other)].to_vec();
                if lines.len() + block.len() < 2_000 {
                    lines.splice(at..at, block);
                }
            }
        }
    }
    lines.join(*dice.one_of(&["\r\n", "\n"]))
}

#[test]
fn an_offer_of_a_browser_is_answered() {
    let mut world = World::new();
    let ann = world.join("ann");
    let answer = world.signal(ann, OFFER).unwrap();
    assert!(answer.contains("a=mid:3"));
}

#[test]
fn offers_that_are_none_are_refused_and_others_go_on() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    world.pass(Duration::from_secs(2));
    let mut dice = Dice(11);
    let (mut answered, mut refused) = (0, 0);
    let guest = world.join("guest");
    let seat = world.browsers[guest].seat;
    for _ in 0..600 {
        world.pass(Duration::from_secs(1));
        match world.signal(guest, &changed(&mut dice)) {
            Ok(answer) => {
                answered += 1;
                assert!(answer.starts_with("v=0"));
            }
            Err(MediaError::Signal(why) | MediaError::Limit(why)) => {
                refused += 1;
                assert!(!why.is_empty());
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(answered > 50 && refused > 50, "{answered}, {refused}");
    world.forwarder.handle(world.now, MediaInput::Left(seat));
    world.pass(Duration::from_secs(2));
    let gauges = world.forwarder.counters().gauges;
    assert_eq!((gauges.participants, gauges.connected), (2, 2));
    for turn in 0..50 {
        world.say(ann, -30, &[1, turn]);
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.browsers[bob].heard.len(), 50);
}
