//! Everybody sees what there is to be seen.

mod harness;

use std::time::Duration;

use floe_core::voice::Source;
use harness::World;
use harness::video::{Offering, frames, go_on, is_unbroken};

const SECOND: Duration = Duration::from_secs(1);
const PLAIN: &[(&str, u64)] = &[("", 300_000)];

const fn camera(layers: &'static [(&'static str, u64)]) -> Offering {
    Offering {
        camera: layers,
        screen: false,
        slots: 0,
        is_h264: false,
    }
}

const fn viewer(slots: usize) -> Offering {
    Offering {
        camera: &[],
        screen: false,
        slots,
        is_h264: false,
    }
}

fn users(world: &World, at: usize) -> Vec<(Option<String>, Source)> {
    let shown = world.shown(at).into_iter();
    shown
        .map(|(user, source)| (user.map(|user| user.to_string()), source))
        .collect()
}

fn who(user: &str, source: Source) -> (Option<String>, Source) {
    (Some(user.to_owned()), source)
}

const NOBODY: (Option<String>, Source) = (None, Source::Camera);

#[test]
fn a_camera_is_seen_by_the_others_and_not_by_who_sends_it() {
    let mut world = World::new();
    let ann = world.join_with(
        "ann",
        Offering {
            slots: 2,
            ..camera(PLAIN)
        },
    );
    let bob = world.join_with("bob", viewer(2));
    let cem = world.join_with("cem", viewer(1));
    world.pass(SECOND);
    world.roll(2 * SECOND, &[ann]);
    world.pass(SECOND / 2);
    assert_eq!(users(&world, bob), [who("ann", Source::Camera), NOBODY]);
    assert_eq!(users(&world, cem), [who("ann", Source::Camera)]);
    assert_eq!(users(&world, ann), [NOBODY, NOBODY]);
    for viewer in [bob, cem] {
        let slot = world.slot(viewer, 0);
        let packets = world.take_packets(viewer, slot);
        assert!(is_unbroken(&packets));
        let frames = frames(&packets);
        assert!(frames.len() >= 45, "{} of 50 pictures", frames.len());
        assert!(frames[0].is_keyframe);
        assert!(go_on(&frames));
    }
    assert!(world.browsers[ann].seen.is_empty());
}
