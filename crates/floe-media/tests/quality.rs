//! How well media reach each, as it is told.

mod harness;

use std::time::Duration;

use floe_core::voice::{MediaOutput, Quality};
use harness::World;

const SECOND: Duration = Duration::from_secs(1);

/// Has everybody speak for a while.
fn speak(world: &mut World, speakers: &[usize], seconds: u32) {
    for turn in 0..seconds * 50 {
        for &speaker in speakers {
            world.say(speaker, -30, &turn.to_be_bytes());
        }
        world.pass(Duration::from_millis(20));
    }
}

/// What was told of somebody's quality, in order.
fn told(world: &World, at: usize) -> Vec<Quality> {
    let seat = world.browsers[at].seat;
    let outputs = world.outputs.iter();
    outputs
        .filter_map(|output| {
            if let MediaOutput::Quality { seat: of, quality } = output
                && *of == seat
            {
                return Some(*quality);
            }
            None
        })
        .collect()
}

#[test]
fn on_a_good_network_it_is_good_and_told_once() {
    let mut world = World::new();
    let both = ["ann", "bob"].map(|user| world.join(user));
    speak(&mut world, &both, 20);
    for at in both {
        assert_eq!(told(&world, at), [Quality::Good]);
    }
    let gauges = world.forwarder.counters().gauges;
    assert_eq!((gauges.connected, gauges.tracks_in), (2, 2));
    assert_eq!(gauges.tracks_out, 20);
    // Two voices of 50 packets of 4 bytes a second.
    assert_eq!(gauges.bit_rate_in, 2 * 50 * 4 * 8);
    assert_eq!(gauges.bit_rate_out, gauges.bit_rate_in);
    assert!(
        (35_000..60_000).contains(&gauges.round_trip_max_us),
        "{gauges:?}"
    );
}

#[test]
fn who_loses_packets_hears_of_it_and_the_other_does_not() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    speak(&mut world, &[ann, bob], 5);
    let mut counts = [0, 0];
    world.loses = Box::new(move |to_server, who| {
        let count = &mut counts[usize::from(to_server)];
        *count += u32::from(who == ann);
        who == ann && *count % 20 == 0
    });
    speak(&mut world, &[ann, bob], 15);
    assert_eq!(world.browsers[ann].quality, Quality::Fair);
    let mut count = 0;
    world.loses = Box::new(move |to_server, who| {
        count += u32::from(who == ann && !to_server);
        who == ann && !to_server && count % 4 == 0
    });
    speak(&mut world, &[ann, bob], 15);
    assert_eq!(world.browsers[ann].quality, Quality::Poor);
    assert!(world.forwarder.counters().lost_out > 100);
    world.loses = Box::new(|_, _| false);
    speak(&mut world, &[ann, bob], 40);
    use Quality::{Fair, Good, Poor};
    assert_eq!(told(&world, ann), [Good, Fair, Poor, Fair, Good]);
    assert_eq!(told(&world, bob), [Good]);
}

#[test]
fn who_is_cut_off_is_lost_and_the_same_path_brings_them_back() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    speak(&mut world, &[ann, bob], 3);
    world.loses = Box::new(move |_, who| who == ann);
    speak(&mut world, &[bob], 10);
    assert_eq!(world.browsers[ann].quality, Quality::Lost);
    world.loses = Box::new(|_, _| false);
    speak(&mut world, &[ann, bob], 10);
    assert_eq!(world.browsers[ann].quality, Quality::Good);
    assert_eq!(told(&world, bob), [Quality::Good]);
    let last = world.browsers[bob].heard.last().unwrap();
    assert!(last.payload.to_vec() >= 490_u32.to_be_bytes().to_vec());
}

#[test]
fn a_restart_of_ice_brings_back_who_was_lost() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    speak(&mut world, &[ann, bob], 3);
    world.loses = Box::new(move |_, who| who == ann);
    speak(&mut world, &[bob], 25);
    assert_eq!(world.browsers[ann].quality, Quality::Lost);
    world.loses = Box::new(|_, _| false);
    world.restart_ice(ann).unwrap();
    let before = world.browsers[bob].heard.len();
    speak(&mut world, &[ann, bob], 5);
    assert_eq!(world.browsers[ann].quality, Quality::Good);
    assert!(world.browsers[bob].heard.len() > before + 150);
    assert_eq!(world.forwarder.counters().connections_lost, 0);
}

#[test]
fn who_stays_lost_gives_back_what_they_had_and_may_begin_anew() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    speak(&mut world, &[ann, bob], 3);
    world.loses = Box::new(move |_, who| who == ann);
    speak(&mut world, &[bob], 32);
    assert_eq!(world.browsers[ann].quality, Quality::Lost);
    speak(&mut world, &[bob], 8);
    use Quality::{Good, Lost, None};
    assert_eq!(told(&world, ann), [Good, Lost, None]);
    let counters = world.forwarder.counters();
    assert_eq!(
        (counters.connections_lost, counters.gauges.connected),
        (1, 1)
    );
    world.loses = Box::new(|_, _| false);
    world.reconnect(ann);
    speak(&mut world, &[ann, bob], 5);
    assert_eq!(told(&world, ann), [Good, Lost, None, Good]);
}

#[test]
fn who_only_listens_is_not_lost() {
    let mut world = World::new();
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    world.mute(ann, true);
    world.pass(60 * SECOND);
    speak(&mut world, &[bob], 20);
    assert_eq!(told(&world, ann), [Quality::Good]);
}
