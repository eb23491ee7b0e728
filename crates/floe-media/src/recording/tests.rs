use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Ticks of a packet of 20 ms.
const PACKET: u32 = 960;
const SILENCE: [u8; 3] = [0xF8, 0xFF, 0xFE];

/// What somebody said.
#[derive(Debug, Clone, Copy)]
struct Word {
    id: u16,
    /// Milliseconds since the recording began.
    said: u64,
    came: u64,
    stream: u32,
    time: u32,
}

/// One who speaks every 20 ms, by a clock that begins anywhere.
struct Speaker {
    now: u64,
    stream: u32,
    time: u32,
    words: Vec<Word>,
}

impl Speaker {
    fn new(time: u32) -> Self {
        Self {
            now: 100,
            stream: 1,
            time,
            words: Vec::new(),
        }
    }

    fn say(&mut self, packets: usize) {
        for _ in 0..packets {
            self.words.push(Word {
                id: self.words.len() as u16,
                said: self.now,
                came: self.now,
                stream: self.stream,
                time: self.time,
            });
            self.pause(20, true);
        }
    }

    /// Says nothing, while the clock of the packets goes on or not.
    fn pause(&mut self, ms: u64, goes_on: bool) {
        self.now += ms;
        if goes_on {
            self.time = self.time.wrapping_add((ms * 48) as u32);
        }
    }

    fn reconnect(&mut self, time: u32) {
        self.stream += 1;
        self.time = time;
    }
}

/// Records words in the order in which they come, and returns the file and how long it sounds.
fn record(words: &[Word]) -> (Vec<u8>, u64) {
    let mut track = Track::new(7, &[("ARTIST", "ann")]);
    let mut file = Vec::new();
    let mut words = words.to_vec();
    words.sort_by_key(|word| word.came);
    let mut drain = |track: &mut Track, now| {
        while let Some(page) = track.poll_page(now) {
            assert!(page.len() <= PAGE_BYTES_MAX);
            file.extend(page);
        }
    };
    for word in words {
        let at = Duration::from_millis(word.came);
        let [high, low] = word.id.to_be_bytes();
        let payload: Arc<[u8]> = [0x78, high, low].into();
        let (stream, time) = (word.stream, word.time);
        track.hear(Packet {
            stream,
            time,
            at,
            payload,
        });
        drain(&mut track, at);
    }
    track.finish();
    drain(&mut track, Duration::ZERO);
    (file, track.duration_ms())
}

/// Reads a file as anybody would, and returns the packets that are no silence, each with its place in
/// milliseconds.
fn read(file: &[u8]) -> Vec<(u16, u64)> {
    let mut rest = file;
    let mut found = Vec::new();
    let mut samples = 0_u64;
    let mut sequence = 0_u32;
    while !rest.is_empty() {
        assert_eq!(rest[..5], *b"OggS\0");
        let segments = usize::from(rest[26]);
        let lens = &rest[27..27 + segments];
        let body: usize = lens.iter().map(|len| usize::from(*len)).sum();
        let (page, after) = rest.split_at(27 + segments + body);
        let flags = u8::from(sequence == 0) * 2 + u8::from(after.is_empty()) * 4;
        assert_eq!(page[5], flags);
        assert_eq!(page[14..18], 7_u32.to_le_bytes());
        assert_eq!(page[18..22], sequence.to_le_bytes());
        assert_eq!(page[22..26], bitwise_sum(page).to_le_bytes());
        let mut at = 27 + segments;
        for len in lens {
            let packet = &page[at..at + usize::from(*len)];
            at += usize::from(*len);
            if sequence >= 2 {
                if *packet != SILENCE {
                    let id = u16::from_be_bytes([packet[1], packet[2]]);
                    found.push((id, samples / 48));
                }
                samples += u64::from(PACKET);
            }
        }
        assert_eq!(page[6..14], samples.to_le_bytes());
        sequence += 1;
        rest = after;
    }
    found
}

fn bitwise_sum(page: &[u8]) -> u32 {
    let mut sum = 0_u32;
    for (at, byte) in page.iter().enumerate() {
        let byte = if (22..26).contains(&at) { 0 } else { *byte };
        sum ^= u32::from(byte) << 24;
        for _ in 0..8 {
            sum = if sum & 0x8000_0000 == 0 {
                sum << 1
            } else {
                (sum << 1) ^ 0x04C1_1DB7
            };
        }
    }
    sum
}

/// Checks that these words are in a file once each, in order, near to when they were said.
fn check(file: &[u8], words: &[Word], within_ms: u64) {
    let found = read(file);
    let ids: Vec<u16> = words.iter().map(|word| word.id).collect();
    let found_ids: Vec<u16> = found.iter().map(|(id, _)| *id).collect();
    assert_eq!(found_ids, ids);
    for (word, (_, place)) in words.iter().zip(&found) {
        let off = place.abs_diff(word.said);
        assert!(off <= within_ms, "{word:?} is at {place}");
    }
}

#[test]
fn what_is_lost_is_silence_and_the_rest_is_where_it_was_said() {
    let mut ann = Speaker::new(u32::MAX - 5_000);
    ann.say(100);
    ann.pause(3_000, true);
    ann.say(50);
    let mut words = ann.words;
    words.retain(|word| !(30..35).contains(&word.id) && word.id != 120);
    let (file, duration_ms) = record(&words);
    check(&file, &words, 20);
    assert!(duration_ms.abs_diff(6_100) <= 20, "{duration_ms}");
}

#[test]
fn a_clock_that_stood_still_while_nothing_was_said_is_put_right() {
    for ms in [300, 1_500, 10_000] {
        let mut ann = Speaker::new(77);
        ann.say(100);
        ann.pause(ms, false);
        ann.say(100);
        let (file, _) = record(&ann.words);
        check(&file, &ann.words, 20);
    }
}

#[test]
fn a_new_stream_begins_where_its_packets_came() {
    for time in [0, 5_000_000, u32::MAX - 1] {
        let mut ann = Speaker::new(4_000_000);
        ann.say(100);
        ann.pause(2_000, true);
        ann.reconnect(time);
        ann.say(100);
        // The same stream with other times, as of a browser that has forgotten everything.
        ann.pause(500, true);
        ann.time = 123_456_789;
        ann.say(100);
        let (file, _) = record(&ann.words);
        check(&file, &ann.words, 20);
    }
}

#[test]
fn packets_come_late_twice_and_out_of_order() {
    let mut ann = Speaker::new(1);
    ann.say(200);
    let words = ann.words.clone();
    let mut came = words.clone();
    for word in &mut came {
        word.came += [0, 45, 10, 70, 200][usize::from(word.id) % 5];
    }
    let again: Vec<Word> = came.iter().step_by(3).copied().collect();
    came.extend(again.iter().map(|word| Word {
        came: word.came + 30,
        ..*word
    }));
    // Far too late.
    came.push(Word {
        came: 1_500,
        ..words[3]
    });
    let (file, _) = record(&came);
    check(&file, &words, 20);
}

#[test]
fn a_connection_that_stalls_loses_nothing_and_moves_nothing() {
    let mut ann = Speaker::new(1);
    ann.say(300);
    let mut words = ann.words;
    let stall = words[100].said..words[200].said;
    for word in &mut words {
        if stall.contains(&word.said) {
            word.came = stall.end;
        }
    }
    let (file, _) = record(&words);
    check(&file, &words, 20);
}

#[test]
fn a_clock_that_is_slow_or_fast_does_not_run_away() {
    for per_mille in [-3_i64, 3] {
        let mut ann = Speaker::new(1);
        ann.say(6_000);
        let mut words = ann.words;
        for word in &mut words {
            let off = i64::from(word.id) * 960 * per_mille / 1_000;
            word.time = (i64::from(word.time) + off) as u32;
        }
        let (file, _) = record(&words);
        let found = read(&file);
        assert!(found.len() >= 5_900, "{}", found.len());
        for (id, place) in found {
            let off = place.abs_diff(words[usize::from(id)].said);
            assert!(off <= 200, "{id} is off by {off}");
        }
    }
}

#[test]
fn hours_of_silence_come_page_by_page() {
    let mut track = Track::new(7, &[]);
    let at = Duration::from_hours(10);
    for time in 0..2 {
        track.hear(Packet {
            stream: 1,
            time: time * PACKET,
            at: at + Duration::from_millis(20) * time,
            payload: [0x78, 0, 1].into(),
        });
    }
    track.finish();
    let mut pages = 0;
    while let Some(page) = track.poll_page(at) {
        assert!(page.len() <= PAGE_BYTES_MAX);
        pages += 1;
    }
    assert_eq!(pages, 1 + 36_001);
    assert_eq!(track.duration_ms() / 1_000, 36_000);
}

#[test]
fn what_is_no_opus_is_not_in_the_file() {
    let mut track = Track::new(7, &[]);
    for payload in [&[][..], &[0xFB, 0], &[0x78; 5_000]] {
        track.hear(Packet {
            stream: 1,
            time: 0,
            at: Duration::ZERO,
            payload: payload.into(),
        });
    }
    track.finish();
    assert_eq!(track.poll_page(Duration::ZERO), None, "there is no file");
    assert_eq!(track.dropped(), 3);
}

#[derive(Debug, Clone)]
enum Act {
    Say(usize),
    Pause(u64, bool),
    Reconnect(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (10_usize..100).prop_map(Act::Say),
        1 => (100_u64..8_000, any::<bool>()).prop_map(|(ms, goes_on)| Act::Pause(ms, goes_on)),
        1 => any::<u32>().prop_map(Act::Reconnect),
    ]
}

proptest! {
    /// Whatever a network does within its bounds, everything that came is heard near to when it was
    /// said, in the order in which it was said.
    #[test]
    fn what_came_is_where_it_was_said(
        begin in any::<u32>(),
        acts in proptest::collection::vec(act(), 1..20),
        luck in proptest::collection::vec(0_u64..=50, 1..200),
    ) {
        let mut ann = Speaker::new(begin);
        for act in acts {
            match act {
                Act::Say(packets) => ann.say(packets),
                Act::Pause(ms, goes_on) => ann.pause(ms, goes_on),
                // Nobody connects again within the while that packets are late.
                Act::Reconnect(time) => {
                    ann.pause(100, true);
                    ann.reconnect(time);
                }
            }
        }
        let mut luck = luck.iter().cycle();
        let mut words = ann.words;
        words.retain_mut(|word| {
            let luck = *luck.next().expect("it never ends");
            word.came += luck;
            luck != 13
        });
        let (file, _) = record(&words);
        check(&file, &words, 50 + 80 + 20);
    }

    /// Whatever a sender sends, the file is a file.
    #[test]
    fn nothing_panics_and_all_files_are_sound(
        packets in proptest::collection::vec(
            (0_u32..3, any::<u32>(), 0_u64..100_000, any::<u16>()), 0..100),
    ) {
        let words: Vec<Word> = packets
            .into_iter()
            .map(|(stream, time, came, id)| Word { id, said: 0, came, stream, time })
            .collect();
        let (file, duration_ms) = record(&words);
        read(&file);
        prop_assert!(duration_ms <= 200_000);
    }
}
