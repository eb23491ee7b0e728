//! A voice room that is recorded: what somebody says, with a mute and a loss within, is heard again.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use floe_server::{MediaSettings, RecordingSettings, Settings};
use serde_json::{Value, json};

use super::browser::Browser;
use crate::harness::{PATIENCE, TestServer, delete, get, head, put};

const RECORDINGS: &str = "/v1/voice/00000000000a/recordings";
/// 440 Hz for four seconds, as packets of 20 ms in an Ogg file.
const TONE: &[u8] = include_bytes!("tone.ogg");
/// Packets of the tone that are sent: what is left out is a loss of 200 ms, and a mute of a second.
const SENT: [std::ops::Range<u64>; 3] = [0..50, 60..100, 150..195];

fn record(settings: &mut Settings) {
    settings.media = MediaSettings {
        recordings: RecordingSettings {
            free_bytes_min: 0,
            ..RecordingSettings::default()
        },
        ..MediaSettings::default()
    };
}

/// Returns the packets of an Ogg file in which none is longer than a page.
fn packets(mut file: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    while !file.is_empty() {
        let segments = usize::from(file[26]);
        let (header, rest) = file.split_at(27 + segments);
        file = rest;
        for len in &header[27..] {
            let (segment, rest) = file.split_at(usize::from(*len));
            file = rest;
            packet.extend(segment);
            if *len < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
    }
    packets
}

/// Has somebody send the tone in real time, but for what is left out of it.
fn send_tone(browser: &mut Browser) {
    let tone = packets(TONE).split_off(2);
    let begin = Instant::now();
    let (mut next, mut sequence) = (0, 1);
    let end = SENT[2].end;
    while next < end {
        let now = Instant::now();
        let due = now.duration_since(begin).as_millis() / 20;
        while u128::from(next) <= due && next < end {
            if SENT.iter().any(|range| range.contains(&next)) {
                let packet = &tone[usize::try_from(next).unwrap()];
                let time = u32::try_from(next * 960).unwrap();
                browser.send(now, sequence, time, packet);
            }
            // What is lost had a number; while nobody speaks there are none.
            sequence += u64::from(next < SENT[1].end || SENT[2].contains(&next));
            next += 1;
        }
        browser.step(now);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Begins a recording, and waits until there is something of it.
fn begin(server: &TestServer) -> String {
    let begun = server.expect(200, put("/v1/voice/00000000000a/recording"));
    let recording = begun.json()["recordingId"].as_str().unwrap().to_owned();
    let until = Instant::now() + PATIENCE;
    while server
        .send(get(&format!("{RECORDINGS}/{recording}")))
        .status
        != 200
    {
        assert!(Instant::now() < until, "it does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    recording
}

/// Waits for the recording to be over, and returns what it holds.
fn ended(server: &TestServer, recording: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let index = server
            .expect(200, get(&format!("{RECORDINGS}/{recording}")))
            .json();
        if index["endedAt"].is_string() {
            return index;
        }
        assert!(Instant::now() < until, "{index}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the room's log to say what a recording holds.
fn logged(server: &TestServer) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let log = get("/v1/stream/__voice__/00000000000a?offset=-1");
        let log = server.expect(200, log).json();
        let mut messages = log.as_array().unwrap().iter();
        if let Some(found) = messages.find(|message| message["type"] == "recording_index") {
            return found["value"].clone();
        }
        assert!(Instant::now() < until, "{log}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Returns the sound of a file as one channel of 48 kHz, as another program decodes it; `None` where it
/// is not installed.
fn decode(file: &[u8]) -> Option<Vec<i16>> {
    let ffmpeg = Command::new("ffmpeg")
        .args(["-v", "error", "-i", "pipe:0"])
        .args(["-f", "s16le", "-ac", "1", "-ar", "48000", "pipe:1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut ffmpeg = ffmpeg.ok()?;
    let mut input = ffmpeg.stdin.take().unwrap();
    let file = file.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&file).unwrap());
    let output = ffmpeg.wait_with_output().unwrap();
    writing.join().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let samples = output.stdout.chunks_exact(2);
    Some(
        samples
            .map(|two| i16::from_le_bytes([two[0], two[1]]))
            .collect(),
    )
}

/// Returns from when to when there is sound, in milliseconds.
fn sounds(samples: &[i16]) -> Vec<(u64, u64)> {
    /// Shorter silences are none.
    const PAUSE_MS: u64 = 60;
    let mut sounds: Vec<(u64, u64)> = Vec::new();
    for (at, slice) in (0..).zip(samples.chunks(480)) {
        let (from, to) = (at * 10, at * 10 + 10);
        if slice.iter().all(|sample| sample.unsigned_abs() < 1_000) {
            continue;
        }
        match sounds.last_mut() {
            Some((_, last)) if from <= *last + PAUSE_MS => *last = to,
            Some(_) | None => sounds.push((from, to)),
        }
    }
    sounds
}

/// Returns how often a tone swings in a second.
fn frequency(samples: &[i16]) -> f64 {
    let rises = samples.windows(2).filter(|two| two[0] < 0 && two[1] >= 0);
    rises.count() as f64 * 48_000.0 / samples.len() as f64
}

#[test]
fn what_somebody_says_is_recorded_where_they_said_it() {
    let server = TestServer::with(record);
    let mut ann = Browser::talk(&server, "ann");
    ann.until_connected();
    let recording = begin(&server);
    let at = format!("{RECORDINGS}/{recording}");
    server.send(delete(&at)).refused(412, "PRECONDITION_FAILED");
    send_tone(&mut ann);
    // The last words are on their way.
    ann.step_for(Duration::from_millis(300));
    server.expect(200, delete("/v1/voice/00000000000a/recording"));
    let index = ended(&server, &recording);
    assert_eq!(index["reason"], "stopped", "{index}");
    let file = &index["files"][0];
    assert_eq!(file["userId"], "ann", "{index}");
    assert_eq!(index["files"].as_array().unwrap().len(), 1);
    let spoke = index["spoke"].as_array().unwrap();
    assert!(spoke.iter().all(|one| one["userId"] == "ann"), "{index}");
    let listed = server.expect(200, get(RECORDINGS)).json();
    assert_eq!(listed["recordings"][0]["recordingId"], *recording);

    let path = format!("{at}/{}", file["file"].as_str().unwrap());
    let whole = server.expect(200, get(&path));
    assert_eq!(whole.header("content-type"), Some("audio/ogg"));
    assert_eq!(whole.body.len() as u64, file["bytes"].as_u64().unwrap());
    let part = server.expect(206, get(&path).field("Range", "bytes=10-99"));
    assert_eq!(part.body, whole.body[10..100]);
    let said = format!("bytes 10-99/{}", whole.body.len());
    assert_eq!(part.header("content-range"), Some(&*said));
    server.expect(200, head(&path));
    server
        .send(get(&format!("{at}/begun.jsonl")))
        .refused(404, "NOT_FOUND");

    if let Some(samples) = decode(&whole.body) {
        check_sound(&samples, file["durationMs"].as_u64().unwrap());
    }

    assert_eq!(logged(&server), index);

    server.expect(200, delete(&at));
    server.send(get(&at)).refused(404, "NOT_FOUND");
    let audited = server
        .expect(200, get("/v1/stream/__audit__?offset=-1"))
        .text();
    assert!(audited.contains("recording.download") && audited.contains("recording.delete"));
}

/// Checks that the tone is heard where it was sent, and as long.
fn check_sound(samples: &[i16], duration_ms: u64) {
    let length_ms = samples.len() as u64 / 48;
    assert!(length_ms.abs_diff(duration_ms) <= 100, "{length_ms}");
    let sounds = sounds(samples);
    assert_eq!(sounds.len(), 3, "{sounds:?}");
    let begin = sounds[0].0;
    for ((from, to), sent) in sounds.iter().zip(SENT) {
        let off = (from - begin).abs_diff(sent.start * 20);
        assert!(off <= 100, "{sounds:?}");
        let off = (to - begin).abs_diff(sent.end * 20);
        assert!(off <= 100, "{sounds:?}");
        let range = (from + 50) * 48..(to - 50) * 48;
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let frequency = frequency(&samples[range]);
        assert!((frequency - 440.0).abs() < 5.0, "{frequency}");
    }
    assert!(
        length_ms.abs_diff(sounds[2].1) <= 100,
        "{sounds:?} {length_ms}"
    );
}

#[test]
fn a_recording_that_a_crash_cut_off_is_there_after_it() {
    let server = TestServer::with(record);
    let mut ann = Browser::talk(&server, "ann");
    ann.until_connected();
    let recording = begin(&server);
    send_tone(&mut ann);
    let metrics = || server.expect(200, get("/metrics")).text();
    let until = Instant::now() + PATIENCE;
    // Something of it is on the disk.
    while metrics().contains("\nfloe_media_recording_bytes_total 0") {
        assert!(Instant::now() < until, "nothing was written");
        ann.step_for(Duration::from_millis(20));
    }
    let server = server.crashed();
    let index = ended(&server, &recording);
    assert_eq!(index["reason"], "interrupted", "{index}");
    let file = index["files"][0]["file"].as_str().unwrap();
    let file = server.expect(200, get(&format!("{RECORDINGS}/{recording}/{file}")));
    if let Some(samples) = decode(&file.body) {
        assert!(!sounds(&samples).is_empty());
    }
}

#[test]
fn a_disk_without_space_to_spare_ends_a_recording_and_nothing_else() {
    let server = TestServer::with(|settings| {
        record(settings);
        settings.media.recordings.free_bytes_min = u64::MAX;
    });
    let mut ann = Browser::talk(&server, "ann");
    ann.until_connected();
    server.expect(200, put("/v1/voice/00000000000a/recording"));
    let until = Instant::now() + PATIENCE;
    let session = || {
        let mut room = server.expect(200, get("/v1/voice/00000000000a")).json();
        room["session"].take()
    };
    while !session()["recording"].is_null() {
        assert!(Instant::now() < until, "{}", session());
        std::thread::sleep(Duration::from_millis(20));
    }
    let index = logged(&server);
    assert_eq!(index["reason"], "disk_full", "{index}");
    assert!(ann.is_connected());
    server.expect(200, put("/v1/voice/00000000000a/recording"));
}

#[test]
fn where_nothing_is_recorded_nobody_begins_to() {
    let server = TestServer::with(|settings| {
        record(settings);
        settings.media.recordings.at_once_max = 0;
    });
    let _ann = Browser::talk(&server, "ann");
    let refused = server.send(put("/v1/voice/00000000000a/recording"));
    refused.refused(501, "MEDIA_UNAVAILABLE");
    let listed = server.expect(200, get(RECORDINGS)).json();
    assert_eq!(listed, json!({"recordings": []}));
}
