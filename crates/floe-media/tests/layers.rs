//! Pictures are as good as the network of who sees them allows.

mod harness;

use std::time::Duration;

use floe_core::voice::{Layer, Source, Watch};
use harness::World;
use harness::video::{Frame, LAYERS, PLAIN, camera, frames, go_on, is_unbroken, viewer};

const SECOND: Duration = Duration::from_secs(1);

fn seen(world: &mut World, at: usize) -> Vec<Frame> {
    let slot = world.slot(at, 0);
    frames(&world.take_packets(at, slot))
}

fn layers(frames: &[Frame]) -> Vec<u8> {
    let mut layers: Vec<u8> = frames.iter().map(|frame| frame.layer).collect();
    layers.dedup();
    layers
}

#[test]
fn the_best_layer_is_seen_where_the_network_takes_it() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(1));
    assert!(
        world.browsers[ann]
            .answer
            .contains("a=simulcast:recv low;medium;high")
    );
    world.pass(SECOND);
    world.roll(15 * SECOND, &[ann]);
    let slot = world.slot(bob, 0);
    let packets = world.take_packets(bob, slot);
    assert!(is_unbroken(&packets), "a change leaves no gap");
    let frames = frames(&packets);
    assert!(go_on(&frames), "numbers of pictures go on over changes");
    for pair in frames.windows(2) {
        assert!(pair[0].layer == pair[1].layer || pair[1].is_keyframe);
    }
    assert_eq!(frames.last().unwrap().layer, 2, "{:?}", layers(&frames));
}

#[test]
fn a_narrow_network_carries_a_lesser_layer_and_a_wider_one_the_best() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(1));
    let cem = world.join_with("cem", viewer(1));
    world.narrow(bob, 250_000);
    world.pass(SECOND);
    world.roll(20 * SECOND, &[ann]);
    seen(&mut world, bob);
    seen(&mut world, cem);
    world.roll(10 * SECOND, &[ann]);
    let narrow = seen(&mut world, bob);
    assert!(narrow.len() > 200, "{} of 250 pictures", narrow.len());
    assert!(narrow.iter().all(|frame| frame.layer == 0));
    assert_eq!(
        layers(&seen(&mut world, cem)),
        [2],
        "others are not held back"
    );
    world.narrow(bob, 5_000_000);
    let mut waited = 0;
    while seen(&mut world, bob)
        .last()
        .is_none_or(|last| last.layer < 2)
    {
        world.roll(SECOND, &[ann]);
        waited += 1;
        assert!(waited < 60, "it does not become better");
    }
    world.narrow(bob, 500_000);
    let mut waited = 0;
    while seen(&mut world, bob)
        .last()
        .is_none_or(|last| last.layer == 2)
    {
        world.roll(SECOND, &[ann]);
        waited += 1;
        assert!(waited < 30, "it does not become less");
    }
}

#[test]
fn one_who_wants_less_gets_less() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(1));
    world.pass(SECOND);
    for (quality, layer) in [(Layer::Low, 0), (Layer::Medium, 1)] {
        world.watch(
            bob,
            Watch {
                mid: (*world.slot(bob, 0)).into(),
                user: None,
                source: Source::Camera,
                quality,
            },
        );
        world.roll(2 * SECOND, &[ann]);
        seen(&mut world, bob);
        world.roll(10 * SECOND, &[ann]);
        let frames = seen(&mut world, bob);
        assert_eq!(frames.last().unwrap().layer, layer);
        assert!(frames.iter().all(|frame| frame.layer <= layer));
    }
}

#[test]
fn a_layer_that_ends_gives_way_to_one_that_goes_on() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(1));
    world.pass(SECOND);
    world.roll(15 * SECOND, &[ann]);
    assert_eq!(seen(&mut world, bob).last().unwrap().layer, 2);
    world.browsers[ann].films[0].layers[2].rate = 0;
    world.roll(4 * SECOND, &[ann]);
    let slot = world.slot(bob, 0);
    let packets = world.take_packets(bob, slot);
    assert!(is_unbroken(&packets));
    let frames = frames(&packets);
    assert!(go_on(&frames));
    assert_eq!(frames.last().unwrap().layer, 1);
}

#[test]
fn what_is_lost_on_either_way_is_sent_again() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", viewer(1));
    world.pass(SECOND);
    world.roll(2 * SECOND, &[ann]);
    let asked = world.browsers[ann].films[0].layers[0].asked;
    let mut count = 0;
    world.loses = Box::new(move |_, _| {
        count += 1;
        count % 23 == 0
    });
    world.roll(6 * SECOND, &[ann]);
    world.loses = Box::new(|_, _| false);
    world.roll(SECOND, &[ann]);
    world.pass(SECOND);
    let slot = world.slot(bob, 0);
    let packets = world.take_packets(bob, slot);
    assert!(packets.len() > 400, "{} packets", packets.len());
    assert!(is_unbroken(&packets), "all of them came in the end");
    assert!(go_on(&frames(&packets)));
    assert_eq!(
        world.browsers[ann].films[0].layers[0].asked, asked,
        "no keyframe was needed"
    );
}

#[test]
fn who_cannot_go_on_asks_who_sends_for_a_keyframe_and_not_more_than_twice_a_second() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let viewers = ["bob", "cem", "dan"].map(|user| world.join_with(user, viewer(1)));
    world.pass(SECOND);
    world.roll(2 * SECOND, &[ann]);
    let before = world.browsers[ann].films[0].layers[0].asked;
    for _ in 0..50 {
        for viewer in viewers {
            world.ask_keyframe(viewer, 0);
        }
        world.roll(2 * SECOND / 50, &[ann]);
    }
    let asked = world.browsers[ann].films[0].layers[0].asked - before;
    assert!(
        (3..=5).contains(&asked),
        "asked {asked} times in two seconds"
    );
    let slot = world.slot(viewers[0], 0);
    let keyframes = frames(&world.take_packets(viewers[0], slot));
    let keyframes = keyframes.iter().filter(|frame| frame.is_keyframe).count();
    assert!(keyframes >= 4, "{keyframes} keyframes came");
}

#[test]
fn packets_out_of_order_around_a_change_do_not_corrupt_what_follows() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(1));
    world.pass(SECOND);
    let mut count = 0_u64;
    world.carries = Box::new(move |_| {
        count += 1;
        vec![Duration::from_millis(20 + count * 7 % 15)]
    });
    for turn in 0..20 {
        let quality = [Layer::Low, Layer::High][turn % 2];
        world.watch(
            bob,
            Watch {
                mid: (*world.slot(bob, 0)).into(),
                user: None,
                source: Source::Camera,
                quality,
            },
        );
        world.roll(SECOND, &[ann]);
    }
    let slot = world.slot(bob, 0);
    let packets = world.take_packets(bob, slot);
    let numbers = packets.iter().map(|packet| *packet.seq_no);
    assert!(
        numbers.is_sorted_by(|one, next| one < next),
        "no number is there twice"
    );
    let seen = frames(&packets);
    for pair in seen.windows(2) {
        assert!(pair[0].layer == pair[1].layer || pair[1].is_keyframe);
        assert!(
            pair[0].picture < pair[1].picture && pair[0].time < pair[1].time,
            "{pair:?}"
        );
    }
    assert!(layers(&seen).len() > 4, "{:?}", layers(&seen));
}

#[test]
fn who_offers_to_see_only_later_is_followed_by_what_is_lost() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let [bob, cem] = ["bob", "cem"].map(|user| world.join(user));
    world.pass(SECOND);
    for viewer in [bob, cem] {
        world.offer_slots(viewer, 1);
    }
    world.narrow(bob, 200_000);
    world.roll(40 * SECOND, &[ann]);
    for viewer in [bob, cem] {
        seen(&mut world, viewer);
    }
    world.roll(20 * SECOND, &[ann]);
    let narrow = seen(&mut world, bob);
    assert!(narrow.iter().all(|frame| frame.layer < 2));
    let least = narrow.iter().filter(|frame| frame.layer == 0).count();
    assert!(
        least > 300,
        "{least} of 500 pictures, more is tried now and then"
    );
    assert_eq!(layers(&seen(&mut world, cem)), [2]);
}
