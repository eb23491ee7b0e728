//! Everybody sees what there is to be seen.

mod harness;

use std::time::Duration;

use floe_core::voice::{Layer, MediaError, MediaOutput, Sends, Source, Watch};
use floe_media::Config;
use harness::World;
use harness::video::{LAYERS, Offering, PLAIN, camera, frames, go_on, is_unbroken, viewer};

const SECOND: Duration = Duration::from_secs(1);

fn shown(world: &World, at: usize) -> Vec<Option<(String, Source)>> {
    let shown = world.shown(at).into_iter();
    shown
        .map(|(user, source)| user.map(|user| (user.to_string(), source)))
        .collect()
}

fn who(user: &str, source: Source) -> Option<(String, Source)> {
    Some((user.to_owned(), source))
}

fn watch(world: &World, at: usize, slot: usize, user: Option<&str>, source: Source) -> Watch {
    Watch {
        mid: (*world.slot(at, slot)).into(),
        user: user.map(Into::into),
        source,
        quality: Layer::High,
    }
}

#[test]
fn a_camera_is_seen_by_the_others_and_not_by_who_sends_it() {
    let mut world = World::new();
    let slots = 2;
    let ann = world.join_with(
        "ann",
        Offering {
            slots,
            ..camera(PLAIN)
        },
    );
    let bob = world.join_with("bob", viewer(slots));
    let cem = world.join_with("cem", viewer(1));
    world.pass(SECOND);
    world.roll(2 * SECOND, &[ann]);
    world.pass(SECOND / 2);
    assert_eq!(shown(&world, bob), [who("ann", Source::Camera), None]);
    assert_eq!(shown(&world, cem), [who("ann", Source::Camera)]);
    assert_eq!(shown(&world, ann), [None, None]);
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
    let features = world.forwarder.features();
    assert!(features.video && features.screen && features.video_slots == 12);
}

#[test]
fn all_media_are_told_in_the_order_of_the_offer_and_no_more_pictures_than_there_may_be() {
    let mut world = World::with(Config {
        audio_slots: 2,
        video_slots: 1,
        ..Config::default()
    });
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", viewer(3));
    world.pass(SECOND);
    let tracks = world.browsers[bob].tracks.iter();
    let tracks: Vec<_> = tracks
        .map(|track| (track.user.as_deref(), track.source))
        .collect();
    assert_eq!(
        tracks,
        [
            (None, Source::Microphone),
            (None, Source::Microphone),
            (Some("ann"), Source::Camera)
        ]
    );
    assert!(shown(&world, ann).is_empty());
}

#[test]
fn a_screen_comes_before_cameras_and_who_spoke_last_before_who_came_first() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", camera(PLAIN));
    let cem = world.join_with("cem", viewer(1));
    world.pass(SECOND);
    assert_eq!(shown(&world, cem), [who("ann", Source::Camera)]);
    world.say(bob, -20, b"hey");
    world.pass(SECOND / 10);
    assert_eq!(shown(&world, cem), [who("bob", Source::Camera)]);
    world.say(ann, -20, b"ho");
    world.pass(SECOND / 10);
    assert_eq!(shown(&world, cem), [who("ann", Source::Camera)]);
    let screen = Offering {
        screen: true,
        ..Offering::default()
    };
    let dan = world.join_with("dan", screen);
    world.pass(SECOND);
    assert_eq!(shown(&world, cem), [who("dan", Source::Screen)]);
    world.take_packets(cem, world.slot(cem, 0));
    world.roll(SECOND, &[ann, bob, dan]);
    let packets = world.take_packets(cem, world.slot(cem, 0));
    let of: Vec<u8> = frames(&packets).iter().map(|frame| frame.of).collect();
    assert!(of.len() > 10 && of.iter().all(|of| usize::from(*of) == dan));
}

#[test]
fn one_who_watches_a_picture_sees_it_where_they_want_it_and_nowhere_else() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", camera(PLAIN));
    let cem = world.join_with("cem", viewer(2));
    world.pass(SECOND);
    let (of_ann, of_bob) = (who("ann", Source::Camera), who("bob", Source::Camera));
    assert_eq!(shown(&world, cem), [of_ann.clone(), of_bob.clone()]);
    world.roll(SECOND, &[ann, bob]);
    world.take_packets(cem, world.slot(cem, 0));
    world.watch(cem, watch(&world, cem, 0, Some("bob"), Source::Camera));
    assert_eq!(shown(&world, cem), [of_bob.clone(), of_ann.clone()]);
    world.roll(2 * SECOND, &[ann, bob]);
    let packets = world.take_packets(cem, world.slot(cem, 0));
    assert!(is_unbroken(&packets));
    let seen = frames(&packets);
    let is_of = |at: usize| move |frame: &harness::video::Frame| usize::from(frame.of) == at;
    let change = seen.iter().position(is_of(bob)).unwrap();
    assert!(seen[change].is_keyframe);
    assert!(seen[change..].iter().all(is_of(bob)));
    assert!(go_on(&seen), "numbers go on over the change");
    world.watch(cem, watch(&world, cem, 0, Some("ann"), Source::Screen));
    assert_eq!(
        shown(&world, cem),
        [None, of_ann.clone()],
        "what is not there is waited for"
    );
    world.watch(cem, watch(&world, cem, 0, None, Source::Camera));
    assert_eq!(shown(&world, cem), [of_bob, of_ann]);
    let mut unknown = watch(&world, cem, 0, None, Source::Camera);
    unknown.mid = "none".into();
    world.watch(cem, unknown);
    let refused = world.outputs.iter().any(|output| {
        matches!(
            output,
            MediaOutput::Refused {
                error: MediaError::Signal(_),
                ..
            }
        )
    });
    assert!(refused);
}

#[test]
fn who_switches_a_camera_off_or_leaves_frees_its_slot() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", camera(PLAIN));
    let cem = world.join_with("cem", viewer(2));
    world.roll(3 * SECOND, &[ann, bob]);
    let off = Sends {
        audio: true,
        ..Sends::default()
    };
    world.sends(ann, off);
    assert_eq!(shown(&world, cem), [None, who("bob", Source::Camera)]);
    world.pass(SECOND / 10);
    world.take_packets(cem, world.slot(cem, 0));
    world.roll(SECOND, &[ann, bob]);
    let slot = world.slot(cem, 0);
    assert!(world.take_packets(cem, slot).is_empty());
    let on = Sends { video: true, ..off };
    world.sends(ann, on);
    assert_eq!(
        shown(&world, cem),
        [who("ann", Source::Camera), who("bob", Source::Camera)]
    );
    world.roll(SECOND, &[ann, bob]);
    assert!(frames(&world.take_packets(cem, slot))[0].is_keyframe);
    world.leave(bob);
    assert_eq!(shown(&world, cem), [who("ann", Source::Camera), None]);
}

#[test]
fn h264_is_seen_by_who_takes_it_and_vp8_not_by_who_takes_nothing_else() {
    let mut world = World::new();
    let h264 = |offering| Offering {
        is_h264: true,
        ..offering
    };
    let ann = world.join_with("ann", h264(camera(PLAIN)));
    let bob = world.join_with("bob", viewer(1));
    let cem = world.join_with("cem", h264(viewer(1)));
    world.pass(SECOND);
    world.roll(2 * SECOND, &[ann]);
    for viewer in [bob, cem] {
        let packets = world.take_packets(viewer, world.slot(viewer, 0));
        assert!(packets.len() > 60, "{} packets", packets.len());
        assert!(is_unbroken(&packets));
        assert_eq!(packets[0].payload[0], 0x67, "it begins with a keyframe");
    }
    let dan = world.join_with("dan", camera(PLAIN));
    world.sends(ann, Sends::default());
    world.pass(SECOND);
    world.roll(SECOND, &[dan]);
    assert_eq!(shown(&world, bob), [who("dan", Source::Camera)]);
    assert_eq!(shown(&world, cem), [None], "it takes no VP8");
}

#[test]
fn voices_alone_are_not_burdened_with_what_pictures_need() {
    let mut world = World::new();
    let ann = world.join("ann");
    let bob = world.join_with("bob", viewer(1));
    assert!(!world.browsers[ann].answer.contains("transport"));
    assert!(!world.browsers[ann].answer.contains("VP8"));
    for word in [
        "transport-cc",
        "nack pli",
        "VP8/90000",
        "H264/90000",
        "apt=",
    ] {
        assert!(world.browsers[bob].answer.contains(word), "{word}");
    }
    let answer = &world.browsers[bob].answer;
    let profiles = answer.matches("profile-level-id=42").count();
    let modes = answer.matches("packetization-mode=1").count();
    assert_eq!((profiles, modes), (2, 2));
}

#[test]
fn slots_that_show_nothing_cost_next_to_nothing_before_and_after_they_did() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(PLAIN));
    let bob = world.join_with("bob", viewer(12));
    let off = Sends {
        audio: true,
        ..Sends::default()
    };
    world.sends(ann, off);
    world.pass(SECOND);
    let talk = |world: &mut World| {
        let before = world.forwarder.counters().datagrams_out;
        for _ in 0..500 {
            world.say(ann, -20, b"word");
            world.pass(SECOND / 50);
        }
        world.forwarder.counters().datagrams_out - before
    };
    // What goes to the speaker is counted too: what was proved is answered, and received reported.
    let before = talk(&mut world);
    assert!((500..540).contains(&before), "{before} datagrams for 500");
    world.sends(ann, Sends { video: true, ..off });
    world.roll(5 * SECOND, &[ann]);
    assert!(!world.browsers[bob].seen.is_empty());
    world.sends(ann, off);
    world.pass(SECOND);
    let after = talk(&mut world);
    assert!((500..540).contains(&after), "{after} datagrams for 500");
}

#[test]
fn payload_types_that_make_no_sense_are_refused_or_put_right() {
    let mut world = World::new();
    let ann = world.join_with("ann", camera(LAYERS));
    let bob = world.join_with("bob", viewer(2));
    let offers = [ann, bob].map(|at| world.browsers[at].offered.clone());
    let types: Vec<&str> = "0 13 96 97 98 99 100 108 109 111 120 121 127 128 255 65536"
        .split(' ')
        .collect();
    let mut state = 7_usize;
    let mut random = |most: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % most
    };
    let (mut answered, mut refused) = (0, 0);
    for round in 0..300 {
        let mut sdp = offers[round % 2].clone();
        for _ in 0..=random(6) {
            let (from, to) = (types[random(types.len())], types[random(types.len())]);
            let (before, after) = [(":", " "), (" ", " "), ("apt=", "\r\n")][random(3)];
            let with = |of: &str| format!("{before}{of}{after}");
            sdp = sdp.replacen(&with(from), &with(to), 1 + random(3));
        }
        world.pass(SECOND);
        match world.signal(ann, &sdp) {
            Ok(_) => answered += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(answered > 20, "{answered} answered, {refused} refused");
}
