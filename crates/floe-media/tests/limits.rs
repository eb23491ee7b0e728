//! What is too much is refused or dropped, and counted; others go on.

mod harness;

use std::time::Duration;

use floe_core::voice::{MediaError, Quality};
use floe_media::{Config, Dropped};
use floe_proto::RoomId;
use harness::World;

const TURN: Duration = Duration::from_millis(20);

#[test]
fn what_one_sends_above_the_bit_rate_is_dropped() {
    let mut world = World::with(Config {
        bitrate_max: 64_000,
        ..Config::default()
    });
    let [loud, calm, hearer] = ["loud", "calm", "hearer"].map(|user| world.join(user));
    world.pass(Duration::from_secs(2));
    // 400 kbit/s, of which the first second's worth passes at once.
    for turn in 0..250_u16 {
        let mut word = vec![1; 1_000];
        word[1..3].copy_from_slice(&turn.to_be_bytes());
        world.say(loud, -20, &word);
        world.say(calm, -20, &[2; 100]);
        world.pass(TURN);
    }
    world.pass(Duration::from_secs(1));
    let heard = &world.browsers[hearer].heard;
    let bytes: usize = heard.iter().map(|one| one.payload.len()).sum();
    let calm = heard.iter().filter(|one| one.payload[0] == 2).count();
    assert_eq!(calm, 250, "who stays within the rate is heard");
    let loud = (bytes - 250 * 100) * 8;
    assert!((64_000 * 5..=64_000 * 6).contains(&loud), "{loud} bits");
    let counters = world.forwarder.counters();
    let dropped = counters.dropped(Dropped::BitRate);
    assert_eq!(dropped, 250 - (loud / 8_000) as u64);
}

#[test]
fn an_offer_of_too_much_is_refused_and_leaves_what_is_there() {
    let mut world = World::with(Config {
        sdp_bytes_max: 20_000,
        ..Config::default()
    });
    let ann = world.join("ann");
    world.pass(Duration::from_secs(2));
    let refused = |world: &mut World, sdp: &str| {
        world.pass(Duration::from_secs(1));
        match world.signal(ann, sdp) {
            Err(MediaError::Limit(why)) => why.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let long = "a".repeat(20_001);
    assert_eq!(
        refused(&mut world, &long),
        "an offer has at most 20000 bytes"
    );
    let head = "v=0\r\na=fingerprint:sha-256 00\r\n";
    let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";
    let slots = format!("{head}{}", audio.repeat(49));
    assert_eq!(refused(&mut world, &slots), "an offer has at most 48 media");
    let tracks = format!(
        "{head}{}{}",
        audio.repeat(5),
        format!("{audio}a=recvonly\r\n").repeat(10)
    );
    assert_eq!(
        refused(&mut world, &tracks),
        "a browser sends at most 4 tracks"
    );
    assert!(world.browsers[ann].rtc.is_connected());
    world.pass(Duration::from_secs(5));
    assert_eq!(world.browsers[ann].quality, Quality::Good);
    assert_eq!(world.forwarder.counters().offers_refused, 3);
}

#[test]
fn a_flood_of_offers_is_refused_and_what_was_agreed_stays() {
    let mut world = World::new();
    let ann = world.join("ann");
    world.pass(Duration::from_secs(2));
    let results: Vec<_> = (0..20).map(|_| world.restart_ice(ann)).collect();
    assert_eq!(results.iter().filter(|one| one.is_ok()).count(), 10);
    let why = MediaError::Limit("a participant offers at most 2 times a second".into());
    assert_eq!(results.last(), Some(&Err(why)));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.restart_ice(ann), Ok(()));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.browsers[ann].quality, Quality::Good);
}

#[test]
fn one_more_room_or_connection_is_refused_until_another_ends() {
    let mut world = World::with(Config {
        rooms_max: 2,
        connections_max: 4,
        ..Config::default()
    });
    let limit = |why: &str| Err(MediaError::Limit(why.into()));
    let rooms = limit("this server carries at most 2 voice rooms");
    assert_eq!(world.join_in(RoomId(1), "ann"), Ok(0));
    assert_eq!(world.join_in(RoomId(2), "bob"), Ok(1));
    assert_eq!(world.join_in(RoomId(3), "cem"), rooms);
    assert_eq!(world.join_in(RoomId(1), "dan"), Ok(3), "not a new room");
    world.leave(1);
    assert_eq!(world.join_in(RoomId(3), "eve"), Ok(4));
    assert_eq!(world.join_in(RoomId(3), "fay"), Ok(5));
    let connections = limit("this server has at most 4 connections for media");
    assert_eq!(world.join_in(RoomId(3), "gil"), connections);
    world.pass(Duration::from_secs(2));
    let gauges = world.forwarder.counters().gauges;
    assert_eq!((gauges.participants, gauges.connected), (6, 4));
}
