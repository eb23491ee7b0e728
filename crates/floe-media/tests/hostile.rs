//! What hostile senders may try: nothing panics, nothing goes to who did not prove to be there (which the
//! harness asserts of each datagram), and those who are in the room go on hearing each other.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod harness;

use std::net::SocketAddr;
use std::time::Duration;

use floe_core::voice::{MediaInput, Quality};
use floe_media::Dropped;
use harness::World;
use harness::dice::Dice;
use str0m::media::Rid;
use str0m::rtp::RtpWrite;

const TURN: Duration = Duration::from_millis(20);
/// Where nobody of the room is.
const STRANGER: ([u8; 4], u16) = ([203, 0, 113, 66], 6_666);

/// Two who hear each other, and what they sent while they came.
fn room() -> (World, usize, usize) {
    let mut world = World::new();
    world.overheard = Some(Vec::new());
    let [ann, bob] = ["ann", "bob"].map(|user| world.join(user));
    world.pass(Duration::from_secs(2));
    hear_each_other(&mut world, ann, bob);
    (world, ann, bob)
}

/// Has two say something, and sees to it that all of it and nothing else is heard.
fn hear_each_other(world: &mut World, one: usize, other: usize) {
    let before = [one, other].map(|at| world.browsers[at].heard.len());
    for turn in 0..25 {
        world.say(one, -30, &[1, turn]);
        world.say(other, -30, &[2, turn]);
        world.pass(TURN);
    }
    world.pass(Duration::from_millis(200));
    for (hearer, before, word) in [(one, before[0], 2), (other, before[1], 1)] {
        let heard = &world.browsers[hearer].heard[before..];
        let heard: Vec<_> = heard.iter().map(|one| one.payload.to_vec()).collect();
        let said: Vec<_> = (0..25).map(|turn| vec![word, turn]).collect();
        assert_eq!(heard, said);
    }
}

fn dropped(world: &World, reason: Dropped) -> u64 {
    world.forwarder.counters().dropped(reason)
}

fn ufrag_of(world: &World, at: usize) -> String {
    let answer = &world.browsers[at].answer;
    let mut lines = answer.lines();
    lines
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .unwrap()
        .to_owned()
}

/// A STUN message with some attributes.
fn stun(kind: u16, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (kind, value) in attributes {
        body.extend(kind.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend([0x21, 0x12, 0xA4, 0x42]);
    message.extend([7; 12]);
    message.extend(body);
    message
}

fn overheard_of(world: &World, at: usize) -> Vec<Vec<u8>> {
    let address = world.browsers[at].address;
    let all = world.overheard.as_ref().unwrap().iter();
    all.filter(|(source, _)| *source == address)
        .map(|(_, bytes)| bytes.clone())
        .collect()
}

#[test]
fn a_flood_of_stun_from_strangers_is_answered_with_nothing() {
    let (mut world, ann, bob) = room();
    let stranger: SocketAddr = STRANGER.into();
    let right = ufrag_of(&world, ann);
    let before = world.forwarder.counters().datagrams_out;
    let mut dice = Dice(1);
    for _ in 0..3_000 {
        let named = match dice.below(3) {
            0 => format!("{right}:abcd"),
            1 => format!("{:x}:abcd", dice.next()),
            _ => String::from_utf8_lossy(&dice.bytes(9)).into_owned(),
        };
        let integrity = dice.bytes(20);
        let message = stun(
            *dice.one_of(&[1, 0x0101, 0x0111, 0x0011, 3]),
            &[
                (0x0006, named.as_bytes()),
                (0x0024, &[0x6E, 0, 1, 0xFF]),
                (0x0025, &[]),
                (0x0008, &integrity),
            ],
        );
        let address = *dice.one_of(&[stranger, world.browsers[bob].address]);
        world.inject(address, &message);
    }
    let counters = world.forwarder.counters();
    assert_eq!(counters.datagrams_out, before, "not a byte");
    assert_eq!(world.guard.bytes(stranger).1, 0);
    assert!(counters.dropped(Dropped::Unproved) > 2_000);
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn stun_that_is_built_to_confuse_is_refused() {
    let (mut world, ann, bob) = room();
    let name = format!("{}:abcd", ufrag_of(&world, ann));
    let kinds = [
        0x0001_u16, 0x0003, 0x0006, 0x0008, 0x0009, 0x000C, 0x000D, 0x000A, 0x0012, 0x0013, 0x0014,
        0x0015, 0x0016, 0x0020, 0x0022, 0x0024, 0x0025, 0x8028, 0x8029, 0x802A, 0xC057, 0x1234,
    ];
    let mut dice = Dice(2);
    for _ in 0..30_000 {
        let count = dice.below(6) as usize;
        let mut values: Vec<(u16, Vec<u8>)> = vec![(0x0006, name.clone().into_bytes())];
        for _ in 0..count {
            let len = dice.below(24) as usize;
            values.push((*dice.one_of(&kinds), dice.bytes(len)));
        }
        let values: Vec<_> = values
            .iter()
            .map(|(kind, value)| (*kind, &**value))
            .collect();
        let kind = dice.below(0x4000) as u16;
        let mut message = stun(*dice.one_of(&[1, 0x0101, 0x0111, kind]), &values);
        if dice.once_in(4) {
            let at = dice.below(message.len() as u64) as usize;
            message[at] = dice.next() as u8;
        }
        if dice.once_in(8) {
            message.truncate(dice.below(message.len() as u64) as usize);
        }
        let address = *dice.one_of(&[STRANGER.into(), world.browsers[ann].address]);
        world.inject(address, &message);
    }
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn noise_of_all_kinds_from_anywhere_changes_nothing() {
    let (mut world, ann, bob) = room();
    let addresses = [
        STRANGER.into(),
        world.browsers[ann].address,
        world.browsers[bob].address,
    ];
    let mut dice = Dice(3);
    for _ in 0..30_000 {
        let len = match dice.below(20) {
            0 => 0,
            1 => 2_001 + dice.below(60_000) as usize,
            _ => 1 + dice.below(200) as usize,
        };
        let mut bytes = dice.bytes(len);
        if let Some(first) = bytes.first_mut() {
            // STUN, DTLS, RTP and RTCP, and what is none of them.
            *first = match dice.below(5) {
                0 => dice.below(4) as u8,
                1 => 20 + dice.below(44) as u8,
                2 | 3 => 128 + dice.below(64) as u8,
                _ => dice.next() as u8,
            };
        }
        if dice.once_in(2) && len > 2 {
            bytes[1] = *dice.one_of(&[111, 200, 201, 205, 206, 254]);
        }
        world.inject(*dice.one_of(&addresses), &bytes);
    }
    assert_eq!(world.guard.bytes(STRANGER.into()).1, 0);
    assert!(dropped(&world, Dropped::Size) > 1_000);
    assert!(dropped(&world, Dropped::Unknown) > 1_000);
    assert!(dropped(&world, Dropped::Malformed) > 100);
    hear_each_other(&mut world, ann, bob);
    assert_eq!(world.browsers[ann].quality, Quality::Good);
}

#[test]
fn who_writes_dtls_as_somebody_else_ends_nothing() {
    let (mut world, ann, bob) = room();
    let address = world.browsers[ann].address;
    // What was said in clear while they came, alerts, and records of all kinds.
    for message in overheard_of(&world, ann) {
        if (20..64).contains(&message[0]) {
            world.inject(address, &message);
            let half = &message[..message.len() / 2];
            world.inject(address, half);
        }
    }
    let mut dice = Dice(4);
    for number in 0..5_000_u64 {
        let kind = *dice.one_of(&[20, 21, 22, 23, 24, 25, 26, 47, 63]);
        let epoch = *dice.one_of(&[0, 0, 1, 2]);
        let body = match dice.below(3) {
            0 => vec![2, 40],
            1 => vec![1, 0],
            _ => {
                let len = dice.below(80) as usize;
                dice.bytes(len)
            }
        };
        let mut record = vec![kind, 0xFE, 0xFD, 0, epoch];
        record.extend(&number.to_be_bytes()[2..]);
        record.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        record.extend(body);
        world.inject(address, &record);
    }
    hear_each_other(&mut world, ann, bob);
    world.pass(Duration::from_secs(3));
    assert_eq!(world.browsers[ann].quality, Quality::Good);
}

#[test]
fn who_proves_who_they_are_from_somebody_elses_address_does_not_get_it() {
    let (mut world, ann, bob) = room();
    let address = world.browsers[ann].address;
    let proofs: Vec<_> = overheard_of(&world, bob)
        .into_iter()
        .filter(|message| message[0] < 4)
        .collect();
    assert!(!proofs.is_empty());
    let (_, sent) = world.guard.bytes(address);
    for _ in 0..20 {
        for proof in &proofs {
            world.inject(address, proof);
        }
    }
    assert_eq!(world.guard.bytes(address).1, sent, "not even an answer");
    assert_eq!(dropped(&world, Dropped::Taken), 20 * proofs.len() as u64);
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn what_is_written_as_somebody_else_but_cannot_be_decrypted_is_not_heard_and_displaces_nothing() {
    let (mut world, ann, bob) = room();
    let address = world.browsers[ann].address;
    let packets: Vec<_> = overheard_of(&world, ann)
        .into_iter()
        .filter(|message| (128..192).contains(&message[0]))
        .collect();
    let mut dice = Dice(5);
    let mut forged = 0;
    // All the while, so that a stream that were displaced would be missed.
    for turn in 0..100_u8 {
        for _ in 0..20 {
            let mut packet = dice.one_of(&packets).clone();
            // Of a stream that is known, or of a new one that says to be of the same medium.
            if dice.once_in(2) {
                let other = dice.next() as u32;
                packet[8..12].copy_from_slice(&other.to_be_bytes());
            }
            let ahead = dice.next() as u16;
            packet[2..4].copy_from_slice(&ahead.to_be_bytes());
            world.inject(address, &packet);
            forged += 1;
        }
        world.say(ann, -30, &[9, turn]);
        world.pass(TURN);
    }
    world.pass(Duration::from_millis(200));
    assert_eq!(forged, 2_000);
    let heard = world.browsers[bob].heard.iter();
    let heard: Vec<_> = heard
        .filter(|one| one.payload[0] == 9)
        .map(|one| one.payload[1])
        .collect();
    assert_eq!(heard, (0..100).collect::<Vec<_>>());
    assert!(dropped(&world, Dropped::Streams) > 500);
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn what_is_played_again_is_not_heard_again() {
    let (mut world, ann, bob) = room();
    hear_each_other(&mut world, ann, bob);
    let all = world.overheard.take().unwrap();
    for (source, bytes) in &all {
        world.inject(*source, bytes);
    }
    // From elsewhere, too: who is on the way of a packet can send it from anywhere. What proves somebody
    // there does not move the media of those who go on.
    for (_, bytes) in all.iter().filter(|(_, bytes)| bytes[0] >= 4) {
        world.inject(STRANGER.into(), bytes);
    }
    let before = world.browsers[bob].heard.len();
    world.pass(Duration::from_secs(1));
    assert_eq!(world.browsers[bob].heard.len(), before);
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn a_browser_that_invents_streams_is_held_to_so_many() {
    let (mut world, ann, bob) = room();
    let now = world.now;
    let browser = &mut world.browsers[ann];
    let mid = browser.microphone;
    let pt = browser.rtc.media(mid).unwrap().remote_pts()[0];
    // Each is encrypted as it should be.
    for number in 0..2_000_u32 {
        let mut api = browser.rtc.direct_api();
        let rid = Rid::from(&*format!("r{number}"));
        let stream = api.declare_stream_tx((70_000 + number).into(), None, mid, Some(rid));
        let write = RtpWrite::new(pt, 1.into(), 1, now, &[7_u8, 7][..]);
        stream.write_rtp(write);
    }
    world.pass(Duration::from_secs(2));
    assert!(dropped(&world, Dropped::Streams) >= 1_900);
    let mut api = world.browsers[ann].rtc.direct_api();
    for ssrc in 0..2_000_u32 {
        api.remove_stream_tx((70_000 + ssrc).into());
    }
    world.pass(Duration::from_secs(1));
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn a_browser_that_moves_about_gets_only_so_many_addresses() {
    let (mut world, ann, bob) = room();
    let proof = overheard_of(&world, ann)
        .into_iter()
        .rfind(|message| message[0] < 4)
        .unwrap();
    for port in 1_000..3_000 {
        let address: SocketAddr = ([10, 9, 9, 9], port).into();
        // They know the secret, and may be answered.
        world.guard.proves(address);
        world.inject(address, &proof);
        let (came, went) = world.guard.bytes(address);
        assert!(went <= came, "{went} bytes for {came}");
    }
    assert!(dropped(&world, Dropped::Addresses) >= 1_960);
    world.pass(Duration::from_secs(6));
    hear_each_other(&mut world, ann, bob);
}

#[test]
fn who_left_is_not_served_any_more_and_others_go_on() {
    let (mut world, ann, bob) = room();
    let cem = world.join("cem");
    world.pass(Duration::from_secs(2));
    let address = world.browsers[cem].address;
    let seat = world.browsers[cem].seat;
    world.forwarder.handle(world.now, MediaInput::Left(seat));
    let (_, sent) = world.guard.bytes(address);
    // The browser does not know, and goes on.
    for turn in 0..50 {
        world.say(cem, -10, &[3, turn]);
        world.pass(TURN);
    }
    assert_eq!(world.guard.bytes(address).1, sent);
    hear_each_other(&mut world, ann, bob);
}
