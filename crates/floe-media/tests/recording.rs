//! What of a recorded room is for the host to store.

mod harness;

use std::time::Duration;

use floe_core::voice::{MediaInput, Sends};
use floe_media::Config;
use floe_media::recording::Recorded;
use harness::{ROOM, World};

fn record(world: &mut World, recording: Option<&str>) {
    let recording = recording.map(Into::into);
    let input = MediaInput::Record {
        room: ROOM,
        recording,
    };
    world.forwarder.handle(world.now, input);
}

fn take(world: &mut World) -> Vec<Recorded> {
    std::iter::from_fn(|| world.forwarder.poll_recorded()).collect()
}

fn say_each(world: &mut World, speakers: &[usize], turns: u8) {
    for turn in 0..turns {
        for &speaker in speakers {
            let who = u8::try_from(speaker).expect("few speak");
            world.say(speaker, -30, &[who, turn]);
        }
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_millis(200));
}

#[test]
fn everybody_is_recorded_whether_or_not_among_the_loudest_and_only_meanwhile() {
    let mut world = World::with(Config {
        audio_slots: 1,
        recording: true,
        ..Config::default()
    });
    assert!(world.forwarder.features().recording);
    let speakers = ["ann", "bob", "cem"].map(|user| world.join(user));
    world.pass(Duration::from_secs(2));
    say_each(&mut world, &speakers, 3);
    assert_eq!(take(&mut world), [], "before the recording began");
    record(&mut world, Some("r1"));
    say_each(&mut world, &speakers, 10);
    let recorded = take(&mut world);
    for (at, user) in [(0, "ann"), (1, "bob"), (2, "cem")] {
        let theirs: Vec<_> = recorded.iter().filter(|one| *one.user == *user).collect();
        let said: Vec<_> = theirs.iter().map(|one| one.payload.to_vec()).collect();
        assert_eq!(said, (0..10).map(|turn| vec![at, turn]).collect::<Vec<_>>());
        let steps = theirs.windows(2);
        let steps = steps.map(|two| two[1].time.wrapping_sub(two[0].time));
        assert_eq!(steps.collect::<Vec<_>>(), [960; 9]);
        assert!(theirs.iter().all(|one| one.level == Some(-30)));
        assert!(theirs.iter().all(|one| *one.recording == *"r1"));
    }
    record(&mut world, None);
    say_each(&mut world, &speakers, 3);
    assert_eq!(take(&mut world), [], "after it ended");
}

#[test]
fn who_is_muted_is_not_recorded_and_what_nobody_takes_is_counted() {
    let mut world = World::with(Config {
        recorded_max: 4,
        ..Config::default()
    });
    let speakers = ["ann", "bob"].map(|user| world.join(user));
    world.pass(Duration::from_secs(2));
    let seat = world.browsers[speakers[1]].seat;
    let sends = Sends {
        audio: true,
        ..Sends::default()
    };
    let muted = true;
    let input = MediaInput::Changed { seat, sends, muted };
    world.forwarder.handle(world.now, input);
    record(&mut world, Some("r1"));
    say_each(&mut world, &speakers, 6);
    let recorded = take(&mut world);
    assert_eq!(recorded.len(), 4);
    assert!(recorded.iter().all(|one| *one.user == *"ann"));
    let counters = world.forwarder.counters();
    assert_eq!(
        (counters.packets_recorded, counters.packets_unrecorded),
        (4, 2)
    );
}
