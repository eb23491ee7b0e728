//! Everybody hears everybody.

mod harness;

use std::time::Duration;

use harness::World;

#[test]
fn two_hear_each_other_and_know_whom() {
    let mut world = World::new();
    let ann = world.join("ann");
    let bob = world.join("bob");
    world.pass(Duration::from_secs(2));
    for turn in 0..50_u8 {
        world.say(ann, -30, &[1, turn]);
        world.say(bob, -30, &[2, turn]);
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_millis(200));
    for (hearer, speaker, word) in [(ann, "bob", 2), (bob, "ann", 1)] {
        let browser = &world.browsers[hearer];
        let heard: Vec<Vec<u8>> = browser
            .heard
            .iter()
            .map(|one| one.payload.to_vec())
            .collect();
        let said: Vec<Vec<u8>> = (0..50).map(|turn| vec![word, turn]).collect();
        assert_eq!(heard, said);
        let users = browser
            .tracks
            .iter()
            .filter_map(|track| track.user.as_deref());
        assert_eq!(users.collect::<Vec<_>>(), [speaker]);
    }
}
